/* frames.h - what runs in this thread, and where suspended coroutines stand. */
#ifndef CTASK_AGENT_FRAMES_H
#define CTASK_AGENT_FRAMES_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/code.h"
#include "agent/python.h"

/*
 * All need the GIL and a layout that ctask_python_meet() has accepted: they
 * read the interpreter's frames where they lie. References are borrowed.
 */

/** A frame, seen once. */
struct ctask_seen {
	const char *frame; /**< PyFrameObject to 3.10, _PyInterpreterFrame from 3.11 on */
	struct py_object *code;
	struct py_object *gen; /**< the coroutine or generator that it is the frame of, or NULL */
	int lasti;
};

/** The frame that runs in this thread, or NULL. */
const char *ctask_frame_now(void);
/** Frames that run @p code are ours, and not seen. At most a few; @p code stays for good. */
void ctask_frames_hide(const struct py_object *code);
/** Take apart the frame at or outside of @p frame that runs Python code. False when there is none. */
bool ctask_frame_see(const char *frame, struct ctask_seen *ret);
/** The next one outwards. False when there is none. */
bool ctask_frame_outer(const struct ctask_seen *seen, struct ctask_seen *ret);

/** A fast local of a frame, through a cell if it is one; NULL when it has no value. */
struct py_object *ctask_frame_local(const char *frame, int slot);
/** The variable, or its attribute: a new reference, or NULL. */
struct py_object *ctask_frame_value(const char *frame, const struct ctask_local *local);
/**
 * True when the suspended frame of @p seen holds @p object on its value stack, or a method bound to it:
 * it stands inside a `with` of that object. @p facts are those of its code.
 */
bool ctask_frame_holds(const struct ctask_seen *seen, const struct ctask_code_facts *facts,
		       const void *object);

/**
 * The same of an object that is not known: the first one, or the object of a method, for which @p is
 * says so, given @p arg; NULL when there is none.
 */
struct py_object *ctask_frame_find(const struct ctask_seen *seen,
				   const struct ctask_code_facts *facts,
				   bool (*is)(struct py_object *object, const void *arg),
				   const void *arg);

/** An await chain that is gone along: begin with at, the coroutine, and the rest zero. */
struct ctask_chain {
	struct py_object *at;
	int steps;
	bool running; /**< the coroutine runs now: it has no chain */
	/** It goes on into an awaitable that cannot be looked into, such as a coroutine of an extension module. */
	bool unseen;
};

/** The next frame inwards; false when there is none. Calls nothing of Python. */
bool ctask_chain_next(struct ctask_chain *chain, struct ctask_seen *ret);
/**
 * All of it, outermost first: at most @p room frames from the inner end are kept.
 * Returns how many; *ret_cut is how many were left out at the outer end. 0 where the coroutine runs now.
 */
int ctask_chain_see(struct ctask_chain *chain, struct ctask_seen *to, int room, int *ret_cut);

/** The code of a coroutine or generator that is not done; NULL for anything else. */
struct py_object *ctask_gen_code(const struct py_object *gen);

/** The exception that a coroutine or generator is handling, borrowed; NULL when it is handling none. */
struct py_object *ctask_gen_exception(struct py_object *gen);

#endif
