"""The demonstration: its story holds in both languages on the programs under test, ends what it started and nothing else, and names who holds a port."""
import atexit
import os
import re
import shutil
import socket
import subprocess
import tempfile

import city
from city import BUILD, SOURCE

DEMO = os.path.join(SOURCE, "demo")
TOP = tempfile.mkdtemp(prefix="sluice-story-")
os.chmod(TOP, 0o755)
atexit.register(city.remove, TOP)


def demo(program, *args, ports=None, folder="base"):
    env = dict(os.environ, SLUICE_BUILD=BUILD, SLUICE_DEMO_DIR=os.path.join(TOP, folder))
    env.pop("SLUICE_DEMO_PORTS", None)
    if ports:
        env["SLUICE_DEMO_PORTS"] = " ".join(map(str, ports))
    r = subprocess.run([os.path.join(DEMO, program), *args], capture_output=True, text=True, env=env, stdin=subprocess.DEVNULL, timeout=600)
    return r.returncode, r.stdout + r.stderr


def running(folder="base"):
    """Processes whose command line names the folder."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                if os.path.join(TOP, folder).encode() in f.read():
                    found.append(int(pid))
        except OSError:
            pass
    return found


def steps(text):
    return re.findall(r"^ok +(\d) ", text, re.M)


def transcript(folder="base"):
    path = os.path.join(TOP, folder, "check", "story.txt")
    if not os.path.exists(path):
        return ""
    with open(path, encoding="utf-8", errors="replace") as f:
        return "".join(f.readlines()[-40:])


def test_the_story_holds():
    for language, last in (("en", "All seven steps held"), ("zh", "七个步骤全部成立")):
        code, text = demo("run", "--check", "--lang", language)
        assert code == 0 and steps(text) == list("1234567") and last in text, f"exit {code}\n{text}\n{transcript()}"
        assert not running(), running()


def nothing_runs():
    code, text = demo("stop")
    return code == 0 and text.startswith("Nothing") and text.count("\n") == 1


def test_it_is_kept_and_stopped():
    ports = [city.free_port() for _ in range(6)]
    code, text = demo("run", "--check", "--keep", "--lang", "en", ports=ports)
    assert code == 0, text + transcript()
    for port in ports:
        with socket.create_connection(("127.0.0.1", port), 5):
            pass
    # The commands it ends with are to be tried, and work.
    told = re.findall(r"^  ((?:setpriv|env|curl) .*)$", text, re.M)
    assert len(told) == 3, text
    for line in told:
        r = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=60)
        assert r.returncode == 0 and r.stdout.strip(), (line, r.stdout, r.stderr)
    code, text = demo("stop")
    assert code == 0 and text.startswith("Ended") and text.count("\n") == 1, text
    assert not running(), running()
    for port in ports:
        with socket.socket() as s:
            assert s.connect_ex(("127.0.0.1", port)) != 0, f"port {port} still answers"
    assert nothing_runs()


def test_stop_ends_nothing_else():
    """A number that is noted, but was given to another process since: it is not ours."""
    state = os.path.join(TOP, "base", "check")
    shutil.rmtree(state, ignore_errors=True)
    os.makedirs(state)
    os.chmod(state, 0o777)
    other = subprocess.Popen(["sleep", "600"])
    try:
        with open(os.path.join(state, "sluiced.pid"), "w", encoding="ascii") as f:
            f.write(f"{other.pid} 1\n")
        assert nothing_runs()
        assert other.poll() is None, "demo/stop ended a process that demo/run had not started"
        assert not os.path.exists(os.path.join(state, "sluiced.pid"))
        assert nothing_runs()
    finally:
        other.kill()
        other.wait()
        shutil.rmtree(state)


def test_a_taken_port_is_named_with_its_owner():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        taken = s.getsockname()[1]
        ports = [city.free_port() for _ in range(5)] + [taken]
        code, text = demo("run", "--check", "--lang", "en", ports=ports, folder="taken")
        assert code == 1 and f"Port {taken} is taken" in text, (code, text)
        assert f"process {os.getpid()}" in text or os.getuid() == 0 and "a process of user" in text, text
        assert not running("taken")


def texts(language):
    with open(os.path.join(DEMO, "lib", f"text.{language}.sh"), encoding="utf-8") as f:
        parts = re.split(r"^    \[([a-z_0-9]+)\]=", f.read(), flags=re.M)[1:]
    return dict(zip(parts[::2], parts[1::2]))


def test_both_languages_tell_the_same():
    en, zh = texts("en"), texts("zh")
    assert list(en) == list(zh), set(en) ^ set(zh)
    for name in en:
        assert en[name].count("%s") == zh[name].count("%s"), name
    used = set()
    for folder, names in ((DEMO, ("run", "story.sh")), (os.path.join(DEMO, "lib"), ("tell.sh", "process.sh", "node.sh"))):
        for name in names:
            with open(os.path.join(folder, name), encoding="utf-8") as f:
                used |= set(re.findall(r"(?:^ *|\$\(|\|\| |; |\{ |then |else |\) )(?:tell|text) ([a-z_0-9]+)",
                                       re.sub(r"^ *#.*", "", f.read(), flags=re.M), re.M))
    used |= {f"step{n}" for n in range(1, 8)}
    assert used == set(en), used ^ set(en)


if __name__ == "__main__":
    try:
        city.main(globals())
    finally:
        demo("stop")
        city.remove(TOP)
