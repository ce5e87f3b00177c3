/* scopes.c - the blocks that tasks are inside of: asyncio's, and those that nobody wrote. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "reader/scopes.h"

uint64_t ctask_scope_attr(struct ctask_walk *walk, uint64_t obj, const char *name)
{
	uint64_t value;

	if (!obj || ctask_attr(&walk->heap, obj, name, &value) ||
	    ctask_kind_of(&walk->heap, value) == CTASK_KIND_NONE)
		return 0;
	return value;
}

bool ctask_scope_is(struct ctask_walk *walk, uint64_t obj, const char *name)
{
	uint64_t value = ctask_scope_attr(walk, obj, name);
	int64_t number;

	return value && !ctask_int_value(&walk->heap, value, &number) && number;
}

/* Timeout._state is a member of an Enum: whether its value is one of @p values, NULL at the end. */
static bool has_state(struct ctask_walk *walk, uint64_t timeout, const char *const *values)
{
	struct ctask_heap *heap = &walk->heap;
	uint64_t state, value;

	if (ctask_attr(heap, timeout, "_state", &state) ||
	    ctask_attr(heap, state, "_value_", &value))
		return false;
	while (*values && !ctask_str_is(heap, value, *values))
		values++;
	return *values != NULL;
}

/*
 * asyncio.Timeout, async_timeout.Timeout, if @p task is inside of it: an
 * argument of a call lies on the value stack too. Others of that name have no
 * such attributes.
 */
static bool read_timeout(struct ctask_walk *walk, uint64_t obj, uint64_t task,
			 struct ctask_block *ret)
{
	static const char *const inside[] = { "active", "expiring", "ENTER", NULL };
	static const char *const expiring[] = { "expiring", NULL };
	struct ctask_heap *heap = &walk->heap;
	uint64_t when, entered_by;
	double at;

	if (ctask_attr(heap, obj, "_task", &entered_by) || entered_by != task ||
	    !has_state(walk, obj, inside) ||
	    (ctask_attr(heap, obj, "_when", &when) && ctask_attr(heap, obj, "_deadline", &when)))
		return false;
	*ret = (struct ctask_block){ .obj = obj,
				     .kind = CTASK_SCOPE_TIMEOUT,
				     .deadline_in_s = NAN };
	if (!ctask_number_value(heap, when, &at))
		ret->deadline_in_s = at - walk->now_s;
	ret->cancel_called = has_state(walk, obj, expiring);
	return true;
}

static bool read_group(struct ctask_walk *walk, uint64_t obj, struct ctask_block *ret)
{
	uint64_t parent;

	if (ctask_attr(&walk->heap, obj, "_parent_task", &parent))
		return false;
	*ret = (struct ctask_block){
		.obj = obj,
		.kind = CTASK_SCOPE_TASK_GROUP,
		.deadline_in_s = NAN,
		.cancel_called = ctask_scope_is(walk, obj, "_aborting"),
	};
	return true;
}

/* The same, if @p task is in the body of it. */
static bool read_own_group(struct ctask_walk *walk, uint64_t obj, uint64_t task,
			   struct ctask_block *ret)
{
	uint64_t parent;

	return !ctask_attr(&walk->heap, obj, "_parent_task", &parent) && parent == task &&
	       !ctask_scope_is(walk, obj, "_exiting") && read_group(walk, obj, ret);
}

const struct ctask_type *ctask_slot_object(struct ctask_walk *walk, uint64_t slot,
					   uint64_t *ret_obj)
{
	struct ctask_heap *heap = &walk->heap;
	const struct ctask_layout *l = &heap->layout;
	const struct ctask_type *type;
	uint64_t obj;

	if (ctask_heap_u64(heap, slot, &obj))
		return NULL;
	obj &= ~(uint64_t)l->ref_tag_mask;
	type = ctask_type_of(heap, obj);
	if (type && type->kind == CTASK_KIND_METHOD &&
	    !ctask_heap_u64(heap, obj + l->method_self, &obj))
		type = ctask_type_of(heap, obj);
	*ret_obj = obj;
	return type;
}

struct ctask_slots ctask_slots_of(struct ctask_walk *walk, const struct ctask_link *link)
{
	enum { SLOTS_MAX = 64 };
	int variables = ctask_code_slots(&walk->codes, walk->codes.codes[link->code]);
	struct ctask_slots slots = { 0 };

	if (variables < 0 || !link->stack_top)
		return slots;
	slots.at = link->locals + (uint64_t)variables * 8;
	slots.end = link->stack_top - 8ull * walk->heap.layout.awaited_slot;
	if (slots.end > slots.at && slots.end - slots.at > SLOTS_MAX * 8)
		slots.end = slots.at + SLOTS_MAX * 8;
	return slots;
}

/* For a block, its object or the bound __aexit__. */
static bool read_slot(struct ctask_walk *walk, uint64_t slot, uint64_t task,
		      struct ctask_block *ret)
{
	uint64_t obj;
	const struct ctask_type *type = ctask_slot_object(walk, slot, &obj);
	const char *name;

	if (!type)
		return false;
	name = ctask_type_short_name(type);
	if (!strcmp(name, "Timeout"))
		return read_timeout(walk, obj, task, ret);
	return !strcmp(name, "TaskGroup") && read_own_group(walk, obj, task, ret);
}

/* A group that its owner is leaving is off the value stack: it is `self` of its __aexit__. */
static bool read_exit(struct ctask_walk *walk, const struct ctask_link *link,
		      struct ctask_block *ret)
{
	const struct ctask_code *code = walk->codes.codes[link->code];
	uint64_t self;

	if (!code->module || strcmp(code->module, "taskgroups.py") ||
	    strcmp(code->plain_name, "__aexit__") ||
	    ctask_link_local(&walk->codes, link, "self", &self) || !read_group(walk, self, ret))
		return false;
	ret->is_left = true;
	return true;
}

uint32_t ctask_blocks_of(struct ctask_walk *walk, uint64_t task, const struct ctask_link *link,
			 struct ctask_block *blocks)
{
	struct ctask_slots slots = ctask_slots_of(walk, link);
	uint32_t count;

	if (!link->stack_top)
		return 0;
	count = read_exit(walk, link, &blocks[0]);
	for (; slots.at < slots.end && count < CTASK_BLOCKS_MAX; slots.at += 8) {
		/* From 3.14 on a block has two slots; they show the same object once. */
		if (read_slot(walk, slots.at, task, &blocks[count]) &&
		    (!count || blocks[count].obj != blocks[count - 1].obj))
			count++;
	}
	return count;
}

/* anyio on trio has a CancelScope round that of trio. */
static int hide(struct ctask_walk *walk, uint64_t cancel_scope)
{
	uint64_t original = ctask_scope_attr(walk, cancel_scope, "_CancelScope__original");

	if (original)
		cancel_scope = original;
	if (ctask_table_get(&walk->scope_index, cancel_scope, CTASK_NONE) != CTASK_NONE)
		return 0;
	return ctask_table_put(&walk->scope_index, cancel_scope, CTASK_SCOPE_NOT_SHOWN);
}

int ctask_scopes_hide_library(struct ctask_walk *walk)
{
	const struct ctask_chain *chain = &walk->chain;
	int ret = 0;

	for (uint32_t i = 0; !ret && i < chain->count; i++) {
		const struct ctask_code *code = walk->codes.codes[chain->links[i].code];
		struct ctask_slots slots;
		uint64_t self, scope;

		if (!code->library)
			continue;
		slots = ctask_slots_of(walk, &chain->links[i]);
		for (uint64_t obj; !ret && slots.at < slots.end; slots.at += 8) {
			const struct ctask_type *type = ctask_slot_object(walk, slots.at, &obj);

			if (type && !strcmp(ctask_type_short_name(type), "CancelScope"))
				ret = hide(walk, obj);
		}
		/* From anyio 4.14 on a child has one; of one that runs no value stack can be read. */
		if (!ret && !strcmp(code->module, "anyio/_core/_tasks.py") &&
		    !ctask_link_local(&walk->codes, &chain->links[i], "self", &self) &&
		    (scope = ctask_scope_attr(walk, self, "_cancel_scope")))
			ret = hide(walk, scope);
	}
	return ret;
}

int ctask_scopes_limit_wait(struct ctask_walk *walk, uint32_t index, double deadline_in_s)
{
	struct ctask_task *task = &walk->snap->tasks[index];

	if (task->state != CTASK_WAITING || isnan(deadline_in_s) ||
	    task->wait_left_s <= deadline_in_s)
		return 0;
	task->wait_left_s = deadline_in_s;
	task->wait_text = ctask_texts_format(walk->snap->texts, "%s, deadline",
					     task->wait_text ? task->wait_text : "");
	return task->wait_text ? 0 : -ENOMEM;
}

/* The scope of this object, made when it is new. */
static int find_scope(struct ctask_walk *walk, const struct ctask_block *block, uint32_t *ret)
{
	struct ctask_snapshot *snap = walk->snap;

	*ret = ctask_table_get(&walk->scope_index, block->obj, CTASK_NONE);
	if (*ret != CTASK_NONE)
		return 0;
	*ret = ctask_snapshot_add_scope(snap);
	if (*ret == CTASK_NONE)
		return -ENOMEM;
	snap->scopes[*ret].id = block->obj;
	snap->scopes[*ret].kind = (uint8_t)block->kind;
	snap->scopes[*ret].deadline_in_s = block->deadline_in_s;
	snap->scopes[*ret].cancel_called = block->cancel_called;
	return ctask_table_put(&walk->scope_index, block->obj, *ret);
}

/* The task at hand is inside of @p scope, right inside of *outer. */
static void enter(struct ctask_walk *walk, uint32_t owner, uint32_t scope, uint32_t *outer)
{
	struct ctask_scope *scopes = walk->snap->scopes;

	if (scope >= walk->snap->scope_count || scopes[scope].owner != CTASK_NONE)
		return; /* entered before, further out */
	scopes[scope].owner = owner;
	scopes[scope].parent = *outer;
	*outer = scope;
}

static int enter_block(struct ctask_walk *walk, uint32_t owner, const struct ctask_block *block,
		       uint32_t *outer)
{
	struct ctask_task *task = &walk->snap->tasks[owner];
	uint32_t scope;
	int ret = find_scope(walk, block, &scope);

	if (ret)
		return ret;
	walk->in_blocks = true;
	/* Asked to stop while it leaves a group: it waits for the children to end. */
	if (walk->snap->scopes[scope].owner == CTASK_NONE && block->is_left &&
	    block->cancel_called && task->cancel_requests > 0)
		task->cancel_handled = true;
	enter(walk, owner, scope, outer);
	return 0;
}

int ctask_scopes_read(struct ctask_walk *walk, uint32_t owner)
{
	const struct ctask_chain *chain = &walk->chain;
	const uint64_t task = walk->snap->tasks[owner].id;
	uint32_t outer = CTASK_NONE, scope;
	int ret = 0;

	walk->in_blocks = false;
	for (uint32_t i = 0; !ret && i < chain->count; i++) {
		const struct ctask_link *link = &chain->links[i];
		struct ctask_slots slots = ctask_slots_of(walk, link);
		struct ctask_block block;

		if (!link->stack_top)
			continue;
		if (read_exit(walk, link, &block))
			ret = enter_block(walk, owner, &block, &outer);
		if (!ret)
			ret = ctask_anyio_find_exit(walk, link, &scope);
		if (!ret)
			enter(walk, owner, scope, &outer);
		for (; !ret && slots.at < slots.end; slots.at += 8) {
			if (read_slot(walk, slots.at, task, &block)) {
				ret = enter_block(walk, owner, &block, &outer);
				continue;
			}
			ret = ctask_anyio_find_slot(walk, slots.at, task, &scope);
			if (!ret)
				enter(walk, owner, scope, &outer);
		}
	}
	return ret;
}

int ctask_scopes_add_child(struct ctask_walk *walk, uint64_t group, uint32_t child)
{
	struct ctask_block block;
	uint32_t scope;
	int ret;

	if (!read_group(walk, group, &block))
		return 0;
	ret = find_scope(walk, &block, &scope);
	if (!ret)
		walk->snap->tasks[child].scope = scope;
	return ret;
}

int ctask_scopes_settle(struct ctask_walk *walk)
{
	struct ctask_snapshot *snap = walk->snap;

	for (uint32_t i = 0; i < snap->scope_count; i++) {
		struct ctask_scope *scope = &snap->scopes[i];
		uint64_t parent_task;
		uint32_t owner;

		/* The owner may be running: what its frame is inside of cannot be seen then. */
		if (scope->owner == CTASK_NONE && scope->kind == CTASK_SCOPE_TASK_GROUP &&
		    !ctask_attr(&walk->heap, scope->id, "_parent_task", &parent_task)) {
			owner = ctask_table_get(&walk->task_index, parent_task, CTASK_NONE);
			if (owner < snap->task_count)
				scope->owner = owner;
		}
		/* The outermost block of a task lies in the scope that has the task. */
		if (scope->parent == CTASK_NONE && scope->owner != CTASK_NONE)
			scope->parent = snap->tasks[scope->owner].scope;
	}
	return 0;
}
