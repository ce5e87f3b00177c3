/* frame.h - coroutines, generators and the frames of threads: who awaits what, and where it stands. */
#ifndef CTASK_READER_FRAME_H
#define CTASK_READER_FRAME_H

#include <stdbool.h>
#include <stdint.h>

#include "reader/code.h"
#include "reader/object.h"

enum ctask_gen_state {
	CTASK_GEN_CREATED,
	CTASK_GEN_SUSPENDED,
	CTASK_GEN_EXECUTING,
	CTASK_GEN_DONE
};

/** One frame as it lies in memory. */
struct ctask_frame_view {
	uint64_t addr;	    /* of the frame */
	uint64_t code;	    /* address of its code object */
	uint64_t previous;  /* the frame that called it, 0 = none */
	uint64_t gen;	    /* the coroutine or generator that it is the frame of, 0 = none */
	int64_t lasti;	    /* byte offset of the instruction it is at; -1 = not started */
	uint64_t locals;    /* address of its first local variable */
	uint64_t stack_top; /* address behind the topmost value; 0 = not known */
	bool shim;	    /* belongs to the interpreter, not to any Python code */
};

/** Read the frame at @p addr. 0, -EFAULT, -EPROTO. */
int ctask_frame_read(struct ctask_codes *codes, uint64_t addr, struct ctask_frame_view *ret_frame);

/** Read a coroutine, generator or async generator; ret_frame is valid unless it is DONE. */
int ctask_gen_read(struct ctask_codes *codes, uint64_t gen, enum ctask_kind kind,
		   enum ctask_gen_state *ret_state, struct ctask_frame_view *ret_frame,
		   uint64_t *ret_awaited);

/** One step of an await chain. */
struct ctask_link {
	uint64_t gen; /* the coroutine or generator; 0 for a plain function's frame */
	uint64_t locals;
	uint64_t stack_top;
	uint32_t code;	/* index among the codes */
	uint32_t frame; /* index into the snapshot's frames */
};

/** An await chain, outermost first. Reused from task to task. */
struct ctask_chain {
	struct ctask_link *links;
	uint32_t count, room;
	bool executing; /* the outermost coroutine is running now */
	bool done;	/* the outermost coroutine has ended */
	bool created;	/* it has not begun yet */
	bool handles_cancel; /* one of its coroutines is handling a CancelledError; of those of the thread, where it runs */
	uint64_t end; /* what the innermost awaits and is no coroutine: a future, or 0 */
};

void ctask_chain_fini(struct ctask_chain *chain);

/** Where threads' Python stacks begin: addresses of their current frames. */
struct ctask_stacks {
	const uint64_t *tops;
	uint32_t count;
};

/**
 * Follow what @p coro awaits. Where it is executing, its links are the frames
 * of the thread that executes it, plain functions included. -EPROTO and a
 * shorter chain when a part makes no sense.
 */
int ctask_chain_read(struct ctask_codes *codes, const struct ctask_stacks *stacks, uint64_t coro,
		     struct ctask_chain *chain);

/**
 * The value of local variable @p name in a link's frame, through its cell when
 * it is in one. -ENOENT when it has none, or none now.
 */
int ctask_link_local(struct ctask_codes *codes, const struct ctask_link *link, const char *name,
		     uint64_t *ret_value);

#endif
