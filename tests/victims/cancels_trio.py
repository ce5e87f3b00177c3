"""cancels_trio.py - trio: nurseries, whose children fail, whose bodies fail, that are cancelled.
"""
import trio
from trio.testing import wait_all_tasks_blocked

from asked import LONG, Either, scenario, through
from levels import TIMER, leaving, timed_out, waiting

# Nurseries that fail --------------------------------------------------------------


def stopped_by_a_sibling(s, names, at, by, owner, stands, nursery="nursery",
                         failure=("ValueError", "boom")):
    """It is the failed child that runs while the nursery learns of it. In no certain order."""
    common = {"by": by, "why": "sibling_failed", "scope": through("nursery", nursery),
              "exception": failure + (by,), "loose": nursery}
    for name in names:
        s.asked(name, at, **common)
    s.asked(owner, stands, ends="absorbed", **common)


def told(failure):
    """As a record tells it."""
    return type(failure).__name__, str(failure)


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
    """The owner's own code raises, which is no sibling's failure. The owner itself is asked
    nothing, though it waits for its children inside of the scope: it is the one that leaves.
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


@scenario
def child_fails_while_the_body_is_shielded(s):
    """The shield holds: the owner is asked when it ends, by the child that failed long before."""
    async def child():
        await trio.sleep(LONG)  # at: nap

    async def bad():
        raise ValueError("boom")

    async def owner():
        try:
            async with trio.open_nursery() as nursery:
                s.called("nursery", nursery)
                s.child(nursery, child, "child")
                await wait_all_tasks_blocked()
                with trio.CancelScope(shield=True):  # at: shield
                    s.child(nursery, bad, "bad")
                    await gate.wait()  # at: shielded
                await trio.sleep(LONG)
        except BaseException:
            pass

    async def main():
        nonlocal gate
        gate = trio.Event()
        common = {"by": "bad", "why": "sibling_failed", "scope": through("nursery", "nursery"),
                  "exception": ("ValueError", "boom", "bad")}
        async with trio.open_nursery() as top:
            s.child(top, owner, "owner")
            await wait_all_tasks_blocked(0.01)
            s.asked("child", "child:nap", **common)
            await s.look()
            gate.set()
        s.asked("owner", leaving("owner", "shield", "shielded"), ends="absorbed", **common)

    gate = None
    return main


@scenario
def nursery_in_a_nursery(s):
    """A child of the outer nursery fails: the owner of the inner one is its sibling. Its own
    children are covered in the same moment, and are asked because their owner is: through the
    inner nursery, and that request is the cause.
    """
    async def child():
        await trio.sleep(LONG)  # at: nap

    async def bad():
        await wait_all_tasks_blocked()
        raise ValueError("boom")

    async def middle():
        async with trio.open_nursery() as nursery:  # at: inner
            s.called("inner", nursery)
            s.child(nursery, child, "leaf")  # at: leaf
            s.child(nursery, low, "low")  # at: last

    async def low():
        async with trio.open_nursery() as nursery:
            s.called("innermost", nursery)
            s.child(nursery, child, "deep")
            await trio.sleep(LONG)  # at: body

    async def owner():
        try:
            async with trio.open_nursery() as nursery:  # at: outer
                s.called("outer", nursery)
                s.child(nursery, middle, "middle")
                s.child(nursery, bad, "bad")  # at: last
        except BaseException:
            pass

    async def main():
        async with trio.open_nursery() as top:
            s.child(top, owner, "owner")
        stopped_by_a_sibling(s, [], "", "bad", "owner", leaving("owner", "outer", "last"), "outer")
        common = {"by": "bad", "loose": "outer"}
        s.asked("middle", leaving("middle", "inner", "last"), why="sibling_failed",
                scope=through("nursery", "outer"), exception=("ValueError", "boom", "bad"),
                **common)
        common["why"] = "owner_cancelled"
        s.asked("leaf", "child:nap", cause="middle", scope=through("nursery", "inner"), **common)
        s.asked("low", "low:body", cause="middle", scope=through("nursery", "inner"), **common)
        s.asked("deep", "child:nap", cause="low", scope=through("nursery", "innermost"), **common)

    return main


@scenario
def failure_goes_upwards(s):
    """A leaf fails, its nursery fails its owner, and that is a failed child of the outer one. A
    request that was absorbed is no cause.
    """
    async def child():
        await trio.sleep(LONG)  # at: nap

    async def bad():
        await wait_all_tasks_blocked()
        raise ValueError("boom")

    async def middle():
        try:
            async with trio.open_nursery() as nursery:  # at: inner
                s.called("inner", nursery)
                s.child(nursery, bad, "bad")  # at: last
        except BaseException as failure:
            failures.append(told(failure))
            raise

    async def owner():
        try:
            async with trio.open_nursery() as nursery:  # at: outer
                s.called("outer", nursery)
                s.child(nursery, child, "sibling")
                s.child(nursery, middle, "middle")  # at: last
        except BaseException:
            pass

    async def main():
        async with trio.open_nursery() as top:
            s.child(top, owner, "owner")
        stopped_by_a_sibling(s, [], "", "bad", "middle", leaving("middle", "inner", "last"),
                             "inner")
        s.requests[-1]["outcome"]["state"] = s.plain("absorbed")
        stopped_by_a_sibling(s, ["sibling"], "child:nap", "middle", "owner",
                             leaving("owner", "outer", "last"), "outer", failures[0])

    failures = []
    return main


@scenario
def nurseries_of_one_owner(s):
    """Two nurseries in one task: the inner one fails, which is the failure of the outer one's
    body.
    """
    async def child():
        await trio.sleep(LONG)  # at: nap

    async def bad():
        await wait_all_tasks_blocked()
        raise ValueError("boom")

    async def owner():
        try:
            async with trio.open_nursery() as outer:  # at: outer
                s.called("outer", outer)
                s.child(outer, child, "of outer")
                try:
                    async with trio.open_nursery() as inner:  # at: inner
                        s.called("inner", inner)
                        s.child(inner, child, "of inner")
                        s.child(inner, bad, "bad")  # at: last
                except BaseException as failure:
                    failures.append(told(failure))
                    raise  # at: fails
        except BaseException:
            pass

    async def main():
        async with trio.open_nursery() as top:
            s.child(top, owner, "owner")
        stopped_by_a_sibling(s, ["of inner"], "child:nap", "bad", "owner",
                             leaving("owner", "inner", "last"), "inner")
        s.asked("of outer", "child:nap", by="owner", why="owner_failed",
                scope=through("nursery", "outer"), exception=failures[0] + ("owner",),
                stack=leaving("owner", "outer", "fails"))

    failures = []
    return main


@scenario
def two_children_fail(s):
    """The one that is stopped fails in its clean-up: it does not obey, and nobody is asked again,
    for the nursery stops them already.
    """
    async def child():
        try:
            await trio.sleep(LONG)  # at: nap
        finally:
            with trio.CancelScope(shield=True):
                await gate.wait()

    async def worse():
        try:
            await trio.sleep(LONG)  # at: sleep
        except trio.Cancelled:
            raise OSError("disk")

    async def bad():
        await wait_all_tasks_blocked()
        raise ValueError("boom")

    async def owner():
        try:
            async with trio.open_nursery() as nursery:  # at: exit
                s.called("nursery", nursery)
                s.child(nursery, child, "child")
                s.child(nursery, worse, "worse")
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
            s.asked("worse", "worse:sleep", by="bad", why="sibling_failed", loose="nursery",
                    scope=through("nursery", "nursery"), exception=("ValueError", "boom", "bad"),
                    ends="raised")
            await s.look(child="pending", owner="pending")
            gate.set()

    gate = None
    return main


@scenario
def child_fails_after_a_deadline(s):
    """The deadline asked them all; in its clean-up one of them fails. That the nursery stops the
    rest for it adds nothing: they are stopped, by a scope further out.
    """
    async def child():
        try:
            await trio.sleep(LONG)  # at: nap
        finally:
            with trio.CancelScope(shield=True):
                await gate.wait()

    async def bad():
        try:
            await trio.sleep(LONG)  # at: sleep
        finally:
            raise ValueError("boom")

    async def owner():
        try:
            with trio.move_on_after(0.05) as scope:
                s.called("limit", scope)
                async with trio.open_nursery() as nursery:  # at: exit
                    s.called("nursery", nursery)
                    s.child(nursery, child, "child")
                    s.child(nursery, bad, "bad")  # at: last
        except BaseException:
            pass

    async def main():
        nonlocal gate
        gate = trio.Event()
        async with trio.open_nursery() as top:
            s.child(top, owner, "owner")
            await waiting(gate, 1)
            await wait_all_tasks_blocked(0.01)
            timed_out(s, "owner", leaving("owner", "exit", "last"), "limit", 0.05)
            common = {"by": TIMER, "why": "owner_cancelled", "cause": "owner",
                      "scope": through("nursery", "nursery"), "loose": "limit"}
            s.asked("child", "child:nap", **common)
            s.asked("bad", "bad:sleep", ends="raised", **common)
            await s.look(owner="pending", child="pending")
            gate.set()

    gate = None
    return main


# Nurseries that are cancelled -----------------------------------------------------


def of_nursery(name):
    """Called on the scope of a nursery: to tell either is as good."""
    return Either(through("nursery", name), through("cancel_scope", name + "'s scope"))


@scenario
def nursery_cancelled_by_its_owner(s):
    """The way to end a nursery from its body: the owner is inside of the scope as well, and is
    asked where it stands, running.
    """
    async def child():
        await trio.sleep(LONG)  # at: nap

    async def owner():
        async with trio.open_nursery() as nursery:
            s.called("nursery", nursery)
            s.called("nursery's scope", nursery.cancel_scope)
            s.child(nursery, child, "one")
            s.child(nursery, child, "two")
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()  # at: ask
        await gate.wait()

    async def main():
        nonlocal gate
        gate = trio.Event()
        async with trio.open_nursery() as top:
            s.child(top, owner, "owner")
            await wait_all_tasks_blocked(0.01)
            common = {"by": "owner", "stack": "owner:ask", "scope": of_nursery("nursery"),
                      "loose": "nursery"}
            s.asked("one", "child:nap", **common)
            s.asked("two", "child:nap", **common)
            s.asked("owner", "owner:ask", ends="absorbed", **common)
            await s.look()
            gate.set()

    gate = None
    return main


@scenario
def nursery_cancelled_by_a_child(s):
    """As a winner of a race does it. It is inside of the scope itself, and returns before it passes
    a checkpoint.
    """
    async def loser():
        await trio.sleep(LONG)  # at: nap

    async def winner(nursery):
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()  # at: ask

    async def owner():
        async with trio.open_nursery() as nursery:  # at: exit
            s.called("nursery", nursery)
            s.called("nursery's scope", nursery.cancel_scope)
            s.child(nursery, loser, "loser")
            s.child(nursery, winner, "winner", nursery)  # at: last

    async def main():
        async with trio.open_nursery() as top:
            s.child(top, owner, "owner")
        common = {"by": "winner", "stack": "winner:ask", "scope": of_nursery("nursery"),
                  "loose": "nursery"}
        s.asked("loser", "loser:nap", **common)
        s.asked("winner", "winner:ask", ends="returned", **common)
        s.asked("owner", leaving("owner", "exit", "last"), ends="absorbed", **common)

    return main


@scenario
def cancelled_before_the_first_step(s):
    """It is begun all the same, and ends at its first checkpoint."""
    async def child():  # at: def
        await trio.sleep(LONG)

    async def owner():
        async with trio.open_nursery() as nursery:
            s.called("nursery", nursery)
            s.called("nursery's scope", nursery.cancel_scope)
            s.child(nursery, child, "child")
            nursery.cancel_scope.cancel()  # at: ask

    async def main():
        async with trio.open_nursery() as top:
            s.child(top, owner, "owner")
        common = {"by": "owner", "stack": "owner:ask", "scope": of_nursery("nursery"),
                  "loose": "nursery"}
        s.asked("owner", "owner:ask", ends="absorbed", **common)
        s.asked("child", "child:def", **common)

    return main


@scenario
def child_of_a_cancelled_nursery(s):
    """Started when all is over: it is asked as soon as it is there, by the one who cancelled."""
    async def child():
        await trio.sleep(LONG)

    async def owner():
        async with trio.open_nursery() as nursery:
            s.called("nursery", nursery)
            s.called("nursery's scope", nursery.cancel_scope)
            nursery.cancel_scope.cancel()  # at: ask
            s.child(nursery, child, "late")

    async def main():
        async with trio.open_nursery() as top:
            s.child(top, owner, "owner")
        common = {"by": "owner", "stack": "owner:ask", "scope": of_nursery("nursery")}
        s.asked("owner", "owner:ask", ends="absorbed", **common)
        s.asked("late", "child:def", **common)

    return main


@scenario
def scope_round_a_nursery(s):
    """The scope holds the owner; its children are asked through their nursery, because of it."""
    async def child():
        await trio.sleep(LONG)  # at: nap

    async def owner():
        with trio.CancelScope() as scope:
            scopes.append(s.called("scope", scope))
            async with trio.open_nursery() as nursery:
                s.called("nursery", nursery)
                s.child(nursery, child, "one")
                s.child(nursery, child, "two")
                await trio.sleep(LONG)  # at: body

    async def main():
        s.i_am("main")
        async with trio.open_nursery() as top:
            s.child(top, owner, "owner")
            await wait_all_tasks_blocked()
            scopes[0].cancel()  # at: ask
        common = {"by": "main", "stack": "main:ask"}
        s.asked("owner", "owner:body", scope=through("cancel_scope", "scope"), ends="absorbed",
                **common)
        common.update(why="owner_cancelled", cause="owner", scope=through("nursery", "nursery"),
                      loose="nursery")
        s.asked("one", "child:nap", **common)
        s.asked("two", "child:nap", **common)

    scopes = []
    return main


@scenario
def scope_round_a_nursery_whose_body_is_shielded(s):
    """The children are asked though their owner is not: nothing was passed on, the scope itself
    reached them. The owner follows when its shield ends.
    """
    async def child():
        await trio.sleep(LONG)  # at: nap

    async def owner():
        with trio.CancelScope() as scope:
            scopes.append(s.called("scope", scope))
            async with trio.open_nursery() as nursery:
                s.called("nursery", nursery)
                s.child(nursery, child, "child")
                with trio.CancelScope(shield=True):  # at: shield
                    await gate.wait()  # at: shielded

    async def main():
        nonlocal gate
        gate = trio.Event()
        s.i_am("main")
        common = {"by": "main", "stack": "main:ask", "scope": through("cancel_scope", "scope")}
        async with trio.open_nursery() as top:
            s.child(top, owner, "owner")
            await wait_all_tasks_blocked()
            scopes[0].cancel()  # at: ask
            await wait_all_tasks_blocked()
            s.asked("child", "child:nap", **common)
            await s.look()
            gate.set()
        s.asked("owner", leaving("owner", "shield", "shielded"), ends="absorbed", **common)

    gate, scopes = None, []
    return main


@scenario
def two_thousand_children(s):
    async def child():
        await trio.sleep(LONG)  # at: nap

    async def owner():
        async with trio.open_nursery() as nursery:
            s.called("nursery", nursery)
            s.called("nursery's scope", nursery.cancel_scope)
            for number in range(2000):
                nursery.start_soon(child, name="child %d" % number)
            children.extend(s.keep(nursery.child_tasks))
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()  # at: ask

    async def main():
        async with trio.open_nursery() as top:
            s.child(top, owner, "owner")
        common = {"by": "owner", "stack": "owner:ask", "scope": of_nursery("nursery"),
                  "loose": "nursery"}
        s.asked("owner", "owner:ask", ends="absorbed", **common)
        s.knows("child", children[0])
        s.asked("child", "child:nap", **common)
        s.copies(children)

    children = []
    return main


# start() --------------------------------------------------------------------------


@scenario
def start_fails(s):
    """The child fails before it has started: start() raises that, and nobody is cancelled by it,
    but those for whom it is the failure of their owner's body.
    """
    async def child():
        await trio.sleep(LONG)  # at: nap

    async def bad(task_status):
        await wait_all_tasks_blocked()
        raise ValueError("boom")

    async def owner():
        try:
            async with trio.open_nursery() as nursery:  # at: exit
                s.called("nursery", nursery)
                s.child(nursery, child, "child")
                await nursery.start(bad)  # at: start
        except BaseException:
            pass

    async def main():
        async with trio.open_nursery() as top:
            s.child(top, owner, "owner")
        s.asked("child", "child:nap", by="owner", why="owner_failed",
                stack=leaving("owner", "exit", "start"), scope=through("nursery", "nursery"),
                exception=("ValueError", "boom", "owner"))

    return main


@scenario
def start_fails_later(s):
    """Once started, it is a child as all others."""
    async def child():
        await trio.sleep(LONG)  # at: nap

    async def bad(task_status):
        s.i_am("bad")
        task_status.started()
        await wait_all_tasks_blocked()
        raise ValueError("boom")

    async def owner():
        try:
            async with trio.open_nursery() as nursery:
                s.called("nursery", nursery)
                s.child(nursery, child, "child")
                await nursery.start(bad)
                await trio.sleep(LONG)  # at: body
        except BaseException:
            pass

    async def main():
        async with trio.open_nursery() as top:
            s.child(top, owner, "owner")
        stopped_by_a_sibling(s, ["child"], "child:nap", "bad", "owner", "owner:body")

    return main


@scenario
def start_cancelled(s):
    """Who starts it waits for it: a nursery of start()'s own lies between, which nobody wrote."""
    async def slow(task_status):
        s.i_am("slow")
        await trio.sleep(LONG)  # at: nap

    async def owner():
        async with trio.open_nursery() as nursery:
            with trio.CancelScope() as scope:
                scopes.append(s.called("scope", scope))
                await nursery.start(slow)  # at: start

    async def main():
        s.i_am("main")
        async with trio.open_nursery() as top:
            s.child(top, owner, "owner")
            await wait_all_tasks_blocked()
            scopes[0].cancel()  # at: ask
        common = {"by": "main", "stack": "main:ask"}
        s.asked("owner", "owner:start", scope=through("cancel_scope", "scope"), ends="absorbed",
                **common)
        s.asked("slow", "slow:nap", why="owner_cancelled", cause="owner",
                scope=through("nursery"), **common)

    scopes = []
    return main


@scenario
def started_and_out_of_the_scope(s):
    """started() moves the child into the nursery: a scope round start() is no scope of it any more.
    """
    async def server(task_status):
        task_status.started()
        await gate.wait()

    async def owner():
        async with trio.open_nursery() as nursery:
            with trio.CancelScope() as scope:
                s.called("scope", scope)
                await nursery.start(server)
                scope.cancel()  # at: ask
                await trio.sleep(LONG)
            await wait_all_tasks_blocked()
            gate.set()

    async def main():
        nonlocal gate
        gate = trio.Event()
        async with trio.open_nursery() as top:
            s.child(top, owner, "owner")
        s.asked("owner", "owner:ask", by="owner", stack="owner:ask", ends="absorbed",
                scope=through("cancel_scope", "scope"))

    gate = None
    return main
