#!/usr/bin/env python3
"""sluice-count against a program whose instructions are known: check.py SLUICE_COUNT COUNT_KNOWN.

77 where processes may not be traced."""
import json
import os
import signal
import subprocess
import sys
import time

COUNTER, KNOWN = sys.argv[1:3]
SKIPPED = 77
SETTLE_SECONDS = 0.5


def count(target, letters, *options, sig=None):
    """What sluice-count says of the target while it does these letters."""
    time.sleep(SETTLE_SECONDS)   # it answers before it waits again
    command = [COUNTER, "--pids", str(target.pid), "--announce", "--seconds", "120", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as counter:
        if "counting" not in counter.stdout.readline():
            sys.exit(SKIPPED)
        if sig:
            os.kill(target.pid, sig)
        for letter in letters:
            ask(target, letter)
        time.sleep(SETTLE_SECONDS)
        counter.send_signal(signal.SIGTERM)
        result = json.loads(counter.stdout.read())
    result["main"] = next(t["n"] for t in result["threads"] if t["tid"] == target.pid)
    return result


def ask(target, letter):
    target.stdin.write(letter)
    target.stdin.flush()
    target.stdout.readline()


def equal(what, got, wanted):
    if got != wanted:
        sys.exit(f"{what}: {got}, wanted {wanted}")


def main():
    with subprocess.Popen([KNOWN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as target:
        loop = target.stdout.readline().strip()
        ask(target, "0")   # the linker binds what is called for the first time
        # The other letter is there both times: how the first wait ends may differ by an instruction or two.
        none = count(target, "00")
        for letter, more, repeats in (("1", 2001, 0), ("2", 404, 0), ("3", 4, 4999)):
            found = count(target, "0" + letter)
            equal(f"instructions of {letter}", found["main"] - none["main"], more)
            equal(f"repeats of {letter}", found["repeats"] - none["repeats"], repeats)
        skipped = count(target, "01", "--skip", loop)
        equal("calls skipped", skipped["skips"], 1)
        equal("instructions with a skipped function, but for its return", skipped["main"] - none["main"], -1)
        equal("threads with one made meanwhile", len(count(target, "t")["threads"]), 3)
        count(target, "0", sig=signal.SIGUSR1)
        allowed = os.sched_getaffinity(target.pid)
        count(target, "0", "--cpu", str(max(allowed)))
        equal("processors allowed afterwards", os.sched_getaffinity(target.pid), allowed)
        for _ in range(50):   # attached and let go of in the middle of work
            with subprocess.Popen([COUNTER, "--pids", str(target.pid), "--seconds", "0.02"], stdout=subprocess.DEVNULL):
                for letter in "1212":
                    ask(target, letter)
        target.stdin.close()
        equal("signals that arrived", target.stdout.read(), "1\n")
        equal("end of the target", target.wait(), 0)


main()
