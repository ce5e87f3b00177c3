/* descriptor.h - the agent's own files, kept apart from those of the program. */
#ifndef CTASK_AGENT_DESCRIPTOR_H
#define CTASK_AGENT_DESCRIPTOR_H

#include <stdbool.h>
#include <stdint.h>

/*
 * A program may close all its files, or close 0 and rely on the next open()
 * to return 0. Therefore the service thread has a table of files of its
 * own where the kernel gives it one (5.9 on, or where unshare() is allowed): then neither sees
 * the other's. Where not, the agent's numbers are high ones, and before each
 * use it is checked that the number still leads to the same file.
 */

/** A file of the agent's. All zero: none. */
struct ctask_own {
	int number; /**< +1: 0 is none */
	uint64_t device, inode;
};

/**
 * Give the calling thread a table of files of its own, in which there are only
 * @p keep (or none, when negative) and /dev/null as 0, 1 and 2. False where it cannot be had: then
 * nothing has changed.
 */
bool ctask_own_table(int keep);
/**
 * In a forked child, or after the end of that thread: that table is gone, or never was here. False when
 * there was none, and the agent's files are among the program's. Async-signal-safe.
 */
bool ctask_own_forget_table(void);

/** Take over @p fd, under a high number; @p fd itself is closed or kept as @p own. False when it is no file. */
bool ctask_own_take(struct ctask_own *own, int fd);
/** A second descriptor of the file @p fd, which stays the caller's. */
bool ctask_own_copy(struct ctask_own *own, int fd);
/** The number, or -1 when there is none or it leads to another file by now: then @p own is emptied. */
int ctask_own_fd(struct ctask_own *own);
/** Close it if it is still ours. Async-signal-safe. */
void ctask_own_close(struct ctask_own *own);

#endif
