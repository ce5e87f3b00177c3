/* functions.h - what is known of the functions of a target: for model/classify.h, and for the probes. */
#ifndef CTASK_BPF_FUNCTIONS_H
#define CTASK_BPF_FUNCTIONS_H

#include <linux/types.h>

#include "bpf/events.h"
#include "bpf/history.h"
#include "model/facts.h"
#include "reader/code.h"

/** Of one process. Begin with codes and history, and the rest zero. */
struct ctask_functions {
	struct ctask_codes *codes;
	struct ctask_bpf_history *history;
	struct ctask_function **known; /* by index of the code */
	uint32_t room;
	struct ctask_code *
		*fresh; /* learnt of, mean something, and the probes do not know it yet */
	uint32_t fresh_count;
	bool stale; /* at the place of a code object there is another one by now */
};

void ctask_functions_fini(struct ctask_functions *functions);

/** What is known of @p code, whose facts->code it is; NULL when out of memory. */
const struct ctask_code_facts *ctask_function_facts(struct ctask_functions *functions,
						    struct ctask_code *code);
/** Forget all, the codes too: functions->stale says that it is time. */
void ctask_functions_forget(struct ctask_functions *functions);

/** What the probes should follow in frames of @p code. False when it means nothing. */
bool ctask_function_follow(struct ctask_functions *functions, struct ctask_code *code,
			   struct ctask_probe_code *ret);
/** The next function that the probes should know of: its address, and what to follow. False when there is none. */
bool ctask_function_fresh(struct ctask_functions *functions, uint64_t *ret_addr,
			  struct ctask_probe_code *ret);

#endif
