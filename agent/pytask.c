/* pytask.c - the tasks that asyncio has in Python, beside those in C. */
#include "agent/pytask.h"

#include <stdint.h>

#include "agent/cancel.h"
#include "agent/frames.h"
#include "agent/guest.h"
#include "agent/portable.h"
#include "agent/python.h"
#include "agent/requests.h"

/*
 * A function object has a pointer to what a call of it runs (vectorcall, 3.8
 * on). Replaced, the function looks and is as before. Only 3.11 runs a
 * function's code without a look at that pointer, when Python code calls it: there the function gets
 * other code, which calls the hook.
 */

typedef struct py_object *(*vectorcall)(struct py_object *callable, struct py_object *const *args,
					size_t nargsf, struct py_object *kwnames);

#define ARGUMENTS_OFFSET ((size_t)1 << 63) /* PY_VECTORCALL_ARGUMENTS_OFFSET */

enum hooked { CANCEL, UNCANCEL, CANCELLING, STEP, WAKEUP, INIT, HOOKED };

static struct {
	struct py_object *function;
	vectorcall before;
} functions[HOOKED];

static struct py_object *pass_on(enum hooked which, struct py_object *const *args, size_t nargsf,
				 struct py_object *kwnames)
{
	return functions[which].before(functions[which].function, args, nargsf, kwnames);
}

/* The task whose method is called; NULL when the call is not as it should be. */
static struct py_object *task_of(struct py_object *const *args, size_t nargsf)
{
	return nargsf & ~ARGUMENTS_OFFSET && ctask_guest_ready() ? args[0] : NULL;
}

static struct py_object *call_cancel(struct py_object *callable, struct py_object *const *args,
				     size_t nargsf, struct py_object *kwnames)
{
	struct py_object *task = task_of(args, nargsf), *result;
	size_t nargs = nargsf & ~ARGUMENTS_OFFSET;
	struct ctask_call call;

	(void)callable;
	if (!task)
		return pass_on(CANCEL, args, nargsf, kwnames);
	ctask_cancel_begin(&call, task, nargs > 1 || kwnames ? args[1] : NULL);
	result = pass_on(CANCEL, args, nargsf, kwnames);
	ctask_cancel_end(&call, result == ctask_py.py_true);
	return result;
}

static struct py_object *call_uncancel(struct py_object *callable, struct py_object *const *args,
				       size_t nargsf, struct py_object *kwnames)
{
	struct py_object *task = task_of(args, nargsf);

	(void)callable;
	if (task)
		ctask_cancel_undone(task);
	return pass_on(UNCANCEL, args, nargsf, kwnames);
}

static struct py_object *call_cancelling(struct py_object *callable, struct py_object *const *args,
					 size_t nargsf, struct py_object *kwnames)
{
	(void)callable;
	if (task_of(args, nargsf))
		ctask_cancel_entered();
	return pass_on(CANCELLING, args, nargsf, kwnames);
}

static struct py_object *step(enum hooked which, struct py_object *const *args, size_t nargsf,
			      struct py_object *kwnames)
{
	struct py_object *task = ctask_requests_tasks ? task_of(args, nargsf) : NULL, *result;

	if (task) {
		ctask_py.Py_IncRef(task); /* nobody tells when it is freed */
		ctask_requests_step(task);
	}
	result = pass_on(which, args, nargsf, kwnames);
	if (task) {
		ctask_requests_settle(task);
		ctask_py.Py_DecRef(task);
	}
	return result;
}

static struct py_object *call_step(struct py_object *callable, struct py_object *const *args,
				   size_t nargsf, struct py_object *kwnames)
{
	(void)callable;
	return step(STEP, args, nargsf, kwnames);
}

static struct py_object *call_wakeup(struct py_object *callable, struct py_object *const *args,
				     size_t nargsf, struct py_object *kwnames)
{
	(void)callable;
	return step(WAKEUP, args, nargsf, kwnames);
}

/* Nobody tells when such a task is freed: what was open at its address ends when the next one is made there. */
static struct py_object *call_init(struct py_object *callable, struct py_object *const *args,
				   size_t nargsf, struct py_object *kwnames)
{
	struct py_object *task = ctask_requests_tasks ? task_of(args, nargsf) : NULL;

	(void)callable;
	if (task)
		ctask_requests_gone(task);
	return pass_on(INIT, args, nargsf, kwnames);
}

/* --- 3.11: other code in the same function --- */

enum {
	CALLS_SKIP_POINTER = 11,
	FILE_INPUT = 257, /* Py_file_input */
	STAND_IN = 190190190,
	SOURCE_ROOM = 512,
};

static struct py_object *from_cancel(struct py_object *self, struct py_object *const *args,
				     int64_t nargs)
{
	(void)self;
	return call_cancel(NULL, args, (size_t)nargs, NULL);
}

static struct py_object *from_uncancel(struct py_object *self, struct py_object *const *args,
				       int64_t nargs)
{
	(void)self;
	return call_uncancel(NULL, args, (size_t)nargs, NULL);
}

static struct py_object *from_cancelling(struct py_object *self, struct py_object *const *args,
					 int64_t nargs)
{
	(void)self;
	return call_cancelling(NULL, args, (size_t)nargs, NULL);
}

/* What the function runs in place of its code: it calls the constant that is put where the number is. */
static const struct {
	const char *head, *call;
} sources[] = {
	[CANCEL] = { "def cancel(self, msg=None):\n _ = 190190190\n", " return _(self, msg)\n" },
	[UNCANCEL] = { "def uncancel(self):\n _ = 190190190\n", " return _(self)\n" },
	[CANCELLING] = { "def cancelling(self):\n _ = 190190190\n", " return _(self)\n" },
};

/* As many lines long as @p original, the call in the last one. */
static void write_source(enum hooked which, struct py_object *original, char *to, size_t room)
{
	struct py_object *bytes = ctask_py.PyObject_GetAttrString(original, "co_code");
	int size = bytes ? (int)ctask_py.PyBytes_Size(bytes) : 0;
	int last = size > 2 ? ctask_py.PyCode_Addr2Line(original, size - 2) : 0;
	int lines = last - ctask_py.PyCode_Addr2Line(original, -1) - 2;
	size_t used = strlen(sources[which].head), end = strlen(sources[which].call) + 1;

	memcpy(to, sources[which].head, used);
	for (int i = 0; i < lines && used + end < room; i++)
		to[used++] = '\n';
	memcpy(to + used, sources[which].call, end);
	if (bytes)
		ctask_py.Py_DecRef(bytes);
}

static struct py_method_def methods[] = {
	[CANCEL] = { "cancel", (void *)from_cancel, PY_METH_FASTCALL, NULL },
	[UNCANCEL] = { "uncancel", (void *)from_uncancel, PY_METH_FASTCALL, NULL },
	[CANCELLING] = { "cancelling", (void *)from_cancelling, PY_METH_FASTCALL, NULL },
};

/* name, type of result, parameters: what only this needs of CPython. */
#define FUNCTIONS_311(F)                                                                           \
	F(Py_CompileStringExFlags, struct py_object *,                                             \
	  (const char *, const char *, int, void *, int))                                          \
	F(PyCFunction_NewEx, struct py_object *,                                                   \
	  (struct py_method_def *, struct py_object *, struct py_object *))                        \
	F(PyFunction_New, struct py_object *, (struct py_object *, struct py_object *))            \
	F(PyFunction_GetGlobals, struct py_object *, (struct py_object *))                         \
	F(PyFunction_GetDefaults, struct py_object *, (struct py_object *))                        \
	F(PyFunction_SetDefaults, int, (struct py_object *, struct py_object *))                   \
	F(PyObject_SetAttrString, int, (struct py_object *, const char *, struct py_object *))     \
	F(PyObject_Call, struct py_object *,                                                       \
	  (struct py_object *, struct py_object *, struct py_object *))                            \
	F(PyDict_New, struct py_object *, (void))                                                  \
	F(PyDict_SetItemString, int, (struct py_object *, const char *, struct py_object *))       \
	F(PyTuple_New, struct py_object *, (int64_t))                                              \
	F(PyTuple_SetItem, int, (struct py_object *, int64_t, struct py_object *))

static struct {
#define FUNCTION(name, result, parameters) result(*name) parameters;
	FUNCTIONS_311(FUNCTION)
#undef FUNCTION
} py311;

static bool find_functions(void)
{
	bool found = true;

#define FUNCTION(name, result, parameters)                                                         \
	*(void **)&py311.name = dlsym(RTLD_DEFAULT, #name);                                        \
	found &= py311.name != NULL;
	FUNCTIONS_311(FUNCTION)
#undef FUNCTION
	return found;
}

/* The code object among the constants of @p module, the code of a source above. New reference. */
static struct py_object *code_within(struct py_object *module)
{
	struct py_object *constants = ctask_py.PyObject_GetAttrString(module, "co_consts");
	struct py_object *found = NULL;
	int64_t count = constants ? ctask_py.PyTuple_Size(constants) : 0;

	for (int64_t i = 0; i < count && !found; i++)
		if (py_is(ctask_py.PyTuple_GetItem(constants, i), ctask_py.PyCode_Type))
			found = ctask_py.PyTuple_GetItem(constants, i);
	if (found)
		ctask_py.Py_IncRef(found);
	if (constants)
		ctask_py.Py_DecRef(constants);
	return found;
}

/* The constants of @p code, with @p function in the place of the number. New reference. */
static struct py_object *constants_with(struct py_object *code, struct py_object *function)
{
	struct py_object *constants = ctask_py.PyObject_GetAttrString(code, "co_consts");
	int64_t count = constants ? ctask_py.PyTuple_Size(constants) : 0;
	struct py_object *changed = py311.PyTuple_New(count);

	for (int64_t i = 0; i < count && changed; i++) {
		struct py_object *value = ctask_py.PyTuple_GetItem(constants, i);

		if (py_is(value, ctask_py.PyLong_Type) &&
		    ctask_py.PyLong_AsLongLong(value) == STAND_IN)
			value = function;
		ctask_py.Py_IncRef(value);
		py311.PyTuple_SetItem(changed, i, value);
	}
	if (constants)
		ctask_py.Py_DecRef(constants);
	return changed;
}

/* Let @p changes have attribute @p name of @p from. */
static void keep_as_is(struct py_object *changes, struct py_object *from, const char *name)
{
	struct py_object *value = ctask_py.PyObject_GetAttrString(from, name);

	if (value && !py311.PyDict_SetItemString(changes, name, value))
		ctask_py.Py_DecRef(value);
}

/* The code of what is to call the hook, as long as @p original. New reference, or NULL. */
static struct py_object *compile_call(enum hooked which, struct py_object *original)
{
	struct py_object *module, *code;
	char source[SOURCE_ROOM];

	write_source(which, original, source, sizeof(source));
	module = py311.Py_CompileStringExFlags(source, "asyncio", FILE_INPUT, NULL, -1);
	if (!module)
		return NULL;
	code = code_within(module);
	ctask_py.Py_DecRef(module);
	return code;
}

/* Code that looks like @p original, and calls the hook. New reference, or NULL. */
static struct py_object *code_of_hook(enum hooked which, struct py_object *original)
{
	struct py_object *code = compile_call(which, original);
	struct py_object *call = py311.PyCFunction_NewEx(&methods[which], NULL, NULL);
	struct py_object *constants = code && call ? constants_with(code, call) : NULL;
	struct py_object *changes = py311.PyDict_New(), *none = py311.PyTuple_New(0);
	struct py_object *replace = code ? ctask_py.PyObject_GetAttrString(code, "replace") : NULL;
	struct py_object *used[] = { code, call, constants, changes, none, replace };
	struct py_object *made = NULL;

	if (constants && changes && none && replace) {
		py311.PyDict_SetItemString(changes, "co_consts", constants);
		keep_as_is(changes, original, "co_filename");
		keep_as_is(changes, original, "co_firstlineno");
		keep_as_is(changes, original, "co_qualname");
		made = py311.PyObject_Call(replace, none, changes);
	}
	if (!made)
		ctask_py.PyErr_Clear();
	for (size_t i = 0; i < sizeof(used) / sizeof(used[0]); i++)
		if (used[i])
			ctask_py.Py_DecRef(used[i]);
	return made;
}

/* The function runs the hook; what it ran before is in a function of its own. */
static void replace_code(struct py_object *function, enum hooked which)
{
	struct py_object *original = ctask_py.PyObject_GetAttrString(function, "__code__");
	struct py_object *code =
		original && find_functions() ? code_of_hook(which, original) : NULL;
	struct py_object *copy =
		code ? py311.PyFunction_New(original, py311.PyFunction_GetGlobals(function)) : NULL;
	struct py_object *defaults = copy ? py311.PyFunction_GetDefaults(function) : NULL;

	if (copy && !(defaults && py311.PyFunction_SetDefaults(copy, defaults))) {
		functions[which].function = copy;
		if (py311.PyObject_SetAttrString(function, "__code__", code))
			ctask_py.PyErr_Clear();
		else
			ctask_frames_hide(code); /* the copy has a frame that looks the same */
	} else {
		ctask_py.PyErr_Clear();
	}
	if (original)
		ctask_py.Py_DecRef(original);
}

/* --- all versions --- */

static void replace_call(struct py_object *function, vectorcall call)
{
	void (*set)(struct py_object *, vectorcall) = /* 3.12 on */
		(void (*)(struct py_object *, vectorcall))(
			uintptr_t)dlsym(RTLD_DEFAULT, "PyFunction_SetVectorcall");
	int64_t offset = (int64_t)(uintptr_t)function->type->slots_1[0];

	if (set)
		set(function, call);
	else
		memcpy((char *)function + offset, &call, sizeof(call));
}

static void hook(struct py_object *type, enum hooked which, const char *name, vectorcall call)
{
	struct py_type *function_type = dlsym(RTLD_DEFAULT, "PyFunction_Type");
	struct py_object *function = ctask_py.PyObject_GetAttrString(type, name);
	int64_t offset;

	if (!function) {
		ctask_py.PyErr_Clear();
		return;
	}
	if (!function_type || function->type != function_type) {
		ctask_py.Py_DecRef(function);
		return;
	}
	offset = (int64_t)(uintptr_t)function_type->slots_1[0];
	if (offset <= 0 || offset > function_type->basicsize - (int64_t)sizeof(call)) {
		ctask_py.Py_DecRef(function);
		return;
	}
	functions[which].function = function; /* kept for good */
	memcpy(&functions[which].before, (char *)function + offset, sizeof(vectorcall));
	if (ctask_py.layout.minor == CALLS_SKIP_POINTER && which <= CANCELLING)
		replace_code(function, which);
	else
		replace_call(function, call);
}

void ctask_pytask_hook(void)
{
	static bool hooked;
	struct py_object *type = ctask_python_module_item("asyncio.tasks", "_PyTask");

	if (hooked || !type)
		return;
	hooked = true;
	hook(type, CANCEL, "cancel", call_cancel);
	hook(type, UNCANCEL, "uncancel", call_uncancel);
	hook(type, CANCELLING, "cancelling", call_cancelling);
	hook(type, STEP, "_Task__step", call_step);
	hook(type, WAKEUP, "_Task__wakeup", call_wakeup);
	hook(type, INIT, "__init__", call_init);
}
