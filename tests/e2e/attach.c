/* attach.c - put probes on a process and take them off again, often, in one process. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bpf/record.h"

static double now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return 1e3 * (double)now.tv_sec + 1e-6 * (double)now.tv_nsec;
}

static int count_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	while (dir && readdir(dir))
		count++;
	closedir(dir);
	return count;
}

static long resident_kb(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	long pages = 0;

	if (fscanf(file, "%*d %ld", &pages) != 1)
		exit(1);
	fclose(file);
	return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

/* For each cycle one line: ms to attach, ms to detach, open files, kB resident. */
int main(int argc, char **argv)
{
	pid_t pid = argc == 3 ? (pid_t)atoi(argv[1]) : 0;
	int cycles = argc == 3 ? atoi(argv[2]) : 0;

	if (!pid || !cycles) {
		fprintf(stderr, "usage: attach PID CYCLES\n");
		return 2;
	}
	for (int i = 0; i < cycles; i++) {
		struct ctask_recorder *recorder;
		struct ctask_error err = { 0 };
		double begun = now_ms(), attached;

		if (ctask_recorder_create(pid, &recorder, &err)) {
			fprintf(stderr, "%s\n", err.text);
			return 1;
		}
		attached = now_ms();
		ctask_recorder_destroy(recorder);
		printf("%.3f %.3f %d %ld\n", attached - begun, now_ms() - attached, count_files(),
		       resident_kb());
	}
	return 0;
}
