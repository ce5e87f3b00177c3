/* columns.h - a table whose columns are as wide as what is in them. */
#ifndef CTASK_CLI_RENDER_COLUMNS_H
#define CTASK_CLI_RENDER_COLUMNS_H

#include "cli/render/line.h"
#include "cli/render/render.h"
#include "model/error.h"

struct ctask_column {
	const char *title;
	bool right;	    /**< numbers stand at the right */
	uint32_t width_max; /**< a longer cell moves the rest of its line; 0 = any width */
	/** Append the cell of @p row to @p cell; @p data as it was given. */
	void (*add)(struct ctask_line *cell, const void *data, uint32_t row);
};

/** Write @p row_count rows below their titles. Every cell is made twice. -ENOMEM. */
int ctask_columns_put(const struct ctask_column *columns, uint32_t column_count, const void *data,
		      uint32_t row_count, const struct ctask_render_options *options, FILE *out,
		      struct ctask_error *err);

#endif
