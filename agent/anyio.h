/* anyio.h - anyio on asyncio: its scopes ask tasks to stop by cancel(), again and again. */
#ifndef CTASK_AGENT_ANYIO_H
#define CTASK_AGENT_ANYIO_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/python.h"

/* All need the GIL. */

/** Hook anyio's scopes, if it is imported and they are not hooked yet. At next to no cost while it is not. */
void ctask_anyio_look(void);
/**
 * cancel() of @p target is called. True when it is a scope of anyio's that calls it: then this records
 * whatever is to be recorded, and *ret_id is the request, or 0.
 */
bool ctask_anyio_asks(struct py_object *target, uint64_t *ret_id);
/** True for the text that anyio makes up for a task's cancel(). */
bool ctask_anyio_wrote(struct py_object *message);
/** Number of tasks that wait for the children of a group whose scope they have left. */
extern uint32_t ctask_anyio_waiting;
/** @p task, which was freed, waits no more. */
void ctask_anyio_freed(const void *task);
/** @p task has run: if it is done, so are the requests of scopes. It need not be alive any more. */
void ctask_anyio_settle(struct py_object *task);

#endif
