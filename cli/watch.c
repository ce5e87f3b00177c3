/* watch.c - tell a history: what is there, and what comes. */
#include "cli/watch.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>

#include "cli/render/cancels.h"
#include "cli/report.h"
#include "model/cleanup.h"
#include "model/json_cancellation.h"
#include "reader/enrich.h"
#include "reader/process.h"

enum {
	POLL_MS = 50,
	SETTLE_US = 1000000, /* a story is told when all in it has ended, or after this time */
};

static volatile sig_atomic_t stopped;

static void stop(int number)
{
	(void)number;
	stopped = 1;
}

static int64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

struct following {
	struct ctask_history_reader *reader;
	const struct ctask_watch *watch;
	int pidfd; /* or -1 */
	int64_t end_us;
	/* As text: stories from told_through on are still to be told. */
	bool has_begun;
	uint64_t told_through;
	uint64_t seen_through; /* the newest that ctask_history_read_changes() has given */
	uint64_t
		new_from; /* the oldest request that what is new came of; 0 = there is nothing new */
	int64_t new_since_us;
	bool new_pending;
	uint64_t dropped, unreadable;
	bool ended;
};

/* The exit status of an answer that lacks @p unreadable records; says so on stderr. */
static int status_of(uint64_t unreadable)
{
	if (!unreadable)
		return CTASK_EXIT_WHOLE;
	fprintf(stderr, "ctaskctl: not all could be read: %llu %s no sense\n",
		(unsigned long long)unreadable, unreadable == 1 ? "record makes" : "records make");
	return CTASK_EXIT_IN_PART;
}

/* --- JSON --- */

/* The items that were asked for, of these only the last if that was asked for too. */
static bool *choose(const struct ctask_watch *watch, const struct ctask_history *history,
		    bool all_of_them)
{
	bool *wanted = calloc((size_t)history->count + 1, sizeof(*wanted));
	uint32_t left = watch->has_last && !all_of_them ? watch->last : UINT32_MAX;

	for (uint32_t i = history->count; wanted && i-- > 0 && left > 0;) {
		wanted[i] = ctask_story_wants(watch->filter, &history->items[i]);
		left -= wanted[i];
	}
	return wanted;
}

static int write_json(const struct ctask_watch *watch, const struct ctask_history *history,
		      bool all_of_them, struct ctask_error *err)
{
	auto_free bool *wanted = choose(watch, history, all_of_them);

	if (!wanted)
		return ctask_fail(err, ENOMEM, "out of memory");
	return ctask_json_write_cancellations(history, wanted, stdout, err);
}

/* --- text --- */

static int create_stories(const struct ctask_watch *watch, const struct ctask_history *history,
			  struct ctask_cancels *ret, struct ctask_stories **ret_stories,
			  struct ctask_error *err)
{
	int ret_code =
		ctask_stories_create(history, watch->filter, watch->render->fold, ret_stories, err);

	*ret = (struct ctask_cancels){
		.history = history,
		.stories = *ret_stories,
		.process = watch->process,
		.last = watch->last,
		.has_last = watch->has_last,
		.narrowed = watch->filter != NULL,
	};
	return ret_code;
}

static int write_text(const struct ctask_watch *watch, const struct ctask_history *history,
		      struct ctask_error *err)
{
	struct ctask_stories *stories = NULL;
	struct ctask_cancels cancels;
	int ret = create_stories(watch, history, &cancels, &stories, err);

	if (!ret)
		ret = ctask_render_cancels(&cancels, watch->render, stdout, err);
	ctask_stories_destroy(stories);
	return ret;
}

/* Tell the stories that have something new in them. */
static int tell_new(struct following *f, struct ctask_error *err)
{
	struct ctask_history *history = NULL;
	struct ctask_stories *stories = NULL;
	struct ctask_cancels cancels;
	int ret = ctask_history_read_from(f->reader, f->new_from, &history, err);

	if (ret)
		return ret;
	while (history->count && history->items[history->count - 1].id > f->seen_through)
		history->count--; /* comes with the next changes */
	ret = create_stories(f->watch, history, &cancels, &stories, err);
	for (uint32_t i = 0; !ret && i < stories->count; i++) {
		if (stories->stories[i].last_id > f->told_through)
			ret = ctask_render_story(&cancels, i, f->watch->render, stdout, err);
	}
	f->told_through = f->seen_through;
	f->new_from = 0;
	f->new_pending = false;
	ctask_stories_destroy(stories);
	ctask_history_destroy(history);
	return ret;
}

/* What has another outcome now is told at once; what is new waits until it has settled. */
static int take_text(struct following *f, const struct ctask_history *history,
		     struct ctask_error *err)
{
	const struct ctask_cancels cancels = { .history = history, .process = f->watch->process };
	int ret = 0;

	if (!f->has_begun) {
		f->has_begun = true;
		f->told_through = f->seen_through;
		return write_text(f->watch, history, err);
	}
	f->new_pending = false;
	for (uint32_t i = 0; i < history->count && !ret; i++) {
		const struct ctask_cancellation *c = &history->items[i];

		if (c->id > f->told_through) {
			if (!f->new_from) {
				f->new_from = c->root;
				f->new_since_us = now_us();
			}
			if (c->root < f->new_from)
				f->new_from = c->root;
			f->new_pending |= c->outcome == CTASK_OUTCOME_PENDING;
		} else if (c->outcome != CTASK_OUTCOME_PENDING &&
			   ctask_story_wants(f->watch->filter, c)) {
			ret = ctask_render_outcome(&cancels, i, f->watch->render, stdout, err);
		}
	}
	return ret;
}

/* --- both --- */

static int take(struct following *f, struct ctask_error *err)
{
	struct ctask_history *history = NULL;
	int ret = ctask_history_read_changes(f->reader, &history, err);

	if (ret)
		return ret;
	f->dropped = history->dropped;
	f->unreadable += history->unreadable;
	f->ended = history->ended;
	if (history->count && history->items[history->count - 1].id > f->seen_through)
		f->seen_through = history->items[history->count - 1].id;
	if (f->watch->json) {
		ret = write_json(f->watch, history, f->has_begun, err);
		f->has_begun = true;
	} else {
		ret = take_text(f, history, err);
	}
	ctask_history_destroy(history);
	return ret;
}

static bool has_settled(const struct following *f)
{
	return f->new_from && (!f->new_pending || now_us() - f->new_since_us > SETTLE_US);
}

static bool is_alive(const struct following *f)
{
	char state = ctask_process_state(f->watch->pid);

	return state && state != 'Z' && state != 'X';
}

/* Wait for the next look. False when it is over. */
static bool wait_for_more(struct following *f, const sigset_t *unblocked)
{
	struct pollfd fds[] = {
		{ .fd = f->pidfd, .events = POLLIN },
		{ .fd = STDOUT_FILENO, .events = 0 }, /* a reader that has gone */
	};
	struct timespec timeout = { .tv_nsec = POLL_MS * 1000000L };
	int64_t left;

	if (f->end_us) {
		left = f->end_us - now_us();
		if (left <= 0)
			return false;
		if (left < POLL_MS * 1000)
			timeout.tv_nsec = left * 1000;
	}
	if (ppoll(fds, ARRAY_SIZE(fds), &timeout, unblocked) < 0 && errno != EINTR)
		return false;
	if (fds[1].revents & (POLLERR | POLLNVAL))
		return false;
	return !stopped;
}

static int watch_on(struct following *f, const sigset_t *unblocked, struct ctask_error *err)
{
	bool more = true;
	int ret = take(f, err);

	while (!ret && more && !fflush(stdout)) {
		bool over = f->ended || !is_alive(f);

		if (!over)
			more = wait_for_more(f, unblocked);
		if (f->watch->recorder && (over || !more))
			ctask_recorder_stop(f->watch->recorder);
		ret = ctask_history_reader_changed(f->reader, err);
		if (ret > 0)
			ret = take(f, err);
		if (!ret && f->new_from && (over || !more || has_settled(f)))
			ret = tell_new(f, err);
		if (over && !ret)
			ret = ctask_fail(err, EOWNERDEAD,
					 is_alive(f) ? "Python has ended in process %d"
						     : "process %d has ended",
					 (int)f->watch->pid);
	}
	return ret;
}

int ctask_watch_follow(struct ctask_history_reader *reader, const struct ctask_watch *watch)
{
	const struct sigaction action = { .sa_handler = stop };
	struct following f = {
		.reader = reader,
		.watch = watch,
		.pidfd = (int)syscall(SYS_pidfd_open, watch->pid, 0),
		.end_us = watch->duration_us ? now_us() + watch->duration_us : 0,
	};
	struct ctask_error err = { 0 };
	sigset_t stops, unblocked;
	int ret = 0, status;

	sigemptyset(&stops);
	sigaddset(&stops, SIGINT);
	sigaddset(&stops, SIGTERM);
	sigprocmask(SIG_BLOCK, &stops, &unblocked);
	sigdelset(&unblocked, SIGINT);
	sigdelset(&unblocked, SIGTERM);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	if (watch->json)
		ret = ctask_json_write_attached(
			watch->pid, watch->recorder ? CTASK_BY_BPF : CTASK_BY_AGENT, stdout, &err);
	if (!ret)
		ret = watch_on(&f, &unblocked, &err);
	if (watch->json)
		(void)ctask_json_write_end(f.dropped, stdout, NULL);
	status = ctask_report_written();
	if (status == CTASK_EXIT_WHOLE)
		status = ret ? ctask_report_error(&err) : status_of(f.unreadable);
	if (f.pidfd >= 0)
		close(f.pidfd);
	return status;
}

int ctask_watch_once(struct ctask_history_reader *reader, const struct ctask_watch *watch)
{
	struct ctask_history *history = NULL;
	struct ctask_error err = { 0 };
	int status, ret = ctask_history_read(reader, &history, &err);

	if (!ret)
		ret = ctask_enrich_pending(&history, reader, &err);
	if (ret)
		return ctask_report_error(&err);
	if (watch->json) {
		ret = write_json(watch, history, false, &err);
		if (!ret)
			ret = ctask_json_write_end(history->dropped, stdout, &err);
	} else {
		ret = write_text(watch, history, &err);
	}
	status = ret ? ctask_report_error(&err) : ctask_report_written();
	if (status == CTASK_EXIT_WHOLE)
		status = status_of(history->unreadable);
	ctask_history_destroy(history);
	return status;
}
