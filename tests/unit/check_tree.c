/* check_tree.c - the forest: roots, folding, shared tasks, cycles, and sizes. */
#include "analysis/tree.h"

#include "analysis/narrow.h"
#include "tests/unit/made.h"

static struct ctask_tree *grow(const struct ctask_snapshot *snap, bool fold)
{
	struct ctask_tree *tree = NULL;

	ck_assert_int_eq(ctask_tree_create(snap, fold, &tree, NULL), 0);
	return tree;
}

/*
 * The tree in short: "name" or "3*name" for a line, in brackets what is below,
 * "^name" for one drawn above, "@name" for a cycle.
 */
static char *sketch(const struct ctask_snapshot *snap, bool fold)
{
	struct ctask_tree *tree = grow(snap, fold);
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	uint32_t depth = 0;

	for (uint32_t i = 0; i < tree->node_count; i++) {
		const struct ctask_node *n = &tree->nodes[i];

		for (; depth > n->depth; depth--)
			fputc(')', out);
		fputs(n->depth > depth ? "(" : i ? " " : "", out);
		depth = n->depth;
		if (n->count > 1)
			fprintf(out, "%u*", n->count);
		fputs((const char *[]){ "", "^", "@" }[n->mark], out);
		fputs(snap->tasks[n->task].name, out);
	}
	for (; depth > 0; depth--)
		fputc(')', out);
	fclose(out);
	ctask_tree_destroy(tree);
	return text;
}

static void assert_sketch(const struct ctask_snapshot *snap, bool fold, const char *want)
{
	auto_free char *got = sketch(snap, fold);

	ck_assert_str_eq(got, want);
}

/* Tasks and edges from words like "a b>c": b waits for c. Every task looks like every other. */
static struct ctask_snapshot *plant(const char *words)
{
	struct ctask_snapshot *snap = made_snapshot();
	auto_free char *copy = strdup(words);
	uint32_t of_letter[128];
	char *rest = copy, *word;

	memset(of_letter, 0xff, sizeof(of_letter));
	while ((word = strsep(&rest, " ")) != NULL) {
		uint32_t before = CTASK_NONE;

		for (; *word; word++) {
			unsigned char letter = (unsigned char)*word;
			char name[2] = { *word, '\0' };

			if (letter == '>')
				continue;
			if (of_letter[letter] == CTASK_NONE)
				of_letter[letter] = made_task(snap, name, false);
			if (before != CTASK_NONE)
				made_edge(snap, before, of_letter[letter], CTASK_EDGE_AWAIT);
			before = of_letter[letter];
		}
	}
	return snap;
}

static const struct {
	const char *why, *edges, *plain, *folded;
} forests[] = {
	{ "nothing", "", "", "" },
	{ "one", "a", "a", "a" },
	{ "a chain", "a>b>c", "a(b(c))", "a(b(c))" },
	{ "two roots alike", "a b", "a b", "2*a" },
	{ "siblings alike", "a>b a>c a>d", "a(b c d)", "a(3*b)" },
	{ "alike, but not below", "a>b a>c a>d d>e", "a(b c d(e))", "a(2*b d(e))" },
	{ "alike below too", "a>b a>c b>d c>e c>f b>g", "a(b(d g) c(e f))", "a(2*b(2*d))" },
	{ "two waiters", "a>s b>c>s", "a(s) b(c(^s))", "a(s) b(c(^s))" },
	{ "two waiters alike", "a>s b>s", "a(s) b(^s)", "2*a(s)" },
	{ "a diamond", "a>b>d a>c>d", "a(b(d) c(^d))", "a(2*b(d))" },
	{ "shared ones differ", "a>s b>t c>s d>t", "a(s) b(t) c(^s) d(^t)", "2*a(s) 2*b(t)" },
	{ "itself", "a>a", "a(@a)", "a(@a)" },
	{ "a cycle", "b>c>a>b", "a(b(c(@a)))", "a(b(c(@a)))" },
	{ "a cycle with a tail", "c>d>c d>a", "c(d(a @c))", "c(d(a @c))" },
	{ "a cycle with a head", "a>c>d>c", "a(c(d(@c)))", "a(c(d(@c)))" },
	{ "cycle upstream of a cycle", "a>b>a c>d>c d>a", "c(d(a(b(@a)) @c))",
	  "c(d(a(b(@a)) @c))" },
	{ "two cycles alike", "a>b>a c>d>c", "a(b(@a)) c(d(@c))", "a(b(@a)) c(d(@c))" },
	{ "a figure of eight", "a>b>a a>c>a", "a(b(@a) c(@a))", "a(2*b(@a))" },
	{ "an edge twice", "a>b a>b", "a(b)", "a(b)" },
};

START_TEST(one_forest)
{
	struct ctask_snapshot *snap = plant(forests[_i].edges);

	assert_sketch(snap, false, forests[_i].plain);
	assert_sketch(snap, true, forests[_i].folded);
	ctask_snapshot_destroy(snap);
}
END_TEST

/* Each changes one task of two: then they must not fold; or says that they still do. */
static void change_state(struct ctask_snapshot *s)
{
	s->tasks[0].state = CTASK_READY;
}
static void change_stack(struct ctask_snapshot *s)
{
	ctask_snapshot_push_stack(s, 0);
}
static void change_coroutine(struct ctask_snapshot *s)
{
	s->tasks[0].coroutine = "other";
}
static void change_wait_kind(struct ctask_snapshot *s)
{
	s->tasks[0].wait_kind = CTASK_WAIT_EVENT;
}
static void change_wait_text(struct ctask_snapshot *s)
{
	s->tasks[0].wait_text = "nap 5 s";
}
static void change_cancel(struct ctask_snapshot *s)
{
	s->tasks[0].cancel_requests = 1;
}
static void change_pending(struct ctask_snapshot *s)
{
	s->tasks[0].cancel_pending = true;
}
static void change_handled(struct ctask_snapshot *s)
{
	s->tasks[0].cancel_handled = true;
}
static void add_problem(struct ctask_snapshot *s)
{
	ctask_snapshot_add_problem(s, s->tasks[0].id, "its stack");
}
static void change_number(struct ctask_snapshot *s)
{
	s->tasks[0].wait_text = "sleep 70.25 s";
}
static void change_left(struct ctask_snapshot *s)
{
	s->tasks[0].wait_left_s = 1;
	s->tasks[1].wait_left_s = 2;
}
static void change_nothing(struct ctask_snapshot *s)
{
	s->tasks[0].coroutine = made_text(s, "worker"); /* the same text at another place */
}

static const struct {
	void (*change)(struct ctask_snapshot *snap);
	bool folds;
} changes[] = {
	{ change_nothing, true },    { change_state, false },	  { change_stack, false },
	{ change_coroutine, false }, { change_wait_kind, false }, { change_wait_text, false },
	{ change_cancel, false },    { change_pending, false },	  { add_problem, false },
	{ change_number, true },     { change_left, true },	  { change_handled, false },
};

START_TEST(one_change)
{
	struct ctask_snapshot *snap = made_snapshot();

	made_task(snap, "a", true);
	made_task(snap, "b", true);
	changes[_i].change(snap);
	assert_sketch(snap, true, changes[_i].folds ? "2*a" : "a b");
	ctask_snapshot_destroy(snap);
}
END_TEST

static const struct {
	const char *text, *other;
	bool folds;
} waits[] = {
	{ "size 3, maxsize 10", "size 25, maxsize 9", true },
	{ "sleep 5 s", "sleep 0.25 s", true },
	{ "sleep -1 s", "sleep 1 s", true },
	{ "Task-5", "Task-12", true },
	{ "shield of Task-5, 3 left.", "shield of Task-6, 4 left.", true },
	{ "Worker1Queue.get", "Worker2Queue.get", false },
	{ "worker_1", "worker_2", false },
	{ "Queue2.get", "Queue3.get", false },
	{ "sleep 1.23457e+06 s", "sleep 1.23458e+06 s", false },
	{ "sleep 1e-05 s", "sleep 1e-06 s", false },
	{ "sleep 1e+06 s", "sleep 2e+06 s", false },
	{ "10.0.0.1", "10.0.0.2", false },
	{ "0x7f01", "0x7f02", false },
	{ "caf\xc3\xa9"
	  "1",
	  "caf\xc3\xa9"
	  "2",
	  false },
	{ "5", "#", false },
	{ "5 of 6", "5", false },
	{ "..5", "..6", false },
	{ "1..5", "2..5", false },
	{ "5s", "6s", false },
	{ "1 2 3 4 5 6 7 8 9", "9 2 3 4 5 6 7 8 9", true },
	{ "1 2 3 4 5 6 7 8 9", "1 2 3 4 5 6 7 8 10", false },
};

/* Numbers in what is waited for may differ, nothing else may. */
START_TEST(one_wait)
{
	struct ctask_snapshot *snap = made_snapshot();

	made_task(snap, "a", true);
	made_task(snap, "b", true);
	snap->tasks[0].wait_text = waits[_i].text;
	snap->tasks[1].wait_text = waits[_i].other;
	assert_sketch(snap, true, waits[_i].folds ? "2*a" : "a b");
	ctask_snapshot_destroy(snap);
}
END_TEST

static const struct {
	enum ctask_wait_kind kind;
	const char *text, *other;
	bool folds;
} events[] = {
	{ CTASK_WAIT_EVENT, "Event.wait, 1 waiting", "Event.wait, 1 waiting", true },
	{ CTASK_WAIT_EVENT, "Event.wait, 1 waiting, deadline", "Event.wait, 1 waiting, deadline",
	  true },
	{ CTASK_WAIT_EVENT, "Event.wait, 1 waiting", "Event.wait, 2 waiting", false },
	{ CTASK_WAIT_EVENT, "Event.wait, 2 waiting", "Event.wait, 2 waiting", false },
	{ CTASK_WAIT_EVENT, "Event.wait, 11 waiting", "Event.wait, 11 waiting", false },
	{ CTASK_WAIT_EVENT, "Event.wait", "Event.wait", false },
	{ CTASK_WAIT_EVENT, NULL, NULL, false },
	{ CTASK_WAIT_LOCK, "Lock.acquire, 1 waiting", "Lock.acquire, 1 waiting", false },
	{ CTASK_WAIT_QUEUE, "Queue.get, 1 waiting to receive", "Queue.get, 1 waiting to receive",
	  false },
};

/* Which event it is does not matter where each has nobody else to wait for it. */
START_TEST(an_event_of_its_own)
{
	struct ctask_snapshot *snap = made_snapshot();

	made_task(snap, "a", true);
	made_task(snap, "b", true);
	for (uint32_t i = 0; i < 2; i++) {
		snap->tasks[i].wait_kind = (uint8_t)events[_i].kind;
		snap->tasks[i].wait_text = i ? events[_i].other : events[_i].text;
		snap->tasks[i].wait_id = 0x10 * (i + 1);
	}
	assert_sketch(snap, true, events[_i].folds ? "2*a" : "a b");
	assert_sketch(snap, false, "a b");
	ctask_snapshot_destroy(snap);
}
END_TEST

/* Which lock it is matters; which future does not, because each waits for its own. */
START_TEST(what_is_waited_for)
{
	static const bool matters[CTASK_WAIT_KINDS] = {
		[CTASK_WAIT_CONDITION] = true, [CTASK_WAIT_EVENT] = true,
		[CTASK_WAIT_LOCK] = true,      [CTASK_WAIT_QUEUE] = true,
		[CTASK_WAIT_SEMAPHORE] = true,
	};
	struct ctask_snapshot *snap = made_snapshot();

	for (const char *name = "a\0b\0c\0d\0"; *name; name += 2) {
		uint32_t task = made_task(snap, name, true);

		snap->tasks[task].wait_kind = (uint8_t)_i;
		snap->tasks[task].wait_id = *name < 'c' ? 0x10 : 0x20;
	}
	assert_sketch(snap, true, matters[_i] ? "2*a 2*c" : "4*a");
	snap->tasks[0].wait_id = snap->tasks[1].wait_id = 0; /* not known */
	assert_sketch(snap, true, matters[_i] ? "2*a 2*c" : "4*a");
	ctask_snapshot_destroy(snap);
}
END_TEST

START_TEST(kinds_of_edges)
{
	struct ctask_snapshot *snap = plant("a b c");
	struct ctask_tree *tree;

	made_edge(snap, 0, 1, CTASK_EDGE_GATHER);
	made_edge(snap, 0, 2, CTASK_EDGE_TASK_GROUP);
	made_edge(snap, 0, 2, CTASK_EDGE_AWAIT);
	tree = grow(snap, true);
	ck_assert_uint_eq(tree->node_count, 3);
	ck_assert_uint_eq(tree->nodes[1].kinds, 1 << CTASK_EDGE_GATHER);
	ck_assert_uint_eq(tree->nodes[2].kinds, 1 << CTASK_EDGE_TASK_GROUP | 1 << CTASK_EDGE_AWAIT);
	ck_assert(!tree->nodes[1].last && tree->nodes[2].last);
	ck_assert_uint_eq(tree->nodes[2].waiter_count, 1);
	ctask_tree_destroy(tree);
	ctask_snapshot_destroy(snap);
}
END_TEST

START_TEST(natural_order)
{
	static const char *const names[] = { "Task-10",	 "b", "Task-9",	       "",
					     "Task-100", "a", "a-long-name-2", "a-long-name-10",
					     "Task-009" };
	struct ctask_snapshot *snap = made_snapshot();

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		made_task(snap, names[i], true);
	assert_sketch(snap, false,
		      " Task-009 Task-9 Task-10 Task-100 a a-long-name-2 a-long-name-10 b");
	ctask_snapshot_destroy(snap);
}
END_TEST

START_TEST(members_of_folded_lines)
{
	/* 3 roots alike with 2 children alike each: 2 lines for 9 tasks. */
	struct ctask_snapshot *snap = plant("a>b a>c d>e d>f g>h g>i");
	struct ctask_tree *tree = grow(snap, true);

	ck_assert_uint_eq(tree->node_count, 2);
	ck_assert_uint_eq(tree->nodes[0].count, 3);
	ck_assert_uint_eq(tree->nodes[0].member_count, 3);
	ck_assert_uint_eq(tree->nodes[1].count, 2);
	ck_assert_uint_eq(tree->nodes[1].member_count, 6);
	ctask_tree_destroy(tree);
	ctask_snapshot_destroy(snap);
}
END_TEST

START_TEST(a_deep_chain)
{
	enum { COUNT = 100000 };
	struct ctask_snapshot *snap = made_snapshot();
	struct ctask_tree *tree;

	for (uint32_t i = 0; i < COUNT; i++) {
		made_numbered_task(snap, i, false);
		if (i)
			made_edge(snap, i - 1, i, CTASK_EDGE_AWAIT);
	}
	tree = grow(snap, _i);
	ck_assert_uint_eq(tree->node_count, COUNT);
	ck_assert_uint_eq(tree->nodes[COUNT - 1].depth, COUNT - 1);
	ctask_tree_destroy(tree);
	made_edge(snap, COUNT - 1, 0, CTASK_EDGE_AWAIT); /* now it is one big cycle */
	tree = grow(snap, _i);
	ck_assert_uint_eq(tree->node_count, COUNT + 1);
	ck_assert_uint_eq(tree->nodes[COUNT].mark, CTASK_NODE_CYCLE);
	ctask_tree_destroy(tree);
	ctask_snapshot_destroy(snap);
}
END_TEST

START_TEST(a_wide_group)
{
	enum { COUNT = 100000 };
	struct ctask_snapshot *snap = made_snapshot();
	uint32_t root = made_task(snap, "root", false);
	struct ctask_tree *tree;

	for (uint32_t i = COUNT; i-- > 0;)
		made_edge(snap, root, made_numbered_task(snap, i, true), CTASK_EDGE_GATHER);
	tree = grow(snap, false);
	ck_assert_uint_eq(tree->node_count, COUNT + 1);
	ck_assert_str_eq(snap->tasks[tree->nodes[1].task].name, "Task-0");
	ck_assert_uint_eq(tree->nodes[0].child_count, COUNT);
	ctask_tree_destroy(tree);
	tree = grow(snap, true);
	ck_assert_uint_eq(tree->node_count, 2);
	ck_assert_uint_eq(tree->nodes[1].count, COUNT);
	ctask_tree_destroy(tree);
	ctask_snapshot_destroy(snap);
}
END_TEST

/* Everybody waits for everybody in the next layer: many edges, each task shared. */
START_TEST(dense_layers)
{
	enum { LAYERS = 4, WIDTH = 300 };
	struct ctask_snapshot *snap = made_snapshot();
	struct ctask_tree *tree;

	for (uint32_t i = 0; i < LAYERS * WIDTH; i++)
		made_numbered_task(snap, i, false);
	for (uint32_t i = 0; i < (LAYERS - 1) * WIDTH; i++) {
		for (uint32_t j = 0; j < WIDTH; j++)
			made_edge(snap, i, (i / WIDTH + 1) * WIDTH + j, CTASK_EDGE_WAIT);
	}
	tree = grow(snap, false);
	ck_assert_uint_eq(tree->node_count, WIDTH + (LAYERS - 1) * WIDTH * WIDTH);
	ctask_tree_destroy(tree);
	tree = grow(snap, true);
	ck_assert_uint_eq(tree->nodes[0].count, WIDTH);
	ctask_tree_destroy(tree);
	ctask_snapshot_destroy(snap);
}
END_TEST

static const struct {
	const char *edges, *which, *left;
} narrowed[] = {
	{ "a>b>c>d b>e f", "c", "a(b(c(d)))" },	  { "a>b>c>d b>e f", "f", "f" },
	{ "a>b>c>d b>e f", "a", "a(b(c(d) e))" }, { "a>s b>s c>d", "s", "a(s) b(^s)" },
	{ "a>b>a b>c d>e", "c", "a(b(@a c))" },	  { "a>b>c", "0x7f0000000200", "a(b(c))" },
};

START_TEST(one_narrowed)
{
	struct ctask_snapshot *snap = plant(narrowed[_i].edges);

	ck_assert_int_eq(ctask_narrow_to_task(snap, narrowed[_i].which, NULL), 0);
	assert_sketch(snap, false, narrowed[_i].left);
	ctask_snapshot_destroy(snap);
}
END_TEST

START_TEST(narrowing_keeps_what_belongs)
{
	struct ctask_snapshot *snap = plant("a>b c");
	uint32_t outer, inner, other;

	ctask_snapshot_add_runtime(snap);
	snap->runtimes[1].thread_id = 4300;
	snap->tasks[2].runtime = 1;
	outer = ctask_snapshot_add_scope(snap);
	inner = ctask_snapshot_add_scope(snap);
	other = ctask_snapshot_add_scope(snap);
	snap->scopes[inner].parent = outer;
	snap->scopes[outer].owner = 0;
	snap->tasks[1].scope = inner;
	snap->tasks[2].scope = other;
	ck_assert_int_eq(ctask_narrow_to_thread(snap, 1, NULL), -ENOENT);
	ck_assert_int_eq(ctask_narrow_to_task(snap, "no", NULL), -ENOENT);
	ck_assert_uint_eq(snap->task_count, 3);
	ck_assert_int_eq(ctask_narrow_to_task(snap, "b", NULL), 0);
	ck_assert_uint_eq(snap->task_count, 2);
	ck_assert_uint_eq(snap->scope_count, 2);
	ck_assert_uint_eq(snap->runtime_count, 1);
	ck_assert_uint_eq(snap->scopes[snap->tasks[1].scope].parent, outer);
	ctask_snapshot_destroy(snap);

	snap = plant("a>b c");
	ctask_snapshot_add_runtime(snap);
	snap->runtimes[1].thread_id = 4300;
	snap->tasks[2].runtime = 1;
	ck_assert_int_eq(ctask_narrow_to_thread(snap, 4300, NULL), 0);
	assert_sketch(snap, true, "c");
	ck_assert_uint_eq(snap->tasks[0].runtime, 0);
	ck_assert_int_eq(snap->runtimes[0].thread_id, 4300);
	ck_assert_uint_eq(snap->edge_count, 0);
	ctask_snapshot_destroy(snap);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("tree");

	tcase_set_timeout(tests, 60);
	tcase_add_loop_test(tests, one_forest, 0, ARRAY_SIZE(forests));
	tcase_add_loop_test(tests, one_change, 0, ARRAY_SIZE(changes));
	tcase_add_loop_test(tests, one_wait, 0, ARRAY_SIZE(waits));
	tcase_add_loop_test(tests, an_event_of_its_own, 0, ARRAY_SIZE(events));
	tcase_add_loop_test(tests, what_is_waited_for, 1, CTASK_WAIT_KINDS);
	tcase_add_test(tests, kinds_of_edges);
	tcase_add_test(tests, natural_order);
	tcase_add_test(tests, members_of_folded_lines);
	tcase_add_loop_test(tests, a_deep_chain, 0, 2);
	tcase_add_test(tests, a_wide_group);
	tcase_add_test(tests, dense_layers);
	tcase_add_loop_test(tests, one_narrowed, 0, ARRAY_SIZE(narrowed));
	tcase_add_test(tests, narrowing_keeps_what_belongs);
	return made_run("tree", tests);
}
