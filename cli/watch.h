/* watch.h - the answer of `ctaskctl cancels`: what there is of one process, or what comes, of it or of all. */
#ifndef CTASK_CLI_WATCH_H
#define CTASK_CLI_WATCH_H

#include <sys/types.h>

#include "bpf/host.h"
#include "bpf/record.h"
#include "cli/tell.h"
#include "reader/kept.h"

/** What is asked of `ctaskctl cancels`. */
struct ctask_watch {
	struct ctask_telling telling;
	int64_t duration_us; /**< 0: until SIGINT, SIGTERM, or the end of the process */
	/* Of one process. */
	pid_t pid;
	struct ctask_recorder *recorder; /**< that writes the history; NULL: an agent does */
	const struct ctask_process *process;
	ctask_text container; /**< or NULL */
};

/** Print what is there, then what comes, until it is over. Returns the exit status. */
int ctask_watch_follow(struct ctask_history_reader *reader, const struct ctask_watch *watch);
/** Print what is there. Returns the exit status. */
int ctask_watch_once(struct ctask_history_reader *reader, const struct ctask_watch *watch);
/**
 * Print what comes of all processes that @p host follows. What is recorded is announced
 * in @p kept (may be NULL). Returns the exit status.
 */
int ctask_watch_host(struct ctask_host *host, const struct ctask_kept *kept,
		     const struct ctask_watch *watch);

/* What both ways to follow share. */

/** SIGINT and SIGTERM end the waiting from now on, and nothing else. */
void ctask_watch_catch_signals(sigset_t *ret_unblocked);
/** CLOCK_MONOTONIC. */
int64_t ctask_watch_now_us(void);
/**
 * Wait a moment, no longer than to @p end_us (0 = no end), or until @p pidfd (-1 = none) becomes readable. False when it
 * is over: time is up, a signal came, or nobody reads what we print.
 */
bool ctask_watch_wait(int pidfd, int64_t end_us, const sigset_t *unblocked);
/** The exit status of an answer that lacks @p unreadable records; says so on stderr. */
int ctask_watch_status(uint64_t unreadable);

#endif
