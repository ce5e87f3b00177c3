/* json_writer.c - JSON text, written from front to back; cJSON shows up nowhere else. */
#include "model/json_writer.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cjson/cJSON.h>

/*
 * What is hard in JSON is text, and that is left to cJSON. Its objects are not
 * used: one for each task, printed into one buffer again and again, took 1.7 µs a
 * task, three times what is here, most of it for measuring its own output. And its
 * numbers are doubles.
 */

enum {
	FLUSH_BYTES = 64 * 1024,
	SECONDS_FINE = 1000000000, /* from here on seconds have no fraction */
};

/* Make room for @p bytes behind w->len. */
static bool reserve(struct ctask_json_writer *w, size_t bytes)
{
	size_t room;
	char *grown;

	if (w->bytes && bytes <= w->room - w->len)
		return true;
	if (w->out && w->len) {
		fwrite(w->bytes, 1, w->len, w->out);
		w->len = 0;
		if (bytes <= w->room)
			return true;
	}
	room = (w->len + bytes) * 2;
	if (room < FLUSH_BYTES)
		room = FLUSH_BYTES;
	grown = realloc(w->bytes, room);
	if (!grown) {
		w->failed = true;
		return false;
	}
	w->bytes = grown;
	w->room = room;
	return true;
}

/* What stands before an item, with room for @p bytes more. */
static bool begin(struct ctask_json_writer *w, const char *key, size_t bytes)
{
	size_t key_len = key ? strlen(key) : 0;
	char *at;

	if (!reserve(w, key_len + bytes + sizeof(",\n\"\":")))
		return false;
	at = w->bytes + w->len;
	if (!w->begun)
		*at++ = ',';
	if (w->broken)
		*at++ = '\n';
	if (key) {
		*at++ = '"';
		at = mempcpy(at, key, key_len);
		*at++ = '"';
		*at++ = ':';
	}
	w->begun = w->broken = false;
	w->len = (size_t)(at - w->bytes);
	return true;
}

static void append(struct ctask_json_writer *w, const char *text, size_t len)
{
	memcpy(w->bytes + w->len, text, len);
	w->len += len;
}

void ctask_json_raw(struct ctask_json_writer *w, const char *key, const char *text, size_t len)
{
	if (begin(w, key, len))
		append(w, text, len);
}

static void open_with(struct ctask_json_writer *w, const char *key, const char *bracket)
{
	if (!w->bytes) /* the outermost */
		w->begun = true;
	ctask_json_raw(w, key, bracket, 1);
	w->begun = true;
}

static void close_with(struct ctask_json_writer *w, const char *bracket)
{
	if (reserve(w, 1))
		append(w, bracket, 1);
	w->begun = w->broken = false;
}

void ctask_json_begin_object(struct ctask_json_writer *w, const char *key)
{
	open_with(w, key, "{");
}

void ctask_json_begin_array(struct ctask_json_writer *w, const char *key)
{
	open_with(w, key, "[");
}

void ctask_json_end_object(struct ctask_json_writer *w)
{
	close_with(w, "}");
}

void ctask_json_end_array(struct ctask_json_writer *w)
{
	close_with(w, "]");
}

void ctask_json_break(struct ctask_json_writer *w)
{
	w->broken = true;
}

void ctask_json_next_line(struct ctask_json_writer *w)
{
	w->begun = w->broken = true;
}

void ctask_json_null(struct ctask_json_writer *w, const char *key)
{
	ctask_json_raw(w, key, "null", 4);
}

void ctask_json_bool(struct ctask_json_writer *w, const char *key, bool value)
{
	ctask_json_raw(w, key, value ? "true" : "false", value ? 4 : 5);
}

/* The digits of @p value, at least @p least of them, ending before @p end. Returns the first. */
static char *decimal(char *end, uint64_t value, int least)
{
	for (; value > 0 || least > 0; least--, value /= 10)
		*--end = (char)('0' + value % 10);
	return end;
}

void ctask_json_int(struct ctask_json_writer *w, const char *key, int64_t value)
{
	char text[24];
	char *end = text + sizeof(text);
	char *at = decimal(end, value < 0 ? -(uint64_t)value : (uint64_t)value, 1);

	if (value < 0)
		*--at = '-';
	ctask_json_raw(w, key, at, (size_t)(end - at));
}

void ctask_json_known_int(struct ctask_json_writer *w, const char *key, bool is_known,
			  int64_t value)
{
	if (is_known)
		ctask_json_int(w, key, value);
	else
		ctask_json_null(w, key);
}

void ctask_json_seconds(struct ctask_json_writer *w, const char *key, double value)
{
	char text[32];
	char *end = text + sizeof(text);
	uint64_t us;
	char *at;

	if (!isfinite(value) || fabs(value) > 1e12) {
		ctask_json_null(w, key);
		return;
	}
	/* A number of up to 15 digits is the same when it has been read. */
	us = fabs(value) < SECONDS_FINE ? (uint64_t)llround(fabs(value) * 1e6)
					: (uint64_t)llround(fabs(value)) * 1000000;
	at = decimal(end, us % 1000000, 6);
	*--at = '.';
	at = decimal(at, us / 1000000, 1);
	if (value < 0 && us > 0)
		*--at = '-';
	ctask_json_raw(w, key, at, (size_t)(end - at));
}

void ctask_json_id(struct ctask_json_writer *w, const char *key, uint64_t id)
{
	char text[24];
	char *end = text + sizeof(text);
	char *at = end;

	*--at = '"';
	do
		*--at = "0123456789abcdef"[id & 15];
	while ((id >>= 4) > 0);
	*--at = 'x';
	*--at = '0';
	*--at = '"';
	ctask_json_raw(w, key, at, (size_t)(end - at));
}

void ctask_json_time(struct ctask_json_writer *w, const char *key, int64_t us)
{
	char text[64];
	time_t seconds = us / 1000000;
	struct tm tm;
	size_t len;

	if (us <= 0 || !gmtime_r(&seconds, &tm)) {
		ctask_json_null(w, key);
		return;
	}
	len = strftime(text, sizeof(text), "\"%Y-%m-%dT%H:%M:%S", &tm);
	len += (size_t)snprintf(text + len, sizeof(text) - len, ".%06dZ\"", (int)(us % 1000000));
	ctask_json_raw(w, key, text, len);
}

void ctask_json_word(struct ctask_json_writer *w, const char *key, const char *word)
{
	size_t len = word ? strlen(word) : 0;

	if (!word) {
		ctask_json_null(w, key);
		return;
	}
	if (!begin(w, key, len + 2))
		return;
	append(w, "\"", 1);
	append(w, word, len);
	append(w, "\"", 1);
}

/* True when cJSON can write @p text: well-formed UTF-8 without our two additions. */
static bool is_plain(const char *text)
{
	while (*text) {
		const char *at = text;
		uint32_t c;

		if (!(*text & 0x80)) {
			text++;
			continue;
		}
		c = ctask_text_decode(&at);
		if (c == 0 || (c >= 0xd800 && c <= 0xdfff) || (c == 0xfffd && at == text + 1))
			return false;
		text = at;
	}
	return true;
}

/* @p text with its quotes, to @p to. A byte that is not well formed becomes U+FFFD. */
static size_t escape(const char *text, char *to)
{
	char *start = to;

	*to++ = '"';
	while (*text) {
		uint32_t c = ctask_text_decode(&text);

		if (c == '"' || c == '\\') {
			*to++ = '\\';
			*to++ = (char)c;
		} else if (c < 0x20 || (c >= 0xd800 && c <= 0xdfff)) {
			to += sprintf(to, "\\u%04x", c);
		} else {
			to += ctask_text_encode(c, to);
		}
	}
	*to++ = '"';
	return (size_t)(to - start);
}

void ctask_json_text(struct ctask_json_writer *w, const char *key, ctask_text text)
{
	cJSON item = { .type = cJSON_String, .valuestring = (char *)text };
	size_t room =
		text ? strlen(text) * 6 + 16 : 0; /* "\u0000", quotes, and what cJSON asks for */
	char *to;

	if (!text) {
		ctask_json_null(w, key);
		return;
	}
	if (!begin(w, key, room))
		return;
	to = w->bytes + w->len;
	if (room <= INT_MAX && is_plain(text) &&
	    cJSON_PrintPreallocated(&item, to, (int)room, false))
		w->len += strlen(to);
	else
		w->len += escape(text, to);
}

void ctask_json_texts(struct ctask_json_writer *w, const char *key, const ctask_text *texts,
		      uint32_t count)
{
	ctask_json_begin_array(w, key);
	for (uint32_t i = 0; i < count; i++)
		ctask_json_text(w, NULL, texts[i]);
	ctask_json_end_array(w);
}

int ctask_json_finish(struct ctask_json_writer *w, struct ctask_error *err)
{
	if (w->out && w->len)
		fwrite(w->bytes, 1, w->len, w->out);
	if (w->out)
		fputc('\n', w->out);
	free(w->bytes);
	w->bytes = NULL;
	return w->failed ? ctask_fail(err, ENOMEM, "out of memory") : 0;
}
