/* code.c - code objects and places in them: looked up once, then known by a number. */
#include "agent/code.h"

#include <stdio.h>
#include <string.h>

#include "agent/history.h"
#include "agent/text.h"

enum {
	CODES = 1 << 12,  /* code objects that are known; powers of two */
	PLACES = 1 << 14, /* (code, instruction) pairs */
	FULL_EIGHTHS = 7, /* of 8 slots in use: full */
	OWN_EIGHTHS = 6,  /* … for code that means nothing: the rest is kept for what does */
	PASSING = 256,	  /* code objects that found no room, and are known for a while */
	WORDS_SEEN = 512,
	CODE_VARARGS = 4, /* co_flags */
};

struct place_slot {
	struct py_object *code;
	int32_t lasti;
	uint32_t place;
};

/* Only the interpreter that is recorded comes here: its GIL guards these. */
static struct ctask_code_facts codes[CODES];
static struct place_slot places[PLACES];
static uint32_t code_count, place_count;
static struct ctask_code_facts passing[PASSING]; /* the oldest gives way to a new one */
static uint32_t passed;
uint32_t ctask_codes_learnt;

/* The folder of the asyncio that is loaded, with a slash at its end. */
static char library[4096];
static size_t library_len;

static uint32_t hash_of(const void *code, uint32_t more)
{
	uint64_t mixed = ((uint64_t)(uintptr_t)code >> 4) + more * 0x9e3779b97f4a7c15ull;

	mixed *= 0xff51afd7ed558ccdull;
	return (uint32_t)(mixed >> 32);
}

static struct ctask_code_facts *code_slot(const struct py_object *code)
{
	uint32_t at = hash_of(code, 0) % CODES;

	while (codes[at].code && codes[at].code != code)
		at = (at + 1) % CODES;
	return &codes[at];
}

static struct place_slot *place_slot(const struct py_object *code, int lasti)
{
	uint32_t at = hash_of(code, (uint32_t)lasti) % PLACES;

	while (places[at].code && (places[at].code != code || places[at].lasti != lasti))
		at = (at + 1) % PLACES;
	return &places[at];
}

static void learn_library(void)
{
	struct py_object *file = ctask_python_module_item("asyncio", "__file__");
	char path[sizeof(library)];
	size_t len = file ? ctask_text_copy(file, path, sizeof(path)) : 0;

	while (len && path[len - 1] != '/')
		len--;
	memcpy(library, path, len);
	library_len = len;
}

static long number_attr(struct py_object *code, const char *name)
{
	struct py_object *number = ctask_py.PyObject_GetAttrString(code, name);
	long value;

	if (!number) {
		ctask_py.PyErr_Clear();
		return 0;
	}
	value = (long)ctask_py.PyLong_AsLongLong(number);
	ctask_py.Py_DecRef(number);
	return value;
}

/* Copy the text attribute @p name; empty when it has none. */
static size_t text_attr(struct py_object *code, const char *name, char *to, size_t room)
{
	struct py_object *text = ctask_py.PyObject_GetAttrString(code, name);
	size_t len;

	to[0] = '\0';
	if (!text) {
		ctask_py.PyErr_Clear();
		return 0;
	}
	len = ctask_text_copy(text, to, room);
	ctask_py.Py_DecRef(text);
	return len;
}

/* The index of @p name in the tuple @p attribute of @p code; -1 when it is not there. *ret_count is its length. */
static int find_in(struct py_object *code, const char *attribute, const char *name, int *ret_count)
{
	struct py_object *names = ctask_py.PyObject_GetAttrString(code, attribute);
	int found = -1;

	*ret_count = 0;
	if (!names) {
		ctask_py.PyErr_Clear();
		return -1;
	}
	*ret_count = (int)ctask_py.PyTuple_Size(names);
	for (int i = 0; i < *ret_count && found < 0; i++) {
		char text[64];

		ctask_text_copy(ctask_py.PyTuple_GetItem(names, i), text, sizeof(text));
		if (!strcmp(text, name))
			found = i;
	}
	ctask_py.Py_DecRef(names);
	return found;
}

/*
 * The slot of a local among localsplus. Cell variables follow the locals; one
 * that is a parameter too has, from 3.11 on, the parameter's slot only.
 */
static int slot_of(void *arg, const char *name)
{
	struct py_object *code = arg;
	int locals, cells;
	int at = find_in(code, "co_varnames", name, &locals);
	int cell = find_in(code, "co_cellvars", name, &cells);

	if (cell < 0 || (at >= 0 && !ctask_py.layout.lasti_scale))
		return at;
	return locals + cell; /* exact to 3.10; later only where no parameter before it is a cell */
}

/* Locals, cells and free variables; from 3.11 on a parameter that is a cell too has one slot. */
static int slots_of(struct py_object *code)
{
	struct py_object *cells = ctask_py.PyObject_GetAttrString(code, "co_cellvars");
	int locals, cell_count = 0, free, shared = 0;

	find_in(code, "co_varnames", "", &locals);
	find_in(code, "co_freevars", "", &free);
	if (cells)
		cell_count = (int)ctask_py.PyTuple_Size(cells);
	else
		ctask_py.PyErr_Clear();
	for (int i = 0; i < cell_count && !ctask_py.layout.lasti_scale; i++) {
		char name[64];
		int unused;

		ctask_text_copy(ctask_py.PyTuple_GetItem(cells, i), name, sizeof(name));
		shared += find_in(code, "co_varnames", name, &unused) >= 0;
	}
	if (cells)
		ctask_py.Py_DecRef(cells);
	return locals + cell_count - shared + free;
}

/* A file of the trio or anyio that is loaded. */
static bool is_of_package(const char *filename)
{
	static const char *const packages[] = { "trio", "anyio" };
	char path[sizeof(library)], *end;

	for (size_t i = 0; i < sizeof(packages) / sizeof(packages[0]); i++) {
		struct py_object *file;

		if (!strstr(filename, packages[i]))
			continue;
		file = ctask_python_module_item(packages[i], "__file__");
		end = file && ctask_text_copy(file, path, sizeof(path)) ? strrchr(path, '/') : NULL;
		if (end && !strncmp(filename, path, (size_t)(end - path) + 1))
			return true;
	}
	return false;
}

/* Everything about @p code that needs CPython. */
static void learn_code(struct py_object *code, struct ctask_code_facts *facts, char *name,
		       char *filename, size_t room)
{
	char plain[64];
	const char *module = NULL;
	struct ctask_code_names names;
	int locals;

	if (!library_len)
		learn_library();
	text_attr(code, "co_name", plain, sizeof(plain));
	if (!text_attr(code, "co_qualname", name, room)) /* 3.11 on */
		text_attr(code, "co_name", name, room);
	text_attr(code, "co_filename", filename, room);
	if (library_len && !strncmp(filename, library, library_len) &&
	    !strchr(filename + library_len, '/'))
		module = filename + library_len;
	find_in(code, "co_varnames", "", &locals);
	*facts = ctask_no_facts;
	facts->first_line = (int)number_attr(code, "co_firstlineno");
	facts->arguments = (uint16_t)number_attr(code, "co_argcount");
	facts->keyword_arguments = (uint16_t)number_attr(code, "co_kwonlyargcount");
	facts->locals = (uint16_t)locals;
	facts->slots = (uint16_t)slots_of(code);
	facts->takes_rest = number_attr(code, "co_flags") & CODE_VARARGS;
	names = (struct ctask_code_names){ plain, filename, module };
	ctask_facts_learn(facts, &names, slot_of, code);
	facts->library |= is_of_package(filename);
	facts->code = code;
}

/* A file name is the same text for many places: keep the last ones. */
static uint32_t word_once(const char *text)
{
	static struct {
		uint32_t hash, word;
	} seen[WORDS_SEEN];
	size_t len = strlen(text);
	uint32_t hash = 2166136261u, at;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (unsigned char)text[i]) * 16777619u;
	at = hash % WORDS_SEEN;
	if (seen[at].word && seen[at].hash == hash &&
	    seen[at].word < ctask_writer.header->word_used &&
	    !strcmp(ctask_writer.words + seen[at].word, text))
		return seen[at].word;
	seen[at].hash = hash;
	seen[at].word = len ? ctask_word_put(text, len) : 0;
	return seen[at].word;
}

uint32_t ctask_word_of(const char *text)
{
	return word_once(text);
}

static const struct ctask_code_facts *find_passing(const struct py_object *code)
{
	for (uint32_t i = 0; i < PASSING; i++)
		if (passing[i].code == code)
			return &passing[i];
	return NULL;
}

static bool is_passing(const struct ctask_code_facts *facts)
{
	return facts >= passing && facts < passing + PASSING;
}

static const struct ctask_code_facts *keep_passing(const struct ctask_code_facts *learnt)
{
	struct ctask_code_facts *slot = &passing[passed++ % PASSING];
	struct py_object *before = slot->code;

	ctask_py.Py_IncRef(learnt->code);
	*slot = *learnt;
	if (before)
		ctask_py.Py_DecRef(before);
	return slot;
}

static bool has_room(const struct ctask_code_facts *facts)
{
	bool means = facts->row || facts->library || facts->runs_loops || facts->is_cancel;

	return code_count < CODES / 8 * (means ? FULL_EIGHTHS : OWN_EIGHTHS);
}

static const struct ctask_code_facts *facts_of(struct py_object *code)
{
	const struct ctask_code_facts *found;
	struct ctask_code_facts learnt, *slot;
	char name[512], filename[1024];

	slot = code_slot(code);
	if (slot->code)
		return slot;
	found = passed ? find_passing(code) : NULL;
	if (found)
		return found;
	ctask_codes_learnt++;
	learn_code(code, &learnt, name, filename, sizeof(name));
	slot = code_slot(code); /* learning may have run code that came by here */
	if (slot->code)
		return slot;
	learnt.name = word_once(name);
	learnt.filename = word_once(filename);
	if (!has_room(&learnt))
		return keep_passing(&learnt);
	*slot = learnt;
	code_count++;
	ctask_py.Py_IncRef(code);
	return slot;
}

uint32_t ctask_place_of(struct py_object *code, int lasti,
			const struct ctask_code_facts **ret_facts)
{
	const struct ctask_code_facts *facts;
	struct place_slot *slot;
	struct ctask_place place;
	uint32_t found;
	int line;

	if (lasti < 0)
		lasti = -1;
	slot = place_slot(code, lasti);
	found = slot->place;
	*ret_facts = found ? code_slot(code) : &ctask_no_facts;
	if (found)
		return found;
	facts = facts_of(code);
	*ret_facts = facts;
	if (is_passing(facts)) { /* its address may be another's tomorrow */
		ctask_writer.header->lost_places++;
		return 0;
	}
	line = lasti < 0 ? facts->first_line : ctask_py.PyCode_Addr2Line(code, lasti);
	place = (struct ctask_place){
		.name = facts->name,
		.filename = facts->filename,
		.line = line > 0 ? (uint32_t)line : 0,
		.flags = facts->library ? CTASK_PLACE_LIBRARY : 0,
	};
	slot = place_slot(code, lasti);
	if (!slot->place && place_count < PLACES / 8 * FULL_EIGHTHS) {
		found = ctask_place_put(&place);
		if (found) {
			*slot = (struct place_slot){ code, lasti, found };
			place_count++;
		}
	}
	return slot->place;
}

void ctask_places_forget(void)
{
	/* The code objects stay referenced; what was learnt of them names words of the old history. */
	memset(places, 0, sizeof(places));
	memset(codes, 0, sizeof(codes));
	memset(passing, 0, sizeof(passing));
	place_count = code_count = passed = 0;
}
