/* photo.c - the memory of a process as it was when a probe looked: what it copied, and the living rest. */
#include "bpf/photo.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { KEPT = 1 << 10 }; /* pages of 4 KiB: what a few processes' worth of loops touch */

struct kept_page {
	uint64_t addr;
	uint32_t series;
	bool there;
	uint8_t bytes[CTASK_PAGE];
};

struct ctask_photo {
	struct ctask_memory memory;
	struct ctask_memory *live;
	const struct ctask_probe_event *event;
	bool keeps;	 /* what lives is read from what was kept */
	uint32_t series; /* kept pages of another are not to be used */
	uint64_t
		since; /* when the first page of this series was read, or later; CLOCK_MONOTONIC, ns */
	struct kept_page kept[KEPT];
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

/* Of what both have, the page at @p addr takes the bytes of the piece. False when there is nothing. */
static bool lay_piece(const struct ctask_probe_piece *piece, uint64_t addr, uint8_t *page)
{
	uint64_t from = piece->addr > addr ? piece->addr : addr;
	uint64_t end = piece->addr + piece->len;

	if (end > addr + CTASK_PAGE)
		end = addr + CTASK_PAGE;
	if (from >= end)
		return false;
	memcpy(page + (from - addr), piece->bytes + (from - piece->addr), end - from);
	return true;
}

/* Put what was copied over the page at @p addr. False when nothing of it was. */
static bool lay_over(const struct ctask_photo *photo, uint64_t addr, uint8_t *page)
{
	const struct ctask_probe_piece *piece = NULL;
	bool any = false;

	while ((piece = ctask_piece_next(photo->event, piece)))
		any |= lay_piece(piece, addr, page);
	return any;
}

static struct kept_page *slot_of(struct ctask_photo *photo, uint64_t addr)
{
	return &photo->kept[addr / CTASK_PAGE % KEPT];
}

static bool is_kept(struct ctask_photo *photo, uint64_t addr)
{
	const struct kept_page *page = slot_of(photo, addr);

	return page->addr == addr && page->series == photo->series;
}

/* Read all of @p run that can be read; what cannot is kept too, as that. */
static void keep_run(struct ctask_photo *photo, const struct ctask_page_run *run, uint8_t *scratch)
{
	ssize_t got = photo->live->ops->read_runs(photo->live, run, 1, scratch);
	size_t count = got < 0 ? 0 : (size_t)got / CTASK_PAGE;

	for (size_t i = 0; i < run->count && i <= count; i++) {
		struct kept_page *page = slot_of(photo, run->addr + i * CTASK_PAGE);

		page->addr = run->addr + i * CTASK_PAGE;
		page->series = photo->series;
		page->there = i < count;
		if (page->there)
			memcpy(page->bytes, scratch + i * CTASK_PAGE, CTASK_PAGE);
	}
}

static ssize_t read_runs(struct ctask_memory *memory, const struct ctask_page_run *runs,
			 size_t run_count, uint8_t *to)
{
	struct ctask_photo *photo = (struct ctask_photo *)memory;
	ssize_t total = 0;

	if (!photo->keeps)
		return photo->live->ops->read_runs(photo->live, runs, run_count, to);
	for (size_t i = 0; i < run_count; i++)
		for (size_t n = 0; n < runs[i].count; n++) {
			const struct ctask_page_run rest = { runs[i].addr + n * CTASK_PAGE,
							     runs[i].count - n };
			const struct kept_page *page = slot_of(photo, rest.addr);

			if (!is_kept(photo, rest.addr))
				keep_run(photo, &rest, to + total);
			if (page->there)
				memcpy(to + total, page->bytes, CTASK_PAGE);
			else /* it may have ended since: what was copied is there */
				memset(to + total, 0, CTASK_PAGE);
			if (!(photo->event && lay_over(photo, rest.addr, to + total)) &&
			    !page->there)
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

static uint64_t monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* What lives, as it was read last, where @p piece lies on the page at @p addr. */
static void take_off(struct ctask_photo *photo, const struct ctask_probe_piece *piece,
		     uint64_t addr, uint8_t *page)
{
	const struct ctask_page_run run = { addr, 1 };
	const struct kept_page *kept = slot_of(photo, addr);
	uint64_t from = piece->addr > addr ? piece->addr : addr;
	uint64_t end = piece->addr + piece->len;

	if (!is_kept(photo, addr))
		keep_run(photo, &run, page);
	if (end > addr + CTASK_PAGE)
		end = addr + CTASK_PAGE;
	if (kept->there)
		memcpy(page + (from - addr), kept->bytes + (from - addr), end - from);
	else
		memset(page + (from - addr), 0, end - from);
}

/* In the copies that @p pages have: the pieces of @p event, or what lives there. */
static void bring_up_to_date(struct ctask_photo *photo, const struct ctask_probe_event *event,
			     struct ctask_pages *pages)
{
	const struct ctask_probe_piece *piece = NULL;

	while ((piece = ctask_piece_next(event, piece))) {
		uint64_t addr = piece->addr & ~(uint64_t)(CTASK_PAGE - 1);

		for (; addr < piece->addr + piece->len; addr += CTASK_PAGE) {
			uint8_t *page = ctask_pages_copy(pages, addr);

			if (page && photo->event)
				(void)lay_piece(piece, addr, page);
			else if (page)
				take_off(photo, piece, addr, page);
		}
	}
}

bool ctask_photo_show(struct ctask_photo *photo, const struct ctask_probe_event *event,
		      struct ctask_pages *pages)
{
	bool is_older = !photo->keeps || event->time_ns >= photo->since;

	photo->event = event;
	photo->keeps = true;
	if (is_older) {
		photo->series++;
		photo->since = monotonic_ns();
	} else {
		bring_up_to_date(photo, event, pages);
	}
	return is_older;
}

void ctask_photo_hide(struct ctask_photo *photo, struct ctask_pages *pages)
{
	const struct ctask_probe_event *event = photo->event;

	photo->event = NULL;
	if (event)
		bring_up_to_date(photo, event, pages);
}

void ctask_photo_live(struct ctask_photo *photo)
{
	photo->keeps = false;
}
