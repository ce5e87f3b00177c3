/* memory.c - the bytes of a process at an address: a live process, an array. */
#include "reader/memory.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/* The kernel takes UIO_MAXIOV pieces in one call. */
enum { RUNS_A_CALL = 1024 };

struct process_memory {
	struct ctask_memory memory;
	pid_t pid;
	bool has_called; /* process_vm_readv has worked: it is there, and allowed */
	int fd;		 /* of /proc/PID/mem, where it is not; -1 */
};

/*
 * A kernel without process_vm_readv, or a container's filter that forbids the
 * call, may still give the same bytes as a file, to those who may have them.
 */
static ssize_t read_some_from_file(struct process_memory *self, const struct ctask_page_run *runs,
				   size_t run_count, uint8_t *to)
{
	ssize_t total = 0;

	for (size_t i = 0; i < run_count; i++) {
		size_t want = runs[i].count * CTASK_PAGE;
		ssize_t got = pread(self->fd, to + total, want, (off_t)runs[i].addr);

		if (got == 0)
			return -ESRCH; /* its address space has gone */
		if (got > 0)
			total += got / CTASK_PAGE * CTASK_PAGE;
		if (got < (ssize_t)want)
			break;
	}
	return total;
}

static bool open_file_instead(struct process_memory *self)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/mem", (int)self->pid);
	self->fd = open(path, O_RDONLY | O_CLOEXEC);
	return self->fd >= 0;
}

/* Read at most RUNS_A_CALL runs. */
static ssize_t process_read_some(struct process_memory *self, const struct ctask_page_run *runs,
				 size_t run_count, uint8_t *to)
{
	struct iovec remote[RUNS_A_CALL];
	struct iovec local = { .iov_base = to };
	ssize_t got;

	if (self->fd >= 0)
		return read_some_from_file(self, runs, run_count, to);
	for (size_t i = 0; i < run_count; i++) {
		remote[i].iov_base = (void *)(uintptr_t)runs[i].addr;
		remote[i].iov_len = runs[i].count * CTASK_PAGE;
		local.iov_len += remote[i].iov_len;
	}
	do
		got = process_vm_readv(self->pid, &local, 1, remote, run_count, 0);
	while (got < 0 && errno == EINTR);
	if (got < 0 && (errno == ENOSYS || errno == EPERM) && !self->has_called) {
		int error = errno;

		return open_file_instead(self) ? read_some_from_file(self, runs, run_count, to)
					       : -error;
	}
	if (got < 0 && errno != EFAULT)
		return -errno;
	self->has_called = true;
	return got < 0 ? 0 : got / CTASK_PAGE * CTASK_PAGE;
}

static ssize_t process_read_runs(struct ctask_memory *memory, const struct ctask_page_run *runs,
				 size_t run_count, uint8_t *to)
{
	struct process_memory *self = (struct process_memory *)memory;
	ssize_t total = 0;

	while (run_count) {
		size_t n = run_count < RUNS_A_CALL ? run_count : RUNS_A_CALL;
		ssize_t want = 0, got = process_read_some(self, runs, n, to + total);

		if (got < 0)
			return got;
		for (size_t i = 0; i < n; i++)
			want += (ssize_t)(runs[i].count * CTASK_PAGE);
		total += got;
		if (got < want)
			break;
		runs += n;
		run_count -= n;
	}
	return total;
}

static void process_destroy(struct ctask_memory *memory)
{
	struct process_memory *self = (struct process_memory *)memory;

	if (self->fd >= 0)
		close(self->fd);
	free(self);
}

static const struct ctask_memory_ops process_ops = {
	.name = "process",
	.read_runs = process_read_runs,
	.destroy = process_destroy,
};

int ctask_memory_create_process(pid_t pid, struct ctask_memory **ret_memory,
				struct ctask_error *err)
{
	struct process_memory *self = malloc(sizeof(*self));

	if (!self)
		return ctask_fail(err, ENOMEM, "out of memory");
	*self = (struct process_memory){ .memory.ops = &process_ops, .pid = pid, .fd = -1 };
	*ret_memory = &self->memory;
	return 0;
}

struct bytes_memory {
	struct ctask_memory memory;
	const struct ctask_segment *segments;
	size_t count;
};

/* Fill one page from the segments. False when none touches it. */
static bool bytes_read_page(const struct bytes_memory *self, uint64_t addr, uint8_t *to)
{
	bool found = false;

	memset(to, 0, CTASK_PAGE);
	for (size_t i = 0; i < self->count; i++) {
		const struct ctask_segment *s = &self->segments[i];

		for (size_t at = 0; at < CTASK_PAGE;) {
			uint64_t here = addr + at, into = here - s->addr;

			if (here < s->addr) {
				if (s->addr - here >= CTASK_PAGE - at)
					break;
				at += s->addr - here;
				continue;
			}
			if (into >= s->len)
				break;
			size_t n =
				s->len - into < CTASK_PAGE - at ? s->len - into : CTASK_PAGE - at;

			memcpy(to + at, s->bytes + into, n);
			found = true;
			at += n;
		}
	}
	return found;
}

static ssize_t bytes_read_runs(struct ctask_memory *memory, const struct ctask_page_run *runs,
			       size_t run_count, uint8_t *to)
{
	struct bytes_memory *self = (struct bytes_memory *)memory;
	ssize_t total = 0;

	for (size_t i = 0; i < run_count; i++)
		for (size_t page = 0; page < runs[i].count; page++) {
			if (!bytes_read_page(self, runs[i].addr + page * CTASK_PAGE, to + total))
				return total;
			total += CTASK_PAGE;
		}
	return total;
}

static void bytes_destroy(struct ctask_memory *memory)
{
	free(memory);
}

static const struct ctask_memory_ops bytes_ops = {
	.name = "bytes",
	.read_runs = bytes_read_runs,
	.destroy = bytes_destroy,
};

int ctask_memory_create_bytes(const struct ctask_segment *segments, size_t count,
			      struct ctask_memory **ret_memory, struct ctask_error *err)
{
	struct bytes_memory *self = malloc(sizeof(*self));

	if (!self)
		return ctask_fail(err, ENOMEM, "out of memory");
	*self = (struct bytes_memory){ .memory.ops = &bytes_ops,
				       .segments = segments,
				       .count = count };
	*ret_memory = &self->memory;
	return 0;
}

void ctask_memory_destroy(struct ctask_memory *memory)
{
	if (memory)
		memory->ops->destroy(memory);
}
