"""churn.py - pictures of a process that runs on: every one right, and never held too long.

    churn.py connections|never-sleeps INTERPRETER           asyncio
    churn.py trio-connections|trio-never-sleeps INTERPRETER

$CTASK_CHURN pictures (default 200). Each must be whole, its stable part exactly
the truth, and nothing in the rest impossible. Times are reported; the only
limit on them is --max-pause.
"""
import os
import re
import statistics
import sys

import ctaskctl
import interpreters
from difference import differences
from victim import Failed, Victim

PICTURES = int(os.environ.get("CTASK_CHURN") or 200)
MAX_PAUSE_MS = 100
MODES = {
    "connections": ("churn.py", "--connections", "500"),
    "never-sleeps": ("churn.py", "--never-sleeps", "20"),
    "trio-connections": ("trio_churn.py", "--connections", "200"),
    "trio-never-sleeps": ("trio_churn.py", "--never-sleeps", "20"),
}

PASSING = r"worker \d+$|child \d+\.\d+\.\d+$|Task-\d+$"
CHILD = re.compile(r"child (\d+)\.(\d+)\.(\d+)$")
OUTERMOST = {"worker": ("connection", "worker"), "child": ("quick",), "Task-": ("quick",)}


def impossible(snapshot):
    """What cannot be, of the tasks that come and go."""
    bad = []
    tasks = {t["id"]: t for t in snapshot["tasks"]}
    by_name = {t["name"]: t for t in snapshot["tasks"]}
    kinds = {(e["waiter"], e["awaited"]): e["kind"] for e in snapshot["edges"]}
    serials = {}
    for task in snapshot["tasks"]:
        if not re.match(PASSING, task["name"]):
            continue
        who = "%s %s" % (task["name"], task["state"])
        stack = task["stack"]
        want = OUTERMOST[task["name"][:6].rstrip() if task["name"][0] == "w" else task["name"][:5]]
        if not stack or stack[-1]["name"] not in want:
            bad.append("%s stands in %s" % (who, [f["name"] for f in stack]))
            continue
        if task["coroutine"] != stack[-1]["name"]:
            bad.append("%s is of coroutine %s" % (who, task["coroutine"]))
        if (task["waiting_for"] is None) == (task["state"] == "waiting"):
            bad.append("%s waits for %s" % (who, task["waiting_for"]))
        if task["state"] == "waiting" and stack[-1]["name"] == "quick":
            names = [f["name"] for f in stack]
            if names != ["sleep", "quick"] or task["waiting_for"]["kind"] != "sleep":
                bad.append("%s waits in %s for %s" % (who, names, task["waiting_for"]))
        child = CHILD.match(task["name"])
        if not child:
            if task["name"][0] == "w" and task["awaited_by"]:
                bad.append("%s is awaited by %s" % (who, task["awaited_by"]))
            continue
        owner = by_name.get("worker " + child.group(1))
        if owner is None:
            bad.append("%s has no worker" % who)
            continue
        if set(task["awaited_by"]) - {owner["id"]}:
            bad.append("%s is awaited by %s" % (
                who, [tasks[i]["name"] for i in task["awaited_by"] if i in tasks]))
        kind = owner["waiting_for"] and owner["waiting_for"]["kind"]
        if kind in ("gather", "group") and task["awaited_by"] != [owner["id"]]:
            bad.append("%s: its worker waits for a %s, but not for it" % (who, kind))
        if kind in ("gather", "group") and \
                kinds.get((owner["id"], task["id"])) != {"gather": "gather", "group": "task_group"}[kind]:
            bad.append("%s: its worker waits for a %s, the edge is %s" % (
                who, kind, kinds.get((owner["id"], task["id"]))))
        serials.setdefault(owner["name"], set()).add(child.group(2))
    for name, several in serials.items():
        if len(several) > 1:
            bad.append("%s has children of rounds %s at once" % (name, sorted(several)))
    return bad


def without_passing(snapshot):
    """What does not come and go: of trio, where all hang from one nursery."""
    stays = {t["id"] for t in snapshot["tasks"] if not re.match(PASSING, t["name"])}
    scopes = [dict(s, tasks=[i for i in s["tasks"] if i in stays])
              for s in snapshot["scopes"] if s["owner"] in stays]
    return dict(
        snapshot, tasks=[t for t in snapshot["tasks"] if t["id"] in stays], scopes=scopes,
        edges=[e for e in snapshot["edges"] if e["waiter"] in stays and e["awaited"] in stays])


def impossible_on_trio(snapshot):
    """What cannot be, of the tasks that come and go in trio_churn.py."""
    bad = []
    ids = {t["name"]: t["id"] for t in snapshot["tasks"]}
    scopes = {s["id"]: s for s in snapshot["scopes"]}
    kinds = {(e["waiter"], e["awaited"]): e["kind"] for e in snapshot["edges"]}
    rounds, owned = {}, {}
    for scope in snapshot["scopes"]:
        owned.setdefault(scope["owner"], []).append(scope)
    for task in snapshot["tasks"]:
        if not re.match(PASSING, task["name"]):
            continue
        who = "%s %s" % (task["name"], task["state"])
        names = [f["name"] for f in task["stack"]]
        child = CHILD.match(task["name"])
        owner = ids.get("worker " + child.group(1)) if child else ids["stable"]
        if not names and task["state"] in ("running", "done"):  # it has just ended
            continue
        if not names or names[-1] not in (("quick",) if child else ("connection", "worker")):
            bad.append("%s stands in %s" % (who, names))
            continue
        if task["coroutine"] != names[-1]:
            bad.append("%s is of coroutine %s" % (who, task["coroutine"]))
        kind = task["waiting_for"] and task["waiting_for"]["kind"]
        if (task["state"] == "waiting") != (kind in (("sleep",) if child else ("sleep", "group"))):
            bad.append("%s waits for %s" % (who, task["waiting_for"]))
        if task["state"] == "waiting" and not names[0].endswith("_async_yield"):
            bad.append("%s waits in %s" % (who, names))
        if task["awaited_by"] != [owner] or kinds.get((owner, task["id"])) != "nursery":
            bad.append("%s is awaited by %s" % (who, task["awaited_by"]))
        scope = scopes.get(task["scope"], {})
        if scope.get("owner") != owner or task["id"] not in scope["tasks"]:
            bad.append("%s is in the scope %s" % (who, scope))
        if child:
            rounds.setdefault(child.group(1), set()).add(child.group(2))
            continue
        mine = owned.get(task["id"], [])
        nurseries = [s for s in mine if s["kind"] == "nursery"]
        limits = [s["deadline_in_s"] for s in mine if s["kind"] == "cancel_scope"]
        # One that runs may stand in trio's own code, at the door of a nursery or a sleep.
        if task["state"] != "running" and (len(nurseries) > 1 or len(limits) > 1 or any(
                left is None or not 0 < left <= 500 for left in limits)):
            bad.append("%s is inside of %s" % (who, mine))
        if kind == "group" and not nurseries:
            bad.append("%s waits for no nursery" % who)
    for worker, several in rounds.items():
        if len(several) > 1:
            bad.append("worker %s has children of rounds %s at once" % (worker, sorted(several)))
    return bad


def look(victim, options):
    """One picture: (what is wrong, capture facts)."""
    answer = ctaskctl.Answer(victim.pid, "--max-pause", MAX_PAUSE_MS, *options)
    if answer.status != 0 or answer.snapshot is None:
        problems = answer.snapshot and answer.snapshot["capture"]["problems"][:3]
        return ["exit status %d: %s %s" % (answer.status, answer.errors.strip(), problems or "")], None
    trio = victim.program.startswith("trio")
    stable = without_passing(answer.snapshot) if trio else answer.snapshot
    for runtime in stable["runtimes"] if trio else ():
        runtime["task_count"] -= len(answer.snapshot["tasks"]) - len(stable["tasks"])
    found = differences(victim.truth, stable, None, answer.before, answer.after,
                        None if trio else PASSING)
    bad = ["%s: %s" % pair for pair in found]
    bad += (impossible_on_trio if trio else impossible)(answer.snapshot)
    capture = answer.snapshot["capture"]
    passing = sum(re.match(PASSING, t["name"]) is not None for t in answer.snapshot["tasks"])
    if capture["paused_us"] > MAX_PAUSE_MS * 1000:
        bad.append("held for %d us" % capture["paused_us"])
    if answer.errors:
        bad.append("stderr: %s" % answer.errors.strip())
    return bad, (capture, len(answer.snapshot["tasks"]), passing)


def rate(victim):
    victim.process.stdin.write(b"ping\n")
    victim.process.stdin.flush()
    made, seconds = victim.line(30).split()[1:]
    return int(made), float(seconds)


def main(mode, name):
    interpreter = interpreters.wanted(name)
    wrong, facts, schema = 0, [], []
    with Victim(interpreter, *MODES[mode]) as victim:
        start = rate(victim)
        for n in range(PICTURES):
            bad, fact = look(victim, ())
            if bad:
                wrong += 1
                if wrong <= 10:
                    print("picture %d: %d wrong\n  %s" % (n, len(bad), "\n  ".join(b[:300] for b in bad[:6])))
            if fact:
                facts.append(fact)
        end = rate(victim)
        alive = victim.beats()
    print("%s, %s: %d pictures, %d wrong; %.0f tasks/s" % (
        mode, name, PICTURES, wrong, (end[0] - start[0]) / (end[1] - start[1])))
    if sum(passing > 0 for _, _, passing in facts) < PICTURES // 2 or end[0] <= start[0]:
        print("  hardly any task came or went: nothing is proven")
        wrong += 1
    if facts:
        def spread(values):
            values = sorted(values)
            return "median %d, 95 %% %d, most %d" % (
                statistics.median(values), values[int(len(values) * 0.95)], values[-1])

        paused = [c["paused_us"] for c, _, _ in facts]
        print("  tasks: %s; that come and go: %s" % (
            spread([count for _, count, _ in facts]), spread([passing for _, _, passing in facts])))
        print("  read in us: %s" % spread([c["elapsed_us"] for c, _, _ in facts]))
        print("  held for us: %s; not held at all: %d of %d" % (
            spread(paused), paused.count(0), len(paused)))
    if not alive:
        print("  the victim does not answer any more")
    return 1 if wrong or not alive else 0


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in MODES:
        sys.exit("usage: churn.py %s INTERPRETER" % "|".join(MODES))
    try:
        sys.exit(main(*sys.argv[1:]))
    except Failed as failed:
        print(failed)
        sys.exit(1)
