/* object.h - Python objects in a target's memory: types, text, numbers, containers, attributes. */
#ifndef CTASK_READER_OBJECT_H
#define CTASK_READER_OBJECT_H

#include <stdbool.h>
#include <stdint.h>

#include "model/text.h"
#include "reader/layout.h"
#include "reader/pages.h"
#include "reader/table.h"

/** What ctask knows how to read. Decided by the type's name and flags, once per type. */
enum ctask_kind {
	CTASK_KIND_OTHER,
	CTASK_KIND_STR,
	CTASK_KIND_INT,
	CTASK_KIND_FLOAT,
	CTASK_KIND_TUPLE,
	CTASK_KIND_LIST,
	CTASK_KIND_DICT,
	CTASK_KIND_SET,
	CTASK_KIND_DEQUE,
	CTASK_KIND_WEAKREF,
	CTASK_KIND_NONE,
	CTASK_KIND_CELL,
	CTASK_KIND_CODE,
	CTASK_KIND_FUNCTION,
	CTASK_KIND_METHOD,
	CTASK_KIND_BUILTIN, /**< builtin function or method */
	CTASK_KIND_PARTIAL,
	CTASK_KIND_MODULE,
	CTASK_KIND_COROUTINE,
	CTASK_KIND_GENERATOR,
	CTASK_KIND_ASYNC_GENERATOR,
	CTASK_KIND_AWAIT_WRAPPER, /**< holds the next object of an await chain in its first field */
	CTASK_KIND_FUTURE_ITER,
	CTASK_KIND_TASK_WAKEUP,	 /**< 3.8, 3.9: the callback that wakes a task */
	CTASK_KIND_THREAD_LOCAL, /**< threading.local */
	CTASK_KIND_FUTURE,	 /**< laid out as _asyncio.Future */
	CTASK_KIND_TASK,	 /**< laid out as _asyncio.Task */
	CTASK_KIND_PY_FUTURE,	 /**< derives from the future written in Python */
	CTASK_KIND_PY_TASK,	 /**< derives from the task written in Python */
};

enum { CTASK_TYPE_NAME_MAX = 128, CTASK_TYPE_ATTRS = 16, CTASK_TYPES_NEAR = 64 };

/** A type of the target. Owned by the heap, valid until ctask_heap_forget(). */
struct ctask_type {
	uint64_t addr, flags, base;
	int64_t dictoffset;
	uint64_t basicsize;
	enum ctask_kind kind;
	char name[CTASK_TYPE_NAME_MAX]; /* tp_name, cut */
	/* Where attributes asked for lie in instances: see ctask_attr(). */
	struct ctask_type_attr {
		const char *name;
		int32_t slot;  /* offset of the slot, or -1 */
		int32_t value; /* index among the type's cached keys, or -1 */
		/* Where the last instance with a dict had it: instances of a class mostly have the same. */
		uint64_t near_key;
		uint64_t near_entry;
	} attrs[CTASK_TYPE_ATTRS];
	uint32_t attr_count;
};

/** The Python objects of one target: bytes, layout, and what was learned of its types. */
struct ctask_heap {
	struct ctask_pages *pages; /* borrowed */
	struct ctask_layout layout;
	/* Types met lately, one for each value of some address bits. */
	struct ctask_type *near_types[CTASK_TYPES_NEAR];
	struct ctask_table type_index; /* type address -> index into types */
	struct ctask_type **types;
	uint32_t type_count, type_room;
	/* The base classes of tasks and futures written in Python; 0 = not known (yet). */
	uint64_t py_task_type, py_future_type;
	uint64_t trio_cancelled_type; /* trio.Cancelled; 0 = not known (yet) */
};

/** @p pages is borrowed. */
void ctask_heap_init(struct ctask_heap *heap, struct ctask_pages *pages,
		     const struct ctask_layout *layout);
void ctask_heap_fini(struct ctask_heap *heap);
/** Forget what was learned: the target ran on. */
void ctask_heap_forget(struct ctask_heap *heap);

/* All below return 0 or -errno: -EFAULT where memory could not be read, -EPROTO where it made no sense. */

static inline int ctask_heap_u64(struct ctask_heap *heap, uint64_t addr, uint64_t *ret)
{
	return ctask_pages_read(heap->pages, addr, ret, sizeof(*ret));
}

/** The type of the object at @p obj, or NULL when that is no object that can be read. */
const struct ctask_type *ctask_type_of(struct ctask_heap *heap, uint64_t obj);
/** The kind of the object at @p obj; OTHER also when it cannot be read. */
enum ctask_kind ctask_kind_of(struct ctask_heap *heap, uint64_t obj);
/** The last part of a type's name: "Queue" of "asyncio.queues.Queue". */
const char *ctask_type_short_name(const struct ctask_type *type);

/** Keep the str at @p addr in @p texts. */
int ctask_str_text(struct ctask_heap *heap, uint64_t addr, struct ctask_texts *texts,
		   ctask_text *ret_text);
/** True when the object at @p addr is a str that equals @p ascii. */
bool ctask_str_is(struct ctask_heap *heap, uint64_t addr, const char *ascii);
/**
 * Read the str at @p addr, @p room - 1 characters at most, into @p to as a C string. False when it is
 * none, or not all of it is ASCII and fits.
 */
bool ctask_str_ascii(struct ctask_heap *heap, uint64_t addr, char *to, size_t room);
/** True when it is a str that ends with @p ascii. */
bool ctask_str_ends_with(struct ctask_heap *heap, uint64_t addr, const char *ascii);

/** -ERANGE when it does not fit. */
int ctask_int_value(struct ctask_heap *heap, uint64_t addr, int64_t *ret_value);
/** An int or a float. */
int ctask_number_value(struct ctask_heap *heap, uint64_t addr, double *ret_value);

/** An array of object pointers in the target: what a tuple or a list holds. */
struct ctask_items {
	uint64_t addr;
	uint64_t count;
};

int ctask_items_of(struct ctask_heap *heap, uint64_t tuple_or_list, struct ctask_items *ret_items);
int ctask_items_get(struct ctask_heap *heap, const struct ctask_items *items, uint64_t index,
		    uint64_t *ret_obj);

/** Walks the entries of a dict or a set. */
struct ctask_iter {
	struct ctask_heap *heap;
	uint64_t at, left; /* next entry, entries still to look at */
	uint64_t values;   /* of a split dict, else 0 */
	uint64_t live;	   /* entries that the container says it has and that were not met yet */
	uint32_t entry_bytes, key_offset, value_offset;
	bool is_set;
	int error;
};

int ctask_dict_iter(struct ctask_heap *heap, uint64_t dict, struct ctask_iter *iter);
int ctask_set_iter(struct ctask_heap *heap, uint64_t set, struct ctask_iter *iter);
/**
 * The next entry; false at the end or when iter->error is set. @p ret_value may
 * be NULL. -EAGAIN: the container has not as many entries as it says, because
 * the target was stopped while it moves them to a larger table.
 */
bool ctask_iter_next(struct ctask_iter *iter, uint64_t *ret_key, uint64_t *ret_value);

/** The value under the str key @p ascii of a dict. -ENOENT when there is none. */
int ctask_dict_get(struct ctask_heap *heap, uint64_t dict, const char *ascii, uint64_t *ret_value);

/** The first @p max objects of a collections.deque; *ret_count is how many it holds. */
int ctask_deque_items(struct ctask_heap *heap, uint64_t deque, uint64_t *items, uint64_t max,
		      uint64_t *ret_count);

/**
 * Attribute @p name, a string literal, of an instance: a slot (through the
 * member descriptors of its type, so that no class needs a table) or an entry
 * of its dict, however that is stored. Class attributes, properties and the
 * like are not looked at. -ENOENT when it has none.
 */
int ctask_attr(struct ctask_heap *heap, uint64_t obj, const char *name, uint64_t *ret_value);

#endif
