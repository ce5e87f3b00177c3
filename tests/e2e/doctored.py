"""doctored.py - ways to spoil a snapshot, each with the difference that must then be found.

A comparison that never fails is no evidence: these are its negative controls.
"""
import copy


def each_stack(change):
    def doctor(snapshot):
        for task in snapshot["tasks"]:
            change(task["stack"])
    return doctor


def some_stack(change):
    def doctor(snapshot):
        change(max((t["stack"] for t in snapshot["tasks"]),
                   key=lambda s: min(len({f["name"] for f in s}), 6)))
    return doctor


def some_task(change, fit=lambda task: True):
    def doctor(snapshot):
        change(next(t for t in snapshot["tasks"] if fit(t)))
    return doctor


def shift(stack):
    for frame in stack:
        frame["line"] = (frame["line"] or 0) + 1


def drop_edge(snapshot):
    edge = snapshot["edges"].pop()
    heal(snapshot, edge["awaited"])


def add_edge(snapshot):
    known = {(e["waiter"], e["awaited"]) for e in snapshot["edges"]}
    first, second = next((a["id"], b["id"]) for a in snapshot["tasks"] for b in snapshot["tasks"]
                         if a is not b and (a["id"], b["id"]) not in known)
    snapshot["edges"].append({"waiter": first, "awaited": second, "kind": "await"})
    heal(snapshot, second)


def turn_edge(snapshot):
    known = {(e["waiter"], e["awaited"]) for e in snapshot["edges"]}
    edge = next(e for e in snapshot["edges"] if (e["awaited"], e["waiter"]) not in known)
    edge["waiter"], edge["awaited"] = edge["awaited"], edge["waiter"]
    heal(snapshot, edge["waiter"])
    heal(snapshot, edge["awaited"])


def heal(snapshot, awaited):
    """Make awaited_by follow the edges again, so that only the edges are wrong."""
    for task in snapshot["tasks"]:
        if task["id"] == awaited:
            task["awaited_by"] = list(dict.fromkeys(
                e["waiter"] for e in snapshot["edges"] if e["awaited"] == awaited))


def swap_kind(snapshot):
    edge = snapshot["edges"][0]
    edge["kind"] = "wait" if edge["kind"] != "wait" else "gather"


def drop_task(snapshot):
    """A task that vanishes with all that points to it, as a truncated walk would lose it."""
    gone = snapshot["tasks"].pop()["id"]
    snapshot["edges"] = [e for e in snapshot["edges"] if gone not in (e["waiter"], e["awaited"])]
    for task in snapshot["tasks"]:
        task["awaited_by"] = [i for i in task["awaited_by"] if i != gone]


def add_task(snapshot):
    task = copy.deepcopy(snapshot["tasks"][0])
    task.update(id="0x1234567890", name="ghost", awaited_by=[])
    snapshot["tasks"].append(task)


def edge_twice(snapshot):
    snapshot["edges"].append(dict(snapshot["edges"][0]))


def one_waiter_less(snapshot):
    next(t for t in snapshot["tasks"] if t["awaited_by"])["awaited_by"].pop()


def moved(snapshot):
    counts = [r["id"] for r in snapshot["runtimes"]]
    if len(counts) > 1:
        task = snapshot["tasks"][0]
        task["runtime"] = next(r for r in counts if r != task["runtime"])
    else:
        snapshot["tasks"][0]["runtime"] = 99


def runtime(key, value):
    def doctor(snapshot):
        snapshot["runtimes"][-1][key] = value
    return doctor


def process(key, value):
    def doctor(snapshot):
        snapshot["process"][key] = value
    return doctor


def waits_for(task):
    task["waiting_for"] = dict(task["waiting_for"], kind="subprocess")


def is_sleeping(task):
    return task["waiting_for"] and task["waiting_for"]["kind"] == "sleep"


WAYS = [
    # what is done, how, the difference it must make
    ("outermost frame of each stack dropped", each_stack(lambda s: s.pop()), "stack-length"),
    ("innermost frame of each stack dropped", each_stack(lambda s: s.pop(0)), "stack-length"),
    ("each stack cut after one frame", each_stack(lambda s: s.__delitem__(slice(0, -1))),
     "stack-length"),
    ("one stack without its innermost frame", some_stack(lambda s: s.pop(0)), "stack-length"),
    ("one stack with a frame twice", some_stack(lambda s: s.append(s[-1])), "stack-length"),
    ("one stack upside down", some_stack(lambda s: s.reverse()), "frame-name"),
    ("all lines shifted by one", each_stack(shift), "line"),
    ("lines of one stack shifted by one", some_stack(shift), "line"),
    ("one line null", some_stack(lambda s: s[0].update(line=None)), "line"),
    ("one frame of another file", some_stack(lambda s: s[-1].update(filename="x")), "frame-file"),
    ("an edge dropped", drop_edge, "edge-missing"),
    ("an edge added", add_edge, "edge-extra"),
    ("an edge turned round", turn_edge, "edge-extra"),
    ("an edge twice", edge_twice, "edge-twice"),
    ("an edge of another kind", swap_kind, "edge-extra"),
    ("a waiter less in awaited_by", one_waiter_less, "awaited-by"),
    ("a task dropped", drop_task, "task-missing"),
    ("a task added", add_task, "task-extra"),
    ("a task with another name", some_task(lambda t: t.update(name=t["name"] + " ")), "name"),
    ("a task that waits called ready",
     some_task(lambda t: t.update(state="ready"), lambda t: t["state"] == "waiting"), "state"),
    ("a task of another coroutine", some_task(lambda t: t.update(coroutine="x")), "coroutine"),
    ("one cancel request more",
     some_task(lambda t: t.update(cancel_requests=(t["cancel_requests"] or 0) + 1)),
     "cancel-requests"),
    ("a sleep called a subprocess", some_task(waits_for, is_sleeping), "waiting-for"),
    ("a sleep called nothing", some_task(lambda t: t.update(waiting_for=None), is_sleeping),
     "waiting-for"),
    ("a task in another runtime", moved, "runtime"),
    ("a runtime with a task less", runtime("task_count", 0), "runtime-fields"),
    ("a runtime in another thread", runtime("thread_id", 1), "runtime-fields"),
    ("another version", runtime("version", "3.14.0rc1"), "runtime-fields"),
    ("another pid", process("pid", 1), "process"),
    ("another nspid", process("nspid", 77), "process"),
    ("another exe", process("exe", "/bin/sh"), "process"),
    ("not complete", lambda s: s["capture"].update(complete=False), "capture"),
]


def some_scope(change, fit=lambda scope: True):
    def doctor(snapshot):
        change(next(s for s in snapshot["scopes"] if fit(s)))
    return doctor


def drop_scope(snapshot):
    """A scope that vanishes with all that points to it."""
    gone = snapshot["scopes"].pop()
    for scope in snapshot["scopes"]:
        scope["parent"] = gone["parent"] if scope["parent"] == gone["id"] else scope["parent"]
    for task in snapshot["tasks"]:
        task["scope"] = None if task["scope"] == gone["id"] else task["scope"]


def add_scope(snapshot):
    snapshot["scopes"].append(dict(snapshot["scopes"][0], id="0x1234567890", tasks=[]))


def another_kind(scope):
    scope["kind"] = "timeout" if scope["kind"] == "nursery" else "nursery"


def swap_parent(snapshot):
    """Turn two nested scopes inside out."""
    scopes = {s["id"]: s for s in snapshot["scopes"]}
    inner = next(s for s in scopes.values() if s["parent"])
    outer = scopes[inner["parent"]]
    inner["parent"], outer["parent"] = outer["parent"], inner["id"]


def another_parent(snapshot):
    parents = {s["parent"] for s in snapshot["scopes"]}
    first, second = [s for s in snapshot["scopes"] if s["id"] not in parents][:2]
    first["parent"] = second["id"]


def another_owner(snapshot):
    scope = snapshot["scopes"][0]
    scope["owner"] = next(t["id"] for t in snapshot["tasks"] if t["id"] != scope["owner"])


def child_lost(snapshot):
    scope = next(s for s in snapshot["scopes"] if s["tasks"])
    gone = scope["tasks"].pop()
    next(t for t in snapshot["tasks"] if t["id"] == gone).update(scope=None)


def child_moved(snapshot):
    """Both ends agree, so that only the truth can tell."""
    scope = next(s for s in snapshot["scopes"] if s["tasks"])
    other = next(s for s in snapshot["scopes"] if s is not scope)
    child = scope["tasks"].pop()
    other["tasks"].append(child)
    next(t for t in snapshot["tasks"] if t["id"] == child).update(scope=other["id"])


def later(key, seconds):
    def change(of):
        of[key] += seconds
    return change


def wait(change, fit=lambda wait: True):
    """Change waiting_for of one task."""
    def doctor(snapshot):
        change(next(t["waiting_for"] for t in snapshot["tasks"]
                    if t["waiting_for"] and fit(t["waiting_for"])))
    return doctor


def limit(change):
    """Change waiting_for of a task whose limit the truth tells: not of all does it."""
    return some_task(lambda t: change(t["waiting_for"]), lambda t: t["name"] == "limit-future")


def is_lock(wait):
    return wait["kind"] == "lock"


def another_lock(snapshot):
    """Give one task the lock that others wait for."""
    waits = [t["waiting_for"] for t in snapshot["tasks"] if t["waiting_for"]]
    first = next(w for w in waits if is_lock(w))
    first["id"] = next(w["id"] for w in waits if is_lock(w) and w["id"] != first["id"])


def handles(value):
    return some_task(lambda t: t.update(cancel_handled=not value),
                     lambda t: t["cancel_handled"] is value)


WAIT_WAYS = [
    ("a limit 20 s later", limit(later("left_s", 20)), "left"),
    ("a limit 20 s earlier", limit(later("left_s", -20)), "left"),
    ("a limit lost", limit(lambda w: w.update(left_s=None)), "left"),
    ("a limit where there is none",
     some_task(lambda t: t["waiting_for"].update(left_s=5), lambda t: t["name"] == "limit-none"),
     "left"),
    ("a limit not named", some_task(lambda t: t["waiting_for"].update(text="Future"),
                                    lambda t: t["name"] == "limit-future"), "waiting-text"),
    ("a cancellation handled by nobody", handles(True), "cancel-handled"),
    ("one handled that is not", handles(False), "cancel-handled"),
    ("a pending one that is not",
     some_task(lambda t: t.update(cancel_pending=not t["cancel_pending"])), "cancel-pending"),
    ("another lock", another_lock, "waiting-id"),
    ("a lock without id", wait(lambda w: w.update(id=None), is_lock), "waiting-id"),
]

SCOPE_WAYS = [
    ("a scope dropped", drop_scope, "scope-missing"),
    ("a scope added", add_scope, "scope-extra"),
    ("a scope twice", lambda s: s["scopes"].append(s["scopes"][0]), "scope-twice"),
    ("a scope of another kind", some_scope(another_kind), "scope-fields"),
    ("two scopes inside out", swap_parent, "scope-fields"),
    ("a scope in another", another_parent, "scope-fields"),
    ("a scope without parent",
     some_scope(lambda s: s.update(parent=None), lambda s: s["parent"]), "scope-fields"),
    ("a scope of another owner", another_owner, "scope-fields"),
    ("a scope that asked to stop",
     some_scope(lambda s: s.update(cancel_called=True), lambda s: not s["cancel_called"]),
     "scope-fields"),
    ("a scope that did not", some_scope(lambda s: s.update(cancel_called=False),
                                        lambda s: s["cancel_called"]), "scope-fields"),
    ("a child in no scope", child_lost, "task-scope"),
    ("a child in another scope", child_moved, "scope-tasks"),
    ("a scope that does not know its child",
     some_scope(lambda s: s["tasks"].pop(), lambda s: s["tasks"]), "scope-tasks"),
    ("a deadline 20 s later",
     some_scope(later("deadline_in_s", 20), lambda s: s["deadline_in_s"]), "deadline"),
    ("a deadline 20 s earlier",
     some_scope(later("deadline_in_s", -20), lambda s: s["deadline_in_s"]), "deadline"),
    ("a deadline lost", some_scope(lambda s: s.update(deadline_in_s=None),
                                   lambda s: s["deadline_in_s"]), "deadline"),
    ("a group with a deadline",
     some_scope(lambda s: s.update(deadline_in_s=1.0),
                lambda s: s["kind"] in ("task_group", "nursery") and s["deadline_in_s"] is None),
     "deadline"),
]


def has_limit(task):
    return task["waiting_for"] and task["waiting_for"]["left_s"]


# Noticed where it is known to the instant when the picture was taken: else as long as it took to look leaves it open.
INSTANT_WAYS = [
    ("a limit %s s later" % seconds, some_task(
        lambda t, seconds=seconds: later("left_s", seconds)(t["waiting_for"]), has_limit), "left")
    for seconds in (0.2, -0.2)]
INSTANT_SCOPE_WAYS = [
    ("a deadline %s s later" % seconds,
     some_scope(later("deadline_in_s", seconds), lambda s: s["deadline_in_s"]), "deadline")
    for seconds in (0.2, -0.2)]

# Of trio and anyio: what of WAIT_WAYS is about more than asyncio, and shields and reasons.
RUNTIME_WAYS = [
    ("a limit 20 s later", some_task(lambda t: later("left_s", 20)(t["waiting_for"]), has_limit),
     "left"),
    ("a limit lost", some_task(lambda t: t["waiting_for"].update(left_s=None), has_limit), "left"),
    ("a limit where there is none",
     some_task(lambda t: t["waiting_for"].update(left_s=5), lambda t: t["name"] == "event-0"),
     "left"),
    ("a text that says another count",
     some_task(lambda t: t["waiting_for"].update(text="3 tasks"), lambda t: t["name"] == "leaving"),
     "waiting-text"),
    ("a wait that is another",
     some_task(lambda t: t["waiting_for"].update(kind="socket"), lambda t: t["name"] == "event-0"),
     "waiting-for"),
    ("a cancellation handled by nobody", handles(True), "cancel-handled"),
    ("one handled that is not", handles(False), "cancel-handled"),
    ("a pending one that is not", some_task(lambda t: t.update(cancel_pending=True)),
     "cancel-pending"),
    ("another lock", another_lock, "waiting-id"),
    ("a lock without id", wait(lambda w: w.update(id=None), is_lock), "waiting-id"),
    ("a shield lost", some_scope(lambda s: s.update(shield=False), lambda s: s["shield"]),
     "scope-fields"),
    ("a shield where there is none",
     some_scope(lambda s: s.update(shield=True), lambda s: not s["shield"]), "scope-fields"),
    ("another reason", some_scope(lambda s: s.update(reason="no reason")), "scope-fields"),
]
