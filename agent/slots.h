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

/**
 * Zeroed memory, or NULL; munmap() gives it back. Not malloc(): the program's allocator may be in the middle of
 * something. Pages are taken only when they are used.
 */
void *ctask_reserve(size_t bytes);

#endif
