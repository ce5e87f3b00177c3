/* pieces.bpf.h - an event under way: pieces of memory, copied one by one, and what is still to be copied. */
#ifndef CTASK_BPF_PIECES_H
#define CTASK_BPF_PIECES_H

#include "bpf/kernel.bpf.h"
/* */
#include "bpf/events.h"

enum {
	PAGE = 4096,
	QUEUE = 256,	      /* a power of two */
	FIRST_ADDRESS = 4096, /* no object lies below */
};

struct follow_item {
	__u64 addr;
	__u32 what, argument;
	__u64 more;
};

/* On the way up a thread's frames. */
struct frame_walk {
	__u64 frame;	/* the next */
	__u64 inner[2]; /* the locals of the two before, the nearer first */
	__u32 at;	/* the piece that the last one lies in; 0 = none yet */
	__u32 holds;	/* as of ctask_probe_code, of all so far */
};

/*
 * A thread: what it is to Python, and the event that it writes. Its own, and not the processor's: a program
 * may be preempted by another thread's.
 */
struct thread {
	__u64 tstate;
	__u64 last_sp;	  /* of its last cancel() */
	__u64 stack_near; /* a frame that lay where Python has the frames of this thread in one row */
	__u64 running_gen; /* the outermost coroutine on its stack, which was copied */
	__u32 used, cut, queued, done;
	struct frame_walk walk;
	struct follow_item queue[QUEUE];
	__u8 bytes[CTASK_PROBE_ROOM];
};

typedef struct ctask_probe_piece piece;

static __always_inline __u64 user_u64(__u64 addr)
{
	__u64 value = 0;

	bpf_probe_read_user(&value, sizeof(value), (void *)addr);
	return value;
}

/* The piece at @p at of the event. */
static __always_inline piece *piece_at(struct thread *th, __u32 at)
{
	/* Told in a way that the compiler cannot take for known, and the verifier understands. */
	asm volatile("" : "+r"(at));
	if (at > CTASK_PROBE_ROOM - CTASK_PIECE_MAX - sizeof(piece))
		return NULL;
	asm volatile("" : "+r"(at));
	return (piece *)(th->bytes + at);
}

/* Add a copy of @p len bytes at @p addr to the event. NULL when they are not there, or there is no room. */
static __always_inline piece *copy(struct thread *th, __u64 addr, __u32 len)
{
	__u32 at = th->used;
	piece *p = piece_at(th, at);

	if (!p) {
		th->cut++;
		return NULL;
	}
	if (addr < FIRST_ADDRESS)
		return NULL;
	if (len > CTASK_PIECE_MAX - 1)
		len = CTASK_PIECE_MAX - 1;
	asm volatile("" : "+r"(len)); /* as above */
	len &= CTASK_PIECE_MAX - 1;
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
	th->used = at + sizeof(piece) + ((len + 7) & ~7u);
	return p;
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

/*
 * What is still to be copied is a queue, and one flat loop works it off, a piece a step: what lies in each
 * other (a frame's variable, its attribute, that one's value) would otherwise multiply what the verifier
 * walks through.
 */
enum follow {
	BYTES,	   /* argument: how many */
	HELD,	   /* words, and the heads of what they point to */
	EXCEPTION, /* argument: how many more of those that were being handled */
	FAILURE,   /* an exception and its arguments */
	ARGUMENTS,
	ARGUMENTS_AT, /* words that may point to a tuple of arguments */
	OBJECT,	      /* argument: how it is followed */
	VALUES,	      /* of attributes */
	DICT,
	KEYS, /* of a dict, and the heads of its values; argument: they are tasks */
	TASK,
	LINK,	    /* of an await chain; argument: whether it matters what it holds */
	LINK_FRAME, /* of a coroutine, to 3.10; the same */
	AWAITED,    /* a word that points to the next link */
	LOCALS,	    /* of a frame; more: its code, which means something */
	LOCAL,	    /* argument: how it is followed */
};

__noinline int later_with(struct thread *th, __u64 addr, __u32 what, __u32 argument, __u64 more)
{
	__u32 at;

	if (!th || addr < FIRST_ADDRESS)
		return 0;
	at = th->queued;
	if (at >= QUEUE) {
		th->cut++;
		return 0;
	}
	th->queue[at & (QUEUE - 1)] = (struct follow_item){ addr, what, argument, more };
	th->queued = at + 1;
	return 0;
}

static __always_inline void later(struct thread *th, __u64 addr, __u32 what, __u32 argument)
{
	later_with(th, addr, what, argument, 0);
}

#endif
