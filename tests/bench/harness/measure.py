"""One measurement of one target: run sluice-load against it and turn its JSON into figures an exchange."""
import hashlib
import json
import os
import statistics
import subprocess
import tempfile
import time

from . import h2
from .process import LoadFailed, memory_kib
from .upstream import SIZES


def sha_us(size):
    """One pass of SHA-256 over so many bytes, on this machine, now: the best of some, in µs of CPU time."""
    data, best = os.urandom(size), 1e9
    for _ in range(max(5, (32 << 20) // size)):
        began = time.process_time_ns()
        hashlib.sha256(data).digest()
        best = min(best, (time.process_time_ns() - began) / 1000)
    return best


def load(program, running, size, arguments, watch=True):
    """Run to the end; the result as a dict."""
    command = [program, *arguments, *running.credentials]
    if watch:
        command += ["--watch", ",".join(map(str, running.process.pids()))]
    done = subprocess.run([*map(str, command), *running.requests[size]], capture_output=True, text=True)
    if done.returncode != 0:
        said = done.stdout.strip()[-400:] + done.stderr.strip()[-400:]
        raise LoadFailed(f"{running.process.name}: sluice-load ended with {done.returncode}: {said}")
    return json.loads(done.stdout.splitlines()[-1])


def sync_us(directory, times=200):
    """The middle of so many fdatasyncs in this directory, each of a piece as long as two records, in µs: written over what is
    there, as the log does."""
    piece, took = os.urandom(1400), []
    with tempfile.TemporaryFile(dir=directory, buffering=0) as f:
        f.write(bytes(len(piece) * times))
        os.fsync(f.fileno())
        for i in range(times):
            began = time.perf_counter_ns()
            os.pwrite(f.fileno(), piece, i * len(piece))
            os.fdatasync(f.fileno())
            took.append((time.perf_counter_ns() - began) / 1000)
    return statistics.median(took)


def busy(program, running, scenario, seconds, warmup):
    window = ["--duration", str(seconds), "--warmup", str(warmup)]
    size = running.kind(scenario.size, scenario.passed)
    result = load(program, running, size, [*scenario.load, *window])
    if result["requests"] == 0:
        raise LoadFailed(f"{running.process.name}: no answer within the window")
    fresh = "--fresh" in scenario.load
    if fresh and "resumed" in scenario.load and result["handshakes"]["full"] > result["handshakes"]["resumed"] // 20:
        raise LoadFailed(f"{running.process.name}: sessions are not resumed: {result['handshakes']}")
    ticks = result["cpu"]["user_ticks"] + result["cpu"]["system_ticks"]
    cpu = result["cpu"]["ns"] / 1000 / result["requests"]
    return {"cpu_us": cpu,
            "cpu_hashed_us": cpu + (sha_us(SIZES[scenario.size]) if size == scenario.size else 0),
            "user_percent": 100 * result["cpu"]["user_ticks"] / max(1, ticks),
            "rate": result["rate"],
            "sync_us": sync_us(running.log) if running.log and "--rate" in scenario.load else 0,
            "p50_us": result.get("latency_ns", {}).get("p50", 0) / 1000,
            "p99_us": result.get("latency_ns", {}).get("p99", 0) / 1000,
            "load": result}


def idle(program, running, scenario):
    """Memory of connections: what the processes hold with them less what they held before.

    The target must be fresh: a heap that earlier load left with holes would take connections in for nothing."""
    load(program, running, scenario.size, ["--connections", "64", "--requests", "640"], watch=False)
    time.sleep(0.5)
    before = memory_kib(running.process.pids())
    command = [program, *scenario.load, "--connections", scenario.idle, "--hold", "3", "--announce",
               *running.credentials, *running.requests[scenario.size]]
    with subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, text=True) as holder:
        for line in holder.stdout:
            if json.loads(line).get("event") == "holding":
                break
        time.sleep(1)
        held = memory_kib(running.process.pids())
        rest = holder.stdout.read()
    if holder.returncode != 0:
        raise LoadFailed(f"{running.process.name}: holding {scenario.idle} connections failed: {rest[-400:]}")
    return {"idle_kib": (held - before) / scenario.idle, "before_kib": before, "held_kib": held}


def measure(program, running, scenario, seconds, warmup):
    if scenario.start:
        return {"start_ms": running.process.ready_ms}
    if scenario.idle:
        return idle(program, running, scenario)
    if scenario.h2:
        return h2.measure(running, scenario, seconds, warmup)
    return busy(program, running, scenario, seconds, warmup)
