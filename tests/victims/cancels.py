"""cancels.py - plays scenarios of cancellations, and tells before each look what the truth is.

    cancels.py [--uvloop | --trio | --anyio] [--recorder] [--only NAME,NAME…] [--list]

One line of JSON on stdout for each look (see asked.Scene.truth); a line on stdin lets it go on.
"""
import importlib
import logging
import os
import sys
import warnings

import asked

SCENARIOS = {
    "--trio": ["cancels_trio", "cancels_trio_scopes", "cancels_trio_more"],
    "--anyio": ["cancels_anyio", "cancels_anyio_more"],
    None: ["cancels_ends", "cancels_groups", "cancels_limits", "cancels_mixed", "cancels_others",
           "cancels_tasks", "cancels_traps"]}


def policy_of(uvloop):
    class Loop(uvloop.Loop):
        async def shutdown_default_executor(self, *unused):
            """Of asyncio.run() since 3.9; uvloop 0.14 has none, so that every run would fail."""

    class Policy(uvloop.EventLoopPolicy):
        def new_event_loop(self):
            return Loop()

    return Policy() if uvloop.__version__.startswith("0.14") else uvloop.EventLoopPolicy()


def main(options):
    levels = next((option for option in options if option in SCENARIOS), None)
    for name in SCENARIOS[levels]:
        if levels == "--anyio" and not hasattr(importlib.import_module("anyio"), "Event"):
            name = "cancels_anyio_2"  # other calls, other ways to await them
        importlib.import_module(name)
    scene = importlib.import_module("levels").LevelScene if levels else asked.Scene
    only = [word.split(",") for word in options if not word.startswith("--")]
    chosen = [f for f in asked.SCENARIOS if asked.played_here(f, sum(only, []))]
    if "--list" in options:
        print("\n".join(function.__name__ for function in chosen))
        return
    if asked.RECORDER:
        name = "recorder" if not levels else "recorder_trio" \
            if "--trio" in options or "--on-trio" in options else "recorder_anyio"
        importlib.import_module(name).install()
    if asked.UVLOOP:
        import asyncio
        import uvloop
        warnings.simplefilter("ignore", DeprecationWarning)  # policies, from 3.14 on
        asyncio.set_event_loop_policy(policy_of(uvloop))
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # of failures nobody asks about
    asked.say('{"pid": %d, "scenarios": %d}' % (os.getpid(), len(chosen)))
    asked.say("ready")
    if "--wait" in options:  # until somebody watches
        asked.answer()
    for function in chosen:
        asked.watch(200)
        asked.play(function, scene)
    asked.say("over")
    asked.answer()


if __name__ == "__main__":
    main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(0)  # nothing is left to be told of at the end
