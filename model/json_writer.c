/* json_writer.c - one JSON object after another, with cJSON. */
#include "model/json_writer.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cjson/cJSON.h>

/*
 * A snapshot is written record by record: each task, edge, scope is a small
 * cJSON object that lives until it is printed. Its nodes come from an arena and
 * are linked by hand, because a hundred thousand tasks have some millions of
 * them. Numbers are raw items: cJSON prints a double, checks it by reading it
 * back, and has no 64-bit integers.
 */

enum { CHUNK_BYTES = 64 * 1024, PRINT_BYTES = 64 * 1024, PRINT_BYTES_MAX = 1 << 30 };
enum { NUMBER_BYTES = 32 };

struct chunk {
	struct chunk *next;
	size_t used, room;
	_Alignas(16) char bytes[];
};

void *ctask_arena_take(struct ctask_arena *arena, size_t bytes)
{
	struct chunk *c = arena->chunks;
	size_t room = bytes > CHUNK_BYTES ? bytes : CHUNK_BYTES;
	void *taken;

	bytes = (bytes + 15) & ~(size_t)15;
	if (!c || bytes > c->room - c->used) {
		c = malloc(sizeof(*c) + room + 15);
		if (!c)
			return NULL;
		c->next = arena->chunks;
		c->used = 0;
		c->room = (room + 15) & ~(size_t)15;
		arena->chunks = c;
	}
	taken = c->bytes + c->used;
	c->used += bytes;
	return taken;
}

void ctask_arena_free(struct ctask_arena *arena)
{
	struct chunk *next;

	for (struct chunk *c = arena->chunks; c; c = next) {
		next = c->next;
		free(c);
	}
	arena->chunks = NULL;
}

static void ctask_arena_reset(struct ctask_arena *arena)
{
	struct chunk *c = arena->chunks;

	if (c && (c->next || c->room > CHUNK_BYTES)) {
		ctask_arena_free(arena);
		return;
	}
	if (c)
		c->used = 0;
}

/* A new item at the end of @p parent, if there is one; NULL when out of memory. */
static struct cJSON *add(struct ctask_json_writer *w, struct cJSON *parent, const char *key,
			 int type, const char *value)
{
	struct cJSON *item = ctask_arena_take(&w->record, sizeof(*item));

	if (!item) {
		w->failed = true;
		return NULL;
	}
	*item = (cJSON){
		.type = type | cJSON_StringIsConst,
		.string = (char *)key,
		.valuestring = (char *)value,
		.prev = item,
	};
	if (!parent)
		return item;
	if (parent->child) { /* as cJSON does it: the first child's prev is the last child */
		item->prev = parent->child->prev;
		item->prev->next = item;
		parent->child->prev = item;
	} else {
		parent->child = item;
	}
	return item;
}

struct cJSON *ctask_json_object(struct ctask_json_writer *w)
{
	return add(w, NULL, NULL, cJSON_Object, NULL);
}

struct cJSON *ctask_json_add_object(struct ctask_json_writer *w, struct cJSON *parent,
				    const char *key)
{
	return add(w, parent, key, cJSON_Object, NULL);
}

struct cJSON *ctask_json_add_array(struct ctask_json_writer *w, struct cJSON *parent,
				   const char *key)
{
	return add(w, parent, key, cJSON_Array, NULL);
}

void ctask_json_add_raw(struct ctask_json_writer *w, struct cJSON *parent, const char *key,
			const char *raw)
{
	add(w, parent, key, cJSON_Raw, raw);
}

void ctask_json_add_null(struct ctask_json_writer *w, struct cJSON *parent, const char *key)
{
	add(w, parent, key, cJSON_NULL, NULL);
}

void ctask_json_add_bool(struct ctask_json_writer *w, struct cJSON *parent, const char *key,
			 bool value)
{
	add(w, parent, key, value ? cJSON_True : cJSON_False, NULL);
}

void ctask_json_add_word(struct ctask_json_writer *w, struct cJSON *parent, const char *key,
			 const char *word)
{
	if (!word)
		ctask_json_add_null(w, parent, key);
	else
		add(w, parent, key, cJSON_String, word);
}

/* True when cJSON can write @p text itself: well-formed UTF-8 without our two additions. */
static bool is_plain(const char *text)
{
	const unsigned char *b = (const unsigned char *)text;

	while (*b) {
		const char *at = (const char *)b;
		uint32_t c;

		if (*b < 0x80) {
			b++;
			continue;
		}
		c = ctask_text_decode(&at);
		if (c == 0 || (c >= 0xd800 && c <= 0xdfff) ||
		    (c == 0xfffd && at == (const char *)b + 1))
			return false;
		b = (const unsigned char *)at;
	}
	return true;
}

/* @p text as a JSON string with quotes. A byte that is not well formed becomes U+FFFD. */
static char *escape(struct ctask_arena *arena, const char *text)
{
	char *escaped = ctask_arena_take(arena, strlen(text) * 6 + 3);
	char *to = escaped;

	if (!escaped)
		return NULL;
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
	*to = '\0';
	return escaped;
}

void ctask_json_add_text(struct ctask_json_writer *w, struct cJSON *parent, const char *key,
			 ctask_text text)
{
	char *escaped;

	if (!text || is_plain(text)) {
		ctask_json_add_word(w, parent, key, text);
		return;
	}
	escaped = escape(&w->record, text);
	if (escaped)
		add(w, parent, key, cJSON_Raw, escaped);
	else
		w->failed = true;
}

/* Room for a number, ending in a NUL. */
static char *number_text(struct ctask_json_writer *w)
{
	char *text = ctask_arena_take(&w->record, NUMBER_BYTES);

	if (text)
		text[NUMBER_BYTES - 1] = '\0';
	else
		w->failed = true;
	return text;
}

/* The digits of @p value, at least @p least of them, ending before @p end. Returns the first. */
static char *decimal(char *end, uint64_t value, int least)
{
	for (; value > 0 || least > 0; least--, value /= 10)
		*--end = (char)('0' + value % 10);
	return end;
}

void ctask_json_add_int(struct ctask_json_writer *w, struct cJSON *parent, const char *key,
			int64_t value)
{
	char *text = number_text(w);
	char *at;

	if (!text)
		return;
	at = decimal(text + NUMBER_BYTES - 1, value < 0 ? -(uint64_t)value : (uint64_t)value, 1);
	if (value < 0)
		*--at = '-';
	add(w, parent, key, cJSON_Raw, at);
}

void ctask_json_add_seconds(struct ctask_json_writer *w, struct cJSON *parent, const char *key,
			    double value)
{
	char *text, *at;
	uint64_t us;

	if (!isfinite(value) || fabs(value) > 1e12) {
		ctask_json_add_null(w, parent, key);
		return;
	}
	text = number_text(w);
	if (!text)
		return;
	us = (uint64_t)llround(fabs(value) * 1e6);
	at = decimal(text + NUMBER_BYTES - 1, us % 1000000, 6);
	*--at = '.';
	at = decimal(at, us / 1000000, 1);
	if (value < 0 && us > 0)
		*--at = '-';
	add(w, parent, key, cJSON_Raw, at);
}

char *ctask_json_id(uint64_t id, char to[CTASK_JSON_ID_BYTES])
{
	char *at = to + CTASK_JSON_ID_BYTES - 1;

	*at = '\0';
	*--at = '"';
	do
		*--at = "0123456789abcdef"[id & 15];
	while ((id >>= 4) > 0);
	*--at = 'x';
	*--at = '0';
	*--at = '"';
	return at;
}

void ctask_json_add_id(struct ctask_json_writer *w, struct cJSON *parent, const char *key,
		       uint64_t id)
{
	char *text = ctask_arena_take(&w->record, CTASK_JSON_ID_BYTES);

	if (text)
		add(w, parent, key, cJSON_Raw, ctask_json_id(id, text));
	else
		w->failed = true;
}

void ctask_json_add_time(struct ctask_json_writer *w, struct cJSON *parent, const char *key,
			 int64_t us)
{
	enum { BYTES = 48 };
	time_t seconds = us / 1000000;
	char *text;
	struct tm tm;
	size_t len;

	if (us <= 0 || !gmtime_r(&seconds, &tm)) {
		ctask_json_add_null(w, parent, key);
		return;
	}
	text = ctask_arena_take(&w->record, BYTES);
	if (!text) {
		w->failed = true;
		return;
	}
	len = strftime(text, BYTES, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + len, BYTES - len, ".%06dZ", (int)(us % 1000000));
	add(w, parent, key, cJSON_String, text);
}

void ctask_json_add_texts(struct ctask_json_writer *w, struct cJSON *parent, const char *key,
			  const ctask_text *texts, uint32_t count)
{
	struct cJSON *array = add(w, parent, key, cJSON_Array, NULL);

	for (uint32_t i = 0; i < count; i++)
		ctask_json_add_text(w, array, NULL, texts[i]);
}

const char *ctask_json_print(struct ctask_json_writer *w, struct cJSON *item)
{
	while (!w->failed) {
		char *grown;

		if (w->print &&
		    cJSON_PrintPreallocated(item, w->print, (int)w->print_bytes, false)) {
			ctask_arena_reset(&w->record);
			return w->print;
		}
		if (w->print_bytes >= PRINT_BYTES_MAX) {
			w->failed = true;
			break;
		}
		w->print_bytes = w->print ? w->print_bytes * 2 : PRINT_BYTES;
		grown = realloc(w->print, w->print_bytes);
		if (!grown)
			w->failed = true;
		else
			w->print = grown;
	}
	return NULL;
}

void ctask_json_put(struct ctask_json_writer *w, struct cJSON *item)
{
	const char *text = ctask_json_print(w, item);

	if (text)
		fputs(text, w->out);
}

void ctask_json_put_time(struct ctask_json_writer *w, int64_t us)
{
	struct cJSON *array = add(w, NULL, NULL, cJSON_Array, NULL);

	if (array)
		ctask_json_add_time(w, array, NULL, us);
	ctask_json_put(w, array ? array->child : NULL);
}

void ctask_json_put_element(struct ctask_json_writer *w, struct cJSON *item, uint32_t i)
{
	fputs(i ? ",\n" : "\n", w->out);
	ctask_json_put(w, item);
}

int ctask_json_finish(struct ctask_json_writer *w, struct ctask_error *err)
{
	ctask_arena_free(&w->record);
	free(w->print);
	return w->failed ? ctask_fail(err, ENOMEM, "out of memory") : 0;
}
