"""peer.py - ctaskctl against `python -m asyncio`, which from 3.14 on looks from outside, too.

    peer.py INTERPRETER

A victim without what the peer is known to get wrong: a gather or shield that
is awaited elsewhere than where it was made, tasks written in Python, running
tasks, async generators. Both must then name the same tasks with the same stacks.
"""
import json
import subprocess
import sys

import ctaskctl
import interpreters
from victim import Failed, Victim

# The peer looks its files up under their names in /proc, which a chroot has not.
WITH_PROC = ["unshare", "--mount", "sh", "-c",
             'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"']
ASK = """
import _remote_debugging, json, sys
def line(place):
    return place[0] if isinstance(place, tuple) else place
for n in range(50):  # it looks at a process that does not stand still for it
    try:
        found = _remote_debugging.RemoteUnwinder(int(sys.argv[1])).get_all_awaited_by()
        break
    except (RuntimeError, OSError):
        if n == 49:
            raise
tasks = [(hex(task.task_id), task.task_name,
          [[f.funcname, f.filename, line(f[1])]
           for c in task.coroutine_stack for f in c.call_stack])
         for thread in found for task in thread.awaited_by]
print(json.dumps(tasks))
"""


class Visible(interpreters.Suite):
    """A victim that sees itself in /proc."""

    def command(self, program, *options):
        return WITH_PROC + super().command(program, *options)[1:]


def inside(victim, *words):
    """What a program says that runs where the victim does."""
    done = subprocess.run(
        ["nsenter", "--target", str(victim.pid), "--mount", "--root", "--wd=/",
         victim.interpreter.python] + list(words),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)
    if done.returncode:
        raise Failed("the peer fails: %s" % done.stderr.decode("utf-8", "replace")[-1000:])
    return done.stdout.decode("utf-8")


def names(stack):
    """The peer leaves the frames of C out, and has plain names."""
    return [(f["name"].rsplit(".", 1)[-1], f["filename"], f["line"]) for f in stack]


def main(name):
    try:
        found = interpreters.named(name)
    except interpreters.Missing as missing:
        print("not there: %s" % missing)
        return 1
    suite = name.rsplit("-", 1)
    wrong = []
    with Victim(Visible(*suite).find(), "scopes.py", "--still") as victim:
        answer = ctaskctl.Answer(victim.pid)
        if answer.status:
            raise Failed("exit status %d: %s" % (answer.status, answer.errors))
        seen = {t["id"]: t for t in answer.snapshot["tasks"]}
        peer = {id_: (name, stack) for id_, name, stack in json.loads(
            inside(victim, "-c", ASK, str(victim.pid)))}
        table = inside(victim, "-m", "asyncio", "ps", str(victim.pid))
    true = {t["id"] for t in victim.truth["tasks"]}
    if seen.keys() != true:
        wrong.append("%d tasks, truly %d" % (len(seen), len(true)))
    for id_ in sorted(seen.keys() ^ peer.keys()):
        wrong.append("%s is told by one only: %s" % (id_, seen.get(id_) or peer[id_]))
    for id_ in seen.keys() & peer.keys():
        task, (title, stack) = seen[id_], peer[id_]
        if task["name"] != title:
            wrong.append("%s: name %r, the peer has %r" % (id_, task["name"], title))
        if id_ not in table:
            wrong.append("%s: not in the peer's table" % title)
        theirs = [(f.rsplit(".", 1)[-1], file, line) for f, file, line in stack]
        if names(task["stack"]) != theirs:
            wrong.append("%s: stack %s\n    the peer has %s" % (title, names(task["stack"]), theirs))
    print("%s: %d tasks, the peer has %d, %d wrong" % (found.name, len(seen), len(peer), len(wrong)))
    for text in wrong[:20]:
        print("  " + text[:600])
    return 1 if wrong else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: peer.py INTERPRETER")
    try:
        sys.exit(main(sys.argv[1]))
    except Failed as failed:
        print(failed)
        sys.exit(1)
