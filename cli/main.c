/* main.c - ctaskctl: find the command, and run it. */
#include <fcntl.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/options.h"
#include "cli/report.h"
#include "model/cleanup.h"

enum { STDOUT_BYTES = 256 * 1024 };

static const struct command {
	const char *name;
	const char *help;
	int (*run)(int argc, char **argv);
} commands[] = {
	{ "cancels", "Tell who asked which tasks to stop, why, and how it ended",
	  ctask_cmd_cancels },
	{ "ls", "Show the processes that can be looked into", ctask_cmd_ls },
	{ "ps", "List the async tasks of a process, one a line", ctask_cmd_ps },
	{ "pstree", "Draw who awaits whom in a process", ctask_cmd_pstree },
	{ "run", "Start a program with the agent in it", ctask_cmd_run },
};

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	}
	return NULL;
}

static int run(const struct command *command, int argc, char **argv)
{
	char name[64];

	snprintf(name, sizeof(name), "ctaskctl %s", command->name);
	argv[0] = name;
	return command->run(argc, argv);
}

/* `ctaskctl help pstree` is `ctaskctl pstree --help`. */
static int run_help(const struct argp_state *state, const char *name)
{
	char option[] = "--help";
	char *argv[] = { NULL, option, NULL };
	const struct command *command = find_command(name);

	if (!command)
		ctask_usage_error(state, "there is no command '%s': see 'ctaskctl --help'", name);
	return run(command, 2, argv);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	const struct command *command;
	int *status = state->input;
	int first = state->next - 1; /* of argv: the command itself */

	switch (key) {
	case ARGP_KEY_ARG:
		command = find_command(arg);
		if (strcmp(arg, "help") == 0 && state->next < state->argc)
			*status = run_help(state, state->argv[state->next]);
		else if (strcmp(arg, "help") == 0)
			argp_state_help(state, stdout, ARGP_HELP_STD_HELP);
		else if (!command)
			ctask_usage_error(state, "there is no command '%s': see 'ctaskctl --help'",
					  arg);
		else
			*status = run(command, state->argc - first, state->argv + first);
		state->next = state->argc;
		return 0;
	case ARGP_KEY_NO_ARGS:
		ctask_usage_error(state, "what to do? See 'ctaskctl --help'");
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* The list of commands, below the options. */
static char *list_commands(int key, const char *text, void *input)
{
	char *list = NULL;
	size_t size;
	FILE *out;

	(void)input;
	if (key != ARGP_KEY_HELP_POST_DOC)
		return (char *)text;
	out = open_memstream(&list, &size);
	if (!out)
		return NULL;
	fputs("Commands:\n", out);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(out, "  %-10s%s\n", commands[i].name, commands[i].help);
	fputs("\nEach takes --help. The manual is ctaskctl(1).\n", out);
	fclose(out);
	return list;
}

/* So that no file that is opened later becomes stdout: writing to a closed one must fail, not hit a file. */
static void hold_standard_files(void)
{
	for (int fd = 0; fd <= 2; fd++) {
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDONLY) < 0)
			exit(CTASK_EXIT_FAILED);
	}
}

int main(int argc, char **argv)
{
	static const struct argp argp = {
		.parser = parse,
		.args_doc = "COMMAND [ARGUMENT…]",
		.doc = "Show what every async task of a running process waits for.\v",
		.help_filter = list_commands,
	};
	int status = CTASK_EXIT_WHOLE;

	hold_standard_files();
	setlocale(LC_CTYPE, "");
	setvbuf(stdout, NULL, _IOFBF, STDOUT_BYTES);
	argp_program_version = "ctaskctl " CTASK_VERSION;
	argp_err_exit_status = CTASK_EXIT_USAGE;
	ctask_options_parse(&argp, argc, argv, ARGP_IN_ORDER, &status);
	return status;
}
