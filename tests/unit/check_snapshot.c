/* check_snapshot.c - the snapshot as a container, and what is grouped by it. */
#include "model/snapshot.h"

#include "model/groups.h"
#include "tests/unit/made.h"

START_TEST(new_elements_know_nothing)
{
	struct ctask_snapshot *snap = ctask_snapshot_create();
	uint32_t task = ctask_snapshot_add_task(snap);
	uint32_t scope = ctask_snapshot_add_scope(snap);

	ck_assert_uint_eq(snap->tasks[task].runtime, CTASK_NONE);
	ck_assert_uint_eq(snap->tasks[task].scope, CTASK_NONE);
	ck_assert_int_eq(snap->tasks[task].cancel_requests, -1);
	ck_assert(isnan(snap->tasks[task].wait_left_s));
	ck_assert(isnan(snap->scopes[scope].deadline_in_s));
	ck_assert_int_eq(snap->runtimes ? 1 : 0, 0);
	ck_assert_int_eq((int)snap->process.uid, -1);
	ctask_snapshot_destroy(snap);
	ctask_snapshot_destroy(NULL);
}
END_TEST

START_TEST(stacks_follow_each_other)
{
	struct ctask_snapshot *snap = made_snapshot();
	uint32_t a = made_task(snap, "a", true), b = made_task(snap, "b", false);

	ck_assert_uint_eq(snap->tasks[a].stack_count, 2);
	ck_assert_uint_eq(ctask_task_stack(snap, &snap->tasks[a])[0], 1);
	ck_assert_uint_eq(ctask_task_stack(snap, &snap->tasks[a])[1], 0);
	ck_assert_uint_eq(snap->tasks[b].stack_count, 1);
	ck_assert_uint_eq(ctask_task_stack(snap, &snap->tasks[b])[0], 0);
	ctask_snapshot_clear(snap);
	ck_assert_uint_eq(snap->task_count, 0);
	ck_assert_int_eq(snap->process.pid, 4242);
	ctask_snapshot_destroy(snap);
}
END_TEST

START_TEST(problems_are_counted_past_the_limit)
{
	struct ctask_snapshot *snap = made_snapshot();

	ck_assert(ctask_snapshot_complete(snap));
	for (int i = 0; i < CTASK_PROBLEMS_MAX + 5; i++)
		ck_assert_int_eq(ctask_snapshot_add_problem(snap, 1, "number %d", i), 0);
	ck_assert(!ctask_snapshot_complete(snap));
	ck_assert_uint_eq(snap->problem_count, CTASK_PROBLEMS_MAX);
	ck_assert_uint_eq(snap->problems_untold, 5);
	ck_assert_str_eq(snap->problems[2].text, "number 2");
	ctask_snapshot_destroy(snap);
}
END_TEST

START_TEST(edges_by_both_ends)
{
	struct ctask_snapshot *snap = made_snapshot();
	auto_groups down = { 0 }, up = { 0 };

	for (uint32_t i = 0; i < 3; i++)
		made_numbered_task(snap, i, true);
	made_edge(snap, 0, 2, CTASK_EDGE_GATHER);
	made_edge(snap, 1, 2, CTASK_EDGE_AWAIT);
	made_edge(snap, 0, 1, CTASK_EDGE_GATHER);
	made_edge(snap, 0, 99, CTASK_EDGE_GATHER); /* to nowhere: left out */
	ck_assert_int_eq(ctask_groups_by_waiter(&down, snap), 0);
	ck_assert_int_eq(ctask_groups_by_awaited(&up, snap), 0);
	ck_assert_uint_eq(down.first[0], 0);
	ck_assert_uint_eq(down.first[1], 2);
	ck_assert_uint_eq(down.first[2], 3);
	ck_assert_uint_eq(down.first[3], 3);
	ck_assert_uint_eq(down.items[0], 0);
	ck_assert_uint_eq(down.items[1], 2);
	ck_assert_uint_eq(up.first[2], 1);
	ck_assert_uint_eq(up.first[3], 3);
	ck_assert_uint_eq(up.items[1], 0);
	ck_assert_uint_eq(up.items[2], 1);
	ctask_snapshot_destroy(snap);
}
END_TEST

START_TEST(a_hundred_thousand)
{
	struct ctask_snapshot *snap = made_snapshot();

	for (uint32_t i = 0; i < 100000; i++)
		made_numbered_task(snap, i, true);
	ck_assert_uint_eq(snap->task_count, 100000);
	ck_assert_str_eq(snap->tasks[99999].name, "Task-99999");
	ctask_snapshot_destroy(snap);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("snapshot");

	tcase_add_test(tests, new_elements_know_nothing);
	tcase_add_test(tests, stacks_follow_each_other);
	tcase_add_test(tests, problems_are_counted_past_the_limit);
	tcase_add_test(tests, edges_by_both_ends);
	tcase_add_test(tests, a_hundred_thousand);
	return made_run("snapshot", tests);
}
