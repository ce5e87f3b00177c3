/* reasons.c - what is said about a cancellation: why it was, whom it hit, how it ended. */
#include "cli/render/reasons.h"

#include <math.h>
#include <string.h>
#include <time.h>

#include "model/cleanup.h"

enum { MESSAGE_COLUMNS = 120 };

/* A time limit was noticed late when it took so many times as long, and so much more. */
static const double LATE_TIMES = 1.1, LATE_S = 0.1;

static const char *plain_name(ctask_text name)
{
	const char *dot = name ? strrchr(name, '.') : NULL;

	return dot ? dot + 1 : name ? name : "";
}

/* Text of any length, of which the first columns will do. */
static void short_text(struct ctask_line *line, ctask_text text)
{
	uint32_t end = line->width + MESSAGE_COLUMNS, limit = line->limit;

	if (end < limit)
		line->limit = end;
	ctask_line_text(line, text);
	if (line->limit != limit)
		ctask_line_extend(line, limit);
}

/* --- times --- */

/* The number and unit of a time. */
struct brief {
	char number[16];
	const char *unit; /* NULL: ctask_words_time() says it */
};

static struct brief brief_of(double seconds)
{
	static const char ms[] = " ms"; /* one place: units are told apart by it */
	struct brief b = { .unit = " s" };

	if (seconds < 0.00005) {
		strcpy(b.number, "<0.1");
		b.unit = ms;
	} else if (seconds < 0.00995) {
		snprintf(b.number, sizeof(b.number), "%.1f", seconds * 1e3);
		b.unit = ms;
	} else if (seconds < 0.9995) {
		snprintf(b.number, sizeof(b.number), "%.0f", seconds * 1e3);
		b.unit = ms;
	} else if (seconds < 9.95) {
		snprintf(b.number, sizeof(b.number), "%.1f", seconds);
	} else if (seconds < 119.5) {
		snprintf(b.number, sizeof(b.number), "%.0f", seconds);
	} else {
		b.unit = NULL;
	}
	return b;
}

static void put_brief(struct ctask_line *line, const struct brief *b, double seconds)
{
	if (!b->unit) {
		ctask_words_time(line, seconds);
		return;
	}
	ctask_line_words(line, b->number);
	ctask_line_words(line, b->unit);
}

void ctask_reason_time(struct ctask_line *line, double low, double high)
{
	struct brief from = brief_of(low), to = brief_of(high);

	if (from.unit && from.unit == to.unit && strcmp(from.number, to.number) != 0) {
		ctask_line_words(line, from.number);
		ctask_line_words(line, " to ");
	} else if (from.unit != to.unit || (!from.unit && high - low >= 1)) {
		put_brief(line, &from, low);
		ctask_line_words(line, " to ");
	}
	put_brief(line, &to, high);
}

void ctask_reason_clock(struct ctask_line *line, int64_t time_us, int64_t now_us, bool fine)
{
	time_t then = time_us / 1000000, now = now_us / 1000000;
	struct tm tm, today;
	char text[64];

	if (time_us <= 0 || !localtime_r(&then, &tm)) {
		ctask_line_words(line, "at an unknown time");
		return;
	}
	if (!localtime_r(&now, &today) || tm.tm_yday != today.tm_yday ||
	    tm.tm_year != today.tm_year) {
		strftime(text, sizeof(text), "%Y-%m-%d ", &tm);
		ctask_line_words(line, text);
	}
	strftime(text, sizeof(text), "%H:%M:%S", &tm);
	ctask_line_words(line, text);
	if (fine)
		ctask_line_format(line, ".%03d", (int)(time_us % 1000000 / 1000));
}

/* --- who and where --- */

void ctask_reason_task(struct ctask_line *line, ctask_text name, ctask_text coroutine)
{
	if (coroutine)
		ctask_line_text(line, coroutine);
	if (coroutine && name && !ctask_words_is_of(name, coroutine)) {
		ctask_line_words(line, " (");
		ctask_line_text(line, name);
		ctask_line_words(line, ")");
	} else if (!coroutine) {
		ctask_line_text(line, name ? name : "a task");
	}
}

struct ctask_chain ctask_reason_chain(const struct ctask_history *history,
				      const struct ctask_cancellation *c)
{
	return (struct ctask_chain){ history->frames,
				     ctask_history_stack(history, &c->target_stack),
				     c->target_stack.count, c->target_coroutine };
}

/* What the target runs. */
static ctask_text function_run(const struct ctask_history *history,
			       const struct ctask_cancellation *c)
{
	const struct ctask_chain chain = ctask_reason_chain(history, c);

	return ctask_words_start(&chain);
}

void ctask_reason_target(struct ctask_line *line, const struct ctask_history *history,
			 const struct ctask_cancellation *c)
{
	ctask_reason_task(line, c->target_name, function_run(history, c));
}

static void put_place(struct ctask_line *line, const struct ctask_history *history, uint32_t frame)
{
	if (frame == CTASK_NONE)
		return;
	ctask_line_words(line, "  ");
	ctask_line_style(line, CTASK_STYLE_PLACE);
	ctask_words_place(line, &history->frames[frame]);
	ctask_line_style(line, CTASK_STYLE_PLAIN);
}

/* --- why --- */

struct reason {
	const struct ctask_history *history;
	const struct ctask_stories *stories;
	const struct ctask_story *story;
	const struct ctask_cancellation *item; /* the first of it */
};

/* The function at the place that is shown with the reason, else @p coroutine. */
static ctask_text function_of(const struct reason *r, ctask_text coroutine)
{
	uint32_t place = ctask_story_where(r->history, r->item);

	return place != CTASK_NONE && r->history->frames[place].name
		       ? r->history->frames[place].name
		       : coroutine;
}

static void put_requester(struct ctask_line *line, const struct reason *r)
{
	ctask_reason_task(line, r->item->requester_name,
			  function_of(r, r->item->requester_coroutine));
}

static void put_exception(struct ctask_line *line, const struct ctask_cancellation *c)
{
	if (!c->exception_type) {
		ctask_line_words(line, "an exception");
		return;
	}
	ctask_line_text(line, c->exception_type);
	if (!c->exception_message || !c->exception_message[0])
		return;
	ctask_line_words(line, ": ");
	short_text(line, c->exception_message);
}

static const char *construct(const struct ctask_cancellation *c)
{
	static const char *const names[CTASK_THROUGHS] = {
		[CTASK_THROUGH_TASK_GROUP] = "TaskGroup", [CTASK_THROUGH_NURSERY] = "nursery",
		[CTASK_THROUGH_GATHER] = "gather",	  [CTASK_THROUGH_CANCEL_SCOPE] = "scope",
		[CTASK_THROUGH_WAIT_FOR] = "wait_for",
	};

	return names[c->through] ? names[c->through] : "group";
}

static void because_timeout(struct ctask_line *line, const struct reason *r)
{
	const struct ctask_cancellation *c = r->item;
	double low = r->story->delay_low, high = r->story->delay_high;

	if (c->through == CTASK_THROUGH_WAIT_FOR)
		ctask_line_words(line, "wait_for ");
	if (!isnan(low) && low < 0)
		low = 0;
	if (!isnan(high) && high >= 0) {
		ctask_reason_time(line, low, high);
		if (c->elapsed_s > LATE_TIMES * c->delay_s + LATE_S) {
			ctask_line_words(line, " (noticed after ");
			ctask_reason_time(line, c->elapsed_s, c->elapsed_s);
			ctask_line_words(line, ": the loop was busy)");
		}
		ctask_line_words(line, " passed in ");
	} else {
		ctask_line_words(line, "the deadline passed in ");
	}
	/* Who waits in wait_for may be another task than the one that works. */
	if (c->requester_kind == CTASK_REQUESTER_TASK)
		put_requester(line, r);
	else
		ctask_reason_task(line, c->target_name,
				  function_of(r, function_run(r->history, c)));
}

/*
 * The owner of a group of asyncio is asked by what notices the failure, its children by
 * what that calls. One scope asks them all in trio and anyio: there the owner is who has its block, and comes out of it.
 */
static bool is_owner(const struct ctask_cancellation *c, const struct ctask_frame *asking)
{
	const char *name = plain_name(asking->name);

	if (asking->library && strcmp(name, "_on_task_done") == 0)
		return true;
	return !(asking->library && strcmp(name, "_abort") == 0) &&
	       (c->scope_frame != CTASK_NONE || c->outcome == CTASK_OUTCOME_ABSORBED);
}

/* NULL when nothing shows it. */
static const struct ctask_cancellation *find_owner(const struct reason *r)
{
	const struct ctask_story *s = r->story;

	for (uint32_t i = s->line_first; i < s->line_first + s->line_count; i++) {
		const struct ctask_story_line *line = &r->stories->lines[i];
		const struct ctask_cancellation *c =
			&r->history->items[r->stories->members[line->members_first]];
		uint32_t inner;

		if (line->depth || !c->stack.count)
			continue;
		inner = ctask_history_stack(r->history, &c->stack)[0];
		if (is_owner(c, &r->history->frames[inner]))
			return c;
	}
	return NULL;
}

/* The function that has the group, where it is known which; else what its owner runs. */
static ctask_text function_of_block(const struct ctask_history *history,
				    const struct ctask_cancellation *owner)
{
	uint32_t place = ctask_story_block(history, owner);

	return place != CTASK_NONE ? history->frames[place].name : function_run(history, owner);
}

static void because_sibling(struct ctask_line *line, const struct reason *r)
{
	const struct ctask_cancellation *owner = find_owner(r);

	ctask_line_words(line, construct(r->item));
	if (owner) {
		ctask_line_words(line, " in ");
		ctask_reason_task(line, owner->target_name, function_of_block(r->history, owner));
	}
	ctask_line_words(line, ": ");
	if (r->item->failed_task_name) {
		ctask_line_words(line, "child ");
		ctask_line_text(line, r->item->failed_task_name);
	} else {
		ctask_line_words(line, "a child");
	}
	ctask_line_words(line, " raised ");
	put_exception(line, r->item);
}

static void because_owner_failed(struct ctask_line *line, const struct reason *r)
{
	ctask_line_words(line, construct(r->item));
	if (r->item->requester_kind == CTASK_REQUESTER_TASK) {
		ctask_line_words(line, " in ");
		put_requester(line, r);
	}
	ctask_line_words(line, ": its body raised ");
	put_exception(line, r->item);
}

static void because_owner_cancelled(struct ctask_line *line, const struct reason *r)
{
	if (r->item->requester_kind == CTASK_REQUESTER_TASK) {
		put_requester(line, r);
		ctask_line_words(line, " was cancelled and passed it on");
	} else {
		ctask_line_words(line, "the task that waited was cancelled");
	}
	if (r->item->cause)
		ctask_line_format(line, "; by request %llu, which is no longer kept",
				  (unsigned long long)r->item->cause);
}

static void because_shutdown(struct ctask_line *line, const struct reason *r)
{
	uint32_t call = ctask_story_call(r->history, &r->item->stack);
	ctask_text name = call == CTASK_NONE ? NULL : r->history->frames[call].name;
	ctask_text file = name ? r->history->frames[call].filename : NULL;
	ctask_text server = name ? NULL : function_of(r, NULL); /* that stops its tasks itself */

	if (server) {
		ctask_line_text(line, server);
		ctask_line_words(line, " stops what is left");
		return;
	}
	if (name && strcmp(name, "run") == 0)
		ctask_line_words(line, file && strstr(file, "/trio/") ? "trio.run" : "asyncio.run");
	else
		ctask_line_text(line, name ? name : "the event loop's runner");
	ctask_line_words(line, " ends, and stops what is left");
}

static void because_interrupt(struct ctask_line *line, const struct reason *r)
{
	(void)r;
	ctask_line_words(line, "SIGINT (Ctrl-C)");
}

/* Who called cancel(), and what for a call it was. */
static void because_called(struct ctask_line *line, const struct reason *r)
{
	const struct ctask_cancellation *c = r->item;
	bool named = c->requester_name && c->requester_name[0];
	bool is_cancel = named && strcmp(plain_name(c->requester_name), "cancel") == 0;

	if (c->requester_kind == CTASK_REQUESTER_TASK && c->requester == c->target &&
	    r->story->line_count == 1) {
		put_requester(line, r);
		ctask_line_words(line, " cancelled itself");
		return;
	}
	if (c->through != CTASK_THROUGH_NONE) {
		ctask_line_words(line, construct(c));
		ctask_line_words(line, ".");
	}
	switch (c->requester_kind) {
	case CTASK_REQUESTER_CALLBACK:
		if (is_cancel || !named) {
			ctask_line_words(line, "cancel() scheduled as a callback (call_later, "
					       "call_soon, call_soon_threadsafe)");
			return;
		}
		ctask_line_words(line, "cancel() called by the callback ");
		ctask_line_text(line, c->requester_name);
		return;
	case CTASK_REQUESTER_RUNNER:
		ctask_line_words(line, "cancel() called outside of the loop, by ");
		ctask_line_text(line, named ? c->requester_name : "what runs it");
		return;
	case CTASK_REQUESTER_SIGNAL:
		ctask_line_words(line, "cancel() called by a signal handler");
		break;
	case CTASK_REQUESTER_THREAD:
		ctask_line_words(line, "cancel() called in another thread");
		break;
	default:
		ctask_line_words(line, "cancel() called by ");
		put_requester(line, r);
		return;
	}
	if (named) {
		ctask_line_words(line, ", ");
		ctask_line_text(line, c->requester_name);
	}
}

static const struct {
	const char *word; /* NULL: what follows says enough */
	void (*put)(struct ctask_line *line, const struct reason *r);
} reasons[CTASK_ORIGINS] = {
	[CTASK_ORIGIN_UNKNOWN] = { "not explained", because_called },
	[CTASK_ORIGIN_TIMEOUT] = { "timeout", because_timeout },
	[CTASK_ORIGIN_SIBLING_FAILED] = { NULL, because_sibling },
	[CTASK_ORIGIN_OWNER_FAILED] = { NULL, because_owner_failed },
	[CTASK_ORIGIN_OWNER_CANCELLED] = { "passed on", because_owner_cancelled },
	[CTASK_ORIGIN_SHUTDOWN] = { "shutdown", because_shutdown },
	[CTASK_ORIGIN_INTERRUPT] = { "interrupt", because_interrupt },
	[CTASK_ORIGIN_EXPLICIT] = { "explicit", because_called },
};

void ctask_reason_put(struct ctask_line *line, const struct ctask_history *history,
		      const struct ctask_stories *stories, const struct ctask_story *story)
{
	const struct ctask_cancellation *item = &history->items[story->item];
	const struct reason reason = { history, stories, story, item };

	ctask_line_style(line, CTASK_STYLE_NAME);
	if (reasons[item->origin].word) {
		ctask_line_words(line, reasons[item->origin].word);
		ctask_line_words(line, ": ");
	}
	reasons[item->origin].put(line, &reason);
	ctask_line_style(line, CTASK_STYLE_PLAIN);
	put_place(line, history, ctask_story_where(history, item));
	if (!item->message)
		return;
	ctask_line_words(line, ctask_words_dot(line));
	ctask_line_words(line, "\"");
	short_text(line, item->message);
	ctask_line_words(line, "\"");
}

/* --- how it ended --- */

static const struct {
	const char *before, *behind; /* " after 2 ms"; without a time: alone */
	const char *alone;
	enum ctask_style style;
} outcomes[CTASK_OUTCOMES] = {
	[CTASK_OUTCOME_PENDING] = { "still stopping", "", "still stopping", CTASK_STYLE_NOTE },
	[CTASK_OUTCOME_CANCELLED] = { "cancelled", "", "cancelled", CTASK_STYLE_PLAIN },
	[CTASK_OUTCOME_ABSORBED] = { "taken back", ", as designed", "taken back, as designed",
				     CTASK_STYLE_PLAIN },
	[CTASK_OUTCOME_RETURNED] = { "returned a value instead,", "", "returned a value instead",
				     CTASK_STYLE_NOTE },
	[CTASK_OUTCOME_RAISED] = { "raised something else instead,", "",
				   "raised something else instead", CTASK_STYLE_NOTE },
	[CTASK_OUTCOME_SWALLOWED] = { "swallowed it, still running", "",
				      "swallowed it, still running", CTASK_STYLE_ALARM },
	[CTASK_OUTCOME_UNKNOWN] = { "ended", ", unknown how", "how it ended is not known",
				    CTASK_STYLE_DIM },
};

static bool goes_on(const struct ctask_cancellation *c)
{
	return c->outcome == CTASK_OUTCOME_PENDING || c->outcome == CTASK_OUTCOME_SWALLOWED;
}

/* It was found by a look that came so late that hardly more than the longest time is known. */
static bool is_rough(const struct ctask_cancellation *c)
{
	return !goes_on(c) && c->resolution_s > c->after_s / 2;
}

/* How long ago it ended, or how long it has been going on. */
static double time_of(const struct ctask_history *history, const struct ctask_cancellation *c)
{
	if (goes_on(c))
		return c->time_us > 0 && history->read_at_us > c->time_us
			       ? (double)(history->read_at_us - c->time_us) / 1e6
			       : NAN;
	return c->after_s;
}

void ctask_reason_outcome(struct ctask_line *line, const struct ctask_history *history,
			  struct ctask_alike alike)
{
	enum ctask_outcome outcome = history->items[alike.tasks[0]].outcome;
	uint64_t repeats = 0;
	double low = NAN, high = NAN;
	bool rough = false;

	for (uint32_t i = 0; i < alike.count; i++) {
		const struct ctask_cancellation *c = &history->items[alike.tasks[i]];
		double time = time_of(history, c);

		rough |= is_rough(c);
		low = fmin(low, time);
		high = fmax(high, time);
		if (c->repeats > repeats)
			repeats = c->repeats;
	}
	ctask_line_style(line, outcomes[outcome].style);
	if (isnan(low)) {
		ctask_line_words(line, outcomes[outcome].alone);
	} else {
		ctask_line_words(line, outcomes[outcome].before);
		ctask_line_words(line, rough ? " within " : " after ");
		ctask_reason_time(line, rough ? high : low, high);
		ctask_line_words(line, outcomes[outcome].behind);
	}
	if (repeats)
		ctask_line_format(line, ", asked %llu times", (unsigned long long)repeats + 1);
	ctask_line_style(line, CTASK_STYLE_PLAIN);
}
