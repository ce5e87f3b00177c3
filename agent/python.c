/* python.c - look up what is used of this process's CPython, and compare the layout with what it says. */
#include "agent/python.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <sys/uio.h>

#include "agent/portable.h"

enum {
	FRAME_OBJECT_FRAME = 24, /* PyFrameObject.f_frame, from 3.11 on */
	SHIMS_MAX = 4,
};

struct ctask_python ctask_py;

static struct py_object *(*type_lookup)(struct py_type *, struct py_object *);
static struct py_type *property_type;

static const struct {
	const char *name;
	size_t where;
} exceptions[] = {
	{ "PyExc_BaseException", offsetof(struct ctask_python, base_exception) },
	{ "PyExc_KeyboardInterrupt", offsetof(struct ctask_python, keyboard_interrupt) },
	{ "PyExc_KeyError", offsetof(struct ctask_python, key_error) },
	{ "PyExc_OSError", offsetof(struct ctask_python, os_error) },
	{ "PyExc_ImportError", offsetof(struct ctask_python, import_error) },
	{ "PyExc_UnicodeDecodeError", offsetof(struct ctask_python, unicode_decode_error) },
	{ "PyExc_UnicodeEncodeError", offsetof(struct ctask_python, unicode_encode_error) },
	{ "PyExc_BaseExceptionGroup", offsetof(struct ctask_python, exception_group) },
};

static bool look_up(void)
{
	static const struct py_type *none;
	bool found = true;

#define FUNCTION(name, result, parameters)                                                         \
	*(void **)&ctask_py.name = dlsym(RTLD_DEFAULT, #name);                                     \
	found &= ctask_py.name != NULL;
	CTASK_PYTHON_FUNCTIONS(FUNCTION)
#undef FUNCTION
#define TYPE(name)                                                                                 \
	*(void **)&ctask_py.name = dlsym(RTLD_DEFAULT, #name);                                     \
	found &= ctask_py.name != NULL;
	CTASK_PYTHON_TYPES(TYPE)
#undef TYPE
	*(void **)&ctask_py.none = dlsym(RTLD_DEFAULT, "_Py_NoneStruct");
	*(void **)&ctask_py.py_true = dlsym(RTLD_DEFAULT, "_Py_TrueStruct");
	*(void **)&ctask_py.Py_AtExit = dlsym(RTLD_DEFAULT, "Py_AtExit");
	for (size_t i = 0; i < sizeof(exceptions) / sizeof(exceptions[0]); i++) {
		struct py_type **type = dlsym(RTLD_DEFAULT, exceptions[i].name);

		memcpy((char *)&ctask_py + exceptions[i].where, type ? (void *)type : &none,
		       sizeof(none));
		found &= type ||
			 exceptions[i].where == offsetof(struct ctask_python, exception_group);
	}
	*(void **)&ctask_py.interpreter_now = dlsym(RTLD_DEFAULT, "PyInterpreterState_Get");
	if (!ctask_py.interpreter_now)
		*(void **)&ctask_py.interpreter_now =
			dlsym(RTLD_DEFAULT, "_PyInterpreterState_Get");
	*(void **)&ctask_py.PyInterpreterState_Main =
		dlsym(RTLD_DEFAULT, "PyInterpreterState_Main");
	*(void **)&ctask_py.is_finalizing = dlsym(RTLD_DEFAULT, "Py_IsFinalizing");
	if (!ctask_py.is_finalizing)
		*(void **)&ctask_py.is_finalizing = dlsym(RTLD_DEFAULT, "_Py_IsFinalizing");
	*(void **)&type_lookup = dlsym(RTLD_DEFAULT, "_PyType_Lookup");
	property_type = dlsym(RTLD_DEFAULT, "PyProperty_Type");
	return found && ctask_py.Py_AtExit && ctask_py.is_finalizing &&
	       ctask_py.PyInterpreterState_Main && ctask_py.interpreter_now && ctask_py.none &&
	       ctask_py.py_true;
}

/* "3.13.5 (main, …" */
static uint32_t read_version(void)
{
	const char *text = ctask_py.Py_GetVersion();
	size_t len = strcspn(text, " ");
	uint32_t minor = 0;

	if (strncmp(text, "3.", 2) || len >= sizeof(ctask_py.version) ||
	    strstr(text, "free-threading"))
		return 0;
	memcpy(ctask_py.version, text, len);
	ctask_py.version[len] = '\0';
	for (const char *at = text + 2; *at >= '0' && *at <= '9'; at++)
		minor = minor * 10 + (uint32_t)(*at - '0');
	return minor;
}

static bool settle_layout(uint32_t minor)
{
	const struct ctask_layout *row = ctask_layout_find(minor);
	size_t bytes = ctask_layout_debug_offsets_bytes(minor);
	const uint8_t *runtime = dlsym(RTLD_DEFAULT, "_PyRuntime");

	if (!row)
		return false;
	ctask_py.layout = *row;
	if (bytes &&
	    (!runtime || ctask_layout_take_debug_offsets(&ctask_py.layout, runtime, bytes, NULL)))
		return false;
	return !ctask_layout_check(&ctask_py.layout, NULL);
}

/* The words here must not be trusted before the layout is: read them so that a wrong address does no harm. */
static bool read_word(const void *at, uint64_t *ret)
{
	struct iovec to = { ret, sizeof(*ret) }, from = { (void *)(uintptr_t)at, sizeof(*ret) };

	return process_vm_readv(getpid(), &to, 1, &from, 1, 0) == (ssize_t)sizeof(*ret);
}

static bool may_read(void)
{
	uint64_t word;

	return read_word(&ctask_py, &word);
}

/* The frame that runs now, as the layout has it, is the one that CPython tells. */
static bool frame_agrees(const struct py_object *frame)
{
	const struct ctask_layout *l = &ctask_py.layout;
	const char *tstate = ctask_py.PyThreadState_Get();
	uint64_t at, code, told = (uint64_t)(uintptr_t)frame;

	if (!read_word(tstate + l->tstate_frame, &at))
		return false;
	if (l->cframe_frame != CTASK_NO_FIELD &&
	    !read_word((const char *)(uintptr_t)at + l->cframe_frame, &at)) /* NOLINT */
		return false;
	if (!l->lasti_scale && !read_word((const char *)frame + FRAME_OBJECT_FRAME, &told))
		return false;
	for (int i = 0; i < SHIMS_MAX && at != told; i++)
		if (!at ||
		    !read_word((const char *)(uintptr_t)at + l->frame_previous, &at)) /* NOLINT */
			return false;
	if (at != told ||
	    !read_word((const char *)(uintptr_t)at + l->frame_code, &code)) /* NOLINT */
		return false;
	code &= ~(uint64_t)l->ref_tag_mask;
	return read_word((const char *)(uintptr_t)code + 8, &code) && /* NOLINT */
	       code == (uint64_t)(uintptr_t)ctask_py.PyCode_Type;
}

int ctask_python_find(void)
{
	static bool found; /* once: it is asked for each task until the agent has begun */

	found = found || (dlsym && look_up());
	return found ? 0 : -ENOTSUP;
}

int ctask_python_meet(void)
{
	struct py_object *frame;
	uint32_t minor;

	minor = read_version();
	if (!minor || !settle_layout(minor) || strcmp(ctask_py.none->type->name, "NoneType"))
		return -ENOTSUP;
	frame = ctask_py.PyEval_GetFrame();
	if (!frame)
		return -EAGAIN;
	/* Where a sandbox forbids the careful look, the version alone must do. */
	if (may_read() && !frame_agrees(frame))
		return -ENOTSUP;
	ctask_py.interpreter = ctask_py.PyInterpreterState_Main();
	if (ctask_py.interpreter_now() != ctask_py.interpreter)
		return -EAGAIN;
	return 0;
}

struct py_object *ctask_python_attr(struct py_object *object, const char *name)
{
	struct py_object *text, *found = NULL, *way;

	if (object->type->getattro != (void *)ctask_py.PyObject_GenericGetAttr)
		return NULL;
	text = ctask_py.PyUnicode_InternFromString(name);
	if (!text) {
		ctask_py.PyErr_Clear();
		return NULL;
	}
	way = type_lookup ? type_lookup(object->type, text) : NULL;
	if (!way || !property_type || way->type != property_type)
		found = ctask_py.PyObject_GenericGetAttr(object, text);
	if (!found)
		ctask_py.PyErr_Clear();
	ctask_py.Py_DecRef(text);
	return found;
}

struct py_object *ctask_python_lend(struct py_object *object, const char *name)
{
	struct py_object *value = ctask_python_attr(object, name);

	if (value)
		ctask_py.Py_DecRef(value);
	return value == ctask_py.none ? NULL : value;
}

struct py_object *ctask_python_field(struct py_object *object, struct py_type *owner,
				     const char *name)
{
	struct py_object *text = ctask_py.PyUnicode_InternFromString(name), *found = NULL;
	struct py_object *ours, *theirs;

	if (text && type_lookup) {
		ours = type_lookup(owner, text);
		theirs = type_lookup(object->type, text);
		if (ours && ours == theirs)
			found = ctask_py.PyObject_GenericGetAttr(object, text);
	}
	if (!found)
		ctask_py.PyErr_Clear();
	if (text)
		ctask_py.Py_DecRef(text);
	return found;
}

struct py_object *ctask_python_module(const char *name)
{
	struct py_object *modules = ctask_py.PyImport_GetModuleDict();

	return modules ? ctask_py.PyDict_GetItemString(modules, name) : NULL;
}

bool ctask_python_imported(struct ctask_import *import)
{
	struct py_object *modules;
	int64_t count;

	if (import->imported)
		return true;
	modules = ctask_py.PyImport_GetModuleDict();
	count = modules ? ctask_py.PyDict_Size(modules) : 0;
	if (count == import->modules)
		return false;
	import->modules = count;
	import->imported = ctask_python_module(import->name) != NULL;
	return import->imported;
}

struct py_object *ctask_python_module_item(const char *module, const char *name)
{
	struct py_object *found = ctask_python_module(module);
	struct py_object *dict = found ? ctask_py.PyModule_GetDict(found) : NULL;

	if (!dict) {
		ctask_py.PyErr_Clear();
		return NULL;
	}
	return ctask_py.PyDict_GetItemString(dict, name);
}

double ctask_python_seconds(struct py_object *number)
{
	double value;

	if (py_is(number, ctask_py.PyFloat_Type))
		return ctask_py.PyFloat_AsDouble(number);
	if (!py_is(number, ctask_py.PyLong_Type))
		return NAN;
	value = (double)ctask_py.PyLong_AsLongLong(number);
	if (ctask_py.PyErr_Occurred()) {
		ctask_py.PyErr_Clear();
		return NAN;
	}
	return value;
}
