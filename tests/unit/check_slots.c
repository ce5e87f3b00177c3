/* check_slots.c - tables whose keys are addresses: of what is there, and of what is recent. */
#include "agent/slots.h"

#include <stdbool.h>

#include "tests/unit/made.h"

enum { ROOM = 64 };

struct kept {
	struct ctask_recent recent;
	int value;
};

static const void *key_number(uintptr_t number)
{
	return (const void *)(0x7f0000000000 + number * 48);
}

static void take(struct kept *table, uintptr_t number, double at)
{
	struct kept *slot = ctask_recent_take(table, sizeof(*table), ROOM, key_number(number));

	ck_assert_ptr_nonnull(slot);
	*slot = (struct kept){ { key_number(number), at }, (int)number };
}

static bool is_there(struct kept *table, uintptr_t number)
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

	for (uintptr_t start = 0; start < 10000; start += 8) {
		for (uintptr_t i = 0; i < 8; i++)
			take(table, start + i, (double)(start + i));
		for (uintptr_t i = 0; i < 8; i++)
			ck_assert_msg(is_there(table, start + i), "%d of %d", (int)i, (int)start);
	}
	ck_assert(!is_there(table, 20000));
	ck_assert_ptr_null(ctask_recent_find(table, sizeof(*table), ROOM, NULL));
}
END_TEST

START_TEST(the_oldest_gives_way)
{
	struct kept table[ROOM] = { 0 };
	uintptr_t number = 0;

	while (is_there(table, 0) || number == 0) {
		take(table, number, (double)number);
		number++;
		ck_assert_uint_lt(number, 1000);
	}
	/* It was the oldest of its places; of all others none that is younger than eight. */
	ck_assert_uint_ge(number, 9);
	for (uintptr_t i = number - 8; i < number; i++)
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

	for (uintptr_t i = 0; i < 8; i++)
		take(table, i, (double)i);
	slot = ctask_recent_find(table, sizeof(*table), ROOM, key_number(7));
	ck_assert_ptr_nonnull(slot);
	slot->recent.key = NULL;
	ck_assert(!is_there(table, 7));
	take(table, 7, 8);
	for (uintptr_t i = 0; i < 8; i++)
		ck_assert(is_there(table, i));
}
END_TEST

/* Open addressing: what goes moves others, and none is lost. */
START_TEST(what_is_freed_hides_nothing)
{
	struct kept table[ROOM] = { 0 };

	for (uintptr_t i = 0; i < ROOM - 4; i++) {
		struct kept *slot = ctask_slots_find(table, sizeof(*table), ROOM, key_number(i));

		ck_assert_ptr_null(slot->recent.key);
		*slot = (struct kept){ { key_number(i), 0 }, (int)i };
	}
	for (uintptr_t gone = 0; gone < ROOM - 4; gone++) {
		ctask_slots_free(table, sizeof(*table), ROOM,
				 ctask_slots_find(table, sizeof(*table), ROOM, key_number(gone)));
		for (uintptr_t i = 0; i < ROOM - 4; i++) {
			const struct kept *slot =
				ctask_slots_find(table, sizeof(*table), ROOM, key_number(i));

			ck_assert_ptr_eq(slot->recent.key, i > gone ? key_number(i) : NULL);
		}
	}
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("slots");

	tcase_add_test(tests, eight_are_kept);
	tcase_add_test(tests, the_oldest_gives_way);
	tcase_add_test(tests, a_free_slot_is_taken_first);
	tcase_add_test(tests, what_is_freed_hides_nothing);
	return made_run("slots", tests);
}
