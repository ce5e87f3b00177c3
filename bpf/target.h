/* target.h - what to probe in a process, and what to tell the probes of its Python. */
#ifndef CTASK_BPF_TARGET_H
#define CTASK_BPF_TARGET_H

#include <linux/types.h>
#include <sys/types.h>

#include "bpf/events.h"
#include "reader/walk.h"

enum ctask_hook {
	CTASK_HOOK_CANCEL,
	CTASK_HOOK_UNCANCEL, /* 3.11 on */
	CTASK_HOOK_THROW,
	CTASK_HOOK_FREE,
	CTASK_HOOK_CANCELLING, /* 3.11 on */
	CTASK_HOOKS
};

/** A function in a mapped file. */
struct ctask_hook_place {
	uint64_t offset;	/**< in the file; 0 = this version has none */
	uint64_t device, inode; /**< as /proc/PID/maps tells them */
	char path[128];		/**< that leads us to the file while the process has it mapped */
};

/** What asyncio has at hand in a process. */
struct ctask_asyncio_facts {
	uint64_t cancelled_error; /**< the type */
	uint64_t current_tasks;	  /**< the dict, to 3.13; 0 = none */
	uint64_t threads_active;  /**< threading._active */
};

/**
 * Look at what @p walk was made for, through its live memory. -ENOTSUP when it has not
 * loaded asyncio, -EAGAIN when it is doing so; -EPROTO when something is not where it should be.
 */
int ctask_target_find(struct ctask_walk *walk, pid_t pid, struct ctask_probe_target *ret_target,
		      struct ctask_hook_place *ret_hooks, struct ctask_asyncio_facts *ret_facts,
		      struct ctask_error *err);

/** True when it has loaded asyncio, or begun to. */
bool ctask_target_has_asyncio(struct ctask_walk *walk);
/** The function that loads asyncio's tasks into any process with the same file. -errno when there is none. */
int ctask_target_loader(struct ctask_walk *walk, pid_t pid, struct ctask_hook_place *ret_place);

/** Call @p see for each of Python's threads: its pthread_self(), and what it is to Python. */
void ctask_target_threads(struct ctask_walk *walk,
			  void (*see)(void *arg, uint64_t ident, uint64_t tstate), void *arg);

/** Call @p see for each function of the modules that the table of origins is about. */
void ctask_target_functions(struct ctask_walk *walk,
			    void (*see)(void *arg, struct ctask_code *code), void *arg);

#endif
