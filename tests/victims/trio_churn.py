"""trio_churn.py - a stable tree of trio tasks amid many that come and go.

    trio_churn.py --connections N    each: a nursery of two that sleep 1 to 20 ms under a deadline, then a pause
    trio_churn.py --never-sleeps N   N workers that make and end tasks as fast as they can

As churn.py: the truth is that of the stable part, and the names of the rest tell who belongs to whom:
`child 7.123.0` to `worker 7`.
"""
import random
import sys
import threading
import time

import inside
import trio
import trio_truth
from trio_truth import lowlevel

inside.started()
SCENE = trio_truth.Scene()
spawn, here = SCENE.spawn, SCENE.here
MADE = [0]


async def rest():
    here()
    await trio.sleep(inside.LONG)


async def branch(name, depth):
    async with trio.open_nursery() as nursery:
        for n in range(4):
            below = "%s.%d" % (name, n)
            if depth > 1:
                spawn(nursery, branch, below, "group", below, depth - 1)
            else:
                spawn(nursery, rest, below, "sleep")
        with trio.move_on_after(5000) if depth > 1 else trio.CancelScope(shield=True) as scope:
            SCENE.mine(scope)
            here()
        here()


async def quick(delay):
    await trio.sleep(delay)


async def connection(n):
    me, serial = "child %d" % n, 0
    await trio.sleep(random.uniform(0, 0.1))
    while True:
        serial += 1
        MADE[0] += 2
        with trio.move_on_after(500):
            async with trio.open_nursery() as nursery:
                for k in range(2):
                    nursery.start_soon(quick, random.uniform(0.001, 0.02),
                                       name="%s.%d.%d" % (me, serial, k))
        await trio.sleep(random.uniform(0.01, 0.1))


async def worker(n):
    me, serial = "child %d" % n, 0
    while True:
        serial += 1
        MADE[0] += 5
        async with trio.open_nursery() as nursery:
            for k in range(5):
                nursery.start_soon(quick, 0, name="%s.%d.%d" % (me, serial, k))


async def main():
    lowlevel.current_task().name = "stable"
    run = SCENE.begin("group")
    mode, count = sys.argv[-2:]
    async with trio.open_nursery() as nursery, trio.open_nursery() as others:
        spawn(nursery, branch, "stable tree", "group", "stable tree", 3)
        spawn(others, rest, "stable rest", "sleep")
        here()

        async def churn():
            for n in range(int(count)):
                others.start_soon(connection if mode == "--connections" else worker, n,
                                  name="worker %d" % n)

        def teller():
            try:
                told = SCENE.settled()
                run.token.run_sync_soon(lowlevel.spawn_system_task, churn)
                start = time.monotonic()
                while MADE[0] < 2000:
                    time.sleep(0.01)
            except BaseException:
                inside.give_up()
            inside.obey(lambda reply: run.token.run_sync_soon(
                lambda: inside.say("pong %d %.3f" % (MADE[0], time.monotonic() - start))))
            inside.tell(told)

        threading.Thread(target=teller, daemon=True).start()


trio.run(main)
