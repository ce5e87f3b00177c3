/* watch_host.c - the answer of `ctaskctl cancels --all`: what comes of every process. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "cli/recorded.h"
#include "cli/report.h"
#include "cli/watch.h"
#include "model/json_cancellation.h"
#include "reader/cgroup.h"
#include "reader/process.h"

/* Between the ids of the requests of one process and those of the next: no process makes so many. */
#define IDS_OF_ONE 10000000000u

/* A process that is told of. */
struct told {
	uint32_t number;
	pid_t pid;
	uint64_t start_ticks;
	bool is_announced, has_ended;
	struct ctask_texts *texts;
	struct ctask_process process;
	char container[CTASK_CONTAINER_BYTES];
	struct ctask_teller teller;
	struct told *next;
};

struct watching {
	struct ctask_host *host;
	const struct ctask_kept *kept;
	const struct ctask_watch *watch;
	struct ctask_speaker speaker;
	struct told *told, **last;
	uint32_t count;
	uint64_t dropped, unreadable; /* of those that have ended */
};

static void forget(struct watching *w, struct told *t)
{
	if (t->is_announced)
		ctask_recorded_leave(w->kept, t->teller.reader, t->pid, t->start_ticks);
	if (w->speaker.last == &t->teller)
		w->speaker.last = NULL;
	w->dropped += t->teller.dropped;
	w->unreadable += t->teller.unreadable;
	w->count--;
	ctask_history_reader_close(t->teller.reader);
	free(t->process.cmdline);
	ctask_texts_destroy(t->texts);
	free(t);
}

/* Requests of it were made before it could be recorded. */
static int tell_missed(struct watching *w, struct told *t, struct ctask_error *err)
{
	struct ctask_history *history = NULL;
	int ret = ctask_history_read(t->teller.reader, &history, err);

	if (ret)
		return ret;
	history->container = t->teller.container;
	ret = ctask_teller_speak(&t->teller, &w->speaker, history, err);
	ctask_history_destroy(history);
	return ret;
}

static int add(struct watching *w, const struct ctask_host_news *news, struct ctask_error *err)
{
	struct told *t = calloc(1, sizeof(*t));

	if (!t) {
		ctask_history_reader_close(news->reader);
		return ctask_fail(err, ENOMEM, "out of memory");
	}
	*w->last = t;
	w->last = &t->next;
	w->count++;
	t->number = news->number;
	t->pid = news->pid;
	t->start_ticks = news->start_ticks;
	t->teller = (struct ctask_teller){
		.reader = news->reader,
		.telling = &w->watch->telling,
		.process = &t->process,
		.container = ctask_process_container(t->pid, t->container) ? t->container : NULL,
		.missed = news->missed,
		.first_id = (uint64_t)(t->number - 1) * IDS_OF_ONE,
		.has_begun = news->source == CTASK_BY_BPF, /* there is no past */
	};
	t->texts = ctask_texts_create();
	if (!t->texts || ctask_process_describe(t->pid, t->texts, &t->process))
		return ctask_fail(err, ENOMEM, "out of memory");
	if (w->kept && news->source == CTASK_BY_BPF) {
		t->is_announced = true;
		ctask_kept_announce(w->kept, t->pid, t->start_ticks,
				    ctask_history_reader_file(news->reader));
	}
	if (w->watch->telling.json)
		return ctask_json_write_attached_one(t->pid, t->teller.container, news->source,
						     news->missed, stdout, err);
	return news->missed > 0 ? tell_missed(w, t, err) : 0;
}

static void note_end(struct watching *w, uint32_t number)
{
	for (struct told *t = w->told; t; t = t->next)
		if (t->number == number)
			t->has_ended = true;
}

static int take_news(struct watching *w, struct ctask_error *err)
{
	struct ctask_host_news news;
	int ret = 0;

	while (!ret && ctask_host_next(w->host, &news)) {
		if (news.event == CTASK_HOST_FOLLOWED)
			ret = add(w, &news, err);
		else if (news.event == CTASK_HOST_ENDED)
			note_end(w, news.number);
		else
			ctask_report_warning("%s", news.why);
	}
	return ret;
}

/* A process is looked at for the last time when it has ended, and all are with @p is_last. */
static int look_at_all(struct watching *w, bool is_last, struct ctask_error *err)
{
	struct told **at = &w->told, *t;
	int ret = 0;

	while (!ret && (t = *at)) {
		bool over = is_last || t->has_ended;

		ret = ctask_teller_look(&t->teller, &w->speaker, over, err);
		if (ret == -EOWNERDEAD) /* its agent's memory went with it */
			ret = 0;
		if (!t->has_ended || ret) {
			at = &t->next;
			continue;
		}
		*at = t->next;
		if (!*at)
			w->last = at;
		forget(w, t);
	}
	return ret;
}

static int begin(struct watching *w, struct ctask_error *err)
{
	uint32_t refused = ctask_host_refused(w->host);
	int ret = 0;

	if (refused)
		ctask_report_warning("%u processes may not be read, and are not followed: that "
				     "needs root, or CAP_SYS_PTRACE",
				     refused);
	if (w->watch->telling.json)
		ret = ctask_json_write_attached_all(stdout, err);
	if (!ret)
		ret = take_news(w, err);
	if (!ret && !w->watch->telling.json)
		printf("following %u Python process%s that ha%s asyncio, and those that come\n",
		       w->count, w->count == 1 ? "" : "es", w->count == 1 ? "s" : "ve");
	return ret;
}

static int watch_on(struct watching *w, const sigset_t *unblocked, struct ctask_error *err)
{
	int64_t end_us = w->watch->duration_us ? ctask_watch_now_us() + w->watch->duration_us : 0;
	bool more = true;
	int ret = begin(w, err);

	while (!ret && more && !fflush(stdout)) {
		more = ctask_watch_wait(-1, end_us, unblocked);
		if (!more)
			ctask_host_stop(w->host);
		ret = take_news(w, err);
		if (!ret)
			ret = look_at_all(w, !more, err);
	}
	return ret;
}

int ctask_watch_host(struct ctask_host *host, const struct ctask_kept *kept,
		     const struct ctask_watch *watch)
{
	struct watching w = { .host = host, .kept = kept, .watch = watch };
	struct ctask_error err = { 0 };
	sigset_t unblocked;
	int ret, status;

	w.last = &w.told;
	ctask_watch_catch_signals(&unblocked);
	ret = watch_on(&w, &unblocked, &err);
	while (w.told) {
		struct told *t = w.told;

		w.told = t->next;
		forget(&w, t);
	}
	w.dropped += ctask_host_lost(host);
	if (watch->telling.json)
		(void)ctask_json_write_end(w.dropped, stdout, NULL);
	else if (w.dropped)
		ctask_report_warning("%llu requests could not be recorded",
				     (unsigned long long)w.dropped);
	status = ctask_report_written();
	if (status == CTASK_EXIT_WHOLE)
		status = ret ? ctask_report_error(&err) : ctask_watch_status(w.unreadable);
	return status;
}
