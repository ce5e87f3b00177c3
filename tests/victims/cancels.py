"""cancels.py - plays scenarios of cancellations, and tells before each look what the truth is.

    cancels.py [--uvloop] [--recorder] [--only NAME,NAME…] [--list]

One line of JSON on stdout for each look (see asked.Scene.truth); a line on stdin lets it go on.
"""
import asyncio
import logging
import os
import sys
import warnings

import asked
import cancels_ends  # noqa: F401, scenarios
import cancels_groups  # noqa: F401
import cancels_limits  # noqa: F401
import cancels_mixed  # noqa: F401
import cancels_others  # noqa: F401
import cancels_tasks  # noqa: F401
import cancels_traps  # noqa: F401


def policy_of(uvloop):
    class Loop(uvloop.Loop):
        async def shutdown_default_executor(self, *unused):
            """Of asyncio.run() since 3.9; uvloop 0.14 has none, so that every run would fail."""

    class Policy(uvloop.EventLoopPolicy):
        def new_event_loop(self):
            return Loop()

    return Policy() if uvloop.__version__.startswith("0.14") else uvloop.EventLoopPolicy()


def main(options):
    only = [word.split(",") for word in options if not word.startswith("--")]
    chosen = [f for f in asked.SCENARIOS if asked.played_here(f, sum(only, []))]
    if "--list" in options:
        print("\n".join(function.__name__ for function in chosen))
        return
    if asked.RECORDER:
        import recorder
        recorder.install()
    if asked.UVLOOP:
        import uvloop
        warnings.simplefilter("ignore", DeprecationWarning)  # policies, from 3.14 on
        asyncio.set_event_loop_policy(policy_of(uvloop))
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # of failures nobody asks about
    asked.say('{"pid": %d, "scenarios": %d}' % (os.getpid(), len(chosen)))
    asked.say("ready")
    if "--wait" in options:  # until somebody watches
        asked.answer()
    for function in chosen:
        asked.watch(30)
        asked.play(function)
    asked.say("over")
    asked.answer()


if __name__ == "__main__":
    main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(0)  # nothing is left to be told of at the end
