/* pytask.h - the tasks that asyncio has in Python, beside those in C. */
#ifndef CTASK_AGENT_PYTASK_H
#define CTASK_AGENT_PYTASK_H

/**
 * Hook asyncio.tasks._PyTask, once: some programs put it in the place of Task.
 * Needs the GIL. Where it is not there, nothing happens.
 */
void ctask_pytask_hook(void);

#endif
