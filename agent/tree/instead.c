/* instead.c - what this library does without, so that it can be loaded anywhere, and clashes with nothing. */
#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "agent/portable.h"
#include "reader/core.h"
#include "reader/elf.h"
#include "reader/pause.h"

/*
 * The C library has stat() and fstat() as functions from 2.33 on only. These,
 * which nobody else sees, come before.
 */
int stat(const char *path, struct stat *ret)
{
	return ctask_fstatat(AT_FDCWD, path, ret, 0);
}

int fstat(int fd, struct stat *ret)
{
	return ctask_fstat(fd, ret);
}

/*
 * libcjson only comes as a shared library, and the program may have one of its
 * own, of any version. model/json_writer.c asks it to write texts, and writes them
 * itself where it declines.
 */
int cJSON_PrintPreallocated(const void *item, char *to, int room, int format);

int cJSON_PrintPreallocated(const void *item, char *to, int room, int format)
{
	(void)item, (void)to, (void)room, (void)format;
	return false;
}

int ctask_elf_in_file(int fd, uint64_t base, const char *symbol, const char *section,
		      uint64_t *ret_addr)
{
	(void)fd, (void)base, (void)symbol, (void)section, (void)ret_addr;
	return -ENOENT;
}

/* It holds itself by its interpreter's lock, never by ptrace. */
int ctask_pause_begin(pid_t pid, int64_t at_most_ns, struct ctask_pause **ret_pause,
		      int64_t *ret_deadline_ns, int64_t *ret_held_ns, struct ctask_error *err)
{
	(void)pid, (void)at_most_ns, (void)ret_pause, (void)ret_deadline_ns;
	*ret_held_ns = 0;
	return ctask_fail(err, ENOSYS, "a process cannot stop itself");
}

int64_t ctask_pause_end(struct ctask_pause *pause)
{
	(void)pause;
	return 0;
}

int ctask_core_open(const char *path, const char *exe, struct ctask_memory **ret_memory,
		    struct ctask_core *ret_core, struct ctask_error *err)
{
	(void)path, (void)exe, (void)ret_memory, (void)ret_core;
	return ctask_fail(err, ENOSYS, "a process is no core file");
}

void ctask_core_fini(struct ctask_core *core)
{
	(void)core;
}
