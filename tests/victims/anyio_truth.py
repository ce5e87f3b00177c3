"""anyio_truth.py - what a victim of anyio knows about its tasks, on asyncio and on trio.

One scene for both: on trio the walk of trio_truth.py tells it; on asyncio all_tasks(), the chains of
cancel scopes, and get_running_tasks(). anyio 2.0 to 4.15: what was renamed meanwhile is hidden here.
"""
import math
import sys

import anyio
import inside

OLD = not hasattr(anyio, "to_thread")  # 2: `async with` for scopes, calls that are coroutines, no start()
LIBRARY = anyio.__file__.rsplit("/", 1)[0]

Event = anyio.create_event if OLD else anyio.Event
Lock = anyio.create_lock if OLD else anyio.Lock
Semaphore = anyio.create_semaphore if OLD else anyio.Semaphore
Condition = anyio.create_condition if OLD else anyio.Condition
CapacityLimiter = anyio.create_capacity_limiter if OLD else anyio.CapacityLimiter
CancelScope = anyio.open_cancel_scope if OLD else anyio.CancelScope
in_thread = anyio.run_sync_in_worker_thread if OLD else anyio.to_thread.run_sync


async def cancel(scope, *reason):
    """reason: from 4.11 on."""
    try:
        result = scope.cancel(*reason)
    except TypeError:
        result = scope.cancel()
    if OLD:
        await result


class Entering:
    """`async with Entering(scene, scope)`: what `with scope` is from anyio 3 on; the scene hears of it."""

    def __init__(self, scene, scope):
        self.scene, self.scope = scene, scope

    async def __aenter__(self):
        entered = await self.scope.__aenter__() if OLD else self.scope.__enter__()
        return self.scene.mine(entered)

    async def __aexit__(self, *exception):
        return await self.scope.__aexit__(*exception) if OLD else self.scope.__exit__(*exception)


async def start_soon(group, function, *args, name):
    if OLD:
        await group.spawn(function, *args, name=name)
    else:
        group.start_soon(function, *args, name=name)


def variables(coro):
    """Local variables of anyio's own frames, and the scope that a task's handle has (from 4.14 on)."""
    obj = inside.unwrap(coro)
    while obj is not None:
        frame_name, await_name, _ = inside.AWAITS[type(obj)]
        frame = getattr(obj, frame_name)
        if frame is None:
            break
        if frame.f_code.co_filename.startswith(LIBRARY):
            for value in list(frame.f_locals.values()):
                yield value
                yield getattr(value, "_cancel_scope", None)
        obj = inside.unwrap(getattr(obj, await_name))


def below(status):
    """The tasks in a cancel status of trio and in those inside of it, down to the next nurseries."""
    found = list(status._tasks)
    while not found and len(status._children) == 1:
        (status,) = status._children
        found = list(status._tasks)
    return found or [task for child in status._children for task in below(child)]


def on_trio():
    """The scene for anyio on trio."""
    import trio_truth

    class Scene(trio_truth.Scene):
        def task(self, run, task, *rest):
            """Which object the id names is left open: anyio's, or trio's inside of it."""
            told = super().task(run, task, *rest)
            if "waits_on" in told:
                told["shares"] = told.pop("waits_on")
            return told

        async def spawn(self, group, function, name, wait, *args, **says):
            self.says(name, wait, **says)
            await start_soon(group, function, *args, name=name)

        async def starts(self, group, function, name, wait):
            self.says(name, wait)
            await group.start(function, name=name)

        def group(self, group):
            return group

        def mine(self, scope):
            super().mine(getattr(scope, "_CancelScope__original", scope))
            return scope

        def is_library(self, run, status):
            return super().is_library(run, status) or any(
                getattr(scope, "_CancelScope__original", None) is status._scope
                for task in below(status) for scope in variables(task.coro))

        async def stay(self):
            self.here()
            trio_truth.tell_when_settled(self)

    return Scene()


def on_asyncio():
    """The scene for anyio on asyncio."""
    import asyncio

    import truth
    from anyio._backends import _asyncio as backend

    class Scene(truth.Scene):
        def __init__(self):
            super().__init__()
            self.groups, self.owners = {}, {}
            self.children = {}  # name -> its group
            self.running = {}  # id -> parent's id, as anyio tells
            self.shared = {}  # name -> what it waits for, together with others
            self.scopes = {}
            self.pending = set()  # trio's: in asyncio the task itself tells
            self.native = []  # asyncio's own scopes amid those of anyio: (kind, object, owner, children's names)
            self.parents = {}  # scope -> its parent, where that or the scope itself is asyncio's own
            self.native_edges = []  # (waiter's name, awaited's name, kind)

        async def spawn(self, group, function, name, wait, *args, text=None, **more):
            self.says(name, wait, text, **more)
            self.children[name] = group
            await start_soon(group, function, *args, name=name)

        async def starts(self, group, function, name, wait):
            self.says(name, wait)
            self.children[name] = group
            await group.start(function, name=name)

        def says(self, name, wait, text=None, on=None):
            super().says(name, wait, text)
            if on is not None:
                self.shared[name] = on

        def task(self, task, *rest):
            told = super().task(task, *rest)
            if told["name"] in self.shared:
                told["shares"] = hex(id(self.shared[told["name"]]))
            return told

        def begin(self, main):
            asyncio.current_task().set_name("main")
            self.loops.append(asyncio.get_running_loop())
            self.says("main", main)

        def group(self, group):
            self.groups[group.cancel_scope] = (group, asyncio.current_task())
            return group

        def mine(self, scope):
            self.owners[scope] = asyncio.current_task()
            return scope

        def asyncios(self, kind, scope, parent, children=()):
            """A scope of asyncio's own, entered just now; parent: the scope or group around it, or None."""
            self.native.append((kind, scope, asyncio.current_task(), children))
            self.parents[scope] = parent
            return scope

        def here(self):
            task = asyncio.current_task()
            if OLD and task in backend._task_states and task.get_name() != "main":
                task.set_name(backend._task_states[task].name)
            super().here()

        def told_scopes(self, tasks, ids):
            self.library = {one for one in self.made_by_anyio()
                            if isinstance(one, backend.CancelScope)}
            of_task = {}
            by_name = {t.get_name(): t for t in truth.all_tasks(self.loops[0])}
            for name, group in self.children.items():
                of_task[ids[name]] = group
            found = set()
            for state in backend._task_states.values():
                scope = state.cancel_scope
                while scope is not None:
                    found.add(scope)
                    scope = scope._parent_scope
            for task in tasks:
                group = of_task.get(task["id"])
                task["scope"] = group and hex(id(group))
                ends = self.effective(backend._task_states.get(by_name[task["name"]]))
                if task["wakes_at"] is not None:
                    ends = min(ends, task["wakes_at"])
                task["ends_at"] = None if ends == math.inf else ends
            for kind, scope, _, children in self.native:
                of_task.update((ids[name], scope) for name in children)
            for task in tasks:
                task["scope"] = task["id"] in of_task and hex(id(of_task[task["id"]])) or None
                limits = [scope.when() for kind, scope, owner, _ in self.native
                          if kind == "timeout" and owner is by_name[task["name"]]]
                task["ends_at"] = min([at for at in limits + [task["ends_at"]] if at], default=None)
            return [self.told_scope(scope, of_task) for scope in found
                    if scope in self.groups or not self.is_library(scope)] + [
                        self.told_native(*scope, ids) for scope in self.native]

        def told_native(self, kind, scope, owner, children, ids):
            parent = self.parents[scope]
            return {
                "id": hex(id(scope)), "kind": kind, "owner": hex(id(owner)),
                "parent": parent and hex(id(parent)),
                "tasks": sorted(ids[name] for name in children),
                "deadline_at": scope.when() if kind == "timeout" else None,
                "cancel_called": False, "shield": False, "reason": None,
            }

        def effective(self, state):
            """When the task will be cancelled by a scope, if nothing happens before."""
            scope, deadline = state and state.cancel_scope, math.inf
            while scope is not None and not scope._cancel_called:
                deadline = min(deadline, scope._deadline)
                scope = None if scope._shield else scope._parent_scope
            return deadline

        def is_library(self, scope):
            """One that anyio made for itself; all others were told of."""
            if scope in self.owners:
                return False
            assert scope in self.library, \
                "nobody told who entered %r of %r" % (scope, scope._host_task)
            return True

        def made_by_anyio(self):
            for task in truth.all_tasks(self.loops[0]):
                yield from variables(task.get_coro())
                state = backend._task_states.get(task)
                names = str(inside.suspended_stack(task.get_coro()))
                if state and ("run_sync_in_worker_thread" in names or "TaskGroup.start" in names):
                    yield state.cancel_scope  # up to 3 in no variable

        def told_scope(self, scope, of_task):
            group, owner = self.groups.get(scope) or (None, self.owners.get(scope))
            parent = scope._parent_scope
            while parent is not None and parent not in self.groups and self.is_library(parent):
                parent = parent._parent_scope
            parent = self.parents.get(scope, self.groups.get(parent, (parent,))[0])
            return {
                "id": hex(id(group or scope)),
                "kind": "task_group" if group else "cancel_scope",
                "owner": hex(id(owner)),
                "parent": parent and hex(id(parent)),
                "tasks": sorted(i for i, g in of_task.items() if group and g is group),
                "deadline_at": None if scope._deadline == math.inf else scope._deadline,
                "cancel_called": scope._cancel_called,
                "shield": scope._shield,
                "reason": getattr(scope, "_cancel_reason", None),
            }

        def told(self):
            loop = self.loops[0]
            for task in truth.all_tasks(loop):
                if OLD and task.get_coro().__qualname__.endswith("timeout"):
                    self.waits[task.get_name()] = "sleep"
            hosts = {group: owner for group, owner in self.groups.values()}
            self.edges = [(hosts[group].get_name(), name, "task_group")
                          for name, group in self.children.items()] + self.native_edges
            told = super().told()
            ids = {task["name"]: task["id"] for task in told["tasks"]}
            for name, group in self.children.items():
                said = self.running[int(ids[name], 16)]
                assert said == id(hosts[group]), "%s: another parent, says anyio" % name
            return told

        async def stay(self):
            while self.missing() - {"main"}:
                await anyio.sleep(0.002)
            infos = anyio.get_running_tasks()
            for info in await infos if OLD else infos:
                self.running[info.id] = info.parent_id
            loop = asyncio.get_running_loop()

            def tell():
                told = self.told()
                truth.obey(lambda reply: loop.call_soon_threadsafe(reply))
                truth.tell(told)

            truth.settle(loop, self, tell)
            self.here()

    return Scene()


def scene():
    return on_trio() if "--trio" in sys.argv else on_asyncio()


def run(main):
    if "--trio" in sys.argv:
        anyio.run(main, backend="trio")
    else:
        options = {"use_uvloop": "--uvloop" in sys.argv}  # of 2 the default is another
        anyio.run(main, backend="asyncio", backend_options=options)
