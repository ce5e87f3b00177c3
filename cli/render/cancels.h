/* cancels.h - a history of cancellations as text. */
#ifndef CTASK_CLI_RENDER_CANCELS_H
#define CTASK_CLI_RENDER_CANCELS_H

#include "analysis/story.h"
#include "cli/render/render.h"

/** What is to be told. */
struct ctask_cancels {
	const struct ctask_history *history;
	const struct ctask_stories *stories;
	const struct ctask_process *process; /**< whose it is */
	int64_t missed; /**< requests before the recording; 0 or less: nothing is said */
	bool has_last;
	uint32_t last;	    /**< with has_last: tell only so many stories, the latest */
	bool narrowed;	    /**< there may be others that nobody asked for */
	bool below_heading; /**< the story comes right below ctask_render_heading() */
	bool told_before;   /**< the story was told already, and more has come of it */
};

/*
 * Times are local, and relative to when the history was read. As in render.h,
 * each fails only with -ENOMEM.
 */

/** Which process, what happened in it all in all, and the stories. */
int ctask_render_cancels(const struct ctask_cancels *cancels,
			 const struct ctask_render_options *options, FILE *out,
			 struct ctask_error *err);
/** Which process: in a stream of many, before the stories of one. */
int ctask_render_heading(const struct ctask_cancels *cancels,
			 const struct ctask_render_options *options, FILE *out,
			 struct ctask_error *err);
/** One story, of a stream of them. */
int ctask_render_story(const struct ctask_cancels *cancels, uint32_t story,
		       const struct ctask_render_options *options, FILE *out,
		       struct ctask_error *err);
/** A request that was told of before, and has another outcome now. */
int ctask_render_outcome(const struct ctask_cancels *cancels, uint32_t item,
			 const struct ctask_render_options *options, FILE *out,
			 struct ctask_error *err);

#endif
