/* check_rendezvous.c - names, places and words that agent and client agree on. */
#include "model/rendezvous.h"

#include <stdio.h>
#include <string.h>

#include "model/cleanup.h"
#include "tests/unit/made.h"

START_TEST(names)
{
	char name[CTASK_SOCKET_NAME_BYTES];
	uint64_t ticks;
	int32_t nspid;

	ctask_socket_name(7, 1234567, name);
	ck_assert_str_eq(name, "ctask-7-1234567.sock");
	ck_assert(ctask_socket_name_parse(name, &nspid, &ticks));
	ck_assert_int_eq(nspid, 7);
	ck_assert_uint_eq(ticks, 1234567);
	ctask_socket_name(INT32_MAX, UINT64_MAX, name);
	ck_assert_str_eq(name, "ctask-2147483647-18446744073709551615.sock");
	ck_assert(ctask_socket_name_parse(name, &nspid, &ticks));
	ck_assert_int_eq(nspid, INT32_MAX);
	ck_assert_uint_eq(ticks, UINT64_MAX);
}
END_TEST

static const char *const no_names[] = {
	"",
	"ctask",
	"ctask-",
	"ctask-7",
	"ctask-7-",
	"ctask-7-.sock",
	"ctask--7.sock",
	"ctask-7-8",
	"ctask-7-8.soc",
	"ctask-7-8.sock.",
	"ctask-7-8.sock ",
	" ctask-7-8.sock",
	"ctask-07-8.sock",
	"ctask-7-+8.sock",
	"ctask-2147483648-8.sock",
	"ctask-7-18446744073709551616.sock",
	"ctask-99999999999999999999999-8.sock",
	"../ctask-7-8.sock",
};

START_TEST(what_is_no_name)
{
	uint64_t ticks;
	int32_t nspid;

	ck_assert(!ctask_socket_name_parse(no_names[_i], &nspid, &ticks));
}
END_TEST

static const struct {
	struct ctask_places places;
	const char *want[CTASK_PLACE_KINDS];
} places[] = {
	{ { .uid = 0 }, { NULL, NULL, "/run/ctask/0", "/tmp/ctask-0" } },
	{ { "", "", "", 1000 }, { NULL, NULL, "/run/ctask/1000", "/tmp/ctask-1000" } },
	{ { "/a", "/run/user/7", "/var/tmp", 7 },
	  { "/a", "/run/user/7/ctask", "/run/ctask/7", "/var/tmp/ctask-7" } },
	/* What is not absolute depends on where one stands. */
	{ { "a", "./b", "tmp", UINT32_MAX }, { NULL, NULL, "/run/ctask/4294967295", NULL } },
};

START_TEST(directories)
{
	char path[CTASK_PLACE_BYTES];

	for (int kind = 0; kind < CTASK_PLACE_KINDS; kind++) {
		bool is_there =
			ctask_place_path(&places[_i].places, (enum ctask_place_kind)kind, path);

		ck_assert_int_eq(is_there, places[_i].want[kind] != NULL);
		if (is_there)
			ck_assert_str_eq(path, places[_i].want[kind]);
	}
}
END_TEST

START_TEST(a_directory_that_is_too_long)
{
	char path[CTASK_PLACE_BYTES], dir[CTASK_PLACE_BYTES + 1];
	struct ctask_places long_ones = { .ctask_dir = dir, .runtime_dir = dir };

	memset(dir, 'x', sizeof(dir));
	dir[0] = '/';
	dir[CTASK_PLACE_BYTES] = '\0';
	ck_assert(!ctask_place_path(&long_ones, CTASK_AT_CTASK_DIR, path));
	dir[CTASK_PLACE_BYTES - 1] = '\0';
	ck_assert(ctask_place_path(&long_ones, CTASK_AT_CTASK_DIR, path));
	ck_assert(!ctask_place_path(&long_ones, CTASK_AT_RUNTIME_DIR, path));
}
END_TEST

static const struct {
	const char *line;
	int want;
	const char *rest;
} lines[] = {
	{ "hello", CTASK_ASK_HELLO, "" },
	{ "history", CTASK_ASK_HISTORY, "" },
	{ "tree", CTASK_ASK_TREE, "" },
	{ "tree  ", CTASK_ASK_TREE, "" },
	{ "cancels", CTASK_ASK_CANCELS, "" },
	{ "cancels since=17", CTASK_ASK_CANCELS, "since=17" },
	{ "", -1, NULL },
	{ " tree", -1, NULL },
	{ "tree please", -1, NULL },
	{ "trees", -1, NULL },
	{ "Tree", -1, NULL },
	{ "GET / HTTP/1.1", -1, NULL },
};

START_TEST(requests)
{
	const char *rest = NULL;

	ck_assert_int_eq(ctask_request_parse(lines[_i].line, &rest), lines[_i].want);
	if (lines[_i].want >= 0)
		ck_assert_str_eq(rest, lines[_i].rest);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("rendezvous");

	tcase_add_test(tests, names);
	tcase_add_loop_test(tests, what_is_no_name, 0, ARRAY_SIZE(no_names));
	tcase_add_loop_test(tests, directories, 0, ARRAY_SIZE(places));
	tcase_add_test(tests, a_directory_that_is_too_long);
	tcase_add_loop_test(tests, requests, 0, ARRAY_SIZE(lines));
	return made_run("rendezvous", tests);
}
