/* check_layout.c - rows of the layout table, and the target's own tables at the door. */
#include "reader/layout.h"

#include <errno.h>

#include "tests/unit/made.h"

START_TEST(every_row_passes)
{
	const struct ctask_layout *row = &ctask_layout_table[_i];
	struct ctask_error err = { 0 };

	ck_assert_msg(ctask_layout_check(row, &err) == 0, "3.%u: %s", row->minor, err.text);
	ck_assert_ptr_eq(ctask_layout_find(row->minor), row);
	ck_assert_msg(_i == 0 || row->minor == row[-1].minor + 1, "3.%u is out of order",
		      row->minor);
}
END_TEST

START_TEST(unknown_versions_have_no_row)
{
	ck_assert_ptr_null(ctask_layout_find(7));
	ck_assert_ptr_null(ctask_layout_find(ctask_layout_table[ctask_layout_count - 1].minor + 1));
	ck_assert_ptr_null(ctask_layout_find(UINT32_MAX));
	ck_assert_uint_eq(ctask_layout_debug_offsets_bytes(12), 0);
	ck_assert_uint_gt(ctask_layout_debug_offsets_bytes(13), 0);
	ck_assert_uint_eq(ctask_layout_debug_offsets_bytes(UINT32_MAX), 0);
}
END_TEST

#define FIELD(member) #member, offsetof(struct ctask_layout, member)

/* One field of a good row changed. */
static const struct {
	const char *name;
	size_t field;
	uint32_t value;
	int want;
} changes[] = {
	{ FIELD(task_coro), 0, 0 },
	{ FIELD(task_coro), 168 - 8, 0 },
	{ FIELD(task_coro), 168 - 7, -EPROTO },
	{ FIELD(task_loop), 168, -EPROTO },
	{ FIELD(task_state), 168 - 4, 0 },
	{ FIELD(task_state), 168 - 3, -EPROTO },
	{ FIELD(task_must_cancel), 167, 0 },
	{ FIELD(task_must_cancel), 168, -EPROTO },
	{ FIELD(task_name), UINT32_MAX - 7, -EPROTO }, /* plus 8 is 0 */
	{ FIELD(task_callback0), UINT32_MAX - 8, -EPROTO },
	{ FIELD(task_num_cancels_requested), CTASK_NO_FIELD, 0 },
	{ FIELD(task_size), CTASK_TASK_BYTES_MAX, 0 },
	{ FIELD(task_size), CTASK_TASK_BYTES_MAX + 1, -EPROTO },
	{ FIELD(task_size), 0, -EPROTO },
	{ FIELD(task_size), 7, -EPROTO },
	{ FIELD(frame_locals), CTASK_FRAME_BYTES_MAX, 0 },
	{ FIELD(frame_locals), CTASK_FRAME_BYTES_MAX + 1, -EPROTO },
	{ FIELD(frame_locals), 0, -EPROTO },
	{ FIELD(frame_code), 80 - 8, 0 },
	{ FIELD(frame_code), 80 - 7, -EPROTO },
	{ FIELD(frame_previous), UINT32_MAX - 1, -EPROTO },
	{ FIELD(frame_owner), 79, 0 },
	{ FIELD(frame_owner), 80, -EPROTO },
};

START_TEST(a_field_must_lie_in_its_object)
{
	struct ctask_layout layout = *ctask_layout_find(14);

	ck_assert_uint_eq(layout.task_size, 168);
	ck_assert_uint_eq(layout.frame_locals, 80);
	memcpy((uint8_t *)&layout + changes[_i].field, &changes[_i].value, 4);
	ck_assert_msg(ctask_layout_check(&layout, NULL) == changes[_i].want, "%s = %u",
		      changes[_i].name, changes[_i].value);
}
END_TEST

/* --- _Py_DebugOffsets --- */

enum { TABLE_BYTES = 1024 };

static const uint32_t minors[] = { 13, 14, 15 };

/* Where some fields stand (Include/internal/pycore_debug_offsets.h of each version). */
static const struct {
	const char *name;
	size_t field;
	size_t at[3];
} places[] = {
	{ FIELD(interp_id), { 56, 56, 56 } },	    { FIELD(tstate_frame), { 184, 208, 208 } },
	{ FIELD(frame_locals), { 256, 280, 344 } }, { FIELD(code_locals), { 328, 368, 432 } },
	{ FIELD(tuple_items), { 408, 456, 552 } },  { FIELD(str_ascii_data), { 560, 640, 736 } },
};

static void put(uint8_t *table, size_t at, uint64_t value)
{
	memcpy(table + at, &value, 8);
}

START_TEST(what_the_target_says_is_taken)
{
	struct ctask_layout layout = *ctask_layout_find(minors[_i]);
	uint8_t table[TABLE_BYTES] = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		put(table, places[i].at[_i], 100 + i * 8);
	ck_assert_int_eq(
		ctask_layout_take_debug_offsets(&layout, table,
						ctask_layout_debug_offsets_bytes(minors[_i]), NULL),
		0);
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		uint32_t value;

		memcpy(&value, (uint8_t *)&layout + places[i].field, 4);
		ck_assert_msg(value == 100 + i * 8, "%s is %u", places[i].name, value);
	}
	/* What the table does not tell stays as in the row. */
	ck_assert_uint_eq(layout.task_state, ctask_layout_find(minors[_i])->task_state);
}
END_TEST

START_TEST(a_table_that_is_too_short)
{
	struct ctask_layout layout = *ctask_layout_find(minors[_i]);
	uint8_t table[TABLE_BYTES] = { 0 };
	size_t whole = ctask_layout_debug_offsets_bytes(minors[_i]);

	for (size_t len = 0; len < whole; len++)
		ck_assert_int_eq(ctask_layout_take_debug_offsets(&layout, table, len, NULL),
				 -EPROTO);
	ck_assert_mem_eq(&layout, ctask_layout_find(minors[_i]), sizeof(layout));
}
END_TEST

START_TEST(versions_without_a_table)
{
	struct ctask_layout layout = *ctask_layout_find(12);
	uint8_t table[TABLE_BYTES] = { 0 };

	ck_assert_int_eq(ctask_layout_take_debug_offsets(&layout, table, sizeof(table), NULL),
			 -EPROTO);
}
END_TEST

static const uint64_t hostile[] = {
	4097, 1 << 23, UINT32_MAX, 1ull << 32, (1ull << 32) + 8, INT64_MAX, 1ull << 63, UINT64_MAX,
};

START_TEST(values_that_cannot_be)
{
	for (size_t minor = 0; minor < ARRAY_SIZE(minors); minor++)
		for (size_t i = 1; i < ARRAY_SIZE(places); i++) {
			struct ctask_layout layout = *ctask_layout_find(minors[minor]);
			uint8_t table[TABLE_BYTES] = { 0 };
			struct ctask_error err = { 0 };

			put(table, places[i].at[minor], hostile[_i]);
			ck_assert_int_eq(ctask_layout_take_debug_offsets(&layout, table,
									 sizeof(table), &err),
					 -EPROTO);
			ck_assert_msg(strstr(err.text, places[i].name) != NULL, "%s", err.text);
		}
}
END_TEST

/* --- AsyncioDebug --- */

START_TEST(asyncio_s_own_table)
{
	struct ctask_layout layout = *ctask_layout_find(14);
	uint8_t table[CTASK_ASYNCIO_DEBUG_BYTES] = { 0 };

	put(table, 0, 200);
	put(table, 8, 136);
	put(table, 40, 128);
	put(table, 48, 152);
	put(table, 64, 20000);
	ck_assert_int_eq(ctask_layout_take_asyncio_debug(&layout, table, NULL), 0);
	ck_assert_uint_eq(layout.task_size, 200);
	ck_assert_uint_eq(layout.interp_asyncio_tasks_head, 20000);
	ck_assert_int_eq(ctask_layout_check(&layout, NULL), 0);
}
END_TEST

/* Larger than what a task is copied to: it may pass one by one, but not the check of the whole. */
START_TEST(a_task_that_is_larger_than_is_believed)
{
	struct ctask_layout layout = *ctask_layout_find(14);
	uint8_t table[CTASK_ASYNCIO_DEBUG_BYTES] = { 0 };

	put(table, 0, 4096);
	ck_assert(ctask_layout_take_asyncio_debug(&layout, table, NULL) ||
		  ctask_layout_check(&layout, NULL));
	put(table, 0, 4097);
	ck_assert_int_eq(ctask_layout_take_asyncio_debug(&layout, table, NULL), -EPROTO);
	put(table, 0, 168);
	put(table, 96, UINT64_MAX);
	ck_assert_int_eq(ctask_layout_take_asyncio_debug(&layout, table, NULL), -EPROTO);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("layout");

	tcase_add_loop_test(tests, every_row_passes, 0, (int)ctask_layout_count);
	tcase_add_test(tests, unknown_versions_have_no_row);
	tcase_add_loop_test(tests, a_field_must_lie_in_its_object, 0, ARRAY_SIZE(changes));
	tcase_add_loop_test(tests, what_the_target_says_is_taken, 0, ARRAY_SIZE(minors));
	tcase_add_loop_test(tests, a_table_that_is_too_short, 0, ARRAY_SIZE(minors));
	tcase_add_test(tests, versions_without_a_table);
	tcase_add_loop_test(tests, values_that_cannot_be, 0, ARRAY_SIZE(hostile));
	tcase_add_test(tests, asyncio_s_own_table);
	tcase_add_test(tests, a_task_that_is_larger_than_is_believed);
	return made_run("layout", tests);
}
