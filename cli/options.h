/* options.h - options that cannot be meant: told in one line. */
#ifndef CTASK_CLI_OPTIONS_H
#define CTASK_CLI_OPTIONS_H

#include <argp.h>

/**
 * argp_parse(), but an option that is not there, that lacks its value, that takes
 * none, or that could be several is one line on stderr and CTASK_EXIT_USAGE. argp
 * itself says such things in two or three lines, and has no way to be told not to
 * that leaves its --help intact.
 */
void ctask_options_parse(const struct argp *argp, int argc, char **argv, unsigned flags,
			 void *input);

#endif
