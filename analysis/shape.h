/* shape.h - which subtrees of the await graph look the same. */
#ifndef CTASK_ANALYSIS_SHAPE_H
#define CTASK_ANALYSIS_SHAPE_H

#include "analysis/graph.h"

/**
 * A number for each entry of graph->child: two children of one node with the
 * same number are drawn as one line. @p unread: for each task, whether something
 * about it could not be read. The caller frees the result. NULL when out of
 * memory.
 */
uint32_t *ctask_shapes(const struct ctask_graph *graph, const struct ctask_snapshot *snap,
		       const bool *unread);

#endif
