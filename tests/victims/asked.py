"""asked.py - scenarios of tasks that are asked to stop, each with its truth written by hand.

A scenario is a function decorated with @scenario. It defines a coroutine main()
and says, next to the code that makes it so, which requests are taken: who is
asked, where it stands, by whom, why, and how that ends. Names of functions and
places are written as in the source; what a version makes of them (qualified
names, the library's files) is looked up here.

    at, stack:  "sleep < worker:nap"   frames, innermost first; worker:nap is the line of the
                function worker that ends in `# at: nap`, sleep a function of the library, `loop`
                all that lies below a callback, `program` all that lies round the scenario's run()

Runs on CPython 3.8 to 3.15.
"""
import dis
import importlib
import inspect
import json
import linecache
import os
import sys
import time
import traceback
import types

if "--trio" not in sys.argv:  # a program on trio may do without
    import asyncio

LONG = 100000  # seconds: longer than any test
PYTHON = sys.version_info[:2]
VERSION = sys.version_info[:3]
UVLOOP = "--uvloop" in sys.argv
RECORDER = "--recorder" in sys.argv
DEBUG = bool(os.environ.get("PYTHONASYNCIODEBUG"))
QUALIFIED = PYTHON >= (3, 11)  # code knows its qualified name
# From 3.14 on.
THREAD_SAFE = "asyncio" in globals() and hasattr(asyncio.events, "_ThreadSafeHandle")
HERE = os.path.dirname(os.path.abspath(__file__))
SCENARIOS = []
LIBRARY = """asyncio.tasks asyncio.timeouts asyncio.taskgroups asyncio.runners asyncio.base_events
asyncio.events asyncio.locks asyncio.queues asyncio.futures asyncio.streams asyncio.threads
selectors threading""".split()


def scenario(function, on=None):
    """on: the loops it is played on, of "asyncio uvloop"; "alone": only when it is asked for."""
    function.loops = on or "asyncio uvloop"
    SCENARIOS.append(function)
    return function


def since(*version, on=None):
    """Decorate a scenario that needs at least this version."""
    return lambda function: scenario(function, on) if sys.version_info >= version else function


def asyncio_only(function):
    """A scenario whose stacks or signals are those of asyncio's own loop."""
    return scenario(function, "asyncio")


def not_in_debug(function):
    """A scenario of what asyncio's debug mode forbids."""
    return scenario(function, "asyncio uvloop not-in-debug")


class Either:
    """More than one answer is as good: contract 2 leaves it open."""

    def __init__(self, *values):
        self.values = values


def thrown(inner, outer):
    """The stack of a call made while an exception goes up through inner; outer awaits inner.

    3.8 throws into the innermost coroutine past those that await it: they are not on the stack.
    In the first 3.9s they are, but what lies below them is not.
    """
    whole = inner + " < " + outer
    if PYTHON < (3, 10):
        return Either(whole, inner + " < loop", whole[:-len(" < loop")])
    return whole


# Code and places --------------------------------------------------------------


def code_name(code):
    return code.co_qualname if QUALIFIED else code.co_name


def code_of(function):
    while not isinstance(function, types.CodeType):
        for key in ("fget", "__func__", "__wrapped__", "__code__"):
            if hasattr(function, key):
                function = getattr(function, key)
                break
        else:
            return None
    return function


def lines_of(code):
    lines = [line for _, line in dis.findlinestarts(code) if line]
    return [min(lines + [code.co_firstlineno]), max(lines + [code.co_firstlineno])]


def codes_in(code, path):
    """(qualified name, code) of all functions defined inside of a code object."""
    inside = "." if not code.co_flags & inspect.CO_OPTIMIZED else ".<locals>."
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            name = path + inside + const.co_name
            yield name, const
            yield from codes_in(const, name)


def library_code(name):
    """The code of a function of the library, by its qualified name: `module|name` where there are
    more.
    """
    named, _, name = name.rpartition("|")
    for module in [named] if named else LIBRARY:
        try:
            found = importlib.import_module(module)
        except ImportError:
            continue
        outer, _, inner = name.partition(".<locals>.")
        for part in outer.split("."):
            found = inspect.getattr_static(found, part, None) if found is not None else None
        code = code_of(found) if found is not None else None
        if code and inner:
            code = dict(codes_in(code, outer))[name]
        if code:
            return code
    raise AssertionError("the library has no %s" % name)


def own(filename):
    return os.path.dirname(os.path.abspath(filename)) == HERE


def frames(frame):
    """The places of a frame and all below it; a line of the library is any of its function."""
    told = []
    while frame is not None:
        code = frame.f_code
        lines = [frame.f_lineno] * 2 if own(code.co_filename) else lines_of(code)
        told.append({"name": code_name(code), "filename": code.co_filename, "lines": lines})
        frame = frame.f_back
    return told


def marked(code, marker):
    """The line of the code that ends in `# at: marker`, or None."""
    if marker == "def":
        return code.co_firstlineno
    first, last = lines_of(code)
    found = [n for n in range(first, last + 1)
             if linecache.getline(code.co_filename, n).rstrip().endswith("# at: " + marker)]
    assert len(found) < 2, "%s: %d lines are marked %s" % (code.co_name, len(found), marker)
    return found[0] if found else None


# Who asked --------------------------------------------------------------------


def callback(name):
    return ("callback", name)


def runner():
    return ("runner", None)


def handler(name):
    return ("signal", name)


def thread(name):
    return ("thread", name)


# Through what -----------------------------------------------------------------


def through(kind, obj=None, delay=None, known=True, elapsed=None, within=None, moved=False):
    """The scope. obj: what the scenario called its object with called(), None: not to be checked.

    delay, elapsed: seconds; no delay: it must be null. known: False where the library does not
    keep them, so that null is as good. elapsed: what was waited at least, delay unless it is said.
    moved: the deadline was changed after the block was entered. within: the function in the
    target's stack that has written it, None: not to be checked.
    """
    least = delay if elapsed is None else elapsed
    # Up to 3.11 only the loop's timer knows when a wait_for began, and uvloop's does not tell.
    return {"kind": kind, "object": obj, "delay": delay, "known": known,
            "within": within, "moved": moved,
            "timed": known and not (UVLOOP and kind == "wait_for" and PYTHON < (3, 12)),
            "elapsed": None if least is None else [max(least - 0.01, -0.001), least + 2.5]}


class Scene:
    """One scenario while it is played."""

    def __init__(self, function):
        self.name = function.__name__
        self.function = function
        self.tasks = {}  # short name -> what is known of the task
        self.of = {}  # short name -> the task itself
        self.objects = []  # kept until the end, so that no address is used twice
        self.scopes = {}  # name -> address
        self.requests = []
        self.broken = []
        self.outer = []
        self.copied = []
        self.began = time.time()
        here = code_of(function)
        self.codes = [(here.co_name, here)] + list(codes_in(here, here.co_name))

    @staticmethod
    def runs(main):
        """What runs a coroutine function: a function and its arguments."""
        return asyncio.run, (main(),)

    # Tasks

    def full(self, name):
        return "%s.%s" % (self.name, name)

    def called(self, name, obj):
        """An object that a scope of the truth names."""
        self.scopes[name] = hex(id(obj))
        return self.keep(obj)

    def keep(self, *objects):
        self.objects.extend(objects)
        return objects[0]

    def also_called(self, name):
        """Up to 3.13.1 an eager task gets its name after its first step: the old one is as good."""
        known = self.tasks[name]
        if known["name"] != self.full(name):
            known["name"] = {"either": [known["name"], self.full(name)]}

    def knows(self, name, task, coroutine=None):
        """A task by the short name of the truth. coroutine: of one that has none any more."""
        if name not in self.tasks or self.tasks[name]["id"] != hex(id(task)):
            coro = task.get_coro()
            code = self.code(coroutine) if coroutine \
                else getattr(coro, "cr_code", None) or coro.gi_code
            self.tasks[name] = {"id": hex(id(task)), "name": task.get_name(),
                                "coroutine": code_name(code)}
        self.of[name] = task
        return task

    def task(self, coro, name):
        """Start a task of that name."""
        return self.knows(name, create_task(coro, self.full(name)))

    def member(self, group, coro, name):
        return self.knows(name, group.create_task(coro, name=self.full(name)))

    def i_am(self, name):
        """Called by a task that the library made, in its first step."""
        self.knows(name, current_task())

    def unseen(self, name, coroutine):
        """A task that no code of ours ever sees: made by the library, never begun."""
        self.tasks[name] = {"id": None, "name": None, "coroutine": code_name(self.code(coroutine))}

    async def start(self, name="main"):
        """The first thing that main() does."""
        task = current_task()
        task.set_name(self.full(name))
        self.knows(name, task)
        loop = asyncio.get_running_loop()
        grabbed = loop.create_future()

        def grab():
            self.outer = frames(sys._getframe().f_back)
            grabbed.set_result(None)

        loop.call_soon(grab)
        await grabbed

    async def turns(self, count=5):
        for _ in range(count):
            await asyncio.sleep(0)

    async def ended(self, *tasks):
        """Wait until these are done, however they end."""
        await asyncio.wait(set(tasks))

    # Places

    def code(self, name, marker="def"):
        found = {id(code): code for path, code in self.codes
                 if (path == name or path.endswith("." + name)) and marked(code, marker)}
        assert len(found) < 2, "%s: %d functions called %s" % (self.name, len(found), name)
        return found.popitem()[1] if found else None

    def place(self, word):
        name, _, marker = word.partition(":")
        if not marker:
            code = library_code(name)
            return {"name": code_name(code), "filename": code.co_filename, "lines": lines_of(code)}
        code = self.code(name, marker)
        assert code, "%s: there is no %s" % (self.name, word)
        return {"name": code_name(code), "filename": code.co_filename,
                "lines": [marked(code, marker)] * 2}

    def stack(self, text):
        if isinstance(text, Either):
            return {"either": [self.stack(value) for value in text.values]}
        told = []
        for word in text.split(" < ") if text else ():
            if word == "loop":
                told += self.outer
            elif word == "threadsafe":  # from another thread, by call_soon_threadsafe()
                told += self.outer[:1] * (not UVLOOP)
                if THREAD_SAFE and not UVLOOP:
                    told.append(self.place("_ThreadSafeHandle._run"))
                told += self.outer[1 - UVLOOP:]
            elif word == "select":  # a signal that came while the loop slept
                told += [self.place("EpollSelector.select")] + self.outer[1:]
            elif word == "...":  # whatever lies further in
                told.append({"any": True})
            elif word == "program":
                told += self.program
            else:
                told.append(self.place(word))
        return told

    def function_name(self, name):
        if name.startswith("="):
            return name[1:]  # a function in C: it has its qualified name on every version
        return code_name(self.code(name) or library_code(name))

    def plain(self, value, how=lambda value: value):
        if isinstance(value, Either):
            return {"either": [self.plain(one, how) for one in value.values]}
        return how(value)

    # The truth

    def requester(self, by):
        if isinstance(by, str):
            return dict(self.tasks[by], kind="task")
        kind, name = by
        told = {"kind": kind, "id": None, "coroutine": None, "name": name}
        if name and kind in ("callback", "signal"):
            told["name"] = self.function_name(name)
        return told

    def asked(self, *told, **named):
        """A request that is taken: see request(). What cannot be said is told at the next look."""
        try:
            self.request(*told, **named)
        except AssertionError as error:
            self.broken.append(str(error))

    def request(self, target, at, by, stack, why="explicit", scope=None, cause=None,
                exception=None, message=None, ends="cancelled", after=0, label=None, loose=None):
        """A request that is taken.

        target: the task's short name. at: where it stands. by: a task's short name, or
        callback(), runner() … . cause: the label of another request. exception: (type,
        message, the task that failed). ends: how it ends at last. after: the seconds
        that takes at least. label: to tell requests of one task apart, and for looks.
        loose: requests of one such word come in no certain order.
        """
        label = label or target
        assert label not in [r["label"] for r in self.requests], "two requests called " + label

        def failure(told):
            task = told and told[2] and self.tasks[told[2]]
            return told and {"type": told[0], "message": told[1],
                             "task": task and {"id": task["id"], "name": task["name"]}}

        def construct(told):
            return told and dict(told, id=told["object"] and self.scopes[told["object"]])

        self.requests.append({
            "label": label, "loose": loose,
            "target": dict(self.tasks[target], key=target, stack=self.stack(at)),
            "requester": self.plain(by, self.requester),
            "origin": self.plain(why), "scope": self.plain(scope, construct),
            "cause": self.plain(cause), "exception": self.plain(exception, failure),
            "message": self.plain(message), "stack": self.stack(stack), "repeats": 0,
            "outcome": {"state": self.plain(ends), "after": [after, after + 5]}})

    def copies(self, tasks):
        """The request told last is that of each of these tasks, in this order."""
        self.copied = [[hex(id(task)), task.get_name()] for task in tasks]

    def truth(self, when, states):
        requests = [dict(r) for r in self.requests]
        labels = {r["label"] for r in requests}
        if not set(states) <= labels:
            self.broken.append("no requests %s" % sorted(set(states) - labels))
        for request in requests:
            if request["label"] in states:
                request["outcome"] = {"state": self.plain(states[request["label"]]),
                                      "after": [0, 60]}
        told = {"scenario": self.name, "when": when, "began": self.began, "requests": requests,
                "copied": self.copied, "broken": self.broken}
        if RECORDER:
            import recorder
            told["recorded"] = recorder.told()
        return told

    async def look(self, **states):
        """Let the driver look now. states: how some requests stand at this moment, by label."""
        loop = asyncio.get_running_loop()
        seen = loop.create_future()
        loop.add_reader(0, lambda: seen.done() or seen.set_result(None))
        say(self.truth("look", states))
        await seen
        loop.remove_reader(0)
        answer()

    def blocking_look(self, **states):
        """The same, while the loop stands still."""
        say(self.truth("blocked look", states))
        answer()


def create_task(coro, name, loop=None):
    """A task of that loop, else of the running one."""
    loop = loop or asyncio.get_running_loop()
    try:
        return loop.create_task(coro, name=name)
    except TypeError:  # uvloop, before it knew of names
        task = loop.create_task(coro)
        task.set_name(name)
        return task


def current_task():
    """The current task, also where it is a pure-Python one, which 3.14 keeps apart."""
    find = getattr(asyncio.tasks, "_py_current_task", None)
    return asyncio.current_task() or (find and find())


# Playing ----------------------------------------------------------------------


def say(told):
    data = (json.dumps(told) if isinstance(told, dict) else told).encode("ascii") + b"\n"
    while data:
        data = data[os.write(1, data):]


def answer():
    """Wait for a line from the driver; its end is the end."""
    os.set_blocking(0, True)  # uvloop leaves it so that it does not
    line = b""
    while not line.endswith(b"\n"):
        data = os.read(0, 1)
        if not data:
            os._exit(0)
        line += data


def watch(seconds):
    """Leave, and say where everything stands, when that takes too long."""
    import faulthandler
    faulthandler.dump_traceback_later(seconds, exit=True)


def play(function, of=Scene):
    scene = of(function)
    sys.stderr.write("%s\n" % scene.name)
    run = function(scene)
    scene.program = frames(sys._getframe())
    scene.program[0]["lines"] = [marked(sys._getframe().f_code, "program")] * 2
    run, given = scene.runs(run) if inspect.iscoroutinefunction(run) else (run, ())
    try:
        run(*given)  # at: program
        say(scene.truth("end", {}))
    except Exception:
        scene.requests, scene.copied = [], []
        scene.broken.append(traceback.format_exc()[-380:])
        say(scene.truth("end", {}))
    answer()


def played_here(function, only):
    if DEBUG and "not-in-debug" in function.loops or RECORDER and "not-recorded" in function.loops:
        return False
    return ("uvloop" if UVLOOP else "asyncio") in function.loops \
        and (function.__name__ in only if only else "alone" not in function.loops)
