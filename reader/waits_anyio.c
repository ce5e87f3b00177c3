/* waits_anyio.c - what a task waits for in anyio: rows of one table of anyio's functions. */
#include "model/cleanup.h"
#include "reader/waits.h"

static void read_method(struct ctask_wait *wait)
{
	ctask_wait_say_method(wait);
}

static void read_waiting(struct ctask_wait *wait)
{
	ctask_wait_say_method(wait);
	ctask_wait_say_length(wait, "_waiters", "%lld waiting");
}

static void read_limiter(struct ctask_wait *wait)
{
	ctask_wait_say_method(wait);
	ctask_wait_say_length(wait, "_wait_queue", "%lld waiting");
}

static void read_stream(struct ctask_wait *wait)
{
	ctask_wait_say_channel(wait, "buffer", "waiting_senders", "waiting_receivers");
}

static void read_group(struct ctask_wait *wait)
{
	uint64_t scope, tasks;
	int64_t count;

	ctask_wait_say(wait, "task group");
	/* To 4.x the tasks of a group are those of its cancel scope; its own has left that by now. */
	if (ctask_wait_attr(wait, wait->self, "_tasks", &tasks) &&
	    (ctask_wait_attr(wait, wait->self, "cancel_scope", &scope) ||
	     ctask_wait_attr(wait, scope, "_tasks", &tasks)))
		return;
	count = ctask_wait_length_of(wait, tasks);
	if (count >= 0)
		ctask_wait_say(wait, ", %lld left", (long long)count);
}

static void read_start(struct ctask_wait *wait)
{
	ctask_wait_say(wait, "task_group.start");
	ctask_wait_say_function(wait, "func");
}

static void read_thread(struct ctask_wait *wait)
{
	ctask_wait_say(wait, "to_thread.run_sync");
	ctask_wait_say_function(wait, "func");
}

static void read_sleep_forever(struct ctask_wait *wait)
{
	ctask_wait_say(wait, "sleep for ever");
}

/* Checked against 2.x, 3.6, 4.8 and 4.15. What has no row is told by the backend's own below. */
static const struct ctask_wait_row anyio_rows[] = {
	{ "anyio/_backends/_asyncio.py", "__aexit__", "cancel_scope", CTASK_WAIT_GROUP,
	  read_group },
	{ "anyio/_backends/_asyncio.py", "accept", NULL, CTASK_WAIT_SOCKET, read_method },
	{ "anyio/_backends/_asyncio.py", "acquire", "_owner_task", CTASK_WAIT_LOCK, read_waiting },
	{ "anyio/_backends/_asyncio.py", "acquire", "_value", CTASK_WAIT_SEMAPHORE, read_waiting },
	{ "anyio/_backends/_asyncio.py", "acquire", "_total_tokens", CTASK_WAIT_SEMAPHORE,
	  read_limiter },
	{ "anyio/_backends/_asyncio.py", "acquire_on_behalf_of", NULL, CTASK_WAIT_SEMAPHORE,
	  read_limiter },
	{ "anyio/_backends/_asyncio.py", "receive", NULL, CTASK_WAIT_STREAM, read_method },
	{ "anyio/_backends/_asyncio.py", "run_sync_in_worker_thread", NULL, CTASK_WAIT_EXECUTOR,
	  read_thread },
	{ "anyio/_backends/_asyncio.py", "send", NULL, CTASK_WAIT_STREAM, read_method },
	{ "anyio/_backends/_asyncio.py", "start", "cancel_scope", CTASK_WAIT_GROUP, read_start },
	{ "anyio/_backends/_asyncio.py", "wait", "_process", CTASK_WAIT_SUBPROCESS, read_method },
	{ "anyio/_backends/_asyncio.py", "wait_readable", NULL, CTASK_WAIT_SOCKET, read_method },
	{ "anyio/_backends/_asyncio.py", "wait_socket_readable", NULL, CTASK_WAIT_SOCKET,
	  read_method },
	{ "anyio/_backends/_asyncio.py", "wait_socket_writable", NULL, CTASK_WAIT_SOCKET,
	  read_method },
	{ "anyio/_backends/_asyncio.py", "wait_writable", NULL, CTASK_WAIT_SOCKET, read_method },
	{ "anyio/_core/_eventloop.py", "sleep_forever", NULL, CTASK_WAIT_SLEEP,
	  read_sleep_forever },
	{ "anyio/_core/_fileio.py", NULL, NULL, CTASK_WAIT_EXECUTOR, read_method },
	{ "anyio/_core/_sockets.py", "getaddrinfo", NULL, CTASK_WAIT_EXECUTOR, read_method },
	{ "anyio/_core/_sockets.py", "getnameinfo", NULL, CTASK_WAIT_EXECUTOR, read_method },
	{ "anyio/_core/_sockets.py", NULL, NULL, CTASK_WAIT_SOCKET, read_method },
	{ "anyio/_core/_subprocesses.py", NULL, NULL, CTASK_WAIT_SUBPROCESS, read_method },
	{ "anyio/_core/_synchronization.py", "acquire", "_owner_task", CTASK_WAIT_LOCK,
	  read_waiting },
	{ "anyio/_core/_synchronization.py", "acquire", "_value", CTASK_WAIT_SEMAPHORE,
	  read_waiting },
	{ "anyio/_core/_synchronization.py", "wait", "_lock", CTASK_WAIT_CONDITION, read_waiting },
	{ "anyio/_core/_threads.py", NULL, NULL, CTASK_WAIT_EXECUTOR, read_thread },
	{ "anyio/streams/memory.py", "receive", "_state", CTASK_WAIT_QUEUE, read_stream },
	{ "anyio/streams/memory.py", "send", "_state", CTASK_WAIT_QUEUE, read_stream },
	{ "anyio/streams/tls.py", NULL, NULL, CTASK_WAIT_STREAM, read_method },
	{ "anyio/to_process.py", NULL, NULL, CTASK_WAIT_SUBPROCESS, read_method },
	{ "anyio/to_thread.py", "run_sync", NULL, CTASK_WAIT_EXECUTOR, read_thread },
};

const struct ctask_wait_rows ctask_anyio_waits = { anyio_rows, ARRAY_SIZE(anyio_rows) };
