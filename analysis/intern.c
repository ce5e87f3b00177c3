/* intern.c - equal keys get equal numbers. */
#include "analysis/intern.h"

#include <stdlib.h>
#include <string.h>

#include "model/cleanup.h"

/*
 * Not uthash: a hundred thousand keys are interned three times for one tree,
 * and an allocation for each, with a handle of 56 bytes in it, would cost more
 * than all the rest of the drawing.
 */

struct ctask_intern_key {
	uint64_t hash;
	size_t at;
	size_t len;
};

static uint64_t mix(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t hash(const struct ctask_intern *table, const char *bytes, size_t len)
{
	uint64_t seed = (uintptr_t)table->slots ^ (uintptr_t)table ^ 0x9e3779b97f4a7c15;
	uint64_t h = seed ^ len, word;

	for (; len >= sizeof(word); bytes += sizeof(word), len -= sizeof(word)) {
		memcpy(&word, bytes, sizeof(word));
		h = mix(h ^ word, 0xa0761d6478bd642f ^ seed);
	}
	word = 0;
	memcpy(&word, bytes, len);
	return mix(h ^ word, 0xe7037ed1a0b428db);
}

static int grow_slots(struct ctask_intern *table)
{
	uint32_t count = table->slot_count ? table->slot_count * 2 : 1024;
	uint32_t *old = table->slots;

	if (count < table->slot_count)
		return -1;
	table->slots = calloc(count, sizeof(*table->slots));
	if (!table->slots) {
		table->slots = old;
		return -1;
	}
	table->slot_count = count;
	for (uint32_t i = 0; i < table->count; i++) { /* the seed has changed with the slots */
		struct ctask_intern_key *k = &table->keys[i];
		uint32_t slot;

		k->hash = hash(table, table->bytes + k->at, k->len);
		slot = (uint32_t)k->hash & (count - 1);
		while (table->slots[slot])
			slot = (slot + 1) & (count - 1);
		table->slots[slot] = i + 1;
	}
	free(old);
	return 0;
}

static int grow_keys(struct ctask_intern *table, size_t len)
{
	if (table->count >= table->room) {
		uint32_t room = table->room + table->room / 2 + 256;
		void *keys = realloc(table->keys, room * sizeof(*table->keys));

		if (!keys)
			return -1;
		table->keys = keys;
		table->room = room;
	}
	if (len > table->byte_room - table->byte_count || !table->bytes) {
		size_t room = table->byte_count + table->byte_count / 2 + len + 4096;
		void *bytes = realloc(table->bytes, room);

		if (!bytes)
			return -1;
		table->bytes = bytes;
		table->byte_room = room;
	}
	return 0;
}

uint32_t ctask_intern(struct ctask_intern *table, const void *bytes, size_t len)
{
	uint32_t slot;
	uint64_t h;

	if (table->count >= table->slot_count / 2 && grow_slots(table))
		return UINT32_MAX;
	h = hash(table, bytes, len);
	slot = (uint32_t)h & (table->slot_count - 1);
	for (; table->slots[slot]; slot = (slot + 1) & (table->slot_count - 1)) {
		const struct ctask_intern_key *k = &table->keys[table->slots[slot] - 1];

		if (k->hash == h && k->len == len && memcmp(table->bytes + k->at, bytes, len) == 0)
			return table->slots[slot] - 1;
	}
	if (grow_keys(table, len))
		return UINT32_MAX;
	table->keys[table->count] =
		(struct ctask_intern_key){ .hash = h, .at = table->byte_count, .len = len };
	memcpy(table->bytes + table->byte_count, bytes, len);
	table->byte_count += len;
	table->slots[slot] = ++table->count;
	return table->count - 1;
}

void ctask_intern_fini(struct ctask_intern *table)
{
	free(table->keys);
	free(table->slots);
	free(table->bytes);
	*table = (struct ctask_intern){ 0 };
}
