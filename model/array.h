/* array.h - arrays that grow while things are added. */
#ifndef CTASK_MODEL_ARRAY_H
#define CTASK_MODEL_ARRAY_H

#include <stddef.h>
#include <stdint.h>

/**
 * Make room for one more element in @p array (the address of a pointer), which
 * has @p count of them and room for *@p room. Indices stay below CTASK_NONE. 0 or
 * -ENOMEM.
 */
int ctask_array_grow(void *array, uint32_t count, uint32_t *room, size_t element_bytes);

#endif
