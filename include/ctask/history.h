/* history.h - the agent's shared memory: cancellations, and where the living tasks were made. */
#ifndef CTASK_HISTORY_H
#define CTASK_HISTORY_H

#include <stdint.h>

/*
 * A memfd called CTASK_HISTORY_NAME that the agent keeps open and mapped. One
 * writer, the process itself; any number of readers, who map it read-only (got
 * through /proc/PID/fd/N or over the agent's socket), or read it from the
 * process's memory or its core. It can be read at any moment, also while the
 * process is stopped or its Python hangs.
 *
 * What the words mean is said in ctaskctl(1) and contract 2 of the JSON; all
 * numbers are of the machine's byte order; times are microseconds since the
 * epoch unless they say otherwise. To a reader every byte is untrusted: each
 * offset and count is to be checked against the size of the file.
 *
 * Four areas follow the header, each at its own offset (a multiple of 64):
 *
 *   records   a ring of struct ctask_record: record id n is in slot n % record_room
 *   side      a ring of bytes for what varies in length: see CTASK_SIDE
 *   places    struct ctask_place, one for each place in code ever seen in a record; only grows
 *   words     NUL-terminated texts of places and types; only grows. Offset 0 is the empty text
 *   births    struct ctask_birth, one for each living task; slots are used again
 */
#define CTASK_HISTORY_NAME  "ctask.v1"
#define CTASK_HISTORY_MAGIC "ctaskh01" /* 8 bytes, written last of all */

enum {
	CTASK_HISTORY_VERSION = 1,
	CTASK_HISTORY_FILE_BYTES_MAX = 1 << 28, /**< what is larger is none */
	/* What may be asked for, without births. */
	CTASK_HISTORY_BYTES_MIN = 256 << 10,
	CTASK_HISTORY_BYTES_MAX = 250 << 20,
};

/** Text in all areas is UTF-8 with two additions: U+0000 is C0 80, and a lone surrogate its three bytes. */

struct ctask_history_header {
	char magic[8];
	uint32_t version;
	uint32_t header_bytes;			      /**< sizeof(struct ctask_history_header) */
	uint32_t record_bytes;			      /**< sizeof(struct ctask_record) */
	uint32_t place_bytes;			      /**< sizeof(struct ctask_place) */
	uint32_t birth_bytes;			      /**< sizeof(struct ctask_birth) */
	uint32_t record_room, place_room, birth_room; /**< slots */
	uint32_t side_bytes, word_bytes;	      /**< side_bytes is a power of two */
	uint64_t records_at, side_at, places_at, words_at, births_at; /**< offsets in the file */
	uint64_t file_bytes;

	int32_t nspid;		 /**< the process, in its innermost pid namespace */
	uint32_t flags;		 /**< CTASK_HISTORY_… */
	uint64_t start_ticks;	 /**< field 22 of /proc/PID/stat; 0 = the process has no /proc */
	int64_t since_us;	 /**< nothing is missing from here on */
	char python_version[32]; /**< "3.13.5" */
	char socket_path[108];	 /**< as the process sees it; empty when it has none */
	char reserved[44];

	/* From here on it changes while the process runs; on a cache line of its own. */
	uint64_t last_id __attribute__((aligned(64))); /**< id of the newest record, 0 = none yet */
	uint64_t
		changes; /**< counts every new record and every new outcome; a futex word (low half) */
	uint64_t side_head;   /**< bytes ever written to side */
	uint32_t place_count; /**< places that are whole */
	uint32_t word_used;   /**< bytes of words that are whole */
	uint32_t birth_used;  /**< slots of births that were ever used */
	uint32_t pad;
	uint64_t lost_places;  /**< frames and words that found no room, and are told as 0 */
	uint64_t lost_births;  /**< tasks whose making was not recorded */
	uint64_t lost_records; /**< cancellations that could not be recorded at all */
};

enum {
	CTASK_HISTORY_ENDED = 1,  /**< Python is finalizing: no record will follow */
	CTASK_HISTORY_BY_BPF = 2, /**< written from outside, by what probes saw */
};

/** Order is that of the words in model/cancellation.c. */
enum ctask_origin {
	CTASK_ORIGIN_UNKNOWN,
	CTASK_ORIGIN_TIMEOUT,
	CTASK_ORIGIN_SIBLING_FAILED,
	CTASK_ORIGIN_OWNER_FAILED,
	CTASK_ORIGIN_OWNER_CANCELLED,
	CTASK_ORIGIN_SHUTDOWN,
	CTASK_ORIGIN_INTERRUPT,
	CTASK_ORIGIN_EXPLICIT,
	CTASK_ORIGINS
};

enum ctask_through { /**< scope.kind of a cancellation */
		     CTASK_THROUGH_NONE,
		     CTASK_THROUGH_TIMEOUT,
		     CTASK_THROUGH_WAIT_FOR,
		     CTASK_THROUGH_CANCEL_SCOPE,
		     CTASK_THROUGH_TASK_GROUP,
		     CTASK_THROUGH_NURSERY,
		     CTASK_THROUGH_AWAIT,
		     CTASK_THROUGH_GATHER,
		     CTASK_THROUGH_RUNNER,
		     CTASK_THROUGHS
};

enum ctask_requester_kind {
	CTASK_REQUESTER_TASK,
	CTASK_REQUESTER_CALLBACK,
	CTASK_REQUESTER_RUNNER,
	CTASK_REQUESTER_SIGNAL,
	CTASK_REQUESTER_THREAD,
	CTASK_REQUESTERS
};

enum ctask_outcome {
	CTASK_OUTCOME_PENDING,
	CTASK_OUTCOME_CANCELLED,
	CTASK_OUTCOME_ABSORBED,
	CTASK_OUTCOME_RETURNED,
	CTASK_OUTCOME_RAISED,
	CTASK_OUTCOME_SWALLOWED,
	CTASK_OUTCOME_UNKNOWN,
	CTASK_OUTCOMES
};

/**
 * One request that was taken. 0 = none in every id, side offset, word and
 * place; NAN = not known in every number of seconds.
 */
struct ctask_record {
	uint32_t
		sequence; /**< odd while it is written; a copy is good when it was even and equal before and after */
	uint8_t origin, through, requester_kind, outcome;
	uint64_t
		id; /**< of this slot now; ids start at 1. A record with another id was overwritten, or refused */
	int64_t time_us;
	int64_t after_us; /**< from the request to its outcome; for pending 0 */
	uint64_t cause, root;
	uint64_t target, requester, scope, failed_task; /**< addresses of objects */
	double delay_s, elapsed_s;
	uint32_t repeats;
	uint32_t thread; /**< native id of the thread that asked, in the process's pid namespace */
	uint32_t target_coroutine, requester_coroutine, exception_type; /**< words */
	uint32_t requester_word; /**< requester's name where that is a function: words */
	uint64_t target_name, requester_name, failed_task_name, exception_message,
		message; /**< side */
	uint64_t target_stack,
		stack; /**< side: arrays of uint32_t, indices of places, innermost first */
	uint16_t target_stack_cut,
		stack_cut; /**< frames that were left out, all from the outer end */
	uint32_t
		resolution_us; /**< the outcome may have been so for that long already; 0 = exact */
	uint32_t
		scope_frame; /**< 1 + index into target_stack: the frame that stands in the scope's block; 0 = not known */
	uint32_t pad;
};

/*
 * A side offset counts the bytes ever written to the ring: the entry lies at
 * offset % side_bytes, in one piece, as a uint32_t length in bytes and then
 * the bytes; offsets are multiples of 8 and start at 8. It is there as long
 * as side_head - offset <= side_bytes, before and after the copy was made.
 */
#define CTASK_SIDE_LENGTH_BYTES 4u

/** A place in code. */
struct ctask_place {
	uint32_t name;	   /**< word: qualified name where the version has one */
	uint32_t filename; /**< word */
	uint32_t line;	   /**< 0 = none */
	uint32_t flags;	   /**< CTASK_PLACE_… */
};

enum { CTASK_PLACE_LIBRARY = 1 /**< the runtime's own: asyncio */ };

/** A living task, and where it was made. */
struct ctask_birth {
	uint64_t task; /**< address; 0 = the slot is free */
	int64_t time_us;
	uint64_t creator;  /**< the task that was running then, or 0 */
	uint32_t place;	   /**< innermost frame that is not the runtime's own, or 0 */
	uint32_t sequence; /**< as that of a record */
};

#endif
