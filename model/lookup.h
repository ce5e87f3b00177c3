/* lookup.h - find by address: things that are many, and looked up after all of them are known. */
#ifndef CTASK_MODEL_LOOKUP_H
#define CTASK_MODEL_LOOKUP_H

#include <stdint.h>

#include "model/snapshot.h"

struct ctask_lookup_entry {
	uint64_t addr;
	uint32_t index;
};

/** Zeroed = empty. */
struct ctask_lookup {
	struct ctask_lookup_entry *entries;
	uint32_t count, room;
};

void ctask_lookup_fini(struct ctask_lookup *lookup);
/** 0 or -ENOMEM. */
int ctask_lookup_add(struct ctask_lookup *lookup, uint64_t addr, uint32_t index);
/** The tasks of @p snap by their ids, sorted. 0 or -ENOMEM. */
int ctask_lookup_add_tasks(struct ctask_lookup *lookup, const struct ctask_snapshot *snap);
/** Then entries are in the order of addr, equal ones in that of index. */
void ctask_lookup_sort(struct ctask_lookup *lookup);
/** Where in the sorted entries the first of @p addr is; count when there is none. */
uint32_t ctask_lookup_first(const struct ctask_lookup *lookup, uint64_t addr);
/** The least index of @p addr, or CTASK_NONE. */
uint32_t ctask_lookup_get(const struct ctask_lookup *lookup, uint64_t addr);

#define auto_lookup __attribute__((cleanup(ctask_lookup_fini))) struct ctask_lookup

#endif
