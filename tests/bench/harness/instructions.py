"""Instructions an exchange, in the target's processes.

The same load runs twice with different numbers of requests and the same number of connections; the difference divided
by the difference of the numbers is the cost of an exchange. Start-up and handshakes cancel.

perf counts user and kernel on the live target, where the machine's counters allow it. The others count user space only.
harness/stepping.py single-steps the live target. callgrind emulates a processor in a target started for it: it has
AES-NI and AVX2 but neither AVX-512 nor the SHA instructions, so OpenSSL chooses other code than it does natively and
SHA-256 counts about ten times."""
import collections
import re
import shutil
import signal
import subprocess
import time

from .measure import load
from .scenarios import COUNTED

CONNECTIONS = 64
FEW = CONNECTIONS * 5
PERF_EVENTS = ("instructions:u", "instructions:k")


def perf_works(events=PERF_EVENTS):
    if not shutil.which("perf"):
        return False
    done = subprocess.run(["perf", "stat", "-x,", "-e", ",".join(events), "true"], capture_output=True, text=True)
    return done.returncode == 0 and "<not " not in done.stderr


def _count_load(program, running, requests, kind):
    arguments = ["--connections", str(CONNECTIONS), "--requests", str(requests), "--timeout", "300"]   # valgrind is slow
    load(program, running, kind, arguments, watch=False)


def _perf_run(program, running, requests, events, kind):
    pids = ",".join(map(str, running.process.pids()))
    command = ["perf", "stat", "-x,", "-e", ",".join(events), "-p", pids]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as perf:
        time.sleep(0.3)   # perf says nothing when it has attached
        _count_load(program, running, requests, kind)
        perf.send_signal(signal.SIGINT)
        text = perf.stderr.read()
    fields = [line.split(",") for line in text.splitlines() if line.count(",") > 2]
    return {row[2]: float(row[0]) for row in fields}


def by_perf(program, running, many, kind, events=PERF_EVENTS):
    """Event -> count an exchange, on a running target."""
    few_counts = _perf_run(program, running, FEW, events, kind)
    many_counts = _perf_run(program, running, FEW + many, events, kind)
    return {event: (many_counts[event] - few_counts[event]) / many for event in many_counts}


def callgrind_wrap(directory):
    out = f"--callgrind-out-file={directory}/callgrind.%p"
    return ["valgrind", "--tool=callgrind", "--trace-children=yes", out, "-q"]


_COST = re.compile(r"(?:[+-]?\d+|\*) (\d+)$")


def callgrind_read(path, costs):
    """Add one output file's own cost of each object (program or library) to `costs`."""
    names, current, skip = {}, "?", False
    with open(path, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            line = line.rstrip("\n")
            if line.startswith(("ob=", "cob=")):
                number, _, name = line.split("=", 1)[1].partition(" ")
                if name:
                    names[number] = name
                if line.startswith("ob="):
                    current = names[number]
            elif line.startswith("calls="):
                skip = True   # the next line is the callee's cost, not ours
            elif match := _COST.match(line):
                if not skip:
                    costs[current] += int(match.group(1))
                skip = False


def _callgrind_run(program, start, directory, requests, passed):
    directory.mkdir()
    running = start(directory, callgrind_wrap(directory))
    try:
        _count_load(program, running, requests, running.kind(COUNTED, passed))
    finally:
        running.process.stop(seconds=120)
    costs = collections.Counter()
    for path in directory.glob("callgrind.[0-9]*"):
        callgrind_read(path, costs)
    return costs


def by_callgrind(program, start, directory, many, passed):
    """`start(directory, wrap)` starts the target. User-space instructions an exchange, in all and by object."""
    few_costs = _callgrind_run(program, start, directory / "few", FEW, passed)
    many_costs = _callgrind_run(program, start, directory / "many", FEW + many, passed)
    each = {name: (many_costs[name] - few_costs[name]) / many for name in many_costs}
    ranked = sorted(each.items(), key=lambda item: -item[1])
    objects = {name.rsplit("/", 1)[-1]: round(cost) for name, cost in ranked if cost >= 50}
    return {"instructions:u": sum(each.values()), "objects": objects}
