/* frames.c - what runs in this thread, and where suspended coroutines stand. */
#include "agent/frames.h"

enum {
	OWNED_BY_GENERATOR = 1, /* Include/internal/pycore_frame.h, 3.11 on */
	OWNER_SHIM = 3,		/* BY_CSTACK; from 3.14 on BY_INTERPRETER, and … */
	OWNER_CSTACK_314 = 4,	/* … BY_CSTACK */
	SHIMS_MAX = 1000,
	CHAIN_MAX = 100000,
	STACK_SLOTS_MAX = 1 << 16,
	WRAPPED = 16, /* coroutine_wrapper and the like: what they drive */
	NEVER_SHOWN = 0xff,
	INT_TAG = 3, /* Py_INT_TAG, Include/internal/pycore_stackref.h, 3.14 on */
	HIDDEN_MAX = 16,
	HEAP_TYPE = 1 << 9, /* Py_TPFLAGS_HEAPTYPE */
	WRAPPERS_MAX = 4,
};

/* What a slot of a frame refers to. From 3.14 on a slot may hold a number instead: that is no object. */
static struct py_object *untagged(uint64_t ref)
{
	if (ctask_py.layout.ref_tag_mask && (ref & INT_TAG) == INT_TAG)
		return NULL;
	return (struct py_object *)(uintptr_t)(ref & ~(uint64_t)ctask_py.layout
							      .ref_tag_mask); /* NOLINT */
}

const char *ctask_frame_now(void)
{
	const struct ctask_layout *l = &ctask_py.layout;
	const char *at = py_pointer(ctask_py.PyThreadState_Get(), l->tstate_frame);

	if (at && l->cframe_frame != CTASK_NO_FIELD)
		at = py_pointer(at, l->cframe_frame);
	return at;
}

static uint8_t owner_of(const char *frame)
{
	uint32_t at = ctask_py.layout.frame_owner;

	return at == CTASK_NO_FIELD ? 0 : (uint8_t)frame[at];
}

static const struct py_object *hidden[HIDDEN_MAX];
static int hidden_count;

void ctask_frames_hide(const struct py_object *code)
{
	if (hidden_count < HIDDEN_MAX)
		hidden[hidden_count++] = code;
}

static bool is_hidden(const struct py_object *code)
{
	for (int i = 0; i < hidden_count; i++)
		if (hidden[i] == code)
			return true;
	return false;
}

/*
 * CPython has code objects of its own, _Py_InitCleanup below a specialized call
 * of a class (3.13 on), that are constants: not to be asked for anything. Their file is called like their function.
 */
static bool is_written(const struct py_object *code)
{
	const struct ctask_layout *l = &ctask_py.layout;

	return py_word(code, l->code_locals) && py_word(code, l->code_filename) &&
	       py_word(code, l->code_filename) != py_word(code, l->code_name);
}

static bool runs_code(const char *frame)
{
	const struct py_object *code = untagged(py_word(frame, ctask_py.layout.frame_code));
	uint8_t owner = owner_of(frame);

	return owner != OWNER_SHIM && owner != OWNER_CSTACK_314 &&
	       py_is(code, ctask_py.PyCode_Type) && is_written(code) && !is_hidden(code);
}

static int lasti_of(const char *frame, const struct py_object *code)
{
	const struct ctask_layout *l = &ctask_py.layout;
	int32_t lasti;

	if (!l->lasti_scale)
		return (int)((const char *)py_pointer(frame, l->frame_lasti) -
			     ((const char *)code + l->code_bytecode));
	memcpy(&lasti, frame + l->frame_lasti, sizeof(lasti));
	return lasti < 0 ? -1 : lasti * (int)l->lasti_scale;
}

static struct py_object *gen_of(const char *frame)
{
	const struct ctask_layout *l = &ctask_py.layout;

	if (l->frame_gen != CTASK_NO_FIELD)
		return py_pointer(frame, l->frame_gen);
	return owner_of(frame) == OWNED_BY_GENERATOR ? (void *)(uintptr_t)(frame - l->gen_frame)
						     : NULL;
}

bool ctask_frame_see(const char *frame, struct ctask_seen *ret)
{
	for (int i = 0; frame && !runs_code(frame); i++) {
		if (i > SHIMS_MAX)
			return false;
		frame = py_pointer(frame, ctask_py.layout.frame_previous);
	}
	if (!frame)
		return false;
	ret->frame = frame;
	ret->code = untagged(py_word(frame, ctask_py.layout.frame_code));
	ret->lasti = lasti_of(frame, ret->code);
	ret->gen = gen_of(frame);
	return true;
}

bool ctask_frame_outer(const struct ctask_seen *seen, struct ctask_seen *ret)
{
	return ctask_frame_see(py_pointer(seen->frame, ctask_py.layout.frame_previous), ret);
}

struct py_object *ctask_frame_local(const char *frame, int slot)
{
	struct py_object *value;

	if (slot < 0)
		return NULL;
	value = untagged(py_word(frame, ctask_py.layout.frame_locals + 8 * (uint32_t)slot));
	if (py_is(value, ctask_py.PyCell_Type))
		value = py_pointer(value, ctask_py.layout.cell_ref);
	return value;
}

struct py_object *ctask_frame_value(const char *frame, const struct ctask_local *local)
{
	struct py_object *value = ctask_frame_local(frame, local->slot);

	if (value && local->attribute[0])
		return ctask_python_attr(value, local->attribute);
	if (value)
		ctask_py.Py_IncRef(value);
	return value;
}

/* Behind the last value on the stack of a suspended frame; NULL when that is not known. */
static const char *stack_end(const char *frame)
{
	const struct ctask_layout *l = &ctask_py.layout;
	int32_t depth;

	if (l->stack_form == CTASK_STACK_POINTER)
		return py_pointer(frame, l->frame_stack);
	memcpy(&depth, frame + l->frame_stack, sizeof(depth));
	if (depth <= 0 || depth > STACK_SLOTS_MAX)
		return NULL;
	if (l->stack_form == CTASK_STACK_DEPTH)
		return (const char *)py_pointer(frame, l->frame_stack_base) + 8 * (size_t)depth;
	return frame + l->frame_locals + 8 * (size_t)depth;
}

struct py_object *ctask_frame_find(const struct ctask_seen *seen,
				   const struct ctask_code_facts *facts,
				   bool (*is)(struct py_object *object, const void *arg),
				   const void *arg)
{
	const char *end = stack_end(seen->frame);
	const char *at = seen->frame + ctask_py.layout.frame_locals + 8 * (size_t)facts->slots;

	if (!end || end < at || end - at > STACK_SLOTS_MAX * 8)
		return NULL;
	for (; at < end; at += 8) {
		struct py_object *value = untagged(py_word(at, 0));

		if (py_is(value, ctask_py.PyMethod_Type))
			value = ((const struct py_method *)value)->self;
		if (value && is(value, arg))
			return value;
	}
	return NULL;
}

static bool is_that(struct py_object *object, const void *that)
{
	return (const void *)object == that;
}

bool ctask_frame_holds(const struct ctask_seen *seen, const struct ctask_code_facts *facts,
		       const void *object)
{
	return ctask_frame_find(seen, facts, is_that, object);
}

/* --- generators --- */

enum state { CREATED, SUSPENDED, EXECUTING, DONE };

static enum state state_of(const struct py_object *gen, const char *frame, uint8_t *ret_byte)
{
	const struct ctask_layout *l = &ctask_py.layout;
	uint8_t state;

	*ret_byte = 0;
	if (l->gen_running != CTASK_NO_FIELD) {
		if (((const char *)gen)[l->gen_running])
			return EXECUTING;
		return lasti_of(frame, NULL) < 0 ? CREATED : SUSPENDED;
	}
	state = l->gen_state != CTASK_NO_FIELD ? ((const uint8_t *)gen)[l->gen_state]
					       : ((const uint8_t *)frame)[l->frame_state];
	*ret_byte = state;
	if (state >= l->state_suspended && state <= l->state_suspended_end)
		return SUSPENDED;
	if (state == l->state_executing)
		return EXECUTING;
	return state == l->state_created ? CREATED : DONE;
}

static bool is_gen(const struct py_object *object)
{
	return py_isinstance(object, ctask_py.PyCoro_Type) ||
	       py_isinstance(object, ctask_py.PyGen_Type) ||
	       py_isinstance(object, ctask_py.PyAsyncGen_Type);
}

/* Whether a suspended generator stands at an await, not at a plain yield. */
static bool at_await(const struct ctask_seen *seen, uint8_t state)
{
	const struct ctask_layout *l = &ctask_py.layout;
	const uint8_t *next = (const uint8_t *)seen->code + l->code_bytecode;

	if (l->state_yield_from <= NEVER_SHOWN)
		return state >= l->state_yield_from && state <= l->state_yield_from_end;
	if (!l->lasti_scale && py_is(seen->gen, ctask_py.PyCoro_Type))
		return true;
	if (l->lasti_scale)
		next = (const uint8_t *)py_pointer(seen->code, l->code_bytecode) + l->bytes_data;
	next += seen->lasti + 2;
	for (int i = 0; i < 3; i++)
		if (next[0] == l->await_opcodes[i])
			return (next[1] & 3) >= l->await_oparg_min;
	return false;
}

/* What the suspended generator in @p seen awaits, or NULL. */
static struct py_object *awaited_by(const struct ctask_seen *seen, uint8_t state)
{
	const char *end = stack_end(seen->frame);

	if (!end || !at_await(seen, state))
		return NULL;
	return untagged(py_word(end - 8 * (size_t)ctask_py.layout.awaited_slot, 0));
}

static bool is_wrapper(const struct py_object *object)
{
	static const char *const names[] = { "coroutine_wrapper", "async_generator_asend",
					     "async_generator_athrow", "anext_awaitable" };

	if (object->type->flags & HEAP_TYPE) /* a class of the program's may be called like that */
		return false;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(object->type->name, names[i]))
			return true;
	return false;
}

/* What the chain ends with: the iterator of a future written in C. */
static bool is_end(const struct py_object *object)
{
	return !strcmp(object->type->name, "_asyncio.FutureIter") ||
	       !strcmp(object->type->name, "FutureIter");
}

bool ctask_chain_next(struct ctask_chain *chain, struct ctask_seen *ret)
{
	const struct ctask_layout *l = &ctask_py.layout;

	while (chain->at && chain->steps++ < CHAIN_MAX) {
		struct py_object *at = chain->at;
		enum state state;
		uint8_t byte;

		chain->at = NULL;
		if (!is_gen(at)) {
			chain->unseen |= !is_wrapper(at) && !is_end(at);
			chain->at = is_wrapper(at) ? py_pointer(at, WRAPPED) : NULL;
			continue;
		}
		ret->gen = at;
		ret->frame = l->gen_frame_inline ? (const char *)at + l->gen_frame
						 : py_pointer(at, l->gen_frame);
		if (!ret->frame)
			return false;
		state = state_of(at, ret->frame, &byte);
		chain->running = state == EXECUTING;
		if (state == DONE || state == EXECUTING)
			return false;
		ret->code = untagged(py_word(ret->frame, l->frame_code));
		if (!py_is(ret->code, ctask_py.PyCode_Type))
			return false;
		ret->lasti = lasti_of(ret->frame, ret->code);
		chain->at = state == SUSPENDED ? awaited_by(ret, byte) : NULL;
		return true;
	}
	return false;
}

int ctask_chain_see(struct ctask_chain *chain, struct ctask_seen *to, int room, int *ret_cut)
{
	struct ctask_seen moved;
	int count = 0;

	while (ctask_chain_next(chain, &to[count % room]))
		count++;
	if (chain->running)
		count = 0;
	*ret_cut = count > room ? count - room : 0;
	/* The ring: turn it so that the outermost kept frame comes first. */
	for (int i = 0; *ret_cut && i < count % room; i++) {
		moved = to[0];
		memmove(to, to + 1, (size_t)(room - 1) * sizeof(*to));
		to[room - 1] = moved;
	}
	return count > room ? room : count;
}

struct py_object *ctask_gen_code(const struct py_object *gen)
{
	const struct ctask_layout *l = &ctask_py.layout;
	struct py_object *code;
	const char *frame;

	for (int i = 0; gen && is_wrapper(gen) && i < WRAPPERS_MAX; i++)
		gen = py_pointer(gen, WRAPPED);
	if (!gen || !is_gen(gen))
		return NULL;
	frame = l->gen_frame_inline ? (const char *)gen + l->gen_frame
				    : py_pointer(gen, l->gen_frame);
	code = frame ? untagged(py_word(frame, l->frame_code)) : NULL;
	return py_is(code, ctask_py.PyCode_Type) ? code : NULL;
}

struct py_object *ctask_gen_exception(struct py_object *gen)
{
	struct py_object *exception = gen ? py_pointer(gen, ctask_py.layout.gen_exc_value) : NULL;

	return exception == ctask_py.none ? NULL : exception;
}
