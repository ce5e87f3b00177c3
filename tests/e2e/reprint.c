/* reprint.c - read a snapshot from standard input, and write it again: the same text must come out. */
#include <stdio.h>
#include <stdlib.h>

#include "model/cleanup.h"
#include "model/json.h"
#include "model/json_read.h"

int main(void)
{
	struct ctask_snapshot *snap = NULL;
	struct ctask_error err = { 0 };
	auto_free char *text = NULL;
	size_t len = 0, room = 0, got;

	do {
		if (len == room) {
			char *grown = realloc(text, room = room * 2 + 65536);

			if (!grown)
				return 1;
			text = grown;
		}
		got = fread(text + len, 1, room - len, stdin);
		len += got;
	} while (got);
	if (ctask_json_read_snapshot(text, len, &snap, &err) ||
	    ctask_json_write_snapshot(snap, stdout, &err)) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	ctask_snapshot_destroy(snap);
	return 0;
}
