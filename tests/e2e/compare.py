"""compare.py - what ctaskctl says about a victim against what the victim says about itself.

    compare.py MODE INTERPRETER

Exit status 0 when all is equal, 1 when not, 77 when it cannot be tried here.
"""
import copy
import os
import shutil
import sys
import tempfile
import time

import ctaskctl
import interpreters
from difference import as_snapshot, differences
from doctored import INSTANT_SCOPE_WAYS, INSTANT_WAYS, SCOPE_WAYS, WAIT_WAYS, WAYS
from victim import Failed, Victim

DEBUG = {"PYTHONASYNCIODEBUG": "1"}
NOBODY = 65534
AS_NOBODY = ["setpriv", "--reuid=%d" % NOBODY, "--regid=%d" % NOBODY, "--clear-groups"]

# Per mode: which victims, and from which version on. Others are skipped.
MODES = {
    "plain": [("rich.py",), ("scopes.py",), ("blocked.py",), ("blocked.py", "--python-task"),
              ("threads.py",)],
    "settrace": [("rich.py", "--settrace"), ("scopes.py", "--settrace"),
                 ("blocked.py", "--settrace"), ("threads.py", "--settrace")],
    "debug": [("rich.py",), ("scopes.py",), ("blocked.py",), ("threads.py",)],
    "frozen": [("rich.py", "--freeze"), ("scopes.py", "--freeze"), ("threads.py", "--freeze")],
    "big": [("rich.py", "--big")],
    "eager": [("rich.py", "--eager"), ("rich.py", "--eager", "--settrace"),
              ("scopes.py", "--eager")],
    "container": [("rich.py",), ("scopes.py",), ("blocked.py",), ("threads.py",)],
    "nobody": [("rich.py",), ("blocked.py",), ("threads.py",)],
    "subinterp": [("subinterp.py",)],
    "uvloop": [("rich.py", "--uvloop")],
    "control": [("rich.py",), ("scopes.py",)],
    "comparator": [("rich.py",), ("scopes.py",)],
}
FROM = {"eager": (3, 12)}


def look(victim, check, **how):
    """check() what ctaskctl says; 0 when right."""
    answer = ctaskctl.Answer(victim.pid, **how)
    if answer.snapshot is None or answer.status not in (0, 7):
        print("exit status %d: %s" % (answer.status, answer.errors.strip()))
        return 1
    bad = check(victim, answer)
    for error in ctaskctl.schema_errors(answer.snapshot):
        print("  schema: %s" % error)
        bad = 1
    if answer.status != 0 or answer.errors:
        print("  exit status %d, stderr %r" % (answer.status, answer.errors))
        bad = 1
    if not victim.beats():
        print("  the victim does not answer any more")
        bad = 1
    return bad


def exactly(victim, answer):
    found = differences(victim.truth, answer.snapshot, victim.facts(), answer.before, answer.after)
    capture = answer.snapshot["capture"]
    print("%d tasks, %d edges, read in %d us, paused %d us: %s" % (
        len(victim.truth["tasks"]), len(victim.truth["edges"]), capture["elapsed_us"],
        capture["paused_us"], found.told()))
    return 1 if found else 0


def ways_for(victim, at_an_instant):
    if "scopes" not in victim.truth:
        return WAYS
    found = WAYS + WAIT_WAYS + (INSTANT_WAYS if at_an_instant else [])
    if victim.truth["scopes"]:
        found += SCOPE_WAYS + (INSTANT_SCOPE_WAYS if at_an_instant else [])
    return found


def spoilt(victim, snapshot, before, after, ways):
    """Each way of spoiling must be noticed, as what it is, and where nothing was wrong before."""
    bad = 0
    facts = victim.facts()
    found = differences(victim.truth, snapshot, facts, before, after)
    if found:
        print("the control starts from a snapshot that is wrong: " + found.told())
        bad = 1
    for what, doctor, want in ways:
        patient = copy.deepcopy(snapshot)
        doctor(patient)
        found = differences(victim.truth, patient, facts, before, after)
        print("%-42s %s" % (what, ", ".join("%s %d" % c for c in found.counts().most_common(4))))
        if not found.counts()[want]:
            print("    NOT NOTICED as %s" % want)
            bad = 1
    return bad


def main(mode, name):
    interpreter = interpreters.wanted(name)
    if interpreter.version < FROM.get(mode, (3,)):
        print("skipped: %s is not in Python %d.%d" % ((mode,) + interpreter.version))
        return 77
    if mode == "nobody":
        if not hasattr(interpreter, "user") or not shutil.which("setpriv"):
            print("skipped: another user cannot run %s, or there is no setpriv" % name)
            return 77
        interpreter.user = ["--userspec=%d:%d" % (NOBODY, NOBODY)]
    bad = 0
    for program, *options in MODES[mode]:
        print("%s %s, %s: " % (" ".join([program] + options), mode, name), end="", flush=True)
        with Victim(interpreter, program, *options, environment=DEBUG if mode == "debug" else {},
                    container=mode == "container") as victim:
            if mode == "comparator":
                print()
                now = time.monotonic()
                bad |= spoilt(victim, as_snapshot(victim.truth, victim.facts(), now), now, now,
                              ways_for(victim, at_an_instant=True))
            elif mode == "control":
                print()
                bad |= look(victim, lambda v, answer: spoilt(
                    v, answer.snapshot, answer.before, answer.after,
                    ways_for(v, at_an_instant=False)))
            elif mode == "nobody":
                with tempfile.TemporaryDirectory() as place:  # where anybody may run it
                    os.chmod(place, 0o755)
                    program = shutil.copy(ctaskctl.path(), place)
                    bad |= look(victim, exactly, program=program, prefix=AS_NOBODY)
            else:
                bad |= look(victim, exactly)
    return bad


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in MODES:
        sys.exit("usage: compare.py MODE INTERPRETER\nmodes: %s\ninterpreters: %s" % (
            " ".join(MODES), " ".join(i.name for i in interpreters.ALL)))
    try:
        sys.exit(main(*sys.argv[1:]))
    except Failed as failed:
        print(failed)
        sys.exit(1)
