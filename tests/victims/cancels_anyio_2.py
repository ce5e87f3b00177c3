"""cancels_anyio_2.py - anyio 2: everything is awaited, and on asyncio a scope asks but once.

Its tasks have no names of their own on asyncio, and a deadline is a task there. A child is wrapped
in a coroutine that takes whatever it raises, and returns: to tell that is as good as to tell that
the child obeyed.
"""
import anyio

import levels
from asked import LONG, Either, scenario, through
from levels import ON_TRIO, leaving, limit

GROUP = through("task_group", "group")
OBEYS = "cancelled" if ON_TRIO else Either("returned", "cancelled")


class Gate:
    """An event of anyio 2, which can be made before anything runs."""

    async def make(self):
        self.event = anyio.create_event()
        self.count = 0

    async def wait(self):
        self.count += 1
        await self.event.wait()

    async def waiting(self, count):
        while self.count < count:
            await anyio.sleep(0.005)


async def child_of(s, group, name, function, *args):
    before = levels.all_tasks()
    await group.spawn(function, *args, name=s.full(name))
    task, = levels.all_tasks() - before
    return s.knows(name, task)


@scenario
def child_fails(s):
    """The child's own last step stops the others."""
    async def sleeps():
        await anyio.sleep(LONG)  # at: nap

    async def bad():
        await anyio.sleep(0.05)
        raise ValueError("boom")

    async def owner():
        try:
            async with anyio.create_task_group() as group:
                s.called("group", group)
                for name in "ab":
                    await child_of(s, group, name, sleeps)
                await child_of(s, group, "bad", bad)
                await anyio.sleep(LONG)  # at: body
        except BaseException:
            await gate.wait()

    async def main():
        await gate.make()
        async with anyio.create_task_group() as top:
            await child_of(s, top, "owner", owner)
            await gate.waiting(1)
            common = {"by": "bad", "why": "sibling_failed", "scope": GROUP, "loose": "group",
                      "exception": ("ValueError", "boom", "bad")}
            s.asked("a", "sleeps:nap", ends=OBEYS, **common)
            s.asked("b", "sleeps:nap", ends=OBEYS, **common)
            s.asked("owner", "owner:body", ends="absorbed", **common)
            await s.look()
            await gate.event.set()

    gate = Gate()
    return main


@scenario
def body_fails(s):
    async def sleeps():
        await anyio.sleep(LONG)  # at: nap

    async def owner():
        try:
            async with anyio.create_task_group() as group:  # at: exit
                s.called("group", group)
                await child_of(s, group, "one", sleeps)
                await child_of(s, group, "two", sleeps)
                await anyio.wait_all_tasks_blocked()
                raise KeyError("lost")  # at: last
        except BaseException:
            pass

    async def main():
        async with anyio.create_task_group() as top:
            await child_of(s, top, "owner", owner)
        for name in ("one", "two"):
            s.asked(name, "sleeps:nap", by="owner", why="owner_failed", loose="group",
                    stack=leaving("owner", "exit", "last"), scope=GROUP,
                    exception=("KeyError", "'lost'", "owner"), ends=OBEYS)

    return main


@scenario
def deadlines(s):
    """On asyncio there is a task behind each, which asks when it has slept."""
    async def worker(name, made):
        try:
            async with made(0.05) as scope:
                s.called(name, scope)
                if not ON_TRIO:
                    s.knows("timer of " + name, scope._timeout_task)
                await anyio.sleep(LONG)  # at: nap
        except TimeoutError:
            pass
        await gate.wait()

    async def main():
        await gate.make()
        async with anyio.create_task_group() as top:
            for name, made in (("move_on_after", anyio.move_on_after),
                               ("fail_after", anyio.fail_after)):
                await child_of(s, top, name, worker, name, made)
                await gate.waiting(len(s.requests) + 1)
                s.asked(name, "worker:nap", by=levels.TIMER if ON_TRIO else "timer of " + name,
                        why="timeout", scope=limit(name, 0.05), ends="absorbed")
            await s.look()
            await gate.event.set()

    gate = Gate()
    return main


@scenario
def cancelled_by_another(s):
    async def worker():
        async with anyio.open_cancel_scope() as scope:
            scopes.append(s.called("scope", scope))
            await anyio.sleep(LONG)  # at: nap
        await gate.wait()

    async def main():
        await gate.make()
        s.i_am("main")
        async with anyio.create_task_group() as top:
            await child_of(s, top, "worker", worker)
            await anyio.wait_all_tasks_blocked()
            await scopes[0].cancel()  # at: ask
            await gate.waiting(1)
            s.asked("worker", "worker:nap", by="main", stack="main:ask", ends="absorbed",
                    scope=through("cancel_scope", "scope"))
            await s.look()
            await gate.event.set()

    gate, scopes = Gate(), []
    return main


@scenario
def cancelled_by_a_child(s):
    """All that the child runs is cancel()."""
    async def worker():
        async with anyio.open_cancel_scope() as scope:
            scopes.append(s.called("scope", scope))
            await anyio.sleep(LONG)  # at: nap

    async def main():
        async with anyio.create_task_group() as top:
            await child_of(s, top, "worker", worker)
            await anyio.wait_all_tasks_blocked()
            await child_of(s, top, "child", scopes[0].cancel)
        s.asked("worker", "worker:nap", by="child", ends="absorbed",
                scope=through("cancel_scope", "scope"))

    scopes = []
    return main


@scenario
def group_cancelled(s):
    """By its owner, as the last thing it does: on asyncio it is out of the scope before anything
    asks it.
    """
    async def sleeps():
        await anyio.sleep(LONG)  # at: nap

    async def owner():
        async with anyio.create_task_group() as group:
            s.called("group", group)
            s.called("group's scope", group.cancel_scope)
            await child_of(s, group, "child", sleeps)
            await anyio.wait_all_tasks_blocked()
            await group.cancel_scope.cancel()  # at: ask

    async def main():
        async with anyio.create_task_group() as top:
            await child_of(s, top, "owner", owner)
        common = {"by": "owner", "stack": "owner:ask", "loose": "group",
                  "scope": Either(GROUP, through("cancel_scope", "group's scope"))}
        s.asked("child", "sleeps:nap", ends=OBEYS, **common)
        if ON_TRIO:
            s.asked("owner", "owner:ask", ends="absorbed", **common)

    return main


@scenario
def shielded_clean_up(s):
    async def cleans():
        try:
            await anyio.sleep(LONG)  # at: nap
        finally:
            async with anyio.open_cancel_scope(shield=True):
                await gate.wait()

    async def owner():
        async with anyio.create_task_group() as group:
            scopes.append(group.cancel_scope)
            s.called("group", group)
            s.called("group's scope", group.cancel_scope)
            await child_of(s, group, "child", cleans)
            await anyio.sleep(LONG)  # at: body

    async def main():
        await gate.make()
        s.i_am("main")
        async with anyio.create_task_group() as top:
            await child_of(s, top, "owner", owner)
            await anyio.wait_all_tasks_blocked()
            await scopes[0].cancel()  # at: ask
            await gate.waiting(1)
            common = {"by": "main", "stack": "main:ask", "loose": "group",
                      "scope": Either(GROUP, through("cancel_scope", "group's scope"))}
            s.asked("owner", "owner:body", ends="absorbed", **common)
            s.asked("child", "cleans:nap", ends=OBEYS, **common)
            # Where its scope is left before the children are waited for, it is absorbed by now.
            await s.look(owner=Either("pending", "absorbed"), child="pending")
            await gate.event.set()

    gate, scopes = Gate(), []
    return main
