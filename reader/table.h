/* table.h - a map from 64-bit keys to 32-bit values, for the reader's inner loops. */
#ifndef CTASK_READER_TABLE_H
#define CTASK_READER_TABLE_H

#include <stddef.h>
#include <stdint.h>

/*
 * Open addressing, linear probing, no removal. It exists beside uthash because
 * a page is looked up about ten times for each task: one cache line and no
 * allocation per entry is what makes 100,000 tasks a matter of milliseconds.
 */
struct ctask_table {
	struct ctask_table_slot {
		uint64_t key; /* 0 = free: key 0 cannot be stored */
		uint32_t value;
	} * slots;
	uint32_t mask; /* slots - 1; slots is a power of two, or NULL when empty */
	uint32_t count;
};

/** Free what it holds; it is empty and usable afterwards. */
void ctask_table_fini(struct ctask_table *table);
/** Forget all entries, keep the room. */
void ctask_table_clear(struct ctask_table *table);
/** Set @p key (not 0) to @p value. 0 or -ENOMEM. */
int ctask_table_put(struct ctask_table *table, uint64_t key, uint32_t value);

static inline uint32_t ctask_table_hash(uint64_t key)
{
	return (uint32_t)((key * 0x9e3779b97f4a7c15ull) >> 32);
}

/** The value of @p key, or @p none when it is not there. */
static inline uint32_t ctask_table_get(const struct ctask_table *table, uint64_t key, uint32_t none)
{
	if (!table->slots)
		return none;
	for (uint32_t i = ctask_table_hash(key) & table->mask; table->slots[i].key;
	     i = (i + 1) & table->mask)
		if (table->slots[i].key == key)
			return table->slots[i].value;
	return none;
}

#endif
