/* program.h - a program that is about to be run: which file it is, and whether a library can be put into it. */
#ifndef CTASK_CLI_PROGRAM_H
#define CTASK_CLI_PROGRAM_H

#include <limits.h>

/** Room for a path. */
enum { CTASK_PROGRAM_PATH = PATH_MAX };

/**
 * The file that execvp() would run for @p name, to @p path. 0, -ENOENT when there is none, or
 * -EACCES when there is one that may not be run.
 */
int ctask_program_find(const char *name, char path[CTASK_PROGRAM_PATH]);

/**
 * Why LD_PRELOAD will not reach the program @p path, as words behind its name: "is linked
 * statically"; NULL when it will, or nothing is known against it. For a script that is asked of its interpreter.
 */
const char *ctask_program_refuses(const char *path);

#endif
