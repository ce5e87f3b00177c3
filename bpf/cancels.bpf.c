/* cancels.bpf.c - inside a cancel(): copy the memory that tells who asks whom, and why. */
#include "bpf/kernel.bpf.h"
/* */
#include "bpf/events.h"

enum {
	THREADS = 256,	 /* that call cancel(); more are not seen, and counted */
	CODES = 1024,	 /* functions that mean something */
	ASKED = 1 << 16, /* tasks whose end matters */
	RING_BYTES = 1 << 26,
	TSTATES = 64,	       /* Python's newest threads, that are looked at to find this one */
	FRAMES_COUNTED = 4096, /* beyond those that are copied */
	ROW_FRAMES = 16,       /* frames in which functions that mean something are looked for */
	PAGE = 4096,
	HANDLER_FRAMES = 4, /* frames in which signal handlers are looked for */
	HELD_SLOTS = 8,
	ATTRS_MAX = 10,		/* attributes of an object that are followed */
	ENTRIES = 16,		/* of the dict of running tasks */
	CONTEXTS = 3,		/* exceptions raised while handling exceptions */
	OWNED_BY_GENERATOR = 1, /* Include/internal/pycore_frame.h */
	STACK_POINTER = 0,	/* enum ctask_stack_form */
	STACK_DEPTH = 1,
	QUEUE = 256, /* a power of two */
	STEPS = 384,
	DICT_OFFSET = 0, /* enum ctask_dict_form */
	DICT_311 = 1,
	DICT_312 = 2,
	DICT_INLINE = 3,
	NAME_BYTES = 160,
	TEXT_BYTES = 320,
	HEAD_BYTES = 48,
	OBJECT_BEFORE =
		32, /* the words before an object, where 3.11 and later keep its attributes */
	OBJECT_BYTES = 192,
	EXCEPTION_BYTES = 112,
	EXCEPTION_FIELDS = 4, /* of an OSError, behind what all exceptions have */
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
	__u32 used, cut, queued, done;
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

/* Python's threads that there were when the recording began, by pthread_self(). */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, __u64);
} tstates SEC(".maps");

/* Tasks that were asked to stop, and their coroutines, by address. */
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

/* Calls of cancel() in processes that nobody has looked into yet. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32); /* tgid */
	__type(value, struct ctask_probe_unready);
} unready SEC(".maps");

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
	if (addr < 4096)
		return NULL;
	if (bpf_probe_read_user(p->bytes, len, (void *)addr)) {
		/* The next page may not be there, or never have been touched; it is all zeros now. */
		__u32 rest = PAGE - (addr & (PAGE - 1));

		if (rest >= len)
			return NULL;
		len = rest;
		asm volatile("" : "+r"(len));
		len &= CTASK_PIECE_MAX - 1;
		if (bpf_probe_read_user(p->bytes, len, (void *)addr))
			return NULL;
	}
	p->addr = addr;
	p->len = len;
	p->role = role;
	th->used = at + sizeof(piece) + ((len + 7) & ~7u);
	return p;
}

static __always_inline void add(struct thread *th, __u64 addr, __u32 len)
{
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

static __always_inline struct ctask_probe_target *this_target(void *ctx)
{
	__u32 key = one_process ? 0 : bpf_get_current_pid_tgid() >> 32;
	struct ctask_probe_target *t = bpf_map_lookup_elem(&targets, &key);

	/* One file can be reached by two names, and then has its probes twice. */
	if (t && !one_process && t->build != bpf_get_attach_cookie(ctx))
		return NULL;
	return t;
}

static __always_inline void count_unready(void *ctx)
{
	__u32 key = bpf_get_current_pid_tgid() >> 32;
	struct ctask_probe_unready first = { .build = bpf_get_attach_cookie(ctx) }, *known;

	if (bpf_map_lookup_elem(&targets, &key))
		return;
	bpf_map_update_elem(&unready, &key, &first, BPF_NOEXIST);
	known = bpf_map_lookup_elem(&unready, &key);
	if (known && known->build == first.build)
		__sync_fetch_and_add(&known->calls, 1);
}

/* Processes that were forked from one have their objects at the same addresses. */
static __always_inline __u64 asked_key(__u64 object)
{
	return one_process ? object : object ^ (bpf_get_current_pid_tgid() >> 32 << 42);
}

/* What the thread that runs is to Python: among all its threads the one that has this pthread_self(). */
__noinline __u64 find_tstate(const struct ctask_probe_target *t, __u64 fsbase)
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
		__u64 *told = bpf_map_lookup_elem(&tstates, &fsbase);

		th->tstate = told && user_u64(*told + t->tstate_thread_id) == fsbase
				     ? *told
				     : find_tstate(t, fsbase);
		th->fsbase = fsbase;
	}
	return th;
}

/*
 * What is still to be copied is a queue, and one flat loop works it off, a piece a step: what lies in each
 * other (a frame's variable, its attribute, that one's value) would otherwise multiply what the verifier
 * walks through.
 */
enum follow {
	BYTES, /* argument: how many */
	WORDS, /* the heads of what words point to; argument: how many words, more: from one to the next */
	TASKS,	   /* the same of words that point to tasks */
	EXCEPTION, /* argument: how many more of those that were being handled */
	FAILURE,   /* an exception and its arguments */
	ARGUMENTS,
	DICT,
	KEYS, /* of a dict, and the heads of its values */
	ATTRS,
	TASK,	    /* argument: role */
	LINK,	    /* of an await chain; argument: whether it matters what it holds */
	LINK_FRAME, /* of a coroutine, to 3.10; the same */
	AWAITED,    /* a word that points to the next link */
	LOCALS,	    /* of a frame; more: its code, which means something */
	LOCAL,	    /* argument: how it is followed */
};

__noinline int later_with(struct thread *th, __u64 addr, __u32 what, __u32 argument, __u64 more)
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

/* The values of an instance's attributes, as an array. */
static __always_inline void later_values(struct thread *th, __u64 values)
{
	later(th, values, BYTES, VALUES_BYTES);
	later_with(th, values, WORDS, ATTRS_MAX, 8);
}

/* What a row says of a frame of @p code, whose locals begin at @p locals. True when what the target holds matters too. */
static __always_inline int add_locals(struct thread *th, const struct ctask_probe_target *t,
				      __u64 code, __u64 locals, int where)
{
	__u64 key = code | t->code_space;
	struct ctask_probe_code *known = bpf_map_lookup_elem(&codes, &key);

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

static __always_inline int add_local(struct thread *th, __u64 value, __u32 follow)
{
	later(th, follow & CTASK_FOLLOW_OBJECT ? value - OBJECT_BEFORE : 0, BYTES, OBJECT_BYTES);
	later_with(th, follow & CTASK_FOLLOW_SLOTS ? value + 16 : 0, WORDS, ATTRS_MAX, 8);
	later(th, follow & CTASK_FOLLOW_ATTRS ? value : 0, ATTRS, 0);
	later(th, follow & CTASK_FOLLOW_TASK ? value : 0, TASK, CTASK_ROLE_OTHER);
	later(th, follow & CTASK_FOLLOW_EXCEPTION ? value : 0, FAILURE, 0);
	return 0;
}

static __always_inline __u64 first_frame(struct thread *th, const struct ctask_probe_target *t)
{
	__u64 at = th->tstate + t->tstate_frame;
	piece *p = copy(th, at, 8, CTASK_ROLE_OTHER);

	if (!p)
		return 0;
	at = word(p, 0);
	if (t->cframe_frame == CTASK_PROBE_NO_FIELD)
		return at;
	p = copy(th, at + t->cframe_frame, 8, CTASK_ROLE_OTHER);
	return p ? word(p, 0) : 0;
}

static __always_inline __u64 gen_of(const struct ctask_probe_target *t, const piece *p, __u64 frame)
{
	if (t->frame_gen != CTASK_PROBE_NO_FIELD)
		return word(p, t->frame_gen - t->frame_from);
	return byte(p, t->frame_owner - t->frame_from) == OWNED_BY_GENERATOR ? frame - t->gen_frame
									     : 0;
}

/* A signal handler is known by the frame object that it is given; *args may have it. */
static __always_inline void add_if_frame(struct thread *th, const struct ctask_probe_target *t,
					 __u64 value)
{
	__u64 type = 0;

	if (value > PAGE)
		type = user_u64((value & ~(__u64)t->ref_tag_mask) + 8);
	if (!type)
		return;

	if (type == t->frame_type)
		later(th, value & ~(__u64)t->ref_tag_mask, BYTES, 48);
	else if (type == t->tuple_type)
		later(th, value & ~(__u64)t->ref_tag_mask, ARGUMENTS, 0);
}

/* The thread's frames, innermost first. True as in add_locals(). */
__noinline int add_frames(struct thread *th, const struct ctask_probe_target *t,
			  struct ctask_probe_event *event)
{
	__u64 frame, gen;
	int holds = 0, inner = 1;

	if (!th || !t || !event)
		return 0;
	frame = first_frame(th, t);
	for (int i = 0; i < CTASK_PROBE_FRAMES && frame; i++) {
		piece *p = copy(th, frame + t->frame_from, t->frame_bytes, CTASK_ROLE_FRAME);

		if (!p)
			break;
		if (i < ROW_FRAMES)
			holds |= add_locals(th, t,
					    word(p, t->frame_code - t->frame_from) &
						    ~(__u64)t->ref_tag_mask,
					    frame + t->frame_locals,
					    (i == 0 ? CTASK_ONLY_FIRST : 0) |
						    (holds & CTASK_ONLY_AFTER_RUNNER));
		if (i < ROW_FRAMES && t->first_locals)
			copy(th, frame + t->frame_locals, 8 * 4, CTASK_ROLE_OTHER);
		gen = gen_of(t, p, frame);
		if (i < HANDLER_FRAMES && !gen && inner && !t->first_locals) {
			add_if_frame(th, t, word(p, t->frame_locals - t->frame_from + 8));
			add_if_frame(th, t, word(p, t->frame_locals - t->frame_from + 16));
			if (i < 2) /* *args */
				add_if_frame(th, t, word(p, t->frame_locals - t->frame_from));
		}
		inner &= !gen;
		frame = word(p, t->frame_previous - t->frame_from);
		if (gen > 4096) {
			p = copy(th, gen, t->gen_exc_value + 8, CTASK_ROLE_OTHER);
			if (p)
				later(th, word(p, t->gen_exc_value), EXCEPTION, CONTEXTS);
		}
	}
	for (int i = 0; i < FRAMES_COUNTED && frame; i++) {
		event->frames_cut++;
		frame = user_u64(frame + t->frame_previous);
	}
	return holds & 1;
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
	later_with(th, holds ? top - 8 * HELD_SLOTS : 0, WORDS, HELD_SLOTS, 8);
	/* Most often the top of its stack lies in what was copied already. */
	at = top - 8 * t->awaited_slot - frame + base;
	if (t->gen_frame_inline && at < t->gen_bytes)
		later(th, word(p, (__u32)at) & ~(__u64)t->ref_tag_mask, LINK, holds);
	else
		later(th, top - 8 * HELD_SLOTS, AWAITED, holds);
}

static __always_inline void add_attrs(struct thread *th, const struct ctask_probe_target *t,
				      __u64 addr)
{
	__u64 dict = user_u64(t->dict_form == DICT_OFFSET ? addr + 16 : addr - 24), values = 0;

	if (t->dict_form == DICT_INLINE)
		values = addr + 16 + t->values_values;
	else if (t->dict_form == DICT_311)
		values = user_u64(addr - 32);
	else if (t->dict_form == DICT_312 && dict & 1)
		values = dict + 1;
	later_values(th, values);
	later(th, t->dict_form == DICT_INLINE ? dict : 0, BYTES, 64);
	later(th, values ? 0 : dict, DICT, 0);
}

/* The bytes of an item that are copied. */
static __always_inline __u32 item_bytes(const struct ctask_probe_target *t, __u32 what,
					__u32 argument)
{
	if (what == BYTES)
		return argument;
	if (what == EXCEPTION || what == FAILURE)
		return EXCEPTION_BYTES;
	if (what == TASK)
		return t->task_bytes;
	if (what == LINK)
		return t->gen_bytes;
	if (what == LINK_FRAME)
		return t->frame_bytes;
	if (what == KEYS)
		return KEYS_BYTES;
	if (what == LOCAL)
		return 8;
	if (what == AWAITED)
		return 8 * HELD_SLOTS;
	return 64;
}

/* One step: a piece is copied, and it is noted what it leads to. */
__noinline int add_item(struct thread *th, const struct ctask_probe_target *t, __u32 index)
{
	__u32 what, argument, entry;
	struct follow_item *item;
	__u64 addr, value, count;
	piece *p;

	if (!th || !t)
		return 0;
	item = &th->queue[index & (QUEUE - 1)];
	addr = item->addr;
	what = item->what;
	argument = item->argument;
	if (what == WORDS || what == TASKS) {
		value = user_u64(addr) & ~(__u64)t->ref_tag_mask;
		item->addr = addr + item->more;
		item->argument = argument - 1;
		if (argument > 1)
			th->done--;
		if (what == TASKS)
			later(th, value, TASK, CTASK_ROLE_RUNNING);
		else
			copy(th, value, HEAD_BYTES, CTASK_ROLE_OTHER);
		return 0;
	}
	if (what == LOCALS)
		return add_each_local(th, item->more, addr);
	if (what == ATTRS) {
		add_attrs(th, t, addr);
		return 0;
	}
	if (what == LINK_FRAME)
		addr += t->frame_from;
	p = copy(th, addr, item_bytes(t, what, argument),
		 what == TASK ? argument : CTASK_ROLE_OTHER);
	if (!p || what == BYTES)
		return 0;
	value = word(p, 0) & ~(__u64)t->ref_tag_mask;
	if (what == LOCAL)
		return value < 4096 ? 0 : add_local(th, value, argument);
	if (what == AWAITED) {
		value = word(p, 8 * (HELD_SLOTS - t->awaited_slot)) & ~(__u64)t->ref_tag_mask;
		later(th, value, LINK, argument);
		return 0;
	}
	if (what == LINK) {
		if (!is_gen(t, word(p, 8))) {
			/* A wrapper drives another; a future's iterator has the future. */
			value = word(p, 16);
			if (value > 4096 && is_gen(t, user_u64(value + 8)))
				later(th, value, LINK, argument);
			return 0;
		}
		later(th, word(p, t->gen_exc_value), EXCEPTION, CONTEXTS);
		if (t->gen_frame_inline)
			add_link_frame(th, t, p, addr + t->gen_frame, t->gen_frame, argument);
		else
			later(th, word(p, t->gen_frame), LINK_FRAME, argument);
		return 0;
	}
	if (what == LINK_FRAME) {
		add_link_frame(th, t, p, addr - t->frame_from, -t->frame_from, argument);
		return 0;
	}
	if (what == EXCEPTION) {
		later(th, argument ? word(p, t->exception_context) : 0, EXCEPTION, argument - 1);
		return 0;
	}
	if (what == FAILURE) {
		later(th, word(p, t->exception_args), ARGUMENTS, 0);
		later(th, word(p, t->exception_context - 8), BYTES, HEAD_BYTES); /* traceback */
		later_with(th, addr + t->exception_context + 24, WORDS, EXCEPTION_FIELDS, 8);
		return 0;
	}
	if (what == ARGUMENTS) {
		later(th, word(p, t->tuple_items), BYTES, TEXT_BYTES);
		later_with(th, addr + t->tuple_items, WORDS, 3, 8);
		return 0;
	}
	if (what == TASK) {
		later(th, word(p, t->task_name), BYTES, NAME_BYTES);
		later(th, word(p, t->task_coro), BYTES, t->gen_bytes);
		return 0;
	}
	if (what == DICT) {
		value = word(p, t->dict_values);
		later_values(th, value);
		later(th, value ? 0 : word(p, t->dict_keys), KEYS, 0);
		return 0;
	}
	if (what == KEYS) {
		/* Entries are {hash, key, value}, or, where all keys are str, from 3.11 on {key, value}. */
		entry = t->keys_kind != CTASK_PROBE_NO_FIELD && byte(p, t->keys_kind) ? 16 : 24;
		value = t->keys_is_log2 ? 1 << (byte(p, t->keys_log2_index_bytes) & 31)
					: word(p, 8);
		count = word(p, t->keys_nentries);
		if (count > 0)
			later_with(th, addr + t->keys_indices + value + entry - 8,
				   argument ? TASKS : WORDS, count < ENTRIES ? count : ENTRIES,
				   entry);
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

/* The task that runs in this thread: its own word, or one of {loop: task}. */
static __always_inline void add_running(struct thread *th, const struct ctask_probe_target *t)
{
	__u64 at;

	add(th, th->tstate + t->tstate_thread_id, 8);
	if (t->tstate_running_task != CTASK_PROBE_NO_FIELD) {
		at = th->tstate + t->tstate_running_task;
		add(th, at - 8, 16);
		later_with(th, at, TASKS, 1, 8);
	}
	if (t->tstate_running_loop != CTASK_PROBE_NO_FIELD)
		add(th, th->tstate + t->tstate_running_loop, 8);
	else if (copy(th, th->tstate + t->tstate_dict, 8, CTASK_ROLE_OTHER))
		later(th, user_u64(th->tstate + t->tstate_dict), DICT, 0);
	if (t->exc_info != CTASK_PROBE_NO_FIELD) {
		at = user_u64(th->tstate + t->exc_info);
		add(th, th->tstate + t->exc_info, 8);
		add(th, at, 32);
		later(th, user_u64(at + 8), FAILURE, 0);
	}
	if (t->current_tasks) {
		add(th, t->current_tasks, 64);
		later(th, user_u64(t->current_tasks + t->dict_keys), KEYS, 1);
	}
}

static __always_inline struct ctask_probe_event *begin(struct pt_regs *ctx, struct thread *th,
						       __u32 kind)
{
	struct ctask_probe_event *event = (struct ctask_probe_event *)th->bytes;

	th->used = sizeof(*event);
	th->cut = 0;
	th->queued = th->done = 0;
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
	/* To wake the reader costs more than all the rest: it comes by itself, unless there is much. */
	__u64 flags = bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) > RING_BYTES / 8
			      ? BPF_RB_FORCE_WAKEUP
			      : BPF_RB_NO_WAKEUP;

	event->pieces_cut = th->cut;
	event->bytes = bytes;
	/* Of other kinds only the outcome of a request is to be had: without them it is looked for, or unknown. */
	if ((bytes > CTASK_PROBE_ROOM || bpf_ringbuf_output(&ring, th->bytes, bytes, flags)) &&
	    event->kind == CTASK_PROBE_CANCEL)
		__sync_fetch_and_add(&lost, 1);
}

SEC("uprobe")
int on_cancel(struct pt_regs *ctx)
{
	struct ctask_probe_target *t = this_target(ctx);
	struct ctask_probe_event *event;
	__u64 task = PT_REGS_PARM1(ctx);
	struct thread *th;
	piece *p;
	int holds;

	if (!t) {
		if (!one_process)
			count_unready(ctx);
		return 0;
	}
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

		__u64 task_key = asked_key(task), coro_key = asked_key(coro);

		bpf_map_update_elem(&asked, &task_key, &coro, BPF_ANY);
		bpf_map_update_elem(&asked, &coro_key, &task, BPF_ANY);
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
	struct ctask_probe_target *t = this_target(ctx);
	struct ctask_probe_event *event;
	__u64 task = PT_REGS_PARM1(ctx), key = asked_key(task);
	struct thread *th;

	if (!t || !bpf_map_lookup_elem(&asked, &key))
		return 0;
	th = this_thread(t);
	if (!th)
		return 0;
	event = begin(ctx, th, CTASK_PROBE_UNCANCEL);
	copy(th, task, t->task_bytes, CTASK_ROLE_OTHER);
	copy(th, first_frame(th, t) + t->frame_from, t->frame_bytes, CTASK_ROLE_FRAME);
	end(th, event);
	return 0;
}

/* What a task is when it is freed: all that tells how it ended is still there. */
SEC("uprobe")
int on_free(struct pt_regs *ctx)
{
	struct ctask_probe_target *t;
	struct ctask_probe_event *event;
	__u64 task = PT_REGS_PARM1(ctx), key = asked_key(task);
	struct thread *th;

	if (!bpf_map_lookup_elem(&asked, &key))
		return 0;
	t = this_target(ctx);
	if (!t)
		return 0;
	th = this_thread(t);
	if (!th)
		return 0;
	event = begin(ctx, th, CTASK_PROBE_GONE);
	copy(th, task, t->task_bytes, CTASK_ROLE_OTHER);
	end(th, event);
	bpf_map_delete_elem(&asked, &key);
	return 0;
}

/* An exception is delivered to a coroutine: of interest is one whose task was asked. */
SEC("uprobe")
int on_throw(struct pt_regs *ctx)
{
	struct ctask_probe_target *t;
	struct ctask_probe_event *event;
	__u64 key = asked_key(PT_REGS_PARM1(ctx));
	struct thread *th;

	if (!bpf_map_lookup_elem(&asked, &key))
		return 0;
	t = this_target(ctx);
	if (!t)
		return 0;
	th = this_thread(t);
	if (!th)
		return 0;
	event = begin(ctx, th, CTASK_PROBE_THROW);
	end(th, event);
	return 0;
}

/* A construct is entered: the innermost frame has it as its first local. */
SEC("uprobe")
int on_cancelling(struct pt_regs *ctx)
{
	struct ctask_probe_target *t = this_target(ctx);
	struct ctask_probe_event *event;
	struct thread *th;
	__u64 frame;

	if (!t)
		return 0;
	th = this_thread(t);
	if (!th)
		return 0;
	event = begin(ctx, th, CTASK_PROBE_ENTERED);
	frame = first_frame(th, t);
	copy(th, frame + t->frame_from, t->frame_bytes, CTASK_ROLE_FRAME);
	end(th, event);
	return 0;
}

char ctask_license[] SEC("license") = "GPL";
