/* anyio.c - anyio on asyncio: its task groups and cancel scopes. On trio they are trio's own. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

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

/* The groups that a frame is inside of, or leaves. */
static int read_groups(struct ctask_walk *walk, const struct ctask_link *link)
{
	const struct ctask_code *code = walk->codes.codes[link->code];
	struct ctask_slots slots = ctask_slots_of(walk, link);
	uint64_t obj, host;
	uint32_t scope;
	int ret = 0;

	if (code->module && !strcmp(code->module, BACKEND) &&
	    !strcmp(code->plain_name, "__aexit__") &&
	    !ctask_link_local(&walk->codes, link, "self", &obj))
		ret = find_group(walk, obj, &scope, &host);
	for (; !ret && slots.at < slots.end; slots.at += 8) {
		const struct ctask_type *type = ctask_slot_object(walk, slots.at, &obj);

		if (type && !strcmp(ctask_type_short_name(type), "TaskGroup"))
			ret = find_group(walk, obj, &scope, &host);
	}
	return ret;
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

int ctask_anyio_read_task(struct ctask_walk *walk, uint32_t index)
{
	const struct ctask_chain *chain = &walk->chain;
	uint64_t group, host = 0;
	uint32_t scope;
	int ret;

	if (!walk->modules.anyio_asyncio)
		return 0;
	ret = ctask_scopes_hide_library(walk);
	for (uint32_t i = 0; !ret && i < chain->count && !chain->executing; i++)
		ret = read_groups(walk, &chain->links[i]);
	group = ret ? 0 : group_of(walk, walk->snap->tasks[index].id);
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

/* Once all are known: whose each is, and in which it lies. */
static void settle(struct ctask_walk *walk)
{
	struct ctask_snapshot *snap = walk->snap;

	for (uint32_t i = 0; i < walk->anyio_count; i++) {
		uint64_t at = walk->anyio_scopes[i].cancel_scope;
		uint32_t self = walk->anyio_scopes[i].scope, outer = CTASK_NONE, owner;
		uint64_t host = ctask_scope_attr(walk, at, "_host_task");

		owner = host ? ctask_table_get(&walk->task_index, host, CTASK_NONE) : CTASK_NONE;
		if (owner < snap->task_count)
			snap->scopes[self].owner = owner;
		for (int n = 0; outer >= snap->scope_count && n < SCOPES_MAX; n++) {
			at = ctask_scope_attr(walk, at, "_parent_scope");
			if (!at || ctask_pages_spend(walk->heap.pages, 1))
				break;
			outer = ctask_table_get(&walk->scope_index, at, CTASK_NONE);
		}
		if (outer < snap->scope_count && outer != self)
			snap->scopes[self].parent = outer;
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
