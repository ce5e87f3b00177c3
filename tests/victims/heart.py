"""heart.py [forks] - a loop that wakes every few milliseconds and notes how late it was.

Words on stdin, each answered with a line of JSON: `ping`; `worst`, the lags in milliseconds since
the last time; `fork`, which starts a child by os.fork() that has a loop of its own and says its pid,
while warnings are errors; `close`, which closes all files but 0 to 2 and says what the next one is called.
Stands on its own.
"""
import asyncio
import json
import os
import sys
import threading
import warnings

BEAT_S = 0.002

lags = []


async def beat():
    loop = asyncio.get_running_loop()
    while True:
        before = loop.time()
        await asyncio.sleep(BEAT_S)
        lags.append((loop.time() - before - BEAT_S) * 1000)


async def idle():
    await asyncio.sleep(100000)


def say(**what):
    os.write(1, json.dumps(what).encode() + b"\n")


def worst():
    seen = sorted(lags)
    del lags[:]
    if not seen:
        return say(count=0)
    say(count=len(seen), median=seen[len(seen) // 2], p99=seen[len(seen) * 99 // 100],
        most=seen[-1])


def child(reader, writer):
    os.close(writer)

    async def life():
        task = asyncio.get_running_loop().create_task(idle(), name="grown")
        await asyncio.sleep(0)
        os.write(1, json.dumps({"child": os.getpid()}).encode() + b"\n")
        await task

    # The parent's end tells of its death.
    threading.Thread(target=lambda: (os.read(reader, 1), os._exit(0)), daemon=True).start()
    asyncio.run(life())


def fork(loop, reader, writer):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            pid = os.fork()
        except DeprecationWarning as warning:
            return say(warning=str(warning))
    if pid == 0:
        try:
            asyncio.events._set_running_loop(None)
            child(reader, writer)
        finally:
            os._exit(1)


async def main():
    loop = asyncio.get_running_loop()
    loop.create_task(beat(), name="beat")
    for number in range(5):
        loop.create_task(idle(), name="idle-%d" % number)
    ended = loop.create_future()
    reader, writer = os.pipe()

    def listen():
        words = os.read(0, 4096).decode().split()
        if not words:
            ended.set_result(None)
            loop.remove_reader(0)
        for word in words:
            if word == "ping":
                say(pong=True)
            elif word == "worst":
                worst()
            elif word == "fork":
                fork(loop, reader, writer)
            elif word == "task":
                loop.create_task(idle(), name="another")
                say(task=True)
            elif word == "close":
                os.closerange(200, 20000)
                file = os.open("/dev/null", os.O_RDONLY)
                say(next=file)
                os.close(file)

    loop.add_reader(0, listen)
    say(ready=os.getpid())
    await ended


asyncio.run(main())
