/* heading.h - the lines above a tree or a table: which process, and how it was read. */
#ifndef CTASK_CLI_RENDER_HEADING_H
#define CTASK_CLI_RENDER_HEADING_H

#include "cli/render/line.h"
#include "model/snapshot.h"

/** "python3 svc.py   pid 4242 · CPython 3.13.5 · asyncio, 318 tasks · read in 2.1 ms, not stopped" */
void ctask_heading_process(struct ctask_line *line, const struct ctask_snapshot *snap);
/** "thread 4243 · uvloop.Loop · 12 tasks": above the tasks of one of several runtimes. */
void ctask_heading_runtime(struct ctask_line *line, const struct ctask_snapshot *snap,
			   uint32_t runtime);

#endif
