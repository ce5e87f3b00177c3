/* check_object.c - Python objects in memory: text, numbers, containers, attributes, in each version's layout. */
#include "reader/object.h"

#include <errno.h>

#include "tests/unit/heap_made.h"

/* Each test runs once for each row of the layout table. */
static struct made_heap *m;
static struct ctask_texts *texts;

static void up(void)
{
	texts = ctask_texts_create();
}

static void down(void)
{
	ctask_texts_destroy(texts);
	made_heap_destroy(m);
}

/* --- types --- */

START_TEST(a_kind_is_told_by_name_flag_and_base)
{
	uint64_t coroutine, fake, future, sub, sub_sub, deque;

	m = made_heap_create((size_t)_i);
	coroutine = made_object(m, made_type(m, "coroutine", 0, 0), 16);
	/* A class statement makes a heap type: it may be called what it likes. */
	fake = made_object(m, made_type(m, "coroutine", MADE_HEAP_TYPE, 0), 16);
	future = made_type(m, "_asyncio.Future", MADE_HEAP_TYPE, 0);
	sub = made_type(m, "Mine", MADE_HEAP_TYPE, future);
	sub_sub = made_object(m, made_type(m, "Task", MADE_HEAP_TYPE, sub), 16);
	deque = made_object(m, made_type(m, "D", MADE_HEAP_TYPE, m->deque_type), 64);
	made_look(m);
	ck_assert_int_eq(ctask_kind_of(&m->heap, coroutine), CTASK_KIND_COROUTINE);
	ck_assert_int_eq(ctask_kind_of(&m->heap, fake), CTASK_KIND_OTHER);
	ck_assert_int_eq(ctask_kind_of(&m->heap, sub_sub), CTASK_KIND_FUTURE);
	ck_assert_int_eq(ctask_kind_of(&m->heap, deque), CTASK_KIND_DEQUE);
	ck_assert_str_eq(ctask_type_of(&m->heap, sub_sub)->name, "Task");
}
END_TEST

START_TEST(a_circle_of_bases_ends)
{
	uint64_t a, b;

	m = made_heap_create((size_t)_i);
	a = made_type(m, "A", MADE_HEAP_TYPE, 0);
	b = made_type(m, "B", MADE_HEAP_TYPE, a);
	made_u64(m, a + m->l->type_base, b);
	a = made_object(m, a, 64);
	made_look(m);
	ck_assert_int_eq(ctask_kind_of(&m->heap, a), CTASK_KIND_OTHER);
	ck_assert_int_eq(ctask_attr(&m->heap, a, "x", &b), -ENOENT);
}
END_TEST

START_TEST(what_is_no_object)
{
	uint64_t object;

	m = made_heap_create((size_t)_i);
	object = made_object(m, 3, 16);
	made_look(m);
	ck_assert_ptr_null(ctask_type_of(&m->heap, 0));
	ck_assert_ptr_null(ctask_type_of(&m->heap, MADE_BASE + 4));
	ck_assert_ptr_null(ctask_type_of(&m->heap, 0x7f0000000000));
	ck_assert_ptr_null(ctask_type_of(&m->heap, UINT64_MAX - 7));
	ck_assert_ptr_null(ctask_type_of(&m->heap, object));
	ck_assert_int_eq(ctask_kind_of(&m->heap, 0), CTASK_KIND_OTHER);
}
END_TEST

START_TEST(long_names_are_cut)
{
	char name[3 * CTASK_TYPE_NAME_MAX];
	uint64_t object;

	m = made_heap_create((size_t)_i);
	memset(name, 'n', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	object = made_object(m, made_type(m, name, MADE_HEAP_TYPE, 0), 16);
	made_look(m);
	ck_assert_uint_eq(strlen(ctask_type_of(&m->heap, object)->name), CTASK_TYPE_NAME_MAX - 1);
}
END_TEST

/* --- str --- */

static const uint16_t two_wide[] = { 'a', 0x20ac, 0xd800, 0, 0xff };
static const uint32_t four_wide[] = { 0x1f600, 'b', 0x10ffff, 0x110000, 0xdfff };
static const uint8_t one_wide[] = { 'z', 0xe9, 0, 0xff };

static const struct {
	const char *why;
	unsigned width;
	bool ascii;
	const void *chars;
	size_t length;
	const char *want;
} strs[] = {
	{ "empty", 1, true, "", 0, "" },
	{ "ascii", 1, true, "main", 4, "main" },
	{ "ascii with NUL", 1, true, "a\0b", 3,
	  "a\xc0\x80"
	  "b" },
	{ "latin-1", 1, false, one_wide, 4, "z\xc3\xa9\xc0\x80\xc3\xbf" },
	{ "two bytes, a lone surrogate among them", 2, false, two_wide, 5,
	  "a\xe2\x82\xac\xed\xa0\x80\xc0\x80\xc3\xbf" },
	{ "four bytes, one that is no character", 4, false, four_wide, 5,
	  "\xf0\x9f\x98\x80"
	  "b\xf4\x8f\xbf\xbf\xef\xbf\xbd\xed\xbf\xbf" },
};

START_TEST(texts_are_exact)
{
	m = made_heap_create((size_t)_i);
	for (size_t i = 0; i < ARRAY_SIZE(strs); i++) {
		uint64_t str =
			made_str_of(m, strs[i].width, strs[i].ascii, strs[i].chars, strs[i].length);
		ctask_text text = NULL;

		made_look(m);
		ck_assert_int_eq(ctask_str_text(&m->heap, str, texts, &text), 0);
		ck_assert_msg(!strcmp(text, strs[i].want), "%s: %s", strs[i].why, text);
	}
}
END_TEST

START_TEST(long_texts)
{
	enum { LENGTH = 20000 };
	auto_free uint16_t *chars = calloc(LENGTH, sizeof(*chars));
	ctask_text text = NULL;
	uint64_t str;

	m = made_heap_create((size_t)_i);
	for (size_t i = 0; i < LENGTH; i++)
		chars[i] = 0x20ac;
	str = made_str_of(m, 2, false, chars, LENGTH);
	made_look(m);
	ck_assert_int_eq(ctask_str_text(&m->heap, str, texts, &text), 0);
	ck_assert_uint_eq(strlen(text), LENGTH * 3);
}
END_TEST

START_TEST(a_str_of_a_subclass_has_its_text_elsewhere)
{
	ctask_text text = NULL;
	uint64_t str;

	m = made_heap_create((size_t)_i);
	str = made_object(m, made_type(m, "Name", MADE_HEAP_TYPE | MADE_STR, m->str_type), 128);
	made_u64(m, str + m->l->str_length, 5);
	made_u32(m, str + m->l->str_state, 1 << 2 | 1 << 6);
	made_u64(m, str + m->l->str_compact_data, made_c_string(m, "other"));
	made_look(m);
	ck_assert_int_eq(ctask_str_text(&m->heap, str, texts, &text), 0);
	ck_assert_str_eq(text, "other");
}
END_TEST

START_TEST(strs_that_cannot_be)
{
	uint64_t huge, odd, cut, number;
	ctask_text text = NULL;

	m = made_heap_create((size_t)_i);
	huge = made_str(m, "x");
	made_u64(m, huge + m->l->str_length, 1ull << 60);
	odd = made_str(m, "x");
	made_u32(m, odd + m->l->str_state, 3 << 2 | 1 << 5);
	cut = made_str(m, "x");
	made_u64(m, cut + m->l->str_length, MADE_BYTES);
	number = made_int(m, 5);
	made_look(m);
	ck_assert_int_eq(ctask_str_text(&m->heap, huge, texts, &text), -EPROTO);
	ck_assert_int_eq(ctask_str_text(&m->heap, odd, texts, &text), -EPROTO);
	ck_assert_int_eq(ctask_str_text(&m->heap, cut, texts, &text), -EFAULT);
	ck_assert_int_eq(ctask_str_text(&m->heap, number, texts, &text), -EPROTO);
	ck_assert_int_eq(ctask_str_text(&m->heap, 0, texts, &text), -EPROTO);
	ck_assert_ptr_null(text);
}
END_TEST

START_TEST(strs_are_compared)
{
	uint64_t str, wide;

	m = made_heap_create((size_t)_i);
	str = made_str(m, "PENDING");
	wide = made_str_of(m, 2, false, two_wide, 1);
	made_look(m);
	ck_assert(ctask_str_is(&m->heap, str, "PENDING"));
	ck_assert(!ctask_str_is(&m->heap, str, "PENDIN"));
	ck_assert(!ctask_str_is(&m->heap, str, "PENDINGS"));
	ck_assert(ctask_str_ends_with(&m->heap, str, "DING"));
	ck_assert(ctask_str_ends_with(&m->heap, str, ""));
	ck_assert(!ctask_str_ends_with(&m->heap, str, "xPENDING"));
	ck_assert(!ctask_str_is(&m->heap, wide, "a"));
	ck_assert(!ctask_str_is(&m->heap, 0, ""));
}
END_TEST

/* --- numbers --- */

static const int64_t ints[] = {
	0, 1, -1, 255, (1 << 30) - 1, 1 << 30, -(1 << 30), (1ll << 60) - 1, -(1ll << 60) + 1,
};

START_TEST(ints_are_exact)
{
	static const uint32_t three[] = { 1, 1, 1 };
	uint64_t large, absurd, str;
	int64_t value = 42;

	m = made_heap_create((size_t)_i);
	for (size_t i = 0; i < ARRAY_SIZE(ints); i++) {
		uint64_t obj = made_int(m, ints[i]);

		made_look(m);
		ck_assert_int_eq(ctask_int_value(&m->heap, obj, &value), 0);
		ck_assert_int_eq(value, ints[i]);
	}
	large = made_int_of(m, false, three, 3);
	absurd = made_int(m, 1);
	made_u64(m, absurd + 16, INT64_MAX);
	str = made_str(m, "1");
	made_look(m);
	ck_assert_int_eq(ctask_int_value(&m->heap, large, &value), -ERANGE);
	ck_assert_int_eq(ctask_int_value(&m->heap, absurd, &value), -ERANGE);
	ck_assert_int_eq(ctask_int_value(&m->heap, str, &value), -EPROTO);
}
END_TEST

START_TEST(numbers_are_ints_or_floats)
{
	double half = 2.5, value = 0;
	uint64_t whole, real;

	m = made_heap_create((size_t)_i);
	whole = made_int(m, -3);
	real = made_object(m, m->float_type, 32);
	made_put(m, real + m->l->float_value, &half, 8);
	made_look(m);
	ck_assert_int_eq(ctask_number_value(&m->heap, whole, &value), 0);
	ck_assert(value == -3);
	ck_assert_int_eq(ctask_number_value(&m->heap, real, &value), 0);
	ck_assert(value == 2.5);
}
END_TEST

/* --- containers --- */

START_TEST(tuples_and_lists)
{
	const uint64_t objects[] = { 0x11110, 0x22220, 0x33330 };
	uint64_t made[2], absurd, obj;
	struct ctask_items items;

	m = made_heap_create((size_t)_i);
	made[0] = made_tuple(m, objects, 3);
	made[1] = made_list(m, objects, 3);
	absurd = made_tuple(m, objects, 3);
	made_u64(m, absurd + 16, 1ull << 61); /* times 8 is 0 */
	made_look(m);
	for (size_t i = 0; i < 2; i++) {
		ck_assert_int_eq(ctask_items_of(&m->heap, made[i], &items), 0);
		ck_assert_uint_eq(items.count, 3);
		for (uint64_t n = 0; n < 3; n++) {
			ck_assert_int_eq(ctask_items_get(&m->heap, &items, n, &obj), 0);
			ck_assert_uint_eq(obj, objects[n]);
		}
		ck_assert_int_eq(ctask_items_get(&m->heap, &items, 3, &obj), -ENOENT);
	}
	ck_assert_int_eq(ctask_items_of(&m->heap, absurd, &items), -EPROTO);
	ck_assert_int_eq(ctask_items_of(&m->heap, 0, &items), -EPROTO);
}
END_TEST

START_TEST(dicts_of_each_form)
{
	m = made_heap_create((size_t)_i);
	for (int kind = MADE_GENERAL; kind <= MADE_SPLIT; kind++) {
		/* The second entry was deleted; that of a split dict has no value (yet). */
		uint64_t keys[] = { made_str(m, "first"),
				    kind == MADE_SPLIT ? made_str(m, "no") : 0,
				    made_str(m, "third") };
		const uint64_t values[] = { 0xa0, 0, 0xc0 };
		uint64_t dict = made_dict(m, (enum made_keys)kind, keys, values, 3), key, value;
		struct ctask_iter iter;

		made_look(m);
		ck_assert_int_eq(ctask_dict_get(&m->heap, dict, "first", &value), 0);
		ck_assert_uint_eq(value, 0xa0);
		ck_assert_int_eq(ctask_dict_get(&m->heap, dict, "third", &value), 0);
		ck_assert_uint_eq(value, 0xc0);
		ck_assert_int_eq(ctask_dict_get(&m->heap, dict, "no", &value), -ENOENT);
		ck_assert_int_eq(ctask_dict_iter(&m->heap, dict, &iter), 0);
		ck_assert(ctask_iter_next(&iter, &key, &value) && key == keys[0]);
		ck_assert(ctask_iter_next(&iter, &key, NULL) && key == keys[2]);
		ck_assert(!ctask_iter_next(&iter, &key, NULL));
		ck_assert_int_eq(iter.error, 0);
	}
}
END_TEST

START_TEST(dicts_that_cannot_be)
{
	const uint64_t values[] = { 0xa0 };
	uint64_t key, dict, keys, value;
	struct ctask_iter iter;

	m = made_heap_create((size_t)_i);
	key = made_str(m, "key");
	dict = made_dict(m, MADE_GENERAL, &key, values, 1);
	memcpy(&keys, m->bytes + (dict + m->l->dict_keys - MADE_BASE), 8);
	made_u64(m, keys + m->l->keys_nentries, 1ull << 60);
	made_look(m);
	ck_assert_int_eq(ctask_dict_iter(&m->heap, dict, &iter), -EPROTO);
	/* More entries than slots; then room for them, but no memory there. */
	made_u64(m, keys + m->l->keys_nentries, 1 << 20);
	made_look(m);
	ck_assert_int_eq(ctask_dict_get(&m->heap, dict, "other", &value), -EPROTO);
	if (m->l->keys_is_log2)
		made_u8(m, keys + m->l->keys_log2_index_bytes, 20);
	else
		made_u64(m, keys + m->l->keys_log2_size, 1 << 20);
	made_look(m);
	ck_assert_int_eq(ctask_dict_get(&m->heap, dict, "other", &value), -EFAULT);
	if (m->l->keys_is_log2)
		made_u8(m, keys + m->l->keys_log2_index_bytes, 255);
	else
		made_u64(m, keys + m->l->keys_log2_size, UINT64_MAX);
	made_look(m);
	ck_assert_int_eq(ctask_dict_get(&m->heap, dict, "key", &value), -EPROTO);
	made_u64(m, dict + m->l->dict_keys, 8);
	made_look(m);
	ck_assert_int_eq(ctask_dict_get(&m->heap, dict, "key", &value), -EFAULT);
}
END_TEST

static uint64_t made_set(const uint64_t (*entries)[2], uint64_t room, uint64_t used)
{
	uint64_t set = made_object(m, m->set_type, 200), table = made_alloc(m, room * 16);

	made_u64(m, set + m->l->set_mask, room - 1);
	made_u64(m, set + m->l->set_mask - 16, room - 1); /* fill: used or deleted, never all */
	made_u64(m, set + m->l->set_mask - 8, used);
	made_u64(m, set + m->l->set_table, table);
	made_put(m, table, entries, room * 16);
	return set;
}

START_TEST(a_set_with_deleted_entries)
{
	/* Key and hash; a deleted entry has a key that says so, and -1. */
	static const uint64_t entries[8][2] = {
		{ 0, 0 }, { 0x100, 7 }, { 0xdead0, UINT64_MAX }, { 0, 0 }, { 0x200, 0 },
	};
	struct ctask_iter iter;
	uint64_t set, key;

	m = made_heap_create((size_t)_i);
	set = made_set(entries, 8, 2);
	made_look(m);
	ck_assert_int_eq(ctask_set_iter(&m->heap, set, &iter), 0);
	ck_assert(ctask_iter_next(&iter, &key, NULL) && key == 0x100);
	ck_assert(ctask_iter_next(&iter, &key, NULL) && key == 0x200);
	ck_assert(!ctask_iter_next(&iter, &key, NULL));
	ck_assert_int_eq(iter.error, 0);
}
END_TEST

START_TEST(sets_that_cannot_be)
{
	static const uint64_t masks[] = { 6, UINT64_MAX, 1ull << 40, (1ull << 28) | 1 };
	static const uint64_t entries[8][2] = { { 0x100, 7 } };
	struct ctask_iter iter;
	uint64_t set;

	m = made_heap_create((size_t)_i);
	set = made_set(entries, 8, 1);
	for (size_t i = 0; i < ARRAY_SIZE(masks); i++) {
		made_u64(m, set + m->l->set_mask, masks[i]);
		made_look(m);
		ck_assert_int_eq(ctask_set_iter(&m->heap, set, &iter), -EPROTO);
	}
}
END_TEST

enum { BLOCK_ITEMS = 64, BLOCK_BYTES = 8 + BLOCK_ITEMS * 8 + 8 };

/* A deque of the objects 1, 2 … @p count, the first one at place @p at of its block. */
static uint64_t made_deque(uint64_t count, uint64_t at)
{
	uint64_t deque = made_object(m, m->deque_type, 128), block = made_alloc(m, BLOCK_BYTES);

	made_u64(m, deque + 16, count);
	made_u64(m, deque + m->l->deque_leftblock, block);
	made_u64(m, deque + m->l->deque_leftindex, at);
	for (uint64_t i = 1; i <= count; i++, at++) {
		if (at == BLOCK_ITEMS) {
			uint64_t next = made_alloc(m, BLOCK_BYTES);

			made_u64(m, block + 8 + BLOCK_ITEMS * 8, next);
			block = next;
			at = 0;
		}
		made_u64(m, block + 8 + at * 8, i);
	}
	return deque;
}

START_TEST(a_deque_over_block_borders)
{
	uint64_t items[200], count = 0, deque;

	m = made_heap_create((size_t)_i);
	deque = made_deque(150, 62);
	made_look(m);
	ck_assert_int_eq(ctask_deque_items(&m->heap, deque, items, 200, &count), 0);
	ck_assert_uint_eq(count, 150);
	for (uint64_t i = 0; i < 150; i++)
		ck_assert_uint_eq(items[i], i + 1);
	/* No more than there is room for. */
	items[3] = 99;
	ck_assert_int_eq(ctask_deque_items(&m->heap, deque, items, 3, &count), 0);
	ck_assert_uint_eq(count, 150);
	ck_assert_uint_eq(items[3], 99);
	made_u64(m, deque + m->l->deque_leftindex, BLOCK_ITEMS);
	made_look(m);
	ck_assert_int_eq(ctask_deque_items(&m->heap, deque, items, 3, &count), -EPROTO);
}
END_TEST

/* --- attributes --- */

/* Member descriptors as a class with __slots__ has them: name, type, offset. */
static void made_slots(uint64_t type, const char *name, uint32_t kind, uint64_t offset)
{
	uint64_t rows = made_alloc(m, 3 * 40);

	made_u64(m, rows, made_c_string(m, "another"));
	made_u32(m, rows + 8, 6);
	made_u64(m, rows + 16, 16);
	made_u64(m, rows + 40, made_c_string(m, name));
	made_u32(m, rows + 48, kind);
	made_u64(m, rows + 56, offset);
	made_u64(m, type + m->l->type_members, rows);
}

START_TEST(an_attribute_in_a_slot)
{
	uint64_t base, type, obj, number, value;

	m = made_heap_create((size_t)_i);
	base = made_type(m, "Base", MADE_HEAP_TYPE, 0);
	made_slots(base, "_when", 16, 24);
	type = made_type(m, "Timer", MADE_HEAP_TYPE, base);
	obj = made_object(m, type, 64);
	made_u64(m, obj + 24, 0xabc0);
	number = made_type(m, "Number", MADE_HEAP_TYPE, 0);
	made_slots(number, "_when", 1, 24); /* T_INT: no object lies there */
	number = made_object(m, number, 64);
	made_look(m);
	ck_assert_int_eq(ctask_attr(&m->heap, obj, "_when", &value), 0);
	ck_assert_uint_eq(value, 0xabc0);
	ck_assert_int_eq(ctask_attr(&m->heap, obj, "another", &value), -ENOENT); /* empty */
	ck_assert_int_eq(ctask_attr(&m->heap, number, "_when", &value), -ENOENT);
	ck_assert_int_eq(ctask_attr(&m->heap, 0, "_when", &value), -EFAULT);
}
END_TEST

/* A type that is none may lead to anything: rows whose names lie nowhere are not gone through. */
START_TEST(slots_that_are_none)
{
	enum { ROW_BYTES = 40, ROWS = 500 };
	uint64_t type, rows, obj, value, steps;

	m = made_heap_create((size_t)_i);
	type = made_type(m, "Garbage", MADE_HEAP_TYPE, 0);
	rows = made_alloc(m, ROWS * ROW_BYTES);
	for (uint64_t i = 0; i < ROWS; i++)
		made_u64(m, rows + i * ROW_BYTES, 0x4e4f485459500000 + i * CTASK_PAGE);
	made_u64(m, type + m->l->type_members, rows);
	obj = made_object(m, type, 64);
	made_look(m);
	steps = m->pages.steps;
	ck_assert_int_ne(ctask_attr(&m->heap, obj, "_when", &value), 0);
	ck_assert_uint_lt(m->pages.steps - steps, ROWS / 10);
}
END_TEST

/* An instance whose attributes are in a dict of its own, wherever this version keeps its address. */
START_TEST(an_attribute_in_a_dict)
{
	bool managed;
	uint64_t type, obj, key, dict, value;
	const uint64_t values[] = { 0xabc0 };

	m = made_heap_create((size_t)_i);
	managed = m->l->dict_form != CTASK_DICT_OFFSET;
	type = made_type(m, "Mine", MADE_HEAP_TYPE | (managed ? MADE_MANAGED_DICT : 0), 0);
	made_u64(m, type + m->l->type_dictoffset, managed ? UINT64_MAX : 40);
	obj = made_object(m, type, 64);
	key = made_str(m, "_state");
	dict = made_dict(m, MADE_UNICODE, &key, values, 1);
	made_u64(m, managed ? obj - 24 : obj + 40, dict);
	made_look(m);
	ck_assert_int_eq(ctask_attr(&m->heap, obj, "_state", &value), 0);
	ck_assert_uint_eq(value, 0xabc0);
	ck_assert_int_eq(ctask_attr(&m->heap, obj, "_other", &value), -ENOENT);
}
END_TEST

/* An instance without a dict: values under the keys that its type keeps. 3.11 on. */
/* Keys of a table that changed while it was read, or is none: what comes after them is not looked at. */
START_TEST(keys_that_are_no_objects)
{
	const uint64_t wild[] = { MADE_BASE + 4, 0xb300000000000000, 0x7f0000000000 };

	m = made_heap_create((size_t)_i);
	for (size_t i = 0; i < ARRAY_SIZE(wild); i++) {
		uint64_t keys[] = { made_str(m, "before"), wild[i], made_str(m, "after") };
		const uint64_t values[] = { 0xa0, 0xb0, 0xc0 };
		uint64_t dict = made_dict(m, MADE_UNICODE, keys, values, 3), value;

		made_look(m);
		ck_assert_int_eq(ctask_dict_get(&m->heap, dict, "before", &value), 0);
		ck_assert_uint_eq(value, 0xa0);
		ck_assert_int_eq(ctask_dict_get(&m->heap, dict, "after", &value), -EAGAIN);
	}
}
END_TEST

START_TEST(an_attribute_among_values)
{
	const uint64_t values[] = { 0, 0xabc0 };
	uint64_t type, obj, keys[2], at, value;

	m = made_heap_create((size_t)_i);
	if (m->l->dict_form == CTASK_DICT_OFFSET)
		return;
	type = made_type(m, "Mine", MADE_HEAP_TYPE | MADE_MANAGED_DICT | MADE_INLINE_VALUES, 0);
	made_u64(m, type + m->l->type_basicsize, 32);
	keys[0] = made_str(m, "_empty");
	keys[1] = made_str(m, "_state");
	made_u64(m, type + m->l->type_cached_keys, made_keys(m, MADE_SPLIT, keys, NULL, 2));
	obj = made_object(m, type, 96);
	switch (m->l->dict_form) {
	case CTASK_DICT_311:
		made_u64(m, obj - 32, made_values(m, values, 2));
		break;
	case CTASK_DICT_312:
		made_u64(m, obj - 24, made_values(m, values, 2) - 1);
		break;
	default: /* behind the object, while the fourth byte says that they are valid */
		at = obj + 32;
		made_u8(m, at + 3, 1);
		made_put(m, at + m->l->values_values, values, sizeof(values));
	}
	made_look(m);
	ck_assert_int_eq(ctask_attr(&m->heap, obj, "_state", &value), 0);
	ck_assert_uint_eq(value, 0xabc0);
	ck_assert_int_eq(ctask_attr(&m->heap, obj, "_empty", &value), -ENOENT);
	ck_assert_int_eq(ctask_attr(&m->heap, obj, "_other", &value), -ENOENT);
	if (m->l->dict_form == CTASK_DICT_INLINE) {
		made_u8(m, obj + 32 + 3, 0);
		made_look(m);
		ck_assert_int_eq(ctask_attr(&m->heap, obj, "_state", &value), -ENOENT);
	}
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("object");
	int rows = (int)ctask_layout_count;

	tcase_set_timeout(tests, 60);
	tcase_add_checked_fixture(tests, up, down);
	tcase_add_loop_test(tests, a_kind_is_told_by_name_flag_and_base, 0, rows);
	tcase_add_loop_test(tests, a_circle_of_bases_ends, 0, rows);
	tcase_add_loop_test(tests, what_is_no_object, 0, rows);
	tcase_add_loop_test(tests, long_names_are_cut, 0, rows);
	tcase_add_loop_test(tests, texts_are_exact, 0, rows);
	tcase_add_loop_test(tests, long_texts, 0, rows);
	tcase_add_loop_test(tests, a_str_of_a_subclass_has_its_text_elsewhere, 0, rows);
	tcase_add_loop_test(tests, strs_that_cannot_be, 0, rows);
	tcase_add_loop_test(tests, strs_are_compared, 0, rows);
	tcase_add_loop_test(tests, ints_are_exact, 0, rows);
	tcase_add_loop_test(tests, numbers_are_ints_or_floats, 0, rows);
	tcase_add_loop_test(tests, tuples_and_lists, 0, rows);
	tcase_add_loop_test(tests, dicts_of_each_form, 0, rows);
	tcase_add_loop_test(tests, dicts_that_cannot_be, 0, rows);
	tcase_add_loop_test(tests, a_set_with_deleted_entries, 0, rows);
	tcase_add_loop_test(tests, sets_that_cannot_be, 0, rows);
	tcase_add_loop_test(tests, a_deque_over_block_borders, 0, rows);
	tcase_add_loop_test(tests, an_attribute_in_a_slot, 0, rows);
	tcase_add_loop_test(tests, slots_that_are_none, 0, rows);
	tcase_add_loop_test(tests, an_attribute_in_a_dict, 0, rows);
	tcase_add_loop_test(tests, keys_that_are_no_objects, 0, rows);
	tcase_add_loop_test(tests, an_attribute_among_values, 0, rows);
	return made_run("object", tests);
}
