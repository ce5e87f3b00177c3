/* held.c - requests that are kept back until it is known that cancel() did not raise. */
#include "bpf/held.h"

#include <stdlib.h>
#include <string.h>

#include "bpf/requests.h"
#include "bpf/tasks.h"

enum {
	OVER_LOOKS =
		2, /* in a row that do not find a call on the stack, before it is said to be over */
	CHILDREN_MAX = 64,
	LEVELS_MAX = 16,
	WALKS_MAX = 16, /* stacks that are gone through at one look */
};

#define HELD_MAX_S 10.0 /* then it is believed */

enum verdict { NOT_KNOWN, TAKEN, RAISED };

struct held {
	struct ctask_held_call call;
	uint64_t id, target;
	uint64_t passed_on;    /* the last request that was made inside of it, or 0 */
	enum verdict how_then; /* what is known of that one */
	uint64_t lost;	       /* requests that nobody saw, when it was made */
	bool is_gather;
	bool asks_tasks; /* what the target waits for asks another task in turn, if it gets so far */
	int over;	 /* looks that did not find it on the stack */
};

struct ctask_held {
	struct ctask_resolver *resolver;
	uint64_t newest;
	struct held *calls; /* by id */
	uint32_t count, room;
};

struct ctask_held *ctask_held_create(struct ctask_resolver *resolver)
{
	struct ctask_held *h = calloc(1, sizeof(*h));

	if (h)
		h->resolver = resolver;
	return h;
}

void ctask_held_destroy(struct ctask_held *h)
{
	if (h)
		free(h->calls);
	free(h);
}

uint64_t ctask_held_next(const struct ctask_held *h)
{
	return h->newest + 1;
}

static struct held *find(struct ctask_held *h, uint64_t id)
{
	uint32_t from = 0, end = h->count;

	while (from < end) {
		uint32_t middle = from + (end - from) / 2;

		if (h->calls[middle].id < id)
			from = middle + 1;
		else
			end = middle;
	}
	return from < h->count && h->calls[from].id == id ? &h->calls[from] : NULL;
}

static void show(struct ctask_held *h)
{
	uint64_t through = h->count ? h->calls[0].id - 1 : h->newest;
	struct ctask_writer *writer = &h->resolver->history->writer;

	if (writer->header->last_id < through)
		ctask_writer_show_through(writer, through);
}

static bool is_called(struct ctask_heap *heap, uint64_t obj, const char *name)
{
	const struct ctask_type *type = obj ? ctask_type_of(heap, obj) : NULL;

	return type && !strcmp(ctask_type_short_name(type), name);
}

/* A task that takes all requests: no class of the program's. */
static bool is_plain_task(struct ctask_heap *heap, uint64_t obj)
{
	return is_called(heap, obj, "Task") && ctask_kind_of(heap, obj) == CTASK_KIND_TASK;
}

/* Whether one of the children of @p gather is a task that is not done. */
static bool has_task_to_ask(struct ctask_resolver *r, uint64_t gather)
{
	struct ctask_items items;
	uint64_t children, child;

	if (ctask_attr(r->heap, gather, "_children", &children) ||
	    ctask_items_of(r->heap, children, &items))
		return false;
	for (uint64_t i = 0; i < items.count && i < CHILDREN_MAX; i++)
		if (!ctask_items_get(r->heap, &items, i, &child) && is_plain_task(r->heap, child) &&
		    ctask_task_ending(r, child) == CTASK_GOES_ON)
			return true;
	return false;
}

/* A call round this one, which is still under way, came by @p gather, and so to a task: that one is not done. */
static bool had_task_to_ask(struct ctask_held *h, uint64_t gather, uint64_t outer)
{
	const struct held *call = find(h, outer);

	for (int i = 0; call && i < LEVELS_MAX; i++) {
		if (call->call.waiter == gather)
			return true;
		call = find(h, call->call.outer);
	}
	return false;
}

static void hold(struct ctask_held *h, const struct ctask_record *record,
		 const struct ctask_held_call *call, bool is_gather)
{
	bool asks_tasks;

	if (h->count == h->room) {
		uint32_t room = h->room * 2 + 16;
		struct held *moved = realloc(h->calls, room * sizeof(*moved));

		if (!moved)
			return;
		h->calls = moved;
		h->room = room;
	}
	asks_tasks = !is_gather || has_task_to_ask(h->resolver, call->waiter) ||
		     had_task_to_ask(h, call->waiter, call->outer);
	h->calls[h->count++] = (struct held){
		.call = *call,
		.id = record->id,
		.target = record->target,
		.lost = h->resolver->history->header->lost_records,
		.is_gather = is_gather,
		.asks_tasks = asks_tasks,
	};
}

/* Of the request @p id, which was made inside of @p outer. */
static void tell_outer(struct ctask_held *h, uint64_t outer, uint64_t id, enum verdict verdict)
{
	struct held *call = find(h, outer);

	if (call && call->passed_on <= id) {
		call->passed_on = id;
		call->how_then = verdict;
	}
}

void ctask_held_put(struct ctask_held *h, const struct ctask_record *record,
		    const struct ctask_held_call *call)
{
	struct ctask_heap *heap = h->resolver->heap;
	bool is_gather = is_called(heap, call->waiter, "_GatheringFuture");
	bool is_held = is_gather || is_plain_task(heap, call->waiter);

	h->newest = record->id;
	ctask_writer_fill(&h->resolver->history->writer, record);
	tell_outer(h, call->outer, record->id, is_held ? NOT_KNOWN : TAKEN);
	if (is_held)
		hold(h, record, call, is_gather);
	show(h);
}

/* A call that was made inside of one that is over is over too. */
static void look_for_calls(struct ctask_held *h)
{
	int walks = 0;

	for (uint32_t i = 0; i < h->count; i++) {
		struct held *call = &h->calls[i];
		const struct held *outer = find(h, call->call.outer);

		if (outer && outer->over >= OVER_LOOKS)
			call->over = OVER_LOOKS;
		else if (outer || call->over >= OVER_LOOKS || walks++ >= WALKS_MAX)
			continue;
		else if (ctask_thread_stands_at(h->resolver, call->call.tstate, call->call.frame,
						call->call.place))
			call->over = 0;
		else
			call->over++;
	}
}

/* Whether the gather that the target waits for notes that it asked: 1, 0, or -1 when that is past. */
static int gather_asked(struct ctask_resolver *r, const struct held *call)
{
	uint64_t value;
	int64_t number;

	if (ctask_task_ending(r, call->target) != CTASK_GOES_ON ||
	    ctask_task_coro(r, call->target) != call->call.coro ||
	    ctask_task_waiter(r, call->target) != call->call.waiter ||
	    ctask_task_must_cancel(r, call->target) ||
	    ctask_attr(r->heap, call->call.waiter, "_cancel_requested", &value) ||
	    ctask_int_value(r->heap, value, &number))
		return -1;
	return number != 0;
}

static enum verdict judge(struct ctask_held *h, const struct held *call, double now)
{
	const struct ctask_history_header *header = h->resolver->history->header;
	int asked = call->is_gather ? gather_asked(h->resolver, call) : 0;
	bool over = call->over >= OVER_LOOKS;

	if (now - call->call.now > HELD_MAX_S || header->lost_records != call->lost ||
	    !ctask_writer_record(&h->resolver->history->writer, call->id) || asked > 0)
		return TAKEN;
	if (call->passed_on && call->is_gather && call->how_then == TAKEN && !over)
		return NOT_KNOWN; /* the next of its children may raise */
	if (call->passed_on)
		return call->how_then; /* an exception goes through all calls round it */
	if (!over)
		return NOT_KNOWN;
	return call->asks_tasks || !asked ? RAISED : TAKEN;
}

bool ctask_held_watch(struct ctask_held *h, double now)
{
	struct ctask_resolver *r = h->resolver;

	look_for_calls(h);
	/* Innermost first: what they were made inside of depends on them. */
	for (uint32_t i = h->count; i-- > 0;) {
		const struct held call = h->calls[i];
		enum verdict verdict = judge(h, &call, now);

		if (verdict == NOT_KNOWN)
			continue;
		h->count--;
		memmove(&h->calls[i], &h->calls[i + 1], (h->count - i) * sizeof(*h->calls));
		tell_outer(h, call.call.outer, call.id, verdict);
		if (verdict == TAKEN)
			continue;
		ctask_requests_drop(r->requests, call.target, call.id);
		ctask_writer_take_back(&r->history->writer, call.id);
	}
	show(h);
	return h->count;
}

void ctask_held_release(struct ctask_held *h)
{
	h->count = 0;
	show(h);
}
