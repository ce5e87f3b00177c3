/* report.c - how a command ends: its exit status, and one line that says why. */
#include "cli/report.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli/render/glyph.h"
#include "cli/terminal.h"
#include "model/cleanup.h"

enum { PROBLEMS_TOLD = 5 };

static const struct {
	int code;
	enum ctask_exit status;
} statuses[] = {
	{ ESRCH, CTASK_EXIT_NO_PROCESS },	 { EPERM, CTASK_EXIT_NOT_PERMITTED },
	{ EACCES, CTASK_EXIT_NOT_PERMITTED },	 { ENOTSUP, CTASK_EXIT_NO_RUNTIME },
	{ EOWNERDEAD, CTASK_EXIT_TARGET_ENDED },
};

static void say(const char *name, const char *text)
{
	fprintf(stderr, "%s: ", name);
	ctask_glyph_put(text, ctask_terminal_is_utf8(), stderr);
	fputc('\n', stderr);
}

int ctask_report_error(const struct ctask_error *err)
{
	say("ctaskctl", err->text);
	for (size_t i = 0; i < ARRAY_SIZE(statuses); i++) {
		if (statuses[i].code == err->code)
			return statuses[i].status;
	}
	return CTASK_EXIT_FAILED;
}

void ctask_report_warning(const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	say("ctaskctl", text);
}

void ctask_report_problems(const struct ctask_snapshot *snap)
{
	uint64_t count = snap->problem_count + snap->problems_untold;
	uint32_t told = snap->problem_count < PROBLEMS_TOLD ? snap->problem_count : PROBLEMS_TOLD;

	fprintf(stderr, "ctaskctl: not all could be read: %llu %s\n", (unsigned long long)count,
		count == 1 ? "problem" : "problems");
	for (uint32_t i = 0; i < told; i++) {
		char name[64] = "  process";

		if (snap->problems[i].task)
			snprintf(name, sizeof(name), "  task 0x%llx",
				 (unsigned long long)snap->problems[i].task);
		say(name, snap->problems[i].text);
	}
	if (count > told)
		fprintf(stderr, "  %llu more: see capture.problems of --json\n",
			(unsigned long long)(count - told));
}

int ctask_report_written(void)
{
	bool failed = ferror(stdout);
	int code = errno;

	if (fflush(stdout)) {
		code = errno;
		failed = true;
	}
	if (!failed)
		return CTASK_EXIT_WHOLE;
	if (code != EPIPE)
		fprintf(stderr, "ctaskctl: cannot write the answer: %s\n", strerror(code));
	return CTASK_EXIT_FAILED;
}

void ctask_usage_error(const struct argp_state *state, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	say(state->name, text);
	exit(CTASK_EXIT_USAGE);
}

long ctask_usage_number(const struct argp_state *state, const char *what, const char *text,
			long least, long most)
{
	long number;

	if (!*text || text[strspn(text, "0123456789")])
		ctask_usage_error(state, "%s is a number from %ld to %ld, not '%s'", what, least,
				  most, text);
	errno = 0;
	number = strtol(text, NULL, 10);
	if (errno || number < least || number > most)
		ctask_usage_error(state, "%s is a number from %ld to %ld: %s is not", what, least,
				  most, text);
	return number;
}
