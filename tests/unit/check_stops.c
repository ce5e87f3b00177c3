/* check_stops.c - what is said beside a task of a request to stop it, and of how it was made. */
#include "cli/render/stops.h"

#include "cli/render/render.h"
#include "model/fit.h"
#include "tests/unit/asked.h"

static char *render(const struct ctask_snapshot *snap, ctask_render how,
		    struct ctask_render_options options)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	options.utf8 = true;
	ck_assert_int_eq(how(snap, &options, out, NULL), 0);
	fclose(out);
	return text;
}

/* @p count tasks, all made 12.5 s before the picture, which is of ASKED_AT plus two seconds. */
static struct ctask_snapshot *asked_snapshot(uint32_t count)
{
	struct ctask_snapshot *snap = made_snapshot();
	struct ctask_history *history = snap->history = asked_history();

	snap->capture.captured_at_us = ASKED_AT + 2000000;
	for (uint32_t i = 0; i < count; i++) {
		uint32_t task = made_numbered_task(snap, i, true);
		const struct ctask_birth_facts birth = {
			.task = snap->tasks[task].id,
			.time_us = ASKED_AT - 10500000,
			.frame = CTASK_NONE,
		};

		ck_assert_int_eq(ctask_history_add_birth(history, &birth), 0);
	}
	return snap;
}

/* Task @p task was asked by a timeout @p ms before the picture. */
static struct ctask_cancellation *timed_out(struct ctask_snapshot *snap, uint32_t task, int64_t ms,
					    enum ctask_outcome outcome)
{
	struct ctask_cancellation *c = asked(snap->history, 0, "t", "worker", "worker:66 >sleep:7");

	asked_by_timeout(snap->history, c, 1, 0xabc);
	c->target = snap->tasks[task].id;
	c->time_us = snap->capture.captured_at_us - ms * 1000;
	c->outcome = outcome;
	c->after_s = outcome == CTASK_OUTCOME_PENDING ? NAN : 0.0001;
	return c;
}

static const struct {
	int64_t ms;
	enum ctask_outcome outcome;
	bool pending, handled;
	int32_t requests;
	const char *words, *color;
} stops[] = {
	{ 300, CTASK_OUTCOME_PENDING, false, true, 1,
	  "svc.py:33  stopping: cleaning up for 300 ms (timeout, svc.py:66) · sleep 5 s\n",
	  "\033[0;33mstopping: " },
	{ 3, CTASK_OUTCOME_PENDING, true, false, 1,
	  "svc.py:33  stopping: asked 3.0 ms ago (timeout, svc.py:66), not delivered yet · sleep",
	  "\033[0;33mstopping: " },
	{ 300, CTASK_OUTCOME_PENDING, false, false, 0,
	  "svc.py:33  stopping for 300 ms (timeout, svc.py:66) · sleep", "\033[0;33mstopping for" },
	{ 1200, CTASK_OUTCOME_SWALLOWED, false, false, 1,
	  "svc.py:33  asked to stop 1.2 s ago (timeout, svc.py:66), swallowed it, still running · "
	  "sleep 5 s\n",
	  "\033[0;1;31masked to stop" },
	/* Its count is not taken back before 3.11; or it handles something else by now. */
	{ 1200, CTASK_OUTCOME_SWALLOWED, false, true, -1, "swallowed it, still running",
	  "\033[0;1;31masked to stop" },
	/* A newer request, of which there is no record yet. */
	{ 1200, CTASK_OUTCOME_SWALLOWED, true, false, 2,
	  "svc.py:33  asked to stop 2 times, not delivered yet · sleep", "\033[0;1;31masked" },
	/* What was taken back is no mark, whatever count the task keeps. */
	{ 1200, CTASK_OUTCOME_ABSORBED, false, false, 1, "svc.py:33  sleep 5 s\n", NULL },
	{ 1200, CTASK_OUTCOME_ABSORBED, false, true, 0, "svc.py:33  sleep 5 s\n", NULL },
	{ 1200, CTASK_OUTCOME_ABSORBED, true, false, 1, "svc.py:33  asked to stop, not delivered",
	  NULL },
};

START_TEST(one_stop)
{
	struct ctask_snapshot *snap = asked_snapshot(1);
	auto_free char *text = NULL, *colored = NULL;

	timed_out(snap, 0, stops[_i].ms, stops[_i].outcome);
	snap->tasks[0].cancel_pending = stops[_i].pending;
	snap->tasks[0].cancel_handled = stops[_i].handled;
	snap->tasks[0].cancel_requests = stops[_i].requests;
	ck_assert_int_eq(ctask_fit_history(snap), 0);
	text = render(snap, ctask_render_tree, (struct ctask_render_options){ .fold = true });
	ck_assert_msg(strstr(text, stops[_i].words) != NULL, "%d: %s", _i, text);
	colored = render(snap, ctask_render_tree, (struct ctask_render_options){ .color = true });
	ck_assert_msg(!stops[_i].color || strstr(colored, stops[_i].color), "%d: %s", _i, colored);
	ctask_snapshot_destroy(snap);
}
END_TEST

/* Without records memory is all there is; but where all were recorded, it handles an error of others. */
START_TEST(handled_without_a_request)
{
	struct ctask_snapshot *snap = asked_snapshot(1);
	auto_free char *whole = NULL, *dropped = NULL;

	snap->tasks[0].cancel_handled = true;
	ck_assert_int_eq(ctask_fit_history(snap), 0);
	whole = render(snap, ctask_render_tree, (struct ctask_render_options){ 0 });
	ck_assert_msg(strstr(whole, "svc.py:33  sleep 5 s\n") != NULL, "%s", whole);
	snap->history->dropped = 1;
	dropped = render(snap, ctask_render_tree, (struct ctask_render_options){ 0 });
	ck_assert_msg(strstr(dropped, "asked to stop, cleaning up · sleep") != NULL, "%s", dropped);
	ctask_snapshot_destroy(snap);
}
END_TEST

static const struct {
	enum ctask_origin origin;
	enum ctask_requester_kind kind;
	const char *stack, *exception, *words;
} causes[] = {
	{ CTASK_ORIGIN_EXPLICIT, CTASK_REQUESTER_TASK, "main:12", NULL,
	  "(cancel() in main, svc.py:12)" },
	{ CTASK_ORIGIN_EXPLICIT, CTASK_REQUESTER_CALLBACK, NULL, NULL, "(cancel() in a callback)" },
	{ CTASK_ORIGIN_EXPLICIT, CTASK_REQUESTER_THREAD, NULL, NULL,
	  "(cancel() in another thread)" },
	{ CTASK_ORIGIN_SIBLING_FAILED, CTASK_REQUESTER_CALLBACK, NULL, "ValueError",
	  "(a child raised ValueError)" },
	{ CTASK_ORIGIN_SIBLING_FAILED, CTASK_REQUESTER_CALLBACK, NULL, NULL,
	  "(a child raised an exception)" },
	{ CTASK_ORIGIN_OWNER_FAILED, CTASK_REQUESTER_TASK, "main:12 >__aexit__:9", "bad\n",
	  "(the group's body raised bad\\n, svc.py:12)" },
	{ CTASK_ORIGIN_OWNER_CANCELLED, CTASK_REQUESTER_TASK, "main:12", NULL,
	  "(passed on, svc.py:12)" },
	{ CTASK_ORIGIN_SHUTDOWN, CTASK_REQUESTER_RUNNER, "<module>:90 >run:1", NULL,
	  "(shutdown, svc.py:90)" },
	{ CTASK_ORIGIN_INTERRUPT, CTASK_REQUESTER_SIGNAL, NULL, NULL, "(SIGINT)" },
	{ CTASK_ORIGIN_UNKNOWN, CTASK_REQUESTER_TASK, "main:12", NULL,
	  "(not explained: cancel() in main, svc.py:12)" },
};

START_TEST(one_cause)
{
	struct ctask_snapshot *snap = asked_snapshot(1);
	struct ctask_cancellation *c = timed_out(snap, 0, 1200, CTASK_OUTCOME_SWALLOWED);
	auto_free char *text = NULL;

	c->origin = causes[_i].origin;
	c->requester_kind = causes[_i].kind;
	c->exception_type = causes[_i].exception;
	c->stack = (struct ctask_stack){ 0 };
	if (causes[_i].stack)
		c->stack = asked_stack(snap->history, causes[_i].stack);
	ck_assert_int_eq(ctask_fit_history(snap), 0);
	text = render(snap, ctask_render_tree, (struct ctask_render_options){ 0 });
	ck_assert_msg(strstr(text, causes[_i].words) != NULL, "%s", text);
	ctask_snapshot_destroy(snap);
}
END_TEST

/* The reason is that of the first request of the chain. */
START_TEST(passed_on)
{
	struct ctask_snapshot *snap = asked_snapshot(2);
	struct ctask_cancellation *c;
	auto_free char *text = NULL;

	timed_out(snap, 0, 1200, CTASK_OUTCOME_PENDING);
	c = asked(snap->history, 1, "t", "worker", NULL);
	c->target = snap->tasks[1].id;
	c->time_us = ASKED_AT + 800000;
	c->outcome = CTASK_OUTCOME_SWALLOWED;
	snap->tasks[0].cancel_handled = true;
	ck_assert_int_eq(ctask_fit_history(snap), 0);
	text = render(snap, ctask_render_tree, (struct ctask_render_options){ .fold = true });
	ck_assert_msg(strstr(text, "2 tasks (1 asked to stop, 1 swallowed that and went on) ·"),
		      "%s", text);
	ck_assert_msg(strstr(text, "cleaning up for 1.2 s (timeout, svc.py:66)"), "%s", text);
	ck_assert_msg(strstr(text, "asked to stop 1.2 s ago (timeout, svc.py:66), swallowed it"),
		      "%s", text);
	ctask_snapshot_destroy(snap);
}
END_TEST

/* Alike is what was asked for the same reason, at any time; and as often. */
START_TEST(folded)
{
	struct ctask_snapshot *snap = asked_snapshot(6);
	auto_free char *text = NULL;

	for (uint32_t i = 0; i < 4; i++)
		timed_out(snap, i, 1100 + 100 * i, CTASK_OUTCOME_SWALLOWED);
	timed_out(snap, 3, 10, CTASK_OUTCOME_SWALLOWED)->repeats = 1;
	timed_out(snap, 4, 700, CTASK_OUTCOME_PENDING);
	ck_assert_int_eq(ctask_fit_history(snap), 0);
	text = render(snap, ctask_render_tree, (struct ctask_render_options){ .fold = true });
	ck_assert_msg(strstr(text, "\n3*[worker  svc.py:33]      asked to stop 1.1 to 1.3 s ago "
				   "(timeout, svc.py:66), swallowed it, still running · sleep"),
		      "%s", text);
	ck_assert_msg(strstr(text, "asked to stop 3 times, last 10 ms ago (timeout, svc.py:66), "
				   "swallowed it"),
		      "%s", text);
	ck_assert_msg(strstr(text, "\nTask-4  worker  svc.py:33  stopping for 700 ms (timeout, "
				   "svc.py:66) · sleep"),
		      "%s", text);
	ck_assert_msg(strstr(text, "\nTask-5  worker  svc.py:33  sleep 5 s\n"), "%s", text);
	ctask_snapshot_destroy(snap);
}
END_TEST

static struct ctask_snapshot *born_snapshot(void)
{
	struct ctask_snapshot *snap = asked_snapshot(3);
	struct ctask_history *history = snap->history;

	history->births[1].creator = snap->tasks[0].id;
	history->births[1].frame = asked_frame(history, "spawn", "/srv/svc.py", 12, false);
	history->births[1].time_us = ASKED_AT + 1500000;
	history->birth_count--;
	ck_assert_int_eq(ctask_fit_history(snap), 0);
	return snap;
}

START_TEST(births_in_a_tree)
{
	struct ctask_snapshot *snap = born_snapshot();
	auto_free char *text =
		render(snap, ctask_render_tree, (struct ctask_render_options){ .frames = true });

	ck_assert_str_eq(strchr(text, '\n') + 1, "\n"
						 "Task-0  worker  svc.py:33  sleep 5 s\n"
						 "   worker  /srv/svc.py:33\n"
						 "   sleep  /usr/lib/asyncio/tasks.py:665\n"
						 "   made 12 s ago\n"
						 "Task-1  worker  svc.py:33  sleep 5 s\n"
						 "   worker  /srv/svc.py:33\n"
						 "   sleep  /usr/lib/asyncio/tasks.py:665\n"
						 "   made 0.5 s ago by spawn (Task-0)  svc.py:12\n"
						 "Task-2  worker  svc.py:33  sleep 5 s\n"
						 "   worker  /srv/svc.py:33\n"
						 "   sleep  /usr/lib/asyncio/tasks.py:665\n");
	ctask_snapshot_destroy(snap);
}
END_TEST

START_TEST(births_in_a_table)
{
	struct ctask_snapshot *snap = born_snapshot();
	auto_free char *text = render(snap, ctask_render_table, (struct ctask_render_options){ 0 });
	auto_free char *all =
		render(snap, ctask_render_table, (struct ctask_render_options){ .frames = true });
	auto_free char *csv = render(snap, ctask_render_csv, (struct ctask_render_options){ 0 });

	ck_assert_str_eq(text,
			 "ID              NAME    STATE      AGE  AWAITED BY  WHERE"
			 "              WAITS FOR\n"
			 "0x7f0000000000  Task-0  waiting   12 s  -           worker  svc.py:33"
			 "  sleep 5 s\n"
			 "0x7f0000000100  Task-1  waiting  0.5 s  -           worker  svc.py:33"
			 "  sleep 5 s\n"
			 "0x7f0000000200  Task-2  waiting      -  -           worker  svc.py:33"
			 "  sleep 5 s\n");
	ck_assert_msg(strstr(all, "worker  svc.py:33  spawn (Task-0)  svc.py:12  sleep 5 s\n"),
		      "%s", all);
	ck_assert_msg(strstr(csv, ",false,false,,12.500000,,,,\n"), "%s", csv);
	ck_assert_msg(strstr(csv, ",,0.500000,0x7f0000000000,spawn,/srv/svc.py,12\n"), "%s", csv);
	ctask_snapshot_destroy(snap);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("stops");

	tcase_add_loop_test(tests, one_stop, 0, ARRAY_SIZE(stops));
	tcase_add_test(tests, handled_without_a_request);
	tcase_add_loop_test(tests, one_cause, 0, ARRAY_SIZE(causes));
	tcase_add_test(tests, passed_on);
	tcase_add_test(tests, folded);
	tcase_add_test(tests, births_in_a_tree);
	tcase_add_test(tests, births_in_a_table);
	return made_run("stops", tests);
}
