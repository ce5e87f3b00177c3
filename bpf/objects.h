/* objects.h - Python objects where a wrong look is no error: what cannot be read is 0, or nothing. */
#ifndef CTASK_BPF_OBJECTS_H
#define CTASK_BPF_OBJECTS_H

#include <stdbool.h>

#include "reader/object.h"

/** The 8 bytes at @p addr. */
uint64_t ctask_word_at(struct ctask_heap *heap, uint64_t addr);
/** The 4 bytes at @p addr. */
uint32_t ctask_number_at(struct ctask_heap *heap, uint64_t addr);
/** The object that the 8 bytes at @p addr point to; 0 for None. */
uint64_t ctask_object_at(struct ctask_heap *heap, uint64_t addr);
/** The text at @p addr, up to its NUL; cut where it does not fit. Returns its length. */
size_t ctask_bytes_at(struct ctask_heap *heap, uint64_t addr, char *to, size_t room);

/** True for an instance of a type whose name ends with @p name ("Queue" for asyncio.queues.Queue), or of one derived from it. */
bool ctask_is_named(struct ctask_heap *heap, uint64_t obj, const char *name);
/** The value of an int or a float; NAN for anything else. */
double ctask_seconds_of(struct ctask_heap *heap, uint64_t obj);
/** A str as text, NULL for anything else. */
ctask_text ctask_text_of(struct ctask_heap *heap, struct ctask_texts *texts, uint64_t str);

#endif
