/* modules.h - what is imported in an interpreter: the modules that ctask looks into. */
#ifndef CTASK_READER_MODULES_H
#define CTASK_READER_MODULES_H

#include <stddef.h>
#include <stdint.h>

#include "reader/object.h"

/** Modules of one interpreter, by address; 0 = not imported. */
struct ctask_modules {
	uint64_t asyncio_tasks, asyncio_futures, asyncio_c;
	uint64_t trio, trio_run;
	uint64_t anyio, anyio_asyncio;
};

/** A str key of a dict, and where its value goes; a value that is not 0 stays. */
struct ctask_wanted {
	const char *name;
	uint64_t *value;
};

/** Look several keys up in one pass; those that @p dict has not stay as they are. */
int ctask_dict_find(struct ctask_heap *heap, uint64_t dict, const struct ctask_wanted *wanted,
		    size_t count);
/** The same in the names of a module; nothing where @p module is none, or 0. */
int ctask_module_find(struct ctask_heap *heap, uint64_t module, const struct ctask_wanted *wanted,
		      size_t count);

/** What sys.modules of the interpreter at @p interp has. */
int ctask_modules_read(struct ctask_heap *heap, uint64_t interp, struct ctask_modules *ret);

#endif
