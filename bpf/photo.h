/* photo.h - the memory of a process as it was when a probe looked: what it copied, and the living rest. */
#ifndef CTASK_BPF_PHOTO_H
#define CTASK_BPF_PHOTO_H

#include <linux/types.h>
#include <stdbool.h>

#include "bpf/events.h"
#include "reader/memory.h"
#include "reader/pages.h"

/*
 * What lives is read once for all events that are older than that reading: when many wait to be explained, most of them
 * need the same pages.
 */
struct ctask_photo;

/** Over @p live, which is borrowed. NULL when out of memory. The caller destroys it by ctask_memory_destroy(). */
struct ctask_photo *ctask_photo_create(struct ctask_memory *live);
/** As a source of bytes; at first only what lives. */
struct ctask_memory *ctask_photo_memory(struct ctask_photo *photo);
/**
 * From now on it shows the pieces of @p event, until ctask_photo_hide(). @p pages, which read from it, are brought up to date.
 * True when they, and all that was learnt from them, are older than the event: the caller forgets that.
 */
bool ctask_photo_show(struct ctask_photo *photo, const struct ctask_probe_event *event,
		      struct ctask_pages *pages);
/** No longer: until the next event what lives is shown, as it was read last. */
void ctask_photo_hide(struct ctask_photo *photo, struct ctask_pages *pages);
/** From now on only what lives is shown, as it is when it is read; the caller forgets what it read before. */
void ctask_photo_live(struct ctask_photo *photo);

/** The next piece behind @p piece (NULL: the first) of an event that was checked; NULL at the end. */
const struct ctask_probe_piece *ctask_piece_next(const struct ctask_probe_event *event,
						 const struct ctask_probe_piece *piece);
/** True when @p event, of @p len bytes, is whole, and its pieces are inside of it. */
int ctask_event_is_whole(const struct ctask_probe_event *event, size_t len);

#endif
