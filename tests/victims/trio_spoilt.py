"""trio_spoilt.py - trio tasks whose objects hold what they never hold.

Each line on stdin spoils another one, undoes what was spoilt before, and is answered by its name and
whether a picture of it can still be whole; `over` after the last. Before that: `null`, `ready`.
"""
import threading

import inside
import trio
import trio_truth

SCENE = trio_truth.Scene()
spawn, here = SCENE.spawn, SCENE.here


async def rest():
    with trio.move_on_after(5000) as scope:
        SCENE.mine(scope)
        here()
        await trio.Event().wait()


async def middle(name):
    async with trio.open_nursery() as nursery:
        for n in range(3):
            spawn(nursery, rest, "%s.%d" % (name, n), "event")
        here()


def ways(run):
    """(name, whether it can be whole, object, attribute, value)"""
    tasks = {task.name: task for task in run.tasks()}
    task, other, parent = tasks["a.1"], tasks["a.2"], tasks["a"]
    nursery, above = parent.child_nurseries[0], parent.parent_nursery
    scope = next(s for s, owner in SCENE.owners.items() if owner is task)
    status = task._cancel_status

    class Name(str):
        pass

    yield "nothing", True, task, "name", task.name
    yield "children that are numbers", None, nursery, "_children", {1, 2, 3}
    yield "children that are no set", None, nursery, "_children", 17
    yield "a nursery below itself", None, task, "_child_nurseries", [above]
    yield "nurseries that are none", None, task, "_child_nurseries", [1, None, "x"]
    yield "nurseries that are no list", False, task, "_child_nurseries", None
    yield "a million nurseries", None, task, "_child_nurseries", [nursery] * 1000000
    yield "a nursery of another task", None, task, "_child_nurseries", [nursery]
    yield "a name that is a number", False, task, "name", 12345
    yield "a name of a class of its own", None, task, "name", Name("mine")
    yield "a long name", True, task, "name", "x" * 3000000
    yield "no coroutine", None, task, "coro", object()
    yield "the coroutine of another", None, task, "coro", other.coro
    yield "a status that is its own parent", None, status, "_parent", status
    yield "a circle of statuses", None, nursery.cancel_scope._cancel_status, "_parent", status
    yield "no status", None, task, "_cancel_status", None
    yield "a status without scope", None, status, "_scope", None
    yield "a deadline that is a text", None, scope, "_deadline", "soon"
    yield "a deadline that is no number", None, scope, "_deadline", float("nan")
    yield "a deadline that has passed for ever", None, scope, "_deadline", -float("inf")
    yield "a deadline of 1e308", None, scope, "_deadline", 1e308
    yield "a cancel that is called 7", None, scope, "_cancel_called", 7
    yield "a shield that is a list", None, scope, "_shield", [1]
    if hasattr(scope, "_cancel_reason"):
        yield "a reason that is none", None, scope, "_cancel_reason", object()
    yield "what is sent is a text", None, task, "_next_send_fn", "x"
    yield "tasks that are no set", False, run.runner, "tasks", 5
    yield "no task at the root", None, run.runner, "init_task", None


async def main():
    run = SCENE.begin("group")
    async with trio.open_nursery() as nursery:
        for name in ("a", "b"):
            spawn(nursery, middle, name, "group", name)
        here()

        def teller():
            try:
                SCENE.settled()
                spoil = ways(run)
            except BaseException:
                inside.give_up()
            undo = []

            def go_on(reply):
                while undo:
                    setattr(*undo.pop())
                try:
                    name, whole, obj, attribute, value = next(spoil)
                except StopIteration:
                    return inside.say("over")
                undo.append((obj, attribute, getattr(obj, attribute)))
                setattr(obj, attribute, value)
                inside.say('["%s", %s]' % (name, {True: "true", False: "false", None: "null"}[whole]))

            inside.obey(go_on)
            inside.tell(None)

        threading.Thread(target=teller, daemon=True).start()


trio.run(main)
