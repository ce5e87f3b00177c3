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
        change(max(snapshot["tasks"], key=lambda t: min(len(t["stack"]), 6))["stack"])
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
