"""sleepers.py N - a tree of N sleeping tasks: groups (gathers before 3.11) of ten, nested.

Stands on its own: nothing but asyncio, so that others' tools can look at it too.
Says `ready`, and ends when stdin does.
"""
import asyncio
import os
import sys
import threading


async def node(name, count):
    """Waits for what is below it: count tasks, itself among them."""
    loop = asyncio.get_running_loop()
    below = count - 1
    if not below:
        await asyncio.sleep(100000)
    shares = [below // 10 + (n < below % 10) for n in range(10)]
    parts = [("%s.%d" % (name, n), share) for n, share in enumerate(shares) if share]
    if hasattr(asyncio, "TaskGroup"):
        async with asyncio.TaskGroup() as group:
            for inner, share in parts:
                group.create_task(node(inner, share), name=inner)
    else:
        await asyncio.gather(*[
            loop.create_task(node(inner, share), name=inner) for inner, share in parts])


async def main(count):
    loop = asyncio.get_running_loop()

    def look():
        if len(asyncio.all_tasks()) < count or loop._ready:
            loop.call_later(0.005, look)
        else:
            os.write(1, b"ready\n")

    asyncio.current_task().set_name("n")
    loop.call_soon(look)
    await node("n", count)


def listen():
    while os.read(0, 100):
        pass
    os._exit(0)


threading.Thread(target=listen, daemon=True).start()
asyncio.run(main(int(sys.argv[1])))
