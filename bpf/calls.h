/* calls.h - which call of cancel() lies in which. */
#ifndef CTASK_BPF_CALLS_H
#define CTASK_BPF_CALLS_H

#include <stdbool.h>
#include <stdint.h>

#include "bpf/photo.h"
#include "bpf/stacks.h"
#include "model/classify.h"

/*
 * There is no probe on the return of a cancel(), which would change the target's stack. So a call is taken to be under way
 * while a later one of its thread lies deeper in the C stack, its caller's frame stands at the same instruction, and
 * the later one came by the object that its target waits for.
 */
struct ctask_calls;

/** NULL when out of memory. */
struct ctask_calls *ctask_calls_create(void);
/** NULL is fine. */
void ctask_calls_destroy(struct ctask_calls *calls);

/** A call that may still be under way. */
struct ctask_call {
	uint64_t id, target;
	uint64_t waiter; /**< what the target waits for, or 0 */
	uint64_t sp, caller, frame;
	uint32_t place;
	uint64_t wait_for; /**< the coroutine of the wait_for() that the target stands in, or 0 */
	double delay_s;	   /**< its delay; NAN = not known */
};

/** What is asked, and when: all of it borrowed. */
struct ctask_calls_view {
	struct ctask_heap *heap;
	const struct ctask_probe_event *event;
	const struct ctask_stack_seen *stack; /**< of its thread */
	struct ctask_asking *asking;
};

/**
 * The call that this one was made inside of, and passes on; NULL when there is none. Forgets those that have ended.
 * It stays good until the next call is added.
 */
const struct ctask_call *ctask_calls_round(struct ctask_calls *calls,
					   const struct ctask_calls_view *view);
/** A call has begun in thread @p tid. False when there is no room for it. */
bool ctask_calls_add(struct ctask_calls *calls, uint32_t tid, const struct ctask_call *call);

#endif
