"""grows.py - makes tasks, so that asyncio's register of them is rebuilt again and again."""
import asyncio


async def sleeps():
    await asyncio.sleep(100000)


async def main():
    tasks = [asyncio.create_task(sleeps()) for _ in range(3000)]
    await asyncio.gather(*tasks)


asyncio.run(main())
