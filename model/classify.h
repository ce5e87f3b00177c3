/* classify.h - what a call of cancel() means: from the frames that it came through to who asked, why, and through what. */
#ifndef CTASK_MODEL_CLASSIFY_H
#define CTASK_MODEL_CLASSIFY_H

#include <ctask/history.h>
#include <stdbool.h>
#include <stdint.h>

#include "model/facts.h"

/*
 * The rules, once: they look at a call through struct ctask_evidence, which the rooms that see calls fill in each
 * in its own way. An object is its address in the program; 0 = there is none, or it is None. Nothing here
 * allocates or locks.
 */

/** Frames, innermost first. */
struct ctask_call_frames {
	int count;
	const struct ctask_code_facts *const *facts;
};

/** A block (`with`) of a construct that the target is inside of, and that takes the request back where it ends. */
struct ctask_asking_block {
	uint64_t construct; /**< 0: there is none */
	/**
	 * An attribute of it, and its value when it asked: another one is there soon at the same
	 * address, where blocks are entered in a loop. NULL, or a number that another has not …
	 */
	const char *when;
	double when_s;
	const char *fired; /**< … or one that is true once it has asked; or NULL */
};

/** One call, while it is looked into. */
struct ctask_asking {
	const struct ctask_evidence *evidence;
	/* What is to be known beforehand. */
	struct ctask_call_frames stack; /**< of the thread */
	struct ctask_call_frames chain; /**< of the target, where it is suspended */
	uint64_t target, target_coro;
	uint64_t task, loop; /**< that run in the thread */
	/** Frames inside of the task's coroutine, or that the loop called; all when neither runs. */
	int end;
	double now; /**< seconds of the monotonic clock */
	/** A deadline is made just before its block is entered: more than this is not known of the delay, 1/s. */
	double delay_steps;
	/* What comes of it. Before: time_us, target, thread, and delay_s and elapsed_s NAN. */
	struct ctask_record record;
	/** The failure that it is about, or 0; record.failed_task is whose it is. */
	uint64_t exception;
	/** The requester is a callback that has no frame. */
	bool is_unnamed_callback;
	struct ctask_asking_block block;
	double when; /**< the deadline of the construct that decided, on the loop's clock; NAN = not known */
};

/** The call that a call was made inside of. */
struct ctask_outer_call {
	uint64_t id, target;
	int frames; /**< of the stack, that are inside of it */
};

enum ctask_sort {
	CTASK_SORT_EXCEPTION,
	CTASK_SORT_CANCELLED_ERROR,
	CTASK_SORT_KEYBOARD_INTERRUPT,
	CTASK_SORT_INT,
};

/** How a room looks at what a call came through. @p i is a frame of the thread's stack, @p c one of the target's chain. */
struct ctask_evidence {
	/** A fast local, through a cell if it is one; 0 when it has no value, or slot is -1. */
	uint64_t (*local)(struct ctask_asking *a, int i, int slot);
	/** The variable, or its attribute. */
	uint64_t (*value)(struct ctask_asking *a, int i, const struct ctask_local *local);
	/** Its first variable is an instance of a type of that name, or of one derived from it. */
	bool (*self_is)(struct ctask_asking *a, int i, const char *type);
	/** What its coroutine or generator is handling. */
	uint64_t (*exception)(struct ctask_asking *a, int i);
	/** That, or an exception in whose handling it was raised, is a CancelledError. */
	bool (*is_unwinding)(struct ctask_asking *a, int i);
	/** @p object is the frame object of the frame. */
	bool (*is_frame)(struct ctask_asking *a, uint64_t object, int i);
	/** What the thread is handling. */
	uint64_t (*handled)(struct ctask_asking *a);
	/** The traceback of @p exception begins in the frame. */
	bool (*came_through)(struct ctask_asking *a, uint64_t exception, int i);

	uint64_t (*chain_local)(struct ctask_asking *a, int c, int slot);
	/** It holds @p object on its value stack, or a method bound to it. */
	bool (*chain_holds)(struct ctask_asking *a, int c, uint64_t object);
	/** The target stands inside a block of @p construct, its exit included. */
	bool (*is_inside)(struct ctask_asking *a, uint64_t construct);

	bool (*is_a)(struct ctask_asking *a, uint64_t object, enum ctask_sort sort);
	/** Of a tuple; *ret_item. False beyond its end, and for what is no tuple. */
	bool (*item)(struct ctask_asking *a, uint64_t tuple, int at, uint64_t *ret_item);
	uint64_t (*attribute)(struct ctask_asking *a, uint64_t object, const char *name);
	/** NAN when it is neither int nor float. */
	double (*seconds)(struct ctask_asking *a, uint64_t number);

	/** Another thread runs the target's loop. */
	bool (*runs_elsewhere)(struct ctask_asking *a);
	/** When @p construct was entered, seconds; NAN = not known. */
	double (*entered_at)(struct ctask_asking *a, uint64_t construct);
	/** By its own count (3.11 on): it was asked, and has not taken it back. */
	bool (*is_cancelling)(struct ctask_asking *a, uint64_t task);
	/** Its newest open request, or 0. */
	uint64_t (*newest)(struct ctask_asking *a, uint64_t task);
	/** The open request that it is unwinding from, or 0. */
	uint64_t (*cause)(struct ctask_asking *a, uint64_t task);
	/** A copy of an older record. False when it fell out. */
	bool (*record)(struct ctask_asking *a, uint64_t id, struct ctask_record *ret);
	/** The target of @p outer waits in a wait_for(): its coroutine, and its delay. */
	bool (*outer_wait_for)(struct ctask_asking *a, const struct ctask_outer_call *outer,
			       uint64_t *ret_wait_for, double *ret_delay);
};

/**
 * Frames of the stack up to @p end: the innermost that is a signal handler's (called with a number and the frame that
 * it interrupted, which is the one outside of it); -1 when there is none.
 */
int ctask_find_signal_handler(struct ctask_asking *asking, int end);

/** A call that nobody's call led to: who asked, why, and of what request it follows. */
void ctask_classify(struct ctask_asking *asking);
/** A call that was made inside of another, and passes it on. */
void ctask_classify_passed_on(struct ctask_asking *asking, const struct ctask_outer_call *outer);

#endif
