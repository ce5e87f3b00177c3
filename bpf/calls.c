/* calls.c - which call of cancel() lies in which. */
#include "bpf/calls.h"

#include <stdlib.h>

#include "bpf/objects.h"

enum {
	CALLS_MAX = 4096,   /* that lie in each other */
	THREADS_MAX = 1024, /* that are remembered: as many as the probes know at a time */
};

struct thread_calls {
	uint64_t looked_for; /* when; later is greater */
	uint32_t tid, count;
	struct ctask_call calls[CALLS_MAX];
};

struct ctask_calls {
	struct thread_calls **threads;
	uint32_t count;
	uint64_t looks;
};

struct ctask_calls *ctask_calls_create(void)
{
	return calloc(1, sizeof(struct ctask_calls));
}

void ctask_calls_destroy(struct ctask_calls *calls)
{
	for (uint32_t i = 0; calls && i < calls->count; i++)
		free(calls->threads[i]);
	if (calls)
		free(calls->threads);
	free(calls);
}

static struct thread_calls *add_thread(struct ctask_calls *calls)
{
	struct thread_calls **moved = realloc(calls->threads, (calls->count + 1) * sizeof(*moved));

	if (!moved)
		return NULL;
	calls->threads = moved;
	moved[calls->count] = calloc(1, sizeof(**moved));
	return moved[calls->count] ? moved[calls->count++] : NULL;
}

/*
 * Those of a thread; NULL when out of memory. Threads come and go, and nobody tells: the one that has not
 * been looked for longest gives way.
 */
static struct thread_calls *of_thread(struct ctask_calls *calls, uint32_t tid)
{
	struct thread_calls *thread, *oldest = NULL;

	for (uint32_t i = 0; i < calls->count; i++) {
		thread = calls->threads[i];
		if (!oldest || thread->looked_for < oldest->looked_for)
			oldest = thread;
		if (thread->tid == tid) {
			thread->looked_for = ++calls->looks;
			return thread;
		}
	}
	thread = calls->count < THREADS_MAX ? add_thread(calls) : oldest;
	if (!thread)
		return NULL;
	thread->looked_for = ++calls->looks;
	thread->tid = tid;
	thread->count = 0;
	return thread;
}

/* The frame that made @p call, while it still stands there; -1 when it does not, or this call is not inside of it. */
static int frame_of(const struct ctask_calls_view *view, const struct ctask_call *call)
{
	const struct ctask_stack_seen *stack = view->stack;
	int at = ctask_stack_find_frame(stack, call->frame);

	if (view->event->sp >= call->sp || at == stack->count || stack->places[at] != call->place)
		return -1;
	return at;
}

static bool encloses(const struct ctask_calls_view *view, const struct ctask_call *call,
		     bool is_last)
{
	int at = frame_of(view, call);

	if (at < 0 || !call->waiter || (is_last && view->event->outer != call->caller))
		return false;
	if (at == 0)
		return call->waiter == view->asking->target ||
		       !ctask_is_named(view->heap, call->waiter, "Future");
	return ctask_seen_local(view->heap, &view->stack->seen[at - 1], 0) == call->waiter;
}

/* Whether a signal handler runs inside of @p call, and made this one: what it asks is its own. */
static bool came_by_signal(const struct ctask_calls_view *view, const struct ctask_call *call)
{
	int at = frame_of(view, call);
	int handler = at < 0 ? -1 : ctask_find_signal_handler(view->asking, at);

	return handler >= 0 && at > handler + 1;
}

const struct ctask_call *ctask_calls_round(struct ctask_calls *calls,
					   const struct ctask_calls_view *view)
{
	struct thread_calls *thread = of_thread(calls, view->event->tid);
	bool is_last = true;

	while (thread && thread->count) {
		const struct ctask_call *last = &thread->calls[thread->count - 1];

		if (came_by_signal(view, last))
			return NULL; /* that one goes on afterwards */
		if (encloses(view, last, is_last))
			return last;
		thread->count--;
		is_last = false;
	}
	return NULL;
}

bool ctask_calls_add(struct ctask_calls *calls, uint32_t tid, const struct ctask_call *call)
{
	struct thread_calls *thread = of_thread(calls, tid);

	if (!thread || thread->count == CALLS_MAX)
		return false;
	thread->calls[thread->count++] = *call;
	return true;
}
