/* narrow.c - a snapshot cut down to what somebody asked for. */
#include "analysis/narrow.h"

#include <stdlib.h>
#include <string.h>

#include "model/cleanup.h"
#include "model/groups.h"

/* In @p map: CTASK_NONE = goes; anything else = stays, and becomes its new index. Returns how many stay. */
static uint32_t number(uint32_t *map, uint32_t count)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < count; i++) {
		if (map[i] != CTASK_NONE)
			map[i] = kept++;
	}
	return kept;
}

static uint32_t *create_map(uint32_t count, uint32_t value)
{
	uint32_t *map = malloc(((size_t)count + 1) * sizeof(*map));

	for (uint32_t i = 0; map && i < count; i++)
		map[i] = value;
	return map;
}

static uint32_t mapped(const uint32_t *map, uint32_t index, uint32_t count)
{
	return index < count ? map[index] : CTASK_NONE;
}

/* A scope stays when its owner or one of its tasks does, or a scope inside it. */
static void choose_scopes(const struct ctask_snapshot *snap, const uint32_t *tasks,
			  uint32_t *scopes)
{
	for (uint32_t i = 0; i < snap->task_count; i++) {
		if (tasks[i] != CTASK_NONE && snap->tasks[i].scope < snap->scope_count)
			scopes[snap->tasks[i].scope] = 0;
	}
	for (uint32_t i = 0; i < snap->scope_count; i++) {
		if (mapped(tasks, snap->scopes[i].owner, snap->task_count) != CTASK_NONE)
			scopes[i] = 0;
	}
	for (uint32_t i = 0; i < snap->scope_count; i++) {
		uint32_t outer = snap->scopes[i].parent;

		if (scopes[i] == CTASK_NONE)
			continue;
		/* Ends at the first that stays already: also in a cycle. */
		for (; outer < snap->scope_count && scopes[outer] == CTASK_NONE;
		     outer = snap->scopes[outer].parent)
			scopes[outer] = 0;
	}
}

/* Move what stays together and give all indices their new values. */
static void compact(struct ctask_snapshot *snap, uint32_t *tasks, uint32_t *runtimes,
		    uint32_t *scopes)
{
	uint32_t task_count = snap->task_count, runtime_count = snap->runtime_count;
	uint32_t scope_count = snap->scope_count, edge_count = 0;

	snap->task_count = number(tasks, task_count);
	snap->runtime_count = number(runtimes, runtime_count);
	snap->scope_count = number(scopes, scope_count);
	for (uint32_t i = 0; i < runtime_count; i++) {
		if (runtimes[i] != CTASK_NONE)
			snap->runtimes[runtimes[i]] = snap->runtimes[i];
	}
	for (uint32_t i = 0; i < task_count; i++) {
		struct ctask_task t = snap->tasks[i];

		t.runtime = mapped(runtimes, t.runtime, runtime_count);
		t.scope = mapped(scopes, t.scope, scope_count);
		if (tasks[i] != CTASK_NONE)
			snap->tasks[tasks[i]] = t;
	}
	for (uint32_t i = 0; i < scope_count; i++) {
		struct ctask_scope s = snap->scopes[i];

		s.owner = mapped(tasks, s.owner, task_count);
		s.parent = mapped(scopes, s.parent, scope_count);
		if (scopes[i] != CTASK_NONE)
			snap->scopes[scopes[i]] = s;
	}
	for (uint32_t i = 0; i < snap->edge_count; i++) {
		struct ctask_edge e = snap->edges[i];

		e.waiter = mapped(tasks, e.waiter, task_count);
		e.awaited = mapped(tasks, e.awaited, task_count);
		if (e.waiter != CTASK_NONE && e.awaited != CTASK_NONE)
			snap->edges[edge_count++] = e;
	}
	snap->edge_count = edge_count;
}

static int keep(struct ctask_snapshot *snap, uint32_t *tasks, uint32_t *runtimes,
		struct ctask_error *err)
{
	auto_free uint32_t *scopes = create_map(snap->scope_count, CTASK_NONE);

	if (!scopes)
		return ctask_fail(err, ENOMEM, "out of memory");
	choose_scopes(snap, tasks, scopes);
	compact(snap, tasks, runtimes, scopes);
	return 0;
}

/* Add to @p kept all that the edges lead to from @p found: down to the awaited, or up to the waiters. */
static int follow(const struct ctask_snapshot *snap, const uint32_t *found, uint32_t found_count,
		  bool down, uint32_t *kept)
{
	auto_groups edges = { 0 };
	auto_free bool *seen = calloc((size_t)snap->task_count + 1, sizeof(*seen));
	auto_free uint32_t *todo = malloc(((size_t)snap->task_count + 1) * sizeof(*todo));
	uint32_t todo_count = 0;

	if (!seen || !todo ||
	    (down ? ctask_groups_by_waiter : ctask_groups_by_awaited)(&edges, snap))
		return -ENOMEM;
	for (uint32_t i = 0; i < found_count; i++) {
		seen[found[i]] = true;
		todo[todo_count++] = found[i];
	}
	while (todo_count > 0) {
		uint32_t task = todo[--todo_count];

		kept[task] = 0;
		for (uint32_t i = edges.first[task]; i < edges.first[task + 1]; i++) {
			const struct ctask_edge *e = &snap->edges[edges.items[i]];
			uint32_t next = down ? e->awaited : e->waiter;

			if (seen[next])
				continue;
			seen[next] = true;
			todo[todo_count++] = next;
		}
	}
	return 0;
}

static bool parse_id(const char *text, uint64_t *ret_id)
{
	char *end;

	if (text[0] != '0' || (text[1] != 'x' && text[1] != 'X') || !text[2])
		return false;
	if (strspn(text + 2, "0123456789abcdefABCDEF") != strlen(text + 2))
		return false;
	errno = 0;
	*ret_id = strtoull(text, &end, 16);
	return errno == 0;
}

int ctask_narrow_to_task(struct ctask_snapshot *snap, const char *which, struct ctask_error *err)
{
	auto_free uint32_t *found = malloc(((size_t)snap->task_count + 1) * sizeof(*found));
	auto_free uint32_t *tasks = create_map(snap->task_count, CTASK_NONE);
	auto_free uint32_t *runtimes = create_map(snap->runtime_count, CTASK_NONE);
	uint32_t found_count = 0;
	uint64_t id = 0;
	bool is_id = parse_id(which, &id);

	if (!found || !tasks || !runtimes)
		return ctask_fail(err, ENOMEM, "out of memory");
	for (uint32_t i = 0; i < snap->task_count; i++) {
		const struct ctask_task *t = &snap->tasks[i];

		if ((is_id && t->id == id) || (t->name && strcmp(t->name, which) == 0))
			found[found_count++] = i;
	}
	if (found_count == 0)
		return ctask_fail(err, ENOENT, "there is no task with the %s '%s'",
				  is_id ? "id" : "name", which);
	if (follow(snap, found, found_count, true, tasks) ||
	    follow(snap, found, found_count, false, tasks))
		return ctask_fail(err, ENOMEM, "out of memory");
	for (uint32_t i = 0; i < snap->task_count; i++) {
		if (tasks[i] != CTASK_NONE && snap->tasks[i].runtime < snap->runtime_count)
			runtimes[snap->tasks[i].runtime] = 0;
	}
	return keep(snap, tasks, runtimes, err);
}

int ctask_narrow_to_program(struct ctask_snapshot *snap, struct ctask_error *err)
{
	auto_free uint32_t *tasks = create_map(snap->task_count, 0);
	auto_free uint32_t *runtimes = create_map(snap->runtime_count, 0);
	uint32_t hidden = 0;

	if (!tasks || !runtimes)
		return ctask_fail(err, ENOMEM, "out of memory");
	for (uint32_t i = 0; i < snap->task_count; i++) {
		if (!snap->tasks[i].system)
			continue;
		tasks[i] = CTASK_NONE;
		hidden++;
		if (snap->tasks[i].runtime < snap->runtime_count)
			snap->runtimes[snap->tasks[i].runtime].hidden_count++;
	}
	return hidden ? keep(snap, tasks, runtimes, err) : 0;
}

int ctask_narrow_to_thread(struct ctask_snapshot *snap, int32_t thread_id, struct ctask_error *err)
{
	auto_free uint32_t *tasks = create_map(snap->task_count, CTASK_NONE);
	auto_free uint32_t *runtimes = create_map(snap->runtime_count, CTASK_NONE);
	bool found = false;

	if (!tasks || !runtimes)
		return ctask_fail(err, ENOMEM, "out of memory");
	for (uint32_t i = 0; i < snap->runtime_count; i++) {
		if (snap->runtimes[i].thread_id != thread_id)
			continue;
		runtimes[i] = 0;
		found = true;
	}
	if (!found)
		return ctask_fail(err, ENOENT, "thread %d runs no event loop", thread_id);
	for (uint32_t i = 0; i < snap->task_count; i++) {
		if (mapped(runtimes, snap->tasks[i].runtime, snap->runtime_count) != CTASK_NONE)
			tasks[i] = 0;
	}
	return keep(snap, tasks, runtimes, err);
}
