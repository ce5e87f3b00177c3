/* absent.c - in place of the probes where they were not built. */
#include <errno.h>

#include "bpf/host.h"
#include "bpf/record.h"

static int fail(struct ctask_error *err)
{
	return ctask_fail(err, ENOSYS,
			  "this ctaskctl was built without probes, which takes clang, bpftool, "
			  "uthash and libbpf 1.0 or newer");
}

int ctask_recorder_create(pid_t pid, struct ctask_recorder **ret_recorder, struct ctask_error *err)
{
	(void)pid;
	(void)ret_recorder;
	return fail(err);
}

void ctask_recorder_destroy(struct ctask_recorder *recorder)
{
	(void)recorder;
}

int ctask_recorder_history(const struct ctask_recorder *recorder)
{
	(void)recorder;
	return -ENOSYS;
}

void ctask_recorder_stop(struct ctask_recorder *recorder)
{
	(void)recorder;
}

int ctask_host_create(struct ctask_host **ret_host, struct ctask_error *err)
{
	(void)ret_host;
	return fail(err);
}

void ctask_host_destroy(struct ctask_host *host)
{
	(void)host;
}

void ctask_host_stop(struct ctask_host *host)
{
	(void)host;
}

bool ctask_host_next(struct ctask_host *host, struct ctask_host_news *ret_news)
{
	(void)host;
	(void)ret_news;
	return false;
}

uint64_t ctask_host_lost(const struct ctask_host *host)
{
	(void)host;
	return 0;
}

uint32_t ctask_host_refused(const struct ctask_host *host)
{
	(void)host;
	return 0;
}
