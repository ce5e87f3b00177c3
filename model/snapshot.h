/* snapshot.h - the async tasks of one process at one instant: plain data, whoever gathered it. */
#ifndef CTASK_MODEL_SNAPSHOT_H
#define CTASK_MODEL_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/text.h"

/** "No such index" in every field that is an index. */
#define CTASK_NONE UINT32_MAX

enum ctask_source { CTASK_SOURCE_MEMORY, CTASK_SOURCE_AGENT, CTASK_SOURCE_CORE, CTASK_SOURCE_FILE };

enum ctask_task_state { CTASK_RUNNING, CTASK_READY, CTASK_WAITING, CTASK_DONE };

enum ctask_wait_kind {
	CTASK_WAIT_NONE, /**< not waiting, or not read */
	CTASK_WAIT_TASK,
	CTASK_WAIT_GATHER,
	CTASK_WAIT_WAIT,
	CTASK_WAIT_GROUP,
	CTASK_WAIT_SLEEP,
	CTASK_WAIT_EVENT,
	CTASK_WAIT_LOCK,
	CTASK_WAIT_SEMAPHORE,
	CTASK_WAIT_CONDITION,
	CTASK_WAIT_QUEUE,
	CTASK_WAIT_FUTURE,
	CTASK_WAIT_EXECUTOR,
	CTASK_WAIT_SOCKET,
	CTASK_WAIT_STREAM,
	CTASK_WAIT_SUBPROCESS,
	CTASK_WAIT_OTHER,
	CTASK_WAIT_KINDS
};

enum ctask_edge_kind {
	CTASK_EDGE_AWAIT,
	CTASK_EDGE_GATHER,
	CTASK_EDGE_WAIT,
	CTASK_EDGE_WAIT_FOR,
	CTASK_EDGE_SHIELD,
	CTASK_EDGE_TASK_GROUP,
	CTASK_EDGE_NURSERY,
	CTASK_EDGE_AS_COMPLETED,
	CTASK_EDGE_KINDS
};

enum ctask_scope_kind {
	CTASK_SCOPE_TASK_GROUP,
	CTASK_SCOPE_TIMEOUT,
	CTASK_SCOPE_NURSERY,
	CTASK_SCOPE_CANCEL_SCOPE,
	CTASK_SCOPE_KINDS
};

/** The words of the JSON for each enum, indexed by it. */
extern const char *const ctask_source_words[];
extern const char *const ctask_task_state_words[];
extern const char *const ctask_wait_kind_words[];
extern const char *const ctask_edge_kind_words[];
extern const char *const ctask_scope_kind_words[];

/** One place in code. Equal places are stored once: compare indices. */
struct ctask_frame {
	ctask_text name;     /**< qualified name where the version has one */
	ctask_text filename; /**< as the code object has it */
	uint32_t line;	     /**< 1-based; 0 when the code has none here */
	bool library;	     /**< belongs to the runtime itself (asyncio, trio, anyio) */
};

struct ctask_runtime {
	const char *kind;	    /**< "asyncio", "trio" (static string) */
	const char *implementation; /**< "cpython" (static string) */
	ctask_text version;	    /**< "3.13.5", with "a1" and the like where there is more */
	ctask_text
		package_version; /**< of a runtime that is a package, such as trio: "0.22.0"; NULL when not known */
	int64_t interpreter; /**< the interpreter's own number, 0 = the main one */
	int32_t thread_id; /**< native id as the reader sees it; -1 when no thread runs the loop */
	ctask_text loop;   /**< name of the loop's type; NULL where there is no such thing */
	uint32_t task_count;
	uint32_t
		hidden_count; /**< of these, system tasks that were left out: see analysis/narrow.h */
	ctask_text
		library; /**< folder of the runtime's own code, with its final slash; NULL when not known */
};

struct ctask_task {
	uint64_t id; /**< address of the task object in the target */
	ctask_text name;
	ctask_text coroutine; /**< name of the outermost coroutine; NULL when there is none */
	uint32_t runtime;     /**< index into runtimes */
	uint32_t stack_first; /**< innermost frame: index into stack_frames */
	uint32_t stack_count;
	uint32_t scope; /**< index into scopes of the innermost that owns the task, or CTASK_NONE */
	int32_t cancel_requests; /**< cancel() calls not undone by uncancel(); -1 where the runtime has no count */
	uint8_t state;	     /**< enum ctask_task_state */
	uint8_t wait_kind;   /**< enum ctask_wait_kind; NONE unless state is WAITING */
	bool system;	     /**< one of the runtime's own (trio), not of the program */
	bool cancel_pending; /**< a request that has not been delivered yet */
	bool cancel_handled; /**< its CancelledError is being handled now: cleanup, or a group that ends */
	/**
	 * The longest time that what it waits for can still take, in seconds:
	 * the rest of a sleep. NAN when there is no such thing. May be negative: overdue.
	 */
	double wait_left_s;
	/** Address of what it waits for: the same lock, queue, event. 0 = not known. */
	uint64_t wait_id;
	ctask_text
		wait_text; /**< for people: "Queue.get, size 0, maxsize 10"; NULL when wait_kind is NONE */

	/* See model/fit.h. */
	uint32_t
		request; /**< index into the items of the history, or CTASK_NONE: the newest request to it that is open, else the newest */
	uint32_t open_requests; /**< that it has not ended, each counted as often as it was made */
};

/** @p waiter waits, now, for @p awaited. Indices into tasks. */
struct ctask_edge {
	uint32_t waiter;
	uint32_t awaited;
	uint8_t kind; /**< enum ctask_edge_kind */
};

struct ctask_scope {
	uint64_t id;
	uint8_t kind;	      /**< enum ctask_scope_kind */
	uint32_t owner;	      /**< index into tasks, or CTASK_NONE */
	uint32_t parent;      /**< index into scopes, or CTASK_NONE */
	double deadline_in_s; /**< NAN when there is none */
	bool cancel_called;
	bool shield;
	ctask_text reason; /**< NULL when none is kept */
};

/** Something that could not be read, so that the answer is not whole. */
struct ctask_problem {
	uint64_t task;	 /**< id of the task it is about, 0 when it is about no task */
	ctask_text text; /**< one line for people */
};

struct ctask_process {
	int32_t pid;   /**< as the reader sees it; 0 when not known (a core file may not tell) */
	int32_t nspid; /**< the process's own, in its innermost pid namespace */
	int64_t start_time_us; /**< microseconds since the epoch; 0 when not known */
	int64_t uid;	       /**< effective user; -1 when not known */
	ctask_text exe;	       /**< NULL when not known */
	ctask_text *cmdline;
	uint32_t cmdline_count;
};

struct ctask_capture_facts {
	int64_t captured_at_us; /**< microseconds since the epoch */
	uint64_t elapsed_us;	/**< from the first look to the finished snapshot */
	uint64_t paused_us;	/**< how long the target was held, all stops together */
	uint32_t reread_tasks; /**< tasks that were read again because they had changed meanwhile */
	bool agent;	       /**< an agent's history is mapped there: see reader/enrich.h */
};

struct ctask_history;

/** Folders of one process; those of the runtimes that ctask knows are a dozen. */
enum { CTASK_LIBRARIES_MAX = 32 };

/**
 * A snapshot owns all that it points to, text included: texts live as long as
 * the snapshot. Arrays grow by the ctask_snapshot_add_… functions; their
 * elements may move while more are added, so keep indices, not pointers.
 * It is complete when there are no problems.
 */
struct ctask_snapshot {
	enum ctask_source source;
	struct ctask_process process;
	struct ctask_capture_facts capture;

	struct ctask_runtime *runtimes;
	uint32_t runtime_count, runtime_room;
	struct ctask_task *tasks;
	uint32_t task_count, task_room;
	struct ctask_frame *frames; /**< distinct places */
	uint32_t frame_count, frame_room;
	uint32_t *stack_frames; /**< indices into frames; the stacks one after another */
	uint32_t stack_frame_count, stack_frame_room;
	struct ctask_edge *edges;
	uint32_t edge_count, edge_room;
	struct ctask_scope *scopes;
	uint32_t scope_count, scope_room;
	ctask_text libraries
		[CTASK_LIBRARIES_MAX]; /**< folders of the runtimes' own code, with their final slash */
	uint32_t library_count;
	struct ctask_problem *problems;
	uint32_t problem_count, problem_room;
	uint64_t problems_untold; /**< problems past CTASK_PROBLEMS_MAX, counted only */

	/** Requests to stop, and where tasks were made: what only an agent knows. NULL where there is none. */
	struct ctask_history *history;
	struct ctask_texts *texts;
};

/** More problems than this are counted, not told one by one. */
enum { CTASK_PROBLEMS_MAX = 1000 };

/** An empty snapshot, or NULL when out of memory. */
struct ctask_snapshot *ctask_snapshot_create(void);
/** NULL is fine. */
void ctask_snapshot_destroy(struct ctask_snapshot *snap);
/** Forget runtimes, libraries, tasks, frames, edges, scopes and problems; the history, texts and process facts stay. */
void ctask_snapshot_clear(struct ctask_snapshot *snap);

/*
 * Each adds one zeroed element (indices CTASK_NONE, times NAN) and returns its
 * index, or CTASK_NONE when out of memory.
 */
uint32_t ctask_snapshot_add_runtime(struct ctask_snapshot *snap);
uint32_t ctask_snapshot_add_task(struct ctask_snapshot *snap);
uint32_t ctask_snapshot_add_frame(struct ctask_snapshot *snap);
uint32_t ctask_snapshot_add_scope(struct ctask_snapshot *snap);

/** Append one frame index to the stack of the task that was added last. 0 or -ENOMEM. */
int ctask_snapshot_push_stack(struct ctask_snapshot *snap, uint32_t frame);
/** 0 or -ENOMEM. Does not look for duplicates. */
int ctask_snapshot_add_edge(struct ctask_snapshot *snap, uint32_t waiter, uint32_t awaited,
			    enum ctask_edge_kind kind);
/** @p folder is one of the runtimes' own code; borrowed from the texts. 0 or -ENOMEM: there are CTASK_LIBRARIES_MAX. */
int ctask_snapshot_add_library(struct ctask_snapshot *snap, ctask_text folder);
/** Name a part that could not be read; from then on the snapshot is not complete. 0 or -ENOMEM. */
int ctask_snapshot_add_problem(struct ctask_snapshot *snap, uint64_t task, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/** True when nothing is missing. */
bool ctask_snapshot_complete(const struct ctask_snapshot *snap);

/** The frames of @p task, innermost first: stack_count indices into frames. */
const uint32_t *ctask_task_stack(const struct ctask_snapshot *snap, const struct ctask_task *task);

#endif
