"""inside.py - what any victim can tell from inside, whatever runs its tasks; how it talks to the test.

Runs on CPython 3.8 to 3.15, and loads no asyncio: a process of trio has none.
"""
import gc
import json
import os
import sys
import threading
import time
import traceback
import types

LONG = 100000  # seconds: longer than any test

# Objects that stand between an awaiting frame and the awaited one and have no
# attribute to follow: the next object is among what they refer to.
WRAPPERS = {
    "coroutine_wrapper",
    "async_generator_asend",
    "async_generator_athrow",
    "anext_awaitable",
}
AWAITS = {
    types.CoroutineType: ("cr_frame", "cr_await", "cr_running"),
    types.GeneratorType: ("gi_frame", "gi_yieldfrom", "gi_running"),
    types.AsyncGeneratorType: ("ag_frame", "ag_await", "ag_running"),
}


def version():
    """The version as `3.13.5` or `3.15.0a1`."""
    v = sys.version_info
    level = {"alpha": "a", "beta": "b", "candidate": "rc", "final": ""}[v.releaselevel]
    return "%d.%d.%d%s" % (v[0], v[1], v[2], level + str(v.serial) if level else "")


def place(frame):
    code = frame.f_code
    return {
        "name": getattr(code, "co_qualname", code.co_name),
        "filename": code.co_filename,
        "line": frame.f_lineno or 0,
    }


def unwrap(obj):
    """Look through the wrappers; None when there is no frame behind them."""
    for _ in range(8):
        if type(obj) in AWAITS:
            return obj
        if type(obj).__name__ not in WRAPPERS:
            return None
        behind = [
            o
            for o in gc.get_referents(obj)
            if type(o) in AWAITS or type(o).__name__ in WRAPPERS
        ]
        if len(behind) != 1:
            return None
        obj = behind[0]
    return None


def suspended_stack(coro):
    """The await chain of a suspended coroutine, innermost first."""
    stack = []
    obj = unwrap(coro)
    while obj is not None:
        frame_name, await_name, _ = AWAITS[type(obj)]
        frame = getattr(obj, frame_name)
        if frame is None:
            break
        stack.append(place(frame))
        obj = unwrap(getattr(obj, await_name))
    stack.reverse()
    return stack


def running_stack(coro, thread_ident):
    """From the innermost frame of the thread down to the task's own coroutine, innermost first."""
    obj = unwrap(coro)
    bottom = getattr(obj, AWAITS[type(obj)][0])
    frame = sys._current_frames()[thread_ident]
    stack = []
    while frame is not None:
        stack.append(place(frame))
        if frame is bottom:
            return stack
        frame = frame.f_back
    raise AssertionError("the running task is not on its thread's stack")


def interpreter_id():
    """The number of the interpreter this code runs in."""
    for name in ("_interpreters", "_xxsubinterpreters"):
        try:
            current = __import__(name).get_current()
        except (ImportError, AttributeError):
            continue
        return int(current[0]) if isinstance(current, tuple) else int(current)
    return 0


def say(line):
    """One line to the one who watches."""
    data = (line + "\n").encode("ascii")
    while data:
        data = data[os.write(1, data):]


def tell(truth):
    """The truth as one line, then `ready`."""
    if "--freeze" in sys.argv:
        gc.collect()
        gc.freeze()
    say(json.dumps(truth))
    say("ready")


def stuck_in(ident, code):
    """Wait until a thread executes the code of a function and stays there."""
    end = time.monotonic() + 60
    while sys._current_frames()[ident].f_code is not code:
        assert time.monotonic() < end, "the thread does not get there"
        time.sleep(0.001)


def give_up():
    """The scene cannot be played: say why and leave at once, cleaning up nothing."""
    traceback.print_exc()
    sys.stderr.flush()
    os._exit(1)


def obey(beat):
    """Answer each line on stdin through beat(reply), end at its end. Runs in its own thread."""

    def listen():
        pending = b""
        while True:
            data = os.read(0, 4096)
            if not data:
                os._exit(0)
            pending += data
            while b"\n" in pending:
                line, pending = pending.split(b"\n", 1)
                beat(lambda: say("pong"))

    threading.Thread(target=listen, daemon=True, name="listener").start()


def started():
    """Options that every victim takes: --settrace, --eager. Call it first in the program."""
    if "--settrace" in sys.argv:

        def trace(frame, event, arg):
            return trace

        threading.settrace(trace)
        sys.settrace(trace)
    sys.setrecursionlimit(20000)


def eager():
    return "--eager" in sys.argv
