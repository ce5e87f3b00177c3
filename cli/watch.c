/* watch.c - the answer of `ctaskctl cancels` for one process. */
#include "cli/watch.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>

#include "cli/report.h"
#include "model/cleanup.h"
#include "model/json_cancellation.h"
#include "reader/enrich.h"
#include "reader/process.h"

enum { POLL_MS = 50 };

static volatile sig_atomic_t stopped;

static void stop(int number)
{
	(void)number;
	stopped = 1;
}

void ctask_watch_catch_signals(sigset_t *ret_unblocked)
{
	const struct sigaction action = { .sa_handler = stop };
	sigset_t stops;

	sigemptyset(&stops);
	sigaddset(&stops, SIGINT);
	sigaddset(&stops, SIGTERM);
	sigprocmask(SIG_BLOCK, &stops, ret_unblocked);
	sigdelset(ret_unblocked, SIGINT);
	sigdelset(ret_unblocked, SIGTERM);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

int64_t ctask_watch_now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

bool ctask_watch_wait(int pidfd, int64_t end_us, const sigset_t *unblocked)
{
	struct pollfd fds[] = {
		{ .fd = pidfd, .events = POLLIN },
		{ .fd = STDOUT_FILENO, .events = 0 }, /* a reader that has gone */
	};
	struct timespec timeout = { .tv_nsec = POLL_MS * 1000000L };
	int64_t left;

	if (end_us) {
		left = end_us - ctask_watch_now_us();
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

int ctask_watch_status(uint64_t unreadable)
{
	if (!unreadable)
		return CTASK_EXIT_WHOLE;
	fprintf(stderr, "ctaskctl: not all could be read: %llu %s no sense\n",
		(unsigned long long)unreadable, unreadable == 1 ? "record makes" : "records make");
	return CTASK_EXIT_IN_PART;
}

/* --- one process --- */

struct following {
	const struct ctask_watch *watch;
	struct ctask_teller teller;
	int pidfd; /* or -1 */
	int64_t end_us;
	uint64_t image;
};

static struct ctask_teller make_teller(struct ctask_history_reader *reader,
				       const struct ctask_watch *watch)
{
	return (struct ctask_teller){
		.reader = reader,
		.telling = &watch->telling,
		.process = watch->process,
		.container = watch->container,
	};
}

/* Why nothing more will come; NULL when something may. */
static const char *why_over(const struct following *f)
{
	char state = ctask_process_state(f->watch->pid);
	uint64_t image = ctask_process_image(f->watch->pid);

	if (!state || state == 'Z' || state == 'X')
		return "process %d has ended";
	if (image && f->image && image != f->image)
		return "process %d runs another program by now";
	return f->teller.ended ? "Python has ended in process %d" : NULL;
}

static int watch_on(struct following *f, const sigset_t *unblocked, struct ctask_error *err)
{
	bool more = true;
	int ret = ctask_teller_look(&f->teller, NULL, false, err);

	while (!ret && more && !fflush(stdout)) {
		const char *over = why_over(f);

		if (!over)
			more = ctask_watch_wait(f->pidfd, f->end_us, unblocked);
		if (f->watch->recorder && (over || !more))
			ctask_recorder_stop(f->watch->recorder);
		ret = ctask_teller_look(&f->teller, NULL, over || !more, err);
		if (over && !ret)
			ret = ctask_fail(err, EOWNERDEAD, over, (int)f->watch->pid);
	}
	return ret;
}

int ctask_watch_follow(struct ctask_history_reader *reader, const struct ctask_watch *watch)
{
	struct following f = {
		.watch = watch,
		.teller = make_teller(reader, watch),
		.pidfd = (int)syscall(SYS_pidfd_open, watch->pid, 0),
		.end_us = watch->duration_us ? ctask_watch_now_us() + watch->duration_us : 0,
		.image = ctask_process_image(watch->pid),
	};
	struct ctask_error err = { 0 };
	sigset_t unblocked;
	int ret = 0, status;

	ctask_watch_catch_signals(&unblocked);
	if (watch->telling.json)
		ret = ctask_json_write_attached(
			watch->pid, watch->recorder ? CTASK_BY_BPF : CTASK_BY_AGENT, stdout, &err);
	if (!ret)
		ret = watch_on(&f, &unblocked, &err);
	if (watch->telling.json)
		(void)ctask_json_write_end(f.teller.dropped, stdout, NULL);
	else if (f.teller.dropped)
		ctask_report_warning("%llu requests could not be recorded",
				     (unsigned long long)f.teller.dropped);
	status = ctask_report_written();
	if (status == CTASK_EXIT_WHOLE)
		status = ret ? ctask_report_error(&err) : ctask_watch_status(f.teller.unreadable);
	if (f.pidfd >= 0)
		close(f.pidfd);
	return status;
}

int ctask_watch_once(struct ctask_history_reader *reader, const struct ctask_watch *watch)
{
	const struct ctask_teller teller = make_teller(reader, watch);
	struct ctask_history *history = NULL;
	struct ctask_error err = { 0 };
	int status, ret = ctask_history_read(reader, &history, &err);

	if (!ret)
		ret = ctask_enrich_pending(&history, reader, &err);
	if (ret)
		return ctask_report_error(&err);
	history->container = watch->container;
	ret = ctask_tell_once(&teller, history, &err);
	status = ret ? ctask_report_error(&err) : ctask_report_written();
	if (status == CTASK_EXIT_WHOLE)
		status = ctask_watch_status(history->unreadable);
	ctask_history_destroy(history);
	return status;
}
