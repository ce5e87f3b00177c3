/* stacks.c - whole stacks of a target. */
#include "bpf/stacks.h"

#include <string.h>

#include "bpf/objects.h"

enum {
	OWNED_BY_GENERATOR = 1,
	FRAME_OBJECT_FRAME = 24, /* PyFrameObject.f_frame, from 3.11 on */
	FRAMES_MAX = 1 << 14,	 /* that are gone through */
	STACK_SLOTS_MAX = 64,	 /* values that are looked through for a construct */
};

void ctask_stack_reader_fini(struct ctask_stack_reader *reader)
{
	ctask_chain_fini(&reader->chain);
}

static uint32_t place_of(struct ctask_functions *f, uint32_t frame)
{
	const struct ctask_frame *it;
	struct ctask_place place;

	if (frame == CTASK_NONE)
		return 0;
	it = &f->codes->snap->frames[frame];
	place = (struct ctask_place){
		.name = ctask_bpf_word(f->history, it->name),
		.filename = ctask_bpf_word(f->history, it->filename),
		.line = it->line,
		.flags = it->library ? CTASK_PLACE_LIBRARY : 0,
	};
	return ctask_bpf_place(f->history, frame + 1ull, &place);
}

static uint64_t gen_of(struct ctask_heap *heap, uint64_t frame)
{
	const struct ctask_layout *l = &heap->layout;
	uint8_t owner = 0;

	if (l->frame_gen != CTASK_NO_FIELD)
		return ctask_word_at(heap, frame + l->frame_gen);
	(void)ctask_pages_read(heap->pages, frame + l->frame_owner, &owner, 1);
	return owner == OWNED_BY_GENERATOR ? frame - l->gen_frame : 0;
}

/* Code objects that are constants of CPython's own have a file that is called like their function. */
static bool is_written(const struct ctask_code *code)
{
	return strcmp(code->filename, code->plain_name) != 0;
}

static void add(struct ctask_stack_reader *reader, struct ctask_stack_seen *stack,
		struct ctask_code *code, const struct ctask_seen *seen, uint32_t frame)
{
	const struct ctask_code_facts *facts;

	if (stack->count == CTASK_STACK_FRAMES) {
		stack->cut++;
		return;
	}
	facts = ctask_function_facts(reader->functions, code);
	if (!facts)
		return;
	stack->seen[stack->count] = *seen;
	stack->facts[stack->count] = facts;
	stack->places[stack->count++] = place_of(reader->functions, frame);
}

/* The frame that runs in the thread of @p tstate, or 0. */
static uint64_t first_frame(struct ctask_heap *heap, uint64_t tstate)
{
	const struct ctask_layout *l = &heap->layout;
	uint64_t at = ctask_word_at(heap, tstate + l->tstate_frame);

	return at && l->cframe_frame != CTASK_NO_FIELD ? ctask_word_at(heap, at + l->cframe_frame)
						       : at;
}

/* The frame outside of @p view, or 0. */
static uint64_t next_frame(struct ctask_heap *heap, const struct ctask_frame_view *view)
{
	return view->previous ? view->previous
			      : ctask_word_at(heap, view->addr + heap->layout.frame_previous);
}

void ctask_stack_of_thread(struct ctask_stack_reader *reader, const struct ctask_probe_event *event,
			   struct ctask_stack_seen *ret)
{
	struct ctask_codes *codes = reader->functions->codes;
	struct ctask_heap *heap = codes->heap;
	uint64_t at = first_frame(heap, event->tstate);

	ret->count = 0;
	ret->cut = 0;
	ret->running = false;
	for (int i = 0; at && i < CTASK_PROBE_FRAMES; i++) {
		struct ctask_frame_view view;
		struct ctask_code *code;

		if (ctask_frame_read(codes, at, &view))
			break;
		code = view.shim ? NULL : ctask_code_at(codes, view.code);
		if (code && is_written(code)) {
			const struct ctask_seen seen = { .frame = at,
							 .gen = gen_of(heap, at),
							 .locals = view.locals,
							 .stack_top = view.stack_top };

			add(reader, ret, code, &seen, ctask_code_frame(codes, code, view.lasti));
		}
		at = next_frame(heap, &view);
	}
	ret->cut += event->frames_cut;
}

bool ctask_stack_stands_at(struct ctask_stack_reader *reader, uint64_t tstate, uint64_t frame,
			   uint32_t place)
{
	struct ctask_codes *codes = reader->functions->codes;
	uint64_t at = first_frame(codes->heap, tstate);

	for (int i = 0; i < FRAMES_MAX; i++) {
		struct ctask_frame_view view;
		struct ctask_code *code;

		if (!at || ctask_frame_read(codes, at, &view))
			return false;
		if (at == frame) {
			code = view.shim ? NULL : ctask_code_at(codes, view.code);
			return code && place_of(reader->functions,
						ctask_code_frame(codes, code, view.lasti)) == place;
		}
		at = next_frame(codes->heap, &view);
	}
	return true;
}

void ctask_stack_of_coro(struct ctask_stack_reader *reader, uint64_t coro,
			 struct ctask_stack_seen *ret)
{
	const struct ctask_stacks none = { 0 };
	struct ctask_codes *codes = reader->functions->codes;
	struct ctask_chain *chain = &reader->chain;

	ret->count = 0;
	ret->cut = 0;
	ret->running = false;
	if (!coro)
		return;
	(void)ctask_chain_read(codes, &none, coro, chain);
	ret->running = chain->executing;
	if (chain->executing)
		return;
	for (uint32_t i = chain->count; i-- > 0;) {
		const struct ctask_link *link = &chain->links[i];
		const struct ctask_seen seen = { .gen = link->gen,
						 .locals = link->locals,
						 .stack_top = link->stack_top };

		add(reader, ret, codes->codes[link->code], &seen, link->frame);
	}
}

uint64_t ctask_seen_local(struct ctask_heap *heap, const struct ctask_seen *seen, int slot)
{
	uint64_t value;

	if (slot < 0)
		return 0;
	value = ctask_word_at(heap, seen->locals + 8 * (uint64_t)slot) &
		~(uint64_t)heap->layout.ref_tag_mask;
	if (value && ctask_kind_of(heap, value) == CTASK_KIND_CELL)
		value = ctask_word_at(heap, value + heap->layout.cell_ref);
	return value && ctask_kind_of(heap, value) != CTASK_KIND_NONE ? value : 0;
}

uint64_t ctask_seen_value(struct ctask_heap *heap, const struct ctask_seen *seen,
			  const struct ctask_local *local)
{
	uint64_t value = ctask_seen_local(heap, seen, local->slot);

	if (!value || !local->attribute[0])
		return value;
	if (ctask_attr(heap, value, local->attribute, &value))
		return 0;
	return ctask_kind_of(heap, value) != CTASK_KIND_NONE ? value : 0;
}

bool ctask_seen_holds(struct ctask_heap *heap, const struct ctask_seen *seen,
		      const struct ctask_code_facts *facts, uint64_t object)
{
	uint64_t at = seen->locals + 8 * (uint64_t)facts->slots;

	for (int n = 0; at < seen->stack_top && n < STACK_SLOTS_MAX; at += 8, n++) {
		uint64_t value = ctask_word_at(heap, at) & ~(uint64_t)heap->layout.ref_tag_mask;

		if (value == object)
			return true;
		if (value && ctask_kind_of(heap, value) == CTASK_KIND_METHOD &&
		    ctask_word_at(heap, value + heap->layout.method_self) == object)
			return true;
	}
	return false;
}

bool ctask_stack_is_inside(struct ctask_heap *heap, const struct ctask_stack_seen *stack,
			   uint64_t construct)
{
	for (int i = 0; i < stack->count; i++)
		if (ctask_seen_holds(heap, &stack->seen[i], stack->facts[i], construct) ||
		    (stack->facts[i]->is_exit &&
		     ctask_seen_local(heap, &stack->seen[i], 0) == construct))
			return true;
	return false;
}

int ctask_stack_find(const struct ctask_stack_seen *stack, uint64_t coro)
{
	for (int i = 0; i < stack->count; i++)
		if (coro && stack->seen[i].gen == coro)
			return i;
	return stack->count;
}

int ctask_stack_find_frame(const struct ctask_stack_seen *stack, uint64_t frame)
{
	for (int i = 0; i < stack->count; i++)
		if (stack->seen[i].frame == frame)
			return i;
	return stack->count;
}

bool ctask_is_frame_object(struct ctask_heap *heap, uint64_t object, uint64_t frame)
{
	const struct ctask_type *type;

	if (!frame || !object)
		return false;
	if (heap->layout.lasti_scale) /* to 3.10 a frame is the object */
		return object == frame;
	type = ctask_type_of(heap, object);
	return type && !strcmp(type->name, "frame") &&
	       ctask_word_at(heap, object + FRAME_OBJECT_FRAME) == frame;
}
