/* resolver.h - what the parts of the resolver share. */
#ifndef CTASK_BPF_RESOLVER_H
#define CTASK_BPF_RESOLVER_H

#include "bpf/resolve.h"
#include "bpf/stacks.h"

struct ctask_calls;
struct ctask_held;
struct ctask_requests;

struct ctask_resolver {
	struct ctask_walk *walk;
	struct ctask_heap *heap;   /* of walk */
	struct ctask_texts *texts; /* of the event that is being explained */
	struct ctask_photo *photo;
	struct ctask_bpf_history *history;
	struct ctask_asyncio_facts asyncio;
	struct ctask_functions functions;
	struct ctask_stack_reader stacks;
	struct ctask_calls *calls;
	struct ctask_requests *requests;
	struct ctask_held *held;
	int64_t epoch_us; /* of the monotonic clock's 0 */
};

#endif
