"""bpf.py - the manners of the probes: what they leave behind, what they say, what they do not hide.

    bpf.py PART INTERPRETER

    cycles     attached and detached again and again: nothing is left, here or in the kernel
    killed     SIGKILL while attached: the target's code is as before, and it works on
    two        two at once see the same, and neither takes the other's probes away
    lost       what is too much to be recorded is counted, to the last one
    unchanged  the target's memory and what it says
    ends       SIGINT, SIGTERM, --duration, a reader that goes, a target that ends
    runtimes   targets without asyncio
    refused    rights that are missing, and kernels that lack something
    threads    more threads, one after the other, than the probes know at a time: none is missed
    overlay    a target in a container's kind of file system, which we do not see

Exit status 0 when all is right, 1 when not, 77 when it cannot be tried here. CTASK_CYCLES (1000 for the
long form): how often in cycles, a tenth of that in killed, and 5,000 times as many cancels in lost.
"""
import ctypes
import json
import os
import re
import select
import signal
import struct
import subprocess
import sys
import tempfile
import time

import ctaskctl
import interpreters
from victim import Failed, Victim

CYCLES = int(os.environ.get("CTASK_CYCLES") or 12)
THREADS = 300  # more than the probes know at a time
STORM = 50000  # cancels: that takes longer than to see the first, and to kill; else twice as many
WHOLE, FAILED, USAGE, NO_PROCESS, NOT_PERMITTED, NO_RUNTIME, ENDED, IN_PART = range(8)
BREAKPOINT = 0xcc  # int3: what a uprobe puts in place of an instruction's first byte
SYS_BPF = 321
# The commands of bpf() that give the next id after one, and what fdinfo calls such an id.
KERNEL_OBJECTS = {"programs": (11, "prog_id"), "maps": (12, "map_id"), "links": (31, "link_id")}

libc = ctypes.CDLL(None, use_errno=True)
bad = 0
done = 0


def check(what, is_so, told=""):
    global bad, done
    done += 1
    if not is_so:
        bad += 1
        print("%s: %s" % (what, told))


def until(is_so, seconds=60):
    """Whether it becomes so: the kernel takes things back a little later."""
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


class Patient(Victim):
    def __init__(self, interpreter, **how):
        super().__init__(interpreter, "patient.py", **how)

    def begin(self, count):
        self.process.stdin.write(b"many %d\n" % count)
        self.process.stdin.flush()

    def cancels(self, count, seconds=120):
        self.begin(count)
        return int(self.line(seconds)) == count


class Follower:
    """A `cancels --follow --source=bpf --json`, from when it has attached."""

    def __init__(self, pid, *options):
        self.process = subprocess.Popen(
            [ctaskctl.path(), "cancels", str(pid), "--follow", "--source=bpf", "--json"]
            + list(options),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.said = b""
        began = time.monotonic()
        self.read(lambda: b"\n" in self.said, 60)
        self.attached_s = time.monotonic() - began
        if b"\n" not in self.said:
            raise Failed("nothing is followed: %s" % self.process.stderr.read().decode())

    def read(self, enough, seconds):
        """What it says, until that is enough, it has ended, or the time is over."""
        end = time.monotonic() + seconds
        while not enough() and time.monotonic() < end:
            if select.select([self.process.stdout], [], [], 0.05)[0]:
                data = os.read(self.process.stdout.fileno(), 1 << 20)
                self.said += data
                if not data:
                    return

    def finish(self, how=signal.SIGTERM):
        """Its exit status, its lines, and its stderr."""
        if how:
            self.process.send_signal(how)
        self.read(lambda: False, 60)
        status = self.process.wait(60)
        lines = [json.loads(line.decode("utf-8")) for line in self.said.splitlines()]
        return status, lines, self.process.stderr.read().decode("utf-8", "replace")


def requests(lines):
    return {line["id"]: line for line in lines if line["schema"] == "ctask.cancellation"}


# What the target's code is ------------------------------------------------------


def code_of(pid, in_files=False):
    """The bytes of all code that is mapped from files: {(start, path): bytes}; or what the files have."""
    code = {}
    with open("/proc/%d/maps" % pid) as maps, open("/proc/%d/mem" % pid, "rb", 0) as memory:
        for line in maps:
            words = line.split(None, 5)
            if "x" not in words[1] or len(words) < 6 or not words[5].startswith("/"):
                continue
            start, end = (int(word, 16) for word in words[0].split("-"))
            if in_files:
                with open("/proc/%d/map_files/%x-%x" % (pid, start, end), "rb") as file:
                    file.seek(int(words[2], 16))
                    code[(start, words[5].strip())] = file.read(end - start)
            else:
                memory.seek(start)
                code[(start, words[5].strip())] = memory.read(end - start)
    return code


def changes(before, after):
    """[(path, offset, old byte, new byte)]."""
    found = []
    for (start, path), old in before.items():
        new = after.get((start, path))
        if new == old:
            continue
        if new is None:
            found.append((path, 0, old[:1], None))
            continue
        for page in range(0, len(old), 4096):
            a, b = old[page:page + 4096], new[page:page + 4096]  # the last page of a file ends early
            if a != b:
                found += [(path, page + i, x, y) for i, (x, y) in enumerate(zip(a, b)) if x != y]
    return found


def has_probes(before, pid):
    """How many there are; Failed when something else has changed."""
    found = changes(before, code_of(pid))
    other = [change for change in found if change[3] != BREAKPOINT]
    if other:
        raise Failed("the target's code has changed: %r" % other[:5])
    return len(found)


def as_before(before, pid):
    check("the code after", until(lambda: not changes(before, code_of(pid))),
          "%r" % changes(before, code_of(pid)))


# What the kernel holds ----------------------------------------------------------


def kernel_ids(command):
    ids, last = set(), 0
    while True:
        attributes = ctypes.create_string_buffer(struct.pack("III", last, 0, 0), 12)
        if libc.syscall(SYS_BPF, command, attributes, 12):
            return ids
        last = struct.unpack("III", attributes.raw)[1]
        ids.add(last)


def held_ids(key):
    """Ids of what some process has open."""
    held = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            for fd in os.listdir("/proc/%s/fdinfo" % pid):
                with open("/proc/%s/fdinfo/%s" % (pid, fd)) as file:
                    held.update(int(value) for value in re.findall(key + r":\s*(\d+)", file.read()))
        except OSError:
            continue
    return held


def left_behind(before):
    """What has come since and belongs to nobody that we see: other tests attach at the same time."""
    left = {}
    for what, (command, key) in KERNEL_OBJECTS.items():
        ids = kernel_ids(command) - before[what]
        ids -= held_ids(key)
        left[what] = ids & kernel_ids(command)
    return {what: ids for what, ids in left.items() if ids}


def kernel_now():
    return {what: kernel_ids(command) for what, (command, _) in KERNEL_OBJECTS.items()}


# Parts --------------------------------------------------------------------------


def cycles(interpreter):
    with Patient(interpreter) as victim:
        before, kernel = code_of(victim.pid, in_files=True), kernel_now()
        times, ends = [], []
        for _ in range(max(CYCLES // 10, 3)):
            follower = Follower(victim.pid)
            times.append(follower.attached_s)
            check("probes are there", has_probes(before, victim.pid) >= 2, "none")
            began = time.monotonic()
            status, lines, errors = follower.finish()
            ends.append(time.monotonic() - began)
            check("the end", status == WHOLE and not errors and lines[-1]["schema"] == "ctask.end",
                  "status %d, %r" % (status, errors))
        as_before(before, victim.pid)

        ran = subprocess.run([os.environ["ATTACH"], str(victim.pid), str(CYCLES)],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60 + 3 * CYCLES)
        rows = [tuple(map(float, line.split())) for line in ran.stdout.splitlines()]
        check("in one process", ran.returncode == 0 and len(rows) == CYCLES, ran.stderr)
        warm = rows[min(len(rows) // 4, 50):]  # allocators have taken what they take
        check("open files", len({row[2] for row in rows}) == 1, "%s" % sorted({row[2] for row in rows}))
        check("memory", warm[-1][3] - warm[0][3] < 1024,
              "%d kB, then %d kB" % (warm[0][3], warm[-1][3]))
        check("the kernel", until(lambda: not left_behind(kernel)), left_behind(kernel))
        as_before(before, victim.pid)
        check("the target lives", victim.beats() and victim.cancels(1000), "no")
        print("ctaskctl: attached after %.0f ms (median of %d), ended after %.0f ms; in one process %d times: "
              "attach %.1f ms, detach %.1f ms, %d kB and %d kB resident" % (
                  1e3 * sorted(times)[len(times) // 2], len(times),
                  1e3 * sorted(ends)[len(ends) // 2], len(rows),
                  sorted(row[0] for row in rows)[len(rows) // 2],
                  sorted(row[1] for row in rows)[len(rows) // 2], rows[0][3], rows[-1][3]))


def killed(interpreter):
    with Patient(interpreter) as victim:
        before, kernel = code_of(victim.pid, in_files=True), kernel_now()
        most, storm, storms, turn = 0, STORM, 0, -1
        while turn + 1 < max(CYCLES // 10, 4) or not storms and turn < 20:
            turn += 1
            follower = Follower(victim.pid)
            probes = has_probes(before, victim.pid)
            check("probes are there", probes >= 2, "%d" % probes)
            if turn % 2:  # in the middle of a storm
                victim.begin(storm)
                follower.read(lambda: b"ctask.cancellation" in follower.said, 60)
            most = max(most, probes)
            follower.process.kill()
            follower.process.wait(60)
            if turn % 2:
                is_over = bool(select.select([victim.process.stdout], [], [], 0)[0])
                check("it goes on", int(victim.line(240)) == storm, "no")
                storms += not is_over
                storm *= 1 + is_over
            as_before(before, victim.pid)
            check("the target lives", victim.beats() and victim.cancels(100), "no")
            follower.process.stdout.close()
            follower.process.stderr.close()
        check("the kernel", until(lambda: not left_behind(kernel)), left_behind(kernel))
        check("the storm", storms > 0, "was over each time")
        print("killed %d times, with at most %d probes in the code, %d times in a storm" % (
            turn + 1, most, storms))


def two(interpreter):
    with Patient(interpreter) as victim:
        before = code_of(victim.pid, in_files=True)
        first, second = Follower(victim.pid), Follower(victim.pid)
        check("the target", victim.cancels(300), "does not cancel")
        status, lines, errors = second.finish()
        seen = requests(lines)
        check("the second", status == WHOLE and not errors and len(seen) == 300,
              "status %d, %d seen, %r" % (status, len(seen), errors))
        check("the first one's probes", has_probes(before, victim.pid) >= 2, "are gone")
        check("the target", victim.cancels(200), "does not cancel")
        status, lines, errors = first.finish()
        both = requests(lines)
        check("the first", status == WHOLE and not errors and len(both) == 500,
              "status %d, %d seen, %r" % (status, len(both), errors))
        alike = all(both[id_]["target"] == seen[id_]["target"] for id_ in seen if id_ in both)
        check("what both have seen", alike and set(seen) <= set(both), "differs")
        # Until somebody has cancelled, nobody looks at the ends of tasks.
        states = [both[id_]["outcome"]["state"] for id_ in sorted(both)]
        check("how they ended", set(states[300:]) == {"cancelled"}
              and set(states[:300]) <= {"cancelled", "unknown"}, sorted(set(states)))
        as_before(before, victim.pid)
        print("two at once: %d and %d requests" % (len(both), len(seen)))


def lost(interpreter):
    count = min(5000 * CYCLES, 200000)
    with Patient(interpreter) as victim:
        follower = Follower(victim.pid)
        follower.process.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        check("the target", victim.cancels(count, 300), "does not cancel")
        took = time.monotonic() - began
        follower.process.send_signal(signal.SIGCONT)
        status, lines, errors = follower.finish()
        seen, dropped = requests(lines), lines[-1]["dropped"]
        check("the end", status == WHOLE and not errors, "status %d, %r" % (status, errors))
        check("something is lost", dropped > 0, "nothing")
        check("records and those that are dropped", len(seen) + dropped == count,
              "%d + %d, not %d" % (len(seen), dropped, count))
        print("held for %d cancels in %.1f s: %d records, %d dropped" % (count, took, len(seen), dropped))

        # As text: said on stderr. Nothing tells that it is attached, so there are probes.
        before = code_of(victim.pid, in_files=True)
        process = subprocess.Popen(
            [ctaskctl.path(), "cancels", str(victim.pid), "--follow", "--source=bpf"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        check("probes are there", until(lambda: has_probes(before, victim.pid) >= 2), "none")
        until(lambda: select.select([process.stdout], [], [], 0)[0])
        process.send_signal(signal.SIGSTOP)
        check("the target", victim.cancels(count // 2, 300), "does not cancel")
        process.send_signal(signal.SIGCONT)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=120)
        check("it is said", process.returncode == WHOLE and re.fullmatch(
            rb"ctaskctl: \d+ requests could not be recorded\n", errors),
            "status %d, %r" % (process.returncode, errors))


def unchanged(interpreter):
    def resident_kb(victim):
        return int(victim.status("VmRSS").split()[0])

    with Patient(interpreter) as victim:
        for _ in range(5):  # as much as it takes by itself
            check("the target", victim.cancels(2000), "does not cancel")
        before, threads, files = resident_kb(victim), victim.status("Threads"), \
            os.listdir("/proc/%d/fd" % victim.pid)
        for _ in range(3):
            follower = Follower(victim.pid)
            check("the target, watched", victim.cancels(2000), "does not cancel")
            during = resident_kb(victim)
            status, lines, errors = follower.finish()
            check("what was watched", status == WHOLE and not errors
                  and len(requests(lines)) + lines[-1]["dropped"] == 2000, "status %d, %r" % (status, errors))
        after = resident_kb(victim)
        check("memory of the target", after - before < 512,
              "%d kB, then %d kB, then %d kB" % (before, during, after))
        check("threads and files", (threads, files) == (
            victim.status("Threads"), os.listdir("/proc/%d/fd" % victim.pid)), "differ")
        check("the target lives", victim.beats(), "no")
        print("the target: %d kB, %d kB while it is watched, %d kB after" % (before, during, after))


def ends(interpreter):
    with Patient(interpreter) as victim:
        before, kernel = code_of(victim.pid, in_files=True), kernel_now()
        for number in (signal.SIGINT, signal.SIGTERM):
            follower = Follower(victim.pid)
            check("the target", victim.cancels(50), "does not cancel")
            status, lines, errors = follower.finish(number)
            check("%s" % number, status == WHOLE and not errors and len(requests(lines)) == 50
                  and [lines[0]["schema"], lines[-1]["schema"]] == ["ctask.attached", "ctask.end"],
                  "status %d, %d requests, last %r, %r" % (
                      status, len(requests(lines)), lines[-1], errors))
        for seconds in (1, 4, 16, 64):  # until that is enough for all to be asked meanwhile
            follower = Follower(victim.pid, "--duration=%ds" % seconds)
            check("the target", victim.cancels(50), "does not cancel")
            in_time = follower.process.poll() is None
            status, lines, errors = follower.finish(None)
            check("--duration", status == WHOLE and not errors and lines[-1]["schema"] == "ctask.end",
                  "status %d, %r, %r" % (status, lines[-1:], errors))
            if in_time:
                break
        check("--duration", in_time and len(requests(lines)) == 50, "%d requests" % len(requests(lines)))

        follower = Follower(victim.pid)
        follower.process.stdout.close()
        check("a reader that goes", follower.process.wait(60) in (FAILED, -signal.SIGPIPE),
              follower.process.returncode)
        check("no words about it", not follower.process.stderr.read(), "some")
        done = subprocess.run("%s cancels --source=bpf --duration 5s %d | head -n 1" % (
            ctaskctl.path(), victim.pid), shell=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        check("head", done.returncode == 0 and done.stdout.count(b"\n") == 1 and not done.stderr,
              "%r" % done)
        as_before(before, victim.pid)
        check("the target lives", victim.beats(), "no")

        follower = Follower(victim.pid)
        check("the target", victim.cancels(50), "does not cancel")
        victim.process.stdin.close()
        victim.process.stdin = open(os.devnull, "wb")
        status, lines, errors = follower.finish(None)
        check("the target ends", status == ENDED and errors.count("\n") == 1 and "ended" in errors
              and len(requests(lines)) == 50 and lines[-1]["schema"] == "ctask.end",
              "status %d, %d requests, %r" % (status, len(requests(lines)), errors))
        check("the kernel", until(lambda: not left_behind(kernel)), left_behind(kernel))
    done = ctaskctl.run("cancels", "--source=bpf", "--follow", 4194303)
    refuses("no such process", done, NO_PROCESS, "4194303")


def refuses(why, done, status, line):
    """An exit status, one line on stderr, nothing on stdout."""
    text = done.stderr.decode("utf-8", "replace")
    check(why, done.returncode == status and not done.stdout and text.count("\n") == 1
          and re.search(line, text), "status %d, not %d: %r" % (done.returncode, status, text))
    return text


def watch(pid, **how):
    return ctaskctl.run("cancels", "--source=bpf", "--duration=300ms", "--json", pid, **how)


def runtimes(interpreter):
    for word, line in (("", "has not loaded asyncio"), ("trio", "trio.*nothing to probe"),
                       ("python", "written in Python.*'ctaskctl run'")):
        with Victim(interpreter, "noasyncio.py", *word.split()) as victim:
            print(refuses("noasyncio " + word, watch(victim.pid), NO_RUNTIME, line), end="")
            check("the target lives", victim.beats(), "no")
    sleeper = subprocess.Popen(["sleep", "60"])
    refuses("no Python", watch(sleeper.pid), NO_RUNTIME, "no Python|CPython")
    sleeper.kill()
    sleeper.wait()


# Who is refused -----------------------------------------------------------------


def with_capabilities(*names):
    bounds = ",".join(["-all"] + ["+" + name for name in names])
    return ["setpriv", "--bounding-set=" + bounds, "--inh-caps=" + bounds]


def over(path, *command):
    """The words before a command that hide a directory from it."""
    return ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"', path]


def forbid_bpf():
    """In a child: a seccomp filter by which bpf() fails with EPERM."""
    allow, fail = 0x7fff0000, 0x00050000 | 1  # SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO | EPERM
    program = b"".join(struct.pack("HBBI", *row) for row in [
        (0x20, 0, 0, 0),  # the system call's number
        (0x15, 0, 1, SYS_BPF),
        (0x06, 0, 0, fail),
        (0x06, 0, 0, allow)])
    rules = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(rules))
    if libc.prctl(22, 2, ctypes.create_string_buffer(header, len(header)), 0, 0):
        os._exit(99)


def refused(interpreter):
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    with Patient(interpreter) as victim:
        rows = [
            ("another user", nobody, NOT_PERMITTED, "CAP_SYS_PTRACE.* missing .*as root"),
            ("no capability", with_capabilities(), NOT_PERMITTED, "CAP_SYS_PTRACE.* missing"),
            ("only to trace", with_capabilities("sys_ptrace"), NOT_PERMITTED,
             "CAP_(SYS_ADMIN|BPF).* missing"),
            ("no right to trace", with_capabilities("sys_admin"), NOT_PERMITTED,
             "CAP_SYS_PTRACE is missing"),
            ("a user namespace", ["unshare", "--user", "--map-root-user"], NOT_PERMITTED,
             "user namespace"),
            ("no BTF", over("/sys/kernel/btf"), FAILED, "CONFIG_DEBUG_INFO_BTF"),
            ("no uprobes", over("/sys/bus/event_source/devices"), FAILED, "CONFIG_UPROBE_EVENTS"),
        ]
        for why, prefix, status, line in rows:
            print(refuses(why, watch(victim.pid, prefix=prefix), status, line), end="")
        print(refuses("seccomp", watch(victim.pid, preexec_fn=forbid_bpf), NOT_PERMITTED,
                      "seccomp"), end="")
        done = watch(victim.pid, prefix=with_capabilities("sys_admin", "sys_ptrace"))
        check("two capabilities are enough", done.returncode == WHOLE and not done.stderr, done.stderr)
        done = watch(victim.pid, prefix=with_capabilities("bpf", "perfmon", "checkpoint_restore",
                                                         "sys_ptrace"))
        if done.returncode:  # since Linux 6.16, and in stable kernels before
            print(refuses("four capabilities", done, NOT_PERMITTED, "CAP_SYS_ADMIN is missing"), end="")
        check("the target lives", victim.beats() and victim.cancels(100), "no")

    # A process of nobody's own: readable, so that it is the probes that are refused.
    sleeper = [interpreter.python, "-c", "import asyncio; print(flush=True); asyncio.run(asyncio.sleep(60))"]
    if isinstance(interpreter, interpreters.Suite):
        sleeper = ["chroot", "--userspec=65534:65534", interpreter.root] + sleeper
        own = subprocess.Popen(sleeper, stdout=subprocess.PIPE)
        own.stdout.readline()
        refuses("one's own process", watch(own.pid, prefix=nobody), NOT_PERMITTED,
                "CAP_(SYS_ADMIN|BPF).* missing")
        refuses("one's own process, by whatever there is",
                ctaskctl.run("cancels", "--follow", own.pid, prefix=nobody), NOT_PERMITTED,
                "there is no agent in process %d, and .*CAP_(SYS_ADMIN|BPF).* missing" % own.pid)
        own.kill()
        own.communicate()


class Overlaid(interpreters.Suite):
    """A suite as the lower layer of an overlay, in a mount namespace of its own."""

    def command(self, program, *options):
        self.layers = tempfile.mkdtemp(prefix="ctask-overlay-")
        script = 'mount -t tmpfs none "$1" && mkdir "$1/upper" "$1/work" "$1/root" && ' \
            'mount -t overlay -o lowerdir="$0",upperdir="$1/upper",workdir="$1/work" none "$1/root" && ' \
            'dir=$1 && shift && exec chroot "$dir/root" "$@"'
        return ["unshare", "--mount", "sh", "-c", script, self.root, self.layers, self.python,
                os.path.join(self.inside, program)] + list(options)

    def clean_up(self):
        super().clean_up()
        os.rmdir(self.layers)


def overlay(interpreter):
    if not isinstance(interpreter, interpreters.Suite):
        raise SystemExit("overlay: of an interpreter of a suite")
    interpreter = Overlaid(interpreter.name.split("-")[0], interpreter.name.split("-")[1]).find()
    with Patient(interpreter) as victim:
        before = code_of(victim.pid, in_files=True)
        follower = Follower(victim.pid)
        check("probes are there", has_probes(before, victim.pid) >= 2, "none")
        check("the target", victim.cancels(100), "does not cancel")
        status, lines, errors = follower.finish()
        seen = requests(lines)
        check("what is seen", status == WHOLE and not errors and len(seen) == 100
              and all(record["outcome"]["state"] == "cancelled" for record in seen.values()),
              "status %d, %d requests, %r" % (status, len(seen), errors))
        as_before(before, victim.pid)
        print("on an overlay: %d requests" % len(seen))


def threads(interpreter):
    interpreter.bring_in()
    target = subprocess.Popen(interpreter.command("edges.py", "threads", str(THREADS)), cwd="/",
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        target.stdout.readline()
        follower = Follower(target.pid)
        target.stdin.write(b"go\n")
        target.stdin.flush()
        target.stdout.readline()
        status, lines, errors = follower.finish(signal.SIGINT)
    finally:
        target.stdin.close()
        target.wait(60)
        target.stdout.close()
        interpreter.clean_up()
    seen = requests(lines)
    check("the follower", status == WHOLE and not errors and lines[0]["schema"] == "ctask.attached",
          "status %d, %r" % (status, errors))
    check("threads", (len(seen), lines[-1]["dropped"]) == (THREADS, 0),
          "%d of %d, dropped %d" % (len(seen), THREADS, lines[-1]["dropped"]))
    print("%d requests of as many threads" % len(seen))


PARTS = {function.__name__: function for function in (
    cycles, killed, two, lost, unchanged, ends, runtimes, refused, threads, overlay)}


def main(part, name):
    why = ctaskctl.lacking_for_probes()
    try:
        interpreter = interpreters.named(name)
    except interpreters.Missing as missing:
        if missing.demanded:
            print("not there: %s" % missing)
            return 1
        why = why or str(missing)
    if why:
        print("skipped: " + why)
        return 77
    began = time.monotonic()
    PARTS[part](interpreter)
    print("%s %s: %d checks, %d wrong in %.1f s" % (part, name, done, bad, time.monotonic() - began))
    return 1 if bad or not done else 0


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in PARTS:
        sys.exit(__doc__)
    try:
        sys.exit(main(sys.argv[1], sys.argv[2]))
    except Failed as failed:
        print(failed)
        sys.exit(1)
