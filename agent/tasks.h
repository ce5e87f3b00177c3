/* tasks.h - asyncio's tasks as the hooks see them, written in C or in Python. */
#ifndef CTASK_AGENT_TASKS_H
#define CTASK_AGENT_TASKS_H

#include <stdbool.h>

#include "agent/frames.h"
#include "agent/python.h"
#include "agent/text.h"
#include "model/asked.h"

/* All need the GIL. References are borrowed unless it says otherwise. */

/** Learn what to look for: asyncio's types. 0, or -EAGAIN when asyncio is not imported yet. */
int ctask_tasks_meet(void);

/** True for a task of the type that is written in C, or of one derived from it. */
bool ctask_task_is_c(const struct py_object *task);
/** Whether it is done, and how. */
enum ctask_ending ctask_task_ending(struct py_object *task);
/** Its coroutine, or NULL. */
struct py_object *ctask_task_coro(struct py_object *task);
/** Its name; @p copy as in ctask_text_borrow(). */
struct ctask_text_bytes ctask_task_name(struct py_object *task, char *copy, size_t room);
/** True when it was asked to stop and that was not taken back, by its own count (3.11 on); else unknown: false. */
bool ctask_task_is_cancelling(struct py_object *task);
/** The future or task that it waits for, or NULL. */
struct py_object *ctask_task_waits_for(struct py_object *task);
/** True when a request was made that its coroutine has not seen yet. */
bool ctask_task_undelivered(struct py_object *task);

/** The task that runs in this thread, or NULL; *ret_loop is the loop that runs in it, or NULL. */
struct py_object *ctask_task_now(struct py_object **ret_loop);

/** The loop of a task: its id. */
struct py_object *ctask_task_loop(struct py_object *task);

/** True for a CancelledError. */
bool ctask_is_cancelled_error(struct py_object *exception);
/** True when @p is_it says so of it, or of an exception in whose handling it was raised. */
bool ctask_stems_from(struct py_object *exception, bool (*is_it)(struct py_object *));
/** The same for a CancelledError. */
bool ctask_stems_from_cancel(struct py_object *exception);

/**
 * True when the suspended @p task is still busy with a CancelledError: one of its
 * frames is handling it, or a frame of asyncio keeps it in a variable to raise it later.
 */
bool ctask_task_handles_cancel(struct py_object *task);

#endif
