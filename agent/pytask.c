/* pytask.c - the tasks that asyncio has in Python, beside those in C. */
#include "agent/pytask.h"

#include "agent/cancel.h"
#include "agent/function.h"
#include "agent/guest.h"
#include "agent/python.h"
#include "agent/requests.h"

enum hooked { CANCEL, UNCANCEL, CANCELLING, STEP, WAKEUP, INIT, HOOKED };

static struct ctask_function functions[HOOKED];

static struct py_object *pass_on(enum hooked which, struct py_object *const *args, size_t nargsf,
				 struct py_object *kwnames)
{
	return ctask_function_call(&functions[which], args, nargsf, kwnames);
}

/* The task whose method is called; NULL when the call is not as it should be. */
static struct py_object *task_of(struct py_object *const *args, size_t nargsf)
{
	return ctask_function_arguments(nargsf) && ctask_guest_ready() ? args[0] : NULL;
}

static struct py_object *call_cancel(struct py_object *callable, struct py_object *const *args,
				     size_t nargsf, struct py_object *kwnames)
{
	struct py_object *task = task_of(args, nargsf), *result;
	size_t nargs = ctask_function_arguments(nargsf);
	struct ctask_call call;

	(void)callable;
	if (!task)
		return pass_on(CANCEL, args, nargsf, kwnames);
	ctask_cancel_begin(&call, task, nargs > 1 || kwnames ? args[1] : NULL);
	result = pass_on(CANCEL, args, nargsf, kwnames);
	ctask_cancel_end(&call, result == ctask_py.py_true);
	return result;
}

static struct py_object *call_uncancel(struct py_object *callable, struct py_object *const *args,
				       size_t nargsf, struct py_object *kwnames)
{
	struct py_object *task = task_of(args, nargsf);

	(void)callable;
	if (task)
		ctask_cancel_undone(task);
	return pass_on(UNCANCEL, args, nargsf, kwnames);
}

static struct py_object *call_cancelling(struct py_object *callable, struct py_object *const *args,
					 size_t nargsf, struct py_object *kwnames)
{
	(void)callable;
	if (task_of(args, nargsf))
		ctask_cancel_entered();
	return pass_on(CANCELLING, args, nargsf, kwnames);
}

static struct py_object *step(enum hooked which, struct py_object *const *args, size_t nargsf,
			      struct py_object *kwnames)
{
	struct py_object *task = ctask_requests_tasks ? task_of(args, nargsf) : NULL, *result;

	if (task) {
		ctask_py.Py_IncRef(task); /* nobody tells when it is freed */
		ctask_requests_step(task);
	}
	result = pass_on(which, args, nargsf, kwnames);
	if (task) {
		ctask_requests_settle(task);
		ctask_py.Py_DecRef(task);
	}
	return result;
}

static struct py_object *call_step(struct py_object *callable, struct py_object *const *args,
				   size_t nargsf, struct py_object *kwnames)
{
	(void)callable;
	return step(STEP, args, nargsf, kwnames);
}

static struct py_object *call_wakeup(struct py_object *callable, struct py_object *const *args,
				     size_t nargsf, struct py_object *kwnames)
{
	(void)callable;
	return step(WAKEUP, args, nargsf, kwnames);
}

/* Nobody tells when such a task is freed: what was open at its address ends when the next one is made there. */
static struct py_object *call_init(struct py_object *callable, struct py_object *const *args,
				   size_t nargsf, struct py_object *kwnames)
{
	struct py_object *task = ctask_requests_tasks ? task_of(args, nargsf) : NULL;

	(void)callable;
	if (task)
		ctask_requests_gone(task);
	return pass_on(INIT, args, nargsf, kwnames);
}

void ctask_pytask_hook(void)
{
	static bool hooked;
	struct py_object *type = ctask_python_module_item("asyncio.tasks", "_PyTask");

	if (hooked || !type)
		return;
	hooked = true;
	ctask_function_hook(&functions[CANCEL], type, "cancel", call_cancel,
			    CTASK_CALLED_BY_PYTHON);
	ctask_function_hook(&functions[UNCANCEL], type, "uncancel", call_uncancel,
			    CTASK_CALLED_BY_PYTHON);
	ctask_function_hook(&functions[CANCELLING], type, "cancelling", call_cancelling,
			    CTASK_CALLED_BY_PYTHON);
	ctask_function_hook(&functions[STEP], type, "_Task__step", call_step, CTASK_CALLED_BY_C);
	ctask_function_hook(&functions[WAKEUP], type, "_Task__wakeup", call_wakeup,
			    CTASK_CALLED_BY_C);
	ctask_function_hook(&functions[INIT], type, "__init__", call_init, CTASK_CALLED_BY_C);
}
