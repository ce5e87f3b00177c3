/* objects.c - Python objects where a wrong look is no error. */
#include "bpf/objects.h"

#include <math.h>
#include <string.h>

enum { FIRST_PAGE = 4096, BASES_MAX = 32 };

uint64_t ctask_word_at(struct ctask_heap *heap, uint64_t addr)
{
	uint64_t value = 0;

	if (addr < FIRST_PAGE || ctask_heap_u64(heap, addr, &value))
		return 0;
	return value;
}

uint32_t ctask_number_at(struct ctask_heap *heap, uint64_t addr)
{
	uint32_t value = 0;

	if (addr < FIRST_PAGE || ctask_pages_read(heap->pages, addr, &value, sizeof(value)))
		return 0;
	return value;
}

uint64_t ctask_object_at(struct ctask_heap *heap, uint64_t addr)
{
	uint64_t obj = ctask_word_at(heap, addr);

	return obj && ctask_kind_of(heap, obj) != CTASK_KIND_NONE ? obj : 0;
}

size_t ctask_bytes_at(struct ctask_heap *heap, uint64_t addr, char *to, size_t room)
{
	size_t len = 0;

	while (len < room - 1 && !ctask_pages_read(heap->pages, addr + len, to + len, 1) && to[len])
		len++;
	to[len] = '\0';
	return len;
}

bool ctask_is_named(struct ctask_heap *heap, uint64_t obj, const char *name)
{
	const struct ctask_type *type = obj ? ctask_type_of(heap, obj) : NULL;
	char text[CTASK_TYPE_NAME_MAX];
	uint64_t base;

	if (!type)
		return false;
	if (!strcmp(ctask_type_short_name(type), name))
		return true;
	base = type->base;
	for (int i = 0; base && i < BASES_MAX; i++) {
		const char *dot;

		ctask_bytes_at(heap, ctask_word_at(heap, base + heap->layout.type_name), text,
			       sizeof(text));
		dot = strrchr(text, '.');
		if (!strcmp(dot ? dot + 1 : text, name))
			return true;
		base = ctask_word_at(heap, base + heap->layout.type_base);
	}
	return false;
}

double ctask_seconds_of(struct ctask_heap *heap, uint64_t obj)
{
	double value;

	return obj && !ctask_number_value(heap, obj, &value) ? value : NAN;
}

ctask_text ctask_text_of(struct ctask_heap *heap, struct ctask_texts *texts, uint64_t str)
{
	ctask_text text = NULL;

	return str && !ctask_str_text(heap, str, texts, &text) ? text : NULL;
}
