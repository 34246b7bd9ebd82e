"""Load over HTTP/2 by h2load (nghttp2), whose TLS gets the client certificate from shim.c: it has no option for one.

h2load ends after so many requests, and what the target's processes used meanwhile is read before and after; the handshakes
are among it, one in thousands of requests. How many requests that are is learnt from the warm-up's rate."""
import pathlib
import re
import shutil
import subprocess
import tempfile
import time

from .process import LoadFailed, Unavailable

HERE = pathlib.Path(__file__).resolve().parent.parent
LEAST = 2000
_shim = None


def shim():
    """Compiled once a run."""
    global _shim
    if _shim is None:
        _shim = tempfile.TemporaryDirectory(prefix="sluice-h2-")
        subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o", f"{_shim.name}/shim.so", HERE / "h2load" / "shim.c", "-ldl"], check=True)
    return f"{_shim.name}/shim.so"


def translated(arguments):
    """sluice-load's arguments of a request as h2load's; and the length of the answer."""
    words, out, length = iter(arguments), [], None
    for word in words:
        if word == "--header":
            out += ["-H", next(words)]
        elif word == "--body":
            out += ["-d", next(words)]
        elif word == "--method":
            next(words)   # a body makes it a POST
        elif word == "--expect-length":
            length = int(next(words))
        else:
            out.append(word)
    return out, length


def cpu_ns(pids):
    """Of all threads, as the scheduler counts it."""
    return sum(time.clock_gettime_ns(~pid << 3 | 2) for pid in pids)


def load(running, scenario, many):
    """Exactly so many answers, all whole, or LoadFailed: seconds they took."""
    connections, streams = scenario.h2
    request, length = translated(running.requests[scenario.size])
    given = dict(zip(running.credentials[::2], running.credentials[1::2]))
    command = ["h2load", "-n", many, "-c", connections, "-m", streams, *request]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True,
                          env={"PATH": "/usr/bin:/bin", "LD_PRELOAD": shim(), "SHIM_CERT": given["--cert"], "SHIM_KEY": given["--key"]})
    said = done.stdout[-1200:] + done.stderr[-400:]
    good = re.search(r"(\d+) succeeded, 0 failed, 0 errored, 0 timeout", said)
    body = re.search(r"\((\d+)\) data$", said, re.M)
    took = re.search(r"^finished in ([\d.]+)(us|ms|s),", said, re.M)
    if done.returncode != 0 or "protocol: h2\n" not in done.stdout or not good or int(good[1]) != many or f"{many} 2xx" not in said or not body or not took:
        raise LoadFailed(f"{running.process.name}: h2load ended with {done.returncode}: {said}")
    if int(body[1]) != many * length:
        raise LoadFailed(f"{running.process.name}: {body[1]} bytes in {many} answers of {length}")
    return float(took[1]) * {"us": 1e-6, "ms": 1e-3, "s": 1}[took[2]]


def measure(running, scenario, seconds, warmup):
    if not shutil.which("h2load"):
        raise Unavailable("h2load is not installed (Debian package nghttp2-client)")
    many = LEAST
    rate = many / load(running, scenario, many)
    rate = many / load(running, scenario, many := max(LEAST, int(rate * warmup)))
    many = max(LEAST, int(rate * seconds))
    pids = running.process.pids()
    before = cpu_ns(pids)
    took = load(running, scenario, many)
    return {"cpu_us": (cpu_ns(pids) - before) / 1000 / many, "rate": many / took}
