/* asked.h - histories of cancellations made by hand, for the tests of all that stands above the reader. */
#ifndef CTASK_TESTS_UNIT_ASKED_H
#define CTASK_TESTS_UNIT_ASKED_H

#include "model/cancellation.h"
#include "tests/unit/made.h"

/* 2026-11-21 19:26:03.123456 UTC */
#define ASKED_AT 1795289163123456

static inline struct ctask_history *asked_history(void)
{
	struct ctask_history *history = ctask_history_create();

	ck_assert_ptr_nonnull(history);
	history->pid = 4242;
	history->since_us = ASKED_AT - 3600000000;
	history->read_at_us = ASKED_AT + 60000000;
	strcpy(history->python_version, "3.13.5");
	return history;
}

static inline ctask_text asked_text(struct ctask_history *history, const char *text)
{
	ctask_text kept = text ? ctask_texts_add(history->texts, text, strlen(text)) : NULL;

	ck_assert(kept || !text);
	return kept;
}

static inline uint32_t asked_frame(struct ctask_history *history, const char *name,
				   const char *file, uint32_t line, bool library)
{
	uint32_t i;

	for (i = 0; i < history->frame_count; i++) {
		const struct ctask_frame *f = &history->frames[i];

		if (f->line == line && strcmp(f->name, name) == 0 && strcmp(f->filename, file) == 0)
			return i;
	}
	ck_assert_uint_eq(ctask_history_add_frame(history), i);
	history->frames[i] = (struct ctask_frame){ asked_text(history, name),
						   asked_text(history, file), line, library };
	return i;
}

/* "f:12 >sleep:3": f in svc.py, line 12, and in it a function of asyncio, line 3; outermost first. */
static inline struct ctask_stack asked_stack(struct ctask_history *history, const char *frames)
{
	struct ctask_stack stack = { 0 };
	uint32_t indices[16], count = 0;
	char *copy = strdup(frames), *rest = copy, *word;

	while ((word = strsep(&rest, " ")) != NULL) {
		bool library = *word == '>';
		char *colon = strchr(word, ':');

		*colon = '\0';
		indices[count++] =
			asked_frame(history, word + library,
				    library ? "/usr/lib/asyncio/tasks.py" : "/srv/svc.py",
				    (uint32_t)atoi(colon + 1), library);
	}
	free(copy);
	while (count-- > 0)
		ck_assert_int_eq(ctask_history_push_stack(history, &stack, indices[count]), 0);
	return stack;
}

/* A request to the task @p name of @p coroutine, a millisecond after the last; the next id. */
static inline struct ctask_cancellation *asked(struct ctask_history *history, uint64_t cause,
					       const char *name, const char *coroutine,
					       const char *where)
{
	struct ctask_stack stack = { 0 };
	struct ctask_cancellation *c;
	const struct ctask_cancellation *from;

	if (where)
		stack = asked_stack(history, where);
	c = ctask_history_add(history);
	ck_assert_ptr_nonnull(c);
	c->id = history->count;
	c->time_us = ASKED_AT + (int64_t)c->id * 1000;
	c->cause = cause;
	from = cause ? ctask_history_find(history, cause) : NULL;
	c->root = from ? from->root : cause ? cause : c->id;
	c->target = 0x7f0000000000 + c->id * 0x100;
	c->target_name = asked_text(history, name);
	c->target_coroutine = asked_text(history, coroutine);
	c->target_stack = stack;
	c->requester_thread = 4242;
	c->origin = cause ? CTASK_ORIGIN_OWNER_CANCELLED : CTASK_ORIGIN_EXPLICIT;
	c->through = cause ? CTASK_THROUGH_AWAIT : CTASK_THROUGH_NONE;
	c->outcome = CTASK_OUTCOME_CANCELLED;
	c->after_s = 0.0021;
	history->last_id = c->id;
	return c;
}

/* It was asked by the task @p name of @p coroutine. */
static inline void asked_by(struct ctask_history *history, struct ctask_cancellation *c,
			    const char *name, const char *coroutine, const char *stack)
{
	c->requester_kind = CTASK_REQUESTER_TASK;
	c->requester = 0x7e0000000000;
	c->requester_name = asked_text(history, name);
	c->requester_coroutine = asked_text(history, coroutine);
	c->stack = asked_stack(history, stack);
}

/* It was asked by something that is no task. */
static inline void asked_by_other(struct ctask_history *history, struct ctask_cancellation *c,
				  enum ctask_requester_kind kind, const char *name,
				  const char *stack)
{
	c->requester_kind = kind;
	c->requester_name = asked_text(history, name);
	if (stack)
		c->stack = asked_stack(history, stack);
}

/* It was asked by asyncio.timeout. */
static inline void asked_by_timeout(struct ctask_history *history, struct ctask_cancellation *c,
				    double delay_s, uint64_t scope)
{
	asked_by_other(history, c, CTASK_REQUESTER_CALLBACK, "Timeout._on_timeout",
		       "<module>:90 >run:1 >_run:2 >_on_timeout:3");
	c->origin = CTASK_ORIGIN_TIMEOUT;
	c->through = CTASK_THROUGH_TIMEOUT;
	c->scope = scope;
	c->delay_s = delay_s;
	c->elapsed_s = delay_s + 0.001;
	c->outcome = CTASK_OUTCOME_ABSORBED;
}

/* It was asked by a task group, because @p failed raised. */
static inline void asked_by_group(struct ctask_history *history, struct ctask_cancellation *c,
				  uint64_t scope, const char *failed, const char *message,
				  bool is_owner)
{
	asked_by_other(history, c, CTASK_REQUESTER_CALLBACK, "TaskGroup._on_task_done",
		       is_owner ? "<module>:90 >run:1 >_run:2 >TaskGroup._on_task_done:5"
				: "<module>:90 >run:1 >_run:2 >TaskGroup._on_task_done:4 "
				  ">TaskGroup._abort:6");
	c->origin = CTASK_ORIGIN_SIBLING_FAILED;
	c->through = CTASK_THROUGH_TASK_GROUP;
	c->scope = scope;
	c->exception_type = asked_text(history, "ValueError");
	c->exception_message = asked_text(history, message);
	c->failed_task = 0xbad;
	c->failed_task_name = asked_text(history, failed);
	if (is_owner)
		c->outcome = CTASK_OUTCOME_ABSORBED;
}

#endif
