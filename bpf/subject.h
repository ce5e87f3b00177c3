/* subject.h - one process that is recorded: its memory, who explains it, and the history that comes of it. */
#ifndef CTASK_BPF_SUBJECT_H
#define CTASK_BPF_SUBJECT_H

#include <sys/types.h>

#include "bpf/history.h"
#include "bpf/resolve.h"
#include "bpf/target.h"

struct ctask_subject {
	pid_t pid;
	struct ctask_memory *live; /* borrowed by gate */
	struct ctask_memory *gate; /* the same until it is closed */
	int image;		   /* the memory of the program that it runs now, and no other */
	struct ctask_photo *photo;
	struct ctask_pages pages;
	struct ctask_python python;
	struct ctask_snapshot *snap;
	struct ctask_walk walk;
	bool walk_ready, pages_ready;

	/* Of ctask_subject_begin(). */
	struct ctask_probe_target target;
	struct ctask_hook_place hooks[CTASK_HOOKS];
	struct ctask_asyncio_facts asyncio;
	struct ctask_bpf_history history;
	struct ctask_resolver *resolver; /**< NULL before */
};

/** Look for the Python in process @p pid. -ENOTSUP when there is none; errors as those of the reader. */
int ctask_subject_create(pid_t pid, struct ctask_subject **ret_subject, struct ctask_error *err);
/**
 * The same of process @p pid that was forked from @p parent, of which ctask_subject_begin() knows all: its child has
 * the same at the same addresses. *ret_subject has begun too. -ESRCH when it has ended.
 */
int ctask_subject_fork(const struct ctask_subject *parent, pid_t pid, size_t history_bytes,
		       struct ctask_subject **ret_subject, struct ctask_error *err);
/** NULL is fine. */
void ctask_subject_destroy(struct ctask_subject *subject);

/** False when the process has ended, or runs another program by now. */
bool ctask_subject_is_there(const struct ctask_subject *subject);
/** True when it has loaded asyncio, or begun to. */
bool ctask_subject_has_asyncio(struct ctask_subject *subject);
/**
 * Find what to probe, and begin a history of at most @p history_bytes. Errors as of ctask_target_find(),
 * and -ENOMEM; after -EAGAIN it can be tried again.
 */
int ctask_subject_begin(struct ctask_subject *subject, size_t history_bytes,
			struct ctask_error *err);
/** Say in the history since when it is, microseconds since the epoch. */
void ctask_subject_since(struct ctask_subject *subject, int64_t since_us);
/** Call @p put for the functions that mean something, and what is to be followed in them. */
void ctask_subject_codes(struct ctask_subject *subject,
			 void (*put)(void *arg, uint64_t addr, const struct ctask_probe_code *code),
			 void *arg);
/** The process is not what it was: its open requests end nobody knows how, and so does the history. Once is enough. */
void ctask_subject_end(struct ctask_subject *subject);

#endif
