/* standing.h - the scopes that a task is inside of: which of them are worth a word. */
#ifndef CTASK_ANALYSIS_STANDING_H
#define CTASK_ANALYSIS_STANDING_H

#include "model/groups.h"

/** The scopes of each owner: one group for each task. */
int ctask_groups_by_owner(struct ctask_groups *groups, const struct ctask_snapshot *snap);

/**
 * Whether there is more to tell of @p scope, which has an owner, than that it is there: it is
 * cancelled, shielded, or has a deadline other than the one that is told of what its owner waits for.
 */
bool ctask_scope_tells(const struct ctask_snapshot *snap, const struct ctask_scope *scope);
/** Whether the first deadline that limits what @p task waits for is that of a scope which it is inside of itself. */
bool ctask_deadline_is_own(const struct ctask_snapshot *snap, const struct ctask_groups *owned,
			   uint32_t task);

#endif
