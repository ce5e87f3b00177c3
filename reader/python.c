/* python.c - find CPython in a process: its runtime state, exact version and layout. */
#include "reader/python.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "model/cleanup.h"
#include "reader/elf.h"

#define READS "ctask reads CPython 3.8 to 3.15, x86-64, with a GIL"

void ctask_python_version_text(uint32_t hexversion, char *to)
{
	static const char *const levels[16] = { [0xa] = "a", [0xb] = "b", [0xc] = "rc" };
	const char *level = levels[hexversion >> 4 & 15];
	int len = snprintf(to, 32, "%u.%u.%u", hexversion >> 24, hexversion >> 16 & 0xff,
			   hexversion >> 8 & 0xff);

	if (level)
		snprintf(to + len, 32 - (size_t)len, "%s%u", level, hexversion & 15);
}

/* sys.hexversion of the first interpreter, read with this layout. */
static int read_hexversion(struct ctask_pages *pages, uint64_t runtime,
			   const struct ctask_layout *layout, uint32_t *ret_version)
{
	struct ctask_heap heap;
	uint64_t interp, sysdict, number;
	int64_t value;
	int ret = -EPROTO;

	ctask_heap_init(&heap, pages, layout);
	if (!ctask_heap_u64(&heap, runtime + layout->runtime_interpreters_head, &interp) &&
	    interp && !ctask_heap_u64(&heap, interp + layout->interp_sysdict, &sysdict) &&
	    sysdict && !ctask_dict_get(&heap, sysdict, "hexversion", &number) &&
	    !ctask_int_value(&heap, number, &value) && value > 0 && value <= UINT32_MAX) {
		*ret_version = (uint32_t)value;
		ret = 0;
	}
	ctask_heap_fini(&heap);
	return ret;
}

static int refuse_version(uint32_t hexversion, struct ctask_error *err)
{
	char text[32];

	ctask_python_version_text(hexversion, text);
	return ctask_fail(err, ENOTSUP, "runs CPython %s; " READS, text);
}

/* The version that the row of @p minor shows, if it shows that minor. */
static bool row_fits(struct ctask_pages *pages, uint64_t runtime, const struct ctask_layout *row,
		     uint32_t *ret_version)
{
	return !read_hexversion(pages, runtime, row, ret_version) && *ret_version >> 24 == 3 &&
	       (*ret_version >> 16 & 0xff) == row->minor;
}

enum { DEBUG_OFFSETS_MAX = 4096, COOKIE_BYTES = 8 };

/* 3.13 on: _PyRuntime begins with a table that names the version. */
static int from_debug_offsets(struct ctask_pages *pages, uint64_t runtime, const uint64_t *head,
			      struct ctask_python *ret, struct ctask_error *err)
{
	uint32_t version = (uint32_t)head[1], seen;
	const struct ctask_layout *row;
	uint8_t table[DEBUG_OFFSETS_MAX];
	size_t len;
	int code;

	row = version >> 24 == 3 ? ctask_layout_find(version >> 16 & 0xff) : NULL;
	if (!row)
		return refuse_version(version, err);
	if (head[2]) {
		ctask_python_version_text(version, ret->version);
		return ctask_fail(err, ENOTSUP, "runs CPython %s, a free-threaded build; " READS,
				  ret->version);
	}
	ret->layout = *row;
	len = ctask_layout_debug_offsets_bytes(row->minor);
	if (ctask_pages_read(pages, runtime, table, len))
		return ctask_fail_at(err, EPROTO, runtime, "the runtime state cannot be read");
	code = ctask_layout_take_debug_offsets(&ret->layout, table, len, err);
	if (!code)
		code = ctask_layout_check(&ret->layout, err);
	if (code)
		return code;
	if (read_hexversion(pages, runtime, &ret->layout, &seen) || seen != version) {
		ctask_python_version_text(version, ret->version);
		return ctask_fail(
			err, ENOTSUP,
			"runs CPython %s, but that is not laid out as it should be (or it is "
			"just starting or ending)",
			ret->version);
	}
	ret->hexversion = version;
	return 0;
}

static int look_at_runtime(struct ctask_pages *pages, uint64_t base, uint64_t runtime,
			   struct ctask_python *ret, struct ctask_error *err)
{
	uint64_t head[3], interp, at;
	uint32_t version;

	if (ctask_pages_read(pages, runtime, head, sizeof(head)))
		return ctask_fail_at(err, EPROTO, runtime, "the runtime state cannot be read");
	ret->runtime = runtime;
	if (!memcmp(head, "xdebugpy", COOKIE_BYTES))
		return from_debug_offsets(pages, runtime, head, ret, err);

	/* 3.11 and 3.12 export their version; before, the row that fits tells. */
	if (!ctask_elf_exported(pages, base, "Py_Version", &at) &&
	    !ctask_pages_read(pages, at, &version, sizeof(version)) &&
	    (version >> 24 != 3 || !ctask_layout_find(version >> 16 & 0xff)))
		return refuse_version(version, err);
	for (size_t i = 0; i < ctask_layout_count; i++) {
		const struct ctask_layout *row = &ctask_layout_table[i];

		if (ctask_layout_debug_offsets_bytes(row->minor) ||
		    !row_fits(pages, runtime, row, &ret->hexversion))
			continue;
		ret->layout = *row;
		return 0;
	}
	if (!ctask_pages_read(pages, runtime + 32, &interp, 8) && !interp)
		return ctask_fail(err, ENOTSUP, "runs a CPython that is just starting or ending");
	return ctask_fail(err, ENOTSUP, "runs a CPython of unknown version; " READS);
}

static int find_runtime_in_file(const struct ctask_images *images, const struct ctask_mapping *map,
				uint64_t *ret_addr)
{
	auto_fd fd = images->pid ? ctask_mapping_open(images->pid, map)
				 : ctask_open_regular(map->path, NULL);

	return fd < 0 ? -ENOENT
		      : ctask_elf_in_file(fd, map->start, "_PyRuntime", ".PyRuntime", ret_addr);
}

/* What a file's name gives away about a Python that has no _PyRuntime to look at. */
static const struct known_name {
	const char *part;
	const char *name;
} known_names[] = {
	{ "pypy", "PyPy" },
	{ "graalpy", "GraalPy" },
	{ "libpythonvm", "GraalPy" },
	{ "micropython", "MicroPython" },
};

static int refuse_by_name(const struct ctask_images *images, struct ctask_error *err)
{
	for (uint32_t i = 0; i < images->count; i++) {
		const char *slash = strrchr(images->maps[i].path, '/');
		const char *file = slash ? slash + 1 : images->maps[i].path, *python;
		unsigned major, minor;

		for (size_t n = 0; n < ARRAY_SIZE(known_names); n++)
			if (strstr(file, known_names[n].part))
				return ctask_fail(err, ENOTSUP, "runs %s; " READS,
						  known_names[n].name);
		python = strstr(file, "python");
		if (python && sscanf(python, "python%u.%u", &major, &minor) == 2)
			return ctask_fail(err, ENOTSUP, "runs CPython %u.%u; " READS, major, minor);
	}
	return ctask_fail(err, ENOTSUP, "runs no Python that ctask knows; " READS);
}

int ctask_python_find(struct ctask_pages *pages, const struct ctask_images *images,
		      struct ctask_python *ret_python, struct ctask_error *err)
{
	struct ctask_error first = { 0 };

	for (int from_files = 0; from_files <= !images->quick; from_files++)
		for (uint32_t i = 0; i < images->count; i++) {
			const struct ctask_mapping *map = &images->maps[i];
			struct ctask_error why = { 0 };
			uint64_t runtime;

			if (from_files ? find_runtime_in_file(images, map, &runtime)
				       : ctask_elf_exported(pages, map->start, "_PyRuntime",
							    &runtime)) {
				if (pages->error)
					return pages->error;
				continue;
			}
			*ret_python = (struct ctask_python){ 0 };
			if (!look_at_runtime(pages, map->start, runtime, ret_python, &why)) {
				ctask_python_version_text(ret_python->hexversion,
							  ret_python->version);
				return 0;
			}
			if (pages->error)
				return pages->error;
			if (!first.code)
				first = why;
		}
	if (!first.code)
		return refuse_by_name(images, err);
	/* A 3.7 has a _PyRuntime too, but says its version only in its name. */
	if (strstr(first.text, "unknown version")) {
		struct ctask_error named;

		(void)refuse_by_name(images, &named);
		if (strstr(named.text, "CPython"))
			first = named;
	}
	if (err)
		*err = first;
	return -first.code;
}
