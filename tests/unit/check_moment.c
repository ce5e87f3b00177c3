/* check_moment.c - times as people write them. */
#include "cli/moment.h"

#include "tests/unit/made.h"

/* 2026-11-21 19:26:03.5 UTC; the tests run two hours east of it. */
#define NOW 1795289163500000

static const struct {
	const char *text;
	int64_t us; /* -1: is no time */
} spans[] = {
	{ "0", 0 },
	{ "90", 90000000 },
	{ "90s", 90000000 },
	{ "250ms", 250000 },
	{ "10m", 600000000 },
	{ "10min", 600000000 },
	{ "1.5h", 5400000000 },
	{ "2d", 172800000000 },
	{ "", -1 },
	{ "s", -1 },
	{ "-5", -1 },
	{ "+5", -1 },
	{ " 5", -1 },
	{ "5 s", -1 },
	{ "5x", -1 },
	{ "1.2.3", -1 },
	{ ".", -1 },
	{ "0x10", -1 },
	{ "1e3", -1 },
	{ "99999999999999999999d", -1 },
};

START_TEST(one_span)
{
	int64_t us = -1;
	bool is_span = ctask_moment_span(spans[_i].text, &us);

	ck_assert_msg(is_span == (spans[_i].us >= 0), "%s", spans[_i].text);
	ck_assert_msg(us == spans[_i].us, "%s: %lld", spans[_i].text, (long long)us);
}
END_TEST

static const struct {
	const char *text;
	int64_t us; /* before now; INT64_MIN: is no time */
} moments[] = {
	{ "10m", 600000000 },
	{ "21:26", 3500000 }, /* local; the seconds are 0 */
	{ "21:26:01", 2500000 },
	{ "21:26:01.25", 2250000 },
	{ "21:27", 86400000000 - 56500000 }, /* has not been today */
	{ "2026-11-21 21:26:01", 2500000 },
	{ "2026-11-21T21:26:01.5", 2000000 },
	{ "2026-11-21T19:26:01Z", 2500000 },
	{ "2026-11-21T19:26:01.123456Z", 2376544 },
	{ "2026-11-21 21:26", 3500000 },
	{ "2026-11-21", 21 * 3600000000 + 26 * 60000000 + 3500000 },
	{ "2026-11-22 21:26:03", -86400000000 + 500000 },
	{ "19:26Z", INT64_MIN },
	{ "25:00", INT64_MIN },
	{ "21:26:01.", INT64_MIN },
	{ "21:26:01x", INT64_MIN },
	{ "yesterday", INT64_MIN },
	{ "2026-13-01", INT64_MIN },
	{ "", INT64_MIN },
};

START_TEST(one_moment)
{
	int64_t us = INT64_MIN;
	bool is_moment = ctask_moment_parse(moments[_i].text, NOW, &us);

	ck_assert_msg(is_moment == (moments[_i].us != INT64_MIN), "%s", moments[_i].text);
	if (is_moment)
		ck_assert_msg(llabs(NOW - us - moments[_i].us) <= 1, "%s: %lld", moments[_i].text,
			      (long long)(NOW - us));
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("moment");

	setenv("TZ", "EAST-2", 1);
	tcase_add_loop_test(tests, one_span, 0, ARRAY_SIZE(spans));
	tcase_add_loop_test(tests, one_moment, 0, ARRAY_SIZE(moments));
	return made_run("moment", tests);
}
