"""truth.py - what a victim knows about its own tasks, told from inside.

Nothing here reads memory: tasks come from asyncio.all_tasks(), places in code
from cr_await, cr_frame and their kin, the way of waiting from _fut_waiter. Who
waits for whom cannot be asked of asyncio on most versions, so each scenario
writes its edges down by hand, next to the code that makes them.

Runs on CPython 3.8 to 3.15.
"""
import asyncio
import gc
import os
import sys
import threading
import time

from inside import (  # noqa: F401: the victims use all of it as truth.*
    AWAITS, LONG, eager, give_up, interpreter_id, obey, running_stack, say, started, stuck_in,
    suspended_stack, tell, unwrap, version)


def current_task(loop=None):
    """The current task, also where it is a pure-Python one, which 3.14 keeps apart."""
    find = getattr(asyncio.tasks, "_py_current_task", None)
    return asyncio.current_task(loop) or (find and find(loop))


def all_tasks(loop):
    """Every task of the loop that is not done, also the pure-Python ones, which 3.14 keeps apart."""
    find = getattr(asyncio.tasks, "_py_all_tasks", None)
    return set(asyncio.all_tasks(loop)) | set(find(loop) if find else ())


def thread_of(loop):
    """(ident, native id) of the thread that runs the loop, or (None, None)."""
    if not loop.is_running():
        return None, None
    ident = getattr(loop, "_thread_id", None)
    if ident is None:  # a loop that does not say (uvloop): victims run those in the main thread only
        ident = threading.main_thread().ident
    if ident == threading.get_ident():
        return ident, threading.get_native_id()
    for thread in threading.enumerate():
        if thread.ident == ident:
            return ident, thread.native_id
    return None, None


class Scene:
    """What a victim plays: its loops, and what its author says about the tasks.

    Every task must be told of by says(); it calls here() as its last step
    before the await in which it stays. all_here() is then the sign that the
    picture is complete.
    """

    def __init__(self):
        self.loops = []
        self.waits = {}  # task name -> waiting_for.kind, or a list of kinds that are as good
        self.texts = {}  # task name -> what waiting_for.text must hold, a regular expression
        self.edges = []  # (waiter name, awaited name, kind)
        self.arrived = set()
        self.ready = set()  # names of tasks that never run, and so never arrive
        self.handling = set()  # names of tasks that are inside an except or finally of a CancelledError
        self.leaving = set()  # names of owners in their group's exit: they handle what was asked of them
        self.objects = {}  # task name -> the lock, event, queue … that waiting_for.id must be
        self.ends = {}  # task name -> when the first of its time limits ends, or None: there is none
        self.scopes = None  # label -> a scope; None when the scene does not tell of scopes

    def says(self, name, wait, text=None):
        assert name not in self.waits, "two tasks called %r" % name[:80]
        self.waits[name] = wait
        if text:
            self.texts[name] = text

    def edge(self, waiter, awaited, kind):
        self.edges.append((waiter, awaited, kind))

    def scope(self, label, kind, obj, owner, parent=None, tasks=(), stopped=False):
        """A scope: its object, the name of its owner, the label of its parent, its children's names.

        obj may be a number of seconds: the timeout of the owner, made by asyncio itself, that ends then.
        """
        self.scopes = self.scopes or {}
        assert label not in self.scopes, label
        self.scopes[label] = (kind, obj, owner, parent, set(tasks), stopped, time.monotonic())

    def here(self):
        # The task, not its name: an eager one runs before it is given its name.
        self.arrived.add(current_task())

    def missing(self):
        return set(self.waits) - {task.get_name() for task in self.arrived} - self.ready

    def task(self, task, runtime, current, ident, timers):
        name = task.get_name()
        waiter = task._fut_waiter
        if task is current:
            state, stack = "running", running_stack(task.get_coro(), ident)
        else:
            state = "ready" if waiter is None or waiter.done() else "waiting"
            stack = suspended_stack(task.get_coro())
        return {
            "id": hex(id(task)),
            "name": name,
            "runtime": runtime,
            "state": state,
            "coroutine": stack[-1]["name"],
            "stack": stack,
            "cancel_requests": task.cancelling() if hasattr(task, "cancelling") else None,
            "cancel_pending": bool(task._must_cancel),
            "cancel_handled": name in self.handling
            or (name in self.leaving and task.cancelling() > 0),
            "waiting_for": self.waits[name] if state == "waiting" else None,
            "waiting_text": self.texts.get(name),
            "wakes_at": timers.get(id(waiter)) if self.waits[name] == "sleep" else None,
            **({"ends_at": self.ends[name]} if name in self.ends else {}),
            **({"waits_on": hex(id(self.objects[name]))} if name in self.objects else {}),
        }

    def told(self):
        """The truth as plain data. Nothing may run meanwhile but the caller."""
        runtimes, tasks, ids = [], [], {}
        for loop in self.loops:
            ident, native = thread_of(loop)
            mine = all_tasks(loop)
            current = current_task(loop)
            timers = {  # by the future that a timer will resolve: when, on the monotonic clock
                id(handle._args[0]): handle.when()
                for handle in getattr(loop, "_scheduled", ())
                if handle._args
            }
            for task in mine:
                if task.get_name() not in self.waits:
                    raise AssertionError("nobody told of task %r" % task)
                ids.setdefault(task.get_name(), []).append(hex(id(task)))
                tasks.append(self.task(task, len(runtimes), current, ident, timers))
            runtimes.append(
                {
                    "kind": "asyncio",
                    "implementation": sys.implementation.name,
                    "version": version(),
                    "interpreter": interpreter_id(),
                    "thread_id": native,
                    "loop": type(loop).__name__,
                    "task_count": len(mine),
                }
            )
        lost = set(self.waits) - set(ids)
        assert not lost, "these tasks are not there: %r" % sorted(lost)[:5]
        edges = []
        for waiter, awaited, kind in self.edges:
            assert len(ids[waiter]) == 1 and len(ids[awaited]) == 1, (waiter, awaited)
            edges.append([ids[waiter][0], ids[awaited][0], kind])
        self.check_edges(tasks, edges)
        truth = {"pid": os.getpid(), "runtimes": runtimes, "tasks": tasks, "edges": edges}
        if self.scopes is not None:
            truth["scopes"] = self.told_scopes(tasks, {name: i[0] for name, i in ids.items()})
        return truth

    def told_scopes(self, tasks, ids):
        """The scopes as plain data; each task is told its own."""
        objects = {label: scope[1] for label, scope in self.scopes.items()}
        kind = getattr(asyncio, "Timeout", ())
        entered = [
            o for o in gc.get_objects()
            if isinstance(o, kind) and o._state.value in ("active", "expiring")
        ]
        for label, (_, obj, owner, _, _, _, since) in self.scopes.items():
            if isinstance(obj, (int, float)):
                (objects[label],) = [
                    t for t in entered
                    if t._task.get_name() == owner and abs(t.when() - since - obj) < 60
                ]
        known = [id(obj) for obj in objects.values()]
        lost = [t for t in entered if id(t) not in known]
        assert not lost, "nobody told of these timeouts: %r" % lost[:5]
        of_task, scopes = {}, []
        for label, (kind, _, owner, parent, children, stopped, _) in self.scopes.items():
            obj = objects[label]
            scopes.append({
                "id": hex(id(obj)),
                "kind": kind,
                "owner": ids[owner],
                "parent": parent and hex(id(objects[parent])),
                "tasks": sorted(ids[name] for name in children),
                "deadline_at": obj.when() if kind == "timeout" else None,
                "cancel_called": stopped,
            })
            of_task.update((ids[name], hex(id(obj))) for name in children)
        for task in tasks:
            task["scope"] = of_task.get(task["id"])
        return scopes

    def check_edges(self, tasks, edges):
        """The hand-written table against what asyncio does say: a task that waits on a task."""
        known = {(waiter, awaited) for waiter, awaited, _ in edges}
        assert len(set(map(tuple, edges))) == len(edges), "an edge is told twice"
        for loop in self.loops:
            for task in all_tasks(loop):
                on = task._fut_waiter
                if asyncio.isfuture(on) and hasattr(on, "get_coro") and not on.done():
                    pair = (hex(id(task)), hex(id(on)))
                    assert pair in known, "edge not told: %s" % [
                        t["name"][:80] for i in pair for t in tasks if t["id"] == i
                    ]


def merged(parts):
    """One truth from those of several interpreters."""
    whole = {"pid": os.getpid(), "runtimes": [], "tasks": [], "edges": []}
    for part in parts:
        base = len(whole["runtimes"])
        whole["runtimes"] += part["runtimes"]
        whole["tasks"] += [dict(t, runtime=t["runtime"] + base) for t in part["tasks"]]
        whole["edges"] += part["edges"]
        assert "scopes" not in part
    return whole


def settle(loop, scene, done, watch=True):
    """Call done() once every task of the scene has arrived and the loop has nothing left to do.

    watch: leave with a message when that takes too long (needs threads).
    """
    idle = [0]

    def late():
        sys.stderr.write("not there after 60 s: %r\n" % sorted(scene.missing())[:20])
        sys.stderr.flush()
        os._exit(1)

    if watch:
        timer = threading.Timer(60, late)
        timer.daemon = True

    def look():
        if getattr(loop, "_ready", ()) or scene.missing():
            idle[0] = 0
        else:
            idle[0] += 1
        if idle[0] < 5:
            loop.call_later(0.002, look)
            return
        if watch:
            timer.cancel()
            timer.join()
        try:
            done()
        except BaseException:
            give_up()

    loop.call_soon(look)
    if watch:
        timer.start()
