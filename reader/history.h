/* history.h - an agent's history of cancellations: from the bytes of its shared memory to plain data. */
#ifndef CTASK_READER_HISTORY_H
#define CTASK_READER_HISTORY_H

#include <sys/types.h>

#include "model/cancellation.h"
#include "model/error.h"
#include "reader/memory.h"

/**
 * Reads the memory that include/ctask/history.h describes, while its writer goes
 * on. Nothing of it is believed before it has been checked, and no more than a
 * multiple of its size is ever kept.
 */
struct ctask_history_reader;

/**
 * Find the history of process @p pid: through its descriptors, which also works
 * where its memory may not be read, else in its memory; the process may be
 * stopped. -ENOTSUP when there is no agent in it, -EPROTO when what is there is no
 * history of this version.
 */
int ctask_history_reader_open(pid_t pid, struct ctask_history_reader **ret_reader,
			      struct ctask_error *err);
/** The history in @p fd, which goes over to the reader, also on failure. @p pid: whose it is. */
int ctask_history_reader_open_file(int fd, pid_t pid, struct ctask_history_reader **ret_reader,
				   struct ctask_error *err);
/** The history at @p addr of @p memory, which stays the caller's; at most @p bytes of it are read. */
int ctask_history_reader_open_memory(struct ctask_memory *memory, uint64_t addr, uint64_t bytes,
				     pid_t pid, struct ctask_history_reader **ret_reader,
				     struct ctask_error *err);
/** The descriptor that it reads; -1 when it reads memory. */
int ctask_history_reader_file(const struct ctask_history_reader *reader);
/** NULL is fine. */
void ctask_history_reader_close(struct ctask_history_reader *reader);

/**
 * All that is there now; the caller destroys it. Records that nobody can make
 * sense of, or that were being written all the time, are counted as unreadable.
 */
int ctask_history_read(struct ctask_history_reader *reader, struct ctask_history **ret_history,
		       struct ctask_error *err);
/** The same without cancellations, but with where the living tasks were made. */
int ctask_history_read_births(struct ctask_history_reader *reader,
			      struct ctask_history **ret_history, struct ctask_error *err);
/** The cancellations from @p first_id on. */
int ctask_history_read_from(struct ctask_history_reader *reader, uint64_t first_id,
			    struct ctask_history **ret_history, struct ctask_error *err);
/**
 * The cancellations that are new, or changed, since the last call; the first call
 * gives all. Its dropped counts those that came and went since the reader was
 * opened without being seen.
 */
int ctask_history_read_changes(struct ctask_history_reader *reader,
			       struct ctask_history **ret_history, struct ctask_error *err);
/** 1 when ctask_history_read_changes() may have something to tell, 0 when not; costs one small read. */
int ctask_history_reader_changed(struct ctask_history_reader *reader, struct ctask_error *err);

#endif
