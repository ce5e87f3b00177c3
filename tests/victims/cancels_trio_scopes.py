"""cancels_trio_scopes.py - trio: deadlines, scopes that are cancelled, shields, and what tasks make
of all that.
"""
import os
import signal
import threading
import time

import trio
from trio.testing import wait_all_tasks_blocked

from asked import LONG, Either, scenario, through
from levels import INTERRUPT, TIMER, leaving, limit, lowlevel, timed_out, waiting

VERSION = tuple(map(int, trio.__version__.split(".")[:2]))
ABANDON = "cancellable" if VERSION < (0, 23) else "abandon_on_cancel"
low = lowlevel()


def since(*version):
    """Decorate a scenario that needs at least this trio."""
    return scenario if VERSION >= version else lambda function: function


# Deadlines ------------------------------------------------------------------------


@scenario
def deadlines(s):
    """Each way to write one. Where an absolute time is given, what was allowed is what was left
    when the block was entered.
    """
    async def worker(name, made):
        try:
            with made() as scope:
                s.called(name, scope)
                await trio.sleep(LONG)  # at: nap
        except trio.TooSlowError:
            pass
        await gate.wait()

    async def main():
        nonlocal gate
        gate = trio.Event()
        now = trio.current_time
        async with trio.open_nursery() as top:
            for name, made in (
                    ("move_on_after", lambda: trio.move_on_after(0.05)),
                    ("fail_after", lambda: trio.fail_after(0.05)),
                    ("move_on_at", lambda: trio.move_on_at(now() + 0.05)),
                    ("fail_at", lambda: trio.fail_at(now() + 0.05)),
                    ("CancelScope", lambda: trio.CancelScope(deadline=now() + 0.05))):
                s.child(top, worker, name, name, made)
                await waiting(gate, len(s.requests) + 1)
                timed_out(s, name, "worker:nap", name, 0.05)
            await s.look()
            gate.set()

    gate = None
    return main


@scenario
def no_time_at_all(s):
    """The deadline has passed when the block is entered: the task that enters it asks itself."""
    async def worker(name, made):
        with made() as scope:  # at: enter
            s.called(name, scope)
            await trio.sleep(LONG)

    async def main():
        now = trio.current_time
        async with trio.open_nursery() as top:
            s.child(top, worker, "none", "none", lambda: trio.move_on_after(0))
            s.child(top, worker, "past", "past", lambda: trio.move_on_at(now() - 1))
        for name, delay in (("none", 0), ("past", -1)):
            s.asked(name, "worker:enter", by=name, stack="worker:enter", why="timeout",
                    # Less than none is as good as none.
                    scope=Either(limit(name, delay, elapsed=0), limit(name, 0)),
                    ends="absorbed", loose="both")

    return main


@scenario
def deadline_in_deadline(s):
    async def worker(name, outer, inner):
        with trio.move_on_after(outer) as scope:
            s.called("outer of " + name, scope)
            with trio.move_on_after(inner) as scope:
                s.called("inner of " + name, scope)
                await trio.sleep(LONG)  # at: nap
            await gate.wait()  # at: gate

    async def main():
        nonlocal gate
        gate = trio.Event()
        async with trio.open_nursery() as top:
            s.child(top, worker, "inner first", "inner first", 10, 0.05)
            await waiting(gate, 1)
            timed_out(s, "inner first", "worker:nap", "inner of inner first", 0.05)
            async with trio.open_nursery() as nursery:
                s.child(nursery, worker, "outer first", "outer first", 0.05, 10)
            timed_out(s, "outer first", "worker:nap", "outer of outer first", 0.05)
            async with trio.open_nursery() as nursery:
                s.child(nursery, worker, "one by one", "one by one", 0.3, 0.05)
            timed_out(s, "one by one", "worker:nap", "inner of one by one", 0.05, label="first")
            timed_out(s, "one by one", "worker:gate", "outer of one by one", 0.3, label="second")
            await s.look()
            gate.set()

    gate = None
    return main


@scenario
def deadlines_that_pass_at_once(s):
    """Nobody looked at the clock for so long that both have passed. The outer one is found first,
    and the inner one has nothing to ask any more.
    """
    async def worker():
        with trio.move_on_after(0.03) as scope:
            s.called("outer", scope)
            with trio.move_on_after(0.06) as scope:
                s.called("inner", scope)
                await trio.sleep(LONG)  # at: nap

    async def main():
        async with trio.open_nursery() as top:
            s.child(top, worker, "worker")
            await wait_all_tasks_blocked()
            time.sleep(0.1)
        timed_out(s, "worker", "worker:nap", "outer", 0.03)

    return main


@scenario
def deadlines_that_were_changed(s):
    """What it was first set to is not the time that was allowed."""
    async def worker(name, made, when):
        with made() as scope:
            s.called(name, scope)
            scope.deadline = when()
            await trio.sleep(LONG)  # at: nap

    async def main():
        now = trio.current_time
        async with trio.open_nursery() as top:
            for name, made in (("sooner", lambda: trio.move_on_after(10)),
                               ("later", lambda: trio.move_on_after(0.01)),
                               ("set at last", trio.CancelScope)):
                async with trio.open_nursery() as nursery:
                    s.child(nursery, worker, name, name, made, lambda: now() + 0.06)
                timed_out(s, name, "worker:nap", name, 0.06,
                          scope=through("cancel_scope", name, 0.06, known=False, moved=True))

    return main


@scenario
def deadline_moved_by_another(s):
    """What was allowed in all is told, from the entering on; or nothing is."""
    async def worker():
        with trio.move_on_after(10) as scope:
            scopes.append(s.called("limit", scope))
            await trio.sleep(LONG)  # at: nap

    async def main():
        async with trio.open_nursery() as top:
            s.child(top, worker, "worker")
            await trio.sleep(0.1)
            scopes[0].deadline = trio.current_time() + 0.05
        timed_out(s, "worker", "worker:nap", "limit", 0.15,
                  scope=through("cancel_scope", "limit", 0.2, known=False, elapsed=0.1, moved=True))

    scopes = []
    return main


@scenario
def deadline_of_a_nursery(s):
    async def child():
        await trio.sleep(LONG)  # at: nap

    async def owner():
        with trio.move_on_after(0.05) as scope:
            s.called("limit", scope)
            async with trio.open_nursery() as nursery:  # at: exit
                s.called("nursery", nursery)
                s.child(nursery, child, "one")
                s.child(nursery, child, "two")  # at: last

    async def main():
        async with trio.open_nursery() as top:
            s.child(top, owner, "owner")
        timed_out(s, "owner", leaving("owner", "exit", "last"), "limit", 0.05)
        for name in ("one", "two"):
            s.asked(name, "child:nap", by=TIMER, why="owner_cancelled", cause="owner",
                    scope=through("nursery", "nursery"), loose="nursery")

    return main


@scenario
def deadline_in_a_shield(s):
    """The shield holds what is outside of it; a deadline inside of it passes as any other."""
    async def worker():
        with trio.CancelScope() as scope:
            scopes.append(s.called("scope", scope))
            with trio.CancelScope(shield=True):  # at: shield
                with trio.move_on_after(0.05) as scope:
                    s.called("limit", scope)
                    await trio.sleep(LONG)  # at: nap
                await gate.wait()  # at: shielded

    async def main():
        nonlocal gate
        gate = trio.Event()
        s.i_am("main")
        async with trio.open_nursery() as top:
            s.child(top, worker, "worker")
            await wait_all_tasks_blocked()
            scopes[0].cancel()  # at: ask
            await waiting(gate, 1)
            timed_out(s, "worker", "worker:nap", "limit", 0.05, label="deadline")
            await s.look()
            gate.set()
        s.asked("worker", leaving("worker", "shield", "shielded"), by="main", stack="main:ask",
                scope=through("cancel_scope", "scope"), ends="absorbed")

    gate, scopes = None, []
    return main


@scenario
def nobody_is_cancelled(s):
    """What trio does for itself by scopes is no cancellation; nor is a deadline that was met, a
    scope that is cancelled when it has been left, or that nobody enters.
    """
    async def child():
        await trio.sleep(0.01)

    async def listener(task_status):
        await trio.serve_tcp(lambda stream: stream.aclose(), 0, host="127.0.0.1",
                             task_status=task_status)

    async def main():
        for _ in range(3):
            await trio.sleep(0.01)
            await trio.sleep(0)
            await low.checkpoint()
            await low.checkpoint_if_cancelled()
            await low.cancel_shielded_checkpoint()
        await trio.sleep_until(trio.current_time() + 0.02)
        with trio.move_on_after(10):
            await trio.sleep(0.01)
        with trio.fail_after(10) as scope:
            await trio.sleep(0.01)
        scope.cancel()
        never = trio.CancelScope()
        never.cancel()
        with trio.CancelScope(shield=True):
            await trio.sleep(0.01)
        async with trio.open_nursery() as nursery:
            s.child(nursery, child, "child")
        nursery.cancel_scope.cancel()
        await trio.to_thread.run_sync(time.sleep, 0.01)
        send, receive = trio.open_memory_channel(1)
        await send.send(1)
        await receive.receive()
        condition = trio.Condition()
        async with condition:
            condition.notify()
        async with await trio.open_file("/dev/null") as file:
            await file.read()

    return main


# Scopes that are cancelled --------------------------------------------------------


@scenario
def cancelled_by_another(s):
    """Once: to cancel a cancelled scope asks nobody."""
    async def worker():
        with trio.CancelScope() as scope:
            scopes.append(s.called("scope", scope))
            await trio.sleep(LONG)  # at: nap

    async def main():
        s.i_am("main")
        async with trio.open_nursery() as top:
            s.child(top, worker, "worker")
            await wait_all_tasks_blocked()
            scopes[0].cancel()  # at: ask
            scopes[0].cancel()
        s.asked("worker", "worker:nap", by="main", stack="main:ask", ends="absorbed",
                scope=through("cancel_scope", "scope"))

    scopes = []
    return main


@scenario
def cancelled_by_itself(s):
    async def helper(scope):
        scope.cancel()  # at: ask
        await trio.sleep(LONG)

    async def worker():
        with trio.CancelScope() as scope:
            s.called("scope", scope)
            await helper(scope)  # at: wait

    async def main():
        async with trio.open_nursery() as top:
            s.child(top, worker, "worker")
        s.asked("worker", "helper:ask < worker:wait", by="worker", ends="absorbed",
                stack="helper:ask < worker:wait", scope=through("cancel_scope", "scope"))

    return main


@since(0, 31)
def cancelled_with_a_reason(s):
    """The reason goes with the request wherever it is passed on. What trio makes up itself is none.
    """
    async def child():
        await trio.sleep(LONG)  # at: nap

    async def worker():
        with trio.CancelScope() as scope:
            scopes.append(s.called("scope", scope))
            async with trio.open_nursery() as nursery:
                s.called("nursery", nursery)
                s.child(nursery, child, "child")
                await trio.sleep(LONG)  # at: body

    async def main():
        s.i_am("main")
        async with trio.open_nursery() as top:
            s.child(top, worker, "worker")
            await wait_all_tasks_blocked()
            scopes[0].cancel(reason="the user left \N{BLACK HEART SUIT}")  # at: ask
        common = {"by": "main", "stack": "main:ask",
                  "message": "the user left \N{BLACK HEART SUIT}"}
        s.asked("worker", "worker:body", ends="absorbed", scope=through("cancel_scope", "scope"),
                **common)
        s.asked("child", "child:nap", why="owner_cancelled", cause="worker",
                scope=through("nursery", "nursery"), **common)

    scopes = []
    return main


@scenario
def cancelled_before_it_is_entered(s):
    """The task is asked when it enters, by the one who cancelled the scope long before."""
    async def worker(scope):
        await gate.wait()
        with scope:  # at: enter
            await trio.sleep(LONG)

    async def main():
        nonlocal gate
        gate = trio.Event()
        s.i_am("main")
        scope = s.called("scope", trio.CancelScope())
        async with trio.open_nursery() as top:
            s.child(top, worker, "worker", scope)
            await wait_all_tasks_blocked()
            scope.cancel()  # at: ask
            await s.look()
            gate.set()
        s.asked("worker", "worker:enter", by="main", stack="main:ask", ends="absorbed",
                scope=through("cancel_scope", "scope"))

    gate = None
    return main


@scenario
def cancelled_from_a_thread(s):
    """By what runs then in trio's own thread: trio's task for that, or the task that waits for the
    thread.
    """
    async def worker():
        with trio.CancelScope() as scope:
            scopes.append(s.called("scope", scope))
            await trio.sleep(LONG)  # at: nap

    def in_thread():
        trio.from_thread.run_sync(ask)

    def ask():
        scopes[0].cancel()  # at: ask

    async def main():
        s.i_am("main")
        s.knows_system("soon", "run_sync_soon task>")
        async with trio.open_nursery() as top:
            s.child(top, worker, "worker")
            await wait_all_tasks_blocked()
            await trio.to_thread.run_sync(in_thread)  # at: thread
        hosted = VERSION >= (0, 23)
        s.asked("worker", "worker:nap", by="main" if hosted else "soon", ends="absorbed",
                stack="ask:ask" + " < main:thread" * hosted,
                scope=through("cancel_scope", "scope"))

    scopes = []
    return main


@scenario
def cancelled_from_a_foreign_thread(s):
    """Its function has no frame of Python's below cancel(): the stack is the run's own."""
    async def worker():
        with trio.CancelScope() as scope:
            scopes.append(s.called("scope", scope))
            await trio.sleep(LONG)  # at: nap
        done.set()

    async def main():
        nonlocal done
        done = trio.Event()
        s.knows_system("soon", "run_sync_soon task>")
        token = low.current_trio_token()
        async with trio.open_nursery() as top:
            s.child(top, worker, "worker")
            await wait_all_tasks_blocked()
            threading.Thread(target=token.run_sync_soon, args=(scopes[0].cancel,)).start()
            await done.wait()
        s.asked("worker", "worker:nap", by="soon", ends="absorbed",
                scope=through("cancel_scope", "scope"))

    done, scopes = None, []
    return main


@scenario
def cancelled_while_unwinding(s):
    """A task that is being stopped stops another: its request is the cause."""
    async def other():
        with trio.CancelScope() as scope:
            scopes["other"] = s.called("other's", scope)
            await trio.sleep(LONG)  # at: nap

    async def worker():
        with trio.CancelScope() as scope:
            scopes["worker"] = s.called("worker's", scope)
            try:
                await trio.sleep(LONG)  # at: sleep
            finally:
                scopes["other"].cancel()  # at: pass

    async def main():
        s.i_am("main")
        async with trio.open_nursery() as top:
            s.child(top, other, "other")
            s.child(top, worker, "worker")
            await wait_all_tasks_blocked()
            scopes["worker"].cancel()  # at: ask
        s.asked("worker", "worker:sleep", by="main", stack="main:ask", ends="absorbed",
                scope=through("cancel_scope", "worker's"))
        s.asked("other", "other:nap", by="worker", stack="worker:pass", cause="worker",
                ends="absorbed", scope=through("cancel_scope", "other's"))

    scopes = {}
    return main


# Shields --------------------------------------------------------------------------


@scenario
def shielded_clean_up(s):
    """A child that was asked cleans up behind a shield: it is pending as long as that takes, and is
    not asked again by it.
    """
    async def child():
        try:
            await trio.sleep(LONG)  # at: nap
        finally:
            with trio.CancelScope(shield=True):
                await gate.wait()

    async def owner():
        with trio.CancelScope() as scope:
            scopes.append(s.called("scope", scope))
            async with trio.open_nursery() as nursery:  # at: exit
                s.called("nursery", nursery)
                s.child(nursery, child, "child")  # at: last

    async def main():
        nonlocal gate
        gate = trio.Event()
        s.i_am("main")
        async with trio.open_nursery() as top:
            s.child(top, owner, "owner")
            await wait_all_tasks_blocked()
            scopes[0].cancel()  # at: ask
            await wait_all_tasks_blocked()
            s.asked("owner", leaving("owner", "exit", "last"), by="main", stack="main:ask",
                    scope=through("cancel_scope", "scope"), ends="absorbed")
            s.asked("child", "child:nap", by="main", stack="main:ask", why="owner_cancelled",
                    scope=through("nursery", "nursery"), cause="owner", after=0.05)
            await trio.sleep(0.06)
            await s.look(owner="pending", child="pending")
            gate.set()

    gate, scopes = None, []
    return main


@scenario
def shield_holds(s):
    """Nobody is asked while the shield stands: there is no record. When it ends the scope that was
    cancelled long ago asks at once, by the one who cancelled it.
    """
    async def worker():
        with trio.CancelScope() as scope:
            scopes.append(s.called("scope", scope))
            with trio.CancelScope(shield=True):  # at: shield
                await gate.wait()  # at: shielded
            ended.append(True)
            await trio.sleep(LONG)

    async def main():
        nonlocal gate
        gate = trio.Event()
        s.i_am("main")
        async with trio.open_nursery() as top:
            s.child(top, worker, "worker")
            await wait_all_tasks_blocked()
            scopes[0].cancel()  # at: ask
            await wait_all_tasks_blocked()
            await s.look()
            gate.set()
        assert ended
        s.asked("worker", leaving("worker", "shield", "shielded"), by="main", stack="main:ask",
                scope=through("cancel_scope", "scope"), ends="absorbed")

    ended, gate, scopes = [], None, []
    return main


@scenario
def shield_taken_away(s):
    """By another task, while the first one waits behind it: it is asked there and then, but by the
    one who cancelled.
    """
    async def worker():
        with trio.CancelScope() as scope:
            scopes.append(s.called("scope", scope))
            with trio.CancelScope(shield=True) as scope:
                scopes.append(scope)
                await trio.sleep(LONG)  # at: shielded

    async def opener():
        scopes[1].shield = False

    async def main():
        s.i_am("main")
        async with trio.open_nursery() as top:
            s.child(top, worker, "worker")
            await wait_all_tasks_blocked()
            scopes[0].cancel()  # at: ask
            await s.look()
            s.child(top, opener, "opener")
        s.asked("worker", "worker:shielded", by="main", stack="main:ask",
                scope=through("cancel_scope", "scope"), ends="absorbed")

    scopes = []
    return main


@scenario
def cancelled_twice_from_inside_out(s):
    """The inner scope is cancelled, and while its child cleans up, the outer one: the owner is
    inside of both, and is asked by both.
    """
    async def child():
        try:
            await trio.sleep(LONG)  # at: nap
        finally:
            with trio.CancelScope(shield=True):  # at: shield
                await gate.wait()  # at: tidy

    async def owner():
        with trio.CancelScope() as scope:
            scopes.append(s.called("outer", scope))
            with trio.CancelScope() as scope:
                scopes.append(s.called("inner", scope))
                async with trio.open_nursery() as nursery:  # at: exit
                    s.called("nursery", nursery)
                    s.child(nursery, child, "child")  # at: last

    async def main():
        nonlocal gate
        gate = trio.Event()
        s.i_am("main")
        stands = leaving("owner", "exit", "last")
        async with trio.open_nursery() as top:
            s.child(top, owner, "owner")
            await wait_all_tasks_blocked()
            scopes[1].cancel()  # at: first
            await wait_all_tasks_blocked()
            scopes[0].cancel()  # at: second
            s.asked("owner", stands, by="main", stack="main:first", ends="absorbed",
                    scope=through("cancel_scope", "inner"), label="first")
            s.asked("child", "child:nap", by="main", stack="main:first", why="owner_cancelled",
                    scope=through("nursery", "nursery"), cause="first", label="child first")
            s.asked("owner", stands, by="main", stack="main:second", ends="absorbed",
                    scope=through("cancel_scope", "outer"), label="second")
            await s.look(first="pending", second="pending", **{"child first": "pending"})
            gate.set()
        s.asked("child", leaving("child", "shield", "tidy"), by="main", stack="main:second",
                why="owner_cancelled", scope=through("nursery", "nursery"), cause="second",
                label="child second")

    gate, scopes = None, []
    return main


# What tasks make of it ------------------------------------------------------------


@scenario
def asked_again_and_again(s):
    """A task catches Cancelled and goes on inside of the scope: it is stopped again at each
    checkpoint. That is one record, and as long as the scope is not left it is pending: the scope
    has not given up, so nothing is swallowed.
    """
    async def worker():
        with trio.CancelScope() as scope:
            scopes.append(s.called("scope", scope))
            for _ in range(3):
                try:
                    await trio.sleep(LONG)  # at: nap
                except trio.Cancelled:
                    pass
            with trio.CancelScope(shield=True):
                await gate.wait()
            try:
                await low.checkpoint()
            except trio.Cancelled:
                pass
        await door.wait()

    async def main():
        nonlocal gate, door
        gate, door = trio.Event(), trio.Event()
        s.i_am("main")
        async with trio.open_nursery() as top:
            s.child(top, worker, "worker")
            await wait_all_tasks_blocked()
            scopes[0].cancel()  # at: ask
            await wait_all_tasks_blocked()
            s.asked("worker", "worker:nap", by="main", stack="main:ask", ends="absorbed",
                    scope=through("cancel_scope", "scope"), repeats=2)
            # It sits behind a shield, and handles nothing: whether that is a clean-up or not
            # nobody can tell.
            await s.look(worker=Either("pending", "swallowed"))
            gate.set()
            await wait_all_tasks_blocked()
            s.request_again("worker", 3)
            await s.look()
            door.set()

    gate = door = None
    scopes = []
    return main


@scenario
def clean_up_that_is_not_shielded(s):
    """The usual mistake: the await in `finally` is cancelled as well. Once more, and that was it.
    """
    async def child():
        try:
            await trio.sleep(LONG)  # at: nap
        finally:
            await trio.sleep(0.01)

    async def owner():
        async with trio.open_nursery() as nursery:  # at: exit
            scopes.append(nursery.cancel_scope)
            s.called("nursery", nursery)
            s.called("nursery's scope", nursery.cancel_scope)
            s.child(nursery, child, "child")  # at: last

    async def main():
        s.i_am("main")
        async with trio.open_nursery() as top:
            s.child(top, owner, "owner")
            await wait_all_tasks_blocked()
            scopes[0].cancel()  # at: ask
        common = {"by": "main", "stack": "main:ask", "loose": "nursery",
                  "scope": Either(through("nursery", "nursery"),
                                  through("cancel_scope", "nursery's scope"))}
        s.asked("owner", leaving("owner", "exit", "last"), ends="absorbed", **common)
        s.asked("child", "child:nap", repeats=1, **common)

    scopes = []
    return main


@scenario
def no_checkpoint_is_passed(s):
    """It is asked, and cannot be reached: pending; it leaves the scope before it is, and the
    request ends with that.
    """
    async def worker():
        with trio.CancelScope() as scope:
            scopes.append(s.called("scope", scope))
            while not over:
                await low.cancel_shielded_checkpoint()  # at: spin
        await gate.wait()

    async def main():
        nonlocal gate
        gate = trio.Event()
        s.i_am("main")
        async with trio.open_nursery() as top:
            s.child(top, worker, "worker")
            for _ in range(3):
                await low.checkpoint()
            scopes[0].cancel()  # at: ask
            for _ in range(3):
                await low.checkpoint()
            s.asked("worker", "worker:spin", by="main", stack="main:ask", ends="absorbed",
                    scope=through("cancel_scope", "scope"))
            await s.look(worker="pending")
            over.append(True)
            await wait_all_tasks_blocked()
            await s.look()
            gate.set()

    gate, over, scopes = None, [], []
    return main


@scenario
def children_that_do_not_obey(s):
    """One returns a value, one raises something else; who entered the scope leaves it by another
    exception, and has left it all the same.
    """
    async def value():
        try:
            await trio.sleep(LONG)  # at: nap
        except trio.Cancelled:
            return 42

    async def error():
        try:
            await trio.sleep(LONG)  # at: nap
        except trio.Cancelled:
            raise OSError("disk")

    async def obeys():
        await trio.sleep(LONG)  # at: nap

    async def host():
        try:
            with trio.CancelScope() as scope:
                scopes.append(s.called("host's", scope))
                try:
                    await trio.sleep(LONG)  # at: nap
                except trio.Cancelled:
                    raise KeyError("turned")
        except KeyError:
            await gate.wait()

    async def owner():
        try:
            with trio.CancelScope() as scope:
                scopes.append(s.called("scope", scope))
                async with trio.open_nursery() as nursery:  # at: exit
                    s.called("nursery", nursery)
                    for function in (value, error, obeys):
                        s.child(nursery, function, function.__name__)  # at: last
        except BaseException:
            pass

    async def main():
        nonlocal gate
        gate = trio.Event()
        s.i_am("main")
        async with trio.open_nursery() as top:
            s.child(top, host, "host")
            await wait_all_tasks_blocked()
            s.child(top, owner, "owner")
            await wait_all_tasks_blocked()
            for scope in scopes:
                scope.cancel()  # at: ask
            await wait_all_tasks_blocked()
            common = {"by": "main", "stack": "main:ask"}
            s.asked("host", "host:nap", ends="absorbed", scope=through("cancel_scope", "host's"),
                    **common)
            s.asked("owner", leaving("owner", "exit", "last"), ends="absorbed", label="owner",
                    scope=through("cancel_scope", "scope"), **common)
            for name, end in (("value", "returned"), ("error", "raised"), ("obeys", "cancelled")):
                s.asked(name, name + ":nap", why="owner_cancelled", cause="owner", ends=end,
                        scope=through("nursery", "nursery"), loose="nursery", **common)
            await s.look()
            gate.set()

    gate, scopes = None, []
    return main


@scenario
def threads_that_are_waited_for(s):
    """One that may be abandoned is: its task obeys at once. Where it may not, the task is asked but
    not reached until the thread is done, and goes on with its result to its next checkpoint.
    """
    async def worker(name, **abandon):
        with trio.CancelScope() as scope:
            scopes.append(s.called(name, scope))
            await trio.to_thread.run_sync(door.wait, **abandon)  # at: thread
            await trio.sleep(LONG)
        await gate.wait()

    async def main():
        nonlocal gate
        gate = trio.Event()
        s.i_am("main")
        async with trio.open_nursery() as top:
            s.child(top, lambda: worker("abandons", **{ABANDON: True}), "abandons")
            await wait_all_tasks_blocked()
            s.child(top, worker, "waits", "waits")
            await wait_all_tasks_blocked()
            for scope in scopes:
                scope.cancel()  # at: ask
            await wait_all_tasks_blocked()
            for name in ("abandons", "waits"):
                s.asked(name, "worker:thread", by="main", stack="main:ask", ends="absorbed",
                        scope=through("cancel_scope", name))
            await s.look(waits="pending")
            door.set()
            await waiting(gate, 2)
            await s.look()
            gate.set()

    door, gate, scopes = threading.Event(), None, []
    return main


@scenario
def memory_channels(s):
    async def consumer(receive):
        async for _ in receive:  # at: loop
            pass

    async def producer(send):
        for number in range(LONG):
            await send.send(number)  # at: send

    async def owner():
        with trio.CancelScope() as scope:
            scopes.append(s.called("scope", scope))
            async with trio.open_nursery() as nursery:  # at: exit
                s.called("nursery", nursery)
                s.child(nursery, producer, "producer", pipes[0][0])
                s.child(nursery, consumer, "consumer", pipes[1][1])  # at: last

    async def main():
        pipes.extend([trio.open_memory_channel(1), trio.open_memory_channel(1)])
        s.i_am("main")
        async with trio.open_nursery() as top:
            s.child(top, owner, "owner")
            await wait_all_tasks_blocked()
            scopes[0].cancel()  # at: ask
        common = {"by": "main", "stack": "main:ask"}
        s.asked("owner", leaving("owner", "exit", "last"), scope=through("cancel_scope", "scope"),
                ends="absorbed", **common)
        for name, at in (("producer", "producer:send"), ("consumer", "consumer:loop")):
            s.asked(name, at, why="owner_cancelled", scope=through("nursery", "nursery"),
                    cause="owner", loose="nursery", **common)

    pipes, scopes = [], []
    return main


@scenario
def deadline_in_an_async_generator(s):
    """Reached inside of the generator, and taken back there: the loop over it just ends."""
    async def source():
        with trio.move_on_after(0.05) as scope:
            s.called("limit", scope)
            while True:
                await low.checkpoint()
                yield 1
                await trio.sleep(LONG)  # at: nap

    async def worker():
        async for _ in source():  # at: loop
            pass
        await gate.wait()

    async def main():
        nonlocal gate
        gate = trio.Event()
        async with trio.open_nursery() as top:
            s.child(top, worker, "worker")
            await waiting(gate, 1)
            timed_out(s, "worker", "source:nap < worker:loop", "limit", 0.05)
            await s.look()
            gate.set()

    gate = None
    return main


@scenario
def deadline_of_a_suspended_generator(s):
    """PEP 789: it passes while the generator is suspended, and the loop's body is stopped by a
    scope it knows nothing of. The scope is left by aclose(), and does not catch it: the task dies,
    and to its nursery it is a child that failed.
    """
    async def source():
        with trio.move_on_after(0.05) as scope:
            s.called("limit", scope)
            yield 1

    async def worker():
        items = source()
        try:
            async for _ in items:
                await trio.sleep(LONG)  # at: nap
        except trio.Cancelled as failure:
            failures.append((type(failure).__name__, str(failure)))
            await items.aclose()
            raise

    async def owner():
        async with trio.open_nursery() as nursery:  # at: exit
            s.called("nursery", nursery)
            s.child(nursery, worker, "worker")  # at: last

    async def main():
        async with trio.open_nursery() as top:
            s.child(top, owner, "owner")
        timed_out(s, "worker", "worker:nap", "limit", 0.05, ends=Either("cancelled", "absorbed"))
        s.asked("owner", leaving("owner", "exit", "last"), by="worker", why="sibling_failed",
                exception=Either(failures[0] + ("worker",), (failures[0][0], None, "worker")),
                scope=through("nursery", "nursery"), ends="absorbed")

    failures = []
    return main


# The run --------------------------------------------------------------------------


@scenario
def system_task_at_the_end(s):
    """When main is done, trio stops the system tasks: those of the program's own are told, its own
    are not.
    """
    async def background():
        await trio.sleep(LONG)  # at: nap

    async def main():
        s.i_am("main")
        s.knows_system("init", "<init>")
        s.knows("background", low.spawn_system_task(background, name=s.full("background")))
        await wait_all_tasks_blocked()

    def run():
        trio.run(main)  # at: run
        s.asked("background", "background:nap", why="shutdown",
                by="init" if VERSION >= (0, 22) else "main",  # as main ends, or when it has
                scope=through("runner"), stack="run:run")

    return run


@scenario
def several_runs(s):
    """Each in a thread of its own."""
    async def worker(name):
        with trio.CancelScope() as scope:
            s.called(name, scope)
            scopes[name] = scope
            await trio.sleep(LONG)  # at: nap

    async def main(name):
        s.i_am("main of " + name)
        async with trio.open_nursery() as top:
            s.child(top, worker, name, name)
            await wait_all_tasks_blocked()
            barrier.wait()
            scopes[name].cancel()  # at: ask

    def in_thread(name):
        trio.run(main, name)  # at: run

    def run():
        threads = [threading.Thread(target=in_thread, args=(name,)) for name in "abc"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for name in "abc":
            s.asked(name, "worker:nap", by="main of " + name, stack="main:ask < in_thread:run",
                    below="", scope=through("cancel_scope", name), ends="absorbed", loose="runs")

    barrier, scopes = threading.Barrier(3), {}
    return run


@scenario
def interrupted(s):
    """SIGINT while the run sleeps: trio hands KeyboardInterrupt to main, where it waits. Its
    children are stopped because its body failed by that; the cause is the interrupt.
    """
    async def child():
        await trio.sleep(LONG)  # at: nap

    async def main():
        s.i_am("main")
        async with trio.open_nursery() as nursery:  # at: exit
            s.called("nursery", nursery)
            s.child(nursery, child, "child")
            await wait_all_tasks_blocked()
            threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
            await trio.sleep(LONG)  # at: body

    def run():
        try:
            trio.run(main)  # at: run
        except BaseException as failure:
            assert "KeyboardInterrupt" in repr(failure), failure
        s.asked("main", "main:body", by=INTERRUPT, why="interrupt",
                stack="run:run", scope=through("runner"), ends="raised")
        s.asked("child", "child:nap", by="main", why="owner_failed", cause="main",
                stack=Either(*["%s < run:run" % one for one in ("main:exit", "main:body")]),
                scope=through("nursery", "nursery"), exception=("KeyboardInterrupt", "", "main"))

    return run


@scenario
def interrupted_in_the_exit(s):
    """The same while main waits in its nursery's exit: the nursery takes it up there, at once, and
    stops the children itself.
    """
    async def child():
        await trio.sleep(LONG)  # at: nap

    async def main():
        s.i_am("main")
        s.knows_system("soon", "run_sync_soon task>")
        async with trio.open_nursery() as nursery:  # at: exit
            s.called("nursery", nursery)
            s.child(nursery, child, "child")
            await wait_all_tasks_blocked()
            threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()  # at: last

    def run():
        try:
            trio.run(main)  # at: run
        except BaseException as failure:
            assert "KeyboardInterrupt" in repr(failure), failure
        s.asked("main", leaving("main", "exit", "last"), why="interrupt",
                scope=through("runner"), ends="raised", by=INTERRUPT, stack="run:run")
        # What hands it over is the run's task for such things.
        s.asked("child", "child:nap", why="owner_failed", cause="main",
                scope=through("nursery", "nursery"), exception=("KeyboardInterrupt", "", "main"),
                by=Either("soon", *INTERRUPT.values), stack="run:run")

    return run


@scenario
def interrupted_in_a_task(s):
    """SIGINT while a task's own code runs: it is raised right there, which asks nobody. It is a
    child that fails as by any exception.
    """
    async def child():
        await trio.sleep(LONG)  # at: nap

    async def busy():
        await wait_all_tasks_blocked()
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(LONG)

    async def owner():
        try:
            async with trio.open_nursery() as nursery:  # at: exit
                s.called("nursery", nursery)
                s.child(nursery, child, "child")
                s.child(nursery, busy, "busy")  # at: last
        except BaseException:
            pass

    async def main():
        async with trio.open_nursery() as top:
            s.child(top, owner, "owner")
        common = {"by": "busy", "why": "sibling_failed", "scope": through("nursery", "nursery"),
                  "exception": ("KeyboardInterrupt", "", "busy"), "loose": "nursery"}
        s.asked("child", "child:nap", **common)
        s.asked("owner", leaving("owner", "exit", "last"), ends="absorbed", **common)

    return main
