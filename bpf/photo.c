/* photo.c - the memory of a process as it was when a probe looked: what it copied, and the living rest. */
#include "bpf/photo.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct ctask_photo {
	struct ctask_memory memory;
	struct ctask_memory *live;
	const struct ctask_probe_event *event;
};

const struct ctask_probe_piece *ctask_piece_next(const struct ctask_probe_event *event,
						 const struct ctask_probe_piece *piece)
{
	const char *end = (const char *)event + event->bytes;
	const char *at = piece ? (const char *)piece->bytes + (piece->len + 7) / 8 * 8
			       : (const char *)(event + 1);

	return at + sizeof(*piece) <= end ? (const struct ctask_probe_piece *)at : NULL;
}

int ctask_event_is_whole(const struct ctask_probe_event *event, size_t len)
{
	const struct ctask_probe_piece *piece = NULL;

	if (len < sizeof(*event) || event->bytes > len || event->bytes < sizeof(*event))
		return false;
	while ((piece = ctask_piece_next(event, piece)))
		if (piece->len > CTASK_PIECE_MAX ||
		    (const char *)piece->bytes + piece->len > (const char *)event + event->bytes)
			return false;
	return true;
}

/* Put what was copied over the page at @p addr. False when nothing of it was. */
static bool lay_over(const struct ctask_photo *photo, uint64_t addr, uint8_t *page)
{
	const struct ctask_probe_piece *piece = NULL;
	bool any = false;

	while ((piece = ctask_piece_next(photo->event, piece))) {
		uint64_t from = piece->addr > addr ? piece->addr : addr;
		uint64_t end = piece->addr + piece->len;

		if (end > addr + CTASK_PAGE)
			end = addr + CTASK_PAGE;
		if (from >= end)
			continue;
		memcpy(page + (from - addr), piece->bytes + (from - piece->addr), end - from);
		any = true;
	}
	return any;
}

static ssize_t read_runs(struct ctask_memory *memory, const struct ctask_page_run *runs,
			 size_t run_count, uint8_t *to)
{
	struct ctask_photo *photo = (struct ctask_photo *)memory;
	ssize_t total = 0;

	if (!photo->event)
		return photo->live->ops->read_runs(photo->live, runs, run_count, to);
	for (size_t i = 0; i < run_count; i++)
		for (size_t n = 0; n < runs[i].count; n++) {
			struct ctask_page_run one = { runs[i].addr + n * CTASK_PAGE, 1 };
			ssize_t got = photo->live->ops->read_runs(photo->live, &one, 1, to + total);

			if (got !=
			    CTASK_PAGE) /* it may have ended since: what was copied is there */
				memset(to + total, 0, CTASK_PAGE);
			if (!lay_over(photo, one.addr, to + total) && got != CTASK_PAGE)
				return total;
			total += CTASK_PAGE;
		}
	return total;
}

static void destroy(struct ctask_memory *memory)
{
	free(memory);
}

static const struct ctask_memory_ops ops = {
	.name = "photo",
	.read_runs = read_runs,
	.destroy = destroy,
};

struct ctask_photo *ctask_photo_create(struct ctask_memory *live)
{
	struct ctask_photo *photo = calloc(1, sizeof(*photo));

	if (photo) {
		photo->memory.ops = &ops;
		photo->live = live;
	}
	return photo;
}

struct ctask_memory *ctask_photo_memory(struct ctask_photo *photo)
{
	return &photo->memory;
}

void ctask_photo_show(struct ctask_photo *photo, const struct ctask_probe_event *event)
{
	photo->event = event;
}
