/* json_cancellation.c - requests to stop as JSON, one a line. */
#include "model/json_cancellation.h"

#include <stdlib.h>

#include "model/cleanup.h"

void ctask_json_frames_fini(struct ctask_json_frames *frames)
{
	free(frames->memory.bytes);
	free(frames->start);
	*frames = (struct ctask_json_frames){ 0 };
}

int ctask_json_frames_init(struct ctask_json_frames *f, const struct ctask_frame *places,
			   uint32_t count)
{
	f->start = malloc(((size_t)count + 1) * sizeof(*f->start));
	if (!f->start)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++) {
		f->memory.begun = true; /* no comma: each is an item by itself */
		f->start[i] = f->memory.len;
		ctask_json_begin_object(&f->memory, NULL);
		ctask_json_text(&f->memory, "name", places[i].name);
		ctask_json_text(&f->memory, "filename", places[i].filename);
		ctask_json_known_int(&f->memory, "line", places[i].line > 0, places[i].line);
		ctask_json_end_object(&f->memory);
	}
	f->start[count] = f->memory.len;
	return f->memory.failed ? -ENOMEM : 0;
}

void ctask_json_frame(struct ctask_json_writer *w, const char *key,
		      const struct ctask_json_frames *frames, uint32_t frame)
{
	ctask_json_raw(w, key, frames->memory.bytes + frames->start[frame],
		       frames->start[frame + 1] - frames->start[frame]);
}

static void write_id(struct ctask_json_writer *w, const char *key, uint64_t id)
{
	if (id)
		ctask_json_id(w, key, id);
	else
		ctask_json_null(w, key);
}

static void write_stack(struct ctask_json_writer *w, const struct ctask_history *history,
			const struct ctask_stack *stack, const struct ctask_json_frames *frames)
{
	const uint32_t *places = ctask_history_stack(history, stack);

	ctask_json_begin_array(w, "stack");
	for (uint32_t i = 0; i < stack->count; i++)
		ctask_json_frame(w, NULL, frames, places[i]);
	ctask_json_end_array(w);
	ctask_json_int(w, "stack_omitted", stack->cut);
}

static void write_target(struct ctask_json_writer *w, const struct ctask_history *history,
			 const struct ctask_cancellation *c, const struct ctask_json_frames *frames)
{
	ctask_json_begin_object(w, "target");
	write_id(w, "id", c->target);
	ctask_json_text(w, "name", c->target_name);
	ctask_json_text(w, "coroutine", c->target_coroutine);
	write_stack(w, history, &c->target_stack, frames);
	ctask_json_end_object(w);
}

static void write_requester(struct ctask_json_writer *w, const struct ctask_cancellation *c)
{
	ctask_json_begin_object(w, "requester");
	ctask_json_word(w, "kind", ctask_requester_words[c->requester_kind]);
	write_id(w, "id", c->requester);
	ctask_json_text(w, "name", c->requester_name);
	ctask_json_text(w, "coroutine", c->requester_coroutine);
	ctask_json_known_int(w, "nstid", c->requester_thread > 0, c->requester_thread);
	ctask_json_end_object(w);
}

static void write_scope(struct ctask_json_writer *w, const struct ctask_cancellation *c)
{
	if (c->through == CTASK_THROUGH_NONE) {
		ctask_json_null(w, "scope");
		return;
	}
	ctask_json_begin_object(w, "scope");
	ctask_json_word(w, "kind", ctask_through_words[c->through]);
	write_id(w, "id", c->scope);
	ctask_json_seconds(w, "delay_s", c->delay_s);
	ctask_json_seconds(w, "elapsed_s", c->elapsed_s);
	if (c->scope_frame == CTASK_NONE)
		ctask_json_null(w, "frame");
	else
		ctask_json_int(w, "frame", c->scope_frame);
	ctask_json_end_object(w);
}

static void write_exception(struct ctask_json_writer *w, const struct ctask_cancellation *c)
{
	if (!c->exception_type) {
		ctask_json_null(w, "exception");
		return;
	}
	ctask_json_begin_object(w, "exception");
	ctask_json_text(w, "type", c->exception_type);
	ctask_json_text(w, "message", c->exception_message);
	if (c->failed_task) {
		ctask_json_begin_object(w, "task");
		ctask_json_id(w, "id", c->failed_task);
		ctask_json_text(w, "name", c->failed_task_name);
		ctask_json_end_object(w);
	} else {
		ctask_json_null(w, "task");
	}
	ctask_json_end_object(w);
}

void ctask_json_cancellation(struct ctask_json_writer *w, const struct ctask_history *history,
			     const struct ctask_cancellation *c,
			     const struct ctask_json_frames *frames)
{
	ctask_json_begin_object(w, NULL);
	ctask_json_word(w, "schema", "ctask.cancellation");
	ctask_json_int(w, "version", 1);
	ctask_json_int(w, "id", (int64_t)c->id);
	ctask_json_time(w, "time", c->time_us);
	ctask_json_known_int(w, "pid", history->pid > 0, history->pid);
	if (history->container)
		ctask_json_text(w, "container", history->container);
	ctask_json_word(w, "source", ctask_cancellation_source_words[c->source]);
	write_target(w, history, c, frames);
	write_requester(w, c);
	ctask_json_word(w, "origin", ctask_origin_words[c->origin]);
	write_scope(w, c);
	ctask_json_known_int(w, "cause", c->cause > 0, (int64_t)c->cause);
	ctask_json_int(w, "root", (int64_t)c->root);
	write_exception(w, c);
	ctask_json_text(w, "message", c->message);
	write_stack(w, history, &c->stack, frames);
	ctask_json_int(w, "repeats", c->repeats);
	ctask_json_begin_object(w, "outcome");
	ctask_json_word(w, "state", ctask_outcome_words[c->outcome]);
	ctask_json_seconds(w, "after_s", c->after_s);
	ctask_json_seconds(w, "resolution_s", c->resolution_s);
	ctask_json_end_object(w);
	ctask_json_end_object(w);
}

int ctask_json_write_cancellations(const struct ctask_history *history, const bool *wanted,
				   FILE *out, struct ctask_error *err)
{
	__attribute__((cleanup(ctask_json_frames_fini))) struct ctask_json_frames frames = { 0 };
	struct ctask_json_writer w = { .out = out };
	uint32_t written = 0;

	if (ctask_json_frames_init(&frames, history->frames, history->frame_count))
		return ctask_fail(err, ENOMEM, "out of memory");
	for (uint32_t i = 0; i < history->count && !w.failed; i++) {
		if (wanted && !wanted[i])
			continue;
		if (written++)
			ctask_json_next_line(&w);
		ctask_json_cancellation(&w, history, &history->items[i], &frames);
	}
	return written ? ctask_json_finish(&w, err) : 0;
}

static void begin_attached(struct ctask_json_writer *w, int32_t pid,
			   enum ctask_cancellation_source source)
{
	ctask_json_begin_object(w, NULL);
	ctask_json_word(w, "schema", "ctask.attached");
	ctask_json_int(w, "version", 1);
	ctask_json_known_int(w, "pid", pid > 0, pid);
	ctask_json_word(w, "source", ctask_cancellation_source_words[source]);
}

int ctask_json_write_attached(int32_t pid, enum ctask_cancellation_source source, FILE *out,
			      struct ctask_error *err)
{
	struct ctask_json_writer w = { .out = out };

	begin_attached(&w, pid, source);
	ctask_json_end_object(&w);
	return ctask_json_finish(&w, err);
}

int ctask_json_write_attached_all(FILE *out, struct ctask_error *err)
{
	return ctask_json_write_attached(0, CTASK_BY_BPF, out, err);
}

int ctask_json_write_attached_one(int32_t pid, ctask_text container,
				  enum ctask_cancellation_source source, int64_t missed, FILE *out,
				  struct ctask_error *err)
{
	struct ctask_json_writer w = { .out = out };

	begin_attached(&w, pid, source);
	ctask_json_text(&w, "container", container);
	ctask_json_known_int(&w, "missed", missed >= 0, missed);
	ctask_json_end_object(&w);
	return ctask_json_finish(&w, err);
}

int ctask_json_write_end(uint64_t dropped, FILE *out, struct ctask_error *err)
{
	struct ctask_json_writer w = { .out = out };

	ctask_json_begin_object(&w, NULL);
	ctask_json_word(&w, "schema", "ctask.end");
	ctask_json_int(&w, "version", 1);
	ctask_json_int(&w, "dropped", (int64_t)dropped);
	ctask_json_end_object(&w);
	return ctask_json_finish(&w, err);
}
