/* processes.c - the processes that can be looked into, one a line. */
#include "cli/render/columns.h"
#include "cli/render/words.h"
#include "model/cleanup.h"

static const struct ctask_process_entry *entry_of(const void *data, uint32_t row)
{
	return &((const struct ctask_process_list *)data)->entries[row];
}

static void add_pid(struct ctask_line *cell, const void *data, uint32_t row)
{
	ctask_line_format(cell, "%d", entry_of(data, row)->pid);
}

static void add_user(struct ctask_line *cell, const void *data, uint32_t row)
{
	const struct ctask_process_entry *e = entry_of(data, row);

	if (e->user)
		ctask_line_text(cell, e->user);
	else if (e->uid >= 0)
		ctask_line_format(cell, "%lld", (long long)e->uid);
	else
		ctask_line_words(cell, "-");
}

static void add_runtime(struct ctask_line *cell, const void *data, uint32_t row)
{
	const struct ctask_process_entry *e = entry_of(data, row);

	if (!e->implementation) {
		ctask_line_words(cell, "-");
		return;
	}
	ctask_line_text(cell, e->implementation);
	if (e->version) {
		ctask_line_words(cell, " ");
		ctask_line_text(cell, e->version);
	}
}

static void add_tasks(struct ctask_line *cell, const void *data, uint32_t row)
{
	const struct ctask_process_entry *e = entry_of(data, row);

	if (e->access != CTASK_ACCESS_YES || (!e->has_asyncio && !e->has_trio))
		ctask_line_words(cell, "-");
	else
		ctask_line_number(cell, e->task_count);
}

/* In short: the whole reason is in the JSON. */
static const char *const refusals[CTASK_ACCESS_WORDS] = {
	[CTASK_ACCESS_NOT_PERMITTED] = "no: needs CAP_SYS_PTRACE",
	[CTASK_ACCESS_NOT_SUPPORTED] = "no: unknown runtime",
	[CTASK_ACCESS_FAILED] = "no: cannot be read",
};

static void add_access(struct ctask_line *cell, const void *data, uint32_t row)
{
	const struct ctask_process_entry *e = entry_of(data, row);

	if (e->access == CTASK_ACCESS_YES) {
		ctask_line_words(cell,
				 e->has_asyncio || e->has_trio ? "yes" : "no asyncio, no trio");
		return;
	}
	ctask_line_style(cell, CTASK_STYLE_ALARM);
	ctask_line_words(cell, refusals[e->access]);
	ctask_line_style(cell, CTASK_STYLE_PLAIN);
}

static void add_command(struct ctask_line *cell, const void *data, uint32_t row)
{
	const struct ctask_process_entry *e = entry_of(data, row);

	ctask_words_cmdline(cell, e->cmdline, e->cmdline_count, 200);
}

static const struct ctask_column columns[] = {
	{ "PID", true, 0, add_pid },	       { "USER", false, 32, add_user },
	{ "RUNTIME", false, 32, add_runtime }, { "TASKS", true, 0, add_tasks },
	{ "ACCESS", false, 0, add_access },    { "COMMAND", false, 0, add_command },
};

int ctask_render_processes(const struct ctask_process_list *list,
			   const struct ctask_render_options *options, FILE *out,
			   struct ctask_error *err)
{
	return ctask_columns_put(columns, ARRAY_SIZE(columns), list, list->count, options, out,
				 err);
}
