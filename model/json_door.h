/* json_door.h - fields of JSON from a stranger: each is checked where it comes in. */
#ifndef CTASK_MODEL_JSON_DOOR_H
#define CTASK_MODEL_JSON_DOOR_H

#include <stdbool.h>
#include <stdint.h>

#include "model/error.h"
#include "model/text.h"

struct cJSON;

/** A failure is remembered: after it the other calls give nothing, and what was first wrong is told. */
struct ctask_json_door {
	struct ctask_texts *texts; /**< where texts are kept */
	struct ctask_error *err;
	const char *what; /**< is looked at, for the error: "task" */
	int error;	  /**< 0, -EPROTO or -ENOMEM */
};

/** Say what is wrong with the value under @p key; -EPROTO. */
int ctask_json_refuse(struct ctask_json_door *door, const char *key, const char *why);
/** -ENOMEM */
int ctask_json_no_memory(struct ctask_json_door *door);

/** A whole number that JSON's readers agree on. */
#define CTASK_JSON_INT_MAX ((int64_t)1 << 53)

/*
 * What @p object has under @p key. A key that is not there is taken for null,
 * which is no failure where there is a value for it: @p none, 0, NAN, NULL.
 */
int64_t ctask_json_take_int(struct ctask_json_door *door, const struct cJSON *object,
			    const char *key, int64_t least, int64_t most);
int64_t ctask_json_take_known_int(struct ctask_json_door *door, const struct cJSON *object,
				  const char *key, int64_t least, int64_t most, int64_t none);
bool ctask_json_take_bool(struct ctask_json_door *door, const struct cJSON *object,
			  const char *key);
/** The same; a key that is not there is false. */
bool ctask_json_take_flag(struct ctask_json_door *door, const struct cJSON *object,
			  const char *key);
/** NAN for null. */
double ctask_json_take_seconds(struct ctask_json_door *door, const struct cJSON *object,
			       const char *key);
/** Microseconds since the epoch; 0 for null. */
int64_t ctask_json_take_time(struct ctask_json_door *door, const struct cJSON *object,
			     const char *key);
/** 0 for null. */
uint64_t ctask_json_take_id(struct ctask_json_door *door, const struct cJSON *object,
			    const char *key);
/** NULL for null. */
ctask_text ctask_json_take_text(struct ctask_json_door *door, const struct cJSON *object,
				const char *key);
/** Which of @p words, some of which may be NULL. */
uint32_t ctask_json_take_word(struct ctask_json_door *door, const struct cJSON *object,
			      const char *key, const char *const *words, uint32_t count);
/** The object, or NULL for null. */
const struct cJSON *ctask_json_take_object(struct ctask_json_door *door, const struct cJSON *object,
					   const char *key);
/** The array, or NULL when the key is not there. */
const struct cJSON *ctask_json_take_some(struct ctask_json_door *door, const struct cJSON *object,
					 const char *key);
/** The array; NULL only after a failure. */
const struct cJSON *ctask_json_take_array(struct ctask_json_door *door, const struct cJSON *object,
					  const char *key);

#endif
