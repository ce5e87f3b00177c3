/* cancels.bpf.c - inside a cancel(): copy the memory that tells who asks whom, and why. */
#include "bpf/follow.bpf.h"

enum {
	TSTATES = 64,	      /* Python's newest threads, that are looked at to find this one */
	COUNTED_AT_ONCE = 64, /* frames beyond those that are copied … */
	COUNTS = 64,	      /* … and how often so many */
	ROW_FRAMES = 16,      /* frames in which functions that mean something are looked for */
	HANDLER_FRAMES =
		5, /* frames in which signal handlers are looked for, and who was interrupted */
	OWNED_BY_THREAD = 0, /* Include/internal/pycore_frame.h, 3.11 on */
	OWNED_BY_GENERATOR = 1,
	ROW_BYTES = 1920, /* of frames that lie in one row, that are copied at once */
	ROW_NEAR = 1 << 14,
	FIRST_LOCALS = 4, /* copied with each frame that lies alone */
	FRAME_OBJECT_BYTES = 48,
	WAITER_BYTES = 128,
	GONE_BYTES = 256,
	WAKE_BYTES = 1 << 20, /* a power of two */
};

/* What the thread that runs is to Python: among all its threads the one that has this pthread_self(). */
__noinline __u64 find_tstate(const struct ctask_probe_target *t, __u64 self)
{
	__u64 interp, tstate = 0, *told = bpf_map_lookup_elem(&tstates, &self);

	if (!t)
		return 0;
	if (told && user_u64(*told + t->tstate_thread_id) == self)
		return *told;
	interp = user_u64(t->interpreters_head);
	for (int i = 0; i < TSTATES && interp; i++) {
		tstate = tstate ? user_u64(tstate + t->tstate_next)
				: user_u64(interp + t->interp_threads_head);
		if (!tstate)
			interp = user_u64(interp + t->interp_next);
		else if (user_u64(tstate + t->tstate_thread_id) == self)
			return tstate;
	}
	return 0;
}

/* Copies what matters of the thread's state. NULL when this is none of Python's threads. */
static __always_inline piece *add_tstate(struct thread *th, const struct ctask_probe_target *t)
{
	__u64 self = this_pthread();
	__u32 used = th->used;
	piece *p = copy(th, th->tstate + t->tstate_from, t->tstate_bytes);

	if (p && word(p, t->tstate_thread_id - t->tstate_from) == self)
		return p;
	th->used = used;
	th->tstate = find_tstate(t, self);
	return th->tstate ? copy(th, th->tstate + t->tstate_from, t->tstate_bytes) : NULL;
}

static __always_inline __u64 first_frame(struct thread *th, const struct ctask_probe_target *t,
					 const piece *tstate)
{
	__u64 at = word(tstate, t->tstate_frame - t->tstate_from);
	piece *p;

	if (t->cframe_frame == CTASK_PROBE_NO_FIELD)
		return at;
	p = copy(th, at + t->cframe_frame, 8);
	return p ? word(p, 0) : 0;
}

/*
 * Copy a frame, and return where the event has that piece; 0 = it cannot be copied. From 3.11 on the frames of
 * functions lie in one row, callers below, so one copy has several; those of coroutines lie in these,
 * and some on the C stack.
 */
__noinline __u32 add_frame(struct thread *th, const struct ctask_probe_target *t, __u64 frame,
			   __u32 index)
{
	__u64 from = frame + t->frame_from;
	__u32 len = t->frame_bytes, at;
	piece *p;

	if (!th || !t)
		return 0;
	at = th->used;
	if (t->first_locals) {
		if (index < ROW_FRAMES)
			len = t->frame_locals + 8 * FIRST_LOCALS - t->frame_from;
	} else {
		int near = frame - th->stack_near + ROW_NEAR < 2 * ROW_NEAR;
		__u64 page = frame & -(__u64)PAGE;

		from = near ? frame + len - ROW_BYTES : frame - t->gen_frame;
		if (from < page) /* it need not be there */
			from = page;
		len += (__u32)(frame - from);
	}
	p = copy(th, from, len);
	if (!p)
		return 0;
	if (!t->first_locals && byte(p, (__u32)(frame - from) + t->frame_owner) == OWNED_BY_THREAD)
		th->stack_near = frame;
	return at;
}

/* The coroutine of a frame, and what it is handling. */
static __always_inline void add_gen(struct thread *th, const struct ctask_probe_target *t,
				    const piece *p, __u64 gen)
{
	__u32 base = gen - p->addr;

	if (gen < FIRST_ADDRESS)
		return;
	if (!t->gen_frame_inline || gen < p->addr) {
		p = copy(th, gen, t->gen_bytes);
		base = 0;
	}
	if (!p)
		return;
	th->running_gen = gen;
	later(th, word(p, base + t->gen_exc_value), EXCEPTION, CONTEXTS);
}

/*
 * One step up the thread's frames: what matters of the one at th->walk.frame, the index'th from inside. False when it cannot
 * be copied. A function of its own: in the loop the verifier would walk through all of it at each step.
 */
__noinline int add_next_frame(struct thread *th, const struct ctask_probe_target *t, __u32 index)
{
	__u64 frame, gen = 0, object;
	__u32 base;
	piece *p;

	if (!th || !t)
		return 0;
	frame = th->walk.frame;
	p = th->walk.at ? piece_at(th, th->walk.at) : NULL;
	if (!p || frame < p->addr || frame + t->frame_bytes > p->addr + p->len) {
		th->walk.at = add_frame(th, t, frame, index);
		p = th->walk.at ? piece_at(th, th->walk.at) : NULL;
		if (!p)
			return 0;
	}
	base = (__u32)(frame - p->addr);
	if (index < ROW_FRAMES)
		th->walk.holds |=
			add_locals(th, t, word(p, base + t->frame_code) & ~(__u64)t->ref_tag_mask,
				   frame + t->frame_locals,
				   (index == 0 ? CTASK_ONLY_FIRST : 0) |
					   (th->walk.holds & CTASK_ONLY_AFTER_RUNNER));
	if (t->first_locals) {
		gen = word(p, base + t->frame_gen);
	} else {
		__u8 owner = byte(p, base + t->frame_owner);

		if (owner == OWNED_BY_GENERATOR)
			gen = frame - t->gen_frame;
		/* A signal handler is given the object of the frame that it interrupts; *args may have it. */
		if (index < HANDLER_FRAMES && owner <= OWNED_BY_GENERATOR) {
			object = word(p, base + t->frame_object);
			if (object && index) {
				later(th, object, BYTES, FRAME_OBJECT_BYTES);
				later(th, th->walk.inner[0], ARGUMENTS_AT, 0);
				later(th, th->walk.inner[1], ARGUMENTS_AT, 0);
			}
			th->walk.inner[1] = th->walk.inner[0];
			th->walk.inner[0] = frame + t->frame_locals;
		}
	}
	th->walk.frame = word(p, base + t->frame_previous);
	if (gen)
		add_gen(th, t, p, gen);
	return 1;
}

/* How many frames follow on each other from th->walk.frame on; the next stands there. */
__noinline __u32 count_frames(struct thread *th, const struct ctask_probe_target *t)
{
	__u64 frame;
	__u32 count = 0;

	if (!th || !t)
		return 0;
	frame = th->walk.frame;
	for (; count < COUNTED_AT_ONCE && frame; count++)
		frame = user_u64(frame + t->frame_previous);
	th->walk.frame = frame;
	return count;
}

/* The thread's frames, innermost first. True as in add_locals(). */
static __always_inline int add_frames(struct thread *th, const struct ctask_probe_target *t,
				      struct ctask_probe_event *event, __u64 frame)
{
	th->walk = (struct frame_walk){ .frame = frame };
	for (__u32 i = 0; i < CTASK_PROBE_FRAMES && th->walk.frame; i++)
		if (!add_next_frame(th, t, i))
			break;
	for (int i = 0; i < COUNTS && th->walk.frame; i++)
		event->frames_cut += count_frames(th, t);
	return th->walk.holds & 1;
}

/* The task that runs in this thread: its own word, or one of {loop: task}. And the loop, and what is being handled. */
static __always_inline void add_running(struct thread *th, const struct ctask_probe_target *t,
					const piece *tstate)
{
	piece *p;

	if (t->tail_bytes) {
		p = copy(th, th->tstate + t->tail_from, t->tail_bytes);
		if (p && t->tstate_running_task != CTASK_PROBE_NO_FIELD)
			later(th, word(p, t->tstate_running_task - t->tail_from), TASK, 0);
	}
	if (t->tstate_running_loop == CTASK_PROBE_NO_FIELD)
		later(th, word(tstate, t->tstate_dict - t->tstate_from), DICT, 0);
	if (t->exc_info != CTASK_PROBE_NO_FIELD) {
		p = copy(th, word(tstate, t->exc_info - t->tstate_from), 32);
		if (p)
			later(th, word(p, 8), FAILURE, 0);
	}
	if (t->current_tasks) {
		p = copy(th, t->current_tasks, 64);
		if (p)
			later(th, word(p, t->dict_keys), KEYS, 1);
	}
}

static __always_inline void head_of(struct ctask_probe_event *event, struct pt_regs *ctx,
				    __u32 kind)
{
	__u64 id = bpf_get_current_pid_tgid();

	*event = (struct ctask_probe_event){
		.kind = kind,
		.bytes = sizeof(*event),
		.time_ns = bpf_ktime_get_ns(),
		.tgid = id >> 32,
		.tid = (__u32)id,
		.self = PT_REGS_PARM1(ctx),
	};
}

static __always_inline struct ctask_probe_event *begin(struct pt_regs *ctx, struct thread *th,
						       __u32 kind)
{
	struct ctask_probe_event *event = (struct ctask_probe_event *)th->bytes;

	th->used = sizeof(*event);
	th->cut = 0;
	th->queued = th->done = 0;
	th->running_gen = 0;
	head_of(event, ctx, kind);
	return event;
}

/* To wake the reader costs more than all the rest: it comes by itself, unless there is much; then now and then. */
static __always_inline __u64 wake_flags(__u32 bytes)
{
	__u64 position = bpf_ringbuf_query(&ring, BPF_RB_PROD_POS);

	if ((position & (WAKE_BYTES - 1)) > bytes ||
	    bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) < RING_BYTES / 8)
		return BPF_RB_NO_WAKEUP;
	return BPF_RB_FORCE_WAKEUP;
}

static __always_inline void end(struct thread *th, struct ctask_probe_event *event)
{
	__u32 bytes = th->used;

	event->pieces_cut = th->cut;
	event->tstate = th->tstate;
	event->bytes = bytes;
	/* Of other kinds only the outcome of a request is to be had: without them it is looked for, or unknown. */
	if ((bytes > CTASK_PROBE_ROOM ||
	     bpf_ringbuf_output(&ring, th->bytes, bytes, wake_flags(bytes))) &&
	    event->kind == CTASK_PROBE_CANCEL)
		__sync_fetch_and_add(&lost, 1);
}

SEC("uprobe")
int on_cancel(struct pt_regs *ctx)
{
	struct ctask_probe_target *t = this_target(ctx);
	__u64 task = PT_REGS_PARM1(ctx), coro, waiter;
	struct ctask_probe_event *event;
	piece *p, *tstate;
	struct thread *th;
	int holds = 0;

	if (!t) {
		if (!one_process)
			count_unready(ctx);
		return 0;
	}
	th = this_thread();
	if (!th) {
		__sync_fetch_and_add(&lost, 1);
		return 0;
	}
	event = begin(ctx, th, CTASK_PROBE_CANCEL);
	p = copy(th, task, t->task_bytes);
	if (!p || half(p, t->task_state)) /* done: it refuses */
		return 0;
	event->sp = PT_REGS_SP(ctx);
	event->caller = user_u64(event->sp);
	if (event->sp < th->last_sp)
		event->outer = user_u64(th->last_sp);
	th->last_sp = event->sp;
	coro = word(p, t->task_coro);
	waiter = word(p, t->task_fut_waiter);
	note_asked(asked_key(task));
	note_asked(asked_key(coro));
	copy(th, word(p, t->task_name), NAME_BYTES);
	copy(th, waiter, WAITER_BYTES);
	tstate = add_tstate(th, t);
	if (tstate) {
		holds = add_frames(th, t, event, first_frame(th, t, tstate));
		add_running(th, t, tstate);
	}
	later(th, coro, LINK, holds);
	if (t->has_arguments && PT_REGS_PARM2(ctx) && (PT_REGS_PARM3(ctx) || PT_REGS_PARM4(ctx))) {
		event->argument = user_u64(PT_REGS_PARM2(ctx));
		copy(th, event->argument, TEXT_BYTES);
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
	__u64 task = PT_REGS_PARM1(ctx);
	struct thread *th;
	piece *tstate;

	if (!t || !was_asked(asked_key(task)))
		return 0;
	th = this_thread();
	if (!th)
		return 0;
	event = begin(ctx, th, CTASK_PROBE_UNCANCEL);
	copy(th, task, t->task_bytes);
	tstate = add_tstate(th, t);
	if (tstate)
		copy(th, first_frame(th, t, tstate) + t->frame_from, t->frame_bytes);
	end(th, event);
	return 0;
}

/* What a task is when it is freed: all that tells how it ended is still there. */
SEC("uprobe")
int on_free(struct pt_regs *ctx)
{
	__u64 task = PT_REGS_PARM1(ctx), key = asked_key(task);
	struct ctask_probe_target *t;
	struct ctask_probe_event *event;
	__u32 len;
	piece *p;

	if (!was_asked(key))
		return 0;
	t = this_target(ctx);
	if (!t)
		return 0;
	forget_asked(key);
	event = bpf_ringbuf_reserve(&ring, sizeof(*event) + sizeof(*p) + GONE_BYTES, 0);
	if (!event)
		return 0;
	head_of(event, ctx, CTASK_PROBE_GONE);
	p = (piece *)(event + 1);
	len = t->task_bytes < GONE_BYTES ? t->task_bytes : GONE_BYTES;
	asm volatile("" : "+r"(len));
	p->addr = task;
	p->len = 0;
	if (len <= GONE_BYTES && !bpf_probe_read_user(p->bytes, len, (void *)task))
		p->len = len;
	event->bytes += sizeof(*p) + p->len;
	bpf_ringbuf_submit(event, wake_flags(0));
	return 0;
}

/* An exception is delivered to a coroutine: of interest is one whose task was asked. */
SEC("uprobe")
int on_throw(struct pt_regs *ctx)
{
	struct ctask_probe_event *event;

	if (!was_asked(asked_key(PT_REGS_PARM1(ctx))) || !this_target(ctx))
		return 0;
	event = bpf_ringbuf_reserve(&ring, sizeof(*event), 0);
	if (!event)
		return 0;
	head_of(event, ctx, CTASK_PROBE_THROW);
	bpf_ringbuf_submit(event, wake_flags(0));
	return 0;
}

/* A construct is entered: the innermost frame, the only piece, has it as its first local. */
SEC("uprobe")
int on_cancelling(struct pt_regs *ctx)
{
	struct ctask_probe_target *t = this_target(ctx);
	struct ctask_probe_event *event;
	struct thread *th;
	piece *tstate;
	__u64 frame;

	if (!t)
		return 0;
	th = this_thread();
	if (!th)
		return 0;
	event = begin(ctx, th, CTASK_PROBE_ENTERED);
	tstate = add_tstate(th, t);
	if (!tstate)
		return 0;
	frame = first_frame(th, t, tstate);
	th->used = sizeof(*event);
	copy(th, frame + t->frame_from, t->frame_bytes);
	end(th, event);
	return 0;
}

/* A thread has ended: another one may have its room. In a recording of all processes begins.bpf.c sees to that. */
SEC("raw_tp/sched_process_exit")
int on_thread_end(struct bpf_raw_tracepoint_args *ctx)
{
	__u64 id = bpf_get_current_pid_tgid();

	(void)ctx;
	bpf_map_delete_elem(&threads, &id);
	return 0;
}

char ctask_license[] SEC("license") = "GPL";
