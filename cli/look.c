/* look.c - what pstree and ps share: look into one process, and print what is there. */
#include "cli/look.h"

#include <stdlib.h>
#include <string.h>

#include "analysis/narrow.h"
#include "cli/display.h"
#include "cli/options.h"
#include "cli/recorded.h"
#include "cli/report.h"
#include "model/cleanup.h"
#include "model/fit.h"
#include "reader/enrich.h"
#include "reader/told.h"

enum {
	OPTION_CORE = 0x200,
	OPTION_EXE,
	OPTION_FORMAT,
	OPTION_JSON,
	OPTION_MAX_PAUSE,
	OPTION_NO_PAUSE,
	OPTION_SOURCE,
	OPTION_SYSTEM,
	OPTION_TASK,
	OPTION_THREAD,
};

enum {
	PID_MOST = 4194304, /* the kernel's PID_MAX_LIMIT on 64 bits */
	MAX_PAUSE_MS_MOST = 60000,
};

const char ctask_look_args_doc[] = "PID\n--core=FILE";

static const struct argp_option options[] = {
	{ NULL, 0, NULL, 0, "What to show:", 1 },
	{ "task", OPTION_TASK, "NAME|ID", 0,
	  "Only the tasks of this name (or this 0x… id), what they wait for, and who waits for them",
	  1 },
	{ "system", OPTION_SYSTEM, NULL, 0,
	  "Show the runtime's own tasks too, such as trio's system tasks", 1 },
	{ "thread", OPTION_THREAD, "TID", 0, "Only the tasks of this thread's event loop", 1 },
	{ NULL, 0, NULL, 0, "How to read:", 2 },
	{ "core", OPTION_CORE, "FILE", 0, "Read a core file instead of a process", 2 },
	{ "exe", OPTION_EXE, "FILE", 0, "The executable that the core file came from", 2 },
	{ "max-pause", OPTION_MAX_PAUSE, "MS", 0,
	  "Stop the process for no longer than this, all in all (default: 100 ms)", 2 },
	{ "no-pause", OPTION_NO_PAUSE, NULL, 0, "Never stop the process; fail instead", 2 },
	{ "source", OPTION_SOURCE, "SOURCE", 0,
	  "memory: read the process's memory; agent: ask the agent in it. The default is memory, "
	  "and where that may not be read, the agent",
	  2 },
	{ NULL, 0, NULL, 0, "How to print:", 3 },
	{ "format", OPTION_FORMAT, "FORMAT", 0, "One of the command's formats; text is the default",
	  3 },
	{ "json", OPTION_JSON, NULL, 0, "The same as --format=json", 3 },
	{ 0 },
};

static void set_format(struct ctask_look *look, const char *word, const struct argp_state *state)
{
	char known[64] = "";

	look->format = ctask_format_find(look->formats, word);
	if (look->format)
		return;
	for (const struct ctask_format *f = look->formats; f->word; f++) {
		strncat(known, f == look->formats ? "" : ", ", sizeof(known) - strlen(known) - 1);
		strncat(known, f->word, sizeof(known) - strlen(known) - 1);
	}
	ctask_usage_error(state, "there is no format '%s', only: %s", word, known);
}

static enum ctask_look_source parse_source(const char *word, const struct argp_state *state)
{
	if (strcmp(word, "memory") == 0)
		return CTASK_LOOK_MEMORY;
	if (strcmp(word, "agent") == 0)
		return CTASK_LOOK_AGENT;
	ctask_usage_error(state, "there is no source '%s', only: memory, agent", word);
}

static void check(const struct ctask_look *look, const struct argp_state *state)
{
	if (look->core && look->pid)
		ctask_usage_error(state, "a core file and a process id: only one of them");
	if (look->exe && !look->core)
		ctask_usage_error(state, "--exe only goes with --core");
	if (look->core && (look->capture.no_pause || look->capture.max_pause_ms))
		ctask_usage_error(state,
				  "a core file cannot be stopped: no --no-pause, --max-pause");
	if (look->core && look->source)
		ctask_usage_error(state, "a core file is a source by itself: no --source");
	if (look->source == CTASK_LOOK_AGENT &&
	    (look->capture.no_pause || look->capture.max_pause_ms))
		ctask_usage_error(state,
				  "an agent is not told how long it may take: no --no-pause, "
				  "--max-pause");
	if (look->capture.no_pause && look->capture.max_pause_ms)
		ctask_usage_error(state, "--no-pause and --max-pause: only one of them");
	if (!look->core && !look->pid)
		ctask_usage_error(state, "which process? Give its id: 'ctaskctl ls' lists them");
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct ctask_look *look = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &look->wishes;
		look->format = look->formats;
		return 0;
	case OPTION_CORE:
		look->core = arg;
		return 0;
	case OPTION_EXE:
		look->exe = arg;
		return 0;
	case OPTION_FORMAT:
		set_format(look, arg, state);
		return 0;
	case OPTION_JSON:
		set_format(look, "json", state);
		return 0;
	case OPTION_MAX_PAUSE:
		look->capture.max_pause_ms = (uint32_t)ctask_usage_number(
			state, "--max-pause, in milliseconds,", arg, 1, MAX_PAUSE_MS_MOST);
		return 0;
	case OPTION_NO_PAUSE:
		look->capture.no_pause = true;
		return 0;
	case OPTION_SOURCE:
		look->source = parse_source(arg, state);
		return 0;
	case OPTION_SYSTEM:
		look->system = true;
		return 0;
	case OPTION_TASK:
		look->task = arg;
		return 0;
	case OPTION_THREAD:
		look->thread_id =
			(int32_t)ctask_usage_number(state, "a thread id", arg, 1, PID_MOST);
		return 0;
	case ARGP_KEY_ARG:
		if (look->pid)
			ctask_usage_error(state, "one process at a time, not also '%s'", arg);
		look->pid = (pid_t)ctask_usage_number(state, "a process id", arg, 1, PID_MOST);
		return 0;
	case ARGP_KEY_END:
		check(look, state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child children[] = { { &ctask_display_argp, 0, NULL, 3 }, { 0 } };

const struct argp ctask_look_argp = {
	.options = options,
	.parser = parse,
	.children = children,
};

static int read_memory(const struct ctask_look *look, struct ctask_snapshot **ret_snap,
		       struct ctask_error *err)
{
	struct ctask_snapshot *snap;
	int ret = ctask_capture_process(look->pid, &look->capture, &snap, err);

	if (ret)
		return ret;
	ret = ctask_enrich_process(snap, look->pid, err);
	if (!ret && !snap->history)
		ret = ctask_recorded_enrich(snap, look->pid, err);
	if (ret)
		ctask_snapshot_destroy(snap);
	else
		*ret_snap = snap;
	return ret;
}

struct ctask_agent_options ctask_look_agent_options(void)
{
	/* Often it was started with the environment that we have. */
	return (struct ctask_agent_options){
		.places = { .ctask_dir = getenv("CTASK_DIR"),
			    .runtime_dir = getenv("XDG_RUNTIME_DIR"),
			    .tmp = getenv("TMPDIR") },
	};
}

static int ask_agent(const struct ctask_look *look, struct ctask_snapshot **ret_snap,
		     struct ctask_error *err)
{
	const struct ctask_agent_options how = ctask_look_agent_options();

	return ctask_told_process(look->pid, &how, ret_snap, err);
}

/* Memory may not be read. The agent answers without that right, if there is one. */
static int ask_instead(const struct ctask_look *look, struct ctask_snapshot **ret_snap,
		       struct ctask_error *err)
{
	const struct ctask_error refused = *err;
	struct ctask_error why = { 0 };

	/* An agent holds the interpreter where it gives no quiet moment. */
	if (look->source == CTASK_LOOK_MEMORY || look->capture.no_pause)
		return -EPERM;
	switch (-ask_agent(look, ret_snap, &why)) {
	case 0:
		return 0;
	case ENOTSUP:
		return ctask_fail(
			err, EPERM,
			"%s. Or ask an agent: none answers; 'ctaskctl run' starts programs "
			"with one",
			refused.text);
	case ESRCH:
	case EOWNERDEAD:
		*err = why;
		return -why.code;
	default:
		return ctask_fail(err, EPERM, "%s. Or ask its agent, but: %s", refused.text,
				  why.text);
	}
}

static int take_picture(const struct ctask_look *look, struct ctask_snapshot **ret_snap,
			struct ctask_error *err)
{
	int ret;

	if (look->core)
		return ctask_capture_core(look->core, look->exe, ret_snap, err);
	if (look->source == CTASK_LOOK_AGENT)
		return ask_agent(look, ret_snap, err);
	ret = read_memory(look, ret_snap, err);
	return ret == -EPERM ? ask_instead(look, ret_snap, err) : ret;
}

static int narrow(const struct ctask_look *look, struct ctask_snapshot *snap,
		  struct ctask_error *err)
{
	int ret = 0;

	if (look->thread_id)
		ret = ctask_narrow_to_thread(snap, look->thread_id, err);
	if (!ret && look->task)
		ret = ctask_narrow_to_task(snap, look->task, err);
	else if (!ret && look->format->for_people && !look->system)
		ret = ctask_narrow_to_program(snap, err);
	/* Of a history, what is about the tasks that are left. */
	if (!ret && (look->thread_id || look->task) && ctask_fit_history(snap))
		ret = ctask_fail(err, ENOMEM, "out of memory");
	return ret;
}

/* What could fail is behind us: only now does something go to stdout. */
static int print(struct ctask_look *look, const struct ctask_snapshot *snap)
{
	struct ctask_error err = { 0 };
	int status;

	ctask_terminal_look(&look->wishes, &look->render);
	if (look->format->render(snap, &look->render, stdout, &err))
		return ctask_report_error(&err);
	status = ctask_report_written();
	if (status != CTASK_EXIT_WHOLE || ctask_snapshot_complete(snap))
		return status;
	ctask_report_problems(snap);
	return CTASK_EXIT_IN_PART;
}

void ctask_look_refuse_negative(int argc, char **argv)
{
	const struct argp_state state = { .name = argv[0] };

	for (int i = 1; i < argc; i++) {
		if (argv[i][0] == '-' && argv[i][1] &&
		    !argv[i][1 + strspn(argv[i] + 1, "0123456789")])
			ctask_usage_error(&state, "a process id is a number from 1 to %d, not '%s'",
					  PID_MOST, argv[i]);
	}
}

int ctask_look_run(struct ctask_look *look, const struct argp *argp, int argc, char **argv)
{
	struct ctask_snapshot *snap = NULL;
	struct ctask_error err = { 0 };
	int status;

	ctask_look_refuse_negative(argc, argv);
	ctask_options_parse(argp, argc, argv, 0, look);
	if (take_picture(look, &snap, &err) || narrow(look, snap, &err))
		status = ctask_report_error(&err);
	else
		status = print(look, snap);
	ctask_snapshot_destroy(snap);
	return status;
}
