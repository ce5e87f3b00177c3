/* record.h - record the cancellations of a process from outside: probes, and a thread that explains what they see. */
#ifndef CTASK_BPF_RECORD_H
#define CTASK_BPF_RECORD_H

#include <sys/types.h>

#include "model/error.h"

struct ctask_recorder;

/**
 * Attach to process @p pid. When this returns nothing is missed any more. -EPERM names the right that is
 * missing, -ENOSYS what the kernel lacks, -ENOTSUP what the process lacks, -ESRCH as elsewhere.
 */
int ctask_recorder_create(pid_t pid, struct ctask_recorder **ret_recorder, struct ctask_error *err);
/** Detach. NULL is fine. */
void ctask_recorder_destroy(struct ctask_recorder *recorder);
/** A descriptor of the history that it writes, as an agent's; the caller closes it. -errno. */
int ctask_recorder_history(const struct ctask_recorder *recorder);
/** Detach, and bring all that was seen until then into the history. That may take seconds, if there was much. */
void ctask_recorder_stop(struct ctask_recorder *recorder);

#endif
