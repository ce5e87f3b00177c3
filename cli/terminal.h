/* terminal.h - what the place that the answer goes to can show. */
#ifndef CTASK_CLI_TERMINAL_H
#define CTASK_CLI_TERMINAL_H

#include <stdbool.h>

#include "cli/render/render.h"

enum ctask_when { CTASK_AUTO, CTASK_ALWAYS, CTASK_NEVER };

/** What the user said about it. */
struct ctask_terminal_wishes {
	enum ctask_when color;
	enum ctask_when utf8;
	bool uncut;
};

/**
 * Set utf8, color and width of @p options for stdout: by the wishes, else by
 * the locale, and by whether it is a terminal; NO_COLOR and TERM=dumb are
 * obeyed unless the user wants colour always.
 */
void ctask_terminal_look(const struct ctask_terminal_wishes *wishes,
			 struct ctask_render_options *options);

/** True when the locale's characters are UTF-8; main() has called setlocale(). */
bool ctask_terminal_is_utf8(void);

#endif
