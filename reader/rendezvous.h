/* rendezvous.h - find the agent in a process, and ask it. */
#ifndef CTASK_READER_RENDEZVOUS_H
#define CTASK_READER_RENDEZVOUS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "model/error.h"
#include "model/rendezvous.h"

struct ctask_agent_options {
	/** What of our own environment may be that of the process too; uid is not looked at. */
	struct ctask_places places;
	uint32_t timeout_ms; /**< for all together; 0 = the default */
};

enum { CTASK_AGENT_TIMEOUT_MS_DEFAULT = 10000 };

/** What the agent said. */
struct ctask_agent_reply {
	char *text;	  /**< all of it, NUL-terminated; the owner of the rest */
	const char *data; /**< the lines between the first and the last, in text */
	size_t data_len;
	int fd; /**< that came along, or -1 */
};

/**
 * Connect to the agent of process @p pid (as we see it): through its descriptors where we
 * may look at them, else by the socket's name, below the process's root or ours. No
 * link leads out of there, nothing waits longer than the timeout, and the other
 * side is known to be that process by the kernel's word. The caller closes *ret_fd.
 *
 * -ESRCH when there is no such process, -ENOTSUP when there is no agent in it, -EPERM
 * when it answers only to others (the text names whom), -ETIMEDOUT.
 */
int ctask_agent_connect(pid_t pid, const struct ctask_agent_options *options, int *ret_fd,
			struct ctask_error *err);

/**
 * Ask @p request, a line of the protocol without its newline. Fails as above, also when the reply is
 * an error or lacks its end (-EPROTO); -EBUSY when the agent says that it is.
 */
int ctask_agent_ask(pid_t pid, const struct ctask_agent_options *options, const char *request,
		    struct ctask_agent_reply *ret_reply, struct ctask_error *err);
/** Gives back text and descriptor. */
void ctask_agent_reply_fini(struct ctask_agent_reply *reply);

/** The history of @p pid, as a descriptor of its shared memory, which can only be read. The caller closes it. */
int ctask_agent_history(pid_t pid, const struct ctask_agent_options *options, int *ret_fd,
			struct ctask_error *err);

#endif
