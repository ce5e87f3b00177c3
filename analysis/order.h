/* order.h - tasks in the order in which people look for them. */
#ifndef CTASK_ANALYSIS_ORDER_H
#define CTASK_ANALYSIS_ORDER_H

#include "model/snapshot.h"

/**
 * Indices of all runtimes: by interpreter, then by thread, those without one
 * last. The caller frees it. NULL when out of memory.
 */
uint32_t *ctask_runtimes_in_order(const struct ctask_snapshot *snap);

/**
 * Indices of all tasks: by runtime in the order above, then in the natural order of their names
 * (Task-2 before Task-10), then by id. The caller frees it. NULL when out of
 * memory.
 */
uint32_t *ctask_tasks_in_order(const struct ctask_snapshot *snap);

#endif
