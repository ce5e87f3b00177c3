/* history.c - write a history as include/ctask/history.h describes it: the same that an agent writes. */
#include "bpf/history.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum {
	AREA = 64,
	SIDE_ALIGN = 8,
	SIDE_SHARE = 4, /* of the whole: 1/4; words 1/16, places 1/32, records the rest */
	WORD_SHARE = 16,
	PLACE_SHARE = 32,
	SIDE_ENTRY_MAX = 1 << 14,
};

static uint64_t round_up(uint64_t bytes)
{
	return (bytes + AREA - 1) / AREA * AREA;
}

static void lay_out(struct ctask_history_header *h, size_t bytes)
{
	uint64_t at = round_up(sizeof(*h));

	h->version = CTASK_HISTORY_VERSION;
	h->header_bytes = sizeof(*h);
	h->record_bytes = sizeof(struct ctask_record);
	h->place_bytes = sizeof(struct ctask_place);
	h->birth_bytes = sizeof(struct ctask_birth);
	h->side_bytes = 1;
	while ((size_t)h->side_bytes * 2 <= bytes / SIDE_SHARE)
		h->side_bytes *= 2;
	h->word_bytes = (uint32_t)(bytes / WORD_SHARE);
	h->place_room = (uint32_t)(bytes / PLACE_SHARE / sizeof(struct ctask_place));
	h->side_at = at;
	h->words_at = at = round_up(at + h->side_bytes);
	h->places_at = at = round_up(at + h->word_bytes);
	h->records_at = at = round_up(at + (uint64_t)h->place_room * sizeof(struct ctask_place));
	h->record_room = (uint32_t)((bytes - at) / sizeof(struct ctask_record));
	h->births_at = round_up(at + (uint64_t)h->record_room * sizeof(struct ctask_record));
	h->birth_room = 1;
	h->file_bytes = h->births_at + sizeof(struct ctask_birth);
}

int ctask_bpf_history_init(struct ctask_bpf_history *history, size_t bytes, struct ctask_error *err)
{
	struct ctask_history_header plan = { .flags = CTASK_HISTORY_BY_BPF }, *h;

	*history = (struct ctask_bpf_history){ .fd = -1 };
	lay_out(&plan, bytes);
	history->fd = memfd_create(CTASK_HISTORY_NAME, MFD_CLOEXEC);
	if (history->fd < 0 || ftruncate(history->fd, (off_t)plan.file_bytes))
		return ctask_fail(err, errno, "no memory can be made for the history: %m");
	h = mmap(NULL, plan.file_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, history->fd, 0);
	if (h == MAP_FAILED)
		return ctask_fail(err, errno, "no memory can be made for the history: %m");
	*h = plan;
	h->side_head = SIDE_ALIGN;
	h->place_count = h->word_used = 1;
	history->header = h;
	history->records = (void *)((char *)h + h->records_at);
	history->places = (void *)((char *)h + h->places_at);
	history->side = (char *)h + h->side_at;
	history->words = (char *)h + h->words_at;
	memcpy(h->magic, CTASK_HISTORY_MAGIC, sizeof(h->magic));
	return 0;
}

void ctask_bpf_history_fini(struct ctask_bpf_history *history)
{
	if (history->header)
		munmap(history->header, history->header->file_bytes);
	if (history->fd >= 0)
		close(history->fd);
	ctask_table_fini(&history->known_words);
	ctask_table_fini(&history->known_places);
	*history = (struct ctask_bpf_history){ .fd = -1 };
}

uint32_t ctask_bpf_word(struct ctask_bpf_history *history, const char *text)
{
	struct ctask_history_header *h = history->header;
	uint64_t hash = 0xcbf29ce484222325ull;
	size_t len = text ? strlen(text) : 0;
	uint32_t at;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (unsigned char)text[i]) * 0x100000001b3ull;
	if (!len)
		return 0;
	at = ctask_table_get(&history->known_words, hash | 1, 0);
	if (at && !strcmp(history->words + at, text))
		return at;
	at = h->word_used;
	if (len >= h->word_bytes - at) {
		h->lost_places++;
		return 0;
	}
	memcpy(history->words + at, text, len + 1);
	__atomic_store_n(&h->word_used, at + (uint32_t)len + 1, __ATOMIC_RELEASE);
	(void)ctask_table_put(&history->known_words, hash | 1, at);
	return at;
}

uint32_t ctask_bpf_place(struct ctask_bpf_history *history, uint64_t key,
			 const struct ctask_place *place)
{
	struct ctask_history_header *h = history->header;
	uint32_t at = ctask_table_get(&history->known_places, key, 0);

	if (at)
		return at;
	at = h->place_count;
	if (at >= h->place_room) {
		h->lost_places++;
		return 0;
	}
	history->places[at] = *place;
	__atomic_store_n(&h->place_count, at + 1, __ATOMIC_RELEASE);
	(void)ctask_table_put(&history->known_places, key, at);
	return at;
}

uint64_t ctask_bpf_side(struct ctask_bpf_history *history, const void *bytes, size_t len)
{
	struct ctask_history_header *h = history->header;
	uint64_t at = h->side_head, room = h->side_bytes;
	uint32_t length = (uint32_t)len;
	uint64_t need =
		(CTASK_SIDE_LENGTH_BYTES + length + SIDE_ALIGN - 1) / SIDE_ALIGN * SIDE_ALIGN;

	if (len > SIDE_ENTRY_MAX)
		return 0;
	if (at % room + need > room)
		at += room - at % room;
	/* The head moves first: a reader that sees the old bytes go also sees that they are gone. */
	__atomic_store_n(&h->side_head, at + need, __ATOMIC_SEQ_CST);
	memcpy(history->side + at % room, &length, sizeof(length));
	memcpy(history->side + at % room + CTASK_SIDE_LENGTH_BYTES, bytes, len);
	return at;
}

static struct ctask_record *slot_of(struct ctask_bpf_history *history, uint64_t id)
{
	return &history->records[id % history->header->record_room];
}

struct ctask_record *ctask_bpf_record(struct ctask_bpf_history *history, uint64_t id)
{
	struct ctask_record *record = slot_of(history, id);

	return id && record->id == id ? record : NULL;
}

void ctask_bpf_record_begin(struct ctask_record *record)
{
	__atomic_store_n(&record->sequence, record->sequence | 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void ctask_bpf_record_end(struct ctask_bpf_history *history, struct ctask_record *record)
{
	__atomic_thread_fence(__ATOMIC_RELEASE);
	__atomic_store_n(&record->sequence, record->sequence + 1, __ATOMIC_RELEASE);
	__atomic_add_fetch(&history->header->changes, 1, __ATOMIC_RELEASE);
}

void ctask_bpf_record_put(struct ctask_bpf_history *history, const struct ctask_record *record)
{
	struct ctask_record *slot = slot_of(history, record->id);
	uint32_t sequence;

	ctask_bpf_record_begin(slot);
	sequence = slot->sequence;
	*slot = *record;
	slot->sequence = sequence;
	ctask_bpf_record_end(history, slot);
	__atomic_store_n(&history->header->last_id, record->id, __ATOMIC_RELEASE);
}
