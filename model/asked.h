/* asked.h - what is asked of one task and has no outcome yet: a list through the ring of records. */
#ifndef CTASK_MODEL_ASKED_H
#define CTASK_MODEL_ASKED_H

#include "model/classify.h"
#include "model/writer.h"

/*
 * A request is open from the moment it is recorded until its task is done, or takes it back. Times are seconds of one
 * monotonic clock. Nothing here allocates or locks.
 */

/** Whether a task is done, and how. */
enum ctask_ending {
	CTASK_GOES_ON,
	CTASK_ENDED_CANCELLED,
	CTASK_ENDED_RETURNED,
	CTASK_ENDED_RAISED,
	CTASK_UNREADABLE /**< from outside: it was freed */
};

/** The outcome of a request to a task that has ended so; unknown for one that goes on, and where it is not readable. */
enum ctask_outcome ctask_outcome_of(enum ctask_ending ending);

/** Beside each slot of the ring. */
struct ctask_asked_link {
	uint64_t older; /**< the one before it, of the same task */
	double asked_at;
	struct ctask_asking_block block;
};

/** The open requests of all tasks. */
struct ctask_asked_book {
	struct ctask_writer *writer;
	struct ctask_asked_link *links; /**< as many as there is room for records; zero at first */
};

/** What was asked of one task: ids, or 0. Zero at first. */
struct ctask_asked {
	uint64_t newest; /**< it leads to the older ones */
	uint64_t unseen; /**< the oldest that the task has not seen */
	uint64_t batch;	 /**< the oldest of those that it saw last */
	uint32_t blocks; /**< requests of blocks, open or not */
};

/** Record @p id, which was just put, asks the task. */
void ctask_asked_add(struct ctask_asked_book *book, struct ctask_asked *asked, uint64_t id,
		     double now, const struct ctask_asking_block *block);
/** Record @p id was no request after all. It need not be the newest. */
void ctask_asked_drop(struct ctask_asked_book *book, struct ctask_asked *asked, uint64_t id);
/** The task is given what was asked until now. */
void ctask_asked_see(struct ctask_asked *asked);

/** The newest that is open; NULL when none is. */
struct ctask_record *ctask_asked_newest(struct ctask_asked_book *book,
					const struct ctask_asked *asked);
/** The next older one that is open. */
struct ctask_record *ctask_asked_older(struct ctask_asked_book *book,
				       const struct ctask_record *record);
/** The block that asks by @p record. */
const struct ctask_asking_block *ctask_asked_block(const struct ctask_asked_book *book,
						   const struct ctask_record *record);
/** When record @p id, which is there, asked. */
double ctask_asked_at(const struct ctask_asked_book *book, uint64_t id);
bool ctask_asked_is_open(const struct ctask_record *record);
/** True when the task has not seen @p record yet. */
bool ctask_asked_is_unseen(const struct ctask_asked *asked, const struct ctask_record *record);

/** Set an outcome. It may have been so for @p resolution already; 0 = exact. */
void ctask_asked_end(struct ctask_asked_book *book, struct ctask_record *record,
		     enum ctask_outcome outcome, double now, double resolution);
/** The task is done: so are all. Those of blocks that end without a word are absorbed, unless it was cancelled. */
void ctask_asked_finish(struct ctask_asked_book *book, const struct ctask_asked *asked,
			enum ctask_outcome outcome, double now, double resolution);
/** The task goes on as if nothing had been asked: what it has seen is swallowed. Older ones than 64 are not looked at. */
void ctask_asked_swallow(struct ctask_asked_book *book, const struct ctask_asked *asked, double now,
			 double resolution);
/** The task takes back what was asked through @p scope (0 = nothing); if nothing was, and @p any: the newest. */
void ctask_asked_absorb(struct ctask_asked_book *book, const struct ctask_asked *asked,
			uint64_t scope, bool any, double now);

/** The open request that the task is unwinding from, if it is unwinding; 0 when there is none. */
uint64_t ctask_asked_cause(struct ctask_asked_book *book, const struct ctask_asked *asked);

#endif
