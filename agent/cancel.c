/* cancel.c - one call of cancel(): what is known when it is made. */
#include "agent/cancel.h"

#include <errno.h>
#include <math.h>

#include "agent/anyio.h"
#include "agent/births.h"
#include "agent/code.h"
#include "agent/frames.h"
#include "agent/history.h"
#include "agent/level.h"
#include "agent/lock.h"
#include "agent/loops.h"
#include "agent/record.h"
#include "agent/requests.h"
#include "agent/slots.h"
#include "agent/stack.h"
#include "agent/tasks.h"
#include "agent/text.h"
#include "model/classify.h"
#include "model/recent.h"

enum {
	TEXT_MAX = 2048, /* bytes of a text that is made, or made over */
	CALLS = 1 << 15,
	NAME_MAX_BYTES = 256, /* of a function or thread */
	ENTERED = 1 << 14,    /* constructs whose time of entering is kept; a power of two */
	TRACEBACK_FRAME = 24, /* PyTracebackObject.tb_frame */
};

/*
 * The calls that are under way, in all threads; the first is none. A thread's lead from the innermost to
 * those it was made inside of. With greenlets they need not end in that order.
 */
struct under_way {
	struct py_object *target;
	const char *frame; /* that made the call */
	uint64_t id;	   /* its record; 0 = none */
	uint32_t outer;	   /* while it is free: the next free one */
};

static struct under_way *calls;
static uint32_t free_calls, used_calls, life;
static __thread uint32_t innermost __attribute__((tls_model("initial-exec")));

/* --- when constructs were entered --- */

static struct ctask_recent *entered; /* constructs */

int ctask_cancel_make(void)
{
	/* A child keeps its parent's: constructs that were entered are still there. */
	if (!entered)
		entered = ctask_reserve(ENTERED * sizeof(*entered));
	if (!calls)
		calls = ctask_reserve(CALLS * sizeof(*calls));
	used_calls = used_calls ? used_calls : 1;
	return entered && calls ? 0 : -ENOMEM;
}

void ctask_cancel_forget(void)
{
	life++;
	innermost = 0;
	free_calls = 0;
	used_calls = 1;
}

/* --- the calls that are under way --- */

static void call_begins(struct ctask_call *call)
{
	uint32_t entry = free_calls;
	struct ctask_seen seen = { 0 };

	call->life = life;
	if (entry)
		free_calls = calls[entry].outer;
	else if (used_calls < CALLS)
		entry = used_calls++;
	call->entry = entry;
	if (!entry)
		return;
	/* One that is seen: others look for it on a stack. */
	ctask_frame_see(ctask_frame_now(), &seen);
	calls[entry] = (struct under_way){
		.target = call->target,
		.frame = seen.frame,
		.id = call->id,
		.outer = innermost,
	};
	innermost = entry;
}

static void call_ends(const struct ctask_call *call)
{
	uint32_t *at = &innermost;

	if (!call->entry || call->life != life)
		return;
	for (uint32_t i = 0; *at && *at != call->entry && i < CALLS; i++)
		at = &calls[*at].outer;
	if (*at != call->entry)
		return; /* of another thread: never, but then it stays taken */
	*at = calls[call->entry].outer;
	calls[call->entry].outer = free_calls;
	free_calls = call->entry;
}

/* NAN when it is not known. */
static double entered_at(const void *construct)
{
	const struct ctask_recent *slot =
		ctask_recent_find(entered, sizeof(*entered), ENTERED, (uintptr_t)construct);

	return slot ? slot->at : NAN;
}

void ctask_cancel_entered(void)
{
	const struct ctask_code_facts *facts;
	struct ctask_recent *slot;
	struct ctask_seen seen;
	struct py_object *construct;

	if (!ctask_frame_see(ctask_frame_now(), &seen))
		return;
	ctask_place_of(seen.code, seen.lasti, &facts);
	construct = facts->is_enter ? ctask_frame_local(seen.frame, 0) : NULL;
	if (!construct)
		return;
	slot = ctask_recent_take(entered, sizeof(*entered), ENTERED, (uintptr_t)construct);
	*slot = (struct ctask_recent){ (uintptr_t)construct, ctask_monotonic() };
}

/* --- what a call knows --- */

struct asking {
	struct ctask_asking ask;       /* first: what looks at a call is given this, and has all */
	struct ctask_stack_seen stack; /* of this thread */
	struct ctask_stack_seen chain; /* of the target */
	struct py_object *target;
	bool has_exception_message;
	struct ctask_text_bytes target_name, requester_name, failed_name, message;
	char exception_message[TEXT_MAX];
	char callback_name[NAME_MAX_BYTES];
	/* For texts that are not kept as they are: rare, and cut sooner. */
	char target_copy[TEXT_MAX], requester_copy[TEXT_MAX], failed_copy[TEXT_MAX];
	char message_copy[TEXT_MAX];
};

static const struct asking *whole(const struct ctask_asking *ask)
{
	return (const struct asking *)ask;
}

static uint64_t id_of(const void *object)
{
	return object == ctask_py.none ? 0 : (uint64_t)(uintptr_t)object;
}

static struct py_object *object_at(uint64_t id)
{
	return (struct py_object *)(uintptr_t)id; /* NOLINT */
}

static struct ctask_text_bytes plain_text(const char *text)
{
	return (struct ctask_text_bytes){ text, strlen(text), false };
}

/* --- how a call is looked at: see model/classify.h --- */

static uint64_t local_of(struct ctask_asking *ask, int i, int slot)
{
	return id_of(ctask_frame_local(whole(ask)->stack.seen[i].frame, slot));
}

static uint64_t value_of(struct ctask_asking *ask, int i, const struct ctask_local *local)
{
	struct py_object *value = ctask_frame_value(whole(ask)->stack.seen[i].frame, local);

	if (value)
		ctask_py.Py_DecRef(value); /* the frame has it */
	return id_of(value);
}

static bool self_is(struct ctask_asking *ask, int i, const char *type)
{
	return ctask_stack_self_is(&whole(ask)->stack.seen[i], type);
}

static uint64_t exception_of(struct ctask_asking *ask, int i)
{
	return id_of(ctask_gen_exception(whole(ask)->stack.seen[i].gen));
}

static bool is_unwinding(struct ctask_asking *ask, int i)
{
	struct py_object *exception = ctask_gen_exception(whole(ask)->stack.seen[i].gen);

	return exception && ctask_stems_from_cancel(exception);
}

static bool is_frame(struct ctask_asking *ask, uint64_t object, int i)
{
	return ctask_frame_is(object_at(object), whole(ask)->stack.seen[i].frame);
}

static uint64_t handled(struct ctask_asking *ask)
{
	struct py_object *type, *value, *traceback;

	(void)ask;
	ctask_py.PyErr_GetExcInfo(&type, &value, &traceback);
	if (traceback)
		ctask_py.Py_DecRef(traceback);
	if (type)
		ctask_py.Py_DecRef(type);
	if (value)
		ctask_py.Py_DecRef(value); /* being handled: it stays */
	return id_of(value);
}

static bool came_through(struct ctask_asking *ask, uint64_t exception, int i)
{
	struct py_object *value = object_at(exception), *way;
	bool found;

	if (!py_isinstance(value, ctask_py.base_exception))
		return false;
	way = ctask_py.PyException_GetTraceback(value);
	found = way &&
		ctask_frame_is(py_pointer(way, TRACEBACK_FRAME), whole(ask)->stack.seen[i].frame);
	if (way)
		ctask_py.Py_DecRef(way);
	return found;
}

static uint64_t chain_local(struct ctask_asking *ask, int c, int slot)
{
	return id_of(ctask_frame_local(whole(ask)->chain.seen[c].frame, slot));
}

static bool chain_holds(struct ctask_asking *ask, int c, uint64_t object)
{
	const struct ctask_stack_seen *chain = &whole(ask)->chain;

	return ctask_frame_holds(&chain->seen[c], chain->facts[c], object_at(object));
}

static bool is_inside(struct ctask_asking *ask, uint64_t construct)
{
	return ctask_stack_is_inside(&whole(ask)->chain, object_at(construct));
}

static bool is_a(struct ctask_asking *ask, uint64_t object, enum ctask_sort sort)
{
	struct py_object *it = object_at(object);

	(void)ask;
	switch (sort) {
	case CTASK_SORT_EXCEPTION:
		return py_isinstance(it, ctask_py.base_exception);
	case CTASK_SORT_CANCELLED_ERROR:
		return ctask_is_cancelled_error(it);
	case CTASK_SORT_KEYBOARD_INTERRUPT:
		return py_isinstance(it, ctask_py.keyboard_interrupt);
	case CTASK_SORT_INT:
		return py_isinstance(it, ctask_py.PyLong_Type);
	}
	return false;
}

static bool item_of(struct ctask_asking *ask, uint64_t tuple, int at, uint64_t *ret_item)
{
	struct py_object *it = object_at(tuple);

	(void)ask;
	if (!py_is(it, ctask_py.PyTuple_Type) || at >= ctask_py.PyTuple_Size(it))
		return false;
	*ret_item = id_of(ctask_py.PyTuple_GetItem(it, at));
	return true;
}

static uint64_t attribute_of(struct ctask_asking *ask, uint64_t object, const char *name)
{
	(void)ask;
	return id_of(ctask_python_lend(object_at(object), name));
}

static double seconds_of(struct ctask_asking *ask, uint64_t number)
{
	(void)ask;
	return ctask_python_seconds(object_at(number));
}

static bool runs_elsewhere(struct ctask_asking *ask)
{
	return ctask_loops_elsewhere(ctask_task_loop(whole(ask)->target));
}

static double construct_entered_at(struct ctask_asking *ask, uint64_t construct)
{
	(void)ask;
	return entered_at(object_at(construct));
}

static bool is_cancelling(struct ctask_asking *ask, uint64_t task)
{
	(void)ask;
	return ctask_task_is_cancelling(object_at(task));
}

static uint64_t newest_of(struct ctask_asking *ask, uint64_t task)
{
	(void)ask;
	return ctask_requests_newest(object_at(task));
}

static uint64_t cause_of(struct ctask_asking *ask, uint64_t task)
{
	uint64_t cause = ctask_requests_tasks ? ctask_requests_cause(object_at(task)) : 0;

	(void)ask;
	return cause || !ctask_level_tasks ? cause : ctask_level_raised_last(object_at(task));
}

static bool copy_record(struct ctask_asking *ask, uint64_t id, struct ctask_record *ret)
{
	const struct ctask_record *record;

	(void)ask;
	ctask_lock();
	record = ctask_record_at(id);
	if (record)
		*ret = *record;
	ctask_unlock();
	return record;
}

/* A frame of asyncio's wait_for, of a task that passes a request on. */
static bool outer_wait_for(struct ctask_asking *ask, const struct ctask_outer_call *outer,
			   uint64_t *ret_wait_for, double *ret_delay)
{
	struct ctask_stack_seen chain;

	(void)ask;
	ctask_stack_of_task(&chain, object_at(outer->target));
	if (!chain.count || !chain.facts[0]->is_wait_for)
		return false;
	*ret_wait_for = id_of(chain.seen[0].gen);
	*ret_delay = ctask_python_seconds(
		ctask_frame_local(chain.seen[0].frame, chain.facts[0]->delay.slot));
	return true;
}

static const struct ctask_evidence evidence = {
	.local = local_of,
	.value = value_of,
	.self_is = self_is,
	.exception = exception_of,
	.is_unwinding = is_unwinding,
	.is_frame = is_frame,
	.handled = handled,
	.came_through = came_through,
	.chain_local = chain_local,
	.chain_holds = chain_holds,
	.is_inside = is_inside,
	.is_a = is_a,
	.item = item_of,
	.attribute = attribute_of,
	.seconds = seconds_of,
	.runs_elsewhere = runs_elsewhere,
	.entered_at = construct_entered_at,
	.is_cancelling = is_cancelling,
	.newest = newest_of,
	.cause = cause_of,
	.record = copy_record,
	.outer_wait_for = outer_wait_for,
};

/* --- the names of those who have a part in it --- */

/* The name of the function of a callback that has no frame: a method written in C. */
static void name_of_callable(struct py_object *callable, char *to, size_t room)
{
	struct py_object *name = NULL;

	to[0] = '\0';
	for (int i = 0; i < 4 && callable && !strcmp(callable->type->name, "functools.partial");
	     i++)
		callable = ctask_python_lend(callable, "func");
	if (py_is(callable, ctask_py.PyCFunction_Type))
		name = ctask_python_attr(callable, "__qualname__");
	ctask_text_copy(name, to, room);
	if (name)
		ctask_py.Py_DecRef(name);
}

static void name_callback(struct asking *a)
{
	struct py_object *handle, *callback;

	if (a->ask.end > 0 && a->stack.count) { /* Handle._run calls a C function */
		handle = ctask_frame_local(a->stack.seen[0].frame, 0);
		callback = handle ? ctask_python_attr(handle, "_callback") : NULL;
		if (callback) {
			name_of_callable(callback, a->callback_name, sizeof(a->callback_name));
			ctask_py.Py_DecRef(callback);
		}
	}
	if (!a->callback_name[0])
		memcpy(a->callback_name, "Task.cancel", sizeof("Task.cancel"));
	a->requester_name = plain_text(a->callback_name);
}

static void name_requester(struct asking *a)
{
	struct py_object *task = object_at(a->ask.task);

	switch (a->ask.record.requester_kind) {
	case CTASK_REQUESTER_TASK:
		a->requester_name =
			ctask_task_name(task, a->requester_copy, sizeof(a->requester_copy));
		a->ask.record.requester_coroutine = ctask_stack_coroutine(ctask_task_coro(task));
		break;
	case CTASK_REQUESTER_CALLBACK:
		if (a->ask.is_unnamed_callback)
			name_callback(a);
		break;
	case CTASK_REQUESTER_THREAD:
		ctask_loops_thread_name(a->callback_name, sizeof(a->callback_name));
		a->requester_name = plain_text(a->callback_name);
		break;
	default:
		break;
	}
}

static void name_failure(struct asking *a)
{
	struct py_object *exception = object_at(a->ask.exception);
	const char *name, *dot;

	if (!exception)
		return;
	name = exception->type->name;
	dot = strrchr(name, '.');
	a->ask.record.exception_type = ctask_word_of(dot ? dot + 1 : name);
	a->has_exception_message =
		ctask_text_exception(exception, a->exception_message, sizeof(a->exception_message));
	if (a->ask.record.failed_task)
		a->failed_name = ctask_task_name(object_at(a->ask.record.failed_task),
						 a->failed_copy, sizeof(a->failed_copy));
}

/* --- from what is known to a record --- */

/* The frame of @p coro on this thread's stack; its count when it is not there. */
static int find_coro(const struct asking *a, const struct py_object *coro)
{
	for (int i = 0; i < a->stack.count; i++)
		if (coro && a->stack.seen[i].gen == coro)
			return i;
	return a->stack.count;
}

static void put_texts(struct asking *a, const uint32_t *target_stack, int target_count)
{
	struct ctask_record *r = &a->ask.record;

	r->target_name = ctask_record_text(&a->target_name);
	if (a->requester_name.len)
		r->requester_name = ctask_record_text(&a->requester_name);
	if (r->failed_task)
		r->failed_task_name = ctask_record_text(&a->failed_name);
	if (a->has_exception_message) {
		struct ctask_text_bytes message = plain_text(a->exception_message);

		r->exception_message = ctask_record_text(&message);
	}
	r->target_stack =
		ctask_side_once(target_stack, (size_t)target_count * sizeof(*target_stack), "");
	r->stack = ctask_side_once(a->stack.places, (size_t)a->stack.count * sizeof(uint32_t), "");
}

static uint64_t put(struct asking *a, struct py_object *message)
{
	struct ctask_record *r = &a->ask.record;
	const uint32_t *target_stack = a->chain.places;
	int target_count = a->chain.count;

	if (a->chain.running) { /* it asks itself, or something that it called does */
		int end = find_coro(a, object_at(a->ask.target_coro));

		target_stack = a->stack.places;
		target_count = end < a->stack.count ? end + 1 : 0;
	}
	r->target_coroutine = ctask_stack_coroutine(object_at(a->ask.target_coro));
	r->target_stack_cut = (uint16_t)a->chain.cut;
	r->stack_cut = (uint16_t)a->stack.cut;
	if (message)
		a->message = ctask_text_borrow(message, a->message_copy, sizeof(a->message_copy));

	ctask_lock();
	put_texts(a, target_stack, target_count);
	if (message && py_isinstance(message, ctask_py.PyUnicode_Type))
		r->message = ctask_record_text(&a->message);
	ctask_record_append(r);
	ctask_requests_add(a->target, r->id, &a->ask.block);
	ctask_unlock();
	return r->id;
}

/*
 * The call that this one was made inside of, if it passes on what that one
 * asks: what the target of the outer one waits for is this one's target, or has a cancel() that leads here.
 * A signal handler or a finalizer may run in the middle of any call: what it asks is its own.
 */
static bool call_round(struct asking *a, struct ctask_outer_call *ret)
{
	for (uint32_t at = innermost; at; at = calls[at].outer) {
		const struct under_way *outer = &calls[at];
		bool passed = false;
		int end = 0;

		if (!outer->id)
			continue;
		for (; end < a->stack.count && a->stack.seen[end].frame != outer->frame; end++)
			passed |= a->stack.facts[end]->is_cancel;
		if (end == a->stack.count)
			continue; /* of another greenlet: it is not on this stack */
		if (!passed && ctask_task_waits_for(outer->target) != a->target)
			return false;
		*ret = (struct ctask_outer_call){ outer->id, id_of(outer->target), end };
		return ctask_find_signal_handler(&a->ask, end) < 0;
	}
	return false;
}

/* Who runs in this thread, and how much of its stack is theirs. */
static void take_thread(struct asking *a)
{
	struct py_object *loop, *task = ctask_task_now(&loop);

	a->ask.task = id_of(task);
	a->ask.loop = id_of(loop);
	a->ask.end = task   ? find_coro(a, ctask_task_coro(task))
		     : loop ? ctask_loops_base(&a->stack)
			    : a->stack.count;
}

/* @p a is large: only what is looked at is set. */
static void see_call(struct asking *a, struct py_object *target)
{
	struct ctask_outer_call outer;

	a->target = target;
	a->has_exception_message = false;
	a->requester_name = (struct ctask_text_bytes){ 0 };
	a->exception_message[0] = a->callback_name[0] = '\0';
	a->ask.evidence = &evidence;
	a->ask.target = id_of(target);
	a->ask.target_coro = id_of(ctask_task_coro(target));
	a->ask.task = a->ask.loop = 0;
	a->ask.now = ctask_monotonic();
	a->ask.delay_steps = CTASK_DELAY_STEPS;
	a->ask.record = (struct ctask_record){
		.time_us = ctask_now_us(),
		.target = a->ask.target,
		.delay_s = NAN,
		.elapsed_s = NAN,
		.thread = (uint32_t)ctask_loops_thread(),
	};
	a->ask.exception = 0;
	a->ask.is_unnamed_callback = false;
	a->ask.block = (struct ctask_asking_block){ 0 };
	a->target_name = ctask_task_name(target, a->target_copy, sizeof(a->target_copy));
	ctask_stack_of_thread(&a->stack);
	ctask_stack_of_task(&a->chain, target);
	a->ask.stack = (struct ctask_call_frames){ a->stack.count, a->stack.facts };
	a->ask.chain = (struct ctask_call_frames){ a->chain.count, a->chain.facts };
	if (call_round(a, &outer)) {
		ctask_classify_passed_on(&a->ask, &outer);
	} else {
		take_thread(a);
		ctask_classify(&a->ask);
		name_requester(a);
		name_failure(a);
	}
}

/* The message of a request that is passed on is that of the one it stems from. */
static void take_message(struct asking *a)
{
	const struct ctask_record *cause;

	ctask_lock();
	cause = ctask_record_at(a->ask.record.cause);
	a->ask.record.message = cause ? cause->message : 0;
	ctask_unlock();
}

static uint64_t record_call(const struct ctask_call *call, struct py_object *message)
{
	struct asking a;

	see_call(&a, call->target);
	if (message && ctask_anyio_wrote(message)) {
		take_message(&a);
		message = NULL;
	}
	return put(&a, message);
}

void ctask_cancel_sketch(struct py_object *host, struct ctask_record *record)
{
	struct asking a;

	see_call(&a, host);
	a.ask.record.stack_cut = (uint16_t)a.stack.cut;
	ctask_lock();
	put_texts(&a, NULL, 0);
	ctask_unlock();
	*record = a.ask.record;
}

void ctask_cancel_begin(struct ctask_call *call, struct py_object *target,
			struct py_object *message)
{
	struct py_object *type, *value, *traceback;

	*call = (struct ctask_call){ .target = target };
	if (ctask_task_ending(target) == CTASK_GOES_ON) {
		ctask_py.PyErr_Fetch(&type, &value, &traceback);
		if (!ctask_anyio_asks(target, &call->id))
			call->id = record_call(call, message);
		ctask_py.PyErr_Restore(type, value, traceback);
	}
	call_begins(call);
}

void ctask_cancel_end(struct ctask_call *call, bool taken)
{
	call_ends(call);
	if (taken || !call->id || call->life != life)
		return;
	ctask_lock();
	ctask_requests_drop(call->target, call->id);
	ctask_record_take_back(call->id);
	ctask_unlock();
}

void ctask_cancel_undone(struct py_object *task)
{
	const struct ctask_code_facts *facts = NULL;
	struct py_object *construct = NULL;
	struct ctask_seen seen;

	if (!ctask_requests_tasks)
		return;
	if (ctask_frame_see(ctask_frame_now(), &seen)) {
		ctask_place_of(seen.code, seen.lasti, &facts);
		if (facts->arguments)
			construct = ctask_frame_local(seen.frame, 0);
		if (facts->row && facts->row->role == CTASK_ROLE_LEAVES)
			return;
	}
	/* A group also takes back what it did not ask, to ask it anew at once. */
	ctask_requests_absorb(task, construct, !facts || !facts->is_group_exit);
}

void ctask_task_born(struct py_object *task)
{
	struct ctask_birth birth = {
		.task = (uint64_t)(uintptr_t)task,
		.time_us = ctask_now_us(),
	};
	struct py_object *loop;

	birth.creator = (uint64_t)(uintptr_t)ctask_task_now(&loop);
	if (birth.creator == birth.task)
		birth.creator = 0;
	birth.place = ctask_stack_user_place();
	ctask_lock();
	ctask_births_add(task, &birth);
	ctask_unlock();
}

void ctask_task_freed(struct py_object *task)
{
	if (ctask_requests_tasks)
		ctask_requests_gone(task);
	if (ctask_level_is_asked(task))
		ctask_level_finish(task, CTASK_OUTCOME_UNKNOWN);
	if (ctask_anyio_waiting)
		ctask_anyio_freed(task);
	ctask_lock();
	ctask_births_remove(task);
	ctask_unlock();
}
