/* exceptions.c - exceptions in a target's memory: what is being handled, and what it says. */
#include "bpf/exceptions.h"

#include <string.h>

#include "bpf/objects.h"
#include "model/cleanup.h"

/* Include/cpython/pyerrors.h, pystate.h, traceback.h: from 3.11 on an exception has notes, and a thread keeps one value only. */
enum {
	CONTEXTS_MAX = 16,
	BASES_MAX = 32,
	SHOWN_MAX = 8,	     /* arguments */
	HANDLED_MAX = 64,    /* handlers that lie in each other */
	EXCEPTION_ARGS = 24, /* PyBaseExceptionObject */
	TRACEBACK_310 = 32,
	TRACEBACK_311 = 40,
	CONTEXT_310 = 40,
	CONTEXT_311 = 48,
	TRACEBACK_FRAME = 24, /* PyTracebackObject.tb_frame */
	ITEM_VALUE_310 = 8,   /* _PyErr_StackItem */
	ITEM_PREVIOUS_310 = 24,
	OS_ERROR_310 =
		64, /* PyOSErrorObject: myerrno, strerror, filename, filename2 behind what all have */
	OS_ERROR_311 = 72,
	TYPE_STR = 136, /* PyTypeObject.tp_str */
};

struct reading {
	struct ctask_heap *heap;
	struct ctask_texts *texts;
};

bool ctask_is_cancelled_error(struct ctask_heap *heap, uint64_t exception)
{
	return exception && ctask_is_named(heap, exception, "CancelledError");
}

bool ctask_stems_from_cancel(struct ctask_heap *heap, uint64_t exception)
{
	uint32_t context = heap->layout.minor < 11 ? CONTEXT_310 : CONTEXT_311;

	for (int i = 0; i < CONTEXTS_MAX && exception; i++) {
		if (ctask_is_cancelled_error(heap, exception))
			return true;
		exception = ctask_object_at(heap, exception + context);
	}
	return false;
}

uint64_t ctask_gen_exception(struct ctask_heap *heap, uint64_t gen)
{
	return gen ? ctask_object_at(heap, gen + heap->layout.gen_exc_value) : 0;
}

uint64_t ctask_thread_exception(struct ctask_heap *heap, uint64_t tstate)
{
	uint64_t item, value = 0;

	if (heap->layout.minor >= 11)
		return 0;
	/* PyThreadState.exc_info stands before dict. */
	item = ctask_word_at(heap, tstate + heap->layout.tstate_dict - 8);
	for (int i = 0; i < HANDLED_MAX && item && !value; i++) {
		value = ctask_object_at(heap, item + ITEM_VALUE_310);
		item = ctask_word_at(heap, item + ITEM_PREVIOUS_310);
	}
	return value;
}

uint64_t ctask_traceback_frame(struct ctask_heap *heap, uint64_t exception)
{
	uint32_t at = heap->layout.minor < 11 ? TRACEBACK_310 : TRACEBACK_311;
	uint64_t traceback = exception ? ctask_object_at(heap, exception + at) : 0;

	return traceback ? ctask_word_at(heap, traceback + TRACEBACK_FRAME) : 0;
}

/* repr() of a plain value. */
static ctask_text plain_text(const struct reading *r, uint64_t item)
{
	struct ctask_texts *texts = r->texts;
	const struct ctask_type *type = ctask_type_of(r->heap, item);
	ctask_text text;
	int64_t number;

	if (!type)
		return NULL;
	if (type->kind == CTASK_KIND_NONE)
		return ctask_texts_format(texts, "None");
	if (!strcmp(type->name, "bool") && !ctask_int_value(r->heap, item, &number))
		return ctask_texts_format(texts, number ? "True" : "False");
	if (type->kind == CTASK_KIND_INT && !ctask_int_value(r->heap, item, &number))
		return ctask_texts_format(texts, "%lld", (long long)number);
	text = type->kind == CTASK_KIND_STR ? ctask_text_of(r->heap, r->texts, item) : NULL;
	if (!text || strpbrk(text, "'\\\n\t\r"))
		return NULL;
	return ctask_texts_format(texts, "'%s'", text);
}

static ctask_text tuple_text(const struct reading *r, const struct ctask_items *items)
{
	ctask_text all = "";
	uint64_t item;

	for (uint64_t i = 0; i < items->count; i++) {
		ctask_text one = i < SHOWN_MAX && !ctask_items_get(r->heap, items, i, &item)
					 ? plain_text(r, item)
					 : NULL;

		if (!one)
			return NULL;
		all = ctask_texts_format(r->texts, "%s%s%s", all, i ? ", " : "(", one);
		if (!all)
			return NULL;
	}
	return ctask_texts_format(r->texts, "%s)", all);
}

static ctask_text os_error_text(const struct reading *r, uint64_t exception)
{
	uint64_t at = exception + (r->heap->layout.minor < 11 ? OS_ERROR_310 : OS_ERROR_311);
	uint64_t number = ctask_object_at(r->heap, at), text = ctask_object_at(r->heap, at + 8),
		 file = ctask_object_at(r->heap, at + 16),
		 second = ctask_object_at(r->heap, at + 24);
	ctask_text words = ctask_text_of(r->heap, r->texts, text),
		   name = file ? plain_text(r, file) : NULL;
	int64_t value;

	if (!words || second || (file && !name) || !number ||
	    ctask_int_value(r->heap, number, &value))
		return NULL;
	return ctask_texts_format(r->texts, "[Errno %lld] %s%s%s", (long long)value, words,
				  name ? ": " : "", name ? name : "");
}

static ctask_text group_text(const struct reading *r, const struct ctask_items *items)
{
	struct ctask_items inner;
	uint64_t words, list;
	ctask_text text;

	if (ctask_items_get(r->heap, items, 0, &words) ||
	    ctask_items_get(r->heap, items, 1, &list) || ctask_items_of(r->heap, list, &inner))
		return NULL;
	text = ctask_text_of(r->heap, r->texts, words);
	return text ? ctask_texts_format(r->texts, "%s (%llu sub-exception%s)", text,
					 (unsigned long long)inner.count,
					 inner.count == 1 ? "" : "s")
		    : NULL;
}

/* Whether its type has a __str__ of its own, which may say anything. */
static bool has_known_str(const struct reading *r, uint64_t exception)
{
	static const char *const known[] = { "BaseException", "OSError", "KeyError",
					     "BaseExceptionGroup" };
	const struct ctask_type *type = ctask_type_of(r->heap, exception);
	uint64_t str = type ? ctask_word_at(r->heap, type->addr + TYPE_STR) : 0;
	uint64_t at = type ? type->addr : 0;

	for (int n = 0; n < BASES_MAX && at; n++) {
		char name[32];

		ctask_bytes_at(r->heap, ctask_word_at(r->heap, at + r->heap->layout.type_name),
			       name, sizeof(name));
		for (size_t i = 0; i < ARRAY_SIZE(known); i++)
			if (!strcmp(name, known[i]) && ctask_word_at(r->heap, at + TYPE_STR) == str)
				return true;
		at = ctask_word_at(r->heap, at + r->heap->layout.type_base);
	}
	return false;
}

ctask_text ctask_exception_text(struct ctask_heap *heap, struct ctask_texts *texts,
				uint64_t exception)
{
	const struct reading reading = { heap, texts }, *r = &reading;
	struct ctask_items items;
	uint64_t args = ctask_word_at(r->heap, exception + EXCEPTION_ARGS), item;

	if (!has_known_str(r, exception))
		return NULL;
	if (!args || ctask_kind_of(r->heap, args) != CTASK_KIND_TUPLE ||
	    ctask_items_of(r->heap, args, &items))
		return NULL;
	if (ctask_is_named(r->heap, exception, "OSError") && items.count >= 2)
		return os_error_text(r, exception);
	if (!items.count)
		return ctask_texts_add_bytes(r->texts, "", 0);
	if (ctask_is_named(r->heap, exception, "BaseExceptionGroup") && items.count == 2)
		return group_text(r, &items);
	if (items.count > 1)
		return tuple_text(r, &items);
	if (ctask_items_get(r->heap, &items, 0, &item))
		return NULL;
	if (ctask_kind_of(r->heap, item) == CTASK_KIND_STR &&
	    !ctask_is_named(r->heap, exception, "KeyError"))
		return ctask_text_of(r->heap, r->texts, item);
	return plain_text(r, item);
}
