/* history.h - write a history as include/ctask/history.h describes it: the same that an agent writes. */
#ifndef CTASK_BPF_HISTORY_H
#define CTASK_BPF_HISTORY_H

#include <ctask/history.h>
#include <stddef.h>
#include <stdint.h>

#include "model/error.h"
#include "reader/table.h"

/** One writer. */
struct ctask_bpf_history {
	int fd; /**< -1 = none */
	struct ctask_history_header *header;
	struct ctask_record *records;
	struct ctask_place *places;
	char *side, *words;
	struct ctask_table known_words, known_places; /* hash -> word; key of the caller -> place */
};

int ctask_bpf_history_init(struct ctask_bpf_history *history, size_t bytes,
			   struct ctask_error *err);
void ctask_bpf_history_fini(struct ctask_bpf_history *history);

/** A text among the words, once. 0 for NULL, and when there is no room. */
uint32_t ctask_bpf_word(struct ctask_bpf_history *history, const char *text);
/** A place, once for each @p key (not 0). */
uint32_t ctask_bpf_place(struct ctask_bpf_history *history, uint64_t key,
			 const struct ctask_place *place);
/** Bytes in the side ring. */
uint64_t ctask_bpf_side(struct ctask_bpf_history *history, const void *bytes, size_t len);
/** The record @p id, or NULL when it fell out. */
struct ctask_record *ctask_bpf_record(struct ctask_bpf_history *history, uint64_t id);
/** Round each change of a record. */
void ctask_bpf_record_begin(struct ctask_record *record);
void ctask_bpf_record_end(struct ctask_bpf_history *history, struct ctask_record *record);
/** Add a record, whose id is that of the newest plus 1. */
void ctask_bpf_record_put(struct ctask_bpf_history *history, const struct ctask_record *record);

#endif
