/* intern.h - equal keys get equal numbers. */
#ifndef CTASK_ANALYSIS_INTERN_H
#define CTASK_ANALYSIS_INTERN_H

#include <stddef.h>
#include <stdint.h>

/**
 * A table of distinct keys, numbered from 0 in order of their coming. Two keys
 * get the same number only if their bytes are the same: the hash merely finds
 * candidates. The hash depends on where the table lies, so that nobody can
 * prepare keys that collide. Zeroed = empty.
 */
struct ctask_intern {
	struct ctask_intern_key *keys;
	uint32_t count, room;
	uint32_t *slots; /**< number + 1, 0 = free */
	uint32_t slot_count;
	char *bytes; /**< of all keys, one after another */
	size_t byte_count, byte_room;
};

/** The number of the key @p bytes, which is copied if it is new; UINT32_MAX when out of memory. */
uint32_t ctask_intern(struct ctask_intern *table, const void *bytes, size_t len);
void ctask_intern_fini(struct ctask_intern *table);

#endif
