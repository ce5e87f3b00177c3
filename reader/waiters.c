/* waiters.c - who waits for a task: its callbacks, followed through plain futures to the tasks they wake. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "reader/walk.h"

enum {
	/* Futures and callbacks between a task and those that wait for it; beyond, it is told. */
	HOPS_MAX = 1 << 16,
	EDGE_STEPS = 4, /* an edge is kept */
	NO_KIND = CTASK_EDGE_KINDS,
};

/* How a callback leads on, and what the waiting is called that it stands for. */
enum lead {
	TO_FUTURE, /* a closure cell holds a future */
	TO_QUEUE,  /* a closure cell or attribute holds a queue on whose getters somebody waits */
	TO_TASK,   /* an attribute of the method's object holds the waiting task */
	TO_SELF,   /* the method's object is the waiting task */
};

/*
 * The callbacks that asyncio itself puts on a task or future. A callback of
 * the program's own may have such a name, but not such a file. Checked against
 * the library of 3.8 to 3.15; first match counts.
 */
static const struct callback_row {
	const char *module;   /* file in asyncio/ */
	const char *function; /* its plain name */
	bool method;	      /* a bound method, else a function with a closure */
	const char *name;     /* of the cell or attribute */
	enum lead lead;
	enum ctask_edge_kind kind;
} callback_rows[] = {
	/* gather() */
	{ "tasks.py", "_done_callback", false, "outer", TO_FUTURE, CTASK_EDGE_GATHER },
	/* shield() */
	{ "tasks.py", "_inner_done_callback", false, "outer", TO_FUTURE, CTASK_EDGE_SHIELD },
	/* wait(), and as_completed() to 3.12 */
	{ "tasks.py", "_on_completion", false, "waiter", TO_FUTURE, CTASK_EDGE_WAIT },
	{ "tasks.py", "_on_completion", false, "done", TO_QUEUE, CTASK_EDGE_AS_COMPLETED },
	/* as_completed() from 3.13 on */
	{ "tasks.py", "_handle_completion", true, "_done", TO_QUEUE, CTASK_EDGE_AS_COMPLETED },
	{ "taskgroups.py", "_on_task_done", true, "_parent_task", TO_TASK, CTASK_EDGE_TASK_GROUP },
	/* tasks written in Python */
	{ "tasks.py", "__wakeup", true, NULL, TO_SELF, CTASK_EDGE_AWAIT },
	/* wrap_future(), run_coroutine_threadsafe(): on to the other loop */
	{ "futures.py", "_call_set_state", false, "destination", TO_FUTURE, CTASK_EDGE_AWAIT },
};

struct ctask_code *ctask_function_code(struct ctask_walk *walk, uint64_t function)
{
	uint64_t code;

	if (ctask_kind_of(&walk->heap, function) != CTASK_KIND_FUNCTION ||
	    ctask_heap_u64(&walk->heap, function + walk->heap.layout.function_code, &code))
		return NULL;
	return ctask_code_at(&walk->codes, code);
}

uint64_t ctask_closure_cell(struct ctask_walk *walk, uint64_t function, const char *name)
{
	struct ctask_heap *heap = &walk->heap;
	struct ctask_code *code = ctask_function_code(walk, function);
	struct ctask_items cells;
	uint64_t closure, value;
	int slot, names, first;

	if (!code || ctask_heap_u64(heap, function + heap->layout.function_closure, &closure) ||
	    !closure || ctask_items_of(heap, closure, &cells))
		return 0;
	slot = ctask_code_local(&walk->codes, code, name);
	names = ctask_code_slots(&walk->codes, code);
	first = names - (int)cells.count;
	if (slot < 0 || names < 0 || first < 0 || slot < first ||
	    ctask_items_get(heap, &cells, (uint64_t)(slot - first), &value) ||
	    ctask_kind_of(heap, value) != CTASK_KIND_CELL ||
	    ctask_heap_u64(heap, value + heap->layout.cell_ref, &value))
		return 0;
	return value;
}

int ctask_callbacks_of(struct ctask_walk *walk, uint64_t future, struct ctask_callbacks *ret)
{
	struct ctask_heap *heap = &walk->heap;
	const struct ctask_layout *l = &heap->layout;
	uint64_t list = 0;

	*ret = (struct ctask_callbacks){ 0 };
	switch (ctask_kind_of(heap, future)) {
	case CTASK_KIND_FUTURE:
	case CTASK_KIND_TASK:
		if (ctask_heap_u64(heap, future + l->task_callback0, &ret->first) ||
		    ctask_heap_u64(heap, future + l->task_callbacks, &list))
			return -EFAULT;
		break;
	case CTASK_KIND_PY_FUTURE:
	case CTASK_KIND_PY_TASK:
		if (ctask_attr(heap, future, "_callbacks", &list))
			return -EFAULT;
		break;
	default: /* concurrent.futures.Future, or nothing with callbacks */
		if (ctask_attr(heap, future, "_done_callbacks", &list))
			return 0;
		ret->plain = true;
	}
	if (list && ctask_kind_of(heap, list) == CTASK_KIND_LIST)
		return ctask_items_of(heap, list, &ret->items);
	return 0;
}

uint64_t ctask_callbacks_next(struct ctask_walk *walk, struct ctask_callbacks *callbacks)
{
	struct ctask_heap *heap = &walk->heap;
	uint64_t found = callbacks->first, pair;
	struct ctask_items items;

	callbacks->first = 0;
	while (!found && !ctask_items_get(heap, &callbacks->items, callbacks->at, &pair)) {
		callbacks->at++;
		if (ctask_pages_spend(heap->pages, 1))
			break;
		if (callbacks->plain)
			return pair;
		if (ctask_items_of(heap, pair, &items) || ctask_items_get(heap, &items, 0, &found))
			found = 0;
	}
	return found;
}

/* What one callback leads to. */
struct target {
	enum lead lead;
	uint64_t obj;
	uint64_t group; /* the task group that has the task, or 0 */
	enum ctask_edge_kind kind;
};

enum { ROWS = sizeof(callback_rows) / sizeof(callback_rows[0]) };

static bool is_about(const struct callback_row *row, const struct ctask_code *code)
{
	return !strcmp(code->plain_name, row->function) && !strcmp(code->module, row->module);
}

/* The next row about @p code from *from on, which moves behind it. NULL when there is none. */
static const struct callback_row *row_of(struct ctask_code *code, bool method, int *from)
{
	if (!code || !code->module)
		return NULL;
	if (code->callback_row == CTASK_ROW_UNKNOWN) {
		code->callback_row = CTASK_ROW_NONE;
		for (int i = ROWS; i-- > 0;)
			if (is_about(&callback_rows[i], code))
				code->callback_row = i;
	}
	if (code->callback_row == CTASK_ROW_NONE)
		return NULL;
	if (*from < code->callback_row)
		*from = code->callback_row;
	for (; *from < ROWS; (*from)++)
		if (callback_rows[*from].method == method && is_about(&callback_rows[*from], code))
			return &callback_rows[(*from)++];
	return NULL;
}

/*
 * The children of one gather share one callback, those of one group its
 * method and object: what it leads to is remembered.
 */
static struct ctask_near_lead *near_lead(struct ctask_walk *walk, uint64_t callback, uint64_t self)
{
	return &walk->near_leads[ctask_table_hash(callback ^ self) % CTASK_LEADS_NEAR];
}

static bool recall(const struct ctask_near_lead *near, struct target *ret)
{
	*ret = (struct target){
		.lead = (enum lead)near->lead,
		.obj = near->obj,
		.group = near->kind == CTASK_EDGE_TASK_GROUP ? near->self : 0,
		.kind = (enum ctask_edge_kind)near->kind,
	};
	return near->leads;
}

static bool remember(struct ctask_near_lead *near, uint64_t callback, uint64_t self, bool leads,
		     const struct target *target)
{
	*near = (struct ctask_near_lead){ .callback = callback, .self = self, .leads = leads };
	if (leads) {
		near->obj = target->obj;
		near->lead = (uint8_t)target->lead;
		near->kind = (uint8_t)target->kind;
	}
	return leads;
}

static bool find_lead_of_function(struct ctask_walk *walk, uint64_t function, struct target *ret)
{
	struct ctask_code *code = ctask_function_code(walk, function);
	const struct callback_row *row;
	int from = 0;

	while ((row = row_of(code, false, &from))) {
		uint64_t obj = ctask_closure_cell(walk, function, row->name);

		if (!obj)
			continue;
		*ret = (struct target){ .lead = row->lead, .obj = obj, .kind = row->kind };
		return true;
	}
	return false;
}

static bool lead_of_function(struct ctask_walk *walk, uint64_t function, struct target *ret)
{
	struct ctask_near_lead *near = near_lead(walk, function, 0);

	if (near->callback == function && !near->self)
		return recall(near, ret);
	return remember(near, function, 0, find_lead_of_function(walk, function, ret), ret);
}

static bool find_lead_of_method(struct ctask_walk *walk, uint64_t function, uint64_t self,
				struct target *ret)
{
	struct ctask_heap *heap = &walk->heap;
	const struct callback_row *row;
	uint64_t obj;
	int from = 0;

	row = row_of(ctask_function_code(walk, function), true, &from);
	if (!row)
		return false;
	obj = self;
	if (row->lead != TO_SELF && ctask_attr(heap, self, row->name, &obj))
		return false;
	*ret = (struct target){
		.lead = row->lead,
		.obj = obj,
		.group = row->kind == CTASK_EDGE_TASK_GROUP ? self : 0,
		.kind = row->kind,
	};
	return true;
}

static bool lead_of_method(struct ctask_walk *walk, uint64_t method, struct target *ret)
{
	struct ctask_heap *heap = &walk->heap;
	struct ctask_near_lead *near;
	uint64_t function, self;

	if (ctask_heap_u64(heap, method + heap->layout.method_func, &function) ||
	    ctask_heap_u64(heap, method + heap->layout.method_self, &self))
		return false;
	near = near_lead(walk, function, self);
	if (near->callback == function && near->self == self && self)
		return recall(near, ret);
	return remember(near, function, self, find_lead_of_method(walk, function, self, ret), ret);
}

/* 3.10 on: a task's own wakeup is a builtin bound to it. */
static bool lead_of_builtin(struct ctask_walk *walk, uint64_t builtin, struct target *ret)
{
	struct ctask_heap *heap = &walk->heap;
	uint64_t self;

	if (ctask_heap_u64(heap, builtin + heap->layout.cfunction_self, &self) ||
	    ctask_kind_of(heap, self) != CTASK_KIND_TASK)
		return false;
	*ret = (struct target){ .lead = TO_SELF, .obj = self, .kind = CTASK_EDGE_AWAIT };
	return true;
}

/* wait_for() to 3.11: partial(_release_waiter, waiter). */
static bool lead_of_partial(struct ctask_walk *walk, uint64_t partial, struct target *ret)
{
	struct ctask_heap *heap = &walk->heap;
	const struct ctask_layout *l = &heap->layout;
	const struct ctask_code *code;
	uint64_t function, args, waiter;
	struct ctask_items items;

	if (ctask_heap_u64(heap, partial + l->partial_func, &function) ||
	    ctask_heap_u64(heap, partial + l->partial_args, &args))
		return false;
	code = ctask_function_code(walk, function);
	if (!code || !code->module || strcmp(code->module, "tasks.py") ||
	    strcmp(code->plain_name, "_release_waiter") || ctask_items_of(heap, args, &items) ||
	    ctask_items_get(heap, &items, 0, &waiter))
		return false;
	*ret = (struct target){ .lead = TO_FUTURE, .obj = waiter, .kind = CTASK_EDGE_WAIT_FOR };
	return true;
}

static bool lead_of(struct ctask_walk *walk, uint64_t callback, struct target *ret)
{
	struct ctask_heap *heap = &walk->heap;

	switch (ctask_kind_of(heap, callback)) {
	case CTASK_KIND_TASK_WAKEUP:
		*ret = (struct target){ .lead = TO_SELF, .kind = CTASK_EDGE_AWAIT };
		return !ctask_heap_u64(heap, callback + heap->layout.wakeup_task, &ret->obj);
	case CTASK_KIND_BUILTIN:
		return lead_of_builtin(walk, callback, ret);
	case CTASK_KIND_FUNCTION:
		return lead_of_function(walk, callback, ret);
	case CTASK_KIND_METHOD:
		return lead_of_method(walk, callback, ret);
	case CTASK_KIND_PARTIAL:
		return lead_of_partial(walk, callback, ret);
	default:
		return false;
	}
}

/* Addresses still to follow, or found. */
struct list {
	uint64_t *at;
	uint32_t count, room;
};

static int list_add(struct list *list, uint64_t value)
{
	if (list->count == list->room) {
		uint32_t room = list->room * 2 + 16;
		uint64_t *moved = realloc(list->at, room * sizeof(*moved));

		if (!moved)
			return -ENOMEM;
		list->at = moved;
		list->room = room;
	}
	list->at[list->count++] = value;
	return 0;
}

/* The futures of those who wait in Queue.get(). */
static int add_getters(struct ctask_walk *walk, uint64_t queue, struct list *futures)
{
	enum { GETTERS_MAX = 1024 };
	uint64_t deque, getters[GETTERS_MAX], count;
	int ret = 0;

	if (ctask_attr(&walk->heap, queue, "_getters", &deque) ||
	    ctask_deque_items(&walk->heap, deque, getters, GETTERS_MAX, &count))
		return 0;
	if (count > GETTERS_MAX)
		return -E2BIG;
	for (uint64_t i = 0; !ret && i < count; i++)
		ret = list_add(futures, getters[i]);
	return ret;
}

/* Follow the callbacks of everything in @p futures until tasks are reached. */
static int follow(struct ctask_walk *walk, struct list *futures, struct list *tasks)
{
	struct ctask_table seen = { 0 };
	int ret = 0;

	for (uint32_t i = 0; !ret && i < futures->count; i++) {
		struct ctask_callbacks callbacks;
		struct target target;
		uint64_t callback;

		if (i >= HOPS_MAX) {
			ret = -E2BIG;
			break;
		}
		ret = ctask_pages_spend(walk->heap.pages, 1);
		if (ret)
			break;
		if (!futures->at[i] || ctask_table_get(&seen, futures->at[i], 0))
			continue;
		ret = ctask_table_put(&seen, futures->at[i], 1);
		if (ret || ctask_callbacks_of(walk, futures->at[i], &callbacks))
			continue;
		while (!ret && (callback = ctask_callbacks_next(walk, &callbacks))) {
			if (!lead_of(walk, callback, &target))
				continue;
			if (target.lead == TO_QUEUE)
				ret = add_getters(walk, target.obj, futures);
			else
				ret = list_add(target.lead == TO_FUTURE ? futures : tasks,
					       target.obj);
		}
	}
	ctask_table_fini(&seen);
	return ret;
}

/* The tasks that wake when @p future is done: walk->wakes[*ret_first], count first. */
static int waiters_of_future(struct ctask_walk *walk, uint64_t future, bool queue,
			     uint32_t *ret_first)
{
	struct list futures = { 0 }, tasks = { 0 };
	int ret;

	*ret_first = ctask_table_get(&walk->future_index, future, CTASK_NONE);
	if (*ret_first != CTASK_NONE)
		return 0;
	ret = queue ? add_getters(walk, future, &futures) : list_add(&futures, future);
	if (!ret)
		ret = follow(walk, &futures, &tasks);
	if (!ret) {
		struct list wakes = { walk->wakes, walk->wake_count, walk->wake_room };

		*ret_first = wakes.count;
		ret = list_add(&wakes, tasks.count);
		for (uint32_t i = 0; !ret && i < tasks.count; i++)
			ret = list_add(&wakes, tasks.at[i]);
		walk->wakes = wakes.at;
		walk->wake_count = wakes.count;
		walk->wake_room = wakes.room;
	}
	if (!ret)
		ret = ctask_table_put(&walk->future_index, future, *ret_first);
	free(futures.at);
	free(tasks.at);
	return ret;
}

int ctask_waiters_add_edge(struct ctask_walk *walk, uint64_t waiter, uint32_t awaited,
			   enum ctask_edge_kind kind)
{
	int ret = ctask_pages_spend(walk->heap.pages, EDGE_STEPS);

	if (ret)
		return ret;
	if (walk->edge_count == walk->edge_room) {
		uint32_t room = walk->edge_room + walk->edge_room / 2 + 64;
		struct ctask_raw_edge *moved = realloc(walk->edges, room * sizeof(*moved));

		if (!moved)
			return -ENOMEM;
		walk->edges = moved;
		walk->edge_room = room;
	}
	walk->edges[walk->edge_count++] = (struct ctask_raw_edge){ .waiter = waiter,
								   .awaited = awaited,
								   .kind = (uint8_t)kind };
	return 0;
}

static int follow_target(struct ctask_walk *walk, const struct target *target,
			 const struct ctask_task_view *view, uint32_t awaited)
{
	uint32_t first;
	int ret = target->group ? ctask_scopes_add_child(walk, target->group, awaited) : 0;

	if (ret || !target->obj)
		return ret;
	if (target->lead == TO_SELF || target->lead == TO_TASK)
		return ctask_waiters_add_edge(walk, target->obj, awaited, target->kind);
	ret = waiters_of_future(walk, target->obj, target->lead == TO_QUEUE, &first);
	if (ret == -E2BIG)
		return ctask_snapshot_add_problem(
			walk->snap, view->addr,
			"more lies between it and its waiters than ctask follows");
	for (uint64_t i = 1; !ret && i <= walk->wakes[first]; i++)
		ret = ctask_waiters_add_edge(walk, walk->wakes[first + i], awaited, target->kind);
	return ret;
}

int ctask_waiters_read(struct ctask_walk *walk, const struct ctask_task_view *view,
		       uint32_t awaited)
{
	struct ctask_callbacks callbacks = { .first = view->callback0 };
	struct ctask_heap *heap = &walk->heap;
	struct target target;
	uint64_t callback;
	int ret = 0;

	if (view->callbacks && ctask_kind_of(heap, view->callbacks) == CTASK_KIND_LIST &&
	    ctask_items_of(heap, view->callbacks, &callbacks.items))
		return ctask_snapshot_add_problem(walk->snap, view->addr,
						  "its callbacks could not be read");
	while (!ret && (callback = ctask_callbacks_next(walk, &callbacks)))
		if (lead_of(walk, callback, &target))
			ret = follow_target(walk, &target, view, awaited);
	return ret;
}
