/* story.c - a history as stories: one event, whom it reached, and how each of them ended. */
#include "analysis/story.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/intern.h"
#include "analysis/number.h"
#include "model/cleanup.h"

enum { ONE_GO_US = 20000 }; /* between requests that one event makes, one after another */

/* --- places --- */

static const struct ctask_frame *frame_at(const struct ctask_history *history,
					  const struct ctask_stack *stack, uint32_t i)
{
	return &history->frames[ctask_history_stack(history, stack)[i]];
}

/* The position in @p stack of the innermost frame that is not the runtime's own. */
static uint32_t find_own(const struct ctask_history *history, const struct ctask_stack *stack,
			 uint32_t from)
{
	for (uint32_t i = from; i < stack->count; i++) {
		const struct ctask_frame *f = frame_at(history, stack, i);

		if (!f->library && f->name)
			return i;
	}
	return CTASK_NONE;
}

static uint32_t frame_index(const struct ctask_history *history, const struct ctask_stack *stack,
			    uint32_t position)
{
	return position == CTASK_NONE ? CTASK_NONE : ctask_history_stack(history, stack)[position];
}

uint32_t ctask_story_place(const struct ctask_history *history, const struct ctask_stack *stack)
{
	uint32_t own = find_own(history, stack, 0);

	if (own == CTASK_NONE && stack->count > 0)
		own = stack->count - 1;
	return frame_index(history, stack, own);
}

uint32_t ctask_story_call(const struct ctask_history *history, const struct ctask_stack *stack)
{
	uint32_t own = find_own(history, stack, 0);

	return own == CTASK_NONE || own == 0 ? CTASK_NONE : frame_index(history, stack, own - 1);
}

static const char *plain_name(ctask_text name)
{
	const char *dot = name ? strrchr(name, '.') : NULL;

	return dot ? dot + 1 : name ? name : "";
}

static bool is_function(const struct ctask_frame *frame, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count && frame->library; i++) {
		if (strcmp(plain_name(frame->name), names[i]) == 0)
			return true;
	}
	return false;
}

/*
 * The place that asked. What a task or a callback did ends where the loop called
 * it: what lies further out is who runs the loop.
 */
static uint32_t asking_place(const struct ctask_history *history,
			     const struct ctask_cancellation *item)
{
	/* uvloop has no functions of its own on the stack: only what runs it. */
	static const char *const loop[] = { "_run", "_run_once", "run_forever",
					    "run_until_complete", "run" };
	const struct ctask_stack *stack = &item->stack;
	uint32_t own = find_own(history, stack, 0);

	if (own == CTASK_NONE)
		return CTASK_NONE;
	for (uint32_t i = 0; i < own && (item->requester_kind == CTASK_REQUESTER_TASK ||
					 item->requester_kind == CTASK_REQUESTER_CALLBACK);
	     i++) {
		if (is_function(frame_at(history, stack, i), loop, ARRAY_SIZE(loop)))
			return CTASK_NONE;
	}
	return frame_index(history, stack, own);
}

uint32_t ctask_story_block(const struct ctask_history *history,
			   const struct ctask_cancellation *item)
{
	const struct ctask_stack *stack = &item->target_stack;

	return item->scope_frame == CTASK_NONE
		       ? CTASK_NONE
		       : frame_index(history, stack, find_own(history, stack, item->scope_frame));
}

/* Where the limit is written, if that is known; the caller of the innermost wait_for that the target is in; else where it stands. */
static uint32_t limit_place(const struct ctask_history *history,
			    const struct ctask_cancellation *item)
{
	static const char *const wait_for[] = { "wait_for" };
	const struct ctask_stack *stack = &item->target_stack;
	uint32_t block = ctask_story_block(history, item);

	if (block != CTASK_NONE)
		return block;
	for (uint32_t i = 0; i < stack->count && item->through == CTASK_THROUGH_WAIT_FOR; i++) {
		uint32_t own;

		if (!is_function(frame_at(history, stack, i), wait_for, ARRAY_SIZE(wait_for)))
			continue;
		own = find_own(history, stack, i);
		if (own != CTASK_NONE)
			return frame_index(history, stack, own);
	}
	return ctask_story_place(history, stack);
}

uint32_t ctask_story_where(const struct ctask_history *history,
			   const struct ctask_cancellation *item)
{
	if (item->origin == CTASK_ORIGIN_TIMEOUT && item->requester_kind != CTASK_REQUESTER_TASK)
		return limit_place(history, item);
	if (item->origin == CTASK_ORIGIN_SIBLING_FAILED)
		return CTASK_NONE; /* whoever noticed that the child had failed */
	if (item->origin == CTASK_ORIGIN_INTERRUPT &&
	    item->requester_kind == CTASK_REQUESTER_SIGNAL)
		return CTASK_NONE; /* where the signal happened to come */
	return asking_place(history, item);
}

/* --- what is asked for --- */

static bool is_task(const char *which, uint64_t id, ctask_text name, ctask_text coroutine)
{
	char text[24];

	if ((name && strcmp(name, which) == 0) || (coroutine && strcmp(coroutine, which) == 0))
		return true;
	snprintf(text, sizeof(text), "0x%" PRIx64, id);
	return id && strcmp(text, which) == 0;
}

bool ctask_story_wants(const struct ctask_story_filter *filter,
		       const struct ctask_cancellation *item)
{
	if (!filter)
		return true;
	if (item->time_us < filter->since_us)
		return false;
	if (!filter->any_origin && item->origin != filter->origin)
		return false;
	return !filter->task ||
	       is_task(filter->task, item->target, item->target_name, item->target_coroutine) ||
	       (item->requester_kind == CTASK_REQUESTER_TASK &&
		is_task(filter->task, item->requester, item->requester_name,
			item->requester_coroutine)) ||
	       is_task(filter->task, item->failed_task, item->failed_task_name, NULL);
}

/* --- the making of stories --- */

/* A story while it is put together. */
struct draft {
	struct ctask_story story;
	int64_t last_us;      /* when the last of its first requests was made */
	uint32_t owner;	      /* the item that stands in the block of what asks; or CTASK_NONE */
	uint32_t roots_first; /* into roots */
	uint32_t root_count;
	uint32_t shape;
	bool wanted;
};

struct making {
	const struct ctask_history *history;
	const struct ctask_story_filter *filter;
	bool fold;
	struct ctask_stories *stories;
	uint32_t *parent;		     /* of each item, or CTASK_NONE */
	uint32_t *draft;		     /* of each item: its story */
	uint32_t *children_first, *children; /* the items that each item brought about, ascending */
	uint32_t *roots;		     /* first requests, story by story */
	uint32_t *shape;		     /* of each item */
	struct draft *drafts;
	uint32_t draft_count;
	struct ctask_intern texts, events, threads, asked, chains, looks, shapes;
	uint32_t *story_of_event;  /* the latest of each event */
	uint32_t *story_of_thread; /* that each thread made last */
	/* Scratch. */
	uint32_t *key, *set, *rank, *rank_of, *rank_epoch;
	uint32_t *names; /* two for each frame of a stack */
	uint32_t epoch;
	bool failed;
};

static void making_fini(struct making *m)
{
	free(m->parent);
	free(m->draft);
	free(m->children_first);
	free(m->children);
	free(m->roots);
	free(m->shape);
	free(m->drafts);
	free(m->key);
	free(m->set);
	free(m->rank);
	free(m->rank_of);
	free(m->rank_epoch);
	free(m->names);
	free(m->story_of_event);
	free(m->story_of_thread);
	ctask_intern_fini(&m->texts);
	ctask_intern_fini(&m->events);
	ctask_intern_fini(&m->threads);
	ctask_intern_fini(&m->asked);
	ctask_intern_fini(&m->chains);
	ctask_intern_fini(&m->looks);
	ctask_intern_fini(&m->shapes);
}

static uint32_t number(struct making *m, struct ctask_intern *table, const void *key, size_t len)
{
	uint32_t n = ctask_intern(table, key, len);

	m->failed |= n == UINT32_MAX;
	return n;
}

static uint32_t text_number(struct making *m, ctask_text text)
{
	return text ? number(m, &m->texts, text, strlen(text)) + 1 : 0;
}

/* The same for texts that differ in nothing but numbers. */
static uint32_t loose_text_number(struct making *m, ctask_text text)
{
	struct ctask_number numbers[CTASK_NUMBERS_MAX];
	size_t count = text ? ctask_numbers_find(text, numbers) : 0;
	auto_free char *loose = NULL;
	const char *from = text;
	char *to;

	if (!count)
		return text_number(m, text);
	loose = to = malloc(strlen(text) + 1);
	if (!loose) {
		m->failed = true;
		return 0;
	}
	for (size_t i = 0; i < count; i++) {
		to = mempcpy(to, from, (size_t)(numbers[i].at - from));
		*to++ = '\x01';
		from = numbers[i].at + numbers[i].len;
	}
	strcpy(to, from);
	return text_number(m, loose);
}

/* What the first requests of one story have in common. */
struct event {
	uint64_t scope, requester, failed_task, lost_cause;
	uint32_t requester_name, exception_type, exception_message, message, function, file;
	uint8_t origin, through, requester_kind;
};

static void describe_event(struct making *m, const struct ctask_cancellation *item,
			   struct event *event)
{
	const struct ctask_history *history = m->history;

	memset(event, 0, sizeof(*event)); /* the gaps too: its bytes are compared */
	event->scope = item->scope;
	event->requester = item->requester;
	event->failed_task = item->failed_task;
	event->lost_cause = item->cause;
	event->requester_name = text_number(m, item->requester_name);
	event->exception_type = text_number(m, item->exception_type);
	event->exception_message = text_number(m, item->exception_message);
	event->message = text_number(m, item->message);
	event->origin = (uint8_t)item->origin;
	event->through = (uint8_t)item->through;
	event->requester_kind = (uint8_t)item->requester_kind;
	if (!item->scope) {
		uint32_t place = ctask_story_where(history, item);

		if (place != CTASK_NONE && item->origin != CTASK_ORIGIN_TIMEOUT) {
			event->function = text_number(m, history->frames[place].name);
			event->file = text_number(m, history->frames[place].filename);
		}
	}
}

/* Time limits without a known identity could be several. */
static bool may_be_alone(const struct ctask_cancellation *item)
{
	return item->origin == CTASK_ORIGIN_TIMEOUT && !item->scope &&
	       item->requester_kind != CTASK_REQUESTER_TASK;
}

static uint32_t add_draft(struct making *m, uint32_t item)
{
	const struct ctask_cancellation *c = &m->history->items[item];
	struct draft *d = &m->drafts[m->draft_count];

	*d = (struct draft){
		.owner = CTASK_NONE,
		.story = { .item = item,
			   .times = 1,
			   .first_us = c->time_us,
			   .delay_low = c->delay_s,
			   .delay_high = c->delay_s },
	};
	return m->draft_count++;
}

/* The scope that asked for @p draft was not left yet when @p item was made: it is the same one that asks. */
static bool is_in_block(const struct making *m, uint32_t draft,
			const struct ctask_cancellation *item)
{
	const struct ctask_cancellation *owner =
		m->drafts[draft].owner == CTASK_NONE ? NULL
						     : &m->history->items[m->drafts[draft].owner];

	if (!owner || owner->scope != item->scope || item->time_us < owner->time_us)
		return false;
	return owner->outcome == CTASK_OUTCOME_PENDING ||
	       (double)(item->time_us - owner->time_us) / 1e6 <= owner->after_s;
}

static bool is_at_once(const struct making *m, uint32_t draft, uint32_t thread,
		       const struct ctask_cancellation *item)
{
	int64_t last_us = m->drafts[draft].last_us;

	return m->story_of_thread[thread] == draft && item->time_us >= last_us &&
	       item->time_us - last_us <= ONE_GO_US;
}

/*
 * First requests belong to one story when they have one reason and ask nobody twice, and either
 * follow each other at once, with nothing else asked in that thread between them, or come of a
 * scope that goes on asking: of trio or anyio, when a shield in it ends.
 */
static void assign_root(struct making *m, uint32_t item)
{
	const struct ctask_cancellation *c = &m->history->items[item];
	struct {
		uint64_t target;
		uint64_t story;
	} asked = { .target = c->target };
	struct event event;
	uint32_t n, thread, draft;

	describe_event(m, c, &event);
	n = number(m, &m->events, &event, sizeof(event));
	thread = number(m, &m->threads, &c->requester_thread, sizeof(c->requester_thread));
	if (m->failed)
		return;
	draft = m->story_of_event[n];
	if (draft != CTASK_NONE &&
	    (may_be_alone(c) || !(is_at_once(m, draft, thread, c) || is_in_block(m, draft, c))))
		draft = CTASK_NONE;
	if (draft != CTASK_NONE) {
		uint32_t known = m->asked.count;

		asked.story = draft;
		if (number(m, &m->asked, &asked, sizeof(asked)) < known)
			draft = CTASK_NONE;
	}
	if (draft == CTASK_NONE) {
		draft = add_draft(m, item);
		asked.story = draft;
		number(m, &m->asked, &asked, sizeof(asked));
	}
	m->story_of_event[n] = draft;
	m->story_of_thread[thread] = draft;
	m->draft[item] = draft;
	m->drafts[draft].last_us = c->time_us;
	if (c->scope && c->scope_frame != CTASK_NONE && m->drafts[draft].owner == CTASK_NONE)
		m->drafts[draft].owner = item;
	m->drafts[draft].root_count++;
}

static int assign(struct making *m)
{
	const struct ctask_history *history = m->history;
	const size_t bytes = history->count * sizeof(uint32_t);

	memset(m->story_of_event, 0xff, bytes);
	memset(m->story_of_thread, 0xff, bytes);
	for (uint32_t i = 0; i < history->count && !m->failed; i++) {
		const struct ctask_cancellation *c = &history->items[i];
		const struct ctask_cancellation *cause =
			c->cause ? ctask_history_find(history, c->cause) : NULL;
		struct draft *d;

		/* A cause is older; what says otherwise is taken for a first request. */
		m->parent[i] = cause && cause < c ? (uint32_t)(cause - history->items) : CTASK_NONE;
		if (m->parent[i] == CTASK_NONE)
			assign_root(m, i);
		else
			m->draft[i] = m->draft[m->parent[i]];
		if (m->failed)
			break;
		d = &m->drafts[m->draft[i]];
		d->story.record_count++;
		d->story.last_id = c->id;
		d->story.outcome_counts[c->outcome]++;
		d->wanted |= ctask_story_wants(m->filter, c);
	}
	return m->failed ? -ENOMEM : 0;
}

/* Sort items by what brought them about, and first requests by story. */
static void sort_children(struct making *m)
{
	const uint32_t count = m->history->count;
	uint32_t at = 0;

	for (uint32_t i = 0; i < count; i++) {
		if (m->parent[i] != CTASK_NONE)
			m->children_first[m->parent[i] + 1]++;
	}
	for (uint32_t i = 0; i < count; i++)
		m->children_first[i + 1] += m->children_first[i];
	for (uint32_t d = 0; d < m->draft_count; d++) {
		m->drafts[d].roots_first = at;
		at += m->drafts[d].root_count;
		m->drafts[d].root_count = 0;
	}
	memcpy(m->rank, m->children_first, count * sizeof(*m->rank)); /* where the next one goes */
	for (uint32_t i = 0; i < count; i++) {
		struct draft *d = &m->drafts[m->draft[i]];

		if (m->parent[i] != CTASK_NONE)
			m->children[m->rank[m->parent[i]]++] = i;
		else
			m->roots[d->roots_first + d->root_count++] = i;
	}
}

/* --- what looks the same --- */

/* The functions of a stack that are not the runtime's own, whatever their lines. */
static uint32_t chain_number(struct making *m, const struct ctask_stack *stack)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < stack->count; i++) {
		const struct ctask_frame *f = frame_at(m->history, stack, i);

		if (f->library)
			continue;
		m->names[count++] = text_number(m, f->name);
		m->names[count++] = text_number(m, f->filename);
	}
	return number(m, &m->chains, m->names, count * sizeof(*m->names));
}

struct look {
	uint32_t coroutine, message, chain, place, call;
	uint8_t origin, through, outcome, has_repeats;
};

static uint32_t look_of(struct making *m, uint32_t item)
{
	const struct ctask_cancellation *c = &m->history->items[item];
	struct look look;

	memset(&look, 0, sizeof(look));
	look.coroutine = text_number(m, c->target_coroutine);
	look.message = loose_text_number(m, c->message);
	look.chain = chain_number(m, &c->target_stack);
	look.place = ctask_story_place(m->history, &c->target_stack);
	look.call = ctask_story_call(m->history, &c->target_stack);
	look.origin = (uint8_t)c->origin;
	look.through = (uint8_t)c->through;
	look.outcome = (uint8_t)c->outcome;
	look.has_repeats = c->repeats > 0;
	return number(m, &m->looks, &look, sizeof(look));
}

static int compare_numbers(const void *left, const void *right)
{
	const uint32_t *a = left, *b = right;

	return (*a > *b) - (*a < *b);
}

/* Append the distinct shapes of @p items to @p key, sorted. Returns how many. */
static uint32_t add_shapes(struct making *m, const uint32_t *items, uint32_t count, uint32_t *key)
{
	uint32_t distinct = 0;

	for (uint32_t i = 0; i < count; i++)
		key[i] = m->shape[items[i]];
	if (count)
		qsort(key, count, sizeof(*key), compare_numbers);
	for (uint32_t i = 0; i < count; i++) {
		if (i == 0 || key[i] != key[distinct - 1])
			key[distinct++] = key[i];
	}
	return distinct;
}

/* Children are younger than what brought them about: from the youngest on, theirs are known. */
static void find_shapes(struct making *m)
{
	for (uint32_t i = m->history->count; i-- > 0 && !m->failed;) {
		uint32_t first = m->children_first[i], count = m->children_first[i + 1] - first;

		m->key[0] = look_of(m, i);
		count = add_shapes(m, m->children + first, count, m->key + 1);
		m->shape[i] = number(m, &m->shapes, m->key, (count + 1) * sizeof(*m->key));
	}
}

struct cover {
	uint32_t who, exception_type, exception_message, message, where;
	uint8_t origin, through, requester_kind, itself;
};

/* What a story looks like: its first line, and the shapes below. */
static uint32_t story_shape(struct making *m, const struct draft *d)
{
	const struct ctask_cancellation *c = &m->history->items[d->story.item];
	bool by_task = c->requester_kind == CTASK_REQUESTER_TASK;
	struct cover cover;
	uint32_t head = (uint32_t)(sizeof(cover) / sizeof(*m->key));
	uint32_t count;

	memset(&cover, 0, sizeof(cover));
	cover.who = text_number(m, by_task ? c->requester_coroutine : c->requester_name);
	cover.exception_type = text_number(m, c->exception_type);
	cover.exception_message = loose_text_number(m, c->exception_message);
	cover.message = loose_text_number(m, c->message);
	cover.where = ctask_story_where(m->history, c);
	cover.origin = (uint8_t)c->origin;
	cover.through = (uint8_t)c->through;
	cover.requester_kind = (uint8_t)c->requester_kind;
	cover.itself = by_task && c->requester == c->target;
	_Static_assert(sizeof(cover) % sizeof(*m->key) == 0, "a cover is a number of words");
	memcpy(m->key, &cover, sizeof(cover));
	count = add_shapes(m, m->roots + d->roots_first, d->root_count, m->key + head);
	return number(m, &m->shapes, m->key, (head + count) * sizeof(*m->key));
}

/* --- stories --- */

/* Count an earlier time of the same to @p to. */
static void add_all(struct ctask_story *to, const struct ctask_story *from)
{
	to->times += from->times;
	to->first_us = from->first_us;
	to->record_count += from->record_count;
	for (size_t n = 0; n < CTASK_OUTCOMES; n++)
		to->outcome_counts[n] += from->outcome_counts[n];
	to->delay_low = fmin(to->delay_low, from->delay_low);
	to->delay_high = fmax(to->delay_high, from->delay_high);
}

static int compare_stories(const void *left, const void *right)
{
	const struct draft *a = left, *b = right;

	return (a->story.item > b->story.item) - (a->story.item < b->story.item);
}

/* Keep what was asked for; of stories that look the same, the latest. */
static int fold_stories(struct making *m)
{
	struct ctask_stories *s = m->stories;
	uint32_t kept = 0, shapes;
	auto_free uint32_t *at = NULL;

	for (uint32_t i = 0; i < m->draft_count && !m->failed; i++) {
		struct draft *d = &m->drafts[i];

		if (!d->wanted)
			continue;
		s->happened++;
		s->record_count += d->story.record_count;
		for (size_t n = 0; n < CTASK_OUTCOMES; n++)
			s->outcome_counts[n] += d->story.outcome_counts[n];
		d->shape = m->fold ? story_shape(m, d) : 0;
	}
	shapes = m->shapes.count;
	at = malloc(((size_t)shapes + 1) * sizeof(*at));
	if (!at || m->failed)
		return -ENOMEM;
	memset(at, 0xff, ((size_t)shapes + 1) * sizeof(*at));
	for (uint32_t i = 0; i < m->history->count; i++)
		s->told[i] = m->drafts[m->draft[i]].wanted;
	for (uint32_t i = 0; i < m->draft_count; i++) {
		struct draft d = m->drafts[i];
		const struct ctask_story *before;

		if (!d.wanted)
			continue;
		if (!m->fold || at[d.shape] == CTASK_NONE) {
			if (m->fold)
				at[d.shape] = kept;
			m->drafts[kept++] = d;
			continue;
		}
		before = &m->drafts[at[d.shape]].story;
		add_all(&d.story, before);
		m->drafts[at[d.shape]] = d;
	}
	m->draft_count = kept;
	if (kept)
		qsort(m->drafts, kept, sizeof(*m->drafts), compare_stories);
	return 0;
}

/* --- lines --- */

/* Lines that are still to be drawn: the next one last. */
struct waiting {
	struct ctask_story_line *lines;
	uint32_t count, room;
};

static bool push(struct waiting *w, const struct ctask_story_line *line)
{
	if (w->count == w->room) {
		uint32_t room = w->room * 2 + 64;
		void *grown = realloc(w->lines, room * sizeof(*w->lines));

		if (!grown)
			return false;
		w->lines = grown;
		w->room = room;
	}
	w->lines[w->count++] = *line;
	return true;
}

/*
 * Make lines of the @p count items in set, at @p depth: what looks the same is one
 * line, the lines in the order of their first items. Their members go to members from
 * *@p used on. Returns how many lines were added to @p w, or CTASK_NONE.
 */
static uint32_t make_lines(struct making *m, uint32_t count, uint32_t depth, uint32_t *used,
			   struct waiting *w)
{
	uint32_t *members = m->stories->members;
	uint32_t ranks = 0, first = *used, end = first;

	if (count)
		qsort(m->set, count, sizeof(*m->set), compare_numbers);
	m->epoch++;
	for (uint32_t i = 0; i < count; i++) {
		uint32_t shape = m->shape[m->set[i]];

		if (!m->fold) {
			m->rank[i] = ranks++;
			continue;
		}
		if (m->rank_epoch[shape] != m->epoch) {
			m->rank_epoch[shape] = m->epoch;
			m->rank_of[shape] = ranks++;
		}
		m->rank[i] = m->rank_of[shape];
	}
	/* key: how many of each rank, then where the next one goes. */
	memset(m->key, 0, ((size_t)ranks + 1) * sizeof(*m->key));
	for (uint32_t i = 0; i < count; i++)
		m->key[m->rank[i] + 1]++;
	for (uint32_t n = 0; n < ranks; n++)
		m->key[n + 1] += m->key[n];
	for (uint32_t n = ranks; n-- > 0;) {
		const struct ctask_story_line line = {
			.members_first = first + m->key[n],
			.member_count = m->key[n + 1] - m->key[n],
			.depth = depth,
			.last = n + 1 == ranks,
		};

		if (!push(w, &line))
			return CTASK_NONE;
	}
	for (uint32_t i = 0; i < count; i++, end++)
		members[first + m->key[m->rank[i]]++] = m->set[i];
	*used = end;
	return ranks;
}

static int draw(struct making *m, struct draft *d, uint32_t *used, struct waiting *w)
{
	struct ctask_stories *s = m->stories;

	d->story.line_first = s->line_count;
	memcpy(m->set, m->roots + d->roots_first, d->root_count * sizeof(*m->set));
	if (make_lines(m, d->root_count, 0, used, w) == CTASK_NONE)
		return -ENOMEM;
	while (w->count) {
		struct ctask_story_line *line = &s->lines[s->line_count++];
		uint32_t count = 0;

		*line = w->lines[--w->count];
		for (uint32_t i = 0; i < line->member_count; i++) {
			uint32_t item = s->members[line->members_first + i];

			for (uint32_t n = m->children_first[item]; n < m->children_first[item + 1];
			     n++)
				m->set[count++] = m->children[n];
		}
		line->child_count = make_lines(m, count, line->depth + 1, used, w);
		if (line->child_count == CTASK_NONE)
			return -ENOMEM;
	}
	d->story.line_count = s->line_count - d->story.line_first;
	return 0;
}

static int draw_all(struct making *m)
{
	struct ctask_stories *s = m->stories;
	struct waiting waiting = { 0 };
	uint32_t used = 0;
	int ret = 0;

	m->rank_of = malloc(((size_t)m->shapes.count + 1) * sizeof(*m->rank_of));
	m->rank_epoch = calloc((size_t)m->shapes.count + 1, sizeof(*m->rank_epoch));
	s->stories = malloc(((size_t)m->draft_count + 1) * sizeof(*s->stories));
	if (!m->rank_of || !m->rank_epoch || !s->stories)
		return -ENOMEM;
	for (uint32_t i = 0; i < m->draft_count && !ret; i++) {
		ret = draw(m, &m->drafts[i], &used, &waiting);
		s->stories[s->count++] = m->drafts[i].story;
	}
	free(waiting.lines);
	return ret;
}

/* Every item is in one line at most: all arrays have room for all items. */
static bool allocate(struct making *m)
{
	const size_t room = (size_t)m->history->count + sizeof(struct cover) / sizeof(*m->key) + 2;
	struct ctask_stories *s = m->stories;
	uint32_t deepest = 0;

	for (uint32_t i = 0; i < m->history->count; i++) {
		if (m->history->items[i].target_stack.count > deepest)
			deepest = m->history->items[i].target_stack.count;
	}
	m->names = malloc((2 * (size_t)deepest + 1) * sizeof(*m->names));
	m->parent = malloc(room * sizeof(*m->parent));
	m->draft = malloc(room * sizeof(*m->draft));
	m->children_first = calloc(room, sizeof(*m->children_first));
	m->children = malloc(room * sizeof(*m->children));
	m->roots = malloc(room * sizeof(*m->roots));
	m->shape = malloc(room * sizeof(*m->shape));
	m->drafts = malloc(room * sizeof(*m->drafts));
	m->key = malloc(room * sizeof(*m->key));
	m->set = malloc(room * sizeof(*m->set));
	m->rank = malloc(room * sizeof(*m->rank));
	m->story_of_event = malloc(room * sizeof(*m->story_of_event));
	m->story_of_thread = malloc(room * sizeof(*m->story_of_thread));
	s->lines = malloc(room * sizeof(*s->lines));
	s->members = malloc(room * sizeof(*s->members));
	s->told = calloc(room, sizeof(*s->told));
	return m->parent && m->draft && m->children_first && m->children && m->roots && m->shape &&
	       m->drafts && m->key && m->set && m->rank && m->names && m->story_of_event &&
	       m->story_of_thread && s->lines && s->members && s->told;
}

int ctask_stories_create(const struct ctask_history *history,
			 const struct ctask_story_filter *filter, bool fold,
			 struct ctask_stories **ret_stories, struct ctask_error *err)
{
	__attribute__((cleanup(making_fini))) struct making m = {
		.history = history,
		.filter = filter,
		.fold = fold,
		.stories = calloc(1, sizeof(*m.stories)),
	};
	int ret = m.stories && allocate(&m) ? assign(&m) : -ENOMEM;

	if (!ret) {
		sort_children(&m);
		if (fold)
			find_shapes(&m);
		ret = m.failed ? -ENOMEM : fold_stories(&m);
	}
	if (!ret)
		ret = draw_all(&m);
	if (ret) {
		ctask_stories_destroy(m.stories);
		return ctask_fail(err, ENOMEM, "out of memory");
	}
	*ret_stories = m.stories;
	return 0;
}

void ctask_stories_destroy(struct ctask_stories *s)
{
	if (!s)
		return;
	free(s->stories);
	free(s->lines);
	free(s->members);
	free(s->told);
	free(s);
}
