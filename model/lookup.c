/* lookup.c - find by address: things that are many, and looked up after all of them are known. */
#include "model/lookup.h"

#include <errno.h>
#include <stdlib.h>

#include "model/array.h"

void ctask_lookup_fini(struct ctask_lookup *lookup)
{
	free(lookup->entries);
	*lookup = (struct ctask_lookup){ 0 };
}

int ctask_lookup_add(struct ctask_lookup *lookup, uint64_t addr, uint32_t index)
{
	if (ctask_array_grow(&lookup->entries, lookup->count, &lookup->room,
			     sizeof(*lookup->entries)))
		return -ENOMEM;
	lookup->entries[lookup->count++] =
		(struct ctask_lookup_entry){ .addr = addr, .index = index };
	return 0;
}

static int compare(const void *left, const void *right)
{
	const struct ctask_lookup_entry *a = left, *b = right;

	if (a->addr != b->addr)
		return a->addr < b->addr ? -1 : 1;
	return (a->index > b->index) - (a->index < b->index);
}

void ctask_lookup_sort(struct ctask_lookup *lookup)
{
	if (lookup->count)
		qsort(lookup->entries, lookup->count, sizeof(*lookup->entries), compare);
}

int ctask_lookup_add_tasks(struct ctask_lookup *lookup, const struct ctask_snapshot *snap)
{
	for (uint32_t i = 0; i < snap->task_count; i++) {
		if (ctask_lookup_add(lookup, snap->tasks[i].id, i))
			return -ENOMEM;
	}
	ctask_lookup_sort(lookup);
	return 0;
}

uint32_t ctask_lookup_first(const struct ctask_lookup *lookup, uint64_t addr)
{
	uint32_t low = 0, high = lookup->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (lookup->entries[middle].addr < addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low < lookup->count && lookup->entries[low].addr == addr ? low : lookup->count;
}

uint32_t ctask_lookup_get(const struct ctask_lookup *lookup, uint64_t addr)
{
	uint32_t at = ctask_lookup_first(lookup, addr);

	return at < lookup->count ? lookup->entries[at].index : CTASK_NONE;
}
