/* json.c - the snapshot as it is: contract "ctask.snapshot", version 1. */
#include "cli/render/render.h"
#include "model/json.h"

int ctask_render_json(const struct ctask_snapshot *snap, const struct ctask_render_options *options,
		      FILE *out, struct ctask_error *err)
{
	(void)options;
	return ctask_json_write_snapshot(snap, out, err);
}
