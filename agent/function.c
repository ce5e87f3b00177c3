/* function.c - put a function of the agent before one that is written in Python. */
#include "agent/function.h"

#include <stdio.h>

#include "agent/frames.h"
#include "agent/portable.h"
#include "agent/text.h"

/*
 * A function object has a pointer to what a call of it runs (vectorcall, 3.8
 * on). Replaced, the function looks and is as before. Only 3.11 runs a
 * function's code without a look at that pointer, when Python code calls it: there the function gets
 * other code, which calls the hook.
 */

enum {
	CALLS_SKIP_POINTER = 11,
	FILE_INPUT = 257, /* Py_file_input */
	STAND_IN = 190190190,
	SOURCE_ROOM = 1024,
	PARAMETERS_ROOM = 200,
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

static long number_of(struct py_object *code, const char *name)
{
	struct py_object *number = ctask_py.PyObject_GetAttrString(code, name);
	long value = number ? (long)ctask_py.PyLong_AsLongLong(number) : 0;

	if (number)
		ctask_py.Py_DecRef(number);
	return value;
}

/* "self, msg": the parameters of @p code, all of which may be given by place. False where there are others. */
static bool write_parameters(struct py_object *code, char *to, size_t room)
{
	struct py_object *names = ctask_py.PyObject_GetAttrString(code, "co_varnames");
	long count = number_of(code, "co_argcount");
	size_t used = 0;
	char name[64];

	to[0] = '\0';
	if (!names || number_of(code, "co_kwonlyargcount") || count > ctask_py.PyTuple_Size(names))
		count = -1;
	for (long i = 0; i < count && used < room; i++) {
		ctask_text_copy(ctask_py.PyTuple_GetItem(names, i), name, sizeof(name));
		used += (size_t)snprintf(to + used, room - used, i ? ", %s" : "%s", name);
	}
	if (names)
		ctask_py.Py_DecRef(names);
	return count >= 0 && used < room;
}

/*
 * What the function runs in place of its code: it calls the constant that is put where the
 * number is. As many lines long as @p original, the call in the last one.
 */
static bool write_source(const char *name, struct py_object *original, char *to, size_t room)
{
	struct py_object *bytes = ctask_py.PyObject_GetAttrString(original, "co_code");
	int size = bytes ? (int)ctask_py.PyBytes_Size(bytes) : 0;
	int last = size > 2 ? ctask_py.PyCode_Addr2Line(original, size - 2) : 0;
	int lines = last - ctask_py.PyCode_Addr2Line(original, -1) - 2;
	char parameters[PARAMETERS_ROOM];
	size_t used, end;

	if (bytes)
		ctask_py.Py_DecRef(bytes);
	if (!write_parameters(original, parameters, sizeof(parameters)))
		return false;
	used = (size_t)snprintf(to, room, "def %s(%s):\n _ = %d\n", name, parameters, STAND_IN);
	end = strlen(parameters) + sizeof(" return _()\n");
	for (int i = 0; i < lines && used + end < room; i++)
		to[used++] = '\n';
	if (used + end > room)
		return false;
	snprintf(to + used, room - used, " return _(%s)\n", parameters);
	return true;
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
static struct py_object *compile_call(const char *name, struct py_object *original)
{
	struct py_object *module, *code;
	char source[SOURCE_ROOM];

	if (!write_source(name, original, source, sizeof(source)))
		return NULL;
	module = py311.Py_CompileStringExFlags(source, "ctask", FILE_INPUT, NULL, -1);
	if (!module)
		return NULL;
	code = code_within(module);
	ctask_py.Py_DecRef(module);
	return code;
}

/* Code that looks like @p original, and calls the hook. New reference, or NULL. */
static struct py_object *code_of_hook(struct ctask_function *hook, struct py_object *original)
{
	struct py_object *code = compile_call(hook->method.name, original);
	struct py_object *call = py311.PyCFunction_NewEx(&hook->method, NULL, NULL);
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
static void replace_code(struct ctask_function *hook, struct py_object *function)
{
	struct py_object *original = ctask_py.PyObject_GetAttrString(function, "__code__");
	struct py_object *code = original && find_functions() ? code_of_hook(hook, original) : NULL;
	struct py_object *copy =
		code ? py311.PyFunction_New(original, py311.PyFunction_GetGlobals(function)) : NULL;
	struct py_object *defaults = copy ? py311.PyFunction_GetDefaults(function) : NULL;

	if (copy && !(defaults && py311.PyFunction_SetDefaults(copy, defaults))) {
		hook->function = copy;
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

static void replace_call(struct py_object *function, py_vectorcall call)
{
	void (*set)(struct py_object *, py_vectorcall) = /* 3.12 on */
		(void (*)(struct py_object *, py_vectorcall))(
			uintptr_t)dlsym(RTLD_DEFAULT, "PyFunction_SetVectorcall");
	int64_t offset = (int64_t)(uintptr_t)function->type->slots_1[0];

	if (set)
		set(function, call);
	else
		memcpy((char *)function + offset, &call, sizeof(call));
}

/* What a decorator was given, else @p function; the reference goes over to it. */
static struct py_object *unwrapped(struct py_object *function)
{
	struct py_object *inner = ctask_py.PyObject_GetAttrString(function, "__wrapped__");

	if (!inner) {
		ctask_py.PyErr_Clear();
		return function;
	}
	ctask_py.Py_DecRef(function);
	return inner;
}

void ctask_function_hook(struct ctask_function *hook, struct py_object *owner, const char *name,
			 py_vectorcall call, enum ctask_caller caller)
{
	struct py_type *function_type = dlsym(RTLD_DEFAULT, "PyFunction_Type");
	struct py_object *function = ctask_py.PyObject_GetAttrString(owner, name);
	int64_t offset = function_type ? (int64_t)(uintptr_t)function_type->slots_1[0] : 0;

	if (!function) {
		ctask_py.PyErr_Clear();
		return;
	}
	function = unwrapped(function);
	if (!function_type || function->type != function_type || offset <= 0 ||
	    offset > function_type->basicsize - (int64_t)sizeof(call)) {
		ctask_py.Py_DecRef(function);
		return;
	}
	hook->method = (struct py_method_def){ name, (void *)call,
					       PY_METH_FASTCALL | PY_METH_KEYWORDS, NULL };
	hook->function = function; /* kept for good */
	memcpy(&hook->before, (char *)function + offset, sizeof(hook->before));
	if (ctask_py.layout.minor == CALLS_SKIP_POINTER && caller == CTASK_CALLED_BY_PYTHON)
		replace_code(hook, function);
	else
		replace_call(function, call);
}
