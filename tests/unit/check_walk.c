/* check_walk.c - the whole walk over recordings of small processes, as they were and made to mislead. */
#include "reader/walk.h"

#include <errno.h>

#include "tests/fuzz/image.h"
#include "tests/unit/made.h"

static const char *const seeds[] = { "3.8", "3.10", "3.12", "3.14", "3.15" };

static struct image *image;
static struct ctask_pages pages;
static struct ctask_python python;
static struct ctask_snapshot *snap;
static struct ctask_walk walk;

static void begin(const char *version)
{
	struct ctask_images images = { .quick = true };
	char path[4096];

	snprintf(path, sizeof(path), CTASK_SEEDS "/%s.image.gz", version);
	image = image_load(path);
	ck_assert_msg(image != NULL, "%s", path);
	images.maps = image->maps;
	images.count = image->map_count;
	ck_assert_int_eq(ctask_pages_init(&pages, &image->memory), 0);
	ck_assert_int_eq(ctask_python_find(&pages, &images, &python, NULL), 0);
	snap = ctask_snapshot_create();
	ctask_walk_init(&walk, &pages, &python, snap);
}

static void end(void)
{
	ctask_walk_fini(&walk);
	ctask_pages_fini(&pages);
	ctask_snapshot_destroy(snap);
	image_destroy(&image->memory);
}

static int look(void)
{
	ctask_pages_thaw(&pages);
	return ctask_walk_run(&walk);
}

static uint8_t *at(uint64_t addr)
{
	ssize_t page = image_find(image, addr & ~(uint64_t)(CTASK_PAGE - 1));

	ck_assert_int_ge(page, 0);
	return image->pages + page * CTASK_PAGE + addr % CTASK_PAGE;
}

static void put(uint64_t addr, uint64_t value)
{
	memcpy(at(addr), &value, 8);
}

/* The only place where these words follow each other. */
static uint64_t find_words(const uint64_t *words, size_t count)
{
	for (uint32_t page = 0; page < image->page_count; page++)
		for (size_t i = 0; i + count * 8 <= CTASK_PAGE; i += 8)
			if (!memcmp(image->pages + (size_t)page * CTASK_PAGE + i, words, count * 8))
				return image->addrs[page] + i;
	ck_abort_msg("not found");
	return 0;
}

START_TEST(as_it_was)
{
	begin(seeds[_i]);
	for (int round = 0; round < 3; round++) {
		ck_assert_int_eq(look(), 0);
		ck_assert_uint_ge(snap->task_count, 26);
		ck_assert_uint_ge(snap->edge_count, 10);
		ck_assert(ctask_snapshot_complete(snap));
	}
	end();
}
END_TEST

/* Without one of its pages it may know less, or fail; and with it all is as before. */
START_TEST(without_a_page)
{
	uint32_t fewer = 0, tasks;

	begin(seeds[_i]);
	ck_assert_int_eq(look(), 0);
	tasks = snap->task_count;
	for (uint32_t page = 0; page < image->page_count; page++) {
		image->gone[page] = 1;
		fewer += look() || snap->task_count < tasks || !ctask_snapshot_complete(snap);
		image->gone[page] = 0;
	}
	ck_assert_uint_gt(fewer, 10);
	ck_assert_int_eq(look(), 0);
	ck_assert(ctask_snapshot_complete(snap));
	ck_assert_uint_eq(snap->task_count, tasks);
	end();
}
END_TEST

/* AsyncioDebug: tasks larger than what they are copied to. Nothing may be read by such a table. */
START_TEST(a_task_that_is_too_large)
{
	uint64_t table;

	begin("3.14");
	ck_assert_int_eq(look(), 0);
	/* Its words 5 and 6. */
	table = find_words((uint64_t[]){ walk.heap.layout.task_coro, walk.heap.layout.task_node },
			   2) -
		40;
	for (uint64_t size = 257; size <= 1ull << 32; size *= 2) {
		put(table, size);
		ck_assert_int_eq(look(), 0);
		ck_assert(!ctask_snapshot_complete(snap));
		ck_assert_uint_eq(snap->task_count, 0);
	}
	end();
}
END_TEST

/* A node of the list of tasks that is not aligned, and leads to itself. */
START_TEST(a_list_that_is_a_circle)
{
	uint64_t node, odd;

	begin("3.14");
	ck_assert_int_eq(look(), 0);
	node = snap->tasks[0].id + python.layout.task_node;
	odd = image->addrs[0] + CTASK_PAGE / 2 + 4;
	put(odd, odd);
	put(node, odd);
	ck_assert_int_eq(look(), 0);
	ck_assert(!ctask_snapshot_complete(snap));
	put(node, node); /* aligned, but again the same task */
	ck_assert_int_eq(look(), 0);
	ck_assert(!ctask_snapshot_complete(snap));
	end();
}
END_TEST

/* Frames of a thread that lead back to themselves: not a million steps for each task that runs. */
START_TEST(a_stack_that_is_a_circle)
{
	enum { EXECUTING = 0 };
	uint64_t top, coro, steps;

	begin("3.14");
	ck_assert_int_eq(look(), 0);
	ck_assert_uint_gt(walk.thread_count, 0);
	steps = pages.steps;
	top = walk.stack_tops[0];
	memcpy(&coro, at(snap->tasks[0].id + walk.heap.layout.task_coro), sizeof(coro));
	*at(coro + walk.heap.layout.gen_state) = EXECUTING;
	put(top + walk.heap.layout.frame_previous, top);
	ck_assert_int_eq(look(), 0);
	ck_assert(!ctask_snapshot_complete(snap) || walk.unsettled);
	ck_assert_uint_lt(pages.steps, 2 * steps + 1000);
	end();
}
END_TEST

/* The first task of a pass has no coroutine: it must not get the frames of the last one of the pass before. */
START_TEST(a_task_without_a_coroutine)
{
	uint32_t without = 0;
	uint64_t first;

	begin(seeds[_i]);
	ck_assert_int_eq(look(), 0);
	for (uint32_t i = 0; i < snap->task_count; i++)
		if (snap->tasks[i].stack_count) {
			first = snap->tasks[i].id;
			if (ctask_kind_of(&walk.heap, first) == CTASK_KIND_TASK)
				put(first + walk.heap.layout.task_coro, 0);
		}
	ck_assert_int_eq(look(), 0);
	for (uint32_t i = 0; i < snap->task_count; i++)
		if (ctask_kind_of(&walk.heap, snap->tasks[i].id) == CTASK_KIND_TASK) {
			ck_assert_uint_eq(snap->tasks[i].stack_count, 0);
			without++;
		}
	ck_assert_uint_ge(without, 20);
	end();
}
END_TEST

START_TEST(its_pages_explain_an_honest_walk)
{
	begin(seeds[_i]);
	pages.steps_allowed = 0;
	ck_assert_int_eq(look(), 0);
	end();
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("walk");
	int count = (int)ARRAY_SIZE(seeds);

	tcase_set_timeout(tests, 100);
	tcase_add_loop_test(tests, as_it_was, 0, count);
	tcase_add_loop_test(tests, without_a_page, 0, count);
	tcase_add_test(tests, a_task_that_is_too_large);
	tcase_add_test(tests, a_list_that_is_a_circle);
	tcase_add_test(tests, a_stack_that_is_a_circle);
	tcase_add_loop_test(tests, a_task_without_a_coroutine, 0, count);
	tcase_add_loop_test(tests, its_pages_explain_an_honest_walk, 0, count);
	return made_run("walk", tests);
}
