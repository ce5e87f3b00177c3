/* start.c - when a process started: with its id, which process it is. */
#include "agent/start.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

uint64_t ctask_start_ticks(const char *stat)
{
	char text[1024];
	uint64_t ticks = 0;
	const char *at;
	ssize_t len;
	int fd = open(stat, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return 0;
	len = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (len <= 0)
		return 0;
	text[len] = '\0';
	at = strrchr(text, ')');
	/* The name is field 2; the start is field 22. */
	for (int field = 2; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	for (at = at ? at + 1 : ""; *at >= '0' && *at <= '9'; at++)
		ticks = ticks * 10 + (uint64_t)(*at - '0');
	return ticks;
}
