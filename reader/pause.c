/* pause.c - hold all threads of a process for a moment. */
#include "reader/pause.h"

#include <dirent.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sched.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>

#include "model/cleanup.h"
#include "reader/process.h"

/* How long to wait at the end for threads that are slow to stop, and for killed ones to die. */

enum { PATIENCE_NS = 20 * 1000 * 1000, STUCK_NS = 2 * 1000 * 1000, BURY_NS = 1000 * 1000 * 1000 };

struct held {
	int tid;
	int signal;	/* arrived while we held it: hand it on */
	bool stopped;	/* seen standing still */
	bool in_kernel; /* will not stop soon, and runs nothing meanwhile */
	bool gone;
	bool killed; /* while it stood still */
	bool released;
};

/* How long to wait for the first thread to stand: nobody is held yet, the machine is just busy. */
static const int64_t first_stop_patience_ns = 2000 * 1000 * 1000ll;

struct ctask_pause {
	pid_t pid;
	int64_t deadline_ns;
	struct held *threads;
	uint32_t count, room;
	int64_t first_stop_ns; /* when the first thread was seen standing; 0 = none yet */
	bool hurried;
	int old_policy;
	struct sched_param old_param;
};

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static int who_traces(pid_t tid)
{
	char path[64], line[256];
	auto_fclose FILE *file = NULL;
	int tracer = 0;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)tid);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "TracerPid: %d", &tracer) == 1)
			break;
	return tracer;
}

/* A thread that has ended, but is still listed: such a one cannot be traced, and need not be. */
static bool has_ended(pid_t pid, int tid)
{
	char path[64], line[256];
	auto_fclose FILE *file = NULL;
	char state = 'X';

	snprintf(path, sizeof(path), "/proc/%d/task/%d/status", (int)pid, tid);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "State: %c", &state) == 1)
			break;
	return file ? state == 'Z' || state == 'X' : errno == ENOENT || errno == ESRCH;
}

static int refuse(pid_t pid, int tid, int error, struct ctask_error *err)
{
	int tracer = error == EPERM ? who_traces(tid) : 0;

	if (tracer)
		return ctask_fail(
			err, EPERM,
			"process %d never rests and cannot be stopped: process %d traces it",
			(int)pid, tracer);
	return ctask_fail(
		err, EPERM,
		"process %d never rests and may not be stopped (no right to trace it: needs "
		"CAP_SYS_PTRACE)",
		(int)pid);
}

/* Take hold of one thread, if it is not held yet. 1 when it is new. */
static int seize(struct ctask_pause *pause, int tid, struct ctask_error *err)
{
	for (uint32_t i = 0; i < pause->count; i++)
		if (pause->threads[i].tid == tid)
			return 0;
	if (pause->count == pause->room) {
		uint32_t room = pause->room * 2 + 16;
		struct held *moved = realloc(pause->threads, room * sizeof(*moved));

		if (!moved)
			return ctask_fail(err, ENOMEM, "out of memory");
		pause->threads = moved;
		pause->room = room;
	}
	if (ptrace(PTRACE_SEIZE, tid, NULL, NULL)) {
		int error = errno;

		if (error == ESRCH || has_ended(pause->pid, tid))
			return 0;
		return refuse(pause->pid, tid, error, err);
	}
	pause->threads[pause->count++] = (struct held){ .tid = tid };
	if (ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) && errno == ESRCH)
		pause->threads[pause->count - 1].gone = true;
	return 1;
}

/* Seize every thread that is listed, or of them those that run. The number of new ones, or -errno. */
static int seize_listed(struct ctask_pause *pause, bool running_only, struct ctask_error *err)
{
	char path[64];
	auto_closedir DIR *dir = NULL;
	struct dirent *entry;
	int fresh = 0;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pause->pid);
	dir = opendir(path);
	if (!dir)
		return ctask_fail(err, EOWNERDEAD, "process %d has ended", (int)pause->pid);
	while ((entry = readdir(dir))) {
		int tid = atoi(entry->d_name);
		int ret = 0;

		if (tid > 0 && (!running_only || ctask_process_state(tid) == 'R'))
			ret = seize(pause, tid, err);
		if (ret < 0)
			return ret;
		fresh += ret;
	}
	return fresh;
}

static int await_stop(struct held *t, int64_t deadline_ns)
{
	/* Between looks; asleep, so that the thread gets a processor to come to a stop on. */
	const struct timespec moment = { .tv_nsec = 20 * 1000 };

	int64_t start = now_ns();

	while (!t->stopped && !t->gone && !t->in_kernel) {
		int status;
		pid_t got = waitpid(t->tid, &status, __WALL | WNOHANG);

		if (got < 0 && errno != EINTR) {
			t->gone = true;
		} else if (got == t->tid) {
			t->stopped = WIFSTOPPED(status);
			t->gone = !t->stopped;
			/* No event in the upper half: a signal was on its way to the thread. */
			if (t->stopped && status >> 16 == 0)
				t->signal = WSTOPSIG(status);
		} else if (now_ns() > deadline_ns) {
			return -ETIMEDOUT;
		} else if (got == 0) {
			nanosleep(&moment, NULL);
			/*
			 * In an uninterruptible call (a file server that is gone) a
			 * thread stops only when that returns, perhaps never. Until then it
			 * runs none of the program's instructions: as good as stopped.
			 */
			t->in_kernel =
				now_ns() - start > STUCK_NS && ctask_process_state(t->tid) == 'D';
		}
	}
	return 0;
}

/*
 * While others stand still because of us, nobody else comes first: on a busy
 * machine the wait for a processor would be most of the stop. Without the
 * right to, we are as fast as we are let.
 */
static void hurry(struct ctask_pause *pause)
{
	struct sched_param first = { .sched_priority = 1 };

	pause->old_policy = sched_getscheduler(0);
	pause->hurried = pause->old_policy >= 0 && !sched_getparam(0, &pause->old_param) &&
			 !sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &first);
}

static int await_stops(struct ctask_pause *pause, int64_t at_most_ns)
{
	int ret = 0;

	for (uint32_t i = 0; !ret && i < pause->count; i++) {
		ret = await_stop(&pause->threads[i], pause->deadline_ns);
		if (!pause->first_stop_ns) {
			pause->first_stop_ns = now_ns();
			pause->deadline_ns = pause->first_stop_ns + at_most_ns;
		}
	}
	return ret;
}

int ctask_pause_begin(pid_t pid, int64_t at_most_ns, struct ctask_pause **ret_pause,
		      int64_t *ret_deadline_ns, int64_t *ret_held_ns, struct ctask_error *err)
{
	struct ctask_pause *pause = calloc(1, sizeof(*pause));
	int fresh, ret = 0;

	if (!pause)
		return ctask_fail(err, ENOMEM, "out of memory");
	*ret_held_ns = 0;
	pause->pid = pid;
	pause->deadline_ns = now_ns() + first_stop_patience_ns;
	hurry(pause);
	/*
	 * Those that run first: on a busy machine such a thread may wait long for the
	 * processor that it needs to come to a stop, while those that sleep stop at
	 * once. A thread that runs may start others: list again until nothing new appears.
	 */
	fresh = seize_listed(pause, true, err);
	do {
		if (fresh >= 0)
			ret = await_stops(pause, at_most_ns);
		if (fresh >= 0 && !ret)
			fresh = seize_listed(pause, false, err);
	} while (fresh > 0 && !ret);
	if (!ret && fresh < 0)
		ret = fresh;
	else if (!ret && !pause->count)
		ret = ctask_fail(err, EOWNERDEAD, "process %d has ended", (int)pid);
	else if (ret)
		ret = ctask_fail(err, -ret, "process %d did not stop in time", (int)pid);
	if (ret) {
		*ret_held_ns = ctask_pause_end(pause);
		return ret;
	}
	*ret_held_ns = 0;
	*ret_deadline_ns = pause->deadline_ns;
	*ret_pause = pause;
	return 0;
}

/*
 * A thread that was told to stop but has not yet must be let go too, or it
 * would stop later with nobody there to continue it: wait for it, briefly. If
 * it is still in the kernel then, the end of our thread releases it.
 */
static void release(struct held *t)
{
	t->in_kernel = false;
	if (!t->stopped && !t->gone)
		(void)await_stop(t, now_ns() + PATIENCE_NS);
	if (!t->gone && ptrace(PTRACE_DETACH, t->tid, NULL, (void *)(intptr_t)t->signal))
		t->killed = t->stopped;
}

/*
 * Threads that were killed while they were held wait for their tracer to
 * notice; only then does the process's parent learn of its end. The first
 * thread comes last, as the kernel reports it last.
 */
static void bury(struct ctask_pause *pause)
{
	int64_t until = now_ns() + BURY_NS;

	for (uint32_t i = pause->count; i-- > 0;) {
		struct held *t = &pause->threads[i];

		if (!t->killed)
			continue;
		t->stopped = false;
		(void)await_stop(t, until);
	}
}

int64_t ctask_pause_end(struct ctask_pause *pause)
{
	int64_t held_ns = 0;

	if (!pause)
		return 0;
	/* Those that stand first: one that is stuck in the kernel is not to delay them. */
	for (uint32_t i = 0; i < pause->count; i++)
		if (pause->threads[i].stopped) {
			if (pause->first_stop_ns)
				held_ns = now_ns() - pause->first_stop_ns;
			release(&pause->threads[i]);
			pause->threads[i].released = true;
		}
	for (uint32_t i = 0; i < pause->count; i++)
		if (!pause->threads[i].released)
			release(&pause->threads[i]);
	bury(pause);
	if (pause->hurried)
		(void)sched_setscheduler(0, pause->old_policy, &pause->old_param);
	free(pause->threads);
	free(pause);
	return held_ns;
}
