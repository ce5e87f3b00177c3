/* json.c - the plain data of the model as JSON text. */
#include "model/json.h"

#include <stdlib.h>
#include <string.h>

#include "model/cleanup.h"
#include "model/json_writer.h"

/* "key": of the outermost object, whose members are written one by one. */
static void put_key(struct ctask_json_writer *w, const char *key)
{
	fprintf(w->out, ",\n\"%s\":", key);
}

/* Lists of indices, one for each of some things, kept one after another. */
struct lists {
	uint32_t *first; /* of thing i: items first[i] … first[i + 1] - 1 */
	uint32_t *items;
};

static void lists_free(struct lists *lists)
{
	free(lists->first);
	free(lists->items);
}

static int lists_alloc(struct lists *lists, uint32_t things, uint32_t items)
{
	lists->first = calloc((size_t)things + 2, sizeof(*lists->first));
	lists->items = malloc(((size_t)items + 1) * sizeof(*lists->items));
	return lists->first && lists->items ? 0 : -ENOMEM;
}

/* Turn counts in first[i + 2] into starts in first[i + 1], which filling moves to first[i]. */
static void lists_start(struct lists *lists, uint32_t things)
{
	for (uint32_t i = 0; i < things; i++)
		lists->first[i + 2] += lists->first[i + 1];
}

static bool edge_is_valid(const struct ctask_snapshot *snap, const struct ctask_edge *edge)
{
	return edge->waiter < snap->task_count && edge->awaited < snap->task_count;
}

/* Who waits for each task. */
static int list_waiters(const struct ctask_snapshot *snap, struct lists *lists)
{
	if (lists_alloc(lists, snap->task_count, snap->edge_count))
		return -ENOMEM;
	for (uint32_t i = 0; i < snap->edge_count; i++) {
		if (edge_is_valid(snap, &snap->edges[i]))
			lists->first[snap->edges[i].awaited + 2]++;
	}
	lists_start(lists, snap->task_count);
	for (uint32_t i = 0; i < snap->edge_count; i++) {
		const struct ctask_edge *edge = &snap->edges[i];

		if (edge_is_valid(snap, edge))
			lists->items[lists->first[edge->awaited + 1]++] = edge->waiter;
	}
	return 0;
}

/* The tasks of each scope. */
static int list_scope_tasks(const struct ctask_snapshot *snap, struct lists *lists)
{
	if (lists_alloc(lists, snap->scope_count, snap->task_count))
		return -ENOMEM;
	for (uint32_t i = 0; i < snap->task_count; i++) {
		if (snap->tasks[i].scope < snap->scope_count)
			lists->first[snap->tasks[i].scope + 2]++;
	}
	lists_start(lists, snap->scope_count);
	for (uint32_t i = 0; i < snap->task_count; i++) {
		if (snap->tasks[i].scope < snap->scope_count)
			lists->items[lists->first[snap->tasks[i].scope + 1]++] = i;
	}
	return 0;
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

/* Each distinct place as JSON text, made once: most stacks share their places. */
static char **print_frames(struct ctask_json_writer *w, const struct ctask_snapshot *snap,
			   struct ctask_arena *kept)
{
	char **texts = malloc(((size_t)snap->frame_count + 1) * sizeof(*texts));

	for (uint32_t i = 0; texts && i < snap->frame_count; i++) {
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
		texts[i] = text ? ctask_arena_take(kept, strlen(text) + 1) : NULL;
		if (!texts[i]) {
			w->failed = true;
			break;
		}
		strcpy(texts[i], text);
	}
	if (!texts)
		w->failed = true;
	return texts;
}

static void add_stack(struct ctask_json_writer *w, struct cJSON *task,
		      const struct ctask_snapshot *snap, const struct ctask_task *t, char **frames)
{
	struct cJSON *stack = ctask_json_add_array(w, task, "stack");
	const uint32_t *frame = ctask_task_stack(snap, t);

	for (uint32_t i = 0; i < t->stack_count; i++)
		ctask_json_add_raw(w, stack, NULL, frames[frame[i]]);
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
		      const struct lists *waiters, char **frames, uint32_t *told)
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
			uint32_t waiter = waiters->items[j];

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

static void put_edges(struct ctask_json_writer *w, const struct ctask_snapshot *snap)
{
	uint32_t put_count = 0;

	for (uint32_t i = 0; i < snap->edge_count && !w->failed; i++) {
		const struct ctask_edge *edge = &snap->edges[i];
		struct cJSON *o;

		if (!edge_is_valid(snap, edge))
			continue;
		o = ctask_json_object(w);
		ctask_json_add_id(w, o, "waiter", snap->tasks[edge->waiter].id);
		ctask_json_add_id(w, o, "awaited", snap->tasks[edge->awaited].id);
		ctask_json_add_word(w, o, "kind", ctask_edge_kind_words[edge->kind]);
		ctask_json_put_element(w, o, put_count++);
	}
}

static void put_scopes(struct ctask_json_writer *w, const struct ctask_snapshot *snap,
		       const struct lists *members)
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
	__attribute__((cleanup(lists_free))) struct lists waiters = { 0 };
	__attribute__((cleanup(ctask_arena_free))) struct ctask_arena kept = { 0 };
	auto_free uint32_t *told = calloc((size_t)snap->task_count + 1, sizeof(*told));
	auto_free char **frames = print_frames(w, snap, &kept);

	if (!told || !frames || list_waiters(snap, &waiters))
		w->failed = true;
	if (!w->failed)
		put_tasks(w, snap, &waiters, frames, told);
}

static void put_scope_array(struct ctask_json_writer *w, const struct ctask_snapshot *snap)
{
	__attribute__((cleanup(lists_free))) struct lists members = { 0 };

	if (list_scope_tasks(snap, &members))
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
