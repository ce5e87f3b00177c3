"""difference.py - a snapshot against a truth, exactly and both ways. Pure.

A difference is (what, text): `what` is a word of KINDS, which says where the
two part, so that the negative controls can ask for the right one.
"""
import re
from collections import Counter

KINDS = """task-missing task-extra name runtime state coroutine stack-length frame-name frame-file
line cancel-requests cancel-pending cancel-handled waiting-for waiting-text waiting-id left
edge-missing edge-extra edge-twice awaited-by scope-missing scope-extra scope-twice scope-fields
scope-tasks task-scope deadline runtime-fields process capture""".split()

TIMER_SLACK_S = 0.05


class Differences(list):
    def add(self, what, text, *args):
        assert what in KINDS, what
        self.append((what, text % args if args else text))

    def counts(self):
        return Counter(what for what, _ in self)

    def told(self, most=12):
        """For people: counts by kind, then the first few of each."""
        if not self:
            return "no difference"
        lines = ["%d differences: %s" % (
            len(self), ", ".join("%s %d" % pair for pair in self.counts().most_common()))]
        for what, count in self.counts().most_common():
            texts = [text for kind, text in self if kind == what]
            lines += ["  %s: %s" % (what, text) for text in texts[:most]]
            if count > most:
                lines.append("  %s: and %d more" % (what, count - most))
        return "\n".join(lines)


def short(name):
    text = ascii(name)
    return text if len(text) < 60 else text[:40] + "…(%d characters)" % len(name)


def place(frame):
    return "%s %s:%s" % (frame["name"], frame["filename"], frame["line"])


def differences(truth, snapshot, facts=None, before=None, after=None, extra_names=None):
    """All differences.

    facts: what the kernel says (Victim.facts()). before, after: monotonic times around the
    capture. extra_names: tasks whose name this regular expression matches are not looked at.
    """
    found = Differences()
    true = {t["id"]: t for t in truth["tasks"]}
    seen = {}
    skipped = set()
    for task in snapshot["tasks"]:
        if extra_names and task["id"] not in true and re.match(extra_names, task["name"]):
            skipped.add(task["id"])
            continue
        if task["id"] in seen:
            found.add("task-extra", "%s is told twice", task["id"])
        seen[task["id"]] = task
    for id_ in true.keys() - seen.keys():
        found.add("task-missing", "%s %s", short(true[id_]["name"]), id_)
    for id_ in seen.keys() - true.keys():
        found.add("task-extra", "%s %s %s", short(seen[id_]["name"]), id_, seen[id_]["state"])
    both = [id_ for id_ in true if id_ in seen]
    for id_ in both:
        compare_task(found, true[id_], seen[id_], before, after)
    compare_sharing(found, true, seen)
    compare_edges(found, truth, snapshot, true, seen, skipped)
    scopes_fit(found, snapshot)
    if "scopes" in truth:
        compare_scopes(found, truth, snapshot, true, seen, before, after)
    compare_runtimes(found, truth, snapshot, true, seen, both, facts, extra_names is not None)
    if facts:
        compare_process(found, snapshot, facts)
    if not snapshot["capture"]["complete"] or snapshot["capture"]["problems"]:
        found.add("capture", "not complete: %s", snapshot["capture"]["problems"][:3])
    return found


def compare_task(found, true, seen, before, after):
    who = short(true["name"])

    def same(what, key, want):
        if seen[key] != want:
            found.add(what, "%s: %s is %s, truly %s", who, key, ascii(seen[key])[:100],
                      ascii(want)[:100])

    same("name", "name", true["name"])
    same("state", "state", true["state"])
    same("coroutine", "coroutine", true["coroutine"])
    same("cancel-requests", "cancel_requests", true["cancel_requests"])
    same("cancel-pending", "cancel_pending", true["cancel_pending"])
    same("cancel-handled", "cancel_handled", true["cancel_handled"])
    compare_stack(found, who, true["stack"], seen["stack"])

    want, got = true["waiting_for"], seen["waiting_for"]
    kind = got["kind"] if got else None
    if kind not in (want if isinstance(want, list) else [want]):
        found.add("waiting-for", "%s: waits for %s (%s), truly %s", who, kind,
                  got and ascii(got["text"])[:80], want)
    if true.get("waiting_text") and not (got and re.search(true["waiting_text"], got["text"])):
        found.add("waiting-text", "%s: %r does not hold %r", who, got and got["text"],
                  true["waiting_text"])
    if "waits_on" in true and (got or {}).get("id") != true["waits_on"]:
        found.add("waiting-id", "%s: waits for %s (%s), truly %s", who, got and got["id"],
                  got and ascii(got["text"])[:80], true["waits_on"])
    ends_at = true.get("ends_at", true.get("wakes_at"))
    if got and ("ends_at" in true or ends_at is not None):
        compare_time(found, "left", who + ": left_s", ends_at, got["left_s"], before, after)


def compare_sharing(found, true, seen):
    """Which tasks wait for the same object, where the truth leaves open what its id is."""
    ids = {}
    for id_, task in true.items():
        if "shares" in task and id_ in seen:
            got = (seen[id_]["waiting_for"] or {}).get("id")
            ids.setdefault(task["shares"], {}).setdefault(got, []).append(short(task["name"]))
    owners = {}
    for shared, got in ids.items():
        if len(got) > 1 or None in got:
            found.add("waiting-id", "these wait for one object: %s", got)
        for one in got:
            if owners.setdefault(one, shared) != shared:
                found.add("waiting-id", "%s is not the only object with id %s", got[one], one)


def compare_time(found, what, who, at, left, before, after):
    """left: the seconds until `at`, a time of the monotonic clock; both may be None."""
    if at is None or left is None:
        if at is not left:
            found.add(what, "%s is %s, truly %s", who, left, at and "a time at %s" % at)
    elif before is not None:
        least, most = at - after - TIMER_SLACK_S, at - before + TIMER_SLACK_S
        if not least <= left <= most:
            found.add(what, "%s is %s, truly %.3f to %.3f", who, left, least, most)


def compare_stack(found, who, true, seen):
    if len(true) != len(seen):
        found.add("stack-length", "%s: %d frames, truly %d\n      seen  %s\n      truly %s",
                  who, len(seen), len(true), " < ".join(map(place, seen[:6])),
                  " < ".join(map(place, true[:6])))
    for n, (want, got) in enumerate(zip(true, seen)):
        for what, key in (("frame-name", "name"), ("frame-file", "filename"), ("line", "line")):
            truly = want[key] or None if key == "line" else want[key]
            if got[key] != truly:
                found.add(what, "%s: frame %d of %d (%s): %s is %s, truly %s", who, n, len(seen),
                          ascii(want["name"]), key, ascii(got[key]), ascii(truly))


def compare_edges(found, truth, snapshot, true, seen, skipped):
    def told(edge):
        names = [short((seen.get(i) or true.get(i) or {"name": i})["name"]) for i in edge[:2]]
        return "%s waits for %s (%s)" % (names[0], names[1], edge[2])

    listed = [(e["waiter"], e["awaited"], e["kind"]) for e in snapshot["edges"]]
    for edge, count in Counter(listed).items():
        if count > 1:
            found.add("edge-twice", told(edge))
        for end in edge[:2]:
            if end not in seen and end not in skipped:
                found.add("edge-extra", "%s: no such task as %s", told(edge), end)
    # An edge between a task of the truth and one that is not looked at is wrong all the same.
    mine = {e for e in listed if e[0] in true or e[1] in true}
    want = set(map(tuple, truth["edges"]))
    for edge in sorted(want - mine):
        found.add("edge-missing", told(edge))
    for edge in sorted(mine - want):
        found.add("edge-extra", told(edge))

    waiters = {}
    for waiter, awaited, _ in listed:
        waiters.setdefault(awaited, set()).add(waiter)
    for task in snapshot["tasks"]:
        by = task["awaited_by"]
        if len(by) != len(set(by)) or set(by) != waiters.get(task["id"], set()):
            found.add("awaited-by", "%s: %s, by the edges %s", short(task["name"]), by,
                      sorted(waiters.get(task["id"], ())))


def scopes_fit(found, snapshot):
    """Scopes and tasks of one snapshot must tell the same about each other."""
    tasks = {t["id"]: t for t in snapshot["tasks"]}
    scopes = {s["id"]: s for s in snapshot["scopes"]}
    for id_, count in Counter(s["id"] for s in snapshot["scopes"]).items():
        if count > 1:
            found.add("scope-twice", id_)
    children = {}
    for id_, task in tasks.items():
        if task["scope"] is not None:
            children.setdefault(task["scope"], set()).add(id_)
    for id_ in children.keys() - scopes.keys():
        found.add("task-scope", "there is no scope %s", id_)
    for id_, scope in scopes.items():
        if len(scope["tasks"]) != len(set(scope["tasks"])) \
                or set(scope["tasks"]) != children.get(id_, set()):
            found.add("scope-tasks", "%s has %s, by the tasks %s", id_, scope["tasks"],
                      sorted(children.get(id_, ())))
        if scope["owner"] not in tasks:
            found.add("scope-fields", "%s: there is no owner %s", id_, scope["owner"])
        up, steps = scope, 0
        while up and up["parent"] is not None and steps <= len(scopes):
            if up["parent"] not in scopes:
                found.add("scope-fields", "%s: there is no parent %s", up["id"], up["parent"])
            up, steps = scopes.get(up["parent"]), steps + 1
        if steps > len(scopes):
            found.add("scope-fields", "%s is inside of itself", id_)


def compare_scopes(found, truth, snapshot, true, seen, before, after):
    def name(task):
        return short((seen.get(task) or true.get(task) or {"name": str(task)})["name"])

    want = {s["id"]: s for s in truth["scopes"]}
    got = {s["id"]: s for s in snapshot["scopes"]}
    for what, here, there in (("scope-missing", want, got), ("scope-extra", got, want)):
        for id_ in here.keys() - there.keys():
            found.add(what, "%s of %s, %s", here[id_]["kind"], name(here[id_]["owner"]), id_)
    for id_ in want.keys() & got.keys():
        mine, other = want[id_], got[id_]
        who = "%s of %s" % (mine["kind"], name(mine["owner"]))
        for key, value in {"shield": False, "reason": None, **mine}.items():
            if key in ("tasks", "deadline_at"):
                continue
            if other[key] != value:
                found.add("scope-fields", "%s: %s is %s, truly %s", who, key, other[key], value)
        if sorted(other["tasks"]) != mine["tasks"]:
            found.add("scope-tasks", "%s: %s, truly %s", who, sorted(map(name, other["tasks"])),
                      sorted(map(name, mine["tasks"])))
        compare_time(found, "deadline", who + ": deadline_in_s", mine["deadline_at"],
                     other["deadline_in_s"], before, after)
    for id_, task in true.items():
        if id_ in seen and seen[id_]["scope"] != task["scope"]:
            found.add("task-scope", "%s: scope is %s, truly %s", short(task["name"]),
                      seen[id_]["scope"], task["scope"])


def compare_runtimes(found, truth, snapshot, true, seen, both, facts, partly):
    listed = {r["id"]: r for r in snapshot["runtimes"]}
    pairs = {}
    for id_ in both:
        pairs.setdefault(true[id_]["runtime"], set()).add(seen[id_]["runtime"])
    used = Counter()
    for n, mine in enumerate(truth["runtimes"]):
        others = pairs.get(n, set())
        if len(others) != 1 or not others <= listed.keys():
            found.add("runtime", "the tasks of loop %d (%s) are in runtimes %s", n, mine["loop"],
                      sorted(others, key=str))
            continue
        other = listed[others.pop()]
        used[other["id"]] += 1
        for key, want in mine.items():
            if key == "thread_id" and facts:
                want = facts["tids"][want]
            if key == "task_count" and partly:
                want = sum(t["runtime"] == other["id"] for t in snapshot["tasks"])
            if other[key] != want:
                found.add("runtime-fields", "%s: %s is %r, truly %r", mine["loop"], key, other[key],
                          want)
    for id_ in listed:
        if used[id_] != 1:
            found.add("runtime", "runtime %s stands for %d loops", listed[id_], used[id_])


def compare_process(found, snapshot, facts):
    process = snapshot["process"]
    for key in ("pid", "nspid", "exe", "cmdline", "uid"):
        if process[key] != facts[key]:
            found.add("process", "%s is %r, truly %r", key, process[key], facts[key])


def as_snapshot(truth, facts, now):
    """The snapshot that a perfect reader would give: to test the comparison itself."""
    by = {}
    for waiter, awaited, _ in truth["edges"]:
        by.setdefault(awaited, {})[waiter] = True
    tasks = []
    for t in truth["tasks"]:
        kind = t["waiting_for"]
        kind = kind[0] if isinstance(kind, list) else kind
        text = re.sub(r"\\b|\.\*", " ", t.get("waiting_text") or kind or "")
        ends_at = t.get("ends_at", t["wakes_at"])
        tasks.append({
            **{k: t[k] for k in ("id", "name", "runtime", "state", "coroutine", "cancel_requests",
                                 "cancel_pending", "cancel_handled")},
            "stack": [dict(f, line=f["line"] or None) for f in t["stack"]],
            "waiting_for": kind and {"kind": kind, "text": text, "id": t.get("waits_on", t.get("shares")),
                                     "left_s": None if ends_at is None else ends_at - now},
            "awaited_by": list(by.get(t["id"], ())), "scope": t.get("scope")})
    return {
        "schema": "ctask.snapshot", "version": 1,
        "process": {k: facts[k] for k in ("pid", "nspid", "exe", "cmdline", "uid")},
        "capture": {"complete": True, "problems": []},
        "runtimes": [dict(r, id=n, thread_id=facts["tids"][r["thread_id"]])
                     for n, r in enumerate(truth["runtimes"])],
        "tasks": tasks,
        "edges": [dict(zip(("waiter", "awaited", "kind"), e)) for e in truth["edges"]],
        "scopes": [
            {"shield": False, "reason": None,
             **{key: value for key, value in s.items() if key != "deadline_at"},
             "deadline_in_s": None if s["deadline_at"] is None else s["deadline_at"] - now}
            for s in truth.get("scopes", ())],
        "cancellations": []}
