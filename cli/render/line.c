/* line.c - one line for a terminal, put together piece by piece. */
#include "cli/render/line.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli/render/glyph.h"

enum { ESCAPED_BYTES = 10 }; /* "\U0010ffff" */

static const char *const style_codes[CTASK_STYLES] = {
	[CTASK_STYLE_PLAIN] = "\033[0m",   [CTASK_STYLE_DIM] = "\033[0;2m",
	[CTASK_STYLE_NAME] = "\033[0;1m",  [CTASK_STYLE_PLACE] = "\033[0;36m",
	[CTASK_STYLE_WAIT] = "\033[0m",	   [CTASK_STYLE_RUNNING] = "\033[0;1;32m",
	[CTASK_STYLE_NOTE] = "\033[0;33m", [CTASK_STYLE_ALARM] = "\033[0;1;31m",
};

void ctask_line_fini(struct ctask_line *line)
{
	free(line->bytes);
	line->bytes = NULL;
}

void ctask_line_begin(struct ctask_line *line, uint32_t limit)
{
	line->len = 0;
	line->width = 0;
	line->limit = limit;
	line->cut_len = 0;
	line->cut_width = 0;
	line->is_cut = false;
	line->styled = false;
}

static bool reserve(struct ctask_line *line, size_t bytes)
{
	size_t room = (line->len + bytes) * 2;
	char *grown;

	if (bytes <= line->room - line->len)
		return true;
	grown = realloc(line->bytes, room);
	if (!grown) {
		line->failed = true;
		return false;
	}
	line->bytes = grown;
	line->room = room;
	return true;
}

/* Append one character or escape of @p width columns; the room is there. */
static void append(struct ctask_line *line, const char *bytes, size_t len, uint32_t width)
{
	if (line->limit != CTASK_LINE_UNCUT) {
		if (line->is_cut)
			return;
		if (line->width + 1 <= line->limit) {
			line->cut_len = line->len;
			line->cut_width = line->width;
		}
		if (line->width + width > line->limit) {
			line->len = line->cut_len;
			line->width = line->cut_width + 1;
			line->is_cut = true;
			bytes = line->utf8 ? "…" : "+";
			len = strlen(bytes);
			width = 0;
		}
	}
	memcpy(line->bytes + line->len, bytes, len);
	line->len += len;
	line->width += width;
}

static void append_code_point(struct ctask_line *line, uint32_t c)
{
	char bytes[ESCAPED_BYTES + 1];
	uint32_t width;
	size_t len;

	if (ctask_glyph_is_safe(c) && (line->utf8 || c < 0x80)) {
		len = ctask_text_encode(c, bytes);
		width = ctask_glyph_width(c);
	} else {
		len = ctask_glyph_escape(c, bytes);
		width = (uint32_t)len;
	}
	append(line, bytes, len, width);
}

void ctask_line_extend(struct ctask_line *line, uint32_t limit)
{
	bool was_cut = line->is_cut;

	line->limit = limit;
	line->is_cut = false;
	if (was_cut)
		ctask_line_style(line, CTASK_STYLE_PLAIN);
}

void ctask_line_text(struct ctask_line *line, ctask_text text)
{
	const char *at = text ? text : "";

	/* An escape is at most 6 times as long as what it stands for: "\x1b", "\u202e". */
	if (!reserve(line, strlen(at) * 6 + ESCAPED_BYTES))
		return;
	while (*at) {
		const char *start = at;

		while (*at >= ' ' && *at < 0x7f)
			at++;
		if (at > start && line->limit == CTASK_LINE_UNCUT) {
			append(line, start, (size_t)(at - start), (uint32_t)(at - start));
			continue;
		}
		for (; start < at; start++)
			append(line, start, 1, 1);
		if (line->is_cut)
			return;
		if (*at)
			append_code_point(line, ctask_text_decode(&at));
	}
}

void ctask_line_words(struct ctask_line *line, const char *words)
{
	if (!reserve(line, strlen(words) + ESCAPED_BYTES))
		return;
	if (line->limit == CTASK_LINE_UNCUT) {
		for (; *words; words++) {
			line->width += (*words & 0xc0) != 0x80;
			line->bytes[line->len++] = *words;
		}
		return;
	}
	while (*words) {
		size_t len = 1;

		while ((words[len] & 0xc0) == 0x80)
			len++;
		append(line, words, len, 1);
		words += len;
	}
}

void ctask_line_format(struct ctask_line *line, const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	ctask_line_words(line, text);
}

void ctask_line_number(struct ctask_line *line, uint64_t number)
{
	char text[24];
	char *at = text + sizeof(text) - 1;

	*at = '\0';
	do
		*--at = (char)('0' + number % 10);
	while ((number /= 10) > 0);
	ctask_line_words(line, at);
}

void ctask_line_id(struct ctask_line *line, uint64_t id)
{
	char text[24];
	char *at = text + sizeof(text) - 1;

	*at = '\0';
	do
		*--at = "0123456789abcdef"[id & 15];
	while ((id >>= 4) > 0);
	*--at = 'x';
	*--at = '0';
	ctask_line_words(line, at);
}

void ctask_line_pad(struct ctask_line *line, uint32_t column)
{
	uint32_t missing = column > line->width ? column - line->width : 0;

	if (line->is_cut || !reserve(line, missing + ESCAPED_BYTES))
		return;
	for (; missing > 0; missing--)
		append(line, " ", 1, 1);
}

void ctask_line_style(struct ctask_line *line, enum ctask_style style)
{
	size_t len = strlen(style_codes[style]);

	if (!line->color || line->is_cut || !reserve(line, len))
		return;
	memcpy(line->bytes + line->len, style_codes[style], len);
	line->len += len;
	line->styled = style != CTASK_STYLE_PLAIN;
}

static void end_style(struct ctask_line *line)
{
	const char *code = style_codes[CTASK_STYLE_PLAIN];

	if (!line->color || !line->styled || !reserve(line, strlen(code)))
		return;
	memcpy(line->bytes + line->len, code, strlen(code));
	line->len += strlen(code);
	line->styled = false;
}

void ctask_line_append(struct ctask_line *line, const struct ctask_line *other)
{
	if (line->is_cut || !reserve(line, other->len + ESCAPED_BYTES))
		return;
	memcpy(line->bytes + line->len, other->bytes, other->len);
	line->len += other->len;
	line->width += other->width;
	line->styled |= other->styled;
}

void ctask_line_put(struct ctask_line *line, FILE *out)
{
	end_style(line);
	if (!reserve(line, 1))
		return;
	line->bytes[line->len] = '\n';
	fwrite_unlocked(line->bytes, 1, line->len + 1, out);
}
