/* level.c - what cancels by level: scopes that were cancelled, and the requests that they keep making. */
#include "agent/level.h"

#include <errno.h>
#include <math.h>
#include <sys/mman.h>

#include "agent/lock.h"
#include "agent/slots.h"
#include "model/recent.h"

enum {
	CALLS = 1 << 12,     /* scopes that were cancelled and not left; a power of two */
	ENTERED = 1 << 14,   /* scopes whose time of entering is kept; a power of two */
	LOOKED_THROUGH = 64, /* open requests of one task */
	MICRO = 1000000,
};

/* A task with open requests; the newest leads to the older ones. */
struct asked {
	const void *task;
	uint64_t newest;
};

/* Beside each slot of the ring. */
struct link {
	uint64_t older; /* of the same task */
	const void *scope;
	double asked_at; /* monotonic clock */
	uint32_t raised; /* times */
};

static struct entered {
	struct ctask_recent scope;
	const void *construct;
	enum ctask_through through; /* of the construct */
	bool own;
} * entered;

static struct ctask_level_call *calls;
static struct asked *table; /* open addressing, as the calls */
static struct link *links;
static uint32_t capacity, link_count, call_count;
static uint64_t call_number; /* of the newest */
uint32_t ctask_level_tasks;

int ctask_level_make(uint32_t room)
{
	capacity = 1;
	while (capacity < room * 2)
		capacity *= 2;
	link_count = room;
	table = ctask_reserve(capacity * sizeof(*table));
	links = ctask_reserve(link_count * sizeof(*links));
	calls = ctask_reserve(CALLS * sizeof(*calls));
	/* A child of fork() keeps its parent's: scopes that were entered are still there. */
	if (!entered)
		entered = ctask_reserve(ENTERED * sizeof(*entered));
	return table && links && calls && entered ? 0 : -ENOMEM;
}

void ctask_level_forget(void)
{
	if (table)
		munmap(table, capacity * sizeof(*table));
	if (links)
		munmap(links, link_count * sizeof(*links));
	if (calls)
		munmap(calls, CALLS * sizeof(*calls));
	table = NULL;
	links = NULL;
	calls = NULL;
	ctask_level_tasks = call_count = 0;
}

/* --- open requests --- */

static struct link *link_of(uint64_t id)
{
	return &links[id % link_count];
}

static struct asked *find(const void *task)
{
	return ctask_slots_find(table, sizeof(*table), capacity, task);
}

/* The open request @p id or the next older one; NULL when there is none any more. */
static struct ctask_record *open_from(uint64_t id)
{
	struct ctask_record *record = ctask_record_at(id);

	for (int i = 0; record && record->outcome != CTASK_OUTCOME_PENDING; i++)
		record = i < LOOKED_THROUGH ? ctask_record_at(link_of(record->id)->older) : NULL;
	return record;
}

static struct ctask_record *newest_of(const void *task)
{
	return ctask_level_tasks ? open_from(find(task)->newest) : NULL;
}

static struct ctask_record *older(const struct ctask_record *record)
{
	return open_from(link_of(record->id)->older);
}

static void forget(const void *task)
{
	struct asked *entry = find(task);

	if (!entry->task)
		return;
	ctask_slots_free(table, sizeof(*table), capacity, entry);
	ctask_level_tasks--;
}

static void set_outcome(struct ctask_record *record, enum ctask_outcome outcome)
{
	double asked_at = link_of(record->id)->asked_at;

	ctask_writer_change(record);
	record->outcome = outcome;
	record->after_us = (int64_t)((ctask_monotonic() - asked_at) * MICRO);
	ctask_writer_changed(&ctask_writer, record);
}

static struct ctask_record *request(const void *task, const void *scope)
{
	struct ctask_record *record = newest_of(task);

	for (int i = 0; record && link_of(record->id)->scope != scope; i++)
		record = i < LOOKED_THROUGH ? older(record) : NULL;
	return record;
}

bool ctask_level_is_asked(const void *task)
{
	return ctask_level_tasks && find(task)->task;
}

uint64_t ctask_level_find(const void *task, const void *scope)
{
	const struct ctask_record *record;
	uint64_t id;

	ctask_lock();
	record = request(task, scope);
	id = record ? record->id : 0;
	ctask_unlock();
	return id;
}

uint64_t ctask_level_raised_last(const void *task)
{
	const struct ctask_record *record;
	uint64_t id;

	ctask_lock();
	record = newest_of(task);
	for (int i = 0; record && !link_of(record->id)->raised; i++)
		record = i < LOOKED_THROUGH ? older(record) : NULL;
	id = record ? record->id : 0;
	ctask_unlock();
	return id;
}

void ctask_level_add(const void *task, const void *scope, uint64_t id)
{
	struct asked *entry = find(task);

	if (!entry->task) {
		if (ctask_level_tasks >= capacity / 2)
			return;
		*entry = (struct asked){ .task = task };
		ctask_level_tasks++;
	}
	*link_of(id) = (struct link){ entry->newest, scope, ctask_monotonic(), 0 };
	entry->newest = id;
}

void ctask_level_raised(uint64_t id)
{
	struct ctask_record *record;

	ctask_lock();
	record = ctask_record_at(id);
	if (record && link_of(id)->raised++) {
		ctask_writer_change(record);
		record->repeats++;
		ctask_writer_changed(&ctask_writer, record);
	}
	ctask_unlock();
}

void ctask_level_absorb(const void *task, const void *scope)
{
	struct ctask_record *record;

	ctask_lock();
	record = request(task, scope);
	if (record)
		set_outcome(record, CTASK_OUTCOME_ABSORBED);
	if (ctask_level_tasks && !newest_of(task))
		forget(task);
	ctask_unlock();
}

void ctask_level_finish(const void *task, enum ctask_outcome outcome)
{
	ctask_lock();
	for (struct ctask_record *record = newest_of(task); record; record = older(record))
		set_outcome(record, outcome);
	if (ctask_level_tasks)
		forget(task);
	ctask_unlock();
}

/* --- scopes --- */

static struct ctask_level_call *call_slot(const void *scope)
{
	return ctask_slots_find(calls, sizeof(*calls), CALLS, scope);
}

struct ctask_level_call *ctask_level_call_of(const void *scope)
{
	struct ctask_level_call *call = call_count ? call_slot(scope) : NULL;

	return call && call->scope ? call : NULL;
}

/* Who cancels a scope need not ever enter it: those that were cancelled longest ago give way, half of them. */
static void forget_old_calls(void)
{
	for (uint32_t at = 0; at < CALLS;) {
		if (!calls[at].scope || calls[at].number + CALLS / 4 > call_number) {
			at++;
			continue;
		}
		ctask_slots_free(calls, sizeof(*calls), CALLS,
				 &calls[at]); /* another may move here */
		call_count--;
	}
}

void ctask_level_call_put(const struct ctask_level_call *call)
{
	struct ctask_level_call *slot;

	if (call_count >= CALLS / 2)
		forget_old_calls();
	slot = call_slot(call->scope);
	call_count += !slot->scope;
	*slot = *call;
	slot->number = ++call_number;
}

void ctask_level_call_forget(const void *scope)
{
	struct ctask_level_call *call = ctask_level_call_of(scope);

	if (!call)
		return;
	ctask_slots_free(calls, sizeof(*calls), CALLS, call);
	call_count--;
}

static struct entered *entered_of(const void *scope)
{
	return ctask_recent_find(entered, sizeof(*entered), ENTERED, (uintptr_t)scope);
}

void ctask_level_enter(const void *scope, const void *construct, enum ctask_through through)
{
	struct entered *slot =
		ctask_recent_take(entered, sizeof(*entered), ENTERED, (uintptr_t)scope);

	*slot = (struct entered){
		{ (uintptr_t)scope, ctask_monotonic() }, construct, through, false
	};
}

void ctask_level_is_own(const void *scope)
{
	struct entered *slot = entered_of(scope);

	if (slot)
		slot->own = true;
}

bool ctask_level_owned(const void *scope)
{
	const struct entered *slot = entered_of(scope);

	return slot && slot->own;
}

void ctask_level_leave(const void *scope)
{
	struct entered *slot = entered_of(scope);

	if (slot)
		slot->scope.key = 0;
}

const void *ctask_level_construct(const void *scope, enum ctask_through *ret_through)
{
	const struct entered *slot = entered_of(scope);

	if (!slot)
		return NULL;
	*ret_through = slot->through;
	return slot->construct;
}

double ctask_level_entered_at(const void *scope)
{
	const struct entered *slot = entered_of(scope);

	return slot ? slot->scope.at : NAN;
}
