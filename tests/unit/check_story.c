/* check_story.c - what belongs to one event, what came of it, and what is told once. */
#include "analysis/story.h"

#include "tests/unit/asked.h"

static struct ctask_stories *stories_of(const struct ctask_history *history,
					const struct ctask_story_filter *filter, bool fold)
{
	struct ctask_stories *stories;

	ck_assert_int_eq(ctask_stories_create(history, filter, fold, &stories, NULL), 0);
	return stories;
}

/*
 * All of it in one line: a story is "times:" and its lines, each in brackets
 * around what is below it: the number of its members, then their ids.
 */
static char *outline(const struct ctask_history *history, const struct ctask_stories *s)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	for (uint32_t n = 0; n < s->count; n++) {
		const struct ctask_story *story = &s->stories[n];
		uint32_t depth = 0;

		fprintf(out, "%s%u:", n ? " " : "", story->times);
		for (uint32_t i = 0; i < story->line_count; i++) {
			const struct ctask_story_line *line = &s->lines[story->line_first + i];

			for (; i > 0 && depth + 1 > line->depth; depth--)
				fputc(')', out);
			depth = line->depth;
			fputc('(', out);
			for (uint32_t m = 0; m < line->member_count; m++)
				fprintf(out, "%s%llu", m ? "," : "",
					(unsigned long long)history
						->items[s->members[line->members_first + m]]
						.id);
			if (line->last)
				fputc('.', out);
		}
		for (uint32_t i = 0; story->line_count && i < depth + 1; i++)
			fputc(')', out);
	}
	fclose(out);
	return text;
}

static void assert_stories(struct ctask_history *history, const struct ctask_story_filter *filter,
			   bool fold, const char *want)
{
	struct ctask_stories *s = stories_of(history, filter, fold);
	auto_free char *got = outline(history, s);

	ck_assert_str_eq(got, want);
	ctask_stories_destroy(s);
}

START_TEST(nothing)
{
	struct ctask_history *history = asked_history();

	assert_stories(history, NULL, true, "");
	assert_stories(history, NULL, false, "");
	ctask_stories_destroy(NULL);
	ctask_history_destroy(history);
}
END_TEST

START_TEST(a_chain_and_a_tree)
{
	struct ctask_history *history = asked_history();

	asked(history, 0, "a", "a", NULL);
	asked(history, 1, "b", "b", NULL);
	asked(history, 2, "c", "c", NULL);
	asked(history, 1, "d", "d", NULL);
	asked(history, 3, "e", "e", NULL);
	assert_stories(history, NULL, true, "1:(1.(2(3.(5.)))(4.))");
	ctask_history_destroy(history);
}
END_TEST

/* The children and the owner of one group; another group; the same one again, much later. */
START_TEST(one_event_of_a_group)
{
	struct ctask_history *history = asked_history();

	for (int i = 0; i < 3; i++)
		asked_by_group(history, asked(history, 0, "w", "worker", "worker:1"), 0x10, "bad",
			       "boom", false);
	asked(history, 2, "below", "below", NULL);
	asked_by_group(history, asked(history, 0, "m", "main", "main:9"), 0x10, "bad", "boom",
		       true);
	asked_by_group(history, asked(history, 0, "w", "worker", "worker:1"), 0x20, "bad", "boom",
		       false);
	asked_by_group(history, asked(history, 0, "w", "worker", "worker:1"), 0x20, "bad", "bang",
		       false);
	asked_by_group(history, asked(history, 0, "w", "worker", "worker:1"), 0x20, "bad", "bang",
		       false);
	history->items[7].time_us += 1000000;
	assert_stories(history, NULL, false, "1:(1)(2(4.))(3)(5.) 1:(6.) 1:(7.) 1:(8.)");
	ctask_history_destroy(history);
}
END_TEST

/* One loop that cancels many is one event, also over several lines; each of them is asked once. */
START_TEST(one_loop)
{
	struct ctask_history *history = asked_history();

	asked_by(history, asked(history, 0, "a", "w", NULL), "r", "reaper", "reaper:7 stop:3");
	asked_by(history, asked(history, 0, "b", "w", NULL), "r", "reaper", "reaper:7 stop:4");
	asked_by(history, asked(history, 0, "c", "w", NULL), "r", "reaper", "reaper:9 other:4");
	asked_by(history, asked(history, 0, "d", "w", NULL), "r", "reaper", "reaper:9 other:4");
	history->items[3].target = history->items[2].target;
	assert_stories(history, NULL, false, "1:(1)(2.) 1:(3.) 1:(4.)");
	ctask_history_destroy(history);
}
END_TEST

/* A scope of trio asks again when a shield in it ends; once it was left, another one lies at its address. */
START_TEST(a_scope_that_goes_on_asking)
{
	static const int64_t later_ms[] = { 0, 1, 880, 905 };
	struct ctask_history *history = asked_history();

	for (int i = 0; i < 4; i++) {
		struct ctask_cancellation *c = asked(history, 0, "w", "worker", "worker:1");

		asked_by_group(history, c, 0x10, "bad", "boom", i == 0);
		c->stack = history->items[0].stack;
		c->time_us = history->items[0].time_us + later_ms[i] * 1000;
	}
	history->items[0].after_s = 0.9;
	assert_stories(history, NULL, false, "1:(1)(2.) 1:(3.) 1:(4.)");
	history->items[0].scope_frame = 0;
	assert_stories(history, NULL, false, "1:(1)(2)(3.) 1:(4.)");
	history->items[0].outcome = CTASK_OUTCOME_PENDING;
	assert_stories(history, NULL, false, "1:(1)(2)(3)(4.)");
	history->items[3].target = history->items[2].target;
	assert_stories(history, NULL, false, "1:(1)(2)(3.) 1:(4.)");
	ctask_history_destroy(history);
}
END_TEST

/* Something else was asked in that thread meanwhile: the function had been suspended. */
START_TEST(not_in_one_go)
{
	struct ctask_history *history = asked_history();

	asked_by(history, asked(history, 0, "a", "w", NULL), "r", "reaper", "reaper:7");
	asked_by(history, asked(history, 0, "b", "w", NULL), "x", "other", "other:7");
	history->items[1].requester_thread = 4243;
	asked_by(history, asked(history, 0, "c", "w", NULL), "r", "reaper", "reaper:7");
	assert_stories(history, NULL, false, "1:(1)(3.) 1:(2.)");
	history->items[1].requester_thread = 4242;
	assert_stories(history, NULL, false, "1:(1.) 1:(2.) 1:(3.)");
	ctask_history_destroy(history);
}
END_TEST

START_TEST(timeouts_without_identity)
{
	struct ctask_history *history = asked_history();

	asked_by_timeout(history, asked(history, 0, "a", "w", NULL), 1, 0);
	asked_by_timeout(history, asked(history, 0, "b", "w", NULL), 1, 0);
	assert_stories(history, NULL, false, "1:(1.) 1:(2.)");
	assert_stories(history, NULL, true, "2:(2.)");
	ctask_history_destroy(history);
}
END_TEST

/* What brought it about is no longer there, or claims to be younger. */
START_TEST(causes_that_are_gone)
{
	struct ctask_history *history = asked_history();

	asked(history, 0, "a", "a", NULL)->id = 10;
	history->items[0].cause = 3;
	history->items[0].root = 2;
	asked(history, 0, "b", "b", NULL)->id = 11;
	history->items[1].cause = 3;
	asked(history, 0, "c", "c", NULL)->id = 12;
	history->items[2].cause = 12;
	asked(history, 0, "d", "d", NULL)->id = 13;
	history->items[3].cause = 99;
	assert_stories(history, NULL, false, "1:(10)(11.) 1:(12.) 1:(13.)");
	ctask_history_destroy(history);
}
END_TEST

/* Names and numbers may differ, places, coroutines and outcomes may not. */
START_TEST(alike_in_a_story)
{
	struct ctask_history *history = asked_history();

	for (int i = 0; i < 8; i++)
		asked_by(history, asked(history, 0, i % 2 ? "x" : "y", "w", i == 4 ? "w:2" : "w:1"),
			 "r", "reaper", "reaper:7");
	history->items[1].target_coroutine = "v";
	history->items[2].outcome = CTASK_OUTCOME_SWALLOWED;
	history->items[3].after_s = 17;
	asked(history, 6, "below", "below", NULL); /* makes 6 another shape */
	assert_stories(history, NULL, true, "1:(1,4,7,8)(2)(3)(5)(6.(9.))");
	assert_stories(history, NULL, false, "1:(1)(2)(3)(4)(5)(6(9.))(7)(8.)");
	ctask_history_destroy(history);
}
END_TEST

/* The way to the same place counts, but not its lines. */
START_TEST(alike_chains)
{
	static const char *const chains[] = { "w:1 f:7", "w:2 f:7", "w:1 x:5 f:7", "w:1 >g:5 f:7" };
	struct ctask_history *history = asked_history();

	for (int i = 0; i < 4; i++)
		asked_by(history, asked(history, 0, "x", "w", chains[i]), "r", "reaper",
			 "reaper:7");
	assert_stories(history, NULL, true, "1:(1,2,4)(3.)");
	ctask_history_destroy(history);
}
END_TEST

/* What is below lines that fold, folds too: how many are below each does not matter. */
START_TEST(alike_below)
{
	struct ctask_history *history = asked_history();

	for (int i = 0; i < 3; i++)
		asked_by(history, asked(history, 0, "x", "w", "w:1"), "r", "reaper", "reaper:7");
	asked(history, 1, "i", "inner", "inner:1");
	asked(history, 2, "i", "inner", "inner:1");
	asked(history, 2, "i", "inner", "inner:1");
	asked(history, 3, "i", "inner", "inner:1");
	assert_stories(history, NULL, true, "1:(1,2,3.(4,5,6,7.))");
	ctask_history_destroy(history);
}
END_TEST

static void timeout_story(struct ctask_history *history, const char *inner, double delay_s)
{
	uint64_t id = history->count + 1;

	asked_by_timeout(history, asked(history, 0, "t", "handler", "handler:3"), delay_s,
			 0x100 * id);
	asked(history, id, "i", inner, "inner:1");
}

START_TEST(alike_stories)
{
	struct ctask_history *history = asked_history();
	struct ctask_stories *s;

	timeout_story(history, "fetch", 1);
	timeout_story(history, "store", 9); /* another shape */
	timeout_story(history, "fetch", 3);
	timeout_story(history, "fetch", 2);
	history->items[7].outcome = CTASK_OUTCOME_PENDING; /* and another */
	timeout_story(history, "fetch", 2.5);
	asked(history, 9, "i", "fetch", "inner:1"); /* one more of the same */
	assert_stories(history, NULL, true, "1:(3.(4.)) 1:(7.(8.)) 3:(9.(10,11.))");
	s = stories_of(history, NULL, true);
	ck_assert_uint_eq(s->happened, 5);
	ck_assert_uint_eq(s->record_count, 11);
	ck_assert_uint_eq(s->outcome_counts[CTASK_OUTCOME_ABSORBED], 5);
	ck_assert_uint_eq(s->outcome_counts[CTASK_OUTCOME_CANCELLED], 5);
	ck_assert_uint_eq(s->outcome_counts[CTASK_OUTCOME_PENDING], 1);
	ck_assert_double_eq(s->stories[2].delay_low, 1);
	ck_assert_double_eq(s->stories[2].delay_high, 3);
	ck_assert_int_eq(s->stories[2].first_us, history->items[0].time_us);
	ck_assert_uint_eq(s->stories[2].record_count, 7);
	ck_assert_uint_eq(s->stories[2].outcome_counts[CTASK_OUTCOME_CANCELLED], 4);
	ck_assert_uint_eq(s->stories[2].last_id, 11);
	ctask_stories_destroy(s);
	ctask_history_destroy(history);
}
END_TEST

/* Messages that differ in numbers are the same story; in words they are not. */
START_TEST(alike_messages)
{
	static const char *const messages[] = { "no 7 of 12", "no 8 of 3", "not 8 of 3", NULL };
	struct ctask_history *history = asked_history();

	for (int i = 0; i < 4; i++)
		asked_by_group(history, asked(history, 0, "w", "worker", "worker:1"),
			       0x10 * (uint64_t)(i + 1), "bad", messages[i], false);
	assert_stories(history, NULL, true, "2:(2.) 1:(3.) 1:(4.)");
	ctask_history_destroy(history);
}
END_TEST

static struct ctask_history *three_stories(void)
{
	struct ctask_history *history = asked_history();

	timeout_story(history, "fetch", 1);
	asked_by(history, asked(history, 0, "a", "w", NULL), "Task-9", "reaper", "reaper:7");
	asked_by_group(history, asked(history, 0, "w", "worker", NULL), 0x10, "bad", "x", false);
	return history;
}

static const struct {
	struct ctask_story_filter filter;
	const char *stories;
	const char *wanted; /* one letter for each record */
} filters[] = {
	{ { .any_origin = true }, "1:(1.(2.)) 1:(3.) 1:(4.)", "yyyy" },
	{ { .any_origin = true, .since_us = ASKED_AT + 2000 }, "1:(1.(2.)) 1:(3.) 1:(4.)", "nyyy" },
	{ { .any_origin = true, .since_us = ASKED_AT + 2001 }, "1:(3.) 1:(4.)", "nnyy" },
	{ { .any_origin = true, .since_us = ASKED_AT + 9000 }, "", "nnnn" },
	{ { .origin = CTASK_ORIGIN_OWNER_CANCELLED }, "1:(1.(2.))", "nynn" },
	{ { .origin = CTASK_ORIGIN_UNKNOWN }, "", "nnnn" },
	{ { .origin = CTASK_ORIGIN_EXPLICIT, .since_us = ASKED_AT + 4000 }, "", "nnnn" },
	{ { .any_origin = true, .task = "fetch" }, "1:(1.(2.))", "nynn" },
	{ { .any_origin = true, .task = "Task-9" }, "1:(3.)", "nnyn" },
	{ { .any_origin = true, .task = "reaper" }, "1:(3.)", "nnyn" },
	{ { .any_origin = true, .task = "0x7e0000000000" }, "1:(3.)", "nnyn" },
	{ { .any_origin = true, .task = "0x7f0000000300" }, "1:(3.)", "nnyn" },
	{ { .any_origin = true, .task = "bad" }, "1:(4.)", "nnny" },
	{ { .any_origin = true, .task = "0xbad" }, "1:(4.)", "nnny" },
	{ { .any_origin = true, .task = "0x0" }, "", "nnnn" },
	/* A callback is no task. */
	{ { .any_origin = true, .task = "Timeout._on_timeout" }, "", "nnnn" },
};

START_TEST(one_filter)
{
	struct ctask_history *history = three_stories();
	struct ctask_stories *s = stories_of(history, &filters[_i].filter, true);
	char wanted[8] = "";

	for (uint32_t i = 0; i < history->count; i++)
		strcat(wanted,
		       ctask_story_wants(&filters[_i].filter, &history->items[i]) ? "y" : "n");
	ck_assert_str_eq(wanted, filters[_i].wanted);
	ck_assert(ctask_story_wants(NULL, &history->items[0]));
	assert_stories(history, &filters[_i].filter, true, filters[_i].stories);
	for (uint32_t i = 0; i < history->count; i++) { /* told: its story is */
		char id[16];

		snprintf(id, sizeof(id), "(%u.", i + 1);
		ck_assert_int_eq(s->told[i], strstr(filters[_i].stories, id) != NULL);
	}
	ctask_stories_destroy(s);
	ctask_history_destroy(history);
}
END_TEST

static const struct {
	enum ctask_origin origin;
	enum ctask_through through;
	enum ctask_requester_kind kind;
	const char *target, *stack;
	uint32_t line; /* of the place, 0 = none */
} places[] = {
	/* The time limit of the task itself: where it stood. */
	{ CTASK_ORIGIN_TIMEOUT, CTASK_THROUGH_TIMEOUT, CTASK_REQUESTER_CALLBACK,
	  "main:1 work:2 >sleep:3", "<module>:90 >run:1", 2 },
	/* wait_for inside of it: who called that. */
	{ CTASK_ORIGIN_TIMEOUT, CTASK_THROUGH_WAIT_FOR, CTASK_REQUESTER_CALLBACK,
	  "main:1 wf:2 >wait_for:3 work:4 >sleep:5", "<module>:90 >run:1", 2 },
	/* wait_for in another task, which asks. */
	{ CTASK_ORIGIN_TIMEOUT, CTASK_THROUGH_WAIT_FOR, CTASK_REQUESTER_TASK, "work:4 >sleep:5",
	  "<module>:90 >run:1 >Handle._run:2 main:1 wf:7 >wait_for:3", 7 },
	{ CTASK_ORIGIN_EXPLICIT, CTASK_THROUGH_NONE, CTASK_REQUESTER_TASK, "w:1",
	  "<module>:90 >run:1 >Handle._run:2 reaper:7", 7 },
	/* A callback without code of its own: the loop's caller did not ask. */
	{ CTASK_ORIGIN_EXPLICIT, CTASK_THROUGH_NONE, CTASK_REQUESTER_CALLBACK, "w:1",
	  "<module>:90 >run:1 >Handle._run:2", 0 },
	{ CTASK_ORIGIN_EXPLICIT, CTASK_THROUGH_NONE, CTASK_REQUESTER_CALLBACK, "w:1",
	  "<module>:90 >run:1 >Handle._run:2 on_close:8", 8 },
	{ CTASK_ORIGIN_UNKNOWN, CTASK_THROUGH_NONE, CTASK_REQUESTER_CALLBACK, "w:1",
	  "<module>:90 serve:86 >Runner.run:1 >CancelScope._timeout:2", 0 },
	/* But code around the loop did. */
	{ CTASK_ORIGIN_SHUTDOWN, CTASK_THROUGH_RUNNER, CTASK_REQUESTER_RUNNER, "w:1",
	  "<module>:90 >run:1 >run_until_complete:2", 90 },
	{ CTASK_ORIGIN_SIBLING_FAILED, CTASK_THROUGH_TASK_GROUP, CTASK_REQUESTER_CALLBACK, "w:1",
	  "<module>:90 >run:1 >_on_task_done:2", 0 },
	{ CTASK_ORIGIN_INTERRUPT, CTASK_THROUGH_RUNNER, CTASK_REQUESTER_SIGNAL, "w:1",
	  "<module>:90 >run:1 >_run_once:2 select:468 >Runner._on_sigint:5", 0 },
	/* To 3.10 the KeyboardInterrupt reaches the runner. */
	{ CTASK_ORIGIN_INTERRUPT, CTASK_THROUGH_RUNNER, CTASK_REQUESTER_RUNNER, "w:1",
	  "<module>:90 >run:1 >_cancel_all_tasks:2", 90 },
};

START_TEST(one_place)
{
	struct ctask_history *history = asked_history();
	struct ctask_cancellation *c = asked(history, 0, "t", "c", places[_i].target);
	uint32_t frame;

	asked_by_other(history, c, places[_i].kind, "x", places[_i].stack);
	c->origin = places[_i].origin;
	c->through = places[_i].through;
	frame = ctask_story_where(history, c);
	ck_assert_uint_eq(frame == CTASK_NONE ? 0 : history->frames[frame].line, places[_i].line);
	ctask_history_destroy(history);
}
END_TEST

/* Deeper than any stack of ours: nothing here calls itself. */
START_TEST(a_chain_without_end)
{
	enum { DEPTH = 200000 };
	struct ctask_history *history = asked_history();
	struct ctask_stories *s;

	for (uint32_t i = 0; i < DEPTH; i++)
		asked(history, i, "t", "c", NULL);
	s = stories_of(history, NULL, true);
	ck_assert_uint_eq(s->count, 1);
	ck_assert_uint_eq(s->line_count, DEPTH);
	ck_assert_uint_eq(s->lines[DEPTH - 1].depth, DEPTH - 1);
	ctask_stories_destroy(s);
	ctask_history_destroy(history);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("story");

	tcase_add_test(tests, nothing);
	tcase_add_test(tests, a_chain_and_a_tree);
	tcase_add_test(tests, one_event_of_a_group);
	tcase_add_test(tests, one_loop);
	tcase_add_test(tests, a_scope_that_goes_on_asking);
	tcase_add_test(tests, not_in_one_go);
	tcase_add_test(tests, timeouts_without_identity);
	tcase_add_test(tests, causes_that_are_gone);
	tcase_add_test(tests, alike_in_a_story);
	tcase_add_test(tests, alike_chains);
	tcase_add_test(tests, alike_below);
	tcase_add_test(tests, alike_stories);
	tcase_add_test(tests, alike_messages);
	tcase_add_loop_test(tests, one_filter, 0, ARRAY_SIZE(filters));
	tcase_add_loop_test(tests, one_place, 0, ARRAY_SIZE(places));
	tcase_add_test(tests, a_chain_without_end);
	return made_run("story", tests);
}
