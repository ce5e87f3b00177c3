/* heading.c - the lines above a tree or a table: which process, and how it was read. */
#include "cli/render/heading.h"

#include <stdlib.h>
#include <string.h>

#include "analysis/asking.h"
#include "cli/render/words.h"

enum { CMDLINE_COLUMNS = 72 };

static void dot(struct ctask_line *line)
{
	ctask_line_words(line, ctask_words_dot(line));
}

static void task_count(struct ctask_line *line, uint64_t shown, uint64_t all)
{
	if (shown < all) {
		ctask_line_number(line, shown);
		ctask_line_words(line, " of ");
	}
	if (shown == 0 && all == 0)
		ctask_line_words(line, "no");
	else
		ctask_line_number(line, shown < all ? all : shown);
	ctask_line_words(line, shown == 1 && all <= 1 ? " task" : " tasks");
}

/* " (1 running, 3 asked to stop, 2 went on though asked to)": what one would look for first. */
static void notable(struct ctask_line *line, const struct ctask_snapshot *snap)
{
	uint32_t running = 0, stopping = 0, past = 0, swallowed = 0;
	const char *before = " (";

	for (uint32_t i = 0; i < snap->task_count; i++) {
		enum ctask_stop stop = ctask_asking_of(snap, &snap->tasks[i]).stop;

		running += snap->tasks[i].state == CTASK_RUNNING;
		stopping += stop == CTASK_STOP_PENDING || stop == CTASK_STOP_HANDLED ||
			    stop == CTASK_STOP_OPEN;
		past += stop == CTASK_STOP_PAST;
		swallowed += stop == CTASK_STOP_SWALLOWED;
	}
	if (running) {
		ctask_line_format(line, "%s%u running", before, running);
		before = ", ";
	}
	if (stopping) {
		ctask_line_words(line, before);
		ctask_line_style(line, CTASK_STYLE_ALARM);
		ctask_line_format(line, "%u asked to stop", stopping);
		ctask_line_style(line, CTASK_STYLE_DIM);
		before = ", ";
	}
	if (swallowed) {
		ctask_line_words(line, before);
		ctask_line_style(line, CTASK_STYLE_ALARM);
		ctask_line_format(line, "%u swallowed that and went on", swallowed);
		ctask_line_style(line, CTASK_STYLE_DIM);
		before = ", ";
	}
	if (past)
		ctask_line_format(line, "%s%u went on though asked to stop", before, past);
	if (running || stopping || past || swallowed)
		ctask_line_words(line, ")");
}

/* True for a runtime that stands for a program which has not made a loop yet. */
static bool has_no_loop(const struct ctask_runtime *r)
{
	return !r->loop && r->thread_id < 0 && r->task_count == 0;
}

static void implementation(struct ctask_line *line, const struct ctask_runtime *r)
{
	if (!r->implementation)
		return;
	dot(line);
	if (strcmp(r->implementation, "cpython") == 0)
		ctask_line_words(line, "CPython");
	else
		ctask_line_text(line, r->implementation);
	if (!r->version)
		return;
	ctask_line_words(line, " ");
	ctask_line_text(line, r->version);
}

/* "asyncio", "trio 0.22.0" */
static void kind(struct ctask_line *line, const struct ctask_runtime *r)
{
	ctask_line_text(line, r->kind);
	if (!r->package_version)
		return;
	ctask_line_words(line, " ");
	ctask_line_text(line, r->package_version);
}

static bool is_same_kind(const struct ctask_runtime *a, const struct ctask_runtime *b)
{
	return a->kind && b->kind && strcmp(a->kind, b->kind) == 0;
}

static bool several_kinds(const struct ctask_snapshot *snap)
{
	for (uint32_t i = 1; i < snap->runtime_count; i++) {
		if (snap->runtimes[i].kind && !is_same_kind(&snap->runtimes[i], &snap->runtimes[0]))
			return true;
	}
	return false;
}

/* "asyncio and trio 0.22.0, ": each once, in the order in which they were found. */
static void kinds(struct ctask_line *line, const struct ctask_snapshot *snap)
{
	const char *before = "";

	for (uint32_t i = 0; i < snap->runtime_count; i++) {
		const struct ctask_runtime *r = &snap->runtimes[i];
		uint32_t first = 0;

		while (first < i && !is_same_kind(&snap->runtimes[first], r))
			first++;
		if (!r->kind || first < i)
			continue;
		ctask_line_words(line, before);
		kind(line, r);
		before = " and ";
	}
	if (*before)
		ctask_line_words(line, ", ");
}

/* @p r: NULL where there are several kinds. */
static void no_loop(struct ctask_line *line, const struct ctask_runtime *r)
{
	bool is_trio = r && r->kind && strcmp(r->kind, "trio") == 0;

	ctask_line_words(line, is_trio ? "no trio.run() under way" : "no event loop");
}

/* The runtime's own tasks, which were left out. */
static void hidden_count(struct ctask_line *line, uint64_t count)
{
	if (!count)
		return;
	ctask_line_words(line, ", ");
	ctask_line_number(line, count);
	ctask_line_words(line, count == 1 ? " system task not shown" : " system tasks not shown");
}

static void how_read(struct ctask_line *line, const struct ctask_snapshot *snap)
{
	dot(line);
	ctask_line_words(line,
			 snap->source == CTASK_SOURCE_AGENT ? "told by its agent in " : "read in ");
	ctask_words_duration(line, snap->capture.elapsed_us);
	if (snap->source == CTASK_SOURCE_CORE) {
		ctask_line_words(line, " from a core file");
	} else if (snap->capture.paused_us == 0) {
		ctask_line_words(line, ", not stopped");
	} else {
		ctask_line_words(line, ", stopped for ");
		ctask_words_duration(line, snap->capture.paused_us);
	}
	if (ctask_snapshot_complete(snap))
		return;
	dot(line);
	ctask_line_style(line, CTASK_STYLE_ALARM);
	ctask_line_words(line, "not all could be read");
	ctask_line_style(line, CTASK_STYLE_DIM);
}

void ctask_heading_process(struct ctask_line *line, const struct ctask_snapshot *snap)
{
	const struct ctask_process *p = &snap->process;
	uint64_t all = 0, hidden = 0;
	bool loops = snap->task_count > 0;

	for (uint32_t i = 0; i < snap->runtime_count; i++) {
		all += snap->runtimes[i].task_count - snap->runtimes[i].hidden_count;
		hidden += snap->runtimes[i].hidden_count;
		loops |= !has_no_loop(&snap->runtimes[i]);
	}
	ctask_line_style(line, CTASK_STYLE_NAME);
	ctask_words_cmdline(line, p->cmdline, p->cmdline_count, CMDLINE_COLUMNS);
	ctask_line_style(line, CTASK_STYLE_DIM);
	if (p->cmdline_count)
		ctask_line_words(line, "   ");
	if (p->pid > 0)
		ctask_line_format(line, "pid %d", p->pid);
	else
		ctask_line_words(line, "pid unknown");
	if (p->nspid > 0 && p->nspid != p->pid)
		ctask_line_format(line, " (%d in its container)", p->nspid);
	if (snap->runtime_count)
		implementation(line, &snap->runtimes[0]);
	dot(line);
	kinds(line, snap);
	if (loops)
		task_count(line, snap->task_count, all);
	else
		no_loop(line,
			several_kinds(snap) || !snap->runtime_count ? NULL : &snap->runtimes[0]);
	notable(line, snap);
	hidden_count(line, hidden);
	how_read(line, snap);
	ctask_line_style(line, CTASK_STYLE_PLAIN);
}

void ctask_heading_runtime(struct ctask_line *line, const struct ctask_snapshot *snap,
			   uint32_t runtime)
{
	const struct ctask_runtime *r = &snap->runtimes[runtime];
	uint64_t shown = 0;

	for (uint32_t i = 0; i < snap->task_count; i++)
		shown += snap->tasks[i].runtime == runtime;
	ctask_line_style(line, CTASK_STYLE_NAME);
	if (r->thread_id >= 0)
		ctask_line_format(line, "thread %d", r->thread_id);
	else
		ctask_line_words(line, "no thread");
	ctask_line_style(line, CTASK_STYLE_DIM);
	if (r->interpreter != 0) {
		dot(line);
		ctask_line_format(line, "interpreter %lld", (long long)r->interpreter);
	}
	if (r->kind && several_kinds(snap)) {
		dot(line);
		kind(line, r);
	}
	if (r->loop) {
		dot(line);
		ctask_line_text(line, r->loop);
	}
	dot(line);
	if (shown == 0 && has_no_loop(r))
		no_loop(line, r);
	else
		task_count(line, shown, r->task_count - r->hidden_count);
	hidden_count(line, r->hidden_count);
	ctask_line_style(line, CTASK_STYLE_PLAIN);
}
