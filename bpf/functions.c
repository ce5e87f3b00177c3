/* functions.c - what is known of the functions of a target. */
#include "bpf/functions.h"

#include <stdlib.h>
#include <string.h>

#include "bpf/objects.h"

enum {
	/* PyCodeObject: co_argcount and co_kwonlyargcount; from 3.11 on that far before co_firstlineno. */
	ARGUMENTS_310 = 16,
	KEYWORDS_310 = 24,
	ARGUMENTS_BEFORE = 16,
	KEYWORDS_BEFORE = 8,
	FLAGS_310 = 36,
	FLAGS_311 = 48,
	CODE_VARARGS = 4,
	SLOT_MAX = 255, /* that the probes can be told */
	PRINT = 3,
};

struct ctask_function {
	struct ctask_code_facts facts;
	uint64_t print[PRINT]; /* name, file and lines: another code object has others */
};

static void take_print(struct ctask_heap *heap, uint64_t code, uint64_t *ret)
{
	const struct ctask_layout *l = &heap->layout;

	ret[0] = ctask_word_at(heap, code + l->code_name);
	ret[1] = ctask_word_at(heap, code + l->code_filename);
	ret[2] = ctask_word_at(heap, code + l->code_linetable);
}

struct looking {
	struct ctask_codes *codes;
	struct ctask_code *code;
};

static int slot_of(void *arg, const char *name)
{
	const struct looking *looking = arg;
	/* The codes keep the name for later. */
	ctask_text kept = ctask_texts_add(looking->codes->snap->texts, name, strlen(name));
	int slot = kept ? ctask_code_local(looking->codes, looking->code, kept) : -1;

	return slot < 0 || slot > INT16_MAX ? -1 : slot;
}

static void learn(struct ctask_functions *f, struct ctask_code *code,
		  struct ctask_function *function)
{
	struct ctask_heap *heap = f->codes->heap;
	struct ctask_code_facts *facts = &function->facts;
	struct looking looking = { f->codes, code };
	const struct ctask_code_names names = {
		.plain = code->plain_name,
		.filename = code->filename,
		.module = code->library ? code->module : NULL,
	};
	bool old = heap->layout.lasti_scale;
	uint64_t first = code->addr + heap->layout.code_firstlineno;
	int slots = ctask_code_slots(f->codes, code);

	*facts = ctask_no_facts;
	facts->code = code;
	facts->name = ctask_bpf_word(f->history, code->name);
	facts->filename = ctask_bpf_word(f->history, code->filename);
	facts->first_line = (int)code->first_line;
	facts->arguments = (uint16_t)ctask_number_at(heap, old ? code->addr + ARGUMENTS_310
							       : first - ARGUMENTS_BEFORE);
	facts->keyword_arguments = (uint16_t)ctask_number_at(heap, old ? code->addr + KEYWORDS_310
								       : first - KEYWORDS_BEFORE);
	facts->takes_rest =
		ctask_number_at(heap, code->addr + (old ? FLAGS_310 : FLAGS_311)) & CODE_VARARGS;
	facts->slots = facts->locals = (uint16_t)(slots > 0 && slots <= UINT16_MAX ? slots : 0);
	ctask_facts_learn(facts, &names, slot_of, &looking);
	take_print(heap, code->addr, function->print);
}

static struct ctask_function *find(struct ctask_functions *f, const struct ctask_code *code)
{
	return code->index < f->room ? f->known[code->index] : NULL;
}

static struct ctask_function *add(struct ctask_functions *f, struct ctask_code *code)
{
	struct ctask_function *function;

	if (code->index >= f->room) {
		uint32_t room = code->index * 2 + 64;
		struct ctask_function **moved = realloc(f->known, room * sizeof(*moved));

		if (!moved)
			return NULL;
		memset(moved + f->room, 0, (room - f->room) * sizeof(*moved));
		f->known = moved;
		f->room = room;
	}
	function = malloc(sizeof(*function));
	if (!function)
		return NULL;
	learn(f, code, function);
	return f->known[code->index] = function;
}

static void tell_probes(struct ctask_functions *f, struct ctask_code *code)
{
	struct ctask_code **moved = realloc(f->fresh, (f->fresh_count + 1) * sizeof(*moved));

	if (!moved)
		return;
	f->fresh = moved;
	f->fresh[f->fresh_count++] = code;
}

const struct ctask_code_facts *ctask_function_facts(struct ctask_functions *f,
						    struct ctask_code *code)
{
	struct ctask_function *function = find(f, code);
	uint64_t print[PRINT];

	if (function) {
		take_print(f->codes->heap, code->addr, print);
		f->stale |= print[0] && memcmp(print, function->print, sizeof(print));
		return &function->facts;
	}
	function = add(f, code);
	if (function && function->facts.row)
		tell_probes(f, code);
	return function ? &function->facts : NULL;
}

void ctask_functions_forget(struct ctask_functions *f)
{
	struct ctask_library libraries[CTASK_LIBRARIES_MAX];
	uint32_t count = f->codes->library_count;

	memcpy(libraries, f->codes->libraries, sizeof(libraries));
	for (uint32_t i = 0; i < f->room; i++) {
		free(f->known[i]);
		f->known[i] = NULL;
	}
	f->fresh_count = 0;
	ctask_codes_forget(f->codes);
	memcpy(f->codes->libraries, libraries, sizeof(libraries));
	f->codes->library_count = count;
	f->stale = false;
}

void ctask_functions_fini(struct ctask_functions *f)
{
	for (uint32_t i = 0; i < f->room; i++)
		free(f->known[i]);
	free(f->known);
	free(f->fresh);
}

/* --- what the probes are told --- */

static void follow(const struct ctask_local *local, uint8_t how, struct ctask_probe_code *ret)
{
	if (local->slot < 0 || local->slot > SLOT_MAX)
		return;
	if (local->attribute[0])
		how = (uint8_t)(CTASK_FOLLOW_OBJECT | CTASK_FOLLOW_ATTRS | CTASK_FOLLOW_SLOTS);
	for (int i = 0; i < ret->count; i++)
		if (ret->locals[i].slot == local->slot) {
			ret->locals[i].follow |= how;
			return;
		}
	if (ret->count < CTASK_PROBE_LOCALS)
		ret->locals[ret->count++] =
			(struct ctask_probe_local){ .slot = (uint8_t)local->slot, .follow = how };
}

bool ctask_function_follow(struct ctask_functions *f, struct ctask_code *code,
			   struct ctask_probe_code *ret)
{
	const struct ctask_local self = { .slot = 0 };
	struct ctask_function *function = find(f, code);
	const struct ctask_code_facts *facts;
	const struct ctask_origin_row *row;

	*ret = (struct ctask_probe_code){ 0 };
	function = function ? function : add(f, code);
	row = function ? function->facts.row : NULL;
	if (!row)
		return false;
	facts = &function->facts;
	if (row->self)
		follow(&self, CTASK_FOLLOW_OBJECT, ret);
	follow(&facts->scope, CTASK_FOLLOW_OBJECT, ret);
	follow(&facts->delay, CTASK_FOLLOW_OBJECT, ret);
	follow(&facts->when, CTASK_FOLLOW_OBJECT, ret);
	follow(&facts->failed, CTASK_FOLLOW_TASK, ret);
	follow(&facts->exception, CTASK_FOLLOW_EXCEPTION, ret);
	if (!strcmp(code->plain_name, "_run")) /* Handle._run: the callback */
		follow(&self, CTASK_FOLLOW_OBJECT | CTASK_FOLLOW_SLOTS, ret);
	if (row->role == CTASK_ROLE_BOUNDARY)
		ret->only = row->main ? CTASK_ONLY_AFTER_RUNNER : CTASK_ONLY_FIRST;
	ret->holds =
		row->through == CTASK_THROUGH_TIMEOUT || row->through == CTASK_THROUGH_TASK_GROUP;
	if (row->role == CTASK_ROLE_RUNNER)
		ret->holds |= CTASK_ONLY_AFTER_RUNNER;
	return true;
}

bool ctask_function_fresh(struct ctask_functions *f, uint64_t *ret_addr,
			  struct ctask_probe_code *ret)
{
	while (f->fresh_count) {
		struct ctask_code *code = f->fresh[--f->fresh_count];

		*ret_addr = code->addr;
		if (ctask_function_follow(f, code, ret))
			return true;
	}
	return false;
}
