/* anyio.c - anyio on asyncio: its task groups and cancel scopes. On trio they are trio's own. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/cleanup.h"
#include "reader/scopes.h"
#include "reader/walk.h"

enum { SCOPES_MAX = 1 << 16 }; /* that one task is inside of */

#define BACKEND "anyio/_backends/_asyncio.py"

static int add(struct ctask_walk *walk, uint64_t cancel_scope, uint32_t scope)
{
	if (walk->anyio_count == walk->anyio_room) {
		uint32_t room = walk->anyio_room * 2 + 64;
		struct ctask_anyio_scope *moved =
			realloc(walk->anyio_scopes, room * sizeof(*moved));

		if (!moved)
			return -ENOMEM;
		walk->anyio_scopes = moved;
		walk->anyio_room = room;
	}
	walk->anyio_scopes[walk->anyio_count++] =
		(struct ctask_anyio_scope){ .cancel_scope = cancel_scope, .scope = scope };
	return ctask_table_put(&walk->scope_index, cancel_scope, scope);
}

/* When the scope ends, in seconds from now; NAN: it does not by itself. */
static double read_deadline(struct ctask_walk *walk, uint64_t cancel_scope)
{
	uint64_t deadline = ctask_scope_attr(walk, cancel_scope, "_deadline");
	double at;

	if (!deadline || ctask_number_value(&walk->heap, deadline, &at) || !isfinite(at))
		return NAN;
	return at - walk->now_s;
}

/* The scope of a CancelScope, made when it is new; @p group is the one that it is the scope of, or 0. */
static int find_scope(struct ctask_walk *walk, uint64_t cancel_scope, uint64_t group, uint32_t *ret)
{
	struct ctask_scope *scope;
	uint64_t reason;

	*ret = ctask_table_get(&walk->scope_index, cancel_scope, CTASK_NONE);
	if (*ret != CTASK_NONE)
		return 0;
	*ret = ctask_snapshot_add_scope(walk->snap);
	if (*ret == CTASK_NONE || add(walk, cancel_scope, *ret))
		return -ENOMEM;
	scope = &walk->snap->scopes[*ret];
	scope->id = group ? group : cancel_scope;
	scope->kind = group ? CTASK_SCOPE_TASK_GROUP : CTASK_SCOPE_CANCEL_SCOPE;
	scope->deadline_in_s = read_deadline(walk, cancel_scope);
	scope->cancel_called = ctask_scope_is(walk, cancel_scope, "_cancel_called");
	scope->shield = ctask_scope_is(walk, cancel_scope, "_shield");
	reason = ctask_scope_attr(walk, cancel_scope, "_cancel_reason"); /* from 4.11 on */
	if (reason && ctask_str_text(&walk->heap, reason, walk->snap->texts, &scope->reason))
		scope->reason = NULL;
	return 0;
}

/* The scope of a TaskGroup of anyio's, and the task that entered it, 0 = none; others have no such attributes. */
static int find_group(struct ctask_walk *walk, uint64_t group, uint32_t *ret_scope,
		      uint64_t *ret_host)
{
	uint64_t cancel_scope = ctask_scope_attr(walk, group, "cancel_scope");

	*ret_host = ctask_scope_attr(walk, cancel_scope, "_host_task");
	return *ret_host ? find_scope(walk, cancel_scope, group, ret_scope) : 0;
}

/* The scope that @p obj is, as a CancelScope or TaskGroup that task @p host entered; CTASK_NONE: it is none. */
static int find_entered(struct ctask_walk *walk, uint64_t obj, uint64_t host, uint32_t *ret)
{
	const struct ctask_type *type = ctask_type_of(&walk->heap, obj);
	const char *name = type ? ctask_type_short_name(type) : "";
	uint64_t entered_by;

	*ret = CTASK_NONE;
	if (!strcmp(name, "CancelScope") && ctask_scope_attr(walk, obj, "_host_task") == host)
		return find_scope(walk, obj, 0, ret);
	if (!strcmp(name, "TaskGroup") &&
	    ctask_scope_attr(walk, ctask_scope_attr(walk, obj, "cancel_scope"), "_host_task") ==
		    host)
		return find_group(walk, obj, ret, &entered_by);
	return 0;
}

/* The same of the generator of a context manager, such as fail_after(): what it is inside of. */
static int find_in_generator(struct ctask_walk *walk, uint64_t gen, uint64_t host, uint32_t *ret)
{
	enum ctask_kind kind = ctask_kind_of(&walk->heap, gen);
	struct ctask_frame_view frame;
	enum ctask_gen_state state;
	struct ctask_slots slots;
	struct ctask_link link;
	uint64_t awaited, obj;
	int error = 0;

	if ((kind != CTASK_KIND_GENERATOR && kind != CTASK_KIND_ASYNC_GENERATOR) ||
	    ctask_gen_read(&walk->codes, gen, kind, &state, &frame, &awaited) ||
	    state != CTASK_GEN_SUSPENDED)
		return 0;
	link = (struct ctask_link){ .locals = frame.locals,
				    .stack_top = frame.stack_top,
				    .code = ctask_code_at(&walk->codes, frame.code)->index };
	for (slots = ctask_slots_of(walk, &link);
	     !error && *ret == CTASK_NONE && slots.at < slots.end; slots.at += 8)
		if (ctask_slot_object(walk, slots.at, &obj))
			error = find_entered(walk, obj, host, ret);
	return error;
}

int ctask_anyio_find_slot(struct ctask_walk *walk, uint64_t slot, uint64_t host, uint32_t *ret)
{
	/* Under which names context managers of others have a scope that they enter. */
	static const char *const names[] = { "cancel_scope", "_cancel_scope", "scope",
					     "_scope",	     "task_group",    "_task_group" };
	const struct ctask_type *type;
	uint64_t obj, inner;
	int error;

	*ret = CTASK_NONE;
	if (!walk->modules.anyio_asyncio)
		return 0;
	type = ctask_slot_object(walk, slot, &obj);
	if (!type || type->kind != CTASK_KIND_OTHER)
		return 0;
	error = find_entered(walk, obj, host, ret);
	if (!error && *ret == CTASK_NONE && (inner = ctask_scope_attr(walk, obj, "gen")))
		error = find_in_generator(walk, inner, host, ret);
	for (size_t i = 0; !error && *ret == CTASK_NONE && i < ARRAY_SIZE(names); i++) {
		inner = ctask_scope_attr(walk, obj, names[i]);
		if (inner)
			error = find_entered(walk, inner, host, ret);
	}
	return error;
}

int ctask_anyio_find_exit(struct ctask_walk *walk, const struct ctask_link *link, uint32_t *ret)
{
	const struct ctask_code *code = walk->codes.codes[link->code];
	uint64_t group, host;

	*ret = CTASK_NONE;
	if (!code->module || strcmp(code->module, BACKEND) ||
	    strcmp(code->plain_name, "__aexit__") ||
	    ctask_link_local(&walk->codes, link, "self", &group))
		return 0;
	return find_group(walk, group, ret, &host);
}

/* The group that has a task: from the callback on it, in 2.x from its outermost frame. 0 = none. */
static uint64_t group_of(struct ctask_walk *walk, uint64_t task)
{
	const struct ctask_chain *chain = &walk->chain;
	struct ctask_callbacks callbacks;
	const struct ctask_code *code;
	uint64_t callback, self;

	if (!ctask_callbacks_of(walk, task, &callbacks))
		while ((callback = ctask_callbacks_next(walk, &callbacks))) {
			code = ctask_function_code(walk, callback);
			if (code && code->module && !strcmp(code->module, BACKEND) &&
			    !strcmp(code->plain_name, "task_done"))
				return ctask_closure_cell(walk, callback, "self");
		}
	if (!chain->count)
		return 0;
	code = walk->codes.codes[chain->links[0].code];
	if (!code->module || strcmp(code->module, BACKEND) ||
	    strcmp(code->plain_name, "_run_wrapped_task") ||
	    ctask_link_local(&walk->codes, &chain->links[0], "self", &self))
		return 0;
	return self;
}

int ctask_anyio_read_child(struct ctask_walk *walk, uint32_t index)
{
	uint64_t group, host = 0;
	uint32_t scope;
	int ret = 0;

	if (!walk->modules.anyio_asyncio)
		return 0;
	group = group_of(walk, walk->snap->tasks[index].id);
	if (group)
		ret = find_group(walk, group, &scope, &host);
	if (ret || !host || scope >= walk->snap->scope_count)
		return ret;
	walk->snap->tasks[index].scope = scope;
	return ctask_waiters_add_edge(walk, host, index, CTASK_EDGE_TASK_GROUP);
}

/* The scopes that task @p index is inside of, from the innermost outwards. */
static int read_entered(struct ctask_walk *walk, uint32_t index, uint64_t cancel_scope)
{
	bool limited = true;
	double least = NAN;
	uint32_t scope;
	int ret = 0;

	for (int i = 0; !ret && cancel_scope && i < SCOPES_MAX; i++) {
		ret = ctask_pages_spend(walk->heap.pages, 1);
		if (!ret)
			ret = find_scope(walk, cancel_scope, 0, &scope);
		limited &= !ctask_scope_is(walk, cancel_scope, "_cancel_called");
		if (limited)
			least = fmin(least, read_deadline(walk, cancel_scope));
		limited &= !ctask_scope_is(walk, cancel_scope, "_shield");
		cancel_scope = ctask_scope_attr(walk, cancel_scope, "_parent_scope");
	}
	return ret ? ret : ctask_scopes_limit_wait(walk, index, least);
}

static int compare_scopes(const void *left, const void *right)
{
	const struct ctask_anyio_scope *a = left, *b = right;

	return (a->scope > b->scope) - (a->scope < b->scope);
}

static bool is_anyio(const struct ctask_walk *walk, uint32_t scope)
{
	const struct ctask_anyio_scope key = { .scope = scope };

	/* Numbers are given in ascending order. */
	return bsearch(&key, walk->anyio_scopes, walk->anyio_count, sizeof(key), compare_scopes);
}

/* The scope of anyio around that of the CancelScope at @p at, of those that are shown. */
static uint32_t outer_of(struct ctask_walk *walk, uint64_t at)
{
	uint32_t outer = CTASK_NONE;

	for (int n = 0; outer >= walk->snap->scope_count && n < SCOPES_MAX; n++) {
		at = ctask_scope_attr(walk, at, "_parent_scope");
		if (!at || ctask_pages_spend(walk->heap.pages, 1))
			break;
		outer = ctask_table_get(&walk->scope_index, at, CTASK_NONE);
	}
	return outer;
}

/* Once all are known: whose each is, and in which it lies. */
static void settle(struct ctask_walk *walk)
{
	struct ctask_snapshot *snap = walk->snap;

	for (uint32_t i = 0; i < walk->anyio_count; i++) {
		const struct ctask_anyio_scope *one = &walk->anyio_scopes[i];
		struct ctask_scope *scope = &snap->scopes[one->scope];
		uint64_t host = ctask_scope_attr(walk, one->cancel_scope, "_host_task");
		uint32_t owner =
			host ? ctask_table_get(&walk->task_index, host, CTASK_NONE) : CTASK_NONE;
		uint32_t outer = outer_of(walk, one->cancel_scope);

		if (owner < snap->task_count)
			scope->owner = owner;
		/* A block of asyncio around it, in the same task, anyio does not know. */
		if (scope->parent < snap->scope_count && !is_anyio(walk, scope->parent))
			continue;
		if (outer < snap->scope_count && outer != one->scope)
			scope->parent = outer;
	}
	walk->anyio_count = 0;
}

/* A WeakKeyDictionary: weak references to tasks, and the state of each. */
static int read_states(struct ctask_walk *walk, uint64_t states)
{
	struct ctask_heap *heap = &walk->heap;
	struct ctask_iter iter;
	uint64_t dict, task, state;
	int ret = ctask_attr(heap, states, "data", &dict);

	if (!ret)
		ret = ctask_dict_iter(heap, dict, &iter);
	while (!ret && ctask_iter_next(&iter, &task, &state)) {
		uint32_t index;

		if (ctask_kind_of(heap, task) != CTASK_KIND_WEAKREF ||
		    ctask_heap_u64(heap, task + heap->layout.weakref_object, &task))
			continue;
		index = ctask_table_get(&walk->task_index, task, CTASK_NONE);
		if (index < walk->snap->task_count)
			ret = read_entered(walk, index,
					   ctask_scope_attr(walk, state, "cancel_scope"));
	}
	return ret ? ret : iter.error;
}

int ctask_anyio_walk(struct ctask_walk *walk)
{
	uint64_t states = 0;
	int ret;

	if (walk->count_only)
		return 0;
	ret = ctask_module_find(&walk->heap, walk->modules.anyio_asyncio,
				&(struct ctask_wanted){ "_task_states", &states }, 1);
	if (!ret && states)
		ret = read_states(walk, states);
	settle(walk);
	return ctask_walk_tell(walk, ret, "anyio's register of tasks");
}
