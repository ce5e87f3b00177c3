/* processes.h - the processes of a host that ctask could look into. */
#ifndef CTASK_MODEL_PROCESSES_H
#define CTASK_MODEL_PROCESSES_H

#include <stdbool.h>
#include <stdint.h>

#include "model/text.h"

enum ctask_access {
	CTASK_ACCESS_YES,
	CTASK_ACCESS_NOT_PERMITTED,
	CTASK_ACCESS_NOT_SUPPORTED, /**< a runtime or version that ctask does not know */
	CTASK_ACCESS_FAILED,
	CTASK_ACCESS_WORDS
};

/** The words of the JSON, indexed by enum ctask_access. */
extern const char *const ctask_access_words[];

struct ctask_process_entry {
	int32_t pid;
	int64_t uid;		   /**< -1 when not known */
	ctask_text user;	   /**< NULL when the host has no name for the uid */
	ctask_text implementation; /**< "CPython"; NULL when not known */
	ctask_text version;	   /**< "3.13.5"; NULL when not known */
	bool has_asyncio, has_trio;
	uint32_t task_count;
	enum ctask_access access;
	ctask_text reason; /**< why not, one line for people; NULL with CTASK_ACCESS_YES */
	ctask_text *cmdline;
	uint32_t cmdline_count;
};

/** Owns all that it points to, but the texts, which are in @p texts. */
struct ctask_process_list {
	struct ctask_process_entry *entries;
	uint32_t count, room;
	struct ctask_texts *texts;
};

#endif
