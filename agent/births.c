/* births.c - which slot of the history each living task has. */
#include "agent/births.h"

#include <stdint.h>
#include <sys/mman.h>

#include "agent/history.h"

enum { ROOM_FIRST = 1 << 10 };

struct noted {
	const void *task;
	uint32_t slot;
};

static struct noted *table; /* open addressing; room is a power of two, at most half full */
static uint32_t room, used;

static uint32_t home_of(const void *task)
{
	return (uint32_t)(((uint64_t)(uintptr_t)task >> 4) * 0x9e3779b97f4a7c15ull >> 32) &
	       (room - 1);
}

static struct noted *find(const void *task)
{
	uint32_t at = home_of(task);

	while (table[at].task && table[at].task != task)
		at = (at + 1) & (room - 1);
	return &table[at];
}

/* mmap, not malloc: the program's allocator may be in the middle of something. */
static int grow(void)
{
	uint32_t before = room, larger = room ? room * 2 : ROOM_FIRST;
	struct noted *old = table;
	void *at = mmap(NULL, larger * sizeof(*table), PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
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
	uint32_t hole;

	if (!used)
		return;
	noted = find(task);
	if (!noted->task)
		return;
	if (noted->slot)
		ctask_birth_free(noted->slot);
	hole = (uint32_t)(noted - table);
	table[hole].task = NULL;
	used--;
	for (uint32_t at = (hole + 1) & (room - 1); table[at].task; at = (at + 1) & (room - 1)) {
		uint32_t home = home_of(table[at].task);

		if (((at - home) & (room - 1)) < ((at - hole) & (room - 1)))
			continue;
		table[hole] = table[at];
		table[at].task = NULL;
		hole = at;
	}
}

void ctask_births_forget(void)
{
	if (table)
		munmap(table, room * sizeof(*table));
	table = NULL;
	room = used = 0;
}
