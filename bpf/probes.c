/* probes.c - the programs in the kernel: load them, attach them, tell them what to look for, take what they send. */
#include "bpf/probes.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "begins.skel.h"
#include "cancels.skel.h"
#include "model/cleanup.h"
#include "reader/process.h"

/*
 * In a recording of all processes. Room is taken beforehand: what the kernel allocates in a probe fails when
 * much is asked for at once.
 */
enum {
	TARGETS_ALL = 1 << 14,
	THREADS_ALL = 1 << 10,
	CODES_ALL = 1 << 16,
};

enum { TAKEN_MOST = 2048 }; /* at once */

struct ctask_probes {
	struct cancels_bpf *skel;
	struct begins_bpf *begins; /* NULL in a recording of one process */
	struct bpf_link *fork, *exec, *exit;
	struct ring_buffer *ring;
	ctask_probes_take *take;
	void *arg;
	uint64_t broken;
	uint32_t taken; /* in this poll */
};

struct ctask_build {
	struct ctask_probes *probes;
	struct ctask_hook_place hooks[CTASK_HOOKS];
	int files[CTASK_HOOKS]; /* -1 = none */
	struct bpf_link *links[CTASK_HOOKS], *load;
	pid_t pid;
	uint64_t number;
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

int ctask_probes_refused(enum ctask_probe_step step, int code, struct ctask_error *err)
{
	struct ctask_probe_facts facts;

	ctask_probe_facts_look("", &facts);
	return ctask_refusal(&facts, step, code, &words, err);
}

/* --- load --- */

static int take_sample(void *arg, void *data, size_t len)
{
	struct ctask_probes *probes = arg;

	if (ctask_event_is_whole(data, len))
		probes->take(probes->arg, data);
	else
		probes->broken++;
	return ++probes->taken < TAKEN_MOST ? 0 : -EAGAIN; /* it is taken, and the rest stays */
}

/* Room for all processes; what belongs to one that has ended makes room by itself. */
static void make_room(struct cancels_bpf *skel)
{
	(void)bpf_map__set_max_entries(skel->maps.targets, TARGETS_ALL);
	(void)bpf_map__set_max_entries(skel->maps.threads, THREADS_ALL);
	(void)bpf_map__set_max_entries(skel->maps.codes, CODES_ALL);
	(void)bpf_map__set_type(skel->maps.codes, BPF_MAP_TYPE_LRU_HASH);
	(void)bpf_map__set_type(skel->maps.tstates, BPF_MAP_TYPE_LRU_HASH);
	(void)bpf_map__set_map_flags(skel->maps.tstates, 0);
}

static int load_begins(struct ctask_probes *probes)
{
	const struct cancels_bpf *skel = probes->skel;
	struct begins_bpf *begins = probes->begins = begins_bpf__open();

	if (!begins)
		return -errno;
	if (bpf_map__reuse_fd(begins->maps.targets, bpf_map__fd(skel->maps.targets)) ||
	    bpf_map__reuse_fd(begins->maps.threads, bpf_map__fd(skel->maps.threads)) ||
	    bpf_map__reuse_fd(begins->maps.ring, bpf_map__fd(skel->maps.ring)))
		return -errno;
	return begins_bpf__load(begins);
}

static int load(struct ctask_probes *probes, bool all, struct ctask_error *err)
{
	int ret;

	libbpf_set_print(keep_words);
	probes->skel = cancels_bpf__open();
	if (!probes->skel)
		return ctask_probes_refused(CTASK_STEP_LOAD, errno, err);
	probes->skel->rodata->one_process = !all;
	if (all)
		make_room(probes->skel);
	(void)bpf_program__set_autoload(probes->skel->progs.on_thread_end, !all);
	ret = cancels_bpf__load(probes->skel);
	if (!ret && all)
		ret = load_begins(probes);
	else if (
		!ret) /* without it there is an end to the room for threads: what is lost then is counted */
		probes->exit = bpf_program__attach(probes->skel->progs.on_thread_end);
	return ret ? ctask_probes_refused(CTASK_STEP_LOAD, -ret, err) : 0;
}

int ctask_probes_create(bool all, ctask_probes_take *take, void *arg,
			struct ctask_probes **ret_probes, struct ctask_error *err)
{
	struct ctask_probes *probes = calloc(1, sizeof(*probes));
	int ret;

	if (!probes)
		return ctask_fail(err, ENOMEM, "out of memory");
	probes->take = take;
	probes->arg = arg;
	ret = load(probes, all, err);
	if (!ret) {
		probes->ring = ring_buffer__new(bpf_map__fd(probes->skel->maps.ring), take_sample,
						probes, NULL);
		if (!probes->ring)
			ret = ctask_fail(err, errno, "the probes' buffer cannot be read: %m");
	}
	if (ret) {
		ctask_probes_destroy(probes);
		return ret;
	}
	*ret_probes = probes;
	return 0;
}

void ctask_probes_destroy(struct ctask_probes *probes)
{
	if (!probes)
		return;
	bpf_link__destroy(probes->fork);
	bpf_link__destroy(probes->exec);
	bpf_link__destroy(probes->exit);
	ring_buffer__free(probes->ring);
	begins_bpf__destroy(probes->begins);
	cancels_bpf__destroy(probes->skel);
	free(probes);
}

int ctask_probes_watch_processes(struct ctask_probes *probes, struct ctask_error *err)
{
	probes->exit = bpf_program__attach(probes->begins->progs.on_exit);
	if (probes->exit)
		probes->exec = bpf_program__attach(probes->begins->progs.on_exec);
	if (probes->exec)
		probes->fork = bpf_program__attach(probes->begins->progs.on_fork);
	return probes->fork ? 0 : ctask_probes_refused(CTASK_STEP_ATTACH, errno, err);
}

/* --- what they are told, and tell --- */

static uint32_t key_of(const struct ctask_probes *probes, pid_t pid)
{
	return probes->begins ? (uint32_t)pid : 0;
}

int ctask_probes_set(struct ctask_probes *probes, pid_t pid,
		     const struct ctask_probe_target *target)
{
	uint32_t key = key_of(probes, pid);

	return bpf_map_update_elem(bpf_map__fd(probes->skel->maps.targets), &key, target, BPF_ANY)
		       ? -errno
		       : 0;
}

bool ctask_probes_get(struct ctask_probes *probes, pid_t pid, struct ctask_probe_target *ret)
{
	uint32_t key = key_of(probes, pid);

	return !bpf_map_lookup_elem(bpf_map__fd(probes->skel->maps.targets), &key, ret);
}

void ctask_probes_unset(struct ctask_probes *probes, pid_t pid)
{
	uint32_t key = key_of(probes, pid);

	(void)bpf_map_delete_elem(bpf_map__fd(probes->skel->maps.targets), &key);
}

void ctask_probes_code(struct ctask_probes *probes, uint64_t addr,
		       const struct ctask_probe_code *code)
{
	probes->skel->bss->code_slots[ctask_probe_code_slot(addr)] = 1;
	(void)bpf_map_update_elem(bpf_map__fd(probes->skel->maps.codes), &addr, code, BPF_ANY);
}

void ctask_probes_thread(struct ctask_probes *probes, uint64_t ident, uint64_t tstate)
{
	if (ident)
		(void)bpf_map_update_elem(bpf_map__fd(probes->skel->maps.tstates), &ident, &tstate,
					  BPF_NOEXIST);
}

uint64_t ctask_probes_unready(struct ctask_probes *probes, pid_t pid, uint64_t build)
{
	int fd = bpf_map__fd(probes->skel->maps.unready);
	struct ctask_probe_unready unready;
	uint32_t key = (uint32_t)pid;

	if (bpf_map_lookup_elem(fd, &key, &unready))
		return 0;
	(void)bpf_map_delete_elem(fd, &key);
	return !build || unready.build == build ? unready.calls : 0;
}

bool ctask_probes_poll(struct ctask_probes *probes, int ms)
{
	probes->taken = 0;
	(void)ring_buffer__poll(probes->ring, ms);
	if (probes->taken < TAKEN_MOST)
		(void)ring_buffer__consume(probes->ring);
	return probes->taken >= TAKEN_MOST;
}

uint64_t ctask_probes_lost(const struct ctask_probes *probes)
{
	return probes->skel->bss->lost + probes->broken;
}

/* --- attach --- */

/* Probes on what happens to every task, and every timeout: only while somebody cancels, so that else nothing is paid. */
static bool is_armed_only(enum ctask_hook hook)
{
	return hook == CTASK_HOOK_FREE || hook == CTASK_HOOK_CANCELLING;
}

static struct bpf_link *put_probe(const struct ctask_build *build,
				  const struct bpf_program *program, int file, uint64_t offset)
{
	LIBBPF_OPTS(bpf_uprobe_opts, options, .bpf_cookie = build->number);
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	return bpf_program__attach_uprobe_opts(program, build->number ? -1 : build->pid, path,
					       offset, &options);
}

static int refused_attach(const struct ctask_build *build, int code, struct ctask_error *err)
{
	if (!ctask_process_state(build->pid))
		return ctask_fail(err, EOWNERDEAD, "process %d has ended", (int)build->pid);
	return ctask_probes_refused(CTASK_STEP_ATTACH, code, err);
}

static int attach_one(struct ctask_build *build, enum ctask_hook hook, struct ctask_error *err)
{
	const struct cancels_bpf *skel = build->probes->skel;
	const struct bpf_program *programs[CTASK_HOOKS] = {
		[CTASK_HOOK_CANCEL] = skel->progs.on_cancel,
		[CTASK_HOOK_UNCANCEL] = skel->progs.on_uncancel,
		[CTASK_HOOK_THROW] = skel->progs.on_throw,
		[CTASK_HOOK_FREE] = skel->progs.on_free,
		[CTASK_HOOK_CANCELLING] = skel->progs.on_cancelling,
	};

	if (build->files[hook] < 0 || build->links[hook])
		return 0;
	build->links[hook] =
		put_probe(build, programs[hook], build->files[hook], build->hooks[hook].offset);
	return build->links[hook] ? 0 : refused_attach(build, errno, err);
}

/* The file stays open: the process that led to it may end, and its path may be another file's. */
static int open_files(struct ctask_build *build, struct ctask_error *err)
{
	for (int i = 0; i < CTASK_HOOKS; i++) {
		if (!build->hooks[i].offset)
			continue;
		build->files[i] = open(build->hooks[i].path, O_RDONLY | O_CLOEXEC);
		if (build->files[i] < 0)
			return refused_attach(build, errno, err);
	}
	return 0;
}

int ctask_build_attach(struct ctask_probes *probes, const struct ctask_hook_place *hooks,
		       const struct ctask_hook_place *load, pid_t pid, uint64_t number,
		       struct ctask_build **ret_build, struct ctask_error *err)
{
	struct ctask_build *build = calloc(1, sizeof(*build));
	int ret;

	if (!build)
		return ctask_fail(err, ENOMEM, "out of memory");
	build->probes = probes;
	build->pid = pid;
	build->number = number;
	for (int i = 0; i < CTASK_HOOKS; i++) {
		build->hooks[i] = hooks[i];
		build->files[i] = -1;
	}
	ret = open_files(build, err);
	/* What follows from a request before the request itself. */
	for (int hook = CTASK_HOOKS - 1; hook >= 0 && !ret; hook--)
		if (!is_armed_only((enum ctask_hook)hook))
			ret = attach_one(build, (enum ctask_hook)hook, err);
	if (!ret && load) {
		auto_fd fd = open(load->path, O_RDONLY | O_CLOEXEC);

		if (fd >= 0)
			build->load =
				put_probe(build, probes->begins->progs.on_load, fd, load->offset);
	}
	if (ret) {
		ctask_build_detach(build);
		return ret;
	}
	*ret_build = build;
	return 0;
}

void ctask_build_arm(struct ctask_build *build, bool arm)
{
	for (int hook = 0; hook < CTASK_HOOKS; hook++) {
		if (!is_armed_only((enum ctask_hook)hook))
			continue;
		if (arm) {
			(void)attach_one(build, (enum ctask_hook)hook, NULL);
		} else {
			bpf_link__destroy(build->links[hook]);
			build->links[hook] = NULL;
		}
	}
}

void ctask_build_detach(struct ctask_build *build)
{
	if (!build)
		return;
	bpf_link__destroy(build->load);
	for (int i = 0; i < CTASK_HOOKS; i++) {
		bpf_link__destroy(build->links[i]);
		if (build->files[i] >= 0)
			close(build->files[i]);
	}
	free(build);
}
