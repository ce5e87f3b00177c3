/* history_open.c - a history's bytes, in a file or in a process, and the header that says what lies where. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "model/cleanup.h"
#include "reader/history_parts.h"
#include "reader/process.h"

static int ended(const struct ctask_history_reader *r, struct ctask_error *err)
{
	return ctask_fail(err, EOWNERDEAD, "process %d has ended", (int)r->pid);
}

static int read_file(struct ctask_history_reader *r, uint64_t offset, void *to, size_t len,
		     struct ctask_error *err)
{
	while (len) {
		ssize_t got = pread(r->fd, to, len, (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return ctask_fail(err, errno, "cannot read the history of process %d: %m",
					  (int)r->pid);
		if (got == 0)
			return ctask_fail(
				err, EPROTO,
				"the history of process %d became shorter while it was read",
				(int)r->pid);
		to = (char *)to + got;
		offset += (uint64_t)got;
		len -= (size_t)got;
	}
	return 0;
}

static int read_memory(struct ctask_history_reader *r, uint64_t offset, void *to, size_t len,
		       struct ctask_error *err)
{
	uint64_t start = (r->addr + offset) / CTASK_PAGE * CTASK_PAGE;
	size_t before = (size_t)(r->addr + offset - start);
	struct ctask_page_run run = { start, (before + len + CTASK_PAGE - 1) / CTASK_PAGE };
	auto_free uint8_t *pages = malloc(run.count * CTASK_PAGE);
	ssize_t got;

	if (!pages)
		return ctask_fail(err, ENOMEM, "out of memory");
	got = r->memory->ops->read_runs(r->memory, &run, 1, pages);
	if (got == -ESRCH)
		return ended(r, err);
	if (got == -EPERM)
		return ctask_process_refused(r->pid, err);
	if (got < (ssize_t)(before + len))
		return ctask_fail(err, EPROTO, "the history of process %d cannot be read whole",
				  (int)r->pid);
	memcpy(to, pages + before, len);
	return 0;
}

/* The caller has checked that the bytes are inside r->bytes. */
int ctask_history_bytes(struct ctask_history_reader *r, uint64_t offset, void *to, size_t len,
			struct ctask_error *err)
{
	if (len == 0)
		return 0;
	return r->fd >= 0 ? read_file(r, offset, to, len, err)
			  : read_memory(r, offset, to, len, err);
}

/* --- the header --- */

#define CHANGING offsetof(struct ctask_history_header, last_id)

static int no_history(const struct ctask_history_reader *r, struct ctask_error *err,
		      const char *what)
{
	return ctask_fail(err, EPROTO, "what process %d has for a history is none: %s", (int)r->pid,
			  what);
}

static bool is_inside(const struct ctask_history_header *h, uint64_t at, uint64_t count,
		      uint64_t bytes)
{
	/* Counts and sizes have 32 bits: their product fits. */
	return at % 8 == 0 && at >= sizeof(*h) && at <= h->file_bytes &&
	       count * bytes <= h->file_bytes - at;
}

static int check_header(const struct ctask_history_reader *r, struct ctask_error *err)
{
	const struct ctask_history_header *h = &r->header;

	if (memcmp(h->magic, CTASK_HISTORY_MAGIC, sizeof(h->magic)) != 0)
		return no_history(r, err, "it does not begin like one");
	if (h->version != CTASK_HISTORY_VERSION || h->header_bytes != sizeof(*h) ||
	    h->record_bytes != sizeof(struct ctask_record) ||
	    h->place_bytes != sizeof(struct ctask_place) ||
	    h->birth_bytes != sizeof(struct ctask_birth))
		return ctask_fail(
			err, EPROTO,
			"the agent in process %d is of another version (history %u) than this ctaskctl",
			(int)r->pid, h->version);
	if (h->file_bytes > r->bytes || h->file_bytes > CTASK_HISTORY_FILE_BYTES_MAX)
		return no_history(r, err, "its size is not what it says");
	if (h->record_room == 0 || h->side_bytes == 0 || h->side_bytes & (h->side_bytes - 1) ||
	    h->side_bytes % 8)
		return no_history(r, err, "it has no room");
	if (!is_inside(h, h->records_at, h->record_room, sizeof(struct ctask_record)) ||
	    !is_inside(h, h->side_at, 1, h->side_bytes) ||
	    !is_inside(h, h->places_at, h->place_room, sizeof(struct ctask_place)) ||
	    !is_inside(h, h->words_at, 1, h->word_bytes) ||
	    !is_inside(h, h->births_at, h->birth_room, sizeof(struct ctask_birth)))
		return no_history(r, err, "its parts lie outside of it");
	return 0;
}

/* What changes is read again, and must stay within what does not. */
int ctask_history_head(struct ctask_history_reader *r, struct ctask_error *err)
{
	struct ctask_history_header *h = &r->header;
	int ret =
		ctask_history_bytes(r, CHANGING, (char *)h + CHANGING, sizeof(*h) - CHANGING, err);

	if (ret)
		return ret;
	if (h->place_count > h->place_room || h->word_used > h->word_bytes ||
	    h->birth_used > h->birth_room || h->last_id > INT64_MAX || h->side_head > INT64_MAX ||
	    h->place_count < r->place_count || h->word_used < r->word_used)
		return no_history(r, err, "it counts more than it has room for");
	return ctask_history_bytes(r, offsetof(struct ctask_history_header, flags), &h->flags,
				   sizeof(h->flags), err);
}

static int begin(struct ctask_history_reader *r, struct ctask_error *err)
{
	int ret;

	if (r->bytes < sizeof(r->header))
		return no_history(r, err, "it is too small");
	ret = ctask_history_bytes(r, 0, &r->header, sizeof(r->header), err);
	if (!ret)
		ret = check_header(r, err);
	if (!ret)
		ret = ctask_history_head(r, err);
	if (ret)
		return ret;
	r->seen = calloc(r->header.record_room, sizeof(*r->seen));
	if (!r->seen)
		return ctask_fail(err, ENOMEM, "out of memory");
	r->open_from = 1;
	r->told_through = r->header.last_id;
	r->lost_before = r->header.lost_records;
	return 0;
}

static int open_reader(const struct ctask_history_reader *start,
		       struct ctask_history_reader **ret_reader, struct ctask_error *err)
{
	struct ctask_history_reader *r = malloc(sizeof(*r));
	int ret;

	if (!r) {
		if (start->fd >= 0)
			close(start->fd);
		return ctask_fail(err, ENOMEM, "out of memory");
	}
	*r = *start;
	ret = begin(r, err);
	if (ret) {
		ctask_history_reader_close(r);
		return ret;
	}
	*ret_reader = r;
	return 0;
}

int ctask_history_reader_open_file(int fd, pid_t pid, struct ctask_history_reader **ret_reader,
				   struct ctask_error *err)
{
	struct ctask_history_reader start = { .pid = pid, .fd = fd };
	struct stat st;

	if (fstat(fd, &st) || st.st_size < 0) {
		close(fd);
		return ctask_fail(err, EPROTO, "the history of process %d has no size", (int)pid);
	}
	start.bytes = (uint64_t)st.st_size;
	return open_reader(&start, ret_reader, err);
}

int ctask_history_reader_open_memory(struct ctask_memory *memory, uint64_t addr, uint64_t bytes,
				     pid_t pid, struct ctask_history_reader **ret_reader,
				     struct ctask_error *err)
{
	const struct ctask_history_reader start = {
		.pid = pid,
		.fd = -1,
		.memory = memory,
		.addr = addr,
		.bytes = bytes,
	};

	if (addr > UINT64_MAX - bytes)
		return ctask_fail(err, EPROTO, "a history cannot lie at the end of all addresses");
	return open_reader(&start, ret_reader, err);
}

int ctask_history_reader_file(const struct ctask_history_reader *r)
{
	return r->fd;
}

void ctask_history_reader_close(struct ctask_history_reader *r)
{
	if (!r)
		return;
	if (r->fd >= 0)
		close(r->fd);
	if (r->owns_memory)
		ctask_memory_destroy(r->memory);
	free(r->places);
	free(r->words);
	free(r->seen);
	free(r);
}
