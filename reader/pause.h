/* pause.h - hold all threads of a process for a moment. */
#ifndef CTASK_READER_PAUSE_H
#define CTASK_READER_PAUSE_H

#include <stdint.h>
#include <sys/types.h>

#include "model/error.h"

/**
 * A process that is held by ptrace. SEIZE and INTERRUPT, not a signal: the
 * parent gets no notice, and the kernel lets the threads go on should this
 * process die. Use it from one thread, made for it, that ends soon after: a
 * thread of the target that is stuck in the kernel is let go by the end of the
 * thread that traces it.
 */
struct ctask_pause;

/**
 * Stop all threads of @p pid, until *ret_deadline_ns (CLOCK_MONOTONIC) at the
 * latest, which the caller keeps. On return every thread stands still, or is in a
 * kernel call from which it cannot return. -EPERM when it may not be traced
 * (or is traced by somebody else), -ETIMEDOUT when it would
 * have to be held for more than @p at_most_ns, -EOWNERDEAD when it ended; the process then runs on,
 * and *ret_held_ns is how long a part of it stood still nevertheless.
 */
int ctask_pause_begin(pid_t pid, int64_t at_most_ns, struct ctask_pause **ret_pause,
		      int64_t *ret_deadline_ns, int64_t *ret_held_ns, struct ctask_error *err);

/**
 * Let all threads go on; signals that came meanwhile reach them. NULL is fine.
 * Returns for how long the process was held, in nanoseconds: from the first
 * thread seen standing to the last one let go.
 */
int64_t ctask_pause_end(struct ctask_pause *pause);

#endif
