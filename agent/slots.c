/* slots.c - tables whose keys are addresses: where a key is, and what moves when one goes. */
#include "agent/slots.h"

#include <string.h>
#include <sys/mman.h>

static uint32_t home_of(const void *key, uint32_t room)
{
	return (uint32_t)(((uint64_t)(uintptr_t)key >> 4) * 0x9e3779b97f4a7c15ull >> 32) &
	       (room - 1);
}

static char *slot_at(void *slots, size_t size, uint32_t at)
{
	return (char *)slots + size * at;
}

static const void *key_of(const char *slot)
{
	const void *key;

	memcpy(&key, slot, sizeof(key));
	return key;
}

void *ctask_slots_find(void *slots, size_t size, uint32_t room, const void *key)
{
	uint32_t at = home_of(key, room);
	const void *found;

	while ((found = key_of(slot_at(slots, size, at))) && found != key)
		at = (at + 1) & (room - 1);
	return slot_at(slots, size, at);
}

void ctask_slots_free(void *slots, size_t size, uint32_t room, void *slot)
{
	uint32_t hole = (uint32_t)((size_t)((char *)slot - (char *)slots) / size);
	const void *key;

	memset(slot, 0, size);
	for (uint32_t at = (hole + 1) & (room - 1); (key = key_of(slot_at(slots, size, at)));
	     at = (at + 1) & (room - 1)) {
		uint32_t home = home_of(key, room);

		if (((at - home) & (room - 1)) < ((at - hole) & (room - 1)))
			continue;
		memcpy(slot_at(slots, size, hole), slot_at(slots, size, at), size);
		memset(slot_at(slots, size, at), 0, size);
		hole = at;
	}
}

void *ctask_reserve(size_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return at == MAP_FAILED ? NULL : at;
}
