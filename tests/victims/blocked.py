"""blocked.py - a loop that one task blocks, deep down in plain functions.

The others cannot go on: some wait, some are ready and stay so. `--python-task`
makes the blocking task a pure-Python one.
"""
import asyncio
import functools
import sys
import threading
import time

import truth

truth.started()
SCENE = truth.Scene()
says, edge, here = SCENE.says, SCENE.edge, SCENE.here
KEEP = []


def blocks(n):
    if n:
        return blocks(n - 1)
    time.sleep(truth.LONG)


def generator():
    yield 1
    yield blocks(3)


class Plain:
    def method(self):
        for one in generator():
            KEEP.append(one)

    @property
    def attribute(self):
        return functools.reduce(lambda a, b: self.method(), [1, 2])


def plain():
    # Through C and back: sorted() calls the lambda, which reads a property.
    return sorted(
        [2, 1],
        key=lambda x: Plain().attribute,
    )


async def deep2():
    if KEEP:
        return plain()


async def numbers():
    yield await deep2()


async def inner():
    async for _ in numbers():
        pass


async def mid():
    return await inner()


async def rest():
    await asyncio.sleep(truth.LONG)


async def on(one):
    await one


async def never_started():
    await rest()


async def main():
    loop = asyncio.get_running_loop()
    asyncio.current_task().set_name("main")
    says("main", "gather")
    SCENE.loops.append(loop)

    def spawn(coro, name, wait):
        says(name, wait)
        KEEP.append(loop.create_task(coro, name=name))
        return KEEP[-1]

    spawn(rest(), "sleeper", "sleep")
    soon, later = loop.create_future(), loop.create_future()
    KEEP.append(later)
    spawn(on(later), "waits", "future")
    spawn(on(soon), "woken", None)
    asked = spawn(rest(), "asked-to-stop", None)
    # Both wake from this in the same turn: one ends, so that who joined it is ready; one blocks.
    go = loop.create_future()
    spawn(on(loop.create_task(on(go), name="finished")), "joined-finished", None)
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    async def ends_and_blocks():
        """The last that runs: what it does just before leaves the others ready."""
        await go
        says("new", None)
        KEEP.append(loop.create_task(never_started(), name="new"))
        says("new-asked-to-stop", None)
        KEEP.append(loop.create_task(never_started(), name="new-asked-to-stop"))
        KEEP[-1].cancel()
        soon.set_result(None)
        asked.cancel()
        await mid()

    says("stuck", None)
    kind = asyncio.tasks._PyTask if "--python-task" in sys.argv else asyncio.Task
    stuck = kind(ends_and_blocks(), loop=loop, name="stuck")
    spawn(on(stuck), "waits-for-stuck", "task")
    edge("waits-for-stuck", "stuck", "await")
    edge("main", "stuck", "gather")
    edge("main", "sleeper", "gather")
    loop.call_later(0.01, go.set_result, None)
    await asyncio.gather(stuck, KEEP[0])


def watch(ident):
    try:
        truth.stuck_in(ident, blocks.__code__)
        while sys._current_frames()[ident].f_lineno != blocks.__code__.co_firstlineno + 3:
            time.sleep(0.001)
        truth.obey(lambda reply: reply())
        truth.tell(SCENE.told())
    except BaseException:
        truth.give_up()


threading.Thread(target=watch, args=(threading.get_ident(),), daemon=True).start()
asyncio.run(main())
