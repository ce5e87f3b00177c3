/* json_scan.c - JSON text from a stranger, walked piece by piece. */
#include "model/json_scan.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "model/cleanup.h"
#include "model/text.h"

static int malformed(struct ctask_error *err, const char *what)
{
	return ctask_fail(err, EPROTO, "it is not JSON: %s", what);
}

static const char *skip_blanks(const char *at, const char *end)
{
	while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r'))
		at++;
	return at;
}

/* Behind the string that begins at @p at, or NULL when it has no end. */
static const char *skip_string(const char *at, const char *end)
{
	for (at++; at < end; at++) {
		if (*at == '"')
			return at + 1;
		if (*at == '\\')
			at++;
	}
	return NULL;
}

/* Behind the number or word that begins at @p at, or NULL when none does. */
static const char *skip_word(const char *at, const char *end)
{
	const char *start = at;

	while (at < end && !strchr(",:]}[{\" \t\n\r", *at)) /* a NUL is found there too */
		at++;
	return at > start ? at : NULL;
}

/* Behind the value that begins at @p at, or NULL. Only its brackets and strings are looked at. */
static const char *skip_value(const char *at, const char *end)
{
	uint64_t objects = 0; /* a bit for each level, the innermost lowest */
	int depth = 0;

	do {
		at = skip_blanks(at, end);
		if (at == end)
			return NULL;
		switch (*at) {
		case '{':
		case '[':
			if (depth++ == CTASK_JSON_DEPTH_MAX)
				return NULL;
			objects = objects << 1 | (*at++ == '{');
			break;
		case '}':
		case ']':
			if (depth-- == 0 || (objects & 1) != (*at++ == '}'))
				return NULL;
			objects >>= 1;
			break;
		case ',':
		case ':':
			if (depth == 0)
				return NULL;
			at++;
			break;
		case '"':
			at = skip_string(at, end);
			break;
		default:
			at = skip_word(at, end);
		}
	} while (at && depth > 0);
	return at;
}

int ctask_json_whole(const char *text, size_t len, struct ctask_json_span *ret,
		     struct ctask_error *err)
{
	const char *end = text + len;
	const char *at = skip_blanks(text, end);
	const char *behind = skip_value(at, end);

	if (!behind)
		return malformed(err, "it ends too early, or goes too deep");
	if (skip_blanks(behind, end) != end)
		return malformed(err, "more follows");
	*ret = (struct ctask_json_span){ at, (size_t)(behind - at) };
	return 0;
}

int ctask_json_walk_begin(struct ctask_json_walk *walk, const struct ctask_json_span *span,
			  char open, struct ctask_error *err)
{
	if (span->len < 2 || span->text[0] != open)
		return malformed(err,
				 open == '{' ? "it should be an object" : "it should be an array");
	*walk = (struct ctask_json_walk){
		.at = span->text + 1,
		.end = span->text + span->len,
		.close = open == '{' ? '}' : ']',
	};
	return 0;
}

static int walk_key(struct ctask_json_walk *walk, struct ctask_json_span *ret_key)
{
	const char *start = walk->at;

	if (start == walk->end || *start != '"')
		return -EPROTO;
	walk->at = skip_string(start, walk->end);
	if (!walk->at)
		return -EPROTO;
	*ret_key = (struct ctask_json_span){ start, (size_t)(walk->at - start) };
	walk->at = skip_blanks(walk->at, walk->end);
	if (walk->at == walk->end || *walk->at != ':')
		return -EPROTO;
	walk->at = skip_blanks(walk->at + 1, walk->end);
	return 0;
}

int ctask_json_walk_next(struct ctask_json_walk *walk, struct ctask_json_span *ret_key,
			 struct ctask_json_span *ret_value, struct ctask_error *err)
{
	const char *start;

	walk->at = skip_blanks(walk->at, walk->end);
	if (walk->at < walk->end && *walk->at == walk->close)
		return walk->at + 1 == walk->end ? 0 : malformed(err, "more follows");
	if (walk->begun) {
		if (walk->at == walk->end || *walk->at != ',')
			return malformed(err, "a comma is missing");
		walk->at = skip_blanks(walk->at + 1, walk->end);
	}
	walk->begun = 1;
	if (ret_key && walk_key(walk, ret_key))
		return malformed(err, "a key is missing");
	start = walk->at;
	walk->at = start < walk->end ? skip_value(start, walk->end) : NULL;
	if (!walk->at || walk->at == start)
		return malformed(err, "a value is missing");
	*ret_value = (struct ctask_json_span){ start, (size_t)(walk->at - start) };
	return 1;
}

/* The four digits at @p at, or -1. */
static int hex4(const char *at, const char *end)
{
	int value = 0;

	if (end - at < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		char c = at[i];
		int digit = c >= '0' && c <= '9'   ? c - '0'
			    : c >= 'a' && c <= 'f' ? c - 'a' + 10
			    : c >= 'A' && c <= 'F' ? c - 'A' + 10
						   : -1;

		if (digit < 0)
			return -1;
		value = value << 4 | digit;
	}
	return value;
}

/*
 * cJSON cuts a string at \u0000 and refuses a lone surrogate. Where "\u" stands
 * for one of these, write it as model/text.h has it, which cJSON passes on;
 * shorter it is too. *from is behind the backslash of any escape.
 */
static char *put_escape(const char **from, const char *end, char *to)
{
	const char *at = *from;
	int c = at < end && *at == 'u' ? hex4(at + 1, end) : -1;
	int next;

	if (c == 0 || (c >= 0xdc00 && c <= 0xdfff)) {
		*from = at + 5;
		return to + ctask_text_encode((uint32_t)c, to);
	}
	if (c >= 0xd800 && c <= 0xdbff) {
		next = end - at > 6 && at[5] == '\\' && at[6] == 'u' ? hex4(at + 7, end) : -1;
		if (next < 0xdc00 || next > 0xdfff) {
			*from = at + 5;
			return to + ctask_text_encode((uint32_t)c, to);
		}
		memcpy(to, at - 1, 12); /* a pair: both halves as they are */
		*from = at + 11;
		return to + 12;
	}
	*to++ = '\\';
	if (at < end)
		*to++ = *(*from)++;
	return to;
}

/* Copy @p span to @p to, which has room for as much. *ret_len is the length there; -EPROTO when there is too much in it. */
static int rewrite(const struct ctask_json_span *span, char *to, size_t *ret_len)
{
	const char *at = span->text, *end = at + span->len;
	char *start = to;
	uint32_t values = 1;
	bool in_string = false;

	while (at < end) {
		char c = *at++;

		if (in_string && c == '\\') {
			to = put_escape(&at, end, to);
			continue;
		}
		if (c == '"')
			in_string = !in_string;
		/* Each value but the first comes behind one of these. */
		values += !in_string && (c == ',' || c == '[' || c == '{');
		if (c == '\0' || values > CTASK_JSON_VALUES_MAX)
			return -EPROTO;
		*to++ = c;
	}
	*ret_len = (size_t)(to - start);
	return 0;
}

int ctask_json_tree(const struct ctask_json_span *span, struct cJSON **ret_tree,
		    struct ctask_error *err)
{
	auto_free char *text = malloc(span->len + 1);
	const char *behind = NULL;
	size_t len = 0;
	cJSON *tree;

	if (!text)
		return ctask_fail(err, ENOMEM, "out of memory");
	if (rewrite(span, text, &len))
		return malformed(err, "a part of it is too large");
	tree = cJSON_ParseWithLengthOpts(text, len, &behind, false);
	if (!tree)
		return malformed(err, "a part of it makes no sense");
	if (behind != text + len) {
		cJSON_Delete(tree);
		return malformed(err, "a part of it goes on and on");
	}
	*ret_tree = tree;
	return 0;
}
