/* check_calls.c - calls of cancel() in threads that come and go. */
#include "bpf/calls.h"

#include <stdlib.h>
#include <sys/resource.h>

#include "bpf/objects.h"
#include "tests/unit/made.h"

/* What calls.c asks of a target: there is none. */

int ctask_stack_find_frame(const struct ctask_stack_seen *stack, uint64_t frame)
{
	(void)frame;
	return stack->count;
}

bool ctask_is_named(struct ctask_heap *heap, uint64_t obj, const char *name)
{
	(void)heap, (void)obj, (void)name;
	return false;
}

uint64_t ctask_seen_local(struct ctask_heap *heap, const struct ctask_seen *seen, int slot)
{
	(void)heap, (void)seen, (void)slot;
	return 0;
}

/* A service may have had any number of threads: what is kept of them must not grow with it. */
START_TEST(threads_come_and_go)
{
	enum { THREADS = 20000, ROOM_BYTES = 1 << 30 };
	const struct rlimit limit = { ROOM_BYTES, ROOM_BYTES };
	const struct ctask_call call = { .id = 1 };
	struct ctask_calls *calls = ctask_calls_create();

	ck_assert_ptr_nonnull(calls);
#ifndef __SANITIZE_ADDRESS__ /* which takes all addresses */
	ck_assert_int_eq(setrlimit(RLIMIT_AS, &limit), 0);
#endif
	for (uint32_t tid = 1; tid <= THREADS; tid++)
		ck_assert(ctask_calls_add(calls, tid, &call));
	ctask_calls_destroy(calls);
	(void)limit;
}
END_TEST

/* There is room for as many as lie in each other in one thread, and no more. */
START_TEST(calls_in_each_other)
{
	const struct ctask_call call = { .id = 1 };
	struct ctask_calls *calls = ctask_calls_create();
	int count = 0;

	ck_assert_ptr_nonnull(calls);
	while (count < 100000 && ctask_calls_add(calls, 7, &call))
		count++;
	ck_assert_int_eq(count, 4096);
	ck_assert(ctask_calls_add(calls, 8, &call));
	ctask_calls_destroy(calls);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("calls");

	tcase_add_test(tests, threads_come_and_go);
	tcase_add_test(tests, calls_in_each_other);
	return made_run("calls", tests);
}
