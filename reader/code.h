/* code.h - code objects of a target: names, files, lines, local variables. */
#ifndef CTASK_READER_CODE_H
#define CTASK_READER_CODE_H

#include <stdbool.h>
#include <stdint.h>

#include "model/snapshot.h"
#include "reader/object.h"

enum { CTASK_CODE_LOCALS = 8 };

/** A code object. Owned by the codes, valid until ctask_codes_forget(). */
struct ctask_code {
	uint64_t addr;
	uint64_t bytecode; /* address of the first instruction */
	ctask_text name;   /* qualified where the version has that */
	ctask_text plain_name;
	ctask_text filename;
	uint32_t first_line;
	bool library; /* of a runtime itself: asyncio, trio, anyio */
	ctask_text
		module; /* when library: its file, "tasks.py" in asyncio, else "trio/_core/_run.py" */
	uint32_t index; /* a small number, for keys */
	uint8_t *lines;
	size_t lines_len;
	/* Slots that were asked for: see ctask_code_local(). */
	struct ctask_code_local {
		const char *name;
		int slot;
	} locals[CTASK_CODE_LOCALS];
	uint32_t local_count;
	int slot_count; /* all local variables, once counted: see ctask_code_slots() */
	/* First rows of the tables in waits.c and waiters.c that are about it, once looked for. */
	int wait_row, callback_row;
};

/** A folder with code of a runtime. */
struct ctask_library {
	ctask_text folder; /* with its last slash */
	size_t prefix;	   /* bytes of it that are no part of the name of a module */
};

/** In wait_row, callback_row: not looked for yet; looked for, there is none. */
enum { CTASK_ROW_UNKNOWN = -2, CTASK_ROW_NONE = -1 };

/** The code objects of one target, and the frames of a snapshot made from them. */
struct ctask_codes {
	struct ctask_heap *heap;     /* borrowed */
	struct ctask_snapshot *snap; /* borrowed: texts and frames go there */
	/* Of the runtimes that are loaded: asyncio's first, if it is known. */
	struct ctask_library libraries[CTASK_LIBRARIES_MAX];
	uint32_t library_count;
	struct ctask_table index; /* code address -> index into codes */
	struct ctask_code **codes;
	uint32_t code_count, code_room;
	struct ctask_table places; /* code index and instruction -> frame of the snapshot */
};

/** Both are borrowed. */
void ctask_codes_init(struct ctask_codes *codes, struct ctask_heap *heap,
		      struct ctask_snapshot *snap);
void ctask_codes_fini(struct ctask_codes *codes);
/** Forget all: the target ran on, or the snapshot was cleared. */
void ctask_codes_forget(struct ctask_codes *codes);

/** The code object at @p addr; NULL when there is none that can be read. */
struct ctask_code *ctask_code_at(struct ctask_codes *codes, uint64_t addr);

/** The line of the instruction at byte @p lasti (negative: not started). 0 when it has none. */
uint32_t ctask_code_line(const struct ctask_codes *codes, const struct ctask_code *code,
			 int64_t lasti);

/** The frame of the snapshot for this place in @p code; CTASK_NONE when out of memory. */
uint32_t ctask_code_frame(struct ctask_codes *codes, const struct ctask_code *code, int64_t lasti);

/**
 * Slot of variable @p name, a string literal, among the locals of a frame of @p code (arguments,
 * locals, cells and free variables, in the order in which a frame has them).
 * -ENOENT when it has none.
 */
int ctask_code_local(struct ctask_codes *codes, struct ctask_code *code, const char *name);

/** How many slots for variables a frame of @p code has, before its value stack. -EFAULT, -EPROTO. */
int ctask_code_slots(struct ctask_codes *codes, struct ctask_code *code);

/**
 * Learn from @p file, a str, the __file__ of a package's __init__.py, which folders
 * are those of @p package, "trio" or "anyio". Before any of their code is looked at.
 */
void ctask_codes_add_package(struct ctask_codes *codes, uint64_t file, const char *package);

/** @p folder, with its last slash, is asyncio's. Before any of its code is looked at. */
void ctask_codes_add_folder(struct ctask_codes *codes, const char *folder);

/** The first folder of @p package, "asyncio" too, with its last slash; NULL = not known. */
ctask_text ctask_codes_folder(const struct ctask_codes *codes, const char *package);

/**
 * Learn from the file of @p function, one of asyncio.tasks, which folder is
 * asyncio's own: others have that name too (redis/asyncio/). Before any code is looked at.
 */
void ctask_codes_set_library(struct ctask_codes *codes, uint64_t function);

#endif
