/* tree.h - who waits for whom, as a forest to be drawn line by line. */
#ifndef CTASK_ANALYSIS_TREE_H
#define CTASK_ANALYSIS_TREE_H

#include "model/error.h"
#include "model/snapshot.h"

enum ctask_node_mark {
	CTASK_NODE_DRAWN,
	CTASK_NODE_ABOVE, /**< several wait for this task, and it is drawn further up */
	CTASK_NODE_CYCLE, /**< it is an ancestor of this very line: an await cycle */
};

/** One line. */
struct ctask_node {
	uint32_t task;	/**< the one that is drawn: the first of the members */
	uint32_t depth; /**< 0 at a root */
	uint32_t members_first;
	uint32_t
		member_count; /**< tasks that the line stands for, in all folded copies of its parent */
	uint32_t count;	      /**< of these, how many under each copy of its parent: "312*" */
	uint32_t child_count;  /**< lines right below this one */
	uint32_t waiter_count; /**< tasks that wait for the task */
	uint8_t kinds; /**< how it is waited for: bit 1 << enum ctask_edge_kind; 0 at a root */
	uint8_t mark;  /**< enum ctask_node_mark */
	bool last;     /**< among its siblings */
	bool unread;   /**< something about the task could not be read */
};

/** The lines from top to bottom: a node's children follow it. */
struct ctask_tree {
	struct ctask_node *nodes;
	uint32_t node_count;
	uint32_t *members;
};

/**
 * Roots are the tasks that nobody waits for; where a cycle of tasks has none,
 * one of it. A node's children are the tasks that it waits for. Siblings stand
 * in the natural order of their names (Task-2 before Task-10), roots by
 * runtime first.
 *
 * With @p fold, siblings become one line when all of this is the same: how they
 * are waited for, coroutine, stack with lines, state, requests to stop, what
 * they wait for apart from numbers in it, for locks, queues and the like the
 * very object that they wait for, and all that is below them.
 *
 * Time and memory are linear in tasks and edges, but for sorting. No recursion.
 * Fails with -ENOMEM only.
 */
int ctask_tree_create(const struct ctask_snapshot *snap, bool fold, struct ctask_tree **ret_tree,
		      struct ctask_error *err);
/** NULL is fine. */
void ctask_tree_destroy(struct ctask_tree *tree);

#endif
