/* quiet.c - proof that a process did not run meanwhile. */
#include "reader/quiet.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/cleanup.h"

/* Descriptors kept open; a process may have more threads than we may open files. */
enum { KEPT_MAX = 256 };

struct watched {
	int tid;
	int fd; /* -1: opened for each look */
	bool seen;
};

struct ctask_quiet {
	pid_t pid;
	DIR *dir;
	struct watched *threads;
	uint32_t count, room;
};

struct ctask_quiet *ctask_quiet_create(pid_t pid)
{
	struct ctask_quiet *quiet = calloc(1, sizeof(*quiet));

	if (quiet)
		quiet->pid = pid;
	return quiet;
}

void ctask_quiet_destroy(struct ctask_quiet *quiet)
{
	if (!quiet)
		return;
	for (uint32_t i = 0; i < quiet->count; i++)
		if (quiet->threads[i].fd >= 0)
			close(quiet->threads[i].fd);
	if (quiet->dir)
		closedir(quiet->dir);
	free(quiet->threads);
	free(quiet);
}

static struct watched *watch(struct ctask_quiet *quiet, int tid)
{
	char path[64];
	struct watched *t;

	for (uint32_t i = 0; i < quiet->count; i++)
		if (quiet->threads[i].tid == tid)
			return &quiet->threads[i];
	if (quiet->count == quiet->room) {
		uint32_t room = quiet->room * 2 + 16;
		struct watched *moved = realloc(quiet->threads, room * sizeof(*moved));

		if (!moved)
			return NULL;
		quiet->threads = moved;
		quiet->room = room;
	}
	snprintf(path, sizeof(path), "/proc/%d/task/%d/status", (int)quiet->pid, tid);
	t = &quiet->threads[quiet->count];
	*t = (struct watched){ .tid = tid, .fd = -1 };
	if (quiet->count < KEPT_MAX) {
		t->fd = open(path, O_RDONLY | O_CLOEXEC);
		if (t->fd < 0 && errno != EMFILE)
			return NULL;
	}
	quiet->count++;
	return t;
}

static ssize_t read_status(const struct ctask_quiet *quiet, const struct watched *t, char *text,
			   size_t room)
{
	char path[64];
	auto_fd fd = -1;

	if (t->fd >= 0)
		return pread(t->fd, text, room, 0);
	snprintf(path, sizeof(path), "/proc/%d/task/%d/status", (int)quiet->pid, t->tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -1 : read(fd, text, room);
}

/* A thread that ended leaves a descriptor that reads as ESRCH; its id may come back. */
static void drop_unseen(struct ctask_quiet *quiet)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < quiet->count; i++) {
		if (quiet->threads[i].seen)
			quiet->threads[kept++] = quiet->threads[i];
		else if (quiet->threads[i].fd >= 0)
			close(quiet->threads[i].fd);
	}
	quiet->count = kept;
}

static uint64_t number_behind(const char *text, const char *key)
{
	const char *at = strstr(text, key);

	return at ? strtoull(at + strlen(key), NULL, 10) : 0;
}

/* Sleeping, stopped, traced, or ended: such a thread runs no instruction. */
static bool is_at_rest(char state)
{
	return state && strchr("STtZX", state);
}

static void mix(uint64_t *digest, uint64_t value)
{
	*digest = (*digest ^ value) * 0x9e3779b97f4a7c15ull;
	*digest ^= *digest >> 29;
}

int ctask_quiet_token(struct ctask_quiet *quiet, struct ctask_token *ret_token)
{
	struct ctask_token token = { .asleep = true };
	struct dirent *entry;
	char path[64];

	if (!quiet->dir) {
		snprintf(path, sizeof(path), "/proc/%d/task", (int)quiet->pid);
		quiet->dir = opendir(path);
		if (!quiet->dir)
			return -EOWNERDEAD;
	}
	for (uint32_t i = 0; i < quiet->count; i++)
		quiet->threads[i].seen = false;
	rewinddir(quiet->dir);
	while ((entry = readdir(quiet->dir))) {
		int tid = atoi(entry->d_name);
		char text[4096];
		struct watched *t;
		const char *state;
		ssize_t len;

		if (tid <= 0)
			continue;
		t = watch(quiet, tid);
		len = t ? read_status(quiet, t, text, sizeof(text) - 1) : -1;
		if (len <= 0) {
			token.asleep = false; /* it ended just now */
			continue;
		}
		text[len] = '\0';
		t->seen = true;
		state = strstr(text, "\nState:\t");
		if (!state || !is_at_rest(state[8]))
			token.asleep = false;
		mix(&token.digest, (uint64_t)tid);
		mix(&token.digest, number_behind(text, "\nvoluntary_ctxt_switches:\t"));
		mix(&token.digest, number_behind(text, "\nnonvoluntary_ctxt_switches:\t"));
		token.threads++;
	}
	drop_unseen(quiet);
	if (!token.threads)
		return -EOWNERDEAD;
	*ret_token = token;
	return 0;
}
