/* asking.h - how far a request to stop a task has come: what its memory and an agent's history tell together. */
#ifndef CTASK_ANALYSIS_ASKING_H
#define CTASK_ANALYSIS_ASKING_H

#include "model/cancellation.h"
#include "model/snapshot.h"

enum ctask_stop {
	CTASK_STOP_NONE,
	CTASK_STOP_PENDING,   /**< made, and not delivered yet */
	CTASK_STOP_HANDLED,   /**< delivered: the task cleans up */
	CTASK_STOP_OPEN,      /**< made, by the history; memory does not tell how far it has come */
	CTASK_STOP_SWALLOWED, /**< the task went on without it, by the history */
	CTASK_STOP_PAST, /**< delivered once, and the task goes on: by memory alone, and often as it should */
};

struct ctask_asking {
	enum ctask_stop stop;
	uint32_t times; /**< it was asked and has not ended; 0 = not known */
	/* NULL where the history does not tell: */
	const struct ctask_cancellation *item; /**< the request */
	const struct ctask_cancellation
		*cause; /**< the first of those that brought it about: tells why */
};

/**
 * Where both sides tell something, memory says whether a request was delivered,
 * and the history whether there is one at all. A request that was taken back is none.
 */
struct ctask_asking ctask_asking_of(const struct ctask_snapshot *snap,
				    const struct ctask_task *task);

/** How long ago the request was made, in seconds; NAN when not known. */
double ctask_asking_age_s(const struct ctask_snapshot *snap, const struct ctask_asking *asking);
/** How long ago @p task was made, in seconds; NAN when not known. */
double ctask_task_age_s(const struct ctask_snapshot *snap, const struct ctask_task *task);

#endif
