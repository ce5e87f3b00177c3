/* absent.c - in place of the probes where they were not built. */
#include <errno.h>

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
