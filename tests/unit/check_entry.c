/* check_entry.c - where a probe costs least: the beginnings of functions, as compilers made them. */
#include "bpf/entry.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/made.h"

enum { ALL = CTASK_ENTRY_SELF | CTASK_ENTRY_ARGUMENTS | CTASK_ENTRY_STACK };

/* From disassembled builds of CPython; the places are read off by hand. */
static const struct {
	const char *what;
	uint8_t code[32];
	size_t len;
	int needs;
	size_t place;
} entries[] = {
	{ "push %r13", { 0x41, 0x55, 0x41, 0x54 }, 4, ALL, 0 },
	{ "endbr64; push %r12 (Task.cancel, Debian's 3.13)",
	  { 0xf3, 0x0f, 0x1e, 0xfa, 0x41, 0x54, 0x55 },
	  7,
	  ALL,
	  4 },
	{ "mov 0x48(%rdi),%eax; movl $0,0x4c(%rdi); test; jne (Task.cancel, 3.8)",
	  { 0x8b, 0x47, 0x48, 0xc7, 0x47, 0x4c, 0, 0, 0, 0, 0x85, 0xc0, 0x75, 0x72 },
	  14,
	  ALL,
	  12 },
	{ "lea -1(%rdx),%rax; push %r12 (coroutine.throw, 3.13)",
	  { 0x48, 0x8d, 0x42, 0xff, 0x41, 0x54 },
	  6,
	  CTASK_ENTRY_SELF,
	  4 },
	{ "mov 0xa8(%rdi),%eax; test; jle (Task.uncancel, 3.11)",
	  { 0x8b, 0x87, 0xa8, 0, 0, 0, 0x85, 0xc0, 0x7e, 0x09 },
	  10,
	  CTASK_ENTRY_SELF,
	  8 },
	{ "endbr64; sub $0x18,%rsp; mov %rbx,8(%rsp); mov %rdi,%rbx; call (a task's end, 3.14)",
	  { 0xf3, 0x0f, 0x1e, 0xfa, 0x48, 0x83, 0xec, 0x18, 0x48, 0x89, 0x5c,
	    0x24, 0x08, 0x48, 0x89, 0xfb, 0xe8, 0x1b, 0x81, 0xff, 0xff },
	  21,
	  CTASK_ENTRY_SELF,
	  16 },
	{ "the same, where the stack pointer is needed",
	  { 0xf3, 0x0f, 0x1e, 0xfa, 0x48, 0x83, 0xec, 0x18, 0x48, 0x89, 0x5c,
	    0x24, 0x08, 0x48, 0x89, 0xfb, 0xe8, 0x1b, 0x81, 0xff, 0xff },
	  21,
	  ALL,
	  0 },
	{ "movslq 0x68(%rdi),%rdi; jmp (Task.cancelling, 3.13), where no argument is needed",
	  { 0x48, 0x63, 0x7f, 0x68, 0xe9, 0xf7, 0xea, 0xff, 0xff },
	  9,
	  0,
	  4 },
	{ "the same, where they are",
	  { 0x48, 0x63, 0x7f, 0x68, 0xe9, 0xf7, 0xea, 0xff, 0xff },
	  9,
	  CTASK_ENTRY_SELF,
	  0 },
	{ "endbr64; mov %rdi,%rax; mov 0x70(%rdi),%edi; test; jle (Task.uncancel, 3.15)",
	  { 0xf3, 0x0f, 0x1e, 0xfa, 0x48, 0x89, 0xf8, 0x8b, 0x7f, 0x70, 0x85, 0xff, 0x7e, 0x0b },
	  14,
	  CTASK_ENTRY_SELF,
	  0 },
	{ "…; mov %rdx,%rcx; cmp $2,%rax; ja (coroutine.throw, 3.14)",
	  { 0xf3, 0x0f, 0x1e, 0xfa, 0x48, 0x8d, 0x42, 0xff, 0x48, 0x83, 0xec, 0x28, 0x49, 0x89,
	    0xfa, 0x48, 0x89, 0xd1, 0x48, 0x83, 0xf8, 0x02, 0x0f, 0x87, 0x9c, 0x36, 0xd0, 0xff },
	  28,
	  CTASK_ENTRY_SELF,
	  22 },
	{ "mov $3,%ecx; push: the fourth argument", { 0xb9, 3, 0, 0, 0, 0x53 }, 6, ALL, 0 },
	{ "lea 0x91e8(%rip),%rax; push", { 0x48, 0x8d, 0x05, 0xe8, 0x91, 0, 0, 0x53 }, 8, ALL, 7 },
	{ "an instruction that is not known; push", { 0x0f, 0xa2, 0x53 }, 3, ALL, 0 },
	{ "cut off before the push", { 0xf3, 0x0f, 0x1e, 0xfa }, 4, ALL, 0 },
};

START_TEST(one_entry)
{
	ck_assert_msg(ctask_entry_cheapest(entries[_i].code, entries[_i].len, entries[_i].needs) ==
			      entries[_i].place,
		      "%s", entries[_i].what);
}
END_TEST

/* Whatever the bytes are, nothing behind them is read (in a build with ASan), and the place lies within. */
START_TEST(any_bytes)
{
	enum { ROUNDS = 20000, LEN_MAX = 24 };

	srand(1);
	for (int round = 0; round < ROUNDS; round++) {
		size_t len = (size_t)rand() % (LEN_MAX + 1), place;
		uint8_t *code = malloc(len + !len);

		ck_assert_ptr_nonnull(code);
		for (size_t i = 0; i < len; i++)
			code[i] = entries[rand() % (int)ARRAY_SIZE(entries)].code[rand() % 16];
		place = ctask_entry_cheapest(code, len, rand() % 8);
		ck_assert(place == 0 || place < len);
		free(code);
	}
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("entry");

	tcase_add_loop_test(tests, one_entry, 0, ARRAY_SIZE(entries));
	tcase_add_test(tests, any_bytes);
	return made_run("entry", tests);
}
