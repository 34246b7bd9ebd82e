"""The keeper from outside: it is a process of its own that alone holds the private keys; when it is killed nothing more is signed and no exchange
begins, which /readyz, the daemon's log and the refusals say; when it stands still the same, until it moves again; it dies with the daemon; and a log
that its keys did not sign last is refused."""
import base64
import os
import re
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request

import city
from city import Node, Provider, json_resource, PERSON, wait_for


def keeper_of(node):
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as f:
                stat = f.read()
        except OSError:
            continue
        name, rest = stat[stat.index("(") + 1:stat.rindex(")")], stat[stat.rindex(")") + 2:].split()
        if name == "sluice-keeper" and int(rest[1]) == node.pid and rest[0] != "Z":
            return int(pid)
    return None


def runs(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return ") Z " not in f.read()
    except OSError:
        return False


def readyz(node):
    try:
        with urllib.request.urlopen(f"http://{node.operations}/readyz?verbose", timeout=10) as r:
            return r.status, r.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, e.read().decode()


def served(node):
    node.city()
    provider = Provider()
    node.publish(json_resource(provider.port), "provider/people")
    node.grant("provider/people", "name", purposes="check")
    assert node.ask("provider/people", {"id_no": PERSON})[0] == 200
    return provider


def secrets_of(path):
    """The forms in which memory would hold a key: its file's base64 and the private number in it."""
    with open(path, "rb") as f:
        lines = f.read().split(b"\n")
    body = b"".join(lines[1:lines.index(next(l for l in lines[1:] if l.startswith(b"-----")))])
    der = base64.b64decode(body)
    at = der.rindex(b"\x04\x20", 0, 70)  # the private number: an octet string of 32 bytes, PKCS#8 and SEC 1 alike
    text = (at + 2 + 2) // 3 * 4  # where base64 is of the number only; what stands before is the same in every key
    return [body[text:text + 36], der[at + 2:at + 34], der[at + 2:at + 34][::-1]]  # OpenSSL's numbers are little endian


def memory_holds(pid, needles):
    found = False
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in maps:
            m = re.match(r"([0-9a-f]+)-([0-9a-f]+) rw", line)
            if not m:
                continue
            at, end = int(m[1], 16), int(m[2], 16)
            if end - at > 1 << 32:
                continue  # a sanitizer's shadow
            tail = b""
            while at < end:
                try:
                    mem.seek(at)
                    piece = mem.read(min(1 << 22, end - at))
                except OSError:
                    break
                if not piece:
                    break
                found = found or any(n in tail + piece for n in needles)
                tail = piece[-64:]
                at += len(piece)
    return found


def test_01_a_process_of_its_own_holds_the_keys():
    with Node() as node:
        served(node)
        keeper = keeper_of(node)
        assert keeper, "no keeper below the daemon"
        with open(f"/proc/{keeper}/status") as f:
            status = f.read()
        assert re.search(r"Seccomp:\s*2", status) and re.search(r"NoNewPrivs:\s*1", status), status
        needles = secrets_of(f"{node.dir}/keys/log.key") + secrets_of(f"{node.dir}/ca/ca.key")
        try:
            held = memory_holds(keeper, needles)
        except PermissionError:
            print("memory: only root may look; unit/gateway/keeper looks at its own", flush=True)
            return
        assert held, "the search does not find the keys where they are"
        assert not memory_holds(node.pid, needles), "the daemon's memory holds a private key"


def test_02_without_it_nothing_is_signed_and_no_exchange_begins():
    with Node() as node:
        provider = served(node)
        assert readyz(node)[0] == 200
        os.kill(keeper_of(node), signal.SIGKILL)
        wait_for(lambda: readyz(node)[0] == 503)
        assert "[-] keeper: the keeper process has ended" in readyz(node)[1], readyz(node)
        asked = provider.seen
        assert node.reason("provider/people", {"id_no": PERSON}) == (503, "evidence-unsigned")
        assert provider.seen == asked, "the provider was asked"
        assert node.records()[-1]["reason"] == "evidence-unsigned", "a refusal is recorded all the same"
        before = os.stat(f"{node.dir}/log/checkpoint").st_mtime_ns
        time.sleep(1.5)
        assert os.stat(f"{node.dir}/log/checkpoint").st_mtime_ns == before, "somebody signed a checkpoint"
        signed = node.sluice("bureau/security", "cert", "sign", "--app", "consumer/app", "--csr", node.csr("consumer/app"), check=False)
        assert signed.returncode != 0 and "keeper" in signed.stderr, signed
        with open(node.log_path, encoding="utf-8") as f:
            assert '"keeper-gone"' in f.read()
        node.restart()
        assert node.ask("provider/people", {"id_no": PERSON})[0] == 200
        node.stop()
        assert node.verify()[0] == 0


def test_03_it_dies_with_the_daemon():
    with Node() as node:
        node.city()
        keeper = keeper_of(node)
        node.kill()
        wait_for(lambda: not runs(keeper))


def test_04_an_older_copy_of_the_log_is_refused():
    with Node() as node:
        served(node)
        node.stop()
        shutil.copytree(f"{node.dir}/log", f"{node.dir}/log.old")
        node.start()
        for _ in range(5):
            node.ask("provider/people", {"id_no": PERSON})
        node.stop()
        shutil.rmtree(f"{node.dir}/log")
        shutil.move(f"{node.dir}/log.old", f"{node.dir}/log")
        why = refused_start(node)
        assert "its own key signed last" in why, why
        os.unlink(f"{node.dir}/keys/keeper.state")
        why = refused_start(node)
        assert "keeper.state is missing" in why and "restore" in why, why


def stands_still(node, keeper):
    """Meanwhile nothing is signed; afterwards everything is, by the same keeper and without a restart."""
    os.kill(keeper, signal.SIGSTOP)
    node.ask("provider/people", {"id_no": PERSON})
    wait_for(lambda: readyz(node)[0] == 503, 40)
    status, text = readyz(node)
    assert status == 503 and "[-] keeper: the keeper has not answered for 1" in text, text
    # from the next checkpoint that cannot be signed on
    wait_for(lambda: node.reason("provider/people", {"id_no": PERSON}) == (503, "evidence-unsigned"), every=0.2)
    assert node.records()[-1]["reason"] == "evidence-unsigned", "a refusal is recorded all the same"
    before = os.stat(f"{node.dir}/log/checkpoint").st_mtime_ns
    took = []
    for _ in range(3):
        began = time.monotonic()
        signed = node.sluice("bureau/security", "cert", "sign", "--app", "consumer/app", "--csr", node.csr("consumer/app"), check=False)
        assert signed.returncode != 0 and "does not answer" in signed.stderr, signed
        took.append(time.monotonic() - began)
    assert city.median(took) < 5, took
    assert os.stat(f"{node.dir}/log/checkpoint").st_mtime_ns == before
    os.kill(keeper, signal.SIGCONT)
    wait_for(lambda: readyz(node)[0] == 200)
    assert node.ask("provider/people", {"id_no": PERSON})[0] == 200
    node.sluice("bureau/security", "cert", "sign", "--app", "consumer/app", "--csr", node.csr("consumer/app"), "--out", node.cert("consumer/app"))
    size = len(node.records())
    wait_for(lambda: int(open(f"{node.dir}/log/checkpoint", encoding="utf-8").read().split("\n")[1]) >= size)
    assert keeper_of(node) == keeper
    with open(node.log_path, encoding="utf-8") as f:
        log = f.read()
    assert '"keeper-slow"' in log and '"keeper-answers"' in log


def test_05_when_it_stands_still_signing_resumes_by_itself():
    with Node() as node:
        served(node)
        keeper = keeper_of(node)
        stands_still(node, keeper)
        os.kill(keeper, signal.SIGSTOP)  # and when the daemon is to end meanwhile, it ends, and the next one knows what was signed
        node.ask("provider/people", {"id_no": PERSON})
        time.sleep(2)
        node.stop(expect=0)
        node.start()
        assert node.ask("provider/people", {"id_no": PERSON})[0] == 200
        node.stop()
        assert node.verify()[0] == 0


def refused_start(node):
    r = subprocess.run([city.SLUICED, "-c", f"{node.dir}/sluice.yaml"], capture_output=True, timeout=60, env={**os.environ, "LC_ALL": "C"})
    assert r.returncode == 1, r
    return r.stderr.decode()


if __name__ == "__main__":
    city.main(globals())
