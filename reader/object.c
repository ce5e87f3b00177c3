/* object.c - Python objects in a target's memory: types, text, numbers. */
#include "reader/object.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "model/cleanup.h"

/* Object header, the same in every version with a GIL: reference count, type; then ob_size. */
enum { OB_TYPE = 8, OB_SIZE = 16 };

/* tp_flags (Include/object.h), unchanged since 3.8. */
enum {
	FLAG_HEAP_TYPE = 1u << 9,
	FLAG_LONG = 1u << 24,
	FLAG_LIST = 1u << 25,
	FLAG_TUPLE = 1u << 26,
	FLAG_STR = 1u << 28,
	FLAG_DICT = 1u << 29,
};

enum {
	TYPES_MAX = 1 << 16,	 /* distinct types met in one walk */
	BASES_MAX = 64,		 /* length of a chain of base classes */
	STR_CHARS_MAX = 1 << 24, /* longest text that is read */
	STR_BYTES_A_STEP = 8,
};

void ctask_heap_init(struct ctask_heap *heap, struct ctask_pages *pages,
		     const struct ctask_layout *layout)
{
	*heap = (struct ctask_heap){ .pages = pages, .layout = *layout };
}

void ctask_heap_forget(struct ctask_heap *heap)
{
	for (uint32_t i = 0; i < heap->type_count; i++)
		free(heap->types[i]);
	heap->type_count = 0;
	memset(heap->near_types, 0, sizeof(heap->near_types));
	heap->py_task_type = 0;
	heap->py_future_type = 0;
	heap->trio_cancelled_type = 0;
	ctask_table_clear(&heap->type_index);
}

void ctask_heap_fini(struct ctask_heap *heap)
{
	ctask_heap_forget(heap);
	free(heap->types);
	heap->types = NULL;
	heap->type_room = 0;
	ctask_table_fini(&heap->type_index);
}

/* A C string at @p addr, cut to @p room - 1 bytes. */
static int read_c_string(struct ctask_heap *heap, uint64_t addr, char *to, size_t room)
{
	size_t len = 0;

	while (len < room - 1) {
		size_t to_page_end = CTASK_PAGE - (size_t)(addr & (CTASK_PAGE - 1));
		size_t n = to_page_end < room - 1 - len ? to_page_end : room - 1 - len;
		const char *end;

		if (ctask_pages_read(heap->pages, addr, to + len, n))
			return -EFAULT;
		end = memchr(to + len, '\0', n);
		if (end)
			return 0;
		len += n;
		addr += n;
	}
	to[len] = '\0';
	return 0;
}

/*
 * Types that C code defines have a name nobody else can have: static types are
 * told by the heap-type flag, heap types by the module in tp_name, which a
 * class statement never puts there.
 */
static const struct kind_row {
	const char *name;
	bool is_static;
	enum ctask_kind kind;
} kinds[] = {
	{ "NoneType", true, CTASK_KIND_NONE },
	{ "TaskWakeupMethWrapper", true, CTASK_KIND_TASK_WAKEUP },
	{ "_asyncio.Future", false, CTASK_KIND_FUTURE },
	{ "_asyncio.FutureIter", false, CTASK_KIND_FUTURE_ITER },
	{ "_asyncio.Task", false, CTASK_KIND_TASK },
	{ "_thread._local", false, CTASK_KIND_THREAD_LOCAL },
	{ "anext_awaitable", true, CTASK_KIND_AWAIT_WRAPPER },
	{ "async_generator", true, CTASK_KIND_ASYNC_GENERATOR },
	{ "async_generator_asend", true, CTASK_KIND_AWAIT_WRAPPER },
	{ "async_generator_athrow", true, CTASK_KIND_AWAIT_WRAPPER },
	{ "builtin_function_or_method", true, CTASK_KIND_BUILTIN },
	{ "builtin_method", true, CTASK_KIND_BUILTIN },
	{ "cell", true, CTASK_KIND_CELL },
	{ "code", true, CTASK_KIND_CODE },
	{ "collections.deque", false, CTASK_KIND_DEQUE },
	{ "coroutine", true, CTASK_KIND_COROUTINE },
	{ "coroutine_wrapper", true, CTASK_KIND_AWAIT_WRAPPER },
	{ "float", true, CTASK_KIND_FLOAT },
	{ "function", true, CTASK_KIND_FUNCTION },
	{ "functools.partial", false, CTASK_KIND_PARTIAL },
	{ "generator", true, CTASK_KIND_GENERATOR },
	{ "method", true, CTASK_KIND_METHOD },
	{ "module", true, CTASK_KIND_MODULE },
	{ "set", true, CTASK_KIND_SET },
	{ "weakref", true, CTASK_KIND_WEAKREF },
	{ "weakref.ReferenceType", true, CTASK_KIND_WEAKREF },
};

static enum ctask_kind kind_by_name(const struct ctask_type *type)
{
	bool is_static = !(type->flags & FLAG_HEAP_TYPE);

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if ((is_static || !kinds[i].is_static) && !strcmp(type->name, kinds[i].name))
			return kinds[i].kind;
	return CTASK_KIND_OTHER;
}

/* Kinds that a subclass inherits with the layout. */
static bool is_inherited(enum ctask_kind kind)
{
	switch (kind) {
	case CTASK_KIND_FLOAT:
	case CTASK_KIND_SET:
	case CTASK_KIND_DEQUE:
	case CTASK_KIND_WEAKREF:
	case CTASK_KIND_PARTIAL:
	case CTASK_KIND_MODULE:
	case CTASK_KIND_THREAD_LOCAL:
	case CTASK_KIND_FUTURE:
	case CTASK_KIND_TASK:
	case CTASK_KIND_PY_FUTURE:
	case CTASK_KIND_PY_TASK:
		return true;
	default:
		return false;
	}
}

static struct ctask_type *type_at(struct ctask_heap *heap, uint64_t addr);

static enum ctask_kind kind_of_type(struct ctask_heap *heap, const struct ctask_type *type)
{
	static const struct {
		uint64_t flag;
		enum ctask_kind kind;
	} by_flag[] = {
		{ FLAG_STR, CTASK_KIND_STR },	  { FLAG_LONG, CTASK_KIND_INT },
		{ FLAG_TUPLE, CTASK_KIND_TUPLE }, { FLAG_LIST, CTASK_KIND_LIST },
		{ FLAG_DICT, CTASK_KIND_DICT },
	};
	enum ctask_kind kind;
	uint64_t base = type->base;

	for (size_t i = 0; i < ARRAY_SIZE(by_flag); i++)
		if (type->flags & by_flag[i].flag)
			return by_flag[i].kind;
	if (type->addr == heap->py_task_type)
		return CTASK_KIND_PY_TASK;
	if (type->addr == heap->py_future_type)
		return CTASK_KIND_PY_FUTURE;
	kind = kind_by_name(type);
	for (int i = 0; kind == CTASK_KIND_OTHER && base && i < BASES_MAX; i++) {
		struct ctask_type up = { .addr = base };

		if (base == heap->py_task_type)
			return CTASK_KIND_PY_TASK;
		if (base == heap->py_future_type)
			return CTASK_KIND_PY_FUTURE;
		if (ctask_pages_spend(heap->pages, 1) ||
		    ctask_heap_u64(heap, base + heap->layout.type_flags, &up.flags) ||
		    ctask_heap_u64(heap, base + heap->layout.type_base, &up.base) ||
		    ctask_heap_u64(heap, base + heap->layout.type_name, &up.addr) ||
		    read_c_string(heap, up.addr, up.name, sizeof(up.name)))
			break;
		kind = kind_by_name(&up);
		if (!is_inherited(kind))
			kind = CTASK_KIND_OTHER;
		base = up.base;
	}
	return kind;
}

static int read_type(struct ctask_heap *heap, struct ctask_type *type)
{
	const struct ctask_layout *l = &heap->layout;
	uint64_t name;

	if (ctask_heap_u64(heap, type->addr + l->type_flags, &type->flags) ||
	    ctask_heap_u64(heap, type->addr + l->type_base, &type->base) ||
	    ctask_heap_u64(heap, type->addr + l->type_basicsize, &type->basicsize) ||
	    ctask_heap_u64(heap, type->addr + l->type_dictoffset, (uint64_t *)&type->dictoffset) ||
	    ctask_heap_u64(heap, type->addr + l->type_name, &name) ||
	    read_c_string(heap, name, type->name, sizeof(type->name)))
		return -EFAULT;
	type->kind = kind_of_type(heap, type);
	return 0;
}

static struct ctask_type *type_at(struct ctask_heap *heap, uint64_t addr)
{
	uint32_t i = ctask_table_get(&heap->type_index, addr, UINT32_MAX);
	struct ctask_type *type;

	if (i != UINT32_MAX)
		return heap->types[i];
	if (!addr || addr % sizeof(uint64_t) || heap->type_count >= TYPES_MAX)
		return NULL;
	if (heap->type_count == heap->type_room) {
		uint32_t room = heap->type_room * 2 + 64;
		struct ctask_type **moved = realloc(heap->types, room * sizeof(*moved));

		if (!moved)
			return NULL;
		heap->types = moved;
		heap->type_room = room;
	}
	type = calloc(1, sizeof(*type));
	if (!type)
		return NULL;
	type->addr = addr;
	if (read_type(heap, type) || ctask_table_put(&heap->type_index, addr, heap->type_count)) {
		free(type);
		return NULL;
	}
	heap->types[heap->type_count++] = type;
	return type;
}

const struct ctask_type *ctask_type_of(struct ctask_heap *heap, uint64_t obj)
{
	struct ctask_type **near;
	uint64_t type;

	if (!obj || obj % sizeof(uint64_t) || ctask_heap_u64(heap, obj + OB_TYPE, &type))
		return NULL;
	/* Types are at least 256 bytes apart. */
	near = &heap->near_types[type / 256 % CTASK_TYPES_NEAR];
	if (!*near || (*near)->addr != type)
		*near = type_at(heap, type);
	return *near;
}

enum ctask_kind ctask_kind_of(struct ctask_heap *heap, uint64_t obj)
{
	const struct ctask_type *type = ctask_type_of(heap, obj);

	return type ? type->kind : CTASK_KIND_OTHER;
}

const char *ctask_type_short_name(const struct ctask_type *type)
{
	const char *dot = strrchr(type->name, '.');

	return dot ? dot + 1 : type->name;
}

/* A str's characters: where they lie, how many, how wide. */
struct str_data {
	uint64_t addr, length;
	unsigned width; /* bytes per character: 1, 2, 4 */
	bool ascii;
};

static int find_str_data(struct ctask_heap *heap, uint64_t addr, struct str_data *ret)
{
	const struct ctask_layout *l = &heap->layout;
	uint32_t state;

	if (ctask_kind_of(heap, addr) != CTASK_KIND_STR)
		return -EPROTO;
	if (ctask_heap_u64(heap, addr + l->str_length, &ret->length) ||
	    ctask_pages_read(heap->pages, addr + l->str_state, &state, sizeof(state)))
		return -EFAULT;
	ret->width = state >> 2 & 7;
	ret->ascii = state >> 6 & 1;
	if (ret->length > STR_CHARS_MAX || (ret->width != 1 && ret->width != 2 && ret->width != 4))
		return -EPROTO;
	if (!(state >> 5 & 1)) /* not compact: a subclass of str, or made by an old C API */
		return ctask_heap_u64(heap, addr + l->str_compact_data, &ret->addr);
	ret->addr = addr + (ret->ascii ? l->str_ascii_data : l->str_compact_data);
	return 0;
}

static uint32_t char_at(const uint8_t *bytes, unsigned width, uint64_t i)
{
	uint16_t two;
	uint32_t four;

	switch (width) {
	case 1:
		return bytes[i];
	case 2:
		memcpy(&two, bytes + i * 2, 2);
		return two;
	default:
		memcpy(&four, bytes + i * 4, 4);
		return four > 0x10ffff ? 0xfffd : four;
	}
}

int ctask_str_text(struct ctask_heap *heap, uint64_t addr, struct ctask_texts *texts,
		   ctask_text *ret_text)
{
	uint8_t small[512];
	auto_free void *large_in = NULL;
	auto_free void *large_out = NULL;
	char small_out[sizeof(small) * 2 + 1];
	uint8_t *in = small;
	char *out = small_out;
	struct str_data s;
	size_t bytes, used = 0;
	int ret = find_str_data(heap, addr, &s);

	if (ret)
		return ret;
	bytes = (size_t)s.length * s.width;
	/* The text is kept: no more of it than there is memory over there. */
	ret = ctask_pages_spend(heap->pages, bytes / STR_BYTES_A_STEP);
	if (ret)
		return ret;
	if (bytes > sizeof(small)) {
		in = large_in = malloc(bytes);
		out = large_out = malloc((size_t)s.length * 4 + 1);
		if (!in || !out)
			return -ENOMEM;
	}
	if (ctask_pages_read(heap->pages, s.addr, in, bytes))
		return -EFAULT;
	if (s.ascii && !memchr(in, '\0', bytes)) {
		*ret_text = ctask_texts_add(texts, (char *)in, bytes);
		return *ret_text ? 0 : -ENOMEM;
	}
	/* small_out: a character of width w needs at most 2 w bytes, and 3 of width 2 at most 3 */
	for (uint64_t i = 0; i < s.length; i++)
		used += ctask_text_encode(char_at(in, s.width, i), out + used);
	*ret_text = ctask_texts_add(texts, out, used);
	return *ret_text ? 0 : -ENOMEM;
}

enum { COMPARED_MAX = 128 };

/* Compare the last @p len characters; all of them when @p whole. */
static bool str_matches(struct ctask_heap *heap, uint64_t addr, const char *ascii, bool whole)
{
	size_t len = strlen(ascii);
	char bytes[COMPARED_MAX];
	struct str_data s;

	if (len > sizeof(bytes) || find_str_data(heap, addr, &s) || s.width != 1 ||
	    s.length < len || (whole && s.length != len))
		return false;
	return !ctask_pages_read(heap->pages, s.addr + s.length - len, bytes, len) &&
	       !memcmp(bytes, ascii, len);
}

bool ctask_str_is(struct ctask_heap *heap, uint64_t addr, const char *ascii)
{
	return str_matches(heap, addr, ascii, true);
}

bool ctask_str_ascii(struct ctask_heap *heap, uint64_t addr, char *to, size_t room)
{
	struct str_data s;

	if (find_str_data(heap, addr, &s) || !s.ascii || s.length >= room ||
	    ctask_pages_read(heap->pages, s.addr, to, (size_t)s.length))
		return false;
	to[s.length] = '\0';
	return true;
}

bool ctask_str_ends_with(struct ctask_heap *heap, uint64_t addr, const char *ascii)
{
	return str_matches(heap, addr, ascii, false);
}

int ctask_int_value(struct ctask_heap *heap, uint64_t addr, int64_t *ret_value)
{
	enum { DIGITS = 24, DIGIT_BITS = 30 };
	uint64_t head, count, value = 0;
	bool negative;

	if (ctask_kind_of(heap, addr) != CTASK_KIND_INT)
		return -EPROTO;
	if (ctask_heap_u64(heap, addr + OB_SIZE, &head))
		return -EFAULT;
	if (heap->layout.long_is_tagged) { /* 3.12 on: digits << 3 | sign, sign 2 = negative */
		negative = (head & 3) == 2;
		count = (head & 3) == 1 ? 0 : head >> 3;
	} else {
		negative = (int64_t)head < 0;
		count = negative ? -head : head;
	}
	if (count > 2)
		return -ERANGE;
	for (uint64_t i = 0; i < count; i++) {
		uint32_t digit;

		if (ctask_pages_read(heap->pages, addr + DIGITS + i * 4, &digit, sizeof(digit)))
			return -EFAULT;
		value |= (uint64_t)(digit & ((1u << DIGIT_BITS) - 1)) << (i * DIGIT_BITS);
	}
	*ret_value = negative ? -(int64_t)value : (int64_t)value;
	return 0;
}

int ctask_number_value(struct ctask_heap *heap, uint64_t addr, double *ret_value)
{
	int64_t whole;
	int ret;

	if (ctask_kind_of(heap, addr) == CTASK_KIND_FLOAT)
		return ctask_pages_read(heap->pages, addr + heap->layout.float_value, ret_value,
					sizeof(*ret_value));
	ret = ctask_int_value(heap, addr, &whole);
	if (!ret)
		*ret_value = (double)whole;
	return ret;
}
