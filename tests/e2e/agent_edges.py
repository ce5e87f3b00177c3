"""agent_edges.py - the agent where it comes to its limits: no harm, and nothing that is not so.

    agent_edges.py PART INTERPRETER

leaving    asked for a tree while a busy Python is ending
codes      more functions than it keeps: what a deadline did is still known as that
scopes     more scopes that were cancelled and never entered than it keeps: others are still recorded
elsewhere  what another interpreter of the process cancels is not recorded, but counted
memory     where it finds no room, there is no history, rather than one in which nothing happened
size       the largest history can be read
forks      a fork finds no thread of the agent's without the socket's name, too, and the agent is back after the next step
groups     before Python 3.11, a task of trio's that ends with a group of Cancelled was cancelled
errors     exceptions with much to say hold nobody up, and Python has nothing to warn of
Exit status 0, 1 when something is wrong, 77 when it cannot be tried here.
"""
import glob
import json
import os
import subprocess
import sys
import tempfile
import time

import ctaskctl
import interpreters
from agent_clients import Hosting, ask, expect
from victim import Failed


class Running:
    """A running edges.py."""

    def __init__(self, interpreter, *words, flags=(), environment=()):
        self.interpreter = interpreter
        self.words, self.flags = words, list(flags)
        self.root = interpreter.root
        self.place = tempfile.mkdtemp(prefix="ctask-e2e-", dir=self.root + "/tmp")
        self.environment = dict({"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8",
                                 "CTASK_DIR": self.place[len(self.root):]}, **dict(environment))

    def __enter__(self):
        command = self.interpreter.command("edges.py", *self.words)
        at = [word.endswith("/edges.py") for word in command].index(True)
        command[at:at] = self.flags
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, env=self.environment, cwd="/")
        self.pid = self.process.pid
        line = self.process.stdout.readline()
        self.said = json.loads(line.decode()) if line else None
        return self

    def __exit__(self, *unused):
        self.end()
        for name in glob.glob(self.place + "/*"):
            os.unlink(name)
        os.rmdir(self.place)

    def end(self):
        """Its exit status and stderr."""
        if self.process.stdin.closed:
            return self.status, self.complaints
        self.process.stdin.close()
        self.complaints = self.process.stderr.read().decode("utf-8", "replace")
        self.status = self.process.wait(60)
        self.process.stdout.close()
        self.process.stderr.close()
        return self.status, self.complaints

    def cancels(self):
        """Status, the records, and how many there are not."""
        done = ctaskctl.run("cancels", self.pid, "--json")
        lines = [json.loads(line) for line in done.stdout.decode().splitlines()]
        return (done.returncode, lines[:-1], lines[-1]["dropped"]) if lines else (
            done.returncode, [], 0)


def leaving(interpreter):
    with Running(interpreter, "leaving", "2") as running:
        expect("it leaves", running.said, {"leaves": True})
        answers = []
        while running.process.poll() is None and len(answers) < 20:
            path = (glob.glob(running.place + "/*.sock") or [""])[0]
            try:
                answers.append(ask(path, "tree")[2]["schema"])
            except (OSError, ValueError):
                time.sleep(0.01)  # it has ended
        expect("status and stderr", running.end(), (0, ""))
        expect("whole answers", set(answers), {"ctask.end"})
        print("asked %d times" % len(answers))


def codes(interpreter):
    with Running(interpreter, "codes", "4000") as running:
        status, records, _ = running.cancels()
        expect("status", status, 0)
        expect("origins", [record["origin"] for record in records], ["timeout"])
        expect("delay", records[0]["scope"]["delay_s"], 0.01)


def scopes(interpreter):
    told = []
    for count in ("10", "3000"):
        with Running(interpreter, "scopes", count) as running:
            expect("it is there", running.said, {"cancelled": True})
            status, records, _ = running.cancels()
            expect("status", status, 0)
            told.append([record["origin"] for record in records])
    expect("origins", set(told[0]), {"explicit"})
    expect("origins among many", told[1], told[0])


def elsewhere(interpreter):
    with Running(interpreter, "elsewhere") as running:
        expect("it is there", running.said, {"cancelled": True})
        expect("status, records, dropped", running.cancels(), (0, [], 1))


def memory(interpreter):
    kinds = set()
    for kilobytes in list(range(20000, 60000, 1000)):
        with Running(interpreter, "memory", str(kilobytes)) as running:
            if not running.said:
                continue
            status, records, dropped = running.cancels()
            kinds.add((status, len(records) + dropped))
            if status not in (0, 5) or (status == 0) != (len(records) == 1):
                raise Failed("%d kB: status %d, %d records" % (kilobytes, status, len(records)))
    expect("with room and without", kinds, {(0, 1), (5, 0)})


def size(interpreter):
    for size in (1 << 40, 250 << 20, 1 << 28):
        with Running(interpreter, "size", environment={"CTASK_HISTORY_BYTES": str(size)}) as running:
            status, records, _ = running.cancels()
            expect("status and records with %d bytes" % size, (status, len(records)), (0, 1))


def forks(interpreter):
    with tempfile.TemporaryDirectory(dir=interpreter.root + "/tmp") as place:
        inside = place[len(interpreter.root):]
        with Running(interpreter, "forks", inside, environment={"CTASK_DIR": inside}) as running:
            expect("threads", running.said, {"threads": 5 * [1]})
            end = time.monotonic() + 10
            while time.monotonic() < end:
                try:
                    # A child that ended at once may have left a name of its own.
                    own = glob.glob("%s/ctask-%d-*.sock" % (place, running.pid))[0]
                    hello, _, _ = ask(own, "hello")
                    expect("schema", hello["schema"], "ctask.hello")
                    break
                except (OSError, IndexError, ValueError):
                    time.sleep(0.01)
            else:
                raise Failed("the agent does not serve any more")


def groups(interpreter):
    packages = os.path.join(interpreters.SUITES, "bookworm/usr/lib/python3/dist-packages")
    if not os.path.isdir(packages + "/exceptiongroup"):
        raise Failed("there is no %s/exceptiongroup" % packages)
    with Running(interpreter, "groups", environment={"PYTHONPATH": packages}) as running:
        expect("it is there", running.said, {"cancelled": True})
        status, records, _ = running.cancels()
        ends = sorted(record["outcome"]["state"] for record in records)
        expect("outcomes", ends, ["absorbed"] + 3 * ["cancelled"])


def errors(interpreter):
    with Running(interpreter, "errors", flags=["-b"]) as running:
        work = running.said
        _, records, _ = running.cancels()
        messages = [r["exception"]["message"] and r["exception"]["message"][:6] for r in records]
        expect("messages", messages,
               ["little", None, None, "\u65e5" * 6, None, None, "b'byte", None])
        expect("stderr", running.end()[1], "")
        if work["failing"] > work["writing"] / 4:
            raise Failed("%.3f s of work; to write it all out would be %.3f s" % (
                work["failing"], work["writing"]))
        print("%.1f %% of the work of writing it all out" % (100 * work["failing"] / work["writing"]))


PARTS = {f.__name__: f for f in (
    leaving, codes, scopes, elsewhere, memory, size, forks, groups, errors)}


def main(part, name):
    interpreter = Hosting(interpreters.wanted(name))
    interpreter.bring_in()
    try:
        PARTS[part](interpreter)
        return 0
    except Failed as failed:
        print("FAILED: %s" % failed)
        return 1
    finally:
        interpreter.clean_up()


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in PARTS:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
