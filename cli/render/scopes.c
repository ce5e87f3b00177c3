/* scopes.c - what is said beside a task of the scopes that it is inside of. */
#include "cli/render/scopes.h"

#include <math.h>

#include "analysis/standing.h"

enum { TOLD_MAX = 3 }; /* of one task; more are counted */

static const char *const words[CTASK_SCOPE_KINDS] = {
	[CTASK_SCOPE_TASK_GROUP] = "task group",
	[CTASK_SCOPE_TIMEOUT] = "timeout",
	[CTASK_SCOPE_NURSERY] = "nursery",
	[CTASK_SCOPE_CANCEL_SCOPE] = "cancel scope",
};

uint32_t ctask_scopes_telling(const struct ctask_snapshot *snap, const struct ctask_groups *owned,
			      uint32_t task)
{
	uint32_t count = 0;

	for (uint32_t i = owned->first[task]; i < owned->first[task + 1]; i++)
		count += ctask_scope_tells(snap, &snap->scopes[owned->items[i]]);
	return count;
}

static void put_deadline(struct ctask_line *line, double in_s)
{
	if (isnan(in_s))
		return;
	ctask_line_words(line, ", ");
	ctask_words_time(line, fabs(in_s));
	ctask_line_words(line, in_s < 0 ? " overdue" : " left");
}

/* @p several: it stands for those of several tasks, whose times and reasons differ. */
static void put_scope(struct ctask_line *line, const struct ctask_scope *scope, bool several)
{
	ctask_line_words(line, words[scope->kind]);
	if (scope->cancel_called) {
		ctask_line_words(line, " ");
		ctask_line_style(line, CTASK_STYLE_ALARM);
		ctask_line_words(line, "cancelled");
		ctask_line_style(line, CTASK_STYLE_PLAIN);
		if (scope->reason && !several) {
			ctask_line_words(line, " (");
			ctask_line_text(line, scope->reason);
			ctask_line_words(line, ")");
		}
	} else if (!several) {
		put_deadline(line, scope->deadline_in_s);
	} else if (!isnan(scope->deadline_in_s)) {
		ctask_line_words(line, " with a deadline");
	}
	if (scope->shield)
		ctask_line_words(line, ", shielded");
}

void ctask_scopes_put(struct ctask_line *line, const struct ctask_snapshot *snap,
		      const struct ctask_groups *owned, struct ctask_alike alike)
{
	const uint32_t task = alike.tasks[0];
	uint32_t told = 0, count = ctask_scopes_telling(snap, owned, task);

	for (uint32_t i = owned->first[task]; i < owned->first[task + 1] && told < TOLD_MAX; i++) {
		const struct ctask_scope *scope = &snap->scopes[owned->items[i]];

		if (!ctask_scope_tells(snap, scope))
			continue;
		if (told++)
			ctask_line_words(line, ctask_words_dot(line));
		put_scope(line, scope, alike.count > 1);
	}
	if (count > told)
		ctask_line_format(line, "%s%u more scopes", ctask_words_dot(line), count - told);
}
