/* waits.c - what a task waits for, in words: the frames of asyncio it stands in, the future it awaits. */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "model/cleanup.h"
#include "reader/waits.h"

void ctask_wait_say(struct ctask_wait *wait, const char *format, ...)
{
	size_t len = strlen(wait->text);
	va_list args;

	va_start(args, format);
	vsnprintf(wait->text + len, sizeof(wait->text) - len, format, args);
	va_end(args);
}

/* "5 s", "0.25 s", "1234567 s": never an exponent. */
void ctask_wait_say_seconds(struct ctask_wait *wait, const char *before, double seconds)
{
	char digits[400];
	size_t len = (size_t)snprintf(digits, sizeof(digits), "%.3f", seconds);

	while (len && strchr(digits, '.') && (digits[len - 1] == '0' || digits[len - 1] == '.')) {
		bool dot = digits[--len] == '.';

		digits[len] = '\0';
		if (dot)
			break;
	}
	ctask_wait_say(wait, "%s%s s", before, digits);
}

int ctask_wait_local(struct ctask_wait *wait, const char *name, uint64_t *ret)
{
	int err = ctask_link_local(&wait->walk->codes, wait->link, name, ret);

	return !err && ctask_kind_of(&wait->walk->heap, *ret) == CTASK_KIND_NONE ? -ENOENT : err;
}

int ctask_wait_attr(struct ctask_wait *wait, uint64_t obj, const char *name, uint64_t *ret)
{
	int err = obj ? ctask_attr(&wait->walk->heap, obj, name, ret) : -ENOENT;

	return !err && ctask_kind_of(&wait->walk->heap, *ret) == CTASK_KIND_NONE ? -ENOENT : err;
}

int ctask_wait_int_attr(struct ctask_wait *wait, uint64_t obj, const char *name, int64_t *ret)
{
	uint64_t value;
	int err = ctask_wait_attr(wait, obj, name, &value);

	return err ? err : ctask_int_value(&wait->walk->heap, value, ret);
}

/* How many a container holds, or -1. */
int64_t ctask_wait_length_of(struct ctask_wait *wait, uint64_t obj)
{
	struct ctask_heap *heap = &wait->walk->heap;
	struct ctask_items items;
	uint64_t count;

	switch (ctask_kind_of(heap, obj)) {
	case CTASK_KIND_DEQUE:
		return ctask_deque_items(heap, obj, NULL, 0, &count) ? -1 : (int64_t)count;
	case CTASK_KIND_LIST:
	case CTASK_KIND_TUPLE:
		return ctask_items_of(heap, obj, &items) ? -1 : (int64_t)items.count;
	case CTASK_KIND_SET: /* PySetObject.used, before the mask */
		return ctask_heap_u64(heap, obj + heap->layout.set_mask - 8, &count)
			       ? -1
			       : (int64_t)count;
	case CTASK_KIND_DICT: /* PyDictObject.ma_used, in every version */
		return ctask_heap_u64(heap, obj + 16, &count) ? -1 : (int64_t)count;
	default:
		return -1;
	}
}

void ctask_wait_say_length(struct ctask_wait *wait, const char *attr, const char *format)
{
	uint64_t obj;
	int64_t count;

	if (ctask_wait_attr(wait, wait->self, attr, &obj))
		return;
	count = ctask_wait_length_of(wait, obj);
	if (count >= 0) {
		char words[64];

		snprintf(words, sizeof(words), format, (long long)count);
		ctask_wait_say(wait, ", %s", words);
	}
}

/* ", 3 waiting to send": the length of what attribute @p attr of the channel holds. */
static void say_waiting(struct ctask_wait *wait, uint64_t state, const char *attr, const char *to)
{
	uint64_t waiting;
	int64_t count;

	if (ctask_wait_attr(wait, state, attr, &waiting))
		return;
	count = ctask_wait_length_of(wait, waiting);
	if (count > 0)
		ctask_wait_say(wait, ", %lld waiting to %s", (long long)count, to);
}

static void say_open(struct ctask_wait *wait, uint64_t state, const char *attr, const char *what)
{
	int64_t count;

	if (!ctask_wait_int_attr(wait, state, attr, &count))
		ctask_wait_say(wait, ", %lld %s%s", (long long)count, what, count == 1 ? "" : "s");
}

void ctask_wait_say_channel(struct ctask_wait *wait, const char *buffer, const char *senders,
			    const char *receivers)
{
	uint64_t state, items, most;
	double maxsize;
	int64_t size;

	ctask_wait_say_method(wait);
	if (ctask_wait_attr(wait, wait->self, "_state", &state))
		return;
	wait->id = state; /* the same for both ends */
	if (!ctask_wait_attr(wait, state, buffer, &items) &&
	    (size = ctask_wait_length_of(wait, items)) >= 0)
		ctask_wait_say(wait, ", size %lld", (long long)size);
	if (!ctask_wait_attr(wait, state, "max_buffer_size", &most) &&
	    !ctask_number_value(&wait->walk->heap, most, &maxsize)) {
		if (isinf(maxsize))
			ctask_wait_say(wait, ", no maxsize");
		else
			ctask_wait_say(wait, ", maxsize %.0f", maxsize);
	}
	say_open(wait, state, "open_send_channels", "sender");
	say_open(wait, state, "open_receive_channels", "receiver");
	say_waiting(wait, state, senders, "send");
	say_waiting(wait, state, receivers, "receive");
}

void ctask_wait_say_function(struct ctask_wait *wait, const char *name)
{
	enum { WRAPPED_MAX = 16 };
	struct ctask_heap *heap = &wait->walk->heap;
	const struct ctask_code *code;
	uint64_t function;
	int ret = ctask_wait_local(wait, name, &function);

	for (int i = 0; !ret && i < WRAPPED_MAX; i++) {
		enum ctask_kind kind = ctask_kind_of(heap, function);

		if (kind == CTASK_KIND_PARTIAL)
			ret = ctask_heap_u64(heap, function + heap->layout.partial_func, &function);
		else if (kind == CTASK_KIND_METHOD)
			ret = ctask_heap_u64(heap, function + heap->layout.method_func, &function);
		else
			break;
	}
	code = ret ? NULL : ctask_function_code(wait->walk, function);
	if (code)
		ctask_wait_say(wait, " of %.64s", code->plain_name);
}

/* Seconds until a TimerHandle's time. NAN when it is not the standard library's. */
static double left_of_timer(struct ctask_wait *wait, uint64_t handle)
{
	uint64_t when;
	double at;

	if (ctask_wait_attr(wait, handle, "_when", &when) ||
	    ctask_number_value(&wait->walk->heap, when, &at))
		return NAN;
	return at - wait->walk->now_s;
}

/* "Lock.acquire": the type as the program named it, the function as asyncio did. */
void ctask_wait_say_method(struct ctask_wait *wait)
{
	const struct ctask_type *type =
		wait->self ? ctask_type_of(&wait->walk->heap, wait->self) : NULL;

	if (type)
		ctask_wait_say(wait, "%.64s.", ctask_type_short_name(type));
	ctask_wait_say(wait, "%.64s", wait->code->plain_name);
}

void ctask_wait_say_sleep(struct ctask_wait *wait, uint64_t delay)
{
	struct ctask_walk *walk = wait->walk;
	double seconds;

	if (delay && delay == walk->sleep_object) {
		wait->ready_text = walk->sleep_text;
		return;
	}
	if (!delay || ctask_number_value(&walk->heap, delay, &seconds))
		seconds = NAN;
	if (seconds == walk->sleep_delay) {
		walk->sleep_object = delay;
		wait->ready_text = walk->sleep_text;
		return;
	}
	walk->sleep_object = 0;
	if (isnan(seconds))
		ctask_wait_say(wait, "sleep");
	else if (isinf(seconds))
		ctask_wait_say(wait, "sleep for ever");
	else
		ctask_wait_say_seconds(wait, "sleep ", seconds);
	wait->sleep_delay = seconds;
}

static void read_sleep(struct ctask_wait *wait)
{
	uint64_t delay, timer;

	if (!ctask_wait_local(wait, "h", &timer))
		wait->left_s = left_of_timer(wait, timer);
	if (ctask_link_local(&wait->walk->codes, wait->link, "delay", &delay))
		delay = 0;
	ctask_wait_say_sleep(wait, delay);
}

static void read_waiting(struct ctask_wait *wait)
{
	ctask_wait_say_method(wait);
	ctask_wait_say_length(wait, "_waiters", "%lld waiting");
}

static void read_queue(struct ctask_wait *wait)
{
	int64_t maxsize, unfinished;

	ctask_wait_say_method(wait);
	if (!strcmp(wait->code->plain_name, "join")) {
		if (!ctask_wait_int_attr(wait, wait->self, "_unfinished_tasks", &unfinished))
			ctask_wait_say(wait, ", %lld unfinished", (long long)unfinished);
		return;
	}
	ctask_wait_say_length(wait, "_queue", "size %lld");
	if (!ctask_wait_int_attr(wait, wait->self, "_maxsize", &maxsize)) {
		if (maxsize > 0)
			ctask_wait_say(wait, ", maxsize %lld", (long long)maxsize);
		else
			ctask_wait_say(wait, ", no maxsize");
	}
}

int32_t ctask_wait_socket_fd(struct ctask_wait *wait, uint64_t sock)
{
	enum { SOCK_FD = 16 }; /* PySocketSockObject.sock_fd, Modules/socketmodule.h */
	int32_t fd;

	if (ctask_pages_read(wait->walk->heap.pages, sock + SOCK_FD, &fd, sizeof(fd)) || fd < 0 ||
	    fd >= 1 << 24)
		return -1;
	return fd;
}

static void read_socket(struct ctask_wait *wait)
{
	uint64_t sock;
	int32_t fd = -1;

	ctask_wait_say(wait, "%.64s", wait->code->plain_name);
	if (!ctask_wait_local(wait, "sock", &sock))
		fd = ctask_wait_socket_fd(wait, sock);
	if (fd >= 0)
		ctask_wait_say(wait, ", fd %d", fd);
}

static void read_stream(struct ctask_wait *wait)
{
	int64_t fd;
	uint64_t transport;

	ctask_wait_say_method(wait);
	if (!ctask_wait_attr(wait, wait->self, "_transport", &transport) &&
	    !ctask_wait_int_attr(wait, transport, "_sock_fd", &fd))
		ctask_wait_say(wait, ", fd %lld", (long long)fd);
}

static void read_subprocess(struct ctask_wait *wait)
{
	int64_t pid;

	ctask_wait_say_method(wait);
	if (!ctask_wait_int_attr(wait, wait->self, "pid", &pid) ||
	    !ctask_wait_int_attr(wait, wait->self, "_pid", &pid))
		ctask_wait_say(wait, ", pid %lld", (long long)pid);
}

static void read_group(struct ctask_wait *wait)
{
	ctask_wait_say(wait, "task group");
	ctask_wait_say_length(wait, "_tasks", "%lld left");
}

static void read_wait(struct ctask_wait *wait)
{
	uint64_t counter;
	int64_t count;

	ctask_wait_say(wait, "wait");
	if (!ctask_wait_local(wait, "counter", &counter) &&
	    !ctask_int_value(&wait->walk->heap, counter, &count))
		ctask_wait_say(wait, ", %lld left", (long long)count);
	if (!ctask_wait_local(wait, "timeout_handle", &counter))
		wait->left_s = left_of_timer(wait, counter);
}

static void read_as_completed(struct ctask_wait *wait)
{
	ctask_wait_say(wait, "as_completed");
	ctask_wait_say_length(wait, "_todo", "%lld left"); /* from 3.13 on, where it is a class */
}

static void read_function(struct ctask_wait *wait)
{
	ctask_wait_say_method(wait);
}

/* Checked against the library of 3.8 to 3.15. */
static const struct ctask_wait_row asyncio_rows[] = {
	{ "base_events.py", "getaddrinfo", NULL, CTASK_WAIT_EXECUTOR, read_function },
	{ "base_events.py", "getnameinfo", NULL, CTASK_WAIT_EXECUTOR, read_function },
	{ "base_events.py", "shutdown_default_executor", NULL, CTASK_WAIT_EXECUTOR, read_function },
	{ "base_events.py", "create_connection", NULL, CTASK_WAIT_SOCKET, read_function },
	{ "base_events.py", "create_datagram_endpoint", NULL, CTASK_WAIT_SOCKET, read_function },
	{ "base_events.py", "start_tls", NULL, CTASK_WAIT_SOCKET, read_function },
	{ "base_events.py", "sock_sendfile", NULL, CTASK_WAIT_SOCKET, read_socket },
	{ "base_events.py", "subprocess_exec", NULL, CTASK_WAIT_SUBPROCESS, read_function },
	{ "base_events.py", "subprocess_shell", NULL, CTASK_WAIT_SUBPROCESS, read_function },
	{ "base_events.py", "serve_forever", NULL, CTASK_WAIT_OTHER, read_function },
	{ "base_events.py", "wait_closed", NULL, CTASK_WAIT_OTHER, read_function },
	{ "base_subprocess.py", NULL, NULL, CTASK_WAIT_SUBPROCESS, read_subprocess },
	{ "locks.py", "acquire", "_locked", CTASK_WAIT_LOCK, read_waiting },
	{ "locks.py", "acquire", "_value", CTASK_WAIT_SEMAPHORE, read_waiting },
	{ "locks.py", "wait", "_parties", CTASK_WAIT_CONDITION, read_function }, /* Barrier */
	{ "locks.py", "wait", "_lock", CTASK_WAIT_CONDITION, read_waiting },
	{ "locks.py", "wait_for", "_lock", CTASK_WAIT_CONDITION, read_waiting },
	{ "locks.py", "wait", "_value", CTASK_WAIT_EVENT, read_waiting },
	{ "queues.py", "get", NULL, CTASK_WAIT_QUEUE, read_queue },
	{ "queues.py", "put", NULL, CTASK_WAIT_QUEUE, read_queue },
	{ "queues.py", "join", NULL, CTASK_WAIT_QUEUE, read_queue },
	{ "selector_events.py", NULL, NULL, CTASK_WAIT_SOCKET, read_socket },
	{ "streams.py", NULL, NULL, CTASK_WAIT_STREAM, read_stream },
	{ "subprocess.py", NULL, NULL, CTASK_WAIT_SUBPROCESS, read_subprocess },
	{ "taskgroups.py", "__aexit__", NULL, CTASK_WAIT_GROUP, read_group },
	{ "tasks.py", "_wait", NULL, CTASK_WAIT_WAIT, read_wait },
	{ "tasks.py", "_wait_for_one", NULL, CTASK_WAIT_WAIT, read_as_completed },
	{ "tasks.py", "sleep", NULL, CTASK_WAIT_SLEEP, read_sleep },
	{ "tasks.py", "wait_for", NULL, CTASK_WAIT_NONE, NULL }, /* limits the wait inside of it */
	{ "threads.py", "to_thread", NULL, CTASK_WAIT_EXECUTOR, read_function },
	{ "unix_events.py", NULL, NULL, CTASK_WAIT_SOCKET, read_socket },
};

static bool is_in(const struct ctask_code *code, const char *module, const char *function)
{
	return code->module && !strcmp(code->module, module) &&
	       (!function || !strcmp(code->plain_name, function));
}

static const struct ctask_wait_rows asyncio_waits = { asyncio_rows, ARRAY_SIZE(asyncio_rows) };

/* The table about the runtime that @p code is of; NULL for the program's own. */
static const struct ctask_wait_rows *rows_of(const struct ctask_code *code)
{
	if (!code->module)
		return NULL;
	if (!strncmp(code->module, "trio/", strlen("trio/")))
		return &ctask_trio_waits;
	if (!strncmp(code->module, "anyio/", strlen("anyio/")))
		return &ctask_anyio_waits;
	return &asyncio_waits;
}

/* The first row about this function; CTASK_ROW_NONE for those that mean nothing to a user. */
static int first_row(struct ctask_code *code)
{
	const struct ctask_wait_rows *table = rows_of(code);

	if (code->wait_row != CTASK_ROW_UNKNOWN)
		return code->wait_row;
	code->wait_row = CTASK_ROW_NONE;
	for (size_t i = 0; table && code->wait_row == CTASK_ROW_NONE && i < table->count; i++)
		if (is_in(code, table->rows[i].module, table->rows[i].function))
			code->wait_row = (int)i;
	return code->wait_row;
}

static bool stands_in_wait_for(struct ctask_code *code)
{
	int row = first_row(code);

	return row >= 0 && !rows_of(code)->rows[row].read;
}

/* Look at one frame; true when a row explains it. */
static bool explain_frame(struct ctask_wait *wait, const struct ctask_link *link)
{
	struct ctask_code *code = wait->walk->codes.codes[link->code];
	const struct ctask_wait_rows *table = rows_of(code);
	int first = first_row(code);

	if (first < 0)
		return false;
	wait->link = link;
	wait->code = code;
	if (ctask_wait_local(wait, "self", &wait->self))
		wait->self = 0;
	for (size_t i = (size_t)first; i < table->count; i++) {
		const struct ctask_wait_row *row = &table->rows[i];
		uint64_t value;

		if (!is_in(code, row->module, row->function) ||
		    (row->attribute && (!wait->self || ctask_attr(&wait->walk->heap, wait->self,
								  row->attribute, &value))))
			continue;
		wait->kind = row->kind;
		wait->id = row->kind == CTASK_WAIT_SLEEP ? 0 : wait->self ? wait->self : wait->id;
		row->read(wait);
		return true;
	}
	return false;
}

bool ctask_future_is_done(struct ctask_walk *walk, uint64_t addr)
{
	struct ctask_heap *heap = &walk->heap;
	uint64_t value;
	uint32_t state;

	switch (ctask_kind_of(heap, addr)) {
	case CTASK_KIND_FUTURE:
	case CTASK_KIND_TASK:
		return !ctask_pages_read(heap->pages, addr + heap->layout.task_state, &state,
					 sizeof(state)) &&
		       state != 0;
	case CTASK_KIND_PY_FUTURE:
	case CTASK_KIND_PY_TASK:
		return !ctask_attr(heap, addr, "_state", &value) &&
		       !ctask_str_is(heap, value, "PENDING");
	default:
		return false;
	}
}

static void explain_future(struct ctask_wait *wait, uint64_t future, int depth);

/* A plain future: its callbacks show whose it is. */
static void explain_plain_future(struct ctask_wait *wait, uint64_t future, int depth)
{
	struct ctask_walk *walk = wait->walk;
	const struct ctask_type *type;
	struct ctask_callbacks callbacks;
	uint64_t callback, inner;

	if (!ctask_callbacks_of(walk, future, &callbacks))
		while ((callback = ctask_callbacks_next(walk, &callbacks))) {
			const struct ctask_code *code = ctask_function_code(walk, callback);

			if (!code)
				continue;
			if (is_in(code, "futures.py", "_call_check_cancel")) {
				wait->kind = CTASK_WAIT_EXECUTOR;
				ctask_wait_say(wait, "executor");
				return;
			}
			inner = is_in(code, "tasks.py", "_outer_done_callback")
					? ctask_closure_cell(walk, callback, "inner")
					: 0;
			if (inner && depth < 8) {
				ctask_wait_say(wait, "shield of ");
				explain_future(wait, inner, depth + 1);
				return;
			}
		}
	type = ctask_type_of(&walk->heap, future);
	wait->kind = CTASK_WAIT_FUTURE;
	ctask_wait_say(wait, "%.64s", type ? ctask_type_short_name(type) : "Future");
}

static void explain_task(struct ctask_wait *wait, uint64_t task)
{
	struct ctask_task_view view;
	ctask_text name = NULL;
	int64_t number;

	wait->kind = CTASK_WAIT_TASK;
	if (ctask_task_view(wait->walk, task, &view)) {
		ctask_wait_say(wait, "a task");
	} else if (!ctask_int_value(&wait->walk->heap, view.name, &number)) {
		ctask_wait_say(wait, "Task-%lld", (long long)number);
	} else if (!ctask_str_text(&wait->walk->heap, view.name, wait->walk->snap->texts, &name)) {
		/* Cut between characters: a byte 10xxxxxx continues one. */
		size_t n = strlen(name);

		if (n > 120)
			for (n = 120; n && (name[n] & 0xc0) == 0x80; n--)
				;
		ctask_wait_say(wait, "%.*s%s", (int)n, name, name[n] ? "…" : "");
	} else {
		ctask_wait_say(wait, "a task");
	}
}

static void explain_future(struct ctask_wait *wait, uint64_t future, int depth)
{
	struct ctask_heap *heap = &wait->walk->heap;
	const struct ctask_type *type = ctask_type_of(heap, future);
	uint64_t children;
	int64_t count;

	if (!type) {
		wait->kind = CTASK_WAIT_OTHER;
		ctask_wait_say(wait, "something that could not be read");
		return;
	}
	switch (type->kind) {
	case CTASK_KIND_TASK:
	case CTASK_KIND_PY_TASK:
		explain_task(wait, future);
		return;
	case CTASK_KIND_FUTURE:
	case CTASK_KIND_PY_FUTURE:
		if (!strcmp(ctask_type_short_name(type), "_GatheringFuture") &&
		    !ctask_wait_attr(wait, future, "_children", &children) &&
		    (count = ctask_wait_length_of(wait, children)) >= 0) {
			wait->kind = CTASK_WAIT_GATHER;
			ctask_wait_say(wait, "gather of %lld", (long long)count);
			return;
		}
		explain_plain_future(wait, future, depth);
		return;
	default:
		wait->kind = CTASK_WAIT_OTHER;
		ctask_wait_say(wait, "%.64s", type->name);
	}
}

/* The first end of the asyncio.timeouts that a frame is inside of; NAN when there is none. */
static double left_of_timeouts(struct ctask_wait *wait, const struct ctask_link *link)
{
	struct ctask_block blocks[CTASK_BLOCKS_MAX];
	uint32_t count = ctask_blocks_of(wait->walk, wait->task, link, blocks);
	double least = NAN;

	for (uint32_t i = 0; i < count; i++)
		if (!blocks[i].cancel_called) /* what has fired limits nothing any more */
			least = fmin(least, blocks[i].deadline_in_s);
	return least;
}

/* The first of the time limits that the frames of a task put on its wait. */
struct limit {
	double left_s; /* NAN: there is none, or nobody knows its end */
	bool is_wait_for;
	double wait_for_s; /* the whole time of a wait_for; NAN when not known */
};

static void look_for_limit(struct ctask_wait *wait, const struct ctask_link *link,
			   struct limit *first)
{
	bool is_wait_for = stands_in_wait_for(wait->walk->codes.codes[link->code]);
	struct limit limit = { .is_wait_for = is_wait_for, .wait_for_s = NAN };
	uint64_t value;

	wait->link = link;
	/* To 3.11 wait_for has a timer of its own. */
	if (is_wait_for && !ctask_wait_local(wait, "timeout_handle", &value))
		limit.left_s = left_of_timer(wait, value);
	else
		limit.left_s = left_of_timeouts(wait, link);
	if (is_wait_for && (ctask_wait_local(wait, "timeout", &value) ||
			    ctask_number_value(&wait->walk->heap, value, &limit.wait_for_s)))
		limit.wait_for_s = NAN;
	if (isnan(limit.left_s) ? isnan(first->left_s) && !isnan(limit.wait_for_s)
				: !(first->left_s <= limit.left_s))
		*first = limit;
}

/* "…, wait_for 5 s": the limit that comes first, if one does. */
static void add_limit(struct ctask_wait *wait, const struct limit *limit)
{
	if (isnan(limit->left_s) && isnan(limit->wait_for_s))
		return;
	if (wait->ready_text)
		ctask_wait_say(wait, "%s", wait->ready_text);
	wait->ready_text = NULL;
	wait->sleep_delay = NAN;
	if (!isnan(limit->wait_for_s))
		ctask_wait_say_seconds(wait, ", wait_for ", limit->wait_for_s);
	else
		ctask_wait_say(wait, limit->is_wait_for ? ", wait_for" : ", timeout");
	wait->left_s = fmin(wait->left_s, limit->left_s);
}

/* Sleeps come by the thousand, with few different delays: the last one's text is kept. */
static int keep(struct ctask_wait *wait, struct ctask_task *task)
{
	struct ctask_walk *walk = wait->walk;

	task->wait_kind = (uint8_t)wait->kind;
	task->wait_left_s = wait->left_s;
	task->wait_id = wait->id;
	task->wait_text = wait->ready_text;
	if (task->wait_text)
		return 0;
	task->wait_text = ctask_texts_add(walk->snap->texts, wait->text, strlen(wait->text));
	if (!isnan(wait->sleep_delay)) {
		walk->sleep_delay = wait->sleep_delay;
		walk->sleep_text = task->wait_text;
	}
	return task->wait_text ? 0 : -ENOMEM;
}

/*
 * Explain the wait by the innermost frames, as far as they are asyncio's own.
 * The outermost of these that means something counts, but that a notified
 * Condition.wait is waiting for its lock again. *ret_wait_for is the innermost wait_for.
 */
static bool explain_frames(struct ctask_wait *wait, const struct ctask_link **ret_wait_for)
{
	const struct ctask_chain *chain = &wait->walk->chain;
	struct ctask_code **codes = wait->walk->codes.codes;
	uint32_t first = chain->count;
	bool explained = false;

	*ret_wait_for = NULL;
	while (first && codes[chain->links[first - 1].code]->module)
		first--;
	for (uint32_t i = first; i < chain->count; i++) {
		struct ctask_code *code = codes[chain->links[i].code];

		if (stands_in_wait_for(code)) {
			*ret_wait_for = &chain->links[i];
		} else if (!explained) {
			explained = explain_frame(wait, &chain->links[i]);
		} else if (wait->kind == CTASK_WAIT_CONDITION &&
			   is_in(code, "locks.py", "acquire")) {
			wait->text[0] = '\0';
			explained = explain_frame(wait, &chain->links[i]);
			ctask_wait_say(wait, ", notified in Condition.wait");
		}
	}
	return explained;
}

static void begin(struct ctask_wait *wait, struct ctask_walk *walk, uint64_t task)
{
	wait->walk = walk;
	wait->task = task;
	wait->future = 0;
	wait->id = 0;
	wait->kind = CTASK_WAIT_OTHER;
	wait->now_s = walk->now_s;
	wait->left_s = NAN;
	wait->sleep_delay = NAN;
	wait->ready_text = NULL;
	wait->text[0] = '\0'; /* the rest is long, and need not be cleared for each task */
}

int ctask_waits_read(struct ctask_walk *walk, const struct ctask_task_view *view)
{
	const struct ctask_chain *chain = &walk->chain;
	struct ctask_task *task = &walk->snap->tasks[walk->snap->task_count - 1];
	struct limit limit = { .left_s = NAN, .wait_for_s = NAN };
	const struct ctask_link *wait_for;
	struct ctask_wait wait;
	uint64_t inner;

	begin(&wait, walk, view->addr);
	wait.future = wait.id = view->fut_waiter;
	if (!explain_frames(&wait, &wait_for)) {
		/* To 3.11 wait_for awaits a future of its own, on behalf of `fut`. */
		wait.link = wait_for;
		if (wait_for && !ctask_wait_local(&wait, "waiter", &inner) &&
		    !ctask_wait_local(&wait, "fut", &inner))
			wait.future = wait.id = inner;
		explain_future(&wait, wait.future, 0);
	}
	for (uint32_t i = 0; i < chain->count; i++)
		if (walk->in_blocks || stands_in_wait_for(walk->codes.codes[chain->links[i].code]))
			look_for_limit(&wait, &chain->links[i], &limit);
	add_limit(&wait, &limit);
	return keep(&wait, task);
}

int ctask_waits_read_frames(struct ctask_walk *walk, uint32_t index, double now_s)
{
	struct ctask_task *task = &walk->snap->tasks[index];
	const struct ctask_link *wait_for;
	struct ctask_wait wait;

	begin(&wait, walk, task->id);
	wait.now_s = now_s;
	if (!explain_frames(&wait, &wait_for))
		ctask_wait_say(&wait, "something of its own");
	return keep(&wait, task);
}
