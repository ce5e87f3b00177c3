/* requests.h - the requests whose outcome is not known yet, and how they end. */
#ifndef CTASK_AGENT_REQUESTS_H
#define CTASK_AGENT_REQUESTS_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/history.h"
#include "agent/python.h"
#include "model/asked.h"

/*
 * A request is open from the moment it is recorded until its task is done, or takes it back.
 * All need the GIL.
 */

/** Number of tasks with open requests: while it is 0 the other calls have nothing to do. */
extern uint32_t ctask_requests_tasks;

/** Make room for as many as the history holds. 0 or -errno. */
int ctask_requests_make(uint32_t room);
/** In a forked child. */
void ctask_requests_forget(void);

/** Record @p id, which was just put, asks @p task. The caller holds the lock. */
void ctask_requests_add(struct py_object *task, uint64_t id,
			const struct ctask_asking_block *block);
/** @p record is about to be overwritten. The caller holds the lock. */
void ctask_requests_evict(const struct ctask_record *record);
/** @p id, the newest, was no request after all. The caller holds the lock. */
void ctask_requests_drop(struct py_object *task, uint64_t id);

/** @p task is about to run: it now sees what was asked before. */
void ctask_requests_step(struct py_object *task);
/** @p task has run, and waits or is done: settle what can be settled. */
void ctask_requests_settle(struct py_object *task);
/** @p task is freed: what is still open will never be known. */
void ctask_requests_gone(struct py_object *task);

/**
 * @p task takes back the request that was made through @p scope; if none was,
 * and @p any: the newest. Its outcome is absorbed.
 */
void ctask_requests_absorb(struct py_object *task, const void *scope, bool any);

/** The open request that @p task is unwinding from, if it is unwinding; 0 when there is none. */
uint64_t ctask_requests_cause(struct py_object *task);
/** The newest open request to @p task, or 0. */
uint64_t ctask_requests_newest(struct py_object *task);
#endif
