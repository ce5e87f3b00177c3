/* tree.c - who waits for whom, as a forest to be drawn line by line. */
#include "analysis/tree.h"

#include <errno.h>
#include <stdlib.h>

#include "analysis/graph.h"
#include "analysis/shape.h"
#include "model/cleanup.h"

/* A line that waits for its turn, while those above it unfold. */
struct pending {
	uint32_t task, members_first, member_count, count, depth;
	uint8_t kinds;
	bool last;
};

struct layout {
	struct ctask_graph graph;
	struct ctask_tree *tree;
	uint32_t node_room, members_used;
	const bool *unread;
	uint32_t *entry; /* of each child, as ctask_shapes(): equal ones of one node fold */
	struct pending *pending;
	uint32_t pending_count, pending_room;
	uint32_t *drawn_depth; /* of each task: the depth of its line, or CTASK_NONE */
	uint32_t *path;	       /* the tasks above the line, by depth */
	/* Scratch for the children of one line: which group has the children of an entry. */
	uint32_t *group_of; /* index into pending */
	uint32_t *group_stamp;
};

static void layout_fini(struct layout *l)
{
	ctask_graph_fini(&l->graph);
	ctask_tree_destroy(l->tree);
	free(l->entry);
	free(l->pending);
	free(l->drawn_depth);
	free(l->path);
	free(l->group_of);
	free(l->group_stamp);
}

static int compare_ids(const void *left, const void *right)
{
	const uint64_t *a = left, *b = right;

	return (*a > *b) - (*a < *b);
}

/* For each task, whether a problem is about it. */
static bool *find_unread(const struct ctask_snapshot *snap)
{
	bool *unread = calloc((size_t)snap->task_count + 1, sizeof(*unread));
	auto_free uint64_t *ids = malloc(((size_t)snap->problem_count + 1) * sizeof(*ids));

	if (!unread || !ids) {
		free(unread);
		return NULL;
	}
	for (uint32_t i = 0; i < snap->problem_count; i++)
		ids[i] = snap->problems[i].task;
	qsort(ids, snap->problem_count, sizeof(*ids), compare_ids);
	for (uint32_t i = 0; snap->problem_count && i < snap->task_count; i++)
		unread[i] = bsearch(&snap->tasks[i].id, ids, snap->problem_count, sizeof(*ids),
				    compare_ids) != NULL;
	return unread;
}

/* Without folding, no two children share an entry. */
static uint32_t *distinct_entries(const struct ctask_graph *graph)
{
	uint32_t *entry = malloc(((size_t)graph->child_room + 1) * sizeof(*entry));

	for (uint32_t i = 0; entry && i < graph->child_room; i++)
		entry[i] = i;
	return entry;
}

static int layout_init(struct layout *l, const struct ctask_snapshot *snap, bool fold)
{
	size_t tasks = (size_t)snap->task_count + 1;
	size_t children;

	if (ctask_graph_init(&l->graph, snap))
		return -ENOMEM;
	children = (size_t)l->graph.child_room + 1;
	l->entry = fold ? ctask_shapes(&l->graph, snap, l->unread) : distinct_entries(&l->graph);
	l->tree = calloc(1, sizeof(*l->tree));
	l->drawn_depth = malloc(tasks * sizeof(*l->drawn_depth));
	l->path = malloc(tasks * sizeof(*l->path));
	l->group_of = malloc(children * sizeof(*l->group_of));
	l->group_stamp = calloc(children, sizeof(*l->group_stamp));
	if (!l->entry || !l->tree || !l->drawn_depth || !l->path || !l->group_of || !l->group_stamp)
		return -ENOMEM;
	for (uint32_t i = 0; i < snap->task_count; i++)
		l->drawn_depth[i] = CTASK_NONE;
	/* A shared task is a member once for each line that refers to it; any other just once. */
	l->tree->members = malloc(children * sizeof(*l->tree->members));
	return l->tree->members ? 0 : -ENOMEM;
}

static struct pending *push(struct layout *l)
{
	if (l->pending_count == l->pending_room) {
		uint32_t room = l->pending_room * 2 + 64;
		void *grown = realloc(l->pending, room * sizeof(*l->pending));

		if (!grown)
			return NULL;
		l->pending = grown;
		l->pending_room = room;
	}
	return &l->pending[l->pending_count++];
}

/*
 * Sort the children of all @p member_count members into groups, one for each
 * line to come, and leave these in pending. All members have the same entries.
 */
static int push_groups(struct layout *l, const uint32_t *members, uint32_t member_count,
		       uint32_t depth, uint32_t stamp)
{
	const struct ctask_graph *g = &l->graph;
	uint32_t base = l->pending_count;

	for (uint32_t m = 0; m < member_count; m++) {
		for (uint32_t i = g->first[members[m]]; i < g->end[members[m]]; i++) {
			uint32_t entry = l->entry[i];
			struct pending *p;

			if (l->group_stamp[entry] != stamp) {
				l->group_stamp[entry] = stamp;
				l->group_of[entry] = l->pending_count;
				p = push(l);
				if (!p)
					return -ENOMEM;
				*p = (struct pending){ .task = g->child[i],
						       .depth = depth,
						       .kinds = g->child_kinds[i] };
			}
			p = &l->pending[l->group_of[entry]];
			if (!g->shared[p->task] || p->member_count == 0)
				p->member_count++;
		}
	}
	for (uint32_t i = base; i < l->pending_count; i++) {
		struct pending *p = &l->pending[i];

		p->members_first = l->members_used;
		l->members_used += p->member_count;
		p->count = g->shared[p->task] ? 1 : p->member_count / member_count;
		p->member_count = 0;
	}
	for (uint32_t m = 0; m < member_count; m++) {
		for (uint32_t i = g->first[members[m]]; i < g->end[members[m]]; i++) {
			struct pending *p = &l->pending[l->group_of[l->entry[i]]];

			if (!g->shared[p->task] || p->member_count == 0)
				l->tree->members[p->members_first + p->member_count++] =
					g->child[i];
		}
	}
	return 0;
}

/* Lines are taken from the end of pending, so the first of the groups must come last. */
static uint32_t turn_groups(struct layout *l, uint32_t base)
{
	uint32_t count = l->pending_count - base;

	if (count == 0)
		return 0;
	l->pending[l->pending_count - 1].last = true;
	for (uint32_t i = base, j = l->pending_count - 1; i < j; i++, j--) {
		struct pending p = l->pending[i];

		l->pending[i] = l->pending[j];
		l->pending[j] = p;
	}
	return count;
}

/* The next line: it becomes a node. */
static struct ctask_node *take_node(struct layout *l)
{
	const struct pending *p = &l->pending[l->pending_count - 1];
	struct ctask_tree *tree = l->tree;
	uint32_t above = l->drawn_depth[p->task];
	struct ctask_node *node;

	if (!tree->nodes || tree->node_count == l->node_room) {
		uint32_t room = l->node_room + l->node_room / 2 + 64;
		void *grown = realloc(tree->nodes, room * sizeof(*tree->nodes));

		if (!grown)
			return NULL;
		tree->nodes = grown;
		l->node_room = room;
	}
	node = &tree->nodes[tree->node_count++];
	*node = (struct ctask_node){
		.task = p->task,
		.depth = p->depth,
		.members_first = p->members_first,
		.member_count = p->member_count,
		.count = p->count,
		.waiter_count = l->graph.waiter_count[p->task],
		.kinds = p->kinds,
		.last = p->last,
		.unread = l->unread[p->task],
	};
	l->pending_count--;
	if (above == CTASK_NONE) {
		node->mark = CTASK_NODE_DRAWN;
		l->drawn_depth[node->task] = node->depth;
	} else {
		node->mark = above < node->depth && l->path[above] == node->task ? CTASK_NODE_CYCLE
										 : CTASK_NODE_ABOVE;
	}
	return node;
}

static int lay_out(struct layout *l, uint32_t top)
{
	if (push_groups(l, &top, 1, 0, 1))
		return -ENOMEM;
	turn_groups(l, 0);
	while (l->pending_count > 0) {
		struct ctask_node *node = take_node(l);
		uint32_t base = l->pending_count;

		if (!node)
			return -ENOMEM;
		if (node->mark != CTASK_NODE_DRAWN)
			continue;
		l->path[node->depth] = node->task;
		if (push_groups(l, l->tree->members + node->members_first, node->member_count,
				node->depth + 1, l->tree->node_count + 1))
			return -ENOMEM;
		node->child_count = turn_groups(l, base);
	}
	return 0;
}

int ctask_tree_create(const struct ctask_snapshot *snap, bool fold, struct ctask_tree **ret_tree,
		      struct ctask_error *err)
{
	auto_free bool *unread = find_unread(snap);
	__attribute__((cleanup(layout_fini))) struct layout l = { .unread = unread };

	if (!unread || layout_init(&l, snap, fold) || lay_out(&l, snap->task_count))
		return ctask_fail(err, ENOMEM, "out of memory");
	*ret_tree = steal_ptr(&l.tree);
	return 0;
}

void ctask_tree_destroy(struct ctask_tree *tree)
{
	if (!tree)
		return;
	free(tree->nodes);
	free(tree->members);
	free(tree);
}
