"""agent_clients.py - the agent in real processes, and those who talk to it.

    agent_clients.py MODE INTERPRETER

tree     what the agent says of its own process is what is so, exactly
busy     the same of a loop that never rests, where the lock of the interpreter has to be taken
hostile  200 clients that are silent, slow, or deaf: the loop's heart beats on, and others are answered
forks    each child has an agent of its own, and Python has nothing to warn of
killed   either side is killed: nothing is in anybody's way
guest    programs without tasks stay as they are
run      what `ctaskctl run` says and does
"""
import contextlib
import json
import os
import resource
import select
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import churn
import ctaskctl
import interpreters
from difference import differences
from victim import Failed, Victim, process_status

HERE = os.path.dirname(os.path.abspath(__file__))
VICTIMS = os.path.join(os.path.dirname(HERE), "victims")
CLIENTS = 200
WITH_PROC = ["unshare", "--mount", "sh", "-c", 'mount -t proc proc "$0" && exec "$@"']


def agent_path():
    path = os.environ.get("CTASK_AGENT") \
        or os.path.join(HERE, "../../build/release/agent/libctask-agent.so")
    if not os.access(path, os.R_OK):
        raise SystemExit("no agent %s: build it, or set CTASK_AGENT" % path)
    return os.path.abspath(path)


class Hosting:
    """An interpreter whose programs get the agent, both libraries of it, and in another root /proc."""

    def __init__(self, interpreter):
        self.own = interpreter
        self.name = interpreter.name
        self.version = interpreter.version
        self.root = getattr(interpreter, "root", "")
        self.own.agent = agent_path()

    def bring_in(self):
        self.own.bring_in()
        if self.root:
            shutil.copy(os.path.join(os.path.dirname(agent_path()), "libctask-agent-tree.so"),
                        self.root + self.own.inside)

    def clean_up(self):
        self.own.clean_up()

    def command(self, program, *options):
        command = self.own.command(program, *options)
        return WITH_PROC + [self.root + "/proc"] + command if self.root else command


class Heart:
    """A running heart.py."""

    def __init__(self, interpreter):
        self.interpreter = interpreter

    def __enter__(self):
        self.interpreter.bring_in()
        self.place = tempfile.mkdtemp(prefix="ctask-e2e-", dir=self.interpreter.root + "/tmp")
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            self.interpreter.command("heart.py"), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self.errors, cwd="/",
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
                 "CTASK_DIR": self.place[len(self.interpreter.root):]})
        self.pid = self.process.pid
        self.said = b""
        self.line()
        self.wait_for_socket(self.pid)
        return self

    def __exit__(self, *unused):
        self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.interpreter.clean_up()
        shutil.rmtree(self.place, ignore_errors=True)

    def line(self):
        while b"\n" not in self.said:
            ready, _, _ = select.select([self.process.stdout], [], [], 60)
            got = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            if not got:
                self.errors.seek(0)
                raise Failed("heart.py says nothing; its stderr: %r" % self.errors.read()[-2000:])
            self.said += got
        line, self.said = self.said.split(b"\n", 1)
        return json.loads(line)

    def ask(self, word):
        self.process.stdin.write(word.encode() + b"\n")
        self.process.stdin.flush()
        return self.line()

    def complaints(self):
        self.errors.seek(0)
        return self.errors.read().decode("utf-8", "replace")

    def socket_of(self, pid):
        with open("/proc/%d/stat" % pid) as file:
            start = file.read().rsplit(")", 1)[1].split()[19]
        return os.path.join(self.place, "ctask-%d-%s.sock" % (pid, start))

    def wait_for_socket(self, pid):
        """Its thread makes it soon after the first task."""
        path = self.socket_of(pid)
        end = time.monotonic() + 30
        while not os.path.exists(path):
            if time.monotonic() > end:
                raise Failed("no socket %s; stderr: %s" % (path, self.complaints()))
            time.sleep(0.01)


def connect(path):
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(30)
    client.connect(path)
    return client


def hear(client):
    parts = []
    while True:
        part = client.recv(1 << 20)
        if not part:
            client.close()
            return b"".join(parts).decode("utf-8", "surrogatepass")
        parts.append(part)


def ask(path, request):
    """The reply as hello, data, end; its error instead of data."""
    client = connect(path)
    client.sendall(request.encode() + b"\n")
    text = hear(client)
    lines = text.split("\n")
    hello, end = json.loads(lines[0]), json.loads(lines[-2])
    if hello["schema"] != "ctask.hello" or end["schema"] != "ctask.end" or lines[-1]:
        raise Failed("no whole reply: %s … %s" % (text[:300], text[-300:]))
    return hello, "\n".join(lines[1:-2]), end


def expect(what, seen, wanted):
    if seen != wanted:
        raise Failed("%s: %r, not %r" % (what, seen, wanted))


def socket_below(root, pid):
    """Of a process started without CTASK_DIR."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        for place in ("/run/ctask/0", "/tmp/ctask-%d" % os.geteuid()):
            for name in os.listdir(root + place) if os.path.isdir(root + place) else []:
                if name.startswith("ctask-%d-" % pid):
                    return os.path.join(root + place, name)
        time.sleep(0.01)
    raise Failed("process %d has no socket" % pid)


def tree(interpreter):
    """The victim's truth, and the agent's snapshot of itself."""
    with Victim(interpreter, "rich.py") as victim:
        path = socket_below(interpreter.root, victim.pid)
        before = time.monotonic()
        hello, data, _ = ask(path, "tree")
        after = time.monotonic()
        snapshot = json.loads(data)
        if snapshot.get("schema") == "ctask.error":
            raise Failed(data)
        expect("source", snapshot["source"], "agent")
        errors = ctaskctl.schema_errors(snapshot)
        if errors:
            raise Failed("the schema says: %s" % errors)
        facts = victim.facts()
        # Inside another root the paths are those in there.
        facts["exe"] = facts["exe"][len(interpreter.root):]
        found = differences(victim.truth, snapshot, facts, before, after)
        print("%s: %s, %d tasks, stopped %d us" % (
            interpreter.name, found.told(), len(snapshot["tasks"]),
            snapshot["capture"]["paused_us"]))
        if found or not victim.beats():
            raise Failed("%d differences" % len(found))
        same_cancels(path, victim.pid)


def same_cancels(path, pid):
    """What the agent says of its history is what ctaskctl reads from it."""
    _, data, end = ask(path, "cancels")
    done = ctaskctl.run("cancels", pid, "--json")
    told = [json.loads(line) for line in done.stdout.decode("utf-8").splitlines()]
    seen = [json.loads(line) for line in data.splitlines()]
    for record in told[:-1] + seen:
        del record["pid"]  # it may see itself by another number
    expect("there are cancellations", len(seen) > 0, True)
    expect("cancellations", seen, told[:-1])
    expect("dropped", end["dropped"], told[-1]["dropped"])
    _, data, _ = ask(path, "cancels since=%d" % seen[-1]["id"])
    expect("after the last", data, "")
    _, data, _ = ask(path, "cancels since=%d" % (seen[-1]["id"] - 1))
    expect("before the last", json.loads(data)["id"], seen[-1]["id"])
    _, data, _ = ask(path, "cancels since=x")
    expect("since what", json.loads(data)["code"], "usage")
    print("%d cancellations" % len(seen))


def busy(interpreter):
    pictures = int(os.environ.get("CTASK_CHURN") or 50)
    with Victim(interpreter, "churn.py", *churn.MODES["never-sleeps"]) as victim:
        path = socket_below(interpreter.root, victim.pid)
        paused, took, counts, busy_ones, wrong, why = [], [], [], 0, 0, ""
        for number in range(pictures):
            before = time.monotonic()
            _, data, _ = ask(path, "tree")
            after = time.monotonic()
            snapshot = json.loads(data)
            if snapshot["schema"] == "ctask.error" and snapshot["code"] == "busy":
                busy_ones += 1
                why = snapshot["text"]
                continue
            if snapshot["schema"] != "ctask.snapshot":
                raise Failed(data)
            found = differences(victim.truth, snapshot, None, before, after, churn.PASSING)
            bad = ["%s: %s" % pair for pair in found] + churn.impossible(snapshot)
            if bad or not snapshot["capture"]["complete"]:
                wrong += 1
                print("picture %d: %s %s" % (number, snapshot["capture"], bad[:5]))
            paused.append(snapshot["capture"]["paused_us"] / 1000)
            took.append((after - before) * 1000)
            counts.append(len(snapshot["tasks"]))
        print("%d pictures of a loop that never rests, %d to %d tasks, %d wrong; held for a median of "
              "%.1f ms, %.1f at most; answered within %.0f ms, %.0f at most; busy: %d %s" % (
                  pictures, min(counts), max(counts), wrong, statistics.median(paused), max(paused),
                  statistics.median(took), max(took), busy_ones, why))
        if wrong or busy_ones > pictures // 10 or not victim.beats():
            raise Failed("%d wrong, %d refused" % (wrong, busy_ones))


def hostile(interpreter):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    with Heart(interpreter) as heart:
        ask(heart.socket_of(heart.pid), "tree")
        # A machine may have other work at one time and another; whom a client holds up is held up each time.
        for attempt in range(10):
            late = held_up(heart)
            if not late:
                break
            print("  attempt %d: %s" % (attempt, late))
        else:
            raise Failed(late)
        expect("ping", heart.ask("ping"), {"pong": True})
        expect("stderr", heart.complaints(), "")


def held_up(heart):
    """Who had to wait while many clients behaved badly; None: nobody."""
    path = heart.socket_of(heart.pid)
    heart.ask("worst")
    time.sleep(1)
    quiet = heart.ask("worst")
    took = []
    began = time.monotonic()
    with contextlib.ExitStack() as clients:
        for number in range(CLIENTS):
            client = connect(path)
            clients.callback(client.close)
            kind = number % 5
            try:
                if kind == 1:
                    client.sendall(b"tr")
                elif kind == 2:
                    client.sendall(b"tree\n")  # and then it does not listen
                elif kind == 3:
                    client.sendall(bytes(range(256)) * 16)
                elif kind == 4:
                    client.close()
            except OSError:
                pass
            if number % 10 == 0:
                before = time.monotonic()
                hello, _, _ = ask(path, "hello")
                took.append(time.monotonic() - before)
                expect("pid", hello["pid"], heart.pid)
        before = time.monotonic()
        _, data, _ = ask(path, "tree")
        took_tree = time.monotonic() - before
        told = json.loads(data)
        if told.get("code") == "busy":
            return told["text"]
        expect("tree", told["schema"], "ctask.snapshot")
        time.sleep(max(0, 1 - (time.monotonic() - began)))
        noisy = heart.ask("worst")
    print("heart, lags in ms: quiet median %.2f p99 %.2f most %.2f; with %d clients median %.2f "
          "p99 %.2f most %.2f" % (quiet["median"], quiet["p99"], quiet["most"], CLIENTS,
                                  noisy["median"], noisy["p99"], noisy["most"]))
    print("a good client: hello within %.1f ms, a tree within %.1f ms" % (
        max(took) * 1000, took_tree * 1000))
    # What a stall would be is far above: a bad client is dropped after 2 s, a deaf one after 5.
    if noisy["median"] > 2 * quiet["median"] + 2 or noisy["most"] > 2 * quiet["most"] + 100:
        return "the heart was held up"
    if max(took) > 1 or took_tree > 3:
        return "a good client had to wait"
    return None


def forks(interpreter):
    children = []
    with Heart(interpreter) as heart:
        expect("next file before", heart.ask("close")["next"] < 20, True)
        for _ in range(3):
            wait_for_rest(heart.pid)  # a fork waits only 2 ms until the last client has been seen off
            said = heart.ask("fork")
            if "child" not in said:
                raise Failed("fork: %s" % said)
            pid = said["child"]
            children.append(pid)
            heart.wait_for_socket(pid)
            hello, data, _ = ask(heart.socket_of(pid), "tree")
            names = [task["name"] for task in json.loads(data)["tasks"]]
            expect("the child's pid", hello["pid"], pid)
            if "grown" not in names or "idle-0" in names and interpreter.version >= (3, 14):
                raise Failed("the child's tasks: %s" % names)
            # The parent's thread comes back with its next task.
            heart.ask("task")
            heart.wait_for_socket(heart.pid)
            hello, data, _ = retry(lambda: ask(heart.socket_of(heart.pid), "tree"))
            expect("the parent's pid", hello["pid"], heart.pid)
        expect("ping", heart.ask("ping"), {"pong": True})
        complaints = [line for line in heart.complaints().split("\n") if "Warning" in line]
        expect("warnings", complaints, [])
    end = time.monotonic() + 60
    while any(os.path.exists("/proc/%d" % pid) for pid in children):
        if time.monotonic() > end:
            raise Failed("the children outlive their parent")
        time.sleep(0.01)
    print("3 children, each with its own agent, and none was warned of")


def wait_for_rest(pid):
    """Until the agent's thread has no client any more, and sleeps."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        for tid in os.listdir("/proc/%d/task" % pid):
            place = "/proc/%d/task/%s" % (pid, tid)
            try:
                with open(place + "/comm") as file:
                    if file.read() != "ctask\n":
                        continue
                links = [os.readlink("%s/fd/%s" % (place, fd)) for fd in os.listdir(place + "/fd")]
            except OSError:
                continue
            if sum(link.startswith("socket:") for link in links) == 1 \
                    and process_status("%d/task/%s" % (pid, tid), "State")[0] == "S":
                return
        time.sleep(0.001)
    raise Failed("the agent is never at rest")


def retry(action):
    """An agent that has just come back may not listen yet."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            return action()
        except (ConnectionError, FileNotFoundError):
            time.sleep(0.01)
    return action()


def killed(interpreter):
    with Heart(interpreter) as heart:
        path = heart.socket_of(heart.pid)
        for request in (b"tree\n", b"cancels\n", b"history\n", b"hello\n", b"tr"):
            pid = os.fork()
            if pid == 0:
                client = connect(path)
                client.sendall(request)
                os.kill(os.getpid(), signal.SIGKILL)
            os.waitpid(pid, 0)
            ask(path, "tree")
        expect("ping", heart.ask("ping"), {"pong": True})
        heart.process.kill()
        heart.process.wait()
        if not os.path.exists(path):
            raise Failed("nobody could have removed %s" % path)
        os.utime(path, (1, 1))
        stale, place = path, heart.place
        heart.process = subprocess.Popen(
            interpreter.command("heart.py"), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=heart.errors, cwd="/",
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "CTASK_DIR": place[len(interpreter.root):]})
        heart.pid, heart.said = heart.process.pid, b""
        heart.line()
        heart.wait_for_socket(heart.pid)
        ask(heart.socket_of(heart.pid), "tree")
        if os.path.exists(stale):
            raise Failed("what the dead left is still there")
        path = heart.socket_of(heart.pid)
        heart.process.stdin.close()
        heart.process.wait(20)
        expect("status", heart.process.returncode, 0)
        if os.path.exists(path):
            raise Failed("a good end left its socket")
        heart.process.stdin = open(os.devnull, "w")
        print("killed on either side: nothing in the way")


def guest(interpreter):
    """No Python, or none with tasks: no thread, no file, no word."""
    interpreter.bring_in()
    place = tempfile.mkdtemp(prefix="ctask-e2e-", dir=interpreter.root + "/tmp")
    env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "CTASK_DIR": place[len(interpreter.root):]}
    try:
        words = interpreter.command("heart.py")
        program = words.index([w for w in words if w.endswith("/heart.py")][0])
        code = ("import os, sys\n"
                "if len(sys.argv) > 1: import asyncio\n"
                "print(len(os.listdir('/proc/self/task')), "
                "sorted(map(int, os.listdir('/proc/self/fd')))[-1] < 20)")
        shell = "for p in ls true cat grep tar gzip date; do $p --version >/dev/null || echo $p; done"
        for what, command, wanted in (
                ("no asyncio", words[:program] + ["-c", code], "1 True\n"),
                ("asyncio without tasks", words[:program] + ["-c", code, "asyncio"], "1 True\n"),
                ("other programs", words[:program - 1] + ["sh", "-c", shell], "")):
            done = subprocess.run(command, env=env, cwd="/", stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
            expect(what, (done.returncode, done.stdout.decode(), done.stderr.decode()),
                   (0, wanted, ""))
        expect("sockets", os.listdir(place), [])
        print("nothing to be seen of the agent")
    finally:
        interpreter.clean_up()
        shutil.rmtree(place)


def run(interpreter):
    environment = dict(os.environ, CTASK_AGENT="")
    environment.pop("LD_PRELOAD", None)
    with tempfile.TemporaryDirectory() as place:
        static = os.path.join(place, "static")
        script = os.path.join(place, "script")
        with open(script, "w") as file:
            file.write("#!%s\n" % static)
        os.chmod(script, 0o755)
        made = subprocess.run(["cc", "-static", "-o", static, "-x", "c", "-"], stderr=subprocess.PIPE,
                              input=b"int main(void) { return 3; }").returncode == 0
        rows = [
            ([], 2, "", "which program?"),
            (["--", "ctask-no-such-program"], 127, "", "No such file or directory"),
            (["--", os.path.join(place, "none")], 127, "", "No such file or directory"),
            (["--", ""], 127, "", "cannot be run"),
            (["--", "/etc/passwd"], 126, "", "Permission denied"),
            (["--", place], 126, "", "Permission denied"),
            (["--agent=/none", "true"], 1, "", "the agent '/none' cannot be used"),
            (["--dir=/none", "true"], 1, "", "the directory '/none' cannot be used"),
            (["--history-size=1", "true"], 2, "", "is a number from"),
            (["sh", "-c", "exit 7"], 7, "", ""),
            (["--", "sh", "-c", "kill -9 $$"], -9, "", ""),
            (["--dir=" + place, "--history-size=1000000", "sh", "-c",
              "echo $CTASK_DIR $CTASK_HISTORY_BYTES"], 0, place + " 1000000\n", ""),
            (["sh", "-c", "echo $LD_PRELOAD"], 0, agent_path() + "\n", ""),
            ([ctaskctl.path(), "run", "sh", "-c", "echo $LD_PRELOAD"], 0, agent_path() + "\n", ""),
            (["echo", "--help", "--", "-x"], 0, "--help -- -x\n", ""),
        ]
        if made:
            rows += [([static], 3, "", "is linked statically: the agent will not be in it"),
                     ([script], 3, "", "is linked statically: the agent will not be in it")]
        for words, status, out, errors in rows:
            done = subprocess.run([ctaskctl.path(), "run"] + words, env=environment,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            told = done.stderr.decode()
            if done.returncode != status or done.stdout.decode() != out or errors not in told \
                    or (not errors and told) or told.count("\n") > 1:
                raise Failed("run %s: %d, %r, %r" % (words, done.returncode, done.stdout, told))
    with Heart(Launched(interpreter)) as heart:
        _, data, _ = ask(heart.socket_of(heart.pid), "tree")
        expect("tree", json.loads(data)["schema"], "ctask.snapshot")
    print("%d runs" % (len(rows) + 1))


class Launched(Hosting):
    """The same by `ctaskctl run`."""

    def __init__(self, hosting):
        super().__init__(hosting.own)
        self.own.agent = None

    def command(self, program, *options):
        return [ctaskctl.path(), "run", "--"] + self.own.command(program, *options)


MODES = {f.__name__: f for f in (tree, busy, hostile, forks, killed, guest, run)}


def main(mode, name):
    interpreter = Hosting(interpreters.wanted(name))
    try:
        MODES[mode](interpreter)
    except Failed as failed:
        print("FAILED: %s" % failed)
        return 1
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in MODES:
        raise SystemExit(__doc__)
    sys.exit(main(*sys.argv[1:]))
