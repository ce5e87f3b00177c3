/* tell.h - tell a history as it grows: what is there, and what is new. */
#ifndef CTASK_CLI_TELL_H
#define CTASK_CLI_TELL_H

#include "analysis/story.h"
#include "cli/render/render.h"
#include "reader/history.h"

/** How to tell, the same for all processes. */
struct ctask_telling {
	const struct ctask_story_filter *filter; /**< NULL: everything */
	const struct ctask_render_options *render;
	bool json;
	bool has_last;
	uint32_t last; /**< of what is there already, only so much; with has_last */
};

/** Tells one history. Zeroed, but for the first members. */
struct ctask_teller {
	struct ctask_history_reader *reader;
	const struct ctask_telling *telling;
	const struct ctask_process *process;
	ctask_text container; /**< or NULL */
	int64_t missed;	      /**< requests before the recording; negative: not known */
	uint64_t first_id;    /**< is added to each id in JSON */

	/* As text: stories from told_through on are still to be told. */
	bool has_begun;
	uint64_t told_through;
	uint64_t seen_through; /* the newest that ctask_history_read_changes() has given */
	uint64_t
		new_from; /* the oldest request that what is new came of; 0 = there is nothing new */
	int64_t new_since_us;
	bool new_pending;
	/** So far. */
	uint64_t dropped, unreadable;
	bool ended; /**< the process records no more */
};

/** Who spoke last on stdout, in a stream of many. NULL before the first. */
struct ctask_speaker {
	const struct ctask_teller *last;
};

/**
 * Tell what has come since the last look. @p is_last: there will be no other, so what has not settled
 * is told too. @p speaker: of many; else NULL.
 */
int ctask_teller_look(struct ctask_teller *teller, struct ctask_speaker *speaker, bool is_last,
		      struct ctask_error *err);
/** Say whose stories come now, unless that was said. */
int ctask_teller_speak(struct ctask_teller *teller, struct ctask_speaker *speaker,
		       const struct ctask_history *history, struct ctask_error *err);
/** Print @p history, as all there is. */
int ctask_tell_once(const struct ctask_teller *teller, const struct ctask_history *history,
		    struct ctask_error *err);

#endif
