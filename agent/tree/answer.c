/* answer.c - from a request to lines of JSON: the reader, on its own process. */
#include "agent/tree/answer.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/portable.h"
#include "agent/tree/hold.h"
#include "model/cleanup.h"
#include "model/json.h"
#include "model/json_cancellation.h"
#include "model/rendezvous.h"
#include "reader/capture.h"
#include "reader/enrich.h"
#include "reader/history.h"

enum { MAX_PAUSE_MS = 100 };

/* Data lines on their way out. */
struct outlet {
	int fd;
	uint64_t left;
	bool is_full;
};

static ssize_t outlet_write(void *cookie, const char *bytes, size_t len)
{
	struct outlet *outlet = cookie;
	size_t done = 0;

	if (len > outlet->left) {
		outlet->is_full = true;
		return 0;
	}
	while (done < len) {
		ssize_t sent = write(outlet->fd, bytes + done, len - done);

		if (sent <= 0)
			return 0;
		done += (size_t)sent;
	}
	outlet->left -= len;
	return (ssize_t)len;
}

static int say(struct ctask_answer *answer, const struct ctask_error *err, int error)
{
	snprintf(answer->text, sizeof(answer->text), "%.*s", (int)sizeof(answer->text) - 1,
		 err->text);
	return error;
}

/* The history that this process writes, to be read. */
struct own_history {
	struct ctask_memory *memory;
	struct ctask_history_reader *reader;
};

static int open_history(const struct ctask_answer *answer, struct own_history *own,
			struct ctask_error *err)
{
	int ret = ctask_memory_create_process(getpid(), &own->memory, err);

	if (!ret)
		ret = ctask_history_reader_open_memory(own->memory, (uintptr_t)answer->history,
						       answer->history->file_bytes, getpid(),
						       &own->reader, err);
	return ret;
}

static void close_history(struct own_history *own)
{
	ctask_history_reader_close(own->reader);
	ctask_memory_destroy(own->memory);
}

#define auto_own_history __attribute__((cleanup(close_history))) struct own_history

/* "since=17": the cancellations after 17. False when it is something else. */
static bool parse_since(const char *rest, uint64_t *ret_first)
{
	static const char key[] = "since=";
	char *end;

	*ret_first = 1;
	if (!*rest)
		return true;
	if (strncmp(rest, key, sizeof(key) - 1))
		return false;
	rest += sizeof(key) - 1;
	if (*rest < '0' || *rest > '9')
		return false;
	*ret_first = strtoull(rest, &end, 10) + 1;
	return !*end && *ret_first;
}

static int answer_cancels(struct ctask_answer *answer, const char *rest, FILE *out,
			  struct ctask_error *err)
{
	struct ctask_history *history = NULL;
	auto_own_history own = { 0 };
	uint64_t first;
	int ret;

	if (!parse_since(rest, &first))
		return ctask_fail(err, EINVAL, "cancels takes since=ID, a number, or nothing");
	ret = open_history(answer, &own, err);
	if (!ret)
		ret = ctask_history_read_from(own.reader, first, &history, err);
	if (!ret)
		ret = ctask_json_write_cancellations(history, NULL, out, err);
	if (!ret)
		answer->dropped = history->dropped;
	ctask_history_destroy(history);
	return ret;
}

static int (*may_hold)(void);

static int hold(void)
{
	return ctask_hold_take(may_hold);
}

static int answer_tree(struct ctask_answer *answer, FILE *out, struct ctask_error *err)
{
	const int tids[] = { ctask_gettid(), answer->service_tid };
	const struct ctask_capture_self self = { .tids = tids,
						 .tid_count = ARRAY_SIZE(tids),
						 .hold = hold,
						 .let_go = ctask_hold_let_go };
	const struct ctask_capture_options options = { .max_pause_ms = MAX_PAUSE_MS,
						       .self = &self };
	struct ctask_snapshot *snap = NULL;
	auto_own_history own = { 0 };
	int ret;

	if (access("/proc/self/maps", R_OK))
		return ctask_fail(err, ENOTSUP,
				  "there is no /proc where the process lives, from which it could "
				  "tell what it is: ask for cancels");
	may_hold = answer->may_hold;
	ret = ctask_capture_process(getpid(), &options, &snap, err);
	if (!ret) {
		/* Without what was recorded the tree is still a tree. */
		if (!open_history(answer, &own, NULL) && !ctask_enrich(snap, own.reader, NULL))
			answer->dropped = snap->history->dropped;
		ret = ctask_json_write_snapshot(snap, out, err);
	}
	ctask_snapshot_destroy(snap);
	return ret;
}

static int answer_to(struct ctask_answer *answer, FILE *out, struct ctask_error *err)
{
	const char *rest;

	switch (ctask_request_parse(answer->request, &rest)) {
	case CTASK_ASK_CANCELS:
		return answer_cancels(answer, rest, out, err);
	case CTASK_ASK_TREE:
		return answer_tree(answer, out, err);
	default:
		return ctask_fail(err, EINVAL, "there is no such question");
	}
}

__attribute__((visibility("default"))) ctask_answer_door ctask_answer;

int ctask_answer(struct ctask_answer *answer)
{
	const cookie_io_functions_t functions = { .write = outlet_write };
	struct outlet outlet = { .fd = answer->out, .left = answer->out_bytes_max };
	struct ctask_error err = { 0 };
	locale_t plain, before;
	FILE *out;
	int ret;

	if (answer->bytes != sizeof(*answer))
		return -ENOSYS;
	out = fopencookie(&outlet, "w", functions);
	/* Numbers look as they should whatever language the program speaks. */
	plain = newlocale(LC_ALL_MASK, "C", NULL);
	if (!out || !plain) {
		if (out)
			fclose(out);
		if (plain)
			freelocale(plain);
		return -ENOMEM;
	}
	before = uselocale(plain);
	ret = answer_to(answer, out, &err);
	if (fclose(out) && !ret)
		ret = outlet.is_full
			      ? ctask_fail(&err, E2BIG, "the answer is larger than a reply may be")
			      : ctask_fail(&err, EIO, "the answer could not be kept");
	uselocale(before);
	freelocale(plain);
	return ret ? say(answer, &err, ret) : 0;
}
