/* tell.c - tell a history as it grows: what is there, and what is new. */
#include "cli/tell.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "cli/render/cancels.h"
#include "model/cleanup.h"
#include "model/json_cancellation.h"

enum { SETTLE_US = 1000000 }; /* a story is told when all in it has ended, or after this time */

static int64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* --- JSON --- */

/* The items that were asked for, of these only the last if that was asked for too. */
static bool *choose(const struct ctask_telling *telling, const struct ctask_history *history,
		    bool all_of_them)
{
	bool *wanted = calloc((size_t)history->count + 1, sizeof(*wanted));
	uint32_t left = telling->has_last && !all_of_them ? telling->last : UINT32_MAX;

	for (uint32_t i = history->count; wanted && i-- > 0 && left > 0;) {
		wanted[i] = ctask_story_wants(telling->filter, &history->items[i]);
		left -= wanted[i];
	}
	return wanted;
}

static int write_json(const struct ctask_teller *t, const struct ctask_history *history,
		      struct ctask_error *err)
{
	auto_free bool *wanted = choose(t->telling, history, t->has_begun);

	if (!wanted)
		return ctask_fail(err, ENOMEM, "out of memory");
	return ctask_json_write_cancellations(history, wanted, stdout, err);
}

/* Each process counts from 1: in a stream of many no two requests may have one id. */
static void renumber(struct ctask_history *history, uint64_t first_id)
{
	for (uint32_t i = 0; i < history->count && first_id; i++) {
		struct ctask_cancellation *c = &history->items[i];

		c->id += first_id;
		c->root += first_id;
		if (c->cause)
			c->cause += first_id;
	}
}

/* --- text --- */

static int create_stories(const struct ctask_teller *t, const struct ctask_history *history,
			  struct ctask_cancels *ret, struct ctask_stories **ret_stories,
			  struct ctask_error *err)
{
	const struct ctask_telling *telling = t->telling;
	int ret_code = ctask_stories_create(history, telling->filter, telling->render->fold,
					    ret_stories, err);

	*ret = (struct ctask_cancels){
		.history = history,
		.stories = *ret_stories,
		.process = t->process,
		.missed = t->missed,
		.last = telling->last,
		.has_last = telling->has_last,
		.narrowed = telling->filter != NULL,
	};
	return ret_code;
}

static int write_text(const struct ctask_teller *t, const struct ctask_history *history,
		      struct ctask_error *err)
{
	struct ctask_stories *stories = NULL;
	struct ctask_cancels cancels;
	int ret = create_stories(t, history, &cancels, &stories, err);

	if (!ret)
		ret = ctask_render_cancels(&cancels, t->telling->render, stdout, err);
	ctask_stories_destroy(stories);
	return ret;
}

int ctask_teller_speak(struct ctask_teller *t, struct ctask_speaker *speaker,
		       const struct ctask_history *history, struct ctask_error *err)
{
	const struct ctask_cancels cancels = {
		.history = history,
		.process = t->process,
		.missed = t->missed,
	};

	if (!speaker || speaker->last == t)
		return 0;
	speaker->last = t;
	return ctask_render_heading(&cancels, t->telling->render, stdout, err);
}

/* Tell the stories that have something new in them. */
static int tell_new(struct ctask_teller *t, struct ctask_speaker *speaker, struct ctask_error *err)
{
	struct ctask_history *history = NULL;
	struct ctask_stories *stories = NULL;
	struct ctask_cancels cancels;
	int ret = ctask_history_read_from(t->reader, t->new_from, &history, err);

	if (ret)
		return ret;
	history->container = t->container;
	while (history->count && history->items[history->count - 1].id > t->seen_through)
		history->count--; /* comes with the next changes */
	ret = create_stories(t, history, &cancels, &stories, err);
	for (uint32_t i = 0; !ret && i < stories->count; i++) {
		if (stories->stories[i].last_id <= t->told_through)
			continue;
		cancels.below_heading = speaker && speaker->last != t;
		cancels.told_before =
			history->items[stories->stories[i].item].id <= t->told_through;
		ret = ctask_teller_speak(t, speaker, history, err);
		if (!ret)
			ret = ctask_render_story(&cancels, i, t->telling->render, stdout, err);
	}
	t->told_through = t->seen_through;
	t->new_from = 0;
	t->new_pending = false;
	ctask_stories_destroy(stories);
	ctask_history_destroy(history);
	return ret;
}

/* Of many, one that has nothing to tell is silent. */
static int begin_text(struct ctask_teller *t, struct ctask_speaker *speaker,
		      const struct ctask_history *history, struct ctask_error *err)
{
	t->told_through = t->seen_through;
	if (speaker && !history->count)
		return 0;
	if (speaker && speaker->last)
		putchar('\n');
	if (speaker)
		speaker->last = t;
	return write_text(t, history, err);
}

/* What has another outcome now is told at once; what is new waits until it has settled. */
static int take_text(struct ctask_teller *t, struct ctask_speaker *speaker,
		     const struct ctask_history *history, struct ctask_error *err)
{
	const struct ctask_cancels cancels = { .history = history, .process = t->process };
	int ret = 0;

	if (!t->has_begun)
		return begin_text(t, speaker, history, err);
	t->new_pending = false;
	for (uint32_t i = 0; i < history->count && !ret; i++) {
		const struct ctask_cancellation *c = &history->items[i];

		if (c->id > t->told_through) {
			if (!t->new_from) {
				t->new_from = c->root;
				t->new_since_us = now_us();
			}
			if (c->root < t->new_from)
				t->new_from = c->root;
			t->new_pending |= c->outcome == CTASK_OUTCOME_PENDING;
		} else if (c->outcome != CTASK_OUTCOME_PENDING &&
			   ctask_story_wants(t->telling->filter, c)) {
			ret = ctask_teller_speak(t, speaker, history, err);
			if (!ret)
				ret = ctask_render_outcome(&cancels, i, t->telling->render, stdout,
							   err);
		}
	}
	return ret;
}

/* --- both --- */

static int take(struct ctask_teller *t, struct ctask_speaker *speaker, struct ctask_error *err)
{
	struct ctask_history *history = NULL;
	int ret = ctask_history_read_changes(t->reader, &history, err);

	if (ret)
		return ret;
	history->container = t->container;
	t->dropped = history->dropped;
	t->unreadable += history->unreadable;
	t->ended = history->ended;
	if (history->count && history->items[history->count - 1].id > t->seen_through)
		t->seen_through = history->items[history->count - 1].id;
	if (t->telling->json) {
		renumber(history, t->first_id);
		ret = write_json(t, history, err);
	} else {
		ret = take_text(t, speaker, history, err);
	}
	t->has_begun = true;
	ctask_history_destroy(history);
	return ret;
}

static bool has_settled(const struct ctask_teller *t)
{
	return !t->new_pending || now_us() - t->new_since_us > SETTLE_US;
}

int ctask_teller_look(struct ctask_teller *t, struct ctask_speaker *speaker, bool is_last,
		      struct ctask_error *err)
{
	int ret = ctask_history_reader_changed(t->reader, err);

	if (ret > 0)
		ret = take(t, speaker, err);
	if (!ret && t->new_from && (is_last || has_settled(t)))
		ret = tell_new(t, speaker, err);
	return ret;
}

int ctask_tell_once(const struct ctask_teller *t, const struct ctask_history *history,
		    struct ctask_error *err)
{
	int ret;

	if (!t->telling->json)
		return write_text(t, history, err);
	ret = write_json(t, history, err);
	return ret ? ret : ctask_json_write_end(history->dropped, stdout, err);
}
