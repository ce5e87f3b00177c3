/* probes.h - the programs in the kernel: load them, attach them, tell them what to look for, take what they send. */
#ifndef CTASK_BPF_PROBES_H
#define CTASK_BPF_PROBES_H

#include <stdbool.h>
#include <sys/types.h>

#include "bpf/photo.h"
#include "bpf/refusal.h"
#include "bpf/target.h"

struct ctask_probes;

/** @p event was checked to be whole, and is there during the call only. */
typedef void ctask_probes_take(void *arg, const struct ctask_probe_event *event);

/**
 * Load them, for one process or for all. -EPERM names the right that is missing, -ENOSYS what the
 * kernel lacks.
 */
int ctask_probes_create(bool all, ctask_probes_take *take, void *arg,
			struct ctask_probes **ret_probes, struct ctask_error *err);
/** Detach and unload. NULL is fine; what ctask_build_attach() made must be gone. */
void ctask_probes_destroy(struct ctask_probes *probes);
/** Of all processes: begin to tell when one becomes another program or ends. Errors as above. */
int ctask_probes_watch_processes(struct ctask_probes *probes, struct ctask_error *err);

/** What to look for in process @p pid; in a recording of one process, that one. -errno. */
int ctask_probes_set(struct ctask_probes *probes, pid_t pid,
		     const struct ctask_probe_target *target);
/** False when nothing is looked for in process @p pid. */
bool ctask_probes_get(struct ctask_probes *probes, pid_t pid, struct ctask_probe_target *ret);
void ctask_probes_unset(struct ctask_probes *probes, pid_t pid);
/** Code at @p addr means something. */
void ctask_probes_code(struct ctask_probes *probes, uint64_t addr,
		       const struct ctask_probe_code *code);
/** The thread whose pthread_self() is @p ident is @p tstate to Python. */
void ctask_probes_thread(struct ctask_probes *probes, uint64_t ident, uint64_t tstate);
/** Calls of cancel() in a process that nothing was set for, seen by the probes of @p build (0: of any); then forget them. */
uint64_t ctask_probes_unready(struct ctask_probes *probes, pid_t pid, uint64_t build);

/**
 * Take what has come, and wait for it so long, in ms, if there is nothing. True when there may be more: at
 * most some thousands are taken at once, however fast they come.
 */
bool ctask_probes_poll(struct ctask_probes *probes, int ms);
/** Events that found no room or make no sense. */
uint64_t ctask_probes_lost(const struct ctask_probes *probes);

/** As ctask_refusal(), with what the kernel has said lately. */
int ctask_probes_refused(enum ctask_probe_step step, int code, struct ctask_error *err);

/** The files of one Python, with probes in them. */
struct ctask_build;

/**
 * Attach to @p hooks, in process @p pid, or with @p number (not 0) in every process; @p load, or NULL: what
 * tells that a process begins to have asyncio. Probes on what happens to every task, and every timeout, are
 * attached by ctask_build_arm() only. Errors as above, and -EOWNERDEAD.
 */
int ctask_build_attach(struct ctask_probes *probes, const struct ctask_hook_place *hooks,
		       const struct ctask_hook_place *load, pid_t pid, uint64_t number,
		       struct ctask_build **ret_build, struct ctask_error *err);
/** How long they stay so, after the beginning and after each request; µs. */
#define CTASK_ARMED_US 10000000
/** It began, or somebody cancels; or nobody has for so long. */
void ctask_build_arm(struct ctask_build *build, bool arm);
/** NULL is fine. */
void ctask_build_detach(struct ctask_build *build);

#endif
