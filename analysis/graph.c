/* graph.c - the await graph: made walkable, with roots, and ready for a forest. */
#include "analysis/graph.h"

#include <errno.h>
#include <stdlib.h>

#include "analysis/order.h"
#include "model/cleanup.h"
#include "model/groups.h"

/* A walk in depth-first order. */
struct walk {
	const struct ctask_graph *graph;
	bool *seen;
	uint32_t *next; /* of each node on the path: the child to try next */
	uint32_t *path;
	uint32_t *found; /* nodes in the order of their first visit */
	uint32_t found_count;
	uint32_t *left; /* nodes in the order of their last */
	uint32_t left_count;
};

static void walk_fini(struct walk *walk)
{
	free(walk->seen);
	free(walk->next);
	free(walk->path);
	free(walk->found);
	free(walk->left);
}

static int walk_init(struct walk *walk, const struct ctask_graph *graph)
{
	size_t count = graph->node_count;

	walk->graph = graph;
	walk->seen = calloc(count, sizeof(*walk->seen));
	walk->next = malloc(count * sizeof(*walk->next));
	walk->path = malloc(count * sizeof(*walk->path));
	walk->found = malloc(count * sizeof(*walk->found));
	walk->left = malloc(count * sizeof(*walk->left));
	return walk->seen && walk->next && walk->path && walk->found && walk->left ? 0 : -ENOMEM;
}

static void walk_enter(struct walk *walk, uint32_t node, uint32_t *depth)
{
	walk->seen[node] = true;
	walk->next[node] = walk->graph->first[node];
	walk->found[walk->found_count++] = node;
	walk->path[(*depth)++] = node;
}

static void walk_from(struct walk *walk, uint32_t node)
{
	uint32_t depth = 0;

	if (walk->seen[node])
		return;
	walk_enter(walk, node, &depth);
	while (depth > 0) {
		uint32_t at = walk->path[depth - 1];

		if (walk->next[at] == walk->graph->end[at]) {
			walk->left[walk->left_count++] = at;
			depth--;
			continue;
		}
		node = walk->graph->child[walk->next[at]++];
		if (!walk->seen[node])
			walk_enter(walk, node, &depth);
	}
}

/* Children in order: tasks are taken in order, and each appended to those who wait for it. */
static int add_children(struct ctask_graph *graph, const struct ctask_snapshot *snap,
			const uint32_t *order)
{
	auto_groups awaited = { 0 };
	auto_free uint32_t *latest = calloc(graph->node_count, sizeof(*latest));

	if (!latest || ctask_groups_by_awaited(&awaited, snap))
		return -ENOMEM;
	for (uint32_t i = 0; i < snap->task_count; i++) {
		uint32_t task = order[i];

		for (uint32_t j = awaited.first[task]; j < awaited.first[task + 1]; j++) {
			const struct ctask_edge *edge = &snap->edges[awaited.items[j]];
			uint32_t waiter = edge->waiter;

			if (latest[waiter] != task + 1) {
				latest[waiter] = task + 1;
				graph->child[graph->end[waiter]++] = task;
				graph->waiter_count[task]++;
			}
			graph->child_kinds[graph->end[waiter] - 1] |= (uint8_t)(1u << edge->kind);
		}
	}
	return 0;
}

static int allocate(struct ctask_graph *graph, const struct ctask_snapshot *snap)
{
	auto_groups waiters = { 0 };
	uint32_t top = snap->task_count;
	uint32_t edges;

	if (ctask_groups_by_waiter(&waiters, snap))
		return -ENOMEM;
	edges = waiters.first[top];
	graph->node_count = top + 1;
	graph->child_room = edges + top;
	graph->first = malloc(((size_t)top + 1) * sizeof(*graph->first));
	graph->end = malloc(((size_t)top + 1) * sizeof(*graph->end));
	graph->child = malloc(((size_t)graph->child_room + 1) * sizeof(*graph->child));
	graph->child_kinds = calloc((size_t)graph->child_room + 1, sizeof(*graph->child_kinds));
	graph->waiter_count = calloc((size_t)top + 1, sizeof(*graph->waiter_count));
	graph->shared = calloc((size_t)top + 1, sizeof(*graph->shared));
	if (!graph->first || !graph->end || !graph->child || !graph->child_kinds ||
	    !graph->waiter_count || !graph->shared)
		return -ENOMEM;
	for (uint32_t i = 0; i <= top; i++)
		graph->first[i] = graph->end[i] = waiters.first[i];
	return 0;
}

/*
 * Tasks that no root leads to hang below cycles. The one that a depth-first
 * walk over them leaves last lies in a cycle that nothing outside waits for:
 * that makes it a root; then the last of what is left, and so on.
 */
static int find_cycle_roots(struct ctask_graph *graph, const uint32_t *order, struct walk *walk,
			    bool *is_root)
{
	__attribute__((cleanup(walk_fini))) struct walk trial = { 0 };
	uint32_t top = graph->node_count - 1;

	if (walk->found_count == top)
		return 0;
	if (walk_init(&trial, graph))
		return -ENOMEM;
	for (uint32_t i = 0; i < top; i++) {
		if (!walk->seen[order[i]])
			walk_from(&trial, order[i]);
	}
	for (uint32_t i = trial.left_count; i-- > 0;) {
		uint32_t task = trial.left[i];

		if (walk->seen[task])
			continue;
		is_root[task] = true;
		graph->shared[task] = true;
		walk_from(walk, task);
	}
	return 0;
}

static int find_roots(struct ctask_graph *graph, const uint32_t *order)
{
	__attribute__((cleanup(walk_fini))) struct walk walk = { 0 };
	auto_free bool *is_root = calloc(graph->node_count, sizeof(*is_root));
	uint32_t top = graph->node_count - 1;

	if (!is_root || walk_init(&walk, graph))
		return -ENOMEM;
	for (uint32_t i = 0; i < top; i++) {
		graph->shared[i] = graph->waiter_count[i] > 1;
		is_root[i] = graph->waiter_count[i] == 0;
	}
	for (uint32_t i = 0; i < top; i++) {
		if (is_root[order[i]])
			walk_from(&walk, order[i]);
	}
	if (find_cycle_roots(graph, order, &walk, is_root))
		return -ENOMEM;
	for (uint32_t i = 0; i < top; i++) {
		if (is_root[order[i]])
			graph->child[graph->end[top]++] = order[i];
	}
	graph->visit = steal_ptr(&walk.found);
	return 0;
}

int ctask_graph_init(struct ctask_graph *graph, const struct ctask_snapshot *snap)
{
	auto_free uint32_t *order = ctask_tasks_in_order(snap);

	*graph = (struct ctask_graph){ 0 };
	if (!order || allocate(graph, snap) || add_children(graph, snap, order) ||
	    find_roots(graph, order)) {
		ctask_graph_fini(graph);
		return -ENOMEM;
	}
	return 0;
}

void ctask_graph_fini(struct ctask_graph *graph)
{
	free(graph->first);
	free(graph->end);
	free(graph->child);
	free(graph->child_kinds);
	free(graph->waiter_count);
	free(graph->shared);
	free(graph->visit);
	*graph = (struct ctask_graph){ 0 };
}
