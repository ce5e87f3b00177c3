/* recent.h - tables of what is recent, by address: when a block was entered, and what is known of it. */
#ifndef CTASK_MODEL_RECENT_H
#define CTASK_MODEL_RECENT_H

#include <stddef.h>
#include <stdint.h>

/*
 * Each key has a few places, and a new one takes that of the oldest there. Nobody need say when a
 * key is done with, and one is lost only where its places are short.
 */
struct ctask_recent {
	uint64_t key; /* an address; 0: free */
	double at;    /* monotonic clock, seconds */
};

/** The slot of @p key, or NULL. A slot begins with a struct ctask_recent; @p room is a power of two, 8 or more. */
void *ctask_recent_find(void *slots, size_t size, uint32_t room, uint64_t key);
/** The slot that @p key has or takes now; the caller fills it, from its head on. */
void *ctask_recent_take(void *slots, size_t size, uint32_t room, uint64_t key);

#endif
