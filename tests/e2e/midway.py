"""midway.py - a picture taken while CPython rebuilds the set that registers the tasks.

    midway.py INTERPRETER

A stop can fall anywhere, also between two instructions of a rebuild, when most
of the tasks are for a moment in no set at all. A debugger makes that moment
last. ctaskctl may say that it cannot answer, or answer in part; it must not
give the few tasks that it finds for all. Just before, it must find them all.
Needs gdb, and an interpreter of 3.8 to 3.13 that kept its local symbols.
"""
import re
import shutil
import subprocess
import sys
import tempfile

import ctaskctl
import interpreters

FAILED, IN_PART = 1, 7
SCRIPT = """
set pagination off
set confirm off
set breakpoint pending on
set auto-load python-scripts off
break set_table_resize if $rsi > 4000
run
python
import json, subprocess
frame = gdb.selected_frame()
so = int(frame.read_register("rdi"))
def look(when):
    used = int(gdb.parse_and_eval("*(long *)%%d" %% (so + 24)))
    done = subprocess.run([%(ctaskctl)r, "pstree", str(gdb.selected_inferior().pid), "--json"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    count = len(json.loads(done.stdout.decode())["tasks"]) if done.stdout else 0
    print(when, used, count, done.returncode, done.stderr)
look("BEFORE")
gdb.execute("disable")
gdb.execute("watch *(long *)%%d" %% (so + 40))
gdb.execute("continue")
gdb.execute("stepi 4000")
look("RESULT")
end
kill
"""


def main(name):
    try:
        interpreter = interpreters.named(name)
    except interpreters.Missing as missing:
        print("skipped: %s" % missing)
        return 77
    if not shutil.which("gdb"):
        print("skipped: no gdb")
        return 77
    with tempfile.NamedTemporaryFile("w", suffix=".gdb") as script:
        script.write(SCRIPT % {"ctaskctl": ctaskctl.path()})
        script.flush()
        done = subprocess.run(["gdb", "-q", "-nx", "-batch", "-x", script.name, "--args"]
                              + interpreter.command("grows.py"), timeout=120,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
    text = done.stdout.decode("utf-8", "replace")
    before = re.search(r"BEFORE (\d+) (\d+) (\d+) (.*)", text)
    result = re.search(r"RESULT (\d+) (\d+) (\d+) (.*)", text)
    if not before or not result:
        print("skipped: gdb does not get there: %s" % text[-500:])
        return 77
    used, count, status = map(int, before.groups()[:3])
    print("the set holds %d tasks; ctaskctl: status %d, %d tasks %s" % (
        used, status, count, before.group(4)))
    bad = status != 0 or count != used
    used, count, status = map(int, result.groups()[:3])
    print("the set holds %d tasks, its table fewer at this moment; ctaskctl: status %d, %d tasks %s" % (
        used, status, count, result.group(4)))
    return 1 if bad or status not in (FAILED, IN_PART) or count >= used else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: midway.py INTERPRETER")
    sys.exit(main(sys.argv[1]))
