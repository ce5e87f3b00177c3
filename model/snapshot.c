/* snapshot.c - the async tasks of one process at one instant: plain data, whoever gathered it. */
#include "model/snapshot.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/array.h"
#include "model/cancellation.h"

const char *const ctask_source_words[] = {
	[CTASK_SOURCE_MEMORY] = "memory",
	[CTASK_SOURCE_AGENT] = "agent",
	[CTASK_SOURCE_CORE] = "core",
	[CTASK_SOURCE_FILE] = "file",
};

const char *const ctask_task_state_words[] = {
	[CTASK_RUNNING] = "running",
	[CTASK_READY] = "ready",
	[CTASK_WAITING] = "waiting",
	[CTASK_DONE] = "done",
};

const char *const ctask_wait_kind_words[CTASK_WAIT_KINDS] = {
	[CTASK_WAIT_NONE] = "none",	      [CTASK_WAIT_TASK] = "task",
	[CTASK_WAIT_GATHER] = "gather",	      [CTASK_WAIT_WAIT] = "wait",
	[CTASK_WAIT_GROUP] = "group",	      [CTASK_WAIT_SLEEP] = "sleep",
	[CTASK_WAIT_EVENT] = "event",	      [CTASK_WAIT_LOCK] = "lock",
	[CTASK_WAIT_SEMAPHORE] = "semaphore", [CTASK_WAIT_CONDITION] = "condition",
	[CTASK_WAIT_QUEUE] = "queue",	      [CTASK_WAIT_FUTURE] = "future",
	[CTASK_WAIT_EXECUTOR] = "executor",   [CTASK_WAIT_SOCKET] = "socket",
	[CTASK_WAIT_STREAM] = "stream",	      [CTASK_WAIT_SUBPROCESS] = "subprocess",
	[CTASK_WAIT_OTHER] = "other",
};

const char *const ctask_edge_kind_words[CTASK_EDGE_KINDS] = {
	[CTASK_EDGE_AWAIT] = "await",	  [CTASK_EDGE_GATHER] = "gather",
	[CTASK_EDGE_WAIT] = "wait",	  [CTASK_EDGE_WAIT_FOR] = "wait_for",
	[CTASK_EDGE_SHIELD] = "shield",	  [CTASK_EDGE_TASK_GROUP] = "task_group",
	[CTASK_EDGE_NURSERY] = "nursery", [CTASK_EDGE_AS_COMPLETED] = "as_completed",
};

const char *const ctask_scope_kind_words[CTASK_SCOPE_KINDS] = {
	[CTASK_SCOPE_TASK_GROUP] = "task_group",
	[CTASK_SCOPE_TIMEOUT] = "timeout",
	[CTASK_SCOPE_NURSERY] = "nursery",
	[CTASK_SCOPE_CANCEL_SCOPE] = "cancel_scope",
};

struct ctask_snapshot *ctask_snapshot_create(void)
{
	struct ctask_snapshot *snap = calloc(1, sizeof(*snap));

	if (!snap)
		return NULL;
	snap->process.uid = -1;
	snap->texts = ctask_texts_create();
	if (!snap->texts) {
		free(snap);
		return NULL;
	}
	return snap;
}

void ctask_snapshot_destroy(struct ctask_snapshot *snap)
{
	if (!snap)
		return;
	free(snap->process.cmdline);
	free(snap->runtimes);
	free(snap->tasks);
	free(snap->frames);
	free(snap->stack_frames);
	free(snap->edges);
	free(snap->scopes);
	free(snap->problems);
	ctask_history_destroy(snap->history);
	ctask_texts_destroy(snap->texts);
	free(snap);
}

void ctask_snapshot_clear(struct ctask_snapshot *snap)
{
	snap->runtime_count = 0;
	snap->library_count = 0;
	snap->task_count = 0;
	snap->frame_count = 0;
	snap->stack_frame_count = 0;
	snap->edge_count = 0;
	snap->scope_count = 0;
	snap->problem_count = 0;
	snap->problems_untold = 0;
}

uint32_t ctask_snapshot_add_runtime(struct ctask_snapshot *snap)
{
	if (ctask_array_grow(&snap->runtimes, snap->runtime_count, &snap->runtime_room,
			     sizeof(*snap->runtimes)))
		return CTASK_NONE;
	snap->runtimes[snap->runtime_count] = (struct ctask_runtime){ .thread_id = -1 };
	return snap->runtime_count++;
}

uint32_t ctask_snapshot_add_task(struct ctask_snapshot *snap)
{
	if (ctask_array_grow(&snap->tasks, snap->task_count, &snap->task_room,
			     sizeof(*snap->tasks)))
		return CTASK_NONE;
	snap->tasks[snap->task_count] = (struct ctask_task){
		.runtime = CTASK_NONE,
		.stack_first = snap->stack_frame_count,
		.scope = CTASK_NONE,
		.cancel_requests = -1,
		.wait_left_s = NAN,
		.request = CTASK_NONE,
	};
	return snap->task_count++;
}

uint32_t ctask_snapshot_add_frame(struct ctask_snapshot *snap)
{
	if (ctask_array_grow(&snap->frames, snap->frame_count, &snap->frame_room,
			     sizeof(*snap->frames)))
		return CTASK_NONE;
	snap->frames[snap->frame_count] = (struct ctask_frame){ 0 };
	return snap->frame_count++;
}

uint32_t ctask_snapshot_add_scope(struct ctask_snapshot *snap)
{
	if (ctask_array_grow(&snap->scopes, snap->scope_count, &snap->scope_room,
			     sizeof(*snap->scopes)))
		return CTASK_NONE;
	snap->scopes[snap->scope_count] = (struct ctask_scope){
		.owner = CTASK_NONE,
		.parent = CTASK_NONE,
		.deadline_in_s = NAN,
	};
	return snap->scope_count++;
}

int ctask_snapshot_push_stack(struct ctask_snapshot *snap, uint32_t frame)
{
	if (ctask_array_grow(&snap->stack_frames, snap->stack_frame_count, &snap->stack_frame_room,
			     sizeof(*snap->stack_frames)))
		return -ENOMEM;
	snap->stack_frames[snap->stack_frame_count++] = frame;
	snap->tasks[snap->task_count - 1].stack_count++;
	return 0;
}

int ctask_snapshot_add_edge(struct ctask_snapshot *snap, uint32_t waiter, uint32_t awaited,
			    enum ctask_edge_kind kind)
{
	if (ctask_array_grow(&snap->edges, snap->edge_count, &snap->edge_room,
			     sizeof(*snap->edges)))
		return -ENOMEM;
	snap->edges[snap->edge_count++] =
		(struct ctask_edge){ .waiter = waiter, .awaited = awaited, .kind = (uint8_t)kind };
	return 0;
}

int ctask_snapshot_add_library(struct ctask_snapshot *snap, ctask_text folder)
{
	if (snap->library_count == CTASK_LIBRARIES_MAX)
		return -ENOMEM;
	snap->libraries[snap->library_count++] = folder;
	return 0;
}

int ctask_snapshot_add_problem(struct ctask_snapshot *snap, uint64_t task, const char *format, ...)
{
	char line[512];
	va_list args;
	ctask_text text;

	if (snap->problem_count >= CTASK_PROBLEMS_MAX) {
		snap->problems_untold++;
		return 0;
	}
	if (ctask_array_grow(&snap->problems, snap->problem_count, &snap->problem_room,
			     sizeof(*snap->problems)))
		return -ENOMEM;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	text = ctask_texts_add(snap->texts, line, strlen(line));
	if (!text)
		return -ENOMEM;
	snap->problems[snap->problem_count++] =
		(struct ctask_problem){ .task = task, .text = text };
	return 0;
}

bool ctask_snapshot_complete(const struct ctask_snapshot *snap)
{
	return snap->problem_count == 0 && snap->problems_untold == 0;
}

const uint32_t *ctask_task_stack(const struct ctask_snapshot *snap, const struct ctask_task *task)
{
	return snap->stack_frames ? snap->stack_frames + task->stack_first : NULL;
}
