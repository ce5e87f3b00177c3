/* target.c - what to probe in a process, and what to tell the probes of its Python. */
#include "bpf/target.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bpf/entry.h"
#include "bpf/objects.h"
#include "model/array.h"
#include "model/cleanup.h"
#include "reader/elf.h"

/* The same from 3.8 to 3.15: PyTypeObject (Include/cpython/object.h), PyMethodDef (Include/methodobject.h). */
enum {
	TYPE_DEALLOC = 48,
	TYPE_METHODS = 232,
	TYPE_DICT = 264,
	METHOD_BYTES = 32,
	METHOD_CALL = 8,
	METHOD_FLAGS = 16,
	METHODS_MAX = 128,
	METH_FASTCALL = 0x80,
	EXCEPTION_ARGS = 24,	    /* PyBaseExceptionObject */
	EXCEPTION_CONTEXT_310 = 40, /* behind dict, args, traceback; from 3.11 on also notes */
	EXCEPTION_CONTEXT_311 = 48,
	FIRST_LOCALS = 4,      /* copied with each frame, where they lie behind it */
	LINK_SLOTS = 16,       /* of a coroutine's frame that are copied with it */
	FRAME_OBJECT_311 = 40, /* _PyInterpreterFrame.frame_obj */
	FRAME_OBJECT_312 = 48,
	TSTATE_BYTES_MAX = 512,
	ENTRY_BYTES = 64,
	ITEMS_MAX = 1 << 14,
};

/* The items of a dict that have one of these names. */
static void find_items(struct ctask_heap *heap, uint64_t dict, const char *const *names,
		       uint64_t *values, size_t count)
{
	struct ctask_iter iter;
	uint64_t key, value;

	if (!dict || ctask_dict_iter(heap, dict, &iter))
		return;
	while (ctask_iter_next(&iter, &key, &value))
		for (size_t i = 0; i < count; i++)
			if (ctask_str_is(heap, key, names[i]))
				values[i] = value;
}

static uint64_t dict_of_module(struct ctask_heap *heap, uint64_t module)
{
	uint64_t dict = 0;

	if (module && ctask_kind_of(heap, module) == CTASK_KIND_MODULE &&
	    ctask_heap_u64(heap, module + heap->layout.module_dict, &dict))
		return 0;
	return dict;
}

/* sys.modules of the first interpreter that has module @p name. */
static uint64_t modules_with(struct ctask_walk *walk, const char *name)
{
	enum { INTERPS_MAX = 1024 };
	struct ctask_heap *heap = &walk->heap;
	uint64_t interp, modules, found;

	if (ctask_heap_u64(heap, walk->python->runtime + heap->layout.runtime_interpreters_head,
			   &interp))
		return 0;
	for (int i = 0; interp && i < INTERPS_MAX; i++) {
		if (!ctask_heap_u64(heap, interp + heap->layout.interp_modules, &modules) &&
		    modules && !ctask_dict_get(heap, modules, name, &found))
			return modules;
		if (ctask_heap_u64(heap, interp + heap->layout.interp_next, &interp))
			break;
	}
	return 0;
}

/* The C function behind method @p name of the type at @p type. 0 when it has none. */
static uint64_t method_of(struct ctask_heap *heap, uint64_t type, const char *name,
			  uint32_t *ret_flags)
{
	uint64_t methods, text, call = 0;
	char got[16];

	if (!type || ctask_heap_u64(heap, type + TYPE_METHODS, &methods) || !methods)
		return 0;
	for (int i = 0; i < METHODS_MAX; i++, methods += METHOD_BYTES) {
		if (ctask_heap_u64(heap, methods, &text) || !text)
			return 0;
		if (ctask_pages_read(heap->pages, text, got, strlen(name) + 1) ||
		    memcmp(got, name, strlen(name) + 1))
			continue;
		if (ctask_heap_u64(heap, methods + METHOD_CALL, &call) ||
		    ctask_pages_read(heap->pages, methods + METHOD_FLAGS, ret_flags,
				     sizeof(*ret_flags)))
			return 0;
		return call;
	}
	return 0;
}

/* --- the files that a process has mapped --- */

struct part {
	uint64_t start, end, offset, device, inode;
};

struct files {
	pid_t pid;
	struct part *parts;
	uint32_t count;
};

static void files_fini(struct files *f)
{
	free(f->parts);
}

static int files_init(struct files *f, pid_t pid)
{
	char path[64];
	auto_free char *line = NULL;
	auto_fclose FILE *maps = NULL;
	size_t line_room = 0;
	uint32_t room = 0;
	int ret = 0;

	*f = (struct files){ .pid = pid };
	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	maps = fopen(path, "re");
	if (!maps)
		return -errno;
	while (!ret && getline(&line, &line_room, maps) > 0) {
		struct part part;
		unsigned int major, minor;
		int name_at = 0;

		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %" SCNx64 " %x:%x %" SCNu64 " %n",
			   &part.start, &part.end, &part.offset, &major, &minor, &part.inode,
			   &name_at) != 6 ||
		    !name_at || line[name_at] != '/')
			continue;
		part.device = (uint64_t)major << 32 | minor;
		ret = ctask_array_grow(&f->parts, f->count, &room, sizeof(part));
		if (!ret)
			f->parts[f->count++] = part;
	}
	return ret;
}

/* The file and the offset in it that lie at @p addr. */
static int place_of(const struct files *f, uint64_t addr, struct ctask_hook_place *ret)
{
	for (uint32_t i = 0; i < f->count; i++) {
		const struct part *part = &f->parts[i];

		if (addr < part->start || addr >= part->end)
			continue;
		/* The kernel's own link: right whatever the path says, in any mount namespace. */
		snprintf(ret->path, sizeof(ret->path), "/proc/%d/map_files/%" PRIx64 "-%" PRIx64,
			 (int)f->pid, part->start, part->end);
		ret->offset = addr - part->start + part->offset;
		ret->device = part->device;
		ret->inode = part->inode;
		return 0;
	}
	return -ENOENT;
}

/* The file that has symbol @p name, which is at *ret_addr. NULL when there is none. */
static const struct part *exporter(struct ctask_walk *walk, const struct files *f, const char *name,
				   uint64_t *ret_addr)
{
	for (uint32_t i = 0; i < f->count; i++)
		if (!f->parts[i].offset &&
		    !ctask_elf_exported(walk->heap.pages, f->parts[i].start, name, ret_addr))
			return &f->parts[i];
	return NULL;
}

/* The part of a thread's state that has all of these, and what lies too far from it. */
static void take_tstate(const struct ctask_layout *l, struct ctask_probe_target *t)
{
	const uint32_t fields[] = { l->tstate_frame, l->tstate_thread_id, l->tstate_dict,
				    l->tstate_asyncio_running_loop,
				    l->tstate_asyncio_running_task };
	uint32_t from = l->tstate_frame, end = from;

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		from = fields[i] < from ? fields[i] : from;
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		if (fields[i] == CTASK_NO_FIELD)
			continue;
		if (fields[i] - from < TSTATE_BYTES_MAX) {
			end = fields[i] + 8 > end ? fields[i] + 8 : end;
			continue;
		}
		if (!t->tail_bytes)
			t->tail_from = fields[i];
		t->tail_bytes = fields[i] + 8 - t->tail_from;
	}
	t->tstate_from = from;
	t->tstate_bytes = end - from;
}

static void take_layout(const struct ctask_layout *l, struct ctask_probe_target *t)
{
	uint32_t from = l->frame_code;

	if (l->frame_gen != CTASK_NO_FIELD) { /* to 3.10 a frame is a large object */
		from = l->frame_previous < from ? l->frame_previous : from;
		t->frame_from = from;
		t->frame_bytes = l->frame_lasti + 16 - from;
		if (l->frame_stack + 8 - from > t->frame_bytes)
			t->frame_bytes = l->frame_stack + 8 - from;
		t->first_locals = 1;
		t->frame_object = CTASK_PROBE_NO_FIELD;
	} else {
		t->frame_object = l->minor < 12 ? FRAME_OBJECT_311 : FRAME_OBJECT_312;
		t->frame_from = 0;
		t->frame_bytes = l->frame_locals + 8 * FIRST_LOCALS;
	}
	t->interp_next = l->interp_next;
	t->interp_threads_head = l->interp_threads_head;
	t->tstate_next = l->tstate_next;
	t->tstate_thread_id = l->tstate_thread_id;
	t->tstate_frame = l->tstate_frame;
	t->cframe_frame = l->cframe_frame;
	t->tstate_running_task = l->tstate_asyncio_running_task;
	t->tstate_running_loop = l->tstate_asyncio_running_loop;
	t->tstate_dict = l->tstate_dict;
	/* PyThreadState.exc_info stands before dict (Include/cpython/pystate.h, 3.8 to 3.10). */
	t->exc_info = l->minor < 11 ? l->tstate_dict - 8 : CTASK_PROBE_NO_FIELD;
	take_tstate(l, t);
	t->task_bytes = l->task_size;
	t->task_state = l->task_state;
	t->task_name = l->task_name;
	t->task_coro = l->task_coro;
	t->task_fut_waiter = l->task_fut_waiter;
	t->frame_code = l->frame_code;
	t->frame_previous = l->frame_previous;
	t->frame_owner = l->frame_owner;
	t->frame_gen = l->frame_gen;
	t->frame_locals = l->frame_locals;
	t->frame_stack = l->frame_stack;
	t->frame_stack_base = l->frame_stack_base;
	t->stack_form = l->stack_form;
	t->awaited_slot = l->awaited_slot;
	t->ref_tag_mask = l->ref_tag_mask;
	t->gen_frame = l->gen_frame;
	t->gen_frame_inline = l->gen_frame_inline;
	t->gen_exc_value = l->gen_exc_value;
	t->gen_bytes = l->gen_frame_inline ? l->gen_frame + l->frame_locals + 8 * LINK_SLOTS
					   : l->gen_exc_value + 32;
	t->dict_keys = l->dict_keys;
	t->dict_values = l->dict_values;
	t->keys_indices = l->keys_indices;
	t->keys_is_log2 = l->keys_is_log2;
	t->keys_log2_index_bytes = l->keys_log2_index_bytes;
	t->keys_kind = l->keys_kind;
	t->keys_nentries = l->keys_nentries;
	t->dict_form = l->dict_form;
	t->values_values = l->values_values;
	t->tuple_items = l->tuple_items;
	t->exception_args = EXCEPTION_ARGS;
	t->exception_context = l->minor < 11 ? EXCEPTION_CONTEXT_310 : EXCEPTION_CONTEXT_311;
}

/* From the file: the memory may have another recording's probes in it. */
static void move_to_cheapest(struct ctask_hook_place *place, int needs)
{
	auto_fd fd = open(place->path, O_RDONLY | O_CLOEXEC);
	uint8_t code[ENTRY_BYTES];
	ssize_t got = fd < 0 ? -1 : pread(fd, code, sizeof(code), (off_t)place->offset);

	if (got > 0)
		place->offset += ctask_entry_cheapest(code, (size_t)got, needs);
}

static int hook(const struct files *f, uint64_t addr, const char *what, int needs,
		struct ctask_hook_place *ret, struct ctask_error *err)
{
	if (!addr || place_of(f, addr, ret))
		return ctask_fail(err, EPROTO, "the code of %s in process %d is in no file", what,
				  (int)f->pid);
	move_to_cheapest(ret, needs);
	return 0;
}

/* Python's own types, all in one file. */
static void take_types(struct ctask_walk *walk, const struct files *f, struct ctask_probe_target *t)
{
	const struct {
		const char *name;
		__u64 *to;
	} types[] = {
		{ "PyGen_Type", &t->gen_types[1] },
		{ "PyAsyncGen_Type", &t->gen_types[2] },
		{ "PyFrame_Type", &t->frame_type },
		{ "PyTuple_Type", &t->tuple_type },
	};
	uint64_t addr;
	const struct part *python = exporter(walk, f, "PyCoro_Type", &addr);

	if (!python)
		return;
	t->gen_types[0] = addr;
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (!ctask_elf_exported(walk->heap.pages, python->start, types[i].name, &addr))
			*types[i].to = addr;
}

/* The functions that are probed, of the task's type at @p task_type, written in C. */
static int find_hooks(struct ctask_walk *walk, const struct files *f, uint64_t task_type,
		      struct ctask_probe_target *t, struct ctask_hook_place *hooks,
		      struct ctask_error *err)
{
	struct ctask_heap *heap = &walk->heap;
	uint32_t flags = 0, unused;
	uint64_t addr, dealloc = 0;
	int ret;

	addr = method_of(heap, task_type, "cancel", &flags);
	t->has_arguments = flags & METH_FASTCALL;
	ret = hook(f, addr, "Task.cancel",
		   CTASK_ENTRY_SELF | CTASK_ENTRY_ARGUMENTS | CTASK_ENTRY_STACK,
		   &hooks[CTASK_HOOK_CANCEL], err);
	addr = method_of(heap, t->gen_types[0], "throw", &unused);
	if (!ret)
		ret = hook(f, addr, "coroutine.throw", CTASK_ENTRY_SELF, &hooks[CTASK_HOOK_THROW],
			   err);
	(void)ctask_heap_u64(heap, task_type + TYPE_DEALLOC, &dealloc);
	if (!ret)
		ret = hook(f, dealloc, "a task's end", CTASK_ENTRY_SELF, &hooks[CTASK_HOOK_FREE],
			   err);
	addr = method_of(heap, task_type, "uncancel", &unused);
	if (!ret && addr)
		ret = hook(f, addr, "Task.uncancel", CTASK_ENTRY_SELF, &hooks[CTASK_HOOK_UNCANCEL],
			   err);
	addr = method_of(heap, task_type, "cancelling", &unused);
	if (!ret && addr)
		ret = hook(f, addr, "Task.cancelling", 0, &hooks[CTASK_HOOK_CANCELLING], err);
	return ret;
}

/* anyio's functions are no more of the program than asyncio's. */
static void take_anyio(struct ctask_walk *walk, uint64_t modules)
{
	static const char *const packages[] = { "anyio" }, *const items[] = { "__file__" };
	uint64_t package = 0, file = 0;

	find_items(&walk->heap, modules, packages, &package, 1);
	find_items(&walk->heap, dict_of_module(&walk->heap, package), items, &file, 1);
	if (file)
		ctask_codes_add_package(&walk->codes, file, packages[0]);
}

int ctask_target_find(struct ctask_walk *walk, pid_t pid, struct ctask_probe_target *ret_target,
		      struct ctask_hook_place *ret_hooks, struct ctask_asyncio_facts *ret_facts,
		      struct ctask_error *err)
{
	static const char *const names[] = { "_asyncio", "asyncio.tasks", "asyncio.exceptions",
					     "threading" };
	static const char *const task_items[] = { "gather", "_current_tasks" };
	static const char *const c_items[] = { "Task", "_current_tasks" };
	static const char *const error_items[] = { "CancelledError" };
	static const char *const thread_items[] = { "_active" };
	struct ctask_heap *heap = &walk->heap;
	uint64_t modules = modules_with(walk, "_asyncio"), found[4] = { 0 }, in_tasks[2] = { 0 },
		 in_c[2] = { 0 };
	struct files files;
	int ret;

	*ret_target = (struct ctask_probe_target){ 0 };
	*ret_facts = (struct ctask_asyncio_facts){ 0 };
	memset(ret_hooks, 0, CTASK_HOOKS * sizeof(*ret_hooks));
	if (!modules && modules_with(walk, "trio"))
		return ctask_fail(
			err, ENOTSUP,
			"process %d runs CPython %s with trio, which is Python all "
			"through: there is nothing to probe, and only asyncio is followed",
			(int)pid, walk->python->version);
	if (!modules)
		return ctask_fail(err, ENOTSUP,
				  "process %d runs CPython %s, but has not loaded asyncio",
				  (int)pid, walk->python->version);
	find_items(heap, modules, names, found, 4);
	find_items(heap, dict_of_module(heap, found[0]), c_items, in_c, 2);
	find_items(heap, dict_of_module(heap, found[1]), task_items, in_tasks, 2);
	find_items(heap, dict_of_module(heap, found[2]), error_items, &ret_facts->cancelled_error,
		   1);
	find_items(heap, dict_of_module(heap, found[3]), thread_items, &ret_facts->threads_active,
		   1);
	if (!in_tasks[0])
		return ctask_fail(err, EAGAIN, "process %d is just about to load asyncio",
				  (int)pid);
	ctask_codes_set_library(&walk->codes, in_tasks[0]);
	take_anyio(walk, modules);
	if (!in_c[0])
		return ctask_fail(err, ENOTSUP,
				  "asyncio in process %d has only tasks written in Python: there "
				  "is nothing to probe. Start the program with 'ctaskctl run'",
				  (int)pid);

	take_layout(&heap->layout, ret_target);
	ret_target->interpreters_head =
		walk->python->runtime + heap->layout.runtime_interpreters_head;
	if (heap->layout.tstate_asyncio_running_task == CTASK_NO_FIELD)
		ret_target->current_tasks = in_tasks[1] ? in_tasks[1] : in_c[1];
	ret_facts->current_tasks = ret_target->current_tasks;
	ret = files_init(&files, pid);
	if (ret) {
		ret = ctask_fail(err, -ret, "the files of process %d cannot be listed: %s",
				 (int)pid, strerror(-ret));
	} else {
		take_types(walk, &files, ret_target);
		ret = find_hooks(walk, &files, in_c[0], ret_target, ret_hooks, err);
	}
	files_fini(&files);
	return ret;
}

bool ctask_target_has_asyncio(struct ctask_walk *walk)
{
	return modules_with(walk, "_asyncio") != 0;
}

int ctask_target_loader(struct ctask_walk *walk, pid_t pid, struct ctask_hook_place *ret_place)
{
	struct files files;
	uint64_t addr;
	int ret = files_init(&files, pid);

	if (!ret)
		ret = exporter(walk, &files, "PyInit__asyncio", &addr)
			      ? place_of(&files, addr, ret_place)
			      : -ENOENT;
	files_fini(&files);
	return ret;
}

void ctask_target_threads(struct ctask_walk *walk,
			  void (*see)(void *arg, uint64_t ident, uint64_t tstate), void *arg)
{
	enum { INTERPS_MAX = 1024, THREADS_MAX = 1 << 16 };
	const struct ctask_layout *l = &walk->heap.layout;
	uint64_t interp = 0, tstate, ident;
	int count = 0;

	(void)ctask_heap_u64(&walk->heap, walk->python->runtime + l->runtime_interpreters_head,
			     &interp);
	for (int i = 0; interp && i < INTERPS_MAX; i++) {
		if (ctask_heap_u64(&walk->heap, interp + l->interp_threads_head, &tstate))
			return;
		for (; tstate && count < THREADS_MAX; count++) {
			if (!ctask_heap_u64(&walk->heap, tstate + l->tstate_thread_id, &ident))
				see(arg, ident, tstate);
			if (ctask_heap_u64(&walk->heap, tstate + l->tstate_next, &tstate))
				return;
		}
		if (ctask_heap_u64(&walk->heap, interp + l->interp_next, &interp))
			return;
	}
}

/* --- the functions of a module, and of its classes --- */

struct seeing {
	struct ctask_walk *walk;
	void (*see)(void *arg, struct ctask_code *code);
	void *arg;
};

static void see_functions(const struct seeing *s, uint64_t dict, bool into_types)
{
	struct ctask_heap *heap = &s->walk->heap;
	struct ctask_iter iter;
	uint64_t key, value, inner;
	int items = 0;

	if (!dict || ctask_dict_iter(heap, dict, &iter))
		return;
	while (ctask_iter_next(&iter, &key, &value) && items++ < ITEMS_MAX) {
		struct ctask_code *code;

		if (ctask_kind_of(heap, value) == CTASK_KIND_FUNCTION) {
			code = ctask_function_code(s->walk, value);
			if (code)
				s->see(s->arg, code);
			continue;
		}
		/* Or of a metaclass, such as ABCMeta: aiohttp's TimerContext. */
		if (into_types && ctask_is_named(heap, value, "type") &&
		    !ctask_heap_u64(heap, value + TYPE_DICT, &inner))
			see_functions(s, inner, false);
	}
}

void ctask_target_functions(struct ctask_walk *walk,
			    void (*see)(void *arg, struct ctask_code *code), void *arg)
{
	static const char *const modules[] = {
		"asyncio.timeouts",    "asyncio.tasks",		"asyncio.taskgroups",
		"asyncio.futures",     "asyncio.runners",	"asyncio.events",
		"asyncio.base_events", "async_timeout",		"aiohttp.helpers",
		"aiohttp.web",	       "aiohttp.web_protocol",	"uvicorn.server",
		"uvicorn._compat",     "hypercorn.asyncio.run",
	};
	const struct seeing seeing = { walk, see, arg };
	uint64_t found[ARRAY_SIZE(modules)] = { 0 };

	find_items(&walk->heap, modules_with(walk, "_asyncio"), modules, found,
		   ARRAY_SIZE(modules));
	for (size_t i = 0; i < ARRAY_SIZE(modules); i++)
		see_functions(&seeing, dict_of_module(&walk->heap, found[i]), true);
}
