"""cancels_ends.py - how loops end: runners, interrupts, what is left over. Each in a loop of its
own.
"""
import asyncio
import os
import signal
import sys
import threading

from asked import (LONG, PYTHON, Either, asyncio_only, create_task, frames, handler, runner,
                   scenario, since, through)

# What asyncio.run() calls at the end, down to the program.
END = "_cancel_all_tasks < Runner.close < Runner.__exit__ < run"
if PYTHON < (3, 11):
    END = "_cancel_all_tasks < run"

# A callback or a step while asyncio.run() waits for what it stopped.
IN_THE_END = "Handle._run < BaseEventLoop._run_once < BaseEventLoop.run_forever < " \
    "BaseEventLoop.run_until_complete < " + END

# Why the runner stops what is left may be told as well: that it was interrupted.
INTERRUPTED = Either(None, ("KeyboardInterrupt", "", None))

SHUTDOWN = {"by": runner(), "why": "shutdown", "scope": through("runner")}


@scenario
def left_over(s):
    async def worker():
        await asyncio.sleep(LONG)  # at: nap

    async def tidies():
        try:
            await asyncio.sleep(LONG)  # at: tidies
        finally:
            await asyncio.sleep(0.05)

    async def swallows():
        try:
            await asyncio.sleep(LONG)  # at: swallows
        except asyncio.CancelledError:
            return 5

    async def main():
        await s.start()
        for function, marker in ((worker, "nap"), (tidies, "tidies"), (swallows, "swallows")):
            name = function.__name__
            s.task(function(), name)
            s.asked(name, "sleep < %s:%s" % (name, marker), stack=END + " < program",
                    ends="returned" if function is swallows else "cancelled", loose="all",
                    after=0.04 if function is tidies else 0, **SHUTDOWN)
        await s.turns()

    return main


@asyncio_only
def left_over_never_begun(s):
    """Made when main is over, and asked before its first step."""
    async def worker():
        pass

    async def main():
        await s.start()
        asyncio.current_task().add_done_callback(lambda _: s.task(worker(), "worker"))

    def run():
        asyncio.run(main())  # at: run
        s.asked("worker", "worker:def", stack=END + " < run:run < program", **SHUTDOWN)

    return run


@scenario
def left_over_pair(s):
    """One awaits the other: the inner one is asked by the runner and by way of the outer, in any
    order.
    """
    async def outer():
        await s.task(inner(), "inner")  # at: wait

    async def inner():
        await asyncio.sleep(LONG)  # at: nap

    async def main():
        await s.start()
        s.task(outer(), "outer")
        await s.turns()
        s.asked("outer", "outer:wait", stack=END + " < program", loose="pair", **SHUTDOWN)
        s.asked("inner", "sleep < inner:nap", stack=END + " < program", loose="pair",
                label="inner itself", **SHUTDOWN)
        s.asked("inner", "sleep < inner:nap", stack=END + " < program", loose="pair",
                label="inner by way of outer", by=runner(), why="owner_cancelled",
                scope=through("await"), cause="outer")

    return main


@asyncio_only
def left_over_that_stops_others(s):
    """A left over that unwinds stops one that was made meanwhile: explicit, because of the end."""
    async def child():
        await asyncio.sleep(LONG)  # at: nap

    async def worker():
        try:
            await asyncio.sleep(LONG)  # at: worker
        finally:
            task = s.task(child(), "child")
            await asyncio.sleep(0)
            task.cancel()  # at: ask
            s.asked("child", "sleep < child:nap", by="worker", cause="worker",
                    stack="worker:ask < %s < program" % IN_THE_END)

    async def main():
        await s.start()
        s.task(worker(), "worker")
        await s.turns()
        s.asked("worker", "sleep < worker:worker", stack=END + " < program", **SHUTDOWN)

    return main


@scenario
def main_fails(s):
    """Why the loop ends changes nothing: what is left is stopped. That main failed may be told or
    not.
    """
    async def worker():
        await asyncio.sleep(LONG)  # at: nap

    async def main():
        await s.start()
        s.task(worker(), "worker")
        await s.turns()
        s.asked("worker", "sleep < worker:nap", stack=END + " < run:run < program",
                exception=Either(None, ("ValueError", "boom", "main"),
                                 ("ValueError", "boom", None)), **SHUTDOWN)
        raise ValueError("boom")

    def run():
        try:
            asyncio.run(main())  # at: run
        except ValueError:
            pass

    return run


@scenario
def main_cancels_itself(s):
    async def worker():
        await asyncio.sleep(LONG)  # at: nap

    async def main():
        await s.start()
        s.task(worker(), "worker")
        await s.turns()
        asyncio.current_task().cancel()  # at: ask
        s.asked("main", "main:ask", by="main", stack="main:ask < loop")
        s.asked("worker", "sleep < worker:nap", stack=END + " < run:run < program", **SHUTDOWN)
        await asyncio.sleep(LONG)

    def run():
        try:
            asyncio.run(main())  # at: run
        except asyncio.CancelledError:
            pass

    return run


@since(3, 11)
def runner_closed(s):
    """A Runner used by hand; what is left of two runs is stopped by close()."""
    async def worker():
        await asyncio.sleep(LONG)  # at: nap

    async def first():
        await s.start("first")
        s.task(worker(), "one")
        await s.turns()

    async def second():
        await s.start("second")
        s.task(worker(), "two")
        await s.turns()

    def run():
        one = asyncio.Runner()
        one.run(first())
        one.run(second())
        one.close()  # at: close
        for name in ("one", "two"):
            s.asked(name, "sleep < worker:nap", loose="all",
                    stack="_cancel_all_tasks < Runner.close < run:close < program", **SHUTDOWN)

    return run


@scenario
def loop_by_hand(s):
    """A loop without a runner, and code round it that stops what is left: somebody's own code."""
    async def worker():
        await asyncio.sleep(LONG)  # at: nap

    async def main():
        await s.start()
        s.task(worker(), "worker")
        await s.turns()

    def run():
        loop = asyncio.new_event_loop()
        try:
            loop.run_until_complete(main())
            for task in asyncio.all_tasks(loop):
                task.cancel()  # at: ask
            loop.run_until_complete(s.ended(s.of["worker"]))
        finally:
            loop.close()
        s.asked("worker", "sleep < worker:nap", by=runner(), stack="run:ask < program")

    return run


@scenario
def before_the_loop_runs(s):
    async def worker():
        pass

    def run():
        loop = asyncio.new_event_loop()
        try:
            task = s.knows("worker", create_task(worker(), s.full("worker"), loop))
            task.cancel()  # at: ask
            s.asked("worker", "worker:def", by=runner(), stack="run:ask < program")
            s.blocking_look(worker="pending")
            loop.run_until_complete(s.ended(task))
        finally:
            loop.close()

    return run


@scenario
def loop_in_a_thread(s):
    """A runner in another thread is a runner."""
    async def worker():
        await asyncio.sleep(LONG)  # at: nap

    async def main():
        await s.start()
        s.task(worker(), "worker")
        await s.turns()

    def abroad():
        below.extend(frames(sys._getframe().f_back))
        asyncio.run(main())  # at: abroad

    def run():
        other = threading.Thread(target=abroad)
        other.start()
        other.join()
        s.program = below
        s.asked("worker", "sleep < worker:nap", stack=END + " < abroad:abroad < program",
                **SHUTDOWN)

    below = []
    return run


# SIGINT ------------------------------------------------------------------------------


def interrupt():
    """SIGINT for the main thread, a moment from now."""
    threading.Timer(0.05, signal.pthread_kill,
                    (threading.main_thread().ident, signal.SIGINT)).start()


@asyncio_only
def interrupt_while_the_loop_sleeps(s):
    """Up to 3.10 a KeyboardInterrupt leaves the loop, and asyncio.run() stops all, main among
    them.
    """
    async def worker():
        await asyncio.sleep(LONG)  # at: nap

    async def main():
        await s.start()
        s.task(worker(), "worker")
        await s.turns()
        interrupt()
        await asyncio.sleep(LONG)  # at: main

    def run():
        try:
            asyncio.run(main())  # at: run
        except KeyboardInterrupt:
            pass
        at, scope = "sleep < main:main", through("runner")
        if PYTHON >= (3, 11):
            s.asked("main", at, by=handler("Runner._on_sigint"), why="interrupt", scope=scope,
                    stack="Runner._on_sigint < select")
        else:
            s.asked("main", at, by=runner(), why="interrupt", scope=scope, loose="all",
                    stack=END + " < run:run < program", exception=INTERRUPTED)
        s.asked("worker", "sleep < worker:nap", loose="all", stack=END + " < run:run < program",
                exception=INTERRUPTED, **SHUTDOWN)

    return run


@scenario
def interrupt_in_a_step(s):
    """Up to 3.10 it hits the task that runs, which is done with it; from 3.11 on it is main's."""
    async def busy():
        signal.raise_signal(signal.SIGINT)  # at: busy
        await asyncio.sleep(LONG)  # at: rest

    async def main():
        await s.start()
        task = s.task(busy(), "busy")
        await asyncio.wait({task})  # at: main

    def run():
        try:
            asyncio.run(main())  # at: run
        except KeyboardInterrupt:
            pass
        at, scope = "_wait < wait < main:main", through("runner")
        if PYTHON >= (3, 11):
            s.asked("main", at, by=handler("Runner._on_sigint"), why="interrupt", scope=scope,
                    stack="Runner._on_sigint < busy:busy < loop")
            s.asked("busy", "sleep < busy:rest", stack=END + " < run:run < program",
                    exception=INTERRUPTED, **SHUTDOWN)
        else:
            s.asked("main", at, by=runner(), why="interrupt", scope=scope,
                    stack=END + " < run:run < program", exception=INTERRUPTED)

    return run


@asyncio_only
def interrupt_of_a_chain(s):
    """Main awaits another task: the request is passed on."""
    async def worker():
        await asyncio.sleep(LONG)  # at: nap

    async def main():
        await s.start()
        task = s.task(worker(), "worker")
        await s.turns()
        interrupt()
        await task  # at: main

    def run():
        try:
            asyncio.run(main())  # at: run
        except KeyboardInterrupt:
            pass
        scope = through("runner")
        if PYTHON >= (3, 11):
            by, stack = handler("Runner._on_sigint"), "Runner._on_sigint < select"
        else:
            by, stack = runner(), END + " < run:run < program"
        s.asked("main", "main:main", by=by, why="interrupt", scope=scope, stack=stack, loose="all",
                exception=INTERRUPTED if PYTHON < (3, 11) else None)
        s.asked("worker", "sleep < worker:nap", by=by, why="owner_cancelled", cause="main",
                scope=through("await"), stack=stack, loose="all")
        if PYTHON < (3, 11):  # and it is left over like any other
            s.asked("worker", "sleep < worker:nap", stack=stack, loose="all",
                    label="worker itself", exception=INTERRUPTED, **SHUTDOWN)

    return run


@since(3, 11, on="asyncio")
def interrupt_that_main_swallows(s):
    """The first one is lost on main, the second leaves the loop; then main is stopped with the
    rest.
    """
    async def main():
        await s.start()
        interrupt()
        try:
            await asyncio.sleep(LONG)  # at: first
        except asyncio.CancelledError:
            pass
        await s.turns()
        s.asked("main", "sleep < main:first", by=handler("Runner._on_sigint"), why="interrupt",
                scope=through("runner"), stack="Runner._on_sigint < select", label="first")
        interrupt()
        await asyncio.sleep(LONG)  # at: second

    def run():
        try:
            asyncio.run(main())  # at: run
        except KeyboardInterrupt:
            pass
        s.asked("main", "sleep < main:second", by=runner(), why=Either("interrupt", "shutdown"),
                scope=through("runner"), stack=END + " < run:run < program", label="second",
                exception=INTERRUPTED)

    return run


@asyncio_only
def interrupt_of_a_loop_by_hand(s):
    """run_forever(), KeyboardInterrupt, and own code that stops what there is."""
    async def worker():
        await asyncio.sleep(LONG)  # at: nap

    def run():
        loop = asyncio.new_event_loop()
        task = s.knows("worker", loop.create_task(worker(), name=s.full("worker")))
        interrupt()
        try:
            loop.run_forever()
        except KeyboardInterrupt:
            task.cancel()  # at: ask
            loop.run_until_complete(s.ended(task))
        finally:
            loop.close()
        s.asked("worker", "sleep < worker:nap", by=runner(), stack="run:ask < program",
                # Own code asks; that it handles a KeyboardInterrupt may be told or not.
                why=Either("explicit", "interrupt"), exception=INTERRUPTED,
                scope=Either(None, through("runner")))

    return run


@scenario
def terminated(s):
    """SIGTERM as services do it: a handler of the loop that stops main, whose finally stops the
    rest.
    """
    async def worker():
        await asyncio.sleep(LONG)  # at: nap

    async def main():
        await s.start()
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()

        def stop():
            task.cancel()  # at: stop

        loop.add_signal_handler(signal.SIGTERM, stop)
        workers = [s.task(worker(), name) for name in "ab"]
        await s.turns()
        os.kill(os.getpid(), signal.SIGTERM)
        try:
            await asyncio.sleep(LONG)  # at: main
        finally:
            loop.remove_signal_handler(signal.SIGTERM)
            for one in workers:
                one.cancel()  # at: rest
            await asyncio.gather(*workers, return_exceptions=True)
            s.asked("main", "sleep < main:main", by=("callback", "stop"), stack="stop:stop < loop")
            for name in "ab":
                s.asked(name, "sleep < worker:nap", by="main", stack="main:rest < loop",
                        cause="main")

    def run():
        try:
            asyncio.run(main())
        except asyncio.CancelledError:
            pass

    return run
