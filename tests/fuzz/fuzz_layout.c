/* fuzz_layout.c - the offset tables of a target: whatever passes the door must be usable. */
#include <stdlib.h>
#include <string.h>

#include "reader/layout.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What the walk relies on when it copies objects whole. */
static void check_usable(const struct ctask_layout *l)
{
	const uint32_t task[] = { l->task_loop,	      l->task_callback0, l->task_callbacks,
				  l->task_fut_waiter, l->task_coro,	 l->task_name };
	const uint32_t frame[] = { l->frame_code, l->frame_previous };

	if (l->task_size > CTASK_TASK_BYTES_MAX || l->frame_locals > CTASK_FRAME_BYTES_MAX)
		abort();
	for (size_t i = 0; i < sizeof(task) / sizeof(*task); i++)
		if (task[i] + 8 > l->task_size)
			abort();
	for (size_t i = 0; i < sizeof(frame) / sizeof(*frame); i++)
		if (frame[i] + 8 > l->frame_locals)
			abort();
	if (l->task_state + 4 > l->task_size || l->task_must_cancel + 1 > l->task_size ||
	    l->frame_lasti + 4 > l->frame_locals || l->frame_stack + 4 > l->frame_locals)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ctask_layout layout;
	struct ctask_error err;
	size_t offsets_bytes;

	if (size < 1)
		return -1;
	layout = ctask_layout_table[data[0] % ctask_layout_count];
	data++, size--;
	offsets_bytes = ctask_layout_debug_offsets_bytes(layout.minor);
	if (ctask_layout_take_debug_offsets(&layout, data, size, &err))
		return 0;
	if (size < offsets_bytes)
		abort();
	if (!ctask_layout_check(&layout, &err))
		check_usable(&layout);
	data += offsets_bytes;
	size -= offsets_bytes;
	if (size >= CTASK_ASYNCIO_DEBUG_BYTES &&
	    !ctask_layout_take_asyncio_debug(&layout, data, &err) &&
	    !ctask_layout_check(&layout, &err))
		check_usable(&layout);
	return 0;
}
