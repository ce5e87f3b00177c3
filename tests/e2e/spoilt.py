"""spoilt.py - ways to spoil an answer of `ctaskctl cancels`, each with the difference it must make.

A way returns False where the answer has nothing that could be spoilt like that.
"""
import records


def each(change, fit=lambda record: True):
    """Spoil the first record that fits."""
    def doctor(records):
        for record in records:
            if fit(record):
                change(record)
                return True
        return False
    return doctor


def into(*path):
    """The part of a record at the end of a path."""
    def part(record):
        for key in path:
            record = record[key]
        return record
    return part


def put(value, *path):
    """Give a field another value."""
    def fit(record):
        return into(*path[:-1])(record) is not None and into(*path)(record) != value

    return each(lambda record: into(*path[:-1])(record).update({path[-1]: value}), fit)


def drop(records):
    del records[len(records) // 2]
    return True


def add(records):
    records.append(dict(records[-1], id=records[-1]["id"] + 1, cause=None,
                        target=dict(records[-1]["target"], id="0x1234567890", name="ghost")))
    return True


def again(records):
    last = dict(records[-1], id=records[-1]["id"] + 1)
    last["root"] = last["id"] if last["cause"] is None else last["root"]
    records.append(last)
    return True


def swap(records):
    """Two neighbours in the other order."""
    for one, two in zip(records, records[1:]):
        if one["target"]["id"] != two["target"]["id"] and two["cause"] == one["id"]:
            one["id"], two["id"] = two["id"], one["id"]
            return True
    return False


def swap_places(records):
    for one, two in zip(records, records[1:]):
        if one["target"]["stack"] != two["target"]["stack"]:
            one["target"]["stack"], two["target"]["stack"] = \
                two["target"]["stack"], one["target"]["stack"]
            return True
    return False


def frames(change, *path):
    return each(lambda record: change(into(*path)(record)), lambda record: into(*path)(record))


def shift(stack):
    """One line further: told of one's own code only, so a line of it."""
    frame = next((f for f in stack if "cancels_" in f["filename"]), stack[0])
    frame["line"] = frame["line"] + 1 if "cancels_" in frame["filename"] else 0


def another_end(record):
    outcome = record["outcome"]
    outcome["state"] = "raised" if outcome["state"] == "returned" else "returned"


def is_named(record):
    """A task of the library's own making may be one that the scenario never saw."""
    return not record["target"]["name"].startswith("Task-")


def timed(record):
    return record["scope"] and record["scope"]["delay_s"] is not None


def scoped(record):
    return record["scope"] is not None


def caused(record):
    return record["cause"] is not None


def failed(record):
    return record["exception"] is not None


def asked_by(kind):
    return lambda record: record["requester"]["kind"] == kind


def more(seconds, *path):
    def change(record):
        into(*path[:-1])(record)[path[-1]] += seconds
    return change


WAYS = [
    # what is done, how, the difference it must make
    ("a record dropped", drop, "missing"),
    ("a record added", add, "extra"),
    ("a record twice", again, "extra"),
    ("two records swapped", swap, "order"),
    ("the places of two targets swapped", swap_places, "target-stack"),
    ("another target", each(lambda r: r["target"].update(id="0x1234567890"), is_named), "missing"),
    ("a target of another name", put("x", "target", "name"), "target-name"),
    ("a target of another coroutine", put("x", "target", "coroutine"), "target-coroutine"),
    ("a target that stands nowhere", put([], "target", "stack"), "target-stack"),
    ("a target a frame further in", frames(lambda s: s.pop(0), "target", "stack"), "target-stack"),
    ("a target a frame further out", frames(lambda s: s.pop(), "target", "stack"), "target-stack"),
    ("a target a line further", frames(shift, "target", "stack"), "target-stack"),
    ("a task called a callback", each(
        lambda r: r["requester"].update(kind="callback"), asked_by("task")), "requester-kind"),
    ("a callback called a runner", each(
        lambda r: r["requester"].update(kind="runner"), asked_by("callback")), "requester-kind"),
    ("a runner called a callback", each(
        lambda r: r["requester"].update(kind="callback"), asked_by("runner")), "requester-kind"),
    ("a signal called the task it interrupted", each(
        lambda r: r["requester"].update(kind="task"), asked_by("signal")), "requester-kind"),
    ("a thread called a runner", each(
        lambda r: r["requester"].update(kind="runner"), asked_by("thread")), "requester-kind"),
    ("another task asked", each(
        lambda r: r["requester"].update(id="0x1234567890"), asked_by("task")), "requester-id"),
    ("a requester of another name", each(
        lambda r: r["requester"].update(name="x"), asked_by("task")), "requester-name"),
    ("a callback of another name", each(
        lambda r: r["requester"].update(name="x"), asked_by("callback")), "requester-name"),
    ("a handler of another name", each(
        lambda r: r["requester"].update(name="x"), asked_by("signal")), "requester-name"),
    ("a requester of another coroutine", each(
        lambda r: r["requester"].update(coroutine="x"), asked_by("task")), "requester-coroutine"),
    ("another origin", each(lambda r: r.update(
        origin="explicit" if r["origin"] == "timeout" else "timeout")), "origin"),
    ("the origin unknown", put("unknown", "origin"), "origin"),
    ("no scope", each(lambda r: r.update(scope=None), scoped), "scope"),
    ("a scope where there is none", each(
        lambda r: r.update(scope={"kind": "gather", "id": None, "delay_s": None,
                                  "elapsed_s": None}), lambda r: not scoped(r)), "scope"),
    ("a scope of another kind", each(
        lambda r: r["scope"].update(kind="nursery"), scoped), "scope"),
    ("another scope", each(
        lambda r: r["scope"].update(id="0x1234567890"),
        lambda r: scoped(r) and r["scope"]["kind"] == "gather"), "scope-id"),
    ("the block in another frame", each(
        lambda r: r["scope"].update(frame=0),
        lambda r: scoped(r) and r["scope"].get("frame")
        and records.is_sleep(r["target"]["stack"][0])), "scope-frame"),
    ("the block in no frame", each(
        lambda r: r["scope"].update(frame=99), scoped), "scope-frame"),
    ("10 ms more of delay", each(more(0.01, "scope", "delay_s"), timed), "delay"),
    ("a delay where there is none", each(
        lambda r: r["scope"].update(delay_s=1.0),
        lambda r: scoped(r) and r["scope"]["kind"] == "gather"), "delay"),
    ("waited for nothing", each(
        lambda r: r["scope"].update(elapsed_s=r["scope"]["elapsed_s"] - 2),
        lambda r: timed(r) and r["scope"]["elapsed_s"]), "elapsed"),
    ("waited for a minute", each(more(60, "scope", "elapsed_s"),
                                 lambda r: timed(r) and r["scope"]["elapsed_s"]), "elapsed"),
    ("no cause", each(lambda r: r.update(cause=None, root=r["id"]), caused), "cause"),
    ("a cause where there is none", lambda records: len(records) > 1 and any(
        not caused(r) and not r.update(cause=records[0]["id"]) for r in records[-1:]), "cause"),
    ("another root", each(lambda r: r.update(root=r["id"]), caused), "root"),
    ("no exception", each(lambda r: r.update(exception=None), failed), "exception"),
    ("an exception where there is none", each(
        lambda r: r.update(exception={"type": "ValueError", "message": "x", "task": None}),
        lambda r: not failed(r)), "exception"),
    ("an exception of another type", put("OSError", "exception", "type"), "exception"),
    ("an exception that says something else", put("x", "exception", "message"), "exception"),
    ("another task failed", each(
        lambda r: r["exception"].update(task={"id": "0x1234567890", "name": "x"}), failed),
     "exception-task"),
    ("another message", put("x", "message"), "message"),
    ("no message", each(lambda r: r.update(message=None), lambda r: r["message"]), "message"),
    ("no stack", put([], "stack"), "stack"),
    ("a stack without its innermost frame", frames(lambda s: s.pop(0), "stack"), "stack"),
    ("a stack without its outermost frame", frames(lambda s: s.pop(), "stack"), "stack"),
    ("a stack a line further", frames(shift, "stack"), "stack"),
    ("repeated", put(1, "repeats"), "repeats"),
    ("another outcome", each(another_end), "outcome"),
    ("the outcome unknown", put("unknown", "outcome", "state"), "outcome"),
    ("an outcome before the request", put(-1.0, "outcome", "after_s"), "after"),
    ("an outcome an hour later", put(3600.0, "outcome", "after_s"), "after"),
    ("an outcome at no time", put(None, "outcome", "after_s"), "after"),
    ("of another day", put("2001-01-01T00:00:00.000000Z", "time"), "time"),
    ("by nobody's agent", put("bpf", "source"), "form"),
]

# Of scenarios whose stacks are told by their own frames, and which have other scopes.
ASYNCIO_ONLY = """another scope
the block in another frame
a delay where there is none
a scope where there is none
a scope of another kind
a target a frame further in
a target a frame further out
a stack without its innermost frame
a stack without its outermost frame
a stack a line further
a signal called the task it interrupted
a handler of another name
a thread called a runner
a runner called a callback
a callback called a runner""".split("\n")


def own_frames(stack):
    return [frame for frame in stack if "cancels" in frame["filename"]]


def pop_own(which):
    """Without the innermost or outermost of the scenarios' own frames."""
    def change(record):
        stack = record["stack"]
        stack.remove(own_frames(stack)[which])
    return change


def shift_own(record):
    own_frames(record["stack"])[0]["line"] += 1


def tells_own(record):
    return own_frames(record["stack"])


def by_level(*kinds):
    return lambda record: scoped(record) and record["scope"]["kind"] in kinds


LEVEL_WAYS = [way for way in WAYS if way[0] not in ASYNCIO_ONLY] + [
    ("a callback called a runner", each(
        lambda r: r["requester"].update(kind="runner"), asked_by("callback")), "requester-kind"),
    ("another scope", each(
        lambda r: r["scope"].update(id="0x1234567890"), by_level("cancel_scope", "nursery", "task_group")), "scope-id"),
    ("a delay where there is none", each(
        lambda r: r["scope"].update(delay_s=1.0),
        by_level("nursery", "task_group")), "delay"),
    ("a scope of another kind", each(
        lambda r: r["scope"].update(kind="gather"), scoped), "scope"),
    ("a target a frame further in", each(
        lambda r: pop_own(0)(r["target"]), lambda r: tells_own(r["target"])), "target-stack"),
    ("a target a frame further out", each(
        lambda r: pop_own(-1)(r["target"]), lambda r: tells_own(r["target"])), "target-stack"),
    ("a stack without its innermost frame", each(pop_own(0), tells_own), "stack"),
    ("a stack without its outermost frame", each(pop_own(-1), tells_own), "stack"),
    ("a stack a line further", each(shift_own, tells_own), "stack"),
]
