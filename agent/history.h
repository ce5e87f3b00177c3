/* history.h - write the shared memory that include/ctask/history.h describes. */
#ifndef CTASK_AGENT_HISTORY_H
#define CTASK_AGENT_HISTORY_H

#include <ctask/history.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * All functions here are plain memory: they call nothing of Python, and
 * allocate nothing once the history stands. One thread at a time: the caller holds
 * the agent's lock.
 */

struct ctask_writer {
	struct ctask_history_header *header; /**< NULL while there is none */
	struct ctask_record *records;
	struct ctask_place *places;
	struct ctask_birth *births;
	char *side, *words;
	int fd;
	uint64_t device, inode; /**< of what fd led to */
	uint32_t free_births;	/**< head of the list of free slots + 1 */
};

extern struct ctask_writer ctask_writer;

enum {
	CTASK_HISTORY_BYTES_DEFAULT = 4 << 20,
	CTASK_HISTORY_BYTES_MIN = 256 << 10,
	CTASK_HISTORY_BYTES_MAX = 1 << 30
};

/** Make the history, @p bytes large without births. 0 or -errno. */
int ctask_history_make(size_t bytes, const char *python_version);
/** In a forked child: let go of the parent's. */
void ctask_history_forget(void);

/** Keep @p len bytes, and the text @p end, in the side ring; returns their offset, 0 when they are too long. */
uint64_t ctask_side_put(const void *bytes, size_t len, const char *end);
/** False when what was put at @p offset is overwritten, or soon will be. */
bool ctask_side_lasts(uint64_t offset);
/** True when the entry at @p offset, which lasts, is these bytes. */
bool ctask_side_is(uint64_t offset, const void *bytes, size_t len, const char *end);

/** Keep a text for good and return where; 0 (the empty text) when there is no room. */
uint32_t ctask_word_put(const char *text, size_t len);
/** Keep a place; 0 when there is no room. */
uint32_t ctask_place_put(const struct ctask_place *place);

/** The slot of record @p id, or NULL when it was overwritten. */
struct ctask_record *ctask_record_at(uint64_t id);
/** Fill the slot of @p record->id, which must be the next one. */
void ctask_record_put(const struct ctask_record *record);
/** Take back the newest record, which turned out to be none. */
void ctask_record_take_back(uint64_t id);

/* Change a record in place: between these two. */
void ctask_record_begin(struct ctask_record *record);
void ctask_record_end(struct ctask_record *record);

/** Note a task; returns its slot + 1, or 0 when there is no room. */
uint32_t ctask_birth_put(const struct ctask_birth *birth);
/** Free the slot that ctask_birth_put() returned. */
void ctask_birth_free(uint32_t slot);

/** Microseconds since the epoch. */
int64_t ctask_now_us(void);
/** Seconds of the monotonic clock: the clock of asyncio's loops. */
double ctask_monotonic(void);

#endif
