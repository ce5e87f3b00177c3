/* requests.h - the requests whose outcome is not known yet, and how they end. */
#ifndef CTASK_BPF_REQUESTS_H
#define CTASK_BPF_REQUESTS_H

#include <stdbool.h>
#include <stdint.h>

#include "bpf/history.h"
#include "bpf/resolve.h"
#include "model/asked.h"

/*
 * As agent/requests.h, but seen from outside: that an exception is delivered, that a request is taken
 * back, and that a task is freed, come from probes and are exact; that a task is done and still held, or goes on
 * as if nothing had been asked, is found by looking at it. Times are seconds of CLOCK_MONOTONIC.
 */
struct ctask_requests;

struct ctask_requests *ctask_requests_create(struct ctask_resolver *resolver,
					     struct ctask_bpf_history *history);
void ctask_requests_destroy(struct ctask_requests *requests);

/** A task that is asked. */
struct ctask_asked_task {
	uint64_t task, coro;
	uint64_t waiter; /**< what it waits for, or 0 */
};

/** @p who is asked by record @p id, which was just put; @p block as in model/classify.h. */
void ctask_requests_add(struct ctask_requests *requests, const struct ctask_asked_task *who,
			uint64_t id, double now, const struct ctask_asking_block *block);
/** Record @p id was no request to @p task after all. */
void ctask_requests_drop(struct ctask_requests *requests, uint64_t task, uint64_t id);
/** @p coro is about to be given an exception. */
void ctask_requests_delivered(struct ctask_requests *requests, uint64_t coro);
/**
 * @p task takes back the request that was made through @p scope; if none was, and @p any: the newest. Its
 * outcome is absorbed.
 */
void ctask_requests_absorb(struct ctask_requests *requests, uint64_t task, uint64_t scope, bool any,
			   double now);
/** The task is being freed; its memory is as it was. */
void ctask_requests_gone(struct ctask_requests *requests, uint64_t task, double now);
/** Look at all tasks that have open requests. True while there are such. */
bool ctask_requests_watch(struct ctask_requests *requests);

/** The open request that @p task is unwinding from, if it is unwinding; 0 when there is none. */
uint64_t ctask_requests_cause(struct ctask_requests *requests, uint64_t task);
/** The newest open request to @p task, or 0. */
uint64_t ctask_requests_newest(struct ctask_requests *requests, uint64_t task);

/** A construct was entered; when, or NAN. */
void ctask_requests_note_entered(struct ctask_requests *requests, uint64_t construct, double now);
double ctask_requests_entered(struct ctask_requests *requests, uint64_t construct);

#endif
