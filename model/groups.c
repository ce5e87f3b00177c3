/* groups.c - things sorted into groups: "the edges of each waiter". */
#include "model/groups.h"

#include <errno.h>
#include <stdlib.h>

int ctask_groups_init(struct ctask_groups *groups, const struct ctask_snapshot *snap,
		      uint32_t group_count, uint32_t item_count, ctask_group_of group_of)
{
	uint32_t *first = calloc((size_t)group_count + 2, sizeof(*first));
	uint32_t *items = malloc(((size_t)item_count + 1) * sizeof(*items));

	if (!first || !items) {
		free(first);
		free(items);
		return -ENOMEM;
	}
	/* Sizes in first[g + 2] become starts in first[g + 1], which filling moves on to first[g]. */
	for (uint32_t i = 0; i < item_count; i++) {
		uint32_t g = group_of(snap, i);

		if (g < group_count)
			first[g + 2]++;
	}
	for (uint32_t g = 0; g < group_count; g++)
		first[g + 2] += first[g + 1];
	for (uint32_t i = 0; i < item_count; i++) {
		uint32_t g = group_of(snap, i);

		if (g < group_count)
			items[first[g + 1]++] = i;
	}
	groups->first = first;
	groups->items = items;
	return 0;
}

void ctask_groups_fini(struct ctask_groups *groups)
{
	free(groups->first);
	free(groups->items);
	*groups = (struct ctask_groups){ 0 };
}

static bool is_valid(const struct ctask_snapshot *snap, const struct ctask_edge *edge)
{
	return edge->waiter < snap->task_count && edge->awaited < snap->task_count;
}

static uint32_t waiter_of(const struct ctask_snapshot *snap, uint32_t i)
{
	return is_valid(snap, &snap->edges[i]) ? snap->edges[i].waiter : CTASK_NONE;
}

static uint32_t awaited_of(const struct ctask_snapshot *snap, uint32_t i)
{
	return is_valid(snap, &snap->edges[i]) ? snap->edges[i].awaited : CTASK_NONE;
}

static uint32_t scope_of(const struct ctask_snapshot *snap, uint32_t i)
{
	return snap->tasks[i].scope;
}

int ctask_groups_by_waiter(struct ctask_groups *groups, const struct ctask_snapshot *snap)
{
	return ctask_groups_init(groups, snap, snap->task_count, snap->edge_count, waiter_of);
}

int ctask_groups_by_awaited(struct ctask_groups *groups, const struct ctask_snapshot *snap)
{
	return ctask_groups_init(groups, snap, snap->task_count, snap->edge_count, awaited_of);
}

int ctask_groups_by_scope(struct ctask_groups *groups, const struct ctask_snapshot *snap)
{
	return ctask_groups_init(groups, snap, snap->scope_count, snap->task_count, scope_of);
}
