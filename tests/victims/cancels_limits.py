"""cancels_limits.py - deadlines: wait_for in its two forms, asyncio.timeout, and what looks alike.

Up to 3.11 wait_for gives a coroutine a task of its own and asks that one to stop; from 3.12 on it
is asyncio.timeout inside, and asks the waiting task itself. INNER says which.
"""
import asyncio

from asked import LONG, PYTHON, Either, callback, scenario, since, through, thrown

INNER = PYTHON < (3, 12)
ON_TIMEOUT = "Timeout._on_timeout < loop"


def limited(s, waiting, at, below, inner, delay, place, ends="cancelled", owner_ends="absorbed",
            elapsed=None, after=0, label=None):
    """The request of a wait_for whose deadline passed.

    waiting: the task that waits. at: its frame in that wait. below: the frames of the work.
    inner: the short name of the task that the work has up to 3.11. ends: how the work ends,
    owner_ends: how it ends for the waiting task, from 3.12 on.
    """
    scope = through("wait_for", None, delay, elapsed=elapsed)
    if INNER:
        s.asked(inner, below, by=waiting, why="timeout", scope=scope, ends=ends, after=after,
                stack="_cancel_and_wait < wait_for < %s < loop" % place, label=label)
    else:
        s.asked(waiting, "%s < wait_for < %s" % (below, at), by=callback("Timeout._on_timeout"),
                why="timeout", scope=scope, ends=owner_ends, after=after, stack=ON_TIMEOUT,
                label=label)


# wait_for -------------------------------------------------------------------------


@scenario
def wait_for_obeys(s):
    async def work():
        s.i_am("work" if INNER else "waiting")
        await asyncio.sleep(LONG)  # at: nap

    async def waiting():
        try:
            await asyncio.wait_for(work(), 0.03)  # at: wait
        except asyncio.TimeoutError:
            await asyncio.sleep(0.01)

    async def main():
        await s.start()
        await s.task(waiting(), "waiting")
        limited(s, "waiting", "waiting:wait", "sleep < work:nap", "work", 0.03, "waiting:wait")

    return main


@scenario
def wait_for_slow(s):
    """The work cleans up for 300 ms."""
    async def work():
        s.i_am("work" if INNER else "waiting")
        try:
            await asyncio.sleep(LONG)  # at: nap
        finally:
            await asyncio.sleep(0.3)

    async def waiting():
        await asyncio.wait_for(work(), timeout=0.03)  # at: wait

    async def main():
        await s.start()
        await s.ended(s.task(waiting(), "waiting"))
        limited(s, "waiting", "waiting:wait", "sleep < work:nap", "work", 0.03, "waiting:wait",
                after=0.29)

    return main


@scenario
def wait_for_looked_at(s):
    """Half way through the cleaning up, then over."""
    async def work():
        s.i_am("work" if INNER else "waiting")
        try:
            await asyncio.sleep(LONG)  # at: nap
        finally:
            begun.set()
            await gate.wait()

    async def waiting():
        try:
            await asyncio.wait_for(work(), 0.03)  # at: wait
        except asyncio.TimeoutError:
            await door.wait()

    async def main():
        nonlocal begun, door, gate
        await s.start()
        begun, door, gate = asyncio.Event(), asyncio.Event(), asyncio.Event()
        task = s.task(waiting(), "waiting")
        await begun.wait()
        limited(s, "waiting", "waiting:wait", "sleep < work:nap", "work", 0.03, "waiting:wait",
                label="it")
        await s.look(it="pending")
        gate.set()
        await s.turns()
        await s.look()
        door.set()
        await task

    begun = door = gate = None
    return main


@scenario
def wait_for_swallowed(s):
    """The work goes on without it: a zombie, and the waiting task with it. Then it returns a
    value.
    """
    async def work():
        s.i_am("work" if INNER else "waiting")
        try:
            await asyncio.sleep(LONG)  # at: nap
        except asyncio.CancelledError:
            begun.set()
        await gate.wait()
        return 5

    async def waiting():
        try:
            await asyncio.wait_for(work(), 0.03)  # at: wait
        except asyncio.TimeoutError:  # 3.8 throws the value away
            pass

    async def main():
        nonlocal begun, gate
        await s.start()
        begun, gate = asyncio.Event(), asyncio.Event()
        task = s.task(waiting(), "waiting")
        await begun.wait()
        await s.turns()
        limited(s, "waiting", "waiting:wait", "sleep < work:nap", "work", 0.03, "waiting:wait",
                ends="returned", label="it")
        await s.look(it="swallowed")
        gate.set()
        await task

    begun = gate = None
    return main


@scenario
def wait_for_raises(s):
    """Asked to stop, the work fails instead."""
    async def work():
        s.i_am("work" if INNER else "waiting")
        try:
            await asyncio.sleep(LONG)  # at: nap
        except asyncio.CancelledError:
            raise ValueError("instead")

    async def waiting():
        await asyncio.wait_for(work(), 0.03)  # at: wait

    async def main():
        await s.start()
        await s.ended(s.task(waiting(), "waiting"))
        limited(s, "waiting", "waiting:wait", "sleep < work:nap", "work", 0.03, "waiting:wait",
                ends="raised")

    return main


@scenario
def wait_for_whose_owner_is_cancelled(s):
    async def work():
        s.i_am("work" if INNER else "waiting")
        await asyncio.sleep(LONG)  # at: nap

    async def waiting():
        await asyncio.wait_for(work(), 10)  # at: wait

    async def main():
        await s.start()
        task = s.task(waiting(), "waiting")
        await s.turns()
        task.cancel()  # at: ask
        at = "sleep < work:nap"
        if INNER:
            s.asked("waiting", "wait_for < waiting:wait", by="main", stack="main:ask < loop")
            s.asked("work", at, by="waiting", why="owner_cancelled", cause="waiting",
                    scope=Either(through("wait_for"), through("wait_for", None, 10, elapsed=0)),
                    stack=thrown("_cancel_and_wait < wait_for", "waiting:wait < loop"))
        else:
            s.asked("waiting", at + " < wait_for < waiting:wait", by="main",
                    stack="main:ask < loop")
        await s.ended(task)

    return main


@scenario
def wait_for_owner_cancelled_as_well(s):
    """The deadline passed, the work cleans up, and now somebody stops who waits for it."""
    async def work():
        s.i_am("work" if INNER else "waiting")
        try:
            await asyncio.sleep(LONG)  # at: nap
        finally:
            begun.set()
            await gate.wait()  # at: tidy

    async def waiting():
        await asyncio.wait_for(work(), 0.03)  # at: wait

    async def main():
        nonlocal begun, gate
        await s.start()
        begun, gate = asyncio.Event(), asyncio.Event()
        task = s.task(waiting(), "waiting")
        await begun.wait()
        await s.turns()
        limited(s, "waiting", "waiting:wait", "sleep < work:nap", "work", 0.03, "waiting:wait",
                label="deadline")
        task.cancel()  # at: ask
        s.asked("waiting", "_cancel_and_wait < wait_for < waiting:wait" if INNER else
                "Event.wait < work:tidy < wait_for < waiting:wait", by="main",
                stack="main:ask < loop", label="stop")
        if INNER:  # who waits goes, the work is left alone with its cleaning up
            await s.turns()
            await s.look(deadline="pending")
            gate.set()
            await s.ended(s.of["work"])
        await s.ended(task)

    begun = gate = None
    return main


@scenario
def wait_for_no_time(s):
    """A timeout of 0: the work is asked before it begins, in a task of its own on every version."""
    async def work():
        pass

    async def waiting(timeout):
        try:
            await asyncio.wait_for(work(), timeout)  # at: wait
        except asyncio.TimeoutError:
            pass

    async def main():
        await s.start()
        for label, timeout in (("zero", 0), ("negative", -1)):
            s.unseen("work " + label, "work")
            await s.task(waiting(timeout), label)
            s.asked("work " + label, "work:def", by=label, why="timeout",
                    scope=through("wait_for", None, timeout, elapsed=0),
                    stack="_cancel_and_wait < wait_for < waiting:wait < loop")

    return main


@scenario
def wait_for_in_time(s):
    """Deadlines that do not pass are nobody's business."""
    async def work():
        await asyncio.sleep(0.005)

    async def main():
        await s.start()
        await asyncio.wait_for(work(), 10)
        await asyncio.wait_for(asyncio.shield(work()), 10)
        await asyncio.wait_for(asyncio.gather(work(), work()), None)

    return main


@scenario
def wait_for_a_task(s):
    async def work():
        await asyncio.sleep(LONG)  # at: nap

    async def waiting(task):
        try:
            await asyncio.wait_for(task, 0.03)  # at: wait
        except asyncio.TimeoutError:
            pass

    async def main():
        await s.start()
        task = s.task(work(), "work")
        await s.task(waiting(task), "waiting")
        deadline = through("wait_for", None, 0.03)
        if INNER:
            s.asked("work", "sleep < work:nap", by="waiting", why="timeout", scope=deadline,
                    stack="_cancel_and_wait < wait_for < waiting:wait < loop")
        else:
            s.asked("waiting", "wait_for < waiting:wait", by=callback("Timeout._on_timeout"),
                    why="timeout", scope=deadline, stack=ON_TIMEOUT, ends="absorbed")
            s.asked("work", "sleep < work:nap", by=callback("Timeout._on_timeout"),
                    why="owner_cancelled", stack=ON_TIMEOUT, cause="waiting",
                    # What the user wrote round the task is wait_for; its deadline is told above.
                    scope=Either(through("wait_for"),
                                 through("wait_for", None, 0.03, known=False)))

    return main


@scenario
def wait_for_over_shield(s):
    """Who is shielded is not asked. Up to 3.11 nobody is: what is cancelled is a future."""
    async def work():
        await gate.wait()

    async def waiting(task):
        try:
            await asyncio.wait_for(asyncio.shield(task), 0.03)  # at: wait
        except asyncio.TimeoutError:
            pass

    async def main():
        nonlocal gate
        await s.start()
        gate = asyncio.Event()
        task = s.task(work(), "work")
        await s.task(waiting(task), "waiting")
        if not INNER:
            s.asked("waiting", "wait_for < waiting:wait", by=callback("Timeout._on_timeout"),
                    why="timeout", scope=through("wait_for", None, 0.03), stack=ON_TIMEOUT,
                    ends="absorbed")
        await s.look()
        gate.set()
        await task

    gate = None
    return main


@scenario
def wait_for_over_gather(s):
    """Up to 3.11 the deadline asks the children themselves, without a record of their owner."""
    async def child():
        await asyncio.sleep(LONG)  # at: nap

    async def waiting(one, two):
        try:
            await asyncio.wait_for(s.called("both", asyncio.gather(one, two)), 0.03)  # at: wait
        except asyncio.TimeoutError:
            pass

    async def main():
        await s.start()
        one, two = s.task(child(), "one"), s.task(child(), "two")
        await s.task(waiting(one, two), "waiting")
        deadline = through("wait_for", None, 0.03)
        if INNER:
            for name in ("one", "two"):
                s.asked(name, "sleep < child:nap", by="waiting", why="timeout", scope=deadline,
                        stack="_GatheringFuture.cancel < _cancel_and_wait < wait_for < "
                        "waiting:wait < loop")
        else:
            s.asked("waiting", "wait_for < waiting:wait", by=callback("Timeout._on_timeout"),
                    why="timeout", scope=deadline, stack=ON_TIMEOUT, ends="absorbed")
            for name in ("one", "two"):
                s.asked(name, "sleep < child:nap", by=callback("Timeout._on_timeout"),
                        why="owner_cancelled", scope=through("gather", "both"), cause="waiting",
                        stack="_GatheringFuture.cancel < " + ON_TIMEOUT)

    return main


@scenario
def wait_for_over_gather_whose_owner_is_cancelled(s):
    async def child():
        await asyncio.sleep(LONG)  # at: nap

    async def waiting(one, two):
        await asyncio.wait_for(s.called("both", asyncio.gather(one, two)), 10)  # at: wait

    async def main():
        await s.start()
        one, two = s.task(child(), "one"), s.task(child(), "two")
        task = s.task(waiting(one, two), "waiting")
        await s.turns()
        task.cancel()  # at: ask
        s.asked("waiting", "wait_for < waiting:wait", by="main", stack="main:ask < loop")
        for name in ("one", "two"):
            s.asked(name, "sleep < child:nap", by="waiting" if INNER else "main",
                    why="owner_cancelled", cause="waiting",
                    # Up to 3.11 it is wait_for that cancels the gather: both are what was written.
                    scope=Either(through("gather", "both"), through("wait_for"),
                                 through("wait_for", None, 10, elapsed=0)) if INNER
                    else through("gather", "both"),
                    stack=thrown("_GatheringFuture.cancel < _cancel_and_wait < wait_for",
                                 "waiting:wait < loop") if INNER
                    else "_GatheringFuture.cancel < main:ask < loop")
        await s.ended(task)

    return main


@scenario
def wait_for_in_wait_for(s):
    """Both ways round: the inner deadline passes, the outer one."""
    async def work(name):
        s.i_am(name if INNER else name.replace("work", "waiting"))
        await asyncio.sleep(LONG)  # at: nap

    async def middle(name, inner, outer):
        if INNER:
            s.i_am(name.replace("work", "middle"))
        await asyncio.wait_for(work(name), inner)  # at: middle

    async def waiting(name, inner, outer):
        try:
            await asyncio.wait_for(middle(name, inner, outer), outer)  # at: wait
        except asyncio.TimeoutError:
            pass

    async def main():
        await s.start()
        stack = "_cancel_and_wait < wait_for < %s < loop"
        long_at = "sleep < work:nap < wait_for < middle:middle < wait_for < waiting:wait"
        await s.task(waiting("work 1", 0.03, 10), "waiting 1")
        scope = through("wait_for", None, 0.03)
        if INNER:
            s.asked("work 1", "sleep < work:nap", by="middle 1", why="timeout", scope=scope,
                    stack=stack % "middle:middle")
        else:
            s.asked("waiting 1", long_at, by=callback("Timeout._on_timeout"), why="timeout",
                    scope=scope, stack=ON_TIMEOUT, ends="absorbed")
        await s.task(waiting("work 2", 10, 0.04), "waiting 2")
        scope = through("wait_for", None, 0.04)
        if INNER:
            s.asked("middle 2", "wait_for < middle:middle", by="waiting 2", why="timeout",
                    scope=scope, stack=stack % "waiting:wait")
            s.asked("work 2", "sleep < work:nap", by="middle 2", why="owner_cancelled",
                    scope=Either(through("wait_for"), through("wait_for", None, 10, elapsed=0.04)),
                    stack=thrown("_cancel_and_wait < wait_for", "middle:middle < loop"),
                    cause="middle 2")
        else:
            s.asked("waiting 2", long_at, by=callback("Timeout._on_timeout"), why="timeout",
                    scope=scope, stack=ON_TIMEOUT, ends="absorbed")

    return main


@scenario
def wait_for_in_a_clean_up(s):
    """A deadline that passes while its owner unwinds: why is still the deadline."""
    async def closes():
        s.i_am("closes" if INNER else "worker")
        await asyncio.sleep(LONG)  # at: close

    async def worker():
        try:
            await asyncio.sleep(LONG)  # at: nap
        except asyncio.CancelledError:
            try:
                await asyncio.wait_for(closes(), 0.03)  # at: wait
            except asyncio.TimeoutError:
                pass
            raise

    async def main():
        await s.start()
        task = s.task(worker(), "worker")
        await s.turns()
        task.cancel()  # at: ask
        s.asked("worker", "sleep < worker:nap", by="main", stack="main:ask < loop", label="stop")
        await s.ended(task)
        scope = through("wait_for", None, 0.03)
        if INNER:  # the requester unwinds from the stop, and that is what a cause is
            s.asked("closes", "sleep < closes:close", by="worker", why="timeout", scope=scope,
                    stack="_cancel_and_wait < wait_for < worker:wait < loop", cause="stop")
        else:
            s.asked("worker", "sleep < closes:close < wait_for < worker:wait", why="timeout",
                    by=callback("Timeout._on_timeout"), scope=scope, stack=ON_TIMEOUT,
                    ends="absorbed", label="deadline")

    return main


@scenario
def wait_for_shared_work(s):
    """Two wait for one task, each with a deadline of its own."""
    async def work():
        await asyncio.sleep(LONG)  # at: nap

    async def waiting(task, delay):
        try:
            await asyncio.wait_for(task, delay)  # at: wait
        except (asyncio.TimeoutError, asyncio.CancelledError):
            pass

    async def main():
        await s.start()
        task = s.task(work(), "work")
        patient = s.task(waiting(task, 10), "patient")
        hasty = s.task(waiting(task, 0.03), "hasty")
        await s.ended(patient, hasty)
        deadline = through("wait_for", None, 0.03)
        if INNER:
            s.asked("work", "sleep < work:nap", by="hasty", why="timeout", scope=deadline,
                    stack="_cancel_and_wait < wait_for < waiting:wait < loop")
        else:
            s.asked("hasty", "wait_for < waiting:wait", by=callback("Timeout._on_timeout"),
                    why="timeout", scope=deadline, stack=ON_TIMEOUT, ends="absorbed")
            s.asked("work", "sleep < work:nap", by=callback("Timeout._on_timeout"),
                    why="owner_cancelled", stack=ON_TIMEOUT, cause="hasty",
                    scope=Either(through("wait_for"),
                                 through("wait_for", None, 0.03, known=False)))

    return main


@scenario
def wait_for_late(s):
    """The loop was held up: the deadline was 30 ms, what passed is 150."""
    import time

    async def work():
        s.i_am("work" if INNER else "waiting")
        await asyncio.sleep(LONG)  # at: nap

    async def waiting():
        try:
            await asyncio.wait_for(work(), 0.03)  # at: wait
        except asyncio.TimeoutError:
            pass

    async def main():
        await s.start()
        task = s.task(waiting(), "waiting")
        await s.turns()
        time.sleep(0.15)
        await task
        limited(s, "waiting", "waiting:wait", "sleep < work:nap", "work", 0.03, "waiting:wait",
                elapsed=0.14)

    return main


# asyncio.timeout ------------------------------------------------------------------


@since(3, 11)
def timeout_caught(s):
    """The task's own code catches it and goes on: absorbed, and no zombie."""
    async def worker():
        try:
            async with asyncio.timeout(0.03) as limit:
                s.called("limit", limit)
                await asyncio.sleep(LONG)  # at: nap
        except TimeoutError:
            begun.set()
            await gate.wait()

    async def main():
        nonlocal begun, gate
        await s.start()
        begun, gate = asyncio.Event(), asyncio.Event()
        task = s.task(worker(), "worker")
        await begun.wait()
        s.asked("worker", "sleep < worker:nap", by=callback("Timeout._on_timeout"), why="timeout",
                scope=through("timeout", "limit", 0.03, known=False), stack=ON_TIMEOUT,
                ends="absorbed")
        await s.look()
        gate.set()
        await task

    begun = gate = None
    return main


@since(3, 11)
def timeout_ends_the_task(s):
    """Nobody catches the TimeoutError: the request was absorbed all the same."""
    async def worker():
        async with asyncio.timeout(0.03) as limit:
            s.called("limit", limit)
            await asyncio.sleep(LONG)  # at: nap

    async def main():
        await s.start()
        await s.ended(s.task(worker(), "worker"))
        s.asked("worker", "sleep < worker:nap", by=callback("Timeout._on_timeout"), why="timeout",
                scope=through("timeout", "limit", 0.03, known=False), stack=ON_TIMEOUT,
                ends="absorbed")

    return main


@since(3, 11)
def timeout_further_out(s):
    """The block is written by neither the coroutine of the task nor the one that it stops."""
    async def query():
        await asyncio.sleep(LONG)  # at: nap

    async def limited_query():
        async with asyncio.timeout(0.03) as limit:
            s.called("limit", limit)
            await query()  # at: ask

    async def worker():
        await limited_query()  # at: call

    async def main():
        await s.start()
        await s.ended(s.task(worker(), "worker"))
        s.asked("worker", "sleep < query:nap < limited_query:ask < worker:call",
                by=callback("Timeout._on_timeout"), why="timeout", stack=ON_TIMEOUT, ends="absorbed",
                scope=through("timeout", "limit", 0.03, known=False, within="limited_query"))

    return main


@since(3, 11)
def timeouts_nested(s):
    async def worker(outer, inner):
        try:
            async with asyncio.timeout(outer) as limit:
                s.called("outer", limit)
                async with asyncio.timeout(inner) as limit:
                    s.called("inner", limit)
                    await asyncio.sleep(LONG)  # at: nap
        except TimeoutError:
            pass

    async def main():
        await s.start()
        for label, outer, inner in (("inner", 10, 0.03), ("outer", 0.04, 10)):
            await s.task(worker(outer, inner), label + " fires")
            s.asked(label + " fires", "sleep < worker:nap", by=callback("Timeout._on_timeout"),
                    why="timeout", stack=ON_TIMEOUT, ends="absorbed",
                    scope=through("timeout", label, min(outer, inner), known=False,
                                  within="worker"))

    return main


@since(3, 11)
def timeouts_both(s):
    """The inner one fires, the cleaning up takes long, and so the outer one fires too."""
    async def worker():
        try:
            async with asyncio.timeout(0.06) as limit:
                s.called("outer", limit)
                async with asyncio.timeout(0.03) as limit:
                    s.called("inner", limit)
                    try:
                        await asyncio.sleep(LONG)  # at: nap
                    finally:
                        await asyncio.sleep(LONG)  # at: tidy
        except TimeoutError:
            begun.set()
            await gate.wait()

    async def main():
        nonlocal begun, gate
        await s.start()
        begun, gate = asyncio.Event(), asyncio.Event()
        task = s.task(worker(), "worker")
        await begun.wait()
        for label, at, delay in (("inner", "nap", 0.03), ("outer", "tidy", 0.06)):
            s.asked("worker", "sleep < worker:" + at, by=callback("Timeout._on_timeout"),
                    why="timeout", stack=ON_TIMEOUT, ends="absorbed", label=label,
                    scope=through("timeout", label, delay, known=False))
        await s.look()
        gate.set()
        await task

    begun = gate = None
    return main


@since(3, 11)
def timeouts_rescheduled(s):
    async def worker(name, limit, when):
        try:
            async with limit:
                s.called(name, limit)
                limit.reschedule(when())
                await asyncio.sleep(LONG)  # at: nap
        except TimeoutError:
            pass

    async def main():
        await s.start()
        now = asyncio.get_running_loop().time
        for name, limit, when in (
                ("sooner", asyncio.timeout(10), lambda: now() + 0.03),
                ("later", asyncio.timeout(0.01), lambda: now() + 0.05),
                ("set at last", asyncio.timeout(None), lambda: now() + 0.03),
                ("past", asyncio.timeout(10), lambda: now() - 1)):
            delay = {"later": 0.05, "past": -1}.get(name, 0.03)
            await s.task(worker(name, limit, when), name)
            # What it was first set to is not the time that was allowed.
            scope = through("timeout", name, delay, known=False, elapsed=max(delay, 0), moved=True)
            if delay < 0:  # no time at all
                scope = Either(scope, through("timeout", name, 0, known=False, moved=True))
            s.asked(name, "sleep < worker:nap", by=callback("Timeout._on_timeout"),
                    why="timeout", stack=ON_TIMEOUT, ends="absorbed", scope=scope)

    return main


@since(3, 11)
def timeouts_of_other_forms(s):
    async def worker(name, limit):
        try:
            async with limit:
                s.called(name, limit)
                await asyncio.sleep(LONG)  # at: nap
        except TimeoutError:
            pass

    async def main():
        await s.start()
        now = asyncio.get_running_loop().time()
        for name, limit, delay in (("at", lambda: asyncio.timeout_at(now + 0.2), None),
                                   ("no time", lambda: asyncio.timeout(0), 0),
                                   ("less", lambda: asyncio.timeout(-5), -5)):
            start = asyncio.get_running_loop().time()
            await s.task(worker(name, limit()), name)
            if delay is None:
                delay = now + 0.2 - start
            s.asked(name, "sleep < worker:nap", by=callback("Timeout._on_timeout"),
                    why="timeout", stack=ON_TIMEOUT, ends="absorbed",
                    scope=through("timeout", name, delay, known=False, elapsed=max(delay, 0)))

    return main


@since(3, 11)
def timeout_swallowed(s):
    """The body swallows it and stays in the block: a zombie until the block takes the request
    back.
    """
    async def worker():
        async with asyncio.timeout(0.03) as limit:
            s.called("limit", limit)
            try:
                await asyncio.sleep(LONG)  # at: nap
            except asyncio.CancelledError:
                begun.set()
            await gate.wait()
        await door.wait()

    async def main():
        nonlocal begun, door, gate
        await s.start()
        begun, door, gate = asyncio.Event(), asyncio.Event(), asyncio.Event()
        task = s.task(worker(), "worker")
        await begun.wait()
        await s.turns()
        s.asked("worker", "sleep < worker:nap", by=callback("Timeout._on_timeout"), why="timeout",
                scope=through("timeout", "limit", 0.03, known=False), stack=ON_TIMEOUT,
                ends="absorbed")
        await s.look(worker="swallowed")
        gate.set()
        await s.turns()
        await s.look()
        door.set()
        await task

    begun = door = gate = None
    return main


@since(3, 11)
def timeout_looked_at(s):
    async def worker():
        try:
            async with asyncio.timeout(0.03) as limit:
                s.called("limit", limit)
                try:
                    await asyncio.sleep(LONG)  # at: nap
                finally:
                    begun.set()
                    await gate.wait()
        except TimeoutError:
            pass

    async def main():
        nonlocal begun, gate
        await s.start()
        begun, gate = asyncio.Event(), asyncio.Event()
        task = s.task(worker(), "worker")
        await begun.wait()
        await s.turns()
        s.asked("worker", "sleep < worker:nap", by=callback("Timeout._on_timeout"), why="timeout",
                scope=through("timeout", "limit", 0.03, known=False), stack=ON_TIMEOUT,
                ends="absorbed")
        await s.look(worker="pending")
        gate.set()
        await task

    begun = gate = None
    return main


@since(3, 11)
def timeout_and_something_else(s):
    """The body turns the request into an exception of its own."""
    async def worker():
        async with asyncio.timeout(0.03) as limit:
            s.called("limit", limit)
            try:
                await asyncio.sleep(LONG)  # at: nap
            except asyncio.CancelledError:
                raise ValueError("instead")

    async def main():
        await s.start()
        await s.ended(s.task(worker(), "worker"))
        s.asked("worker", "sleep < worker:nap", by=callback("Timeout._on_timeout"), why="timeout",
                scope=through("timeout", "limit", 0.03, known=False), stack=ON_TIMEOUT,
                ends="absorbed")

    return main


@since(3, 11)
def timeout_and_a_stop(s):
    """In one turn of the loop the deadline passes and somebody stops the task: both count."""
    async def worker():
        async with asyncio.timeout(0.03) as limit:
            s.called("limit", limit)
            limit.reschedule(asyncio.get_running_loop().time() - 1)
            asyncio.get_running_loop().call_soon(asyncio.current_task().cancel)
            await asyncio.sleep(LONG)  # at: nap

    async def main():
        await s.start()
        task = s.task(worker(), "worker")
        await s.ended(task)
        assert task.cancelled()
        s.asked("worker", "sleep < worker:nap", by=callback("Timeout._on_timeout"), why="timeout",
                scope=Either(through("timeout", "limit", -1, known=False, elapsed=0, moved=True),
                             through("timeout", "limit", 0, known=False, moved=True)),
                stack=ON_TIMEOUT,
                ends="absorbed", label="deadline")
        s.asked("worker", "sleep < worker:nap", by=callback("=Task.cancel"), stack="loop",
                label="stop")

    return main


@since(3, 11)
def timeout_in_a_clean_up(s):
    async def worker():
        try:
            await asyncio.sleep(LONG)  # at: nap
        except asyncio.CancelledError:
            try:
                async with asyncio.timeout(0.03) as limit:
                    s.called("limit", limit)
                    await asyncio.sleep(LONG)  # at: tidy
            except (TimeoutError, asyncio.CancelledError):  # the first 3.11s: not turned into one
                begun.set()
                await gate.wait()
            raise

    async def main():
        nonlocal begun, gate
        await s.start()
        begun, gate = asyncio.Event(), asyncio.Event()
        task = s.task(worker(), "worker")
        await s.turns()
        task.cancel()  # at: ask
        s.asked("worker", "sleep < worker:nap", by="main", stack="main:ask < loop", label="stop")
        await begun.wait()
        s.asked("worker", "sleep < worker:tidy", by=callback("Timeout._on_timeout"),
                why="timeout", scope=through("timeout", "limit", 0.03, known=False),
                stack=ON_TIMEOUT, ends="absorbed", label="deadline")
        await s.look(stop="pending")
        gate.set()
        await s.ended(task)

    begun = gate = None
    return main


@since(3, 11)
def timeout_round_a_task(s):
    async def inner():
        await asyncio.sleep(LONG)  # at: nap

    async def worker():
        try:
            async with asyncio.timeout(0.03) as limit:
                s.called("limit", limit)
                await s.task(inner(), "inner")  # at: wait
        except TimeoutError:
            pass

    async def main():
        await s.start()
        await s.task(worker(), "worker")
        s.asked("worker", "worker:wait", by=callback("Timeout._on_timeout"), why="timeout",
                scope=through("timeout", "limit", 0.03, known=False), stack=ON_TIMEOUT,
                ends="absorbed")
        s.asked("inner", "sleep < inner:nap", by=callback("Timeout._on_timeout"),
                why="owner_cancelled", scope=through("await"), stack=ON_TIMEOUT, cause="worker")

    return main


@since(3, 11)
def timeout_round_gather(s):
    async def child():
        await asyncio.sleep(LONG)  # at: nap

    async def worker():
        try:
            async with asyncio.timeout(0.03) as limit:
                s.called("limit", limit)
                both = asyncio.gather(s.task(child(), "a"), s.task(child(), "b"))
                await s.called("both", both)  # at: wait
        except TimeoutError:
            pass

    async def main():
        await s.start()
        await s.task(worker(), "worker")
        s.asked("worker", "worker:wait", by=callback("Timeout._on_timeout"), why="timeout",
                scope=through("timeout", "limit", 0.03, known=False), stack=ON_TIMEOUT,
                ends="absorbed")
        for name in "ab":
            s.asked(name, "sleep < child:nap", by=callback("Timeout._on_timeout"),
                    why="owner_cancelled", scope=through("gather", "both"), cause="worker",
                    stack="_GatheringFuture.cancel < " + ON_TIMEOUT)

    return main


@since(3, 11)
def timeout_round_wait_for(s):
    """The trap: what expires is the timeout, not the wait_for inside of it."""
    async def work():
        s.i_am("work" if INNER else "worker")
        await asyncio.sleep(LONG)  # at: nap

    async def worker():
        try:
            async with asyncio.timeout(0.03) as limit:
                s.called("limit", limit)
                await asyncio.wait_for(work(), 10)  # at: wait
        except TimeoutError:
            pass

    async def main():
        await s.start()
        await s.task(worker(), "worker")
        scope = through("timeout", "limit", 0.03, known=False)
        by = callback("Timeout._on_timeout")
        if INNER:
            s.asked("worker", "wait_for < worker:wait", by=by, why="timeout", scope=scope,
                    stack=ON_TIMEOUT, ends="absorbed")
            s.asked("work", "sleep < work:nap", by="worker", why="owner_cancelled",
                    scope=Either(through("wait_for"), through("wait_for", None, 10, elapsed=0.03)),
                    stack="_cancel_and_wait < wait_for < worker:wait < loop", cause="worker")
        else:
            s.asked("worker", "sleep < work:nap < wait_for < worker:wait", by=by, why="timeout",
                    scope=scope, stack=ON_TIMEOUT, ends="absorbed")

    return main


@since(3, 11)
def wait_for_round_timeout(s):
    """And the other way round."""
    async def work():
        s.i_am("work" if INNER else "worker")
        async with asyncio.timeout(10):
            await asyncio.sleep(LONG)  # at: nap

    async def worker():
        try:
            await asyncio.wait_for(work(), 0.03)  # at: wait
        except TimeoutError:
            pass

    async def main():
        await s.start()
        await s.task(worker(), "worker")
        limited(s, "worker", "worker:wait", "sleep < work:nap", "work", 0.03, "worker:wait")

    return main


@since(3, 11)
def timeout_in_wait_for(s):
    """The same nest, and the timeout inside of the wait_for is what expires."""
    async def work():
        s.i_am("work" if INNER else "worker")
        try:
            async with asyncio.timeout(0.03) as limit:
                s.called("limit", limit)
                await asyncio.sleep(LONG)  # at: nap
        except TimeoutError:
            pass

    async def worker():
        await asyncio.wait_for(work(), 10)  # at: wait

    async def main():
        await s.start()
        await s.task(worker(), "worker")
        s.asked("work" if INNER else "worker", "sleep < work:nap" if INNER else
                "sleep < work:nap < wait_for < worker:wait", by=callback("Timeout._on_timeout"),
                why="timeout", scope=through("timeout", "limit", 0.03, known=False),
                stack=ON_TIMEOUT, ends="absorbed")

    return main


@since(3, 11)
def timeout_in_a_suspended_generator(s):
    """PEP 789: the block belongs to a generator that stands at its yield; the request hits who
    iterates.
    """
    async def numbers():
        async with asyncio.timeout(0.03) as limit:
            s.called("limit", limit)
            yield 1

    async def worker():
        async for _ in numbers():
            await asyncio.sleep(LONG)  # at: nap

    async def main():
        await s.start()
        task = s.task(worker(), "worker")
        await s.ended(task)
        assert task.cancelled()
        s.asked("worker", "sleep < worker:nap", by=callback("Timeout._on_timeout"), why="timeout",
                scope=through("timeout", "limit", 0.03, known=False), stack=ON_TIMEOUT,
                ends="cancelled")
        await s.turns()

    return main


@since(3, 11)
def deadline_by_hand(s):
    """A timer of somebody's own is not a timeout: that it was meant as one is not to be seen."""
    async def worker():
        await asyncio.sleep(LONG)  # at: nap

    class Deadline:
        def __init__(self, task):
            self.task = task

        def _on_timeout(self):
            self.task.cancel()  # at: ask

    async def main():
        await s.start()
        task = s.task(worker(), "worker")
        asyncio.get_running_loop().call_later(0.02, Deadline(task)._on_timeout)
        await s.ended(task)
        s.asked("worker", "sleep < worker:nap", by=callback("Deadline._on_timeout"),
                stack="Deadline._on_timeout:ask < loop")

    return main


@scenario
def wait_for_by_another_name(s):
    """A function of one's own that is called wait_for is not the library's."""
    async def work():
        await asyncio.sleep(LONG)  # at: nap

    async def wait_for(task, timeout):
        await asyncio.sleep(timeout)
        task.cancel()  # at: ask

    async def main():
        await s.start()
        task = s.task(work(), "work")
        await s.task(wait_for(task, 0.01), "waiting")
        s.asked("work", "sleep < work:nap", by="waiting", stack="wait_for:ask < loop")
        await s.ended(task)

    return main
