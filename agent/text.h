/* text.h - Python strings as bytes, without running Python code. */
#ifndef CTASK_AGENT_TEXT_H
#define CTASK_AGENT_TEXT_H

#include <stddef.h>

#include "agent/python.h"

/** The most that is kept of a text, bytes. */
enum { CTASK_TEXT_MAX = 1 << 14 };

/** A text as bytes: of the str itself where they can be, else a copy. Good while the str lives. */
struct ctask_text_bytes {
	const char *bytes; /**< not NUL-terminated */
	size_t len;	   /**< 0 for what is no str */
	bool cut;	   /**< there was more */
};

/**
 * The str @p text in the form of model/text.h, at most CTASK_TEXT_MAX bytes. @p copy has
 * @p room bytes for texts that need another form (U+0000, lone surrogates).
 */
struct ctask_text_bytes ctask_text_borrow(struct py_object *text, char *copy, size_t room);

/**
 * Copy the str @p text in the form of model/text.h (U+0000 as C0 80, lone
 * surrogates as three bytes) and a final NUL, cut at a character where it does not fit.
 * Returns its length; 0 for what is no str. @p room is at least 1.
 */
size_t ctask_text_copy(struct py_object *text, char *to, size_t room);

/** A task's name, which may be a str or (3.12 on) the number in "Task-7". */
size_t ctask_text_task_name(struct py_object *name, char *to, size_t room);

/**
 * Copy str(@p exception). False where that could run code of the program's: only the str() of
 * a few built-in types is called, and only with arguments that are plain.
 */
bool ctask_text_exception(struct py_object *exception, char *to, size_t room);

#endif
