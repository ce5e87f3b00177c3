#!/usr/bin/env python3
"""bench.py - ctaskctl pstree against python3.15 -m asyncio pstree, on the same processes.

usage: bench.py [--only ROW[,ROW...]] [--smoke] …      (--help tells the rest)

Rows: 10, 1000, 10000, 50000: sleeping tasks, both programs, whole commands, wall
time (median) and peak memory. 100000: ctaskctl alone. churn: 14,000 tasks made
a second, 1,000 snapshots. spin: a loop that never sleeps beside 10,000 tasks
that do, 1,000 snapshots. Every answer of a churn or spin row is checked, and of
each other row one before anything is timed.

The peer and the victims run in the Debian system forky (tools/make-suites), so
this needs root; without it, or with --smoke, this machine's python3 is the
victim and there is no peer. Prints Markdown. Exit status 1 when an answer was
wrong, never because of a time.
"""

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SUITE = os.path.join(os.environ.get("CTASK_SUITES") or "/var/cache/ctask/suites", "forky")
SIZES = [10, 1000, 10000, 50000]
ROWS = [str(size) for size in SIZES] + ["100000", "churn", "spin"]
SHOWN_FAULTS = 5
PEER_CEILING = 65536  # above it the peer fails by itself: once is enough


class Victim:
    """A victim.py that runs and is ready."""

    def __init__(self, bench, tasks, *mode):
        ready, write = os.pipe()
        command = bench.victim_command + [str(write), str(tasks)] + list(mode)
        self.process = subprocess.Popen(command, pass_fds=[write])
        os.close(write)
        with os.fdopen(ready) as lines:
            words = lines.readline().split()
        if not words:
            sys.exit("bench: the victim did not start")
        self.pid, self.rate = int(words[1]), int(words[2])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        still_there = self.process.poll() is None
        self.process.kill()
        self.process.wait()
        if not still_there:
            sys.exit("bench: the victim did not survive being looked at")


class Bench:
    def __init__(self, options):
        self.ctaskctl = os.path.abspath(options.ctaskctl)
        self.measure = os.path.abspath(options.measure)
        self.times = options.times
        self.peer = self.chroot = None
        self.victim_command = [options.python, os.path.join(HERE, "victim.py")]
        self.faults = 0
        if options.in_suite:
            self.chroot = SUITE
            self.peer = "python3.15"
            self.victim_command = ["chroot", SUITE, "python3.15", "/mnt/victim.py"]

    def fault(self, text):
        self.faults += 1
        if self.faults <= SHOWN_FAULTS:
            print("WRONG: " + text, file=sys.stderr)

    # --- answers

    def snapshot(self, pid):
        """The answer as JSON, or None (and a fault)."""
        run = subprocess.run(
            [self.ctaskctl, "pstree", "--json", str(pid)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        if run.returncode != 0:
            self.fault("exit status %d: %s" % (run.returncode, run.stderr.decode().strip()))
            return None
        try:
            return json.loads(run.stdout)
        except ValueError as error:
            self.fault("no JSON: %s" % error)
            return None

    def check(self, snapshot, tasks, moving=None):
        """The stable part is exactly what victim.py says; the rest is what it can be."""
        if snapshot is None:
            return False
        before = self.faults
        if not snapshot["capture"]["complete"]:
            self.fault("not complete: %s" % snapshot["capture"]["problems"][:1])
        names = {task["id"]: task["name"] for task in snapshot["tasks"]}
        waiter = {}
        for edge in snapshot["edges"]:
            waiter.setdefault(names.get(edge["awaited"]), set()).add(names.get(edge["waiter"]))
        stable = 0
        for task in snapshot["tasks"]:
            name = task["name"]
            parent = "Task-1" if name == "t" else name.rpartition(".")[0]
            if name == "t" or name.startswith("t."):
                stable += 1
                want = {parent}
                self.check_stable(task)
            elif name == "Task-1":
                want = set()
            elif moving and re.fullmatch(r"c\.\d+", name):
                want = set()
            elif moving and re.fullmatch(r"c\.\d+\.\d+", name):
                # Made by its group a moment ago, or done: then nobody waits for it.
                want = waiter.get(name, set()) & {parent}
            else:
                self.fault("a task %r that there cannot be" % name)
                continue
            if waiter.get(name, set()) != want:
                self.fault("%s is awaited by %s, not %s" % (name, waiter.get(name), want))
        if stable != tasks or len(set(names.values())) != len(names):
            self.fault("%d stable tasks, not %d; %d names of %d tasks differ"
                       % (stable, tasks, len(set(names.values())), len(names)))
        return self.faults == before

    def check_stable(self, task):
        want = AWAITS.get(task["coroutine"], [])
        outermost = task["stack"][-1] if task["stack"] else {"name": None, "line": None}
        there = outermost["name"] == task["coroutine"] and outermost["line"] in want
        if not there or task["state"] != "waiting":
            self.fault("%s is %s at %s, not in lines %s" % (task["name"], task["state"], outermost, want))

    # --- times

    def timed(self, times, commands):
        """{name: (median seconds, most KiB, all exit statuses)} of {name: (chroot, command)}.

        In turn, so that what else the machine does meets all of them alike.
        """
        runs = {name: [] for name in commands}
        for _ in range(times):
            for name, (chroot, command) in commands.items():
                whole = [self.measure] + (["--chroot", chroot] if chroot else []) + ["1"] + command
                line = subprocess.run(whole, stdout=subprocess.PIPE, check=True, text=True).stdout
                runs[name].append(line.split())
        return {
            name: (
                statistics.median(float(run[0]) for run in those),
                max(int(run[1]) for run in those),
                {int(run[2]) for run in those},
            )
            for name, those in runs.items()
        }

    def sleepers(self, tasks):
        """One row of the table of ratios."""
        with Victim(self, tasks) as victim:
            shot = self.snapshot(victim.pid)
            self.check(shot, tasks)
            pid = str(victim.pid)
            commands = {"own": (None, [self.ctaskctl, "pstree", pid])}
            commands["unfolded"] = (None, [self.ctaskctl, "pstree", "-c", "-l", pid])
            peer = {"peer": (self.chroot, [self.peer, "-m", "asyncio", "pstree", pid])}
            row = {"tasks": tasks}
            if self.peer and tasks < PEER_CEILING:
                commands.update(peer)
            row.update(self.timed(min(self.times, 5) if tasks >= 50000 else self.times, commands))
            if self.peer and tasks >= PEER_CEILING:
                row.update(self.timed(1, peer))
            if shot:
                row["capture"] = shot["capture"]
        for key in ("own", "unfolded"):
            if row[key][2] != {0}:
                self.fault("%d tasks: exit statuses %s" % (tasks, row[key][2]))
        return row

    def moving(self, tasks, snapshots, *mode):
        """Many snapshots of a victim that does not hold still."""
        right, paused, elapsed, seen = 0, [], [], []
        with Victim(self, tasks, *mode) as victim:
            for _ in range(snapshots):
                shot = self.snapshot(victim.pid)
                if self.check(shot, tasks, moving=True):
                    right += 1
                if shot:
                    paused.append(shot["capture"]["paused_us"])
                    elapsed.append(shot["capture"]["elapsed_us"])
                    seen.append(len(shot["tasks"]))
            peer = self.peer_failures(victim.pid)
        return {
            "mode": " ".join(mode).lstrip("-"),
            "tasks": "%d to %d" % (min(seen, default=0), max(seen, default=0)),
            "rate": victim.rate,
            "right": "%d of %d" % (right, snapshots),
            "paused": paused,
            "elapsed": elapsed,
            "peer": peer,
        }

    def peer_failures(self, pid):
        if not self.peer:
            return "-"
        command = ["chroot", self.chroot, self.peer, "-m", "asyncio", "pstree", str(pid)]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        failed = sum(subprocess.run(command, **quiet).returncode != 0 for _ in range(20))
        return "fails %d of 20" % failed


def awaits():
    """{coroutine: the lines where it may wait} in victim.py."""
    with open(os.path.join(HERE, "victim.py"), encoding="utf-8") as source:
        lines = list(enumerate(source, 1))
    sleep = next(n for n, line in lines if "sleep(3600)" in line)
    start = next(n for n, line in lines if "async def branch" in line)
    group = next(n for n, line in lines if n > start and "async with Group()" in line)
    last = next(n for n, line in lines if n > group and line == "\n") - 1
    # Waiting in __aexit__ is in the line of "async with", but before 3.10 in the last of its body.
    return {"leaf": [sleep], "branch": [group, last]}


AWAITS = awaits()


def milliseconds(seconds):
    return "%.3g ms" % (1000 * seconds) if seconds < 0.9995 else "%.3g s" % seconds


def megabytes(kib):
    return "%.3g MB" % (kib * 1024 / 1e6)


def print_ratios(rows):
    print("| tasks | ctaskctl pstree | one line a task (-c -l) | python3.15 -m asyncio pstree | faster "
          "| memory | memory of the peer | less |")
    print("|---|---|---|---|---|---|---|---|")
    for row in rows:
        own, peer = row["own"], row.get("peer")
        cells = ["{:,}".format(row["tasks"]), milliseconds(own[0]), milliseconds(row["unfolded"][0])]
        if peer and peer[2] == {0}:
            cells += [milliseconds(peer[0]), "%.0f times" % (peer[0] / own[0])]
            cells += [megabytes(own[1]), megabytes(peer[1]), "%.0f times" % (peer[1] / own[1])]
        else:
            cells += ["fails" if peer else "-", "", megabytes(own[1]), "", ""]
        print("| " + " | ".join(cells) + " |")
    few = next((row for row in rows if row["tasks"] == 10), None)
    for row in rows:
        if few and row["tasks"] >= 10000:
            print("\nMemory for each of {:,} tasks, beyond what 10 take: {:.0f} bytes.".format(
                row["tasks"], (row["own"][1] - few["own"][1]) * 1024 / row["tasks"]))
        pages = row.get("capture", {}).get("pages_read")
        if pages:
            print("\n{:,} tasks: {:,} pages read, {:.2f} µs of the capture for each.".format(
                row["tasks"], pages, row["capture"]["elapsed_us"] / pages))


def print_moving(rows):
    print("| victim | tasks made a second | tasks seen | right | stopped, median | stopped, most "
          "| capture, median | the peer |")
    print("|---|---|---|---|---|---|---|---|")
    for row in rows:
        paused, elapsed = row["paused"] or [0], row["elapsed"] or [0]
        cells = [row["mode"], "{:,}".format(row["rate"]), row["tasks"], row["right"]]
        cells += [milliseconds(statistics.median(paused) / 1e6), milliseconds(max(paused) / 1e6)]
        cells += [milliseconds(statistics.median(elapsed) / 1e6), row["peer"]]
        print("| " + " | ".join(cells) + " |")


def enter_suite():
    """Run this again where the suite has /proc and victim.py; both vanish with the last process in there."""
    os.environ["CTASK_BENCH_IN_SUITE"] = "1"
    script = 'mount --bind /proc "$1/proc" && mount --bind "$2" "$1/mnt" && shift 2 && exec "$@"'
    again = [sys.executable] + sys.argv
    os.execvp("unshare", ["unshare", "--mount", "sh", "-c", script, "sh", SUITE, HERE] + again)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(ROWS), help="rows, with commas between them")
    parser.add_argument("--smoke", action="store_true", help="small, no peer: only whether answers are right")
    parser.add_argument("--times", type=int, default=9, help="runs of which the median is taken")
    parser.add_argument("--snapshots", type=int, default=1000, help="of each victim that moves")
    parser.add_argument("--ctaskctl", default=os.path.join(ROOT, "build/release/cli/ctaskctl"))
    parser.add_argument("--measure", default=os.path.join(ROOT, "build/release/tests/bench/measure"))
    parser.add_argument("--python", default=sys.executable, help="of the victims where there is no forky")
    options = parser.parse_args()
    for program in (options.ctaskctl, options.measure):
        if not os.access(program, os.X_OK):
            parser.error("no %s: cmake --preset release && cmake --build --preset release" % program)
    options.in_suite = bool(os.environ.get("CTASK_BENCH_IN_SUITE")) and not options.smoke
    rows = options.only.split(",")
    if not set(rows) <= set(ROWS):
        parser.error("rows are " + ", ".join(ROWS))
    if options.smoke:
        options.times, options.snapshots, rows = 1, 5, ["10", "1000", "churn", "spin"]
    elif not options.in_suite:
        if os.geteuid() == 0 and os.path.exists(os.path.join(SUITE, "usr/bin/python3.15")):
            enter_suite()
        print("bench: no peer: needs root and %s (tools/make-suites)" % SUITE, file=sys.stderr)

    bench = Bench(options)
    version = subprocess.run([options.ctaskctl, "--version"], stdout=subprocess.PIPE, text=True).stdout
    peer = ["chroot", SUITE, "python3.15", "--version"]
    against = subprocess.run(peer, stdout=subprocess.PIPE, text=True).stdout if bench.peer else "no peer"
    print("%s; %s; %d CPUs, Linux %s; median of %d.\n" % (
        version.split("\n")[0], against.strip(), os.cpu_count(), platform.release().split("-")[0], options.times), flush=True)
    sizes = [bench.sleepers(int(row)) for row in rows if row.isdigit()]
    if sizes:
        print_ratios(sizes)
        print(flush=True)
    moving = []
    if "churn" in rows:
        moving.append(bench.moving(120, options.snapshots, "--churn", "50" if options.smoke else "500"))
    if "spin" in rows:
        moving.append(bench.moving(120 if options.smoke else 10000, options.snapshots, "--spin", "20"))
    if moving:
        print_moving(moving)
    if bench.faults:
        print("%d things wrong" % bench.faults, file=sys.stderr)
    return 1 if bench.faults else 0


if __name__ == "__main__":
    sys.exit(main())
