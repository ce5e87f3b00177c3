/* narrow.h - a snapshot cut down to what somebody asked for. */
#ifndef CTASK_ANALYSIS_NARROW_H
#define CTASK_ANALYSIS_NARROW_H

#include "model/error.h"
#include "model/snapshot.h"

/*
 * All change @p snap in place. What stays is what was there: edges between
 * tasks that stay, scopes that own or are owned by tasks that stay, and every
 * problem. A runtime's task_count still counts all its tasks.
 */

/**
 * Keep the tasks called @p which (their name, or "0x…" as an id), all that they
 * wait for, directly or not, and all that wait for them: the way up to the
 * roots without its other branches. -ENOENT when there is no such task.
 */
int ctask_narrow_to_task(struct ctask_snapshot *snap, const char *which, struct ctask_error *err);

/** Keep what is the program's own: all but the system tasks, which the runtimes' hidden_count counts then. -ENOMEM. */
int ctask_narrow_to_program(struct ctask_snapshot *snap, struct ctask_error *err);

/** Keep the runtimes, with their tasks, of thread @p thread_id. -ENOENT when it runs none. */
int ctask_narrow_to_thread(struct ctask_snapshot *snap, int32_t thread_id, struct ctask_error *err);

#endif
