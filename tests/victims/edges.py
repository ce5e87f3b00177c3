"""edges.py - programs in which the agent comes to its limits.

    edges.py PART [WORD…]

Each writes a line of JSON when it has done what it does, and goes on until its standard input ends.
"""
import asyncio
import atexit
import json
import os
import resource
import sys
import threading
import time
import warnings

PARTS = {}


def part(function):
    PARTS[function.__name__] = function
    return function


def tell(**facts):
    print(json.dumps(facts), flush=True)


def stay():
    sys.stdin.readline()


async def for_ever():
    await asyncio.get_running_loop().create_future()


async def nothing():
    pass


async def cancel_one():
    task = asyncio.get_running_loop().create_task(for_ever())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])


async def raises(error):
    raise error


@part
def leaving(seconds):
    """Busy in a function for the exit: Python has begun to end."""
    def late():
        tell(leaves=True)
        end = time.monotonic() + float(seconds)
        while time.monotonic() < end:
            sum(range(1000))
    atexit.register(late)
    asyncio.run(cancel_one())


@part
def codes(count):
    """Tasks made by as many functions; then a deadline passes, in code that was not seen before."""
    async def main():
        loop, kept = asyncio.get_running_loop(), []
        for _ in range(int(count)):
            names = {}
            exec("def make(loop, coro): return loop.create_task(coro)", names)
            kept.append(names["make"])
            await kept[-1](loop, nothing())
        try:
            await asyncio.wait_for(for_ever(), 0.01)
        except asyncio.TimeoutError:
            tell(passed=True)
        stay()
    asyncio.run(main())


@part
def scopes(count):
    """As many scopes are cancelled that nobody ever enters; then a group is."""
    import anyio

    async def done(result):
        if result is not None and hasattr(result, "__await__"):
            await result

    async def main():
        kept = [anyio.CancelScope() for _ in range(int(count))]
        for scope in kept:
            await done(scope.cancel())
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep, 1000)
            await anyio.sleep(0.01)
            await done(group.cancel_scope.cancel())
        tell(cancelled=True)
        stay()
    anyio.run(main)


@part
def elsewhere():
    """Another interpreter of the process."""
    import _interpreters
    asyncio.run(nothing())
    inside = _interpreters.create()
    _interpreters.exec(inside, "\n".join((
        "import asyncio",
        "async def main():",
        "    task = asyncio.ensure_future(asyncio.sleep(1000))",
        "    await asyncio.sleep(0)",
        "    task.cancel()",
        "    await asyncio.wait([task])",
        "asyncio.run(main())")))
    tell(cancelled=True)
    stay()


@part
def memory(kilobytes):
    """Little room for addresses."""
    resource.setrlimit(resource.RLIMIT_AS, (int(kilobytes) << 10,) * 2)
    try:
        asyncio.run(cancel_one())
    except MemoryError:
        os._exit(9)
    resource.setrlimit(resource.RLIMIT_AS, (resource.getrlimit(resource.RLIMIT_AS)[1],) * 2)
    tell(cancelled=True)
    stay()


@part
def size():
    asyncio.run(cancel_one())
    tell(cancelled=True)
    stay()


@part
def forks(place):
    """Threads there are after fork() where the socket's name is gone; then, from a callback, once more."""
    warnings.simplefilter("ignore")

    def fork():
        pid = os.fork()
        if not pid:
            os._exit(0)
        count = len(os.listdir("/proc/self/task"))
        os.waitpid(pid, 0)
        return count

    async def serving():
        for _ in range(500):
            if os.listdir(place):
                return
            await asyncio.sleep(0.01)

    async def main():
        loop, threads = asyncio.get_running_loop(), []
        for _ in range(5):
            await loop.create_task(nothing())
            await serving()
            await asyncio.sleep(0.02)
            for name in os.listdir(place):
                os.unlink(os.path.join(place, name))
            threads.append(fork())
        await loop.create_task(nothing())
        await serving()
        await asyncio.sleep(0.02)
        loop.call_later(0.01, fork)
        await asyncio.sleep(0.1)
        tell(threads=threads)
        stay()
    asyncio.run(main())


@part
def errors():
    """What work it is for a group to fail, and what to write out all that its error has to say; and errors of bytes."""
    async def fail(error):
        began = time.thread_time()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(raises(error))
                await for_ever()
        except BaseException:
            return time.thread_time() - began

    def write_out(error):
        began = time.thread_time()
        for value in error.args:
            str(value).encode()
        return time.thread_time() - began

    async def main():
        much, letters = b"x" * 50000000, "\u65e5" * 20000000
        errors = (ValueError("little"), ValueError("of", much), KeyError(letters), ValueError(letters),
                  ValueError(b"bytes"), OSError(b"bytes"), KeyError(b"bytes"),
                  ValueError(*range(5000000)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            all_of_it = sum(map(write_out, errors))
        tell(failing=sum([await fail(error) for error in errors]), writing=all_of_it)
        stay()
    asyncio.run(main())


@part
def groups():
    """A task of trio's with children is cancelled: it ends with a group of Cancelled."""
    import trio

    async def family():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep, 1000)
            nursery.start_soon(trio.sleep, 1000)

    async def main():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(family)
            await trio.sleep(0.01)
            nursery.cancel_scope.cancel()
        tell(cancelled=True)
        stay()
    trio.run(main)


@part
def threads(count):
    """Each has a loop and cancels one task; one after the other."""
    asyncio.run(nothing())
    tell(ready=True)
    stay()
    for _ in range(int(count)):
        thread = threading.Thread(target=lambda: asyncio.run(cancel_one()))
        thread.start()
        thread.join()
    tell(over=True)
    stay()


if __name__ == "__main__":
    PARTS[sys.argv[1]](*sys.argv[2:])
