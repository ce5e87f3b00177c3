/* slots.h - tables whose keys are addresses: where a key is, and what moves when one goes. */
#ifndef CTASK_AGENT_SLOTS_H
#define CTASK_AGENT_SLOTS_H

#include <stddef.h>
#include <stdint.h>

/*
 * Open addressing. A slot is any struct that begins with a pointer, its key; NULL: it is
 * free. The number of slots is a power of two, and at least one is free.
 */

/** The slot of @p key among @p room slots of @p size bytes, or the free one where it would go. */
void *ctask_slots_find(void *slots, size_t size, uint32_t room, const void *key);
/** Free @p slot, and move back those that had to go further because of it. */
void ctask_slots_free(void *slots, size_t size, uint32_t room, void *slot);

/*
 * A table of what is recent: each key has a few places, and a new one takes that of the oldest
 * there. Nobody need say when a key is done with, and one is lost only where its places are short.
 */
struct ctask_recent {
	const void *key; /* NULL: free */
	double at;	 /* monotonic clock, seconds */
};

/** The slot of @p key, or NULL. A slot begins with a struct ctask_recent; @p room is a power of two, 8 or more. */
void *ctask_recent_find(void *slots, size_t size, uint32_t room, const void *key);
/** The slot that @p key has or takes now; the caller fills it, from its head on. */
void *ctask_recent_take(void *slots, size_t size, uint32_t room, const void *key);

/**
 * Zeroed memory, or NULL; munmap() gives it back. Not malloc(): the program's allocator may be in the middle of
 * something. Pages are taken only when they are used.
 */
void *ctask_reserve(size_t bytes);

#endif
