/* display.c - the options of every command that prints: how it should look. */
#include "cli/display.h"

#include <string.h>

#include "cli/report.h"
#include "model/cleanup.h"

enum { OPTION_COLOR = 0x100 };

static const struct argp_option options[] = {
	{ "ascii", 'A', NULL, 0, "Print ASCII only", 0 },
	{ "utf-8", 'U', NULL, 0, "Print UTF-8, whatever the locale says", 0 },
	{ "long", 'l', NULL, 0, "Do not cut lines to the width of the terminal", 0 },
	{ "color", OPTION_COLOR, "WHEN", OPTION_ARG_OPTIONAL,
	  "Colour: auto (on a terminal, unless NO_COLOR is set), always, never", 0 },
	{ 0 },
};

static const struct {
	const char *word;
	enum ctask_when when;
} color_words[] = { { "always", CTASK_ALWAYS }, { "auto", CTASK_AUTO }, { "never", CTASK_NEVER } };

static enum ctask_when parse_when(const char *word, const struct argp_state *state)
{
	for (size_t i = 0; i < ARRAY_SIZE(color_words); i++) {
		if (strcmp(color_words[i].word, word) == 0)
			return color_words[i].when;
	}
	ctask_usage_error(state, "--color takes auto, always or never, not '%s'", word);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct ctask_terminal_wishes *wishes = state->input;

	switch (key) {
	case 'A':
		wishes->utf8 = CTASK_NEVER;
		return 0;
	case 'U':
		wishes->utf8 = CTASK_ALWAYS;
		return 0;
	case 'l':
		wishes->uncut = true;
		return 0;
	case OPTION_COLOR:
		wishes->color = parse_when(arg ? arg : "always", state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp ctask_display_argp = { .options = options, .parser = parse };
