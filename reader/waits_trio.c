/* waits_trio.c - what a task of trio waits for: rows of one table of trio's functions. */
#include <math.h>
#include <string.h>

#include "model/cleanup.h"
#include "reader/waits.h"

/* The frame that the one at hand awaits, if it is in @p function; NULL else. */
static const struct ctask_link *inner_frame(const struct ctask_wait *wait, const char *function)
{
	const struct ctask_chain *chain = &wait->walk->chain;
	const struct ctask_link *inner = wait->link + 1;

	if (inner >= chain->links + chain->count ||
	    strcmp(wait->walk->codes.codes[inner->code]->plain_name, function))
		return NULL;
	return inner;
}

/* How many are parked in a ParkingLot: ", 2 waiting". */
static void say_parked(struct ctask_wait *wait, uint64_t lot)
{
	uint64_t parked;
	int64_t count;

	if (ctask_wait_attr(wait, lot, "_parked", &parked))
		return;
	count = ctask_wait_length_of(wait, parked);
	if (count >= 0)
		ctask_wait_say(wait, ", %lld waiting", (long long)count);
}

static void say_lot(struct ctask_wait *wait)
{
	uint64_t lot;

	if (!ctask_wait_attr(wait, wait->self, "_lot", &lot))
		say_parked(wait, lot);
}

static void read_method(struct ctask_wait *wait)
{
	ctask_wait_say_method(wait);
}

/* "sleep 5 s": seconds and, in the function that it calls, the time of its end. */
static void read_sleep(struct ctask_wait *wait)
{
	struct ctask_codes *codes = &wait->walk->codes;
	const struct ctask_link *until = inner_frame(wait, "sleep_until");
	uint64_t seconds, deadline;
	double at;

	if (until && !ctask_link_local(codes, until, "deadline", &deadline) &&
	    !ctask_number_value(&wait->walk->heap, deadline, &at) && isfinite(at))
		wait->left_s = at - wait->now_s;
	if (ctask_link_local(codes, wait->link, "seconds", &seconds))
		seconds = 0;
	ctask_wait_say_sleep(wait, seconds);
}

static void read_sleep_until(struct ctask_wait *wait)
{
	uint64_t deadline;
	double at;

	if (!ctask_wait_local(wait, "deadline", &deadline) &&
	    !ctask_number_value(&wait->walk->heap, deadline, &at) && isfinite(at))
		wait->left_s = at - wait->now_s;
	ctask_wait_say(wait, "sleep");
}

static void read_sleep_forever(struct ctask_wait *wait)
{
	ctask_wait_say(wait, "sleep for ever");
}

static void read_event(struct ctask_wait *wait)
{
	ctask_wait_say_method(wait);
	ctask_wait_say_length(wait, "_tasks", "%lld waiting"); /* from 0.18 on; before: */
	say_lot(wait);
}

static void read_lot(struct ctask_wait *wait)
{
	ctask_wait_say_method(wait);
	say_lot(wait);
}

/* A lock knows who holds it. */
static void say_owner(struct ctask_wait *wait, uint64_t lock)
{
	uint64_t owner, name;
	ctask_text text;

	if (ctask_wait_attr(wait, lock, "_owner", &owner) ||
	    ctask_wait_attr(wait, owner, "name", &name) ||
	    ctask_str_text(&wait->walk->heap, name, wait->walk->snap->texts, &text) ||
	    strlen(text) > 120)
		return;
	ctask_wait_say(wait, ", held by %s", text);
}

static void read_lock(struct ctask_wait *wait)
{
	read_lot(wait);
	say_owner(wait, wait->self);
}

/* Once it is notified it stands in the line for the lock, still in the same function. */
static void read_condition(struct ctask_wait *wait)
{
	uint64_t lock, lot, stands_in;

	if (ctask_wait_attr(wait, wait->self, "_lock", &lock) ||
	    ctask_wait_attr(wait, lock, "_lot", &lot) ||
	    ctask_wait_attr(wait, wait->task, "custom_sleep_data", &stands_in) ||
	    stands_in != lot) {
		read_lot(wait);
		return;
	}
	wait->kind = CTASK_WAIT_LOCK;
	wait->id = wait->self = lock;
	ctask_wait_say(wait, "Lock.acquire");
	say_lot(wait);
	say_owner(wait, lock);
	ctask_wait_say(wait, ", notified in Condition.wait");
}

static void read_channel(struct ctask_wait *wait)
{
	ctask_wait_say_channel(wait, "data", "send_tasks", "receive_tasks");
}

static void read_nursery(struct ctask_wait *wait)
{
	ctask_wait_say(wait, "nursery");
	ctask_wait_say_length(wait, "_children", "%lld left");
}

static void read_start(struct ctask_wait *wait)
{
	ctask_wait_say(wait, "nursery.start");
	ctask_wait_say_function(wait, "async_fn");
}

static void read_thread(struct ctask_wait *wait)
{
	ctask_wait_say(wait, "to_thread.run_sync");
	ctask_wait_say_function(wait, "sync_fn");
	if (inner_frame(wait, "acquire_on_behalf_of"))
		ctask_wait_say(wait, ", no thread is free");
}

static void say_fd(struct ctask_wait *wait, int64_t fd)
{
	if (fd >= 0)
		ctask_wait_say(wait, ", fd %lld", (long long)fd);
}

/* The name of a method_descriptor (PyDescrObject.d_name), such as socket.recv. */
static bool descriptor_name(struct ctask_wait *wait, uint64_t descriptor, ctask_text *ret)
{
	enum { D_NAME = 24 };
	struct ctask_heap *heap = &wait->walk->heap;
	const struct ctask_type *type = ctask_type_of(heap, descriptor);
	uint64_t name;

	return type && !strcmp(type->name, "method_descriptor") &&
	       !ctask_heap_u64(heap, descriptor + D_NAME, &name) &&
	       !ctask_str_text(heap, name, wait->walk->snap->texts, ret);
}

/* trio's own socket: what it waits to do, and the descriptor of the one inside. */
static void read_socket(struct ctask_wait *wait)
{
	uint64_t function, sock;
	ctask_text name = wait->code->plain_name;

	if (!strcmp(name, "wrapper") && !ctask_wait_local(wait, "fn", &function))
		(void)descriptor_name(wait, function, &name);
	ctask_wait_say(wait, "socket.%.64s", name);
	if (!ctask_wait_attr(wait, wait->self, "_sock", &sock))
		say_fd(wait, ctask_wait_socket_fd(wait, sock));
}

static void read_socket_stream(struct ctask_wait *wait)
{
	uint64_t inner, sock;

	ctask_wait_say_method(wait);
	if (!ctask_wait_attr(wait, wait->self, "socket", &inner) &&
	    !ctask_wait_attr(wait, inner, "_sock", &sock))
		say_fd(wait, ctask_wait_socket_fd(wait, sock));
}

static void read_pipe(struct ctask_wait *wait)
{
	uint64_t holder;
	int64_t fd;

	ctask_wait_say_method(wait);
	if (!ctask_wait_attr(wait, wait->self, "_fd_holder", &holder) &&
	    !ctask_wait_int_attr(wait, holder, "fd", &fd))
		say_fd(wait, fd);
}

static void read_ready(struct ctask_wait *wait)
{
	uint64_t fd;
	int64_t number;

	ctask_wait_say(wait, "%.64s", wait->code->plain_name);
	if (ctask_wait_local(wait, "fd", &fd))
		return;
	if (!ctask_int_value(&wait->walk->heap, fd, &number))
		say_fd(wait, number);
	else if (ctask_kind_of(&wait->walk->heap, fd) == CTASK_KIND_OTHER)
		say_fd(wait, ctask_wait_socket_fd(wait, fd));
}

static void read_subprocess(struct ctask_wait *wait)
{
	uint64_t process;
	int64_t pid;

	ctask_wait_say_method(wait);
	if (!ctask_wait_attr(wait, wait->self, "_proc", &process) &&
	    !ctask_wait_int_attr(wait, process, "pid", &pid))
		ctask_wait_say(wait, ", pid %lld", (long long)pid);
}

static void read_soon(struct ctask_wait *wait)
{
	ctask_wait_say(wait, "calls from other threads");
}

/* Checked against 0.13, 0.22, 0.29 and 0.34. */
static const struct ctask_wait_row trio_rows[] = {
	{ "trio/_channel.py", "receive", "_state", CTASK_WAIT_QUEUE, read_channel },
	{ "trio/_channel.py", "send", "_state", CTASK_WAIT_QUEUE, read_channel },
	{ "trio/_core/_entry_queue.py", NULL, NULL, CTASK_WAIT_SOCKET, read_soon },
	{ "trio/_core/_io_epoll.py", NULL, NULL, CTASK_WAIT_SOCKET, read_ready },
	{ "trio/_core/_parking_lot.py", "park", NULL, CTASK_WAIT_OTHER, read_method },
	{ "trio/_core/_run.py", "_nested_child_finished", NULL, CTASK_WAIT_GROUP, read_nursery },
	{ "trio/_core/_run.py", "start", NULL, CTASK_WAIT_GROUP, read_start },
	{ "trio/_core/_run.py", "wait_all_tasks_blocked", NULL, CTASK_WAIT_OTHER, read_method },
	{ "trio/_core/_traps.py", NULL, NULL, CTASK_WAIT_OTHER, read_method },
	{ "trio/_core/_unbounded_queue.py", NULL, NULL, CTASK_WAIT_QUEUE, read_method },
	{ "trio/_dtls.py", NULL, NULL, CTASK_WAIT_SOCKET, read_method },
	{ "trio/_file_io.py", NULL, NULL, CTASK_WAIT_EXECUTOR, read_method },
	{ "trio/_highlevel_generic.py", NULL, NULL, CTASK_WAIT_STREAM, read_method },
	{ "trio/_highlevel_open_tcp_stream.py", NULL, NULL, CTASK_WAIT_SOCKET, read_method },
	{ "trio/_highlevel_open_unix_stream.py", NULL, NULL, CTASK_WAIT_SOCKET, read_method },
	{ "trio/_highlevel_socket.py", "accept", NULL, CTASK_WAIT_SOCKET, read_socket_stream },
	{ "trio/_highlevel_socket.py", NULL, NULL, CTASK_WAIT_STREAM, read_socket_stream },
	{ "trio/_path.py", NULL, NULL, CTASK_WAIT_EXECUTOR, read_method },
	{ "trio/_signals.py", NULL, NULL, CTASK_WAIT_OTHER, read_method },
	{ "trio/_socket.py", "getaddrinfo", NULL, CTASK_WAIT_EXECUTOR, read_method },
	{ "trio/_socket.py", "getnameinfo", NULL, CTASK_WAIT_EXECUTOR, read_method },
	{ "trio/_socket.py", NULL, "_sock", CTASK_WAIT_SOCKET, read_socket },
	{ "trio/_ssl.py", NULL, NULL, CTASK_WAIT_STREAM, read_method },
	{ "trio/_subprocess.py", NULL, NULL, CTASK_WAIT_SUBPROCESS, read_subprocess },
	{ "trio/_sync.py", "acquire", "_owner", CTASK_WAIT_LOCK, read_lock },
	{ "trio/_sync.py", "acquire", "_total_tokens", CTASK_WAIT_SEMAPHORE, read_lot },
	{ "trio/_sync.py", "acquire", "_value", CTASK_WAIT_SEMAPHORE, read_lot },
	{ "trio/_sync.py", "acquire_on_behalf_of", NULL, CTASK_WAIT_SEMAPHORE, read_lot },
	{ "trio/_sync.py", "wait", "_flag", CTASK_WAIT_EVENT, read_event },
	{ "trio/_sync.py", "wait", "_lock", CTASK_WAIT_CONDITION, read_condition },
	{ "trio/_threads.py", "to_thread_run_sync", NULL, CTASK_WAIT_EXECUTOR, read_thread },
	{ "trio/_timeouts.py", "sleep", NULL, CTASK_WAIT_SLEEP, read_sleep },
	{ "trio/_timeouts.py", "sleep_forever", NULL, CTASK_WAIT_SLEEP, read_sleep_forever },
	{ "trio/_timeouts.py", "sleep_until", NULL, CTASK_WAIT_SLEEP, read_sleep_until },
	{ "trio/_unix_pipes.py", NULL, NULL, CTASK_WAIT_STREAM, read_pipe },
	{ "trio/_wait_for_object.py", NULL, NULL, CTASK_WAIT_OTHER, read_method },
};

const struct ctask_wait_rows ctask_trio_waits = { trio_rows, ARRAY_SIZE(trio_rows) };
