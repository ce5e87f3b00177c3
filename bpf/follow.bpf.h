/* follow.bpf.h - from a frame, a coroutine or a variable to what matters behind it. */
#ifndef CTASK_BPF_FOLLOW_H
#define CTASK_BPF_FOLLOW_H

#include "bpf/maps.bpf.h"

enum {
	STEPS = 384,
	HELD_SLOTS = 8,
	ATTRS_MAX = 10,	   /* attributes of an object that are followed */
	ENTRIES = 16,	   /* of a dict */
	CONTEXTS = 3,	   /* exceptions raised while handling exceptions */
	STACK_POINTER = 0, /* enum ctask_stack_form */
	STACK_DEPTH = 1,
	DICT_OFFSET = 0, /* enum ctask_dict_form */
	DICT_311 = 1,
	DICT_312 = 2,
	DICT_INLINE = 3,
	NAME_BYTES = 112, /* of most all; what is longer is read where it lives */
	TEXT_BYTES = 320,
	HEAD_BYTES = 48,
	OBJECT_BEFORE =
		32, /* the words before an object, where 3.11 and later keep its attributes */
	OBJECT_BYTES = 192,
	OBJECT_FIRST = OBJECT_BEFORE + 16, /* its first word behind count and type */
	EXCEPTION_BYTES = 112,
	EXCEPTION_FIELDS = 4, /* of an OSError, behind what all exceptions have */
	VALUES_BYTES = 136,
	KEYS_BYTES = 504,
	ARGUMENTS_FOLLOWED = 3,
};

/* The heads of what @p count words in a piece point to. */
static __always_inline void heads(struct thread *th, const struct ctask_probe_target *t,
				  const piece *p, __u32 offset, int count)
{
	for (int i = 0; i < count; i++)
		later(th, word(p, offset + 8 * i) & ~(__u64)t->ref_tag_mask, BYTES, HEAD_BYTES);
}

/* What a row says of a frame of @p code, whose locals begin at @p locals. True when what the target holds matters too. */
static __always_inline int add_locals(struct thread *th, const struct ctask_probe_target *t,
				      __u64 code, __u64 locals, int where)
{
	__u64 key = code | t->code_space;
	struct ctask_probe_code *known = known_code(key);

	if (!known || (known->only & where) != known->only)
		return 0;
	later_with(th, locals, LOCALS, 0, key);
	return known->holds;
}

static __always_inline int add_each_local(struct thread *th, __u64 code, __u64 locals)
{
	struct ctask_probe_code *known = bpf_map_lookup_elem(&codes, &code);

	if (!known)
		return 0;
	for (int i = 0; i < CTASK_PROBE_LOCALS; i++)
		later(th, i < known->count ? locals + 8 * (__u64)known->locals[i].slot : 0, LOCAL,
		      known->locals[i].follow);
	return 0;
}

static __always_inline void add_local(struct thread *th, __u64 value, __u32 follow)
{
	if (value < FIRST_ADDRESS)
		return;
	if (follow & CTASK_FOLLOW_OBJECT)
		later(th, value - OBJECT_BEFORE, OBJECT, follow);
	if (follow & CTASK_FOLLOW_TASK)
		later(th, value, TASK, 0);
	if (follow & CTASK_FOLLOW_EXCEPTION)
		later(th, value, FAILURE, 0);
}

/* The attributes of an object whose piece begins OBJECT_BEFORE bytes before it. */
static __always_inline void add_attrs(struct thread *th, const struct ctask_probe_target *t,
				      const piece *p, __u32 follow)
{
	__u64 dict = word(p, t->dict_form == DICT_OFFSET ? OBJECT_FIRST : OBJECT_BEFORE - 24);
	__u64 values = 0;

	/* Its own words; from 3.13 on its attributes are among them, most often. */
	if (follow & (CTASK_FOLLOW_SLOTS | CTASK_FOLLOW_ATTRS))
		heads(th, t, p, OBJECT_FIRST, ATTRS_MAX + 1);
	if (!(follow & CTASK_FOLLOW_ATTRS))
		return;
	if (t->dict_form == DICT_INLINE) {
		later(th, dict, BYTES, 64);
		return;
	}
	if (t->dict_form == DICT_311)
		values = word(p, OBJECT_BEFORE - 32);
	else if (t->dict_form == DICT_312 && dict & 1)
		values = dict + 1;
	later(th, values, VALUES, 0);
	later(th, values ? 0 : dict, DICT, 0);
}

static __always_inline int is_gen(const struct ctask_probe_target *t, __u64 type)
{
	return type == t->gen_types[0] || type == t->gen_types[1] || type == t->gen_types[2];
}

/* The frame at @p frame of a link of a chain; the bytes at @p base of @p p are its first. */
static __always_inline void add_link_frame(struct thread *th, const struct ctask_probe_target *t,
					   const piece *p, __u64 frame, __u32 base, __u32 holds)
{
	__u64 top, at;

	if (t->stack_form == STACK_POINTER)
		top = word(p, base + t->frame_stack);
	else if (t->stack_form == STACK_DEPTH)
		top = word(p, base + t->frame_stack_base) +
		      8 * (__u64)half(p, base + t->frame_stack);
	else
		top = frame + t->frame_locals + 8 * (__u64)half(p, base + t->frame_stack);
	add_locals(th, t, word(p, base + t->frame_code) & ~(__u64)t->ref_tag_mask,
		   frame + t->frame_locals, 0);
	if (holds)
		later(th, top - 8 * HELD_SLOTS, HELD, 0);
	/* Most often the top of its stack lies in what was copied already. */
	at = top - 8 * t->awaited_slot - frame + base;
	if (t->gen_frame_inline && at < t->gen_bytes)
		later(th, word(p, (__u32)at) & ~(__u64)t->ref_tag_mask, LINK, holds);
	else
		later(th, top - 8 * HELD_SLOTS, AWAITED, holds);
}

static __always_inline void add_entries(struct thread *th, const struct ctask_probe_target *t,
					const piece *p, __u32 of_tasks)
{
	/* {hash, key, value}, or, where all keys are str, from 3.11 on {key, value}. */
	__u32 entry = t->keys_kind != CTASK_PROBE_NO_FIELD && byte(p, t->keys_kind) ? 16 : 24;
	__u64 indices =
		t->keys_is_log2 ? 1 << (byte(p, t->keys_log2_index_bytes) & 31) : word(p, 8);
	__u64 count = word(p, t->keys_nentries), at = t->keys_indices + indices - 8;

	for (int i = 0; i < ENTRIES; i++) {
		at += entry;
		if ((__u64)i >= count || at > KEYS_BYTES - 8)
			return;
		later(th, word(p, (__u32)at), of_tasks ? TASK : BYTES, HEAD_BYTES);
	}
}

/* The bytes of an item that are copied. */
static __always_inline __u32 item_bytes(const struct ctask_probe_target *t, __u32 what,
					__u32 argument)
{
	switch (what) {
	case BYTES:
		return argument;
	case EXCEPTION:
	case FAILURE:
		return EXCEPTION_BYTES;
	case OBJECT:
		return OBJECT_BYTES;
	case VALUES:
		return VALUES_BYTES;
	case TASK:
		return t->task_bytes;
	case LINK:
		return t->gen_bytes;
	case LINK_FRAME:
		return t->frame_bytes;
	case KEYS:
		return KEYS_BYTES;
	case LOCAL:
		return 8;
	default: /* a few words */
		return 64;
	}
}

/* One step: a piece is copied, and it is noted what it leads to. */
__noinline int add_item(struct thread *th, const struct ctask_probe_target *t, __u32 index)
{
	struct follow_item *item;
	__u32 what, argument;
	__u64 addr, value;
	piece *p;

	if (!th || !t)
		return 0;
	item = &th->queue[index & (QUEUE - 1)];
	addr = item->addr;
	what = item->what;
	argument = item->argument;
	if (what == LOCALS)
		return add_each_local(th, item->more, addr);
	if (what == LINK_FRAME)
		addr += t->frame_from;
	p = copy(th, addr, item_bytes(t, what, argument));
	if (!p)
		return 0;
	switch (what) {
	case LOCAL:
		add_local(th, word(p, 0) & ~(__u64)t->ref_tag_mask, argument);
		break;
	case OBJECT:
		add_attrs(th, t, p, argument);
		break;
	case VALUES:
		heads(th, t, p, 0, ATTRS_MAX);
		break;
	case HELD:
		heads(th, t, p, 0, HELD_SLOTS);
		break;
	case AWAITED:
		value = word(p, 8 * (HELD_SLOTS - t->awaited_slot)) & ~(__u64)t->ref_tag_mask;
		later(th, value, LINK, argument);
		break;
	case LINK:
		if (!is_gen(t, word(p, 8))) {
			/* A wrapper drives another; a future's iterator has the future. */
			value = word(p, 16);
			if (value > FIRST_ADDRESS && is_gen(t, user_u64(value + 8)))
				later(th, value, LINK, argument);
			break;
		}
		later(th, word(p, t->gen_exc_value), EXCEPTION, CONTEXTS);
		if (t->gen_frame_inline)
			add_link_frame(th, t, p, addr + t->gen_frame, t->gen_frame, argument);
		else
			later(th, word(p, t->gen_frame), LINK_FRAME, argument);
		break;
	case LINK_FRAME:
		add_link_frame(th, t, p, addr - t->frame_from, -t->frame_from, argument);
		break;
	case EXCEPTION:
		if (argument)
			later(th, word(p, t->exception_context), EXCEPTION, argument - 1);
		break;
	case FAILURE:
		later(th, word(p, t->exception_args), ARGUMENTS, 0);
		later(th, word(p, t->exception_context - 8), BYTES, HEAD_BYTES); /* traceback */
		heads(th, t, p, t->exception_context + 24, EXCEPTION_FIELDS);
		break;
	case ARGUMENTS:
		later(th, word(p, t->tuple_items), BYTES, TEXT_BYTES);
		heads(th, t, p, t->tuple_items, ARGUMENTS_FOLLOWED);
		break;
	case ARGUMENTS_AT:
		for (int i = 0; i < ARGUMENTS_FOLLOWED; i++) {
			value = word(p, 8 * i) & ~(__u64)t->ref_tag_mask;
			if (value > FIRST_ADDRESS && user_u64(value + 8) == t->tuple_type)
				later(th, value, ARGUMENTS, 0);
		}
		break;
	case TASK:
		later(th, word(p, t->task_name), BYTES, NAME_BYTES);
		value = word(p, t->task_coro);
		if (value != th->running_gen)
			later(th, value, BYTES, t->gen_bytes);
		break;
	case DICT:
		value = word(p, t->dict_values);
		later(th, value, VALUES, 0);
		later(th, value ? 0 : word(p, t->dict_keys), KEYS, 0);
		break;
	case KEYS:
		add_entries(th, t, p, argument);
		break;
	}
	return 0;
}

static __always_inline void work_off(struct thread *th, const struct ctask_probe_target *t)
{
	for (__u32 i = 0; i < STEPS; i++) {
		__u32 at = th->done;

		if (at >= th->queued || at >= QUEUE)
			return;
		th->done = at + 1;
		add_item(th, t, at);
	}
	th->cut++;
}

#endif
