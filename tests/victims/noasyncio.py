"""noasyncio.py - Python that never heard of asyncio."""
import os
import sys

assert "asyncio" not in sys.modules
os.write(1, b"null\nready\n")
while True:
    line = os.read(0, 100)
    if not line:
        break
    os.write(1, b"pong\n")
