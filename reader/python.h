/* python.h - find CPython in a process: its runtime state, exact version and layout. */
#ifndef CTASK_READER_PYTHON_H
#define CTASK_READER_PYTHON_H

#include <stdbool.h>
#include <stdint.h>

#include "reader/object.h"
#include "reader/process.h"

/** A CPython that was found and whose layout was shown to fit. */
struct ctask_python {
	uint64_t runtime; /**< address of _PyRuntime */
	uint32_t hexversion;
	char version[32]; /**< "3.13.5", "3.15.0rc1" */
	struct ctask_layout layout;
};

/** Where to look. */
struct ctask_images {
	pid_t pid; /**< 0 for a core: paths are then taken as they stand */
	const struct ctask_mapping *maps;
	uint32_t count;
	bool quick; /**< do not open files: a glance at many processes */
};

/**
 * Find the CPython of a target. Its layout comes from its own tables where it
 * has them, else from the table's row, and is checked: sys.hexversion, read
 * with it, must be that version. -ENOTSUP, with the name of what is there,
 * when it is no CPython that ctask reads; the text of errors is a predicate
 * ("runs PyPy; …"), before which the caller names the target.
 */
int ctask_python_find(struct ctask_pages *pages, const struct ctask_images *images,
		      struct ctask_python *ret_python, struct ctask_error *err);

/** "3.13.5" of 0x030d05f0. @p to has room for 32 bytes. */
void ctask_python_version_text(uint32_t hexversion, char *to);

#endif
