/* check_quiet.c - the proof that a process did not run meanwhile. */
#include "reader/quiet.h"

#include <errno.h>

#include "tests/unit/child.h"
#include "tests/unit/made.h"

/* A token at a moment when all threads of @p quiet sleep. */
static struct ctask_token token_asleep(struct ctask_quiet *quiet)
{
	struct ctask_token token;

	do
		ck_assert_int_eq(ctask_quiet_token(quiet, &token), 0);
	while (!token.asleep);
	return token;
}

START_TEST(a_process_that_sleeps_is_quiet)
{
	struct child child = child_start(child_echoes, NULL);
	struct ctask_quiet *quiet = ctask_quiet_create(child.pid);
	struct ctask_token before, after;

	child_tell(&child, 'x'); /* until it has begun, it may sleep for other reasons */
	ck_assert_int_eq(child_says(&child), 'x');
	before = token_asleep(quiet);

	ck_assert_int_eq(ctask_quiet_token(quiet, &after), 0);
	ck_assert(ctask_quiet_between(&before, &after));
	ck_assert_uint_eq(after.threads, 1);
	ctask_quiet_destroy(quiet);
	ctask_quiet_destroy(NULL);
	child_end(&child);
}
END_TEST

START_TEST(a_process_that_ran_and_sleeps_again_is_not)
{
	struct child child = child_start(child_echoes, NULL);
	struct ctask_quiet *quiet = ctask_quiet_create(child.pid);
	struct ctask_token before = token_asleep(quiet), after;

	child_tell(&child, 'x');
	ck_assert_int_eq(child_says(&child), 'x');
	after = token_asleep(quiet);
	ck_assert(!ctask_quiet_between(&before, &after));
	ctask_quiet_destroy(quiet);
	child_end(&child);
}
END_TEST

START_TEST(a_process_that_runs_is_not)
{
	struct child_counts *counts = child_counts_create();
	struct child child = child_start(child_spins, counts);
	struct ctask_quiet *quiet = ctask_quiet_create(child.pid);
	struct ctask_token token;

	ck_assert_int_eq(child_says(&child), 'r');
	ck_assert_int_eq(ctask_quiet_token(quiet, &token), 0);
	ck_assert(!token.asleep);
	ctask_quiet_destroy(quiet);
	child_end(&child);
}
END_TEST

START_TEST(a_stopped_process_is_quiet)
{
	struct child_counts *counts = child_counts_create();
	struct child child = child_start(child_spins, counts);
	struct ctask_quiet *quiet = ctask_quiet_create(child.pid);
	struct ctask_token before, after;

	ck_assert_int_eq(child_says(&child), 'r');
	kill(child.pid, SIGSTOP);
	ck_assert_int_eq(waitpid(child.pid, NULL, WUNTRACED), child.pid);
	before = token_asleep(quiet);
	ck_assert_int_eq(ctask_quiet_token(quiet, &after), 0);
	ck_assert(ctask_quiet_between(&before, &after));
	ck_assert_uint_eq(after.threads, CHILD_THREADS);
	ctask_quiet_destroy(quiet);
	child_end(&child);
}
END_TEST

START_TEST(a_process_that_has_ended_is_told)
{
	struct child child = child_start(child_echoes, NULL);
	struct ctask_quiet *fresh = ctask_quiet_create(child.pid);
	struct ctask_quiet *quiet = ctask_quiet_create(child.pid);
	struct ctask_token token = token_asleep(quiet);

	child_end(&child);
	ck_assert_int_eq(ctask_quiet_token(quiet, &token), -EOWNERDEAD);
	ck_assert_int_eq(ctask_quiet_token(fresh, &token), -EOWNERDEAD);
	ctask_quiet_destroy(quiet);
	ctask_quiet_destroy(fresh);
}
END_TEST

static void *sleep_for_ever(void *out)
{
	(void)!write(*(int *)out, "t", 1);
	for (;;)
		pause();
	return NULL;
}

/* One more sleeping thread for each byte. */
static void grows(int in, int out, void *what)
{
	pthread_attr_t small;
	pthread_t thread;
	char word;

	(void)what;
	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 128 * 1024);
	while (read(in, &word, 1) == 1)
		pthread_create(&thread, &small, sleep_for_ever, &out);
}

START_TEST(a_new_thread_shows)
{
	struct child child = child_start(grows, NULL);
	struct ctask_quiet *quiet = ctask_quiet_create(child.pid);
	struct ctask_token before = token_asleep(quiet), after;

	child_tell(&child, '+');
	ck_assert_int_eq(child_says(&child), 't');
	after = token_asleep(quiet);
	ck_assert_uint_eq(after.threads, before.threads + 1);
	ck_assert(!ctask_quiet_between(&before, &after));
	ctask_quiet_destroy(quiet);
	child_end(&child);
}
END_TEST

/* Of a process that looks at itself: this one runs, and it is the only one that does. */
START_TEST(who_looks_is_left_out)
{
	struct ctask_quiet *quiet = ctask_quiet_create(getpid());
	int out[2], tids[] = { getpid(), getpid() };
	struct ctask_token before, after;
	pthread_t thread;
	char word;

	ck_assert_int_eq(pipe(out), 0);
	pthread_create(&thread, NULL, sleep_for_ever, &out[1]);
	ck_assert_int_eq(read(out[0], &word, 1), 1);
	ck_assert_int_eq(ctask_quiet_token(quiet, &before), 0);
	ck_assert(!before.asleep);
	ctask_quiet_leave_out(quiet, tids, 2);
	before = token_asleep(quiet);
	ck_assert_int_eq(ctask_quiet_token(quiet, &after), 0);
	ck_assert(ctask_quiet_between(&before, &after));
	ck_assert_uint_eq(after.threads, 1);
	ctask_quiet_destroy(quiet);
}
END_TEST

/* More threads than descriptors are kept for. */
START_TEST(hundreds_of_threads)
{
	enum { MANY = 300 };
	struct child child = child_start(grows, NULL);
	struct ctask_quiet *quiet = ctask_quiet_create(child.pid);
	struct ctask_token before, after;

	for (int i = 0; i < MANY; i++) {
		child_tell(&child, '+');
		ck_assert_int_eq(child_says(&child), 't');
	}
	before = token_asleep(quiet);
	ck_assert_int_eq(ctask_quiet_token(quiet, &after), 0);
	ck_assert(ctask_quiet_between(&before, &after));
	ck_assert_uint_eq(after.threads, MANY + 1);
	ctask_quiet_destroy(quiet);
	child_end(&child);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("quiet");

	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, a_process_that_sleeps_is_quiet);
	tcase_add_test(tests, a_process_that_ran_and_sleeps_again_is_not);
	tcase_add_test(tests, a_process_that_runs_is_not);
	tcase_add_test(tests, a_stopped_process_is_quiet);
	tcase_add_test(tests, a_process_that_has_ended_is_told);
	tcase_add_test(tests, a_new_thread_shows);
	tcase_add_test(tests, who_looks_is_left_out);
	tcase_add_test(tests, hundreds_of_threads);
	return made_run("quiet", tests);
}
