"""cost.py - what a task and a cancel() take: does as it is told, one round at a time.

    cost.py KIND        bare, agent, debug: as the environment makes it; traced: with TracedTask

Reads lines, answers each with one line of numbers. It needs no /proc:

    task COUNT DEPTH    µs of processor time for each task that is made, run and joined
    cancel COUNT DEPTH  the same for each cancel() of tasks that wait three coroutines deep, and
                        for each from there until the task has ended
    live COUNT          make so many, which live until
    die                 they are cancelled, too
    many COUNT          make and cancel so many, a thousand at a time
    pace RATE SECONDS   make and cancel so many a second, if that can be done: how many, how long
    idle SECONDS        do nothing
    pid                 its process id, and how many cancel() calls there were

DEPTH: so many functions deep in its task is whoever makes a task or calls cancel().
"""
import asyncio
import os
import sys
import time
import traceback

AT_ONCE = 1000  # tasks that live at the same time, of many
living = []
asked = 0


class TracedTask(asyncio.Task):
    """As much of aiomonitor's TracedTask as costs something: where tasks are made and cancelled from."""

    terminated = {}

    def __init__(self, coro, **options):
        self.made_from = traceback.extract_stack(sys._getframe())
        self.made_at = time.perf_counter()
        self.made_by = None
        super().__init__(coro, **options)
        try:
            self.made_by = asyncio.current_task()
        except RuntimeError:
            pass
        self.trace_id = "%x" % abs(hash((id(self), self.get_name())))
        self.add_done_callback(self.note_end)

    def note_end(self, _):
        self.terminated[self.trace_id] = time.perf_counter()
        while len(self.terminated) > 1000:
            del self.terminated[next(iter(self.terminated))]

    def cancel(self, *message):
        try:
            canceller = asyncio.current_task()
        except RuntimeError:
            canceller = None
        if isinstance(canceller, TracedTask):
            self.cancelled_from = traceback.extract_stack(sys._getframe())
            self.cancelled_by = canceller.trace_id
        return super().cancel(*message)


def at_depth(depth, function, *arguments):
    return at_depth(depth - 1, function, *arguments) if depth > 1 else function(*arguments)


def clock_us():
    """Of this thread, as the processor ran it: what else the machine does is not in it."""
    return 1e6 * time.thread_time()


async def nothing():
    pass


async def waits(future):
    await future


async def waits_deeper(future):
    await waits(future)


async def waits_deepest(future):
    await waits_deeper(future)


async def task(count, depth):
    loop = asyncio.get_running_loop()
    began = clock_us()
    for _ in range(count):
        await at_depth(depth, loop.create_task, nothing())
    return [(clock_us() - began) / count]


def cancel_all(tasks):
    global asked
    asked += len(tasks)
    for one in tasks:
        one.cancel()


def wait_for_ever(count):
    loop = asyncio.get_running_loop()
    return [loop.create_task(waits_deepest(loop.create_future())) for _ in range(count)]


async def cancel(count, depth):
    tasks = wait_for_ever(count)
    await asyncio.sleep(0)
    began = clock_us()
    at_depth(depth, cancel_all, tasks)
    between = clock_us()
    await asyncio.wait(tasks)
    ended = clock_us()
    assert all(one.cancelled() for one in tasks)
    return [(between - began) / count, (ended - began) / count]


async def live(count):
    living.extend(wait_for_ever(count))
    await asyncio.sleep(0)
    return [count]


async def die():
    cancel_all(living)
    await asyncio.wait(living)
    del living[:]
    return [0]


async def many(count):
    for begun in range(0, count, AT_ONCE):
        tasks = wait_for_ever(min(AT_ONCE, count - begun))
        await asyncio.sleep(0)
        cancel_all(tasks)
        await asyncio.wait(tasks)
    return [count]


async def pace(rate, seconds):
    began, done = time.monotonic(), 0
    while time.monotonic() - began < seconds:
        due = int((time.monotonic() - began) * rate) - done
        if due <= 0:
            await asyncio.sleep(0.001)
            continue
        done += (await many(min(due, AT_ONCE)))[0]
    return [done, time.monotonic() - began]


async def idle(seconds):
    await asyncio.sleep(seconds)
    return [seconds]


async def pid():
    return [os.getpid(), asked]


def make_traced(loop, coro, **options):
    return TracedTask(coro, loop=loop, **options)


async def main(kind):
    loop = asyncio.get_running_loop()
    if kind == "traced":
        loop.set_task_factory(make_traced)
    print("ready", flush=True)
    for line in sys.stdin:
        what, *numbers = line.split()
        told = await loop.create_task(globals()[what](*map(int, numbers)))
        print(*told, flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
