"""victim.py - start a victim, learn its truth, see that it lives, end it."""
import json
import os
import select
import subprocess
import tempfile
import time

CONTAINER = ["unshare", "--pid", "--mount", "--fork", "--kill-child"]


class Failed(Exception):
    pass


class Victim:
    """A running victim; use with `with`.

    container: it runs in a pid namespace of its own, where it is process 1.
    """

    def __init__(self, interpreter, program, *options, environment=(), container=False):
        self.interpreter = interpreter
        self.program = program
        self.options = options
        self.environment = dict(environment)
        self.container = container

    def __enter__(self):
        self.interpreter.bring_in()
        self.errors = tempfile.TemporaryFile()
        env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8",
               "PYTHONDONTWRITEBYTECODE": "1"}
        env.update(self.environment)
        command = self.interpreter.command(self.program, *self.options)
        self.process = subprocess.Popen(
            (CONTAINER if self.container else []) + command,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, env=env, cwd="/")
        self.pending = b""
        try:
            self.truth = json.loads(self.line(120))
            if self.line(60) != b"ready":
                raise Failed("the victim is not ready")
            self.pid = self.find_pid()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *unused):
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.errors.close()
        self.interpreter.clean_up()

    def find_pid(self):
        pid = self.process.pid
        if self.container:
            with open("/proc/%d/task/%d/children" % (pid, pid)) as children:
                pid = int(children.read().split()[0])
        return pid

    def line(self, seconds):
        """The next line that the victim says, without its end."""
        end = time.monotonic() + seconds
        fd = self.process.stdout.fileno()
        parts = [self.pending]
        while b"\n" not in parts[-1]:
            left = end - time.monotonic()
            ready, _, _ = select.select([fd], [], [], max(left, 0))
            data = os.read(fd, 1 << 20) if ready else b""
            if not data:
                self.errors.seek(0)
                raise Failed("%s says nothing%s; its stderr: %s" % (
                    self.program, "" if ready else " for %d s" % seconds,
                    self.errors.read()[-2000:].decode("utf-8", "replace")))
            parts.append(data)
        line, self.pending = b"".join(parts).split(b"\n", 1)
        return line

    def beats(self):
        """True when the victim's loop still turns and nobody traces or holds the process."""
        self.process.stdin.write(b"ping\n")
        self.process.stdin.flush()
        answer = self.line(30)
        return answer.startswith(b"pong") and self.status("TracerPid") == "0" \
            and self.status("State")[0] in "SRD"

    def status(self, key):
        return process_status(self.pid, key)

    def host_tid(self, tid):
        """A thread id of the victim's own pid namespace, as it is called here."""
        if tid is None:
            return None
        for name in os.listdir("/proc/%d/task" % self.pid):
            spaces = process_status("%d/task/%s" % (self.pid, name), "NSpid").split()
            if int(spaces[-1]) == tid:
                return int(name)
        raise Failed("the victim has no thread %d" % tid)

    def facts(self):
        """What the kernel says about the process: to compare process and runtimes with."""
        tids = {r["thread_id"]: self.host_tid(r["thread_id"]) for r in self.truth["runtimes"]}
        return {"pid": self.pid, "nspid": self.truth["pid"], "tids": tids,
                "exe": os.readlink("/proc/%d/exe" % self.pid),
                "cmdline": command_line(self.pid), "uid": os.stat("/proc/%d" % self.pid).st_uid}


def command_line(pid):
    with open("/proc/%d/cmdline" % pid, "rb") as file:
        words = file.read().split(b"\0")[:-1]
    return [word.decode("utf-8", "surrogateescape") for word in words]


def process_status(pid, key):
    with open("/proc/%s/status" % pid) as file:
        for line in file:
            if line.startswith(key + ":"):
                return line.split(":", 1)[1].strip()
    raise Failed("no %s in the status of %s" % (key, pid))
