#!/usr/bin/env python3
"""service.py - a small order service to look at: ctaskctl pstree <pid>.

Everything in it is what one meets in real services: connections that wait for
a client, a pool of workers on a queue, a lock that one task holds too long, a
downstream that is slower than its timeout, an order of which one part fails,
a flusher asleep, and a task that swallowed a request to stop. Its traffic is its own: clients and downstream
run in the same process, over sockets of the loopback interface.

    python3 examples/service.py [--connections N] [--ready-fd FD] [--seconds S] [--traffic]

"ready" is written to FD (default: stdout) once all tasks stand where they
will; with --traffic quotes and orders go on coming from then on. It ends on SIGTERM, SIGINT, or after
S seconds. Python 3.8 or later.
"""

import argparse
import asyncio
import contextlib
import itertools
import os
import signal


class Inventory:
    """Stock behind one lock; a slow audit makes the others queue for it."""

    def __init__(self):
        self.lock = asyncio.Lock()
        self.held = asyncio.Event()
        self.stock = {}

    async def audit(self):
        async with self.lock:
            self.held.set()
            await asyncio.sleep(3600)

    async def reserve(self, item):
        async with self.lock:
            self.stock[item] = self.stock.get(item, 0) - 1


class Service:
    def __init__(self):
        self.inventory = Inventory()
        self.orders = asyncio.Queue(maxsize=100)
        self.asked_to_stop = asyncio.Event()
        self.connected = 0

    # --- connections: one task for each, all of them alike

    async def handle_client(self, reader, writer):
        self.connected += 1
        try:
            while True:
                line = await reader.readline()
                if not line:
                    break
                await self.orders.put(line)
        finally:
            self.connected -= 1
            writer.close()

    # --- background work

    async def worker(self):
        while True:
            order = await self.orders.get()
            await self.process(order)

    async def process(self, order):
        await asyncio.sleep(0)
        del order

    async def flush_loop(self):
        while True:
            await asyncio.sleep(30)

    async def checkout(self, item):
        await self.inventory.reserve(item)

    # --- a downstream that never answers

    async def downstream(self, reader, writer):
        await reader.read()
        writer.close()

    async def ask_downstream(self, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            return await reader.readline()
        finally:
            writer.close()

    async def send_report(self, port):
        return await asyncio.wait_for(self.ask_downstream(port), timeout=600)

    # --- a deadline that is shorter than the work

    async def quote(self, port):
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self.ask_downstream(port), timeout=0.1)

    # --- an order of three parts, one of which fails

    async def charge(self):
        await asyncio.sleep(0.01)
        raise ConnectionError("payment gateway is down")

    async def send_mail(self):
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.02)  # takes back what it has written

    async def place_order(self):
        with contextlib.suppress(Exception):
            await run_together([("charge", self.charge()), ("mail", self.send_mail())])

    async def trade(self, port):
        for number in itertools.count(1):
            await named(self.quote(port), "quote-%d" % number)
            await named(self.place_order(), "order-%d" % number)
            await asyncio.sleep(1)

    # --- the bug: it takes the request to stop for any other failure

    async def poll_prices(self):
        while True:
            try:
                await asyncio.sleep(1800)
            except BaseException:
                self.asked_to_stop.set()


def named(coroutine, name):
    return asyncio.get_running_loop().create_task(coroutine, name=name)


async def run_together(jobs):
    """All of (name, coroutine), in a TaskGroup where Python has one."""
    if hasattr(asyncio, "TaskGroup"):
        async with asyncio.TaskGroup() as group:
            for name, job in jobs:
                group.create_task(job, name=name)
    else:
        await asyncio.gather(*[named(job, name) for name, job in jobs])


async def settle():
    """Let every task reach the place where it waits."""
    for _ in range(50):
        await asyncio.sleep(0)


async def serve(connections, ready_fd, seconds, traffic):
    service = Service()
    server = await asyncio.start_server(service.handle_client, "127.0.0.1", 0, backlog=1024)
    slow = await asyncio.start_server(service.downstream, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    slow_port = slow.sockets[0].getsockname()[1]

    jobs = [("worker-%d" % i, service.worker()) for i in range(4)]
    jobs += [("flusher", service.flush_loop()), ("report", service.send_report(slow_port))]
    background = named(run_together(jobs), "background")
    audit = named(service.inventory.audit(), "audit")
    await service.inventory.held.wait()
    buyers = named(
        run_together([("checkout-%d" % i, service.checkout("book")) for i in range(3)]), "checkouts"
    )
    prices = named(service.poll_prices(), "prices")
    await settle()
    prices.cancel()
    await service.asked_to_stop.wait()

    clients = []
    for _ in range(connections):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"order\n")
        clients.append(writer)
    while service.connected < connections or not service.orders.empty():
        await asyncio.sleep(0.01)
    await settle()

    for _ in range(3):
        await named(service.quote(slow_port), "quote")
    await named(service.place_order(), "order")
    await settle()

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    os.write(ready_fd, b"ready\n")
    trading = named(service.trade(slow_port), "trade") if traffic else None
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)

    # "prices" would swallow any request to stop, so do not wait for the tasks.
    del background, audit, buyers, trading
    os._exit(0)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--connections", type=int, default=300)
    parser.add_argument("--ready-fd", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=None, help="end by itself after S seconds")
    parser.add_argument("--traffic", action="store_true", help="go on with quotes and orders")
    options = parser.parse_args()
    asyncio.run(serve(options.connections, options.ready_fd, options.seconds, options.traffic))


if __name__ == "__main__":
    main()
