/* walk.c - one pass over a target's tasks: interpreters, threads, edges. */
#include "reader/walk.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
	INTERPS_MAX = 1 << 16,
	THREADS_MAX = 1 << 17, /* of all interpreters together */
};

void ctask_walk_init(struct ctask_walk *walk, struct ctask_pages *pages,
		     const struct ctask_python *python, struct ctask_snapshot *snap)
{
	*walk = (struct ctask_walk){
		.python = python, .snap = snap, .now_s = NAN, .sleep_delay = NAN
	};
	ctask_heap_init(&walk->heap, pages, &python->layout);
	ctask_codes_init(&walk->codes, &walk->heap, snap);
}

void ctask_walk_fini(struct ctask_walk *walk)
{
	ctask_codes_fini(&walk->codes);
	ctask_heap_fini(&walk->heap);
	ctask_table_fini(&walk->task_index);
	ctask_table_fini(&walk->loop_index);
	ctask_table_fini(&walk->scope_index);
	ctask_table_fini(&walk->future_index);
	ctask_chain_fini(&walk->chain);
	free(walk->threads);
	free(walk->stack_tops);
	free(walk->edges);
	free(walk->wakes);
	free(walk->anyio_scopes);
}

static void forget(struct ctask_walk *walk)
{
	ctask_snapshot_clear(walk->snap);
	ctask_codes_forget(&walk->codes);
	ctask_heap_forget(&walk->heap);
	walk->heap.layout = walk->python->layout;
	ctask_table_clear(&walk->task_index);
	ctask_table_clear(&walk->loop_index);
	ctask_table_clear(&walk->scope_index);
	ctask_table_clear(&walk->future_index);
	memset(walk->near_leads, 0, sizeof(walk->near_leads));
	walk->thread_count = 0;
	walk->edge_count = 0;
	walk->wake_count = 0;
	walk->anyio_count = 0;
	walk->unsettled = 0;
	walk->sleep_object = 0;
	walk->has_asyncio = false;
	walk->has_trio = false;
}

/*
 * What a thread calls itself inside its namespace -> the id outside. Before
 * 3.11 Python keeps only pthread_self(); the C library has the kernel's id
 * inside what that points to.
 */
static int32_t native_id(struct ctask_walk *walk, uint64_t tstate)
{
	/* struct pthread.tid: glibc on x86-64, musl. Wrong ones are found out: no such thread. */
	static const uint32_t tid_in_pthread[] = { 720, 48 };
	const struct ctask_layout *l = &walk->heap.layout;
	uint64_t ident, tid;
	int32_t small;

	if (l->tstate_native_thread_id != CTASK_NO_FIELD) {
		if (ctask_heap_u64(&walk->heap, tstate + l->tstate_native_thread_id, &tid))
			return -1;
		for (uint32_t i = 0; i < walk->id_count; i++)
			if ((uint64_t)walk->ids[i].nstid == tid)
				return walk->ids[i].tid;
		return walk->ids || tid > INT32_MAX ? -1 : (int32_t)tid;
	}
	if (ctask_heap_u64(&walk->heap, tstate + l->tstate_thread_id, &ident))
		return -1;
	for (size_t w = 0; w < sizeof(tid_in_pthread) / sizeof(*tid_in_pthread); w++) {
		if (ctask_pages_read(walk->heap.pages, ident + tid_in_pthread[w], &small,
				     sizeof(small)))
			continue;
		for (uint32_t i = 0; i < walk->id_count; i++)
			if (walk->ids[i].nstid == small)
				return walk->ids[i].tid;
		if (!walk->ids && w == 0)
			return small;
	}
	return -1;
}

static uint64_t top_frame(struct ctask_walk *walk, uint64_t tstate)
{
	const struct ctask_layout *l = &walk->heap.layout;
	uint64_t frame;

	if (ctask_heap_u64(&walk->heap, tstate + l->tstate_frame, &frame) || !frame)
		return 0;
	if (l->cframe_frame != CTASK_NO_FIELD &&
	    ctask_heap_u64(&walk->heap, frame + l->cframe_frame, &frame))
		return 0;
	return frame;
}

static int add_thread(struct ctask_walk *walk, uint64_t tstate)
{
	if (walk->thread_count == walk->thread_room) {
		uint32_t room = walk->thread_room * 2 + 16;
		void *threads = realloc(walk->threads, room * sizeof(*walk->threads));
		void *tops;

		if (!threads)
			return -ENOMEM;
		walk->threads = threads;
		tops = realloc(walk->stack_tops, room * sizeof(*walk->stack_tops));
		if (!tops)
			return -ENOMEM;
		walk->stack_tops = tops;
		walk->thread_room = room;
	}
	walk->stack_tops[walk->thread_count] = top_frame(walk, tstate);
	walk->threads[walk->thread_count++] =
		(struct ctask_thread){ .tstate = tstate, .tid = native_id(walk, tstate) };
	return 0;
}

static int read_threads(struct ctask_walk *walk, uint64_t interp)
{
	const struct ctask_layout *l = &walk->heap.layout;
	uint64_t tstate;
	int ret;

	ret = ctask_heap_u64(&walk->heap, interp + l->interp_threads_head, &tstate);
	while (!ret && tstate) {
		if (walk->thread_count >= THREADS_MAX)
			return ctask_snapshot_add_problem(
				walk->snap, 0, "Python has more threads than ctask follows");
		ret = ctask_pages_spend(walk->heap.pages, 1 + walk->id_count / 8);
		if (!ret)
			ret = add_thread(walk, tstate);
		if (!ret)
			ret = ctask_heap_u64(&walk->heap, tstate + l->tstate_next, &tstate);
	}
	if (ret == -EFAULT)
		ret = ctask_snapshot_add_problem(walk->snap, 0,
						 "the list of Python's threads could not be read");
	return ret;
}

static bool is_wait_for(const struct ctask_walk *walk, uint32_t task)
{
	const struct ctask_snapshot *snap = walk->snap;
	const struct ctask_frame *frame;

	if (!snap->tasks[task].stack_count)
		return false;
	frame = &snap->frames[*ctask_task_stack(snap, &snap->tasks[task])];
	return frame->library && !strcmp(frame->name, "wait_for");
}

static int compare_edges(const void *a, const void *b)
{
	const struct ctask_edge *x = a, *y = b;

	if (x->waiter != y->waiter)
		return x->waiter < y->waiter ? -1 : 1;
	return (int)x->kind - (int)y->kind;
}

/*
 * To 3.x anyio waits for the children of a group by asyncio.wait(): a wait between the same two as
 * a group, which stands behind it. Edges of one awaited task stand in order from @p i to @p behind.
 */
static bool is_wait_of_group(const struct ctask_snapshot *snap, uint32_t i, uint32_t behind)
{
	const struct ctask_edge *edge = &snap->edges[i];

	if (edge->kind != CTASK_EDGE_WAIT)
		return false;
	while (++i < behind && snap->edges[i].waiter == edge->waiter)
		if (snap->edges[i].kind == CTASK_EDGE_TASK_GROUP)
			return true;
	return false;
}

/* The same edge may show itself by several callbacks. Edges of one awaited task stand together. */
static void drop_doubles(struct ctask_snapshot *snap)
{
	uint32_t kept = 0;

	for (uint32_t first = 0, behind; first < snap->edge_count; first = behind) {
		behind = first + 1;
		while (behind < snap->edge_count &&
		       snap->edges[behind].awaited == snap->edges[first].awaited)
			behind++;
		if (behind - first > 1)
			qsort(snap->edges + first, behind - first, sizeof(*snap->edges),
			      compare_edges);
		for (uint32_t i = first; i < behind; i++)
			if ((i == first || compare_edges(&snap->edges[i], &snap->edges[i - 1])) &&
			    !is_wait_of_group(snap, i, behind))
				snap->edges[kept++] = snap->edges[i];
	}
	snap->edge_count = kept;
}

/* Turn addresses of waiters into indices; a waiter that no register had is read now. */
static int settle_edges(struct ctask_walk *walk)
{
	struct ctask_snapshot *snap = walk->snap;

	for (uint32_t i = 0; i < walk->edge_count; i++) { /* edges may be added meanwhile */
		struct ctask_raw_edge edge = walk->edges[i];
		uint32_t waiter;
		int ret = ctask_asyncio_add_task(walk, edge.waiter, &waiter);

		if (ret)
			return ret;
		if (waiter == CTASK_NOT_SHOWN || edge.awaited >= snap->task_count)
			continue;
		if (edge.kind == CTASK_EDGE_AWAIT && is_wait_for(walk, waiter))
			edge.kind = CTASK_EDGE_WAIT_FOR;
		/* A concurrent future is most often an executor's; this one is a task's of another loop. */
		if (edge.kind == CTASK_EDGE_AWAIT &&
		    snap->tasks[waiter].wait_kind == CTASK_WAIT_EXECUTOR) {
			snap->tasks[waiter].wait_kind = CTASK_WAIT_TASK;
			snap->tasks[waiter].wait_text = snap->tasks[edge.awaited].name;
		}
		ret = ctask_snapshot_add_edge(snap, waiter, edge.awaited,
					      (enum ctask_edge_kind)edge.kind);
		if (ret)
			return ret;
	}
	drop_doubles(snap);
	return 0;
}

int ctask_walk_tell(struct ctask_walk *walk, int error, const char *what)
{
	if (!error || error == -ENOMEM || walk->heap.pages->error)
		return error;
	walk->unsettled += error == -EAGAIN;
	return ctask_snapshot_add_problem(walk->snap, 0, "%s could not be read to its end", what);
}

static int push_stack(struct ctask_walk *walk)
{
	const struct ctask_chain *chain = &walk->chain;

	for (uint32_t i = chain->count; i-- > 0;) {
		int ret = ctask_snapshot_push_stack(walk->snap, chain->links[i].frame);

		if (ret)
			return ret;
	}
	return 0;
}

static const char *chain_problem(int error)
{
	switch (error) {
	case -ELOOP:
		return "its await chain is a circle";
	case -E2BIG:
		return "its await chain is longer than ctask follows";
	case -ENODATA:
		return "it is running, but on no thread's stack (a greenlet may have put it aside)";
	default:
		return "its await chain could not be read to the end";
	}
}

int ctask_walk_read_chain(struct ctask_walk *walk, uint32_t index, uint64_t coro)
{
	struct ctask_stacks stacks = { .tops = walk->stack_tops, .count = walk->thread_count };
	struct ctask_snapshot *snap = walk->snap;
	struct ctask_chain *chain = &walk->chain;
	int ret, bad = 0;

	chain->count = 0; /* of the task before this one */
	chain->executing = false;
	chain->created = false;
	if (coro)
		bad = ctask_chain_read(&walk->codes, &stacks, coro, chain);
	if (bad == -ENOMEM)
		return bad;
	/* Between the end of its coroutine and its own; on the way onto a thread's stack. */
	walk->unsettled += (coro && !bad && !chain->count && chain->done) || bad == -ENODATA;
	ret = push_stack(walk);
	if (!ret && bad)
		ret = ctask_snapshot_add_problem(snap, snap->tasks[index].id, "%s",
						 chain_problem(bad));
	if (ret)
		return ret;
	snap->tasks[index].cancel_handled = chain->handles_cancel;
	if (chain->count)
		snap->tasks[index].coroutine = snap->frames[chain->links[0].frame].name;
	return 0;
}

static void add_package(struct ctask_walk *walk, uint64_t module, const char *package)
{
	uint64_t file = 0;

	if (!ctask_module_find(&walk->heap, module, &(struct ctask_wanted){ "__file__", &file },
			       1) &&
	    file)
		ctask_codes_add_package(&walk->codes, file, package);
}

static int read_modules(struct ctask_walk *walk, uint64_t interp)
{
	int ret = ctask_modules_read(&walk->heap, interp, &walk->modules);

	if (ret)
		return ctask_walk_tell(walk, ret, "sys.modules");
	add_package(walk, walk->modules.trio, "trio");
	add_package(walk, walk->modules.anyio, "anyio");
	return 0;
}

static int walk_interpreters(struct ctask_walk *walk)
{
	const struct ctask_layout *l = &walk->heap.layout;
	uint64_t interp, id;
	int ret;

	ret = ctask_heap_u64(&walk->heap, walk->python->runtime + l->runtime_interpreters_head,
			     &interp);
	for (int i = 0; !ret && interp && i < INTERPS_MAX; i++) {
		uint32_t first = walk->thread_count;

		ret = ctask_pages_spend(walk->heap.pages, 1);
		if (ret)
			break;

		ret = ctask_heap_u64(&walk->heap, interp + l->interp_id, &id);
		if (ret)
			break;
		walk->interp_id = (uint32_t)id;
		ret = read_threads(walk, interp);
		if (!ret)
			ret = read_modules(walk, interp);
		if (!ret)
			ret = ctask_asyncio_walk(walk, interp, first);
		if (!ret)
			ret = ctask_anyio_walk(walk);
		if (!ret)
			ret = ctask_trio_walk(walk, first);
		if (!ret)
			ret = ctask_heap_u64(&walk->heap, interp + l->interp_next, &interp);
	}
	if (ret == -EFAULT)
		ret = ctask_snapshot_add_problem(
			walk->snap, 0, "the list of interpreters could not be read to its end");
	return ret;
}

int ctask_walk_run(struct ctask_walk *walk)
{
	int ret;

	forget(walk);
	ret = walk_interpreters(walk);
	if (!ret && !walk->count_only)
		ret = settle_edges(walk);
	if (!ret && !walk->count_only)
		ret = ctask_scopes_settle(walk);
	if (!ret && !walk->snap->runtime_count && walk->has_asyncio)
		ret = ctask_asyncio_add_runtime(walk, NULL) == CTASK_NONE ? -ENOMEM : 0;
	else if (!ret && !walk->snap->runtime_count && walk->has_trio)
		ret = ctask_trio_add_runtime(walk) == CTASK_NONE ? -ENOMEM : 0;
	return walk->heap.pages->error ? walk->heap.pages->error : ret;
}
