/* maps.bpf.h - what the probes share with each other and with ctaskctl. */
#ifndef CTASK_BPF_MAPS_H
#define CTASK_BPF_MAPS_H

#include "bpf/pieces.bpf.h"

enum {
	THREADS = 256, /* at a time that have called cancel(); more are not seen, and counted */
	CODES = 1024,  /* functions that mean something */
	RING_BYTES = 1 << 26,
	ASKED_ROWS = 1 << 14, /* a power of two */
	ASKED_IN_ROW = 8,     /* one line of the processor's cache */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, THREADS);
	__type(key, __u64);
	__type(value, struct thread);
} threads SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct thread);
} new_thread SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32); /* tgid; 0 in a recording of one process */
	__type(value, struct ctask_probe_target);
} targets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, CODES);
	__type(key, __u64);
	__type(value, struct ctask_probe_code);
} codes SEC(".maps");

/* Python's threads that there were when the recording began, by pthread_self(). */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, __u64);
} tstates SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, RING_BYTES);
} ring SEC(".maps");

/* Calls of cancel() in processes that nobody has looked into yet. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32); /* tgid */
	__type(value, struct ctask_probe_unready);
} unready SEC(".maps");

__u64 lost;
const volatile __u32 one_process;
/* A byte at ctask_probe_code_slot() of each code that `codes` has: most others need no look there. */
__u8 code_slots[CTASK_CODE_SLOTS];

/*
 * Tasks that were asked to stop, and their coroutines, by address. A table of its own: putting two
 * addresses into an LRU map takes 0.8 µs. Where a row is full, one gives way: that one's end
 * is found by looking.
 */
__u64 asked[ASKED_ROWS][ASKED_IN_ROW];

static __always_inline __u32 mix(__u64 key)
{
	return (__u32)(key * 0x9e3779b97f4a7c15ull >> 32);
}

/* Processes that were forked from one have their objects at the same addresses. */
static __always_inline __u64 asked_key(__u64 object)
{
	return one_process ? object : object ^ (bpf_get_current_pid_tgid() >> 32 << 42);
}

static __always_inline int was_asked(__u64 key)
{
	__u64 *row = asked[mix(key) & (ASKED_ROWS - 1)];

	for (int i = 0; i < ASKED_IN_ROW; i++)
		if (row[i] == key)
			return 1;
	return 0;
}

static __always_inline void note_asked(__u64 key)
{
	__u32 hash = mix(key);
	__u64 *row = asked[hash & (ASKED_ROWS - 1)];

	for (int i = 0; i < ASKED_IN_ROW; i++)
		if (row[i] == key)
			return;
	for (int i = 0; i < ASKED_IN_ROW; i++)
		if (!row[i] && !__sync_val_compare_and_swap(&row[i], 0, key))
			return;
	row[hash >> 20 & (ASKED_IN_ROW - 1)] = key;
}

static __always_inline void forget_asked(__u64 key)
{
	__u64 *row = asked[mix(key) & (ASKED_ROWS - 1)];

	for (int i = 0; i < ASKED_IN_ROW; i++)
		if (row[i] == key)
			row[i] = 0;
}

static __always_inline struct ctask_probe_code *known_code(__u64 key)
{
	if (!code_slots[ctask_probe_code_slot(key)])
		return NULL;
	return bpf_map_lookup_elem(&codes, &key);
}

static __always_inline struct ctask_probe_target *this_target(void *ctx)
{
	__u32 key = one_process ? 0 : bpf_get_current_pid_tgid() >> 32;
	struct ctask_probe_target *t = bpf_map_lookup_elem(&targets, &key);

	/* One file can be reached by two names, and then has its probes twice. */
	if (t && !one_process && t->build != bpf_get_attach_cookie(ctx))
		return NULL;
	return t;
}

static __always_inline void count_unready(void *ctx)
{
	__u32 key = bpf_get_current_pid_tgid() >> 32;
	struct ctask_probe_unready first = { .build = bpf_get_attach_cookie(ctx) }, *known;

	if (bpf_map_lookup_elem(&targets, &key))
		return;
	bpf_map_update_elem(&unready, &key, &first, BPF_NOEXIST);
	known = bpf_map_lookup_elem(&unready, &key);
	if (known && known->build == first.build)
		__sync_fetch_and_add(&known->calls, 1);
}

static __always_inline struct thread *this_thread(void)
{
	__u64 id = bpf_get_current_pid_tgid();
	struct thread *th = bpf_map_lookup_elem(&threads, &id);
	__u32 zero = 0;

	if (th)
		return th;
	th = bpf_map_lookup_elem(&new_thread, &zero);
	if (!th || bpf_map_update_elem(&threads, &id, th, BPF_ANY))
		return NULL;
	return bpf_map_lookup_elem(&threads, &id);
}

#endif
