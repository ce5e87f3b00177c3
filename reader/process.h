/* process.h - what the kernel tells about a process: identity, rights, threads, mappings. */
#ifndef CTASK_READER_PROCESS_H
#define CTASK_READER_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "model/error.h"
#include "model/snapshot.h"

/**
 * Check that @p pid is a process whose memory can be there at all. Fails with
 * -ESRCH (none, a zombie, or the id of a thread) or -ENOTSUP (a kernel thread).
 */
int ctask_process_check(pid_t pid, struct ctask_error *err);

/** The letter that the kernel gives the state of process or thread @p tid; 0 when there is none. */
char ctask_process_state(pid_t tid);

/** True when @p pid is on its way out: its memory may be gone before it is a zombie. */
bool ctask_process_is_exiting(pid_t pid);

/** When @p pid started, in clock ticks since boot; 0 when there is no such process. */
uint64_t ctask_process_start(pid_t pid);

/**
 * Which program @p pid runs: another number after an exec, whose stack begins at another, random address. 0 when that
 * is not to be had: it is ending, or we may not trace it.
 */
uint64_t ctask_process_image(pid_t pid);

/** Who a process is to itself and to us. */
struct ctask_process_ids {
	int32_t nspid; /**< in its innermost pid namespace */
	uid_t euid;    /**< its effective user, as we see it */
};

/** False when there is no such process. Needs no right over it. */
bool ctask_process_ids(pid_t pid, struct ctask_process_ids *ret);

/** False when @p pid is known to live in another time namespace than we. */
bool ctask_process_shares_clock(pid_t pid);

/** Fill @p ret with what can be read; fields that cannot stay unknown. Texts go to @p texts. */
int ctask_process_describe(pid_t pid, struct ctask_texts *texts, struct ctask_process *ret);

/**
 * Explain why the kernel refused to let us read @p pid: which right is missing
 * and what grants it. Always returns -EPERM (or -ESRCH when it has gone).
 */
int ctask_process_refused(pid_t pid, struct ctask_error *err);

/** Native ids of threads, outside and inside the process's own pid namespace. */
struct ctask_thread_ids {
	int32_t tid, nstid;
};

/** All threads of @p pid; the caller frees *ret_ids. */
int ctask_process_threads(pid_t pid, struct ctask_thread_ids **ret_ids, uint32_t *ret_count,
			  struct ctask_error *err);

/** A mapped file: where its first byte is, and what it is. */
struct ctask_mapping {
	uint64_t start, end; /**< of the first mapping, file offset 0 */
	uint64_t last_end;   /**< end of the last mapping of the same file */
	uint64_t device, inode;
	char *path; /**< as the target sees it, " (deleted)" removed */
	bool deleted;
};

/**
 * The ELF files that may hold a Python: each mapped file once, in the order of
 * the address space, likely ones (name contains "python") first. The caller
 * frees with ctask_mappings_free().
 */
int ctask_process_mappings(pid_t pid, struct ctask_mapping **ret_maps, uint32_t *ret_count,
			   struct ctask_error *err);
/** NULL is fine. */
void ctask_mappings_free(struct ctask_mapping *maps, uint32_t count);

/**
 * Open @p path for reading if it is a regular file. Anything else, whatever a
 * symbolic link leads to, is not so much as opened: that can do things (a tape
 * winds, a watchdog starts) or block. Returns a descriptor or -errno;
 * -ENOEXEC when it is no regular file. @p ret_stat may be NULL.
 */
int ctask_open_regular(const char *path, struct stat *ret_stat);

/**
 * Open the file behind @p map for reading: through the kernel's own link where
 * that is allowed, else below the target's root; a file that is not the mapped
 * one (by device and inode) is not opened. Returns a descriptor or -errno.
 */
int ctask_mapping_open(pid_t pid, const struct ctask_mapping *map);

#endif
