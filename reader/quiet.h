/* quiet.h - proof that a process did not run meanwhile. */
#ifndef CTASK_READER_QUIET_H
#define CTASK_READER_QUIET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/**
 * Watches the threads of a process. What all of them have done so far is a
 * token: when every thread sleeps and two tokens are equal, none of them ran
 * between the two. Costs about 0.05 ms for each thread.
 */
struct ctask_quiet;

enum { CTASK_QUIET_LEFT_OUT_MAX = 4 };

struct ctask_token {
	bool asleep;	 /**< every thread slept, was stopped, or has ended */
	uint64_t digest; /**< of each thread's id and counts of context switches */
	uint32_t threads;
};

/** NULL when out of memory. */
struct ctask_quiet *ctask_quiet_create(pid_t pid);
/** NULL is fine. */
void ctask_quiet_destroy(struct ctask_quiet *quiet);
/**
 * Leave the threads @p tids out of all: of a process that looks at itself, those
 * that look. At most CTASK_QUIET_LEFT_OUT_MAX; more are not left out.
 */
void ctask_quiet_leave_out(struct ctask_quiet *quiet, const int *tids, uint32_t count);
/** -EOWNERDEAD when the process has ended. */
int ctask_quiet_token(struct ctask_quiet *quiet, struct ctask_token *ret_token);

/** True when nothing ran between the taking of @p a and that of @p b. */
static inline bool ctask_quiet_between(const struct ctask_token *a, const struct ctask_token *b)
{
	return a->asleep && b->asleep && a->digest == b->digest && a->threads == b->threads;
}

#endif
