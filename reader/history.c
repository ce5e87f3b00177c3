/* history.c - an agent's history of cancellations: from the bytes of its shared memory to plain data. */
#include "reader/history.h"

#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "model/cleanup.h"
#include "reader/process.h"

enum {
	FILE_BYTES_MAX = 1 << 28, /* of a history that is read at all */
	RECORDS_A_LOOK = 256,	  /* are copied, and copied again, together */
	TRIES = 16,		  /* to find a record at rest, at once */
	LATER_TRIES = 20,	  /* and after all others, a millisecond each */
	STACK_MAX = 4096,	  /* frames of one stack; more are no stack */
	CANDIDATES_MAX = 8,	  /* mappings that are called like a history */
	TEXT_SHARE = 4, /* texts and stacks may take this many times the bytes they come from */
};

/* What was handed out of a slot. */
struct seen {
	uint64_t id;
	uint32_t sequence;
};

struct ctask_history_reader {
	pid_t pid;
	int fd;			     /* or -1: in memory, at addr */
	struct ctask_memory *memory; /* or NULL */
	bool owns_memory;
	uint64_t addr;
	uint64_t bytes; /* there are */

	struct ctask_history_header
		header; /* its first part, checked, and the second as it was last */
	/* Grow only there, so here too. */
	struct ctask_place *places;
	uint32_t place_count;
	char *words;
	uint32_t word_used;

	/* For ctask_history_read_changes(). */
	struct seen *seen;
	uint64_t told_changes;
	uint64_t told_through; /* newest record that was looked at, or was there at first */
	uint64_t open_from;    /* older ones have ended */
	uint64_t missed, lost_before;
	bool has_told, again;
};

/* --- bytes --- */

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
static int read_bytes(struct ctask_history_reader *r, uint64_t offset, void *to, size_t len,
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
	if (h->file_bytes > r->bytes || h->file_bytes > FILE_BYTES_MAX)
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
static int read_head(struct ctask_history_reader *r, struct ctask_error *err)
{
	struct ctask_history_header *h = &r->header;
	int ret = read_bytes(r, CHANGING, (char *)h + CHANGING, sizeof(*h) - CHANGING, err);

	if (ret)
		return ret;
	if (h->place_count > h->place_room || h->word_used > h->word_bytes ||
	    h->birth_used > h->birth_room || h->last_id > INT64_MAX || h->side_head > INT64_MAX ||
	    h->place_count < r->place_count || h->word_used < r->word_used)
		return no_history(r, err, "it counts more than it has room for");
	return read_bytes(r, offsetof(struct ctask_history_header, flags), &h->flags,
			  sizeof(h->flags), err);
}

static int begin(struct ctask_history_reader *r, struct ctask_error *err)
{
	int ret;

	if (r->bytes < sizeof(r->header))
		return no_history(r, err, "it is too small");
	ret = read_bytes(r, 0, &r->header, sizeof(r->header), err);
	if (!ret)
		ret = check_header(r, err);
	if (!ret)
		ret = read_head(r, err);
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

/* --- find it --- */

struct candidate {
	uint64_t start, end;
};

static bool is_history_name(const char *path)
{
	static const char name[] = "/memfd:" CTASK_HISTORY_NAME;
	size_t len = sizeof(name) - 1;

	return strncmp(path, name, len) == 0 &&
	       (path[len] == '\0' || path[len] == '\n' || path[len] == ' ');
}

/* The mappings that are called like a history. Returns how many, or -errno. */
static int find_mappings(pid_t pid, struct candidate *found, struct ctask_error *err)
{
	char path[64];
	auto_fclose FILE *maps = NULL;
	auto_free char *line = NULL;
	size_t room = 0;
	int count = 0;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	maps = fopen(path, "re");
	if (!maps)
		return errno == EACCES || errno == EPERM
			       ? ctask_process_refused(pid, err)
			       : ctask_fail(err, EOWNERDEAD, "process %d has ended", (int)pid);
	errno = 0;
	while (count < CANDIDATES_MAX && getline(&line, &room, maps) > 0) {
		struct candidate c;
		uint64_t offset;
		int path_at = 0;

		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %" SCNx64 " %*s %*s %n", &c.start,
			   &c.end, &offset, &path_at) == 3 &&
		    path_at && offset == 0 && is_history_name(line + path_at))
			found[count++] = c;
	}
	if (!count && (errno == EACCES || errno == EPERM))
		return ctask_process_refused(pid, err);
	return count;
}

/* A child has what its parent mapped, until its own agent starts. */
static bool is_of(const struct ctask_history_reader *r, pid_t pid)
{
	struct ctask_texts *texts = ctask_texts_create();
	struct ctask_process process = { 0 };
	bool same = false;

	if (texts && ctask_process_describe(pid, texts, &process) == 0)
		same = r->header.nspid == process.nspid;
	free(process.cmdline);
	ctask_texts_destroy(texts);
	/* A process that has no /proc does not know when it started. */
	if (same && r->header.start_ticks && ctask_process_shares_clock(pid))
		same = r->header.start_ticks == ctask_process_start(pid);
	return same;
}

/* What became of the places where a history could be. */
struct search {
	struct ctask_history_reader *found;
	bool foreign; /* one is there, of another process */
	int ret;      /* why one is not usable */
	struct ctask_error err;
};

/* True when that was it. */
static bool consider(struct search *s, pid_t pid, struct ctask_history_reader *r, int ret,
		     const struct ctask_error *err)
{
	if (ret) {
		s->ret = ret;
		s->err = *err;
		return false;
	}
	if (is_of(r, pid)) {
		s->found = r;
		return true;
	}
	s->foreign = true;
	ctask_history_reader_close(r);
	return false;
}

static void search_descriptors(struct search *s, pid_t pid)
{
	char path[64 + sizeof(((struct dirent *)0)->d_name)], link[64];
	auto_closedir DIR *dir = NULL;
	struct dirent *entry;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		struct ctask_history_reader *r = NULL;
		struct ctask_error err = { 0 };
		ssize_t len;
		int fd, ret;

		snprintf(path, sizeof(path), "/proc/%d/fd/%s", (int)pid, entry->d_name);
		len = readlink(path, link, sizeof(link) - 1);
		if (len <= 0)
			continue;
		link[len] = '\0';
		if (!is_history_name(link))
			continue;
		fd = ctask_open_regular(path, NULL);
		if (fd < 0)
			continue;
		ret = ctask_history_reader_open_file(fd, pid, &r, &err);
		if (consider(s, pid, r, ret, &err))
			return;
	}
}

static void search_memory(struct search *s, pid_t pid, const struct candidate *candidates,
			  int count)
{
	for (int i = 0; i < count; i++) {
		struct ctask_history_reader *r = NULL;
		struct ctask_memory *memory;
		struct ctask_error err = { 0 };
		int ret = ctask_memory_create_process(pid, &memory, &err);

		if (!ret) {
			ret = ctask_history_reader_open_memory(
				memory, candidates[i].start,
				candidates[i].end - candidates[i].start, pid, &r, &err);
			if (ret)
				ctask_memory_destroy(memory);
			else
				r->owns_memory = true;
		}
		if (consider(s, pid, r, ret, &err))
			return;
	}
}

int ctask_history_reader_open(pid_t pid, struct ctask_history_reader **ret_reader,
			      struct ctask_error *err)
{
	struct candidate candidates[CANDIDATES_MAX];
	struct search search = { 0 };
	int count, ret = ctask_process_check(pid, err);

	if (ret)
		return ret;
	count = find_mappings(pid, candidates, err);
	if (count < 0)
		return count;
	if (count > 0)
		search_descriptors(&search, pid);
	if (!search.found)
		search_memory(&search, pid, candidates, count);
	if (search.found) {
		*ret_reader = search.found;
		return 0;
	}
	if (search.ret) {
		if (err)
			*err = search.err;
		return search.ret;
	}
	return ctask_fail(
		err, ENOTSUP,
		search.foreign
			? "process %d has no agent of its own, only the history of the one it "
			  "was forked from: look at that, or start it with 'ctaskctl run -- "
			  "COMMAND…'"
			: "process %d records no cancellations: there is no ctask agent in it. "
			  "Start the program with 'ctaskctl run -- COMMAND…', or watch it from now "
			  "on, as root, with --follow",
		(int)pid);
}

/* --- copy --- */

/* Copies of records that are whole. */
struct copies {
	struct ctask_record *records;
	uint32_t count, room;
	uint64_t *torn; /* ids of slots that did not hold still, 0 = it did later */
	uint32_t torn_count, torn_room;
	uint64_t last, changes; /* as the header had them before */
	uint64_t open;		/* the oldest record whose outcome can still change */
};

static void copies_fini(struct copies *c)
{
	free(c->records);
	free(c->torn);
}

static int keep_record(struct copies *c, const struct ctask_record *record)
{
	if (c->count == c->room) {
		uint32_t room = c->room * 2 + RECORDS_A_LOOK;
		void *grown = realloc(c->records, room * sizeof(*c->records));

		if (!grown)
			return -ENOMEM;
		c->records = grown;
		c->room = room;
	}
	c->records[c->count++] = *record;
	return 0;
}

static int keep_torn(struct copies *c, uint64_t id)
{
	if (c->torn_count == c->torn_room) {
		uint32_t room = c->torn_room * 2 + 16;
		void *grown = realloc(c->torn, room * sizeof(*c->torn));

		if (!grown)
			return -ENOMEM;
		c->torn = grown;
		c->torn_room = room;
	}
	c->torn[c->torn_count++] = id;
	return 0;
}

/*
 * A copy is good when it was taken twice, is the same, and its sequence is even:
 * between the two looks at the sequence nothing was written, and all that the first
 * copy has was read before the second look.
 */
static bool is_whole(const struct ctask_record *first, const struct ctask_record *second)
{
	return first->sequence % 2 == 0 && memcmp(first, second, sizeof(*first)) == 0;
}

static bool is_final(uint8_t outcome)
{
	return outcome != CTASK_OUTCOME_PENDING && outcome != CTASK_OUTCOME_SWALLOWED;
}

/* True when the record was handed out as it is now. */
static bool is_told(const struct ctask_history_reader *r, const struct ctask_record *record)
{
	const struct seen *seen = &r->seen[record->id % r->header.record_room];

	return seen->id == record->id && seen->sequence == record->sequence;
}

static uint64_t slot_at(const struct ctask_history_reader *r, uint64_t id)
{
	return r->header.records_at + id % r->header.record_room * sizeof(struct ctask_record);
}

/* Look at the slot of @p id a few times. 1 when it was whole, 0 when not, or -errno. */
static int look_again(struct ctask_history_reader *r, uint64_t id, int tries,
		      struct ctask_record *ret_record, struct ctask_error *err)
{
	struct ctask_record second;

	for (int i = 0; i < tries; i++) {
		int ret = read_bytes(r, slot_at(r, id), ret_record, sizeof(*ret_record), err);

		if (!ret)
			ret = read_bytes(r, slot_at(r, id), &second, sizeof(second), err);
		if (ret)
			return ret;
		if (is_whole(ret_record, &second))
			return 1;
	}
	return 0;
}

/* Copy the slots of @p count ids from @p id, which lie in one piece. */
static int copy_run(struct ctask_history_reader *r, uint64_t id, uint32_t count, bool only_changed,
		    struct ctask_record (*buffers)[RECORDS_A_LOOK], struct copies *c,
		    struct ctask_error *err)
{
	int ret = read_bytes(r, slot_at(r, id), buffers[0], count * sizeof(**buffers), err);

	if (!ret)
		ret = read_bytes(r, slot_at(r, id), buffers[1], count * sizeof(**buffers), err);
	for (uint32_t i = 0; i < count && !ret; i++) {
		struct ctask_record *record = &buffers[0][i];

		if (!is_whole(record, &buffers[1][i])) {
			ret = look_again(r, id + i, TRIES, record, err);
			if (ret < 0)
				return ret;
			if (ret == 0) {
				ret = keep_torn(c, id + i);
				continue;
			}
			ret = 0;
		}
		if (record->id < id + i) /* refused, or not there yet */
			continue;
		if (!is_final(record->outcome) && record->id < c->open)
			c->open = record->id;
		if (only_changed && is_told(r, record))
			continue;
		ret = keep_record(c, record);
	}
	return ret == -ENOMEM ? ctask_fail(err, ENOMEM, "out of memory") : ret;
}

static int copy_torn(struct ctask_history_reader *r, struct copies *c, struct ctask_error *err)
{
	static const struct timespec pause = { .tv_nsec = 1000000 };
	int pauses = LATER_TRIES;

	for (uint32_t i = 0; i < c->torn_count; i++) {
		struct ctask_record record;
		int ret = look_again(r, c->torn[i], TRIES, &record, err);

		while (ret == 0 && pauses-- > 0) {
			nanosleep(&pause, NULL);
			ret = look_again(r, c->torn[i], TRIES, &record, err);
		}
		if (ret < 0)
			return ret;
		if (ret == 0)
			continue;
		if (record.id >= c->torn[i] && keep_record(c, &record))
			return ctask_fail(err, ENOMEM, "out of memory");
		if (!is_final(record.outcome) && record.id < c->open)
			c->open = record.id;
		c->torn[i] = 0;
	}
	return 0;
}

static int compare_records(const void *left, const void *right)
{
	const struct ctask_record *a = left, *b = right;

	return (a->id > b->id) - (a->id < b->id);
}

static int copy_records(struct ctask_history_reader *r, uint64_t first, bool only_changed,
			struct copies *c, struct ctask_error *err)
{
	struct ctask_record(*buffers)[RECORDS_A_LOOK] = malloc(2 * sizeof(*buffers));
	const uint32_t room = r->header.record_room;
	const uint64_t last = r->header.last_id;
	uint64_t id = last > room ? last - room + 1 : 1;
	int ret = 0;

	if (!buffers)
		return ctask_fail(err, ENOMEM, "out of memory");
	c->last = last;
	c->changes = r->header.changes;
	for (id = id < first ? first : id; id <= last && !ret;) {
		uint64_t count = room - id % room; /* up to the end of the ring */

		if (count > last - id + 1)
			count = last - id + 1;
		if (count > RECORDS_A_LOOK)
			count = RECORDS_A_LOOK;
		ret = copy_run(r, id, (uint32_t)count, only_changed, buffers, c, err);
		id += count;
	}
	free(buffers);
	if (!ret)
		ret = copy_torn(r, c, err);
	if (!ret && c->count)
		qsort(c->records, c->count, sizeof(*c->records), compare_records);
	return ret;
}

/* --- make sense of it --- */

struct decoder {
	struct ctask_history_reader *reader;
	struct ctask_history *history;
	char *side;	      /* a copy of the ring, byte for byte where it was */
	uint64_t side_oldest; /* what lies before is overwritten */
	uint64_t side_head;
	ctask_text *texts;   /* of words, by their offsets; NULL = not made yet */
	uint32_t *frames;    /* of places; CTASK_NONE = not made yet */
	uint64_t bytes_left; /* that texts and stacks may still take */
};

static void decoder_fini(struct decoder *d)
{
	free(d->side);
	free(d->texts);
	free(d->frames);
}

/* What one record came to. */
enum verdict { GOOD, GONE, SENSELESS, NO_MEMORY };

static bool take(struct decoder *d, uint64_t bytes)
{
	if (bytes > d->bytes_left)
		return false;
	d->bytes_left -= bytes;
	return true;
}

/* Places and words that are new since the last time. */
static int read_tables(struct ctask_history_reader *r, struct ctask_error *err)
{
	const struct ctask_history_header *h = &r->header;
	size_t old_places = r->place_count * sizeof(*r->places),
	       places = h->place_count * sizeof(*r->places);
	void *grown;
	int ret;

	if (h->place_count > r->place_count || !r->places) {
		grown = realloc(r->places, places + 1);
		if (!grown)
			return ctask_fail(err, ENOMEM, "out of memory");
		r->places = grown;
		ret = read_bytes(r, h->places_at + old_places, (char *)grown + old_places,
				 places - old_places, err);
		if (ret)
			return ret;
		r->place_count = h->place_count;
	}
	if (h->word_used > r->word_used || !r->words) {
		grown = realloc(r->words, (size_t)h->word_used + 1);
		if (!grown)
			return ctask_fail(err, ENOMEM, "out of memory");
		r->words = grown;
		ret = read_bytes(r, h->words_at + r->word_used, r->words + r->word_used,
				 h->word_used - r->word_used, err);
		if (ret)
			return ret;
		r->word_used = h->word_used;
	}
	return 0;
}

/* The oldest byte of the ring that @p records speak of. */
static uint64_t oldest_side(const struct copies *c)
{
	uint64_t oldest = UINT64_MAX;

	for (uint32_t i = 0; i < c->count; i++) {
		const struct ctask_record *record = &c->records[i];
		const uint64_t offsets[] = {
			record->target_name,
			record->requester_name,
			record->failed_task_name,
			record->exception_message,
			record->message,
			record->target_stack,
			record->stack,
		};

		for (size_t n = 0; n < ARRAY_SIZE(offsets); n++) {
			if (offsets[n] && offsets[n] < oldest)
				oldest = offsets[n];
		}
	}
	return oldest;
}

/* Copy the part of the ring from @p from to its head. What was overwritten meanwhile is told by a second look. */
static int copy_side(struct decoder *d, uint64_t from, struct ctask_error *err)
{
	struct ctask_history_reader *r = d->reader;
	const uint64_t room = r->header.side_bytes, head = r->header.side_head;
	uint64_t oldest = head > room ? head - room : 0;
	int ret = 0;

	d->side = calloc(room, 1);
	if (!d->side)
		return ctask_fail(err, ENOMEM, "out of memory");
	from = from < oldest ? oldest : from;
	while (from < head && !ret) {
		uint64_t at = from % room;
		uint64_t len = room - at < head - from ? room - at : head - from;

		ret = read_bytes(r, r->header.side_at + at, d->side + at, len, err);
		from += len;
	}
	d->side_head = head;
	if (!ret)
		ret = read_head(r, err);
	d->side_oldest = r->header.side_head > room ? r->header.side_head - room : 0;
	return ret;
}

/* An entry of the ring: its bytes, which stay where they are. */
static enum verdict side_entry(const struct decoder *d, uint64_t offset, const char **ret_bytes,
			       uint32_t *ret_len)
{
	const uint64_t room = d->reader->header.side_bytes;
	uint64_t at = offset % room;
	uint32_t len;

	if (offset % 8 || offset >= d->side_head)
		return SENSELESS;
	if (offset < d->side_oldest)
		return GONE;
	memcpy(&len, d->side + at, sizeof(len)); /* offsets are multiples of 8: it fits */
	if (len > room - at - CTASK_SIDE_LENGTH_BYTES ||
	    len + CTASK_SIDE_LENGTH_BYTES > d->side_head - offset)
		return SENSELESS;
	*ret_bytes = d->side + at + CTASK_SIDE_LENGTH_BYTES;
	*ret_len = len;
	return GOOD;
}

static enum verdict side_text(struct decoder *d, uint64_t offset, ctask_text *ret_text)
{
	const char *bytes = NULL;
	uint32_t len = 0;
	enum verdict verdict;

	if (!offset)
		return GOOD;
	verdict = side_entry(d, offset, &bytes, &len);
	if (verdict != GOOD)
		return verdict;
	if (!take(d, len))
		return SENSELESS;
	*ret_text = ctask_texts_add_checked(d->history->texts, bytes, len);
	return *ret_text ? GOOD : NO_MEMORY;
}

static enum verdict word(struct decoder *d, uint32_t offset, ctask_text *ret_text)
{
	const struct ctask_history_reader *r = d->reader;
	const char *end;

	if (!offset)
		return GOOD;
	if (offset >= r->word_used)
		return SENSELESS;
	if (!d->texts[offset]) {
		end = memchr(r->words + offset, '\0', r->word_used - offset);
		if (!end || !take(d, (uint64_t)(end - (r->words + offset))))
			return SENSELESS;
		d->texts[offset] = ctask_texts_add_checked(d->history->texts, r->words + offset,
							   (size_t)(end - (r->words + offset)));
	}
	*ret_text = d->texts[offset];
	return *ret_text ? GOOD : NO_MEMORY;
}

static enum verdict frame(struct decoder *d, uint32_t place, uint32_t *ret_frame)
{
	const struct ctask_history_reader *r = d->reader;
	struct ctask_frame made = { 0 };
	enum verdict verdict = GOOD;

	if (place >= r->place_count && place != 0)
		return SENSELESS;
	if (d->frames[place] == CTASK_NONE) {
		uint32_t index;

		if (place) { /* 0 is a place that found no room there */
			const struct ctask_place *p = &r->places[place];

			made.line = p->line;
			made.library = p->flags & CTASK_PLACE_LIBRARY;
			verdict = word(d, p->name, &made.name);
			if (verdict == GOOD)
				verdict = word(d, p->filename, &made.filename);
			if (verdict != GOOD)
				return verdict;
		}
		index = ctask_history_add_frame(d->history);
		if (index == CTASK_NONE)
			return NO_MEMORY;
		d->history->frames[index] = made;
		d->frames[place] = index;
	}
	*ret_frame = d->frames[place];
	return GOOD;
}

static enum verdict stack(struct decoder *d, uint64_t offset, uint16_t cut,
			  struct ctask_stack *ret_stack)
{
	const char *bytes = NULL;
	uint32_t len = 0;
	enum verdict verdict;

	ret_stack->cut = cut;
	if (!offset)
		return GOOD;
	verdict = side_entry(d, offset, &bytes, &len);
	if (verdict != GOOD)
		return verdict;
	if (len % sizeof(uint32_t) || len / sizeof(uint32_t) > STACK_MAX || !take(d, len))
		return SENSELESS;
	for (uint32_t i = 0; i < len; i += (uint32_t)sizeof(uint32_t)) {
		uint32_t place, index = 0;

		memcpy(&place, bytes + i, sizeof(place));
		verdict = frame(d, place, &index);
		if (verdict != GOOD)
			return verdict;
		if (ctask_history_push_stack(d->history, ret_stack, index))
			return NO_MEMORY;
	}
	return GOOD;
}

static bool makes_sense(const struct ctask_record *record)
{
	return record->origin < CTASK_ORIGINS && record->through < CTASK_THROUGHS &&
	       record->requester_kind < CTASK_REQUESTERS && record->outcome < CTASK_OUTCOMES &&
	       record->cause < record->id && record->root <= record->id && record->root > 0;
}

static enum verdict decode_texts(struct decoder *d, const struct ctask_record *record,
				 struct ctask_cancellation *c)
{
	const struct {
		uint64_t offset;
		ctask_text *text;
	} texts[] = {
		{ record->target_name, &c->target_name },
		{ record->requester_name, &c->requester_name },
		{ record->failed_task_name, &c->failed_task_name },
		{ record->exception_message, &c->exception_message },
		{ record->message, &c->message },
	};
	const struct {
		uint32_t offset;
		ctask_text *text;
	} words[] = {
		{ record->target_coroutine, &c->target_coroutine },
		{ record->requester_coroutine, &c->requester_coroutine },
		{ record->exception_type, &c->exception_type },
		{ c->requester_name ? 0 : record->requester_word, &c->requester_name },
	};
	enum verdict verdict = GOOD;

	for (size_t i = 0; i < ARRAY_SIZE(texts) && verdict == GOOD; i++)
		verdict = side_text(d, texts[i].offset, texts[i].text);
	for (size_t i = 0; i < ARRAY_SIZE(words) && verdict == GOOD; i++)
		verdict = word(d, words[i].offset, words[i].text);
	return verdict;
}

static enum verdict decode_record(struct decoder *d, const struct ctask_record *record)
{
	const uint32_t frames = d->history->stack_frame_count;
	struct ctask_cancellation *c = ctask_history_add(d->history);
	enum verdict verdict;

	if (!c)
		return NO_MEMORY;
	verdict = makes_sense(record) ? decode_texts(d, record, c) : SENSELESS;
	if (verdict == GOOD)
		verdict =
			stack(d, record->target_stack, record->target_stack_cut, &c->target_stack);
	if (verdict == GOOD)
		verdict = stack(d, record->stack, record->stack_cut, &c->stack);
	if (verdict != GOOD) { /* only whole records */
		d->history->count--;
		d->history->stack_frame_count = frames;
		return verdict;
	}
	c->id = record->id;
	c->time_us = record->time_us;
	c->source = d->reader->header.flags & CTASK_HISTORY_BY_BPF ? CTASK_BY_BPF : CTASK_BY_AGENT;
	c->target = record->target;
	c->requester_kind = record->requester_kind;
	c->requester = record->requester;
	c->requester_thread = record->thread <= INT32_MAX ? record->thread : 0;
	c->origin = record->origin;
	c->through = record->through;
	c->scope = record->scope;
	c->delay_s = record->delay_s;
	c->elapsed_s = record->elapsed_s;
	if (record->scope_frame && record->scope_frame <= c->target_stack.count)
		c->scope_frame = record->scope_frame - 1;
	c->cause = record->cause;
	c->root = record->root;
	c->failed_task = record->failed_task;
	c->repeats = record->repeats;
	c->outcome = record->outcome;
	if (record->outcome != CTASK_OUTCOME_PENDING && record->after_us >= 0)
		c->after_s = (double)record->after_us / 1e6;
	if (record->outcome != CTASK_OUTCOME_PENDING && record->resolution_us)
		c->resolution_s = record->resolution_us / 1e6;
	return GOOD;
}

static int prepare(struct decoder *d, uint64_t side_from, struct ctask_error *err)
{
	struct ctask_history_reader *r = d->reader;
	uint32_t places;
	int ret = copy_side(d, side_from, err);

	if (!ret) /* after the records: all that they speak of is in them */
		ret = read_tables(r, err);
	if (ret)
		return ret;
	places = r->place_count ? r->place_count : 1;
	d->texts = calloc((size_t)r->word_used + 1, sizeof(*d->texts));
	d->frames = malloc(places * sizeof(*d->frames));
	if (!d->texts || !d->frames)
		return ctask_fail(err, ENOMEM, "out of memory");
	memset(d->frames, 0xff, places * sizeof(*d->frames));
	d->bytes_left = r->header.file_bytes * TEXT_SHARE;
	return 0;
}

static struct ctask_history *start_history(const struct ctask_history_reader *r)
{
	struct ctask_history *history = ctask_history_create();
	struct timespec now;

	if (!history)
		return NULL;
	clock_gettime(CLOCK_REALTIME, &now);
	history->pid = r->pid;
	memcpy(history->python_version, r->header.python_version,
	       sizeof(history->python_version) - 1);
	history->since_us = r->header.since_us;
	history->read_at_us = (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
	return history;
}

/* What is said about the whole, when all has been read. */
static void conclude(const struct ctask_history_reader *r, struct ctask_history *history)
{
	const struct ctask_history_header *h = &r->header;

	history->last_id = h->last_id;
	history->ended = h->flags & CTASK_HISTORY_ENDED;
	history->lost_births = h->lost_births;
}

static int decode_all(struct decoder *d, const struct copies *c, uint64_t *ret_gone,
		      struct ctask_error *err)
{
	const struct ctask_history_reader *r = d->reader;
	const uint64_t last = r->header.last_id, room = r->header.record_room;
	uint64_t before = 0;

	*ret_gone = 0;
	for (uint32_t i = 0; i < c->count; i++) {
		const struct ctask_record *record = &c->records[i];

		/* Not published yet; fell out meanwhile, and counts as such; or is in two slots. */
		if (record->id > last || record->id + room <= last || record->id <= before)
			continue;
		before = record->id;
		switch (decode_record(d, record)) {
		case GOOD:
			break;
		case GONE:
			++*ret_gone;
			break;
		case SENSELESS:
			d->history->unreadable++;
			break;
		case NO_MEMORY:
			return ctask_fail(err, ENOMEM, "out of memory");
		}
	}
	return 0;
}

/* The records from @p first on; *ret_gone: those that lost what belongs to them. */
static int read_records(struct ctask_history_reader *r, uint64_t first, bool only_changed,
			struct copies *c, struct ctask_history *history, uint64_t *ret_gone,
			struct ctask_error *err)
{
	__attribute__((cleanup(decoder_fini))) struct decoder d = { .reader = r,
								    .history = history };
	int ret = read_head(r, err);

	if (!ret)
		ret = copy_records(r, first, only_changed, c, err);
	if (!ret)
		ret = read_head(r, err);
	if (!ret)
		ret = prepare(&d, oldest_side(c), err);
	if (!ret)
		ret = decode_all(&d, c, ret_gone, err);
	if (!ret)
		conclude(r, history);
	return ret;
}

int ctask_history_read_from(struct ctask_history_reader *r, uint64_t first_id,
			    struct ctask_history **ret_history, struct ctask_error *err)
{
	__attribute__((cleanup(copies_fini))) struct copies copies = { .open = UINT64_MAX };
	struct ctask_history *history = start_history(r);
	uint64_t gone;
	int ret;

	if (!history)
		return ctask_fail(err, ENOMEM, "out of memory");
	ret = read_records(r, first_id ? first_id : 1, false, &copies, history, &gone, err);
	if (ret) {
		ctask_history_destroy(history);
		return ret;
	}
	history->dropped = gone + r->header.lost_records;
	if (r->header.last_id > r->header.record_room)
		history->dropped += r->header.last_id - r->header.record_room;
	for (uint32_t i = 0; i < copies.torn_count; i++)
		history->unreadable += copies.torn[i] != 0;
	*ret_history = history;
	return 0;
}

int ctask_history_read(struct ctask_history_reader *r, struct ctask_history **ret_history,
		       struct ctask_error *err)
{
	return ctask_history_read_from(r, 1, ret_history, err);
}

/* --- what is new --- */

/* Remember what was handed out, and from where on there can be something new. */
static void note(struct ctask_history_reader *r, const struct copies *c, uint64_t gone)
{
	const uint64_t room = r->header.record_room, last = r->header.last_id;
	const uint64_t oldest =
		last > room ? last - room : 0; /* and all before it has fallen out */

	for (uint32_t i = 0; i < c->count; i++) {
		const struct ctask_record *record = &c->records[i];

		if (record->id <= last)
			r->seen[record->id % room] = (struct seen){ record->id, record->sequence };
	}
	r->open_from = c->open < c->last + 1 ? c->open : c->last + 1;
	r->again = false;
	for (uint32_t i = 0; i < c->torn_count; i++) {
		if (!c->torn[i])
			continue;
		r->again = true;
		if (c->torn[i] < r->open_from)
			r->open_from = c->torn[i];
	}
	if (r->has_told)
		r->missed += gone;
	if (oldest > r->told_through)
		r->missed += oldest - r->told_through;
	r->told_through = c->last > oldest ? c->last : oldest;
	r->told_changes = c->changes;
	r->has_told = true;
}

int ctask_history_read_changes(struct ctask_history_reader *r, struct ctask_history **ret_history,
			       struct ctask_error *err)
{
	__attribute__((cleanup(copies_fini))) struct copies copies = { .open = UINT64_MAX };
	struct ctask_history *history = start_history(r);
	uint64_t gone;
	int ret;

	if (!history)
		return ctask_fail(err, ENOMEM, "out of memory");
	ret = read_records(r, r->open_from, true, &copies, history, &gone, err);
	if (ret) {
		ctask_history_destroy(history);
		return ret;
	}
	note(r, &copies, gone);
	history->dropped = r->missed + (r->header.lost_records - r->lost_before);
	*ret_history = history;
	return 0;
}

int ctask_history_reader_changed(struct ctask_history_reader *r, struct ctask_error *err)
{
	int ret = read_head(r, err);

	if (ret)
		return ret;
	return !r->has_told || r->again || r->header.changes != r->told_changes;
}

/* --- births --- */

static int decode_birth(struct decoder *d, const struct ctask_birth *birth, struct ctask_error *err)
{
	struct ctask_birth_facts facts = {
		.task = birth->task,
		.time_us = birth->time_us,
		.creator = birth->creator,
		.frame = CTASK_NONE,
	};
	enum verdict verdict = birth->place ? frame(d, birth->place, &facts.frame) : GOOD;

	if (verdict == SENSELESS)
		facts.frame = CTASK_NONE;
	if (verdict == NO_MEMORY || ctask_history_add_birth(d->history, &facts))
		return ctask_fail(err, ENOMEM, "out of memory");
	return 0;
}

/* One that is being written is of a task that comes or goes. */
static bool is_living(const struct ctask_birth *first, const struct ctask_birth *second)
{
	return first->task && first->sequence % 2 == 0 &&
	       memcmp(first, second, sizeof(*first)) == 0;
}

int ctask_history_read_births(struct ctask_history_reader *r, struct ctask_history **ret_history,
			      struct ctask_error *err)
{
	__attribute__((cleanup(decoder_fini))) struct decoder d = { .reader = r };
	auto_free struct ctask_birth *copies = NULL;
	struct ctask_history *history;
	uint32_t used;
	int ret = read_head(r, err);

	if (ret)
		return ret;
	used = r->header.birth_used;
	copies = malloc((2 * (size_t)used + 1) * sizeof(*copies));
	d.history = history = start_history(r);
	if (!copies || !history)
		ret = ctask_fail(err, ENOMEM, "out of memory");
	/* Twice, as the records are. */
	for (size_t i = 0; i < 2 && !ret; i++)
		ret = read_bytes(r, r->header.births_at, copies + i * used, used * sizeof(*copies),
				 err);
	if (!ret)
		ret = prepare(&d, UINT64_MAX, err);
	for (uint32_t i = 0; i < used && !ret; i++) {
		if (is_living(&copies[i], &copies[used + i]))
			ret = decode_birth(&d, &copies[i], err);
	}
	if (ret) {
		ctask_history_destroy(history);
		return ret;
	}
	ctask_history_sort_births(history);
	conclude(r, history);
	*ret_history = history;
	return 0;
}
