"""subinterp.py - a loop in the main interpreter and one in each of two others."""
import asyncio
import json
import os
import sys
import threading

import truth

truth.started()

# Run in each interpreter: a small scene that ends in done(truth).
PLAY = """
import asyncio, truth

def play(name, done, watch):
    scene = truth.Scene()

    async def rest():
        scene.here()
        await asyncio.sleep(truth.LONG)

    async def on(one):
        scene.here()
        await one

    async def main():
        loop = asyncio.get_running_loop()
        scene.loops.append(loop)

        def spawn(coro, suffix, wait):
            scene.says(name + suffix, wait)
            return loop.create_task(coro, name=name + suffix)

        child = spawn(rest(), "-child", "sleep")
        join = spawn(on(child), "-join", "task")
        scene.edge(name + "-join", name + "-child", "await")
        other = spawn(rest(), "-other", "sleep")
        scene.says(name, "gather")
        scene.edge(name, name + "-join", "gather")
        scene.edge(name, name + "-other", "gather")
        scene.here()
        truth.settle(loop, scene, lambda: done(loop, scene.told()), watch)
        await asyncio.gather(join, other)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(loop.create_task(main(), name=name))
"""

SUB = """
import sys
sys.path.insert(0, {here!r})
import json, os
{play}
def done(loop, told):
    data = json.dumps(told).encode() + b"\\n"
    while data:
        data = data[os.write({fd}, data):]
if sys.version_info < (3, 12):
    # asyncio is confused by thread states of equal number in different
    # interpreters: use up some numbers.
    import threading
    for n in range({n} + 1):
        thread = threading.Thread(target=play if n == {n} else int, args=({name!r}, done, False)[:3 * (n == {n})])
        thread.start()
        thread.join()
else:
    play({name!r}, done, False)
"""


def interpreters():
    try:
        import _interpreters  # 3.13
    except ImportError:
        import _xxsubinterpreters as _interpreters
    return _interpreters


def sub(n, name, write):
    try:
        module = interpreters()
        if sys.version_info[:2] in ((3, 9), (3, 10), (3, 11)):
            made = module.create(isolated=False)
        else:
            made = module.create()
        KEEP.append(made)
        here = os.path.dirname(os.path.abspath(__file__))
        code = SUB.format(here=here, play=PLAY, fd=write, n=n, name=name)
        failure = module.run_string(made, code)
        if failure:
            sys.stderr.write("%s: %s\n" % (name, failure))
            os._exit(1)
    except BaseException:
        truth.give_up()


KEEP = []
space = {}
exec(PLAY, space)
parts = []
for n, name in enumerate(("sub-a", "sub-b"), 1):
    read, write = os.pipe()
    threading.Thread(target=sub, args=(n, name, write), daemon=True).start()
    parts.append(json.loads(os.fdopen(read).readline()))


def done(loop, told):
    truth.obey(lambda reply: loop.call_soon_threadsafe(reply))
    truth.tell(truth.merged([told] + parts))


space["play"]("main", done, True)
