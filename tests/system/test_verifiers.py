"""Two verifiers, written apart from each other, on the same logs, copies, proofs and forgeries: they agree on every one, and name
the same record."""
import json
import os
import pty
import shutil
import subprocess
import sys
import time

import city
from city import Node, Provider, json_resource, PERSON, SOURCE

sys.path.insert(0, os.path.join(SOURCE, "tests", "verifier"))
import tlog    # noqa: E402
import verify  # noqa: E402

W = {}


def read(path):
    with open(path, "rb") as f:
        return f.read()


def write(path, data):
    with open(path, "wb") as f:
        f.write(data)


def busy(node, n):
    c = node.connect()
    for _ in range(n):
        assert node.ask("provider/people", {"id_no": PERSON}, connection=c)[0] == 200
    c.close()


def test_00_a_log_its_fork_and_kept_checkpoints():
    node = W["node"] = Node("evidence: {segment_bytes: 65536}\n")
    node.__enter__()
    node.city()
    provider = W["provider"] = Provider()
    node.publish(json_resource(provider.port), "provider/people")
    node.grant("provider/people", "name", purposes="check")
    busy(node, 200)
    node.stop()
    early = W["early"] = os.path.join(node.top, "early")
    shutil.copytree(node.dir, early)
    node.start()
    busy(node, 320)
    status, head, W["answer"] = node.ask("provider/people", {"id_no": PERSON})
    r = node.run("--data-server", f"https://{node.data}", "--ca", node.ca, "--cert", node.cert("consumer/app"), "--key", node.key("consumer/app"),
                 "audit", "proof", head["Sluice-Exchange"], "--out", os.path.join(node.top, "a.proof"))
    assert r.returncode == 0, r.stderr
    refused = node.ask("provider/people", {"id_no": "1"})[1]["Sluice-Exchange"]
    time.sleep(1.5)
    r = node.run("--data-server", f"https://{node.data}", "--ca", node.ca, "--cert", node.cert("consumer/app"), "--key", node.key("consumer/app"),
                 "audit", "proof", refused, "--out", os.path.join(node.top, "refused.proof"))
    assert r.returncode == 0, r.stderr
    node.stop()
    W["log"] = os.path.join(node.top, "log")
    shutil.copytree(os.path.join(node.dir, "log"), W["log"])
    W["kept"] = os.path.join(node.top, "kept")
    shutil.copy(os.path.join(W["log"], "checkpoint"), W["kept"])
    # the same node, restored to an earlier day, goes on otherwise: a fork, signed by the same key
    shutil.rmtree(node.dir)
    shutil.copytree(early, node.dir)
    node.start()
    busy(node, 400)
    node.stop()
    W["fork"] = os.path.join(node.top, "fork")
    shutil.copytree(os.path.join(node.dir, "log"), W["fork"])
    W["vkey"] = read(os.path.join(W["log"], "log.vkey")).decode().strip()
    assert tlog.Checkpoint(read(W["kept"])).size > 700


class Copy:
    """A copy of a log to be tampered with."""

    def __init__(self, source="log"):
        self.dir = os.path.join(W["node"].top, "copy")
        shutil.rmtree(self.dir, ignore_errors=True)
        shutil.copytree(W[source], self.dir)
        self.names = sorted(n for n in os.listdir(self.dir) if n.endswith(".seg"))

    def path(self, name):
        return os.path.join(self.dir, name)

    def segment_of(self, index):
        return max(n for n in self.names if int(n[:16]) <= index)

    def lines(self, name):
        return read(self.path(name)).rstrip(b"\0").split(b"\n")[:-1]

    def change(self, index, fn):
        """fn(lines, n) changes the list of lines of the segment that holds the record, which is line n."""
        name = self.segment_of(index)
        lines = self.lines(name)
        fn(lines, index - int(name[:16]))
        write(self.path(name), b"".join(line + b"\n" for line in lines))

    def last_index(self):
        return int(self.names[-1][:16]) + len(self.lines(self.names[-1])) - 1


def stamped(line, index=None):
    """The line with its CRC made anew, as anybody can who can write the file."""
    m = verify.RECORD.fullmatch(line)
    if index is not None:
        line = line[:m.start(1)] + b"%16d" % index + line[m.end(1):]
    blank = line[:m.start(2)] + b"00000000" + line[m.end(2):]
    return blank[:m.start(2)] + b"%08x" % verify.crc32c(blank) + blank[m.end(2):]


def byte_changed(lines, n):
    lines[n] = lines[n].replace(b'"at":"2', b'"at":"3', 1)


def byte_changed_and_stamped(lines, n):
    byte_changed(lines, n)
    lines[n] = stamped(lines[n])


def swapped(lines, n):
    lines[n], lines[n + 1] = lines[n + 1], lines[n]


def swapped_and_stamped(lines, n):
    a, b = verify.record_index(lines[n]), verify.record_index(lines[n + 1])
    lines[n], lines[n + 1] = stamped(lines[n + 1], a), stamped(lines[n], b)


def doubled(lines, n):
    lines.insert(n + 1, lines[n])


def inserted_and_renumbered(lines, n):
    lines.insert(n, lines[n])
    for i in range(n + 1, len(lines)):
        lines[i] = stamped(lines[i], verify.record_index(lines[i]) + 1)


def dropped_and_renumbered(lines, n):
    del lines[n]
    for i in range(n, len(lines)):
        lines[i] = stamped(lines[i], verify.record_index(lines[i]) - 1)


def drop(lines, n):
    del lines[n]


def both(folder, vkey=None, kept=None):
    """The verdicts of both, which must agree; (verified, what, first, last, torn, size) as the command line says it."""
    args = ["audit", "verify", folder, "-o", "json", *(["--vkey", vkey] if vkey else []), *(["--checkpoint", kept] if kept else [])]
    r = subprocess.run([city.SLUICE, *args], capture_output=True, text=True, env=W["node"].env, timeout=120)
    assert r.returncode in (0, 7), r.stderr
    c = json.loads(r.stdout)
    assert c["verified"] == (r.returncode == 0), c
    return agreed(c, verify.Log(folder, tlog.Key(vkey) if vkey else None, tlog.Checkpoint(read(kept)) if kept else None).judge())


def agreed(c, p):
    """Our verdict `c` and the other's of the same log: the same, of the same record."""
    assert c["verified"] == p["verified"], (c, p)
    if c["verified"]:
        assert (c["size"], c["checkpoint_size"], c["torn_tail"]) == (p["size"], p["covered"], p["torn"]), (c, p)
        return c
    if c["bad_index"] == c["bad_last"]:
        assert (c["bad_index"], c["bad_last"]) == (p["first"], p["last"]), (c, p)
    else:
        assert p["first"] <= c["bad_index"] and c["bad_last"] <= p["last"], (c, p)
    assert c["bad"] == p["what"], (c, p)
    return c


def named(folder, index, **more):
    c = both(folder, W["vkey"], **more)
    assert not c["verified"] and c["bad_index"] == c["bad_last"] == index, (index, c)
    return c


def test_01_good_logs():
    for name in ("log", "fork"):
        c = both(W[name], W["vkey"])
        assert c["verified"] and c["segments"] >= 3 and c["checkpoint_size"] == c["size"], c
    assert both(W["log"])["verified"]
    assert both(W["log"], W["vkey"], W["kept"])["verified"]
    c = Copy()
    shutil.rmtree(c.path("tile"))
    assert both(c.dir, W["vkey"])["verified"], "tiles are a convenience"


def test_02_each_kind_of_forgery_is_named_by_both():
    middle = 300
    for change in (byte_changed, byte_changed_and_stamped, swapped, swapped_and_stamped, drop, dropped_and_renumbered, doubled, inserted_and_renumbered):
        for index in (middle, 5, int(Copy().names[1][:16]), Copy().last_index() - 3):
            c = Copy()
            c.change(index, change)
            found = both(c.dir, W["vkey"])
            assert not found["verified"], (change.__name__, index, found)
            # of a record that stands twice, and of one put before its like, either may be the one that was put there
            near = {index, index + 1} if change in (inserted_and_renumbered, doubled, drop, dropped_and_renumbered, swapped) else {index}
            assert found["bad_index"] in near and found["bad_index"] == found["bad_last"], (change.__name__, index, found)


def test_03_truncation_and_torn_tails():
    c = Copy()
    last = c.last_index()
    c.change(last, drop)
    assert named(c.dir, last)["bad"] == "truncated"
    c = Copy()
    name = c.path(c.names[-1])
    write(name, read(name).rstrip(b"\0")[:-40])
    named(c.dir, last)
    c = Copy()
    os.unlink(c.path(c.names[-1]))
    assert named(c.dir, int(c.names[-1][:16]))["bad"] == "truncated"
    c = Copy()
    os.unlink(c.path(c.names[1]))
    named(c.dir, int(c.names[1][:16]))
    c = Copy()
    os.unlink(c.path(c.names[0]))
    found = both(c.dir, W["vkey"])
    assert (found["bad"], found["bad_index"], found["bad_last"]) == ("missing", 0, int(c.names[1][:16]) - 1), found
    for tail in (b'{"v":1,"index":      ', b"\0" * 5000, b"garbage\n\n", b"\0" * 512 + b'{"v":1'):
        c = Copy()
        name = c.path(c.names[-1])
        write(name, read(name).rstrip(b"\0") + tail)
        found = both(c.dir, W["vkey"])
        assert found["verified"] and found["torn_tail"] == bool(tail.strip(b"\0")), (tail, found)
    c = Copy()  # behind zeros, without a line end between, a record is one all the same
    name = c.path(c.names[-1])
    write(name, read(name).rstrip(b"\0") + b"\0" * 600 + stamped(c.lines(c.names[-1])[-1], last + 1) + b"\n")
    found = both(c.dir, W["vkey"])
    assert (found["bad"], found["bad_index"]) == ("inserted", last + 1), found


def test_03b_what_has_no_checkpoint_is_not_verified_by_a_key():
    c = Copy()
    for name in os.listdir(c.dir):
        if name.endswith(".seg") and int(name[:16]) > 0 or name.startswith("checkpoint"):
            os.unlink(c.path(name))
    first = c.lines(c.names[0])[0]
    for left in (first + b"\n", b"", None):
        write(c.path(c.names[0]), left) if left is not None else os.unlink(c.path(c.names[0]))
        found = both(c.dir, W["vkey"])
        assert not found["verified"] and found["bad"] == "checkpoint", found


def test_04_what_was_added_behind_is_not_covered():
    c = Copy()
    last = c.last_index()
    c.change(last, lambda lines, n: lines.append(stamped(lines[n], last + 1)))
    found = both(c.dir, W["vkey"])
    assert found["verified"] and found["size"] == last + 2 and found["checkpoint_size"] == last + 1, found


def test_05_tiles_keys_checkpoints():
    c = Copy()  # tiles that were made to fit the forged record do not have the signed root: a range is all that can be said
    c.change(300, byte_changed_and_stamped)
    forged = c.lines(c.segment_of(300))[300 - int(c.segment_of(300)[:16])]
    hashes = bytearray(read(c.path("tile/0.hashes")))
    hashes[300 * 32:301 * 32] = tlog.leaf_hash(forged)
    write(c.path("tile/0.hashes"), bytes(hashes))
    found = both(c.dir, W["vkey"])
    assert not found["verified"] and found["bad_index"] <= 300 <= found["bad_last"], found
    other = "other.example/log/n1"
    raw = tlog.b64(W["vkey"].split("+", 2)[2])
    import base64
    import hashlib

    def vkey(name, key):
        return f"{name}+{hashlib.sha256(name.encode() + bytes([10]) + key).digest()[:4].hex()}+{base64.b64encode(key).decode()}"

    for wrong in (vkey(other, raw), vkey(W["vkey"].split("+")[0], raw[:1] + bytes(32)), vkey(W["vkey"].split("+")[0], b"\1" + hashlib.sha256(b"x").digest())):
        c = both(W["log"], wrong)
        assert not c["verified"] and c["bad"] == "signature", (wrong, c)
    c = Copy()
    write(c.path("checkpoint"), read(c.path("checkpoint")).replace(b"/n1\n", b"/n2\n", 1))
    assert both(c.dir, W["vkey"])["bad"] == "signature"
    c = Copy()
    note = read(c.path("checkpoint")).split(b"\n")
    note[1] = b"%d" % (int(note[1]) - 1)
    write(c.path("checkpoint"), b"\n".join(note))
    assert both(c.dir, W["vkey"])["bad"] == "signature"
    c = Copy()
    os.unlink(c.path("checkpoint"))
    assert both(c.dir, W["vkey"])["bad"] == "checkpoint"
    c = Copy()
    write(c.path("checkpoint"), b"nonsense\n")
    assert both(c.dir, W["vkey"])["bad"] == "checkpoint"


def test_05b_a_note_is_its_text_and_lines_of_signatures():
    """What is no signature must not stand below the text as if it were signed, and an empty line there ends another text for who looks for the last one."""
    note, kept = read(W["kept"]), os.path.join(W["node"].top, "kept-note")
    text, _, lines = note.partition(b"\n\n")
    unknown = "— another.example/w AAAAAAAA\n".encode()
    for good in (note, text + b"\n\n" + unknown + lines, note + unknown, note + lines):
        c = Copy()
        write(c.path("checkpoint"), good)
        write(kept, good)
        assert both(c.dir, W["vkey"], kept)["verified"], good
    for bad in (note + b"\n" + unknown, text + b"\n\n\n" + lines, note + b"\n", note + b"The log was checked and is whole.\n", text + b"\n\n17\n" + lines, note + unknown[:-5] + b"!\n",
                note + unknown.replace(b"AAAAAAAA", b"AAAAAA=="), note + unknown.replace(b"AAAAAAAA", b"AAAAAAB="), note + unknown.replace(b"another", b"an+other"),
                note + unknown.replace(b" another", b"  another"), note + unknown[4:], note + unknown.replace(b"another", b"\xff"), note + unknown.replace(b"another", b"an\x1bother"),
                note + unknown.replace(b"another", b"an\0other"), note.replace(b"\n", b"\r\n"), note[:-1], text + b"\n\n", text + b"\n", note + unknown * 300):
        c = Copy()
        write(c.path("checkpoint"), bad)
        assert both(c.dir, W["vkey"])["bad"] == "checkpoint", bad


def test_06_forks_and_stale_checkpoints():
    assert both(W["fork"], W["vkey"], W["kept"])["bad"] == "forked"
    old = os.path.join(W["early"], "log")
    assert both(old, W["vkey"])["verified"], "the log of an earlier day holds by itself"
    assert both(old, W["vkey"], W["kept"])["bad"] == "truncated", "who kept a later checkpoint knows better"
    assert both(W["log"], W["vkey"], os.path.join(old, "checkpoint"))["verified"]
    c = Copy()  # a stale checkpoint covers less
    shutil.copy(os.path.join(old, "checkpoint"), c.path("checkpoint"))
    found = both(c.dir, W["vkey"])
    assert found["verified"] and found["checkpoint_size"] < found["size"], found
    kept = os.path.join(W["node"].top, "kept-forged")
    write(kept, read(W["kept"]).replace(b"\n\n", b"\nextra line\n\n"))
    assert both(W["log"], W["vkey"], kept)["bad"] == "signature"


def test_06a_what_only_the_kept_checkpoint_covers_was_altered_and_not_forked():
    """The log's own checkpoint is an old one that was put back: no second history was signed, and none is claimed."""
    covered = tlog.Checkpoint(read(os.path.join(W["early"], "log", "checkpoint"))).size
    for index, tiles in ((covered + 9, True), (covered + 9, False), (covered, True), (Copy().last_index(), True), (int(Copy().names[-1][:16]), True)):
        c = Copy()
        shutil.copy(os.path.join(W["early"], "log", "checkpoint"), c.path("checkpoint"))
        assert both(c.dir, W["vkey"], W["kept"])["verified"]
        c.change(index, byte_changed_and_stamped)
        assert both(c.dir, W["vkey"])["verified"], "nothing that was signed and is here covers it"
        if not tiles:
            shutil.rmtree(c.path("tile"))
        found = both(c.dir, W["vkey"], W["kept"])
        assert found["bad"] == "altered" and (found["bad_index"], found["bad_last"]) == ((index, index) if tiles else (covered, Copy().last_index())), (index, tiles, found)


def test_06b_an_older_checkpoint_is_compared_by_hashes():
    """When its records are not read. Hashes that are missing or wrong accuse nobody."""
    early = os.path.join(W["early"], "log", "checkpoint")
    old, signed = tlog.Checkpoint(read(early)), tlog.Checkpoint(read(W["kept"]))

    def stored(folder):
        def level(n):
            path = os.path.join(folder, "tile", f"{n}.hashes")
            return read(path) if os.path.exists(path) else None
        return tlog.StoredHashes(level).old_root(old.size, signed)

    hashes, tree = tlog.StoredHashes(lambda n: read(os.path.join(W["log"], "tile", f"{n}.hashes"))), tlog.Tree()
    leaves = read(os.path.join(W["log"], "tile", "0.hashes"))
    for n in range(signed.size):
        tree.push(leaves[32 * n:32 * n + 32])
        if n % 7 == 0 or n > 1020:
            assert hashes.old_root(n + 1, signed) == tree.root(), n

    def ours(folder, kept=early):
        names = sorted(n for n in os.listdir(folder) if n.endswith(".seg"))
        for name in names[:-1]:
            os.unlink(os.path.join(folder, name))
        r = subprocess.run([city.SLUICE, "audit", "verify", folder, "-o", "json", "--vkey", W["vkey"], "--checkpoint", kept, "--from", str(int(names[-1][:16]))],
                           capture_output=True, text=True, env=W["node"].env, timeout=120)
        c = json.loads(r.stdout)
        assert c["verified"] == (r.returncode == 0), c
        return c.get("bad")

    c = Copy()
    assert stored(c.dir) == old.root and ours(c.dir) is None
    changed = bytearray(read(c.path("tile/0.hashes")))
    changed[32 * (old.size - 1)] ^= 1
    write(c.path("tile/0.hashes"), bytes(changed))
    assert stored(c.dir) is None and ours(c.dir) == "missing"
    shutil.rmtree(c.path("tile"))
    assert stored(c.dir) is None and ours(c.dir) == "missing"
    assert ours(Copy("fork").dir, W["kept"]) == "forked"


def test_07_proofs():
    node = W["node"]
    whole, saved, answer = read(os.path.join(node.top, "a.proof")), os.path.join(node.top, "p"), os.path.join(node.top, "answer")
    write(answer, W["answer"])

    def agree(data, body=None):
        write(saved, data)
        r = node.run("audit", "proof", saved, "--vkey", W["vkey"], *(["--answer", answer] if body else []), check=False)
        fault = verify.verify_proof(data, tlog.Key(W["vkey"]), W["answer"] if body else None)
        assert r.returncode == (7 if fault else 0), (r.returncode, r.stdout, r.stderr, fault)
        if fault:
            assert f"[{fault[0]}]" in r.stdout, (fault, r.stdout)
        return fault

    assert agree(whole, True) is None
    proof = json.loads(whole)

    def changed(fn):
        p = json.loads(whole)
        fn(p)
        return json.dumps(p).encode()

    text = [r["proof"] for r in proof["records"]]
    hashes = text[0].split("\n")
    faults = [
        changed(lambda p: p["records"].reverse()), changed(lambda p: p["records"].pop()), changed(lambda p: p["records"].pop(0)),
        changed(lambda p: p.update(records=[])), changed(lambda p: p.update(exchange="01a00000-0000-7000-8000-000000000000")),
        changed(lambda p: p["records"][0].update(proof=text[1])), changed(lambda p: p["records"].append(p["records"][1])),
        changed(lambda p: p["records"][1].update(line=p["records"][1]["line"].replace('"rows":1', '"rows":0'))),
        changed(lambda p: p["records"][1].update(line=stamped(p["records"][1]["line"].replace('"rows":1', '"rows":0').encode()).decode())),
        changed(lambda p: p["records"][0].update(proof=text[0].replace(hashes[2], hashes[3], 1))),
        changed(lambda p: p["records"][0].update(proof=text[0].replace(hashes[2] + "\n", "", 1))),
        changed(lambda p: p["records"][0].update(proof=text[0].replace("/n1\n", "/n2\n", 1))),
        changed(lambda p: p["records"][0].update(proof=text[0].replace("c2sp.org/tlog-proof@v1", "c2sp.org/tlog-proof@v2", 1))),
        changed(lambda p: p["records"][0].update(proof=text[0][:-20])),
        changed(lambda p: p["records"][0].update(proof=text[0].replace("index ", "index 0", 1))),
        changed(lambda p: p["records"][0].update(proof=text[0] + "\n— another.example/w AAAAAAAA\n")), changed(lambda p: p["records"][0].update(proof=text[0] + "it was checked\n")),
        changed(lambda p: p["records"][0].update(proof=text[0].replace("\nindex", "\nextra !\nindex", 1))), changed(lambda p: p["records"][0].update(proof=text[0] + "\0")),
        changed(lambda p: p["records"][1].update(proof=text[1].replace("\n\n", "\n" + (hashes[2] + "\n") * 60 + "\n", 1))),
        changed(lambda p: p["records"][0].update(line=p["records"][0]["line"] + " ")), changed(lambda p: p["records"].insert(0, p["records"][0])),
        # what the file says of itself is read by programs, too
        changed(lambda p: p.update(origin="other.example/log/n1")), changed(lambda p: p.pop("origin")), changed(lambda p: p["records"][1].update(index=proof["records"][0]["index"])),
        changed(lambda p: p["records"][0].pop("index")), changed(lambda p: p.update(v=True)), changed(lambda p: p.update(v=1.0)), changed(lambda p: p.update(more=float("nan"))),
        whole.replace(b'"exchange":', b'"exchange":"01a00000-0000-7000-8000-000000000000","exchange":', 1), whole.replace(b'"records":', b'"records":[],"records":', 1),
        whole.replace(b'"line":', b'"line":"","line":', 1), whole + whole, whole + b"x",
    ]
    for data in faults:
        assert agree(data) is not None, data
    assert agree(changed(lambda p: p["records"][0].update(proof=text[0].replace("\nindex", "\nextra AAAA\nindex", 1)))) is None
    assert agree(changed(lambda p: p["salts"].update(out=p["salts"]["out"][:-2])), True) == ("shape", 0), "a salt that was spoilt is not one that was kept back"
    assert agree(changed(lambda p: p["salts"].update(out="00" * 32)), True)[0] == "answer"
    write(saved, changed(lambda p: p["salts"].pop("out")))
    assert node.verified_by_both("proof", saved, "--vkey", W["vkey"], "--answer", answer)[0] == 2
    refused = read(os.path.join(node.top, "refused.proof"))
    assert agree(refused) is None
    assert agree(refused, True) == ("answer", json.loads(refused)["records"][0]["index"]), "a refusal hands out nothing"
    write(answer, W["answer"] + b" ")
    W["answer"] += b" "
    assert agree(whole, True) == ("answer", proof["records"][1]["index"])


def test_07_what_the_page_says_to_do_by_hand():
    with open(os.path.join(SOURCE, "docs", "EVIDENCE.md"), encoding="utf-8") as f:
        by_hand = f.read().split("## By hand")[1].split("```")
    here = os.path.join(W["node"].top, "by-hand")
    os.makedirs(here)
    write(os.path.join(here, "my.vkey"), W["vkey"].encode() + b"\n")
    shutil.copy(W["kept"], os.path.join(here, "checkpoint"))
    shutil.copy(os.path.join(W["node"].top, "a.proof"), here)
    r = subprocess.run(["bash", "-ec", by_hand[1]], cwd=here, capture_output=True, text=True)
    assert r.returncode == 0 and "Verified Successfully" in r.stdout, (r.stdout, r.stderr)
    r = subprocess.run([sys.executable, "-c", by_hand[3]], cwd=here, capture_output=True, text=True)
    assert r.stdout.strip() == "True", (r.stdout, r.stderr)
    write(os.path.join(here, "checkpoint"), read(os.path.join(here, "checkpoint")).replace(b"\n", b"\nx", 1))
    assert subprocess.run(["bash", "-ec", by_hand[1]], cwd=here, capture_output=True).returncode != 0


def test_08_a_log_behind_a_listener():
    node = W["node"]
    node.start()
    out = os.path.join(node.top, "fetched")
    r = node.sluice("bureau/audrey", "audit", "verify", f"https://{node.control}", "--vkey", W["vkey"], "--out", out, "-o", "json", check=False)
    assert r.returncode == 0, (r.stdout, r.stderr)
    told = json.loads(r.stdout)
    assert told["verified"] and told["signature_ok"] and told["size"] == told["checkpoint_size"] > 700, told
    assert both(out, W["vkey"])["verified"]
    r = node.sluice("provider/pat", "audit", "verify", f"https://{node.control}", "--vkey", W["vkey"], check=False)
    assert r.returncode == 4 and "[auditors-only]" in r.stderr, (r.returncode, r.stderr)
    assert len([x for x in node.records() if x.get("verb") == "audit.entries"]) >= 3
    # nothing is kept unless it is asked for, a part is a part, and who sits before a terminal sees how far it is
    node.env["TMPDIR"] = os.path.join(node.top, "there is no such folder")
    ours, theirs = pty.openpty()
    args = ["--server", f"https://{node.control}", "--ca", node.ca, "--cert", node.cert("bureau/audrey"), "--key", node.key("bureau/audrey")]
    r = subprocess.run([city.SLUICE, *args, "audit", "verify", f"https://{node.control}", "--vkey", W["vkey"], "--from", "300", "--to", "400", "--lang", "en"],
                       env=node.env, stdout=subprocess.PIPE, stderr=theirs, text=True, timeout=60)
    os.close(theirs)
    bar = os.read(ours, 4096)
    os.close(ours)
    assert r.returncode == 0 and "verifies: 256 records from 256 on" in r.stdout, (r.stdout, bar)
    assert b"###] 100%" in bar, bar
    del node.env["TMPDIR"]
    assert node.sluice("bureau/audrey", "audit", "verify", f"https://{node.control}", "--vkey", W["vkey"], "--from", "9", "--out", out + "2", check=False).returncode == 2
    # a node that was restored and forged is caught by who kept a checkpoint
    r = node.sluice("bureau/audrey", "audit", "verify", f"https://{node.control}", "--vkey", W["vkey"], "--checkpoint", W["kept"], check=False)
    assert r.returncode == 7 and "kept checkpoint" in r.stdout + r.stderr, (r.stdout, r.stderr)


def test_09_whatever_the_unit_tests_forge():
    """Each log and each proof that the tests of audit/ give a verdict of, forged or not, is left by them to be judged by the other verifier (unit/audit/second.h)."""
    if not os.path.exists(os.path.join(city.BUILD, "audit", "unit-audit-verify")):
        print("skipped: this build has no unit tests", flush=True)  # tests/run makes none with the release build
        return
    logs, ranges, proofs, kinds, running = 0, 0, 0, set(), {}
    for name in ("recover", "faults", "verify", "log", "verify_part", "retention", "proof"):  # they wait much: all at once
        left = os.path.join(W["node"].top, "left-" + name)
        os.mkdir(left)
        with open(left + ".out", "wb") as out:
            running[name] = subprocess.Popen([os.path.join(city.BUILD, "audit", "unit-audit-" + name)], env={**W["node"].env, "SLUICE_SECOND": left}, stdout=out, stderr=out)
    for name in reversed(running):
        left = os.path.join(W["node"].top, "left-" + name)
        assert running[name].wait(600) == 0, read(left + ".out")
        for one in sorted(os.listdir(left)):
            where = os.path.join(left, one)
            if one.startswith("proofs."):
                for line in read(where).splitlines():
                    proof, entry, vkey, said = line.decode().split(" ")
                    found = verify.record_fault(bytes.fromhex(proof), bytes.fromhex(entry), tlog.Key(bytes.fromhex(vkey).decode()))
                    assert (found or "") == said[:-1], (name, proofs, found, said, bytes.fromhex(proof))
                    proofs += 1
                continue
            said, kept = json.loads(read(os.path.join(where, "verdict.json"))), read(os.path.join(where, "kept"))
            try:
                other = verify.Log(os.path.join(where, "log"), tlog.Key(read(os.path.join(where, "vkey")).decode()), tlog.Checkpoint(kept) if kept else None).judge()
                if said["part"]:  # what is wrong in a range is wrong in the whole
                    assert said["verified"] or not other["verified"], (said, other)
                    ranges += 1
                else:
                    agreed(said, other)
                    logs += 1
            except AssertionError as e:
                raise AssertionError(f"{name}, {one}: {e}") from e
            kinds.add(said["bad"])
        shutil.rmtree(left)
    print(f"{logs} logs, {ranges} ranges, {proofs} proofs; {', '.join(sorted(kinds - {''}))}", flush=True)
    assert logs > 150 and ranges > 5 and proofs > 1000
    assert kinds >= {"altered", "missing", "reordered", "inserted", "truncated", "checkpoint", "signature", "forked", "removed-early"}, kinds


def test_10_the_published_vectors():
    """Those that ours is held against by unit/audit/merkle; the wrong ones fail here as well. Subtrees are nothing that the log shows."""
    folder = os.path.join(os.environ.get("SLUICE_CORPUS") or "", "merkle-proofs")
    if not os.path.isdir(folder):
        print("skipped: no corpus; set SLUICE_CORPUS", flush=True)
        return
    tried = 0
    for kind in ("inclusion", "consistency"):
        for base, _, names in os.walk(os.path.join(folder, kind)):
            for name in names:
                v = json.loads(read(os.path.join(base, name)))
                path, hashes = [tlog.b64(h) for h in v["proof"] or []], {k: tlog.b64(v[k] or "") for k in ("root", "leafHash", "root1", "root2") if k in v}
                if kind == "inclusion":
                    good = tlog.inclusion_holds(hashes["leafHash"], v["leafIdx"], v["treeSize"], path, hashes["root"])
                else:
                    good = tlog.consistency_holds(v["size1"], hashes["root1"], v["size2"], hashes["root2"], path)
                assert good == (not v["wantErr"]), (base, name, v)
                tried += 1
    assert tried > 100, tried


def test_99_teardown():
    W["provider"].close()
    W["node"].__exit__(None, None, None)


if __name__ == "__main__":
    city.main(globals())
