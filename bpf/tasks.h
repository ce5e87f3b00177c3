/* tasks.h - tasks, loops and threads of a target, as memory tells of them. */
#ifndef CTASK_BPF_TASKS_H
#define CTASK_BPF_TASKS_H

#include <stdbool.h>

#include "bpf/resolver.h"
#include "model/asked.h"

/** Whether it is done, and how. */
enum ctask_ending ctask_task_ending(struct ctask_resolver *resolver, uint64_t task);
ctask_text ctask_task_name(struct ctask_resolver *resolver, uint64_t task);
/** Its coroutine, what it waits for, its loop: 0 = none. */
uint64_t ctask_task_coro(struct ctask_resolver *resolver, uint64_t task);
uint64_t ctask_task_waiter(struct ctask_resolver *resolver, uint64_t task);
uint64_t ctask_task_loop(struct ctask_resolver *resolver, uint64_t task);
/** A request was made that it is given at its next step. */
bool ctask_task_must_cancel(struct ctask_resolver *resolver, uint64_t task);
/** The future or task at @p future, written in C, is done. */
bool ctask_waiter_is_done(struct ctask_resolver *resolver, uint64_t future);
/** By its own count (3.11 on): it was asked to stop, and has not taken it back. */
bool ctask_task_is_cancelling(struct ctask_resolver *resolver, uint64_t task);
/** True when what is thrown into @p coro is seen by a probe. */
bool ctask_coro_is_probed(struct ctask_resolver *resolver, uint64_t coro);
/** The word for the name of a coroutine's function; 0 when it is none that is written in Python. */
uint32_t ctask_coro_word(struct ctask_resolver *resolver, uint64_t coro);

enum ctask_busy {
	CTASK_BUSY_RUNS,    /**< it runs, or is about to: nothing can be said */
	CTASK_BUSY_HANDLES, /**< it is handling a CancelledError, or keeps one to raise it later */
	CTASK_BUSY_NOT
};

/**
 * The frames of @p task, whose coroutine is @p coro, where it runs now, its own part of its thread's. They may change while
 * they are read. False when they cannot be seen.
 */
bool ctask_stack_of_running(struct ctask_resolver *resolver, uint64_t task, uint64_t coro,
			    struct ctask_stack_seen *ret);
/** Whether @p task, which stands as @p chain tells, is still busy with a request. */
enum ctask_busy ctask_task_busy(struct ctask_resolver *resolver, uint64_t task,
				const struct ctask_stack_seen *chain);

/** The loop that runs in a thread, and its task that does: 0 = none. */
uint64_t ctask_thread_loop(struct ctask_resolver *resolver, uint64_t tstate);
uint64_t ctask_thread_task(struct ctask_resolver *resolver, uint64_t tstate, uint64_t loop);
/**
 * True when the frame at @p frame is on the stack of the thread of @p tstate, at @p place; also where the stack
 * is too deep to be seen whole.
 */
bool ctask_thread_stands_at(struct ctask_resolver *resolver, uint64_t tstate, uint64_t frame,
			    uint32_t place);
/** True when another thread than that of @p tstate runs @p loop. */
bool ctask_loop_runs_elsewhere(struct ctask_resolver *resolver, uint64_t tstate, uint64_t loop);
/** How many frames of @p stack, from the inner end, were called by the loop that runs in it. */
int ctask_stack_loop_base(const struct ctask_stack_seen *stack);
/** The name that threading has for a thread; NULL when it has none. */
ctask_text ctask_thread_name(struct ctask_resolver *resolver, uint64_t tstate);

#endif
