"""guest.py - the agent changes nothing: programs with it and without it say the same.

    guest.py PART… INTERPRETER      parts of tests/victims/guests.py; "all" for all of them
    guest.py control INTERPRETER    guests that do disturb must be noticed
    guest.py asyncio INTERPRETER    CPython's own test_asyncio, test by test

Standard output, standard error and the exit status must be equal; and the agent must have been
there, or equal would mean nothing: the program's own history says so.
Exit status 0 when all is equal, 1 when not, 77 when it cannot be tried here.
"""
import functools
import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

import interpreters
from cancels import agent_path

PARTS = """specialised loops deep at_the_limit small_stacks moments watched objects errors
forks forks_at_once processes uvloop_children programs again no_files no_memory no_large_files another_user signals
many_threads python_tasks leaves""".split()
SECONDS = 120
# What is another one each time.
CHANGES = [(re.compile(rb"0x[0-9a-f]+"), b"0x"), (re.compile(rb"pid=\d+"), b"pid=")]
TEST = re.compile(r"^(\w+ \([\w.]+\))(?:\n[^\n]*)? \.\.\. ", re.M)
RESULT = re.compile(r"(?:^|\s)(ok|FAIL|ERROR|expected failure|unexpected success|skipped [^\n]*)\s*$",
                    re.M)
FEWEST_TESTS = 1500
# Preloaded after the agent, or in its place: what a guest must not do.
SPOILS = [
    ("writes a line", "import sys; sys.stderr.write('here I am')"),
    ("another exit status", "import atexit, os; atexit.register(os._exit, 9)"),
    ("a thread more", "import threading as t; t.Thread(target=t.Event().wait, daemon=True).start()"),
    ("an open file", "import os; [os.dup2(2, n) for n in range(3, 900)]"),
]


def environment(extra=()):
    found = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8",
             "PYTHONDONTWRITEBYTECODE": "1", "PYTHONWARNINGS": "always", "HOME": "/"}
    found.update(extra)
    return found


def run(command, extra=()):
    """What it wrote and how it ended, made comparable."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, env=environment(extra), cwd="/", timeout=SECONDS)
    out, errors = done.stdout, done.stderr
    for pattern, word in CHANGES:
        out, errors = pattern.sub(word, out), pattern.sub(word, errors)
    return {"standard output": out.splitlines(), "standard error": sorted(errors.splitlines()),
            "exit status": done.returncode}


def differences(bare, guest):
    return [(what, bare[what], guest[what]) for what in bare if bare[what] != guest[what]]


def short(lines):
    if isinstance(lines, int):
        return str(lines)
    text = b" | ".join(lines[-6:]).decode("utf-8", "backslashreplace")
    return text if len(text) < 600 else text[-600:]


def command(interpreter, part, with_agent):
    interpreter.agent = agent_path() if with_agent else None
    return interpreter.command("guests.py", part)


def was_there(interpreter):
    """The agent is in a process that makes a task."""
    interpreter.agent = agent_path()
    process = subprocess.Popen(interpreter.command("cost.py", "agent"), stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, env=environment(), cwd="/")
    try:
        process.stdout.readline()
        process.stdin.write(b"task 1 1\n")
        process.stdin.flush()
        process.stdout.readline()
        with open("/proc/%d/maps" % process.pid) as maps:
            return "memfd:ctask" in maps.read()
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


def compare(interpreter, parts):
    wrong = 0
    if not was_there(interpreter):
        print("the agent did not begin in %s" % interpreter.name)
        return 1
    for part in parts:
        bare = run(command(interpreter, part, False))
        guest = run(command(interpreter, part, True))
        if bare["exit status"] or ("%s: over" % part).encode() not in bare["standard output"]:
            print("%s: fails without the agent, too: %s" % (part, short(bare["standard error"])))
            wrong += 1
        for what, expected, got in differences(bare, guest):
            print("%s, %s, %s: expected %s, got %s" % (
                interpreter.name, part, what, short(expected), short(got)))
            wrong += 1
        print("%s: %d lines" % (part, len(bare["standard output"])))
    return 1 if wrong else 0


def control(interpreter):
    """What a part says must depend on what happens in the process."""
    unnoticed = 0
    for what, code in SPOILS:
        with tempfile.TemporaryDirectory() as place:
            with open(os.path.join(place, "sitecustomize.py"), "w") as file:
                file.write(code + "\n")
            extra = {"PYTHONPATH": place}
            part = "no_files" if what == "an open file" else "many_threads"
            bare = run(command(interpreter, part, False))
            spoilt = run(command(interpreter, part, False), extra)
        kinds = [kind for kind, _, _ in differences(bare, spoilt)]
        print("%s: %s" % (what, ", ".join(kinds) or "NOT NOTICED"))
        unnoticed += not kinds
    return 1 if unnoticed else 0


def results(text):
    """{test: result} of unittest -v."""
    found = {}
    starts = list(TEST.finditer(text))
    for start, following in zip(starts, starts[1:] + [None]):
        end = following.start() if following else len(text)
        said = RESULT.findall(text[start.end():end].split("\n======", 1)[0])
        found[start[1]] = said[-1] if said else "no result"
    return found


def own_tests(interpreter, with_agent, only=None):
    """CPython's tests of asyncio; only: these again."""
    extra = {"LD_PRELOAD": agent_path()} if with_agent else {}
    tests = only or ["test.test_asyncio"]
    with tempfile.TemporaryDirectory() as place:
        extra["TMPDIR"] = place
        done = subprocess.run([interpreter.python, "-m", "unittest", "-v"] + tests,
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, env=environment(extra), cwd=place,
                              timeout=900)
    return results(done.stderr.decode("utf-8", "replace"))


def name_of(test):
    """ "test_x (test.test_asyncio.test_y.Z)", from 3.11 on with ".test_x" in the brackets, as unittest takes it."""
    method, inside = re.match(r"(\w+) \(([\w.]+)\)", test).groups()
    return inside if inside.endswith("." + method) else inside + "." + method


def compare_own_tests(interpreter):
    began = time.monotonic()
    with ThreadPoolExecutor(2) as pool:  # at the same time: minutes, else
        bare, guest = pool.map(functools.partial(own_tests, interpreter), (False, True))
    unlike = [test for test in sorted(set(bare) | set(guest)) if bare.get(test) != guest.get(test)]
    wrong = 0
    for test in unlike:  # it may be one that now and then fails by itself
        again = [own_tests(interpreter, with_agent, [name_of(test)]).get(test)
                 for with_agent in (False, True, False, True)]
        flaky = again[0] == again[1] == again[2] == again[3]
        print("%s: %s without, %s with the agent; again: %s" % (
            test, bare.get(test), guest.get(test), again))
        wrong += not flaky
    print("%s: %d tests, %d of them ok, %d unlike at first, in %.0f s" % (
        interpreter.name, len(bare), list(bare.values()).count("ok"), len(unlike),
        time.monotonic() - began))
    return 1 if wrong or len(bare) < FEWEST_TESTS else 0


def main(parts, name):
    interpreter = interpreters.wanted(name)
    if parts == ["asyncio"]:
        return compare_own_tests(interpreter)
    interpreter.agent = agent_path()  # so that it is brought in, too
    interpreter.bring_in()
    try:
        return control(interpreter) if parts == ["control"] \
            else compare(interpreter, PARTS if parts == ["all"] else parts)
    finally:
        interpreter.clean_up()


if __name__ == "__main__":
    if len(sys.argv) < 3 or not set(sys.argv[1:-1]) <= set(PARTS + ["all", "control", "asyncio"]):
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1:-1], sys.argv[-1]))
