/* container.c - Python containers and attributes in a target's memory. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "model/cleanup.h"
#include "reader/object.h"

enum {
	OB_SIZE = 16,
	MA_USED = 16, /* PyDictObject.ma_used, in every version */
	SET_FILL_BEFORE_MASK = 16,
	SET_USED_BEFORE_MASK = 8, /* PySetObject: fill, used, mask, in every version */
};

/*
 * Largest container that is believed: 2^28 entries. It bounds sums of offsets;
 * the walk itself ends at the first page that does not exist.
 */
enum { ENTRIES_MAX = 1 << 28 };

int ctask_items_of(struct ctask_heap *heap, uint64_t obj, struct ctask_items *ret_items)
{
	enum ctask_kind kind = ctask_kind_of(heap, obj);
	int ret;

	if (kind != CTASK_KIND_TUPLE && kind != CTASK_KIND_LIST)
		return -EPROTO;
	ret = ctask_heap_u64(heap, obj + OB_SIZE, &ret_items->count);
	if (ret)
		return ret;
	if (ret_items->count > ENTRIES_MAX)
		return -EPROTO;
	ret_items->addr = obj + heap->layout.tuple_items;
	if (kind != CTASK_KIND_LIST)
		return 0;
	ret = ctask_heap_u64(heap, obj + heap->layout.list_items, &ret_items->addr);
	if (!ret)
		ctask_pages_want(heap->pages, ret_items->addr, ret_items->count * 8);
	return ret;
}

int ctask_items_get(struct ctask_heap *heap, const struct ctask_items *items, uint64_t index,
		    uint64_t *ret_obj)
{
	if (index >= items->count)
		return -ENOENT;
	return ctask_heap_u64(heap, items->addr + index * 8, ret_obj);
}

/* What the head of a dict's keys says. */
struct keys_head {
	uint64_t entries, count;
	bool general; /* entries have a hash before the key */
};

static int read_keys(struct ctask_heap *heap, uint64_t keys, struct keys_head *ret)
{
	const struct ctask_layout *l = &heap->layout;
	uint8_t log2_index_bytes, kind;
	uint64_t size, index_bytes;

	if (ctask_heap_u64(heap, keys + l->keys_nentries, &ret->count))
		return -EFAULT;
	if (l->keys_is_log2) {
		if (ctask_pages_read(heap->pages, keys + l->keys_log2_index_bytes,
				     &log2_index_bytes, 1) ||
		    ctask_pages_read(heap->pages, keys + l->keys_kind, &kind, 1))
			return -EFAULT;
		if (log2_index_bytes > 32)
			return -EPROTO;
		index_bytes = 1ull << log2_index_bytes;
		ret->general = kind == 0;
	} else {
		if (ctask_heap_u64(heap, keys + l->keys_log2_size, &size))
			return -EFAULT;
		if (size > ENTRIES_MAX)
			return -EPROTO;
		index_bytes = size * (size <= 0xff ? 1 : size <= 0xffff ? 2 : 4);
		ret->general = true;
	}
	/* An index has at least a byte for each slot, and there are fewer entries than slots. */
	if (ret->count > ENTRIES_MAX || ret->count > index_bytes)
		return -EPROTO;
	ret->entries = keys + l->keys_indices + index_bytes;
	return 0;
}

int ctask_dict_iter(struct ctask_heap *heap, uint64_t dict, struct ctask_iter *iter)
{
	const struct ctask_layout *l = &heap->layout;
	uint64_t keys, values, used;
	struct keys_head head;
	int ret;

	if (ctask_kind_of(heap, dict) != CTASK_KIND_DICT)
		return -EPROTO;
	if (ctask_heap_u64(heap, dict + MA_USED, &used) ||
	    ctask_heap_u64(heap, dict + l->dict_keys, &keys) ||
	    ctask_heap_u64(heap, dict + l->dict_values, &values))
		return -EFAULT;
	ret = read_keys(heap, keys, &head);
	if (ret)
		return ret;
	if (used > head.count)
		return -EPROTO;
	*iter = (struct ctask_iter){
		.heap = heap,
		.at = head.entries,
		.left = head.count,
		.live = used,
		.values = values ? values + l->values_values : 0,
		.entry_bytes = head.general ? 24 : 16,
		.key_offset = head.general ? 8 : 0,
		.value_offset = head.general ? 16 : 8,
	};
	ctask_pages_want(heap->pages, iter->at, iter->left * iter->entry_bytes);
	return 0;
}

int ctask_set_iter(struct ctask_heap *heap, uint64_t set, struct ctask_iter *iter)
{
	uint64_t mask, table, used, fill;

	if (ctask_kind_of(heap, set) != CTASK_KIND_SET)
		return -EPROTO;
	if (ctask_heap_u64(heap, set + heap->layout.set_mask, &mask) ||
	    ctask_heap_u64(heap, set + heap->layout.set_mask - SET_USED_BEFORE_MASK, &used) ||
	    ctask_heap_u64(heap, set + heap->layout.set_mask - SET_FILL_BEFORE_MASK, &fill) ||
	    ctask_heap_u64(heap, set + heap->layout.set_table, &table))
		return -EFAULT;
	if (mask >= ENTRIES_MAX || (mask & (mask + 1)) || fill > mask || used > fill)
		return -EPROTO;
	*iter = (struct ctask_iter){
		.heap = heap,
		.at = table,
		.left = mask + 1,
		.live = used,
		.entry_bytes = 16, /* key, hash */
		.is_set = true,
	};
	ctask_pages_want(heap->pages, table, iter->left * iter->entry_bytes);
	return 0;
}

/* False for what can be no object's address: a table that changed while it was read, or is none. */
static bool may_be_object(uint64_t addr)
{
	enum { USER_BITS = 56 };

	return addr % sizeof(uint64_t) == 0 && addr >> USER_BITS == 0;
}

bool ctask_iter_next(struct ctask_iter *iter, uint64_t *ret_key, uint64_t *ret_value)
{
	while (iter->left) {
		uint64_t entry[3], key, value;

		iter->error = ctask_pages_spend(iter->heap->pages, 1);
		if (!iter->error)
			iter->error = ctask_pages_read(iter->heap->pages, iter->at, entry,
						       iter->entry_bytes);
		if (iter->error)
			return false;
		iter->at += iter->entry_bytes;
		iter->left--;
		key = entry[iter->key_offset / 8];
		if (iter->is_set) {
			if (!key || entry[1] == UINT64_MAX) /* free, or deleted: its hash is -1 */
				continue;
			value = 0;
		} else {
			value = entry[iter->value_offset / 8];
			if (iter->values) {
				iter->error = ctask_heap_u64(iter->heap, iter->values, &value);
				if (iter->error)
					return false;
				iter->values += 8;
			}
			if (!key || !value)
				continue;
		}
		if (!may_be_object(key) || !may_be_object(value)) {
			iter->error = -EAGAIN;
			return false;
		}
		iter->live--;
		*ret_key = key;
		if (ret_value)
			*ret_value = value;
		return true;
	}
	if (iter->live)
		iter->error = -EAGAIN;
	return false;
}

/*
 * The next entries, up to the one under this name: 0 with its key and value, -ENOENT, or another
 * error. A key that is no object ends it: what follows is no table of keys either.
 */
static int find_key(struct ctask_iter *iter, const char *ascii, uint64_t *ret_key,
		    uint64_t *ret_value)
{
	while (ctask_iter_next(iter, ret_key, ret_value)) {
		if (ctask_str_is(iter->heap, *ret_key, ascii))
			return 0;
		if (!ctask_type_of(iter->heap, *ret_key))
			return -EAGAIN;
	}
	return iter->error ? iter->error : -ENOENT;
}

int ctask_dict_get(struct ctask_heap *heap, uint64_t dict, const char *ascii, uint64_t *ret_value)
{
	struct ctask_iter iter;
	uint64_t key;
	int ret = ctask_dict_iter(heap, dict, &iter);

	return ret ? ret : find_key(&iter, ascii, &key, ret_value);
}

/* Modules/_collectionsmodule.c: blocks of 64 pointers between two links. */
int ctask_deque_items(struct ctask_heap *heap, uint64_t deque, uint64_t *items, uint64_t max,
		      uint64_t *ret_count)
{
	enum { BLOCK_ITEMS = 64, BLOCK_FIRST = 8, BLOCK_RIGHT = 520 };
	const struct ctask_layout *l = &heap->layout;
	uint64_t block, at, count;

	if (ctask_kind_of(heap, deque) != CTASK_KIND_DEQUE)
		return -EPROTO;
	if (ctask_heap_u64(heap, deque + OB_SIZE, &count) ||
	    ctask_heap_u64(heap, deque + l->deque_leftblock, &block) ||
	    ctask_heap_u64(heap, deque + l->deque_leftindex, &at))
		return -EFAULT;
	if (count > ENTRIES_MAX || at >= BLOCK_ITEMS)
		return -EPROTO;
	*ret_count = count;
	for (uint64_t i = 0; i < count && i < max; i++) {
		if (at == BLOCK_ITEMS) {
			if (ctask_heap_u64(heap, block + BLOCK_RIGHT, &block))
				return -EFAULT;
			at = 0;
		}
		if (ctask_heap_u64(heap, block + BLOCK_FIRST + 8 * at++, &items[i]))
			return -EFAULT;
	}
	return 0;
}

/* --- attributes --- */

enum {
	FLAG_INLINE_VALUES = 1u << 2,
	FLAG_MANAGED_DICT = 1u << 4,
	BASES_MAX = 64,
	MEMBERS_MAX = 512
};

/* Offset of the slot that a type in the chain of bases declares under this name; -1 = none. */
static int32_t find_slot(struct ctask_heap *heap, uint64_t type, const char *name)
{
	enum { ROW_BYTES = 40, ROW_TYPE = 8, ROW_OFFSET = 16 };
	enum { T_OBJECT = 6, T_OBJECT_EX = 16 };
	const struct ctask_layout *l = &heap->layout;
	size_t len = strlen(name) + 1;
	char bytes[64];

	for (int i = 0; type && i < BASES_MAX; i++) {
		uint64_t row;

		if (ctask_heap_u64(heap, type + l->type_members, &row))
			return -1;
		for (int m = 0; row && m < MEMBERS_MAX; m++, row += ROW_BYTES) {
			uint64_t row_name, offset;
			uint32_t row_type;

			if (ctask_pages_spend(heap->pages, 1) ||
			    ctask_heap_u64(heap, row, &row_name) || !row_name)
				break;
			/* What has no name there is no row, and then this is no table. */
			if (ctask_pages_read(heap->pages, row_name, bytes, 1))
				return -1;
			if (len > sizeof(bytes) ||
			    ctask_pages_read(heap->pages, row_name, bytes, len) ||
			    memcmp(bytes, name, len))
				continue;
			if (ctask_pages_read(heap->pages, row + ROW_TYPE, &row_type,
					     sizeof(row_type)) ||
			    ctask_heap_u64(heap, row + ROW_OFFSET, &offset))
				return -1;
			if ((row_type == T_OBJECT || row_type == T_OBJECT_EX) && offset < 1 << 20)
				return (int32_t)offset;
		}
		if (ctask_heap_u64(heap, type + l->type_base, &type))
			return -1;
	}
	return -1;
}

/* Index of @p name among the keys that instances of @p type share; -1 = none. */
static int32_t find_shared_key(struct ctask_heap *heap, const struct ctask_type *type,
			       const char *name)
{
	struct keys_head head;
	uint64_t keys;

	if (!(type->flags & FLAG_MANAGED_DICT) ||
	    ctask_heap_u64(heap, type->addr + heap->layout.type_cached_keys, &keys) || !keys ||
	    read_keys(heap, keys, &head))
		return -1;
	for (uint64_t i = 0; i < head.count && i < 1024; i++) {
		uint64_t key;

		if (ctask_pages_spend(heap->pages, 1) ||
		    ctask_heap_u64(heap,
				   head.entries + i * (head.general ? 24 : 16) +
					   (head.general ? 8 : 0),
				   &key))
			return -1;
		if (key && ctask_str_is(heap, key, name))
			return (int32_t)i;
	}
	return -1;
}

/* What is known of an attribute; @p scratch where the type has no room to keep it. */
static struct ctask_type_attr *attr_of_type(struct ctask_heap *heap, struct ctask_type *type,
					    const char *name, struct ctask_type_attr *scratch)
{
	struct ctask_type_attr *attr = scratch;

	for (uint32_t i = 0; i < type->attr_count; i++)
		if (type->attrs[i].name == name)
			return &type->attrs[i];
	if (type->attr_count < CTASK_TYPE_ATTRS)
		attr = &type->attrs[type->attr_count++];
	*attr = (struct ctask_type_attr){ .name = name };
	attr->slot = find_slot(heap, type->addr, name);
	/* A key may be added to the shared ones later in the walk of another instance: never within one picture. */
	attr->value = attr->slot < 0 ? find_shared_key(heap, type, name) : -1;
	return attr;
}

/* Where an instance's attributes are: a dict, or an array of values under shared keys. */
struct instance_dict {
	uint64_t dict, values;
};

static int find_instance_dict(struct ctask_heap *heap, uint64_t obj, const struct ctask_type *type,
			      struct instance_dict *ret)
{
	const struct ctask_layout *l = &heap->layout;
	uint64_t word;
	uint8_t valid;
	int ret_read = 0;

	*ret = (struct instance_dict){ 0 };
	if (!(type->flags & FLAG_MANAGED_DICT)) {
		if (type->dictoffset > 0 && type->dictoffset < 1 << 20)
			ret_read =
				ctask_heap_u64(heap, obj + (uint64_t)type->dictoffset, &ret->dict);
		return ret_read;
	}
	switch (l->dict_form) {
	case CTASK_DICT_311:
		if (ctask_heap_u64(heap, obj - 32, &ret->values) ||
		    ctask_heap_u64(heap, obj - 24, &ret->dict))
			return -EFAULT;
		break;
	case CTASK_DICT_312:
		if (ctask_heap_u64(heap, obj - 24, &word))
			return -EFAULT;
		if (word & 1)
			ret->values = word + 1;
		else
			ret->dict = word;
		break;
	case CTASK_DICT_INLINE:
		if (ctask_heap_u64(heap, obj - 24, &ret->dict))
			return -EFAULT;
		if (ret->dict || !(type->flags & FLAG_INLINE_VALUES))
			break;
		if (ctask_pages_read(heap->pages, obj + type->basicsize + 3, &valid, 1))
			return -EFAULT;
		if (valid)
			ret->values = obj + type->basicsize;
		break;
	default:
		return -EPROTO;
	}
	if (ret->values)
		ret->values += l->values_values;
	return 0;
}

/* As ctask_dict_get(), trying first the entry where the last instance of the type had it. */
static int dict_get_near(struct ctask_heap *heap, uint64_t dict, struct ctask_type_attr *attr,
			 uint64_t *ret_value)
{
	struct ctask_iter iter;
	uint64_t first, key, value, at;
	int ret = ctask_dict_iter(heap, dict, &iter);

	if (ret)
		return ret;
	first = iter.at;
	at = first + attr->near_entry * iter.entry_bytes;
	if (attr->near_key && attr->near_entry < iter.left &&
	    !ctask_heap_u64(heap, at + iter.key_offset, &key) && key == attr->near_key &&
	    !ctask_heap_u64(
		    heap, iter.values ? iter.values + attr->near_entry * 8 : at + iter.value_offset,
		    &value) &&
	    value) {
		*ret_value = value;
		return 0;
	}
	ret = find_key(&iter, attr->name, &key, ret_value);
	if (ret)
		return ret;
	attr->near_key = key;
	attr->near_entry = (iter.at - first) / iter.entry_bytes - 1;
	return 0;
}

int ctask_attr(struct ctask_heap *heap, uint64_t obj, const char *name, uint64_t *ret_value)
{
	struct ctask_type *type = (struct ctask_type *)ctask_type_of(heap, obj);
	struct ctask_type_attr scratch, *attr;
	struct instance_dict where;
	uint64_t value;
	int ret;

	if (!type)
		return -EFAULT;
	attr = attr_of_type(heap, type, name, &scratch);
	if (attr->slot >= 0) {
		if (ctask_heap_u64(heap, obj + (uint64_t)attr->slot, &value))
			return -EFAULT;
		if (!value)
			return -ENOENT;
		*ret_value = value;
		return 0;
	}
	ret = find_instance_dict(heap, obj, type, &where);
	if (ret)
		return ret;
	if (where.dict)
		return dict_get_near(heap, where.dict, attr, ret_value);
	if (!where.values || attr->value < 0)
		return -ENOENT;
	if (ctask_heap_u64(heap, where.values + (uint64_t)attr->value * 8, &value))
		return -EFAULT;
	if (!value)
		return -ENOENT;
	*ret_value = value;
	return 0;
}
