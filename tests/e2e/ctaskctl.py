"""ctaskctl.py - run the program under test, and check the form of what it writes."""
import json
import os
import subprocess
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SCHEMAS = os.path.join(HERE, "..", "..", "model")
SCHEMA_TASKS = 1000  # of more tasks than this, the rest is checked by comparison only

try:
    import jsonschema
except ImportError:
    jsonschema = None


def path():
    program = os.environ.get("CTASKCTL") or os.path.join(HERE, "../../build/release/cli/ctaskctl")
    if not os.access(program, os.X_OK):
        raise SystemExit("no program %s: build it, or set CTASKCTL" % program)
    return program


def run(*words, program=None, prefix=(), timeout=120, **how):
    """The finished process; stdout and stderr are bytes unless redirected."""
    how.setdefault("stdout", subprocess.PIPE)
    how.setdefault("stderr", subprocess.PIPE)
    return subprocess.run(list(prefix) + [program or path()] + [str(w) for w in words],
                          stdin=subprocess.DEVNULL, timeout=timeout, **how)


def lacking_for_probes():
    """Why nothing can be probed here, or None."""
    if os.geteuid() != 0:
        return "probes need root"
    if not os.path.exists("/sys/bus/event_source/devices/uprobe"):
        return "this kernel has no uprobes, or /sys is not there"
    if not os.path.exists("/sys/kernel/btf/vmlinux"):
        return "this kernel does not describe its types: no /sys/kernel/btf/vmlinux"
    if b"built without probes" in run("cancels", os.getpid(), "--source=bpf", "--follow").stderr:
        return "this ctaskctl was built without probes"
    return None


class Answer:
    """One `pstree --json`: status, the snapshot or None, stderr, and the time around the call."""

    def __init__(self, pid, *options, program=None, prefix=()):
        self.before = time.monotonic()
        done = run("pstree", pid, "--json", *options, program=program, prefix=prefix)
        self.after = time.monotonic()
        self.status = done.returncode
        self.errors = done.stderr.decode("utf-8", "replace")
        self.text = done.stdout
        self.snapshot = json.loads(done.stdout.decode("utf-8")) if done.stdout else None


_validators = {}


def validator(name):
    """The validator of a schema, or None when it cannot be checked here."""
    path = os.path.join(SCHEMAS, name)
    if jsonschema is None or not os.path.exists(path):
        return None
    if name not in _validators:
        with open(path) as file:
            schema = json.load(file)
        kind = jsonschema.validators.validator_for(schema)
        kind.check_schema(schema)
        _validators[name] = kind(schema)
    return _validators[name]


def schema_errors(snapshot):
    """What the JSON Schema has to say, at most five; none when it cannot be checked here."""
    checks = validator("ctask-snapshot-1.schema.json")
    if checks is None:
        return []
    some = dict(snapshot, tasks=snapshot.get("tasks", [])[:SCHEMA_TASKS],
                edges=snapshot.get("edges", [])[:SCHEMA_TASKS])
    errors = []
    for error in checks.iter_errors(some):
        errors.append("/%s: %s" % ("/".join(map(str, error.absolute_path)), error.message[:200]))
        if len(errors) == 5:
            break
    return errors
