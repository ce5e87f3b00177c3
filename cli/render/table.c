/* table.c - one line a task. */
#include <math.h>
#include <stdlib.h>

#include "analysis/asking.h"
#include "analysis/order.h"
#include "cli/render/columns.h"
#include "cli/render/stops.h"
#include "cli/render/words.h"
#include "model/cleanup.h"
#include "model/groups.h"

enum { NAME_COLUMNS = 32, WHERE_COLUMNS = 56 };

struct rows {
	const struct ctask_snapshot *snap;
	const uint32_t *order;
	struct ctask_groups waiters;
	struct ctask_lookup tasks; /* empty unless it is needed */
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

	if (ctask_asking_of(rows->snap, t).stop != CTASK_STOP_NONE) {
		ctask_stop_put(cell, rows->snap, (struct ctask_alike){ &rows->order[row], 1 });
		if (t->wait_kind != CTASK_WAIT_NONE)
			ctask_line_words(cell, ctask_words_dot(cell));
	}
	ctask_words_wait(cell, rows->snap, (struct ctask_alike){ &rows->order[row], 1 }, true);
}

static void add_age(struct ctask_line *cell, const void *data, uint32_t row)
{
	const struct rows *rows = data;
	double age_s = ctask_task_age_s(rows->snap, task_of(data, row));

	if (isnan(age_s))
		ctask_line_words(cell, "-");
	else
		ctask_words_time(cell, age_s);
}

static void add_maker(struct ctask_line *cell, const void *data, uint32_t row)
{
	const struct rows *rows = data;

	if (!ctask_birth_put_maker(cell, rows->snap, &rows->tasks, task_of(data, row)))
		ctask_line_words(cell, "-");
}

/* In this order, those for which there is something to tell. */
static const struct {
	struct ctask_column column;
	enum { ALWAYS, OF_THREADS, OF_AGENT, OF_AGENT_AND_ALL } when;
} columns[] = {
	{ { "THREAD", true, 0, add_thread }, OF_THREADS },
	{ { "ID", false, 0, add_id }, ALWAYS },
	{ { "NAME", false, NAME_COLUMNS, add_name }, ALWAYS },
	{ { "STATE", false, 0, add_state }, ALWAYS },
	{ { "AGE", true, 0, add_age }, OF_AGENT },
	{ { "AWAITED BY", false, NAME_COLUMNS, add_waiters }, ALWAYS },
	{ { "WHERE", false, WHERE_COLUMNS, add_where }, ALWAYS },
	{ { "MADE BY", false, WHERE_COLUMNS, add_maker }, OF_AGENT_AND_ALL },
	{ { "WAITS FOR", false, 0, add_wait }, ALWAYS },
};

/* Those that are shown, to @p ret; returns how many. */
static uint32_t choose_columns(const struct ctask_snapshot *snap, bool all,
			       struct ctask_column ret[ARRAY_SIZE(columns)])
{
	const bool agent = snap->history && snap->history->birth_count;
	const bool wanted[] = { [ALWAYS] = true,
				[OF_THREADS] = snap->runtime_count > 1,
				[OF_AGENT] = agent,
				[OF_AGENT_AND_ALL] = agent && all };
	uint32_t count = 0;

	for (size_t i = 0; i < ARRAY_SIZE(columns); i++) {
		if (wanted[columns[i].when])
			ret[count++] = columns[i].column;
	}
	return count;
}

int ctask_render_table(const struct ctask_snapshot *snap,
		       const struct ctask_render_options *options, FILE *out,
		       struct ctask_error *err)
{
	auto_free uint32_t *order = ctask_tasks_in_order(snap);
	struct rows rows = { .snap = snap, .order = order };
	struct ctask_column chosen[ARRAY_SIZE(columns)];
	int ret;

	if (!order || ctask_groups_by_awaited(&rows.waiters, snap) ||
	    (options->frames && snap->history && ctask_lookup_add_tasks(&rows.tasks, snap)))
		ret = ctask_fail(err, ENOMEM, "out of memory");
	else
		ret = ctask_columns_put(chosen, choose_columns(snap, options->frames, chosen),
					&rows, snap->task_count, options, out, err);
	ctask_groups_fini(&rows.waiters);
	ctask_lookup_fini(&rows.tasks);
	return ret;
}
