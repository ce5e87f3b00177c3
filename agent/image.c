/* image.c - CPython's own tables inside a loaded ELF image, found by name. */
#include "agent/image.h"

#include <link.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "agent/portable.h"
#include "agent/python.h"

enum { SEGMENTS = 16, PAGE = 4096, SLOTS_MAX = 200, METHODS_MAX = 200 };

struct segment {
	const char *start, *end;
	const char *data_end; /* from here on it is zero when it is loaded */
	bool writable;
};

struct image {
	const char *address; /* some address in it */
	struct segment segments[SEGMENTS];
	int count;
};

static int note_segments(struct dl_phdr_info *info, size_t size, void *data)
{
	struct image *image = data;
	bool ours = false;

	(void)size;
	image->count = 0;
	for (int i = 0; i < info->dlpi_phnum && image->count < SEGMENTS; i++) {
		const ElfW(Phdr) *header = &info->dlpi_phdr[i];
		const char *start = (const char *)(uintptr_t)(info->dlpi_addr + header->p_vaddr);

		if (header->p_type != PT_LOAD)
			continue;
		image->segments[image->count++] =
			(struct segment){ start, start + header->p_memsz, start + header->p_filesz,
					  header->p_flags & PF_W };
		ours |= image->address >= start && image->address < start + header->p_memsz;
	}
	return ours;
}

/* The @p size bytes at @p at lie within one segment. */
static bool within(const struct image *image, const void *at, size_t size)
{
	const char *start = at;

	for (int i = 0; i < image->count; i++)
		if (start >= image->segments[i].start && start < image->segments[i].end &&
		    (size_t)(image->segments[i].end - start) >= size)
			return true;
	return false;
}

/* May be one of the names that are looked for: a text that nobody writes to. Most words are not; it must not take long. */
static bool is_literal(const struct image *image, const char *at)
{
	for (int i = 0; i < image->count; i++)
		if (at >= image->segments[i].start && at < image->segments[i].end)
			return !image->segments[i].writable &&
			       (size_t)(image->segments[i].end - at) >= sizeof("select.epoll") &&
			       strchr("_Tst", *at) && *at;
	return false;
}

/* Data, not code. */
static bool is_data(const struct image *image, const void *at, size_t size)
{
	for (int i = 0; i < image->count; i++)
		if (image->segments[i].writable && (const char *)at >= image->segments[i].start &&
		    (const char *)at + size <= image->segments[i].end)
			return true;
	return false;
}

static bool is_text(const struct image *image, const char *at, const char *text)
{
	size_t size = strlen(text) + 1;

	return within(image, at, size) && !memcmp(at, text, size);
}

static void take_spec(const struct image *image, const struct py_type_spec *spec,
		      struct ctask_type_tables *ret)
{
	struct py_type_slot *slot = spec->slots;

	for (int i = 0; i < SLOTS_MAX && within(image, slot, sizeof(*slot)) && slot->slot;
	     i++, slot++) {
		switch (slot->slot) {
		case PY_TP_CALL:
			ret->call = &slot->value;
			break;
		case PY_TP_DEALLOC:
			ret->dealloc = &slot->value;
			break;
		case PY_TP_INIT:
			ret->init = &slot->value;
			break;
		case PY_TP_METHODS:
			ret->methods = slot->value;
			break;
		case PY_TP_NEW:
			ret->new = &slot->value;
			break;
		default:
			break;
		}
	}
}

/* A name at @p word begins a PyType_Spec, or lies in a static PyTypeObject. */
static void take_type(const struct image *image, char *word, struct ctask_type_tables *ret)
{
	const struct py_type_spec *spec = (const void *)word;
	struct py_type *type = (void *)(word - offsetof(struct py_type, name));

	if (within(image, spec, sizeof(*spec)) &&
	    is_data(image, spec->slots, sizeof(*spec->slots)) && spec->basicsize > 0 &&
	    spec->basicsize < PAGE) {
		take_spec(image, spec, ret);
	} else if (within(image, type, sizeof(*type)) && type->basicsize > 0 &&
		   type->basicsize < PAGE && type->size == 0) {
		ret->call = (void **)&type->call;
		ret->dealloc = (void **)&type->dealloc;
		ret->init = (void **)&type->init;
		ret->new = (void **)&type->new;
		ret->methods = type->methods;
	}
}

static void look_at(const struct image *image, char *word, struct ctask_image_tables *ret)
{
	static const struct {
		const char *name;
		size_t tables;
	} types[] = {
		{ "_asyncio.Task", offsetof(struct ctask_image_tables, task) },
		{ "TaskStepMethWrapper", offsetof(struct ctask_image_tables, step) },
		{ "_asyncio.TaskStepMethWrapper", offsetof(struct ctask_image_tables, step) },
		{ "TaskWakeupMethWrapper", offsetof(struct ctask_image_tables, wakeup) },
		{ "select.epoll", offsetof(struct ctask_image_tables, epoll) },
	};
	struct py_method_def *def = (void *)word;
	const char *name = *(char **)word;
	bool is_def;

	if (!is_literal(image, name))
		return;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (is_text(image, name, types[i].name))
			take_type(image, word, (void *)((char *)ret + types[i].tables));
	is_def = within(image, def, sizeof(*def)) && within(image, def->function, 1) &&
		 def->flags == PY_METH_O;
	if (is_def && is_text(image, name, "task_wakeup"))
		ret->wakeup_def = def;
	if (is_def && is_text(image, name, "_set_running_loop"))
		ret->set_running_loop = def;
}

bool ctask_image_find(const void *address, struct ctask_image_tables *ret)
{
	struct image image = { .address = address };

	memset(ret, 0, sizeof(*ret));
	if (!dl_iterate_phdr(note_segments, &image))
		return false;
	for (int i = 0; i < image.count; i++) {
		const struct segment *segment = &image.segments[i];
		uintptr_t start = ((uintptr_t)segment->start + 7) / 8 * 8;

		if (!segment->writable)
			continue;
		for (uintptr_t at = start; at + 8 <= (uintptr_t)segment->data_end; at += 8)
			look_at(&image, (char *)at, ret);
	}
	return (ret->task.init && ret->task.methods) || ret->epoll.new;
}

void *ctask_image_replace(void **where, void *function)
{
	void *page = (void *)((uintptr_t)where / PAGE * PAGE);
	void *before = *where;

	/* Data that is read-only after relocation is opened for the moment; if that is refused, it stays as it is. */
	if (mprotect(page, PAGE, PROT_READ | PROT_WRITE))
		return NULL;
	__atomic_store_n(where, function, __ATOMIC_RELEASE);
	return before;
}
