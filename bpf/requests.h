/* requests.h - the requests whose outcome is not known yet, and how they end. */
#ifndef CTASK_BPF_REQUESTS_H
#define CTASK_BPF_REQUESTS_H

#include <stdbool.h>
#include <stdint.h>

#include "bpf/history.h"
#include "bpf/resolve.h"

/*
 * As agent/requests.h, but seen from outside: that an exception is delivered, that a request is taken
 * back, and that a task is freed, come from probes and are exact; that a task is done and still held, or goes on
 * as if nothing had been asked, is found by looking at it. Times are seconds of CLOCK_MONOTONIC.
 */
struct ctask_requests;

struct ctask_requests *ctask_requests_create(struct ctask_resolver *resolver,
					     struct ctask_bpf_history *history);
void ctask_requests_destroy(struct ctask_requests *requests);

void ctask_requests_add(struct ctask_requests *requests, uint64_t task, uint64_t coro,
			uint64_t waiter, uint64_t id, double now, bool of_block);
/** @p coro is about to be given an exception. */
void ctask_requests_delivered(struct ctask_requests *requests, uint64_t coro, uint64_t exception,
			      double now);
void ctask_requests_absorb(struct ctask_requests *requests, uint64_t task, uint64_t scope, bool any,
			   double now);
/** The task is being freed; its memory is as it was. */
void ctask_requests_gone(struct ctask_requests *requests, uint64_t task, double now);
/** Look at all tasks that have open requests. True while there are such. */
bool ctask_requests_watch(struct ctask_requests *requests);

uint64_t ctask_requests_cause(struct ctask_requests *requests, uint64_t task);
uint64_t ctask_requests_newest(struct ctask_requests *requests, uint64_t task);

/** A construct was entered; when, or NAN. */
void ctask_requests_note_entered(struct ctask_requests *requests, uint64_t construct, double now);
double ctask_requests_entered(struct ctask_requests *requests, uint64_t construct);

/* What resolve.c knows of tasks. */
enum ctask_ending {
	CTASK_GOES_ON,
	CTASK_ENDED_CANCELLED,
	CTASK_ENDED_RETURNED,
	CTASK_ENDED_RAISED,
	CTASK_UNREADABLE
};

enum ctask_ending ctask_task_ending(struct ctask_resolver *resolver, uint64_t task);
/** True when what is thrown into @p coro is seen by a probe. */
bool ctask_coro_is_probed(struct ctask_resolver *resolver, uint64_t coro);
/** What it waits for, or 0. */
uint64_t ctask_task_waiter(struct ctask_resolver *resolver, uint64_t task);
uint64_t ctask_task_coro_now(struct ctask_resolver *resolver, uint64_t task);
/**
 * True when the task is still busy with a CancelledError. ret_inside[i]: it stands in the block of blocks[i].
 * *ret_running: it runs, or is about to, and nothing can be said.
 */
bool ctask_task_is_busy(struct ctask_resolver *resolver, uint64_t task, uint64_t *blocks,
			uint32_t count, bool *ret_inside, bool *ret_running);
bool ctask_stems_from_cancel(struct ctask_resolver *resolver, uint64_t exception);
ctask_text ctask_exception_text(struct ctask_resolver *resolver, uint64_t exception);

#endif
