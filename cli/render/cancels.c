/* cancels.c - a history of cancellations as text: each story its reason, and below it whom it reached. */
#include "cli/render/cancels.h"

#include <string.h>

#include "cli/render/line.h"
#include "cli/render/reasons.h"
#include "cli/render/words.h"
#include "model/cleanup.h"
#include "model/lookup.h"

enum {
	LEVELS_MAX = 24, /* deeper lines stand at this level, and say their depth */
	GAP = 2,
	ALIGN_COLUMN_MAX = 76,
	OUTCOME_LEAST = 16, /* columns for how it ended, before who it was is cut more */
	FINE_US = 10000000, /* within this time, fractions of seconds are shown */
	NAMED_MAX = 3,	    /* of the tasks that swallowed a request */
	CMDLINE_COLUMNS = 72,
	CONTAINER_DIGITS = 64,
};

struct strokes {
	const char *branch, *end, *through, *none, *edge;
};

static const struct strokes utf8_strokes = { "├─ ", "└─ ", "│  ", "   ", " ── " };
static const struct strokes ascii_strokes = { "|- ", "`- ", "|  ", "   ", " -- " };

struct drawing {
	const struct ctask_cancels *cancels;
	const struct ctask_history *history;
	const struct ctask_stories *stories;
	const struct ctask_render_options *options;
	const struct strokes *strokes;
	FILE *out;
	struct ctask_line line, outcome;
	uint32_t outcome_column;
	bool through[LEVELS_MAX + 1]; /* a stroke runs through this level */
};

static void begin(struct drawing *d)
{
	ctask_line_begin(&d->line, d->options->width ? d->options->width : CTASK_LINE_UNCUT);
}

/* What one has to read whole is not cut: a terminal goes on in its next line. */
static void begin_whole(struct drawing *d)
{
	ctask_line_begin(&d->line, CTASK_LINE_UNCUT);
}

static void put(struct drawing *d)
{
	ctask_line_put(&d->line, d->out);
}

static void dot(struct ctask_line *line)
{
	ctask_line_words(line, ctask_words_dot(line));
}

static struct ctask_alike members_of(const struct drawing *d, const struct ctask_story_line *line)
{
	return (struct ctask_alike){ d->stories->members + line->members_first,
				     line->member_count };
}

static const struct ctask_cancellation *first_of(const struct drawing *d,
						 const struct ctask_story_line *line)
{
	return &d->history->items[d->stories->members[line->members_first]];
}

/* --- a line of a story --- */

/* Strokes of the levels down to @p depth. */
static void add_levels(struct drawing *d, uint32_t depth)
{
	for (uint32_t i = 0; i < depth && i < LEVELS_MAX; i++)
		ctask_line_words(&d->line, d->through[i] ? d->strokes->through : d->strokes->none);
}

static void add_branch(struct drawing *d, const struct ctask_story_line *line)
{
	const struct ctask_cancellation *c = first_of(d, line);

	ctask_line_style(&d->line, CTASK_STYLE_DIM);
	add_levels(d, line->depth);
	ctask_line_words(&d->line, line->last ? d->strokes->end : d->strokes->branch);
	if (line->depth > LEVELS_MAX)
		ctask_line_format(&d->line, "[%u] ", line->depth);
	if (line->depth && c->through != CTASK_THROUGH_NONE) {
		ctask_line_words(&d->line, ctask_through_words[c->through]);
		ctask_line_words(&d->line, d->strokes->edge);
	} else if (line->depth) {
		ctask_line_words(&d->line, ctask_origin_words[c->origin]);
		ctask_line_words(&d->line, d->strokes->edge);
	}
	ctask_line_style(&d->line, CTASK_STYLE_PLAIN);
}

/* Where it stood: "handler › fetch  svc.py:31 › StreamReader.read". */
static void add_where(struct drawing *d, const struct ctask_cancellation *c)
{
	const struct ctask_chain chain = ctask_reason_chain(d->history, c);
	uint32_t place = ctask_story_place(d->history, &c->target_stack);
	uint32_t call = ctask_story_call(d->history, &c->target_stack);

	ctask_words_put_chain(&d->line, &chain);
	if (place == CTASK_NONE)
		return;
	ctask_line_words(&d->line, "  ");
	ctask_line_style(&d->line, CTASK_STYLE_PLACE);
	ctask_words_place(&d->line, &d->history->frames[place]);
	ctask_line_style(&d->line, CTASK_STYLE_DIM);
	if (call != CTASK_NONE) {
		ctask_line_words(&d->line, d->line.utf8 ? " › " : " > ");
		ctask_line_text(&d->line, d->history->frames[call].name);
	}
	ctask_line_style(&d->line, CTASK_STYLE_PLAIN);
}

/* Their names say no more than the function that each of them runs. */
static bool names_begin_chains(const struct drawing *d, struct ctask_alike alike)
{
	for (uint32_t i = 0; i < alike.count; i++) {
		const struct ctask_cancellation *c = &d->history->items[alike.tasks[i]];
		const struct ctask_chain chain = ctask_reason_chain(d->history, c);

		if (!ctask_words_is_of(c->target_name, ctask_words_start(&chain)))
			return false;
	}
	return true;
}

static void add_task(struct drawing *d, const struct ctask_story_line *line)
{
	const struct ctask_cancellation *c = first_of(d, line);
	bool named = true;

	add_branch(d, line);
	if (line->member_count > 1) {
		ctask_line_number(&d->line, line->member_count);
		ctask_line_words(&d->line, "*[");
	} else if (d->options->ids) {
		ctask_line_format(&d->line, "%llu  ", (unsigned long long)c->id);
		ctask_line_id(&d->line, c->target);
		ctask_line_words(&d->line, "  ");
	}
	ctask_line_style(&d->line, CTASK_STYLE_NAME);
	if (names_begin_chains(d, members_of(d, line)))
		named = false;
	else if (line->member_count > 1)
		named = ctask_words_target_names(&d->line, d->history, members_of(d, line));
	else
		ctask_line_text(&d->line, c->target_name ? c->target_name : "?");
	ctask_line_style(&d->line, CTASK_STYLE_PLAIN);
	ctask_line_words(&d->line, named ? "  " : "");
	add_where(d, c);
	if (line->member_count > 1)
		ctask_line_words(&d->line, "]");
}

static void add_outcome(struct drawing *d, const struct ctask_story_line *line)
{
	ctask_line_begin(&d->outcome, CTASK_LINE_UNCUT);
	ctask_reason_outcome(&d->outcome, d->history, members_of(d, line));
}

static void draw_frames(struct drawing *d, const struct ctask_stack *stack, uint32_t depth,
			bool through)
{
	const uint32_t *frames = ctask_history_stack(d->history, stack);

	for (uint32_t i = stack->count + (stack->cut > 0); i-- > 0;) {
		begin(d);
		ctask_line_style(&d->line, CTASK_STYLE_DIM);
		add_levels(d, depth);
		ctask_line_words(&d->line, through ? d->strokes->through : d->strokes->none);
		if (i == stack->count) {
			ctask_line_format(&d->line, "(%u more frames were not recorded)",
					  stack->cut);
		} else {
			const struct ctask_frame *frame = &d->history->frames[frames[i]];

			if (!frame->library)
				ctask_line_style(&d->line, CTASK_STYLE_PLAIN);
			ctask_line_text(&d->line, frame->name ? frame->name : "?");
			ctask_line_words(&d->line, "  ");
			if (!frame->library)
				ctask_line_style(&d->line, CTASK_STYLE_PLACE);
			ctask_words_full_place(&d->line, frame);
		}
		put(d);
	}
}

static void draw_line(struct drawing *d, const struct ctask_story_line *line)
{
	uint32_t width = d->options->width, room, outcome;

	add_outcome(d, line);
	begin(d);
	if (width) { /* how it ended is seen whole, if there is any room for it */
		outcome = GAP + d->outcome.width;
		room = width > outcome + OUTCOME_LEAST ? width - outcome : width / 2;
		ctask_line_begin(&d->line, room);
	}
	add_task(d, line);
	if (width)
		ctask_line_extend(&d->line, width);
	ctask_line_pad(&d->line, d->line.width + GAP);
	if (!width || d->outcome_column + d->outcome.width <= width)
		ctask_line_pad(&d->line, d->outcome_column);
	if (!width || d->line.width + d->outcome.width <= width)
		ctask_line_append(&d->line, &d->outcome);
	else
		ctask_reason_outcome(&d->line, d->history, members_of(d, line));
	put(d);
	if (line->depth < LEVELS_MAX)
		d->through[line->depth] = !line->last;
	if (d->options->frames)
		draw_frames(d, &first_of(d, line)->target_stack, line->depth + 1,
			    line->child_count > 0);
}

/* --- a story --- */

static void add_times(struct drawing *d, const struct ctask_story *story)
{
	if (story->times < 2)
		return;
	ctask_line_words(&d->line, "  ");
	ctask_line_style(&d->line, CTASK_STYLE_NOTE);
	ctask_line_format(&d->line, "%u times since ", story->times);
	ctask_reason_clock(&d->line, story->first_us, d->history->read_at_us,
			   d->history->items[story->item].time_us - story->first_us < FINE_US);
	if (story->outcome_counts[CTASK_OUTCOME_SWALLOWED]) {
		ctask_line_words(&d->line, ", ");
		ctask_line_style(&d->line, CTASK_STYLE_ALARM);
		ctask_line_format(&d->line, "%u swallowed it in all",
				  story->outcome_counts[CTASK_OUTCOME_SWALLOWED]);
	}
	ctask_line_style(&d->line, CTASK_STYLE_PLAIN);
}

static void draw_story(struct drawing *d, const struct ctask_story *story)
{
	const struct ctask_cancellation *item = &d->history->items[story->item];

	begin_whole(d);
	ctask_line_style(&d->line, CTASK_STYLE_DIM);
	ctask_reason_clock(&d->line, item->time_us, d->history->read_at_us, true);
	ctask_line_words(&d->line, "  ");
	ctask_reason_put(&d->line, d->history, d->stories, story);
	add_times(d, story);
	if (d->cancels->told_before) {
		dot(&d->line);
		ctask_line_words(&d->line, "told before, more came of it");
	}
	put(d);
	if (d->options->frames && item->stack.count) {
		begin(d);
		ctask_line_style(&d->line, CTASK_STYLE_DIM);
		ctask_line_words(&d->line, d->strokes->through);
		ctask_line_words(&d->line, "asked by this call:");
		put(d);
		draw_frames(d, &item->stack, 0, true);
	}
	for (uint32_t i = 0; i < story->line_count; i++)
		draw_line(d, &d->stories->lines[story->line_first + i]);
}

/* How things ended stands in one column, as far right as the lines need, but not too far. */
static void choose_column(struct drawing *d, uint32_t first, uint32_t count)
{
	uint32_t most = d->options->width ? d->options->width * 6 / 10 : ALIGN_COLUMN_MAX;

	for (uint32_t i = first; i < first + count; i++) {
		ctask_line_begin(&d->line, CTASK_LINE_UNCUT);
		add_task(d, &d->stories->lines[i]);
		if (d->line.width + GAP > d->outcome_column && d->line.width + GAP <= most)
			d->outcome_column = d->line.width + GAP;
	}
}

/* --- all in all --- */

static void add_count(struct ctask_line *line, uint64_t count, const char *one, const char *more)
{
	ctask_line_number(line, count);
	ctask_line_words(line, " ");
	ctask_line_words(line, count == 1 ? one : more);
}

/* As people are used to see it: of 64 digits the first 12. */
static void add_container(struct ctask_line *line, ctask_text container)
{
	if (strspn(container, "0123456789abcdef") == CONTAINER_DIGITS &&
	    !container[CONTAINER_DIGITS])
		ctask_line_format(line, "%.12s", container);
	else
		ctask_line_text(line, container);
}

static void draw_heading(struct drawing *d)
{
	const struct ctask_process *p = d->cancels->process;
	struct ctask_line *line = &d->line;

	begin_whole(d);
	ctask_line_style(line, CTASK_STYLE_NAME);
	ctask_words_cmdline(line, p->cmdline, p->cmdline_count, CMDLINE_COLUMNS);
	ctask_line_style(line, CTASK_STYLE_DIM);
	ctask_line_words(line, p->cmdline_count ? "   " : "");
	ctask_line_format(line, "pid %d", p->pid);
	if (p->nspid > 0 && p->nspid != p->pid)
		ctask_line_format(line, " (%d in its container)", p->nspid);
	if (d->history->container) {
		dot(line);
		ctask_line_words(line, "container ");
		add_container(line, d->history->container);
	}
	if (d->history->python_version[0]) {
		dot(line);
		ctask_line_words(line, "CPython ");
		ctask_line_text(line, d->history->python_version);
	}
	dot(line);
	ctask_line_words(line, "recorded since ");
	ctask_reason_clock(line, d->history->since_us, d->history->read_at_us, false);
	if (d->cancels->missed > 0) {
		dot(line);
		ctask_line_style(line, CTASK_STYLE_NOTE);
		add_count(line, (uint64_t)d->cancels->missed, "request before was missed",
			  "requests before were missed");
	}
	put(d);
}

/* Tasks that run one function and swallowed a request. */
struct swallowers {
	const struct ctask_cancellation *first;
	ctask_text function;
	uint32_t count;
};

static bool same_text(ctask_text a, ctask_text b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool is_swallower(const struct drawing *d, uint32_t item)
{
	return d->stories->told[item] && d->history->items[item].outcome == CTASK_OUTCOME_SWALLOWED;
}

/* Who swallowed a request and runs on: "report (Task-7), 3*poll"; a task that did it twice is one. */
static void add_swallowers(struct drawing *d)
{
	const struct ctask_cancellation *items = d->history->items;
	struct swallowers known[NAMED_MAX];
	auto_lookup tasks = { 0 };
	uint32_t count = 0, i, n;
	bool more = false;

	for (i = 0; i < d->history->count; i++) {
		if (is_swallower(d, i) && ctask_lookup_add(&tasks, items[i].target, i))
			d->line.failed = true;
	}
	ctask_lookup_sort(&tasks);
	for (i = 0; i < d->history->count; i++) {
		struct ctask_chain chain = ctask_reason_chain(d->history, &items[i]);
		ctask_text function = ctask_words_start(&chain);

		if (!is_swallower(d, i) ||
		    (items[i].target && ctask_lookup_get(&tasks, items[i].target) != i))
			continue;
		for (n = 0; n < count; n++) {
			if (same_text(known[n].function, function))
				break;
		}
		if (n < count)
			known[n].count++;
		else if (count < NAMED_MAX)
			known[count++] = (struct swallowers){ &items[i], function, 1 };
		else
			more = true;
	}
	for (n = 0; n < count; n++) {
		ctask_line_words(&d->line, n ? ", " : " by ");
		if (known[n].count > 1)
			ctask_line_format(&d->line, "%u*", known[n].count);
		ctask_reason_task(&d->line, known[n].count > 1 ? NULL : known[n].first->target_name,
				  known[n].function);
	}
	if (more)
		ctask_line_words(&d->line, d->line.utf8 ? ", …" : ", ...");
}

/* How many ended how: what somebody should look after comes first. */
static void add_outcomes(struct drawing *d)
{
	static const struct {
		enum ctask_outcome outcome;
		const char *words;
		enum ctask_style style;
	} parts[] = {
		{ CTASK_OUTCOME_SWALLOWED, "swallowed", CTASK_STYLE_ALARM },
		{ CTASK_OUTCOME_PENDING, "still stopping", CTASK_STYLE_NOTE },
		{ CTASK_OUTCOME_RAISED, "raised something else instead", CTASK_STYLE_NOTE },
		{ CTASK_OUTCOME_RETURNED, "returned a value instead", CTASK_STYLE_NOTE },
		{ CTASK_OUTCOME_UNKNOWN, "ended nobody knows how", CTASK_STYLE_PLAIN },
	};
	const uint32_t *counts = d->stories->outcome_counts;
	uint32_t good = counts[CTASK_OUTCOME_CANCELLED] + counts[CTASK_OUTCOME_ABSORBED];
	const char *before = ": ";

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		if (!counts[parts[i].outcome])
			continue;
		ctask_line_words(&d->line, before);
		ctask_line_style(&d->line, parts[i].style);
		ctask_line_format(&d->line, "%u %s", counts[parts[i].outcome], parts[i].words);
		if (parts[i].outcome == CTASK_OUTCOME_SWALLOWED)
			add_swallowers(d);
		ctask_line_style(&d->line, CTASK_STYLE_PLAIN);
		before = ", ";
	}
	if (good == d->stories->record_count)
		ctask_line_words(&d->line,
				 good == 1 ? ": it ended as asked" : ": all ended as asked");
	else if (good)
		ctask_line_format(&d->line, "%s%u ended as asked", before, good);
}

/* What one has to know before anything else. */
static void draw_verdict(struct drawing *d)
{
	const struct ctask_stories *s = d->stories;
	struct ctask_line *line = &d->line;

	begin_whole(d);
	if (s->record_count == 0) {
		ctask_line_words(line, d->cancels->narrowed  ? "no such cancellation"
				       : d->history->dropped ? "no cancellation is on record"
							     : "nothing has been cancelled");
	} else {
		add_count(line, s->record_count, "request to stop", "requests to stop");
		ctask_line_words(line, ", from ");
		add_count(line, s->happened, "event", "events");
		add_outcomes(d);
	}
	if (d->history->dropped) {
		dot(line);
		ctask_line_style(line, CTASK_STYLE_NOTE);
		ctask_line_number(line, d->history->dropped);
		ctask_line_words(line, d->history->dropped == 1 ? " is" : " are");
		ctask_line_words(line, " missing: no longer kept, or not recorded");
		ctask_line_style(line, CTASK_STYLE_PLAIN);
	}
	put(d);
}

static void drawing_init(struct drawing *d, const struct ctask_cancels *cancels,
			 const struct ctask_render_options *options, FILE *out)
{
	*d = (struct drawing){
		.cancels = cancels,
		.history = cancels->history,
		.stories = cancels->stories,
		.options = options,
		.strokes = options->utf8 ? &utf8_strokes : &ascii_strokes,
		.out = out,
		.line = { .utf8 = options->utf8, .color = options->color },
		.outcome = { .utf8 = options->utf8, .color = options->color },
	};
}

static int drawing_fini(struct drawing *d, struct ctask_error *err)
{
	bool failed = d->line.failed || d->outcome.failed;

	ctask_line_fini(&d->line);
	ctask_line_fini(&d->outcome);
	return failed ? ctask_fail(err, ENOMEM, "out of memory") : 0;
}

int ctask_render_cancels(const struct ctask_cancels *cancels,
			 const struct ctask_render_options *options, FILE *out,
			 struct ctask_error *err)
{
	const struct ctask_stories *s = cancels->stories;
	uint32_t first =
		cancels->has_last && cancels->last < s->count ? s->count - cancels->last : 0;
	struct drawing d;

	drawing_init(&d, cancels, options, out);
	draw_heading(&d);
	draw_verdict(&d);
	if (first < s->count)
		choose_column(&d, s->stories[first].line_first,
			      s->line_count - s->stories[first].line_first);
	if (first && first < s->count) {
		begin(&d);
		ctask_line_style(&d.line, CTASK_STYLE_DIM);
		ctask_line_format(&d.line, "the last %u of %u kinds of event:", s->count - first,
				  s->count);
		put(&d);
	}
	for (uint32_t i = first; i < s->count; i++) {
		fputc_unlocked('\n', out);
		draw_story(&d, &s->stories[i]);
	}
	return drawing_fini(&d, err);
}

int ctask_render_heading(const struct ctask_cancels *cancels,
			 const struct ctask_render_options *options, FILE *out,
			 struct ctask_error *err)
{
	struct drawing d;

	drawing_init(&d, cancels, options, out);
	fputc_unlocked('\n', out);
	draw_heading(&d);
	return drawing_fini(&d, err);
}

int ctask_render_story(const struct ctask_cancels *cancels, uint32_t story,
		       const struct ctask_render_options *options, FILE *out,
		       struct ctask_error *err)
{
	const struct ctask_story *s = &cancels->stories->stories[story];
	struct drawing d;

	drawing_init(&d, cancels, options, out);
	choose_column(&d, s->line_first, s->line_count);
	if (!cancels->below_heading)
		fputc_unlocked('\n', out);
	draw_story(&d, s);
	return drawing_fini(&d, err);
}

int ctask_render_outcome(const struct ctask_cancels *cancels, uint32_t item,
			 const struct ctask_render_options *options, FILE *out,
			 struct ctask_error *err)
{
	const struct ctask_cancellation *c = &cancels->history->items[item];
	struct drawing d;

	drawing_init(&d, cancels, options, out);
	fputc_unlocked('\n', out);
	begin_whole(&d);
	ctask_line_style(&d.line, CTASK_STYLE_DIM);
	ctask_reason_clock(&d.line, cancels->history->read_at_us, cancels->history->read_at_us,
			   true);
	ctask_line_style(&d.line, CTASK_STYLE_NAME);
	ctask_line_words(&d.line, "  ");
	ctask_reason_target(&d.line, cancels->history, c);
	ctask_line_style(&d.line, CTASK_STYLE_PLAIN);
	ctask_line_words(&d.line, " ");
	ctask_reason_outcome(&d.line, cancels->history, (struct ctask_alike){ &item, 1 });
	ctask_line_style(&d.line, CTASK_STYLE_DIM);
	ctask_line_words(&d.line, ": asked at ");
	ctask_reason_clock(&d.line, c->time_us, cancels->history->read_at_us, true);
	put(&d);
	return drawing_fini(&d, err);
}
