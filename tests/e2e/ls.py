"""ls.py - the list of processes, against what the processes say; and what the JSON Schemas notice.

    ls.py list INTERPRETER      each of some processes, once, as it is; as root, and as a user who may not look
    ls.py schema INTERPRETER    the JSON of ls, pstree and cancels has the form of its schema, and what lacks
                                a field, or has one of another kind, is noticed

Exit status 0 when all is right, 1 when not, 77 when it cannot be tried here.
"""
import copy
import json
import os
import shutil
import subprocess
import sys
import tempfile

import ctaskctl
import interpreters
from agent_clients import Hosting
from agent_tree import AS_NOBODY, Seen, wait_for_agent
from victim import Failed, Victim, command_line

PROCESSES = "ctask-processes-1.schema.json"
SNAPSHOT = "ctask-snapshot-1.schema.json"
CANCELLATION = "ctask-cancellation-1.schema.json"
# Keys that were added to version 1 later.
MAY_LACK = {"no processes/0/trio", "no outcome/resolution_s"} | {
    "no runtimes/0/" + key for key in ("library", "libraries", "package_version")}


def listed(seen, **how):
    """{pid: what is said of it}, and the text."""
    done = ctaskctl.run("ls", "--json", **how)
    seen.must(done.returncode == 0 and not done.stderr, "ls: status %d, %r", done.returncode, done.stderr)
    told = json.loads(done.stdout.decode("utf-8"))
    seen.must((told["schema"], told["version"]) == ("ctask.processes", 1), "schema %s", told["schema"])
    checks = ctaskctl.validator(PROCESSES)
    for error in checks.iter_errors(told) if checks else ():
        seen.must(False, "schema: /%s: %s", "/".join(map(str, error.absolute_path)), error.message[:200])
    pids = [process["pid"] for process in told["processes"]]
    seen.must(len(pids) == len(set(pids)), "a process is told twice")
    text = ctaskctl.run("ls", "-U", "-l", **how).stdout.decode("utf-8")
    return {process["pid"]: process for process in told["processes"]}, text


def expect(seen, process, text, **wanted):
    for key, value in wanted.items():
        seen.must(process.get(key) == value, "%s: %s is %r, truly %r", process["cmdline"][-1], key,
                  process.get(key), value)
    lines = [line for line in text.split("\n") if line.split()[:1] == [str(process["pid"])]]
    count = str(wanted["task_count"]) if wanted["task_count"] else "-"
    if seen.must(len(lines) == 1, "process %d has %d lines", process["pid"], len(lines)):
        seen.must(lines[0].split()[2:5] == ["CPython", process["version"], count], "its line: %s", lines[0])


def list_(interpreter):
    seen = Seen()
    sleeper = subprocess.Popen(["sleep", "1000"])
    with Victim(interpreter, "scopes.py") as some, Victim(interpreter, "threads.py") as others, \
            Victim(interpreter, "noasyncio.py") as none:
        found, text = listed(seen)
        seen.must(sleeper.pid not in found, "sleep is no Python")
        for victim in (some, others, none):
            if not seen.must(victim.pid in found, "%s is not listed", victim.program):
                continue
            tasks = victim.truth["tasks"] if victim.truth else []
            version = some.truth["runtimes"][0]["version"]
            expect(seen, found[victim.pid], text, uid=0, user="root", implementation="CPython",
                   version=version, asyncio=bool(tasks), trio=False, task_count=len(tasks),
                   access="yes", reason=None, cmdline=command_line(victim.pid))
            seen.must(victim.beats(), "%s does not answer any more", victim.program)
        if shutil.which("setpriv"):
            with tempfile.TemporaryDirectory() as place:  # where anybody may run it
                os.chmod(place, 0o755)
                found, _ = listed(seen, program=shutil.copy(ctaskctl.path(), place), prefix=AS_NOBODY)
            process = found.get(some.pid, {})
            seen.must(process.get("access") == "not_permitted" and process.get("reason")
                      and process.get("task_count") is None, "as nobody: %s", process)
        print("%d processes, %d, %d and no tasks" % (
            len(found), len(some.truth["tasks"]), len(others.truth["tasks"])))
    sleeper.kill()
    sleeper.wait()
    found, _ = listed(seen)
    seen.must(not {some.pid, others.pid, none.pid} & found.keys(), "what has ended is listed")
    return seen.bad


def places(value, path=()):
    """The paths of all fields, of lists those of the first three elements."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield path + (key,)
            yield from places(inner, path + (key,))
    elif isinstance(value, list):
        for index, inner in enumerate(value[:3]):
            yield from places(inner, path + (index,))


def parent_of(value, path):
    for key in path[:-1]:
        value = value[key]
    return value


def unnoticed(checks, whole):
    """Fields of which neither the lack nor another kind of value is noticed."""
    for path in places(whole):
        patient = copy.deepcopy(whole)
        parent = parent_of(patient, path)
        parent[path[-1]] = {"": [1]}
        another_kind = any(True for _ in checks.iter_errors(patient))
        del parent[path[-1]]
        if not another_kind:
            yield "another kind of %s" % "/".join(map(str, path))
        if not any(True for _ in checks.iter_errors(patient)):
            yield "no %s" % "/".join(map(str, path))


def schema(interpreter):
    if ctaskctl.jsonschema is None:
        print("skipped: no jsonschema: nowhere is the form of the JSON looked at")
        return None
    seen = Seen()
    with Victim(Hosting(interpreter), "marks.py") as victim:
        wait_for_agent(victim)
        snapshot = ctaskctl.Answer(victim.pid).snapshot
        lines = ctaskctl.run("cancels", victim.pid, "--json").stdout.decode("utf-8").splitlines()
        processes = json.loads(ctaskctl.run("ls", "--json").stdout.decode("utf-8"))
    processes["processes"] = [p for p in processes["processes"] if p["pid"] == victim.pid]
    seen.must(len(processes["processes"]) == 1 and len(lines) > 3, "what is to be looked at is not there")
    snapshot.update(tasks=snapshot["tasks"][:3], edges=snapshot["edges"][:3],
                    cancellations=[])  # looked at by themselves
    for what, name, whole in (("ls", PROCESSES, processes), ("pstree", SNAPSHOT, snapshot),
                              ("cancels", CANCELLATION, json.loads(lines[0])),
                              ("the end", CANCELLATION, json.loads(lines[-1]))):
        checks = ctaskctl.validator(name)
        errors = [error.message[:200] for error in checks.iter_errors(whole)]
        seen.must(not errors, "%s: %s", what, errors)
        count = len(list(places(whole)))
        left = [text for text in unnoticed(checks, whole) if text not in MAY_LACK]
        seen.must(count > 2, "%s has no fields", what)
        print("%s: %d fields; unnoticed: %s" % (what, count, ", ".join(left) or "nothing"))
        seen.must(not left, "%s: what is spoilt is not noticed", what)
    return seen.bad


MODES = {"list": list_, "schema": schema}


def main(mode, name):
    interpreter = interpreters.wanted(name)
    if os.geteuid() != 0:
        print("skipped: needs root")
        return 77
    bad = MODES[mode](interpreter)
    return 77 if bad is None else 1 if bad else 0


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in MODES:
        sys.exit(__doc__)
    try:
        sys.exit(main(*sys.argv[1:]))
    except Failed as failed:
        print(failed)
        sys.exit(1)
