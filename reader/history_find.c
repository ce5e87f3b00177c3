/* history_find.c - where a process has its history: among its descriptors, or in its memory. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "model/cleanup.h"
#include "reader/history_parts.h"
#include "reader/process.h"

enum { CANDIDATES_MAX = 8 }; /* mappings that are called like a history */

struct candidate {
	uint64_t start, end;
};

static bool is_history_name(const char *path)
{
	static const char name[] = "/memfd:" CTASK_HISTORY_NAME;
	size_t len = sizeof(name) - 1;

	return strncmp(path, name, len) == 0 &&
	       (path[len] == '\0' || path[len] == '\n' || path[len] == ' ');
}

/* The mappings that are called like a history. Returns how many, or -errno. */
static int find_mappings(pid_t pid, struct candidate *found, struct ctask_error *err)
{
	char path[64];
	auto_fclose FILE *maps = NULL;
	auto_free char *line = NULL;
	size_t room = 0;
	int count = 0;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	maps = fopen(path, "re");
	if (!maps)
		return errno == EACCES || errno == EPERM
			       ? ctask_process_refused(pid, err)
			       : ctask_fail(err, EOWNERDEAD, "process %d has ended", (int)pid);
	errno = 0;
	while (count < CANDIDATES_MAX && getline(&line, &room, maps) > 0) {
		struct candidate c;
		uint64_t offset;
		int path_at = 0;

		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %" SCNx64 " %*s %*s %n", &c.start,
			   &c.end, &offset, &path_at) == 3 &&
		    path_at && offset == 0 && is_history_name(line + path_at))
			found[count++] = c;
	}
	if (!count && (errno == EACCES || errno == EPERM))
		return ctask_process_refused(pid, err);
	return count;
}

/* A child has what its parent mapped, until its own agent starts. */
static bool is_of(const struct ctask_history_reader *r, pid_t pid)
{
	struct ctask_texts *texts = ctask_texts_create();
	struct ctask_process process = { 0 };
	bool same = false;

	if (texts && ctask_process_describe(pid, texts, &process) == 0)
		same = r->header.nspid == process.nspid;
	free(process.cmdline);
	ctask_texts_destroy(texts);
	/* A process that has no /proc does not know when it started. */
	if (same && r->header.start_ticks && ctask_process_shares_clock(pid))
		same = r->header.start_ticks == ctask_process_start(pid);
	return same;
}

/* What became of the places where a history could be. */
struct search {
	struct ctask_history_reader *found;
	bool foreign; /* one is there, of another process */
	int ret;      /* why one is not usable */
	struct ctask_error err;
};

/* True when that was it. */
static bool consider(struct search *s, pid_t pid, struct ctask_history_reader *r, int ret,
		     const struct ctask_error *err)
{
	if (ret) {
		s->ret = ret;
		s->err = *err;
		return false;
	}
	if (is_of(r, pid)) {
		s->found = r;
		return true;
	}
	s->foreign = true;
	ctask_history_reader_close(r);
	return false;
}

static void search_descriptors(struct search *s, pid_t pid)
{
	char path[64 + sizeof(((struct dirent *)0)->d_name)], link[64];
	auto_closedir DIR *dir = NULL;
	struct dirent *entry;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		struct ctask_history_reader *r = NULL;
		struct ctask_error err = { 0 };
		ssize_t len;
		int fd, ret;

		snprintf(path, sizeof(path), "/proc/%d/fd/%s", (int)pid, entry->d_name);
		len = readlink(path, link, sizeof(link) - 1);
		if (len <= 0)
			continue;
		link[len] = '\0';
		if (!is_history_name(link))
			continue;
		fd = ctask_open_regular(path, NULL);
		if (fd < 0)
			continue;
		ret = ctask_history_reader_open_file(fd, pid, &r, &err);
		if (consider(s, pid, r, ret, &err))
			return;
	}
}

static void search_memory(struct search *s, pid_t pid, const struct candidate *candidates,
			  int count)
{
	for (int i = 0; i < count; i++) {
		struct ctask_history_reader *r = NULL;
		struct ctask_memory *memory;
		struct ctask_error err = { 0 };
		int ret = ctask_memory_create_process(pid, &memory, &err);

		if (!ret) {
			ret = ctask_history_reader_open_memory(
				memory, candidates[i].start,
				candidates[i].end - candidates[i].start, pid, &r, &err);
			if (ret)
				ctask_memory_destroy(memory);
			else
				r->owns_memory = true;
		}
		if (consider(s, pid, r, ret, &err))
			return;
	}
}

int ctask_history_reader_open(pid_t pid, struct ctask_history_reader **ret_reader,
			      struct ctask_error *err)
{
	struct candidate candidates[CANDIDATES_MAX];
	struct search search = { 0 };
	int count, ret = ctask_process_check(pid, err);

	if (ret)
		return ret;
	count = find_mappings(pid, candidates, err);
	if (count < 0)
		return count;
	if (count > 0)
		search_descriptors(&search, pid);
	if (!search.found)
		search_memory(&search, pid, candidates, count);
	if (search.found) {
		*ret_reader = search.found;
		return 0;
	}
	if (search.ret) {
		if (err)
			*err = search.err;
		return search.ret;
	}
	return ctask_fail(
		err, ENOTSUP,
		search.foreign
			? "process %d has no agent of its own, only the history of the one it "
			  "was forked from: look at that, or start it with 'ctaskctl run -- "
			  "COMMAND…'"
			: "process %d records no cancellations: there is no ctask agent in it. "
			  "Start the program with 'ctaskctl run -- COMMAND…', or watch it from now "
			  "on, as root, with --follow",
		(int)pid);
}
