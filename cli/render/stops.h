/* stops.h - what is said beside a task of a request to stop it, and of how it was made. */
#ifndef CTASK_CLI_RENDER_STOPS_H
#define CTASK_CLI_RENDER_STOPS_H

#include "analysis/asking.h"
#include "cli/render/line.h"
#include "cli/render/words.h"
#include "model/lookup.h"

/**
 * What became of a request to stop, in its style; nothing when there is none:
 * "stopping: cleaning up for 300 ms (timeout, svc.py:66)", "asked to stop 12 s ago (timeout,
 * svc.py:66), swallowed it, still running"; and where no agent tells why and when, "asked to
 * stop 3 times, cleaning up".
 */
void ctask_stop_put(struct ctask_line *line, const struct ctask_snapshot *snap,
		    struct ctask_alike alike);

/** True when there is something to tell about how @p task was made. */
bool ctask_birth_is_known(const struct ctask_snapshot *snap, const struct ctask_task *task);
/** "made 12 s ago by main (Task-1)  svc.py:20". @p tasks: see ctask_lookup_add_tasks(). */
void ctask_birth_put(struct ctask_line *line, const struct ctask_snapshot *snap,
		     const struct ctask_lookup *tasks, const struct ctask_task *task);
/** Only who and where: "main (Task-1)  svc.py:20". False when neither is known. */
bool ctask_birth_put_maker(struct ctask_line *line, const struct ctask_snapshot *snap,
			   const struct ctask_lookup *tasks, const struct ctask_task *task);

#endif
