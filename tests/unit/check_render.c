/* check_render.c - text formats: what a person sees, and that nothing from a target gets out raw. */
#include "cli/render/render.h"

#include "analysis/narrow.h"
#include "cli/render/glyph.h"
#include "cli/render/line.h"
#include "cli/render/words.h"
#include "tests/unit/made.h"

static const struct ctask_render_options plain = { .utf8 = true, .fold = true };

static char *render(const struct ctask_snapshot *snap, ctask_render format,
		    struct ctask_render_options options)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	ck_assert_int_eq(format(snap, &options, out, NULL), 0);
	fclose(out);
	return text;
}

static void assert_text(const struct ctask_snapshot *snap, ctask_render format,
			struct ctask_render_options options, const char *want)
{
	auto_free char *got = render(snap, format, options);

	ck_assert_str_eq(got, want);
}

/* A service: a group of handlers and a sleeper below a gather, and a stubborn task. */
static struct ctask_snapshot *service(void)
{
	static ctask_text cmdline[] = { "python3", "svc.py" };
	struct ctask_snapshot *snap = made_snapshot();
	uint32_t root = made_task(snap, "Task-1", false);
	uint32_t ingest = made_task(snap, "ingest", false);
	uint32_t task;

	snap->process.cmdline = malloc(sizeof(cmdline));
	memcpy(snap->process.cmdline, cmdline, sizeof(cmdline));
	snap->process.cmdline_count = 2;
	snap->capture.elapsed_us = 2123;
	made_edge(snap, root, ingest, CTASK_EDGE_GATHER);
	for (uint32_t i = 0; i < 12; i++) {
		task = made_numbered_task(snap, 10 + i, true);
		snap->tasks[task].wait_left_s = 0.9 + 0.2 * i;
		made_edge(snap, ingest, task, CTASK_EDGE_TASK_GROUP);
	}
	task = made_task(snap, "report", true);
	snap->tasks[task].cancel_requests = 2;
	snap->tasks[task].wait_text = "Event.wait";
	made_edge(snap, root, task, CTASK_EDGE_WAIT_FOR);
	return snap;
}

START_TEST(a_tree)
{
	struct ctask_snapshot *snap = service();

	assert_text(
		snap, ctask_render_tree, plain,
		"python3 svc.py   pid 4242 (7 in its container) · CPython 3.13.5 · asyncio, "
		"15 tasks (1 went on though asked to stop) · read in 2.1 ms, not stopped\n"
		"\n"
		"Task-1  worker  svc.py:33\n"
		"├─ gather ── ingest  worker  svc.py:33\n"
		"│  └─ task_group ── 12*[worker  svc.py:33]  sleep 5 s, 0.9 to 3.1 s left\n"
		"└─ wait_for ── report  worker  svc.py:33    was asked to stop 2 times, goes on · Event.wait\n");
	ctask_snapshot_destroy(snap);
}
END_TEST

/* What a task waits for is told by the lines below it; how long it waits at most is not. */
START_TEST(limits_above_others)
{
	struct ctask_snapshot *snap = made_snapshot();

	for (uint32_t i = 0; i < 3; i++) {
		uint32_t waiter = made_task(snap, (const char *[]){ "a", "b", "c" }[i], true);

		snap->tasks[waiter].wait_kind = CTASK_WAIT_GATHER;
		snap->tasks[waiter].wait_text =
			(ctask_text[]){ "gather of 1, wait_for 5 s", "first of 1",
					"gather of 1, timeout" }[i];
		snap->tasks[waiter].wait_left_s = 2.6 - 3 * (i == 2);
		made_edge(snap, waiter, made_task(snap, "child", true), CTASK_EDGE_GATHER);
	}
	assert_text(snap, ctask_render_tree, plain,
		    "pid 4242 (7 in its container) · CPython 3.13.5 · asyncio, 6 tasks · read in "
		    "0.0 ms, not stopped\n"
		    "\n"
		    "a  worker  svc.py:33                   wait_for 5 s, 2.6 s left\n"
		    "└─ gather ── child  worker  svc.py:33  sleep 5 s\n"
		    "b  worker  svc.py:33                   2.6 s left\n"
		    "└─ gather ── child  worker  svc.py:33  sleep 5 s\n"
		    "c  worker  svc.py:33                   timeout, 0.4 s overdue\n"
		    "└─ gather ── child  worker  svc.py:33  sleep 5 s\n");
	ctask_snapshot_destroy(snap);
}
END_TEST

START_TEST(a_tree_in_ascii_with_ids)
{
	struct ctask_snapshot *snap = made_snapshot();
	uint32_t waiter = made_task(snap, "caf\xc3\xa9", false);

	made_edge(snap, waiter, made_task(snap, "b", true), CTASK_EDGE_SHIELD);
	snap->tasks[1].wait_id = 0x7f00000abc00;
	snap->capture.paused_us = 1250;
	assert_text(
		snap, ctask_render_tree, (struct ctask_render_options){ .ids = true },
		"pid 4242 (7 in its container) - CPython 3.13.5 - asyncio, 2 tasks - read in "
		"0.0 ms, stopped for 1.2 ms\n"
		"\n"
		"0x7f0000000000  caf\\xe9  worker  svc.py:33\n"
		"`- shield -- 0x7f0000000100  b  worker  svc.py:33  sleep 5 s - 0x7f00000abc00\n");
	ctask_snapshot_destroy(snap);
}
END_TEST

START_TEST(a_running_task)
{
	struct ctask_snapshot *snap = made_snapshot();
	uint32_t task = made_task(snap, "worker", false);

	snap->tasks[task].state = CTASK_RUNNING;
	snap->tasks[task].wait_kind = CTASK_WAIT_NONE;
	snap->tasks[task].stack_first = snap->stack_frame_count;
	snap->tasks[task].stack_count = 0;
	ck_assert_int_eq(ctask_snapshot_push_stack(snap, 1), 0);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(ctask_snapshot_push_stack(snap, 0), 0);
	made_edge(snap, task, made_task(snap, "b", true), CTASK_EDGE_TASK_GROUP);
	assert_text(snap, ctask_render_tree, plain,
		    "pid 4242 (7 in its container) · CPython 3.13.5 · asyncio, 2 tasks (1 running) "
		    "· read in 0.0 ms, not stopped\n"
		    "\n"
		    "worker › worker › worker  svc.py:33    running\n"
		    "│  worker  /srv/svc.py:33\n"
		    "│  worker  /srv/svc.py:33\n"
		    "│  worker  /srv/svc.py:33\n"
		    "│  sleep  /usr/lib/asyncio/tasks.py:665\n"
		    "└─ task_group ── b  worker  svc.py:33  sleep 5 s\n");
	ctask_snapshot_destroy(snap);
}
END_TEST

static void made_scope(struct ctask_snapshot *snap, uint32_t owner, struct ctask_scope scope)
{
	uint32_t i = ctask_snapshot_add_scope(snap);

	ck_assert_uint_ne(i, CTASK_NONE);
	scope.id = 0x7e0000000000 + i;
	scope.owner = owner;
	scope.parent = CTASK_NONE;
	snap->scopes[i] = scope;
}

/* What is more of a scope than that it is there; with several that look alike, without their times. */
START_TEST(scopes)
{
	struct ctask_snapshot *snap = made_snapshot();

	for (int i = 0; i < 4; i++)
		made_numbered_task(snap, (uint32_t)i, true);
	snap->tasks[0].wait_left_s = 5;
	made_scope(snap, 0,
		   (struct ctask_scope){ .kind = CTASK_SCOPE_CANCEL_SCOPE, .deadline_in_s = 5 });
	made_scope(snap, 0,
		   (struct ctask_scope){
			   .kind = CTASK_SCOPE_CANCEL_SCOPE, .deadline_in_s = 70, .shield = true });
	made_scope(snap, 0,
		   (struct ctask_scope){ .kind = CTASK_SCOPE_NURSERY,
					 .deadline_in_s = NAN,
					 .cancel_called = true,
					 .reason = "too\nmany" });
	made_scope(snap, 1,
		   (struct ctask_scope){ .kind = CTASK_SCOPE_NURSERY, .deadline_in_s = NAN });
	made_scope(snap, 1,
		   (struct ctask_scope){ .kind = CTASK_SCOPE_TIMEOUT, .deadline_in_s = 3 });
	for (uint32_t i = 2; i < 4; i++)
		made_scope(snap, i,
			   (struct ctask_scope){ .kind = CTASK_SCOPE_CANCEL_SCOPE,
						 .deadline_in_s = 7 * i });
	assert_text(snap, ctask_render_tree, plain,
		    "pid 4242 (7 in its container) · CPython 3.13.5 · asyncio, 4 tasks · read in "
		    "0.0 ms, not stopped\n"
		    "\n"
		    "Task-0  worker  svc.py:33  sleep 5 s, 5.0 s left · cancel scope, 70 s left, "
		    "shielded · nursery cancelled (too\\nmany)\n"
		    "Task-1  worker  svc.py:33  sleep 5 s\n"
		    "2*[worker  svc.py:33]      sleep 5 s · cancel scope with a deadline\n");
	ctask_snapshot_destroy(snap);
}
END_TEST

/* A deadline is told of the task that is inside of its scope, and not again of what is below. */
START_TEST(deadlines)
{
	struct ctask_snapshot *snap = made_snapshot();
	uint32_t top = made_task(snap, "top", true), child = made_task(snap, "child", true);
	uint32_t late = made_task(snap, "late", true);

	snap->tasks[top].wait_kind = snap->tasks[child].wait_kind = CTASK_WAIT_EVENT;
	for (uint32_t i = top; i <= late; i++) {
		snap->tasks[i].wait_text = "Event.wait, 1 waiting, deadline";
		snap->tasks[i].wait_left_s = 599;
	}
	snap->tasks[late].wait_left_s = -3;
	made_edge(snap, top, child, CTASK_EDGE_NURSERY);
	made_scope(snap, top,
		   (struct ctask_scope){ .kind = CTASK_SCOPE_NURSERY, .deadline_in_s = 599 });
	made_scope(snap, late,
		   (struct ctask_scope){ .kind = CTASK_SCOPE_CANCEL_SCOPE, .deadline_in_s = -3 });
	assert_text(
		snap, ctask_render_tree, plain,
		"pid 4242 (7 in its container) · CPython 3.13.5 · asyncio, 3 tasks · read in "
		"0.0 ms, not stopped\n"
		"\n"
		"late  worker  svc.py:33                 Event.wait, 1 waiting · deadline 3.0 s "
		"overdue\n"
		"top  worker  svc.py:33                  Event.wait, 1 waiting · deadline in "
		"9 min 59 s\n"
		"└─ nursery ── child  worker  svc.py:33  Event.wait, 1 waiting\n");
	ctask_snapshot_destroy(snap);
}
END_TEST

/* anyio's wrapper around a child of a task group is no function of the child. */
START_TEST(wrapped_children)
{
	struct ctask_snapshot *snap = made_snapshot();
	static const struct ctask_frame wrappers[] = {
		{ "TaskHandle._run_coro", "/usr/lib/anyio/_core/_tasks.py", 265, true },
		{ "AsyncIOBackend.run.<locals>.wrapper", "/usr/lib/anyio/_backends/_asyncio.py",
		  2531, true },
	};

	for (uint32_t i = 0; i < 3; i++) {
		const struct ctask_frame *wrapper = &wrappers[i / 2];
		uint32_t frame = ctask_snapshot_add_frame(snap);
		uint32_t task = made_task(
			snap, (const char *[]){ "named", "svc.worker", "svc.worker" }[i], true);

		snap->frames[frame] = *wrapper;
		ck_assert_int_eq(ctask_snapshot_push_stack(snap, frame), 0);
		snap->tasks[task].coroutine = wrapper->name;
	}
	snap->tasks[1].state = CTASK_READY;
	assert_text(snap, ctask_render_tree, plain,
		    "pid 4242 (7 in its container) · CPython 3.13.5 · asyncio, 3 tasks · read in "
		    "0.0 ms, not stopped\n"
		    "\n"
		    "named  worker  svc.py:33  sleep 5 s\n"
		    "worker  svc.py:33         ready to run\n"
		    "worker  svc.py:33         sleep 5 s\n");
	ctask_snapshot_destroy(snap);
}
END_TEST

/* Left out when that is asked for, and counted; what stays keeps its place. */
START_TEST(system_tasks)
{
	struct ctask_snapshot *snap = made_snapshot();
	uint32_t init = made_task(snap, "<init>", false),
		 main = made_task(snap, "svc.worker", true);

	made_task(snap, "<soon>", true);
	snap->tasks[init].system = snap->tasks[2].system = true;
	made_edge(snap, init, main, CTASK_EDGE_NURSERY);
	made_edge(snap, init, 2, CTASK_EDGE_NURSERY);
	snap->runtimes[0].kind = "trio";
	snap->runtimes[0].package_version = "0.22.0";
	ck_assert_int_eq(ctask_narrow_to_program(snap, NULL), 0);
	assert_text(
		snap, ctask_render_tree, plain,
		"pid 4242 (7 in its container) · CPython 3.13.5 · trio 0.22.0, 1 task, 2 system "
		"tasks not shown · read in 0.0 ms, not stopped\n"
		"\n"
		"worker  svc.py:33  sleep 5 s\n");
	ctask_snapshot_destroy(snap);
}
END_TEST

START_TEST(several_runtimes)
{
	struct ctask_snapshot *snap = made_snapshot();

	made_task(snap, "a", true);
	ctask_snapshot_add_runtime(snap);
	ctask_snapshot_add_runtime(snap);
	snap->runtimes[1] = (struct ctask_runtime){ .thread_id = 4300, .loop = "Loop" };
	snap->runtimes[2] = (struct ctask_runtime){ .thread_id = -1, .interpreter = 2 };
	made_task(snap, "b", true);
	snap->tasks[1].runtime = 2;
	assert_text(snap, ctask_render_tree, plain,
		    "pid 4242 (7 in its container) · CPython 3.13.5 · asyncio, 2 tasks · read in "
		    "0.0 ms, not stopped\n"
		    "\n"
		    "thread 4242 · 1 of 2 tasks\n"
		    "\n"
		    "a  worker  svc.py:33  sleep 5 s\n"
		    "\n"
		    "thread 4300 · Loop · no tasks\n"
		    "\n"
		    "\n"
		    "no thread · interpreter 2 · 1 task\n"
		    "\n"
		    "b  worker  svc.py:33  sleep 5 s\n");
	ctask_snapshot_destroy(snap);
}
END_TEST

static const struct {
	const char *names, *words; /* names end in commas */
} folded_names[] = {
	{ "orders,billing,audit,", "3*[audit, billing, orders  worker  svc.py:33]" },
	{ "a,b,c,d,", "4*[a, b, c, …  worker  svc.py:33]" },
	{ "api-1,api-2,db-7,db-8,", "4*[api-*, db-*  worker  svc.py:33]" },
	{ "api-1,api-2,db-7,", "3*[api-*, db-7  worker  svc.py:33]" },
	{ "api-1,api-1,", "2*[api-1  worker  svc.py:33]" },
	{ "Task-1,Task-2,", "2*[worker  svc.py:33]" },
	{ "Task-1,audit,Task-2,", "3*[audit, …  worker  svc.py:33]" },
	{ "Task-1,,", "2*[worker  svc.py:33]" },
	{ "Task-,Task-x,", "2*[Task-, Task-x  worker  svc.py:33]" },
	{ "7,8,9,10,", "4*[7, 8, 9, …  worker  svc.py:33]" },
	{ "a\nb,c,", "2*[a\\nb, c  worker  svc.py:33]" },
};

START_TEST(one_list_of_names)
{
	struct ctask_snapshot *snap = made_snapshot();
	auto_free char *names = strdup(folded_names[_i].names);
	auto_free char *text = NULL;

	for (char *rest = names, *name; (name = strsep(&rest, ",")) != NULL && rest;)
		made_task(snap, name, true);
	text = render(snap, ctask_render_tree, plain);
	ck_assert_msg(strstr(text, folded_names[_i].words) != NULL, "%s", text);
	ctask_snapshot_destroy(snap);
}
END_TEST

START_TEST(ranges)
{
	static const char *const waits[] = { "size 9, of 2 s, Worker1.x",
					     "size 12, of 2 s, Worker1.x",
					     "size 2.50, of 2 s, Worker1.x",
					     "size 9, of 2 s, Worker1.x" };
	struct ctask_snapshot *snap = made_snapshot();
	auto_free char *text = NULL;

	for (uint32_t i = 0; i < ARRAY_SIZE(waits); i++)
		made_numbered_task(snap, i, true);
	for (uint32_t i = 0; i < ARRAY_SIZE(waits); i++)
		snap->tasks[i].wait_text = waits[i];
	text = render(snap, ctask_render_tree, plain);
	ck_assert_msg(strstr(text, "  size 2.50 to 12, of 2 s, Worker1.x\n") != NULL, "%s", text);
	ctask_snapshot_destroy(snap);
}
END_TEST

static const struct {
	bool pending, handled;
	int32_t requests;
	enum ctask_task_state state;
	const char *words, *color;
} stops[] = {
	{ true, false, 1, CTASK_READY, "asked to stop, not delivered yet · ready", "\033[0;1;31m" },
	{ true, true, 3, CTASK_READY, "asked to stop 3 times, not delivered yet", "\033[0;1;31m" },
	{ true, false, -1, CTASK_READY, "asked to stop, not delivered yet", "\033[0;1;31m" },
	{ false, true, 1, CTASK_WAITING, "asked to stop, cleaning up · sleep", "\033[0;1;31m" },
	{ false, true, 0, CTASK_WAITING, "asked to stop, cleaning up · sleep", "\033[0;1;31m" },
	{ false, false, 1, CTASK_WAITING, "was asked to stop, goes on · sleep", "\033[0;33m" },
	{ false, false, 2, CTASK_WAITING, "was asked to stop 2 times, goes on", "\033[0;33m" },
	{ false, false, 0, CTASK_WAITING, "svc.py:33  sleep", "" },
	{ true, true, 1, CTASK_DONE, "svc.py:33  done", "" },
};

START_TEST(one_stop)
{
	struct ctask_snapshot *snap = made_snapshot();
	uint32_t task = made_task(snap, "t", true);
	struct ctask_task *t = &snap->tasks[task];
	struct ctask_render_options options = plain;
	auto_free char *text = NULL, *colored = NULL;
	char want[128];

	t->cancel_pending = stops[_i].pending;
	t->cancel_handled = stops[_i].handled;
	t->cancel_requests = stops[_i].requests;
	t->state = stops[_i].state;
	text = render(snap, ctask_render_tree, plain);
	ck_assert_msg(strstr(text, stops[_i].words) != NULL, "%s", text);
	options.color = true;
	colored = render(snap, ctask_render_tree, options);
	snprintf(want, sizeof(want), "%s%.10s", stops[_i].color, stops[_i].words);
	ck_assert_msg(!*stops[_i].color || strstr(colored, want) != NULL, "%s", colored);
	ctask_snapshot_destroy(snap);
}
END_TEST

START_TEST(stops_are_counted)
{
	struct ctask_snapshot *snap = made_snapshot();
	auto_free char *text = NULL;

	for (uint32_t i = 0; i < 6; i++) {
		made_numbered_task(snap, i, true);
		snap->tasks[i].cancel_pending = i == 1;
		snap->tasks[i].cancel_handled = i == 2;
		snap->tasks[i].cancel_requests = i > 0 && i < 6;
	}
	snap->tasks[0].state = CTASK_RUNNING;
	text = render(snap, ctask_render_tree, plain);
	ck_assert_ptr_nonnull(strstr(text, "6 tasks (1 running, 2 asked to stop, 3 went on though "
					   "asked to stop) · read"));
	ctask_snapshot_destroy(snap);
}
END_TEST

/* By interpreter, then thread; those without a thread last. */
START_TEST(sections_in_order)
{
	static const struct {
		int64_t interpreter;
		int32_t thread;
	} made[] = { { 2, 4400 }, { 0, 4300 }, { 0, -1 }, { 2, -1 }, { 0, 4242 }, { 1, 4100 } };
	static const char *const lines[] = { "thread 4242 ·",
					     "Task-4 ",
					     "thread 4300 ·",
					     "Task-1 ",
					     "no thread · 1 task",
					     "Task-2 ",
					     "thread 4100 · interpreter 1 ·",
					     "Task-5 ",
					     "thread 4400 · interpreter 2 ·",
					     "Task-0 ",
					     "no thread · interpreter 2 ·",
					     "Task-3 " };
	struct ctask_snapshot *snap = made_snapshot();
	auto_free char *text = NULL;
	const char *at;

	for (uint32_t i = 0; i < ARRAY_SIZE(made); i++) {
		if (i > 0)
			ctask_snapshot_add_runtime(snap);
		made_numbered_task(snap, i, true);
		snap->tasks[i].runtime = i;
		snap->runtimes[0].task_count = 1;
		snap->runtimes[i].task_count = 1;
		snap->runtimes[i].interpreter = made[i].interpreter;
		snap->runtimes[i].thread_id = made[i].thread;
	}
	at = text = render(snap, ctask_render_tree, plain);
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		at = strstr(at, lines[i]);
		ck_assert_msg(at != NULL, "%s is not where it should be in %s", lines[i], text);
	}
	ctask_snapshot_destroy(snap);
}
END_TEST

START_TEST(no_event_loop)
{
	struct ctask_snapshot *snap = made_snapshot();

	snap->runtimes[0].thread_id = -1;
	assert_text(
		snap, ctask_render_tree, plain,
		"pid 4242 (7 in its container) · CPython 3.13.5 · asyncio, no event loop · read "
		"in 0.0 ms, not stopped\n");
	snap->runtimes[0].kind = "trio";
	assert_text(
		snap, ctask_render_tree, plain,
		"pid 4242 (7 in its container) · CPython 3.13.5 · trio, no trio.run() under way · "
		"read in 0.0 ms, not stopped\n");
	snap->runtimes[0].kind = "asyncio";
	snap->runtimes[0].loop = "_UnixSelectorEventLoop";
	snap->runtimes[0].thread_id = 4242;
	assert_text(snap, ctask_render_tree, plain,
		    "pid 4242 (7 in its container) · CPython 3.13.5 · asyncio, no tasks · read in "
		    "0.0 ms, not stopped\n");
	ctask_snapshot_destroy(snap);
}
END_TEST

START_TEST(shared_and_cycles)
{
	struct ctask_snapshot *snap = made_snapshot();
	uint32_t a = made_task(snap, "a", false), b = made_task(snap, "b", true);
	uint32_t z = made_task(snap, "z", false);
	auto_free char *text = NULL;

	made_edge(snap, a, b, CTASK_EDGE_AWAIT);
	made_edge(snap, b, a, CTASK_EDGE_AWAIT);
	made_edge(snap, z, b, CTASK_EDGE_AWAIT);
	text = render(snap, ctask_render_tree, plain);
	ck_assert_ptr_nonnull(strstr(text, "z  worker  svc.py:33\n"
					   "└─ await ── b  worker"));
	ck_assert_ptr_nonnull(strstr(text, "2 tasks wait for it\n"
					   "   └─ await ── a  worker"));
	ck_assert_ptr_nonnull(strstr(text, "      └─ await ── b  worker"));
	ck_assert_ptr_nonnull(strstr(text, "await cycle, drawn above\n"));
	ctask_snapshot_destroy(snap);
}
END_TEST

static const struct {
	const char *text, *safe;
} hostile[] = {
	{ "plain", "plain" },
	{ "a\nb\r\t", "a\\nb\\r\\t" },
	{ "\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m" },
	{ "\x1b]0;title\x07", "\\x1b]0;title\\x07" },
	{ "\xc2\x9b"
	  "31m",
	  "\\x9b31m" },
	{ "\x7f", "\\x7f" },
	{ "a\xc0\x80"
	  "b",
	  "a\\x00b" },
	{ "\xe2\x80\xae"
	  "txt",
	  "\\u202etxt" },
	{ "\xe2\x81\xa6", "\\u2066" },
	{ "\xe2\x80\x8b", "\\u200b" },
	{ "\xef\xbb\xbf", "\\ufeff" },
	{ "\xed\xb2\x80", "\\udc80" },
	{ "\xf3\xa0\x80\x81", "\\U000e0001" },
	{ "\xff", "\xef\xbf\xbd" },
	{ "caf\xc3\xa9 \xe6\x97\xa5", "caf\xc3\xa9 \xe6\x97\xa5" },
};

START_TEST(one_hostile_text)
{
	struct ctask_snapshot *snap = made_snapshot();
	static const ctask_render formats[] = { ctask_render_tree, ctask_render_table,
						ctask_render_csv };

	made_task(snap, hostile[_i].text, true);
	snap->tasks[0].coroutine = snap->tasks[0].wait_text = hostile[_i].text;
	snap->frames[0].name = snap->frames[0].filename = hostile[_i].text;
	snap->frames[0].library = true;
	snap->process.cmdline = malloc(sizeof(ctask_text));
	snap->process.cmdline[0] = hostile[_i].text;
	snap->process.cmdline_count = 1;
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		auto_free char *text = render(snap, formats[i], plain);

		ck_assert_ptr_nonnull(strstr(text, hostile[_i].safe));
		for (const char *at = text; *at;) {
			uint32_t c = ctask_text_decode(&at);

			ck_assert_msg(c == '\n' || ctask_glyph_is_safe(c), "U+%04X got out", c);
		}
	}
	ctask_snapshot_destroy(snap);
}
END_TEST

START_TEST(csv)
{
	struct ctask_snapshot *snap = made_snapshot();
	uint32_t a = made_task(snap, "say \"hi\", you", false);
	uint32_t b = made_task(snap, "zz", true);

	snap->tasks[b].wait_left_s = 1.5;
	snap->tasks[b].wait_text = "sleep, 5 s";
	snap->tasks[b].wait_id = 0xabc;
	snap->tasks[b].cancel_handled = true;
	made_edge(snap, a, b, CTASK_EDGE_GATHER);
	made_edge(snap, a, b, CTASK_EDGE_AWAIT);
	assert_text(snap, ctask_render_csv, plain,
		    "id,name,runtime,thread_id,state,coroutine,function,file,line,waiting_for,"
		    "waiting_for_text,waiting_for_id,left_s,cancel_requests,cancel_pending,"
		    "cancel_handled,awaited_by,age_s,created_by,created_function,created_file,"
		    "created_line\n"
		    "0x7f0000000000,\"say \"\"hi\"\", you\",0,4242,waiting,worker,worker,"
		    "/srv/svc.py,33,gather,gather,,,0,false,false,,,,,,\n"
		    "0x7f0000000100,zz,0,4242,waiting,worker,worker,/srv/svc.py,33,sleep,"
		    "\"sleep, 5 s\",0xabc,1.500000,0,false,true,0x7f0000000000,,,,,\n");
	ctask_snapshot_destroy(snap);
}
END_TEST

START_TEST(table)
{
	struct ctask_snapshot *snap = made_snapshot();
	uint32_t a = made_task(snap, "a", false);

	made_edge(snap, a, made_task(snap, "worker-10", true), CTASK_EDGE_GATHER);
	snap->tasks[1].cancel_requests = 1;
	assert_text(
		snap, ctask_render_table, plain,
		"ID              NAME       STATE    AWAITED BY  WHERE              WAITS FOR\n"
		"0x7f0000000000  a          waiting  -           worker  svc.py:33  gather\n"
		"0x7f0000000100  worker-10  waiting  a           worker  svc.py:33  was asked to "
		"stop, goes on · sleep 5 s\n");
	ctask_snapshot_destroy(snap);
}
END_TEST

static uint32_t columns_of(const char *line, size_t len)
{
	const char *end = line + len;
	uint32_t columns = 0;

	while (line < end)
		columns += ctask_glyph_width(ctask_text_decode(&line));
	return columns;
}

/* No line is wider than it may be, whatever is in it; and waits are not what is cut first. */
START_TEST(lines_fit_the_width)
{
	struct ctask_snapshot *snap = service();

	made_task(snap, "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e\xe3\x81\xae\xe9\x95\xb7\xe3\x81\x84",
		  true);
	snap->frames[0].name = "a_function_with_a_name_that_is_quite_long_indeed";
	for (uint32_t width = 20; width < 140; width++) {
		for (int format = 0; format < 2; format++) {
			auto_free char *text = render(
				snap, format ? ctask_render_tree : ctask_render_table,
				(struct ctask_render_options){ .utf8 = true, .width = width });

			/* The heading of a tree is not cut: the terminal wraps it. */
			for (const char *line = strchr(text, '\n') + 1; *line;) {
				size_t len = strcspn(line, "\n");

				ck_assert_msg(columns_of(line, len) <= width, "%u: %.*s", width,
					      (int)len, line);
				line += len + 1;
			}
			if (format && width > 60 && width < 90)
				ck_assert_ptr_nonnull(strstr(text, "…  svc.py:33  sleep 5 s"));
		}
	}
	ctask_snapshot_destroy(snap);
}
END_TEST

static const struct {
	uint32_t width;
	const char *line;
} narrow[] = {
	{ 70, "   └─ task_group ── ingest  reader  svc.py:33  Lock.acquire, 2 waiting\n" },
	{ 69, "   └─ task_group ── ingest  reader  svc.py:…  Lock.acquire, 2 waiting\n" },
	{ 60, "   └─ task_group ── ingest  reader  Lock.acquire, 2 waiting\n" },
	{ 55, "   └─ task_group ── ingest  reader  Lock.acquire, 2 wa…\n" },
	{ 50, "   └─ task_group ── ingest  reader  Lock.acquire,…\n" },
	{ 40, "   └─ task_group ── ingest…  Lock.acqui…\n" },
	{ 30, "   └─ task_group ── ingest…\n" },
	{ 24, "   └─ task_group ── ing…\n" },
};

/* The name is the last to go. */
START_TEST(one_narrow_line)
{
	struct ctask_snapshot *snap = made_snapshot();
	uint32_t top = made_task(snap, "top", false), middle = made_task(snap, "middle", false);
	uint32_t leaf = made_task(snap, "ingest", true);
	auto_free char *text = NULL;

	made_edge(snap, top, middle, CTASK_EDGE_AWAIT);
	made_edge(snap, middle, leaf, CTASK_EDGE_TASK_GROUP);
	snap->frames[0].name = "reader";
	snap->tasks[leaf].wait_text = "Lock.acquire, 2 waiting";
	text = render(snap, ctask_render_tree,
		      (struct ctask_render_options){ .utf8 = true, .width = narrow[_i].width });
	ck_assert_msg(strstr(text, narrow[_i].line) != NULL, "%s", text);
	ctask_snapshot_destroy(snap);
}
END_TEST

START_TEST(color_ends_with_each_line)
{
	struct ctask_snapshot *snap = service();

	for (uint32_t width = 20; width < 100; width += 7) {
		auto_free char *text =
			render(snap, ctask_render_tree,
			       (struct ctask_render_options){ .color = true, .width = width });

		for (const char *line = text; *line;) {
			size_t len = strcspn(line, "\n");
			const char *last = memrchr(line, '\033', len);

			ck_assert_msg(!last || strncmp(last, "\033[0m", 4) == 0, "%.*s", (int)len,
				      line);
			line += len + 1;
		}
	}
	ctask_snapshot_destroy(snap);
}
END_TEST

START_TEST(a_deep_chain_stays_small)
{
	enum { COUNT = 100000 };
	struct ctask_snapshot *snap = made_snapshot();
	auto_free char *text = NULL;

	for (uint32_t i = 0; i < COUNT; i++) {
		made_numbered_task(snap, i, false);
		if (i)
			made_edge(snap, i - 1, i, CTASK_EDGE_AWAIT);
	}
	text = render(snap, ctask_render_tree, plain);
	ck_assert_uint_lt(strlen(text), (size_t)COUNT * 200);
	ck_assert_ptr_nonnull(strstr(text, "└─ [99999] await ── Task-99999"));
	ctask_snapshot_destroy(snap);
}
END_TEST

static const struct {
	double seconds;
	const char *words;
} times[] = {
	{ 0, "0.0 s" },	      { 3.21, "3.2 s" },     { 9.96, "10 s" },	   { 119.4, "119 s" },
	{ 125, "2 min 5 s" }, { 7300, "2 h 1 min" }, { 200000, "2 days" }, { INFINITY, "for ever" },
};

START_TEST(one_time)
{
	struct ctask_line line = { .utf8 = true };

	ctask_line_begin(&line, CTASK_LINE_UNCUT);
	ctask_words_time(&line, times[_i].seconds);
	ck_assert_uint_eq(line.len, strlen(times[_i].words));
	ck_assert_int_eq(memcmp(line.bytes, times[_i].words, line.len), 0);
	ctask_line_fini(&line);
}
END_TEST

static const struct {
	const char *filename, *place;
} files[] = {
	{ "/srv/svc.py", "svc.py" },
	{ "svc.py", "svc.py" },
	{ "/a/web/__init__.py", "web/__init__.py" },
	{ "__main__.py", "__main__.py" },
	{ "/__init__.py", "/__init__.py" },
	{ "<frozen os>", "<frozen os>" },
	{ "/a/", "/a/" },
	{ "", "" },
};

START_TEST(one_file)
{
	ck_assert_str_eq(ctask_words_short_file(files[_i].filename), files[_i].place);
}
END_TEST

START_TEST(long_chains)
{
	struct ctask_snapshot *snap = made_snapshot();
	auto_free char *text = NULL;

	made_task(snap, "t", true);
	for (int i = 0; i < 20; i++)
		ck_assert_int_eq(ctask_snapshot_push_stack(snap, 0), 0);
	text = render(snap, ctask_render_tree, plain);
	ck_assert_ptr_nonnull(
		strstr(text, "worker › worker › 17 more › worker › worker  svc.py:33"));
	ctask_snapshot_destroy(snap);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("render");

	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, a_tree);
	tcase_add_test(tests, limits_above_others);
	tcase_add_test(tests, a_tree_in_ascii_with_ids);
	tcase_add_test(tests, a_running_task);
	tcase_add_test(tests, scopes);
	tcase_add_test(tests, deadlines);
	tcase_add_test(tests, wrapped_children);
	tcase_add_test(tests, system_tasks);
	tcase_add_test(tests, several_runtimes);
	tcase_add_loop_test(tests, one_list_of_names, 0, ARRAY_SIZE(folded_names));
	tcase_add_test(tests, ranges);
	tcase_add_loop_test(tests, one_stop, 0, ARRAY_SIZE(stops));
	tcase_add_test(tests, stops_are_counted);
	tcase_add_test(tests, sections_in_order);
	tcase_add_test(tests, no_event_loop);
	tcase_add_test(tests, shared_and_cycles);
	tcase_add_loop_test(tests, one_hostile_text, 0, ARRAY_SIZE(hostile));
	tcase_add_test(tests, csv);
	tcase_add_test(tests, table);
	tcase_add_test(tests, lines_fit_the_width);
	tcase_add_loop_test(tests, one_narrow_line, 0, ARRAY_SIZE(narrow));
	tcase_add_test(tests, color_ends_with_each_line);
	tcase_add_test(tests, a_deep_chain_stays_small);
	tcase_add_loop_test(tests, one_time, 0, ARRAY_SIZE(times));
	tcase_add_loop_test(tests, one_file, 0, ARRAY_SIZE(files));
	tcase_add_test(tests, long_chains);
	return made_run("render", tests);
}
