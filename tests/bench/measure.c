/* measure.c - runs a command and tells how long it took and how much memory it had at most. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/*
 * Not done in Python because the kernel counts the memory of the process that
 * forks towards the one that it becomes: ru_maxrss would never be below that
 * of the interpreter. This program is smaller than anything that it measures.
 */

static double now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void become(const char *root, char **command)
{
	int null = open("/dev/null", O_RDWR);

	if (null < 0 || dup2(null, STDOUT_FILENO) < 0 || dup2(null, STDERR_FILENO) < 0)
		_exit(126);
	if (root && (chroot(root) || chdir("/")))
		_exit(126);
	execvp(command[0], command);
	_exit(127);
}

int main(int argc, char **argv)
{
	const char *root = NULL;
	int first = 1;

	if (argc > 2 && strcmp(argv[1], "--chroot") == 0) {
		root = argv[2];
		first = 3;
	}
	if (argc < first + 2) {
		fprintf(stderr, "usage: measure [--chroot DIR] TIMES COMMAND [ARG...]\n"
				"prints for each time: seconds, KiB at most, exit status\n");
		return 2;
	}

	for (long left = strtol(argv[first], NULL, 10); left > 0; left--) {
		double start = now_s();
		pid_t child = fork();

		if (child == 0)
			become(root, argv + first + 1);

		int status;
		struct rusage usage;

		if (child < 0 || wait4(child, &status, 0, &usage) != child) {
			fprintf(stderr, "measure: %s\n", strerror(errno));
			return 1;
		}
		printf("%.6f %ld %d\n", now_s() - start, usage.ru_maxrss,
		       WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	}
	return 0;
}
