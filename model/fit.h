/* fit.h - a history beside the tasks of a snapshot: what in it is about them, as it was at that instant. */
#ifndef CTASK_MODEL_FIT_H
#define CTASK_MODEL_FIT_H

#include "model/cancellation.h"
#include "model/snapshot.h"

/*
 * The two are never of the same instant: a history is read some time after the
 * snapshot was taken. And an address of a task is used again after its end.
 */

/**
 * Put into @p history the births of @p other (may be the same): where tasks of @p snap were made that
 * were there when it was taken. Births that @p history had are forgotten. 0 or -ENOMEM.
 */
int ctask_fit_births(struct ctask_history *history, const struct ctask_snapshot *snap,
		     const struct ctask_history *other);

/**
 * Cut the history of @p snap down to what is about its tasks: requests that were
 * made of them before the snapshot was taken, and those that brought these about.
 * A request that ended later is pending again, as it was then. One that was made of a
 * task which had the address before is dropped: that is known by the birth of
 * the one that has it, or, where that was not recorded, supposed of all that are not open.
 * Then as ctask_fit_link(). May be done again when there are fewer tasks.
 */
int ctask_fit_history(struct ctask_snapshot *snap);

/**
 * A recording that ended before the snapshot was taken: what @p history has as open may have ended since. It stays open
 * only where the task is certainly the same: its address, name and coroutine are, and the name is one that
 * asyncio gives once ("Task-7"), or the task itself counts a request.
 */
void ctask_fit_past(struct ctask_history *history, const struct ctask_snapshot *snap);

/** Fill in the tasks' request and open_requests, from the history of @p snap as it is. 0 or -ENOMEM. */
int ctask_fit_link(struct ctask_snapshot *snap);

/**
 * What @p history has as pending is settled when a step of the task ends. Where @p snap, which was taken
 * before the history was read, shows a task in the middle of a step, at a request no
 * more: it has swallowed it.
 */
void ctask_fit_running(struct ctask_history *history, const struct ctask_snapshot *snap);

/** True when the task that @p item was made of has not ended it yet: it stops, or goes on all the same. */
bool ctask_request_is_open(const struct ctask_cancellation *item);

#endif
