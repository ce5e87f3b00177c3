/* text.c - Python strings as bytes, without running Python code. */
#include "agent/text.h"

#include <stdbool.h>
#include <stdint.h>

enum {
	TP_STR = 136, /* PyTypeObject.tp_str */
	PLAIN_LENGTH_MAX = 1 << 14,
	PLAIN_ARGUMENTS_MAX = 64,
};

static size_t copy_bytes(const char *from, size_t len, char *to, size_t room)
{
	size_t used = 0;

	for (size_t i = 0; i < len;) {
		unsigned char lead = (unsigned char)from[i];
		size_t bytes = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
		size_t shown = lead ? bytes : 2;

		if (used + shown >= room || i + bytes > len)
			break;
		if (lead) {
			memcpy(to + used, from + i, bytes);
		} else {
			to[used] = (char)0xc0;
			to[used + 1] = (char)0x80;
		}
		used += shown;
		i += bytes;
	}
	to[used] = '\0';
	return used;
}

/* No more of a long text than has room: to encode all of it would take long. */
static size_t copy_start(struct py_object *text, char *to, size_t room)
{
	struct py_object *start = ctask_py.PyUnicode_Substring(text, 0, (int64_t)room);
	size_t used = start ? ctask_text_copy(start, to, room) : 0;

	if (start)
		ctask_py.Py_DecRef(start);
	else
		ctask_py.PyErr_Clear();
	return used;
}

size_t ctask_text_copy(struct py_object *text, char *to, size_t room)
{
	struct py_object *encoded;
	const char *bytes;
	int64_t len;
	size_t used = 0;

	to[0] = '\0';
	if (!py_isinstance(text, ctask_py.PyUnicode_Type))
		return 0;
	if (ctask_py.PyUnicode_GetLength(text) > (int64_t)room)
		return copy_start(text, to, room);
	bytes = ctask_py.PyUnicode_AsUTF8AndSize(text, &len);
	if (bytes)
		return copy_bytes(bytes, (size_t)len, to, room);
	ctask_py.PyErr_Clear(); /* lone surrogates */
	encoded = ctask_py.PyUnicode_AsEncodedString(text, "utf-8", "surrogatepass");
	if (encoded)
		used = copy_bytes(ctask_py.PyBytes_AsString(encoded),
				  (size_t)ctask_py.PyBytes_Size(encoded), to, room);
	else
		ctask_py.PyErr_Clear();
	if (encoded)
		ctask_py.Py_DecRef(encoded);
	return used;
}

struct ctask_text_bytes ctask_text_borrow(struct py_object *text, char *copy, size_t room)
{
	struct ctask_text_bytes ret = { .bytes = copy };
	int64_t len;

	if (!py_isinstance(text, ctask_py.PyUnicode_Type))
		return ret;
	ret.bytes = ctask_py.PyUnicode_AsUTF8AndSize(text, &len);
	if (!ret.bytes)
		ctask_py.PyErr_Clear();
	if (!ret.bytes || memchr(ret.bytes, 0, (size_t)len)) {
		ret.bytes = copy;
		ret.len = ctask_text_copy(text, copy, room);
		ret.cut = ret.len + 8 > room; /* nearly full: it may have been longer */
		return ret;
	}
	ret.len = (size_t)len;
	if (ret.len <= CTASK_TEXT_MAX)
		return ret;
	ret.cut = true;
	ret.len = CTASK_TEXT_MAX;
	while (ret.len && ((unsigned char)ret.bytes[ret.len] & 0xc0) == 0x80)
		ret.len--; /* not in the middle of a character */
	return ret;
}

/* snprintf() takes longer than all else that is done for a cancel(). */
static size_t print_number(uint64_t number, char *to)
{
	char digits[20];
	size_t count = 0;

	do
		digits[count++] = (char)('0' + number % 10);
	while (number /= 10);
	for (size_t i = 0; i < count; i++)
		to[i] = digits[count - 1 - i];
	return count;
}

size_t ctask_text_task_name(struct py_object *name, char *to, size_t room)
{
	static const char head[] = "Task-";
	long long number;

	if (!py_is(name, ctask_py.PyLong_Type))
		return ctask_text_copy(name, to, room);
	number = ctask_py.PyLong_AsLongLong(name);
	if (number < 0 || room < sizeof(head) + 20) {
		ctask_py.PyErr_Clear();
		to[0] = '\0';
		return 0;
	}
	memcpy(to, head, sizeof(head) - 1);
	return sizeof(head) - 1 + print_number((uint64_t)number, to + sizeof(head) - 1);
}

/* A value whose text runs no code of the program's, and does not take long to make. */
static bool is_plain(struct py_object *value)
{
	if (py_is(value, ctask_py.PyUnicode_Type))
		return ctask_py.PyUnicode_GetLength(value) <= PLAIN_LENGTH_MAX;
	if (py_is(value, ctask_py.PyBytes_Type))
		return ctask_py.PyBytes_Size(value) <= PLAIN_LENGTH_MAX;
	return value == ctask_py.none || py_is(value, ctask_py.PyLong_Type) ||
	       py_is(value, ctask_py.PyBool_Type) || py_is(value, ctask_py.PyFloat_Type);
}

static bool are_plain(struct py_object *args)
{
	int64_t count = py_is(args, ctask_py.PyTuple_Type) ? ctask_py.PyTuple_Size(args) : -1;
	bool plain = count >= 0 && count <= PLAIN_ARGUMENTS_MAX;

	for (int64_t i = 0; plain && i < count; i++)
		plain = is_plain(ctask_py.PyTuple_GetItem(args, i));
	return plain;
}

/* Built-in types whose str() is made of fields, which a program may have set to anything. */
static const struct {
	size_t type; /* where ctask_py has it */
	const char *fields[4];
} fielded[] = {
	{ offsetof(struct ctask_python, os_error),
	  { "errno", "strerror", "filename", "filename2" } },
	{ offsetof(struct ctask_python, unicode_decode_error), { "encoding", "object", "reason" } },
	{ offsetof(struct ctask_python, unicode_encode_error), { "encoding", "object", "reason" } },
	{ offsetof(struct ctask_python, import_error), { "msg", "name", "path" } },
};

static bool has_plain_fields(struct py_object *exception, struct py_type *type,
			     const char *const *fields)
{
	bool plain = true;

	for (int i = 0; i < 4 && fields[i]; i++) {
		struct py_object *value = ctask_python_field(exception, type, fields[i]);

		plain &= value && is_plain(value);
		if (value)
			ctask_py.Py_DecRef(value);
	}
	return plain;
}

/* str() of it runs no code of the program's, if its arguments are @p plain. */
static bool has_known_str(struct py_object *exception, bool plain)
{
	uint64_t str = py_word(exception->type, TP_STR);

	if (ctask_py.exception_group && str == py_word(ctask_py.exception_group, TP_STR))
		return true; /* it counts its exceptions, and does not look at them */
	if (!plain)
		return false;
	for (size_t i = 0; i < sizeof(fielded) / sizeof(fielded[0]); i++) {
		struct py_type *type = py_pointer(&ctask_py, (uint32_t)fielded[i].type);

		if (str == py_word(type, TP_STR))
			return has_plain_fields(exception, type, fielded[i].fields);
	}
	return str == py_word(ctask_py.base_exception, TP_STR) ||
	       str == py_word(ctask_py.key_error, TP_STR);
}

static void text_of_plain(struct py_object *exception, char *to, size_t room)
{
	struct py_object *text = ctask_py.PyObject_Str(exception);
	if (text) {
		ctask_text_copy(text, to, room);
		ctask_py.Py_DecRef(text);
	} else {
		ctask_py.PyErr_Clear();
	}
}

/* The only argument of an exception whose str() is the str() of that; else NULL. */
static struct py_object *only_argument(const struct py_object *exception, struct py_object *args)
{
	if (!py_is(args, ctask_py.PyTuple_Type) || ctask_py.PyTuple_Size(args) != 1 ||
	    py_word(exception->type, TP_STR) == py_word(ctask_py.key_error, TP_STR))
		return NULL;
	return ctask_py.PyTuple_GetItem(args, 0);
}

bool ctask_text_exception(struct py_object *exception, char *to, size_t room)
{
	struct py_object *args = ctask_python_field(exception, ctask_py.base_exception, "args");
	struct py_object *only = only_argument(exception, args);
	bool is_text = py_is(only, ctask_py.PyUnicode_Type), known;

	to[0] = '\0';
	/* A text is its own str(), however long it is; of bytes, Python may warn. */
	known = has_known_str(exception,
			      is_text || (are_plain(args) && !py_is(only, ctask_py.PyBytes_Type)));
	if (known)
		text_of_plain(exception, to, room);
	if (args)
		ctask_py.Py_DecRef(args);
	return known;
}
