/* scopes.h - the scopes of a snapshot while they are found: what the runtimes share. */
#ifndef CTASK_READER_SCOPES_H
#define CTASK_READER_SCOPES_H

#include "reader/walk.h"

/** In walk->scope_index: a scope that the runtime made for itself, and nobody wrote. */
enum { CTASK_SCOPE_NOT_SHOWN = UINT32_MAX - 1 };

/** What lies in one slot of a value stack; of a method, what it is bound to. NULL: nothing that can be read. */
const struct ctask_type *ctask_slot_object(struct ctask_walk *walk, uint64_t slot,
					   uint64_t *ret_obj);

/** The slots of a suspended frame's value stack, between its variables and what it awaits. */
struct ctask_slots {
	uint64_t at, end;
};

/** Few of very many: a frame is seldom inside of more than some blocks. Empty where there are none. */
struct ctask_slots ctask_slots_of(struct ctask_walk *walk, const struct ctask_link *link);

/**
 * Note which cancel scopes the frames of walk->chain that are a library's own entered:
 * that of a sleep in trio, of a child in anyio. They are not shown.
 */
int ctask_scopes_hide_library(struct ctask_walk *walk);

/** Task @p index is cancelled at @p deadline_in_s, if nothing happens before; NAN: at no time. */
int ctask_scopes_limit_wait(struct ctask_walk *walk, uint32_t index, double deadline_in_s);

/** An attribute of an object; 0 where there is none, or it is None. */
uint64_t ctask_scope_attr(struct ctask_walk *walk, uint64_t obj, const char *name);
/** A bool attribute; false also when there is none. */
bool ctask_scope_is(struct ctask_walk *walk, uint64_t obj, const char *name);

#endif
