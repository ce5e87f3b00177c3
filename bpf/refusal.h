/* refusal.h - why the kernel took no probes: from errno, and from what can be seen of it, to one sentence. */
#ifndef CTASK_BPF_REFUSAL_H
#define CTASK_BPF_REFUSAL_H

#include <stdbool.h>
#include <stdint.h>

#include "model/error.h"

/** What was tried. */
enum ctask_probe_step {
	CTASK_STEP_READ, /* the target's memory */
	CTASK_STEP_LOAD,
	CTASK_STEP_ATTACH,
};

/** What decides about probes, as far as it can be seen. */
struct ctask_probe_facts {
	uint64_t capabilities; /**< that we have: bits as in linux/capability.h */
	uint64_t locked_most;  /**< RLIMIT_MEMLOCK, bytes; UINT64_MAX = no limit */
	uint32_t release;      /**< of Linux: 0x0612 = 6.18; 0 = not known */
	bool in_user_namespace;
	bool has_filter; /**< seccomp */
	bool has_types;	 /**< /sys/kernel/btf/vmlinux */
	bool has_uprobes;
	bool is_locked_down; /**< so far that no program may read the kernel: confidentiality */
};

/** @p root stands before /proc and /sys: "" but for tests. */
void ctask_probe_facts_look(const char *root, struct ctask_probe_facts *ret_facts);

/** What libbpf and the verifier said, of which the last that tells something is kept. */
struct ctask_probe_words {
	char text[200];
};

/** Add what was said: some lines, or a whole log of the verifier. */
void ctask_probe_words_add(struct ctask_probe_words *words, const char *said);

/**
 * Why @p step failed with @p code, a positive errno value. -EPERM where a right is missing that somebody
 * could give; -ENOSYS where it is the kernel. Of CTASK_STEP_READ and EPERM, @p err says why already, and is
 * only made better.
 */
int ctask_refusal(const struct ctask_probe_facts *facts, enum ctask_probe_step step, int code,
		  const struct ctask_probe_words *words, struct ctask_error *err);

#endif
