/* python.h - the CPython that the agent is a guest of: its public functions, and where things lie. */
#ifndef CTASK_AGENT_PYTHON_H
#define CTASK_AGENT_PYTHON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "reader/layout.h"

/*
 * One binary serves all versions, so Python.h is not used: what is declared
 * here has been the same from 3.8 to 3.15 on 64-bit machines, in builds with a GIL.
 */

struct py_type;

/** Include/object.h */
struct py_object {
	int64_t refcount;
	struct py_type *type;
};

typedef struct py_object *(*py_noargs)(struct py_object *self, struct py_object *unused);
typedef struct py_object *(*py_fastcall)(struct py_object *self, struct py_object *const *args,
					 int64_t nargs, struct py_object *kwnames);
typedef struct py_object *(*py_call)(struct py_object *self, struct py_object *args,
				     struct py_object *kwargs);
typedef int (*py_init)(struct py_object *self, struct py_object *args, struct py_object *kwargs);
typedef void (*py_dealloc)(struct py_object *self);

enum { PY_METH_KEYWORDS = 2, PY_METH_NOARGS = 4, PY_METH_O = 8, PY_METH_FASTCALL = 0x80 };

/** PyMethodDef, Include/methodobject.h */
struct py_method_def {
	const char *name;
	void *function;
	int flags;
	const char *doc;
};

/** PyTypeObject, Include/cpython/object.h */
struct py_type {
	struct py_object base;
	int64_t size;
	const char *name;
	int64_t basicsize, itemsize;
	py_dealloc dealloc;
	void *slots_1[9]; /* vectorcall_offset … as_mapping, hash */
	py_call call;
	void *slots_2[1]; /* str */
	void *getattro, *setattro, *as_buffer;
	uint64_t flags;
	const char *doc;
	void *slots_3[6]; /* traverse … iternext */
	struct py_method_def *methods;
	void *members, *getset;
	struct py_type *parent;
	struct py_object *dict;
	void *descr_get, *descr_set;
	int64_t dictoffset;
	py_init init;
	void *alloc;
	py_call new;
};

/** PyType_Slot and PyType_Spec, Include/object.h */
struct py_type_slot {
	int slot;
	void *value;
};
struct py_type_spec {
	const char *name;
	int basicsize, itemsize;
	unsigned flags;
	struct py_type_slot *slots;
};
enum { PY_TP_CALL = 50, PY_TP_DEALLOC = 52, PY_TP_INIT = 60, PY_TP_METHODS = 64, PY_TP_NEW = 65 };

/** PyCFunctionObject, PyMethodObject: the parts that are used. */
struct py_cfunction {
	struct py_object base;
	struct py_method_def *def;
	struct py_object *self;
};
struct py_method {
	struct py_object base;
	struct py_object *function, *self;
};

/* name, type of result, parameters: all are exported by every version. */
#define CTASK_PYTHON_FUNCTIONS(F)                                                                  \
	F(Py_GetVersion, const char *, (void))                                                     \
	F(Py_IncRef, void, (struct py_object *))                                                   \
	F(Py_DecRef, void, (struct py_object *))                                                   \
	F(PyThreadState_Get, void *, (void))                                                       \
	F(PyEval_GetFrame, struct py_object *, (void))                                             \
	F(PyImport_GetModuleDict, struct py_object *, (void))                                      \
	F(PyDict_Size, int64_t, (struct py_object *))                                              \
	F(PyDict_GetItemString, struct py_object *, (struct py_object *, const char *))            \
	F(PyDict_GetItemWithError, struct py_object *, (struct py_object *, struct py_object *))   \
	F(PyModule_GetDict, struct py_object *, (struct py_object *))                              \
	F(PyObject_GenericGetAttr, struct py_object *, (struct py_object *, struct py_object *))   \
	F(PyObject_GetAttrString, struct py_object *, (struct py_object *, const char *))          \
	F(PyObject_Str, struct py_object *, (struct py_object *))                                  \
	F(PyUnicode_InternFromString, struct py_object *, (const char *))                          \
	F(PyUnicode_AsUTF8AndSize, const char *, (struct py_object *, int64_t *))                  \
	F(PyUnicode_GetLength, int64_t, (struct py_object *))                                      \
	F(PyUnicode_Substring, struct py_object *, (struct py_object *, int64_t, int64_t))         \
	F(PyUnicode_AsEncodedString, struct py_object *,                                           \
	  (struct py_object *, const char *, const char *))                                        \
	F(PyBytes_AsString, char *, (struct py_object *))                                          \
	F(PyBytes_Size, int64_t, (struct py_object *))                                             \
	F(PyTuple_Size, int64_t, (struct py_object *))                                             \
	F(PyTuple_GetItem, struct py_object *, (struct py_object *, int64_t))                      \
	F(PyList_Size, int64_t, (struct py_object *))                                              \
	F(PyList_GetItem, struct py_object *, (struct py_object *, int64_t))                       \
	F(PySet_Size, int64_t, (struct py_object *))                                               \
	F(PyObject_GetIter, struct py_object *, (struct py_object *))                              \
	F(PyIter_Next, struct py_object *, (struct py_object *))                                   \
	F(PyWeakref_NewRef, struct py_object *, (struct py_object *, struct py_object *))          \
	F(PyLong_AsLongLong, long long, (struct py_object *))                                      \
	F(PyLong_FromUnsignedLong, struct py_object *, (unsigned long))                            \
	F(PyFloat_AsDouble, double, (struct py_object *))                                          \
	F(PyType_IsSubtype, int, (struct py_type *, struct py_type *))                             \
	F(PyCode_Addr2Line, int, (struct py_object *, int))                                        \
	F(PyException_GetContext, struct py_object *, (struct py_object *))                        \
	F(PyException_GetTraceback, struct py_object *, (struct py_object *))                      \
	F(PyErr_Occurred, struct py_object *, (void))                                              \
	F(PyErr_Clear, void, (void))                                                               \
	F(PyErr_Fetch, void, (struct py_object **, struct py_object **, struct py_object **))      \
	F(PyErr_Restore, void, (struct py_object *, struct py_object *, struct py_object *))       \
	F(PyErr_GetExcInfo, void, (struct py_object **, struct py_object **, struct py_object **))

#define CTASK_PYTHON_TYPES(T)                                                                      \
	T(PyUnicode_Type)                                                                          \
	T(PyLong_Type)                                                                             \
	T(PyBool_Type)                                                                             \
	T(PyFloat_Type)                                                                            \
	T(PyBytes_Type)                                                                            \
	T(PyTuple_Type)                                                                            \
	T(PyList_Type)                                                                             \
	T(PySet_Type)                                                                              \
	T(PyCode_Type)                                                                             \
	T(PyFrame_Type)                                                                            \
	T(PyCell_Type)                                                                             \
	T(PyCoro_Type)                                                                             \
	T(PyGen_Type)                                                                              \
	T(PyAsyncGen_Type)                                                                         \
	T(PyMethod_Type)                                                                           \
	T(PyCFunction_Type)                                                                        \
	T(PyBaseObject_Type)

/** Everything that is used of this process's CPython. */
struct ctask_python {
#define FUNCTION(name, result, parameters) result(*name) parameters;
	CTASK_PYTHON_FUNCTIONS(FUNCTION)
#undef FUNCTION
#define TYPE(name) struct py_type *name;
	CTASK_PYTHON_TYPES(TYPE)
#undef TYPE
	struct py_object *py_true, *none;
	/* PyExc_… */
	struct py_type *base_exception, *keyboard_interrupt, *key_error, *os_error, *import_error;
	struct py_type *unicode_decode_error, *unicode_encode_error;
	struct py_type *exception_group; /**< PyExc_BaseExceptionGroup; NULL before 3.11 */
	int (*Py_AtExit)(void (*)(void));
	/** PyInterpreterState_Get; in 3.8 it has an underscore. */
	void *(*interpreter_now)(void);
	void *(*PyInterpreterState_Main)(void);
	int (*is_finalizing)(void); /**< Py_IsFinalizing; before 3.13 it has an underscore */
	void *interpreter;	    /**< the main one: its types are those that are known */
	struct ctask_layout layout;
	char version[32]; /**< "3.13.5" */
};

extern struct ctask_python ctask_py;

/** Look up all that is used. 0, or -ENOTSUP when something is not there. */
int ctask_python_find(void);
/**
 * Settle the layout, and compare what can be compared with what CPython's own functions
 * say. After ctask_python_find(); needs the GIL. 0; -EAGAIN while no Python code runs; or
 * -ENOTSUP for a version or a build that the agent does not know: then nothing may be recorded.
 */
int ctask_python_meet(void);

/** The 8 bytes at @p object + @p offset. */
static inline uint64_t py_word(const void *object, uint32_t offset)
{
	uint64_t value;

	memcpy(&value, (const char *)object + offset, sizeof(value));
	return value;
}

static inline void *py_pointer(const void *object, uint32_t offset)
{
	return (void *)(uintptr_t)py_word(object, offset); /* NOLINT */
}

static inline bool py_is(const struct py_object *object, const struct py_type *type)
{
	return object && object->type == type;
}

/** True for an instance of @p type or of a type derived from it. Runs no Python code. */
static inline bool py_isinstance(const struct py_object *object, const struct py_type *type)
{
	if (!object || !type)
		return false;
	for (const struct py_type *at = object->type; at; at = at->parent)
		if (at == type)
			return true;
	return false;
}

/**
 * Attribute @p name of @p object as object.__getattribute__ finds it, without running Python code:
 * NULL for types that have a getter of their own. A new reference, or NULL; no error stays set.
 */
struct py_object *ctask_python_attr(struct py_object *object, const char *name);

/** The same, borrowed: whoever has the object keeps it. NULL also when it is None. */
struct py_object *ctask_python_lend(struct py_object *object, const char *name);
/**
 * The field @p name that type @p owner gives its instances, whatever derived types call by that name. A
 * new reference, or NULL; no error stays set.
 */
struct py_object *ctask_python_field(struct py_object *object, struct py_type *owner,
				     const char *name);

/** A module of sys.modules, borrowed; NULL when it is not there. */
struct py_object *ctask_python_module(const char *name);
/** A module that may be imported at any time. Begin with its name, and the rest zero. */
struct ctask_import {
	const char *name;
	bool imported;
	int64_t modules; /**< as many were there when it was not */
};
/** True from when it is imported on. At next to no cost while nothing is imported. */
bool ctask_python_imported(struct ctask_import *import);
/** An attribute of a module of sys.modules, borrowed; NULL when it is not there. */
struct py_object *ctask_python_module_item(const char *module, const char *name);

/** A number as seconds; NAN when it is neither int nor float. */
double ctask_python_seconds(struct py_object *number);

#endif
