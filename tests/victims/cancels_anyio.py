"""cancels_anyio.py - anyio: task groups and cancel scopes, on asyncio and on trio.

Played on anyio 3 and 4. What differs between the backends is who makes the call:

- On asyncio a scope asks by cancel() of the tasks, at once from its own cancel(), else, of a task
  that had not begun or that cancelled the scope itself, by a callback of the next turns; a callback
  also asks again. Where it is a callback that asks, to tell that is as good as to tell who
  cancelled the scope. On trio it is as in cancels_trio.py.
- A child's failure is found by a callback on asyncio, in the child's own last step on trio.
- anyio 3 on asyncio leaves the group's scope before it waits for the children: an owner that waits
  in its group's exit is not asked; and children of a group are asked by their owner as it unwinds.
"""
import asyncio
import importlib.metadata
import threading

import anyio

import levels
from asked import LONG, PYTHON, Either, callback, scenario, through
from levels import ON_TRIO, leaving, limit, waiting

VERSION = tuple(map(int, importlib.metadata.version("anyio").split(".")[:2]))
THREE = VERSION < (4,) and not ON_TRIO
DELIVERS = callback("=CancelScope._deliver_cancellation")
TIMER = Either(*map(callback, "=CancelScope._timeout =CancelScope._deliver_cancellation".split()))
if ON_TRIO:
    TIMER = levels.TIMER
FAILS = callback("=TaskGroup._spawn.<locals>.task_done")


def played(where="both", since=(3,), until=(99,)):
    """where: "both" backends, or "asyncio"."""
    def decorate(function):
        if since <= VERSION < until and (where == "both" or not ON_TRIO):
            scenario(function)
        return function

    return decorate


def of_group(name="group"):
    """Called on the scope of a group: to tell either is as good."""
    return Either(through("task_group", name), through("cancel_scope", name + "'s scope"))


def later(by, stack):
    """Who asks, and from where, when a callback has to: see above."""
    if ON_TRIO:
        return {"by": by, "stack": stack}
    return {"by": Either(by, DELIVERS), "stack": Either(stack, "")}


def timed_out(s, target, at, obj, delay, **named):
    named = dict({"scope": limit(obj, delay), "ends": "absorbed"}, **named)
    s.asked(target, at, by=TIMER, why="timeout", **named)


async def blocked():
    """Until all other tasks wait."""
    await anyio.wait_all_tasks_blocked()


# Task groups that fail ------------------------------------------------------------


def stopped_by_a_sibling(s, names, at, bad, owner, stands, name="group",
                         failure=("ValueError", "boom")):
    common = {"by": bad if ON_TRIO else FAILS, "why": "sibling_failed",
              "scope": through("task_group", name), "exception": failure + (bad,), "loose": name}
    for child in names:
        s.asked(child, at, **common)
    if owner:
        s.asked(owner, stands, ends="absorbed", **common)


@played()
def child_fails(s):
    """While the owner is in the body; it catches the group and goes on."""
    async def child():
        await anyio.sleep(LONG)  # at: nap

    async def bad():
        raise ValueError("boom")

    async def owner():
        try:
            async with anyio.create_task_group() as group:
                s.called("group", group)
                for name in "abc":
                    s.child(group, child, name)
                await blocked()
                s.child(group, bad, "bad")
                await anyio.sleep(LONG)  # at: body
        except BaseException:
            await gate.wait()

    async def main():
        nonlocal gate
        gate = anyio.Event()
        async with anyio.create_task_group() as top:
            s.child(top, owner, "owner")
            await waiting(gate, 1)
            stopped_by_a_sibling(s, "abc", "child:nap", "bad", "owner", "owner:body")
            await s.look()
            gate.set()

    gate = None
    return main


@played()
def child_fails_in_the_exit(s):
    async def child():
        await anyio.sleep(LONG)  # at: nap

    async def slow():
        try:
            await anyio.sleep(LONG)  # at: slow
        finally:
            with anyio.CancelScope(shield=True):
                await gate.wait()

    async def bad():
        await blocked()
        raise ValueError("boom")

    async def owner():
        try:
            async with anyio.create_task_group() as group:  # at: exit
                s.called("group", group)
                s.child(group, child, "child")
                s.child(group, slow, "slow")
                s.child(group, bad, "bad")  # at: last
        except BaseException:
            pass

    async def main():
        nonlocal gate
        gate = anyio.Event()
        async with anyio.create_task_group() as top:
            s.child(top, owner, "owner")
            await waiting(gate, 1)
            stopped_by_a_sibling(s, ["child"], "child:nap", "bad", None if THREE else "owner",
                                 leaving("owner", "exit", "last"))
            stopped_by_a_sibling(s, ["slow"], "slow:slow", "bad", None, None)
            await s.look(slow="pending", **({} if THREE else {"owner": "pending"}))
            gate.set()

    gate = None
    return main


@played()
def child_fails_after_many_groups(s):
    """Owners that waited for their children in peace leave nothing behind."""
    async def short():
        await anyio.sleep(0)

    async def slow():
        try:
            await anyio.sleep(LONG)  # at: slow
        finally:
            with anyio.CancelScope(shield=True):
                await gate.wait()

    async def bad():
        await blocked()
        raise ValueError("boom")

    async def owner():
        try:
            async with anyio.create_task_group() as group:
                s.called("group", group)
                s.child(group, slow, "slow")
                s.child(group, bad, "bad")
                await anyio.sleep(LONG)  # at: body
        except BaseException:
            pass

    async def peaceful():
        async with anyio.create_task_group() as group:
            group.start_soon(short)

    async def main():
        nonlocal gate
        gate = anyio.Event()
        async with anyio.create_task_group() as top:
            for _ in range(200):
                top.start_soon(peaceful)
        async with anyio.create_task_group() as top:
            s.child(top, owner, "owner")
            await waiting(gate, 1)
            stopped_by_a_sibling(s, ["slow"], "slow:slow", "bad", "owner", "owner:body")
            await s.look(slow="pending", owner="pending")
            gate.set()

    gate = None
    return main


@played()
def body_fails(s):
    async def child():
        await anyio.sleep(LONG)  # at: nap

    async def owner():
        try:
            async with anyio.create_task_group() as group:  # at: exit
                s.called("group", group)
                s.child(group, child, "one")
                s.child(group, child, "two")
                await blocked()
                raise KeyError("lost")  # at: last
        except BaseException:
            pass

    async def main():
        async with anyio.create_task_group() as top:
            s.child(top, owner, "owner")
        for name in ("one", "two"):
            s.asked(name, "child:nap", by="owner", why="owner_failed", loose="group",
                    stack=leaving("owner", "exit", "last"), scope=through("task_group", "group"),
                    exception=("KeyError", "'lost'", "owner"))

    return main


@played()
def group_in_a_group(s):
    """A child of the outer group fails: the owner of the inner one is its sibling. Its own child is
    asked because of that: through the inner group, in the same moment; on anyio 3 as it unwinds.
    """
    async def child():
        await anyio.sleep(LONG)  # at: nap

    async def bad():
        await blocked()
        raise ValueError("boom")

    async def middle():
        async with anyio.create_task_group() as group:  # at: inner
            s.called("inner", group)
            s.child(group, child, "leaf")
            await anyio.sleep(LONG)  # at: body

    async def owner():
        try:
            async with anyio.create_task_group() as group:  # at: outer
                s.called("outer", group)
                s.child(group, middle, "middle")
                s.child(group, bad, "bad")  # at: last
        except BaseException:
            pass

    async def main():
        async with anyio.create_task_group() as top:
            s.child(top, owner, "owner")
        stopped_by_a_sibling(s, ["middle"], "middle:body", "bad", None if THREE else "owner",
                             leaving("owner", "outer", "last"), "outer")
        by = {"by": "middle", "stack": leaving("middle", "inner", "body")} if THREE else \
            {"by": "bad" if ON_TRIO else FAILS}
        s.asked("leaf", "child:nap", cause="middle", why="owner_cancelled", loose="outer",
                scope=through("task_group", "inner"), **by)

    return main


@played()
def start_fails(s):
    """The child fails before it has started: start() raises that, which is the failure of the body.
    """
    async def child():
        await anyio.sleep(LONG)  # at: nap

    async def bad(*, task_status):
        await anyio.sleep(0.01)
        raise ValueError("boom")

    async def owner():
        try:
            async with anyio.create_task_group() as group:  # at: exit
                s.called("group", group)
                s.child(group, child, "child")
                await group.start(bad)  # at: start
        except BaseException:
            pass

    async def main():
        async with anyio.create_task_group() as top:
            s.child(top, owner, "owner")
        s.asked("child", "child:nap", by="owner", why="owner_failed",
                stack=leaving("owner", "exit", "start"), scope=through("task_group", "group"),
                exception=("ValueError", "boom", "owner"))

    return main


# Deadlines ------------------------------------------------------------------------


@played()
def deadlines(s):
    async def worker(name, made):
        try:
            with made() as scope:
                s.called(name, scope)
                await anyio.sleep(LONG)  # at: nap
        except TimeoutError:
            pass
        await gate.wait()

    async def main():
        nonlocal gate
        gate = anyio.Event()
        async with anyio.create_task_group() as top:
            for name, made in (
                    ("move_on_after", lambda: anyio.move_on_after(0.05)),
                    ("fail_after", lambda: anyio.fail_after(0.05)),
                    ("CancelScope", lambda: anyio.CancelScope(
                        deadline=anyio.current_time() + 0.05))):
                s.child(top, worker, name, name, made)
                await waiting(gate, len(s.requests) + 1)
                timed_out(s, name, "worker:nap", name, 0.05)
            await s.look()
            gate.set()

    gate = None
    return main


@played()
def deadline_in_deadline(s):
    async def worker(name, outer, inner):
        with anyio.move_on_after(outer) as scope:
            s.called("outer of " + name, scope)
            with anyio.move_on_after(inner) as scope:
                s.called("inner of " + name, scope)
                await anyio.sleep(LONG)  # at: nap
            await gate.wait()

    async def main():
        nonlocal gate
        gate = anyio.Event()
        async with anyio.create_task_group() as top:
            s.child(top, worker, "inner first", "inner first", 10, 0.05)
            await waiting(gate, 1)
            timed_out(s, "inner first", "worker:nap", "inner of inner first", 0.05)
            async with anyio.create_task_group() as group:
                s.child(group, worker, "outer first", "outer first", 0.05, 10)
            timed_out(s, "outer first", "worker:nap", "outer of outer first", 0.05)
            await s.look()
            gate.set()

    gate = None
    return main


@played()
def deadline_that_was_changed(s):
    async def worker():
        with anyio.move_on_after(10) as scope:
            s.called("limit", scope)
            scope.deadline = anyio.current_time() + 0.05
            await anyio.sleep(LONG)  # at: nap

    async def main():
        async with anyio.create_task_group() as top:
            s.child(top, worker, "worker")
        timed_out(s, "worker", "worker:nap", "limit", 0.05,
                  scope=through("cancel_scope", "limit", 0.05, known=False, moved=True))

    return main


@played()
def deadline_of_a_group(s):
    async def child():
        await anyio.sleep(LONG)  # at: nap

    async def owner():
        with anyio.move_on_after(0.05) as scope:
            s.called("limit", scope)
            async with anyio.create_task_group() as group:  # at: exit
                s.called("group", group)
                s.child(group, child, "one")
                s.child(group, child, "two")
                await anyio.sleep(LONG)  # at: body

    async def main():
        async with anyio.create_task_group() as top:
            s.child(top, owner, "owner")
        timed_out(s, "owner", "owner:body", "limit", 0.05, loose="limit")
        by = {"by": "owner", "stack": leaving("owner", "exit", "body")} if THREE else {"by": TIMER}
        for name in ("one", "two"):
            s.asked(name, "child:nap", why="owner_cancelled", cause="owner",
                    scope=through("task_group", "group"), loose="limit", **by)

    return main


@played()
def nobody_is_cancelled(s):
    """What anyio does for itself is no cancellation; nor is a deadline that was met."""
    async def child():
        await anyio.sleep(0.01)

    async def main():
        for _ in range(3):
            await anyio.sleep(0.01)
            await anyio.sleep(0)
        with anyio.move_on_after(10):
            await anyio.sleep(0.01)
        with anyio.fail_after(10) as scope:
            await anyio.sleep(0.01)
        scope.cancel()
        anyio.CancelScope().cancel()
        with anyio.CancelScope(shield=True):
            await anyio.sleep(0.01)
        async with anyio.create_task_group() as group:
            s.child(group, child, "child")
        await anyio.to_thread.run_sync(int)
        send, receive = anyio.create_memory_object_stream(1)
        await send.send(1)
        await receive.receive()
        send.close()
        receive.close()
        lock = anyio.Lock()
        async with lock:
            pass

    return main


# Scopes that are cancelled --------------------------------------------------------


@played()
def cancelled_by_another(s):
    """Once: to cancel a cancelled scope asks nobody."""
    async def worker():
        with anyio.CancelScope() as scope:
            scopes.append(s.called("scope", scope))
            await anyio.sleep(LONG)  # at: nap
        await gate.wait()

    async def main():
        nonlocal gate
        gate = anyio.Event()
        s.i_am("main")
        async with anyio.create_task_group() as top:
            s.child(top, worker, "worker")
            await blocked()
            scopes[0].cancel()  # at: ask
            scopes[0].cancel()
            await blocked()
            s.asked("worker", "worker:nap", by="main", stack="main:ask", ends="absorbed",
                    scope=through("cancel_scope", "scope"))
            await s.look()
            gate.set()

    gate, scopes = None, []
    return main


@played()
def cancelled_by_itself(s):
    """On asyncio nothing can be done to the task that runs: it is asked where it waits next."""
    async def worker():
        with anyio.CancelScope() as scope:
            s.called("scope", scope)
            scope.cancel()  # at: ask
            await anyio.sleep(LONG)  # at: nap

    async def main():
        async with anyio.create_task_group() as top:
            s.child(top, worker, "worker")
        s.asked("worker", "worker:ask" if ON_TRIO else "worker:nap", ends="absorbed",
                scope=through("cancel_scope", "scope"), **later("worker", "worker:ask"))

    return main


@played(since=(4, 11))
def cancelled_with_a_reason(s):
    """The reason alone: what anyio puts round it for its own use is not the caller's."""
    async def child():
        await anyio.sleep(LONG)  # at: nap

    async def worker():
        with anyio.CancelScope() as scope:
            scopes.append(s.called("scope", scope))
            async with anyio.create_task_group() as group:
                s.called("group", group)
                s.child(group, child, "child")
                await anyio.sleep(LONG)  # at: body

    async def main():
        s.i_am("main")
        async with anyio.create_task_group() as top:
            s.child(top, worker, "worker")
            await blocked()
            scopes[0].cancel(reason="the user left; for good")  # at: ask
        common = {"by": "main", "stack": "main:ask", "message": "the user left; for good",
                  "loose": "scope"}
        s.asked("worker", "worker:body", ends="absorbed", scope=through("cancel_scope", "scope"),
                **common)
        s.asked("child", "child:nap", why="owner_cancelled", cause="worker",
                scope=through("task_group", "group"), **common)

    scopes = []
    return main


@played()
def group_cancelled_by_its_owner(s):
    async def child():
        await anyio.sleep(LONG)  # at: nap

    async def owner():
        async with anyio.create_task_group() as group:  # at: exit
            s.called("group", group)
            s.called("group's scope", group.cancel_scope)
            s.child(group, child, "one")
            s.child(group, child, "two")
            await blocked()
            group.cancel_scope.cancel()  # at: ask
            await anyio.sleep(LONG)  # at: body

    async def main():
        async with anyio.create_task_group() as top:
            s.child(top, owner, "owner")
        for name in ("one", "two"):
            s.asked(name, "child:nap", by="owner", stack="owner:ask", scope=of_group(),
                    loose="group")
        s.asked("owner", "owner:ask" if ON_TRIO else "owner:body", scope=of_group(),
                ends="absorbed", loose="group", **later("owner", "owner:ask"))

    return main


@played()
def group_cancelled_by_a_child(s):
    async def loser():
        await anyio.sleep(LONG)  # at: nap

    async def winner(group):
        await blocked()
        group.cancel_scope.cancel()  # at: ask
        await anyio.sleep(LONG)  # at: wait

    async def owner():
        async with anyio.create_task_group() as group:
            s.called("group", group)
            s.called("group's scope", group.cancel_scope)
            s.child(group, loser, "loser")
            s.child(group, winner, "winner", group)
            await anyio.sleep(LONG)  # at: body

    async def main():
        async with anyio.create_task_group() as top:
            s.child(top, owner, "owner")
        for name, at, end in (("loser", "loser:nap", "cancelled"),
                              ("owner", "owner:body", "absorbed")):
            s.asked(name, at, by="winner", stack="winner:ask", scope=of_group(), loose="group",
                    ends=end)
        s.asked("winner", "winner:ask" if ON_TRIO else "winner:wait", scope=of_group(),
                loose="group", **later("winner", "winner:ask"))

    return main


@played("asyncio")
def cancelled_before_the_first_step(s):
    """It is not asked before it has begun, and is begun all the same."""
    async def child():
        await anyio.sleep(LONG)  # at: nap

    async def owner():
        async with anyio.create_task_group() as group:
            s.called("group", group)
            s.called("group's scope", group.cancel_scope)
            s.child(group, child, "child")
            group.cancel_scope.cancel()  # at: ask
            await gate.wait()  # at: body

    async def main():
        nonlocal gate
        gate = anyio.Event()
        async with anyio.create_task_group() as top:
            s.child(top, owner, "owner")
        for name, at, end in (("owner", "owner:body", "absorbed"),
                              ("child", "child:nap", "cancelled")):
            s.asked(name, at, scope=of_group(), loose="group", ends=end,
                    **later("owner", "owner:ask"))

    gate = None
    return main


@played("asyncio")
def child_of_a_cancelled_group(s):
    async def child():
        await anyio.sleep(LONG)  # at: nap

    async def owner():
        async with anyio.create_task_group() as group:
            s.called("group", group)
            s.called("group's scope", group.cancel_scope)
            group.cancel_scope.cancel()  # at: ask
            s.child(group, child, "late")
            await gate.wait()  # at: body

    async def main():
        nonlocal gate
        gate = anyio.Event()
        async with anyio.create_task_group() as top:
            s.child(top, owner, "owner")
        for name, at, end in (("owner", "owner:body", "absorbed"),
                              ("late", "child:nap", "cancelled")):
            s.asked(name, at, scope=of_group(), loose="group", ends=end,
                    **later("owner", "owner:ask"))

    gate = None
    return main


@played(since=(4,))
def cancelled_before_it_is_entered(s):
    async def worker(scope):
        await gate.wait()
        with scope:  # at: enter
            await anyio.sleep(LONG)  # at: nap

    async def main():
        nonlocal gate
        gate = anyio.Event()
        s.i_am("main")
        scope = s.called("scope", anyio.CancelScope())
        async with anyio.create_task_group() as top:
            s.child(top, worker, "worker", scope)
            await blocked()
            scope.cancel()  # at: ask
            await s.look()
            gate.set()
        s.asked("worker", "worker:enter" if ON_TRIO else "worker:nap", ends="absorbed",
                scope=through("cancel_scope", "scope"), **later("main", "main:ask"))

    gate = None
    return main


@played(since=(4, 14))
def handle_cancelled(s):
    """A task's own handle: there is a scope behind it, which nobody wrote."""
    async def child():
        await anyio.sleep(LONG)  # at: nap

    async def main():
        s.i_am("main")
        async with anyio.create_task_group() as group:
            before = levels.all_tasks()
            handle = group.start_soon(child, name=s.full("child"))
            s.knows("child", *(levels.all_tasks() - before))
            await blocked()
            handle.cancel()  # at: ask
        s.asked("child", "child:nap", by="main", stack="main:ask",
                scope=Either(None, through("cancel_scope")),
                ends=Either("absorbed", "cancelled", "returned"))

    return main


# Shields, repeats, and what tasks make of it --------------------------------------


@played()
def shielded_clean_up(s):
    async def child():
        try:
            await anyio.sleep(LONG)  # at: nap
        finally:
            with anyio.CancelScope(shield=True):
                await gate.wait()

    async def owner():
        async with anyio.create_task_group() as group:
            scopes.append(group.cancel_scope)
            s.called("group", group)
            s.called("group's scope", group.cancel_scope)
            s.child(group, child, "child")
            await anyio.sleep(LONG)  # at: body

    async def main():
        nonlocal gate
        gate = anyio.Event()
        s.i_am("main")
        async with anyio.create_task_group() as top:
            s.child(top, owner, "owner")
            await blocked()
            scopes[0].cancel()  # at: ask
            await anyio.sleep(0.06)
            common = {"by": "main", "stack": "main:ask", "scope": of_group(), "loose": "group"}
            s.asked("owner", "owner:body", ends="absorbed", **common)
            s.asked("child", "child:nap", after=0.05, **common)
            await s.look(owner="pending", child="pending")
            gate.set()

    gate, scopes = None, []
    return main


@played()
def shield_holds(s):
    """Nobody is asked while the shield stands: there is no record. When it ends the scope that was
    cancelled long ago asks.
    """
    async def worker():
        with anyio.CancelScope() as scope:
            scopes.append(s.called("scope", scope))
            with anyio.CancelScope(shield=True):  # at: shield
                await gate.wait()  # at: shielded
            await anyio.sleep(LONG)  # at: nap

    async def main():
        nonlocal gate
        gate = anyio.Event()
        s.i_am("main")
        async with anyio.create_task_group() as top:
            s.child(top, worker, "worker")
            await blocked()
            scopes[0].cancel()  # at: ask
            await blocked()
            await s.look()
            gate.set()
        at = leaving("worker", "shield", "shielded") if ON_TRIO else "worker:nap"
        s.asked("worker", at, ends="absorbed", scope=through("cancel_scope", "scope"),
                **later("main", "main:ask"))

    gate, scopes = None, []
    return main


@played()
def shield_taken_away(s):
    async def worker():
        with anyio.CancelScope() as scope:
            scopes.append(s.called("scope", scope))
            with anyio.CancelScope(shield=True) as scope:
                scopes.append(scope)
                await anyio.sleep(LONG)  # at: shielded

    async def opener():
        s.i_am("opener")
        scopes[1].shield = False  # at: open

    async def main():
        s.i_am("main")
        async with anyio.create_task_group() as top:
            s.child(top, worker, "worker")
            await blocked()
            scopes[0].cancel()  # at: ask
            await s.look()
            s.child(top, opener, "opener")
        told = later("main", "main:ask")
        if not ON_TRIO:  # at once, from the shield that is taken away; or by a callback
            told = {"by": Either("main", "opener", DELIVERS),
                    "stack": Either("main:ask", "opener:open", "")}
        s.asked("worker", "worker:shielded", scope=through("cancel_scope", "scope"),
                ends="absorbed", **told)

    scopes = []
    return main


@played()
def asked_again_and_again(s):
    """Asked again in each turn in which it waits: one record. Behind a shield it is left alone."""
    async def worker():
        with anyio.CancelScope() as scope:
            scopes.append(s.called("scope", scope))
            for _ in range(3):
                try:
                    await anyio.sleep(LONG)  # at: nap
                except BaseException:
                    pass
            with anyio.CancelScope(shield=True):
                await gate.wait()
        await door.wait()

    async def main():
        nonlocal gate, door
        gate, door = anyio.Event(), anyio.Event()
        s.i_am("main")
        async with anyio.create_task_group() as top:
            s.child(top, worker, "worker")
            await blocked()
            scopes[0].cancel()  # at: ask
            await waiting(gate, 1)
            s.asked("worker", "worker:nap", by="main", stack="main:ask", ends="absorbed",
                    scope=through("cancel_scope", "scope"), repeats=2)
            await s.look(worker=Either("pending", "swallowed"))
            gate.set()
            await waiting(door, 1)
            await s.look()
            door.set()

    gate = door = None
    scopes = []
    return main


@played()
def clean_up_that_is_not_shielded(s):
    async def child():
        try:
            await anyio.sleep(LONG)  # at: nap
        finally:
            await anyio.sleep(0.01)

    async def owner():
        async with anyio.create_task_group() as group:
            scopes.append(group.cancel_scope)
            s.called("group", group)
            s.called("group's scope", group.cancel_scope)
            s.child(group, child, "child")
            await anyio.sleep(LONG)  # at: body

    async def main():
        s.i_am("main")
        async with anyio.create_task_group() as top:
            s.child(top, owner, "owner")
            await blocked()
            scopes[0].cancel()  # at: ask
        common = {"by": "main", "stack": "main:ask", "scope": of_group(), "loose": "group"}
        s.asked("owner", "owner:body", ends="absorbed", **common)
        s.asked("child", "child:nap", repeats=1, **common)

    scopes = []
    return main


@played()
def children_that_do_not_obey(s):
    async def value():
        try:
            await anyio.sleep(LONG)  # at: nap
        except BaseException:
            return 42

    async def error():
        try:
            await anyio.sleep(LONG)  # at: nap
        except BaseException:
            raise OSError("disk")

    async def owner():
        try:
            async with anyio.create_task_group() as group:
                scopes.append(group.cancel_scope)
                s.called("group", group)
                s.called("group's scope", group.cancel_scope)
                s.child(group, value, "value")
                s.child(group, error, "error")
                await anyio.sleep(LONG)  # at: body
        except BaseException:
            pass

    async def main():
        s.i_am("main")
        async with anyio.create_task_group() as top:
            s.child(top, owner, "owner")
            await blocked()
            scopes[0].cancel()  # at: ask
        common = {"by": "main", "stack": "main:ask", "scope": of_group(), "loose": "group"}
        for name, at, end in (("owner", "owner:body", "absorbed"),
                              ("value", "value:nap", "returned"),
                              ("error", "error:nap", "raised")):
            s.asked(name, at, ends=end, **common)

    scopes = []
    return main


@played()
def threads_that_are_waited_for(s):
    """Such a thread is waited for behind a shield of anyio's: while it runs nobody is asked on
    asyncio; on trio the task is asked, and not reached.
    """
    async def worker():
        with anyio.CancelScope() as scope:
            scopes.append(s.called("scope", scope))
            await anyio.to_thread.run_sync(in_thread)  # at: thread
            await anyio.sleep(LONG)  # at: nap
        await gate.wait()

    def in_thread():
        entered.append(True)
        door.wait()

    async def main():
        nonlocal gate
        gate = anyio.Event()
        s.i_am("main")
        async with anyio.create_task_group() as top:
            s.child(top, worker, "worker")
            while not entered:
                await anyio.sleep(0.01)
            await anyio.sleep(0.02)
            scopes[0].cancel()  # at: ask
            await anyio.sleep(0.02)
            told = {"at": "worker:thread" if ON_TRIO else "worker:nap", "ends": "absorbed",
                    "scope": through("cancel_scope", "scope")}
            told.update(later("main", "main:ask"))
            if ON_TRIO:
                s.asked("worker", **told)
                await s.look(worker="pending")
            else:
                await s.look()
            door.set()
            await waiting(gate, 1)
            if not ON_TRIO:
                s.asked("worker", **told)
            await s.look()
            gate.set()

    door, entered, gate, scopes = threading.Event(), [], None, []
    return main


@played()
def cancelled_from_a_thread(s):
    """By the callback that the thread leaves behind."""
    async def worker():
        with anyio.CancelScope() as scope:
            scopes.append(s.called("scope", scope))
            await anyio.sleep(LONG)  # at: nap

    def in_thread():
        anyio.from_thread.run_sync(ask)

    def ask():
        scopes[0].cancel()  # at: ask

    async def main():
        s.i_am("main")
        if ON_TRIO:
            s.knows_system("soon", "run_sync_soon task>")
        async with anyio.create_task_group() as top:
            s.child(top, worker, "worker")
            await blocked()
            await anyio.to_thread.run_sync(in_thread)  # at: thread
        by = callback("=AsyncIOBackend.run_sync_from_thread.<locals>.wrapper"), \
            callback("=run_sync_from_thread.<locals>.wrapper"), callback("ask")
        s.asked("worker", "worker:nap", ends="absorbed", scope=through("cancel_scope", "scope"),
                by=Either("main", "soon") if ON_TRIO else Either(*by),
                stack=Either("ask:ask", "ask:ask < main:thread") if ON_TRIO else "ask:ask")

    scopes = []
    return main


# asyncio's own --------------------------------------------------------------------


@played("asyncio")
def owner_cancelled_natively(s):
    """By cancel() of its task, which knows nothing of scopes: the group's exit passes it on."""
    async def child():
        await anyio.sleep(LONG)  # at: nap

    async def owner():
        async with anyio.create_task_group() as group:  # at: exit
            s.called("group", group)
            s.child(group, child, "child")
            await anyio.sleep(LONG)  # at: body

    async def main():
        s.i_am("main")
        task = s.knows("owner", asyncio.ensure_future(owner()))
        await blocked()
        task.cancel()  # at: ask
        await asyncio.wait({task})
        s.asked("owner", "owner:body", by="main", stack="main:ask")
        s.asked("child", "child:nap", by="owner", stack=leaving("owner", "exit", "body"),
                why="owner_cancelled", cause="owner", scope=through("task_group", "group"))

    return main


@played("asyncio", since=(3,) if PYTHON >= (3, 11) else (99,))
def timeout_of_asyncio_in_a_scope(s):
    async def worker():
        with anyio.CancelScope() as scope:
            s.called("scope", scope)
            try:
                async with asyncio.timeout(0.05) as limit:
                    s.called("limit", limit)
                    await anyio.sleep(LONG)  # at: nap
            except TimeoutError:
                await gate.wait()

    async def main():
        nonlocal gate
        gate = anyio.Event()
        async with anyio.create_task_group() as top:
            s.child(top, worker, "worker")
            await waiting(gate, 1)
            s.asked("worker", "worker:nap", by=callback("=Timeout._on_timeout"), why="timeout",
                    scope=through("timeout", "limit", 0.05, known=False), ends="absorbed")
            await s.look()
            gate.set()

    gate = None
    return main


@played("asyncio", since=(3,) if PYTHON >= (3, 11) else (99,))
def scope_in_a_timeout_of_asyncio(s):
    async def worker():
        async with asyncio.timeout(10) as limit:
            s.called("limit", limit)
            with anyio.move_on_after(0.05) as scope:
                s.called("scope", scope)
                await anyio.sleep(LONG)  # at: nap
            await gate.wait()

    async def main():
        nonlocal gate
        gate = anyio.Event()
        async with anyio.create_task_group() as top:
            s.child(top, worker, "worker")
            await waiting(gate, 1)
            timed_out(s, "worker", "worker:nap", "scope", 0.05)
            await s.look()
            gate.set()

    gate = None
    return main


@played("asyncio")
def five_hundred_children(s):
    async def child():
        await anyio.sleep(LONG)  # at: nap

    async def owner():
        async with anyio.create_task_group() as group:  # at: exit
            s.called("group", group)
            s.called("group's scope", group.cancel_scope)
            before = levels.all_tasks()
            for number in range(500):
                group.start_soon(child, name="child %d" % number)
            children.extend(s.keep(levels.all_tasks() - before))
            await blocked()
            group.cancel_scope.cancel()  # at: ask

    async def main():
        async with anyio.create_task_group() as top:
            s.child(top, owner, "owner")
        if not THREE:
            s.asked("owner", leaving("owner", "exit", "ask"), scope=of_group(), loose="group",
                    ends="absorbed", **later("owner", "owner:ask"))
        s.knows("child", children[0])
        s.asked("child", "child:nap", by="owner", stack="owner:ask", scope=of_group(),
                loose="group")
        s.copies(children)

    children = []
    return main


# Starlette ------------------------------------------------------------------------


def starlette(function):
    try:
        import starlette.responses  # noqa: F401
    except ImportError:
        return function
    return played()(function)


@starlette
def client_that_disconnects(s):
    """A streaming response listens for the client while it sends; when the client has left it ends
    the group of both. That is the framework's own explicit cancel, of the sending task.
    """
    async def body():
        s.i_am("sends")
        while True:
            yield b"x"
            await anyio.sleep(LONG)  # at: nap

    async def receive():
        await gate.wait()
        return {"type": "http.disconnect"}

    async def send(message):
        pass

    async def handler():
        from starlette.responses import StreamingResponse
        response = StreamingResponse(body())
        await response({"type": "http", "asgi": {"spec_version": "2.3"}}, receive, send)  # at: app

    async def main():
        nonlocal gate
        gate = anyio.Event()
        async with anyio.create_task_group() as top:
            s.child(top, handler, "handler")
            await waiting(gate, 1)
            await blocked()
            gate.set()
        scope = Either(through("task_group"), through("cancel_scope"))
        s.asked("sends", "body:nap", by="handler", stack="handler:app", scope=scope, loose="group")
        # It is in the group's body itself, and on trio is asked where it runs.
        s.asked("handler", "handler:app", by="handler", stack="handler:app", scope=scope,
                loose="group", ends="absorbed")

    gate = None
    return main

