"""runtimes.py - trees of trio and of anyio, against what the processes say about themselves.

    runtimes.py MODE INTERPRETER

Exit status 0 when all is equal, 1 when not, 77 when it cannot be tried here: no trio, no anyio, or
one that lacks what the mode is about.
"""
import subprocess
import sys
import time

import compare
import interpreters
from difference import as_snapshot
from doctored import RUNTIME_WAYS, SCOPE_WAYS, WAYS
from victim import Failed, Victim

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
    return compare.spoilt(victim, snapshot, before, after, WAYS + SCOPE_WAYS + RUNTIME_WAYS)


def main(mode, name):
    try:
        interpreter = interpreters.named(name)
    except interpreters.Missing as missing:
        print("%s: %s" % ("not there" if missing.demanded else "skipped", missing))
        return 1 if missing.demanded else 77
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
        with Victim(interpreter, program, *options, container=mode == "container") as victim:
            if mode == "comparator":
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
