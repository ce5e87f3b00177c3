/* moment.c - times as people write them on a command line. */
#include "cli/moment.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "model/cleanup.h"

enum { MICRO = 1000000, DAY_S = 86400 };

bool ctask_moment_span(const char *text, int64_t *ret_us)
{
	static const struct {
		const char *unit;
		double seconds;
	} units[] = {
		{ "", 1 },     { "s", 1 },	 { "ms", 0.001 }, { "m", 60 },
		{ "min", 60 }, { "h", 60 * 60 }, { "d", DAY_S },
	};
	size_t digits = strspn(text, "0123456789.");
	double number;
	char *end;

	if (digits == 0)
		return false;
	number = strtod(text, &end);
	if (end != text + digits)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		double us = number * units[i].seconds * MICRO;

		if (strcmp(end, units[i].unit) != 0)
			continue;
		if (!isfinite(us) || us > 1e17)
			return false;
		*ret_us = (int64_t)us;
		return true;
	}
	return false;
}

/* What may stand behind whole seconds: a fraction, and Z. */
static bool parse_rest(const char *rest, double *ret_fraction, bool *ret_utc)
{
	char *end = (char *)rest;

	*ret_fraction = 0;
	if (*rest == '.' && rest[1] >= '0' && rest[1] <= '9')
		*ret_fraction = strtod(rest, &end);
	*ret_utc = *end == 'Z';
	return strcmp(end, *ret_utc ? "Z" : "") == 0;
}

bool ctask_moment_parse(const char *text, int64_t now_us, int64_t *ret_us)
{
	static const struct {
		const char *format;
		bool dated;
	} forms[] = {
		{ "%Y-%m-%dT%H:%M:%S", true },
		{ "%Y-%m-%d %H:%M:%S", true },
		{ "%Y-%m-%dT%H:%M", true },
		{ "%Y-%m-%d %H:%M", true },
		{ "%Y-%m-%d", true },
		{ "%H:%M:%S", false },
		{ "%H:%M", false },
	};
	time_t now = (time_t)(now_us / MICRO), then;
	int64_t span;

	if (ctask_moment_span(text, &span)) {
		*ret_us = now_us - span;
		return true;
	}
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		struct tm tm = { 0 };
		double fraction;
		const char *rest;
		bool utc;

		if (!forms[i].dated && !localtime_r(&now, &tm))
			return false;
		tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
		rest = strptime(text, forms[i].format, &tm);
		if (!rest || !parse_rest(rest, &fraction, &utc) || (utc && !forms[i].dated))
			continue;
		tm.tm_isdst = -1;
		then = utc ? timegm(&tm) : mktime(&tm);
		if (then == (time_t)-1)
			return false;
		if (!forms[i].dated && then > now)
			then -= DAY_S;
		*ret_us = (int64_t)then * MICRO + (int64_t)(fraction * MICRO);
		return true;
	}
	return false;
}
