/* shape.c - which subtrees of the await graph look the same. */
#include "analysis/shape.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/asking.h"
#include "analysis/intern.h"
#include "analysis/number.h"
#include "analysis/standing.h"
#include "analysis/story.h"
#include "model/cleanup.h"

/*
 * From the leaves up: the look of a task is its own look and those of its
 * children, and each distinct look has a number. A child that several wait for
 * counts as itself, whatever it looks like. That keeps cycles out: a cycle has
 * such a task in it.
 */

struct shapes {
	const struct ctask_graph *graph;
	const struct ctask_snapshot *snap;
	struct ctask_intern texts, stacks, own, whole, children, scopes;
	const bool *unread;
	struct ctask_groups owned; /* the scopes of each task */
	uint32_t *look;		   /* of each task, in whole */
	uint32_t *entry;	   /* of each child: what is returned */
	/* Texts seen last, by their address: neighbours often share them. */
	const char *last_wait, *last_coroutine;
	uint32_t last_wait_number, last_coroutine_number;
	char *wait; /* scratch, for one text */
	size_t wait_room;
	uint32_t *key; /* scratch, for one look */
	size_t key_room;
};

/* What a line shows of the task itself, as numbers. */
struct look {
	uint32_t coroutine, stack, wait, runtime;
	uint64_t wait_id;
	uint8_t state, wait_kind, has_wait_left, is_own_deadline, unread;
	uint32_t scopes;      /* those that are told */
	uint8_t stop, origin; /* of a request to stop: how far it has come, and why it was made */
	uint32_t times, place, exception; /* the same: how often, where, by what failure */
};

/* Kinds of waits for something that several tasks share, so that it matters which one it is. */
static const bool is_shared_wait[CTASK_WAIT_KINDS] = {
	[CTASK_WAIT_CONDITION] = true, [CTASK_WAIT_EVENT] = true,     [CTASK_WAIT_LOCK] = true,
	[CTASK_WAIT_QUEUE] = true,     [CTASK_WAIT_SEMAPHORE] = true,
};

static void shapes_fini(struct shapes *s)
{
	ctask_intern_fini(&s->texts);
	ctask_intern_fini(&s->stacks);
	ctask_intern_fini(&s->own);
	ctask_intern_fini(&s->whole);
	ctask_intern_fini(&s->children);
	ctask_intern_fini(&s->scopes);
	free(s->look);
	free(s->entry);
	free(s->wait);
	free(s->key);
	ctask_groups_fini(&s->owned);
}

/* Copy @p text with each number in it as one byte that no text has. */
static size_t without_numbers(const char *text, char *to)
{
	struct ctask_number numbers[CTASK_NUMBERS_MAX];
	size_t count = ctask_numbers_find(text, numbers);
	char *start = to;

	for (size_t i = 0; i < count; i++) {
		to = mempcpy(to, text, (size_t)(numbers[i].at - text));
		*to++ = '\xff';
		text = numbers[i].at + numbers[i].len;
	}
	to = mempcpy(to, text, strlen(text));
	return (size_t)(to - start);
}

static uint32_t wait_text(struct shapes *s, const char *text)
{
	size_t len;

	if (!text)
		return UINT32_MAX - 1;
	if (text == s->last_wait)
		return s->last_wait_number;
	len = strlen(text);
	if (len >= s->wait_room) {
		char *grown = realloc(s->wait, len * 2 + 256);

		if (!grown)
			return UINT32_MAX;
		s->wait = grown;
		s->wait_room = len * 2 + 256;
	}
	s->last_wait = text;
	s->last_wait_number = ctask_intern(&s->texts, s->wait, without_numbers(text, s->wait));
	return s->last_wait_number;
}

static uint32_t coroutine_text(struct shapes *s, const char *text)
{
	if (!s->last_coroutine || text != s->last_coroutine) {
		s->last_coroutine = text;
		s->last_coroutine_number = ctask_intern(&s->texts, text, strlen(text));
	}
	return s->last_coroutine_number;
}

/* What is told of a request to stop. False when out of memory. */
static bool asking_look(struct shapes *s, const struct ctask_task *task, struct look *look)
{
	const struct ctask_asking asking = ctask_asking_of(s->snap, task);
	const struct ctask_cancellation *cause = asking.cause;

	look->stop = (uint8_t)asking.stop;
	look->times = asking.times;
	if (!cause)
		return true;
	look->origin = (uint8_t)cause->origin;
	look->place = ctask_story_where(s->snap->history, cause);
	if (look->place == CTASK_NONE) /* then it is told what kind of thing asked */
		look->place -= 1 + (uint32_t)cause->requester_kind;
	if (cause->exception_type)
		look->exception = ctask_intern(&s->texts, cause->exception_type,
					       strlen(cause->exception_type)) +
				  1;
	return !cause->exception_type || look->exception != 0;
}

/* The scopes that are told of a task, but for their times and reasons; 0 when there are none. */
static uint32_t scopes_look(struct shapes *s, uint32_t task)
{
	uint32_t look = 0;

	for (uint32_t i = s->owned.first[task]; i < s->owned.first[task + 1]; i++) {
		const struct ctask_scope *scope = &s->snap->scopes[s->owned.items[i]];
		const uint32_t key[] = { look, scope->kind, scope->cancel_called, scope->shield,
					 !isnan(scope->deadline_in_s) };

		if (!ctask_scope_tells(s->snap, scope))
			continue;
		look = ctask_intern(&s->scopes, key, sizeof(key));
		if (look++ == UINT32_MAX)
			return UINT32_MAX;
	}
	return look;
}

/* An event that nobody else waits for, as its text says, is shared with no other task. */
static bool waits_alone(const struct ctask_task *task)
{
	static const char alone[] = ", 1 waiting";
	const char *found = task->wait_kind == CTASK_WAIT_EVENT && task->wait_text
				    ? strstr(task->wait_text, alone)
				    : NULL;

	return found && (found[strlen(alone)] == '\0' || found[strlen(alone)] == ',');
}

/* The look of the task alone, or UINT32_MAX when out of memory. */
static uint32_t own_look(struct shapes *s, uint32_t task)
{
	const struct ctask_task *t = &s->snap->tasks[task];
	const char *coroutine = t->coroutine ? t->coroutine : "";
	struct look look;

	memset(&look, 0, sizeof(look)); /* it is a key: no stray bytes between */
	look.coroutine = coroutine_text(s, coroutine);
	look.stack = ctask_intern(&s->stacks, t->stack_count ? ctask_task_stack(s->snap, t) : &task,
				  t->stack_count * sizeof(uint32_t));
	look.wait = wait_text(s, t->wait_text);
	look.scopes = scopes_look(s, task);
	if (look.coroutine == UINT32_MAX || look.stack == UINT32_MAX || look.wait == UINT32_MAX ||
	    look.scopes == UINT32_MAX)
		return UINT32_MAX;
	look.runtime = t->runtime;
	look.state = t->state;
	look.wait_kind = t->wait_kind;
	if (t->wait_kind < CTASK_WAIT_KINDS && is_shared_wait[t->wait_kind] && !waits_alone(t))
		look.wait_id = t->wait_id;
	if (!asking_look(s, t, &look))
		return UINT32_MAX;
	look.unread = s->unread[task];
	look.has_wait_left = !isnan(t->wait_left_s);
	look.is_own_deadline = ctask_deadline_is_own(s->snap, &s->owned, task);
	return ctask_intern(&s->own, &look, sizeof(look));
}

static int compare_numbers(const void *left, const void *right)
{
	const uint32_t *a = left, *b = right;

	return (*a > *b) - (*a < *b);
}

/* Number the children of @p node. They all have looks, but for shared ones, which need none. */
static int enter_children(struct shapes *s, uint32_t node)
{
	const struct ctask_graph *g = s->graph;

	for (uint32_t i = g->first[node]; i < g->end[node]; i++) {
		uint32_t task = g->child[i];
		uint32_t key[] = { g->child_kinds[i], g->shared[task],
				   g->shared[task] ? task : s->look[task] };

		s->entry[i] = ctask_intern(&s->children, key, sizeof(key));
		if (s->entry[i] == UINT32_MAX)
			return -ENOMEM;
	}
	return 0;
}

/* Own look and children in one number; in the key the children stand sorted. */
static int complete_look(struct shapes *s, uint32_t task)
{
	const struct ctask_graph *g = s->graph;
	uint32_t count = g->end[task] - g->first[task];
	uint32_t own = own_look(s, task);

	if (own == UINT32_MAX)
		return -ENOMEM;
	if (count + 1 > s->key_room) {
		size_t room = (size_t)count * 2 + 16;
		uint32_t *grown = realloc(s->key, room * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		s->key = grown;
		s->key_room = room;
	}
	s->key[0] = own;
	memcpy(s->key + 1, s->entry + g->first[task], count * sizeof(*s->key));
	qsort(s->key + 1, count, sizeof(*s->key), compare_numbers);
	s->look[task] = ctask_intern(&s->whole, s->key, (count + 1) * sizeof(*s->key));
	return s->look[task] == UINT32_MAX ? -ENOMEM : 0;
}

uint32_t *ctask_shapes(const struct ctask_graph *graph, const struct ctask_snapshot *snap,
		       const bool *unread)
{
	__attribute__((cleanup(shapes_fini))) struct shapes s = { .graph = graph,
								  .snap = snap,
								  .unread = unread };
	uint32_t top = graph->node_count - 1;

	s.look = malloc(((size_t)top + 1) * sizeof(*s.look));
	s.entry = malloc(((size_t)graph->child_room + 1) * sizeof(*s.entry));
	if (!s.look || !s.entry || ctask_groups_by_owner(&s.owned, snap))
		return NULL;
	for (uint32_t i = top; i-- > 0;) {
		uint32_t task = graph->visit[i];

		if (enter_children(&s, task) || complete_look(&s, task))
			return NULL;
	}
	if (enter_children(&s, top))
		return NULL;
	return steal_ptr(&s.entry);
}
