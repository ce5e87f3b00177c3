/* serve.c - one thread that sleeps until somebody asks. */
#include "agent/serve.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "agent/answer.h"
#include "agent/client.h"
#include "agent/descriptor.h"
#include "agent/portable.h"
#include "agent/seat.h"
#include "agent/wire.h"

enum {
	STACK_BYTES = 128 * 1024,
	NS_PER_MS = 1000000,
	ACCEPTS_AT_ONCE = 16,
	ANSWERS_KEPT_MAX = 4,	/* that clients are still reading, in files in memory */
	ACCEPT_AGAIN_MS = 1000, /* when there was no room for a file */
	STEP_ASIDE_MS = 50,
	NOT_WOKEN_MS = 1,
	SEE_OFF_MS = 2, /* that a client who has its reply takes to be gone */
};

/* The thread is asked to end, and does: only before that can it be asked to stay. */
enum ending { STAYS, ASKED_TO_END, ENDS };

/*
 * All of it is the thread's, but for what is marked: a program forks at any
 * moment, and the child must be able to forget it all without a lock.
 */
static struct {
	struct ctask_history_header *history;
	int memory_given; /* the descriptor that the start was called with, and what it led to then */
	struct stat memory_then;
	struct ctask_own memory;
	struct ctask_seat seat, next_seat;
	struct ctask_places places;
	char ctask_dir[CTASK_PLACE_BYTES], runtime_dir[CTASK_PLACE_BYTES], tmp[CTASK_PLACE_BYTES];

	struct ctask_client clients[CTASK_CLIENTS_MAX];
	uint32_t job; /* in work; 0 = none */
	int64_t job_since_ns;
	bool job_given_up;
	int64_t deaf_until_ns; /* no room for another file */

	pid_t pid;	/* whose all this is; 0 = nobody's. Atomic */
	int thread;	/* native id, 0 = it has ended, or not begun. Atomic */
	uint32_t ends;	/* enum ending. Atomic */
	bool is_served; /* somebody is a client now. Atomic */
} serve;

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static struct ctask_client_facts facts(void)
{
	return (struct ctask_client_facts){ .history = serve.history, .memory = &serve.memory };
}

/* --- the socket --- */

/* Readers may look at any moment: the first byte comes last. */
static void publish_path(const char *path)
{
	char *to = serve.history->socket_path;

	__atomic_store_n(to, '\0', __ATOMIC_RELEASE);
	memcpy(to + 1, path + 1, sizeof(serve.history->socket_path) - 1);
	__atomic_store_n(to, path[0], __ATOMIC_RELEASE);
}

/* Bind, or bind anew; the seat that we have stays when there is no other. */
static bool take_seat(void)
{
	char path[CTASK_SOCKET_PATH_BYTES] = { 0 };

	serve.places.uid = geteuid();
	/* First: else the new seat's numbers may be taken for those that the program has closed. */
	ctask_seat_drop_lost(&serve.seat);
	if (ctask_seat_take(&serve.next_seat, &serve.places, serve.history->nspid,
			    serve.history->start_ticks))
		return false;
	ctask_seat_close(&serve.seat);
	serve.seat = serve.next_seat;
	serve.next_seat = (struct ctask_seat){ 0 };
	ctask_seat_path(&serve.seat, path);
	publish_path(path);
	return true;
}

/* Whoever connects has woken us: time to look whether others would still find the way. */
static void keep_seat(void)
{
	if (!ctask_seat_is_there(&serve.seat) || serve.seat.uid != geteuid())
		(void)take_seat();
}

static bool may_ask(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) &&
	       (peer.uid == geteuid() || peer.uid == 0);
}

/* A free place; the one who has kept us waiting longest makes room, those first who have not even asked. */
static struct ctask_client *make_room(void)
{
	struct ctask_client *victim = NULL;

	for (int i = 0; i < CTASK_CLIENTS_MAX; i++) {
		struct ctask_client *client = &serve.clients[i];

		if (client->state == CTASK_CLIENT_NONE)
			return client;
		if (!victim || client->state < victim->state ||
		    (client->state == victim->state && client->progress_ns < victim->progress_ns))
			victim = client;
	}
	ctask_client_end(victim);
	return victim;
}

static void refuse(int fd)
{
	static const char text[] = "{\"schema\":\"" CTASK_SCHEMA_ERROR
				   "\",\"version\":1,\"code\":\"" CTASK_ERROR_NOT_PERMITTED
				   "\",\"text\":\"only root and the process's user may ask\"}\n";

	(void)send(fd, text, sizeof(text) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	close(fd);
}

static void accept_clients(int listener)
{
	struct ctask_client_facts own = facts();
	int64_t now = now_ns();

	for (int i = 0; i < ACCEPTS_AT_ONCE; i++) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		struct ctask_client *client;

		if (fd < 0) {
			if (errno == EMFILE || errno == ENFILE || errno == ENOMEM ||
			    errno == ENOBUFS)
				serve.deaf_until_ns = now + (int64_t)ACCEPT_AGAIN_MS * NS_PER_MS;
			return;
		}
		if (!may_ask(fd)) {
			refuse(fd);
			continue;
		}
		client = make_room();
		ctask_client_begin(client, fd, now);
		/* Most send their line at once: they are served before anybody could push them out. */
		if (client->state == CTASK_CLIENT_ASKS)
			ctask_client_read(client, &own, now);
	}
}

/* --- answers --- */

static const struct {
	int error;
	const char *code;
} codes[] = {
	{ EBUSY, CTASK_ERROR_BUSY },	      { ENOSYS, CTASK_ERROR_UNAVAILABLE },
	{ ENOTSUP, CTASK_ERROR_UNAVAILABLE }, { EINVAL, CTASK_ERROR_USAGE },
	{ EPERM, CTASK_ERROR_NOT_PERMITTED },
};

static const char *code_of(int error)
{
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (codes[i].error == -error)
			return codes[i].code;
	return CTASK_ERROR_FAILED;
}

/* Refuse all that wait for @p job; 0: all that wait for one to be begun. */
static void refuse_waiting(uint32_t job, const char *code, const char *text)
{
	struct ctask_client_facts own = facts();

	for (int i = 0; i < CTASK_CLIENTS_MAX; i++)
		if (serve.clients[i].state == CTASK_CLIENT_WAITS && serve.clients[i].job == job)
			ctask_client_refuse(&serve.clients[i], &own, code, text, now_ns());
}

static int answers_kept(void)
{
	int count = 0;

	for (int i = 0; i < CTASK_CLIENTS_MAX; i++) {
		bool is_new = serve.clients[i].data.number != 0;

		/* Several may read one file, each through a number of its own. */
		for (int k = 0; is_new && k < i; k++)
			is_new = !serve.clients[k].data.number ||
				 serve.clients[k].data.inode != serve.clients[i].data.inode;
		count += is_new;
	}
	return count;
}

/* One answer is found at a time; all that wait for the same one at its beginning get it. */
static void begin_job(void)
{
	const char *request = NULL;
	int64_t number = 0;

	if (serve.job_given_up) {
		refuse_waiting(0, CTASK_ERROR_BUSY, "an earlier question is still being answered");
		return;
	}
	if (serve.job || answers_kept() >= ANSWERS_KEPT_MAX)
		return;
	for (int i = 0; i < CTASK_CLIENTS_MAX; i++) {
		struct ctask_client *client = &serve.clients[i];

		if (client->state != CTASK_CLIENT_WAITS || client->job)
			continue;
		if (!request) {
			request = client->line;
			number = ctask_answer_begin(request, serve.history);
			if (number < 0)
				break;
		}
		if (!strcmp(client->line, request))
			client->job = (uint32_t)number;
	}
	if (number < 0) {
		refuse_waiting(0, code_of((int)number), "no thread could be made for the answer");
	} else if (number > 0) {
		serve.job = (uint32_t)number;
		serve.job_since_ns = now_ns();
	}
}

static void end_job(void)
{
	struct ctask_client_facts own = facts();
	struct ctask_answer_result result;
	int data;

	if (!ctask_answer_end(&result))
		return;
	data = ctask_own_fd(&result.data);
	if (result.error)
		refuse_waiting(result.job, code_of(result.error), result.text);
	for (int i = 0; !result.error && i < CTASK_CLIENTS_MAX; i++) {
		struct ctask_client *client = &serve.clients[i];

		if (client->state == CTASK_CLIENT_WAITS && client->job == result.job)
			ctask_client_answer(client, &own, data, result.bytes, result.dropped,
					    now_ns());
	}
	ctask_own_close(&result.data);
	serve.job = 0;
	serve.job_given_up = false;
}

static void give_up_job(void)
{
	refuse_waiting(serve.job, CTASK_ERROR_BUSY,
		       "the process is too busy to be looked into: try again");
	serve.job_given_up = true;
}

static int64_t job_deadline_ns(void)
{
	return serve.job_since_ns + (int64_t)CTASK_ANSWER_MS * NS_PER_MS;
}

/* --- the loop --- */

struct wait {
	struct pollfd of[CTASK_CLIENTS_MAX + 2]; /* clients; the listener; the answer */
	int timeout_ms;				 /* -1: for ever */
};

enum { AT_LISTENER = CTASK_CLIENTS_MAX, AT_ANSWER };

static void wait_until(struct wait *wait, int64_t deadline_ns, int64_t now)
{
	int64_t ms = deadline_ns <= now ? 0 : (deadline_ns - now) / NS_PER_MS + 1;

	if (wait->timeout_ms < 0 || ms < wait->timeout_ms)
		wait->timeout_ms = (int)ms;
}

static void prepare(struct wait *wait)
{
	bool is_deaf = serve.deaf_until_ns != 0;
	bool is_served = false;
	int64_t now = now_ns();

	wait->timeout_ms = -1;
	for (int i = 0; i < CTASK_CLIENTS_MAX; i++) {
		static const short events[] = {
			[CTASK_CLIENT_ASKS] = POLLIN, [CTASK_CLIENT_LISTENS] = POLLOUT
		};
		struct ctask_client *client = &serve.clients[i];

		wait->of[i] = (struct pollfd){ .fd = -1 };
		if (client->state == CTASK_CLIENT_NONE)
			continue;
		is_served = true;
		wait->of[i].fd = ctask_own_fd(&client->socket);
		wait->of[i].events =
			client->state == CTASK_CLIENT_WAITS ? 0 : events[client->state];
		wait_until(wait, ctask_client_deadline_ns(client), now);
	}
	if (is_deaf)
		wait_until(wait, serve.deaf_until_ns, now);
	if (serve.job && !serve.job_given_up)
		wait_until(wait, job_deadline_ns(), now);
	wait->of[AT_LISTENER] =
		(struct pollfd){ .fd = is_deaf ? -1 : ctask_own_fd(&serve.seat.listener),
				 .events = POLLIN };
	wait->of[AT_ANSWER] = (struct pollfd){ .fd = ctask_answer_wakes(), .events = POLLIN };
	__atomic_store_n(&serve.is_served, is_served || serve.job, __ATOMIC_SEQ_CST);
}

static void serve_client(struct ctask_client *client, short events)
{
	struct ctask_client_facts own = facts();
	int64_t now = now_ns();

	if (client->state == CTASK_CLIENT_NONE)
		return;
	if (ctask_own_fd(&client->socket) < 0 || now >= ctask_client_deadline_ns(client))
		ctask_client_end(client);
	else if (client->state == CTASK_CLIENT_ASKS && events)
		ctask_client_read(client, &own, now);
	else if (client->state == CTASK_CLIENT_LISTENS && events)
		ctask_client_write(client, now);
	else if (events & (POLLHUP | POLLERR))
		ctask_client_end(client);
}

static bool change_ending(uint32_t from, uint32_t to)
{
	return __atomic_compare_exchange_n(&serve.ends, &from, to, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_SEQ_CST);
}

/* False when there is nothing more that this thread could do. */
static bool serve_round(void)
{
	struct wait wait;
	int ready;

	prepare(&wait);
	if (change_ending(ASKED_TO_END, ENDS))
		return false;
	ready = poll(wait.of, CTASK_CLIENTS_MAX + 2, wait.timeout_ms);
	if (change_ending(ASKED_TO_END, ENDS))
		return false;
	if (serve.deaf_until_ns && now_ns() >= serve.deaf_until_ns)
		serve.deaf_until_ns = 0;
	for (int i = 0; i < CTASK_CLIENTS_MAX; i++)
		serve_client(&serve.clients[i], ready > 0 ? wait.of[i].revents : 0);
	if (ready < 0 || wait.of[AT_LISTENER].revents) {
		int listener = ctask_own_fd(&serve.seat.listener);

		if (ready > 0 && listener >= 0)
			accept_clients(listener);
		/*
		 * An interrupted wait: all signals but those of the C library are blocked, and it sends
		 * one to each thread when the program changes its user.
		 */
		keep_seat();
	}
	end_job();
	if (serve.job && !serve.job_given_up && now_ns() >= job_deadline_ns())
		give_up_job();
	begin_job();
	return ctask_own_fd(&serve.seat.listener) >= 0 || take_seat();
}

static void close_all(void)
{
	for (int i = 0; i < CTASK_CLIENTS_MAX; i++)
		ctask_client_end(&serve.clients[i]);
	ctask_seat_close(&serve.seat);
	ctask_seat_close(&serve.next_seat);
	ctask_own_close(&serve.memory);
}

/* The program may have closed the descriptor since, and given the number to something else. */
static void keep_memory(bool apart)
{
	struct stat st;
	bool is_it = serve.memory_given >= 0 && !ctask_fstat(serve.memory_given, &st) &&
		     st.st_dev == serve.memory_then.st_dev && st.st_ino == serve.memory_then.st_ino;

	if (is_it)
		is_it = ctask_own_copy(&serve.memory, serve.memory_given);
	if (apart && serve.memory_given > 2)
		close(serve.memory_given); /* in this thread's table only */
}

static void *run(void *unused)
{
	bool apart;

	(void)unused;
	__atomic_store_n(&serve.thread, ctask_gettid(), __ATOMIC_SEQ_CST);
	prctl(PR_SET_NAME, "ctask");
	apart = ctask_own_table(serve.memory_given);
	keep_memory(apart);
	if (take_seat())
		while (serve_round())
			;
	close_all();
	__atomic_store_n(&serve.thread, 0, __ATOMIC_SEQ_CST);
	return NULL;
}

/* --- from other threads --- */

static const char *keep_setting(const char *name, char to[CTASK_PLACE_BYTES])
{
	const char *value = getenv(name);
	size_t len = value ? strlen(value) : 0;

	if (!len || len >= CTASK_PLACE_BYTES)
		return NULL;
	memcpy(to, value, len + 1);
	return to;
}

static int start_thread(void)
{
	sigset_t all, before;
	pthread_attr_t attr;
	pthread_t thread;
	int error;

	sigfillset(&all);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&thread, &attr, run, NULL);
	/* Some programs have more thread-local data than that. */
	if (error == EINVAL) {
		pthread_attr_setstacksize(&attr, 64 * STACK_BYTES);
		error = pthread_create(&thread, &attr, run, NULL);
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	return -error;
}

int ctask_serve_start(struct ctask_history_header *history, int fd)
{
	int saved = errno, ret;

	if (!pthread_create || !pthread_sigmask || !pthread_attr_setstacksize)
		return -ENOSYS;
	if (__atomic_load_n(&serve.thread, __ATOMIC_SEQ_CST))
		return -EALREADY;
	serve.history = history;
	__atomic_store_n(history->socket_path, '\0',
			 __ATOMIC_RELEASE); /* that of an earlier thread */
	serve.memory_given = fd >= 0 && !ctask_fstat(fd, &serve.memory_then) ? fd : -1;
	serve.places = (struct ctask_places){
		.ctask_dir = keep_setting("CTASK_DIR", serve.ctask_dir),
		.runtime_dir = keep_setting("XDG_RUNTIME_DIR", serve.runtime_dir),
		.tmp = keep_setting("TMPDIR", serve.tmp),
	};
	ctask_answer_locate();
	serve.ends = STAYS;
	serve.pid = getpid();
	__atomic_store_n(&serve.thread, -1, __ATOMIC_SEQ_CST);
	ret = start_thread();
	if (ret)
		serve.pid = serve.thread = 0;
	errno = saved;
	return ret;
}

void ctask_serve_forget(void)
{
	bool among_the_programs = !ctask_own_forget_table();

	for (int i = 0; i < CTASK_CLIENTS_MAX; i++) {
		struct ctask_client *client = &serve.clients[i];

		if (client->state == CTASK_CLIENT_NONE)
			continue;
		if (among_the_programs) {
			ctask_own_close(&client->socket);
			ctask_own_close(&client->data);
			ctask_own_close(&client->pass);
		}
		client->socket = client->data = client->pass = (struct ctask_own){ 0 };
		client->state = CTASK_CLIENT_NONE;
	}
	ctask_answer_forget(among_the_programs);
	if (among_the_programs) {
		ctask_seat_close(&serve.seat);
		ctask_seat_close(&serve.next_seat);
		ctask_own_close(&serve.memory);
	}
	ctask_seat_forget(&serve.seat);
	ctask_seat_forget(&serve.next_seat);
	serve.memory = (struct ctask_own){ 0 };
	serve.job = 0;
	serve.job_given_up = serve.is_served = false;
	serve.ends = STAYS;
	serve.deaf_until_ns = 0;
	serve.pid = serve.thread = 0;
}

void ctask_serve_end(void)
{
	if (!serve.pid || getpid() != serve.pid)
		return;
	__atomic_store_n(&serve.ends, ASKED_TO_END, __ATOMIC_SEQ_CST);
	ctask_seat_remove_name(&serve.seat);
}

static bool connect_once(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool reached;

	if (fd < 0)
		return false;
	/* EAGAIN: as many wait already as may. */
	reached =
		!connect(fd, (const struct sockaddr *)address, sizeof(*address)) || errno == EAGAIN;
	close(fd);
	return reached;
}

/*
 * The thread @p thread sleeps in poll(): a connection is what wakes it, by the name of the socket or, where that is
 * gone, by the thread's own descriptor of it. False when it cannot be woken.
 */
static bool wake_thread(int thread)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct ctask_wire path = { .to = address.sun_path, .room = sizeof(address.sun_path) };

	memcpy(address.sun_path, serve.history->socket_path, sizeof(address.sun_path) - 1);
	if (connect_once(&address))
		return true;
	ctask_wire_put(&path, "/proc/self/task/");
	ctask_wire_put_number(&path, (uint64_t)thread);
	ctask_wire_put(&path, "/fd/");
	ctask_wire_put_number(&path, (uint64_t)serve.seat.file.number - 1);
	return thread > 0 && serve.seat.file.number && connect_once(&address);
}

/* Wait until the thread, whose id was @p thread before it was asked to, has ended; false when it does not within the time. */
static bool wait_for_end(int thread)
{
	int64_t until = now_ns() + (int64_t)STEP_ASIDE_MS * NS_PER_MS;
	bool woken = false;
	int now;

	while ((now = __atomic_load_n(&serve.thread, __ATOMIC_SEQ_CST))) {
		if (now_ns() >= until)
			return false;
		if (now > 0)
			thread = now;
		/* One that has only just begun has no socket yet, and may not have looked whether it is to end. */
		if (!woken && __atomic_load_n(serve.history->socket_path, __ATOMIC_ACQUIRE)) {
			if (!wake_thread(thread)) /* unless it is ending already */
				until = now_ns() + (int64_t)NOT_WOKEN_MS * NS_PER_MS;
			woken = true;
		}
		sched_yield();
	}
	/* Its last word comes a little before the kernel no longer counts it. */
	while (thread > 0 && now_ns() < until && ctask_thread_is_counted(thread))
		sched_yield();
	return true;
}

bool ctask_serve_step_aside(void)
{
	int saved = errno;
	int64_t until = now_ns() + (int64_t)SEE_OFF_MS * NS_PER_MS;
	int thread = __atomic_load_n(&serve.thread, __ATOMIC_SEQ_CST);
	bool ended;

	if (serve.pid != getpid() || !thread)
		return false;
	while (__atomic_load_n(&serve.is_served, __ATOMIC_SEQ_CST)) {
		if (now_ns() >= until)
			return false;
		sched_yield();
	}
	__atomic_store_n(&serve.ends, ASKED_TO_END, __ATOMIC_SEQ_CST);
	ended = wait_for_end(thread);
	errno = saved;
	/* It has not noticed: let it stay, unless it is too late for that. */
	if (!ended && change_ending(ASKED_TO_END, STAYS))
		return false;
	while (!ended && __atomic_load_n(&serve.ends, __ATOMIC_SEQ_CST) == ENDS)
		ended = !__atomic_load_n(&serve.thread, __ATOMIC_SEQ_CST) || sched_yield();
	if (!ended)
		return false;
	(void)ctask_own_forget_table();
	serve.pid = 0;
	return true;
}
