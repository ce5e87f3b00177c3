/* trio_cancel.c - a scope's cancellation, and the tasks that it comes to cover: from what is known to records. */
#include "agent/trio_cancel.h"

#include <math.h>

#include "agent/code.h"
#include "agent/frames.h"
#include "agent/history.h"
#include "agent/level.h"
#include "agent/lock.h"
#include "agent/loops.h"
#include "agent/record.h"
#include "agent/stack.h"
#include "agent/tasks.h"
#include "agent/text.h"
#include "agent/trio.h"

enum {
	TEXT_MAX = 2048, /* bytes of a text that is made, or made over */
	ROLES_MAX = 16,	 /* frames of libraries between a scope's cancellation and who asked */
	OWNERS_MAX = 64, /* tasks between a scope's own and the one that is asked */
	DEPTH_MAX = 500, /* scopes in scopes */
	SCOPES_MAX = 8,	 /* cancelled scopes round a task that are looked at, from the outside in */
};

enum { GENERATED = 2 /* frames that attrs made, at the inner end, where a scope is entered */ };

/* A scope of trio's own, such as that of sleep(), is looked at more than once on its way: the last one. */
static const struct py_object *own_scope;

void ctask_trio_forget_scope(const struct py_object *scope)
{
	if (own_scope == scope)
		own_scope = NULL;
	ctask_level_call_forget(scope);
}

static uint64_t id_of(const void *object)
{
	return (uint64_t)(uintptr_t)object;
}

/* --- who cancels a scope, and why --- */

struct calling {
	struct ctask_level_call *call;
	struct ctask_stack_seen stack; /* of this thread */
	struct py_object *scope;
	struct py_object *host; /* who entered the scope; NULL: nobody has */
	struct py_object *task; /* that runs in this thread, or NULL */
	struct py_object *exception, *failed;
	struct py_object *message;
	bool explicitly; /* by a call of cancel() */
	int timer;	 /* the frame of the function that the run calls when a deadline is past */
	double now;
};

/* The name of a task's function. Up to 3.10 a coroutine that is done has no frame any more, but its code. */
static uint32_t coroutine_word(struct py_object *task)
{
	struct py_object *coro = ctask_trio_get(task, CTASK_TASK_CORO), *code;
	const struct ctask_code_facts *facts;

	if (!coro || ctask_gen_code(coro))
		return ctask_stack_coroutine(coro);
	code = ctask_python_lend(coro, "cr_code");
	if (!py_is(code, ctask_py.PyCode_Type))
		return 0;
	ctask_place_of(code, -1, &facts);
	return facts->name;
}

/* Called with a number and the frame that it interrupted, which is the one outside of it. */
static bool handles_signal(const struct ctask_stack_seen *stack, int i)
{
	const struct ctask_code_facts *facts = stack->facts[i];
	const char *outer = i + 1 < stack->count ? stack->seen[i + 1].frame : NULL;

	if (!facts->may_handle_signal)
		return false;
	for (int slot = 1; slot < facts->arguments; slot++)
		if (py_isinstance(ctask_frame_local(stack->seen[i].frame, slot - 1),
				  ctask_py.PyLong_Type) &&
		    ctask_frame_is(ctask_frame_local(stack->seen[i].frame, slot), outer))
			return true;
	return false;
}

/* The frame of @p task on the stack of this thread; its count where it is not there. */
static int find_task(const struct ctask_stack_seen *stack, struct py_object *task)
{
	const struct py_object *coro = ctask_trio_get(task, CTASK_TASK_CORO);

	for (int i = 0; i < stack->count; i++)
		if (coro && stack->seen[i].gen == coro)
			return i;
	return stack->count;
}

/* @p timer: the frame of what the run itself called, where there is no task. */
static void take_requester(struct ctask_record *record, const struct ctask_stack_seen *stack,
			   struct py_object *task, bool runs, int timer)
{
	int end = task ? find_task(stack, task) : stack->count;

	for (int i = 0; i < end; i++) {
		if (!handles_signal(stack, i))
			continue;
		record->requester_kind = CTASK_REQUESTER_SIGNAL;
		record->requester_word = stack->facts[i]->name;
		return;
	}
	if (task) {
		record->requester_kind = CTASK_REQUESTER_TASK;
		record->requester = id_of(task);
		record->requester_name = ctask_record_str(ctask_trio_get(task, CTASK_TASK_NAME));
		record->requester_coroutine = coroutine_word(task);
	} else {
		/* What runs tasks looks after deadlines too: it has no callbacks but those. */
		record->requester_kind = runs ? CTASK_REQUESTER_CALLBACK : CTASK_REQUESTER_RUNNER;
		if (timer < stack->count)
			record->requester_word = stack->facts[timer]->name;
	}
}

static struct py_object *value_in(const struct calling *c, int i, const struct ctask_local *local)
{
	struct py_object *value = ctask_frame_value(c->stack.seen[i].frame, local);

	if (value)
		ctask_py.Py_DecRef(value); /* the frame has it */
	return value == ctask_py.none ? NULL : value;
}

/* anyio's constructs are told as what they are: a group for its nursery, its scope for trio's. */
static void name_construct(struct ctask_record *record, const struct py_object *scope)
{
	enum ctask_through through = CTASK_THROUGH_NONE;
	const void *construct = ctask_level_construct(scope, &through);

	if (!construct ||
	    (through == CTASK_THROUGH_TASK_GROUP) != (record->through == CTASK_THROUGH_NURSERY))
		return;
	record->through = (uint8_t)through;
	record->scope = id_of(construct);
}

/* The nursery whose scope it is, or NULL. */
static struct py_object *nursery_of(const struct calling *c)
{
	return c->host ? ctask_trio_nursery(c->host, c->scope) : NULL;
}

static void take_scope(struct calling *c, enum ctask_through through)
{
	struct py_object *nursery = nursery_of(c);

	if (through == CTASK_THROUGH_RUNNER) {
		c->call->record.through = CTASK_THROUGH_RUNNER;
		return;
	}
	if (nursery && through == CTASK_THROUGH_NURSERY) {
		c->call->record.through = CTASK_THROUGH_NURSERY;
		c->call->record.scope = id_of(nursery);
	} else {
		c->call->record.through = CTASK_THROUGH_CANCEL_SCOPE;
		c->call->record.scope = id_of(c->scope);
	}
	name_construct(&c->call->record, c->scope);
}

static void take_times(struct calling *c)
{
	struct ctask_record *record = &c->call->record;
	struct py_object *when = ctask_trio_get(c->scope, CTASK_SCOPE_DEADLINE);
	bool entered = c->host != NULL;
	double since = entered ? ctask_level_entered_at(c->scope) : c->now, offset, delay;

	record->elapsed_s = c->now - since;
	if (!c->host && !c->task)
		return;
	offset = ctask_trio_clock_offset(c->host ? c->host : c->task);
	delay = (when ? ctask_python_seconds(when) : NAN) - offset - since;
	record->delay_s = ctask_record_delay(delay);
}

/* Frame @p i decides. */
static void decide(struct calling *c, int i)
{
	const struct ctask_code_facts *facts = c->stack.facts[i];
	struct ctask_record *record = &c->call->record;

	record->origin = (uint8_t)facts->row->origin;
	take_scope(c, facts->row->through);
	if (record->origin == CTASK_ORIGIN_TIMEOUT)
		take_times(c);
	c->timer = facts->row->self ? i : 0; /* else it is the loop itself */
	c->failed = value_in(c, i, &facts->failed);
	if (record->origin != CTASK_ORIGIN_OWNER_FAILED)
		return;
	c->failed = c->host;
	if (facts->row->role == CTASK_ROLE_DECIDES_OR_OWNER)
		c->call->leaves = c->host;
}

static void classify(struct calling *c)
{
	for (int i = 0; i < c->stack.count && i < ROLES_MAX; i++) {
		const struct ctask_code_facts *facts = c->stack.facts[i];
		const struct ctask_origin_row *row = facts->row;

		if (row && !ctask_stack_self_is(&c->stack.seen[i], row->self))
			row = NULL;
		if (!row || row->role == CTASK_ROLE_BOUNDARY)
			break;
		if (row->role != CTASK_ROLE_PASSES) {
			decide(c, i);
			return;
		}
		if (row->exception)
			c->exception = value_in(c, i, &facts->exception);
		if (facts->is_cancel) {
			c->explicitly = true;
			if (facts->arguments > 1)
				c->message = ctask_frame_local(c->stack.seen[i].frame, 1);
		}
	}
	c->call->record.origin = c->explicitly ? CTASK_ORIGIN_EXPLICIT : CTASK_ORIGIN_UNKNOWN;
	if (c->explicitly)
		take_scope(c, CTASK_THROUGH_NURSERY);
}

/* True when the code that runs now handles a Cancelled, or what was raised meanwhile. */
static bool unwinds(void)
{
	struct py_object *type, *value, *traceback;
	bool found;

	ctask_py.PyErr_GetExcInfo(&type, &value, &traceback);
	found = ctask_stems_from(value, ctask_trio_is_cancelled);
	if (type)
		ctask_py.Py_DecRef(type);
	if (value)
		ctask_py.Py_DecRef(value);
	if (traceback)
		ctask_py.Py_DecRef(traceback);
	return found;
}

/* The request that this one stems from. */
static uint64_t cause_of(const struct calling *c)
{
	struct py_object *runner = c->failed ? ctask_trio_get(c->failed, CTASK_TASK_RUNNER) : NULL;

	if (!ctask_level_tasks)
		return 0;
	if (runner && py_isinstance(c->exception, ctask_py.keyboard_interrupt))
		return ctask_level_find(c->failed, runner);
	return c->task && c->call->record.requester_kind == CTASK_REQUESTER_TASK && unwinds()
		       ? ctask_level_raised_last(c->task)
		       : 0;
}

static void put_exception(const struct calling *c)
{
	struct ctask_record *record = &c->call->record;
	char text[TEXT_MAX];
	const char *name, *dot;

	if (!py_isinstance(c->exception, ctask_py.base_exception))
		return;
	name = c->exception->type->name;
	dot = strrchr(name, '.');
	record->exception_type = ctask_word_of(dot ? dot + 1 : name);
	if (ctask_text_exception(c->exception, text, sizeof(text))) {
		ctask_lock();
		record->exception_message =
			ctask_record_text(&(struct ctask_text_bytes){ text, strlen(text), false });
		ctask_unlock();
	}
	if (c->failed) {
		record->failed_task = id_of(c->failed);
		record->failed_task_name =
			ctask_record_str(ctask_trio_get(c->failed, CTASK_TASK_NAME));
	}
}

static void see_call(struct calling *c)
{
	struct ctask_record *record = &c->call->record;
	bool runs;

	*record = (struct ctask_record){ .delay_s = NAN,
					 .elapsed_s = NAN,
					 .thread = (uint32_t)ctask_loops_thread() };
	c->now = ctask_monotonic();
	c->task = ctask_trio_task_now(&runs);
	c->exception = c->failed = c->message = NULL;
	c->timer = 0;
	ctask_stack_of_thread(&c->stack);
	classify(c);
	take_requester(record, &c->stack, c->task, runs, c->timer);
	record->cause = cause_of(c);
	record->root = record->cause ? ctask_record_root(record->cause) : 0;
	put_exception(c);
	record->message = c->message ? ctask_record_str(c->message) : 0;
	record->stack = ctask_record_places(c->stack.places, c->stack.count);
	record->stack_cut = (uint16_t)c->stack.cut;
}

/* --- scopes of trio's own --- */

/* The nursery that start() keeps a child in until it has started. */
static bool is_of_start(const struct ctask_stack_seen *stack, const struct py_object *nursery)
{
	for (int i = 0; i < stack->count; i++) {
		const struct ctask_code_facts *facts = stack->facts[i];
		struct py_object *kept = NULL;

		if (facts->row && facts->row->role == CTASK_ROLE_STARTS)
			kept = ctask_frame_value(stack->seen[i].frame, &facts->scope);
		if (kept)
			ctask_py.Py_DecRef(kept);
		if (kept == nursery)
			return true;
	}
	return false;
}

/* Whether it is trio that cancels what it has entered itself, or is about to: in this thread, now. */
static bool is_done_by_trio(void)
{
	const struct ctask_code_facts *facts;
	struct ctask_seen seen;
	bool more = ctask_frame_see(ctask_frame_now(), &seen);

	for (int i = 0; more && i < ROLES_MAX; i++) {
		ctask_place_of(seen.code, seen.lasti, &facts);
		if (!facts->row || facts->row->role == CTASK_ROLE_STARTS)
			return facts->library;
		if (facts->row->role != CTASK_ROLE_PASSES &&
		    facts->row->origin != CTASK_ORIGIN_TIMEOUT &&
		    facts->row->origin != CTASK_ORIGIN_OWNER_FAILED)
			return false;
		more = ctask_frame_outer(&seen, &seen);
	}
	return false;
}

/* What holds a nursery's scope on the stack of whoever opened it. */
static bool manages(struct py_object *object, const void *scope)
{
	return !strcmp(object->type->name, "NurseryManager") &&
	       (const void *)ctask_python_lend(object, "_scope") == scope;
}

/* Whether trio's own code, and nobody else's, entered the scope: that of sleep(), say. */
static bool is_own(struct py_object *host, struct py_object *scope)
{
	const struct py_object *nursery = ctask_trio_nursery(host, scope);
	enum ctask_through through;
	const void *construct = ctask_level_construct(scope, &through);
	struct ctask_stack_seen stack;
	bool running;

	ctask_stack_of_coro(&stack, ctask_trio_get(host, CTASK_TASK_CORO));
	running = stack.running;
	if (running && nursery)
		ctask_stack_of_thread(&stack);
	if (nursery && is_of_start(&stack, nursery))
		return true;
	if (running)
		return is_done_by_trio();
	for (int i = 0; i < stack.count; i++)
		if (stack.facts[i]->library && !stack.facts[i]->row &&
		    (ctask_frame_holds(&stack.seen[i], stack.facts[i], scope) ||
		     (nursery &&
		      ctask_frame_find(&stack.seen[i], stack.facts[i], manages, scope)) ||
		     (construct && ctask_frame_holds(&stack.seen[i], stack.facts[i], construct))))
			return true;
	return false;
}

/* Among the frames that enter a scope: one of anyio's, whose first variable is the construct. */
static const void *construct_entered(enum ctask_through *ret_through)
{
	const struct ctask_code_facts *facts;
	struct ctask_seen seen;
	bool more = ctask_frame_see(ctask_frame_now(), &seen);

	for (int i = 0; more && i < ROLES_MAX; i++) {
		ctask_place_of(seen.code, seen.lasti, &facts);
		if (facts->row && facts->row->role == CTASK_ROLE_ENTERS) {
			*ret_through = facts->row->through;
			return ctask_stack_self_is(&seen, facts->row->self)
				       ? ctask_frame_local(seen.frame, 0)
				       : NULL;
		}
		if (!facts->library && i >= GENERATED)
			return NULL;
		more = ctask_frame_outer(&seen, &seen);
	}
	return NULL;
}

void ctask_trio_entered(const struct py_object *scope)
{
	enum ctask_through through = CTASK_THROUGH_NONE;
	static struct ctask_import anyio = { .name = "anyio._backends._trio" };
	const void *construct = ctask_python_imported(&anyio) ? construct_entered(&through) : NULL;

	ctask_level_enter(scope, construct, through);
}

/* --- whom it covers --- */

/* What is known of the cancellation of @p scope, in which @p task stands. False where it is trio's own. */
static bool known_call(struct py_object *task, struct py_object *scope,
		       struct ctask_level_call *ret)
{
	struct ctask_level_call *found = ctask_level_call_of(scope);
	struct py_object *host;
	struct calling c;

	if (found) {
		*ret = *found;
		return true;
	}
	host = ctask_trio_host(task, scope);
	if (!host)
		return false;
	if (is_own(host, scope)) {
		own_scope = scope;
		return false;
	}
	*ret = (struct ctask_level_call){ .scope = scope };
	c.call = ret;
	c.scope = scope;
	c.host = host;
	c.explicitly = false;
	see_call(&c);
	ctask_level_call_put(ret);
	return true;
}

/* The frame that has the scope's block, as in a record. */
static uint32_t block_of(const struct ctask_stack_seen *stack, struct py_object *host,
			 const struct py_object *scope)
{
	const struct py_object *nursery = ctask_trio_nursery(host, scope);
	enum ctask_through through;
	const void *construct = ctask_level_construct(scope, &through);
	uint32_t found = ctask_stack_block(stack, construct ? construct : scope);

	for (int i = 0; i < stack->count && nursery && !found; i++) {
		struct py_object *self = stack->facts[i]->is_exit
						 ? ctask_frame_local(stack->seen[i].frame, 0)
						 : NULL;

		if ((self && manages(self, scope)) ||
		    ctask_frame_find(&stack->seen[i], stack->facts[i], manages, scope))
			found = (uint32_t)i + 1;
	}
	return found;
}

/* The place of a task: where it stands, or what it calls. */
static void take_target(struct ctask_record *record, struct py_object *task,
			const struct py_object *scope)
{
	struct py_object *coro = ctask_trio_get(task, CTASK_TASK_CORO);
	struct ctask_stack_seen stack;

	ctask_stack_of_coro(&stack, coro);
	record->scope_frame = ctask_trio_hold(task, scope) == CTASK_TRIO_ENTERED
				      ? block_of(&stack, task, scope)
				      : 0;
	if (stack.running) {
		ctask_stack_of_thread(&stack);
		stack.count = find_task(&stack, task);
		stack.count += stack.count < CTASK_STACK_FRAMES;
	}
	record->target = id_of(task);
	record->target_coroutine = coroutine_word(task);
	record->target_stack_cut = (uint16_t)stack.cut;
	record->target_name = ctask_record_str(ctask_trio_get(task, CTASK_TASK_NAME));
	record->target_stack = ctask_record_places(stack.places, stack.count);
}

/* It is asked because the owner of its nursery is. */
static void pass_on(struct ctask_record *record, struct py_object *task, uint64_t cause)
{
	struct py_object *nursery = ctask_trio_get(task, CTASK_TASK_NURSERY);

	ctask_record_pass_on(record, cause);
	record->through = CTASK_THROUGH_NURSERY;
	record->scope = id_of(nursery);
	name_construct(record, ctask_trio_get(nursery, CTASK_NURSERY_SCOPE));
}

static void record_task(struct py_object *task, const struct py_object *scope,
			const struct ctask_level_call *call)
{
	struct ctask_record record = call->record;
	struct py_object *owner = ctask_trio_owner(task);
	uint64_t cause;

	if (ctask_trio_hold(task, scope) == CTASK_TRIO_PASSED && owner) {
		cause = ctask_level_find(owner, scope);
		if (cause)
			pass_on(&record, task, cause);
	}
	if (record.scope ==
	    id_of(scope)) /* what it lies below was not known before it was entered */
		name_construct(&record, scope);
	take_target(&record, task, scope);
	ctask_record_append_level(&record, task, scope);
}

static bool is_asked(struct py_object *task, const struct ctask_level_call *call)
{
	return task == call->leaves || ctask_level_find(task, call->scope);
}

/*
 * The owners of its nurseries that are asked as well come first: theirs is the cause of its own.
 * False where the scope is trio's own.
 */
static bool cover_one(struct py_object *task, struct py_object *scope)
{
	struct py_object *tasks[OWNERS_MAX];
	struct ctask_level_call call;
	int count = 0;

	if (!known_call(task, scope, &call))
		return false;
	while (task && count < OWNERS_MAX && !is_asked(task, &call)) {
		tasks[count++] = task;
		if (ctask_trio_hold(task, scope) != CTASK_TRIO_PASSED)
			break;
		task = ctask_trio_owner(task);
		if (task && !ctask_trio_reaches(task, scope))
			break;
	}
	while (count)
		record_task(tasks[--count], scope, &call);
	return true;
}

/* The task that every run has besides those of the program, and the root of all. */
static bool is_of_trio(struct py_object *task)
{
	struct py_object *owner = ctask_trio_owner(task);
	struct py_object *code;
	const struct ctask_code_facts *facts;

	if (!owner)
		return true;
	if (ctask_trio_owner(owner))
		return false;
	code = ctask_gen_code(ctask_trio_get(task, CTASK_TASK_CORO));
	if (!code)
		return false;
	ctask_place_of(code, -1, &facts);
	return facts->row && facts->row->role == CTASK_ROLE_BOUNDARY;
}

/* The cancelled scopes that a task stands in, from the inside out: begin with its status. */
static struct py_object *next_cancelled(struct py_object **status)
{
	struct py_object *scope;

	for (int i = 0; *status && i < DEPTH_MAX; i++) {
		scope = ctask_trio_get(*status, CTASK_STATUS_SCOPE);
		*status = scope && !ctask_trio_is(scope, CTASK_SCOPE_SHIELD)
				  ? ctask_trio_get(*status, CTASK_STATUS_PARENT)
				  : NULL;
		if (scope && ctask_trio_is(scope, CTASK_SCOPE_CALLED))
			return scope;
	}
	return NULL;
}

/* Of the scopes that cover it the outermost asks: those inside have no say any more. */
void ctask_trio_cover_task(struct py_object *task)
{
	struct py_object *status = ctask_trio_get(task, CTASK_TASK_STATUS);
	struct py_object *scopes[SCOPES_MAX], *scope;
	int count = 0;

	while ((scope = next_cancelled(&status))) {
		if (count == SCOPES_MAX)
			memmove(scopes, scopes + 1, --count * sizeof(*scopes));
		scopes[count++] = scope;
	}
	while (count--) {
		if (scopes[count] == own_scope)
			continue;
		if (ctask_level_find(task, scopes[count]) || is_of_trio(task) ||
		    cover_one(task, scopes[count]))
			return;
	}
}

int ctask_trio_requests(struct py_object *task, uint64_t *ids, int room)
{
	struct py_object *status = ctask_trio_get(task, CTASK_TASK_STATUS), *scope;
	int count = 0;

	if (!ctask_level_tasks)
		return 0;
	while (count < room && (scope = next_cancelled(&status))) {
		ids[count] = ctask_level_find(task, scope);
		count += ids[count] != 0;
	}
	return count;
}

/* Each of the tasks that stand right in @p status, and in the scopes inside of it that are open to it. */
static void cover_from(struct py_object *status, int depth)
{
	struct py_object *tasks = ctask_trio_get(status, CTASK_STATUS_TASKS);
	struct py_object *inner = ctask_trio_get(status, CTASK_STATUS_CHILDREN);
	struct py_object *all, *one;

	all = py_is(tasks, ctask_py.PySet_Type) ? ctask_py.PyObject_GetIter(tasks) : NULL;
	while (all && (one = ctask_py.PyIter_Next(all))) {
		ctask_trio_cover_task(one);
		ctask_py.Py_DecRef(one);
	}
	if (all)
		ctask_py.Py_DecRef(all);
	all = depth < DEPTH_MAX && py_is(inner, ctask_py.PySet_Type)
		      ? ctask_py.PyObject_GetIter(inner)
		      : NULL;
	while (all && (one = ctask_py.PyIter_Next(all))) {
		struct py_object *scope = ctask_trio_get(one, CTASK_STATUS_SCOPE);

		if (scope && !ctask_trio_is(scope, CTASK_SCOPE_SHIELD))
			cover_from(one, depth + 1);
		ctask_py.Py_DecRef(one);
	}
	if (all)
		ctask_py.Py_DecRef(all);
	ctask_py.PyErr_Clear(); /* a set that changed meanwhile */
}

/* Some task inside of @p status, shielded or not; NULL when there is none. */
static struct py_object *somebody_in(struct py_object *status)
{
	struct py_object *found = NULL, *sets[2], *all;

	for (int depth = 0; status && depth < DEPTH_MAX; depth++) {
		sets[0] = ctask_trio_get(status, CTASK_STATUS_TASKS);
		sets[1] = ctask_trio_get(status, CTASK_STATUS_CHILDREN);
		for (int i = 0; i < 2 && !found; i++) {
			all = py_is(sets[i], ctask_py.PySet_Type)
				      ? ctask_py.PyObject_GetIter(sets[i])
				      : NULL;
			found = all ? ctask_py.PyIter_Next(all) : NULL;
			if (found)
				ctask_py.Py_DecRef(found); /* the set has it */
			if (all)
				ctask_py.Py_DecRef(all);
			if (found && i == 0)
				return found;
		}
		status = found;
		found = NULL;
	}
	return NULL;
}

void ctask_trio_cover(struct py_object *status)
{
	struct py_object *scope = ctask_trio_get(status, CTASK_STATUS_SCOPE), *somebody;
	struct ctask_level_call call;

	cover_from(status, 0);
	/* Whoever is shielded now may be asked later. */
	if (scope && scope != own_scope && ctask_trio_is(scope, CTASK_SCOPE_CALLED) &&
	    !ctask_level_call_of(scope)) {
		somebody = somebody_in(status);
		if (somebody)
			known_call(somebody, scope, &call);
	}
}

void ctask_trio_cancelled_early(struct py_object *scope, bool explicitly)
{
	struct ctask_level_call call = { .scope = scope };
	struct calling c;

	if (is_done_by_trio()) {
		ctask_trio_forget_scope(scope);
		own_scope = scope;
		return;
	}
	c.call = &call;
	c.scope = scope;
	c.host = NULL;
	c.explicitly = explicitly;
	see_call(&c);
	ctask_level_call_put(&call);
}

void ctask_trio_interrupted(struct py_object *runner)
{
	struct py_object *main_task = ctask_python_lend(runner, "main_task");
	struct ctask_record record = { .origin = CTASK_ORIGIN_INTERRUPT,
				       .through = CTASK_THROUGH_RUNNER,
				       .delay_s = NAN,
				       .elapsed_s = NAN,
				       .thread = (uint32_t)ctask_loops_thread() };
	struct ctask_stack_seen stack;
	bool runs;

	if (!main_task || ctask_python_lend(runner, "main_task_outcome") ||
	    ctask_level_find(main_task, runner))
		return;
	ctask_stack_of_thread(&stack);
	take_requester(&record, &stack, ctask_trio_task_now(&runs), runs, 0);
	record.stack = ctask_record_places(stack.places, stack.count);
	record.stack_cut = (uint16_t)stack.cut;
	take_target(&record, main_task, runner);
	ctask_record_append_level(&record, main_task, runner);
}
