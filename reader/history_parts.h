/* history_parts.h - what the files reader/history*.c share: bytes, copies of records, what they mean. */
#ifndef CTASK_READER_HISTORY_PARTS_H
#define CTASK_READER_HISTORY_PARTS_H

#include "reader/history.h"

/* What was handed out of a slot. */
struct ctask_record_seen {
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
	struct ctask_record_seen *seen;
	uint64_t told_changes;
	uint64_t told_through; /* newest record that was looked at, or was there at first */
	uint64_t open_from;    /* older ones have ended */
	uint64_t missed, lost_before;
	bool has_told, again;
};

/* --- history_open.c --- */

/** Read @p len bytes, which the caller knows to be inside r->bytes. 0, or -errno with @p err set. */
int ctask_history_bytes(struct ctask_history_reader *r, uint64_t offset, void *to, size_t len,
			struct ctask_error *err);

/** Read the part of the header that changes, and check it. 0, or -errno with @p err set. */
int ctask_history_head(struct ctask_history_reader *r, struct ctask_error *err);

/* --- history_copy.c --- */

/* Copies of records that are whole. */
struct ctask_record_copies {
	struct ctask_record *records;
	uint32_t count, room;
	uint64_t *torn; /* ids of slots that did not hold still, 0 = it did later */
	uint32_t torn_count, torn_room;
	uint64_t last, changes; /* as the header had them before */
	uint64_t open;		/* the oldest record whose outcome can still change */
};

void ctask_record_copies_fini(struct ctask_record_copies *c);

/**
 * Copy the records from id @p first on, in the order of their ids; with @p only_changed those that
 * were not handed out as they are. The header was read just before. 0, or -errno with @p err set.
 */
int ctask_record_copies_take(struct ctask_history_reader *r, uint64_t first, bool only_changed,
			     struct ctask_record_copies *c, struct ctask_error *err);

/** The oldest byte of the side ring that they speak of; UINT64_MAX when they speak of none. */
uint64_t ctask_record_copies_oldest(const struct ctask_record_copies *c);

/* --- history_decode.c --- */

/* Makes records into a history. Begin with { .reader, .history }. */
struct ctask_decoder {
	struct ctask_history_reader *reader;
	struct ctask_history *history;
	char *side;	      /* a copy of the ring, byte for byte where it was */
	uint64_t side_oldest; /* what lies before is overwritten */
	uint64_t side_head;
	ctask_text *texts;   /* of words, by their offsets; NULL = not made yet */
	uint32_t *frames;    /* of places; CTASK_NONE = not made yet */
	uint64_t bytes_left; /* that texts and stacks may still take */
};

void ctask_decoder_fini(struct ctask_decoder *d);

/**
 * Read what records speak of: the side ring from @p side_from on, places, words. After the records
 * were copied, so that all of it is there. 0, or -errno with @p err set.
 */
int ctask_decoder_start(struct ctask_decoder *d, uint64_t side_from, struct ctask_error *err);

/**
 * Add the records to the history; those that make no sense are counted there. @p ret_gone: how many
 * have lost what belongs to them. 0, or -ENOMEM with @p err set.
 */
int ctask_decode_records(struct ctask_decoder *d, const struct ctask_record_copies *c,
			 uint64_t *ret_gone, struct ctask_error *err);

/** Add one birth to the history. 0, or -ENOMEM with @p err set. */
int ctask_decode_birth(struct ctask_decoder *d, const struct ctask_birth *birth,
		       struct ctask_error *err);

#endif
