/* births.h - which slot of the history each living task has. */
#ifndef CTASK_AGENT_BIRTHS_H
#define CTASK_AGENT_BIRTHS_H

#include <ctask/history.h>

/* The caller holds the lock. */

/** Note @p task. Where there is no room, it is counted as lost. */
void ctask_births_add(const void *task, const struct ctask_birth *birth);
/** Forget @p task, if it was noted. */
void ctask_births_remove(const void *task);
/** In a forked child. */
void ctask_births_forget(void);

#endif
