/* fuzz_history.c - an agent's history: a small one that the input changes, while it is read too. */
#include <stdio.h>

#include "model/json_cancellation.h"
#include "reader/history.h"
#include "tests/unit/history_made.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { IMAGE_ADDR = 0x10000, READS_MAX = 4096 };

/* Changes to the image are made before the read with their number. */
struct changing {
	struct ctask_memory memory;
	struct image image;
	const uint8_t *data; /* 5 bytes each: the number, an offset, a byte to be added */
	size_t size;
	uint32_t reads;
};

static FILE *nowhere;

static ssize_t changing_read(struct ctask_memory *memory, const struct ctask_page_run *runs,
			     size_t count, uint8_t *to)
{
	struct changing *c = (struct changing *)memory;
	uint8_t *bytes = (uint8_t *)c->image.header;
	ssize_t done = 0;

	c->reads++;
	for (size_t i = 0; i + 5 <= c->size; i += 5) {
		uint32_t at =
			(uint32_t)(c->data[i + 1] | c->data[i + 2] << 8 | c->data[i + 3] << 16);

		if (c->data[i] == c->reads)
			bytes[at % c->image.bytes] ^= c->data[i + 4];
	}
	for (size_t i = 0; i < count && c->reads < READS_MAX; i++) {
		for (size_t page = 0; page < runs[i].count; page++, done += CTASK_PAGE) {
			uint64_t at = runs[i].addr + page * CTASK_PAGE - IMAGE_ADDR;
			size_t n;

			if (at >= c->image.bytes)
				return done;
			n = c->image.bytes - at < CTASK_PAGE ? c->image.bytes - at : CTASK_PAGE;
			memset(to + done, 0, CTASK_PAGE);
			memcpy(to + done, bytes + at, n);
		}
	}
	return done;
}

static const struct ctask_memory_ops changing_ops = { .name = "changing",
						      .read_runs = changing_read };

static void fill(struct image *image)
{
	for (uint32_t i = 0; i < 11; i++) {
		const uint32_t places[] = { image_frame(image, "sleep", "/asyncio/tasks.py", 5,
							true),
					    image_frame(image, "work", "/srv/svc.py", i, false) };
		struct ctask_record *r = image_record(image);

		r->cause = i % 3 ? r->id - 1 : 0;
		r->root = r->id - i % 3;
		r->outcome = (uint8_t)(i % CTASK_OUTCOMES);
		r->target_name = image_text(image, "Task-1");
		r->target_coroutine = image_word(image, "work");
		r->message = image_text(image, "m\xc3\xa9\xed\xa0\x80");
		r->target_stack = image_put_side(image, places, sizeof(places));
		r->stack = r->target_stack;
	}
	image->births[0] = (struct ctask_birth){ 0x100, 5, 0, 1, 2 };
	image->header->birth_used = 2;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc, (void)argv;
	nowhere = fopen("/dev/null", "w");
	return nowhere ? 0 : -1;
}

/* What is told must hold what the model promises. */
static void examine(struct ctask_history *history)
{
	for (uint32_t i = 0; i < history->count; i++) {
		const struct ctask_cancellation *c = &history->items[i];

		if (c->cause >= c->id || (i && c->id <= history->items[i - 1].id))
			__builtin_trap();
	}
	(void)ctask_json_write_cancellations(history, NULL, nowhere, NULL);
	ctask_history_destroy(history);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int (*const reads[])(struct ctask_history_reader *, struct ctask_history **,
				    struct ctask_error *) = {
		ctask_history_read_changes,
		ctask_history_read,
		ctask_history_read_births,
		ctask_history_read_changes,
	};
	struct changing c = { .memory.ops = &changing_ops, .data = data, .size = size };
	struct ctask_history_reader *reader;
	struct ctask_error err;

	image_init(&c.image, IMAGE_RECORDS, IMAGE_SIDE);
	fill(&c.image);
	if (!ctask_history_reader_open_memory(&c.memory, IMAGE_ADDR, c.image.bytes, 1, &reader,
					      &err)) {
		for (size_t i = 0; i < sizeof(reads) / sizeof(*reads); i++) {
			struct ctask_history *history;

			if (!reads[i](reader, &history, &err))
				examine(history);
		}
		ctask_history_reader_close(reader);
	}
	free(c.image.header);
	return 0;
}
