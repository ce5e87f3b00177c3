/* layout.c - rows of the layout table, and what the target's own tables put in their place. */
#include "reader/layout.h"

#include <string.h>

#include "model/cleanup.h"

/* Versions whose tables differ in shape: an index into position[] below. */
enum { SHAPE_313, SHAPE_314, SHAPE_315, SHAPES };

/* "This version's table does not tell." */
enum { UNTOLD = 0 };

/*
 * Largest offset that is believed. An interpreter state is 0.4 MB in the
 * largest version, the runtime state too; objects are a few hundred bytes.
 */
enum { STATE_MAX = 4 << 20, OBJECT_MAX = 4096 };

/*
 * Where each field stands in _Py_DebugOffsets. Fields are inserted in the
 * middle from version to version, hence a column for each. Sources:
 * Include/internal/pycore_runtime.h (3.13), pycore_debug_offsets.h (3.14, 3.15).
 */
static const struct debug_row {
	const char *name;
	size_t field;  /* in struct ctask_layout */
	uint32_t most; /* largest value that is believed */
	uint16_t position[SHAPES];
} debug_rows[] = {
#define FIELD(member) #member, offsetof(struct ctask_layout, member)
	{ FIELD(runtime_interpreters_head), STATE_MAX, { 40, 40, 40 } },
	{ FIELD(interp_id), STATE_MAX, { 56, 56, 56 } },
	{ FIELD(interp_next), STATE_MAX, { 64, 64, 64 } },
	{ FIELD(interp_threads_head), STATE_MAX, { 72, 72, 72 } },
	{ FIELD(interp_modules), STATE_MAX, { 88, 96, 96 } },
	{ FIELD(interp_sysdict), STATE_MAX, { 96, 104, 104 } },
	{ FIELD(tstate_next), OBJECT_MAX, { 168, 192, 192 } },
	{ FIELD(tstate_frame), OBJECT_MAX, { 184, 208, 208 } },
	{ FIELD(tstate_thread_id), OBJECT_MAX, { 192, 216, 240 } },
	{ FIELD(tstate_native_thread_id), OBJECT_MAX, { 200, 224, 248 } },
	{ FIELD(frame_previous), OBJECT_MAX, { 232, 256, 320 } },
	{ FIELD(frame_code), OBJECT_MAX, { 240, 264, 328 } },
	{ FIELD(frame_lasti), OBJECT_MAX, { 248, 272, 336 } },
	{ FIELD(frame_locals), OBJECT_MAX, { 256, 280, 344 } },
	{ FIELD(frame_owner), OBJECT_MAX, { 264, 288, 352 } },
	{ FIELD(frame_stack), OBJECT_MAX, { UNTOLD, 296, 360 } },
	{ FIELD(code_filename), OBJECT_MAX, { 280, 320, 384 } },
	{ FIELD(code_name), OBJECT_MAX, { 288, 328, 392 } },
	{ FIELD(code_qualname), OBJECT_MAX, { 296, 336, 400 } },
	{ FIELD(code_linetable), OBJECT_MAX, { 304, 344, 408 } },
	{ FIELD(code_firstlineno), OBJECT_MAX, { 312, 352, 416 } },
	{ FIELD(code_locals), OBJECT_MAX, { 328, 368, 432 } },
	{ FIELD(code_kinds), OBJECT_MAX, { 336, 376, 440 } },
	{ FIELD(code_bytecode), OBJECT_MAX, { 344, 384, 448 } },
	{ FIELD(type_name), OBJECT_MAX, { 376, 424, 488 } },
	{ FIELD(type_flags), OBJECT_MAX, { 392, 440, 504 } },
	{ FIELD(type_basicsize), OBJECT_MAX, { UNTOLD, UNTOLD, 512 } },
	{ FIELD(type_dictoffset), OBJECT_MAX, { UNTOLD, UNTOLD, 520 } },
	{ FIELD(type_cached_keys), OBJECT_MAX, { UNTOLD, UNTOLD, 536 } },
	{ FIELD(tuple_items), OBJECT_MAX, { 408, 456, 552 } },
	{ FIELD(list_items), OBJECT_MAX, { 432, 480, 576 } },
	{ FIELD(set_table), OBJECT_MAX, { UNTOLD, 512, 608 } },
	{ FIELD(set_mask), OBJECT_MAX, { UNTOLD, 520, 616 } },
	{ FIELD(dict_keys), OBJECT_MAX, { 456, 536, 632 } },
	{ FIELD(dict_values), OBJECT_MAX, { 464, 544, 640 } },
	{ FIELD(float_value), OBJECT_MAX, { 480, 560, 656 } },
	{ FIELD(bytes_data), OBJECT_MAX, { 528, 608, 704 } },
	{ FIELD(str_state), OBJECT_MAX, { 544, 624, 720 } },
	{ FIELD(str_length), OBJECT_MAX, { 552, 632, 728 } },
	{ FIELD(str_ascii_data), OBJECT_MAX, { 560, 640, 736 } },
	{ FIELD(str_compact_data), OBJECT_MAX, { UNTOLD, UNTOLD, 744 } },
	{ FIELD(gen_frame), OBJECT_MAX, { UNTOLD, 680, 808 } },
	{ FIELD(gen_state), OBJECT_MAX, { UNTOLD, 688, 816 } },
};

static const size_t debug_offsets_bytes[SHAPES] = { 584, 760, 888 };

/* Where each field stands in AsyncioDebug: the same in 3.14 and 3.15 (Modules/_asynciomodule.c). */
static const struct asyncio_debug_row {
	const char *name;
	size_t field;
	uint32_t most;
	uint16_t position;
} asyncio_debug_rows[] = {
	{ FIELD(task_size), OBJECT_MAX, 0 },
	{ FIELD(task_name), OBJECT_MAX, 8 },
	{ FIELD(task_coro), OBJECT_MAX, 40 },
	{ FIELD(task_node), OBJECT_MAX, 48 },
	{ FIELD(interp_asyncio_tasks_head), STATE_MAX, 64 },
	{ FIELD(tstate_asyncio_running_loop), OBJECT_MAX, 80 },
	{ FIELD(tstate_asyncio_running_task), OBJECT_MAX, 88 },
	{ FIELD(tstate_asyncio_tasks_head), OBJECT_MAX, 96 },
#undef FIELD
};

const struct ctask_layout *ctask_layout_find(uint32_t minor)
{
	for (size_t i = 0; i < ctask_layout_count; i++)
		if (ctask_layout_table[i].minor == minor)
			return &ctask_layout_table[i];
	return NULL;
}

static int shape_of(uint32_t minor)
{
	return minor >= 13 && minor < 13 + SHAPES ? (int)minor - 13 : -1;
}

size_t ctask_layout_debug_offsets_bytes(uint32_t minor)
{
	int shape = shape_of(minor);

	return shape < 0 ? 0 : debug_offsets_bytes[shape];
}

static int take(struct ctask_layout *layout, size_t field, const char *name, uint32_t most,
		const uint8_t *at, struct ctask_error *err)
{
	uint64_t value;
	uint32_t checked;

	memcpy(&value, at, sizeof(value));
	if (value > most)
		return ctask_fail(err, EPROTO,
				  "the target's own table says %s = %llu, which cannot be", name,
				  (unsigned long long)value);
	checked = (uint32_t)value;
	memcpy((uint8_t *)layout + field, &checked, sizeof(checked));
	return 0;
}

int ctask_layout_take_debug_offsets(struct ctask_layout *layout, const uint8_t *table, size_t len,
				    struct ctask_error *err)
{
	int shape = shape_of(layout->minor);

	if (shape < 0 || len < debug_offsets_bytes[shape])
		return ctask_fail(err, EPROTO, "no table of offsets is known for Python 3.%u",
				  layout->minor);
	for (size_t i = 0; i < ARRAY_SIZE(debug_rows); i++) {
		const struct debug_row *row = &debug_rows[i];
		int ret;

		if (row->position[shape] == UNTOLD)
			continue;
		ret = take(layout, row->field, row->name, row->most, table + row->position[shape],
			   err);
		if (ret)
			return ret;
	}
	return 0;
}

int ctask_layout_take_asyncio_debug(struct ctask_layout *layout, const uint8_t *table,
				    struct ctask_error *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(asyncio_debug_rows); i++) {
		const struct asyncio_debug_row *row = &asyncio_debug_rows[i];
		int ret =
			take(layout, row->field, row->name, row->most, table + row->position, err);

		if (ret)
			return ret;
	}
	return 0;
}

/* Fields that are read from one copy of an object must lie within that copy. */
int ctask_layout_check(const struct ctask_layout *layout, struct ctask_error *err)
{
	const struct {
		const char *name;
		uint32_t offset, width, size;
	} rows[] = {
		{ "task_loop", layout->task_loop, 8, layout->task_size },
		{ "task_callback0", layout->task_callback0, 8, layout->task_size },
		{ "task_callbacks", layout->task_callbacks, 8, layout->task_size },
		{ "task_exception", layout->task_exception, 8, layout->task_size },
		{ "task_state", layout->task_state, 4, layout->task_size },
		{ "task_fut_waiter", layout->task_fut_waiter, 8, layout->task_size },
		{ "task_coro", layout->task_coro, 8, layout->task_size },
		{ "task_name", layout->task_name, 8, layout->task_size },
		{ "task_must_cancel", layout->task_must_cancel, 1, layout->task_size },
		{ "task_num_cancels_requested", layout->task_num_cancels_requested, 4,
		  layout->task_size },
		{ "task_size", layout->task_size, 0, CTASK_TASK_BYTES_MAX },
		{ "frame_code", layout->frame_code, 8, layout->frame_locals },
		{ "frame_previous", layout->frame_previous, 8, layout->frame_locals },
		{ "frame_lasti", layout->frame_lasti, 4, layout->frame_locals },
		{ "frame_stack", layout->frame_stack, 4, layout->frame_locals },
		{ "frame_stack_base", layout->frame_stack_base, 8, layout->frame_locals },
		{ "frame_gen", layout->frame_gen, 8, layout->frame_locals },
		{ "frame_owner", layout->frame_owner, 1, layout->frame_locals },
		{ "frame_state", layout->frame_state, 1, layout->frame_locals },
		{ "frame_locals", layout->frame_locals, 0, CTASK_FRAME_BYTES_MAX },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].offset != CTASK_NO_FIELD &&
		    (rows[i].width > rows[i].size || rows[i].offset > rows[i].size - rows[i].width))
			return ctask_fail(err, EPROTO, "%s at %u leaves its object of %u bytes",
					  rows[i].name, rows[i].offset, rows[i].size);
	return 0;
}
