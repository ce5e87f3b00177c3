/* options.c - options that cannot be meant: told in one line. */
#include "cli/options.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>

#include "cli/report.h"

enum { OPTION_USAGE = 0x400 };

/* Those that argp adds: each is obeyed before what follows is looked at. */
static const struct argp_option default_options[] = {
	{ "help", '?', NULL, 0, NULL, 0 },
	{ "usage", OPTION_USAGE, NULL, 0, NULL, 0 },
	{ "version", 'V', NULL, 0, NULL, 0 },
	{ 0 },
};

static const struct argp default_argp = { .options = default_options };

/* What was looked for by a long name, or the beginning of one. */
struct found {
	const struct argp_option *exact, *first, *second;
};

static bool is_end(const struct argp_option *o)
{
	return !o->name && !o->key && !o->doc && !o->group;
}

static void find_long(const struct argp *argp, const char *name, size_t len, struct found *found)
{
	const struct argp_option *o = argp->options;

	for (; o && !is_end(o); o++) {
		if (!o->name || strncmp(o->name, name, len) != 0)
			continue;
		if (!o->name[len])
			found->exact = o;
		else if (!found->first)
			found->first = o;
		else
			found->second = o;
	}
	for (const struct argp_child *c = argp->children; c && c->argp; c++)
		find_long(c->argp, name, len, found);
}

static const struct argp_option *find_short(const struct argp *argp, char letter)
{
	const struct argp_option *o = argp->options, *found;

	for (; o && !is_end(o); o++) {
		if (o->key == letter)
			return o;
	}
	for (const struct argp_child *c = argp->children; c && c->argp; c++) {
		found = find_short(c->argp, letter);
		if (found)
			return found;
	}
	return NULL;
}

static bool ends_all(const struct argp_option *o)
{
	for (const struct argp_option *d = default_options; !is_end(d); d++) {
		if (d == o)
			return true;
	}
	return false;
}

static bool needs_value(const struct argp_option *o)
{
	return o->arg && !(o->flags & OPTION_ARG_OPTIONAL);
}

/* The option --@p text; *ret_next: whether its value is the next word. */
static const struct argp_option *check_long(const struct argp *argp, const struct argp_state *state,
					    const char *text, bool *ret_next)
{
	size_t len = strcspn(text, "=");
	struct found found = { 0 };
	const struct argp_option *o;

	find_long(argp, text, len, &found);
	find_long(&default_argp, text, len, &found);
	if (len > 0 && !found.exact && found.second)
		ctask_usage_error(state, "'--%.*s' could be --%s or --%s: see '%s --help'",
				  (int)len, text, found.first->name, found.second->name,
				  state->name);
	o = found.exact ? found.exact : found.first;
	if (!o || len == 0)
		ctask_usage_error(state, "there is no option '--%.*s': see '%s --help'", (int)len,
				  text, state->name);
	if (text[len] && !o->arg)
		ctask_usage_error(state, "the option --%s takes no value: see '%s --help'", o->name,
				  state->name);
	*ret_next = !text[len] && needs_value(o);
	return o;
}

/* The options -@p letters, such as -ac. */
static const struct argp_option *check_short(const struct argp *argp,
					     const struct argp_state *state, const char *letters,
					     bool *ret_next)
{
	const struct argp_option *o = NULL;

	for (; *letters; letters++) {
		o = find_short(argp, *letters);
		if (!o)
			o = find_short(&default_argp, *letters);
		if (!o)
			ctask_usage_error(state, "there is no option '-%.*s': see '%s --help'",
					  *letters & 0x80 ? INT_MAX : 1, letters, state->name);
		*ret_next = needs_value(o) && !letters[1];
		if (o->arg || ends_all(o))
			break;
	}
	return o;
}

static void check_options(const struct argp *argp, const struct argp_state *state, int argc,
			  char **argv, bool in_order)
{
	for (int i = 1; i < argc; i++) {
		const struct argp_option *o;
		bool next = false;

		if (strcmp(argv[i], "--") == 0)
			return;
		if (argv[i][0] != '-' || !argv[i][1]) {
			if (in_order)
				return;
			continue;
		}
		o = argv[i][1] == '-' ? check_long(argp, state, argv[i] + 2, &next)
				      : check_short(argp, state, argv[i] + 1, &next);
		if (ends_all(o))
			return;
		if (next && ++i == argc)
			ctask_usage_error(state, "the option '%s' needs a value: see '%s --help'",
					  argv[i - 1], state->name);
	}
}

void ctask_options_parse(const struct argp *argp, int argc, char **argv, unsigned flags,
			 void *input)
{
	char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
	const struct argp_state state = {
		.name = slash	   ? slash + 1
			: argc > 0 ? argv[0]
				   : program_invocation_short_name,
	};

	check_options(argp, &state, argc, argv, flags & ARGP_IN_ORDER);
	argp_parse(argp, argc, argv, flags, NULL, input);
}
