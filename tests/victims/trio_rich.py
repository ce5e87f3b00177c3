"""trio_rich.py - trio tasks in every kind of wait, nursery and cancel scope, standing still.

Each scenario says, next to the code that makes it so, what its tasks wait for and who entered which
scope. `--big` adds thousands of tasks, deep nests and long chains. trio 0.13 to 0.34.
"""
import os
import socket
import subprocess
import sys
import threading
import time
import warnings

import inside
import trio
import trio_truth
from inside import LONG
from trio_truth import TRIO, lowlevel

inside.started()
warnings.simplefilter("ignore")

SCENE = trio_truth.Scene()
says, spawn, mine, here = SCENE.says, SCENE.spawn, SCENE.mine, SCENE.here
SCENARIOS = []
BIG = "--big" in sys.argv


def scenario(function):
    SCENARIOS.append(function)
    return function


def keep(one):
    SCENE.keep.append(one)
    return one


async def rest(delay=LONG):
    here()
    await trio.sleep(delay)


async def forever():
    here()
    await trio.sleep_forever()


async def on(function, *args):
    """Stay in one call."""
    here()
    return await function(*args)


async def turns(n=3):
    for _ in range(n):
        await lowlevel.checkpoint()


async def hold(what):
    async with what:
        await rest()


async def enter(what):
    await turns(6)  # after the holder
    here()
    async with what:
        pass


# Nurseries --------------------------------------------------------------------------


@scenario
def nurseries(nursery):
    async def leaving():
        async with trio.open_nursery() as inner:
            spawn(inner, rest, "leaving-a", "sleep")
            spawn(inner, rest, "leaving-b", "sleep")
            here()

    spawn(nursery, leaving, "leaving", "group", text=r"\b2\b")

    async def in_body():
        async with trio.open_nursery() as inner:
            spawn(inner, rest, "in-body-child", "sleep")
            await rest(1000)

    spawn(nursery, in_body, "in-body", "sleep")

    async def empty():
        async with trio.open_nursery():
            await forever()

    spawn(nursery, empty, "empty", "sleep")

    async def nested():
        async with trio.open_nursery() as outer, trio.open_nursery() as middle:
            spawn(outer, rest, "in-outer", "sleep")
            spawn(middle, rest, "in-middle", "sleep")
            await deeper()

    async def deeper():
        try:
            async with trio.open_nursery() as inner:
                spawn(inner, below, "in-inner", "group")
                here()
        finally:
            here()

    async def below():
        async with trio.open_nursery() as inner:
            spawn(inner, rest, "in-below", "sleep")
            here()

    spawn(nursery, nested, "nested", "group")

    async def adopting():
        async with trio.open_nursery() as inner:
            spawn(inner, adopts, "adopter", "sleep", inner)
            here()

    async def adopts(inner):
        spawn(inner, rest, "adopted", "sleep")
        await rest()

    spawn(nursery, adopting, "adopting", "group")


@scenario
def starts(nursery):
    async def starter():
        async with trio.open_nursery() as inner:
            says("started", "sleep")
            await inner.start(started, name="started")
            here()

    async def started(task_status):
        with mine(trio.CancelScope()):
            task_status.started()
            await rest()

    spawn(nursery, starter, "starter", "group")

    async def waits_for_start():
        async with trio.open_nursery() as inner:
            says("starting", "event")
            here()
            await inner.start(never_starts, name="starting")

    async def never_starts(task_status):
        await on(keep(trio.Event()).wait)

    spawn(nursery, waits_for_start, "waits-for-start", "group")


@scenario
def depth(nursery):
    """Nurseries inside of nurseries: in one task, and each in a task of its own."""
    nested, tasks, frames = (200, 200, 1000) if BIG else (20, 20, 100)

    async def nest(n):
        if n == 0:
            await rest()
        else:
            async with trio.open_nursery():
                await nest(n - 1)

    spawn(nursery, nest, "nest", "sleep", nested)

    async def generation(n):
        if n == 0:
            await rest()
        else:
            async with trio.open_nursery() as inner:
                spawn(inner, generation, "generation-%d" % n, "sleep" if n == 1 else "group", n - 1)
                here()

    spawn(nursery, generation, "generation-first", "group", tasks)

    async def call(n):
        await (call(n - 1) if n else rest())

    spawn(nursery, call, "calls", "sleep", frames)


@scenario
def many(nursery):
    """Many that look alike."""
    async def family(name):
        async with trio.open_nursery() as inner:
            for n in range(100 if BIG else 10):
                spawn(inner, rest, "%s.%d" % (name, n), "sleep")
            here()

    for n in range(40 if BIG else 4):
        spawn(nursery, family, "family %d" % n, "group", "family %d" % n)


@scenario
def names(nursery):
    for name in ("", "näme", "名前 \U0001f600", "a\nb\x1b[31m\t", "x" * 5000):
        spawn(nursery, rest, name, "sleep")


# Cancel scopes ------------------------------------------------------------------------


@scenario
def scopes(nursery):
    async def within(*scopes):
        if not scopes:
            return await forever()
        with scopes[0] as scope:
            mine(scope)
            await within(*scopes[1:])

    def after(seconds):
        return trio.CancelScope(deadline=trio.current_time() + seconds)

    spawn(nursery, within, "scope", "sleep", trio.CancelScope())
    spawn(nursery, within, "three", "sleep", after(6000), after(4000), after(8000))
    spawn(nursery, within, "shielded", "sleep", after(3000), trio.CancelScope(shield=True))
    spawn(nursery, within, "shield-inside", "sleep", after(3000), trio.CancelScope(shield=True),
          after(7000))
    spawn(nursery, within, "move-on-after", "sleep", trio.move_on_after(2000))
    spawn(nursery, within, "move-on-at", "sleep", trio.move_on_at(trio.current_time() + 2500))

    async def failing():
        with trio.fail_after(1500) as scope:
            mine(scope)
            await rest()

    spawn(nursery, failing, "fail-after", "sleep")

    async def moved():
        with mine(trio.move_on_after(7000)) as scope:
            scope.deadline -= 4000
            await forever()

    spawn(nursery, moved, "moved", "sleep")

    async def unlimited():
        with mine(trio.move_on_after(7000)) as scope:
            scope.deadline = float("inf")
            await forever()

    spawn(nursery, unlimited, "unlimited", "sleep")

    async def own_scope():
        async with trio.open_nursery() as inner:
            inner.cancel_scope.deadline = trio.current_time() + 5000
            spawn(inner, rest, "in-limited", "sleep", 9000)
            inner.cancel_scope.shield = True
            here()

    spawn(nursery, own_scope, "limited-nursery", "group")

    async def mixed():
        with trio.move_on_after(3000) as outer:
            mine(outer)
            async with trio.open_nursery() as inner:
                spawn(inner, child, "mixed-child", "sleep")
                with trio.move_on_after(6000) as innermost:
                    mine(innermost)
                    await forever()

    async def child():
        with trio.move_on_after(9000) as scope:
            mine(scope)
            await forever()

    spawn(nursery, mixed, "mixed", "sleep")

    async def generates():
        with trio.move_on_after(2000) as scope:
            mine(scope)
            async with trio.open_nursery() as inner:
                spawn(inner, rest, "generator-child", "sleep")
                await forever()
                yield 1

    async def iterates():
        async for _ in generates():
            pass

    spawn(nursery, iterates, "generator", "sleep")

    # Made, but not entered; left again: neither is there.
    keep(trio.CancelScope())

    async def left():
        with keep(trio.CancelScope()):
            await turns()
        await rest()

    spawn(nursery, left, "left", "sleep")


@scenario
def cancelled(nursery):
    async def cleans_up(name):
        try:
            await trio.sleep_forever()
        finally:
            SCENE.handling.add(name)
            with trio.CancelScope(shield=True) as scope:
                mine(scope)
                await rest()

    async def by_scope():
        with trio.CancelScope() as scope:
            mine(scope)
            nursery.start_soon(cancels, scope, name="passing 1")
            await cleans_up("by-scope")

    async def cancels(scope):
        await turns()
        if TRIO >= (0, 31):
            scope.cancel("enough of this")
        else:
            scope.cancel()

    spawn(nursery, by_scope, "by-scope", "sleep")

    async def by_deadline():
        with trio.move_on_after(0.01) as scope:
            mine(scope)
            await cleans_up("by-deadline")

    spawn(nursery, by_deadline, "by-deadline", "sleep")

    async def by_infinite_deadline():
        with trio.CancelScope(deadline=-float("inf")) as scope:
            mine(scope)
            await cleans_up("by-infinite-deadline")

    spawn(nursery, by_infinite_deadline, "by-infinite-deadline", "sleep")

    async def fails():
        await turns()
        raise ValueError("on purpose")

    async def sibling_failed():
        async with trio.open_nursery() as inner:
            spawn(inner, cleans_up, "failed-child", "sleep", "failed-child")
            inner.start_soon(fails, name="passing 2")
            here()

    spawn(nursery, sibling_failed, "failed", "group")

    async def body_failed():
        async with trio.open_nursery() as inner:
            spawn(inner, cleans_up, "body-failed-child", "sleep", "body-failed-child")
            await turns()
            here()
            raise ValueError("on purpose")

    spawn(nursery, body_failed, "body-failed", "group")

    async def body_cancelled():
        async with trio.open_nursery() as inner:
            spawn(inner, cleans_up, "body-cancelled-child", "sleep", "body-cancelled-child")
            here()
            nursery.start_soon(cancels, inner.cancel_scope, name="passing 3")
            SCENE.handling.add("body-cancelled")
            await trio.sleep_forever()

    spawn(nursery, body_cancelled, "body-cancelled", "group")

    async def out_of_reach():
        with trio.CancelScope() as scope:
            mine(scope)
            nursery.start_soon(cancels, scope, name="passing 4")
            SCENE.pending.add("out-of-reach")
            await on(trio.to_thread.run_sync, block)

    spawn(nursery, out_of_reach, "out-of-reach", "executor")


# What is waited for ---------------------------------------------------------------------


def block():
    threading.Event().wait()


@scenario
def objects(nursery):
    event = keep(trio.Event())
    for n in range(2):
        spawn(nursery, on, "event-%d" % n, "event", event.wait, on=event)
    lock = keep(trio.Lock())
    strict = keep(trio.StrictFIFOLock())
    semaphore = keep(trio.Semaphore(1))
    limiter = keep(trio.CapacityLimiter(1))
    for name, what, kind in (("lock", lock, "lock"), ("strict", strict, "lock"),
                             ("semaphore", semaphore, "semaphore"),
                             ("limiter", limiter, "semaphore")):
        spawn(nursery, hold, name + "-holder", "sleep", what)
        spawn(nursery, enter, name + "-1", kind, what, on=what)
        spawn(nursery, enter, name + "-2", kind, what, on=what)
    condition = keep(trio.Condition())

    async def waits():
        async with condition:
            here()
            await condition.wait()

    spawn(nursery, waits, "condition-1", "condition", on=condition)
    spawn(nursery, waits, "condition-2", "condition", on=condition)

    async def guards():
        await turns(6)
        async with other:
            await rest()

    other = keep(trio.Condition())
    spawn(nursery, guards, "guarded-holder", "sleep")

    async def guarded():
        await turns(12)
        here()
        await other.acquire()

    spawn(nursery, guarded, "guarded", "lock", on=other._lock)


@scenario
def channels(nursery):
    for size in (0, 3):
        sender, receiver = map(keep, trio.open_memory_channel(size))
        spawn(nursery, on, "receive-%d" % size, "queue", receiver.receive, on=receiver._state)

        async def iterates(receiver):
            here()
            async for _ in receiver:
                pass

        spawn(nursery, iterates, "iterate-%d" % size, "queue", receiver, on=receiver._state)

    async def sends(sender):
        for n in range(3):
            sender.send_nowait(n)
        here()
        await sender.send(4)

    sender, receiver = map(keep, trio.open_memory_channel(3))
    spawn(nursery, sends, "send", "queue", sender, on=sender._state)


@scenario
def outside(nursery):
    left, right = map(keep, trio.socket.socketpair())
    spawn(nursery, on, "recv", "socket", left.recv, 1)
    spawn(nursery, on, "readable", "socket", lowlevel.wait_readable, keep(socket.socketpair())[0])
    listener = keep(trio.socket.socket())

    async def accepts():
        await listener.bind(("127.0.0.1", 0))
        listener.listen()
        here()
        await listener.accept()

    spawn(nursery, accepts, "accept", "socket")
    stream = keep(trio.SocketStream(keep(trio.socket.socketpair())[0]))
    spawn(nursery, on, "stream", ["stream", "socket"], stream.receive_some, 1)
    full, _ = keep(trio.socket.socketpair())
    full.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    sends = keep(trio.SocketStream(full))
    spawn(nursery, on, "send-all", ["stream", "socket"], sends.send_all, b"x" * 10000000)

    async def serves():
        here()
        await trio.serve_tcp(serve, 0, host="127.0.0.1")

    async def serve(stream):
        pass

    spawn(nursery, serves, "serves", "group")
    SCENE.waits["trio._highlevel_serve_listeners._serve_one_listener"] = "socket"

    spawn(nursery, on, "thread", "executor", trio.to_thread.run_sync, block)
    narrow = keep(trio.CapacityLimiter(1))

    async def through(function):
        here()
        await trio.to_thread.run_sync(function, limiter=narrow)

    spawn(nursery, through, "narrow-1", "executor", block)

    async def queues():
        await turns(6)
        await through(block)

    spawn(nursery, queues, "narrow-2", ["executor", "semaphore"])

    async def child():
        opens = getattr(lowlevel, "open_process", None) or trio.open_process
        process = keep(await opens([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE))
        here()
        await process.wait()

    spawn(nursery, child, "child", "subprocess")


@scenario
def oddities(nursery):
    async def parks():
        here()
        await lot.park()

    lot = keep(lowlevel.ParkingLot())
    spawn(nursery, parks, "parked", "other")

    async def rescheduled():
        here()
        await lowlevel.wait_task_rescheduled(lambda _: lowlevel.Abort.SUCCEEDED)

    spawn(nursery, rescheduled, "rescheduled", "other")

    async def generator():
        await rest()
        yield 1

    async def iterates():
        async for _ in generator():
            pass

    spawn(nursery, iterates, "async-generator", "sleep")

    class Awaitable:
        def __await__(self):
            return rest().__await__()

    async def awaits():
        await Awaitable()

    spawn(nursery, awaits, "awaitable", "sleep")


async def main():
    SCENE.begin("group")
    async with trio.open_nursery() as nursery:
        for play in SCENARIOS:
            play(nursery)
        trio_truth.tell_when_settled(SCENE)
        here()


trio.run(main)
