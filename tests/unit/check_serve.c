/* check_serve.c - the agent's thread, its socket and its clients, the worst of them too. */
#include "agent/serve.h"

#include <dirent.h>
#include <errno.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>

#include "model/cleanup.h"
#include "reader/process.h"
#include "reader/rendezvous.h"
#include "tests/unit/child.h"
#include "tests/unit/made.h"

enum { NOBODY = 65534 };

static char place[64]; /* a directory for each test */

/* --- a process with an agent's thread --- */

/* How a host behaves: set before it starts. */
struct manner {
	bool one_table;	 /* the kernel gives the thread no table of files of its own */
	bool user;	 /* it runs as nobody */
	const char *dir; /* its $CTASK_DIR, one with a path too long for the history; NULL: place */
	const char *runtime_dir; /* its $XDG_RUNTIME_DIR, where dir is one that is not used */
};

static struct ctask_history_header *history;
static int history_fd = -1;

static void make_history(void)
{
	history_fd = memfd_create(CTASK_HISTORY_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ck_assert_int_eq(ftruncate(history_fd, 4096), 0);
	history = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, history_fd, 0);
	memcpy(history->magic, CTASK_HISTORY_MAGIC, 8);
	history->nspid = getpid();
	history->start_ticks = ctask_process_start(getpid());
	history->file_bytes = 4096;
	strcpy(history->python_version, "3.13.5");
}

static void wait_for_socket(void)
{
	while (!__atomic_load_n(history->socket_path, __ATOMIC_ACQUIRE))
		usleep(1000);
}

/* Of which the history tells nothing. */
static void wait_for_file(const char *dir)
{
	char path[CTASK_PLACE_BYTES];

	snprintf(path, sizeof(path), "%s/ctask-%d-%llu.sock", dir, getpid(),
		 (unsigned long long)history->start_ticks);
	while (access(path, F_OK))
		usleep(1000);
}

static void start(void)
{
	make_history();
	ck_assert_int_eq(ctask_serve_start(history, history_fd), 0);
	wait_for_socket();
}

/* As in a container whose rules are old. */
static void forbid_own_table(void)
{
	struct sock_filter rules[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 436 /* close_range */, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_unshare, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = ARRAY_SIZE(rules), .filter = rules };

	ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

static int count_files(void)
{
	auto_closedir DIR *dir = opendir("/proc/self/fd");
	int count = -1; /* its own */

	for (struct dirent *entry; (entry = readdir(dir));)
		count += entry->d_name[0] != '.';
	return count;
}

static int count_threads(void)
{
	return atoi(child_status(getpid(), "Threads"));
}

static pid_t forked;

static void fork_another(int in, int out)
{
	int pipes[2];
	char word;

	(void)in;
	ck_assert_int_eq(pipe(pipes), 0);
	forked = fork();
	if (forked)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	ctask_serve_forget();
	close(history_fd);
	start();
	word = 'F';
	(void)!write(out, &word, 1);
	(void)!write(out, &(pid_t){ getpid() }, sizeof(pid_t));
	for (;;)
		pause();
}

/* Does what each byte says, and then says it back. */
static void host(int in, int out, void *what)
{
	const struct manner *manner = what;
	char word;

	if (manner && manner->user)
		ck_assert(!setgroups(0, NULL) && !setgid(NOBODY) && !setuid(NOBODY));
	if (manner && manner->one_table)
		forbid_own_table();
	setenv("CTASK_DIR", manner && manner->dir ? manner->dir : place, 1);
	setenv("TMPDIR", place, 1);
	unsetenv("XDG_RUNTIME_DIR");
	if (manner && manner->runtime_dir)
		setenv("XDG_RUNTIME_DIR", manner->runtime_dir, 1);
	make_history();
	ck_assert_int_eq(ctask_serve_start(history, history_fd), 0);
	if (manner && manner->dir && !manner->runtime_dir)
		wait_for_file(manner->dir);
	else
		wait_for_socket();
	word = 'r';
	(void)!write(out, &word, 1);
	while (read(in, &word, 1) == 1) {
		switch (word) {
		case 'c': /* what a daemon does; pipes are all it needs */
			for (int fd = 0; fd < 2048; fd++)
				if (fd != in && fd != out)
					close(fd);
			break;
		case 'n': /* how many files do we have */
			word = (char)count_files();
			break;
		case 't':
			word = (char)count_threads();
			break;
		case 'a':
			word = ctask_serve_step_aside() ? 'a' : '-';
			break;
		case 'b':
			ck_assert_int_eq(ctask_serve_start(history, history_fd), 0);
			wait_for_socket();
			break;
		case 'e':
			ctask_serve_end();
			break;
		case 'f':
			fork_another(in, out);
			continue;
		case 'u':
			ck_assert_int_eq(setuid(NOBODY), 0);
			break;
		default:
			break;
		}
		(void)!write(out, &word, 1);
	}
}

static struct child start_host(struct manner *manner)
{
	struct child child = child_start(host, manner);

	ck_assert_int_eq(child_says(&child), 'r');
	return child;
}

static int tell(const struct child *child, char word)
{
	child_tell(child, word);
	return child_says(child);
}

static void place_up(void)
{
	snprintf(place, sizeof(place), "/tmp/check-serve-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(place));
}

static void place_down(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", place);
	ck_assert_int_eq(system(command), 0);
}

static const char *socket_of(pid_t pid)
{
	static char path[256];
	char name[CTASK_SOCKET_NAME_BYTES];

	ctask_socket_name(pid, ctask_process_start(pid), name);
	snprintf(path, sizeof(path), "%s/%s", place, name);
	return path;
}

static bool exists(const char *path)
{
	struct stat st;

	return !lstat(path, &st);
}

/* --- clients --- */

static int connect_to(pid_t pid)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, socket_of(pid));
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void say(int fd, const char *text, size_t len)
{
	ck_assert_int_eq(send(fd, text, len, MSG_NOSIGNAL), (ssize_t)len);
}

/* All until it hangs up; the caller frees. */
static char *hear(int fd)
{
	char *text = NULL;
	size_t len = 0, room = 0;
	ssize_t got;

	do {
		if (room - len < 65536)
			text = realloc(text, room = room * 2 + 131072);
		got = recv(fd, text + len, room - len - 1, 0);
		if (got > 0)
			len += (size_t)got;
	} while (got > 0);
	text[len] = '\0';
	close(fd);
	return text;
}

static void assert_answers_to(pid_t pid, const struct ctask_agent_options *options)
{
	struct ctask_agent_reply reply;
	struct ctask_error err = { 0 };

	ck_assert_msg(!ctask_agent_ask(pid, options, "tree", &reply, &err), "%s", err.text);
	ck_assert_uint_eq(reply.data_len, 1024);
	ctask_agent_reply_fini(&reply);
}

static void assert_answers(pid_t pid)
{
	assert_answers_to(pid, NULL);
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000ll + t.tv_nsec / 1000000;
}

/* --- good manners --- */

static struct manner manners[] = { { .one_table = false }, { .one_table = true } };

START_TEST(an_exchange)
{
	struct child child = start_host(&manners[_i]);
	int fd = connect_to(child.pid);
	char want[512];
	char *text;

	say(fd, "hello\n", 6);
	text = hear(fd);
	snprintf(want, sizeof(want),
		 "{\"schema\":\"ctask.hello\",\"version\":1,\"pid\":%d,\"start_ticks\":%llu,"
		 "\"python\":\"3.13.5\",\"capabilities\":[\"history\",\"cancels\",\"tree\"],"
		 "\"reply_bytes_max\":67108864}\n"
		 "{\"schema\":\"ctask.end\",\"version\":1,\"dropped\":0}\n",
		 child.pid, (unsigned long long)ctask_process_start(child.pid));
	ck_assert_str_eq(text, want);
	free(text);
	assert_answers(child.pid);
	child_end(&child);
}
END_TEST

START_TEST(the_socket_is_for_its_user_only)
{
	struct child child = start_host(&manners[_i]);
	struct stat st;

	ck_assert_int_eq(lstat(socket_of(child.pid), &st), 0);
	ck_assert(S_ISSOCK(st.st_mode));
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
	child_end(&child);
}
END_TEST

START_TEST(the_history_is_handed_over_to_be_read)
{
	struct child child = start_host(&manners[_i]);
	struct ctask_error err = { 0 };
	char magic[8];
	int fd = -1;

	ck_assert_msg(!ctask_agent_history(child.pid, NULL, &fd, &err), "%s", err.text);
	ck_assert_int_eq(pread(fd, magic, 8, 0), 8);
	ck_assert_mem_eq(magic, CTASK_HISTORY_MAGIC, 8);
	ck_assert_int_lt(write(fd, "x", 1), 0);
	ck_assert_ptr_eq(mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
	close(fd);
	child_end(&child);
}
END_TEST

START_TEST(answers_of_any_size)
{
	static const int kib[] = { 0, 1, 100, 20000 };
	struct child child = start_host(&manners[_i]);

	for (size_t i = 0; i < ARRAY_SIZE(kib); i++) {
		struct ctask_agent_reply reply;
		struct ctask_error err = { 0 };
		char request[64];

		snprintf(request, sizeof(request), "cancels since=%d", kib[i]);
		ck_assert_msg(!ctask_agent_ask(child.pid, NULL, request, &reply, &err), "%s",
			      err.text);
		ck_assert_uint_eq(reply.data_len, (size_t)kib[i] * 1024);
		ck_assert_ptr_nonnull(strstr(reply.data + reply.data_len, "\"dropped\":7}\n"));
		ctask_agent_reply_fini(&reply);
	}
	child_end(&child);
}
END_TEST

START_TEST(an_answer_that_fails)
{
	struct child child = start_host(&manners[_i]);
	struct ctask_agent_reply reply;
	struct ctask_error err = { 0 };

	ck_assert_int_eq(ctask_agent_ask(child.pid, NULL, "cancels since=13", &reply, &err), -EIO);
	ck_assert_ptr_nonnull(strstr(err.text, "says: an \"unlucky\" number"));
	assert_answers(child.pid);
	child_end(&child);
}
END_TEST

START_TEST(an_answer_that_takes_too_long)
{
	struct child child = start_host(&manners[_i]);
	struct ctask_agent_reply reply;
	struct ctask_error err = { 0 };
	int64_t began = now_ms();
	char go[96];
	int ret;

	/* It ends with our word; the agent gives up after CTASK_ANSWER_MS, and meanwhile serves others. */
	ck_assert_int_eq(ctask_agent_ask(child.pid, NULL, "cancels since=1000000000", &reply, &err),
			 -EBUSY);
	ck_assert_int_ge(now_ms() - began, CTASK_ANSWER_MS - 10);
	ck_assert_int_eq(ctask_agent_ask(child.pid, NULL, "tree", &reply, &err), -EBUSY);
	ck_assert_int_eq(ctask_agent_ask(child.pid, NULL, "hello", &reply, &err), 0);
	ctask_agent_reply_fini(&reply);
	snprintf(go, sizeof(go), "%s/go", place);
	ck_assert_int_eq(mkdir(go, 0700), 0);
	while ((ret = ctask_agent_ask(child.pid, NULL, "tree", &reply, &err)) == -EBUSY)
		usleep(1000);
	ck_assert_msg(!ret, "%s", err.text);
	ctask_agent_reply_fini(&reply);
	child_end(&child);
}
END_TEST

/* --- what a program does with its files, and with itself --- */

START_TEST(a_program_that_closes_all_its_files)
{
	struct child child = start_host(&manners[_i]);
	/* Where it has one table with the program, only the name is left of the two ways. */
	struct ctask_agent_options by_name = { .places = { .ctask_dir = place } };
	struct ctask_agent_options *options = _i ? &by_name : NULL;

	assert_answers(child.pid);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(tell(&child, 'c'), 'c');
		ck_assert_int_eq(tell(&child, 'n'), 2);
		assert_answers_to(child.pid, options);
		assert_answers(child.pid);
	}
	child_end(&child);
}
END_TEST

START_TEST(no_file_of_the_agents_is_the_programs)
{
	struct child child = start_host(NULL);
	int before = tell(&child, 'n');

	assert_answers(child.pid);
	/* stdin, stdout, stderr, two pipes, the history; what the test inherited */
	ck_assert_int_eq(tell(&child, 'n'), before);
	child_tell(&child, 'f');
	ck_assert_int_eq(child_says(&child), 'F');
	child_end(&child);
}
END_TEST

START_TEST(a_fork)
{
	struct child child = start_host(&manners[_i]);
	int idle = connect_to(child.pid);
	char *text;
	pid_t pid;

	assert_answers(child.pid);
	child_tell(&child, 'f');
	ck_assert_int_eq(child_says(&child), 'F');
	ck_assert_int_eq(read(child.from, &pid, sizeof(pid)), sizeof(pid));
	ck_assert_int_ne(pid, child.pid);
	assert_answers(pid);
	assert_answers(child.pid);
	/* The parent's client is the parent's alone: it hears when that hangs up. */
	text = hear(idle);
	ck_assert_str_eq(text, "");
	free(text);
	kill(child.pid, SIGKILL);
	ck_assert_int_eq(waitpid(child.pid, NULL, 0), child.pid);
	kill(pid, SIGKILL);
	child_end(&child);
}
END_TEST

START_TEST(stepping_aside)
{
	struct child child = start_host(&manners[_i]);
	int busy, at_once = 0;
	int64_t began;

	assert_answers(child.pid);
	for (int i = 0; i < 20; i++) {
		/* The last client may still be being seen off. */
		while (tell(&child, 'a') != 'a')
			usleep(1000);
		at_once += tell(&child, 't') == 1;
		while (tell(&child, 't') != 1) /* a slow machine may count it a little longer */
			usleep(1000);
		ck_assert_int_eq(tell(&child, 'b'), 'b');
		assert_answers(child.pid);
	}
	ck_assert_int_ge(at_once, 10);
	/* Not while somebody is being served, also when the others have been seen off. */
	began = now_ms();
	busy = connect_to(child.pid);
	assert_answers(child.pid);
	for (char word = '-'; word == '-' && now_ms() - began < CTASK_REQUEST_MS / 10;) {
		word = (char)tell(&child, 'a');
		ck_assert(word == '-' || now_ms() - began >= CTASK_REQUEST_MS);
		if (word != '-')
			ck_assert_int_eq(tell(&child, 'b'), 'b');
	}
	close(busy);
	assert_answers(child.pid);
	child_end(&child);
}
END_TEST

START_TEST(an_end_removes_the_name)
{
	struct child child = start_host(&manners[_i]);

	ck_assert(exists(socket_of(child.pid)));
	ck_assert_int_eq(tell(&child, 'e'), 'e');
	ck_assert(!exists(socket_of(child.pid)));
	child_end(&child);
}
END_TEST

START_TEST(a_program_that_changes_its_user)
{
	struct child child;
	struct stat st;
	char path[256];

	if (geteuid() != 0)
		return;
	ck_assert_int_eq(chmod(place, 01777), 0);
	child = start_host(NULL);
	ck_assert_int_eq(tell(&child, 'u'), 'u');
	/* Nobody waits here for the clock but for the thread that was told by the kernel. */
	snprintf(path, sizeof(path), "%s/ctask-%d/%s", place, NOBODY,
		 strrchr(socket_of(child.pid), '/') + 1);
	while (lstat(path, &st))
		usleep(1000);
	ck_assert_uint_eq(st.st_uid, NOBODY);
	assert_answers(child.pid);
	child_end(&child);
}
END_TEST

/* --- names that go, and stay --- */

START_TEST(a_name_that_was_removed)
{
	struct child child = start_host(&manners[_i]);
	char path[256];

	strcpy(path, socket_of(child.pid));
	ck_assert_int_eq(unlink(path), 0);
	assert_answers(child.pid);
	ck_assert(exists(path));
	assert_answers(child.pid);
	close(connect_to(child.pid));
	child_end(&child);
}
END_TEST

START_TEST(a_directory_that_was_removed)
{
	struct child child = start_host(&manners[_i]);

	place_down();
	assert_answers(child.pid);
	ck_assert(exists(socket_of(child.pid)));
	close(connect_to(child.pid));
	child_end(&child);
}
END_TEST

START_TEST(a_directory_with_a_long_name)
{
	struct child child;
	char name[200];
	int len = snprintf(name, sizeof(name), "%s/", place), before;

	/* Longer than an address may be: in through the descriptor of the directory. */
	memset(name + len, 'd', sizeof(name) - (size_t)len - 1);
	name[sizeof(name) - 1] = '\0';
	ck_assert_int_eq(mkdir(name, 0700), 0);
	child = start_host(&(struct manner){ .dir = name });
	before = tell(&child, 'n');
	assert_answers(child.pid);
	ck_assert_int_eq(tell(&child, 'n'), before);
	child_end(&child);
}
END_TEST

static void make_old(const char *path)
{
	struct timespec old[2] = { { .tv_sec = 1000000 }, { .tv_sec = 1000000 } };

	ck_assert_int_eq(utimensat(AT_FDCWD, path, old, AT_SYMLINK_NOFOLLOW), 0);
}

START_TEST(what_the_dead_left_is_removed)
{
	struct child killed = start_host(NULL), alive = start_host(NULL), child;
	char stale[256], young[256], living[256], other[256];

	strcpy(stale, socket_of(killed.pid));
	strcpy(living, socket_of(alive.pid));
	child_end(&killed);
	killed = start_host(NULL);
	strcpy(young, socket_of(killed.pid));
	child_end(&killed);
	make_old(stale);
	make_old(living);
	snprintf(other, sizeof(other), "%s/ctask-1-2.sock", place);
	ck_assert_int_eq(mkfifo(other, 0600), 0);
	make_old(other);
	child = start_host(NULL);
	ck_assert_int_eq(tell(&child, 'x'), 'x');
	assert_answers(child.pid);
	ck_assert(!exists(stale));
	ck_assert(exists(young));
	ck_assert(exists(living));
	ck_assert(exists(other));
	assert_answers(alive.pid);
	child_end(&alive);
	child_end(&child);
}
END_TEST

enum { OTHERS_CAN_WRITE, IS_A_LINK, IS_ANOTHERS, WAYS_NOT_TO_BE_TRUSTED };

/* The agent goes on to the next place; nothing is put here, nor where a link leads. */
START_TEST(a_directory_that_cannot_be_trusted)
{
	char dir[96], real[96], runtime_dir[96], path[256];
	struct manner manner = { .dir = dir, .runtime_dir = runtime_dir };
	struct child child;
	const char *name;

	if (_i == IS_ANOTHERS && geteuid() != 0)
		return;
	snprintf(dir, sizeof(dir), "%s/dir", place);
	snprintf(real, sizeof(real), "%s/real", place);
	snprintf(runtime_dir, sizeof(runtime_dir), "%s/runtime", place);
	ck_assert_int_eq(mkdir(runtime_dir, 0700), 0);
	ck_assert_int_eq(mkdir(_i == IS_A_LINK ? real : dir, 0700), 0);
	if (_i == IS_A_LINK)
		ck_assert_int_eq(symlink(real, dir), 0);
	else if (_i == IS_ANOTHERS)
		ck_assert_int_eq(chown(dir, NOBODY, NOBODY), 0);
	else
		ck_assert_int_eq(chmod(dir, 01777), 0);
	child = start_host(&manner);
	name = strrchr(socket_of(child.pid), '/') + 1;
	snprintf(path, sizeof(path), "%s/ctask/%s", runtime_dir, name);
	ck_assert_msg(exists(path), "%s", path);
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	ck_assert_msg(!exists(path), "%s", path);
	assert_answers(child.pid);
	child_end(&child);
}
END_TEST

/* --- bad manners --- */

START_TEST(garbage)
{
	static const struct {
		const char *text;
		size_t len;
	} requests[] = {
		{ "x\n", 2 },
		{ "\n", 1 },
		{ "\0\n", 2 },
		{ "tree\0please\n", 12 },
		{ "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27 },
		{ "\xff\xfe\x00\x01\n", 5 },
		{ "tree please\n", 12 },
	};
	struct child child = start_host(&manners[_i]);
	char flood[4096];

	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		int fd = connect_to(child.pid);
		char *text;

		say(fd, requests[i].text, requests[i].len);
		text = hear(fd);
		ck_assert_ptr_nonnull(strstr(text, "\"code\":\"usage\""));
		ck_assert_ptr_nonnull(strstr(text, "\n{\"schema\":\"ctask.end\""));
		free(text);
	}
	memset(flood, 'y', sizeof(flood));
	for (int i = 0; i < 50; i++) {
		int fd = connect_to(child.pid);

		(void)!send(fd, flood, sizeof(flood), MSG_NOSIGNAL);
		free(hear(fd));
	}
	assert_answers(child.pid);
	child_end(&child);
}
END_TEST

START_TEST(a_line_without_its_end)
{
	struct child child = start_host(NULL);
	int fd = connect_to(child.pid);
	char *text;

	/* As `printf hello | socat` does. */
	say(fd, "hello", 5);
	shutdown(fd, SHUT_WR);
	text = hear(fd);
	ck_assert_ptr_nonnull(strstr(text, "ctask.end"));
	free(text);
	child_end(&child);
}
END_TEST

START_TEST(a_line_that_does_not_come)
{
	struct child child = start_host(NULL);
	int silent, half;
	int64_t began;
	char *text;

	/* Others are served meanwhile: once at least, as a machine may be slow. */
	for (;;) {
		began = now_ms();
		silent = connect_to(child.pid);
		half = connect_to(child.pid);
		(void)!send(half, "hell", 4, MSG_NOSIGNAL);
		assert_answers(child.pid);
		if (now_ms() - began < CTASK_REQUEST_MS)
			break;
		close(silent);
		close(half);
	}
	text = hear(silent);
	ck_assert_str_eq(text, "");
	free(text);
	text = hear(half);
	ck_assert_str_eq(text, "");
	free(text);
	ck_assert_int_ge(now_ms() - began, CTASK_REQUEST_MS - 10);
	child_end(&child);
}
END_TEST

START_TEST(clients_that_do_not_listen)
{
	enum { MANY = 200, LATE_MS = 1000 };
	struct child child = start_host(&manners[_i]);
	int fds[MANY], asked = 0, late = 0;

	for (int i = 0; i < MANY; i++) {
		fds[i] = connect_to(child.pid);
		/* A third says nothing, one half a line, one asks for much and takes nothing of it. */
		if (i % 3 == 1)
			(void)!send(fds[i], "ca", 2, MSG_NOSIGNAL);
		if (i % 3 == 2)
			(void)!send(fds[i], "cancels since=20000\n", 20, MSG_NOSIGNAL);
		if (i % 10 == 0) {
			int64_t began = now_ms();
			struct ctask_agent_reply reply;
			struct ctask_error err = { 0 };

			ck_assert_msg(!ctask_agent_ask(child.pid, NULL, "hello", &reply, &err),
				      "%s", err.text);
			ctask_agent_reply_fini(&reply);
			asked++;
			late += now_ms() - began >= LATE_MS;
		}
	}
	assert_answers(child.pid);
	/* Who had to wait for one of them would do so almost each time; a slow machine is so now and then. */
	ck_assert_int_lt(late, asked / 2);
	ck_assert_int_eq(tell(&child, 'x'), 'x');
	for (int i = 0; i < MANY; i++)
		close(fds[i]);
	assert_answers(child.pid);
	child_end(&child);
}
END_TEST

START_TEST(a_client_that_stalls_is_dropped)
{
	struct child child = start_host(NULL);
	int fd = connect_to(child.pid);
	int64_t began = now_ms();
	struct pollfd wait = { .fd = fd, .events = POLLRDHUP };
	char *text;

	say(fd, "cancels since=20000\n", 20);
	ck_assert_int_eq(poll(&wait, 1, 20000), 1);
	ck_assert_int_ge(now_ms() - began, CTASK_STALL_MS - 10);
	text = hear(fd);
	/* What was cut off shows. */
	ck_assert_ptr_null(strstr(text, "ctask.end"));
	free(text);
	assert_answers(child.pid);
	child_end(&child);
}
END_TEST

/* As another user: 0 when an answer came, 1 when refused with a word, 2 when it could not so much as connect. */
static int ask_as_nobody(const char *path)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		struct sockaddr_un address = { .sun_family = AF_UNIX };
		int fd = socket(AF_UNIX, SOCK_STREAM, 0);
		char *text;

		strcpy(address.sun_path, path);
		if (setgroups(0, NULL) || setgid(NOBODY) || setuid(NOBODY))
			_exit(3);
		if (connect(fd, (struct sockaddr *)&address, sizeof(address)))
			_exit(2);
		(void)!send(fd, "hello\n", 6, MSG_NOSIGNAL);
		text = hear(fd);
		_exit(strstr(text, "not_permitted") && !strstr(text, "ctask.hello") ? 1 : 0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WEXITSTATUS(status);
}

START_TEST(other_users)
{
	struct child child;
	char path[256];

	if (geteuid() != 0)
		return;
	child = start_host(&manners[_i]);
	strcpy(path, socket_of(child.pid));
	ck_assert_int_eq(ask_as_nobody(path), 2);
	ck_assert_int_eq(chmod(place, 0755), 0);
	ck_assert_int_eq(ask_as_nobody(path), 2);
	ck_assert_int_eq(chmod(path, 0666), 0);
	ck_assert_int_eq(ask_as_nobody(path), 1);
	assert_answers(child.pid);
	child_end(&child);
}
END_TEST

START_TEST(root_may_ask_anybody)
{
	struct manner manner = { .user = true };
	struct child child;

	if (geteuid() != 0)
		return;
	ck_assert_int_eq(chown(place, NOBODY, NOBODY), 0);
	child = start_host(&manner);
	assert_answers(child.pid);
	child_end(&child);
}
END_TEST

/* --- impostors, on the client's side --- */

/* Serves "r" and then whatever it is asked with what it was given, from a socket with the name of another process. */
static pid_t start_impostor(pid_t whose, const char *reply)
{
	int ready[2];
	pid_t pid;
	char word;

	ck_assert_int_eq(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		struct sockaddr_un address = { .sun_family = AF_UNIX };
		int fd = socket(AF_UNIX, SOCK_STREAM, 0);

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		strcpy(address.sun_path, socket_of(whose ? whose : getpid()));
		if (bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, 5))
			_exit(1);
		(void)!write(ready[1], "r", 1);
		for (;;) {
			int client = accept(fd, NULL, NULL);
			char request[64];

			(void)!recv(client, request, sizeof(request), 0);
			(void)!send(client, reply, strlen(reply), MSG_NOSIGNAL);
			close(client);
		}
	}
	close(ready[1]);
	ck_assert_int_eq(read(ready[0], &word, 1), 1);
	close(ready[0]);
	return pid;
}

static int ask_in_place(pid_t pid, struct ctask_error *err)
{
	struct ctask_agent_options options = { .places = { .ctask_dir = place } };
	struct ctask_agent_reply reply;
	int ret = ctask_agent_ask(pid, &options, "hello", &reply, err);

	if (!ret)
		ctask_agent_reply_fini(&reply);
	return ret;
}

static const char whole[] = "{\"schema\":\"ctask.hello\",\"version\":1}\n"
			    "{\"schema\":\"ctask.end\",\"version\":1}\n";

START_TEST(only_the_process_itself_is_believed)
{
	struct child child = child_start(child_echoes, NULL);
	struct ctask_error err = { 0 };
	pid_t impostor = start_impostor(child.pid, whole), honest = start_impostor(0, whole);

	ck_assert_int_eq(ask_in_place(child.pid, &err), -ENOTSUP);
	ck_assert_int_eq(ask_in_place(honest, &err), 0);
	kill(impostor, SIGKILL);
	kill(honest, SIGKILL);
	child_end(&child);
}
END_TEST

static const struct {
	const char *reply;
	int want;
} replies[] = {
	{ "", -EPROTO },
	{ "\n", -EPROTO },
	{ "SSH-2.0-OpenSSH_9.2\r\n", -EPROTO },
	{ "{\"schema\":\"ctask.hello\",\"version\":1}\n", -EPROTO },
	{ "{\"schema\":\"ctask.hello\",\"version\":1}\n{\"a\":1}\n", -EPROTO },
	{ "{\"schema\":\"ctask.hello\",\"version\":1}\n{\"schema\":\"ctask.end\",\"version\":1}",
	  -EPROTO },
	{ "{\"schema\":\"ctask.end\",\"version\":1}\n", -EPROTO },
	{ "{\"schema\":\"ctask.error\",\"version\":1,\"code\":\"not_permitted\"}\n", -EPERM },
	{ "{\"schema\":\"ctask.error\",\"version\":1,\"code\":\"busy\",\"text\":\"a", -EBUSY },
	{ "{\"schema\":\"ctask.error\",\"version\":1,\"code\":\"new\"}\n", -EIO },
};

START_TEST(replies_that_are_none)
{
	pid_t honest = start_impostor(0, replies[_i].reply);
	struct ctask_error err = { 0 };

	ck_assert_int_eq(ask_in_place(honest, &err), replies[_i].want);
	ck_assert_int_gt(strlen(err.text), 10);
	kill(honest, SIGKILL);
}
END_TEST

/* Says that it is there, in a root of its own, and does no more. */
static void live_below(int in, int out, void *root)
{
	if (chroot(root) || chdir("/"))
		return;
	child_echoes(in, out, NULL);
}

/* A socket at @p path, which takes note of who connects. */
static int listen_at(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(listen(fd, 5), 0);
	return fd;
}

/* A process with a root of its own: its socket is looked for there, and no link leads out of it. */
START_TEST(no_link_leads_out_of_a_root)
{
	struct ctask_agent_options options = { .places = { .ctask_dir = "/dir" } };
	char root[96], dir[96], outside[96], path[256];
	struct ctask_error err = { 0 };
	struct ctask_agent_reply reply;
	struct child child;
	int inner, outer;

	if (geteuid() != 0)
		return;
	snprintf(root, sizeof(root), "%s/root", place);
	snprintf(dir, sizeof(dir), "%s/root/dir", place);
	snprintf(outside, sizeof(outside), "%s/outside", place);
	ck_assert_int_eq(mkdir(root, 0700), 0);
	ck_assert_int_eq(mkdir(dir, 0700), 0);
	child = child_start(live_below, root);
	ck_assert_int_eq(tell(&child, 'x'), 'x');
	snprintf(path, sizeof(path), "%s/%s", dir, strrchr(socket_of(child.pid), '/') + 1);
	/* One of its name is asked, though not believed: it is ours. */
	inner = listen_at(path);
	outer = listen_at(outside);
	ck_assert_int_eq(ctask_agent_ask(child.pid, &options, "hello", &reply, &err), -ENOTSUP);
	ck_assert_int_ge(accept(inner, NULL, NULL), 0);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(symlink(outside, path), 0);
	ck_assert_int_eq(ctask_agent_ask(child.pid, &options, "hello", &reply, &err), -ENOTSUP);
	ck_assert_int_lt(accept(outer, NULL, NULL), 0);
	/* Nor does one for the directory, whose other end is there in the root of the test too. */
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(rmdir(dir), 0);
	ck_assert_int_eq(symlink(place, dir), 0);
	ck_assert_int_eq(rename(outside, socket_of(child.pid)), 0);
	ck_assert_int_eq(ctask_agent_ask(child.pid, &options, "hello", &reply, &err), -ENOTSUP);
	ck_assert_int_lt(accept(outer, NULL, NULL), 0);
	close(inner);
	close(outer);
	child_end(&child);
}
END_TEST

START_TEST(who_is_not_there)
{
	struct child child = child_start(child_echoes, NULL);
	struct ctask_agent_reply reply;
	struct ctask_error err = { 0 };
	pid_t pid = child.pid;
	int fd;

	ck_assert_int_eq(ctask_agent_ask(pid, NULL, "hello", &reply, &err), -ENOTSUP);
	ck_assert_ptr_nonnull(strstr(err.text, "ctaskctl run"));
	ck_assert_int_eq(ctask_agent_connect(pid, NULL, &fd, &err), -ENOTSUP);
	child_end(&child);
	ck_assert_int_eq(ctask_agent_ask(pid, NULL, "hello", &reply, &err), -ESRCH);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("serve");

	tcase_set_timeout(tests, 60);
	tcase_add_checked_fixture(tests, place_up, place_down);
	tcase_add_loop_test(tests, an_exchange, 0, ARRAY_SIZE(manners));
	tcase_add_loop_test(tests, the_socket_is_for_its_user_only, 0, ARRAY_SIZE(manners));
	tcase_add_loop_test(tests, the_history_is_handed_over_to_be_read, 0, ARRAY_SIZE(manners));
	tcase_add_loop_test(tests, answers_of_any_size, 0, ARRAY_SIZE(manners));
	tcase_add_loop_test(tests, an_answer_that_fails, 0, ARRAY_SIZE(manners));
	tcase_add_loop_test(tests, an_answer_that_takes_too_long, 0, ARRAY_SIZE(manners));
	tcase_add_loop_test(tests, a_program_that_closes_all_its_files, 0, ARRAY_SIZE(manners));
	tcase_add_test(tests, no_file_of_the_agents_is_the_programs);
	tcase_add_loop_test(tests, a_fork, 0, ARRAY_SIZE(manners));
	tcase_add_loop_test(tests, stepping_aside, 0, ARRAY_SIZE(manners));
	tcase_add_loop_test(tests, an_end_removes_the_name, 0, ARRAY_SIZE(manners));
	tcase_add_test(tests, a_program_that_changes_its_user);
	tcase_add_loop_test(tests, a_name_that_was_removed, 0, ARRAY_SIZE(manners));
	tcase_add_loop_test(tests, a_directory_that_was_removed, 0, ARRAY_SIZE(manners));
	tcase_add_test(tests, a_directory_with_a_long_name);
	tcase_add_test(tests, what_the_dead_left_is_removed);
	tcase_add_loop_test(tests, a_directory_that_cannot_be_trusted, 0, WAYS_NOT_TO_BE_TRUSTED);
	tcase_add_loop_test(tests, garbage, 0, ARRAY_SIZE(manners));
	tcase_add_test(tests, a_line_without_its_end);
	tcase_add_test(tests, a_line_that_does_not_come);
	tcase_add_loop_test(tests, clients_that_do_not_listen, 0, ARRAY_SIZE(manners));
	tcase_add_test(tests, a_client_that_stalls_is_dropped);
	tcase_add_loop_test(tests, other_users, 0, ARRAY_SIZE(manners));
	tcase_add_test(tests, root_may_ask_anybody);
	tcase_add_test(tests, only_the_process_itself_is_believed);
	tcase_add_loop_test(tests, replies_that_are_none, 0, ARRAY_SIZE(replies));
	tcase_add_test(tests, no_link_leads_out_of_a_root);
	tcase_add_test(tests, who_is_not_there);
	return made_run("serve", tests);
}
