/* resolve.c - from what the probes copied to records: names, lines, origins, causes. */
#include "bpf/resolve.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bpf/requests.h"
#include "model/cleanup.h"
#include "model/origins.h"

enum {
	FRAMES = 64,	/* as CTASK_STACK_FRAMES in agent/stack.h */
	ROLES_MAX = 12, /* as in agent/cancel.c */
	RUNNER_FRAMES = 6,
	CALLS_MAX = 1024, /* cancel() calls that lie in each other */
	CONTEXTS_MAX = 16,
	OWNED_BY_GENERATOR = 1,
	FRAME_OBJECT_FRAME = 24,
	TRACEBACK_310 = 32,   /* PyBaseExceptionObject.traceback */
	TRACEBACK_FRAME = 24, /* PyTracebackObject.tb_frame */
	ARGUMENTS_MAX = 255,
	CODE_ARGCOUNT_310 = 16, /* PyCodeObject; from 3.11 on 16 bytes before co_firstlineno */
	CODE_KWONLY_310 = 24,
	CODE_FLAGS_310 = 36,
	CODE_FLAGS_311 = 48,
	CODE_VARARGS = 4,
	WAITED_MAX = 4096,
	NAME_ROOM = 256,
};

#define CLOCK_FAR  86400.0
#define CLOCK_TICK 0.001

/* A local variable, or an attribute of one, as a row names it. */
struct path {
	const char *local, *attr; /* attr may be NULL; both NULL: none */
};

struct row_paths {
	struct path scope, delay, when, failed, exception, main;
};

struct facts {
	const struct ctask_origin_row *row;
	const struct row_paths *paths;
	struct ctask_code *code;
	uint16_t arguments, keyword_arguments;
	uint64_t print[3]; /* of the code object: there may be another at its place some day */
	bool takes_rest, is_wait_for, is_group_exit, is_cancel, is_exit, runs_loops;
};

struct seen {
	const struct facts *facts;
	uint64_t frame, gen, locals, stack_top;
	uint32_t place;
};

struct stack {
	uint32_t count, cut;
	bool running;
	struct seen seen[FRAMES];
};

/* A cancel() that may still be under way. */
struct call {
	uint64_t id, target, waiter; /* id 0: none was recorded */
	uint64_t sp, caller, frame;
	uint64_t wait_for; /* the coroutine of the wait_for() that the target stands in, or 0 */
	double delay_s;
	uint32_t place;
};

struct thread_calls {
	uint32_t tid, count;
	struct call calls[CALLS_MAX];
};

struct ctask_resolver {
	pid_t pid;
	struct ctask_walk *walk;
	struct ctask_heap *heap;
	struct ctask_codes *codes;
	struct ctask_photo *photo;
	struct ctask_bpf_history *history;
	struct ctask_asyncio_facts asyncio;
	struct ctask_requests *requests;
	int64_t epoch_us; /* of the monotonic clock's 0 */

	struct row_paths *paths; /* beside each row */
	char *path_texts;
	struct facts **facts; /* by index of the code */
	uint32_t facts_room;

	struct thread_calls *threads;
	uint32_t thread_count;
	struct ctask_chain chain;
	struct ctask_code **new_codes;
	uint32_t new_code_count;
	bool stale; /* a code object is another one by now */
	bool quiet; /* nothing is to be told of new codes yet */
};

/* One request, while it is looked into. */
struct asking {
	struct ctask_resolver *r;
	struct ctask_record record;
	const struct ctask_probe_event *event;
	struct stack stack, chain;
	uint64_t target, target_coro, task, loop;
	double now;
	bool of_block;
	ctask_text target_name, requester_name, failed_name, exception_message, message;
};

/* --- reading --- */

static uint64_t u64_at(struct ctask_resolver *r, uint64_t addr)
{
	uint64_t value = 0;

	if (addr < 4096 || ctask_heap_u64(r->heap, addr, &value))
		return 0;
	return value;
}

static uint64_t some(struct ctask_resolver *r, uint64_t obj)
{
	return obj && ctask_kind_of(r->heap, obj) != CTASK_KIND_NONE ? obj : 0;
}

static uint64_t local_at(struct ctask_resolver *r, const struct seen *seen, int slot)
{
	uint64_t value;

	if (slot < 0)
		return 0;
	value = u64_at(r, seen->locals + 8 * (uint64_t)slot) &
		~(uint64_t)r->heap->layout.ref_tag_mask;
	if (value && ctask_kind_of(r->heap, value) == CTASK_KIND_CELL)
		value = u64_at(r, value + r->heap->layout.cell_ref);
	return value;
}

static uint64_t value_of(struct ctask_resolver *r, const struct seen *seen, const struct path *path)
{
	uint64_t value;

	if (!path->local)
		return 0;
	value = local_at(r, seen, ctask_code_local(r->codes, seen->facts->code, path->local));
	if (value && path->attr && ctask_attr(r->heap, value, path->attr, &value))
		return 0;
	return some(r, value);
}

static double seconds_of(struct ctask_resolver *r, uint64_t obj)
{
	double value;

	return obj && !ctask_number_value(r->heap, obj, &value) ? value : NAN;
}

/* Whether @p obj is an instance of a type of that name, or of one derived from it. */
static bool is_a(struct ctask_resolver *r, uint64_t obj, const char *name)
{
	const struct ctask_type *type = obj ? ctask_type_of(r->heap, obj) : NULL;
	uint64_t base;
	char text[CTASK_TYPE_NAME_MAX];

	if (!type)
		return false;
	if (!strcmp(ctask_type_short_name(type), name))
		return true;
	base = type->base;
	for (int i = 0; base && i < 32; i++) {
		uint64_t at = u64_at(r, base + r->heap->layout.type_name);
		const char *dot;
		size_t len = 0;

		while (len < sizeof(text) - 1 &&
		       !ctask_pages_read(r->heap->pages, at + len, text + len, 1) && text[len])
			len++;
		text[len] = '\0';
		dot = strrchr(text, '.');
		if (!strcmp(dot ? dot + 1 : text, name))
			return true;
		base = u64_at(r, base + r->heap->layout.type_base);
	}
	return false;
}

static bool is_cancelled_error(struct ctask_resolver *r, uint64_t exception)
{
	return exception && is_a(r, exception, "CancelledError");
}

static uint64_t gen_exception(struct ctask_resolver *r, uint64_t gen)
{
	return gen ? some(r, u64_at(r, gen + r->heap->layout.gen_exc_value)) : 0;
}

bool ctask_stems_from_cancel(struct ctask_resolver *r, uint64_t exception)
{
	uint32_t context = r->heap->layout.minor < 11 ? 40 : 48; /* as in target.c */

	for (int i = 0; i < CONTEXTS_MAX && exception; i++) {
		if (is_cancelled_error(r, exception))
			return true;
		exception = some(r, u64_at(r, exception + context));
	}
	return false;
}

static ctask_text text_of(struct ctask_resolver *r, uint64_t str)
{
	ctask_text text = NULL;

	return str && !ctask_str_text(r->heap, str, r->walk->snap->texts, &text) ? text : NULL;
}

static ctask_text task_name(struct ctask_resolver *r, uint64_t task)
{
	uint64_t name = task ? u64_at(r, task + r->heap->layout.task_name) : 0;
	int64_t number;

	if (name && ctask_kind_of(r->heap, name) == CTASK_KIND_INT) {
		if (ctask_int_value(r->heap, name, &number))
			return NULL;
		return ctask_texts_format(r->walk->snap->texts, "Task-%lld", (long long)number);
	}
	return text_of(r, name);
}

static uint64_t task_coro(struct ctask_resolver *r, uint64_t task)
{
	return task ? u64_at(r, task + r->heap->layout.task_coro) : 0;
}

/* --- code --- */

static struct path make_path(const char *text, char **to)
{
	const char *dot = text ? strchr(text, '.') : NULL;
	struct path path = { 0 };

	if (!text)
		return path;
	path.local = *to;
	*to += sprintf(*to, "%.*s", dot ? (int)(dot - text) : (int)strlen(text), text) + 1;
	if (dot) {
		path.attr = *to;
		*to += sprintf(*to, "%s", dot + 1) + 1;
	}
	return path;
}

static int make_paths(struct ctask_resolver *r)
{
	enum { TEXTS_A_ROW = 256 };
	char *to;

	r->paths = calloc(ctask_origin_row_count, sizeof(*r->paths));
	r->path_texts = to = malloc(ctask_origin_row_count * TEXTS_A_ROW);
	if (!r->paths || !to)
		return -ENOMEM;
	for (size_t i = 0; i < ctask_origin_row_count; i++) {
		const struct ctask_origin_row *row = &ctask_origin_rows[i];

		r->paths[i] = (struct row_paths){
			.scope = make_path(row->scope, &to),
			.delay = make_path(row->delay, &to),
			.when = make_path(row->when, &to),
			.failed = make_path(row->failed, &to),
			.exception = make_path(row->exception, &to),
			.main = make_path(row->main, &to),
		};
	}
	return 0;
}

static uint32_t number_in(struct ctask_resolver *r, uint64_t addr)
{
	uint32_t value = 0;

	(void)ctask_pages_read(r->heap->pages, addr, &value, sizeof(value));
	return value;
}

static void take_print(struct ctask_resolver *r, uint64_t code, uint64_t *ret)
{
	const struct ctask_layout *l = &r->heap->layout;

	ret[0] = u64_at(r, code + l->code_name);
	ret[1] = u64_at(r, code + l->code_filename);
	ret[2] = u64_at(r, code + l->code_linetable);
}

static void learn(struct ctask_resolver *r, struct ctask_code *code, struct facts *facts)
{
	static const struct row_paths none = { 0 };
	const struct ctask_layout *l = &r->heap->layout;
	const char *module = code->library ? code->module : NULL;
	bool old = l->lasti_scale;
	uint32_t first = l->code_firstlineno;

	*facts = (struct facts){
		.code = code,
		.paths = &none,
		.row = ctask_origin_find(module, code->filename, code->plain_name),
		.arguments =
			(uint16_t)number_in(r, code->addr + (old ? CODE_ARGCOUNT_310 : first - 16)),
		.keyword_arguments =
			(uint16_t)number_in(r, code->addr + (old ? CODE_KWONLY_310 : first - 8)),
		.takes_rest = number_in(r, code->addr + (old ? CODE_FLAGS_310 : CODE_FLAGS_311)) &
			      CODE_VARARGS,
		.is_wait_for = module && !strcmp(module, "tasks.py") &&
			       !strcmp(code->plain_name, "wait_for"),
		.is_group_exit = module && !strcmp(module, "taskgroups.py") &&
				 (!strcmp(code->plain_name, "__aexit__") ||
				  !strcmp(code->plain_name, "_aexit")),
		.is_cancel = !strcmp(code->plain_name, "cancel"),
		.is_exit = !strcmp(code->plain_name, "__aexit__") ||
			   !strcmp(code->plain_name, "__exit__") ||
			   !strcmp(code->plain_name, "_aexit"),
		.runs_loops = module && !strcmp(module, "base_events.py"),
	};
	if (facts->row)
		facts->paths = &r->paths[facts->row - ctask_origin_rows];
	take_print(r, code->addr, facts->print);
}

static struct facts *facts_of(struct ctask_resolver *r, struct ctask_code *code)
{
	if (code->index >= r->facts_room) {
		uint32_t room = code->index * 2 + 64;
		struct facts **moved = realloc(r->facts, room * sizeof(*moved));

		if (!moved)
			return NULL;
		memset(moved + r->facts_room, 0, (room - r->facts_room) * sizeof(*moved));
		r->facts = moved;
		r->facts_room = room;
	}
	if (!r->facts[code->index]) {
		struct facts *facts = malloc(sizeof(*facts));

		if (!facts)
			return NULL;
		learn(r, code, facts);
		r->facts[code->index] = facts;
		if (facts->row && !r->quiet) {
			struct ctask_code **moved =
				realloc(r->new_codes,
					(r->new_code_count + 1) * sizeof(struct ctask_code *));

			if (moved) {
				r->new_codes = moved;
				moved[r->new_code_count++] = code;
			}
		}
	}
	return r->facts[code->index];
}

static void follow(struct ctask_resolver *r, const struct facts *facts, const struct path *path,
		   uint8_t how, struct ctask_probe_code *ret)
{
	int slot = path->local ? ctask_code_local(r->codes, facts->code, path->local) : -1;

	if (slot < 0 || slot > 255)
		return;
	if (path->attr)
		how = (uint8_t)(CTASK_FOLLOW_OBJECT | CTASK_FOLLOW_ATTRS | CTASK_FOLLOW_SLOTS);
	for (int i = 0; i < ret->count; i++)
		if (ret->locals[i].slot == slot) {
			ret->locals[i].follow |= how;
			return;
		}
	if (ret->count < CTASK_PROBE_LOCALS)
		ret->locals[ret->count++] =
			(struct ctask_probe_local){ .slot = (uint8_t)slot, .follow = how };
}

bool ctask_resolver_code(struct ctask_resolver *r, struct ctask_code *code,
			 struct ctask_probe_code *ret)
{
	bool was_quiet = r->quiet;
	struct facts *facts;

	r->quiet = true;
	facts = facts_of(r, code);
	r->quiet = was_quiet;
	*ret = (struct ctask_probe_code){ 0 };
	if (!facts || !facts->row)
		return false;
	if (facts->row->self) {
		const struct path self = { .local = "self" };

		follow(r, facts, &self, CTASK_FOLLOW_OBJECT, ret);
	}
	follow(r, facts, &facts->paths->scope, CTASK_FOLLOW_OBJECT, ret);
	follow(r, facts, &facts->paths->delay, CTASK_FOLLOW_OBJECT, ret);
	follow(r, facts, &facts->paths->when, CTASK_FOLLOW_OBJECT, ret);
	follow(r, facts, &facts->paths->failed, CTASK_FOLLOW_TASK, ret);
	follow(r, facts, &facts->paths->exception, CTASK_FOLLOW_EXCEPTION, ret);
	if (!strcmp(facts->code->plain_name, "_run")) { /* Handle._run: the callback */
		const struct path self = { .local = "self" };

		follow(r, facts, &self, CTASK_FOLLOW_OBJECT | CTASK_FOLLOW_SLOTS, ret);
	}
	if (facts->row->role == CTASK_ROLE_BOUNDARY)
		ret->only = facts->row->main ? CTASK_ONLY_AFTER_RUNNER : CTASK_ONLY_FIRST;
	ret->holds = facts->row->through == CTASK_THROUGH_TIMEOUT ||
		     facts->row->through == CTASK_THROUGH_TASK_GROUP;
	if (facts->row->role == CTASK_ROLE_RUNNER)
		ret->holds |= CTASK_ONLY_AFTER_RUNNER;
	return true;
}

bool ctask_resolver_new_code(struct ctask_resolver *r, uint64_t *ret_addr,
			     struct ctask_probe_code *ret)
{
	while (r->new_code_count) {
		struct ctask_code *code = r->new_codes[--r->new_code_count];

		*ret_addr = code->addr;
		if (ctask_resolver_code(r, code, ret))
			return true;
	}
	return false;
}

/* --- stacks --- */

static uint32_t place_of(struct ctask_resolver *r, uint32_t frame)
{
	const struct ctask_frame *f;
	struct ctask_place place;

	if (frame == CTASK_NONE)
		return 0;
	f = &r->walk->snap->frames[frame];
	place = (struct ctask_place){
		.name = ctask_bpf_word(r->history, f->name),
		.filename = ctask_bpf_word(r->history, f->filename),
		.line = f->line,
		.flags = f->library ? CTASK_PLACE_LIBRARY : 0,
	};
	return ctask_bpf_place(r->history, frame + 1ull, &place);
}

static uint64_t gen_of(struct ctask_resolver *r, uint64_t frame)
{
	const struct ctask_layout *l = &r->heap->layout;
	uint8_t owner = 0;

	if (l->frame_gen != CTASK_NO_FIELD)
		return u64_at(r, frame + l->frame_gen);
	(void)ctask_pages_read(r->heap->pages, frame + l->frame_owner, &owner, 1);
	return owner == OWNED_BY_GENERATOR ? frame - l->gen_frame : 0;
}

/* Code objects that are constants of CPython's own have a file that is called like their function. */
static bool is_written(const struct ctask_code *code)
{
	return strcmp(code->filename, code->plain_name) != 0;
}

static void see(struct ctask_resolver *r, struct stack *stack, struct ctask_code *code,
		const struct seen *frame, uint32_t place_frame)
{
	struct seen *seen;

	if (stack->count == FRAMES) {
		stack->cut++;
		return;
	}
	seen = &stack->seen[stack->count];
	*seen = *frame;
	seen->facts = facts_of(r, code);
	if (seen->facts) {
		uint64_t print[3];

		take_print(r, code->addr, print);
		r->stale |= memcmp(print, seen->facts->print, sizeof(print)) && print[0];
	}
	seen->place = place_of(r, place_frame);
	stack->count += seen->facts != NULL;
}

static void read_thread_stack(struct asking *a)
{
	enum { COUNTED_MAX = CTASK_PROBE_FRAMES };
	struct ctask_resolver *r = a->r;
	const struct ctask_layout *l = &r->heap->layout;
	uint64_t at = u64_at(r, a->event->tstate + l->tstate_frame);

	a->stack.count = a->stack.cut = 0;
	a->stack.running = false;
	if (at && l->cframe_frame != CTASK_NO_FIELD)
		at = u64_at(r, at + l->cframe_frame);
	for (int i = 0; at && i < COUNTED_MAX; i++) {
		struct ctask_frame_view view;
		struct ctask_code *code;

		if (ctask_frame_read(r->codes, at, &view))
			break;
		code = view.shim ? NULL : ctask_code_at(r->codes, view.code);
		if (code && is_written(code)) {
			const struct seen frame = { .frame = at,
						    .gen = gen_of(r, at),
						    .locals = view.locals,
						    .stack_top = view.stack_top };

			see(r, &a->stack, code, &frame,
			    ctask_code_frame(r->codes, code, view.lasti));
		}
		at = view.previous ? view.previous : u64_at(r, at + l->frame_previous);
	}
	a->stack.cut += a->event->frames_cut;
}

static void read_chain(struct ctask_resolver *r, struct stack *stack, uint64_t coro)
{
	const struct ctask_stacks none = { 0 };
	struct ctask_chain *chain = &r->chain;

	stack->count = stack->cut = 0;
	stack->running = false;
	if (!coro)
		return;
	(void)ctask_chain_read(r->codes, &none, coro, chain);
	stack->running = chain->executing;
	if (chain->executing)
		return;
	for (uint32_t i = chain->count; i-- > 0;) {
		const struct ctask_link *link = &chain->links[i];
		const struct seen frame = { .gen = link->gen,
					    .locals = link->locals,
					    .stack_top = link->stack_top };

		see(r, stack, r->codes->codes[link->code], &frame, link->frame);
	}
}

/* The name of a coroutine's function. */
static uint32_t coroutine_word(struct ctask_resolver *r, uint64_t coro)
{
	struct ctask_frame_view frame;
	enum ctask_gen_state state;
	struct ctask_code *code;
	uint64_t awaited;

	for (int i = 0; i < 4 && ctask_kind_of(r->heap, coro) == CTASK_KIND_AWAIT_WRAPPER; i++)
		coro = u64_at(r, coro + 16);
	switch (ctask_kind_of(r->heap, coro)) {
	case CTASK_KIND_COROUTINE:
	case CTASK_KIND_GENERATOR:
	case CTASK_KIND_ASYNC_GENERATOR:
		if (ctask_gen_read(r->codes, coro, CTASK_KIND_COROUTINE, &state, &frame,
				   &awaited) ||
		    state == CTASK_GEN_DONE)
			return 0;
		code = ctask_code_at(r->codes, frame.code);
		return code ? ctask_bpf_word(r->history, code->name) : 0;
	default:
		return 0;
	}
}

static bool self_is(struct asking *a, const struct seen *seen, const char *type)
{
	return !type || is_a(a->r, local_at(a->r, seen, 0), type);
}

/* Whether the suspended frame of @p seen holds @p object on its value stack, or a method bound to it. */
static bool holds(struct ctask_resolver *r, const struct seen *seen, uint64_t object)
{
	int slots = ctask_code_slots(r->codes, seen->facts->code);
	uint64_t at;

	if (slots < 0 || !seen->stack_top)
		return false;
	at = seen->locals + 8 * (uint64_t)slots;
	for (int n = 0; at < seen->stack_top && n < 64; at += 8, n++) {
		uint64_t value = u64_at(r, at) & ~(uint64_t)r->heap->layout.ref_tag_mask;

		if (value == object)
			return true;
		if (value && ctask_kind_of(r->heap, value) == CTASK_KIND_METHOD &&
		    u64_at(r, value + r->heap->layout.method_self) == object)
			return true;
	}
	return false;
}

static bool is_inside(struct ctask_resolver *r, const struct stack *stack, uint64_t construct)
{
	for (uint32_t i = 0; i < stack->count; i++)
		if (holds(r, &stack->seen[i], construct) ||
		    (stack->seen[i].facts->is_exit && local_at(r, &stack->seen[i], 0) == construct))
			return true;
	return false;
}

/* --- who asked: the order of decisions is that of agent/cancel.c --- */

static bool is_boundary(const struct facts *facts)
{
	return facts->row && facts->row->role == CTASK_ROLE_BOUNDARY;
}

static uint32_t find_coro(const struct asking *a, uint64_t coro)
{
	for (uint32_t i = 0; i < a->stack.count; i++)
		if (coro && a->stack.seen[i].gen == coro)
			return i;
	return a->stack.count;
}

/* The loop that runs in the thread of the event. */
static uint64_t running_loop(struct asking *a)
{
	struct ctask_resolver *r = a->r;

	return some(r, ctask_running_loop(r->walk, a->event->tstate));
}

static uint64_t running_task(struct asking *a)
{
	struct ctask_resolver *r = a->r;
	const struct ctask_layout *l = &r->heap->layout;
	struct ctask_iter iter;
	uint64_t loop, task, only = 0;
	uint32_t count = 0;

	if (l->tstate_asyncio_running_task != CTASK_NO_FIELD)
		return some(r, u64_at(r, a->event->tstate + l->tstate_asyncio_running_task));
	if (!r->asyncio.current_tasks || ctask_dict_iter(r->heap, r->asyncio.current_tasks, &iter))
		return 0;
	while (ctask_iter_next(&iter, &loop, &task)) {
		if (loop == a->loop)
			return some(r, task);
		only = task;
		count++;
	}
	(void)only;
	return 0;
}

/* Whether the object at @p object is the frame object of @p frame. */
static bool is_frame_object(struct ctask_resolver *r, uint64_t object, uint64_t frame)
{
	const struct ctask_type *type;

	if (!frame || !object)
		return false;
	if (r->heap->layout.lasti_scale)
		return object == frame;
	type = ctask_type_of(r->heap, object);
	if (!type || strcmp(type->name, "frame") != 0)
		return false;
	return u64_at(r, object + FRAME_OBJECT_FRAME) == frame;
}

static bool handles_signal(struct asking *a, uint32_t i)
{
	struct ctask_resolver *r = a->r;
	const struct seen *seen = &a->stack.seen[i];
	uint64_t outer = i + 1 < a->stack.count ? a->stack.seen[i + 1].frame : 0;
	struct ctask_items items;
	uint64_t rest = 0, number, interrupted;

	for (int slot = 1; slot < seen->facts->arguments && slot < 8; slot++) {
		interrupted = local_at(r, seen, slot);
		if (is_frame_object(r, interrupted, outer) &&
		    is_a(r, local_at(r, seen, slot - 1), "int"))
			return true;
	}
	if (seen->facts->takes_rest)
		rest = local_at(r, seen, seen->facts->arguments + seen->facts->keyword_arguments);
	if (!rest || ctask_kind_of(r->heap, rest) != CTASK_KIND_TUPLE ||
	    ctask_items_of(r->heap, rest, &items))
		return false;
	for (uint64_t at = 1; at < items.count && at < 8; at++)
		if (!ctask_items_get(r->heap, &items, at - 1, &number) &&
		    !ctask_items_get(r->heap, &items, at, &interrupted) && is_a(r, number, "int") &&
		    is_frame_object(r, interrupted, outer))
			return true;
	return false;
}

/* The innermost frame outside of what runs the loop. */
static uint32_t loop_base(const struct asking *a)
{
	for (uint32_t i = 0; i < a->stack.count; i++) {
		const struct facts *facts = a->stack.seen[i].facts;

		if (!facts->runs_loops || strcmp(facts->code->plain_name, "run_forever") != 0)
			continue;
		while (i < a->stack.count && a->stack.seen[i].facts->runs_loops)
			i++;
		return i;
	}
	/* A loop that is not written in Python has no frames: what ran it is asyncio's runner. */
	for (uint32_t i = 0; i < a->stack.count; i++)
		if (is_boundary(a->stack.seen[i].facts) && a->stack.seen[i].facts->row->main)
			return i;
	return a->stack.count;
}

static void name_frame(struct asking *a, uint32_t i)
{
	a->record.requester_word =
		ctask_bpf_word(a->r->history, a->stack.seen[i].facts->code->name);
}

static ctask_text constant(struct asking *a, const char *text)
{
	return ctask_texts_add_bytes(a->r->walk->snap->texts, text, strlen(text));
}

/* The name of a callback that has no frame: a method written in C, bound to the task. */
static ctask_text name_of_callable(struct asking *a, uint64_t callable)
{
	struct ctask_resolver *r = a->r;
	const struct ctask_layout *l = &r->heap->layout;
	const struct ctask_type *type;
	char name[64];
	uint64_t method, self;
	size_t len = 0;

	for (int i = 0; i < 4 && callable && ctask_kind_of(r->heap, callable) == CTASK_KIND_PARTIAL;
	     i++)
		callable = u64_at(r, callable + l->partial_func);
	if (!callable || ctask_kind_of(r->heap, callable) != CTASK_KIND_BUILTIN)
		return NULL;
	method = u64_at(r, u64_at(r, callable + l->cfunction_ml));
	while (len < sizeof(name) - 1 &&
	       !ctask_pages_read(r->heap->pages, method + len, name + len, 1) && name[len])
		len++;
	name[len] = '\0';
	self = u64_at(r, callable + l->cfunction_self);
	type = self ? ctask_type_of(r->heap, self) : NULL;
	if (!len || !type || self != a->target)
		return NULL;
	return ctask_texts_format(r->walk->snap->texts, "%s.%s", ctask_type_short_name(type), name);
}

static void take_callback(struct asking *a, uint32_t end)
{
	uint32_t i = end;
	uint64_t handle, callback;

	while (i > 0 && is_boundary(a->stack.seen[i - 1].facts))
		i--;
	a->record.requester_kind = CTASK_REQUESTER_CALLBACK;
	if (i > 0) {
		name_frame(a, i - 1);
		return;
	}
	handle = end > 0 ? local_at(a->r, &a->stack.seen[0], 0) : 0;
	if (handle && !ctask_attr(a->r->heap, handle, "_callback", &callback))
		a->requester_name = name_of_callable(a, callback);
	if (!a->requester_name)
		a->requester_name = constant(a, "Task.cancel");
}

/* True when another thread runs @p loop. */
static bool runs_elsewhere(struct asking *a, uint64_t loop)
{
	struct ctask_resolver *r = a->r;
	const struct ctask_layout *l = &r->heap->layout;
	uint64_t interp = u64_at(r, r->walk->python->runtime + l->runtime_interpreters_head);

	for (int n = 0; interp && loop && n < 64; n++) {
		uint64_t tstate = u64_at(r, interp + l->interp_threads_head);

		for (int i = 0; tstate && i < 4096; i++) {
			if (tstate != a->event->tstate &&
			    ctask_running_loop(r->walk, tstate) == loop)
				return true;
			tstate = u64_at(r, tstate + l->tstate_next);
		}
		interp = u64_at(r, interp + l->interp_next);
	}
	return false;
}

static void take_thread(struct asking *a)
{
	struct ctask_resolver *r = a->r;
	uint64_t ident = u64_at(r, a->event->tstate + r->heap->layout.tstate_thread_id);
	uint64_t key, thread, name;
	struct ctask_iter iter;
	int64_t number;

	a->record.requester_kind = CTASK_REQUESTER_THREAD;
	if (!r->asyncio.threads_active ||
	    ctask_dict_iter(r->heap, r->asyncio.threads_active, &iter))
		return;
	while (ctask_iter_next(&iter, &key, &thread))
		if (!ctask_int_value(r->heap, key, &number) && (uint64_t)number == ident &&
		    !ctask_attr(r->heap, thread, "_name", &name))
			a->requester_name = text_of(r, name);
}

static void take_requester(struct asking *a)
{
	struct ctask_resolver *r = a->r;
	uint64_t coro;
	uint32_t end, handler;

	a->loop = running_loop(a);
	a->task = a->loop ? running_task(a) : 0;
	coro = task_coro(r, a->task);
	end = a->task ? find_coro(a, coro) : a->loop ? loop_base(a) : a->stack.count;
	for (handler = 0; handler < end && !handles_signal(a, handler);)
		handler++;
	if (handler < end) {
		a->record.requester_kind = CTASK_REQUESTER_SIGNAL;
		name_frame(a, handler);
	} else if (a->task) {
		a->record.requester_kind = CTASK_REQUESTER_TASK;
		a->record.requester = a->task;
		a->requester_name = task_name(r, a->task);
		a->record.requester_coroutine = coroutine_word(r, coro);
	} else if (a->loop) {
		take_callback(a, end);
	} else if (runs_elsewhere(a, u64_at(r, a->target + r->heap->layout.task_loop))) {
		take_thread(a);
	} else {
		a->record.requester_kind = CTASK_REQUESTER_RUNNER;
		if (a->stack.count)
			name_frame(a, 0);
	}
}

/* --- the origin --- */

static void take_scope(struct asking *a, enum ctask_through through, uint64_t scope)
{
	if (a->record.through != CTASK_THROUGH_NONE && a->record.through != CTASK_THROUGH_GATHER)
		return;
	a->record.through = (uint8_t)through;
	a->record.scope = scope;
}

static uint64_t value_in(const struct asking *a, uint32_t i, const struct path *path)
{
	return value_of(a->r, &a->stack.seen[i], path);
}

static void take_exception(struct asking *a, uint64_t exception, uint64_t task)
{
	struct ctask_resolver *r = a->r;
	const struct ctask_type *type = exception ? ctask_type_of(r->heap, exception) : NULL;

	if (!type || !is_a(r, exception, "BaseException"))
		return;
	a->record.exception_type = ctask_bpf_word(r->history, ctask_type_short_name(type));
	a->exception_message = ctask_exception_text(r, exception);
	if (task) {
		a->record.failed_task = task;
		a->failed_name = task_name(r, task);
	}
}

static void take_times(struct asking *a, uint32_t i)
{
	const struct facts *facts = a->stack.seen[i].facts;
	double delay = seconds_of(a->r, value_in(a, i, &facts->paths->delay));
	double when = seconds_of(a->r, value_in(a, i, &facts->paths->when));
	double since = NAN;

	if (facts->row->delay || facts->row->when)
		since = ctask_requests_entered(a->r->requests, a->record.scope);
	if (isnan(delay) && !isnan(when) && !isnan(since) && fabs(when - since) < CLOCK_FAR)
		delay = fabs(when - since) < CLOCK_TICK ? 0 : when - since;
	if (isnan(since) && !isnan(delay) && !isnan(when) && fabs(a->now - when) < CLOCK_FAR)
		since = when - delay;
	if (!isnan(delay) && delay <= 0 && isnan(since))
		since = a->now;
	if (isnan(a->record.delay_s))
		a->record.delay_s = delay;
	if (isnan(a->record.elapsed_s) && !isnan(since))
		a->record.elapsed_s = a->now - since;
}

static double wait_for_delay(struct ctask_resolver *r, const struct seen *seen)
{
	static const struct path timeout = { .local = "timeout" };

	return seconds_of(r, value_of(r, seen, &timeout));
}

static void look_for_wait_for(struct asking *a)
{
	for (uint32_t i = 0; i < a->chain.count; i++) {
		const struct seen *seen = &a->chain.seen[i];
		double delay;

		if (!seen->facts->is_wait_for || !holds(a->r, seen, a->record.scope))
			continue;
		a->record.through = CTASK_THROUGH_WAIT_FOR;
		delay = wait_for_delay(a->r, seen);
		if (!isnan(delay)) {
			if (isnan(a->record.elapsed_s)) {
				const struct path when = { .local = "self", .attr = "_when" };
				double at = a->stack.count ? seconds_of(a->r, value_in(a, 0, &when))
							   : NAN;

				if (!isnan(at) && fabs(a->now - at) < CLOCK_FAR)
					a->record.elapsed_s = a->now - at + delay;
			}
			a->record.delay_s = delay;
		}
		return;
	}
}

static void classify_passed_on(struct asking *a, const struct call *outer)
{
	const struct ctask_record *cause;

	for (uint32_t i = 0; i < a->stack.count && a->stack.seen[i].frame != outer->frame; i++) {
		const struct facts *facts = a->stack.seen[i].facts;

		if (facts->row && facts->row->role == CTASK_ROLE_PASSES && facts->row->through &&
		    self_is(a, &a->stack.seen[i], facts->row->self))
			take_scope(a, facts->row->through, value_in(a, i, &facts->paths->scope));
	}
	a->record.origin = CTASK_ORIGIN_OWNER_CANCELLED;
	a->record.cause = outer->id;
	if (a->record.through == CTASK_THROUGH_NONE) {
		a->record.through = outer->wait_for ? CTASK_THROUGH_WAIT_FOR : CTASK_THROUGH_AWAIT;
		a->record.scope = outer->wait_for ? outer->wait_for : outer->target;
		a->record.delay_s = outer->delay_s;
	}
	cause = ctask_bpf_record(a->r->history, outer->id);
	if (cause) {
		a->record.requester_kind = cause->requester_kind;
		a->record.requester = cause->requester;
		a->record.requester_word = cause->requester_word;
		a->record.requester_coroutine = cause->requester_coroutine;
		a->record.requester_name = cause->requester_name;
		a->record.root = cause->root;
	}
}

static void take_construct(struct asking *a, uint32_t i)
{
	const struct facts *facts = a->stack.seen[i].facts;

	if (facts->row->through)
		take_scope(a, facts->row->through, value_in(a, i, &facts->paths->scope));
	take_times(a, i);
}

/* The failure on which a runner ends. */
static uint64_t failure_through(struct asking *a, uint32_t i, bool *ret_runs_target)
{
	uint64_t ours = 0, handled = 0, way;

	*ret_runs_target = false;
	/* To 3.10: what the thread is handling (see target.c), if it came through here. */
	if (a->r->heap->layout.minor < 11)
		handled =
			some(a->r,
			     u64_at(a->r, u64_at(a->r, a->event->tstate +
							       a->r->heap->layout.tstate_dict - 8) +
						  8));
	way = handled ? u64_at(a->r, u64_at(a->r, handled + TRACEBACK_310) + TRACEBACK_FRAME) : 0;
	for (uint32_t end = i + RUNNER_FRAMES; i < end && i < a->stack.count; i++) {
		const struct facts *facts = a->stack.seen[i].facts;
		uint64_t value = value_in(a, i, &facts->paths->exception), coro;

		if (value)
			ours = value;
		if (way && a->stack.seen[i].frame == way)
			ours = handled;
		coro = value_in(a, i, &facts->paths->main);
		if (coro && coro == a->target_coro)
			*ret_runs_target = true;
		if (!facts->row && !facts->code->library)
			break;
	}
	return ours;
}

static void decide_runner(struct asking *a, uint32_t i)
{
	bool runs_target;
	uint64_t failure = failure_through(a, i, &runs_target);

	a->record.origin = (uint8_t)a->stack.seen[i].facts->row->origin;
	take_construct(a, i);
	if (failure && is_a(a->r, failure, "KeyboardInterrupt") && runs_target)
		a->record.origin = CTASK_ORIGIN_INTERRUPT;
	if (!is_cancelled_error(a->r, failure))
		take_exception(a, failure, 0);
}

static bool is_cancelling(struct ctask_resolver *r, uint64_t task)
{
	uint32_t at = r->heap->layout.task_num_cancels_requested;

	return at != CTASK_NO_FIELD && (int32_t)number_in(r, task + at) > 0;
}

static void decide(struct asking *a, uint32_t i, bool passed)
{
	const struct seen *seen = &a->stack.seen[i];
	const struct facts *facts = seen->facts;
	uint64_t exception = value_in(a, i, &facts->paths->exception);
	uint64_t failed = value_in(a, i, &facts->paths->failed);
	bool group_exit = facts->is_group_exit;

	a->record.origin = (uint8_t)facts->row->origin;
	if (facts->row->role == CTASK_ROLE_DECIDES_OR_OWNER) {
		bool owner_cancelled = is_cancelled_error(a->r, exception) ||
				       is_cancelled_error(a->r, gen_exception(a->r, seen->gen)) ||
				       (group_exit && !passed && a->task == a->target);
		bool was_asked = a->task && (is_cancelling(a->r, a->task) ||
					     ctask_requests_newest(a->r->requests, a->task));

		if (owner_cancelled && was_asked) {
			a->record.origin = CTASK_ORIGIN_OWNER_CANCELLED;
			if (a->record.through == CTASK_THROUGH_NONE)
				take_construct(a, i);
			if (group_exit && a->task == a->target)
				a->record.cause = ctask_requests_newest(a->r->requests, a->target);
			return;
		}
		if (!failed)
			failed = a->task;
	}
	take_construct(a, i);
	if (exception)
		take_exception(a, exception, failed);
}

static bool asks_who_is_inside(struct asking *a, const struct facts *decided, bool passed)
{
	bool timeout =
		a->record.through == CTASK_THROUGH_TIMEOUT && decided && !decided->code->library;
	bool group = a->record.through == CTASK_THROUGH_TASK_GROUP && !passed &&
		     a->record.origin != CTASK_ORIGIN_OWNER_CANCELLED;

	return (timeout || group) && is_inside(a->r, &a->chain, a->record.scope);
}

static void classify(struct asking *a)
{
	enum ctask_origin otherwise = CTASK_ORIGIN_EXPLICIT;
	bool passed = false;
	uint32_t i;

	for (i = 0; i < a->stack.count && i < ROLES_MAX; i++) {
		const struct seen *seen = &a->stack.seen[i];
		const struct ctask_origin_row *row = seen->facts->row;

		if (seen->facts->is_cancel && local_at(a->r, seen, 0) == a->target)
			continue; /* of a subclass, on its way to the one that is probed */
		if (row && !self_is(a, seen, row->self))
			row = NULL;
		if (!row) {
			if (seen->facts->code->library && !passed)
				otherwise = CTASK_ORIGIN_UNKNOWN;
			break;
		}
		if (row->role == CTASK_ROLE_BOUNDARY)
			break;
		if (row->role == CTASK_ROLE_PASSES) {
			if (row->origin != CTASK_ORIGIN_UNKNOWN)
				otherwise = row->origin;
			take_construct(a, i);
			passed = true;
			continue;
		}
		if (row->role == CTASK_ROLE_RUNNER)
			decide_runner(a, i);
		else
			decide(a, i, passed);
		break;
	}
	if (a->record.origin == CTASK_ORIGIN_UNKNOWN)
		a->record.origin = (uint8_t)otherwise;
	if (a->record.origin == CTASK_ORIGIN_TIMEOUT && a->record.through == CTASK_THROUGH_TIMEOUT)
		look_for_wait_for(a);
	a->of_block =
		asks_who_is_inside(a, i < a->stack.count ? a->stack.seen[i].facts : NULL, passed);
}

static void take_cause(struct asking *a)
{
	struct ctask_resolver *r = a->r;
	const struct ctask_record *cause;

	if (!a->record.cause && a->record.requester_kind == CTASK_REQUESTER_TASK) {
		uint32_t end = find_coro(a, task_coro(r, a->task));

		for (uint32_t i = 0; i <= end && i < a->stack.count; i++)
			if (ctask_stems_from_cancel(r, gen_exception(r, a->stack.seen[i].gen))) {
				a->record.cause = ctask_requests_cause(r->requests, a->task);
				break;
			}
	}
	if (!a->record.cause || a->record.root)
		return;
	cause = ctask_bpf_record(r->history, a->record.cause);
	a->record.root = cause ? cause->root : a->record.cause;
}

/* --- from what is known to a record --- */

static uint64_t put_text(struct ctask_resolver *r, ctask_text text)
{
	return text ? ctask_bpf_side(r->history, text, strlen(text)) : 0;
}

static uint64_t put_stack(struct ctask_resolver *r, const struct seen *seen, uint32_t count)
{
	uint32_t places[FRAMES];

	for (uint32_t i = 0; i < count; i++)
		places[i] = seen[i].place;
	return ctask_bpf_side(r->history, places, count * sizeof(*places));
}

static void put(struct asking *a)
{
	struct ctask_resolver *r = a->r;
	struct ctask_record *record = &a->record;
	const struct stack *target = &a->chain;
	uint32_t target_count = a->chain.count;

	if (a->chain.running) {
		uint32_t end = find_coro(a, a->target_coro);

		target = &a->stack;
		target_count = end < a->stack.count ? end + 1 : 0;
	}
	record->id = r->history->header->last_id + 1;
	if (!record->root)
		record->root = record->id;
	record->target_coroutine = coroutine_word(r, a->target_coro);
	record->target_stack_cut = (uint16_t)a->chain.cut;
	record->stack_cut = (uint16_t)a->stack.cut;
	record->target_name = put_text(r, a->target_name);
	if (a->requester_name)
		record->requester_name = put_text(r, a->requester_name);
	if (record->failed_task)
		record->failed_task_name = put_text(r, a->failed_name);
	record->exception_message = put_text(r, a->exception_message);
	record->message = put_text(r, a->message);
	record->target_stack = put_stack(r, target->seen, target_count);
	record->stack = put_stack(r, a->stack.seen, a->stack.count);
	ctask_bpf_record_put(r->history, record);
}

/* --- calls that lie in each other --- */

static struct thread_calls *calls_of(struct ctask_resolver *r, uint32_t tid)
{
	struct thread_calls *moved;

	for (uint32_t i = 0; i < r->thread_count; i++)
		if (r->threads[i].tid == tid)
			return &r->threads[i];
	moved = realloc(r->threads, (r->thread_count + 1) * sizeof(*moved));
	if (!moved)
		return NULL;
	r->threads = moved;
	r->threads[r->thread_count] = (struct thread_calls){ .tid = tid };
	return &r->threads[r->thread_count++];
}

/*
 * Whether @p call is still under way, and this one was made inside of it. There is no probe on the
 * return (which would change the target's stack): the caller's frame stands at the same instruction,
 * this call lies deeper in the C stack, and came by the object that the target of that one waits for.
 */
static bool encloses(struct asking *a, const struct call *call, bool is_last)
{
	uint32_t i = 0;

	if (a->event->sp >= call->sp)
		return false;
	if (is_last && a->event->outer != call->caller)
		return false;
	while (i < a->stack.count && a->stack.seen[i].frame != call->frame)
		i++;
	if (i == a->stack.count || a->stack.seen[i].place != call->place)
		return false;
	if (!call->waiter)
		return false;
	return i == 0 ? call->waiter == a->target || !is_a(a->r, call->waiter, "Future")
		      : local_at(a->r, &a->stack.seen[i - 1], 0) == call->waiter;
}

/* Whether a signal handler runs inside of @p call, and made this one. */
static bool came_by_signal(struct asking *a, const struct call *call)
{
	uint32_t handler = 0, i = 0;

	if (a->event->sp >= call->sp)
		return false;
	while (i < a->stack.count && a->stack.seen[i].frame != call->frame)
		i++;
	if (i == a->stack.count || a->stack.seen[i].place != call->place)
		return false;
	while (handler < i && !handles_signal(a, handler))
		handler++;
	return handler < i && i > handler + 1;
}

static const struct call *enter(struct asking *a, struct thread_calls *calls)
{
	bool is_last = true;

	while (calls->count) {
		if (came_by_signal(a, &calls->calls[calls->count - 1]))
			return NULL; /* that one goes on afterwards */
		if (encloses(a, &calls->calls[calls->count - 1], is_last))
			break;
		calls->count--;
		is_last = false;
	}
	for (uint32_t i = calls->count; i-- > 0;)
		if (calls->calls[i].id)
			return &calls->calls[i];
	return NULL;
}

static double monotonic_of(const struct ctask_probe_event *event)
{
	return (double)event->time_ns / 1e9;
}

static void forget_code(struct ctask_resolver *r)
{
	ctask_text library = r->codes->library_folder;

	for (uint32_t i = 0; i < r->facts_room; i++) {
		free(r->facts[i]);
		r->facts[i] = NULL;
	}
	r->new_code_count = 0;
	ctask_codes_forget(r->codes);
	r->codes->library_folder = library;
	r->stale = false;
}

static void take_cancel(struct ctask_resolver *r, const struct ctask_probe_event *event)
{
	const struct ctask_layout *l = &r->heap->layout;
	struct thread_calls *calls = calls_of(r, event->tid);
	struct asking *a = calloc(1, sizeof(*a));
	const struct call *outer;

	if (!a || !calls) {
		r->history->header->lost_records++;
		free(a);
		return;
	}
	a->r = r;
	a->event = event;
	a->target = event->self;
	a->target_coro = task_coro(r, a->target);
	a->now = monotonic_of(event);
	a->record = (struct ctask_record){
		.time_us = r->epoch_us + (int64_t)(event->time_ns / 1000),
		.target = a->target,
		.delay_s = NAN,
		.elapsed_s = NAN,
		.thread = event->tid,
	};
	a->target_name = task_name(r, a->target);
	read_thread_stack(a);
	read_chain(r, &a->chain, a->target_coro);
	if (r->stale) {
		forget_code(r);
		read_thread_stack(a);
		read_chain(r, &a->chain, a->target_coro);
	}
	if (event->argument && ctask_kind_of(r->heap, event->argument) == CTASK_KIND_STR)
		a->message = text_of(r, event->argument);
	outer = enter(a, calls);
	if (outer) {
		classify_passed_on(a, outer);
	} else {
		take_requester(a);
		classify(a);
		take_cause(a);
	}
	put(a);
	ctask_requests_add(r->requests, a->target, a->target_coro,
			   some(r, u64_at(r, a->target + l->task_fut_waiter)), a->record.id,
			   monotonic_of(event), a->of_block);
	if (calls->count < CALLS_MAX) {
		const struct seen *at = a->chain.count && a->chain.seen[0].facts->is_wait_for
						? &a->chain.seen[0]
						: NULL;

		calls->calls[calls->count++] = (struct call){
			.wait_for = at ? at->gen : 0,
			.delay_s = at ? wait_for_delay(r, at) : NAN,
			.id = a->record.id,
			.target = a->target,
			.waiter = some(r, u64_at(r, a->target + l->task_fut_waiter)),
			.sp = event->sp,
			.caller = event->caller,
			.frame = a->stack.count ? a->stack.seen[0].frame : 0,
			.place = a->stack.count ? a->stack.seen[0].place : 0,
		};
	}
	free(a);
}

static void take_gone(struct ctask_resolver *r, const struct ctask_probe_event *event)
{
	ctask_requests_gone(r->requests, event->self, monotonic_of(event));
}

static void take_uncancel(struct ctask_resolver *r, const struct ctask_probe_event *event)
{
	struct asking *a = calloc(1, sizeof(*a));
	uint64_t construct = 0;
	bool any = true;

	if (!a)
		return;
	a->r = r;
	a->event = event;
	read_thread_stack(a);
	if (a->stack.count) {
		const struct facts *facts = a->stack.seen[0].facts;

		if (facts->arguments)
			construct = local_at(r, &a->stack.seen[0], 0);
		any = !facts->is_group_exit;
	}
	if (ctask_task_ending(r, event->self) != CTASK_GOES_ON)
		take_gone(r, event); /* done: a block that ends later takes nothing back */
	else
		ctask_requests_absorb(r->requests, event->self, construct, any,
				      monotonic_of(event));
	free(a);
}

static void take_entered(struct ctask_resolver *r, const struct ctask_probe_event *event)
{
	const struct ctask_probe_piece *piece = ctask_piece_next(event, NULL);
	const struct ctask_layout *l = &r->heap->layout;
	struct ctask_frame_view view;
	struct ctask_code *code;
	uint64_t frame;

	if (!piece)
		return;
	frame = piece->addr - (l->frame_gen != CTASK_NO_FIELD ? 0 : 0);
	if (ctask_frame_read(r->codes, frame, &view) || view.shim)
		return;
	code = ctask_code_at(r->codes, view.code);
	if (code &&
	    (!strcmp(code->plain_name, "__aenter__") || !strcmp(code->plain_name, "__enter__"))) {
		const struct seen seen = { .locals = view.locals };

		ctask_requests_note_entered(r->requests, local_at(r, &seen, 0),
					    monotonic_of(event));
	}
}

/* Forget what was read: the target ran on, and its types may have gone. */
static void look_anew(struct ctask_resolver *r)
{
	uint64_t task_type = r->heap->py_task_type, future_type = r->heap->py_future_type;

	ctask_heap_forget(r->heap);
	r->heap->py_task_type = task_type;
	r->heap->py_future_type = future_type;
	ctask_pages_thaw(r->heap->pages);
	r->heap->pages->touched_count = 0;
	r->heap->pages->error = 0;
}

void ctask_resolver_take(struct ctask_resolver *r, const struct ctask_probe_event *event)
{
	ctask_photo_show(r->photo, event);
	look_anew(r);
	switch (event->kind) {
	case CTASK_PROBE_CANCEL:
		take_cancel(r, event);
		break;
	case CTASK_PROBE_UNCANCEL:
		take_uncancel(r, event);
		break;
	case CTASK_PROBE_THROW:
		ctask_requests_delivered(r->requests, event->self, event->argument,
					 monotonic_of(event));
		break;
	case CTASK_PROBE_GONE:
		take_gone(r, event);
		break;
	case CTASK_PROBE_ENTERED:
		take_entered(r, event);
		break;
	}
	ctask_photo_show(r->photo, NULL);
	look_anew(r);
}

/* --- what the requests need to know of tasks --- */

enum ctask_ending ctask_task_ending(struct ctask_resolver *r, uint64_t task)
{
	const struct ctask_layout *l = &r->heap->layout;
	uint32_t state;

	if (ctask_pages_read(r->heap->pages, task + l->task_state, &state, sizeof(state)))
		return CTASK_UNREADABLE;
	if (state == 0)
		return CTASK_GOES_ON;
	if (state == 1)
		return CTASK_ENDED_CANCELLED;
	if (state != 2)
		return CTASK_UNREADABLE;
	return u64_at(r, task + l->task_exception) ? CTASK_ENDED_RAISED : CTASK_ENDED_RETURNED;
}

uint64_t ctask_task_waiter(struct ctask_resolver *r, uint64_t task)
{
	return some(r, u64_at(r, task + r->heap->layout.task_fut_waiter));
}

bool ctask_coro_is_probed(struct ctask_resolver *r, uint64_t coro)
{
	enum ctask_kind kind = ctask_kind_of(r->heap, coro);

	return kind == CTASK_KIND_COROUTINE || kind == CTASK_KIND_GENERATOR;
}

uint64_t ctask_task_coro_now(struct ctask_resolver *r, uint64_t task)
{
	return task_coro(r, task);
}

static bool is_true_attr(struct ctask_resolver *r, uint64_t obj, const char *name)
{
	uint64_t value;
	int64_t number;

	return !ctask_attr(r->heap, obj, name, &value) &&
	       !ctask_int_value(r->heap, value, &number) && number;
}

static bool keeps_cancel(struct ctask_resolver *r, const struct seen *seen)
{
	enum { LOCALS_MAX = 24 };
	int slots;

	if (!seen->facts->code->library)
		return false;
	if (seen->facts->is_group_exit && is_true_attr(r, local_at(r, seen, 0), "_aborting"))
		return true;
	slots = ctask_code_slots(r->codes, seen->facts->code);
	for (int i = 0; i < slots && i < LOCALS_MAX; i++)
		if (is_cancelled_error(r, some(r, local_at(r, seen, i))))
			return true;
	return false;
}

bool ctask_task_is_busy(struct ctask_resolver *r, uint64_t task, uint64_t *blocks, uint32_t count,
			bool *ret_inside, bool *ret_running)
{
	const struct ctask_layout *l = &r->heap->layout;
	struct stack *chain = malloc(sizeof(*chain));
	uint64_t waiter;
	uint32_t state = 0;
	uint8_t must = 0;
	bool busy = true;

	*ret_running = true;
	if (!chain)
		return true;
	read_chain(r, chain, task_coro(r, task));
	*ret_running = chain->running || !chain->count;
	if (*ret_running)
		goto out;
	for (uint32_t i = 0; i < count; i++)
		ret_inside[i] = chain->cut || is_inside(r, chain, blocks[i]);
	(void)ctask_pages_read(r->heap->pages, task + l->task_must_cancel, &must, 1);
	if (must & l->task_must_cancel_mask)
		goto out;
	waiter = some(r, u64_at(r, task + l->task_fut_waiter));
	if (waiter &&
	    !ctask_pages_read(r->heap->pages, waiter + l->task_state, &state, sizeof(state)) &&
	    state && ctask_kind_of(r->heap, waiter) >= CTASK_KIND_FUTURE &&
	    ctask_kind_of(r->heap, waiter) <= CTASK_KIND_TASK) {
		*ret_running = true;
		goto out;
	}
	for (uint32_t i = 0; i < chain->count; i++)
		if (ctask_stems_from_cancel(r, gen_exception(r, chain->seen[i].gen)) ||
		    keeps_cancel(r, &chain->seen[i]))
			goto out;
	busy = false;
out:
	free(chain);
	return busy;
}

bool ctask_resolver_watch(struct ctask_resolver *r)
{
	look_anew(r);
	return ctask_requests_watch(r->requests);
}

/* --- its making and end --- */

static int64_t clock_us(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

struct ctask_resolver *ctask_resolver_create(pid_t pid, struct ctask_walk *walk,
					     struct ctask_memory *live, struct ctask_photo *photo,
					     struct ctask_bpf_history *history,
					     const struct ctask_asyncio_facts *facts)
{
	struct ctask_resolver *r = calloc(1, sizeof(*r));

	(void)live;
	if (!r)
		return NULL;
	r->pid = pid;
	r->walk = walk;
	r->heap = &walk->heap;
	r->codes = &walk->codes;
	r->photo = photo;
	r->history = history;
	r->asyncio = *facts;
	r->epoch_us = clock_us(CLOCK_REALTIME) - clock_us(CLOCK_MONOTONIC);
	r->requests = ctask_requests_create(r, history);
	if (!r->requests || make_paths(r)) {
		ctask_resolver_destroy(r);
		return NULL;
	}
	return r;
}

void ctask_resolver_destroy(struct ctask_resolver *r)
{
	if (!r)
		return;
	for (uint32_t i = 0; i < r->facts_room; i++)
		free(r->facts[i]);
	free(r->facts);
	free(r->paths);
	free(r->path_texts);
	free(r->threads);
	free(r->new_codes);
	ctask_chain_fini(&r->chain);
	ctask_requests_destroy(r->requests);
	free(r);
}

/* repr() of a plain value. */
static ctask_text plain_text(struct ctask_resolver *r, uint64_t item)
{
	struct ctask_texts *texts = r->walk->snap->texts;
	const struct ctask_type *type = ctask_type_of(r->heap, item);
	ctask_text text;
	int64_t number;

	if (!type)
		return NULL;
	if (type->kind == CTASK_KIND_NONE)
		return ctask_texts_format(texts, "None");
	if (!strcmp(type->name, "bool") && !ctask_int_value(r->heap, item, &number))
		return ctask_texts_format(texts, number ? "True" : "False");
	if (type->kind == CTASK_KIND_INT && !ctask_int_value(r->heap, item, &number))
		return ctask_texts_format(texts, "%lld", (long long)number);
	text = type->kind == CTASK_KIND_STR ? text_of(r, item) : NULL;
	if (!text || strpbrk(text, "'\\\n\t\r"))
		return NULL;
	return ctask_texts_format(texts, "'%s'", text);
}

static ctask_text tuple_text(struct ctask_resolver *r, const struct ctask_items *items)
{
	ctask_text all = "";
	uint64_t item;

	for (uint64_t i = 0; i < items->count; i++) {
		ctask_text one = i < 8 && !ctask_items_get(r->heap, items, i, &item)
					 ? plain_text(r, item)
					 : NULL;

		if (!one)
			return NULL;
		all = ctask_texts_format(r->walk->snap->texts, "%s%s%s", all, i ? ", " : "(", one);
		if (!all)
			return NULL;
	}
	return ctask_texts_format(r->walk->snap->texts, "%s)", all);
}

/* PyOSErrorObject: myerrno, strerror, filename, filename2 behind what all exceptions have. */
static ctask_text os_error_text(struct ctask_resolver *r, uint64_t exception)
{
	uint64_t at = exception + (r->heap->layout.minor < 11 ? 64 : 72);
	uint64_t number = some(r, u64_at(r, at)), text = some(r, u64_at(r, at + 8)),
		 file = some(r, u64_at(r, at + 16)), second = some(r, u64_at(r, at + 24));
	ctask_text words = text_of(r, text), name = file ? plain_text(r, file) : NULL;
	int64_t value;

	if (!words || second || (file && !name) || !number ||
	    ctask_int_value(r->heap, number, &value))
		return NULL;
	return ctask_texts_format(r->walk->snap->texts, "[Errno %lld] %s%s%s", (long long)value,
				  words, name ? ": " : "", name ? name : "");
}

static ctask_text group_text(struct ctask_resolver *r, const struct ctask_items *items)
{
	struct ctask_items inner;
	uint64_t words, list;
	ctask_text text;

	if (ctask_items_get(r->heap, items, 0, &words) ||
	    ctask_items_get(r->heap, items, 1, &list) || ctask_items_of(r->heap, list, &inner))
		return NULL;
	text = text_of(r, words);
	return text ? ctask_texts_format(r->walk->snap->texts, "%s (%llu sub-exception%s)", text,
					 (unsigned long long)inner.count,
					 inner.count == 1 ? "" : "s")
		    : NULL;
}

/* Whether its type has a __str__ of its own, which may say anything. */
static bool has_known_str(struct ctask_resolver *r, uint64_t exception)
{
	enum { TYPE_STR = 136 }; /* PyTypeObject.tp_str */
	static const char *const known[] = { "BaseException", "OSError", "KeyError",
					     "BaseExceptionGroup" };
	const struct ctask_type *type = ctask_type_of(r->heap, exception);
	uint64_t str = type ? u64_at(r, type->addr + TYPE_STR) : 0;

	for (uint64_t at = type ? type->addr : 0; at;
	     at = u64_at(r, at + r->heap->layout.type_base)) {
		char name[32] = "";

		(void)ctask_pages_read(r->heap->pages, u64_at(r, at + r->heap->layout.type_name),
				       name, sizeof(name) - 1);
		for (size_t i = 0; i < ARRAY_SIZE(known); i++)
			if (!strcmp(name, known[i]) && u64_at(r, at + TYPE_STR) == str)
				return true;
	}
	return false;
}

/* str() of an exception, where that is its arguments. NULL where it may be anything. */
ctask_text ctask_exception_text(struct ctask_resolver *r, uint64_t exception)
{
	enum { EXCEPTION_ARGS = 24 };
	struct ctask_items items;
	uint64_t args = u64_at(r, exception + EXCEPTION_ARGS), item;

	if (!has_known_str(r, exception))
		return NULL;

	if (!args || ctask_kind_of(r->heap, args) != CTASK_KIND_TUPLE ||
	    ctask_items_of(r->heap, args, &items))
		return NULL;
	if (is_a(r, exception, "OSError") && items.count >= 2)
		return os_error_text(r, exception);
	if (!items.count)
		return ctask_texts_add_bytes(r->walk->snap->texts, "", 0);
	if (is_a(r, exception, "BaseExceptionGroup") && items.count == 2)
		return group_text(r, &items);
	if (items.count > 1)
		return tuple_text(r, &items);
	if (ctask_items_get(r->heap, &items, 0, &item))
		return NULL;
	if (ctask_kind_of(r->heap, item) == CTASK_KIND_STR && !is_a(r, exception, "KeyError"))
		return text_of(r, item);
	return plain_text(r, item);
}
