/* check_pages.c - the cache of a target's pages: live, frozen, held. */
#include "reader/pages.h"

#include <errno.h>

#include "tests/unit/made.h"

enum { BASE = 0x100000, PAGES = 4000, LIVE_MOST = 1536 };

/* Memory of which pages may go, and which counts what is asked of it. */
static struct watched_memory {
	struct ctask_memory memory;
	uint8_t first[PAGES]; /* the first byte of each page; the others are 0 */
	bool gone[PAGES];
	size_t calls;
	ssize_t error;
} there;

static ssize_t read_runs(struct ctask_memory *memory, const struct ctask_page_run *runs,
			 size_t run_count, uint8_t *to)
{
	ssize_t total = 0;

	(void)memory;
	there.calls++;
	if (there.error)
		return there.error;
	for (size_t i = 0; i < run_count; i++)
		for (size_t n = 0; n < runs[i].count; n++) {
			uint64_t page = (runs[i].addr + n * CTASK_PAGE - BASE) / CTASK_PAGE;

			if (page >= PAGES || there.gone[page])
				return total;
			memset(to + total, 0, CTASK_PAGE);
			to[total] = there.first[page];
			total += CTASK_PAGE;
		}
	return total;
}

static const struct ctask_memory_ops ops = { .name = "watched", .read_runs = read_runs };

static struct ctask_pages pages;

static void up(void)
{
	there = (struct watched_memory){ .memory.ops = &ops };
	for (size_t i = 0; i < PAGES; i++)
		there.first[i] = (uint8_t)(i * 7 + 1);
	ck_assert_int_eq(ctask_pages_init(&pages, &there.memory), 0);
}

static void down(void)
{
	ctask_pages_fini(&pages);
}

static uint64_t page_addr(uint64_t page)
{
	return BASE + page * CTASK_PAGE;
}

/* Read the first byte of a page: it must be that of now, or -EFAULT. */
static int look_at(uint64_t page)
{
	uint8_t byte = 0;
	int ret = ctask_pages_read(&pages, page_addr(page), &byte, 1);

	return ret ? ret : byte;
}

START_TEST(over_a_border)
{
	uint8_t bytes[CTASK_PAGE * 2];

	ck_assert_int_eq(ctask_pages_read(&pages, page_addr(1) - 1, bytes, 2), 0);
	ck_assert_uint_eq(bytes[0], 0);
	ck_assert_uint_eq(bytes[1], there.first[1]);
	ck_assert_int_eq(ctask_pages_read(&pages, page_addr(3), bytes, sizeof(bytes)), 0);
	ck_assert_uint_eq(bytes[0], there.first[3]);
	ck_assert_uint_eq(bytes[CTASK_PAGE], there.first[4]);
	/* All or nothing. */
	there.gone[9] = true;
	ck_assert_int_eq(ctask_pages_read(&pages, page_addr(9) - 1, bytes, 2), -EFAULT);
	ck_assert_uint_eq(pages.fault_addr, page_addr(9));
}
END_TEST

static const struct {
	uint64_t addr;
	size_t len;
} nowhere[] = {
	{ 0, 1 },
	{ BASE - 1, 2 },
	{ BASE + (uint64_t)PAGES * CTASK_PAGE - 1, 2 },
	{ UINT64_MAX, 1 },
	{ UINT64_MAX, 2 },
	{ UINT64_MAX - 7, 8 },
	{ BASE, UINT64_MAX },
	{ UINT64_MAX - 4095, 4096 },
};

START_TEST(what_is_not_mapped)
{
	uint8_t bytes[CTASK_PAGE];

	ck_assert_int_eq(ctask_pages_read(&pages, nowhere[_i].addr, bytes, nowhere[_i].len),
			 -EFAULT);
	ck_assert_int_eq(pages.error, 0);
	ck_assert_int_eq(look_at(0), there.first[0]);
}
END_TEST

START_TEST(live_reads_a_page_once_and_neighbours_with_it)
{
	ck_assert_int_eq(look_at(16), there.first[16]);
	ck_assert_uint_eq(there.calls, 1);
	ck_assert_int_eq(look_at(16), there.first[16]);
	ck_assert_int_eq(look_at(17), there.first[17]);
	ck_assert_uint_eq(there.calls, 1);
	/* What was read ahead but not asked for is no page that matters. */
	ck_assert_int_eq(ctask_pages_prepare(&pages), 0);
	ck_assert_uint_eq(pages.touched_count, 2);
}
END_TEST

START_TEST(full_it_forgets_copies_but_not_which_pages)
{
	for (int round = 0; round < 3; round++)
		for (uint64_t page = 0; page < PAGES; page++)
			ck_assert_int_eq(look_at(page), there.first[page]);
	ck_assert_uint_le(pages.slot_room, LIVE_MOST);
	ck_assert_uint_le(pages.touched_room, 4 * PAGES);
	ck_assert_int_eq(ctask_pages_prepare(&pages), 0);
	ck_assert_uint_eq(pages.touched_count, PAGES);
}
END_TEST

START_TEST(thawed_it_reads_anew)
{
	ck_assert_int_eq(look_at(5), there.first[5]);
	there.first[5] = 99;
	ck_assert_int_ne(look_at(5), 99);
	ctask_pages_thaw(&pages);
	ck_assert_int_eq(look_at(5), 99);
}
END_TEST

static void freeze(void)
{
	ck_assert_int_eq(ctask_pages_prepare(&pages), 0);
	ck_assert_int_eq(ctask_pages_freeze(&pages), 0);
}

START_TEST(frozen_is_of_one_moment_and_remembers_misses)
{
	size_t calls;

	look_at(1);
	look_at(100);
	freeze();
	calls = there.calls;
	there.first[1] = 200;
	ck_assert_int_ne(look_at(1), 200);
	ck_assert_int_eq(look_at(50), -EFAULT);
	ck_assert_uint_eq(pages.missed, 1);
	ck_assert_uint_eq(there.calls, calls);
	freeze();
	ck_assert_uint_eq(pages.missed, 0);
	ck_assert_int_eq(look_at(1), 200);
	ck_assert_int_eq(look_at(50), there.first[50]);
	ck_assert_int_eq(look_at(100), there.first[100]);
	ck_assert_uint_eq(pages.missed, 0);
}
END_TEST

START_TEST(small_gaps_are_copied_too)
{
	look_at(10);
	look_at(14);
	look_at(100);
	freeze();
	ck_assert_int_eq(look_at(12), there.first[12]);
	ck_assert_int_eq(look_at(60), -EFAULT);
}
END_TEST

START_TEST(pages_that_have_gone_are_left_out)
{
	for (uint64_t page = 0; page < 30; page += 3)
		look_at(page);
	there.gone[3] = there.gone[13] = there.gone[27] = true;
	freeze();
	for (uint64_t page = 0; page < 30; page += 3)
		ck_assert_int_eq(look_at(page), there.gone[page] ? -EFAULT : there.first[page]);
}
END_TEST

START_TEST(held_reads_what_is_missed)
{
	look_at(1);
	freeze();
	ctask_pages_hold(&pages, true);
	ck_assert_int_eq(look_at(1), there.first[1]);
	ck_assert_int_eq(look_at(70), there.first[70]);
	for (uint64_t page = 0; page < PAGES; page++)
		ck_assert_int_eq(look_at(page), there.first[page]);
	ctask_pages_hold(&pages, false);
	ctask_pages_thaw(&pages);
	ck_assert_int_eq(look_at(2), there.first[2]);
}
END_TEST

START_TEST(past_the_deadline_nothing_is_read)
{
	look_at(1);
	ck_assert_int_eq(ctask_pages_prepare(&pages), 0);
	pages.deadline_ns = INT64_MAX;
	ck_assert_int_eq(ctask_pages_freeze(&pages), 0);
	pages.deadline_ns = 1;
	ck_assert_int_eq(ctask_pages_check_deadline(&pages), -ETIME);
	ck_assert_int_eq(look_at(900), -ETIME);
	ck_assert_int_eq(ctask_pages_freeze(&pages), -ETIME);
	ck_assert_int_eq(pages.error, -ETIME);
}
END_TEST

START_TEST(a_loop_that_misses_no_page_keeps_the_deadline)
{
	int steps = 0;

	look_at(1);
	pages.deadline_ns = 1;
	while (!ctask_pages_spend(&pages, 1) && steps < 100000)
		steps++;
	ck_assert_int_lt(steps, 10000);
	ck_assert_int_eq(pages.error, -ETIME);
}
END_TEST

/* As many steps as the pages explain, and no more. */
START_TEST(steps_are_counted)
{
	uint64_t few = 0, more = 0;

	pages.steps_allowed = 100000;
	look_at(1);
	while (!ctask_pages_spend(&pages, 1))
		few++;
	ck_assert_int_eq(pages.error, -E2BIG);
	ck_assert_uint_ge(few, 100000);
	down();
	up();
	pages.steps_allowed = 100000;
	for (uint64_t page = 0; page < 100; page++)
		look_at(page);
	while (!ctask_pages_spend(&pages, 1))
		more++;
	ck_assert_uint_gt(more, few);
	ck_assert_uint_lt(more, 10 * 1000 * 1000);
	ck_assert_int_eq(ctask_pages_spend(&pages, UINT32_MAX), -E2BIG);
}
END_TEST

START_TEST(errors_of_the_source_stick)
{
	look_at(1);
	there.error = -ESRCH;
	ck_assert_int_eq(look_at(500), -ESRCH);
	there.error = 0;
	ck_assert_int_eq(look_at(600), -ESRCH);
	ck_assert_int_eq(ctask_pages_prepare(&pages), -ESRCH);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("pages");

	tcase_add_checked_fixture(tests, up, down);
	tcase_add_test(tests, over_a_border);
	tcase_add_loop_test(tests, what_is_not_mapped, 0, ARRAY_SIZE(nowhere));
	tcase_add_test(tests, live_reads_a_page_once_and_neighbours_with_it);
	tcase_add_test(tests, full_it_forgets_copies_but_not_which_pages);
	tcase_add_test(tests, thawed_it_reads_anew);
	tcase_add_test(tests, frozen_is_of_one_moment_and_remembers_misses);
	tcase_add_test(tests, small_gaps_are_copied_too);
	tcase_add_test(tests, pages_that_have_gone_are_left_out);
	tcase_add_test(tests, held_reads_what_is_missed);
	tcase_add_test(tests, past_the_deadline_nothing_is_read);
	tcase_add_test(tests, a_loop_that_misses_no_page_keeps_the_deadline);
	tcase_add_test(tests, steps_are_counted);
	tcase_add_test(tests, errors_of_the_source_stick);
	return made_run("pages", tests);
}
