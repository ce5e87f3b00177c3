/* check_code.c - lines of instructions, in the three forms that CPython has kept them in; variables. */
#include "reader/code.h"

#include <errno.h>

#include "tests/unit/heap_made.h"

enum { LNOTAB_MINOR = 8, PEP626_MINOR = 10, LOCATIONS_MINOR = 11, LOOKS = 8 };

#define BYTES(...) (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ })

/* Entries of PEP 657: how many code units, and the kind. */
#define HEAD(kind, units) (0x80 | (kind) << 3 | ((units)-1))

/* A table, and the lines that it has at some instructions; the first line is 100. */
static const struct {
	const char *why;
	uint32_t minor;
	const uint8_t *bytes;
	size_t len;
	struct {
		int64_t lasti;
		uint32_t line;
	} looks[LOOKS];
} tables[] = {
	{ "no table", LNOTAB_MINOR, NULL, 0, { { -1, 100 }, { 0, 100 }, { 1000, 100 } } },
	{ "forth, back, forth",
	  LNOTAB_MINOR,
	  BYTES(0, 1, 6, 2, 4, 0xfe, 10, 127, 0, 127),
	  { { -1, 100 },
	    { 0, 101 },
	    { 5, 101 },
	    { 6, 103 },
	    { 9, 103 },
	    { 10, 101 },
	    { 20, 355 } } },
	{ "a step of more than 255 bytes",
	  LNOTAB_MINOR,
	  BYTES(255, 0, 45, 1),
	  { { 299, 100 }, { 300, 101 } } },
	{ "cut in a pair", LNOTAB_MINOR, BYTES(2, 1, 2), { { 0, 100 }, { 2, 101 }, { 50, 101 } } },
	{ "below line 0", LNOTAB_MINOR, BYTES(0, 0x81), { { 0, 0 } } },

	{ "forth, back, no line",
	  PEP626_MINOR,
	  BYTES(4, 1, 2, 0xfe, 6, 0x80, 2, 3),
	  { { -1, 100 },
	    { 0, 101 },
	    { 3, 101 },
	    { 4, 99 },
	    { 6, 0 },
	    { 11, 0 },
	    { 12, 102 },
	    { 14, 0 } } },
	{ "an entry of no bytes moves the line",
	  PEP626_MINOR,
	  BYTES(0, 100, 2, 5),
	  { { 0, 205 } } },
	{ "cut in a pair", PEP626_MINOR, BYTES(2, 1, 2), { { 0, 101 }, { 2, 0 } } },
	{ "empty", PEP626_MINOR, NULL, 0, { { 0, 0 }, { -1, 100 } } },

	{ "one of each kind",
	  LOCATIONS_MINOR,
	  BYTES(HEAD(0, 1), 0, HEAD(10, 2), 1, 2, HEAD(11, 1), 1, 2, HEAD(12, 1), 1, 2, HEAD(13, 1),
		6, HEAD(14, 1), 5, 0, 1, 1, HEAD(15, 3)),
	  { { -1, 100 },
	    { 0, 100 },
	    { 2, 100 },
	    { 6, 101 },
	    { 8, 103 },
	    { 10, 106 },   /* +3 */
	    { 12, 104 },   /* -2 */
	    { 14, 0 } } }, /* no line */
	{ "varints of more than one byte",
	  LOCATIONS_MINOR,
	  BYTES(HEAD(13, 1), 0x40 | 0, 0x40 | 1, 2, HEAD(13, 1), 0x41, 2),
	  /* 64 + 2 * 4096 doubled is +4128; 1 + 128: 64 back */
	  { { 0, 4228 }, { 2, 4164 } } },
	{ "after what has no line, the line goes on",
	  LOCATIONS_MINOR,
	  BYTES(HEAD(13, 1), 2, HEAD(15, 1), HEAD(11, 1), 0, 0),
	  { { 0, 101 }, { 2, 0 }, { 4, 102 } } },
	{ "a varint cut short",
	  LOCATIONS_MINOR,
	  BYTES(HEAD(13, 8), 0x7f),
	  { { 0, 69 }, { 16, 0 } } },
	{ "a long entry cut short",
	  LOCATIONS_MINOR,
	  BYTES(HEAD(14, 1), 2),
	  { { 0, 101 }, { 2, 0 } } },
	{ "a short entry cut short", LOCATIONS_MINOR, BYTES(HEAD(3, 1)), { { 0, 100 }, { 2, 0 } } },
	{ "a varint that never ends",
	  LOCATIONS_MINOR,
	  BYTES(HEAD(13, 1), 0x40, 0x40, 0x40, 0x40, 0x40, 0x40, 0x40, 0x40, 0x40),
	  { { 0, 100 }, { 2, 0 } } },
	{ "far below line 0",
	  LOCATIONS_MINOR,
	  BYTES(HEAD(13, 1), 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 3),
	  { { 0, 0 } } },
	{ "empty", LOCATIONS_MINOR, NULL, 0, { { 0, 0 }, { -1, 100 } } },
};

static struct made_heap *m;
static struct ctask_snapshot *snap;
static struct ctask_codes codes;

static void begin(uint32_t minor)
{
	m = made_heap_create((size_t)(ctask_layout_find(minor) - ctask_layout_table));
	snap = ctask_snapshot_create();
	ctask_codes_init(&codes, &m->heap, snap);
}

static void end(void)
{
	ctask_codes_fini(&codes);
	ctask_snapshot_destroy(snap);
	made_heap_destroy(m);
}

START_TEST(lines)
{
	struct ctask_code *code;
	uint64_t addr;

	begin(tables[_i].minor);
	addr = made_code(m, "main", "/srv/svc.py", 100,
			 tables[_i].bytes ? tables[_i].bytes : (const uint8_t *)"", tables[_i].len);
	made_look(m);
	code = ctask_code_at(&codes, addr);
	ck_assert_ptr_nonnull(code);
	for (size_t i = 0; i < LOOKS; i++) {
		uint32_t line = ctask_code_line(&codes, code, tables[_i].looks[i].lasti);

		if (i && !tables[_i].looks[i].lasti && !tables[_i].looks[i].line)
			break;
		ck_assert_msg(line == tables[_i].looks[i].line, "%s: at %d it is line %u, not %u",
			      tables[_i].why, (int)tables[_i].looks[i].lasti, line,
			      tables[_i].looks[i].line);
	}
	end();
}
END_TEST

START_TEST(a_code_is_read_once_and_its_places_are_shared)
{
	struct ctask_code *code;
	uint32_t frame;
	uint64_t addr;

	begin(8 + (uint32_t)_i);
	addr = made_code(m, "fetch", "/srv/svc.py", 7, (const uint8_t *)"", 0);
	made_look(m);
	code = ctask_code_at(&codes, addr);
	ck_assert_ptr_nonnull(code);
	ck_assert_ptr_eq(ctask_code_at(&codes, addr), code);
	ck_assert_str_eq(code->name, "fetch");
	ck_assert_str_eq(code->filename, "/srv/svc.py");
	ck_assert(!code->library);
	frame = ctask_code_frame(&codes, code, -1);
	ck_assert_uint_eq(ctask_code_frame(&codes, code, -1), frame);
	ck_assert_uint_ne(ctask_code_frame(&codes, code, 4), frame);
	ck_assert_uint_eq(snap->frames[frame].line, 7);
	ctask_codes_forget(&codes);
	ck_assert_uint_eq(codes.code_count, 0);
	end();
}
END_TEST

#define LIBRARY "/usr/lib/python3.12/asyncio/"

/* The file that _all_tasks or the like comes from, that of another function, and its name in asyncio. */
static const struct {
	const char *tasks, *filename, *module;
} files[] = {
	{ LIBRARY "tasks.py", LIBRARY "tasks.py", "tasks.py" },
	{ LIBRARY "tasks.py", LIBRARY "queues.py", "queues.py" },
	{ LIBRARY "tasks.py", LIBRARY, "" },
	{ LIBRARY "tasks.py", LIBRARY "sub/tasks.py", NULL },
	{ LIBRARY "tasks.py", "/srv/redis/asyncio/client.py", NULL },
	{ LIBRARY "tasks.py", "asyncio/tasks.py", NULL },
	{ LIBRARY "tasks.py", "", NULL },
	{ "asyncio/tasks.py", "asyncio/locks.py", "locks.py" },
	{ "/srv/mine.py", LIBRARY "tasks.py", NULL },
	{ "", "", NULL },
};

START_TEST(files_of_the_library)
{
	uint64_t addr, function;
	struct ctask_code *code;

	begin(12);
	addr = made_code(m, "f", files[_i].filename, 1, (const uint8_t *)"", 0);
	function = made_object(m, made_type(m, "function", 0, 0), 256);
	made_u64(m, function + m->l->function_code,
		 made_code(m, "all_tasks", files[_i].tasks, 1, (const uint8_t *)"", 0));
	made_look(m);
	ctask_codes_set_library(&codes, 0);
	ctask_codes_set_library(&codes, addr);
	ctask_codes_set_library(&codes, function);
	code = ctask_code_at(&codes, addr);
	ck_assert_ptr_nonnull(code);
	ck_assert(code->library == (files[_i].module != NULL));
	if (files[_i].module)
		ck_assert_str_eq(code->module, files[_i].module);
	end();
}
END_TEST

#define TRIO "/usr/lib/python3/dist-packages/trio/"

/* The __file__ of a package, a file, and the name of its module. */
static const struct {
	const char *file, *filename, *module;
} packages[] = {
	{ TRIO "__init__.py", TRIO "_channel.py", "trio/_channel.py" },
	{ TRIO "__init__.py", TRIO "_core/_run.py", "trio/_core/_run.py" },
	{ TRIO "__init__.py", TRIO "tests/test_channel.py", NULL },
	{ TRIO "__init__.py", TRIO "_core/tests/test_run.py", NULL },
	{ TRIO "__init__.py", "/srv/trio/_channel.py", NULL },
	{ TRIO "__init__.pyc", TRIO "_channel.py", NULL },
	{ "/srv/mytrio/__init__.py", "/srv/mytrio/_channel.py", NULL },
	{ "trio/__init__.py", "trio/_channel.py", NULL },
	{ "/srv/anyio/__init__.py", "/srv/anyio/_channel.py", NULL },
	{ "", "", NULL },
};

START_TEST(files_of_packages)
{
	struct ctask_code *code;
	uint64_t addr, file;

	begin(12);
	addr = made_code(m, "f", packages[_i].filename, 1, (const uint8_t *)"", 0);
	file = made_str(m, packages[_i].file);
	made_look(m);
	ctask_codes_add_package(&codes, 0, "trio");
	ctask_codes_add_package(&codes, file, "trio");
	ctask_codes_add_package(&codes, file, "trio");
	code = ctask_code_at(&codes, addr);
	ck_assert_ptr_nonnull(code);
	ck_assert(code->library == (packages[_i].module != NULL));
	if (packages[_i].module) {
		ck_assert_str_eq(code->module, packages[_i].module);
		ck_assert_str_eq(ctask_codes_folder(&codes, "trio"), TRIO);
	}
	ck_assert_ptr_null(ctask_codes_folder(&codes, "asyncio"));
	end();
}
END_TEST

/* To 3.10 three tuples: an argument that a closure uses is in the first and, to be used, in the second. */
START_TEST(variables)
{
	uint64_t a, b, cell, free_one, addr;
	struct ctask_code *code;
	bool three;

	begin(8 + (uint32_t)_i);
	three = m->l->code_cellvars != CTASK_NO_FIELD;
	addr = made_code(m, "f", "f.py", 1, (const uint8_t *)"", 0);
	a = made_str(m, "a");
	b = made_str(m, "b");
	cell = made_str(m, "cell");
	free_one = made_str(m, "free");
	if (three) {
		made_u64(m, addr + m->l->code_locals, made_tuple(m, (uint64_t[]){ a, b }, 2));
		made_u64(m, addr + m->l->code_cellvars, made_tuple(m, (uint64_t[]){ cell, a }, 2));
		made_u64(m, addr + m->l->code_freevars, made_tuple(m, (uint64_t[]){ free_one }, 1));
	} else {
		made_u64(m, addr + m->l->code_locals,
			 made_tuple(m, (uint64_t[]){ a, b, cell, free_one }, 4));
	}
	made_look(m);
	code = ctask_code_at(&codes, addr);
	ck_assert_ptr_nonnull(code);
	ck_assert_int_eq(ctask_code_local(&codes, code, "b"), 1);
	ck_assert_int_eq(ctask_code_local(&codes, code, "a"), three ? 3 : 0);
	ck_assert_int_eq(ctask_code_local(&codes, code, "free"), three ? 4 : 3);
	ck_assert_int_eq(ctask_code_local(&codes, code, "none"), -ENOENT);
	ck_assert_int_eq(ctask_code_local(&codes, code, "none"), -ENOENT);
	end();
}
END_TEST

START_TEST(what_is_no_code)
{
	uint64_t str, absurd, cut, table;

	begin(8 + (uint32_t)_i);
	str = made_str(m, "code");
	absurd = made_code(m, "f", "f.py", 1, (const uint8_t *)"", 0);
	cut = made_code(m, "f", "f.py", 1, (const uint8_t *)"", 0);
	memcpy(&table, m->bytes + (absurd + m->l->code_linetable - MADE_BASE), 8);
	made_u64(m, table + 16, UINT64_MAX);
	memcpy(&table, m->bytes + (cut + m->l->code_linetable - MADE_BASE), 8);
	made_u64(m, table + 16, MADE_BYTES);
	made_look(m);
	ck_assert_ptr_null(ctask_code_at(&codes, str));
	ck_assert_ptr_null(ctask_code_at(&codes, absurd));
	ck_assert_ptr_null(ctask_code_at(&codes, cut));
	ck_assert_ptr_null(ctask_code_at(&codes, 0));
	ck_assert_ptr_null(ctask_code_at(&codes, 12345));
	end();
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("code");
	int rows = (int)ctask_layout_count;

	tcase_add_loop_test(tests, lines, 0, ARRAY_SIZE(tables));
	tcase_add_loop_test(tests, a_code_is_read_once_and_its_places_are_shared, 0, rows);
	tcase_add_loop_test(tests, files_of_the_library, 0, ARRAY_SIZE(files));
	tcase_add_loop_test(tests, files_of_packages, 0, ARRAY_SIZE(packages));
	tcase_add_loop_test(tests, variables, 0, rows);
	tcase_add_loop_test(tests, what_is_no_code, 0, rows);
	return made_run("code", tests);
}
