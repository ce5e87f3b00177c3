/* requests.c - the requests whose outcome is not known yet, and how they end. */
#include "bpf/requests.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>
#include <uthash.h>

#include "bpf/objects.h"
#include "bpf/tasks.h"
#include "model/recent.h"

enum {
	SETTLED_AT_ONCE = 64,
	CALM_LOOKS = 2, /* in a row, before a task is said to go on */
	/* The same where it runs: an exception may be on its way that nobody handles yet. */
	CALM_LOOKS_RUNNING = 10,
	ENTERED = 1 << 14,
};

#define UNSEEN_LOST_S 0.05 /* delivered in a way that no probe saw */

struct asked {
	uint64_t task, coro;
	uint64_t waiter; /* what it waited for when the oldest came that it has not seen, or 0 */
	struct ctask_asked is;
	int calm;
	UT_hash_handle by_task, by_coro;
};

struct ctask_requests {
	struct ctask_resolver *resolver;
	struct ctask_asked_book book;
	struct asked *tasks, *coros;
	double last_look;
	struct ctask_stack_seen chain;	      /* reused */
	struct ctask_recent entered[ENTERED]; /* constructs */
};

static double monotonic(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

struct ctask_requests *ctask_requests_create(struct ctask_resolver *resolver,
					     struct ctask_bpf_history *history)
{
	struct ctask_requests *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->resolver = resolver;
	r->last_look = monotonic();
	r->book.writer = &history->writer;
	r->book.links = calloc(history->header->record_room, sizeof(*r->book.links));
	if (!r->book.links) {
		free(r);
		return NULL;
	}
	return r;
}

static void forget(struct ctask_requests *r, struct asked *entry)
{
	HASH_DELETE(by_task, r->tasks, entry);
	HASH_DELETE(by_coro, r->coros, entry);
	free(entry);
}

void ctask_requests_destroy(struct ctask_requests *r)
{
	if (!r)
		return;
	while (r->tasks)
		forget(r, r->tasks);
	free(r->book.links);
	free(r);
}

static struct asked *find(struct ctask_requests *r, uint64_t task)
{
	struct asked *entry;

	HASH_FIND(by_task, r->tasks, &task, sizeof(task), entry);
	return entry;
}

static void finish(struct ctask_requests *r, struct asked *entry, enum ctask_outcome outcome,
		   double now, double resolution)
{
	ctask_asked_finish(&r->book, &entry->is, outcome, now, resolution);
	forget(r, entry);
}

static void forget_if_all_ended(struct ctask_requests *r, struct asked *entry)
{
	if (!ctask_asked_newest(&r->book, &entry->is))
		forget(r, entry);
}

void ctask_requests_add(struct ctask_requests *r, const struct ctask_asked_task *who, uint64_t id,
			double now, const struct ctask_asking_block *block)
{
	struct asked *entry = find(r, who->task);

	if (entry && entry->coro != who->coro) { /* another task, at the same address */
		finish(r, entry, CTASK_OUTCOME_UNKNOWN, now, 0);
		entry = NULL;
	}
	if (!entry) {
		entry = calloc(1, sizeof(*entry));
		if (!entry)
			return;
		entry->task = who->task;
		entry->coro = who->coro;
		HASH_ADD(by_task, r->tasks, task, sizeof(entry->task), entry);
		HASH_ADD(by_coro, r->coros, coro, sizeof(entry->coro), entry);
	}
	if (!entry->is.unseen)
		entry->waiter = who->waiter;
	entry->calm = 0;
	ctask_asked_add(&r->book, &entry->is, id, now, block);
}

void ctask_requests_drop(struct ctask_requests *r, uint64_t task, uint64_t id)
{
	struct asked *entry = find(r, task);

	if (!entry)
		return;
	ctask_asked_drop(&r->book, &entry->is, id);
	forget_if_all_ended(r, entry);
}

void ctask_requests_delivered(struct ctask_requests *r, uint64_t coro)
{
	struct asked *entry;

	HASH_FIND(by_coro, r->coros, &coro, sizeof(coro), entry);
	if (entry)
		ctask_asked_see(&entry->is);
}

void ctask_requests_absorb(struct ctask_requests *r, uint64_t task, uint64_t scope, bool any,
			   double now)
{
	struct asked *entry = find(r, task);

	if (!entry)
		return;
	ctask_asked_absorb(&r->book, &entry->is, scope, any, now);
	forget_if_all_ended(r, entry);
}

void ctask_requests_gone(struct ctask_requests *r, uint64_t task, double now)
{
	struct asked *entry = find(r, task);

	if (entry) /* since the last look it was done: it may have been held a while */
		finish(r, entry, ctask_outcome_of(ctask_task_ending(r->resolver, task)), now,
		       now > r->last_look ? now - r->last_look : 0);
}

/* What is at the address of @p block now is another one, entered since. */
static bool is_another(struct ctask_requests *r, const struct ctask_asking_block *block)
{
	struct ctask_heap *heap = r->resolver->heap;
	uint64_t value;
	int64_t fired;

	if (block->when)
		return ctask_attr(heap, block->construct, block->when, &value) ||
		       ctask_seconds_of(heap, value) != block->when_s;
	return block->fired && !ctask_attr(heap, block->construct, block->fired, &value) &&
	       !(ctask_int_value(heap, value, &fired) == 0 && fired);
}

/* The requests of blocks that the task has left by now. */
static void absorb_left_blocks(struct ctask_requests *r, struct asked *entry,
			       const struct ctask_stack_seen *chain, double now, double since)
{
	struct ctask_record *record = ctask_asked_newest(&r->book, &entry->is);

	for (int n = 0; record && n < SETTLED_AT_ONCE && !chain->cut;
	     n++, record = ctask_asked_older(&r->book, record)) {
		const struct ctask_asking_block *block = ctask_asked_block(&r->book, record);

		if (block->construct &&
		    (!ctask_stack_is_inside(r->resolver->heap, chain, block->construct) ||
		     is_another(r, block)))
			ctask_asked_end(&r->book, record, CTASK_OUTCOME_ABSORBED, now, now - since);
	}
}

static void settle_alive(struct ctask_requests *r, struct asked *entry,
			 struct ctask_stack_seen *chain, double now, double since)
{
	bool runs = chain->running &&
		    ctask_stack_of_running(r->resolver, entry->task, entry->coro, chain);
	enum ctask_busy busy = ctask_task_busy(r->resolver, entry->task, chain);

	entry->calm = busy == CTASK_BUSY_RUNS || (runs && busy == CTASK_BUSY_HANDLES)
			      ? 0
			      : entry->calm + 1;
	if (busy == CTASK_BUSY_RUNS)
		return;
	ctask_asked_see(&entry->is);
	if (entry->calm < (runs ? CALM_LOOKS_RUNNING : CALM_LOOKS))
		return;
	if (!runs)
		absorb_left_blocks(r, entry, chain, now, since);
	if (busy == CTASK_BUSY_NOT)
		ctask_asked_swallow(&r->book, &entry->is, now, (now - since) * entry->calm);
	forget_if_all_ended(r, entry);
}

static void watch_alive(struct ctask_requests *r, struct asked *entry, double now, double since)
{
	const struct ctask_record *newest = ctask_asked_newest(&r->book, &entry->is);
	uint64_t waiter = ctask_task_waiter(r->resolver, entry->task);

	if (newest && newest->outcome == CTASK_OUTCOME_SWALLOWED)
		return;
	if (entry->is.unseen && entry->waiter && waiter && waiter != entry->waiter)
		ctask_asked_see(
			&entry->is); /* it goes on with what it waited for, which kept the request to itself */
	if (entry->is.unseen && (ctask_coro_is_probed(r->resolver, entry->coro) ||
				 now - ctask_asked_at(&r->book, entry->is.unseen) < UNSEEN_LOST_S))
		return;
	ctask_stack_of_coro(&r->resolver->stacks, entry->coro, &r->chain);
	settle_alive(r, entry, &r->chain, now, since);
}

bool ctask_requests_watch(struct ctask_requests *r)
{
	double now = monotonic(), since = r->last_look;
	struct asked *entry, *next;

	HASH_ITER(by_task, r->tasks, entry, next)
	{
		enum ctask_ending ending = ctask_task_ending(r->resolver, entry->task);
		uint64_t coro = ctask_task_coro(r->resolver, entry->task);

		/* Freed, and its memory is something else: only a task that is done has no coroutine. */
		if (ending == CTASK_UNREADABLE ||
		    (coro != entry->coro && (coro || ending == CTASK_GOES_ON)))
			finish(r, entry, CTASK_OUTCOME_UNKNOWN, now, now - since);
		else if (ending != CTASK_GOES_ON)
			finish(r, entry, ctask_outcome_of(ending), now, now - since);
		else
			watch_alive(r, entry, now, since);
	}
	r->last_look = now;
	return r->tasks != NULL;
}

uint64_t ctask_requests_cause(struct ctask_requests *r, uint64_t task)
{
	struct asked *entry = find(r, task);

	return entry ? ctask_asked_cause(&r->book, &entry->is) : 0;
}

uint64_t ctask_requests_newest(struct ctask_requests *r, uint64_t task)
{
	struct asked *entry = find(r, task);
	const struct ctask_record *record = entry ? ctask_asked_newest(&r->book, &entry->is) : NULL;

	return record ? record->id : 0;
}

void ctask_requests_note_entered(struct ctask_requests *r, uint64_t construct, double now)
{
	struct ctask_recent *slot;

	if (!construct)
		return;
	slot = ctask_recent_take(r->entered, sizeof(*r->entered), ENTERED, construct);
	*slot = (struct ctask_recent){ construct, now };
}

double ctask_requests_entered(struct ctask_requests *r, uint64_t construct)
{
	const struct ctask_recent *slot =
		ctask_recent_find(r->entered, sizeof(*r->entered), ENTERED, construct);

	return slot ? slot->at : NAN;
}
