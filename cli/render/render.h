/* render.h - from a snapshot to bytes on a FILE *: a table of formats. */
#ifndef CTASK_CLI_RENDER_RENDER_H
#define CTASK_CLI_RENDER_RENDER_H

#include <stdio.h>

#include "model/error.h"
#include "model/processes.h"
#include "model/snapshot.h"

struct ctask_render_options {
	bool utf8;	/**< else: ASCII only */
	bool color;	/**< a terminal's escape sequences */
	uint32_t width; /**< columns to which lines are cut; 0 = they are not */
	bool fold;	/**< identical siblings become one line */
	bool frames;	/**< every frame, the runtime's own too; and how tasks were made */
	bool ids;
};

/** Writes all of it to @p out, or fails with -ENOMEM. Whether stdio could write shows in ferror(). */
typedef int (*ctask_render)(const struct ctask_snapshot *snap,
			    const struct ctask_render_options *options, FILE *out,
			    struct ctask_error *err);

int ctask_render_csv(const struct ctask_snapshot *snap, const struct ctask_render_options *options,
		     FILE *out, struct ctask_error *err);
int ctask_render_json(const struct ctask_snapshot *snap, const struct ctask_render_options *options,
		      FILE *out, struct ctask_error *err);
int ctask_render_table(const struct ctask_snapshot *snap,
		       const struct ctask_render_options *options, FILE *out,
		       struct ctask_error *err);
int ctask_render_tree(const struct ctask_snapshot *snap, const struct ctask_render_options *options,
		      FILE *out, struct ctask_error *err);

/** The processes of `ctaskctl ls`, as a table. */
int ctask_render_processes(const struct ctask_process_list *list,
			   const struct ctask_render_options *options, FILE *out,
			   struct ctask_error *err);

/** What a command can print: the word after --format, and who writes it. */
struct ctask_format {
	const char *word;
	ctask_render render;
	bool for_people; /**< without what only matters to the runtime itself, unless it is asked for */
};

/** Formats of `pstree` and of `ps`; the first is the default; ended by a row without a word. */
extern const struct ctask_format ctask_pstree_formats[];
extern const struct ctask_format ctask_ps_formats[];

/** NULL when @p formats has no such word. */
const struct ctask_format *ctask_format_find(const struct ctask_format *formats, const char *word);

#endif
