/* record.h - what goes into the records of requests, whatever asks. */
#ifndef CTASK_AGENT_RECORD_H
#define CTASK_AGENT_RECORD_H

#include <stdint.h>

#include "agent/history.h"
#include "agent/text.h"

/** A deadline is made some microseconds before its block is entered: more than this is not known of the delay, 1/s. */
#define CTASK_DELAY_STEPS 10000.0

/** A delay in seconds as far as it is known; NAN for one that is not finite. */
double ctask_record_delay(double delay);

/* Offsets in the history's side ring; 0: nothing. */

/** The caller holds the lock. */
uint64_t ctask_record_text(const struct ctask_text_bytes *text);
/** A str; 0 for anything else, and for an empty one. Takes the lock. */
uint64_t ctask_record_str(struct py_object *text);
/** Takes the lock. */
uint64_t ctask_record_places(const uint32_t *places, int count);

/** The request that the chain of request @p id began with. Takes the lock. */
uint64_t ctask_record_root(uint64_t id);
/** A request of a scope reaches a task by way of another one: @p record is what @p cause, of that one, was. Takes the lock. */
void ctask_record_pass_on(struct ctask_record *record, uint64_t cause);

/** Give @p record an id, and put it in the place of the oldest one. Texts must be in it. The caller holds the lock. */
void ctask_record_append(struct ctask_record *record);
/** The same, of a request of @p scope to @p task, made now. Takes the lock. */
void ctask_record_append_level(struct ctask_record *record, const void *task, const void *scope);

#endif
