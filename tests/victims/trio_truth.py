"""trio_truth.py - what a victim knows about its trio tasks, told from inside.

Tasks, nurseries and cancel scopes come from a walk from trio's root task; what a task waits for, who
entered a scope, and who handles a cancellation are written down by hand, next to the code that
makes it so. trio 0.13 to 0.34; loads no asyncio.
"""
import math
import os
import sys
import threading
import time

import inside
import trio

lowlevel = getattr(trio, "lowlevel", None) or trio.hazmat
TRIO = tuple(map(int, trio.__version__.split(".")[:2]))
# What trio itself starts: name -> what it waits for.
SYSTEM = {
    "<init>": "group",
    "<TrioToken.run_sync_soon task>": "socket",
    "trio._subprocess_platform.waitid._waitid_system_task": "executor",
}


class Run:
    """One trio.run(); made in its main task. Looked at from another thread, or by one of its own tasks."""

    def __init__(self, host=None):
        """host: ident and native id of the thread, where another loop's callbacks run trio."""
        self.root = lowlevel.current_root_task()
        self.runner = self.root._runner
        self.ident, self.native = threading.get_ident(), threading.get_native_id()
        self.ahead = trio.current_time() - time.monotonic()  # of trio's clock
        self.token = lowlevel.current_trio_token()
        self.current = None  # the task that runs while the truth is told

    def tasks(self):
        """All tasks, each with the nursery that it is in."""
        found, todo = {}, [self.root]
        while todo:
            task = todo.pop()
            found[task] = task.parent_nursery
            for nursery in task.child_nurseries:
                assert nursery.parent_task is task
                for child in nursery.child_tasks:
                    assert child.parent_nursery is nursery
                    todo.append(child)
        assert set(found) == set(self.runner.tasks), "the walk does not find all tasks"
        return found

    def nurseries(self):
        return [nursery for task in self.tasks() for nursery in task.child_nurseries]

    def statuses(self):
        """The tree of cancellation: every scope that is entered and not left."""
        found = []
        todo = [nursery.cancel_scope._cancel_status for nursery in self.root.child_nurseries[:1]]
        assert todo[0]._parent is None
        while todo:
            status = todo.pop()
            assert status._scope._cancel_status is status
            found.append(status)
            todo += list(status._children)
        return found

    def at(self, deadline):
        """A deadline of trio on the monotonic clock; None: there is none."""
        return None if math.isinf(deadline) else deadline - self.ahead


def effective_deadline(status):
    """When the task at this place of the tree will be cancelled, if nothing happens before."""
    deadline = math.inf
    while status is not None:
        if status._scope._cancel_called:
            return -math.inf
        deadline = min(deadline, status._scope._deadline)
        if status._scope.shield:
            break
        status = status._parent
    return deadline


class Scene:
    """What a victim plays, and what its author says about the tasks."""

    def __init__(self):
        self.runs = []
        self.waits = dict(SYSTEM)  # task name -> waiting_for.kind
        self.texts = {}  # task name -> what waiting_for.text must hold, a regular expression
        self.objects = {}  # task name -> the lock, event, channel … that waiting_for.id must be
        self.owners = {}  # cancel scope -> the task that entered it
        self.handling = set()  # names of tasks inside an except or finally of a Cancelled
        self.pending = set()  # names of tasks asked to stop that nothing was raised in yet
        self.ready = set()  # names of tasks that are scheduled and do not run
        self.expected, self.arrived = set(), set()
        self.keep = []

    def says(self, name, wait, text=None, on=None):
        """on: the object that the task waits for."""
        assert name not in self.waits, "two tasks called %r" % name[:80]
        self.waits[name] = wait
        self.expected.add(name)
        if text:
            self.texts[name] = text
        if on is not None:
            self.objects[name] = on

    def spawn(self, nursery, function, name, wait, *args, **says):
        """A task that is told of."""
        self.says(name, wait, **says)
        nursery.start_soon(function, *args, name=name)

    def mine(self, scope):
        """The current task entered this scope, just now."""
        self.owners[scope] = lowlevel.current_task()
        return scope

    def here(self):
        """The last step before the await in which the current task stays."""
        self.arrived.add(lowlevel.current_task().name)

    def missing(self):
        return self.expected - self.arrived - self.ready

    def begin(self, main):
        """Called in the main task of a trio.run; main: what it will wait for."""
        self.runs.append(Run())
        self.says(lowlevel.current_task().name, main)
        return self.runs[-1]

    def task(self, run, task, nursery, runtime):
        name = task.name
        if name not in self.waits:
            raise AssertionError("nobody told of task %r" % task)
        if task is run.current:
            state, stack = "running", inside.running_stack(task.coro, run.ident)
        else:
            state = "waiting" if task._next_send_fn is None else "ready"
            stack = inside.suspended_stack(task.coro)
        assert (state == "ready") == (name in self.ready), name
        waits = state == "waiting"
        assert not waits or stack[0]["filename"].endswith("_traps.py"), stack[:2]
        deadline = effective_deadline(task._cancel_status) if waits else math.inf
        return {
            "id": hex(id(task)),
            "name": name,
            "runtime": runtime,
            "state": state,
            "coroutine": stack[-1]["name"],
            "stack": stack,
            "cancel_requests": None,
            "cancel_pending": name in self.pending,
            "cancel_handled": name in self.handling,
            "waiting_for": self.waits[name] if waits else None,
            "waiting_text": self.texts.get(name),
            "wakes_at": None,
            "ends_at": run.at(deadline),
            **({"waits_on": hex(id(self.objects[name]))} if name in self.objects else {}),
            "scope": nursery and hex(id(nursery)),
        }

    def is_library(self, run, status):
        """Whether trio made this scope for itself: that of a sleep, and up to 0.13 of a checkpoint."""
        tasks = list(status._tasks)
        return len(tasks) == 1 and {"sleep_until", "checkpoint"} & {
            frame["name"] for frame in inside.suspended_stack(tasks[0].coro)[:4]}

    def scopes(self, run):
        """Each nursery is one scope, together with its cancel scope; those of libraries are left out."""
        nurseries = {nursery.cancel_scope: nursery for nursery in run.nurseries()}
        statuses = run.statuses()
        assert nurseries.keys() <= {status._scope for status in statuses}
        found = {}
        for status in statuses:
            scope = status._scope
            if scope not in nurseries and scope not in self.owners:
                assert self.is_library(run, status), "nobody told who entered %r" % scope
                continue
            nursery = nurseries.get(scope)
            reason = getattr(scope, "_cancel_reason", None)
            found[status] = {
                "id": hex(id(nursery or scope)),
                "kind": "nursery" if nursery else "cancel_scope",
                "owner": hex(id(nursery.parent_task if nursery else self.owners[scope])),
                "tasks": sorted(hex(id(t)) for t in nursery.child_tasks) if nursery else [],
                "deadline_at": run.at(scope._deadline),
                "cancel_called": scope._cancel_called,
                "shield": scope.shield,
                "reason": reason and reason.reason,
            }
        for status, scope in found.items():
            parent = status._parent
            while parent is not None and parent not in found:
                parent = parent._parent
            scope["parent"] = parent and found[parent]["id"]
        return list(found.values())

    def told(self):
        """The truth as plain data. Nothing may run meanwhile but the caller."""
        runtimes, tasks, edges, scopes = [], [], [], []
        for run in self.runs:
            mine = run.tasks()
            for task, nursery in mine.items():
                tasks.append(self.task(run, task, nursery, len(runtimes)))
                if nursery is not None:
                    edges.append([hex(id(nursery.parent_task)), hex(id(task)), "nursery"])
            scopes += self.scopes(run)
            runtimes.append({
                "kind": "trio",
                "implementation": sys.implementation.name,
                "version": inside.version(),
                "interpreter": inside.interpreter_id(),
                "thread_id": run.native,
                "loop": None,
                "task_count": len(mine),
            })
        lost = self.expected - {task["name"] for task in tasks}
        assert not lost, "these tasks are not there: %r" % sorted(lost)[:5]
        return {"pid": os.getpid(), "runtimes": runtimes, "tasks": tasks, "edges": edges,
                "scopes": scopes}

    def settled(self):
        """Wait until all stand still; then the truth. For a thread without tasks of trio."""
        end = time.monotonic() + 60
        last = None
        while True:
            time.sleep(0.03)
            missing = self.missing()
            if not missing and self.runs:
                try:
                    truth = self.told()
                except (AssertionError, RuntimeError, ValueError, KeyError):  # they run on meanwhile
                    if time.monotonic() > end:
                        raise
                    continue
                if truth == last:
                    return truth
                last = truth
            if time.monotonic() > end:
                sys.stderr.write("not there after 60 s: %r\n" % sorted(missing)[:20])
                raise SystemExit


def joined(*parts):
    """One truth from those of several runtimes of a process."""
    whole = {"pid": os.getpid(), "runtimes": [], "tasks": [], "edges": [], "scopes": []}
    for part in parts:
        base = len(whole["runtimes"])
        whole["runtimes"] += part["runtimes"]
        whole["tasks"] += [dict(t, runtime=t["runtime"] + base, scope=t.get("scope"))
                           for t in part["tasks"]]
        whole["edges"] += part["edges"]
        whole["scopes"] += part.get("scopes", [])
    return whole


def tell_when_settled(scene, more=lambda: ()):
    """In a thread of its own: tell the truth, then answer each line on stdin through trio.

    more(): the truths of other runtimes.
    """
    def teller():
        try:
            truth = joined(scene.settled(), *more())
        except BaseException:
            inside.give_up()
        inside.obey(scene.runs[0].token.run_sync_soon)
        inside.tell(truth)

    threading.Thread(target=teller, daemon=True, name="teller").start()
