/* record.c - keep the pages of a resting process that a capture touches: a seed for fuzz_walk. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "model/json.h"
#include "reader/walk.h"
#include "tests/fuzz/image.h"

static int by_address(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static uint32_t sort_once_each(uint64_t *pages, uint32_t count)
{
	uint32_t kept = 0;

	qsort(pages, count, sizeof(*pages), by_address);
	for (uint32_t i = 0; i < count; i++)
		if (!kept || pages[i] != pages[kept - 1])
			pages[kept++] = pages[i];
	return kept;
}

/* The pages that were touched, as an image. */
static struct image *take_image(struct ctask_pages *pages, const struct ctask_mapping *map)
{
	struct image *image = calloc(1, sizeof(*image));
	uint32_t count = sort_once_each(pages->touched, pages->touched_count);

	image->memory.ops = &image_ops;
	image->page_count = count;
	image->addrs = calloc(count, sizeof(*image->addrs));
	image->pages = calloc(count, CTASK_PAGE);
	image->gone = calloc(count, 1);
	image->maps = calloc(1, sizeof(*image->maps));
	image->maps[0] = (struct ctask_mapping){ .start = map->start, .path = strdup(map->path) };
	image->map_count = 1;
	for (uint32_t i = 0; i < count; i++) {
		const struct ctask_page_run run = { .addr = pages->touched[i], .count = 1 };
		uint8_t *page = image->pages + (size_t)i * CTASK_PAGE;

		image->addrs[i] = run.addr;
		if (pages->memory->ops->read_runs(pages->memory, &run, 1, page) != CTASK_PAGE)
			memset(page, 0, CTASK_PAGE);
	}
	return image;
}

/* What a walk over @p image gives, as JSON; NULL when it gives nothing. The caller frees it. */
static char *picture(const struct image *image, size_t *ret_len)
{
	const struct ctask_images images = { .maps = image->maps,
					     .count = image->map_count,
					     .quick = true };
	struct ctask_memory *memory = (struct ctask_memory *)&image->memory;
	struct ctask_snapshot *snap = ctask_snapshot_create();
	struct ctask_python python;
	struct ctask_pages pages;
	struct ctask_walk walk;
	char *json = NULL;

	(void)ctask_pages_init(&pages, memory);
	if (!ctask_python_find(&pages, &images, &python, NULL)) {
		/* Let the picture need asyncio's own table where there is one, so that it is kept. */
		if (python.layout.module_asyncio_debug != CTASK_NO_FIELD)
			python.layout.task_coro = python.layout.task_name = python.layout.task_node;
		ctask_walk_init(&walk, &pages, &python, snap);
		if (!ctask_walk_run(&walk)) {
			FILE *out = open_memstream(&json, ret_len);

			ctask_json_write_snapshot(snap, out, NULL);
			fclose(out);
		}
		ctask_walk_fini(&walk);
	}
	ctask_pages_fini(&pages);
	ctask_snapshot_destroy(snap);
	return json;
}

/*
 * Clear what the picture does not need, in ever smaller parts: what is left is
 * small, and each word of it is worth a change.
 */
static void clear_needless(struct image *image, const char *want, uint8_t *at, size_t len)
{
	enum { LEAST = 64 }; /* about an object: the reader may come to read more of it */
	uint8_t kept[CTASK_PAGE];
	size_t json_len;
	char *json;

	memcpy(kept, at, len);
	memset(at, 0, len);
	if (!memcmp(at, kept, len))
		return;
	json = picture(image, &json_len);
	if (!json || strcmp(json, want)) {
		memcpy(at, kept, len);
		if (len > LEAST) {
			clear_needless(image, want, at, len / 2);
			clear_needless(image, want, at + len / 2, len / 2);
		}
	}
	free(json);
}

static int write_image(const char *path, const struct image *image)
{
	struct image_head head = { .map_count = 1, .page_count = image->page_count };
	struct image_map row = { .start = image->maps[0].start,
				 .path_bytes = strlen(image->maps[0].path) };
	gzFile file = gzopen(path, "wb9");

	if (!file)
		return -1;
	memcpy(head.magic, image_magic, sizeof(head.magic));
	gzwrite(file, &head, sizeof(head));
	gzwrite(file, &row, sizeof(row));
	gzwrite(file, image->maps[0].path, (unsigned)row.path_bytes);
	gzwrite(file, image->addrs, head.page_count * (unsigned)sizeof(*image->addrs));
	gzwrite(file, image->pages, head.page_count * (unsigned)CTASK_PAGE);
	return gzclose(file) == Z_OK ? 0 : -1;
}

static int keep(const char *path, struct ctask_pages *pages, const struct ctask_mapping *map)
{
	struct image *image = take_image(pages, map);
	size_t len;
	char *want = picture(image, &len);
	int ret = -1;

	if (want) {
		for (uint32_t i = 0; i < image->page_count; i++)
			clear_needless(image, want, image->pages + (size_t)i * CTASK_PAGE,
				       CTASK_PAGE);
		ret = write_image(path, image);
		printf("%u pages\n", image->page_count);
	}
	free(want);
	image_destroy(&image->memory);
	return ret;
}

/* The mapping that Python was found in alone leads to it too. */
static int find_python(struct ctask_pages *pages, const struct ctask_mapping *maps, uint32_t count,
		       struct ctask_python *ret, const struct ctask_mapping **ret_map,
		       struct ctask_error *err)
{
	int code = -ENOENT;

	for (uint32_t i = 0; code && i < count; i++) {
		struct ctask_images one = { .maps = &maps[i], .count = 1, .quick = true };
		struct ctask_memory *memory = pages->memory;

		ctask_pages_fini(pages);
		(void)ctask_pages_init(pages, memory);
		code = ctask_python_find(pages, &one, ret, err);
		*ret_map = &maps[i];
	}
	return code;
}

int main(int argc, char **argv)
{
	struct ctask_snapshot *snap = ctask_snapshot_create();
	struct ctask_mapping *maps = NULL;
	const struct ctask_mapping *map;
	struct ctask_memory *memory;
	struct ctask_python python;
	struct ctask_pages pages;
	struct ctask_error err = { 0 };
	struct ctask_walk walk;
	uint32_t count = 0;
	pid_t pid = argc == 3 ? atoi(argv[1]) : 0;
	int ret;

	if (pid <= 0) {
		fprintf(stderr, "usage: record PID FILE.gz\n");
		return 2;
	}
	if (ctask_process_mappings(pid, &maps, &count, &err) ||
	    ctask_memory_create_process(pid, &memory, &err))
		goto failed;
	(void)ctask_pages_init(&pages, memory);
	if (find_python(&pages, maps, count, &python, &map, &err))
		goto failed;
	ctask_walk_init(&walk, &pages, &python, snap);
	ret = ctask_walk_run(&walk);
	printf("CPython %s: %d, %u tasks, %u edges, %u problems, ", python.version, ret,
	       snap->task_count, snap->edge_count, snap->problem_count);
	ret = ret || keep(argv[2], &pages, map);
	ctask_walk_fini(&walk);
	ctask_pages_fini(&pages);
	ctask_memory_destroy(memory);
	ctask_mappings_free(maps, count);
	ctask_snapshot_destroy(snap);
	return ret ? 1 : 0;

failed:
	fprintf(stderr, "record: %s\n", err.text);
	return 1;
}
