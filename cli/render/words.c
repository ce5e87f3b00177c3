/* words.c - what is said about a task, the same in every text format. */
#include "cli/render/words.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/number.h"
#include "model/cleanup.h"

enum {
	CHAIN_MAX = 4,	/* functions in a chain; of a longer one the middle is counted */
	CHAIN_HEAD = 2, /* of these, outermost ones */
	NAMES_MAX = 3,	/* of tasks that are told together */
};

/* Append the first @p len bytes of @p text. */
static void add_part(struct ctask_line *line, const char *text, size_t len)
{
	auto_free char *part = strndup(text, len);

	if (part)
		ctask_line_text(line, part);
	else
		line->failed = true;
}

const char *ctask_words_dot(const struct ctask_line *line)
{
	return line->utf8 ? " · " : " - ";
}

void ctask_words_time(struct ctask_line *line, double seconds)
{
	if (isinf(seconds) || seconds > 1e9)
		ctask_line_words(line, "for ever");
	else if (seconds < 9.95)
		ctask_line_format(line, "%.1f s", seconds);
	else if (seconds < 120)
		ctask_line_format(line, "%.0f s", seconds);
	else if (seconds < 7200)
		ctask_line_format(line, "%d min %d s", (int)seconds / 60, (int)seconds % 60);
	else if (seconds < 172800)
		ctask_line_format(line, "%d h %d min", (int)seconds / 3600,
				  (int)seconds % 3600 / 60);
	else
		ctask_line_format(line, "%.0f days", seconds / 86400);
}

void ctask_words_duration(struct ctask_line *line, uint64_t us)
{
	if (us < 1000000)
		ctask_line_format(line, "%.1f ms", (double)us / 1e3);
	else
		ctask_line_format(line, "%.2f s", (double)us / 1e6);
}

/* What some names have in common: all of it, or what stands before the final digits. */
struct stem {
	ctask_text name; /* the first of them */
	size_t len;
	bool several; /* names, which differ in their digits */
};

static struct stem stem_of(ctask_text name)
{
	size_t len = strlen(name), stem = len;

	while (stem > 0 && name[stem - 1] >= '0' && name[stem - 1] <= '9')
		stem--;
	return (struct stem){ name, stem > 0 ? stem : len, false };
}

static bool is_automatic(const struct stem *stem)
{
	return stem->len == strlen("Task-") && stem->name[stem->len] &&
	       memcmp(stem->name, "Task-", stem->len) == 0;
}

struct name_list {
	struct stem stems[NAMES_MAX];
	uint32_t count;
	bool more; /* than there is room for, or that are worth saying */
};

/* Count @p stem to one of @p stems that is the same, or add it. False when there is no room. */
static bool collect_stem(struct stem *stems, uint32_t *count, const struct stem *stem)
{
	for (uint32_t i = 0; i < *count; i++) {
		struct stem *known = &stems[i];

		if (known->len != stem->len || memcmp(known->name, stem->name, stem->len) != 0)
			continue;
		known->several |= strcmp(known->name + stem->len, stem->name + stem->len) != 0;
		return true;
	}
	if (*count == NAMES_MAX)
		return false;
	stems[(*count)++] = *stem;
	return true;
}

static void collect_name(struct name_list *list, ctask_text name)
{
	struct stem stem = stem_of(name ? name : "");

	if (stem.len == 0 || is_automatic(&stem) || !collect_stem(list->stems, &list->count, &stem))
		list->more = true;
}

static bool put_names(struct ctask_line *line, const struct name_list *list)
{
	for (uint32_t i = 0; i < list->count; i++) {
		ctask_line_words(line, i ? ", " : "");
		if (list->stems[i].several) {
			add_part(line, list->stems[i].name, list->stems[i].len);
			ctask_line_words(line, "*");
		} else {
			ctask_line_text(line, list->stems[i].name);
		}
	}
	if (list->count && list->more)
		ctask_line_words(line, line->utf8 ? ", …" : ", ...");
	return list->count > 0;
}

bool ctask_words_names(struct ctask_line *line, const struct ctask_snapshot *snap,
		       struct ctask_alike alike)
{
	struct name_list list = { 0 };

	for (uint32_t i = 0; i < alike.count; i++)
		collect_name(&list, snap->tasks[alike.tasks[i]].name);
	return put_names(line, &list);
}

bool ctask_words_target_names(struct ctask_line *line, const struct ctask_history *history,
			      struct ctask_alike alike)
{
	struct name_list list = { 0 };

	for (uint32_t i = 0; i < alike.count; i++)
		collect_name(&list, history->items[alike.tasks[i]].target_name);
	return put_names(line, &list);
}

static const struct ctask_frame *frame_at(const struct ctask_snapshot *snap,
					  const struct ctask_task *task, uint32_t i)
{
	return &snap->frames[ctask_task_stack(snap, task)[i]];
}

const struct ctask_frame *ctask_words_frame(const struct ctask_snapshot *snap,
					    const struct ctask_task *task)
{
	for (uint32_t i = 0; i < task->stack_count; i++) {
		if (!frame_at(snap, task, i)->library)
			return frame_at(snap, task, i);
	}
	return task->stack_count ? frame_at(snap, task, task->stack_count - 1) : NULL;
}

static bool ends_with(const char *text, const char *end)
{
	size_t len = text ? strlen(text) : 0, end_len = strlen(end);

	return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

/* In what anyio puts a program's function to run it: that tells nothing of the function. */
static bool is_wrapper(const struct ctask_frame *frame)
{
	return frame->library && frame->filename && strstr(frame->filename, "/anyio/");
}

/* Where in the stack of a chain that has frames the outermost one to be told is. */
static uint32_t chain_first(const struct ctask_chain *chain)
{
	uint32_t last = chain->count - 1;

	if (is_wrapper(&chain->frames[chain->stack[last]]))
		for (uint32_t i = last; i-- > 0;)
			if (!chain->frames[chain->stack[i]].library)
				return i;
	return last;
}

/* The coroutine's own frame where it is the user's, else its name. */
ctask_text ctask_words_start(const struct ctask_chain *chain)
{
	const struct ctask_frame *outermost =
		chain->count ? &chain->frames[chain->stack[chain_first(chain)]] : NULL;

	if (outermost && (!outermost->library || !chain->coroutine))
		return outermost->name;
	return chain->coroutine;
}

static struct ctask_chain chain_of(const struct ctask_snapshot *snap, const struct ctask_task *task)
{
	return (struct ctask_chain){ snap->frames, ctask_task_stack(snap, task), task->stack_count,
				     task->coroutine };
}

ctask_text ctask_words_chain_start(const struct ctask_snapshot *snap, const struct ctask_task *task)
{
	const struct ctask_chain chain = chain_of(snap, task);

	return ctask_words_start(&chain);
}

bool ctask_words_is_of(ctask_text name, ctask_text function)
{
	size_t len = name ? strlen(name) : 0, end = function ? strlen(function) : 0;

	/* trio puts the module before it: "svc.handle". */
	return name && function && len >= end && strcmp(name + len - end, function) == 0 &&
	       (len == end || (end > 0 && name[len - end - 1] == '.'));
}

/*
 * Of many functions the outermost and the innermost ones are named:
 * "main › run › 17 more › query › execute".
 */
void ctask_words_put_chain(struct ctask_line *line, const struct ctask_chain *chain)
{
	const char *between = line->utf8 ? " › " : " > ";
	uint32_t first = chain->count ? chain_first(chain) : 0;
	uint32_t count = 1, hidden = 0, n = 1;

	ctask_line_text(line, ctask_words_start(chain));
	for (uint32_t i = 0; i < first; i++)
		count += !chain->frames[chain->stack[i]].library;
	if (count > CHAIN_MAX + 1)
		hidden = count - CHAIN_MAX;
	for (uint32_t i = first; i-- > 0;) {
		const struct ctask_frame *frame = &chain->frames[chain->stack[i]];

		if (frame->library)
			continue;
		if (n == CHAIN_HEAD && hidden) {
			ctask_line_words(line, between);
			ctask_line_format(line, "%u more", hidden);
		}
		if (n < CHAIN_HEAD || n >= CHAIN_HEAD + hidden) {
			ctask_line_words(line, between);
			ctask_line_text(line, frame->name);
		}
		n++;
	}
}

void ctask_words_chain(struct ctask_line *line, const struct ctask_snapshot *snap,
		       const struct ctask_task *task)
{
	const struct ctask_chain chain = chain_of(snap, task);

	ctask_words_put_chain(line, &chain);
}

ctask_text ctask_words_short_file(ctask_text filename)
{
	ctask_text name = strrchr(filename, '/');

	if (!name || !name[1])
		return filename;
	name++;
	if (strncmp(name, "__", 2) != 0) /* __init__.py, __main__.py: whose? */
		return name;
	for (name--; name > filename && name[-1] != '/'; name--)
		;
	return name;
}

static void place(struct ctask_line *line, ctask_text file, uint32_t line_number)
{
	ctask_line_text(line, file);
	if (line_number == 0)
		return;
	ctask_line_words(line, ":");
	ctask_line_number(line, line_number);
}

void ctask_words_place(struct ctask_line *line, const struct ctask_frame *frame)
{
	place(line, frame->filename ? ctask_words_short_file(frame->filename) : "?", frame->line);
}

void ctask_words_full_place(struct ctask_line *line, const struct ctask_frame *frame)
{
	place(line, frame->filename ? frame->filename : "?", frame->line);
}

/* A number of a text, and its least and greatest in all texts that are alike, as they wrote it. */
struct range {
	struct ctask_number at, low, high;
};

static double value(const struct ctask_number *number)
{
	return strtod(number->at, NULL);
}

static void widen(struct range *range, const struct ctask_number *number)
{
	if (number->len == range->at.len && memcmp(number->at, range->at.at, number->len) == 0)
		return;
	if (value(number) < value(&range->low))
		range->low = *number;
	else if (value(number) > value(&range->high))
		range->high = *number;
}

/* So the text of a wait ends that the deadline of a cancel scope limits. */
static const char deadline[] = ", deadline";

bool ctask_words_is_deadline(const struct ctask_task *task)
{
	return !isnan(task->wait_left_s) && ends_with(task->wait_text, deadline);
}

/*
 * The wait text of the first from @p at on, but for its deadline, with "3 to 7" for a number that is not the
 * same in all.
 */
static void wait_text(struct ctask_line *line, const struct ctask_snapshot *snap,
		      struct ctask_alike alike, const char *at)
{
	ctask_text text = snap->tasks[alike.tasks[0]].wait_text;
	const char *end = text + strlen(text);
	struct ctask_number numbers[CTASK_NUMBERS_MAX];
	struct range ranges[CTASK_NUMBERS_MAX];
	size_t count = ctask_numbers_find(text, numbers);

	for (size_t n = 0; n < count; n++)
		ranges[n] = (struct range){ numbers[n], numbers[n], numbers[n] };
	for (uint32_t i = 1; i < alike.count && count > 0; i++) {
		ctask_text other = snap->tasks[alike.tasks[i]].wait_text;
		size_t others = other && other != text ? ctask_numbers_find(other, numbers) : 0;

		for (size_t n = 0; n < count && n < others; n++)
			widen(&ranges[n], &numbers[n]);
	}
	for (size_t n = 0; n < count; n++) {
		const struct range *r = &ranges[n];

		if (r->low.at == r->high.at || r->at.at < at)
			continue;
		add_part(line, at, (size_t)(r->at.at - at));
		add_part(line, r->low.at, r->low.len);
		ctask_line_words(line, " to ");
		add_part(line, r->high.at, r->high.len);
		at = r->at.at + r->at.len;
	}
	if (ctask_words_is_deadline(&snap->tasks[alike.tasks[0]]))
		end -= strlen(deadline);
	add_part(line, at, (size_t)(end - at));
}

static void time_range(struct ctask_line *line, double low, double high)
{
	bool one_unit = low < 120 && high < 120;

	if (one_unit && low < 9.95 && high >= 9.95)
		ctask_line_format(line, "%.1f to ", low);
	else if (one_unit && high - low >= 0.1)
		ctask_line_format(line, low < 9.95 ? "%.1f to " : "%.0f to ", low);
	else if (!one_unit && high - low >= 1) {
		ctask_words_time(line, low);
		ctask_line_words(line, " to ");
	}
	ctask_words_time(line, high);
}

static void put_left(struct ctask_line *line, const struct ctask_snapshot *snap,
		     struct ctask_alike alike)
{
	bool is_deadline = ctask_words_is_deadline(&snap->tasks[alike.tasks[0]]);
	double low = INFINITY, high = -INFINITY;

	for (uint32_t i = 0; i < alike.count; i++) {
		double left = snap->tasks[alike.tasks[i]].wait_left_s;

		if (isnan(left))
			continue;
		low = fmin(low, left);
		high = fmax(high, left);
	}
	if (low > high)
		return;
	if (is_deadline)
		ctask_line_words(line, high < 0 ? "deadline " : "deadline in ");
	if (high < 0) {
		time_range(line, -high, -low);
		ctask_line_words(line, " overdue");
		return;
	}
	time_range(line, fmax(low, 0), high);
	if (isfinite(high) && !is_deadline)
		ctask_line_words(line, " left");
}

/* What the time in a wait text is of, where it says so: "gather of 2, wait_for 5 s". NULL: it does not. */
static const char *find_limit(ctask_text text)
{
	static const char *const limits[] = { ", wait_for", ", timeout" };
	const char *found = NULL;

	for (size_t i = 0; text && i < ARRAY_SIZE(limits); i++) {
		for (const char *at = strstr(text, limits[i]); at; at = strstr(at + 1, limits[i]))
			found = at > found ? at : found;
	}
	return found ? found + strlen(", ") : NULL;
}

void ctask_words_left(struct ctask_line *line, const struct ctask_snapshot *snap,
		      struct ctask_alike alike)
{
	const struct ctask_task *task = &snap->tasks[alike.tasks[0]];
	const char *limit = ctask_words_is_deadline(task) ? NULL : find_limit(task->wait_text);

	if (limit) {
		wait_text(line, snap, alike, limit);
		ctask_line_words(line, ", ");
	}
	put_left(line, snap, alike);
}

void ctask_words_wait(struct ctask_line *line, const struct ctask_snapshot *snap,
		      struct ctask_alike alike, bool with_left)
{
	const struct ctask_task *task = &snap->tasks[alike.tasks[0]];

	if (task->wait_kind == CTASK_WAIT_NONE || task->wait_kind >= CTASK_WAIT_KINDS)
		return;
	if (task->wait_text)
		wait_text(line, snap, alike, task->wait_text);
	else
		ctask_line_words(line, ctask_wait_kind_words[task->wait_kind]);
	if (isnan(task->wait_left_s) || !with_left)
		return;
	ctask_line_words(line, ctask_words_is_deadline(task) ? ctask_words_dot(line) : ", ");
	put_left(line, snap, alike);
}

void ctask_words_cmdline(struct ctask_line *line, const ctask_text *words, uint32_t count,
			 uint32_t columns)
{
	uint32_t end = line->width + columns;
	uint32_t limit = line->limit;

	if (end < limit)
		line->limit = end;
	for (uint32_t i = 0; i < count && !line->is_cut; i++) {
		if (i)
			ctask_line_words(line, " ");
		ctask_line_text(line, words[i]);
	}
	if (line->limit != limit)
		ctask_line_extend(line, limit);
}
