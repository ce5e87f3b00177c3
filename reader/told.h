/* told.h - a snapshot as the agent in the process tells it. */
#ifndef CTASK_READER_TOLD_H
#define CTASK_READER_TOLD_H

#include "model/snapshot.h"
#include "reader/rendezvous.h"

/**
 * Ask the agent of process @p pid (as we see it) for the tree. Takes no right to
 * read the process. What the agent says is checked; who the process is, and its ids
 * of threads, are put as we see them, where that can be told.
 *
 * On success the caller owns *ret_snap, which may be incomplete, with what was recorded
 * of its tasks. Fails as ctask_agent_ask() does; -EPROTO when what it says makes no sense.
 */
int ctask_told_process(pid_t pid, const struct ctask_agent_options *options,
		       struct ctask_snapshot **ret_snap, struct ctask_error *err);

#endif
