/* cancel.h - one call of cancel(): what is known when it is made. */
#ifndef CTASK_AGENT_CANCEL_H
#define CTASK_AGENT_CANCEL_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/python.h"

/** A cancel() that is under way in this thread. */
struct ctask_call {
	struct ctask_call *outer; /**< the one that this one was made inside of */
	uint64_t id;		  /**< its record; 0 = none */
	struct py_object *target;
	const char *frame; /**< the frame that made it */
};

/**
 * @p target is about to be asked to stop. Records it, as part of the call that
 * is under way in this thread, if there is one. @p message is the argument of cancel(), or NULL.
 * Keeps the error indicator as it is. Needs the GIL.
 */
void ctask_cancel_begin(struct ctask_call *call, struct py_object *target,
			struct py_object *message);
/** It was. @p taken: cancel() returned true; else the record is taken back. */
void ctask_cancel_end(struct ctask_call *call, bool taken);

/** A task calls uncancel(). */
void ctask_cancel_undone(struct py_object *task);
/** A task calls cancelling(): so does a construct that is entered, which is noted with the time. */
void ctask_cancel_entered(void);
/** A task was made in this thread: note where, and by whom. */
void ctask_task_born(struct py_object *task);
/** A task is freed. */
void ctask_task_freed(struct py_object *task);

/** Make room for what this file keeps. 0 or -errno. */
int ctask_cancel_make(void);
/** In a forked child. */
void ctask_cancel_forget(void);

#endif
