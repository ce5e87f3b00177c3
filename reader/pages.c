/* pages.c - a bounded cache of a target's pages, and a frozen copy of them all. */
#include "reader/pages.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

enum {
	/*
	 * 2 MiB: a walk in order of allocation rarely reads a page twice, and slots
	 * that are used again cost no page fault and stay in the processor's cache.
	 */
	LIVE_SLOTS = 512,
	/* Pages read with one that is missed, within an aligned group of so many. */
	AHEAD_PAGES = 4,
	/* Gaps of at most so many pages are copied too, so many and as many as there are pages. */
	GAP_PAGES = 4,
	GAP_BUDGET = 256,
	/* Largest table that is remembered whole. */
	WANTED_MAX = 64 << 20,
	/* All those of one copy together: 1 GiB. What is wanted was not seen to be there. */
	WANTED_PAGES_MAX = 1 << 18,
	/* In a plan: lies in a gap, was not touched. */
	GAP = 1,
	/* Pages copied in one call: about 0.2 ms, so that a deadline is kept. */
	PIECE_PAGES = 256,
	/* No page has this address: it is not aligned. */
	NO_PAGE = 1,
	/* Steps between two looks at the clock: less than a tenth of a millisecond. */
	LOOK_STEPS = 1024,
	/* An honest walk takes about one for each object: a page has room for 256 of the smallest. */
	STEPS_A_PAGE = 1 << 14,
	STEPS_ALLOWED = 1 << 26,
	/* 4 GiB, or some million tasks: a target can map any number of pages for nothing. */
	COPIED_MAX = 1 << 20,
	/* 1 TiB: also keeps the arithmetic below within 32 bits. */
	TOUCHED_MAX = 1 << 28,
};

static void forget_near(struct ctask_pages *pages)
{
	for (size_t i = 0; i < CTASK_PAGES_NEAR; i++)
		pages->near[i].page = NO_PAGE;
}

/* In the index: read ahead, but not touched yet. */
#define AHEAD 0x80000000u

int ctask_pages_init(struct ctask_pages *pages, struct ctask_memory *memory)
{
	*pages = (struct ctask_pages){ .memory = memory, .steps_allowed = STEPS_ALLOWED };
	forget_near(pages);
	return 0;
}

static void drop_slots(struct ctask_pages *pages)
{
	if (pages->slots)
		munmap(pages->slots, (size_t)pages->slot_room * CTASK_PAGE);
	pages->slots = NULL;
	pages->slot_room = pages->slots_ready = 0;
}

void ctask_pages_fini(struct ctask_pages *pages)
{
	drop_slots(pages);
	ctask_table_fini(&pages->index);
	free(pages->touched);
	free(pages->runs);
	free(pages->plan);
	*pages = (struct ctask_pages){ 0 };
	forget_near(pages);
}

static void forget(struct ctask_pages *pages)
{
	ctask_table_clear(&pages->index);
	pages->slot_count = 0;
	forget_near(pages);
}

void ctask_pages_thaw(struct ctask_pages *pages)
{
	forget(pages);
	pages->mode = CTASK_PAGES_LIVE;
	pages->missed = 0;
	pages->steps = pages->next_look = 0;
}

uint8_t *ctask_pages_copy(struct ctask_pages *pages, uint64_t addr)
{
	uint64_t page = addr & ~(uint64_t)(CTASK_PAGE - 1);
	uint32_t slot = ctask_table_get(&pages->index, page + 1, UINT32_MAX);

	return slot == UINT32_MAX ? NULL : pages->slots + (size_t)(slot & ~AHEAD) * CTASK_PAGE;
}

static int reserve_slots(struct ctask_pages *pages, uint32_t room)
{
	void *slots;

	if (room <= pages->slot_room)
		return 0;
	drop_slots(pages);
	slots = mmap(NULL, (size_t)room * CTASK_PAGE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (slots == MAP_FAILED)
		return pages->error = -ENOMEM;
	pages->slots = slots;
	pages->slot_room = room;
	return 0;
}

static int by_address(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Sort what was touched, once each. */
static void tidy_touched(struct ctask_pages *pages)
{
	uint32_t kept = 0;

	if (pages->touched_count)
		qsort(pages->touched, pages->touched_count, sizeof(*pages->touched), by_address);
	for (uint32_t i = 0; i < pages->touched_count; i++)
		if (!kept || pages->touched[i] != pages->touched[kept - 1])
			pages->touched[kept++] = pages->touched[i];
	pages->touched_count = kept;
}

static int remember_touched(struct ctask_pages *pages, uint64_t page)
{
	/* A page that is dropped and read again is here twice: only what is new asks for more room. */
	if (pages->touched_count == pages->touched_room) {
		uint32_t room = pages->touched_room * 2 + 1024;
		uint64_t *moved;

		tidy_touched(pages);
		if (pages->touched_count >= TOUCHED_MAX)
			return pages->error = -E2BIG;
		if (pages->touched_count >= pages->touched_room / 2) {
			moved = realloc(pages->touched, room * sizeof(*moved));
			if (!moved)
				return pages->error = -ENOMEM;
			pages->touched = moved;
			pages->touched_room = room;
		}
	}
	pages->touched[pages->touched_count++] = page;
	return 0;
}

int ctask_pages_check_deadline(struct ctask_pages *pages)
{
	struct timespec now;

	if (!pages->deadline_ns)
		return 0;
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (now.tv_sec * 1000000000ll + now.tv_nsec < pages->deadline_ns)
		return 0;
	return pages->error = -ETIME;
}

int ctask_pages_look_up(struct ctask_pages *pages)
{
	uint64_t touched = 0;

	if (pages->error)
		return pages->error;
	pages->next_look = pages->steps + LOOK_STEPS;
	if (pages->touched_count > pages->wanted)
		touched = pages->touched_count - pages->wanted;
	if (pages->steps > pages->steps_allowed + touched * STEPS_A_PAGE)
		return pages->error = -E2BIG;
	return ctask_pages_check_deadline(pages);
}

/*
 * Read @p run into the next slots. What nobody asked for yet is marked so. The
 * number of pages that came, 0 when the first cannot be read, or the sticky error.
 */
static ssize_t load_run(struct ctask_pages *pages, const struct ctask_page_run *run,
			uint64_t wanted)
{
	ssize_t got = pages->memory->ops->read_runs(
		pages->memory, run, 1, pages->slots + (size_t)pages->slot_count * CTASK_PAGE);

	if (got < 0)
		return pages->error = (int)got;
	got /= CTASK_PAGE;
	for (ssize_t i = 0; i < got; i++) {
		uint64_t page = run->addr + (uint64_t)i * CTASK_PAGE;

		if (ctask_table_put(&pages->index, page + 1,
				    pages->slot_count++ | (page == wanted ? 0 : AHEAD)))
			return pages->error = -ENOMEM;
	}
	pages->pages_read += (uint64_t)got;
	return got;
}

/*
 * Bring @p page into a slot. Objects of one age lie together, and a call costs
 * more than a page, so that its neighbours are read with it while the target
 * runs; from a target that is held no more is taken than is needed.
 */
static int load(struct ctask_pages *pages, uint64_t page)
{
	struct ctask_page_run run = { .addr = page, .count = 1 };
	ssize_t got;
	int ret;

	if (pages->error)
		return pages->error;
	ret = remember_touched(pages, page);
	if (ret)
		return ret;
	if (pages->mode == CTASK_PAGES_FROZEN) {
		pages->missed++;
		return -EFAULT;
	}
	ret = ctask_pages_check_deadline(pages);
	if (!ret)
		ret = reserve_slots(pages, LIVE_SLOTS);
	if (ret)
		return ret;
	if (pages->slot_count + AHEAD_PAGES > pages->slot_room) {
		/* Full. In mode held this drops copies of a target that stands still: no harm. */
		forget(pages);
	}
	if (pages->mode == CTASK_PAGES_LIVE)
		while (run.count < AHEAD_PAGES &&
		       (page + run.count * CTASK_PAGE) % (AHEAD_PAGES * CTASK_PAGE) &&
		       ctask_table_get(&pages->index, page + run.count * CTASK_PAGE + 1,
				       UINT32_MAX) == UINT32_MAX)
			run.count++;
	got = load_run(pages, &run, page);
	if (got < 0)
		return (int)got;
	if (got == 0) {
		pages->touched_count--;
		return -EFAULT;
	}
	return 0;
}

static int find(struct ctask_pages *pages, uint64_t page, const uint8_t **ret_bytes)
{
	uint32_t slot = ctask_table_get(&pages->index, page + 1, UINT32_MAX);

	if (slot == UINT32_MAX) {
		int ret = load(pages, page);

		if (ret)
			return ret;
		slot = ctask_table_get(&pages->index, page + 1, UINT32_MAX);
	} else if (slot & AHEAD) {
		int ret = remember_touched(pages, page);

		if (ret)
			return ret;
		slot &= ~AHEAD;
		if (ctask_table_put(&pages->index, page + 1, slot))
			return pages->error = -ENOMEM;
	}
	*ret_bytes = pages->slots + (size_t)slot * CTASK_PAGE;
	*ctask_pages_near(pages, page) =
		(struct ctask_near_page){ .page = page, .bytes = *ret_bytes };
	return 0;
}

void ctask_pages_want(struct ctask_pages *pages, uint64_t addr, uint64_t len)
{
	uint64_t page = addr & ~(uint64_t)(CTASK_PAGE - 1);

	if (pages->mode != CTASK_PAGES_FROZEN || len > WANTED_MAX || len > UINT64_MAX - addr)
		return;
	for (; page < addr + len; page += CTASK_PAGE)
		if (ctask_table_get(&pages->index, page + 1, UINT32_MAX) == UINT32_MAX) {
			pages->missed++;
			if (++pages->wanted > WANTED_PAGES_MAX || remember_touched(pages, page) ||
			    ctask_pages_spend(pages, 1))
				return;
		}
}

int ctask_pages_read_slowly(struct ctask_pages *pages, uint64_t addr, void *dst, size_t len)
{
	uint8_t *to = dst;

	if (len > UINT64_MAX - addr) {
		pages->fault_addr = addr;
		return -EFAULT;
	}
	while (len) {
		uint64_t in_page = addr & (CTASK_PAGE - 1);
		size_t n = CTASK_PAGE - in_page < len ? CTASK_PAGE - in_page : len;
		const uint8_t *bytes = NULL;
		int ret = find(pages, addr - in_page, &bytes);

		if (ret) {
			pages->fault_addr = addr;
			return ret;
		}
		memcpy(to, bytes + in_page, n);
		to += n;
		addr += n;
		len -= n;
	}
	return 0;
}

/*
 * What a freeze copies: the touched pages and what lies in small gaps between
 * them. A program that runs on puts its new objects there, so that a copy with
 * the gaps seldom lacks a page, and costs less than a second stop.
 */
static int make_plan(struct ctask_pages *pages)
{
	uint32_t room = pages->touched_count * 2 + GAP_BUDGET, count = 0;
	uint32_t spare = room - pages->touched_count;
	uint64_t *plan = realloc(pages->plan, room * sizeof(*plan));

	if (!plan)
		return pages->error = -ENOMEM;
	pages->plan = plan;
	for (uint32_t i = 0; i < pages->touched_count; i++) {
		uint64_t page = pages->touched[i];
		uint64_t last = count ? plan[count - 1] & ~(uint64_t)GAP : page;
		uint64_t gap = count ? (page - last) / CTASK_PAGE - 1 : 0;

		if (gap <= GAP_PAGES && gap <= spare)
			for (uint64_t at = last + CTASK_PAGE; gap; gap--, spare--, at += CTASK_PAGE)
				plan[count++] = at | GAP;
		plan[count++] = page;
	}
	pages->plan_count = count;
	return 0;
}

/* Neighbouring pages of a plan as one run each. Returns the number of runs. */
static uint32_t runs_of(const uint64_t *plan, uint32_t count, struct ctask_page_run *runs)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < count; i++) {
		uint64_t page = plan[i] & ~(uint64_t)GAP;

		if (n && page == runs[n - 1].addr + runs[n - 1].count * CTASK_PAGE)
			runs[n - 1].count++;
		else
			runs[n++] = (struct ctask_page_run){ .addr = page, .count = 1 };
	}
	return n;
}

int ctask_pages_prepare(struct ctask_pages *pages)
{
	void *moved;

	if (pages->error)
		return pages->error;
	tidy_touched(pages);
	if (pages->touched_count > COPIED_MAX)
		return pages->error = -E2BIG;
	forget(pages);
	if (make_plan(pages))
		return pages->error;
	/* Copies grow little from one to the next: seldom is new room needed. */
	if (pages->plan_count + GAP_BUDGET > pages->slot_room &&
	    reserve_slots(pages, pages->plan_count * 2 + GAP_BUDGET))
		return pages->error;
	/* Best effort: without it, the first write to each slot costs a page fault. */
	if (pages->plan_count > pages->slots_ready) {
		(void)madvise(pages->slots + (size_t)pages->slots_ready * CTASK_PAGE,
			      (size_t)(pages->plan_count - pages->slots_ready) * CTASK_PAGE,
			      MADV_POPULATE_WRITE);
		pages->slots_ready = pages->plan_count;
	}
	moved = realloc(pages->runs, sizeof(*pages->runs) * PIECE_PAGES);
	if (!moved)
		return pages->error = -ENOMEM;
	pages->runs = moved;
	/* The index gets its size now, not during the freeze. */
	for (uint32_t i = 0; i < pages->plan_count; i++)
		if (ctask_table_put(&pages->index, (pages->plan[i] & ~(uint64_t)GAP) + 1, 0))
			return pages->error = -ENOMEM;
	return 0;
}

/* Copy @p count pages of the plan from the @p first one on, up to one that has gone. */
static ssize_t freeze_piece(struct ctask_pages *pages, uint32_t first, uint32_t count)
{
	uint32_t run_count = runs_of(pages->plan + first, count, pages->runs);
	ssize_t got = pages->memory->ops->read_runs(pages->memory, pages->runs, run_count,
						    pages->slots +
							    (size_t)pages->slot_count * CTASK_PAGE);

	if (got < 0)
		return pages->error = (int)got;
	got /= CTASK_PAGE;
	for (uint32_t i = 0; i < (uint32_t)got; i++) {
		uint64_t page = pages->plan[first + i];
		uint32_t mark = page & GAP ? AHEAD : 0;

		if (ctask_table_put(&pages->index, (page & ~(uint64_t)GAP) + 1,
				    pages->slot_count++ | mark))
			return pages->error = -ENOMEM;
	}
	pages->pages_read += (uint64_t)got;
	return got;
}

int ctask_pages_freeze(struct ctask_pages *pages)
{
	forget(pages);
	pages->missed = 0;
	pages->steps = pages->next_look = 0;
	pages->wanted = 0;
	pages->mode = CTASK_PAGES_FROZEN;
	for (uint32_t done = 0; done < pages->plan_count;) {
		uint32_t left = pages->plan_count - done;
		uint32_t n = left < PIECE_PAGES ? left : PIECE_PAGES;
		ssize_t got;

		if (ctask_pages_check_deadline(pages))
			return pages->error;
		got = freeze_piece(pages, done, n);
		if (got < 0)
			return (int)got;
		done += (uint32_t)got;
		/* A page that has gone stopped the call: leave it out, and the rest of its gap. */
		if (got < n)
			for (done++; done < pages->plan_count && pages->plan[done] & GAP; done++)
				;
	}
	return 0;
}
