/* number.c - the numbers in a text for people, which may differ where texts are told together. */
#include "analysis/number.h"

#include <string.h>

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* A character of a name; all that is not ASCII is taken for one. */
static bool is_word(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
	       (c & 0x80);
}

/* Where the name or number that begins at @p at ends: "asyncio.Queue", "1.5", "10.0.0.1". */
static const char *end_of_run(const char *at)
{
	while (is_word(*at) || (*at == '.' && is_word(at[1])))
		at++;
	return at;
}

/* "1.5e-06": @p end lies behind the "e". */
static bool has_exponent(const char *start, const char *end)
{
	size_t len = strspn(start, "0123456789.");

	return len > 0 && start + len + 1 == end && (*(end - 1) == 'e' || *(end - 1) == 'E') &&
	       (*end == '+' || *end == '-') && is_digit(end[1]);
}

static bool is_number(const char *start, const char *end)
{
	const char *at = start;

	while (is_digit(*at))
		at++;
	if (at > start && at < end && *at == '.') {
		at++;
		while (is_digit(*at))
			at++;
	}
	return at == end && at > start;
}

size_t ctask_numbers_find(const char *text, struct ctask_number *numbers)
{
	const char *at = text;
	size_t count = 0;

	while (*at && count < CTASK_NUMBERS_MAX) {
		const char *start = at, *end;
		bool dotted;

		if (!is_word(*at)) {
			at++;
			continue;
		}
		end = end_of_run(at);
		if (has_exponent(at, end)) {
			at = end_of_run(end + 1);
			continue;
		}
		dotted = (start > text && start[-1] == '.') || (end[0] == '.' && end[1] == '.');
		if (!dotted && is_number(start, end)) {
			/* A sign belongs to it, a hyphen ("Task-5") does not. */
			if (start > text && start[-1] == '-' &&
			    (start - 1 == text || start[-2] == ' '))
				start--;
			numbers[count++] = (struct ctask_number){ start, (size_t)(end - start) };
		}
		at = end;
	}
	return count;
}
