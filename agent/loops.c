/* loops.c - which loop each thread runs, and from where. */
#include "agent/loops.h"

#include <pthread.h>

#include "agent/lock.h"
#include "agent/portable.h"
#include "agent/text.h"

enum { RUNNING_MAX = 256 };

/* The loops that run now. A program with more threads that run loops than this is not told apart so well. */
static struct running {
	const struct py_object *loop;
	pthread_t thread;
} running[RUNNING_MAX];

#define PER_THREAD __thread __attribute__((tls_model("initial-exec")))
static PER_THREAD const char *base;	  /* the frame from which the loop was run */
static PER_THREAD struct py_object *here; /* the loop; while it runs somebody has a reference */
static PER_THREAD int native_id;

static const char *frame_round_the_loop(void)
{
	const struct ctask_code_facts *facts;
	struct ctask_seen seen;
	bool more = ctask_frame_see(ctask_frame_now(), &seen);

	while (more) {
		ctask_place_of(seen.code, seen.lasti, &facts);
		if (!facts->runs_loops)
			return seen.frame;
		more = ctask_frame_outer(&seen, &seen);
	}
	return NULL;
}

void ctask_loops_run(struct py_object *loop)
{
	pthread_t self = pthread_self();
	struct running *slot = NULL;

	here = loop;
	base = loop ? frame_round_the_loop() : NULL;
	ctask_lock();
	for (int i = 0; i < RUNNING_MAX; i++) {
		if (running[i].loop && pthread_equal(running[i].thread, self)) {
			slot = &running[i];
			break;
		}
		if (!running[i].loop && !slot)
			slot = &running[i];
	}
	if (slot)
		*slot = (struct running){ loop, self };
	ctask_unlock();
}

struct py_object *ctask_loops_here(void)
{
	return here;
}

bool ctask_loops_elsewhere(const struct py_object *loop)
{
	pthread_t self = pthread_self();
	bool found = false;

	ctask_lock();
	for (int i = 0; loop && i < RUNNING_MAX; i++)
		found |= running[i].loop == loop && !pthread_equal(running[i].thread, self);
	ctask_unlock();
	return found;
}

int ctask_loops_base(const struct ctask_stack_seen *stack)
{
	for (int i = 0; base && i < stack->count; i++)
		if (stack->seen[i].frame == base)
			return i;
	return stack->count;
}

int ctask_loops_thread(void)
{
	if (!native_id)
		native_id = ctask_gettid();
	return native_id;
}

void ctask_loops_thread_name(char *to, size_t room)
{
	struct py_object *active = ctask_python_module_item("threading", "_active");
	struct py_object *ident, *thread = NULL, *name;

	to[0] = '\0';
	ident = active ? ctask_py.PyLong_FromUnsignedLong((unsigned long)pthread_self()) : NULL;
	if (ident) {
		thread = ctask_py.PyDict_GetItemWithError(active, ident);
		ctask_py.Py_DecRef(ident);
	}
	name = thread ? ctask_python_attr(thread, "_name") : NULL;
	ctask_py.PyErr_Clear();
	if (name) {
		ctask_text_copy(name, to, room);
		ctask_py.Py_DecRef(name);
	}
}

void ctask_loops_forget(void)
{
	pthread_t self = pthread_self();

	native_id = 0;
	for (int i = 0; i < RUNNING_MAX; i++)
		if (!pthread_equal(running[i].thread, self))
			running[i].loop = NULL;
}
