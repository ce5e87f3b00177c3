/* level.h - what cancels by level: scopes that were cancelled, and the requests that they keep making. */
#ifndef CTASK_AGENT_LEVEL_H
#define CTASK_AGENT_LEVEL_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/history.h"

/*
 * A request is of one task and one scope. It is open until the task has left the
 * scope, or is done. Tasks and scopes are addresses here, nothing of them is read. All need the GIL of the
 * main interpreter.
 */

/** Make room for as many requests as the history holds. 0 or -errno. */
int ctask_level_make(uint32_t room);
/** In a forked child. */
void ctask_level_forget(void);

/** Number of tasks with open requests: while it is 0 nothing need be looked for. */
extern uint32_t ctask_level_tasks;

/** True when @p task has open requests. */
bool ctask_level_is_asked(const void *task);
/** The open request of @p scope to @p task, or 0. */
uint64_t ctask_level_find(const void *task, const void *scope);
/** The newest open request to @p task that was raised in it, or 0. */
uint64_t ctask_level_raised_last(const void *task);
/** Record @p id, which was just put, is the request of @p scope to @p task. The caller holds the lock. */
void ctask_level_add(const void *task, const void *scope, uint64_t id);
/** The exception of request @p id is raised in @p task: after the first time, again. */
void ctask_level_raised(uint64_t id);
/** @p task leaves the block of @p scope: its request is absorbed. */
void ctask_level_absorb(const void *task, const void *scope);
/** @p task is done: so are all requests to it. */
void ctask_level_finish(const void *task, enum ctask_outcome outcome);

/** One scope's cancellation, for those who come to stand in it, now or later. */
struct ctask_level_call {
	const void *scope;
	uint64_t number;    /**< of those that are kept later ones have greater numbers */
	const void *leaves; /**< a task that it does not ask: it is on its way out; or NULL */
	struct ctask_record
		record; /**< as of a task that the scope holds by itself; the target is empty */
};

/** The cancellation of @p scope, or NULL where it is not known. */
struct ctask_level_call *ctask_level_call_of(const void *scope);
/** Keep it, or what is known of its scope by now; where there is no room, calls of long ago give way. */
void ctask_level_call_put(const struct ctask_level_call *call);
/** @p scope is left, or another one begins at its address. */
void ctask_level_call_forget(const void *scope);

/**
 * The block of @p scope is entered now. @p construct: what the user wrote, where the scope is that of
 * something else, such as a task group; or NULL. @p through: what that is.
 */
void ctask_level_enter(const void *scope, const void *construct, enum ctask_through through);
/** It was the library that entered it, for itself. */
void ctask_level_is_own(const void *scope);
bool ctask_level_owned(const void *scope);
/** It is left. */
void ctask_level_leave(const void *scope);
/** What the user wrote for @p scope: NULL where that is itself. It may be gone by now. *ret_through: what it is. */
const void *ctask_level_construct(const void *scope, enum ctask_through *ret_through);
/** When it was, on the monotonic clock; NAN when that is not known. */
double ctask_level_entered_at(const void *scope);

#endif
