/* client.h - one conversation: a line is asked, a reply is given, and time is short. */
#ifndef CTASK_AGENT_CLIENT_H
#define CTASK_AGENT_CLIENT_H

#include <ctask/history.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/descriptor.h"
#include "model/rendezvous.h"

enum ctask_client_state {
	CTASK_CLIENT_NONE,
	CTASK_CLIENT_ASKS,  /**< its line is being read */
	CTASK_CLIENT_WAITS, /**< for an answer that is being found: for job @c job, or to be begun */
	CTASK_CLIENT_LISTENS /**< its reply is being written */
};

/** All zero: none. Nothing here blocks. */
struct ctask_client {
	enum ctask_client_state state;
	struct ctask_own socket;
	int64_t since_ns, progress_ns; /**< CLOCK_MONOTONIC */

	char line[CTASK_REQUEST_BYTES_MAX]; /**< with a NUL for its newline, once it waits */
	size_t line_len;
	uint32_t job; /**< 0 = none yet */

	/* The reply: these three, one after another. */
	char head[1024], tail[128];
	size_t head_len, tail_len;
	struct ctask_own data;
	uint64_t data_len;
	uint64_t written;      /**< of all three together */
	struct ctask_own pass; /**< goes along with the first byte */
};

/** What a reply says about the process. */
struct ctask_client_facts {
	const struct ctask_history_header *history;
	struct ctask_own *memory; /**< of the history */
};

/** Begin with the connected socket @p fd, which is closed where that fails. */
void ctask_client_begin(struct ctask_client *client, int fd, int64_t now_ns);
/** End it, and whatever it was at. */
void ctask_client_end(struct ctask_client *client);

/** Read of its line what is there. What can be answered at once is. */
void ctask_client_read(struct ctask_client *client, const struct ctask_client_facts *facts,
		       int64_t now_ns);
/** Write what it takes of the reply, and end it after the last byte. */
void ctask_client_write(struct ctask_client *client, int64_t now_ns);
/**
 * The answer that it waits for: @p bytes of @p data, which stays the caller's, and what fell out of the history.
 */
void ctask_client_answer(struct ctask_client *client, const struct ctask_client_facts *facts,
			 int data, uint64_t bytes, uint64_t dropped, int64_t now_ns);
/** Or why there is none. @p code is one of CTASK_ERROR_…; @p text is for people. */
void ctask_client_refuse(struct ctask_client *client, const struct ctask_client_facts *facts,
			 const char *code, const char *text, int64_t now_ns);

/** When it will have been too slow, on the same clock. */
int64_t ctask_client_deadline_ns(const struct ctask_client *client);

#endif
