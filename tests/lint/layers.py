#!/usr/bin/env python3
"""Fails on an include that tests/lint/layers.txt does not allow, and on one that reaches past a folder's front header."""
import os
import re
import subprocess
import sys

TOP = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]')


def read_rules():
    folders, outside = {}, []
    with open(os.path.join(TOP, "tests/lint/layers.txt"), encoding="utf-8") as f:
        for line in f:
            line = line.split("#")[0].strip() if not line.startswith("<") else line.strip()
            if not line:
                continue
            if line.startswith("<"):
                prefix, _, allowed = line.partition("=")
                outside.append((prefix.strip()[1:], allowed.split()))
            else:
                name, _, allowed = line.partition(":")
                folders[name.strip()] = allowed.split()
    return folders, outside


def folder_of(path, folders):
    best = ""
    for name in folders:
        if path.startswith(name + "/") and len(name) > len(best):
            best = name
    return best


def under(path, places):
    return any(path == p or path.startswith(p + "/") for p in places)


def check_own(path, name, folders):
    """An include of the project's own, written from the top."""
    here, there = folder_of(path, folders), folder_of(name, folders)
    if not there:
        return None if os.path.exists(os.path.join(TOP, os.path.dirname(path), name)) else f'"{name}" is in no known folder'
    allowed = folders[here]
    if here == there or "*" in allowed:
        return None
    if there not in allowed:
        return f"{here} may not include {there}"
    front = f"{there}/{there.split('/')[-1]}.h"
    own_parts = name.startswith("base/") and name == front
    if name != front and not own_parts:
        return f'only "{front}" may be included from outside {there}'
    return None


def check_outside(path, name, outside):
    for prefix, allowed in outside:
        if name.startswith(prefix) and not under(path, allowed):
            return f"<{name}> belongs to {' '.join(allowed)}"
    return None


def main():
    folders, outside = read_rules()
    files = subprocess.run(["find", *{f.split("/")[0] for f in folders}, "-name", "*.[ch]"], cwd=TOP, capture_output=True, text=True).stdout.split()
    bad = 0
    for path in sorted(files):
        if not folder_of(path, folders):
            continue
        with open(os.path.join(TOP, path), encoding="utf-8") as f:
            for number, line in enumerate(f, 1):
                m = INCLUDE.match(line)
                if not m:
                    continue
                why = check_own(path, m[2], folders) if m[1] == '"' else check_outside(path, m[2], outside)
                if why:
                    print(f"{path}:{number}: {why}")
                    bad += 1
    print(f"layers: {len(files)} files, {bad} forbidden includes")
    return 1 if bad else 0


sys.exit(main())
