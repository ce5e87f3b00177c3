"""bpf_edges.py - the probes where they come to their limits.

    bpf_edges.py threads INTERPRETER

threads    more threads, one after the other, than the probes know at a time: none is missed
Exit status 0, 1 when something is wrong, 77 when it cannot be tried here.
"""
import json
import signal
import subprocess
import sys

import ctaskctl
import interpreters
from victim import Failed

THREADS = 300


def threads(interpreter):
    target = subprocess.Popen(interpreter.command("edges.py", "threads", str(THREADS)), cwd="/",
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    follower = None
    try:
        target.stdout.readline()
        follower = subprocess.Popen(
            [ctaskctl.path(), "cancels", str(target.pid), "--source=bpf", "--follow", "--json"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        attached = json.loads(follower.stdout.readline().decode())
        if attached["schema"] != "ctask.attached":
            raise Failed(attached)
        target.stdin.write(b"go\n")
        target.stdin.flush()
        target.stdout.readline()
        follower.send_signal(signal.SIGINT)
        lines = [json.loads(line) for line in follower.stdout.read().decode().splitlines()]
    finally:
        target.stdin.close()
        target.wait(60)
        target.stdout.close()
        if follower:
            follower.wait(60)
            follower.stdout.close()
    seen = {line["id"] for line in lines[:-1]}
    print("%d of %d, dropped %d" % (len(seen), THREADS, lines[-1]["dropped"]))
    if (len(seen), lines[-1]["dropped"]) != (THREADS, 0):
        raise Failed("some are missing")


def main(name):
    lacking = ctaskctl.lacking_for_probes()
    if lacking:
        print("skip: %s" % lacking)
        return 77
    try:
        interpreter = interpreters.named(name)
    except interpreters.Missing as missing:
        print("%s: %s" % ("FAILED" if missing.demanded else "skip", missing))
        return 1 if missing.demanded else 77
    interpreter.bring_in()
    try:
        threads(interpreter)
    except Failed as failed:
        print("FAILED: %s" % failed)
        return 1
    finally:
        interpreter.clean_up()
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] != "threads":
        sys.exit(__doc__)
    sys.exit(main(sys.argv[2]))
