"""churn.py - a stable tree of tasks amid many that come and go.

    churn.py --connections N    each: two children that sleep 1 to 20 ms, then a pause of 10 to
                                100 ms; 500 make some 14,000 tasks a second
    churn.py --never-sleeps N   N workers that make and end tasks as fast as they can

The truth is that of the stable part; whose names begin with `stable`. Of the
rest the names tell who must wait for whom: child `child 7.123.0` belongs to
`worker 7`. Each line on stdin is answered by `pong TASKS-MADE SECONDS`.
"""
import asyncio
import random
import sys
import time

import truth

truth.started()
SCENE = truth.Scene()
says, edge, here = SCENE.says, SCENE.edge, SCENE.here
KEEP = []
MADE = [0]
GROUPS = hasattr(asyncio, "TaskGroup")


def spawn(coro, name, wait):
    says(name, wait)
    KEEP.append(asyncio.get_running_loop().create_task(coro, name=name))
    return KEEP[-1]


async def rest():
    here()
    await asyncio.sleep(truth.LONG)


async def branch(name, depth):
    """A task of the stable tree, with four below it, down to leaves."""
    below = ["%s.%d" % (name, n) for n in range(4 if depth > 1 else 6)]
    for one in below:
        edge(name, one, "task_group" if GROUPS and depth % 2 else "gather")
    tasks = [(branch(one, depth - 1) if depth > 1 else rest(), one) for one in below]
    wait = "sleep" if depth == 1 else "group" if GROUPS and (depth - 1) % 2 else "gather"
    if GROUPS and depth % 2:
        async with asyncio.TaskGroup() as group:
            for coro, one in tasks:
                says(one, wait)
                group.create_task(coro, name=one)
            here()
    else:
        children = [spawn(coro, one, wait) for coro, one in tasks]
        here()
        await asyncio.gather(*children)


async def on(one):
    here()
    await one


async def quick(delay):
    await asyncio.sleep(delay)


async def connection(n):
    """A client: work, then a pause."""
    me, serial = "worker %d" % n, 0
    await asyncio.sleep(random.uniform(0, 0.1))
    loop = asyncio.get_running_loop()
    while True:
        serial += 1
        MADE[0] += 2
        names = ["child %d.%d.%d" % (n, serial, k) for k in range(2)]
        if GROUPS:
            async with asyncio.TaskGroup() as group:
                for name in names:
                    group.create_task(quick(random.uniform(0.001, 0.02)), name=name)
        else:
            await asyncio.gather(*[
                loop.create_task(quick(random.uniform(0.001, 0.02)), name=name) for name in names
            ])
        await asyncio.sleep(random.uniform(0.01, 0.1))


async def worker(n):
    serial = 0
    loop = asyncio.get_running_loop()
    while True:
        serial += 1
        MADE[0] += 5
        await asyncio.gather(*[
            loop.create_task(quick(0), name="child %d.%d.%d" % (n, serial, k)) for k in range(5)
        ])


async def main():
    loop = asyncio.get_running_loop()
    asyncio.current_task().set_name("stable")
    SCENE.loops.append(loop)
    says("stable", "gather")
    tree = spawn(branch("stable tree", 3), "stable tree", "group" if GROUPS else "gather")
    sleeper = spawn(rest(), "stable sleeper", "sleep")
    join = spawn(on(sleeper), "stable join", "task")
    edge("stable join", "stable sleeper", "await")
    shield = spawn(on(asyncio.shield(sleeper)), "stable shield", "task")
    edge("stable shield", "stable sleeper", "shield")
    for child in ("stable tree", "stable join", "stable shield"):
        edge("stable", child, "gather")
    mode, count = sys.argv[-2:]

    def begin():
        start = time.monotonic()
        told = SCENE.told()
        make = connection if mode == "--connections" else worker
        for n in range(int(count)):
            KEEP.append(loop.create_task(make(n), name="worker %d" % n))
        truth.obey(lambda reply: loop.call_soon_threadsafe(
            lambda: truth.say("pong %d %.3f" % (MADE[0], time.monotonic() - start))))

        def going():
            if MADE[0] < 2000:
                loop.call_later(0.01, going)
            else:
                truth.tell(told)

        going()

    truth.settle(loop, SCENE, begin)
    here()
    await asyncio.gather(tree, join, shield)


asyncio.run(main())
