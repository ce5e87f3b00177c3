/* words.h - what is said about a task, the same in every text format. */
#ifndef CTASK_CLI_RENDER_WORDS_H
#define CTASK_CLI_RENDER_WORDS_H

#include "cli/render/line.h"
#include "model/cancellation.h"
#include "model/snapshot.h"

/** Tasks that are told together: indices into tasks. Alike but for numbers in what they wait for. */
struct ctask_alike {
	const uint32_t *tasks;
	uint32_t count;
};

/**
 * The names of tasks that are told together: "orders, billing, audit", "api-*",
 * "orders, db-*, audit, …"; without those that asyncio made ("Task-7"). False when
 * that leaves nothing.
 */
bool ctask_words_names(struct ctask_line *line, const struct ctask_snapshot *snap,
		       struct ctask_alike alike);
/** The same of the targets of cancellations: indices into items. */
bool ctask_words_target_names(struct ctask_line *line, const struct ctask_history *history,
			      struct ctask_alike alike);
/** " · " or " - " */
const char *ctask_words_dot(const struct ctask_line *line);
/** A time as people say it: "0.9 s", "42 s", "3 min 5 s", "2 h 10 min", "3 days". */
void ctask_words_time(struct ctask_line *line, double seconds);
/** A stack, innermost frame first: indices into frames. */
struct ctask_chain {
	const struct ctask_frame *frames;
	const uint32_t *stack;
	uint32_t count;
	ctask_text coroutine;
};

/** The first function of it that is told; may be NULL. */
ctask_text ctask_words_start(const struct ctask_chain *chain);
/** Its functions, outermost first, without the runtime's own: "main › fetch". */
void ctask_words_put_chain(struct ctask_line *line, const struct ctask_chain *chain);
/** The same of the functions that the task is in. */
void ctask_words_chain(struct ctask_line *line, const struct ctask_snapshot *snap,
		       const struct ctask_task *task);
/** The first of these functions; may be NULL. */
ctask_text ctask_words_chain_start(const struct ctask_snapshot *snap,
				   const struct ctask_task *task);
/** True when a task's @p name is that of @p function, or that with its module before it: there is no need to say both. */
bool ctask_words_is_of(ctask_text name, ctask_text function);
/** The innermost frame that is not the runtime's own; else the outermost; NULL when there is none. */
const struct ctask_frame *ctask_words_frame(const struct ctask_snapshot *snap,
					    const struct ctask_task *task);
/** "svc.py:33": the file without its folders, unless the name alone says nothing ("web/__init__.py:3"). */
void ctask_words_place(struct ctask_line *line, const struct ctask_frame *frame);
/** "/srv/svc.py:33" */
void ctask_words_full_place(struct ctask_line *line, const struct ctask_frame *frame);
/** The file as ctask_words_place() would say it: the end of @p filename. */
ctask_text ctask_words_short_file(ctask_text filename);
/** Whether what limits the time of a wait is the deadline of a cancel scope. */
bool ctask_words_is_deadline(const struct ctask_task *task);
/** "sleep, 0.9 to 3.2 s left": what it waits for, @p with_left also how long; nothing when it does not wait. */
void ctask_words_wait(struct ctask_line *line, const struct ctask_snapshot *snap,
		      struct ctask_alike alike, bool with_left);
/** Only the time in it, and of what limit: "wait_for 5 s, 3.2 s left", "deadline in 3.2 s"; nothing when there is none. */
void ctask_words_left(struct ctask_line *line, const struct ctask_snapshot *snap,
		      struct ctask_alike alike);
/** "2.1 ms", "1.25 s" */
void ctask_words_duration(struct ctask_line *line, uint64_t us);
/** The words of a command line with spaces between, cut after @p columns. */
void ctask_words_cmdline(struct ctask_line *line, const ctask_text *words, uint32_t count,
			 uint32_t columns);

#endif
