/* seat.h - the agent's socket in the file system: where it is bound, and whether it still is there. */
#ifndef CTASK_AGENT_SEAT_H
#define CTASK_AGENT_SEAT_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/descriptor.h"
#include "model/rendezvous.h"

/** All zero: none. */
struct ctask_seat {
	struct ctask_own
		directory; /**< holds a shared flock, so that tmp cleaners leave it alone */
	struct ctask_own listener;
	/**
	 * The socket's file, O_PATH. Who may look into /proc/PID/task/TID/fd finds it
	 * there and connects through it, also when its name has been removed: and
	 * whoever connects wakes the agent, which then makes the name anew.
	 */
	struct ctask_own file;
	uint64_t device, inode;	      /**< of the socket's file */
	uint32_t uid;		      /**< effective user when it was bound */
	char path[CTASK_PLACE_BYTES]; /**< of the directory */
	char name[CTASK_SOCKET_NAME_BYTES];
};

/**
 * Bind and listen in the first place of @p places that allows it, and remove what
 * dead processes of this user left there. 0 or -errno of the last place tried.
 */
int ctask_seat_take(struct ctask_seat *seat, const struct ctask_places *places, int32_t nspid,
		    uint64_t start_ticks);
/** False when the name leads elsewhere by now, or nowhere. */
bool ctask_seat_is_there(const struct ctask_seat *seat);
/** Let go of the numbers that lead to other files by now. */
void ctask_seat_drop_lost(struct ctask_seat *seat);
/** Close what is ours. The name stays. */
void ctask_seat_close(struct ctask_seat *seat);
/** Its files are another process's: nothing is closed. Async-signal-safe. */
void ctask_seat_forget(struct ctask_seat *seat);
/** Remove the name, if it still leads to our socket. */
void ctask_seat_remove_name(const struct ctask_seat *seat);
/** The path of the socket for the history; empty when it is too long for one. */
void ctask_seat_path(const struct ctask_seat *seat, char path[CTASK_SOCKET_PATH_BYTES]);

#endif
