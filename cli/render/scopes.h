/* scopes.h - what is said beside a task of the scopes that it is inside of. */
#ifndef CTASK_CLI_RENDER_SCOPES_H
#define CTASK_CLI_RENDER_SCOPES_H

#include "cli/render/line.h"
#include "cli/render/words.h"
#include "model/groups.h"

/** How many scopes of @p task there is something to tell of. @p owned: see ctask_groups_by_owner(). */
uint32_t ctask_scopes_telling(const struct ctask_snapshot *snap, const struct ctask_groups *owned,
			      uint32_t task);
/** "cancel scope, 12 s left, shielded · nursery cancelled (too many)": those of tasks that are alike. */
void ctask_scopes_put(struct ctask_line *line, const struct ctask_snapshot *snap,
		      const struct ctask_groups *owned, struct ctask_alike alike);

#endif
