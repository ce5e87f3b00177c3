/* check_json_read.c - a snapshot from JSON: the way back, and what a stranger may say. */
#include "model/json_read.h"

#include "model/fit.h"
#include "model/json.h"
#include "tests/unit/asked.h"

static char *print(const struct ctask_snapshot *snap)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	ck_assert_int_eq(ctask_json_write_snapshot(snap, out, NULL), 0);
	fclose(out);
	return text;
}

static struct ctask_snapshot *parse(const char *text)
{
	struct ctask_snapshot *snap = NULL;
	struct ctask_error err = { 0 };
	int ret = ctask_json_read_snapshot(text, strlen(text), &snap, &err);

	ck_assert_msg(ret == 0, "%s in %s", err.text, text);
	return snap;
}

/* There and back it is the same text. The caller destroys what was read. */
static struct ctask_snapshot *there_and_back(const struct ctask_snapshot *snap)
{
	auto_free char *text = print(snap), *again = NULL;
	struct ctask_snapshot *back = parse(text);

	again = print(back);
	ck_assert_str_eq(text, again);
	return back;
}

START_TEST(an_empty_one)
{
	struct ctask_snapshot *snap = ctask_snapshot_create();
	struct ctask_snapshot *back = there_and_back(snap);

	ck_assert_int_eq(back->process.uid, -1);
	ck_assert_ptr_null(back->history);
	ctask_snapshot_destroy(back);
	ctask_snapshot_destroy(snap);
}
END_TEST

/* Something in every field. */
static struct ctask_snapshot *full_snapshot(void)
{
	struct ctask_snapshot *snap = made_snapshot();
	uint32_t waiter = made_task(snap, "waiter", false), task = made_task(snap, "t", true);
	uint32_t outer = ctask_snapshot_add_scope(snap), scope = ctask_snapshot_add_scope(snap);
	struct ctask_process *process = &snap->process;

	snap->source = CTASK_SOURCE_AGENT;
	snap->capture = (struct ctask_capture_facts){ .captured_at_us = ASKED_AT + 9000000,
						      .elapsed_us = 812,
						      .paused_us = 7,
						      .reread_tasks = 3 };
	process->start_time_us = ASKED_AT - 5;
	process->uid = 1000;
	process->exe = made_text(snap, "/usr/bin/python3");
	process->cmdline = calloc(2, sizeof(*process->cmdline));
	process->cmdline[process->cmdline_count++] = made_text(snap, "python3");
	process->cmdline[process->cmdline_count++] = made_text(snap, "");
	snap->runtimes[0].interpreter = 2;
	snap->runtimes[0].loop = "Loop";
	snap->runtimes[0].library = "/usr/lib/asyncio/";
	snap->runtimes[0].package_version = "0.22.0";
	ck_assert_int_eq(ctask_snapshot_add_library(snap, "/usr/lib/asyncio/"), 0);
	ck_assert_int_eq(ctask_snapshot_add_library(snap, "/usr/lib/trio/"), 0);
	snap->tasks[waiter].system = true;
	snap->tasks[waiter].scope = CTASK_NONE;
	snap->tasks[waiter].runtime = CTASK_NONE;
	snap->tasks[waiter].coroutine = NULL;
	snap->tasks[waiter].cancel_requests = -1;
	snap->tasks[waiter].wait_text = NULL;
	snap->tasks[task].scope = scope;
	snap->tasks[task].cancel_requests = 2;
	snap->tasks[task].cancel_pending = true;
	snap->tasks[task].cancel_handled = true;
	snap->tasks[task].wait_left_s = -2.5;
	snap->tasks[task].wait_id = UINT64_MAX;
	snap->scopes[outer] = (struct ctask_scope){ .id = 0xdef,
						    .kind = CTASK_SCOPE_TIMEOUT,
						    .owner = waiter,
						    .parent = CTASK_NONE,
						    .deadline_in_s = 0.000001,
						    .shield = true };
	snap->scopes[scope] = (struct ctask_scope){ .id = 0xabc,
						    .owner = CTASK_NONE,
						    .parent = outer,
						    .deadline_in_s = NAN,
						    .cancel_called = true,
						    .reason = "why" };
	made_edge(snap, waiter, task, CTASK_EDGE_AS_COMPLETED);
	made_edge(snap, waiter, task, CTASK_EDGE_AWAIT);
	made_edge(snap, task, waiter, CTASK_EDGE_WAIT_FOR);
	ck_assert_int_eq(ctask_snapshot_add_problem(snap, 0, "one"), 0);
	ck_assert_int_eq(ctask_snapshot_add_problem(snap, 0x7f0000000100, "%s", "another"), 0);
	snap->problems_untold = 4;
	made_task(snap, "done", true);
	snap->tasks[2].state = CTASK_DONE;
	snap->tasks[2].wait_kind = CTASK_WAIT_NONE;
	return snap;
}

static void add_history(struct ctask_snapshot *snap)
{
	struct ctask_history *history = snap->history = asked_history();
	struct ctask_birth_facts birth = { .task = snap->tasks[1].id,
					   .time_us = ASKED_AT - 1000001,
					   .creator = 0x123 };
	struct ctask_cancellation *c;

	birth.frame = asked_frame(history, "main", "/srv/svc.py", 12, false);
	ck_assert_int_eq(ctask_history_add_birth(history, &birth), 0);
	birth = (struct ctask_birth_facts){ snap->tasks[2].id, 0, 0x77, CTASK_NONE };
	ck_assert_int_eq(ctask_history_add_birth(history, &birth), 0);
	ctask_history_sort_births(history);
	c = asked(history, 0, "t", "worker", "worker:33 >sleep:7");
	asked_by_timeout(history, c, 1, 0xabc);
	c->stack.cut = 2;
	c = asked(history, 1, "t", "worker", NULL);
	c->target = snap->tasks[1].id;
	c->outcome = CTASK_OUTCOME_SWALLOWED;
	c->exception_type = "ValueError";
	c->exception_message = "\"bad\"";
	c->failed_task = 0x44;
	c->failed_task_name = "bad";
	c->message = "";
	c->repeats = 5;
	c->source = CTASK_BY_BPF;
	c = asked(history, 0, "gone", NULL, NULL);
	c->id = 70;
	c->root = 1;
	c->cause = 69;
	c->requester_kind = CTASK_REQUESTER_THREAD;
	c->target = 0;
	c->target_name = NULL;
	c->time_us = 0;
	c->requester_thread = 0;
	c->exception_type = "KeyError";
	ck_assert_int_eq(ctask_fit_link(snap), 0);
}

START_TEST(everything)
{
	struct ctask_snapshot *snap = full_snapshot();
	struct ctask_snapshot *back;
	const struct ctask_birth_facts *birth;

	ctask_snapshot_destroy(there_and_back(snap));
	add_history(snap);
	back = there_and_back(snap);
	ck_assert_uint_eq(back->source, CTASK_SOURCE_AGENT);
	ck_assert_uint_eq(back->frame_count, 2);
	ck_assert(!back->frames[1].library || !back->frames[0].library);
	ck_assert(back->frames[0].library != back->frames[1].library);
	ck_assert_uint_eq(back->problem_count, 2);
	ck_assert_uint_eq(back->problems_untold, 4);
	ck_assert_uint_eq(back->library_count, 2);
	ck_assert(back->tasks[0].system && !back->tasks[1].system);
	ck_assert_uint_eq(back->tasks[1].scope, 1);
	ck_assert_uint_eq(back->tasks[1].request, 1);
	ck_assert_uint_eq(back->tasks[1].open_requests, 6);
	ck_assert_uint_eq(back->tasks[0].request, CTASK_NONE);
	ck_assert_int_eq(back->history->pid, 4242);
	ck_assert_str_eq(back->history->python_version, "3.13.5");
	birth = ctask_history_birth(back->history, snap->tasks[1].id);
	ck_assert_int_eq(birth->time_us, ASKED_AT - 1000001);
	ctask_snapshot_destroy(back);
	ctask_snapshot_destroy(snap);
}
END_TEST

/* As model/text.h has it. */
static const char *const names[] = {
	"",
	"plain",
	"\"quoted\\\" \\u0041 \\",
	"\b\f\n\r\t\x01\x1f\x7f",
	"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80",
	"\xc0\x80",
	"a\xc0\x80z\xc0\x80\xc0\x80",
	"\xed\xa0\x80",		    /* U+D800 */
	"\xed\xbf\xbf",		    /* U+DFFF */
	"\xed\xb2\x80\xed\xa0\xbd", /* the two halves of a pair, in the wrong order */
	"\xed\xa0\xbd\\ud83d",
	"\xed\xa0\xbd ude00",
};

START_TEST(one_name)
{
	struct ctask_snapshot *snap = made_snapshot(), *back;

	made_task(snap, names[_i], true);
	snap->frames[0].name = snap->frames[0].filename = made_text(snap, names[_i]);
	back = there_and_back(snap);
	ck_assert_str_eq(back->tasks[0].name, names[_i]);
	ctask_snapshot_destroy(back);
	ctask_snapshot_destroy(snap);
}
END_TEST

static const double seconds[] = { 0,	     -0.0,	     0.1,
				  -0.000001, 1e-9,	     3599.198,
				  1e9,	     1e9 - 1e-7,     123456789.123456,
				  1e10 / 3,  -98765432109.8, 1e12,
				  2e12,	     INFINITY,	     NAN };

START_TEST(one_time)
{
	struct ctask_snapshot *snap = made_snapshot();

	made_task(snap, "t", true);
	snap->tasks[0].wait_left_s = seconds[_i];
	ctask_snapshot_destroy(there_and_back(snap));
	ctask_snapshot_destroy(snap);
}
END_TEST

/* Other ways to write the same; keys that are not known are passed over, whatever they hold. */
START_TEST(written_by_somebody_else)
{
	struct ctask_snapshot *snap = parse(
		" {\"new\" : {\"a\":[[],{},null,\"}\\\"]\"]},\n\"tasks\": [ {\"id\":\"0x1\",\n"
		"\"name\":\"\\u00e9\\ud83d\\ude00\\/\\ud83d\\u0041\\u0000\",\"state\":\"waiting\","
		"\"extra\":[1,{\"x\":2}],\"stack\":[{\"name\":\"f\",\"module\":\"m\"}],"
		"\"cancel_pending\":false,\"cancel_handled\":false,\"scope\":\"0x2\"}],"
		"\"scopes\":[{\"id\":\"0x2\",\"kind\":\"nursery\",\"owner\":\"0x1\","
		"\"cancel_called\":false,\"shield\":true}],\"edges\":[],\"runtimes\":[],"
		"\"cancellations\":[],\"capture\":{\"elapsed_us\":1e3,\"paused_us\":0.0,"
		"\"complete\":true,\"reread_tasks\":0,\"problems\":[]},\"source\":\"file\","
		"\"process\":{\"cmdline\":[]},\"captured_at\":null,\"version\":1,"
		"\"schema\":\"ctask.snapshot\",\"version\":2}\r\n\t");

	ck_assert_uint_eq(snap->task_count, 1);
	ck_assert_str_eq(snap->tasks[0].name, "\xc3\xa9\xf0\x9f\x98\x80/\xed\xa0\xbd"
					      "A\xc0\x80");
	ck_assert_uint_eq(snap->tasks[0].runtime, CTASK_NONE);
	ck_assert_uint_eq(snap->tasks[0].scope, 0);
	ck_assert_uint_eq(snap->scopes[0].owner, 0);
	ck_assert_uint_eq(snap->capture.elapsed_us, 1000);
	ck_assert_ptr_null(snap->history);
	ctask_snapshot_destroy(snap);
}
END_TEST

/* What is written in place of what, in the text of everything, and what is said then. */
static const struct {
	const char *what, *instead, *says;
} wrongs[] = {
	{ "{\"schema\"", "[\"schema\"", "it is not JSON: it ends too early, or goes too deep" },
	{ "{\"schema\"", "{schema", "it is not JSON: a key is missing" },
	{ "\"ctask.snapshot\",", "\"ctask.snapshot\"", "it is not JSON: a comma is missing" },
	{ "\"ctask.snapshot\"", "\"ctask.processes\"",
	  "snapshot: \"schema\" is none of its words" },
	{ "\"version\":1", "\"version\":2", "snapshot: \"version\" is no number that it can be" },
	{ "\"version\":1", "\"number\":1", "\"version\" is missing" },
	{ "\"version\":1", "\"version\":", "it is not JSON: a value is missing" },
	{ "\"version\":1", "\"version\":1x", "it is not JSON: a part of it goes on and on" },
	{ "2026-11-21T", "2026-13-21T", "snapshot: \"captured_at\" is no time" },
	{ "2026-11-21T", "2026-1121-T", "snapshot: \"captured_at\" is no time" },
	{ "2026-11-21T", "2026-11-21 ", "snapshot: \"captured_at\" is no time" },
	{ "\"pid\":4242", "\"pid\":-1", "process: \"pid\" is no number that it can be" },
	{ "\"pid\":4242", "\"pid\":1.5", "process: \"pid\" is no number that it can be" },
	{ "\"pid\":4242", "\"pid\":\"1\"", "process: \"pid\" is no number that it can be" },
	{ "\"uid\":1000", "\"uid\":1e300", "process: \"uid\" is no number that it can be" },
	{ "[\"python3\"", "[7", "process: \"cmdline\" has a word that is no text" },
	{ "\"exe\":\"", "\"exe\":[],\"x\":\"", "process: \"exe\" is no text" },
	{ "\"agent\"", "\"agents\"", "snapshot: \"source\" is none of its words" },
	{ "\"complete\":false", "\"complete\":true",
	  "capture: \"complete\" does not fit the problems" },
	{ "\"complete\":false", "\"complete\":0",
	  "capture: \"complete\" is neither true nor false" },
	{ "{\"task\":null", "7,{\"task\":null",
	  "capture: \"problems\" has something in it that is none" },
	{ "{\"id\":0,\"kind\"", "{\"id\":1,\"kind\"",
	  "runtime: \"id\" is no number that it can be" },
	{ "\"cpython\"", "\"\\u001b[31m\"", "runtime: \"implementation\" is no name" },
	{ "\"name\":\"waiter\",\"runtime\":null", "\"name\":\"waiter\",\"runtime\":1",
	  "task: \"runtime\" is no number that it can be" },
	{ "\"id\":\"0x7f0000000000\"", "\"id\":\"0x7F0000000000\"", "task: \"id\" is no id" },
	{ "\"id\":\"0x7f0000000000\"", "\"id\":\"0x\"", "task: \"id\" is no id" },
	{ "\"id\":\"0x7f0000000000\"", "\"id\":\"0x10000000000000000\"", "task: \"id\" is no id" },
	{ "\"id\":\"0x7f0000000000\"", "\"id\":null", "task: \"id\" is missing" },
	{ "\"id\":\"0x7f0000000000\"", "\"id\":\"0x7f0000000100\"",
	  "two tasks have the id 0x7f0000000100" },
	{ "\"state\":\"waiting\"", "\"state\":\"waitin\"", "task: \"state\" is none of its words" },
	{ "\"state\":\"waiting\"", "\"state\":\"ready\"",
	  "task: \"waiting_for\" is said of a task that does not wait" },
	{ "\"kind\":\"gather\"", "\"kind\":\"none\"", "task: \"kind\" is none of its words" },
	{ "\"stack\":[{", "\"stack\":[[],{",
	  "task: \"stack\" has something in it that is no frame" },
	{ "\"stack\":[{", "\"stack\":7,\"x\":[{", "task: \"stack\" is no array" },
	{ "\"line\":33", "\"line\":0", "task: \"line\" is no number that it can be" },
	{ "\"line\":33", "\"line\":4294967296", "task: \"line\" is no number that it can be" },
	{ "\"left_s\":-2.5", "\"left_s\":1e13,\"x\":2.5",
	  "task: \"left_s\" is no time in seconds" },
	{ "\"age_s\":10.000001", "\"age_s\":-1", "task: \"age_s\" is no age" },
	{ "\"scope\":\"0xabc\"", "\"scope\":\"0xabd\"",
	  "task: \"scope\" is not among what there is" },
	{ "{\"waiter\":\"0x7f0000000000\"", "{\"waiter\":\"0x7\"",
	  "edge: \"waiter\" is not among what there is" },
	{ "{\"waiter\":\"0x7f0000000000\"", "{\"waiter\":null",
	  "edge: \"waiter\" or \"awaited\" is missing" },
	{ "\"owner\":\"0x7f0000000000\"", "\"owner\":\"0x7\"",
	  "scope: \"owner\" is not among what there is" },
	{ "\"parent\":\"0xdef\"", "\"parent\":\"0x7\"",
	  "scope: \"parent\" is not among what there is" },
	{ "\"id\":2,", "\"id\":1,", "cancellation: \"id\" is not in the order of time" },
	{ "\"id\":2,", "\"id\":0,", "cancellation: \"id\" is no number that it can be" },
	{ "\"cause\":1", "\"cause\":2", "cancellation: \"cause\" is no number that it can be" },
	{ "\"cause\":69,\"root\":1", "\"cause\":69,\"root\":71",
	  "cancellation: \"root\" is no number that it can be" },
	{ "\"target\":{", "\"target\":null,\"x\":{", "cancellation: \"target\" is missing" },
	{ "\"bpf\"", "\"ebpf\"", "cancellation: \"source\" is none of its words" },
	{ "\"type\":\"ValueError\"", "\"type\":null", "cancellation: \"exception\" has no type" },
	{ "\"swallowed\"", "\"zombie\"", "cancellation: \"state\" is none of its words" },
};

/* The first @p what in @p text replaced. */
static char *replaced(const char *text, const char *what, const char *instead)
{
	const char *at = strstr(text, what);
	char *to = malloc(strlen(text) + strlen(instead) + 1), *end = to;

	ck_assert_msg(at != NULL, "no %s in %s", what, text);
	end = mempcpy(end, text, (size_t)(at - text));
	end = stpcpy(end, instead);
	strcpy(end, at + strlen(what));
	return to;
}

static void assert_refused(const char *text, size_t len, const char *says)
{
	struct ctask_snapshot *snap = NULL;
	struct ctask_error err = { 0 };

	ck_assert_int_eq(ctask_json_read_snapshot(text, len, &snap, &err), -EPROTO);
	ck_assert_str_eq(err.text, says);
	ck_assert_ptr_null(snap);
}

START_TEST(one_wrong)
{
	struct ctask_snapshot *snap = full_snapshot();
	auto_free char *text = NULL, *wrong = NULL;

	add_history(snap);
	text = print(snap);
	wrong = replaced(text, wrongs[_i].what, wrongs[_i].instead);
	assert_refused(wrong, strlen(wrong), wrongs[_i].says);
	ctask_snapshot_destroy(snap);
}
END_TEST

/* Cut anywhere it is no JSON; and not a byte behind it is looked at. */
START_TEST(cut_off)
{
	struct ctask_snapshot *snap = full_snapshot();
	auto_free char *text = NULL;
	size_t len;

	add_history(snap);
	text = print(snap);
	len = strlen(text);
	for (size_t i = 0; i + 1 < len; i++) {
		auto_free char *part = malloc(i + 1);
		struct ctask_snapshot *back = NULL;
		struct ctask_error err = { 0 };

		memcpy(part, text, i);
		part = realloc(part, i ? i : 1); /* exactly, for the sanitizer */
		ck_assert_int_eq(ctask_json_read_snapshot(part, i, &back, &err), -EPROTO);
	}
	ctask_snapshot_destroy(snap);
}
END_TEST

/* @p count times @p what, at @p where in an empty snapshot. */
static char *stuffed(const char *where, const char *before, const char *what, size_t count,
		     const char *behind)
{
	struct ctask_snapshot *snap = ctask_snapshot_create();
	auto_free char *text = print(snap), *stuff = NULL;
	char *end;

	stuff = end = malloc(strlen(before) + strlen(what) * count + strlen(behind) + 1);
	end = stpcpy(end, before);
	for (size_t i = 0; i < count; i++)
		end = stpcpy(end, what);
	strcpy(end, behind);
	ctask_snapshot_destroy(snap);
	return replaced(text, where, stuff);
}

START_TEST(too_deep_or_too_large)
{
	auto_free char *deep = stuffed("\"edges\":[", "\"x\":", "[", 200, ",\"edges\":[");
	auto_free char *deepest =
		stuffed("\"edges\":[", "\"x\":", "{\"a\":[", 31,
			"]}]}]}]}]}]}]}]}]}]}]}]}]}]}]}]}]}]}]}]}]}]}]}]}]}]}]}]}]}]}]},"
			"\"edges\":[");
	auto_free char *large = stuffed("\"edges\":[", "\"edges\":[{\"x\":[0", ",0", 2000000, "]}");
	auto_free char *many = stuffed("\"edges\":[", "\"x\":[0", ",0", 3000000, "],\"edges\":[");

	assert_refused(deep, strlen(deep), "it is not JSON: it ends too early, or goes too deep");
	assert_refused(large, strlen(large), "it is not JSON: a part of it is too large");
	ctask_snapshot_destroy(parse(deepest));
	ctask_snapshot_destroy(parse(many)); /* nobody looks into it */
}
END_TEST

static const struct {
	const char *text;
	size_t len;
	const char *says;
} no_objects[] = {
	{ "", 0, "it is not JSON: it ends too early, or goes too deep" },
	{ " \n", 2, "it is not JSON: it ends too early, or goes too deep" },
	{ "null", 4, "it is not JSON: it should be an object" },
	{ "[]", 2, "it is not JSON: it should be an object" },
	{ "{}", 2, "\"schema\" is missing" },
	{ "{} {}", 5, "it is not JSON: more follows" },
	{ "{]", 2, "it is not JSON: it ends too early, or goes too deep" },
	{ "}", 1, "it is not JSON: it ends too early, or goes too deep" },
	{ "\"\\", 2, "it is not JSON: it ends too early, or goes too deep" },
	{ "{\"a\":\0}", 7, "it is not JSON: it ends too early, or goes too deep" },
	{ "{\"a\":\"\0\"}", 9, "\"schema\" is missing" },
};

START_TEST(one_that_is_no_object)
{
	assert_refused(no_objects[_i].text, no_objects[_i].len, no_objects[_i].says);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("json_read");

	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, an_empty_one);
	tcase_add_test(tests, everything);
	tcase_add_loop_test(tests, one_name, 0, ARRAY_SIZE(names));
	tcase_add_loop_test(tests, one_time, 0, ARRAY_SIZE(seconds));
	tcase_add_test(tests, written_by_somebody_else);
	tcase_add_loop_test(tests, one_wrong, 0, ARRAY_SIZE(wrongs));
	tcase_add_test(tests, cut_off);
	tcase_add_test(tests, too_deep_or_too_large);
	tcase_add_loop_test(tests, one_that_is_no_object, 0, ARRAY_SIZE(no_objects));
	return made_run("json_read", tests);
}
