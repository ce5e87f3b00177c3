/* json.c - the plain data of the model as JSON text. */
#include "model/json.h"

#include <stdlib.h>
#include <string.h>

#include "model/cleanup.h"
#include "model/groups.h"
#include "model/json_writer.h"

/* "key": of the outermost object, whose members are written one by one. */
static void put_key(struct ctask_json_writer *w, const char *key)
{
	fprintf(w->out, ",\n\"%s\":", key);
}

static bool edge_is_valid(const struct ctask_snapshot *snap, const struct ctask_edge *edge)
{
	return edge->waiter < snap->task_count && edge->awaited < snap->task_count;
}

static void put_process(struct ctask_json_writer *w, const struct ctask_process *p)
{
	struct cJSON *o = ctask_json_object(w);

	if (p->pid > 0)
		ctask_json_add_int(w, o, "pid", p->pid);
	else
		ctask_json_add_null(w, o, "pid");
	if (p->nspid > 0)
		ctask_json_add_int(w, o, "nspid", p->nspid);
	else
		ctask_json_add_null(w, o, "nspid");
	ctask_json_add_time(w, o, "start_time", p->start_time_us);
	if (p->uid >= 0)
		ctask_json_add_int(w, o, "uid", p->uid);
	else
		ctask_json_add_null(w, o, "uid");
	ctask_json_add_text(w, o, "exe", p->exe);
	ctask_json_add_texts(w, o, "cmdline", p->cmdline, p->cmdline_count);
	ctask_json_put(w, o);
}

static void add_problem(struct ctask_json_writer *w, struct cJSON *problems, uint64_t task,
			ctask_text text)
{
	struct cJSON *o = ctask_json_add_object(w, problems, NULL);

	if (task)
		ctask_json_add_id(w, o, "task", task);
	else
		ctask_json_add_null(w, o, "task");
	ctask_json_add_text(w, o, "text", text);
}

static void put_capture(struct ctask_json_writer *w, const struct ctask_snapshot *snap)
{
	struct cJSON *o = ctask_json_object(w);
	struct cJSON *problems;
	char untold[64];

	ctask_json_add_int(w, o, "elapsed_us", (int64_t)snap->capture.elapsed_us);
	ctask_json_add_int(w, o, "paused_us", (int64_t)snap->capture.paused_us);
	ctask_json_add_bool(w, o, "complete", ctask_snapshot_complete(snap));
	ctask_json_add_int(w, o, "reread_tasks", snap->capture.reread_tasks);
	problems = ctask_json_add_array(w, o, "problems");
	for (uint32_t i = 0; i < snap->problem_count; i++)
		add_problem(w, problems, snap->problems[i].task, snap->problems[i].text);
	if (snap->problems_untold) {
		snprintf(untold, sizeof(untold), "%llu more problems, not listed",
			 (unsigned long long)snap->problems_untold);
		add_problem(w, problems, 0, untold);
	}
	ctask_json_put(w, o);
}

static void put_runtime(struct ctask_json_writer *w, const struct ctask_runtime *r, uint32_t i)
{
	struct cJSON *o = ctask_json_object(w);

	ctask_json_add_int(w, o, "id", i);
	ctask_json_add_word(w, o, "kind", r->kind);
	ctask_json_add_word(w, o, "implementation", r->implementation);
	ctask_json_add_text(w, o, "version", r->version);
	ctask_json_add_int(w, o, "interpreter", r->interpreter);
	if (r->thread_id >= 0)
		ctask_json_add_int(w, o, "thread_id", r->thread_id);
	else
		ctask_json_add_null(w, o, "thread_id");
	ctask_json_add_text(w, o, "loop", r->loop);
	ctask_json_add_int(w, o, "task_count", r->task_count);
	ctask_json_put_element(w, o, i);
}

/* A place as JSON text. */
struct frame_text {
	char *text;
	size_t len;
};

/* Each distinct place as JSON text, made once: most stacks share their places. */
static struct frame_text *print_frames(struct ctask_json_writer *w,
				       const struct ctask_snapshot *snap, struct ctask_arena *kept)
{
	struct frame_text *texts = calloc((size_t)snap->frame_count + 1, sizeof(*texts));

	if (!texts)
		w->failed = true;
	for (uint32_t i = 0; i < snap->frame_count && !w->failed; i++) {
		const struct ctask_frame *frame = &snap->frames[i];
		struct cJSON *o = ctask_json_object(w);
		const char *text;

		ctask_json_add_text(w, o, "name", frame->name);
		ctask_json_add_text(w, o, "filename", frame->filename);
		if (frame->line)
			ctask_json_add_int(w, o, "line", frame->line);
		else
			ctask_json_add_null(w, o, "line");
		text = ctask_json_print(w, o);
		if (!text)
			break;
		texts[i].len = strlen(text);
		texts[i].text = ctask_arena_take(kept, texts[i].len + 1);
		if (texts[i].text)
			memcpy(texts[i].text, text, texts[i].len + 1);
		else
			w->failed = true;
	}
	return texts;
}

static void add_stack(struct ctask_json_writer *w, struct cJSON *task,
		      const struct ctask_snapshot *snap, const struct ctask_task *t,
		      const struct frame_text *frames)
{
	const uint32_t *stack = ctask_task_stack(snap, t);
	size_t bytes = 3;
	char *text, *at;

	for (uint32_t i = 0; i < t->stack_count; i++)
		bytes += frames[stack[i]].len + 1;
	text = at = ctask_arena_take(&w->record, bytes);
	if (!text) {
		w->failed = true;
		return;
	}
	*at++ = '[';
	for (uint32_t i = 0; i < t->stack_count; i++) {
		if (i)
			*at++ = ',';
		at = mempcpy(at, frames[stack[i]].text, frames[stack[i]].len);
	}
	memcpy(at, "]", 2);
	ctask_json_add_raw(w, task, "stack", text);
}

static void add_waiting_for(struct ctask_json_writer *w, struct cJSON *task,
			    const struct ctask_task *t)
{
	struct cJSON *o;

	if (t->wait_kind == CTASK_WAIT_NONE || t->wait_kind >= CTASK_WAIT_KINDS) {
		ctask_json_add_null(w, task, "waiting_for");
		return;
	}
	o = ctask_json_add_object(w, task, "waiting_for");
	ctask_json_add_word(w, o, "kind", ctask_wait_kind_words[t->wait_kind]);
	ctask_json_add_text(w, o, "text", t->wait_text);
	ctask_json_add_seconds(w, o, "left_s", t->wait_left_s);
}

static void put_tasks(struct ctask_json_writer *w, const struct ctask_snapshot *snap,
		      const struct ctask_groups *waiters, const struct frame_text *frames,
		      uint32_t *told)
{
	for (uint32_t i = 0; i < snap->task_count && !w->failed; i++) {
		const struct ctask_task *t = &snap->tasks[i];
		struct cJSON *o = ctask_json_object(w);
		struct cJSON *awaited_by;

		ctask_json_add_id(w, o, "id", t->id);
		ctask_json_add_text(w, o, "name", t->name);
		if (t->runtime < snap->runtime_count)
			ctask_json_add_int(w, o, "runtime", t->runtime);
		else
			ctask_json_add_null(w, o, "runtime");
		ctask_json_add_word(w, o, "state", ctask_task_state_words[t->state]);
		ctask_json_add_text(w, o, "coroutine", t->coroutine);
		add_stack(w, o, snap, t, frames);
		if (t->cancel_requests >= 0)
			ctask_json_add_int(w, o, "cancel_requests", t->cancel_requests);
		else
			ctask_json_add_null(w, o, "cancel_requests");
		ctask_json_add_bool(w, o, "cancel_pending", t->cancel_pending);
		add_waiting_for(w, o, t);
		awaited_by = ctask_json_add_array(w, o, "awaited_by");
		for (uint32_t j = waiters->first[i]; j < waiters->first[i + 1]; j++) {
			uint32_t waiter = snap->edges[waiters->items[j]].waiter;

			if (told[waiter] == i + 1)
				continue; /* a second edge between the same two */
			told[waiter] = i + 1;
			ctask_json_add_id(w, awaited_by, NULL, snap->tasks[waiter].id);
		}
		if (t->scope < snap->scope_count)
			ctask_json_add_id(w, o, "scope", snap->scopes[t->scope].id);
		else
			ctask_json_add_null(w, o, "scope");
		ctask_json_put_element(w, o, i);
	}
}

/*
 * An edge is two ids and a word of ours, nothing to escape; and there can be a
 * million of them, so they do without items.
 */
static void put_edges(struct ctask_json_writer *w, const struct ctask_snapshot *snap)
{
	char waiter[CTASK_JSON_ID_BYTES], awaited[CTASK_JSON_ID_BYTES];
	const char *between = "\n";

	for (uint32_t i = 0; i < snap->edge_count; i++) {
		const struct ctask_edge *edge = &snap->edges[i];

		if (!edge_is_valid(snap, edge))
			continue;
		fputs_unlocked(between, w->out);
		fputs_unlocked("{\"waiter\":", w->out);
		fputs_unlocked(ctask_json_id(snap->tasks[edge->waiter].id, waiter), w->out);
		fputs_unlocked(",\"awaited\":", w->out);
		fputs_unlocked(ctask_json_id(snap->tasks[edge->awaited].id, awaited), w->out);
		fputs_unlocked(",\"kind\":\"", w->out);
		fputs_unlocked(ctask_edge_kind_words[edge->kind], w->out);
		fputs_unlocked("\"}", w->out);
		between = ",\n";
	}
}

static void put_scopes(struct ctask_json_writer *w, const struct ctask_snapshot *snap,
		       const struct ctask_groups *members)
{
	for (uint32_t i = 0; i < snap->scope_count && !w->failed; i++) {
		const struct ctask_scope *s = &snap->scopes[i];
		struct cJSON *o = ctask_json_object(w);
		struct cJSON *tasks;

		ctask_json_add_id(w, o, "id", s->id);
		ctask_json_add_word(w, o, "kind", ctask_scope_kind_words[s->kind]);
		if (s->owner < snap->task_count)
			ctask_json_add_id(w, o, "owner", snap->tasks[s->owner].id);
		else
			ctask_json_add_null(w, o, "owner");
		if (s->parent < snap->scope_count)
			ctask_json_add_id(w, o, "parent", snap->scopes[s->parent].id);
		else
			ctask_json_add_null(w, o, "parent");
		tasks = ctask_json_add_array(w, o, "tasks");
		for (uint32_t j = members->first[i]; j < members->first[i + 1]; j++)
			ctask_json_add_id(w, tasks, NULL, snap->tasks[members->items[j]].id);
		ctask_json_add_seconds(w, o, "deadline_in_s", s->deadline_in_s);
		ctask_json_add_bool(w, o, "cancel_called", s->cancel_called);
		ctask_json_add_bool(w, o, "shield", s->shield);
		ctask_json_add_text(w, o, "reason", s->reason);
		ctask_json_put_element(w, o, i);
	}
}

static void put_task_array(struct ctask_json_writer *w, const struct ctask_snapshot *snap)
{
	auto_groups waiters = { 0 };
	__attribute__((cleanup(ctask_arena_free))) struct ctask_arena kept = { 0 };
	auto_free uint32_t *told = calloc((size_t)snap->task_count + 1, sizeof(*told));
	auto_free struct frame_text *frames = print_frames(w, snap, &kept);

	if (!told || !frames || ctask_groups_by_awaited(&waiters, snap))
		w->failed = true;
	if (!w->failed)
		put_tasks(w, snap, &waiters, frames, told);
}

static void put_scope_array(struct ctask_json_writer *w, const struct ctask_snapshot *snap)
{
	auto_groups members = { 0 };

	if (ctask_groups_by_scope(&members, snap))
		w->failed = true;
	if (!w->failed)
		put_scopes(w, snap, &members);
}

int ctask_json_write_snapshot(const struct ctask_snapshot *snap, FILE *out, struct ctask_error *err)
{
	struct ctask_json_writer w = { .out = out };

	fputs("{\"schema\":\"ctask.snapshot\",\"version\":1", out);
	put_key(&w, "captured_at");
	ctask_json_put_time(&w, snap->capture.captured_at_us);
	put_key(&w, "process");
	put_process(&w, &snap->process);
	fprintf(out, ",\n\"source\":\"%s\"", ctask_source_words[snap->source]);
	put_key(&w, "capture");
	put_capture(&w, snap);
	put_key(&w, "runtimes");
	fputc('[', out);
	for (uint32_t i = 0; i < snap->runtime_count; i++)
		put_runtime(&w, &snap->runtimes[i], i);
	fputc(']', out);
	put_key(&w, "tasks");
	fputc('[', out);
	put_task_array(&w, snap);
	fputc(']', out);
	put_key(&w, "edges");
	fputc('[', out);
	put_edges(&w, snap);
	fputc(']', out);
	put_key(&w, "scopes");
	fputc('[', out);
	put_scope_array(&w, snap);
	fputs("],\n\"cancellations\":[]}\n", out);
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

	fputs("{\"schema\":\"ctask.processes\",\"version\":1,\n\"processes\":[", out);
	for (uint32_t i = 0; i < list->count; i++) {
		const struct ctask_process_entry *e = &list->entries[i];
		struct cJSON *o = ctask_json_object(&w);

		ctask_json_add_int(&w, o, "pid", e->pid);
		if (e->uid >= 0)
			ctask_json_add_int(&w, o, "uid", e->uid);
		else
			ctask_json_add_null(&w, o, "uid");
		ctask_json_add_text(&w, o, "user", e->user);
		ctask_json_add_text(&w, o, "implementation", e->implementation);
		ctask_json_add_text(&w, o, "version", e->version);
		if (e->access == CTASK_ACCESS_YES) {
			ctask_json_add_bool(&w, o, "asyncio", e->has_asyncio);
			ctask_json_add_int(&w, o, "task_count", e->task_count);
		} else {
			ctask_json_add_null(&w, o, "asyncio");
			ctask_json_add_null(&w, o, "task_count");
		}
		ctask_json_add_word(&w, o, "access", ctask_access_words[e->access]);
		ctask_json_add_text(&w, o, "reason", e->reason);
		ctask_json_add_texts(&w, o, "cmdline", e->cmdline, e->cmdline_count);
		ctask_json_put_element(&w, o, i);
	}
	fputs("]}\n", out);
	return ctask_json_finish(&w, err);
}
