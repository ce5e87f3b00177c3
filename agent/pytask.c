/* pytask.c - the tasks that asyncio has in Python, beside those in C. */
#include "agent/pytask.h"

#include <stdint.h>

#include "agent/cancel.h"
#include "agent/guest.h"
#include "agent/portable.h"
#include "agent/python.h"
#include "agent/requests.h"

/*
 * A function object has a pointer to what a call of it runs (vectorcall, 3.8
 * on). Replaced, the function looks and is as before. Only 3.11 runs a
 * function's code without a look at that pointer, when Python code calls it: there the class gets a
 * method written in C in its place.
 */

typedef struct py_object *(*vectorcall)(struct py_object *callable, struct py_object *const *args,
					size_t nargsf, struct py_object *kwnames);

#define ARGUMENTS_OFFSET ((size_t)1 << 63) /* PY_VECTORCALL_ARGUMENTS_OFFSET */

enum hooked { CANCEL, UNCANCEL, CANCELLING, STEP, WAKEUP, HOOKED };

static struct {
	struct py_object *function;
	vectorcall before;
} functions[HOOKED];

static struct py_object *pass_on(enum hooked which, struct py_object *const *args, size_t nargsf,
				 struct py_object *kwnames)
{
	return functions[which].before(functions[which].function, args, nargsf, kwnames);
}

/* The task whose method is called; NULL when the call is not as it should be. */
static struct py_object *task_of(struct py_object *const *args, size_t nargsf)
{
	return nargsf & ~ARGUMENTS_OFFSET && ctask_guest_ready() ? args[0] : NULL;
}

static struct py_object *call_cancel(struct py_object *callable, struct py_object *const *args,
				     size_t nargsf, struct py_object *kwnames)
{
	struct py_object *task = task_of(args, nargsf), *result;
	size_t nargs = nargsf & ~ARGUMENTS_OFFSET;
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

/* --- 3.11: methods in C --- */

enum { SELF_AND_MSG = 3, CALLS_SKIP_POINTER = 11 };

/* Put the task back in front of the arguments. */
static struct py_object *with_self(vectorcall call, struct py_object *self,
				   struct py_object *const *args, int64_t nargs,
				   struct py_object *kwnames)
{
	struct py_object *all[SELF_AND_MSG] = { self };
	int64_t count = nargs + (kwnames ? ctask_py.PyTuple_Size(kwnames) : 0);

	if (count > SELF_AND_MSG - 1) /* too many: the function says so itself */
		count = nargs = SELF_AND_MSG - 1, kwnames = NULL;
	for (int64_t i = 0; i < count; i++)
		all[i + 1] = args[i];
	return call(NULL, all, (size_t)nargs + 1, kwnames);
}

static struct py_object *method_cancel(struct py_object *self, struct py_object *const *args,
				       int64_t nargs, struct py_object *kwnames)
{
	return with_self(call_cancel, self, args, nargs, kwnames);
}

static struct py_object *method_uncancel(struct py_object *self, struct py_object *unused)
{
	(void)unused;
	return call_uncancel(NULL, &self, 1, NULL);
}

static struct py_object *method_cancelling(struct py_object *self, struct py_object *unused)
{
	(void)unused;
	return call_cancelling(NULL, &self, 1, NULL);
}

static struct py_method_def methods[] = {
	[CANCEL] = { "cancel", (void *)method_cancel, PY_METH_FASTCALL | PY_METH_KEYWORDS, NULL },
	[UNCANCEL] = { "uncancel", (void *)method_uncancel, PY_METH_NOARGS, NULL },
	[CANCELLING] = { "cancelling", (void *)method_cancelling, PY_METH_NOARGS, NULL },
};

static void replace_method(struct py_object *type, enum hooked which)
{
	struct py_object *(*make)(struct py_object *, struct py_method_def *) =
		(struct py_object * (*)(struct py_object *, struct py_method_def *))(
			uintptr_t)dlsym(RTLD_DEFAULT, "PyDescr_NewMethod");
	int (*set)(struct py_object *, const char *, struct py_object *) =
		(int (*)(struct py_object *, const char *, struct py_object *))(
			uintptr_t)dlsym(RTLD_DEFAULT, "PyObject_SetAttrString");
	struct py_object *method = make && set ? make(type, &methods[which]) : NULL;

	if (!method || set(type, methods[which].name, method))
		ctask_py.PyErr_Clear();
	if (method)
		ctask_py.Py_DecRef(method);
}

/* --- all versions --- */

static void replace_call(struct py_object *function, vectorcall call)
{
	void (*set)(struct py_object *, vectorcall) = /* 3.12 on */
		(void (*)(struct py_object *, vectorcall))(
			uintptr_t)dlsym(RTLD_DEFAULT, "PyFunction_SetVectorcall");
	int64_t offset = (int64_t)(uintptr_t)function->type->slots_1[0];

	if (set)
		set(function, call);
	else
		memcpy((char *)function + offset, &call, sizeof(call));
}

static void hook(struct py_object *type, enum hooked which, const char *name, vectorcall call)
{
	struct py_type *function_type = dlsym(RTLD_DEFAULT, "PyFunction_Type");
	struct py_object *function = ctask_py.PyObject_GetAttrString(type, name);
	int64_t offset;

	if (!function) {
		ctask_py.PyErr_Clear();
		return;
	}
	if (!function_type || function->type != function_type) {
		ctask_py.Py_DecRef(function);
		return;
	}
	offset = (int64_t)(uintptr_t)function_type->slots_1[0];
	if (offset <= 0 || offset > function_type->basicsize - (int64_t)sizeof(call)) {
		ctask_py.Py_DecRef(function);
		return;
	}
	functions[which].function = function; /* kept for good */
	memcpy(&functions[which].before, (char *)function + offset, sizeof(vectorcall));
	if (ctask_py.layout.minor == CALLS_SKIP_POINTER && which <= CANCELLING)
		replace_method(type, which);
	else
		replace_call(function, call);
}

void ctask_pytask_hook(void)
{
	static bool hooked;
	struct py_object *type = ctask_python_module_item("asyncio.tasks", "_PyTask");

	if (hooked || !type)
		return;
	hooked = true;
	hook(type, CANCEL, "cancel", call_cancel);
	hook(type, UNCANCEL, "uncancel", call_uncancel);
	hook(type, CANCELLING, "cancelling", call_cancelling);
	hook(type, STEP, "_Task__step", call_step);
	hook(type, WAKEUP, "_Task__wakeup", call_wakeup);
}
