/* report.h - how a command ends: its exit status, and one line that says why. */
#ifndef CTASK_CLI_REPORT_H
#define CTASK_CLI_REPORT_H

#include <argp.h>

#include "model/error.h"
#include "model/snapshot.h"

enum ctask_exit {
	CTASK_EXIT_WHOLE = 0,
	CTASK_EXIT_FAILED = 1,
	CTASK_EXIT_USAGE = 2,
	CTASK_EXIT_NO_PROCESS = 3,
	CTASK_EXIT_NOT_PERMITTED = 4,
	CTASK_EXIT_NO_RUNTIME = 5,
	CTASK_EXIT_TARGET_ENDED = 6,
	CTASK_EXIT_IN_PART = 7,
};

/** Say on stderr what went wrong, and return the exit status for it. */
int ctask_report_error(const struct ctask_error *err);
/** Say something on stderr that is good to know. */
void ctask_report_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
/** Say on stderr what is missing from an answer that is not whole. */
void ctask_report_problems(const struct ctask_snapshot *snap);
/** Write out what is left in stdout. Returns CTASK_EXIT_WHOLE, or reports and returns CTASK_EXIT_FAILED. */
int ctask_report_written(void);

/** One line on stderr, and exit with CTASK_EXIT_USAGE. */
void ctask_usage_error(const struct argp_state *state, const char *format, ...)
	__attribute__((noreturn, format(printf, 2, 3)));
/**
 * The decimal number @p text, from @p least to @p most; anything else, a sign or
 * a space too, is a usage error that begins with @p what: "a process id".
 */
long ctask_usage_number(const struct argp_state *state, const char *what, const char *text,
			long least, long most);

#endif
