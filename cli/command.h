/* command.h - the commands of ctaskctl. */
#ifndef CTASK_CLI_COMMAND_H
#define CTASK_CLI_COMMAND_H

/**
 * Each parses its own arguments; argv[0] is "ctaskctl <command>". Returns the
 * exit status, or exits by itself where argp does: --help, wrong usage.
 */
int ctask_cmd_cancels(int argc, char **argv);
int ctask_cmd_ls(int argc, char **argv);
int ctask_cmd_ps(int argc, char **argv);
int ctask_cmd_pstree(int argc, char **argv);
int ctask_cmd_run(int argc, char **argv);

#endif
