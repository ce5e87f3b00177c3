/* origins.c - the functions through which libraries cancel, and what each one means. */
#include "model/origins.h"

#include <string.h>

#define ASYNCIO "asyncio/"

/*
 * A function that has no row and calls cancel() on its own account: explicit, or unknown
 * where it is asyncio's.
 * A local may be followed by one attribute: "self._when".
 */
const struct ctask_origin_row ctask_origin_rows[] = {
	/* --- timeouts --- */
	{ .file = ASYNCIO "timeouts.py",
	  .function = "_on_timeout",
	  .role = CTASK_ROLE_DECIDES,
	  .origin = CTASK_ORIGIN_TIMEOUT,
	  .through = CTASK_THROUGH_TIMEOUT,
	  .scope = "self",
	  .when = "self._when",
	  .versions = "3.11-3.15" },
	{ .file = ASYNCIO "tasks.py",
	  .function = "_cancel_and_wait",
	  .role = CTASK_ROLE_PASSES,
	  .versions = "3.8-3.15" },
	/* With a timeout of 0 or less, and to 3.11 with any. */
	{ .file = ASYNCIO "tasks.py",
	  .function = "wait_for",
	  .role = CTASK_ROLE_DECIDES_OR_OWNER,
	  .origin = CTASK_ORIGIN_TIMEOUT,
	  .through = CTASK_THROUGH_WAIT_FOR,
	  .scope = "timeout_handle",
	  .delay = "timeout",
	  .when = "timeout_handle._when",
	  .versions = "3.8-3.15" },

	/* --- groups --- */
	{ .file = ASYNCIO "taskgroups.py",
	  .function = "_abort",
	  .role = CTASK_ROLE_PASSES,
	  .versions = "3.11-3.15" },
	{ .file = ASYNCIO "taskgroups.py",
	  .function = "_on_task_done",
	  .fired = "_parent_cancel_requested",
	  .role = CTASK_ROLE_DECIDES,
	  .origin = CTASK_ORIGIN_SIBLING_FAILED,
	  .through = CTASK_THROUGH_TASK_GROUP,
	  .scope = "self",
	  .failed = "task",
	  .exception = "exc",
	  .versions = "3.11-3.15" },
	{ .file = ASYNCIO "taskgroups.py",
	  .function = "__aexit__",
	  .role = CTASK_ROLE_DECIDES_OR_OWNER,
	  .origin = CTASK_ORIGIN_OWNER_FAILED,
	  .through = CTASK_THROUGH_TASK_GROUP,
	  .scope = "self",
	  .exception = "exc",
	  .versions = "3.11, 3.12" },
	{ .file = ASYNCIO "taskgroups.py",
	  .function = "_aexit",
	  .role = CTASK_ROLE_DECIDES_OR_OWNER,
	  .origin = CTASK_ORIGIN_OWNER_FAILED,
	  .through = CTASK_THROUGH_TASK_GROUP,
	  .scope = "self",
	  .exception = "exc",
	  .versions = "3.13-3.15" },
	{ .file = ASYNCIO "taskgroups.py",
	  .function = "cancel",
	  .role = CTASK_ROLE_DECIDES,
	  .origin = CTASK_ORIGIN_EXPLICIT,
	  .through = CTASK_THROUGH_TASK_GROUP,
	  .scope = "self",
	  .versions = "3.15" },

	/* --- what passes a request on --- */
	{ .file = ASYNCIO "tasks.py",
	  .function = "cancel",
	  .self = "_GatheringFuture",
	  .role = CTASK_ROLE_PASSES,
	  .origin = CTASK_ORIGIN_EXPLICIT,
	  .through = CTASK_THROUGH_GATHER,
	  .scope = "self",
	  .versions = "3.8-3.15" },
	{ .file = ASYNCIO "futures.py",
	  .function = "_call_check_cancel",
	  .role = CTASK_ROLE_DECIDES,
	  .origin = CTASK_ORIGIN_EXPLICIT,
	  .versions = "3.8-3.15" },
	/* Happy eyeballs: the first that connects stops the others. */
	{ .file = ASYNCIO "staggered.py",
	  .function = "run_one_coro",
	  .role = CTASK_ROLE_DECIDES,
	  .origin = CTASK_ORIGIN_EXPLICIT,
	  .versions = "3.8-3.15" },
	{ .file = ASYNCIO "staggered.py",
	  .function = "staggered_race",
	  .role = CTASK_ROLE_DECIDES,
	  .origin = CTASK_ORIGIN_EXPLICIT,
	  .versions = "3.8-3.15" },

	/* --- runners --- */
	{ .file = ASYNCIO "runners.py",
	  .function = "_cancel_all_tasks",
	  .role = CTASK_ROLE_RUNNER,
	  .origin = CTASK_ORIGIN_SHUTDOWN,
	  .through = CTASK_THROUGH_RUNNER,
	  .scope = "loop",
	  .versions = "3.8-3.15" },
	{ .file = ASYNCIO "runners.py",
	  .function = "_on_sigint",
	  .role = CTASK_ROLE_DECIDES,
	  .origin = CTASK_ORIGIN_INTERRUPT,
	  .through = CTASK_THROUGH_RUNNER,
	  .scope = "self._loop",
	  .versions = "3.11-3.15" },
	{ .file = ASYNCIO "runners.py",
	  .function = "__exit__",
	  .role = CTASK_ROLE_PASSES,
	  .exception = "exc_val",
	  .versions = "3.11-3.15" },
	{ .file = ASYNCIO "runners.py",
	  .function = "run",
	  .role = CTASK_ROLE_BOUNDARY,
	  .main = "main",
	  .versions = "3.8-3.15" },
	{ .file = ASYNCIO "base_events.py",
	  .function = "run_until_complete",
	  .role = CTASK_ROLE_BOUNDARY,
	  .versions = "3.8-3.15" },
	{ .file = ASYNCIO "base_events.py",
	  .function = "run_forever",
	  .role = CTASK_ROLE_BOUNDARY,
	  .versions = "3.8-3.15" },
	{ .file = ASYNCIO "base_events.py",
	  .function = "_run_once",
	  .role = CTASK_ROLE_BOUNDARY,
	  .versions = "3.8-3.15" },
	{ .file = ASYNCIO "events.py",
	  .function = "_run",
	  .role = CTASK_ROLE_BOUNDARY,
	  .versions = "3.8-3.15" },

	/* --- async_timeout; from 3.11 on its newer releases are asyncio's own --- */
	{ .file = "/async_timeout/__init__.py",
	  .function = "_on_timeout",
	  .role = CTASK_ROLE_DECIDES,
	  .origin = CTASK_ORIGIN_TIMEOUT,
	  .through = CTASK_THROUGH_TIMEOUT,
	  .scope = "self",
	  .when = "self._deadline",
	  .versions = "async_timeout 4, 5" },
	{ .file = "/async_timeout/__init__.py",
	  .function = "_cancel_task",
	  .role = CTASK_ROLE_DECIDES,
	  .origin = CTASK_ORIGIN_TIMEOUT,
	  .through = CTASK_THROUGH_TIMEOUT,
	  .scope = "self",
	  .delay = "self._timeout",
	  .when = "self._cancel_at",
	  .fired = "_cancelled",
	  .versions = "async_timeout 3" },

	/* Copies that other packages carry. */
	{ .file = "/async_timeout.py",
	  .function = "_on_timeout",
	  .role = CTASK_ROLE_DECIDES,
	  .origin = CTASK_ORIGIN_TIMEOUT,
	  .through = CTASK_THROUGH_TIMEOUT,
	  .scope = "self",
	  .when = "self._deadline",
	  .versions = "async_timeout 4" },

	/* --- aiohttp 3.7 to 3.13 --- */
	{ .file = "/aiohttp/helpers.py",
	  .function = "timeout",
	  .self = "TimerContext",
	  .fired = "_cancelled",
	  .role = CTASK_ROLE_PASSES,
	  .origin = CTASK_ORIGIN_TIMEOUT,
	  .through = CTASK_THROUGH_TIMEOUT,
	  .scope = "self",
	  .versions = "aiohttp 3.7-3.13" },
	{ .file = "/aiohttp/helpers.py",
	  .function = "__call__",
	  .self = "TimeoutHandle",
	  .role = CTASK_ROLE_DECIDES,
	  .origin = CTASK_ORIGIN_TIMEOUT,
	  .through = CTASK_THROUGH_TIMEOUT,
	  .scope = "self",
	  .delay = "self._timeout",
	  .versions = "aiohttp 3.7-3.13" },
	{ .file = "/aiohttp/web.py",
	  .function = "_cancel_tasks",
	  .role = CTASK_ROLE_RUNNER,
	  .origin = CTASK_ORIGIN_SHUTDOWN,
	  .through = CTASK_THROUGH_RUNNER,
	  .scope = "loop",
	  .versions = "aiohttp 3.7-3.13" },
	{ .file = "/aiohttp/web.py",
	  .function = "run_app",
	  .role = CTASK_ROLE_RUNNER,
	  .origin = CTASK_ORIGIN_SHUTDOWN,
	  .through = CTASK_THROUGH_RUNNER,
	  .scope = "loop",
	  .versions = "aiohttp 3.11-3.13" },
	{ .file = "/aiohttp/web_protocol.py",
	  .function = "shutdown",
	  .role = CTASK_ROLE_DECIDES,
	  .origin = CTASK_ORIGIN_SHUTDOWN,
	  .through = CTASK_THROUGH_RUNNER,
	  .scope = "self._loop",
	  .versions = "aiohttp 3.7-3.13" },

	/* --- uvicorn, hypercorn --- */
	{ .file = "/uvicorn/server.py",
	  .function = "shutdown",
	  .role = CTASK_ROLE_DECIDES,
	  .origin = CTASK_ORIGIN_SHUTDOWN,
	  .through = CTASK_THROUGH_RUNNER,
	  .scope = "self",
	  .versions = "uvicorn 0.22-0.48" },
	{ .file = "/uvicorn/_compat.py",
	  .function = "_cancel_all_tasks",
	  .role = CTASK_ROLE_RUNNER,
	  .origin = CTASK_ORIGIN_SHUTDOWN,
	  .through = CTASK_THROUGH_RUNNER,
	  .scope = "loop",
	  .versions = "uvicorn 0.35-0.48" },
	{ .file = "/hypercorn/asyncio/run.py",
	  .function = "_cancel_all_tasks",
	  .role = CTASK_ROLE_RUNNER,
	  .origin = CTASK_ORIGIN_SHUTDOWN,
	  .through = CTASK_THROUGH_RUNNER,
	  .scope = "loop",
	  .versions = "hypercorn 0.11-0.14" },
	{ .file = "/hypercorn/asyncio/run.py",
	  .function = "worker_serve",
	  .role = CTASK_ROLE_DECIDES,
	  .origin = CTASK_ORIGIN_SHUTDOWN,
	  .through = CTASK_THROUGH_RUNNER,
	  .scope = "loop",
	  .versions = "hypercorn 0.14-0.18" },
};

const size_t ctask_origin_row_count = sizeof(ctask_origin_rows) / sizeof(ctask_origin_rows[0]);

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), tail = strlen(end);

	return len >= tail && !strcmp(text + len - tail, end);
}

static bool is_of(const struct ctask_origin_row *row, const char *module, const char *filename)
{
	if (row->file[0] == '/')
		return ends_with(filename, row->file);
	return module && !strcmp(row->file + sizeof(ASYNCIO) - 1, module);
}

const struct ctask_origin_row *ctask_origin_find(const char *module, const char *filename,
						 const char *function)
{
	for (size_t i = 0; i < ctask_origin_row_count; i++)
		if (!strcmp(ctask_origin_rows[i].function, function) &&
		    is_of(&ctask_origin_rows[i], module, filename))
			return &ctask_origin_rows[i];
	return NULL;
}
