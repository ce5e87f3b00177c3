/* code.c - code objects of a target: names, files, lines, local variables. */
#include "reader/code.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/cleanup.h"

#define LIBRARY_FILE "asyncio/tasks.py"

enum {
	CODES_MAX = 1 << 20,
	LINES_MAX = 1 << 24, /* bytes of one line table */
	LINES_BYTES_A_STEP = 8,
	LOCALS_MAX = 1 << 16,
	OB_SIZE = 16,
};

void ctask_codes_init(struct ctask_codes *codes, struct ctask_heap *heap,
		      struct ctask_snapshot *snap)
{
	*codes = (struct ctask_codes){ .heap = heap, .snap = snap };
}

static void code_destroy(struct ctask_code *code)
{
	if (code)
		free(code->lines);
	free(code);
}

void ctask_codes_forget(struct ctask_codes *codes)
{
	for (uint32_t i = 0; i < codes->code_count; i++)
		code_destroy(codes->codes[i]);
	codes->code_count = 0;
	codes->library_count = 0;
	ctask_table_clear(&codes->index);
	ctask_table_clear(&codes->places);
}

void ctask_codes_fini(struct ctask_codes *codes)
{
	ctask_codes_forget(codes);
	free(codes->codes);
	codes->codes = NULL;
	codes->code_room = 0;
	ctask_table_fini(&codes->index);
	ctask_table_fini(&codes->places);
}

/* The name of the module whose file @p filename is, or NULL. */
static ctask_text library_module(const struct ctask_codes *codes, ctask_text filename)
{
	for (uint32_t i = 0; i < codes->library_count; i++) {
		const struct ctask_library *library = &codes->libraries[i];
		size_t len = strlen(library->folder);

		if (!strncmp(filename, library->folder, len) && !strchr(filename + len, '/'))
			return filename + library->prefix;
	}
	return NULL;
}

/* Add a folder, the first @p len bytes of @p path. */
static void add_library(struct ctask_codes *codes, const char *path, size_t len, size_t prefix)
{
	struct ctask_library library = {
		.folder = ctask_texts_add(codes->snap->texts, path, len),
		.prefix = prefix,
	};

	for (uint32_t i = 0; library.folder && i < codes->library_count; i++)
		if (!strcmp(codes->libraries[i].folder, library.folder))
			return;
	if (!library.folder || ctask_snapshot_add_library(codes->snap, library.folder))
		return;
	codes->libraries[codes->library_count++] = library;
}

/* Packages of runtimes, and where in them their code is; what else lies there, such as tests, is anybody's. */
static const struct package_row {
	const char *package, *folder;
} package_rows[] = {
	{ "anyio", "" },	 { "anyio", "_backends/" },
	{ "anyio", "_core/" },	 { "anyio", "abc/" },
	{ "anyio", "streams/" }, { "trio", "" },
	{ "trio", "_core/" },	 { "trio", "_subprocess_platform/" },
};

void ctask_codes_add_package(struct ctask_codes *codes, uint64_t file, const char *package)
{
	size_t name = strlen(package) + 1, end = name + sizeof("__init__.py") - 1, len;
	ctask_text path;

	if (ctask_str_text(codes->heap, file, codes->snap->texts, &path))
		return;
	len = strlen(path);
	if (len <= end || path[len - end - 1] != '/' ||
	    strncmp(path + len - end, package, name - 1) ||
	    strncmp(path + len - end + name - 1, "/__init__.py", sizeof("/__init__.py")))
		return;
	len -= sizeof("__init__.py") - 1;
	for (size_t i = 0; i < ARRAY_SIZE(package_rows); i++) {
		auto_free char *folder = NULL;
		int bytes = strcmp(package_rows[i].package, package)
				    ? -1
				    : asprintf(&folder, "%.*s%s", (int)len, path,
					       package_rows[i].folder);

		if (bytes > 0)
			add_library(codes, folder, (size_t)bytes, len - name);
	}
}

void ctask_codes_add_folder(struct ctask_codes *codes, const char *folder)
{
	add_library(codes, folder, strlen(folder), strlen(folder));
}

ctask_text ctask_codes_folder(const struct ctask_codes *codes, const char *package)
{
	size_t name = strlen(package);

	for (uint32_t i = 0; i < codes->library_count; i++) {
		ctask_text folder = codes->libraries[i].folder;
		size_t len = strlen(folder) - 1; /* without the slash */

		if (len > name && folder[len - name - 1] == '/' &&
		    !strncmp(folder + len - name, package, name))
			return folder;
	}
	return NULL;
}

void ctask_codes_set_library(struct ctask_codes *codes, uint64_t function)
{
	struct ctask_heap *heap = codes->heap;
	const struct ctask_layout *l = &heap->layout;
	uint64_t code, filename;
	ctask_text text;
	size_t len;

	if (ctask_kind_of(heap, function) != CTASK_KIND_FUNCTION ||
	    ctask_heap_u64(heap, function + l->function_code, &code) ||
	    ctask_kind_of(heap, code) != CTASK_KIND_CODE ||
	    ctask_heap_u64(heap, code + l->code_filename, &filename) ||
	    ctask_str_text(heap, filename, codes->snap->texts, &text))
		return;
	/* Somebody may have put a function of their own in its place. */
	len = strlen(text);
	if (len < sizeof(LIBRARY_FILE) - 1 ||
	    strcmp(text + len - (sizeof(LIBRARY_FILE) - 1), LIBRARY_FILE))
		return;
	len -= sizeof("tasks.py") - 1;
	add_library(codes, text, len, len);
}

static int read_lines(struct ctask_codes *codes, struct ctask_code *code)
{
	const struct ctask_layout *l = &codes->heap->layout;
	uint64_t table, len;

	if (ctask_heap_u64(codes->heap, code->addr + l->code_linetable, &table) ||
	    ctask_heap_u64(codes->heap, table + OB_SIZE, &len))
		return -EFAULT;
	if (len > LINES_MAX)
		return -EPROTO;
	/* The table is kept: see ctask_str_text(). */
	if (ctask_pages_spend(codes->heap->pages, len / LINES_BYTES_A_STEP))
		return -E2BIG;
	code->lines = malloc(len + 1);
	if (!code->lines)
		return -ENOMEM;
	code->lines_len = len;
	return ctask_pages_read(codes->heap->pages, table + l->bytes_data, code->lines, len);
}

static int read_code(struct ctask_codes *codes, struct ctask_code *code)
{
	struct ctask_heap *heap = codes->heap;
	const struct ctask_layout *l = &heap->layout;
	struct ctask_texts *texts = codes->snap->texts;
	uint64_t name, qualname, filename, bytes;
	int ret;

	if (ctask_kind_of(heap, code->addr) != CTASK_KIND_CODE)
		return -EPROTO;
	if (ctask_heap_u64(heap, code->addr + l->code_name, &name) ||
	    ctask_heap_u64(heap, code->addr + l->code_filename, &filename) ||
	    ctask_pages_read(heap->pages, code->addr + l->code_firstlineno, &code->first_line, 4))
		return -EFAULT;
	ret = ctask_str_text(heap, name, texts, &code->plain_name);
	if (!ret)
		ret = ctask_str_text(heap, filename, texts, &code->filename);
	if (ret)
		return ret;
	code->name = code->plain_name;
	if (l->code_qualname != CTASK_NO_FIELD) {
		if (ctask_heap_u64(heap, code->addr + l->code_qualname, &qualname))
			return -EFAULT;
		ret = ctask_str_text(heap, qualname, texts, &code->name);
		if (ret)
			return ret;
	}
	if (l->lasti_scale) { /* bytecode is an object of its own */
		if (ctask_heap_u64(heap, code->addr + l->code_bytecode, &bytes))
			return -EFAULT;
		code->bytecode = bytes + l->bytes_data;
	} else {
		code->bytecode = code->addr + l->code_bytecode;
	}
	code->module = library_module(codes, code->filename);
	code->library = code->module != NULL;
	return read_lines(codes, code);
}

struct ctask_code *ctask_code_at(struct ctask_codes *codes, uint64_t addr)
{
	uint32_t i = ctask_table_get(&codes->index, addr, UINT32_MAX);
	struct ctask_code *code;

	if (i != UINT32_MAX)
		return codes->codes[i];
	if (!addr || addr % sizeof(uint64_t) || codes->code_count >= CODES_MAX)
		return NULL;
	if (codes->code_count == codes->code_room) {
		uint32_t room = codes->code_room * 2 + 64;
		struct ctask_code **moved = realloc(codes->codes, room * sizeof(*moved));

		if (!moved)
			return NULL;
		codes->codes = moved;
		codes->code_room = room;
	}
	code = calloc(1, sizeof(*code));
	if (!code)
		return NULL;
	code->addr = addr;
	code->index = codes->code_count;
	code->slot_count = -1;
	code->wait_row = CTASK_ROW_UNKNOWN;
	code->callback_row = CTASK_ROW_UNKNOWN;
	if (read_code(codes, code) || ctask_table_put(&codes->index, addr, code->index)) {
		code_destroy(code);
		return NULL;
	}
	codes->codes[codes->code_count++] = code;
	return code;
}

/* --- lines --- */

static uint32_t line_lnotab(const struct ctask_code *code, int64_t lasti)
{
	int64_t addr = 0, line = code->first_line;

	for (size_t i = 0; i + 1 < code->lines_len; i += 2) {
		addr += code->lines[i];
		if (addr > lasti)
			break;
		line += (int8_t)code->lines[i + 1];
	}
	return line > 0 ? (uint32_t)line : 0;
}

static uint32_t line_pep626(const struct ctask_code *code, int64_t lasti)
{
	enum { NO_LINE = -128 };
	int64_t end = 0, line = code->first_line;

	if (lasti < 0)
		return code->first_line;
	for (size_t i = 0; i + 1 < code->lines_len; i += 2) {
		int8_t delta = (int8_t)code->lines[i + 1];

		end += code->lines[i];
		if (delta != NO_LINE)
			line += delta;
		if (lasti < end)
			return delta == NO_LINE || line <= 0 ? 0 : (uint32_t)line;
	}
	return 0;
}

/* Six bits a byte, least first; bit 6 = more. */
static uint32_t varint(const struct ctask_code *code, size_t *at)
{
	uint32_t value = 0;
	unsigned shift = 0;
	uint8_t byte;

	do {
		if (*at >= code->lines_len)
			return value;
		byte = code->lines[(*at)++];
		if (shift < 32)
			value |= (uint32_t)(byte & 63) << shift;
		shift += 6;
	} while (byte & 64);
	return value;
}

static int64_t signed_varint(const struct ctask_code *code, size_t *at)
{
	uint32_t value = varint(code, at);

	return value & 1 ? -(int64_t)(value >> 1) : (int64_t)(value >> 1);
}

/* PEP 657, Objects/locations.md: what an entry's kind holds. */
static uint32_t line_locations(const struct ctask_code *code, int64_t lasti)
{
	enum {
		SHORT_LAST = 9,
		ONE_LINE_0 = 10,
		ONE_LINE_2 = 12,
		NO_COLUMNS = 13,
		LONG = 14,
		NO_LINE = 15
	};
	int64_t end = 0, line = code->first_line;

	if (lasti < 0)
		return code->first_line;
	for (size_t at = 0; at < code->lines_len;) {
		uint8_t head = code->lines[at++];
		unsigned kind = head >> 3 & 15;

		end += ((head & 7) + 1) * 2;
		if (kind <= SHORT_LAST) {
			at += 1;
		} else if (kind <= ONE_LINE_2) {
			line += (int)kind - ONE_LINE_0;
			at += 2;
		} else if (kind == NO_COLUMNS) {
			line += signed_varint(code, &at);
		} else if (kind == LONG) {
			line += signed_varint(code, &at);
			for (int i = 0; i < 3; i++)
				(void)varint(code, &at);
		}
		if (lasti < end)
			return kind == NO_LINE || line <= 0 ? 0 : (uint32_t)line;
	}
	return 0;
}

uint32_t ctask_code_line(const struct ctask_codes *codes, const struct ctask_code *code,
			 int64_t lasti)
{
	switch (codes->heap->layout.line_form) {
	case CTASK_LINES_LNOTAB:
		return line_lnotab(code, lasti);
	case CTASK_LINES_PEP626:
		return line_pep626(code, lasti);
	default:
		return line_locations(code, lasti);
	}
}

uint32_t ctask_code_frame(struct ctask_codes *codes, const struct ctask_code *code, int64_t lasti)
{
	uint64_t key = ((uint64_t)code->index << 32 | (uint32_t)lasti) + 1;
	uint32_t frame = ctask_table_get(&codes->places, key, CTASK_NONE);

	if (frame != CTASK_NONE)
		return frame;
	if (ctask_pages_spend(codes->heap->pages, code->lines_len / LINES_BYTES_A_STEP))
		return CTASK_NONE;
	frame = ctask_snapshot_add_frame(codes->snap);
	if (frame == CTASK_NONE || ctask_table_put(&codes->places, key, frame))
		return CTASK_NONE;
	codes->snap->frames[frame] = (struct ctask_frame){
		.name = code->name,
		.filename = code->filename,
		.line = ctask_code_line(codes, code, lasti),
		.library = code->library,
	};
	return frame;
}

/* --- locals --- */

static int find_name(struct ctask_heap *heap, uint64_t tuple, const char *name)
{
	struct ctask_items items;
	uint64_t str;

	if (ctask_items_of(heap, tuple, &items) || items.count > LOCALS_MAX)
		return -EFAULT;
	for (uint64_t i = 0; i < items.count && !ctask_pages_spend(heap->pages, 1); i++)
		if (!ctask_items_get(heap, &items, i, &str) && ctask_str_is(heap, str, name))
			return (int)i;
	return -ENOENT;
}

static int count_of(struct ctask_heap *heap, uint64_t tuple)
{
	struct ctask_items items;

	return ctask_items_of(heap, tuple, &items) || items.count > LOCALS_MAX ? -EFAULT
									       : (int)items.count;
}

static int find_local(struct ctask_codes *codes, const struct ctask_code *code, const char *name)
{
	struct ctask_heap *heap = codes->heap;
	const struct ctask_layout *l = &heap->layout;
	const uint32_t parts[] = { l->code_locals, l->code_cellvars, l->code_freevars };
	int base = 0;

	/*
	 * One tuple from 3.11 on. Before, locals, cells and free variables have one
	 * each; an argument that is a cell stands in both, and the cell counts.
	 */
	int found = -ENOENT;

	for (size_t i = 0; i < 3 && parts[i] != CTASK_NO_FIELD; i++) {
		uint64_t tuple;
		int at, count;

		if (ctask_heap_u64(heap, code->addr + parts[i], &tuple))
			return -EFAULT;
		at = find_name(heap, tuple, name);
		count = count_of(heap, tuple);
		if (count < 0)
			return count;
		if (at >= 0)
			found = base + at;
		base += count;
	}
	return found;
}

int ctask_code_local(struct ctask_codes *codes, struct ctask_code *code, const char *name)
{
	int slot;

	for (uint32_t i = 0; i < code->local_count; i++)
		if (code->locals[i].name == name)
			return code->locals[i].slot;
	slot = find_local(codes, code, name);
	if (slot != -EFAULT && code->local_count < CTASK_CODE_LOCALS)
		code->locals[code->local_count++] = (struct ctask_code_local){ name, slot };
	return slot;
}

int ctask_code_slots(struct ctask_codes *codes, struct ctask_code *code)
{
	const struct ctask_layout *l = &codes->heap->layout;
	const uint32_t parts[] = { l->code_locals, l->code_cellvars, l->code_freevars };
	int total = 0;

	if (code->slot_count >= 0)
		return code->slot_count;
	for (size_t i = 0; i < 3 && parts[i] != CTASK_NO_FIELD; i++) {
		uint64_t tuple;
		int count;

		if (ctask_heap_u64(codes->heap, code->addr + parts[i], &tuple))
			return -EFAULT;
		count = count_of(codes->heap, tuple);
		if (count < 0)
			return count;
		total += count;
	}
	return code->slot_count = total;
}
