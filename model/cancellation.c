/* cancellation.c - requests to stop: who asked whom, why, and how it ended. */
#include "model/cancellation.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "model/array.h"

const char *const ctask_cancellation_source_words[] = {
	[CTASK_BY_AGENT] = "agent",
	[CTASK_BY_BPF] = "bpf",
};

const char *const ctask_origin_words[CTASK_ORIGINS] = {
	[CTASK_ORIGIN_UNKNOWN] = "unknown",
	[CTASK_ORIGIN_TIMEOUT] = "timeout",
	[CTASK_ORIGIN_SIBLING_FAILED] = "sibling_failed",
	[CTASK_ORIGIN_OWNER_FAILED] = "owner_failed",
	[CTASK_ORIGIN_OWNER_CANCELLED] = "owner_cancelled",
	[CTASK_ORIGIN_SHUTDOWN] = "shutdown",
	[CTASK_ORIGIN_INTERRUPT] = "interrupt",
	[CTASK_ORIGIN_EXPLICIT] = "explicit",
};

const char *const ctask_through_words[CTASK_THROUGHS] = {
	[CTASK_THROUGH_TIMEOUT] = "timeout",
	[CTASK_THROUGH_WAIT_FOR] = "wait_for",
	[CTASK_THROUGH_CANCEL_SCOPE] = "cancel_scope",
	[CTASK_THROUGH_TASK_GROUP] = "task_group",
	[CTASK_THROUGH_NURSERY] = "nursery",
	[CTASK_THROUGH_AWAIT] = "await",
	[CTASK_THROUGH_GATHER] = "gather",
	[CTASK_THROUGH_RUNNER] = "runner",
};

const char *const ctask_requester_words[CTASK_REQUESTERS] = {
	[CTASK_REQUESTER_TASK] = "task",     [CTASK_REQUESTER_CALLBACK] = "callback",
	[CTASK_REQUESTER_RUNNER] = "runner", [CTASK_REQUESTER_SIGNAL] = "signal",
	[CTASK_REQUESTER_THREAD] = "thread",
};

const char *const ctask_outcome_words[CTASK_OUTCOMES] = {
	[CTASK_OUTCOME_PENDING] = "pending",   [CTASK_OUTCOME_CANCELLED] = "cancelled",
	[CTASK_OUTCOME_ABSORBED] = "absorbed", [CTASK_OUTCOME_RETURNED] = "returned",
	[CTASK_OUTCOME_RAISED] = "raised",     [CTASK_OUTCOME_SWALLOWED] = "swallowed",
	[CTASK_OUTCOME_UNKNOWN] = "unknown",
};

struct ctask_history *ctask_history_create(void)
{
	struct ctask_history *history = calloc(1, sizeof(*history));

	if (!history)
		return NULL;
	history->texts = ctask_texts_create();
	if (!history->texts) {
		free(history);
		return NULL;
	}
	return history;
}

void ctask_history_destroy(struct ctask_history *history)
{
	if (!history)
		return;
	free(history->items);
	free(history->frames);
	free(history->stack_frames);
	free(history->births);
	ctask_texts_destroy(history->texts);
	free(history);
}

struct ctask_cancellation *ctask_history_add(struct ctask_history *history)
{
	struct ctask_cancellation *item;

	if (ctask_array_grow(&history->items, history->count, &history->room,
			     sizeof(*history->items)))
		return NULL;
	item = &history->items[history->count++];
	*item = (struct ctask_cancellation){
		.delay_s = NAN,
		.elapsed_s = NAN,
		.after_s = NAN,
		.resolution_s = NAN,
		.scope_frame = CTASK_NONE,
	};
	return item;
}

uint32_t ctask_history_add_frame(struct ctask_history *history)
{
	if (ctask_array_grow(&history->frames, history->frame_count, &history->frame_room,
			     sizeof(*history->frames)))
		return CTASK_NONE;
	history->frames[history->frame_count] = (struct ctask_frame){ 0 };
	return history->frame_count++;
}

int ctask_history_push_stack(struct ctask_history *history, struct ctask_stack *stack,
			     uint32_t frame)
{
	if (ctask_array_grow(&history->stack_frames, history->stack_frame_count,
			     &history->stack_frame_room, sizeof(*history->stack_frames)))
		return -ENOMEM;
	if (stack->count == 0)
		stack->first = history->stack_frame_count;
	history->stack_frames[history->stack_frame_count++] = frame;
	stack->count++;
	return 0;
}

int ctask_history_add_birth(struct ctask_history *history, const struct ctask_birth_facts *birth)
{
	if (ctask_array_grow(&history->births, history->birth_count, &history->birth_room,
			     sizeof(*history->births)))
		return -ENOMEM;
	history->births[history->birth_count++] = *birth;
	return 0;
}

static int compare_births(const void *left, const void *right)
{
	const struct ctask_birth_facts *a = left, *b = right;

	return (a->task > b->task) - (a->task < b->task);
}

void ctask_history_sort_births(struct ctask_history *history)
{
	if (history->birth_count)
		qsort(history->births, history->birth_count, sizeof(*history->births),
		      compare_births);
}

static int compare_id(const void *key, const void *element)
{
	const uint64_t *id = key;
	const struct ctask_cancellation *item = element;

	return (*id > item->id) - (*id < item->id);
}

const struct ctask_cancellation *ctask_history_find(const struct ctask_history *history,
						    uint64_t id)
{
	return history->count ? bsearch(&id, history->items, history->count,
					sizeof(*history->items), compare_id)
			      : NULL;
}

const uint32_t *ctask_history_stack(const struct ctask_history *history,
				    const struct ctask_stack *stack)
{
	return history->stack_frames ? history->stack_frames + stack->first : NULL;
}

const struct ctask_birth_facts *ctask_history_birth(const struct ctask_history *history,
						    uint64_t task)
{
	const struct ctask_birth_facts key = { .task = task };

	return history->birth_count ? bsearch(&key, history->births, history->birth_count,
					      sizeof(key), compare_births)
				    : NULL;
}
