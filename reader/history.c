/* history.c - an agent's history of cancellations: all of it, what is new in it, and when tasks were born. */
#include "reader/history.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "model/cleanup.h"
#include "reader/history_parts.h"

static struct ctask_history *start_history(const struct ctask_history_reader *r)
{
	struct ctask_history *history = ctask_history_create();
	struct timespec now;

	if (!history)
		return NULL;
	clock_gettime(CLOCK_REALTIME, &now);
	history->pid = r->pid;
	memcpy(history->python_version, r->header.python_version,
	       sizeof(history->python_version) - 1);
	history->since_us = r->header.since_us;
	history->read_at_us = (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
	return history;
}

/* What is said about the whole, when all has been read. */
static void conclude(const struct ctask_history_reader *r, struct ctask_history *history)
{
	const struct ctask_history_header *h = &r->header;

	history->last_id = h->last_id;
	history->ended = h->flags & CTASK_HISTORY_ENDED;
	history->lost_births = h->lost_births;
}

/* The records from @p first on; *ret_gone: those that lost what belongs to them. */
static int read_records(struct ctask_history_reader *r, uint64_t first, bool only_changed,
			struct ctask_record_copies *c, struct ctask_history *history,
			uint64_t *ret_gone, struct ctask_error *err)
{
	__attribute__((cleanup(ctask_decoder_fini))) struct ctask_decoder d = { .reader = r,
										.history =
											history };
	int ret = ctask_history_head(r, err);

	if (!ret)
		ret = ctask_record_copies_take(r, first, only_changed, c, err);
	if (!ret)
		ret = ctask_history_head(r, err);
	if (!ret)
		ret = ctask_decoder_start(&d, ctask_record_copies_oldest(c), err);
	if (!ret)
		ret = ctask_decode_records(&d, c, ret_gone, err);
	if (!ret)
		conclude(r, history);
	return ret;
}

int ctask_history_read_from(struct ctask_history_reader *r, uint64_t first_id,
			    struct ctask_history **ret_history, struct ctask_error *err)
{
	__attribute__((cleanup(ctask_record_copies_fini))) struct ctask_record_copies copies = {
		.open = UINT64_MAX
	};
	struct ctask_history *history = start_history(r);
	uint64_t gone;
	int ret;

	if (!history)
		return ctask_fail(err, ENOMEM, "out of memory");
	ret = read_records(r, first_id ? first_id : 1, false, &copies, history, &gone, err);
	if (ret) {
		ctask_history_destroy(history);
		return ret;
	}
	history->dropped = gone + r->header.lost_records;
	if (r->header.last_id > r->header.record_room)
		history->dropped += r->header.last_id - r->header.record_room;
	for (uint32_t i = 0; i < copies.torn_count; i++)
		history->unreadable += copies.torn[i] != 0;
	*ret_history = history;
	return 0;
}

int ctask_history_read(struct ctask_history_reader *r, struct ctask_history **ret_history,
		       struct ctask_error *err)
{
	return ctask_history_read_from(r, 1, ret_history, err);
}

/* --- what is new --- */

/* Remember what was handed out, and from where on there can be something new. */
static void note(struct ctask_history_reader *r, const struct ctask_record_copies *c, uint64_t gone)
{
	const uint64_t room = r->header.record_room, last = r->header.last_id;
	const uint64_t oldest =
		last > room ? last - room : 0; /* and all before it has fallen out */

	for (uint32_t i = 0; i < c->count; i++) {
		const struct ctask_record *record = &c->records[i];

		if (record->id <= last)
			r->seen[record->id % room] =
				(struct ctask_record_seen){ record->id, record->sequence };
	}
	r->open_from = c->open < c->last + 1 ? c->open : c->last + 1;
	r->again = false;
	for (uint32_t i = 0; i < c->torn_count; i++) {
		if (!c->torn[i])
			continue;
		r->again = true;
		if (c->torn[i] < r->open_from)
			r->open_from = c->torn[i];
	}
	if (r->has_told)
		r->missed += gone;
	if (oldest > r->told_through)
		r->missed += oldest - r->told_through;
	r->told_through = c->last > oldest ? c->last : oldest;
	r->told_changes = c->changes;
	r->has_told = true;
}

int ctask_history_read_changes(struct ctask_history_reader *r, struct ctask_history **ret_history,
			       struct ctask_error *err)
{
	__attribute__((cleanup(ctask_record_copies_fini))) struct ctask_record_copies copies = {
		.open = UINT64_MAX
	};
	struct ctask_history *history = start_history(r);
	uint64_t gone;
	int ret;

	if (!history)
		return ctask_fail(err, ENOMEM, "out of memory");
	ret = read_records(r, r->open_from, true, &copies, history, &gone, err);
	if (ret) {
		ctask_history_destroy(history);
		return ret;
	}
	note(r, &copies, gone);
	history->dropped = r->missed + (r->header.lost_records - r->lost_before);
	*ret_history = history;
	return 0;
}

int ctask_history_reader_changed(struct ctask_history_reader *r, struct ctask_error *err)
{
	int ret = ctask_history_head(r, err);

	if (ret)
		return ret;
	return !r->has_told || r->again || r->header.changes != r->told_changes;
}

/* --- births --- */

/* One that is being written is of a task that comes or goes. */
static bool is_living(const struct ctask_birth *first, const struct ctask_birth *second)
{
	return first->task && first->sequence % 2 == 0 &&
	       memcmp(first, second, sizeof(*first)) == 0;
}

int ctask_history_read_births(struct ctask_history_reader *r, struct ctask_history **ret_history,
			      struct ctask_error *err)
{
	__attribute__((cleanup(ctask_decoder_fini))) struct ctask_decoder d = { .reader = r };
	auto_free struct ctask_birth *copies = NULL;
	struct ctask_history *history;
	uint32_t used;
	int ret = ctask_history_head(r, err);

	if (ret)
		return ret;
	used = r->header.birth_used;
	copies = malloc((2 * (size_t)used + 1) * sizeof(*copies));
	d.history = history = start_history(r);
	if (!copies || !history)
		ret = ctask_fail(err, ENOMEM, "out of memory");
	/* Twice, as the records are. */
	for (size_t i = 0; i < 2 && !ret; i++)
		ret = ctask_history_bytes(r, r->header.births_at, copies + i * used,
					  used * sizeof(*copies), err);
	if (!ret)
		ret = ctask_decoder_start(&d, UINT64_MAX, err);
	for (uint32_t i = 0; i < used && !ret; i++) {
		if (is_living(&copies[i], &copies[used + i]))
			ret = ctask_decode_birth(&d, &copies[i], err);
	}
	if (ret) {
		ctask_history_destroy(history);
		return ret;
	}
	ctask_history_sort_births(history);
	conclude(r, history);
	*ret_history = history;
	return 0;
}
