/* stops.c - what is said beside a task of a request to stop it, and of how it was made. */
#include "cli/render/stops.h"

#include <math.h>

#include "analysis/story.h"
#include "cli/render/reasons.h"

/* --- requests to stop --- */

/* How long ago the requests of some tasks were made: the shortest time and the longest. */
static void put_ages(struct ctask_line *line, const struct ctask_snapshot *snap,
		     struct ctask_alike alike)
{
	double low = NAN, high = NAN;

	for (uint32_t i = 0; i < alike.count; i++) {
		const struct ctask_asking asking =
			ctask_asking_of(snap, &snap->tasks[alike.tasks[i]]);
		double age_s = ctask_asking_age_s(snap, &asking);

		low = fmin(low, age_s);
		high = fmax(high, age_s);
	}
	if (isnan(low))
		ctask_line_words(line, "some time");
	else
		ctask_reason_time(line, low, high);
}

/* Who called cancel(), where the place in code does not tell. */
static const char *const callers[CTASK_REQUESTERS] = {
	[CTASK_REQUESTER_TASK] = "cancel()",
	[CTASK_REQUESTER_CALLBACK] = "cancel() in a callback",
	[CTASK_REQUESTER_RUNNER] = "cancel() outside of the loop",
	[CTASK_REQUESTER_SIGNAL] = "cancel() in a signal handler",
	[CTASK_REQUESTER_THREAD] = "cancel() in another thread",
};

static void because_called(struct ctask_line *line, const struct ctask_cancellation *c,
			   const struct ctask_frame *frame)
{
	if (!frame || !frame->name) {
		ctask_line_words(line, callers[c->requester_kind]);
		return;
	}
	ctask_line_words(line, "cancel() in ");
	ctask_line_text(line, frame->name);
}

static void because_failed(struct ctask_line *line, const struct ctask_cancellation *c,
			   const char *who)
{
	ctask_line_words(line, who);
	if (c->exception_type)
		ctask_line_text(line, c->exception_type);
	else
		ctask_line_words(line, "an exception");
}

/* "timeout, svc.py:66" */
static void put_cause(struct ctask_line *line, const struct ctask_history *history,
		      const struct ctask_cancellation *cause)
{
	uint32_t place = ctask_story_where(history, cause);
	const struct ctask_frame *frame =
		place < history->frame_count ? &history->frames[place] : NULL;

	switch (cause->origin) {
	case CTASK_ORIGIN_TIMEOUT:
		ctask_line_words(line, "timeout");
		break;
	case CTASK_ORIGIN_SIBLING_FAILED:
		because_failed(line, cause, "a child raised ");
		break;
	case CTASK_ORIGIN_OWNER_FAILED:
		because_failed(line, cause, "the group's body raised ");
		break;
	case CTASK_ORIGIN_OWNER_CANCELLED:
		ctask_line_words(line, "passed on");
		break;
	case CTASK_ORIGIN_SHUTDOWN:
		ctask_line_words(line, "shutdown");
		break;
	case CTASK_ORIGIN_INTERRUPT:
		ctask_line_words(line, "SIGINT");
		break;
	case CTASK_ORIGIN_EXPLICIT:
		because_called(line, cause, frame);
		break;
	default:
		ctask_line_words(line, "not explained: ");
		because_called(line, cause, frame);
		break;
	}
	if (!frame)
		return;
	ctask_line_words(line, ", ");
	ctask_words_place(line, frame);
}

/* What stands before the time, behind it, and behind the reason. */
static const struct {
	const char *before, *behind, *then;
	enum ctask_style style;
} with_time[] = {
	[CTASK_STOP_PENDING] = { "stopping: asked ", " ago", ", not delivered yet",
				 CTASK_STYLE_NOTE },
	[CTASK_STOP_HANDLED] = { "stopping: cleaning up for ", "", "", CTASK_STYLE_NOTE },
	[CTASK_STOP_OPEN] = { "stopping for ", "", "", CTASK_STYLE_NOTE },
	[CTASK_STOP_SWALLOWED] = { "asked to stop ", " ago", ", swallowed it, still running",
				   CTASK_STYLE_ALARM },
	[CTASK_STOP_PAST] = { "asked to stop ", " ago", ", goes on", CTASK_STYLE_NOTE },
};

/* The same by memory alone. */
static const struct {
	const char *asked, *then;
	enum ctask_style style;
} without_time[] = {
	[CTASK_STOP_PENDING] = { "asked to stop", ", not delivered yet", CTASK_STYLE_ALARM },
	[CTASK_STOP_HANDLED] = { "asked to stop", ", cleaning up", CTASK_STYLE_ALARM },
	[CTASK_STOP_PAST] = { "was asked to stop", ", goes on", CTASK_STYLE_NOTE },
};

void ctask_stop_put(struct ctask_line *line, const struct ctask_snapshot *snap,
		    struct ctask_alike alike)
{
	const struct ctask_asking asking = ctask_asking_of(snap, &snap->tasks[alike.tasks[0]]);

	if (asking.stop == CTASK_STOP_NONE)
		return;
	if (!asking.item) {
		ctask_line_style(line, without_time[asking.stop].style);
		ctask_line_words(line, without_time[asking.stop].asked);
		if (asking.times > 1)
			ctask_line_format(line, " %u times", asking.times);
		ctask_line_words(line, without_time[asking.stop].then);
		ctask_line_style(line, CTASK_STYLE_PLAIN);
		return;
	}
	ctask_line_style(line, with_time[asking.stop].style);
	ctask_line_words(line, with_time[asking.stop].before);
	if (asking.times > 1 && asking.stop == CTASK_STOP_SWALLOWED)
		ctask_line_format(line, "%u times, last ", asking.times);
	put_ages(line, snap, alike);
	ctask_line_words(line, with_time[asking.stop].behind);
	ctask_line_words(line, " (");
	put_cause(line, snap->history, asking.cause);
	ctask_line_words(line, ")");
	ctask_line_words(line, with_time[asking.stop].then);
	if (asking.times > 1 && asking.stop != CTASK_STOP_SWALLOWED)
		ctask_line_format(line, ", asked %u times", asking.times);
	ctask_line_style(line, CTASK_STYLE_PLAIN);
}

/* --- how it was made --- */

static const struct ctask_birth_facts *birth_of(const struct ctask_snapshot *snap,
						const struct ctask_task *task)
{
	return snap->history ? ctask_history_birth(snap->history, task->id) : NULL;
}

bool ctask_birth_is_known(const struct ctask_snapshot *snap, const struct ctask_task *task)
{
	return birth_of(snap, task) != NULL;
}

bool ctask_birth_put_maker(struct ctask_line *line, const struct ctask_snapshot *snap,
			   const struct ctask_lookup *tasks, const struct ctask_task *task)
{
	const struct ctask_birth_facts *birth = birth_of(snap, task);
	const struct ctask_frame *frame;
	uint32_t maker;

	if (!birth)
		return false;
	frame = birth->frame < snap->history->frame_count ? &snap->history->frames[birth->frame]
							  : NULL;
	maker = birth->creator ? ctask_lookup_get(tasks, birth->creator) : CTASK_NONE;
	if (maker != CTASK_NONE)
		ctask_reason_task(line, snap->tasks[maker].name,
				  frame && frame->name ? frame->name
						       : snap->tasks[maker].coroutine);
	else if (frame && frame->name)
		ctask_line_text(line, frame->name);
	else if (birth->creator)
		ctask_line_words(line, "a task that has ended");
	if (frame) {
		ctask_line_words(line, "  ");
		ctask_words_place(line, frame);
	}
	return frame || birth->creator;
}

void ctask_birth_put(struct ctask_line *line, const struct ctask_snapshot *snap,
		     const struct ctask_lookup *tasks, const struct ctask_task *task)
{
	const struct ctask_birth_facts *birth = birth_of(snap, task);
	double age_s = ctask_task_age_s(snap, task);

	if (!birth)
		return;
	ctask_line_words(line, "made");
	if (!isnan(age_s)) {
		ctask_line_words(line, " ");
		ctask_words_time(line, age_s);
		ctask_line_words(line, " ago");
	}
	if (birth->creator || birth->frame < snap->history->frame_count) {
		ctask_line_words(line, " by ");
		ctask_birth_put_maker(line, snap, tasks, task);
	}
}
