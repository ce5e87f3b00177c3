/* check_fit.c - a history beside the tasks of a snapshot, which is of another instant. */
#include "model/fit.h"

#include "tests/unit/asked.h"

enum { TASKS = 3 };

/* Three tasks, made a second before the picture, which is of ASKED_AT plus ten milliseconds. */
static struct ctask_snapshot *fit_snapshot(struct ctask_history *history)
{
	struct ctask_snapshot *snap = made_snapshot();

	for (uint32_t i = 0; i < TASKS; i++) {
		const struct ctask_birth_facts birth = {
			.task = snap->task_count ? snap->tasks[i - 1].id + 0x100 : 0x7f0000000000,
			.time_us = ASKED_AT - 1000000,
			.frame = CTASK_NONE,
		};

		made_numbered_task(snap, i, true);
		ck_assert_int_eq(ctask_history_add_birth(history, &birth), 0);
	}
	ctask_history_sort_births(history);
	snap->capture.captured_at_us = ASKED_AT + 10000;
	snap->history = history;
	return snap;
}

/* A request to task @p task, @p ms after ASKED_AT. */
static struct ctask_cancellation *ask(struct ctask_history *history, uint32_t task, int64_t ms,
				      enum ctask_outcome outcome)
{
	struct ctask_cancellation *c = asked(history, 0, "t", "worker", NULL);

	c->target = 0x7f0000000000 + task * 0x100ull;
	c->time_us = ASKED_AT + ms * 1000;
	c->outcome = outcome;
	if (outcome == CTASK_OUTCOME_PENDING)
		c->after_s = NAN;
	return c;
}

static const struct {
	const char *why;
	uint32_t task;
	int64_t ms;	  /* when it was asked */
	int64_t birth_ms; /* when the task that has the address was made; 0: that is not known */
	enum ctask_outcome outcome, want;
	double after_s;
	bool kept, open;
} requests[] = {
	{ "pending", 1, 1, -9, CTASK_OUTCOME_PENDING, CTASK_OUTCOME_PENDING, NAN, true, true },
	{ "swallowed", 1, 1, -9, CTASK_OUTCOME_SWALLOWED, CTASK_OUTCOME_SWALLOWED, 0.001, true,
	  true },
	{ "taken back", 1, 1, -9, CTASK_OUTCOME_ABSORBED, CTASK_OUTCOME_ABSORBED, 0.001, true,
	  false },
	{ "taken back after the picture", 1, 1, -9, CTASK_OUTCOME_ABSORBED, CTASK_OUTCOME_PENDING,
	  0.02, true, true },
	{ "swallowed after the picture", 1, 1, -9, CTASK_OUTCOME_SWALLOWED, CTASK_OUTCOME_PENDING,
	  0.02, true, true },
	{ "ended at the instant", 1, 1, -9, CTASK_OUTCOME_CANCELLED, CTASK_OUTCOME_CANCELLED, 0.009,
	  true, false },
	{ "made after the picture", 1, 11, -9, CTASK_OUTCOME_PENDING, 0, NAN, false, false },
	{ "made at the instant", 1, 10, -9, CTASK_OUTCOME_PENDING, CTASK_OUTCOME_PENDING, NAN, true,
	  true },
	{ "of a task that is gone", 7, 1, -9, CTASK_OUTCOME_CANCELLED, 0, 0.001, false, false },
	{ "of the one before at that address", 1, 1, 2, CTASK_OUTCOME_CANCELLED, 0, 0.001, false,
	  false },
	{ "of the one before, never settled", 1, 1, 2, CTASK_OUTCOME_PENDING, 0, NAN, false,
	  false },
	{ "made in the microsecond of its birth", 1, 2, 2, CTASK_OUTCOME_PENDING,
	  CTASK_OUTCOME_PENDING, NAN, true, true },
	{ "the next one's birth: made after the picture", 1, 1, 12, CTASK_OUTCOME_PENDING,
	  CTASK_OUTCOME_PENDING, NAN, true, true },
	{ "birth not known, ended: whose it is is not known", 1, 1, 0, CTASK_OUTCOME_RETURNED, 0,
	  0.001, false, false },
	{ "birth not known, open", 1, 1, 0, CTASK_OUTCOME_SWALLOWED, CTASK_OUTCOME_SWALLOWED, 0.001,
	  true, true },
};

START_TEST(one_request)
{
	struct ctask_history *history = asked_history();
	struct ctask_snapshot *snap = fit_snapshot(history);
	struct ctask_cancellation *c =
		ask(history, requests[_i].task, requests[_i].ms, requests[_i].outcome);

	c->after_s = requests[_i].after_s;
	if (requests[_i].birth_ms)
		history->births[1].time_us = ASKED_AT + requests[_i].birth_ms * 1000;
	else
		history->births[1] = history->births[--history->birth_count];
	ck_assert_int_eq(ctask_fit_history(snap), 0);
	ck_assert_msg(history->count == requests[_i].kept, "%s: kept %u", requests[_i].why,
		      history->count);
	ck_assert_uint_eq(snap->tasks[1].request, requests[_i].kept ? 0 : CTASK_NONE);
	ck_assert_uint_eq(snap->tasks[1].open_requests, requests[_i].open);
	ck_assert_uint_eq(snap->tasks[0].request, CTASK_NONE);
	if (requests[_i].kept) {
		ck_assert_msg(history->items[0].outcome == requests[_i].want, "%s",
			      requests[_i].why);
		ck_assert_int_eq(isnan(history->items[0].after_s),
				 requests[_i].want == CTASK_OUTCOME_PENDING);
	}
	ctask_snapshot_destroy(snap);
}
END_TEST

/* What brought a request about stays, whoever it was made of; what it led to elsewhere does not. */
START_TEST(the_way_to_the_root)
{
	struct ctask_history *history = asked_history();
	struct ctask_snapshot *snap = fit_snapshot(history);
	const uint64_t want[] = { 1, 3, 4 };

	for (int i = 0; i < 6; i++)
		ask(history, 7, i, CTASK_OUTCOME_CANCELLED);
	history->items[2].cause = history->items[2].root = 1;
	history->items[3].cause = 3;
	history->items[3].root = 1;
	history->items[3].target = snap->tasks[2].id;
	history->items[4].cause = 4;
	history->items[4].root = 1;
	ck_assert_int_eq(ctask_fit_history(snap), 0);
	ck_assert_uint_eq(history->count, ARRAY_SIZE(want));
	for (size_t i = 0; i < ARRAY_SIZE(want); i++)
		ck_assert_uint_eq(history->items[i].id, want[i]);
	ck_assert_uint_eq(snap->tasks[2].request, 2);
	/* Once more, with fewer tasks. */
	snap->task_count = 2;
	ck_assert_int_eq(ctask_fit_history(snap), 0);
	ck_assert_uint_eq(history->count, 0);
	ck_assert_uint_eq(history->birth_count, 2);
	ctask_snapshot_destroy(snap);
}
END_TEST

START_TEST(the_newest_open_one)
{
	struct ctask_history *history = asked_history();
	struct ctask_snapshot *snap = fit_snapshot(history);

	ask(history, 1, 1, CTASK_OUTCOME_SWALLOWED)->repeats = 2;
	ask(history, 1, 2, CTASK_OUTCOME_PENDING);
	ask(history, 1, 3, CTASK_OUTCOME_ABSORBED);
	ask(history, 2, 4, CTASK_OUTCOME_ABSORBED);
	ask(history, 2, 5, CTASK_OUTCOME_ABSORBED);
	ck_assert_int_eq(ctask_fit_history(snap), 0);
	ck_assert_uint_eq(snap->tasks[1].request, 1);
	ck_assert_uint_eq(snap->tasks[1].open_requests, 4);
	ck_assert_uint_eq(snap->tasks[2].request, 4);
	ck_assert_uint_eq(snap->tasks[2].open_requests, 0);
	ctask_snapshot_destroy(snap);
}
END_TEST

START_TEST(births_of_another_reading)
{
	struct ctask_history *history = asked_history(), *other = asked_history();
	struct ctask_snapshot *snap = fit_snapshot(other);
	const struct ctask_birth_facts *birth;
	uint32_t place = asked_frame(other, "main", "/srv/svc.py", 12, false);

	asked_frame(history, "elsewhere", "/srv/x.py", 1, false);
	for (uint32_t i = 0; i < TASKS; i++)
		other->births[i].frame = place;
	other->births[0].creator = other->births[1].task;
	other->births[1].creator = other->births[2].task;
	other->births[1].time_us +=
		5; /* the address of the first one's maker has another one now */
	other->births[2].time_us = ASKED_AT + 10001;
	other->lost_births = 3;
	ck_assert_int_eq(ctask_fit_births(history, snap, other), 0);
	snap->history = history;
	ctask_history_destroy(other);
	ck_assert_int_eq(ctask_fit_history(snap), 0);
	ck_assert_uint_eq(history->birth_count, 2);
	ck_assert_uint_eq(history->frame_count, 2);
	ck_assert_uint_eq(history->lost_births, 3);
	birth = ctask_history_birth(history, snap->tasks[0].id);
	ck_assert_uint_eq(birth->creator, 0);
	ck_assert_str_eq(history->frames[birth->frame].name, "main");
	ck_assert_str_eq(history->frames[birth->frame].filename, "/srv/svc.py");
	birth = ctask_history_birth(history, snap->tasks[1].id);
	ck_assert_uint_eq(birth->creator, snap->tasks[2].id);
	ck_assert_ptr_null(ctask_history_birth(history, snap->tasks[2].id));
	ctask_snapshot_destroy(snap);
}
END_TEST

/* After a recording: which task is certainly the one that was asked. */
static const struct {
	const char *name,
		*coroutine; /* now; it was asked as "Task-7" or "worker", of coroutine "poll" */
	bool counted;	    /* it was "Task-7" */
	int requests;
	bool handled, same;
} past[] = {
	{ "Task-7", "poll", true, 0, false, true },    { "Task-7", "poll", true, -1, false, true },
	{ "Task-8", "poll", true, 1, true, false },    { "Task-7", "push", true, 1, true, false },
	{ NULL, "poll", true, 1, true, false },	       { "worker", "poll", false, 0, false, false },
	{ "worker", "poll", false, -1, false, false }, { "worker", "poll", false, 1, false, true },
	{ "worker", "poll", false, -1, true, true },   { "Task-", "poll", false, 0, false, false },
};

START_TEST(what_was_recorded)
{
	struct ctask_history *history = ctask_history_create();
	struct ctask_snapshot *snap = made_snapshot();
	struct ctask_cancellation *c, *gone, *over;
	struct ctask_task *task;

	made_numbered_task(snap, 0, true);
	task = &snap->tasks[0];
	task->name = past[_i].name;
	task->coroutine = past[_i].coroutine;
	task->cancel_requests = past[_i].requests;
	task->cancel_handled = past[_i].handled;
	for (int i = 0; i < 3; i++)
		asked(history, 0, past[_i].counted ? "Task-7" : "worker", "poll", NULL);
	c = &history->items[0];
	gone = &history->items[1];
	over = &history->items[2];
	c->target = over->target = task->id;
	c->outcome = gone->outcome = CTASK_OUTCOME_SWALLOWED;
	over->outcome = CTASK_OUTCOME_ABSORBED;
	gone->target = task->id + 0x100;
	ctask_fit_past(history, snap);
	ck_assert_int_eq(c->outcome,
			 past[_i].same ? CTASK_OUTCOME_SWALLOWED : CTASK_OUTCOME_UNKNOWN);
	ck_assert_int_eq(gone->outcome, CTASK_OUTCOME_UNKNOWN);
	ck_assert_int_eq(over->outcome, CTASK_OUTCOME_ABSORBED);
	ctask_history_destroy(history);
	ctask_snapshot_destroy(snap);
}
END_TEST

START_TEST(nothing_to_fit)
{
	struct ctask_snapshot *snap = made_snapshot();

	made_task(snap, "t", true);
	ck_assert_int_eq(ctask_fit_history(snap), 0);
	ck_assert_int_eq(ctask_fit_link(snap), 0);
	ck_assert_uint_eq(snap->tasks[0].request, CTASK_NONE);
	ctask_snapshot_destroy(snap);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("fit");

	tcase_add_loop_test(tests, one_request, 0, ARRAY_SIZE(requests));
	tcase_add_test(tests, the_way_to_the_root);
	tcase_add_test(tests, the_newest_open_one);
	tcase_add_test(tests, births_of_another_reading);
	tcase_add_test(tests, nothing_to_fit);
	tcase_add_loop_test(tests, what_was_recorded, 0, ARRAY_SIZE(past));
	return made_run("fit", tests);
}
