/* hold.h - the lock of the interpreter that we are in. */
#ifndef CTASK_AGENT_TREE_HOLD_H
#define CTASK_AGENT_TREE_HOLD_H

#include "reader/capture.h"

/**
 * Take the interpreter's lock: then no Python runs in this process. For a thread that Python does not
 * know; it may wait for as long as somebody else keeps the lock. -EBUSY when
 * there is none to be had: Python is ending, was not found, or has interpreters
 * with locks of their own. @p may_hold is asked before (and may be NULL).
 */
int ctask_hold_take(int (*may_hold)(void));
void ctask_hold_let_go(void);

#endif
