/* columns.c - a table whose columns are as wide as what is in them. */
#include "cli/render/columns.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "model/cleanup.h"

enum { GAP = 2 };

static void measure(const struct ctask_column *c, const void *data, uint32_t row_count,
		    struct ctask_line *cell, uint32_t *width)
{
	*width = (uint32_t)strlen(c->title);
	for (uint32_t row = 0; row < row_count; row++) {
		ctask_line_begin(cell, CTASK_LINE_UNCUT);
		c->add(cell, data, row);
		if (cell->width > *width && (!c->width_max || cell->width <= c->width_max))
			*width = cell->width;
	}
}

/* Row 0 is the titles. */
static void add(const struct ctask_column *c, const void *data, uint32_t row,
		struct ctask_line *line)
{
	if (row > 0) {
		c->add(line, data, row - 1);
		return;
	}
	ctask_line_style(line, CTASK_STYLE_NAME);
	ctask_line_words(line, c->title);
	ctask_line_style(line, CTASK_STYLE_PLAIN);
}

int ctask_columns_put(const struct ctask_column *columns, uint32_t column_count, const void *data,
		      uint32_t row_count, const struct ctask_render_options *options, FILE *out,
		      struct ctask_error *err)
{
	struct ctask_line line = { .utf8 = options->utf8, .color = options->color };
	struct ctask_line cell = line;
	auto_free uint32_t *widths = calloc(column_count, sizeof(*widths));
	bool failed = !widths;

	for (uint32_t c = 0; c < column_count && !failed; c++)
		measure(&columns[c], data, row_count, &cell, &widths[c]);
	for (uint32_t row = 0; row <= row_count && !failed; row++) {
		uint32_t column = 0;

		ctask_line_begin(&line, options->width ? options->width : CTASK_LINE_UNCUT);
		for (uint32_t c = 0; c < column_count; c++) {
			uint32_t start = column;

			ctask_line_begin(&cell, CTASK_LINE_UNCUT);
			add(&columns[c], data, row, &cell);
			if (columns[c].right && cell.width < widths[c])
				start += widths[c] - cell.width;
			if (cell.width) {
				if (c > 0)
					ctask_line_pad(&line, line.width + 1);
				ctask_line_pad(&line, start);
				add(&columns[c], data, row, &line);
			}
			column += widths[c] + GAP;
		}
		ctask_line_put(&line, out);
	}
	failed |= line.failed || cell.failed;
	ctask_line_fini(&line);
	ctask_line_fini(&cell);
	return failed ? ctask_fail(err, ENOMEM, "out of memory") : 0;
}
