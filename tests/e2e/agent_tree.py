"""agent_tree.py - the tree of a process that has the agent in it, and what the agent adds to it.

    agent_tree.py MODE INTERPRETER

    exact    with the agent in it, a victim's truth is what ctaskctl reads in its memory, and what
             it is told by the agent
    births   age_s, created_by, created_at and the requests to stop are what the victim says; by both ways
    marks    the same in the text of pstree and ps
    refused  a user without the right to read: memory is refused, the agent answers; and where it does
             not either, both are named
    control  spoilt answers and truths are noticed

Exit status 0 when all is equal, 1 when not, 77 when it cannot be tried here.
"""
import calendar
import copy
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

import ctaskctl
import interpreters
from agent_clients import Hosting, agent_path
from difference import differences
from victim import Failed, Victim

NOBODY = 65534
PYTHON = "/usr/bin/python3"
AS_NOBODY = ["setpriv", "--reuid=%d" % NOBODY, "--regid=%d" % NOBODY, "--clear-groups"]
WITHOUT_PTRACE = ["setpriv", "--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace",
                  "--no-new-privs"]
SOURCES = ("memory", "agent")
VICTIMS = [("rich.py",), ("scopes.py",), ("blocked.py",), ("threads.py",)]
EAGER = [("rich.py", "--eager")]  # from 3.12 on
SLACK_S = 0.001  # two clocks are read one after the other


class Seen:
    """What there is to complain about."""

    def __init__(self):
        self.bad = 0

    def must(self, truly, what, *values):
        if not truly:
            self.bad += 1
            print("  " + (what % values if values else what))
        return truly


def wait_for_agent(victim):
    """Its thread makes the socket soon after the first task."""
    end = time.monotonic() + 30
    while ctaskctl.run("ps", victim.pid, "--source=agent").returncode != 0:
        if time.monotonic() > end:
            raise Failed("the agent of %d does not answer" % victim.pid)
        time.sleep(0.02)


def whole(seen, answer, source):
    """True when there is a snapshot of that source, of a form that can be looked at."""
    if not seen.must(answer.snapshot is not None and answer.status == 0 and not answer.errors,
                     "%s: exit status %s: %s", source, answer.status, answer.errors.strip()):
        return False
    seen.must(answer.snapshot["source"] == source, "source is %s", answer.snapshot["source"])
    for error in ctaskctl.schema_errors(answer.snapshot):
        seen.must(False, "schema: " + error)
    return True


def reprinted(text):
    """What comes out when the model reads it and writes it; None when there is no program for it."""
    program = os.environ.get("REPRINT")
    return program and subprocess.run([program], input=text, stdout=subprocess.PIPE,
                                      timeout=60, check=False).stdout


class Contained:
    """The interpreter where /proc is that of the innermost pid namespace; other roots have it so anyway."""

    def __init__(self, interpreter):
        self.inside = interpreter
        self.root = interpreter.root

    def __getattr__(self, name):
        return getattr(self.inside, name)

    def command(self, program, *options):
        mount = [] if self.root else ["sh", "-c", 'mount -t proc proc /proc && exec "$@"', "sh"]
        return mount + self.inside.command(program, *options)


def exact(interpreter):
    seen = Seen()
    victims = VICTIMS + (EAGER if interpreter.version >= (3, 12) else [])
    for words, container in [(v, False) for v in victims] + [(("scopes.py",), True)]:
        with Victim(Contained(interpreter) if container else interpreter, *words,
                    container=container) as victim:
            wait_for_agent(victim)
            facts = victim.facts()
            for source in SOURCES:
                answer = ctaskctl.Answer(victim.pid, "--source", source)
                if not whole(seen, answer, source):
                    continue
                found = differences(victim.truth, answer.snapshot, facts, answer.before,
                                    answer.after)
                print("%s by %s: %d tasks, %s" % (words[0], source, len(victim.truth["tasks"]),
                                                  found.told()))
                seen.must(not found, "not what %s says", words[0])
                seen.must(reprinted(answer.text) in (None, answer.text),
                          "read and written again it is another text")
                # Of tasks written in Python the making is not recorded.
                strangers = [t["name"] for t in answer.snapshot["tasks"]
                             if t["age_s"] is None and not t["name"].startswith("python-")]
                seen.must(not strangers, "%s: the making of %d tasks is not known: %s", source,
                          len(strangers), strangers[:5])
            seen.must(victim.beats(), "the victim does not answer any more")
    return seen.bad


def compare_births(seen, truth, snapshot):
    """What the victim says of its tasks, and the snapshot."""
    taken = stamp(snapshot["captured_at"])
    version = tuple(map(int, re.findall(r"\d+", snapshot["runtimes"][0]["version"])[:2]))
    tasks = {t["id"]: t for t in snapshot["tasks"]}
    requests = {}
    for one in snapshot["cancellations"]:
        requests.setdefault(one["target"]["id"], []).append(one)
    ids = {one["id"] for one in snapshot["cancellations"]}
    for name, told in truth["tasks"].items():
        task = tasks.get(told["id"])
        if not seen.must(task is not None, "no task %s", name):
            continue
        low, high = (taken - at for at in reversed(told["made"]))
        seen.must(task["age_s"] is not None and low - SLACK_S <= task["age_s"] <= high + SLACK_S,
                  "%s: age_s is %s, truly %.6f to %.6f", name, task["age_s"], low, high)
        seen.must(task["created_by"] == told["by"], "%s: created_by is %s, truly %s", name,
                  task["created_by"], told["by"])
        place = task["created_at"] or {}
        seen.must([place.get("name"), place.get("line")] == told["at"] and
                  str(place.get("filename")).endswith("marks.py"),
                  "%s: created_at is %s, truly %s", name, place, told["at"])
        compare_requests(seen, name, told, requests.get(told["id"], []), version)
    for one in snapshot["cancellations"]:
        seen.must(one["root"] in ids and (one["cause"] is None or one["cause"] in ids),
                  "request %s has no cause or root here", one["id"])
    known = {told["id"] for told in truth["tasks"].values()} | {t["id"] for t in snapshot["tasks"]}
    seen.must(set(requests) <= known, "requests of tasks that are gone: %s",
              sorted(set(requests) - known))


def compare_requests(seen, name, told, got, version):
    """timed and below were asked by asyncio, and by what was asked of above."""
    # Before 3.12 wait_for has a task of its own for what it waits for.
    wanted = len(told["asked"]) + (name == "below" or name == "timed" and version >= (3, 12))
    if not seen.must(len(got) == wanted, "%s: %d requests, truly %d", name, len(got), wanted):
        return
    for one, asked in zip(got, told["asked"]):
        low, high = asked["at"]
        seen.must(low - SLACK_S <= stamp(one["time"]) <= high + SLACK_S,
                  "%s: asked at %s, truly %s", name, one["time"], asked["at"])
        frame = one["stack"][0] if one["stack"] else {}
        seen.must([frame.get("name"), frame.get("line")] == asked["where"],
                  "%s: asked at %s, truly %s", name, frame, asked["where"])
    states = {"zombie": "swallowed", "twice": "swallowed", "below": "swallowed",
              "slow": "pending", "above": "pending", "timed": "absorbed"}
    for one in got:
        seen.must(one["outcome"]["state"] == states.get(name), "%s: outcome is %s, truly %s", name,
                  one["outcome"]["state"], states.get(name))


def stamp(text):
    """Seconds since the epoch of a time in the JSON."""
    whole_seconds, fraction = text.rstrip("Z").split(".")
    return calendar_gm(whole_seconds) + float("0." + fraction)


def calendar_gm(text):
    return calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%S"))


def births(interpreter):
    seen = Seen()
    with Victim(interpreter, "marks.py") as victim:
        wait_for_agent(victim)
        for source in SOURCES:
            answer = ctaskctl.Answer(victim.pid, "--source", source)
            if whole(seen, answer, source):
                compare_births(seen, victim.truth, answer.snapshot)
                print("by %s: %d tasks, %d requests" % (
                    source, len(answer.snapshot["tasks"]),
                    len(answer.snapshot["cancellations"])))
        narrowed = ctaskctl.Answer(victim.pid, "--task", "zombie")
        if whole(seen, narrowed, "memory"):
            seen.must([one["target"]["name"] for one in narrowed.snapshot["cancellations"]]
                      == ["zombie"], "--task zombie has others' requests")
        seen.must(victim.beats(), "the victim does not answer any more")
    return seen.bad


# What a line of the tree says, by the name that it begins with; None: no mark.
TIME = r"[0-9.]+ (ms|s)"
MARKS = {
    "zombie": r"asked to stop %s ago \(cancel\(\) in ask, marks\.py:%%d\), swallowed it, still running" % TIME,
    "twice": r"asked to stop %s ago \(cancel\(\) in ask, marks\.py:%%d\), swallowed it, still running" % TIME,
    "slow": r"stopping: cleaning up for %s \(cancel\(\) in ask, marks\.py:%%d\)" % TIME,
    "below": r"asked to stop %s ago \(cancel\(\) in ask, marks\.py:%%d\), swallowed it, still running" % TIME,
    "above": r"stopping for %s \(cancel\(\) in ask, marks\.py:%%d\)" % TIME,
    "timed": None, "never": None, "made deep": None, "made late 1": None,
}
HEADING = "(2 asked to stop, 3 swallowed that and went on)"


def compare_marks(seen, truth, text):
    seen.must(HEADING in text.split("\n")[0], "the heading: %s", text.split("\n")[0])
    asked = {tuple(one["where"]) for t in truth["tasks"].values() for one in t["asked"]}
    (_, line), = asked
    for name, words in MARKS.items():
        of = [at for at in text.split("\n") if re.search(r"(^|── )%s  " % name, at)]
        if not seen.must(len(of) == 1, "%s has %d lines", name, len(of)):
            continue
        if words:
            seen.must(re.search(words % line, of[0]), "%s: %s", name, of[0])
        seen.must(len(re.findall("asked to stop|stopping|goes on|cleaning up,", of[0]))
                  == (1 if words else 0), "%s is marked too often or wrongly: %s", name, of[0])


def text_of(command, pid, *options):
    done = ctaskctl.run(command, pid, "-U", *options)
    return done.stdout.decode("utf-8")


def marks(interpreter):
    seen = Seen()
    with Victim(interpreter, "marks.py") as victim:
        wait_for_agent(victim)
        for source in SOURCES:
            text = text_of("pstree", victim.pid, "-c", "--source", source)
            compare_marks(seen, victim.truth, text)
            seen.must(("told by its agent in" in text) == (source == "agent"), "the heading: %s",
                      text.split("\n")[0])
        colored = text_of("pstree", victim.pid, "-c", "--color=always")
        seen.must(re.search(r"\033\[0;1;31masked to stop", colored), "no zombie is red")
        seen.must(re.search(r"\033\[0;33mstopping: cleaning up", colored), "slow is not yellow")
        text = text_of("pstree", victim.pid, "-a")
        line = victim.truth["tasks"]["never"]["at"][1]
        seen.must(re.search(r"^\s+made %s ago by make \(Task-\d+\)  marks\.py:%d$" % (TIME, line),
                            text, re.M), "where it was made: %s", text[:2000])
        table = text_of("ps", victim.pid)
        seen.must(re.search(r"^ID +NAME +STATE +AGE ", table), "ps has no age: %s", table[:80])
        table = text_of("ps", victim.pid, "-a")
        seen.must(re.search(r"never .* make \(Task-\d+\)  marks\.py:%d " % line, table),
                  "ps -a does not say who made it: %s", table[:2000])
        rows = text_of("ps", victim.pid, "--format", "csv").split("\n")
        seen.must(any(re.search(r",never,.*,\d+\.\d{6},0x[0-9a-f]+,make,[^,]*marks\.py,%d$" % line,
                                row) for row in rows), "no such row: %s", rows[:2])
        print(text_of("pstree", victim.pid))
    return seen.bad


def refused(interpreter):
    """Root without the capability; and the victim's own user, whom the kernel keeps out."""
    if not shutil.which("setpriv"):
        print("skipped: there is no setpriv")
        return None
    seen = Seen()
    with Victim(interpreter, "marks.py") as victim:
        wait_for_agent(victim)
        answer = ctaskctl.Answer(victim.pid, "--source=memory", prefix=WITHOUT_PTRACE)
        seen.must(answer.status == 4 and "CAP_SYS_PTRACE" in answer.errors and not answer.text,
                  "memory is not refused: %d %s", answer.status, answer.errors)
        seen.must("agent" not in answer.errors, "who wants memory is told: %s", answer.errors)
        answer = ctaskctl.Answer(victim.pid, prefix=WITHOUT_PTRACE)
        if interpreter.root:  # to look below another root takes the same right
            seen.must(answer.status == 4 and "none answers" in answer.errors,
                      "what is out of reach: %d %s", answer.status, answer.errors)
        elif whole(seen, answer, "agent"):
            compare_births(seen, victim.truth, answer.snapshot)
        answer = ctaskctl.Answer(victim.pid, "--no-pause", prefix=WITHOUT_PTRACE)
        seen.must(answer.status == 4, "--no-pause lets the agent hold it")
        seen.must(victim.beats(), "the victim does not answer any more")
    if not interpreter.root:
        refused_nobody(seen)
    return seen.bad


class OfNobody:
    """This system's own Python, with all that it needs where anybody may read it, run by nobody."""

    name, root = "python3", ""

    def __init__(self, place, agent):
        self.place, self.agent = place, agent

    def bring_in(self):
        for path in glob.glob(os.path.join(interpreters.VICTIMS, "*.py")) + glob.glob(
                os.path.join(os.path.dirname(agent_path()), "*.so")):
            shutil.copy(path, self.place)

    def clean_up(self):
        pass

    def command(self, program, *options):
        agent = os.path.join(self.place, os.path.basename(agent_path()))
        return AS_NOBODY + (["env", "LD_PRELOAD=" + agent] if self.agent else []) + [
            PYTHON, os.path.join(self.place, program)] + list(options)


def refused_nobody(seen):
    if not os.access(PYTHON, os.X_OK) or os.geteuid() != 0:
        print("no %s, or no right to become another user: tried as root only" % PYTHON)
        return
    for agent in (True, False):
        with tempfile.TemporaryDirectory() as place:
            os.chmod(place, 0o755)
            program = shutil.copy(ctaskctl.path(), place)
            with Victim(OfNobody(place, agent), "marks.py", "--undumpable") as victim:
                if agent:
                    socket_below_nobody(victim.pid)
                answer = ctaskctl.Answer(victim.pid, program=program, prefix=AS_NOBODY)
                if not agent:
                    seen.must(answer.status == 4 and answer.errors.count("\n") == 1 and
                              "CAP_SYS_PTRACE" in answer.errors and
                              "'ctaskctl run'" in answer.errors,
                              "both ways are not named: %d %s", answer.status, answer.errors)
                    print(answer.errors.strip())
                elif whole(seen, answer, "agent"):
                    compare_births(seen, victim.truth, answer.snapshot)
                    seen.must(answer.snapshot["process"]["pid"] == victim.pid, "another pid")
                    seen.must(answer.snapshot["process"]["exe"], "the agent knows its exe")
                    print("user %d is told of %d tasks" % (NOBODY, len(answer.snapshot["tasks"])))


def socket_below_nobody(pid):
    end = time.monotonic() + 30
    while time.monotonic() < end:
        for place in ("/run/ctask/%d" % NOBODY, "/tmp/ctask-%d" % NOBODY):
            if any(name.startswith("ctask-%d-" % pid)
                   for name in (os.listdir(place) if os.path.isdir(place) else [])):
                return
        time.sleep(0.01)
    raise Failed("process %d has no socket" % pid)


def spoil(snapshot, name, **fields):
    for task in snapshot["tasks"]:
        if task["name"] == name:
            task.update(fields)


def control(interpreter):
    """Each way of spoiling must be noticed."""
    ways = [
        ("a task younger than it is", lambda s: spoil(s, "zombie", age_s=0.000001)),
        ("no age", lambda s: spoil(s, "never", age_s=None)),
        ("another maker", lambda s: spoil(s, "made deep", created_by="0x10")),
        ("no maker", lambda s: spoil(s, "slow", created_by=None)),
        ("another place", lambda s: spoil(s, "twice", created_at={"name": "make", "line": 1,
                                                                  "filename": "marks.py"})),
        ("no requests", lambda s: s["cancellations"].clear()),
        ("one too many", lambda s: s["cancellations"].append(dict(
            s["cancellations"][-1],
            target=dict(s["cancellations"][-1]["target"],
                        id=[t["id"] for t in s["tasks"] if t["name"] == "never"][0])))),
        ("of a task that is gone", lambda s: s["cancellations"][0]["target"].update(id="0x10")),
        ("a cause that is not there", lambda s: s["cancellations"][-1].update(cause=99999)),
        ("swallowed in place of pending", lambda s: [
            c["outcome"].update(state="swallowed") for c in s["cancellations"]]),
        ("pending in place of swallowed", lambda s: [
            c["outcome"].update(state="pending") for c in s["cancellations"]]),
        ("asked an hour ago", lambda s: [
            c.update(time="2001" + c["time"][4:]) for c in s["cancellations"]]),
    ]
    texts = [
        ("no mark", lambda t: re.sub("asked to stop [^·\n]*running", "", t)),
        ("a mark too many", lambda t: t.replace("never", "never  rest  asked to stop, goes on")),
        ("the mark of memory", lambda t: t.replace("stopping: cleaning up", "asked to stop, cleaning up")),
        ("another line", lambda t: re.sub(r"marks\.py:(\d+)\), swallowed", r"marks.py:1\1), swallowed", t)),
        ("another heading", lambda t: t.replace("3 swallowed", "2 swallowed")),
    ]
    seen = Seen()
    with Victim(interpreter, "marks.py") as victim:
        wait_for_agent(victim)
        answer = ctaskctl.Answer(victim.pid)
        if not whole(seen, answer, "memory"):
            return seen.bad
        text = text_of("pstree", victim.pid, "-c")
        compare_births(seen, victim.truth, answer.snapshot)
        compare_marks(seen, victim.truth, text)
        for what, doctor in ways:
            patient, found = copy.deepcopy(answer.snapshot), Seen()
            doctor(patient)
            print(what)
            compare_births(found, victim.truth, patient)
            seen.must(found.bad, "NOT NOTICED: %s", what)
        for what, doctor in texts:
            found = Seen()
            print(what)
            compare_marks(found, victim.truth, doctor(text))
            seen.must(found.bad, "NOT NOTICED: %s", what)
    # Without an agent nothing of this may be there.
    own = copy.copy(interpreter.own)
    own.agent = None
    with Victim(own, "marks.py") as victim:
        answer = ctaskctl.Answer(victim.pid)
        if whole(seen, answer, "memory"):
            seen.must(not answer.snapshot["cancellations"] and
                      all(t["age_s"] is None and t["created_by"] is None and
                          t["created_at"] is None for t in answer.snapshot["tasks"]),
                      "something comes from an agent that is not there")
        answer = ctaskctl.Answer(victim.pid, "--source=agent")
        seen.must(answer.status == 5 and "no agent" in answer.errors, "an agent answers: %d %s",
                  answer.status, answer.errors)
    return seen.bad


MODES = {"exact": exact, "births": births, "marks": marks, "refused": refused, "control": control}


def main(mode, name):
    interpreter = Hosting(interpreters.wanted(name))
    bad = MODES[mode](interpreter)
    return 77 if bad is None else 1 if bad else 0


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in MODES:
        sys.exit("usage: agent_tree.py MODE INTERPRETER\nmodes: %s\ninterpreters: %s" % (
            " ".join(MODES), " ".join(i.name for i in interpreters.ALL)))
    try:
        sys.exit(main(*sys.argv[1:]))
    except Failed as failed:
        print(failed)
        sys.exit(1)
