/* formats.c - what each command can print. */
#include <string.h>

#include "cli/render/render.h"

const struct ctask_format ctask_pstree_formats[] = {
	{ "text", ctask_render_tree, true },
	{ "json", ctask_render_json, false },
	{ NULL, NULL, false },
};

const struct ctask_format ctask_ps_formats[] = {
	{ "text", ctask_render_table, true },
	{ "csv", ctask_render_csv, false },
	{ "json", ctask_render_json, false },
	{ NULL, NULL, false },
};

const struct ctask_format *ctask_format_find(const struct ctask_format *formats, const char *word)
{
	for (; formats->word; formats++) {
		if (strcmp(formats->word, word) == 0)
			return formats;
	}
	return NULL;
}
