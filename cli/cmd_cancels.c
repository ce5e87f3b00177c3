/* cmd_cancels.c - ctaskctl cancels: who asked whom to stop, why, and how it ended. */
#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "cli/command.h"
#include "cli/display.h"
#include "cli/watch.h"
#include "cli/look.h"
#include "cli/moment.h"
#include "cli/options.h"
#include "cli/recorded.h"
#include "cli/report.h"
#include "model/cleanup.h"
#include "reader/cgroup.h"
#include "reader/process.h"

enum {
	OPTION_ALL = 0x500,
	OPTION_DURATION,
	OPTION_FORMAT,
	OPTION_JSON,
	OPTION_ORIGIN,
	OPTION_SINCE,
	OPTION_SOURCE,
	OPTION_TASK,
};

enum { PID_MOST = 4194304, LAST_MOST = 1000000000 };

struct args {
	struct ctask_terminal_wishes wishes;
	struct ctask_render_options render;
	struct ctask_story_filter filter;
	struct ctask_watch watch;
	bool narrowed, follow, all;
	enum source { SOURCE_ANY, SOURCE_AGENT, SOURCE_BPF } source;
};

static const struct argp_option options[] = {
	{ "frames", 'a', NULL, 0,
	  "Show every frame: of the call that asked, and of each task that was asked", 1 },
	{ "no-fold", 'c', NULL, 0, "Show each of several identical tasks, and each time", 1 },
	{ "ids", 'p', NULL, 0, "Show the ids of requests and tasks; implies -c", 1 },
	{ NULL, 0, NULL, 0, "What to show:", 2 },
	{ "all", OPTION_ALL, NULL, 0,
	  "In place of PID: every Python process of this host, those that begin later too; as root, "
	  "with --follow",
	  2 },
	{ "since", OPTION_SINCE, "TIME", 0,
	  "Only from then on: 30s, 10m, 2h ago, or a time of day, or a date and time", 2 },
	{ "task", OPTION_TASK, "NAME|ID", 0,
	  "Only what this task asked for or was asked: by its name, 0x… id or coroutine", 2 },
	{ "origin", OPTION_ORIGIN, "ORIGIN", 0,
	  "Only of this origin: timeout, sibling_failed, owner_failed, owner_cancelled, shutdown, "
	  "interrupt, explicit, unknown",
	  2 },
	{ "last", 'n', "N", 0, "Only the last N events; with JSON, the last N requests", 2 },
	{ "follow", 'f', NULL, 0, "Go on with what happens from now on", 2 },
	{ "duration", OPTION_DURATION, "TIME", 0, "Follow for so long: 30s, 10m, 2h", 2 },
	{ "source", OPTION_SOURCE, "SOURCE", 0,
	  "agent, or bpf: probes on a process without one, as root, with --follow; by default what there is",
	  2 },
	{ NULL, 0, NULL, 0, "How to print:", 3 },
	{ "format", OPTION_FORMAT, "FORMAT", 0, "text (the default) or json", 3 },
	{ "json", OPTION_JSON, NULL, 0, "The same as --format=json: one object a line", 3 },
	{ 0 },
};

static int64_t wall_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static enum ctask_origin parse_origin(const char *word, const struct argp_state *state)
{
	for (size_t i = 0; i < CTASK_ORIGINS; i++) {
		if (strcmp(ctask_origin_words[i], word) == 0)
			return (enum ctask_origin)i;
	}
	ctask_usage_error(state,
			  "there is no origin '%s', only: timeout, sibling_failed, owner_failed, "
			  "owner_cancelled, shutdown, interrupt, explicit, unknown",
			  word);
}

static bool parse_format(const char *word, const struct argp_state *state)
{
	if (strcmp(word, "json") != 0 && strcmp(word, "text") != 0)
		ctask_usage_error(state, "there is no format '%s', only: text, json", word);
	return strcmp(word, "json") == 0;
}

static enum source parse_source(const char *word, const struct argp_state *state)
{
	if (strcmp(word, "agent") != 0 && strcmp(word, "bpf") != 0)
		ctask_usage_error(state, "there is no source '%s', only: agent, bpf", word);
	return word[0] == 'a' ? SOURCE_AGENT : SOURCE_BPF;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct args *args = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &args->wishes;
		return 0;
	case OPTION_ALL:
		args->all = true;
		return 0;
	case 'a':
		args->render.frames = true;
		return 0;
	case 'c':
		args->render.fold = false;
		return 0;
	case 'p':
		args->render.ids = true;
		args->render.fold = false;
		return 0;
	case 'f':
		args->follow = true;
		return 0;
	case 'n':
		args->watch.telling.last =
			(uint32_t)ctask_usage_number(state, "--last", arg, 0, LAST_MOST);
		args->watch.telling.has_last = true;
		return 0;
	case OPTION_DURATION:
		if (!ctask_moment_span(arg, &args->watch.duration_us) ||
		    args->watch.duration_us == 0)
			ctask_usage_error(
				state, "--duration is a time such as 30s, 10m, 2h, not '%s'", arg);
		args->follow = true;
		return 0;
	case OPTION_SOURCE:
		args->source = parse_source(arg, state);
		return 0;
	case OPTION_FORMAT:
		args->watch.telling.json = parse_format(arg, state);
		return 0;
	case OPTION_JSON:
		args->watch.telling.json = true;
		return 0;
	case OPTION_ORIGIN:
		args->filter.origin = parse_origin(arg, state);
		args->filter.any_origin = false;
		args->narrowed = true;
		return 0;
	case OPTION_SINCE:
		if (!ctask_moment_parse(arg, wall_us(), &args->filter.since_us))
			ctask_usage_error(
				state,
				"--since is a time ago such as 30s, 10m, 2h, or a time such as "
				"14:03:07 or '2026-11-21 14:03:07', not '%s'",
				arg);
		args->narrowed = true;
		return 0;
	case OPTION_TASK:
		args->filter.task = arg;
		args->narrowed = true;
		return 0;
	case ARGP_KEY_ARG:
		if (args->watch.pid)
			ctask_usage_error(state, "one process at a time, not also '%s'", arg);
		args->watch.pid =
			(pid_t)ctask_usage_number(state, "a process id", arg, 1, PID_MOST);
		return 0;
	case ARGP_KEY_END:
		if (args->all && args->watch.pid)
			ctask_usage_error(state,
					  "--all is every process, in place of a process id; "
					  "every frame is shown with -a");
		if (args->all && !args->follow)
			ctask_usage_error(state,
					  "--all tells what happens from now on: add --follow");
		if (args->all && args->source != SOURCE_ANY)
			ctask_usage_error(state, "--all takes each process by its agent or, where "
						 "there is none, by bpf: no --source");
		if (!args->watch.pid && !args->all)
			ctask_usage_error(state,
					  "which process? Give its id: 'ctaskctl ls' lists them");
		if (args->source == SOURCE_BPF && !args->follow)
			ctask_usage_error(
				state, "--source=bpf sees what happens from now on: add --follow");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* Where the process's memory and descriptors may not be had, its agent hands the history over. */
static int open_history(pid_t pid, struct ctask_history_reader **ret_reader,
			struct ctask_error *err)
{
	const struct ctask_agent_options how = ctask_look_agent_options();
	int fd, ret = ctask_history_reader_open(pid, ret_reader, err);

	if (ret != -EPERM || ctask_agent_history(pid, &how, &fd, NULL))
		return ret;
	return ctask_history_reader_open_file(fd, pid, ret_reader, err);
}

/* Probes, where there is no agent and we go on watching. */
static int open_bpf(struct args *args, struct ctask_history_reader **ret_reader,
		    struct ctask_error *err)
{
	int fd, ret = ctask_recorder_create(args->watch.pid, &args->watch.recorder, err);

	if (ret)
		return ret;
	fd = ctask_recorder_history(args->watch.recorder);
	if (fd < 0)
		return ctask_fail(err, -fd, "the history cannot be opened: %s", strerror(-fd));
	return ctask_history_reader_open_file(fd, args->watch.pid, ret_reader, err);
}

static int open_source(struct args *args, struct ctask_history_reader **ret_reader,
		       struct ctask_error *err)
{
	struct ctask_error why = { 0 };
	int ret = -ENOTSUP;

	if (args->source != SOURCE_BPF)
		ret = open_history(args->watch.pid, ret_reader, err);
	if (ret != -ENOTSUP || args->source == SOURCE_AGENT ||
	    (args->source == SOURCE_ANY && !args->follow))
		return ret;
	ret = open_bpf(args, ret_reader, &why);
	if (args->source == SOURCE_ANY && (ret == -EPERM || ret == -ENOSYS))
		return ctask_fail(err, why.code, "there is no agent in process %d, and %s",
				  (int)args->watch.pid, why.text);
	if (ret)
		*err = why;
	return ret;
}

/* Each process takes a few descriptors. */
static void allow_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur == limit.rlim_max)
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

static int run_all(struct args *args)
{
	struct ctask_kept *kept = NULL;
	struct ctask_host *host = NULL;
	struct ctask_error err = { 0 };
	int status;

	allow_descriptors();
	if (ctask_host_create(&host, &err))
		return ctask_report_error(&err);
	kept = ctask_recorded_open(true);
	status = ctask_watch_host(host, kept, &args->watch);
	ctask_host_destroy(host);
	ctask_kept_close(kept);
	return status;
}

/* Follow one process. What is recorded of it is there for others meanwhile. */
static int follow(struct args *args, struct ctask_history_reader *reader)
{
	const pid_t pid = args->watch.pid;
	const uint64_t start_ticks = ctask_process_start(pid);
	struct ctask_kept *kept = args->watch.recorder ? ctask_recorded_open(true) : NULL;
	int status;

	if (kept)
		ctask_kept_announce(kept, pid, start_ticks, ctask_history_reader_file(reader));
	status = ctask_watch_follow(reader, &args->watch);
	ctask_recorded_leave(kept, reader, pid, start_ticks);
	ctask_kept_close(kept);
	return status;
}

static int run_one(struct args *args)
{
	struct ctask_texts *texts = ctask_texts_create();
	struct ctask_history_reader *reader = NULL;
	struct ctask_process process = { 0 };
	struct ctask_error err = { 0 };
	char container[CTASK_CONTAINER_BYTES];
	int status, ret;

	ret = texts ? open_source(args, &reader, &err) : ctask_fail(&err, ENOMEM, "out of memory");
	if (!ret && ctask_process_describe(args->watch.pid, texts, &process))
		ret = ctask_fail(&err, ENOMEM, "out of memory");
	if (ret) {
		status = ctask_report_error(&err);
	} else {
		args->watch.process = &process;
		if (ctask_process_container(args->watch.pid, container))
			args->watch.container = container;
		status = args->follow ? follow(args, reader)
				      : ctask_watch_once(reader, &args->watch);
	}
	free(process.cmdline);
	ctask_texts_destroy(texts);
	ctask_history_reader_close(reader);
	ctask_recorder_destroy(args->watch.recorder);
	return status;
}

static int run(struct args *args)
{
	ctask_terminal_look(&args->wishes, &args->render);
	args->watch.telling.render = &args->render;
	args->watch.telling.filter = args->narrowed ? &args->filter : NULL;
	return args->all ? run_all(args) : run_one(args);
}

int ctask_cmd_cancels(int argc, char **argv)
{
	static const struct argp_child children[] = { { &ctask_display_argp, 0, NULL, 3 }, { 0 } };
	const struct argp argp = {
		.options = options,
		.parser = parse,
		.args_doc = "PID\n--all --follow",
		.doc = "Tell who asked which async tasks to stop, why, and how it ended, of a process "
		       "that was started with 'ctaskctl run'; or, as root, of any process from now "
		       "on. Formats: text, json.",
		.children = children,
	};
	struct args args = { .render.fold = true, .filter.any_origin = true };

	ctask_look_refuse_negative(argc, argv);
	ctask_options_parse(&argp, argc, argv, 0, &args);
	return run(&args);
}
