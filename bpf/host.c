/* host.c - record the cancellations of every process of the host, those that begin later too. */
#include "bpf/host.h"

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <uthash.h>

#include "bpf/builds.h"
#include "bpf/clock.h"
#include "bpf/news.h"
#include "bpf/probes.h"
#include "bpf/subject.h"
#include "model/cleanup.h"
#include "reader/process.h"

enum {
	HISTORY_BYTES = 4 << 20, /* of each process */
	WATCH_MS = 2,		 /* how often asked tasks are looked at */
	IDLE_MS = 5,	    /* how often the probes' buffer is looked into; they do not wake us */
	LOOKING_US = 20000, /* at processes, before the buffer is looked into again */
	MICRO = 1000000,
	CATCH_UP_US = 10 * MICRO, /* with what has come, at the end */
	LIST_US = MICRO,	  /* how often /proc is listed, for what no probe has told */
	/* A process is looked at again after a share of its age, within these limits. */
	FIRST_LOOK_US = 5000,
	PYTHON_SHARE = 10,
	PYTHON_MOST_US = MICRO,
	OTHER_SHARE = 2,
	OTHER_MOST_US = 10 * MICRO,
	LOADING_LOOK_US = 500, /* one that is just about to load asyncio */
	LOADING_SHARE = 4,
	AGENT_US = 2 * MICRO, /* within which an agent begins its history */
	CODE_SPACE_SHIFT = 48,
	NICE = -10,
	MISSED_MOST = 2, /* lists: what a probe tells may be on its way */
	WORD = 64,
};

/* When, after the first look, a process may have imported more that means something. */
static const int64_t learn_after_us[] = { 50000, 300000, 2 * MICRO, 10 * MICRO };

enum state {
	OTHER,	/* no Python was seen in it */
	PYTHON, /* that has not loaded asyncio */
	FOLLOWED,
	BY_AGENT,
	LEFT_OUT,
};

struct known {
	pid_t pid;
	uint64_t start_ticks;
	enum state state;
	int64_t begun_us, next_us; /* the program; the next look at it. INT64_MAX = never */
	int64_t loading_us;	   /* it began to load asyncio then; 0 = not known */
	uint64_t maps_print;	   /* of the files that it had mapped at the last look */
	bool has_agent, listed;
	uint32_t
		missed; /* times in a row that it was not what it had been, and no probe had told */
	struct ctask_subject *subject;	  /* PYTHON, FOLLOWED */
	struct ctask_shared_build *build; /* FOLLOWED */
	uint32_t number;		  /* FOLLOWED, BY_AGENT */
	bool has_open;			  /* requests */
	uint32_t learnt;		  /* of learn_after_us */
	int64_t followed_us;
	UT_hash_handle hh;
};

struct ctask_host {
	struct ctask_probes *probes;
	struct known *known;
	struct ctask_builds builds;
	uint32_t processes; /* numbers that were given */
	int64_t list_us;
	atomic_uint_fast64_t lost, lost_events;
	atomic_uint refused;

	struct ctask_news news;
	pthread_t thread;
	bool has_thread;
	atomic_bool stop;
	bool is_late;  /* what is left is only counted */
	bool any_open; /* requests whose outcome is to be watched for */
};

static int64_t now_us(void)
{
	return ctask_clock_us(CLOCK_BOOTTIME);
}

static int64_t start_us(uint64_t start_ticks)
{
	return (int64_t)(start_ticks * MICRO / (uint64_t)sysconf(_SC_CLK_TCK));
}

/* --- news --- */

static void tell(struct ctask_host *h, const struct ctask_host_news *news)
{
	if (ctask_news_put(&h->news, news))
		atomic_fetch_add(&h->lost, 1);
}

static void tell_of(struct ctask_host *h, const struct known *k, enum ctask_host_event event,
		    struct ctask_history_reader *reader, int64_t missed)
{
	const struct ctask_host_news news = {
		.event = event,
		.number = k->number,
		.pid = k->pid,
		.start_ticks = k->start_ticks,
		.source = k->state == BY_AGENT ? CTASK_BY_AGENT : CTASK_BY_BPF,
		.reader = reader,
		.missed = missed,
	};

	tell(h, &news);
}

bool ctask_host_next(struct ctask_host *h, struct ctask_host_news *ret_news)
{
	return ctask_news_take(&h->news, ret_news);
}

/* --- a process that is followed --- */

static void end(struct ctask_host *h, struct known *k)
{
	if (k->state == FOLLOWED) {
		ctask_probes_unset(h->probes, k->pid);
		ctask_subject_end(k->subject);
		ctask_builds_give_back(k->build, now_us());
		k->build = NULL;
	}
	if (k->state == FOLLOWED || k->state == BY_AGENT)
		tell_of(h, k, CTASK_HOST_ENDED, NULL, 0);
	ctask_subject_destroy(k->subject);
	k->subject = NULL;
	k->state = LEFT_OUT;
}

static void give_up(struct ctask_host *h, struct known *k)
{
	end(h, k);
	k->next_us = INT64_MAX;
}

static void leave_out(struct ctask_host *h, struct known *k, const char *why)
{
	struct ctask_host_news news = { .event = CTASK_HOST_LEFT_OUT, .pid = k->pid };

	snprintf(news.why, sizeof(news.why), "%s", why);
	tell(h, &news);
	give_up(h, k);
}

struct codes_of {
	struct ctask_probes *probes;
	uint64_t space;
};

static void put_code(void *arg, uint64_t addr, const struct ctask_probe_code *code)
{
	const struct codes_of *of = arg;

	ctask_probes_code(of->probes, addr | of->space, code);
}

static void put_thread(void *arg, uint64_t ident, uint64_t tstate)
{
	ctask_probes_thread(((struct ctask_host *)arg)->probes, ident, tstate);
}

static void learn(struct ctask_host *h, struct known *k)
{
	struct codes_of of = { h->probes, k->subject->target.code_space };

	ctask_subject_codes(k->subject, put_code, &of);
}

static void learn_new(struct ctask_host *h, struct known *k)
{
	struct ctask_probe_code code;
	uint64_t addr;

	while (ctask_resolver_new_code(k->subject->resolver, &addr, &code))
		ctask_probes_code(h->probes, addr | k->subject->target.code_space, &code);
}

/* Its history begins @p age_us ago. Only this thread adds to it: whoever reads it misses nothing. */
static int is_followed(struct ctask_host *h, struct known *k, int64_t age_us, int64_t missed,
		       struct ctask_error *err)
{
	struct ctask_history_reader *reader;
	int fd = k->subject->history.fd; /* goes over: what is mapped stays */
	int ret;

	k->state = FOLLOWED;
	k->number = ++h->processes;
	k->followed_us = now_us();
	k->next_us = k->followed_us + learn_after_us[0];
	k->learnt = 0;
	ctask_subject_since(k->subject, ctask_clock_us(CLOCK_REALTIME) - age_us);
	k->subject->history.fd = -1;
	ret = ctask_history_reader_open_file(fd, k->pid, &reader, err);
	if (!ret)
		tell_of(h, k, CTASK_HOST_FOLLOWED, reader, missed);
	return ret;
}

/* Begin to record a process that has loaded asyncio. */
static int follow(struct ctask_host *h, struct known *k, struct ctask_error *err)
{
	struct ctask_probe_target *target = &k->subject->target;
	uint64_t calls;
	bool was_attached;
	int ret = ctask_subject_begin(k->subject, HISTORY_BYTES, err);

	if (!ret)
		ret = ctask_builds_take(&h->builds, k->subject, now_us(), &k->build, err);
	if (ret)
		return ret;
	target->build = k->build->number;
	target->code_space = (h->processes + 1ull) << CODE_SPACE_SHIFT;
	learn(h, k);
	ctask_target_threads(&k->subject->walk, put_thread, h);
	ret = ctask_probes_set(h->probes, k->pid, target);
	if (ret) {
		ctask_builds_give_back(k->build, now_us());
		return ctask_fail(err, -ret, "no more processes can be followed: %s",
				  strerror(-ret));
	}
	was_attached = k->build->attached_us < k->begun_us;
	calls = ctask_probes_unready(h->probes, k->pid, target->build);
	return is_followed(h, k, 0, was_attached ? (int64_t)calls : -1, err);
}

/* A process that has its code where one has it that @p target was made for: they were forked from each other. */
static const struct known *find_relative(const struct ctask_host *h,
					 const struct ctask_probe_target *target)
{
	for (const struct known *k = h->known; k; k = k->hh.next)
		if (k->state == FOLLOWED && k->subject->target.code_space == target->code_space)
			return k;
	return NULL;
}

/* A child of a process that is followed: the probes have known it from its first step. */
static int adopt(struct ctask_host *h, struct known *k, const struct ctask_probe_target *target,
		 struct ctask_error *err)
{
	const struct known *relative = find_relative(h, target);
	int ret = 0;

	if (relative) {
		ctask_subject_destroy(k->subject);
		k->subject = NULL;
		ret = ctask_subject_fork(relative->subject, k->pid, HISTORY_BYTES, &k->subject,
					 err);
	} else {
		if (!k->subject)
			ret = ctask_subject_create(k->pid, &k->subject, err);
		if (!ret)
			ret = ctask_subject_begin(k->subject, HISTORY_BYTES, err);
	}
	if (!ret)
		ret = ctask_builds_take(&h->builds, k->subject, now_us(), &k->build, err);
	if (ret)
		return ret;
	k->subject->target = *target;
	ret = is_followed(h, k, now_us() - start_us(k->start_ticks), 0, err);
	k->next_us = INT64_MAX; /* what its parent had learnt is its own */
	return ret;
}

/* --- a process that may come to be followed --- */

static struct known *find(struct ctask_host *h, pid_t pid)
{
	struct known *k;

	HASH_FIND_INT(h->known, &pid, k);
	return k;
}

static struct known *add(struct ctask_host *h, pid_t pid)
{
	struct known *k = calloc(1, sizeof(*k));

	if (!k)
		return NULL;
	k->pid = pid;
	k->start_ticks = ctask_process_start(pid);
	k->begun_us = start_us(k->start_ticks);
	HASH_ADD_INT(h->known, pid, k);
	return k;
}

static void drop(struct ctask_host *h, struct known *k)
{
	end(h, k);
	HASH_DEL(h->known, k);
	free(k);
}

/* It is another program from now on. */
static void begin_anew(struct ctask_host *h, struct known *k)
{
	end(h, k);
	k->state = OTHER;
	k->start_ticks = ctask_process_start(k->pid);
	k->maps_print = 0;
	k->missed = 0;
	k->has_agent = false;
	k->begun_us = now_us();
	k->next_us = k->begun_us + FIRST_LOOK_US;
}

static int64_t share(int64_t age, int64_t part, int64_t least, int64_t most)
{
	int64_t pause = age / part;

	return pause < least ? least : pause > most ? most : pause;
}

static void look_again(struct known *k, int64_t now)
{
	int64_t age = now - k->begun_us;

	if (k->loading_us)
		k->next_us = now + share(now - k->loading_us, LOADING_SHARE, LOADING_LOOK_US,
					 PYTHON_MOST_US);
	else if (k->state == PYTHON)
		k->next_us = now + share(age, PYTHON_SHARE, FIRST_LOOK_US, PYTHON_MOST_US);
	else
		k->next_us = now + share(age, OTHER_SHARE, FIRST_LOOK_US, OTHER_MOST_US);
}

/* The files that it has mapped, as a number; 0 when they cannot be had. */
static uint64_t look_at_maps(struct known *k)
{
	struct ctask_mapping *maps = NULL;
	uint64_t print = 0xcbf29ce484222325ull;
	uint32_t count = 0;

	if (ctask_process_mappings(k->pid, &maps, &count, NULL))
		return 0;
	for (uint32_t i = 0; i < count; i++) {
		print = (print ^ maps[i].device) * 0x100000001b3ull;
		print = (print ^ maps[i].inode) * 0x100000001b3ull;
		k->has_agent |= strstr(maps[i].path, "/libctask-agent.so") != NULL;
	}
	ctask_mappings_free(maps, count);
	return print | 1;
}

static void look_for_python(struct ctask_host *h, struct known *k)
{
	struct ctask_error err = { 0 };
	uint64_t print = look_at_maps(k);
	int ret;

	if (print == k->maps_print)
		return;
	k->maps_print = print;
	ret = ctask_subject_create(k->pid, &k->subject, &err);
	if (!ret) {
		k->state = PYTHON;
	} else if (ret == -EPERM) {
		atomic_fetch_add(&h->refused, 1);
		k->state = LEFT_OUT;
		k->next_us = INT64_MAX;
	}
}

/* It has loaded asyncio, or is about to. */
static void try_to_follow(struct ctask_host *h, struct known *k, int64_t now)
{
	struct ctask_history_reader *reader = NULL;
	struct ctask_probe_target target;
	struct ctask_error err = { 0 };
	int ret = -ENOTSUP;

	if (k->has_agent)
		ret = ctask_history_reader_open(k->pid, &reader, &err);
	if (!ret) {
		k->state = BY_AGENT;
		k->number = ++h->processes;
		k->next_us = INT64_MAX;
		ctask_subject_destroy(k->subject);
		k->subject = NULL;
		tell_of(h, k, CTASK_HOST_FOLLOWED, reader, 0);
		return;
	}
	if (!k->loading_us)
		k->loading_us = now;
	look_again(k, now);
	if (k->has_agent) {
		if (now - k->loading_us > AGENT_US)
			leave_out(h, k, err.text);
		return;
	}
	ret = ctask_probes_get(h->probes, k->pid, &target) ? adopt(h, k, &target, &err)
							   : follow(h, k, &err);
	if (ret == -ESRCH || ret == -EOWNERDEAD)
		give_up(h, k);
	else if (ret && ret != -EAGAIN)
		leave_out(h, k, err.text);
}

static void look_at(struct ctask_host *h, struct known *k, int64_t now)
{
	if (k->state == FOLLOWED) { /* what it may have imported since */
		learn(h, k);
		k->learnt++;
		k->next_us = k->learnt < ARRAY_SIZE(learn_after_us)
				     ? k->followed_us + learn_after_us[k->learnt]
				     : INT64_MAX;
		return;
	}
	look_again(k, now);
	if (k->state == OTHER)
		look_for_python(h, k);
	if (k->state != PYTHON)
		return;
	look_again(k, now);
	if (ctask_subject_has_asyncio(k->subject))
		try_to_follow(h, k, now);
}

static void look_around(struct ctask_host *h, int64_t now, bool all)
{
	struct known *k, *next;

	HASH_ITER(hh, h->known, k, next)
	{
		if (k->next_us <= now)
			look_at(h, k, now_us());
		if (!all && now_us() - now > LOOKING_US)
			return;
	}
}

/* What no probe has told of: a process that was there, or was forked, or whose end was lost. */
static void list_processes(struct ctask_host *h)
{
	auto_closedir DIR *dir = opendir("/proc");
	struct dirent *entry;
	struct known *k, *next;

	while (dir && (entry = readdir(dir)) != NULL) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

		if (!isdigit((unsigned char)entry->d_name[0]) || pid == getpid())
			continue;
		k = find(h, pid);
		if (!k)
			k = add(h, pid);
		if (k)
			k->listed = true;
	}
	HASH_ITER(hh, h->known, k, next)
	{
		bool is_gone = dir && !k->listed, is_other;

		k->listed = false;
		is_other = !is_gone && k->state == FOLLOWED && !ctask_subject_is_there(k->subject);
		k->missed = is_gone || is_other ? k->missed + 1 : 0;
		if (k->missed < MISSED_MOST)
			continue;
		if (is_gone)
			drop(h, k);
		else
			begin_anew(h, k);
	}
}

/* --- what the probes tell --- */

static void take_begin(struct ctask_host *h, pid_t pid, bool loads)
{
	struct known *k = find(h, pid);

	if (!k && pid != getpid())
		k = add(h, pid);
	if (!k)
		return;
	if (!loads)
		begin_anew(h, k);
	k->loading_us = loads ? now_us() : 0;
	if (k->state == OTHER || k->state == PYTHON)
		k->next_us = now_us() + (loads ? 0 : FIRST_LOOK_US);
}

static void take_exit(struct ctask_host *h, pid_t pid)
{
	struct known *k = find(h, pid);
	uint64_t calls = ctask_probes_unready(h->probes, pid, 0);

	/* It was over before it could be followed. */
	if (!k || k->state == OTHER || k->state == PYTHON)
		atomic_fetch_add(&h->lost, calls);
	if (k)
		drop(h, k);
}

static void take_request(struct ctask_host *h, const struct ctask_probe_event *event)
{
	const bool asks = event->kind == CTASK_PROBE_CANCEL;
	struct known *k = find(h, (pid_t)event->tgid);
	struct ctask_probe_target target;

	if (!k && asks)
		k = add(h, (pid_t)event->tgid);
	if (k && asks && (k->state == OTHER || k->state == PYTHON) &&
	    ctask_probes_get(h->probes, k->pid, &target) && adopt(h, k, &target, NULL))
		give_up(h, k);
	if (!k || k->state != FOLLOWED || h->is_late) {
		if (asks)
			atomic_fetch_add(&h->lost, 1);
		return;
	}
	ctask_resolver_take(k->subject->resolver, event);
	k->has_open = true;
	if (asks)
		k->build->asked_us = now_us();
}

static void take(void *arg, const struct ctask_probe_event *event)
{
	struct ctask_host *h = arg;

	switch (event->kind) {
	case CTASK_PROBE_EXEC:
	case CTASK_PROBE_LOAD:
		take_begin(h, (pid_t)event->tgid, event->kind == CTASK_PROBE_LOAD);
		break;
	case CTASK_PROBE_EXIT:
		take_exit(h, (pid_t)event->tgid);
		break;
	default:
		take_request(h, event);
	}
}

/* --- the thread --- */

/* True while somebody has requests that are open. */
static bool watch(struct ctask_host *h)
{
	bool any = false;

	for (struct known *k = h->known; k; k = k->hh.next) {
		if (!k->has_open || k->state != FOLLOWED)
			continue;
		learn_new(h, k);
		k->has_open = ctask_resolver_watch(k->subject->resolver);
		any |= k->has_open;
	}
	return any;
}

/* True when there may be more to take. */
static bool one_round(struct ctask_host *h, int wait_ms)
{
	bool more = ctask_probes_poll(h->probes, wait_ms);

	h->any_open = watch(h);
	atomic_store(&h->lost_events, ctask_probes_lost(h->probes));
	return more;
}

static void *run(void *arg)
{
	struct ctask_host *h = arg;
	int64_t end_us;

	/* Where processors are short, what a process takes with it when it ends must be read before that. */
	(void)setpriority(PRIO_PROCESS, (id_t)gettid(), NICE);
	while (!atomic_load(&h->stop)) {
		int64_t now;

		one_round(h, h->any_open ? WATCH_MS : IDLE_MS);
		now = now_us();
		ctask_builds_look_after(&h->builds, now);
		if (now - h->list_us > LIST_US) {
			h->list_us = now;
			list_processes(h);
		}
		look_around(h, now, false);
	}
	/* First no more comes; then there is an end to what has come. */
	ctask_builds_detach(&h->builds);
	end_us = now_us() + CATCH_UP_US;
	while (one_round(h, 0))
		h->is_late = now_us() > end_us;
	for (struct known *k = h->known; k; k = k->hh.next)
		if (k->state == FOLLOWED)
			ctask_resolver_end(k->subject->resolver);
	return NULL;
}

/* Ids of processes are those of the host, everywhere. */
static int check_namespace(struct ctask_error *err)
{
	static const char host[] =
		"pid:[4026531836]"; /* PROC_PID_INIT_INO, include/linux/proc_ns.h */
	char link[WORD] = "";

	if (readlink("/proc/self/ns/pid", link, sizeof(link) - 1) > 0 && strcmp(link, host) == 0)
		return 0;
	return ctask_fail(err, ENOSYS,
			  "all processes of a host are seen from its own pid namespace only: run "
			  "ctaskctl there (docker run --pid=host)");
}

int ctask_host_create(struct ctask_host **ret_host, struct ctask_error *err)
{
	struct ctask_host *h = calloc(1, sizeof(*h));
	int ret;

	if (!h)
		return ctask_fail(err, ENOMEM, "out of memory");
	ctask_news_init(&h->news);
	ret = check_namespace(err);
	if (!ret)
		ret = ctask_probes_create(true, take, h, &h->probes, err);
	h->builds.probes = h->probes;
	if (!ret)
		ret = ctask_probes_watch_processes(h->probes, err);
	if (!ret) {
		list_processes(h);
		look_around(h, now_us(), true);
		ret = pthread_create(&h->thread, NULL, run, h);
		h->has_thread = !ret;
		if (ret)
			ret = ctask_fail(err, ret, "no thread can be started: %s", strerror(ret));
	}
	if (ret) {
		ctask_host_destroy(h);
		return ret;
	}
	*ret_host = h;
	return 0;
}

void ctask_host_stop(struct ctask_host *h)
{
	if (!h->has_thread)
		return;
	atomic_store(&h->stop, true);
	pthread_join(h->thread, NULL);
	h->has_thread = false;
}

void ctask_host_destroy(struct ctask_host *h)
{
	struct known *k, *next;

	if (!h)
		return;
	ctask_host_stop(h);
	HASH_ITER(hh, h->known, k, next)
	{
		ctask_subject_destroy(k->subject);
		HASH_DEL(h->known, k);
		free(k);
	}
	ctask_builds_fini(&h->builds);
	ctask_probes_destroy(h->probes);
	ctask_news_fini(&h->news);
	free(h);
}

uint64_t ctask_host_lost(const struct ctask_host *h)
{
	return atomic_load(&h->lost) + atomic_load(&h->lost_events);
}

uint32_t ctask_host_refused(const struct ctask_host *h)
{
	return atomic_load(&h->refused);
}
