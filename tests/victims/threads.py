"""threads.py - loops in several threads, none in the main one; one of them is blocked."""
import asyncio
import os
import threading

import truth

truth.started()
SCENE = truth.Scene()
says, edge, here = SCENE.says, SCENE.edge, SCENE.here
KEEP = []
READ, WRITE = os.pipe()


def block():
    os.read(READ, 1)


async def rest():
    here()
    await asyncio.sleep(truth.LONG)


async def on(one):
    here()
    await one


class Worker:
    def __init__(self, n, blocked):
        self.name = "worker-%d" % n
        self.blocked = blocked
        self.there = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True, name=self.name)
        self.thread.start()

    def spawn(self, coro, name, wait):
        says(self.name + name, wait)
        KEEP.append(self.loop.create_task(coro, name=self.name + name))
        return KEEP[-1]

    def run(self):
        self.loop = asyncio.new_event_loop()
        SCENE.loops.append(self.loop)
        child = self.spawn(rest(), "-child", "sleep")
        main = self.spawn(self.main(child), "", "wait")
        edge(self.name, self.name + "-child", "wait")
        edge(self.name, self.name + "-join", "wait")
        self.loop.run_until_complete(main)

    async def main(self, child):
        join = self.spawn(on(child), "-join", "task")
        edge(self.name + "-join", self.name + "-child", "await")
        if self.blocked:
            self.spawn(self.blocks(), "-blocked", None)
        here()
        self.loop.call_soon(self.there.set)
        await asyncio.wait([child, join])

    async def blocks(self):
        for _ in range(3):
            await asyncio.sleep(0)
        here()
        block()


workers = [Worker(n, blocked=n == 1) for n in range(4)]
try:
    for worker in workers:
        worker.there.wait(60)
    truth.stuck_in(workers[1].thread.ident, block.__code__)
    for worker in workers:
        if not worker.blocked:
            settled = threading.Event()
            worker.loop.call_soon_threadsafe(
                truth.settle, worker.loop, SCENE, settled.set, False
            )
            settled.wait(60)
    truth.obey(lambda reply: workers[0].loop.call_soon_threadsafe(reply))
    truth.tell(SCENE.told())
except BaseException:
    truth.give_up()
threading.Event().wait()
