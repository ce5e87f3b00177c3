/* cmd_ps.c - ctaskctl ps: list the tasks, one a line. */
#include "cli/command.h"
#include "cli/look.h"

static const struct argp_option options[] = {
	{ "all", 'a', NULL, 0,
	  "Show also by whom and where each task was made, where an agent in the process knows",
	  1 },
	{ 0 },
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct ctask_look *look = state->input;

	(void)arg;
	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = look;
		return 0;
	case 'a':
		look->render.frames = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int ctask_cmd_ps(int argc, char **argv)
{
	static const struct argp_child children[] = { { &ctask_look_argp, 0, NULL, 0 }, { 0 } };
	const struct argp argp = {
		.options = options,
		.parser = parse,
		.args_doc = ctask_look_args_doc,
		.doc = "List the async tasks of a process, one a line. Formats: text, csv, json.",
		.children = children,
	};
	struct ctask_look look = { .formats = ctask_ps_formats };

	return ctask_look_run(&look, &argp, argc, argv);
}
