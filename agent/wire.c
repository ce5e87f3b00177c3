/* wire.c - lines of JSON for the socket, put together in a fixed room. */
#include "agent/wire.h"

static void put_char(struct ctask_wire *wire, char c)
{
	if (wire->len + 1 >= wire->room) {
		wire->full = true;
		return;
	}
	wire->to[wire->len++] = c;
	wire->to[wire->len] = '\0';
}

void ctask_wire_put(struct ctask_wire *wire, const char *text)
{
	for (; *text; text++)
		put_char(wire, *text);
}

void ctask_wire_put_number(struct ctask_wire *wire, uint64_t number)
{
	char digits[24];
	size_t at = sizeof(digits) - 1;

	digits[at] = '\0';
	do
		digits[--at] = (char)('0' + number % 10);
	while (number /= 10);
	ctask_wire_put(wire, digits + at);
}

void ctask_wire_put_string(struct ctask_wire *wire, const char *text)
{
	put_char(wire, '"');
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			put_char(wire, '\\');
		put_char(wire, *text < ' ' || *text > '~' ? '?' : *text);
	}
	put_char(wire, '"');
}
