/* order.h - tasks in the order in which people look for them. */
#ifndef CTASK_ANALYSIS_ORDER_H
#define CTASK_ANALYSIS_ORDER_H

#include "model/snapshot.h"

/**
 * Indices of all tasks: by runtime, then in the natural order of their names
 * (Task-2 before Task-10), then by id. The caller frees it. NULL when out of
 * memory.
 */
uint32_t *ctask_tasks_in_order(const struct ctask_snapshot *snap);

#endif
