/* graph.h - the await graph: made walkable, with roots, and ready for a forest. */
#ifndef CTASK_ANALYSIS_GRAPH_H
#define CTASK_ANALYSIS_GRAPH_H

#include "model/snapshot.h"

/**
 * Several edges between the same two tasks are one here. Node task_count is
 * the top: it "waits for" the roots, so that the forest is a tree.
 */
struct ctask_graph {
	uint32_t node_count; /**< tasks and the top */
	uint32_t *first;     /**< children of node i: first[i] … end[i] - 1 */
	uint32_t *end;
	uint32_t *child;	/**< tasks, in the order of ctask_tasks_in_order() */
	uint8_t *child_kinds;	/**< bit 1 << enum ctask_edge_kind */
	uint32_t child_room;	/**< indices into child are below this */
	uint32_t *waiter_count; /**< how many tasks wait for each */
	/**
	 * A task that lines further down may refer to: several wait for it, or
	 * it is the root of a cycle. Any other has one place in the tree, and
	 * no cycle is made of such tasks alone.
	 */
	bool *shared;
	uint32_t *visit; /**< nodes such that one that is not shared comes after its waiter */
};

/** 0 or -ENOMEM. Linear in tasks and edges, but for sorting. */
int ctask_graph_init(struct ctask_graph *graph, const struct ctask_snapshot *snap);
void ctask_graph_fini(struct ctask_graph *graph);

#endif
