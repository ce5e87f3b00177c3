"""guests.py - programs that a guest might disturb. Each says what it saw, the same each time.

    guests.py PART…

A line for each thing that was seen, "PART: …", and at the end "over". What asyncio or Python
writes to stderr counts, too. Nothing here tells an address, a time, or a process id.
"""
import asyncio
import atexit
import errno
import gc
import os
import resource
import signal
import sys
import threading
import time
import warnings
import weakref

PARTS = {}
NOBODY = 65534


def part(function):
    PARTS[function.__name__] = function
    return function


def tell(*words):
    print("%s:" % sys.argv[1], *words, flush=True)


async def for_ever():
    await asyncio.get_running_loop().create_future()


async def begun(coro=None):
    task = asyncio.get_running_loop().create_task(coro or for_ever())
    await asyncio.sleep(0)
    return task


async def end_of(task):
    try:
        return "returned", await task
    except BaseException as error:  # a CancelledError, too
        return type(error).__name__, len(error.args)


async def cancelled(count=20):
    """How many of as many tasks ended as they should, and a timeout."""
    tasks = [await begun() for _ in range(count)]
    for task in tasks:
        task.cancel()
    ended = [(await end_of(task))[0] for task in tasks]
    try:
        await asyncio.wait_for(for_ever(), 0.001)
    except asyncio.TimeoutError:
        pass
    return ended.count("CancelledError")


def child(function):
    """Fork; what the child's end was like."""
    sys.stdout.flush()
    pid = os.fork()
    if not pid:
        code = 1
        try:
            code = 0 if function() == 20 else 2
        finally:
            os._exit(code)
    return os.waitpid(pid, 0)[1]


def leave():
    tell("over")
    os._exit(0)


# --- what is on the stack

class Job:
    """Made often enough, __init__ is called in a way of its own from 3.13 on."""

    def __init__(self, loop):
        self.task = loop.create_task(for_ever())
        self.task.cancel()


@part
def specialised():
    async def main():
        loop = asyncio.get_running_loop()
        jobs = []
        for _ in range(200):
            jobs.append(Job(loop))
        return [(await end_of(job.task))[0] for job in jobs].count("CancelledError")
    tell(asyncio.run(main()))


async def fails():
    await asyncio.sleep(0)
    raise ValueError("as it should")


class Timeout:
    """A block that cancels the task that is in it, as before 3.11 all did."""

    async def __aenter__(self):
        task = asyncio.current_task()
        self.timer = asyncio.get_running_loop().call_later(0.001, lambda: task.cancel())

    async def __aexit__(self, kind, *_):
        self.timer.cancel()
        if kind and hasattr(asyncio.Task, "uncancel"):
            asyncio.current_task().uncancel()


@part
def loops():
    """Owners of blocks that stand in loops: what these keep on the value stack is no object each time."""
    async def main():
        for _ in [1, 2, 3]:
            for _ in (1, 2):
                try:
                    async with Timeout():
                        for _ in range(2):
                            for _ in [4, 5]:
                                await for_ever()
                except asyncio.CancelledError:
                    tell("out of time")
                finally:
                    for _ in [6, 7]:
                        tell(await end_of(await begun(asyncio.wait_for(for_ever(), 0.001))))
                if not hasattr(asyncio, "TaskGroup"):
                    continue
                try:
                    async with asyncio.TaskGroup() as group:
                        group.create_task(fails())
                        group.create_task(for_ever())
                        for _ in [8, 9]:
                            await for_ever()
                except BaseException as error:
                    tell(type(error).__name__, len(error.exceptions))
    asyncio.run(main())


@part
def deep():
    def below(depth, function):
        return below(depth - 1, function) if depth else function()

    async def chain(length):
        return await (chain(length - 1) if length else for_ever())

    async def tasks(length):
        return await (asyncio.get_running_loop().create_task(tasks(length - 1)) if length
                      else for_ever())

    async def main():
        sys.setrecursionlimit(20000)
        task = await begun()
        tell(below(5000, task.cancel), await end_of(task))
        task = await begun(chain(3000))
        tell(task.cancel(), await end_of(task))
        task = await begun(tasks(200))
        for _ in range(210):
            await asyncio.sleep(0)
        tell(task.cancel(), await end_of(task))
    asyncio.run(main())


@part
def at_the_limit():
    """cancel() at each depth up to the limit of recursion, and on from there into the limit."""
    def below(depth, function):
        return below(depth - 1, function) if depth else function()

    def onward(depth, function):
        if not depth:
            function()
        return onward(depth - 1, function)

    async def main():
        here, frame = 0, sys._getframe()
        while frame:
            here, frame = here + 1, frame.f_back
        sys.setrecursionlimit(here + 150)
        told = []
        for depth in range(100, 150):
            task = await begun()
            try:
                told.append(below(depth, task.cancel))
            except RecursionError:
                told.append(None)
        tell(told.count(True), told.count(None))
        for depth in range(100, 145):
            task = await begun()
            try:
                onward(depth, task.cancel)
            except RecursionError:
                told.append(depth)
        tell(told[50:] == list(range(100, 145)))
        leave()  # a task whose cancel() failed half way may never end
    asyncio.run(main())


@part
def small_stacks():
    for size in (65536, 131072):
        threading.stack_size(size)

        async def main():
            task = await begun()
            thread = threading.Thread(target=task.cancel)
            thread.start()
            thread.join()
            await asyncio.sleep(0)
            return await end_of(task)
        tell(size, asyncio.run(main()))
        told = []
        thread = threading.Thread(target=lambda: told.append(asyncio.run(cancelled())))
        if size > 65536:
            thread.start()
            thread.join()
        tell(told)


# --- odd moments

@part
def moments():
    class Dies:
        def __init__(self, task):
            self.task, self.itself = task, self

        def __del__(self):
            self.task.cancel()

    async def main():
        loop = asyncio.get_running_loop()
        gc.set_threshold(1)
        tasks = [await begun() for _ in range(100)]
        for task in tasks:
            Dies(task)
            (await begun()).cancel()
        gc.collect()
        gc.set_threshold(700)
        tell([(await end_of(task))[0] for task in tasks].count("CancelledError"))
        gc.disable()
        gc.freeze()
        tell(await cancelled())
        gc.unfreeze()
        gc.enable()
        task, gone = await begun(), type("Gone", (), {})()
        callback = weakref.ref(gone, lambda _: task.cancel())
        del gone
        tell("weak reference", await end_of(task), callback() is None)
        task = await begun()
        signal.signal(signal.SIGUSR1, lambda *_: task.cancel())
        os.kill(os.getpid(), signal.SIGUSR1)
        tell("signal", await end_of(task))
        task = await begun()
        loop.add_signal_handler(signal.SIGUSR1, task.cancel)
        os.kill(os.getpid(), signal.SIGUSR1)
        tell("signal of the loop", await end_of(task))
        task = await begun()
        try:
            1 / 0
        except ZeroDivisionError:
            tell(task.cancel(), sys.exc_info()[0].__name__)
        tell(await end_of(task))
        late.append(await begun())

    late = []
    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    atexit.register(lambda: tell("at exit", late[0].cancel(), late[0].cancelled()))
    loop.run_until_complete(cancelled())
    tell("not begun", late[0].done())


@part
def watched():
    """What a profiler and a tracer see."""
    seen = []

    def profile(frame, event, _):
        if frame.f_code.co_filename == __file__:
            seen.append((event, frame.f_code.co_name))

    def trace(frame, event, _):
        if frame.f_code.co_filename == __file__:
            seen.append((event, frame.f_lineno))
        return trace

    async def main(setter, watcher):
        setter(watcher)
        await cancelled(3)
        setter(None)
    asyncio.run(main(sys.setprofile, profile))
    asyncio.run(main(sys.settrace, trace))
    for line in seen:
        tell(*line)


# --- odd objects

class Hostile:
    called = []

    def __str__(self):
        self.called.append("str")
        raise RuntimeError

    __repr__ = __bool__ = __eq__ = __hash__ = __str__

    @property
    def __class__(self):
        self.called.append("class")
        return asyncio.Task


class HostileError(Exception):
    def __str__(self):
        Hostile.called.append("str of an error")
        raise RuntimeError

    @property
    def args(self):
        Hostile.called.append("args")
        raise RuntimeError


class Task(asyncio.Task):
    def cancel(self, *message):
        return "my own", super().cancel(*message)

    def get_name(self):
        raise RuntimeError

    get_coro = get_name

    def __hash__(self):
        return 1

    @property
    def _state(self):
        raise RuntimeError

    _coro = _name = _loop = _state

    def __del__(self):
        pass


class Never(asyncio.Task):
    def __init__(self):
        pass


@part
def objects():
    async def main():
        loop = asyncio.get_running_loop()
        for name in ("plain", "\ud800\udfff", "n\0ul", "\x1b[31m", "日本" * 50000, "x" * 5000000):
            task = await begun()
            task.set_name(name)
            tell(len(name), task.cancel(), await end_of(task), task.get_name() == name)
        if sys.version_info >= (3, 9):
            for message in ("m", "\ud800", "a\0b", b"\xff", 1 << 5000, Hostile(), (), float("nan")):
                task = await begun()
                tell(task.cancel(msg=message), task.cancel(**{}), await end_of(task))
        task = await begun()
        for wrong in ({"bogus": 1}, {"msg": 1, "bogus": 2}):
            try:
                task.cancel(**wrong)
            except TypeError:
                tell("TypeError")
        task.cancel()
        tell(await end_of(task))
        task = Task(for_ever(), loop=loop)
        await asyncio.sleep(0)
        tell(task.cancel(), task.cancel())
        await asyncio.sleep(0)
        for task in (Never(), asyncio.Task.__new__(asyncio.Task)):
            tell(task.cancel(), task.done())
        tell(Hostile.called)
        leave()  # tasks that never began cannot be finished
    asyncio.run(main())


@part
def errors():
    if not hasattr(asyncio, "TaskGroup"):
        return tell("no groups here")

    async def raises(error):
        raise error

    async def main():
        from_system = OSError(2, "x")
        from_system.strerror = Hostile()
        from_text = UnicodeDecodeError("u", b"abc", 0, 1, "r")
        from_text.reason = Hostile()
        from_source = SyntaxError("m", ("f", 1, 1, "t"))
        from_source.msg = Hostile()
        for error in (HostileError(), ValueError(Hostile()), ValueError("\ud800"), KeyError("k"),
                      ValueError("x" * 5000000), from_system, from_text, from_source):
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(for_ever())
                    group.create_task(raises(error))
                    await for_ever()
            except BaseException as caught:
                tell(type(caught).__name__, type(error).__name__, Hostile.called)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(for_ever())
                    raise error
            except BaseException as caught:
                tell(type(caught).__name__, Hostile.called)
    asyncio.run(main())


# --- processes

@part
def forks():
    async def main():
        task = await begun()
        await asyncio.sleep(0.02)
        for _ in range(3):
            pid = os.fork()
            if not pid:
                task.cancel()
                good = (await end_of(task))[0] == "CancelledError" and await cancelled() == 20
                os._exit(0 if good else 1)
            tell(os.waitpid(pid, 0)[1], await cancelled())
            await asyncio.sleep(0.02)
        task.cancel()
        await end_of(task)
    if sys.version_info < (3, 14):  # since, a child may not go on with its parent's loop
        asyncio.run(main())
    tell("outside of a loop", child(lambda: asyncio.run(cancelled())))
    tell("two generations", child(lambda: 20 if not child(lambda: asyncio.run(cancelled())) else 0))


@part
def forks_at_once():
    """3.12 and later warn whoever forks while there is another thread."""
    seen = []

    def note(message, *_, **__):
        seen.append(type(message).__name__)
    warnings.simplefilter("always")
    warnings.showwarning = note

    async def main():
        for _ in range(20):
            await end_of(await begun(asyncio.sleep(0)))
            pid = os.fork()
            if not pid:
                os._exit(0)
            os.waitpid(pid, 0)
    asyncio.run(main())
    tell(seen)


@part
def processes():
    import concurrent.futures
    import multiprocessing
    try:
        multiprocessing.Lock()
    except OSError:
        return tell("no shared memory here")
    for how in ("fork", "forkserver", "spawn"):
        context = multiprocessing.get_context(how)
        with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
            async def main():
                loop = asyncio.get_running_loop()
                return await asyncio.gather(*(loop.run_in_executor(pool, pow, 2, n) for n in (3, 4)))
            tell(how, asyncio.run(main()))


@part
def uvloop_children():
    """Its handler of fork() runs Python code in the child, before those that came later."""
    try:
        import uvloop
    except ImportError:
        return tell("no uvloop")

    async def main():
        ends = []
        for _ in range(60):
            process = await asyncio.create_subprocess_exec("/bin/true", env={})
            ends.append(await process.wait())
        return sorted(set(ends)), len(ends)
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    loop = asyncio.new_event_loop()
    tell(loop.run_until_complete(main()))
    loop.close()


@part
def programs():
    """Children that are no Python inherit the guest, or cannot."""
    async def main():
        for command in (["true"], ["sh", "-c", "echo $0 $-"], ["sh", "-c", "kill -9 $$"],
                        ["sh", "-c", "ulimit -n 4; exec ls -d /"], ["env", "-i", "true"]):
            run = await asyncio.create_subprocess_exec(*command, stdout=-1, stderr=-1)
            tell(command[-1], *await run.communicate(), run.returncode)
        run = await asyncio.create_subprocess_exec("sleep", "60")
        waits = await begun(run.wait())
        waits.cancel()
        run.kill()
        tell(await end_of(waits), await run.wait())
    asyncio.run(main())


@part
def again():
    """exec() of itself: what was kept must not be in the way."""
    async def main():
        tell(await cancelled())
        await asyncio.sleep(0.02)
        if len(sys.argv) < 3:
            os.execv(sys.executable, [sys.executable, __file__, "again", "again"])
    asyncio.run(main())


# --- a poor place to be in

def limited(limit, value):
    resource.setrlimit(limit, (value, value))
    return asyncio.run(cancelled())


@part
def no_files():
    """Few descriptors, none to be had, all closed."""
    tell(child(lambda: limited(resource.RLIMIT_NOFILE, 12)))

    async def all_taken():
        held = []
        try:
            while True:
                held.append(os.dup(2))
        except OSError as error:
            good = error.errno == errno.EMFILE
        return await cancelled() if good else 0

    def few():
        resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))
        return asyncio.run(all_taken())
    tell(child(few))

    async def closed():
        await cancelled()
        await asyncio.sleep(0.02)
        for number in range(200, 1024):
            try:
                os.close(number)
            except OSError:
                pass
        mine = os.open("/", os.O_RDONLY)
        for number in range(896, 912):
            os.dup2(mine, number)
        count = await cancelled()
        await asyncio.sleep(0.02)
        return count if all(os.path.sameopenfile(mine, n) for n in range(896, 912)) else 0
    tell(child(lambda: asyncio.run(closed())))

    def none_standard():
        for number in (0, 1, 2):
            os.close(number)
        return asyncio.run(cancelled())
    tell(child(none_standard))


@part
def no_memory():
    for more in (3, 6, 9, 12, 18, 24):
        def tight():
            resource.setrlimit(resource.RLIMIT_DATA, (more << 20,) * 2)
            try:
                return asyncio.run(cancelled())
            except MemoryError:
                return 20
        tell(more, child(tight))


@part
def no_large_files():
    def none():
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        return limited(resource.RLIMIT_FSIZE, 0)
    tell(child(none))


@part
def another_user():
    if os.geteuid():
        return tell("not root")

    async def main():
        before = await cancelled()
        await asyncio.sleep(0.02)
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        return before + await cancelled(), os.getresuid(), os.getresgid()
    tell(asyncio.run(main()))


@part
def signals():
    """They are the program's, and meet its main thread."""
    met = []
    signal.signal(signal.SIGALRM, lambda *_: met.append(threading.current_thread().name))
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    tell([asyncio.run(cancelled()) for _ in range(20)])
    signal.setitimer(signal.ITIMER_REAL, 0)
    tell(set(met))
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    os.kill(os.getpid(), signal.SIGUSR1)
    tell(int(signal.sigwait({signal.SIGUSR1})))


@part
def many_threads():
    told = []
    threads = [threading.Thread(target=lambda: told.append(asyncio.run(cancelled())))
               for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tell(told, threading.active_count())


@part
def python_tasks():
    """As nest_asyncio does: tasks and futures that are written in Python."""
    for name in ("current_task", "_enter_task", "_leave_task", "_register_task", "_unregister_task"):
        written_in_python = getattr(asyncio.tasks, "_py_" + name.lstrip("_"), None)
        if written_in_python:
            setattr(asyncio.tasks, name, written_in_python)
    asyncio.current_task = asyncio.tasks.current_task
    asyncio.Task = asyncio.tasks.Task = asyncio.tasks._CTask = asyncio.tasks._PyTask
    asyncio.Future = asyncio.futures.Future = asyncio.futures._CFuture = asyncio.futures._PyFuture
    tell(asyncio.run(cancelled()))


@part
def leaves():
    """It ends by itself while a thread still runs a loop."""
    threading.Thread(target=lambda: asyncio.run(for_ever()), daemon=True).start()
    time.sleep(0.05)


if __name__ == "__main__":
    PARTS[sys.argv[1]]()
    tell("over")
