/* order.c - tasks in the order in which people look for them. */
#include "analysis/order.h"

#include <stdlib.h>
#include <string.h>

#include "model/cleanup.h"

enum { DIGITS_MAX = 18 }; /* more do not fit into 64 bits: such a name is text to its end */

/* What decides nearly every comparison, without touching the name. */
struct key {
	uint32_t task;
	uint32_t runtime; /* its place in ctask_runtimes_in_order() */
	uint64_t start;	  /* the first 8 bytes before the final digits, as a big-endian number */
	uint64_t number;  /* the final digits, plus one; 0 when there are none */
	size_t stem_len;  /* bytes before the final digits */
	const char *name;
	uint64_t id;
};

static struct key make_key(const struct ctask_snapshot *snap, const uint32_t *ranks, uint32_t i)
{
	const struct ctask_task *t = &snap->tasks[i];
	struct key key = { .task = i, .name = t->name ? t->name : "", .id = t->id };
	size_t len = strlen(key.name);

	key.runtime = t->runtime < snap->runtime_count ? ranks[t->runtime] : CTASK_NONE;
	key.stem_len = len;
	while (key.stem_len > 0 && key.name[key.stem_len - 1] >= '0' &&
	       key.name[key.stem_len - 1] <= '9')
		key.stem_len--;
	if (key.stem_len < len && len - key.stem_len <= DIGITS_MAX)
		key.number = strtoull(key.name + key.stem_len, NULL, 10) + 1;
	else
		key.stem_len = len;
	for (size_t j = 0; j < sizeof(key.start); j++)
		key.start = key.start << 8 | (j < key.stem_len ? (unsigned char)key.name[j] : 0);
	return key;
}

static int compare_numbers(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static int compare(const void *left, const void *right)
{
	const struct key *a = left, *b = right;
	int order = compare_numbers(a->runtime, b->runtime);

	if (order == 0)
		order = compare_numbers(a->start, b->start);
	if (order == 0 && (a->stem_len > sizeof(a->start) || b->stem_len > sizeof(b->start))) {
		size_t common = a->stem_len < b->stem_len ? a->stem_len : b->stem_len;

		order = memcmp(a->name, b->name, common);
		if (order == 0)
			order = compare_numbers(a->stem_len, b->stem_len);
	}
	if (order == 0)
		order = compare_numbers(a->number, b->number);
	if (order == 0)
		order = strcmp(a->name, b->name);
	return order ? order : compare_numbers(a->id, b->id);
}

/* A reader may find tasks newest first: then the sort has next to nothing to do. */
static void turn_if_descending(struct key *keys, uint32_t count)
{
	if (count < 2 || compare(&keys[0], &keys[count - 1]) <= 0)
		return;
	for (uint32_t i = 0, j = count - 1; i < j; i++, j--) {
		struct key k = keys[i];

		keys[i] = keys[j];
		keys[j] = k;
	}
}

static bool is_sorted(const struct key *keys, uint32_t count)
{
	for (uint32_t i = 1; i < count; i++) {
		if (compare(&keys[i - 1], &keys[i]) > 0)
			return false;
	}
	return true;
}

static int compare_runtimes(const void *left, const void *right, void *data)
{
	const uint32_t *a = left, *b = right;
	const struct ctask_runtime *runtimes = data, *x = &runtimes[*a], *y = &runtimes[*b];
	int order = (x->interpreter > y->interpreter) - (x->interpreter < y->interpreter);

	if (order == 0) /* -1 becomes the greatest */
		order = compare_numbers((uint32_t)x->thread_id, (uint32_t)y->thread_id);
	return order ? order : compare_numbers(*a, *b);
}

uint32_t *ctask_runtimes_in_order(const struct ctask_snapshot *snap)
{
	uint32_t *order = malloc(((size_t)snap->runtime_count + 1) * sizeof(*order));

	if (!order)
		return NULL;
	for (uint32_t i = 0; i < snap->runtime_count; i++)
		order[i] = i;
	if (snap->runtime_count > 1)
		qsort_r(order, snap->runtime_count, sizeof(*order), compare_runtimes,
			snap->runtimes);
	return order;
}

uint32_t *ctask_tasks_in_order(const struct ctask_snapshot *snap)
{
	uint32_t count = snap->task_count;
	auto_free struct key *keys = malloc(((size_t)count + 1) * sizeof(*keys));
	auto_free uint32_t *runtimes = ctask_runtimes_in_order(snap);
	auto_free uint32_t *ranks = malloc(((size_t)snap->runtime_count + 1) * sizeof(*ranks));
	uint32_t *order = malloc(((size_t)count + 1) * sizeof(*order));

	if (!keys || !runtimes || !ranks || !order) {
		free(order);
		return NULL;
	}
	for (uint32_t i = 0; i < snap->runtime_count; i++)
		ranks[runtimes[i]] = i;
	for (uint32_t i = 0; i < count; i++)
		keys[i] = make_key(snap, ranks, i);
	turn_if_descending(keys, count);
	if (!is_sorted(keys, count))
		qsort(keys, count, sizeof(*keys), compare);
	for (uint32_t i = 0; i < count; i++)
		order[i] = keys[i].task;
	return order;
}
