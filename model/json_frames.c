/* json_frames.c - the places in code that JSON tells again and again, each kept once. */
#include "model/json_frames.h"

#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

enum { ROOM_FIRST = 64 };

void ctask_json_places_fini(struct ctask_json_places *places)
{
	free(places->slots);
	places->slots = NULL;
	places->room = places->used = 0;
}

static const struct ctask_frame *frames_of(const struct ctask_json_places *places)
{
	return places->snap ? places->snap->frames : places->history->frames;
}

static uint64_t mix(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t hash_text(uint64_t hash, uint64_t seed, ctask_text text)
{
	for (const unsigned char *at = (const void *)(text ? text : "\xff"); *at; at++)
		hash = mix(hash ^ *at, 0xa0761d6478bd642f ^ seed);
	return mix(hash ^ 0x100, 0xa0761d6478bd642f ^ seed);
}

/* Depends on where the table lies, so that nobody can prepare places that collide. */
static uint32_t home_of(const struct ctask_json_places *places, const struct ctask_frame *frame)
{
	uint64_t seed = (uintptr_t)places->slots ^ (uintptr_t)places ^ 0x9e3779b97f4a7c15;
	uint64_t hash = hash_text(hash_text(seed, seed, frame->name), seed, frame->filename);

	return (uint32_t)mix(hash ^ frame->line, 0xe7037ed1a0b428db) & (places->room - 1);
}

static bool same_text(ctask_text a, ctask_text b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

/* The slot of @p frame, or the free one where it goes. */
static uint32_t *find_slot(const struct ctask_json_places *places, const struct ctask_frame *frame)
{
	uint32_t at = home_of(places, frame);

	for (; places->slots[at]; at = (at + 1) & (places->room - 1)) {
		const struct ctask_frame *known = &frames_of(places)[places->slots[at] - 1];

		if (known->line == frame->line && same_text(known->name, frame->name) &&
		    same_text(known->filename, frame->filename))
			break;
	}
	return &places->slots[at];
}

static int grow(struct ctask_json_places *places)
{
	const uint32_t room = places->room;
	uint32_t *old = places->slots, *slots;

	if (room && places->used < room / 2)
		return 0;
	slots = calloc(room ? room * 2 : ROOM_FIRST, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	places->slots = slots;
	places->room = room ? room * 2 : ROOM_FIRST;
	for (uint32_t i = 0; i < room; i++) {
		if (old[i])
			*find_slot(places, &frames_of(places)[old[i] - 1]) = old[i];
	}
	free(old);
	return 0;
}

/* Its file lies right in the folder of a runtime's own code. */
static bool is_library(const struct ctask_json_places *places, ctask_text filename)
{
	for (uint32_t i = 0; filename && i < places->library_count; i++) {
		size_t len = strlen(places->libraries[i]);

		if (len && strncmp(filename, places->libraries[i], len) == 0 &&
		    !strchr(filename + len, '/'))
			return true;
	}
	return false;
}

static ctask_text keep(struct ctask_json_door *door, const char *text)
{
	ctask_text kept = text ? ctask_texts_add_checked(door->texts, text, strlen(text)) : NULL;

	if (text && !kept)
		ctask_json_no_memory(door);
	return kept;
}

static uint32_t add_frame(struct ctask_json_door *door, struct ctask_json_places *places,
			  const struct ctask_frame *frame)
{
	struct ctask_frame kept = {
		.name = keep(door, frame->name),
		.filename = keep(door, frame->filename),
		.line = frame->line,
	};
	uint32_t index = places->snap ? ctask_snapshot_add_frame(places->snap)
				      : ctask_history_add_frame(places->history);

	if (index == CTASK_NONE)
		ctask_json_no_memory(door);
	if (door->error)
		return 0;
	kept.library = is_library(places, kept.filename);
	if (places->snap)
		places->snap->frames[index] = kept;
	else
		places->history->frames[index] = kept;
	return index;
}

/* A text that is not kept yet: most frames are known. */
static const char *peek_text(struct ctask_json_door *door, const cJSON *object, const char *key)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

	if (!item || cJSON_IsNull(item))
		return NULL;
	if (!cJSON_IsString(item)) {
		ctask_json_refuse(door, key, "is no text");
		return NULL;
	}
	return item->valuestring;
}

uint32_t ctask_json_take_frame(struct ctask_json_door *door, struct ctask_json_places *places,
			       const struct cJSON *object)
{
	struct ctask_frame frame = { 0 };
	uint32_t *slot, index;

	if (door->error)
		return 0;
	if (!cJSON_IsObject(object)) {
		ctask_json_refuse(door, "stack", "has something in it that is no frame");
		return 0;
	}
	frame.name = peek_text(door, object, "name");
	frame.filename = peek_text(door, object, "filename");
	frame.line = (uint32_t)ctask_json_take_known_int(door, object, "line", 1, UINT32_MAX, 0);
	if (!door->error && grow(places))
		ctask_json_no_memory(door);
	if (door->error)
		return 0;
	slot = find_slot(places, &frame);
	if (*slot)
		return *slot - 1;
	index = add_frame(door, places, &frame);
	if (!door->error) {
		*slot = index + 1;
		places->used++;
	}
	return index;
}
