/* origins.h - from the functions that a cancel call came through to its origin: the rows of one table. */
#ifndef CTASK_MODEL_ORIGINS_H
#define CTASK_MODEL_ORIGINS_H

#include <ctask/history.h>
#include <stdbool.h>
#include <stddef.h>

/** What a function means that is found on the stack of a cancel(), innermost first. */
enum ctask_role {
	/** Passes the request on: what lies further out decides. It may name the construct (gather). */
	CTASK_ROLE_PASSES,
	/** Decides: the request has the row's origin. */
	CTASK_ROLE_DECIDES,
	/** The same, unless a CancelledError is being handled there: then the owner was cancelled. */
	CTASK_ROLE_DECIDES_OR_OWNER,
	/** Stops what is left; the task that runs `main` was interrupted if a KeyboardInterrupt is on its way. */
	CTASK_ROLE_RUNNER,
	/** Keeps a child in a nursery of its own, the row's scope, until it has started. */
	CTASK_ROLE_STARTS,
	/** Enters a scope that lies below what the user wrote: that is `self`. */
	CTASK_ROLE_ENTERS,
	/** Asks each task in a scope: that is the row's, else `self`. Whoever cancelled the scope asked. */
	CTASK_ROLE_DELIVERS,
	/** Leaves a scope: what it takes back is what that asked. */
	CTASK_ROLE_LEAVES,
	/** Runs callbacks or a whole loop: nothing of the library asked, whatever lies further out. */
	CTASK_ROLE_BOUNDARY,
};

/** A function of a library, and what to read of its local variables; NULL where there is nothing. */
struct ctask_origin_row {
	const char *
		file; /**< how its path ends; a row of asyncio holds for the asyncio that is loaded */
	const char *function; /**< plain name */
	const char
		*self; /**< name of the type of `self`, where the function's name is not enough */
	enum ctask_role role;
	enum ctask_origin origin;
	enum ctask_through through;
	const char *scope; /**< the local that is the construct: its id */
	const char *delay; /**< the local that is its delay in seconds */
	const char *when;  /**< the local that is its deadline, in seconds of the loop's clock */
	const char *
		failed; /**< the local that is the task that failed; of DELIVERS, the one that is asked */
	const char *exception; /**< the local that is the failure */
	const char *fired;     /**< the attribute of the construct that is true once it has asked */
	const char *main;      /**< the local that is the coroutine that is run */
	const char *versions;  /**< checked on */
};

extern const struct ctask_origin_row ctask_origin_rows[];
extern const size_t ctask_origin_row_count;

/**
 * The row of a function, or NULL. @p module is the file within the loaded
 * asyncio ("tasks.py"), NULL when it is not of asyncio; @p filename its whole
 * path. No function has two rows.
 */
const struct ctask_origin_row *ctask_origin_find(const char *module, const char *filename,
						 const char *function);
#endif
