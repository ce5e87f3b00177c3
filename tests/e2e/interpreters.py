"""interpreters.py - the CPythons that the tests look at, and how to start a program in each.

Those of pyenv ($PYENV_ROOT, default ~/.pyenv) are used where they are found.
Those of the Debian suites live in directories to chroot into ($CTASK_SUITES,
made by tools/make-suites); the tests demand them.

    interpreters.py             list them all, and what is missing
"""
import glob
import os
import shutil
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
VICTIMS = os.path.join(os.path.dirname(HERE), "victims")
SUITES = os.environ.get("CTASK_SUITES") or "/var/cache/ctask/suites"
PYENV = os.environ.get("PYENV_ROOT") or os.path.expanduser("~/.pyenv")


class Missing(Exception):
    """The interpreter is not here. demanded: and should be."""

    def __init__(self, text, demanded):
        super().__init__(text)
        self.demanded = demanded


class Pyenv:
    """An interpreter in the file system of this process."""

    def __init__(self, version):
        self.name = "pyenv-" + version
        self.version = tuple(map(int, version.split(".")))
        self.agent = None  # a library to be loaded into what is started
        self.launcher = []  # `ctaskctl run` and options, to start it; else the library is preloaded

    def find(self):
        found = glob.glob(os.path.join(PYENV, "versions", "%d.%d.*/bin/python3" % self.version))
        if not found:
            raise Missing("no %d.%d in %s" % (self.version + (PYENV,)), demanded=False)
        self.python = max(found)
        return self

    def command(self, program, *options):
        return with_agent(self.agent, self.launcher) + [
            self.python, os.path.join(VICTIMS, program)] + list(options)

    def bring_in(self):
        pass

    def clean_up(self):
        pass


class Suite:
    """An interpreter of a Debian suite: another root directory, other libraries."""

    def __init__(self, suite, version):
        self.name = "%s-%s" % (suite, version)
        self.version = tuple(map(int, version.split(".")))
        self.root = os.path.join(SUITES, suite)
        self.python = "/usr/bin/python" + version
        self.inside = None
        self.user = []  # options of chroot
        self.agent, self.launcher = None, []

    def find(self):
        if not os.access(self.root + self.python, os.X_OK):
            raise Missing("%s%s is not there: run tools/make-suites" % (self.root, self.python),
                          demanded=True)
        if os.geteuid() != 0:
            raise Missing("to chroot into %s needs root" % self.root, demanded=True)
        return self

    def bring_in(self):
        """Copy the victims, and the agent, to where the interpreter can read them."""
        here = tempfile.mkdtemp(prefix="ctask-", dir=self.root + "/tmp")
        os.chmod(here, 0o755)
        for path in glob.glob(os.path.join(VICTIMS, "*.py")):
            shutil.copy(path, here)
        self.inside = here[len(self.root):]
        if self.agent:
            shutil.copy(self.agent, here)
        if self.launcher:  # it names one path, which must be right on both sides of the chroot
            os.mkdir(self.inside, 0o755)
            shutil.copy(self.agent, self.inside)

    def clean_up(self):
        if self.inside:
            shutil.rmtree(self.root + self.inside, ignore_errors=True)
            if self.launcher:
                shutil.rmtree(self.inside, ignore_errors=True)

    def command(self, program, *options):
        agent = self.agent and os.path.join(self.inside, os.path.basename(self.agent))
        python = [self.python, os.path.join(self.inside, program)] + list(options)
        chroot = ["chroot"] + self.user + [self.root]
        if self.launcher:
            return with_agent(agent, self.launcher) + chroot + python
        return chroot + with_agent(agent, []) + python


def with_agent(agent, launcher):
    """The words before a command that start it with the agent."""
    if launcher:
        return launcher + ["--agent=" + agent, "--"]
    return ["env", "LD_PRELOAD=" + agent] if agent else []


ALL = [Pyenv("3.%d" % minor) for minor in range(8, 14)] + [
    Suite("bullseye", "3.9"),
    Suite("bookworm", "3.11"),
    Suite("trixie", "3.13"),
    Suite("forky", "3.14"),
    Suite("forky", "3.15"),
]


def named(name):
    """The interpreter of that name, found; or Missing."""
    for interpreter in ALL:
        if interpreter.name == name:
            return interpreter.find()
    raise SystemExit("no interpreter is called %s; there are: %s"
                     % (name, " ".join(i.name for i in ALL)))


def wanted(name):
    """The interpreter of that name; where there is none, the test ends: skipped, or failed if it is demanded."""
    try:
        return named(name)
    except Missing as missing:
        print("%s: %s" % ("not there" if missing.demanded else "skipped", missing))
        sys.exit(1 if missing.demanded else 77)


if __name__ == "__main__":
    for interpreter in ALL:
        try:
            print("%-14s %s" % (interpreter.name, interpreter.find().python))
        except Missing as missing:
            print("%-14s %s: %s" % (interpreter.name,
                                    "MISSING" if missing.demanded else "not here", missing))
    sys.exit(0)
