/* wire.h - lines of JSON for the socket, put together in a fixed room. */
#ifndef CTASK_AGENT_WIRE_H
#define CTASK_AGENT_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Text in @p to, always NUL-terminated; what does not fit is left out and remembered. No C library's stdio or locale. */
struct ctask_wire {
	char *to;
	size_t len, room;
	bool full;
};

void ctask_wire_put(struct ctask_wire *wire, const char *text);
void ctask_wire_put_number(struct ctask_wire *wire, uint64_t number);
/** @p text (UTF-8, or bytes of any kind) as a string of JSON; what is no ASCII becomes '?'. */
void ctask_wire_put_string(struct ctask_wire *wire, const char *text);

#endif
