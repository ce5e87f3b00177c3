/* writer.c - write the memory that include/ctask/history.h describes. */
#include "model/writer.h"

#include <string.h>

enum {
	AREA = 64,	/* areas begin at multiples of this */
	SIDE_ALIGN = 8, /* so do entries of the side ring of this */
	PLACE_BYTES_SHARE =
		32, /* places get 1/32 of the budget, words 1/16, side 1/4, records the rest */
	WORD_BYTES_SHARE = 16,
	SIDE_BYTES_SHARE = 4,
	SIDE_ENTRY_MAX = 1 << 14,
};

static uint64_t round_up(uint64_t bytes)
{
	return (bytes + AREA - 1) / AREA * AREA;
}

static uint32_t power_of_two_below(size_t bytes)
{
	uint32_t power = 1;

	while ((size_t)power * 2 <= bytes && power < 1u << 30)
		power *= 2;
	return power;
}

void ctask_writer_plan(struct ctask_history_header *h, size_t bytes, uint32_t birth_room)
{
	uint64_t at = round_up(sizeof(*h));

	*h = (struct ctask_history_header){
		.version = CTASK_HISTORY_VERSION,
		.header_bytes = sizeof(*h),
		.record_bytes = sizeof(struct ctask_record),
		.place_bytes = sizeof(struct ctask_place),
		.birth_bytes = sizeof(struct ctask_birth),
		.side_bytes = power_of_two_below(bytes / SIDE_BYTES_SHARE),
		.word_bytes = (uint32_t)(bytes / WORD_BYTES_SHARE),
		.place_room = (uint32_t)(bytes / PLACE_BYTES_SHARE / sizeof(struct ctask_place)),
		.birth_room = birth_room,
	};
	h->side_at = at;
	at = round_up(at + h->side_bytes);
	h->words_at = at;
	at = round_up(at + h->word_bytes);
	h->places_at = at;
	at = round_up(at + (uint64_t)h->place_room * sizeof(struct ctask_place));
	h->records_at = at;
	h->record_room = (uint32_t)((bytes - at) / sizeof(struct ctask_record));
	h->births_at = round_up(at + (uint64_t)h->record_room * sizeof(struct ctask_record));
	h->file_bytes = h->births_at + (uint64_t)h->birth_room * sizeof(struct ctask_birth);
}

void ctask_writer_begin(struct ctask_writer *w, void *memory, int fd,
			const struct ctask_history_header *plan)
{
	struct ctask_history_header *h = memory;

	*h = *plan;
	h->side_head = SIDE_ALIGN;
	h->place_count = 1; /* 0 is no place, … */
	h->word_used = 1;   /* … and no word */
	*w = (struct ctask_writer){
		.header = h,
		.records = (void *)((char *)h + h->records_at),
		.places = (void *)((char *)h + h->places_at),
		.births = (void *)((char *)h + h->births_at),
		.side = (char *)h + h->side_at,
		.words = (char *)h + h->words_at,
		.fd = fd,
	};
}

void ctask_writer_show(struct ctask_writer *w)
{
	__atomic_thread_fence(__ATOMIC_RELEASE);
	memcpy(w->header->magic, CTASK_HISTORY_MAGIC, sizeof(w->header->magic));
}

/* --- texts and places --- */

uint64_t ctask_writer_side(struct ctask_writer *w, const void *bytes, size_t len, const char *end)
{
	struct ctask_history_header *h = w->header;
	uint64_t at = h->side_head, room = h->side_bytes;
	uint32_t length = (uint32_t)(len + strlen(end));
	uint64_t need =
		(CTASK_SIDE_LENGTH_BYTES + length + SIDE_ALIGN - 1) / SIDE_ALIGN * SIDE_ALIGN;

	if (len > SIDE_ENTRY_MAX)
		return 0;
	if (at % room + need > room) /* in one piece: at the start of the ring */
		at += room - at % room;
	/* The head moves first: a reader that sees the old bytes go also sees that they are gone. */
	__atomic_store_n(&h->side_head, at + need, __ATOMIC_SEQ_CST);
	memcpy(w->side + at % room, &length, sizeof(length));
	memcpy(w->side + at % room + CTASK_SIDE_LENGTH_BYTES, bytes, len);
	memcpy(w->side + at % room + CTASK_SIDE_LENGTH_BYTES + len, end, length - len);
	return at;
}

uint32_t ctask_writer_word(struct ctask_writer *w, const char *text, size_t len)
{
	struct ctask_history_header *h = w->header;
	uint32_t at = h->word_used;

	if (len >= h->word_bytes - at) {
		h->lost_places++;
		return 0;
	}
	memcpy(w->words + at, text, len);
	w->words[at + len] = '\0';
	__atomic_store_n(&h->word_used, at + (uint32_t)len + 1, __ATOMIC_RELEASE);
	return at;
}

uint32_t ctask_writer_place(struct ctask_writer *w, const struct ctask_place *place)
{
	struct ctask_history_header *h = w->header;
	uint32_t at = h->place_count;

	if (at >= h->place_room) {
		h->lost_places++;
		return 0;
	}
	w->places[at] = *place;
	__atomic_store_n(&h->place_count, at + 1, __ATOMIC_RELEASE);
	return at;
}

/* --- records --- */

static struct ctask_record *slot_of(const struct ctask_writer *w, uint64_t id)
{
	return &w->records[id % w->header->record_room];
}

struct ctask_record *ctask_writer_record(const struct ctask_writer *w, uint64_t id)
{
	struct ctask_record *record = slot_of(w, id);

	return id && record->id == id ? record : NULL;
}

void ctask_writer_change(struct ctask_record *record)
{
	__atomic_store_n(&record->sequence, record->sequence | 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void ctask_writer_changed(struct ctask_writer *w, struct ctask_record *record)
{
	__atomic_thread_fence(__ATOMIC_RELEASE);
	__atomic_store_n(&record->sequence, record->sequence + 1, __ATOMIC_RELEASE);
	__atomic_add_fetch(&w->header->changes, 1, __ATOMIC_RELEASE);
}

void ctask_writer_fill(struct ctask_writer *w, const struct ctask_record *record)
{
	struct ctask_record *slot = slot_of(w, record->id);
	uint32_t sequence;

	ctask_writer_change(slot);
	sequence = slot->sequence;
	*slot = *record;
	slot->sequence = sequence;
	ctask_writer_changed(w, slot);
}

void ctask_writer_show_through(struct ctask_writer *w, uint64_t id)
{
	__atomic_store_n(&w->header->last_id, id, __ATOMIC_RELEASE);
	__atomic_add_fetch(&w->header->changes, 1, __ATOMIC_RELEASE);
}

void ctask_writer_put(struct ctask_writer *w, const struct ctask_record *record)
{
	ctask_writer_fill(w, record);
	__atomic_store_n(&w->header->last_id, record->id, __ATOMIC_RELEASE);
}

void ctask_writer_take_back(struct ctask_writer *w, uint64_t id)
{
	struct ctask_record *slot = ctask_writer_record(w, id);

	if (!slot)
		return;
	ctask_writer_change(slot);
	slot->id = 0;
	ctask_writer_changed(w, slot);
	if (w->header->last_id == id)
		__atomic_store_n(&w->header->last_id, id - 1, __ATOMIC_RELEASE);
}
