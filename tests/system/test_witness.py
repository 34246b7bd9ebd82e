"""Witnesses: real `sluice witness` daemons co-sign the gateway's checkpoints; a proof is shown by a checkpoint with the quorum; a log that was forked
with the very keys is caught; witnesses that are late are said to be, and stop exchanges where the settings say so."""
import base64
import json
import os
import re
import shutil
import ssl
import subprocess
import time
import urllib.error
import urllib.request

import city
from city import Node, Provider, json_resource, PERSON, wait_for


class Witness:
    """A `sluice witness` in a folder of its own."""

    def __init__(self, top, name, *logs, options=()):
        self.dir, self.name, self.logs, self.port, self.process, self.options = os.path.join(top, name), name, logs, 0, None, options
        r = subprocess.run([city.SLUICE, "witness", "init", "--dir", self.dir, "--name", name], capture_output=True, text=True, timeout=30)
        assert r.returncode == 0, r
        self.vkey = r.stdout.strip()

    def start(self):
        args = [city.SLUICE, "witness", "--dir", self.dir, "--listen", f"127.0.0.1:{self.port}", "--lang", "en", *self.options]
        self.process = subprocess.Popen(args + sum((["--log", k] for k in self.logs), []), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        assert "serves on port" in line, line + self.process.stderr.read()
        self.port = int(re.search(r"port (\d+)", line)[1])
        return self

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait(20)
            self.process.stdout.close()
            self.process.stderr.close()
        self.process = None

    def add(self, body):
        try:
            with urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{self.port}/add-checkpoint", body.encode(), method="POST"), timeout=10) as r:
                return r.status, r.read().decode()
        except urllib.error.HTTPError as e:
            return e.code, e.read().decode()


def settings(witnesses, more=""):
    rows = "".join(f"    - {{key: '{w.vkey}', url: 'http://127.0.0.1:{w.port}'}}\n" for w in witnesses)
    return f"evidence:\n  witnesses:\n{rows}{more}"


def city_of(node):
    node.city()
    provider = Provider()
    node.publish(json_resource(provider.port), "provider/people")
    node.grant("provider/people", "name", purposes="check")


def operations(node, path):
    try:
        with urllib.request.urlopen(f"http://{node.operations}{path}", timeout=10) as r:
            return r.status, r.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, e.read().decode()


def metric(node, name):
    return int(re.search(rf"^{name} (\d+)$", operations(node, "/metrics")[1], re.M)[1])


def log_key(node):
    with open(f"{node.dir}/keys/log.vkey") as f:
        return f.read().strip()


def with_witnesses(n, more=""):
    """A node whose settings name n witnesses that run."""
    node = Node()
    node.__enter__()
    witnesses = [Witness(node.top, f"w{i + 1}.example", log_key(node)).start() for i in range(n)]
    node.stop()
    with open(f"{node.dir}/sluice.yaml", "a", encoding="utf-8") as f:
        f.write("\n" + settings(witnesses, more))
    node.start()
    return node, witnesses


def end(node, witnesses):
    for w in witnesses:
        w.stop()
    node.__exit__(None, None, None)


def signers(note):
    return [line.split()[1] for line in note.split("\n\n", 1)[1].strip().split("\n")]


def test_01_checkpoints_are_cosigned_and_proofs_shown_by_them():
    node, witnesses = with_witnesses(2, "  quorum: 2\n")
    try:
        city_of(node)
        status, head, _ = node.ask("provider/people", {"id_no": PERSON})
        assert status == 200
        last = max(r["index"] for r in node.records() if r.get("exchange") == head["Sluice-Exchange"])
        wait_for(lambda: metric(node, "sluice_evidence_witnessed_size") > last)
        note = open(f"{node.dir}/log/checkpoint.witnessed", encoding="utf-8").read()
        assert signers(note) == ["test.example/log/n1", "w1.example", "w2.example"] or set(signers(note)[1:]) == {"w1.example", "w2.example"}, note
        exchange = head["Sluice-Exchange"]
        saved = os.path.join(node.top, "one.proof")
        node.sluice("consumer/app", "--data-server", f"https://{node.data}", "audit", "proof", exchange, "--out", saved, "--vkey", log_key(node))
        shown = json.load(open(saved, encoding="utf-8"))["records"][0]["proof"]
        assert "w1.example" in shown and "w2.example" in shown, shown
        key = ("--vkey", log_key(node))
        by = ["--witness", witnesses[0].vkey, "--witness", witnesses[1].vkey]
        code, out = node.verified_by_both("proof", saved, *key, *by)
        assert code == 0 and "valid: of 2 witnesses 2 have signed" in out, out
        stranger = Witness(node.top, "w3.example", log_key(node)).vkey
        code, out = node.verified_by_both("proof", saved, *key, *by, "--witness", stranger)
        assert code == 7 and "PENDING: of 3 witnesses 2 have signed, 3 are needed" in out, out
        assert node.verified_by_both("proof", saved, *key, *by, "--witness", stranger, "--quorum", "2")[0] == 0
        assert node.run("audit", "proof", saved, *key, *by, "--quorum", "3", check=False).returncode == 2
        status, text = operations(node, "/readyz?verbose")
        assert status == 200 and "w1.example: signs, w2.example: signs" in text, text
        node.stop()
        assert node.verify()[0] == 0
        code, out = node.verified_by_both("log", f"{node.dir}/log", *key, *by)
        assert code == 0 and "valid: of 2 witnesses 2 have signed the first" in out, out
        assert node.verified_by_both("log", f"{node.dir}/log", *key, *by, "--witness", stranger)[0] == 7
        assert node.verified_by_both("log", f"{node.dir}/log", *key, *by, "--witness", stranger, "--quorum", "2")[0] == 0
        os.unlink(f"{node.dir}/log/checkpoint.witnessed")
        assert node.verified_by_both("log", f"{node.dir}/log", *key, *by)[0] == 7
    finally:
        end(node, witnesses)


def test_01b_the_newest_checkpoint_has_the_lines_that_came_and_the_one_with_the_quorum_is_told_apart():
    node, witnesses = with_witnesses(2, "  quorum: 2\n")
    try:
        city_of(node)
        size = len(node.records())
        wait_for(lambda: metric(node, "sluice_evidence_witnessed_size") >= size)
        witnesses[1].stop()
        assert node.ask("provider/people", {"id_no": PERSON})[0] == 200

        # behind an address as in a folder: whose lines count is the verifier's choice, what it is shown by is looked for
        url, key, by = f"https://{node.control}", log_key(node), [w.vkey for w in witnesses]

        def verified(*more):
            args = ("audit", "verify", url, "--vkey", key, *more, "--lang", "en")
            r = node.sluice("bureau/audrey", *args, check=False)
            return r.returncode, r.stdout + r.stderr
        quorum = verified("--witness", by[0], "--witness", by[1])
        assert quorum[0] == 0 and "valid: of 2 witnesses 2 have signed" in quorum[1], quorum
        one = verified("--witness", by[0])
        assert one[0] == 0 and "valid: of 1 witnesses 1 have signed" in one[1], one
        w3 = Witness(node.top, "w3.example", key).vkey
        for more, told in ((("--witness", by[0], "--witness", by[1], "--witness", w3), "PENDING: of 3 witnesses 2"), (("--witness", w3), "PENDING: of 1 witnesses 0")):
            pending = verified(*more)
            assert pending[0] == 7 and told in pending[1], pending

        def both():
            newest, quorum = (node.sluice("bureau/audrey", "audit", "checkpoint", *w).stdout for w in ([], ["--witnessed"]))
            return (newest, quorum) if "w1.example" in newest and "w2.example" not in newest else None
        newest, quorum = wait_for(both, 20)
        assert int(newest.split("\n")[1]) > int(quorum.split("\n")[1]), (newest, quorum)
        assert set(signers(quorum)) == {"test.example/log/n1", "w1.example", "w2.example"}, quorum
        context = node.tls("consumer/app")
        for path, names in (("checkpoint", {"w1.example"}), ("checkpoint.witnessed", {"w1.example", "w2.example"})):
            def seen():
                with urllib.request.urlopen(f"https://{node.data}/log/{path}", context=context, timeout=10) as r:
                    assert r.headers["Content-Type"] == "text/plain; charset=utf-8"
                    return set(signers(r.read().decode())) == names | {"test.example/log/n1"}
            wait_for(seen, 20)
    finally:
        end(node, witnesses)


def three_that_never_were(node):
    """The operator keeps everything, the keys and the keeper's memory too, and puts it back when three exchanges more were witnessed. How many
    records there had been."""
    node.stop()
    before = os.path.join(node.top, "before")
    shutil.copytree(node.dir, before)
    node.start()
    for _ in range(3):
        assert node.ask("provider/people", {"id_no": PERSON})[0] == 200
    size = len(node.records())
    wait_for(lambda: metric(node, "sluice_evidence_witnessed_size") >= size)
    node.stop()
    shutil.rmtree(node.dir)
    shutil.move(before, node.dir)
    node.start()
    return size


def test_02_a_forked_log_is_caught():
    node, witnesses = with_witnesses(1)
    try:
        city_of(node)
        node.ask("provider/people", {"id_no": PERSON})
        size = three_that_never_were(node)
        for _ in range(3):
            assert node.ask("provider/people", {"id_no": PERSON}, headers={"Sluice-Case": "another history"})[0] == 200
        wait_for(lambda: "w1.example: refuses" in operations(node, "/readyz?verbose")[1])
        witnessed = metric(node, "sluice_evidence_witnessed_size")
        time.sleep(1.5)
        assert metric(node, "sluice_evidence_witnessed_size") == witnessed < size
        wait_for(lambda: {".conflict", ".cosigned"} <= {os.path.splitext(f)[1] for f in os.listdir(witnesses[0].dir)})
        for _ in range(9):
            assert node.ask("provider/people", {"id_no": PERSON}, headers={"Sluice-Case": "another history"})[0] == 200
        wait_for(lambda: any(f.endswith(".unproved") for f in os.listdir(witnesses[0].dir)))
        node.stop()
        assert node.verify()[0] == 0, "by itself the forked log verifies: only the witness tells"
        seen = next(f for f in os.listdir(witnesses[0].dir) if f.endswith(".checkpoint"))
        told = node.verified_by_both("log", f"{node.dir}/log", "--vkey", log_key(node), "--checkpoint", os.path.join(witnesses[0].dir, seen))
        assert told[0] == 7 and "forked" in told[1], told  # what the witness has seen convicts the log
    finally:
        end(node, witnesses)


def test_03_late_witnesses_stop_exchanges_when_the_settings_say_so():
    node, witnesses = with_witnesses(2, "  quorum: 1\n  witness_late: stop\n  witness_bound: 5s\n")
    try:
        city_of(node)
        witnesses[0].stop()
        size = len(node.records())
        assert node.ask("provider/people", {"id_no": PERSON})[0] == 200
        wait_for(lambda: metric(node, "sluice_evidence_witnessed_size") > size)  # one of two is the quorum
        witnesses[1].stop()
        assert node.ask("provider/people", {"id_no": PERSON})[0] == 200  # not late yet
        wait_for(lambda: operations(node, "/readyz")[0] == 503, 30)
        assert node.reason("provider/people", {"id_no": PERSON}) == (503, "witness-late")
        assert node.records()[-1]["reason"] == "witness-late"
        assert "LATE, exchanges are stopped" in operations(node, "/readyz?verbose")[1]
        witnesses[1].start()
        wait_for(lambda: operations(node, "/readyz")[0] == 200, 60)
        assert node.ask("provider/people", {"id_no": PERSON})[0] == 200
    finally:
        end(node, witnesses)


def test_04_a_witness_is_hard_to_confuse():
    with Node() as node:
        w = Witness(node.top, "w1.example", log_key(node)).start()
        try:
            note = open(f"{node.dir}/log/checkpoint", encoding="utf-8").read()
            assert w.add("nonsense")[0] == 400
            assert w.add("old 0\n\n" + note.replace("test.example", "other.example"))[0] == 404
            assert w.add("old 0\n\n" + note.replace("\n" + note.split("\n")[1] + "\n", "\n7\n", 1))[0] == 403
            assert w.add("old 5\n\n" + note)[0] in (400, 409)
            assert w.add("x" * 20000)[0] == 413
            status, line = w.add("old 0\n\n" + note)
            assert status == 200 and line.startswith("— w1.example "), line
            raw = base64.b64decode(line.split()[2])
            assert len(raw) == 4 + 8 + 64 and abs(int.from_bytes(raw[4:12], "big") - time.time()) < 60
            assert w.add("old 0\n\n" + note) == (409, note.split("\n")[1] + "\n")
            w.stop()
            w.start()
            assert w.add("old 0\n\n" + note) == (409, note.split("\n")[1] + "\n"), "it forgot over a restart"
            other = subprocess.run([city.SLUICE, "witness", "--dir", w.dir, "--listen", "127.0.0.1:0", "--log", log_key(node)], capture_output=True, timeout=20)
            assert other.returncode != 0, "two witnesses in one folder"
        finally:
            w.stop()
        plain = subprocess.run([city.SLUICE, "witness", "--dir", w.dir, "--listen", "0.0.0.0:0", "--log", log_key(node), "--lang", "en"],
                               capture_output=True, text=True, timeout=20)
        assert plain.returncode != 0 and "TLS" in plain.stderr, plain


def ask_tls(port, node, body, cert=None):
    """The status of an add-checkpoint request with this certificate, or none."""
    c = ssl.create_default_context(cafile=f"{node.dir}/ca/chain.pem")
    if cert:
        c.load_cert_chain(*cert)
    try:
        with urllib.request.urlopen(urllib.request.Request(f"https://127.0.0.1:{port}/add-checkpoint", body.encode(), method="POST"), timeout=10, context=c) as r:
            return r.status, r.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, e.read().decode()


def test_06_a_witness_that_knows_who_asks():
    """With --client-ca only gateways of the named domains are answered; a gateway shows its certificate by itself."""
    with Node() as node, Node() as other:
        own = (f"{node.dir}/keys/gateway.pem", f"{node.dir}/keys/gateway.key")
        tls = ["--cert", own[0], "--key", own[1]]
        known = Witness(node.top, "w1.example", log_key(node), options=[*tls, "--client-ca", f"test.example={node.dir}/ca/chain.pem"]).start()
        foreign = Witness(node.top, "w2.example", log_key(node), options=[*tls, "--client-ca", f"test.example={other.dir}/ca/chain.pem"]).start()
        wrong = Witness(node.top, "w3.example", log_key(node), options=[*tls, "--client-ca", f"elsewhere.example={node.dir}/ca/chain.pem"]).start()
        try:
            city_of(node)
            body = "old 0\n\n" + open(f"{node.dir}/log/checkpoint", encoding="utf-8").read()
            app = (node.cert("consumer/app"), node.key("consumer/app"))
            for cert, why in ((None, "certificate-missing"), (app, "certificate-unknown"),
                              ((f"{other.dir}/keys/gateway.pem", f"{other.dir}/keys/gateway.key"), "certificate-")):
                status, text = ask_tls(known.port, node, body, cert)
                assert status == 403 and why in text, (status, text)
            seen = [f for f in os.listdir(known.dir) if f.endswith(".checkpoint") and open(os.path.join(known.dir, f), "rb").read().strip(b"\0")]
            assert not seen, "somebody unknown was answered"
            node.stop()
            rows = "".join(f"    - {{key: '{w.vkey}', url: 'https://127.0.0.1:{w.port}', ca: ca/chain.pem}}\n" for w in (known, foreign, wrong))
            with open(f"{node.dir}/sluice.yaml", "a", encoding="utf-8") as f:
                f.write(f"\nevidence:\n  witnesses:\n{rows}  quorum: 1\n")
            node.start()
            assert node.ask("provider/people", {"id_no": PERSON})[0] == 200
            size = len(node.records())
            wait_for(lambda: metric(node, "sluice_evidence_witnessed_size") >= size)
            wait_for(lambda: all(f"{w}: {s}" in operations(node, "/readyz?verbose")[1]
                                 for w, s in (("w1.example", "signs"), ("w2.example", "refuses"), ("w3.example", "refuses"))))
            assert ask_tls(known.port, node, body, own)[0] == 409, "the gateway's own certificate is good"
            node.stop()
        finally:
            for w in (known, foreign, wrong):
                w.stop()
        plain = subprocess.run([city.SLUICE, "witness", "--dir", known.dir, "--listen", "127.0.0.1:0", "--log", log_key(node), "--lang", "en",
                                "--client-ca", f"test.example={node.dir}/ca/chain.pem"], capture_output=True, text=True, timeout=20)
        assert plain.returncode != 0 and "takes TLS" in plain.stderr, plain


def test_05_a_server_that_lies_is_no_witness():
    with Node() as node:
        city_of(node)
        other = Witness(node.top, "other", log_key(node)).start()

        def of_another(head, body, s):
            status, line = other.add("old 0\n\n" + body.decode().split("\n\n", 1)[1])
            Provider.reply(s, line.replace("other", "w0.example").encode() if status == 200 else b"", kind="text/plain")

        lies = [of_another, lambda h, b, s: Provider.reply(s, b"x" * 100000), lambda h, b, s: Provider.reply(s, "— w2.example AAAA\n".encode()),
                lambda h, b, s: Provider.reply(s, b"99999999\n", status="409 Conflict"), lambda h, b, s: Provider.reply(s, b"0\n", status="409 Conflict"),
                lambda h, b, s: s.sendall(b"nonsense\r\n\r\n") or False, lambda h, b, s: False, lambda h, b, s: time.sleep(8)]
        liars = [Provider(lie) for lie in lies]
        keys = [Witness(node.top, f"w{i}.example", log_key(node)) for i in range(len(lies))]
        for key, liar in zip(keys, liars):
            key.port = liar.port
        node.stop()
        with open(f"{node.dir}/sluice.yaml", "a", encoding="utf-8") as f:
            f.write("\n" + settings(keys, "  quorum: 1\n"))
        try:
            node.start()
            wait_for(lambda: all(liar.seen for liar in liars), 20)
            assert node.ask("provider/people", {"id_no": PERSON})[0] == 200, "exchanges never wait for witnesses"
            wait_for(lambda: "w0.example: refuses" in operations(node, "/readyz?verbose")[1])
            time.sleep(1)
            assert metric(node, "sluice_evidence_witnessed_size") == 0 and metric(node, "sluice_witnesses_signing") == 0
            assert not os.path.exists(f"{node.dir}/log/checkpoint.witnessed")
            node.stop()
        finally:
            other.stop()
            for liar in liars:
                liar.close()



def test_07_one_that_trickles_holds_nobody_up():
    """A byte now and then, of an answer without end: the others sign on, and exchanges that would stop without them go on."""

    def trickle(head, body, s):
        s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        while True:
            s.sendall(b"x")
            time.sleep(0.3)

    def flood(head, body, s):
        s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        while True:
            s.sendall(b"x" * 10000)
            time.sleep(0.1)

    liars = [Provider(trickle), Provider(flood)]
    node, witnesses = with_witnesses(3, "  quorum: 1\n  witness_late: stop\n  witness_bound: 6s\n")
    try:
        city_of(node)
        for w, liar in zip(witnesses[1:], liars):
            w.stop()
            w.port = liar.port
        node.stop()
        with open(f"{node.dir}/sluice.yaml", encoding="utf-8") as f:
            text = f.read()
        with open(f"{node.dir}/sluice.yaml", "w", encoding="utf-8") as f:
            f.write(text[:text.index("evidence:\n  witnesses:")] + settings(witnesses, "  quorum: 1\n  witness_late: stop\n  witness_bound: 6s\n"))
        node.start()
        wait_for(lambda: all(liar.seen for liar in liars), 20)
        end_at = time.monotonic() + 15
        while time.monotonic() < end_at:
            assert node.ask("provider/people", {"id_no": PERSON})[0] == 200
            time.sleep(0.2)
        text = operations(node, "/readyz?verbose")[1]
        assert "w1.example: signs" in text and "w2.example: unreachable" in text and "w3.example: refuses" in text, text
    finally:
        end(node, witnesses[:1])
        for liar in liars:
            liar.close()


if __name__ == "__main__":
    city.main(globals())
