/* serve.h - one thread that sleeps until somebody asks. */
#ifndef CTASK_AGENT_SERVE_H
#define CTASK_AGENT_SERVE_H

#include <ctask/history.h>
#include <stdbool.h>

/**
 * Begin to serve @p history (header at the start of its mapping), whose memfd is
 * @p fd. Called with the interpreter's lock, once per process; again in a forked child after
 * ctask_serve_forget(). The socket is made by the thread, soon: then its path stands in
 * the history. Never fails visibly: 0 or -errno.
 */
int ctask_serve_start(struct ctask_history_header *history, int fd);
/**
 * In a forked child: the thread, the socket and the clients are the parent's. Closes
 * what was inherited of them, if it still is that. Async-signal-safe.
 */
void ctask_serve_forget(void);
/** At exit of the process: unlink the socket, if this process made it. */
void ctask_serve_end(void);

/**
 * From 3.12 on Python warns when a process that forks has more than one thread, by the kernel's count.
 * Called before such a fork: the thread ends if nobody is being served. True when it did: then call
 * ctask_serve_start() again afterwards in the parent, once Python has had its look. Takes 0.1 ms,
 * and 50 ms at most.
 */
bool ctask_serve_step_aside(void);

#endif
