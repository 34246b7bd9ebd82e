"""The provider that all targets share: nginx with answers of three sizes, made for the run."""
import grp
import json
import os
import pathlib
import pwd
import string

from .process import Process, free_port

HERE = pathlib.Path(__file__).resolve().parent.parent
SIZES = {"1k": 1024, "64k": 64 * 1024, "10m": 10 * 1024 * 1024}


def account():
    """Servers started as root stay who they are: their files lie in a directory that only this account reads."""
    return {"user": pwd.getpwuid(os.getuid()).pw_name, "group": grp.getgrgid(os.getgid()).gr_name}


def fill(template, out, **values):
    """Write a configuration from a template; an unknown ${name} is an error."""
    out.write_text(string.Template((HERE / template).read_text()).substitute(account() | values))
    return out


def answer(size):
    """Exactly `size` bytes of records; the last one's note fills the rest. ASCII, so that bytes are characters."""
    record = {"id": "00000000", "name": "Bench Person", "division": "990101", "relation": "02", "since": "2019-08-31",
              "note": ""}
    records = []
    whole = len(json.dumps(record | {"note": "n" * 64}, separators=(",", ":"))) + 1
    for i in range(max(1, size // whole - 1)):
        records.append(record | {"id": f"{i:08d}", "note": "n" * 64})
    short = size - len(json.dumps({"records": records}, separators=(",", ":")))
    records[-1] = records[-1] | {"note": "n" * (64 + short)}
    text = json.dumps({"records": records}, separators=(",", ":"))
    if len(text) != size:
        raise AssertionError(f"answer of {len(text)} bytes, wanted {size}")
    return text


class Upstream:
    def __init__(self, directory):
        answers = directory / "answers"
        answers.mkdir()
        for name, size in SIZES.items():
            (answers / name).write_text(answer(size))
        self.port = free_port()
        config = fill("upstream/nginx.conf.in", directory / "upstream.conf", dir=directory, port=self.port,
                      answer_1k=answer(SIZES["1k"]))
        command = ["nginx", "-c", config, "-e", directory / "upstream-error.log", "-g", "daemon off;"]
        self.process = Process("upstream", command, directory)
        self.process.wait_port(self.port, 10)
