/* json_read.c - the plain data of the model from JSON text, which may come from anybody. */
#include "model/json_read.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "model/cleanup.h"
#include "model/fit.h"
#include "model/json.h"
#include "model/json_frames.h"
#include "model/json_scan.h"
#include "model/lookup.h"

enum { CMDLINE_MAX = 1 << 20 }; /* words; the kernel allows for about as many */

/* What a snapshot's object has, where it stands in the text. */
enum part {
	SCHEMA,
	VERSION,
	CAPTURED_AT,
	PROCESS,
	SOURCE,
	CAPTURE,
	RUNTIMES,
	TASKS,
	EDGES,
	SCOPES,
	CANCELLATIONS,
	PARTS
};

static const char *const part_keys[PARTS] = {
	[SCHEMA] = "\"schema\"",
	[VERSION] = "\"version\"",
	[CAPTURED_AT] = "\"captured_at\"",
	[PROCESS] = "\"process\"",
	[SOURCE] = "\"source\"",
	[CAPTURE] = "\"capture\"",
	[RUNTIMES] = "\"runtimes\"",
	[TASKS] = "\"tasks\"",
	[EDGES] = "\"edges\"",
	[SCOPES] = "\"scopes\"",
	[CANCELLATIONS] = "\"cancellations\"",
};

/* All that one reading holds. */
struct reading {
	struct ctask_snapshot *snap;
	struct ctask_error *err;
	struct ctask_json_span parts[PARTS];
	struct ctask_json_door door; /* texts go to the snapshot */
	struct ctask_json_places places, history_places;
	ctask_text libraries[CTASK_JSON_LIBRARIES_MAX];
	uint32_t library_count;
	struct ctask_lookup tasks, scopes; /* by id */
};

static void reading_fini(struct reading *r)
{
	ctask_json_places_fini(&r->places);
	ctask_json_places_fini(&r->history_places);
	ctask_lookup_fini(&r->tasks);
	ctask_lookup_fini(&r->scopes);
	ctask_snapshot_destroy(r->snap);
}

static void delete_tree(cJSON **tree)
{
	cJSON_Delete(*tree);
}

#define auto_tree __attribute__((cleanup(delete_tree))) cJSON

/* What is done with each item of an array, a tree of it at a time. */
typedef void (*take_item)(struct reading *r, const cJSON *item, uint32_t index);

static int take_items(struct reading *r, enum part part, const char *what, take_item take)
{
	struct ctask_json_span span;
	struct ctask_json_walk walk;
	int more = ctask_json_walk_begin(&walk, &r->parts[part], '[', r->err);

	r->door.what = what;
	if (more < 0)
		return more;
	for (uint32_t i = 0; (more = ctask_json_walk_next(&walk, NULL, &span, r->err)) > 0; i++) {
		auto_tree *tree = NULL;
		int ret = i < CTASK_NONE ? ctask_json_tree(&span, &tree, r->err) : -ENOMEM;

		if (ret)
			return ret;
		if (!cJSON_IsObject(tree))
			return ctask_fail(r->err, EPROTO, "%s: item %u is no object", what, i);
		take(r, tree, i);
		if (r->door.error)
			return r->door.error;
	}
	return more;
}

/* --- what there is one of --- */

static void take_process(struct reading *r, const cJSON *object)
{
	struct ctask_json_door *door = &r->door;
	struct ctask_process *process = &r->snap->process;
	const cJSON *words, *word;
	int count;

	process->pid = (int32_t)ctask_json_take_known_int(door, object, "pid", 1, INT32_MAX, 0);
	process->nspid = (int32_t)ctask_json_take_known_int(door, object, "nspid", 1, INT32_MAX, 0);
	process->start_time_us = ctask_json_take_time(door, object, "start_time");
	process->uid = ctask_json_take_known_int(door, object, "uid", 0, UINT32_MAX, -1);
	process->exe = ctask_json_take_text(door, object, "exe");
	words = ctask_json_take_array(door, object, "cmdline");
	count = words ? cJSON_GetArraySize(words) : 0;
	if (count > CMDLINE_MAX)
		ctask_json_refuse(door, "cmdline", "has too many words");
	if (door->error)
		return;
	process->cmdline = calloc((size_t)count + 1, sizeof(*process->cmdline));
	if (!process->cmdline) {
		ctask_json_no_memory(door);
		return;
	}
	cJSON_ArrayForEach(word, words)
	{
		const char *text = cJSON_IsString(word) ? word->valuestring : NULL;
		ctask_text kept;

		if (!text) {
			ctask_json_refuse(door, "cmdline", "has a word that is no text");
			return;
		}
		kept = ctask_texts_add_checked(door->texts, text, strlen(text));
		if (!kept) {
			ctask_json_no_memory(door);
			return;
		}
		process->cmdline[process->cmdline_count++] = kept;
	}
}

/* The last line of a list that was too long says how many more there were. */
static bool is_rest(const cJSON *problem, uint64_t task, ctask_text text, uint64_t *ret_count)
{
	char same[CTASK_JSON_UNTOLD_BYTES];
	uint64_t count;

	if (problem->next || task || sscanf(text, "%" SCNu64, &count) != 1 || !count)
		return false;
	ctask_json_untold(count, same);
	if (strcmp(text, same) != 0)
		return false;
	*ret_count += count;
	return true;
}

static void take_problem(struct reading *r, const cJSON *problem)
{
	uint64_t task = ctask_json_take_id(&r->door, problem, "task");
	ctask_text text = ctask_json_take_text(&r->door, problem, "text");

	if (!r->door.error && !text)
		ctask_json_refuse(&r->door, "problems", "has one without a text");
	if (!r->door.error && is_rest(problem, task, text, &r->snap->problems_untold))
		return;
	if (!r->door.error && ctask_snapshot_add_problem(r->snap, task, "%s", text))
		ctask_json_no_memory(&r->door);
}

static void take_capture(struct reading *r, const cJSON *object)
{
	struct ctask_json_door *door = &r->door;
	struct ctask_capture_facts *capture = &r->snap->capture;
	const cJSON *problems, *problem;
	bool complete;

	capture->elapsed_us =
		(uint64_t)ctask_json_take_int(door, object, "elapsed_us", 0, CTASK_JSON_INT_MAX);
	capture->paused_us =
		(uint64_t)ctask_json_take_int(door, object, "paused_us", 0, CTASK_JSON_INT_MAX);
	complete = ctask_json_take_bool(door, object, "complete");
	capture->reread_tasks =
		(uint32_t)ctask_json_take_int(door, object, "reread_tasks", 0, UINT32_MAX);
	problems = ctask_json_take_array(door, object, "problems");
	cJSON_ArrayForEach(problem, problems)
	{
		if (!cJSON_IsObject(problem))
			ctask_json_refuse(door, "problems", "has something in it that is none");
		else
			take_problem(r, problem);
		if (door->error)
			return;
	}
	if (!door->error && complete != ctask_snapshot_complete(r->snap))
		ctask_json_refuse(door, "complete", "does not fit the problems");
}

static int take_object(struct reading *r, enum part part, const char *what,
		       void (*take)(struct reading *r, const cJSON *object))
{
	auto_tree *tree = NULL;
	int ret = ctask_json_tree(&r->parts[part], &tree, r->err);

	if (ret)
		return ret;
	if (!cJSON_IsObject(tree))
		return ctask_fail(r->err, EPROTO, "the %s is no object", what);
	r->door.what = what;
	take(r, tree);
	return r->door.error;
}

/* The parts that are a value by themselves, as if they were members of an object. */
static void take_head(struct reading *r, const cJSON *object)
{
	static const char *const schemas[] = { "ctask.snapshot" };
	struct ctask_json_door *door = &r->door;

	ctask_json_take_word(door, object, "schema", schemas, 1);
	ctask_json_take_int(door, object, "version", 1, 1);
	r->snap->capture.captured_at_us = ctask_json_take_time(door, object, "captured_at");
	r->snap->source = (enum ctask_source)ctask_json_take_word(
		door, object, "source", ctask_source_words, CTASK_SOURCE_FILE + 1);
}

static int read_head(struct reading *r)
{
	static const struct {
		enum part part;
		const char *key;
	} values[] = {
		{ SCHEMA, "schema" },
		{ VERSION, "version" },
		{ CAPTURED_AT, "captured_at" },
		{ SOURCE, "source" },
	};
	auto_tree *object = cJSON_CreateObject();

	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		cJSON *value = NULL;
		int ret = ctask_json_tree(&r->parts[values[i].part], &value, r->err);

		if (ret)
			return ret;
		if (!cJSON_AddItemToObject(object, values[i].key, value)) {
			cJSON_Delete(value);
			return ctask_fail(r->err, ENOMEM, "out of memory");
		}
	}
	r->door.what = "snapshot";
	take_head(r, object);
	return r->door.error;
}

/* --- runtimes --- */

/* Words of ours go to a terminal as they are: so must be what is kept as one. */
static const char *take_name(struct ctask_json_door *door, const cJSON *object, const char *key)
{
	ctask_text text = ctask_json_take_text(door, object, key);

	if (!door->error &&
	    (!text || !*text || text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_")]))
		ctask_json_refuse(door, key, "is no name");
	return text;
}

static void note_library(struct reading *r, ctask_text library)
{
	for (uint32_t i = 0; library && i < r->library_count; i++) {
		if (strcmp(r->libraries[i], library) == 0)
			return;
	}
	if (library && r->library_count < CTASK_JSON_LIBRARIES_MAX)
		r->libraries[r->library_count++] = library;
}

/* Those of the whole process are told with each of its runtimes. */
static void take_libraries(struct reading *r, const cJSON *object, bool first)
{
	const cJSON *item, *items = ctask_json_take_some(&r->door, object, "libraries");

	cJSON_ArrayForEach(item, items)
	{
		const char *text = cJSON_IsString(item) ? item->valuestring : NULL;
		ctask_text kept;

		if (!text) {
			ctask_json_refuse(&r->door, "libraries", "has a folder that is no text");
			return;
		}
		kept = ctask_texts_add_checked(r->door.texts, text, strlen(text));
		if (!kept)
			ctask_json_no_memory(&r->door);
		note_library(r, kept);
		if (kept && first)
			(void)ctask_snapshot_add_library(r->snap, kept);
	}
}

static void take_runtime(struct reading *r, const cJSON *object, uint32_t index)
{
	struct ctask_json_door *door = &r->door;
	struct ctask_runtime *runtime;

	if (ctask_snapshot_add_runtime(r->snap) == CTASK_NONE) {
		ctask_json_no_memory(door);
		return;
	}
	runtime = &r->snap->runtimes[index];
	ctask_json_take_int(door, object, "id", index, index);
	runtime->kind = take_name(door, object, "kind");
	runtime->implementation = take_name(door, object, "implementation");
	runtime->version = ctask_json_take_text(door, object, "version");
	runtime->interpreter =
		ctask_json_take_int(door, object, "interpreter", 0, CTASK_JSON_INT_MAX);
	runtime->thread_id =
		(int32_t)ctask_json_take_known_int(door, object, "thread_id", 0, INT32_MAX, -1);
	runtime->loop = ctask_json_take_text(door, object, "loop");
	runtime->task_count =
		(uint32_t)ctask_json_take_int(door, object, "task_count", 0, UINT32_MAX);
	runtime->library = ctask_json_take_text(door, object, "library");
	runtime->package_version = ctask_json_take_text(door, object, "package_version");
	note_library(r, runtime->library);
	take_libraries(r, object, index == 0);
}

/* --- tasks, edges, scopes --- */

/* The index that @p lookup has for the id under @p key; CTASK_NONE for null. */
static uint32_t take_index(struct reading *r, const struct ctask_lookup *lookup,
			   const cJSON *object, const char *key)
{
	uint64_t id = ctask_json_take_id(&r->door, object, key);
	uint32_t index = id ? ctask_lookup_get(lookup, id) : CTASK_NONE;

	if (id && index == CTASK_NONE)
		ctask_json_refuse(&r->door, key, "is not among what there is");
	return index;
}

static uint64_t take_own_id(struct reading *r, const cJSON *object)
{
	uint64_t id = ctask_json_take_id(&r->door, object, "id");

	if (!r->door.error && !id)
		ctask_json_refuse(&r->door, "id", "is missing");
	return id;
}

/* Ids come first: tasks and scopes name each other. */
static void take_scope_id(struct reading *r, const cJSON *object, uint32_t index)
{
	uint64_t id = take_own_id(r, object);

	if (r->door.error)
		return;
	if (ctask_snapshot_add_scope(r->snap) == CTASK_NONE ||
	    ctask_lookup_add(&r->scopes, id, index)) {
		ctask_json_no_memory(&r->door);
		return;
	}
	r->snap->scopes[index].id = id;
}

static void take_stack(struct reading *r, const cJSON *object)
{
	const cJSON *array = ctask_json_take_array(&r->door, object, "stack"), *frame;

	cJSON_ArrayForEach(frame, array)
	{
		uint32_t place = ctask_json_take_frame(&r->door, &r->places, frame);

		if (r->door.error)
			return;
		if (ctask_snapshot_push_stack(r->snap, place)) {
			ctask_json_no_memory(&r->door);
			return;
		}
	}
}

static void take_wait(struct reading *r, const cJSON *object, struct ctask_task *task)
{
	struct ctask_json_door *door = &r->door;
	const cJSON *wait = ctask_json_take_object(door, object, "waiting_for");

	if (!wait)
		return;
	task->wait_kind = (uint8_t)ctask_json_take_word(door, wait, "kind", ctask_wait_kind_words,
							CTASK_WAIT_KINDS);
	if (task->wait_kind == CTASK_WAIT_NONE)
		ctask_json_refuse(door, "kind", "is none of its words");
	task->wait_text = ctask_json_take_text(door, wait, "text");
	task->wait_id = ctask_json_take_id(door, wait, "id");
	task->wait_left_s = ctask_json_take_seconds(door, wait, "left_s");
}

static struct ctask_history *history_of(struct reading *r)
{
	if (!r->snap->history) {
		r->snap->history = ctask_history_create();
		r->history_places.history = r->snap->history;
	}
	if (!r->snap->history)
		ctask_json_no_memory(&r->door);
	return r->snap->history;
}

/* What goes to the history: texts too. */
static struct ctask_json_door history_door(struct reading *r, const char *what)
{
	struct ctask_json_door door = r->door;

	door.what = what;
	door.texts = r->snap->history->texts;
	return door;
}

static void take_birth(struct reading *r, const cJSON *object, uint64_t task)
{
	struct ctask_birth_facts birth = { .task = task, .frame = CTASK_NONE };
	double age_s = ctask_json_take_seconds(&r->door, object, "age_s");
	const cJSON *place = ctask_json_take_object(&r->door, object, "created_at");
	struct ctask_json_door door;

	birth.creator = ctask_json_take_id(&r->door, object, "created_by");
	if (age_s < 0)
		ctask_json_refuse(&r->door, "age_s", "is no age");
	if (r->door.error || (isnan(age_s) && !place && !birth.creator) || !history_of(r))
		return;
	if (!isnan(age_s))
		birth.time_us = r->snap->capture.captured_at_us - llround(age_s * 1e6);
	door = history_door(r, "task");
	if (place)
		birth.frame = ctask_json_take_frame(&door, &r->history_places, place);
	r->door.error = door.error;
	if (!door.error && ctask_history_add_birth(r->snap->history, &birth))
		ctask_json_no_memory(&r->door);
}

static void take_task(struct reading *r, const cJSON *object, uint32_t index)
{
	struct ctask_json_door *door = &r->door;
	const uint32_t runtimes = r->snap->runtime_count;
	struct ctask_task *task;

	if (ctask_snapshot_add_task(r->snap) == CTASK_NONE) {
		ctask_json_no_memory(door);
		return;
	}
	task = &r->snap->tasks[index];
	task->id = take_own_id(r, object);
	task->name = ctask_json_take_text(door, object, "name");
	task->runtime = (uint32_t)ctask_json_take_known_int(door, object, "runtime", 0,
							    (int64_t)runtimes - 1, CTASK_NONE);
	task->state = (uint8_t)ctask_json_take_word(door, object, "state", ctask_task_state_words,
						    CTASK_DONE + 1);
	task->coroutine = ctask_json_take_text(door, object, "coroutine");
	task->system = ctask_json_take_flag(door, object, "system");
	take_stack(r, object);
	task->cancel_requests = (int32_t)ctask_json_take_known_int(door, object, "cancel_requests",
								   0, INT32_MAX, -1);
	task->cancel_pending = ctask_json_take_bool(door, object, "cancel_pending");
	task->cancel_handled = ctask_json_take_bool(door, object, "cancel_handled");
	take_wait(r, object, task);
	if (task->wait_kind != CTASK_WAIT_NONE && task->state != CTASK_WAITING)
		ctask_json_refuse(door, "waiting_for", "is said of a task that does not wait");
	task->scope = take_index(r, &r->scopes, object, "scope");
	take_birth(r, object, task->id);
	if (!door->error && ctask_lookup_add(&r->tasks, task->id, index))
		ctask_json_no_memory(door);
}

static void take_edge(struct reading *r, const cJSON *object, uint32_t index)
{
	struct ctask_json_door *door = &r->door;
	uint32_t waiter = take_index(r, &r->tasks, object, "waiter");
	uint32_t awaited = take_index(r, &r->tasks, object, "awaited");
	uint32_t kind =
		ctask_json_take_word(door, object, "kind", ctask_edge_kind_words, CTASK_EDGE_KINDS);

	(void)index;
	if (!door->error && (waiter == CTASK_NONE || awaited == CTASK_NONE))
		ctask_json_refuse(door, "waiter", "or \"awaited\" is missing");
	if (!door->error &&
	    ctask_snapshot_add_edge(r->snap, waiter, awaited, (enum ctask_edge_kind)kind))
		ctask_json_no_memory(door);
}

static void take_scope(struct reading *r, const cJSON *object, uint32_t index)
{
	struct ctask_json_door *door = &r->door;
	struct ctask_scope *scope = &r->snap->scopes[index];

	scope->kind = (uint8_t)ctask_json_take_word(door, object, "kind", ctask_scope_kind_words,
						    CTASK_SCOPE_KINDS);
	scope->owner = take_index(r, &r->tasks, object, "owner");
	scope->parent = take_index(r, &r->scopes, object, "parent");
	scope->deadline_in_s = ctask_json_take_seconds(door, object, "deadline_in_s");
	scope->cancel_called = ctask_json_take_bool(door, object, "cancel_called");
	scope->shield = ctask_json_take_bool(door, object, "shield");
	scope->reason = ctask_json_take_text(door, object, "reason");
}

/* --- the rest --- */

static void take_cancellation(struct reading *r, const cJSON *object, uint32_t index)
{
	struct ctask_json_door door;

	(void)index;
	if (!history_of(r))
		return;
	door = history_door(r, "cancellation");
	ctask_json_take_cancellation(&door, &r->history_places, r->snap->history, object);
	r->door.error = door.error;
}

/* Twice the same id: who would be meant by it? */
static int check_unique(struct reading *r)
{
	for (uint32_t i = 1; i < r->tasks.count; i++) {
		if (r->tasks.entries[i].addr == r->tasks.entries[i - 1].addr)
			return ctask_fail(r->err, EPROTO, "two tasks have the id 0x%llx",
					  (unsigned long long)r->tasks.entries[i].addr);
	}
	return 0;
}

static int find_parts(struct reading *r, const char *text, size_t len)
{
	struct ctask_json_span whole, key, value;
	struct ctask_json_walk walk;
	int more = ctask_json_whole(text, len, &whole, r->err);

	if (!more)
		more = ctask_json_walk_begin(&walk, &whole, '{', r->err);
	if (more)
		return more;
	while ((more = ctask_json_walk_next(&walk, &key, &value, r->err)) > 0) {
		for (int i = 0; i < PARTS; i++) {
			if (strlen(part_keys[i]) == key.len && !r->parts[i].text &&
			    memcmp(part_keys[i], key.text, key.len) == 0)
				r->parts[i] = value;
		}
	}
	for (int i = 0; i < PARTS && !more; i++) {
		if (!r->parts[i].text)
			more = ctask_fail(r->err, EPROTO, "%s is missing", part_keys[i]);
	}
	return more;
}

/* In this order: each may name what stands before it here. */
static int read_parts(struct reading *r)
{
	int ret = read_head(r);

	if (!ret)
		ret = take_object(r, PROCESS, "process", take_process);
	if (!ret)
		ret = take_object(r, CAPTURE, "capture", take_capture);
	if (!ret)
		ret = take_items(r, RUNTIMES, "runtime", take_runtime);
	r->places.libraries = r->history_places.libraries = r->libraries;
	r->places.library_count = r->history_places.library_count = r->library_count;
	if (!ret)
		ret = take_items(r, SCOPES, "scope", take_scope_id);
	ctask_lookup_sort(&r->scopes);
	if (!ret)
		ret = take_items(r, TASKS, "task", take_task);
	ctask_lookup_sort(&r->tasks);
	if (!ret)
		ret = check_unique(r);
	if (!ret)
		ret = take_items(r, EDGES, "edge", take_edge);
	if (!ret)
		ret = take_items(r, SCOPES, "scope", take_scope);
	if (!ret)
		ret = take_items(r, CANCELLATIONS, "cancellation", take_cancellation);
	return ret;
}

static void finish_history(struct ctask_snapshot *snap)
{
	struct ctask_history *history = snap->history;

	if (!history)
		return;
	ctask_history_sort_births(history);
	history->read_at_us = snap->capture.captured_at_us;
	if (snap->runtime_count && snap->runtimes[0].version)
		snprintf(history->python_version, sizeof(history->python_version), "%s",
			 snap->runtimes[0].version);
}

int ctask_json_read_snapshot(const char *text, size_t len, struct ctask_snapshot **ret_snap,
			     struct ctask_error *err)
{
	__attribute__((cleanup(reading_fini))) struct reading r = { .err = err };
	int ret;

	r.snap = ctask_snapshot_create();
	if (!r.snap)
		return ctask_fail(err, ENOMEM, "out of memory");
	r.places.snap = r.snap;
	r.door = (struct ctask_json_door){ .texts = r.snap->texts, .err = err };
	ret = find_parts(&r, text, len);
	if (!ret)
		ret = read_parts(&r);
	if (ret)
		return ret;
	finish_history(r.snap);
	if (ctask_fit_link(r.snap))
		return ctask_fail(err, ENOMEM, "out of memory");
	*ret_snap = steal_ptr(&r.snap);
	return 0;
}
