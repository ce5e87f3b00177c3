/* asking.c - how far a request to stop a task has come: what its memory and an agent's history tell together. */
#include "analysis/asking.h"

#include <math.h>

#include "model/fit.h"

/* By the task's own fields. */
static enum ctask_stop stop_in_memory(const struct ctask_task *task)
{
	if (task->cancel_pending)
		return CTASK_STOP_PENDING;
	if (task->cancel_handled)
		return CTASK_STOP_HANDLED;
	return task->cancel_requests > 0 ? CTASK_STOP_PAST : CTASK_STOP_NONE;
}

/* All requests that were ever made of @p task are in the history. */
static bool is_whole(const struct ctask_history *history, const struct ctask_task *task)
{
	return history && history->dropped == 0 && history->unreadable == 0 &&
	       ctask_history_birth(history, task->id);
}

static struct ctask_asking by_memory(const struct ctask_task *task, enum ctask_stop stop)
{
	return (struct ctask_asking){
		.stop = stop,
		.times = stop != CTASK_STOP_NONE && task->cancel_requests > 0
				 ? (uint32_t)task->cancel_requests
				 : 0,
	};
}

struct ctask_asking ctask_asking_of(const struct ctask_snapshot *snap,
				    const struct ctask_task *task)
{
	const struct ctask_history *history = snap->history;
	const enum ctask_stop stop = stop_in_memory(task);
	const struct ctask_cancellation *item, *root;
	struct ctask_asking asking = { .stop = CTASK_STOP_NONE };

	if (task->state == CTASK_DONE)
		return asking;
	if (!history || task->request >= history->count) {
		/* It handles a CancelledError of something that it waited for. */
		if (stop == CTASK_STOP_HANDLED && is_whole(history, task))
			return asking;
		return by_memory(task, stop);
	}
	item = &history->items[task->request];
	if (!ctask_request_is_open(item) ||
	    (item->outcome == CTASK_OUTCOME_SWALLOWED && stop == CTASK_STOP_PENDING)) {
		/* A request that is not in the history yet, or any more. */
		if (stop == CTASK_STOP_PENDING ||
		    (stop == CTASK_STOP_HANDLED && !is_whole(history, task)))
			return by_memory(task, stop);
		return asking;
	}
	root = ctask_history_find(history, item->root);
	asking = (struct ctask_asking){
		.stop = item->outcome == CTASK_OUTCOME_SWALLOWED ? CTASK_STOP_SWALLOWED
			: stop == CTASK_STOP_PENDING || stop == CTASK_STOP_HANDLED
				? stop
				: CTASK_STOP_OPEN,
		.times = task->open_requests,
		.item = item,
		.cause = root ? root : item,
	};
	return asking;
}

static double age_s(const struct ctask_snapshot *snap, int64_t time_us)
{
	int64_t age_us = snap->capture.captured_at_us - time_us;

	return time_us > 0 && age_us >= 0 ? (double)age_us / 1e6 : NAN;
}

double ctask_asking_age_s(const struct ctask_snapshot *snap, const struct ctask_asking *asking)
{
	return asking->item ? age_s(snap, asking->item->time_us) : NAN;
}

double ctask_task_age_s(const struct ctask_snapshot *snap, const struct ctask_task *task)
{
	const struct ctask_birth_facts *birth =
		snap->history ? ctask_history_birth(snap->history, task->id) : NULL;

	return birth ? age_s(snap, birth->time_us) : NAN;
}
