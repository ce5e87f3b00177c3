/* json_writer.h - one JSON object after another, with cJSON, which shows up nowhere else. */
#ifndef CTASK_MODEL_JSON_WRITER_H
#define CTASK_MODEL_JSON_WRITER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "model/error.h"
#include "model/text.h"

struct chunk;
struct cJSON;

/** Memory that is taken piece by piece and given back all at once. Zeroed = empty. */
struct ctask_arena {
	struct chunk *chunks;
};

/** NULL when out of memory. Aligned for anything. */
void *ctask_arena_take(struct ctask_arena *arena, size_t bytes);
void ctask_arena_free(struct ctask_arena *arena);

/**
 * Builds small objects, each of which lives until it is put. Start with
 * everything zeroed but out; end with ctask_json_finish(). A failure is
 * remembered: after it the other calls do nothing worth mentioning.
 */
struct ctask_json_writer {
	FILE *out;
	struct ctask_arena record; /**< the items of the object being built */
	char *print;		   /**< its text */
	size_t print_bytes;
	bool failed;
};

enum { CTASK_JSON_ID_BYTES = 24 };
/** @p id as a JSON string, with its quotes, somewhere in @p to. */
char *ctask_json_id(uint64_t id, char to[CTASK_JSON_ID_BYTES]);

/** A new object, which belongs to nothing yet. */
struct cJSON *ctask_json_object(struct ctask_json_writer *w);

/*
 * Each adds one item to @p parent: under @p key, a string literal, when parent
 * is an object; with NULL when it is an array.
 */
struct cJSON *ctask_json_add_object(struct ctask_json_writer *w, struct cJSON *parent,
				    const char *key);
struct cJSON *ctask_json_add_array(struct ctask_json_writer *w, struct cJSON *parent,
				   const char *key);
void ctask_json_add_null(struct ctask_json_writer *w, struct cJSON *parent, const char *key);
void ctask_json_add_bool(struct ctask_json_writer *w, struct cJSON *parent, const char *key,
			 bool value);
void ctask_json_add_int(struct ctask_json_writer *w, struct cJSON *parent, const char *key,
			int64_t value);
/** To the microsecond; null when it is not a finite number. */
void ctask_json_add_seconds(struct ctask_json_writer *w, struct cJSON *parent, const char *key,
			    double value);
/** "0x…" */
void ctask_json_add_id(struct ctask_json_writer *w, struct cJSON *parent, const char *key,
		       uint64_t id);
/** @p us since the epoch as "2026-11-21T19:26:03.123456Z"; null for 0. */
void ctask_json_add_time(struct ctask_json_writer *w, struct cJSON *parent, const char *key,
			 int64_t us);
/** A word of ours, which needs no escapes. NULL becomes null, here and below. */
void ctask_json_add_word(struct ctask_json_writer *w, struct cJSON *parent, const char *key,
			 const char *word);
/** A text of the target, exactly. It must live until the object is put. */
void ctask_json_add_text(struct ctask_json_writer *w, struct cJSON *parent, const char *key,
			 ctask_text text);
void ctask_json_add_texts(struct ctask_json_writer *w, struct cJSON *parent, const char *key,
			  const ctask_text *texts, uint32_t count);
/** JSON text that is there already. It must live until the object is put. */
void ctask_json_add_raw(struct ctask_json_writer *w, struct cJSON *parent, const char *key,
			const char *raw);

/** The text of @p item, until the next call; the object is forgotten. NULL after a failure. */
const char *ctask_json_print(struct ctask_json_writer *w, struct cJSON *item);
/** Write @p item, and forget it. */
void ctask_json_put(struct ctask_json_writer *w, struct cJSON *item);
void ctask_json_put_time(struct ctask_json_writer *w, int64_t us);
/** The same, as element @p i of an array that has one element a line. */
void ctask_json_put_element(struct ctask_json_writer *w, struct cJSON *item, uint32_t i);

/** Give back what the writer holds. Says whether all went well: 0 or -ENOMEM. */
int ctask_json_finish(struct ctask_json_writer *w, struct ctask_error *err);

#endif
