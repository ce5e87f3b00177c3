/* tree.c - the task tree as text: one line a task. */
#include "cli/render/render.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/order.h"
#include "analysis/standing.h"
#include "analysis/tree.h"
#include "cli/render/heading.h"
#include "cli/render/line.h"
#include "cli/render/scopes.h"
#include "cli/render/stops.h"
#include "cli/render/words.h"
#include "model/cleanup.h"

enum {
	LEVEL_COLUMNS = 3,
	LEVELS_MAX = 24, /* deeper lines stand at this level, and say their depth */
	LEVELS_MIN = 4,
	GAP = 2,
	CHAIN_LEAST = 8,    /* columns for functions, before the place is cut */
	PLACE_LEAST = 8,    /* fewer columns for the place tell nothing */
	WAIT_LEAST = 14,    /* columns for what is said, before functions are cut more */
	WORD_LEAST = 6,	    /* with fewer columns it is not said at all */
	NAME_MOST = 32,	    /* columns of a name that nothing else may take */
	FUNCTION_MOST = 20, /* the same of a function */
	LEVEL_BYTES = 5,    /* "│  " */
	ALIGN_LINES = 1000, /* these decide the column in which waits are told */
	ALIGN_COLUMN_MAX = 72,
	FRAMES_HEAD = 10, /* of a running stack: outermost frames; the middle is counted */
	FRAMES_TAIL = 30,
};

struct strokes {
	const char *branch, *end, *through, *none, *edge;
};

static const struct strokes utf8_strokes = { "├─ ", "└─ ", "│  ", "   ", " ── " };
static const struct strokes ascii_strokes = { "|- ", "`- ", "|  ", "   ", " -- " };

struct drawing {
	const struct ctask_snapshot *snap;
	const struct ctask_render_options *options;
	const struct ctask_tree *tree;
	const struct strokes *strokes;
	FILE *out;
	struct ctask_line line, wait, place;
	struct ctask_lookup tasks; /* empty unless it is needed */
	struct ctask_groups owned; /* the scopes of each task */
	uint32_t level_count;	   /* levels that are drawn */
	uint32_t wait_column;
	/* Columns that a line must have to show the name, and the first function too. */
	uint32_t name_end, function_end;
	bool said; /* there is something already in what is being said about a task */
	/* Of each level, what stands before lines further down: a line through, or nothing. */
	char levels[LEVELS_MAX * LEVEL_BYTES + 1];
	size_t level_end[LEVELS_MAX + 1];
};

static void put(struct drawing *d)
{
	ctask_line_put(&d->line, d->out);
}

static void begin(struct drawing *d)
{
	ctask_line_begin(&d->line, d->options->width ? d->options->width : CTASK_LINE_UNCUT);
}

/* What stands before a line whose parent is at @p level. */
static void add_levels(struct drawing *d, uint32_t level)
{
	char *end;
	char kept;

	if (level > d->level_count)
		level = d->level_count;
	end = d->levels + d->level_end[level];
	kept = *end;
	*end = '\0';
	ctask_line_words(&d->line, d->levels);
	*end = kept;
}

/* Remember what stands before the lines below @p node. */
static void set_level(struct drawing *d, const struct ctask_node *node)
{
	uint32_t level = node->depth;
	const char *stroke = node->last ? d->strokes->none : d->strokes->through;
	size_t len;

	if (level == 0 || level > d->level_count)
		return;
	if (level == d->level_count)
		stroke = d->strokes->none; /* several depths share this column */
	len = strlen(stroke);
	memcpy(d->levels + d->level_end[level - 1], stroke, len);
	d->level_end[level] = d->level_end[level - 1] + len;
}

static void add_branch(struct drawing *d, const struct ctask_node *node)
{
	uint32_t kinds = node->kinds;
	const char *between = "";

	if (node->depth == 0)
		return;
	ctask_line_style(&d->line, CTASK_STYLE_DIM);
	add_levels(d, node->depth < d->level_count ? node->depth - 1 : d->level_count - 1);
	ctask_line_words(&d->line, node->last ? d->strokes->end : d->strokes->branch);
	if (node->depth > d->level_count)
		ctask_line_format(&d->line, "[%u] ", node->depth);
	for (uint32_t kind = 0; kind < CTASK_EDGE_KINDS; kind++) {
		if (!(kinds & 1u << kind))
			continue;
		ctask_line_words(&d->line, between);
		ctask_line_words(&d->line, ctask_edge_kind_words[kind]);
		between = "+";
	}
	ctask_line_words(&d->line, d->strokes->edge);
	ctask_line_style(&d->line, CTASK_STYLE_PLAIN);
}

static struct ctask_alike alike_of(const struct drawing *d, const struct ctask_node *node)
{
	return (struct ctask_alike){ d->tree->members + node->members_first, node->member_count };
}

/* trio's own tasks stand back. */
static enum ctask_style style_of(const struct ctask_task *t, enum ctask_style style)
{
	return t->system ? CTASK_STYLE_DIM : style;
}

/* Their names say no more than the function that all of them are in. */
static bool names_begin_chains(const struct drawing *d, struct ctask_alike alike)
{
	for (uint32_t i = 0; i < alike.count; i++) {
		const struct ctask_task *t = &d->snap->tasks[alike.tasks[i]];

		if (!ctask_words_is_of(t->name, ctask_words_chain_start(d->snap, t)))
			return false;
	}
	return true;
}

/* False when there is no name to be shown. */
static bool add_name(struct drawing *d, const struct ctask_node *node)
{
	const struct ctask_task *t = &d->snap->tasks[node->task];
	bool named = true;

	if (d->options->ids) {
		ctask_line_id(&d->line, t->id);
		ctask_line_pad(&d->line, d->line.width + GAP);
	}
	if (names_begin_chains(d, alike_of(d, node)))
		return false;
	ctask_line_style(&d->line, style_of(t, CTASK_STYLE_NAME));
	if (node->member_count == 1)
		ctask_line_text(&d->line, t->name);
	else
		named = ctask_words_names(&d->line, d->snap, alike_of(d, node));
	ctask_line_style(&d->line, CTASK_STYLE_PLAIN);
	if (named)
		ctask_line_words(&d->line, "  ");
	return named;
}

/* Where it is: "handle › fetch  svc.py:33". What does not fit is cut from the functions, not from the place. */
static void add_where(struct drawing *d, const struct ctask_node *node)
{
	const struct ctask_task *t = &d->snap->tasks[node->task];
	const struct ctask_frame *frame = ctask_words_frame(d->snap, t);
	uint32_t limit = d->line.limit;
	uint32_t least = d->line.width + CHAIN_LEAST + GAP;

	ctask_line_begin(&d->place, CTASK_LINE_UNCUT);
	if (frame) {
		ctask_line_style(&d->place, style_of(t, CTASK_STYLE_PLACE));
		ctask_words_place(&d->place, frame);
		ctask_line_style(&d->place, CTASK_STYLE_PLAIN);
	}
	if (limit != CTASK_LINE_UNCUT && !d->line.is_cut && least + d->place.width <= limit)
		d->line.limit = limit - d->place.width - GAP;
	if (node->member_count == 1 &&
	    ctask_words_is_of(t->name, ctask_words_chain_start(d->snap, t)))
		ctask_line_style(&d->line, style_of(t, CTASK_STYLE_NAME));
	else if (t->system)
		ctask_line_style(&d->line, CTASK_STYLE_DIM);
	ctask_words_chain(&d->line, d->snap, t);
	ctask_line_style(&d->line, CTASK_STYLE_PLAIN);
	if (d->line.limit != limit)
		ctask_line_extend(&d->line, limit);
	if (!frame || (limit != CTASK_LINE_UNCUT && d->line.width + PLACE_LEAST > limit))
		return;
	ctask_line_pad(&d->line, d->line.width + GAP);
	if (limit == CTASK_LINE_UNCUT || d->line.width + d->place.width <= limit)
		ctask_line_append(&d->line, &d->place);
	else
		ctask_words_place(&d->line, frame);
}

static void add_start(struct drawing *d, const struct ctask_node *node)
{
	add_branch(d, node);
	if (node->count > 1) {
		ctask_line_number(&d->line, node->count);
		ctask_line_words(&d->line, "*[");
	}
}

static void add_task(struct drawing *d, const struct ctask_node *node)
{
	add_start(d, node);
	add_name(d, node);
	add_where(d, node);
	if (node->count > 1)
		ctask_line_words(&d->line, "]");
}

static void separate(struct drawing *d, struct ctask_line *line)
{
	if (d->said)
		ctask_line_words(line, ctask_words_dot(line));
	d->said = true;
}

/* Waits that the lines below tell better. */
static bool children_tell(const struct ctask_node *node, const struct ctask_task *t)
{
	return node->child_count > 0 &&
	       (t->wait_kind == CTASK_WAIT_TASK || t->wait_kind == CTASK_WAIT_GATHER ||
		t->wait_kind == CTASK_WAIT_WAIT || t->wait_kind == CTASK_WAIT_GROUP);
}

/* A deadline is told of the task that is inside of its scope, not of each one below. */
static bool tells_left(const struct drawing *d, const struct ctask_node *node)
{
	const struct ctask_task *t = &d->snap->tasks[node->task];

	return !isnan(t->wait_left_s) && (!ctask_words_is_deadline(t) ||
					  ctask_deadline_is_own(d->snap, &d->owned, node->task));
}

/* What it does now, and what is worth a second look. */
static void add_wait(struct drawing *d, const struct ctask_node *node, struct ctask_line *line)
{
	const struct ctask_task *t = &d->snap->tasks[node->task];
	struct ctask_alike alike = alike_of(d, node);

	d->said = false;
	if (node->mark != CTASK_NODE_DRAWN) {
		bool cycle = node->mark == CTASK_NODE_CYCLE;

		ctask_line_style(line, cycle ? CTASK_STYLE_ALARM : CTASK_STYLE_DIM);
		ctask_line_words(line, cycle ? "await cycle, drawn above" : "drawn above");
		return;
	}
	if (ctask_asking_of(d->snap, t).stop != CTASK_STOP_NONE) {
		separate(d, line);
		ctask_stop_put(line, d->snap, alike);
	}
	if (t->state == CTASK_RUNNING) {
		separate(d, line);
		ctask_line_style(line, CTASK_STYLE_RUNNING);
		ctask_line_words(line, "running");
		ctask_line_style(line, CTASK_STYLE_PLAIN);
	} else if (t->state != CTASK_WAITING) {
		separate(d, line);
		ctask_line_words(line, t->state == CTASK_READY ? "ready to run" : "done");
	} else if (!children_tell(node, t) || d->options->frames) {
		if (t->wait_kind != CTASK_WAIT_NONE)
			separate(d, line);
		ctask_words_wait(line, d->snap, alike, tells_left(d, node));
	} else if (tells_left(d, node)) {
		separate(d, line);
		ctask_words_left(line, d->snap, alike);
	}
	if (ctask_scopes_telling(d->snap, &d->owned, node->task)) {
		separate(d, line);
		ctask_scopes_put(line, d->snap, &d->owned, alike);
	}
	if (d->options->ids && t->state == CTASK_WAITING && t->wait_id) {
		separate(d, line);
		ctask_line_style(line, CTASK_STYLE_DIM);
		ctask_line_id(line, t->wait_id);
		ctask_line_style(line, CTASK_STYLE_PLAIN);
	}
	if (node->waiter_count > 1) {
		separate(d, line);
		ctask_line_style(line, CTASK_STYLE_DIM);
		ctask_line_format(line, "%u tasks wait for it", node->waiter_count);
	}
	if (node->unread) {
		ctask_line_style(line, CTASK_STYLE_PLAIN);
		separate(d, line);
		ctask_line_style(line, CTASK_STYLE_ALARM);
		ctask_line_words(line, "not all of it could be read");
	}
}

/*
 * How many of the @p width columns are for the task, where not all fit that it
 * needs and that is said about it. What has to give way is, in this order: the
 * place and the functions, down to the half of the line; what is said, down to
 * its first words; the first function; what is said; the name.
 */
static uint32_t share(const struct drawing *d, uint32_t width, uint32_t wait_width)
{
	uint32_t least = GAP + (wait_width < WAIT_LEAST ? wait_width : WAIT_LEAST);
	uint32_t limit = wait_width + GAP < width / 2 ? width - wait_width - GAP : width / 2;

	if (limit < d->function_end)
		limit = d->function_end + least < width ? d->function_end : width - least;
	if (limit < d->name_end)
		limit = d->name_end < width ? d->name_end : width;
	return limit;
}

/* Each end has a column more, for the sign that something is cut. */
static void measure(struct drawing *d, const struct ctask_node *node)
{
	const struct ctask_task *t = &d->snap->tasks[node->task];
	uint32_t start, width;
	bool named;

	ctask_line_begin(&d->line, CTASK_LINE_UNCUT);
	add_start(d, node);
	start = d->line.width;
	named = add_name(d, node);
	d->name_end = d->line.width - GAP < start + NAME_MOST ? d->line.width - GAP + 1
							      : start + NAME_MOST + 1;
	start = d->line.width;
	ctask_line_text(&d->line, ctask_words_chain_start(d->snap, t));
	width = d->line.width - start;
	d->function_end = start + (width < FUNCTION_MOST ? width : FUNCTION_MOST) + 1;
	if (!named)
		d->name_end = d->function_end;
}

static void draw_line(struct drawing *d, const struct ctask_node *node)
{
	uint32_t width = d->options->width;
	uint32_t wait_width, least;

	ctask_line_begin(&d->wait, CTASK_LINE_UNCUT);
	add_wait(d, node, &d->wait);
	wait_width = d->wait.width;
	ctask_line_begin(&d->line, CTASK_LINE_UNCUT);
	add_task(d, node);
	if (width && d->line.width + (wait_width ? GAP + wait_width : 0) > width) {
		measure(d, node);
		ctask_line_begin(&d->line, wait_width ? share(d, width, wait_width) : width);
		add_task(d, node);
		ctask_line_extend(&d->line, width);
	}
	least = wait_width < WORD_LEAST ? wait_width : WORD_LEAST;
	if (wait_width && (!width || d->line.width + GAP + least <= width)) {
		ctask_line_pad(&d->line, d->line.width + GAP);
		if (!width || d->wait_column + wait_width <= width)
			ctask_line_pad(&d->line, d->wait_column);
		if (!width || d->line.width + wait_width <= width)
			ctask_line_append(&d->line, &d->wait);
		else
			add_wait(d, node, &d->line);
	}
	put(d);
}

static void draw_frame(struct drawing *d, const struct ctask_node *node,
		       const struct ctask_frame *frame)
{
	begin(d);
	ctask_line_style(&d->line, CTASK_STYLE_DIM);
	add_levels(d, node->depth);
	ctask_line_words(&d->line, node->child_count ? d->strokes->through : d->strokes->none);
	if (!frame->library)
		ctask_line_style(&d->line, CTASK_STYLE_PLAIN);
	ctask_line_text(&d->line, frame->name);
	ctask_line_words(&d->line, "  ");
	if (!frame->library)
		ctask_line_style(&d->line, CTASK_STYLE_PLACE);
	ctask_words_full_place(&d->line, frame);
	put(d);
}

/* The frames below a task's line, outermost first. */
static void draw_frames(struct drawing *d, const struct ctask_node *node)
{
	const struct ctask_task *t = &d->snap->tasks[node->task];
	const uint32_t *stack = ctask_task_stack(d->snap, t);
	bool cut = !d->options->frames && t->stack_count > FRAMES_HEAD + FRAMES_TAIL + 1;

	for (uint32_t i = 0; i < t->stack_count; i++) {
		if (cut && i == FRAMES_HEAD) {
			i = t->stack_count - FRAMES_TAIL;
			begin(d);
			ctask_line_style(&d->line, CTASK_STYLE_DIM);
			add_levels(d, node->depth);
			ctask_line_words(&d->line, node->child_count ? d->strokes->through
								     : d->strokes->none);
			ctask_line_format(&d->line, "(%u more frames: -a shows them)",
					  t->stack_count - FRAMES_HEAD - FRAMES_TAIL);
			put(d);
		}
		draw_frame(d, node, &d->snap->frames[stack[t->stack_count - 1 - i]]);
	}
}

/* Where and by whom it was made. */
static void draw_birth(struct drawing *d, const struct ctask_node *node)
{
	const struct ctask_task *t = &d->snap->tasks[node->task];

	if (!ctask_birth_is_known(d->snap, t))
		return;
	begin(d);
	ctask_line_style(&d->line, CTASK_STYLE_DIM);
	add_levels(d, node->depth);
	ctask_line_words(&d->line, node->child_count ? d->strokes->through : d->strokes->none);
	ctask_birth_put(&d->line, d->snap, &d->tasks, t);
	put(d);
}

static void draw_node(struct drawing *d, const struct ctask_node *node)
{
	draw_line(d, node);
	set_level(d, node);
	if (node->mark != CTASK_NODE_DRAWN)
		return;
	if (d->options->frames || d->snap->tasks[node->task].state == CTASK_RUNNING)
		draw_frames(d, node);
	if (d->options->frames)
		draw_birth(d, node);
}

/* Waits stand in one column, as far right as the first lines need, but not too far. */
static void choose_column(struct drawing *d)
{
	uint32_t most = d->options->width ? d->options->width * 6 / 10 : ALIGN_COLUMN_MAX;
	uint32_t count = d->tree->node_count < ALIGN_LINES ? d->tree->node_count : ALIGN_LINES;

	for (uint32_t i = 0; i < count; i++) {
		const struct ctask_node *node = &d->tree->nodes[i];

		ctask_line_begin(&d->line, CTASK_LINE_UNCUT);
		add_task(d, node);
		set_level(d, node);
		if (d->line.width + GAP > d->wait_column && d->line.width + GAP <= most)
			d->wait_column = d->line.width + GAP;
	}
}

static void draw_section(struct drawing *d, uint32_t runtime)
{
	fputc_unlocked('\n', d->out);
	begin(d);
	ctask_heading_runtime(&d->line, d->snap, runtime);
	put(d);
	fputc_unlocked('\n', d->out);
}

/* @p runtimes: in the order of their sections, which is that of the roots. */
static void draw(struct drawing *d, const uint32_t *runtimes)
{
	bool sections = d->snap->runtime_count > 1;
	uint32_t next = 0;

	ctask_line_begin(&d->line, CTASK_LINE_UNCUT);
	ctask_heading_process(&d->line, d->snap);
	put(d);
	if (!sections && d->tree->node_count)
		fputc_unlocked('\n', d->out);
	choose_column(d);
	for (uint32_t i = 0; i < d->tree->node_count; i++) {
		const struct ctask_node *node = &d->tree->nodes[i];
		uint32_t runtime = d->snap->tasks[node->task].runtime;

		while (sections && node->depth == 0 && next < d->snap->runtime_count &&
		       (next == 0 || runtimes[next - 1] != runtime))
			draw_section(d, runtimes[next++]);
		draw_node(d, node);
	}
	while (sections && next < d->snap->runtime_count)
		draw_section(d, runtimes[next++]);
}

static uint32_t choose_levels(uint32_t width)
{
	uint32_t levels = width / 3 / LEVEL_COLUMNS;

	if (width == 0 || levels > LEVELS_MAX)
		return LEVELS_MAX;
	return levels < LEVELS_MIN ? LEVELS_MIN : levels;
}

int ctask_render_tree(const struct ctask_snapshot *snap, const struct ctask_render_options *options,
		      FILE *out, struct ctask_error *err)
{
	struct drawing d = {
		.snap = snap,
		.options = options,
		.strokes = options->utf8 ? &utf8_strokes : &ascii_strokes,
		.out = out,
		.line = { .utf8 = options->utf8, .color = options->color },
		.wait = { .utf8 = options->utf8, .color = options->color },
		.place = { .utf8 = options->utf8, .color = options->color },
		.level_count = choose_levels(options->width),
	};
	auto_free uint32_t *runtimes = ctask_runtimes_in_order(snap);
	struct ctask_tree *tree;
	int ret;

	if (!runtimes)
		return ctask_fail(err, ENOMEM, "out of memory");
	ret = ctask_tree_create(snap, options->fold, &tree, err);
	if (ret)
		return ret;
	d.tree = tree;
	if (ctask_groups_by_owner(&d.owned, snap) ||
	    (options->frames && snap->history && ctask_lookup_add_tasks(&d.tasks, snap)))
		d.line.failed = true;
	else
		draw(&d, runtimes);
	if (d.line.failed || d.wait.failed || d.place.failed)
		ret = ctask_fail(err, ENOMEM, "out of memory");
	ctask_line_fini(&d.line);
	ctask_line_fini(&d.wait);
	ctask_line_fini(&d.place);
	ctask_lookup_fini(&d.tasks);
	ctask_groups_fini(&d.owned);
	ctask_tree_destroy(tree);
	return ret;
}
