"""badinput.py - what must not be answered, what must not be harmed.

    badinput.py PART [INTERPRETER]

Each refusal has its own exit status and one line on stderr that says why, and
leaves stdout empty. Whatever is done to ctaskctl, its target runs on, untraced.
"""
import ctypes
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import ctaskctl
import interpreters
from churn import MODES as CHURN
from churn import PASSING, impossible
from difference import differences
from victim import Failed, Victim, process_status

WHOLE, FAILED, USAGE, NO_PROCESS, NOT_PERMITTED, NO_RUNTIME, ENDED, IN_PART = range(8)
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
KILLS = int(os.environ.get("CTASK_KILLS") or 200)
COMMANDS = ("pstree", "ps")


class Checks:
    """Counts what is wrong, and says it."""

    def __init__(self):
        self.bad = 0
        self.done = 0
        self.skipped = []

    def wrong(self, why, text, *args):
        self.bad += 1
        print("%s: %s" % (why, text % args if args else text))

    def refused(self, why, done, status, line):
        """An exit status, one line on stderr, nothing on stdout."""
        self.done += 1
        text = done.stderr.decode("utf-8", "replace")
        if done.returncode not in (status if isinstance(status, tuple) else (status,)):
            self.wrong(why, "exit status %d, not %s: %r", done.returncode, status, text[:300])
        if done.stdout:
            self.wrong(why, "stdout holds %r", done.stdout[:100])
        if text.count("\n") != 1 or not text.endswith("\n"):
            self.wrong(why, "stderr is not one line: %r", text[:500])
        elif not re.search(line, text):
            self.wrong(why, "stderr %r does not match %r", text[:300], line)

    def skip(self, why):
        self.skipped.append(why)
        print("skipped: " + why)

    def end(self, what):
        print("%s: %d checks, %d wrong, %d skipped" % (what, self.done, self.bad, len(self.skipped)))
        return 1 if self.bad else 0 if self.done else 77


# Words --------------------------------------------------------------------------

WORDS = [
    ("no such process", ["4194303"], NO_PROCESS, "4194303"),
    ("no process id", [], USAGE, ""),
    ("text", ["abc"], USAGE, "abc"),
    ("a number and text", ["12ab"], USAGE, "12ab"),
    ("a fraction", ["1.5"], USAGE, "1.5"),
    ("hexadecimal", ["0x10"], USAGE, "0x10"),
    ("zero", ["0"], USAGE, "0"),
    ("minus one", ["-1"], USAGE, "-1"),
    ("very negative", ["-99999999999999999999"], USAGE, "-99999999999999999999"),
    ("minus one behind --", ["--", "-1"], USAGE, "-1"),
    ("past the largest pid", ["4194305"], USAGE, "4194305"),
    ("huge: 2^31", ["2147483648"], USAGE, "2147483648"),
    ("huge: 2^32 + 1", ["4294967297"], USAGE, "4294967297"),
    ("huge: 2^64 + 1", ["18446744073709551617"], USAGE, "18446744073709551617"),
    ("empty", [""], USAGE, ""),
    ("a blank", [" "], USAGE, ""),
    ("a blank before", [" 1"], USAGE, ""),
    ("a plus", ["+1"], USAGE, ""),
    ("a newline", ["1\n"], USAGE, ""),
    ("control characters", ["\x1b[31m\n\a"], USAGE, r"^[^\x1b\a]*$"),
    ("two processes", ["1", "2"], USAGE, "2"),
    ("an unknown option", ["--colour-me", "1"], USAGE,
     r"^ctaskctl ps(tree)?: there is no option '--colour-me': see 'ctaskctl ps(tree)? --help'$"),
    ("an unknown option with a value", ["--colour-me=always", "1"], USAGE, "'--colour-me'"),
    ("an unknown option behind the process", ["1", "--colour-me"], USAGE, "'--colour-me'"),
    ("an unknown letter", ["-lx", "1"], USAGE, "no option '-x'"),
    ("an unknown letter that is not ASCII", ["-\u00e9", "1"], USAGE, "no option '-"),
    ("an option of control characters", ["--\x1b[31m\n", "1"], USAGE, r"^[^\x1b]*$"),
    ("an option that could be two", ["--co", "1"], USAGE, "'--co' could be --co"),
    ("an option that lacks its value", ["--task"], USAGE, "'--task' needs a value"),
    ("a value that is not taken", ["--no-pause=yes", "1"], USAGE, "--no-pause takes no value"),
    ("an option without a name", ["--=yes", "1"], USAGE, "no option '--'"),
    ("an unknown format", ["--format=nothing", "1"], USAGE, "nothing"),
    ("a pause that is text", ["--max-pause=long", "1"], USAGE, "long"),
    ("a negative pause", ["--max-pause=-1", "1"], USAGE, "-1"),
    ("both ways to pause", ["--max-pause=1", "--no-pause", "1"], USAGE, ""),
    ("a core file that is not there", ["--core=/nonexistent/core"], FAILED, "/nonexistent/core"),
    ("a core file that is empty", ["--core=/dev/null"], FAILED, "/dev/null"),
    ("a core file that is a directory", ["--core=/"], FAILED, "/"),
    ("a core file that is a program", ["--core=/bin/true"], FAILED, "/bin/true"),
    ("a core file that is text", ["--core=" + os.path.abspath(__file__)], FAILED, "badinput.py"),
    ("a core file and a process", ["--core=/dev/null", "1"], USAGE, ""),
]


def words(checks, interpreter):
    for command in COMMANDS:
        for why, argv, status, line in WORDS:
            for more in ([], ["--json"]):
                checks.refused("%s, %s %s" % (why, command, " ".join(more)),
                               ctaskctl.run(command, *(more + argv)), status, line)
    checks.refused("no command", ctaskctl.run(), USAGE, "")
    checks.refused("an option before the command", ctaskctl.run("--colour-me", "ps", "1"), USAGE,
                   "^ctaskctl: there is no option '--colour-me': see 'ctaskctl --help'$")
    checks.refused("an unknown command", ctaskctl.run("sleep", "1"), USAGE, "sleep")


# Processes that are refused -----------------------------------------------------


def refused(checks, interpreter):
    def both(why, pid, status, line, prefix=()):
        for command in COMMANDS:
            checks.refused("%s, %s" % (why, command),
                           ctaskctl.run(command, pid, "--json", prefix=prefix), status, line)

    thread = None
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/stat" % pid) as file:
                flags = int(file.read().rsplit(")", 1)[1].split()[6])
        except (OSError, IndexError):
            continue
        if flags & 0x00200000:
            thread = pid
            break
    if thread:
        both("a kernel thread", thread, NO_RUNTIME, "kernel thread")
    else:
        checks.skip("no kernel thread is to be seen here")

    ended = os.fork()
    if not ended:
        os._exit(0)
    os.waitid(os.P_PID, ended, os.WEXITED | os.WNOWAIT)
    both("a zombie", ended, NO_PROCESS, "zombie|ended")
    os.waitpid(ended, 0)
    both("a process that was", ended, NO_PROCESS, str(ended))

    sleep = subprocess.Popen(["sleep", "1000"])
    both("no Python: sleep", sleep.pid, NO_RUNTIME, "Python")
    sleep.kill()
    sleep.wait()
    static = ctaskctl.run("pstree", os.getpid(), "--json")  # this very process: no asyncio in it
    checks.refused("this very test", static, NO_RUNTIME, "asyncio")

    with Victim(interpreter, "noasyncio.py") as victim:
        both("Python without asyncio", victim.pid, NO_RUNTIME, "asyncio")
        if not victim.beats():
            checks.wrong("Python without asyncio", "does not answer any more")
    with Victim(interpreter, "threads.py") as victim:
        other = next(int(t) for t in os.listdir("/proc/%d/task" % victim.pid)
                     if int(t) != victim.pid)
        both("a thread, not a process", other, NO_PROCESS, "thread")

    old = False
    for version, name in ((".".join(v), "".join(v)) for v in (("2", "7"), ("3", "6"), ("3", "7"))):
        found = [p for p in os.listdir(interpreters.PYENV + "/versions")
                 if p.startswith(version + ".")] if os.path.isdir(interpreters.PYENV) else []
        for directory in found:
            python = "%s/versions/%s/bin/python" % (interpreters.PYENV, directory)
            process = subprocess.Popen(
                [python, "-c", "import sys; print(1); sys.stdout.flush(); sys.stdin.read()"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            process.stdout.readline()
            both("Python " + directory, process.pid, NO_RUNTIME, re.escape(version))
            process.communicate()
            old = True
    if not old:
        checks.skip("no Python older than 3.8 in %s" % interpreters.PYENV)

    if os.geteuid() == 0 and shutil.which("setpriv"):
        with tempfile.TemporaryDirectory() as place:
            os.chmod(place, 0o755)
            program = shutil.copy(ctaskctl.path(), place)
            with Victim(interpreter, "threads.py") as victim:
                for command in COMMANDS:
                    done = subprocess.run(NOBODY + [program, command, str(victim.pid), "--json"],
                                          stdin=subprocess.DEVNULL, capture_output=True)
                    checks.refused("another user's process, " + command, done, NOT_PERMITTED,
                                   "(?i)ptrace|root|user")
                if not victim.beats():
                    checks.wrong("another user's process", "does not answer any more")
    else:
        checks.skip("another user's process: needs root and setpriv")


# Processes that end, are traced, are stopped --------------------------------------


def ends(checks, interpreter):
    """The target is killed at a random moment of the capture, and while it is held."""
    seen = {}
    took, caught = None, 0
    for n in range(40):
        with Victim(interpreter, "churn.py", *CHURN["never-sleeps"]) as victim, \
                tempfile.TemporaryFile() as told:
            if took is None:
                start = time.monotonic()
                ctaskctl.run("pstree", victim.pid, "--json")
                took = time.monotonic() - start
            looking = subprocess.Popen([ctaskctl.path(), "pstree", str(victim.pid), "--json"],
                                       stdin=subprocess.DEVNULL, stdout=told,
                                       stderr=subprocess.PIPE)
            if n % 4 < 2:
                time.sleep(random.uniform(0, took))
            else:
                caught += is_held_by(victim, looking)
            os.kill(victim.pid, signal.SIGKILL)
            if n % 2:
                victim.process.wait()  # else it stays a zombie while it is looked at
            _, err = looking.communicate(timeout=60)
            status = looking.returncode
            told.seek(0)
            out = told.read()
        seen[status] = seen.get(status, 0) + 1
        checks.done += 1
        if status not in (WHOLE, NO_PROCESS, ENDED):
            checks.wrong("ends", "exit status %d: %r", status, err[:300])
        elif status == WHOLE and err:
            checks.wrong("ends", "answered, but stderr says %r", err[:300])
        elif status != WHOLE and (out or err.count(b"\n") != 1):
            checks.wrong("ends", "exit status %d, stdout %r, stderr %r", status, out[:100], err[:300])
    print("exit statuses: %s; %d were killed while they were held" % (seen, caught))
    if caught < 5 or not seen.get(ENDED):
        checks.wrong("ends", "too few ended in time to prove anything")


def is_held_by(victim, looking):
    """Wait until one who looks holds the victim, or has ended; whether it holds it."""
    while looking.poll() is None:  # a thread of it is the tracer
        if victim.status("TracerPid") != "0":
            return True
    return False


TRACER = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
pid = int(sys.argv[1])
threads = [int(t) for t in os.listdir("/proc/%d/task" % pid)]
for tid in threads:
    if libc.ptrace(0x4206, tid, None, None):
        sys.exit(os.strerror(ctypes.get_errno()))
print("traced", flush=True)
sys.stdin.read()
"""


def right(checks, why, victim, *options):
    """ctaskctl answers, and rightly."""
    answer = ctaskctl.Answer(victim.pid, *options)
    checks.done += 1
    if answer.status != WHOLE:
        checks.wrong(why, "exit status %d: %s", answer.status, answer.errors)
        return
    busy = PASSING if victim.program == "churn.py" else None
    found = differences(victim.truth, answer.snapshot, None if busy else victim.facts(),
                        answer.before, answer.after, busy)
    bad = impossible(answer.snapshot) if busy else []
    if found or bad:
        checks.wrong(why, "%s %s", found.told(), bad[:3])


def traced(checks, interpreter):
    for program, options, busy in (("threads.py", (), False),
                                   ("churn.py", CHURN["never-sleeps"], True)):
        with Victim(interpreter, program, *options) as victim:
            tracer = subprocess.Popen([sys.executable, "-c", TRACER, str(victim.pid)],
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            if tracer.stdout.readline() != b"traced\n":
                checks.skip("cannot trace here")
                tracer.communicate()
                continue
            if busy:
                done = ctaskctl.run("pstree", victim.pid, "--json")
                checks.refused("busy and traced by another", done, (FAILED, NOT_PERMITTED),
                               "(?i)trac|debug")
            else:
                right(checks, "idle and traced by another", victim)
            if victim.status("TracerPid") != str(tracer.pid):
                checks.wrong("traced", "its tracer has lost it")
            tracer.communicate()
            if not victim.beats():
                checks.wrong("traced", "does not answer any more")


def stop(victim):
    os.kill(victim.pid, signal.SIGSTOP)
    while victim.status("State")[0] != "T":
        pass


def held(checks, interpreter):
    """A process that somebody stopped is answered for, and stays stopped."""
    for program, options in (("rich.py", ()), ("blocked.py", ()),
                             ("churn.py", CHURN["never-sleeps"])):
        with Victim(interpreter, program, *options) as victim:
            stop(victim)
            # Stopped in the very middle of an insertion, a set has no true answer: one that
            # says so is right, but not each time.
            for _ in range(10):
                if ctaskctl.Answer(victim.pid).status != IN_PART:
                    break
                os.kill(victim.pid, signal.SIGCONT)
                time.sleep(0.01)
                stop(victim)
            for _ in range(3):
                right(checks, "stopped %s" % program, victim)
            right(checks, "stopped %s" % program, victim, "--no-pause")
            if victim.status("State")[0] != "T" or victim.status("TracerPid") != "0":
                checks.wrong("stopped", "it does not stay as it was: %s", victim.status("State"))
            os.kill(victim.pid, signal.SIGCONT)
            if not victim.beats():
                checks.wrong("stopped", "does not answer any more")


# ctaskctl dies, or cannot write ---------------------------------------------------


def killed(checks, interpreter):
    """SIGKILL at random moments, and while it holds the target: the kernel must let the target go."""
    with Victim(interpreter, "churn.py", *CHURN["never-sleeps"]) as victim:
        start = time.monotonic()
        ctaskctl.run("pstree", victim.pid, "--json")
        took = time.monotonic() - start
        kills, early, caught = 0, 0, 0
        # However slow the machine: until it was caught often enough, within reason.
        while kills < KILLS or (caught < KILLS // 4 and kills < 5 * KILLS):
            looking = subprocess.Popen([ctaskctl.path(), "pstree", str(victim.pid), "--json"],
                                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL)
            holding = False
            if kills % 2:
                time.sleep(random.uniform(0, took))
            else:
                holding = is_held_by(victim, looking)
            looking.kill()
            ended = looking.wait() == -signal.SIGKILL
            early += ended
            caught += ended and holding
            kills += 1
            checks.done += 1
            end = time.monotonic() + 10
            while victim.status("TracerPid") != "0" and time.monotonic() < end:
                pass
            if victim.status("TracerPid") != "0" or victim.status("State")[0] not in "SRD" \
                    or (kills % 10 == 0 and not victim.beats()):
                checks.wrong("killed", "after kill %d: State %s, TracerPid %s", kills,
                             victim.status("State"), victim.status("TracerPid"))
                break
        print("%d of %d were killed before they ended, %d of them holding the target" % (
            early, kills, caught))
        if caught < KILLS // 4:
            checks.wrong("killed", "too few were killed in time to prove anything")


def unwritable(checks, interpreter):
    with Victim(interpreter, "rich.py") as victim:
        for command in COMMANDS:
            for more in ([], ["--json"]):
                words = [ctaskctl.path(), command, str(victim.pid)] + more
                why = "%s %s" % (command, " ".join(more))
                for where, shell in (("closed", '"$@" >&-'), ("full", '"$@" >/dev/full')):
                    done = subprocess.run(["sh", "-c", shell, "sh"] + words, capture_output=True)
                    checks.refused("stdout %s, %s" % (where, why), done, FAILED, "write|stdout")
                done = subprocess.run(["sh", "-c", '"$@" 2>/dev/full', "sh"] + words,
                                      capture_output=True)
                checks.done += 1
                if done.returncode:
                    checks.wrong("stderr full, " + why, "exit status %d", done.returncode)
                # A reader that goes away: no noise, and no success.
                ours, theirs = socket.socketpair()
                ours.close()
                done = subprocess.run(words, stdout=theirs, stderr=subprocess.PIPE)
                theirs.close()
                checks.done += 1
                if done.returncode not in (FAILED, -signal.SIGPIPE) or done.stderr.count(b"\n") > 1:
                    checks.wrong("reader gone, " + why, "exit status %d, stderr %r",
                                 done.returncode, done.stderr[:200])
        if not victim.beats():
            checks.wrong("unwritable", "does not answer any more")


PARTS = {"words": words, "refused": refused, "ends": ends, "traced": traced, "held": held,
         "killed": killed, "unwritable": unwritable}


def main(part, name="bookworm-3.11"):
    interpreter = interpreters.wanted(name)
    checks = Checks()
    PARTS[part](checks, interpreter)
    return checks.end(part)


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3) or sys.argv[1] not in PARTS:
        sys.exit("usage: badinput.py %s [INTERPRETER]" % "|".join(PARTS))
    try:
        sys.exit(main(*sys.argv[1:]))
    except Failed as failed:
        print(failed)
        sys.exit(1)
