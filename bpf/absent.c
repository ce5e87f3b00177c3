/* absent.c - in place of the probes where they were not built. */
#include <errno.h>

#include "bpf/host.h"
#include "bpf/record.h"

int ctask_recorder_create(pid_t pid, struct ctask_recorder **ret_recorder, struct ctask_error *err)
{
	(void)ret_recorder;
	return ctask_fail(
		err, ENOSYS,
		"process %d cannot be watched from outside: this ctaskctl was built without "
		"probes, which takes clang, bpftool and libbpf-dev (1.0 or newer)",
		(int)pid);
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
	return ctask_fail(
		err, ENOSYS,
		"no process can be watched from outside: this ctaskctl was built without probes, "
		"which takes clang, bpftool and libbpf-dev (1.0 or newer)");
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
