/* trio_hooks.c - the functions of trio that the agent puts its own before. */
#include "agent/trio_hooks.h"

#include <math.h>

#include "agent/function.h"
#include "agent/guest.h"
#include "agent/frames.h"
#include "agent/level.h"
#include "agent/trio.h"
#include "agent/trio_cancel.h"

/*
 * A scope that is cancelled asks all tasks in it (recalculate), and each one that comes to stand in
 * it (_attempt_delivery_of_any_pending_cancel, called also when a task has run and waits). What it asks
 * ends when its block does (_close), or with the task (task_exited). All are plain functions in every version.
 */

enum hooked { ATTEMPT, RECALCULATE, CANCEL, CLOSE, EXITED, INTERRUPT, HOOKED };

enum { REQUESTS_AT_ONCE = 8 };

static struct ctask_function functions[HOOKED];
static const struct py_object *activate_code; /* of Task._activate_cancel_status */
static bool hooks_cancel; /* cancel() itself: there is no _cancel() that it calls */

/* The object whose method is called; NULL when the call is not as it should be. */
static struct py_object *self_of(struct py_object *const *args, size_t nargsf)
{
	return ctask_function_arguments(nargsf) && ctask_guest_records() ? args[0] : NULL;
}

/* Errors that were set stay set round what the agent does. */
struct error {
	struct py_object *type, *value, *traceback;
};

static struct error put_aside(void)
{
	struct error error;

	ctask_py.PyErr_Fetch(&error.type, &error.value, &error.traceback);
	return error;
}

static void put_back(struct error error)
{
	ctask_py.PyErr_Restore(error.type, error.value, error.traceback);
}

/* --- _attempt_delivery_of_any_pending_cancel: of each task, after each of its steps --- */

static bool enters_or_leaves(void)
{
	struct ctask_seen seen;

	return ctask_frame_see(ctask_frame_now(), &seen) && seen.code == activate_code;
}

static struct py_object *attempt(struct py_object *task, struct py_object *const *args,
				 size_t nargsf, struct py_object *kwnames)
{
	uint64_t ids[REQUESTS_AT_ONCE];
	struct py_object *result;
	struct error error = put_aside();
	bool waits;
	int count;

	if (enters_or_leaves())
		ctask_trio_cover_task(task);
	waits = ctask_trio_get(task, CTASK_TASK_ABORT) != NULL;
	count = waits ? ctask_trio_requests(task, ids, REQUESTS_AT_ONCE) : 0;
	put_back(error);
	result = ctask_function_call(&functions[ATTEMPT], args, nargsf, kwnames);
	error = put_aside();
	if (count && ctask_trio_get(task, CTASK_TASK_NEXT)) /* it is to go on with Cancelled */
		for (int i = 0; i < count; i++)
			ctask_level_raised(ids[i]);
	put_back(error);
	return result;
}

static struct py_object *call_attempt(struct py_object *callable, struct py_object *const *args,
				      size_t nargsf, struct py_object *kwnames)
{
	struct py_object *task = self_of(args, nargsf);
	struct py_object *status = task ? ctask_trio_get(task, CTASK_TASK_STATUS) : NULL;

	(void)callable;
	if (!status || !ctask_trio_is(status, CTASK_STATUS_CANCELLED))
		return ctask_function_call(&functions[ATTEMPT], args, nargsf, kwnames);
	return attempt(task, args, nargsf, kwnames);
}

/* --- recalculate: when a scope is entered, is cancelled, or loses its shield --- */

static int64_t size_of(struct py_object *status, enum ctask_trio_field field)
{
	struct py_object *set = ctask_trio_get(status, field);

	return py_is(set, ctask_py.PySet_Type) ? ctask_py.PySet_Size(set) : 0;
}

static void see_status(struct py_object *status)
{
	struct py_object *scope = ctask_trio_get(status, CTASK_STATUS_SCOPE);
	struct py_object *outer = ctask_trio_get(status, CTASK_STATUS_PARENT);
	bool is_cancelled = scope && ctask_trio_is(scope, CTASK_SCOPE_CALLED);

	if (!scope)
		return;
	if (!size_of(status, CTASK_STATUS_TASKS) && !size_of(status, CTASK_STATUS_CHILDREN)) {
		ctask_trio_entered(scope);
		if (!is_cancelled)
			ctask_trio_forget_scope(scope);
		return;
	}
	if (is_cancelled || (outer && !ctask_trio_is(scope, CTASK_SCOPE_SHIELD) &&
			     ctask_trio_is(outer, CTASK_STATUS_CANCELLED)))
		ctask_trio_cover(status);
}

static struct py_object *call_recalculate(struct py_object *callable, struct py_object *const *args,
					  size_t nargsf, struct py_object *kwnames)
{
	struct py_object *status = self_of(args, nargsf);
	struct error error;

	(void)callable;
	if (status) {
		error = put_aside();
		see_status(status);
		put_back(error);
	}
	return ctask_function_call(&functions[RECALCULATE], args, nargsf, kwnames);
}

/* --- cancel: of a scope that is not entered yet --- */

static void see_cancel(struct py_object *scope)
{
	struct py_object *when = ctask_trio_get(scope, CTASK_SCOPE_DEADLINE);

	if (ctask_trio_is(scope, CTASK_SCOPE_CALLED))
		return;
	/* Before minus infinity there is nothing: so trio checks whether anything is cancelled. */
	if (ctask_trio_get(scope, CTASK_SCOPE_STATUS) ||
	    (when && ctask_python_seconds(when) == -INFINITY))
		ctask_trio_forget_scope(scope);
	else
		ctask_trio_cancelled_early(scope, hooks_cancel);
}

static struct py_object *call_cancel(struct py_object *callable, struct py_object *const *args,
				     size_t nargsf, struct py_object *kwnames)
{
	struct py_object *scope = self_of(args, nargsf);
	struct error error;

	(void)callable;
	if (scope) {
		error = put_aside();
		see_cancel(scope);
		put_back(error);
	}
	return ctask_function_call(&functions[CANCEL], args, nargsf, kwnames);
}

/* --- _close: a task leaves the block of a scope --- */

static struct py_object *call_close(struct py_object *callable, struct py_object *const *args,
				    size_t nargsf, struct py_object *kwnames)
{
	struct py_object *scope = self_of(args, nargsf), *task, *result;
	struct error error;

	(void)callable;
	result = ctask_function_call(&functions[CLOSE], args, nargsf, kwnames);
	if (!scope)
		return result;
	error = put_aside();
	task = ctask_level_tasks ? ctask_trio_task_now(NULL) : NULL;
	if (task)
		ctask_level_absorb(task, scope);
	ctask_level_leave(scope);
	ctask_trio_forget_scope(scope);
	put_back(error);
	return result;
}

/* --- task_exited --- */

static void see_end(struct py_object *task, struct py_object *outcome)
{
	struct py_object *failure = ctask_python_lend(outcome, "error");

	ctask_level_finish(task, !failure			    ? CTASK_OUTCOME_RETURNED
				 : ctask_trio_is_cancelled(failure) ? CTASK_OUTCOME_CANCELLED
								    : CTASK_OUTCOME_RAISED);
}

static struct py_object *call_exited(struct py_object *callable, struct py_object *const *args,
				     size_t nargsf, struct py_object *kwnames)
{
	struct error error;

	(void)callable;
	if (ctask_level_tasks && ctask_function_arguments(nargsf) == 3 && self_of(args, nargsf)) {
		error = put_aside();
		see_end(args[1], args[2]);
		put_back(error);
	}
	return ctask_function_call(&functions[EXITED], args, nargsf, kwnames);
}

/* --- deliver_ki: inside of the handler of SIGINT --- */

static struct py_object *call_interrupt(struct py_object *callable, struct py_object *const *args,
					size_t nargsf, struct py_object *kwnames)
{
	struct py_object *runner = self_of(args, nargsf);
	struct error error;

	(void)callable;
	if (runner) {
		error = put_aside();
		ctask_trio_interrupted(runner);
		put_back(error);
	}
	return ctask_function_call(&functions[INTERRUPT], args, nargsf, kwnames);
}

static const struct py_object *code_of(struct py_object *type, const char *name)
{
	struct py_object *function = ctask_py.PyObject_GetAttrString(type, name), *code = NULL;

	if (function)
		code = ctask_py.PyObject_GetAttrString(function, "__code__");
	if (function)
		ctask_py.Py_DecRef(function);
	if (!code)
		ctask_py.PyErr_Clear();
	return code; /* kept for good */
}

void ctask_trio_hooks_install(void)
{
	static const struct {
		const char *type, *name;
		py_vectorcall call;
		enum hooked which;
	} all[] = {
		{ "Task", "_attempt_delivery_of_any_pending_cancel", call_attempt, ATTEMPT },
		{ "CancelStatus", "recalculate", call_recalculate, RECALCULATE },
		{ "CancelScope", "_close", call_close, CLOSE },
		{ "Runner", "task_exited", call_exited, EXITED },
		{ "Runner", "deliver_ki", call_interrupt, INTERRUPT },
		/* One of these two: all that cancels comes by the inner one, where there is one. */
		{ "CancelScope", "_cancel", call_cancel, CANCEL },
		{ "CancelScope", "cancel", call_cancel, CANCEL },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct py_object *type = ctask_python_module_item("trio._core._run", all[i].type);

		if (!type || functions[all[i].which].function)
			continue;
		hooks_cancel = !strcmp(all[i].name, "cancel");
		ctask_function_hook(&functions[all[i].which], type, all[i].name, all[i].call,
				    CTASK_CALLED_BY_PYTHON);
		if (all[i].which == ATTEMPT)
			activate_code = code_of(type, "_activate_cancel_status");
	}
}
