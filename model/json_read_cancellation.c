/* json_read_cancellation.c - a request to stop from JSON: what model/json_cancellation.c writes. */
#include <math.h>

#include <cjson/cJSON.h>

#include "model/json_frames.h"

static void take_stack(struct ctask_json_door *door, struct ctask_json_places *places,
		       struct ctask_history *history, const cJSON *object,
		       struct ctask_stack *stack)
{
	const cJSON *array = ctask_json_take_array(door, object, "stack"), *frame;

	cJSON_ArrayForEach(frame, array)
	{
		uint32_t place = ctask_json_take_frame(door, places, frame);

		if (door->error)
			return;
		if (ctask_history_push_stack(history, stack, place)) {
			ctask_json_no_memory(door);
			return;
		}
	}
	stack->cut = (uint32_t)ctask_json_take_known_int(door, object, "stack_omitted", 0,
							 UINT32_MAX, 0);
}

static void take_target(struct ctask_json_door *door, struct ctask_json_places *places,
			struct ctask_history *history, const cJSON *object,
			struct ctask_cancellation *c)
{
	const cJSON *target = ctask_json_take_object(door, object, "target");

	if (!target) {
		ctask_json_refuse(door, "target", "is missing");
		return;
	}
	c->target = ctask_json_take_id(door, target, "id");
	c->target_name = ctask_json_take_text(door, target, "name");
	c->target_coroutine = ctask_json_take_text(door, target, "coroutine");
	take_stack(door, places, history, target, &c->target_stack);
}

static void take_requester(struct ctask_json_door *door, const cJSON *object,
			   struct ctask_cancellation *c)
{
	const cJSON *requester = ctask_json_take_object(door, object, "requester");

	if (!requester) {
		ctask_json_refuse(door, "requester", "is missing");
		return;
	}
	c->requester_kind = (enum ctask_requester_kind)ctask_json_take_word(
		door, requester, "kind", ctask_requester_words, CTASK_REQUESTERS);
	c->requester = ctask_json_take_id(door, requester, "id");
	c->requester_name = ctask_json_take_text(door, requester, "name");
	c->requester_coroutine = ctask_json_take_text(door, requester, "coroutine");
	c->requester_thread =
		(uint32_t)ctask_json_take_known_int(door, requester, "nstid", 1, INT32_MAX, 0);
}

static void take_scope(struct ctask_json_door *door, const cJSON *object,
		       struct ctask_cancellation *c)
{
	const cJSON *scope = ctask_json_take_object(door, object, "scope");

	if (!scope)
		return;
	c->through = (enum ctask_through)ctask_json_take_word(door, scope, "kind",
							      ctask_through_words, CTASK_THROUGHS);
	c->scope = ctask_json_take_id(door, scope, "id");
	c->delay_s = ctask_json_take_seconds(door, scope, "delay_s");
	c->elapsed_s = ctask_json_take_seconds(door, scope, "elapsed_s");
	c->scope_frame = (uint32_t)ctask_json_take_known_int(door, scope, "frame", 0, INT32_MAX,
							     (int64_t)CTASK_NONE);
	if (c->scope_frame >= c->target_stack.count)
		c->scope_frame = CTASK_NONE;
}

static void take_exception(struct ctask_json_door *door, const cJSON *object,
			   struct ctask_cancellation *c)
{
	const cJSON *exception = ctask_json_take_object(door, object, "exception"), *task;

	if (!exception)
		return;
	c->exception_type = ctask_json_take_text(door, exception, "type");
	if (!c->exception_type)
		ctask_json_refuse(door, "exception", "has no type");
	c->exception_message = ctask_json_take_text(door, exception, "message");
	task = ctask_json_take_object(door, exception, "task");
	if (!task)
		return;
	c->failed_task = ctask_json_take_id(door, task, "id");
	if (!c->failed_task)
		ctask_json_refuse(door, "task", "has no id");
	c->failed_task_name = ctask_json_take_text(door, task, "name");
}

static void take_outcome(struct ctask_json_door *door, const cJSON *object,
			 struct ctask_cancellation *c)
{
	const cJSON *outcome = ctask_json_take_object(door, object, "outcome");

	if (!outcome) {
		ctask_json_refuse(door, "outcome", "is missing");
		return;
	}
	c->outcome = (enum ctask_outcome)ctask_json_take_word(door, outcome, "state",
							      ctask_outcome_words, CTASK_OUTCOMES);
	c->after_s = ctask_json_take_seconds(door, outcome, "after_s");
	c->resolution_s = ctask_json_take_seconds(door, outcome, "resolution_s");
}

void ctask_json_take_cancellation(struct ctask_json_door *door, struct ctask_json_places *places,
				  struct ctask_history *history, const struct cJSON *object)
{
	const uint64_t newest = history->count ? history->items[history->count - 1].id : 0;
	struct ctask_cancellation c = {
		.delay_s = NAN, .elapsed_s = NAN, .after_s = NAN, .resolution_s = NAN
	};
	struct ctask_cancellation *item;

	if (door->error)
		return;
	if (!cJSON_IsObject(object)) {
		ctask_json_refuse(door, "cancellations", "has something in it that is none");
		return;
	}
	c.id = (uint64_t)ctask_json_take_int(door, object, "id", 1, CTASK_JSON_INT_MAX);
	if (!door->error && c.id <= newest)
		ctask_json_refuse(door, "id", "is not in the order of time");
	c.time_us = ctask_json_take_time(door, object, "time");
	c.source = (enum ctask_cancellation_source)ctask_json_take_word(
		door, object, "source", ctask_cancellation_source_words, CTASK_BY_BPF + 1);
	take_target(door, places, history, object, &c);
	take_requester(door, object, &c);
	c.origin = (enum ctask_origin)ctask_json_take_word(door, object, "origin",
							   ctask_origin_words, CTASK_ORIGINS);
	take_scope(door, object, &c);
	c.cause =
		(uint64_t)ctask_json_take_known_int(door, object, "cause", 1, (int64_t)c.id - 1, 0);
	c.root = (uint64_t)ctask_json_take_int(door, object, "root", 1, (int64_t)c.id);
	take_exception(door, object, &c);
	c.message = ctask_json_take_text(door, object, "message");
	take_stack(door, places, history, object, &c.stack);
	c.repeats = (uint32_t)ctask_json_take_int(door, object, "repeats", 0, UINT32_MAX);
	take_outcome(door, object, &c);
	if (door->error)
		return;
	history->container = ctask_json_take_text(door, object, "container");
	history->pid = (int32_t)ctask_json_take_known_int(door, object, "pid", 1, INT32_MAX, 0);
	item = ctask_history_add(history);
	if (!item) {
		ctask_json_no_memory(door);
		return;
	}
	*item = c;
	history->last_id = c.id;
}
