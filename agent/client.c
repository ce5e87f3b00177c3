/* client.c - one conversation: a line is asked, a reply is given, and time is short. */
#include "agent/client.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

#include "agent/portable.h"
#include "agent/wire.h"

enum { NS_PER_MS = 1000000, WRITE_AT_ONCE = 1 << 20 };

void ctask_client_begin(struct ctask_client *client, int fd, int64_t now_ns)
{
	client->line_len = 0;
	client->job = 0;
	client->since_ns = client->progress_ns = now_ns;
	client->state = CTASK_CLIENT_ASKS;
	if (!ctask_own_take(&client->socket, fd)) {
		close(fd);
		client->state = CTASK_CLIENT_NONE;
	}
}

void ctask_client_end(struct ctask_client *client)
{
	int fd = ctask_own_fd(&client->socket);
	char rest[256];

	/* To close a socket with bytes unread would be an error to the other side, which may still be reading. */
	for (int i = 0; fd >= 0 && i < 16; i++)
		if (recv(fd, rest, sizeof(rest), MSG_DONTWAIT) <= 0)
			break;
	ctask_own_close(&client->socket);
	ctask_own_close(&client->data);
	ctask_own_close(&client->pass);
	client->state = CTASK_CLIENT_NONE;
}

static void begin_schema(struct ctask_wire *wire, const char *schema)
{
	ctask_wire_put(wire, "{\"schema\":\"");
	ctask_wire_put(wire, schema);
	ctask_wire_put(wire, "\",\"version\":");
	ctask_wire_put_number(wire, CTASK_PROTOCOL_VERSION);
}

static void put_fact(struct ctask_wire *wire, const char *key, uint64_t value)
{
	ctask_wire_put(wire, ",\"");
	ctask_wire_put(wire, key);
	ctask_wire_put(wire, "\":");
	ctask_wire_put_number(wire, value);
}

static void put_hello(struct ctask_wire *wire, const struct ctask_history_header *history)
{
	begin_schema(wire, CTASK_SCHEMA_HELLO);
	put_fact(wire, "pid", (uint64_t)history->nspid);
	put_fact(wire, "start_ticks", history->start_ticks);
	ctask_wire_put(wire, ",\"python\":");
	ctask_wire_put_string(wire, history->python_version);
	ctask_wire_put(wire, ",\"capabilities\":[\"history\",\"cancels\",\"tree\"]");
	put_fact(wire, "reply_bytes_max", CTASK_REPLY_BYTES_MAX);
	ctask_wire_put(wire, "}\n");
}

/* The reply begins and ends: what is between is the caller's. */
static struct ctask_wire begin_reply(struct ctask_client *client,
				     const struct ctask_client_facts *facts, uint64_t dropped,
				     int64_t now_ns)
{
	struct ctask_wire head = { .to = client->head, .room = sizeof(client->head) };
	struct ctask_wire tail = { .to = client->tail, .room = sizeof(client->tail) };

	begin_schema(&tail, CTASK_SCHEMA_END);
	put_fact(&tail, "dropped", dropped);
	ctask_wire_put(&tail, "}\n");
	client->tail_len = tail.len;
	put_hello(&head, facts->history);
	client->data_len = client->written = 0;
	client->progress_ns = now_ns;
	client->state = CTASK_CLIENT_LISTENS;
	return head;
}

void ctask_client_answer(struct ctask_client *client, const struct ctask_client_facts *facts,
			 int data, uint64_t bytes, uint64_t dropped, int64_t now_ns)
{
	if (!ctask_own_copy(&client->data, data)) {
		ctask_client_refuse(client, facts, CTASK_ERROR_BUSY,
				    "the process has too many files open", now_ns);
		return;
	}
	client->head_len = begin_reply(client, facts, dropped, now_ns).len;
	client->data_len = bytes;
}

void ctask_client_refuse(struct ctask_client *client, const struct ctask_client_facts *facts,
			 const char *code, const char *text, int64_t now_ns)
{
	struct ctask_wire head = begin_reply(client, facts, 0, now_ns);

	begin_schema(&head, CTASK_SCHEMA_ERROR);
	ctask_wire_put(&head, ",\"code\":");
	ctask_wire_put_string(&head, code);
	ctask_wire_put(&head, ",\"text\":");
	ctask_wire_put_string(&head, text);
	ctask_wire_put(&head, "}\n");
	client->head_len = head.len;
}

/* Another, read-only, descriptor of the history. -1 when it cannot be had. */
static int reopen_read_only(struct ctask_own *memory)
{
	char path[64];
	struct ctask_wire wire = { .to = path, .room = sizeof(path) };
	int fd = ctask_own_fd(memory);

	if (fd < 0)
		return -1;
	ctask_wire_put(&wire, "/proc/thread-self/fd/");
	ctask_wire_put_number(&wire, (uint64_t)fd);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static void answer_history(struct ctask_client *client, const struct ctask_client_facts *facts,
			   int64_t now_ns)
{
	struct ctask_wire head;
	int fd = reopen_read_only(facts->memory);

	if (fd < 0 || !ctask_own_take(&client->pass, fd)) {
		if (fd >= 0)
			close(fd);
		ctask_client_refuse(client, facts, CTASK_ERROR_UNAVAILABLE,
				    "the process has closed the history's file: ask for cancels",
				    now_ns);
		return;
	}
	head = begin_reply(client, facts, 0, now_ns);
	begin_schema(&head, CTASK_SCHEMA_HISTORY);
	put_fact(&head, "bytes", facts->history->file_bytes);
	ctask_wire_put(&head, "}\n");
	client->head_len = head.len;
}

static void take_line(struct ctask_client *client, const struct ctask_client_facts *facts,
		      int64_t now_ns)
{
	const char *rest;

	if (client->line_len && client->line[client->line_len - 1] == '\r')
		client->line_len--;
	client->line[client->line_len] = '\0';
	client->progress_ns = now_ns;
	/* A NUL inside would hide what is behind it. */
	switch (strlen(client->line) == client->line_len ? ctask_request_parse(client->line, &rest)
							 : -1) {
	case CTASK_ASK_HELLO:
		client->head_len = begin_reply(client, facts, 0, now_ns).len;
		break;
	case CTASK_ASK_HISTORY:
		answer_history(client, facts, now_ns);
		break;
	case CTASK_ASK_CANCELS:
	case CTASK_ASK_TREE:
		client->job = 0;
		client->state = CTASK_CLIENT_WAITS;
		break;
	default:
		ctask_client_refuse(
			client, facts, CTASK_ERROR_USAGE,
			"a request is one line: hello, history, cancels [since=ID], or tree",
			now_ns);
	}
	if (client->state == CTASK_CLIENT_LISTENS)
		ctask_client_write(client, now_ns);
}

void ctask_client_read(struct ctask_client *client, const struct ctask_client_facts *facts,
		       int64_t now_ns)
{
	int fd = ctask_own_fd(&client->socket);
	size_t room = sizeof(client->line) - client->line_len;
	const char *newline;
	ssize_t got;

	if (fd < 0) {
		ctask_client_end(client);
		return;
	}
	got = recv(fd, client->line + client->line_len, room, MSG_DONTWAIT);
	if (got < 0) {
		if (errno != EAGAIN && errno != EINTR)
			ctask_client_end(client);
		return;
	}
	newline = got ? memchr(client->line + client->line_len, '\n', (size_t)got) : NULL;
	client->line_len += (size_t)got;
	if (newline) {
		client->line_len = (size_t)(newline - client->line);
		take_line(client, facts, now_ns);
	} else if (client->line_len == sizeof(client->line)) {
		ctask_client_refuse(client, facts, CTASK_ERROR_USAGE, "that line is too long",
				    now_ns);
	} else if (!got && client->line_len) {
		take_line(client, facts, now_ns); /* the end of what it sends ends the line too */
	} else if (!got) {
		ctask_client_end(client);
	}
}

/* The next bytes of a part in memory; the descriptor to pass goes with the first of all. */
static ssize_t send_text(struct ctask_client *client, int fd, const char *text, size_t len)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { .header = { 0 } };
	struct iovec part = { .iov_base = (void *)text, .iov_len = len };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	int pass = client->written == 0 ? ctask_own_fd(&client->pass) : -1;

	if (pass >= 0) {
		message.msg_control = &control;
		message.msg_controllen = sizeof(control);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.header), &pass, sizeof(pass));
	}
	return sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static ssize_t send_data(struct ctask_client *client, int fd, uint64_t at)
{
	int data = ctask_own_fd(&client->data);
	off_t from = (off_t)at;
	uint64_t len = client->data_len - at;

	if (data < 0)
		return 0;
	/* Blocked signals: SIGPIPE stays with this thread, and nobody gets to see it. */
	return sendfile(fd, data, &from, len < WRITE_AT_ONCE ? (size_t)len : WRITE_AT_ONCE);
}

void ctask_client_write(struct ctask_client *client, int64_t now_ns)
{
	uint64_t data_ends = client->head_len + client->data_len;
	uint64_t ends = data_ends + client->tail_len;
	uint64_t until = client->written + WRITE_AT_ONCE;

	/* Others want their turn. */
	while (client->written < ends && client->written < until) {
		int fd = ctask_own_fd(&client->socket);
		ssize_t sent;

		if (fd < 0)
			sent = 0;
		else if (client->written < client->head_len)
			sent = send_text(client, fd, client->head + client->written,
					 client->head_len - client->written);
		else if (client->written < data_ends)
			sent = send_data(client, fd, client->written - client->head_len);
		else
			sent = send_text(client, fd, client->tail + (client->written - data_ends),
					 ends - client->written);
		if (sent < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (sent <= 0)
			break;
		client->written += (uint64_t)sent;
		client->progress_ns = now_ns;
	}
	if (client->written >= ends || client->written < until)
		ctask_client_end(client);
}

int64_t ctask_client_deadline_ns(const struct ctask_client *client)
{
	int64_t stall = client->progress_ns + (int64_t)CTASK_STALL_MS * NS_PER_MS;
	int64_t talk = client->since_ns + (int64_t)CTASK_TALK_MS * NS_PER_MS;

	switch (client->state) {
	case CTASK_CLIENT_ASKS:
		return client->since_ns + (int64_t)CTASK_REQUEST_MS * NS_PER_MS;
	case CTASK_CLIENT_LISTENS:
		return stall < talk ? stall : talk;
	case CTASK_CLIENT_WAITS:
	case CTASK_CLIENT_NONE:
		break;
	}
	return talk;
}
