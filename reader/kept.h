/* kept.h - histories that were recorded from outside, where a second ctaskctl finds them. */
#ifndef CTASK_READER_KEPT_H
#define CTASK_READER_KEPT_H

#include <stdint.h>
#include <sys/types.h>

#include "reader/history.h"

/*
 * A directory that only its owner can write into. While a process is recorded, a symbolic link in it leads to the
 * recorder's memory: "4242-1234567.now" -> /proc/RECORDER/fd/N, the numbers being the process's id and when it
 * started. After that there may be a copy: "4242-1234567.past". A link whose recorder was killed, the copy of a process that
 * has ended, and one that is 10 minutes old, are thrown away by whichever ctaskctl opens the directory next.
 */
struct ctask_kept;

/** The directory @p path, made with @p make. -errno; -EPERM when others may write into it. */
int ctask_kept_open(const char *path, bool make, struct ctask_kept **ret_kept);
/** NULL is fine. */
void ctask_kept_close(struct ctask_kept *kept);

/**
 * The history in our descriptor @p fd is recorded, of a process and from now on. Where another ctaskctl records the same
 * process already, its history is the one that is found.
 */
void ctask_kept_announce(const struct ctask_kept *kept, pid_t pid, uint64_t start_ticks, int fd);
/** No longer so. @p copy: what was recorded is of use to those who look at the process later. */
void ctask_kept_leave(const struct ctask_kept *kept, pid_t pid, uint64_t start_ticks, int fd,
		      bool copy);

/**
 * The history of process @p pid. *ret_goes_on: it is being recorded now. -ENOENT when there is none, else as
 * ctask_history_reader_open_file().
 */
int ctask_kept_find(const struct ctask_kept *kept, pid_t pid,
		    struct ctask_history_reader **ret_reader, bool *ret_goes_on,
		    struct ctask_error *err);

#endif
