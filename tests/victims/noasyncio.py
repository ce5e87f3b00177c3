"""noasyncio.py [trio|python] - Python that never heard of asyncio; or of trio only; or whose tasks are Python all through.
"""
import os
import sys


def serve():
    while True:
        line = os.read(0, 100)
        if not line:
            return
        os.write(1, b"pong\n")


async def main():
    os.write(1, b"null\nready\n")
    serve()


if sys.argv[1:] == ["trio"]:
    import trio
    assert "asyncio" not in sys.modules
    trio.run(main)
elif sys.argv[1:] == ["python"]:
    sys.modules["_asyncio"] = None
    import asyncio
    asyncio.run(main())
else:
    assert "asyncio" not in sys.modules
    os.write(1, b"null\nready\n")
    serve()
