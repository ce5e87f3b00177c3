"""victim.py - a process to be measured on: victim.py FD TASKS [--churn C | --spin W]

TASKS sleeping tasks besides the main one, in groups nested five deep; their
names tell their place, "t.0.3" being a child of "t.0", so that a picture of
them can be checked. They are the stable part.

--churn C: C connections, each a group of two tasks that sleep for 1 to 20 ms,
then a rest of 10 to 100 ms: about 28 tasks a second for each.
--spin W: W workers make and end groups of five tasks and never let the loop sleep.

Writes "ready PID RATE" to FD, RATE being the tasks made in one second.
Runs on Python 3.8 and later; groups are gather() before 3.11.
"""

import asyncio
import os
import random
import sys

DEPTH = 5


class Group:
    """asyncio.TaskGroup, or as much of it as is needed here."""

    def __init__(self):
        self.jobs = []

    async def __aenter__(self):
        return self

    def create_task(self, job, name):
        self.jobs.append(asyncio.get_running_loop().create_task(job, name=name))

    async def __aexit__(self, *_):
        await asyncio.gather(*self.jobs)


Group = getattr(asyncio, "TaskGroup", Group)
made = 0
started = 0


async def leaf():
    global started
    started += 1
    await asyncio.sleep(3600)


async def branch(name, size, level):
    """This task and size - 1 below it."""
    global started
    started += 1
    below = size - 1
    if level == DEPTH - 1:
        shares = [1] * below
    else:
        fan = max(1, round(below ** (1 / (DEPTH - level))))
        shares = [below // fan + (i < below % fan) for i in range(fan)]
    async with Group() as group:
        for i, share in enumerate(shares):
            child = "%s.%d" % (name, i)
            job = branch(child, share, level + 1) if share > 1 else leaf()
            group.create_task(job, name=child)


async def brief(seconds):
    await asyncio.sleep(seconds)


async def burst(name, count, longest):
    global made
    async with Group() as group:
        for i in range(count):
            made += 1
            seconds = random.uniform(0.001, longest) if longest else 0
            group.create_task(brief(seconds), name="%s.%d" % (name, i))


async def connection(name):
    while True:
        await burst(name, 2, 0.020)
        await asyncio.sleep(random.uniform(0.010, 0.100))


async def worker(name):
    while True:
        await burst(name, 5, 0)


async def main(fd, tasks, mode, count):
    keep = [asyncio.get_running_loop().create_task(branch("t", tasks, 1), name="t")]
    while started < tasks:
        await asyncio.sleep(0.01)
    for i in range(count):
        job = connection if mode == "--churn" else worker
        name = "c.%d" % i
        keep.append(asyncio.get_running_loop().create_task(job(name), name=name))
    if count:
        await asyncio.sleep(1)
        before = made
        await asyncio.sleep(1)
        rate = made - before
    else:
        rate = 0
    os.write(fd, b"ready %d %d\n" % (os.getpid(), rate))
    await keep[0]


if __name__ == "__main__":
    arguments = sys.argv[1:] + ["", "0"]
    asyncio.run(main(int(arguments[0]), int(arguments[1]), arguments[2], int(arguments[3] or 0)))
