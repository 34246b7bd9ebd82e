"""An SM2 line on checkpoints: both verifiers, written apart, take it under its key and say so, refuse it under another or when it is missing or was
made with another id, and pass over it when nobody asks; so do witnesses. Its key is made once, by the keeper alone, over restarts and the setting's
turning off and on."""
import base64
import os
import shutil
import stat
import subprocess
import sys

import city
from city import Node, Provider, json_resource, PERSON, SOURCE, wait_for
from test_keeper import keeper_of, memory_holds, secrets_of
from test_witness import Witness, settings

sys.path.insert(0, os.path.join(SOURCE, "tests", "verifier"))
import tlog  # noqa: E402


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def set_sm2(node, on):
    path = os.path.join(node.dir, "sluice.yaml")
    text = read(path).replace(f"  sm2: {str(not on).lower()}  # of this test", f"  sm2: {str(on).lower()}  # of this test")
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def both(node, what, path, *sm2):
    """The exit codes of the two verifiers, and what ours said."""
    keys = ["--vkey", f"{node.dir}/keys/log.vkey", *sum((["--sm2-vkey", k] for k in sm2), [])]
    return node.verified_by_both(what, path, *keys)


def served(node):
    node.city()
    provider = Provider()
    node.publish(json_resource(provider.port), "provider/people")
    node.grant("provider/people", "name", purposes="check")
    return provider


def with_line(note, name, key, sig):
    """The note with this in the place of its SM2 line."""
    text, lines = note.split("\n\n")
    mine = base64.b64encode(key.hash + sig).decode()
    return text + "\n\n" + lines.split("\n")[0] + f"\n— {name} {mine}\n"


def signed_by_openssl(node, key, text, *options):
    path = os.path.join(node.top, "text")
    with open(path, "wb") as f:
        f.write(text)
    der = subprocess.run(["openssl", "pkeyutl", "-sign", "-rawin", "-digest", "sm3", "-inkey", key, "-in", path, *options],
                         capture_output=True, check=True, timeout=30).stdout
    n = der[3]
    r, s = der[4:4 + n], der[6 + n:]
    return b"".join(x.lstrip(b"\0").rjust(32, b"\0") for x in (r, s))


def test_01_both_verifiers_take_it():
    with Node("evidence:\n  sm2: true  # of this test\n") as node:
        served(node)
        vkey, key = f"{node.dir}/keys/log.sm2.vkey", f"{node.dir}/keys/log.sm2.key"
        assert stat.S_IMODE(os.stat(key).st_mode) == 0o600 and read(vkey) == read(f"{node.dir}/log/log.sm2.vkey")
        try:
            assert memory_holds(keeper_of(node), secrets_of(key)) and not memory_holds(node.pid, secrets_of(key))
        except PermissionError:
            print("memory: only root may look", flush=True)
        _, head, _ = node.ask("provider/people", {"id_no": PERSON})
        saved = os.path.join(node.top, "one.proof")
        node.sluice("consumer/app", "--data-server", f"https://{node.data}", "audit", "proof", head["Sluice-Exchange"], "--out", saved, "--vkey",
                    f"{node.dir}/keys/log.vkey")
        assert both(node, "proof", saved) == (0, both(node, "proof", saved)[1]) and "SM2" not in both(node, "proof", saved)[1]
        code, said = both(node, "proof", saved, vkey)
        assert code == 0 and "its SM2 signature holds under the SM2 key given" in said, said
        node.stop()
        code, said = both(node, "log", f"{node.dir}/log", vkey)
        assert code == 0 and "so does its SM2 signature" in said, said
        code, said = both(node, "log", f"{node.dir}/log")
        assert code == 0 and "SM2" not in said, said
        # over restarts the key is the same; off there is no line, and on again the same key signs
        before = read(vkey)
        for on in (True, False, True):
            set_sm2(node, on)
            node.restart()
            assert node.ask("provider/people", {"id_no": PERSON})[0] == 200
            node.stop()
            assert read(vkey) == before and ("sm2" in node.run("audit", "verify", f"{node.dir}/log", "-o", "json").stdout)
            assert read(f"{node.dir}/log/checkpoint").count("\n— ") == 1 + on
            code, said = both(node, "log", f"{node.dir}/log", vkey)
            assert (code == 0) == on, said
            assert on or "sm2-signature" in said, said
        # another node's key, whatever its name, is none of this log's
        with Node("evidence:\n  sm2: true\n") as other:
            stranger = f"{other.dir}/keys/log.sm2.vkey"
            assert both(node, "log", f"{node.dir}/log", stranger)[0] == both(node, "proof", saved, stranger)[0] == 7
            # nor is a key of the wrong kind
            for bad in (f"{node.dir}/keys/log.vkey", "nonsense"):
                assert node.run("audit", "verify", f"{node.dir}/log", "--sm2-vkey", bad, check=False).returncode == 2
            # put in its place, the log is not the settings' any more
            shutil.copy(f"{other.dir}/keys/log.sm2.key", key)
        node.start(wait=False)
        assert node.process.wait(60) == 1 and "log.sm2.vkey is of another origin or key" in read(node.log_path)
        node.process = None


def test_02_what_is_no_such_signature():
    with Node("evidence:\n  sm2: true\n") as node:
        served(node)
        node.stop()
        vkey, key = f"{node.dir}/keys/log.sm2.vkey", f"{node.dir}/keys/log.sm2.key"
        k = tlog.Sm2Key(read(vkey))
        path = f"{node.dir}/log/checkpoint"
        note = read(path)
        text = note.split("\n\n")[0].encode() + b"\n"
        name = k.name.decode()
        distid = "distid:1234567812345678"
        cases = [("openssl's own", signed_by_openssl(node, key, text, "-pkeyopt", distid), 0),
                 ("without the id", signed_by_openssl(node, key, text), 7),
                 ("of another id", signed_by_openssl(node, key, text, "-pkeyopt", "distid:8765432187654321"), 7),
                 ("of another text", signed_by_openssl(node, key, text + b"\n", "-pkeyopt", distid), 7),
                 ("zeros", bytes(64), 7), ("short", b"x" * 63, 7)]
        for what, sig, want in cases:
            with open(path, "w", encoding="utf-8") as f:
                f.write(with_line(note, name, k, sig))
            assert both(node, "log", f"{node.dir}/log", vkey)[0] == want, what
            assert both(node, "log", f"{node.dir}/log")[0] == 0, f"{what}: who does not ask passes over it"


def test_03_witnesses_pass_over_it():
    with Node("") as node:
        log_key = read(f"{node.dir}/keys/log.vkey").strip()
        w = Witness(node.top, "w1.example", log_key).start()
        try:
            node.stop()
            with open(f"{node.dir}/sluice.yaml", "a", encoding="utf-8") as f:
                f.write("\n" + settings([w], "  sm2: true\n"))
            shown = subprocess.run([city.SLUICED, "-c", f"{node.dir}/sluice.yaml", "--check", "-v"], capture_output=True, text=True, env=node.env, timeout=60)
            assert shown.returncode == 0 and "sm2: true" in shown.stdout, shown
            node.start()
            served(node)
            witnessed = f"{node.dir}/log/checkpoint.witnessed"
            wait_for(lambda: os.path.exists(witnessed) and read(witnessed).count("\n— ") == 3)
            c = tlog.Checkpoint(read(witnessed).encode())
            assert c.fault(tlog.Sm2Key(read(f"{node.dir}/keys/log.sm2.vkey"))) is None and c.fault(tlog.Key(log_key)) is None
            node.stop()
            assert node.run("audit", "verify", f"{node.dir}/log", "--vkey", log_key, "--witness", w.vkey, "--sm2-vkey", f"{node.dir}/keys/log.sm2.vkey").returncode == 0
        finally:
            w.stop()


if __name__ == "__main__":
    city.main(globals())
