/* check_pause.c - holding a process: all of it stands, and all of it goes on, whatever happens. */
#include "reader/pause.h"

#include <errno.h>
#include <time.h>

#include "tests/unit/child.h"
#include "tests/unit/made.h"

static const int64_t second_ns = 1000 * 1000 * 1000ll;

static struct child_counts *counts;
static struct child spinner;

static void up(void)
{
	counts = child_counts_create();
	spinner = child_start(child_spins, counts);
	ck_assert_int_eq(child_says(&spinner), 'r');
	child_counts_go_on(counts, 0);
}

static void down(void)
{
	child_end(&spinner);
}

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * second_ns + t.tv_nsec;
}

static struct ctask_pause *hold(pid_t pid)
{
	struct ctask_pause *pause = NULL;
	struct ctask_error err = { 0 };
	int64_t deadline_ns, held_ns;
	int ret = ctask_pause_begin(pid, 10 * second_ns, &pause, &deadline_ns, &held_ns, &err);

	ck_assert_msg(ret == 0, "%d: %s", ret, err.text);
	ck_assert_int_gt(deadline_ns, now_ns());
	ck_assert_int_le(deadline_ns, now_ns() + 10 * second_ns);
	return pause;
}

/* Whether each thread of @p pid is in one of @p states. */
static bool all_are(pid_t pid, const char *states)
{
	auto_closedir DIR *dir = NULL;
	struct dirent *task;
	bool all = true;
	int threads = 0;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	dir = opendir(path);
	while (dir && (task = readdir(dir))) {
		char state;

		if (task->d_name[0] == '.')
			continue;
		threads++;
		state = child_status(atoi(task->d_name), "State")[0];
		all = all && state && strchr(states, state);
	}
	ck_assert_int_eq(threads, CHILD_THREADS);
	return all;
}

/* No thread may run, whether it would get a processor or not; for some milliseconds none counts on. */
static void check_all_stand(pid_t pid)
{
	struct child_counts before, after;
	int64_t until = now_ns() + 5 * 1000 * 1000;

	ck_assert(all_are(pid, "tTZ"));
	memcpy(&before, counts, sizeof(before));
	while (now_ns() < until)
		;
	memcpy(&after, counts, sizeof(after));
	ck_assert_mem_eq(&before, &after, sizeof(before));
	ck_assert(all_are(pid, "tTZ"));
}

START_TEST(all_stand_then_all_go_on)
{
	struct ctask_pause *pause = hold(spinner.pid);

	check_all_stand(spinner.pid);
	ck_assert_int_ge(ctask_pause_end(pause), 5 * 1000 * 1000);
	ck_assert(!all_are(spinner.pid, "tTZ"));
	child_counts_go_on(counts, 0);
	ck_assert_str_eq(child_status(spinner.pid, "TracerPid"), "0");
}
END_TEST

START_TEST(again_and_again)
{
	for (int i = 0; i < 20; i++) {
		ck_assert_int_gt(ctask_pause_end(hold(spinner.pid)), 0);
		child_counts_go_on(counts, 0);
	}
	ck_assert_int_eq(ctask_pause_end(NULL), 0);
}
END_TEST

START_TEST(a_signal_that_comes_meanwhile_arrives)
{
	struct ctask_pause *pause = hold(spinner.pid);

	kill(spinner.pid, SIGUSR1);
	check_all_stand(spinner.pid);
	ctask_pause_end(pause);
	ck_assert_int_eq(child_says(&spinner), 's');
	child_counts_go_on(counts, 0);
}
END_TEST

/* One signal for each hold, sent just before: it stops the thread in our place, and must not be lost. */
START_TEST(a_signal_that_comes_just_before_arrives)
{
	for (int i = 0; i < 20; i++) {
		kill(spinner.pid, SIGUSR1);
		ctask_pause_end(hold(spinner.pid));
		ck_assert_int_eq(child_says(&spinner), 's');
	}
}
END_TEST

START_TEST(who_was_stopped_stays_stopped)
{
	kill(spinner.pid, SIGSTOP);
	ck_assert_int_eq(waitpid(spinner.pid, NULL, WUNTRACED), spinner.pid);
	ctask_pause_end(hold(spinner.pid));
	while (!all_are(spinner.pid, "T"))
		sched_yield();
	check_all_stand(spinner.pid);
	kill(spinner.pid, SIGCONT);
	child_counts_go_on(counts, 0);
}
END_TEST

START_TEST(the_first_thread_may_have_ended)
{
	struct child_counts *headless = child_counts_create();
	struct child child;

	headless->without_first = true;
	child = child_start(child_spins, headless);
	ck_assert_int_eq(child_says(&child), 'r');
	while (child_status(child.pid, "State")[0] != 'Z')
		sched_yield();
	counts = headless;
	child_counts_go_on(headless, 1);
	{
		struct ctask_pause *pause = hold(child.pid);

		check_all_stand(child.pid);
		ctask_pause_end(pause);
	}
	child_counts_go_on(headless, 1);
	child_end(&child);
}
END_TEST

/* Somebody else who holds the spinner: says 'h', lets it go when told to, says 'e', and stays. */
static void holds(int in, int out, void *what)
{
	struct ctask_pause *pause;
	int64_t deadline_ns, held_ns;
	char word;

	(void)what;
	if (ctask_pause_begin(spinner.pid, 60 * second_ns, &pause, &deadline_ns, &held_ns, NULL))
		return;
	(void)!write(out, "h", 1);
	if (read(in, &word, 1) != 1)
		return;
	ctask_pause_end(pause);
	(void)!write(out, "e", 1);
	(void)!read(in, &word, 1);
}

START_TEST(when_the_tracer_is_killed_it_goes_on)
{
	struct child tracer = child_start(holds, NULL);

	ck_assert_int_eq(child_says(&tracer), 'h');
	ck_assert_int_eq(atoi(child_status(spinner.pid, "TracerPid")), tracer.pid);
	check_all_stand(spinner.pid);
	child_end(&tracer);
	child_counts_go_on(counts, 0);
	ck_assert_str_eq(child_status(spinner.pid, "TracerPid"), "0");
	ck_assert_int_ne(child_status(spinner.pid, "State")[0], 'T');
}
END_TEST

START_TEST(killed_while_held_its_parent_learns_of_it)
{
	struct child tracer = child_start(holds, NULL);
	int status;

	ck_assert_int_eq(child_says(&tracer), 'h');
	kill(spinner.pid, SIGKILL);
	child_tell(&tracer, 'e');
	ck_assert_int_eq(child_says(&tracer), 'e');
	/* The tracer lives on: it must have let go of the dead. */
	ck_assert_int_eq(waitpid(spinner.pid, &status, 0), spinner.pid);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	child_end(&tracer);
}
END_TEST

START_TEST(who_is_traced_already_is_refused)
{
	struct child tracer = child_start(holds, NULL);
	struct ctask_error err = { 0 };
	struct ctask_pause *pause = NULL;
	int64_t deadline_ns, held_ns;
	char want[32];

	ck_assert_int_eq(child_says(&tracer), 'h');
	ck_assert_int_eq(ctask_pause_begin(spinner.pid, second_ns, &pause, &deadline_ns, &held_ns,
					   &err),
			 -EPERM);
	snprintf(want, sizeof(want), "process %d traces it", (int)tracer.pid);
	ck_assert_msg(strstr(err.text, want) != NULL, "%s", err.text);
	ck_assert_ptr_null(pause);
	child_end(&tracer);
	child_counts_go_on(counts, 0);
}
END_TEST

START_TEST(who_has_ended_is_told)
{
	struct child child = child_start(child_echoes, NULL);
	struct ctask_pause *pause = NULL;
	int64_t deadline_ns, held_ns;

	/* A zombie, then nothing. */
	kill(child.pid, SIGKILL);
	ck_assert_int_eq(waitid(P_PID, (id_t)child.pid, NULL, WEXITED | WNOWAIT), 0);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(ctask_pause_begin(child.pid, second_ns, &pause, &deadline_ns,
						   &held_ns, NULL),
				 -EOWNERDEAD);
		(void)waitpid(child.pid, NULL, 0);
	}
	child_end(&child);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("pause");

	tcase_set_timeout(tests, 60);
	tcase_add_checked_fixture(tests, up, down);
	tcase_add_test(tests, all_stand_then_all_go_on);
	tcase_add_test(tests, again_and_again);
	tcase_add_test(tests, a_signal_that_comes_meanwhile_arrives);
	tcase_add_test(tests, a_signal_that_comes_just_before_arrives);
	tcase_add_test(tests, who_was_stopped_stays_stopped);
	tcase_add_test(tests, the_first_thread_may_have_ended);
	tcase_add_test(tests, when_the_tracer_is_killed_it_goes_on);
	tcase_add_test(tests, killed_while_held_its_parent_learns_of_it);
	tcase_add_test(tests, who_is_traced_already_is_refused);
	tcase_add_test(tests, who_has_ended_is_told);
	return made_run("pause", tests);
}
