/* check_memory.c - bytes at an address: of an array, of a process. */
#include "reader/memory.h"

#include <errno.h>
#include <sys/mman.h>

#include "tests/unit/child.h"
#include "tests/unit/made.h"

static ssize_t read_run(struct ctask_memory *memory, uint64_t addr, size_t count, uint8_t *to)
{
	const struct ctask_page_run run = { .addr = addr, .count = count };

	return memory->ops->read_runs(memory, &run, 1, to);
}

static const uint8_t abc[] = "abc",
		     long_one[5000] = { [0] = 1, [4095] = 2, [4096] = 3, [4999] = 4 };

START_TEST(segments_fill_pages_in_part)
{
	const struct ctask_segment segments[] = {
		{ 0x1000 + 4093, abc, 3 },  /* to the very end of a page */
		{ 0x5000, long_one, 5000 }, /* one page and a part */
		{ 0x6000 + 4000, abc, 3 },  /* a second one in the same page */
	};
	struct ctask_memory *memory;
	uint8_t page[2 * CTASK_PAGE];

	ck_assert_int_eq(ctask_memory_create_bytes(segments, 3, &memory, NULL), 0);
	ck_assert_int_eq(read_run(memory, 0x1000, 1, page), CTASK_PAGE);
	ck_assert_uint_eq(page[4092], 0);
	ck_assert_mem_eq(page + 4093, "abc", 3);
	ck_assert_int_eq(read_run(memory, 0x5000, 2, page), 2 * CTASK_PAGE);
	ck_assert_mem_eq(page, long_one, 5000);
	ck_assert_uint_eq(page[5000], 0);
	ck_assert_mem_eq(page + 4096 + 4000, "abc", 3);
	ctask_memory_destroy(memory);
	ctask_memory_destroy(NULL);
}
END_TEST

START_TEST(reading_ends_at_the_first_page_that_is_not_there)
{
	const struct ctask_segment segments[] = { { 0x1000, abc, 3 }, { 0x3000, abc, 3 } };
	const struct ctask_page_run runs[] = { { 0x3000, 1 }, { 0x1000, 3 }, { 0x3000, 1 } };
	struct ctask_memory *memory;
	uint8_t pages[5 * CTASK_PAGE];

	ck_assert_int_eq(ctask_memory_create_bytes(segments, 2, &memory, NULL), 0);
	ck_assert_int_eq(read_run(memory, 0x2000, 1, pages), 0);
	ck_assert_int_eq(read_run(memory, UINT64_MAX - 4095, 1, pages), 0);
	ck_assert_int_eq(memory->ops->read_runs(memory, runs, 3, pages), 2 * CTASK_PAGE);
	ctask_memory_destroy(memory);
}
END_TEST

START_TEST(a_process_as_an_array)
{
	enum { PAGES = 4 };
	uint8_t *there = mmap(NULL, PAGES * CTASK_PAGE, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t addr = (uintptr_t)there;
	uint8_t pages[PAGES * CTASK_PAGE];
	struct ctask_memory *memory;
	struct child child;

	ck_assert_ptr_ne(there, MAP_FAILED);
	memcpy(there, "zero", 4);
	memcpy(there + CTASK_PAGE, "one", 3);
	munmap(there + 2 * CTASK_PAGE, CTASK_PAGE);
	child = child_start(child_echoes, NULL);
	memcpy(there, "ours", 4);
	ck_assert_int_eq(ctask_memory_create_process(child.pid, &memory, NULL), 0);
	ck_assert_int_eq(read_run(memory, addr, 1, pages), CTASK_PAGE);
	ck_assert_mem_eq(pages, "zero", 4);
	/* The third page is not there. */
	ck_assert_int_eq(read_run(memory, addr, PAGES, pages), 2 * CTASK_PAGE);
	ck_assert_mem_eq(pages + CTASK_PAGE, "one", 3);
	ck_assert_int_eq(read_run(memory, addr + 2 * CTASK_PAGE, 1, pages), 0);
	/* The kernel's half, and the end of all addresses. */
	ck_assert_int_eq(read_run(memory, 0xffff800000000000, 1, pages), 0);
	ck_assert_int_eq(read_run(memory, UINT64_MAX - 4095, 1, pages), 0);
	child_end(&child);
	ck_assert_int_eq(read_run(memory, addr, 1, pages), -ESRCH);
	ctask_memory_destroy(memory);
}
END_TEST

/* More runs than the kernel takes in one call. */
START_TEST(many_runs)
{
	enum { MANY = 3000 };
	auto_free struct ctask_page_run *runs = calloc(MANY, sizeof(*runs));
	auto_free uint8_t *to = calloc(MANY, CTASK_PAGE);
	static uint8_t bytes[3 * CTASK_PAGE];
	uint64_t addr = ((uintptr_t)bytes + CTASK_PAGE - 1) & ~(uint64_t)(CTASK_PAGE - 1);
	struct ctask_memory *memory;

	*(uint8_t *)(uintptr_t)addr = 0xaa;
	for (size_t i = 0; i < MANY; i++)
		runs[i] = (struct ctask_page_run){ .addr = addr, .count = 1 };
	ck_assert_int_eq(ctask_memory_create_process(getpid(), &memory, NULL), 0);
	ck_assert_int_eq(memory->ops->read_runs(memory, runs, MANY, to), MANY * CTASK_PAGE);
	for (size_t i = 0; i < MANY; i++)
		ck_assert_uint_eq(to[i * CTASK_PAGE], 0xaa);
	runs[2000].addr = 0xffff800000000000;
	ck_assert_int_eq(memory->ops->read_runs(memory, runs, MANY, to), 2000 * CTASK_PAGE);
	ctask_memory_destroy(memory);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("memory");

	tcase_add_test(tests, segments_fill_pages_in_part);
	tcase_add_test(tests, reading_ends_at_the_first_page_that_is_not_there);
	tcase_add_test(tests, a_process_as_an_array);
	tcase_add_test(tests, many_runs);
	return made_run("memory", tests);
}
