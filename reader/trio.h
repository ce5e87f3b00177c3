/* trio.h - a run of trio: what the parts of reading it share. */
#ifndef CTASK_READER_TRIO_H
#define CTASK_READER_TRIO_H

#include "reader/walk.h"

/** What its Task says of where a task stands in the run; 0 = none. */
struct ctask_trio_place {
	uint64_t nursery;	  /**< that has it */
	uint64_t child_nurseries; /**< a list of those that it has open */
	uint64_t status;	  /**< its innermost CancelStatus */
	uint32_t parent;	  /**< the task that opened the nursery, or CTASK_NONE */
};

/** One call of trio.run(), or a guest run. Its tasks stand together in the snapshot. */
struct ctask_trio_run {
	uint64_t runner;       /**< address of the Runner */
	uint64_t current_task; /**< the one that runs now; 0 = none */
	uint64_t main_task;    /**< the program's first one; 0 = none yet */
	uint32_t runtime;
	uint32_t first_task, task_count; /**< in the snapshot */
	struct ctask_trio_place *places; /**< one for each task */
	double now_s; /**< its clock at the instant of the picture; NAN when that is not known */
};

/** trio_scopes.c: the nurseries and cancel scopes of all tasks of @p run. */
int ctask_trio_scopes_read(struct ctask_walk *walk, const struct ctask_trio_run *run);

#endif
