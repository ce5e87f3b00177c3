/* cancellation.h - requests to stop: who asked whom, why, and how it ended. Plain data, whoever gathered it. */
#ifndef CTASK_MODEL_CANCELLATION_H
#define CTASK_MODEL_CANCELLATION_H

#include <ctask/history.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/snapshot.h"

enum ctask_cancellation_source { CTASK_BY_AGENT, CTASK_BY_BPF };

/** The words of the JSON for each enum, indexed by it. */
extern const char *const ctask_cancellation_source_words[];
extern const char *const ctask_origin_words[];
extern const char *const ctask_through_words[]; /**< NULL for CTASK_THROUGH_NONE */
extern const char *const ctask_requester_words[];
extern const char *const ctask_outcome_words[];

/** A stack: innermost frame first. */
struct ctask_stack {
	uint32_t first; /**< index into stack_frames */
	uint32_t count;
	uint32_t cut; /**< frames left out at the outer end */
};

/** One request that was taken. Ids are 0 and texts NULL where there is none; seconds NAN where not known. */
struct ctask_cancellation {
	uint64_t id;	 /**< from 1, in order of time */
	int64_t time_us; /**< microseconds since the epoch */
	enum ctask_cancellation_source source;

	uint64_t target;
	ctask_text target_name, target_coroutine;
	struct ctask_stack target_stack; /**< where it was when it was asked */

	enum ctask_requester_kind requester_kind;
	uint64_t requester;	   /**< a task */
	ctask_text requester_name; /**< of the task; else of the function, the thread */
	ctask_text requester_coroutine;
	uint32_t requester_thread; /**< native id, in the process's own pid namespace */

	enum ctask_origin origin;
	enum ctask_through through; /**< scope.kind */
	uint64_t scope;
	double delay_s, elapsed_s;
	uint32_t
		scope_frame; /**< index into target_stack: what stands in the scope's block, or CTASK_NONE */

	uint64_t cause, root; /**< ids of cancellations; root is never 0 */

	ctask_text exception_type; /**< NULL: no failure behind it */
	ctask_text exception_message;
	uint64_t failed_task;
	ctask_text failed_task_name;

	ctask_text message;
	struct ctask_stack stack; /**< of the call that asked */
	uint32_t repeats;

	enum ctask_outcome outcome;
	double after_s;	     /**< from the request to that outcome; NAN while pending */
	double resolution_s; /**< it may have been so for that long already; NAN = exact */
};

/** Where a living task was made. */
struct ctask_birth_facts {
	uint64_t task;
	int64_t time_us;
	uint64_t creator; /**< a task, or 0 */
	uint32_t frame;	  /**< index into frames, or CTASK_NONE */
};

/**
 * What is known of the cancellations of one process: owns all that it points to.
 * Whoever fills it sees to it that ids ascend, that a cause is older than what it
 * brought about, and that stacks and frames are inside their arrays.
 */
struct ctask_history {
	int32_t pid;	      /**< as the reader sees it */
	ctask_text container; /**< that the process is in; NULL when in none, or not known */
	char python_version[32];
	int64_t since_us;    /**< recorded from then on */
	int64_t read_at_us;  /**< when this was what was known */
	uint64_t last_id;    /**< of the newest that was there when it was read */
	uint64_t dropped;    /**< that fell out, or could not be recorded */
	uint64_t unreadable; /**< that are there, but make no sense or did not hold still */
	bool ended;	     /**< the process records no more */

	struct ctask_cancellation *items; /**< in the order of their ids */
	uint32_t count, room;
	struct ctask_frame *frames; /**< distinct places */
	uint32_t frame_count, frame_room;
	uint32_t *stack_frames; /**< indices into frames */
	uint32_t stack_frame_count, stack_frame_room;
	struct ctask_birth_facts *births; /**< sorted by task */
	uint32_t birth_count, birth_room;
	uint64_t lost_births;
	struct ctask_texts *texts;
};

/** An empty history, or NULL when out of memory. */
struct ctask_history *ctask_history_create(void);
/** NULL is fine. */
void ctask_history_destroy(struct ctask_history *history);

/** Add a zeroed cancellation (seconds NAN). The pointer is good until the next one is added; NULL when out of memory. */
struct ctask_cancellation *ctask_history_add(struct ctask_history *history);
/** Add a zeroed frame and return its index, or CTASK_NONE when out of memory. */
uint32_t ctask_history_add_frame(struct ctask_history *history);
/** Append @p frame to @p stack, which is empty or was the last to be appended to. 0 or -ENOMEM. */
int ctask_history_push_stack(struct ctask_history *history, struct ctask_stack *stack,
			     uint32_t frame);
/** Add a birth; they are found after ctask_history_sort_births(). 0 or -ENOMEM. */
int ctask_history_add_birth(struct ctask_history *history, const struct ctask_birth_facts *birth);
void ctask_history_sort_births(struct ctask_history *history);

/** The cancellation @p id, or NULL. */
const struct ctask_cancellation *ctask_history_find(const struct ctask_history *history,
						    uint64_t id);
/** The frames of @p stack, innermost first: its count indices into frames. */
const uint32_t *ctask_history_stack(const struct ctask_history *history,
				    const struct ctask_stack *stack);
/** Where @p task was made, or NULL. */
const struct ctask_birth_facts *ctask_history_birth(const struct ctask_history *history,
						    uint64_t task);

#endif
