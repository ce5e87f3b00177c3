/* entry.h - where at the beginning of a function a probe costs least. */
#ifndef CTASK_BPF_ENTRY_H
#define CTASK_BPF_ENTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** What a probe reads, and what the instructions before it must have left as it was. */
enum ctask_entry_needs {
	CTASK_ENTRY_SELF = 1,	   /**< the register of the first argument */
	CTASK_ENTRY_ARGUMENTS = 2, /**< those of the second to the fourth */
	CTASK_ENTRY_STACK = 4,	   /**< the stack pointer: at the return address */
};

/**
 * How many bytes behind the start of a function, whose machine code is @p code, an instruction begins
 * that the kernel emulates: a probe on any other is stepped through, which takes ten times as long. Only instructions
 * that always run, and leave @p needs (enum ctask_entry_needs) as they are, are passed over. 0 when there is no
 * such place, or none is known on this processor.
 */
size_t ctask_entry_cheapest(const uint8_t *code, size_t len, int needs);

#endif
