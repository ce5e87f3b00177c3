/* check_history.c - the decoder of an agent's history: made images, hostile ones, and a writer that goes on. */
#include "reader/history.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "model/cleanup.h"
#include "reader/process.h"
#include "tests/unit/history_made.h"
#include "tests/unit/made.h"

enum { IMAGE_ADDR = 0x10000, PID = 4242 };

/* --- memory that is an image, and that somebody may write to meanwhile --- */

struct live {
	struct ctask_memory memory;
	struct image *image;
	/* Called before each read; @p reads counts them from 1. */
	void (*write)(struct live *live, uint32_t reads);
	uint32_t reads;
	uint32_t from; /* the read before which there is something to write */
	int fails;     /* the error of every read, or 0 */
};

static ssize_t live_read(struct ctask_memory *memory, const struct ctask_page_run *runs,
			 size_t count, uint8_t *to)
{
	struct live *live = (struct live *)memory;
	const struct image *image = live->image;
	ssize_t done = 0;

	if (live->fails)
		return live->fails;
	if (live->write)
		live->write(live, ++live->reads);
	for (size_t i = 0; i < count; i++) {
		for (size_t page = 0; page < runs[i].count; page++) {
			uint64_t at = runs[i].addr + page * CTASK_PAGE - IMAGE_ADDR;
			size_t n;

			if (at >= image->bytes)
				return done;
			n = image->bytes - at < CTASK_PAGE ? image->bytes - at : CTASK_PAGE;
			memset(to + done, 0, CTASK_PAGE);
			memcpy(to + done, (uint8_t *)image->header + at, n);
			done += CTASK_PAGE;
		}
	}
	return done;
}

static const struct ctask_memory_ops live_ops = { .name = "live", .read_runs = live_read };

static struct live live_of(struct image *image)
{
	return (struct live){ .memory.ops = &live_ops, .image = image };
}

static int open_live(struct live *live, struct ctask_history_reader **ret, struct ctask_error *err)
{
	return ctask_history_reader_open_memory(&live->memory, IMAGE_ADDR, live->image->bytes, PID,
						ret, err);
}

/* All of @p image, read once. */
static struct ctask_history *read_image(struct image *image)
{
	struct live live = live_of(image);
	struct ctask_history_reader *reader;
	struct ctask_history *history;
	struct ctask_error err = { 0 };

	ck_assert_msg(open_live(&live, &reader, &err) == 0, "%s", err.text);
	ck_assert_msg(ctask_history_read(reader, &history, &err) == 0, "%s", err.text);
	ctask_history_reader_close(reader);
	return history;
}

static void assert_counts(struct image *image, uint32_t count, uint64_t dropped,
			  uint64_t unreadable)
{
	struct ctask_history *history = read_image(image);

	ck_assert_uint_eq(history->count, count);
	ck_assert_uint_eq(history->dropped, dropped);
	ck_assert_uint_eq(history->unreadable, unreadable);
	ctask_history_destroy(history);
}

/* --- what is there --- */

static void fill_everything(struct image *image, struct ctask_record *r)
{
	const uint32_t stack[] = {
		image_frame(image, "sleep", "/usr/lib/asyncio/tasks.py", 665, true),
		image_frame(image, "worker", "/srv/svc.py", 33, false),
		0, /* a place that found no room */
	};

	r->origin = CTASK_ORIGIN_SIBLING_FAILED;
	r->through = CTASK_THROUGH_TASK_GROUP;
	r->requester_kind = CTASK_REQUESTER_CALLBACK;
	r->outcome = CTASK_OUTCOME_ABSORBED;
	r->scope = 0xabc;
	r->failed_task = 0xdef;
	r->delay_s = 1.5;
	r->elapsed_s = 1.75;
	r->scope_frame = 1;
	r->repeats = 3;
	r->target_name = image_text(image, "caf\xc3\xa9");
	r->target_coroutine = image_word(image, "worker");
	r->requester_word = image_word(image, "TaskGroup._on_task_done");
	r->exception_type = image_word(image, "ValueError");
	r->exception_message = image_text(image, "a\xc0\x80z\xed\xa0\x80");
	r->failed_task_name = image_text(image, "bad\xff");
	r->message = image_text(image, "");
	r->target_stack = image_put_side(image, stack, sizeof(stack));
	r->stack = image_put_side(image, stack, sizeof(stack[0]));
	r->target_stack_cut = 7;
	r->stack_cut = 9;
}

START_TEST(everything)
{
	struct image image;
	struct ctask_history *history;
	const struct ctask_cancellation *c;
	const uint32_t *stack;

	image_init(&image, IMAGE_RECORDS, IMAGE_SIDE);
	fill_everything(&image, image_record(&image));
	history = read_image(&image);
	ck_assert_uint_eq(history->count, 1);
	ck_assert_int_eq(history->pid, PID);
	ck_assert_str_eq(history->python_version, "3.13.5");
	ck_assert_int_eq(history->since_us, 1000000);
	ck_assert_uint_eq(history->last_id, 1);
	ck_assert_uint_eq(history->dropped, 0);
	ck_assert_uint_eq(history->unreadable, 0);
	ck_assert(!history->ended);
	c = &history->items[0];
	ck_assert_uint_eq(c->id, 1);
	ck_assert_int_eq(c->time_us, 1795289164123456);
	ck_assert_int_eq(c->source, CTASK_BY_AGENT);
	ck_assert_uint_eq(c->target, 0x7f0000000100);
	ck_assert_str_eq(c->target_name, "caf\xc3\xa9");
	ck_assert_str_eq(c->target_coroutine, "worker");
	ck_assert_int_eq(c->requester_kind, CTASK_REQUESTER_CALLBACK);
	ck_assert_uint_eq(c->requester, 0);
	ck_assert_str_eq(c->requester_name, "TaskGroup._on_task_done");
	ck_assert_ptr_null(c->requester_coroutine);
	ck_assert_uint_eq(c->requester_thread, 7);
	ck_assert_int_eq(c->origin, CTASK_ORIGIN_SIBLING_FAILED);
	ck_assert_int_eq(c->through, CTASK_THROUGH_TASK_GROUP);
	ck_assert_uint_eq(c->scope, 0xabc);
	ck_assert_double_eq(c->delay_s, 1.5);
	ck_assert_double_eq(c->elapsed_s, 1.75);
	ck_assert_uint_eq(c->scope_frame, 0);
	ck_assert_uint_eq(c->cause, 0);
	ck_assert_uint_eq(c->root, 1);
	ck_assert_str_eq(c->exception_type, "ValueError");
	ck_assert_str_eq(c->exception_message,
			 "a\xc0\x80z\xed\xa0\x80"); /* our own form: as it is */
	ck_assert_uint_eq(c->failed_task, 0xdef);
	ck_assert_str_eq(c->failed_task_name, "bad\xed\xb3\xbf"); /* no UTF-8: surrogateescape */
	ck_assert_str_eq(c->message, "");			  /* there, and empty */
	ck_assert_uint_eq(c->repeats, 3);
	ck_assert_int_eq(c->outcome, CTASK_OUTCOME_ABSORBED);
	ck_assert_double_eq_tol(c->after_s, 0.0021, 1e-9);
	ck_assert_uint_eq(c->target_stack.count, 3);
	ck_assert_uint_eq(c->target_stack.cut, 7);
	stack = ctask_history_stack(history, &c->target_stack);
	ck_assert_str_eq(history->frames[stack[0]].name, "sleep");
	ck_assert(history->frames[stack[0]].library);
	ck_assert_str_eq(history->frames[stack[1]].filename, "/srv/svc.py");
	ck_assert_uint_eq(history->frames[stack[1]].line, 33);
	ck_assert(!history->frames[stack[1]].library);
	ck_assert_ptr_null(history->frames[stack[2]].name);
	ck_assert_uint_eq(c->stack.count, 1);
	ck_assert_uint_eq(c->stack.cut, 9);
	ck_assert_uint_eq(ctask_history_stack(history, &c->stack)[0], stack[0]); /* one place */
	ctask_history_destroy(history);
	free(image.header);
}
END_TEST

START_TEST(nothing)
{
	struct image image;

	image_init(&image, IMAGE_RECORDS, IMAGE_SIDE);
	assert_counts(&image, 0, 0, 0);
	free(image.header);
}
END_TEST

START_TEST(pending_has_no_time)
{
	struct image image;
	struct ctask_history *history;

	image_init(&image, IMAGE_RECORDS, IMAGE_SIDE);
	image_record(&image)->outcome = CTASK_OUTCOME_PENDING;
	image_record(&image)->after_us = -1;
	history = read_image(&image);
	ck_assert_double_nan(history->items[0].after_s);
	ck_assert_double_nan(history->items[1].after_s);
	ck_assert_double_nan(history->items[0].delay_s);
	ctask_history_destroy(history);
	free(image.header);
}
END_TEST

START_TEST(a_ring_that_went_round)
{
	struct image image;
	struct ctask_history *history;

	image_init(&image, IMAGE_RECORDS, IMAGE_SIDE);
	image.header->lost_records = 2;
	for (int i = 0; i < 21; i++)
		image_record(&image);
	image.records[17 % IMAGE_RECORDS].id = 0; /* refused */
	history = read_image(&image);
	ck_assert_uint_eq(history->count, 7);
	ck_assert_uint_eq(history->dropped, 13 + 2);
	ck_assert_uint_eq(history->items[0].id, 14);
	ck_assert_uint_eq(history->items[3].id, 18);
	ck_assert_uint_eq(history->items[6].id, 21);
	ctask_history_destroy(history);
	free(image.header);
}
END_TEST

START_TEST(what_belongs_to_it_fell_out)
{
	struct image image;
	char filler[120]; /* and its length, and the rest to 8: 128 bytes */

	memset(filler, 'x', sizeof(filler));
	image_init(&image, IMAGE_RECORDS, IMAGE_SIDE);
	image_record(&image)->message = image_text(&image, "gone"); /* at 8 */
	image_record(&image)->message = image_put_side(&image, filler, 100);
	for (int i = 0; i < 7; i++)
		image_put_side(&image, filler, sizeof(filler));
	image_text(&image, "1st");
	image_text(&image, "2nd");
	ck_assert_uint_eq(image.header->side_head, 8 + IMAGE_SIDE);
	assert_counts(&image, 2, 0, 0);
	image_text(&image, "3rd");
	assert_counts(&image, 1, 1, 0);
	free(image.header);
}
END_TEST

START_TEST(the_end_of_python)
{
	struct image image;
	struct ctask_history *history;

	image_init(&image, IMAGE_RECORDS, IMAGE_SIDE);
	image.header->flags = CTASK_HISTORY_ENDED;
	memset(image.header->python_version, 'x', sizeof(image.header->python_version));
	history = read_image(&image);
	ck_assert(history->ended);
	ck_assert_uint_eq(strlen(history->python_version), 31);
	ctask_history_destroy(history);
	free(image.header);
}
END_TEST

/* --- records that make no sense --- */

#define BAD(field, value)                                                                          \
	{                                                                                          \
#field, offsetof(struct ctask_record, field),                                      \
			sizeof(((struct ctask_record *)0)->field), value                           \
	}

static const struct {
	const char *field;
	size_t offset, bytes;
	uint64_t value;
} bad_records[] = {
	BAD(origin, CTASK_ORIGINS),
	BAD(through, CTASK_THROUGHS),
	BAD(requester_kind, CTASK_REQUESTERS),
	BAD(outcome, CTASK_OUTCOMES),
	BAD(cause, 2),
	BAD(cause, UINT64_MAX),
	BAD(root, 0),
	BAD(root, 3),
	BAD(target_coroutine, IMAGE_WORDS),
	BAD(target_coroutine, UINT32_MAX),
	BAD(requester_coroutine, 999),
	BAD(exception_type, 999),
	BAD(requester_word, 999),
	BAD(target_name, 12),		     /* no multiple of 8 */
	BAD(target_name, 800),		     /* not written yet */
	BAD(requester_name, UINT64_MAX - 7), /* nor that */
	BAD(failed_task_name, 24),	     /* a length that passes the head */
	BAD(exception_message, 32),	     /* a length that passes the ring */
	BAD(message, 40),		     /* the greatest length */
	BAD(target_stack, 48),		     /* an odd length */
	BAD(stack, 56),			     /* a place that is not there */
};

START_TEST(one_bad_record)
{
	struct image image;
	struct ctask_record *r;
	struct ctask_history *history;

	image_init(&image, IMAGE_RECORDS, IMAGE_SIDE);
	image_record(&image);
	r = image_record(&image);
	image_record(&image);
	image.header->side_head = 64;
	*(uint32_t *)(image.side + 24) = 64;
	*(uint32_t *)(image.side + 32) = IMAGE_SIDE;
	*(uint32_t *)(image.side + 40) = UINT32_MAX;
	*(uint32_t *)(image.side + 48) = 3;
	*(uint32_t *)(image.side + 56) = 4;
	*(uint32_t *)(image.side + 60) = IMAGE_PLACES;
	assert_counts(&image, 3, 0, 0);
	memcpy((char *)r + bad_records[_i].offset, &bad_records[_i].value, bad_records[_i].bytes);
	history = read_image(&image);
	ck_assert_msg(history->count == 2 && history->unreadable == 1, "%s: %u read, %llu not",
		      bad_records[_i].field, history->count,
		      (unsigned long long)history->unreadable);
	ck_assert_uint_eq(history->items[1].id, 3);
	ck_assert_uint_eq(history->dropped, 0);
	ctask_history_destroy(history);
	free(image.header);
}
END_TEST

START_TEST(a_bad_place_or_word)
{
	struct image image;
	uint32_t place;
	struct ctask_record *r;

	image_init(&image, IMAGE_RECORDS, IMAGE_SIDE);
	r = image_record(&image);
	place = image_frame(&image, "f", "/f.py", 1, false);
	r->stack = image_put_side(&image, &place, sizeof(place));
	assert_counts(&image, 1, 0, 0);
	image.places[place].name = 900;
	assert_counts(&image, 0, 0, 1);
	image.places[place].name = 1;
	image.places[place].filename = 3;
	image.words[image.header->word_used - 1] = 'x'; /* no end */
	assert_counts(&image, 0, 0, 1);
	free(image.header);
}
END_TEST

START_TEST(an_entry_that_passes_the_end_of_the_ring)
{
	struct image image;

	image_init(&image, IMAGE_RECORDS, IMAGE_SIDE);
	image_record(&image)->message = IMAGE_SIDE - 16;
	image.header->side_head = IMAGE_SIDE + 512;
	*(uint32_t *)(image.side + IMAGE_SIDE - 16) = 12;
	assert_counts(&image, 1, 0, 0);
	*(uint32_t *)(image.side + IMAGE_SIDE - 16) = 13;
	assert_counts(&image, 0, 0, 1);
	free(image.header);
}
END_TEST

/* Records that share one long text cannot make more of it than there is room for. */
START_TEST(texts_that_multiply)
{
	enum { ROOM = 4096 };
	struct image image;
	struct ctask_history *history;
	auto_free char *text = calloc(1, 1 << 15);
	uint64_t at;

	memset(text, 'x', 1 << 15);
	image_init(&image, ROOM, 1 << 16);
	at = image_put_side(&image, text, 1 << 15);
	for (uint32_t i = 0; i < ROOM; i++)
		image_record(&image)->message = at;
	history = read_image(&image);
	ck_assert_uint_gt(history->unreadable, 0);
	ck_assert_uint_gt(history->count, 0);
	ck_assert_uint_eq(history->count + history->unreadable, ROOM);
	ck_assert_uint_le((uint64_t)history->count << 15, 4 * image.header->file_bytes);
	ctask_history_destroy(history);
	free(image.header);
}
END_TEST

/* --- headers that are none --- */

#define HEAD(field, value)                                                                         \
	{                                                                                          \
#field, offsetof(struct ctask_history_header, field),                              \
			sizeof(((struct ctask_history_header *)0)->field), value                   \
	}

static const struct {
	const char *field;
	size_t offset, bytes;
	uint64_t value;
} bad_headers[] = {
	HEAD(magic, 0),
	HEAD(version, 2),
	HEAD(header_bytes, 8),
	HEAD(record_bytes, 0),
	HEAD(record_bytes, sizeof(struct ctask_record) + 8),
	HEAD(place_bytes, 8),
	HEAD(birth_bytes, 0),
	HEAD(record_room, 0),
	HEAD(record_room, UINT32_MAX),
	HEAD(place_room, UINT32_MAX),
	HEAD(birth_room, UINT32_MAX),
	HEAD(side_bytes, 0),
	HEAD(side_bytes, 4),
	HEAD(side_bytes, 1000),
	HEAD(side_bytes, 1u << 31),
	HEAD(word_bytes, UINT32_MAX),
	HEAD(records_at, 0),
	HEAD(records_at, 1 << 20),
	HEAD(records_at, UINT64_MAX - 7),
	HEAD(records_at, sizeof(struct ctask_history_header) + 1),
	HEAD(side_at, UINT64_MAX - 7),
	HEAD(places_at, UINT64_MAX - 7),
	HEAD(words_at, UINT64_MAX - 7),
	HEAD(births_at, UINT64_MAX - 7),
	HEAD(file_bytes, UINT64_MAX),
	HEAD(file_bytes, 64),
	HEAD(place_count, IMAGE_PLACES + 1),
	HEAD(word_used, IMAGE_WORDS + 1),
	HEAD(birth_used, IMAGE_BIRTHS + 1),
	HEAD(last_id, UINT64_MAX),
	HEAD(side_head, UINT64_MAX),
};

START_TEST(one_bad_header)
{
	struct image image;
	struct live live = live_of(&image);
	struct ctask_history_reader *reader = NULL;
	struct ctask_error err = { 0 };

	image_init(&image, IMAGE_RECORDS, IMAGE_SIDE);
	image_record(&image);
	assert_counts(&image, 1, 0, 0);
	memcpy((char *)image.header + bad_headers[_i].offset, &bad_headers[_i].value,
	       bad_headers[_i].bytes);
	ck_assert_msg(open_live(&live, &reader, &err) == -EPROTO, "%s: %s", bad_headers[_i].field,
		      err.text);
	ck_assert_ptr_null(reader);
	ck_assert_int_eq(err.code, EPROTO);
	ck_assert_ptr_null(strchr(err.text, '\n'));
	ck_assert(err.text[0]);
	free(image.header);
}
END_TEST

START_TEST(truncated)
{
	struct image image;
	struct ctask_history_reader *reader;
	struct ctask_error err = { 0 };

	image_init(&image, IMAGE_RECORDS, IMAGE_SIDE);
	for (size_t bytes = 0; bytes < image.bytes; bytes += 8) {
		int fd = memfd_create("made", MFD_CLOEXEC);

		ck_assert_int_eq(write(fd, image.header, bytes), (ssize_t)bytes);
		ck_assert_int_eq(ctask_history_reader_open_file(fd, PID, &reader, &err), -EPROTO);
	}
	free(image.header);
}
END_TEST

/* A file may become shorter between two reads: an error, no signal. */
START_TEST(truncated_later)
{
	struct image image;
	struct ctask_history_reader *reader;
	struct ctask_history *history = NULL;
	struct ctask_error err = { 0 };
	int fd = memfd_create("made", MFD_CLOEXEC);

	image_init(&image, IMAGE_RECORDS, IMAGE_SIDE);
	image_record(&image);
	ck_assert_int_eq(write(fd, image.header, image.bytes), (ssize_t)image.bytes);
	ck_assert_int_eq(ctask_history_reader_open_file(dup(fd), PID, &reader, &err), 0);
	ck_assert_int_eq(ctask_history_read(reader, &history, &err), 0);
	ck_assert_uint_eq(history->count, 1);
	ctask_history_destroy(history);
	history = NULL;
	ck_assert_int_eq(ftruncate(fd, (off_t)image.header->records_at), 0);
	ck_assert_int_eq(ctask_history_read(reader, &history, &err), -EPROTO);
	ck_assert_int_eq(ftruncate(fd, 0), 0);
	ck_assert_int_eq(ctask_history_reader_changed(reader, &err), -EPROTO);
	ck_assert_ptr_null(history);
	ctask_history_reader_close(reader);
	close(fd);
	free(image.header);
}
END_TEST

START_TEST(counts_that_shrink)
{
	struct image image;
	struct live live = live_of(&image);
	struct ctask_history_reader *reader;
	struct ctask_history *history;
	struct ctask_error err = { 0 };

	image_init(&image, IMAGE_RECORDS, IMAGE_SIDE);
	fill_everything(&image, image_record(&image));
	ck_assert_int_eq(open_live(&live, &reader, &err), 0);
	ck_assert_int_eq(ctask_history_read(reader, &history, &err), 0);
	ctask_history_destroy(history);
	image.header->place_count--;
	ck_assert_int_eq(ctask_history_read(reader, &history, &err), -EPROTO);
	image.header->place_count++;
	image.header->word_used--;
	ck_assert_int_eq(ctask_history_read(reader, &history, &err), -EPROTO);
	ctask_history_reader_close(reader);
	free(image.header);
}
END_TEST

START_TEST(memory_that_goes)
{
	struct image image;
	struct live live = live_of(&image);
	struct ctask_history_reader *reader;
	struct ctask_history *history;
	struct ctask_error err = { 0 };

	image_init(&image, IMAGE_RECORDS, IMAGE_SIDE);
	ck_assert_int_eq(open_live(&live, &reader, &err), 0);
	live.fails = -ESRCH;
	ck_assert_int_eq(ctask_history_read(reader, &history, &err), -EOWNERDEAD);
	ctask_history_reader_close(reader);
	free(image.header);
}
END_TEST

/* --- a writer that goes on --- */

/* Every read of a record finds it changed: it never holds still. */
static void write_always(struct live *live, uint32_t reads)
{
	live->image->records[2].sequence += 2;
	live->image->records[2].after_us = reads;
}

static void stop_in_the_middle(struct live *live, uint32_t reads)
{
	(void)reads;
	live->image->records[2].sequence |= 1;
}

/* Written in two halves, each seen by one read: a copy of both must not be believed. */
static void write_in_halves(struct live *live, uint32_t reads)
{
	struct ctask_record *r = &live->image->records[2];

	if (reads < 4 || reads > 7)
		return;
	r->sequence++;
	if (reads % 2 == 0)
		r->outcome = CTASK_OUTCOME_RAISED;
	else
		r->after_us = 5000000;
}

static struct ctask_history *read_live(struct live *live)
{
	struct ctask_history_reader *reader;
	struct ctask_history *history;
	struct ctask_error err = { 0 };
	void (*writer)(struct live *, uint32_t) = live->write;

	live->write = NULL;
	ck_assert_int_eq(open_live(live, &reader, &err), 0);
	live->write = writer;
	live->reads = 0;
	ck_assert_msg(ctask_history_read(reader, &history, &err) == 0, "%s", err.text);
	ctask_history_reader_close(reader);
	return history;
}

START_TEST(a_record_that_never_rests)
{
	static void (*const writers[])(struct live *, uint32_t) = { write_always,
								    stop_in_the_middle };
	struct image image;
	struct live live = live_of(&image);
	struct ctask_history *history;

	image_init(&image, IMAGE_RECORDS, IMAGE_SIDE);
	for (int i = 0; i < 3; i++)
		image_record(&image);
	live.write = writers[_i];
	history = read_live(&live);
	ck_assert_uint_eq(history->count, 2);
	ck_assert_uint_eq(history->unreadable, 1);
	ck_assert_uint_eq(history->items[0].id, 1);
	ck_assert_uint_eq(history->items[1].id, 3);
	ctask_history_destroy(history);
	free(image.header);
}
END_TEST

START_TEST(a_record_that_rests_again)
{
	struct image image;
	struct live live = live_of(&image);
	struct ctask_history *history;

	image_init(&image, IMAGE_RECORDS, IMAGE_SIDE);
	for (int i = 0; i < 3; i++)
		image_record(&image);
	live.write = write_in_halves;
	history = read_live(&live);
	ck_assert_uint_eq(history->count, 3);
	ck_assert_uint_eq(history->unreadable, 0);
	ck_assert_int_eq(history->items[1].outcome, CTASK_OUTCOME_RAISED);
	ck_assert_double_eq(history->items[1].after_s, 5.0);
	ctask_history_destroy(history);
	free(image.header);
}
END_TEST

/* While the records are copied, the ring goes round: those that it ran over are dropped, none is twice. */
static void write_many(struct live *live, uint32_t reads)
{
	if (reads == live->from) {
		for (int i = 0; i < 5; i++)
			image_record(live->image)->message = image_text(live->image, "new");
	}
}

START_TEST(a_ring_that_goes_round_meanwhile)
{
	int in_time = 0;
	bool too_late = false;

	for (uint32_t when = 1; !too_late; when++) {
		struct image image;
		struct live live = live_of(&image);
		struct ctask_history *history;

		image_init(&image, IMAGE_RECORDS, IMAGE_SIDE);
		for (uint32_t i = 0; i < IMAGE_RECORDS; i++)
			image_record(&image);
		live.write = write_many;
		live.from = when;
		history = read_live(&live);
		if (history->last_id == 8) { /* all was read before */
			ck_assert_uint_eq(history->dropped, 0);
			ck_assert_uint_eq(history->count, 8);
			too_late = true;
		} else {
			ck_assert_uint_eq(history->dropped, 5);
			ck_assert_uint_ge(history->count, 3);
			ck_assert_uint_gt(history->items[0].id, 5);
			in_time++;
		}
		for (uint32_t i = 1; i < history->count; i++)
			ck_assert_uint_gt(history->items[i].id, history->items[i - 1].id);
		ctask_history_destroy(history);
		free(image.header);
	}
	ck_assert_int_gt(in_time, 5);
}
END_TEST

/* The side ring is overwritten between the copy of the records and its own. */
static void overwrite_side(struct live *live, uint32_t reads)
{
	char filler[IMAGE_SIDE / 2 - 8];

	memset(filler, 'y', sizeof(filler));
	if (reads == live->from) {
		image_put_side(live->image, filler, sizeof(filler));
		image_put_side(live->image, filler, sizeof(filler));
	}
}

START_TEST(side_data_overwritten_meanwhile)
{
	int kept = 0, lost = 0;

	for (uint32_t when = 1; when < 14; when++) {
		struct image image;
		struct live live = live_of(&image);
		struct ctask_history *history;

		image_init(&image, IMAGE_RECORDS, IMAGE_SIDE);
		image_record(&image)->message = image_text(&image, "hello");
		live.write = overwrite_side;
		live.from = when;
		history = read_live(&live);
		ck_assert_uint_eq(history->unreadable, 0);
		ck_assert_uint_eq(history->count + history->dropped, 1);
		if (history->count)
			ck_assert_str_eq(history->items[0].message, "hello");
		*(history->count ? &kept : &lost) += 1;
		ctask_history_destroy(history);
		free(image.header);
	}
	ck_assert(kept && lost);
}
END_TEST

/* --- what is new --- */

static struct ctask_history *changes(struct ctask_history_reader *reader, int32_t changed)
{
	struct ctask_history *history;
	struct ctask_error err = { 0 };

	ck_assert_int_eq(ctask_history_reader_changed(reader, &err), changed);
	ck_assert_msg(ctask_history_read_changes(reader, &history, &err) == 0, "%s", err.text);
	return history;
}

static void end_record(struct image *image, uint64_t id, uint8_t outcome)
{
	struct ctask_record *r = &image->records[id % IMAGE_RECORDS];

	r->sequence += 2;
	r->outcome = outcome;
	image->header->changes++;
}

static void assert_changes(struct ctask_history_reader *reader, int32_t changed, const char *want,
			   uint64_t dropped)
{
	struct ctask_history *history = changes(reader, changed);
	char got[256] = "";

	for (uint32_t i = 0; i < history->count; i++)
		snprintf(got + strlen(got), sizeof(got) - strlen(got), "%llu%s ",
			 (unsigned long long)history->items[i].id,
			 ctask_outcome_words[history->items[i].outcome]);
	ck_assert_str_eq(got, want);
	ck_assert_uint_eq(history->dropped, dropped);
	ctask_history_destroy(history);
}

START_TEST(only_what_is_new)
{
	struct image image;
	struct live live = live_of(&image);
	struct ctask_history_reader *reader;
	struct ctask_history *history;

	image_init(&image, IMAGE_RECORDS, IMAGE_SIDE);
	image_record(&image);
	image_record(&image)->outcome = CTASK_OUTCOME_PENDING;
	ck_assert_int_eq(open_live(&live, &reader, NULL), 0);
	assert_changes(reader, 1, "1cancelled 2pending ", 0);
	assert_changes(reader, 0, "", 0);
	image_record(&image)->outcome = CTASK_OUTCOME_SWALLOWED;
	assert_changes(reader, 1, "3swallowed ", 0);
	end_record(&image, 2, CTASK_OUTCOME_RETURNED);
	image_record(&image);
	assert_changes(reader, 1, "2returned 4cancelled ", 0);
	end_record(&image, 3, CTASK_OUTCOME_CANCELLED);
	assert_changes(reader, 1, "3cancelled ", 0);
	ck_assert_int_eq(ctask_history_read_from(reader, 3, &history, NULL), 0);
	ck_assert_uint_eq(history->count, 2);
	ck_assert_uint_eq(history->items[0].id, 3);
	ctask_history_destroy(history);
	ctask_history_reader_close(reader);
	free(image.header);
}
END_TEST

START_TEST(missed_while_nobody_looked)
{
	struct image image;
	struct live live = live_of(&image);
	struct ctask_history_reader *reader;

	image_init(&image, IMAGE_RECORDS, IMAGE_SIDE);
	for (int i = 0; i < 20; i++) /* fell out before anybody was there */
		image_record(&image);
	image.header->lost_records = 100;
	ck_assert_int_eq(open_live(&live, &reader, NULL), 0);
	assert_changes(reader, 1,
		       "13cancelled 14cancelled 15cancelled 16cancelled 17cancelled 18cancelled "
		       "19cancelled 20cancelled ",
		       0);
	for (int i = 0; i < 10; i++)
		image_record(&image);
	image.header->lost_records++;
	assert_changes(reader, 1,
		       "23cancelled 24cancelled 25cancelled 26cancelled 27cancelled 28cancelled "
		       "29cancelled 30cancelled ",
		       3);
	assert_changes(reader, 0, "", 3);
	ctask_history_reader_close(reader);
	free(image.header);
}
END_TEST

/* What was being written is told later, not lost. */
START_TEST(torn_comes_again)
{
	struct image image;
	struct live live = live_of(&image);
	struct ctask_history_reader *reader;

	image_init(&image, IMAGE_RECORDS, IMAGE_SIDE);
	image_record(&image);
	image_record(&image);
	image.records[1].sequence = 3;
	ck_assert_int_eq(open_live(&live, &reader, NULL), 0);
	assert_changes(reader, 1, "2cancelled ", 0);
	image.records[1].sequence = 4;
	assert_changes(reader, 1, "1cancelled ", 0);
	assert_changes(reader, 0, "", 0);
	ctask_history_reader_close(reader);
	free(image.header);
}
END_TEST

/* --- births --- */

START_TEST(births)
{
	struct image image;
	struct live live = live_of(&image);
	struct ctask_history_reader *reader;
	struct ctask_history *history;
	const struct ctask_birth_facts *birth;

	image_init(&image, IMAGE_RECORDS, IMAGE_SIDE);
	image.births[0] = (struct ctask_birth){ 0x300, 33, 0x100, 0, 2 };
	image.births[1] = (struct ctask_birth){ 0x100, 11, 0, 0, 2 };
	image.births[2] = (struct ctask_birth){ 0x200, 22, 0, 0, 3 }; /* is being written */
	image.births[3] = (struct ctask_birth){ 0, 44, 0, 5, 2 };     /* free */
	image.births[0].place = image_frame(&image, "main", "/srv/svc.py", 9, false);
	image.births[1].place = 999;
	image.header->birth_used = 4;
	image.header->lost_births = 6;
	ck_assert_int_eq(open_live(&live, &reader, NULL), 0);
	ck_assert_int_eq(ctask_history_read_births(reader, &history, NULL), 0);
	ck_assert_uint_eq(history->birth_count, 2);
	ck_assert_uint_eq(history->lost_births, 6);
	birth = ctask_history_birth(history, 0x300);
	ck_assert_ptr_nonnull(birth);
	ck_assert_uint_eq(birth->creator, 0x100);
	ck_assert_int_eq(birth->time_us, 33);
	ck_assert_uint_eq(history->frames[birth->frame].line, 9);
	birth = ctask_history_birth(history, 0x100);
	ck_assert_ptr_nonnull(birth);
	ck_assert_uint_eq(birth->frame, CTASK_NONE);
	ck_assert_ptr_null(ctask_history_birth(history, 0x200));
	ctask_history_destroy(history);
	ctask_history_reader_close(reader);
	free(image.header);
}
END_TEST

/* --- finding it --- */

/* As an agent does: a memfd of that name, mapped, that says whose it is. */
static struct ctask_history_header *plant(const char *name, uint64_t start_ticks, int *ret_fd)
{
	struct ctask_history_header plan, *h;
	int fd = memfd_create(name, MFD_CLOEXEC);

	image_plan(&plan, IMAGE_RECORDS, IMAGE_SIDE);
	plan.nspid = getpid();
	plan.start_ticks = start_ticks;
	ck_assert_int_eq(ftruncate(fd, (off_t)plan.file_bytes), 0);
	h = mmap(NULL, plan.file_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(h, MAP_FAILED);
	*h = plan;
	*ret_fd = fd;
	return h;
}

static void uproot(struct ctask_history_header *h, int fd)
{
	munmap(h, h->file_bytes);
	if (fd >= 0)
		close(fd);
}

START_TEST(found)
{
	struct ctask_history_reader *reader;
	struct ctask_history_header *h, *parents;
	struct ctask_error err = { 0 };
	int fd, parents_fd;

	ck_assert_int_eq(ctask_history_reader_open(getpid(), &reader, &err), -ENOTSUP);
	ck_assert_ptr_nonnull(strstr(err.text, "ctaskctl run"));
	parents = plant("ctask.v1", 1, &parents_fd);
	ck_assert_int_eq(ctask_history_reader_open(getpid(), &reader, &err), -ENOTSUP);
	ck_assert_ptr_nonnull(strstr(err.text, "forked"));
	h = plant("ctask.v1", ctask_process_start(getpid()), &fd);
	ck_assert_msg(ctask_history_reader_open(getpid(), &reader, &err) == 0, "%s", err.text);
	ctask_history_reader_close(reader);
	close(fd); /* by its mapping, then */
	ck_assert_msg(ctask_history_reader_open(getpid(), &reader, &err) == 0, "%s", err.text);
	ctask_history_reader_close(reader);
	h->version = 9;
	ck_assert_int_eq(ctask_history_reader_open(getpid(), &reader, &err), -EPROTO);
	uproot(h, -1);
	uproot(parents, parents_fd);
	h = plant("ctask.v10", ctask_process_start(getpid()), &fd);
	ck_assert_int_eq(ctask_history_reader_open(getpid(), &reader, &err), -ENOTSUP);
	uproot(h, fd);
	ck_assert_int_eq(ctask_history_reader_open(INT32_MAX, &reader, &err), -ESRCH);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("history");

	tcase_add_test(tests, everything);
	tcase_add_test(tests, nothing);
	tcase_add_test(tests, pending_has_no_time);
	tcase_add_test(tests, a_ring_that_went_round);
	tcase_add_test(tests, what_belongs_to_it_fell_out);
	tcase_add_test(tests, the_end_of_python);
	tcase_add_loop_test(tests, one_bad_record, 0, ARRAY_SIZE(bad_records));
	tcase_add_test(tests, a_bad_place_or_word);
	tcase_add_test(tests, an_entry_that_passes_the_end_of_the_ring);
	tcase_add_test(tests, texts_that_multiply);
	tcase_add_loop_test(tests, one_bad_header, 0, ARRAY_SIZE(bad_headers));
	tcase_add_test(tests, truncated);
	tcase_add_test(tests, truncated_later);
	tcase_add_test(tests, counts_that_shrink);
	tcase_add_test(tests, memory_that_goes);
	tcase_add_loop_test(tests, a_record_that_never_rests, 0, 2);
	tcase_add_test(tests, a_record_that_rests_again);
	tcase_add_test(tests, a_ring_that_goes_round_meanwhile);
	tcase_add_test(tests, side_data_overwritten_meanwhile);
	tcase_add_test(tests, only_what_is_new);
	tcase_add_test(tests, missed_while_nobody_looked);
	tcase_add_test(tests, torn_comes_again);
	tcase_add_test(tests, births);
	tcase_add_test(tests, found);
	return made_run("history", tests);
}
