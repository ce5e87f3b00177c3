/* events.h - what the probes are told, and what they send: fixed layouts that both sides share. */
#ifndef CTASK_BPF_EVENTS_H
#define CTASK_BPF_EVENTS_H

/* Both sides have __u32 and __u64 by now: <linux/types.h>. */

/*
 * A probe explains nothing. It copies the memory that explains a call, each piece with its address, while
 * the call is made; the reader then reads that memory as it reads a process. So all that differs between
 * versions of Python is in struct ctask_probe_target, which is made from a row of reader/layout_table.c.
 */

enum ctask_probe_kind {
	CTASK_PROBE_CANCEL = 1, /* Task.cancel() of a task that is not done */
	CTASK_PROBE_UNCANCEL,	/* Task.uncancel() */
	CTASK_PROBE_THROW, /* coroutine.throw(): an exception is delivered to a task that was asked */
	CTASK_PROBE_GONE,    /* a task that was asked is freed */
	CTASK_PROBE_ENTERED, /* Task.cancelling(): a timeout is entered */
	CTASK_PROBE_LOAD,    /* asyncio's tasks are about to be loaded */
	CTASK_PROBE_EXEC,    /* the process is another program from now on */
	CTASK_PROBE_EXIT,    /* the process has ended */
};

enum {
	CTASK_PROBE_ROOM = 24 * 1024, /* bytes of one event */
	CTASK_PIECE_MAX = 2048,	      /* a power of two */
	CTASK_CODE_SLOTS = 1 << 13,
	CTASK_PROBE_FRAMES = 80,
	CTASK_PROBE_LOCALS = 6,
	CTASK_PROBE_GEN_TYPES = 3,
};

enum { CTASK_PROBE_NO_FIELD = 0xffffffff }; /* alone: it makes its enum unsigned */

struct ctask_probe_piece {
	__u64 addr;
	__u32 len, pad; /* the next piece begins at the next multiple of 8 */
	__u8 bytes[];
};

struct ctask_probe_event {
	__u32 kind;
	__u32 bytes;   /* the event and its pieces */
	__u64 time_ns; /* CLOCK_MONOTONIC */
	__u32 tgid, tid;
	__u64 sp;     /* of the thread's C stack, where its return address lies */
	__u64 caller; /* that return address */
	/* What lies now where the return address of the thread's last cancel() was, if that is further out. */
	__u64 outer;
	__u64 self; /* the task, or the coroutine */
	__u64 argument;
	__u64 tstate;
	__u32 frames_cut, pieces_cut; /* that found no room */
};

/* How a local variable of a function that means something is to be followed. */
enum {
	CTASK_FOLLOW_OBJECT = 1, /* its first bytes */
	CTASK_FOLLOW_ATTRS = 2,	 /* the values of its attributes */
	CTASK_FOLLOW_SLOTS = 4,	 /* the objects that its own words point to */
	CTASK_FOLLOW_TASK = 8,
	CTASK_FOLLOW_EXCEPTION = 16,
};

enum { CTASK_ONLY_FIRST = 2, CTASK_ONLY_AFTER_RUNNER = 4 };

struct ctask_probe_code {
	__u8 count;
	__u8 holds; /* it matters which objects the target's frames hold on their stacks */
	struct ctask_probe_local {
		__u8 slot, follow;
	} locals[CTASK_PROBE_LOCALS];
	__u8 only; /* followed only so: CTASK_ONLY_… */
	__u8 pad;
};

/* Where `code_slots` has the byte of a function, by its key in `codes`. */
static inline __u32 ctask_probe_code_slot(__u64 key)
{
	return (__u32)(key * 0x9e3779b97f4a7c15ull >> 51);
}

/* A process that is not known, or not ready yet. */
struct ctask_probe_unready {
	__u64 build;
	__u64 calls; /* of cancel() */
};

/* One process: where its Python is, and its layout. Offsets as in reader/layout.h. */
struct ctask_probe_target {
	__u64 interpreters_head; /* address of the pointer to the first */
	__u64 current_tasks;	 /* the dict {loop: task}; 0 = the thread has the task */
	__u64 frame_type, tuple_type;
	__u64 gen_types[CTASK_PROBE_GEN_TYPES];
	/* In a recording of all processes: whose probes are heeded; what to add to addresses of code. */
	__u64 build, code_space;
	__u32 has_arguments; /* cancel() is called with (self, array, count, names) */
	__u32 interp_next, interp_threads_head;
	__u32 tstate_next, tstate_thread_id, tstate_frame, cframe_frame, tstate_running_task;
	__u32 exc_info; /* of a thread, to 3.10 */
	__u32 tstate_running_loop, tstate_dict;
	__u32 tstate_from, tstate_bytes; /* the part of a thread's state that matters … */
	__u32 tail_from, tail_bytes;	 /* … and another, further out; 0 bytes = none */
	__u32 task_bytes, task_state, task_name, task_coro, task_fut_waiter;
	__u32 first_locals;	       /* the first locals do not lie in that part */
	__u32 frame_from, frame_bytes; /* the part of a frame that matters, from its start */
	__u32 frame_code, frame_previous, frame_owner, frame_gen, frame_locals;
	__u32 frame_object; /* from 3.11 on */
	__u32 frame_stack, frame_stack_base, stack_form, awaited_slot, ref_tag_mask;
	__u32 gen_bytes, gen_frame, gen_frame_inline, gen_exc_value;
	__u32 dict_keys, dict_values, keys_indices, keys_is_log2, keys_log2_index_bytes, keys_kind,
		keys_nentries;
	__u32 dict_form, values_values;
	__u32 tuple_items, exception_args, exception_context;
};

#endif
