#!/usr/bin/env python3
"""bpf.py - what the probes of `ctaskctl cancels --follow --source=bpf` cost the program that they are in.

usage: bpf.py [--only INTERPRETER[,…]] [--quick] …      (--help tells the rest; needs root)

For each interpreter of tests/e2e/interpreters.py two processes that do the same, round by round in
turn: bare, and followed by ctaskctl. A figure is the least of the rounds, in processor time of the
thread that runs the loop, as in agent.py. Tasks are made and joined before anything was cancelled
and after ctaskctl ended, too; and a burst of cancels in one loop, and as many a second as the
machine gives, are counted: each is known in the end, or told as lost.

Prints Markdown. Exit status 1 when what is known and what is lost are not what was asked, 77 without
root, or where the kernel takes no probes, or when there is no interpreter; never because of a time.
"""
import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time

import agent
from agent import interpreters, Worker

KINDS = ["bare", "followed"]
DEPTHS = [5, 20]
ARMED_S = 11  # for so long, a little less, the ends of tasks are probed from the beginning
BURST = 10000
NO_PROBES = (1, 4)  # exit status of ctaskctl: the kernel takes no probes, no rights


class Follower:
    """A ctaskctl that follows, from when its probes are there."""

    def __init__(self, ctaskctl, pid):
        self.told = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [ctaskctl, "cancels", "--follow", "--source=bpf", "--json", str(pid)],
            stdin=subprocess.DEVNULL, stdout=self.told, stderr=subprocess.PIPE)
        while not os.fstat(self.told.fileno()).st_size:
            if self.process.poll() is not None:
                sys.exit("bench: skipped: %s" % self.process.stderr.read().decode()
                         if self.process.returncode in NO_PROBES
                         else "ctaskctl: %s" % self.process.stderr.read().decode())
            time.sleep(0.01)

    def processor_s(self):
        with open("/proc/%d/stat" % self.process.pid, encoding="utf-8") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def end(self):
        """How many requests it told of, and how many it says it does not know."""
        time.sleep(0.5)
        self.process.terminate()
        self.process.wait()
        self.told.seek(0)
        known, dropped = set(), None
        for line in self.told:
            record = json.loads(line)
            if record["schema"] == "ctask.cancellation":
                known.add(record["id"])
            elif record["schema"] == "ctask.end":
                dropped = record["dropped"]
        return len(known), dropped


class Bench:
    def __init__(self, options):
        self.options = options
        self.wrong = 0

    def least(self, workers, what, *numbers):
        """{kind: [least of each number]}, the kinds taken in turn."""
        told = {kind: [] for kind in KINDS}
        for _ in range(self.options.rounds):
            for kind in KINDS:
                told[kind].append(workers[kind].ask(what, *numbers))
        return {kind: [min(column) for column in zip(*rows)] for kind, rows in told.items()}

    def measure(self, interpreter):
        few = self.options.quick
        count = 20 if few else 500
        workers = {kind: Worker(interpreter, "bare", None) for kind in KINDS}
        row = {"name": interpreter.name}
        try:
            follower = Follower(self.options.ctaskctl, workers["followed"].pid())
            time.sleep(0 if few else ARMED_S)
            row["idle"] = self.least(workers, "task", count, 5)
            workers["followed"].ask("cancel", 100, 5)  # what each first call learns
            for depth in DEPTHS:
                row["cancel", depth] = self.least(workers, "cancel", count, depth)
            workers["followed"].ask("cancel", 100 if few else BURST, 5)
            before = follower.processor_s()
            paced, row["pace_s"] = workers["followed"].ask(
                "pace", self.options.pace, self.options.seconds)
            row["paced"] = paced
            row["reader"] = (follower.processor_s() - before) / paced * 1e6
            asked = int(workers["followed"].ask("pid")[1])
            known, row["lost"] = follower.end()
            row["asked"] = asked
            if row["lost"] is None or known + row["lost"] != asked:
                self.wrong += 1
                print("WRONG: %s: %d cancels were asked, %d are known, %s lost" % (
                    interpreter.name, asked, known, row["lost"]), file=sys.stderr)
            row["after"] = self.least(workers, "task", count, 5)
        finally:
            for worker in workers.values():
                worker.end()
        return row


def pair(figures, at):
    bare, followed = figures["bare"][at], figures["followed"][at]
    return "%.2f | %+.2f | %.2f" % (bare, followed - bare, followed / bare)


def print_rows(rows):
    print("µs, and what the probes add, and as a ratio:\n\n"
          "| Python | what | bare | added | followed / bare |\n|---|---|---|---|---|")
    for row in rows:
        print("| %s | a task, nothing cancelled yet | %s |" % (row["name"], pair(row["idle"], 0)))
        for depth in DEPTHS:
            print("| %s | a cancel(), %d functions deep | %s |" % (
                row["name"], depth, pair(row["cancel", depth], 0)))
            print("| %s | the same, and until the task has ended | %s |" % (
                row["name"], pair(row["cancel", depth], 1)))
        print("| %s | a task, after ctaskctl ended | %s |" % (row["name"], pair(row["after"], 0)))
    print("\n| Python | cancels a second, for so long | ctaskctl's processor time for each "
          "| asked in all | lost |\n|---|---|---|---|---|")
    for row in rows:
        print("| %s | {:,.0f}, %.1f s | %.1f µs | {:,} | {:,} |".format(
            row["paced"] / row["pace_s"], row["asked"], row["lost"]) % (
                row["name"], row["pace_s"], row["reader"]))


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="interpreters, with commas between them")
    parser.add_argument("--quick", action="store_true", help="one round, few tasks: only whether it works")
    parser.add_argument("--rounds", type=int, default=41, help="of which the least is taken")
    parser.add_argument("--pace", type=int, default=50000, metavar="N", help="cancels a second that are tried")
    parser.add_argument("--seconds", type=int, default=10, help="for so long")
    parser.add_argument("--ctaskctl", default=os.path.join(agent.ROOT, "build/release/cli/ctaskctl"))
    options = parser.parse_args()
    if not os.access(options.ctaskctl, os.X_OK):
        parser.error("no %s: cmake --preset release && cmake --build --preset release" % options.ctaskctl)
    if os.geteuid():
        print("bench: skipped: the probes need root", file=sys.stderr)
        return 77
    if options.quick:
        options.rounds, options.pace, options.seconds = 1, 1000, 1
    bench = Bench(options)
    rows = []
    for name in options.only.split(",") if options.only else [i.name for i in interpreters.ALL]:
        try:
            interpreter = interpreters.named(name)
        except interpreters.Missing as missing:
            print("bench: skipped: %s" % missing, file=sys.stderr)
            continue
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
    return 1 if bench.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
