/* cancel.h - one call of cancel(): what is known when it is made. */
#ifndef CTASK_AGENT_CANCEL_H
#define CTASK_AGENT_CANCEL_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/history.h"
#include "agent/python.h"

/** A cancel() that is under way. On the stack of who makes it, where nobody else looks: a greenlet may put that aside. */
struct ctask_call {
	struct py_object *target;
	uint64_t id;	/**< its record; 0 = none */
	uint32_t entry; /**< what others know of it; 0 = nothing */
	uint32_t life;	/**< of the process: a child of fork() has another history */
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

/**
 * A scope that @p host stands in is cancelled now, and will ask those in it: fill @p record with who does it and why,
 * as if @p host were asked. Its target, scope and message are for the caller to fill in.
 */
void ctask_cancel_sketch(struct py_object *host, struct ctask_record *record);

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
