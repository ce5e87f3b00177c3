"""recorder_trio.py - what cancels whom, told by functions put before those of trio.

No agent: a poor man's record of each task that a scope's cancellation comes to cover, to check
that the truth of the scenarios is what happens. It reads trio's own objects; of origins,
delays and exceptions it knows nothing.
"""
import functools
import sys

import asked
import inside
import levels
from trio._core import _run

RECORDS = []
KEPT = []  # tasks and scopes, so that no address is used twice
CALLS = {}  # scope -> who cancelled it, and from where
DONE = {}  # (task, scope) -> its record
ENDS = {}  # task -> how it ended
HOSTS = {}  # scope -> the task that entered it
CODES = set()  # of the functions below
OWN_SCOPES = ("_timeouts.py:fail_at", "_timeouts.py:fail_after", "_run.py:__aenter__")


def own_to_trio(frame):
    """Whether a scope is entered here by trio itself."""
    while frame.f_code in CODES or frame.f_code.co_filename.endswith("contextlib.py"):
        frame = frame.f_back
    file = frame.f_code.co_filename
    place = "%s:%s" % (file.rsplit("/", 1)[-1], frame.f_code.co_name)
    if place == "_run.py:__aenter__":  # a nursery: of start()?
        code = frame.f_back.f_code
        return code.co_name == "start" and "/trio/" in code.co_filename
    return "/trio/" in file and place not in OWN_SCOPES


def stack_from(frame):
    stack = []
    while frame is not None:
        if frame.f_code not in CODES:
            stack.append({"name": asked.code_name(frame.f_code), "line": frame.f_lineno,
                          "filename": frame.f_code.co_filename})
        frame = frame.f_back
    return stack


def stood(task, frame):
    """Where the task stands: on the stack of this thread, or suspended."""
    bottom = task.coro.cr_frame
    running = stack_from(frame)
    while frame is not None and frame is not bottom:
        frame = frame.f_back
    if frame is not None:
        return running[:len(running) - len(stack_from(frame)) + 1]
    return [dict(place) for place in inside.suspended_stack(task.coro)]


def running():
    task = getattr(_run.GLOBAL_RUN_CONTEXT, "task", None)
    if task is not None:
        return {"kind": "task", "id": hex(id(task)), "name": task.name,
                "coroutine": asked.code_name(task.coro.cr_code)}
    return {"kind": "callback"} if hasattr(_run.GLOBAL_RUN_CONTEXT, "runner") \
        else {"kind": "outside"}


def visible(status):
    """The cancelled scopes that cover what stands here, from the inside out."""
    while status is not None:
        if status._scope._cancel_called:
            yield status._scope
        if status._scope._shield:
            return
        status = status._parent


def depth(task):
    count = 0
    while task.parent_nursery is not None:
        task = task.parent_nursery.parent_task
        count += 1
    return count


def within(status):
    todo, tasks = [status], []
    while todo:
        status = todo.pop()
        tasks += status._tasks
        todo += status._children
    return sorted(tasks, key=depth)


def trio_own(task):
    """<init>, and the task that runs what other threads ask for."""
    return task.parent_nursery is None or task.name == "<TrioToken.run_sync_soon task>"


def settle(tasks, frame):
    """Of the scopes that cover a task the outermost asks: those inside of it have no say any more.
    """
    for task in tasks:
        scopes = [scope for scope in visible(task._cancel_status) if scope in HOSTS]
        if scopes and not trio_own(task) and (id(task), id(scopes[-1])) not in DONE \
                and CALLS[id(scopes[-1])][3] is not task:
            record(task, scopes[-1], frame)


def record(task, scope, frame):
    by, stack, message, _, handled = CALLS[id(scope)]
    owner = task.parent_nursery.parent_task
    direct = HOSTS[scope] is task or task.parent_nursery.cancel_scope is scope
    cause = handled if direct else DONE.get((id(owner), id(scope)))
    DONE[id(task), id(scope)] = written(task, by, stack, message, cause, frame)


def written(task, by, stack, message, cause, frame):
    KEPT.append(task)
    RECORDS.append({
        "id": len(RECORDS) + 1, "task": task, "requester": by, "stack": stack, "message": message,
        "target": {"id": hex(id(task)), "name": task.name, "stack": stood(task, frame),
                   "coroutine": asked.code_name(task.coro.cr_code)},
        "cause": cause and cause["id"], "raised": 0})
    return RECORDS[-1]


def called(scope, frame, reason):
    if id(scope) in CALLS or scope._cancel_called:
        return
    caller = frame
    while caller.f_code.co_filename.endswith("/anyio/_backends/_trio.py"):
        caller = caller.f_back
    file = caller.f_code.co_filename
    own = "/trio/" in file and "/trio/_core/" not in file
    if (own or file.endswith("/anyio/_core/_sockets.py")) and id(scope) in HOSTS.keys():
        del HOSTS[id(scope)]  # of a race that trio runs, such as that of open_tcp_stream()
    # An owner whose body failed leaves, and asks itself nothing.
    names = [frame.f_code.co_name, frame.f_back.f_code.co_name, frame.f_back.f_back.f_code.co_name]
    running_task = getattr(_run.GLOBAL_RUN_CONTEXT, "task", None)
    body = names[0] == "_add_exc" and {"_nested_child_finished", "aborted"} & set(names)
    leaves = frame.f_locals["self"]._parent_task if body else None
    handled = next((one for one in reversed(RECORDS) if one["task"] is running_task), None) \
        if isinstance(sys.exc_info()[1], _run.Cancelled) and "_add_exc" not in names else None
    CALLS[id(scope)] = running(), stack_from(frame), reason, leaves, handled
    KEPT.append(scope)


class Scopes(dict):
    """By identity."""

    def __contains__(self, scope):
        return super().__contains__(id(scope))

    def __getitem__(self, scope):
        return super().__getitem__(id(scope))


def before(owner, name, function):
    """Put a function before a method: it is given the method, the object, and the frame."""
    method = owner.__dict__[name]

    @functools.wraps(method)
    def put(self, *given, **named):
        return function(functools.partial(method, self, *given, **named), self,
                        sys._getframe(1), given, named)

    CODES.update((put.__code__, function.__code__))
    setattr(owner, name, put)


def enter(method, scope, frame, given, named):
    if not own_to_trio(frame):
        HOSTS[id(scope)] = _run.GLOBAL_RUN_CONTEXT.task
        KEPT.append(scope)
    result = method()
    settle([_run.GLOBAL_RUN_CONTEXT.task], frame)
    return result


def cancel(method, scope, frame, given, named):
    reason = named.get("reason", given[0] if given else None)
    reason = reason if isinstance(reason, str) else None
    called(scope, frame, reason)
    return method()


def recalculate(method, status, frame, given, named):
    tasks = within(status)
    if status._scope._cancel_called or status.parent_cancellation_is_visible_to_us:
        settle(tasks, frame)  # where they stand before they are woken
    return method()


def activate(method, task, frame, given, named):
    result = method()
    if task._cancel_status is not None and "__enter__" not in frame.f_code.co_name:
        settle([task], frame)
    return result


def exited(method, runner, frame, given, named):
    task, outcome = given
    error = getattr(outcome, "error", None)
    ENDS[id(task)] = "returned" if error is None else "cancelled" if obeys(error) else "raised"
    KEPT.append(task)
    return method()


def obeys(error):
    """Whether an exception is Cancelled, or a group of nothing else."""
    inner = getattr(error, "exceptions", ())
    return isinstance(error, _run.Cancelled) or len(inner) > 0 and all(map(obeys, inner))


def reschedule(method, runner, frame, given, named):
    error = getattr(given[1] if len(given) > 1 else named.get("next_send"), "error", None)
    if isinstance(error, _run.Cancelled):
        scopes = [scope for scope in visible(given[0]._cancel_status) if scope in HOSTS]
        record = scopes and DONE.get((id(given[0]), id(scopes[-1])))
        if record:
            record["raised"] += 1
    return method()


def interrupt(method, task, frame, given, named):
    if task._abort_func is not None:
        written(task, running(), stack_from(frame), None, None, frame)
    return method()


def told():
    return [dict({key: value for key, value in record.items() if key != "task"},
                 repeats=max(record["raised"] - 1, 0),
                 outcome={"state": ENDS.get(id(record["task"]), "living")}) for record in RECORDS]


def install():
    global HOSTS
    HOSTS = Scopes()
    before(_run.CancelScope, "__enter__", enter)
    before(_run.CancelScope, "cancel", cancel)
    if "_cancel" in _run.CancelScope.__dict__:
        before(_run.CancelScope, "_cancel", cancel)
    before(_run.CancelStatus, "recalculate", recalculate)
    before(_run.Task, "_activate_cancel_status", activate)
    before(_run.Task, "_attempt_delivery_of_pending_ki", interrupt)
    before(_run.Runner, "task_exited", exited)
    before(_run.Runner, "reschedule", reschedule)
    CODES.update(f.__code__ for f in (settle, record, written, called, stood, running))
    assert levels.ON_TRIO
