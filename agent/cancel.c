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
#include "agent/requests.h"
#include "agent/slots.h"
#include "agent/stack.h"
#include "agent/tasks.h"
#include "agent/text.h"

enum {
	TEXT_MAX = 2048, /* bytes of a text that is made, or made over */
	CALLS = 1 << 15,
	NAME_MAX_BYTES = 256, /* of a function or thread */
	ROLES_MAX = 12,	      /* frames of libraries between a cancel() and who asked */
	ENTERED = 1 << 14,    /* constructs whose time of entering is kept; a power of two */
	RUNNER_FRAMES = 6,    /* frames of a runner round the one that stops what is left */
	TRACEBACK_FRAME = 24, /* PyTracebackObject.tb_frame */
};

/* A clock that the loop does not share with us shows in deadlines that lie this far off, seconds. */
#define CLOCK_FAR 86400.0
/* A deadline is made some microseconds before its block is entered: more than this is not known of the delay, 1/s. */
#define DELAY_STEPS 10000.0

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

static struct entered {
	const void *construct;
	double at; /* monotonic clock */
} * entered;

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

static struct entered *entered_slot(const void *construct)
{
	return &entered[((uintptr_t)construct >> 4) * 0x9e3779b97f4a7c15ull >> 50 & (ENTERED - 1)];
}

/* NAN when it is not known. */
static double entered_at(const void *construct)
{
	const struct entered *slot = entered_slot(construct);

	return construct && slot->construct == construct ? slot->at : NAN;
}

void ctask_cancel_entered(void)
{
	const struct ctask_code_facts *facts;
	struct ctask_seen seen;
	struct py_object *construct;

	if (!ctask_frame_see(ctask_frame_now(), &seen))
		return;
	ctask_place_of(seen.code, seen.lasti, &facts);
	construct = facts->is_enter ? ctask_frame_local(seen.frame, 0) : NULL;
	if (construct)
		*entered_slot(construct) = (struct entered){ construct, ctask_monotonic() };
}

/* --- what a call knows --- */

struct asking {
	struct ctask_record record;
	struct ctask_stack_seen stack; /* of this thread */
	struct ctask_stack_seen chain; /* of the target */
	struct py_object *target;
	struct py_object *task, *loop; /* that run in this thread */
	double now;
	bool has_exception_message;
	struct ctask_block block; /* that the target itself is inside of, and that asks */
	struct ctask_text_bytes target_name, requester_name, failed_name, message;
	char exception_message[TEXT_MAX];
	char callback_name[NAME_MAX_BYTES];
	/* For texts that are not kept as they are: rare, and cut sooner. */
	char target_copy[TEXT_MAX], requester_copy[TEXT_MAX], failed_copy[TEXT_MAX];
	char message_copy[TEXT_MAX];
};

static const struct ctask_code_facts *facts_at(const struct asking *a, int i)
{
	return a->stack.facts[i];
}

static bool is_boundary(const struct ctask_code_facts *facts)
{
	return facts->row && facts->row->role == CTASK_ROLE_BOUNDARY;
}

static struct ctask_text_bytes plain_text(const char *text)
{
	return (struct ctask_text_bytes){ text, strlen(text), false };
}

static void take_exception(struct asking *a, struct py_object *exception, struct py_object *task)
{
	const char *name, *dot;

	if (!py_isinstance(exception, ctask_py.base_exception))
		return;
	name = exception->type->name;
	dot = strrchr(name, '.');
	a->record.exception_type = ctask_word_of(dot ? dot + 1 : name);
	a->has_exception_message =
		ctask_text_exception(exception, a->exception_message, sizeof(a->exception_message));
	if (task) {
		a->record.failed_task = (uint64_t)(uintptr_t)task;
		a->failed_name = ctask_task_name(task, a->failed_copy, sizeof(a->failed_copy));
	}
}

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

/*
 * Whether frame @p i is that of a signal handler: called with a number and the
 * frame that it interrupted, which is the one outside of it.
 */
static bool handles_signal(const struct asking *a, int i)
{
	const struct ctask_code_facts *facts = facts_at(a, i);
	const char *frame = a->stack.seen[i].frame;
	const char *outer = i + 1 < a->stack.count ? a->stack.seen[i + 1].frame : NULL;
	struct py_object *rest = NULL;

	for (int slot = 1; slot < facts->arguments; slot++) {
		struct py_object *number = ctask_frame_local(frame, slot - 1);
		struct py_object *interrupted = ctask_frame_local(frame, slot);

		if (py_isinstance(number, ctask_py.PyLong_Type) &&
		    py_is(interrupted, ctask_py.PyFrame_Type) && ctask_frame_is(interrupted, outer))
			return true;
	}
	if (facts->takes_rest)
		rest = ctask_frame_local(frame, facts->arguments + facts->keyword_arguments);
	if (!py_is(rest, ctask_py.PyTuple_Type))
		return false;
	for (int64_t at = 1; at < ctask_py.PyTuple_Size(rest); at++)
		if (py_isinstance(ctask_py.PyTuple_GetItem(rest, at - 1), ctask_py.PyLong_Type) &&
		    ctask_frame_is(ctask_py.PyTuple_GetItem(rest, at), outer))
			return true;
	return false;
}

/* Frames of the stack up to @p end: the innermost that is a signal handler's; -1 when there is none. */
static int find_signal_handler(const struct asking *a, int end)
{
	for (int i = 0; i < end; i++)
		if (facts_at(a, i)->may_handle_signal && handles_signal(a, i))
			return i;
	return -1;
}

/* The frame of @p coro on this thread's stack; its count when it is not there. */
static int find_coro(const struct asking *a, const struct py_object *coro)
{
	for (int i = 0; i < a->stack.count; i++)
		if (coro && a->stack.seen[i].gen == coro)
			return i;
	return a->stack.count;
}

static void name_frame(struct asking *a, int i)
{
	a->record.requester_word = facts_at(a, i)->name;
}

/* The function that the loop called: the outermost frame inside of what runs the loop. */
static void take_callback(struct asking *a, int end)
{
	int i = end;

	while (i > 0 && is_boundary(facts_at(a, i - 1)))
		i--;
	a->record.requester_kind = CTASK_REQUESTER_CALLBACK;
	if (i > 0) {
		name_frame(a, i - 1);
		return;
	}
	if (end > 0 && a->stack.count) { /* Handle._run calls a C function */
		struct py_object *handle = ctask_frame_local(a->stack.seen[0].frame, 0);
		struct py_object *callback = handle ? ctask_python_attr(handle, "_callback") : NULL;

		if (callback) {
			name_of_callable(callback, a->callback_name, sizeof(a->callback_name));
			ctask_py.Py_DecRef(callback);
		}
	}
	if (!a->callback_name[0])
		memcpy(a->callback_name, "Task.cancel", sizeof("Task.cancel"));
	a->requester_name = plain_text(a->callback_name);
}

static void take_thread(struct asking *a)
{
	a->record.requester_kind = CTASK_REQUESTER_THREAD;
	ctask_loops_thread_name(a->callback_name, sizeof(a->callback_name));
	a->requester_name = plain_text(a->callback_name);
}

static void take_requester(struct asking *a)
{
	struct py_object *coro;
	int end, handler;

	a->task = ctask_task_now(&a->loop);
	coro = a->task ? ctask_task_coro(a->task) : NULL;
	end = a->task ? find_coro(a, coro) : a->loop ? ctask_loops_base(&a->stack) : a->stack.count;
	handler = find_signal_handler(a, end);
	if (handler >= 0) {
		a->record.requester_kind = CTASK_REQUESTER_SIGNAL;
		name_frame(a, handler);
	} else if (a->task) {
		a->record.requester_kind = CTASK_REQUESTER_TASK;
		a->record.requester = (uint64_t)(uintptr_t)a->task;
		a->requester_name =
			ctask_task_name(a->task, a->requester_copy, sizeof(a->requester_copy));
		a->record.requester_coroutine = ctask_stack_coroutine(coro);
	} else if (a->loop) {
		take_callback(a, end);
	} else if (ctask_loops_elsewhere(ctask_task_loop(a->target))) {
		take_thread(a);
	} else {
		a->record.requester_kind = CTASK_REQUESTER_RUNNER;
		if (a->stack.count)
			name_frame(a, 0);
	}
}

/* --- the origin --- */

static void take_scope(struct asking *a, enum ctask_through through, const void *scope)
{
	if (a->record.through != CTASK_THROUGH_NONE && a->record.through != CTASK_THROUGH_GATHER)
		return;
	a->record.through = (uint8_t)through;
	a->record.scope = (uint64_t)(uintptr_t)scope;
}

/* The value of @p local in frame @p i, borrowed from it. */
static struct py_object *value_in(const struct asking *a, int i, const struct ctask_local *local)
{
	struct py_object *value = ctask_frame_value(a->stack.seen[i].frame, local);

	if (value)
		ctask_py.Py_DecRef(value);
	return value == ctask_py.none ? NULL : value;
}

static double rounded(double delay)
{
	double steps = delay * DELAY_STEPS + (delay < 0 ? -0.5 : 0.5);

	return (double)(int64_t)steps / DELAY_STEPS;
}

static void take_times(struct asking *a, int i)
{
	const struct ctask_code_facts *facts = facts_at(a, i);
	double delay = ctask_python_seconds(value_in(a, i, &facts->delay));
	double when = ctask_python_seconds(value_in(a, i, &facts->when));
	double since = NAN;

	/* Only of what has a deadline it is known that it was noted when it was entered, at this address. */
	if (facts->row->delay || facts->row->when)
		since = entered_at((void *)(uintptr_t)a->record.scope); /* NOLINT */
	if (isnan(delay) && !isnan(when) && !isnan(since) && fabs(when - since) < CLOCK_FAR)
		delay = rounded(when - since);
	if (isnan(since) && !isnan(delay) && !isnan(when) && fabs(a->now - when) < CLOCK_FAR)
		since = when - delay;
	if (!isnan(delay) && delay <= 0 && isnan(since))
		since = a->now; /* it did not wait at all */
	if (isnan(a->record.delay_s))
		a->record.delay_s = delay;
	if (isnan(a->record.elapsed_s) && !isnan(since))
		a->record.elapsed_s = a->now - since;
}

/* A wait_for that is built on a timeout: the frame of the target that holds it. */
static void look_for_wait_for(struct asking *a)
{
	const void *timeout = (void *)(uintptr_t)a->record.scope; /* NOLINT */
	const struct ctask_stack_seen *chain = &a->chain;

	for (int i = 0; i < chain->count; i++) {
		const struct ctask_code_facts *facts = chain->facts[i];
		double delay;

		if (!facts->is_wait_for || !ctask_frame_holds(&chain->seen[i], facts, timeout))
			continue;
		a->record.through = CTASK_THROUGH_WAIT_FOR;
		delay = ctask_python_seconds(
			ctask_frame_local(chain->seen[i].frame, facts->delay.slot));
		if (!isnan(delay))
			a->record.delay_s = delay;
		return;
	}
}

/* A frame of asyncio's wait_for, of a task that passes a request on. */
static void take_wait_for(struct asking *a, const struct ctask_seen *seen,
			  const struct ctask_code_facts *facts)
{
	if (!facts->is_wait_for)
		return;
	a->record.through = CTASK_THROUGH_WAIT_FOR;
	a->record.scope = (uint64_t)(uintptr_t)seen->gen;
	a->record.delay_s = ctask_python_seconds(ctask_frame_local(seen->frame, facts->delay.slot));
}

/* Made inside another cancel(): the request is passed on, by whatever lies between the two calls. */
static void classify_passed_on(struct asking *a, const struct under_way *outer)
{
	struct ctask_record *cause;

	for (int i = 0; i < a->stack.count && a->stack.seen[i].frame != outer->frame; i++) {
		const struct ctask_origin_row *row = facts_at(a, i)->row;

		if (row && row->role == CTASK_ROLE_PASSES && row->through &&
		    ctask_stack_self_is(&a->stack.seen[i], row->self))
			take_scope(a, row->through, value_in(a, i, &facts_at(a, i)->scope));
	}
	a->record.origin = CTASK_ORIGIN_OWNER_CANCELLED;
	a->record.cause = outer->id;
	if (a->record.through == CTASK_THROUGH_NONE) {
		struct ctask_stack_seen chain;

		ctask_stack_of_task(&chain, outer->target);
		a->record.through = CTASK_THROUGH_AWAIT;
		a->record.scope = (uint64_t)(uintptr_t)outer->target;
		if (chain.count)
			take_wait_for(a, &chain.seen[0], chain.facts[0]);
	}
	ctask_lock();
	cause = ctask_record_at(outer->id);
	if (cause) {
		a->record.requester_kind = cause->requester_kind;
		a->record.requester = cause->requester;
		a->record.requester_word = cause->requester_word;
		a->record.requester_coroutine = cause->requester_coroutine;
		a->record.requester_name = cause->requester_name;
		a->record.root = cause->root;
	}
	ctask_unlock();
}

/* The failure on which a runner ends: it is passing through one of the frames round frame @p i. */
static struct py_object *failure_through(struct asking *a, int i, bool *ret_runs_target)
{
	struct py_object *type, *value, *traceback, *ours = NULL, *way;
	const void *coro = ctask_task_coro(a->target);

	ctask_py.PyErr_GetExcInfo(&type, &value, &traceback);
	way = py_isinstance(value, ctask_py.base_exception)
		      ? ctask_py.PyException_GetTraceback(value)
		      : NULL;
	*ret_runs_target = false;
	for (int end = i + RUNNER_FRAMES; i < end && i < a->stack.count; i++) {
		const struct ctask_code_facts *facts = facts_at(a, i);

		if (!facts->row && !facts->library)
			break; /* what is being handled out there has nothing to do with it */
		if (way && ctask_frame_is(py_pointer(way, TRACEBACK_FRAME), a->stack.seen[i].frame))
			ours = value;
		if (value && facts->exception.slot >= 0 &&
		    value_in(a, i, &facts->exception) == value)
			ours = value;
		if (facts->main.slot >= 0 && coro && value_in(a, i, &facts->main) == coro)
			*ret_runs_target = true;
	}
	if (way)
		ctask_py.Py_DecRef(way);
	if (traceback)
		ctask_py.Py_DecRef(traceback);
	if (type)
		ctask_py.Py_DecRef(type);
	if (value)
		ctask_py.Py_DecRef(value); /* being handled: it stays */
	return ours;
}

/* What frame @p i is of. */
static void take_construct(struct asking *a, int i)
{
	const struct ctask_code_facts *facts = facts_at(a, i);

	if (facts->row->through)
		take_scope(a, facts->row->through, value_in(a, i, &facts->scope));
	take_times(a, i);
}

static void decide_runner(struct asking *a, int i)
{
	const struct ctask_origin_row *row = facts_at(a, i)->row;
	bool runs_target;
	struct py_object *failure = failure_through(a, i, &runs_target);

	a->record.origin = (uint8_t)row->origin;
	take_construct(a, i);
	if (py_isinstance(failure, ctask_py.keyboard_interrupt) && runs_target)
		a->record.origin = CTASK_ORIGIN_INTERRUPT;
	if (!ctask_is_cancelled_error(failure)) /* which is no failure */
		take_exception(a, failure, NULL);
}

/* Frame @p i decides; but for an owner that was cancelled, if its row allows for that. */
static void decide(struct asking *a, int i, bool passed)
{
	const struct ctask_code_facts *facts = facts_at(a, i);
	struct py_object *exception = value_in(a, i, &facts->exception);
	struct py_object *failed = value_in(a, i, &facts->failed);
	bool group_exit = facts->is_group_exit;

	a->record.origin = (uint8_t)facts->row->origin;
	if (facts->row->role == CTASK_ROLE_DECIDES_OR_OWNER) {
		bool owner_cancelled =
			ctask_is_cancelled_error(exception) ||
			ctask_is_cancelled_error(ctask_gen_exception(a->stack.seen[i].gen)) ||
			/* It only renews the request of its owner, whom it asked to stop itself meanwhile. */
			(group_exit && !passed && a->task == a->target);
		/* The CancelledError of a body may be one of a task that it waited for: then it has failed of that. */
		bool was_asked = !group_exit || (a->task && (ctask_task_is_cancelling(a->task) ||
							     ctask_requests_newest(a->task)));

		if (owner_cancelled && was_asked) {
			a->record.origin = CTASK_ORIGIN_OWNER_CANCELLED;
			if (a->record.through == CTASK_THROUGH_NONE)
				take_construct(a, i);
			if (group_exit && a->task == a->target)
				a->record.cause = ctask_requests_newest(a->target);
			return;
		}
		if (!failed)
			failed = a->task;
	}
	take_construct(a, i);
	if (exception)
		take_exception(a, exception, failed);
}

/* A cancel() of a subclass, or of tasks written in Python, on its way to the one that was hooked. */
static bool is_own_cancel(const struct asking *a, int i)
{
	return facts_at(a, i)->is_cancel &&
	       ctask_frame_local(a->stack.seen[i].frame, 0) == a->target;
}

/* The object of the method that made the call; NULL when it was none. */
static const void *object_that_asked(const struct asking *a)
{
	for (int i = 0; i < a->stack.count && i < ROLES_MAX; i++)
		if (!is_own_cancel(a, i))
			return facts_at(a, i)->arguments
				       ? ctask_frame_local(a->stack.seen[i].frame, 0)
				       : NULL;
	return NULL;
}

/*
 * The construct asked the task that is inside of its block, and will take the request back
 * without a word: timeouts of other libraries and of the program, groups of 3.11 and 3.12. asyncio's own
 * timeouts call uncancel().
 */
static void take_block(struct asking *a, const struct ctask_code_facts *decided, bool passed)
{
	const struct ctask_origin_row *row = decided ? decided->row : NULL;
	const void *construct = (const void *)(uintptr_t)a->record.scope; /* NOLINT */

	if (a->record.origin == CTASK_ORIGIN_OWNER_CANCELLED)
		return;
	if (a->record.through == CTASK_THROUGH_TASK_GROUP ? passed
	    : a->record.through == CTASK_THROUGH_TIMEOUT  ? decided && decided->library
							  : a->record.through != CTASK_THROUGH_NONE)
		return;
	if (a->record.through == CTASK_THROUGH_NONE)
		construct = object_that_asked(a);
	if (!construct || !ctask_stack_is_inside(&a->chain, construct))
		return;
	a->block.construct = construct;
	if (!row)
		return;
	if (row->fired)
		a->block.fired = row->fired;
	else if (decided->when.slot >= 0 && decided->when.attribute[0])
		a->block.when = decided->when.attribute;
	if (a->block.when)
		a->block.when_s = ctask_python_seconds(
			ctask_python_lend((struct py_object *)(uintptr_t)construct, a->block.when));
}

static void classify(struct asking *a)
{
	enum ctask_origin otherwise = CTASK_ORIGIN_EXPLICIT;
	bool passed = false;
	int i;

	for (i = 0; i < a->stack.count && i < ROLES_MAX; i++) {
		const struct ctask_code_facts *facts = facts_at(a, i);
		const struct ctask_origin_row *row = facts->row;

		if (is_own_cancel(a, i))
			continue;
		if (row && !ctask_stack_self_is(&a->stack.seen[i], row->self))
			row = NULL;
		if (!row) {
			if (facts->library && !passed)
				otherwise = CTASK_ORIGIN_UNKNOWN;
			break;
		}
		if (row->role == CTASK_ROLE_BOUNDARY)
			break;
		if (row->role == CTASK_ROLE_PASSES) {
			if (row->origin != CTASK_ORIGIN_UNKNOWN)
				otherwise = row->origin;
			take_construct(a, i);
			passed = true;
			continue;
		}
		if (row->role == CTASK_ROLE_RUNNER)
			decide_runner(a, i);
		else
			decide(a, i, passed);
		break;
	}
	if (a->record.origin == CTASK_ORIGIN_UNKNOWN)
		a->record.origin = (uint8_t)otherwise;
	if (a->record.origin == CTASK_ORIGIN_TIMEOUT && a->record.through == CTASK_THROUGH_TIMEOUT)
		look_for_wait_for(a);
	take_block(a, i < a->stack.count ? facts_at(a, i) : NULL, passed);
}

/* The request that the asking task is unwinding from. */
static void take_cause(struct asking *a)
{
	struct ctask_record *cause;
	int end;

	if (a->record.cause || (!ctask_requests_tasks && !ctask_level_tasks) ||
	    a->record.requester_kind != CTASK_REQUESTER_TASK)
		goto root;
	end = find_coro(a, ctask_task_coro(a->task));
	for (int i = 0; i <= end && i < a->stack.count; i++)
		if (a->stack.seen[i].gen &&
		    ctask_stems_from_cancel(ctask_gen_exception(a->stack.seen[i].gen))) {
			a->record.cause = ctask_requests_cause(a->task);
			if (!a->record.cause)
				a->record.cause = ctask_level_raised_last(a->task);
			break;
		}
root:
	if (!a->record.cause || a->record.root)
		return;
	ctask_lock();
	cause = ctask_record_at(a->record.cause);
	a->record.root = cause ? cause->root : a->record.cause;
	ctask_unlock();
}

/* --- from what is known to a record --- */

static uint64_t put_text(const struct ctask_text_bytes *text)
{
	return ctask_side_once(text->bytes, text->len, text->cut ? "\xe2\x80\xa6" : "");
}

static void put_texts(struct asking *a, const uint32_t *target_stack, int target_count)
{
	struct ctask_record *r = &a->record;

	r->target_name = put_text(&a->target_name);
	if (a->requester_name.len)
		r->requester_name = put_text(&a->requester_name);
	if (r->failed_task)
		r->failed_task_name = put_text(&a->failed_name);
	if (a->has_exception_message) {
		struct ctask_text_bytes message = plain_text(a->exception_message);

		r->exception_message = put_text(&message);
	}
	r->target_stack =
		ctask_side_once(target_stack, (size_t)target_count * sizeof(*target_stack), "");
	r->stack = ctask_side_once(a->stack.places, (size_t)a->stack.count * sizeof(uint32_t), "");
}

static uint64_t put(struct asking *a, struct py_object *message)
{
	struct ctask_record *r = &a->record, *slot;
	const uint32_t *target_stack = a->chain.places;
	int target_count = a->chain.count;

	if (a->chain.running) { /* it asks itself, or something that it called does */
		int end = find_coro(a, ctask_task_coro(a->target));

		target_stack = a->stack.places;
		target_count = end < a->stack.count ? end + 1 : 0;
	}
	r->target_coroutine = ctask_stack_coroutine(ctask_task_coro(a->target));
	r->target_stack_cut = (uint16_t)a->chain.cut;
	r->stack_cut = (uint16_t)a->stack.cut;
	if (message)
		a->message = ctask_text_borrow(message, a->message_copy, sizeof(a->message_copy));

	ctask_lock();
	r->id = ctask_writer.header->last_id + 1;
	if (!r->root)
		r->root = r->id;
	put_texts(a, target_stack, target_count);
	if (message && py_isinstance(message, ctask_py.PyUnicode_Type))
		r->message = put_text(&a->message);
	slot = ctask_record_at(r->id > ctask_writer.header->record_room
				       ? r->id - ctask_writer.header->record_room
				       : 0);
	if (slot)
		ctask_requests_evict(slot);
	ctask_record_put(r);
	ctask_requests_add(a->target, r->id, &a->block);
	ctask_unlock();
	return r->id;
}

/*
 * The call that this one was made inside of, if it passes on what that one
 * asks: what the target of the outer one waits for is this one's target, or has a cancel() that leads here.
 * A signal handler or a finalizer may run in the middle of any call: what it asks is its own.
 */
static const struct under_way *call_round(const struct asking *a)
{
	for (uint32_t at = innermost; at; at = calls[at].outer) {
		const struct under_way *outer = &calls[at];
		bool passed = false;
		int end = 0;

		if (!outer->id)
			continue;
		for (; end < a->stack.count && a->stack.seen[end].frame != outer->frame; end++)
			passed |= facts_at(a, end)->is_cancel;
		if (end == a->stack.count)
			continue; /* of another greenlet: it is not on this stack */
		if (!passed && ctask_task_waits_for(outer->target) != a->target)
			return NULL;
		return find_signal_handler(a, end) < 0 ? outer : NULL;
	}
	return NULL;
}

/* @p a is large: only what is looked at is set. */
static void see_call(struct asking *a, struct py_object *target)
{
	const struct under_way *outer;

	a->record = (struct ctask_record){
		.time_us = ctask_now_us(),
		.target = (uint64_t)(uintptr_t)target,
		.delay_s = NAN,
		.elapsed_s = NAN,
		.thread = (uint32_t)ctask_loops_thread(),
	};
	a->target = target;
	a->task = a->loop = NULL;
	a->block = (struct ctask_block){ 0 };
	a->has_exception_message = false;
	a->now = ctask_monotonic();
	a->requester_name = (struct ctask_text_bytes){ 0 };
	a->exception_message[0] = a->callback_name[0] = '\0';

	a->target_name = ctask_task_name(a->target, a->target_copy, sizeof(a->target_copy));
	ctask_stack_of_thread(&a->stack);
	ctask_stack_of_task(&a->chain, a->target);
	outer = call_round(a);
	if (outer) {
		classify_passed_on(a, outer);
	} else {
		take_requester(a);
		classify(a);
		take_cause(a);
	}
}

/* The message of a request that is passed on is that of the one it stems from. */
static void take_message(struct asking *a)
{
	const struct ctask_record *cause;

	ctask_lock();
	cause = ctask_record_at(a->record.cause);
	a->record.message = cause ? cause->message : 0;
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
	a.record.stack_cut = (uint16_t)a.stack.cut;
	ctask_lock();
	put_texts(&a, NULL, 0);
	ctask_unlock();
	*record = a.record;
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
	ctask_lock();
	ctask_births_remove(task);
	ctask_unlock();
}
