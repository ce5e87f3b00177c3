/* rendezvous.c - find the agent in a process, and ask it. */
#include "reader/rendezvous.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/openat2.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>

#include "model/cleanup.h"
#include "reader/process.h"

enum {
	PATH_BYTES = 64,
	NS_PER_MS = 1000000,
	/* An agent steps aside for a moment when its process forks; it then refuses, or hangs up. */
	TRIES = 6,
	TRY_AGAIN_MS = 20,
	BACKLOG_FULL_MS = 2,
	REPLY_BYTES_MAX = CTASK_REPLY_BYTES_MAX + 65536,
};

/* Whom we look for. */
struct target {
	pid_t pid;
	int32_t nspid;
	uint64_t start_ticks;
	uid_t uid;	    /* effective, as we see it */
	uint32_t inner_uid; /* and as it sees itself */
	/* Its socket's; and where it has no /proc, and so does not know when it started. */
	char names[2][CTASK_SOCKET_NAME_BYTES];
	int64_t until_ns;
	/* What came in our way. */
	bool forbidden; /* its socket is not for us */
	bool silent;	/* there is one that nobody listens on, as yet or any more */
};

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static void sleep_ms(int64_t ms)
{
	struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * NS_PER_MS };

	nanosleep(&t, NULL);
}

static int late(const struct target *target, struct ctask_error *err)
{
	return ctask_fail(err, ETIMEDOUT, "the agent of process %d did not answer in time",
			  (int)target->pid);
}

/* --- who it is --- */

/* The user as the process sees itself: the namespaces that rootless containers have count otherwise. */
static uint32_t inner_uid(pid_t pid, uid_t uid)
{
	char path[PATH_BYTES];
	unsigned long inner, outer, count;
	auto_fclose FILE *file = NULL;

	snprintf(path, sizeof(path), "/proc/%d/uid_map", (int)pid);
	file = fopen(path, "re");
	while (file && fscanf(file, "%lu %lu %lu", &inner, &outer, &count) == 3)
		if (uid >= outer && uid - outer < count)
			return (uint32_t)(inner + (uid - outer));
	return uid;
}

static int identify(pid_t pid, const struct ctask_agent_options *options, struct target *ret,
		    struct ctask_error *err)
{
	int64_t timeout_ms = options && options->timeout_ms ? options->timeout_ms
							    : CTASK_AGENT_TIMEOUT_MS_DEFAULT;
	struct ctask_process_ids ids;
	int error = ctask_process_check(pid, err);

	if (error)
		return error;
	*ret = (struct target){ .pid = pid, .until_ns = now_ns() + timeout_ms * NS_PER_MS };
	ret->start_ticks = ctask_process_start(pid);
	if (!ret->start_ticks || !ctask_process_ids(pid, &ids))
		return ctask_fail(err, ESRCH, "there is no process %d", (int)pid);
	ret->nspid = ids.nspid;
	ret->uid = ids.euid;
	ret->inner_uid = inner_uid(pid, ids.euid);
	ctask_socket_name(ret->nspid, ret->start_ticks, ret->names[0]);
	ctask_socket_name(ret->nspid, 0, ret->names[1]);
	if (geteuid() != 0 && geteuid() != ret->uid)
		return ctask_fail(
			err, EPERM,
			"process %d belongs to user %u: its agent answers to that user and root",
			(int)pid, (unsigned)ret->uid);
	return 0;
}

/* --- to the socket's file --- */

static int open_below(int dir, const char *path, uint64_t flags, uint64_t resolve)
{
	struct open_how how = { .flags = flags | O_PATH | O_CLOEXEC,
				.resolve = resolve | RESOLVE_NO_MAGICLINKS };

	return (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
}

/*
 * The socket in directory @p path below @p root. Links on the way to the directory stay below the
 * root; the directory and the socket are none. Returns a descriptor (O_PATH) or -errno.
 */
static int open_socket_in(const struct target *target, int root, const char *path)
{
	char parent[CTASK_PLACE_BYTES];
	const char *last = strrchr(path, '/');
	auto_fd above = -1, dir = -1;
	struct stat st;
	int fd = -1;

	snprintf(parent, sizeof(parent), "%.*s", last > path ? (int)(last - path) : 1, path);
	above = open_below(root, parent, O_DIRECTORY, RESOLVE_IN_ROOT);
	if (above < 0 || !last[1])
		return above < 0 ? -errno : -ENOENT;
	dir = open_below(above, last + 1, O_DIRECTORY, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
	if (dir < 0 || fstat(dir, &st))
		return -errno;
	if (st.st_mode & (S_IWGRP | S_IWOTH) || (st.st_uid != target->uid && st.st_uid != 0))
		return -EPERM;
	for (size_t i = 0; fd < 0 && i < ARRAY_SIZE(target->names); i++)
		fd = open_below(dir, target->names[i], 0, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
	return fd < 0 ? -errno : fd;
}

/* Connect through the descriptor of the file itself: no path can be too long, nor lead elsewhere by now. */
static int connect_to(struct target *target, int file, int *ret_fd)
{
	auto_fd fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	bool as_user;
	struct ucred peer;
	socklen_t len = sizeof(peer);
	int error = EAGAIN;
	struct stat st;

	if (fd < 0 || fstat(file, &st))
		return -errno;
	if (!S_ISSOCK(st.st_mode) || (st.st_uid != target->uid && st.st_uid != 0))
		return -ENOENT;
	/* Root is nobody in a user namespace that does not know it, and comes as the process's user. */
	as_user = geteuid() == 0 && target->uid != 0 && st.st_uid == target->uid;
	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d", file);
	while (error == EAGAIN && now_ns() < target->until_ns) {
		if (as_user && syscall(SYS_setresuid, -1, target->uid, -1))
			as_user = false;
		error = connect(fd, (struct sockaddr *)&address, sizeof(address)) ? errno : 0;
		if (as_user)
			syscall(SYS_setresuid, -1, 0, -1);
		if (error == EAGAIN)
			sleep_ms(BACKLOG_FULL_MS);
	}
	target->silent |= error == ECONNREFUSED;
	if (error)
		return error == EAGAIN ? -ETIMEDOUT : -error;
	/* It is who it should be, and that is still there. */
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) || peer.pid != target->pid ||
	    (peer.uid != target->uid && peer.uid != 0) ||
	    ctask_process_start(target->pid) != target->start_ticks)
		return -ENOENT;
	*ret_fd = steal_fd(&fd);
	return 0;
}

/* The agent's thread, which is called so, keeps its files for itself where it can. */
static bool is_thread_of_agent(pid_t pid, const char *tid)
{
	char path[PATH_BYTES], name[32] = "";
	auto_fclose FILE *file = NULL;

	snprintf(path, sizeof(path), "/proc/%d/task/%.16s/comm", (int)pid, tid);
	file = fopen(path, "re");
	return file && fgets(name, sizeof(name), file) && !strcmp(name, "ctask\n");
}

/* Among the files that are open in @p dir (a /proc/…/fd), one that is called like our socket. */
static int connect_by_files(struct target *target, DIR *dir, int *ret_fd)
{
	char link[CTASK_PLACE_BYTES];
	static const char deleted[] = " (deleted)";
	struct dirent *entry;

	while ((entry = readdir(dir))) {
		ssize_t len = readlinkat(dirfd(dir), entry->d_name, link, sizeof(link) - 1);
		auto_fd file = -1;
		const char *name;
		size_t end;

		if (len <= 0)
			continue;
		link[len] = '\0';
		end = (size_t)len;
		if (end > sizeof(deleted) && !strcmp(link + end - (sizeof(deleted) - 1), deleted))
			link[end - (sizeof(deleted) - 1)] = '\0';
		name = strrchr(link, '/');
		if (!name ||
		    (strcmp(name + 1, target->names[0]) && strcmp(name + 1, target->names[1])))
			continue;
		file = openat(dirfd(dir), entry->d_name, O_PATH | O_CLOEXEC);
		if (file >= 0 && !connect_to(target, file, ret_fd))
			return 0;
	}
	return -ENOENT;
}

/* Through the descriptors of the agent: right whatever the mounts, and also when its name was removed. */
static int connect_by_descriptors(struct target *target, int *ret_fd)
{
	char path[2 * PATH_BYTES];
	auto_closedir DIR *tasks = NULL;
	struct dirent *entry;
	int ret = -ENOENT;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)target->pid);
	tasks = opendir(path);
	while (ret && tasks && (entry = readdir(tasks))) {
		auto_closedir DIR *files = NULL;

		if (entry->d_name[0] == '.' || !is_thread_of_agent(target->pid, entry->d_name))
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%.16s/fd", (int)target->pid,
			 entry->d_name);
		target->silent = true; /* it is there, and may be about to bind */
		files = opendir(path);
		if (files)
			ret = connect_by_files(target, files, ret_fd);
	}
	return ret;
}

static int connect_in(struct target *target, int root, const char *path, int *ret_fd)
{
	auto_fd file = open_socket_in(target, root, path);
	int ret;

	if (file < 0)
		return file;
	ret = connect_to(target, file, ret_fd);
	if (ret == -EACCES || ret == -EPERM)
		target->forbidden = true;
	return ret;
}

/* In all directories in which it may be, below @p root. */
static int connect_below(struct target *target, const struct ctask_places *ours, int root,
			 int *ret_fd)
{
	char path[CTASK_PLACE_BYTES], runtime_dir[PATH_BYTES];
	struct ctask_places usual = { .uid = target->inner_uid, .runtime_dir = runtime_dir };
	struct ctask_places own = ours ? *ours : usual;
	int ret = -ENOENT;

	own.uid = target->inner_uid;
	snprintf(runtime_dir, sizeof(runtime_dir), "/run/user/%u", (unsigned)usual.uid);
	for (int i = 0; ret && i < 2 * CTASK_PLACE_KINDS; i++) {
		enum ctask_place_kind kind = (enum ctask_place_kind)(i / 2);

		/* First as our environment has it, then as it usually is. */
		if (ctask_place_path(i % 2 ? &usual : &own, kind, path))
			ret = connect_in(target, root, path, ret_fd);
	}
	return ret;
}

static int search(struct target *target, const struct ctask_places *ours, int *ret_fd)
{
	char path[PATH_BYTES];
	auto_fd theirs = -1, own = -1;
	struct stat a, b;
	int ret = connect_by_descriptors(target, ret_fd);

	if (!ret)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/root", (int)target->pid);
	theirs = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (theirs >= 0)
		ret = connect_below(target, ours, theirs, ret_fd);
	own = ret ? open("/", O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	if (own < 0 || (theirs >= 0 && !fstat(theirs, &a) && !fstat(own, &b) &&
			a.st_dev == b.st_dev && a.st_ino == b.st_ino))
		return ret;
	return connect_below(target, ours, own, ret_fd);
}

static int connect_once(struct target *target, const struct ctask_agent_options *options,
			int *ret_fd, struct ctask_error *err)
{
	int ret = search(target, options ? &options->places : NULL, ret_fd);

	if (!ret)
		return 0;
	if (ctask_process_start(target->pid) != target->start_ticks)
		return ctask_fail(err, ESRCH, "process %d has ended", (int)target->pid);
	if (ret == -ETIMEDOUT)
		return late(target, err);
	if (target->forbidden)
		return ctask_fail(err, EPERM,
				  "the agent of process %d may not be asked by user %u: run as "
				  "root, or with CAP_DAC_OVERRIDE",
				  (int)target->pid, (unsigned)geteuid());
	return ctask_fail(err, ENOTSUP,
			  "there is no agent in process %d that answers: start the program with "
			  "'ctaskctl run'",
			  (int)target->pid);
}

int ctask_agent_connect(pid_t pid, const struct ctask_agent_options *options, int *ret_fd,
			struct ctask_error *err)
{
	struct target target;
	int ret = identify(pid, options, &target, err);

	return ret ? ret : connect_once(&target, options, ret_fd, err);
}

/* --- a conversation --- */

static int wait_for(const struct target *target, int fd, short events)
{
	struct pollfd wait = { .fd = fd, .events = events };
	int64_t left = target->until_ns - now_ns();
	int ready = left > 0 ? poll(&wait, 1, (int)(left / NS_PER_MS + 1)) : 0;

	return ready > 0 || (ready < 0 && errno == EINTR) ? 0 : ready ? -errno : -ETIMEDOUT;
}

static int send_all(const struct target *target, int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t sent = send(fd, text, len, MSG_NOSIGNAL);
		int ret = 0;

		if (sent < 0 && errno != EAGAIN)
			return -errno;
		if (sent < 0)
			ret = wait_for(target, fd, POLLOUT);
		else
			text += sent, len -= (size_t)sent;
		if (ret)
			return ret;
	}
	return 0;
}

/* Keep the first descriptor that came along; others are not wanted. */
static void take_descriptors(struct msghdr *message, int *fd)
{
	for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part;
	     part = CMSG_NXTHDR(message, part)) {
		size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		for (size_t i = 0;
		     part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_RIGHTS && i < count;
		     i++) {
			int got;

			memcpy(&got, CMSG_DATA(part) + i * sizeof(int), sizeof(got));
			if (*fd < 0)
				*fd = got;
			else
				close(got);
		}
	}
}

/* All that it says until it hangs up. */
static int receive_all(const struct target *target, int fd, struct ctask_agent_reply *reply,
		       size_t *ret_len)
{
	size_t len = 0, room = 0;

	for (;;) {
		char control[CMSG_SPACE(8 * sizeof(int))];
		struct iovec part;
		struct msghdr message = { .msg_iov = &part,
					  .msg_iovlen = 1,
					  .msg_control = control,
					  .msg_controllen = sizeof(control) };
		ssize_t got;

		if (room - len < 4096) {
			char *moved = room < REPLY_BYTES_MAX
					      ? realloc(reply->text, room = room * 2 + 16384)
					      : NULL;

			if (!moved)
				return room < REPLY_BYTES_MAX ? -ENOMEM : -EPROTO;
			reply->text = moved;
		}
		part = (struct iovec){ .iov_base = reply->text + len, .iov_len = room - len - 1 };
		got = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
		if (got < 0 && errno == EAGAIN) {
			int ret = wait_for(target, fd, POLLIN);

			if (ret)
				return ret;
			continue;
		}
		if (got < 0 && errno == EINTR)
			continue;
		/* A refusal comes without the request having been read: the line is there nevertheless. */
		if (got < 0 && errno == ECONNRESET && len)
			got = 0;
		if (got < 0)
			return -errno;
		take_descriptors(&message, &reply->fd);
		len += (size_t)got;
		if (!got)
			break;
	}
	reply->text[len] = '\0';
	*ret_len = len;
	return 0;
}

static bool is_schema(const char *line, const char *schema)
{
	char start[64];

	snprintf(start, sizeof(start), "{\"schema\":\"%s\",", schema);
	return !strncmp(line, start, strlen(start));
}

/* The string under @p key of a line, as the agent writes it: without escapes but of quotes and backslashes. */
static void string_of(const char *line, const char *key, char *to, size_t room)
{
	char start[32];
	const char *at;
	size_t len = 0;

	snprintf(start, sizeof(start), ",\"%s\":\"", key);
	at = strstr(line, start);
	for (at = at ? at + strlen(start) : ""; *at && *at != '"' && *at != '\n'; at++) {
		at += *at == '\\' && at[1];
		if (len + 1 < room)
			to[len++] = *at;
	}
	to[len] = '\0';
}

static const struct {
	const char *word;
	int error;
} codes[] = {
	{ CTASK_ERROR_BUSY, EBUSY },
	{ CTASK_ERROR_NOT_PERMITTED, EPERM },
	{ CTASK_ERROR_UNAVAILABLE, EOPNOTSUPP },
	{ CTASK_ERROR_USAGE, EINVAL },
};

static int told_error(const struct target *target, const char *line, struct ctask_error *err)
{
	char code[32], text[192];
	int error = EIO;

	string_of(line, "code", code, sizeof(code));
	string_of(line, "text", text, sizeof(text));
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
		if (!strcmp(codes[i].word, code))
			error = codes[i].error;
	return ctask_fail(err, error, "the agent of process %d says: %s", (int)target->pid, text);
}

/* A whole reply: a first line, data, a last line. */
static int check_reply(const struct target *target, struct ctask_agent_reply *reply, size_t len,
		       struct ctask_error *err)
{
	char *first_end = len ? memchr(reply->text, '\n', len) : NULL;
	char *last;

	if (is_schema(len ? reply->text : "", CTASK_SCHEMA_ERROR))
		return told_error(target, reply->text, err);
	if (!first_end || !is_schema(reply->text, CTASK_SCHEMA_HELLO))
		return ctask_fail(err, EPROTO,
				  "what answers in process %d is no agent of this version",
				  (int)target->pid);
	reply->data = first_end + 1;
	if (is_schema(reply->data, CTASK_SCHEMA_ERROR))
		return told_error(target, reply->data, err);
	last = reply->text[len - 1] == '\n' ? memrchr(reply->text, '\n', len - 1) : NULL;
	if (!last || !is_schema(last + 1, CTASK_SCHEMA_END))
		return ctask_fail(err, EPROTO, "the reply of the agent of process %d was cut off",
				  (int)target->pid);
	reply->data_len = (size_t)(last + 1 - reply->data);
	return 0;
}

/* One try. -EAGAIN when another one may help. */
static int ask_once(struct target *target, const struct ctask_agent_options *options,
		    const char *line, size_t line_len, struct ctask_agent_reply *reply,
		    struct ctask_error *err)
{
	auto_fd fd = -1;
	size_t len = 0;
	int ret = connect_once(target, options, &fd, err);

	if (ret)
		return ret == -ENOTSUP && target->silent ? -EAGAIN : ret;
	ret = send_all(target, fd, line, line_len);
	if (!ret || ret == -EPIPE || ret == -ECONNRESET)
		ret = receive_all(target, fd, reply, &len);
	if (ret == -ETIMEDOUT)
		return late(target, err);
	if (ret == -ECONNRESET || ret == -EPIPE || (!ret && !len)) {
		ctask_fail(err, EPROTO, "the agent of process %d hung up", (int)target->pid);
		return -EAGAIN;
	}
	if (ret)
		return ctask_fail(err, -ret, "the agent of process %d cannot be asked: %s",
				  (int)target->pid, strerror(-ret));
	return check_reply(target, reply, len, err);
}

int ctask_agent_ask(pid_t pid, const struct ctask_agent_options *options, const char *request,
		    struct ctask_agent_reply *ret_reply, struct ctask_error *err)
{
	struct ctask_agent_reply reply = { .fd = -1 };
	struct ctask_error why = { 0 };
	char line[CTASK_REQUEST_BYTES_MAX + 1];
	struct target target;
	int len = snprintf(line, sizeof(line), "%s\n", request);
	int ret = identify(pid, options, &target, err);

	if (ret)
		return ret;
	if (len >= (int)sizeof(line))
		return ctask_fail(err, EINVAL, "the request is too long");
	ret = -EAGAIN;
	for (int i = 0; i < TRIES && ret == -EAGAIN; i++) {
		if (i)
			sleep_ms(TRY_AGAIN_MS);
		ret = ask_once(&target, options, line, (size_t)len, &reply, &why);
		if (ret)
			ctask_agent_reply_fini(&reply);
	}
	if (ret) {
		if (err)
			*err = why;
		return -why.code;
	}
	*ret_reply = reply;
	return 0;
}

void ctask_agent_reply_fini(struct ctask_agent_reply *reply)
{
	if (reply->fd >= 0)
		close(reply->fd);
	free(reply->text);
	*reply = (struct ctask_agent_reply){ .fd = -1 };
}

int ctask_agent_history(pid_t pid, const struct ctask_agent_options *options, int *ret_fd,
			struct ctask_error *err)
{
	struct ctask_agent_reply reply;
	int ret = ctask_agent_ask(pid, options, "history", &reply, err);

	if (ret)
		return ret;
	/* Only a file in memory has seals: reading anything else could block, or do something. */
	if (reply.fd < 0 || fcntl(reply.fd, F_GET_SEALS) < 0 ||
	    (fcntl(reply.fd, F_GETFL) & O_ACCMODE) != O_RDONLY)
		ret = ctask_fail(err, EPROTO, "the agent of process %d gave no history", (int)pid);
	else
		*ret_fd = steal_fd(&reply.fd);
	ctask_agent_reply_fini(&reply);
	return ret;
}
