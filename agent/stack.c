/* stack.c - whole stacks, each frame with its place and what is known of its code. */
#include "agent/stack.h"

#include "agent/history.h"
#include "agent/tasks.h"

enum {
	FRAME_OBJECT_FRAME = 24, /* PyFrameObject.f_frame, from 3.11 on */
	LIBRARY_FRAMES_MAX = 32,
	LEARNT_AGAIN_MAX = 4,
	SIDE_SEEN = 256,
	FRAMES_COUNTED_MAX = 10000,
};

/* Who cancels many tasks does it from one place: most of the stack is that of the last time. */
struct last {
	struct ctask_seen seen[CTASK_STACK_FRAMES];
	const struct ctask_code_facts *facts[CTASK_STACK_FRAMES];
	uint32_t places[CTASK_STACK_FRAMES];
};
static struct last last_thread, last_task;

static void place(struct ctask_stack_seen *stack, int i, struct last *last)
{
	const struct ctask_seen *seen = &stack->seen[i];

	if (last->places[i] && last->seen[i].code == seen->code &&
	    last->seen[i].lasti == seen->lasti) {
		stack->places[i] = last->places[i];
		stack->facts[i] = last->facts[i];
		return;
	}
	stack->places[i] = ctask_place_of(seen->code, seen->lasti, &stack->facts[i]);
	last->seen[i] = *seen;
	last->places[i] = stack->places[i];
	last->facts[i] = stack->facts[i];
}

void ctask_stack_forget(void)
{
	memset(last_thread.places, 0, sizeof(last_thread.places));
	memset(last_task.places, 0, sizeof(last_task.places));
}

void ctask_stack_of_thread(struct ctask_stack_seen *ret)
{
	struct ctask_seen seen;
	bool more = ctask_frame_see(ctask_frame_now(), &seen);

	ret->count = ret->cut = 0;
	ret->running = false;
	for (; more && ret->cut < FRAMES_COUNTED_MAX; more = ctask_frame_outer(&seen, &seen)) {
		if (ret->count == CTASK_STACK_FRAMES) {
			ret->cut++;
			continue;
		}
		ret->seen[ret->count] = seen;
		place(ret, ret->count++, &last_thread);
	}
}

static void see_task(struct ctask_stack_seen *ret, struct py_object *coro)
{
	struct ctask_chain chain = { .at = coro };

	ret->count = ctask_chain_see(&chain, ret->seen, CTASK_STACK_FRAMES, &ret->cut);
	ret->running = chain.running;
	for (int i = 0, j = ret->count - 1; i < j; i++, j--) {
		struct ctask_seen moved = ret->seen[i];

		ret->seen[i] = ret->seen[j];
		ret->seen[j] = moved;
	}
	for (int i = 0; i < ret->count; i++)
		place(ret, i, &last_task);
}

void ctask_stack_of_coro(struct ctask_stack_seen *ret, struct py_object *coro)
{
	uint32_t learnt;

	ret->count = ret->cut = 0;
	ret->running = false;
	/* To learn of a code object may collect garbage, and run anything: then look once more. */
	for (int i = 0; coro && i < LEARNT_AGAIN_MAX; i++) {
		learnt = ctask_codes_learnt;
		see_task(ret, coro);
		if (learnt == ctask_codes_learnt)
			break;
	}
}

void ctask_stack_of_task(struct ctask_stack_seen *ret, struct py_object *task)
{
	ctask_stack_of_coro(ret, ctask_task_coro(task));
}

uint32_t ctask_stack_coroutine(struct py_object *coro)
{
	const struct ctask_code_facts *facts;
	struct py_object *code = coro ? ctask_gen_code(coro) : NULL;

	if (!code)
		return 0;
	ctask_place_of(code, -1, &facts);
	return facts->name;
}

bool ctask_stack_self_is(const struct ctask_seen *seen, const char *type)
{
	const struct py_object *self;
	const char *dot;

	if (!type)
		return true;
	self = ctask_frame_local(seen->frame, 0);
	if (!self)
		return false;
	for (const struct py_type *at = self->type; at; at = at->parent) {
		dot = strrchr(at->name, '.');
		if (!strcmp(dot ? dot + 1 : at->name, type))
			return true;
	}
	return false;
}

uint32_t ctask_stack_block(const struct ctask_stack_seen *stack, const void *construct)
{
	for (int i = 0; i < stack->count; i++) {
		const struct ctask_seen *seen = &stack->seen[i];

		if (ctask_frame_holds(seen, stack->facts[i], construct) ||
		    (stack->facts[i]->is_exit && ctask_frame_local(seen->frame, 0) == construct))
			return (uint32_t)i + 1;
	}
	return 0;
}

bool ctask_stack_is_inside(const struct ctask_stack_seen *stack, const void *construct)
{
	return ctask_stack_block(stack, construct) != 0;
}

bool ctask_frame_is(const struct py_object *object, const char *frame)
{
	if (!frame || !py_is(object, ctask_py.PyFrame_Type))
		return false;
	if (ctask_py.layout.lasti_scale) /* to 3.10 a frame is the object */
		return (const char *)object == frame;
	return py_pointer(object, FRAME_OBJECT_FRAME) == frame;
}

uint32_t ctask_stack_user_place(void)
{
	const struct ctask_code_facts *facts;
	struct ctask_seen seen;
	bool more = ctask_frame_see(ctask_frame_now(), &seen);

	for (int i = 0; more && i < LIBRARY_FRAMES_MAX; i++) {
		uint32_t found = ctask_place_of(seen.code, seen.lasti, &facts);

		if (!facts->library)
			return found;
		more = ctask_frame_outer(&seen, &seen);
	}
	return 0;
}

uint64_t ctask_side_once(const void *bytes, size_t len, const char *end)
{
	static struct {
		uint64_t hash, offset;
	} seen[SIDE_SEEN];
	const unsigned char *at = bytes;
	uint64_t hash = 0xcbf29ce484222325ull + len;
	uint32_t slot;
	size_t i = 0;

	for (; i + 8 <= len; i += 8)
		hash = (hash ^ py_word(at, (uint32_t)i)) * 0x9e3779b97f4a7c15ull,
		hash ^= hash >> 29;
	for (; i < len; i++)
		hash = (hash ^ at[i]) * 0x100000001b3ull;
	hash ^= hash >> 32;
	slot = (uint32_t)hash % SIDE_SEEN;
	if (seen[slot].offset && seen[slot].hash == hash && ctask_side_lasts(seen[slot].offset) &&
	    ctask_side_is(seen[slot].offset, bytes, len, end))
		return seen[slot].offset;
	seen[slot].hash = hash;
	seen[slot].offset = ctask_side_put(bytes, len, end);
	return seen[slot].offset;
}
