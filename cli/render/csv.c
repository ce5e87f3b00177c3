/* csv.c - one task a record, for scripts: RFC 4180 with lines that end in a newline. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/asking.h"
#include "analysis/order.h"
#include "cli/render/glyph.h"
#include "cli/render/render.h"
#include "cli/render/words.h"
#include "model/cleanup.h"
#include "model/groups.h"

struct sheet {
	const struct ctask_snapshot *snap;
	struct ctask_groups waiters;
	struct ctask_line cell; /* scratch */
	FILE *out;
};

static const char *const columns[] = {
	"id",
	"name",
	"runtime",
	"thread_id",
	"state",
	"coroutine",
	"function",
	"file",
	"line",
	"waiting_for",
	"waiting_for_text",
	"waiting_for_id",
	"left_s",
	"cancel_requests",
	"cancel_pending",
	"cancel_handled",
	"awaited_by",
	"age_s",
	"created_by",
	"created_function",
	"created_file",
	"created_line",
};

static void put_separator(struct sheet *s)
{
	fputc_unlocked(',', s->out);
}

/* What was gathered in the cell, in quotes where it needs them. */
static void put_cell(struct sheet *s)
{
	const char *text = s->cell.bytes;
	size_t len = s->cell.len;

	if (!memchr(text, '"', len) && !memchr(text, ',', len) && !(len && text[0] == ' ') &&
	    !(len && text[len - 1] == ' ')) {
		fwrite_unlocked(text, 1, len, s->out);
		return;
	}
	fputc_unlocked('"', s->out);
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '"')
			fputc_unlocked('"', s->out);
		fputc_unlocked(text[i], s->out);
	}
	fputc_unlocked('"', s->out);
}

static void put_text(struct sheet *s, ctask_text text)
{
	ctask_line_begin(&s->cell, CTASK_LINE_UNCUT);
	ctask_line_text(&s->cell, text);
	if (!s->cell.failed)
		put_cell(s);
}

/* Ids of all who wait for the task, with spaces between; each once. */
static void put_waiters(struct sheet *s, uint32_t task, uint32_t *told)
{
	const char *between = "";

	for (uint32_t i = s->waiters.first[task]; i < s->waiters.first[task + 1]; i++) {
		uint32_t waiter = s->snap->edges[s->waiters.items[i]].waiter;

		if (told[waiter] == task + 1)
			continue;
		told[waiter] = task + 1;
		fprintf(s->out, "%s0x%" PRIx64, between, s->snap->tasks[waiter].id);
		between = " ";
	}
}

static void put_runtime(struct sheet *s, const struct ctask_task *t)
{
	if (t->runtime < s->snap->runtime_count)
		fprintf(s->out, "%u", t->runtime);
	put_separator(s);
	if (t->runtime < s->snap->runtime_count && s->snap->runtimes[t->runtime].thread_id >= 0)
		fprintf(s->out, "%d", s->snap->runtimes[t->runtime].thread_id);
}

static void put_place(struct sheet *s, const struct ctask_task *t)
{
	const struct ctask_frame *frame = ctask_words_frame(s->snap, t);

	put_text(s, frame ? frame->name : NULL);
	put_separator(s);
	put_text(s, frame ? frame->filename : NULL);
	put_separator(s);
	if (frame && frame->line)
		fprintf(s->out, "%u", frame->line);
}

static void put_wait(struct sheet *s, const struct ctask_task *t)
{
	bool waits = t->wait_kind != CTASK_WAIT_NONE && t->wait_kind < CTASK_WAIT_KINDS;

	if (waits)
		fputs_unlocked(ctask_wait_kind_words[t->wait_kind], s->out);
	put_separator(s);
	put_text(s, waits ? t->wait_text : NULL);
	put_separator(s);
	if (waits && t->wait_id)
		fprintf(s->out, "0x%" PRIx64, t->wait_id);
	put_separator(s);
	if (waits && isfinite(t->wait_left_s))
		fprintf(s->out, "%.6f", t->wait_left_s);
}

static void put_birth(struct sheet *s, const struct ctask_task *t)
{
	const struct ctask_history *history = s->snap->history;
	const struct ctask_birth_facts *birth =
		history ? ctask_history_birth(history, t->id) : NULL;
	const struct ctask_frame *frame = birth && birth->frame < history->frame_count
						  ? &history->frames[birth->frame]
						  : NULL;
	double age_s = ctask_task_age_s(s->snap, t);

	if (!isnan(age_s))
		fprintf(s->out, "%.6f", age_s);
	put_separator(s);
	if (birth && birth->creator)
		fprintf(s->out, "0x%" PRIx64, birth->creator);
	put_separator(s);
	put_text(s, frame ? frame->name : NULL);
	put_separator(s);
	put_text(s, frame ? frame->filename : NULL);
	put_separator(s);
	if (frame && frame->line)
		fprintf(s->out, "%u", frame->line);
}

static void put_task(struct sheet *s, uint32_t i, uint32_t *told)
{
	const struct ctask_task *t = &s->snap->tasks[i];

	fprintf(s->out, "0x%" PRIx64 ",", t->id);
	put_text(s, t->name);
	put_separator(s);
	put_runtime(s, t);
	put_separator(s);
	fputs_unlocked(ctask_task_state_words[t->state], s->out);
	put_separator(s);
	put_text(s, t->coroutine);
	put_separator(s);
	put_place(s, t);
	put_separator(s);
	put_wait(s, t);
	put_separator(s);
	if (t->cancel_requests >= 0)
		fprintf(s->out, "%d", t->cancel_requests);
	put_separator(s);
	fputs_unlocked(t->cancel_pending ? "true" : "false", s->out);
	put_separator(s);
	fputs_unlocked(t->cancel_handled ? "true" : "false", s->out);
	put_separator(s);
	put_waiters(s, i, told);
	put_separator(s);
	put_birth(s, t);
	fputc_unlocked('\n', s->out);
}

int ctask_render_csv(const struct ctask_snapshot *snap, const struct ctask_render_options *options,
		     FILE *out, struct ctask_error *err)
{
	struct sheet s = { .snap = snap, .out = out, .cell = { .utf8 = options->utf8 } };
	auto_free uint32_t *order = ctask_tasks_in_order(snap);
	auto_free uint32_t *told = calloc((size_t)snap->task_count + 1, sizeof(*told));
	bool failed = !order || !told || ctask_groups_by_awaited(&s.waiters, snap);

	for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
		fprintf(out, "%s%s", i ? "," : "", columns[i]);
	fputc('\n', out);
	for (uint32_t i = 0; i < snap->task_count && !failed; i++)
		put_task(&s, order[i], told);
	failed |= s.cell.failed;
	ctask_groups_fini(&s.waiters);
	ctask_line_fini(&s.cell);
	return failed ? ctask_fail(err, ENOMEM, "out of memory") : 0;
}
