/* loops.h - which loop each thread runs, and from where. */
#ifndef CTASK_AGENT_LOOPS_H
#define CTASK_AGENT_LOOPS_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/stack.h"

/* All need the GIL. */

/** This thread runs @p loop from now on; NULL: it runs none any more. */
void ctask_loops_run(struct py_object *loop);
/** The loop that this thread runs, or NULL. To ask asyncio would be a call, which fails where the stack is deep. */
struct py_object *ctask_loops_here(void);
/** True when another thread than this one runs @p loop. */
bool ctask_loops_elsewhere(const struct py_object *loop);
/** How many frames of @p stack, from the inner end, were called by the loop that this thread runs. */
int ctask_loops_base(const struct ctask_stack_seen *stack);

/** Native id of this thread, in the process's pid namespace. */
int ctask_loops_thread(void);
/** The name that Python's threading has for this thread; empty when it has none. */
void ctask_loops_thread_name(char *to, size_t room);

/** In a forked child: other threads are gone. */
void ctask_loops_forget(void);

#endif
