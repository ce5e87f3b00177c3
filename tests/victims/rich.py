"""rich.py - every way in which an asyncio task can wait, side by side, standing still.

Each scenario makes its tasks, says what each waits for and who waits for whom,
and then nothing moves until stdin ends. `--big` adds 10,000 sleepers, `--eager`
uses the eager task factory (3.12+), `--uvloop` runs on uvloop.

Lines are part of the truth and the odd layout of some functions is on purpose:
line tables are compressed, and each form of compression should be met.
"""
import asyncio
import functools
import os
import socket
import sys
import threading
import types

import truth
from truth import LONG

truth.started()

SCENE = truth.Scene()
says, edge, here = SCENE.says, SCENE.edge, SCENE.here
KEEP = []  # what must stay alive
SCENARIOS = []
PYTHON = sys.version_info[:2]


def scenario(function):
    SCENARIOS.append(function)
    return function


def spawn(coro, name, wait, text=None):
    """A task that is told of."""
    says(name, wait, text)
    if "--uvloop" in sys.argv:  # an old one takes no name
        task = asyncio.get_running_loop().create_task(coro)
        task.set_name(name)
    else:
        task = asyncio.get_running_loop().create_task(coro, name=name)
    KEEP.append(task)
    return task


async def rest():
    """What a task does whose own waiting is not the matter."""
    here()
    await asyncio.sleep(LONG)


def sleeper(name):
    return spawn(rest(), name, "sleep")


def future():
    """A future that nobody resolves; kept, or the collector would take the task that waits for it."""
    KEEP.append(asyncio.get_running_loop().create_future())
    return KEEP[-1]


async def bare():
    here()
    await future()


# Await chains ---------------------------------------------------------------


@scenario
async def direct_awaits():
    async def innermost():
        here()
        await asyncio.sleep(LONG)

    async def third():
        pair = [
            1,
            await innermost(),
            2,
        ]
        return pair

    async def second():
        for _ in range(3):
            try:
                return await third()
            finally:
                pass

    class Service:
        async def first(self):
            if True:
                return (
                    await second()
                )

        @classmethod
        async def of_class(cls):
            return await cls().first()

    spawn(Service().first(), "direct", "sleep")
    spawn(Service.of_class(), "direct-classmethod", "sleep")
    spawn((lambda: Service().first())(), "direct-lambda", "sleep")


@scenario
async def deep_chain():
    async def deep(n):
        if n:
            return await deep(n - 1)
        here()
        return await future()

    spawn(deep(2000), "deep", "future")


@scenario
async def async_generators():
    async def numbers():
        yield 1
        await rest()
        yield 2

    async def consumer():
        async for _ in numbers():
            pass

    async def outer():
        async for n in numbers():
            yield n

    async def outer_consumer():
        return [n async for n in outer() if n]

    async def by_hand(step):
        generator = numbers()
        KEEP.append(generator)
        await generator.asend(None)
        await step(generator)

    async def cleaning():
        try:
            yield 1
        finally:
            await rest()

    async def closes(how):
        generator = cleaning()
        KEEP.append(generator)
        await generator.asend(None)
        await how(generator)

    async def expression():
        waits = (await rest() for _ in range(1))
        async for _ in waits:
            pass

    async def unpack():
        return {n: m async for n in outer() for m in (1, 2)}

    spawn(consumer(), "agen", "sleep")
    spawn(outer_consumer(), "agen-nested", "sleep")
    spawn(by_hand(lambda g: g.asend(7)), "agen-asend", "sleep")
    spawn(by_hand(lambda g: g.__anext__()), "agen-dunder-anext", "sleep")
    spawn(closes(lambda g: g.aclose()), "agen-aclose", "sleep")
    spawn(closes(lambda g: g.athrow(ValueError)), "agen-athrow", "sleep")
    spawn(expression(), "agen-expression", "sleep")
    spawn(unpack(), "agen-dict-comprehension", "sleep")
    if PYTHON >= (3, 10):
        anext_ = __builtins__.anext
        spawn(by_hand(lambda g: anext_(g)), "agen-anext", "sleep")
        spawn(by_hand(lambda g: anext_(g, None)), "agen-anext-default", "sleep")


@scenario
async def context_managers():
    import contextlib

    class Slow:
        def __init__(self, at):
            self.at = at

        async def __aenter__(self):
            if self.at == "enter":
                await rest()

        async def __aexit__(self, *exc):
            if self.at == "exit":
                await rest()

    @contextlib.asynccontextmanager
    async def managed():
        try:
            yield 1
        finally:
            await rest()

    async def enters():
        async with Slow("no"), \
                Slow("enter"):
            pass

    async def leaves():
        async with Slow("exit"):
            async with Slow("no"):
                pass

            KEEP.append(1)

    async def leaves_by_exception():
        async with Slow("exit") as nothing:
            raise ValueError(nothing)

    async def decorated():
        async with managed():
            pass

    async def stack():
        async with contextlib.AsyncExitStack() as exits:
            await exits.enter_async_context(Slow("exit"))
            await exits.enter_async_context(Slow("no"))

    spawn(enters(), "with-enter", "sleep")
    spawn(leaves(), "with-exit", "sleep")
    spawn(leaves_by_exception(), "with-exit-exception", "sleep")
    spawn(decorated(), "with-asynccontextmanager", "sleep")
    spawn(stack(), "with-exit-stack", "sleep")


@scenario
async def awaitable_objects():
    class ByGenerator:
        def __await__(self):
            here()
            return (yield from future())

    class ByCoroutine:
        """Delegates: what is awaited is a coroutine_wrapper."""

        def __await__(self):
            return rest().__await__()

    class ByFuture:
        def __await__(self):
            here()
            return future().__await__()

    class Steps:
        """An iterator of the program's own: no frame lies behind it that anybody could name."""

        def __init__(self):
            self.steps = future().__await__()

        def __iter__(self):
            return self

        def __next__(self):
            return next(self.steps)

    class Opaque:
        def __await__(self):
            here()
            return Steps()

    @types.coroutine
    def generator_based():
        yield from rest()

    @types.coroutine
    def generator_on_future():
        here()
        result = yield from future()
        return result

    async def awaits(make):
        await make()

    spawn(awaits(ByGenerator), "await-generator", "future")
    spawn(awaits(ByCoroutine), "await-delegating", "sleep")
    spawn(awaits(ByFuture), "await-future-iterator", "future")
    spawn(awaits(Opaque), "await-opaque", "future")
    spawn(awaits(generator_based), "await-types-coroutine", "sleep")
    spawn(awaits(generator_on_future), "await-types-coroutine-future", "future")


@scenario
async def odd_code():
    """Names, files and lines that a table of lines finds hard."""
    body = (
        "import asyncio\n"
        + "async def größe_数():\n"
        + "    x = 1\n" * 400
        + "    await (\n" + "\n" * 300
        + "        pause(\n"
        + "     ))\n"
        + "\n" * 70000
        + "async def далеко(): await größe_数()\n"
        + "async def long_body():\n"
        + "    if LONG: y = [" + ", ".join(str(n) for n in range(1000, 1400)) + "]\n"
        + "    while (z := 3) and await далеко(): pass\n"
    )
    space = {"pause": rest, "LONG": LONG}
    exec(compile(body, "/srv/ünï \x1b[31m\n\U0001f40d/code.py", "exec"), space)
    spawn(space["long_body"](), "odd-code", "sleep")

    space = {"rest": rest}
    exec("async def nowhere():\n await rest()", space)
    spawn(space["nowhere"](), "odd-no-file", "sleep")

    if PYTHON >= (3, 12):
        exec("async def generic[T](x: T): await rest()", space)
        spawn(space["generic"](1), "odd-type-parameter", "sleep")
    if PYTHON >= (3, 11):
        exec(
            "async def star():\n"
            " try:\n"
            "  raise ExceptionGroup('g', [ValueError()])\n"
            " except* ValueError:\n"
            "  await rest()\n",
            space,
        )
        spawn(space["star"](), "odd-except-star", "sleep")
    if PYTHON >= (3, 10):
        exec(
            "async def cases(x):\n"
            " match x:\n"
            "  case {'a': [*_, y]} if y:\n"
            "   await rest()\n",
            space,
        )
        spawn(space["cases"]({"a": [1, 2]}), "odd-match", "sleep")


@scenario
async def odd_names():
    for n, name in enumerate(
        (
            "naïve",
            "数字",
            "astral \U0001f40d",
            "lone \ud800 surrogate \udfff",
            "halves \udc40\ud83d",
            "line\nbreak\r",
            "\x1b[31mred",
            "nul\0nul",
            "\x7f\x80\x9f\u2028\ufeff\ufffe",
            '"quoted" \\ back/slash',
            "",
            "x" * 100000,
            "\U0001f40d" * 30000,
            "é" * 256,
        )
    ):
        spawn(bare() if n % 2 else rest(), name, "future" if n % 2 else "sleep")


# Edges ----------------------------------------------------------------------


@scenario
async def task_on_task():
    async def on(task):
        here()
        return await task

    async def through(task):
        return await on(task)

    spawn(on(sleeper("joined")), "join", "task")
    edge("join", "joined", "await")

    spawn(through(sleeper("joined-deep")), "join-deep", "task")
    edge("join-deep", "joined-deep", "await")

    many = sleeper("popular")
    for n in range(40):
        spawn(on(many), "fan-%d" % n, "task")
        edge("fan-%d" % n, "popular", "await")

    one = sleeper("chain-0")
    for n in range(1, 30):
        one = spawn(on(one), "chain-%d" % n, "task")
        edge("chain-%d" % n, "chain-%d" % (n - 1), "await")

    # Not waited for by anybody, though others hold it and look at it.
    lonely = sleeper("lonely")
    lonely.add_done_callback(lambda task: None)
    lonely.add_done_callback(functools.partial(print, future()))


@scenario
async def cycles():
    open_ = asyncio.Event()
    ring = {}

    async def member(name, next_):
        await open_.wait()
        here()
        await ring[next_]

    def rings(*names):
        for name, next_ in zip(names, names[1:] + names[:1]):
            ring[name] = spawn(member(name, next_), name, "task")
            edge(name, next_, "await")

    rings("two-a", "two-b")
    rings("three-a", "three-b", "three-c")

    async def gathers():
        await open_.wait()
        here()
        await asyncio.gather(ring["back"])

    async def back():
        await open_.wait()
        here()
        await ring["there"]

    ring["there"] = spawn(gathers(), "there", "gather")
    ring["back"] = spawn(back(), "back", "task")
    edge("there", "back", "gather")
    edge("back", "there", "await")
    await asyncio.sleep(0)
    open_.set()


@scenario
async def gathers():
    async def own():
        tasks = [sleeper("gather-own-%d" % n) for n in range(3)]
        here()
        await asyncio.gather(*tasks)

    spawn(own(), "gather-own", "gather", r"\b3\b")
    for n in range(3):
        edge("gather-own", "gather-own-%d" % n, "gather")

    # Made in one task, awaited in another: the second waits.
    made = {}

    async def maker():
        made["g"] = asyncio.gather(sleeper("made-0"), sleeper("made-1"))
        await rest()

    async def taker():
        while "g" not in made:
            await asyncio.sleep(0)
        here()
        await made["g"]

    spawn(maker(), "gather-maker", "sleep")
    spawn(taker(), "gather-taker", "gather")
    edge("gather-taker", "made-0", "gather")
    edge("gather-taker", "made-1", "gather")

    # Two tasks on one gather.
    shared = asyncio.gather(sleeper("shared-0"), return_exceptions=True)

    async def sharer():
        here()
        await shared

    for name in ("sharer-a", "sharer-b"):
        spawn(sharer(), name, "gather")
        edge(name, "shared-0", "gather")

    async def nested():
        a, b, c, d = (sleeper("nested-%s" % x) for x in "abcd")
        here()
        await asyncio.gather(asyncio.gather(a, asyncio.gather(b)), c, asyncio.gather(d, c))

    spawn(nested(), "gather-nested", "gather")
    for x in "abcd":
        edge("gather-nested", "nested-%s" % x, "gather")

    async def names_itself(name):
        await asyncio.sleep(0)  # an eager task is given a name after its first step
        asyncio.current_task().set_name(name)
        await rest()

    async def of_coroutines():
        here()
        await asyncio.gather(*(names_itself("coroutine-%d" % n) for n in range(2)))

    spawn(of_coroutines(), "gather-coroutines", "gather")
    for n in range(2):
        says("coroutine-%d" % n, "sleep")
        edge("gather-coroutines", "coroutine-%d" % n, "gather")

    async def wide():
        tasks = [sleeper("wide-%d" % n) for n in range(300)]
        here()
        await asyncio.gather(*tasks)

    spawn(wide(), "gather-wide", "gather", r"\b300\b")
    for n in range(300):
        edge("gather-wide", "wide-%d" % n, "gather")

    async def twice():
        task = sleeper("same")
        here()
        await asyncio.gather(task, task)

    spawn(twice(), "gather-same", "gather")
    edge("gather-same", "same", "gather")

    async def mixed():
        task = sleeper("mixed-task")
        here()
        await asyncio.gather(task, future())

    spawn(mixed(), "gather-mixed", "gather")
    edge("gather-mixed", "mixed-task", "gather")

    # A gather that nobody awaits makes nobody wait.
    KEEP.append(asyncio.gather(sleeper("unawaited")))


@scenario
async def waits():
    async def wait(make, **how):
        tasks = make()
        here()
        await asyncio.wait(tasks, **how)

    spawn(wait(lambda: [sleeper("wait-a"), sleeper("wait-b")]), "wait", "wait")
    edge("wait", "wait-a", "wait")
    edge("wait", "wait-b", "wait")

    first = {"return_when": asyncio.FIRST_COMPLETED, "timeout": LONG}
    spawn(wait(lambda: [sleeper("wait-first-a"), future()], **first), "wait-first", "wait")
    edge("wait-first", "wait-first-a", "wait")

    spawn(wait(lambda: [asyncio.gather(sleeper("wait-g"))]), "wait-gather", "wait")
    edge("wait-gather", "wait-g", "gather")

    spawn(wait(lambda: [future(), future()]), "wait-futures", "wait")


@scenario
async def wait_fors():
    async def through(make, timeout=LONG):
        what = make()
        here()
        await asyncio.wait_for(what, timeout)

    async def names_itself(name):
        if PYTHON < (3, 12):
            asyncio.current_task().set_name(name)
            here()
        await asyncio.sleep(LONG)

    # Given a coroutine: up to 3.11 an inner task runs it, later none does.
    spawn(through(lambda: names_itself("wait-for-inner")), "wait-for-coroutine",
          "task" if PYTHON < (3, 12) else "sleep")
    if PYTHON < (3, 12):
        says("wait-for-inner", "sleep")
        edge("wait-for-coroutine", "wait-for-inner", "wait_for")

    spawn(through(lambda: sleeper("wait-for-t")), "wait-for-task", "task")
    edge("wait-for-task", "wait-for-t", "wait_for")

    spawn(through(lambda: sleeper("wait-for-none-t"), None), "wait-for-none", "task")
    edge("wait-for-none", "wait-for-none-t", "wait_for")

    spawn(through(lambda: asyncio.shield(sleeper("wait-for-s"))), "wait-for-shield", "task")
    edge("wait-for-shield", "wait-for-s", "shield")

    spawn(through(lambda: asyncio.gather(sleeper("wait-for-g"), future())), "wait-for-gather",
          "gather")
    edge("wait-for-gather", "wait-for-g", "gather")

    spawn(through(future), "wait-for-future", "future")

    event = asyncio.Event()

    async def nested():
        here()
        await asyncio.wait_for(asyncio.wait_for(sleeper("wait-for-nested-t"), LONG), LONG)

    if PYTHON >= (3, 12):  # before, each layer has an inner task without a name of its own
        spawn(nested(), "wait-for-nested", "task")
        edge("wait-for-nested", "wait-for-nested-t", "wait_for")
        spawn(through(event.wait), "wait-for-event", "event")


@scenario
async def shields():
    async def shielded(task):
        here()
        await asyncio.shield(task)

    spawn(shielded(sleeper("shield-t")), "shield", "task")
    edge("shield", "shield-t", "shield")

    common = sleeper("shield-common")
    for name in ("shield-one", "shield-two"):
        spawn(shielded(common), name, "task")
        edge(name, "shield-common", "shield")

    made = {}

    async def maker():
        made["s"] = asyncio.shield(sleeper("shield-made"))
        await rest()

    async def taker():
        while "s" not in made:
            await asyncio.sleep(0)
        here()
        await made["s"]

    spawn(maker(), "shield-maker", "sleep")
    spawn(taker(), "shield-taker", "task")
    edge("shield-taker", "shield-made", "shield")

    async def of_gather():
        both = asyncio.gather(sleeper("shield-g0"), sleeper("shield-g1"))
        here()
        await asyncio.shield(both)

    spawn(of_gather(), "shield-gather", "gather")
    edge("shield-gather", "shield-g0", "gather")
    edge("shield-gather", "shield-g1", "gather")

    async def gather_of():
        inner = asyncio.shield(sleeper("gather-s"))
        here()
        await asyncio.gather(inner)

    spawn(gather_of(), "gather-shield", "gather")
    edge("gather-shield", "gather-s", "shield")

    KEEP.append(asyncio.shield(sleeper("shield-unawaited")))


@scenario
async def as_completeds():
    kind = ["wait", "queue", "task"]

    async def loop():
        tasks = [sleeper("completed-%d" % n) for n in range(3)]
        here()
        for one in asyncio.as_completed(tasks):
            await one

    spawn(loop(), "as-completed", kind)
    for n in range(3):
        edge("as-completed", "completed-%d" % n, "as_completed")

    async def timed():
        task = sleeper("completed-timed-t")
        here()
        for one in asyncio.as_completed([task], timeout=LONG):
            await one

    spawn(timed(), "as-completed-timed", kind)
    edge("as-completed-timed", "completed-timed-t", "as_completed")

    made = {}

    async def maker():
        made["c"] = asyncio.as_completed([sleeper("completed-made")])
        made["f"] = next(made["c"])
        await rest()

    async def taker():
        while "f" not in made:
            await asyncio.sleep(0)
        here()
        await made["f"]

    spawn(maker(), "as-completed-maker", "sleep")
    spawn(taker(), "as-completed-taker", kind)
    edge("as-completed-taker", "completed-made", "as_completed")

    if PYTHON >= (3, 13):

        async def async_loop():
            tasks = [sleeper("completed-async-%d" % n) for n in range(2)]
            here()
            async for one in asyncio.as_completed(tasks):
                await one

        spawn(async_loop(), "as-completed-async", kind)
        for n in range(2):
            edge("as-completed-async", "completed-async-%d" % n, "as_completed")


@scenario
async def task_groups():
    if PYTHON < (3, 11):
        return

    def child(group, name):
        says(name, "sleep")
        return group.create_task(rest(), name=name)

    async def at_exit():
        async with asyncio.TaskGroup() as group:
            child(group, "group-exit-0")
            child(group, "group-exit-1")
            here()

    spawn(at_exit(), "group-exit", "group", r"\b2\b")
    edge("group-exit", "group-exit-0", "task_group")
    edge("group-exit", "group-exit-1", "task_group")

    async def in_body():
        async with asyncio.TaskGroup() as group:
            child(group, "group-body-0")
            await rest()

    spawn(in_body(), "group-body", "sleep")
    edge("group-body", "group-body-0", "task_group")

    async def nested():
        async with asyncio.TaskGroup() as outer:
            child(outer, "group-outer-0")
            async with asyncio.TaskGroup() as inner:
                child(inner, "group-inner-0")
                here()

    spawn(nested(), "group-nested", "group")
    edge("group-nested", "group-outer-0", "task_group")
    edge("group-nested", "group-inner-0", "task_group")

    async def member(depth, name):
        async with asyncio.TaskGroup() as group:
            for n in range(2 if depth else 0):
                inner = "%s.%d" % (name, n)
                says(inner, "group" if depth > 1 else "future")
                edge(name, inner, "task_group")
                group.create_task(member(depth - 1, inner) if depth > 1 else bare(), name=inner)
            here()

    spawn(member(3, "tree"), "tree", "group")

    # A child that a child of the group adds still belongs to the group's owner.
    async def adopts():
        async with asyncio.TaskGroup() as group:

            async def adds():
                child(group, "group-adopted")
                await rest()

            says("group-adder", "sleep")
            group.create_task(adds(), name="group-adder")
            here()

    spawn(adopts(), "group-adopts", "group")
    edge("group-adopts", "group-adder", "task_group")
    edge("group-adopts", "group-adopted", "task_group")

    # Of a group in a body that awaits its own child, both are true.
    async def awaits_child():
        async with asyncio.TaskGroup() as group:
            task = child(group, "group-awaited")
            here()
            await task

    spawn(awaits_child(), "group-awaits", "task")
    edge("group-awaits", "group-awaited", "task_group")
    edge("group-awaits", "group-awaited", "await")

    # A child failed: the others are asked to stop, and one does not.
    async def fails():
        raise ValueError("on purpose")

    async def stubborn():
        try:
            await asyncio.sleep(LONG)
        except asyncio.CancelledError:
            await rest()

    async def aborting():
        async with asyncio.TaskGroup() as group:
            says("group-stubborn", "sleep")
            group.create_task(stubborn(), name="group-stubborn")
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            group.create_task(fails())
            here()

    spawn(aborting(), "group-aborting", "group")
    # The owner was asked to stop by its own group, and waits in its exit for the child to end;
    # eager on 3.12 the child failed inside of the owner's step, and nobody asked.
    SCENE.handling.add("group-stubborn")
    SCENE.leaving.add("group-aborting")
    edge("group-aborting", "group-stubborn", "task_group")

    async def timed():
        async with asyncio.timeout(LONG):
            async with asyncio.timeout_at(asyncio.get_running_loop().time() + LONG):
                await rest()

    spawn(timed(), "timeout", "sleep")

    async def timed_group():
        async with asyncio.timeout(LONG), asyncio.TaskGroup() as group:
            child(group, "timed-child")
            here()

    spawn(timed_group(), "timeout-group", "group")
    edge("timeout-group", "timed-child", "task_group")


@scenario
async def decoys():
    """Callbacks of the program's own that look like asyncio's. They make nobody wait."""
    outer, waiter = future(), future()

    def _done_callback(task):
        outer.cancel()

    def _on_completion(task):
        waiter.cancel()

    def _release_waiter(one, *args):
        pass

    target = sleeper("decoy-target")
    target.add_done_callback(_done_callback)
    target.add_done_callback(_on_completion)
    target.add_done_callback(functools.partial(_release_waiter, waiter))

    async def on(one):
        here()
        await one

    spawn(on(outer), "decoy-outer", "future")
    spawn(on(waiter), "decoy-waiter", "future")

    class TaskGroup:
        def __init__(self, parent):
            self._parent_task = parent

        def _on_task_done(self, task):
            pass

    target.add_done_callback(TaskGroup(sleeper("decoy-parent"))._on_task_done)

    class Event:
        async def wait(self):
            here()
            await future()

    async def event():
        await Event().wait()

    spawn(event(), "decoy-event", "future")

    async def sleep(delay):
        here()
        await future()

    spawn(sleep(LONG), "decoy-sleep", "future")


# What a leaf waits for --------------------------------------------------------


@scenario
async def primitives():
    event, lock = asyncio.Event(), asyncio.Lock()
    condition, semaphore = asyncio.Condition(), asyncio.Semaphore(1)
    KEEP.extend((event, lock, condition, semaphore))

    async def wait_event():
        here()
        await event.wait()

    async def hold(what, *args):
        async with what:
            await rest()

    async def wait_lock(what):
        here()
        async with what:
            pass

    async def acquire(what):
        here()
        await what.acquire()

    async def wait_condition(condition):
        async with condition:
            here()
            await condition.wait()

    async def wait_condition_for(condition):
        async with condition:
            here()
            await condition.wait_for(lambda: False)

    class MyEvent(asyncio.Event):
        pass

    my_event = MyEvent()
    KEEP.append(my_event)

    async def wait_my_event():
        here()
        await my_event.wait()

    spawn(wait_event(), "leaf-event", "event")
    spawn(wait_my_event(), "leaf-event-subclass", "event")
    spawn(hold(lock), "leaf-lock-holder", "sleep")
    await asyncio.sleep(0)
    spawn(wait_lock(lock), "leaf-lock", "lock")
    spawn(acquire(lock), "leaf-lock-acquire", "lock")
    spawn(hold(semaphore), "leaf-semaphore-holder", "sleep")
    await asyncio.sleep(0)
    spawn(wait_lock(semaphore), "leaf-semaphore", "semaphore")
    bounded = asyncio.BoundedSemaphore(1)
    await bounded.acquire()
    KEEP.append(bounded)
    spawn(acquire(bounded), "leaf-bounded-semaphore", "semaphore")
    spawn(wait_condition(condition), "leaf-condition", "condition")
    spawn(wait_condition_for(condition), "leaf-condition-for", "condition")
    held = asyncio.Condition()
    KEEP.append(held)
    spawn(hold(held), "leaf-condition-holder", "sleep")
    await asyncio.sleep(0)
    spawn(wait_lock(held), "leaf-condition-lock", "lock")
    if PYTHON >= (3, 11):
        barrier = asyncio.Barrier(3)
        KEEP.append(barrier)

        async def wait_barrier():
            here()
            await barrier.wait()

        spawn(wait_barrier(), "leaf-barrier", ["condition", "other"])


@scenario
async def queues():
    full = asyncio.Queue(2)
    empty, priority, joined = asyncio.Queue(7), asyncio.PriorityQueue(), asyncio.Queue()
    KEEP.extend((full, empty, priority, joined))
    for queue in (full, joined):
        queue.put_nowait(1)
        queue.put_nowait(2)

    async def get(queue):
        here()
        await queue.get()

    async def put(queue):
        here()
        await queue.put(3)

    async def join(queue):
        here()
        await queue.join()

    spawn(get(empty), "leaf-queue-get", "queue", r"\b0\b.*\b7\b")
    spawn(put(full), "leaf-queue-put", "queue", r"\b2\b.*\b2\b")
    spawn(get(priority), "leaf-queue-priority", "queue")
    spawn(join(joined), "leaf-queue-join", ["queue", "event"])


@scenario
async def futures():
    loop = asyncio.get_running_loop()
    spawn(bare(), "leaf-future", "future")

    async def on(one):
        here()
        await one

    python_future = asyncio.futures._PyFuture(loop=loop)
    KEEP.append(python_future)
    spawn(on(python_future), "leaf-python-future", "future")

    class MyFuture(asyncio.Future):
        pass

    mine = MyFuture(loop=loop)
    KEEP.append(mine)
    spawn(on(mine), "leaf-future-subclass", "future")

    timed = future()
    loop.call_later(LONG, timed.set_result, None)
    spawn(on(timed), "leaf-future-timer", "future")


@scenario
async def executors():
    loop = asyncio.get_running_loop()
    read, write = os.pipe()
    KEEP.extend((read, write))

    def block():
        os.read(read, 1)

    async def in_executor():
        here()
        await loop.run_in_executor(None, block)

    spawn(in_executor(), "leaf-executor", "executor")
    if PYTHON >= (3, 9):

        async def to_thread():
            here()
            await asyncio.to_thread(block)

        spawn(to_thread(), "leaf-to-thread", "executor")

    # A coroutine that another thread waits for: no task does.
    says("threadsafe", "sleep")

    async def named():
        await asyncio.sleep(0)
        asyncio.current_task().set_name("threadsafe")
        await rest()

    KEEP.append(asyncio.run_coroutine_threadsafe(named(), loop))


@scenario
async def sockets_and_streams():
    loop = asyncio.get_running_loop()

    def pair():
        both = socket.socketpair()
        for one in both:
            one.setblocking(False)
        KEEP.extend(both)
        return both

    async def receive():
        here()
        await loop.sock_recv(pair()[0], 10)

    async def accept():
        server = socket.socket()
        KEEP.append(server)
        server.setblocking(False)
        server.bind(("127.0.0.1", 0))
        server.listen()
        here()
        await loop.sock_accept(server)

    async def send_all():
        here()
        await loop.sock_sendall(pair()[0], bytes(10000000))

    if "--uvloop" not in sys.argv:  # uvloop has its own socket calls
        spawn(receive(), "leaf-sock-recv", "socket")
        spawn(accept(), "leaf-sock-accept", "socket")
        spawn(send_all(), "leaf-sock-sendall", "socket")

    async def opened():
        streams = await asyncio.open_connection(sock=pair()[0])
        KEEP.extend(streams)
        return streams

    async def read_line():
        reader, _ = await opened()
        here()
        await reader.readline()

    async def read_exactly():
        reader, _ = await opened()
        here()
        await reader.readexactly(5)

    async def lines():
        reader, _ = await opened()
        here()
        async for _ in reader:
            pass

    async def drain():
        _, writer = await opened()
        writer.write(bytes(10000000))
        here()
        await writer.drain()

    spawn(read_line(), "leaf-readline", "stream")
    spawn(read_exactly(), "leaf-readexactly", "stream")
    spawn(lines(), "leaf-stream-lines", "stream")
    spawn(drain(), "leaf-drain", "stream")

    async def serve():
        server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
        KEEP.append(server)
        here()
        await server.serve_forever()

    spawn(serve(), "leaf-server", ["future", "socket", "other"])


@scenario
async def subprocesses():
    pipe = asyncio.subprocess.PIPE

    async def cat():
        process = await asyncio.create_subprocess_exec("cat", stdin=pipe, stdout=pipe)
        KEEP.append(process)
        return process

    async def wait():
        process = await cat()
        here()
        await process.wait()

    async def read():
        process = await cat()
        here()
        await process.stdout.readline()

    spawn(wait(), "leaf-subprocess", "subprocess")
    spawn(read(), "leaf-subprocess-read", "stream")


# Other sorts of tasks ---------------------------------------------------------


@scenario
async def sorts_of_tasks():
    loop = asyncio.get_running_loop()

    class Mine(asyncio.Task):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.extra = "more"

    class Slotted(asyncio.Task):
        __slots__ = ("more",)

    def make(kind, coro, name, wait):
        says(name, wait)
        task = kind(coro, loop=loop, name=name)
        KEEP.append(task)
        return task

    async def on(one):
        here()
        await one

    python_task = asyncio.tasks._PyTask
    make(Mine, rest(), "subclass", "sleep")
    make(Slotted, rest(), "subclass-slots", "sleep")
    make(Mine, on(make(Mine, rest(), "subclass-joined", "sleep")), "subclass-join", "task")
    edge("subclass-join", "subclass-joined", "await")

    make(python_task, rest(), "python-task", "sleep")
    # Each of the two sorts on the other, and the python one on its own.
    spawn(on(make(python_task, rest(), "python-joined", "sleep")), "c-on-python", "task")
    edge("c-on-python", "python-joined", "await")
    make(python_task, on(sleeper("c-joined")), "python-on-c", "task")
    edge("python-on-c", "c-joined", "await")
    make(python_task, on(make(python_task, rest(), "python-joined-2", "sleep")),
         "python-on-python", "task")
    edge("python-on-python", "python-joined-2", "await")

    async def gather():
        tasks = [make(python_task, rest(), "python-gathered", "sleep"), sleeper("c-gathered")]
        here()
        await asyncio.gather(*tasks)

    make(python_task, gather(), "python-gather", "gather")
    edge("python-gather", "python-gathered", "gather")
    edge("python-gather", "c-gathered", "gather")

    if PYTHON >= (3, 12):
        says("eager", "sleep")
        asyncio.eager_task_factory(loop, rest(), name="eager")

        async def own():
            says("eager-child", "sleep")
            child = asyncio.eager_task_factory(loop, rest(), name="eager-child")
            here()
            await child

        says("eager-parent", "task")
        asyncio.eager_task_factory(loop, own(), name="eager-parent")
        edge("eager-parent", "eager-child", "await")


@scenario
async def cancellations():
    async def swallows(times, undo=0):
        for _ in range(times):
            try:
                await asyncio.sleep(LONG)
            except asyncio.CancelledError:
                if undo:
                    undo -= 1
                    asyncio.current_task().uncancel()
        await rest()

    async def cleans_in_except():
        try:
            await asyncio.sleep(LONG)
        except asyncio.CancelledError:
            await rest()
            raise

    async def cleans_in_finally():
        try:
            await asyncio.sleep(LONG)
        finally:
            await rest()

    async def cancel(task, times=1):
        for _ in range(times):
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            task.cancel()

    await cancel(spawn(swallows(1), "cancel-swallowed", "sleep"))
    await cancel(spawn(swallows(2), "cancel-swallowed-twice", "sleep"), 2)
    await cancel(spawn(cleans_in_except(), "cancel-except", "sleep"))
    await cancel(spawn(cleans_in_finally(), "cancel-finally", "sleep"))
    SCENE.handling.update(("cancel-except", "cancel-finally"))
    if PYTHON >= (3, 11):
        await cancel(spawn(swallows(2, 2), "cancel-undone", "sleep"), 2)
        await cancel(spawn(swallows(2, 1), "cancel-undone-once", "sleep"), 2)

    async def on(one):
        here()
        await one

    # Passed on to a task that does not obey: both stay.
    child = spawn(swallows(1), "cancel-passed-child", "sleep")
    await asyncio.sleep(0)
    await cancel(spawn(on(child), "cancel-passed", "task"))
    edge("cancel-passed", "cancel-passed-child", "await")

    # These are done; somebody still holds them.
    async def quick():
        return 1

    for _ in range(3):
        task = asyncio.get_running_loop().create_task(quick())
        KEEP.append(task)
        await task
    task = asyncio.get_running_loop().create_task(asyncio.sleep(LONG))
    KEEP.append(task)
    await cancel(task)


# Loops that do not run, or run elsewhere ---------------------------------------


def decorated(function):
    return function


class StandingLoop(asyncio.SelectorEventLoop):
    """A loop with a name of its own, which is not running."""


def standing_loop(prefix):
    """A loop that has stopped with tasks left in it."""
    loop = StandingLoop()

    @decorated
    @decorated
    async def never_started(x=(
        1
    )):
        await rest()

    async def gives_way():
        here()
        while True:
            await asyncio.sleep(0)

    async def steps(n):
        for _ in range(n):
            await asyncio.sleep(0)

    def make(coro, name, wait):
        says(prefix + name, wait)
        return loop.create_task(coro, name=prefix + name)

    make(rest(), "-sleeps", "sleep")
    make(gives_way(), "-gives-way", None)
    loop.run_until_complete(steps(3))
    make(never_started(), "-new", None)
    make(never_started(), "-new-cancelled", None).cancel()
    SCENE.ready.update((prefix + "-new", prefix + "-new-cancelled"))
    SCENE.loops.append(loop)


def other_thread(main_ready):
    """A loop in another thread, with tasks that wait for each other."""
    loop = asyncio.new_event_loop()

    async def on(one):
        here()
        await one

    async def main():
        says("thread-child", "sleep")
        child = loop.create_task(rest(), name="thread-child")
        says("thread-join", "task")
        KEEP.append(loop.create_task(on(child), name="thread-join"))
        edge("thread-join", "thread-child", "await")
        both = asyncio.gather(KEEP[-1])
        edge("thread-main", "thread-join", "gather")
        here()
        main_ready.set()
        await both

    says("thread-main", "gather")
    SCENE.loops.append(loop)
    loop.run_until_complete(loop.create_task(main(), name="thread-main"))


async def main():
    loop = asyncio.get_running_loop()
    asyncio.current_task().set_name("main")
    if truth.eager():
        loop.set_task_factory(asyncio.eager_task_factory)
    says("main", "future")
    SCENE.loops.append(loop)
    truth.obey(lambda reply: loop.call_soon_threadsafe(reply))
    for play in SCENARIOS:
        try:
            await play()
        except BaseException:
            truth.give_up()
    if "--big" in sys.argv:
        for n in range(10000):
            sleeper("filler-%d" % n)
    truth.settle(loop, SCENE, lambda: truth.tell(SCENE.told()))
    await bare()


standing_loop("standing")
ended = threading.Thread(target=standing_loop, args=("ended",))
ended.start()
ended.join()
second = threading.Event()
threading.Thread(target=other_thread, args=(second,), daemon=True).start()
second.wait()
if "--uvloop" in sys.argv:
    import uvloop

    uvloop.install()
asyncio.run(main())
