"""runtimes.py - trees of trio and of anyio, against what the processes say about themselves.

    runtimes.py MODE INTERPRETER

Exit status 0 when all is equal, 1 when not, 77 when it cannot be tried here: no trio, no anyio, or
one that lacks what the mode is about.
"""
import json
import resource
import subprocess
import sys
import time

import compare
import ctaskctl
import interpreters
from agent_clients import Hosting
from agent_tree import SOURCES, Seen, reprinted, wait_for_agent, whole
from difference import as_snapshot, differences
from doctored import INSTANT_SCOPE_WAYS, INSTANT_WAYS, RUNTIME_WAYS, SCOPE_WAYS, WAYS
from victim import Failed, Victim

SECONDS = 5  # of processor time at most, for one picture of a small process

MODES = {
    "trio": [("trio_rich.py",)],
    "settrace": [("trio_rich.py", "--settrace"), ("trio_blocked.py", "--settrace"),
                 ("anyio_rich.py", "--settrace")],
    "frozen": [("trio_rich.py", "--freeze"), ("anyio_rich.py", "--freeze")],
    "big": [("trio_rich.py", "--big"), ("anyio_rich.py", "--big")],
    "container": [("trio_rich.py",), ("trio_threads.py",)],
    "blocked": [("trio_blocked.py",)],
    "threads": [("trio_threads.py",)],
    "uvloop": [("anyio_rich.py", "--uvloop")],
    "anyio": [("anyio_rich.py",), ("anyio_rich.py", "--trio")],
    "agent": [("trio_rich.py",), ("trio_threads.py",), ("anyio_rich.py",), ("anyio_rich.py", "--trio")],
    "spoilt": [("trio_spoilt.py",)],
    "control": [("trio_rich.py",), ("anyio_rich.py",), ("anyio_rich.py", "--trio")],
    "comparator": [("trio_rich.py",), ("anyio_rich.py",), ("anyio_rich.py", "--trio")],
}


# anyio 2.0 on trio wants a newer trio than Debian 11 has.
CANNOT = {("bullseye-3.9", "anyio_rich.py", "--trio")}


def importable(interpreter, module):
    interpreter.bring_in()
    try:
        command = interpreter.command("inside.py")[:-1] + ["-c", "import " + module]
        return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, cwd="/").returncode == 0
    finally:
        interpreter.clean_up()


def spoilt(victim, snapshot, before, after):
    ways = WAYS + SCOPE_WAYS + RUNTIME_WAYS
    if before == after:
        ways = ways + INSTANT_WAYS + INSTANT_SCOPE_WAYS
    return compare.spoilt(victim, snapshot, before, after, ways)


def by_both_ways(victim):
    """With the agent in the process: what is read in memory, and what the agent tells."""
    seen = Seen()
    wait_for_agent(victim)
    for source in SOURCES:
        answer = ctaskctl.Answer(victim.pid, "--source", source)
        if whole(seen, answer, source):
            found = differences(victim.truth, answer.snapshot, victim.facts(), answer.before,
                                answer.after)
            print("  by %s: %d tasks, %s" % (source, len(victim.truth["tasks"]), found.told()))
            seen.must(not found, "not the truth")
            seen.must(reprinted(answer.text) in (None, answer.text),
                      "read and written again it is another text")
    seen.must(victim.beats(), "the victim does not answer any more")
    return seen.bad > 0


def processor_s():
    """What the programs that ran so far have taken, whatever else the machine did."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def nonsense(victim):
    """Objects that hold what they never hold: ctaskctl goes on, in time, and says what it could not read."""
    bad, tried = 0, 0
    while True:
        victim.process.stdin.write(b"next\n")
        victim.process.stdin.flush()
        line = victim.line(30)
        if line == b"over":
            break
        what, whole = json.loads(line)
        before = processor_s()
        answer = ctaskctl.Answer(victim.pid)
        seconds = processor_s() - before
        names = {t["name"] for t in (answer.snapshot or {"tasks": ()})["tasks"]}
        wrong = ctaskctl.schema_errors(answer.snapshot) if answer.snapshot else ["no answer"]
        if answer.status not in ((0,) if whole else (7,) if whole is False else (0, 7)):
            wrong.append("exit status %d, %s" % (answer.status, answer.errors.strip()))
        if seconds > SECONDS:
            wrong.append("took %.1f s of processor time" % seconds)
        if "b.1" not in names and what not in ("tasks that are no set", "no task at the root"):
            wrong.append("tasks that nobody spoilt are missing")
        print("%-40s %d  %.2f s  %s" % (what, answer.status, seconds,
                                        "; ".join(wrong) or "as it should"))
        tried += 1
        bad |= bool(wrong)
    return bad or tried < 20


def main(mode, name):
    interpreter = interpreters.wanted(name)
    bad, tried = 0, 0
    for program, *options in MODES[mode]:
        needs = program.split("_")[0]
        if isinstance(interpreter, interpreters.Pyenv) and not importable(interpreter, needs):
            print("skipped: %s has no %s" % (name, needs))
            continue
        if (name, program, *options) in CANNOT:
            print("skipped: %s of %s" % (" ".join([program] + options), name))
            continue
        tried += 1
        print("%s %s, %s: " % (" ".join([program] + options), mode, name), end="", flush=True)
        where = Hosting(interpreter) if mode == "agent" else interpreter
        with Victim(where, program, *options, container=mode == "container") as victim:
            if mode == "agent":
                print()
                bad |= by_both_ways(victim)
            elif mode == "spoilt":
                print()
                bad |= nonsense(victim)
            elif mode == "comparator":
                print()
                now = time.monotonic()
                bad |= spoilt(victim, as_snapshot(victim.truth, victim.facts(), now), now, now)
            elif mode == "control":
                print()
                bad |= compare.look(victim, lambda v, answer: spoilt(
                    v, answer.snapshot, answer.before, answer.after))
            else:
                bad |= compare.look(victim, compare.exactly)
    return bad if tried else 77


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in MODES:
        sys.exit("usage: runtimes.py MODE INTERPRETER\nmodes: %s\ninterpreters: %s" % (
            " ".join(MODES), " ".join(i.name for i in interpreters.ALL)))
    try:
        sys.exit(main(*sys.argv[1:]))
    except Failed as failed:
        print(failed)
        sys.exit(1)
