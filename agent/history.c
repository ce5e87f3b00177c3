/* history.c - write the shared memory that include/ctask/history.h describes. */
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
	AREA = 64,	/* areas begin at multiples of this */
	SIDE_ALIGN = 8, /* so do entries of the side ring of this */
	BIRTH_ROOM = 1 << 17,
	PLACE_BYTES_SHARE =
		32, /* places get 1/32 of the budget, words 1/16, side 1/4, records the rest */
	WORD_BYTES_SHARE = 16,
	SIDE_BYTES_SHARE = 4,
	SIDE_ENTRY_MAX = 1 << 14,
	FIRST_DESCRIPTOR = 900, /* out of the way of programs that count on low numbers */
	MICRO = 1000000,
};

struct ctask_writer ctask_writer = { .fd = -1 };

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

static uint64_t round_up(uint64_t bytes)
{
	return (bytes + AREA - 1) / AREA * AREA;
}

static uint32_t power_of_two_below(size_t bytes)
{
	uint32_t power = 1;

	while ((size_t)power * 2 <= bytes && power < 1u << 30)
		power *= 2;
	return power;
}

static void lay_out(struct ctask_history_header *h, size_t bytes)
{
	uint64_t at = round_up(sizeof(*h));

	h->version = CTASK_HISTORY_VERSION;
	h->header_bytes = sizeof(*h);
	h->record_bytes = sizeof(struct ctask_record);
	h->place_bytes = sizeof(struct ctask_place);
	h->birth_bytes = sizeof(struct ctask_birth);
	h->side_bytes = power_of_two_below(bytes / SIDE_BYTES_SHARE);
	h->word_bytes = (uint32_t)(bytes / WORD_BYTES_SHARE);
	h->place_room = (uint32_t)(bytes / PLACE_BYTES_SHARE / sizeof(struct ctask_place));
	h->birth_room = BIRTH_ROOM;
	h->side_at = at;
	at = round_up(at + h->side_bytes);
	h->words_at = at;
	at = round_up(at + h->word_bytes);
	h->places_at = at;
	at = round_up(at + (uint64_t)h->place_room * sizeof(struct ctask_place));
	h->records_at = at;
	h->record_room = (uint32_t)((bytes - at) / sizeof(struct ctask_record));
	h->births_at = round_up(at + (uint64_t)h->record_room * sizeof(struct ctask_record));
	h->file_bytes = h->births_at + (uint64_t)h->birth_room * sizeof(struct ctask_birth);
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
	struct ctask_history_header plan = { .magic = "" }, *h;
	struct stat st;
	int fd;

	if (bytes < CTASK_HISTORY_BYTES_MIN)
		bytes = CTASK_HISTORY_BYTES_MIN;
	lay_out(&plan, bytes);
	fd = make_file(plan.file_bytes);
	if (fd < 0)
		return fd;
	h = mmap(NULL, plan.file_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (h == MAP_FAILED) {
		int ret = -errno;

		close(fd);
		return ret;
	}
	*h = plan;
	h->nspid = getpid();
	h->start_ticks = ctask_start_ticks("/proc/self/stat");
	h->since_us = ctask_now_us();
	h->side_head = SIDE_ALIGN;
	h->place_count = 1; /* 0 is no place, … */
	h->word_used = 1;   /* … and no word */
	strncpy(h->python_version, python_version, sizeof(h->python_version) - 1);
	ctask_writer = (struct ctask_writer){
		.records = (void *)((char *)h + h->records_at),
		.places = (void *)((char *)h + h->places_at),
		.births = (void *)((char *)h + h->births_at),
		.side = (char *)h + h->side_at,
		.words = (char *)h + h->words_at,
		.fd = fd,
	};
	if (!ctask_fstat(fd, &st)) {
		ctask_writer.device = st.st_dev;
		ctask_writer.inode = st.st_ino;
	}
	__atomic_thread_fence(__ATOMIC_RELEASE);
	memcpy(h->magic, CTASK_HISTORY_MAGIC, sizeof(h->magic));
	ctask_writer.header = h;
	return 0;
}

void ctask_history_forget(void)
{
	struct ctask_history_header *h = ctask_writer.header;
	struct stat st;

	/* The program may have closed the descriptor, and given the number to something else. */
	if (h && !ctask_fstat(ctask_writer.fd, &st) && st.st_ino == ctask_writer.inode &&
	    st.st_dev == ctask_writer.device)
		close(ctask_writer.fd);
	if (h)
		munmap(h, h->file_bytes);
	ctask_writer = (struct ctask_writer){ .fd = -1 };
}

/* --- texts and places --- */

uint64_t ctask_side_put(const void *bytes, size_t len, const char *end)
{
	struct ctask_history_header *h = ctask_writer.header;
	uint64_t at = h->side_head, room = h->side_bytes;
	uint32_t length = (uint32_t)(len + strlen(end));
	uint64_t need =
		(CTASK_SIDE_LENGTH_BYTES + length + SIDE_ALIGN - 1) / SIDE_ALIGN * SIDE_ALIGN;

	if (len > SIDE_ENTRY_MAX)
		return 0;
	if (at % room + need > room) /* in one piece: at the start of the ring */
		at += room - at % room;
	/* The head moves first: a reader that sees the old bytes go also sees that they are gone. */
	__atomic_store_n(&h->side_head, at + need, __ATOMIC_SEQ_CST);
	memcpy(ctask_writer.side + at % room, &length, sizeof(length));
	memcpy(ctask_writer.side + at % room + CTASK_SIDE_LENGTH_BYTES, bytes, len);
	memcpy(ctask_writer.side + at % room + CTASK_SIDE_LENGTH_BYTES + len, end, length - len);
	return at;
}

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

uint32_t ctask_word_put(const char *text, size_t len)
{
	struct ctask_history_header *h = ctask_writer.header;
	uint32_t at = h->word_used;

	if (len >= h->word_bytes - at) {
		h->lost_places++;
		return 0;
	}
	memcpy(ctask_writer.words + at, text, len);
	ctask_writer.words[at + len] = '\0';
	__atomic_store_n(&h->word_used, at + (uint32_t)len + 1, __ATOMIC_RELEASE);
	return at;
}

uint32_t ctask_place_put(const struct ctask_place *place)
{
	struct ctask_history_header *h = ctask_writer.header;
	uint32_t at = h->place_count;

	if (at >= h->place_room) {
		h->lost_places++;
		return 0;
	}
	ctask_writer.places[at] = *place;
	__atomic_store_n(&h->place_count, at + 1, __ATOMIC_RELEASE);
	return at;
}

/* --- records --- */

static struct ctask_record *slot_of(uint64_t id)
{
	return &ctask_writer.records[id % ctask_writer.header->record_room];
}

struct ctask_record *ctask_record_at(uint64_t id)
{
	struct ctask_record *record = slot_of(id);

	return id && record->id == id ? record : NULL;
}

void ctask_record_begin(struct ctask_record *record)
{
	__atomic_store_n(&record->sequence, record->sequence | 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void ctask_record_end(struct ctask_record *record)
{
	__atomic_thread_fence(__ATOMIC_RELEASE);
	__atomic_store_n(&record->sequence, record->sequence + 1, __ATOMIC_RELEASE);
	__atomic_add_fetch(&ctask_writer.header->changes, 1, __ATOMIC_RELEASE);
}

void ctask_record_put(const struct ctask_record *record)
{
	struct ctask_record *slot = slot_of(record->id);
	uint32_t sequence;

	ctask_record_begin(slot);
	sequence = slot->sequence;
	*slot = *record;
	slot->sequence = sequence;
	ctask_record_end(slot);
	__atomic_store_n(&ctask_writer.header->last_id, record->id, __ATOMIC_RELEASE);
}

void ctask_record_take_back(uint64_t id)
{
	struct ctask_history_header *h = ctask_writer.header;
	struct ctask_record *slot =
		h ? ctask_record_at(id) : NULL; /* a child of fork() has none yet */

	if (!slot)
		return;
	ctask_record_begin(slot);
	slot->id = 0;
	ctask_record_end(slot);
	if (h->last_id == id)
		__atomic_store_n(&h->last_id, id - 1, __ATOMIC_RELEASE);
}

/* --- births --- */

uint32_t ctask_birth_put(const struct ctask_birth *birth)
{
	struct ctask_history_header *h = ctask_writer.header;
	uint32_t at = ctask_writer.free_births;
	struct ctask_birth *slot;

	if (at) {
		slot = &ctask_writer.births[at - 1];
		ctask_writer.free_births = slot->place;
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
	birth->place = ctask_writer.free_births;
	__atomic_store_n(&birth->sequence, birth->sequence + 1, __ATOMIC_RELEASE);
	ctask_writer.free_births = slot;
}
