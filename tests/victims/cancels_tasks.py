"""cancels_tasks.py - plain requests: who asks, where the target stands, how it ends."""
import asyncio
import contextvars
import functools
import signal
import sys
import threading

from asked import (LONG, PYTHON, Either, asyncio_only, callback, create_task, current_task, frames,
                   handler, not_in_debug, scenario, since, thread, through)

# Who asks -----------------------------------------------------------------------


@scenario
def another_task(s):
    async def worker():
        await asyncio.sleep(LONG)  # at: nap

    async def killer(victim):
        victim.cancel()  # at: ask

    async def main():
        await s.start()
        task = s.task(worker(), "worker")
        await s.turns()
        await s.task(killer(task), "killer")
        s.asked("worker", "sleep < worker:nap", by="killer", stack="killer:ask < loop")
        await s.ended(task)

    return main


@scenario
def main_asks(s):
    async def worker():
        await asyncio.sleep(LONG)  # at: nap

    def stop(victim):
        victim.cancel()  # at: ask

    async def main():
        await s.start()
        task = s.task(worker(), "worker")
        await s.turns()
        stop(task)  # at: stop
        s.asked("worker", "sleep < worker:nap", by="main", stack="stop:ask < main:stop < loop")
        await s.ended(task)

    return main


@scenario
def itself(s):
    async def worker():
        await asyncio.sleep(0)
        asyncio.current_task().cancel()  # at: ask
        await asyncio.sleep(LONG)

    def leave():
        asyncio.current_task().cancel()  # at: ask itself

    async def deeper():
        leave()  # at: leave

    async def helped():
        await deeper()  # at: deeper
        await asyncio.sleep(LONG)

    async def main():
        await s.start()
        one, two = s.task(worker(), "worker"), s.task(helped(), "helped")
        await s.ended(one, two)
        s.asked("helped", "leave:ask itself < deeper:leave < helped:deeper", by="helped",
                stack="leave:ask itself < deeper:leave < helped:deeper < loop")
        s.asked("worker", "worker:ask", by="worker", stack="worker:ask < loop")

    return main


@scenario
def itself_and_returns(s):
    """A task that asks itself and never awaits again is cancelled all the same."""
    async def worker():
        await asyncio.sleep(0)
        current_task().cancel()  # at: ask
        return 5

    async def main():
        await s.start()
        await s.ended(s.task(worker(), "worker"))
        s.asked("worker", "worker:ask", by="worker", stack="worker:ask < loop", ends="cancelled")

    return main


@scenario
def loop_callback(s):
    async def worker():
        await asyncio.sleep(LONG)  # at: nap

    async def main():
        await s.start()
        task = s.task(worker(), "worker")

        def stop():
            task.cancel()  # at: ask

        await s.turns()
        asyncio.get_running_loop().call_soon(stop)
        await s.ended(task)
        s.asked("worker", "sleep < worker:nap", by=callback("stop"), stack="stop:ask < loop")

    return main


@scenario
def timer_directly(s):
    async def worker():
        await asyncio.sleep(LONG)  # at: nap

    async def main():
        await s.start()
        task = s.task(worker(), "worker")
        asyncio.get_running_loop().call_later(0.02, task.cancel)
        await s.ended(task)
        s.asked("worker", "sleep < worker:nap", by=callback("=Task.cancel"), stack="loop")

    return main


@scenario
def timer_through_functions(s):
    async def worker():
        await asyncio.sleep(LONG)  # at: nap

    class Stopper:
        def stop(self, task):
            task.cancel()  # at: method

    def stop_it(task):
        task.cancel()  # at: function

    async def main():
        await s.start()
        one, two, three = [s.task(worker(), name) for name in ("one", "two", "three")]
        loop = asyncio.get_running_loop()
        loop.call_later(0.01, Stopper().stop, one)
        loop.call_later(0.02, functools.partial(stop_it, two))
        loop.call_later(0.03, lambda: three.cancel())  # at: lambda
        await s.ended(one, two, three)
        at = "sleep < worker:nap"
        s.asked("one", at, by=callback("Stopper.stop"), stack="Stopper.stop:method < loop")
        s.asked("two", at, by=callback("stop_it"), stack="stop_it:function < loop")
        s.asked("three", at, by=callback("<lambda>"), stack="<lambda>:lambda < loop")

    return main


@scenario
def done_callback(s):
    """A task ends, and what hangs on it stops another."""
    async def worker():
        await asyncio.sleep(LONG)  # at: nap

    async def short():
        pass

    async def main():
        await s.start()
        task = s.task(worker(), "worker")

        def over(_):
            task.cancel()  # at: ask

        await s.turns()
        s.task(short(), "short").add_done_callback(over)
        await s.ended(task)
        s.asked("worker", "sleep < worker:nap", by=callback("over"), stack="over:ask < loop")

    return main


@scenario
def thread_through_the_loop(s):
    async def worker():
        await asyncio.sleep(LONG)  # at: nap

    async def main():
        await s.start()
        task = s.task(worker(), "worker")
        await s.turns()
        loop = asyncio.get_running_loop()
        other = threading.Thread(target=lambda: loop.call_soon_threadsafe(task.cancel))
        other.start()
        await s.ended(task)
        other.join()
        s.asked("worker", "sleep < worker:nap", by=callback("=Task.cancel"), stack="threadsafe")

    return main


@scenario
def future_of_another_thread(s):
    """run_coroutine_threadsafe's future is cancelled in its thread; the task hears of it in the
    loop.
    """
    async def worker():
        s.i_am("worker")
        begun.set()
        await asyncio.sleep(LONG)  # at: nap

    def abroad(loop):
        future = asyncio.run_coroutine_threadsafe(worker(), loop)
        begun.wait()
        future.cancel()

    begun = threading.Event()

    async def main():
        await s.start()
        other = threading.Thread(target=abroad, args=(asyncio.get_running_loop(),))
        other.start()
        while "worker" not in s.tasks:
            await asyncio.sleep(0.001)
        await s.ended(s.of["worker"])
        other.join()
        s.asked("worker", "sleep < worker:nap", by=callback("=Task.cancel"), stack="threadsafe")

    return main


@not_in_debug
def foreign_thread(s):
    """Not allowed by asyncio, and done all the same."""
    async def worker():
        await asyncio.sleep(LONG)  # at: nap

    def abroad(task):
        task.cancel()  # at: ask

    async def main():
        await s.start()
        task = s.task(worker(), "worker")
        await s.turns()
        other = threading.Thread(target=abroad, args=(task,), name="foreign")
        other.start()
        while not task.done():
            await asyncio.sleep(0.005)
        other.join()
        s.asked("worker", "sleep < worker:nap", by=thread("foreign"),
                stack="abroad:ask < Thread.run < Thread._bootstrap_inner < Thread._bootstrap")

    return main


@not_in_debug
def task_of_another_loop(s):
    async def worker():
        await asyncio.sleep(LONG)  # at: nap

    async def stranger(task):
        s.knows("stranger", asyncio.current_task())
        loop, below = asyncio.get_running_loop(), []
        grabbed = loop.create_future()

        def grab():
            below.extend(frames(sys._getframe().f_back))
            grabbed.set_result(None)

        loop.call_soon(grab)
        await grabbed
        task.cancel()  # at: ask
        return below

    async def main():
        await s.start()
        task = s.task(worker(), "worker")
        await s.turns()
        told = []
        other = threading.Thread(target=lambda: told.append(asyncio.run(stranger(task))))
        other.start()
        while not task.done():
            await asyncio.sleep(0.005)
        other.join()
        outer, s.outer = s.outer, told[0]
        s.asked("worker", "sleep < worker:nap", by="stranger", stack="stranger:ask < loop")
        s.outer = outer

    return main


@scenario
def in_the_middle_of_a_step(s):
    """Who runs is the task, though what runs is a finalizer, a context, a comprehension."""
    async def worker():
        await asyncio.sleep(LONG)  # at: nap

    class Guard:
        def __init__(self, task):
            self.task = task

        def __del__(self):
            self.task.cancel()  # at: finalizer

    async def main():
        await s.start()
        tasks = [s.task(worker(), name) for name in ("one", "two", "three", "four")]
        one, two, three, four = tasks
        await s.turns()
        guard = Guard(one)
        del guard  # at: del
        contextvars.copy_context().run(two.cancel)  # at: context
        [task.cancel() for task in (three,)]  # at: comprehension
        list(map(asyncio.Task.cancel, [four]))  # at: map
        at = "sleep < worker:nap"
        s.asked("one", at, by="main", stack="Guard.__del__:finalizer < main:del < loop")
        s.asked("two", at, by="main", stack="main:context < loop")
        s.asked("three", at, by="main",  # a comprehension is a function until 3.12
                stack="main:comprehension < loop" if PYTHON >= (3, 12)
                else "<listcomp>:comprehension < main:comprehension < loop")
        s.asked("four", at, by="main", stack="main:map < loop")
        await s.ended(*tasks)

    return main


@scenario
def far_down(s):
    """A call from deep inside."""
    async def worker():
        await asyncio.sleep(LONG)  # at: nap

    def dig(task, depth):
        if depth:
            dig(task, depth - 1)  # at: dig
        else:
            task.cancel()  # at: ask

    async def main():
        await s.start()
        task = s.task(worker(), "worker")
        await s.turns()
        dig(task, 40)  # at: call
        s.asked("worker", "sleep < worker:nap", by="main",
                stack="dig:ask < " + 40 * "dig:dig < " + "main:call < loop")
        await s.ended(task)

    return main


@scenario
def very_far_down(s):
    """Stacks so long that part of them may be left out, at the outer end, if that is told."""
    async def worker(depth):
        if depth:
            await worker(depth - 1)  # at: await
        else:
            await asyncio.sleep(LONG)  # at: nap

    def dig(task, depth):
        if depth:
            dig(task, depth - 1)  # at: dig
        else:
            task.cancel()  # at: ask

    async def main():
        await s.start()
        task = s.task(worker(400), "worker")
        await s.turns()
        dig(task, 400)  # at: call
        s.asked("worker", "sleep < worker:nap" + 400 * " < worker:await", by="main",
                stack="dig:ask < " + 400 * "dig:dig < " + "main:call < loop")
        await s.ended(task)

    return main


# Signals: the handler asks, whatever it interrupted ------------------------------


@asyncio_only
def signal_while_the_loop_sleeps(s):
    async def worker():
        await asyncio.sleep(LONG)  # at: nap

    async def main():
        await s.start()
        task = s.task(worker(), "worker")
        await s.turns()

        def on_signal(number, frame):
            task.cancel()  # at: ask

        before = signal.signal(signal.SIGUSR1, on_signal)
        threading.Timer(0.03, signal.pthread_kill,
                        (threading.main_thread().ident, signal.SIGUSR1)).start()
        while not task.done():  # a handler wakes no loop: one that sleeps 0.2 s at a time
            await asyncio.sleep(0.2)
        signal.signal(signal.SIGUSR1, before)
        s.asked("worker", "sleep < worker:nap", by=handler("on_signal"),
                stack="on_signal:ask < select")

    return main


@scenario
def signal_in_a_step(s):
    async def worker():
        await asyncio.sleep(LONG)  # at: nap

    async def busy():
        signal.raise_signal(signal.SIGUSR1)  # at: busy

    async def main():
        await s.start()
        task = s.task(worker(), "worker")
        await s.turns()

        def on_signal(number, frame):
            task.cancel()  # at: ask

        before = signal.signal(signal.SIGUSR1, on_signal)
        await s.task(busy(), "busy")
        signal.signal(signal.SIGUSR1, before)
        s.asked("worker", "sleep < worker:nap", by=handler("on_signal"),
                stack="on_signal:ask < busy:busy < loop")
        await s.ended(task)

    return main


@scenario
def signal_for_the_task_it_interrupts(s):
    async def busy():
        await asyncio.sleep(0)
        signal.raise_signal(signal.SIGUSR1)  # at: busy
        await asyncio.sleep(LONG)

    async def main():
        await s.start()
        task = s.task(busy(), "busy")

        def on_signal(number, frame):
            stop()  # at: stop

        def stop():
            task.cancel()  # at: ask

        before = signal.signal(signal.SIGUSR1, on_signal)
        await s.ended(task)
        signal.signal(signal.SIGUSR1, before)
        # Where it stood: on its own line; the frames of the handler above it are no lie either.
        s.asked("busy", Either("busy:busy", "stop:ask < on_signal:stop < busy:busy"),
                by=handler("on_signal"), stack="stop:ask < on_signal:stop < busy:busy < loop")

    return main


@asyncio_only
def signal_of_the_loop(s):
    async def worker():
        await asyncio.sleep(LONG)  # at: nap

    async def main():
        await s.start()
        one, two = s.task(worker(), "one"), s.task(worker(), "two")
        await s.turns()
        loop = asyncio.get_running_loop()

        def stop():
            two.cancel()  # at: ask

        loop.add_signal_handler(signal.SIGUSR1, one.cancel)
        signal.raise_signal(signal.SIGUSR1)
        await s.ended(one)
        loop.add_signal_handler(signal.SIGUSR1, stop)
        signal.raise_signal(signal.SIGUSR1)
        await s.ended(two)
        loop.remove_signal_handler(signal.SIGUSR1)
        s.asked("one", "sleep < worker:nap", by=callback("=Task.cancel"), stack="loop")
        s.asked("two", "sleep < worker:nap", by=callback("stop"), stack="stop:ask < loop")

    return main


# Chains of tasks that await each other ------------------------------------------


@scenario
def chain(s):
    async def first():
        await s.task(second(), "second")  # at: wait

    async def second():
        await s.task(third(), "third")  # at: wait

    async def third():
        await asyncio.sleep(LONG)  # at: nap

    async def main():
        await s.start()
        task = s.task(first(), "first")
        await s.turns()
        task.cancel()  # at: ask
        stack = "main:ask < loop"
        s.asked("first", "first:wait", by="main", stack=stack)
        s.asked("second", "second:wait", by="main", stack=stack, why="owner_cancelled",
                scope=through("await"), cause="first")
        s.asked("third", "sleep < third:nap", by="main", stack=stack, why="owner_cancelled",
                scope=through("await"), cause="second")
        await s.ended(task)

    return main


@scenario
def chain_in_the_middle(s):
    """Who awaits a cancelled task dies of its CancelledError; nobody asked it to."""
    async def first():
        await s.task(second(), "second")

    async def second():
        await s.keep(asyncio.ensure_future(third()))  # at: wait

    async def third():
        s.i_am("third")
        await asyncio.sleep(LONG)  # at: nap

    async def main():
        await s.start()
        task = s.task(first(), "first")
        await s.turns()
        s.of["second"].cancel()  # at: ask
        s.asked("second", "second:wait", by="main", stack="main:ask < loop")
        s.asked("third", "sleep < third:nap", by="main", stack="main:ask < loop",
                why="owner_cancelled", scope=through("await"), cause="second")
        await s.ended(task)

    return main


@scenario
def chain_swallowed_below(s):
    """The request is passed on, and lost there: the awaiting task never hears of it."""
    async def first():
        await s.task(second(), "second")  # at: wait
        await gate.wait()

    async def second():
        try:
            await asyncio.sleep(LONG)  # at: nap
        except asyncio.CancelledError:
            pass

    async def main():
        nonlocal gate
        await s.start()
        gate = asyncio.Event()
        task = s.task(first(), "first")
        await s.turns()
        task.cancel()  # at: ask
        s.asked("first", "first:wait", by="main", stack="main:ask < loop", ends="returned")
        s.asked("second", "sleep < second:nap", by="main", stack="main:ask < loop",
                why="owner_cancelled", scope=through("await"), cause="first", ends="returned")
        await s.turns()
        await s.look(first="swallowed")
        gate.set()
        await task

    gate = None
    return main


@scenario
def chain_that_cleans_up(s):
    """What was asked of the awaiting task is not delivered before the awaited one is done."""
    async def first():
        await s.task(second(), "second")  # at: wait

    async def second():
        try:
            await asyncio.sleep(LONG)  # at: nap
        finally:
            await gate.wait()

    async def main():
        nonlocal gate
        await s.start()
        gate = asyncio.Event()
        task = s.task(first(), "first")
        await s.turns()
        task.cancel()  # at: ask
        s.asked("first", "first:wait", by="main", stack="main:ask < loop")
        s.asked("second", "sleep < second:nap", by="main", stack="main:ask < loop",
                why="owner_cancelled", scope=through("await"), cause="first")
        s.blocking_look(first="pending", second="pending")
        await s.turns()
        await s.look(first="pending", second="pending")
        gate.set()
        await s.ended(task)

    gate = None
    return main


# How it ends --------------------------------------------------------------------


@scenario
def swallowed_for_ever(s):
    async def worker():
        try:
            await asyncio.sleep(LONG)  # at: nap
        except asyncio.CancelledError:
            pass
        await gate.wait()

    async def main():
        nonlocal gate
        await s.start()
        gate = asyncio.Event()
        task = s.task(worker(), "worker")
        await s.turns()
        task.cancel()  # at: ask
        s.asked("worker", "sleep < worker:nap", by="main", stack="main:ask < loop",
                ends="returned")
        s.blocking_look(worker="pending")
        await s.turns()
        await s.look(worker="swallowed")
        s.blocking_look(worker="swallowed")
        gate.set()
        await s.ended(task)

    gate = None
    return main


@scenario
def swallowed_in_a_loop(s):
    """The classic: a service loop that catches everything, logs it and goes on."""
    async def service():
        while not gate.is_set():
            try:
                await asyncio.wait_for(gate.wait(), None)  # at: serve
            except BaseException:
                log.append("went wrong")

    async def main():
        nonlocal gate
        await s.start()
        gate = asyncio.Event()
        task = s.task(service(), "service")
        await s.turns()
        at = "Event.wait < wait_for < service:serve"
        for label in ("first", "second"):
            task.cancel()  # at: ask
            s.asked("service", at, by="main", stack="main:ask < loop", ends="returned", label=label)
            await s.turns()
        await s.look(first="swallowed", second="swallowed")
        gate.set()
        await s.ended(task)

    gate, log = None, []
    return main


@scenario
def other_ends(s):
    async def returns():
        try:
            await asyncio.sleep(LONG)  # at: returns
        except asyncio.CancelledError:
            return 5

    async def raises():
        try:
            await asyncio.sleep(LONG)  # at: raises
        except asyncio.CancelledError:
            raise ValueError("instead")

    async def raises_it_again():
        try:
            await asyncio.sleep(LONG)  # at: again
        except asyncio.CancelledError:
            raise

    async def raises_another():
        try:
            await asyncio.sleep(LONG)  # at: another
        finally:
            raise asyncio.CancelledError("of my own")

    async def main():
        await s.start()
        tasks = []
        for function, marker, end in ((returns, "returns", "returned"),
                                      (raises, "raises", "raised"),
                                      (raises_it_again, "again", "cancelled"),
                                      (raises_another, "another", "cancelled")):
            name = function.__name__
            tasks.append(s.task(function(), name))
            await s.turns()
            tasks[-1].cancel()  # at: ask
            s.asked(name, "sleep < %s:%s" % (name, marker), by="main", stack="main:ask < loop",
                    ends=end)
        await s.ended(*tasks)

    return main


@scenario
def slow_clean_up(s):
    async def worker():
        try:
            await asyncio.sleep(LONG)  # at: nap
        finally:
            await asyncio.sleep(0.3)

    async def main():
        await s.start()
        task = s.task(worker(), "worker")
        await s.turns()
        task.cancel()  # at: ask
        s.asked("worker", "sleep < worker:nap", by="main", stack="main:ask < loop", after=0.29)
        await s.ended(task)

    return main


@scenario
def clean_ups(s):
    """Looked at half way: who cleans up is no zombie, however it does that."""
    async def in_except():
        try:
            await asyncio.sleep(LONG)  # at: in_except
        except asyncio.CancelledError:
            await gate.wait()
            raise

    async def in_except_and_returns():
        try:
            await asyncio.sleep(LONG)  # at: in_except_and_returns
        except asyncio.CancelledError:
            await gate.wait()

    async def in_finally():
        try:
            await asyncio.sleep(LONG)  # at: in_finally
        finally:
            await gate.wait()

    class Session:
        async def __aenter__(self):
            pass

        async def __aexit__(self, *unused):
            await gate.wait()

    async def in_aexit():
        async with Session():
            await asyncio.sleep(LONG)  # at: in_aexit

    async def handles_another():
        try:
            await asyncio.sleep(LONG)  # at: handles_another
        finally:
            try:
                raise KeyError("socket")
            except KeyError:
                await gate.wait()

    async def after_another():
        try:
            await asyncio.sleep(LONG)  # at: after_another
        except asyncio.CancelledError:
            try:
                raise KeyError("socket")
            except KeyError:
                pass
            await gate.wait()
            raise

    async def deep_below():
        try:
            await deeper()  # at: deep_below
        finally:
            await gate.wait()

    async def deeper():
        await asyncio.sleep(LONG)  # at: deeper

    async def closes():
        await gate.wait()

    async def below_closes():
        try:
            await asyncio.sleep(LONG)  # at: below_closes
        finally:
            await closes()

    async def by_wait_for():
        try:
            await asyncio.sleep(LONG)  # at: by_wait_for
        finally:
            await asyncio.wait_for(gate.wait(), LONG)

    async def by_gather():
        try:
            await asyncio.sleep(LONG)  # at: by_gather
        finally:
            await asyncio.gather(gate.wait(), gate.wait())

    async def by_shield():
        try:
            await asyncio.sleep(LONG)  # at: by_shield
        finally:
            await asyncio.shield(gate.wait())

    async def numbers():
        try:
            yield 1
            await asyncio.sleep(LONG)  # at: numbers
        finally:
            await gate.wait()

    async def in_generator():
        async for _ in numbers():  # at: in_generator
            pass

    async def main():
        nonlocal gate
        await s.start()
        gate = asyncio.Event()
        tasks = []
        for function, ends in (
                (in_except, "cancelled"), (in_except_and_returns, "returned"),
                (in_finally, "cancelled"), (in_aexit, "cancelled"), (handles_another, "cancelled"),
                (after_another, "cancelled"), (deep_below, "cancelled"),
                (below_closes, "cancelled"), (by_wait_for, "cancelled"),
                (by_gather, "cancelled"), (by_shield, "cancelled"), (in_generator, "cancelled")):
            name = function.__name__
            tasks.append(s.task(function(), name))
            await s.turns()
            tasks[-1].cancel()  # at: ask
            at = {"deep_below": "deeper:deeper < deep_below:deep_below",
                  "in_generator": "numbers:numbers < in_generator:in_generator"}
            s.asked(name, "sleep < " + at.get(name, "%s:%s" % (name, name)), by="main",
                    stack="main:ask < loop", ends=ends)
        names = [request["label"] for request in s.requests]
        s.blocking_look(**{name: "pending" for name in names})
        await s.turns(8)
        await s.look(**{name: "pending" for name in names})
        gate.set()
        await s.ended(*tasks)

    gate = None
    return main


@scenario
def zombies(s):
    """And who does not is one, though an exception is being handled, or was."""
    async def handles_another():
        try:
            await asyncio.sleep(LONG)  # at: handles_another
        except asyncio.CancelledError:
            pass
        try:
            raise KeyError("work")
        except KeyError:
            await gate.wait()

    async def below():
        try:
            await asyncio.sleep(LONG)  # at: below
        except asyncio.CancelledError:
            return

    async def above():
        await below()  # at: above
        await gate.wait()

    async def suppresses():
        try:
            try:
                await asyncio.sleep(LONG)  # at: suppresses
            finally:
                await asyncio.sleep(0)
        except BaseException:
            pass
        finally:
            await asyncio.sleep(0)
        await gate.wait()

    async def breaks_out():
        while True:
            try:
                await asyncio.sleep(LONG)  # at: breaks_out
            finally:
                break
        await gate.wait()

    async def keeps_it():
        try:
            await asyncio.sleep(LONG)  # at: keeps_it
        except asyncio.CancelledError as error:
            log.append(error)
        await gate.wait()

    async def spins():
        try:
            await asyncio.sleep(LONG)  # at: spins
        except asyncio.CancelledError:
            pass
        while not gate.is_set():
            await asyncio.sleep(0)

    async def main():
        nonlocal gate
        await s.start()
        gate = asyncio.Event()
        tasks = []
        for function in (handles_another, above, suppresses, breaks_out, keeps_it, spins):
            name = function.__name__
            tasks.append(s.task(function(), name))
            await s.turns()
            tasks[-1].cancel()  # at: ask
            at = {"above": "below:below < above:above"}
            s.asked(name, "sleep < " + at.get(name, "%s:%s" % (name, name)), by="main",
                    stack="main:ask < loop", ends="returned")
        await s.turns(8)
        names = [request["label"] for request in s.requests]
        s.blocking_look(**{name: "swallowed" for name in names})
        await s.look(**{name: "swallowed" for name in names})
        gate.set()
        await s.ended(*tasks)

    gate, log = None, []
    return main


@since(3, 11)
def uncancelled(s):
    async def at_once():
        try:
            await asyncio.sleep(LONG)  # at: at_once
        except asyncio.CancelledError:
            asyncio.current_task().uncancel()
        await gate.wait()

    async def late():
        try:
            await asyncio.sleep(LONG)  # at: late
        except asyncio.CancelledError:
            pass
        await door.wait()
        asyncio.current_task().uncancel()
        await gate.wait()

    async def main():
        nonlocal door, gate
        await s.start()
        door, gate = asyncio.Event(), asyncio.Event()
        one, two = s.task(at_once(), "at_once"), s.task(late(), "late")
        await s.turns()
        one.cancel()  # at: ask
        two.cancel()  # at: ask too
        s.asked("at_once", "sleep < at_once:at_once", by="main", stack="main:ask < loop",
                ends="absorbed")
        s.asked("late", "sleep < late:late", by="main", stack="main:ask too < loop",
                ends="absorbed")
        await s.turns()
        await s.look(late="swallowed")
        door.set()
        await s.turns()
        await s.look()
        gate.set()
        await s.ended(one, two)

    door = gate = None
    return main


@since(3, 11)
def taken_back_from_outside(s):
    """Another task takes a request back before it is delivered, and one that was swallowed."""
    async def worker():
        try:
            await asyncio.sleep(LONG)  # at: nap
        except asyncio.CancelledError:
            pass
        await gate.wait()

    async def main():
        nonlocal gate
        await s.start()
        gate = asyncio.Event()
        task = s.task(worker(), "worker")
        await s.turns()
        task.cancel()  # at: ask
        await s.turns()
        task.uncancel()
        s.asked("worker", "sleep < worker:nap", by="main", stack="main:ask < loop",
                ends="absorbed")
        await s.look()
        gate.set()
        await s.ended(task)

    gate = None
    return main


@scenario
def never_begun(s):
    async def worker():
        pass

    async def main():
        await s.start()
        task = s.task(worker(), "worker")
        task.cancel()  # at: ask
        s.asked("worker", "worker:def", by="main", stack="main:ask < loop")
        s.blocking_look(worker="pending")
        await s.ended(task)

    return main


@scenario
def no_requests(s):
    """What is refused, or asked of no task, is no cancellation."""
    async def quick():
        pass

    async def fails():
        raise ValueError("boom")

    async def awaits(future):
        try:
            await future
        except asyncio.CancelledError:
            return "seen"

    async def stays():
        await asyncio.sleep(0.05)

    async def main():
        await s.start()
        done = [s.task(quick(), "quick"), s.task(fails(), "fails")]
        await s.ended(*done)
        for task in done:
            assert not task.cancel()
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        waiter = s.task(awaits(future), "waiter")
        await s.turns()
        future.cancel()
        assert await waiter == "seen"
        stayer = s.task(stays(), "stayer")
        await asyncio.wait({stayer}, timeout=0.005)
        for one in asyncio.as_completed([stayer], timeout=0.005):
            try:
                await one
            except asyncio.TimeoutError:
                pass
        assert await asyncio.wait_for(quicker(), 10) == 5
        loop.call_later(LONG, stayer.cancel).cancel()
        await stayer

    async def quicker():
        await asyncio.sleep(0.001)
        return 5

    return main


@scenario
def asked_again_after_the_end(s):
    async def worker():
        await asyncio.sleep(LONG)  # at: nap

    async def main():
        await s.start()
        task = s.task(worker(), "worker")
        await s.turns()
        task.cancel()  # at: ask
        s.asked("worker", "sleep < worker:nap", by="main", stack="main:ask < loop")
        await s.ended(task)
        task.cancel()
        await s.look()

    return main


@scenario
def twice_in_one_go(s):
    async def worker():
        await asyncio.sleep(LONG)  # at: nap

    async def main():
        await s.start()
        task = s.task(worker(), "worker")
        await s.turns()
        task.cancel()  # at: first
        task.cancel()  # at: second
        for label in ("first", "second"):
            s.asked("worker", "sleep < worker:nap", by="main", stack="main:%s < loop" % label,
                    label=label)
        s.blocking_look(first="pending", second="pending")
        await s.ended(task)

    return main


@scenario
def again_while_it_cleans_up(s):
    async def worker():
        try:
            await asyncio.sleep(LONG)  # at: nap
        finally:
            await asyncio.sleep(LONG)  # at: tidy

    async def main():
        await s.start()
        task = s.task(worker(), "worker")
        await s.turns()
        task.cancel()  # at: first
        s.asked("worker", "sleep < worker:nap", by="main", stack="main:first < loop", label="first")
        await s.turns()
        await s.look(first="pending")
        task.cancel()  # at: second
        s.asked("worker", "sleep < worker:tidy", by="main", stack="main:second < loop",
                label="second")
        s.blocking_look(first="pending", second="pending")
        await s.ended(task)

    return main


@scenario
def again_after_it_was_swallowed(s):
    async def worker():
        try:
            await asyncio.sleep(LONG)  # at: nap
        except asyncio.CancelledError:
            pass
        await asyncio.sleep(LONG)  # at: on

    async def main():
        await s.start()
        task = s.task(worker(), "worker")
        await s.turns()
        task.cancel()  # at: first
        s.asked("worker", "sleep < worker:nap", by="main", stack="main:first < loop", label="first")
        await s.turns()
        await s.look(first="swallowed")
        task.cancel()  # at: second
        s.asked("worker", "sleep < worker:on", by="main", stack="main:second < loop",
                label="second")
        s.blocking_look(first="swallowed", second="pending")
        await s.ended(task)

    return main


@since(3, 9)
def with_a_message(s):
    """The text goes along with a request that is passed on, through tasks and gathers."""
    async def worker():
        await asyncio.sleep(LONG)  # at: nap

    async def owner():
        await s.task(worker(), "inner")  # at: wait

    async def main():
        await s.start()
        owner_task = s.task(owner(), "owner")
        tasks = [s.task(worker(), name) for name in ("a", "b", "plain", "strange", "long")]
        await s.turns()
        at, stack = "sleep < worker:nap", "main:%s < loop"
        owner_task.cancel("enough")  # at: owner
        s.asked("owner", "owner:wait", by="main", stack=stack % "owner", message="enough")
        s.asked("inner", at, by="main", stack=stack % "owner", message="enough",
                why="owner_cancelled", scope=through("await"), cause="owner")
        both = s.called("both", asyncio.gather(*tasks[:2]))
        both.cancel(msg="both of you")  # at: both
        for name in "ab":
            s.asked(name, at, by="main", stack="_GatheringFuture.cancel < " + stack % "both",
                    message="both of you", scope=through("gather", "both"))
        tasks[2].cancel(msg="")  # at: empty
        s.asked("plain", at, by="main", stack=stack % "empty", message="")
        text = "so\nist\x1b[31m \"das\"\t\\ \u00e4\u20ac\U0001f600 \x00."
        tasks[3].cancel(text)  # at: strange
        s.asked("strange", at, by="main", stack=stack % "strange", message=text)
        tasks[4].cancel(1000 * "long ")  # at: long
        s.asked("long", at, by="main", stack=stack % "long", message=1000 * "long ")
        await s.ended(owner_task, both, *tasks)

    return main


@scenario
def names(s):
    """A name is what the task is called when it is asked; and two may share one."""
    async def worker():
        await asyncio.sleep(LONG)  # at: nap

    async def main():
        await s.start()
        at, stack = "sleep < worker:nap", "main:ask < loop"
        tasks = []
        for label, name in (("twin", "twin"), ("sister", "twin"), ("empty", ""),
                            ("strange", "so\nist\x1b[31m \"das\"\t\\ \u00e4\u20ac\U0001f600 \x00."),
                            ("long", 3000 * "x"), ("renamed", "before")):
            task = create_task(worker(), name)
            if label == "renamed":
                task.set_name("after")
            tasks.append(s.knows(label, task))
        await s.turns()
        for label, task in zip("twin sister empty strange long renamed".split(), tasks):
            task.cancel()  # at: ask
            s.asked(label, at, by="main", stack=stack)
        await s.ended(*tasks)

    return main


@scenario
def addresses_used_again(s):
    """Tasks that come and go where the last one was: each request ends as its own task did."""
    async def obeys():
        await asyncio.sleep(LONG)  # at: obeys

    async def returns():
        try:
            await asyncio.sleep(LONG)  # at: returns
        except asyncio.CancelledError:
            pass

    async def main():
        await s.start()
        for n in range(12):
            function = returns if n % 3 == 1 else obeys
            task = create_task(function(), "again-%d" % n)
            s.knows("again-%d" % n, task)
            del s.of["again-%d" % n]
            await s.turns()
            task.cancel()  # at: ask
            s.asked("again-%d" % n, "sleep < %s:%s" % (2 * (function.__name__,)), by="main",
                    stack="main:ask < loop", ends="returned" if n % 3 == 1 else "cancelled")
            await s.ended(task)
            del task
            await s.turns()

    return main


# What brings another about --------------------------------------------------------


@scenario
def because_of_another(s):
    """Who asks while it unwinds from a request of its own does it because of that one."""
    async def child():
        await asyncio.sleep(LONG)  # at: nap

    async def in_except(victim):
        try:
            await asyncio.sleep(LONG)  # at: in_except
        except asyncio.CancelledError:
            victim.cancel()  # at: ask in_except
            raise

    async def in_finally(victim):
        try:
            await asyncio.sleep(LONG)  # at: in_finally
        finally:
            stop(victim)  # at: stop

    def stop(victim):
        victim.cancel()  # at: ask in_finally

    class Guard:
        def __init__(self, victim):
            self.victim = victim

        async def __aenter__(self):
            pass

        async def __aexit__(self, *unused):
            await asyncio.sleep(0)
            self.victim.cancel()  # at: ask in_aexit

    async def in_aexit(victim):
        async with Guard(victim):  # at: guarded
            await asyncio.sleep(LONG)  # at: in_aexit

    async def swallows(victim):
        try:
            await asyncio.sleep(LONG)  # at: swallows
        except asyncio.CancelledError:
            pass
        victim.cancel()  # at: ask swallows

    async def handles_another(victim):
        try:
            await asyncio.sleep(LONG)  # at: handles_another
        except asyncio.CancelledError:
            try:
                raise KeyError("socket")
            except KeyError:
                victim.cancel()  # at: ask handles_another
            raise

    async def main():
        await s.start()
        stacks = {
            "in_except": "in_except:ask in_except < loop",
            "in_finally": "stop:ask in_finally < in_finally:stop < loop",
            "in_aexit": "Guard.__aexit__:ask in_aexit < in_aexit:%s < loop" % (
                # Before 3.10 a block is left on the line that it was left from.
                "guarded" if PYTHON >= (3, 10) else "in_aexit"),
            "swallows": "swallows:ask swallows < loop",
            "handles_another": "handles_another:ask handles_another < loop"}
        for function in (in_except, in_finally, in_aexit, swallows, handles_another):
            name = function.__name__
            victim = s.task(child(), "child of " + name)
            task = s.task(function(victim), name)
            await s.turns()
            task.cancel()  # at: ask
            s.asked(name, "sleep < %s:%s" % (name, name), by="main", stack="main:ask < loop",
                    ends="returned" if function is swallows else "cancelled")
            cause = name
            if function is swallows:
                cause = None
            if function is handles_another:
                # The exception being handled is another, though it came up while it unwound.
                cause = Either(name, None)
            s.asked("child of " + name, "sleep < child:nap", by=name, stack=stacks[name],
                    cause=cause)
            await s.ended(task, victim)

    return main


@scenario
def because_of_it_elsewhere(s):
    """A task that was started by one that unwinds is another task: no cause."""
    async def child():
        await asyncio.sleep(LONG)  # at: nap

    async def helper(victim):
        victim.cancel()  # at: ask

    async def worker(victim):
        try:
            await asyncio.sleep(LONG)  # at: worker
        finally:
            await s.task(helper(victim), "helper")

    async def main():
        await s.start()
        victim = s.task(child(), "child")
        task = s.task(worker(victim), "worker")
        await s.turns()
        task.cancel()  # at: stop
        await s.ended(task, victim)
        s.asked("worker", "sleep < worker:worker", by="main", stack="main:stop < loop")
        s.asked("child", "sleep < child:nap", by="helper", stack="helper:ask < loop")

    return main


@scenario
def request_handler(s):
    """The background task of a request dies with the request; so does what that one waits for."""
    async def query():
        await asyncio.sleep(LONG)  # at: query

    async def background():
        await s.task(query(), "query")  # at: background

    async def reply():
        await asyncio.sleep(LONG)  # at: reply

    async def handle():
        task = s.task(background(), "background")
        try:
            await reply()  # at: handle
        finally:
            task.cancel()  # at: die

    class Connection:
        def __init__(self):
            self.task = s.task(handle(), "handler")

        def lost(self):
            self.task.cancel()  # at: lost

    async def main():
        await s.start()
        connection = Connection()
        await s.turns()
        asyncio.get_running_loop().call_soon(connection.lost)
        await s.ended(connection.task)
        await s.turns()
        s.asked("handler", "sleep < reply:reply < handle:handle", by=callback("Connection.lost"),
                stack="Connection.lost:lost < loop")
        s.asked("background", "background:background", by="handler", stack="handle:die < loop",
                cause="handler")
        s.asked("query", "sleep < query:query", by="handler", stack="handle:die < loop",
                why="owner_cancelled", scope=through("await"), cause="background")

    return main


@scenario
def worker_pool(s):
    """Shut down in the wrong order: the workers one by one, then who waits for them all."""
    async def worker(jobs):
        while True:
            await jobs.get()  # at: get

    async def pool(jobs):
        workers = [s.task(worker(jobs), "w%d" % n) for n in range(3)]
        await s.called("all", asyncio.gather(*workers))  # at: pool

    async def main():
        await s.start()
        jobs = asyncio.Queue()
        task = s.task(pool(jobs), "pool")
        await s.turns()
        for n in range(3):
            s.of["w%d" % n].cancel()  # at: worker
        task.cancel()  # at: ask
        for n in range(3):
            s.asked("w%d" % n, "Queue.get < worker:get", by="main", stack="main:worker < loop")
        s.asked("pool", "pool:pool", by="main", stack="main:ask < loop")
        for n in range(3):
            s.asked("w%d" % n, "Queue.get < worker:get", by="main",
                    stack="_GatheringFuture.cancel < main:ask < loop", why="owner_cancelled",
                    scope=through("gather", "all"), cause="pool", label="w%d again" % n)
        await s.ended(task)

    return main


# Where it stands ------------------------------------------------------------------


@scenario
def places_of_waiting(s):
    async def event():
        await asyncio.Event().wait()  # at: event

    async def queue():
        await asyncio.Queue().get()  # at: queue

    async def full_queue():
        full = asyncio.Queue(1)
        await full.put(1)
        await full.put(2)  # at: full_queue

    async def lock():
        held = asyncio.Lock()
        await held.acquire()
        await held.acquire()  # at: lock

    async def semaphore():
        await asyncio.Semaphore(0).acquire()  # at: semaphore

    async def condition():
        one = asyncio.Condition()
        async with one:
            await one.wait()  # at: condition

    async def future():
        await asyncio.get_running_loop().create_future()  # at: future

    async def executor():
        await asyncio.get_running_loop().run_in_executor(None, freed.wait)  # at: executor

    async def waits():
        await asyncio.wait({sleeper})  # at: waits

    class Thing:
        def __await__(self):
            yield from asyncio.get_running_loop().create_future().__await__()  # at: thing

    async def awaitable():
        await Thing()  # at: awaitable

    async def numbers():
        await asyncio.sleep(LONG)  # at: numbers
        yield 1

    async def generator():
        async for _ in numbers():  # at: generator
            pass

    async def deep():
        await deeper()  # at: deep

    async def deeper():
        await deepest()  # at: deeper

    async def deepest():
        await asyncio.sleep(LONG)  # at: deepest

    async def sleeps():
        await asyncio.sleep(LONG)  # at: sleeps

    stacks = {
        "event": "Event.wait < event:event", "queue": "Queue.get < queue:queue",
        "full_queue": "Queue.put < full_queue:full_queue", "lock": "Lock.acquire < lock:lock",
        "semaphore": "Semaphore.acquire < semaphore:semaphore",
        "condition": "Condition.wait < condition:condition", "future": "future:future",
        "executor": "executor:executor", "waits": "_wait < wait < waits:waits",
        "awaitable": "Thing.__await__:thing < awaitable:awaitable",
        "generator": "sleep < numbers:numbers < generator:generator",
        "deep": "sleep < deepest:deepest < deeper:deeper < deep:deep"}

    async def main():
        nonlocal sleeper
        await s.start()
        sleeper = s.knows("sleeper", asyncio.ensure_future(sleeps()))
        tasks = []
        for function in (event, queue, full_queue, lock, semaphore, condition, future, executor,
                         waits, awaitable, generator, deep):
            name = function.__name__
            tasks.append(s.task(function(), name))
            await s.turns()
            tasks[-1].cancel()  # at: ask
            s.asked(name, stacks[name], by="main", stack="main:ask < loop")
        await s.ended(*tasks)
        freed.set()
        sleeper.cancel()  # at: last
        s.asked("sleeper", "sleep < sleeps:sleeps", by="main", stack="main:last < loop")
        await s.ended(sleeper)

    sleeper, freed = None, threading.Event()
    return main


@since(3, 9)
def in_a_thread(s):
    async def worker():
        await asyncio.to_thread(freed.wait)  # at: thread

    async def main():
        await s.start()
        task = s.task(worker(), "worker")
        await s.turns()
        task.cancel()  # at: ask
        s.asked("worker", "to_thread < worker:thread", by="main", stack="main:ask < loop")
        await s.ended(task)
        freed.set()

    freed = threading.Event()
    return main


@scenario
def stream(s):
    import socket

    async def reads(reader):
        await reader.readline()  # at: read

    async def main():
        await s.start()
        ours, theirs = socket.socketpair()
        reader, writer = await asyncio.open_connection(sock=ours)
        task = s.task(reads(reader), "reader")
        await s.turns()
        task.cancel()  # at: ask
        s.asked("reader", "StreamReader._wait_for_data < StreamReader.readuntil < "
                "StreamReader.readline < reads:read", by="main", stack="main:ask < loop")
        await s.ended(task)
        writer.close()
        theirs.close()

    return main


# Tasks of other classes -------------------------------------------------------------


@asyncio_only
def python_task(s):
    """The class written in Python, by which no C function comes. Its own frame may be told or not.
    """
    async def inner():
        await asyncio.sleep(LONG)  # at: nap

    async def outer(task):
        await task  # at: wait

    async def asks(task):
        task.cancel()  # at: ask

    async def swallows():
        try:
            await asyncio.sleep(LONG)  # at: swallows
        except asyncio.CancelledError:
            pass
        await gate.wait()

    async def main():
        nonlocal gate
        await s.start()
        gate = asyncio.Event()
        loop = asyncio.get_running_loop()

        def python(coro, name):
            return s.knows(name, asyncio.tasks._PyTask(coro, loop=loop, name=s.full(name)))

        in_c = s.task(inner(), "in C")
        first = python(outer(in_c), "python awaits C")
        in_python = python(inner(), "in python")
        second = s.task(outer(in_python), "C awaits python")
        zombie = python(swallows(), "zombie")
        await s.turns()

        def call(place):
            return Either("main:%s < loop" % place, "_PyTask.cancel < main:%s < loop" % place)

        first.cancel()  # at: first
        s.asked("python awaits C", "outer:wait", by="main", stack=call("first"))
        s.asked("in C", "sleep < inner:nap", by="main", why="owner_cancelled",
                stack="_PyTask.cancel < main:first < loop", scope=through("await"),
                cause="python awaits C")
        second.cancel()  # at: second
        s.asked("C awaits python", "_PyFuture.__await__ < outer:wait", by="main",
                stack="main:second < loop")
        s.asked("in python", "sleep < inner:nap", by="main", why="owner_cancelled",
                stack=call("second"), scope=through("await"), cause="C awaits python")
        zombie.cancel()  # at: third
        s.asked("zombie", "sleep < swallows:swallows", by="main", stack=call("third"),
                ends="returned")
        await s.ended(first, second, in_c, in_python)
        await s.look(zombie="swallowed")
        gate.set()
        await s.ended(zombie)
        # And one that asks.
        victim = s.task(inner(), "victim")
        await s.turns()
        await s.ended(python(asks(victim), "asker"))
        await s.ended(victim)
        step = "_PyTask._Task__step < loop"
        if PYTHON >= (3, 12):
            step = "_PyTask._Task__step_run_and_handle_result < " + step
        s.asked("victim", "sleep < inner:nap", by="asker", stack="asks:ask < " + step)

    gate = None
    return main


@scenario
def own_class(s):
    """cancel() overridden: passing on is a request, refusing is none."""
    class Polite(asyncio.Task):
        def cancel(self, *given, **named):
            return super().cancel(*given, **named)  # at: pass

    class Stubborn(asyncio.Task):
        refuses = True

        def cancel(self, *given, **named):
            if self.refuses:
                return False
            return super().cancel(*given, **named)  # at: give in

    async def worker():
        await asyncio.sleep(LONG)  # at: nap

    async def owner(task):
        await task  # at: wait

    async def main():
        await s.start()
        loop = asyncio.get_running_loop()
        polite = s.knows("polite", Polite(worker(), loop=loop, name="polite"))
        stubborn = s.knows("stubborn", Stubborn(worker(), loop=loop, name="stubborn"))
        over = s.task(owner(polite), "owner")
        waiting = s.task(owner(stubborn), "waiting")
        await s.turns()
        over.cancel()  # at: over
        s.asked("owner", "owner:wait", by="main", stack="main:over < loop")
        s.asked("polite", "sleep < worker:nap", by="main", why="owner_cancelled",
                stack="Polite.cancel:pass < main:over < loop", scope=through("await"),
                cause="owner")
        assert not stubborn.cancel()
        await s.turns()
        waiting.cancel()  # at: waiting
        s.asked("waiting", "owner:wait", by="main", stack="main:waiting < loop")
        await s.turns()
        stubborn.refuses = False
        stubborn.cancel()  # at: at last
        s.asked("stubborn", "sleep < worker:nap", by="main",
                stack="Stubborn.cancel:give in < main:at last < loop")
        await s.ended(over, polite, waiting, stubborn)

    return main


@since(3, 12, on="asyncio")
def eager(s):
    """A task that runs its first step inside of the call that makes it."""
    async def worker():
        await asyncio.sleep(LONG)  # at: nap

    async def itself():
        s.i_am("itself")
        asyncio.current_task().cancel()  # at: itself
        await asyncio.sleep(LONG)

    async def kills(task):
        s.i_am("kills")
        task.cancel()  # at: kills

    async def main():
        await s.start()
        loop = asyncio.get_running_loop()
        loop.set_task_factory(asyncio.eager_task_factory)
        plain = s.task(worker(), "plain")
        plain.cancel()  # at: plain
        s.asked("plain", "sleep < worker:nap", by="main", stack="main:plain < loop")
        made = "create_eager_task_factory.<locals>.factory < BaseEventLoop.create_task < main:%s"
        first = loop.create_task(itself(), name=s.full("itself"))  # at: first
        s.also_called("itself")
        s.asked("itself", "itself:itself", by="itself",
                stack="itself:itself < %s < loop" % made % "first")
        victim = s.task(worker(), "victim")
        loop.create_task(kills(victim), name=s.full("kills"))  # at: second
        s.also_called("kills")
        s.asked("victim", "sleep < worker:nap", by="kills",
                stack="kills:kills < %s < loop" % made % "second")
        loop.set_task_factory(None)
        await s.ended(plain, first, victim)

    return main


@since(3, 12, on="asyncio")
def eager_child_stops_its_maker(s):
    """The target is in the middle of its own step, below the frames of the one that asks."""
    async def child(task):
        s.i_am("child")
        task.cancel()  # at: ask

    async def maker():
        asyncio.get_running_loop().create_task(child(asyncio.current_task()))  # at: make
        asyncio.get_running_loop().set_task_factory(None)
        await asyncio.sleep(LONG)

    async def main():
        await s.start()
        task = s.task(maker(), "maker")
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        await s.ended(task)
        made = "create_eager_task_factory.<locals>.factory < BaseEventLoop.create_task < maker:make"
        # The child's frame is not the maker's, though it lies on the maker's stack.
        s.asked("maker", Either(made, "child:ask < " + made), by="child",
                stack="child:ask < %s < loop" % made)

    return main


def ten_thousand(s):
    async def worker():
        await asyncio.sleep(LONG)  # at: nap

    async def main():
        await s.start()
        tasks = [asyncio.get_running_loop().create_task(worker()) for _ in range(10000)]
        s.knows("worker", tasks[0])
        await s.turns()
        for task in tasks:
            task.cancel()  # at: ask
        await s.ended(*tasks)
        s.asked("worker", "sleep < worker:nap", by="main", stack="main:ask < loop")
        s.copies(s.keep(tasks))

    return main


scenario(ten_thousand, "asyncio uvloop alone")
