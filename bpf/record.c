/* record.c - record the cancellations of a process from outside: probes, and a thread that explains what they see. */
#include "bpf/record.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/clock.h"
#include "bpf/probes.h"
#include "bpf/subject.h"

enum {
	HISTORY_BYTES = 16 << 20,
	LOOK_US = 50000, /* how often we look whether the process is still the same program */
	WATCH_MS = 2,	 /* how often asked tasks are looked at */
	IDLE_MS = 5,	 /* how often the probes' buffer is looked into; they do not wake us */
};

struct ctask_recorder {
	struct ctask_subject *subject;
	struct ctask_probes *probes;
	struct ctask_build *build;

	pthread_t thread;
	bool has_thread;
	atomic_bool stop;
	bool open_requests; /* whose outcome is to be watched for */
	uint64_t asked;	    /* requests that were seen */
	uint64_t lost;	    /* that the history counts */
};

static void take(void *arg, const struct ctask_probe_event *event)
{
	struct ctask_recorder *rec = arg;

	ctask_resolver_take(rec->subject->resolver, event);
	rec->asked += event->kind == CTASK_PROBE_CANCEL;
}

static void put_code(void *arg, uint64_t addr, const struct ctask_probe_code *code)
{
	struct ctask_recorder *rec = arg;

	ctask_probes_code(rec->probes, addr, code);
}

static void put_thread(void *arg, uint64_t ident, uint64_t tstate)
{
	struct ctask_recorder *rec = arg;

	ctask_probes_thread(rec->probes, ident, tstate);
}

static void follow_new_codes(struct ctask_recorder *rec)
{
	struct ctask_probe_code code;
	uint64_t addr;

	while (ctask_resolver_new_code(rec->subject->resolver, &addr, &code))
		ctask_probes_code(rec->probes, addr, &code);
}

/* True when there may be more to take. */
static bool one_round(struct ctask_recorder *rec, int wait_ms)
{
	bool more = ctask_probes_poll(rec->probes, wait_ms);
	uint64_t lost;

	follow_new_codes(rec);
	rec->open_requests = ctask_resolver_watch(rec->subject->resolver);
	lost = ctask_probes_lost(rec->probes);
	rec->subject->history.header->lost_records += lost - rec->lost;
	rec->lost = lost;
	return more;
}

static void *run(void *arg)
{
	struct ctask_recorder *rec = arg;
	bool armed = false, arm, is_over = false, more;
	int64_t asked_us = ctask_clock_us(CLOCK_MONOTONIC), looked_us = 0;
	uint64_t asked = 0;

	while (!atomic_load(&rec->stop)) {
		if (!is_over && ctask_clock_us(CLOCK_MONOTONIC) - looked_us > LOOK_US) {
			looked_us = ctask_clock_us(CLOCK_MONOTONIC);
			is_over = !ctask_subject_is_there(rec->subject);
		}
		more = one_round(rec, rec->open_requests ? WATCH_MS : IDLE_MS);
		if (is_over && !more) /* and all that it did has been taken */
			ctask_subject_end(rec->subject);
		if (rec->asked != asked)
			asked_us = ctask_clock_us(CLOCK_MONOTONIC);
		asked = rec->asked;
		arm = ctask_clock_us(CLOCK_MONOTONIC) - asked_us < CTASK_ARMED_US;
		if (arm != armed)
			ctask_build_arm(rec->build, arm);
		armed = arm;
	}
	/* First no more comes; then there is an end to what has come. */
	ctask_build_detach(rec->build);
	rec->build = NULL;
	while (one_round(rec, 0))
		;
	ctask_resolver_end(rec->subject->resolver);
	return NULL;
}

static int attach(struct ctask_recorder *rec, struct ctask_error *err)
{
	struct ctask_subject *s = rec->subject;
	int ret;

	ctask_subject_codes(s, put_code, rec);
	ctask_target_threads(&s->walk, put_thread, rec);
	ret = ctask_probes_set(rec->probes, s->pid, &s->target);
	if (ret)
		return ctask_fail(err, -ret, "the probes cannot be told what to look for: %s",
				  strerror(-ret));
	ret = ctask_build_attach(rec->probes, s->hooks, NULL, s->pid, 0, &rec->build, err);
	if (!ret)
		ctask_subject_since(s, ctask_clock_us(CLOCK_REALTIME));
	return ret;
}

static int start(struct ctask_recorder *rec, pid_t pid, struct ctask_error *err)
{
	int ret = ctask_subject_create(pid, &rec->subject, err);

	if (ret == -EPERM)
		ret = ctask_probes_refused(CTASK_STEP_READ, EPERM, err);
	if (!ret)
		ret = ctask_subject_begin(rec->subject, HISTORY_BYTES, err);
	if (!ret)
		ret = ctask_probes_create(false, take, rec, &rec->probes, err);
	if (!ret)
		ret = attach(rec, err);
	if (!ret) {
		ret = pthread_create(&rec->thread, NULL, run, rec);
		if (ret)
			return ctask_fail(err, ret, "no thread can be started: %s", strerror(ret));
		rec->has_thread = true;
	}
	return ret;
}

int ctask_recorder_create(pid_t pid, struct ctask_recorder **ret_recorder, struct ctask_error *err)
{
	struct ctask_recorder *rec = calloc(1, sizeof(*rec));
	int ret = rec ? start(rec, pid, err) : ctask_fail(err, ENOMEM, "out of memory");

	if (ret)
		ctask_recorder_destroy(rec);
	else
		*ret_recorder = rec;
	return ret;
}

void ctask_recorder_stop(struct ctask_recorder *rec)
{
	if (!rec->has_thread)
		return;
	atomic_store(&rec->stop, true);
	pthread_join(rec->thread, NULL);
	rec->has_thread = false;
}

void ctask_recorder_destroy(struct ctask_recorder *rec)
{
	if (!rec)
		return;
	ctask_recorder_stop(rec);
	ctask_build_detach(rec->build);
	ctask_probes_destroy(rec->probes);
	ctask_subject_destroy(rec->subject);
	free(rec);
}

int ctask_recorder_history(const struct ctask_recorder *rec)
{
	int fd = fcntl(rec->subject->history.fd, F_DUPFD_CLOEXEC, 3);

	return fd < 0 ? -errno : fd;
}
