/* recorded.h - where this user's ctaskctl finds what another one records, or has recorded. */
#ifndef CTASK_CLI_RECORDED_H
#define CTASK_CLI_RECORDED_H

#include "model/snapshot.h"
#include "reader/kept.h"

/**
 * /run/ctaskctl of root, $XDG_RUNTIME_DIR/ctaskctl of others; made with @p make. NULL when there is no such
 * place: not an error.
 */
struct ctask_kept *ctask_recorded_open(bool make);
/**
 * The recording that @p reader reads has ended. While the process is there, what it is asked and has not done
 * yet is kept for those who look at it next.
 */
void ctask_recorded_leave(const struct ctask_kept *kept, struct ctask_history_reader *reader,
			  pid_t pid, uint64_t start_ticks);
/** Give @p snap, which has none, the history that was recorded of process @p pid, if there is one. -ENOMEM. */
int ctask_recorded_enrich(struct ctask_snapshot *snap, pid_t pid, struct ctask_error *err);

#endif
