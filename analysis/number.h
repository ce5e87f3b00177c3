/* number.h - the numbers in a text for people, which may differ where texts are told together. */
#ifndef CTASK_ANALYSIS_NUMBER_H
#define CTASK_ANALYSIS_NUMBER_H

#include <stdbool.h>
#include <stddef.h>

/** More numbers than these in one text are text. */
enum { CTASK_NUMBERS_MAX = 8 };

/** A number inside a text. */
struct ctask_number {
	const char *at;
	size_t len;
};

/**
 * Find the whole and decimal numbers in @p text that stand alone: digits in names
 * ("Worker1Queue"), addresses ("10.0.0.1"), hexadecimal and exponents ("1e+06")
 * are no numbers; those in "Task-5", "fd 7," and "2.5 s" are. At most
 * CTASK_NUMBERS_MAX go to @p numbers. Returns how many.
 */
size_t ctask_numbers_find(const char *text, struct ctask_number *numbers);

#endif
