"""bpf_all.py - `cancels --all`, and processes in other places, against what these processes say they did.

    bpf_all.py PART INTERPRETER

    all        begun before and after, forked, executed, with an agent: each request once, or counted as missed
    control    the same answer, and each way to spoil it
    pstree     marks of what is recorded and was recorded, and none that are wrong
    container  a pid namespace, a mount namespace, another user
    upgraded   the file was replaced since, as by a package
    exec       the process becomes another program
    usage      words that do not go together
    many       processes that come and go: nothing is kept of them ($CTASK_PROCESSES, default 150)

Exit status 0 when all is right, 1 when not, 77 when it cannot be tried here.
"""
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import ctaskctl
import interpreters
from cancels import agent_path
from victim import Failed, Victim

WHOLE, FAILED, USAGE, NO_PROCESS, NOT_PERMITTED, NO_RUNTIME, ENDED, IN_PART = range(8)
PROCESSES = int(os.environ.get("CTASK_PROCESSES") or 150)
SECONDS = 60  # at most, for something that takes a moment
bad = done = 0


def check(what, is_so, told=""):
    global bad, done
    done += 1
    if not is_so:
        bad += 1
        print("%s: %s" % (what, told))


def until(is_so):
    """Whether it becomes so."""
    end = time.monotonic() + SECONDS
    while not is_so():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


class Brood(Victim):
    def __init__(self, interpreter, **how):
        super().__init__(interpreter, "brood.py", **how)

    def ask(self, *words):
        self.send(*words)
        return json.loads(self.line(120).decode())

    def send(self, *words):
        self.process.stdin.write((" ".join(map(str, words)) + "\n").encode())
        self.process.stdin.flush()

    def become_released(self):
        """After `become`: be the other program."""
        self.send("release")
        if self.line(60) + self.line(60) != b"nullready":
            raise Failed("the other program does not begin")


class Follower:
    """A `cancels --follow --json`, from when it has attached.

    before: processes that had called cancel() before it began: nobody knows how often, and nobody asks.
    """

    def __init__(self, *words, before=()):
        self.before = before
        self.process = subprocess.Popen(
            [ctaskctl.path(), "cancels"] + [str(word) for word in words] + ["--follow", "--json"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.said, self.known = b"", []
        self.read(SECONDS, lambda: b"\n" in self.said)
        if b"\n" not in self.said:
            self.process.kill()
            raise Failed("nothing is followed: %s" % self.process.stderr.read().decode())

    def read(self, seconds, enough=lambda: False):
        end = time.monotonic() + seconds
        while not enough() and time.monotonic() < end:
            if select.select([self.process.stdout], [], [], 0.05)[0]:
                data = os.read(self.process.stdout.fileno(), 1 << 20)
                self.said += data
                if not data:
                    return

    def lines(self):
        """What it has said so far."""
        *whole, self.said = self.said.split(b"\n")
        for line in whole:
            line = json.loads(line.decode("utf-8"))
            if line["schema"] == "ctask.attached" and line["pid"] in self.before \
                    and line["missed"] is None:
                line["missed"] = 0
            self.known.append(line)
        return self.known

    def until(self, is_so):
        """Read on until that is so of its lines; whether it is, at last."""
        end = time.monotonic() + SECONDS
        while not is_so(self.lines()):
            if time.monotonic() > end:
                return False
            length = len(self.said)
            self.read(1, lambda: len(self.said) > length)
        return True

    def follows(self, pid, times=1):
        """Wait until it follows a process, or follows it again."""
        if not self.until(lambda lines: sum(
                line["schema"] == "ctask.attached" and line["pid"] == pid for line in lines) >= times):
            raise Failed("process %d is not followed" % pid)

    def tells(self, tag, truth, sources=None):
        """Wait until nothing is lacking; what is wrong shows later."""
        self.until(lambda lines: not list(differences(Answer(lines, tag), truth, sources or {})))

    def finish(self, how=signal.SIGTERM):
        """Its exit status, its lines, and its stderr."""
        if how:
            self.process.send_signal(how)
        self.read(120)
        status = self.process.wait(60)
        return status, self.lines(), self.process.stderr.read().decode("utf-8", "replace")


class Answer:
    """What was said of the processes of a brood: those whose tasks have this tag."""

    def __init__(self, lines, tag):
        self.all = {}
        self.twice = []
        seen = {}
        for line in lines:
            if line["schema"] != "ctask.cancellation":
                continue
            name = line["target"]["name"] or ""
            if not name.startswith(tag):
                continue
            first = seen.setdefault(line["id"], (line["pid"], line["time"], name))
            if first != (line["pid"], line["time"], name):
                self.twice.append(line["id"])
            self.all[line["id"]] = line
        self.attached = [line for line in lines if line["schema"] == "ctask.attached"]

    def rows(self):
        """As a truth has them."""
        for line in self.all.values():
            cause = self.all.get(line["cause"])
            yield [line["pid"], line["target"]["name"], line["origin"], line["requester"]["name"],
                   cause["target"]["name"] if cause else line["cause"], line["outcome"]["state"]]


def about(errors, pids):
    """The lines that are about these: others come and go on this host."""
    return [line for line in errors.splitlines() if any(str(pid) in line for pid in pids)]


def differences(answer, truth, sources):
    """truth: requests in the order in which each process made them. missed: its first ones may lack, if they are counted."""
    for id_ in answer.twice:
        yield "id %d is of two requests" % id_
    rows = list(answer.rows())
    for row in rows:
        if row not in truth:
            yield "extra: %r" % (row,)
        if rows.count(row) > 1:
            yield "twice: %r" % (row,)
    for pid in sorted({row[0] for row in truth}):
        mine = [row for row in truth if row[0] == pid]
        lacks = [row for row in mine if row not in rows]
        told = [line["missed"] for line in answer.attached if line["pid"] == pid]
        if not told:
            yield "process %d was not followed" % pid
        elif None in told:
            yield "process %d: nobody knows what was missed" % pid
        elif sum(told) != len(lacks):
            yield "process %d: %r are missing, %r is said to be: %r" % (
                pid, len(lacks), told, lacks[:4])
        if lacks and lacks != mine[:len(lacks)]:
            yield "process %d: missing in the midst: %r" % (pid, lacks[:4])
    for line in answer.all.values():
        if line["source"] != sources.get(line["pid"], "bpf"):
            yield "%s: source %s" % (line["target"]["name"], line["source"])
        if line["root"] not in answer.all:
            yield "%s: its root %d is nowhere" % (line["target"]["name"], line["root"])


def gather(interpreter):
    """Everything that can begin, and what was said of it.

    What begins later cancels at once, of which some may be missed; and some more when it is followed.
    """
    truth, sources = [], {}
    with Brood(interpreter) as old:
        truth0 = old.ask("cancel", "brood0", 1)  # asyncio is there before anybody looks
        follower = Follower("--all", before=(old.pid,))
        truth += old.ask("cancel", "brood", 3)
        truth += old.ask("fork", "brood-forked", 4, 3)
        spawned = old.ask("spawn", "brood-spawned", 3)
        follower.follows(spawned[0][0])
        truth += spawned + old.ask("relay", "cancel", "brood-late-spawned", 9)
        truth += old.ask("become", "brood-became", 2)
        follower.tells("brood", truth)
        old.become_released()
        follower.follows(old.pid, 2)
        truth += old.ask("cancel", "brood-again", 12)
        truth += old.ask("fork", "brood-grandchild", 2, 2)
        with Brood(interpreter) as new:
            truth += new.ask("cancel", "brood-new", 3)
            follower.follows(new.pid)
            truth += new.ask("cancel", "brood-late-new", 9)
            with_agent = interpreters.named(interpreter.name)
            with_agent.agent = agent_path()
            with Brood(with_agent) as guest:
                truth += guest.ask("cancel", "brood-guest", 3)
                sources[guest.pid] = "agent"
                follower.tells("brood", truth, sources)
        old.ask("release")
        status, lines, errors = follower.finish()
    said = about(errors, {row[0] for row in truth})
    check("exit status and stderr", status == WHOLE and not said, (status, said))
    check("the last line", lines[-1]["schema"] == "ctask.end", lines[-1])
    check("the first line", lines[0]["schema"] == "ctask.attached" and lines[0]["pid"] is None,
          lines[0])
    check("the truth is large enough", len(truth) > 150 and len(truth0) == 4, len(truth))
    checks = ctaskctl.validator("ctask-cancellation-1.schema.json")
    for line in lines[:3] + lines[-3:] if checks else ():
        check("schema", not list(checks.iter_errors(line)), line)
    return lines, truth, sources


def all_(interpreter):
    lines, truth, sources = gather(interpreter)
    for found in differences(Answer(lines, "brood"), truth, sources):
        check("all", False, found)
    rows = list(Answer(lines, "brood").rows())
    lacks = [row for row in truth if row not in rows]
    check("only what was done at once is missed",
          all(row[1].startswith(("brood-spawned.", "brood-new.")) for row in lacks), lacks[:3])
    print("%d of %d recorded" % (len(rows), len(truth)))


def control(interpreter):
    """Each way to spoil an answer must be seen."""
    lines, truth, sources = gather(interpreter)
    whole = list(differences(Answer(lines, "brood"), truth, sources))
    check("the answer itself", not whole, whole[:3])
    last = max(i for i, line in enumerate(lines) if line["schema"] == "ctask.cancellation"
               and line["cause"] and (line["target"]["name"] or "").startswith("brood-"))
    id_ = lines[last]["id"]
    of_id = [i for i, line in enumerate(lines) if line.get("id") == id_]

    def spoil(**how):
        return [dict(line, **how) if i in of_id else line for i, line in enumerate(lines)]

    ways = {
        "lost": [line for i, line in enumerate(lines) if i not in of_id],
        "another process": spoil(pid=1),
        "no cause": spoil(cause=None),
        "another root": spoil(root=id_ + 7),
        "another origin": spoil(origin="timeout"),
        "another outcome": spoil(outcome={"state": "pending", "after_s": None}),
        "another source": spoil(source="agent" if lines[last]["source"] == "bpf" else "bpf"),
        "twice": lines + [dict(lines[last], id=id_ + 1000000)],
        "one id for two": [dict(line, id=id_, time="?") if line.get("id") == id_ - 1 else line
                           for line in lines],
        "missed, and not said": [dict(line, missed=(line["missed"] or 0) + 1) if line["schema"] == "ctask.attached"
                                 and line["pid"] in (lines[last]["pid"],) else line
                                 for line in lines],
    }
    for what, spoilt in ways.items():
        check("control: " + what, list(differences(Answer(spoilt, "brood"), truth, sources)),
              "nothing is found")


def pstree(interpreter):
    def marks(pid):
        answer = ctaskctl.Answer(pid)
        check("pstree", answer.status == WHOLE, answer.errors)
        items = {c["id"]: c for c in answer.snapshot["cancellations"]}
        return sorted((c["target"]["name"], c["outcome"]["state"], c["source"])
                      for c in items.values())

    def place():
        path = "/run/ctaskctl"
        return sorted(name for name in os.listdir(path) if name.startswith("%d-" % pid)) \
            if os.path.isdir(path) else []

    # The count of requests (3.11 on) shows that a task is the one that was asked.
    kept = [("Task-99", "swallowed", "bpf")]
    for name, after in ("Task-99", True), ("worker", interpreter.version >= (3, 11)):
        want = [(name, *kept[0][1:])]
        with Brood(interpreter) as victim:
            pid = victim.pid
            victim.ask("cancel", "x", 1)
            check("before", marks(pid) == [], marks(pid))
            follower = Follower(pid, "--source=bpf")
            victim.ask("hold", name)
            check("meanwhile", until(lambda: marks(pid) == want), marks(pid))
            check("a link while it is recorded", [n[-4:] for n in place()] == [".now"], place())
            again = Follower(pid, "--source=bpf")
            check("two at once", marks(pid) == want, marks(pid))
            again.finish()
            check("one of two", marks(pid) == want, marks(pid))
            status, _, errors = follower.finish()
            check("follower", (status, errors) == (WHOLE, ""), (status, errors))
            check("after " + name, marks(pid) == (want if after else []), marks(pid))
            check("a copy after it", [n[-5:] for n in place()] == [".past"], place())
            if victim.ask("replace", name):
                check("another task in its place, called " + name,
                      name == "Task-99" or marks(pid) == [], marks(pid))
            # A recorder that is killed leaves a link that leads nowhere.
            follower = Follower(pid, "--source=bpf")
            check("a link", until(lambda: [n for n in place() if n.endswith(".now")]), place())
            follower.process.kill()
            follower.finish(how=None)
            check("a link that leads nowhere", [n for n in place() if n.endswith(".now")], place())
            marks(pid)
            check("is thrown away", not [n for n in place() if n.endswith(".now")], place())
        ctaskctl.Answer(os.getpid())  # which clears up
        check("nothing is left of a process that has ended", place() == [], place())


def put_into_group(pid):
    """A control group that is called as Docker calls one: (its path, the name in it), or (None, None)."""
    name = "%064x" % pid
    for place in "/sys/fs/cgroup", "/sys/fs/cgroup/pids", "/sys/fs/cgroup/memory":
        path = os.path.join(place, "docker-%s.scope" % name)
        try:
            os.mkdir(path)
        except OSError:
            continue
        try:
            with open(path + "/cgroup.procs", "r+") as procs:  # not there: no control group
                procs.write(str(pid))
            return path, name
        except OSError:
            os.rmdir(path)
    return None, None


def container(interpreter):
    def rows_of(lines):
        """Without the ids of processes, which they see otherwise."""
        return [row[1:] for row in Answer(lines, "place").rows()]

    in_chroot = hasattr(interpreter, "root")
    for what, how in ("namespaces", {"container": True}), ("another user", {"user": True}):
        if "user" in how:
            if not in_chroot:
                continue
            interpreter.user = ["--userspec=1234:1234"]
            how = {}
        with Brood(interpreter, **how) as victim:
            victim.ask("cancel", "place0", 1)
            group, name = put_into_group(victim.pid)
            print("%s, in the control group %s" % (what, group))
            for words in ((victim.pid, "--source=bpf"), ("--all",)):
                follower = Follower(*words)
                truth = victim.ask("cancel", "place", 3)
                forked = victim.ask("fork", "place-forked", 2, 2)
                truth += forked if words[0] == "--all" else []
                follower.until(lambda lines: sorted(map(str, rows_of(lines))) == sorted(
                    str(row[1:]) for row in truth))
                victim.ask("release")
                status, lines, errors = follower.finish()
                said = about(errors, [victim.pid])
                check(what, status == WHOLE and not said, (status, said))
                answer = Answer(lines, "place")
                rows = rows_of(lines)
                want = [row[1:] for row in truth]
                check("%s, %s" % (what, words), sorted(map(str, rows)) == sorted(map(str, want)),
                      [row for row in want if row not in rows])
                names = {line.get("container") for line in answer.all.values()}
                check(what + ": the container", names == {name}, (names, name))
                pids = {line["pid"] for line in answer.all.values()
                        if "forked" not in line["target"]["name"]}
                check(what + ": the host's id", pids == {victim.pid}, pids)
            interpreter.user = []
        if group:
            os.rmdir(group)


def upgraded(interpreter):
    """_asyncio from a file of ours, which another one replaces while it is mapped."""
    find = subprocess.run(interpreter.command("../nowhere")[:-1] + [
        "-c", "import _asyncio; print(getattr(_asyncio, '__file__', ''))"],
        stdout=subprocess.PIPE, check=True)
    path = find.stdout.decode().strip()
    if hasattr(interpreter, "root") or not path:
        print("the file is not ours to replace, or there is none: nothing is tried")
        return
    with tempfile.TemporaryDirectory() as here:
        mine = os.path.join(here, os.path.basename(path))
        shutil.copy(path, mine)
        with Brood(interpreter, environment={"PYTHONPATH": here}) as victim:
            victim.ask("cancel", "grade0", 1)
            with open("/proc/%d/maps" % victim.pid) as maps:
                check("it is this file", any(mine in line for line in maps))
            shutil.copy(path, mine + ".new")
            os.rename(mine + ".new", mine)
            with open("/proc/%d/maps" % victim.pid) as maps:
                check("that is gone", any(mine + " (deleted)" in line for line in maps))
            for words in ((victim.pid, "--source=bpf"), ("--all",)):
                follower = Follower(*words)
                truth = victim.ask("cancel", "grade", 3)
                follower.until(lambda lines: len(Answer(lines, "grade").all) >= len(truth) and
                               sorted(map(str, Answer(lines, "grade").rows())) == sorted(map(str, truth)))
                status, lines, errors = follower.finish()
                said = about(errors, [victim.pid])
                check("upgraded", status == WHOLE and not said, (status, said))
                rows = list(Answer(lines, "grade").rows())
                check("upgraded", sorted(map(str, rows)) == sorted(map(str, truth)), rows)


def exec_(interpreter):
    with Brood(interpreter) as victim:
        victim.ask("cancel", "e0", 1)
        follower = Follower(victim.pid, "--source=bpf")
        victim.ask("hold", "held")
        truth = victim.ask("become", "e", 2)
        follower.until(lambda lines: list(Answer(lines, "e").rows()) == truth
                       and len(Answer(lines, "held").all) == 1)
        victim.become_released()
        status, lines, errors = follower.finish(how=None)
        check("exec", status == ENDED and "another program" in errors and errors.count("\n") == 1,
              (status, errors))
        rows = list(Answer(lines, "e").rows())
        check("exec: all before it", sorted(map(str, rows)) == sorted(map(str, truth)), rows)
        held = list(Answer(lines, "held").rows())
        check("exec: what is open", [row[-1] for row in held] == ["unknown"], held)
        check("the new program lives", victim.beats())


def usage(_):
    for words, word in (
            (["--all"], "--follow"),
            (["--all", str(os.getpid()), "--follow"], "process id"),
            (["--all", "--follow", "--source=agent"], "--source"),
            (["--all", "--follow", "--source=bpf"], "--source"),
            ([], "which process")):
        answer = ctaskctl.run("cancels", *words)
        errors = answer.stderr.decode()
        check("usage %s" % words, answer.returncode == USAGE and word in errors
              and errors.count("\n") == 1 and not answer.stdout, (answer.returncode, errors))
    if shutil.which("setpriv"):
        answer = ctaskctl.run("cancels", "--all", "--follow",
                              prefix=["setpriv", "--reuid=1234", "--clear-groups"])
        errors = answer.stderr.decode()
        check("not permitted", answer.returncode == NOT_PERMITTED and errors.count("\n") == 1
              and not answer.stdout, (answer.returncode, errors))


def many(interpreter):
    """What is held of processes that have ended: descriptors, memory, entries of maps."""
    def held():
        status = open("/proc/%d/status" % follower.process.pid).read()
        return (len(os.listdir("/proc/%d/fd" % follower.process.pid)),
                int(status.split("VmData:")[1].split()[0]))

    def left():
        """Files of the processes that were told of and have ended."""
        place = os.listdir("/run/ctaskctl") if os.path.isdir("/run/ctaskctl") else []
        return [n for n in place if n.split("-")[0].isdigit() and int(n.split("-")[0]) in told]

    follower = Follower("--all")
    truth = []
    with Brood(interpreter) as victim:
        follower.follows(victim.pid)
        fds, kilobytes = held()[0], None
        for count in [20] + [15] * (PROCESSES // 15):
            tag = "many-%d" % len(truth)
            some = victim.ask("fork", tag, 1, count)
            follower.tells(tag + "-", some)
            truth += some
            most = held()
            kilobytes = kilobytes or most[1]  # what those that live at once take it keeps for others
            victim.ask("release")
        told = {line["pid"] for line in Answer(follower.lines(), "many-").all.values()}
        # Others come and go on this host meanwhile.
        follower.until(lambda _: held()[0] < fds + PROCESSES // 15 and not left())
        after, files = held(), left()
    status, lines, errors = follower.finish()
    check("many", status == WHOLE, (status, errors))
    answer = Answer(lines, "many-")
    rows = sorted(map(str, answer.rows()))
    check("many: all is told", rows == sorted(map(str, truth)), "%d of %d: %s" % (
        len(rows), len(truth), sorted(set(rows) ^ set(map(str, truth)))[:3]))
    check("many: descriptors were held", most[0] > fds + PROCESSES // 15, "%d, then %d" % (fds, most[0]))
    check("descriptors", after[0] < fds + PROCESSES // 15, "%d, then %d" % (fds, after[0]))
    check("memory", after[1] < kilobytes + 65536,
          "%d KB, then %d KB" % (kilobytes, after[1]))
    check("files", not files, files)
    print("%d processes, %d of %d told: %d descriptors, then up to %d, then %d; %d KB of data, then %d KB" % (
        len(told), len(rows), len(truth), fds, most[0], after[0], kilobytes, after[1]))


PARTS = {"all": all_, "control": control, "pstree": pstree, "container": container,
         "upgraded": upgraded, "exec": exec_, "usage": usage, "many": many}


def main(part, name):
    why = ctaskctl.lacking_for_probes()
    try:
        interpreter = interpreters.named(name)
    except interpreters.Missing as missing:
        if missing.demanded:
            print("not there: %s" % missing)
            return 1
        why = why or str(missing)
    if why:
        print("skipped: " + why)
        return 77
    began = time.monotonic()
    PARTS[part](interpreter)
    print("%s %s: %d checks, %d wrong in %.1f s" % (part, name, done, bad, time.monotonic() - began))
    return 1 if bad or not done else 0


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in PARTS:
        sys.exit(__doc__)
    try:
        sys.exit(main(sys.argv[1], sys.argv[2]))
    except Failed as failed:
        print(failed)
        sys.exit(1)
