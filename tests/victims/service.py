"""service.py - a real web service, by aiohttp or by FastAPI on uvicorn.

    service.py --aiohttp|--fastapi

Says `null`, then `ready`, then its port. GET /busy takes a few milliseconds and
some tasks; /hold never answers; /truth tells of all tasks. In the background
stands a small tree whose names begin with `stable`.
"""
import asyncio
import random
import socket
import sys

import truth

KEEP = []


async def sleeps():
    await asyncio.sleep(truth.LONG)


async def tree():
    loop = asyncio.get_running_loop()
    await asyncio.gather(*[loop.create_task(sleeps(), name="stable %d" % n) for n in range(5)])


async def part():
    await asyncio.sleep(random.uniform(0.001, 0.01))


async def work():
    await asyncio.gather(part(), part())
    await asyncio.wait_for(part(), 10)
    return "done"


async def hold():
    await asyncio.Event().wait()


def tasks():
    """Every task as it stands; of the one that asks and who waits for it, no more than the id."""
    told = []
    current = asyncio.current_task()
    for task in asyncio.all_tasks():
        mine = current in (task, task._fut_waiter)
        told.append({"id": hex(id(task)), "name": task.get_name(), "asks": mine,
                     "stack": [] if mine else truth.suspended_stack(task.get_coro())})
    return {"tasks": told}


def begin():
    loop = asyncio.get_running_loop()
    KEEP.append(loop.create_task(tree(), name="stable tree"))
    truth.obey(lambda reply: loop.call_soon_threadsafe(reply))
    truth.say("null\nready\n%d" % listener.getsockname()[1])


def run_aiohttp():
    from aiohttp import web

    async def started(app):
        begin()

    async def get_work(request):
        return web.Response(text=await work())

    async def get_hold(request):
        await hold()

    async def get_truth(request):
        return web.json_response(tasks())

    app = web.Application()
    app.on_startup.append(started)
    app.router.add_get("/busy", get_work)
    app.router.add_get("/hold", get_hold)
    app.router.add_get("/truth", get_truth)
    web.run_app(app, sock=listener, print=None)


def run_fastapi():
    import contextlib

    import fastapi
    import uvicorn

    @contextlib.asynccontextmanager
    async def lifespan(app):
        begin()
        yield

    app = fastapi.FastAPI(lifespan=lifespan)

    @app.get("/busy")
    async def get_work():
        return await work()

    @app.get("/hold")
    async def get_hold():
        await hold()

    @app.get("/truth")
    async def get_truth():
        return tasks()

    uvicorn.Server(uvicorn.Config(app, log_level="error")).run(sockets=[listener])


listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen(100)
{"--aiohttp": run_aiohttp, "--fastapi": run_fastapi}[sys.argv[1]]()
