/* hold.h - a moment in which no Python runs in the process that we are in. */
#ifndef CTASK_AGENT_TREE_HOLD_H
#define CTASK_AGENT_TREE_HOLD_H

#include <stdbool.h>

/**
 * Bring Python to a stand: for a thread that Python does not know, one at a time. First its main
 * thread is asked to stand still of itself, at the next instruction; where that thread is
 * elsewhere, the interpreter's lock is taken, which waits for as long as somebody keeps it.
 * -EBUSY when neither is to be had: Python is ending, was not found, or has
 * interpreters with locks of their own. @p may_hold is asked before.
 */
int ctask_hold_take(int (*may_hold)(void));
/** False when Python has gone on meanwhile: it stands still for 200 ms at most. */
bool ctask_hold_let_go(void);

#endif
