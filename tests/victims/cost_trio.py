"""cost_trio.py - what trio's steps take: does as it is told, one round at a time. See cost.py.

    cost_trio.py KIND

Says "ready", or "no trio". Reads lines, answers each with one line of numbers:

    checkpoint COUNT    µs of processor time for each checkpoint() of a task that is alone
    pingpong COUNT      the same for each value that goes to another task and comes back
    cancel COUNT        the same for each child of a nursery that is cancelled, until it is over
    pid                 its process id, and how many requests to stop there were
"""
import os
import sys
import time

try:
    import trio
except ImportError:
    trio = None

asked = 0


def clock_us():
    return 1e6 * time.thread_time()


async def checkpoint(count):
    began = clock_us()
    for _ in range(count):
        await trio.sleep(0)
    return [(clock_us() - began) / count]


async def echo(to_read, to_write):
    async for value in to_read:
        await to_write.send(value)


async def pingpong(count):
    there, at_echo = trio.open_memory_channel(0)
    at_home, back = trio.open_memory_channel(0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(echo, at_echo, at_home)
        await trio.sleep(0)
        began = clock_us()
        for value in range(count):
            await there.send(value)
            await back.receive()
        ended = clock_us()
        await there.aclose()
    return [(ended - began) / count]


async def cancel(count):
    global asked
    asked += count + 1
    async with trio.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(trio.sleep_forever)
        await trio.sleep(0.01)
        began = clock_us()
        nursery.cancel_scope.cancel()
    return [(clock_us() - began) / count]


async def pid():
    return [os.getpid(), asked]


async def main():
    print("ready", flush=True)
    for line in sys.stdin:
        what, *numbers = line.split()
        print(*await globals()[what](*map(int, numbers)), flush=True)


if __name__ == "__main__":
    if trio:
        trio.run(main)
    else:
        print("no trio", flush=True)
