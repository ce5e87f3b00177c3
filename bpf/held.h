/* held.h - requests that are kept back until it is known that cancel() did not raise. */
#ifndef CTASK_BPF_HELD_H
#define CTASK_BPF_HELD_H

#include "bpf/resolver.h"

/*
 * That a cancel() raises shows only on its return, which no probe sees. But a target that waits for another task asks that
 * one in turn, unless something went wrong before; and a gather notes that it asked. Until the call is known to be over,
 * some milliseconds, the record and those behind it stay out of sight. A future whose class has a cancel() of its own is
 * believed.
 */
struct ctask_held;

/** For @p resolver, which is borrowed. NULL when out of memory. */
struct ctask_held *ctask_held_create(struct ctask_resolver *resolver);
/** NULL is fine. */
void ctask_held_destroy(struct ctask_held *held);

/** What is to be known of a call. */
struct ctask_held_call {
	uint64_t outer; /**< record of the call that it was made inside of, or 0 */
	uint64_t coro;	/**< of its target */
	uint64_t waiter;
	uint64_t tstate, frame; /**< of who made the call */
	uint32_t place;
	double now;
};

/** Put @p record, whose id is to be ctask_held_next(), and show it unless something is held. */
void ctask_held_put(struct ctask_held *held, const struct ctask_record *record,
		    const struct ctask_held_call *call);
/** The id of the next record. */
uint64_t ctask_held_next(const struct ctask_held *held);
/** Look at what is held, in living memory; take back what was none, and show the rest. True while something is held. */
bool ctask_held_watch(struct ctask_held *held, double now);
/** No more comes: show all. */
void ctask_held_release(struct ctask_held *held);

#endif
