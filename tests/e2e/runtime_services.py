"""runtime_services.py - Starlette under uvicorn (anyio on asyncio) and under hypercorn (on trio), as users run them.

    runtime_services.py uvicorn|hypercorn INTERPRETER

With requests that hang: each handler, its task group, its deadline, and who waits for whom. Under
load: every picture whole, and the hanging requests in it unchanged.
"""
import http.client
import os
import statistics
import sys
import time

import ctaskctl
import interpreters
from services import Load
from victim import Failed, Victim

KINDS = {"uvicorn": ("asyncio", "task_group"), "hypercorn": ("trio", "nursery")}
HELD, THREADS, STREAMS = 20, 2, 3
LIMIT_S = 600  # of each, in anyio_service.py
SLACK_S = 0.05
PICTURES = int(os.environ.get("CTASK_CHURN") or 100)
FILE = "anyio_service.py"


def open_requests(port):
    clients = []
    for path in ["/hold"] * HELD + ["/thread"] * THREADS + ["/stream"] * STREAMS:
        end = time.monotonic() + 60
        while True:
            client = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            try:
                client.request("GET", path)
                break
            except ConnectionRefusedError:  # it has not begun to listen
                if time.monotonic() > end:
                    raise
                time.sleep(0.02)
        clients.append(client)
    return clients


def standing(snapshot, function):
    """The tasks that stand in a function of the service."""
    return [t for t in snapshot["tasks"] if any(
        f["name"].split(".")[-1] == function and f["filename"].endswith(FILE) for f in t["stack"])]


def kind(task):
    return task["waiting_for"] and task["waiting_for"]["kind"]


def wrong_hold(snapshot, task, group_kind, lasted):
    """What is wrong with one request that hangs; each has a child, in a group, under a deadline.

    lasted: how long it may have hung, in seconds.
    """
    def in_time(seconds):
        return seconds is not None and LIMIT_S - lasted - SLACK_S <= seconds <= LIMIT_S

    mine = [s for s in snapshot["scopes"] if s["owner"] == task["id"]]
    groups = [s for s in mine if s["kind"] == group_kind and any(
        t["name"] == "held child" for t in snapshot["tasks"] if t["id"] in s["tasks"])]
    limits = [s for s in mine if s["kind"] == "cancel_scope" and in_time(s["deadline_in_s"])]
    if len(groups) != 1 or len(groups[0]["tasks"]) != 1:
        return "groups %s" % groups
    if len(limits) != 1 or groups[0]["parent"] != limits[0]["id"]:
        return "scopes %s" % mine
    (child,) = [t for t in snapshot["tasks"] if t["id"] in groups[0]["tasks"]]
    if child["scope"] != groups[0]["id"] or child["awaited_by"] != [task["id"]]:
        return "child %s" % child
    if {"waiter": task["id"], "awaited": child["id"], "kind": group_kind} not in snapshot["edges"]:
        return "no edge to its child"
    if kind(task) != "event" or kind(child) != "sleep":
        return "waits for %s, its child for %s" % (task["waiting_for"], child["waiting_for"])
    if not in_time(task["waiting_for"]["left_s"]) or not in_time(child["waiting_for"]["left_s"]):
        return "left %s, its child %s" % (task["waiting_for"], child["waiting_for"])
    if not any(f["name"] == "held_child" for f in child["stack"]):
        return "its child stands in %s" % child["stack"]
    return None


def wrongs(answer, service, began):
    """What is wrong with one picture. began: when the first request was made."""
    if answer.status or answer.errors or not answer.snapshot["capture"]["complete"]:
        return ["exit status %d: %s %s" % (
            answer.status, answer.errors.strip(),
            answer.snapshot and answer.snapshot["capture"]["problems"][:3])]
    runtime, group_kind = KINDS[service]
    snapshot = answer.snapshot
    found = []
    if [r["kind"] for r in snapshot["runtimes"]] != [runtime]:
        found.append("runtimes %s" % snapshot["runtimes"])
    elif snapshot["runtimes"][0]["task_count"] != len(snapshot["tasks"]):
        found.append("%d tasks, by the runtime %d" % (
            len(snapshot["tasks"]), snapshot["runtimes"][0]["task_count"]))
    held = standing(snapshot, "hold")
    if len(held) != HELD:
        found.append("%d requests hang" % len(held))
    for task in held:
        text = wrong_hold(snapshot, task, group_kind, answer.after - began)
        if text:
            found.append("%s: %s" % (task["name"], text))
    threads = [t for t in snapshot["tasks"] if kind(t) == "executor"]
    if len(threads) != THREADS:
        found.append("%d requests are in threads" % len(threads))
    streams = standing(snapshot, "parts")
    if len(streams) != STREAMS or any(kind(t) != "sleep" for t in streams):
        found.append("%d requests are sent to" % len(streams))
    return found


def main(service, name):
    interpreter = interpreters.wanted(name)
    bad = []
    with Victim(interpreter, FILE, "--" + service) as victim:
        port = int(victim.line(30))
        began = time.monotonic()
        clients = open_requests(port)
        while True:  # until the service has taken all of them
            answer = ctaskctl.Answer(victim.pid)
            quiet = wrongs(answer, service, began) if answer.snapshot else [answer.errors]
            if not quiet or time.monotonic() > began + 60:
                break
            time.sleep(0.05)
        bad += quiet + ctaskctl.schema_errors(answer.snapshot)
        print("%s, %s: quiet: %d tasks, %d wrong" % (
            service, name, len(answer.snapshot["tasks"]), len(bad)))
        held, wrong = [], []
        with Load(port) as load:
            while load.done < 50 and not load.failed:
                time.sleep(0.01)
            for n in range(PICTURES):
                answer = ctaskctl.Answer(victim.pid)
                wrong += ["picture %d: %s" % (n, text) for text in wrongs(answer, service, began)]
                if answer.snapshot:
                    held.append(answer.snapshot["capture"]["paused_us"])
        bad += wrong + load.failed
        print("under load: %d pictures, %d wrong; %d requests; held us: median %d, most %d" % (
            PICTURES, len(wrong), load.done, statistics.median(held or [0]), max(held or [0])))
        for client in clients:
            client.close()
        if not victim.beats():
            bad.append("the service does not answer any more")
    for text in bad[:20]:
        print("  " + text[:400])
    return 1 if bad else 0


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in KINDS:
        sys.exit("usage: runtime_services.py %s INTERPRETER" % "|".join(KINDS))
    try:
        sys.exit(main(*sys.argv[1:]))
    except Failed as failed:
        print(failed)
        sys.exit(1)
