/* builds.h - the probes of all processes: once in the files of each Python, for all that have these mapped. */
#ifndef CTASK_BPF_BUILDS_H
#define CTASK_BPF_BUILDS_H

#include "bpf/probes.h"
#include "bpf/subject.h"

/** Processes with the same files. Times as of the caller's clock, µs. */
struct ctask_shared_build {
	struct ctask_hook_place hooks[CTASK_HOOKS];
	uint64_t number; /**< from 1 */
	struct ctask_build *probes;
	uint32_t users;
	int64_t attached_us, unused_us;
	int64_t asked_us; /**< of the last request; the caller sets it */
	bool armed;
	struct ctask_shared_build *next;
};

struct ctask_builds {
	struct ctask_probes *probes; /**< borrowed */
	struct ctask_shared_build *first;
	uint64_t made;
};

/** The build of @p subject, which has begun, with its probes attached. Errors as of ctask_build_attach(), and -ENOMEM. */
int ctask_builds_take(struct ctask_builds *builds, struct ctask_subject *subject, int64_t now,
		      struct ctask_shared_build **ret_build, struct ctask_error *err);
/** One process has it no more: its probes stay for a while. */
void ctask_builds_give_back(struct ctask_shared_build *build, int64_t now);
/** Attach and detach what is due: arm where somebody cancels, and forget what nobody has used for long. */
void ctask_builds_look_after(struct ctask_builds *builds, int64_t now);
/** All probes; the builds stay. */
void ctask_builds_detach(struct ctask_builds *builds);
void ctask_builds_fini(struct ctask_builds *builds);

#endif
