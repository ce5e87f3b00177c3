"""patient.py - cancels as often as it is told, while probes are put on it and taken off.

Says null (it has no truth of its own) and ready, then answers each line on stdin:

    ping         pong
    many COUNT   make and cancel so many tasks, a thousand at a time; then says how many
"""
import asyncio
import sys

AT_ONCE = 1000


async def patient():
    await asyncio.sleep(100000)


async def many(count):
    loop = asyncio.get_running_loop()
    ended = 0
    for begun in range(0, count, AT_ONCE):
        tasks = [loop.create_task(patient()) for _ in range(min(AT_ONCE, count - begun))]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        ended += sum(task.cancelled() for task in tasks)
    return ended


async def main():
    print("null\nready", flush=True)
    for line in sys.stdin:
        word, *numbers = line.split()
        print("pong" if word == "ping" else await many(int(numbers[0])), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
