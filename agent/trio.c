/* trio.c - trio's tasks, scopes and nurseries: what is read of them. */
#include "agent/trio.h"

#include <math.h>

#include "agent/guest.h"
#include "agent/portable.h"
#include "agent/trio_hooks.h"

enum {
	MEMBER_DEF = 40,    /* PyMemberDescrObject.d_member, Include/cpython/descrobject.h */
	MEMBER_OFFSET = 16, /* PyMemberDef.offset */
	DEPTH_MAX = 10000,  /* scopes round a task, owners of nurseries */
	EXCEPTIONS_MAX = 1000,
};

#define RUN "trio._core._run"

/* Of a class with slots the offset is known; of others 0: an attribute is looked up by name. */
static struct field {
	const char *type_name, *name;
	const struct py_type *type;
	struct py_object *text;
	int64_t offset;
} fields[CTASK_TRIO_FIELDS] = {
	[CTASK_STATUS_SCOPE] = { .type_name = "CancelStatus", .name = "_scope" },
	[CTASK_STATUS_TASKS] = { .type_name = "CancelStatus", .name = "_tasks" },
	[CTASK_STATUS_CHILDREN] = { .type_name = "CancelStatus", .name = "_children" },
	[CTASK_STATUS_PARENT] = { .type_name = "CancelStatus", .name = "_parent" },
	[CTASK_STATUS_CANCELLED] = { .type_name = "CancelStatus", .name = "effectively_cancelled" },
	[CTASK_SCOPE_CALLED] = { .type_name = "CancelScope", .name = "_cancel_called" },
	[CTASK_SCOPE_SHIELD] = { .type_name = "CancelScope", .name = "_shield" },
	[CTASK_SCOPE_DEADLINE] = { .type_name = "CancelScope", .name = "_deadline" },
	[CTASK_SCOPE_STATUS] = { .type_name = "CancelScope", .name = "_cancel_status" },
	[CTASK_TASK_STATUS] = { .type_name = "Task", .name = "_cancel_status" },
	[CTASK_TASK_NURSERY] = { .type_name = "Task", .name = "_parent_nursery" },
	[CTASK_TASK_NURSERIES] = { .type_name = "Task", .name = "_child_nurseries" },
	[CTASK_TASK_CORO] = { .type_name = "Task", .name = "coro" },
	[CTASK_TASK_NAME] = { .type_name = "Task", .name = "name" },
	[CTASK_TASK_ABORT] = { .type_name = "Task", .name = "_abort_func" },
	[CTASK_TASK_NEXT] = { .type_name = "Task", .name = "_next_send_fn" },
	[CTASK_TASK_RUNNER] = { .type_name = "Task", .name = "_runner" },
	[CTASK_NURSERY_PARENT] = { .type_name = "Nursery", .name = "_parent_task" },
	[CTASK_NURSERY_SCOPE] = { .type_name = "Nursery", .name = "cancel_scope" },
	[CTASK_NURSERY_STATUS] = { .type_name = "Nursery", .name = "_cancel_status" },
};

static struct py_object *run_context;
static struct py_type *cancelled;

/* Where the slot lies in an object; 0 when the class has none of that name. */
static int64_t slot_offset(struct py_object *type, const char *name)
{
	const struct py_type *member_type = dlsym(RTLD_DEFAULT, "PyMemberDescr_Type");
	struct py_object *slot = ctask_py.PyObject_GetAttrString(type, name);
	int64_t offset = 0;

	if (!slot)
		ctask_py.PyErr_Clear();
	if (member_type && py_is(slot, member_type))
		offset = (int64_t)py_word(py_pointer(slot, MEMBER_DEF), MEMBER_OFFSET);
	if (slot)
		ctask_py.Py_DecRef(slot);
	if (offset < 0 || offset > ((struct py_type *)type)->basicsize - 8)
		return 0;
	return offset;
}

bool ctask_trio_meet(void)
{
	static bool known;

	if (known)
		return true;
	run_context = ctask_python_module_item(RUN, "GLOBAL_RUN_CONTEXT");
	cancelled = (struct py_type *)ctask_python_module_item(RUN, "Cancelled");
	if (!run_context || !cancelled)
		return false;
	for (int i = 0; i < CTASK_TRIO_FIELDS; i++) {
		struct py_object *type = ctask_python_module_item(RUN, fields[i].type_name);

		if (!type)
			return false;
		if (!fields[i].text)
			fields[i].text = ctask_py.PyUnicode_InternFromString(fields[i].name);
		if (!fields[i].text) {
			ctask_py.PyErr_Clear();
			return false;
		}
		fields[i].type = (struct py_type *)type;
		fields[i].offset = slot_offset(type, fields[i].name);
	}
	/* Kept for good, so that no other type lies where they do. */
	for (int i = 0; i < CTASK_TRIO_FIELDS; i++)
		ctask_py.Py_IncRef((struct py_object *)(uintptr_t)fields[i].type);
	ctask_py.Py_IncRef(run_context);
	ctask_py.Py_IncRef(&cancelled->base);
	known = true;
	return true;
}

void ctask_trio_hook(void)
{
	static bool hooked;
	struct py_object *type, *value, *traceback;

	if (hooked || ctask_guest_forks || ctask_python_find())
		return;
	ctask_py.PyErr_Fetch(&type, &value, &traceback);
	if (ctask_python_module(RUN) && ctask_guest_records() && ctask_trio_meet()) {
		hooked = true;
		ctask_trio_hooks_install();
	}
	ctask_py.PyErr_Restore(type, value, traceback);
}

struct py_object *ctask_trio_get(struct py_object *object, enum ctask_trio_field field)
{
	const struct field *f = &fields[field];
	struct py_object *value;

	if (object->type == f->type && f->offset) {
		value = py_pointer(object, (uint32_t)f->offset);
	} else {
		if (object->type->getattro != (void *)ctask_py.PyObject_GenericGetAttr)
			return NULL;
		value = ctask_py.PyObject_GenericGetAttr(object, f->text);
		if (value)
			ctask_py.Py_DecRef(value); /* the object has it */
		else
			ctask_py.PyErr_Clear();
	}
	return value == ctask_py.none ? NULL : value;
}

bool ctask_trio_is(struct py_object *object, enum ctask_trio_field field)
{
	return ctask_trio_get(object, field) == ctask_py.py_true;
}

struct py_object *ctask_trio_task_now(bool *ret_runs)
{
	static const char *const names[] = { "task", "runner" };
	struct py_object *found[2];

	for (int i = 0; i < 2; i++) {
		found[i] = ctask_py.PyObject_GetAttrString(run_context, names[i]);
		if (found[i])
			ctask_py.Py_DecRef(found[i]); /* the context has it */
		else
			ctask_py.PyErr_Clear();
	}
	if (ret_runs)
		*ret_runs = found[1] != NULL;
	return py_isinstance(found[0], fields[CTASK_TASK_CORO].type) ? found[0] : NULL;
}

/*
 * The exceptions of a group: of ExceptionGroup, or of what trio had before there were any. In the package exceptiongroup, which
 * has them for 3.8 to 3.10, "exceptions" is a property that makes a copy.
 */
static struct py_object *exceptions_of(struct py_object *exception)
{
	struct py_object *all = ctask_python_lend(exception, "exceptions");

	if (!all)
		all = ctask_python_lend(exception, "_exceptions");
	if (!py_is(all, ctask_py.PyTuple_Type) && !py_is(all, ctask_py.PyList_Type))
		return NULL;
	return all;
}

static bool is_cancelled(struct py_object *exception, int *left)
{
	struct py_object *all;
	bool in_list;
	int64_t count;

	if (--*left < 0 || !py_isinstance(exception, ctask_py.base_exception))
		return false;
	if (py_isinstance(exception, cancelled))
		return true;
	all = exceptions_of(exception);
	in_list = py_is(all, ctask_py.PyList_Type);
	count = !all ? 0 : in_list ? ctask_py.PyList_Size(all) : ctask_py.PyTuple_Size(all);
	for (int64_t i = 0; i < count; i++)
		if (!is_cancelled(in_list ? ctask_py.PyList_GetItem(all, i)
					  : ctask_py.PyTuple_GetItem(all, i),
				  left))
			return false;
	return count > 0;
}

bool ctask_trio_is_cancelled(struct py_object *exception)
{
	int left = EXCEPTIONS_MAX;

	return is_cancelled(exception, &left);
}

double ctask_trio_clock_offset(struct py_object *task)
{
	struct py_object *runner = ctask_trio_get(task, CTASK_TASK_RUNNER);
	struct py_object *clock = runner ? ctask_python_lend(runner, "clock") : NULL;
	struct py_object *offset;

	if (!clock ||
	    (const struct py_object *)clock->type != ctask_python_module_item(RUN, "SystemClock"))
		return NAN;
	offset = ctask_python_lend(clock, "offset");
	return offset ? ctask_python_seconds(offset) : NAN;
}

/* --- who stands in what --- */

/* Whether the task itself entered the block of @p scope. */
static bool has_entered(struct py_object *task, const struct py_object *scope)
{
	struct py_object *nursery = ctask_trio_get(task, CTASK_TASK_NURSERY);
	struct py_object *end = nursery ? ctask_trio_get(nursery, CTASK_NURSERY_STATUS) : NULL;
	struct py_object *status = ctask_trio_get(task, CTASK_TASK_STATUS);

	for (int i = 0; status && status != end && i < DEPTH_MAX; i++) {
		if (ctask_trio_get(status, CTASK_STATUS_SCOPE) == scope)
			return true;
		status = ctask_trio_get(status, CTASK_STATUS_PARENT);
	}
	return false;
}

enum ctask_trio_hold ctask_trio_hold(struct py_object *task, const struct py_object *scope)
{
	struct py_object *nursery = ctask_trio_get(task, CTASK_TASK_NURSERY);

	if (has_entered(task, scope))
		return CTASK_TRIO_ENTERED;
	if (nursery && ctask_trio_get(nursery, CTASK_NURSERY_SCOPE) == scope)
		return CTASK_TRIO_CHILD;
	return CTASK_TRIO_PASSED;
}

struct py_object *ctask_trio_owner(struct py_object *task)
{
	struct py_object *nursery = ctask_trio_get(task, CTASK_TASK_NURSERY);

	return nursery ? ctask_trio_get(nursery, CTASK_NURSERY_PARENT) : NULL;
}

struct py_object *ctask_trio_host(struct py_object *task, const struct py_object *scope)
{
	for (int i = 0; task && i < DEPTH_MAX && !has_entered(task, scope); i++)
		task = ctask_trio_owner(task);
	return task;
}

struct py_object *ctask_trio_nursery(struct py_object *host, const struct py_object *scope)
{
	struct py_object *nurseries = ctask_trio_get(host, CTASK_TASK_NURSERIES), *nursery;

	if (!py_is(nurseries, ctask_py.PyList_Type))
		return NULL;
	for (int64_t i = ctask_py.PyList_Size(nurseries) - 1; i >= 0; i--) {
		nursery = ctask_py.PyList_GetItem(nurseries, i);
		if (ctask_trio_get(nursery, CTASK_NURSERY_SCOPE) == scope)
			return nursery;
	}
	return NULL;
}

bool ctask_trio_reaches(struct py_object *task, const struct py_object *scope)
{
	struct py_object *status = ctask_trio_get(task, CTASK_TASK_STATUS), *at;

	for (int i = 0; status && i < DEPTH_MAX; i++) {
		at = ctask_trio_get(status, CTASK_STATUS_SCOPE);
		if (at == scope)
			return true;
		if (!at || ctask_trio_is(at, CTASK_SCOPE_SHIELD))
			return false;
		status = ctask_trio_get(status, CTASK_STATUS_PARENT);
	}
	return false;
}
