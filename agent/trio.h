/* trio.h - trio's tasks, scopes and nurseries, and the functions of theirs that the agent puts its own before. */
#ifndef CTASK_AGENT_TRIO_H
#define CTASK_AGENT_TRIO_H

#include <stdbool.h>

#include "agent/python.h"

/* All need the GIL. References are borrowed. */

/** A run of trio begins, or something else that makes an epoll: hook trio, if it is imported and is not hooked yet. */
void ctask_trio_hook(void);
/** Get to know trio's classes. False when it is not imported, or not as it is known. */
bool ctask_trio_meet(void);

/** Attributes of trio's objects that are read, by the class that has them. */
enum ctask_trio_field {
	CTASK_STATUS_SCOPE,
	CTASK_STATUS_TASKS,
	CTASK_STATUS_CHILDREN,
	CTASK_STATUS_PARENT,
	CTASK_STATUS_CANCELLED,
	CTASK_SCOPE_CALLED,
	CTASK_SCOPE_SHIELD,
	CTASK_SCOPE_DEADLINE,
	CTASK_SCOPE_STATUS,
	CTASK_TASK_STATUS,
	CTASK_TASK_NURSERY,
	CTASK_TASK_NURSERIES,
	CTASK_TASK_CORO,
	CTASK_TASK_NAME,
	CTASK_TASK_ABORT,
	CTASK_TASK_NEXT,
	CTASK_TASK_RUNNER,
	CTASK_NURSERY_PARENT,
	CTASK_NURSERY_SCOPE,
	CTASK_NURSERY_STATUS,
	CTASK_TRIO_FIELDS
};

/** NULL also when it is None. Calls no Python code. */
struct py_object *ctask_trio_get(struct py_object *object, enum ctask_trio_field field);
/** Whether it is True. */
bool ctask_trio_is(struct py_object *object, enum ctask_trio_field field);

/** The task that runs in this thread, or NULL. *ret_runs: this thread is inside of a run. */
struct py_object *ctask_trio_task_now(bool *ret_runs);
/** True for trio's Cancelled, and for a group of nothing else. */
bool ctask_trio_is_cancelled(struct py_object *exception);
/** The runner's clock less the monotonic one, seconds; NAN where the clock is none of the system's. */
double ctask_trio_clock_offset(struct py_object *task);

/** How a scope holds a task. */
enum ctask_trio_hold {
	CTASK_TRIO_ENTERED, /**< the task stands in the scope's block */
	CTASK_TRIO_CHILD,   /**< it is a child of the nursery whose scope it is */
	CTASK_TRIO_PASSED   /**< it is a child of one that the scope holds */
};
enum ctask_trio_hold ctask_trio_hold(struct py_object *task, const struct py_object *scope);
/** The task that stands in the block of @p scope, of those in whose nurseries @p task is, itself included; or NULL. */
struct py_object *ctask_trio_host(struct py_object *task, const struct py_object *scope);
/** The task in whose nursery @p task is, or NULL. */
struct py_object *ctask_trio_owner(struct py_object *task);
/** The nursery of @p host whose scope it is, or NULL. */
struct py_object *ctask_trio_nursery(struct py_object *host, const struct py_object *scope);
/** True when @p scope, or one outside of it that no shield keeps off, is what @p task stands in. */
bool ctask_trio_reaches(struct py_object *task, const struct py_object *scope);

#endif
