/* resolve.h - from what the probes copied to records: names, lines, origins, causes, outcomes. */
#ifndef CTASK_BPF_RESOLVE_H
#define CTASK_BPF_RESOLVE_H

#include "bpf/history.h"
#include "bpf/photo.h"
#include "bpf/target.h"

struct ctask_resolver;

/**
 * For the process that @p walk was made for, over the memory of @p photo; all are borrowed. Places,
 * records and outcomes go to @p history. NULL when out of memory.
 */
struct ctask_resolver *ctask_resolver_create(struct ctask_walk *walk, struct ctask_photo *photo,
					     struct ctask_bpf_history *history,
					     const struct ctask_asyncio_facts *facts);
/** NULL is fine. */
void ctask_resolver_destroy(struct ctask_resolver *resolver);

/** What the probes should follow in frames of @p code. False when it means nothing. */
bool ctask_resolver_code(struct ctask_resolver *resolver, struct ctask_code *code,
			 struct ctask_probe_code *ret);

/** Take an event that was checked to be whole. */
void ctask_resolver_take(struct ctask_resolver *resolver, const struct ctask_probe_event *event);

/** Look at the tasks whose requests are open. True while there are such. */
bool ctask_resolver_watch(struct ctask_resolver *resolver);
/** No more events come: tell also what was kept back until more is known of it. */
void ctask_resolver_end(struct ctask_resolver *resolver);
/** Code that means something and was not known to the probes until now: address, and what to follow. */
bool ctask_resolver_new_code(struct ctask_resolver *resolver, uint64_t *ret_addr,
			     struct ctask_probe_code *ret);

#endif
