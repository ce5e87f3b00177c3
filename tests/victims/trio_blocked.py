"""trio_blocked.py - one trio task runs and blocks its thread; others are scheduled, or wait.
"""
import os
import threading

import inside
import trio
import trio_truth
from inside import LONG
from trio_truth import lowlevel

inside.started()
SCENE = trio_truth.Scene()
says, spawn, here = SCENE.says, SCENE.spawn, SCENE.here
READ, WRITE = os.pipe()


def block():
    os.read(READ, 1)


async def rest():
    here()
    await trio.sleep(LONG)


async def on(event):
    here()
    await event.wait()


async def spins():
    """Always scheduled: either for the batch that runs now, or for the next one."""
    while True:
        here()
        await lowlevel.checkpoint()


async def deeper(nursery, event):
    async with trio.open_nursery() as inner:
        spawn(inner, rest, "below", "sleep")
        for _ in range(10):
            await lowlevel.checkpoint()
        for name in ("not-begun-1", "not-begun-2"):
            SCENE.ready.add(name)
            spawn(nursery, rest, name, None)
        event.set()
        with trio.move_on_after(5000) as scope:
            SCENE.mine(scope)
            SCENE.runs[0].current = lowlevel.current_task()
            here()
            block()


async def blocks(*args):
    await deeper(*args)


async def main():
    run = SCENE.begin("group")
    event = trio.Event()
    async with trio.open_nursery() as nursery:
        for n in range(3):
            SCENE.ready.add("spins-%d" % n)
            spawn(nursery, spins, "spins-%d" % n, None)
        SCENE.ready.add("woken")
        spawn(nursery, on, "woken", None, event)
        spawn(nursery, rest, "sleeper", "sleep")
        spawn(nursery, blocks, "blocks", None, nursery, event)
        here()

        def teller():
            try:
                inside.stuck_in(run.ident, block.__code__)
                truth = SCENE.told()
            except BaseException:
                inside.give_up()
            inside.obey(lambda reply: reply())
            inside.tell(truth)

        threading.Thread(target=teller, daemon=True).start()


trio.run(main)
