/* check_recent.c - tables of what is recent. */
#include "model/recent.h"

#include <stdbool.h>

#include "tests/unit/made.h"

enum { ROOM = 64 };

struct kept {
	struct ctask_recent recent;
	int value;
};

static uint64_t key_number(uint64_t number)
{
	return 0x7f0000000000 + number * 48;
}

static void take(struct kept *table, uint64_t number, double at)
{
	struct kept *slot = ctask_recent_take(table, sizeof(*table), ROOM, key_number(number));

	ck_assert_ptr_nonnull(slot);
	*slot = (struct kept){ { key_number(number), at }, (int)number };
}

static bool is_there(struct kept *table, uint64_t number)
{
	const struct kept *slot =
		ctask_recent_find(table, sizeof(*table), ROOM, key_number(number));

	ck_assert(!slot || (slot->recent.key == key_number(number) && slot->value == (int)number));
	return slot;
}

/* Of a table of 64, eight keys are kept whatever they are: it takes nine to lose one. */
START_TEST(eight_are_kept)
{
	struct kept table[ROOM] = { 0 };

	for (uint64_t start = 0; start < 10000; start += 8) {
		for (uint64_t i = 0; i < 8; i++)
			take(table, start + i, (double)(start + i));
		for (uint64_t i = 0; i < 8; i++)
			ck_assert_msg(is_there(table, start + i), "%d of %d", (int)i, (int)start);
	}
	ck_assert(!is_there(table, 20000));
	ck_assert_ptr_null(ctask_recent_find(table, sizeof(*table), ROOM, 0));
}
END_TEST

START_TEST(the_oldest_gives_way)
{
	struct kept table[ROOM] = { 0 };
	uint64_t number = 0;

	while (is_there(table, 0) || number == 0) {
		take(table, number, (double)number);
		number++;
		ck_assert_uint_lt(number, 1000);
	}
	/* It was the oldest of its places; of all others none that is younger than eight. */
	ck_assert_uint_ge(number, 9);
	for (uint64_t i = number - 8; i < number; i++)
		ck_assert(is_there(table, i));
	/* Again: it is the youngest now, and in one slot only. */
	take(table, number - 1, 1e9);
	ck_assert(is_there(table, number - 1));
}
END_TEST

START_TEST(a_free_slot_is_taken_first)
{
	struct kept table[ROOM] = { 0 };
	struct kept *slot;

	for (uint64_t i = 0; i < 8; i++)
		take(table, i, (double)i);
	slot = ctask_recent_find(table, sizeof(*table), ROOM, key_number(7));
	ck_assert_ptr_nonnull(slot);
	slot->recent.key = 0;
	ck_assert(!is_there(table, 7));
	take(table, 7, 8);
	for (uint64_t i = 0; i < 8; i++)
		ck_assert(is_there(table, i));
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("recent");

	tcase_add_test(tests, eight_are_kept);
	tcase_add_test(tests, the_oldest_gives_way);
	tcase_add_test(tests, a_free_slot_is_taken_first);
	return made_run("recent", tests);
}
