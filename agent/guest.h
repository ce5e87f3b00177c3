/* guest.h - the agent's life in a process: when it begins to record, forks, the end. */
#ifndef CTASK_AGENT_GUEST_H
#define CTASK_AGENT_GUEST_H

#include <stdbool.h>

#include "agent/python.h"

enum ctask_guest_state { CTASK_GUEST_NEW, CTASK_GUEST_READY, CTASK_GUEST_REFUSED };

extern enum ctask_guest_state ctask_guest_state;
/**
 * This thread is inside of fork(). Other libraries' handlers may run Python code before ours has let
 * go of the parent's history: nothing is noted meanwhile.
 */
extern __thread bool ctask_guest_forks __attribute__((tls_model("initial-exec")));
/** The thread that serves stepped aside for a fork. */
extern bool ctask_guest_serves_again;

/** Begin, at the first task or loop of this process. Needs the GIL. */
bool ctask_guest_begin(void);

/** Let it serve again. */
void ctask_guest_serve(void);

/** asyncio was imported, and is known. */
extern bool ctask_guest_knows_asyncio;
/** Get to know it, where only trio was there when the agent began. Needs the GIL. */
bool ctask_guest_meet_asyncio(void);

/** True when the agent records in this process. */
static inline bool ctask_guest_is_ready(void)
{
	return ctask_guest_state == CTASK_GUEST_READY && !ctask_guest_forks;
}

/**
 * True when the agent records what this thread does, be it on asyncio or trio; begins if that has not been
 * tried. It records the main interpreter of a process: asyncio's types are others in each. Needs the GIL.
 */
static inline bool ctask_guest_records(void)
{
	if (__builtin_expect(ctask_guest_forks, false))
		return false;
	if (__builtin_expect(ctask_guest_serves_again, false))
		ctask_guest_serve();
	if (ctask_guest_is_ready())
		return ctask_py.interpreter_now() == ctask_py.interpreter &&
		       !ctask_py.is_finalizing();
	return ctask_guest_state == CTASK_GUEST_NEW && ctask_guest_begin();
}

/** Another interpreter of the process has asked a task to stop: it is not recorded, but counted. Needs its GIL. */
void ctask_guest_missed(void);

/** The same, where it is asyncio's tasks that are at work. */
static inline bool ctask_guest_ready(void)
{
	return ctask_guest_records() && (ctask_guest_knows_asyncio || ctask_guest_meet_asyncio());
}

#endif
