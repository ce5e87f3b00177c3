/* kept.c - histories that were recorded from outside, where a second ctaskctl finds them. */
#include "reader/kept.h"

#include <ctask/history.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "model/cleanup.h"
#include "reader/process.h"

enum {
	NAME_BYTES = 64,
	LINK_BYTES = 64,
	COPY_BYTES = 1 << 16, /* at once */
	KEPT_S = 600,	      /* a copy, after the recording */
};

static const char now_end[] = "now", past_end[] = "past", new_end[] = "new";

struct ctask_kept {
	int directory;
};

/* --- names --- */

static void name_of(pid_t pid, uint64_t start_ticks, const char *end, char name[NAME_BYTES])
{
	snprintf(name, NAME_BYTES, "%d-%" PRIu64 ".%s", (int)pid, start_ticks, end);
}

/* True when @p name is such a name with this end, exactly. */
static bool is_name(const char *name, const char *end, pid_t *ret_pid, uint64_t *ret_start)
{
	char same[NAME_BYTES];
	int pid;

	if (sscanf(name, "%d-%" SCNu64, &pid, ret_start) != 2)
		return false;
	name_of(pid, *ret_start, end, same);
	*ret_pid = pid;
	return strcmp(name, same) == 0;
}

/* --- what is there --- */

/* The memory that link @p name leads to: that of a recorder that lives, and is no other user's. -errno. */
static int open_link(const struct ctask_kept *kept, const char *name)
{
	static const char memory[] = "/memfd:" CTASK_HISTORY_NAME " (deleted)";
	char link[LINK_BYTES] = "", what[LINK_BYTES] = "";
	struct stat st;
	int pid, number;

	if (readlinkat(kept->directory, name, link, sizeof(link) - 1) < 0)
		return -errno;
	if (sscanf(link, "/proc/%d/fd/%d", &pid, &number) != 2 ||
	    readlink(link, what, sizeof(what) - 1) < 0 || strcmp(what, memory) != 0)
		return -ENOENT;
	auto_fd fd = open(link, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || (st.st_uid != geteuid() && st.st_uid != 0))
		return -EPERM;
	return steal_fd(&fd);
}

/* A copy of a history, of our own. -errno. */
static int open_copy(const struct ctask_kept *kept, const char *name, struct stat *ret_stat)
{
	auto_fd fd = openat(kept->directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (fstat(fd, ret_stat) || !S_ISREG(ret_stat->st_mode) || ret_stat->st_uid != geteuid())
		return -EPERM;
	return steal_fd(&fd);
}

static bool is_of_use(const struct ctask_kept *kept, const char *name)
{
	uint64_t start;
	struct stat st;
	pid_t pid;
	int fd;

	if (is_name(name, now_end, &pid, &start)) {
		fd = open_link(kept, name);
	} else if (is_name(name, past_end, &pid, &start) || is_name(name, new_end, &pid, &start)) {
		fd = open_copy(kept, name, &st);
		if (fd >= 0 &&
		    (time(NULL) - st.st_mtime > KEPT_S || ctask_process_start(pid) != start)) {
			close(fd);
			return false;
		}
	} else {
		return true; /* it is not ours */
	}
	if (fd >= 0)
		close(fd);
	return fd != -ENOENT;
}

static void look_after(const struct ctask_kept *kept)
{
	int fd = openat(kept->directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_closedir DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *entry;

	if (!dir && fd >= 0)
		close(fd);
	while (dir && (entry = readdir(dir))) {
		if (!is_of_use(kept, entry->d_name))
			(void)unlinkat(kept->directory, entry->d_name, 0);
	}
}

int ctask_kept_open(const char *path, bool make, struct ctask_kept **ret_kept)
{
	struct ctask_kept *kept;
	struct stat st;

	if (make && mkdir(path, 0700) && errno != EEXIST)
		return -errno;
	auto_fd fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st))
		return -errno;
	if (st.st_uid != geteuid() || st.st_mode & (S_IWGRP | S_IWOTH))
		return -EPERM;
	kept = malloc(sizeof(*kept));
	if (!kept)
		return -ENOMEM;
	kept->directory = steal_fd(&fd);
	look_after(kept);
	*ret_kept = kept;
	return 0;
}

void ctask_kept_close(struct ctask_kept *kept)
{
	if (!kept)
		return;
	close(kept->directory);
	free(kept);
}

/* --- the recorder's side --- */

static void link_of(int fd, char link[LINK_BYTES])
{
	snprintf(link, LINK_BYTES, "/proc/%d/fd/%d", (int)getpid(), fd);
}

void ctask_kept_announce(const struct ctask_kept *kept, pid_t pid, uint64_t start_ticks, int fd)
{
	char name[NAME_BYTES], link[LINK_BYTES];

	name_of(pid, start_ticks, now_end, name);
	link_of(fd, link);
	(void)symlinkat(link, kept->directory, name);
	name_of(pid, start_ticks, past_end, name);
	(void)unlinkat(kept->directory, name, 0);
}

static bool copy_part(int from, int to, off_t at, off_t end, char *buffer)
{
	while (at < end) {
		size_t len = end - at < COPY_BYTES ? (size_t)(end - at) : COPY_BYTES;
		ssize_t got = pread(from, buffer, len, at);

		if (got <= 0 || pwrite(to, buffer, (size_t)got, at) != got)
			return false;
		at += got;
	}
	return true;
}

/* Only what was ever written takes up room. */
static bool copy_history(int from, int to)
{
	auto_free char *buffer = malloc(COPY_BYTES);
	struct stat st;
	off_t at = 0, end;

	if (!buffer || fstat(from, &st) || ftruncate(to, st.st_size))
		return false;
	while ((at = lseek(from, at, SEEK_DATA)) >= 0) {
		end = lseek(from, at, SEEK_HOLE);
		if (end < 0 || !copy_part(from, to, at, end, buffer))
			return false;
		at = end;
	}
	return errno == ENXIO;
}

static void make_copy(const struct ctask_kept *kept, pid_t pid, uint64_t start_ticks, int fd)
{
	char name[NAME_BYTES], new_name[NAME_BYTES];

	name_of(pid, start_ticks, past_end, name);
	name_of(pid, start_ticks, new_end, new_name);
	(void)unlinkat(kept->directory, new_name, 0);
	auto_fd to = openat(kept->directory, new_name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (to < 0)
		return;
	if (!copy_history(fd, to) || renameat(kept->directory, new_name, kept->directory, name))
		(void)unlinkat(kept->directory, new_name, 0);
}

void ctask_kept_leave(const struct ctask_kept *kept, pid_t pid, uint64_t start_ticks, int fd,
		      bool copy)
{
	char name[NAME_BYTES], link[LINK_BYTES], is[LINK_BYTES] = "";

	name_of(pid, start_ticks, now_end, name);
	link_of(fd, link);
	if (readlinkat(kept->directory, name, is, sizeof(is) - 1) < 0 || strcmp(is, link) != 0)
		return; /* another's */
	if (copy)
		make_copy(kept, pid, start_ticks, fd);
	(void)unlinkat(kept->directory, name, 0);
}

/* --- the other side --- */

int ctask_kept_find(const struct ctask_kept *kept, pid_t pid,
		    struct ctask_history_reader **ret_reader, bool *ret_goes_on,
		    struct ctask_error *err)
{
	uint64_t start_ticks = ctask_process_start(pid);
	char name[NAME_BYTES];
	struct stat st;
	int fd;

	name_of(pid, start_ticks, now_end, name);
	fd = open_link(kept, name);
	*ret_goes_on = fd >= 0;
	if (fd < 0) {
		name_of(pid, start_ticks, past_end, name);
		fd = open_copy(kept, name, &st);
	}
	if (fd < 0)
		return ctask_fail(err, -fd, "what was recorded of process %d cannot be opened: %s",
				  (int)pid, strerror(-fd));
	return ctask_history_reader_open_file(fd, pid, ret_reader, err);
}
