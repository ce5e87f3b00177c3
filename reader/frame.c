/* frame.c - coroutines, generators and the frames of threads: who awaits what, and where it stands. */
#include "reader/frame.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	CHAIN_MAX = 1 << 20, /* links of one await chain */
	THREAD_FRAMES_MAX = 1 << 20,
	STACK_SLOTS_MAX = 1 << 20, /* values on the stack of one frame */
	OWNED_BY_GENERATOR = 1,	   /* FRAME_OWNED_BY_GENERATOR, 3.11 on */
	OWNER_SHIM = 3,		   /* FRAME_OWNED_BY_CSTACK; from 3.14 on BY_INTERPRETER, and … */
	OWNER_CSTACK_314 = 4,	   /* … FRAME_OWNED_BY_CSTACK (Include/internal/pycore_frame.h) */
	NEVER_SHOWN = 0xff,	   /* largest value of the one byte that a state is */
	WRAPPED = 16,		   /* coroutine_wrapper and its like: the object they drive */
};

static uint64_t untagged(const struct ctask_layout *l, uint64_t ref)
{
	return ref & ~(uint64_t)l->ref_tag_mask;
}

/* The bytes of a frame that are read in one go. */
struct frame_bytes {
	uint8_t at[CTASK_FRAME_BYTES_MAX + 8];
};

static uint64_t u64_at(const struct frame_bytes *bytes, uint32_t offset)
{
	uint64_t value;

	memcpy(&value, bytes->at + offset, sizeof(value));
	return value;
}

static int32_t i32_at(const struct frame_bytes *bytes, uint32_t offset)
{
	int32_t value;

	memcpy(&value, bytes->at + offset, sizeof(value));
	return value;
}

static uint64_t top_of_stack(const struct ctask_layout *l, const struct frame_bytes *bytes,
			     uint64_t locals)
{
	int32_t depth;

	switch (l->stack_form) {
	case CTASK_STACK_DEPTH:
		depth = i32_at(bytes, l->frame_stack);
		return depth <= 0 || depth > STACK_SLOTS_MAX
			       ? 0
			       : u64_at(bytes, l->frame_stack_base) + (uint64_t)depth * 8;
	case CTASK_STACK_INDEX:
		depth = i32_at(bytes, l->frame_stack);
		return depth <= 0 || depth > STACK_SLOTS_MAX ? 0 : locals + (uint64_t)depth * 8;
	default:
		return u64_at(bytes, l->frame_stack);
	}
}

/* Take apart the frame at @p addr whose first bytes are @p bytes. */
static int view_frame(struct ctask_codes *codes, uint64_t addr, const struct frame_bytes *bytes,
		      struct ctask_frame_view *ret)
{
	const struct ctask_layout *l = &codes->heap->layout;
	uint8_t owner = l->frame_owner == CTASK_NO_FIELD ? 0 : bytes->at[l->frame_owner];
	struct ctask_code *code;

	*ret = (struct ctask_frame_view){
		.addr = addr,
		.code = untagged(l, u64_at(bytes, l->frame_code)),
		.previous = u64_at(bytes, l->frame_previous),
		.locals = addr + l->frame_locals,
		.shim = owner == OWNER_SHIM || owner == OWNER_CSTACK_314,
	};
	if (l->frame_gen != CTASK_NO_FIELD)
		ret->gen = u64_at(bytes, l->frame_gen);
	else if (owner == OWNED_BY_GENERATOR)
		ret->gen = addr - l->gen_frame;
	if (ret->shim)
		return 0;
	code = ctask_code_at(codes, ret->code);
	if (!code)
		return -EPROTO;
	if (l->lasti_scale)
		ret->lasti = (int64_t)i32_at(bytes, l->frame_lasti) * l->lasti_scale;
	else
		ret->lasti = (int64_t)(u64_at(bytes, l->frame_lasti) - code->bytecode);
	if (ret->lasti < 0)
		ret->lasti = -1;
	ret->stack_top = top_of_stack(l, bytes, ret->locals);
	return 0;
}

int ctask_frame_read(struct ctask_codes *codes, uint64_t addr, struct ctask_frame_view *ret_frame)
{
	const struct ctask_layout *l = &codes->heap->layout;
	struct frame_bytes bytes;

	if (!addr || addr % 8 ||
	    ctask_pages_read(codes->heap->pages, addr, bytes.at, l->frame_locals))
		return -EFAULT;
	/* A frame that runs no code object belongs to the interpreter, whatever its owner is called. */
	if (view_frame(codes, addr, &bytes, ret_frame))
		ret_frame->shim = true;
	return 0;
}

static enum ctask_gen_state state_of(const struct ctask_layout *l, uint8_t state)
{
	if (state >= l->state_suspended && state <= l->state_suspended_end)
		return CTASK_GEN_SUSPENDED;
	if (state == l->state_executing)
		return CTASK_GEN_EXECUTING;
	return state == l->state_created ? CTASK_GEN_CREATED : CTASK_GEN_DONE;
}

/*
 * Whether a suspended generator stands at an await (yield from), not at a
 * plain yield. Where its state does not tell, the next instruction does.
 */
static bool at_await(struct ctask_codes *codes, enum ctask_kind kind, uint8_t state,
		     const struct ctask_frame_view *frame)
{
	const struct ctask_layout *l = &codes->heap->layout;
	struct ctask_code *code;
	uint8_t next[2];

	if (l->state_yield_from <= NEVER_SHOWN)
		return state >= l->state_yield_from && state <= l->state_yield_from_end;
	if (kind == CTASK_KIND_COROUTINE && !l->lasti_scale)
		return true;
	code = ctask_code_at(codes, frame->code);
	if (!code || ctask_pages_read(codes->heap->pages,
				      code->bytecode + (uint64_t)frame->lasti + 2, next, 2))
		return false;
	for (size_t i = 0; i < 3; i++)
		if (next[0] == l->await_opcodes[i])
			return (next[1] & 3) >= l->await_oparg_min;
	return false;
}

int ctask_gen_read(struct ctask_codes *codes, uint64_t gen, enum ctask_kind kind,
		   enum ctask_gen_state *ret_state, struct ctask_frame_view *ret_frame,
		   uint64_t *ret_awaited)
{
	struct ctask_heap *heap = codes->heap;
	const struct ctask_layout *l = &heap->layout;
	uint64_t frame = gen + l->gen_frame, value;
	struct frame_bytes bytes;
	uint8_t state = 0, running;
	int ret;

	*ret_awaited = 0;
	if (!l->gen_frame_inline && ctask_heap_u64(heap, frame, &frame))
		return -EFAULT;
	if (!frame) {
		*ret_state = CTASK_GEN_DONE;
		return 0;
	}
	if (l->gen_state != CTASK_NO_FIELD) {
		if (ctask_pages_read(heap->pages, gen + l->gen_state, &state, 1))
			return -EFAULT;
		*ret_state = state_of(l, state);
		if (*ret_state == CTASK_GEN_DONE)
			return 0;
	}
	if (ctask_pages_read(heap->pages, frame, bytes.at, l->frame_locals))
		return -EFAULT;
	ret = view_frame(codes, frame, &bytes, ret_frame);
	if (ret)
		return ret;
	if (l->gen_running != CTASK_NO_FIELD) {
		if (ctask_pages_read(heap->pages, gen + l->gen_running, &running, 1))
			return -EFAULT;
		*ret_state = running		    ? CTASK_GEN_EXECUTING
			     : ret_frame->lasti < 0 ? CTASK_GEN_CREATED
						    : CTASK_GEN_SUSPENDED;
	} else if (l->frame_state != CTASK_NO_FIELD) {
		state = bytes.at[l->frame_state];
		*ret_state = state_of(l, state);
	}
	if (*ret_state != CTASK_GEN_SUSPENDED || !ret_frame->stack_top ||
	    !at_await(codes, kind, state, ret_frame))
		return 0;
	if (ctask_heap_u64(heap, ret_frame->stack_top - 8ull * l->awaited_slot, &value))
		return -EFAULT;
	*ret_awaited = untagged(l, value);
	return 0;
}

void ctask_chain_fini(struct ctask_chain *chain)
{
	free(chain->links);
	*chain = (struct ctask_chain){ 0 };
}

static int push(struct ctask_codes *codes, struct ctask_chain *chain, uint64_t gen,
		const struct ctask_frame_view *frame)
{
	struct ctask_code *code = ctask_code_at(codes, frame->code);
	uint32_t place;

	if (!code)
		return -EPROTO;
	if (chain->count >= CHAIN_MAX)
		return -E2BIG;
	if (chain->count == chain->room) {
		uint32_t room = chain->room * 2 + 32;
		struct ctask_link *moved = realloc(chain->links, room * sizeof(*moved));

		if (!moved)
			return -ENOMEM;
		chain->links = moved;
		chain->room = room;
	}
	place = ctask_code_frame(codes, code, frame->lasti);
	if (place == CTASK_NONE)
		return -ENOMEM;
	chain->links[chain->count++] = (struct ctask_link){
		.gen = gen,
		.locals = frame->locals,
		.stack_top = frame->stack_top,
		.code = code->index,
		.frame = place,
	};
	return 0;
}

static void reverse(struct ctask_chain *chain)
{
	for (uint32_t i = 0, j = chain->count; i + 1 < j; i++) {
		struct ctask_link swapped = chain->links[i];

		chain->links[i] = chain->links[--j];
		chain->links[j] = swapped;
	}
}

/*
 * Whether a coroutine stands in an `except` or `finally` that a
 * CancelledError (trio: Cancelled) brought it to.
 */
static bool handles_cancel(struct ctask_heap *heap, uint64_t gen)
{
	const struct ctask_type *type;
	uint64_t exception;

	if (ctask_heap_u64(heap, gen + heap->layout.gen_exc_value, &exception) || !exception)
		return false;
	type = ctask_type_of(heap, exception);
	return type && (type->addr == heap->trio_cancelled_type ||
			!strcmp(ctask_type_short_name(type), "CancelledError"));
}

/*
 * A thread that is stopped at any instruction may stand between two stores: a
 * coroutine is marked as running before its frame is put on the stack (3.11+:
 * gen_send_ex2 in Objects/genobject.c, then _PyEval_EvalFrame), and as
 * suspended or done after it was taken off. Then its frame is one step from a
 * stack, and none of what it awaits runs. One that a greenlet put aside lies on
 * frames of its own.
 */
static bool steps_on_or_off(const struct ctask_codes *codes, const struct ctask_stacks *stacks,
			    const struct ctask_frame_view *root)
{
	if (!root->previous)
		return codes->heap->layout.gen_state != CTASK_NO_FIELD;
	for (uint32_t t = 0; t < stacks->count; t++)
		if (root->previous == stacks->tops[t])
			return true;
	return false;
}

/* Brent: look back to a place that moves on at powers of two; seeing it again is a circle. */
struct circle {
	uint64_t marker;
	uint32_t steps, until;
};

static bool closes(struct circle *circle, uint64_t at)
{
	if (at && at == circle->marker)
		return true;
	if (++circle->steps > circle->until) {
		circle->marker = at;
		circle->until = 2 * circle->steps;
	}
	return false;
}

/* The frames of the thread that has @p root on its stack, from root inwards. */
static int read_executing(struct ctask_codes *codes, const struct ctask_stacks *stacks,
			  const struct ctask_frame_view *root, uint64_t coro,
			  struct ctask_chain *chain)
{
	for (uint32_t t = 0; t < stacks->count; t++) {
		struct circle circle = { 0 };
		uint64_t at = stacks->tops[t];
		int ret = 0;

		chain->count = 0;
		chain->handles_cancel = false;
		while (at && !closes(&circle, at) && circle.steps < THREAD_FRAMES_MAX) {
			struct ctask_frame_view frame;

			if (ctask_pages_spend(codes->heap->pages, 1) ||
			    ctask_frame_read(codes, at, &frame))
				break;
			if (!frame.shim)
				ret = push(codes, chain, at == root->addr ? coro : 0, &frame);
			if (ret)
				return ret;
			chain->handles_cancel |=
				frame.gen && handles_cancel(codes->heap, frame.gen);
			if (at == root->addr) {
				reverse(chain);
				return 0;
			}
			at = frame.previous;
		}
	}
	chain->count = 0;
	chain->handles_cancel = false;
	if (push(codes, chain, coro, root))
		return -EPROTO;
	return steps_on_or_off(codes, stacks, root) ? 0 : -ENODATA;
}

/* One step from @p obj to what it waits for; 0 in *obj at the end of the chain. */
static int follow(struct ctask_codes *codes, const struct ctask_stacks *stacks,
		  struct ctask_chain *chain, uint64_t *obj)
{
	struct ctask_heap *heap = codes->heap;
	enum ctask_kind kind = ctask_kind_of(heap, *obj);
	struct ctask_frame_view frame;
	enum ctask_gen_state state;
	uint64_t gen = *obj;
	int ret;

	switch (kind) {
	case CTASK_KIND_COROUTINE:
	case CTASK_KIND_GENERATOR:
	case CTASK_KIND_ASYNC_GENERATOR:
		ret = ctask_gen_read(codes, gen, kind, &state, &frame, obj);
		if (ret)
			return ret;
		if (state == CTASK_GEN_DONE) {
			chain->done |= chain->count == 0;
			return 0;
		}
		chain->created |= chain->count == 0 && state == CTASK_GEN_CREATED;
		if (chain->count == 0 && state == CTASK_GEN_EXECUTING) {
			chain->executing = true;
			return read_executing(codes, stacks, &frame, gen, chain);
		}
		chain->handles_cancel |=
			state == CTASK_GEN_SUSPENDED && handles_cancel(codes->heap, gen);
		return push(codes, chain, gen, &frame);
	case CTASK_KIND_AWAIT_WRAPPER:
		return ctask_heap_u64(heap, gen + WRAPPED, obj);
	case CTASK_KIND_FUTURE_ITER:
		ret = ctask_heap_u64(heap, gen + heap->layout.future_iter_future, &chain->end);
		*obj = 0;
		return ret;
	default:
		chain->end = gen;
		*obj = 0;
		return 0;
	}
}

int ctask_chain_read(struct ctask_codes *codes, const struct ctask_stacks *stacks, uint64_t coro,
		     struct ctask_chain *chain)
{
	struct circle circle = { 0 };
	uint64_t obj = coro;

	chain->count = 0;
	chain->executing = false;
	chain->done = false;
	chain->created = false;
	chain->handles_cancel = false;
	chain->end = 0;
	while (obj) {
		int ret = ctask_pages_spend(codes->heap->pages, 1);

		if (!ret)
			ret = follow(codes, stacks, chain, &obj);
		if (ret)
			return ret;
		if (closes(&circle, obj))
			return -ELOOP;
		if (circle.steps > CHAIN_MAX)
			return -E2BIG;
	}
	return 0;
}

int ctask_link_local(struct ctask_codes *codes, const struct ctask_link *link, const char *name,
		     uint64_t *ret_value)
{
	struct ctask_heap *heap = codes->heap;
	int slot = ctask_code_local(codes, codes->codes[link->code], name);
	uint64_t value;

	if (slot < 0)
		return slot;
	if (ctask_heap_u64(heap, link->locals + (uint64_t)slot * 8, &value))
		return -EFAULT;
	value = untagged(&heap->layout, value);
	if (value && ctask_kind_of(heap, value) == CTASK_KIND_CELL &&
	    ctask_heap_u64(heap, value + heap->layout.cell_ref, &value))
		return -EFAULT;
	if (!value)
		return -ENOENT;
	*ret_value = value;
	return 0;
}
