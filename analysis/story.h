/* story.h - a history as stories: one event, whom it reached, and how each of them ended. */
#ifndef CTASK_ANALYSIS_STORY_H
#define CTASK_ANALYSIS_STORY_H

#include "model/cancellation.h"
#include "model/error.h"

/** What somebody asked for; zeroed, with any_origin set, is all. */
struct ctask_story_filter {
	int64_t since_us;
	const char *
		task; /**< its name, coroutine or "0x…" id, as target, requester or the one that failed; or NULL */
	bool any_origin;
	enum ctask_origin origin;
};

/** True when @p item is asked for; NULL is all. */
bool ctask_story_wants(const struct ctask_story_filter *filter,
		       const struct ctask_cancellation *item);

/** A request, or several that look the same and were brought about by what looks the same. */
struct ctask_story_line {
	uint32_t members_first, member_count; /**< into members: indices into items, ascending */
	uint32_t depth;			      /**< 0: made by the event itself */
	uint32_t child_count;		      /**< lines right below */
	bool last;			      /**< of those below the same line */
};

/**
 * An event and all that came of it: requests without a cause that were made in one
 * go for the same reason, and those that they brought about.
 */
struct ctask_story {
	uint32_t item;				 /**< the first request of it: tells the reason */
	uint32_t line_first, line_count;	 /**< in the order in which they are drawn */
	uint64_t last_id;			 /**< of its records */
	uint32_t record_count;			 /**< of all times */
	uint32_t outcome_counts[CTASK_OUTCOMES]; /**< of all times */
	uint32_t times;				 /**< it happened; the latest is told */
	int64_t first_us;			 /**< when it began for the first time */
	double delay_low, delay_high;		 /**< of all times; NAN where not known */
};

struct ctask_stories {
	struct ctask_story *stories; /**< in the order of when they last began */
	uint32_t count;
	struct ctask_story_line *lines;
	uint32_t line_count;
	uint32_t *members;
	bool *told;	       /**< of each item: it is in a story that was asked for */
	uint32_t happened;     /**< stories, each time counted */
	uint32_t record_count; /**< in them */
	uint32_t outcome_counts[CTASK_OUTCOMES];
};

/**
 * Put the stories of @p history together, with all of each that has something in
 * it that @p filter asks for. With @p fold, what looks the same is told once: tasks
 * within a story, and stories. Looks the same: reasons, places, coroutines and
 * outcomes are; names and numbers may differ. -ENOMEM.
 */
int ctask_stories_create(const struct ctask_history *history,
			 const struct ctask_story_filter *filter, bool fold,
			 struct ctask_stories **ret_stories, struct ctask_error *err);
/** NULL is fine. */
void ctask_stories_destroy(struct ctask_stories *stories);

/* Indices into frames, or CTASK_NONE. */

/** The innermost place in @p stack that is not the runtime's own. */
uint32_t ctask_story_place(const struct ctask_history *history, const struct ctask_stack *stack);
/** The runtime's function that was called there. */
uint32_t ctask_story_call(const struct ctask_history *history, const struct ctask_stack *stack);
/** Where the block of the construct that asked stands, where that is known. */
uint32_t ctask_story_block(const struct ctask_history *history,
			   const struct ctask_cancellation *item);
/** Where the reason for @p item lies: the call that asked, or the time limit that passed. */
uint32_t ctask_story_where(const struct ctask_history *history,
			   const struct ctask_cancellation *item);

#endif
