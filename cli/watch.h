/* watch.h - tell a history: what is there, and what comes. */
#ifndef CTASK_CLI_WATCH_H
#define CTASK_CLI_WATCH_H

#include <sys/types.h>

#include "analysis/story.h"
#include "bpf/record.h"
#include "cli/render/render.h"
#include "reader/history.h"

/** What is asked of `ctaskctl cancels`. */
struct ctask_watch {
	pid_t pid;
	struct ctask_recorder *recorder; /**< that writes the history; NULL: an agent does */
	const struct ctask_process *process;
	const struct ctask_story_filter *filter; /**< NULL: everything */
	const struct ctask_render_options *render;
	bool json;
	bool has_last;
	uint32_t last;	     /**< of what is there already, only so much; with has_last */
	int64_t duration_us; /**< 0: until SIGINT, SIGTERM, or the end of the process */
};

/** Print what is there, then what comes, until it is over. Returns the exit status. */
int ctask_watch_follow(struct ctask_history_reader *reader, const struct ctask_watch *watch);
/** Print what is there. Returns the exit status. */
int ctask_watch_once(struct ctask_history_reader *reader, const struct ctask_watch *watch);

#endif
