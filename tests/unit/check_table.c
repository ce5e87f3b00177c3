/* check_table.c - the map of 64-bit keys. */
#include "reader/table.h"

#include "tests/unit/made.h"

START_TEST(empty_has_nothing)
{
	struct ctask_table table = { 0 };

	ck_assert_uint_eq(ctask_table_get(&table, 5, 77), 77);
	ctask_table_clear(&table);
	ctask_table_fini(&table);
}
END_TEST

START_TEST(what_was_put_is_there)
{
	struct ctask_table table = { 0 };

	for (uint64_t key = 1; key <= 100000; key++)
		ck_assert_int_eq(ctask_table_put(&table, key * 4096 + 1, (uint32_t)key), 0);
	ck_assert_uint_eq(table.count, 100000);
	for (uint64_t key = 1; key <= 100000; key++)
		ck_assert_uint_eq(ctask_table_get(&table, key * 4096 + 1, 0), key);
	ck_assert_uint_eq(ctask_table_get(&table, 4096, 0), 0);
	ck_assert_uint_eq(ctask_table_get(&table, UINT64_MAX, 0), 0);
	ctask_table_fini(&table);
	ck_assert_ptr_null(table.slots);
}
END_TEST

START_TEST(a_key_is_there_once)
{
	struct ctask_table table = { 0 };

	ck_assert_int_eq(ctask_table_put(&table, UINT64_MAX, 1), 0);
	ck_assert_int_eq(ctask_table_put(&table, UINT64_MAX, 2), 0);
	ck_assert_uint_eq(table.count, 1);
	ck_assert_uint_eq(ctask_table_get(&table, UINT64_MAX, 0), 2);
	ctask_table_fini(&table);
}
END_TEST

START_TEST(cleared_it_can_be_filled_again)
{
	struct ctask_table table = { 0 };

	for (uint64_t key = 1; key < 1000; key++)
		ck_assert_int_eq(ctask_table_put(&table, key, 1), 0);
	ctask_table_clear(&table);
	ck_assert_uint_eq(table.count, 0);
	ck_assert_uint_eq(ctask_table_get(&table, 5, 9), 9);
	ck_assert_int_eq(ctask_table_put(&table, 5, 3), 0);
	ck_assert_uint_eq(ctask_table_get(&table, 5, 9), 3);
	ctask_table_fini(&table);
}
END_TEST

/* Keys that all begin at one slot of a small table. */
START_TEST(collisions)
{
	struct ctask_table table = { 0 };
	uint64_t keys[20];
	size_t count = 0;

	for (uint64_t key = 1; count < ARRAY_SIZE(keys); key++)
		if ((ctask_table_hash(key) & 63) == 63) /* the last one: they go on at the front */
			keys[count++] = key;
	for (uint32_t i = 0; i < count; i++)
		ck_assert_int_eq(ctask_table_put(&table, keys[i], i), 0);
	for (uint32_t i = 0; i < count; i++)
		ck_assert_uint_eq(ctask_table_get(&table, keys[i], 99), i);
	ctask_table_fini(&table);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("table");

	tcase_add_test(tests, empty_has_nothing);
	tcase_add_test(tests, what_was_put_is_there);
	tcase_add_test(tests, a_key_is_there_once);
	tcase_add_test(tests, cleared_it_can_be_filled_again);
	tcase_add_test(tests, collisions);
	return made_run("table", tests);
}
