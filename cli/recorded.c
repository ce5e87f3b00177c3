/* recorded.c - where this user's ctaskctl finds what another one records, or has recorded. */
#include "cli/recorded.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "model/fit.h"
#include "reader/enrich.h"
#include "reader/process.h"

struct ctask_kept *ctask_recorded_open(bool make)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	struct ctask_kept *kept = NULL;
	char path[4096];

	if (geteuid() == 0)
		snprintf(path, sizeof(path), "/run/ctaskctl");
	else if (!runtime || runtime[0] != '/' ||
		 snprintf(path, sizeof(path), "%s/ctaskctl", runtime) >= (int)sizeof(path))
		return NULL;
	return ctask_kept_open(path, make, &kept) ? NULL : kept;
}

static bool has_open(struct ctask_history_reader *reader)
{
	struct ctask_history *history = NULL;
	bool any = false;

	if (ctask_history_read(reader, &history, NULL))
		return false;
	for (uint32_t i = 0; i < history->count && !any; i++)
		any = ctask_request_is_open(&history->items[i]);
	ctask_history_destroy(history);
	return any;
}

void ctask_recorded_leave(const struct ctask_kept *kept, struct ctask_history_reader *reader,
			  pid_t pid, uint64_t start_ticks)
{
	bool is_there = ctask_process_start(pid) == start_ticks;

	if (kept)
		ctask_kept_leave(kept, pid, start_ticks, ctask_history_reader_file(reader),
				 is_there && has_open(reader));
}

int ctask_recorded_enrich(struct ctask_snapshot *snap, pid_t pid, struct ctask_error *err)
{
	struct ctask_kept *kept = ctask_recorded_open(false);
	struct ctask_history_reader *reader = NULL;
	bool goes_on;
	int ret = -ENOENT;

	if (kept)
		ret = ctask_kept_find(kept, pid, &reader, &goes_on, NULL);
	if (!ret)
		ret = ctask_enrich_recorded(snap, reader, goes_on, err);
	ctask_history_reader_close(reader);
	ctask_kept_close(kept);
	return ret == -ENOMEM ? ret : 0;
}
