/* anyio.c - anyio on asyncio: its scopes ask tasks to stop by cancel(), again and again. */
#include "agent/anyio.h"

#include <math.h>

#include "agent/cancel.h"
#include "agent/frames.h"
#include "agent/function.h"
#include "agent/guest.h"
#include "agent/history.h"
#include "agent/level.h"
#include "agent/lock.h"
#include "agent/record.h"
#include "agent/slots.h"
#include "agent/stack.h"
#include "agent/tasks.h"
#include "agent/text.h"

/*
 * Who cancels a scope, and why, is seen when its cancel() is called: often it is but a callback of
 * a later turn of the loop that calls the tasks' own.
 */

enum {
	DEPTH_MAX = 1000, /* scopes round a task */
	ROLES_MAX = 8,	  /* frames of the library between a scope and who enters it */
	OWNERS_MAX = 64,  /* tasks between a scope's own and the one that is asked */
	TEXT_MAX = 2048,  /* bytes of a text that is made over */
	WAITING =
		1
		<< 14, /* groups whose owners wait for their children without being in their scope; a power of two */
};

#define BACKEND "anyio._backends._asyncio"
enum hooked { CANCEL, ENTER, EXIT, HOOKED };

static struct ctask_function functions[HOOKED];
static struct py_object *task_states; /* anyio's register: a WeakKeyDictionary */

static uint64_t id_of(const void *object)
{
	return (uint64_t)(uintptr_t)object;
}

static bool is_true(struct py_object *scope, const char *name)
{
	return ctask_python_lend(scope, name) == ctask_py.py_true;
}

/* --- who stands in what --- */

/* The innermost scope of @p task, or NULL. */
static struct py_object *scope_of(struct py_object *task)
{
	struct py_object *data = ctask_python_lend(task_states, "data");
	struct py_object *key, *state = NULL;

	if (!data || (task->type->getattro != (void *)ctask_py.PyObject_GenericGetAttr))
		return NULL;
	key = ctask_py.PyWeakref_NewRef(task, NULL);
	if (key) {
		state = ctask_py.PyDict_GetItemWithError(data, key);
		ctask_py.Py_DecRef(key);
	}
	ctask_py.PyErr_Clear();
	return state ? ctask_python_lend(state, "cancel_scope") : NULL;
}

static struct py_object *host_of(struct py_object *scope)
{
	return ctask_python_lend(scope, "_host_task");
}

static struct py_object *outside(struct py_object *scope)
{
	return ctask_python_lend(scope, "_parent_scope");
}

/* The scope of the group that @p task is a child of, or the scope @p until, if it entered that itself. */
static struct py_object *group_of(struct py_object *task, const struct py_object *until)
{
	struct py_object *scope = scope_of(task);

	for (int i = 0; scope && scope != until && host_of(scope) == task && i < DEPTH_MAX; i++)
		scope = outside(scope);
	return scope;
}

static bool reaches(struct py_object *task, const struct py_object *origin)
{
	struct py_object *scope = scope_of(task);

	for (int i = 0; scope && scope != origin && i < DEPTH_MAX; i++)
		scope = is_true(scope, "_shield") ? NULL : outside(scope);
	return scope == origin;
}

/* The open request of a scope that @p task stands in, or 0. */
static uint64_t request_to(struct py_object *task)
{
	struct py_object *scope = ctask_level_is_asked(task) ? scope_of(task) : NULL;
	uint64_t id = 0;

	for (int i = 0; scope && !id && i < DEPTH_MAX; i++) {
		id = ctask_level_find(task, scope);
		scope = is_true(scope, "_shield") ? NULL : outside(scope);
	}
	return id;
}

/* --- who cancels a scope, and why --- */

static void take_delay(struct ctask_record *record, struct py_object *scope)
{
	struct py_object *when = ctask_python_lend(scope, "_deadline");
	double since = ctask_level_entered_at(scope);

	record->elapsed_s = ctask_monotonic() - since;
	record->delay_s = ctask_record_delay((when ? ctask_python_seconds(when) : NAN) - since);
}

static void take_scope(struct ctask_record *record, struct py_object *scope)
{
	enum ctask_through through = CTASK_THROUGH_NONE;
	const void *construct = ctask_level_construct(scope, &through);

	if (construct && record->origin != CTASK_ORIGIN_TIMEOUT) {
		record->through = (uint8_t)through;
		record->scope = id_of(construct);
	} else {
		record->through = CTASK_THROUGH_CANCEL_SCOPE;
		record->scope = id_of(scope);
	}
}

static void see_call(struct py_object *scope, struct py_object *reason)
{
	struct py_object *host = host_of(scope), *loop;
	struct ctask_level_call call = { .scope = scope };

	if (!host)
		host = ctask_task_now(&loop);
	if (!host)
		return;
	ctask_cancel_sketch(host, &call.record);
	/* A child of anyio 2 that has not failed: what it runs is cancel() itself. */
	if (call.record.origin == CTASK_ORIGIN_SIBLING_FAILED && !call.record.exception_type)
		call.record.origin = CTASK_ORIGIN_EXPLICIT;
	take_scope(&call.record, scope);
	if (call.record.origin == CTASK_ORIGIN_TIMEOUT)
		take_delay(&call.record, scope);
	if (call.record.origin == CTASK_ORIGIN_OWNER_FAILED ||
	    call.record.origin == CTASK_ORIGIN_OWNER_CANCELLED)
		call.leaves = host_of(scope);
	if (call.record.origin == CTASK_ORIGIN_OWNER_CANCELLED && !call.record.cause)
		call.record.cause = ctask_level_raised_last(host);
	call.record.root = call.record.cause ? ctask_record_root(call.record.cause) : 0;
	if (reason && call.record.origin == CTASK_ORIGIN_EXPLICIT)
		call.record.message = ctask_record_str(reason);
	ctask_level_call_put(&call);
}

/* --- whom it asks --- */

static void take_target(struct ctask_record *record, struct py_object *task,
			struct py_object *scope)
{
	struct py_object *coro = ctask_task_coro(task);
	enum ctask_through through;
	const void *group = ctask_level_construct(scope, &through);
	struct ctask_text_bytes name;
	struct ctask_stack_seen stack;
	char copy[TEXT_MAX];

	ctask_stack_of_task(&stack, task);
	record->scope_frame =
		host_of(scope) == task ? ctask_stack_block(&stack, group ? group : scope) : 0;
	if (stack.running) {
		int end = 0;

		ctask_stack_of_thread(&stack);
		while (end < stack.count && stack.seen[end].gen != coro)
			end++;
		stack.count = end < stack.count ? end + 1 : 0;
	}
	name = ctask_task_name(task, copy, sizeof(copy));
	record->target = id_of(task);
	record->target_coroutine = ctask_stack_coroutine(coro);
	record->target_stack_cut = (uint16_t)stack.cut;
	record->target_stack = ctask_record_places(stack.places, stack.count);
	ctask_lock();
	record->target_name = ctask_record_text(&name);
	ctask_unlock();
}

static uint64_t record_task(struct py_object *task, struct py_object *scope,
			    const struct ctask_level_call *call)
{
	struct ctask_record record = call->record;
	struct py_object *group = group_of(task, scope);
	struct py_object *owner = group && group != scope ? host_of(group) : NULL;
	uint64_t cause = owner ? ctask_level_find(owner, scope) : 0;

	if (cause) {
		ctask_record_pass_on(&record, cause);
		take_scope(&record, group);
	}
	take_target(&record, task, scope);
	ctask_record_append_level(&record, task, scope);
	return record.id;
}

/* The owners of its groups that are asked as well come first: theirs is the cause of its own. */
static uint64_t ask(struct py_object *task, struct py_object *scope,
		    const struct ctask_level_call *call)
{
	struct py_object *tasks[OWNERS_MAX], *group;
	uint64_t id = 0;
	int count = 0;

	while (task && count < OWNERS_MAX && task != call->leaves && !request_to(task)) {
		tasks[count++] = task;
		group = group_of(task, scope);
		if (!group || group == scope)
			break;
		task = host_of(group);
		if (task && !reaches(task, scope))
			break;
	}
	while (count)
		id = record_task(tasks[--count], scope, call);
	return id;
}

static uint64_t deliver(struct py_object *task, struct py_object *scope)
{
	struct ctask_level_call *found = ctask_level_call_of(scope), call;
	uint64_t id = request_to(task);

	if (!id && ctask_level_owned(scope))
		return 0;
	if (!id && !found) { /* it was cancelled before it could be seen */
		see_call(scope, NULL);
		found = ctask_level_call_of(scope);
	}
	if (!id && found) {
		call = *found;
		id = ask(task, scope, &call);
	}
	if (id)
		ctask_level_raised(id);
	return id;
}

/* In anyio 2 each scope has those inside of it ask theirs: the outermost one was cancelled. */
static struct py_object *scope_that_asks(const struct ctask_seen *frame,
					 const struct ctask_code_facts *facts)
{
	struct ctask_seen seen = *frame;
	struct py_object *scope;
	bool more = true;

	if (facts->scope.slot >= 0)
		return ctask_frame_local(seen.frame, facts->scope.slot);
	for (int i = 0; more && i < DEPTH_MAX; i++) {
		scope = ctask_frame_local(seen.frame, 0);
		more = ctask_frame_outer(&seen, &seen) && seen.code == frame->code;
	}
	return scope;
}

bool ctask_anyio_asks(struct py_object *target, uint64_t *ret_id)
{
	const struct ctask_code_facts *facts;
	struct py_object *scope;
	struct ctask_seen seen;

	*ret_id = 0;
	if (!task_states || !ctask_frame_see(ctask_frame_now(), &seen))
		return false;
	ctask_place_of(seen.code, seen.lasti, &facts);
	if (!facts->row || facts->row->role != CTASK_ROLE_DELIVERS)
		return false;
	/* What that task waits for is asked by the task. */
	if (ctask_frame_local(seen.frame, facts->failed.slot) != target)
		return false;
	scope = scope_that_asks(&seen, facts);
	if (!scope)
		return false;
	*ret_id = deliver(target, scope);
	return true;
}

/*
 * Up to anyio 3 a group leaves its scope before it waits for its children: its owner is
 * not done with the request until then. A task waits in one exit at a time.
 */
static struct waiting {
	const void *task, *scope, *group;
} waiting[WAITING]; /* open addressing */
uint32_t ctask_anyio_waiting;

static struct waiting *waiting_slot(const void *task)
{
	return ctask_slots_find(waiting, sizeof(*waiting), WAITING, task);
}

static void leave(const void *task, const void *scope)
{
	ctask_level_absorb(task, scope);
	ctask_level_leave(scope);
	ctask_level_call_forget(scope);
}

static void leave_group(struct waiting *slot)
{
	leave(slot->task, slot->scope);
	ctask_slots_free(waiting, sizeof(*waiting), WAITING, slot);
	ctask_anyio_waiting--;
}

/* @p more: how many are among its tasks that are no children. */
static bool waits_for_children(struct py_object *scope, const void *task, int64_t more)
{
	struct py_object *tasks = ctask_python_lend(scope, "_tasks");
	enum ctask_through through;
	const void *group = ctask_level_construct(scope, &through);
	struct waiting *slot;

	if (!task || !group || !py_is(tasks, ctask_py.PySet_Type) ||
	    ctask_py.PySet_Size(tasks) <= more)
		return false;
	slot = waiting_slot(task);
	if (slot->task) { /* it came out of that exit in this step */
		leave_group(slot);
		slot = waiting_slot(task);
	}
	if (ctask_anyio_waiting >= WAITING / 2)
		return false;
	*slot = (struct waiting){ task, scope, group };
	ctask_anyio_waiting++;
	return true;
}

/* @p task has run: a group whose exit it is not in any more is left. */
static void settle_group(struct py_object *task)
{
	struct waiting *slot = waiting_slot(task);
	struct ctask_stack_seen chain;

	if (!slot->task)
		return;
	ctask_stack_of_task(&chain, task);
	if (!chain.cut && !ctask_stack_is_inside(&chain, slot->group))
		leave_group(slot);
}

void ctask_anyio_freed(const void *task)
{
	struct waiting *slot = waiting_slot(task);

	if (slot->task)
		leave_group(slot);
}

bool ctask_anyio_wrote(struct py_object *message)
{
	static const char *const begins[] = { "Cancelled via cancel scope ",
					      "Cancelled by cancel scope " };
	char text[sizeof("Cancelled via cancel scope ")];

	if (!task_states)
		return false;
	ctask_text_copy(message, text, sizeof(text));
	for (size_t i = 0; i < sizeof(begins) / sizeof(begins[0]); i++)
		if (!strncmp(text, begins[i], strlen(begins[i])))
			return true;
	return false;
}

void ctask_anyio_settle(struct py_object *task)
{
	struct py_object *type, *value, *traceback;
	enum ctask_ending ending;

	if (!ctask_level_is_asked(task) && !waiting_slot(task)->task)
		return;
	ctask_py.PyErr_Fetch(&type, &value, &traceback);
	ending = ctask_task_ending(task);
	settle_group(task);
	if (ending != CTASK_GOES_ON)
		ctask_level_finish(task, ctask_outcome_of(ending));
	ctask_py.PyErr_Restore(type, value, traceback);
}

/* --- hooks --- */

static struct py_object *self_of(struct py_object *const *args, size_t nargsf)
{
	return ctask_function_arguments(nargsf) && ctask_guest_ready() ? args[0] : NULL;
}

static struct py_object *call_cancel(struct py_object *callable, struct py_object *const *args,
				     size_t nargsf, struct py_object *kwnames)
{
	struct py_object *scope = self_of(args, nargsf), *type, *value, *traceback;
	bool has_reason = ctask_function_arguments(nargsf) > 1 || kwnames;

	(void)callable;
	if (scope) {
		ctask_py.PyErr_Fetch(&type, &value, &traceback);
		if (!is_true(scope, "_cancel_called"))
			see_call(scope, has_reason ? args[1] : NULL);
		ctask_py.PyErr_Restore(type, value, traceback);
	}
	return ctask_function_call(&functions[CANCEL], args, nargsf, kwnames);
}

/* The block of @p scope is entered: by whom, and as part of what, the frames tell. */
static void enter(struct py_object *scope)
{
	const struct ctask_code_facts *facts;
	enum ctask_through through = CTASK_THROUGH_NONE;
	const void *group = NULL;
	struct ctask_seen seen;
	bool own = false, more = ctask_frame_see(ctask_frame_now(), &seen);

	for (int i = 0; more && i < ROLES_MAX; i++) {
		ctask_place_of(seen.code, seen.lasti, &facts);
		own = !facts->row && facts->library;
		if (!facts->row || facts->row->role == CTASK_ROLE_BOUNDARY)
			break;
		if (facts->row->role == CTASK_ROLE_ENTERS) {
			through = facts->row->through;
			group = ctask_frame_local(seen.frame, 0);
		}
		more = ctask_frame_outer(&seen, &seen);
	}
	ctask_level_enter(scope, group, through);
	if (own)
		ctask_level_is_own(scope);
}

static struct py_object *call_enter(struct py_object *callable, struct py_object *const *args,
				    size_t nargsf, struct py_object *kwnames)
{
	struct py_object *scope = self_of(args, nargsf), *type, *value, *traceback;

	(void)callable;
	if (scope) {
		ctask_py.PyErr_Fetch(&type, &value, &traceback);
		enter(scope);
		if (!is_true(scope, "_cancel_called"))
			ctask_level_call_forget(scope);
		ctask_py.PyErr_Restore(type, value, traceback);
	}
	return ctask_function_call(&functions[ENTER], args, nargsf, kwnames);
}

static struct py_object *call_exit(struct py_object *callable, struct py_object *const *args,
				   size_t nargsf, struct py_object *kwnames)
{
	struct py_object *scope = self_of(args, nargsf), *type, *value, *traceback, *host, *result;

	(void)callable;
	if (!scope)
		return ctask_function_call(&functions[EXIT], args, nargsf, kwnames);
	ctask_py.PyErr_Fetch(&type, &value, &traceback);
	host = host_of(scope);
	ctask_py.PyErr_Restore(type, value, traceback);
	result = ctask_function_call(&functions[EXIT], args, nargsf, kwnames);
	ctask_py.PyErr_Fetch(&type, &value, &traceback);
	/* In anyio 2 that was but a coroutine, which runs now: its task still is in the scope. */
	if (!waits_for_children(scope, host, is_true(scope, "_active")))
		leave(host, scope);
	ctask_py.PyErr_Restore(type, value, traceback);
	return result;
}

static void hook(enum hooked which, struct py_object *type, const char *name, py_vectorcall call)
{
	if (!functions[which].function)
		ctask_function_hook(&functions[which], type, name, call, CTASK_CALLED_BY_PYTHON);
}

void ctask_anyio_look(void)
{
	static struct ctask_import backend = { .name = BACKEND };
	struct py_object *type, *value, *traceback, *scope_type;

	if (task_states || !ctask_python_imported(&backend))
		return;
	ctask_py.PyErr_Fetch(&type, &value, &traceback);
	scope_type = ctask_python_module_item(BACKEND, "CancelScope");
	task_states = ctask_python_module_item(BACKEND, "_task_states");
	if (task_states && scope_type) {
		ctask_py.Py_IncRef(task_states);
		hook(CANCEL, scope_type, "cancel", call_cancel);
		hook(ENTER, scope_type, "__enter__", call_enter);
		hook(EXIT, scope_type, "__exit__", call_exit);
		/* In anyio 2 all are coroutines, which run as soon as they are made. */
		hook(ENTER, scope_type, "__aenter__", call_enter);
		hook(EXIT, scope_type, "__aexit__", call_exit);
	} else {
		task_states = NULL; /* it is being imported now */
		backend = (struct ctask_import){ .name = BACKEND };
	}
	ctask_py.PyErr_Restore(type, value, traceback);
}
