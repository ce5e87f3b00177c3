/* array.c - arrays that grow while things are added. */
#include "model/array.h"

#include <errno.h>
#include <stdlib.h>

/* Growing by half keeps what 100,000 elements waste below what they use. */
int ctask_array_grow(void *array, uint32_t count, uint32_t *room, size_t element_bytes)
{
	uint64_t want = (uint64_t)*room + *room / 2 + 64;
	void *moved;

	if (count < *room)
		return 0;
	if (want >= UINT32_MAX)
		return -ENOMEM;
	moved = realloc(*(void **)array, want * element_bytes);
	if (!moved)
		return -ENOMEM;
	*(void **)array = moved;
	*room = (uint32_t)want;
	return 0;
}
