/* made.h - snapshots made by hand, for the tests of all that stands above the reader. */
#ifndef CTASK_TESTS_UNIT_MADE_H
#define CTASK_TESTS_UNIT_MADE_H

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/cleanup.h"
#include "model/snapshot.h"

static inline ctask_text made_text(struct ctask_snapshot *snap, const char *text)
{
	ctask_text kept = ctask_texts_add(snap->texts, text, strlen(text));

	ck_assert_ptr_nonnull(kept);
	return kept;
}

/* One runtime, and two places in code: 0 = worker at /srv/svc.py:33, 1 = sleep in asyncio. */
static inline struct ctask_snapshot *made_snapshot(void)
{
	struct ctask_snapshot *snap = ctask_snapshot_create();

	ck_assert_ptr_nonnull(snap);
	snap->process.pid = 4242;
	snap->process.nspid = 7;
	ck_assert_uint_eq(ctask_snapshot_add_runtime(snap), 0);
	snap->runtimes[0].kind = "asyncio";
	snap->runtimes[0].implementation = "cpython";
	snap->runtimes[0].version = "3.13.5";
	snap->runtimes[0].thread_id = 4242;
	ck_assert_uint_eq(ctask_snapshot_add_frame(snap), 0);
	snap->frames[0] = (struct ctask_frame){ "worker", "/srv/svc.py", 33, false };
	ck_assert_uint_eq(ctask_snapshot_add_frame(snap), 1);
	snap->frames[1] = (struct ctask_frame){ "sleep", "/usr/lib/asyncio/tasks.py", 665, true };
	return snap;
}

/* A task of coroutine worker that sleeps, or waits for tasks when @p leaf is false. */
static inline uint32_t made_task(struct ctask_snapshot *snap, const char *name, bool leaf)
{
	uint32_t i = ctask_snapshot_add_task(snap);
	struct ctask_task *t;

	ck_assert_uint_ne(i, CTASK_NONE);
	t = &snap->tasks[i];
	t->id = 0x7f0000000000 + (uint64_t)i * 0x100;
	t->name = made_text(snap, name);
	t->coroutine = "worker";
	t->runtime = 0;
	t->cancel_requests = 0;
	t->state = CTASK_WAITING;
	t->wait_kind = leaf ? CTASK_WAIT_SLEEP : CTASK_WAIT_GATHER;
	t->wait_text = leaf ? "sleep 5 s" : "gather";
	if (leaf)
		ck_assert_int_eq(ctask_snapshot_push_stack(snap, 1), 0);
	ck_assert_int_eq(ctask_snapshot_push_stack(snap, 0), 0);
	snap->runtimes[0].task_count++;
	return i;
}

static inline uint32_t made_numbered_task(struct ctask_snapshot *snap, uint32_t number, bool leaf)
{
	char name[32];

	snprintf(name, sizeof(name), "Task-%u", number);
	return made_task(snap, name, leaf);
}

static inline void made_edge(struct ctask_snapshot *snap, uint32_t waiter, uint32_t awaited,
			     enum ctask_edge_kind kind)
{
	ck_assert_int_eq(ctask_snapshot_add_edge(snap, waiter, awaited, kind), 0);
}

/* Run the suite of one test case; what main() returns. */
static inline int made_run(const char *name, TCase *tests)
{
	Suite *suite = suite_create(name);
	SRunner *runner;
	int failed;

	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
