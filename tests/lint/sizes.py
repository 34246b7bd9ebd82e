#!/usr/bin/env python3
"""Sizes: .c 600 lines, .h 200, a function 60 (hard 100), 15 includes a file. tests/lint/sizes-exceptions.txt may only shrink."""
import os
import re
import subprocess
import sys

TOP = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
LIMITS = {".c": 600, ".h": 200}
FUNCTION, HARD, INCLUDES = 60, 100, 15
FOLDERS = ["base", "certs", "catalog", "policies", "translate", "connectors", "audit", "gateway", "cli", "tests/unit", "tests/fuzz", "tests/bench"]


def functions(lines):
    """(name, first line, length) of each function: a body is a '{' in column 0, up to '}' in column 0."""
    start = None
    for i, line in enumerate(lines):
        if line.startswith("{"):
            start = i
        elif line.startswith("}") and start is not None:
            head = ""
            j = start - 1
            while j >= 0 and lines[j].strip() and not lines[j].startswith("}"):
                head = lines[j].strip() + " " + head
                j -= 1
            name = re.search(r"(\w+)\s*\(", head)
            if name:
                yield name[1], start + 1, i - start + 1
            start = None


def check(path):
    with open(os.path.join(TOP, path), encoding="utf-8") as f:
        lines = f.read().splitlines()
    limit = LIMITS[os.path.splitext(path)[1]]
    if len(lines) > limit:
        yield f"{path}", f"{len(lines)} lines, at most {limit}"
    n = sum(1 for line in lines if re.match(r"\s*#\s*include", line))
    if n > INCLUDES and not path.endswith(".def"):
        yield f"{path}:includes", f"{n} includes, at most {INCLUDES}"
    if path.startswith("tests/"):
        return
    for name, at, length in functions(lines):
        if length > FUNCTION:
            yield f"{path}:{name}", f"{length} lines at {at}, at most {FUNCTION} (hard {HARD})"


def main():
    exceptions = set()
    listed = os.path.join(TOP, "tests/lint/sizes-exceptions.txt")
    with open(listed, encoding="utf-8") as f:
        exceptions = {line.strip() for line in f if line.strip() and not line.startswith("#")}
    present = [f for f in FOLDERS if os.path.isdir(os.path.join(TOP, f))]
    files = subprocess.run(["find", *present, "-name", "*.[ch]"], cwd=TOP, capture_output=True, text=True).stdout.split()
    bad, used = 0, set()
    for path in sorted(files):
        for what, why in check(path):
            if what in exceptions:
                used.add(what)
                continue
            print(f"{what}: {why}")
            bad += 1
    for what in sorted(exceptions - used):
        print(f"{what}: no longer needs its exception: take it out of tests/lint/sizes-exceptions.txt")
        bad += 1
    print(f"sizes: {len(files)} files, {bad} too large")
    return 1 if bad else 0


sys.exit(main())
