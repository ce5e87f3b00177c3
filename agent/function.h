/* function.h - put a function of the agent before one that is written in Python. */
#ifndef CTASK_AGENT_FUNCTION_H
#define CTASK_AGENT_FUNCTION_H

#include <stdint.h>

#include "agent/python.h"

/**
 * What a call of a function runs: vectorcallfunc, Include/cpython/object.h; a method with METH_FASTCALL and
 * METH_KEYWORDS has the same form. The number of arguments is nargsf without CTASK_ARGUMENTS_OFFSET.
 */
typedef struct py_object *(*py_vectorcall)(struct py_object *callable,
					   struct py_object *const *args, size_t nargsf,
					   struct py_object *kwnames);

#define CTASK_ARGUMENTS_OFFSET ((size_t)1 << 63) /* PY_VECTORCALL_ARGUMENTS_OFFSET */

/** A function that has one before it. It stays for good. */
struct ctask_function {
	struct py_object *function; /**< NULL: nothing was put before anything */
	py_vectorcall before;
	struct py_method_def method; /**< what calls the hook, where a call skips the pointer */
};

/** Who calls a function that is hooked. */
enum ctask_caller { CTASK_CALLED_BY_C, CTASK_CALLED_BY_PYTHON };

/**
 * Let a call of @p owner.name, written in Python, run @p call, which runs the function itself by
 * ctask_function_call(). Where a decorator keeps the function in __wrapped__, that one is taken. The
 * function looks and is as before. What is no such function is left alone. Needs the GIL and a layout; no error
 * stays set.
 */
void ctask_function_hook(struct ctask_function *hook, struct py_object *owner, const char *name,
			 py_vectorcall call, enum ctask_caller caller);

/** The function itself. */
static inline struct py_object *ctask_function_call(const struct ctask_function *hook,
						    struct py_object *const *args, size_t nargsf,
						    struct py_object *kwnames)
{
	return hook->before(hook->function, args, nargsf, kwnames);
}

/** The arguments that were given by place. */
static inline size_t ctask_function_arguments(size_t nargsf)
{
	return nargsf & ~CTASK_ARGUMENTS_OFFSET;
}

#endif
