/* cmd_run.c - ctaskctl run: start a program with the agent in it. */
#include <ctask/history.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/options.h"
#include "cli/program.h"
#include "cli/report.h"
#include "model/cleanup.h"

/* As env(1) and the shells have it. */
enum { EXIT_CANNOT_RUN = 126, EXIT_NOT_FOUND = 127 };

enum { OPTION_AGENT = 0x500, OPTION_DIR, OPTION_HISTORY_SIZE };

struct args {
	const char *agent, *dir;
	long history_bytes;
	char **command; /* ends with NULL, as argv does */
};

static const struct argp_option options[] = {
	{ "dir", OPTION_DIR, "DIR", 0,
	  "Where the agent makes its socket; nobody else may write there (default: the first "
	  "that is possible of $CTASK_DIR, $XDG_RUNTIME_DIR/ctask, /run/ctask/UID, "
	  "$TMPDIR/ctask-UID, else /tmp/ctask-UID)",
	  0 },
	{ "history-size", OPTION_HISTORY_SIZE, "BYTES", 0,
	  "Memory for what is recorded (default: 4194304)", 0 },
	{ "agent", OPTION_AGENT, "FILE", 0,
	  "The agent (default: $CTASK_AGENT, else the one installed)", 0 },
	{ 0 },
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct args *args = state->input;

	switch (key) {
	case OPTION_AGENT:
		args->agent = arg;
		return 0;
	case OPTION_DIR:
		args->dir = arg;
		return 0;
	case OPTION_HISTORY_SIZE:
		args->history_bytes =
			ctask_usage_number(state, "--history-size, in bytes,", arg,
					   CTASK_HISTORY_BYTES_MIN, CTASK_HISTORY_BYTES_MAX);
		return 0;
	case ARGP_KEY_ARG:
		args->command = state->argv + state->next - 1;
		state->next = state->argc;
		return 0;
	case ARGP_KEY_NO_ARGS:
		ctask_usage_error(state, "which program? Such as: %s -- python3 app.py",
				  state->name);
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* The agent of this very program: as it was built, or where it was installed. */
static char *find_agent(void)
{
	static const char *const places[] = { "../agent/libctask-agent.so", CTASK_AGENT_FROM_BIN };
	char self[CTASK_PROGRAM_PATH], path[2 * CTASK_PROGRAM_PATH];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (len <= 0)
		return NULL;
	self[len] = '\0';
	*strrchr(self, '/') = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		char *real;

		snprintf(path, sizeof(path), "%s/%s", self, places[i]);
		real = realpath(path, NULL);
		if (real)
			return real;
	}
	return NULL;
}

/* An absolute path that LD_PRELOAD can carry. The caller frees. */
static char *choose_agent(const struct args *args, struct ctask_error *err)
{
	const char *given = args->agent ? args->agent : getenv("CTASK_AGENT");
	auto_free char *path = given && *given ? realpath(given, NULL) : find_agent();

	if (!path && given && *given)
		ctask_fail(err, ENOENT, "the agent '%s' cannot be used: %m", given);
	else if (!path)
		ctask_fail(err, ENOENT,
			   "the agent was not found beside this program: give it with --agent "
			   "FILE or $CTASK_AGENT");
	else if (access(path, R_OK))
		ctask_fail(err, errno == EACCES ? EIO : errno, "the agent '%s' cannot be read: %m",
			   path);
	else if (strpbrk(path, " :"))
		ctask_fail(err, EINVAL,
			   "the agent '%s' cannot be used: LD_PRELOAD takes no path with a blank "
			   "or colon",
			   path);
	else
		return steal_ptr(&path);
	return NULL;
}

/* Behind what is preloaded already, unless it is there. */
static int preload(const char *agent)
{
	const char *before = getenv("LD_PRELOAD");
	auto_free char *both = NULL;

	if (!before || !*before)
		return setenv("LD_PRELOAD", agent, 1);
	for (const char *at = before; *at; at += strspn(at, " :")) {
		size_t len = strcspn(at, " :");

		if (len == strlen(agent) && !strncmp(at, agent, len))
			return 0;
		at += len;
	}
	if (asprintf(&both, "%s:%s", before, agent) < 0)
		return -1;
	return setenv("LD_PRELOAD", both, 1);
}

static int set_environment(const struct args *args, const char *agent, struct ctask_error *err)
{
	auto_free char *dir = args->dir ? realpath(args->dir, NULL) : NULL;
	char bytes[32];

	if (args->dir && !dir)
		return ctask_fail(err, errno == ENOENT ? EIO : errno,
				  "the directory '%s' cannot be used: %m", args->dir);
	snprintf(bytes, sizeof(bytes), "%ld", args->history_bytes);
	if (preload(agent) || (dir && setenv("CTASK_DIR", dir, 1)) ||
	    (args->history_bytes && setenv("CTASK_HISTORY_BYTES", bytes, 1)))
		return ctask_fail(err, ENOMEM, "out of memory");
	return 0;
}

int ctask_cmd_run(int argc, char **argv)
{
	const struct argp argp = {
		.options = options,
		.parser = parse,
		.args_doc = "[--] PROGRAM [ARGUMENT…]",
		.doc = "Start a program, and all the programs that it starts, with the agent in them: "
		       "each Python in which there is asyncio then records who asks which task to "
		       "stop, for 'ctaskctl cancels'. Other programs are left alone.",
	};
	char path[CTASK_PROGRAM_PATH];
	struct ctask_error err = { 0 };
	struct args args = { 0 };
	auto_free char *agent = NULL;
	const char *refusal;
	int found;

	ctask_options_parse(&argp, argc, argv, ARGP_IN_ORDER, &args);
	agent = choose_agent(&args, &err);
	if (!agent || set_environment(&args, agent, &err)) {
		ctask_report_error(&err);
		return CTASK_EXIT_FAILED;
	}
	found = ctask_program_find(args.command[0], path);
	refusal = found ? NULL : ctask_program_refuses(path);
	if (refusal)
		ctask_report_warning("'%s' %s: the agent will not be in it", path, refusal);
	if (!found)
		execv(path, args.command);
	errno = found ? -found : errno;
	found = errno;
	ctask_fail(&err, found, "'%s' cannot be run: %s", args.command[0], strerror(found));
	ctask_report_error(&err);
	return found == ENOENT || found == ENOTDIR ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN;
}
