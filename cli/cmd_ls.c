/* cmd_ls.c - ctaskctl ls: show the processes that can be looked into. */
#include "cli/command.h"
#include "cli/discover.h"
#include "cli/display.h"
#include "cli/options.h"
#include "cli/render/render.h"
#include "cli/report.h"
#include "model/json.h"

enum { OPTION_JSON = 0x300 };

struct args {
	struct ctask_terminal_wishes wishes;
	bool json;
};

static const struct argp_option options[] = {
	{ "json", OPTION_JSON, NULL, 0, "Print JSON: \"ctask.processes\", version 1", 0 },
	{ 0 },
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct args *args = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &args->wishes;
		return 0;
	case OPTION_JSON:
		args->json = true;
		return 0;
	case ARGP_KEY_ARG:
		ctask_usage_error(state, "this command takes no '%s'", arg);
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int print(const struct args *args, const struct ctask_process_list *list,
		 struct ctask_error *err)
{
	struct ctask_render_options render = { 0 };

	if (args->json)
		return ctask_json_write_processes(list, stdout, err);
	ctask_terminal_look(&args->wishes, &render);
	return ctask_render_processes(list, &render, stdout, err);
}

int ctask_cmd_ls(int argc, char **argv)
{
	static const struct argp_child children[] = { { &ctask_display_argp, 0, NULL, 0 }, { 0 } };
	const struct argp argp = {
		.options = options,
		.parser = parse,
		.doc = "Show the processes on this host that ctask can look into: their runtime, "
		       "how many tasks they have, and whether you may.",
		.children = children,
	};
	struct ctask_process_list *list = NULL;
	struct ctask_error err = { 0 };
	struct args args = { 0 };
	int status;

	ctask_options_parse(&argp, argc, argv, 0, &args);
	if (ctask_discover(&list, &err) || print(&args, list, &err))
		status = ctask_report_error(&err);
	else
		status = ctask_report_written();
	ctask_process_list_destroy(list);
	return status;
}
