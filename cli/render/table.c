/* table.c - one line a task. */
#include <stdlib.h>

#include "analysis/order.h"
#include "cli/render/columns.h"
#include "cli/render/words.h"
#include "model/cleanup.h"
#include "model/groups.h"

enum { NAME_COLUMNS = 32, WHERE_COLUMNS = 56 };

struct rows {
	const struct ctask_snapshot *snap;
	const uint32_t *order;
	struct ctask_groups waiters;
};

static const struct ctask_task *task_of(const void *data, uint32_t row)
{
	const struct rows *rows = data;

	return &rows->snap->tasks[rows->order[row]];
}

static void add_id(struct ctask_line *cell, const void *data, uint32_t row)
{
	ctask_line_id(cell, task_of(data, row)->id);
}

static void add_name(struct ctask_line *cell, const void *data, uint32_t row)
{
	ctask_line_style(cell, CTASK_STYLE_NAME);
	ctask_line_text(cell, task_of(data, row)->name);
	ctask_line_style(cell, CTASK_STYLE_PLAIN);
}

static void add_thread(struct ctask_line *cell, const void *data, uint32_t row)
{
	const struct rows *rows = data;
	uint32_t runtime = task_of(data, row)->runtime;

	if (runtime < rows->snap->runtime_count && rows->snap->runtimes[runtime].thread_id >= 0)
		ctask_line_format(cell, "%d", rows->snap->runtimes[runtime].thread_id);
	else
		ctask_line_words(cell, "-");
}

static void add_state(struct ctask_line *cell, const void *data, uint32_t row)
{
	const struct ctask_task *t = task_of(data, row);

	if (t->state == CTASK_RUNNING)
		ctask_line_style(cell, CTASK_STYLE_RUNNING);
	ctask_line_words(cell, ctask_task_state_words[t->state]);
	ctask_line_style(cell, CTASK_STYLE_PLAIN);
}

static void add_where(struct ctask_line *cell, const void *data, uint32_t row)
{
	const struct rows *rows = data;
	const struct ctask_task *t = task_of(data, row);
	const struct ctask_frame *frame = ctask_words_frame(rows->snap, t);

	ctask_words_chain(cell, rows->snap, t);
	if (!frame)
		return;
	ctask_line_words(cell, "  ");
	ctask_line_style(cell, CTASK_STYLE_PLACE);
	ctask_words_place(cell, frame);
	ctask_line_style(cell, CTASK_STYLE_PLAIN);
}

/* The first who waits for it, and how many more. */
static void add_waiters(struct ctask_line *cell, const void *data, uint32_t row)
{
	const struct rows *rows = data;
	uint32_t task = rows->order[row];
	uint32_t first = rows->waiters.first[task], end = rows->waiters.first[task + 1];
	uint32_t waiter, others = 0;

	if (first == end) {
		ctask_line_words(cell, "-");
		return;
	}
	waiter = rows->snap->edges[rows->waiters.items[first]].waiter;
	for (uint32_t i = first + 1; i < end; i++)
		others += rows->snap->edges[rows->waiters.items[i]].waiter != waiter;
	ctask_line_text(cell, rows->snap->tasks[waiter].name);
	if (others)
		ctask_line_format(cell, " +%u", others);
}

static void add_wait(struct ctask_line *cell, const void *data, uint32_t row)
{
	const struct rows *rows = data;
	const struct ctask_task *t = task_of(data, row);

	if (ctask_words_stop_of(t) != CTASK_STOP_NONE) {
		ctask_words_stop(cell, t);
		if (t->wait_kind != CTASK_WAIT_NONE)
			ctask_line_words(cell, ctask_words_dot(cell));
	}
	ctask_words_wait(cell, rows->snap, (struct ctask_alike){ &rows->order[row], 1 });
}

static const struct ctask_column columns[] = {
	{ "ID", false, 0, add_id },
	{ "NAME", false, NAME_COLUMNS, add_name },
	{ "STATE", false, 0, add_state },
	{ "AWAITED BY", false, NAME_COLUMNS, add_waiters },
	{ "WHERE", false, WHERE_COLUMNS, add_where },
	{ "WAITS FOR", false, 0, add_wait },
};

/* The same, where tasks of several loops stand together. */
static const struct ctask_column columns_with_thread[] = {
	{ "THREAD", true, 0, add_thread },
	{ "ID", false, 0, add_id },
	{ "NAME", false, NAME_COLUMNS, add_name },
	{ "STATE", false, 0, add_state },
	{ "AWAITED BY", false, NAME_COLUMNS, add_waiters },
	{ "WHERE", false, WHERE_COLUMNS, add_where },
	{ "WAITS FOR", false, 0, add_wait },
};

int ctask_render_table(const struct ctask_snapshot *snap,
		       const struct ctask_render_options *options, FILE *out,
		       struct ctask_error *err)
{
	auto_free uint32_t *order = ctask_tasks_in_order(snap);
	struct rows rows = { .snap = snap, .order = order };
	bool threads = snap->runtime_count > 1;
	int ret;

	if (!order || ctask_groups_by_awaited(&rows.waiters, snap))
		return ctask_fail(err, ENOMEM, "out of memory");
	ret = ctask_columns_put(threads ? columns_with_thread : columns,
				threads ? ARRAY_SIZE(columns_with_thread) : ARRAY_SIZE(columns),
				&rows, snap->task_count, options, out, err);
	ctask_groups_fini(&rows.waiters);
	return ret;
}
