"""scopes.py - tasks inside of groups and timeouts, waiting for locks, being cancelled; standing still.

Each scenario says, next to the code that makes it so, which scopes there are,
when the first time limit of a wait ends, which object is waited for, and who is
handling a CancelledError. `--still` leaves out what `python -m asyncio` cannot
tell: running tasks, async generators, what leads from one loop to another.
"""
import asyncio
import sys
import threading
import time
import types

import truth
from truth import LONG

truth.started()

SCENE = truth.Scene()
SCENE.scopes = {}
says, edge, here, scope = SCENE.says, SCENE.edge, SCENE.here, SCENE.scope
KEEP = []
SCENARIOS = []
PYTHON = sys.version_info[:2]
STILL = "--still" in sys.argv
OUTER_TASK = PYTHON < (3, 12)  # wait_for gives a coroutine a task of its own


def scenario(function):
    SCENARIOS.append(function)
    return function


def since_311(function):
    if PYTHON >= (3, 11):
        SCENARIOS.append(function)
    return function


def keep(*objects):
    KEEP.extend(objects)
    return objects[0]


def spawn(coro, name, wait, text=None, on=None):
    """A task that is told of; on: the object that it waits for."""
    says(name, wait, text)
    if on is not None:
        SCENE.objects[name] = keep(on)
    return keep(asyncio.get_running_loop().create_task(coro, name=name))


def ends(name, delay):
    """Its wait ends after so many seconds from now at the latest; None: nobody knows when."""
    SCENE.ends[name] = None if delay is None else time.monotonic() + delay


def future():
    return keep(asyncio.get_running_loop().create_future())


async def rest(name=None, delay=LONG):
    """Sleep; name: the end of the sleep is the limit of this task."""
    if name:
        ends(name, delay)
    here()
    await asyncio.sleep(delay)


async def turns(n=3):
    for _ in range(n):
        await asyncio.sleep(0)


async def quick():
    pass


async def on(one):
    here()
    return await one


# Groups -----------------------------------------------------------------------


def member(group, coro, name, wait):
    says(name, wait)
    return keep(group.create_task(coro, name=name))


@since_311
async def groups():
    async def leaving():
        async with asyncio.TaskGroup() as group:
            scope("leaving", "task_group", group, "leaving", tasks=["leaving-a", "leaving-b"])
            member(group, rest(), "leaving-a", "sleep")
            member(group, rest(), "leaving-b", "sleep")
            ends("leaving", None)
            here()

    spawn(leaving(), "leaving", "group", r"\b2\b")
    for awaited in ("leaving-a", "leaving-b"):
        edge("leaving", awaited, "task_group")

    async def empty():
        async with asyncio.TaskGroup() as group:
            scope("empty", "task_group", group, "empty")
            await rest("empty")

    spawn(empty(), "empty", "sleep")

    async def all_done():
        async with asyncio.TaskGroup() as group:
            scope("all-done", "task_group", group, "all-done")
            await group.create_task(quick())
            await rest()

    spawn(all_done(), "all-done", "sleep")

    async def nested():
        async with asyncio.TaskGroup() as outer, asyncio.TaskGroup() as middle:
            scope("outer", "task_group", outer, "nested", tasks=["in-outer"])
            scope("middle", "task_group", middle, "nested", "outer", tasks=["in-middle"])
            member(outer, rest(), "in-outer", "sleep")
            member(middle, rest(), "in-middle", "sleep")
            await deeper(outer)

    async def deeper(outer):
        try:
            async with asyncio.TaskGroup() as inner:
                scope("inner", "task_group", inner, "nested", "middle", tasks=["in-inner"])
                member(inner, below(), "in-inner", "group")
                here()
        finally:
            KEEP.append(outer)

    async def below():
        async with asyncio.TaskGroup() as group:
            scope("below", "task_group", group, "in-inner", "inner", tasks=["in-below"])
            member(group, rest(), "in-below", "sleep")
            here()

    spawn(nested(), "nested", "group")
    for awaited in ("in-outer", "in-middle", "in-inner"):
        edge("nested", awaited, "task_group")
    edge("in-inner", "in-below", "task_group")

    async def adopting():
        async with asyncio.TaskGroup() as group:
            scope("adopting", "task_group", group, "adopting",
                  tasks=["adopter", "adopted"])
            member(group, adopts(group), "adopter", "sleep")
            here()

    async def adopts(group):
        member(group, rest(), "adopted", "sleep")
        await rest()

    spawn(adopting(), "adopting", "group")
    for awaited in ("adopter", "adopted"):
        edge("adopting", awaited, "task_group")


@since_311
async def ending_groups():
    async def stubborn(name):
        SCENE.handling.add(name)
        try:
            await asyncio.sleep(LONG)
        except asyncio.CancelledError:
            await rest()

    async def fails():
        raise ValueError("on purpose")

    async def failed():
        async with asyncio.TaskGroup() as group:
            scope("failed", "task_group", group, "failed", tasks=["failed-child"], stopped=True)
            member(group, stubborn("failed-child"), "failed-child", "sleep")
            await turns()
            group.create_task(fails())
            here()

    spawn(failed(), "failed", "group")
    SCENE.leaving.add("failed")  # asked to stop by its own group
    edge("failed", "failed-child", "task_group")

    async def cancelled():
        async with asyncio.TaskGroup() as group:
            scope("cancelled", "task_group", group, "cancelled", tasks=["cancelled-child"],
                  stopped=True)
            member(group, stubborn("cancelled-child"), "cancelled-child", "sleep")
            here()
            await asyncio.sleep(LONG)

    task = spawn(cancelled(), "cancelled", "group")
    SCENE.handling.add("cancelled")
    edge("cancelled", "cancelled-child", "task_group")
    await turns()
    task.cancel()

    async def body_failed():
        async with asyncio.TaskGroup() as group:
            scope("body-failed", "task_group", group, "body-failed", tasks=["body-failed-child"],
                  stopped=True)
            member(group, stubborn("body-failed-child"), "body-failed-child", "sleep")
            await turns()
            here()
            raise ValueError("on purpose")

    spawn(body_failed(), "body-failed", "group")
    edge("body-failed", "body-failed-child", "task_group")


# Time limits --------------------------------------------------------------------


@since_311
async def timeouts():
    async def plain():
        async with asyncio.timeout(5000) as timeout:
            scope("plain", "timeout", timeout, "plain")
            ends("plain", 5000)
            here()
            await future()

    spawn(plain(), "plain", "future", ", timeout")

    async def longer():
        async with asyncio.timeout(5000) as timeout:
            scope("longer", "timeout", timeout, "longer")
            await rest("longer", 1000)

    spawn(longer(), "longer", "sleep", "sleep 1000 s")

    async def shorter():
        async with asyncio.timeout(1000) as timeout:
            scope("shorter", "timeout", timeout, "shorter")
            ends("shorter", 1000)
            here()
            await asyncio.sleep(5000)

    spawn(shorter(), "shorter", "sleep", "sleep 5000 s, timeout")

    async def three():
        async with asyncio.timeout(6000) as first:
            scope("three-1", "timeout", first, "three")
            async with asyncio.timeout(4000) as second:
                scope("three-2", "timeout", second, "three", "three-1")
                await inner()

    async def inner():
        async with asyncio.timeout_at(time.monotonic() + 8000) as third:
            scope("three-3", "timeout", third, "three", "three-2")
            ends("three", 4000)
            await on(future())

    spawn(three(), "three", "future", ", timeout")

    async def never():
        async with asyncio.timeout(None) as timeout:
            scope("never", "timeout", timeout, "never")
            ends("never", None)
            await on(future())

    spawn(never(), "never", "future")

    async def moved():
        async with asyncio.timeout(7000) as timeout:
            scope("moved", "timeout", timeout, "moved")
            timeout.reschedule(time.monotonic() + 3000)
            ends("moved", 3000)
            await on(future())

    spawn(moved(), "moved", "future", ", timeout")

    async def generator():
        async with asyncio.timeout(2000) as timeout:
            scope("generator", "timeout", timeout, "generator")
            ends("generator", 2000)
            await on(future())
            yield 1

    async def iterates():
        async for _ in generator():
            pass

    if not STILL:
        spawn(iterates(), "generator", "future", ", timeout")

    async def mixed():
        async with asyncio.timeout(3000) as timeout:
            scope("mixed", "timeout", timeout, "mixed")
            async with asyncio.TaskGroup() as group:
                scope("mixed-group", "task_group", group, "mixed", "mixed", tasks=["mixed-child"])
                member(group, child(), "mixed-child", "future")
                async with asyncio.timeout(6000) as inner:
                    scope("mixed-inner", "timeout", inner, "mixed", "mixed-group")
                    ends("mixed", 3000)
                    await on(future())

    async def child():
        async with asyncio.timeout(9000) as timeout:
            scope("mixed-own", "timeout", timeout, "mixed-child", "mixed-group")
            ends("mixed-child", 9000)
            await on(future())

    spawn(mixed(), "mixed", "future", ", timeout")
    edge("mixed", "mixed-child", "task_group")

    async def leaves_group():
        async with asyncio.timeout(3000) as timeout, asyncio.TaskGroup() as group:
            scope("timed-exit", "timeout", timeout, "timed-exit")
            scope("timed-exit-group", "task_group", group, "timed-exit", "timed-exit",
                  tasks=["timed-exit-child"])
            member(group, rest(), "timed-exit-child", "sleep")
            ends("timed-exit", 3000)
            here()

    spawn(leaves_group(), "timed-exit", "group", ", timeout")
    edge("timed-exit", "timed-exit-child", "task_group")


@scenario
async def wait_fors():
    def timeouts(name, *delays):
        """From 3.12 on a wait_for is a timeout; the outermost first."""
        label = None
        for delay in delays:
            if not OUTER_TASK:
                scope("%s-%s" % (name, delay), "timeout", delay, name, label)
            label = "%s-%s" % (name, delay)

    async def limited(name, what, delay=7000):
        ends(name, delay)
        timeouts(name, delay)
        here()
        await asyncio.wait_for(what, delay)

    spawn(limited("limit-future", future()), "limit-future", "future", ", wait_for 7000 s")

    async def of_task():
        task = spawn(rest("limit-task-t"), "limit-task-t", "sleep")
        await limited("limit-task", task)

    spawn(of_task(), "limit-task", "task", ", wait_for 7000 s")
    edge("limit-task", "limit-task-t", "wait_for")

    async def limited_inside():
        """The inner task has the sleep, the outer one the limit."""
        await asyncio.sleep(0)
        if OUTER_TASK:
            asyncio.current_task().set_name("limit-coroutine-inner")
            ends("limit-coroutine-inner", 9000)
        here()
        await asyncio.sleep(9000)

    if OUTER_TASK:
        says("limit-coroutine-inner", "sleep", "sleep 9000 s")
        edge("limit-coroutine", "limit-coroutine-inner", "wait_for")
    spawn(limited("limit-coroutine", limited_inside()), "limit-coroutine",
          "task" if OUTER_TASK else "sleep", ", wait_for 7000 s")

    if not OUTER_TASK:
        async def early():
            ends("limit-late", 2000)
            timeouts("limit-late", 6000)
            here()
            await asyncio.wait_for(asyncio.sleep(2000), 6000)

        async def nested():
            ends("limit-nested", 5000)
            timeouts("limit-nested", 8000, 5000)
            here()
            await asyncio.wait_for(asyncio.wait_for(future(), 5000), 8000)

        async def below_timeout():
            async with asyncio.timeout(3000) as timeout:
                scope("limit-below", "timeout", timeout, "limit-below")
                scope("limit-below-w", "timeout", 7000, "limit-below", "limit-below")
                ends("limit-below", 3000)
                here()
                await asyncio.wait_for(future(), 7000)

        spawn(early(), "limit-late", "sleep", "sleep 2000 s")
        spawn(nested(), "limit-nested", "future", ", wait_for 5000 s")
        spawn(below_timeout(), "limit-below", "future", ", timeout")

    async def waits():
        ends("limit-wait", 4000)
        here()
        await asyncio.wait([future()], timeout=4000)

    spawn(waits(), "limit-wait", "wait")

    async def unlimited():
        ends("limit-none", None)
        await on(future())

    spawn(unlimited(), "limit-none", "future")


# Objects that are waited for --------------------------------------------------------


@scenario
async def objects():
    async def hold(what):
        async with what:
            await rest()

    async def enter(what):
        here()
        async with what:
            pass

    locks = [asyncio.Lock() for _ in range(2)]
    for n, lock in enumerate(locks):
        spawn(hold(lock), "lock-%d-holder" % n, "sleep")
        await turns()
        for m in range(3):
            spawn(enter(lock), "lock-%d-%d" % (n, m), "lock", on=lock)
    for make in (asyncio.Semaphore, asyncio.BoundedSemaphore):
        semaphore = make(1)
        spawn(hold(semaphore), make.__name__ + "-holder", "sleep")
        await turns()
        for m in range(2):
            spawn(enter(semaphore), "%s-%d" % (make.__name__, m), "semaphore", on=semaphore)
    event = asyncio.Event()
    for m in range(2):
        spawn(on(event.wait()), "event-%d" % m, "event", on=event)
    queue, full = asyncio.Queue(), asyncio.LifoQueue(1)
    full.put_nowait(1)
    for m in range(2):
        spawn(on(queue.get()), "get-%d" % m, "queue", on=queue)
    spawn(on(full.put(2)), "put", "queue", on=full)
    spawn(on(full.join()), "join", "queue", on=full)

    async def limited():
        if not OUTER_TASK:
            scope("limited-lock", "timeout", 7000, "limited-lock")
            ends("limited-lock", 7000)
            here()
            await asyncio.wait_for(locks[0].acquire(), 7000)
        else:
            await enter(locks[0])

    spawn(limited(), "limited-lock", "lock", on=locks[0])


@scenario
async def conditions():
    async def wait(condition, how):
        async with condition:
            here()
            await how()

    def forever(condition):
        return lambda: condition.wait_for(lambda: False)

    async def enter(condition):
        here()
        async with condition:
            pass

    async def hold(condition, then):
        async with condition:
            then()
            await rest()

    idle = asyncio.Condition()
    spawn(wait(idle, idle.wait), "condition-0", "condition", on=idle)
    spawn(wait(idle, forever(idle)), "condition-1", "condition", on=idle)

    # Notified while another has the lock: they wait for the lock again.
    given = asyncio.Lock()
    for name, condition, lock in (("own", asyncio.Condition(), None),
                                  ("given", asyncio.Condition(given), given)):
        for n, how in enumerate((condition.wait, forever(condition))):
            spawn(wait(condition, how), "%s-notified-%d" % (name, n), "lock",
                  on=lock or condition._lock)
        await turns()
        spawn(hold(condition, condition.notify_all), name + "-notifier", "sleep")
        await turns()
        spawn(enter(condition), name + "-late", "lock", on=lock or condition._lock)

    # Cancelled, it has to get its lock back first.
    condition = asyncio.Condition()
    task = spawn(wait(condition, condition.wait), "condition-cancelled", "lock", on=condition._lock)
    SCENE.handling.add("condition-cancelled")
    await turns()
    spawn(hold(condition, task.cancel), "condition-canceller", "sleep")


# Cancellation -----------------------------------------------------------------------


@scenario
async def cancellations():
    async def cancelled(name, coro, wait="sleep", handled=True):
        task = spawn(coro, name, wait)
        await turns()
        task.cancel()
        await turns()
        if handled:
            SCENE.handling.add(name)
        return task

    async def in_except():
        try:
            await asyncio.sleep(LONG)
        except asyncio.CancelledError:
            await rest()
            raise

    async def in_finally():
        try:
            await asyncio.sleep(LONG)
        finally:
            await rest()

    async def in_exit():
        class Slow:
            async def __aenter__(self):
                pass

            async def __aexit__(self, *exc):
                await deep()

        async def deep():
            await rest()

        async with Slow():
            await asyncio.sleep(LONG)

    async def in_called():
        async def below():
            await in_finally()

        await below()

    async def in_generator():
        async def generator():
            try:
                yield await asyncio.sleep(LONG)
            finally:
                await rest()

        async for _ in generator():
            pass

    async def swallows():
        try:
            await asyncio.sleep(LONG)
        except asyncio.CancelledError as error:
            KEEP.append(error)
        await rest()

    async def remembers():
        caught = None
        try:
            await asyncio.sleep(LONG)
        except asyncio.CancelledError as error:
            caught = error
        try:
            await rest()
        finally:
            KEEP.append(caught)

    async def changes():
        try:
            try:
                await asyncio.sleep(LONG)
            except asyncio.CancelledError:
                raise ValueError("on purpose")
        except ValueError:
            await rest()

    async def waits_in_except():
        try:
            await asyncio.sleep(LONG)
        except asyncio.CancelledError:
            await on(future())

    class OfTheProgram(Exception):
        pass

    async def other_error():
        try:
            raise OfTheProgram
        except OfTheProgram:
            await rest()

    async def in_finally_of_none():
        try:
            pass
        finally:
            await rest()

    await cancelled("cancel-except", in_except())
    await cancelled("cancel-finally", in_finally())
    await cancelled("cancel-exit", in_exit())
    await cancelled("cancel-called", in_called())
    if not STILL:
        await cancelled("cancel-generator", in_generator())
    await cancelled("cancel-waits", waits_in_except(), "future")
    await cancelled("cancel-swallowed", swallows(), handled=False)
    await cancelled("cancel-remembered", remembers(), handled=False)
    await cancelled("cancel-changed", changes(), handled=False)
    spawn(other_error(), "other-error", "sleep")
    spawn(in_finally_of_none(), "finally-of-none", "sleep")

    # To 3.11, a cancelled wait_for waits for its inner task to end.
    async def inner():
        asyncio.current_task().set_name("cancel-inner")
        await in_except()

    if OUTER_TASK:
        says("cancel-inner", "sleep")
        edge("cancel-outer", "cancel-inner", "wait_for")
        SCENE.handling.add("cancel-inner")
        limited = asyncio.wait_for(inner(), 9000)
        SCENE.arrived.add(await cancelled("cancel-outer", limited, ["future", "task"]))

    # A second request while the first is being handled, and one that cannot be delivered.
    class Undeterred(asyncio.Future):
        def cancel(self, *args, **kwargs):
            return False

    async def undeterred():
        await on(keep(Undeterred()))

    task = spawn(undeterred(), "cancel-pending", "future")
    await turns()
    task.cancel()

    async def undeterred_again():
        try:
            await asyncio.sleep(LONG)
        except asyncio.CancelledError:
            await on(keep(Undeterred()))

    task = spawn(undeterred_again(), "cancel-pending-again", "future")
    SCENE.handling.add("cancel-pending-again")
    for _ in range(2):
        await turns()
        task.cancel()


# What only looks like asyncio's ---------------------------------------------------------


@scenario
async def own_asyncio():
    """A package of the program's own that is called asyncio, too."""
    source = '''
class Lock:
    def __init__(self):
        self._locked, self._waiters = True, []
    async def acquire(self):
        here(); await future()

class TaskGroup:
    def __init__(self, task, what):
        self._parent_task, self._aborting, self._tasks, self.what = task, False, (), what
    async def __aexit__(self, *exc):
        here(); await self.what
    def _on_task_done(self, task):
        pass

async def sleep(delay, h=None):
    here(); await future()

async def wait_for(fut, timeout):
    waiter = fut
    here(); await waiter

async def _wait(fs, timeout, return_when, loop):
    counter = 3
    here(); await future()

def gather(outer):
    def _done_callback(task):
        outer
    return _done_callback
'''
    for n, folder in enumerate(("/srv/app/asyncio/", "/srv/app/lib/python3/asyncio/", "asyncio/")):
        package = types.SimpleNamespace()
        for name in ("tasks.py", "locks.py", "taskgroups.py"):
            space = {"here": here, "future": future}
            exec(compile(source, folder + name, "exec"), space)
            setattr(package, name[:-3], types.SimpleNamespace(**space))
        tasks = package.tasks
        for what in (tasks.sleep(5), tasks.wait_for(future(), 5), package.locks.Lock().acquire(),
                     tasks._wait((), 5, None, None)):
            name = "own-%d-%s" % (n, what.__qualname__)
            ends(name, None)
            spawn(what, name, "future", "Future")
        group = package.taskgroups.TaskGroup(None, future())
        target = spawn(rest(), "own-%d-target" % n, "sleep")
        waiter = spawn(group.__aexit__(), "own-%d-group" % n, "future")
        group._parent_task = waiter
        target.add_done_callback(group._on_task_done)
        target.add_done_callback(tasks.gather(group.what))


@scenario
async def own_scopes():
    """Context managers and arguments that are no scopes of asyncio."""

    class Timeout:
        def __init__(self, seconds):
            self.total = self.connect = seconds

        async def __aenter__(self):
            pass

        async def __aexit__(self, *exc):
            pass

    class TaskGroup(Timeout):
        pass

    async def inside():
        async with Timeout(5), TaskGroup(6):
            ends("no-scope", None)
            await on(future())

    spawn(inside(), "no-scope", "future")


@since_311
async def arguments():
    """What lies on a task's value stack only as an argument: the task is not inside of it."""

    async def timeout():
        ends("argument", None)
        keep(asyncio.timeout(4000), await on(future()))

    spawn(timeout(), "argument", "future")

    async def left():
        async with asyncio.timeout(4000) as limit, asyncio.TaskGroup() as group:
            pass
        ends("left", None)
        keep(limit, group, await on(future()))

    spawn(left(), "left", "future")

    groups, entered = [], []
    ready = asyncio.Event()

    async def calls(which):
        await ready.wait()
        ends("caller-%d" % which, None)
        entered[0].reschedule(await on(future()))
        groups[0].create_task(quick(), name=await on(future()))

    async def spawns(which):
        await ready.wait()
        ends("spawner-%d" % which, None)
        groups[0].create_task(quick(), name=await on(future()))

    # Some older and some younger than the owner: whichever is met first.
    for n in range(4):
        spawn(calls(n), "caller-%d" % n, "future")
        spawn(spawns(n), "spawner-%d" % n, "future")

    async def owner():
        async with asyncio.timeout(8000) as limit, asyncio.TaskGroup() as group:
            scope("called-limit", "timeout", limit, "called")
            scope("called", "task_group", group, "called", "called-limit",
                  tasks=["spawner-%d" % n for n in range(8, 12)])
            for n in range(8, 12):
                member(group, spawns(n), "spawner-%d" % n, "future")
            groups.append(group)
            entered.append(limit)
            ends("called", 8000)
            here()

    spawn(owner(), "called", "group")
    for n in range(8, 12):
        edge("called", "spawner-%d" % n, "task_group")
    for n in range(4, 8):
        spawn(calls(n), "caller-%d" % n, "future")
        spawn(spawns(n), "spawner-%d" % n, "future")
    await turns()
    ready.set()


@since_311
async def expired():
    """A timeout that has asked to stop limits nothing any more."""
    async def cleans():
        async with asyncio.timeout(0.001) as timeout:
            scope("expired", "timeout", timeout, "expired", stopped=True)
            SCENE.handling.add("expired")
            try:
                await asyncio.sleep(LONG)
            finally:
                await rest("expired")

    spawn(cleans(), "expired", "sleep")


# More than one loop ----------------------------------------------------------------------


async def renamed(name):
    await asyncio.sleep(0)
    asyncio.current_task().set_name(name)
    await rest()


class Elsewhere:
    """A loop in another thread."""

    def __init__(self):
        self.started = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        self.started.wait()

    def run(self):
        self.loop = asyncio.new_event_loop()
        SCENE.loops.append(self.loop)
        self.loop.run_until_complete(self.loop.create_task(self.main(), name="elsewhere"))

    async def main(self):
        says("elsewhere", "future")
        self.started.set()
        await on(future())


class Busy(Elsewhere):
    """A loop whose task stands in a group's body, and runs."""

    async def main(self):
        says("busy", None)
        asyncio.current_task().set_name("busy")
        if PYTHON < (3, 11):
            self.block()
        async with asyncio.TaskGroup() as group:
            scope("busy", "task_group", group, "busy", tasks=["busy-child"])
            member(group, rest(), "busy-child", "sleep")
            edge("busy", "busy-child", "task_group")
            await turns()
            self.block()

    def block(self):
        here()
        self.started.set()
        block()


def block(lock=threading.Lock()):
    lock.acquire()
    lock.acquire()


async def from_elsewhere(other):
    def wrapped(name):
        says(name, "sleep")
        return asyncio.wrap_future(asyncio.run_coroutine_threadsafe(renamed(name), other.loop))

    async def gathers(*names):
        both = asyncio.gather(*map(wrapped, names))
        await on(both)

    async def waits():
        task = spawn(on(wrapped("far-wait")), "near-wait-t", "task")
        await on(asyncio.wait([task]))

    spawn(on(wrapped("far")), "near", "task", "far")
    edge("near", "far", "await")
    spawn(gathers("far-0", "far-1"), "near-gather", "gather")
    for n in range(2):  # told by what the awaited task leads to first, as everywhere
        edge("near-gather", "far-%d" % n, "await")
    spawn(waits(), "near-wait", "wait")
    edge("near-wait", "near-wait-t", "wait")
    edge("near-wait-t", "far-wait", "await")


async def main(other):
    loop = asyncio.get_running_loop()
    asyncio.current_task().set_name("main")
    if truth.eager():
        loop.set_task_factory(asyncio.eager_task_factory)
    says("main", "future")
    SCENE.loops.append(loop)
    truth.obey(lambda reply: loop.call_soon_threadsafe(reply))
    try:
        for play in SCENARIOS:
            await play()
        if other:
            await from_elsewhere(other)
    except BaseException:
        truth.give_up()
    truth.settle(loop, SCENE, lambda: truth.tell(SCENE.told()))
    await on(future())


if not STILL:
    truth.stuck_in(Busy().thread.ident, block.__code__)
asyncio.run(main(None if STILL else Elsewhere()))
