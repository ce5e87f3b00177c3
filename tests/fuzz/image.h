/* image.h - a recorded piece of a process: the pages that a capture touched. */
#ifndef CTASK_TESTS_FUZZ_IMAGE_H
#define CTASK_TESTS_FUZZ_IMAGE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "reader/memory.h"
#include "reader/process.h"

/* The head of a recording; maps (struct image_map, path), page addresses and pages follow it. */
struct image_head {
	char magic[8];
	uint32_t map_count, page_count;
};

struct image_map {
	uint64_t start;
	uint64_t path_bytes;
};

static const char image_magic[8] = "ctaskim1";

/* Of a file that we made ourselves, but a bad one should be said to be bad. */
enum { IMAGE_MAPS_MAX = 1024, IMAGE_PAGES_MAX = 65536 };

struct image {
	struct ctask_memory memory; /* reads what is here */
	struct ctask_mapping *maps;
	uint32_t map_count;
	uint64_t *addrs; /* of the pages, ascending */
	uint8_t *pages;	 /* one after another */
	uint8_t *gone;	 /* one for each page: 1 = not mapped */
	uint32_t page_count;
};

static inline ssize_t image_find(const struct image *image, uint64_t addr)
{
	size_t low = 0, high = image->page_count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (image->addrs[mid] == addr)
			return image->gone[mid] ? -1 : (ssize_t)mid;
		if (image->addrs[mid] < addr)
			low = mid + 1;
		else
			high = mid;
	}
	return -1;
}

static inline ssize_t image_read_runs(struct ctask_memory *memory,
				      const struct ctask_page_run *runs, size_t run_count,
				      uint8_t *to)
{
	const struct image *image = (const struct image *)memory;
	ssize_t total = 0;

	for (size_t i = 0; i < run_count; i++)
		for (size_t n = 0; n < runs[i].count; n++) {
			ssize_t page = image_find(image, runs[i].addr + n * CTASK_PAGE);

			if (page < 0)
				return total;
			memcpy(to + total, image->pages + (size_t)page * CTASK_PAGE, CTASK_PAGE);
			total += CTASK_PAGE;
		}
	return total;
}

static inline void image_destroy(struct ctask_memory *memory)
{
	struct image *image = (struct image *)memory;

	ctask_mappings_free(image->maps, image->map_count);
	free(image->addrs);
	free(image->pages);
	free(image->gone);
	free(image);
}

static const struct ctask_memory_ops image_ops = {
	.name = "image",
	.read_runs = image_read_runs,
	.destroy = image_destroy,
};

static inline int image_take(gzFile file, void *to, size_t bytes)
{
	return gzread(file, to, (unsigned)bytes) == (int)bytes ? 0 : -1;
}

/* NULL when @p path is no recording. */
static inline struct image *image_load(const char *path)
{
	struct image *image = calloc(1, sizeof(*image));
	gzFile file = gzopen(path, "rbe");
	struct image_head head;
	int bad = !image || !file || image_take(file, &head, sizeof(head)) ||
		  memcmp(head.magic, image_magic, sizeof(image_magic)) ||
		  head.map_count > IMAGE_MAPS_MAX || head.page_count > IMAGE_PAGES_MAX;

	if (!bad) {
		image->memory.ops = &image_ops;
		image->maps = calloc(head.map_count + 1, sizeof(*image->maps));
		image->addrs = calloc(head.page_count + 1, sizeof(*image->addrs));
		image->pages = calloc(head.page_count + 1, CTASK_PAGE);
		image->gone = calloc(head.page_count + 1, 1);
		bad = !image->maps || !image->addrs || !image->pages || !image->gone;
	}
	for (uint32_t i = 0; !bad && i < head.map_count; i++) {
		struct image_map map;
		char path_bytes[4096] = "";

		bad = image_take(file, &map, sizeof(map)) || map.path_bytes >= sizeof(path_bytes) ||
		      image_take(file, path_bytes, map.path_bytes);
		if (!bad)
			image->maps[image->map_count++] =
				(struct ctask_mapping){ .start = map.start,
							.path = strdup(path_bytes) };
	}
	bad = bad || image_take(file, image->addrs, head.page_count * sizeof(*image->addrs)) ||
	      image_take(file, image->pages, (size_t)head.page_count * CTASK_PAGE);
	if (file)
		gzclose(file);
	if (bad) {
		if (image)
			image_destroy(&image->memory);
		return NULL;
	}
	image->page_count = head.page_count;
	return image;
}

#endif
