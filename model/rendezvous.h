/* rendezvous.h - where an agent's socket is, and how one speaks over it: what both ends agree on. */
#ifndef CTASK_MODEL_RENDEZVOUS_H
#define CTASK_MODEL_RENDEZVOUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Pure, and without a call into the C library: the agent, a guest, uses it too.
 * The conversation is described in ctask-agent(7).
 */

enum {
	CTASK_PROTOCOL_VERSION = 1,
	CTASK_REQUEST_BYTES_MAX = 256,	  /**< a request's line, with its newline */
	CTASK_REPLY_BYTES_MAX = 64 << 20, /**< all data lines of a reply together */
	CTASK_CLIENTS_MAX = 32,		  /**< at once; the idlest makes room for a new one */
	CTASK_REQUEST_MS = 2000,	  /**< from connecting to the end of the line */
	CTASK_STALL_MS = 5000,		  /**< without a byte taken, a client is dropped */
	CTASK_TALK_MS = 60000,		  /**< and whatever it takes, after this */
	CTASK_ANSWER_MS = 3000,		  /**< to find an answer; after that it is "busy" */
	CTASK_SOCKET_NAME_BYTES = 64,	  /**< room for a socket's name and its NUL */
	CTASK_SOCKET_PATH_BYTES = 108,	  /**< room in struct sockaddr_un, and in the history */
	CTASK_PLACE_BYTES = 4096,	  /**< room for a directory's path and its NUL */
};

enum ctask_request {
	CTASK_ASK_HELLO,
	CTASK_ASK_HISTORY,
	CTASK_ASK_CANCELS,
	CTASK_ASK_TREE,
	CTASK_ASKS
};

/** The words of the requests, indexed by enum ctask_request. */
extern const char *const ctask_request_words[];
/**
 * The request that @p line begins with, and in *ret_rest what follows the word and
 * its blanks. -1 when it is none, or has words behind it where none belong.
 */
int ctask_request_parse(const char *line, const char **ret_rest);

/** What the first line of a message says it is. */
#define CTASK_SCHEMA_HELLO   "ctask.hello"
#define CTASK_SCHEMA_HISTORY "ctask.history"
#define CTASK_SCHEMA_END     "ctask.end"
#define CTASK_SCHEMA_ERROR   "ctask.error"

/** The code of a "ctask.error" is one of these words. */
#define CTASK_ERROR_USAGE	  "usage"
#define CTASK_ERROR_BUSY	  "busy"
#define CTASK_ERROR_FAILED	  "failed"
#define CTASK_ERROR_NOT_PERMITTED "not_permitted"
#define CTASK_ERROR_UNAVAILABLE	  "unavailable"

/**
 * What decides about the directory. On the agent's side its own environment; on
 * the other side what is known or guessed of it. NULL or empty: not set.
 */
struct ctask_places {
	const char *ctask_dir;	 /**< $CTASK_DIR */
	const char *runtime_dir; /**< $XDG_RUNTIME_DIR */
	const char *tmp;	 /**< $TMPDIR; /tmp when not set */
	uint32_t uid; /**< effective user of the process with the agent, as it sees itself */
};

/** In the order in which they are tried. */
enum ctask_place_kind {
	CTASK_AT_CTASK_DIR,   /**< $CTASK_DIR itself */
	CTASK_AT_RUNTIME_DIR, /**< $XDG_RUNTIME_DIR/ctask */
	CTASK_AT_RUN,	      /**< /run/ctask/<uid>; /run/ctask is the administrator's */
	CTASK_AT_TMP,	      /**< $TMPDIR/ctask-<uid> */
	CTASK_PLACE_KINDS
};

/** The absolute path of the directory @p kind to @p path. False when there is none such, or no room. */
bool ctask_place_path(const struct ctask_places *places, enum ctask_place_kind kind,
		      char path[CTASK_PLACE_BYTES]);

/**
 * The name of the socket of a process: its id in its innermost pid namespace, and
 * when it started, in clock ticks since boot (field 22 of /proc/PID/stat): an id
 * that is used again gives another name.
 */
void ctask_socket_name(int32_t nspid, uint64_t start_ticks, char name[CTASK_SOCKET_NAME_BYTES]);
/** The other way round. False when @p name is no such name, exactly. */
bool ctask_socket_name_parse(const char *name, int32_t *ret_nspid, uint64_t *ret_start_ticks);

#endif
