/* process.c - what the kernel tells about a process: identity, rights, threads, mappings. */
#include "reader/process.h"

#include <ctype.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>

#include "model/cleanup.h"

enum { PATH_BYTES = 64, FILE_BYTES_MAX = 1 << 22, PF_KTHREAD = 0x00200000, PF_EXITING = 0x4 };

static FILE *proc_open(pid_t pid, const char *name)
{
	char path[PATH_BYTES];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	return fopen(path, "re");
}

/* The value of a "Key:\tvalue" line of /proc/PID/status, without the newline. */
static bool status_value(pid_t pid, const char *key, char *value, size_t room)
{
	auto_fclose FILE *file = proc_open(pid, "status");
	char line[512];
	size_t len = strlen(key);

	while (file && fgets(line, sizeof(line), file)) {
		if (strncmp(line, key, len) || line[len] != ':')
			continue;
		line[strcspn(line, "\n")] = '\0';
		snprintf(value, room, "%s", line + len + 1 + strspn(line + len + 1, "\t "));
		return true;
	}
	return false;
}

/* Fields of /proc/PID/stat behind the name, which may hold spaces and parentheses. */
struct stat_fields {
	char state;
	unsigned long flags;
	unsigned long long start_ticks, start_stack;
};

static bool read_stat(pid_t pid, struct stat_fields *ret)
{
	auto_fclose FILE *file = proc_open(pid, "stat");
	char line[1024];
	const char *behind;

	if (!file || !fgets(line, sizeof(line), file))
		return false;
	behind = strrchr(line, ')');
	return behind &&
	       sscanf(behind + 1,
		      " %c %*d %*d %*d %*d %*d %lu %*u %*u %*u %*u %*u %*u %*d %*d %*d "
		      "%*d %*d %*d %llu %*u %*d %*u %*u %*u %llu",
		      &ret->state, &ret->flags, &ret->start_ticks, &ret->start_stack) == 4;
}

char ctask_process_state(pid_t tid)
{
	struct stat_fields stat;

	return read_stat(tid, &stat) ? stat.state : 0;
}

bool ctask_process_is_exiting(pid_t pid)
{
	struct stat_fields stat;

	return read_stat(pid, &stat) && stat.flags & PF_EXITING;
}

uint64_t ctask_process_start(pid_t pid)
{
	struct stat_fields stat;

	return read_stat(pid, &stat) ? stat.start_ticks : 0;
}

uint64_t ctask_process_image(pid_t pid)
{
	struct stat_fields stat;

	return read_stat(pid, &stat) ? stat.start_stack : 0;
}

bool ctask_process_shares_clock(pid_t pid)
{
	char path[PATH_BYTES];
	struct stat ours, theirs;

	snprintf(path, sizeof(path), "/proc/%d/ns/time", (int)pid);
	return stat(path, &theirs) || stat("/proc/self/ns/time", &ours) ||
	       theirs.st_ino == ours.st_ino;
}

int ctask_process_check(pid_t pid, struct ctask_error *err)
{
	struct stat_fields stat;
	char tgid[32];

	if (!read_stat(pid, &stat))
		return ctask_fail(err, ESRCH, "there is no process %d", (int)pid);
	if (status_value(pid, "Tgid", tgid, sizeof(tgid)) && atoi(tgid) != pid)
		return ctask_fail(err, ESRCH,
				  "%d is a thread, not a process: it belongs to process %s",
				  (int)pid, tgid);
	if (stat.state == 'Z' || stat.state == 'X') {
		/* The first thread may end before the others: they are the process. */
		auto_free struct ctask_thread_ids *ids = NULL;
		uint32_t count = 0;

		(void)ctask_process_threads(pid, &ids, &count, NULL);
		if (count <= 1)
			return ctask_fail(
				err, ESRCH,
				"process %d has ended: a zombie whose parent has not collected it",
				(int)pid);
	}
	if (stat.flags & PF_KTHREAD)
		return ctask_fail(err, ENOTSUP,
				  "process %d is a kernel thread: no Python runs there", (int)pid);
	return 0;
}

/* The innermost of the ids in a line such as "NSpid: 4242 7". */
static int32_t innermost(const char *list)
{
	const char *last = list + strlen(list);

	while (last > list && !isspace((unsigned char)last[-1]))
		last--;
	return atoi(last);
}

bool ctask_process_ids(pid_t pid, struct ctask_process_ids *ret)
{
	char value[256];
	unsigned euid;

	if (!status_value(pid, "Uid", value, sizeof(value)) || sscanf(value, "%*u %u", &euid) != 1)
		return false;
	*ret = (struct ctask_process_ids){ .nspid = pid, .euid = euid };
	if (status_value(pid, "NSpid", value, sizeof(value)))
		ret->nspid = innermost(value);
	return true;
}

static int64_t start_time_us(const struct stat_fields *stat)
{
	long hz = sysconf(_SC_CLK_TCK);
	struct timespec wall, boot;

	/* /proc/stat has the time of boot in whole seconds; the difference of two clocks is finer. */
	if (hz <= 0 || clock_gettime(CLOCK_REALTIME, &wall) || clock_gettime(CLOCK_BOOTTIME, &boot))
		return 0;
	return ((int64_t)wall.tv_sec - boot.tv_sec) * 1000000 +
	       (wall.tv_nsec - boot.tv_nsec) / 1000 +
	       (int64_t)(stat->start_ticks * (1000000 / (unsigned long long)hz));
}

/* A whole file of /proc, which has no size beforehand. */
static char *read_whole(pid_t pid, const char *name, size_t *ret_len)
{
	auto_fclose FILE *file = proc_open(pid, name);
	char *bytes = NULL;
	size_t len = 0, room = 0;

	while (file && len < FILE_BYTES_MAX) {
		size_t n;

		if (len == room) {
			char *moved = realloc(bytes, room = room * 2 + 4096);

			if (!moved)
				break;
			bytes = moved;
		}
		n = fread(bytes + len, 1, room - len, file);
		if (!n)
			break;
		len += n;
	}
	*ret_len = len;
	return bytes;
}

static int describe_cmdline(pid_t pid, struct ctask_texts *texts, struct ctask_process *ret)
{
	size_t len;
	auto_free char *bytes = read_whole(pid, "cmdline", &len);
	uint32_t count = 0;

	for (size_t i = 0; i < len; i++)
		count += bytes[i] == '\0' || i + 1 == len;
	ret->cmdline = calloc(count + 1, sizeof(*ret->cmdline));
	if (!ret->cmdline)
		return -ENOMEM;
	for (size_t at = 0; at < len;) {
		size_t n = strnlen(bytes + at, len - at);

		ret->cmdline[ret->cmdline_count] = ctask_texts_add_bytes(texts, bytes + at, n);
		if (!ret->cmdline[ret->cmdline_count])
			return -ENOMEM;
		ret->cmdline_count++;
		at += n + 1;
	}
	return 0;
}

int ctask_process_describe(pid_t pid, struct ctask_texts *texts, struct ctask_process *ret)
{
	char path[PATH_BYTES], value[256], exe[4096];
	struct stat_fields stat;
	ssize_t len;

	*ret = (struct ctask_process){ .pid = pid, .nspid = pid, .uid = -1 };
	if (status_value(pid, "NSpid", value, sizeof(value)))
		ret->nspid = innermost(value);
	if (status_value(pid, "Uid", value, sizeof(value)))
		sscanf(value, "%*d %" SCNd64, &ret->uid);
	if (read_stat(pid, &stat))
		ret->start_time_us = start_time_us(&stat);
	snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	len = readlink(path, exe, sizeof(exe));
	if (len > 0)
		ret->exe = ctask_texts_add_bytes(texts, exe, (size_t)len);
	return describe_cmdline(pid, texts, ret);
}

int ctask_process_refused(pid_t pid, struct ctask_error *err)
{
	auto_fclose FILE *yama = fopen("/proc/sys/kernel/yama/ptrace_scope", "re");
	char value[256];
	int uid = -1, scope = 0;

	if (!status_value(pid, "Uid", value, sizeof(value)))
		return ctask_fail(err, ESRCH, "there is no process %d", (int)pid);
	sscanf(value, "%d", &uid);
	if (yama && fscanf(yama, "%d", &scope) != 1)
		scope = 0;
	if ((uid_t)uid != geteuid() && geteuid() != 0)
		return ctask_fail(
			err, EPERM,
			"process %d belongs to user %d: run as that user or as root, or with "
			"the capability CAP_SYS_PTRACE",
			(int)pid, uid);
	if (scope > 0 && geteuid() != 0)
		return ctask_fail(
			err, EPERM,
			"the kernel forbids reading process %d (kernel.yama.ptrace_scope is "
			"%d): run as root, or with CAP_SYS_PTRACE, or set it to 0",
			(int)pid, scope);
	return ctask_fail(
		err, EPERM,
		"the kernel forbids reading process %d: CAP_SYS_PTRACE is missing (in a "
		"container: --cap-add SYS_PTRACE; a process that changed its user needs root)",
		(int)pid);
}

int ctask_process_threads(pid_t pid, struct ctask_thread_ids **ret_ids, uint32_t *ret_count,
			  struct ctask_error *err)
{
	char path[PATH_BYTES];
	auto_closedir DIR *dir = NULL;
	auto_free struct ctask_thread_ids *ids = NULL;
	uint32_t count = 0, room = 0;
	struct dirent *entry;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	dir = opendir(path);
	if (!dir)
		return ctask_fail(err, EOWNERDEAD, "process %d has ended", (int)pid);
	while ((entry = readdir(dir))) {
		char value[256];
		int tid = atoi(entry->d_name);

		if (tid <= 0)
			continue;
		if (count == room) {
			struct ctask_thread_ids *moved =
				realloc(ids, (room = room * 2 + 16) * sizeof(*moved));

			if (!moved)
				return ctask_fail(err, ENOMEM, "out of memory");
			ids = moved;
		}
		ids[count] = (struct ctask_thread_ids){ .tid = tid, .nstid = tid };
		if (status_value(tid, "NSpid", value, sizeof(value)))
			ids[count].nstid = innermost(value);
		count++;
	}
	*ret_ids = steal_ptr(&ids);
	*ret_count = count;
	return 0;
}

/* --- mappings --- */

static struct ctask_mapping *find_file(struct ctask_mapping *maps, uint32_t count, uint64_t device,
				       uint64_t inode)
{
	for (uint32_t i = count; i-- > 0;)
		if (maps[i].device == device && maps[i].inode == inode)
			return &maps[i];
	return NULL;
}

/* One line of /proc/PID/maps. False when it is no mapping of a file. */
static bool parse_line(char *line, struct ctask_mapping *ret, uint64_t *ret_offset)
{
	static const char deleted[] = " (deleted)";
	unsigned major, minor;
	int path_at = 0;
	size_t len;

	*ret = (struct ctask_mapping){ 0 };
	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %" SCNx64 " %x:%x %" SCNu64 " %n",
		   &ret->start, &ret->end, ret_offset, &major, &minor, &ret->inode, &path_at) < 6 ||
	    !path_at || line[path_at] != '/')
		return false;
	ret->device = makedev(major, minor);
	ret->last_end = ret->end;
	ret->path = line + path_at;
	len = strcspn(ret->path, "\n");
	ret->path[len] = '\0';
	if (len >= sizeof(deleted) && !strcmp(ret->path + len - (sizeof(deleted) - 1), deleted)) {
		ret->path[len - (sizeof(deleted) - 1)] = '\0';
		ret->deleted = true;
	}
	return true;
}

static bool is_likely(const struct ctask_mapping *map)
{
	const char *name = strrchr(map->path, '/');

	return name && strstr(name, "python");
}

/* Likely files to the front, the order otherwise kept. */
static void likely_first(struct ctask_mapping *maps, uint32_t count)
{
	uint32_t front = 0;

	for (uint32_t i = 0; i < count; i++) {
		struct ctask_mapping map = maps[i];

		if (!is_likely(&map))
			continue;
		memmove(&maps[front + 1], &maps[front], (i - front) * sizeof(map));
		maps[front++] = map;
	}
}

int ctask_process_mappings(pid_t pid, struct ctask_mapping **ret_maps, uint32_t *ret_count,
			   struct ctask_error *err)
{
	auto_fclose FILE *file = proc_open(pid, "maps");
	auto_free char *line = NULL;
	size_t line_room = 0;
	struct ctask_mapping *maps = NULL;
	uint32_t count = 0, room = 0;

	if (!file)
		return errno == EACCES || errno == EPERM
			       ? ctask_process_refused(pid, err)
			       : ctask_fail(err, EOWNERDEAD, "process %d has ended", (int)pid);
	errno = 0;
	while (getline(&line, &line_room, file) > 0) {
		struct ctask_mapping map, *known;
		uint64_t offset;

		if (!parse_line(line, &map, &offset))
			continue;
		known = find_file(maps, count, map.device, map.inode);
		if (known) {
			known->last_end = map.end;
			continue;
		}
		if (offset != 0)
			continue;
		if (count == room) {
			struct ctask_mapping *moved =
				realloc(maps, (room = room * 2 + 32) * sizeof(map));

			if (!moved)
				goto out_of_memory;
			maps = moved;
		}
		map.path = strdup(map.path);
		if (!map.path)
			goto out_of_memory;
		maps[count++] = map;
	}
	if (!count && (errno == EACCES || errno == EPERM))
		return ctask_process_refused(pid, err);
	likely_first(maps, count);
	*ret_maps = maps;
	*ret_count = count;
	return 0;

out_of_memory:
	ctask_mappings_free(maps, count);
	return ctask_fail(err, ENOMEM, "out of memory");
}

void ctask_mappings_free(struct ctask_mapping *maps, uint32_t count)
{
	for (uint32_t i = 0; maps && i < count; i++)
		free(maps[i].path);
	free(maps);
}

int ctask_open_regular(const char *path, struct stat *ret_stat)
{
	auto_fd place = open(path, O_PATH | O_CLOEXEC);
	char link[PATH_BYTES];
	struct stat st;
	int fd;

	if (place < 0 || fstat(place, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -ENOEXEC;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", place);
	fd = open(link, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	if (ret_stat)
		*ret_stat = st;
	return fd;
}

int ctask_mapping_open(pid_t pid, const struct ctask_mapping *map)
{
	char path[4096 + PATH_BYTES];
	const char *ways[] = { "map_files", "exe", "root" };

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		struct stat st;

		if (i == 0)
			snprintf(path, sizeof(path), "/proc/%d/map_files/%" PRIx64 "-%" PRIx64,
				 (int)pid, map->start, map->end);
		else
			snprintf(path, sizeof(path), "/proc/%d/%s%s", (int)pid, ways[i],
				 i == 1 ? "" : map->path);
		auto_fd fd = ctask_open_regular(path, &st);

		if (fd < 0)
			continue;
		/* The link of a mapping leads to its file; the others may lead to another one. */
		if (i == 0 || (st.st_ino == map->inode && (i == 1 || st.st_dev == map->device)))
			return steal_fd(&fd);
	}
	return -ENOENT;
}
