/* photo.h - the memory of a process as it was when a probe looked: what it copied, and the living rest. */
#ifndef CTASK_BPF_PHOTO_H
#define CTASK_BPF_PHOTO_H

#include <linux/types.h>

#include "bpf/events.h"
#include "reader/memory.h"

struct ctask_photo;

/** Over @p live, which is borrowed. NULL when out of memory. The caller destroys it by ctask_memory_destroy(). */
struct ctask_photo *ctask_photo_create(struct ctask_memory *live);
/** As a source of bytes; what reads it must forget its copies whenever another event is shown. */
struct ctask_memory *ctask_photo_memory(struct ctask_photo *photo);
/** From now on it shows the pieces of @p event, which stays the caller's; NULL: only what lives. */
void ctask_photo_show(struct ctask_photo *photo, const struct ctask_probe_event *event);

/** The next piece behind @p piece (NULL: the first) of an event that was checked; NULL at the end. */
const struct ctask_probe_piece *ctask_piece_next(const struct ctask_probe_event *event,
						 const struct ctask_probe_piece *piece);
/** True when @p event, of @p len bytes, is whole, and its pieces are inside of it. */
int ctask_event_is_whole(const struct ctask_probe_event *event, size_t len);

#endif
