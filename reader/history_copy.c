/* history_copy.c - copies of records that are whole, while somebody goes on writing them. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "model/cleanup.h"
#include "reader/history_parts.h"

enum {
	RECORDS_A_LOOK = 256, /* are copied, and copied again, together */
	TRIES = 16,	      /* to find a record at rest, at once */
	LATER_TRIES = 20,     /* and after all others, a millisecond each */
};

void ctask_record_copies_fini(struct ctask_record_copies *c)
{
	free(c->records);
	free(c->torn);
}

static int keep_record(struct ctask_record_copies *c, const struct ctask_record *record)
{
	if (c->count == c->room) {
		uint32_t room = c->room * 2 + RECORDS_A_LOOK;
		void *grown = realloc(c->records, room * sizeof(*c->records));

		if (!grown)
			return -ENOMEM;
		c->records = grown;
		c->room = room;
	}
	c->records[c->count++] = *record;
	return 0;
}

static int keep_torn(struct ctask_record_copies *c, uint64_t id)
{
	if (c->torn_count == c->torn_room) {
		uint32_t room = c->torn_room * 2 + 16;
		void *grown = realloc(c->torn, room * sizeof(*c->torn));

		if (!grown)
			return -ENOMEM;
		c->torn = grown;
		c->torn_room = room;
	}
	c->torn[c->torn_count++] = id;
	return 0;
}

/*
 * A copy is good when it was taken twice, is the same, and its sequence is even:
 * between the two looks at the sequence nothing was written, and all that the first
 * copy has was read before the second look.
 */
static bool is_whole(const struct ctask_record *first, const struct ctask_record *second)
{
	return first->sequence % 2 == 0 && memcmp(first, second, sizeof(*first)) == 0;
}

static bool is_final(uint8_t outcome)
{
	return outcome != CTASK_OUTCOME_PENDING && outcome != CTASK_OUTCOME_SWALLOWED;
}

/* True when the record was handed out as it is now. */
static bool is_told(const struct ctask_history_reader *r, const struct ctask_record *record)
{
	const struct ctask_record_seen *seen = &r->seen[record->id % r->header.record_room];

	return seen->id == record->id && seen->sequence == record->sequence;
}

static uint64_t slot_at(const struct ctask_history_reader *r, uint64_t id)
{
	return r->header.records_at + id % r->header.record_room * sizeof(struct ctask_record);
}

/* Look at the slot of @p id a few times. 1 when it was whole, 0 when not, or -errno. */
static int look_again(struct ctask_history_reader *r, uint64_t id, int tries,
		      struct ctask_record *ret_record, struct ctask_error *err)
{
	struct ctask_record second;

	for (int i = 0; i < tries; i++) {
		int ret = ctask_history_bytes(r, slot_at(r, id), ret_record, sizeof(*ret_record),
					      err);

		if (!ret)
			ret = ctask_history_bytes(r, slot_at(r, id), &second, sizeof(second), err);
		if (ret)
			return ret;
		if (is_whole(ret_record, &second))
			return 1;
	}
	return 0;
}

/* Copy the slots of @p count ids from @p id, which lie in one piece. */
static int copy_run(struct ctask_history_reader *r, uint64_t id, uint32_t count, bool only_changed,
		    struct ctask_record (*buffers)[RECORDS_A_LOOK], struct ctask_record_copies *c,
		    struct ctask_error *err)
{
	int ret =
		ctask_history_bytes(r, slot_at(r, id), buffers[0], count * sizeof(**buffers), err);

	if (!ret)
		ret = ctask_history_bytes(r, slot_at(r, id), buffers[1], count * sizeof(**buffers),
					  err);
	for (uint32_t i = 0; i < count && !ret; i++) {
		struct ctask_record *record = &buffers[0][i];

		if (!is_whole(record, &buffers[1][i])) {
			ret = look_again(r, id + i, TRIES, record, err);
			if (ret < 0)
				return ret;
			if (ret == 0) {
				ret = keep_torn(c, id + i);
				continue;
			}
			ret = 0;
		}
		if (record->id < id + i) /* refused, or not there yet */
			continue;
		if (!is_final(record->outcome) && record->id < c->open)
			c->open = record->id;
		if (only_changed && is_told(r, record))
			continue;
		ret = keep_record(c, record);
	}
	return ret == -ENOMEM ? ctask_fail(err, ENOMEM, "out of memory") : ret;
}

static int copy_torn(struct ctask_history_reader *r, struct ctask_record_copies *c,
		     struct ctask_error *err)
{
	static const struct timespec pause = { .tv_nsec = 1000000 };
	int pauses = LATER_TRIES;

	for (uint32_t i = 0; i < c->torn_count; i++) {
		struct ctask_record record;
		int ret = look_again(r, c->torn[i], TRIES, &record, err);

		while (ret == 0 && pauses-- > 0) {
			nanosleep(&pause, NULL);
			ret = look_again(r, c->torn[i], TRIES, &record, err);
		}
		if (ret < 0)
			return ret;
		if (ret == 0)
			continue;
		if (record.id >= c->torn[i] && keep_record(c, &record))
			return ctask_fail(err, ENOMEM, "out of memory");
		if (!is_final(record.outcome) && record.id < c->open)
			c->open = record.id;
		c->torn[i] = 0;
	}
	return 0;
}

static int compare_records(const void *left, const void *right)
{
	const struct ctask_record *a = left, *b = right;

	return (a->id > b->id) - (a->id < b->id);
}

int ctask_record_copies_take(struct ctask_history_reader *r, uint64_t first, bool only_changed,
			     struct ctask_record_copies *c, struct ctask_error *err)
{
	struct ctask_record(*buffers)[RECORDS_A_LOOK] = malloc(2 * sizeof(*buffers));
	const uint32_t room = r->header.record_room;
	const uint64_t last = r->header.last_id;
	uint64_t id = last > room ? last - room + 1 : 1;
	int ret = 0;

	if (!buffers)
		return ctask_fail(err, ENOMEM, "out of memory");
	c->last = last;
	c->changes = r->header.changes;
	for (id = id < first ? first : id; id <= last && !ret;) {
		uint64_t count = room - id % room; /* up to the end of the ring */

		if (count > last - id + 1)
			count = last - id + 1;
		if (count > RECORDS_A_LOOK)
			count = RECORDS_A_LOOK;
		ret = copy_run(r, id, (uint32_t)count, only_changed, buffers, c, err);
		id += count;
	}
	free(buffers);
	if (!ret)
		ret = copy_torn(r, c, err);
	if (!ret && c->count)
		qsort(c->records, c->count, sizeof(*c->records), compare_records);
	return ret;
}

/* The oldest byte of the ring that @p records speak of. */
uint64_t ctask_record_copies_oldest(const struct ctask_record_copies *c)
{
	uint64_t oldest = UINT64_MAX;

	for (uint32_t i = 0; i < c->count; i++) {
		const struct ctask_record *record = &c->records[i];
		const uint64_t offsets[] = {
			record->target_name,
			record->requester_name,
			record->failed_task_name,
			record->exception_message,
			record->message,
			record->target_stack,
			record->stack,
		};

		for (size_t n = 0; n < ARRAY_SIZE(offsets); n++) {
			if (offsets[n] && offsets[n] < oldest)
				oldest = offsets[n];
		}
	}
	return oldest;
}
