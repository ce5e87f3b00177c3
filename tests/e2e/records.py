"""records.py - cancellations as ctaskctl tells them against a truth written by hand, exactly. Pure.

A difference is (what, label, expected, got): `what` is a word of KINDS, which
says where the two part, so that the negative controls can ask for the right one.
"""
import itertools
import re
from datetime import datetime, timezone

KINDS = """missing extra order form time id target-name target-coroutine target-stack
requester-kind requester-id requester-name requester-coroutine origin scope scope-id scope-frame delay elapsed
cause root exception exception-task message stack repeats outcome after""".split()

KEYS = {"schema", "version", "id", "time", "pid", "source", "target", "requester", "origin",
        "scope", "cause", "root", "exception", "message", "stack", "repeats", "outcome"}
DELAY_SLACK_S = 0.002
ENTERED_SLACK_S = 0.1
CLOCK_SLACK_S = 0.05
LEAST_FRAMES = 60  # of a stack, at the inner end, are always told

# What the poor man's recorder in the victim knows of a record.
RECORDED = {"missing", "extra", "order", "target-name", "target-coroutine", "target-stack",
            "requester-kind", "requester-id", "requester-name", "requester-coroutine", "cause",
            "message", "stack", "repeats", "outcome"}


class Differences(list):
    def __init__(self, only=None):
        super().__init__()
        self.only = only

    def add(self, what, label, expected=None, got=None):
        assert what in KINDS, what
        if self.only is None or what in self.only:
            self.append((what, label, expected, got))

    def kinds(self):
        return {what for what, *_ in self}


def either(expected):
    """The answers that are as good."""
    if isinstance(expected, dict) and set(expected) == {"either"}:
        return [one for value in expected["either"] for one in either(value)]
    return [expected]


def told(expected):
    """Expected, as short as a person reads it."""
    if isinstance(expected, list) and expected and isinstance(expected[0], dict):
        return " < ".join(place(frame) for frame in expected)
    if isinstance(expected, dict) and set(expected) == {"either"}:
        return " | ".join(str(told(one)) for one in either(expected))
    return expected


def place(frame):
    if "any" in frame:
        return "..."
    file = frame["filename"].rsplit("/", 1)[-1] if isinstance(frame.get("filename"), str) else None
    first, last = frame["lines"] if "lines" in frame else (frame.get("line"),) * 2
    return "%s %s:%s" % (frame.get("name"), file, first if first == last
                         else "%s-%s" % (first, last))


def same_frame(want, got):
    return (got["name"], got["filename"]) == (want["name"], want["filename"]) \
        and isinstance(got["line"], int) and want["lines"][0] <= got["line"] <= want["lines"][1]


def same_stack(want, got, omitted, own=None):
    """omitted: frames that the record says were left out, which only very long stacks may have.

    own: compare frames of this directory alone.
    """
    if own:
        got = [frame for frame in got if frame["filename"].startswith(own)]
    if want and "any" in want[0]:  # whatever lies further in, or further out
        want, got = want[1:], got[max(len(got) - len(want) + 1, 0):]
    elif want and "any" in want[-1]:
        want, got = want[:-1], got[:len(want) - 1]
    elif omitted and len(got) >= LEAST_FRAMES:
        want = want[:-omitted]
    elif omitted:
        return False
    return len(want) == len(got) and all(map(same_frame, want, got))


def differences(truth, records, before=None, after=None, only=None, pid=None,
                source="agent"):
    """All differences between what a scenario's truth expects and the records made since it began.

    before, after: times of the clock on the wall round the scenario. only: kinds that are
    looked at. pid: of the process, as ctaskctl is to tell it.
    """
    found = Differences(only)
    requests = requests_of(truth)
    if only is None:
        for record in records:
            form(found, record, pid, source)
    pairs = matched(found, truth, requests, records)
    lasted = after - before if before is not None else 0
    ids = {request["label"]: record["id"] for request, record in pairs if record}
    labels = {number: label for label, number in ids.items()}
    for request, record in pairs:
        if record:
            compare(found, request, record, ids, labels, lasted)
            if only is None:
                times(found, request["label"], record, before, after)
    in_order(found, [(q, r) for q, r in pairs if r])
    return found


def requests_of(truth):
    """All of them: the last one may be that of very many tasks."""
    requests = truth["requests"]
    if truth["copied"]:
        requests = requests[:-1] + [dict(requests[-1], label=name, target=dict(
            requests[-1]["target"], id=id_, name=name, key=name)) for id_, name in truth["copied"]]
    return requests


def matched(found, truth, requests, records):
    """Each request with its record, or None; records that are nobody's are told."""
    known = {}
    left = {}
    for record in records:
        left.setdefault(record["target"]["id"], []).append(record)
    groups = {}
    for request in requests:
        groups.setdefault(request["target"]["key"], []).append(request)
    for key, group in groups.items():
        known[key] = group[0]["target"]["id"]
    partner = {}
    for key, group in groups.items():
        if known[key] is None:  # no code of the victim ever saw it: whoever has its coroutine
            mine = [r for some in left.values() for r in some if r["target"]["id"] not in
                    known.values() and r["target"]["coroutine"] == group[0]["target"]["coroutine"]]
            mine.sort(key=lambda record: record["id"])
        else:
            mine = left.get(known[key], [])
        # Addresses are used again: by name, where there are more tasks at one address.
        if known[key] is not None and list(known.values()).count(known[key]) > 1:
            names = either(group[0]["target"]["name"])
            mine = [r for r in mine if r["target"]["name"] in names]
        for request, record in zip(group, best(group, mine)):
            partner[request["label"]] = record
            if record is not None:
                left[record["target"]["id"]].remove(record)
    for request in requests:
        if partner[request["label"]] is None:
            found.add("missing", request["label"], told(request["origin"]), None)
    for record in itertools.chain(*left.values()):
        found.add("extra", record["target"]["name"], None, "%s by %s, at %s, stack %s" % (
            record.get("origin"), record["requester"].get("name"),
            told(record["target"]["stack"]), told(record["stack"])))
    return [(request, partner[request["label"]]) for request in requests]


def best(group, records):
    """The records of one task in the order of its requests; of loose ones, the order that fits
    best.
    """
    if not group[0]["loose"] or len(records) != len(group):
        return (list(records) + [None] * len(group))[:len(group)]

    def faults(order):
        found = Differences({"origin", "stack", "scope", "message", "requester-kind"})
        for request, record in zip(group, order):
            if "origin" in record:
                compare(found, request, record, {}, {}, 0)
            if bool(record.get("cause")) != (request["cause"] is not None):
                found.add("origin", "")
        return len(found)

    return min(itertools.permutations(records), key=faults)


def in_order(found, pairs):
    # Of very many, neighbours: those are not loose, and the rest follows.
    near = itertools.combinations(pairs, 2) if len(pairs) < 150 else zip(pairs, pairs[1:])
    for (first, one), (second, two) in near:
        if one["id"] > two["id"] and not (first["loose"] and first["loose"] == second["loose"]):
            found.add("order", second["label"], "after " + first["label"], "before it")


def form(found, record, pid, source):
    """What holds for every record."""
    def must(right, text):
        if not right:
            found.add("form", record.get("target", {}).get("name"), text, record)

    if record.keys() < KEYS:
        found.add("form", "", "keys %s" % sorted(KEYS - record.keys()), None)
        return
    must(record["schema"] == "ctask.cancellation" and record["version"] == 1, "schema, version 1")
    must(isinstance(record["id"], int) and record["id"] > 0, "a number as id")
    must(record["source"] == source, "source " + source)
    must(pid is None or record["pid"] == pid, "pid %s" % pid)
    must(record["target"].keys() >= {"id", "name", "coroutine", "stack"}, "a whole target")
    must(record["requester"].keys() >= {"kind", "id", "name", "coroutine"}, "a whole requester")
    must(record["outcome"].keys() >= {"state", "after_s"}, "a whole outcome")
    must(record["scope"] is None
         or record["scope"].keys() >= {"kind", "id", "delay_s", "elapsed_s"}, "a whole scope")
    must(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$", record["time"]), "a time")
    for frame in record["stack"] + record["target"]["stack"]:
        must(frame.keys() >= {"name", "filename", "line"}, "whole frames")
    must(record["cause"] is None or record["cause"] < record["id"], "a cause before it")


def times(found, label, record, before, after):
    if before is None:
        return
    time = datetime.strptime(record["time"], "%Y-%m-%dT%H:%M:%S.%fZ") \
        .replace(tzinfo=timezone.utc).timestamp()
    if not before - CLOCK_SLACK_S <= time <= after + CLOCK_SLACK_S:
        found.add("time", label, "%.3f to %.3f" % (before, after), time)


def compare(found, want, got, ids, labels, lasted):
    """One request against its record. ids: of the records by label; labels: the reverse. lasted: the seconds
    that the scenario took until now, on a machine that may be slow: no time in it can be longer.
    """
    label = want["label"]

    def same(what, expected, value):
        if value not in either(expected):
            found.add(what, label, told(expected), value)

    def stack(what, expected, part):
        omitted = part.get("stack_omitted", 0)
        if not any(same_stack(one, part["stack"], omitted, want.get("own")) for one in either(expected)):
            found.add(what, label, told(expected), "%s (%d omitted)" % (
                told(part["stack"]), omitted))

    target = want["target"]
    if target["id"] is None:  # made by the library, never seen
        if not re.match(r"Task-\d+$", got["target"]["name"]):
            found.add("target-name", label, "Task-N", got["target"]["name"])
    else:
        same("target-name", target["name"], got["target"]["name"])
    same("target-coroutine", target["coroutine"], got["target"]["coroutine"])
    stack("target-stack", target["stack"], got["target"])
    requester(found, label, want, got)
    if "origin" in got:
        same("origin", want["origin"], got["origin"])
        scope(found, label, want["scope"], got["scope"], lasted,
              ENTERED_SLACK_S if got.get("source") == "bpf" else DELAY_SLACK_S + 0.001)
        written_in(found, label, want["scope"], got)
        failure(found, label, want["exception"], got["exception"])
    same("repeats", want["repeats"], got.get("repeats", 0))
    if ids:
        causes = [None if one is None else ids.get(one) for one in either(want["cause"])]
        if got["cause"] not in causes:
            found.add("cause", label, told(want["cause"]),
                      labels.get(got["cause"], got["cause"]))
        if "root" in got:
            root(found, label, got, labels)
    same("message", want["message"], got["message"])
    stack("stack", want["stack"], got)
    outcome(found, label, want["outcome"], got["outcome"], lasted)


_records = {}


def root(found, label, got, labels):
    """The first of the chain: that of its cause, or itself. Chains lie within one scenario."""
    _records[got["id"]] = got["root"]
    expected = got["id"] if got["cause"] is None else _records.get(got["cause"], got["cause"])
    if got["root"] != expected:
        found.add("root", label, labels.get(expected, expected),
                  labels.get(got["root"], got["root"]))


def requester(found, label, want, got):
    by = got["requester"]
    if by["kind"] == "outside":  # the recorder, where no loop runs
        return
    wants = either(want["requester"])
    right = [w for w in wants if w["kind"] == by["kind"]]
    if not right:
        if not ("origin" not in got and wants[0]["kind"] in ("signal", "thread", "runner")):
            found.add("requester-kind", label, " | ".join(w["kind"] for w in wants), by["kind"])
        return
    one = next((w for w in right if w["id"] == by.get("id")), right[0])
    if by.get("id") != one["id"]:
        found.add("requester-id", label, one["id"], by.get("id"))
    if by.get("coroutine") != one["coroutine"]:
        found.add("requester-coroutine", label, one["coroutine"], by.get("coroutine"))
    names = [name for w in right if w["id"] == one["id"] for name in either(w["name"])]
    if by["kind"] == "runner":
        # Contract 2 gives it no name; the function that asks is none the worse.
        names = [None] + [frame["name"] for frame in got["stack"]]
    elif by["kind"] == "thread":
        names = names + [None]
    if "origin" in got and by["name"] not in names:
        found.add("requester-name", label, " | ".join(map(str, names)), by["name"])
    elif by["kind"] == "task" and by["name"] not in names:
        found.add("requester-name", label, " | ".join(map(str, names)), by["name"])


def scope(found, label, want, got, lasted, more):
    """more: by so many seconds a delay may be longer: who looks from outside sees the step in which the block is entered."""
    wants = either(want)
    kinds = [one and one["kind"] for one in wants]
    if (got and got["kind"]) not in kinds:
        found.add("scope", label, " | ".join(map(str, kinds)), got and got["kind"])
        return
    if got is None:
        return
    faults = []
    for one in wants:
        if one and one["kind"] == got["kind"]:
            some = Differences()
            one_scope(some, label, one, got, lasted, more)
            faults.append(some)
    for fault in min(faults, key=len):
        found.add(*fault)


def one_scope(found, label, want, got, lasted, more):
    if want["object"] is not None:
        if got["id"] != want["id"]:
            found.add("scope-id", label, "%s (%s)" % (want["id"], want["object"]), got["id"])
    elif got["id"] is not None and not re.match(r"0x[0-9a-f]+$", got["id"]):
        found.add("scope-id", label, "null or an address", got["id"])
    delay, elapsed = got["delay_s"], got["elapsed_s"]
    # What no variable tells is measured from the entering of the block: a busy machine comes to that late.
    slack = DELAY_SLACK_S if want["known"] and not want.get("measured") else ENTERED_SLACK_S
    more += ENTERED_SLACK_S if want["moved"] else 0  # a while after that
    if want["delay"] is None:
        if delay is not None:
            found.add("delay", label, None, delay)
    elif delay is None:
        if want["known"]:
            found.add("delay", label, want["delay"], None)
    elif not want["delay"] - slack <= delay <= want["delay"] + more:
        found.add("delay", label, want["delay"], delay)
    if want["elapsed"] is None:
        if elapsed is not None and not 0 <= elapsed < 60:
            found.add("elapsed", label, None, elapsed)
    elif elapsed is None:
        if want["timed"]:
            found.add("elapsed", label, want["elapsed"], None)
    elif not want["elapsed"][0] - slack <= elapsed <= max(want["elapsed"][1], lasted):
        found.add("elapsed", label, want["elapsed"], elapsed)


def written_in(found, label, want, got):
    """The frame of the target that stands in the scope's block."""
    frame = got["scope"] and got["scope"].get("frame")
    stack = got["target"]["stack"]
    if frame is not None and (not 0 <= frame < len(stack) or is_sleep(stack[frame])):
        found.add("scope-frame", label, "a frame of the target that has a block", frame)
        return
    for one in either(want):
        if one and one.get("within"):
            name = None if frame is None else plain_name(stack[frame]["name"])
            if name != one["within"]:
                found.add("scope-frame", label, one["within"], name)


def failure(found, label, want, got):
    faults = []
    for one in either(want):
        some = Differences()
        if (one is None) != (got is None):
            some.add("exception", label, one and one["type"], got and got["type"])
        elif one is not None:
            if (got["type"], got["message"]) != (one["type"], one["message"]):
                some.add("exception", label, "%(type)s: %(message)s" % one,
                         "%(type)s: %(message)s" % got)
            task = got["task"] or {}
            known = one["task"] or {"id": None, "name": None}
            if task.get("id") != known["id"] or task.get("name") not in either(known["name"]):
                some.add("exception-task", label, one["task"], got["task"])
        faults.append(some)
    for fault in min(faults, key=len):
        found.add(*fault)


def outcome(found, label, want, got, lasted):
    states = either(want["state"])
    if "after_s" not in got:  # the recorder, which knows only how the task ended
        living = {"pending", "swallowed", "absorbed"} & set(states)
        if not (living if got["state"] == "living" else got["state"] in states
                or "absorbed" in states):
            found.add("outcome", label, told(want["state"]), got["state"])
        return
    if got["state"] not in states:
        found.add("outcome", label, told(want["state"]), got["state"])
        return
    if got["state"] in ("pending", "swallowed") and got["after_s"] is None:
        return
    least, most = want["after"]
    if got["after_s"] is None or not max(least - 0.01, 0) <= got["after_s"] <= max(most, lasted):
        found.add("after", label, want["after"], got["after_s"])


# The perfect answer, to test the comparison itself ------------------------------------


def perfect(truth, first, began):
    """The records that an agent without fault would give."""
    records, ids, roots = [], {}, {}
    for number, request in enumerate(requests_of(truth), first):
        one = {key: either(value)[0] for key, value in request.items()}
        ids[one["label"]] = number
        cause = ids[one["cause"]] if one["cause"] else None
        roots[number] = roots[cause] if cause else number
        target, scope_, states = one["target"], one["scope"], either(request["outcome"]["state"])
        records.append({
            "schema": "ctask.cancellation", "version": 1, "id": number, "pid": 1,
            "time": datetime.fromtimestamp(began, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "source": "agent",
            "target": {"id": target["id"] or "0xabc0%d" % number,
                       "name": "Task-0" if target["id"] is None else either(target["name"])[0],
                       "coroutine": target["coroutine"], "stack": as_stack(target["stack"])},
            "requester": {k: either(one["requester"][k])[0]
                          for k in ("kind", "id", "name", "coroutine")},
            "origin": one["origin"],
            "scope": scope_ and {"kind": scope_["kind"], "id": scope_["id"],
                                 "delay_s": scope_["delay"],
                                 "elapsed_s": scope_["elapsed"] and sum(scope_["elapsed"]) / 2,
                                 "frame": block_of(target["stack"], scope_.get("within"))},
            "cause": cause, "root": roots[number], "exception": settled(one["exception"]),
            "message": one["message"], "stack": as_stack(request["stack"]), "repeats": one["repeats"],
            "outcome": {"state": states[0], "after_s": request["outcome"]["after"][0] + 1}})
    return records


def settled(failure):
    """A failure, by the first of the names that are as good."""
    task = failure and failure["task"]
    return dict(failure, task=dict(task, name=either(task["name"])[0])) if task else failure


def plain_name(name):
    return name.rsplit(".", 1)[-1]


def is_sleep(frame):
    return frame["name"] == "sleep" and frame["filename"].endswith("/asyncio/tasks.py")


def block_of(expected, name):
    """The position of the function of that name."""
    names = [plain_name(frame["name"]) for frame in as_stack(expected)]
    return names.index(name) if name in names else None


def as_stack(expected):
    return [{"name": f["name"], "filename": f["filename"], "line": f["lines"][0]}
            for f in either(expected)[0] if "any" not in f]
