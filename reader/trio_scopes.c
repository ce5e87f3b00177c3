/* trio_scopes.c - nurseries and cancel scopes of trio's tasks: from its tree of cancel statuses. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "model/cleanup.h"
#include "reader/scopes.h"
#include "reader/trio.h"

enum {
	NURSERIES_MAX = 1 << 16, /* open ones of one task */
	STATUSES_MAX = 1 << 16,	 /* cancel scopes that one task is inside of */
};

/* From 0.31 on: the text that was given to cancel(). */
static int read_reason(struct ctask_walk *walk, uint64_t cancel_scope, ctask_text *ret)
{
	uint64_t text = ctask_scope_attr(
		walk, ctask_scope_attr(walk, cancel_scope, "_cancel_reason"), "reason");

	if (!text)
		return 0;
	return ctask_str_text(&walk->heap, text, walk->snap->texts, ret) == -ENOMEM ? -ENOMEM : 0;
}

/* The scope of a CancelScope, made when it is new; @p nursery is the one that it is the scope of, or 0. */
static int find_scope(struct ctask_walk *walk, const struct ctask_trio_run *run,
		      uint64_t cancel_scope, uint64_t nursery, uint32_t *ret)
{
	struct ctask_scope *scope;
	uint64_t deadline;
	double at;

	*ret = ctask_table_get(&walk->scope_index, cancel_scope, CTASK_NONE);
	if (*ret != CTASK_NONE)
		return 0;
	*ret = ctask_snapshot_add_scope(walk->snap);
	if (*ret == CTASK_NONE || ctask_table_put(&walk->scope_index, cancel_scope, *ret))
		return -ENOMEM;
	scope = &walk->snap->scopes[*ret];
	scope->id = nursery ? nursery : cancel_scope;
	scope->kind = nursery ? CTASK_SCOPE_NURSERY : CTASK_SCOPE_CANCEL_SCOPE;
	scope->cancel_called = ctask_scope_is(walk, cancel_scope, "_cancel_called");
	scope->shield = ctask_scope_is(walk, cancel_scope, "_shield");
	deadline = ctask_scope_attr(walk, cancel_scope, "_deadline");
	if (deadline && !ctask_number_value(&walk->heap, deadline, &at) && isfinite(at))
		scope->deadline_in_s = at - run->now_s;
	return read_reason(walk, cancel_scope, &scope->reason);
}

/* The nurseries that task @p index has open. */
static int read_nurseries(struct ctask_walk *walk, const struct ctask_trio_run *run, uint32_t index)
{
	struct ctask_heap *heap = &walk->heap;
	uint64_t list = run->places[index - run->first_task].child_nurseries;
	struct ctask_items items;
	int ret = 0;

	if (!list || ctask_items_of(heap, list, &items))
		return ctask_snapshot_add_problem(walk->snap, walk->snap->tasks[index].id,
						  "its nurseries could not be read");
	for (uint64_t i = 0; !ret && i < items.count && i < NURSERIES_MAX; i++) {
		uint64_t nursery, cancel_scope;
		uint32_t scope;

		ret = ctask_pages_spend(heap->pages, 1);
		if (ret || ctask_items_get(heap, &items, i, &nursery))
			break;
		cancel_scope = ctask_scope_attr(walk, nursery, "cancel_scope");
		if (!cancel_scope)
			continue;
		ret = find_scope(walk, run, cancel_scope, nursery, &scope);
		if (!ret && scope < walk->snap->scope_count)
			walk->snap->scopes[scope].owner = index;
	}
	return ret;
}

/* The scope around that of @p status, of those that are shown; CTASK_NONE when there is none. */
static int find_outer(struct ctask_walk *walk, const struct ctask_trio_run *run, uint64_t status,
		      uint32_t *ret)
{
	*ret = CTASK_SCOPE_NOT_SHOWN;
	for (int i = 0; *ret == CTASK_SCOPE_NOT_SHOWN && i < STATUSES_MAX; i++) {
		uint64_t cancel_scope;
		int error;

		status = ctask_scope_attr(walk, status, "_parent");
		cancel_scope = ctask_scope_attr(walk, status, "_scope");
		if (!cancel_scope)
			break;
		error = find_scope(walk, run, cancel_scope, 0, ret);
		if (error)
			return error;
	}
	if (*ret >= walk->snap->scope_count)
		*ret = CTASK_NONE;
	return 0;
}

/*
 * When the task in @p status is cancelled, if nothing happens before: the first deadline from there
 * outwards, as far as no shield keeps it off. NAN: at no time, or it is cancelled already.
 */
static double first_deadline(struct ctask_walk *walk, const struct ctask_trio_run *run,
			     uint64_t status)
{
	double least = NAN, at;

	for (int i = 0; status && i < STATUSES_MAX; i++) {
		uint64_t cancel_scope = ctask_scope_attr(walk, status, "_scope");
		uint64_t deadline = ctask_scope_attr(walk, cancel_scope, "_deadline");

		if (ctask_pages_spend(walk->heap.pages, 1) ||
		    ctask_scope_is(walk, cancel_scope, "_cancel_called"))
			return NAN;
		if (deadline && !ctask_number_value(&walk->heap, deadline, &at) && isfinite(at))
			least = fmin(least, at - run->now_s);
		if (ctask_scope_is(walk, cancel_scope, "_shield"))
			break;
		status = ctask_scope_attr(walk, status, "_parent");
	}
	return least;
}

/* False where a scope was left before those inside of it: then trio cuts the tree, and who entered what is lost. */
static bool leads_to(struct ctask_walk *walk, uint64_t status, uint64_t outermost)
{
	for (int i = 0; status && status != outermost && i < STATUSES_MAX; i++) {
		if (ctask_pages_spend(walk->heap.pages, 1))
			return false;
		status = ctask_scope_attr(walk, status, "_parent");
	}
	return status == outermost;
}

/*
 * A task stands in the innermost of its cancel statuses. Those from there
 * outwards to that of the nursery which has the task are what it entered
 * itself, in this order.
 */
static int read_entered(struct ctask_walk *walk, const struct ctask_trio_run *run, uint32_t index)
{
	uint64_t nursery = run->places[index - run->first_task].nursery;
	uint64_t outermost = ctask_scope_attr(walk, nursery, "_cancel_status");
	uint64_t status = run->places[index - run->first_task].status;
	uint64_t cancel_scope = ctask_scope_attr(walk, nursery, "cancel_scope");
	uint32_t scope, outer;
	int ret = 0;

	if (cancel_scope) {
		ret = find_scope(walk, run, cancel_scope, nursery, &scope);
		if (ret)
			return ret;
		walk->snap->tasks[index].scope = scope;
	}
	if (walk->snap->tasks[index].state == CTASK_WAITING)
		ret = ctask_scopes_limit_wait(walk, index, first_deadline(walk, run, status));
	if (ret || !leads_to(walk, status, outermost))
		return ret;
	while (!ret && status != outermost) {
		uint64_t inner = status;

		ret = ctask_pages_spend(walk->heap.pages, 1);
		cancel_scope = ctask_scope_attr(walk, status, "_scope");
		if (ret || !cancel_scope)
			break;
		ret = find_scope(walk, run, cancel_scope, 0, &scope);
		status = ctask_scope_attr(walk, status, "_parent");
		if (ret || scope >= walk->snap->scope_count)
			continue;
		ret = find_outer(walk, run, inner, &outer);
		if (ret)
			break;
		walk->snap->scopes[scope].parent = outer != scope ? outer : CTASK_NONE;
		if (walk->snap->scopes[scope].owner == CTASK_NONE)
			walk->snap->scopes[scope].owner = index;
	}
	return ret;
}

int ctask_trio_scopes_read(struct ctask_walk *walk, const struct ctask_trio_run *run)
{
	const uint32_t end = run->first_task + run->task_count;
	int ret = 0;

	for (uint32_t i = run->first_task; !ret && i < end; i++)
		ret = read_nurseries(walk, run, i);
	for (uint32_t i = run->first_task; !ret && i < end; i++)
		ret = read_entered(walk, run, i);
	return ret;
}
