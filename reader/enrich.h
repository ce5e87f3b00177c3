/* enrich.h - beside a snapshot, what the agent in the process recorded about its tasks. */
#ifndef CTASK_READER_ENRICH_H
#define CTASK_READER_ENRICH_H

#include "model/snapshot.h"
#include "reader/history.h"

/**
 * Give @p snap, which has none, the history that @p reader reads: what is in it
 * about its tasks (see model/fit.h). On failure it is as before.
 */
int ctask_enrich(struct ctask_snapshot *snap, struct ctask_history_reader *reader,
		 struct ctask_error *err);

/**
 * The same for a snapshot that was just taken of process @p pid, when an agent
 * is in it (capture.agent); else nothing is done. A history that cannot be read
 * becomes a problem of the snapshot. -ENOMEM.
 */
int ctask_enrich_process(struct ctask_snapshot *snap, pid_t pid, struct ctask_error *err);

/**
 * The same with what was recorded from outside, which does not know where tasks were made.
 * @p goes_on: it is being recorded still.
 */
int ctask_enrich_recorded(struct ctask_snapshot *snap, struct ctask_history_reader *reader,
			  bool goes_on, struct ctask_error *err);

/**
 * Settle what *history has as pending of tasks that run at this moment, by a look into the memory of
 * its process: *history may be read anew. Where that may not be read, nothing is done.
 */
int ctask_enrich_pending(struct ctask_history **history, struct ctask_history_reader *reader,
			 struct ctask_error *err);

#endif
