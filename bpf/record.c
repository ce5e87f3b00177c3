/* record.c - record the cancellations of a process from outside: probes, and a thread that explains what they see. */
#include "bpf/record.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bpf/refusal.h"
#include "bpf/resolve.h"
#include "cancels.skel.h"
#include "model/cleanup.h"
#include "reader/process.h"

enum {
	HISTORY_BYTES = 16 << 20,
	WATCH_MS = 2, /* how often asked tasks are looked at */
	IDLE_MS = 5,  /* how often the probes' buffer is looked into; they do not wake us */
	ARMED_US =
		10 *
		1000000, /* how long the probes on the ends of tasks stay after the last request */
};

struct ctask_recorder {
	pid_t pid;
	struct ctask_memory *live;
	struct ctask_photo *photo;
	struct ctask_pages pages;
	struct ctask_python python;
	struct ctask_snapshot *snap;
	struct ctask_walk walk;
	bool walk_ready, pages_ready;
	struct ctask_bpf_history history;
	struct ctask_resolver *resolver;

	struct cancels_bpf *skel;
	struct ring_buffer *ring;
	struct ctask_hook_place hooks[CTASK_HOOKS];
	struct bpf_link *links[CTASK_HOOKS];
	int codes_fd;

	pthread_t thread;
	bool has_thread;
	atomic_bool stop;
	atomic_uint rounds;	/* of the thread */
	uint64_t asked, broken; /* requests that were seen */
};

/* What libbpf says has no owner: it is kept for the one message that is given. */
static struct ctask_probe_words words;

static int keep_words(enum libbpf_print_level level, const char *format, va_list args)
{
	char *said;

	if (level != LIBBPF_WARN || vasprintf(&said, format, args) < 0)
		return 0;
	ctask_probe_words_add(&words, said);
	free(said);
	return 0;
}

static int refused(enum ctask_probe_step step, int code, struct ctask_error *err)
{
	struct ctask_probe_facts facts;

	ctask_probe_facts_look("", &facts);
	return ctask_refusal(&facts, step, code, &words, err);
}

static int take_sample(void *arg, void *data, size_t len)
{
	struct ctask_recorder *rec = arg;

	if (!ctask_event_is_whole(data, len)) {
		rec->broken++;
		return 0;
	}
	ctask_resolver_take(rec->resolver, data);
	rec->asked += ((const struct ctask_probe_event *)data)->kind == CTASK_PROBE_CANCEL;
	return 0;
}

static void follow_new_codes(struct ctask_recorder *rec)
{
	struct ctask_probe_code code;
	uint64_t addr;

	while (ctask_resolver_new_code(rec->resolver, &addr, &code))
		(void)bpf_map_update_elem(rec->codes_fd, &addr, &code, BPF_ANY);
}

static int find_python(struct ctask_recorder *rec, struct ctask_error *err)
{
	struct ctask_mapping *maps = NULL;
	struct ctask_error why = { 0 };
	uint32_t count = 0;
	int ret = ctask_process_mappings(rec->pid, &maps, &count, err);

	if (ret)
		return ret;
	ret = ctask_python_find(
		&rec->pages,
		&(struct ctask_images){ .pid = rec->pid, .maps = maps, .count = count },
		&rec->python, &why);
	ctask_mappings_free(maps, count);
	if (ret == -EPERM || rec->pages.error == -EPERM)
		return ctask_process_refused(rec->pid, err);
	return ret ? ctask_fail(err, why.code, "process %d %s", (int)rec->pid, why.text) : 0;
}

static int look(struct ctask_recorder *rec, struct ctask_error *err)
{
	int ret = ctask_process_check(rec->pid, err);

	if (!ret)
		ret = ctask_memory_create_process(rec->pid, &rec->live, err);
	if (ret)
		return ret;
	rec->photo = ctask_photo_create(rec->live);
	rec->snap = ctask_snapshot_create();
	if (!rec->photo || !rec->snap ||
	    ctask_pages_init(&rec->pages, ctask_photo_memory(rec->photo)))
		return ctask_fail(err, ENOMEM, "out of memory");
	rec->pages_ready = true;
	ret = find_python(rec, err);
	if (ret)
		return ret;
	ctask_walk_init(&rec->walk, &rec->pages, &rec->python, rec->snap);
	rec->walk_ready = true;
	return 0;
}

static void note_code(void *arg, struct ctask_code *code)
{
	struct ctask_recorder *rec = arg;
	struct ctask_probe_code follow;

	if (ctask_resolver_code(rec->resolver, code, &follow))
		(void)bpf_map_update_elem(rec->codes_fd, &code->addr, &follow, BPF_ANY);
}

static void note_thread(void *arg, uint64_t ident, uint64_t tstate)
{
	struct ctask_recorder *rec = arg;

	if (ident)
		(void)bpf_map_update_elem(bpf_map__fd(rec->skel->maps.tstates), &ident, &tstate,
					  BPF_NOEXIST);
}

static int load(struct ctask_recorder *rec, struct ctask_error *err)
{
	int ret;

	libbpf_set_print(keep_words);
	rec->skel = cancels_bpf__open();
	if (!rec->skel)
		return refused(CTASK_STEP_LOAD, errno, err);
	rec->skel->rodata->one_process = 1;
	ret = cancels_bpf__load(rec->skel);
	if (ret)
		return refused(CTASK_STEP_LOAD, -ret, err);
	rec->codes_fd = bpf_map__fd(rec->skel->maps.codes);
	return 0;
}

static int attach_one(struct ctask_recorder *rec, enum ctask_hook hook, struct ctask_error *err)
{
	const struct bpf_program *programs[CTASK_HOOKS] = {
		[CTASK_HOOK_CANCEL] = rec->skel->progs.on_cancel,
		[CTASK_HOOK_UNCANCEL] = rec->skel->progs.on_uncancel,
		[CTASK_HOOK_THROW] = rec->skel->progs.on_throw,
		[CTASK_HOOK_FREE] = rec->skel->progs.on_free,
		[CTASK_HOOK_CANCELLING] = rec->skel->progs.on_cancelling,
	};
	const struct ctask_hook_place *place = &rec->hooks[hook];
	int code;

	if (!place->offset)
		return 0;
	rec->links[hook] = bpf_program__attach_uprobe(programs[hook], false, rec->pid, place->path,
						      place->offset);
	if (rec->links[hook])
		return 0;
	code = errno;
	if (!ctask_process_state(rec->pid))
		return ctask_fail(err, EOWNERDEAD, "process %d has ended", (int)rec->pid);
	return refused(CTASK_STEP_ATTACH, code, err);
}

/* Probes on what happens to every task, and every timeout: only while somebody cancels, so that else nothing is paid. */
static bool is_armed_only(enum ctask_hook hook)
{
	return hook == CTASK_HOOK_FREE || hook == CTASK_HOOK_CANCELLING;
}

static void arm(struct ctask_recorder *rec)
{
	for (int hook = 0; hook < CTASK_HOOKS; hook++)
		if (is_armed_only((enum ctask_hook)hook) && !rec->links[hook])
			(void)attach_one(rec, (enum ctask_hook)hook, NULL);
}

static void disarm(struct ctask_recorder *rec)
{
	for (int hook = 0; hook < CTASK_HOOKS; hook++)
		if (is_armed_only((enum ctask_hook)hook)) {
			bpf_link__destroy(rec->links[hook]);
			rec->links[hook] = NULL;
		}
}

static int64_t monotonic_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void *run(void *arg)
{
	struct ctask_recorder *rec = arg;
	bool open_requests = false, armed = false;
	int64_t asked_us = 0;
	uint64_t asked = 0;

	while (!atomic_load(&rec->stop)) {
		(void)ring_buffer__poll(rec->ring, open_requests ? WATCH_MS : IDLE_MS);
		(void)ring_buffer__consume(rec->ring);
		follow_new_codes(rec);
		open_requests = ctask_resolver_watch(rec->resolver);
		if (rec->asked != asked) {
			asked = rec->asked;
			asked_us = monotonic_us();
			if (!armed)
				arm(rec);
			armed = true;
		} else if (armed && monotonic_us() - asked_us > ARMED_US) {
			disarm(rec);
			armed = false;
		}
		rec->history.header->lost_records = rec->skel->bss->lost + rec->broken;
		atomic_fetch_add(&rec->rounds, 1);
	}
	return NULL;
}

static int attach(struct ctask_recorder *rec, const struct ctask_probe_target *target,
		  struct ctask_error *err)
{
	uint32_t key = 0;
	int ret = 0;

	if (bpf_map_update_elem(bpf_map__fd(rec->skel->maps.targets), &key, target, BPF_ANY))
		return ctask_fail(err, errno, "the probes cannot be told what to look for: %m");
	rec->ring = ring_buffer__new(bpf_map__fd(rec->skel->maps.ring), take_sample, rec, NULL);
	if (!rec->ring)
		return ctask_fail(err, errno, "the probes' buffer cannot be read: %m");
	/* What follows from a request before the request itself. */
	for (int hook = CTASK_HOOKS - 1; hook >= 0 && !ret; hook--)
		if (!is_armed_only((enum ctask_hook)hook))
			ret = attach_one(rec, (enum ctask_hook)hook, err);
	return ret;
}

int ctask_recorder_create(pid_t pid, struct ctask_recorder **ret_recorder, struct ctask_error *err)
{
	struct ctask_recorder *rec = calloc(1, sizeof(*rec));
	struct ctask_process process = { 0 };
	struct ctask_asyncio_facts facts;
	struct ctask_probe_target target;
	struct timespec now;
	int ret;

	if (!rec)
		return ctask_fail(err, ENOMEM, "out of memory");
	rec->pid = pid;
	rec->history.fd = -1;
	ret = look(rec, err);
	if (ret == -EPERM)
		ret = refused(CTASK_STEP_READ, EPERM, err);
	if (!ret)
		ret = ctask_target_find(&rec->walk, pid, &target, rec->hooks, &facts, err);
	if (!ret)
		ret = ctask_bpf_history_init(&rec->history, HISTORY_BYTES, err);
	if (!ret) {
		rec->resolver = ctask_resolver_create(pid, &rec->walk, rec->live, rec->photo,
						      &rec->history, &facts);
		if (!rec->resolver)
			ret = ctask_fail(err, ENOMEM, "out of memory");
	}
	if (!ret)
		ret = load(rec, err);
	if (!ret) {
		ctask_target_functions(&rec->walk, note_code, rec);
		ctask_target_threads(&rec->walk, note_thread, rec);
		ret = attach(rec, &target, err);
	}
	if (!ret) {
		struct ctask_history_header *h = rec->history.header;

		if (!ctask_process_describe(pid, rec->snap->texts, &process))
			h->nspid = process.nspid;
		free(process.cmdline);
		clock_gettime(CLOCK_REALTIME, &now);
		h->since_us = (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
		h->start_ticks = ctask_process_shares_clock(pid) ? ctask_process_start(pid) : 0;
		memcpy(h->python_version, rec->python.version, sizeof(h->python_version));
		ret = -pthread_create(&rec->thread, NULL, run, rec);
		rec->has_thread = !ret;
	}
	if (ret) {
		ctask_recorder_destroy(rec);
		return ret;
	}
	*ret_recorder = rec;
	return 0;
}

void ctask_recorder_destroy(struct ctask_recorder *rec)
{
	if (!rec)
		return;
	if (rec->has_thread) {
		atomic_store(&rec->stop, true);
		pthread_join(rec->thread, NULL);
	}
	for (int i = 0; i < CTASK_HOOKS; i++)
		bpf_link__destroy(rec->links[i]);
	ring_buffer__free(rec->ring);
	cancels_bpf__destroy(rec->skel);
	ctask_resolver_destroy(rec->resolver);
	ctask_bpf_history_fini(&rec->history);
	if (rec->walk_ready)
		ctask_walk_fini(&rec->walk);
	if (rec->pages_ready)
		ctask_pages_fini(&rec->pages);
	ctask_snapshot_destroy(rec->snap);
	ctask_memory_destroy(rec->photo ? ctask_photo_memory(rec->photo) : NULL);
	ctask_memory_destroy(rec->live);
	free(rec);
}

int ctask_recorder_history(const struct ctask_recorder *rec)
{
	int fd = fcntl(rec->history.fd, F_DUPFD_CLOEXEC, 3);

	return fd < 0 ? -errno : fd;
}

void ctask_recorder_catch_up(struct ctask_recorder *rec)
{
	unsigned int from = atomic_load(&rec->rounds);
	const struct timespec while_it_works = { .tv_nsec = 1000000 };

	/* Two rounds: the one under way may have looked before. */
	for (int i = 0; i < 1000 && atomic_load(&rec->rounds) - from < 2; i++)
		nanosleep(&while_it_works, NULL);
}
