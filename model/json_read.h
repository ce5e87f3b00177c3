/* json_read.h - the plain data of the model from JSON text, which may come from anybody. */
#ifndef CTASK_MODEL_JSON_READ_H
#define CTASK_MODEL_JSON_READ_H

#include <stddef.h>

#include "model/error.h"
#include "model/snapshot.h"

/**
 * The snapshot that @p text is: one JSON object, "ctask.snapshot" version 1. What
 * ctask_json_write_snapshot() makes of it is again that text. Keys that are not
 * known are passed over. Which frames are the runtime's own is told by the library of
 * the runtimes; requests are linked to their tasks (see ctask_fit_link()).
 *
 * Needs not much more memory than the text and the snapshot take. The caller
 * destroys *ret_snap. Fails with -EPROTO when something is not as it should be, and says what, or -ENOMEM.
 */
int ctask_json_read_snapshot(const char *text, size_t len, struct ctask_snapshot **ret_snap,
			     struct ctask_error *err);

#endif
