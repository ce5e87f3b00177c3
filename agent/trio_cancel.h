/* trio_cancel.h - a scope's cancellation, and the tasks that it comes to cover: from what is known to records. */
#ifndef CTASK_AGENT_TRIO_CANCEL_H
#define CTASK_AGENT_TRIO_CANCEL_H

#include <stdbool.h>

#include "agent/python.h"

/* All need the GIL, run no Python code of the program's, and leave no error set that was not. */

/**
 * @p scope, which nobody has entered yet, is cancelled now: keep who does it, and why. @p explicitly: by a
 * call of cancel() that is not on the stack yet.
 */
void ctask_trio_cancelled_early(struct py_object *scope, bool explicitly);
/** The scope of @p status was cancelled, or a shield was taken away: record whom in it that has come to cover. */
void ctask_trio_cover(struct py_object *status);
/** The same, of @p task alone. */
void ctask_trio_cover_task(struct py_object *task);
/**
 * The open requests of the cancelled scopes that @p task stands in: at most @p room ids, from the
 * inside out. Returns how many.
 */
int ctask_trio_requests(struct py_object *task, uint64_t *ids, int room);
/** Ctrl-C: the main task of @p runner, in whatever it is, is to be interrupted. */
void ctask_trio_interrupted(struct py_object *runner);
/** The block of @p scope is entered. */
void ctask_trio_entered(const struct py_object *scope);
/** The block of @p scope is left, or entered: what is known of one at its address is past. */
void ctask_trio_forget_scope(const struct py_object *scope);

#endif
