"""cancels_trio_more.py - trio as programs use it: helpers round nurseries and scopes, servers,
loops, other runtimes beside it.
"""
import contextlib
import functools
import math
import queue
import threading
import time

import trio
from trio.testing import wait_all_tasks_blocked

from asked import LONG, PYTHON, Either, scenario, through
from cancels_trio import of_nursery, stopped_by_a_sibling
from levels import TIMER, all_tasks, leaving, limit, lowlevel, timed_out, waiting

low = lowlevel()


@scenario
def a_deadline_again_and_again(s):
    """Each turn of a loop has its own scope, where the one before was: each is a request."""
    async def worker():
        for _ in range(20):
            with trio.move_on_after(0.02):
                await trio.sleep(LONG)  # at: nap

    async def main():
        async with trio.open_nursery() as top:
            s.child(top, worker, "worker")
        for turn in range(20):
            timed_out(s, "worker", "worker:nap", None, 0.02, label="turn %d" % turn)

    return main


@scenario
def deadline_that_is_looked_at(s):
    """A task that passes no checkpoint asks whether its time is up: that is what finds that it is.
    """
    async def worker():
        with trio.move_on_after(0.03) as scope:
            s.called("limit", scope)
            while not scope.cancel_called:  # at: look
                time.sleep(0.005)
        await gate.wait()

    async def main():
        nonlocal gate
        gate = trio.Event()
        async with trio.open_nursery() as top:
            s.child(top, worker, "worker")
            await waiting(gate, 1)
            s.asked("worker", "worker:look", by="worker", stack="worker:look", why="timeout",
                    scope=limit("limit", 0.03), ends="absorbed")
            await s.look()
            gate.set()

    gate = None
    return main


@scenario
def deadline_set_to_now(s):
    """Another task sets it so that it has passed: the run finds that, no call of anybody's."""
    async def worker():
        with trio.CancelScope() as scope:
            scopes.append(s.called("limit", scope))
            await trio.sleep(LONG)  # at: nap

    async def main():
        async with trio.open_nursery() as top:
            s.child(top, worker, "worker")
            await wait_all_tasks_blocked()
            scopes[0].deadline = -math.inf
        s.asked("worker", "worker:nap", by=TIMER, why="timeout", ends="absorbed",
                scope=through("cancel_scope", "limit"))

    scopes = []
    return main


@scenario
def too_slow_is_a_failure(s):
    """The deadline was absorbed; what it was turned into fails the nursery. Two events, not one."""
    async def child():
        await trio.sleep(LONG)  # at: nap

    async def worker():
        with trio.fail_after(0.03) as scope:
            s.called("limit", scope)
            await trio.sleep(LONG)  # at: sleep

    async def owner():
        try:
            async with trio.open_nursery() as nursery:  # at: exit
                s.called("nursery", nursery)
                s.child(nursery, child, "child")
                s.child(nursery, worker, "worker")  # at: last
        except BaseException:
            pass

    async def main():
        async with trio.open_nursery() as top:
            s.child(top, owner, "owner")
        timed_out(s, "worker", "worker:sleep", "limit", 0.03)
        stopped_by_a_sibling(s, ["child"], "child:nap", "worker", "owner",
                             leaving("owner", "exit", "last"), failure=("TooSlowError", ""))

    return main


@scenario
def nursery_behind_a_helper(s):
    """A context manager of the program's own, with the nursery and a deadline inside of it."""
    @contextlib.asynccontextmanager
    async def pool(seconds):
        with trio.move_on_after(seconds) as scope:
            s.called("limit", scope)
            async with trio.open_nursery() as nursery:  # at: exit
                s.called("nursery", nursery)
                yield nursery  # at: last

    async def child():
        await trio.sleep(LONG)  # at: nap

    async def owner():
        async with pool(0.05) as nursery:  # at: pool
            s.child(nursery, child, "child")
            await trio.sleep(LONG)  # at: body

    async def main():
        async with trio.open_nursery() as top:
            s.child(top, owner, "owner")
        timed_out(s, "owner", "owner:body", "limit", 0.05)
        s.asked("child", "child:nap", by=TIMER, why="owner_cancelled", cause="owner",
                scope=through("nursery", "nursery"))

    return main


@scenario
def scopes_on_a_stack(s):
    """Entered by ExitStack, which is C or a function of contextlib, and no part of the story."""
    async def worker():
        with contextlib.ExitStack() as stack:
            for name in ("outer", "inner"):
                scopes[name] = s.called(name, stack.enter_context(trio.CancelScope()))
            await trio.sleep(LONG)  # at: nap

    async def main():
        s.i_am("main")
        async with trio.open_nursery() as top:
            s.child(top, worker, "worker")
            await wait_all_tasks_blocked()
            scopes["outer"].cancel()  # at: ask
        s.asked("worker", "worker:nap", by="main", stack="main:ask", ends="absorbed",
                scope=through("cancel_scope", "outer"))

    scopes = {}
    return main


@scenario
def nursery_behind_a_shield(s):
    """Nobody in it is asked, and when it has ended nothing is left to be asked but its owner."""
    async def child():
        await gate.wait()

    async def owner():
        with trio.CancelScope() as scope:
            scopes.append(s.called("scope", scope))
            with trio.CancelScope(shield=True):  # at: shield
                async with trio.open_nursery() as nursery:
                    s.child(nursery, child, "child")  # at: last

    async def main():
        nonlocal gate
        gate = trio.Event()
        s.i_am("main")
        async with trio.open_nursery() as top:
            s.child(top, owner, "owner")
            await wait_all_tasks_blocked()
            scopes[0].cancel()  # at: ask
            await wait_all_tasks_blocked()
            await s.look()
            gate.set()
        s.asked("owner", leaving("owner", "shield", "last"), by="main", stack="main:ask",
                scope=through("cancel_scope", "scope"), ends="absorbed")

    gate, scopes = None, []
    return main


@scenario
def twenty_nurseries_deep(s):
    """Each is the cause of the next, and the first the root of all."""
    async def link(number):
        async with trio.open_nursery() as nursery:  # at: exit
            s.called("nursery %d" % number, nursery)
            if number < 20:
                s.child(nursery, link, "link %d" % (number + 1), number + 1)
            await trio.sleep(LONG)  # at: body

    async def first():
        with trio.CancelScope() as scope:
            scopes.append(s.called("scope", scope))
            await link(1)  # at: wait

    async def main():
        s.i_am("main")
        async with trio.open_nursery() as top:
            s.child(top, first, "link 1")
            await wait_all_tasks_blocked()
            scopes[0].cancel()  # at: ask
        common = {"by": "main", "stack": "main:ask", "loose": "links"}
        s.asked("link 1", "link:body < first:wait", scope=through("cancel_scope", "scope"),
                ends="absorbed", **common)
        for number in range(2, 21):
            s.asked("link %d" % number, "link:body", why="owner_cancelled",
                    cause="link %d" % (number - 1),
                    scope=through("nursery", "nursery %d" % (number - 1)), **common)

    scopes = []
    return main


@scenario
def server_that_is_stopped(s):
    """serve_tcp() has nurseries of its own; those who stand in them are asked through them all the
    same, the handlers because the server is.
    """
    async def handler(stream):
        s.i_am("handler")
        await stream.receive_some(1)  # at: read

    async def server():
        with trio.CancelScope() as scope:
            scopes.append(s.called("scope", scope))
            await trio.serve_tcp(handler, 0, host="127.0.0.1", task_status=status)  # at: serve

    class Status:
        def started(self, listeners=None):
            ports.append(listeners[0].socket.getsockname()[1])

    async def main():
        s.i_am("main")
        async with trio.open_nursery() as top:
            s.child(top, server, "server")
            await wait_all_tasks_blocked()
            stream = await trio.open_tcp_stream("127.0.0.1", ports[0])
            while "handler" not in s.tasks:
                await trio.sleep(0.005)
            await wait_all_tasks_blocked()
            listener, = [task for task in all_tasks() if task.name.endswith("_serve_one_listener")]
            s.knows("listener", listener)
            scopes[0].cancel()  # at: ask
            await wait_all_tasks_blocked()
            await stream.aclose()
        common = {"by": "main", "stack": "main:ask"}
        s.asked("server", "server:serve", scope=through("cancel_scope", "scope"), ends="absorbed",
                **common)
        common.update(why="owner_cancelled", cause="server", scope=through("nursery"),
                      loose="server", repeats=Either(0, 1, 2))  # what trio closes there
        s.asked("listener", "", **common)
        s.asked("handler", "handler:read", **common)

    ports, scopes, status = [], [], Status()
    return main


@scenario
def nothing_reaches_those_who_connect(s):
    """What trio's own functions cancel() is theirs: the race of attempts to connect ends like that,
    each time.
    """
    async def serve(listener):
        await (await listener.accept()).aclose()

    async def main():
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listeners[0].socket.getsockname()[1]
        async with trio.open_nursery() as top:
            s.child(top, serve, "server", listeners[0])
            stream = await trio.open_tcp_stream("127.0.0.1", port)
            await stream.aclose()
        with contextlib.suppress(OSError):
            await trio.open_tcp_stream("127.0.0.1", 1)
        await trio.run_process(["true"])
        await listeners[0].aclose()

    return main


@scenario
def trio_beside_asyncio(s):
    """asyncio in one thread, trio in another: each has its own tasks, and both are told."""
    import asyncio

    async def worker(scopes):
        with trio.CancelScope() as scope:
            scopes.append(s.called("scope", scope))
            await trio.sleep(LONG)  # at: nap

    async def main():
        scopes = []
        s.i_am("main")
        async with trio.open_nursery() as top:
            s.child(top, worker, "worker", scopes)
            await wait_all_tasks_blocked()
            scopes[0].cancel()  # at: ask

    async def napper():
        await asyncio.sleep(LONG)  # at: doze

    async def other():
        told("other", asyncio.current_task())
        task = asyncio.ensure_future(napper())
        told("napper", task)
        await asyncio.sleep(0.01)
        await asyncio.get_running_loop().run_in_executor(None, in_thread)
        task.cancel()  # at: stop
        await asyncio.wait({task})

    def told(name, task):
        code = task.get_coro().cr_code
        s.tasks[name] = {"id": hex(id(task)), "name": task.get_name(),
                         "coroutine": getattr(code, "co_qualname", code.co_name)
                         if PYTHON >= (3, 11) else code.co_name}
        s.keep(task)

    def in_thread():
        trio.run(main)  # at: trio

    def run():
        asyncio.run(other())  # at: asyncio
        s.asked("worker", "worker:nap", by="main", stack="main:ask < in_thread:trio", below="",
                scope=through("cancel_scope", "scope"), ends="absorbed")
        s.asked("napper", "napper:doze", by="other", stack="other:stop < run:asyncio")

    return run


@scenario
def trio_as_a_guest(s):
    """In the loop of somebody else: a step of the run is a callback there."""
    calls = queue.Queue()

    async def worker():
        with trio.CancelScope() as scope:
            scopes.append(s.called("scope", scope))
            await trio.sleep(LONG)  # at: nap
        with trio.move_on_after(0.05) as scope:
            s.called("limit", scope)
            await trio.sleep(LONG)  # at: late

    async def main():
        s.i_am("main")
        async with trio.open_nursery() as top:
            s.child(top, worker, "worker")
            await wait_all_tasks_blocked()
            scopes[0].cancel()  # at: ask

    def run():
        done = []
        low.start_guest_run(main, run_sync_soon_threadsafe=calls.put, done_callback=done.append)
        while not done:
            calls.get()()  # at: host
        s.asked("worker", "worker:nap", by="main", stack="main:ask < run:host",
                scope=through("cancel_scope", "scope"), ends="absorbed", label="asked")
        timed_out(s, "worker", "worker:late", "limit", 0.05, stack="run:host", label="limit")

    scopes = []
    return run if hasattr(low, "start_guest_run") else main_of_nobody


async def main_of_nobody():
    """A trio that cannot be a guest."""


@scenario
def partials_and_lambdas(s):
    """Tasks whose functions are wrapped: their coroutine is what runs."""
    async def child(name):
        await trio.sleep(LONG)  # at: nap

    async def main():
        s.i_am("main")
        async with trio.open_nursery() as nursery:
            s.called("nursery", nursery)
            s.called("nursery's scope", nursery.cancel_scope)
            s.child(nursery, functools.partial(child, "partial"), "partial")
            s.child(nursery, lambda: child("lambda"), "lambda")
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()  # at: ask
        common = {"by": "main", "stack": "main:ask", "scope": of_nursery("nursery"),
                  "loose": "nursery"}
        for name in ("partial", "lambda"):
            s.asked(name, "child:nap", **common)
        s.asked("main", "main:ask", ends="absorbed", **common)

    return main


@scenario
def foreign_thread_is_waited_for(s):
    """A system task at work for a thread of somebody else's, which ends with the run."""
    async def endless():
        s.i_am("for a thread")
        begun.set()
        await trio.sleep(LONG)  # at: nap

    def in_thread(token):
        with contextlib.suppress(BaseException):
            trio.from_thread.run(endless, trio_token=token)

    async def main():
        nonlocal begun
        begun = trio.Event()
        s.i_am("main")
        s.knows_system("init", "<init>")
        threads.append(threading.Thread(
            target=in_thread, args=(low.current_trio_token(),)))
        threads[0].start()
        await begun.wait()
        await wait_all_tasks_blocked()

    def run():
        trio.run(main)  # at: run
        threads[0].join()
        s.asked("for a thread", "endless:nap", by="main" if old else "init", why="shutdown",
                stack="run:run", scope=through("runner"),
                ends=Either("cancelled", "returned", "raised"))

    old = trio.__version__.startswith("0.13")
    begun, threads = None, []
    return run
