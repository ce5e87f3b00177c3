"""cancels_groups.py - gather, shield and TaskGroup: who fails, who is stopped for it, and by whom.
"""
import asyncio

from asked import LONG, PYTHON, VERSION, Either, callback, scenario, since, through

# Where an owner stands that waits in its group's exit, and where that calls _abort().
LEAVING = "TaskGroup._aexit < TaskGroup.__aexit__"
if not hasattr(getattr(asyncio, "TaskGroup", None), "_aexit"):
    LEAVING = "TaskGroup.__aexit__"

GATHERING = "_GatheringFuture.cancel < "


# gather ----------------------------------------------------------------------------


@scenario
def gather_cancelled(s):
    """Somebody's own code cancels the gather: its children are asked explicitly, by way of it."""
    async def child():
        await asyncio.sleep(LONG)  # at: nap

    async def owner(future):
        await future

    async def main():
        await s.start()
        children = [s.task(child(), name) for name in "abc"]
        both = s.called("all", asyncio.gather(*children))
        task = s.task(owner(both), "owner")
        await s.turns()
        both.cancel()  # at: ask
        for name in "abc":
            s.asked(name, "sleep < child:nap", by="main", stack=GATHERING + "main:ask < loop",
                    scope=through("gather", "all"))
        await s.ended(task)  # dies of it unasked

    return main


@scenario
def gather_cancelled_by_a_timer(s):
    async def child():
        await asyncio.sleep(LONG)  # at: nap

    async def main():
        await s.start()
        one = s.task(child(), "one")
        both = s.called("all", asyncio.gather(one, asyncio.get_running_loop().create_future()))
        asyncio.get_running_loop().call_later(0.02, both.cancel)
        try:
            await both
        except asyncio.CancelledError:
            pass
        s.asked("one", "sleep < child:nap", by=callback("_GatheringFuture.cancel"),
                stack=GATHERING + "loop", scope=through("gather", "all"))

    return main


@scenario
def gather_through_its_awaiter(s):
    async def child():
        await asyncio.sleep(LONG)  # at: nap

    async def obeys_late():
        try:
            await asyncio.sleep(LONG)  # at: late
        finally:
            await gate.wait()

    async def owner():
        await s.called("both", asyncio.gather(  # at: wait
            s.task(child(), "child"), s.task(obeys_late(), "late"), return_exceptions=True))

    async def main():
        nonlocal gate
        await s.start()
        gate = asyncio.Event()
        task = s.task(owner(), "owner")
        await s.turns()
        task.cancel()  # at: ask
        s.asked("owner", "owner:wait", by="main", stack="main:ask < loop")
        for name, at in (("child", "sleep < child:nap"), ("late", "sleep < obeys_late:late")):
            s.asked(name, at, by="main", stack=GATHERING + "main:ask < loop", cause="owner",
                    why="owner_cancelled", scope=through("gather", "both"))
        await s.turns()
        await s.look(owner="pending", late="pending")
        gate.set()
        await s.ended(task)

    gate = None
    return main


@scenario
def gather_whose_awaiter_does_not_wait(s):
    """The first child that obeys wakes the awaiter; the one that cleans up is left to itself."""
    async def child():
        await asyncio.sleep(LONG)  # at: nap

    async def obeys_late():
        try:
            await asyncio.sleep(LONG)  # at: late
        finally:
            await gate.wait()

    async def owner():
        await s.called("both", asyncio.gather(  # at: wait
            s.task(child(), "child"), s.task(obeys_late(), "late")))

    async def main():
        nonlocal gate
        await s.start()
        gate = asyncio.Event()
        task = s.task(owner(), "owner")
        await s.turns()
        task.cancel()  # at: ask
        s.asked("owner", "owner:wait", by="main", stack="main:ask < loop")
        for name, at in (("child", "sleep < child:nap"), ("late", "sleep < obeys_late:late")):
            s.asked(name, at, by="main", stack=GATHERING + "main:ask < loop", cause="owner",
                    why="owner_cancelled", scope=through("gather", "both"))
        await s.ended(task)
        await s.look(late="pending")
        gate.set()
        await s.ended(s.of["late"])

    gate = None
    return main


@scenario
def gather_with_a_failure(s):
    """A child that fails cancels nobody: the others live on, and there is no record."""
    async def child():
        await gate.wait()

    async def fails():
        raise ValueError("boom")

    async def main():
        nonlocal gate
        await s.start()
        gate = asyncio.Event()
        one, two = s.task(child(), "one"), s.task(fails(), "two")
        try:
            await asyncio.gather(one, two)
        except ValueError:
            pass
        await s.turns()
        await s.look()
        gate.set()
        await one

    gate = None
    return main


@scenario
def gather_that_swallows(s):
    """A child swallows the request; the gather's awaiter still gets its own when all are done."""
    async def child():
        try:
            await asyncio.sleep(LONG)  # at: nap
        except asyncio.CancelledError:
            pass
        await gate.wait()

    async def owner():
        await s.called("all", asyncio.gather(s.task(child(), "child")))  # at: wait

    async def main():
        nonlocal gate
        await s.start()
        gate = asyncio.Event()
        task = s.task(owner(), "owner")
        await s.turns()
        task.cancel()  # at: ask
        s.asked("owner", "owner:wait", by="main", stack="main:ask < loop")
        s.asked("child", "sleep < child:nap", by="main", stack=GATHERING + "main:ask < loop",
                cause="owner", why="owner_cancelled", scope=through("gather", "all"),
                ends="returned")
        await s.turns()
        await s.look(owner="pending", child="swallowed")
        gate.set()
        await s.ended(task)

    gate = None
    return main


@scenario
def gather_of_gathers(s):
    async def child():
        await asyncio.sleep(LONG)  # at: nap

    async def main():
        await s.start()
        children = [s.task(child(), name) for name in "abc"]
        inner = s.called("inner", asyncio.gather(*children[:2]))
        outer = s.called("outer", asyncio.gather(inner, children[2]))
        await s.turns()
        outer.cancel()  # at: ask
        for name in "ab":
            s.asked(name, "sleep < child:nap", by="main",
                    stack=2 * GATHERING + "main:ask < loop",
                    # The gather it is a child of, or the one that was called.
                    scope=Either(through("gather", "inner"), through("gather", "outer")))
        s.asked("c", "sleep < child:nap", by="main", stack=GATHERING + "main:ask < loop",
                scope=through("gather", "outer"))
        await s.ended(*children)

    return main


@scenario
def gather_odd_children(s):
    """One child twice is asked twice; one that is done, or no task, or shielded, is not asked."""
    async def child():
        await asyncio.sleep(LONG)  # at: nap

    async def lives():
        await gate.wait()

    async def quick():
        pass

    async def main():
        nonlocal gate
        await s.start()
        gate = asyncio.Event()
        twice, done, lives_on = [s.task(f(), name) for f, name in (
            (child, "twice"), (quick, "done"), (lives, "lives"))]
        await s.turns()
        future = asyncio.get_running_loop().create_future()
        every = s.called("all", asyncio.gather(
            twice, done, future, asyncio.shield(lives_on), twice))
        await s.turns()
        every.cancel()  # at: ask
        for label in ("first", "second"):
            s.asked("twice", "sleep < child:nap", by="main", stack=GATHERING + "main:ask < loop",
                    scope=through("gather", "all"), label=label)
        await s.ended(twice)
        await s.look()
        gate.set()
        await lives_on

    gate = None
    return main


@scenario
def child_of_a_gather_stopped(s):
    """One child is stopped by itself; the awaiter gets its CancelledError and may go on."""
    async def child():
        await asyncio.sleep(LONG)  # at: nap

    async def owner(one, two):
        try:
            await asyncio.gather(one, two)
        except asyncio.CancelledError:
            await gate.wait()

    async def main():
        nonlocal gate
        await s.start()
        gate = asyncio.Event()
        one, two = s.task(child(), "one"), s.task(child(), "two")
        task = s.task(owner(one, two), "owner")
        await s.turns()
        one.cancel()  # at: ask
        s.asked("one", "sleep < child:nap", by="main", stack="main:ask < loop")
        await s.turns()
        await s.look()
        two.cancel()  # at: too
        s.asked("two", "sleep < child:nap", by="main", stack="main:too < loop")
        gate.set()
        await s.ended(task, two)

    gate = None
    return main


# shield ------------------------------------------------------------------------------


@scenario
def shield(s):
    """Who is shielded lives on and has no record, whether it is a task or a gather of some."""
    async def inner():
        await gate.wait()

    async def owner(future):
        await asyncio.shield(future)  # at: wait

    async def main():
        nonlocal gate
        await s.start()
        gate = asyncio.Event()
        one, two, three = [s.task(inner(), name) for name in ("one", "two", "three")]
        owners = [s.task(owner(one), "of a task"),
                  s.task(owner(asyncio.gather(two, three)), "of a gather")]
        await s.turns()
        for task, label in zip(owners, ("of a task", "of a gather")):
            task.cancel()  # at: ask
            s.asked(label, "owner:wait", by="main", stack="main:ask < loop")
        await s.ended(*owners)
        await s.look()
        gate.set()
        await s.ended(one, two, three)

    gate = None
    return main


@scenario
def shield_from_below(s):
    """The shielded one is stopped itself; who awaits the shield dies unasked."""
    async def inner():
        await asyncio.sleep(LONG)  # at: nap

    async def owner(task):
        await asyncio.shield(task)

    async def main():
        await s.start()
        one = s.task(inner(), "inner")
        task = s.task(owner(one), "owner")
        await s.turns()
        one.cancel()  # at: ask
        s.asked("inner", "sleep < inner:nap", by="main", stack="main:ask < loop")
        await s.ended(task)
        assert task.cancelled()

    return main


# TaskGroup ---------------------------------------------------------------------------


def stopped_by_a_sibling(s, names, owner, at, failed, group="group", label=None,
                         owner_ends="absorbed", text="boom", kind="ValueError"):
    """The requests of a group one of whose children failed: its siblings in any order, its owner.
    """
    common = {"by": callback("TaskGroup._on_task_done"), "why": "sibling_failed",
              "scope": through("task_group", group), "exception": (kind, text, failed)}
    for name in names:
        s.asked(name, "sleep < child:nap", loose="siblings " + (label or owner),
                stack="TaskGroup._abort < TaskGroup._on_task_done < loop", **common)
    s.asked(owner, at, stack="TaskGroup._on_task_done < loop", ends=owner_ends, label=label,
            **common)


@since(3, 11)
def group_child_fails(s):
    """While the owner is in the body; it catches the group and goes on."""
    async def child():
        await asyncio.sleep(LONG)  # at: nap

    async def bad():
        raise ValueError("boom")

    async def owner():
        try:
            async with asyncio.TaskGroup() as group:
                s.called("group", group)
                for name in "abc":
                    s.member(group, child(), name)
                await asyncio.sleep(0)
                s.member(group, bad(), "bad")
                await asyncio.sleep(LONG)  # at: body
        except BaseExceptionGroup:  # noqa: F821
            await gate.wait()

    async def main():
        nonlocal gate
        await s.start()
        gate = asyncio.Event()
        task = s.task(owner(), "owner")
        await s.turns(12)
        stopped_by_a_sibling(s, "abc", "owner", "sleep < owner:body", "bad")
        await s.look()
        gate.set()
        await s.ended(task)

    gate = None
    return main


@since(3, 11)
def group_child_fails_in_the_exit(s):
    """While the owner waits in the exit. 3.11 and 3.12 never uncancel() that; it is absorbed all
    the same.
    """
    async def child():
        await asyncio.sleep(LONG)  # at: nap

    async def bad():
        await asyncio.sleep(0)
        raise ValueError("boom")

    async def owner():
        try:
            async with asyncio.TaskGroup() as group:  # at: group
                s.called("group", group)
                for name in "ab":
                    s.member(group, child(), name)
                s.member(group, bad(), "bad")
        except BaseExceptionGroup:  # noqa: F821
            await gate.wait()

    async def main():
        nonlocal gate
        await s.start()
        gate = asyncio.Event()
        task = s.task(owner(), "owner")
        await s.turns(12)
        stopped_by_a_sibling(s, "ab", "owner", LEAVING + " < owner:group", "bad")
        await s.look()
        gate.set()
        await s.ended(task)

    gate = None
    return main


@since(3, 11)
def group_child_fails_with_other_errors(s):
    """What failed is told as Python tells it: a text with a number, a key, nothing at all, a long
    one.
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

    class Broken(Exception):
        pass

    async def main():
        await s.start()
        for name, error, kind, text in (
                ("os", FileNotFoundError(2, "No such file or directory"), "FileNotFoundError",
                 "[Errno 2] No such file or directory"),
                ("key", KeyError("name"), "KeyError", "'name'"),
                ("none", RuntimeError(), "RuntimeError", ""),
                ("own", Broken("so\nist\x1b[31m \"das\""), "Broken", "so\nist\x1b[31m \"das\""),
                ("two", ValueError("a", 2), "ValueError", "('a', 2)")):
            await s.ended(s.task(owner(name, error), "owner " + name))
            stopped_by_a_sibling(s, ["child " + name], "owner " + name,
                                 LEAVING + " < owner:group", "bad " + name, "group " + name,
                                 text=text, kind=kind)

    return main


@since(3, 11)
def group_second_failure(s):
    """A sibling that fails as well while it is stopped stops nobody again."""
    async def child():
        try:
            await asyncio.sleep(LONG)  # at: nap
        finally:
            raise KeyError("too")

    async def bad():
        raise ValueError("boom")

    async def owner():
        async with asyncio.TaskGroup() as group:  # at: group
            s.called("group", group)
            s.member(group, child(), "a")
            await asyncio.sleep(0)
            s.member(group, bad(), "bad")

    async def main():
        await s.start()
        await s.ended(s.task(owner(), "owner"))
        s.asked("a", "sleep < child:nap", by=callback("TaskGroup._on_task_done"),
                why="sibling_failed", scope=through("task_group", "group"), ends="raised",
                exception=("ValueError", "boom", "bad"),
                stack="TaskGroup._abort < TaskGroup._on_task_done < loop")
        stopped_by_a_sibling(s, "", "owner", LEAVING + " < owner:group", "bad")

    return main


@since(3, 11)
def group_body_fails(s):
    async def child():
        await asyncio.sleep(LONG)  # at: nap

    async def owner():
        try:
            async with asyncio.TaskGroup() as group:  # at: group
                s.called("group", group)
                for name in "ab":
                    s.member(group, child(), name)
                await asyncio.sleep(0)
                raise ValueError("boom")
        except BaseExceptionGroup:  # noqa: F821
            pass

    async def main():
        await s.start()
        await s.task(owner(), "owner")
        for name in "ab":
            s.asked(name, "sleep < child:nap", by="owner", why="owner_failed",
                    scope=through("task_group", "group"), exception=("ValueError", "boom", "owner"),
                    stack="TaskGroup._abort < %s < owner:group < loop" % LEAVING, loose="children")

    return main


@since(3, 11)
def group_owner_cancelled(s):
    """In the body, and in the exit; a child cleans up, so the owner has to wait: pending."""
    async def child():
        await asyncio.sleep(LONG)  # at: nap

    async def tidies():
        try:
            await asyncio.sleep(LONG)  # at: tidies
        finally:
            await gate.wait()

    async def in_body():
        async with asyncio.TaskGroup() as group:  # at: body group
            s.called("in body", group)
            s.member(group, child(), "a")
            s.member(group, tidies(), "b")
            await asyncio.sleep(LONG)  # at: body

    async def in_exit():
        async with asyncio.TaskGroup() as group:  # at: exit group
            s.called("in exit", group)
            s.member(group, child(), "c")
            s.member(group, tidies(), "d")

    async def main():
        nonlocal gate
        await s.start()
        gate = asyncio.Event()
        one, two = s.task(in_body(), "in body"), s.task(in_exit(), "in exit")
        await s.turns()
        one.cancel()  # at: one
        await s.turns()
        two.cancel()  # at: two
        await s.turns()
        for owner, marker, at, names, where in (
                ("in body", "one", "sleep < in_body:body", "ab", "in_body:body group"),
                ("in exit", "two", LEAVING + " < in_exit:exit group", "cd", "in_exit:exit group")):
            s.asked(owner, at, by="main", stack="main:%s < loop" % marker)
            for name, place in zip(names, ("child:nap", "tidies:tidies")):
                s.asked(name, "sleep < " + place, by=owner, why="owner_cancelled", cause=owner,
                        scope=through("task_group", owner), loose=owner,
                        stack="TaskGroup._abort < %s < %s < loop" % (LEAVING, where))
        states = {"in body": "pending", "in exit": "pending", "b": "pending", "d": "pending"}
        s.blocking_look(**states)
        await s.look(**states)
        gate.set()
        await s.ended(one, two)

    gate = None
    return main


@since(3, 11)
def group_owner_cancelled_twice(s):
    """The owner is impatient: asked again while it waits for its children in the exit."""
    async def child():
        try:
            await asyncio.sleep(LONG)  # at: nap
        finally:
            await gate.wait()

    async def owner():
        async with asyncio.TaskGroup() as group:  # at: group
            s.called("group", group)
            s.member(group, child(), "child")

    async def main():
        nonlocal gate
        await s.start()
        gate = asyncio.Event()
        task = s.task(owner(), "owner")
        await s.turns()
        task.cancel()  # at: first
        await s.turns()
        task.cancel()  # at: second
        await s.turns()
        s.asked("owner", LEAVING + " < owner:group", by="main", stack="main:first < loop",
                label="first")
        s.asked("child", "sleep < child:nap", by="owner", why="owner_cancelled", cause="first",
                scope=through("task_group", "group"),
                stack="TaskGroup._abort < %s < owner:group < loop" % LEAVING)
        s.asked("owner", LEAVING + " < owner:group", by="main", stack="main:second < loop",
                label="second")
        await s.look(first="pending", second="pending", child="pending")
        gate.set()
        await s.ended(task)

    gate = None
    return main


@since(3, 11)
def group_in_group(s):
    """A child of the outer group fails: the owner of the inner one is its sibling, and stops its
    own.
    """
    async def child():
        await asyncio.sleep(LONG)  # at: nap

    async def bad():
        await asyncio.sleep(0)
        raise ValueError("boom")

    async def middle():
        async with asyncio.TaskGroup() as group:  # at: inner
            s.called("inner", group)
            s.member(group, child(), "leaf")

    async def owner():
        async with asyncio.TaskGroup() as group:  # at: group
            s.called("group", group)
            s.member(group, middle(), "middle")
            await asyncio.sleep(0)
            s.member(group, bad(), "bad")

    async def main():
        await s.start()
        await s.ended(s.task(owner(), "owner"))
        common = {"by": callback("TaskGroup._on_task_done"), "why": "sibling_failed",
                  "scope": through("task_group", "group"),
                  "exception": ("ValueError", "boom", "bad")}
        s.asked("middle", LEAVING + " < middle:inner",
                stack="TaskGroup._abort < TaskGroup._on_task_done < loop", **common)
        s.asked("owner", LEAVING + " < owner:group", stack="TaskGroup._on_task_done < loop",
                ends="absorbed", **common)
        s.asked("leaf", "sleep < child:nap", by="middle", why="owner_cancelled", cause="middle",
                scope=through("task_group", "inner"),
                stack="TaskGroup._abort < %s < middle:inner < loop" % LEAVING)

    return main


@since(3, 11)
def group_fails_upwards(s):
    """A leaf fails, its group fails its owner, and that is a failed child of the outer group."""
    async def child():
        await asyncio.sleep(LONG)  # at: nap

    async def bad():
        await asyncio.sleep(0)
        raise ValueError("boom")

    async def middle():
        async with asyncio.TaskGroup() as group:  # at: inner
            s.called("inner", group)
            s.member(group, bad(), "bad")

    async def owner():
        async with asyncio.TaskGroup() as group:  # at: group
            s.called("outer", group)
            s.member(group, child(), "sibling")
            s.member(group, middle(), "middle")

    async def main():
        await s.start()
        await s.ended(s.task(owner(), "owner"))
        stopped_by_a_sibling(s, "", "middle", LEAVING + " < middle:inner", "bad", "inner")
        stopped_by_a_sibling(s, ["sibling"], "owner", LEAVING + " < owner:group", "middle",
                             "outer", kind="ExceptionGroup",
                             text="unhandled errors in a TaskGroup (1 sub-exception)")

    return main


@since(3, 11)
def groups_of_one_owner(s):
    """Two groups in one task: the inner one fails, which is the failure of the outer one's body."""
    async def child():
        await asyncio.sleep(LONG)  # at: nap

    async def bad():
        await asyncio.sleep(0)
        raise ValueError("boom")

    async def owner():
        async with asyncio.TaskGroup() as group:  # at: outer
            s.called("outer", group)
            s.member(group, child(), "of outer")
            async with asyncio.TaskGroup() as group:  # at: inner
                s.called("inner", group)
                s.member(group, child(), "of inner")
                s.member(group, bad(), "bad")

    async def main():
        await s.start()
        await s.ended(s.task(owner(), "owner"))
        stopped_by_a_sibling(s, ["of inner"], "owner", LEAVING + " < owner:inner", "bad", "inner")
        s.asked("of outer", "sleep < child:nap", by="owner", why="owner_failed",
                scope=through("task_group", "outer"),
                exception=("ExceptionGroup", "unhandled errors in a TaskGroup (1 sub-exception)",
                           "owner"),
                # 3.11 and 3.12 took nothing back in the inner exit, and the request still counts.
                stack="TaskGroup._abort < %s < owner:outer < loop" % LEAVING)

    return main


@since(3, 11)
def group_owner_cancelled_and_a_child_fails(s):
    """From 3.13 on such a group takes the request back and makes it anew, to keep the count."""
    async def child():
        try:
            await asyncio.sleep(LONG)  # at: nap
        finally:
            raise ValueError("boom")

    async def owner():
        async with asyncio.TaskGroup() as group:  # at: group
            s.called("group", group)
            s.member(group, child(), "child")

    async def main():
        await s.start()
        task = s.task(owner(), "owner")
        await s.turns()
        task.cancel()  # at: ask
        await s.ended(task)
        again = PYTHON >= (3, 13)
        s.asked("owner", LEAVING + " < owner:group", by="main", stack="main:ask < loop",
                ends=Either("absorbed", "raised") if again else "raised")
        s.asked("child", "sleep < child:nap", by="owner", why="owner_cancelled", cause="owner",
                scope=through("task_group", "group"), ends="raised",
                stack="TaskGroup._abort < %s < owner:group < loop" % LEAVING)
        if again:
            s.asked("owner", LEAVING + " < owner:group", by="owner", why="owner_cancelled",
                    scope=through("task_group", "group"), cause="owner", ends="raised",
                    stack=LEAVING + " < owner:group < loop", label="again")

    return main


@since(3, 11)
def group_child_stopped(s):
    """One child is stopped by hand: that is no failure, and the group goes on."""
    async def child():
        await asyncio.sleep(LONG)  # at: nap

    async def lives():
        await gate.wait()

    async def owner():
        async with asyncio.TaskGroup() as group:
            s.member(group, lives(), "lives")
            s.member(group, child(), "child").cancel()  # at: ask

    async def main():
        nonlocal gate
        await s.start()
        gate = asyncio.Event()
        task = s.task(owner(), "owner")
        await s.turns()
        s.asked("child", "child:def", by="owner", stack="owner:ask < loop")
        await s.look()
        gate.set()
        await task

    gate = None
    return main


@since(3, 11)
def group_body_awaits_a_stopped_child(s):
    """The body awaits a child that somebody stops: the body fails with its CancelledError,
    unasked.
    """
    async def child():
        await asyncio.sleep(LONG)  # at: nap

    async def owner():
        async with asyncio.TaskGroup() as group:  # at: group
            s.called("group", group)
            s.member(group, child(), "sibling")
            await s.member(group, child(), "child")

    async def main():
        await s.start()
        task = s.task(owner(), "owner")
        await s.turns()
        s.of["child"].cancel()  # at: ask
        await s.ended(task)
        s.asked("child", "sleep < child:nap", by="main", stack="main:ask < loop")
        # Nobody asked the owner: its body raised. What it raised tells of the child's request.
        s.asked("sibling", "sleep < child:nap", by="owner", why=Either("owner_failed", "unknown"),
                scope=through("task_group", "group"), cause=Either(None, "child"),
                exception=Either(("CancelledError", "", "owner"), None),
                stack="TaskGroup._abort < %s < owner:group < loop" % LEAVING)

    return main


@since(3, 11)
def group_under_a_timeout(s):
    """The deadline stops the owner, the owner its group: one root."""
    async def child():
        await asyncio.sleep(LONG)  # at: nap

    async def owner():
        try:
            async with asyncio.timeout(0.03) as limit:
                s.called("limit", limit)
                async with asyncio.TaskGroup() as group:  # at: group
                    s.called("group", group)
                    for name in "ab":
                        s.member(group, child(), name)
        except TimeoutError:
            await gate.wait()

    async def main():
        nonlocal gate
        await s.start()
        gate = asyncio.Event()
        task = s.task(owner(), "owner")
        await asyncio.wait({s.of["a"] for _ in [await s.turns()]})
        await s.turns()
        s.asked("owner", LEAVING + " < owner:group", by=callback("Timeout._on_timeout"),
                why="timeout", scope=through("timeout", "limit", 0.03, known=False),
                stack="Timeout._on_timeout < loop", ends="absorbed")
        for name in "ab":
            s.asked(name, "sleep < child:nap", by="owner", why="owner_cancelled", cause="owner",
                    scope=through("task_group", "group"), loose="children",
                    stack="TaskGroup._abort < %s < owner:group < loop" % LEAVING)
        await s.look()
        gate.set()
        await task

    gate = None
    return main


@since(3, 11)
def group_with_a_timeout_inside(s):
    """A child's own deadline passes and it does not catch that: a failure like any other."""
    async def child():
        await asyncio.sleep(LONG)  # at: nap

    async def limited():
        async with asyncio.timeout(0.03) as limit:
            s.called("limit", limit)
            await asyncio.sleep(LONG)  # at: limited

    async def owner():
        async with asyncio.TaskGroup() as group:  # at: group
            s.called("group", group)
            s.member(group, child(), "sibling")
            s.member(group, limited(), "limited")

    async def main():
        await s.start()
        await s.ended(s.task(owner(), "owner"))
        s.asked("limited", "sleep < limited:limited", by=callback("Timeout._on_timeout"),
                why="timeout", scope=through("timeout", "limit", 0.03, known=False),
                stack="Timeout._on_timeout < loop", ends="absorbed")
        stopped_by_a_sibling(s, ["sibling"], "owner", LEAVING + " < owner:group", "limited",
                             text="", kind="TimeoutError")

    return main


@since(3, 12, on="asyncio")
def group_eager_child_fails(s):
    """Up to 3.13.1 an eager child that fails at once does so inside of its owner's own step."""
    async def child():
        await asyncio.sleep(LONG)  # at: nap

    async def bad():
        s.i_am("bad")
        raise ValueError("boom")

    async def owner():
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            s.called("group", group)
            s.member(group, child(), "sibling")
            await asyncio.sleep(0)
            loop.set_task_factory(asyncio.eager_task_factory)
            group.create_task(bad(), name=s.full("bad"))  # at: make
            loop.set_task_factory(None)
            await asyncio.sleep(LONG)  # at: body

    async def main():
        await s.start()
        await s.ended(s.task(owner(), "owner"))
        s.also_called("bad")
        common = {"why": "sibling_failed", "scope": through("task_group", "group"),
                  "exception": ("ValueError", "boom", "bad")}
        if VERSION < (3, 13, 2) and (PYTHON, VERSION[2] > 8) != ((3, 12), True):
            place = "TaskGroup._on_task_done < TaskGroup.create_task < owner:make"
            s.asked("sibling", "sleep < child:nap", by="owner",
                    stack="TaskGroup._abort < %s < loop" % place, **common)
            s.asked("owner", place, by="owner", stack=place + " < loop", ends="absorbed", **common)
        else:
            by = callback("TaskGroup._on_task_done")
            s.asked("sibling", "sleep < child:nap", by=by,
                    stack="TaskGroup._abort < TaskGroup._on_task_done < loop", **common)
            s.asked("owner", "sleep < owner:body", by=by, stack="TaskGroup._on_task_done < loop",
                    ends="absorbed", **common)

    return main


@since(3, 15)
def group_cancelled(s):
    """3.15: a group has a cancel() of its own; called by somebody else, by a child, and in the
    body.
    """
    async def child():
        await asyncio.sleep(LONG)  # at: nap

    async def owner(name):
        async with asyncio.TaskGroup() as group:
            s.called("group " + name, group)
            s.member(group, child(), "child " + name)
            await asyncio.sleep(LONG)  # at: body
        await gate.wait()

    async def asks(group):
        await asyncio.sleep(0)
        group.cancel()  # at: child asks

    async def by_a_child():
        async with asyncio.TaskGroup() as group:  # at: group
            s.called("group by a child", group)
            s.member(group, asks(group), "asker")
        await gate.wait()

    async def in_body():
        async with asyncio.TaskGroup() as group:
            s.called("group in body", group)
            s.member(group, child(), "child in body")
            await asyncio.sleep(0)
            group.cancel()  # at: owner asks
            await asyncio.sleep(LONG)
        await gate.wait()

    async def main():
        nonlocal gate
        await s.start()
        gate = asyncio.Event()
        tasks = [s.task(owner("by main"), "by main")]
        await s.turns()
        group = next(o for o in s.objects if hex(id(o)) == s.scopes["group by main"])
        group.cancel()  # at: ask
        scope = through("task_group", "group by main")
        s.asked("child by main", "sleep < child:nap", by="main", scope=scope,
                stack="TaskGroup._abort < TaskGroup.cancel < main:ask < loop")
        s.asked("by main", "sleep < owner:body", by="main", scope=scope, ends="absorbed",
                stack="TaskGroup.cancel < main:ask < loop")
        await s.turns()
        tasks.append(s.task(by_a_child(), "by a child"))
        await s.turns()
        scope = through("task_group", "group by a child")
        # The child that asks is one of those that are asked; it ends before it hears of it.
        s.asked("asker", "TaskGroup._abort < TaskGroup.cancel < asks:child asks", by="asker",
                scope=scope, stack="TaskGroup._abort < TaskGroup.cancel < asks:child asks < loop")
        s.asked("by a child", LEAVING + " < by_a_child:group", by="asker", scope=scope,
                stack="TaskGroup.cancel < asks:child asks < loop", ends="absorbed")
        tasks.append(s.task(in_body(), "in body"))
        await s.turns()
        scope = through("task_group", "group in body")
        s.asked("child in body", "sleep < child:nap", by="in body", scope=scope,
                stack="TaskGroup._abort < TaskGroup.cancel < in_body:owner asks < loop")
        s.asked("in body", "TaskGroup.cancel < in_body:owner asks", by="in body", scope=scope,
                stack="TaskGroup.cancel < in_body:owner asks < loop", ends="absorbed")
        await s.turns()
        await s.look()
        gate.set()
        await s.ended(*tasks)

    gate = None
    return main


@scenario
def group_by_hand(s):
    """What people wrote before there were groups: the first failure, and all others are stopped."""
    async def child():
        await asyncio.sleep(LONG)  # at: nap

    async def bad():
        await asyncio.sleep(0)
        raise ValueError("boom")

    async def owner():
        tasks = [s.task(child(), "a"), s.task(bad(), "bad"), s.task(child(), "b")]
        try:
            await asyncio.gather(*tasks)
        except ValueError:
            for task in tasks:
                task.cancel()  # at: stop
            raise

    async def main():
        await s.start()
        await s.ended(s.task(owner(), "owner"))
        await s.turns()
        for name in "ab":
            s.asked(name, "sleep < child:nap", by="owner", stack="owner:stop < loop",
                    # Own code asks; that it does so because of a failure may be told or not.
                    exception=Either(None, *[("ValueError", "boom", task)
                                             for task in (None, "bad", "owner")]))

    return main
