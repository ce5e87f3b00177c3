/* exceptions.h - exceptions in a target's memory: what is being handled, and what it says. */
#ifndef CTASK_BPF_EXCEPTIONS_H
#define CTASK_BPF_EXCEPTIONS_H

#include <stdbool.h>

#include "reader/object.h"

/** True for a CancelledError; 0 is none. */
bool ctask_is_cancelled_error(struct ctask_heap *heap, uint64_t exception);
/** True when it, or an exception in whose handling it was raised, is a CancelledError. */
bool ctask_stems_from_cancel(struct ctask_heap *heap, uint64_t exception);
/** What the coroutine or generator @p gen is handling, or 0. */
uint64_t ctask_gen_exception(struct ctask_heap *heap, uint64_t gen);
/** What the thread of @p tstate is handling, to 3.10; else 0. */
uint64_t ctask_thread_exception(struct ctask_heap *heap, uint64_t tstate);
/** The frame object with which the traceback of @p exception begins, or 0. */
uint64_t ctask_traceback_frame(struct ctask_heap *heap, uint64_t exception);

/** str() of an exception, where that is its arguments. NULL where it may be anything. */
ctask_text ctask_exception_text(struct ctask_heap *heap, struct ctask_texts *texts,
				uint64_t exception);

#endif
