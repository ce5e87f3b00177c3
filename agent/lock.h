/* lock.h - one lock for all that the agent keeps. */
#ifndef CTASK_AGENT_LOCK_H
#define CTASK_AGENT_LOCK_H

/*
 * The GIL alone does not guard the agent: subinterpreters may have one each (3.12 on).
 * Held only over plain memory work; nothing of Python is called meanwhile.
 */
void ctask_lock(void);
void ctask_unlock(void);
/** In a forked child: nobody holds it. */
void ctask_lock_renew(void);

#endif
