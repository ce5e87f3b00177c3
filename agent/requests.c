/* requests.c - the requests whose outcome is not known yet, and how they end. */
#include "agent/requests.h"

#include <errno.h>
#include <sys/mman.h>

#include "agent/frames.h"
#include "agent/history.h"
#include "agent/lock.h"
#include "agent/slots.h"
#include "agent/stack.h"
#include "agent/tasks.h"

enum {
	SETTLED_AT_ONCE =
		64, /* older requests than this many newer ones keep their state until the end */
	BLOCKS_AT_ONCE = 16,
	LOOKED_THROUGH_MAX = 1024, /* requests of one task, for one that is taken back */
	MICRO = 1000000,
};

/* A task with open requests; the newest leads to the older ones. */
struct asked {
	struct py_object *task;
	uint64_t newest;
	uint64_t unseen; /* the oldest that the task has not seen, or 0 */
	uint64_t batch;	 /* the oldest of those that it saw last */
	uint32_t blocks; /* requests of blocks, open or not */
};

/* Beside each slot of the ring. */
struct link {
	uint64_t older;	 /* of the same task */
	double asked_at; /* monotonic clock */
	struct ctask_asking_block block;
};

static struct asked *table; /* open addressing; capacity is a power of two */
static struct link *links;
static uint32_t capacity, link_count;
uint32_t ctask_requests_tasks;

int ctask_requests_make(uint32_t room)
{
	capacity = 1;
	while (capacity < room * 2)
		capacity *= 2;
	link_count = room;
	table = ctask_reserve(capacity * sizeof(*table));
	links = ctask_reserve(link_count * sizeof(*links));
	return table && links ? 0 : -ENOMEM;
}

void ctask_requests_forget(void)
{
	if (table)
		munmap(table, capacity * sizeof(*table));
	if (links)
		munmap(links, link_count * sizeof(*links));
	table = NULL;
	links = NULL;
	ctask_requests_tasks = 0;
}

/* The place of @p task, or the free one where it would go. */
static struct asked *find(const struct py_object *task)
{
	return ctask_slots_find(table, sizeof(*table), capacity, task);
}

static struct asked *asked(const struct py_object *task)
{
	struct asked *found;

	if (!ctask_requests_tasks)
		return NULL;
	found = find(task);
	return found->task ? found : NULL;
}

static void forget(struct asked *gone)
{
	ctask_slots_free(table, sizeof(*table), capacity, gone);
	ctask_requests_tasks--;
}

static struct link *link_of(uint64_t id)
{
	return &links[id % link_count];
}

static bool is_open(const struct ctask_record *record)
{
	return record->outcome == CTASK_OUTCOME_PENDING ||
	       record->outcome == CTASK_OUTCOME_SWALLOWED;
}

/* The open request @p id or the next older one, of the same task; NULL when there is none any more. */
static struct ctask_record *open_from(uint64_t id)
{
	struct ctask_record *record;

	while ((record = ctask_record_at(id)) && !is_open(record))
		id = link_of(id)->older;
	return record;
}

static struct ctask_record *older_open(const struct ctask_record *record)
{
	return open_from(link_of(record->id)->older);
}

static void set_outcome(struct ctask_record *record, enum ctask_outcome outcome, double now)
{
	ctask_writer_change(record);
	record->outcome = outcome;
	record->after_us = (int64_t)((now - link_of(record->id)->asked_at) * MICRO);
	ctask_writer_changed(&ctask_writer, record);
}

void ctask_requests_add(struct py_object *task, uint64_t id, const struct ctask_asking_block *block)
{
	struct asked *entry = find(task);

	if (!entry->task) {
		if (ctask_requests_tasks >= capacity / 2)
			return;
		*entry = (struct asked){ .task = task };
		ctask_requests_tasks++;
	}
	*link_of(id) = (struct link){ .older = entry->newest,
				      .asked_at = ctask_monotonic(),
				      .block = *block };
	entry->blocks += block->construct != 0;
	entry->newest = id;
	if (!entry->unseen)
		entry->unseen = id;
}

void ctask_requests_evict(const struct ctask_record *record)
{
	struct asked *entry = asked((void *)(uintptr_t)record->target); /* NOLINT */

	if (entry && entry->newest == record->id)
		forget(entry);
}

/* Take @p id out of the chain; it need not be the newest, if others were asked meanwhile. */
void ctask_requests_drop(struct py_object *task, uint64_t id)
{
	struct asked *entry = asked(task);
	uint64_t *at = entry ? &entry->newest : NULL;

	for (int i = 0; at && *at && *at != id && i < LOOKED_THROUGH_MAX; i++)
		at = &link_of(*at)->older;
	if (!at || *at != id)
		return;
	*at = link_of(id)->older;
	if (entry->unseen == id)
		entry->unseen = 0;
	if (!ctask_record_at(entry->newest))
		forget(entry);
}

void ctask_requests_step(struct py_object *task)
{
	struct asked *entry;

	ctask_lock();
	entry = asked(task);
	if (entry && entry->unseen) {
		entry->batch = entry->unseen;
		entry->unseen = 0;
	}
	ctask_unlock();
}

/*
 * How a request ended whose task did. Before 3.11, and where a group of 3.11 and 3.12
 * was asked while its owner waited in its exit, the block that asked ends without uncancel().
 */
static enum ctask_outcome ended(const struct ctask_record *record, enum ctask_outcome outcome)
{
	if (link_of(record->id)->block.construct &&
	    (outcome == CTASK_OUTCOME_RETURNED || outcome == CTASK_OUTCOME_RAISED))
		return CTASK_OUTCOME_ABSORBED;
	return outcome;
}

/* The task is done: all its requests are. */
static void finish(struct py_object *task, enum ctask_outcome outcome)
{
	struct asked *entry;
	double now = ctask_monotonic();

	ctask_lock();
	entry = asked(task);
	if (entry) {
		for (struct ctask_record *record = open_from(entry->newest); record;
		     record = older_open(record))
			set_outcome(record, ended(record, outcome), now);
		forget(entry);
	}
	ctask_unlock();
}

/* The requests of blocks that @p task has seen and may have left by now. */
static int blocks_of(struct py_object *task, uint64_t *ids, struct ctask_asking_block *blocks)
{
	struct ctask_record *record;
	struct asked *entry;
	int count = 0;

	ctask_lock();
	entry = asked(task);
	record = entry && entry->blocks ? open_from(entry->newest) : NULL;
	for (int i = 0; record && i < SETTLED_AT_ONCE && count < BLOCKS_AT_ONCE; i++) {
		const struct ctask_asking_block *block = &link_of(record->id)->block;
		bool unseen = entry->unseen && record->id >= entry->unseen;

		if (!unseen && block->construct) {
			ids[count] = record->id;
			blocks[count++] = *block;
		}
		record = older_open(record);
	}
	ctask_unlock();
	return count;
}

/* What is at the address of @p block now is another one, entered since. */
static bool is_another(const struct ctask_asking_block *block)
{
	struct py_object *construct = (struct py_object *)(uintptr_t)block->construct; /* NOLINT */
	struct py_object *value;

	if (block->when) {
		value = ctask_python_lend(construct, block->when);
		return ctask_python_seconds(value) != block->when_s;
	}
	value = block->fired ? ctask_python_lend(construct, block->fired) : NULL;
	return value && value != ctask_py.py_true;
}

static void absorb_left_blocks(struct py_object *task)
{
	struct ctask_asking_block blocks[BLOCKS_AT_ONCE];
	uint64_t ids[BLOCKS_AT_ONCE];
	struct ctask_stack_seen chain;
	int count = blocks_of(task, ids, blocks);

	if (count)
		ctask_stack_of_task(&chain, task);
	for (int i = 0; i < count && !chain.cut; i++) { /* what cannot be seen is not judged */
		struct ctask_record *record;

		if (ctask_stack_is_inside(&chain, (void *)(uintptr_t)blocks[i].construct) &&
		    !is_another(&blocks[i]))
			continue;
		ctask_lock();
		record = ctask_record_at(ids[i]);
		if (record && is_open(record))
			set_outcome(record, CTASK_OUTCOME_ABSORBED, ctask_monotonic());
		ctask_unlock();
	}
}

/* The task goes on. What it has seen is pending while it is busy with it, else swallowed for good. */
static void settle_alive(struct py_object *task, bool busy)
{
	struct asked *entry;
	struct ctask_record *record;
	double now = ctask_monotonic();
	int count = 0;

	absorb_left_blocks(task);
	ctask_lock();
	entry = asked(task);
	for (record = entry ? open_from(entry->newest) : NULL; record && count++ < SETTLED_AT_ONCE;
	     record = older_open(record)) {
		bool unseen = entry->unseen && record->id >= entry->unseen;

		if (record->outcome == CTASK_OUTCOME_SWALLOWED)
			break;
		if (!unseen && !busy)
			set_outcome(record, CTASK_OUTCOME_SWALLOWED, now);
	}
	if (entry && !open_from(entry->newest))
		forget(entry);
	ctask_unlock();
}

void ctask_requests_settle(struct py_object *task)
{
	static const enum ctask_outcome outcomes[] = {
		[CTASK_ENDED_CANCELLED] = CTASK_OUTCOME_CANCELLED,
		[CTASK_ENDED_RETURNED] = CTASK_OUTCOME_RETURNED,
		[CTASK_ENDED_RAISED] = CTASK_OUTCOME_RAISED,
	};
	struct py_object *type, *value, *traceback;
	enum ctask_ending ending;
	bool any;

	ctask_lock();
	any = asked(task);
	ctask_unlock();
	if (!any)
		return;
	ctask_py.PyErr_Fetch(&type, &value, &traceback); /* of the step that has just ended */
	ending = ctask_task_ending(task);
	if (ending != CTASK_GOES_ON)
		finish(task, outcomes[ending]);
	else
		settle_alive(task, ctask_task_undelivered(task) || ctask_task_handles_cancel(task));
	ctask_py.PyErr_Restore(type, value, traceback);
}

void ctask_requests_gone(struct py_object *task)
{
	finish(task, CTASK_OUTCOME_UNKNOWN);
}

void ctask_requests_absorb(struct py_object *task, const void *scope, bool any)
{
	struct ctask_record *record, *chosen = NULL;
	struct asked *entry;
	double now = ctask_monotonic();
	int looked_through = 0;

	ctask_lock();
	entry = asked(task);
	for (record = entry ? open_from(entry->newest) : NULL;
	     record && looked_through++ < LOOKED_THROUGH_MAX; record = older_open(record)) {
		if (scope && record->scope == (uint64_t)(uintptr_t)scope) {
			chosen = record;
			break;
		}
		if (any && !chosen)
			chosen = record;
	}
	if (chosen)
		set_outcome(chosen, CTASK_OUTCOME_ABSORBED, now);
	if (entry && !open_from(entry->newest))
		forget(entry);
	ctask_unlock();
}

uint64_t ctask_requests_cause(struct py_object *task)
{
	struct ctask_record *record;
	struct asked *entry;
	uint64_t cause = 0;

	ctask_lock();
	entry = asked(task);
	record = entry ? ctask_record_at(entry->batch) : NULL;
	if (record && record->outcome == CTASK_OUTCOME_PENDING)
		cause = record->id;
	for (record = entry ? open_from(entry->newest) : NULL; record && !cause;
	     record = older_open(record))
		if (record->outcome == CTASK_OUTCOME_PENDING &&
		    !(entry->unseen && record->id >= entry->unseen))
			cause = record->id;
	ctask_unlock();
	return cause;
}

uint64_t ctask_requests_newest(struct py_object *task)
{
	struct ctask_record *record;
	struct asked *entry;
	uint64_t id = 0;

	ctask_lock();
	entry = asked(task);
	record = entry ? open_from(entry->newest) : NULL;
	id = record ? record->id : 0;
	ctask_unlock();
	return id;
}
