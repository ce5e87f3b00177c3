/* glyph.h - what a character does on a terminal. */
#ifndef CTASK_CLI_RENDER_GLYPH_H
#define CTASK_CLI_RENDER_GLYPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "model/text.h"

/** True when @p c is seen as what it is: no control, no direction, nothing invisible. */
bool ctask_glyph_is_safe(uint32_t c);
/** Columns that it takes: 0, 1 or 2. Does not depend on the locale. */
uint32_t ctask_glyph_width(uint32_t c);
/** "\n", "\x1b", "\u202e" or "\U000e0001" into @p to, which has room for 11. Returns the length. */
size_t ctask_glyph_escape(uint32_t c, char *to);

/** Write @p text to @p out with escapes for what is not safe, and for all but ASCII unless @p utf8. */
void ctask_glyph_put(ctask_text text, bool utf8, FILE *out);

#endif
