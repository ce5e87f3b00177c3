/* standing.c - the scopes that a task is inside of: which of them are worth a word. */
#include "analysis/standing.h"

#include <math.h>

static uint32_t owner_of(const struct ctask_snapshot *snap, uint32_t i)
{
	return snap->scopes[i].owner;
}

int ctask_groups_by_owner(struct ctask_groups *groups, const struct ctask_snapshot *snap)
{
	return ctask_groups_init(groups, snap, snap->task_count, snap->scope_count, owner_of);
}

bool ctask_scope_tells(const struct ctask_snapshot *snap, const struct ctask_scope *scope)
{
	double left_s = snap->tasks[scope->owner].wait_left_s;

	if (scope->kind == CTASK_SCOPE_TIMEOUT) /* told as the limit of a wait */
		return false;
	return scope->cancel_called || scope->shield ||
	       (!isnan(scope->deadline_in_s) && !(scope->deadline_in_s == left_s));
}

bool ctask_deadline_is_own(const struct ctask_snapshot *snap, const struct ctask_groups *owned,
			   uint32_t task)
{
	for (uint32_t i = owned->first[task]; i < owned->first[task + 1]; i++) {
		const struct ctask_scope *scope = &snap->scopes[owned->items[i]];

		if (!scope->cancel_called && scope->deadline_in_s == snap->tasks[task].wait_left_s)
			return true;
	}
	return false;
}
