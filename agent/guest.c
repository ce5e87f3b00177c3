/* guest.c - the agent's life in a process: when it begins to record, forks, the end. */
#include "agent/guest.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/answer.h"
#include "agent/births.h"
#include "agent/cancel.h"
#include "agent/code.h"
#include "agent/function.h"
#include "agent/history.h"
#include "agent/hooks.h"
#include "agent/level.h"
#include "agent/lock.h"
#include "agent/loops.h"
#include "agent/portable.h"
#include "agent/python.h"
#include "agent/pytask.h"
#include "agent/requests.h"
#include "agent/serve.h"
#include "agent/stack.h"
#include "agent/tasks.h"
#include "agent/trio.h"

enum ctask_guest_state ctask_guest_state;
bool ctask_guest_serves_again, ctask_guest_knows_asyncio;
__thread bool ctask_guest_forks __attribute__((tls_model("initial-exec")));

/*
 * CPython, from 3.12 on, warns whoever forks while there are other threads, and it counts ours:
 * the thread ends for the fork, and is started again by the next hook.
 */
static void step_aside(void)
{
	if (ctask_guest_is_ready() && ctask_serve_step_aside())
		ctask_guest_serves_again = true;
	ctask_guest_forks = true;
}

static void parent_goes_on(void)
{
	ctask_guest_forks = false;
}

void ctask_guest_serve(void)
{
	ctask_guest_serves_again = false;
	ctask_serve_start(ctask_writer.header, ctask_writer.fd);
}

/* A child of fork() is a process of its own: its history begins when it makes a task. */
static void forget_the_parent(void)
{
	ctask_guest_forks = false;
	ctask_lock_renew();
	if (ctask_guest_state == CTASK_GUEST_REFUSED)
		return;
	ctask_guest_state = CTASK_GUEST_NEW;
	ctask_guest_serves_again = false;
	ctask_serve_forget();
	ctask_history_forget();
	ctask_requests_forget();
	ctask_births_forget();
	ctask_places_forget();
	ctask_stack_forget();
	ctask_loops_forget();
	ctask_cancel_forget();
	ctask_level_forget();
}

/*
 * Python has ended. A program may start it again, but what was learnt of it is gone with
 * the first: from now on the hooks only pass on.
 */
static void python_has_ended(void)
{
	ctask_guest_state = CTASK_GUEST_REFUSED;
	ctask_requests_tasks = 0;
	if (ctask_writer.header)
		ctask_writer.header->flags |= CTASK_HISTORY_ENDED;
}

static size_t history_bytes(void)
{
	const char *text = getenv("CTASK_HISTORY_BYTES");
	size_t bytes = 0;

	for (; text && *text >= '0' && *text <= '9' && bytes < SIZE_MAX / 100; text++)
		bytes = bytes * 10 + (size_t)(*text - '0');
	if (!bytes)
		bytes = CTASK_HISTORY_BYTES_DEFAULT;
	return bytes > CTASK_HISTORY_BYTES_MAX ? CTASK_HISTORY_BYTES_MAX : bytes;
}

/*
 * Soon after it has waited for its threads, Python takes no more calls for its main thread. 3.8 raises an error
 * then, in whichever thread has its lock.
 */
enum { RAISES_IN_ANY_THREAD = 8 };

static struct ctask_function shutdown;

static struct py_object *call_shutdown(struct py_object *callable, struct py_object *const *args,
				       size_t nargsf, struct py_object *kwnames)
{
	(void)callable;
	ctask_answer_hold_no_more();
	return ctask_function_call(&shutdown, args, nargsf, kwnames);
}

static void see_it_leave(void)
{
	struct py_object *threading = ctask_python_module("threading");

	if (ctask_py.layout.minor == RAISES_IN_ANY_THREAD && threading && !shutdown.function)
		ctask_function_hook(&shutdown, threading, "_shutdown", call_shutdown,
				    CTASK_CALLED_BY_C);
}

void ctask_guest_missed(void)
{
	if (ctask_guest_is_ready() && !ctask_py.is_finalizing() &&
	    ctask_py.interpreter_now() != ctask_py.interpreter)
		__atomic_add_fetch(&ctask_writer.header->lost_records, 1, __ATOMIC_RELAXED);
}

/* asyncio may come later, where trio is there. */
static int meet_asyncio(void)
{
	int ret = ctask_tasks_meet();

	ctask_guest_knows_asyncio = !ret;
	if (!ret)
		ctask_pytask_hook();
	return ret;
}

bool ctask_guest_meet_asyncio(void)
{
	struct py_object *type, *value, *traceback;

	ctask_py.PyErr_Fetch(&type, &value, &traceback);
	meet_asyncio();
	ctask_py.PyErr_Restore(type, value, traceback);
	return ctask_guest_knows_asyncio;
}

static int begin(void)
{
	static bool watches;
	int ret = ctask_python_meet();

	if (!ret)
		ret = meet_asyncio();
	if (ret == -EAGAIN && ctask_trio_meet())
		ret = 0;
	if (!ret)
		ret = ctask_history_make(history_bytes(), ctask_py.version);
	if (!ret)
		ret = ctask_requests_make(ctask_writer.header->record_room);
	if (!ret)
		ret = ctask_cancel_make();
	if (!ret)
		ret = ctask_level_make(ctask_writer.header->record_room);
	if (!ret && !watches &&
	    (ctask_py.Py_AtExit(python_has_ended) ||
	     pthread_atfork(step_aside, parent_goes_on, forget_the_parent)))
		ret = -ENOTSUP;
	if (ret) { /* a history that is there says that nothing is missing from it */
		ctask_history_forget();
		return ret;
	}
	watches = true;
	see_it_leave();
	ctask_serve_start(ctask_writer.header, ctask_writer.fd);
	return 0;
}

bool ctask_guest_begin(void)
{
	struct py_object *type, *value, *traceback;
	static __thread bool begins __attribute__((tls_model("initial-exec")));
	int ret;

	if (begins)
		return false;
	begins = true;
	ret = ctask_python_find();
	if (!ret) {
		ctask_py.PyErr_Fetch(&type, &value, &traceback);
		ret = begin();
		ctask_py.PyErr_Restore(type, value, traceback);
	}
	/* What is not there yet may come: then the next task tries again. */
	if (ret != -EAGAIN)
		ctask_guest_state = ret ? CTASK_GUEST_REFUSED : CTASK_GUEST_READY;
	begins = false;
	return ctask_guest_is_ready();
}
