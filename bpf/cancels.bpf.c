/* cancels.bpf.c - inside a cancel(): copy the memory that tells who asks whom, and why. */
#include "bpf/kernel.bpf.h"
/* */
#include "bpf/events.h"

enum {
	THREADS = 256,	   /* that call cancel(); more are not seen, and counted */
	CODES = 1024,	   /* functions that mean something */
	ASKED = 1 << 16,   /* tasks whose end matters */
	RING_BYTES = 1 << 25,
	TSTATES = 512,	   /* Python's threads that are looked at to find this one */
	ROW_FRAMES = 16,   /* frames in which functions that mean something are looked for */
	HELD_SLOTS = 8,
	WORDS = 10,	   /* attributes of an object that are followed */
	ENTRIES = 6,	   /* of the dict of running tasks */
	CONTEXTS = 3,	   /* exceptions raised while handling exceptions */
	OWNED_BY_GENERATOR = 1, /* Include/internal/pycore_frame.h */
	STACK_POINTER = 0, /* enum ctask_stack_form */
	STACK_DEPTH = 1,
	QUEUE = 128, /* a power of two */
	DICT_OFFSET = 0, /* enum ctask_dict_form */
	DICT_311 = 1,
	DICT_312 = 2,
	DICT_INLINE = 3,
	NAME_BYTES = 160,
	TEXT_BYTES = 320,
	HEAD_BYTES = 48,
	OBJECT_BEFORE = 32, /* the words before an object, where 3.11 and later keep its attributes */
	OBJECT_BYTES = 192,
	EXCEPTION_BYTES = 80,
	VALUES_BYTES = 136,
	KEYS_BYTES = 504,
};

struct follow_item {
	__u64 addr, more;
	__u32 what, argument;
};

/* A thread: what it is to Python, and the event that it writes. */
struct thread {
	__u64 tstate, fsbase;
	__u64 last_sp;
	__u32 used, cut, queued, pad;
	struct follow_item queue[QUEUE];
	__u8 bytes[CTASK_PROBE_ROOM];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, THREADS);
	__type(key, __u64);
	__type(value, struct thread);
} threads SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct thread);
} new_thread SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32); /* tgid; 0 in a recording of one process */
	__type(value, struct ctask_probe_target);
} targets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, CODES);
	__type(key, __u64);
	__type(value, struct ctask_probe_code);
} codes SEC(".maps");

/* Tasks that were asked to stop, by address. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, ASKED);
	__type(key, __u64);
	__type(value, __u64);
} asked SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, RING_BYTES);
} ring SEC(".maps");

__u64 lost;
const volatile __u32 one_process;

typedef struct ctask_probe_piece piece;

static __always_inline __u64 user_u64(__u64 addr)
{
	__u64 value = 0;

	bpf_probe_read_user(&value, sizeof(value), (void *)addr);
	return value;
}

/* Add a copy of @p len bytes at @p addr to the event. NULL when they are not there, or there is no room. */
static __always_inline piece *copy(struct thread *th, __u64 addr, __u32 len, __u32 role)
{
	__u32 at = th->used;
	piece *p;

	if (at > CTASK_PROBE_ROOM - CTASK_PIECE_MAX - sizeof(piece)) {
		th->cut++;
		return NULL;
	}
	if (len > CTASK_PIECE_MAX - 1)
		len = CTASK_PIECE_MAX - 1;
	/* Told in a way that the compiler cannot take for known, and the verifier understands. */
	asm volatile("" : "+r"(len));
	len &= CTASK_PIECE_MAX - 1;
	p = (piece *)(th->bytes + at);
	if (addr < 4096 || bpf_probe_read_user(p->bytes, len, (void *)addr))
		return NULL;
	p->addr = addr;
	p->len = len;
	p->role = role;
	th->used = at + sizeof(piece) + ((len + 7) & ~7u);
	return p;
}

static __noinline void add(struct thread *th, __u64 addr, __u32 len)
{
	if (th)
		copy(th, addr, len, CTASK_ROLE_OTHER);
}

static __always_inline __u64 word(const piece *p, __u32 offset)
{
	return *(__u64 *)(p->bytes + (offset & (CTASK_PIECE_MAX - 8)));
}

static __always_inline __u32 half(const piece *p, __u32 offset)
{
	return *(__u32 *)(p->bytes + (offset & (CTASK_PIECE_MAX - 4)));
}

static __always_inline __u8 byte(const piece *p, __u32 offset)
{
	return p->bytes[offset & (CTASK_PIECE_MAX - 1)];
}

static __always_inline struct ctask_probe_target *this_target(void)
{
	__u32 key = one_process ? 0 : bpf_get_current_pid_tgid() >> 32;

	return bpf_map_lookup_elem(&targets, &key);
}

/* What the thread that runs is to Python: among all its threads the one that has this pthread_self(). */
static __noinline __u64 find_tstate(const struct ctask_probe_target *t, __u64 fsbase)
{
	__u64 interp, tstate = 0;

	if (!t)
		return 0;
	interp = user_u64(t->interpreters_head);
	for (int i = 0; i < TSTATES && interp; i++) {
		tstate = tstate ? user_u64(tstate + t->tstate_next)
				: user_u64(interp + t->interp_threads_head);
		if (!tstate)
			interp = user_u64(interp + t->interp_next);
		else if (user_u64(tstate + t->tstate_thread_id) == fsbase)
			return tstate;
	}
	return 0;
}

static __always_inline struct thread *this_thread(const struct ctask_probe_target *t)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	__u64 id = bpf_get_current_pid_tgid();
	__u64 fsbase = BPF_CORE_READ(task, thread.fsbase);
	struct thread *th = bpf_map_lookup_elem(&threads, &id);
	__u32 zero = 0;

	if (!th) {
		th = bpf_map_lookup_elem(&new_thread, &zero);
		if (!th || bpf_map_update_elem(&threads, &id, th, BPF_ANY))
			return NULL;
		th = bpf_map_lookup_elem(&threads, &id);
		if (!th)
			return NULL;
	}
	if (!th->tstate || th->fsbase != fsbase ||
	    user_u64(th->tstate + t->tstate_thread_id) != fsbase) {
		th->tstate = find_tstate(t, fsbase);
		th->fsbase = fsbase;
	}
	return th;
}

/*
 * What is still to be copied is a queue, and one flat loop works it off: what lies in each other (a
 * frame's variable, its attribute, that one's value) would otherwise multiply what the verifier walks through.
 */
enum follow {
	BYTES, /* argument: how many */
	EXCEPTION, /* argument: how many more of those that were being handled */
	FAILURE,
	ARGUMENTS, /* of an exception */
	VALUES, /* of attributes */
	DICT,
	ATTRS,
	TASK, /* argument: role */
	LINK, /* of an await chain; argument: whether it matters what it holds */
	LOCALS, /* of a frame whose code means something: more */
	LOCAL,	/* argument: how it is followed */
	HELD, /* what the slots of a value stack refer to; the address is that of its top */
};

static __noinline int later_with(struct thread *th, __u64 addr, __u32 what, __u32 argument, __u64 more)
{
	__u32 at;

	if (!th || addr < 4096)
		return 0;
	at = th->queued;
	if (at >= QUEUE) {
		th->cut++;
		return 0;
	}
	th->queue[at & (QUEUE - 1)] = (struct follow_item){ addr, more, what, argument };
	th->queued = at + 1;
	return 0;
}

static __always_inline void later(struct thread *th, __u64 addr, __u32 what, __u32 argument)
{
	later_with(th, addr, what, argument, 0);
}

/* What a row says of a frame of @p code, whose locals begin at @p locals. True when what the target holds matters too. */
static __always_inline int add_locals(struct thread *th, __u64 code, __u64 locals)
{
	struct ctask_probe_code *known = bpf_map_lookup_elem(&codes, &code);

	if (!known)
		return 0;
	later_with(th, locals, LOCALS, 0, code);
	return known->holds;
}

static __noinline int add_each_local(struct thread *th, __u64 code, __u64 locals)
{
	struct ctask_probe_code *known;

	if (!th)
		return 0;
	known = bpf_map_lookup_elem(&codes, &code);
	if (!known)
		return 0;
	for (int i = 0; i < CTASK_PROBE_LOCALS; i++)
		later(th, i < known->count ? locals + 8 * (__u64)known->locals[i].slot : 0, LOCAL,
		      known->locals[i].follow);
	return 0;
}

static __noinline int add_local(struct thread *th, const struct ctask_probe_target *t, __u64 at,
				__u32 follow)
{
	__u64 value;
	piece *p;

	if (!th || !t)
		return 0;
	p = copy(th, at, 8, CTASK_ROLE_OTHER);
	if (!p)
		return 0;
	value = word(p, 0) & ~(__u64)t->ref_tag_mask;
	if (value < 4096)
		return 0;
	later(th, follow & CTASK_FOLLOW_OBJECT ? value - OBJECT_BEFORE : 0, BYTES, OBJECT_BYTES);
	later(th, follow & CTASK_FOLLOW_SLOTS ? value + 16 : 0, VALUES, 0);
	later(th, follow & CTASK_FOLLOW_ATTRS ? value : 0, ATTRS, 0);
	later(th, follow & CTASK_FOLLOW_TASK ? value : 0, TASK, CTASK_ROLE_OTHER);
	later(th, follow & CTASK_FOLLOW_EXCEPTION ? value : 0, FAILURE, 0);
	return 0;
}

/* The thread's frames, innermost first. True as in add_locals(). */
static __noinline int add_frames(struct thread *th, const struct ctask_probe_target *t,
				 struct ctask_probe_event *event)
{
	__u64 frame, gen, tag;
	int holds = 0;

	if (!th || !t || !event)
		return 0;
	tag = ~(__u64)t->ref_tag_mask;
	add(th, th->tstate + t->tstate_frame, 8);
	frame = user_u64(th->tstate + t->tstate_frame);
	if (t->cframe_frame != CTASK_PROBE_NO_FIELD) {
		add(th, frame + t->cframe_frame, 8);
		frame = user_u64(frame + t->cframe_frame);
	}
	for (int i = 0; i < CTASK_PROBE_FRAMES && frame; i++) {
		piece *p = copy(th, frame + t->frame_from, t->frame_bytes, CTASK_ROLE_FRAME);
		__u64 code;

		if (!p)
			break;
		code = word(p, t->frame_code - t->frame_from) & tag;
		gen = 0;
		if (t->frame_gen != CTASK_PROBE_NO_FIELD)
			gen = word(p, t->frame_gen - t->frame_from);
		else if (byte(p, t->frame_owner - t->frame_from) == OWNED_BY_GENERATOR)
			gen = frame - t->gen_frame;
		if (i < ROW_FRAMES)
			holds |= add_locals(th, code, frame + t->frame_locals);
		frame = word(p, t->frame_previous - t->frame_from);
		if (gen) {
			p = copy(th, gen, t->gen_exc_value + 8, CTASK_ROLE_OTHER);
			if (p)
				later(th, word(p, t->gen_exc_value), EXCEPTION, CONTEXTS);
		}
	}
	event->frames_cut = frame != 0;
	return holds;
}

static __always_inline int is_gen(const struct ctask_probe_target *t, __u64 type)
{
	return type == t->gen_types[0] || type == t->gen_types[1] || type == t->gen_types[2];
}

/* One coroutine of an await chain. */
static __noinline int add_link(struct thread *th, const struct ctask_probe_target *t, __u64 gen,
				__u32 holds)
{
	__u64 frame, top, code;
	__u32 base;
	piece *p;

	if (!th || !t)
		return 0;
	p = copy(th, gen, t->gen_bytes, CTASK_ROLE_OTHER);
	if (!p)
		return 0;
	if (!is_gen(t, word(p, 8))) {
		/* A wrapper drives another; a future's iterator has the future. */
		gen = word(p, 16);
		if (gen > 4096 && is_gen(t, user_u64(gen + 8)))
			later(th, gen, LINK, holds);
		return 0;
	}
	frame = gen + t->gen_frame;
	base = t->gen_frame;
	later(th, word(p, t->gen_exc_value), EXCEPTION, CONTEXTS);
	if (!t->gen_frame_inline) {
		frame = word(p, t->gen_frame);
		base = -t->frame_from;
		p = copy(th, frame + t->frame_from, t->frame_bytes, CTASK_ROLE_OTHER);
		if (!p)
			return 0;
	}
	code = word(p, base + t->frame_code) & ~(__u64)t->ref_tag_mask;
	if (t->stack_form == STACK_POINTER)
		top = word(p, base + t->frame_stack);
	else if (t->stack_form == STACK_DEPTH)
		top = word(p, base + t->frame_stack_base) +
		      8 * (__u64)half(p, base + t->frame_stack);
	else
		top = frame + t->frame_locals + 8 * (__u64)half(p, base + t->frame_stack);
	if (add_locals(th, code, frame + t->frame_locals) || holds)
		later(th, top, HELD, 0);
	p = copy(th, top - 8 * HELD_SLOTS, 8 * HELD_SLOTS, CTASK_ROLE_OTHER);
	if (p)
		later(th, word(p, 8 * (HELD_SLOTS - t->awaited_slot)) & ~(__u64)t->ref_tag_mask, LINK,
		      holds);
	return 0;
}

static __noinline int add_dict(struct thread *th, const struct ctask_probe_target *t, __u64 dict)
{
	__u64 keys, values, at, stride;
	piece *p;

	if (!th || !t)
		return 0;
	p = copy(th, dict, 64, CTASK_ROLE_OTHER);
	if (!p)
		return 0;
	keys = word(p, t->dict_keys);
	values = word(p, t->dict_values);
	if (values) {
		later(th, values, VALUES, 0);
		return 0;
	}
	p = copy(th, keys, KEYS_BYTES, CTASK_ROLE_OTHER);
	if (!p)
		return 0;
	at = t->keys_indices + (t->keys_is_log2 ? 1 << (byte(p, t->keys_log2_index_bytes) & 31)
						: word(p, 8));
	/* Entries are {hash, key, value}, or, where all keys are str, from 3.11 on {key, value}. */
	stride = t->keys_kind != CTASK_PROBE_NO_FIELD && byte(p, t->keys_kind) ? 16 : 24;
	at += stride - 8;
	for (int i = 0; i < WORDS; i++, at += stride)
		copy(th, word(p, (__u32)at), HEAD_BYTES, CTASK_ROLE_OTHER);
	return 0;
}

static __noinline int add_item(struct thread *th, const struct ctask_probe_target *t,
			       const struct follow_item *item)
{
	__u32 what, argument;
	__u64 addr;
	__u64 at;
	piece *p;

	if (!th || !t || !item)
		return 0;
	addr = item->addr;
	what = item->what;
	argument = item->argument;
	if (what == LOCALS)
		return add_each_local(th, item->more, addr);
	if (what == LOCAL)
		return add_local(th, t, addr, argument);
	if (what == LINK)
		return add_link(th, t, addr, argument);
	if (what == DICT)
		return add_dict(th, t, addr);
	if (what == ATTRS) {
		if (t->dict_form == DICT_INLINE)
			later(th, addr + 16 + t->values_values, VALUES, 0);
		at = user_u64(addr + (t->dict_form == DICT_OFFSET ? 16
				      : t->dict_form == DICT_311  ? -32
								  : -24));
		if (t->dict_form == DICT_311 && at)
			later(th, at, VALUES, 0);
		else if (t->dict_form == DICT_311)
			later(th, user_u64(addr - 24), DICT, 0);
		else if (t->dict_form == DICT_312 && at & 1)
			later(th, at + 1, VALUES, 0);
		else if (t->dict_form == DICT_INLINE)
			later(th, at, BYTES, 64);
		else
			later(th, at, DICT, 0);
		return 0;
	}
	if (what == HELD) {
		for (int i = 1; i <= HELD_SLOTS; i++)
			copy(th, user_u64(addr - i * 8) & ~(__u64)t->ref_tag_mask, 32,
			     CTASK_ROLE_OTHER);
		return 0;
	}
	p = copy(th, addr,
		 what == BYTES	      ? argument
		 : what == EXCEPTION || what == FAILURE ? EXCEPTION_BYTES
		 : what == TASK	      ? t->task_bytes
		 : what == VALUES     ? VALUES_BYTES
				      : HEAD_BYTES,
		 what == TASK ? argument : CTASK_ROLE_OTHER);
	if (!p)
		return 0;
	if (what == EXCEPTION && argument) {
		later(th, word(p, t->exception_context), EXCEPTION, argument - 1);
	} else if (what == FAILURE) {
		later(th, word(p, t->exception_args), ARGUMENTS, 0);
	} else if (what == ARGUMENTS) {
		later(th, word(p, t->tuple_items), BYTES, TEXT_BYTES);
	} else if (what == TASK) {
		later(th, word(p, t->task_name), BYTES, NAME_BYTES);
		later(th, word(p, t->task_coro), BYTES, t->gen_bytes);
	} else if (what == VALUES) {
		for (int i = 0; i < WORDS; i++)
			copy(th, word(p, i * 8), HEAD_BYTES, CTASK_ROLE_OTHER);
	}
	return 0;
}

static __always_inline void work_off(struct thread *th, const struct ctask_probe_target *t)
{
	for (__u32 i = 0; i < QUEUE; i++) {
		if (i >= th->queued)
			break;
		add_item(th, t, &th->queue[i]);
	}
}

/* The task that runs in this thread: its own word, or one of {loop: task}. */
static __noinline int add_running(struct thread *th, const struct ctask_probe_target *t)
{
	__u64 keys, at;
	piece *p;

	if (!th || !t)
		return 0;
	if (t->tstate_running_task != CTASK_PROBE_NO_FIELD) {
		add(th, th->tstate + t->tstate_running_task - 8, 16);
		later(th, user_u64(th->tstate + t->tstate_running_task), TASK, CTASK_ROLE_RUNNING);
	}
	if (t->tstate_running_loop != CTASK_PROBE_NO_FIELD)
		add(th, th->tstate + t->tstate_running_loop, 8);
	else
		later(th, user_u64(th->tstate + t->tstate_dict), DICT, 0);
	if (!t->current_tasks)
		return 0;
	p = copy(th, t->current_tasks, 64, CTASK_ROLE_OTHER);
	if (!p)
		return 0;
	keys = word(p, t->dict_keys);
	p = copy(th, keys, 64, CTASK_ROLE_OTHER);
	if (!p)
		return 0;
	if (t->keys_is_log2)
		at = 1ull << (byte(p, t->keys_log2_index_bytes) & 31);
	else
		at = word(p, 8);
	at += keys + t->keys_indices;
	p = copy(th, at, ENTRIES * 24, CTASK_ROLE_OTHER);
	if (!p)
		return 0;
	for (int i = 0; i < ENTRIES; i++)
		later(th, word(p, i * 24 + 16), TASK, CTASK_ROLE_RUNNING);
	return 0;
}

static __always_inline struct ctask_probe_event *begin(struct pt_regs *ctx, struct thread *th,
							__u32 kind)
{
	struct ctask_probe_event *event = (struct ctask_probe_event *)th->bytes;

	th->used = sizeof(*event);
	th->cut = 0;
	th->queued = 0;
	*event = (struct ctask_probe_event){
		.kind = kind,
		.time_ns = bpf_ktime_get_ns(),
		.tgid = bpf_get_current_pid_tgid() >> 32,
		.tid = (__u32)bpf_get_current_pid_tgid(),
		.sp = PT_REGS_SP(ctx),
		.caller = user_u64(PT_REGS_SP(ctx)),
		.self = PT_REGS_PARM1(ctx),
		.tstate = th->tstate,
	};
	return event;
}

static __always_inline void end(struct thread *th, struct ctask_probe_event *event)
{
	__u32 bytes = th->used;

	event->pieces_cut = th->cut;
	event->bytes = bytes;
	if (bytes > CTASK_PROBE_ROOM || bpf_ringbuf_output(&ring, th->bytes, bytes, 0))
		__sync_fetch_and_add(&lost, 1);
}

SEC("uprobe")
int on_cancel(struct pt_regs *ctx)
{
	struct ctask_probe_target *t = this_target();
	struct ctask_probe_event *event;
	__u64 task = PT_REGS_PARM1(ctx);
	struct thread *th;
	piece *p;
	int holds;

	if (!t)
		return 0;
	th = this_thread(t);
	if (!th) {
		__sync_fetch_and_add(&lost, 1);
		return 0;
	}
	event = begin(ctx, th, CTASK_PROBE_CANCEL);
	p = copy(th, task, t->task_bytes, CTASK_ROLE_OTHER);
	if (!p || half(p, t->task_state)) /* done: it refuses */
		return 0;
	if (th->last_sp)
		event->outer = user_u64(th->last_sp);
	th->last_sp = event->sp;
	{
		__u64 coro = word(p, t->task_coro), name = word(p, t->task_name),
		      waiter = word(p, t->task_fut_waiter);

		bpf_map_update_elem(&asked, &task, &coro, BPF_ANY);
		add(th, name, NAME_BYTES);
		add(th, waiter, 128);
		holds = add_frames(th, t, event);
		later(th, coro, LINK, holds);
	}
	add_running(th, t);
	if (t->has_arguments && PT_REGS_PARM2(ctx) && (PT_REGS_PARM3(ctx) || PT_REGS_PARM4(ctx))) {
		event->argument = user_u64(PT_REGS_PARM2(ctx));
		add(th, event->argument, TEXT_BYTES);
	}
	work_off(th, t);
	end(th, event);
	return 0;
}

SEC("uprobe")
int on_uncancel(struct pt_regs *ctx)
{
	struct ctask_probe_target *t = this_target();
	struct ctask_probe_event *event;
	__u64 task = PT_REGS_PARM1(ctx);
	struct thread *th;

	if (!t || !bpf_map_lookup_elem(&asked, &task))
		return 0;
	th = this_thread(t);
	if (!th)
		return 0;
	event = begin(ctx, th, CTASK_PROBE_UNCANCEL);
	add_frames(th, t, event);
	end(th, event);
	return 0;
}

/* What a task is when it is freed: all that tells how it ended is still there. */
SEC("uprobe")
int on_free(struct pt_regs *ctx)
{
	struct ctask_probe_target *t;
	struct ctask_probe_event *event;
	__u64 task = PT_REGS_PARM1(ctx);
	struct thread *th;

	if (!bpf_map_lookup_elem(&asked, &task))
		return 0;
	t = this_target();
	if (!t)
		return 0;
	th = this_thread(t);
	if (!th)
		return 0;
	event = begin(ctx, th, CTASK_PROBE_GONE);
	copy(th, task, t->task_bytes, CTASK_ROLE_OTHER);
	end(th, event);
	bpf_map_delete_elem(&asked, &task);
	return 0;
}

/* An exception is delivered to a coroutine. */
SEC("uprobe")
int on_throw(struct pt_regs *ctx)
{
	struct ctask_probe_target *t = this_target();
	struct ctask_probe_event *event;
	struct thread *th;

	if (!t)
		return 0;
	th = this_thread(t);
	if (!th)
		return 0;
	event = begin(ctx, th, CTASK_PROBE_THROW);
	event->argument = user_u64(PT_REGS_PARM2(ctx));
	later(th, event->argument, EXCEPTION, CONTEXTS);
	work_off(th, t);
	end(th, event);
	return 0;
}

/* A construct is entered: the innermost frame has it as its first local. */
SEC("uprobe")
int on_cancelling(struct pt_regs *ctx)
{
	struct ctask_probe_target *t = this_target();
	struct ctask_probe_event *event;
	struct thread *th;
	__u64 frame;

	if (!t)
		return 0;
	th = this_thread(t);
	if (!th)
		return 0;
	event = begin(ctx, th, CTASK_PROBE_ENTERED);
	frame = user_u64(th->tstate + t->tstate_frame);
	if (t->cframe_frame != CTASK_PROBE_NO_FIELD)
		frame = user_u64(frame + t->cframe_frame);
	copy(th, frame + t->frame_from, t->frame_bytes, CTASK_ROLE_FRAME);
	end(th, event);
	return 0;
}

char ctask_license[] SEC("license") = "GPL";
