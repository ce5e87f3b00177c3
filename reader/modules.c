/* modules.c - what is imported in an interpreter: the modules that ctask looks into. */
#include "reader/modules.h"

#include <errno.h>
#include <string.h>

#include "model/cleanup.h"

enum { NAME_MAX_BYTES = 32 }; /* longer than any name that is looked for */

int ctask_dict_find(struct ctask_heap *heap, uint64_t dict, const struct ctask_wanted *wanted,
		    size_t count)
{
	char name[NAME_MAX_BYTES];
	struct ctask_iter iter;
	uint64_t key, value;
	int ret = ctask_dict_iter(heap, dict, &iter);

	if (ret)
		return ret;
	while (ctask_iter_next(&iter, &key, &value)) {
		if (!ctask_str_ascii(heap, key, name, sizeof(name)))
			continue;
		for (size_t i = 0; i < count; i++)
			if (!*wanted[i].value && !strcmp(name, wanted[i].name)) {
				*wanted[i].value = value;
				break;
			}
	}
	return iter.error;
}

int ctask_module_find(struct ctask_heap *heap, uint64_t module, const struct ctask_wanted *wanted,
		      size_t count)
{
	uint64_t dict;

	if (!module)
		return 0;
	if (ctask_kind_of(heap, module) != CTASK_KIND_MODULE)
		return 0; /* somebody put something else there */
	if (ctask_heap_u64(heap, module + heap->layout.module_dict, &dict))
		return -EFAULT;
	return ctask_dict_find(heap, dict, wanted, count);
}

int ctask_modules_read(struct ctask_heap *heap, uint64_t interp, struct ctask_modules *ret)
{
	uint64_t modules;
	const struct ctask_wanted wanted[] = {
		{ "asyncio.tasks", &ret->asyncio_tasks },
		{ "asyncio.futures", &ret->asyncio_futures },
		{ "_asyncio", &ret->asyncio_c },
		{ "trio", &ret->trio },
		{ "trio._core._run", &ret->trio_run },
		{ "anyio", &ret->anyio },
		{ "anyio._backends._asyncio", &ret->anyio_asyncio },
	};

	*ret = (struct ctask_modules){ 0 };
	if (ctask_heap_u64(heap, interp + heap->layout.interp_modules, &modules))
		return -EFAULT;
	if (!modules)
		return 0; /* just starting */
	return ctask_dict_find(heap, modules, wanted, ARRAY_SIZE(wanted));
}
