/* facts.c - what is known of a function that stands on a stack: its row, and what its names say. */
#include "model/facts.h"

#include <stdio.h>
#include <string.h>

const struct ctask_code_facts ctask_no_facts = {
	.scope.slot = -1,
	.delay.slot = -1,
	.when.slot = -1,
	.failed.slot = -1,
	.exception.slot = -1,
	.main.slot = -1,
	.flag = -1,
};

static struct ctask_local local_of(const char *path, int (*slot_of)(void *arg, const char *name),
				   void *arg)
{
	struct ctask_local local = { .slot = -1 };
	const char *dot = path ? strchr(path, '.') : NULL;
	char name[32];

	if (!path)
		return local;
	snprintf(name, sizeof(name), "%.*s", dot ? (int)(dot - path) : (int)strlen(path), path);
	if (dot)
		snprintf(local.attribute, sizeof(local.attribute), "%s", dot + 1);
	local.slot = (int16_t)slot_of(arg, name);
	return local;
}

void ctask_facts_learn(struct ctask_code_facts *facts, const struct ctask_code_names *names,
		       int (*slot_of)(void *arg, const char *name), void *arg)
{
	const char *plain = names->plain, *module = names->module;
	const struct ctask_origin_row *row = ctask_origin_find(module, names->filename, plain);

	facts->row = row;
	facts->library = module != NULL;
	facts->runs_loops = module && !strcmp(module, "base_events.py");
	facts->is_wait_for = module && !strcmp(module, "tasks.py") && !strcmp(plain, "wait_for");
	facts->is_group_exit = module && !strcmp(module, "taskgroups.py") &&
			       (!strcmp(plain, "__aexit__") || !strcmp(plain, "_aexit"));
	facts->is_cancel = !strcmp(plain, "cancel");
	facts->is_exit = !strcmp(plain, "__aexit__") || !strcmp(plain, "__exit__") ||
			 !strcmp(plain, "_aexit");
	facts->is_enter = !strcmp(plain, "__aenter__") || !strcmp(plain, "__enter__");
	/* Condition.wait, to 3.12, while it gets its lock back. */
	if (module && !strcmp(module, "locks.py") && !strcmp(plain, "wait"))
		facts->flag = (int16_t)slot_of(arg, "cancelled");
	facts->may_handle_signal = (facts->arguments >= 2 || facts->takes_rest) &&
				   (!module || !strcmp(module, "runners.py"));
	if (!row)
		return;
	facts->main = local_of(row->main, slot_of, arg);
	facts->scope = local_of(row->scope, slot_of, arg);
	facts->delay = local_of(row->delay, slot_of, arg);
	facts->when = local_of(row->when, slot_of, arg);
	facts->failed = local_of(row->failed, slot_of, arg);
	facts->exception = local_of(row->exception, slot_of, arg);
}
