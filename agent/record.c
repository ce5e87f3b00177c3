/* record.c - what goes into the records of requests, whatever asks. */
#include "agent/record.h"

#include <math.h>

#include "agent/level.h"
#include "agent/lock.h"
#include "agent/requests.h"
#include "agent/stack.h"

enum { TEXT_MAX = 2048 /* bytes of a text that is made over */ };

double ctask_record_delay(double delay)
{
	if (!isfinite(delay))
		return NAN;
	return (double)(int64_t)(delay * CTASK_DELAY_STEPS + (delay < 0 ? -0.5 : 0.5)) /
	       CTASK_DELAY_STEPS;
}

uint64_t ctask_record_text(const struct ctask_text_bytes *text)
{
	return ctask_side_once(text->bytes, text->len, text->cut ? "\xe2\x80\xa6" : "");
}

uint64_t ctask_record_str(struct py_object *text)
{
	char copy[TEXT_MAX];
	struct ctask_text_bytes bytes = ctask_text_borrow(text, copy, sizeof(copy));
	uint64_t at;

	if (!bytes.len)
		return 0;
	ctask_lock();
	at = ctask_record_text(&bytes);
	ctask_unlock();
	return at;
}

uint64_t ctask_record_places(const uint32_t *places, int count)
{
	uint64_t at;

	ctask_lock();
	at = ctask_side_once(places, (size_t)count * sizeof(*places), "");
	ctask_unlock();
	return at;
}

uint64_t ctask_record_root(uint64_t id)
{
	const struct ctask_record *record;
	uint64_t root;

	ctask_lock();
	record = ctask_record_at(id);
	root = record ? record->root : id;
	ctask_unlock();
	return root;
}

void ctask_record_pass_on(struct ctask_record *record, uint64_t cause)
{
	record->origin = CTASK_ORIGIN_OWNER_CANCELLED;
	record->delay_s = record->elapsed_s = NAN;
	record->exception_type = 0;
	record->exception_message = record->failed_task = record->failed_task_name = 0;
	record->cause = cause;
	record->root = ctask_record_root(cause);
}

void ctask_record_append(struct ctask_record *record)
{
	uint32_t room = ctask_writer.header->record_room;
	struct ctask_record *oldest;

	record->id = ctask_writer.header->last_id + 1;
	if (!record->root)
		record->root = record->id;
	oldest = ctask_record_at(record->id > room ? record->id - room : 0);
	if (oldest)
		ctask_requests_evict(oldest);
	ctask_record_put(record);
}

void ctask_record_append_level(struct ctask_record *record, const void *task, const void *scope)
{
	ctask_lock();
	record->time_us = ctask_now_us();
	ctask_record_append(record);
	ctask_level_add(task, scope, record->id);
	ctask_unlock();
}
