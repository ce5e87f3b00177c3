/* history_decode.c - what copied records speak of: places, words, texts and stacks, none of which is believed. */
#include <stdlib.h>
#include <string.h>

#include "model/cleanup.h"
#include "reader/history_parts.h"

enum {
	STACK_MAX = 4096, /* frames of one stack; more are no stack */
	TEXT_SHARE = 4,	  /* texts and stacks may take this many times the bytes they come from */
};

void ctask_decoder_fini(struct ctask_decoder *d)
{
	free(d->side);
	free(d->texts);
	free(d->frames);
}

/* What one record came to. */
enum verdict { GOOD, GONE, SENSELESS, NO_MEMORY };

static bool take(struct ctask_decoder *d, uint64_t bytes)
{
	if (bytes > d->bytes_left)
		return false;
	d->bytes_left -= bytes;
	return true;
}

/* Places and words that are new since the last time. */
static int read_tables(struct ctask_history_reader *r, struct ctask_error *err)
{
	const struct ctask_history_header *h = &r->header;
	size_t old_places = r->place_count * sizeof(*r->places),
	       places = h->place_count * sizeof(*r->places);
	void *grown;
	int ret;

	if (h->place_count > r->place_count || !r->places) {
		grown = realloc(r->places, places + 1);
		if (!grown)
			return ctask_fail(err, ENOMEM, "out of memory");
		r->places = grown;
		ret = ctask_history_bytes(r, h->places_at + old_places, (char *)grown + old_places,
					  places - old_places, err);
		if (ret)
			return ret;
		r->place_count = h->place_count;
	}
	if (h->word_used > r->word_used || !r->words) {
		grown = realloc(r->words, (size_t)h->word_used + 1);
		if (!grown)
			return ctask_fail(err, ENOMEM, "out of memory");
		r->words = grown;
		ret = ctask_history_bytes(r, h->words_at + r->word_used, r->words + r->word_used,
					  h->word_used - r->word_used, err);
		if (ret)
			return ret;
		r->word_used = h->word_used;
	}
	return 0;
}

/* Copy the part of the ring from @p from to its head. What was overwritten meanwhile is told by a second look. */
static int copy_side(struct ctask_decoder *d, uint64_t from, struct ctask_error *err)
{
	struct ctask_history_reader *r = d->reader;
	const uint64_t room = r->header.side_bytes, head = r->header.side_head;
	uint64_t oldest = head > room ? head - room : 0;
	int ret = 0;

	d->side = calloc(room, 1);
	if (!d->side)
		return ctask_fail(err, ENOMEM, "out of memory");
	from = from < oldest ? oldest : from;
	while (from < head && !ret) {
		uint64_t at = from % room;
		uint64_t len = room - at < head - from ? room - at : head - from;

		ret = ctask_history_bytes(r, r->header.side_at + at, d->side + at, len, err);
		from += len;
	}
	d->side_head = head;
	if (!ret)
		ret = ctask_history_head(r, err);
	d->side_oldest = r->header.side_head > room ? r->header.side_head - room : 0;
	return ret;
}

/* An entry of the ring: its bytes, which stay where they are. */
static enum verdict side_entry(const struct ctask_decoder *d, uint64_t offset,
			       const char **ret_bytes, uint32_t *ret_len)
{
	const uint64_t room = d->reader->header.side_bytes;
	uint64_t at = offset % room;
	uint32_t len;

	if (offset % 8 || offset >= d->side_head)
		return SENSELESS;
	if (offset < d->side_oldest)
		return GONE;
	memcpy(&len, d->side + at, sizeof(len)); /* offsets are multiples of 8: it fits */
	if (len > room - at - CTASK_SIDE_LENGTH_BYTES ||
	    len + CTASK_SIDE_LENGTH_BYTES > d->side_head - offset)
		return SENSELESS;
	*ret_bytes = d->side + at + CTASK_SIDE_LENGTH_BYTES;
	*ret_len = len;
	return GOOD;
}

static enum verdict side_text(struct ctask_decoder *d, uint64_t offset, ctask_text *ret_text)
{
	const char *bytes = NULL;
	uint32_t len = 0;
	enum verdict verdict;

	if (!offset)
		return GOOD;
	verdict = side_entry(d, offset, &bytes, &len);
	if (verdict != GOOD)
		return verdict;
	if (!take(d, len))
		return SENSELESS;
	*ret_text = ctask_texts_add_checked(d->history->texts, bytes, len);
	return *ret_text ? GOOD : NO_MEMORY;
}

static enum verdict word(struct ctask_decoder *d, uint32_t offset, ctask_text *ret_text)
{
	const struct ctask_history_reader *r = d->reader;
	const char *end;

	if (!offset)
		return GOOD;
	if (offset >= r->word_used)
		return SENSELESS;
	if (!d->texts[offset]) {
		end = memchr(r->words + offset, '\0', r->word_used - offset);
		if (!end || !take(d, (uint64_t)(end - (r->words + offset))))
			return SENSELESS;
		d->texts[offset] = ctask_texts_add_checked(d->history->texts, r->words + offset,
							   (size_t)(end - (r->words + offset)));
	}
	*ret_text = d->texts[offset];
	return *ret_text ? GOOD : NO_MEMORY;
}

static enum verdict frame(struct ctask_decoder *d, uint32_t place, uint32_t *ret_frame)
{
	const struct ctask_history_reader *r = d->reader;
	struct ctask_frame made = { 0 };
	enum verdict verdict = GOOD;

	if (place >= r->place_count && place != 0)
		return SENSELESS;
	if (d->frames[place] == CTASK_NONE) {
		uint32_t index;

		if (place) { /* 0 is a place that found no room there */
			const struct ctask_place *p = &r->places[place];

			made.line = p->line;
			made.library = p->flags & CTASK_PLACE_LIBRARY;
			verdict = word(d, p->name, &made.name);
			if (verdict == GOOD)
				verdict = word(d, p->filename, &made.filename);
			if (verdict != GOOD)
				return verdict;
		}
		index = ctask_history_add_frame(d->history);
		if (index == CTASK_NONE)
			return NO_MEMORY;
		d->history->frames[index] = made;
		d->frames[place] = index;
	}
	*ret_frame = d->frames[place];
	return GOOD;
}

static enum verdict stack(struct ctask_decoder *d, uint64_t offset, uint16_t cut,
			  struct ctask_stack *ret_stack)
{
	const char *bytes = NULL;
	uint32_t len = 0;
	enum verdict verdict;

	ret_stack->cut = cut;
	if (!offset)
		return GOOD;
	verdict = side_entry(d, offset, &bytes, &len);
	if (verdict != GOOD)
		return verdict;
	if (len % sizeof(uint32_t) || len / sizeof(uint32_t) > STACK_MAX || !take(d, len))
		return SENSELESS;
	for (uint32_t i = 0; i < len; i += (uint32_t)sizeof(uint32_t)) {
		uint32_t place, index = 0;

		memcpy(&place, bytes + i, sizeof(place));
		verdict = frame(d, place, &index);
		if (verdict != GOOD)
			return verdict;
		if (ctask_history_push_stack(d->history, ret_stack, index))
			return NO_MEMORY;
	}
	return GOOD;
}

static bool makes_sense(const struct ctask_record *record)
{
	return record->origin < CTASK_ORIGINS && record->through < CTASK_THROUGHS &&
	       record->requester_kind < CTASK_REQUESTERS && record->outcome < CTASK_OUTCOMES &&
	       record->cause < record->id && record->root <= record->id && record->root > 0;
}

static enum verdict decode_texts(struct ctask_decoder *d, const struct ctask_record *record,
				 struct ctask_cancellation *c)
{
	const struct {
		uint64_t offset;
		ctask_text *text;
	} texts[] = {
		{ record->target_name, &c->target_name },
		{ record->requester_name, &c->requester_name },
		{ record->failed_task_name, &c->failed_task_name },
		{ record->exception_message, &c->exception_message },
		{ record->message, &c->message },
	};
	const struct {
		uint32_t offset;
		ctask_text *text;
	} words[] = {
		{ record->target_coroutine, &c->target_coroutine },
		{ record->requester_coroutine, &c->requester_coroutine },
		{ record->exception_type, &c->exception_type },
		{ c->requester_name ? 0 : record->requester_word, &c->requester_name },
	};
	enum verdict verdict = GOOD;

	for (size_t i = 0; i < ARRAY_SIZE(texts) && verdict == GOOD; i++)
		verdict = side_text(d, texts[i].offset, texts[i].text);
	for (size_t i = 0; i < ARRAY_SIZE(words) && verdict == GOOD; i++)
		verdict = word(d, words[i].offset, words[i].text);
	return verdict;
}

static enum verdict decode_record(struct ctask_decoder *d, const struct ctask_record *record)
{
	const uint32_t frames = d->history->stack_frame_count;
	struct ctask_cancellation *c = ctask_history_add(d->history);
	enum verdict verdict;

	if (!c)
		return NO_MEMORY;
	verdict = makes_sense(record) ? decode_texts(d, record, c) : SENSELESS;
	if (verdict == GOOD)
		verdict =
			stack(d, record->target_stack, record->target_stack_cut, &c->target_stack);
	if (verdict == GOOD)
		verdict = stack(d, record->stack, record->stack_cut, &c->stack);
	if (verdict != GOOD) { /* only whole records */
		d->history->count--;
		d->history->stack_frame_count = frames;
		return verdict;
	}
	c->id = record->id;
	c->time_us = record->time_us;
	c->source = d->reader->header.flags & CTASK_HISTORY_BY_BPF ? CTASK_BY_BPF : CTASK_BY_AGENT;
	c->target = record->target;
	c->requester_kind = record->requester_kind;
	c->requester = record->requester;
	c->requester_thread = record->thread <= INT32_MAX ? record->thread : 0;
	c->origin = record->origin;
	c->through = record->through;
	c->scope = record->scope;
	c->delay_s = record->delay_s;
	c->elapsed_s = record->elapsed_s;
	if (record->scope_frame && record->scope_frame <= c->target_stack.count)
		c->scope_frame = record->scope_frame - 1;
	c->cause = record->cause;
	c->root = record->root;
	c->failed_task = record->failed_task;
	c->repeats = record->repeats;
	c->outcome = record->outcome;
	if (record->outcome != CTASK_OUTCOME_PENDING && record->after_us >= 0)
		c->after_s = (double)record->after_us / 1e6;
	if (record->outcome != CTASK_OUTCOME_PENDING && record->resolution_us)
		c->resolution_s = record->resolution_us / 1e6;
	return GOOD;
}

int ctask_decoder_start(struct ctask_decoder *d, uint64_t side_from, struct ctask_error *err)
{
	struct ctask_history_reader *r = d->reader;
	uint32_t places;
	int ret = copy_side(d, side_from, err);

	if (!ret) /* after the records: all that they speak of is in them */
		ret = read_tables(r, err);
	if (ret)
		return ret;
	places = r->place_count ? r->place_count : 1;
	d->texts = calloc((size_t)r->word_used + 1, sizeof(*d->texts));
	d->frames = malloc(places * sizeof(*d->frames));
	if (!d->texts || !d->frames)
		return ctask_fail(err, ENOMEM, "out of memory");
	memset(d->frames, 0xff, places * sizeof(*d->frames));
	d->bytes_left = r->header.file_bytes * TEXT_SHARE;
	return 0;
}

int ctask_decode_records(struct ctask_decoder *d, const struct ctask_record_copies *c,
			 uint64_t *ret_gone, struct ctask_error *err)
{
	const struct ctask_history_reader *r = d->reader;
	const uint64_t last = r->header.last_id, room = r->header.record_room;
	uint64_t before = 0;

	*ret_gone = 0;
	for (uint32_t i = 0; i < c->count; i++) {
		const struct ctask_record *record = &c->records[i];

		/* Not published yet; fell out meanwhile, and counts as such; or is in two slots. */
		if (record->id > last || record->id + room <= last || record->id <= before)
			continue;
		before = record->id;
		switch (decode_record(d, record)) {
		case GOOD:
			break;
		case GONE:
			++*ret_gone;
			break;
		case SENSELESS:
			d->history->unreadable++;
			break;
		case NO_MEMORY:
			return ctask_fail(err, ENOMEM, "out of memory");
		}
	}
	return 0;
}

int ctask_decode_birth(struct ctask_decoder *d, const struct ctask_birth *birth,
		       struct ctask_error *err)
{
	struct ctask_birth_facts facts = {
		.task = birth->task,
		.time_us = birth->time_us,
		.creator = birth->creator,
		.frame = CTASK_NONE,
	};
	enum verdict verdict = birth->place ? frame(d, birth->place, &facts.frame) : GOOD;

	if (verdict == SENSELESS)
		facts.frame = CTASK_NONE;
	if (verdict == NO_MEMORY || ctask_history_add_birth(d->history, &facts))
		return ctask_fail(err, ENOMEM, "out of memory");
	return 0;
}
