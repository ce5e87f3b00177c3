/* check_cancellation.c - requests to stop as plain data, and as JSON, letter by letter. */
#include "model/json_cancellation.h"

#include "model/json.h"
#include "tests/unit/asked.h"

static char *print(const struct ctask_history *history, const bool *wanted)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	ck_assert_int_eq(ctask_json_write_cancellations(history, wanted, out, NULL), 0);
	fclose(out);
	return text;
}

static void assert_json(struct ctask_history *history, const bool *wanted, const char *want)
{
	auto_free char *got = print(history, wanted);

	ck_assert_str_eq(got, want);
	ctask_history_destroy(history);
}

START_TEST(everything)
{
	struct ctask_history *history = asked_history();
	struct ctask_cancellation *c;

	asked(history, 0, "first", "main", NULL);
	c = asked(history, 1, "store", "store_result", "store_result:44 >sleep:7");
	asked_by(history, c, "Task-3", "handler", "handler:31");
	c->target_stack.cut = 2;
	c->stack.cut = 1;
	c->through = CTASK_THROUGH_TIMEOUT;
	c->origin = CTASK_ORIGIN_TIMEOUT;
	c->scope = 0xabc;
	c->delay_s = 1;
	c->elapsed_s = 1.003;
	c->scope_frame = 1;
	c->exception_type = "ValueError";
	c->exception_message = "\"boom\"\n";
	c->failed_task = 0xdef;
	c->failed_task_name = "bad";
	c->message = "";
	c->repeats = 5;
	assert_json(
		history, (bool[]){ false, true },
		"{\"schema\":\"ctask.cancellation\",\"version\":1,\"id\":2,"
		"\"time\":\"2026-11-21T19:26:03.125456Z\",\"pid\":4242,\"source\":\"agent\","
		"\"target\":{\"id\":\"0x7f0000000200\",\"name\":\"store\","
		"\"coroutine\":\"store_result\",\"stack\":["
		"{\"name\":\"sleep\",\"filename\":\"/usr/lib/asyncio/tasks.py\",\"line\":7},"
		"{\"name\":\"store_result\",\"filename\":\"/srv/svc.py\",\"line\":44}],"
		"\"stack_omitted\":2},"
		"\"requester\":{\"kind\":\"task\",\"id\":\"0x7e0000000000\",\"name\":\"Task-3\","
		"\"coroutine\":\"handler\",\"nstid\":4242},\"origin\":\"timeout\","
		"\"scope\":{\"kind\":\"timeout\",\"id\":\"0xabc\",\"delay_s\":1.000000,"
		"\"elapsed_s\":1.003000,\"frame\":1},\"cause\":1,\"root\":1,"
		"\"exception\":{\"type\":\"ValueError\",\"message\":\"\\\"boom\\\"\\n\","
		"\"task\":{\"id\":\"0xdef\",\"name\":\"bad\"}},\"message\":\"\","
		"\"stack\":[{\"name\":\"handler\",\"filename\":\"/srv/svc.py\",\"line\":31}],"
		"\"stack_omitted\":1,\"repeats\":5,"
		"\"outcome\":{\"state\":\"cancelled\",\"after_s\":0.002100,"
		"\"resolution_s\":null}}\n");
}
END_TEST

START_TEST(nothing_known)
{
	struct ctask_history *history = ctask_history_create();
	struct ctask_cancellation *c = ctask_history_add(history);

	c->id = c->root = 7;
	c->exception_type = "KeyError";
	c->through = CTASK_THROUGH_GATHER;
	ck_assert_uint_eq(ctask_history_add_frame(history), 0);
	ck_assert_int_eq(ctask_history_push_stack(history, &c->stack, 0), 0);
	assert_json(
		history, NULL,
		"{\"schema\":\"ctask.cancellation\",\"version\":1,\"id\":7,"
		"\"time\":null,\"pid\":null,\"source\":\"agent\","
		"\"target\":{\"id\":null,\"name\":null,\"coroutine\":null,\"stack\":[],"
		"\"stack_omitted\":0},"
		"\"requester\":{\"kind\":\"task\",\"id\":null,\"name\":null,"
		"\"coroutine\":null,\"nstid\":null},\"origin\":\"unknown\","
		"\"scope\":{\"kind\":\"gather\",\"id\":null,\"delay_s\":null,"
		"\"elapsed_s\":null,\"frame\":null},\"cause\":null,\"root\":7,"
		"\"exception\":{\"type\":\"KeyError\",\"message\":null,\"task\":null},"
		"\"message\":null,"
		"\"stack\":[{\"name\":null,\"filename\":null,\"line\":null}],"
		"\"stack_omitted\":0,\"repeats\":0,"
		"\"outcome\":{\"state\":\"pending\",\"after_s\":null,\"resolution_s\":null}}\n");
}
END_TEST

START_TEST(lines)
{
	struct ctask_history *history = asked_history();
	auto_free char *none = print(history, NULL), *some = NULL;
	uint32_t count = 0;

	ck_assert_str_eq(none, "");
	for (int i = 0; i < 3; i++)
		asked(history, 0, "t", "c", NULL);
	some = print(history, (bool[]){ true, false, true });
	for (const char *at = some; (at = strchr(at, '\n')) != NULL; at++) {
		count++;
		ck_assert_msg(!at[1] || at[1] == '{', "%s", at);
	}
	ck_assert_uint_eq(count, 2);
	ck_assert(strncmp(some, "{\"schema\":", 10) == 0);
	ck_assert_ptr_nonnull(
		strstr(some, "\n{\"schema\":\"ctask.cancellation\",\"version\":1,\"id\":3,"));
	ctask_history_destroy(history);
}
END_TEST

START_TEST(first_and_last_line)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	ck_assert_int_eq(ctask_json_write_attached(4242, CTASK_BY_BPF, out, NULL), 0);
	ck_assert_int_eq(ctask_json_write_attached_all(out, NULL), 0);
	ck_assert_int_eq(ctask_json_write_attached_one(4243, "web\n", CTASK_BY_AGENT, 2, out, NULL),
			 0);
	ck_assert_int_eq(ctask_json_write_attached_one(4244, NULL, CTASK_BY_BPF, -1, out, NULL), 0);
	ck_assert_int_eq(ctask_json_write_end(12, out, NULL), 0);
	fclose(out);
	ck_assert_str_eq(text, "{\"schema\":\"ctask.attached\",\"version\":1,\"pid\":4242,"
			       "\"source\":\"bpf\"}\n"
			       "{\"schema\":\"ctask.attached\",\"version\":1,\"pid\":null,"
			       "\"source\":\"bpf\"}\n"
			       "{\"schema\":\"ctask.attached\",\"version\":1,\"pid\":4243,"
			       "\"source\":\"agent\",\"container\":\"web\\n\",\"missed\":2}\n"
			       "{\"schema\":\"ctask.attached\",\"version\":1,\"pid\":4244,"
			       "\"source\":\"bpf\",\"container\":null,\"missed\":null}\n"
			       "{\"schema\":\"ctask.end\",\"version\":1,\"dropped\":12}\n");
	free(text);
}
END_TEST

/* The words of contract 2, in the order of the enums. */
START_TEST(words)
{
	static const char *const origins[] = { "unknown",      "timeout",	  "sibling_failed",
					       "owner_failed", "owner_cancelled", "shutdown",
					       "interrupt",    "explicit" };
	static const char *const throughs[] = { NULL,		"timeout",    "wait_for",
						"cancel_scope", "task_group", "nursery",
						"await",	"gather",     "runner" };
	static const char *const requesters[] = { "task", "callback", "runner", "signal",
						  "thread" };
	static const char *const outcomes[] = { "pending", "cancelled", "absorbed", "returned",
						"raised",  "swallowed", "unknown" };

	_Static_assert(ARRAY_SIZE(origins) == CTASK_ORIGINS, "each origin has a word");
	_Static_assert(ARRAY_SIZE(throughs) == CTASK_THROUGHS, "each construct has a word");
	_Static_assert(ARRAY_SIZE(requesters) == CTASK_REQUESTERS, "each requester has a word");
	_Static_assert(ARRAY_SIZE(outcomes) == CTASK_OUTCOMES, "each outcome has a word");
	for (size_t i = 0; i < ARRAY_SIZE(origins); i++)
		ck_assert_str_eq(ctask_origin_words[i], origins[i]);
	ck_assert_ptr_null(ctask_through_words[0]);
	for (size_t i = 1; i < ARRAY_SIZE(throughs); i++)
		ck_assert_str_eq(ctask_through_words[i], throughs[i]);
	for (size_t i = 0; i < ARRAY_SIZE(requesters); i++)
		ck_assert_str_eq(ctask_requester_words[i], requesters[i]);
	for (size_t i = 0; i < ARRAY_SIZE(outcomes); i++)
		ck_assert_str_eq(ctask_outcome_words[i], outcomes[i]);
}
END_TEST

START_TEST(found_by_id)
{
	struct ctask_history *history = asked_history();

	ck_assert_ptr_null(ctask_history_find(history, 1));
	for (int i = 0; i < 5; i++)
		asked(history, 0, "t", "c", NULL);
	history->items[4].id = 9; /* some were refused between them */
	ck_assert_ptr_eq(ctask_history_find(history, 2), &history->items[1]);
	ck_assert_ptr_eq(ctask_history_find(history, 9), &history->items[4]);
	ck_assert_ptr_null(ctask_history_find(history, 5));
	ck_assert_ptr_null(ctask_history_birth(history, 1));
	ctask_history_destroy(history);
}
END_TEST

/* What a snapshot says that has a history, and what one without. */
START_TEST(in_a_snapshot)
{
	struct ctask_snapshot *snap = made_snapshot();
	struct ctask_history *history = asked_history();
	struct ctask_birth_facts birth = { .creator = 0x77, .frame = CTASK_NONE };
	char *text = NULL;
	size_t size;
	FILE *out;

	snap->capture.captured_at_us = ASKED_AT;
	for (uint32_t i = 0; i < 3; i++)
		made_task(snap, "t", true);
	asked(history, 0, "t", "c", "main:12");
	birth.task = snap->tasks[1].id;
	birth.time_us = ASKED_AT - 2500000;
	birth.frame = 0;
	ck_assert_int_eq(ctask_history_add_birth(history, &birth), 0);
	birth.task = snap->tasks[0].id;
	birth.time_us = ASKED_AT + 1; /* made after the picture was taken */
	birth.creator = 0;
	birth.frame = CTASK_NONE;
	ck_assert_int_eq(ctask_history_add_birth(history, &birth), 0);
	ctask_history_sort_births(history);
	snap->history = history;
	out = open_memstream(&text, &size);
	ck_assert_int_eq(ctask_json_write_snapshot(snap, out, NULL), 0);
	fclose(out);
	ck_assert_ptr_nonnull(strstr(text,
				     "\"scope\":null,\"age_s\":2.500000,\"created_by\":\"0x77\","
				     "\"created_at\":{\"name\":\"main\","
				     "\"filename\":\"/srv/svc.py\",\"line\":12}}"));
	ck_assert_ptr_nonnull(strstr(text, "\"age_s\":null,\"created_by\":null,"
					   "\"created_at\":null},\n{\"id\":\"0x7f0000000100\""));
	ck_assert_ptr_nonnull(strstr(text, "\"created_at\":null}],\n"));
	ck_assert_ptr_nonnull(strstr(text, "\"cancellations\":[\n{\"schema\":"
					   "\"ctask.cancellation\",\"version\":1,\"id\":1,"));
	free(text);
	ctask_snapshot_destroy(snap);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("cancellation");

	tcase_add_test(tests, everything);
	tcase_add_test(tests, nothing_known);
	tcase_add_test(tests, lines);
	tcase_add_test(tests, first_and_last_line);
	tcase_add_test(tests, words);
	tcase_add_test(tests, found_by_id);
	tcase_add_test(tests, in_a_snapshot);
	return made_run("cancellation", tests);
}
