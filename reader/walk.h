/* walk.h - one pass over a target's tasks: what the parts of the walk share. */
#ifndef CTASK_READER_WALK_H
#define CTASK_READER_WALK_H

#include <stdbool.h>
#include <stdint.h>

#include "model/snapshot.h"
#include "reader/code.h"
#include "reader/frame.h"
#include "reader/modules.h"
#include "reader/object.h"
#include "reader/process.h"
#include "reader/python.h"
#include "reader/table.h"

/** A thread that Python knows. */
struct ctask_thread {
	uint64_t tstate;
	int32_t tid; /**< native, as the reader sees it; -1 when not known */
};

/** An edge whose waiter may not have been met yet. */
struct ctask_raw_edge {
	uint64_t waiter; /**< address of the waiting task */
	uint32_t awaited;
	uint8_t kind;
};

/** The fields of a task that the walk needs, whatever the task is made of. */
struct ctask_task_view {
	uint64_t addr;
	enum ctask_kind kind; /**< TASK or PY_TASK */
	uint64_t loop, fut_waiter, coro, name;
	uint64_t callback0, callbacks; /**< 0 when there is none */
	bool pending, must_cancel;
	int32_t cancel_requests; /**< -1 when this version keeps no count */
};

enum { CTASK_LEADS_NEAR = 64 };

/** All that one pass has at hand. Created once, run for each pass. */
struct ctask_walk {
	const struct ctask_python *python;
	struct ctask_heap heap;
	struct ctask_codes codes;
	struct ctask_snapshot *snap;

	/* Native ids, outside and inside the target's pid namespace. */
	const struct ctask_thread_ids *ids;
	uint32_t id_count;
	double now_s; /**< the loops' clock (CLOCK_MONOTONIC) at the instant of the picture; NAN for a core */

	struct ctask_thread *threads;
	uint64_t *stack_tops; /* of all threads */
	uint32_t thread_count, thread_room;

	uint32_t interp_id;	       /* of the interpreter being read */
	struct ctask_modules modules;  /* of the same */
	struct ctask_table task_index; /* address -> index of the task, or NOT_PENDING */
	struct ctask_table loop_index; /* address of the loop -> runtime */
	struct ctask_chain chain;
	struct ctask_raw_edge *edges;
	uint32_t edge_count, edge_room;

	struct ctask_table scope_index; /* address of a scope's object -> scope */

	/* The CancelScopes of anyio met in this interpreter, and their numbers among the scopes. */
	struct ctask_anyio_scope {
		uint64_t cancel_scope;
		uint32_t scope;
	} * anyio_scopes;
	uint32_t anyio_count, anyio_room;

	/* Tasks woken through a plain future, remembered: index into wakes, count in front. */
	struct ctask_table future_index;
	uint64_t *wakes;
	uint32_t wake_count, wake_room;

	/* What callbacks seen lately lead to: see waiters.c. */
	struct ctask_near_lead {
		uint64_t callback, self; /* function and, for a method, its object */
		uint64_t obj;
		uint8_t lead, kind;
		bool leads; /* false: nowhere */
	} near_leads[CTASK_LEADS_NEAR];

	bool in_blocks; /* the task at hand is inside of some: see scopes.c */

	/* The text that was made last for a sleep, and the number object that it was made of. */
	uint64_t sleep_object;
	double sleep_delay;
	ctask_text sleep_text;

	/**
	 * Things met that are so only for an instant, while the interpreter does one
	 * step: seen in a target that was stopped, another instant is a better one.
	 */
	uint32_t unsettled;
	bool has_asyncio, has_trio; /**< they are imported */
	bool count_only;	    /**< find tasks, but read neither stacks nor edges */
};

/** In task_index: a task that is done, or cannot be read. */
enum { CTASK_NOT_SHOWN = UINT32_MAX - 1 };

/** Everything is borrowed; @p ids may be NULL. */
void ctask_walk_init(struct ctask_walk *walk, struct ctask_pages *pages,
		     const struct ctask_python *python, struct ctask_snapshot *snap);
void ctask_walk_fini(struct ctask_walk *walk);

/**
 * Read all tasks of all interpreters into the snapshot, whose earlier contents
 * are forgotten. What cannot be read becomes a problem of the snapshot.
 * Returns 0, or the sticky error of the pages (gone, forbidden, out of time), or -ENOMEM.
 */
int ctask_walk_run(struct ctask_walk *walk);

/* --- the parts; see the file of each --- */

/** walk.c: @p error of reading @p what becomes a problem of the snapshot, and 0, where the walk can go on. */
int ctask_walk_tell(struct ctask_walk *walk, int error, const char *what);
/** walk.c: the await chain of task @p index, the one added last, into walk->chain, and its stack. */
int ctask_walk_read_chain(struct ctask_walk *walk, uint32_t index, uint64_t coro);

/** asyncio.c: the tasks of the interpreter at @p interp, whose threads are those from @p first_thread on. */
int ctask_asyncio_walk(struct ctask_walk *walk, uint64_t interp, uint32_t first_thread);
/** asyncio.c: read the task at @p addr, unless it was. *ret_index is CTASK_NOT_SHOWN when it is done. */
int ctask_asyncio_add_task(struct ctask_walk *walk, uint64_t addr, uint32_t *ret_index);
/** anyio.c: the group that has task @p index, the one added last, whose chain is walk->chain. */
int ctask_anyio_read_child(struct ctask_walk *walk, uint32_t index);
/** anyio.c: the scope that the task at @p host entered and that a slot of its value stack has; CTASK_NONE: none. */
int ctask_anyio_find_slot(struct ctask_walk *walk, uint64_t slot, uint64_t host, uint32_t *ret);
/** anyio.c: the scope of the group that the frame of @p link leaves; CTASK_NONE: it leaves none. */
int ctask_anyio_find_exit(struct ctask_walk *walk, const struct ctask_link *link, uint32_t *ret);
/** anyio.c: the scopes of all tasks of the interpreter being read, once these are known. */
int ctask_anyio_walk(struct ctask_walk *walk);
/** trio.c: the tasks of trio in the interpreter being read, whose threads are those from @p first_thread on. */
int ctask_trio_walk(struct ctask_walk *walk, uint32_t first_thread);
/** trio.c: a runtime of the interpreter being read. CTASK_NONE: no memory. */
uint32_t ctask_trio_add_runtime(struct ctask_walk *walk);
/** An `async with` block that a frame is inside of, and that ends what is in it. */
struct ctask_block {
	uint64_t obj; /* the Timeout or TaskGroup */
	enum ctask_scope_kind kind;
	double deadline_in_s; /* NAN: none, or not known */
	bool cancel_called;
	bool is_left; /* a group whose owner waits in its __aexit__ */
};

enum { CTASK_BLOCKS_MAX = 32 };

/** scopes.c: the blocks of a suspended frame of the task at @p task, outermost first; how many, at most CTASK_BLOCKS_MAX. */
uint32_t ctask_blocks_of(struct ctask_walk *walk, uint64_t task, const struct ctask_link *link,
			 struct ctask_block *blocks);
/** scopes.c: add the scopes that task @p owner, whose chain is walk->chain, is inside of. */
int ctask_scopes_read(struct ctask_walk *walk, uint32_t owner);
/** scopes.c: the task group at @p group has task @p child. */
int ctask_scopes_add_child(struct ctask_walk *walk, uint64_t group, uint32_t child);
/** scopes.c: once all tasks are known, settle whose each scope is, and in which it lies. */
int ctask_scopes_settle(struct ctask_walk *walk);

/** asyncio.c: a runtime of the interpreter being read, whose loop is of @p type (may be NULL). CTASK_NONE: no memory. */
uint32_t ctask_asyncio_add_runtime(struct ctask_walk *walk, const struct ctask_type *type);
/** asyncio.c: the loop that runs in the thread of @p tstate; 0 = none. */
uint64_t ctask_running_loop(struct ctask_walk *walk, uint64_t tstate);
/** asyncio.c: the fields of the task or future at @p addr. */
int ctask_task_view(struct ctask_walk *walk, uint64_t addr, struct ctask_task_view *ret_view);
/** waiters.c: note who waits for the task of @p view, number @p awaited. */
int ctask_waiters_read(struct ctask_walk *walk, const struct ctask_task_view *view,
		       uint32_t awaited);
/** waits.c: what the task added last waits for; walk->chain is its await chain. */
int ctask_waits_read(struct ctask_walk *walk, const struct ctask_task_view *view);
/**
 * waits.c: what task @p index, the one added last, waits for, by its frames alone: for a runtime
 * without futures. @p now_s: its clock, NAN when not known.
 */
int ctask_waits_read_frames(struct ctask_walk *walk, uint32_t index, double now_s);
/** waits.c: true when the future at @p addr has a result: who waits for it is about to run. */
bool ctask_future_is_done(struct ctask_walk *walk, uint64_t addr);
/** waiters.c: the task at @p waiter waits for task @p awaited. */
int ctask_waiters_add_edge(struct ctask_walk *walk, uint64_t waiter, uint32_t awaited,
			   enum ctask_edge_kind kind);
/** waiters.c: callbacks of any future, C or Python: the next one from *at on, 0 at the end. */
struct ctask_callbacks {
	uint64_t first; /* callback0 */
	struct ctask_items items;
	uint64_t at;
	bool plain; /* items are the callbacks, not (callback, context) */
};
int ctask_callbacks_of(struct ctask_walk *walk, uint64_t future, struct ctask_callbacks *ret);
uint64_t ctask_callbacks_next(struct ctask_walk *walk, struct ctask_callbacks *callbacks);
/** waiters.c: the object in closure cell @p name of the function at @p function; 0 = none. */
uint64_t ctask_closure_cell(struct ctask_walk *walk, uint64_t function, const char *name);
/** waiters.c: the code of a Python function, or NULL. */
struct ctask_code *ctask_function_code(struct ctask_walk *walk, uint64_t function);

#endif
