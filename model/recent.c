/* recent.c - tables of what is recent, by address: when a block was entered, and what is known of it. */
#include "model/recent.h"

enum { PLACES = 8 }; /* of one key */

static struct ctask_recent *slot_at(void *slots, size_t size, uint32_t at)
{
	return (struct ctask_recent *)(void *)((char *)slots + size * at);
}

static uint32_t first_place(uint64_t key, uint32_t room)
{
	return (uint32_t)((key >> 4) * 0x9e3779b97f4a7c15ull >> 32) & (room - 1) &
	       ~(uint32_t)(PLACES - 1);
}

void *ctask_recent_find(void *slots, size_t size, uint32_t room, uint64_t key)
{
	uint32_t first = first_place(key, room);

	for (uint32_t at = first; key && at < first + PLACES; at++)
		if (slot_at(slots, size, at)->key == key)
			return slot_at(slots, size, at);
	return NULL;
}

void *ctask_recent_take(void *slots, size_t size, uint32_t room, uint64_t key)
{
	uint32_t first = first_place(key, room);
	struct ctask_recent *best = ctask_recent_find(slots, size, room, key);

	if (best)
		return best;
	best = slot_at(slots, size, first);
	for (uint32_t at = first; at < first + PLACES; at++) {
		struct ctask_recent *slot = slot_at(slots, size, at);

		if (!slot->key)
			return slot;
		if (slot->at < best->at)
			best = slot;
	}
	return best;
}
