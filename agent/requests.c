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
	SETTLED_AT_ONCE = 64,
	BLOCKS_AT_ONCE = 16,
};

/* A task with open requests. */
struct asked {
	struct py_object *task;
	struct ctask_asked is;
};

static struct asked *table; /* open addressing; capacity is a power of two */
static struct ctask_asked_book book = { .writer = &ctask_writer };
static uint32_t capacity, link_count;
uint32_t ctask_requests_tasks;

int ctask_requests_make(uint32_t room)
{
	capacity = 1;
	while (capacity < room * 2)
		capacity *= 2;
	link_count = room;
	table = ctask_reserve(capacity * sizeof(*table));
	book.links = ctask_reserve(link_count * sizeof(*book.links));
	return table && book.links ? 0 : -ENOMEM;
}

void ctask_requests_forget(void)
{
	if (table)
		munmap(table, capacity * sizeof(*table));
	if (book.links)
		munmap(book.links, link_count * sizeof(*book.links));
	table = NULL;
	book.links = NULL;
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

static void forget_if_all_ended(struct asked *entry)
{
	if (!ctask_asked_newest(&book, &entry->is))
		forget(entry);
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
	ctask_asked_add(&book, &entry->is, id, ctask_monotonic(), block);
}

void ctask_requests_evict(const struct ctask_record *record)
{
	struct asked *entry = asked((void *)(uintptr_t)record->target); /* NOLINT */

	if (entry && entry->is.newest == record->id)
		forget(entry);
}

void ctask_requests_drop(struct py_object *task, uint64_t id)
{
	struct asked *entry = asked(task);

	if (!entry)
		return;
	ctask_asked_drop(&book, &entry->is, id);
	if (!ctask_record_at(entry->is.newest))
		forget(entry);
}

void ctask_requests_step(struct py_object *task)
{
	struct asked *entry;

	ctask_lock();
	entry = asked(task);
	if (entry)
		ctask_asked_see(&entry->is);
	ctask_unlock();
}

/* The task is done: all its requests are. */
static void finish(struct py_object *task, enum ctask_outcome outcome)
{
	struct asked *entry;
	double now = ctask_monotonic();

	ctask_lock();
	entry = asked(task);
	if (entry) {
		ctask_asked_finish(&book, &entry->is, outcome, now, 0);
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
	record = entry && entry->is.blocks ? ctask_asked_newest(&book, &entry->is) : NULL;
	for (int i = 0; record && i < SETTLED_AT_ONCE && count < BLOCKS_AT_ONCE; i++) {
		const struct ctask_asking_block *block = ctask_asked_block(&book, record);

		if (!ctask_asked_is_unseen(&entry->is, record) && block->construct) {
			ids[count] = record->id;
			blocks[count++] = *block;
		}
		record = ctask_asked_older(&book, record);
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
		if (record && ctask_asked_is_open(record))
			ctask_asked_end(&book, record, CTASK_OUTCOME_ABSORBED, ctask_monotonic(),
					0);
		ctask_unlock();
	}
}

/* The task goes on. What it has seen is pending while it is busy with it, else swallowed for good. */
static void settle_alive(struct py_object *task, bool busy)
{
	struct asked *entry;

	absorb_left_blocks(task);
	ctask_lock();
	entry = asked(task);
	if (entry && !busy)
		ctask_asked_swallow(&book, &entry->is, ctask_monotonic(), 0);
	if (entry)
		forget_if_all_ended(entry);
	ctask_unlock();
}

void ctask_requests_settle(struct py_object *task)
{
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
		finish(task, ctask_outcome_of(ending));
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
	struct asked *entry;

	ctask_lock();
	entry = asked(task);
	if (entry) {
		ctask_asked_absorb(&book, &entry->is, (uint64_t)(uintptr_t)scope, any,
				   ctask_monotonic());
		forget_if_all_ended(entry);
	}
	ctask_unlock();
}

uint64_t ctask_requests_cause(struct py_object *task)
{
	struct asked *entry;
	uint64_t cause;

	ctask_lock();
	entry = asked(task);
	cause = entry ? ctask_asked_cause(&book, &entry->is) : 0;
	ctask_unlock();
	return cause;
}

uint64_t ctask_requests_newest(struct py_object *task)
{
	const struct ctask_record *record;
	struct asked *entry;
	uint64_t id;

	ctask_lock();
	entry = asked(task);
	record = entry ? ctask_asked_newest(&book, &entry->is) : NULL;
	id = record ? record->id : 0;
	ctask_unlock();
	return id;
}
