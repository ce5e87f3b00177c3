/* json_writer.h - JSON text, written from front to back; cJSON shows up nowhere else. */
#ifndef CTASK_MODEL_JSON_WRITER_H
#define CTASK_MODEL_JSON_WRITER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "model/error.h"
#include "model/text.h"

/**
 * Start with everything zeroed but out; end with ctask_json_finish(). Without
 * out, all stays in bytes. A failure is remembered: after it the other calls do
 * nothing worth mentioning.
 */
struct ctask_json_writer {
	FILE *out;
	char *bytes; /**< not written yet */
	size_t len, room;
	bool begun;  /**< an object or array has been opened, and is still empty */
	bool broken; /**< the next item starts a line */
	bool failed;
};

/*
 * Each writes one item: under @p key, a literal that needs no escapes, inside an
 * object; with NULL inside an array, and outermost.
 */
void ctask_json_begin_object(struct ctask_json_writer *w, const char *key);
void ctask_json_begin_array(struct ctask_json_writer *w, const char *key);
void ctask_json_null(struct ctask_json_writer *w, const char *key);
void ctask_json_bool(struct ctask_json_writer *w, const char *key, bool value);
void ctask_json_int(struct ctask_json_writer *w, const char *key, int64_t value);
/** null where @p is_known is false. */
void ctask_json_known_int(struct ctask_json_writer *w, const char *key, bool is_known,
			  int64_t value);
/** To the microsecond, from 1e9 on to the second; null when it is not a finite number, or above 1e12. */
void ctask_json_seconds(struct ctask_json_writer *w, const char *key, double value);
/** "0x…" */
void ctask_json_id(struct ctask_json_writer *w, const char *key, uint64_t id);
/** @p us since the epoch as "2026-11-21T19:26:03.123456Z"; null for 0. */
void ctask_json_time(struct ctask_json_writer *w, const char *key, int64_t us);
/** A word of ours, which needs no escapes. NULL becomes null, here and below. */
void ctask_json_word(struct ctask_json_writer *w, const char *key, const char *word);
/** A text of the target, exactly. */
void ctask_json_text(struct ctask_json_writer *w, const char *key, ctask_text text);
void ctask_json_texts(struct ctask_json_writer *w, const char *key, const ctask_text *texts,
		      uint32_t count);
/** An item that is JSON text already. */
void ctask_json_raw(struct ctask_json_writer *w, const char *key, const char *text, size_t len);

void ctask_json_end_object(struct ctask_json_writer *w);
void ctask_json_end_array(struct ctask_json_writer *w);
/** Start a line with the next item. */
void ctask_json_break(struct ctask_json_writer *w);
/** End the line: the next item, an outermost one, stands by itself. JSON Lines. */
void ctask_json_next_line(struct ctask_json_writer *w);

/** Write what is left and a newline; give back the memory. 0, or -ENOMEM if anything failed. */
int ctask_json_finish(struct ctask_json_writer *w, struct ctask_error *err);

#endif
