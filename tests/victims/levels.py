"""levels.py - scenarios of trio and anyio, told as asked.py tells those of asyncio.

A cancelled scope asks every task inside of it, again and again until it is left. What
contract 2 leaves open for that is settled here; each scenario says what its part of it is.

- A record is a task that a scope's cancellation came to cover: those inside when the scope is
  cancelled, whether they pass a checkpoint or not, and those that come to stand in a cancelled
  scope later (a shield ends, a task enters, a child is started). One record for each task and
  scope, by the one who cancelled the scope, with the stack of that call.
- A scope that is cancelled inside of a cancelled one asks nobody: those in it are stopped already,
  and further out (so a Cancelled that passes a nursery, or one more failure, is no request). One
  that is cancelled outside of a cancelled one asks anew: it reaches further.
- Those whom a scope holds by itself (who entered it, the children of its nursery) have the
  scope's own origin. Whoever is a child of a nursery of one of those is asked through that
  nursery: owner_cancelled, and the cause is the request of the nursery's owner.
- The scopes that trio and anyio enter for themselves (sleep(), checkpoint(), start()) are nobody's,
  nor is what their own functions cancel() (the attempts of open_tcp_stream() that lost), nor the
  two system tasks that every run of trio ends with. A failure in a nursery of theirs is told.
- A request to the task that entered the scope is absorbed when it leaves the scope, however it
  does. A child ends as its coroutine does, and a group of nothing but Cancelled is `cancelled`.
  Until then it is pending: a scope asks again.
- An owner whose body failed is not asked by its own nursery: it leaves.
- repeats: how often Cancelled was raised in the task again, after the first time. In the exit of a
  nursery the older ones do that to its owner, as the children end sooner or later: left open.

Stacks are told by the scenarios' own frames: what lies between them belongs to the library.
"""
import os
import sys

import asked
from asked import Either, callback, code_name, handler, through

TRIO = "--trio" in sys.argv
ON_TRIO = TRIO or "--on-trio" in sys.argv  # what the tasks of the scenarios run on
# A deadline is a timer of the run loop: which of its functions is named is left open.
TIMER = Either(*map(callback, """=Deadlines.expire =expire =CancelScope.cancel =CancelScope._cancel
=cancel =_cancel""".split()))
# trio's own handler of SIGINT.
INTERRUPT = Either(*map(handler, """=handler =KIManager.install.<locals>.handler
=ki_manager.<locals>.handler""".split()))


class LevelScene(asked.Scene):
    """One scenario while it is played."""

    def __init__(self, function):
        super().__init__(function)
        self.owners = set()

    @staticmethod
    def runs(main):
        if TRIO:
            import trio
            return trio.run, (main,)
        import functools
        import anyio
        return functools.partial(anyio.run, backend="trio" if ON_TRIO else "asyncio"), (main,)

    # Tasks

    def called(self, name, obj):
        if hasattr(obj, "start_soon") or hasattr(obj, "spawn"):
            self.owners.add(hex(id(current_task())))
        return super().called(name, obj)

    def knows(self, name, task, coroutine=None):
        if name not in self.tasks or self.tasks[name]["id"] != hex(id(task)):
            inside = task.coro if ON_TRIO else task.get_coro()
            self.tasks[name] = {
                "id": hex(id(task)), "name": task.name if ON_TRIO else task.get_name(),
                "coroutine": code_name(inside.cr_code)}
        self.of[name] = self.keep(task)
        return task

    def i_am(self, name):
        return self.knows(name, current_task())

    def child(self, group, function, name, *args):
        """Start a child of a nursery or task group."""
        before = all_tasks()
        group.start_soon(function, *args, name=self.full(name))
        task, = all_tasks() - before
        return self.knows(name, task)

    def knows_system(self, name, ending):
        """A task of trio's own making, by the end of its name."""
        task, = [task for task in all_tasks() if task.name.endswith(ending)]
        return self.knows(name, task)

    # Places

    def own(self, text):
        told = []
        for word in text.split(" < ") if text else ():
            told += self.program if word == "program" else [self.place(word)]
        return told

    def stack(self, text):
        """Frames of the scenarios alone."""
        if isinstance(text, Either):
            return {"either": [self.stack(value) for value in text.values]}
        return self.own(text)

    def request(self, target, at, by, stack="", below="program", repeats=0, **named):
        """As asked.Scene.request(), but with stacks that lack the library's frames.

        stack: of the call, down to where the library begins. below: what is known below that.
        """
        def whole(text):
            if isinstance(text, Either):
                return Either(*map(whole, text.values))
            return " < ".join(word for word in (text, below) if word)

        if repeats == 0 and self.tasks[target]["id"] in self.owners:
            repeats = Either(0, 1, 2)
        super().request(target, at, by, whole(stack), **named)
        self.requests[-1].update(own=os.path.join(asked.HERE, ""), repeats=self.plain(repeats))

    def request_again(self, label, repeats):
        """What is known of a request's repeats by now."""
        for request in self.requests:
            if request["label"] == label:
                request["repeats"] = self.plain(repeats)

    def copies(self, tasks):
        self.copied = [[hex(id(task)), task.name if ON_TRIO else task.get_name()]
                       for task in tasks]

    # Looking

    async def look(self, **states):
        asked.say(self.truth("look", states))
        await readable()
        asked.answer()

    def truth(self, when, states):
        told = super().truth(when, states)
        if asked.RECORDER:
            told["recorded"] = __import__(
                "recorder_trio" if ON_TRIO else "recorder_anyio").told()
        return told


def current_task():
    if ON_TRIO:
        return lowlevel().current_task()
    import asyncio
    return asyncio.current_task()


def all_tasks():
    if not ON_TRIO:
        import asyncio
        return set(asyncio.all_tasks())
    found, left = set(), [lowlevel().current_root_task()]
    while left:
        task = left.pop()
        found.add(task)
        left += [child for nursery in task.child_nurseries for child in nursery.child_tasks]
    return found


def lowlevel():
    import trio
    return getattr(trio, "lowlevel", None) or trio.hazmat


async def waiting(event, count):
    """Until so many tasks wait for an event of trio's or anyio's."""
    while event.statistics().tasks_waiting < count:
        if TRIO:
            import trio
            await trio.sleep(0.005)
        else:
            import anyio
            await anyio.sleep(0.005)


async def readable():
    """Wait for the driver."""
    if ON_TRIO:
        await lowlevel().wait_readable(0)
        return
    import asyncio
    loop = asyncio.get_running_loop()
    seen = loop.create_future()
    loop.add_reader(0, lambda: seen.done() or seen.set_result(None))
    await seen
    loop.remove_reader(0)


def limit(obj, delay, **named):
    """A scope with a deadline: what was measured when the block was entered must be told."""
    return dict(through("cancel_scope", obj, delay, **named), measured=True)


def timed_out(s, target, at, obj, delay, **named):
    """A request to the task that entered the scope whose deadline passed."""
    named = dict({"scope": limit(obj, delay), "ends": "absorbed"}, **named)
    s.asked(target, at, by=TIMER, why="timeout", **named)


def leaving(name, block, last):
    """Where a task stands that leaves a block: up to 3.9 that is the last line that was run in it.
    """
    return "%s:%s" % (name, block) if asked.PYTHON >= (3, 10) \
        else Either("%s:%s" % (name, block), "%s:%s" % (name, last))
