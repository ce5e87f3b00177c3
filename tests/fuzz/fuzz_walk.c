/* fuzz_walk.c - the walk over a recorded process of which the input changes words, bytes and pages. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/cleanup.h"
#include "model/json.h"
#include "reader/walk.h"
#include "tests/fuzz/image.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	SEEDS_MAX = 16,
	CHANGES_MAX = 64,
	/* Few, so that a walk in circles ends in a fraction of a second. */
	STEPS_ALLOWED = 1 << 16,
};

/* A recording, and what is known of it before anything is changed. */
struct seed {
	struct image *image;
	struct ctask_python python;
	uint32_t *pointers; /* words that lead to a page of the image: page * 512 + word */
	uint32_t pointer_count;
	uint32_t *words; /* words that are not 0 */
	uint32_t word_count;
};

static struct seed seeds[SEEDS_MAX];
static size_t seed_count;
static FILE *nowhere;

/* One change of the image; an input is an array of these behind its head. */
struct change {
	uint8_t what;
	uint8_t byte;
	uint16_t where, high;
	uint16_t value;
};

enum { TO_POINTER, TO_PLACE, TO_SMALL, FLIP, TO_BYTE, NO_PAGE, MOVE, TO_SPECIAL, WHATS };

struct head {
	uint8_t seed;
	uint8_t how; /* see HOW_… */
};

enum {
	HOW_FIND = 1,	/* look for Python in the changed image too */
	HOW_COUNT = 2,	/* as a glance does */
	HOW_TWICE = 4,	/* once as it was, then changed */
	HOW_FROZEN = 8, /* from a copy of the pages that a first pass touched */
};

static const uint64_t specials[] = {
	0,	    1,	     2,	      3,	7,	    8,		0x7f,	    0x80,
	0xff,	    0x100,   511,     512,	4095,	    4096,	0xffff,	    0x10000,
	1 << 20,    1 << 24, 1 << 28, 1u << 31, UINT32_MAX, 1ull << 32, 1ull << 47, INT64_MAX,
	1ull << 63, -16,     -8,      -4,	-2,	    -1,
};

static uint64_t *word_at(const struct seed *seed, uint32_t word)
{
	return (uint64_t *)(void *)seed->image->pages + word;
}

static void index_words(struct seed *seed)
{
	const struct image *image = seed->image;
	uint32_t count = image->page_count * (CTASK_PAGE / 8);

	seed->pointers = calloc(count, sizeof(uint32_t));
	seed->words = calloc(count, sizeof(uint32_t));
	if (!seed->pointers || !seed->words)
		abort();
	for (uint32_t i = 0; i < count; i++) {
		uint64_t value = *word_at(seed, i);

		if (value)
			seed->words[seed->word_count++] = i;
		if (image_find(image, value & ~(uint64_t)(CTASK_PAGE - 1)) >= 0)
			seed->pointers[seed->pointer_count++] = i;
	}
}

static int find_python(const struct seed *seed, struct ctask_python *ret)
{
	const struct ctask_images images = { .maps = seed->image->maps,
					     .count = seed->image->map_count,
					     .quick = true };
	struct ctask_pages pages;
	struct ctask_error err;
	int code;

	(void)ctask_pages_init(&pages, &seed->image->memory);
	pages.steps_allowed = STEPS_ALLOWED;
	code = ctask_python_find(&pages, &images, ret, &err);
	ctask_pages_fini(&pages);
	return code;
}

static void add_seed(const char *path)
{
	struct seed *seed = &seeds[seed_count];

	seed->image = image_load(path);
	if (!seed->image || find_python(seed, &seed->python)) {
		fprintf(stderr, "fuzz_walk: %s is no recording of a Python\n", path);
		exit(1);
	}
	index_words(seed);
	seed_count++;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const char *folder = getenv("CTASK_SEEDS");
	struct dirent **found = NULL;
	int count = folder ? scandir(folder, &found, NULL, alphasort) : -1;

	(void)argc, (void)argv;
	for (int i = 0; i < count; i++) {
		char path[4096];

		snprintf(path, sizeof(path), "%s/%s", folder, found[i]->d_name);
		if (strstr(found[i]->d_name, ".image.gz") && seed_count < SEEDS_MAX)
			add_seed(path);
		free(found[i]);
	}
	free(found);
	nowhere = fopen("/dev/null", "we");
	if (!seed_count || !nowhere) {
		fprintf(stderr, "fuzz_walk: CTASK_SEEDS names no directory with *.image.gz\n");
		exit(1);
	}
	return 0;
}

static uint32_t pick(const uint32_t *from, uint32_t count, const struct change *c)
{
	return from[(c->where | (uint32_t)(c->high & 0xff) << 16) % count];
}

/* The word that @p c is about, and what it becomes. */
static uint32_t changed_word(const struct seed *seed, const struct change *c, uint64_t *ret_value)
{
	const struct image *image = seed->image;
	uint32_t pointer = pick(seed->pointers, seed->pointer_count, c);
	uint32_t word = pick(seed->words, seed->word_count, c);

	switch (c->what % WHATS) {
	case TO_POINTER:
		*ret_value = *word_at(seed, seed->pointers[c->value % seed->pointer_count]);
		return pointer;
	case TO_PLACE:
		*ret_value = image->addrs[c->value % image->page_count] + c->byte * 16ull;
		return pointer;
	case TO_SMALL:
		*ret_value = (uint64_t)(int64_t)(int16_t)c->value;
		return word;
	case FLIP:
		*ret_value = *word_at(seed, word) ^ 1ull << c->value % 64;
		return word;
	case MOVE:
		*ret_value = *word_at(seed, pointer) + (uint64_t)(int64_t)(int16_t)c->value;
		return pointer;
	case TO_SPECIAL:
		*ret_value = specials[c->value % ARRAY_SIZE(specials)];
		return c->byte & 1 ? pointer : word;
	default:
		word = (c->where | (uint32_t)c->high << 16) % (image->page_count * 512);
		*ret_value = *word_at(seed, word);
		memset((uint8_t *)ret_value + c->value % 8, c->byte, 1);
		return word;
	}
}

/* What to put back afterwards. */
struct undo {
	uint32_t word;
	uint64_t value;
};

static size_t change_image(const struct seed *seed, const uint8_t *data, size_t size,
			   struct undo *undo)
{
	size_t count = 0;

	for (; size >= sizeof(struct change) && count < CHANGES_MAX;
	     data += sizeof(struct change), size -= sizeof(struct change)) {
		struct change c;
		uint64_t value;
		uint32_t word;

		memcpy(&c, data, sizeof(c));
		if (c.what % WHATS == NO_PAGE) {
			seed->image->gone[c.where % seed->image->page_count] = 1;
			continue;
		}
		word = changed_word(seed, &c, &value);
		undo[count++] = (struct undo){ .word = word, .value = *word_at(seed, word) };
		*word_at(seed, word) = value;
	}
	return count;
}

static void restore_image(const struct seed *seed, const struct undo *undo, size_t count)
{
	while (count--)
		*word_at(seed, undo[count].word) = undo[count].value;
	memset(seed->image->gone, 0, seed->image->page_count);
}

/* What must hold of any snapshot, whatever it was made from. */
static void check_snapshot(const struct ctask_snapshot *snap)
{
	for (uint32_t i = 0; i < snap->task_count; i++) {
		const struct ctask_task *t = &snap->tasks[i];

		if (t->runtime >= snap->runtime_count || t->stack_count > snap->stack_frame_count ||
		    (t->state == CTASK_WAITING && !t->wait_text))
			abort();
		for (uint32_t n = 0; n < t->stack_count; n++)
			if (ctask_task_stack(snap, t)[n] >= snap->frame_count)
				abort();
	}
	for (uint32_t i = 0; i < snap->edge_count; i++)
		if (snap->edges[i].waiter >= snap->task_count ||
		    snap->edges[i].awaited >= snap->task_count)
			abort();
	if (ctask_json_write_snapshot(snap, nowhere, NULL))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct undo undo[CHANGES_MAX];
	struct ctask_python python;
	struct ctask_snapshot *snap;
	struct ctask_pages pages;
	struct ctask_walk walk;
	const struct seed *seed;
	struct head head;
	size_t changes;
	int ret;

	if (size < sizeof(head))
		return -1;
	memcpy(&head, data, sizeof(head));
	seed = &seeds[head.seed % seed_count];
	python = seed->python;
	snap = ctask_snapshot_create();
	(void)ctask_pages_init(&pages, &seed->image->memory);
	pages.steps_allowed = STEPS_ALLOWED;
	ctask_walk_init(&walk, &pages, &python, snap);
	walk.count_only = head.how & HOW_COUNT;
	if (head.how & HOW_TWICE) {
		(void)ctask_walk_run(&walk);
		ctask_pages_thaw(&pages);
	}
	changes = change_image(seed, data + sizeof(head), size - sizeof(head), undo);
	if (!(head.how & HOW_FIND) || !find_python(seed, &python)) {
		ret = ctask_walk_run(&walk);
		if (!ret && head.how & HOW_FROZEN && !ctask_pages_prepare(&pages) &&
		    !ctask_pages_freeze(&pages))
			ret = ctask_walk_run(&walk);
		if (!ret && !walk.count_only)
			check_snapshot(snap);
	}
	ctask_walk_fini(&walk);
	ctask_pages_fini(&pages);
	ctask_snapshot_destroy(snap);
	restore_image(seed, undo, changes);
	return 0;
}
