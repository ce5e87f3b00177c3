"""cancels.py - who cancelled whom: what ctaskctl says, against truth written by hand.

    cancels.py MODE INTERPRETER [SCENARIO…]

    run         the scenarios under the agent, started by `ctaskctl run`; CTASK_AGENT is its path
    agent       the same, started by hand with LD_PRELOAD
    uvloop      the same on uvloop
    debug       the same in asyncio's debug mode
    many        10,000 requests in a loop
    overflow    the same, with a history that is too small for them
    recorder    no agent: a Python class in the victim records, to see that the truth happens
    comparator  no agent: a perfect answer, and each way to spoil it
    control     the agent's answer, and each way to spoil it
    bpf         no agent: probes, attached before the scenarios begin (needs root)
    bpf-uvloop, bpf-debug, bpf-many   the same on uvloop, in debug mode, 10,000 requests

    trio, anyio, anyio-on-trio
                scenarios of nurseries, task groups and cancel scopes, under the agent;
                with -recorder, -comparator or -control behind it: as above

Exit status 0 when all is equal, 1 when not, 77 when it cannot be tried here.
"""
import json
import os
import re
import select
import subprocess
import sys
import time

import ctaskctl
import interpreters
import less_by_bpf
import records
import spoilt
from victim import Failed, Victim

MODES = "run agent uvloop debug many overflow recorder comparator control "\
    "bpf bpf-uvloop bpf-debug bpf-many".split()
LEVELS = "trio anyio anyio-on-trio".split()  # what cancels by level
MODES += [levels + how for levels in LEVELS for how in ("", "-recorder", "-comparator", "-control")]
PATIENCE_S = 60  # in all, for what a follower has not said yet: processors may be short
LEAST_PATIENCE_S = 1  # with each look
MOST_PATIENCE_S = 20
OPEN = re.compile('"either"|"any"')  # in a truth: more than one answer is right
ALONE = {"many": range(5000, 10001), "bpf-many": range(5000, 10001), "overflow": range(100, 5000)}  # how many of 10,000 are kept
HERE = os.path.dirname(os.path.abspath(__file__))
# What the recorder cannot know: tasks that are not of its making, and a group's own bookkeeping.
NOT_RECORDED = {"python_task", ("group_owner_cancelled_and_a_child_fails", "cause", "again"),
                ("group_in_a_clean_up", "cause", "again"),
                ("group_child_fails_as_its_owner_is_stopped", "cause", "again"),
                ("signal_inside_of_a_request", "cause", "first"),
                ("signal_inside_of_a_request", "cause", "second"),
                ("interrupted", "cause", "child"), ("trio_beside_asyncio", "missing", "napper"),
                ("interrupted_in_the_exit", "cause", "child")}
FROM_311 = {"exception", "exception-task"}  # asyncio has no groups before
BLOCKS_FROM_311 = {"the block in another frame"}  # nor has it timeouts that are blocks
FROM_39 = {"no message"}  # there is no cancel(msg) before
FROM_FORKY = {"no message"}  # nor is there cancel(reason) of scopes in the older suites


def agent_path():
    path = os.environ.get("CTASK_AGENT") \
        or os.path.join(HERE, "../../build/release/agent/libctask-agent.so")
    if not os.access(path, os.R_OK):
        raise SystemExit("no agent %s: build it, or set CTASK_AGENT" % path)
    return os.path.abspath(path)


WORDS = {"schema", "version", "source", "origin", "kind", "state"}  # keys whose values are words of the schema


FORM = re.compile(r"0x[0-9a-f]+$|[0-9-]{10}T[0-9:]{8}\.[0-9]{6}Z$")  # of ids and times


def shape(value, key=None):
    """All that the schema looks at: two of one shape are both as it has them, or neither is."""
    if isinstance(value, dict):
        return tuple((inner, shape(of, inner)) for inner, of in sorted(value.items()))
    if isinstance(value, list):
        return frozenset(map(shape, value))
    if key in WORDS:
        return value
    if isinstance(value, str):
        return "form" if FORM.match(value) else "text"
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return type(value), value > 0, value < 0
    return value


class Answer:
    """One `cancels --json`: its records, and how the stream ended."""

    looked_at, shapes = set(), set()  # lines, and what they are like: to validate takes its time

    def __init__(self, pid):
        done = ctaskctl.run("cancels", pid, "--json")
        self.status, self.errors = done.returncode, done.stderr.decode("utf-8", "replace")
        texts = done.stdout.decode("utf-8").splitlines()
        lines = [json.loads(line) for line in texts]
        self.fresh = [line for text, line in zip(texts, lines) if text not in self.looked_at]
        self.looked_at.update(texts)
        self.end = lines.pop() if lines else None
        self.records = lines

    def faults(self):
        if self.status != 0 or self.errors:
            yield "exit status %d, stderr %r" % (self.status, self.errors)
        end = self.end or {}
        if (end.get("schema"), end.get("version")) != ("ctask.end", 1) \
                or not isinstance(end.get("dropped"), int):
            yield "the last line is %r" % (self.end,)
        checks = ctaskctl.validator("ctask-cancellation-1.schema.json")
        for line in self.fresh if checks else ():
            like = shape(line)
            if like in self.shapes:
                continue
            self.shapes.add(like)
            for error in checks.iter_errors(line):
                yield "schema: %s: %s" % (list(error.absolute_path), error.message[:200])
        ids = [record["id"] for record in self.records]
        if ids != sorted(set(ids)):
            yield "the ids do not rise"


class Follower:
    """A `cancels --follow` that watches by probes: what it has said so far."""

    def __init__(self, pid):
        self.process = subprocess.Popen(
            [ctaskctl.path(), "cancels", str(pid), "--follow", "--source=bpf", "--json"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.pending, self.known, self.end = b"", {}, None
        while not self.pending:
            if not self.more(60):
                self.process.kill()
                raise Failed("nothing is followed: %s" % self.process.stderr.read().decode())
        self.take()

    def more(self, seconds):
        ready, _, _ = select.select([self.process.stdout], [], [], seconds)
        data = os.read(self.process.stdout.fileno(), 1 << 20) if ready else b""
        self.pending += data
        return bool(data)

    def take(self):
        *lines, self.pending = self.pending.split(b"\n")
        for line in lines:
            record = json.loads(line.decode("utf-8"))
            if record["schema"] == "ctask.cancellation":
                self.known[record["id"]] = record
            elif record["schema"] == "ctask.end":
                self.end = record

    def records(self, seconds=0):
        """All that was said; seconds: wait so long for the next word."""
        if self.more(seconds):
            while self.more(0.01):
                pass
        self.take()
        return [self.known[id_] for id_ in sorted(self.known)]

    def stop(self):
        self.process.terminate()
        while self.more(60):
            pass
        self.take()
        return self.process.wait(60), self.process.stderr.read().decode("utf-8", "replace")


class Play:
    """A victim that plays its scenarios, and what was found wrong."""

    def __init__(self, victim, mode, interpreter, ways):
        self.victim, self.mode, self.interpreter = victim, mode, interpreter
        self.spoiling = ways
        self.past = 0  # id of the last record of the scenarios that are over
        self.scenarios = self.looks = self.compared = 0
        self.wrong = []
        self.known = 0  # differences that the table has
        self.dropped = 0
        self.patience = PATIENCE_S
        self.over = []  # (truth, ids of its records) of the scenarios that probes have told of

    def run(self):
        if self.mode.startswith("bpf"):
            self.follower = Follower(self.victim.pid)
            self.go()
        while True:
            line = self.victim.line(240).decode("ascii")
            if line == "over":
                self.stop()
                self.go()
                return
            self.look(json.loads(line))
            self.go()

    def stop(self):
        if not self.mode.startswith("bpf"):
            return
        status, errors = self.follower.stop()
        self.dropped = self.follower.end["dropped"] if self.follower.end else -1
        if status != 0 or errors or self.dropped:
            self.wrong.append(({"scenario": "all", "when": "end"}, (
                "form", "the follower", "status 0, nothing dropped",
                "status %d, stderr %r, %d dropped" % (status, errors, self.dropped))))
        for truth, ids in self.over:  # nothing was taken back, and nothing was said too much
            mine = [self.follower.known[id_] for id_ in ids]
            found, _ = self.compare(truth, mine, time.time())
            self.wrong += [(dict(truth, when="after all"), fault) for fault in found]
        for id_, record in self.follower.known.items():
            if id_ > self.past:
                self.wrong.append(({"scenario": "all", "when": "end"}, (
                    "extra", record["target"]["name"], None, record)))

    def go(self):
        self.victim.process.stdin.write(b"go\n")
        self.victim.process.stdin.flush()

    def records(self, truth):
        if self.mode == "recorder":
            listed = truth["recorded"]
            if truth["scenario"] in NOT_RECORDED:
                truth["requests"] = []
                self.past = max([self.past] + [record["id"] for record in listed])
            return listed, ()
        if self.mode == "comparator":
            return records.perfect(truth, self.past + 1, truth["began"]), ()
        if self.mode.startswith("bpf"):
            return self.follower.records(), ()
        answer = Answer(self.victim.pid)
        self.dropped = answer.end["dropped"] if answer.end else 0
        if self.dropped and self.mode in ALONE:  # the newest are left
            truth["copied"] = truth["copied"][self.dropped:]
        elif self.dropped:
            self.wrong.append((truth, ("form", "dropped", 0, self.dropped)))
        return answer.records, answer.faults()

    def look(self, truth):
        for text in truth["broken"]:
            self.wrong.append((truth, ("form", "the scenario itself", "", text)))
        listed, faults = self.records(truth)
        now = time.time()
        for fault in faults:
            self.wrong.append((truth, ("form", "", "", fault)))
        mine = [record for record in listed if record["id"] > self.past]
        found, known = self.compare(truth, mine, now)
        began = time.monotonic()
        patience = min(max(self.patience, LEAST_PATIENCE_S), MOST_PATIENCE_S)
        while found and self.mode.startswith("bpf") and time.monotonic() < began + patience \
                and self.follower.process.poll() is None:
            listed = self.follower.records(0.5)
            mine = [record for record in listed if record["id"] > self.past]
            found, known = self.compare(truth, mine, now)
        self.patience -= time.monotonic() - began
        self.known += known
        self.wrong += [(truth, fault) for fault in found
                       if self.mode != "recorder" or (truth["scenario"],) + fault[:2]
                       not in NOT_RECORDED]
        self.looks += 1
        self.compared += len(truth["copied"] or truth["requests"])
        if not found and truth["when"] == "end" and mine and not truth["copied"] \
                and self.mode in ("control", "comparator"):
            self.spoil(truth, mine, now)
        if truth["when"] == "end":
            self.scenarios += 1
            if self.mode.startswith("bpf"):
                self.over.append((truth, [record["id"] for record in mine]))
            self.past = max([self.past] + [record["id"] for record in listed])

    def differences(self, truth, mine, now):
        return records.differences(
            truth, mine, truth["began"], now,
            only=records.RECORDED if self.mode == "recorder" else None,
            pid=self.victim.pid if self.mode not in ("recorder", "comparator") else None,
            source="bpf" if self.mode.startswith("bpf") else "agent")

    def compare(self, truth, mine, now):
        """What differs, and how much more does as it should."""
        found = self.differences(truth, mine, now)
        return self.beyond_table(truth, found) if self.mode.startswith("bpf") else (found, 0)

    def beyond_table(self, truth, found):
        """What differs and should not, and what should and does not, by the table in less_by_bpf.py;
        and how much is as it has it.
        """
        expected = dict(less_by_bpf.differences(truth["scenario"], truth["when"],
                                                self.interpreter.version) or {})
        free = less_by_bpf.may_differ(truth["scenario"])
        beyond = []
        for fault in found:
            if expected.get(fault[:2]):
                expected[fault[:2]] -= 1
            elif fault[:2] not in free:
                beyond.append(fault)
        known = len(found) - len(beyond)
        return beyond + [(what, label, "to differ, as the table has it", "%d times less" % less)
                         for (what, label), less in expected.items() if less], known

    def spoil(self, truth, mine, now):
        """Each way of spoiling this answer must be noticed, as what it is."""
        for what, doctor, want in self.spoiling:
            patient = json.loads(json.dumps(mine))
            if not doctor(patient):
                continue
            noticed = records.differences(truth, patient, truth["began"], now).kinds()
            tried, seen, as_it = self.ways.setdefault(what, [0, 0, 0])
            self.ways[what] = [tried + 1, seen + bool(noticed), as_it + (want in noticed)]
            if not noticed and not OPEN.search(json.dumps(truth)):
                self.wrong.append((truth, (want, "spoilt: " + what, "to be noticed", None)))

    ways = {}


def story(name, truth, fault):
    what, label, expected, got = fault
    return "%s, %s (%s), %s of %s: expected %s, got %s" % (
        name, truth["scenario"], truth["when"], what, label, short(expected), short(got))


def short(value):
    text = value if isinstance(value, str) else ascii(value)
    text = text.encode("unicode_escape").decode("ascii")
    return text if len(text) < 600 else text[:560] + "… (%d characters)" % len(text)


def flavour(mode):
    """(levels, mode) of one that may be `trio-recorder`."""
    for levels in sorted(LEVELS, key=len, reverse=True):
        if mode.startswith(levels):
            return levels, mode[len(levels) + 1:] or "run"
    return None, mode


def started(interpreter, levels, mode, words):
    """The victim of a mode."""
    options = list(words)
    if levels:
        options += ["--" + word for word in levels.split("-", 1)]
    if mode.startswith("bpf"):
        options.append("--wait")
    if mode.endswith("uvloop"):
        options.append("--uvloop")
    if mode == "recorder":
        options.append("--recorder")
    elif mode != "comparator" and not mode.startswith("bpf"):
        interpreter.agent = agent_path()
    if mode in ("run", "overflow"):
        interpreter.launcher = [ctaskctl.path(), "run"]
    if mode == "overflow":
        interpreter.launcher.append("--history-size=300000")
    if mode in ALONE:
        options.append("ten_thousand")
    return Victim(interpreter, "cancels.py", *options,
                  environment={"PYTHONASYNCIODEBUG": "1"} if mode.endswith("debug") else {})


def main(called, name, words):
    levels, mode = flavour(called)
    ways = spoilt.LEVEL_WAYS if levels else spoilt.WAYS
    interpreter = interpreters.wanted(name)
    lacking = ctaskctl.lacking_for_probes() if mode.startswith("bpf") else None
    if lacking:
        print("skipped: " + lacking)
        return 77
    began = time.monotonic()
    with started(interpreter, levels, mode, words) as victim:
        play = Play(victim, mode, interpreter, ways)
        play.run()
    for truth, fault in play.wrong:
        print(story(name, truth, fault))
    bad = 0
    for what, _, want in ways if mode in ("control", "comparator") else ():
        tried, noticed, as_it = play.ways.get(what, (0, 0, 0))
        print("%-44s noticed %d of %d times, %d times as %s" % (what, noticed, tried, as_it, want))
        bad |= not (as_it or not levels and interpreter.version < (3, 11) and want in FROM_311
                    or interpreter.version < (3, 9) and what in FROM_39
                    or interpreter.version < (3, 11) and what in BLOCKS_FROM_311
                    or levels and "forky" not in name and what in FROM_FORKY)
    if mode in ALONE:
        print("%d of 10000 records dropped" % play.dropped)
        bad |= play.compared not in ALONE[mode]
    if Answer.looked_at and ctaskctl.jsonschema:
        print("%d lines in %d shapes are as the schema has them" % (
            len(Answer.looked_at), len(Answer.shapes)))
    print("%s %s: %d scenarios, %d looks, %d records compared in %.1f s, %d differences%s" % (
        called, name, play.scenarios, play.looks, play.compared, time.monotonic() - began,
        len(play.wrong), ", %d more as in the table" % play.known if play.known else ""))
    return 1 if bad or play.wrong or play.scenarios != victim.truth["scenarios"] else 0


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] not in MODES:
        sys.exit(__doc__)
    try:
        sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
    except Failed as failed:
        print(failed)
        sys.exit(1)
