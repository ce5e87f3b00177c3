/* fuzz_json.c - a snapshot as a stranger tells it: whatever is taken can be told again, and drawn. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/render/render.h"
#include "model/cancellation.h"
#include "model/fit.h"
#include "model/json.h"
#include "model/json_read.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One with something in every place, which inputs change. */
static char *whole;
static size_t whole_len;

static char *print(const struct ctask_snapshot *snap, size_t *ret_len)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, ret_len);

	if (!out || ctask_json_write_snapshot(snap, out, NULL) || fclose(out))
		abort();
	return text;
}

static void add_cancellation(struct ctask_history *history, uint32_t frame)
{
	struct ctask_cancellation *c = ctask_history_add(history);

	c->id = history->count;
	c->time_us = 1795289163000000;
	c->root = 1;
	c->cause = c->id - 1;
	c->target = 0x7f0000000100;
	c->target_name = c->message = "t";
	c->through = CTASK_THROUGH_TIMEOUT;
	c->delay_s = 1;
	c->exception_type = "E";
	c->failed_task = 0x7;
	c->outcome = CTASK_OUTCOME_SWALLOWED;
	c->after_s = 0.5;
	ctask_history_push_stack(history, &c->stack, frame);
}

static void add_history(struct ctask_snapshot *snap)
{
	const struct ctask_birth_facts birth = { 0x7f0000000100, 1795289160000000, 0x7f0000000000,
						 0 };

	snap->history = ctask_history_create();
	snap->history->pid = 1;
	ctask_history_add_frame(snap->history);
	ctask_history_add_birth(snap->history, &birth);
	add_cancellation(snap->history, 0);
	add_cancellation(snap->history, 0);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct ctask_snapshot *snap = ctask_snapshot_create();

	(void)argc, (void)argv;
	snap->capture.captured_at_us = 1795289163123456;
	snap->process.pid = 1;
	ctask_snapshot_add_runtime(snap);
	snap->runtimes[0].kind = snap->runtimes[0].implementation = "asyncio";
	snap->runtimes[0].library = "/a/";
	ctask_snapshot_add_frame(snap);
	snap->frames[0] = (struct ctask_frame){ "f", "/a/b", 1, true };
	ctask_snapshot_add_scope(snap);
	snap->scopes[0].id = 0xabc;
	for (uint32_t i = 0; i < 3; i++) {
		ctask_snapshot_add_task(snap);
		snap->tasks[i].id = 0x7f0000000000 + i * 0x100ull;
		snap->tasks[i].name = "t";
		snap->tasks[i].runtime = 0;
		snap->tasks[i].scope = 0;
		snap->tasks[i].state = CTASK_WAITING;
		snap->tasks[i].wait_kind = CTASK_WAIT_LOCK;
		ctask_snapshot_push_stack(snap, 0);
		ctask_snapshot_add_edge(snap, i, (i + 1) % 3, CTASK_EDGE_AWAIT);
	}
	ctask_snapshot_add_problem(snap, 0, "p");
	add_history(snap);
	whole = print(snap, &whole_len);
	ctask_snapshot_destroy(snap);
	return 0;
}

/* What was taken once is told as it will be told again. */
static void check_same(const struct ctask_snapshot *snap)
{
	struct ctask_snapshot *back = NULL, *again = NULL;
	size_t len, second_len;
	char *text = print(snap, &len), *second;

	if (ctask_json_read_snapshot(text, len, &back, NULL))
		abort();
	free(text);
	text = print(back, &len);
	if (ctask_json_read_snapshot(text, len, &again, NULL))
		abort();
	second = print(again, &second_len);
	if (len != second_len || memcmp(text, second, len) != 0)
		abort();
	free(text);
	free(second);
	ctask_snapshot_destroy(back);
	ctask_snapshot_destroy(again);
}

static void draw(struct ctask_snapshot *snap)
{
	const struct ctask_render_options options = { .fold = true, .frames = true, .width = 80 };
	FILE *out = fopen("/dev/null", "w");

	if (ctask_fit_history(snap) || ctask_render_tree(snap, &options, out, NULL) ||
	    ctask_render_table(snap, &options, out, NULL) ||
	    ctask_render_csv(snap, &options, out, NULL))
		abort();
	fclose(out);
}

/* Changes of the whole: an offset, how many bytes go, and what comes instead, up to a byte 255. */
static char *change(const uint8_t *data, size_t size, size_t *ret_len)
{
	char *text = malloc(whole_len + size + 1);
	size_t len = whole_len;

	memcpy(text, whole, len);
	while (size > 3) {
		size_t at = (data[0] | (size_t)data[1] << 8) % len, gone = data[2], come = 0;

		data += 3, size -= 3;
		while (come < size && data[come] != 255)
			come++;
		if (gone > len - at)
			gone = len - at;
		memmove(text + at + come, text + at + gone, len - at - gone);
		memcpy(text + at, data, come);
		len = len - gone + come;
		come += come < size;
		data += come, size -= come;
		if (!len)
			break;
	}
	*ret_len = len;
	return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ctask_snapshot *snap = NULL;
	struct ctask_error err = { 0 };
	size_t len = 0;
	char *text;

	if (size < 1)
		return -1;
	if (data[0] % 2) {
		text = change(data + 1, size - 1, &len);
	} else {
		len = size - 1;
		text = malloc(len + 1);
		memcpy(text, data + 1, len);
	}
	text = realloc(text, len ? len : 1); /* so that a byte too far shows */
	if (ctask_json_read_snapshot(text, len, &snap, &err)) {
		if (!err.text[0] || strchr(err.text, '\n'))
			abort();
	} else {
		check_same(snap);
		draw(snap);
		ctask_snapshot_destroy(snap);
	}
	free(text);
	return 0;
}
