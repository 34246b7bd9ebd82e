"""Processes that a run starts, and only those: each is ended by its own id, with its children, when the run ends."""
import os
import pathlib
import re
import signal
import socket
import subprocess
import time


class Unavailable(Exception):
    """A target cannot take part; the text says why. The run goes on without it."""


class LoadFailed(Exception):
    """The load ended with errors or could not run: a figure would be a lie."""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def tree(pid):
    """The process and all its descendants."""
    found, todo = [], [pid]
    while todo:
        one = todo.pop()
        found.append(one)
        for children in pathlib.Path(f"/proc/{one}/task").glob("*/children"):
            try:
                todo += map(int, children.read_text().split())
            except OSError:
                continue
    return sorted(found)


def memory_kib(pids):
    """Proportional memory of the processes together: pages shared between them count once."""
    total = 0
    for pid in pids:
        text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
        total += int(re.search(r"^Pss:\s+(\d+) kB", text, re.M).group(1))
    return total


class Process:
    """One started command. `wrap` goes in front of it (valgrind). Output goes to a file in the run's directory."""

    def __init__(self, name, command, directory, wrap=(), environment=None):
        self.name, self.ready_ms = name, 0.0
        self.output = pathlib.Path(directory) / f"{name}.out"
        self.errors = pathlib.Path(directory) / f"{name}.err"
        self.began = time.monotonic()
        with open(self.output, "ab") as out, open(self.errors, "ab") as err:
            self.popen = subprocess.Popen([*map(str, wrap), *map(str, command)], stdin=subprocess.DEVNULL, stdout=out,
                                          stderr=err, env=environment)

    def wait_port(self, port, seconds):
        """Until the port accepts; how long that took from the start."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if self.popen.poll() is not None:
                break
            with socket.socket() as s:
                if s.connect_ex(("127.0.0.1", port)) == 0:
                    self.ready_ms = (time.monotonic() - self.began) * 1000
                    return
            time.sleep(0.001)
        text = self.errors.read_text(errors="replace").strip()
        self.stop()
        raise Unavailable(f"{self.name} did not start: {text[-600:] or 'no message'}")

    def pids(self):
        return tree(self.popen.pid)

    def stop(self, how=signal.SIGTERM, seconds=60):
        """Ask it to end; kill what is left of it after `seconds`."""
        if self.popen.poll() is not None:
            return
        family = self.pids()
        self.popen.send_signal(how)
        try:
            self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            for pid in family:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            self.popen.wait()
