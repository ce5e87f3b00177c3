/* classify.c - what a call of cancel() means. */
#include "model/classify.h"

#include <math.h>
#include <string.h>

enum {
	ROLES_MAX = 12,	    /* frames of libraries between a cancel() and who asked */
	RUNNER_FRAMES = 6,  /* frames of a runner round the one that stops what is left */
	ARGUMENTS_MAX = 16, /* of a signal handler */
};

/* A clock that the loop does not share with us shows in deadlines that lie this far off, seconds. */
#define CLOCK_FAR 86400.0

static const struct ctask_code_facts *facts_at(const struct ctask_asking *a, int i)
{
	return a->stack.facts[i];
}

static uint64_t value_in(struct ctask_asking *a, int i, const struct ctask_local *local)
{
	return local->slot < 0 ? 0 : a->evidence->value(a, i, local);
}

static uint64_t local_in(struct ctask_asking *a, int i, int slot)
{
	return a->evidence->local(a, i, slot);
}

static double seconds_in(struct ctask_asking *a, int i, const struct ctask_local *local)
{
	uint64_t value = value_in(a, i, local);

	return value ? a->evidence->seconds(a, value) : NAN;
}

static bool self_is(struct ctask_asking *a, int i, const char *type)
{
	return !type || a->evidence->self_is(a, i, type);
}

static bool is_a(struct ctask_asking *a, uint64_t object, enum ctask_sort sort)
{
	return object && a->evidence->is_a(a, object, sort);
}

static bool is_boundary(const struct ctask_code_facts *facts)
{
	return facts->row && facts->row->role == CTASK_ROLE_BOUNDARY;
}

/* --- who asked --- */

static bool handles_signal(struct ctask_asking *a, int i)
{
	const struct ctask_code_facts *facts = facts_at(a, i);
	uint64_t rest, number, interrupted;

	if (i + 1 >= a->stack.count)
		return false;
	for (int slot = 1; slot < facts->arguments && slot < ARGUMENTS_MAX; slot++)
		if (is_a(a, local_in(a, i, slot - 1), CTASK_SORT_INT) &&
		    a->evidence->is_frame(a, local_in(a, i, slot), i + 1))
			return true;
	if (!facts->takes_rest)
		return false;
	rest = local_in(a, i, facts->arguments + facts->keyword_arguments);
	for (int at = 1; at < ARGUMENTS_MAX && rest; at++) {
		if (!a->evidence->item(a, rest, at, &interrupted) ||
		    !a->evidence->item(a, rest, at - 1, &number))
			return false;
		if (is_a(a, number, CTASK_SORT_INT) && a->evidence->is_frame(a, interrupted, i + 1))
			return true;
	}
	return false;
}

int ctask_find_signal_handler(struct ctask_asking *a, int end)
{
	for (int i = 0; i < end; i++)
		if (facts_at(a, i)->may_handle_signal && handles_signal(a, i))
			return i;
	return -1;
}

static void name_frame(struct ctask_asking *a, int i)
{
	a->record.requester_word = facts_at(a, i)->name;
}

/* The function that the loop called: the outermost frame inside of what runs the loop. */
static void take_callback(struct ctask_asking *a)
{
	int i = a->end;

	while (i > 0 && is_boundary(facts_at(a, i - 1)))
		i--;
	a->record.requester_kind = CTASK_REQUESTER_CALLBACK;
	if (i > 0)
		name_frame(a, i - 1);
	else
		a->is_unnamed_callback = true; /* Handle._run calls a C function */
}

static void take_requester(struct ctask_asking *a)
{
	int handler = ctask_find_signal_handler(a, a->end);

	if (handler >= 0) {
		a->record.requester_kind = CTASK_REQUESTER_SIGNAL;
		name_frame(a, handler);
	} else if (a->task) {
		a->record.requester_kind = CTASK_REQUESTER_TASK;
		a->record.requester = a->task;
	} else if (a->loop) {
		take_callback(a);
	} else if (a->evidence->runs_elsewhere(a)) {
		a->record.requester_kind = CTASK_REQUESTER_THREAD;
	} else {
		a->record.requester_kind = CTASK_REQUESTER_RUNNER;
		if (a->stack.count)
			name_frame(a, 0);
	}
}

/* --- the origin --- */

static void take_exception(struct ctask_asking *a, uint64_t exception, uint64_t task)
{
	if (!is_a(a, exception, CTASK_SORT_EXCEPTION))
		return;
	a->exception = exception;
	a->record.failed_task = task;
}

static void take_scope(struct ctask_asking *a, enum ctask_through through, uint64_t scope)
{
	if (a->record.through != CTASK_THROUGH_NONE && a->record.through != CTASK_THROUGH_GATHER)
		return;
	a->record.through = (uint8_t)through;
	a->record.scope = scope;
}

static double rounded(const struct ctask_asking *a, double delay)
{
	double steps = delay * a->delay_steps + (delay < 0 ? -0.5 : 0.5);

	return (double)(int64_t)steps / a->delay_steps;
}

static bool is_near(double a, double b)
{
	return fabs(a - b) < CLOCK_FAR;
}

static void take_times(struct ctask_asking *a, int i)
{
	const struct ctask_code_facts *facts = facts_at(a, i);
	double delay = seconds_in(a, i, &facts->delay);
	double when = seconds_in(a, i, &facts->when);
	double since = NAN;

	/* Only of what has a deadline it is known that it was noted when it was entered, at this address. */
	if ((facts->row->delay || facts->row->when) && a->record.scope)
		since = a->evidence->entered_at(a, a->record.scope);
	if (isnan(delay) && !isnan(when) && !isnan(since) && is_near(when, since))
		delay = rounded(a, when - since);
	if (isnan(since) && !isnan(delay) && !isnan(when) && is_near(a->now, when))
		since = when - delay;
	if (!isnan(delay) && delay <= 0 && isnan(since))
		since = a->now; /* it did not wait at all */
	if (isnan(a->record.delay_s))
		a->record.delay_s = delay;
	if (isnan(a->record.elapsed_s) && !isnan(since))
		a->record.elapsed_s = a->now - since;
	a->when = when;
}

/* The frame of the target that is inside of the block of what asked: where a time limit is written. */
static void take_scope_frame(struct ctask_asking *a)
{
	for (int c = 0; c < a->chain.count && a->record.scope; c++) {
		if (!a->evidence->chain_holds(a, c, a->record.scope))
			continue;
		a->record.scope_frame = (uint32_t)c + 1;
		return;
	}
}

/* A wait_for that is built on a timeout: its frame is the one that holds it. */
static void look_for_wait_for(struct ctask_asking *a)
{
	int c = (int)a->record.scope_frame - 1;
	const struct ctask_code_facts *facts = c < 0 ? NULL : a->chain.facts[c];
	uint64_t number;
	double delay;

	if (!facts || !facts->is_wait_for)
		return;
	a->record.through = CTASK_THROUGH_WAIT_FOR;
	number = a->evidence->chain_local(a, c, facts->delay.slot);
	delay = number ? a->evidence->seconds(a, number) : NAN;
	if (isnan(delay))
		return;
	a->record.delay_s = delay;
	if (isnan(a->record.elapsed_s) && !isnan(a->when) && is_near(a->now, a->when))
		a->record.elapsed_s = a->now - a->when + delay;
}

void ctask_classify_passed_on(struct ctask_asking *a, const struct ctask_outer_call *outer)
{
	struct ctask_record cause;

	for (int i = 0; i < a->stack.count && i < outer->frames; i++) {
		const struct ctask_origin_row *row = facts_at(a, i)->row;

		if (row && row->role == CTASK_ROLE_PASSES && row->through &&
		    self_is(a, i, row->self))
			take_scope(a, row->through, value_in(a, i, &facts_at(a, i)->scope));
	}
	a->record.origin = CTASK_ORIGIN_OWNER_CANCELLED;
	a->record.cause = outer->id;
	if (a->record.through == CTASK_THROUGH_NONE) {
		a->record.through = CTASK_THROUGH_AWAIT;
		a->record.scope = outer->target;
		if (a->evidence->outer_wait_for(a, outer, &a->record.scope, &a->record.delay_s))
			a->record.through = CTASK_THROUGH_WAIT_FOR;
	}
	if (!a->evidence->record(a, outer->id, &cause))
		return;
	a->record.requester_kind = cause.requester_kind;
	a->record.requester = cause.requester;
	a->record.requester_word = cause.requester_word;
	a->record.requester_coroutine = cause.requester_coroutine;
	a->record.requester_name = cause.requester_name;
	a->record.root = cause.root;
}

/* The failure on which a runner ends: it is passing through one of the frames round frame @p i. */
static uint64_t failure_through(struct ctask_asking *a, int i, bool *ret_runs_target)
{
	uint64_t handled = a->evidence->handled(a), ours = 0;

	*ret_runs_target = false;
	for (int end = i + RUNNER_FRAMES; i < end && i < a->stack.count; i++) {
		const struct ctask_code_facts *facts = facts_at(a, i);
		uint64_t coro;

		if (!facts->row && !facts->library)
			break; /* what is being handled out there has nothing to do with it */
		if (handled && (a->evidence->came_through(a, handled, i) ||
				value_in(a, i, &facts->exception) == handled))
			ours = handled;
		coro = value_in(a, i, &facts->main);
		if (coro && coro == a->target_coro)
			*ret_runs_target = true;
	}
	return ours;
}

/* What frame @p i is of. */
static void take_construct(struct ctask_asking *a, int i)
{
	const struct ctask_code_facts *facts = facts_at(a, i);

	if (facts->row->through)
		take_scope(a, facts->row->through, value_in(a, i, &facts->scope));
	take_times(a, i);
}

static void decide_runner(struct ctask_asking *a, int i)
{
	const struct ctask_origin_row *row = facts_at(a, i)->row;
	bool runs_target;
	uint64_t failure = failure_through(a, i, &runs_target);

	a->record.origin = (uint8_t)row->origin;
	take_construct(a, i);
	if (runs_target && is_a(a, failure, CTASK_SORT_KEYBOARD_INTERRUPT))
		a->record.origin = CTASK_ORIGIN_INTERRUPT;
	if (!is_a(a, failure, CTASK_SORT_CANCELLED_ERROR)) /* which is no failure */
		take_exception(a, failure, 0);
}

/* Frame @p i decides; but for an owner that was cancelled, if its row allows for that. */
static void decide(struct ctask_asking *a, int i, bool passed)
{
	const struct ctask_code_facts *facts = facts_at(a, i);
	uint64_t exception = value_in(a, i, &facts->exception);
	uint64_t failed = value_in(a, i, &facts->failed);
	bool group_exit = facts->is_group_exit;

	a->record.origin = (uint8_t)facts->row->origin;
	if (facts->row->role == CTASK_ROLE_DECIDES_OR_OWNER) {
		bool owner_cancelled =
			is_a(a, exception, CTASK_SORT_CANCELLED_ERROR) ||
			is_a(a, a->evidence->exception(a, i), CTASK_SORT_CANCELLED_ERROR) ||
			/* It only renews the request of its owner, whom it asked to stop itself meanwhile. */
			(group_exit && !passed && a->task == a->target);
		/* The CancelledError of a body may be one of a task that it waited for: then it has failed of that. */
		bool was_asked =
			!group_exit || (a->task && (a->evidence->is_cancelling(a, a->task) ||
						    a->evidence->newest(a, a->task)));

		if (owner_cancelled && was_asked) {
			a->record.origin = CTASK_ORIGIN_OWNER_CANCELLED;
			if (a->record.through == CTASK_THROUGH_NONE)
				take_construct(a, i);
			if (group_exit && a->task == a->target)
				a->record.cause = a->evidence->newest(a, a->target);
			return;
		}
		if (!failed)
			failed = a->task;
	}
	take_construct(a, i);
	take_exception(a, exception, failed);
}

/* A cancel() of a subclass, or of tasks written in Python, on its way to the one that is watched. */
static bool is_own_cancel(struct ctask_asking *a, int i)
{
	return facts_at(a, i)->is_cancel && local_in(a, i, 0) == a->target;
}

/* The object of the method that made the call; 0 when it was none. */
static uint64_t object_that_asked(struct ctask_asking *a)
{
	for (int i = 0; i < a->stack.count && i < ROLES_MAX; i++)
		if (!is_own_cancel(a, i))
			return facts_at(a, i)->arguments ? local_in(a, i, 0) : 0;
	return 0;
}

/*
 * The construct asked the task that is inside of its block, and will take the request back
 * without a word: timeouts of other libraries and of the program, groups of 3.11 and 3.12. asyncio's own
 * timeouts call uncancel().
 */
static void take_block(struct ctask_asking *a, const struct ctask_code_facts *decided, bool passed)
{
	const struct ctask_origin_row *row = decided ? decided->row : NULL;
	uint64_t construct = a->record.scope;

	if (a->record.origin == CTASK_ORIGIN_OWNER_CANCELLED)
		return;
	if (a->record.through == CTASK_THROUGH_TASK_GROUP ? passed
	    : a->record.through == CTASK_THROUGH_TIMEOUT  ? decided && decided->library
							  : a->record.through != CTASK_THROUGH_NONE)
		return;
	if (a->record.through == CTASK_THROUGH_NONE)
		construct = object_that_asked(a);
	if (!construct || !a->evidence->is_inside(a, construct))
		return;
	a->block.construct = construct;
	if (!row)
		return;
	if (row->fired)
		a->block.fired = row->fired;
	else if (decided->when.slot >= 0 && decided->when.attribute[0])
		a->block.when = decided->when.attribute;
	if (a->block.when)
		a->block.when_s = a->evidence->seconds(a, a->evidence->attribute(a, construct,
										 a->block.when));
}

static void take_origin(struct ctask_asking *a)
{
	enum ctask_origin otherwise = CTASK_ORIGIN_EXPLICIT;
	bool passed = false;
	int i;

	for (i = 0; i < a->stack.count && i < ROLES_MAX; i++) {
		const struct ctask_code_facts *facts = facts_at(a, i);
		const struct ctask_origin_row *row = facts->row;

		if (is_own_cancel(a, i))
			continue;
		if (row && !self_is(a, i, row->self))
			row = NULL;
		if (!row) {
			if (facts->library && !passed)
				otherwise = CTASK_ORIGIN_UNKNOWN;
			break;
		}
		if (row->role == CTASK_ROLE_BOUNDARY)
			break;
		if (row->role == CTASK_ROLE_DELIVERS) {
			otherwise =
				CTASK_ORIGIN_UNKNOWN; /* who cancelled the scope, nobody has seen */
			break;
		}
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
	if (a->record.origin == CTASK_ORIGIN_TIMEOUT) {
		take_scope_frame(a);
		if (a->record.through == CTASK_THROUGH_TIMEOUT)
			look_for_wait_for(a);
	}
	take_block(a, i < a->stack.count ? facts_at(a, i) : NULL, passed);
}

/* The request that the asking task is unwinding from. */
static void take_cause(struct ctask_asking *a)
{
	struct ctask_record cause;

	if (!a->record.cause && a->record.requester_kind == CTASK_REQUESTER_TASK)
		for (int i = 0; i <= a->end && i < a->stack.count; i++)
			if (a->evidence->is_unwinding(a, i)) {
				a->record.cause = a->evidence->cause(a, a->task);
				break;
			}
	if (!a->record.cause || a->record.root)
		return;
	a->record.root =
		a->evidence->record(a, a->record.cause, &cause) ? cause.root : a->record.cause;
}

void ctask_classify(struct ctask_asking *a)
{
	a->when = NAN;
	take_requester(a);
	take_origin(a);
	take_cause(a);
}
