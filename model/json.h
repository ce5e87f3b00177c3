/* json.h - the plain data of the model as JSON text. */
#ifndef CTASK_MODEL_JSON_H
#define CTASK_MODEL_JSON_H

#include <stdio.h>

#include "model/error.h"
#include "model/processes.h"
#include "model/snapshot.h"

/**
 * Write @p snap as one JSON object, "ctask.snapshot" version 1, and a newline:
 * one task, edge and scope a line. Texts come out exactly, U+0000 and lone
 * surrogates as escapes. Memory in use does not grow with the number of tasks
 * but for a few words each. What stdio could not write stays visible in
 * ferror(@p out). Fails with -ENOMEM; then part of the object may be written.
 */
int ctask_json_write_snapshot(const struct ctask_snapshot *snap, FILE *out,
			      struct ctask_error *err);

enum { CTASK_JSON_UNTOLD_BYTES = 64 };
/** What stands in place of @p count problems that are not told one by one. */
void ctask_json_untold(uint64_t count, char text[CTASK_JSON_UNTOLD_BYTES]);

/** Write @p list as one JSON object, "ctask.processes" version 1. As above. */
int ctask_json_write_processes(const struct ctask_process_list *list, FILE *out,
			       struct ctask_error *err);

#endif
