/* cmd_ps.c - ctaskctl ps: list the tasks, one a line. */
#include "cli/command.h"
#include "cli/look.h"

static error_t parse(int key, char *arg, struct argp_state *state)
{
	(void)arg;
	if (key != ARGP_KEY_INIT)
		return ARGP_ERR_UNKNOWN;
	state->child_inputs[0] = state->input;
	return 0;
}

int ctask_cmd_ps(int argc, char **argv)
{
	static const struct argp_child children[] = { { &ctask_look_argp, 0, NULL, 0 }, { 0 } };
	const struct argp argp = {
		.parser = parse,
		.args_doc = ctask_look_args_doc,
		.doc = "List the async tasks of a process, one a line. Formats: text, csv, json.",
		.children = children,
	};
	struct ctask_look look = { .formats = ctask_ps_formats };

	return ctask_look_run(&look, &argp, argc, argv);
}
