/* cgroup.h - which container a process is in. */
#ifndef CTASK_READER_CGROUP_H
#define CTASK_READER_CGROUP_H

#include <stdbool.h>
#include <sys/types.h>

enum { CTASK_CONTAINER_BYTES = 80 };

/**
 * The container that @p cgroups, the text of /proc/PID/cgroup, tells of: the 64 hexadecimal digits that Docker,
 * containerd, CRI-O and Podman give one, or the name that systemd-nspawn and LXC know it by. Of containers in
 * containers, the innermost. False when it tells of none.
 */
bool ctask_cgroup_container(const char *cgroups, char container[CTASK_CONTAINER_BYTES]);
/** The same of process @p pid. */
bool ctask_process_container(pid_t pid, char container[CTASK_CONTAINER_BYTES]);

#endif
