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

enum { STATUS_MAX = 1 << 24 };

struct watched {
	int tid;
	int fd; /* -1: opened for each look */
	bool seen;
};

struct ctask_quiet {
	pid_t pid;
	DIR *dir;
	int left_out[CTASK_QUIET_LEFT_OUT_MAX];
	uint32_t left_out_count;
	struct watched *threads;
	uint32_t count, room;
	char *text; /* of one status file: it has no fixed size, a user may be in many groups */
	size_t text_room;
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
	free(quiet->text);
	free(quiet);
}

void ctask_quiet_leave_out(struct ctask_quiet *quiet, const int *tids, uint32_t count)
{
	for (uint32_t i = 0; i < count && quiet->left_out_count < CTASK_QUIET_LEFT_OUT_MAX; i++)
		quiet->left_out[quiet->left_out_count++] = tids[i];
}

static bool is_left_out(const struct ctask_quiet *quiet, int tid)
{
	for (uint32_t i = 0; i < quiet->left_out_count; i++)
		if (quiet->left_out[i] == tid)
			return true;
	return false;
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

/* All that @p fd has from its beginning, as a string; false when it cannot be had. */
static bool read_whole(struct ctask_quiet *quiet, int fd)
{
	size_t len = 0;

	for (;;) {
		ssize_t got;

		if (len + 1 >= quiet->text_room) {
			size_t room = quiet->text_room * 2 + 4096;
			char *moved = room <= STATUS_MAX ? realloc(quiet->text, room) : NULL;

			if (!moved)
				return false;
			quiet->text = moved;
			quiet->text_room = room;
		}
		got = pread(fd, quiet->text + len, quiet->text_room - len - 1, (off_t)len);
		if (got < 0)
			return false;
		if (got == 0)
			break;
		len += (size_t)got;
	}
	quiet->text[len] = '\0';
	return len > 0;
}

static bool read_status(struct ctask_quiet *quiet, const struct watched *t)
{
	char path[64];
	auto_fd fd = -1;

	if (t->fd >= 0)
		return read_whole(quiet, t->fd);
	snprintf(path, sizeof(path), "/proc/%d/task/%d/status", (int)quiet->pid, t->tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd >= 0 && read_whole(quiet, fd);
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

static bool number_behind(const char *text, const char *key, uint64_t *ret)
{
	const char *at = strstr(text, key);

	if (at)
		*ret = strtoull(at + strlen(key), NULL, 10);
	return at != NULL;
}

/*
 * Sleeping, stopped, traced, or ended: such a thread runs no instruction. One
 * that waits for a disk (D) runs none of the program's either; it may do so
 * for ever, when a file server is gone.
 */
static bool is_at_rest(char state)
{
	return state && strchr("SDTtZX", state);
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
		uint64_t voluntary, forced;
		struct watched *t;
		const char *state;

		if (tid <= 0 || is_left_out(quiet, tid))
			continue;
		t = watch(quiet, tid);
		if (!t || !read_status(quiet, t)) {
			token.asleep = false; /* it ended just now */
			continue;
		}
		t->seen = true;
		state = strstr(quiet->text, "\nState:\t");
		if (!state || !is_at_rest(state[8]) ||
		    !number_behind(quiet->text, "\nvoluntary_ctxt_switches:\t", &voluntary) ||
		    !number_behind(quiet->text, "\nnonvoluntary_ctxt_switches:\t", &forced)) {
			token.asleep = false; /* it runs, or nothing can be said of it */
		} else {
			mix(&token.digest, (uint64_t)tid);
			mix(&token.digest, voluntary);
			mix(&token.digest, forced);
		}
		token.threads++;
	}
	drop_unseen(quiet);
	if (!token.threads)
		return -EOWNERDEAD;
	*ret_token = token;
	return 0;
}
