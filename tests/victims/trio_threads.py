"""trio_threads.py - several runtimes in one process: trio in two threads and below one of them, trio
as the guest of an asyncio loop (from 0.17 on), and asyncio by itself.

One thread has ended its trio.run() and lives on; one run is blocked.
"""
import asyncio
import os
import threading

import inside
import trio
import trio_truth
import truth
from inside import LONG
from trio_truth import lowlevel

inside.started()
SCENE, LOOPS = trio_truth.Scene(), truth.Scene()
spawn, here = SCENE.spawn, SCENE.here
KEEP = []
READ, WRITE = os.pipe()
GUEST = hasattr(lowlevel, "start_guest_run")


def block():
    os.read(READ, 1)


async def rest():
    here()
    await trio.sleep(LONG)


async def blocks(run):
    for _ in range(3):
        await lowlevel.checkpoint()
    run.current = lowlevel.current_task()
    here()
    block()


async def runs_below():
    here()
    await trio.to_thread.run_sync(trio.run, main_below)


async def main_below():
    lowlevel.current_task().name = "below"
    SCENE.begin("group")
    async with trio.open_nursery() as nursery:
        spawn(nursery, rest, "below-child", "sleep")
        here()


async def main_first():
    lowlevel.current_task().name = "first"
    SCENE.begin("group")
    async with trio.open_nursery() as nursery:
        spawn(nursery, rest, "first-child", "sleep")
        spawn(nursery, runs_below, "runs-below", "executor")
        here()


async def main_blocked():
    lowlevel.current_task().name = "blocked"
    run = SCENE.begin("group")
    async with trio.open_nursery() as nursery:
        spawn(nursery, blocks, "blocks", None, run)
        here()


async def guest():
    lowlevel.current_task().name = "guest"
    SCENE.begin("group")
    async with trio.open_nursery() as nursery:
        spawn(nursery, rest, "guest-child", "sleep")
        here()


async def ends():
    await trio.sleep(0)


def has_ended():
    trio.run(ends)
    threading.Event().wait()


async def asyncio_rest():
    LOOPS.here()
    await asyncio.sleep(LONG)


def spawn_asyncio(name):
    LOOPS.says(name, "sleep")
    KEEP.append(asyncio.get_running_loop().create_task(asyncio_rest(), name=name))


async def host():
    asyncio.current_task().set_name("host")
    loop = asyncio.get_running_loop()
    LOOPS.loops.append(loop)
    spawn_asyncio("host-child")
    LOOPS.says("host", "sleep")
    lowlevel.start_guest_run(
        guest, run_sync_soon_threadsafe=loop.call_soon_threadsafe, done_callback=KEEP.append)
    await asyncio_rest()


async def plain():
    asyncio.current_task().set_name("plain")
    LOOPS.loops.append(asyncio.get_running_loop())
    spawn_asyncio("plain-child")
    LOOPS.says("plain", "sleep")
    await asyncio_rest()


def thread(function, *args):
    threading.Thread(target=function, args=args, daemon=True).start()


thread(has_ended)
thread(trio.run, main_first)
thread(asyncio.run, plain())
thread(trio.run, main_blocked)
if GUEST:
    thread(asyncio.run, host())
RUNS = 4 if GUEST else 3
try:
    while len(SCENE.runs) < RUNS or SCENE.missing() or LOOPS.missing() \
            or len(LOOPS.loops) < RUNS - 2:
        inside.time.sleep(0.01)
    inside.stuck_in(next(r.ident for r in SCENE.runs if r.current), block.__code__)
    told = SCENE.settled()
    told = trio_truth.joined(told, LOOPS.told())
    first = next(run for run in SCENE.runs if "first" in [t.name for t in run.tasks()])
    inside.obey(first.token.run_sync_soon)
    inside.tell(told)
except BaseException:
    inside.give_up()
threading.Event().wait()
