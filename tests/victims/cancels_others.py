"""cancels_others.py - deadlines and ends of other libraries, where they are: async_timeout,
aiohttp, uvicorn.
"""
import asyncio
import os
import signal
import socket

from asked import LONG, Either, callback, runner, scenario, through

try:
    import async_timeout
except ImportError:
    async_timeout = None
try:
    import aiohttp
    import aiohttp.web
    AIOHTTP = tuple(map(int, aiohttp.__version__.split(".")[:2]))
except ImportError:
    aiohttp, AIOHTTP = None, (0, 0)

try:
    import uvicorn
except ImportError:
    uvicorn = None


def where(there):
    return scenario if there else lambda function: function


EXPIRES = "Timeout._on_timeout"
if hasattr(getattr(async_timeout, "timeout", None), "_cancel_task"):
    EXPIRES = "timeout._cancel_task"


def of_async_timeout(s, target, at, limit, delay, label=None, elapsed=None):
    name = "async_timeout|" + EXPIRES
    s.asked(target, at, by=callback(name), why="timeout", stack=name + " < loop", ends="absorbed",
            scope=through("timeout", limit, delay, known=False, elapsed=elapsed), label=label)


@where(async_timeout)
def async_timeout_caught(s):
    """The oldest version has no uncancel(), the next does not call it: absorbed all the same."""
    async def worker():
        try:
            async with async_timeout.timeout(0.03) as limit:
                s.called("limit", limit)
                await asyncio.sleep(LONG)  # at: nap
        except asyncio.TimeoutError:
            begun.set()
            await gate.wait()

    async def main():
        nonlocal begun, gate
        await s.start()
        begun, gate = asyncio.Event(), asyncio.Event()
        task = s.task(worker(), "worker")
        await begun.wait()
        of_async_timeout(s, "worker", "sleep < worker:nap", "limit", 0.03)
        await s.look()
        gate.set()
        await task

    begun = gate = None
    return main


@where(async_timeout)
def async_timeouts_nested(s):
    async def worker(name, outer, inner):
        try:
            async with async_timeout.timeout(outer) as limit:
                s.called("outer", limit)
                async with async_timeout.timeout(inner) as limit:
                    s.called("inner", limit)
                    await asyncio.sleep(LONG)  # at: nap
        except asyncio.TimeoutError:
            pass

    async def main():
        await s.start()
        for fires, outer, inner in (("inner", 10, 0.03), ("outer", 0.04, 10)):
            await s.task(worker(fires, outer, inner), fires + " fires")
            of_async_timeout(s, fires + " fires", "sleep < worker:nap", fires, min(outer, inner))

    return main


@where(async_timeout)
def async_timeout_round_a_task(s):
    async def inner():
        await asyncio.sleep(LONG)  # at: nap

    async def worker():
        try:
            async with async_timeout.timeout(0.03) as limit:
                s.called("limit", limit)
                await s.task(inner(), "inner")  # at: wait
        except asyncio.TimeoutError:
            pass

    async def main():
        await s.start()
        await s.task(worker(), "worker")
        of_async_timeout(s, "worker", "worker:wait", "limit", 0.03)
        name = "async_timeout|" + EXPIRES
        s.asked("inner", "sleep < inner:nap", by=callback(name), why="owner_cancelled",
                scope=through("await"), stack=name + " < loop", cause="worker")

    return main


@where(aiohttp)
def aiohttp_client_timeout(s):
    """A request whose total time passes while the server says nothing."""
    async def silent(reader, writer):
        try:
            await gate.wait()
        finally:
            writer.close()

    async def client(port):
        limit = aiohttp.ClientTimeout(total=0.2)
        async with aiohttp.ClientSession(timeout=limit) as session:
            try:
                async with session.get("http://127.0.0.1:%d/" % port):  # at: get
                    pass
            except asyncio.TimeoutError:
                begun.set()
                await door.wait()

    async def main():
        nonlocal begun, door, gate
        await s.start()
        begun, door, gate = asyncio.Event(), asyncio.Event(), asyncio.Event()
        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        task = s.task(client(server.sockets[0].getsockname()[1]), "client")
        await begun.wait()
        called = "aiohttp.helpers|TimeoutHandle.__call__"
        s.asked("client", "... < client:get", by=callback(called), why="timeout", ends="absorbed",
                scope=through("timeout", None, 0.2, known=False),
                stack="aiohttp.helpers|TimerContext.timeout < %s < loop" % called)
        await s.look()
        door.set()
        await task
        gate.set()
        server.close()
        await server.wait_closed()

    begun = door = gate = None
    return main


@where(aiohttp)
def aiohttp_server_ends(s):
    """run_app() is a runner of its own: SIGTERM ends it, and it stops main and what is left."""
    async def worker():
        await asyncio.sleep(LONG)  # at: nap

    async def starts(app):
        s.i_am("app")
        s.task(worker(), "worker")
        asyncio.get_running_loop().call_later(0.1, os.kill, os.getpid(), signal.SIGTERM)

    def run():
        app = aiohttp.web.Application()
        app.on_startup.append(starts)
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)  # the oldest takes the one that is set
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        given = {"loop": loop} if AIOHTTP >= (3, 8) else {}
        aiohttp.web.run_app(app, sock=sock, print=None, **given)  # at: serve
        asyncio.set_event_loop(None)
        ends = "aiohttp.web|run_app < run:serve < program"
        stops = "aiohttp.web|_cancel_tasks < " + ends
        s.asked("app", "sleep < aiohttp.web|_run_app", by=runner(), why="shutdown",
                scope=through("runner"), stack=ends if AIOHTTP >= (3, 9) else stops)
        s.asked("worker", "sleep < worker:nap", by=runner(), why="shutdown",
                scope=through("runner"), stack=stops)

    return run


@where(uvicorn)
def uvicorn_ends(s):
    """It waits for its requests for so long, and then stops them: the end of a server, like a
    runner's.
    """
    async def app(scope, receive, send):
        s.i_am("request")
        begun.set()
        await asyncio.sleep(LONG)  # at: nap

    async def main():
        nonlocal begun
        await s.start()
        begun = asyncio.Event()
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(
            app, lifespan="off", log_config=None, timeout_graceful_shutdown=0.2, http="h11",
            ws="none", loop="asyncio", proxy_headers=False))
        task = s.task(server.serve(sockets=[sock]), "server")
        while not server.started:
            await asyncio.sleep(0.001)
        _, writer = await asyncio.open_connection(*sock.getsockname())
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await begun.wait()
        server.should_exit = True
        await s.ended(task)
        await s.ended(s.of["request"])
        place = "uvicorn.server|Server.shutdown < uvicorn.server|Server._serve < " \
            "uvicorn.server|Server.serve"
        waits = "uvicorn.server|Server._wait_tasks_to_complete < wait_for < "
        s.asked("server", "... < " + waits + place,
                by=callback("Timeout._on_timeout"), why="timeout", ends="absorbed",
                scope=through("wait_for", None, 0.2), stack="Timeout._on_timeout < loop")
        s.asked("request", "sleep < app:nap < "
                "uvicorn.protocols.http.h11_impl|RequestResponseCycle.run_asgi", by="server",
                why="shutdown", scope=through("runner"), stack=place + " < loop",
                # That the time was up may be told as cause or as failure, or not.
                cause=Either(None, "server"),
                exception=Either(None, ("TimeoutError", "", None), ("TimeoutError", "", "server")),
                message="Task cancelled, timeout graceful shutdown exceeded", ends="returned")
        writer.close()

    begun = None
    return main
