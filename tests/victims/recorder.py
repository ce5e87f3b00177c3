"""recorder.py - what cancels whom, told by a Python class in the place of asyncio.Task.

No agent: a poor man's record of each request, to check that the truth of the
scenarios is what happens. It knows targets, places, stacks, order, and which
request was made inside of which; of origins and scopes it knows nothing.
"""
import asyncio
import sys
import threading

import asked
import truth

RECORDS = []
OPEN = threading.local()  # .requests: whose cancel() still runs in this thread, outermost first


def place(frame):
    return {"name": asked.code_name(frame.f_code), "filename": frame.f_code.co_filename,
            "line": frame.f_lineno}


def stack_from(frame):
    stack = []
    while frame is not None:
        if frame.f_code is not Recorded.cancel.__code__:
            stack.append(place(frame))
        frame = frame.f_back
    return stack


def stood(task, frame):
    """Where the task stands: on the stack of this thread, or suspended."""
    bottom = truth.unwrap(task.get_coro())
    bottom = bottom and getattr(bottom, truth.AWAITS[type(bottom)][0])
    stack = []
    while frame is not None:
        if frame.f_code is not Recorded.cancel.__code__:
            stack.append(place(frame))
        if frame is bottom:
            return stack
        frame = frame.f_back
    return [dict(f) for f in truth.suspended_stack(task.get_coro())]


def coroutine(task):
    """The name of its outermost function."""
    inside = truth.unwrap(task.get_coro())
    code = next((getattr(inside, key) for key in ("cr_code", "gi_code", "ag_code")
                 if hasattr(inside, key)), None)
    return code and asked.code_name(code)


def requester():
    try:
        task = asked.current_task()
        return {"kind": "callback"} if task is None else {
            "kind": "task", "id": hex(id(task)), "name": task.get_name(),
            "coroutine": coroutine(task)}
    except RuntimeError:
        return {"kind": "outside"}


def handled(by):
    """The newest request of a task that is handling a CancelledError."""
    if by["kind"] == "task" and isinstance(sys.exc_info()[1], asyncio.CancelledError):
        for record in reversed(RECORDS):
            if record["target"]["id"] == by["id"]:
                return record["id"]
    return None


class Recorded(asyncio.Task):
    def cancel(self, *given, **named):
        frame = sys._getframe(1)
        by = requester()
        within = OPEN.__dict__.setdefault("requests", [])
        record = {
            "id": len(RECORDS) + 1, "task": self, "taken": False,
            "target": {"id": hex(id(self)), "name": self.get_name(), "stack": stood(self, frame),
                       "coroutine": coroutine(self)},
            "requester": by, "cause": within[-1] if within else handled(by),
            "message": (given or (named.get("msg"),))[0], "stack": stack_from(frame)}
        RECORDS.append(record)
        within.append(record["id"])
        try:
            record["taken"] = super().cancel(*given, **named)
        finally:
            within.pop()
        return record["taken"]


def told():
    records = []
    for record in RECORDS:
        if not record["taken"]:
            continue
        task = record["task"]
        state = "living" if not task.done() else "cancelled" if task.cancelled() \
            else "raised" if task.exception() else "returned"
        if not isinstance(record["message"], str):
            record["message"] = None
        records.append(dict({k: v for k, v in record.items() if k != "task"},
                            outcome={"state": state}))
    return records


def install():
    asyncio.Task = asyncio.tasks.Task = Recorded
    if hasattr(asyncio, "eager_task_factory"):
        asyncio.eager_task_factory = asyncio.create_eager_task_factory(Recorded)
