/* resolve.c - each event to the part that explains it. */
#include "bpf/resolve.h"

#include <stdlib.h>

#include "bpf/asking.h"
#include "bpf/calls.h"
#include "bpf/clock.h"
#include "bpf/held.h"
#include "bpf/requests.h"
#include "bpf/resolver.h"
#include "bpf/tasks.h"

static double time_of(const struct ctask_probe_event *event)
{
	return (double)event->time_ns / 1e9;
}

static void take_gone(struct ctask_resolver *r, const struct ctask_probe_event *event)
{
	ctask_requests_gone(r->requests, event->self, time_of(event));
}

/* A task takes a request back, by a method of the construct that made it. */
static void take_uncancel(struct ctask_resolver *r, const struct ctask_probe_event *event)
{
	struct ctask_stack_seen *stack = malloc(sizeof(*stack));
	uint64_t construct = 0;
	bool any = true;

	if (!stack)
		return;
	ctask_stack_of_thread(&r->stacks, event, stack);
	if (stack->count) {
		if (stack->facts[0]->arguments)
			construct = ctask_seen_local(r->heap, &stack->seen[0], 0);
		/* A group also takes back what it did not ask, to ask it anew at once. */
		any = !stack->facts[0]->is_group_exit;
	}
	if (ctask_task_ending(r, event->self) != CTASK_GOES_ON)
		take_gone(r, event); /* done: a block that ends later takes nothing back */
	else
		ctask_requests_absorb(r->requests, event->self, construct, any, time_of(event));
	free(stack);
}

/* The only piece is the frame of who calls cancelling(): of a construct that is entered. */
static void take_entered(struct ctask_resolver *r, const struct ctask_probe_event *event)
{
	const struct ctask_probe_piece *piece = ctask_piece_next(event, NULL);
	const struct ctask_code_facts *facts;
	struct ctask_frame_view view;
	struct ctask_code *code;

	if (!piece || ctask_frame_read(r->functions.codes, piece->addr, &view) || view.shim)
		return;
	code = ctask_code_at(r->functions.codes, view.code);
	facts = code ? ctask_function_facts(&r->functions, code) : NULL;
	if (facts && facts->is_enter) {
		const struct ctask_seen seen = { .locals = view.locals };

		ctask_requests_note_entered(r->requests, ctask_seen_local(r->heap, &seen, 0),
					    time_of(event));
	}
}

/* Forget what was read: the target ran on, and its types may have gone. */
static void look_anew(struct ctask_resolver *r)
{
	uint64_t task_type = r->heap->py_task_type, future_type = r->heap->py_future_type;

	ctask_heap_forget(r->heap);
	r->heap->py_task_type = task_type;
	r->heap->py_future_type = future_type;
	ctask_pages_thaw(r->heap->pages);
	r->heap->pages->touched_count = 0;
	r->heap->pages->error = 0;
}

void ctask_resolver_take(struct ctask_resolver *r, const struct ctask_probe_event *event)
{
	struct ctask_pages *pages = r->heap->pages;

	if (event->kind == CTASK_PROBE_THROW) { /* no memory tells more of it */
		ctask_requests_delivered(r->requests, event->self);
		return;
	}
	if (ctask_photo_show(r->photo, event, pages))
		look_anew(r);
	pages->touched_count = 0;
	pages->steps = pages->next_look = 0;
	pages->error = 0;
	switch (event->kind) {
	case CTASK_PROBE_CANCEL:
		ctask_take_cancel(r, event);
		break;
	case CTASK_PROBE_UNCANCEL:
		take_uncancel(r, event);
		break;
	case CTASK_PROBE_GONE:
		take_gone(r, event);
		break;
	case CTASK_PROBE_ENTERED:
		take_entered(r, event);
		break;
	}
	ctask_photo_hide(r->photo, pages);
	ctask_texts_clear(r->texts);
}

bool ctask_resolver_watch(struct ctask_resolver *r)
{
	bool held;

	ctask_photo_live(r->photo);
	look_anew(r);
	held = ctask_held_watch(r->held, (double)ctask_clock_us(CLOCK_MONOTONIC) / 1e6);
	return ctask_requests_watch(r->requests) || held;
}

void ctask_resolver_end(struct ctask_resolver *r)
{
	ctask_held_release(r->held);
}

bool ctask_resolver_code(struct ctask_resolver *r, struct ctask_code *code,
			 struct ctask_probe_code *ret)
{
	return ctask_function_follow(&r->functions, code, ret);
}

bool ctask_resolver_new_code(struct ctask_resolver *r, uint64_t *ret_addr,
			     struct ctask_probe_code *ret)
{
	return ctask_function_fresh(&r->functions, ret_addr, ret);
}

struct ctask_resolver *ctask_resolver_create(struct ctask_walk *walk, struct ctask_photo *photo,
					     struct ctask_bpf_history *history,
					     const struct ctask_asyncio_facts *facts)
{
	struct ctask_resolver *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->walk = walk;
	r->heap = &walk->heap;
	r->texts = ctask_texts_create();
	r->photo = photo;
	r->history = history;
	r->asyncio = *facts;
	r->functions = (struct ctask_functions){ .codes = &walk->codes, .history = history };
	r->stacks = (struct ctask_stack_reader){ .functions = &r->functions };
	r->epoch_us = ctask_clock_us(CLOCK_REALTIME) - ctask_clock_us(CLOCK_MONOTONIC);
	r->calls = ctask_calls_create();
	r->requests = ctask_requests_create(r, history);
	r->held = ctask_held_create(r);
	if (!r->texts || !r->calls || !r->requests || !r->held) {
		ctask_resolver_destroy(r);
		return NULL;
	}
	return r;
}

void ctask_resolver_destroy(struct ctask_resolver *r)
{
	if (!r)
		return;
	ctask_functions_fini(&r->functions);
	ctask_stack_reader_fini(&r->stacks);
	ctask_calls_destroy(r->calls);
	ctask_requests_destroy(r->requests);
	ctask_held_destroy(r->held);
	ctask_texts_destroy(r->texts);
	free(r);
}
