/* history.h - the shared memory that include/ctask/history.h describes, of this process. */
#ifndef CTASK_AGENT_HISTORY_H
#define CTASK_AGENT_HISTORY_H

#include "model/writer.h"

/*
 * All functions here are plain memory: they call nothing of Python, and
 * allocate nothing once the history stands. One thread at a time: the caller holds
 * the agent's lock.
 */

/** The agent's history; its header is NULL while there is none. */
extern struct ctask_writer ctask_writer;

enum { CTASK_HISTORY_BYTES_DEFAULT = 4 << 20 };

/** Make the history, @p bytes large without births. 0 or -errno. */
int ctask_history_make(size_t bytes, const char *python_version);
/** In a forked child: let go of the parent's. */
void ctask_history_forget(void);

/** False when what was put at @p offset is overwritten, or soon will be. */
bool ctask_side_lasts(uint64_t offset);
/** True when the entry at @p offset, which lasts, is these bytes. */
bool ctask_side_is(uint64_t offset, const void *bytes, size_t len, const char *end);

/* As in model/writer.h, into the agent's history. */

static inline uint64_t ctask_side_put(const void *bytes, size_t len, const char *end)
{
	return ctask_writer_side(&ctask_writer, bytes, len, end);
}

static inline uint32_t ctask_word_put(const char *text, size_t len)
{
	return ctask_writer_word(&ctask_writer, text, len);
}

static inline uint32_t ctask_place_put(const struct ctask_place *place)
{
	return ctask_writer_place(&ctask_writer, place);
}

static inline struct ctask_record *ctask_record_at(uint64_t id)
{
	return ctask_writer_record(&ctask_writer, id);
}

static inline void ctask_record_put(const struct ctask_record *record)
{
	ctask_writer_put(&ctask_writer, record);
}

static inline void ctask_record_take_back(uint64_t id)
{
	if (ctask_writer.header) /* a child of fork() has none yet */
		ctask_writer_take_back(&ctask_writer, id);
}

/** Note a task; returns its slot + 1, or 0 when there is no room. */
uint32_t ctask_birth_put(const struct ctask_birth *birth);
/** Free the slot that ctask_birth_put() returned. */
void ctask_birth_free(uint32_t slot);

/** Microseconds since the epoch. */
int64_t ctask_now_us(void);
/** Seconds of the monotonic clock: the clock of asyncio's loops. */
double ctask_monotonic(void);

#endif
