"""cancels_mixed.py - where two things meet: an exception being handled elsewhere, a signal inside
of a cancel().
"""
import _thread
import asyncio
import gc
import signal
import threading

from asked import (LONG, PYTHON, Either, callback, handler, not_in_debug, runner, scenario, since,
                   thread, through)

INNER = PYTHON < (3, 12)  # wait_for gives a coroutine a task of its own
ON_TIMEOUT = "Timeout._on_timeout < loop"
LEAVING = "TaskGroup._aexit < TaskGroup.__aexit__"
if not hasattr(getattr(asyncio, "TaskGroup", None), "_aexit"):
    LEAVING = "TaskGroup.__aexit__"
END = "_cancel_all_tasks < Runner.close < Runner.__exit__ < run"
if PYTHON < (3, 11):
    END = "_cancel_all_tasks < run"


# Exceptions that are being handled elsewhere ------------------------------------------


def loop_inside_of(error):
    """A whole program inside of an except block: what is handled there is nobody's request."""
    def play(s):
        async def zombie():
            try:
                await asyncio.sleep(LONG)  # at: zombie
            except asyncio.CancelledError:
                pass
            await gate.wait()

        async def work():
            s.i_am("work" if INNER else "limited")
            await asyncio.sleep(LONG)  # at: work

        async def limited():
            try:
                await asyncio.wait_for(work(), 0.03)  # at: wait
            except asyncio.TimeoutError:
                pass

        async def rest():
            await asyncio.sleep(LONG)  # at: rest

        async def main():
            nonlocal gate
            await s.start()
            gate = asyncio.Event()
            tasks = [s.task(zombie(), "zombie"), s.task(limited(), "limited")]
            s.task(rest(), "rest")
            await s.turns()
            tasks[0].cancel()  # at: ask
            s.asked("zombie", "sleep < zombie:zombie", by="main", stack="main:ask < loop",
                    ends="returned")
            await s.ended(tasks[1])
            scope = through("wait_for", None, 0.03)
            if INNER:
                s.asked("work", "sleep < work:work", by="limited", why="timeout", scope=scope,
                        stack="_cancel_and_wait < wait_for < limited:wait < loop")
            else:
                s.asked("limited", "sleep < work:work < wait_for < limited:wait",
                        by=callback("Timeout._on_timeout"), why="timeout", scope=scope,
                        stack=ON_TIMEOUT, ends="absorbed")
            await s.look(zombie="swallowed")
            gate.set()
            await s.ended(tasks[0])
            s.asked("rest", "sleep < rest:rest", by=runner(), why="shutdown",
                    scope=through("runner"), stack=END + " < run:run < program")

        def run():
            try:
                raise error
            except BaseException:
                asyncio.run(main())  # at: run

        gate = None
        return run
    return play


for error in (asyncio.CancelledError(), KeyboardInterrupt(), ValueError("long ago")):
    one = loop_inside_of(error)
    one.__name__ = "loop_inside_of_" + type(error).__name__
    scenario(one)


@scenario
def after_another_was_stopped(s):
    """Who handles the CancelledError of a task that it awaited was not asked itself."""
    async def child():
        await asyncio.sleep(LONG)  # at: child

    async def work():
        s.i_am("work" if INNER else "owner")
        await asyncio.sleep(LONG)  # at: work

    async def owner(task):
        try:
            await task
        except asyncio.CancelledError:
            try:
                await asyncio.wait_for(work(), 0.03)  # at: wait
            except asyncio.TimeoutError:
                pass

    async def main():
        await s.start()
        task = s.task(child(), "child")
        over = s.task(owner(task), "owner")
        await s.turns()
        task.cancel()  # at: ask
        s.asked("child", "sleep < child:child", by="main", stack="main:ask < loop")
        await s.ended(over)
        scope = through("wait_for", None, 0.03)
        if INNER:
            s.asked("work", "sleep < work:work", by="owner", why="timeout", scope=scope,
                    # What it handles came of the child's request, though that was not its own.
                    cause=Either(None, "child"),
                    stack="_cancel_and_wait < wait_for < owner:wait < loop")
        else:
            s.asked("owner", "sleep < work:work < wait_for < owner:wait", why="timeout",
                    by=callback("Timeout._on_timeout"), scope=scope, stack=ON_TIMEOUT,
                    ends="absorbed")

    return main


@scenario
def looked_at_while_it_runs(s):
    """The look falls into the task's own step: inside of its except block, and behind it."""
    async def tidies():
        try:
            await asyncio.sleep(LONG)  # at: nap
        except asyncio.CancelledError:
            look("pending")
            await helps()
            await asyncio.sleep(0)
            look("pending")
        look("swallowed")
        await asyncio.sleep(0)
        look("swallowed")

    async def helps():
        await asyncio.sleep(0)
        look("pending")

    def look(state):
        s.blocking_look(worker=state)

    async def main():
        await s.start()
        task = s.task(tidies(), "worker")
        await s.turns()
        task.cancel()  # at: ask
        s.asked("worker", "sleep < tidies:nap", by="main", stack="main:ask < loop",
                ends="returned")
        await s.ended(task)

    return main


@since(3, 12, on="asyncio")
def eager_in_a_clean_up(s):
    """An eager child runs inside of its maker's except block. The child asks; it unwinds from
    nothing.
    """
    async def victim():
        await asyncio.sleep(LONG)  # at: nap

    async def child(task):
        s.i_am("child")
        task.cancel()  # at: ask

    async def worker(task):
        loop = asyncio.get_running_loop()
        try:
            await asyncio.sleep(LONG)  # at: worker
        except asyncio.CancelledError:
            loop.set_task_factory(asyncio.eager_task_factory)
            loop.create_task(child(task), name=s.full("child"))  # at: make
            loop.set_task_factory(None)
            raise

    async def main():
        await s.start()
        target = s.task(victim(), "victim")
        task = s.task(worker(target), "worker")
        await s.turns()
        task.cancel()  # at: stop
        s.asked("worker", "sleep < worker:worker", by="main", stack="main:stop < loop")
        await s.ended(task, target)
        s.also_called("child")
        s.asked("victim", "sleep < victim:nap", by="child", stack="child:ask < "
                "create_eager_task_factory.<locals>.factory < BaseEventLoop.create_task < "
                "worker:make < loop")

    return main


@since(3, 12, on="asyncio")
def eager_children(s):
    """A whole program of eager tasks: a gather of them, and a group one of which fails late."""
    async def child():
        await asyncio.sleep(LONG)  # at: nap

    async def bad():
        await asyncio.sleep(0)
        raise ValueError("boom")

    async def owner():
        try:
            async with asyncio.TaskGroup() as group:  # at: group
                s.called("group", group)
                s.member(group, child(), "of the group")
                s.member(group, bad(), "bad")
        except BaseException:
            pass

    async def main():
        await s.start()
        loop = asyncio.get_running_loop()
        loop.set_task_factory(asyncio.eager_task_factory)
        one, two = s.task(child(), "one"), s.task(child(), "two")
        every = s.called("all", asyncio.gather(one, two))
        every.cancel()  # at: ask
        for name in ("one", "two"):
            s.asked(name, "sleep < child:nap", by="main",
                    scope=through("gather", "all"),
                    stack="_GatheringFuture.cancel < main:ask < loop")
        await s.ended(one, two)
        task = s.task(owner(), "owner")
        await s.ended(task)
        common = {"by": callback("TaskGroup._on_task_done"), "why": "sibling_failed",
                  "scope": through("task_group", "group"),
                  "exception": ("ValueError", "boom", "bad")}
        s.asked("of the group", "sleep < child:nap",
                stack="TaskGroup._abort < TaskGroup._on_task_done < loop", **common)
        s.asked("owner", LEAVING + " < owner:group", stack="TaskGroup._on_task_done < loop",
                ends="absorbed", **common)
        loop.set_task_factory(None)

    return main


# Signals and threads in the middle of it ---------------------------------------------


@scenario
def signal_inside_of_a_request(s):
    """A handler that runs inside of a cancel(), or while a task unwinds, asks for reasons of its
    own.
    """
    class Slow(asyncio.Task):
        def cancel(self, *given, **named):
            signal.raise_signal(signal.SIGUSR1)  # at: signal
            return super().cancel(*given, **named)  # at: pass

    async def child():
        await asyncio.sleep(LONG)  # at: nap

    async def owner(task):
        await task  # at: wait

    async def unwinds():
        try:
            await asyncio.sleep(LONG)  # at: unwinds
        finally:
            signal.raise_signal(signal.SIGUSR1)  # at: unwinding

    async def main():
        await s.start()
        loop = asyncio.get_running_loop()
        slow = s.knows("slow", Slow(child(), loop=loop, name="slow"))
        others = [s.task(child(), "first"), s.task(child(), "second")]
        every = list(others)
        over, last = s.task(owner(slow), "owner"), s.task(unwinds(), "unwinds")
        await s.turns()

        def on_signal(number, frame):
            others.pop(0).cancel()  # at: ask

        before = signal.signal(signal.SIGUSR1, on_signal)
        over.cancel()  # at: stop
        last.cancel()  # at: stop too
        await s.ended(slow, over, last, *every)
        signal.signal(signal.SIGUSR1, before)
        at = "sleep < child:nap"
        s.asked("owner", "owner:wait", by="main", stack="main:stop < loop")
        s.asked("first", at, by=handler("on_signal"),
                stack="on_signal:ask < Slow.cancel:signal < main:stop < loop")
        s.asked("slow", at, by="main", stack="Slow.cancel:pass < main:stop < loop",
                why="owner_cancelled", scope=through("await"), cause="owner")
        s.asked("unwinds", "sleep < unwinds:unwinds", by="main", stack="main:stop too < loop")
        s.asked("second", at, by=handler("on_signal"),
                stack="on_signal:ask < unwinds:unwinding < loop")

    return main


@not_in_debug
def thread_without_a_name(s):
    """Made by nobody's threading.Thread: Python knows no name for it."""
    async def worker():
        await asyncio.sleep(LONG)  # at: nap

    def abroad(task):
        task.cancel()  # at: ask

    async def main():
        await s.start()
        task = s.task(worker(), "worker")
        await s.turns()
        _thread.start_new_thread(abroad, (task,))
        while not task.done():
            await asyncio.sleep(0.005)
        s.asked("worker", "sleep < worker:nap", by=thread(None), stack="abroad:ask")

    return main


@scenario
def from_an_executor(s):
    """A job of the executor asks by way of the loop; its function is what the loop calls."""
    async def worker():
        await asyncio.sleep(LONG)  # at: nap

    async def main():
        await s.start()
        task = s.task(worker(), "worker")
        await s.turns()
        loop = asyncio.get_running_loop()

        def job():
            why = ["by the job"] * (PYTHON >= (3, 9))
            loop.call_soon_threadsafe(lambda: task.cancel(*why))  # at: job

        await loop.run_in_executor(None, job)
        await s.ended(task)
        s.asked("worker", "sleep < worker:nap", by=callback("<lambda>"),
                stack="<lambda>:job < threadsafe",
                message="by the job" if PYTHON >= (3, 9) else None)

    return main


# What is no part of the library --------------------------------------------------------


@scenario
def other_asyncios(s):
    """Code of other packages that have a directory called asyncio, with the library's names in it.
    """
    source = """
import asyncio

class Timeout:
    def __init__(self, task):
        self._task = task
        self._when = 5.0

    def _on_timeout(self):
        self._task.cancel()

class TaskGroup:
    def __init__(self, tasks):
        self._tasks = tasks

    def _abort(self):
        for task in self._tasks:
            task.cancel()

def _cancel_all_tasks(tasks):
    for task in tasks:
        task.cancel()
"""
    codes = {}
    for name in ("timeouts", "taskgroups", "runners"):
        filename = "/srv/app/lib/redis/asyncio/%s.py" % name
        codes[name] = {}
        exec(compile(source, filename, "exec"), codes[name])

    def at(function, line):
        code = function.__code__
        return {"name": getattr(code, "co_qualname", code.co_name), "filename": code.co_filename,
                "lines": [line, line]}

    async def worker():
        await asyncio.sleep(LONG)  # at: nap

    async def main():
        await s.start()
        loop = asyncio.get_running_loop()
        one, two, three = [s.task(worker(), name) for name in ("one", "two", "three")]
        await s.turns()
        limit = codes["timeouts"]["Timeout"](one)
        loop.call_soon(limit._on_timeout)
        await s.ended(one)
        codes["taskgroups"]["TaskGroup"]([two])._abort()  # at: abort
        codes["runners"]["_cancel_all_tasks"]([three])  # at: all
        await s.ended(two, three)
        place = "sleep < worker:nap"
        s.asked("one", place, by=callback("=" + at(limit._on_timeout, 0)["name"]), stack="loop")
        s.requests[-1]["stack"].insert(0, at(limit._on_timeout, 10))
        s.asked("two", place, by="main", stack="main:abort < loop")
        s.requests[-1]["stack"].insert(0, at(codes["taskgroups"]["TaskGroup"]._abort, 18))
        s.asked("three", place, by="main", stack="main:all < loop")
        s.requests[-1]["stack"].insert(0, at(codes["runners"]["_cancel_all_tasks"], 22))

    return main


@scenario
def strange_code(s):
    """Functions and files may be called anything."""
    source = """
async def worker(asyncio, long):
    await asyncio.sleep(long)

def stop(task):
    task.cancel()
"""
    filename = "/srv/so\nist/\u00e4\u20ac\x1b[31m \"das\"\\.py"
    space = {}
    exec(compile(source, filename, "exec"), space)

    async def main():
        await s.start()
        coro = space["worker"](asyncio, LONG)
        s.codes.append(("worker", coro.cr_code))
        task = s.task(coro, "worker")
        await s.turns()
        space["stop"](task)  # at: ask
        s.asked("worker", "sleep", by="main", stack="main:ask < loop")
        s.requests[-1]["target"]["stack"].append(
            {"name": "worker", "filename": filename, "lines": [3, 3]})
        s.requests[-1]["stack"].insert(0, {"name": "stop", "filename": filename, "lines": [6, 6]})
        await s.ended(task)

    return main


# The end of tasks, and of loops ---------------------------------------------------------


@scenario
def task_that_vanishes(s):
    """Asked, then its loop is closed and it is gone; who lives at its address next is another."""
    async def worker():
        await asyncio.sleep(LONG)  # at: nap

    async def quick():
        pass

    def run():
        loop = asyncio.new_event_loop()
        loop.run_until_complete(starts())
        if s.of["worker"].done():  # uvloop goes round once more
            s.requests[0]["outcome"]["state"] = "cancelled"
        s.of.clear()
        loop.close()
        gc.collect()
        asyncio.run(others())

    async def starts():
        await s.start()
        task = s.task(worker(), "worker")
        await s.turns()
        task.cancel()  # at: ask
        # It was not delivered and never will be; to say that it is not known any more is as good.
        s.asked("worker", "sleep < worker:nap", by="main", stack="starts:ask < loop",
                ends=Either("pending", "unknown"))
        asyncio.get_running_loop().stop()

    async def others():
        for _ in range(20):
            await asyncio.ensure_future(quick())

    return run


@since(3, 11, on="asyncio")
def interrupt_that_main_survives(s):
    """Main tidies up after SIGINT and returns: the request ended with that."""
    async def main():
        await s.start()
        threading.Timer(0.05, signal.pthread_kill,
                        (threading.main_thread().ident, signal.SIGINT)).start()
        try:
            await asyncio.sleep(LONG)  # at: main
        except asyncio.CancelledError:
            return 5

    def run():
        try:
            asyncio.run(main())
        except KeyboardInterrupt:
            pass
        s.asked("main", "sleep < main:main", by=handler("Runner._on_sigint"), why="interrupt",
                scope=through("runner"), stack="Runner._on_sigint < select", ends="returned")

    return run


# Deadlines and stops in one turn of the loop ----------------------------------------------


@since(3, 11)
def stop_and_a_timeout(s):
    """First somebody stops it, then, before it has run, the deadline passes."""
    async def worker():
        async with asyncio.timeout(10) as limit:
            s.called("limit", limit)
            asyncio.get_running_loop().call_soon(asyncio.current_task().cancel)
            limit.reschedule(asyncio.get_running_loop().time() - 1)
            await asyncio.sleep(LONG)  # at: nap

    async def main():
        await s.start()
        task = s.task(worker(), "worker")
        await s.ended(task)
        s.asked("worker", "sleep < worker:nap", by=callback("=Task.cancel"), stack="loop",
                label="stop",
                # The first 3.11s count wrong and turn it into a TimeoutError all the same.
                ends="cancelled" if task.cancelled() else "raised")
        s.asked("worker", "sleep < worker:nap", by=callback("Timeout._on_timeout"), why="timeout",
                scope=Either(through("timeout", "limit", -1, known=False, elapsed=0, moved=True),
                             through("timeout", "limit", 0, known=False, moved=True)),
                stack=ON_TIMEOUT,
                ends="absorbed", label="deadline")

    return main


@since(3, 11)
def timeout_and_a_stop_in_the_clean_up(s):
    """The deadline passed, the body cleans up, and now somebody stops the task: that one stands."""
    async def worker():
        async with asyncio.timeout(0.03) as limit:
            s.called("limit", limit)
            try:
                await asyncio.sleep(LONG)  # at: nap
            finally:
                begun.set()
                await asyncio.sleep(LONG)  # at: tidy

    async def main():
        nonlocal begun
        await s.start()
        begun = asyncio.Event()
        task = s.task(worker(), "worker")
        await begun.wait()
        await s.turns()
        s.asked("worker", "sleep < worker:nap", by=callback("Timeout._on_timeout"), why="timeout",
                scope=through("timeout", "limit", 0.03, known=False), stack=ON_TIMEOUT,
                ends="absorbed", label="deadline")
        task.cancel()  # at: ask
        s.asked("worker", "sleep < worker:tidy", by="main", stack="main:ask < loop", label="stop")
        s.blocking_look(deadline="pending", stop="pending")
        await s.ended(task)
        assert task.cancelled()

    begun = None
    return main


@since(3, 11)
def group_child_fails_as_its_owner_is_stopped(s):
    """Somebody stops the owner, and before it has run a child fails: the group takes back its own
    only.
    """
    async def child():
        await asyncio.sleep(LONG)  # at: nap

    async def bad():
        await gate.wait()
        raise ValueError("boom")

    async def owner():
        async with asyncio.TaskGroup() as group:  # at: group
            s.called("group", group)
            s.member(group, child(), "child")
            s.member(group, bad(), "bad")

    async def main():
        nonlocal gate
        await s.start()
        gate = asyncio.Event()
        task = s.task(owner(), "owner")
        await s.turns()
        gate.set()
        await asyncio.sleep(0)  # bad fails in this turn, and the group hears of it in the next
        task.cancel()  # at: ask
        await s.ended(task)
        s.asked("owner", LEAVING + " < owner:group", by="main", stack="main:ask < loop",
                label="stop", ends=Either("raised", "absorbed") if PYTHON >= (3, 13) else "raised")
        common = {"by": callback("TaskGroup._on_task_done"), "why": "sibling_failed",
                  "scope": through("task_group", "group"),
                  "exception": ("ValueError", "boom", "bad")}
        s.asked("child", "sleep < child:nap",
                stack="TaskGroup._abort < TaskGroup._on_task_done < loop", **common)
        s.asked("owner", LEAVING + " < owner:group", stack="TaskGroup._on_task_done < loop",
                label="group stops", ends="absorbed", **common)
        if PYTHON >= (3, 13):
            s.asked("owner", LEAVING + " < owner:group", by="owner", why="owner_cancelled",
                    scope=through("task_group", "group"), cause="stop", label="again",
                    stack=LEAVING + " < owner:group < loop", ends="raised")

    gate = None
    return main


@since(3, 11)
def group_owner_stopped_by_its_child(s):
    """A child stops its owner: so the owner stops its children, that one too."""
    async def child():
        await asyncio.sleep(LONG)  # at: nap

    async def asks(task):
        task.cancel()  # at: ask
        await asyncio.sleep(LONG)  # at: asked

    async def owner():
        async with asyncio.TaskGroup() as group:  # at: group
            s.called("group", group)
            s.member(group, child(), "sibling")
            await asyncio.sleep(0)
            s.member(group, asks(asyncio.current_task()), "child")

    async def main():
        await s.start()
        await s.ended(s.task(owner(), "owner"))
        s.asked("owner", LEAVING + " < owner:group", by="child", stack="asks:ask < loop")
        for name, at in (("sibling", "child:nap"), ("child", "asks:asked")):
            s.asked(name, "sleep < " + at, by="owner", why="owner_cancelled", cause="owner",
                    scope=through("task_group", "group"), loose="children",
                    stack="TaskGroup._abort < %s < owner:group < loop" % LEAVING)

    return main
