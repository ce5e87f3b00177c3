/* writer.h - write the memory that include/ctask/history.h describes. */
#ifndef CTASK_MODEL_WRITER_H
#define CTASK_MODEL_WRITER_H

#include <ctask/history.h>
#include <stdbool.h>
#include <stddef.h>

/* Plain memory: nothing here allocates or locks. One thread at a time; any number of readers meanwhile. */

/** A history that is being written. */
struct ctask_writer {
	struct ctask_history_header *header; /**< NULL while there is none */
	struct ctask_record *records;
	struct ctask_place *places;
	struct ctask_birth *births;
	char *side, *words;
	int fd; /**< of its file; -1 = none */
};

/** Where everything lies in a history of @p bytes, @p birth_room births not counted: ret->file_bytes is how large it is. */
void ctask_writer_plan(struct ctask_history_header *ret, size_t bytes, uint32_t birth_room);
/** Begin in zeroed memory of plan->file_bytes, whose file is @p fd; both are borrowed. */
void ctask_writer_begin(struct ctask_writer *writer, void *memory, int fd,
			const struct ctask_history_header *plan);
/** Its header is filled in: from now on it is a history to those who look at it. */
void ctask_writer_show(struct ctask_writer *writer);

/** Keep @p len bytes, and the text @p end, in the side ring; returns their offset, 0 when they are too long. */
uint64_t ctask_writer_side(struct ctask_writer *writer, const void *bytes, size_t len,
			   const char *end);
/** Keep a text for good and return where; 0 (the empty text) when there is no room. */
uint32_t ctask_writer_word(struct ctask_writer *writer, const char *text, size_t len);
/** Keep a place; 0 when there is no room. */
uint32_t ctask_writer_place(struct ctask_writer *writer, const struct ctask_place *place);

/** The slot of record @p id, or NULL when it was overwritten. */
struct ctask_record *ctask_writer_record(const struct ctask_writer *writer, uint64_t id);
/** Fill the slot of @p record->id, which must be the next one. */
void ctask_writer_put(struct ctask_writer *writer, const struct ctask_record *record);
/* The same in two steps: the slot first, which nobody looks at before it is shown. */
void ctask_writer_fill(struct ctask_writer *writer, const struct ctask_record *record);
/** Show the records up to @p id. */
void ctask_writer_show_through(struct ctask_writer *writer, uint64_t id);
/** Take back record @p id, which turned out to be none. */
void ctask_writer_take_back(struct ctask_writer *writer, uint64_t id);

/* Change a record in place: between these two. */
void ctask_writer_change(struct ctask_record *record);
void ctask_writer_changed(struct ctask_writer *writer, struct ctask_record *record);

#endif
