/* tree_fake.c - in place of libctask-agent-tree.so for check_serve: as large and as slow as the request says. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/tree/answer.h"

ctask_answer_door ctask_answer;

/*
 * "tree": one line. "cancels since=N": N lines of 1024 bytes; from 1,000,000,000 on, nothing until
 * there is a file "go" in $CTASK_DIR, and then one line.
 */
int ctask_answer(struct ctask_answer *answer)
{
	const char *since = strstr(answer->request, "since=");
	long count = since ? atol(since + 6) : 1;
	char line[1025];

	if (count == 13) {
		snprintf(answer->text, sizeof(answer->text), "an \"unlucky\" number");
		return -EIO;
	}
	if (count >= 1000000000) {
		char go[256];

		snprintf(go, sizeof(go), "%s/go", getenv("CTASK_DIR"));
		while (access(go, F_OK))
			usleep(1000);
		count = 1;
	}
	memset(line, 'x', sizeof(line));
	line[0] = line[1022] = '"';
	line[1023] = '\n';
	for (; count > 0; count--)
		if (write(answer->out, line, 1024) != 1024)
			return -errno;
	answer->dropped = 7;
	return 0;
}
