/* json_door.c - fields of JSON from a stranger: each is checked where it comes in. */
#include "model/json_door.h"

#include <math.h>
#include <string.h>
#include <time.h>

#include <cjson/cJSON.h>

int ctask_json_refuse(struct ctask_json_door *door, const char *key, const char *why)
{
	if (!door->error)
		door->error = ctask_fail(door->err, EPROTO, "%s: \"%s\" %s", door->what, key, why);
	return door->error;
}

int ctask_json_no_memory(struct ctask_json_door *door)
{
	if (!door->error)
		door->error = ctask_fail(door->err, ENOMEM, "out of memory");
	return door->error;
}

/* NULL for null, and after a failure. */
static const cJSON *find(const struct ctask_json_door *door, const cJSON *object, const char *key)
{
	const cJSON *item = door->error ? NULL : cJSON_GetObjectItemCaseSensitive(object, key);

	return cJSON_IsNull(item) ? NULL : item;
}

static bool to_int(const cJSON *item, int64_t least, int64_t most, int64_t *ret)
{
	double value = item->valuedouble;

	if (!cJSON_IsNumber(item) || !(fabs(value) <= (double)CTASK_JSON_INT_MAX) ||
	    value != trunc(value))
		return false;
	*ret = (int64_t)value;
	return *ret >= least && *ret <= most;
}

int64_t ctask_json_take_known_int(struct ctask_json_door *door, const struct cJSON *object,
				  const char *key, int64_t least, int64_t most, int64_t none)
{
	const cJSON *item = find(door, object, key);
	int64_t value = none;

	if (item && !to_int(item, least, most, &value)) {
		ctask_json_refuse(door, key, "is no number that it can be");
		return none;
	}
	return value;
}

int64_t ctask_json_take_int(struct ctask_json_door *door, const struct cJSON *object,
			    const char *key, int64_t least, int64_t most)
{
	if (!door->error && !find(door, object, key))
		ctask_json_refuse(door, key, "is missing");
	return ctask_json_take_known_int(door, object, key, least, most, least);
}

bool ctask_json_take_bool(struct ctask_json_door *door, const struct cJSON *object, const char *key)
{
	const cJSON *item = find(door, object, key);

	if (!door->error && !cJSON_IsBool(item))
		ctask_json_refuse(door, key, "is neither true nor false");
	return cJSON_IsTrue(item);
}

bool ctask_json_take_flag(struct ctask_json_door *door, const struct cJSON *object, const char *key)
{
	return cJSON_HasObjectItem(object, key) && ctask_json_take_bool(door, object, key);
}

double ctask_json_take_seconds(struct ctask_json_door *door, const struct cJSON *object,
			       const char *key)
{
	const cJSON *item = find(door, object, key);

	if (!item)
		return NAN;
	if (!cJSON_IsNumber(item) || !(fabs(item->valuedouble) <= 1e12)) {
		ctask_json_refuse(door, key, "is no time in seconds");
		return NAN;
	}
	return item->valuedouble;
}

/* "2026-11-21T19:26:03.123456Z", exactly. */
static bool parse_time(const char *text, int64_t *ret_us)
{
	static const char form[] = "0000-00-00T00:00:00.000000Z";
	int field[7], n = 0;
	struct tm tm = { 0 };
	int64_t seconds;

	for (size_t i = 0; i < sizeof(form) - 1; i++) {
		bool digit = text[i] >= '0' && text[i] <= '9';

		if (form[i] == '0' ? !digit : text[i] != form[i])
			return false;
		if (digit && (i == 0 || form[i - 1] != '0'))
			field[n++] = 0;
		if (digit)
			field[n - 1] = field[n - 1] * 10 + (text[i] - '0');
	}
	if (text[sizeof(form) - 1] || field[1] < 1 || field[1] > 12 || field[2] < 1 ||
	    field[2] > 31 || field[3] > 23 || field[4] > 59 || field[5] > 60)
		return false;
	tm.tm_year = field[0] - 1900;
	tm.tm_mon = field[1] - 1;
	tm.tm_mday = field[2];
	tm.tm_hour = field[3];
	tm.tm_min = field[4];
	tm.tm_sec = field[5];
	seconds = timegm(&tm);
	*ret_us = seconds * 1000000 + field[6];
	return *ret_us > 0;
}

int64_t ctask_json_take_time(struct ctask_json_door *door, const struct cJSON *object,
			     const char *key)
{
	const cJSON *item = find(door, object, key);
	int64_t us = 0;

	if (item && (!cJSON_IsString(item) || !parse_time(item->valuestring, &us))) {
		ctask_json_refuse(door, key, "is no time");
		return 0;
	}
	return us;
}

uint64_t ctask_json_take_id(struct ctask_json_door *door, const struct cJSON *object,
			    const char *key)
{
	static const char digits[] = "0123456789abcdef";
	const cJSON *item = find(door, object, key);
	uint64_t id = 0;
	const char *at;

	if (!item)
		return 0;
	at = cJSON_IsString(item) ? item->valuestring : "";
	if (strncmp(at, "0x", 2) != 0 || !at[2] || strlen(at + 2) > 16) {
		ctask_json_refuse(door, key, "is no id");
		return 0;
	}
	for (at += 2; *at; at++) {
		const char *digit = strchr(digits, *at);

		if (!digit) {
			ctask_json_refuse(door, key, "is no id");
			return 0;
		}
		id = id << 4 | (uint64_t)(digit - digits);
	}
	return id;
}

ctask_text ctask_json_take_text(struct ctask_json_door *door, const struct cJSON *object,
				const char *key)
{
	const cJSON *item = find(door, object, key);
	ctask_text text;

	if (!item)
		return NULL;
	if (!cJSON_IsString(item)) {
		ctask_json_refuse(door, key, "is no text");
		return NULL;
	}
	text = ctask_texts_add_checked(door->texts, item->valuestring, strlen(item->valuestring));
	if (!text)
		ctask_json_no_memory(door);
	return text;
}

uint32_t ctask_json_take_word(struct ctask_json_door *door, const struct cJSON *object,
			      const char *key, const char *const *words, uint32_t count)
{
	const cJSON *item = find(door, object, key);

	for (uint32_t i = 0; cJSON_IsString(item) && i < count; i++) {
		if (words[i] && strcmp(words[i], item->valuestring) == 0)
			return i;
	}
	ctask_json_refuse(door, key, "is none of its words");
	return 0;
}

const struct cJSON *ctask_json_take_object(struct ctask_json_door *door, const struct cJSON *object,
					   const char *key)
{
	const cJSON *item = find(door, object, key);

	if (!item || cJSON_IsObject(item))
		return item;
	ctask_json_refuse(door, key, "is no object");
	return NULL;
}

const struct cJSON *ctask_json_take_some(struct ctask_json_door *door, const struct cJSON *object,
					 const char *key)
{
	return cJSON_HasObjectItem(object, key) ? ctask_json_take_array(door, object, key) : NULL;
}

const struct cJSON *ctask_json_take_array(struct ctask_json_door *door, const struct cJSON *object,
					  const char *key)
{
	const cJSON *item = find(door, object, key);

	if (cJSON_IsArray(item))
		return item;
	ctask_json_refuse(door, key, "is no array");
	return NULL;
}
