"""victim.py - a small process that rests, with one of each: what the seeds of fuzz_walk are recorded of."""
import asyncio
import sys
import threading

LONG = 1000000
KEEP = []


class Named(asyncio.Task):
    pass


async def sleeps():
    await asyncio.sleep(LONG)


async def agen():
    await asyncio.sleep(LONG)
    yield 1


async def iterates():
    async for _ in agen():
        pass


async def gathers():
    await asyncio.gather(sleeps(), sleeps())


async def waits_for(one):
    await asyncio.wait_for(one.wait(), LONG)


async def waits():
    await asyncio.wait([asyncio.ensure_future(sleeps())], timeout=LONG)


async def shields():
    await asyncio.shield(asyncio.ensure_future(sleeps()))


async def completes():
    for one in asyncio.as_completed([sleeps(), sleeps()]):
        await one


async def groups():
    async with asyncio.TaskGroup() as group:
        group.create_task(sleeps(), name="child \u00e9\u20ac\U0001f600")
        await asyncio.sleep(LONG)


async def awaits(task):
    await task


async def deep(n):
    await (deep(n - 1) if n else sleeps())


async def gets(queue):
    await queue.get()


async def locks(lock):
    async with lock:
        await asyncio.sleep(LONG)


async def executor(loop):
    await loop.run_in_executor(None, sys.stdin.readline)


async def main():
    loop = asyncio.get_running_loop()
    lock, queue, event = asyncio.Lock(), asyncio.Queue(), asyncio.Event()
    start = loop.create_task
    first = start(sleeps(), name="first")
    for coro in (iterates(), gathers(), waits_for(event), waits(), shields(), completes(), deep(5),
                 awaits(first), awaits(first), gets(queue), locks(lock), locks(lock), executor(loop)):
        KEEP.append(start(coro))
    if sys.version_info >= (3, 11):
        KEEP.append(start(groups()))
    KEEP.append(asyncio.tasks._PyTask(awaits(asyncio.tasks._PyTask(sleeps(), loop=loop)), loop=loop))
    KEEP.append(Named(sleeps(), loop=loop))
    KEEP.append(loop.create_future())
    KEEP.append(start(awaits(KEEP[-1])))
    await asyncio.sleep(0.1)
    KEEP[0].cancel()
    threading.Thread(target=asyncio.run, args=(blocks(),)).start()
    await asyncio.sleep(LONG)


async def blocks():
    print("ready", flush=True)
    threading.Event().wait()


asyncio.run(main())
