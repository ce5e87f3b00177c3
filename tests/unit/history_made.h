/* history_made.h - the shared memory of an agent, made by hand. */
#ifndef CTASK_TESTS_UNIT_HISTORY_MADE_H
#define CTASK_TESTS_UNIT_HISTORY_MADE_H

#include <ctask/history.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
	IMAGE_RECORDS = 8,
	IMAGE_SIDE = 1024,
	IMAGE_PLACES = 16,
	IMAGE_WORDS = 1024,
	IMAGE_BIRTHS = 4,
};

/** One piece of memory, as it would be mapped. More room than the above: see image_init(). */
struct image {
	struct ctask_history_header *header;
	struct ctask_record *records;
	struct ctask_place *places;
	struct ctask_birth *births;
	char *side, *words;
	size_t bytes;
};

static inline void image_place(struct image *image, uint8_t *bytes)
{
	struct ctask_history_header *h = (void *)bytes;

	image->header = h;
	image->records = (void *)(bytes + h->records_at);
	image->places = (void *)(bytes + h->places_at);
	image->births = (void *)(bytes + h->births_at);
	image->side = (void *)(bytes + h->side_at);
	image->words = (void *)(bytes + h->words_at);
}

static inline uint64_t image_round(uint64_t at)
{
	return (at + 63) / 64 * 64;
}

/** A header whose areas stand one behind the other. */
static inline void image_plan(struct ctask_history_header *h, uint32_t records, uint32_t side)
{
	*h = (struct ctask_history_header){
		.version = CTASK_HISTORY_VERSION,
		.header_bytes = sizeof(*h),
		.record_bytes = sizeof(struct ctask_record),
		.place_bytes = sizeof(struct ctask_place),
		.birth_bytes = sizeof(struct ctask_birth),
		.record_room = records,
		.place_room = IMAGE_PLACES,
		.birth_room = IMAGE_BIRTHS,
		.side_bytes = side,
		.word_bytes = IMAGE_WORDS,
		.nspid = 4242,
		.start_ticks = 1,
		.since_us = 1000000,
		.python_version = "3.13.5",
		.side_head = 8,
		.place_count = 1,
		.word_used = 1,
	};
	memcpy(h->magic, CTASK_HISTORY_MAGIC, sizeof(h->magic));
	h->records_at = image_round(sizeof(*h));
	h->side_at = image_round(h->records_at + (uint64_t)records * sizeof(struct ctask_record));
	h->places_at = image_round(h->side_at + side);
	h->words_at = image_round(h->places_at + IMAGE_PLACES * sizeof(struct ctask_place));
	h->births_at = image_round(h->words_at + IMAGE_WORDS);
	h->file_bytes = h->births_at + IMAGE_BIRTHS * sizeof(struct ctask_birth);
}

/** An empty history; free(image->header) gives it back. */
static inline void image_init(struct image *image, uint32_t records, uint32_t side)
{
	struct ctask_history_header plan;
	uint8_t *bytes;

	image_plan(&plan, records, side);
	bytes = calloc(1, plan.file_bytes);
	memcpy(bytes, &plan, sizeof(plan));
	image->bytes = plan.file_bytes;
	image_place(image, bytes);
}

static inline uint64_t image_put_side(struct image *image, const void *bytes, uint32_t len)
{
	struct ctask_history_header *h = image->header;
	uint64_t at = h->side_head, need = (4 + (uint64_t)len + 7) / 8 * 8;

	if (at % h->side_bytes + need > h->side_bytes)
		at += h->side_bytes - at % h->side_bytes;
	h->side_head = at + need;
	memcpy(image->side + at % h->side_bytes, &len, sizeof(len));
	memcpy(image->side + at % h->side_bytes + 4, bytes, len);
	return at;
}

static inline uint64_t image_text(struct image *image, const char *text)
{
	return image_put_side(image, text, (uint32_t)strlen(text));
}

static inline uint32_t image_word(struct image *image, const char *text)
{
	uint32_t at = 1;

	while (at < image->header->word_used && strcmp(image->words + at, text) != 0)
		at += (uint32_t)strlen(image->words + at) + 1;
	if (at == image->header->word_used) {
		strcpy(image->words + at, text);
		image->header->word_used += (uint32_t)strlen(text) + 1;
	}
	return at;
}

static inline uint32_t image_frame(struct image *image, const char *name, const char *file,
				   uint32_t line, bool library)
{
	const struct ctask_place place = {
		.name = image_word(image, name),
		.filename = image_word(image, file),
		.line = line,
		.flags = library ? CTASK_PLACE_LIBRARY : 0,
	};
	uint32_t at = 1;

	while (at < image->header->place_count &&
	       memcmp(&image->places[at], &place, sizeof(place)) != 0)
		at++;
	if (at == image->header->place_count)
		image->places[image->header->place_count++] = place;
	return at;
}

/** The slot of the next record, which is filled with what every record has. */
static inline struct ctask_record *image_record(struct image *image)
{
	uint64_t id = ++image->header->last_id;
	struct ctask_record *record = &image->records[id % image->header->record_room];

	*record = (struct ctask_record){
		.sequence = 2,
		.id = id,
		.root = id,
		.time_us = 1795289163123456 + (int64_t)id * 1000000,
		.delay_s = NAN,
		.elapsed_s = NAN,
		.target = 0x7f0000000000 + id * 0x100,
		.origin = CTASK_ORIGIN_EXPLICIT,
		.outcome = CTASK_OUTCOME_CANCELLED,
		.after_us = 2100,
		.thread = 7,
	};
	image->header->changes++;
	return record;
}

#endif
