"""marks.py - tasks that were asked to stop, and what became of it; when, where and by whom each was made.

Its truth: for each task that is still there, by name: its id, when it was made (earliest and
latest, seconds since the epoch), by which task, where, and the requests to stop that were made of it.
Runs on CPython 3.8 to 3.15. With --undumpable the kernel keeps others of its user out.
"""
import asyncio
import ctypes
import json
import os
import sys
import time

LONG = 100000  # seconds: longer than any test
PR_SET_DUMPABLE = 4

TRUTH = {}
KEEP = []


def make(name, coroutine, line):
    """A task, made in the caller's line @line by the task that runs."""
    maker = asyncio.current_task()
    before = time.time()
    task = asyncio.get_running_loop().create_task(coroutine, name=name)
    KEEP.append(task)
    TRUTH[name] = {"id": hex(id(task)), "made": [before, time.time()], "by": hex(id(maker)),
                   "at": ["make", sys._getframe(0).f_lineno - 3], "asked": [], "line": line}
    return task


def ask(name, task, *message):
    line = sys._getframe().f_lineno + 2
    before = time.time()
    task.cancel(*message)
    TRUTH[name]["asked"].append({"at": [before, time.time()], "where": ["ask", line]})


async def rest():
    await asyncio.sleep(LONG)


async def swallows():
    try:
        await rest()
    except asyncio.CancelledError:
        pass
    await rest()


async def cleans_up():
    try:
        await rest()
    finally:
        await rest()


async def catches():
    """A timeout as it should be: nothing to see."""
    try:
        await asyncio.wait_for(rest(), 0.01)
    except asyncio.TimeoutError:
        pass
    await rest()


async def waits(task):
    await task


async def obeys():
    await rest()


async def obedient():
    """Many that end as they should, so that their addresses are used again."""
    for _ in range(500):
        task = asyncio.get_running_loop().create_task(obeys())
        await asyncio.sleep(0)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            pass
        del task


async def inner_maker():
    make("made deep", rest(), 0)
    await rest()


async def main():
    await obedient()
    for name, work in (("zombie", swallows), ("slow", cleans_up), ("timed", catches),
                       ("twice", swallows), ("never", rest), ("maker", inner_maker)):
        make(name, work(), 0)
    below = make("below", swallows(), 0)
    above = make("above", waits(below), 0)
    tasks = {name: task for name, task in zip(TRUTH, KEEP)}
    await asyncio.sleep(0.05)
    for name in ("zombie", "slow", "twice"):
        ask(name, tasks[name])
    ask("above", above)  # which passes it on
    await asyncio.sleep(0.01)
    await asyncio.sleep(0.01)
    for name in ("made late 1", "made late 2"):
        make(name, rest(), 0)
    await asyncio.sleep(0)
    done = asyncio.Event()
    loop = asyncio.get_running_loop()

    def heard():
        line = sys.stdin.readline()
        if line == "ping\n":
            print("pong", flush=True)
        else:
            done.set()

    loop.add_reader(sys.stdin.fileno(), heard)
    if "--undumpable" in sys.argv:
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    print(json.dumps({"pid": os.getpid(), "tasks": TRUTH, "runtimes": []}), flush=True)
    print("ready", flush=True)
    await done.wait()
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main())
