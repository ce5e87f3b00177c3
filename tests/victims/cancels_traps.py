"""cancels_traps.py - what is easily taken for something else."""
import asyncio
import contextlib
import functools
import operator
import sys
import threading

from asked import (LONG, PYTHON, Either, callback, create_task, frames, not_in_debug,
                   scenario, since, through)

LEAVING = "TaskGroup._aexit < TaskGroup.__aexit__"
if not hasattr(getattr(asyncio, "TaskGroup", None), "_aexit"):
    LEAVING = "TaskGroup.__aexit__"


# Requests that are none, or are lost ------------------------------------------------


@scenario
def cancel_that_raises(s):
    """cancel() did not return true: there is no request, and what it was made inside of is none
    either.
    """
    class Refuses(asyncio.Future):
        def cancel(self, *given, **named):
            raise ValueError("never")

    async def inner(future):
        await future

    async def outer(task):
        await task

    async def main():
        await s.start()
        future = Refuses(loop=asyncio.get_running_loop())
        one = s.task(inner(future), "inner")
        two = s.task(outer(one), "outer")
        await s.turns()
        for task in (one, two):
            try:
                task.cancel()
            except ValueError:
                continue
            raise AssertionError
        for wrong in (lambda: one.cancel(1, 2, 3), lambda: asyncio.Task.cancel(future),
                      lambda: asyncio.Task.cancel()):
            try:
                wrong()
            except (AttributeError, TypeError, ValueError):
                continue
            raise AssertionError
        await s.look()
        future.set_result(5)
        await s.ended(one, two)

    return main


@scenario
def future_that_lies(s):
    """It says that it is cancelled and is not: the task waits on, and goes on without the request.
    """
    class Lies(asyncio.Future):
        def cancel(self, *given, **named):
            return True

    async def worker(future):
        await future  # at: wait
        await gate.wait()

    async def main():
        nonlocal gate
        await s.start()
        gate = asyncio.Event()
        future = Lies(loop=asyncio.get_running_loop())
        task = s.task(worker(future), "worker")
        await s.turns()
        task.cancel()  # at: ask
        s.asked("worker", "worker:wait", by="main", stack="main:ask < loop", ends="returned")
        await s.turns()
        await s.look(worker="pending")
        future.set_result(5)
        await s.turns()
        await s.look(worker="swallowed")
        gate.set()
        await s.ended(task)

    gate = None
    return main


@scenario
def cancelled_error_of_its_own(s):
    """A task that raises CancelledError ends as cancelled; nobody asked it to."""
    async def raises():
        raise asyncio.CancelledError("my own idea")

    async def catches():
        try:
            await asyncio.ensure_future(raises())
        except asyncio.CancelledError:
            await gate.wait()

    async def main():
        nonlocal gate
        await s.start()
        gate = asyncio.Event()
        one, two = s.task(raises(), "raises"), s.task(catches(), "catches")
        await s.ended(one)
        await s.look()
        gate.set()
        await s.ended(two)

    gate = None
    return main


@scenario
def already_woken(s):
    """What it waits for is there, but it has not run yet: it is asked, and what it got is lost."""
    async def worker(jobs):
        await jobs.get()  # at: get

    async def main():
        await s.start()
        jobs = asyncio.Queue()
        task = s.task(worker(jobs), "worker")
        await s.turns()
        jobs.put_nowait(1)
        task.cancel()  # at: ask
        s.asked("worker", "Queue.get < worker:get", by="main", stack="main:ask < loop")
        s.blocking_look(worker="pending")
        await s.ended(task)

    return main


@since(3, 9)
def messages_of_other_kinds(s):
    """cancel() takes any object for a message. Only a text is one for sure."""
    async def worker():
        await asyncio.sleep(LONG)  # at: nap

    class Hostile:
        def __str__(self):
            raise SystemError("do not look at me")

        __repr__ = __str__

    async def main():
        await s.start()
        tasks = []
        for label, message, text in (("number", 42, Either(None, "42")),
                                     ("error", ValueError("x"),
                                      Either(None, "x", "ValueError('x')")),
                                     ("bytes", b"x", Either(None, "b'x'")),
                                     ("hostile", Hostile(), None)):
            tasks.append(s.task(worker(), label))
            await s.turns()
            tasks[-1].cancel(message)  # at: ask
            s.asked(label, "sleep < worker:nap", by="main", stack="main:ask < loop", message=text)
        await s.ended(*tasks)

    return main


# Cleaning up, and not ---------------------------------------------------------------


@scenario
def other_clean_ups(s):
    @contextlib.asynccontextmanager
    async def session():
        try:
            yield
        finally:
            await gate.wait()

    async def in_session():
        async with session():
            await asyncio.sleep(LONG)  # at: in_session

    async def in_stack():
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(gate.wait)
            await asyncio.sleep(LONG)  # at: in_stack

    async def in_condition():
        async with condition:
            await condition.wait()  # at: in_condition

    async def by_task():
        try:
            await asyncio.sleep(LONG)  # at: by_task
        finally:
            await asyncio.ensure_future(gate.wait())

    class Closes:
        def __await__(self):
            try:
                yield from asyncio.sleep(LONG).__await__()  # at: closes
            finally:
                yield from gate.wait().__await__()

    async def in_awaitable():
        await Closes()  # at: in_awaitable

    async def twice():
        try:
            try:
                await asyncio.sleep(LONG)  # at: twice
            except asyncio.CancelledError:
                raise ValueError("on the way")
        except ValueError:  # the request became this one; it is still what is being handled
            await gate.wait()
            raise

    async def re_raises():
        try:
            try:
                await asyncio.sleep(LONG)  # at: re_raises
            except asyncio.CancelledError as error:
                raise error from KeyError("why")
        except BaseException:
            await gate.wait()
            raise

    async def main():
        nonlocal condition, gate
        await s.start()
        condition, gate = asyncio.Condition(), asyncio.Event()
        tasks = []
        for function, at in (
                (in_session, "sleep < in_session:in_session"),
                (in_stack, "sleep < in_stack:in_stack"),
                (in_condition, "Condition.wait < in_condition:in_condition"),
                (by_task, "sleep < by_task:by_task"),
                (in_awaitable, "sleep < Closes.__await__:closes < in_awaitable:in_awaitable"),
                (twice, "sleep < twice:twice"), (re_raises, "sleep < re_raises:re_raises")):
            name = function.__name__
            tasks.append(s.task(function(), name))
            await s.turns()
            if function is in_condition:
                await condition.acquire()  # which it needs to leave
            tasks[-1].cancel()  # at: ask
            s.asked(name, at, by="main", stack="main:ask < loop",
                    ends="raised" if function is twice else "cancelled")
        await s.turns(8)
        pending = {request["label"]: "pending" for request in s.requests}
        # Its CancelledError is not what is being handled any more, but what that came from.
        pending["twice"] = Either("pending", "swallowed")
        await s.look(**pending)
        gate.set()
        condition.release()
        await s.ended(*tasks)

    condition = gate = None
    return main


@scenario
def other_zombies(s):
    async def suppresses():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(LONG)  # at: suppresses
        await gate.wait()

    async def raises_late():
        try:
            await asyncio.sleep(LONG)  # at: raises_late
        except asyncio.CancelledError:
            pass
        await gate.wait()
        raise asyncio.CancelledError()

    async def fails_late():
        try:
            await asyncio.sleep(LONG)  # at: fails_late
        except asyncio.CancelledError:
            pass
        await gate.wait()
        raise ValueError("later")

    async def numbers():
        try:
            await asyncio.sleep(LONG)  # at: numbers
        except asyncio.CancelledError:
            yield 1
        await gate.wait()

    async def iterates():
        async for _ in numbers():  # at: iterates
            await gate.wait()

    async def results():
        await asyncio.gather(below(), return_exceptions=True)
        await gate.wait()

    async def below():
        s.i_am("below")
        await asyncio.sleep(LONG)  # at: below

    async def main():
        nonlocal gate
        await s.start()
        gate = asyncio.Event()
        tasks = []
        for function, ends in ((suppresses, "returned"), (raises_late, "cancelled"),
                               (fails_late, "raised"), (iterates, "returned")):
            name = function.__name__
            tasks.append(s.task(function(), name))
            await s.turns()
            tasks[-1].cancel()  # at: ask
            at = "numbers:numbers < iterates:iterates" if function is iterates else \
                "%s:%s" % (name, name)
            s.asked(name, "sleep < " + at, by="main", stack="main:ask < loop", ends=ends)
        # And one that is none: its child was stopped, it got that as a result and goes on unasked.
        tasks.append(s.task(results(), "results"))
        await s.turns()
        s.of["below"].cancel()  # at: below
        s.asked("below", "sleep < below:below", by="main", stack="main:below < loop")
        await s.turns(8)
        states = {name: "swallowed" for name in ("suppresses", "raises_late", "fails_late")}
        # A generator that caught it yields from inside of its except: that is still handling it.
        states["iterates"] = Either("swallowed", "pending")
        await s.look(**states)
        gate.set()
        await s.ended(*tasks)

    gate = None
    return main


@since(3, 11)
def uncancelled_twice(s):
    async def worker():
        try:
            await asyncio.sleep(LONG)  # at: nap
        except asyncio.CancelledError:
            asyncio.current_task().uncancel()
            asyncio.current_task().uncancel()
        await gate.wait()

    async def main():
        nonlocal gate
        await s.start()
        gate = asyncio.Event()
        task = s.task(worker(), "worker")
        await s.turns()
        for label in ("first", "second"):
            task.cancel()  # at: ask
            s.asked("worker", "sleep < worker:nap", by="main", stack="main:ask < loop",
                    ends="absorbed", label=label)
        await s.turns()
        await s.look()
        gate.set()
        await s.ended(task)

    gate = None
    return main


@since(3, 11)
def uncancelled_for_nothing(s):
    """uncancel() of a task that nobody asked, then a request: the one has nothing to do with the
    other.
    """
    async def worker():
        asyncio.current_task().uncancel()
        await asyncio.sleep(LONG)  # at: nap

    async def main():
        await s.start()
        task = s.task(worker(), "worker")
        await s.turns()
        task.uncancel()
        task.cancel()  # at: ask
        s.asked("worker", "sleep < worker:nap", by="main", stack="main:ask < loop")
        await s.ended(task)

    return main


@since(3, 11)
def timeout_round_a_task_that_swallows(s):
    """The deadline's request is passed on and lost below; the block takes it back in the end."""
    async def inner():
        try:
            await asyncio.sleep(LONG)  # at: nap
        except asyncio.CancelledError:
            begun.set()
        await gate.wait()

    async def worker():
        async with asyncio.timeout(0.03) as limit:
            s.called("limit", limit)
            await s.task(inner(), "inner")  # at: wait

    async def main():
        nonlocal begun, gate
        await s.start()
        begun, gate = asyncio.Event(), asyncio.Event()
        task = s.task(worker(), "worker")
        await begun.wait()
        await s.turns()
        s.asked("worker", "worker:wait", by=callback("Timeout._on_timeout"), why="timeout",
                scope=through("timeout", "limit", 0.03, known=False),
                stack="Timeout._on_timeout < loop", ends="absorbed")
        s.asked("inner", "sleep < inner:nap", by=callback("Timeout._on_timeout"),
                why="owner_cancelled", scope=through("await"), cause="worker", ends="returned",
                stack="Timeout._on_timeout < loop")
        await s.look(worker="pending", inner="swallowed")
        gate.set()
        await task

    begun = gate = None
    return main


# Who asks -------------------------------------------------------------------------


@scenario
def callbacks_of_other_kinds(s):
    async def worker():
        await asyncio.sleep(LONG)  # at: nap

    class Stopper:
        def __init__(self, task):
            self.task = task

        def __call__(self):
            self.task.cancel()  # at: object

    async def main():
        await s.start()
        loop = asyncio.get_running_loop()
        tasks = [s.task(worker(), name) for name in ("object", "caller", "partial")]
        await s.turns()
        loop.call_soon(Stopper(tasks[0]))
        loop.call_soon(operator.methodcaller("cancel"), tasks[1])
        loop.call_soon(functools.partial(tasks[2].cancel, *["why"] * (PYTHON >= (3, 9))))
        await s.ended(*tasks)
        at = "sleep < worker:nap"
        s.asked("object", at, by=callback("Stopper.__call__"),
                stack="Stopper.__call__:object < loop")
        # A callable in C has a type and a name of its own, or the one of what it calls.
        named = Either(callback("=Task.cancel"), callback("=methodcaller"), callback(None),
                       callback("=operator.methodcaller"))
        s.asked("caller", at, by=named, stack="loop")
        s.asked("partial", at, by=callback("=Task.cancel"), stack="loop",
                message="why" if PYTHON >= (3, 9) else None)

    return main


@since(3, 9)
def timer_with_a_message(s):
    async def worker():
        await asyncio.sleep(LONG)  # at: nap

    async def main():
        await s.start()
        task = s.task(worker(), "worker")
        asyncio.get_running_loop().call_later(0.01, task.cancel, "too late")
        await s.ended(task)
        s.asked("worker", "sleep < worker:nap", by=callback("=Task.cancel"), stack="loop",
                message="too late")

    return main


@scenario
def cancel_that_stops_another(s):
    """cancel() overridden: before it passes on, it stops another. By own code, inside of a
    request.
    """
    class Noisy(asyncio.Task):
        other = None

        def cancel(self, *given, **named):
            self.other.cancel()  # at: other
            return super().cancel(*given, **named)  # at: pass

    async def worker():
        await asyncio.sleep(LONG)  # at: nap

    async def owner(task):
        await task  # at: wait

    async def main():
        await s.start()
        loop = asyncio.get_running_loop()
        noisy = s.knows("noisy", Noisy(worker(), loop=loop, name="noisy"))
        noisy.other = s.task(worker(), "other")
        over = s.task(owner(noisy), "owner")
        await s.turns()
        over.cancel()  # at: ask
        at, stack = "sleep < worker:nap", "Noisy.cancel:%s < main:ask < loop"
        s.asked("owner", "owner:wait", by="main", stack="main:ask < loop")
        s.asked("other", at, by="main", stack=stack % "other", cause="owner",
                # By Noisy's own code, in a call that passes a request on.
                why=Either("explicit", "owner_cancelled"), scope=Either(None, through("await")))
        s.asked("noisy", at, by="main", stack=stack % "pass", why="owner_cancelled",
                scope=through("await"), cause="owner")
        await s.ended(over, noisy, noisy.other)

    return main


@not_in_debug
def two_threads_at_once(s):
    """In the middle of one thread's cancel() another thread asks: they have nothing to do with
    each other.
    """
    class Slow(asyncio.Task):
        def cancel(self, *given, **named):
            go.set()
            gone.wait(30)
            return super().cancel(*given, **named)  # at: pass

    async def worker():
        await asyncio.sleep(LONG)  # at: nap

    async def abroad():
        s.knows("abroad", asyncio.current_task())
        task = s.task(worker(), "there")
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, go.wait)
        grabbed = loop.create_future()

        def grab():
            below.extend(frames(sys._getframe().f_back))
            grabbed.set_result(None)

        loop.call_soon(grab)
        await grabbed
        task.cancel()  # at: there
        gone.set()
        await s.ended(task)

    async def main():
        await s.start()
        loop = asyncio.get_running_loop()
        one = s.task(worker(), "one")
        slow = s.knows("slow", Slow(worker(), loop=loop, name="slow"))
        two = s.task(worker(), "two")
        every = s.called("all", asyncio.gather(one, slow, two))
        other = threading.Thread(target=lambda: asyncio.run(abroad()))
        other.start()
        while "there" not in s.tasks:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.01)
        every.cancel()  # at: ask
        gone.wait(30)
        at, stack = "sleep < worker:nap", "_GatheringFuture.cancel < main:ask < loop"
        scope = through("gather", "all")
        s.asked("one", at, by="main", stack=stack, scope=scope)
        outer, s.outer = s.outer, below
        s.asked("there", at, by="abroad", stack="abroad:there < loop")
        s.outer = outer
        s.asked("slow", at, by="main", stack="Slow.cancel:pass < " + stack, scope=scope)
        s.asked("two", at, by="main", stack=stack, scope=scope)
        await s.ended(one, two, slow)
        await loop.run_in_executor(None, other.join)

    go, gone, below = threading.Event(), threading.Event(), []
    return main


@scenario
def loops_in_threads(s):
    """Four loops in four threads stop a hundred tasks at a time; each record is right."""
    async def worker():
        await asyncio.sleep(LONG)  # at: nap

    async def crew(name):
        s.knows(name, asyncio.current_task())
        names = ["%s-%d" % (name, n) for n in range(25)]
        tasks = [s.task(worker(), one) for one in names]
        await s.turns()
        barrier.wait(30)
        for task in tasks:
            task.cancel()  # at: ask
        await s.ended(*tasks)

    def run():
        threads = [threading.Thread(target=lambda n=n: asyncio.run(crew("crew %d" % n)))
                   for n in range(4)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        for n in range(4):
            for k in range(25):
                s.asked("crew %d-%d" % (n, k), "sleep < worker:nap", by="crew %d" % n,
                        stack="crew:ask < ...", loose="all")

    barrier = threading.Barrier(4)
    return run


# Chains ----------------------------------------------------------------------------


@scenario
def long_chain(s):
    """One hundred tasks, each of which awaits the next."""
    async def link(n):
        if n:
            await s.task(link(n - 1), "link %d" % (n - 1))  # at: wait
        else:
            await asyncio.sleep(LONG)  # at: nap

    async def main():
        await s.start()
        task = s.task(link(100), "link 100")
        await s.turns(110)
        task.cancel()  # at: ask
        s.asked("link 100", "link:wait", by="main", stack="main:ask < loop")
        for n in range(99, -1, -1):
            s.asked("link %d" % n, "link:wait" if n else "sleep < link:nap", by="main",
                    stack="main:ask < loop", why="owner_cancelled", scope=through("await"),
                    cause="link %d" % (n + 1))
        await s.ended(task)

    return main


@scenario
def two_roots(s):
    """Two wait for one task; both are stopped: it is asked twice, each time because of another."""
    async def shared():
        await asyncio.sleep(LONG)  # at: nap

    async def waiting(task):
        await task  # at: wait

    async def main():
        await s.start()
        task = s.task(shared(), "shared")
        one, two = s.task(waiting(task), "one"), s.task(waiting(task), "two")
        await s.turns()
        one.cancel()  # at: one
        two.cancel()  # at: two
        for name in ("one", "two"):
            s.asked(name, "waiting:wait", by="main", stack="main:%s < loop" % name)
            s.asked("shared", "sleep < shared:nap", by="main", stack="main:%s < loop" % name,
                    why="owner_cancelled", scope=through("await"), cause=name,
                    label="shared by " + name)
        await s.ended(one, two, task)

    return main


def circle(s):
    """Two tasks that await each other cannot be stopped: cancel() never gets to an end, and
    raises.
    """
    async def one():
        await tasks[1]

    async def two():
        await asyncio.gather(tasks[0], future)

    async def main():
        nonlocal future
        await s.start()
        future = asyncio.get_running_loop().create_future()
        tasks.extend([s.task(one(), "one"), s.task(two(), "two")])
        await s.turns()
        try:
            tasks[0].cancel()
        except RecursionError:
            pass
        else:
            raise AssertionError
        future.set_exception(ValueError("open"))
        await s.ended(*tasks)

    tasks, future = [], None
    return main


# Before 3.10 Python itself aborts, one time in four: "Cannot recover from stack overflow".
if PYTHON >= (3, 10):
    scenario(circle, "asyncio uvloop not-recorded")


# Places ----------------------------------------------------------------------------


@scenario
def coroutines_of_other_kinds(s):
    """A decorated one; and the step of an async generator as a task."""
    def logged(function):
        @functools.wraps(function)
        async def wrapper(*given):
            return await function(*given)  # at: wrapper
        return wrapper

    @logged
    async def handler():
        await asyncio.sleep(LONG)  # at: handler

    async def numbers():
        await asyncio.sleep(LONG)  # at: numbers
        yield 1

    async def main():
        await s.start()
        decorated = s.task(handler(), "decorated")
        generator = numbers()
        step = s.knows("step", create_task(generator.__anext__(), "step"), coroutine="numbers")
        await s.turns()
        decorated.cancel()  # at: decorated
        s.asked("decorated", "sleep < handler:handler < wrapper:wrapper", by="main",
                stack="main:decorated < loop")
        step.cancel()  # at: step
        s.asked("step", "sleep < numbers:numbers", by="main", stack="main:step < loop")
        await s.ended(decorated, step)

    return main


# Groups ----------------------------------------------------------------------------


@since(3, 11)
def group_errors_of_other_kinds(s):
    """A text that only the exception's own code could tell may be left out; a wrong one is a lie.
    """
    async def child():
        await asyncio.sleep(LONG)  # at: nap

    async def bad(error):
        raise error

    async def owner(name, error):
        async with asyncio.TaskGroup() as group:  # at: group
            s.called("group " + name, group)
            s.member(group, child(), "child " + name)
            await asyncio.sleep(0)
            s.member(group, bad(error), "bad " + name)

    class Speaks(Exception):
        def __str__(self):
            return "I say so"

    class Screams(Exception):
        def __str__(self):
            raise SystemError("do not look at me")

    class Fatal(BaseException):
        pass

    class Strange(str):
        def __str__(self):
            return "another"

    async def main():
        await s.start()
        decoding = None
        try:
            b"\xff".decode("utf-8")
        except UnicodeDecodeError as error:
            decoding = error
        for name, error, text in (
                ("file", FileNotFoundError(2, "No such file or directory", "/srv/x"),
                 "[Errno 2] No such file or directory: '/srv/x'"),
                ("speaks", Speaks("args"), Either("I say so", None)),
                ("screams", Screams("args"), None),
                ("fatal", Fatal("end"), "end"),
                ("number", ValueError(7), Either("7", None)),
                ("nothing", ValueError(None), Either("None", None)),
                ("unicode", ValueError("\u00e4\u20ac\U0001f600\x00\x1b"),
                 "\u00e4\u20ac\U0001f600\x00\x1b"),
                ("decode", decoding, Either(str(decoding), None)),
                ("strange", ValueError(Strange("one")), Either("another", "one", None)),
                ("key", KeyError("a", "b"), Either("('a', 'b')", None)),
                ("stop", StopAsyncIteration("over"), "over")):
            await s.ended(s.task(owner(name, error), "owner " + name))
            exception = (type(error).__name__, text, "bad " + name)
            if isinstance(text, Either):
                exception = Either(*[(type(error).__name__, one, "bad " + name)
                                     for one in text.values])
            common = {"by": callback("TaskGroup._on_task_done"), "why": "sibling_failed",
                      "scope": through("task_group", "group " + name), "exception": exception}
            s.asked("child " + name, "sleep < child:nap",
                    stack="TaskGroup._abort < TaskGroup._on_task_done < loop", **common)
            s.asked("owner " + name, LEAVING + " < owner:group", ends="absorbed",
                    stack="TaskGroup._on_task_done < loop", **common)

    return main


@since(3, 11)
def group_child_cancels_itself(s):
    """A child that raises CancelledError, or asks itself, is no failure: the group goes on."""
    async def child():
        await gate.wait()

    async def raises():
        raise asyncio.CancelledError()

    async def asks():
        asyncio.current_task().cancel()  # at: ask
        await asyncio.sleep(LONG)

    async def owner():
        async with asyncio.TaskGroup() as group:
            s.member(group, child(), "child")
            s.member(group, raises(), "raises")
            s.member(group, asks(), "asks")

    async def main():
        nonlocal gate
        await s.start()
        gate = asyncio.Event()
        task = s.task(owner(), "owner")
        await s.turns()
        s.asked("asks", "asks:ask", by="asks", stack="asks:ask < loop")
        await s.look()
        gate.set()
        await task

    gate = None
    return main


@since(3, 11)
def group_without_children(s):
    """An owner that is stopped in the body of an empty group: one request, and no other."""
    async def owner():
        async with asyncio.TaskGroup():
            await asyncio.sleep(LONG)  # at: body

    async def main():
        await s.start()
        task = s.task(owner(), "owner")
        await s.turns()
        task.cancel()  # at: ask
        s.asked("owner", "sleep < owner:body", by="main", stack="main:ask < loop")
        await s.ended(task)

    return main


@since(3, 11)
def group_body_times_out(s):
    """A deadline inside of the body: its TimeoutError is the body's failure, and stops the
    children.
    """
    async def child():
        await asyncio.sleep(LONG)  # at: nap

    async def owner():
        async with asyncio.TaskGroup() as group:  # at: group
            s.called("group", group)
            s.member(group, child(), "child")
            async with asyncio.timeout(0.03) as limit:
                s.called("limit", limit)
                await asyncio.sleep(LONG)  # at: body

    async def main():
        await s.start()
        await s.ended(s.task(owner(), "owner"))
        s.asked("owner", "sleep < owner:body", by=callback("Timeout._on_timeout"), why="timeout",
                scope=through("timeout", "limit", 0.03, known=False),
                stack="Timeout._on_timeout < loop", ends="absorbed")
        # The deadline's request is over; that its TimeoutError came of it may be told or not.
        s.asked("child", "sleep < child:nap", by="owner", why="owner_failed",
                scope=through("task_group", "group"), cause=Either(None, "owner"),
                exception=("TimeoutError", "", "owner"),
                stack="TaskGroup._abort < %s < owner:group < loop" % LEAVING)

    return main


@since(3, 11)
def group_in_a_clean_up(s):
    """Stopped, the owner cleans up with a group, and there a child fails: that is another story."""
    async def child():
        await asyncio.sleep(LONG)  # at: nap

    async def bad():
        await asyncio.sleep(0)
        raise ValueError("boom")

    async def owner():
        try:
            await asyncio.sleep(LONG)  # at: body
        finally:
            try:
                async with asyncio.TaskGroup() as group:  # at: group
                    s.called("group", group)
                    s.member(group, child(), "child")
                    s.member(group, bad(), "bad")
            except BaseException:
                await gate.wait()

    async def main():
        nonlocal gate
        await s.start()
        gate = asyncio.Event()
        task = s.task(owner(), "owner")
        await s.turns()
        task.cancel()  # at: ask
        await s.turns(12)
        s.asked("owner", "sleep < owner:body", by="main", stack="main:ask < loop", label="stop",
                # From 3.13 on the group takes it back too, to make it anew: that ends the task.
                ends=Either("cancelled", "absorbed") if PYTHON >= (3, 13) else "cancelled")
        common = {"by": callback("TaskGroup._on_task_done"), "why": "sibling_failed",
                  "scope": through("task_group", "group"),
                  "exception": ("ValueError", "boom", "bad")}
        s.asked("child", "sleep < child:nap",
                stack="TaskGroup._abort < TaskGroup._on_task_done < loop", **common)
        s.asked("owner", LEAVING + " < owner:group", ends="absorbed",
                stack="TaskGroup._on_task_done < loop", label="group stops", **common)
        if PYTHON >= (3, 13):
            s.asked("owner", LEAVING + " < owner:group", by="owner", why="owner_cancelled",
                    scope=through("task_group", "group"), cause="stop", label="again",
                    stack=LEAVING + " < owner:group < loop")
            await s.look()
        else:
            await s.look(stop="pending")
        gate.set()
        await s.ended(task)

    gate = None
    return main


@since(3, 11)
def group_stopped_in_its_body_while_it_fails(s):
    """The owner swallows the group's request in its body: a zombie, until the exit takes it back.
    """
    async def child():
        await asyncio.sleep(LONG)  # at: nap

    async def bad():
        raise ValueError("boom")

    async def owner():
        try:
            async with asyncio.TaskGroup() as group:
                s.called("group", group)
                s.member(group, child(), "child")
                await asyncio.sleep(0)
                s.member(group, bad(), "bad")
                try:
                    await asyncio.sleep(LONG)  # at: body
                except asyncio.CancelledError:
                    pass
                await gate.wait()
        except BaseException:
            await door.wait()

    async def main():
        nonlocal door, gate
        await s.start()
        door, gate = asyncio.Event(), asyncio.Event()
        task = s.task(owner(), "owner")
        await s.turns(10)
        common = {"by": callback("TaskGroup._on_task_done"), "why": "sibling_failed",
                  "scope": through("task_group", "group"),
                  "exception": ("ValueError", "boom", "bad")}
        s.asked("child", "sleep < child:nap",
                stack="TaskGroup._abort < TaskGroup._on_task_done < loop", **common)
        s.asked("owner", "sleep < owner:body", ends="absorbed",
                stack="TaskGroup._on_task_done < loop", **common)
        await s.look(owner="swallowed")
        gate.set()
        await s.turns(8)
        await s.look()
        door.set()
        await s.ended(task)

    door = gate = None
    return main
