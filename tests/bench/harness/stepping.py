"""Instructions an exchange by single-stepping the live target: what this very processor executes in user space.

The target is warmed at full speed, the connections are opened at full speed, then its threads are stepped while a few
exchanges run. As in instructions.py it is done with two numbers of exchanges, and the difference counts.

A stepped target is some thousand times slower while the clock is not, so work that the clock drives would weigh too much.
Three things keep it out: threads that take no part in exchanges (under 1 % of the target's time while it is warmed) are not
stepped; functions the target names in `clockwork` run at full speed and are not counted; and the wake-up around each call of
these costs what it costs in the idle target, which is subtracted for each call."""
import json
import os
import pathlib
import re
import signal
import statistics
import subprocess
import time

from .measure import LoadFailed, load
from .process import Unavailable

CONNECTIONS = 8
FEW = CONNECTIONS
MORE = CONNECTIONS * 4       # the difference of one pair of runs
MORE_QUICK = CONNECTIONS * 2
WARM = 3000
BUSY_SHARE = 0.01
SETTLE_SECONDS = 2   # a TLS 1.3 client is done with its handshake before the server is: it has the certificate to verify
IDLE_SECONDS = 8
CAP_SYS_PTRACE = 1 << 19
LIMIT = 3600   # seconds that one run may take


def _may_trace_all():
    """CAP_SYS_PTRACE: a gateway makes itself undumpable, so that its own account may not trace it."""
    status = pathlib.Path("/proc/self/status").read_text()
    return bool(int(re.search(r"^CapEff:\s+([0-9a-f]+)", status, re.M).group(1), 16) & CAP_SYS_PTRACE)


def step_works(counter):
    """May any target be stepped here?"""
    if counter is None or not _may_trace_all():
        return False
    with subprocess.Popen(["sleep", "60"]) as sleeper:
        try:
            done = subprocess.run([counter, "--pids", str(sleeper.pid), "--seconds", "0.05"], capture_output=True)
        finally:
            sleeper.kill()
    return done.returncode == 0 and b"instructions" in done.stdout


def _base(pid, program):
    """Where the program is in the process's memory."""
    for line in pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines():
        fields = line.split(maxsplit=5)
        if len(fields) == 6 and fields[5] == program:
            return int(fields[0].split("-")[0], 16)
    raise Unavailable(f"{program} is not in the memory of {pid}")


_FUNCTION = re.compile(r"^([0-9a-f]+) [tT] (\w+)(?:\.(?:lto_priv|isra|constprop)\.\d+)*$", re.M)


def _addresses(pid, symbols):
    """The functions' addresses in the process. Link-time optimisation renames: `tick` becomes `tick.lto_priv.0`. Each must
    exist exactly once (not inlined, no second of its name), or the figure would hold what it should not."""
    if not symbols:
        return []
    program = os.readlink(f"/proc/{pid}/exe")
    listed = subprocess.run(["nm", program], capture_output=True, text=True).stdout
    found = {}
    for match in _FUNCTION.finditer(listed):
        found.setdefault(match[2], []).append(int(match[1], 16))
    wrong = [f"{len(found.get(name, []))} functions {name}" for name in symbols if len(found.get(name, [])) != 1]
    if wrong:
        raise Unavailable(f"{program} has {', '.join(wrong)}: one each is needed")
    base = _base(pid, program)
    return [f"{base + found[name][0]:#x}" for name in symbols]


class _Counting:
    """sluice-count on these threads of the target, from where each is stepped to the end of the `with`."""

    def __init__(self, counter, running, tids):
        skip = _addresses(running.process.popen.pid, running.clockwork)
        self.command = [counter, "--tids", ",".join(map(str, tids)), "--announce",
                        "--seconds", str(LIMIT), "--cpu", str(max(os.sched_getaffinity(0)))]
        if skip:
            self.command += ["--skip", ",".join(skip)]
        self.result = None

    def __enter__(self):
        self.popen = subprocess.Popen(list(map(str, self.command)), stdout=subprocess.PIPE, text=True)
        if "counting" not in self.popen.stdout.readline():
            self.popen.wait()
            raise Unavailable("the target cannot be stepped")
        return self

    def __exit__(self, kind, *_):
        self.popen.send_signal(signal.SIGTERM)   # never SIGKILL: the target would die of it
        text = self.popen.stdout.read()
        self.popen.wait()
        if kind is None:
            self.result = json.loads(text.splitlines()[-1])


def _loaded(program, counter, running, tids, requests, kind):
    """The counter's result for so many exchanges."""
    command = [program, "--connections", CONNECTIONS, "--requests", requests, "--timeout", LIMIT, "--duration", LIMIT,
               "--gate", "--announce", *running.credentials, *running.requests[kind]]
    with subprocess.Popen(list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as loader:
        try:
            if "open" not in loader.stdout.readline():
                raise LoadFailed(f"{running.process.name}: {loader.stderr.read()[-400:]}")
            time.sleep(SETTLE_SECONDS)
            with _Counting(counter, running, tids) as counting:
                loader.stdin.close()
                text = loader.stdout.read()
            if loader.wait() != 0:
                raise LoadFailed(f"{running.process.name}: stepped load ended with {loader.returncode}: {text[-400:]}")
        except BaseException:
            loader.kill()
            raise
    return counting.result


def _times(running):
    """Thread -> nanoseconds it has run."""
    return {int(path.parent.name): int(path.read_text().split()[0])
            for pid in running.process.pids() for path in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat")}


def _busy_threads(program, running, kind):
    """The threads that work for exchanges, found while the target is warmed."""
    before = _times(running)
    load(program, running, kind, ["--connections", str(CONNECTIONS), "--requests", str(WARM)], watch=False)
    used = {tid: ns - before.get(tid, 0) for tid, ns in _times(running).items()}
    return sorted(tid for tid, ns in used.items() if ns > BUSY_SHARE * sum(used.values()))


def _threads(result):
    """Thread -> its figures. Threads of one name are told apart by their order."""
    figures = {}
    for thread in sorted(result["threads"], key=lambda one: one["tid"]):
        name, number = thread["name"], 1
        while name in figures:
            number += 1
            name = f"{thread['name']} {number}"
        figures[name] = thread
    return figures


def _idle(counter, running, tids):
    """Thread -> its figures without any load."""
    with _Counting(counter, running, tids) as counting:
        time.sleep(IDLE_SECONDS)
    return _threads(counting.result)


def _once(program, counter, running, tids, idle, more, kind):
    """Thread -> instructions an exchange."""
    few, many = (_threads(_loaded(program, counter, running, tids, requests, kind)) for requests in (FEW, FEW + more))
    each = {}
    for name, figures in many.items():
        n, calls = (figures[key] - few.get(name, {key: 0})[key] for key in ("n", "skips"))
        quiet = idle.get(name, {"n": 0, "skips": 0})
        wake_up = quiet["n"] / quiet["skips"] if quiet["skips"] else 0
        each[name] = (n - calls * wake_up) / more
    return each


def by_step(program, counter, running, times, more, kind):
    """User-space instructions an exchange of this kind, in all and by thread: the median of `times` differences over `more` exchanges."""
    tids = _busy_threads(program, running, kind)
    time.sleep(SETTLE_SECONDS)   # what the load left to do
    idle = _idle(counter, running, tids)
    found = [_once(program, counter, running, tids, idle, more, kind) for _ in range(times)]
    sums = [sum(one.values()) for one in found]
    threads = {name: round(statistics.median(one.get(name, 0) for one in found)) for name in found[0]}
    return {"instructions:u": statistics.median(sums), "instructions:u of each": sums, "threads": threads,
            "idle": {name: {key: figures[key] for key in ("n", "skips")} for name, figures in idle.items()},
            "idle seconds": IDLE_SECONDS}
