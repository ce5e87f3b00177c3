/* check_slots.c - tables whose keys are addresses. */
#include "agent/slots.h"

#include "tests/unit/made.h"

enum { ROOM = 64 };

struct kept {
	const void *key;
	int value;
};

static const void *key_number(uintptr_t number)
{
	return (const void *)(0x7f0000000000 + number * 48);
}

/* Open addressing: what goes moves others, and none is lost. */
START_TEST(what_is_freed_hides_nothing)
{
	struct kept table[ROOM] = { 0 };

	for (uintptr_t i = 0; i < ROOM - 4; i++) {
		struct kept *slot = ctask_slots_find(table, sizeof(*table), ROOM, key_number(i));

		ck_assert_ptr_null(slot->key);
		*slot = (struct kept){ key_number(i), (int)i };
	}
	for (uintptr_t gone = 0; gone < ROOM - 4; gone++) {
		ctask_slots_free(table, sizeof(*table), ROOM,
				 ctask_slots_find(table, sizeof(*table), ROOM, key_number(gone)));
		for (uintptr_t i = 0; i < ROOM - 4; i++) {
			const struct kept *slot =
				ctask_slots_find(table, sizeof(*table), ROOM, key_number(i));

			ck_assert_ptr_eq(slot->key, i > gone ? key_number(i) : NULL);
		}
	}
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("slots");

	tcase_add_test(tests, what_is_freed_hides_nothing);
	return made_run("slots", tests);
}
