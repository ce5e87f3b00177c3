#!/usr/bin/env python3
"""agent.py - what the agent costs the program that it is in.

usage: agent.py [--only INTERPRETER[,…]] [--quick] …      (--help tells the rest)

For each interpreter of tests/e2e/interpreters.py four processes that do the same, round by round
in turn: bare; with the agent; in asyncio's debug mode; and with tasks that remember stacks, as
aiomonitor's do (tests/victims/cost.py has the likeness; aiomonitor itself is not used). Where there
is trio, two more: bare and with the agent, side by side (tests/victims/cost_trio.py). A figure
is the least of the rounds, in processor time of the thread that runs the loop: what else a machine
does makes code slower, by its caches too, and never faster.

Prints Markdown. Exit status 1 when the agent did not record what was asked, 77 when there is no
interpreter; never because of a time.
"""
import argparse
import glob
import json
import os
import platform
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests", "e2e"))
sys.dont_write_bytecode = True
import interpreters  # noqa: E402

KINDS = ["bare", "agent", "debug", "traced"]
DEPTHS = [1, 5, 20]
TRIO = ["checkpoint", "pingpong", "cancel"]
NO_RUNTIME = 5  # exit status of ctaskctl where there is no agent


class Worker:
    """One process of a kind, which does rounds."""

    def __init__(self, interpreter, kind, agent, program="cost.py"):
        self.interpreter, self.kind = interpreter, kind
        interpreter.agent = agent if kind == "agent" else None
        command = interpreter.command(program, kind)
        environment = {name: value for name, value in os.environ.items()
                       if name not in ("LD_PRELOAD", "PYTHONASYNCIODEBUG")}
        if kind == "debug":
            environment["PYTHONASYNCIODEBUG"] = "1"
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True, env=environment)
        said = self.process.stdout.readline()
        self.has_runtime = said != "no trio\n"
        if said != "ready\n" and self.has_runtime:
            raise SystemExit("%s, %s: %s did not start" % (interpreter.name, kind, program))

    def ask(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("%s, %s: ended at %r" % (self.interpreter.name, self.kind, words))
        return [float(word) for word in line.split()]

    def pid(self):
        return int(self.ask("pid")[0])

    def resident(self):
        """Bytes."""
        with open("/proc/%d/statm" % self.pid(), encoding="ascii") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE")

    def wakes(self):
        """How often each thread of the agent ran."""
        found = []
        for path in glob.glob("/proc/%d/task/*/status" % self.pid()):
            with open(path, encoding="utf-8") as lines:
                fields = dict(line.rstrip("\n").split(":\t", 1) for line in lines if ":\t" in line)
            if fields["Name"] == "ctask":
                found.append(int(fields["voluntary_ctxt_switches"])
                             + int(fields["nonvoluntary_ctxt_switches"]))
        return found

    def bytes_a_task(self, count):
        before = self.resident()
        self.ask("live", count)
        taken = self.resident() - before
        self.ask("die")
        return taken / count

    def end(self):
        self.process.stdin.close()
        self.process.wait()


class Bench:
    def __init__(self, options):
        self.options = options
        self.wrong = 0

    def fault(self, text):
        self.wrong += 1
        print("WRONG: " + text, file=sys.stderr)

    def least(self, workers, what, *numbers):
        """{kind: [least of each number]}, the kinds taken in turn."""
        told = {kind: [] for kind in workers}
        for _ in range(self.options.rounds):
            for kind in workers:
                told[kind].append(workers[kind].ask(what, *numbers))
        return {kind: [min(column) for column in zip(*rows)]
                for kind, rows in told.items()}

    def recorded(self, worker):
        """How many requests ctaskctl knows of, dropped ones among them; None without an agent."""
        pid, asked = map(int, worker.ask("pid"))
        done = subprocess.run([self.options.ctaskctl, "cancels", "--json", str(pid)],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if done.returncode == NO_RUNTIME or not done.stdout:
            return asked, None, None
        lines = done.stdout.splitlines()
        dropped = json.loads(lines[-1])["dropped"]
        return asked, len(lines) - 1 + dropped, dropped

    def check_recorded(self, workers, name):
        asked, known, _ = self.recorded(workers["agent"])
        if known != asked:
            self.fault("%s: %d cancels were asked, %s are known" % (name, asked, known))
        if self.recorded(workers["bare"])[1] is not None:
            self.fault("%s: there is an agent in the bare process" % name)

    def idle(self, worker, seconds):
        before = worker.wakes()
        worker.ask("idle", seconds)
        after = worker.wakes()
        if len(after) != 1:
            self.fault("%s: %d threads of the agent" % (worker.interpreter.name, len(after)))
        return sum(after) - sum(before)

    def many(self, worker):
        """Resident bytes after the first tenth and in the end."""
        told = []
        for _ in range(10):
            worker.ask("many", self.options.many // 10)
            told.append(worker.resident())
        return told[0], told[-1]

    def measure(self, interpreter):
        few = self.options.quick
        workers = {kind: Worker(interpreter, kind, self.options.agent) for kind in KINDS}
        row = {"name": interpreter.name}
        try:
            for depth in DEPTHS:
                row["task", depth] = self.least(workers, "task", 20 if few else 500, depth)
                row["cancel", depth] = self.least(workers, "cancel", 20 if few else 500, depth)
            row["memory"] = {kind: worker.bytes_a_task(200 if few else 20000)
                             for kind, worker in workers.items()}
            self.check_recorded(workers, interpreter.name)
            row["idle"] = self.idle(workers["agent"], 1 if few else 5)
            if self.options.many:
                row["many"] = self.many(workers["agent"])
                self.check_recorded(workers, interpreter.name)
                row["dropped"] = self.recorded(workers["agent"])[2]
        finally:
            for worker in workers.values():
                worker.end()
        row["trio"] = self.measure_trio(interpreter)
        return row

    def measure_trio(self, interpreter):
        """{what: {kind: µs}}; None where there is no trio."""
        workers = {kind: Worker(interpreter, kind, self.options.agent, "cost_trio.py")
                   for kind in ("bare", "agent")}
        try:
            if not all(worker.has_runtime for worker in workers.values()):
                return None
            count = 20 if self.options.quick else 1000
            told = {what: {kind: least[0] for kind, least in
                           self.least(workers, what, count).items()} for what in TRIO}
            self.check_recorded(workers, interpreter.name + ", trio")
            return told
        finally:
            for worker in workers.values():
                worker.end()


def cells_of(figures, at):
    bare = figures["bare"][at]
    return ["%.2f" % bare, "%+.2f" % (figures["agent"][at] - bare)] + [
        "%+.1f" % (figures[kind][at] - bare) for kind in ("debug", "traced")]


def print_table(rows, title, what, at):
    print("%s\n\n| Python | stack | bare | agent | debug mode | aiomonitor's kind |\n"
          "|---|---|---|---|---|---|" % title)
    for row in rows:
        for depth in DEPTHS:
            print("| %s | %d | %s |" % (row["name"], depth, " | ".join(cells_of(row[what, depth], at))))
    print(flush=True)


def print_rows(rows):
    print_table(rows, "µs for a task (made, run, joined); the others beyond bare:", "task", 0)
    print_table(rows, "µs for a cancel() of a task that waits 3 deep:", "cancel", 0)
    print_table(rows, "µs for a cancel() and all that follows, until the task has ended:", "cancel", 1)
    print("| Python | bytes a living task: bare | agent | debug mode | aiomonitor's kind "
          "| wakes of the idle agent | resident after 1/10 of many cancels | in the end | dropped |\n"
          "|---|---|---|---|---|---|---|---|---|")
    for row in rows:
        cells = ["%.0f" % row["memory"][kind] for kind in KINDS] + ["%d" % row["idle"]]
        cells += ["%.1f MB" % (taken / 1e6) for taken in row.get("many", [])]
        cells += ["{:,}".format(row["dropped"])] if "dropped" in row else ["-"] * 3
        print("| %s | %s |" % (row["name"], " | ".join(cells)))


def print_trio(rows):
    print("\ntrio, µs: bare, with the agent, and how many times as long:\n\n| Python | %s |\n|---%s|" % (
        " | ".join(TRIO), "|---" * len(TRIO)))
    for row in rows:
        cells = ["%.2f, %.2f: %.2f" % (took["bare"], took["agent"], took["agent"] / took["bare"])
                 for took in map(row["trio"].get, TRIO)] if row["trio"] \
            else ["not measured: no trio"] + ["-"] * (len(TRIO) - 1)
        print("| %s | %s |" % (row["name"], " | ".join(cells)))


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="interpreters, with commas between them")
    parser.add_argument("--quick", action="store_true", help="one round, few tasks: only whether it works")
    parser.add_argument("--rounds", type=int, default=41, help="of which the least is taken")
    parser.add_argument("--many", type=int, default=0, metavar="N",
                        help="cancel N more tasks and look at the memory that it takes")
    parser.add_argument("--agent", default=os.path.join(ROOT, "build/release/agent/libctask-agent.so"))
    parser.add_argument("--ctaskctl", default=os.path.join(ROOT, "build/release/cli/ctaskctl"))
    options = parser.parse_args()
    for path in (options.agent, options.ctaskctl):
        if not os.access(path, os.R_OK):
            parser.error("no %s: cmake --preset release && cmake --build --preset release" % path)
    options.agent = os.path.abspath(options.agent)
    if options.quick:
        options.rounds, options.many = 1, 0
    wanted = options.only.split(",") if options.only else [i.name for i in interpreters.ALL]
    bench = Bench(options)
    rows = []
    for name in wanted:
        try:
            interpreter = interpreters.named(name)
        except interpreters.Missing as missing:
            print("bench: skipped: %s" % missing, file=sys.stderr)
            continue
        interpreter.agent = options.agent
        interpreter.bring_in()
        try:
            rows.append(bench.measure(interpreter))
        finally:
            interpreter.clean_up()
    if not rows:
        return 77
    version = subprocess.run([options.ctaskctl, "--version"], stdout=subprocess.PIPE, text=True).stdout
    print("%s; %d CPUs, Linux %s; the least of %d rounds.\n" % (
        version.split("\n")[0], os.cpu_count(), platform.release().split("-")[0], options.rounds))
    print_rows(rows)
    print_trio(rows)
    return 1 if bench.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
