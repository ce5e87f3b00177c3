/* table.c - a map from 64-bit keys to 32-bit values, for the reader's inner loops. */
#include "reader/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void ctask_table_fini(struct ctask_table *table)
{
	free(table->slots);
	*table = (struct ctask_table){ 0 };
}

void ctask_table_clear(struct ctask_table *table)
{
	if (table->count)
		memset(table->slots, 0, sizeof(*table->slots) * ((size_t)table->mask + 1));
	table->count = 0;
}

static void place(struct ctask_table *table, uint64_t key, uint32_t value)
{
	uint32_t i = ctask_table_hash(key) & table->mask;

	while (table->slots[i].key && table->slots[i].key != key)
		i = (i + 1) & table->mask;
	table->count += !table->slots[i].key;
	table->slots[i] = (struct ctask_table_slot){ .key = key, .value = value };
}

static int resize(struct ctask_table *table)
{
	size_t room = table->slots ? ((size_t)table->mask + 1) * 2 : 64;
	struct ctask_table larger = { .slots = calloc(room, sizeof(*larger.slots)) };

	if (!larger.slots || room > UINT32_MAX / 2) {
		free(larger.slots);
		return -ENOMEM;
	}
	larger.mask = (uint32_t)(room - 1);
	for (size_t i = 0; table->slots && i <= table->mask; i++)
		if (table->slots[i].key)
			place(&larger, table->slots[i].key, table->slots[i].value);
	free(table->slots);
	*table = larger;
	return 0;
}

int ctask_table_put(struct ctask_table *table, uint64_t key, uint32_t value)
{
	if (!table->slots || table->count >= (table->mask + 1) / 2) {
		int ret = resize(table);

		if (ret)
			return ret;
	}
	place(table, key, value);
	return 0;
}
