/* memory.h - the bytes of a process at an address, wherever they come from. */
#ifndef CTASK_READER_MEMORY_H
#define CTASK_READER_MEMORY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "model/error.h"

/** The unit of reading. Smaller than or equal to the page size of every supported machine. */
enum { CTASK_PAGE = 4096 };

/** A run of whole pages: @p count pages from page-aligned @p addr. */
struct ctask_page_run {
	uint64_t addr;
	size_t count;
};

/** Where bytes come from: a live process, a core file, an array. */
struct ctask_memory {
	const struct ctask_memory_ops *ops;
};

struct ctask_memory_ops {
	const char *name;
	/**
	 * Copy the pages of @p runs, one after another, to @p to. Returns how many
	 * bytes were copied before the first page that cannot be read: the full
	 * length when all can. -ESRCH when the process has gone, -EPERM when the
	 * kernel forbids it.
	 */
	ssize_t (*read_runs)(struct ctask_memory *memory, const struct ctask_page_run *runs,
			     size_t run_count, uint8_t *to);
	void (*destroy)(struct ctask_memory *memory);
};

/** The memory of live process @p pid (process_vm_readv). The caller destroys it. */
int ctask_memory_create_process(pid_t pid, struct ctask_memory **ret_memory,
				struct ctask_error *err);

/** A piece of memory for ctask_memory_create_bytes(): @p len bytes that stand at @p addr. */
struct ctask_segment {
	uint64_t addr;
	const uint8_t *bytes;
	size_t len;
};

/**
 * Memory made of @p segments, which the caller keeps alive and which do not
 * overlap. The rest of a page that a segment fills in part reads as zeros.
 */
int ctask_memory_create_bytes(const struct ctask_segment *segments, size_t count,
			      struct ctask_memory **ret_memory, struct ctask_error *err);

/** NULL is fine. */
void ctask_memory_destroy(struct ctask_memory *memory);

#endif
