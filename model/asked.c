/* asked.c - what is asked of one task and has no outcome yet. */
#include "model/asked.h"

enum {
	SETTLED_AT_ONCE =
		64, /* older requests than this many newer ones keep their state until the end */
	LOOKED_THROUGH_MAX = 1024, /* requests of one task, for one that is taken back */
	MICRO = 1000000,
};

enum ctask_outcome ctask_outcome_of(enum ctask_ending ending)
{
	static const enum ctask_outcome outcomes[] = {
		[CTASK_GOES_ON] = CTASK_OUTCOME_UNKNOWN,
		[CTASK_ENDED_CANCELLED] = CTASK_OUTCOME_CANCELLED,
		[CTASK_ENDED_RETURNED] = CTASK_OUTCOME_RETURNED,
		[CTASK_ENDED_RAISED] = CTASK_OUTCOME_RAISED,
		[CTASK_UNREADABLE] = CTASK_OUTCOME_UNKNOWN,
	};

	return outcomes[ending];
}

static struct ctask_asked_link *link_of(const struct ctask_asked_book *book, uint64_t id)
{
	return &book->links[id % book->writer->header->record_room];
}

bool ctask_asked_is_open(const struct ctask_record *record)
{
	return record->outcome == CTASK_OUTCOME_PENDING ||
	       record->outcome == CTASK_OUTCOME_SWALLOWED;
}

/* The open request @p id or the next older one, of the same task; NULL when there is none any more. */
static struct ctask_record *open_from(struct ctask_asked_book *book, uint64_t id)
{
	struct ctask_record *record;

	while ((record = ctask_writer_record(book->writer, id)) && !ctask_asked_is_open(record))
		id = link_of(book, id)->older;
	return record;
}

void ctask_asked_add(struct ctask_asked_book *book, struct ctask_asked *asked, uint64_t id,
		     double now, const struct ctask_asking_block *block)
{
	*link_of(book, id) = (struct ctask_asked_link){ .older = asked->newest,
							.asked_at = now,
							.block = *block };
	asked->blocks += block->construct != 0;
	asked->newest = id;
	if (!asked->unseen)
		asked->unseen = id;
}

void ctask_asked_drop(struct ctask_asked_book *book, struct ctask_asked *asked, uint64_t id)
{
	uint64_t *at = &asked->newest;

	for (int i = 0; *at && *at != id && i < LOOKED_THROUGH_MAX; i++)
		at = &link_of(book, *at)->older;
	if (*at != id)
		return;
	*at = link_of(book, id)->older;
	if (asked->unseen == id)
		asked->unseen = 0;
}

void ctask_asked_see(struct ctask_asked *asked)
{
	if (!asked->unseen)
		return;
	asked->batch = asked->unseen;
	asked->unseen = 0;
}

struct ctask_record *ctask_asked_newest(struct ctask_asked_book *book,
					const struct ctask_asked *asked)
{
	return open_from(book, asked->newest);
}

struct ctask_record *ctask_asked_older(struct ctask_asked_book *book,
				       const struct ctask_record *record)
{
	return open_from(book, link_of(book, record->id)->older);
}

const struct ctask_asking_block *ctask_asked_block(const struct ctask_asked_book *book,
						   const struct ctask_record *record)
{
	return &link_of(book, record->id)->block;
}

double ctask_asked_at(const struct ctask_asked_book *book, uint64_t id)
{
	return link_of(book, id)->asked_at;
}

bool ctask_asked_is_unseen(const struct ctask_asked *asked, const struct ctask_record *record)
{
	return asked->unseen && record->id >= asked->unseen;
}

void ctask_asked_end(struct ctask_asked_book *book, struct ctask_record *record,
		     enum ctask_outcome outcome, double now, double resolution)
{
	double after = now - link_of(book, record->id)->asked_at;

	if (after < 0)
		after = 0;
	if (resolution > after)
		resolution = after;
	ctask_writer_change(record);
	record->outcome = (uint8_t)outcome;
	record->after_us = (int64_t)(after * MICRO);
	record->resolution_us = (uint32_t)(resolution * MICRO);
	ctask_writer_changed(book->writer, record);
}

/*
 * How a request ended whose task did. Before 3.11, and where a group of 3.11 and 3.12
 * was asked while its owner waited in its exit, the block that asked ends without uncancel().
 */
static enum ctask_outcome ended(const struct ctask_asked_book *book,
				const struct ctask_record *record, enum ctask_outcome outcome)
{
	if (ctask_asked_block(book, record)->construct &&
	    (outcome == CTASK_OUTCOME_RETURNED || outcome == CTASK_OUTCOME_RAISED))
		return CTASK_OUTCOME_ABSORBED;
	return outcome;
}

void ctask_asked_finish(struct ctask_asked_book *book, const struct ctask_asked *asked,
			enum ctask_outcome outcome, double now, double resolution)
{
	for (struct ctask_record *record = ctask_asked_newest(book, asked); record;
	     record = ctask_asked_older(book, record))
		ctask_asked_end(book, record, ended(book, record, outcome), now, resolution);
}

void ctask_asked_swallow(struct ctask_asked_book *book, const struct ctask_asked *asked, double now,
			 double resolution)
{
	struct ctask_record *record = ctask_asked_newest(book, asked);

	for (int n = 0; record && n < SETTLED_AT_ONCE && record->outcome != CTASK_OUTCOME_SWALLOWED;
	     n++, record = ctask_asked_older(book, record))
		if (!ctask_asked_is_unseen(asked, record))
			ctask_asked_end(book, record, CTASK_OUTCOME_SWALLOWED, now, resolution);
}

void ctask_asked_absorb(struct ctask_asked_book *book, const struct ctask_asked *asked,
			uint64_t scope, bool any, double now)
{
	struct ctask_record *record = ctask_asked_newest(book, asked), *chosen = NULL;

	for (int n = 0; record && n < LOOKED_THROUGH_MAX;
	     n++, record = ctask_asked_older(book, record)) {
		if (scope && record->scope == scope) {
			chosen = record;
			break;
		}
		if (any && !chosen)
			chosen = record;
	}
	if (chosen)
		ctask_asked_end(book, chosen, CTASK_OUTCOME_ABSORBED, now, 0);
}

uint64_t ctask_asked_cause(struct ctask_asked_book *book, const struct ctask_asked *asked)
{
	const struct ctask_record *record = ctask_writer_record(book->writer, asked->batch);

	if (record && record->outcome == CTASK_OUTCOME_PENDING)
		return record->id;
	for (record = ctask_asked_newest(book, asked); record;
	     record = ctask_asked_older(book, record))
		if (record->outcome == CTASK_OUTCOME_PENDING &&
		    !ctask_asked_is_unseen(asked, record))
			return record->id;
	return 0;
}
