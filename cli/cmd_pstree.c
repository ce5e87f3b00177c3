/* cmd_pstree.c - ctaskctl pstree: draw who awaits whom. */
#include "cli/command.h"
#include "cli/look.h"

static const struct argp_option options[] = {
	{ "all", 'a', NULL, 0,
	  "Show every frame of every task, the runtime's own too; and, where an agent in the process "
	  "knows, when, by whom and where it was made",
	  1 },
	{ "no-fold", 'c', NULL, 0, "Show each of several identical tasks", 1 },
	{ "ids", 'p', NULL, 0,
	  "Show ids, also of locks and queues; each task then has its own line, as with -c", 1 },
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
	case 'c':
		look->render.fold = false;
		return 0;
	case 'p':
		look->render.ids = true;
		look->render.fold = false;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int ctask_cmd_pstree(int argc, char **argv)
{
	static const struct argp_child children[] = { { &ctask_look_argp, 0, NULL, 0 }, { 0 } };
	const struct argp argp = {
		.options = options,
		.parser = parse,
		.args_doc = ctask_look_args_doc,
		.doc = "Draw the async tasks of a process: who awaits whom, where in the code each "
		       "one stands, and what it waits for. Formats: text, json.",
		.children = children,
	};
	struct ctask_look look = { .formats = ctask_pstree_formats, .render.fold = true };

	return ctask_look_run(&look, &argp, argc, argv);
}
