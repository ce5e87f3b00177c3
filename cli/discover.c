/* discover.c - find the processes that can be looked into. */
#include "cli/discover.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>

#include "model/cleanup.h"
#include "reader/capture.h"

enum { CMDLINE_BYTES = 64 * 1024 };

void ctask_process_list_destroy(struct ctask_process_list *list)
{
	if (!list)
		return;
	for (uint32_t i = 0; i < list->count; i++)
		free(list->entries[i].cmdline);
	free(list->entries);
	ctask_texts_destroy(list->texts);
	free(list);
}

/* Read all of /proc/PID/@p name that fits. Returns its length, or -errno. */
static ssize_t read_file(pid_t pid, const char *name, char *to, size_t room)
{
	char path[64];
	size_t len = 0;
	ssize_t n = 0;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	auto_fd fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	while (len < room && (n = read(fd, to + len, room - len)) > 0)
		len += (size_t)n;
	return n < 0 ? -errno : (ssize_t)len;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* "python3.13", "/usr/bin/python3-dbg"; but not "python3-fastapi.postinst". */
static bool is_python_name(const char *path)
{
	const char *name = base_name(path);

	if (strncasecmp(name, "python", 6) != 0)
		return false;
	name += 6;
	name += strspn(name, "0123456789.");
	return strspn(name, "dt") == strlen(name) || strcmp(name, "-dbg") == 0;
}

/* By the names that do not need any right: what it is called, and what it was started as. */
static bool looks_like_python(pid_t pid, const char *cmdline)
{
	char comm[64], path[64], exe[4096];
	ssize_t len = read_file(pid, "comm", comm, sizeof(comm) - 1);

	if (len > 0) {
		comm[len] = '\0';
		comm[strcspn(comm, "\n")] = '\0';
		if (is_python_name(comm))
			return true;
	}
	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	len = readlink(path, exe, sizeof(exe) - 1);
	if (len > 0) {
		exe[len] = '\0';
		if (is_python_name(exe))
			return true;
	}
	return is_python_name(cmdline);
}

static int set_cmdline(struct ctask_process_list *list, struct ctask_process_entry *e,
		       const char *bytes, size_t len)
{
	uint32_t count = 0;

	for (size_t i = 0; i < len; i++)
		count += bytes[i] == '\0';
	e->cmdline = calloc((size_t)count + 1, sizeof(*e->cmdline));
	if (!e->cmdline)
		return -ENOMEM;
	for (size_t at = 0; at < len;) {
		size_t word = strnlen(bytes + at, len - at);

		if (e->cmdline_count > count)
			break;
		e->cmdline[e->cmdline_count] = ctask_texts_add_bytes(list->texts, bytes + at, word);
		if (!e->cmdline[e->cmdline_count])
			return -ENOMEM;
		e->cmdline_count++;
		at += word + 1;
	}
	return 0;
}

static ctask_text keep(struct ctask_process_list *list, const char *text)
{
	return text[0] ? ctask_texts_add_bytes(list->texts, text, strlen(text)) : NULL;
}

static void set_owner(struct ctask_process_list *list, struct ctask_process_entry *e)
{
	const struct ctask_process_entry *last =
		list->count ? &list->entries[list->count - 1] : NULL;
	const struct passwd *user;
	char path[64];
	struct stat st;

	e->uid = -1;
	snprintf(path, sizeof(path), "/proc/%d", e->pid);
	if (stat(path, &st))
		return;
	e->uid = st.st_uid;
	if (last && last->uid == e->uid) {
		e->user = last->user;
		return;
	}
	user = getpwuid(st.st_uid);
	if (user)
		e->user = keep(list, user->pw_name);
}

static enum ctask_access access_of(int code)
{
	switch (code) {
	case 0:
		return CTASK_ACCESS_YES;
	case EPERM:
	case EACCES:
		return CTASK_ACCESS_NOT_PERMITTED;
	case ENOTSUP:
		return CTASK_ACCESS_NOT_SUPPORTED;
	default:
		return CTASK_ACCESS_FAILED;
	}
}

static int add_entry(struct ctask_process_list *list, const struct ctask_process_entry *e)
{
	if (list->count == list->room) {
		uint32_t room = list->room * 2 + 16;
		void *grown = realloc(list->entries, room * sizeof(*list->entries));

		if (!grown)
			return -ENOMEM;
		list->entries = grown;
		list->room = room;
	}
	list->entries[list->count++] = *e;
	return 0;
}

/* Look at one process, and list it if there is a reason to. */
static int consider(struct ctask_process_list *list, pid_t pid, char *cmdline)
{
	struct ctask_process_entry e = { .pid = pid };
	struct ctask_glance glance = { 0 };
	struct ctask_error why = { 0 };
	ssize_t len = read_file(pid, "cmdline", cmdline, CMDLINE_BYTES - 1);
	int code;

	if (len <= 0) /* gone, or a thread of the kernel */
		return 0;
	cmdline[len] = '\0';
	code = -ctask_glance_process(pid, &glance, &why);
	if (code == ESRCH || code == EOWNERDEAD)
		return 0;
	if (code && !looks_like_python(pid, cmdline))
		return 0;
	e.access = access_of(code);
	e.has_asyncio = glance.has_asyncio;
	e.has_trio = glance.has_trio;
	e.task_count = glance.task_count;
	e.implementation = keep(list, glance.implementation);
	e.version = keep(list, glance.version);
	e.reason = code ? keep(list, why.text) : NULL;
	set_owner(list, &e);
	if (set_cmdline(list, &e, cmdline, (size_t)len) || add_entry(list, &e)) {
		free(e.cmdline);
		return -ENOMEM;
	}
	return 0;
}

static int compare_pids(const void *left, const void *right)
{
	const pid_t *a = left, *b = right;

	return (*a > *b) - (*a < *b);
}

/* The ids of all processes, in order. */
static int list_pids(pid_t **ret_pids, size_t *ret_count, struct ctask_error *err)
{
	auto_closedir DIR *dir = opendir("/proc");
	auto_free pid_t *pids = NULL;
	size_t count = 0, room = 0;
	struct dirent *entry;

	if (!dir)
		return ctask_fail(err, errno, "cannot list /proc: %m");
	while ((entry = readdir(dir)) != NULL) {
		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		if (count == room) {
			void *grown = realloc(pids, (room * 2 + 256) * sizeof(*pids));

			if (!grown)
				return ctask_fail(err, ENOMEM, "out of memory");
			pids = grown;
			room = room * 2 + 256;
		}
		pids[count++] = (pid_t)strtol(entry->d_name, NULL, 10);
	}
	if (count)
		qsort(pids, count, sizeof(*pids), compare_pids);
	*ret_pids = steal_ptr(&pids);
	*ret_count = count;
	return 0;
}

int ctask_discover(struct ctask_process_list **ret_list, struct ctask_error *err)
{
	struct ctask_process_list *list = calloc(1, sizeof(*list));
	auto_free char *cmdline = malloc(CMDLINE_BYTES);
	auto_free pid_t *pids = NULL;
	size_t count = 0;
	int ret;

	if (!list || !cmdline) {
		free(list);
		return ctask_fail(err, ENOMEM, "out of memory");
	}
	list->texts = ctask_texts_create();
	if (!list->texts)
		ret = ctask_fail(err, ENOMEM, "out of memory");
	else
		ret = list_pids(&pids, &count, err);
	for (size_t i = 0; i < count && !ret; i++) {
		if (pids[i] != getpid() && consider(list, pids[i], cmdline))
			ret = ctask_fail(err, ENOMEM, "out of memory");
	}
	if (ret) {
		ctask_process_list_destroy(list);
		return ret;
	}
	*ret_list = list;
	return 0;
}
