/* births.c - which slot of the history each living task has. */
#include "agent/births.h"

#include <stdint.h>
#include <sys/mman.h>

#include "agent/history.h"
#include "agent/slots.h"

enum { ROOM_FIRST = 1 << 10 };

struct noted {
	const void *task;
	uint32_t slot;
};

static struct noted *table; /* open addressing; room is a power of two, at most half full */
static uint32_t room, used;

static struct noted *find(const void *task)
{
	return ctask_slots_find(table, sizeof(*table), room, task);
}

static int grow(void)
{
	uint32_t before = room, larger = room ? room * 2 : ROOM_FIRST;
	struct noted *old = table;
	struct noted *at = ctask_reserve(larger * sizeof(*table));

	if (!at)
		return -1;
	table = at;
	room = larger;
	for (uint32_t i = 0; i < before; i++)
		if (old[i].task)
			*find(old[i].task) = old[i];
	if (old)
		munmap(old, before * sizeof(*table));
	return 0;
}

void ctask_births_add(const void *task, const struct ctask_birth *birth)
{
	struct noted *noted;

	if (used >= room / 2 && grow()) {
		ctask_writer.header->lost_births++;
		return;
	}
	noted = find(task);
	if (noted->task) /* made anew at the same address, or initialized twice */
		ctask_birth_free(noted->slot);
	else
		used++;
	noted->task = task;
	noted->slot = ctask_birth_put(birth);
	if (!noted->slot)
		ctask_births_remove(task);
}

void ctask_births_remove(const void *task)
{
	struct noted *noted;

	if (!used)
		return;
	noted = find(task);
	if (!noted->task)
		return;
	if (noted->slot)
		ctask_birth_free(noted->slot);
	ctask_slots_free(table, sizeof(*table), room, noted);
	used--;
}

void ctask_births_forget(void)
{
	if (table)
		munmap(table, room * sizeof(*table));
	table = NULL;
	room = used = 0;
}
