/* json.c - the plain data of the model as JSON text. */
#include "model/json.h"

#include <math.h>
#include <stdlib.h>

#include "model/cleanup.h"
#include "model/groups.h"
#include "model/json_cancellation.h"
#include "model/json_writer.h"

static void write_process(struct ctask_json_writer *w, const struct ctask_process *p)
{
	ctask_json_begin_object(w, "process");
	ctask_json_known_int(w, "pid", p->pid > 0, p->pid);
	ctask_json_known_int(w, "nspid", p->nspid > 0, p->nspid);
	ctask_json_time(w, "start_time", p->start_time_us);
	ctask_json_known_int(w, "uid", p->uid >= 0, p->uid);
	ctask_json_text(w, "exe", p->exe);
	ctask_json_texts(w, "cmdline", p->cmdline, p->cmdline_count);
	ctask_json_end_object(w);
}

static void write_task_id(struct ctask_json_writer *w, const char *key,
			  const struct ctask_snapshot *snap, uint32_t task)
{
	if (task < snap->task_count)
		ctask_json_id(w, key, snap->tasks[task].id);
	else
		ctask_json_null(w, key);
}

static void write_scope_id(struct ctask_json_writer *w, const char *key,
			   const struct ctask_snapshot *snap, uint32_t scope)
{
	if (scope < snap->scope_count)
		ctask_json_id(w, key, snap->scopes[scope].id);
	else
		ctask_json_null(w, key);
}

static void write_problem(struct ctask_json_writer *w, uint64_t task, ctask_text text)
{
	ctask_json_begin_object(w, NULL);
	if (task)
		ctask_json_id(w, "task", task);
	else
		ctask_json_null(w, "task");
	ctask_json_text(w, "text", text);
	ctask_json_end_object(w);
}

void ctask_json_untold(uint64_t count, char text[CTASK_JSON_UNTOLD_BYTES])
{
	snprintf(text, CTASK_JSON_UNTOLD_BYTES, "%llu more problems, not listed",
		 (unsigned long long)count);
}

static void write_capture(struct ctask_json_writer *w, const struct ctask_snapshot *snap)
{
	char untold[CTASK_JSON_UNTOLD_BYTES];

	ctask_json_begin_object(w, "capture");
	ctask_json_int(w, "elapsed_us", (int64_t)snap->capture.elapsed_us);
	ctask_json_int(w, "paused_us", (int64_t)snap->capture.paused_us);
	ctask_json_bool(w, "complete", ctask_snapshot_complete(snap));
	ctask_json_int(w, "reread_tasks", snap->capture.reread_tasks);
	ctask_json_begin_array(w, "problems");
	for (uint32_t i = 0; i < snap->problem_count; i++)
		write_problem(w, snap->problems[i].task, snap->problems[i].text);
	if (snap->problems_untold) {
		ctask_json_untold(snap->problems_untold, untold);
		write_problem(w, 0, untold);
	}
	ctask_json_end_array(w);
	ctask_json_end_object(w);
}

static void write_runtimes(struct ctask_json_writer *w, const struct ctask_snapshot *snap)
{
	ctask_json_begin_array(w, "runtimes");
	for (uint32_t i = 0; i < snap->runtime_count; i++) {
		const struct ctask_runtime *r = &snap->runtimes[i];

		ctask_json_break(w);
		ctask_json_begin_object(w, NULL);
		ctask_json_int(w, "id", i);
		ctask_json_word(w, "kind", r->kind);
		ctask_json_word(w, "implementation", r->implementation);
		ctask_json_text(w, "version", r->version);
		ctask_json_int(w, "interpreter", r->interpreter);
		ctask_json_known_int(w, "thread_id", r->thread_id >= 0, r->thread_id);
		ctask_json_text(w, "loop", r->loop);
		ctask_json_int(w, "task_count", r->task_count);
		ctask_json_text(w, "library", r->library);
		ctask_json_texts(w, "libraries", snap->libraries, snap->library_count);
		ctask_json_text(w, "package_version", r->package_version);
		ctask_json_end_object(w);
	}
	ctask_json_end_array(w);
}

static void write_stack(struct ctask_json_writer *w, const struct ctask_snapshot *snap,
			const struct ctask_task *t, const struct ctask_json_frames *frames)
{
	const uint32_t *stack = ctask_task_stack(snap, t);

	ctask_json_begin_array(w, "stack");
	for (uint32_t i = 0; i < t->stack_count; i++)
		ctask_json_frame(w, NULL, frames, stack[i]);
	ctask_json_end_array(w);
}

/* What the history of the process tells about a living task. */
static void write_birth(struct ctask_json_writer *w, const struct ctask_snapshot *snap,
			const struct ctask_task *t, const struct ctask_json_frames *places)
{
	const struct ctask_birth_facts *birth =
		snap->history ? ctask_history_birth(snap->history, t->id) : NULL;
	int64_t age_us =
		birth && birth->time_us > 0 ? snap->capture.captured_at_us - birth->time_us : -1;

	ctask_json_seconds(w, "age_s", age_us >= 0 ? (double)age_us / 1e6 : NAN);
	if (birth && birth->creator)
		ctask_json_id(w, "created_by", birth->creator);
	else
		ctask_json_null(w, "created_by");
	if (birth && birth->frame < snap->history->frame_count)
		ctask_json_frame(w, "created_at", places, birth->frame);
	else
		ctask_json_null(w, "created_at");
}

static void write_wait(struct ctask_json_writer *w, const struct ctask_task *t)
{
	if (t->wait_kind == CTASK_WAIT_NONE || t->wait_kind >= CTASK_WAIT_KINDS) {
		ctask_json_null(w, "waiting_for");
		return;
	}
	ctask_json_begin_object(w, "waiting_for");
	ctask_json_word(w, "kind", ctask_wait_kind_words[t->wait_kind]);
	ctask_json_text(w, "text", t->wait_text);
	if (t->wait_id)
		ctask_json_id(w, "id", t->wait_id);
	else
		ctask_json_null(w, "id");
	ctask_json_seconds(w, "left_s", t->wait_left_s);
	ctask_json_end_object(w);
}

/* @p told: for each task, for which other it was last told that it waits, plus one. */
static void write_waiters(struct ctask_json_writer *w, const struct ctask_snapshot *snap,
			  const struct ctask_groups *awaited, uint32_t task, uint32_t *told)
{
	ctask_json_begin_array(w, "awaited_by");
	for (uint32_t i = awaited->first[task]; i < awaited->first[task + 1]; i++) {
		uint32_t waiter = snap->edges[awaited->items[i]].waiter;

		if (told[waiter] == task + 1)
			continue; /* a second edge between the same two */
		told[waiter] = task + 1;
		ctask_json_id(w, NULL, snap->tasks[waiter].id);
	}
	ctask_json_end_array(w);
}

static void write_tasks(struct ctask_json_writer *w, const struct ctask_snapshot *snap,
			const struct ctask_json_frames *places)
{
	__attribute__((cleanup(ctask_json_frames_fini))) struct ctask_json_frames frames = { 0 };
	auto_groups awaited = { 0 };
	auto_free uint32_t *told = calloc((size_t)snap->task_count + 1, sizeof(*told));

	ctask_json_begin_array(w, "tasks");
	if (!told || ctask_json_frames_init(&frames, snap->frames, snap->frame_count) ||
	    ctask_groups_by_awaited(&awaited, snap)) {
		w->failed = true;
		return;
	}
	for (uint32_t i = 0; i < snap->task_count && !w->failed; i++) {
		const struct ctask_task *t = &snap->tasks[i];

		ctask_json_break(w);
		ctask_json_begin_object(w, NULL);
		ctask_json_id(w, "id", t->id);
		ctask_json_text(w, "name", t->name);
		ctask_json_known_int(w, "runtime", t->runtime < snap->runtime_count, t->runtime);
		ctask_json_word(w, "state", ctask_task_state_words[t->state]);
		ctask_json_text(w, "coroutine", t->coroutine);
		if (t->system)
			ctask_json_bool(w, "system", true);
		write_stack(w, snap, t, &frames);
		ctask_json_known_int(w, "cancel_requests", t->cancel_requests >= 0,
				     t->cancel_requests);
		ctask_json_bool(w, "cancel_pending", t->cancel_pending);
		ctask_json_bool(w, "cancel_handled", t->cancel_handled);
		write_wait(w, t);
		write_waiters(w, snap, &awaited, i, told);
		write_scope_id(w, "scope", snap, t->scope);
		write_birth(w, snap, t, places);
		ctask_json_end_object(w);
	}
	ctask_json_end_array(w);
}

static void write_edges(struct ctask_json_writer *w, const struct ctask_snapshot *snap)
{
	ctask_json_begin_array(w, "edges");
	for (uint32_t i = 0; i < snap->edge_count && !w->failed; i++) {
		const struct ctask_edge *edge = &snap->edges[i];

		if (edge->waiter >= snap->task_count || edge->awaited >= snap->task_count)
			continue;
		ctask_json_break(w);
		ctask_json_begin_object(w, NULL);
		ctask_json_id(w, "waiter", snap->tasks[edge->waiter].id);
		ctask_json_id(w, "awaited", snap->tasks[edge->awaited].id);
		ctask_json_word(w, "kind", ctask_edge_kind_words[edge->kind]);
		ctask_json_end_object(w);
	}
	ctask_json_end_array(w);
}

static void write_scopes(struct ctask_json_writer *w, const struct ctask_snapshot *snap)
{
	auto_groups members = { 0 };

	ctask_json_begin_array(w, "scopes");
	if (ctask_groups_by_scope(&members, snap)) {
		w->failed = true;
		return;
	}
	for (uint32_t i = 0; i < snap->scope_count && !w->failed; i++) {
		const struct ctask_scope *s = &snap->scopes[i];

		ctask_json_break(w);
		ctask_json_begin_object(w, NULL);
		ctask_json_id(w, "id", s->id);
		ctask_json_word(w, "kind", ctask_scope_kind_words[s->kind]);
		write_task_id(w, "owner", snap, s->owner);
		write_scope_id(w, "parent", snap, s->parent);
		ctask_json_begin_array(w, "tasks");
		for (uint32_t j = members.first[i]; j < members.first[i + 1]; j++)
			ctask_json_id(w, NULL, snap->tasks[members.items[j]].id);
		ctask_json_end_array(w);
		ctask_json_seconds(w, "deadline_in_s", s->deadline_in_s);
		ctask_json_bool(w, "cancel_called", s->cancel_called);
		ctask_json_bool(w, "shield", s->shield);
		ctask_json_text(w, "reason", s->reason);
		ctask_json_end_object(w);
	}
	ctask_json_end_array(w);
}

static void write_cancellations(struct ctask_json_writer *w, const struct ctask_history *history,
				const struct ctask_json_frames *places)
{
	ctask_json_begin_array(w, "cancellations");
	for (uint32_t i = 0; history && i < history->count && !w->failed; i++) {
		ctask_json_break(w);
		ctask_json_cancellation(w, history, &history->items[i], places);
	}
	ctask_json_end_array(w);
}

int ctask_json_write_snapshot(const struct ctask_snapshot *snap, FILE *out, struct ctask_error *err)
{
	__attribute__((cleanup(ctask_json_frames_fini))) struct ctask_json_frames places = { 0 };
	struct ctask_json_writer w = { .out = out };

	if (snap->history &&
	    ctask_json_frames_init(&places, snap->history->frames, snap->history->frame_count))
		return ctask_fail(err, ENOMEM, "out of memory");
	ctask_json_begin_object(&w, NULL);
	ctask_json_word(&w, "schema", "ctask.snapshot");
	ctask_json_int(&w, "version", 1);
	ctask_json_break(&w);
	ctask_json_time(&w, "captured_at", snap->capture.captured_at_us);
	ctask_json_break(&w);
	write_process(&w, &snap->process);
	ctask_json_break(&w);
	ctask_json_word(&w, "source", ctask_source_words[snap->source]);
	ctask_json_break(&w);
	write_capture(&w, snap);
	ctask_json_break(&w);
	write_runtimes(&w, snap);
	ctask_json_break(&w);
	write_tasks(&w, snap, &places);
	ctask_json_break(&w);
	write_edges(&w, snap);
	ctask_json_break(&w);
	write_scopes(&w, snap);
	ctask_json_break(&w);
	write_cancellations(&w, snap->history, &places);
	ctask_json_end_object(&w);
	return ctask_json_finish(&w, err);
}

const char *const ctask_access_words[CTASK_ACCESS_WORDS] = {
	[CTASK_ACCESS_YES] = "yes",
	[CTASK_ACCESS_NOT_PERMITTED] = "not_permitted",
	[CTASK_ACCESS_NOT_SUPPORTED] = "not_supported",
	[CTASK_ACCESS_FAILED] = "failed",
};

int ctask_json_write_processes(const struct ctask_process_list *list, FILE *out,
			       struct ctask_error *err)
{
	struct ctask_json_writer w = { .out = out };

	ctask_json_begin_object(&w, NULL);
	ctask_json_word(&w, "schema", "ctask.processes");
	ctask_json_int(&w, "version", 1);
	ctask_json_break(&w);
	ctask_json_begin_array(&w, "processes");
	for (uint32_t i = 0; i < list->count; i++) {
		const struct ctask_process_entry *e = &list->entries[i];
		bool read = e->access == CTASK_ACCESS_YES;

		ctask_json_break(&w);
		ctask_json_begin_object(&w, NULL);
		ctask_json_int(&w, "pid", e->pid);
		ctask_json_known_int(&w, "uid", e->uid >= 0, e->uid);
		ctask_json_text(&w, "user", e->user);
		ctask_json_text(&w, "implementation", e->implementation);
		ctask_json_text(&w, "version", e->version);
		if (read)
			ctask_json_bool(&w, "asyncio", e->has_asyncio);
		else
			ctask_json_null(&w, "asyncio");
		if (read)
			ctask_json_bool(&w, "trio", e->has_trio);
		else
			ctask_json_null(&w, "trio");
		ctask_json_known_int(&w, "task_count", read, e->task_count);
		ctask_json_word(&w, "access", ctask_access_words[e->access]);
		ctask_json_text(&w, "reason", e->reason);
		ctask_json_texts(&w, "cmdline", e->cmdline, e->cmdline_count);
		ctask_json_end_object(&w);
	}
	ctask_json_end_array(&w);
	ctask_json_end_object(&w);
	return ctask_json_finish(&w, err);
}
