"""recorder_anyio.py - what cancels whom with anyio on asyncio: a Python class in the place of
asyncio.Task, and a function put before the cancel() of anyio's scopes.

As recorder.py, no agent. A call of anyio's is known by its frames: which scope asks, and who
cancelled that. Only the first call for a task and scope is a record.
"""
import asyncio
import sys

import asked
import inside
from anyio._backends import _asyncio

RECORDS = []
KEPT = []
CALLS = {}  # scope -> who cancelled it, from where, with which reason, and which owner leaves
DONE = {}  # (task, scope) -> its record
OPEN = []  # whose cancel() still runs, outermost first
OWN = set()  # scopes that anyio cancels for itself
DUMMY = {"id": None, "requester": {"kind": "callback"}, "message": None}
CODES = set()


def stack_from(frame):
    stack = []
    while frame is not None:
        if frame.f_code not in CODES:
            stack.append({"name": asked.code_name(frame.f_code), "line": frame.f_lineno,
                          "filename": frame.f_code.co_filename})
        frame = frame.f_back
    return stack


def running():
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return {"kind": "outside"}
    return {"kind": "callback"} if task is None else {
        "kind": "task", "id": hex(id(task)), "name": task.get_name(),
        "coroutine": asked.code_name(task.get_coro().cr_code)}


def scope_that_asks(frame):
    """The origin of a delivery, or None: a native cancel()."""
    found = None
    while frame is not None and frame.f_code.co_filename == _asyncio.__file__:
        if frame.f_code.co_name in ("_deliver_cancellation", "_cancel"):  # since 3, in 2
            found = frame.f_locals.get("origin") or frame.f_locals["self"]
        frame = frame.f_back
    return found


def covered(scope):
    """Whether a cancelled scope further out covers this one."""
    while scope._parent_scope is not None and not scope._shield:
        scope = scope._parent_scope
        if scope._cancel_called:
            return True
    return False


def handled():
    """The request that the running task is unwinding from."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return None
    if task is not None and isinstance(sys.exc_info()[1], asyncio.CancelledError):
        return next((one for one in reversed(RECORDS) if one["task"] is task), None)
    return None


def owner_of(task):
    state = _asyncio._task_states.get(task)
    return state and state.parent_id


class Recorded(asyncio.Task):
    def cancel(self, *given, **named):
        frame = sys._getframe(1)
        scope = scope_that_asks(frame)
        record = None
        if scope is None:
            cause = OPEN[-1] if OPEN else handled()
            by = OPEN[-1]["requester"] if OPEN else running()
            message = OPEN[-1]["message"] if OPEN else (given or (named.get("msg"),))[0]
            record = written(self, by, stack_from(frame), cause, message, frame)
        elif id(scope) in OWN:
            pass
        elif (id(self), id(scope)) in DONE:
            DONE[id(self), id(scope)]["repeats"] += 1
        else:
            by, stack, message, leaves, cause = CALLS.get(id(scope)) or (
                running(), stack_from(frame), None, None, handled())
            direct = scope._host_task is self or scope is scope_of_group(self)
            if self is not leaves and (not covered(scope) or not any(
                    one["task"] is self for one in RECORDS)):
                record = written(self, by, stack, cause if direct else None, message, frame)
                if not direct:  # which may be written later, in the order of a set
                    record["owner"] = owner_of(self), id(scope)
                DONE[id(self), id(scope)] = record
        OPEN.append(record or DONE.get((id(self), id(scope))) or dict(DUMMY))
        try:
            taken = super().cancel(*given, **named)
        finally:
            OPEN.pop()
        if record:
            record["taken"] = record["taken"] or taken
        return taken


def scope_of_group(task):
    """Of the group that it is a child of: anyio may have put the task in a scope of its own."""
    state = _asyncio._task_states.get(task)
    scope = state and state.cancel_scope
    while scope is not None and scope._host_task is task:
        scope = scope._parent_scope
    return scope


def written(task, by, stack, cause, message, frame):
    KEPT.append(task)
    RECORDS.append({
        "id": len(RECORDS) + 1, "task": task, "requester": by, "stack": stack, "message": message,
        "target": {"id": hex(id(task)), "name": task.get_name(), "stack": stood(task, frame),
                   "coroutine": asked.code_name(task.get_coro().cr_code)},
        "cause": cause and cause["id"], "repeats": 0, "taken": False,
        "owner": None})
    return RECORDS[-1]


def stood(task, frame):
    bottom = task.get_coro().cr_frame
    stack = []
    while frame is not None:
        if frame.f_code not in CODES:
            stack.append({"name": asked.code_name(frame.f_code), "line": frame.f_lineno,
                          "filename": frame.f_code.co_filename})
        if frame is bottom:
            return stack
        frame = frame.f_back
    return [dict(place) for place in inside.suspended_stack(task.get_coro())]


def told():
    records = []
    for record in RECORDS:
        task = record["task"]
        state = "living" if not task.done() else "cancelled" if task.cancelled() \
            else "raised" if task.exception() else "returned"
        owner = DONE.get(record["owner"])
        record["cause"] = owner["id"] if owner else record["cause"]
        if record["taken"]:
            records.append(dict({key: value for key, value in record.items() if key != "task"},
                                outcome={"state": state}))
    return records


def install():
    asyncio.Task = asyncio.tasks.Task = Recorded
    CODES.add(Recorded.cancel.__code__)
    method = _asyncio.CancelScope.cancel
    if asyncio.iscoroutinefunction(method):
        return  # it asks at once, or not at all

    def cancel(scope, *given, **named):
        if id(scope) not in CALLS and not scope._cancel_called:
            frame = sys._getframe(1)
            if frame.f_code.co_filename.endswith("/anyio/_core/_sockets.py"):
                OWN.add(id(scope))
            reason = (given or (named.get("reason"),))[0]
            reason = None if frame.f_code.co_name == "_timeout" else reason
            leaves = asyncio.current_task() if frame.f_code.co_name == "__aexit__" else None
            CALLS[id(scope)] = running(), stack_from(frame), reason, leaves, handled()
            KEPT.append(scope)
        return method(scope, *given, **named)

    _asyncio.CancelScope.cancel = cancel
    CODES.add(cancel.__code__)
