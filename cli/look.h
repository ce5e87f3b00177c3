/* look.h - what pstree and ps share: look into one process, and print what is there. */
#ifndef CTASK_CLI_LOOK_H
#define CTASK_CLI_LOOK_H

#include <argp.h>

#include "cli/render/render.h"
#include "cli/terminal.h"
#include "reader/capture.h"
#include "reader/rendezvous.h"

enum ctask_look_source {
	CTASK_LOOK_ANY, /**< memory, and where that may not be read, the agent */
	CTASK_LOOK_MEMORY,
	CTASK_LOOK_AGENT,
};

struct ctask_look {
	/* Set before parsing. */
	const struct ctask_format *formats;
	struct ctask_render_options render; /**< what the command's own options ask for */
	/* Set by parsing. */
	struct ctask_terminal_wishes wishes;
	struct ctask_capture_options capture;
	const struct ctask_format *format;
	pid_t pid;
	enum ctask_look_source source;
	const char *core, *exe;
	const char *task;
	bool system;	   /**< the runtime's own tasks too, where they are left out else */
	int32_t thread_id; /**< 0 = all */
};

/** A child parser for the process and what to take of it; its input is a struct ctask_look. */
extern const struct argp ctask_look_argp;
/** How a command line that ctask_look_argp parses goes on after the options. */
extern const char ctask_look_args_doc[];

/** Tell off "-5": it is meant as a process id, and is no option "5". */
void ctask_look_refuse_negative(int argc, char **argv);

/** Parse with @p argp, a child of which is ctask_look_argp; then look and print. Returns the exit status. */
int ctask_look_run(struct ctask_look *look, const struct argp *argp, int argc, char **argv);

/** How to ask the agent in a process: with what our own environment says of where it may be. */
struct ctask_agent_options ctask_look_agent_options(void);

#endif
