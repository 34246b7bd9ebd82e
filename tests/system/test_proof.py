"""The log towards those who do not trust its operator: checkpoint, tiles and proofs on the data listener, entries for auditors."""
import hashlib
import json
import os
import subprocess
import sys
import time

import city
from city import Node, Provider, json_resource, median, wait_for, PERSON, SOURCE

sys.path.insert(0, os.path.join(SOURCE, "tests", "verifier"))
import tlog  # noqa: E402


W = {}


def get(node, path, who="consumer/app", control=False):
    import http.client
    port = node.control_port if control else node.data_port
    c = http.client.HTTPSConnection("127.0.0.1", port, timeout=30, context=node.tls(who))
    c.request("GET", path)
    r = c.getresponse()
    body = r.read()
    c.close()
    return r.status, r.headers, body


def code(answer):
    return answer[0], json.loads(answer[2])["code"]


def people(head, body, s):
    """One person; or so many that the answer is streamed."""
    if not W.get("many"):
        return Provider.one_person(head, body, s)
    rows = [{"id": json.loads(body)["id"], "name": "张三丰", "age": n} for n in range(9000)]
    Provider.reply(s, json.dumps({"code": "0", "rows": rows}, ensure_ascii=False).encode())
    return None


def make(node):
    node.city()
    node.department("third")
    node.enrol("app", "third/app", contact="{person: consumer/chen}")
    node.enrol("app", "provider/app", contact="{person: provider/pat}")
    provider = Provider(people)
    node.publish(json_resource(provider.port), "provider/people")
    node.grant("provider/people", "name", purposes="check")
    with open(os.path.join(node.dir, "log", "log.vkey"), encoding="utf-8") as f:
        return tlog.Key(f.read())


def receipt(headers):
    return dict(p.strip().split("=", 1) for p in headers["Sluice-Receipt"].split(","))


def test_00_setup():
    node = W["node"] = Node()
    node.__enter__()
    W["key"] = make(node)


def test_01_a_proof_for_each_side_and_for_nobody_else():
    node, key = W["node"], W["key"]

    def proved(exchange):
        """The seconds until the proof was there; its answer."""
        began = time.monotonic()
        status, head, body = get(node, "/log/proof/" + exchange)
        assert status == 200, (status, body)
        return time.monotonic() - began, head, body
    status, head, answer = node.ask("provider/people", {"id_no": PERSON})
    assert status == 200, answer
    exchange, told = head["Sluice-Exchange"], receipt(head)
    assert told["origin"] == '"test.example/log/n1"' and int(told["outcome"]) > int(told["intent"]), told
    took, head, body = proved(exchange)
    others = [proved(node.ask("provider/people", {"id_no": PERSON})[1]["Sluice-Exchange"])[0] for _ in range(2)]
    assert median([took, *others]) < 2.0, (took, others)
    assert "intent=" in head["Sluice-Receipt"], head
    proof = json.loads(body)
    assert [r["index"] for r in proof["records"]] == [int(told["intent"]), int(told["outcome"])], proof
    for r in proof["records"]:
        assert tlog.proof_fault(r["proof"].encode(), r["line"].encode(), key) is None
        assert tlog.proof_fault(r["proof"].encode(), r["line"].replace("check", "chock", 1).encode() + b" ", key) == "path"
    intent, outcome = (json.loads(r["line"]) for r in proof["records"])
    assert intent["kind"] == "intent" and intent["purpose"] == "check" and intent["exchange"] == exchange
    assert outcome["kind"] == "outcome" and outcome["reason"] == "granted" and outcome["rows"] == 1
    # what was handed out is what the consumer has; what the provider sent stays a secret to it
    assert hashlib.sha256(bytes.fromhex(proof["salts"]["out"]) + answer).hexdigest() == outcome["digest_out"]
    assert "in" not in proof["salts"]
    theirs = json.loads(get(node, "/log/proof/" + exchange, "provider/app")[2])
    sent = json.dumps({"code": "0", "rows": [{"id": PERSON, "name": "张三丰", "age": 36, "secret": "never"}]}, ensure_ascii=False).encode()
    assert hashlib.sha256(bytes.fromhex(theirs["salts"]["in"]) + sent).hexdigest() == outcome["digest_in"]
    # by the receipt's indexes as well
    status, _, body = get(node, f"/log/proof/{exchange}?intent={told['intent']}&outcome={told['outcome']}")
    assert status == 200 and [r["index"] for r in json.loads(body)["records"]] == [int(told["intent"]), int(told["outcome"])]
    # nobody else, and nothing that says whether there was one
    assert code(get(node, "/log/proof/" + exchange, "third/app")) == (404, "no-proof")
    never = "01a00000-0000-7000-8000-000000000000"
    assert code(get(node, "/log/proof/" + never)) == (404, "no-proof")
    assert code(get(node, "/log/proof/nonsense")) == (404, "not-found")
    status, _, body = get(node, "/log/proof/" + exchange, None)
    assert (status, json.loads(body)["code"]) == (401, "certificate-missing")
    # all of that is on record
    asked = [r for r in node.records() if r.get("resource") == "/log/proof" and r["kind"] == "intent"]
    assert [r["params"]["exchange"] for r in asked].count(exchange) == 4, asked
    apps = {r["subject"].split("/dept/")[1] for r in asked}
    assert apps == {"consumer/app/app", "provider/app/app", "third/app/app"}, apps
    assert node.verify()[0] == 0


def test_02_refusals_have_proofs_too():
    node, key = W["node"], W["key"]
    status, head, _ = node.ask("provider/people", {"id_no": PERSON, "_items": "age"})
    assert status == 403 and "refused=" in head["Sluice-Receipt"], head
    status, _, body = get(node, "/log/proof/" + head["Sluice-Exchange"])
    proof = json.loads(body)
    assert status == 200 and len(proof["records"]) == 1, body
    line = proof["records"][0]["line"]
    assert json.loads(line)["reason"] == "item-not-granted"
    assert tlog.proof_fault(proof["records"][0]["proof"].encode(), line.encode(), key) is None


def test_03_checkpoint_and_tiles_for_known_peers_entries_for_auditors():
    node, key = W["node"], W["key"]
    c = node.connect()
    for _ in range(300):
        assert node.ask("provider/people", {"id_no": PERSON}, connection=c)[0] == 200
    checkpoint = wait_for(lambda: (lambda cp: cp if cp.size > 600 else None)(tlog.Checkpoint(get(node, "/log/checkpoint", "third/app")[2])))
    assert checkpoint.fault(key) is None
    assert tlog.tiles_fault(lambda p: (lambda a: a[2] if a[0] == 200 else None)(get(node, "/log/" + p, "third/app")), checkpoint) is None
    status, head, body = get(node, "/log/tile/0/000")
    assert status == 200 and len(body) == 8192 and "immutable" in head["Cache-Control"] and head["Content-Type"] == "application/octet-stream"
    assert code(get(node, "/log/tile/0/999")) == (404, "not-found")
    assert code(get(node, "/log/tile/0/../../keys/log.key")) == (404, "not-found")
    assert code(get(node, "/log/tile/entries/000")) == (403, "auditors-only")
    assert get(node, "/log/checkpoint", None)[0] == 401
    # the control listener: the same, and entries for the auditor, each on record
    assert get(node, "/log/checkpoint", "provider/pat", True)[0] == 200
    assert code(get(node, "/log/tile/entries/000", "provider/pat", True)) == (403, "auditors-only")
    leaves = tlog.signed_leaves(lambda p: (lambda a: a[2] if a[0] == 200 else None)(get(node, "/log/" + p, "bureau/audrey", True)), checkpoint)
    for path, first in (("tile/entries/000", 0), ("tile/entries/001", 256), (f"tile/entries/002.p/{checkpoint.size - 512}", 512)):
        status, _, body = get(node, "/log/" + path, "bureau/audrey", True)
        assert status == 200, (path, body)
        entries = tlog.bundle_entries(body)
        assert [tlog.leaf_hash(e) for e in entries] == leaves[first:first + len(entries)], path
    read = [r for r in node.records() if r.get("verb") == "audit.entries"]
    assert [r["object"] for r in read][:2] == ["tile/entries/000", "tile/entries/001"], read
    exchange = next(r["exchange"] for r in node.records() if r["kind"] == "intent" and r.get("resource") == "provider/people")
    status, _, body = get(node, "/log/proof/" + exchange, "bureau/audrey", True)
    assert status == 200 and set(json.loads(body)["salts"]) == {"in", "out"}, body
    assert code(get(node, "/log/proof/" + exchange, "provider/pat", True)) == (403, "role-missing")
    assert [r["object"] for r in node.records() if r.get("verb") == "audit.proof"] == [exchange]
    assert code(get(node, "/log/checkpoint.witnessed")) == (404, "not-found"), "none are named"


def log_reads(node):
    return [r["counts"]["log-read"] for r in node.records() if r["kind"] == "count" and "log-read" in r["counts"]]


def test_03b_reads_of_hashes_are_counted_exactly_on_both_listeners():
    with Node(workers=1) as node:
        make(node)
        before = len(node.records())
        for who, control in (("third/app", False), ("bureau/audrey", True)):
            for path in ("/log/checkpoint", "/log/tile/0/000.p/1") * 7:
                assert get(node, path, who, control)[0] == 200
        for path in ("/v1/audit/checkpoint", "/v1/log/checkpoint"):
            assert get(node, path, "bureau/audrey", True)[0] == 200
        asked = 2 * 14 + 2
        wait_for(lambda: sum(log_reads(node)) == asked)
        time.sleep(1.5)
        assert sum(log_reads(node)) == asked, log_reads(node)
        assert len(node.records()) - before <= 16, "the log grows by being watched"
        assert node.verify()[0] == 0


def test_04_reads_of_one_identity_are_bounded():
    with Node("limits: {log_reads: 1}\n", workers=1) as node:
        make(node)
        answers = [get(node, "/log/checkpoint", "third/app") for _ in range(30)]
        codes = [a[0] for a in answers]
        assert codes.count(200) >= 2 and codes.count(429) >= 5, codes
        assert get(node, "/log/checkpoint", "consumer/app")[0] == 200, "another identity is not concerned"


def curl(node, path, *more, who="consumer/app"):
    """Status, the receipts of head and trailer, and all of it, by curl."""
    heads = os.path.join(node.top, "heads")
    r = subprocess.run(["curl", "-sS", "-D", heads, "--cacert", node.ca, "--cert", node.cert(who), "--key", node.key(who), *more,
                        f"https://{node.data}{path}"], capture_output=True, timeout=30)
    assert r.returncode == 0, r.stderr
    with open(heads, "rb") as f:
        head = f.read()
    lines = [line.strip() for line in head.decode().split("\n")]
    return int(lines[0].split()[1]), [line for line in lines if line.lower().startswith("sluice-receipt:")], head + r.stdout


def test_05_receipts_on_every_answer_over_both_protocols():
    node = W["node"]
    body = json.dumps({"id_no": PERSON})
    for protocol in ("--http1.1", "--http2"):
        ask = lambda *more: curl(node, "/x/provider/people", protocol, "--json", *more)  # noqa: E731
        status, receipts, out = ask(body)
        assert status == 200 and len(receipts) == 1 and "intent=" in receipts[0] and "outcome=" in receipts[0], out
        status, receipts, out = ask(json.dumps({"id_no": PERSON, "_items": "age"}))
        assert status == 403 and 'origin="test.example/log/n1", refused=' in receipts[0], out
        status, receipts, out = ask(body, "-H", "Accept: image/png")
        assert status == 406 and "refused=" in receipts[0], out
        status, receipts, out = curl(node, "/x/nowhere", protocol)
        assert status == 404 and "refused=" in receipts[0], out
        W["many"] = True
        status, receipts, out = ask(body)
        W["many"] = False
        assert status == 200 and len(receipts) == 2 and "outcome=" not in receipts[0] and "outcome=" in receipts[1], receipts
        status, receipts, out = curl(node, "/log/checkpoint", protocol)
        assert status == 200 and b"test.example/log/n1\n" in out, out
        exchange = [line for line in ask(body)[2].decode().split("\n") if line.lower().startswith("sluice-exchange:")][0].split(":")[1].strip()
        status, receipts, out = curl(node, "/log/proof/" + exchange, protocol)
        assert status == 200 and "intent=" in receipts[0] and b"tlog-proof@v1" in out, out


def test_09_the_command_line_fetches_and_checks():
    node = W["node"]
    status, head, answer = node.ask("provider/people", {"id_no": PERSON})
    assert status == 200
    exchange, told = head["Sluice-Exchange"], receipt(head)

    def path(name, content=None):
        full = os.path.join(node.top, name)
        if content is not None:
            with open(full, "wb") as f:
                f.write(content)
        return full

    def sluice(*args, who="consumer/app", check=False):
        return node.run("--data-server", f"https://{node.data}", "--ca", node.ca, "--cert", node.cert(who), "--key", node.key(who),
                        "audit", "proof", *args, check=check)

    vkey, saved, body = os.path.join(node.dir, "log", "log.vkey"), path("a.proof"), path("answer.json", answer)
    r = sluice(exchange, "--vkey", vkey, "--out", saved, "--answer", body, "--receipt", head["Sluice-Receipt"])
    assert r.returncode == 0 and "holds: signed by test.example/log/n1" in r.stdout and "purpose check" in r.stdout, (r.stdout, r.stderr)
    assert "does not prove" in r.stdout and "byte for byte, what was handed out" in r.stdout, r.stdout
    r = sluice(exchange, "--vkey", vkey, who="third/app")
    assert r.returncode == 3 and "[no-proof]" in r.stderr, (r.returncode, r.stderr)
    # later, elsewhere, with the key alone
    node.stop()
    offline = lambda *args: node.run("audit", "proof", *args, check=False)  # noqa: E731
    assert offline(saved, "--vkey", vkey).returncode == 0
    zh = offline(saved, "--vkey", vkey, "--answer", body, "--lang", "zh")
    assert zh.returncode == 0 and "证明成立" in zh.stdout and "它不证明" in zh.stdout, zh.stdout
    assert offline(saved).returncode == 2, "a key must be named"
    both = lambda *args: node.verified_by_both("proof", *args, "--vkey", vkey)  # noqa: E731
    assert both(saved)[0] == both(saved, "--answer", body)[0] == 0
    code, said = both(saved, "--answer", path("other.json", answer.replace(b"1", b"2")))
    assert code == 7 and "[answer]" in said, said
    r = offline(saved, "--vkey", vkey, "--sent", body)
    assert r.returncode == 2 and "salt" in r.stderr, r.stderr
    whole = open(saved, "rb").read()
    for old, new, word in ((b'\\"rows\\":1', b'\\"rows\\":2', "line"), (f'index {told["intent"]}'.encode(), b"index 0", "line"),
                           (b"test.example/log/n1", b"test.example/log/n2", "origin"), (exchange.encode(), exchange.encode()[:-1] + b"g", "")):
        assert old in whole, old
        code, said = both(path("forged.proof", whole.replace(old, new)))
        assert code == 7 and (not word or f"[{word}]" in said), (old, said)
    proof = json.loads(whole)
    for change, word in ((lambda p: p["records"].pop(), "order"), (lambda p: p["records"].reverse(), "order"), (lambda p: p["records"].pop(0), "order"),
                         (lambda p: p.update(exchange="01a00000-0000-7000-8000-000000000000"), "exchange"),
                         (lambda p: p["records"][0].update(proof=p["records"][1]["proof"]), "line"), (lambda p: p.update(records=[]), "shape")):
        p = json.loads(whole)
        change(p)
        code, said = both(path("forged.proof", json.dumps(p).encode()))
        assert code == 7 and f"[{word}]" in said, (word, said)
    assert proof["exchange"] == exchange


def test_07_asking_for_nothing_holds_up_nobody():
    node = W["node"]

    def fresh():  # the id of an exchange that may still come
        ms = int(time.time() * 1000)
        return f"{ms >> 16:08x}-{ms & 65535:04x}-7000-8000-000000000000"

    def slow(who):
        c = node.connect(who)
        c.request("GET", "/log/proof/" + fresh())
        return c

    left = [slow("third/app") for _ in range(4)]
    began = time.monotonic()
    waiting = slow("consumer/app")
    took = []
    for _ in range(3):
        at = time.monotonic()
        assert node.ask("provider/people", {"id_no": PERSON})[0] == 200
        took.append(time.monotonic() - at)
    assert median(took) < 2, took
    for c in left:  # they go away while they are waited for
        c.close()
    r = waiting.getresponse()
    body = json.loads(r.read())
    # on a machine that stalls the id may have become too old to be waited for any longer
    assert (r.status, body["code"]) in ((503, "proof-pending"), (404, "no-proof")) and time.monotonic() - began > 3, body
    guesses = [get(node, f"/log/proof/01a0000{n % 10}-0000-7000-8000-0000000000{n:02d}", "third/app")[0] for n in range(30)]
    assert set(guesses) <= {404, 429} and guesses[0] == 404, guesses
    assert get(node, "/log/checkpoint", "consumer/app")[0] == 200
    # a stop does not wait for what will never come, and nothing is left open
    slow("consumer/app")
    node.restart()
    assert node.verify()[0] == 0
    opened = {r["exchange"] for r in node.records() if r["kind"] == "intent"}
    closed = {r["exchange"] for r in node.records() if r["kind"] == "outcome"}
    assert opened == closed, opened ^ closed


def test_08_gateways_are_known_peers():
    node = W["node"]
    files = {"cert": os.path.join(node.dir, "keys", "gateway.pem"), "key": os.path.join(node.dir, "keys", "gateway.key")}
    import http.client
    c = http.client.HTTPSConnection("127.0.0.1", node.data_port, timeout=30, context=node.tls(None, **files))
    c.request("GET", "/log/checkpoint")
    r = c.getresponse()
    assert r.status == 200 and r.read().startswith(b"test.example/log/n1\n")
    c.request("GET", "/log/proof/01a00000-0000-7000-8000-000000000000")
    r = c.getresponse()
    assert (r.status, json.loads(r.read())["code"]) == (404, "no-proof")
    c.close()


def test_99_teardown():
    W["node"].__exit__(None, None, None)


if __name__ == "__main__":
    city.main(globals())
