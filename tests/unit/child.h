/* child.h - processes to look at: they do as they are told over pipes. */
#ifndef CTASK_TESTS_UNIT_CHILD_H
#define CTASK_TESTS_UNIT_CHILD_H

#include <check.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

struct child {
	pid_t pid;
	int to, from; /* pipes to and from it */
};

/* Start a child that runs @p role with its ends of the pipes; it dies with us. */
static inline struct child child_start(void (*role)(int in, int out, void *what), void *what)
{
	int to[2], from[2];
	struct child child;

	ck_assert_int_eq(pipe2(to, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(from, O_CLOEXEC), 0);
	child.pid = fork();
	ck_assert_int_ge(child.pid, 0);
	if (child.pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(to[1]);
		close(from[0]);
		role(to[0], from[1], what);
		_exit(0);
	}
	close(to[0]);
	close(from[1]);
	child.to = to[1];
	child.from = from[0];
	return child;
}

static inline void child_tell(const struct child *child, char word)
{
	ck_assert_int_eq(write(child->to, &word, 1), 1);
}

/* The next byte that it says; 0 when it has ended. */
static inline char child_says(const struct child *child)
{
	char word;

	return read(child->from, &word, 1) == 1 ? word : 0;
}

static inline void child_end(struct child *child)
{
	kill(child->pid, SIGKILL);
	(void)waitpid(child->pid, NULL, 0);
	close(child->to);
	close(child->from);
}

/* The value of @p key in /proc/PID/status. */
static inline const char *child_status(pid_t pid, const char *key)
{
	static char line[256];
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file)) {
		size_t len = strlen(key);

		if (strncmp(line, key, len) || line[len] != ':')
			continue;
		fclose(file);
		line[strcspn(line, "\n")] = '\0';
		return line + len + 1 + strspn(line + len + 1, "\t ");
	}
	if (file)
		fclose(file);
	return "";
}

/* --- roles --- */

/* Answers each byte with the same byte, and sleeps in between. */
static inline void child_echoes(int in, int out, void *what)
{
	char word;

	(void)what;
	while (read(in, &word, 1) == 1)
		if (write(out, &word, 1) != 1)
			return;
}

enum { CHILD_THREADS = 4 };

/* Counted up by the threads of child_spins(), shared with the test. */
struct child_counts {
	_Atomic uint64_t of[CHILD_THREADS];
	bool without_first; /* the first thread ends, the others go on */
};

static inline struct child_counts *child_counts_create(void)
{
	struct child_counts *counts = mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE,
					   MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(counts, MAP_FAILED);
	return counts;
}

static inline void *child_counts_up(void *count)
{
	for (;;)
		atomic_fetch_add((_Atomic uint64_t *)count, 1);
	return NULL;
}

static int child_signal_out;

static inline void child_on_signal(int number)
{
	(void)number;
	(void)!write(child_signal_out, "s", 1);
}

/* Threads that never rest. Says 's' for each SIGUSR1. */
static inline void child_spins(int in, int out, void *what)
{
	struct child_counts *counts = what;
	pthread_t thread;

	(void)in;
	child_signal_out = out;
	signal(SIGUSR1, child_on_signal);
	for (int i = 1; i < CHILD_THREADS; i++)
		pthread_create(&thread, NULL, child_counts_up, (void *)&counts->of[i]);
	(void)!write(out, "r", 1);
	if (counts->without_first)
		pthread_exit(NULL);
	child_counts_up((void *)&counts->of[0]);
}

/* Wait until every thread has counted on from @p from on. */
static inline void child_counts_go_on(const struct child_counts *counts, int first)
{
	uint64_t before[CHILD_THREADS];

	for (int i = first; i < CHILD_THREADS; i++)
		before[i] = atomic_load(&counts->of[i]);
	for (int i = first; i < CHILD_THREADS; i++)
		while (atomic_load(&counts->of[i]) == before[i])
			sched_yield();
}

#endif
