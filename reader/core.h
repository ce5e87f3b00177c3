/* core.h - an ELF core file as a source of bytes. */
#ifndef CTASK_READER_CORE_H
#define CTASK_READER_CORE_H

#include "model/snapshot.h"
#include "reader/memory.h"
#include "reader/process.h"

/** What a core file tells about the process it was. */
struct ctask_core {
	struct ctask_mapping *maps; /**< files it had mapped, likely Pythons first */
	uint32_t map_count;
	int32_t pid;	  /**< 0 when not told */
	int64_t uid;	  /**< -1 when not told */
	char args[81];	  /**< the beginning of its command line */
	const char *exe;  /**< path of its executable, in maps; NULL when not told */
	int64_t mtime_us; /**< when the file was written */
};

/**
 * Open the core file @p path, gzip-compressed or not. @p exe (may be NULL)
 * stands for the main executable. Pages that the core left out are read from
 * the mapped files, which must be those of that time: their first page is
 * compared. On success the caller destroys *ret_memory and calls
 * ctask_core_fini(). -ENOEXEC for what is no core of a 64-bit x86-64 process,
 * -ENODATA for a truncated one.
 */
int ctask_core_open(const char *path, const char *exe, struct ctask_memory **ret_memory,
		    struct ctask_core *ret_core, struct ctask_error *err);
void ctask_core_fini(struct ctask_core *core);

#endif
