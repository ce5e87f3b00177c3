/* history.h - a history like an agent's, so that nobody after it knows the difference. */
#ifndef CTASK_BPF_HISTORY_H
#define CTASK_BPF_HISTORY_H

#include "model/error.h"
#include "model/writer.h"
#include "reader/table.h"

/** One writer. */
struct ctask_bpf_history {
	struct ctask_writer writer;
	struct ctask_history_header *header;	      /* of writer; NULL = none */
	int fd;					      /* of writer; -1 = none */
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

#endif
