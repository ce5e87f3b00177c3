/* enrich.c - beside a snapshot, what the agent in the process recorded about its tasks. */
#include "reader/enrich.h"

#include "model/fit.h"
#include "reader/capture.h"

int ctask_enrich(struct ctask_snapshot *snap, struct ctask_history_reader *reader,
		 struct ctask_error *err)
{
	struct ctask_history *history = NULL, *births = NULL;
	int ret = ctask_history_read(reader, &history, err);

	if (!ret)
		ret = ctask_history_read_births(reader, &births, err);
	if (!ret && ctask_fit_births(history, snap, births))
		ret = ctask_fail(err, ENOMEM, "out of memory");
	ctask_history_destroy(births);
	if (ret) {
		ctask_history_destroy(history);
		return ret;
	}
	ctask_fit_running(history, snap);
	snap->history = history;
	return ctask_fit_history(snap) ? ctask_fail(err, ENOMEM, "out of memory") : 0;
}

int ctask_enrich_recorded(struct ctask_snapshot *snap, struct ctask_history_reader *reader,
			  bool goes_on, struct ctask_error *err)
{
	struct ctask_history *history = NULL;
	int ret = ctask_history_read(reader, &history, err);

	if (ret)
		return ret;
	if (goes_on)
		ctask_fit_running(history, snap);
	else
		ctask_fit_past(history, snap);
	snap->history = history;
	return ctask_fit_history(snap) ? ctask_fail(err, ENOMEM, "out of memory") : 0;
}

int ctask_enrich_process(struct ctask_snapshot *snap, pid_t pid, struct ctask_error *err)
{
	struct ctask_history_reader *reader = NULL;
	struct ctask_error why = { 0 };
	int ret;

	if (!snap->capture.agent)
		return 0;
	ret = ctask_history_reader_open(pid, &reader, &why);
	if (!ret)
		ret = ctask_enrich(snap, reader, &why);
	ctask_history_reader_close(reader);
	/* -ENOTSUP: a child has what its parent mapped. A process may end once its picture is taken. */
	if (!ret || ret == -ENOTSUP || ret == -EOWNERDEAD || ret == -ESRCH)
		return 0;
	if (ret == -ENOMEM ||
	    ctask_snapshot_add_problem(snap, 0, "what its agent recorded: %s", why.text))
		return ctask_fail(err, ENOMEM, "out of memory");
	return 0;
}

static bool has_pending(const struct ctask_history *history)
{
	for (uint32_t i = 0; i < history->count; i++)
		if (history->items[i].outcome == CTASK_OUTCOME_PENDING)
			return true;
	return false;
}

int ctask_enrich_pending(struct ctask_history **history, struct ctask_history_reader *reader,
			 struct ctask_error *err)
{
	const struct ctask_capture_options options = { 0 };
	struct ctask_history *later = NULL;
	struct ctask_snapshot *snap;
	int ret;

	if (!has_pending(*history) || ctask_capture_process((*history)->pid, &options, &snap, NULL))
		return 0;
	/* What is pending after the picture as before it was so meanwhile. */
	ret = ctask_history_read(reader, &later, err);
	if (!ret) {
		ctask_fit_running(later, snap);
		ctask_history_destroy(*history);
		*history = later;
	}
	ctask_snapshot_destroy(snap);
	return ret;
}
