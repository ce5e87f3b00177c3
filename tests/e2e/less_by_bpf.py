"""less_by_bpf.py - where a record made by probes has less than the agent's: all that may differ.

docs/bpf.md tells why. A difference that is not here is a fault, and so is one that is here and does not come.
"""


def differences(scenario, when, version):
    """What differs in a scenario: (kind, label without the caller's part) -> how often; or None: nothing."""
    if scenario == "python_task":  # tasks written in Python have no C function
        lacks = {("missing", "python awaits C"): 1, ("missing", "in python"): 1,
                 ("missing", "zombie"): 1, ("origin", "in C"): 1, ("scope", "in C"): 1}
        if when == "end" and version >= (3, 14):  # they are noted apart
            lacks["requester-kind", "victim"] = 1
        return lacks
    if scenario == "cancel_that_raises":  # of a class of the program's, which has a cancel() of its own
        return {("extra", "cancel_that_raises.inner"): 3 if version >= (3, 9) else 2,
                ("extra", "cancel_that_raises.outer"): 1}
    return None


def may_differ(scenario):
    """What may differ or not, as it comes: kinds."""
    if scenario == "very_far_down":
        # Of stacks of hundreds of frames: how many are left out, and the inner end of an await chain that is
        # unwound before it was read.
        return {("stack", "worker"), ("target-stack", "worker")}
    return set()
