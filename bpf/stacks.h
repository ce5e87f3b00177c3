/* stacks.h - whole stacks of a target, each frame with its place and what is known of its code. */
#ifndef CTASK_BPF_STACKS_H
#define CTASK_BPF_STACKS_H

#include "bpf/functions.h"
#include "bpf/photo.h"
#include "reader/frame.h"

enum { CTASK_STACK_FRAMES = 64 };

/** What stacks are read with. Begin with functions, and the rest zero. */
struct ctask_stack_reader {
	struct ctask_functions *functions;
	struct ctask_chain chain; /* reused */
};

/** A frame, seen once. */
struct ctask_seen {
	uint64_t frame; /**< its address; 0 in a chain */
	uint64_t gen;	/**< the coroutine or generator that it is the frame of, or 0 */
	uint64_t locals, stack_top;
};

/** Frames innermost first. What does not fit is cut at the outer end, and counted. */
struct ctask_stack_seen {
	int count;
	uint32_t cut;
	bool running; /**< of a task: it runs, and its frames are among those of a thread; count is 0 */
	uint32_t places[CTASK_STACK_FRAMES];
	const struct ctask_code_facts *facts[CTASK_STACK_FRAMES];
	struct ctask_seen seen[CTASK_STACK_FRAMES];
};

void ctask_stack_reader_fini(struct ctask_stack_reader *reader);

/** What runs in the thread of @p event. */
void ctask_stack_of_thread(struct ctask_stack_reader *reader, const struct ctask_probe_event *event,
			   struct ctask_stack_seen *ret);
/** True when the frame at @p frame is on the stack of the thread of @p tstate, at @p place; also where the stack is very deep. */
bool ctask_stack_stands_at(struct ctask_stack_reader *reader, uint64_t tstate, uint64_t frame,
			   uint32_t place);
/** Where the suspended coroutine @p coro stands; 0 stands nowhere. */
void ctask_stack_of_coro(struct ctask_stack_reader *reader, uint64_t coro,
			 struct ctask_stack_seen *ret);

/** A fast local of a frame, through a cell if it is one; 0 when it has no value, or that is None. */
uint64_t ctask_seen_local(struct ctask_heap *heap, const struct ctask_seen *seen, int slot);
/** The variable, or its attribute. */
uint64_t ctask_seen_value(struct ctask_heap *heap, const struct ctask_seen *seen,
			  const struct ctask_local *local);
/**
 * True when the suspended frame @p seen holds @p object on its value stack, or a method bound to it: it stands
 * inside a `with` of that object.
 */
bool ctask_seen_holds(struct ctask_heap *heap, const struct ctask_seen *seen,
		      const struct ctask_code_facts *facts, uint64_t object);
/** True when @p stack, of a suspended task, stands inside a block of @p construct, its exit included. */
bool ctask_stack_is_inside(struct ctask_heap *heap, const struct ctask_stack_seen *stack,
			   uint64_t construct);
/** The frame of @p coro on @p stack; its count when it is not there. */
int ctask_stack_find(const struct ctask_stack_seen *stack, uint64_t coro);
/** The frame at @p frame; the stack's count when it is not there. */
int ctask_stack_find_frame(const struct ctask_stack_seen *stack, uint64_t frame);
/** True when the frame object @p object stands for the frame at @p frame. */
bool ctask_is_frame_object(struct ctask_heap *heap, uint64_t object, uint64_t frame);

#endif
