"""cancels_trio.py - trio: nurseries that fail, scopes and their deadlines, shields.
"""
import trio
from trio.testing import wait_all_tasks_blocked

from asked import LONG, Either, callback, scenario, through
from levels import leaving, limit

TRIO = tuple(map(int, trio.__version__.split(".")[:2]))
# A deadline is a timer of the run loop: which of its functions is named is left open.
TIMER = Either(*map(callback, """=Deadlines.expire =expire =CancelScope.cancel =CancelScope._cancel
=cancel""".split()))


def timed_out(s, target, at, scope, delay, **named):
    s.asked(target, at, by=TIMER, why="timeout", ends="absorbed",
            scope=limit(scope, delay), **named)


# Nurseries that fail --------------------------------------------------------------


def stopped_by_a_sibling(s, names, at, by, owner, stands, nursery="nursery", text="boom"):
    """It is the failed child that runs while the nursery learns of it. In no certain order."""
    common = {"by": by, "why": "sibling_failed", "scope": through("nursery", nursery),
              "exception": ("ValueError", text, by), "loose": nursery}
    for name in names:
        s.asked(name, at, **common)
    s.asked(owner, stands, ends="absorbed", **common)


@scenario
def child_fails(s):
    """While the owner is in the body; it catches the group and goes on."""
    async def child():
        await trio.sleep(LONG)  # at: nap

    async def bad():
        raise ValueError("boom")

    async def owner():
        try:
            async with trio.open_nursery() as nursery:
                s.called("nursery", nursery)
                for name in "abc":
                    s.child(nursery, child, name)
                await wait_all_tasks_blocked()
                s.child(nursery, bad, "bad")
                await trio.sleep(LONG)  # at: body
        except BaseException:
            await gate.wait()

    async def main():
        nonlocal gate
        gate = trio.Event()
        async with trio.open_nursery() as top:
            s.child(top, owner, "owner")
            await wait_all_tasks_blocked(0.01)
            stopped_by_a_sibling(s, "abc", "child:nap", "bad", "owner", "owner:body")
            await s.look()
            gate.set()

    gate = None
    return main


@scenario
def child_fails_in_the_exit(s):
    """While the owner waits in the exit: it is inside of its nursery's scope and is asked as well,
    though there is nothing to be raised there. It is pending until all children have ended.
    """
    async def child():
        await trio.sleep(LONG)  # at: nap

    async def slow():
        try:
            await trio.sleep(LONG)  # at: slow
        finally:
            with trio.CancelScope(shield=True):
                await gate.wait()

    async def bad():
        await wait_all_tasks_blocked()
        raise ValueError("boom")

    async def owner():
        try:
            async with trio.open_nursery() as nursery:  # at: exit
                s.called("nursery", nursery)
                s.child(nursery, child, "child")
                s.child(nursery, slow, "slow")
                s.child(nursery, bad, "bad")  # at: last
        except BaseException:
            pass

    async def main():
        nonlocal gate
        gate = trio.Event()
        async with trio.open_nursery() as top:
            s.child(top, owner, "owner")
            await wait_all_tasks_blocked(0.01)
            stopped_by_a_sibling(s, ["child"], "child:nap", "bad", "owner",
                                 leaving("owner", "exit", "last"))
            s.asked("slow", "slow:slow", by="bad", why="sibling_failed", loose="nursery",
                    scope=through("nursery", "nursery"), exception=("ValueError", "boom", "bad"))
            await s.look(owner="pending", slow="pending")
            gate.set()

    gate = None
    return main


@scenario
def body_fails(s):
    """The owner's own code raises, which is no sibling's failure. The owner itself is asked nothing,
    though it waits for its children inside of the scope: it is the one that leaves.
    """
    async def child():
        await trio.sleep(LONG)  # at: nap

    async def owner():
        try:
            async with trio.open_nursery() as nursery:  # at: exit
                s.called("nursery", nursery)
                s.child(nursery, child, "one")
                s.child(nursery, child, "two")
                await wait_all_tasks_blocked()
                raise KeyError("lost")  # at: last
        except BaseException:
            pass

    async def main():
        async with trio.open_nursery() as top:
            s.child(top, owner, "owner")
        for name in ("one", "two"):
            s.asked(name, "child:nap", by="owner", why="owner_failed", loose="nursery",
                    stack=leaving("owner", "exit", "last"), scope=through("nursery", "nursery"),
                    exception=("KeyError", "'lost'", "owner"))

    return main


# Deadlines ------------------------------------------------------------------------


@scenario
def move_on_after(s):
    async def worker():
        with trio.move_on_after(0.05) as scope:
            s.called("limit", scope)
            await trio.sleep(LONG)  # at: nap
        await gate.wait()

    async def main():
        nonlocal gate
        gate = trio.Event()
        async with trio.open_nursery() as top:
            s.child(top, worker, "worker")
            await trio.sleep(0.1)
            await wait_all_tasks_blocked()
            timed_out(s, "worker", "worker:nap", "limit", 0.05)
            await s.look()
            gate.set()

    gate = None
    return main


# Explicit -------------------------------------------------------------------------


@scenario
def cancelled_by_another(s):
    async def worker():
        with trio.CancelScope() as scope:
            s.called("scope", scope)
            scopes.append(scope)
            await trio.sleep(LONG)  # at: nap

    async def main():
        async with trio.open_nursery() as top:
            s.child(top, worker, "worker")
            await wait_all_tasks_blocked()
            s.i_am("main")
            scopes[0].cancel()  # at: ask
            s.asked("worker", "worker:nap", by="main", stack="main:ask", ends="absorbed",
                    scope=through("cancel_scope", "scope"))

    scopes = []
    return main
