/* check_classify.c - what a call of cancel() means, by the functions that it came through. */
#include "model/classify.h"

#include <math.h>

#include "model/cancellation.h"
#include "tests/unit/made.h"

enum { FRAMES_MAX = 8 };

/* Evidence of a room that sees nothing but whose functions stand on the stack. */

static uint64_t no_local(struct ctask_asking *a, int i, int slot)
{
	(void)a, (void)i, (void)slot;
	return 0;
}

static uint64_t no_value(struct ctask_asking *a, int i, const struct ctask_local *local)
{
	(void)a, (void)i, (void)local;
	return 0;
}

static bool self_is(struct ctask_asking *a, int i, const char *type)
{
	(void)a, (void)i, (void)type;
	return true;
}

static bool is_false(struct ctask_asking *a, int i)
{
	(void)a, (void)i;
	return false;
}

static bool runs_elsewhere(struct ctask_asking *a)
{
	(void)a;
	return false;
}

static const struct ctask_evidence evidence = {
	.local = no_local,
	.value = no_value,
	.self_is = self_is,
	.is_unwinding = is_false,
	.runs_elsewhere = runs_elsewhere,
};

struct call {
	const char *functions
		[FRAMES_MAX]; /* innermost first: file|function; a library's by a slash before it */
	enum ctask_origin origin;
};

#define ANYIO "/anyio/_backends/_asyncio.py|"

static const struct call calls[] = {
	{ { "svc.py|stop", "svc.py|main" }, CTASK_ORIGIN_EXPLICIT },
	{ { "/asyncio/streams.py|close", "svc.py|main" }, CTASK_ORIGIN_UNKNOWN },
	{ { "/asyncio/events.py|_run", "/asyncio/base_events.py|_run_once" },
	  CTASK_ORIGIN_EXPLICIT },
	/* A scope of anyio that asks: why it was cancelled is seen by the agent alone. */
	{ { ANYIO "_deliver_cancellation", ANYIO "_timeout", "/asyncio/events.py|_run" },
	  CTASK_ORIGIN_UNKNOWN },
	{ { ANYIO "_deliver_cancellation", ANYIO "cancel", "svc.py|main" }, CTASK_ORIGIN_UNKNOWN },
	{ { ANYIO "_deliver_cancellation", "/asyncio/events.py|_run" }, CTASK_ORIGIN_UNKNOWN },
};

START_TEST(one_call)
{
	struct ctask_code_facts facts[FRAMES_MAX];
	const struct ctask_code_facts *stack[FRAMES_MAX];
	struct ctask_asking asking = {
		.evidence = &evidence,
		.stack = { .facts = stack },
		.task = 0x100,
		.record = { .target = 0x200, .delay_s = NAN, .elapsed_s = NAN },
	};

	for (int i = 0; i < FRAMES_MAX && calls[_i].functions[i]; i++) {
		const char *bar = strchr(calls[_i].functions[i], '|');
		auto_free char *file =
			strndup(calls[_i].functions[i], (size_t)(bar - calls[_i].functions[i]));

		facts[i] = ctask_no_facts;
		facts[i].library = file[0] == '/';
		facts[i].row = ctask_origin_find(facts[i].library ? strrchr(file, '/') + 1 : NULL,
						 file, bar + 1);
		stack[i] = &facts[i];
		asking.stack.count = asking.end = i + 1;
	}
	ctask_classify(&asking);
	ck_assert_str_eq(ctask_origin_words[asking.record.origin],
			 ctask_origin_words[calls[_i].origin]);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("classify");

	tcase_add_loop_test(tests, one_call, 0, ARRAY_SIZE(calls));
	return made_run("classify", tests);
}
