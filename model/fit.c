/* fit.c - a history beside the tasks of a snapshot: what in it is about them, as it was at that instant. */
#include "model/fit.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/cleanup.h"
#include "model/lookup.h"

/* When the snapshot was taken; the end of all times where that is not known. */
static int64_t instant_of(const struct ctask_snapshot *snap)
{
	return snap->capture.captured_at_us > 0 ? snap->capture.captured_at_us : INT64_MAX;
}

bool ctask_request_is_open(const struct ctask_cancellation *item)
{
	return item->outcome == CTASK_OUTCOME_PENDING || item->outcome == CTASK_OUTCOME_SWALLOWED;
}

/* --- births --- */

/* False when out of memory. */
static bool keep_text(struct ctask_texts *texts, ctask_text *text)
{
	if (!*text)
		return true;
	*text = ctask_texts_add(texts, *text, strlen(*text));
	return *text != NULL;
}

/* Frame @p index of @p other as one of @p history. @p known: those that it has already, CTASK_NONE = not. */
static int take_frame(struct ctask_history *history, const struct ctask_history *other,
		      uint32_t *known, uint32_t index, uint32_t *ret)
{
	struct ctask_frame frame = other->frames[index];

	if (known[index] == CTASK_NONE) {
		if (!keep_text(history->texts, &frame.name) ||
		    !keep_text(history->texts, &frame.filename))
			return -ENOMEM;
		known[index] = ctask_history_add_frame(history);
		if (known[index] == CTASK_NONE)
			return -ENOMEM;
		history->frames[known[index]] = frame;
	}
	*ret = known[index];
	return 0;
}

/* The births that are of tasks of the snapshot, to the front. Returns how many. */
static uint32_t keep_births(struct ctask_history *history, const struct ctask_snapshot *snap,
			    const struct ctask_lookup *tasks)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < history->birth_count; i++) {
		const struct ctask_birth_facts birth = history->births[i];

		if (birth.time_us > instant_of(snap) ||
		    ctask_lookup_get(tasks, birth.task) == CTASK_NONE)
			continue;
		history->births[count++] = birth;
	}
	return count;
}

int ctask_fit_births(struct ctask_history *history, const struct ctask_snapshot *snap,
		     const struct ctask_history *other)
{
	auto_lookup tasks = { 0 };
	auto_free uint32_t *known = malloc(((size_t)other->frame_count + 1) * sizeof(*known));

	if (!known || ctask_lookup_add_tasks(&tasks, snap))
		return -ENOMEM;
	if (other != history) {
		memset(known, 0xff, ((size_t)other->frame_count + 1) * sizeof(*known));
		history->birth_count = 0;
		history->lost_births = other->lost_births;
	}
	for (uint32_t i = 0; other != history && i < other->birth_count; i++) {
		struct ctask_birth_facts birth = other->births[i];

		if (ctask_lookup_get(&tasks, birth.task) == CTASK_NONE)
			continue;
		if (birth.frame < other->frame_count &&
		    take_frame(history, other, known, birth.frame, &birth.frame))
			return -ENOMEM;
		if (ctask_history_add_birth(history, &birth))
			return -ENOMEM;
	}
	history->birth_count = keep_births(history, snap, &tasks);
	return 0;
}

/* A maker that has ended, and whose address another task has by now, has no id any more. */
static void forget_makers(struct ctask_history *history)
{
	for (uint32_t i = 0; i < history->birth_count; i++) {
		struct ctask_birth_facts *birth = &history->births[i];
		const struct ctask_birth_facts *maker =
			birth->creator ? ctask_history_birth(history, birth->creator) : NULL;

		if (maker && maker->time_us > birth->time_us)
			birth->creator = 0;
	}
}

/* --- requests --- */

/* As it was at @p instant_us. */
static void turn_back(struct ctask_cancellation *item, int64_t instant_us)
{
	if (item->outcome == CTASK_OUTCOME_PENDING || isnan(item->after_s) ||
	    (double)item->time_us + item->after_s * 1e6 <= (double)instant_us)
		return;
	item->outcome = CTASK_OUTCOME_PENDING;
	item->after_s = NAN;
}

/* @p item is of the task that has its target's address now. */
static bool is_of_this(const struct ctask_history *history, const struct ctask_cancellation *item)
{
	const struct ctask_birth_facts *birth = ctask_history_birth(history, item->target);

	return birth ? birth->time_us <= item->time_us : ctask_request_is_open(item);
}

/* @p kept, for each item: it stays. */
static void keep_items(struct ctask_history *history, const bool *kept)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < history->count; i++) {
		if (kept[i])
			history->items[count++] = history->items[i];
	}
	history->count = count;
}

static void keep_item(const struct ctask_history *history, uint64_t id, bool *kept)
{
	const struct ctask_cancellation *item = id ? ctask_history_find(history, id) : NULL;

	if (item)
		kept[item - history->items] = true;
}

int ctask_fit_history(struct ctask_snapshot *snap)
{
	struct ctask_history *history = snap->history;
	auto_lookup tasks = { 0 };
	auto_free bool *kept = NULL;
	const int64_t instant_us = instant_of(snap);

	if (!history)
		return 0;
	kept = calloc((size_t)history->count + 1, sizeof(*kept));
	if (!kept || ctask_lookup_add_tasks(&tasks, snap))
		return -ENOMEM;
	history->birth_count = keep_births(history, snap, &tasks);
	forget_makers(history);
	for (uint32_t i = 0; i < history->count; i++) {
		struct ctask_cancellation *item = &history->items[i];

		turn_back(item, instant_us);
		kept[i] = item->time_us <= instant_us && is_of_this(history, item) &&
			  ctask_lookup_get(&tasks, item->target) != CTASK_NONE;
	}
	/* What brought another about is older: it stands before. */
	for (uint32_t i = history->count; i-- > 0;) {
		if (!kept[i])
			continue;
		keep_item(history, history->items[i].cause, kept);
		keep_item(history, history->items[i].root, kept);
	}
	keep_items(history, kept);
	return ctask_fit_link(snap);
}

/* --- who was asked --- */

/* Of the requests in @p of, which are of one task: the newest that is open, else the newest. */
static void link_task(struct ctask_task *task, const struct ctask_history *history,
		      const struct ctask_lookup_entry *of, uint32_t count)
{
	uint64_t open = 0;

	for (uint32_t i = count; i-- > 0;) {
		const struct ctask_cancellation *item = &history->items[of[i].index];
		bool is_open = ctask_request_is_open(item);

		if (task->request == CTASK_NONE || (is_open && !open))
			task->request = of[i].index;
		if (is_open)
			open += 1ull + item->repeats;
	}
	task->open_requests = open < UINT32_MAX ? (uint32_t)open : UINT32_MAX;
}

int ctask_fit_link(struct ctask_snapshot *snap)
{
	const struct ctask_history *history = snap->history;
	auto_lookup items = { 0 };

	for (uint32_t i = 0; history && i < history->count; i++) {
		if (is_of_this(history, &history->items[i]) &&
		    ctask_lookup_add(&items, history->items[i].target, i))
			return -ENOMEM;
	}
	ctask_lookup_sort(&items);
	for (uint32_t i = 0; i < snap->task_count; i++) {
		struct ctask_task *task = &snap->tasks[i];
		uint32_t first = ctask_lookup_first(&items, task->id), end = first;

		task->request = CTASK_NONE;
		task->open_requests = 0;
		while (end < items.count && items.entries[end].addr == task->id)
			end++;
		if (end > first)
			link_task(task, history, items.entries + first, end - first);
	}
	return 0;
}

static const struct ctask_task *running_task(const struct ctask_snapshot *snap, uint64_t id)
{
	for (uint32_t i = 0; i < snap->task_count; i++)
		if (snap->tasks[i].id == id && snap->tasks[i].state == CTASK_RUNNING)
			return &snap->tasks[i];
	return NULL;
}

void ctask_fit_running(struct ctask_history *history, const struct ctask_snapshot *snap)
{
	for (uint32_t i = 0; i < history->count; i++) {
		struct ctask_cancellation *item = &history->items[i];
		const struct ctask_task *task;

		if (item->outcome != CTASK_OUTCOME_PENDING ||
		    item->time_us > snap->capture.captured_at_us)
			continue;
		task = running_task(snap, item->target);
		if (!task || task->cancel_pending || task->cancel_handled)
			continue;
		item->outcome = CTASK_OUTCOME_SWALLOWED;
		item->after_s = (double)(snap->capture.captured_at_us - item->time_us) / 1e6;
	}
}

static const struct ctask_task *find_task(const struct ctask_snapshot *snap, uint64_t id)
{
	for (uint32_t i = 0; i < snap->task_count; i++)
		if (snap->tasks[i].id == id)
			return &snap->tasks[i];
	return NULL;
}

static bool same_text(ctask_text a, ctask_text b)
{
	return a && b && strcmp(a, b) == 0;
}

/* "Task-7": Lib/asyncio/tasks.py counts these. */
static bool is_counted_name(ctask_text name)
{
	return strncmp(name, "Task-", 5) == 0 && name[5] &&
	       !name[5 + strspn(name + 5, "0123456789")];
}

void ctask_fit_past(struct ctask_history *history, const struct ctask_snapshot *snap)
{
	for (uint32_t i = 0; i < history->count; i++) {
		struct ctask_cancellation *item = &history->items[i];
		const struct ctask_task *task;

		if (!ctask_request_is_open(item))
			continue;
		task = find_task(snap, item->target);
		if (!task || !same_text(task->name, item->target_name) ||
		    !same_text(task->coroutine, item->target_coroutine) ||
		    (!is_counted_name(task->name) && task->cancel_requests <= 0 &&
		     !task->cancel_pending && !task->cancel_handled))
			item->outcome = CTASK_OUTCOME_UNKNOWN;
	}
}
