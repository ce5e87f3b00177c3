/* tasks.c - asyncio's tasks as the hooks see them, written in C or in Python. */
#include "agent/tasks.h"

#include <errno.h>

#include "agent/loops.h"
#include "agent/text.h"

enum {
	FRAMES = 64, /* of a chain that are looked into for a CancelledError, from the inner end */
	CONTEXTS_MAX = 16, /* exceptions raised while handling exceptions */
	LOCALS_MAX = 64,
	EXC_INFO = 3,
	STATE_CANCELLED = 1, /* fut_state, Modules/_asynciomodule.c */
	STATE_FINISHED = 2,
};

static struct py_type *cancelled_error, *future_type;
static struct py_object *current_tasks, *python_tasks;

int ctask_tasks_meet(void)
{
	const struct py_type *task_type;

	cancelled_error =
		(struct py_type *)ctask_python_module_item("asyncio.exceptions", "CancelledError");
	future_type = (struct py_type *)ctask_python_module_item("_asyncio", "Future");
	current_tasks = ctask_python_module_item("_asyncio", "_current_tasks");
	python_tasks = ctask_python_module_item("asyncio.tasks", "_current_tasks");
	task_type = (struct py_type *)ctask_python_module_item("_asyncio", "Task");
	if (!cancelled_error || !future_type || !task_type)
		return -EAGAIN;
	if (task_type->basicsize != ctask_py.layout.task_size ||
	    future_type->basicsize != ctask_py.layout.future_size)
		return -ENOTSUP;
	if (!current_tasks && ctask_py.layout.tstate_asyncio_running_task == CTASK_NO_FIELD)
		return -ENOTSUP;
	return 0;
}

bool ctask_task_is_c(const struct py_object *task)
{
	return py_isinstance(task, future_type);
}

static bool state_is(struct py_object *future, const char *word)
{
	struct py_object *state = ctask_python_attr(future, "_state");
	char text[16];

	ctask_text_copy(state, text, sizeof(text));
	if (state)
		ctask_py.Py_DecRef(state);
	return !strcmp(text, word);
}

static int c_state(const struct py_object *future)
{
	int state;

	memcpy(&state, (const char *)future + ctask_py.layout.task_state, sizeof(state));
	return state;
}

enum ctask_ending ctask_task_ending(struct py_object *task)
{
	bool raised;

	if (ctask_task_is_c(task)) {
		int state = c_state(task);

		if (state != STATE_FINISHED)
			return state == STATE_CANCELLED ? CTASK_ENDED_CANCELLED : CTASK_GOES_ON;
		raised = py_word(task, ctask_py.layout.task_exception);
	} else {
		if (state_is(task, "CANCELLED"))
			return CTASK_ENDED_CANCELLED;
		if (!state_is(task, "FINISHED"))
			return CTASK_GOES_ON;
		raised = ctask_python_lend(task, "_exception");
	}
	return raised ? CTASK_ENDED_RAISED : CTASK_ENDED_RETURNED;
}

struct py_object *ctask_task_coro(struct py_object *task)
{
	return ctask_task_is_c(task) ? py_pointer(task, ctask_py.layout.task_coro)
				     : ctask_python_lend(task, "_coro");
}

struct py_object *ctask_task_loop(struct py_object *task)
{
	return ctask_task_is_c(task) ? py_pointer(task, ctask_py.layout.task_loop)
				     : ctask_python_lend(task, "_loop");
}

struct ctask_text_bytes ctask_task_name(struct py_object *task, char *copy, size_t room)
{
	struct py_object *name = ctask_task_is_c(task) ? py_pointer(task, ctask_py.layout.task_name)
						       : ctask_python_lend(task, "_name");

	if (py_is(name, ctask_py.PyLong_Type)) /* 3.12 on: the number in "Task-7" */
		return (struct ctask_text_bytes){ copy, ctask_text_task_name(name, copy, room),
						  false };
	return ctask_text_borrow(name, copy, room);
}

bool ctask_task_is_cancelling(struct py_object *task)
{
	uint32_t at = ctask_py.layout.task_num_cancels_requested;
	struct py_object *count;
	int32_t asked = 0;

	if (!ctask_task_is_c(task)) {
		count = ctask_python_lend(task, "_num_cancels_requested");
		return py_is(count, ctask_py.PyLong_Type) && ctask_py.PyLong_AsLongLong(count) > 0;
	}
	if (at != CTASK_NO_FIELD)
		memcpy(&asked, (const char *)task + at, sizeof(asked));
	return asked > 0;
}

static bool is_done(struct py_object *future)
{
	if (ctask_task_is_c(future))
		return c_state(future);
	return !state_is(future, "PENDING");
}

struct py_object *ctask_task_waits_for(struct py_object *task)
{
	return ctask_task_is_c(task) ? py_pointer(task, ctask_py.layout.task_fut_waiter)
				     : ctask_python_lend(task, "_fut_waiter");
}

bool ctask_task_undelivered(struct py_object *task)
{
	const struct ctask_layout *l = &ctask_py.layout;
	struct py_object *waiter, *must;

	if (ctask_task_is_c(task)) {
		if (((const uint8_t *)task)[l->task_must_cancel] & l->task_must_cancel_mask)
			return true;
		waiter = py_pointer(task, l->task_fut_waiter);
	} else {
		must = ctask_python_lend(task, "_must_cancel");
		if (must && ctask_python_seconds(must) != 0 && py_is(must, ctask_py.PyBool_Type) &&
		    ctask_py.PyLong_AsLongLong(must))
			return true;
		waiter = ctask_python_lend(task, "_fut_waiter");
	}
	return waiter && is_done(waiter);
}

struct py_object *ctask_task_now(struct py_object **ret_loop)
{
	const struct ctask_layout *l = &ctask_py.layout;
	struct py_object *loop = ctask_loops_here(), *task;

	*ret_loop = loop;
	if (!loop)
		return NULL;
	if (l->tstate_asyncio_running_task != CTASK_NO_FIELD) {
		task = py_pointer(ctask_py.PyThreadState_Get(), l->tstate_asyncio_running_task);
		if (!task && python_tasks) { /* those written in Python are noted apart */
			task = ctask_py.PyDict_GetItemWithError(python_tasks, loop);
			if (!task)
				ctask_py.PyErr_Clear();
		}
	} else {
		task = ctask_py.PyDict_GetItemWithError(current_tasks, loop);
		if (!task)
			ctask_py.PyErr_Clear();
	}
	return task == ctask_py.none ? NULL : task;
}

bool ctask_is_cancelled_error(struct py_object *exception)
{
	return py_isinstance(exception, cancelled_error);
}

bool ctask_stems_from(struct py_object *exception, bool (*is_it)(struct py_object *))
{
	for (int i = 0; i < CONTEXTS_MAX && py_isinstance(exception, ctask_py.base_exception);
	     i++) {
		if (is_it(exception))
			return true;
		exception = ctask_py.PyException_GetContext(exception);
		if (exception)
			ctask_py.Py_DecRef(exception); /* the outer one has it */
	}
	return false;
}

bool ctask_stems_from_cancel(struct py_object *exception)
{
	return ctask_stems_from(exception, ctask_is_cancelled_error);
}

/* The group stops its children, and its exit waits for them: `self` is the first local. */
static bool group_aborts(const struct ctask_seen *seen)
{
	struct py_object *group = ctask_frame_local(seen->frame, 0);
	struct py_object *aborting = group ? ctask_python_lend(group, "_aborting") : NULL;

	return py_is(aborting, ctask_py.PyBool_Type) && ctask_py.PyLong_AsLongLong(aborting);
}

static bool is_true(const struct py_object *value)
{
	return value == ctask_py.py_true;
}

/* A CancelledError, or a tuple with one: what contextlib hands on from one exit to the next. */
static bool has_cancelled_error(struct py_object *value)
{
	bool found = ctask_is_cancelled_error(value);

	if (!py_is(value, ctask_py.PyTuple_Type))
		return found;
	for (int64_t i = 0; !found && i < EXC_INFO && i < ctask_py.PyTuple_Size(value); i++)
		found = ctask_is_cancelled_error(ctask_py.PyTuple_GetItem(value, i));
	return found;
}

/* A frame that keeps the CancelledError in a variable: it is not done with it. */
static bool keeps_cancel(const struct ctask_seen *seen)
{
	const struct ctask_code_facts *facts;

	ctask_place_of(seen->code, seen->lasti, &facts);
	if (facts->is_group_exit && group_aborts(seen))
		return true;
	if (facts->flag >= 0 && is_true(ctask_frame_local(seen->frame, facts->flag)))
		return true;
	for (int i = 0; i < facts->locals && i < LOCALS_MAX; i++)
		if (has_cancelled_error(ctask_frame_local(seen->frame, i)))
			return true;
	return false;
}

bool ctask_task_handles_cancel(struct py_object *task)
{
	struct ctask_chain chain = { .at = ctask_task_coro(task) };
	struct ctask_seen kept[FRAMES], seen;
	int count, cut;

	while (ctask_chain_next(&chain, &seen)) {
		struct py_object *exception = ctask_gen_exception(seen.gen);

		if (exception && ctask_stems_from_cancel(exception))
			return true;
	}
	if (chain.unseen)
		return true; /* it may: what cannot be seen is no zombie */
	chain = (struct ctask_chain){ .at = ctask_task_coro(task) };
	count = ctask_chain_see(&chain, kept, FRAMES, &cut);
	for (int i = 0; i < count; i++)
		if (keeps_cancel(&kept[i]))
			return true;
	return cut > 0;
}
