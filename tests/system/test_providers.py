"""The demonstration's provider systems keep their word: what demo/providers/selftest asks, byte by byte, on ports that are free."""
import os
import subprocess

import city
from city import SOURCE


def test_selftest():
    names = ("HUKOU_PORT", "ESTATE_PORT", "PERMIT_PORT")
    env = dict(os.environ, **{name: str(city.free_port()) for name in names})
    r = subprocess.run([os.path.join(SOURCE, "demo", "providers", "selftest")], capture_output=True, text=True, env=env, stdin=subprocess.DEVNULL, timeout=300)
    said = r.stdout + r.stderr
    assert r.returncode == 0 and said.count("ok   ") >= 30 and "FAIL" not in said, f"exit {r.returncode}\n{said}"


if __name__ == "__main__":
    city.main(globals())
