/* check_cancels.c - what a person reads about cancellations, to the letter. */
#include "cli/render/cancels.h"

#include "cli/render/reasons.h"
#include "tests/unit/asked.h"

static const struct ctask_render_options plain = { .utf8 = true, .fold = true };

static char *render(const struct ctask_history *history, struct ctask_render_options options,
		    uint32_t last)
{
	static ctask_text cmdline[] = { "python3", "svc.py" };
	const struct ctask_process process = {
		.pid = 4242, .nspid = 7, .cmdline = cmdline, .cmdline_count = 2
	};
	struct ctask_cancels cancels = { .history = history, .process = &process };
	struct ctask_stories *stories;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	ck_assert_int_eq(ctask_stories_create(history, NULL, options.fold, &stories, NULL), 0);
	cancels.stories = stories;
	cancels.last = last;
	cancels.has_last = last != UINT32_MAX;
	ck_assert_int_eq(ctask_render_cancels(&cancels, &options, out, NULL), 0);
	fclose(out);
	ctask_stories_destroy(stories);
	return text;
}

static void assert_text(struct ctask_history *history, struct ctask_render_options options,
			const char *want)
{
	auto_free char *got = render(history, options, UINT32_MAX);

	ck_assert_str_eq(got, want);
	ctask_history_destroy(history);
}

#define HEADING "python3 svc.py   pid 4242 (7 in its container) · CPython 3.13.5 · recorded since "

START_TEST(nothing)
{
	assert_text(asked_history(), plain, HEADING "18:26:03\nnothing has been cancelled\n");
}
END_TEST

/* Something has, and was not recorded: another interpreter of the process did it. */
START_TEST(nothing_on_record)
{
	struct ctask_history *history = asked_history();

	history->dropped = 1;
	assert_text(history, plain,
		    HEADING
		    "18:26:03\nno cancellation is on record · 1 is missing: no longer kept, "
		    "or not recorded\n");
}
END_TEST

/* The sketch of the design. */
static struct ctask_history *sketch(void)
{
	struct ctask_history *history = asked_history();
	struct ctask_cancellation *c;

	for (int i = 0; i < 2; i++) {
		uint64_t id = history->count + 1;

		asked_by_timeout(history, asked(history, 0, "Task-3", "handler", "handler:67"), 1,
				 0x10 * id);
		c = asked(history, id, "fetch", "fetch_data", "fetch_data:31 >StreamReader.read:9");
		c->after_s = 0.0004;
		c = asked(history, id, "store", "store_result", "store_result:44");
		c->through = CTASK_THROUGH_TASK_GROUP;
		c->outcome = CTASK_OUTCOME_SWALLOWED;
	}
	return history;
}

START_TEST(a_timeout)
{
	assert_text(
		sketch(), plain,
		HEADING
		"18:26:03\n"
		"6 requests to stop, from 2 events: 2 swallowed by 2*store_result, 4 ended as asked\n"
		"\n"
		"19:26:03.127  timeout: 1.0 s passed in handler (Task-3)  svc.py:67  2 times since "
		"19:26:03.124, 2 swallowed it in all\n"
		"└─ Task-3  handler  svc.py:67                                    taken back "
		"after 2.1 ms, as designed\n"
		"   ├─ await ── fetch  fetch_data  svc.py:31 › StreamReader.read  cancelled after "
		"0.4 ms\n"
		"   └─ task_group ── store  store_result  svc.py:44               swallowed it, "
		"still running after 60 s\n");
}
END_TEST

START_TEST(in_ascii_not_folded)
{
	struct ctask_history *history = sketch();

	history->count = 3;
	history->dropped = 12;
	history->read_at_us += 86400000000;
	assert_text(
		history, (struct ctask_render_options){ .ids = true },
		"python3 svc.py   pid 4242 (7 in its container) - CPython 3.13.5 - recorded since "
		"2026-11-21 18:26:03\n"
		"3 requests to stop, from 1 event: 1 swallowed by store_result (store), 2 ended as "
		"asked - 12 are missing: no longer kept, or not recorded\n"
		"\n"
		"2026-11-21 19:26:03.124  timeout: 1.0 s passed in handler (Task-3)  svc.py:67\n"
		"`- 1  0x7f0000000100  Task-3  handler  svc.py:67                       taken back "
		"after 2.1 ms, as designed\n"
		"   |- await -- 2  0x7f0000000200  fetch  fetch_data  svc.py:31 > StreamReader.read  "
		"cancelled after 0.4 ms\n"
		"   `- task_group -- 3  0x7f0000000300  store  store_result  svc.py:44  swallowed it, "
		"still running after 24 h 0 min\n");
}
END_TEST

/* Who swallowed several requests is one task all the same. */
START_TEST(swallowed_twice)
{
	struct ctask_history *history = asked_history();
	auto_free char *text = NULL;

	for (int i = 0; i < 5; i++) {
		struct ctask_cancellation *c =
			asked(history, 0, i % 2 ? "first" : "second", "poll", "poll:3");

		asked_by(history, c, "Task-1", "stop", "stop:7");
		c->outcome = CTASK_OUTCOME_SWALLOWED;
		c->target = i < 3 ? 0x100 : 0x200;
	}
	text = render(history, plain, UINT32_MAX);
	ck_assert_msg(strstr(text, "events: 5 swallowed by 2*poll\n") != NULL, "%s", text);
	free(text);
	history->count = 3;
	text = render(history, plain, UINT32_MAX);
	ck_assert_msg(strstr(text, "events: 3 swallowed by poll (second)\n") != NULL, "%s", text);
	ctask_history_destroy(history);
}
END_TEST

/* trio puts the module into the names; anyio puts a function of its own around all. */
START_TEST(names_of_trio_and_anyio)
{
	struct ctask_history *history = asked_history();
	auto_free char *text = NULL;

	for (int i = 0; i < 4; i++) {
		struct ctask_cancellation *c;
		uint32_t wrapper;

		c = asked(history, 0, i < 3 ? "svc.work" : "named", "TaskHandle._run_coro",
			  i == 2 ? "work:5 >sleep_forever:8" : "work:5 >sleep:9");
		wrapper = asked_frame(history, c->target_coroutine,
				      "/usr/lib/anyio/_core/_tasks.py", 265, true);
		ck_assert_int_eq(ctask_history_push_stack(history, &c->target_stack, wrapper), 0);
		asked_by(history, c, "svc.main", "main", "main:7");
	}
	history->items[3].outcome = CTASK_OUTCOME_SWALLOWED;
	text = render(history, plain, UINT32_MAX);
	ck_assert_str_eq(
		text, HEADING
		"18:26:03\n"
		"4 requests to stop, from 1 event: 1 swallowed by work (named), 3 ended as "
		"asked\n"
		"\n"
		"19:26:03.124  explicit: cancel() called by main  svc.py:7\n"
		"├─ 2*[work  svc.py:5 › sleep]      cancelled after 2.1 ms\n"
		"├─ work  svc.py:5 › sleep_forever  cancelled after 2.1 ms\n"
		"└─ named  work  svc.py:5 › sleep   swallowed it, still running after 60 s\n");
	ctask_history_destroy(history);
}
END_TEST

START_TEST(strokes)
{
	struct ctask_history *history = asked_history();
	auto_free char *text = NULL;

	asked_by(history, asked(history, 0, "a", "a", NULL), "t", "x", "x:1");
	asked(history, 1, "b", "b", NULL);
	asked(history, 2, "c", "c", NULL);
	asked(history, 1, "d", "d", NULL);
	asked(history, 4, "e", "e", NULL);
	text = render(history, plain, UINT32_MAX);
	ck_assert_ptr_nonnull(strstr(text, "\n"
					   "└─ a                 cancelled after 2.1 ms\n"
					   "   ├─ await ── b     cancelled after 2.1 ms\n"
					   "   │  └─ await ── c  cancelled after 2.1 ms\n"
					   "   └─ await ── d     cancelled after 2.1 ms\n"
					   "      └─ await ── e  cancelled after 2.1 ms\n"));
	ctask_history_destroy(history);
}
END_TEST

START_TEST(every_frame)
{
	struct ctask_history *history = asked_history();
	struct ctask_cancellation *c =
		asked(history, 0, "Task-2", "handler", "handler:67 >sleep:5");

	asked_by(history, c, "Task-9", "reaper", "reaper:7 stop:12");
	c->target_stack.cut = 3;
	assert_text(history,
		    (struct ctask_render_options){ .utf8 = true, .fold = true, .frames = true },
		    HEADING "18:26:03\n"
			    "1 request to stop, from 1 event: it ended as asked\n"
			    "\n"
			    "19:26:03.124  explicit: cancel() called by stop (Task-9)  svc.py:12\n"
			    "│  asked by this call:\n"
			    "│  reaper  /srv/svc.py:7\n"
			    "│  stop  /srv/svc.py:12\n"
			    "└─ Task-2  handler  svc.py:67 › sleep  cancelled after 2.1 ms\n"
			    "      (3 more frames were not recorded)\n"
			    "      handler  /srv/svc.py:67\n"
			    "      sleep  /usr/lib/asyncio/tasks.py:5\n");
}
END_TEST

/* Nothing from the target reaches the terminal as it is. */
START_TEST(hostile_text)
{
	struct ctask_history *history = asked_history();
	struct ctask_cancellation *c = asked(history, 0, "a\033[2J", "b\r", NULL);

	asked_by(history, c, "c\n", "d\xe2\x80\xae", "e\x1b:7");
	c->message = "f\x07";
	strcpy(history->python_version, "3\033[1m");
	assert_text(history, plain,
		    "python3 svc.py   pid 4242 (7 in its container) · CPython 3\\x1b[1m · recorded "
		    "since 18:26:03\n"
		    "1 request to stop, from 1 event: it ended as asked\n"
		    "\n"
		    "19:26:03.124  explicit: cancel() called by e\\x1b (c\\n)  svc.py:7 · "
		    "\"f\\x07\"\n"
		    "└─ a\\x1b[2J  b\\r  cancelled after 2.1 ms\n");
}
END_TEST

/* Ten thousand tasks are one line. */
START_TEST(many)
{
	struct ctask_history *history = asked_history();

	for (uint32_t i = 0; i < 10000; i++) {
		char name[32];
		struct ctask_cancellation *c;

		snprintf(name, sizeof(name), "worker-%u", i);
		c = asked(history, 0, name, "worker", "worker:33 >sleep:5");
		asked_by(history, c, "Task-9", "reaper", "reaper:7");
		c->after_s = 0.002 + i * 1e-6;
	}
	history->read_at_us += 100000000;
	assert_text(history, plain,
		    HEADING
		    "18:26:03\n"
		    "10000 requests to stop, from 1 event: all ended as asked\n"
		    "\n"
		    "19:26:03.124  explicit: cancel() called by reaper (Task-9)  svc.py:7\n"
		    "└─ 10000*[worker-*  worker  svc.py:33 › sleep]  cancelled after 2.0 to "
		    "12 ms\n");
}
END_TEST

START_TEST(the_last_ones)
{
	struct ctask_history *history = asked_history();
	auto_free char *one = NULL, *none = NULL;

	asked_by(history, asked(history, 0, "a", "f", NULL), "t", "x", "x:1");
	asked_by(history, asked(history, 0, "b", "g", NULL), "t", "y", "y:2");
	one = render(history, plain, 1);
	ck_assert_str_eq(one, HEADING "18:26:03\n"
				      "2 requests to stop, from 2 events: all ended as asked\n"
				      "the last 1 of 2 kinds of event:\n"
				      "\n"
				      "19:26:03.125  explicit: cancel() called by y (t)  svc.py:2\n"
				      "└─ b  g  cancelled after 2.1 ms\n");
	none = render(history, plain, 0);
	ck_assert_str_eq(none, HEADING "18:26:03\n"
				       "2 requests to stop, from 2 events: all ended as asked\n");
	ctask_history_destroy(history);
}
END_TEST

/* What happened is told whole; no line below passes the width, and how it ended stays to be seen. */
START_TEST(narrow_terminals)
{
	for (uint32_t width = 40; width < 120; width++) {
		struct ctask_history *history = sketch();
		struct ctask_render_options options = plain;
		auto_free char *text = NULL;
		char *rest, *row;

		options.width = width;
		text = render(history, options, UINT32_MAX);
		ck_assert_ptr_nonnull(strstr(text, " · recorded since 18:26:03\n"));
		ck_assert_ptr_nonnull(strstr(text, ", 4 ended as asked\n"));
		ck_assert_ptr_nonnull(strstr(text, ", 2 swallowed it in all\n"));
		ck_assert_msg(strstr(text, width < 60
						   ? "  swallowed it, s"
						   : "  swallowed it, still running after 60 s") !=
				      NULL,
			      "%u:\n%s", width, text);
		rest = text;
		while ((row = strsep(&rest, "\n")) != NULL) {
			uint32_t columns = 0;

			for (const char *at = row; *at; columns++)
				ctask_text_decode(&at);
			ck_assert_msg(columns <= width || strncmp(row, "python3 ", 8) == 0 ||
					      (*row >= '0' && *row <= '9'),
				      "%u: %s", width, row);
		}
		ctask_history_destroy(history);
	}
}
END_TEST

START_TEST(colours)
{
	struct ctask_history *history = sketch();
	struct ctask_render_options options = plain;
	auto_free char *text = NULL;

	options.color = true;
	text = render(history, options, UINT32_MAX);
	ck_assert_ptr_nonnull(strstr(text, "\033[0;1;31m2 swallowed by 2*store_result"));
	ck_assert_ptr_nonnull(strstr(text, "\033[0;1;31mswallowed it, still running after 60 s"));
	ctask_history_destroy(history);
}
END_TEST

/* --- reasons --- */

struct reason {
	enum ctask_origin origin;
	enum ctask_through through;
	enum ctask_requester_kind kind;
	const char *name, *coroutine, *stack; /* of who asked */
	const char *words;
	double delay_s, elapsed_s;
	const char *exception, *message, *failed;
};

static const struct reason reasons[] = {
	{ CTASK_ORIGIN_TIMEOUT, CTASK_THROUGH_TIMEOUT, CTASK_REQUESTER_CALLBACK, "_on_timeout",
	  NULL, NULL, "timeout: 1.0 s passed in main (t)  svc.py:12", 1, 1.002, NULL, NULL, NULL },
	{ CTASK_ORIGIN_TIMEOUT, CTASK_THROUGH_TIMEOUT, CTASK_REQUESTER_CALLBACK, "_on_timeout",
	  NULL, NULL,
	  "timeout: 50 ms (noticed after 3.2 s: the loop was busy) passed in main (t)  svc.py:12",
	  0.05, 3.2, NULL, NULL, NULL },
	{ CTASK_ORIGIN_TIMEOUT, CTASK_THROUGH_TIMEOUT, CTASK_REQUESTER_CALLBACK, "_on_timeout",
	  NULL, NULL, "timeout: the deadline passed in main (t)  svc.py:12", NAN, NAN, NULL, NULL,
	  NULL },
	{ CTASK_ORIGIN_TIMEOUT, CTASK_THROUGH_WAIT_FOR, CTASK_REQUESTER_TASK, "Task-3", "handler",
	  "handler:71 >wait_for:5", "timeout: wait_for 5.0 s passed in handler (Task-3)  svc.py:71",
	  5, 5, NULL, NULL, NULL },
	{ CTASK_ORIGIN_SIBLING_FAILED, CTASK_THROUGH_TASK_GROUP, CTASK_REQUESTER_CALLBACK,
	  "_on_task_done", NULL, ">TaskGroup._on_task_done:1",
	  "TaskGroup in main (t): child fetch-4 raised ValueError: boom", NAN, NAN, "ValueError",
	  "boom", "fetch-4" },
	{ CTASK_ORIGIN_SIBLING_FAILED, CTASK_THROUGH_TASK_GROUP, CTASK_REQUESTER_CALLBACK,
	  "_on_task_done", NULL, ">TaskGroup._on_task_done:1 >TaskGroup._abort:2",
	  "TaskGroup: a child raised an exception", NAN, NAN, NULL, NULL, NULL },
	{ CTASK_ORIGIN_OWNER_FAILED, CTASK_THROUGH_TASK_GROUP, CTASK_REQUESTER_TASK, "Task-1",
	  "serve", "serve:9 >TaskGroup.__aexit__:2",
	  "TaskGroup in serve (Task-1): its body raised KeyError: 'x'  svc.py:9", NAN, NAN,
	  "KeyError", "'x'", NULL },
	{ CTASK_ORIGIN_OWNER_CANCELLED, CTASK_THROUGH_AWAIT, CTASK_REQUESTER_TASK, "Task-1",
	  "serve", "serve:9", "passed on: serve (Task-1) was cancelled and passed it on  svc.py:9",
	  NAN, NAN, NULL, NULL, NULL },
	{ CTASK_ORIGIN_SHUTDOWN, CTASK_THROUGH_RUNNER, CTASK_REQUESTER_RUNNER, NULL, NULL,
	  "<module>:90 >run:1 >_cancel_all_tasks:2",
	  "shutdown: asyncio.run ends, and stops what is left  svc.py:90", NAN, NAN, NULL, NULL,
	  NULL },
	{ CTASK_ORIGIN_SHUTDOWN, CTASK_THROUGH_RUNNER, CTASK_REQUESTER_RUNNER, NULL, NULL,
	  "<module>:90 >Runner.close:1 >_cancel_all_tasks:2",
	  "shutdown: Runner.close ends, and stops what is left  svc.py:90", NAN, NAN, NULL, NULL,
	  NULL },
	{ CTASK_ORIGIN_SHUTDOWN, CTASK_THROUGH_RUNNER, CTASK_REQUESTER_RUNNER, NULL, NULL,
	  "<module>:90 run_app:528", "shutdown: run_app stops what is left  svc.py:528", NAN, NAN,
	  NULL, NULL, NULL },
	{ CTASK_ORIGIN_SHUTDOWN, CTASK_THROUGH_RUNNER, CTASK_REQUESTER_RUNNER, NULL, NULL,
	  ">run:1 >_cancel_all_tasks:2",
	  "shutdown: the event loop's runner ends, and stops what is left", NAN, NAN, NULL, NULL,
	  NULL },
	{ CTASK_ORIGIN_INTERRUPT, CTASK_THROUGH_RUNNER, CTASK_REQUESTER_SIGNAL, "Runner._on_sigint",
	  NULL, NULL, "interrupt: SIGINT (Ctrl-C)", NAN, NAN, NULL, NULL, NULL },
	{ CTASK_ORIGIN_EXPLICIT, CTASK_THROUGH_NONE, CTASK_REQUESTER_CALLBACK, "on_close", NULL,
	  "<module>:90 >run:1 >_run:2 on_close:8",
	  "explicit: cancel() called by the callback on_close  svc.py:8", NAN, NAN, NULL, NULL,
	  NULL },
	{ CTASK_ORIGIN_EXPLICIT, CTASK_THROUGH_NONE, CTASK_REQUESTER_CALLBACK, "Task.cancel", NULL,
	  "<module>:90 >run:1 >_run:2",
	  "explicit: cancel() scheduled as a callback (call_later, call_soon, "
	  "call_soon_threadsafe)",
	  NAN, NAN, NULL, NULL, NULL },
	{ CTASK_ORIGIN_EXPLICIT, CTASK_THROUGH_NONE, CTASK_REQUESTER_RUNNER, "close", NULL,
	  "close:4", "explicit: cancel() called outside of the loop, by close  svc.py:4", NAN, NAN,
	  NULL, NULL, NULL },
	{ CTASK_ORIGIN_EXPLICIT, CTASK_THROUGH_NONE, CTASK_REQUESTER_SIGNAL, "on_term", NULL,
	  "on_term:4", "explicit: cancel() called by a signal handler, on_term  svc.py:4", NAN, NAN,
	  NULL, NULL, NULL },
	{ CTASK_ORIGIN_EXPLICIT, CTASK_THROUGH_NONE, CTASK_REQUESTER_THREAD, "pool-1", NULL,
	  "work:4", "explicit: cancel() called in another thread, pool-1  svc.py:4", NAN, NAN, NULL,
	  NULL, NULL },
	{ CTASK_ORIGIN_EXPLICIT, CTASK_THROUGH_GATHER, CTASK_REQUESTER_TASK, "Task-2", "stop",
	  "stop:4", "explicit: gather.cancel() called by stop (Task-2)  svc.py:4", NAN, NAN, NULL,
	  NULL, NULL },
	{ CTASK_ORIGIN_UNKNOWN, CTASK_THROUGH_NONE, CTASK_REQUESTER_TASK, "Task-2", "stop",
	  "stop:4", "not explained: cancel() called by stop (Task-2)  svc.py:4", NAN, NAN, NULL,
	  NULL, NULL },
};

START_TEST(one_reason)
{
	const struct reason *r = &reasons[_i];
	struct ctask_history *history = asked_history();
	struct ctask_cancellation *c = asked(history, 0, "t", "main", "main:12");
	auto_free char *text = NULL;
	char *line;

	if (r->kind == CTASK_REQUESTER_TASK)
		asked_by(history, c, r->name, r->coroutine, r->stack);
	else
		asked_by_other(history, c, r->kind, r->name, r->stack);
	c->origin = r->origin;
	c->through = r->through;
	c->delay_s = r->delay_s;
	c->elapsed_s = r->elapsed_s;
	c->exception_type = r->exception;
	c->exception_message = r->message;
	c->failed_task_name = r->failed;
	text = render(history, plain, UINT32_MAX);
	line = strstr(text, "19:26:03.124  ");
	ck_assert_ptr_nonnull(line);
	line += strlen("19:26:03.124  ");
	line[strcspn(line, "\n")] = '\0';
	ck_assert_str_eq(line, r->words);
	ctask_history_destroy(history);
}
END_TEST

START_TEST(itself)
{
	struct ctask_history *history = asked_history();
	struct ctask_cancellation *c = asked(history, 0, "t", "main", "main:12");
	auto_free char *text = NULL;

	asked_by(history, c, "t", "main", "main:12");
	c->requester = c->target;
	text = render(history, plain, UINT32_MAX);
	ck_assert_ptr_nonnull(strstr(text, "  explicit: main (t) cancelled itself  svc.py:12\n"));
	ctask_history_destroy(history);
}
END_TEST

/* One scope of trio asks all: who comes out of it is the owner. */
START_TEST(owner_of_a_nursery)
{
	struct ctask_history *history = asked_history();
	struct ctask_cancellation *c[2];
	auto_free char *text = NULL;

	c[0] = asked(history, 0, "child", "work", "work:5");
	c[1] = asked(history, 0, "t", "main", "main:12");
	for (int i = 0; i < 2; i++) {
		asked_by(history, c[i], "bad", "fail", ">recalculate:1 >_child_finished:2");
		c[i]->origin = CTASK_ORIGIN_SIBLING_FAILED;
		c[i]->through = CTASK_THROUGH_NURSERY;
		c[i]->failed_task_name = "bad";
		c[i]->exception_type = "ValueError";
		c[i]->scope = 0x500;
		c[i]->root = c[0]->id;
	}
	c[0]->outcome = CTASK_OUTCOME_CANCELLED;
	c[1]->outcome = CTASK_OUTCOME_ABSORBED;
	text = render(history, plain, UINT32_MAX);
	ck_assert_msg(strstr(text, "  nursery in main (t): child bad raised ValueError\n") != NULL,
		      "%s", text);
	free(text);
	c[1]->target_stack = asked_stack(history, "main:12 serve:14 helper:3 >sleep:9");
	c[1]->scope_frame = 2;
	text = render(history, plain, UINT32_MAX);
	ck_assert_msg(strstr(text, "  nursery in serve (t): child bad") != NULL, "%s", text);
	ctask_history_destroy(history);
}
END_TEST

START_TEST(a_cause_that_is_gone)
{
	struct ctask_history *history = asked_history();
	auto_free char *text = NULL;

	asked(history, 9, "t", "main", "main:12")->id = 12;
	text = render(history, plain, UINT32_MAX);
	ck_assert_ptr_nonnull(strstr(text, "  passed on: a task was cancelled and passed it on; by "
					   "request 9, which is no longer kept\n"));
	ctask_history_destroy(history);
}
END_TEST

/* --- outcomes --- */

static const struct {
	enum ctask_outcome outcome;
	double after_s;
	const char *words;
} outcomes[] = {
	{ CTASK_OUTCOME_PENDING, NAN, "still stopping after 60 s" },
	{ CTASK_OUTCOME_CANCELLED, 0.3, "cancelled after 300 ms" },
	{ CTASK_OUTCOME_CANCELLED, NAN, "cancelled" },
	{ CTASK_OUTCOME_ABSORBED, 0.00004, "taken back after <0.1 ms, as designed" },
	{ CTASK_OUTCOME_RETURNED, 5.04, "returned a value instead, after 5.0 s" },
	{ CTASK_OUTCOME_RAISED, 65, "raised something else instead, after 65 s" },
	{ CTASK_OUTCOME_SWALLOWED, 0.001, "swallowed it, still running after 60 s" },
	{ CTASK_OUTCOME_UNKNOWN, NAN, "how it ended is not known" },
	{ CTASK_OUTCOME_UNKNOWN, 130, "ended after 2 min 10 s, unknown how" },
};

START_TEST(one_outcome)
{
	struct ctask_history *history = asked_history();
	struct ctask_cancellation *c = asked(history, 0, "t", "main", "main:12");
	struct ctask_line line = { .utf8 = true };
	uint32_t item = 0;

	c->outcome = outcomes[_i].outcome;
	c->after_s = outcomes[_i].after_s;
	ctask_line_begin(&line, CTASK_LINE_UNCUT);
	ctask_reason_outcome(&line, history, (struct ctask_alike){ &item, 1 });
	c->repeats = 2;
	ctask_line_words(&line, "|");
	ctask_reason_outcome(&line, history, (struct ctask_alike){ &item, 1 });
	ck_assert_uint_eq(line.len, 2 * strlen(outcomes[_i].words) + 1 + strlen(", asked 3 times"));
	ck_assert_int_eq(strncmp(line.bytes, outcomes[_i].words, strlen(outcomes[_i].words)), 0);
	ctask_line_fini(&line);
	ctask_history_destroy(history);
}
END_TEST

/* What was found by looking may have been so for long already. */
START_TEST(found_by_looking)
{
	static const struct {
		double resolution_s;
		const char *words;
	} looks[] = { { NAN, "after 4.0 to 5.0 ms" },
		      { 0.001, "after 4.0 to 5.0 ms" },
		      { 0.004, "within 5.0 ms" } };

	for (size_t i = 0; i < ARRAY_SIZE(looks); i++) {
		struct ctask_history *history = asked_history();
		auto_free char *text = NULL;

		for (int n = 0; n < 2; n++) {
			struct ctask_cancellation *c = asked(history, 0, "t", "main", "main:12");

			asked_by(history, c, "u", "stop", "stop:7");
			c->after_s = 0.004 + n / 1e3;
			c->resolution_s = looks[i].resolution_s;
		}
		text = render(history, plain, UINT32_MAX);
		ck_assert_msg(strstr(text, looks[i].words) != NULL, "%s", text);
		ctask_history_destroy(history);
	}
}
END_TEST

static const struct {
	double low, high;
	const char *words;
} times[] = {
	{ 0, 0, "<0.1 ms" },
	{ 0, 0.0002, "<0.1 to 0.2 ms" },
	{ 0.0021, 0.0021, "2.1 ms" },
	{ 0.0021, 0.00213, "2.1 ms" },
	{ 0.0021, 0.3, "2.1 to 300 ms" },
	{ 0.0021, 1.25, "2.1 ms to 1.2 s" },
	{ 0.9996, 0.9996, "1.0 s" },
	{ 1, 64, "1.0 to 64 s" },
	{ 64, 200, "64 s to 3 min 20 s" },
	{ 200, 200.2, "3 min 20 s" },
	{ 200, 260, "3 min 20 s to 4 min 20 s" },
};

START_TEST(one_time)
{
	struct ctask_line line = { .utf8 = true };

	ctask_line_begin(&line, CTASK_LINE_UNCUT);
	ctask_reason_time(&line, times[_i].low, times[_i].high);
	ck_assert_uint_eq(line.len, strlen(times[_i].words));
	ck_assert_mem_eq(line.bytes, times[_i].words, line.len);
	ctask_line_fini(&line);
}
END_TEST

/* --- a stream --- */

START_TEST(a_story_and_its_end)
{
	struct ctask_history *history = asked_history();
	struct ctask_cancellation *c = asked(history, 0, "t", "main", "main:12");
	struct ctask_cancels cancels = { .history = history };
	struct ctask_stories *stories;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	asked_by(history, c, "Task-9", "reaper", "reaper:7");
	c->outcome = CTASK_OUTCOME_PENDING;
	ck_assert_int_eq(ctask_stories_create(history, NULL, true, &stories, NULL), 0);
	cancels.stories = stories;
	ck_assert_int_eq(ctask_render_story(&cancels, 0, &plain, out, NULL), 0);
	c->outcome = CTASK_OUTCOME_RETURNED;
	ck_assert_int_eq(ctask_render_outcome(&cancels, 0, &plain, out, NULL), 0);
	cancels.told_before = true;
	ck_assert_int_eq(ctask_render_story(&cancels, 0, &plain, out, NULL), 0);
	fclose(out);
	ck_assert_str_eq(
		text, "\n"
		      "19:26:03.124  explicit: cancel() called by reaper (Task-9)  svc.py:7\n"
		      "└─ t  main  svc.py:12  still stopping after 60 s\n"
		      "\n"
		      "19:27:03.123  main (t) returned a value instead, after 2.1 ms: asked "
		      "at 19:26:03.124\n"
		      "\n"
		      "19:26:03.124  explicit: cancel() called by reaper (Task-9)  svc.py:7 · told "
		      "before, more came of it\n"
		      "└─ t  main  svc.py:12  returned a value instead, after 2.1 ms\n");
	free(text);
	ctask_stories_destroy(stories);
	ctask_history_destroy(history);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("cancels");

	setenv("TZ", "UTC0", 1);
	tcase_add_test(tests, nothing);
	tcase_add_test(tests, nothing_on_record);
	tcase_add_test(tests, a_timeout);
	tcase_add_test(tests, in_ascii_not_folded);
	tcase_add_test(tests, swallowed_twice);
	tcase_add_test(tests, names_of_trio_and_anyio);
	tcase_add_test(tests, strokes);
	tcase_add_test(tests, every_frame);
	tcase_add_test(tests, hostile_text);
	tcase_add_test(tests, many);
	tcase_add_test(tests, the_last_ones);
	tcase_add_test(tests, narrow_terminals);
	tcase_add_test(tests, colours);
	tcase_add_loop_test(tests, one_reason, 0, ARRAY_SIZE(reasons));
	tcase_add_test(tests, itself);
	tcase_add_test(tests, owner_of_a_nursery);
	tcase_add_test(tests, a_cause_that_is_gone);
	tcase_add_loop_test(tests, one_outcome, 0, ARRAY_SIZE(outcomes));
	tcase_add_test(tests, found_by_looking);
	tcase_add_loop_test(tests, one_time, 0, ARRAY_SIZE(times));
	tcase_add_test(tests, a_story_and_its_end);
	return made_run("cancels", tests);
}
