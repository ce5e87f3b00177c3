"""services.py - real web services from Debian, quiet and under load.

    services.py aiohttp|fastapi

Quiet, with requests that hang: all tasks, names and stacks as the service
itself tells them over HTTP. Under load: every picture whole, and its background
tasks exactly so.
"""
import http.client
import json
import os
import statistics
import sys
import threading
import time

import ctaskctl
import interpreters
from victim import Failed, Victim

SERVICES = {"aiohttp": "bookworm-3.11", "fastapi": "forky-3.14"}
HELD = 20
CLIENTS = 16
STABLE = 6  # tasks of service.py that stay as they are
PICTURES = int(os.environ.get("CTASK_CHURN") or 200)


class Load:
    """Clients that ask without a pause, each over one connection."""

    def __init__(self, port):
        self.port = port
        self.done = 0
        self.failed = []
        self.stop = False
        self.threads = [threading.Thread(target=self.ask) for _ in range(CLIENTS)]

    def ask(self):
        try:
            client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            while not self.stop:
                client.request("GET", "/busy")
                if b"done" not in client.getresponse().read():
                    raise Failed("a wrong answer")
                self.done += 1
            client.close()
        except Exception as error:
            self.failed.append(repr(error))

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *unused):
        self.stop = True
        for thread in self.threads:
            thread.join()


def told(client):
    client.request("GET", "/truth")
    return {t["id"]: t for t in json.load(client.getresponse())["tasks"]}


def unequal(true, seen):
    """What differs between two tasks."""
    stack = [dict(f, line=f["line"] or None) for f in true["stack"]]
    if true["name"] != seen["name"]:
        return "name %r, truly %r" % (seen["name"], true["name"])
    if seen["stack"] != stack:
        return "stack %s, truly %s" % (
            [(f["name"], f["line"]) for f in seen["stack"]], [(f["name"], f["line"]) for f in stack])
    return None


def quiet(victim, port):
    """All tasks, with HELD requests that hang."""
    waiting = []
    for _ in range(HELD):
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        client.request("GET", "/hold")
        waiting.append(client)
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for _ in range(1000):  # until the service has taken all of them
        true = told(client)
        if sum("hold" in f["name"] for t in true.values() for f in t["stack"][:4]) >= HELD:
            break
    wrong = []
    for attempt in range(50):  # uvicorn looks round ten times a second: then its truth is another
        true = told(client)
        answer = ctaskctl.Answer(victim.pid)
        if answer.status:
            return ["exit status %d: %s" % (answer.status, answer.errors)]
        wrong = ctaskctl.schema_errors(answer.snapshot)
        seen = {t["id"]: t for t in answer.snapshot["tasks"]}
        asks = {i for i, t in true.items() if t["asks"]}
        for id_ in true.keys() - seen.keys() - asks:
            wrong.append("%s is missing" % true[id_]["name"])
        for id_ in seen.keys() - true.keys():
            wrong.append("%s (%s) is too many" % (seen[id_]["name"], seen[id_]["coroutine"]))
        for id_ in (true.keys() & seen.keys()) - asks:
            text = unequal(true[id_], seen[id_])
            if text:
                wrong.append("%s: %s" % (true[id_]["name"], text))
        tree = next(t for t in seen.values() if t["name"] == "stable tree")
        leaves = {t["id"] for t in seen.values() if t["name"].startswith("stable ") and t is not tree}
        edges = {(e["waiter"], e["awaited"], e["kind"]) for e in answer.snapshot["edges"]}
        for leaf in leaves:
            if (tree["id"], leaf, "gather") not in edges:
                wrong.append("the tree does not wait for %s" % seen[leaf]["name"])
        if not wrong:
            break
    print("quiet: %d tasks, %d wrong at attempt %d" % (len(true), len(wrong), attempt + 1))
    return wrong


def loaded(victim, port):
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    true = {i: t for i, t in told(client).items() if t["name"].startswith("stable")}
    wrong, paused, counts = [], [], []
    if len(true) != STABLE:
        return ["%d stable tasks" % len(true)]
    with Load(port) as load:
        while load.done < 200 and not load.failed:
            time.sleep(0.01)
        start, done = time.monotonic(), load.done
        for n in range(PICTURES):
            answer = ctaskctl.Answer(victim.pid)
            if answer.status or answer.errors:
                wrong.append("picture %d: exit status %d: %s" % (n, answer.status, answer.errors))
                continue
            seen = {t["id"]: t for t in answer.snapshot["tasks"]}
            paused.append(answer.snapshot["capture"]["paused_us"])
            counts.append(len(seen))
            for id_, task in true.items():
                text = unequal(task, seen[id_]) if id_ in seen else "missing"
                if text:
                    wrong.append("picture %d: %s: %s" % (n, task["name"], text))
        rate = (load.done - done) / (time.monotonic() - start)
    wrong += load.failed
    print("under load: %d pictures, %d wrong; %.0f requests/s; %d tasks in the median; "
          "held us: median %d, most %d; not held at all: %d" % (
              PICTURES, len(wrong), rate, statistics.median(counts or [0]),
              statistics.median(paused or [0]), max(paused or [0]), paused.count(0)))
    return wrong


def main(service):
    try:
        interpreter = interpreters.named(SERVICES[service])
    except interpreters.Missing as missing:
        print("not there: %s" % missing)
        return 1
    with Victim(interpreter, "service.py", "--" + service) as victim:
        port = int(victim.line(30))
        wrong = quiet(victim, port) + loaded(victim, port)
        if not victim.beats():
            wrong.append("the service does not answer any more")
    for text in wrong[:20]:
        print("  " + text[:400])
    return 1 if wrong else 0


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in SERVICES:
        sys.exit("usage: services.py %s" % "|".join(SERVICES))
    try:
        sys.exit(main(sys.argv[1]))
    except Failed as failed:
        print(failed)
        sys.exit(1)
