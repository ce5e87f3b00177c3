/* capture.c - from a process to a snapshot: a moment in which it rests, or a short stop. */
#include "reader/capture.h"

#include <ctask/history.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "model/cleanup.h"
#include "reader/core.h"
#include "reader/pause.h"
#include "reader/process.h"
#include "reader/python.h"
#include "reader/quiet.h"
#include "reader/walk.h"

enum {
	/* How long a busy process is watched for a moment of rest before it is stopped. */
	QUIET_BUDGET_US = 12 * 1000,
	/* Short stops that only copy, before one in which the walk is done too. */
	COPYING_STOPS = 6,
	/* All stops together, and pictures of something half done before one is believed. */
	STOPS_MAX = 12,
	HALF_DONE_BELIEVED = 4,
	/* Walks over the running process, to learn from, before each of them. */
	LEARNING_WALKS = 4,
};

/* All that one capture holds. */
struct capture {
	pid_t pid;
	const struct ctask_capture_options *options;
	struct ctask_error *err;

	struct ctask_memory *memory;
	struct ctask_pages pages;
	struct ctask_python python;
	struct ctask_snapshot *snap;
	struct ctask_walk walk;
	struct ctask_quiet *quiet;
	struct ctask_thread_ids *ids;

	bool walk_ready;
	bool agent;	      /* its history is mapped */
	bool other_clock;     /* it lives in another time namespace: its loops' clock is not ours */
	uint64_t start_ticks; /* of the process: with its id, the process itself */
	int64_t start_ns;     /* when we began */
	int64_t paused_ns;
	int64_t walk_ns;		/* what a walk takes: see learn_pages() */
	int64_t instant_us, instant_ns; /* of the picture: since the epoch; CLOCK_MONOTONIC */
};

static int64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static int64_t now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

static void fini(struct capture *c)
{
	if (c->walk_ready)
		ctask_walk_fini(&c->walk);
	ctask_pages_fini(&c->pages);
	ctask_memory_destroy(c->memory);
	ctask_quiet_destroy(c->quiet);
	ctask_snapshot_destroy(c->snap);
	free(c->ids);
}

static bool was_replaced(const struct capture *c)
{
	uint64_t start = ctask_process_start(c->pid);

	return c->start_ticks && start && start != c->start_ticks;
}

static bool has_ended(const struct capture *c)
{
	return c->start_ticks && (was_replaced(c) || ctask_process_is_exiting(c->pid) ||
				  ctask_process_check(c->pid, NULL) == -ESRCH);
}

/* What an error of the pages means for the whole. */
static int explain(struct capture *c, int error)
{
	switch (error) {
	case -ESRCH:
	case -EOWNERDEAD:
		return ctask_fail(c->err, EOWNERDEAD, "process %d ended while it was read",
				  (int)c->pid);
	case -EPERM:
	case -EACCES:
		return ctask_process_refused(c->pid, c->err);
	case -ENOMEM:
		return ctask_fail(c->err, ENOMEM, "out of memory");
	case -E2BIG:
		return ctask_fail(
			c->err, E2BIG,
			"the objects of process %d lead on and on: its memory is damaged, "
			"or made to mislead",
			(int)c->pid);
	case -ETIME:
		return ctask_fail(
			c->err, EBUSY,
			"process %d is too busy for a true picture within a stop of %u ms: "
			"allow more with --max-pause",
			(int)c->pid, c->options->max_pause_ms);
	default:
		return ctask_fail(c->err, -error, "process %d could not be read: %s", (int)c->pid,
				  strerror(-error));
	}
}

/* The picture is of now. */
static void mark_instant(struct capture *c)
{
	c->instant_us = clock_ns(CLOCK_REALTIME) / 1000;
	c->instant_ns = now_ns();
}

/* Nothing in the picture is half done. */
static bool is_settled(const struct capture *c)
{
	return !c->walk.unsettled && ctask_snapshot_complete(c->snap);
}

/* Walk over what the pages serve now. */
static int walk(struct capture *c)
{
	c->walk.now_s = c->other_clock ? NAN : (double)c->instant_ns / 1e9;
	return ctask_walk_run(&c->walk);
}

/* One walk over the running process. *ret_true when nothing ran meanwhile. */
static int walk_live(struct capture *c, bool *ret_true)
{
	struct ctask_token before, after;
	int ret = ctask_quiet_token(c->quiet, &before);

	ctask_pages_thaw(&c->pages);
	mark_instant(c);
	if (!ret)
		ret = walk(c);
	if (!ret)
		ret = ctask_quiet_token(c->quiet, &after);
	*ret_true = !ret && ctask_quiet_between(&before, &after);
	return ret;
}

/* Walk over a frozen copy. *ret_true when the copy held all that was needed. */
static int walk_frozen(struct capture *c, bool *ret_true)
{
	int ret = walk(c);

	*ret_true = !ret && c->pages.missed == 0;
	return ret;
}

/*
 * Copy the pages that are known to matter in a moment in which the process
 * rests; much shorter than a walk, so that a busy process grants it often.
 */
static int try_quiet_copies(struct capture *c, bool *ret_true)
{
	int64_t until = now_ns() + QUIET_BUDGET_US * 1000ll;
	int ret = ctask_pages_prepare(&c->pages);

	*ret_true = false;
	while (!ret && !*ret_true && now_ns() < until) {
		struct ctask_token before, after;

		ret = ctask_quiet_token(c->quiet, &before);
		if (ret || !before.asleep)
			continue;
		mark_instant(c);
		ret = ctask_pages_freeze(&c->pages);
		if (!ret)
			ret = ctask_quiet_token(c->quiet, &after);
		if (ret || !ctask_quiet_between(&before, &after))
			continue;
		ret = walk_frozen(c, ret_true);
		if (!ret && !*ret_true)
			ret = ctask_pages_prepare(&c->pages);
	}
	return ret;
}

/* How a process is held: by ptrace, or, one that looks at itself, by what it knows to do. */
struct hold {
	struct ctask_pause *pause;
	int64_t since_ns;
};

static int hold_begin(struct capture *c, int64_t at_most_ns, struct hold *ret)
{
	const struct ctask_capture_self *self = c->options->self;
	int64_t held_ns = 0;
	int error;

	*ret = (struct hold){ 0 };
	if (self) {
		error = self->hold();
		if (error)
			return ctask_fail(c->err, -error,
					  "the process is too busy to be looked into: try again");
		ret->since_ns = now_ns();
		c->pages.deadline_ns = ret->since_ns + at_most_ns;
		return 0;
	}
	error = ctask_pause_begin(c->pid, at_most_ns, &ret->pause, &c->pages.deadline_ns, &held_ns,
				  c->err);
	if (error)
		c->paused_ns += held_ns;
	return error == -ETIMEDOUT ? explain(c, -ETIME) : error;
}

/* False when it has not held until now. */
static bool hold_end(struct capture *c, struct hold *hold)
{
	bool has_held = true;

	if (c->options->self) {
		has_held = c->options->self->let_go();
		c->paused_ns += now_ns() - hold->since_ns;
	} else {
		c->paused_ns += ctask_pause_end(hold->pause);
	}
	c->pages.deadline_ns = 0;
	return has_held;
}

/*
 * Stop the process, copy, let it go on. With @p walk_too the walk happens
 * while it stands still, and a page that is missing is read.
 */
static int stop_and_copy(struct capture *c, bool walk_too, bool *ret_true)
{
	int64_t allowed = c->options->max_pause_ms * 1000000ll - c->paused_ns;
	int ret = ctask_pages_prepare(&c->pages);
	struct hold hold;

	*ret_true = false;
	if (ret)
		return explain(c, ret);
	if (allowed <= 0)
		return explain(c, -ETIME);
	ret = hold_begin(c, allowed, &hold);
	if (ret)
		return ret;
	mark_instant(c);
	ret = ctask_pages_freeze(&c->pages);
	if (!ret && walk_too) {
		ctask_pages_hold(&c->pages, true);
		ret = walk(c);
		*ret_true = !ret;
	}
	if (!hold_end(c, &hold))
		return explain(c, -ETIME);
	if (!ret && !walk_too)
		ret = walk_frozen(c, ret_true);
	return ret ? explain(c, ret) : 0;
}

/*
 * Learn which pages matter now: walk over the running process until it is seen
 * in one piece. What is read in these walks is not shown to anybody.
 */
static int learn_pages(struct capture *c)
{
	int ret = 0;

	c->walk_ns = 0;
	for (int i = 0; !ret && i < LEARNING_WALKS; i++) {
		int64_t begin_ns = now_ns(), taken_ns;

		ctask_pages_thaw(&c->pages);
		ret = walk(c);
		taken_ns = now_ns() - begin_ns;
		if (taken_ns > c->walk_ns)
			c->walk_ns = taken_ns;
		if (!ret && is_settled(c))
			break;
	}
	return ret ? explain(c, ret) : 0;
}

/*
 * Several short stops rather than a long one, up to where they come to as much
 * together. A copy that lacks a page is of no use. One that shows something
 * half done (a table that is being moved, a task between its coroutine's end
 * and its own) is believed only when others after it show the like: then it is
 * no matter of the instant.
 */
static int stop_until_true(struct capture *c, bool *ret_true)
{
	bool whole = false, settled;
	int half_done = 0, ret = 0;

	*ret_true = false;
	for (int stops = 0; !ret && !*ret_true && stops < STOPS_MAX; stops++) {
		/*
		 * One that is walked while it stands still lacks nothing, but is longer: by a quarter
		 * to a half of a walk over the running process, where the pages have to be read too.
		 */
		bool walk_too =
			stops + 1 == STOPS_MAX ||
			(!whole && (stops >= COPYING_STOPS || c->walk_ns / 4 < c->paused_ns));

		if (!whole && !walk_too)
			ret = learn_pages(c);
		if (!ret)
			ret = stop_and_copy(c, walk_too, &whole);
		settled = is_settled(c);
		half_done += whole && !settled;
		*ret_true = whole && (settled || half_done >= HALF_DONE_BELIEVED);
	}
	*ret_true = whole;
	return ret;
}

struct stops {
	struct capture *capture;
	bool is_true;
	int ret;
};

static void *make_stops(void *arg)
{
	struct stops *stops = arg;

	stops->ret = stop_until_true(stops->capture, &stops->is_true);
	return NULL;
}

/* In a thread of its own, as pause.h asks. */
static int stop_in_thread(struct capture *c, bool *ret_true)
{
	struct stops stops = { .capture = c };
	pthread_t thread;
	int error = pthread_create(&thread, NULL, make_stops, &stops);

	if (error)
		return ctask_fail(c->err, error, "no thread can be made: %s", strerror(error));
	pthread_join(thread, NULL);
	*ret_true = stops.is_true;
	return stops.ret;
}

static int take_picture(struct capture *c)
{
	bool is_true = false;
	int ret = walk_live(c, &is_true);

	if (!ret && !is_true)
		ret = try_quiet_copies(c, &is_true);
	if (ret)
		return explain(c, ret);
	if (is_true)
		return 0;
	if (c->options->no_pause)
		return ctask_fail(
			c->err, EBUSY,
			"process %d never rested, so that no true picture of it could be taken "
			"without a stop: try again, or without --no-pause",
			(int)c->pid);
	return c->options->self ? stop_until_true(c, &is_true) : stop_in_thread(c, &is_true);
}

static int find_python(struct capture *c, bool quick)
{
	struct ctask_mapping *maps = NULL;
	uint32_t count = 0;
	struct ctask_images images;
	int ret = ctask_process_mappings(c->pid, &maps, &count, c->err);

	if (ret)
		return ret;
	for (uint32_t i = 0; i < count; i++)
		c->agent |= strcmp(maps[i].path, "/memfd:" CTASK_HISTORY_NAME) == 0;
	images = (struct ctask_images){
		.pid = c->pid, .maps = maps, .count = count, .quick = quick
	};
	ret = ctask_python_find(&c->pages, &images, &c->python, c->err);
	ctask_mappings_free(maps, count);
	if (c->pages.error)
		return explain(c, c->pages.error);
	if (ret && c->err) {
		struct ctask_error why = *c->err;

		return ctask_fail_at(c->err, why.code, why.addr, "process %d %s", (int)c->pid,
				     why.text);
	}
	return ret;
}

static int init(struct capture *c, bool quick)
{
	uint32_t id_count = 0;
	int ret = ctask_process_check(c->pid, c->err);

	if (ret)
		return ret;
	c->start_ticks = ctask_process_start(c->pid);
	c->snap = ctask_snapshot_create();
	c->quiet = ctask_quiet_create(c->pid);
	if (!c->snap || !c->quiet)
		return explain(c, -ENOMEM);
	if (c->options->self)
		ctask_quiet_leave_out(c->quiet, c->options->self->tids,
				      c->options->self->tid_count);
	ret = ctask_memory_create_process(c->pid, &c->memory, c->err);
	if (ret)
		return ret;
	ret = ctask_pages_init(&c->pages, c->memory);
	if (ret)
		return explain(c, ret);
	ret = find_python(c, quick);
	if (!ret)
		ret = ctask_process_threads(c->pid, &c->ids, &id_count, c->err);
	if (ret)
		return ret;
	if (ctask_process_describe(c->pid, c->snap->texts, &c->snap->process))
		return explain(c, -ENOMEM);
	ctask_walk_init(&c->walk, &c->pages, &c->python, c->snap);
	c->walk_ready = true;
	c->other_clock = !ctask_process_shares_clock(c->pid);
	c->walk.ids = c->ids;
	c->walk.id_count = id_count;
	return 0;
}

int ctask_capture_process(pid_t pid, const struct ctask_capture_options *options,
			  struct ctask_snapshot **ret_snap, struct ctask_error *err)
{
	struct ctask_capture_options own = options ? *options : (struct ctask_capture_options){ 0 };
	struct capture c = { .pid = pid, .options = &own, .err = err, .start_ns = now_ns() };
	int ret;

	if (!own.max_pause_ms)
		own.max_pause_ms = CTASK_MAX_PAUSE_MS_DEFAULT;
	ret = init(&c, false);
	if (!ret)
		ret = take_picture(&c);
	if (!ret && !c.walk.has_asyncio && !c.walk.has_trio)
		ret = ctask_fail(
			err, ENOTSUP,
			"process %d runs CPython %s, but has loaded neither asyncio nor trio",
			(int)pid, c.python.version);
	/*
	 * What failed on a process that was ending failed for that reason, whatever
	 * it looked like. A picture that was taken before its end is a good one,
	 * unless the id has found a new owner: who knows whose it is.
	 */
	if (ret && ret != -ENOMEM ? has_ended(&c) : was_replaced(&c))
		ret = explain(&c, -EOWNERDEAD);
	if (!ret) {
		c.snap->source = own.self ? CTASK_SOURCE_AGENT : CTASK_SOURCE_MEMORY;
		c.snap->capture.captured_at_us = c.instant_us;
		c.snap->capture.paused_us = (uint64_t)(c.paused_ns / 1000);
		c.snap->capture.agent = c.agent;
		c.snap->capture.elapsed_us = (uint64_t)((now_ns() - c.start_ns) / 1000);
		*ret_snap = steal_ptr(&c.snap);
	}
	fini(&c);
	return ret;
}

int ctask_glance_process(pid_t pid, struct ctask_glance *ret_glance, struct ctask_error *err)
{
	const struct ctask_capture_options none = { 0 };
	struct capture c = { .pid = pid, .options = &none, .err = err };
	struct ctask_glance glance = { .implementation = "CPython" };
	bool unproved;
	int ret = init(&c, true);

	if (!ret) {
		c.walk.count_only = true;
		ret = walk_live(&c, &unproved);
		if (ret)
			ret = explain(&c, ret);
	}
	if (!ret) {
		snprintf(glance.version, sizeof(glance.version), "%s", c.python.version);
		glance.has_asyncio = c.walk.has_asyncio;
		glance.has_trio = c.walk.has_trio;
		glance.task_count = c.snap->task_count;
		*ret_glance = glance;
	}
	fini(&c);
	return ret;
}

/* --- core files --- */

static int describe_core(struct capture *c, const struct ctask_core *core)
{
	struct ctask_snapshot *snap = c->snap;
	struct ctask_process *process = &snap->process;
	const char *args = core->args;

	process->pid = process->nspid = core->pid;
	process->uid = core->uid;
	if (core->exe)
		process->exe = ctask_texts_add_bytes(snap->texts, core->exe, strlen(core->exe));
	/* The kernel keeps the first 80 bytes, words apart by blanks. */
	process->cmdline = calloc(sizeof(core->args), sizeof(*process->cmdline));
	if (!process->cmdline)
		return -ENOMEM;
	while (*(args += strspn(args, " "))) {
		size_t len = strcspn(args, " ");
		ctask_text word = ctask_texts_add_bytes(snap->texts, args, len);

		if (!word)
			return -ENOMEM;
		process->cmdline[process->cmdline_count++] = word;
		args += len;
	}
	snap->source = CTASK_SOURCE_CORE;
	snap->capture.captured_at_us = core->mtime_us;
	return 0;
}

/* No Python was found: perhaps for want of a file that the core relies on. */
static int explain_core(struct capture *c, const struct ctask_core *core, const char *path,
			int error)
{
	for (uint32_t i = 0; error == -ENOTSUP && i < core->map_count; i++) {
		const struct ctask_mapping *map = &core->maps[i];
		bool is_exe = map->path == core->exe;

		if ((is_exe || strstr(map->path, "python")) && access(map->path, R_OK))
			return ctask_fail(
				c->err, ENOTSUP,
				"the core file relies on '%s', which cannot be opened here%s",
				map->path, is_exe ? ": give it with --exe FILE" : "");
	}
	if (c->err) {
		struct ctask_error why = *c->err;

		return ctask_fail(c->err, why.code, "the process of core file '%s' %s", path,
				  why.text);
	}
	return error;
}

static int capture_core(struct capture *c, const struct ctask_core *core, const char *path)
{
	struct ctask_images images = { .maps = core->maps, .count = core->map_count };
	int ret;

	c->snap = ctask_snapshot_create();
	if (!c->snap || ctask_pages_init(&c->pages, c->memory))
		return ctask_fail(c->err, ENOMEM, "out of memory");
	ret = ctask_python_find(&c->pages, &images, &c->python, c->err);
	if (ret)
		return explain_core(c, core, path, ret);
	ctask_walk_init(&c->walk, &c->pages, &c->python, c->snap);
	c->walk_ready = true;
	ret = ctask_walk_run(&c->walk);
	if (!ret)
		ret = describe_core(c, core);
	if (ret)
		return ctask_fail(c->err, -ret, "the core file '%s' could not be read: %s", path,
				  strerror(-ret));
	if (!c->walk.has_asyncio && !c->walk.has_trio)
		return ctask_fail(
			c->err, ENOTSUP,
			"'%s' is of CPython %s, which had loaded neither asyncio nor trio", path,
			c->python.version);
	c->snap->capture.elapsed_us = (uint64_t)((now_ns() - c->start_ns) / 1000);
	return 0;
}

int ctask_capture_core(const char *core, const char *exe, struct ctask_snapshot **ret_snap,
		       struct ctask_error *err)
{
	struct capture c = { .err = err, .start_ns = now_ns() };
	struct ctask_core facts;
	int ret = ctask_core_open(core, exe, &c.memory, &facts, err);

	if (ret)
		return ret;
	ret = capture_core(&c, &facts, core);
	if (!ret)
		*ret_snap = steal_ptr(&c.snap);
	ctask_core_fini(&facts);
	fini(&c);
	return ret;
}
