"""cancels_anyio_more.py - anyio 3 and 4 as programs use it: beside asyncio's own constructs, behind
helpers, in loops and servers.
"""
import asyncio
import contextlib

import anyio

from asked import LONG, PYTHON, Either, callback, through
from cancels_anyio import (THREE, TIMER, blocked, played, stopped_by_a_sibling,
                           timed_out)
from levels import ON_TRIO, leaving, waiting

NEWER = (3,) if PYTHON >= (3, 11) else (99,)  # where asyncio has groups and timeouts


@played()
def a_deadline_again_and_again(s):
    """Each turn of a loop has its own scope, where the one before was: each is a request."""
    async def worker():
        for _ in range(20):
            with anyio.move_on_after(0.02):
                await anyio.sleep(LONG)  # at: nap

    async def main():
        async with anyio.create_task_group() as top:
            s.child(top, worker, "worker")
        for turn in range(20):
            timed_out(s, "worker", "worker:nap", None, 0.02, label="turn %d" % turn)

    return main


@played()
def too_slow_is_a_failure(s):
    async def child():
        await anyio.sleep(LONG)  # at: nap

    async def worker():
        with anyio.fail_after(0.03) as scope:
            s.called("limit", scope)
            await anyio.sleep(LONG)  # at: sleep

    async def owner():
        try:
            async with anyio.create_task_group() as group:
                s.called("group", group)
                s.child(group, child, "child")
                s.child(group, worker, "worker")
                await anyio.sleep(LONG)  # at: body
        except BaseException:
            pass

    async def main():
        async with anyio.create_task_group() as top:
            s.child(top, owner, "owner")
        timed_out(s, "worker", "worker:sleep", "limit", 0.03)
        stopped_by_a_sibling(s, ["child"], "child:nap", "worker", "owner", "owner:body",
                             failure=("TimeoutError", ""))

    return main


@played()
def group_behind_a_helper(s):
    @contextlib.asynccontextmanager
    async def pool(seconds):
        with anyio.move_on_after(seconds) as scope:
            s.called("limit", scope)
            async with anyio.create_task_group() as group:  # at: exit
                s.called("group", group)
                yield group  # at: last

    async def child():
        await anyio.sleep(LONG)  # at: nap

    async def owner():
        async with pool(0.05) as group:  # at: pool
            s.child(group, child, "child")
            await anyio.sleep(LONG)  # at: body

    async def main():
        async with anyio.create_task_group() as top:
            s.child(top, owner, "owner")
        timed_out(s, "owner", "owner:body", "limit", 0.05, loose="limit")
        by = {"by": "owner", "stack": "pool:last < owner:pool"} if THREE else {"by": TIMER}
        if THREE:  # which of the lines of a block that is left is that of the leaving
            by["stack"] = Either("pool:exit < owner:pool", "pool:last < owner:pool")
        s.asked("child", "child:nap", why="owner_cancelled", cause="owner", loose="limit",
                scope=through("task_group", "group"), **by)

    return main


@played(since=(4,))
def ten_groups_deep(s):
    async def link(number):
        async with anyio.create_task_group() as group:
            s.called("group %d" % number, group)
            if number < 10:
                s.child(group, link, "link %d" % (number + 1), number + 1)
            await anyio.sleep(LONG)  # at: body

    async def first():
        with anyio.CancelScope() as scope:
            scopes.append(s.called("scope", scope))
            await link(1)  # at: wait

    async def main():
        s.i_am("main")
        async with anyio.create_task_group() as top:
            s.child(top, first, "link 1")
            await blocked()
            await blocked()
            scopes[0].cancel()  # at: ask
        common = {"by": "main", "stack": "main:ask", "loose": "links"}
        s.asked("link 1", "link:body < first:wait", scope=through("cancel_scope", "scope"),
                ends="absorbed", **common)
        for number in range(2, 11):
            s.asked("link %d" % number, "link:body", why="owner_cancelled",
                    cause="link %d" % (number - 1),
                    scope=through("task_group", "group %d" % (number - 1)), **common)

    scopes = []
    return main


@played(since=(4,))
def cancelled_twice_from_inside_out(s):
    """The inner scope, and in the clean-up the outer one, which reaches further. On asyncio the
    inner one stops the task until it is left, and then there is nothing left to be stopped by the
    outer.
    """
    async def owner():
        with anyio.CancelScope() as scope:
            scopes.append(s.called("outer", scope))
            with anyio.CancelScope() as scope:
                scopes.append(s.called("inner", scope))
                try:
                    await anyio.sleep(LONG)  # at: body
                finally:
                    with anyio.CancelScope(shield=True):  # at: shield
                        await gate.wait()  # at: tidy
                    await anyio.sleep(0.01)

    async def main():
        nonlocal gate
        gate = anyio.Event()
        s.i_am("main")
        async with anyio.create_task_group() as top:
            s.child(top, owner, "owner")
            await blocked()
            scopes[1].cancel()  # at: first
            await waiting(gate, 1)
            scopes[0].cancel()  # at: second
            s.asked("owner", "owner:body", by="main", stack="main:first", ends="absorbed",
                    scope=through("cancel_scope", "inner"), label="first", repeats=Either(0, 1))
            await s.look(first="pending")
            gate.set()
        if ON_TRIO:
            s.asked("owner", leaving("owner", "shield", "tidy"), by="main", stack="main:second",
                    ends="absorbed", scope=through("cancel_scope", "outer"), label="second",
                    repeats=Either(0, 1, 2))

    gate, scopes = None, []
    return main


@played()
def nothing_reaches_those_who_connect(s):
    """anyio races its attempts to connect in a group of its own, and cancels that when one has won.
    """
    async def main():
        async def serve():
            async with await listener.accept():
                pass

        listeners = await anyio.create_tcp_listener(local_host="127.0.0.1")
        port = listeners.extra(anyio.abc.SocketAttribute.local_port)
        listener = listeners.listeners[0]
        async with anyio.create_task_group() as top:
            s.child(top, serve, "server")
            async with await anyio.connect_tcp("127.0.0.1", port):
                pass
        with contextlib.suppress(OSError):
            await anyio.connect_tcp("127.0.0.1", 1)
        await anyio.run_process(["true"])
        await listeners.aclose()

    return main


# Beside asyncio's own -------------------------------------------------------------


@played("asyncio")
def gather_in_a_scope(s):
    """Tasks of asyncio's that a task in the scope waits for: the request is passed on as ever."""
    async def child():
        await asyncio.sleep(LONG)  # at: nap

    async def worker():
        tasks = []
        for name in ("one", "two"):
            tasks.append(s.knows(name, asyncio.ensure_future(child())))
        with anyio.CancelScope() as scope:
            scopes.append(s.called("scope", scope))
            await s.called("both", asyncio.gather(*tasks))  # at: wait

    async def main():
        s.i_am("main")
        async with anyio.create_task_group() as top:
            s.child(top, worker, "worker")
            await blocked()
            scopes[0].cancel()  # at: ask
        s.asked("worker", "worker:wait", by="main", stack="main:ask", ends="absorbed",
                scope=through("cancel_scope", "scope"), repeats=Either(0, 1, 2))
        for name in ("one", "two"):
            s.asked(name, "child:nap", by="main", stack="main:ask", why="owner_cancelled",
                    scope=through("gather", "both"), cause="worker")

    scopes = []
    return main


@played("asyncio")
def task_in_a_scope(s):
    async def inner():
        await asyncio.sleep(LONG)  # at: nap

    async def worker():
        with anyio.move_on_after(0.05) as scope:
            s.called("limit", scope)
            await s.knows("inner", asyncio.ensure_future(inner()))  # at: wait

    async def main():
        async with anyio.create_task_group() as top:
            s.child(top, worker, "worker")
        timed_out(s, "worker", "worker:wait", "limit", 0.05, repeats=Either(0, 1, 2))
        s.asked("inner", "inner:nap", by=TIMER, why="owner_cancelled", scope=through("await"),
                cause="worker")

    return main


@played("asyncio", since=NEWER)
def group_of_asyncio_in_a_scope(s):
    """The scope reaches the owner alone, who passes it on through asyncio's group."""
    async def child():
        await asyncio.sleep(LONG)  # at: nap

    async def worker():
        with anyio.CancelScope() as scope:
            scopes.append(s.called("scope", scope))
            async with asyncio.TaskGroup() as group:  # at: exit
                s.called("group", group)
                s.knows("child", group.create_task(child(), name=s.full("child")))
                await asyncio.sleep(LONG)  # at: body

    async def main():
        s.i_am("main")
        async with anyio.create_task_group() as top:
            s.child(top, worker, "worker")
            await blocked()
            scopes[0].cancel()  # at: ask
        s.asked("worker", "worker:body", by="main", stack="main:ask", ends="absorbed",
                scope=through("cancel_scope", "scope"), repeats=Either(0, 1, 2, 3))
        s.asked("child", "child:nap", by="worker", stack="worker:exit", why="owner_cancelled",
                scope=through("task_group", "group"), cause="worker")

    scopes = []
    return main


@played("asyncio", since=NEWER)
def group_of_anyio_in_one_of_asyncio(s):
    """A sibling in asyncio's group fails: the owner of anyio's is asked natively, and passes it on.
    """
    async def child():
        await anyio.sleep(LONG)  # at: nap

    async def middle():
        async with anyio.create_task_group() as group:  # at: exit
            s.called("inner", group)
            s.child(group, child, "child")
            await anyio.sleep(LONG)  # at: body

    async def bad():
        await blocked()
        raise ValueError("boom")

    async def owner():
        try:
            async with asyncio.TaskGroup() as group:
                s.called("outer", group)
                s.knows("middle", group.create_task(middle(), name=s.full("middle")))
                s.knows("bad", group.create_task(bad(), name=s.full("bad")))
                await asyncio.sleep(LONG)  # at: wait
        except BaseException:
            pass

    async def main():
        async with anyio.create_task_group() as top:
            s.child(top, owner, "owner")
        common = {"by": callback("=TaskGroup._on_task_done"), "why": "sibling_failed",
                  "scope": through("task_group", "outer"),
                  "exception": ("ValueError", "boom", "bad")}
        s.asked("middle", "middle:body", **common)
        s.asked("owner", "owner:wait", ends="absorbed", **common)
        s.asked("child", "child:nap", by="middle", stack="middle:exit", why="owner_cancelled",
                scope=through("task_group", "inner"), cause="middle")

    return main


@played("asyncio")
def wait_for_in_a_scope(s):
    """asyncio's own limit in a scope that is not cancelled: the scope has no part in it."""
    async def worker():
        with anyio.CancelScope() as scope:
            s.called("scope", scope)
            try:
                await asyncio.wait_for(inner(), 0.05)  # at: wait
            except asyncio.TimeoutError:
                pass
        await gate.wait()

    async def inner():
        if PYTHON < (3, 12):
            s.i_am("inner")
        await asyncio.sleep(LONG)  # at: nap

    async def main():
        nonlocal gate
        gate = anyio.Event()
        async with anyio.create_task_group() as top:
            s.child(top, worker, "worker")
            await waiting(gate, 1)
            scope = through("wait_for", None, 0.05)
            if PYTHON < (3, 12):
                s.asked("inner", "inner:nap", by="worker", stack="worker:wait", why="timeout",
                        scope=scope)
            else:
                s.asked("worker", "inner:nap < worker:wait", by=callback("=Timeout._on_timeout"),
                        why="timeout", scope=scope, ends="absorbed")
            await s.look()
            gate.set()

    gate = None
    return main


@played("asyncio")
def run_ends_with_tasks_left(s):
    """Tasks of asyncio's that are nobody's children: the runner stops them as ever."""
    async def left():
        await asyncio.sleep(LONG)  # at: nap

    async def main():
        s.knows("left", asyncio.ensure_future(left()))
        await asyncio.sleep(0.01)

    def run():
        anyio.run(main)  # at: run
        s.asked("left", "left:nap", by=("runner", None), why="shutdown", stack="run:run",
                scope=through("runner"))

    return run

