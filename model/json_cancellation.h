/* json_cancellation.h - requests to stop as JSON, one a line. */
#ifndef CTASK_MODEL_JSON_CANCELLATION_H
#define CTASK_MODEL_JSON_CANCELLATION_H

#include <stdio.h>

#include "model/cancellation.h"
#include "model/error.h"
#include "model/json_writer.h"

/** The distinct places of a history as JSON text, made once: most stacks share theirs. Zeroed = empty. */
struct ctask_json_frames {
	struct ctask_json_writer memory;
	size_t *start; /**< in memory.bytes; one more than there are places */
};

/** 0 or -ENOMEM; to be given back either way. */
int ctask_json_frames_init(struct ctask_json_frames *frames, const struct ctask_frame *places,
			   uint32_t count);
void ctask_json_frames_fini(struct ctask_json_frames *frames);
/** Write place @p frame as an item. */
void ctask_json_frame(struct ctask_json_writer *w, const char *key,
		      const struct ctask_json_frames *frames, uint32_t frame);

/** Write @p item of @p history as an item, "ctask.cancellation" version 1. */
void ctask_json_cancellation(struct ctask_json_writer *w, const struct ctask_history *history,
			     const struct ctask_cancellation *item,
			     const struct ctask_json_frames *frames);

/*
 * Lines: each is written with its newline, or nothing when there is nothing to
 * be said. As in json.h, what stdio could not write shows in ferror(), and the
 * only failure is -ENOMEM.
 */

/** One line for each item of @p history for which @p wanted (NULL: all) is true. */
int ctask_json_write_cancellations(const struct ctask_history *history, const bool *wanted,
				   FILE *out, struct ctask_error *err);
/** {"schema": "ctask.attached", …}: from here on nothing is missed. */
int ctask_json_write_attached(int32_t pid, enum ctask_cancellation_source source, FILE *out,
			      struct ctask_error *err);
/** The same of all processes of a host, before those of each. */
int ctask_json_write_attached_all(FILE *out, struct ctask_error *err);
/** The same of one of them. @p missed: requests that it made before; negative = not known. */
int ctask_json_write_attached_one(int32_t pid, ctask_text container,
				  enum ctask_cancellation_source source, int64_t missed, FILE *out,
				  struct ctask_error *err);
/** {"schema": "ctask.end", …}: the last line. */
int ctask_json_write_end(uint64_t dropped, FILE *out, struct ctask_error *err);

#endif
