/* entry.c - where at the beginning of a function a probe costs least. */
#include "bpf/entry.h"

#if defined(__x86_64__)

enum {
	REX = 0x40,
	REX_B = 1,
	REX_R = 4,
	MODRM_DIRECT = 3,
	MODRM_SIB = 4,
	MODRM_RIP = 5,
	PASSED_MAX = 8,
};

/* One instruction: its bytes, and the register that it changes; -1 = none. */
struct instruction {
	size_t len;
	int changes;
};

/* Kernels since 4.16 emulate these (arch/x86/kernel/uprobes.c: branch_setup_xol_ops, push_setup_xol_ops). */
static bool is_emulated(const uint8_t *code, size_t len)
{
	if (len > 1 && code[0] == (REX | REX_B)) /* push of r8 to r15 */
		return code[1] >= 0x50 && code[1] <= 0x57;
	if (len > 1 && code[0] == 0x0f)
		return code[1] >= 0x80 && code[1] <= 0x8f;
	return len &&
	       ((code[0] >= 0x50 && code[0] <= 0x57) || (code[0] >= 0x70 && code[0] <= 0x7f) ||
		code[0] == 0xe8 || code[0] == 0xe9 || code[0] == 0xeb);
}

/* The bytes of a ModRM and what belongs to it. */
static size_t operand_bytes(const uint8_t *at, size_t len)
{
	int mode = at[0] >> 6, rm = at[0] & 7;
	size_t bytes = 1;

	if (mode == MODRM_DIRECT)
		return bytes;
	if (rm == MODRM_SIB) {
		if (len < 2 || (mode == 0 && (at[1] & 7) == 5))
			return len + 1; /* seldom: not taken */
		bytes++;
	}
	if (mode == 1)
		return bytes + 1;
	return mode == 2 || rm == MODRM_RIP ? bytes + 4 : bytes;
}

/* The few kinds of instruction that compilers put before the first push. False for all others. */
static bool decode(const uint8_t *code, size_t len, struct instruction *ret)
{
	static const uint8_t endbr64[] = { 0xf3, 0x0f, 0x1e, 0xfa };
	size_t at = 0, immediate = 0;
	int rex = 0, in_register, in_operand;
	uint8_t opcode;

	*ret = (struct instruction){ .changes = -1 };
	if (len >= sizeof(endbr64) && code[0] == endbr64[0] && code[1] == endbr64[1] &&
	    code[2] == endbr64[2] && code[3] == endbr64[3]) {
		ret->len = sizeof(endbr64);
		return true;
	}
	if (len && (code[0] & 0xf0) == REX)
		rex = code[at++];
	if (at + 2 > len)
		return false;
	opcode = code[at++];
	if (opcode >= 0xb8 && opcode <= 0xbf) { /* mov: a constant */
		ret->changes = (opcode & 7) | (rex & REX_B ? 8 : 0);
		ret->len = at + (rex & 8 ? 8 : 4);
		return ret->len <= len;
	}
	in_register = (code[at] >> 3 & 7) | (rex & REX_R ? 8 : 0);
	in_operand = code[at] >> 6 == MODRM_DIRECT ? (code[at] & 7) | (rex & REX_B ? 8 : 0) : -1;
	switch (opcode) {
	case 0x31: /* xor */
	case 0x89: /* mov */
		ret->changes = in_operand;
		break;
	case 0x63: /* movslq */
	case 0x8b: /* mov */
	case 0x8d: /* lea */
		ret->changes = in_register;
		break;
	case 0x39: /* cmp */
	case 0x3b:
	case 0x85: /* test */
		break;
	case 0x83: /* sub, cmp … of a byte */
		ret->changes = in_operand;
		immediate = 1;
		break;
	case 0xc7: /* mov: a constant */
		ret->changes = in_operand;
		immediate = 4;
		break;
	default:
		return false;
	}
	ret->len = at + operand_bytes(code + at, len - at) + immediate;
	return ret->len <= len;
}

static bool is_needed(int changed, int needs)
{
	enum { RCX = 1, RDX = 2, RSP = 4, RSI = 6, RDI = 7 };

	switch (changed) {
	case RSP:
		return needs & CTASK_ENTRY_STACK;
	case RDI:
		return needs & CTASK_ENTRY_SELF;
	case RCX:
	case RDX:
	case RSI:
		return needs & CTASK_ENTRY_ARGUMENTS;
	default:
		return false;
	}
}

size_t ctask_entry_cheapest(const uint8_t *code, size_t len, int needs)
{
	struct instruction passed;
	size_t at = 0;

	for (int i = 0; i < PASSED_MAX && at < len; i++) {
		if (is_emulated(code + at, len - at))
			return at;
		if (!decode(code + at, len - at, &passed) || is_needed(passed.changes, needs))
			return 0;
		at += passed.len;
	}
	return 0;
}

#else

size_t ctask_entry_cheapest(const uint8_t *code, size_t len, int needs)
{
	(void)code;
	(void)len;
	(void)needs;
	return 0;
}

#endif
