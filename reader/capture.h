/* capture.h - from a process or a core file to a snapshot. */
#ifndef CTASK_READER_CAPTURE_H
#define CTASK_READER_CAPTURE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "model/error.h"
#include "model/snapshot.h"

/** For a process that looks at itself. It cannot stop itself by ptrace, but can bring its Python to a stand. */
struct ctask_capture_self {
	const int *tids; /**< threads that are no part of the picture: those that look */
	uint32_t tid_count;
	/** From here on no Python runs. -EBUSY when that cannot be had. */
	int (*hold)(void);
	/** Until here; false when it has gone on before. */
	bool (*let_go)(void);
};

struct ctask_capture_options {
	bool no_pause;	       /**< never stop the target */
	uint32_t max_pause_ms; /**< longest time to hold it, all stops together; 0 = the default */
	const struct ctask_capture_self *self; /**< NULL: the target is another process */
};

enum { CTASK_MAX_PAUSE_MS_DEFAULT = 100 };

/**
 * Take a picture of the async tasks of process @p pid (as this process sees
 * it). Reads the target's memory; stops it only where it gives no quiet
 * moment, and only if @p options allow it. Whatever happens, the target runs
 * on when this returns.
 *
 * On success the caller owns *ret_snap, which may be incomplete (see
 * ctask_snapshot_complete()). Fails with -ESRCH, -EPERM, -ENOTSUP,
 * -EOWNERDEAD as error.h says; -EBUSY when the target never rested and may
 * not be stopped, or not for long enough; else some other -errno.
 */
int ctask_capture_process(pid_t pid, const struct ctask_capture_options *options,
			  struct ctask_snapshot **ret_snap, struct ctask_error *err);

/**
 * The same from the ELF core file @p core. @p exe (may be NULL) is the main
 * executable, where the path in the core does not lead to it. Text and
 * read-only data, which a core leaves out, come from the files named in it.
 */
int ctask_capture_core(const char *core, const char *exe, struct ctask_snapshot **ret_snap,
		       struct ctask_error *err);

/** What can be told about a process at a glance. */
struct ctask_glance {
	char implementation[32]; /**< "CPython"; empty when it is no runtime that ctask knows */
	char version[32];	 /**< "3.13.5" */
	bool has_asyncio, has_trio;
	uint32_t task_count; /**< 0 when not counted */
};

/**
 * Look at @p pid without walking stacks or edges and without stopping it; the
 * count is that of an instant, but not proved. Same errors as
 * ctask_capture_process().
 */
int ctask_glance_process(pid_t pid, struct ctask_glance *ret_glance, struct ctask_error *err);

#endif
