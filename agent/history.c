/* history.c - the shared memory that include/ctask/history.h describes, of this process. */
#include "agent/history.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "agent/portable.h"
#include "agent/start.h"

enum {
	BIRTH_ROOM = 1 << 17,
	FIRST_DESCRIPTOR = 900, /* out of the way of programs that count on low numbers */
	MICRO = 1000000,
};

_Static_assert(CTASK_HISTORY_BYTES_MAX + BIRTH_ROOM * sizeof(struct ctask_birth) <=
		       CTASK_HISTORY_FILE_BYTES_MAX,
	       "a reader would refuse it");

struct ctask_writer ctask_writer = { .fd = -1 };
static uint64_t device, inode; /* of what its descriptor led to */
static uint32_t free_births;   /* head of the list of free slots + 1 */

int64_t ctask_now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * MICRO + now.tv_nsec / 1000;
}

double ctask_monotonic(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int make_file(uint64_t bytes)
{
	struct rlimit limit;
	int fd =
		(int)syscall(SYS_memfd_create, CTASK_HISTORY_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int high;

	if (fd < 0)
		return -errno;
	/* Beyond this limit a file does not just fail to grow: a signal ends the process. */
	if (getrlimit(RLIMIT_FSIZE, &limit) || limit.rlim_cur < bytes) {
		close(fd);
		return -EFBIG;
	}
	high = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_DESCRIPTOR);
	if (high >= 0) {
		close(fd);
		fd = high;
	}
	if (ftruncate(fd, (off_t)bytes)) {
		int ret = -errno;

		close(fd);
		return ret;
	}
	fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	return fd;
}

int ctask_history_make(size_t bytes, const char *python_version)
{
	struct ctask_history_header plan, *h;
	struct stat st;
	int fd;

	if (bytes < CTASK_HISTORY_BYTES_MIN)
		bytes = CTASK_HISTORY_BYTES_MIN;
	ctask_writer_plan(&plan, bytes, BIRTH_ROOM);
	fd = make_file(plan.file_bytes);
	if (fd < 0)
		return fd;
	h = mmap(NULL, plan.file_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (h == MAP_FAILED) {
		int ret = -errno;

		close(fd);
		return ret;
	}
	plan.nspid = getpid();
	plan.start_ticks = ctask_start_ticks("/proc/self/stat");
	plan.since_us = ctask_now_us();
	strncpy(plan.python_version, python_version, sizeof(plan.python_version) - 1);
	if (!ctask_fstat(fd, &st)) {
		device = st.st_dev;
		inode = st.st_ino;
	}
	free_births = 0;
	ctask_writer_begin(&ctask_writer, h, fd, &plan);
	ctask_writer_show(&ctask_writer);
	return 0;
}

void ctask_history_forget(void)
{
	struct ctask_history_header *h = ctask_writer.header;
	struct stat st;

	/* The program may have closed the descriptor, and given the number to something else. */
	if (h && !ctask_fstat(ctask_writer.fd, &st) && st.st_ino == inode && st.st_dev == device)
		close(ctask_writer.fd);
	if (h)
		munmap(h, h->file_bytes);
	ctask_writer = (struct ctask_writer){ .fd = -1 };
}

/* --- texts --- */

bool ctask_side_lasts(uint64_t offset)
{
	const struct ctask_history_header *h = ctask_writer.header;

	/* An offset beyond the head is one of a parent's history. */
	return offset && offset < h->side_head && h->side_head - offset <= h->side_bytes / 2;
}

bool ctask_side_is(uint64_t offset, const void *bytes, size_t len, const char *end)
{
	const char *entry = ctask_writer.side + offset % ctask_writer.header->side_bytes;
	uint32_t length;

	memcpy(&length, entry, sizeof(length));
	entry += CTASK_SIDE_LENGTH_BYTES;
	return length == len + strlen(end) && !memcmp(entry, bytes, len) &&
	       !memcmp(entry + len, end, length - len);
}

/* --- births --- */

uint32_t ctask_birth_put(const struct ctask_birth *birth)
{
	struct ctask_history_header *h = ctask_writer.header;
	uint32_t at = free_births;
	struct ctask_birth *slot;

	if (at) {
		slot = &ctask_writer.births[at - 1];
		free_births = slot->place;
	} else if (h->birth_used < h->birth_room) {
		at = h->birth_used + 1;
		slot = &ctask_writer.births[at - 1];
		__atomic_store_n(&h->birth_used, at, __ATOMIC_RELEASE);
	} else {
		h->lost_births++;
		return 0;
	}
	__atomic_store_n(&slot->sequence, slot->sequence | 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	slot->task = birth->task;
	slot->time_us = birth->time_us;
	slot->creator = birth->creator;
	slot->place = birth->place;
	__atomic_store_n(&slot->sequence, slot->sequence + 1, __ATOMIC_RELEASE);
	return at;
}

void ctask_birth_free(uint32_t slot)
{
	struct ctask_birth *birth = &ctask_writer.births[slot - 1];

	/* While a slot is free, its place links to the next free one. */
	__atomic_store_n(&birth->sequence, birth->sequence | 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	birth->task = 0;
	birth->place = free_births;
	__atomic_store_n(&birth->sequence, birth->sequence + 1, __ATOMIC_RELEASE);
	free_births = slot;
}
