/* hold.c - the lock of the interpreter that we are in. */
#include "agent/tree/hold.h"

#include <stdbool.h>
#include <stdlib.h>

#include "agent/portable.h"

enum { OWN_LOCKS_SINCE_MINOR = 12 };

static int state; /* of the one thread that may hold it */

static void *function(const char *name)
{
	return dlsym ? dlsym(RTLD_DEFAULT, name) : NULL;
}

/* True from the moment in which Python begins to end: then the lock is no longer given to such as we. */
static bool is_ending(void)
{
	int (*is_initialized)(void) = (int (*)(void))function("Py_IsInitialized");
	int (*is_finalizing)(void) = (int (*)(void))function("Py_IsFinalizing");

	if (!is_finalizing)
		is_finalizing = (int (*)(void))function("_Py_IsFinalizing");
	return !is_initialized || !is_finalizing || !is_initialized() || is_finalizing();
}

static bool has_one_lock(void)
{
	const char *(*version)(void) = (const char *(*)(void))function("Py_GetVersion");
	void *(*head)(void) = (void *(*)(void))function("PyInterpreterState_Head");
	void *(*next)(void *) = (void *(*)(void *))function("PyInterpreterState_Next");

	if (!version || !head || !next)
		return false;
	return atoi(version() + 2) < OWN_LOCKS_SINCE_MINOR || !next(head());
}

int ctask_hold_take(int (*may_hold)(void))
{
	int (*ensure)(void) = (int (*)(void))function("PyGILState_Ensure");

	if (!ensure || (may_hold && !may_hold()) || is_ending())
		return -EBUSY;
	state = ensure();
	if (has_one_lock())
		return 0;
	ctask_hold_let_go();
	return -EBUSY;
}

void ctask_hold_let_go(void)
{
	void (*release)(int) = (void (*)(int))function("PyGILState_Release");

	release(state);
}
