/* pages.h - a bounded cache of a target's pages, and a frozen copy of them all. */
#ifndef CTASK_READER_PAGES_H
#define CTASK_READER_PAGES_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "reader/memory.h"
#include "reader/table.h"

/*
 * A walk over a target's objects reads through here. Three ways to use it:
 *
 *   live    a page is read when it is first touched and may be dropped again
 *           when the cache is full; which pages were touched is remembered.
 *   frozen  ctask_pages_freeze() has read all touched pages in one go; nothing
 *           else is readable, but what was missed is remembered, so that the
 *           next freeze has it too.
 *   held    as frozen, but a page that is missed is read: for a target that is
 *           stopped.
 */
enum ctask_pages_mode { CTASK_PAGES_LIVE, CTASK_PAGES_FROZEN, CTASK_PAGES_HELD };

enum { CTASK_PAGES_NEAR = 512 };

struct ctask_pages {
	/* Pages read lately, one for each value of some address bits: most reads find theirs here. */
	struct ctask_near_page {
		uint64_t page;
		const uint8_t *bytes;
	} near[CTASK_PAGES_NEAR];

	struct ctask_memory *memory;
	enum ctask_pages_mode mode;
	struct ctask_table index; /* page address + 1 -> slot */
	uint8_t *slots;
	uint32_t slot_count, slot_room;
	uint32_t slots_ready; /* from the first on: they have memory of ours behind them */

	uint64_t *touched; /* page addresses, some perhaps twice */
	uint32_t touched_count, touched_room;

	uint32_t
		frozen_count; /* touched pages that the last freeze tried; the others were missed since */
	uint64_t *plan;	      /* what a freeze copies; see make_plan() */
	uint32_t plan_count;
	struct ctask_page_run *runs; /* scratch of a freeze */

	uint32_t wanted;     /**< pages asked for by ctask_pages_want() since the last freeze */
	uint64_t missed;     /**< reads that a frozen copy could not serve */
	uint64_t fault_addr; /**< of the last failed read */
	int error;	     /**< sticky: -ESRCH, -EPERM, -ETIME, -ENOMEM, -E2BIG; 0 = none */
	uint64_t pages_read; /**< since creation, for people who measure */
	int64_t deadline_ns; /**< CLOCK_MONOTONIC; past it reading fails with -ETIME. 0 = none */

	uint64_t steps, next_look; /* see ctask_pages_spend() */
	uint64_t steps_allowed;	   /**< besides those that each touched page allows */
};

/** @p memory is borrowed. 0 or -ENOMEM. */
int ctask_pages_init(struct ctask_pages *pages, struct ctask_memory *memory);
void ctask_pages_fini(struct ctask_pages *pages);

/** Forget all copies, keep the list of touched pages; go on in mode live. */
void ctask_pages_thaw(struct ctask_pages *pages);
/**
 * The copy of the page of @p addr, for a memory that knows which bytes of it have changed; NULL when there is
 * none. Valid until something is read.
 */
uint8_t *ctask_pages_copy(struct ctask_pages *pages, uint64_t addr);
/**
 * Do all of a freeze that can be done beforehand, so that the freeze itself,
 * during which a target may be stopped, only copies. 0, or the sticky error.
 */
int ctask_pages_prepare(struct ctask_pages *pages);
/**
 * Behind ctask_pages_prepare(): copy all pages touched so far, and small gaps
 * between them, in as few calls as possible; go on in mode
 * frozen. Pages that can no longer be read are left out. 0, or the sticky error.
 */
int ctask_pages_freeze(struct ctask_pages *pages);
/** 0, or the sticky error: -ETIME once the deadline is past. */
int ctask_pages_check_deadline(struct ctask_pages *pages);
/**
 * All of these @p len bytes matter, though the reading of them may break off at the first page that a
 * frozen copy lacks: remember all that it lacks of them.
 */
void ctask_pages_want(struct ctask_pages *pages, uint64_t addr, uint64_t len);
/** From frozen to held, or back. */
static inline void ctask_pages_hold(struct ctask_pages *pages, bool hold)
{
	pages->mode = hold ? CTASK_PAGES_HELD : CTASK_PAGES_FROZEN;
}

/** Not for callers: the part of ctask_pages_spend() that is not on the hot path. */
int ctask_pages_look_up(struct ctask_pages *pages);

/**
 * Account for @p steps of work. Each loop that a target's data keeps going
 * calls this: a walk may take so many steps as the pages that it touches can
 * explain, so that no memory, however it is linked to itself, keeps it busy
 * for ever or makes it take up memory without bound; and a deadline is kept
 * also where no page is missed. 0, or the sticky error: -E2BIG past the ceiling.
 */
static inline int ctask_pages_spend(struct ctask_pages *pages, uint64_t steps)
{
	pages->steps += steps;
	return pages->steps < pages->next_look ? 0 : ctask_pages_look_up(pages);
}

/** Not for callers: the part of ctask_pages_read() that is not on the hot path. */
int ctask_pages_read_slowly(struct ctask_pages *pages, uint64_t addr, void *dst, size_t len);

/** Not for callers: where the page of @p addr is, if it was read lately. */
static inline struct ctask_near_page *ctask_pages_near(struct ctask_pages *pages, uint64_t addr)
{
	return &pages->near[addr / CTASK_PAGE % CTASK_PAGES_NEAR];
}

/**
 * Copy @p len bytes at @p addr to @p dst. All or nothing: on failure @p dst is
 * undefined. 0, -EFAULT when there is no such memory (or none in the frozen
 * copy), or the sticky error.
 */
static inline int ctask_pages_read(struct ctask_pages *pages, uint64_t addr, void *dst, size_t len)
{
	uint64_t in_page = addr & (CTASK_PAGE - 1);
	const struct ctask_near_page *near = ctask_pages_near(pages, addr);

	if (addr - in_page == near->page && len <= CTASK_PAGE - in_page) {
		memcpy(dst, near->bytes + in_page, len);
		return 0;
	}
	return ctask_pages_read_slowly(pages, addr, dst, len);
}

#endif
