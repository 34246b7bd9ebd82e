#!/usr/bin/env python3
"""Functions and words that have no place in the sources."""
import os
import re
import subprocess
import sys

TOP = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
FOLDERS = ["base", "certs", "catalog", "policies", "translate", "connectors", "audit", "gateway", "cli", "tests/unit", "tests/fuzz", "tests/bench"]
UNBOUNDED = re.compile(r"(?<![\w>.])(strcpy|strcat|sprintf|vsprintf|strtok|strtok_r|atoi|atol|atoll|atof|gets|scanf|sscanf|fscanf|alloca)\s*\(")
BARE_MEMORY = re.compile(r"(?<![\w>.])(malloc|calloc|realloc|free|strdup|strndup)\s*\(")
LEFT_OPEN = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
MAY_ALLOCATE = ("base/core/mem.c", "tests/bench/", "tests/unit/", "tests/fuzz/")


def code_only(text):
    """Comments and strings blanked, line numbers kept."""
    def blank(m):
        return re.sub(r"[^\n]", " ", m[0])
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', blank, text, flags=re.S)


def main():
    present = [f for f in FOLDERS if os.path.isdir(os.path.join(TOP, f))]
    files = subprocess.run(["find", *present, "-name", "*.[ch]"], cwd=TOP, capture_output=True, text=True).stdout.split()
    bad = 0
    for path in sorted(files):
        with open(os.path.join(TOP, path), encoding="utf-8") as f:
            text = f.read()
        code = code_only(text).splitlines()
        for number, (line, raw) in enumerate(zip(code, text.splitlines()), 1):
            found = UNBOUNDED.search(line) or (not path.startswith(MAY_ALLOCATE) and BARE_MEMORY.search(line)) or LEFT_OPEN.search(raw)
            if found:
                print(f"{path}:{number}: {found[1]}")
                bad += 1
    print(f"banned: {len(files)} files, {bad} found")
    return 1 if bad else 0


sys.exit(main())
