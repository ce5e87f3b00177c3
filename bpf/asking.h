/* asking.h - one call of cancel(), from what a probe copied to a record. */
#ifndef CTASK_BPF_ASKING_H
#define CTASK_BPF_ASKING_H

#include "bpf/resolver.h"

/** Record the call of @p event, whose memory is shown. */
void ctask_take_cancel(struct ctask_resolver *resolver, const struct ctask_probe_event *event);

#endif
