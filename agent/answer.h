/* answer.h - answers that take their time are found by a thread that lives for one of them. */
#ifndef CTASK_AGENT_ANSWER_H
#define CTASK_AGENT_ANSWER_H

#include <ctask/history.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/descriptor.h"

/*
 * One at a time. The reader, and what it needs of libraries, comes into the process
 * with the first of them: libctask-agent-tree.so, opened so that nothing of it is
 * seen by the program.
 */

/** Note where this library lies: before the program can change its directory. */
void ctask_answer_locate(void);

/**
 * Have @p request (a line of the protocol) answered. Returns the number of the job, from 1 on, or
 * -EBUSY while there is another one, or -errno.
 */
int64_t ctask_answer_begin(const char *request, const struct ctask_history_header *history);
/** A descriptor that becomes readable when the answer is there; -1 when none is awaited. */
int ctask_answer_wakes(void);

struct ctask_answer_result {
	uint32_t job;
	int error;	  /**< 0 or -errno */
	const char *text; /**< why, for people; good until the next job */
	uint64_t bytes, dropped;
	struct ctask_own data; /**< the caller closes it */
};
/** True when the answer, or its failure, is there; then another one may begin. */
bool ctask_answer_end(struct ctask_answer_result *ret_result);

/** Python has begun to end: from now on an answer must do without its lock. */
void ctask_answer_hold_no_more(void);

/** In a forked child: whatever was asked for is not. Async-signal-safe. */
void ctask_answer_forget(bool close_files);

#endif
