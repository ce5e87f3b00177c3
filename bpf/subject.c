/* subject.c - one process that is recorded: its memory, who explains it, and the history that comes of it. */
#include "bpf/subject.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "reader/process.h"

/* --- memory that can be closed: an id may be another process's by the next look --- */

struct gate {
	struct ctask_memory memory;
	struct ctask_memory *live;
	bool closed;
};

static ssize_t read_runs(struct ctask_memory *memory, const struct ctask_page_run *runs,
			 size_t run_count, uint8_t *to)
{
	struct gate *gate = (struct gate *)memory;

	return gate->closed ? -ESRCH : gate->live->ops->read_runs(gate->live, runs, run_count, to);
}

static void destroy(struct ctask_memory *memory)
{
	free(memory);
}

static const struct ctask_memory_ops gate_ops = {
	.name = "gate",
	.read_runs = read_runs,
	.destroy = destroy,
};

static struct ctask_memory *create_gate(struct ctask_memory *live)
{
	struct gate *gate = calloc(1, sizeof(*gate));

	if (!gate)
		return NULL;
	gate->memory.ops = &gate_ops;
	gate->live = live;
	return &gate->memory;
}

/* --- its making and end --- */

static int find_python(struct ctask_subject *s, struct ctask_error *err)
{
	struct ctask_mapping *maps = NULL;
	struct ctask_error why = { 0 };
	uint32_t count = 0;
	int ret = ctask_process_mappings(s->pid, &maps, &count, err);

	if (ret)
		return ret;
	ret = ctask_python_find(
		&s->pages, &(struct ctask_images){ .pid = s->pid, .maps = maps, .count = count },
		&s->python, &why);
	ctask_mappings_free(maps, count);
	if (ret == -EPERM || s->pages.error == -EPERM)
		return ctask_process_refused(s->pid, err);
	return ret ? ctask_fail(err, why.code, "process %d %s", (int)s->pid, why.text) : 0;
}

/* All of it but its Python. */
static int create(pid_t pid, struct ctask_subject **ret_subject, struct ctask_error *err)
{
	struct ctask_subject *s = calloc(1, sizeof(*s));
	char path[64];
	int ret;

	if (!s)
		return ctask_fail(err, ENOMEM, "out of memory");
	*ret_subject = s;
	s->pid = pid;
	s->history.fd = s->image = -1;
	ret = ctask_process_check(s->pid, err);
	if (!ret)
		ret = ctask_memory_create_process(s->pid, &s->live, err);
	if (ret)
		return ret;
	snprintf(path, sizeof(path), "/proc/%d/mem", (int)s->pid);
	s->image = open(path, O_RDONLY | O_CLOEXEC);
	s->gate = create_gate(s->live);
	s->photo = s->gate ? ctask_photo_create(s->gate) : NULL;
	s->snap = ctask_snapshot_create();
	if (!s->photo || !s->snap || ctask_pages_init(&s->pages, ctask_photo_memory(s->photo)))
		return ctask_fail(err, ENOMEM, "out of memory");
	s->pages_ready = true;
	return 0;
}

static void begin_walk(struct ctask_subject *s)
{
	ctask_walk_init(&s->walk, &s->pages, &s->python, s->snap);
	s->walk_ready = true;
}

int ctask_subject_create(pid_t pid, struct ctask_subject **ret_subject, struct ctask_error *err)
{
	struct ctask_subject *s = NULL;
	int ret = create(pid, &s, err);

	if (!ret)
		ret = find_python(s, err);
	if (ret) {
		ctask_subject_destroy(s);
		return ret;
	}
	begin_walk(s);
	*ret_subject = s;
	return 0;
}

void ctask_subject_destroy(struct ctask_subject *s)
{
	if (!s)
		return;
	ctask_resolver_destroy(s->resolver);
	ctask_bpf_history_fini(&s->history);
	if (s->walk_ready)
		ctask_walk_fini(&s->walk);
	if (s->pages_ready)
		ctask_pages_fini(&s->pages);
	ctask_snapshot_destroy(s->snap);
	ctask_memory_destroy(s->photo ? ctask_photo_memory(s->photo) : NULL);
	ctask_memory_destroy(s->gate);
	ctask_memory_destroy(s->live);
	if (s->image >= 0)
		close(s->image);
	free(s);
}

/* --- its recording --- */

/* What was read may be another thing by now. */
static void look_anew(struct ctask_subject *s)
{
	ctask_heap_forget(&s->walk.heap);
	ctask_pages_thaw(&s->pages);
	s->pages.touched_count = 0;
	s->pages.error = 0;
}

/* What was opened is the memory of one program: after an exec or the end there is nothing to be read. */
bool ctask_subject_is_there(const struct ctask_subject *s)
{
	char byte;

	return s->image < 0 || pread(s->image, &byte, 1, (off_t)s->python.runtime) == 1;
}

bool ctask_subject_has_asyncio(struct ctask_subject *s)
{
	look_anew(s);
	return ctask_target_has_asyncio(&s->walk);
}

/* Who it is to itself, for whoever reads the history. */
static void describe(struct ctask_subject *s)
{
	struct ctask_history_header *h = s->history.header;
	struct ctask_process_ids ids;

	if (ctask_process_ids(s->pid, &ids))
		h->nspid = ids.nspid;
	h->start_ticks = ctask_process_shares_clock(s->pid) ? ctask_process_start(s->pid) : 0;
	memcpy(h->python_version, s->python.version, sizeof(h->python_version));
}

static int begin_history(struct ctask_subject *s, size_t bytes, struct ctask_error *err)
{
	int ret = ctask_bpf_history_init(&s->history, bytes, err);

	if (ret)
		return ret;
	describe(s);
	s->resolver = ctask_resolver_create(&s->walk, s->photo, &s->history, &s->asyncio);
	return s->resolver ? 0 : ctask_fail(err, ENOMEM, "out of memory");
}

int ctask_subject_begin(struct ctask_subject *s, size_t history_bytes, struct ctask_error *err)
{
	int ret;

	look_anew(s);
	ret = ctask_target_find(&s->walk, s->pid, &s->target, s->hooks, &s->asyncio, err);
	return ret ? ret : begin_history(s, history_bytes, err);
}

int ctask_subject_fork(const struct ctask_subject *parent, pid_t pid, size_t history_bytes,
		       struct ctask_subject **ret_subject, struct ctask_error *err)
{
	ctask_text folder = ctask_codes_folder(&parent->walk.codes, "asyncio");
	struct ctask_subject *s = NULL;
	int ret = create(pid, &s, err);

	if (!ret) {
		s->python = parent->python;
		s->target = parent->target;
		memcpy(s->hooks, parent->hooks, sizeof(s->hooks));
		s->asyncio = parent->asyncio;
		begin_walk(s);
		if (folder)
			ctask_codes_add_folder(&s->walk.codes, folder);
		ret = begin_history(s, history_bytes, err);
	}
	if (ret) {
		ctask_subject_destroy(s);
		return ret;
	}
	*ret_subject = s;
	return 0;
}

void ctask_subject_since(struct ctask_subject *s, int64_t since_us)
{
	s->history.header->since_us = since_us;
}

struct putting {
	struct ctask_subject *subject;
	void (*put)(void *arg, uint64_t addr, const struct ctask_probe_code *code);
	void *arg;
};

static void put_code(void *arg, struct ctask_code *code)
{
	const struct putting *p = arg;
	struct ctask_probe_code follow;

	if (ctask_resolver_code(p->subject->resolver, code, &follow))
		p->put(p->arg, code->addr, &follow);
}

void ctask_subject_codes(struct ctask_subject *s,
			 void (*put)(void *arg, uint64_t addr, const struct ctask_probe_code *code),
			 void *arg)
{
	struct putting putting = { s, put, arg };

	look_anew(s);
	ctask_target_functions(&s->walk, put_code, &putting);
}

void ctask_subject_end(struct ctask_subject *s)
{
	struct ctask_history_header *h = s->history.header;

	struct gate *gate = (struct gate *)s->gate;

	if (gate->closed)
		return;
	gate->closed = true;
	if (!s->resolver)
		return;
	(void)ctask_resolver_watch(s->resolver);
	ctask_resolver_end(s->resolver);
	__atomic_or_fetch(&h->flags, CTASK_HISTORY_ENDED, __ATOMIC_RELEASE);
	__atomic_add_fetch(&h->changes, 1, __ATOMIC_RELEASE);
}
