"""brood.py - processes that come, cancel a known number of tasks, and go.

Says null (it has no truth of its own) and ready, then answers each line on stdin:

    ping              pong
    cancel TAG COUNT  cancel here; answers with the truth, as JSON
    fork TAG COUNT N  the same in N children, at once
    spawn TAG COUNT   the same in a new interpreter, a brood like this one
    relay WORDS       a command for that
    release           the children end, which until then live on: what ends takes the names with it that
                      nobody has read yet, and an outcome may be found by looking
    become TAG COUNT  cancel here, and, released, be another program, which says ready again
    hold NAME         begin tasks of that name and another that do not stop when asked; ask them
    replace NAME      stop these for good, and begin others in their places; the answer tells whether they are there

A truth is a list of requests: [pid as the process sees it, target, origin, requester, cause, outcome], the cause being
the target of the request that brought it about.
"""
import asyncio
import gc
import json
import os
import subprocess
import sys

PAUSE = 0.02
KEPT = []  # tasks, until they are released


async def sleeper():
    await asyncio.sleep(1000)


async def owner(child):
    await child


async def swallower():
    try:
        await asyncio.sleep(1000)
    except asyncio.CancelledError:
        return "swallowed"


def create(coroutine, name):
    task = asyncio.get_running_loop().create_task(coroutine)
    task.set_name(name)
    return task


async def cancels(tag, count):
    pid, truth = os.getpid(), []
    asyncio.current_task().set_name(tag + ".main")
    for i in range(count):
        plain = create(sleeper(), "%s.plain%d" % (tag, i))
        child = create(sleeper(), "%s.child%d" % (tag, i))
        parent = create(owner(child), "%s.owner%d" % (tag, i))
        deaf = create(swallower(), "%s.deaf%d" % (tag, i))
        await asyncio.sleep(PAUSE)
        for task in plain, parent, deaf:
            task.cancel()
        await asyncio.wait([plain, child, parent, deaf])
        KEPT.extend([plain, child, parent, deaf])
        asks = tag + ".main"
        truth += [
            [pid, plain.get_name(), "explicit", asks, None, "cancelled"],
            [pid, parent.get_name(), "explicit", asks, None, "cancelled"],
            [pid, child.get_name(), "owner_cancelled", asks, parent.get_name(), "cancelled"],
            [pid, deaf.get_name(), "explicit", asks, None, "returned"],
        ]
    return truth


def run(tag, count):
    return asyncio.run(cancels(tag, int(count)))


class Children:
    """Of this process: they live until they are released."""

    def __init__(self):
        self.ends = []  # pipes: who has the other end lives until this one is closed
        self.spawned = None

    def fork(self, tag, count, children):
        truth, pipes = [], []
        lives, end = os.pipe()
        for i in range(int(children)):
            reads, writes = os.pipe()
            if not os.fork():
                os.close(reads)
                os.close(end)
                for other in self.ends:
                    os.close(other)
                with os.fdopen(writes, "w") as out:
                    json.dump(run("%s-%d" % (tag, i), count), out)
                os.read(lives, 1)
                os._exit(0)
            os.close(writes)
            pipes.append(reads)
        os.close(lives)
        self.ends.append(end)
        for reads in pipes:
            with os.fdopen(reads) as pipe:
                truth += json.load(pipe)
        return truth

    def spawn(self, tag, count):
        self.spawned = subprocess.Popen([sys.executable, os.path.abspath(__file__)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.spawned.stdout.readline() + self.spawned.stdout.readline() == b"null\nready\n"
        return self.relay("cancel", tag, count)

    def relay(self, *words):
        self.spawned.stdin.write(" ".join(words).encode() + b"\n")
        self.spawned.stdin.flush()
        return json.loads(self.spawned.stdout.readline().decode())

    def release(self):
        del KEPT[:]
        while self.ends:
            os.close(self.ends.pop())
        if self.spawned:
            self.spawned.communicate()
            self.spawned = None
        try:
            while True:
                os.wait()
        except ChildProcessError:
            pass


def become(tag, count):
    print(json.dumps(run(tag, count)), flush=True)
    assert sys.stdin.readline() == "release\n"
    os.execv(sys.executable, [sys.executable, os.path.abspath(__file__)])


# Tasks that do not stop, in a loop that goes on between the commands.


class Held:
    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.tasks = []

    def turn(self, seconds=0.05):
        self.loop.run_until_complete(asyncio.sleep(seconds))

    def hold(self, name):
        self.tasks = [self.loop.create_task(deaf()) for _ in range(2)]
        self.tasks[0].set_name(name)
        self.tasks[1].set_name(name + "-untouched")
        self.turn()
        self.tasks[0].cancel()
        self.turn()
        return []

    def replace(self, name):
        addresses = [id(task) for task in self.tasks]
        stop.now = True
        for task in self.tasks:
            task.cancel()
        self.turn()
        self.tasks = task = None
        stop.now = False
        gc.collect()
        found, others = False, []
        for _ in range(200):
            task = self.loop.create_task(deaf())
            task.set_name(name)
            others.append(task)
            found = id(task) == addresses[0]
            if found:
                break
        self.tasks = others
        self.turn()
        return found


class stop:
    now = False


async def deaf():
    while True:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            if stop.now:
                return


def main():
    held, children = Held(), Children()
    commands = {"cancel": run, "fork": children.fork, "spawn": children.spawn,
                "relay": children.relay, "release": children.release, "become": become,
                "hold": held.hold, "replace": held.replace}
    print("null\nready", flush=True)
    for line in sys.stdin:
        word, *words = line.split()
        if word == "ping":
            print("pong", flush=True)
        else:
            print(json.dumps(commands[word](*words)), flush=True)


if __name__ == "__main__":
    main()
