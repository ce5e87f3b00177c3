/* display.h - the options of every command that prints: how it should look. */
#ifndef CTASK_CLI_DISPLAY_H
#define CTASK_CLI_DISPLAY_H

#include <argp.h>

#include "cli/terminal.h"

/** A child parser; its input is a struct ctask_terminal_wishes, zeroed. */
extern const struct argp ctask_display_argp;

#endif
