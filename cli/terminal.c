/* terminal.c - what the place that the answer goes to can show. */
#include "cli/terminal.h"

#include <langinfo.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { WIDTH_LEAST = 20, WIDTH_DEFAULT = 80 };

bool ctask_terminal_is_utf8(void)
{
	return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

static bool wants_color(void)
{
	const char *no_color = getenv("NO_COLOR");
	const char *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && !(no_color && *no_color) && term && strcmp(term, "dumb");
}

static uint32_t columns(void)
{
	struct winsize size = { 0 };

	if (!isatty(STDOUT_FILENO))
		return 0;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) || size.ws_col == 0)
		return WIDTH_DEFAULT;
	return size.ws_col < WIDTH_LEAST ? WIDTH_LEAST : size.ws_col;
}

static bool decide(enum ctask_when when, bool otherwise)
{
	return when == CTASK_AUTO ? otherwise : when == CTASK_ALWAYS;
}

void ctask_terminal_look(const struct ctask_terminal_wishes *wishes,
			 struct ctask_render_options *options)
{
	options->utf8 = decide(wishes->utf8, ctask_terminal_is_utf8());
	options->color = decide(wishes->color, wants_color());
	options->width = wishes->uncut ? 0 : columns();
}
