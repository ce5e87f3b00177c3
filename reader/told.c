/* told.c - a snapshot as the agent in the process tells it. */
#include "reader/told.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "model/cancellation.h"
#include "model/cleanup.h"
#include "model/fit.h"
#include "model/json_read.h"
#include "reader/process.h"

static int64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000ll + now.tv_nsec / 1000;
}

/* The agent knows its process from inside: another pid, perhaps another user. */
static int see_process(pid_t pid, struct ctask_snapshot *snap)
{
	struct ctask_process *told = &snap->process, seen = { 0 };

	if (ctask_process_describe(pid, snap->texts, &seen)) {
		free(seen.cmdline);
		return -ENOMEM;
	}
	if (!seen.exe) /* to follow that link takes the right to read the process */
		seen.exe = told->exe;
	if (!seen.cmdline_count) {
		free(seen.cmdline);
		seen.cmdline = told->cmdline;
		seen.cmdline_count = told->cmdline_count;
	} else {
		free(told->cmdline);
	}
	*told = seen;
	if (snap->history)
		snap->history->pid = pid;
	return 0;
}

/* A thread that we cannot find keeps the id that it has inside. */
static void see_threads(pid_t pid, struct ctask_snapshot *snap)
{
	auto_free struct ctask_thread_ids *ids = NULL;
	uint32_t count = 0;

	if (ctask_process_threads(pid, &ids, &count, NULL))
		return;
	for (uint32_t i = 0; i < snap->runtime_count; i++) {
		struct ctask_runtime *runtime = &snap->runtimes[i];

		for (uint32_t t = 0; t < count && runtime->thread_id > 0; t++) {
			if (ids[t].nstid == runtime->thread_id) {
				runtime->thread_id = ids[t].tid;
				break;
			}
		}
	}
}

/* Its last line tells how many requests are no longer kept; the JSON of a snapshot has no place for it. */
static uint64_t dropped_of(const struct ctask_agent_reply *reply)
{
	static const char key[] = "\"dropped\":";
	const char *at = strstr(reply->data + reply->data_len, key);

	return at ? strtoull(at + sizeof(key) - 1, NULL, 10) : 0;
}

int ctask_told_process(pid_t pid, const struct ctask_agent_options *options,
		       struct ctask_snapshot **ret_snap, struct ctask_error *err)
{
	const int64_t start_us = now_us();
	struct ctask_agent_reply reply = { .fd = -1 };
	struct ctask_snapshot *snap = NULL;
	struct ctask_error why = { 0 };
	int ret = ctask_agent_ask(pid, options, "tree", &reply, err);

	if (ret)
		return ret;
	ret = ctask_json_read_snapshot(reply.data, reply.data_len, &snap, &why);
	if (!ret && snap->history)
		snap->history->dropped = dropped_of(&reply);
	ctask_agent_reply_fini(&reply);
	if (ret == -EPROTO)
		return ctask_fail(err, EPROTO, "the agent of process %d tells no tree: %s",
				  (int)pid, why.text);
	if (!ret && (see_process(pid, snap) || ctask_fit_history(snap)))
		ret = -ENOMEM;
	if (ret) {
		ctask_snapshot_destroy(snap);
		return ctask_fail(err, ENOMEM, "out of memory");
	}
	see_threads(pid, snap);
	snap->source = CTASK_SOURCE_AGENT;
	snap->capture.elapsed_us = (uint64_t)(now_us() - start_us);
	*ret_snap = snap;
	return 0;
}
