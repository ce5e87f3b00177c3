/* groups.h - things sorted into groups: "the edges of each waiter". */
#ifndef CTASK_MODEL_GROUPS_H
#define CTASK_MODEL_GROUPS_H

#include <stdint.h>

#include "model/snapshot.h"

/** Group g has items[first[g]] … items[first[g + 1] - 1], in ascending order. Zeroed = empty. */
struct ctask_groups {
	uint32_t *first;
	uint32_t *items;
};

/** The group that @p item belongs to, or CTASK_NONE. */
typedef uint32_t (*ctask_group_of)(const struct ctask_snapshot *snap, uint32_t item);

/** Sort items 0 … @p item_count - 1 into @p group_count groups, in linear time. 0 or -ENOMEM. */
int ctask_groups_init(struct ctask_groups *groups, const struct ctask_snapshot *snap,
		      uint32_t group_count, uint32_t item_count, ctask_group_of group_of);
void ctask_groups_fini(struct ctask_groups *groups);

/** The edges of each waiter: one group for each task. */
int ctask_groups_by_waiter(struct ctask_groups *groups, const struct ctask_snapshot *snap);
/** The edges of each awaited task: one group for each task. */
int ctask_groups_by_awaited(struct ctask_groups *groups, const struct ctask_snapshot *snap);
/** The tasks of each scope: one group for each scope. */
int ctask_groups_by_scope(struct ctask_groups *groups, const struct ctask_snapshot *snap);

/** `auto_groups g = { 0 };`: given back when it goes out of scope. */
#define auto_groups __attribute__((cleanup(ctask_groups_fini))) struct ctask_groups

#endif
