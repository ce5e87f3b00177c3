/* host.h - record the cancellations of every process of the host, those that begin later too. */
#ifndef CTASK_BPF_HOST_H
#define CTASK_BPF_HOST_H

#include <sys/types.h>

#include "model/cancellation.h"
#include "model/error.h"
#include "reader/history.h"

struct ctask_host;

enum ctask_host_event {
	CTASK_HOST_FOLLOWED, /**< a process is, from now on */
	CTASK_HOST_ENDED,    /**< one that was: nothing more comes of it */
	CTASK_HOST_LEFT_OUT, /**< a process that has asyncio cannot be: why says so */
};

struct ctask_host_news {
	enum ctask_host_event event;
	uint32_t
		number; /**< of the process in this recording, from 1; an id may come again, this does not */
	pid_t pid;
	uint64_t start_ticks; /**< when the process started */
	enum ctask_cancellation_source source;
	struct ctask_history_reader *reader; /**< FOLLOWED: becomes the caller's */
	/** FOLLOWED: calls of cancel() that the process made before, -1 = not known. */
	int64_t missed;
	char why[512];
};

/**
 * Follow the processes of this host that have asyncio: through the agent where there is one, else by probes.
 * When this returns nothing of those that are there is missed any more. -EPERM names the right that
 * is missing, -ENOSYS what the kernel lacks.
 */
int ctask_host_create(struct ctask_host **ret_host, struct ctask_error *err);
/** Detach. NULL is fine. */
void ctask_host_destroy(struct ctask_host *host);
/** The oldest news that was not given yet. False when there are none. */
bool ctask_host_next(struct ctask_host *host, struct ctask_host_news *ret_news);
/** Requests that were seen, and could not be recorded in the history of any process. */
uint64_t ctask_host_lost(const struct ctask_host *host);
/** Processes that we had no right to look into. */
uint32_t ctask_host_refused(const struct ctask_host *host);
/** Detach, and bring all that was seen until then into the histories. That may take seconds, if there was much. */
void ctask_host_stop(struct ctask_host *host);

#endif
