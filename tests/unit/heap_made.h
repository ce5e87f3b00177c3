/* heap_made.h - Python objects made by hand, laid out as a row of the layout table says. */
#ifndef CTASK_TESTS_UNIT_HEAP_MADE_H
#define CTASK_TESTS_UNIT_HEAP_MADE_H

#include "reader/code.h"
#include "reader/object.h"
#include "tests/unit/made.h"

enum {
	MADE_BASE = 0x10000000,
	MADE_BYTES = 1 << 18,
	MADE_HEAP_TYPE = 1 << 9, /* tp_flags */
	MADE_INLINE_VALUES = 1 << 2,
	MADE_MANAGED_DICT = 1 << 4,
	MADE_LONG = 1 << 24,
	MADE_LIST = 1 << 25,
	MADE_TUPLE = 1 << 26,
	MADE_STR = 1 << 28,
	MADE_DICT = 1 << 29,
};

/** A piece of memory that objects are put into, and a heap that reads it. */
struct made_heap {
	uint8_t *bytes;
	size_t used;
	struct ctask_segment segment;
	struct ctask_memory *memory;
	struct ctask_pages pages;
	struct ctask_heap heap;
	const struct ctask_layout *l;
	uint64_t str_type, int_type, float_type, tuple_type, list_type, dict_type, set_type,
		deque_type, code_type;
};

static inline uint64_t made_alloc(struct made_heap *m, size_t bytes)
{
	uint64_t addr = MADE_BASE + m->used;

	m->used += (bytes + 15) & ~(size_t)15;
	ck_assert_uint_le(m->used, MADE_BYTES);
	return addr;
}

static inline void made_put(struct made_heap *m, uint64_t addr, const void *bytes, size_t len)
{
	ck_assert_uint_ge(addr, MADE_BASE);
	ck_assert_uint_le(addr - MADE_BASE + len, MADE_BYTES);
	memcpy(m->bytes + (addr - MADE_BASE), bytes, len);
}

static inline void made_u64(struct made_heap *m, uint64_t addr, uint64_t value)
{
	made_put(m, addr, &value, 8);
}

static inline void made_u32(struct made_heap *m, uint64_t addr, uint32_t value)
{
	made_put(m, addr, &value, 4);
}

static inline void made_u8(struct made_heap *m, uint64_t addr, uint8_t value)
{
	made_put(m, addr, &value, 1);
}

/** An object of @p type with @p bytes, and room for what may stand before it. */
static inline uint64_t made_object(struct made_heap *m, uint64_t type, size_t bytes)
{
	uint64_t addr = made_alloc(m, 32 + bytes) + 32;

	made_u64(m, addr, 1);
	made_u64(m, addr + 8, type);
	return addr;
}

static inline uint64_t made_c_string(struct made_heap *m, const char *text)
{
	uint64_t addr = made_alloc(m, strlen(text) + 1);

	made_put(m, addr, text, strlen(text) + 1);
	return addr;
}

static inline uint64_t made_type(struct made_heap *m, const char *name, uint64_t flags,
				 uint64_t base)
{
	uint64_t type = made_object(m, 0, 1024);

	made_u64(m, type + m->l->type_name, made_c_string(m, name));
	made_u64(m, type + m->l->type_flags, flags);
	made_u64(m, type + m->l->type_base, base);
	return type;
}

/** Memory with the builtin types in it, for row @p row of the layout table. */
static inline struct made_heap *made_heap_create(size_t row)
{
	struct made_heap *m = calloc(1, sizeof(*m));

	ck_assert_ptr_nonnull(m);
	m->bytes = calloc(1, MADE_BYTES);
	m->l = &ctask_layout_table[row];
	m->segment = (struct ctask_segment){ MADE_BASE, m->bytes, MADE_BYTES };
	ck_assert_int_eq(ctask_memory_create_bytes(&m->segment, 1, &m->memory, NULL), 0);
	ck_assert_int_eq(ctask_pages_init(&m->pages, m->memory), 0);
	ctask_heap_init(&m->heap, &m->pages, m->l);
	m->str_type = made_type(m, "str", MADE_STR, 0);
	m->int_type = made_type(m, "int", MADE_LONG, 0);
	m->float_type = made_type(m, "float", 0, 0);
	m->tuple_type = made_type(m, "tuple", MADE_TUPLE, 0);
	m->list_type = made_type(m, "list", MADE_LIST, 0);
	m->dict_type = made_type(m, "dict", MADE_DICT, 0);
	m->set_type = made_type(m, "set", 0, 0);
	m->deque_type = made_type(m, "collections.deque", MADE_HEAP_TYPE, 0);
	m->code_type = made_type(m, "code", 0, 0);
	return m;
}

static inline void made_heap_destroy(struct made_heap *m)
{
	ctask_heap_fini(&m->heap);
	ctask_pages_fini(&m->pages);
	ctask_memory_destroy(m->memory);
	free(m->bytes);
	free(m);
}

/** What was put since the last look can be read from now on. */
static inline struct ctask_heap *made_look(struct made_heap *m)
{
	ctask_heap_forget(&m->heap);
	ctask_pages_thaw(&m->pages);
	return &m->heap;
}

/** A compact str of @p length characters of @p width bytes each. */
static inline uint64_t made_str_of(struct made_heap *m, unsigned width, bool ascii,
				   const void *chars, size_t length)
{
	uint32_t data = ascii ? m->l->str_ascii_data : m->l->str_compact_data;
	uint64_t str = made_object(m, m->str_type, data + length * width + width);

	made_u64(m, str + m->l->str_length, length);
	made_u32(m, str + m->l->str_state, width << 2 | 1u << 5 | (uint32_t)ascii << 6);
	made_put(m, str + data, chars, length * width);
	return str;
}

static inline uint64_t made_str(struct made_heap *m, const char *ascii)
{
	return made_str_of(m, 1, true, ascii, strlen(ascii));
}

/** An int of @p digits digits of 30 bits. */
static inline uint64_t made_int_of(struct made_heap *m, bool negative, const uint32_t *digits,
				   uint64_t count)
{
	uint64_t obj = made_object(m, m->int_type, 24 + count * 4 + 4);
	uint64_t sign = negative ? 2 : count == 0 ? 1 : 0;

	if (m->l->long_is_tagged)
		made_u64(m, obj + 16, count << 3 | sign);
	else
		made_u64(m, obj + 16, negative ? -count : count);
	made_put(m, obj + 24, digits, count * 4);
	return obj;
}

static inline uint64_t made_int(struct made_heap *m, int64_t value)
{
	uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;
	uint32_t digits[3];
	uint64_t count = 0;

	for (; rest; rest >>= 30)
		digits[count++] = rest & ((1u << 30) - 1);
	return made_int_of(m, value < 0, digits, count);
}

static inline uint64_t made_tuple(struct made_heap *m, const uint64_t *items, uint64_t count)
{
	uint64_t tuple = made_object(m, m->tuple_type, m->l->tuple_items + count * 8);

	made_u64(m, tuple + 16, count);
	made_put(m, tuple + m->l->tuple_items, items, count * 8);
	return tuple;
}

static inline uint64_t made_list(struct made_heap *m, const uint64_t *items, uint64_t count)
{
	uint64_t list = made_object(m, m->list_type, 64), at = made_alloc(m, count * 8 + 8);

	made_u64(m, list + 16, count);
	made_u64(m, list + m->l->list_items, at);
	made_put(m, at, items, count * 8);
	return list;
}

enum made_keys { MADE_GENERAL, MADE_UNICODE, MADE_SPLIT };

/** The keys of a dict: entries of (hash,) key, value; split ones have no values here. */
static inline uint64_t made_keys(struct made_heap *m, enum made_keys kind, const uint64_t *keys,
				 const uint64_t *values, uint64_t count)
{
	const struct ctask_layout *l = m->l;
	bool general = kind == MADE_GENERAL || !l->keys_is_log2;
	unsigned entry = general ? 24 : 16, log2 = 4;
	uint64_t at, obj = made_alloc(m, l->keys_indices + 16 + count * entry);

	ck_assert_uint_le(count, 16);
	if (l->keys_is_log2) {
		made_u8(m, obj + l->keys_log2_size, (uint8_t)log2);
		made_u8(m, obj + l->keys_log2_index_bytes, (uint8_t)log2);
		made_u8(m, obj + l->keys_kind, (uint8_t)kind);
	} else {
		made_u64(m, obj + l->keys_log2_size, 1u << log2);
	}
	made_u64(m, obj + l->keys_nentries, count);
	at = obj + l->keys_indices + (1u << log2);
	for (uint64_t i = 0; i < count; i++, at += entry) {
		made_u64(m, at + (general ? 8 : 0), keys[i]);
		made_u64(m, at + (general ? 16 : 8), values && kind != MADE_SPLIT ? values[i] : 0);
	}
	return obj;
}

/** The values of a split dict or of an instance. */
static inline uint64_t made_values(struct made_heap *m, const uint64_t *values, uint64_t count)
{
	uint64_t at = made_alloc(m, m->l->values_values + count * 8);

	made_put(m, at + m->l->values_values, values, count * 8);
	return at;
}

static inline uint64_t made_dict(struct made_heap *m, enum made_keys kind, const uint64_t *keys,
				 const uint64_t *values, uint64_t count)
{
	uint64_t dict = made_object(m, m->dict_type, 64), used = 0;

	for (uint64_t i = 0; i < count; i++)
		used += keys[i] && values[i];
	made_u64(m, dict + 16, used);
	made_u64(m, dict + m->l->dict_keys, made_keys(m, kind, keys, values, count));
	if (kind == MADE_SPLIT)
		made_u64(m, dict + m->l->dict_values, made_values(m, values, count));
	return dict;
}

/** A code object of one function; names and the like are those that matter to its lines. */
static inline uint64_t made_code(struct made_heap *m, const char *name, const char *filename,
				 uint32_t first_line, const uint8_t *lines, size_t lines_len)
{
	const struct ctask_layout *l = m->l;
	uint64_t code = made_object(m, m->code_type, 512);
	uint64_t table = made_object(m, 0, l->bytes_data + lines_len + 1);

	made_u64(m, table + 16, lines_len);
	made_put(m, table + l->bytes_data, lines, lines_len);
	made_u64(m, code + l->code_name, made_str(m, name));
	made_u64(m, code + l->code_filename, made_str(m, filename));
	if (l->code_qualname != CTASK_NO_FIELD)
		made_u64(m, code + l->code_qualname, made_str(m, name));
	made_u32(m, code + l->code_firstlineno, first_line);
	made_u64(m, code + l->code_linetable, table);
	return code;
}

#endif
