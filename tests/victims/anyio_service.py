"""anyio_service.py - a web service as people run it: Starlette under uvicorn (anyio on asyncio) or under
hypercorn (on trio).

    anyio_service.py --uvicorn|--hypercorn

Says `null`, `ready`, and its port. GET /hold stays in a task group under a deadline, /thread in a
thread, /stream sends for ever; /busy takes a few milliseconds and some tasks.
"""
import random
import socket
import sys
import threading

import anyio
import inside
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route


async def held_child():
    await anyio.sleep(inside.LONG)


async def hold(request):
    with anyio.move_on_after(600):
        async with anyio.create_task_group() as group:
            group.start_soon(held_child, name="held child")
            await anyio.Event().wait()


def thread(request):
    threading.Event().wait()


async def stream(request):
    async def parts():
        yield "begin"
        await anyio.sleep(inside.LONG)

    return StreamingResponse(parts())


async def part():
    await anyio.sleep(random.uniform(0.001, 0.01))


async def busy(request):
    async with anyio.create_task_group() as group:
        group.start_soon(part)
        group.start_soon(part)
    return PlainTextResponse("done")


app = Starlette(routes=[Route("/hold", hold), Route("/thread", thread), Route("/stream", stream),
                        Route("/busy", busy)])


def say_ready(port):
    inside.obey(lambda reply: reply())
    inside.say("null\nready\n%d" % port)


def run_uvicorn():
    import uvicorn

    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(100)
    say_ready(listener.getsockname()[1])
    uvicorn.Server(uvicorn.Config(app, log_level="error")).run(sockets=[listener])


def run_hypercorn():
    """What `hypercorn -k trio` runs in each of its processes."""
    import hypercorn.config
    import hypercorn.trio
    import trio

    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    listener.close()
    config = hypercorn.config.Config()
    config.bind = ["127.0.0.1:%d" % port]
    say_ready(port)
    trio.run(hypercorn.trio.serve, app, config)


{"--uvicorn": run_uvicorn, "--hypercorn": run_hypercorn}[sys.argv[1]]()
