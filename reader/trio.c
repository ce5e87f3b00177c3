/* trio.c - the runs of trio, and their tasks under their nurseries. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/cleanup.h"
#include "reader/scopes.h"
#include "reader/trio.h"

/* Names in trio._core._run. */
struct names {
	uint64_t run_context, system_clock, cancelled;
};

/* A task of a run, and its number there: they are told in the order in which they were made. */
struct member {
	uint64_t addr;
	int64_t counter;
};

/* --- finding the runs --- */

/*
 * The dict of a threading.local in the thread at @p tstate; 0 = none. To 3.12
 * the thread has it, under the key of the object (Modules/_threadmodule.c);
 * from 3.13 on the object has those of all threads, under the thread's key.
 */
static int find_local_dict(struct ctask_walk *walk, uint64_t local, uint64_t tstate, uint64_t *ret)
{
	struct ctask_heap *heap = &walk->heap;
	const struct ctask_layout *l = &heap->layout;
	bool has_all = l->local_dicts != CTASK_NO_FIELD;
	uint64_t dict, wanted, key, value;
	struct ctask_iter iter;
	int err;

	*ret = 0;
	err = has_all ? ctask_heap_u64(heap, local + l->local_dicts, &dict)
		      : ctask_heap_u64(heap, tstate + l->tstate_dict, &dict);
	if (!err)
		err = has_all ? ctask_heap_u64(heap, tstate + l->tstate_threading_local_key,
					       &wanted)
			      : ctask_heap_u64(heap, local + l->local_key, &wanted);
	if (err || !dict || !wanted)
		return err;
	err = ctask_dict_iter(heap, dict, &iter);
	while (!err && ctask_iter_next(&iter, &key, &value)) {
		if (key != wanted)
			continue;
		if (!has_all)
			err = ctask_heap_u64(heap, value + l->localdummy_dict, &value);
		*ret = value;
		return err;
	}
	return err ? err : iter.error;
}

uint32_t ctask_trio_add_runtime(struct ctask_walk *walk)
{
	struct ctask_snapshot *snap = walk->snap;
	uint32_t index = ctask_snapshot_add_runtime(snap);
	struct ctask_runtime *runtime;
	uint64_t version = 0;

	if (index == CTASK_NONE)
		return index;
	runtime = &snap->runtimes[index];
	runtime->kind = "trio";
	runtime->implementation = "cpython";
	runtime->interpreter = walk->interp_id;
	runtime->version = ctask_texts_format(snap->texts, "%s", walk->python->version);
	runtime->library = ctask_codes_folder(&walk->codes, "trio");
	if (!ctask_module_find(&walk->heap, walk->modules.trio,
			       &(struct ctask_wanted){ "__version__", &version }, 1) &&
	    version && ctask_str_text(&walk->heap, version, snap->texts, &runtime->package_version))
		runtime->package_version = NULL;
	return index;
}

/* --- one task --- */

/* An attribute of an object of trio's that may be None: 0 then. */
static int read_attr(struct ctask_walk *walk, uint64_t obj, const char *name, uint64_t *ret)
{
	int err = ctask_attr(&walk->heap, obj, name, ret);

	if (!err && ctask_kind_of(&walk->heap, *ret) == CTASK_KIND_NONE)
		*ret = 0;
	walk->unsettled += err == -EAGAIN;
	return err;
}

/* The frame in which it waits at the end of a nursery for the children; NULL when it does not. */
static const struct ctask_link *find_exit(const struct ctask_walk *walk)
{
	const struct ctask_chain *chain = &walk->chain;

	for (uint32_t i = chain->count; i-- > 0;) {
		const struct ctask_code *code = walk->codes.codes[chain->links[i].code];

		if (code->module && !strcmp(code->module, "trio/_core/_run.py") &&
		    !strcmp(code->plain_name, "_nested_child_finished"))
			return &chain->links[i];
	}
	return NULL;
}

/*
 * Whether a task that waits at the end of a nursery was asked to stop itself: its
 * body ended with a Cancelled, or what is around the nursery is cancelled. One
 * whose children fail has nothing more to do than to wait for them.
 */
static bool was_cancelled(struct ctask_walk *walk, const struct ctask_link *exit)
{
	uint64_t exception, nursery, scope, outer;
	const struct ctask_type *type;

	if (!ctask_link_local(&walk->codes, exit, "nested_child_exc", &exception)) {
		type = ctask_type_of(&walk->heap, exception);
		if (type && type->addr == walk->heap.trio_cancelled_type)
			return true;
	}
	if (ctask_link_local(&walk->codes, exit, "self", &nursery))
		return false;
	scope = ctask_scope_attr(walk, nursery, "cancel_scope");
	outer = ctask_scope_attr(walk, ctask_scope_attr(walk, nursery, "_cancel_status"),
				 "_parent");
	return !ctask_scope_is(walk, scope, "_shield") &&
	       ctask_scope_is(walk, outer, "effectively_cancelled");
}

/*
 * The cancel status of a task, from its innermost one on, but for those of scopes that trio entered for itself: a
 * checkpoint may raise out of one, and it is no news. 0: a shield among these keeps all off.
 */
static uint64_t find_status(struct ctask_walk *walk, uint64_t status)
{
	enum { OWN_MAX = 64 };

	for (int i = 0; status && i < OWN_MAX; i++) {
		uint64_t scope = ctask_scope_attr(walk, status, "_scope");

		if (!scope ||
		    ctask_table_get(&walk->scope_index, scope, CTASK_NONE) != CTASK_SCOPE_NOT_SHOWN)
			return status;
		if (ctask_scope_is(walk, scope, "_shield"))
			return 0;
		status = ctask_scope_attr(walk, status, "_parent");
	}
	return status;
}

/*
 * A cancelled scope raises at each checkpoint until it is left, whatever became
 * of the last time: what a task has not been told yet, it will be.
 */
static void read_cancelled(struct ctask_walk *walk, struct ctask_task *task, uint64_t innermost)
{
	uint64_t status = find_status(walk, innermost);
	const struct ctask_link *exit;

	if (task->cancel_handled || !ctask_scope_is(walk, status, "effectively_cancelled"))
		return;
	exit = find_exit(walk);
	if (exit)
		task->cancel_handled = was_cancelled(walk, exit);
	else
		task->cancel_pending = true;
}

/* Where it is, how it is, and what it waits for. */
static int read_state(struct ctask_walk *walk, const struct ctask_trio_run *run, uint32_t index,
		      uint64_t coro)
{
	uint64_t addr = walk->snap->tasks[index].id, next_send;
	int ret = ctask_walk_read_chain(walk, index, coro);
	struct ctask_task *task = &walk->snap->tasks[index];

	if (ret)
		return ret;
	if (walk->chain.executing || addr == run->current_task)
		task->state = CTASK_RUNNING;
	else if (walk->chain.created || read_attr(walk, addr, "_next_send_fn", &next_send) ||
		 next_send)
		task->state =
			CTASK_READY; /* there is something that it is to be told when it runs */
	else
		task->state = CTASK_WAITING;
	ret = ctask_scopes_hide_library(walk);
	if (ret)
		return ret;
	read_cancelled(walk, task, run->places[index - run->first_task].status);
	return task->state == CTASK_WAITING ? ctask_waits_read_frames(walk, index, run->now_s) : 0;
}

static int read_task(struct ctask_walk *walk, struct ctask_trio_run *run, uint64_t addr)
{
	struct ctask_snapshot *snap = walk->snap;
	uint32_t index = ctask_snapshot_add_task(snap);
	struct ctask_trio_place *place;
	struct ctask_task *task;
	uint64_t coro, name;
	int ret;

	if (index == CTASK_NONE)
		return -ENOMEM;
	snap->runtimes[run->runtime].task_count++;
	task = &snap->tasks[index];
	task->id = addr;
	task->runtime = run->runtime;
	ret = ctask_table_put(&walk->task_index, addr, index);
	if (ret || walk->count_only)
		return ret;
	place = &run->places[index - run->first_task];
	place->nursery = ctask_scope_attr(walk, addr, "_parent_nursery");
	place->child_nurseries = ctask_scope_attr(walk, addr, "_child_nurseries");
	place->status = ctask_scope_attr(walk, addr, "_cancel_status");
	ret = read_attr(walk, addr, "name", &name);
	if (!ret)
		ret = ctask_str_text(&walk->heap, name, snap->texts, &task->name);
	if (ret == -ENOMEM)
		return ret;
	if (ret) {
		task->name = "";
		ret = ctask_snapshot_add_problem(snap, addr, "its name could not be read");
	}
	if (!ret && read_attr(walk, addr, "coro", &coro))
		ret = ctask_snapshot_add_problem(snap, addr, "its coroutine could not be read");
	else if (!ret)
		ret = read_state(walk, run, index, coro);
	return ret;
}

/* --- one run --- */

static int compare_members(const void *a, const void *b)
{
	const struct member *x = a, *y = b;

	if (x->counter != y->counter)
		return x->counter < y->counter ? -1 : 1;
	return (x->addr > y->addr) - (x->addr < y->addr);
}

/* The tasks of Runner.tasks, a set. */
static int find_members(struct ctask_walk *walk, uint64_t set, struct member **ret_members,
			uint32_t *ret_count)
{
	struct ctask_heap *heap = &walk->heap;
	auto_free struct member *members = NULL;
	uint32_t count = 0, room = 0;
	struct ctask_iter iter;
	uint64_t task, counter;
	int ret = ctask_set_iter(heap, set, &iter);

	while (!ret && ctask_iter_next(&iter, &task, NULL)) {
		if (count == room) {
			struct member *moved;

			room = room * 2 + 64;
			moved = realloc(members, room * sizeof(*moved));
			if (!moved)
				return -ENOMEM;
			members = moved;
		}
		members[count] = (struct member){ .addr = task };
		if (!ctask_attr(heap, task, "_counter", &counter))
			(void)ctask_int_value(heap, counter, &members[count].counter);
		count++;
	}
	if (count)
		qsort(members, count, sizeof(*members), compare_members);
	*ret_members = steal_ptr(&members);
	*ret_count = count;
	return ret ? ret : iter.error;
}

static int read_tasks(struct ctask_walk *walk, struct ctask_trio_run *run)
{
	auto_free struct member *members = NULL;
	uint32_t count = 0;
	uint64_t set;
	int ret, error = read_attr(walk, run->runner, "tasks", &set);

	run->first_task = walk->snap->task_count;
	if (!error)
		error = find_members(walk, set, &members, &count);
	ret = ctask_walk_tell(walk, error, "the tasks of a trio run");
	run->places = calloc((size_t)count + 1, sizeof(*run->places));
	if (!run->places)
		return -ENOMEM;
	for (uint32_t i = 0; !ret && i < count; i++) {
		uint64_t addr = members[i].addr;

		if (addr % 8 || ctask_table_get(&walk->task_index, addr, CTASK_NONE) != CTASK_NONE)
			continue; /* a task is in one set, once */
		ret = read_task(walk, run, addr);
		if (walk->snap->task_count % 32 == 0)
			(void)ctask_pages_check_deadline(walk->heap.pages);
		if (walk->heap.pages->error)
			return walk->heap.pages->error;
	}
	run->task_count = walk->snap->task_count - run->first_task;
	return ret;
}

/* A nursery's task waits for its children from the moment it has them. */
static int read_parents(struct ctask_walk *walk, const struct ctask_trio_run *run)
{
	uint64_t nursery = 0, parent = 0; /* neighbours often are in the same */
	int ret = 0;

	for (uint32_t i = 0; !ret && i < run->task_count; i++) {
		struct ctask_trio_place *place = &run->places[i];

		if (place->nursery != nursery) {
			nursery = place->nursery;
			parent = ctask_scope_attr(walk, nursery, "_parent_task");
		}
		place->parent =
			ctask_table_get(&walk->task_index, parent, CTASK_NONE) - run->first_task;
		if (nursery && place->parent < run->task_count)
			ret = ctask_waiters_add_edge(walk, parent, run->first_task + i,
						     CTASK_EDGE_NURSERY);
		else
			place->parent = CTASK_NONE;
	}
	return ret;
}

/* Trio's own are those that do not come from the program's first task. */
static int mark_system(struct ctask_walk *walk, const struct ctask_trio_run *run)
{
	enum { UNKNOWN, SYSTEM, PROGRAM, ON_THE_WAY };
	auto_free uint8_t *marks = calloc((size_t)run->task_count + 1, 1);
	struct ctask_task *tasks = walk->snap->tasks + run->first_task;

	if (!marks)
		return -ENOMEM;
	for (uint32_t i = 0; i < run->task_count; i++)
		if (tasks[i].id == run->main_task)
			marks[i] = PROGRAM;
	for (uint32_t i = 0; i < run->task_count; i++) {
		uint32_t at = i;
		uint8_t found;

		for (; at < run->task_count && marks[at] == UNKNOWN; at = run->places[at].parent)
			marks[at] = ON_THE_WAY;
		/* The end is a task without a parent, one that is known, or, in damaged memory, a circle. */
		found = at < run->task_count && marks[at] == PROGRAM ? PROGRAM : SYSTEM;
		for (at = i; at < run->task_count && marks[at] == ON_THE_WAY;
		     at = run->places[at].parent)
			marks[at] = found;
	}
	for (uint32_t i = 0; i < run->task_count; i++)
		tasks[i].system = marks[i] == SYSTEM;
	return 0;
}

/* The run's clock now. Only that of trio itself is one that goes on by itself, as ours does. */
static double clock_now(struct ctask_walk *walk, uint64_t runner, uint64_t system_clock)
{
	uint64_t clock, offset;
	const struct ctask_type *type;
	double value;

	if (read_attr(walk, runner, "clock", &clock) || !clock)
		return NAN;
	type = ctask_type_of(&walk->heap, clock);
	if (!type || type->addr != system_clock || read_attr(walk, clock, "offset", &offset) ||
	    ctask_number_value(&walk->heap, offset, &value))
		return NAN;
	return value + walk->now_s;
}

static int read_run(struct ctask_walk *walk, struct ctask_trio_run *run)
{
	int ret = read_tasks(walk, run);

	if (ret || walk->count_only)
		return ret;
	ret = read_parents(walk, run);
	if (!ret)
		ret = mark_system(walk, run);
	return ret ? ret : ctask_trio_scopes_read(walk, run);
}

static int find_run(struct ctask_walk *walk, const struct names *names, uint64_t runner,
		    uint64_t current_task, int32_t thread_id)
{
	struct ctask_trio_run run = { .runner = runner, .current_task = current_task };
	int ret;

	run.runtime = ctask_trio_add_runtime(walk);
	if (run.runtime == CTASK_NONE)
		return -ENOMEM;
	walk->snap->runtimes[run.runtime].thread_id = thread_id;
	run.now_s = clock_now(walk, runner, names->system_clock);
	run.main_task = ctask_scope_attr(walk, runner, "main_task");
	ret = read_run(walk, &run);
	free(run.places);
	return ret;
}

int ctask_trio_walk(struct ctask_walk *walk, uint32_t first_thread)
{
	struct ctask_heap *heap = &walk->heap;
	struct names names = { 0 };
	int ret;

	if (!walk->modules.trio_run)
		return 0;
	walk->has_trio = true;
	ret = ctask_module_find(heap, walk->modules.trio_run,
				(struct ctask_wanted[]){
					{ "GLOBAL_RUN_CONTEXT", &names.run_context },
					{ "SystemClock", &names.system_clock },
					{ "Cancelled", &names.cancelled },
				},
				3);
	if (ret)
		return ctask_walk_tell(walk, ret, "the module trio._core._run");
	heap->trio_cancelled_type = names.cancelled;
	if (ctask_kind_of(heap, names.run_context) != CTASK_KIND_THREAD_LOCAL)
		return 0; /* still being imported */
	for (uint32_t i = first_thread; !ret && i < walk->thread_count; i++) {
		uint64_t dict, runner = 0, task = 0;

		ret = find_local_dict(walk, names.run_context, walk->threads[i].tstate, &dict);
		if (!ret && dict)
			ret = ctask_dict_find(heap, dict,
					      (struct ctask_wanted[]){ { "runner", &runner },
								       { "task", &task } },
					      2);
		ret = ctask_walk_tell(walk, ret, "what trio runs in a thread");
		if (!ret && runner)
			ret = find_run(walk, &names, runner, task, walk->threads[i].tid);
	}
	return ret;
}
