/* asyncio.c - the registers in which asyncio keeps its tasks, and the tasks themselves. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/cleanup.h"
#include "reader/scopes.h"
#include "reader/walk.h"

enum {
	PENDING = 0, /* fut_state (Modules/_asynciomodule.c) */
};

/* What asyncio's modules hold. */
struct registers {
	uint64_t all_tasks, scheduled_tasks, eager_tasks; /* WeakSet, WeakSet, set */
};

static int find_registers(struct ctask_walk *walk, struct registers *ret)
{
	struct ctask_heap *heap = &walk->heap;
	uint64_t functions[3] = { 0 };
	int err;

	*ret = (struct registers){ 0 };
	heap->py_task_type = 0;
	heap->py_future_type = 0;
	err = ctask_module_find(
		heap, walk->modules.asyncio_tasks,
		(struct ctask_wanted[]){ { "_PyTask", &heap->py_task_type },
					 { "_all_tasks", &ret->all_tasks },
					 { "_scheduled_tasks", &ret->scheduled_tasks },
					 { "_eager_tasks", &ret->eager_tasks },
					 { "gather", &functions[0] },
					 { "shield", &functions[1] },
					 { "wait", &functions[2] } },
		7);
	for (size_t i = 0;
	     !err && i < ARRAY_SIZE(functions) && !ctask_codes_folder(&walk->codes, "asyncio"); i++)
		ctask_codes_set_library(&walk->codes, functions[i]);
	if (!err)
		err = ctask_module_find(
			heap, walk->modules.asyncio_futures,
			(struct ctask_wanted[]){ { "_PyFuture", &heap->py_future_type } }, 1);
	return err;
}

/*
 * 3.14 on: where the lists of tasks lie is told by the target, through the state of _asyncio.
 * *ret_usable is false when that table cannot be; then nothing may be read by it.
 */
static int take_asyncio_debug(struct ctask_walk *walk, bool *ret_usable)
{
	const uint64_t c_module = walk->modules.asyncio_c;
	struct ctask_layout *l = &walk->heap.layout, told = *l;
	uint8_t table[CTASK_ASYNCIO_DEBUG_BYTES];
	struct ctask_error err;
	uint64_t state, at;

	*ret_usable = true;
	if (l->module_asyncio_debug == CTASK_NO_FIELD || !c_module)
		return 0;
	if (ctask_heap_u64(&walk->heap, c_module + l->module_state, &state) ||
	    ctask_heap_u64(&walk->heap, state + l->module_asyncio_debug, &at) ||
	    ctask_pages_read(walk->heap.pages, at, table, sizeof(table)))
		return -EFAULT;
	*ret_usable = !ctask_layout_take_asyncio_debug(&told, table, &err) &&
		      !ctask_layout_check(&told, &err);
	if (!*ret_usable)
		return ctask_snapshot_add_problem(walk->snap, 0, "asyncio's own table: %s",
						  err.text);
	*l = told;
	return 0;
}

/* --- one task --- */

static uint64_t u64_at(const uint8_t *bytes, uint32_t offset)
{
	uint64_t value;

	memcpy(&value, bytes + offset, sizeof(value));
	return value;
}

static int view_c_task(struct ctask_walk *walk, uint64_t addr, struct ctask_task_view *ret)
{
	const struct ctask_layout *l = &walk->heap.layout;
	uint8_t bytes[CTASK_TASK_BYTES_MAX];
	uint32_t state, count;

	if (ctask_pages_read(walk->heap.pages, addr, bytes, l->task_size))
		return -EFAULT;
	memcpy(&state, bytes + l->task_state, sizeof(state));
	ret->pending = state == PENDING;
	ret->loop = u64_at(bytes, l->task_loop);
	ret->fut_waiter = u64_at(bytes, l->task_fut_waiter);
	ret->coro = u64_at(bytes, l->task_coro);
	ret->name = u64_at(bytes, l->task_name);
	ret->callback0 = u64_at(bytes, l->task_callback0);
	ret->callbacks = u64_at(bytes, l->task_callbacks);
	ret->must_cancel = bytes[l->task_must_cancel] & l->task_must_cancel_mask;
	ret->cancel_requests = -1;
	if (l->task_num_cancels_requested != CTASK_NO_FIELD) {
		memcpy(&count, bytes + l->task_num_cancels_requested, sizeof(count));
		ret->cancel_requests = count > INT32_MAX ? INT32_MAX : (int32_t)count;
	}
	return 0;
}

/* An attribute that may be missing or None: 0 then. */
static int attr_or_zero(struct ctask_walk *walk, uint64_t obj, const char *name, uint64_t *ret)
{
	int err = ctask_attr(&walk->heap, obj, name, ret);

	if (err == -ENOENT || (!err && ctask_kind_of(&walk->heap, *ret) == CTASK_KIND_NONE)) {
		*ret = 0;
		return 0;
	}
	walk->unsettled += err == -EAGAIN;
	return err;
}

static int view_py_task(struct ctask_walk *walk, uint64_t addr, struct ctask_task_view *ret)
{
	uint64_t state, must_cancel, count;
	int64_t value;

	if (attr_or_zero(walk, addr, "_state", &state) ||
	    attr_or_zero(walk, addr, "_loop", &ret->loop) ||
	    attr_or_zero(walk, addr, "_fut_waiter", &ret->fut_waiter) ||
	    attr_or_zero(walk, addr, "_coro", &ret->coro) ||
	    attr_or_zero(walk, addr, "_name", &ret->name) ||
	    attr_or_zero(walk, addr, "_callbacks", &ret->callbacks) ||
	    attr_or_zero(walk, addr, "_must_cancel", &must_cancel) ||
	    attr_or_zero(walk, addr, "_num_cancels_requested", &count))
		return -EFAULT;
	/* _state is a class attribute until the task is done. */
	ret->pending = !state || ctask_str_is(&walk->heap, state, "PENDING");
	ret->must_cancel =
		must_cancel && !ctask_int_value(&walk->heap, must_cancel, &value) && value;
	ret->cancel_requests = -1;
	if (walk->heap.layout.task_num_cancels_requested != CTASK_NO_FIELD && count &&
	    !ctask_int_value(&walk->heap, count, &value) && value >= 0 && value <= INT32_MAX)
		ret->cancel_requests = (int32_t)value;
	return 0;
}

int ctask_task_view(struct ctask_walk *walk, uint64_t addr, struct ctask_task_view *ret_view)
{
	*ret_view =
		(struct ctask_task_view){ .addr = addr, .kind = ctask_kind_of(&walk->heap, addr) };
	switch (ret_view->kind) {
	case CTASK_KIND_TASK:
		return view_c_task(walk, addr, ret_view);
	case CTASK_KIND_PY_TASK:
		return view_py_task(walk, addr, ret_view);
	default:
		return -EPROTO;
	}
}

/* A task's name is a str, or (3.12 on) the number of a name that nobody has asked for yet. */
static int read_name(struct ctask_walk *walk, uint64_t name, ctask_text *ret)
{
	char text[32] = "Task-", digits[24];
	size_t len = strlen(text), n = 0;
	int64_t number;

	if (ctask_kind_of(&walk->heap, name) != CTASK_KIND_INT)
		return ctask_str_text(&walk->heap, name, walk->snap->texts, ret);
	if (ctask_int_value(&walk->heap, name, &number))
		return -EFAULT;
	if (number < 0)
		return -EPROTO;
	do /* by hand: it happens once for each task */
		digits[n++] = (char)('0' + number % 10);
	while (number /= 10);
	while (n)
		text[len++] = digits[--n];
	*ret = ctask_texts_add(walk->snap->texts, text, len);
	return *ret ? 0 : -ENOMEM;
}

uint32_t ctask_asyncio_add_runtime(struct ctask_walk *walk, const struct ctask_type *type)
{
	struct ctask_snapshot *snap = walk->snap;
	uint32_t index = ctask_snapshot_add_runtime(snap);
	struct ctask_runtime *runtime;

	if (index == CTASK_NONE)
		return index;
	runtime = &snap->runtimes[index];
	runtime->kind = "asyncio";
	runtime->implementation = "cpython";
	runtime->interpreter = walk->interp_id;
	runtime->library = ctask_codes_folder(&walk->codes, "asyncio");
	runtime->version = ctask_texts_format(snap->texts, "%s", walk->python->version);
	if (type) {
		const char *name = ctask_type_short_name(type);

		runtime->loop = ctask_texts_add_bytes(snap->texts, name, strlen(name));
	}
	return index;
}

static int runtime_of_loop(struct ctask_walk *walk, uint64_t loop, uint32_t *ret)
{
	*ret = ctask_table_get(&walk->loop_index, loop ? loop : 1, CTASK_NONE);
	if (*ret != CTASK_NONE)
		return 0;
	*ret = ctask_asyncio_add_runtime(walk, ctask_type_of(&walk->heap, loop));
	return *ret == CTASK_NONE ? -ENOMEM
				  : ctask_table_put(&walk->loop_index, loop ? loop : 1, *ret);
}

/* The part of a task that is its coroutine: stack, state, what it waits for. */
static int read_coroutine(struct ctask_walk *walk, uint32_t index,
			  const struct ctask_task_view *view)
{
	const struct ctask_chain *chain = &walk->chain;
	int ret = ctask_walk_read_chain(walk, index, view->coro);
	struct ctask_task *task = &walk->snap->tasks[index];

	if (ret)
		return ret;
	if (chain->executing)
		task->state = CTASK_RUNNING;
	else if (!view->fut_waiter ||
		 ctask_kind_of(&walk->heap, view->fut_waiter) == CTASK_KIND_NONE ||
		 ctask_future_is_done(walk, view->fut_waiter))
		task->state = CTASK_READY;
	else
		task->state = CTASK_WAITING;
	if (walk->modules.anyio_asyncio)
		ret = ctask_scopes_hide_library(walk);
	if (!ret && !chain->executing)
		ret = ctask_scopes_read(walk, index);
	if (!ret && walk->snap->tasks[index].state == CTASK_WAITING)
		ret = ctask_waits_read(walk, view);
	return ret;
}

static int read_task(struct ctask_walk *walk, uint64_t addr, uint32_t *ret_index)
{
	struct ctask_snapshot *snap = walk->snap;
	struct ctask_task_view view;
	struct ctask_task *task;
	uint32_t index, runtime;
	int ret = ctask_task_view(walk, addr, &view);

	*ret_index = CTASK_NOT_SHOWN;
	if (ret == -EPROTO)
		return 0; /* in a register of tasks, but none: a Task-alike of somebody's own */
	if (ret)
		return ctask_snapshot_add_problem(snap, addr, "the task could not be read");
	if (!view.pending)
		return 0;
	index = ctask_snapshot_add_task(snap);
	if (index == CTASK_NONE)
		return -ENOMEM;
	*ret_index = index;
	ret = runtime_of_loop(walk, view.loop, &runtime);
	if (ret)
		return ret;
	snap->runtimes[runtime].task_count++;
	task = &snap->tasks[index];
	task->id = addr;
	task->runtime = runtime;
	task->cancel_requests = view.cancel_requests;
	task->cancel_pending = view.must_cancel;
	if (walk->count_only)
		return 0;
	ret = read_name(walk, view.name, &task->name);
	if (ret == -ENOMEM)
		return ret;
	if (ret) {
		task->name = "";
		ret = ctask_snapshot_add_problem(snap, addr, "its name could not be read");
	}
	if (!ret)
		ret = read_coroutine(walk, index, &view);
	if (!ret)
		ret = ctask_anyio_read_child(walk, index);
	return ret ? ret : ctask_waiters_read(walk, &view, index);
}

int ctask_asyncio_add_task(struct ctask_walk *walk, uint64_t addr, uint32_t *ret_index)
{
	int ret;

	*ret_index = ctask_table_get(&walk->task_index, addr, CTASK_NONE);
	if (*ret_index != CTASK_NONE)
		return 0;
	if (!addr || addr % 8) {
		*ret_index = CTASK_NOT_SHOWN;
		return 0;
	}
	ret = read_task(walk, addr, ret_index);
	if (ret)
		return ret;
	if (walk->snap->task_count % 32 == 0)
		(void)ctask_pages_check_deadline(walk->heap.pages);
	if (walk->heap.pages->error)
		return walk->heap.pages->error;
	return ctask_table_put(&walk->task_index, addr, *ret_index);
}

/* --- registers --- */

/* A set of tasks, or of weak references to tasks. */
static int walk_set(struct ctask_walk *walk, uint64_t set)
{
	struct ctask_heap *heap = &walk->heap;
	struct ctask_iter iter;
	uint64_t obj;
	int ret = ctask_set_iter(heap, set, &iter);

	while (!ret && ctask_iter_next(&iter, &obj, NULL)) {
		uint32_t index;

		if (ctask_kind_of(heap, obj) == CTASK_KIND_WEAKREF &&
		    ctask_heap_u64(heap, obj + heap->layout.weakref_object, &obj)) {
			ret = -EFAULT;
			break;
		}
		if (obj &&
		    ctask_kind_of(heap, obj) != CTASK_KIND_NONE) /* None: the task has gone */
			ret = ctask_asyncio_add_task(walk, obj, &index);
	}
	if (!ret)
		ret = iter.error;
	return ret;
}

static int walk_weak_set(struct ctask_walk *walk, uint64_t weak_set)
{
	uint64_t set;
	int ret = ctask_attr(&walk->heap, weak_set, "data", &set);

	return ret ? ret : walk_set(walk, set);
}

/* 3.14 on: a circular list that runs through the tasks; @p head is no task. */
static int walk_list(struct ctask_walk *walk, uint64_t head)
{
	const struct ctask_layout *l = &walk->heap.layout;
	uint64_t node;
	int ret = ctask_heap_u64(&walk->heap, head, &node);

	while (!ret && node && node != head) {
		uint64_t task = node - l->task_node;
		uint32_t index;

		/* A task stands in one list, once; what is not aligned is none, and not remembered. */
		if (!task || task % 8 ||
		    ctask_table_get(&walk->task_index, task, CTASK_NONE) != CTASK_NONE)
			return -EPROTO;
		ret = ctask_asyncio_add_task(walk, task, &index);
		if (!ret)
			ret = ctask_heap_u64(&walk->heap, node, &node);
	}
	return ret;
}

static int walk_registers(struct ctask_walk *walk, uint64_t interp, const struct registers *regs,
			  uint32_t first_thread)
{
	const struct ctask_layout *l = &walk->heap.layout;
	int ret = 0;

	if (l->task_node != CTASK_NO_FIELD) {
		for (uint32_t i = first_thread; !ret && i < walk->thread_count; i++)
			ret = ctask_walk_tell(walk,
					      walk_list(walk, walk->threads[i].tstate +
								      l->tstate_asyncio_tasks_head),
					      "a thread's list of tasks");
		if (!ret)
			ret = ctask_walk_tell(
				walk, walk_list(walk, interp + l->interp_asyncio_tasks_head),
				"the interpreter's list of tasks");
	}
	if (!ret && regs->all_tasks)
		ret = ctask_walk_tell(walk, walk_weak_set(walk, regs->all_tasks),
				      "asyncio.tasks._all_tasks");
	if (!ret && regs->scheduled_tasks)
		ret = ctask_walk_tell(walk, walk_weak_set(walk, regs->scheduled_tasks),
				      "asyncio.tasks._scheduled_tasks");
	if (!ret && regs->eager_tasks)
		ret = ctask_walk_tell(walk, walk_set(walk, regs->eager_tasks),
				      "asyncio.tasks._eager_tasks");
	return ret;
}

/* The loop that runs in a thread; 0 = none. */
uint64_t ctask_running_loop(struct ctask_walk *walk, uint64_t tstate)
{
	enum { HELD_LOOP = 16 }; /* PyRunningLoopHolder.rl_loop, to 3.11 */
	struct ctask_heap *heap = &walk->heap;
	const struct ctask_layout *l = &heap->layout;
	const struct ctask_type *type;
	uint64_t dict, loop = 0;

	if (l->tstate_asyncio_running_loop != CTASK_NO_FIELD) {
		if (ctask_heap_u64(heap, tstate + l->tstate_asyncio_running_loop, &loop))
			return 0;
		return loop;
	}
	if (ctask_heap_u64(heap, tstate + l->tstate_dict, &dict) || !dict ||
	    ctask_dict_get(heap, dict, "__asyncio_running_event_loop__", &loop))
		return 0;
	type = ctask_type_of(heap, loop);
	if (type && !strcmp(ctask_type_short_name(type), "_RunningLoopHolder") &&
	    ctask_heap_u64(heap, loop + HELD_LOOP, &loop))
		return 0;
	return loop;
}

static int assign_threads(struct ctask_walk *walk, uint32_t first_thread)
{
	for (uint32_t i = first_thread; i < walk->thread_count; i++) {
		uint64_t loop = ctask_running_loop(walk, walk->threads[i].tstate);
		uint32_t runtime;
		int ret;

		if (!loop || ctask_kind_of(&walk->heap, loop) == CTASK_KIND_NONE)
			continue;
		ret = runtime_of_loop(walk, loop, &runtime); /* a loop may have no task */
		if (ret)
			return ret;
		walk->snap->runtimes[runtime].thread_id = walk->threads[i].tid;
		/* To 3.11 all interpreters share one register, found in the first of them. */
		walk->snap->runtimes[runtime].interpreter = walk->interp_id;
	}
	return 0;
}

int ctask_asyncio_walk(struct ctask_walk *walk, uint64_t interp, uint32_t first_thread)
{
	struct registers regs;
	bool usable;
	int ret = find_registers(walk, &regs);

	if (ret)
		return ctask_walk_tell(walk, ret, "asyncio's modules");
	if (!walk->modules.asyncio_tasks)
		return 0;
	walk->has_asyncio = true;
	ret = take_asyncio_debug(walk, &usable);
	if (ret)
		return ctask_walk_tell(walk, ret, "asyncio's own table");
	if (!usable)
		return 0;
	ret = walk_registers(walk, interp, &regs, first_thread);
	return ret ? ret : assign_threads(walk, first_thread);
}
