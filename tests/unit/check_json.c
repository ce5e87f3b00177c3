/* check_json.c - a snapshot as JSON, read back by a parser. */
#include "model/json.h"

#include <cjson/cJSON.h>

#include "tests/unit/made.h"

struct printed {
	char *text;
	cJSON *json;
};

static char *print_text(const struct ctask_snapshot *snap)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	ck_assert_int_eq(ctask_json_write_snapshot(snap, out, NULL), 0);
	fclose(out);
	return text;
}

static struct printed print(const struct ctask_snapshot *snap)
{
	struct printed p = { .text = print_text(snap) };

	p.json = cJSON_Parse(p.text);
	ck_assert_msg(p.json != NULL, "no JSON: %s", p.text);
	return p;
}

static void printed_fini(struct printed *p)
{
	cJSON_Delete(p->json);
	free(p->text);
}

static const cJSON *key(const cJSON *object, const char *name)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

	ck_assert_msg(item != NULL, "no key %s", name);
	return item;
}

static const char *string(const cJSON *object, const char *name)
{
	const cJSON *item = key(object, name);

	ck_assert_msg(cJSON_IsString(item), "%s is no string", name);
	return item->valuestring;
}

START_TEST(an_empty_snapshot)
{
	struct ctask_snapshot *snap = ctask_snapshot_create();
	struct printed p = print(snap);

	ck_assert_str_eq(string(p.json, "schema"), "ctask.snapshot");
	ck_assert_int_eq(key(p.json, "version")->valueint, 1);
	ck_assert(cJSON_IsNull(key(p.json, "captured_at")));
	ck_assert(cJSON_IsNull(key(key(p.json, "process"), "pid")));
	ck_assert(cJSON_IsNull(key(key(p.json, "process"), "uid")));
	ck_assert(cJSON_IsTrue(key(key(p.json, "capture"), "complete")));
	ck_assert_int_eq(cJSON_GetArraySize(key(p.json, "tasks")), 0);
	ck_assert_int_eq(cJSON_GetArraySize(key(p.json, "cancellations")), 0);
	ck_assert(p.text[strlen(p.text) - 1] == '\n');
	printed_fini(&p);
	ctask_snapshot_destroy(snap);
}
END_TEST

START_TEST(a_task_with_everything)
{
	struct ctask_snapshot *snap = made_snapshot();
	uint32_t waiter = made_task(snap, "waiter", false);
	uint32_t task = made_task(snap, "worker-1", true);
	uint32_t scope = ctask_snapshot_add_scope(snap);
	const cJSON *t, *s;
	struct printed p;

	snap->tasks[task].wait_left_s = 2.5;
	snap->tasks[task].cancel_requests = 2;
	snap->tasks[task].cancel_pending = true;
	snap->tasks[task].cancel_handled = true;
	snap->tasks[task].wait_id = 0x7f1234567890;
	snap->tasks[task].scope = scope;
	snap->scopes[scope].id = 0xabc;
	snap->scopes[scope].owner = waiter;
	snap->capture.captured_at_us = 1795289163123456;
	made_edge(snap, waiter, task, CTASK_EDGE_TASK_GROUP);
	made_edge(snap, waiter, task, CTASK_EDGE_AWAIT); /* awaited_by has it once */
	p = print(snap);
	t = cJSON_GetArrayItem(key(p.json, "tasks"), 1);
	ck_assert_str_eq(string(p.json, "captured_at"), "2026-11-21T19:26:03.123456Z");
	ck_assert_str_eq(string(t, "id"), "0x7f0000000100");
	ck_assert_str_eq(string(t, "name"), "worker-1");
	ck_assert_str_eq(string(t, "state"), "waiting");
	ck_assert_int_eq(key(t, "cancel_requests")->valueint, 2);
	ck_assert(cJSON_IsTrue(key(t, "cancel_pending")));
	ck_assert(cJSON_IsTrue(key(t, "cancel_handled")));
	ck_assert_str_eq(string(key(t, "waiting_for"), "id"), "0x7f1234567890");
	ck_assert_str_eq(string(key(t, "waiting_for"), "kind"), "sleep");
	ck_assert_double_eq(key(key(t, "waiting_for"), "left_s")->valuedouble, 2.5);
	ck_assert_int_eq(cJSON_GetArraySize(key(t, "awaited_by")), 1);
	ck_assert_str_eq(key(t, "awaited_by")->child->valuestring, "0x7f0000000000");
	ck_assert_str_eq(string(t, "scope"), "0xabc");
	ck_assert_str_eq(string(key(t, "stack")->child, "name"), "sleep");
	ck_assert_int_eq(key(key(t, "stack")->child, "line")->valueint, 665);
	ck_assert_int_eq(cJSON_GetArraySize(key(p.json, "edges")), 2);
	ck_assert_str_eq(string(key(p.json, "edges")->child, "kind"), "task_group");
	s = key(p.json, "scopes")->child;
	ck_assert_str_eq(string(s, "owner"), "0x7f0000000000");
	ck_assert_str_eq(key(s, "tasks")->child->valuestring, "0x7f0000000100");
	ck_assert(cJSON_IsNull(key(s, "deadline_in_s")));
	printed_fini(&p);
	ctask_snapshot_destroy(snap);
}
END_TEST

START_TEST(what_is_not_known_is_null)
{
	struct ctask_snapshot *snap = made_snapshot();
	uint32_t task = made_task(snap, "t", true);
	const cJSON *t;
	struct printed p;

	snap->frames[0].line = 0;
	snap->tasks[task].cancel_requests = -1;
	snap->tasks[task].name = NULL;
	snap->tasks[task].coroutine = NULL;
	p = print(snap);
	t = key(p.json, "tasks")->child;
	ck_assert(cJSON_IsNull(key(t, "cancel_requests")));
	ck_assert(cJSON_IsNull(key(t, "name")));
	ck_assert(cJSON_IsNull(key(t, "coroutine")));
	ck_assert(cJSON_IsNull(key(t, "scope")));
	ck_assert(cJSON_IsNull(key(key(t, "waiting_for"), "left_s")));
	ck_assert(cJSON_IsNull(key(key(t, "waiting_for"), "id")));
	ck_assert(cJSON_IsFalse(key(t, "cancel_handled")));
	ck_assert(cJSON_IsNull(key(cJSON_GetArrayItem(key(t, "stack"), 1), "line")));
	printed_fini(&p);
	ctask_snapshot_destroy(snap);
}
END_TEST

static const struct {
	const char *text, *json;
} names[] = {
	{ "plain", "\"plain\"" },
	{ "caf\xc3\xa9 \xf0\x9f\x90\x8d", "\"caf\xc3\xa9 \xf0\x9f\x90\x8d\"" },
	{ "quote \" and \\", "\"quote \\\" and \\\\\"" },
	{ "a\nb", "\"a\\nb\"" },
	{ "\x1b[31m", "\"\\u001b[31m\"" },
	{ "a\xc0\x80"
	  "b",
	  "\"a\\u0000b\"" },
	{ "\xed\xb2\x80", "\"\\udc80\"" },
	{ "\xed\xa0\x80 \" \\ \n", "\"\\ud800 \\\" \\\\ \\u000a\"" },
	{ "cut\xe2\x82", "\"cut\xef\xbf\xbd\xef\xbf\xbd\"" },
	{ "", "\"\"" },
};

/* Not parsed: cJSON takes no lone surrogates, which are right all the same. */
START_TEST(one_name)
{
	struct ctask_snapshot *snap = made_snapshot();
	auto_free char *text = NULL;
	char want[128];

	made_task(snap, names[_i].text, true);
	text = print_text(snap);
	snprintf(want, sizeof(want), "\"name\":%s,\"runtime\"", names[_i].json);
	ck_assert_msg(strstr(text, want) != NULL, "%s is not in %s", want, text);
	ctask_snapshot_destroy(snap);
}
END_TEST

START_TEST(numbers)
{
	static const struct {
		double left;
		const char *json;
	} rows[] = {
		{ 0, "0.000000" },	   { -0.25, "-0.250000" },
		{ 3.2000004, "3.200000" }, { 1e9, "1000000000.000000" },
		{ INFINITY, "null" },	   { NAN, "null" },
		{ -1e-9, "0.000000" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct ctask_snapshot *snap = made_snapshot();
		auto_free char *text = NULL;
		char want[64];

		made_task(snap, "t", true);
		snap->tasks[0].wait_left_s = rows[i].left;
		snap->tasks[0].id = UINT64_MAX;
		snap->capture.elapsed_us = 4503599627370495;
		text = print_text(snap);
		snprintf(want, sizeof(want), "\"left_s\":%s}", rows[i].json);
		ck_assert_msg(strstr(text, want) != NULL, "%s is not in %s", want, text);
		ck_assert_ptr_nonnull(strstr(text, "\"id\":\"0xffffffffffffffff\""));
		ck_assert_ptr_nonnull(strstr(text, "\"elapsed_us\":4503599627370495,"));
		ctask_snapshot_destroy(snap);
	}
}
END_TEST

START_TEST(problems)
{
	struct ctask_snapshot *snap = made_snapshot();
	const cJSON *list;
	struct printed p;

	ctask_snapshot_add_problem(snap, 0x10, "its name");
	ctask_snapshot_add_problem(snap, 0, "a list");
	snap->problems_untold = 3;
	p = print(snap);
	list = key(key(p.json, "capture"), "problems");
	ck_assert(cJSON_IsFalse(key(key(p.json, "capture"), "complete")));
	ck_assert_int_eq(cJSON_GetArraySize(list), 3);
	ck_assert_str_eq(string(list->child, "task"), "0x10");
	ck_assert(cJSON_IsNull(key(list->child->next, "task")));
	ck_assert_ptr_nonnull(strstr(string(list->child->next->next, "text"), "3 more"));
	printed_fini(&p);
	ctask_snapshot_destroy(snap);
}
END_TEST

START_TEST(a_huge_name_and_a_deep_stack)
{
	enum { LEN = 3000000, FRAMES = 5000 };
	struct ctask_snapshot *snap = made_snapshot();
	auto_free char *name = malloc(LEN + 1);
	struct printed p;

	memset(name, 'n', LEN);
	name[LEN] = '\0';
	made_task(snap, name, true);
	for (int i = 0; i < FRAMES; i++)
		ck_assert_int_eq(ctask_snapshot_push_stack(snap, 0), 0);
	p = print(snap);
	ck_assert_uint_eq(strlen(string(key(p.json, "tasks")->child, "name")), LEN);
	ck_assert_int_eq(cJSON_GetArraySize(key(key(p.json, "tasks")->child, "stack")), FRAMES + 2);
	printed_fini(&p);
	ctask_snapshot_destroy(snap);
}
END_TEST

START_TEST(many_waiters)
{
	enum { COUNT = 100000 };
	struct ctask_snapshot *snap = made_snapshot();
	uint32_t shared = made_task(snap, "shared", true);
	auto_free char *text = NULL;
	const char *list, *end;
	size_t count = 0;

	for (uint32_t i = 0; i < COUNT; i++)
		made_edge(snap, made_numbered_task(snap, i, false), shared, CTASK_EDGE_SHIELD);
	text = print_text(snap);
	list = strstr(text, "\"awaited_by\":[");
	end = strchr(list, ']');
	for (; list < end; list++)
		count += *list == ',';
	ck_assert_uint_eq(count, COUNT - 1);
	ctask_snapshot_destroy(snap);
}
END_TEST

START_TEST(a_list_of_processes)
{
	ctask_text cmdline[] = { "python3", "a b" };
	struct ctask_process_entry entries[] = {
		{ .pid = 7,
		  .uid = 0,
		  .user = "root",
		  .implementation = "CPython",
		  .version = "3.13.5",
		  .has_asyncio = true,
		  .task_count = 12,
		  .cmdline = cmdline,
		  .cmdline_count = 2 },
		{ .pid = 8, .uid = -1, .access = CTASK_ACCESS_NOT_PERMITTED, .reason = "no right" },
	};
	struct ctask_process_list list = { .entries = entries, .count = 2 };
	auto_free char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	const cJSON *first;
	cJSON *json;

	ck_assert_int_eq(ctask_json_write_processes(&list, out, NULL), 0);
	fclose(out);
	json = cJSON_Parse(text);
	ck_assert_ptr_nonnull(json);
	first = key(json, "processes")->child;
	ck_assert_int_eq(key(first, "task_count")->valueint, 12);
	ck_assert_str_eq(string(first, "access"), "yes");
	ck_assert(cJSON_IsNull(key(first, "reason")));
	ck_assert_str_eq(string(first->next, "access"), "not_permitted");
	ck_assert(cJSON_IsNull(key(first->next, "task_count")));
	cJSON_Delete(json);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("json");

	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, an_empty_snapshot);
	tcase_add_test(tests, a_task_with_everything);
	tcase_add_test(tests, what_is_not_known_is_null);
	tcase_add_loop_test(tests, one_name, 0, ARRAY_SIZE(names));
	tcase_add_test(tests, numbers);
	tcase_add_test(tests, problems);
	tcase_add_test(tests, a_huge_name_and_a_deep_stack);
	tcase_add_test(tests, many_waiters);
	tcase_add_test(tests, a_list_of_processes);
	return made_run("json", tests);
}
