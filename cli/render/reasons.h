/* reasons.h - what is said about a cancellation: why it was, whom it hit, how it ended. */
#ifndef CTASK_CLI_RENDER_REASONS_H
#define CTASK_CLI_RENDER_REASONS_H

#include "analysis/story.h"
#include "cli/render/line.h"
#include "cli/render/words.h"

/** "fetch (Task-4)": what a task runs, and its name, unless that says no more. */
void ctask_reason_task(struct ctask_line *line, ctask_text name, ctask_text coroutine);
/** Where the target of @p c stood. */
struct ctask_chain ctask_reason_chain(const struct ctask_history *history,
				      const struct ctask_cancellation *c);
/** The target of @p c: "fetch (Task-4)". */
void ctask_reason_target(struct ctask_line *line, const struct ctask_history *history,
			 const struct ctask_cancellation *c);
/** "timeout: 1.0 s passed in handler (Task-3)  svc.py:66": why @p story came about. */
void ctask_reason_put(struct ctask_line *line, const struct ctask_history *history,
		      const struct ctask_stories *stories, const struct ctask_story *story);
/** How it ended for @p alike, which are items with one outcome: "cancelled after 2 to 5 ms"; "within 5 ms", where no more is known. */
void ctask_reason_outcome(struct ctask_line *line, const struct ctask_history *history,
			  struct ctask_alike alike);
/** "2.1 ms", "300 ms", "1.2 s", "3 min 5 s" */
void ctask_reason_time(struct ctask_line *line, double low, double high);
/** "14:03:07.221", with the date when it is not that of @p now_us. */
void ctask_reason_clock(struct ctask_line *line, int64_t time_us, int64_t now_us, bool fine);

#endif
