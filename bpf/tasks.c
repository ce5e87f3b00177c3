/* tasks.c - tasks, loops and threads of a target, as memory tells of them. */
#include "bpf/tasks.h"

#include <string.h>

#include "bpf/exceptions.h"
#include "bpf/objects.h"

enum {
	INTERPS_MAX = 64,
	THREADS_MAX = 4096,
	WRAPPERS_MAX = 4,
	WRAPPED = 16,	     /* what a coroutine_wrapper and its like hold */
	STATE_CANCELLED = 1, /* fut_state, Modules/_asynciomodule.c */
	STATE_FINISHED = 2,
	LOCALS_MAX = 64,
	EXC_INFO = 3,
};

struct threads {
	uint64_t interp, tstate;
	int interps, count;
};

/* --- tasks --- */

enum ctask_ending ctask_task_ending(struct ctask_resolver *r, uint64_t task)
{
	const struct ctask_layout *l = &r->heap->layout;
	uint32_t state;

	if (ctask_pages_read(r->heap->pages, task + l->task_state, &state, sizeof(state)))
		return CTASK_UNREADABLE;
	if (!state)
		return CTASK_GOES_ON;
	if (state == STATE_CANCELLED)
		return CTASK_ENDED_CANCELLED;
	if (state != STATE_FINISHED)
		return CTASK_UNREADABLE;
	if (ctask_word_at(r->heap, task + l->task_exception))
		return CTASK_ENDED_RAISED;
	/* One that was freed has let go of all that it had, of its loop too (FutureObj_clear, Modules/_asynciomodule.c). */
	return ctask_task_loop(r, task) ? CTASK_ENDED_RETURNED : CTASK_UNREADABLE;
}

/* A field of a task, at @p at where it is written in C, or attribute @p name where it is in Python. */
static uint64_t field(struct ctask_resolver *r, uint64_t task, uint32_t at, const char *name)
{
	uint64_t value;

	if (!task)
		return 0;
	if (ctask_kind_of(r->heap, task) == CTASK_KIND_TASK)
		return ctask_word_at(r->heap, task + at);
	return ctask_attr(r->heap, task, name, &value) ? 0 : value;
}

ctask_text ctask_task_name(struct ctask_resolver *r, uint64_t task)
{
	uint64_t name = field(r, task, r->heap->layout.task_name, "_name");
	int64_t number;

	if (!name || ctask_kind_of(r->heap, name) != CTASK_KIND_INT)
		return ctask_text_of(r->heap, r->texts, name);
	if (ctask_int_value(r->heap, name, &number)) /* 3.12 on: the number in "Task-7" */
		return NULL;
	return ctask_texts_format(r->texts, "Task-%lld", (long long)number);
}

uint64_t ctask_task_coro(struct ctask_resolver *r, uint64_t task)
{
	return field(r, task, r->heap->layout.task_coro, "_coro");
}

uint64_t ctask_task_waiter(struct ctask_resolver *r, uint64_t task)
{
	return ctask_object_at(r->heap, task + r->heap->layout.task_fut_waiter);
}

uint64_t ctask_task_loop(struct ctask_resolver *r, uint64_t task)
{
	return ctask_word_at(r->heap, task + r->heap->layout.task_loop);
}

bool ctask_task_is_cancelling(struct ctask_resolver *r, uint64_t task)
{
	uint32_t at = r->heap->layout.task_num_cancels_requested;

	return at != CTASK_NO_FIELD && (int32_t)ctask_number_at(r->heap, task + at) > 0;
}

bool ctask_task_must_cancel(struct ctask_resolver *r, uint64_t task)
{
	const struct ctask_layout *l = &r->heap->layout;

	return ctask_number_at(r->heap, task + l->task_must_cancel) & l->task_must_cancel_mask;
}

bool ctask_waiter_is_done(struct ctask_resolver *r, uint64_t future)
{
	enum ctask_kind kind = future ? ctask_kind_of(r->heap, future) : CTASK_KIND_OTHER;

	return (kind == CTASK_KIND_FUTURE || kind == CTASK_KIND_TASK) &&
	       ctask_number_at(r->heap, future + r->heap->layout.task_state);
}

bool ctask_coro_is_probed(struct ctask_resolver *r, uint64_t coro)
{
	enum ctask_kind kind = ctask_kind_of(r->heap, coro);

	return kind == CTASK_KIND_COROUTINE || kind == CTASK_KIND_GENERATOR;
}

uint32_t ctask_coro_word(struct ctask_resolver *r, uint64_t coro)
{
	struct ctask_codes *codes = r->functions.codes;
	struct ctask_frame_view frame;
	enum ctask_gen_state state;
	enum ctask_kind kind;
	struct ctask_code *code;
	uint64_t awaited;

	for (int i = 0;
	     i < WRAPPERS_MAX && ctask_kind_of(r->heap, coro) == CTASK_KIND_AWAIT_WRAPPER; i++)
		coro = ctask_word_at(r->heap, coro + WRAPPED);
	kind = ctask_kind_of(r->heap, coro);
	if (kind != CTASK_KIND_COROUTINE && kind != CTASK_KIND_GENERATOR &&
	    kind != CTASK_KIND_ASYNC_GENERATOR)
		return 0;
	if (ctask_gen_read(codes, coro, CTASK_KIND_COROUTINE, &state, &frame, &awaited) ||
	    state == CTASK_GEN_DONE)
		return 0;
	code = ctask_code_at(codes, frame.code);
	return code ? ctask_bpf_word(r->history, code->name) : 0;
}

/* --- whether a task is still busy with a request --- */

static bool is_true(struct ctask_resolver *r, uint64_t obj)
{
	int64_t number;

	return obj && !ctask_int_value(r->heap, obj, &number) && number;
}

/* The group stops its children, and its exit waits for them: `self` is the first local. */
static bool group_aborts(struct ctask_resolver *r, const struct ctask_seen *seen)
{
	uint64_t group = ctask_seen_local(r->heap, seen, 0), aborting;

	return group && !ctask_attr(r->heap, group, "_aborting", &aborting) && is_true(r, aborting);
}

/* A CancelledError, or a tuple with one: what contextlib hands on from one exit to the next. */
static bool has_cancelled_error(struct ctask_resolver *r, uint64_t value)
{
	struct ctask_items items;
	uint64_t item;

	if (!value || ctask_is_cancelled_error(r->heap, value))
		return value != 0;
	if (ctask_kind_of(r->heap, value) != CTASK_KIND_TUPLE ||
	    ctask_items_of(r->heap, value, &items))
		return false;
	for (uint64_t i = 0; i < EXC_INFO && i < items.count; i++)
		if (!ctask_items_get(r->heap, &items, i, &item) &&
		    ctask_is_cancelled_error(r->heap, item))
			return true;
	return false;
}

/* A frame that keeps the CancelledError in a variable: it is not done with it. */
static bool keeps_cancel(struct ctask_resolver *r, const struct ctask_seen *seen,
			 const struct ctask_code_facts *facts)
{
	if (facts->is_group_exit && group_aborts(r, seen))
		return true;
	if (is_true(r, ctask_seen_local(r->heap, seen, facts->flag)))
		return true;
	for (int i = 0; i < facts->locals && i < LOCALS_MAX; i++)
		if (has_cancelled_error(r, ctask_seen_local(r->heap, seen, i)))
			return true;
	return false;
}

enum ctask_busy ctask_task_busy(struct ctask_resolver *r, uint64_t task,
				const struct ctask_stack_seen *chain)
{
	if (chain->running || !chain->count)
		return CTASK_BUSY_RUNS;
	if (ctask_task_must_cancel(r, task))
		return CTASK_BUSY_HANDLES;
	if (ctask_waiter_is_done(r, ctask_task_waiter(r, task)))
		return CTASK_BUSY_RUNS; /* it is about to */
	for (int i = 0; i < chain->count; i++)
		if (ctask_stems_from_cancel(r->heap,
					    ctask_gen_exception(r->heap, chain->seen[i].gen)) ||
		    keeps_cancel(r, &chain->seen[i], chain->facts[i]))
			return CTASK_BUSY_HANDLES;
	return CTASK_BUSY_NOT;
}

/* --- loops and threads --- */

uint64_t ctask_thread_loop(struct ctask_resolver *r, uint64_t tstate)
{
	uint64_t loop = ctask_running_loop(r->walk, tstate);

	return loop && ctask_kind_of(r->heap, loop) != CTASK_KIND_NONE ? loop : 0;
}

uint64_t ctask_thread_task(struct ctask_resolver *r, uint64_t tstate, uint64_t loop)
{
	uint32_t at = r->heap->layout.tstate_asyncio_running_task;
	struct ctask_iter iter;
	uint64_t key, task;

	if (at != CTASK_NO_FIELD)
		return ctask_object_at(r->heap, tstate + at);
	if (!loop || !r->asyncio.current_tasks ||
	    ctask_dict_iter(r->heap, r->asyncio.current_tasks, &iter))
		return 0;
	while (ctask_iter_next(&iter, &key, &task))
		if (key == loop)
			return ctask_kind_of(r->heap, task) != CTASK_KIND_NONE ? task : 0;
	return 0;
}

/* asyncio's loops know their thread, by what it is to threading; a thread that asks and ends at once leaves a broken list. */
static bool is_run_by_another(struct ctask_resolver *r, uint64_t tstate, uint64_t loop)
{
	uint64_t own = ctask_word_at(r->heap, tstate + r->heap->layout.tstate_thread_id), value;
	int64_t ident;

	return loop && !ctask_attr(r->heap, loop, "_thread_id", &value) &&
	       !ctask_int_value(r->heap, value, &ident) && (uint64_t)ident != own;
}

/* The next of Python's threads; begin with both 0. */
static bool next_thread(struct ctask_resolver *r, struct threads *at)
{
	const struct ctask_layout *l = &r->heap->layout;

	if (at->tstate)
		at->tstate = ctask_word_at(r->heap, at->tstate + l->tstate_next);
	while (!at->tstate && at->interps++ < INTERPS_MAX) {
		at->interp = at->interps == 1
				     ? ctask_word_at(r->heap, r->walk->python->runtime +
								      l->runtime_interpreters_head)
				     : ctask_word_at(r->heap, at->interp + l->interp_next);
		if (!at->interp)
			return false;
		at->tstate = ctask_word_at(r->heap, at->interp + l->interp_threads_head);
	}
	return at->tstate && at->count++ < THREADS_MAX;
}

bool ctask_loop_runs_elsewhere(struct ctask_resolver *r, uint64_t tstate, uint64_t loop)
{
	struct threads at = { 0 };

	if (is_run_by_another(r, tstate, loop))
		return true;
	while (loop && next_thread(r, &at))
		if (at.tstate != tstate && ctask_running_loop(r->walk, at.tstate) == loop)
			return true;
	return false;
}

bool ctask_thread_stands_at(struct ctask_resolver *r, uint64_t tstate, uint64_t frame,
			    uint32_t place)
{
	struct threads at = { 0 };

	while (next_thread(r, &at))
		if (at.tstate == tstate)
			return ctask_stack_stands_at(&r->stacks, tstate, frame, place);
	return false; /* it has ended */
}

bool ctask_stack_of_running(struct ctask_resolver *r, uint64_t task, uint64_t coro,
			    struct ctask_stack_seen *ret)
{
	struct ctask_probe_event now = { 0 };
	struct threads at = { 0 };
	int end;

	while (!now.tstate && next_thread(r, &at))
		if (ctask_thread_task(r, at.tstate, ctask_thread_loop(r, at.tstate)) == task)
			now.tstate = at.tstate;
	if (!now.tstate)
		return false;
	ctask_stack_of_thread(&r->stacks, &now, ret);
	end = ctask_stack_find(ret, coro);
	ret->running = end == ret->count;
	ret->count = ret->running ? 0 : end + 1;
	return !ret->running;
}

int ctask_stack_loop_base(const struct ctask_stack_seen *stack)
{
	for (int i = 0; i < stack->count; i++) {
		const struct ctask_code *code = stack->facts[i]->code;

		if (!stack->facts[i]->runs_loops || strcmp(code->plain_name, "run_forever") != 0)
			continue;
		while (i < stack->count && stack->facts[i]->runs_loops)
			i++;
		return i;
	}
	/* A loop that is not written in Python has no frames: what ran it is asyncio's runner. */
	for (int i = 0; i < stack->count; i++) {
		const struct ctask_origin_row *row = stack->facts[i]->row;

		if (row && row->role == CTASK_ROLE_BOUNDARY && row->main)
			return i;
	}
	return stack->count;
}

ctask_text ctask_thread_name(struct ctask_resolver *r, uint64_t tstate)
{
	uint64_t ident = ctask_word_at(r->heap, tstate + r->heap->layout.tstate_thread_id);
	uint64_t key, thread, name;
	struct ctask_iter iter;
	int64_t number;

	if (!r->asyncio.threads_active ||
	    ctask_dict_iter(r->heap, r->asyncio.threads_active, &iter))
		return NULL;
	while (ctask_iter_next(&iter, &key, &thread))
		if (!ctask_int_value(r->heap, key, &number) && (uint64_t)number == ident &&
		    !ctask_attr(r->heap, thread, "_name", &name))
			return ctask_text_of(r->heap, r->texts, name);
	return NULL;
}
