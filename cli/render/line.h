/* line.h - one line for a terminal, put together piece by piece. */
#ifndef CTASK_CLI_RENDER_LINE_H
#define CTASK_CLI_RENDER_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "model/text.h"

enum ctask_style {
	CTASK_STYLE_PLAIN,
	CTASK_STYLE_DIM,  /**< lines, library code, what is there only for order */
	CTASK_STYLE_NAME, /**< what a line is about */
	CTASK_STYLE_PLACE,
	CTASK_STYLE_WAIT,
	CTASK_STYLE_RUNNING,
	CTASK_STYLE_NOTE,  /**< worth knowing, but no reason to worry */
	CTASK_STYLE_ALARM, /**< asked to stop, cycles, what could not be read */
	CTASK_STYLES
};

enum { CTASK_LINE_UNCUT = UINT32_MAX };

/**
 * Counts columns while it grows, and ends in "…" where it would pass its limit.
 * The buffer is kept from line to line. Start with everything zeroed but utf8
 * and color.
 */
struct ctask_line {
	bool utf8;  /**< else: ASCII only, other characters of the target as escapes */
	bool color; /**< else: styles do nothing */
	char *bytes;
	size_t len, room;
	uint32_t width; /**< columns so far */
	uint32_t limit; /**< columns it may have */
	size_t cut_len; /**< where to cut if one more column is too many */
	uint32_t cut_width;
	bool is_cut;
	bool styled;
	bool failed; /**< out of memory, once */
};

void ctask_line_fini(struct ctask_line *line);
/** Start again, empty. */
void ctask_line_begin(struct ctask_line *line, uint32_t limit);
/** Go on after a part that had a limit of its own, cut or not, up to @p limit. */
void ctask_line_extend(struct ctask_line *line, uint32_t limit);
/**
 * Append text that came from a target. Whatever could act on a terminal or
 * change the order of what is seen (control characters, bidirectional marks,
 * invisible characters, lone surrogates) becomes an escape like \n, \x1b, \u202e.
 */
void ctask_line_text(struct ctask_line *line, ctask_text text);
/** Append words of our own: printable UTF-8, where each character takes one column. */
void ctask_line_words(struct ctask_line *line, const char *words);
/** Append what printf would write: ASCII of our own. */
void ctask_line_format(struct ctask_line *line, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void ctask_line_number(struct ctask_line *line, uint64_t number);
/** "0x7f0012345678" */
void ctask_line_id(struct ctask_line *line, uint64_t id);
/** Append spaces up to @p column. */
void ctask_line_pad(struct ctask_line *line, uint32_t column);
void ctask_line_style(struct ctask_line *line, enum ctask_style style);
/** Append another line as it stands. Its style ends with it. */
void ctask_line_append(struct ctask_line *line, const struct ctask_line *other);
/** Write it and a newline. */
void ctask_line_put(struct ctask_line *line, FILE *out);

#endif
