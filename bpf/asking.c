/* asking.c - one call of cancel(), from what a probe copied to a record. */
#include "bpf/asking.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/calls.h"
#include "bpf/exceptions.h"
#include "bpf/held.h"
#include "bpf/objects.h"
#include "bpf/requests.h"
#include "bpf/tasks.h"

/* The probe on what every timeout calls when it is entered takes its time. */
#define DELAY_STEPS 1000.0

struct asking {
	struct ctask_asking ask; /* first: what looks at a call is given this, and has all */
	struct ctask_resolver *r;
	const struct ctask_probe_event *event;
	struct ctask_stack_seen stack, chain;
	const struct ctask_call *outer;
	ctask_text target_name, requester_name, failed_name, exception_message, message;
};

static const struct asking *whole(const struct ctask_asking *ask)
{
	return (const struct asking *)ask;
}

static struct ctask_heap *heap_of(const struct ctask_asking *ask)
{
	return whole(ask)->r->heap;
}

/* --- how a call is looked at: see model/classify.h --- */

static uint64_t local_of(struct ctask_asking *ask, int i, int slot)
{
	return ctask_seen_local(heap_of(ask), &whole(ask)->stack.seen[i], slot);
}

static uint64_t value_of(struct ctask_asking *ask, int i, const struct ctask_local *local)
{
	return ctask_seen_value(heap_of(ask), &whole(ask)->stack.seen[i], local);
}

static bool self_is(struct ctask_asking *ask, int i, const char *type)
{
	return ctask_is_named(heap_of(ask), local_of(ask, i, 0), type);
}

static uint64_t exception_of(struct ctask_asking *ask, int i)
{
	return ctask_gen_exception(heap_of(ask), whole(ask)->stack.seen[i].gen);
}

static bool is_unwinding(struct ctask_asking *ask, int i)
{
	return ctask_stems_from_cancel(heap_of(ask), exception_of(ask, i));
}

static bool is_frame(struct ctask_asking *ask, uint64_t object, int i)
{
	return ctask_is_frame_object(heap_of(ask), object, whole(ask)->stack.seen[i].frame);
}

/* From 3.11 on only where it is told to a function: to Runner.__exit__. */
static uint64_t handled(struct ctask_asking *ask)
{
	const struct asking *a = whole(ask);
	uint64_t exception = ctask_thread_exception(a->r->heap, a->event->tstate);

	for (int i = 0; !exception && a->r->heap->layout.minor >= 11 && i < a->stack.count; i++)
		exception = value_of(ask, i, &a->stack.facts[i]->exception);
	return exception;
}

static bool came_through(struct ctask_asking *ask, uint64_t exception, int i)
{
	return ctask_is_frame_object(heap_of(ask), ctask_traceback_frame(heap_of(ask), exception),
				     whole(ask)->stack.seen[i].frame);
}

static uint64_t chain_local(struct ctask_asking *ask, int c, int slot)
{
	return ctask_seen_local(heap_of(ask), &whole(ask)->chain.seen[c], slot);
}

static bool chain_holds(struct ctask_asking *ask, int c, uint64_t object)
{
	const struct ctask_stack_seen *chain = &whole(ask)->chain;

	return ctask_seen_holds(heap_of(ask), &chain->seen[c], chain->facts[c], object);
}

static bool is_inside(struct ctask_asking *ask, uint64_t construct)
{
	return ctask_stack_is_inside(heap_of(ask), &whole(ask)->chain, construct);
}

static bool is_a(struct ctask_asking *ask, uint64_t object, enum ctask_sort sort)
{
	static const char *const names[] = {
		[CTASK_SORT_EXCEPTION] = "BaseException",
		[CTASK_SORT_CANCELLED_ERROR] = "CancelledError",
		[CTASK_SORT_KEYBOARD_INTERRUPT] = "KeyboardInterrupt",
		[CTASK_SORT_INT] = "int",
	};

	return ctask_is_named(heap_of(ask), object, names[sort]);
}

static bool item_of(struct ctask_asking *ask, uint64_t tuple, int at, uint64_t *ret_item)
{
	struct ctask_heap *heap = heap_of(ask);
	struct ctask_items items;

	return ctask_kind_of(heap, tuple) == CTASK_KIND_TUPLE &&
	       !ctask_items_of(heap, tuple, &items) && (uint64_t)at < items.count &&
	       !ctask_items_get(heap, &items, (uint64_t)at, ret_item);
}

static uint64_t attribute_of(struct ctask_asking *ask, uint64_t object, const char *name)
{
	uint64_t value;

	return ctask_attr(heap_of(ask), object, name, &value) ? 0 : value;
}

static double seconds_of(struct ctask_asking *ask, uint64_t number)
{
	return ctask_seconds_of(heap_of(ask), number);
}

/* A thread that is not the main one, and in which nothing of asyncio is on the stack. */
static bool is_plain_thread(const struct asking *a)
{
	for (int i = 0; i < a->stack.count; i++)
		if (a->stack.facts[i]->library)
			return false;
	return a->event->tid != a->event->tgid;
}

/*
 * Which loops run is read a moment later: one that its last task leaves may have ended, and another lie in its
 * place. Those whom a runner stops are left over in a loop that it ran itself.
 */
static bool runs_elsewhere(struct ctask_asking *ask)
{
	const struct asking *a = whole(ask);

	for (int i = 0; i < a->stack.count; i++) {
		const struct ctask_origin_row *row = a->stack.facts[i]->row;

		if (row && row->role == CTASK_ROLE_RUNNER)
			return false;
	}
	return ctask_loop_runs_elsewhere(a->r, a->event->tstate,
					 ctask_task_loop(a->r, ask->target)) ||
	       is_plain_thread(a);
}

static double entered_at(struct ctask_asking *ask, uint64_t construct)
{
	return ctask_requests_entered(whole(ask)->r->requests, construct);
}

static bool is_cancelling(struct ctask_asking *ask, uint64_t task)
{
	return ctask_task_is_cancelling(whole(ask)->r, task);
}

static uint64_t newest_of(struct ctask_asking *ask, uint64_t task)
{
	return ctask_requests_newest(whole(ask)->r->requests, task);
}

static uint64_t cause_of(struct ctask_asking *ask, uint64_t task)
{
	return ctask_requests_cause(whole(ask)->r->requests, task);
}

static bool copy_record(struct ctask_asking *ask, uint64_t id, struct ctask_record *ret)
{
	const struct ctask_record *record =
		ctask_writer_record(&whole(ask)->r->history->writer, id);

	if (record)
		*ret = *record;
	return record;
}

static bool outer_wait_for(struct ctask_asking *ask, const struct ctask_outer_call *outer,
			   uint64_t *ret_wait_for, double *ret_delay)
{
	const struct ctask_call *call = whole(ask)->outer;

	(void)outer;
	if (!call->wait_for)
		return false;
	*ret_wait_for = call->wait_for;
	*ret_delay = call->delay_s;
	return true;
}

static const struct ctask_evidence evidence = {
	.local = local_of,
	.value = value_of,
	.self_is = self_is,
	.exception = exception_of,
	.is_unwinding = is_unwinding,
	.is_frame = is_frame,
	.handled = handled,
	.came_through = came_through,
	.chain_local = chain_local,
	.chain_holds = chain_holds,
	.is_inside = is_inside,
	.is_a = is_a,
	.item = item_of,
	.attribute = attribute_of,
	.seconds = seconds_of,
	.runs_elsewhere = runs_elsewhere,
	.entered_at = entered_at,
	.is_cancelling = is_cancelling,
	.newest = newest_of,
	.cause = cause_of,
	.record = copy_record,
	.outer_wait_for = outer_wait_for,
};

/* --- the names of those who have a part in it --- */

/* The name of a callback that has no frame: a method written in C, bound to the task. */
static ctask_text name_of_callable(struct asking *a, uint64_t callable)
{
	struct ctask_heap *heap = a->r->heap;
	const struct ctask_layout *l = &heap->layout;
	char name[64];
	uint64_t method, self;

	for (int i = 0; i < 4 && callable && ctask_kind_of(heap, callable) == CTASK_KIND_PARTIAL;
	     i++)
		callable = ctask_word_at(heap, callable + l->partial_func);
	if (!callable || ctask_kind_of(heap, callable) != CTASK_KIND_BUILTIN)
		return NULL;
	method = ctask_word_at(heap, ctask_word_at(heap, callable + l->cfunction_ml));
	self = ctask_word_at(heap, callable + l->cfunction_self);
	if (self != a->ask.target || !ctask_type_of(heap, self) ||
	    !ctask_bytes_at(heap, method, name, sizeof(name)))
		return NULL;
	return ctask_texts_format(a->r->texts, "%s.%s",
				  ctask_type_short_name(ctask_type_of(heap, self)), name);
}

static ctask_text name_of_callback(struct asking *a)
{
	static const char unknown[] = "Task.cancel";
	uint64_t handle = a->ask.end > 0 && a->stack.count ? local_of(&a->ask, 0, 0) : 0;
	uint64_t callback = handle ? attribute_of(&a->ask, handle, "_callback") : 0;
	ctask_text name = callback ? name_of_callable(a, callback) : NULL;

	return name ? name : ctask_texts_add(a->r->texts, unknown, sizeof(unknown) - 1);
}

static void name_requester(struct asking *a)
{
	switch (a->ask.record.requester_kind) {
	case CTASK_REQUESTER_TASK:
		a->requester_name = ctask_task_name(a->r, a->ask.task);
		a->ask.record.requester_coroutine =
			ctask_coro_word(a->r, ctask_task_coro(a->r, a->ask.task));
		break;
	case CTASK_REQUESTER_CALLBACK:
		if (a->ask.is_unnamed_callback)
			a->requester_name = name_of_callback(a);
		break;
	case CTASK_REQUESTER_THREAD:
		a->requester_name = ctask_thread_name(a->r, a->event->tstate);
		break;
	default:
		break;
	}
}

static void name_failure(struct asking *a)
{
	uint64_t exception = a->ask.exception;
	const struct ctask_type *type = exception ? ctask_type_of(a->r->heap, exception) : NULL;

	if (!type)
		return;
	a->ask.record.exception_type = ctask_bpf_word(a->r->history, ctask_type_short_name(type));
	a->exception_message = ctask_exception_text(a->r->heap, a->r->texts, exception);
	a->failed_name = ctask_task_name(a->r, a->ask.record.failed_task);
}

/* --- from what is known to a record --- */

static uint64_t put_text(struct asking *a, ctask_text text)
{
	return text ? ctask_bpf_side(a->r->history, text, strlen(text)) : 0;
}

static uint64_t put_stack(struct asking *a, const uint32_t *places, int count)
{
	return ctask_bpf_side(a->r->history, places, (size_t)count * sizeof(*places));
}

static void put(struct asking *a, uint64_t waiter)
{
	struct ctask_record *record = &a->ask.record;
	const uint32_t *target_stack = a->chain.places;
	int target_count = a->chain.count;

	if (a->chain.running) { /* it asks itself, or something that it called does */
		int end = ctask_stack_find(&a->stack, a->ask.target_coro);

		target_stack = a->stack.places;
		target_count = end < a->stack.count ? end + 1 : 0;
	}
	record->id = ctask_held_next(a->r->held);
	if (!record->root)
		record->root = record->id;
	record->target_coroutine = ctask_coro_word(a->r, a->ask.target_coro);
	record->target_stack_cut = (uint16_t)a->chain.cut;
	record->stack_cut = (uint16_t)a->stack.cut;
	record->target_name = put_text(a, a->target_name);
	if (a->requester_name)
		record->requester_name = put_text(a, a->requester_name);
	if (record->failed_task)
		record->failed_task_name = put_text(a, a->failed_name);
	record->exception_message = put_text(a, a->exception_message);
	record->message = put_text(a, a->message);
	record->target_stack = put_stack(a, target_stack, target_count);
	record->stack = put_stack(a, a->stack.places, a->stack.count);
	ctask_held_put(a->r->held, record,
		       &(struct ctask_held_call){
			       .outer = a->outer ? a->outer->id : 0,
			       .coro = a->ask.target_coro,
			       .waiter = waiter,
			       .tstate = a->event->tstate,
			       .frame = a->stack.count ? a->stack.seen[0].frame : 0,
			       .place = a->stack.count ? a->stack.places[0] : 0,
			       .now = a->ask.now,
		       });
}

/* --- one call --- */

static void see_stacks(struct asking *a)
{
	struct ctask_resolver *r = a->r;

	for (int i = 0; i < 2; i++) {
		ctask_stack_of_thread(&r->stacks, a->event, &a->stack);
		ctask_stack_of_coro(&r->stacks, a->ask.target_coro, &a->chain);
		if (!r->functions.stale)
			break;
		ctask_functions_forget(&r->functions);
	}
	a->ask.stack = (struct ctask_call_frames){ a->stack.count, a->stack.facts };
	a->ask.chain = (struct ctask_call_frames){ a->chain.count, a->chain.facts };
}

/* Who runs in the thread, and how much of its stack is theirs. */
static void see_thread(struct asking *a)
{
	struct ctask_resolver *r = a->r;
	struct ctask_asking *ask = &a->ask;

	ask->loop = ctask_thread_loop(r, a->event->tstate);
	ask->task = ask->loop ? ctask_thread_task(r, a->event->tstate, ask->loop) : 0;
	ask->end = ask->task   ? ctask_stack_find(&a->stack, ctask_task_coro(r, ask->task))
		   : ask->loop ? ctask_stack_loop_base(&a->stack)
			       : a->stack.count;
}

static void note_call(struct asking *a, uint64_t waiter)
{
	const struct ctask_stack_seen *chain = &a->chain;
	struct ctask_call call = {
		.id = a->ask.record.id,
		.target = a->ask.target,
		.waiter = waiter,
		.sp = a->event->sp,
		.caller = a->event->caller,
		.frame = a->stack.count ? a->stack.seen[0].frame : 0,
		.place = a->stack.count ? a->stack.places[0] : 0,
		.delay_s = NAN,
	};

	if (chain->count && chain->facts[0]->is_wait_for) {
		call.wait_for = chain->seen[0].gen;
		call.delay_s =
			seconds_of(&a->ask, chain_local(&a->ask, 0, chain->facts[0]->delay.slot));
	}
	(void)ctask_calls_add(a->r->calls, a->event->tid, &call);
}

void ctask_take_cancel(struct ctask_resolver *r, const struct ctask_probe_event *event)
{
	struct asking *a = calloc(1, sizeof(*a));
	struct ctask_outer_call outer;
	uint64_t waiter;

	if (!a) {
		r->history->header->lost_records++;
		return;
	}
	a->r = r;
	a->event = event;
	a->ask = (struct ctask_asking){
		.evidence = &evidence,
		.target = event->self,
		.target_coro = ctask_task_coro(r, event->self),
		.now = (double)event->time_ns / 1e9,
		.delay_steps = DELAY_STEPS,
		.record = {
			.time_us = r->epoch_us + (int64_t)(event->time_ns / 1000),
			.target = event->self,
			.delay_s = NAN,
			.elapsed_s = NAN,
			.thread = event->tid,
		},
	};
	waiter = ctask_task_waiter(r, event->self);
	a->target_name = ctask_task_name(r, event->self);
	if (event->argument && ctask_kind_of(r->heap, event->argument) == CTASK_KIND_STR)
		a->message = ctask_text_of(r->heap, r->texts, event->argument);
	see_stacks(a);
	a->outer = ctask_calls_round(r->calls, &(struct ctask_calls_view){ r->heap, event,
									   &a->stack, &a->ask });
	if (a->outer) {
		outer = (struct ctask_outer_call){ a->outer->id, a->outer->target,
						   ctask_stack_find_frame(&a->stack,
									  a->outer->frame) };
		ctask_classify_passed_on(&a->ask, &outer);
	} else {
		see_thread(a);
		ctask_classify(&a->ask);
		name_requester(a);
		name_failure(a);
	}
	put(a, waiter);
	ctask_requests_add(r->requests,
			   &(struct ctask_asked_task){ .task = event->self,
						       .coro = a->ask.target_coro,
						       .waiter = waiter },
			   a->ask.record.id, a->ask.now, &a->ask.block);
	note_call(a, waiter);
	free(a);
}
