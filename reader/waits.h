/* waits.h - what a task waits for: the tables of the runtimes' functions, and what their rows work with. */
#ifndef CTASK_READER_WAITS_H
#define CTASK_READER_WAITS_H

#include "reader/walk.h"

/** What is being put together for one task. */
struct ctask_wait {
	struct ctask_walk *walk;
	const struct ctask_link *link; /**< the frame whose row matched */
	const struct ctask_code *code;
	uint64_t self;	 /**< the frame's `self`, 0 when it has none */
	uint64_t task;	 /**< its address */
	uint64_t future; /**< what the task awaits; 0 where the runtime has no futures */
	uint64_t id;	 /**< the object that it is about: a lock, a queue, a future */
	enum ctask_wait_kind kind;
	double now_s; /**< the runtime's clock; NAN when not known */
	double left_s;
	double sleep_delay;    /**< NAN unless this is a plain sleep of so many seconds */
	ctask_text ready_text; /**< instead of text, when it was made before */
	char text[512];
};

/**
 * A function of a runtime that means something to a user. Of the frames in which a
 * task stands the outermost such one decides: readline, not the readuntil and the
 * _wait_for_data inside of it. An attribute of self, where one is named, tells
 * classes with methods of one name apart in versions without qualified names.
 */
struct ctask_wait_row {
	const char *module, *function; /**< NULL: any function of the module */
	const char *attribute;	       /**< that self must have; NULL: none */
	enum ctask_wait_kind kind;
	void (*read)(struct ctask_wait *wait); /**< NULL: it limits the wait inside of it */
};

/** Rows, and how many. */
struct ctask_wait_rows {
	const struct ctask_wait_row *rows;
	size_t count;
};

/** waits_trio.c, waits_anyio.c: the tables of these. */
extern const struct ctask_wait_rows ctask_trio_waits, ctask_anyio_waits;

/** Add words to the text; what does not fit is cut. */
void ctask_wait_say(struct ctask_wait *wait, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/** "5 s", "0.25 s", "1234567 s": never an exponent. */
void ctask_wait_say_seconds(struct ctask_wait *wait, const char *before, double seconds);
/** "Lock.acquire": the type as the program named it, the function as the runtime did. */
void ctask_wait_say_method(struct ctask_wait *wait);
/** "sleep 5 s", of the number object @p delay; "sleep" where that is 0. */
void ctask_wait_say_sleep(struct ctask_wait *wait, uint64_t delay);
/** " of fetch": the function in local variable @p name, which may be within partials. Nothing where it is not Python's. */
void ctask_wait_say_function(struct ctask_wait *wait, const char *name);
/** ", 3 waiting", where @p format is "%lld waiting": the length of what attribute @p attr of self holds. */
void ctask_wait_say_length(struct ctask_wait *wait, const char *attr, const char *format);
/**
 * What the statistics of a memory channel (trio) or object stream (anyio) tell. The attributes of the state that both ends share
 * differ in name: what holds its items, and who waits to send and to receive.
 */
void ctask_wait_say_channel(struct ctask_wait *wait, const char *buffer, const char *senders,
			    const char *receivers);

/* These read a local variable of the frame and an attribute; -ENOENT also when it is None. */
int ctask_wait_local(struct ctask_wait *wait, const char *name, uint64_t *ret);
int ctask_wait_attr(struct ctask_wait *wait, uint64_t obj, const char *name, uint64_t *ret);
int ctask_wait_int_attr(struct ctask_wait *wait, uint64_t obj, const char *name, int64_t *ret);
/** How many a container holds, or -1. */
int64_t ctask_wait_length_of(struct ctask_wait *wait, uint64_t obj);
/** Of a socket.socket: its file descriptor, or -1. */
int32_t ctask_wait_socket_fd(struct ctask_wait *wait, uint64_t sock);

#endif
