/* answer.h - the only door of libctask-agent-tree.so. */
#ifndef CTASK_AGENT_TREE_ANSWER_H
#define CTASK_AGENT_TREE_ANSWER_H

#include <ctask/history.h>
#include <stdint.h>

/** Beside the agent; opened with the first question that takes it. */
#define CTASK_TREE_LIBRARY "libctask-agent-tree.so"
#define CTASK_TREE_DOOR	   "ctask_answer"

/** What is asked, and what became of it. Both libraries are of one build, which @c bytes makes sure of. */
struct ctask_answer {
	uint32_t bytes;	     /**< sizeof(struct ctask_answer) */
	const char *request; /**< a request of the protocol: "tree", "cancels since=17" */
	const struct ctask_history_header *history; /**< in this process's memory */
	int out;				    /**< where the data lines go: a file */
	uint64_t out_bytes_max;
	int service_tid; /**< of the thread that waits for this answer: no part of the picture */
	/** True while the hold of the interpreter's lock may be asked for. */
	int (*may_hold)(void);

	uint64_t dropped; /**< cancellations that fell out of the history */
	char text[256];	  /**< why there is no answer, for people */
};

/** Answer it. 0 or -errno; -EBUSY when a true picture could not be had in the time. Takes its time: seconds. */
typedef int ctask_answer_door(struct ctask_answer *answer);

#endif
