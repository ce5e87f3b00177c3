"""anyio_rich.py - anyio's task groups, cancel scopes and waits, standing still; `--trio` for that backend.

As trio_rich.py: each scenario says what its tasks wait for and who entered which scope.
"""
import socket
import threading
import warnings

import anyio
import anyio_truth as any_
import inside
from inside import LONG

if "--trio" not in inside.sys.argv:
    import asyncio

inside.started()
warnings.simplefilter("ignore")

SCENE = any_.scene()
says, spawn, here = SCENE.says, SCENE.spawn, SCENE.here
SCENARIOS, KEEP = [], []
BIG = "--big" in inside.sys.argv


def scenario(function):
    SCENARIOS.append(function)
    return function


def new(function):
    """Not in anyio 2."""
    return function if any_.OLD else scenario(function)


def keep(one):
    KEEP.append(one)
    return one


def entering(scope):
    return any_.Entering(SCENE, keep(scope))


async def rest(delay=LONG):
    here()
    await anyio.sleep(delay)


async def forever():
    event = keep(any_.Event())
    here()
    await event.wait()


async def on(function, *args):
    here()
    return await function(*args)


async def turns(n=3):
    for _ in range(n):
        await anyio.sleep(0)


async def hold(what):
    async with what:
        await rest()


async def enter(what):
    await turns(8)
    here()
    async with what:
        pass


def block():
    threading.Event().wait()


# Task groups ----------------------------------------------------------------------------


@scenario
async def groups(group):
    async def leaving():
        async with anyio.create_task_group() as inner:
            SCENE.group(inner)
            await spawn(inner, rest, "leaving-a", "sleep")
            await spawn(inner, rest, "leaving-b", "sleep")
            here()

    await spawn(group, leaving, "leaving", "group", text=r"\b2\b")

    async def in_body():
        async with anyio.create_task_group() as inner:
            SCENE.group(inner)
            await spawn(inner, rest, "in-body-child", "sleep")
            await rest(1000)

    await spawn(group, in_body, "in-body", "sleep")

    async def empty():
        async with anyio.create_task_group() as inner:
            SCENE.group(inner)
            await forever()

    await spawn(group, empty, "empty", "event")

    async def nested():
        async with anyio.create_task_group() as outer:
            SCENE.group(outer)
            async with anyio.create_task_group() as middle:
                SCENE.group(middle)
                await spawn(outer, rest, "in-outer", "sleep")
                await spawn(middle, rest, "in-middle", "sleep")
                await deeper()

    async def deeper():
        async with anyio.create_task_group() as inner:
            SCENE.group(inner)
            await spawn(inner, below, "in-inner", "group")
            here()

    async def below():
        async with anyio.create_task_group() as inner:
            SCENE.group(inner)
            await spawn(inner, rest, "in-below", "sleep")
            here()

    await spawn(group, nested, "nested", "group")

    async def generation(n):
        if n == 0:
            return await rest()
        async with anyio.create_task_group() as inner:
            SCENE.group(inner)
            await spawn(inner, generation, "generation-%d" % n, "sleep" if n == 1 else "group", n - 1)
            here()

    await spawn(group, generation, "generation-first", "group", 100 if BIG else 10)

    async def family(name):
        async with anyio.create_task_group() as inner:
            SCENE.group(inner)
            for n in range(100 if BIG else 10):
                await spawn(inner, rest, "%s.%d" % (name, n), "sleep")
            here()

    for n in range(20 if BIG else 2):
        await spawn(group, family, "family %d" % n, "group", "family %d" % n)


@new
async def starts(group):
    async def starter():
        async with anyio.create_task_group() as inner:
            SCENE.group(inner)
            await SCENE.starts(inner, started, "started", "sleep")
            here()

    async def started(task_status):
        async with entering(any_.CancelScope()):
            task_status.started()
            await rest()

    await spawn(group, starter, "starter", "group")

    async def waits_for_start():
        async with anyio.create_task_group() as inner:
            SCENE.group(inner)
            here()
            await SCENE.starts(inner, never_starts, "starting", "event")

    async def never_starts(task_status):
        await forever()

    await spawn(group, waits_for_start, "waits-for-start", ["group", "future"])


# Cancel scopes ----------------------------------------------------------------------------


@scenario
async def scopes(group):
    async def within(*scopes):
        if not scopes:
            return await forever()
        async with entering(scopes[0]()):
            await within(*scopes[1:])

    def after(seconds):
        return lambda: anyio.move_on_after(seconds)

    def shielded():
        return any_.CancelScope(shield=True)

    await spawn(group, within, "scope", "event", any_.CancelScope)
    await spawn(group, within, "shielded", "event", after(3000), shielded)
    await spawn(group, within, "shield-inside", "event", after(3000), shielded, after(7000))
    await spawn(group, within, "three", "event", after(6000), after(4000), after(8000))
    await spawn(group, within, "fails-after", "event", lambda: fail_after(1500))
    await spawn(group, within, "no-limit", "event", lambda: anyio.move_on_after(None))

    def fail_after(seconds):
        return anyio.fail_after(seconds)

    async def mixed():
        async with entering(anyio.move_on_after(3000)):
            async with anyio.create_task_group() as inner:
                SCENE.group(inner)
                await spawn(inner, child, "mixed-child", "sleep")
                async with entering(anyio.move_on_after(6000)):
                    await forever()

    async def child():
        async with entering(anyio.move_on_after(9000)):
            await rest()

    await spawn(group, mixed, "mixed", "event")


@new
async def plainly(group):
    async def plain():
        with anyio.move_on_after(5000) as scope:
            SCENE.mine(scope)
            with anyio.fail_after(6000) as inner:
                SCENE.mine(inner)
                await rest()

    await spawn(group, plain, "plainly", "sleep")

    async def moved():
        with anyio.CancelScope() as scope:
            SCENE.mine(scope).deadline = anyio.current_time() + 4000
            await forever()

    await spawn(group, moved, "moved", "event")

    async def shielded_group():
        async with anyio.create_task_group() as inner:
            SCENE.group(inner)
            inner.cancel_scope.shield = True
            await spawn(inner, rest, "shielded-child", "sleep")
            here()

    await spawn(group, shielded_group, "shielded-group", "group")

    async def generates():
        with anyio.move_on_after(2000) as scope:
            SCENE.mine(scope)
            await forever()
            yield 1

    async def iterates():
        async for _ in generates():
            pass

    await spawn(group, iterates, "generator", "event")


@scenario
async def cancelled(group):
    async def cleans_up(name):
        try:
            await anyio.sleep(LONG)
        finally:
            SCENE.handling.add(name)
            async with entering(any_.CancelScope(shield=True)):
                await rest()

    async def by_scope():
        async with entering(any_.CancelScope()) as scope:
            await any_.start_soon(group, cancels, scope, name="passing 1")
            await cleans_up("by-scope")

    async def cancels(scope):
        await turns()
        await any_.cancel(scope, "enough of this")

    await spawn(group, by_scope, "by-scope", "sleep")

    async def by_deadline():
        async with entering(anyio.move_on_after(0.01)):
            await cleans_up("by-deadline")

    await spawn(group, by_deadline, "by-deadline", "sleep")

    async def fails():
        await turns()
        raise ValueError("on purpose")

    async def sibling_failed():
        async with anyio.create_task_group() as inner:
            SCENE.group(inner)
            await spawn(inner, cleans_up, "failed-child", "sleep", "failed-child")
            await any_.start_soon(inner, fails, name="passing 2")
            here()

    await spawn(group, sibling_failed, "failed", "group")


def with_asyncio(function):
    """asyncio's own constructs amid those of anyio: from 3.11 on it has scopes."""
    if "--trio" not in inside.sys.argv and hasattr(asyncio, "timeout"):
        SCENARIOS.append(function)
    return function


@with_asyncio
async def asyncios(group):
    async def layers():
        async with asyncio.timeout(7000) as outer:
            SCENE.asyncios("timeout", outer, group)
            async with entering(anyio.move_on_after(6000)) as middle:
                SCENE.parents[middle] = outer
                async with asyncio.timeout(8000) as inner:
                    SCENE.asyncios("timeout", inner, middle)
                    await forever()

    await spawn(group, layers, "layers", "event")

    async def gathers():
        says("gathered", "sleep")
        SCENE.native_edges.append(("gathers", "gathered", "gather"))
        child = asyncio.get_running_loop().create_task(rest(), name="gathered")
        async with entering(any_.CancelScope()):
            here()
            await asyncio.gather(child)

    await spawn(group, gathers, "gathers", "gather")

    async def both():
        async with anyio.create_task_group() as outer:
            SCENE.group(outer)
            await spawn(outer, rest, "both-anyio", "sleep")
            async with asyncio.TaskGroup() as inner:
                SCENE.asyncios("task_group", inner, outer, ["both-asyncio"])
                says("both-asyncio", "sleep")
                SCENE.native_edges.append(("both", "both-asyncio", "task_group"))
                keep(inner.create_task(rest(), name="both-asyncio"))
                here()

    await spawn(group, both, "both", "group")

    async def inside_out():
        async with asyncio.TaskGroup() as outer:
            SCENE.asyncios("task_group", outer, group, ["inside-asyncio"])
            says("inside-asyncio", "event")
            SCENE.native_edges.append(("inside-out", "inside-asyncio", "task_group"))
            keep(outer.create_task(scoped(outer), name="inside-asyncio"))
            async with anyio.create_task_group() as inner:
                SCENE.group(inner)
                SCENE.parents[inner.cancel_scope] = outer
                await spawn(inner, rest, "inside-anyio", "sleep")
                here()

    async def scoped(outer):
        async with entering(anyio.move_on_after(2500)) as scope:
            SCENE.parents[scope] = outer
            await forever()

    await spawn(group, inside_out, "inside-out", "group")


# What is waited for -------------------------------------------------------------------------


@scenario
async def objects(group):
    event = keep(any_.Event())
    for n in range(2):
        await spawn(group, on, "event-%d" % n, "event", event.wait, on=event)
    for name, what, kind in (("lock", any_.Lock(), "lock"), ("other-lock", any_.Lock(), "lock"),
                             ("semaphore", any_.Semaphore(1), "semaphore"),
                             ("limiter", any_.CapacityLimiter(1), "semaphore")):
        await spawn(group, hold, name + "-holder", "sleep", keep(what))
        await spawn(group, enter, name + "-1", kind, what, on=what)
        await spawn(group, enter, name + "-2", kind, what, on=what)
    condition = keep(any_.Condition())

    async def waits():
        async with condition:
            here()
            await condition.wait()

    await spawn(group, waits, "condition-1", "condition", on=condition)
    await spawn(group, waits, "condition-2", "condition", on=condition)


@scenario
async def streams(group):
    async def iterates(receiver):
        here()
        async for _ in receiver:
            pass

    for size in (0, 3):
        sender, receiver = map(keep, anyio.create_memory_object_stream(size))
        await spawn(group, on, "receive-%d" % size, "queue", receiver.receive)
        await spawn(group, iterates, "iterate-%d" % size, "queue", receiver)
    sender, receiver = map(keep, anyio.create_memory_object_stream(0))
    await spawn(group, on, "send", "queue", sender.send, 1)


@scenario
async def outside(group):
    await spawn(group, on, "thread", "executor", any_.in_thread, block)
    waits = anyio.wait_socket_readable if any_.OLD else getattr(
        anyio, "wait_readable", anyio.wait_socket_readable)
    await spawn(group, on, "readable", ["socket", "event"] if any_.OLD else "socket", waits,
                keep(socket.socketpair())[0])
    listener = keep(socket.socket())
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    stream = keep(await anyio.connect_tcp("127.0.0.1", listener.getsockname()[1]))
    await spawn(group, on, "stream", ["stream", "socket"], stream.receive, 1)


async def main():
    SCENE.begin("group")
    async with anyio.create_task_group() as group:
        SCENE.group(group)
        for play in SCENARIOS:
            await play(group)
        await SCENE.stay()


any_.run(main)
