/* stack.h - whole stacks, each frame with its place and what is known of its code. */
#ifndef CTASK_AGENT_STACK_H
#define CTASK_AGENT_STACK_H

#include "agent/code.h"
#include "agent/frames.h"

enum { CTASK_STACK_FRAMES = 64 };

/** Frames innermost first. What does not fit is cut at the outer end, and counted. */
struct ctask_stack_seen {
	int count, cut;
	bool running; /**< of a task: it runs, and its frames are among those of a thread; count is 0 */
	uint32_t places[CTASK_STACK_FRAMES];
	const struct ctask_code_facts *facts[CTASK_STACK_FRAMES];
	struct ctask_seen seen[CTASK_STACK_FRAMES];
};

/* All need the GIL. */

/** What runs in this thread. */
void ctask_stack_of_thread(struct ctask_stack_seen *ret);
/** Where a suspended coroutine stands. */
void ctask_stack_of_coro(struct ctask_stack_seen *ret, struct py_object *coro);
/** Where the suspended @p task of asyncio stands. */
void ctask_stack_of_task(struct ctask_stack_seen *ret, struct py_object *task);

/** In a forked child, whose places are numbered anew. */
void ctask_stack_forget(void);

/** The word for the name of a coroutine's function; 0 when it is none that is written in Python. */
uint32_t ctask_stack_coroutine(struct py_object *coro);
/** True when @p type is NULL, or the frame's first variable is an instance of a type of that name. */
bool ctask_stack_self_is(const struct ctask_seen *seen, const char *type);
/** True when @p stack, of a suspended task, stands inside a block (`with`) of @p construct, its exit included. */
bool ctask_stack_is_inside(const struct ctask_stack_seen *stack, const void *construct);
/** 1 + the index of the frame that has that block, or is its exit; 0 when none does. */
uint32_t ctask_stack_block(const struct ctask_stack_seen *stack, const void *construct);
/** True when the frame object @p object stands for @p frame. */
bool ctask_frame_is(const struct py_object *object, const char *frame);
/** The innermost place of this thread that is not the runtime's own; 0 when there is none. */
uint32_t ctask_stack_user_place(void);

/**
 * Keep bytes, and @p end behind them, in the side ring, once while they are new. The caller
 * holds the lock.
 */
uint64_t ctask_side_once(const void *bytes, size_t len, const char *end);

#endif
