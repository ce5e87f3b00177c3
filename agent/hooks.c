/* hooks.c - the functions of _asyncio and select that the agent puts its own before. */
#include "agent/hooks.h"

#include "agent/anyio.h"
#include "agent/cancel.h"
#include "agent/guest.h"
#include "agent/image.h"
#include "agent/level.h"
#include "agent/loops.h"
#include "agent/python.h"
#include "agent/requests.h"
#include "agent/trio.h"

/*
 * Each does what the function behind it does, and notes what went by. Where
 * the agent does not know this Python, they pass on and do nothing else.
 */

enum { WRAPPED_TASK = 16 /* TaskStepMethWrapper.sw_task, TaskWakeupMethWrapper.ww_task */ };

static py_noargs cancel_noargs, uncancel, cancelling, task_wakeup, set_running_loop;
static py_fastcall cancel_fastcall;
static py_init task_init;
static py_dealloc task_dealloc;
static py_call step_call, wakeup_call, epoll_new;

/* Of a cancel() that is not recorded. */
static struct py_object *missed(struct py_object *result)
{
	if (result && result == ctask_py.py_true)
		ctask_guest_missed();
	return result;
}

static struct py_object *hook_cancel_noargs(struct py_object *self, struct py_object *unused)
{
	struct py_object *result;
	struct ctask_call call;

	if (!ctask_guest_ready())
		return missed(cancel_noargs(self, unused));
	ctask_cancel_begin(&call, self, NULL);
	result = cancel_noargs(self, unused);
	ctask_cancel_end(&call, result == ctask_py.py_true);
	return result;
}

static struct py_object *hook_cancel_fastcall(struct py_object *self, struct py_object *const *args,
					      int64_t nargs, struct py_object *kwnames)
{
	struct py_object *result;
	struct ctask_call call;
	bool has_message = nargs > 0 || kwnames;

	if (!ctask_guest_ready())
		return missed(cancel_fastcall(self, args, nargs, kwnames));
	/* msg is the only parameter, whether by place or by name. */
	ctask_cancel_begin(&call, self, has_message ? args[0] : NULL);
	result = cancel_fastcall(self, args, nargs, kwnames);
	ctask_cancel_end(&call, result == ctask_py.py_true);
	return result;
}

static struct py_object *hook_uncancel(struct py_object *self, struct py_object *unused)
{
	if (ctask_guest_ready())
		ctask_cancel_undone(self);
	return uncancel(self, unused);
}

static struct py_object *hook_cancelling(struct py_object *self, struct py_object *unused)
{
	if (ctask_guest_ready())
		ctask_cancel_entered();
	return cancelling(self, unused);
}

static struct py_object *hook_set_running_loop(struct py_object *self, struct py_object *loop)
{
	struct py_object *result = set_running_loop(self, loop);

	if (result && ctask_guest_ready()) {
		ctask_loops_run(loop == ctask_py.none ? NULL : loop);
		ctask_anyio_look();
	}
	return result;
}

static int hook_task_init(struct py_object *self, struct py_object *args, struct py_object *kwargs)
{
	int ret;

	/* New memory: what lay at this address before is gone. It may be initialized again, too. */
	if (ctask_requests_tasks && !ctask_guest_forks &&
	    !py_pointer(self, ctask_py.layout.task_loop))
		ctask_requests_gone(self);
	ret = task_init(self, args, kwargs);
	if (ret || !ctask_guest_ready())
		return ret;
	ctask_task_born(self);
	ctask_anyio_look();
	if (ctask_requests_tasks) /* an eager task has had its first step by now */
		ctask_requests_settle(self);
	return 0;
}

static void hook_task_dealloc(struct py_object *self)
{
	if (ctask_guest_is_ready())
		ctask_task_freed(self);
	task_dealloc(self);
}

/* Before and after a step of @p task. It may be freed within: then nothing is known of it any more. */
static void before_step(struct py_object *task)
{
	if (ctask_guest_forks)
		return;
	if (__builtin_expect(ctask_guest_serves_again, false))
		ctask_guest_serve();
	if (ctask_requests_tasks)
		ctask_requests_step(task);
}

static void after_step(struct py_object *task)
{
	if (ctask_guest_forks)
		return;
	if (__builtin_expect(ctask_guest_serves_again, false))
		ctask_guest_serve();
	if (ctask_requests_tasks)
		ctask_requests_settle(task);
	if (ctask_level_tasks || ctask_anyio_waiting)
		ctask_anyio_settle(task);
}

static struct py_object *call_wrapper(py_call call, struct py_object *self, struct py_object *args,
				      struct py_object *kwargs)
{
	struct py_object *task = py_pointer(self, WRAPPED_TASK), *result;

	before_step(task);
	result = call(self, args, kwargs);
	after_step(task);
	return result;
}

static struct py_object *hook_step_call(struct py_object *self, struct py_object *args,
					struct py_object *kwargs)
{
	return call_wrapper(step_call, self, args, kwargs);
}

static struct py_object *hook_wakeup_call(struct py_object *self, struct py_object *args,
					  struct py_object *kwargs)
{
	return call_wrapper(wakeup_call, self, args, kwargs);
}

static struct py_object *hook_task_wakeup(struct py_object *self, struct py_object *future)
{
	struct py_object *result;

	before_step(self);
	result = task_wakeup(self, future);
	after_step(self);
	return result;
}

/* trio makes one where a run begins: until then its own functions, which are Python's, are not looked for. */
static struct py_object *hook_epoll_new(struct py_object *type, struct py_object *args,
					struct py_object *kwargs)
{
	ctask_trio_hook();
	return epoll_new(type, args, kwargs);
}

/* Put @p hook before the function at @p where, which *before then leads to. */
static void put_before(void **where, void *hook, void *before)
{
	void *function;

	if (!where || !*where || *where == hook)
		return;
	function = *where;
	memcpy(before, &function, sizeof(function));
	ctask_image_replace(where, hook);
}

static void hook_method(struct py_method_def *def)
{
	void **where = &def->function;

	if (!strcmp(def->name, "cancel") && def->flags == PY_METH_NOARGS)
		put_before(where, (void *)hook_cancel_noargs, &cancel_noargs);
	else if (!strcmp(def->name, "cancel") &&
		 def->flags == (PY_METH_FASTCALL | PY_METH_KEYWORDS))
		put_before(where, (void *)hook_cancel_fastcall, &cancel_fastcall);
	else if (!strcmp(def->name, "uncancel") && def->flags == PY_METH_NOARGS)
		put_before(where, (void *)hook_uncancel, &uncancel);
	else if (!strcmp(def->name, "cancelling") && def->flags == PY_METH_NOARGS)
		put_before(where, (void *)hook_cancelling, &cancelling);
}

void ctask_hooks_install(const void *address)
{
	struct ctask_image_tables tables;

	if (!ctask_image_find(address, &tables))
		return;
	for (struct py_method_def *def = tables.task.methods; def && def->name; def++)
		hook_method(def);
	put_before(tables.epoll.new, (void *)hook_epoll_new, &epoll_new);
	put_before(tables.task.init, (void *)hook_task_init, &task_init);
	put_before(tables.task.dealloc, (void *)hook_task_dealloc, &task_dealloc);
	put_before(tables.step.call, (void *)hook_step_call, &step_call);
	put_before(tables.wakeup.call, (void *)hook_wakeup_call, &wakeup_call);
	if (tables.wakeup_def)
		put_before(&tables.wakeup_def->function, (void *)hook_task_wakeup, &task_wakeup);
	if (tables.set_running_loop)
		put_before(&tables.set_running_loop->function, (void *)hook_set_running_loop,
			   &set_running_loop);
}
