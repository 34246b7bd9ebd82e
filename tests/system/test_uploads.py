"""Files that a consumer sends: byte for byte to the provider, hashed once, never faster than it takes them; and whatever goes wrong midway is cut and on record."""
import hashlib
import json
import os
import random
import re
import select
import socket
import ssl
import struct
import subprocess
import threading
import time
import zlib

import city
import h2
from city import Node

PDF = "application/pdf"
MIB = 1 << 20
PATH = "/x/provider/filing"


def filing_resource(port, name="filing", method="POST", timeout="2s", more=""):
    return f"""kind: Resource
id: provider/{name}
code: 101001/{zlib.crc32(name.encode())}
title: {{zh: 立案材料{name}, en: Filing {name}}}
abstract: a file that consumers send
class: base/population
format: {{class: interface, type: json}}
share: {{type: conditional, condition: tests only, mode: interface}}
open: none
update: daily
contact: {{person: provider/pat, phone: 0543-0000000}}
items:
  - {{name: dossier, title: 电子卷宗, type: G, level: 3}}
  - {{name: size, title: 字节数, type: I}}
  - {{name: sha, title: 摘要, type: C, length: 64}}
connector:
  kind: http
  endpoint: http://127.0.0.1:{port}/in
  tls: {{mode: none, reason: a test on loopback}}
  timeout: {timeout}
  limits: {{in_flight: 1000}}
request:
  method: {method}
  whole: dossier
  types: [application/pdf, application/json]
  params:
    - {{from: case, to: 'header:X-Case'}}
    - {{const: court, to: 'query:desk'}}
response:
  success: {{at: /code, ok: ['0']}}
  records: /rows
  map: {{size: size, sha: sha}}
{more}"""


class Counted:
    """A file that says what has come of it: what is read is waited for whole, so each read is of what is there."""

    def __init__(self, f, taker):
        self.f, self.taker = f, taker
        self.readline = f.readline

    def read(self, n):
        got = b""
        while len(got) < n:
            piece = self.f.read1(n - len(got))
            if not piece:
                break
            got += piece
            self.taker.taken += len(piece)
        return got


class Taker:
    """A provider that takes files. act(taker, head, file, socket) may do anything; True: the next request, on this connection."""

    def __init__(self, act=None):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)  # else a kernel takes it all, whatever its provider does
        self.port = self.listener.getsockname()[1]
        self.act, self.heads, self.connections, self.cuts = act or Taker.store, [], 0, []
        self.taken = 0  # bytes of the file that store() is taking, as they come
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            s = self.listener.accept()[0]
            self.connections += 1
            threading.Thread(target=self._serve, args=(s,), daemon=True).start()

    def _serve(self, s):
        f = s.makefile("rb")
        try:
            while True:
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    line = f.readline()
                    if not line:
                        return
                    head += line
                self.heads.append(head)
                if not self.act(self, head, f, s):
                    return
        except OSError:
            pass
        finally:
            f.close()
            s.close()

    @staticmethod
    def pieces(head, f):
        """The body by its framing; EOFError when it was cut."""
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if line)
        assert (b"content-length" in fields) != (b"transfer-encoding" in fields), head
        if b"content-length" in fields:
            left = int(fields[b"content-length"])
            while left:
                piece = f.read(min(left, 65536))
                if not piece:
                    raise EOFError
                left -= len(piece)
                yield piece
            return
        while True:
            line = f.readline()
            if not line:
                raise EOFError
            n = int(line, 16)
            piece = f.read(n)
            if len(piece) < n or f.readline() != b"\r\n":
                raise EOFError
            if n == 0:
                return
            yield piece

    def store(self, head, f, s):
        digest, size, self.taken = hashlib.sha256(), 0, 0
        try:
            for piece in Taker.pieces(head, Counted(f, self)):
                digest.update(piece)
                size += len(piece)
        except (EOFError, OSError):
            self.cuts.append((size, time.monotonic()))
            return False
        return self.said(s, [{"size": size, "sha": digest.hexdigest()}])

    @staticmethod
    def said(s, rows, status="200 OK", code="0"):
        body = json.dumps({"code": code, "rows": rows}).encode()
        s.sendall(f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        return True


def noise(size, seed=7):
    return random.Random(seed).randbytes(size)


def outcomes():
    return [r for r in NODE.records() if r["kind"] == "outcome"]


def outcome(reason):
    """The last outcome, once it has this reason."""
    return city.wait_for(lambda: (lambda last: last if last["reason"] == reason else None)(outcomes()[-1]))


def send(body, kind=PDF, chunk=0, path=PATH, method="POST", more=None):
    """One upload by HTTP/1, whose answer is heard while it is sent: (status, answer, head)."""
    head = {"Host": "g", **({"Content-Type": kind} if kind else {}), **(more or {}), **({"Transfer-Encoding": "chunked"} if chunk else {"Content-Length": str(len(body))})}
    s = NODE.tls().wrap_socket(socket.create_connection(("127.0.0.1", NODE.data_port)), server_hostname="127.0.0.1")
    s.sendall(f"{method} {path} HTTP/1.1\r\n{''.join(f'{k}: {v}' + chr(13) + chr(10) for k, v in head.items())}\r\n".encode())

    if not chunk:
        return told(s, body)
    return told(s, b"".join(b"%x\r\n%s\r\n" % (len(body[i:i + chunk]), body[i:i + chunk]) for i in range(0, len(body), chunk)) + b"0\r\n\r\n")


def code_of(told):
    return told[0], told[1]["code"]


def begin(length=100 * MIB, more=b"", framing=None):
    """A raw connection that has said its head."""
    s = NODE.tls().wrap_socket(socket.create_connection(("127.0.0.1", NODE.data_port)), server_hostname="127.0.0.1")
    framing = framing or b"Content-Length: %d" % length
    s.sendall(b"POST " + PATH.encode() + b" HTTP/1.1\r\nHost: g\r\nContent-Type: application/pdf\r\n" + framing + b"\r\n" + more + b"\r\n")
    return s


def told(s, body=b"", seconds=15):
    """Status, body and head of the answer that comes on a raw connection, while so much is sent."""
    end, got, length, at = time.monotonic() + seconds, b"", None, 0
    s.setblocking(False)
    while time.monotonic() < end and (length is None or len(got) < length):
        select.select([s], [s] if at < len(body) else [], [], 0.1)
        try:
            if at < len(body):
                at += s.send(memoryview(body)[at:at + 65536])
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except OSError:
            at = len(body)  # it listens no more; what it said may be there
        try:
            piece = s.recv(65536)
            if not piece:
                break
            got += piece
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            continue
        except OSError:
            break
        if length is None and b"\r\n\r\n" in got:
            length = got.index(b"\r\n\r\n") + 4 + int(re.search(rb"Content-Length: (\d+)", got)[1])
    s.close()
    head, _, answer = got.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), json.loads(answer), dict(line.decode().split(": ", 1) for line in head.split(b"\r\n")[1:])


def test_00_setup():
    global NODE, P
    NODE = Node("limits: {body_time: 1s, upload: 4m, drain: 1s}\n")
    NODE.__enter__()
    NODE.city()
    P = Taker()
    NODE.publish(filing_resource(P.port), "provider/filing")


def test_01_nobody_sends_a_file_without_a_grant_for_it():
    assert code_of(send(b"%PDF")) == (403, "no-grant")
    global GRANT
    GRANT = NODE.grant("provider/filing", "size,sha")
    assert code_of(send(b"%PDF")) == (403, "item-not-granted")
    assert P.connections == 0
    NODE.sluice("provider/pat", "grant", "revoke", GRANT, "--note", "another one")
    GRANT = NODE.grant("provider/filing", "dossier,size,sha")
    asked = NODE.json("bureau/ann", "request", "show", "r2")
    assert asked["resources"] == [{"resource": "provider/filing", "version": 1, "items": ["dossier", "size", "sha"], "clear": [], "part": 1, "sends": "dossier"}], asked
    assert send(b"%PDF")[0] == 200
    intent = [r for r in NODE.records() if r["kind"] == "intent"][-1]
    assert intent["items"] == ["dossier", "size", "sha"] and "params" not in intent, intent


def test_02_every_size_arrives_byte_for_byte_and_is_hashed():
    for size in (1, 4095, 16384, 16385, 65536, 65537, 3 * MIB + 1):
        body = noise(size)
        for chunk in (0, 5000, 70000):
            status, answer, _ = send(body, chunk=chunk)
            assert status == 200 and answer["records"] == [{"size": size, "sha": hashlib.sha256(body).hexdigest()}], (size, chunk, answer)
            last = outcomes()[-1]
            assert last["bytes_upload"] == size and len(last["digest_upload"]) == 64 and last["rows"] == 1, last
            assert (b"Content-Length: %d\r\n" % size in P.heads[-1]) == (chunk == 0), P.heads[-1]
    assert b"POST /in?desk=court HTTP/1.1\r\n" in P.heads[-1] and b"Content-Type: application/pdf\r\n" in P.heads[-1], P.heads[-1]
    send(b"{}", kind="Application/JSON; charset=utf-8", more={"Sluice-Case": "2026-17"})
    assert b"Content-Type: application/json\r\n" in P.heads[-1] and b"X-Case: 2026-17\r\n" in P.heads[-1], P.heads[-1]


def test_03_the_proof_shows_what_was_handed_on():
    body = noise(100_000)
    _, _, head = send(body)
    c = NODE.connect()
    c.request("GET", "/log/proof/" + head["Sluice-Exchange"])
    proof = json.loads(c.getresponse().read())
    c.close()
    assert set(proof["salts"]) == {"out", "upload"}, proof["salts"]
    last = json.loads(proof["records"][1]["line"])
    assert hashlib.sha256(bytes.fromhex(proof["salts"]["upload"]) + body).hexdigest() == last["digest_upload"]
    rows = NODE.run("--server", f"https://{NODE.control}", "--ca", NODE.ca, "--cert", NODE.cert("bureau/audrey"), "--key", NODE.key("bureau/audrey"),
                    "audit", "search", "--resource", "provider/filing", "-o", "csv").stdout
    assert ",bytes,sent," in rows.split("\n", maxsplit=1)[0] and ",100000," in rows, rows[:2000]
    names = [os.path.join(NODE.dir, n) for n in ("proof.json", "sent.pdf", "other.pdf")]
    for name, text in zip(names, (json.dumps(proof).encode(), body, body[:-1] + b"?")):
        with open(name, "wb") as f:
            f.write(text)
    with open(os.path.join(NODE.dir, "keys", "log.vkey"), encoding="ascii") as f:
        key = f.read().strip()
    for file, code in ((names[1], 0), (names[2], 7)):
        assert NODE.verified_by_both("proof", names[0], "--vkey", key, "--upload", file)[0] == code
    status, head, _ = NODE.ask("provider/filing", {}, headers={"Content-Type": PDF})  # the body is b"{}"
    assert status == 200


def test_04_what_is_no_such_file_is_refused_before_anything_is_asked():
    asked = P.connections
    assert code_of(send(b"x", kind="image/png")) == (415, "unsupported-type")
    assert code_of(send(b"x", kind=None)) == (415, "unsupported-type")
    assert code_of(send(b"")) == (400, "request-malformed")
    assert code_of(send(b"x", path=PATH + "?a=b")) == (400, "parameter-invalid")
    assert code_of(send(b"", kind=None, method="GET")) == (405, "method-not-allowed")
    assert code_of(told(begin(4 * MIB + 1))) == (413, "request-too-large")
    assert code_of(told(begin(4, more=b"Content-Type: application/pdf\r\n"))) == (415, "unsupported-type")
    for coded in ("gzip", "identity, gzip", ""):  # the provider would take it for the file itself
        assert code_of(send(b"\x1f\x8b", more={"Content-Encoding": coded})) == (415, "unsupported-type"), coded
    assert P.connections == asked
    assert send(b"x", more={"Content-Encoding": "identity"})[0] == 200
    seen = len(P.cuts)
    assert code_of(told(begin(framing=b"Transfer-Encoding: chunked"), b"0\r\n\r\n")) == (400, "request-malformed")
    city.wait_for(lambda: len(P.cuts) > seen)  # and the provider has no whole, empty file
    # what a resource of parameters takes is what it took
    NODE.publish(city.json_resource(P.port, "people"), "provider/people")
    NODE.grant("provider/people", "name")
    assert code_of(send(b"x", kind=PDF, path="/x/provider/people")) == (415, "unsupported-type")
    assert code_of(send(b"x" * (MIB + 1), kind="application/json", path="/x/provider/people")) == (413, "request-too-large")


def test_05_in_chunks_too_it_may_be_so_long_and_no_longer():
    seen = len(P.cuts)
    s = begin(framing=b"Transfer-Encoding: chunked")
    assert code_of(told(s, b"%x\r\n%s\r\n" % (60000, b"x" * 60000) * 200)) == (413, "request-too-large")
    assert 3 * MIB < outcome("request-too-large")["bytes_upload"] <= 4 * MIB
    city.wait_for(lambda: len(P.cuts) > seen)


def test_06_expect_is_answered_when_the_intent_is_durable_and_the_provider_listens():
    s = begin(10, more=b"Expect: 100-continue\r\n")
    s.settimeout(5)
    assert s.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert [r["kind"] for r in NODE.records()][-1] == "intent" and len(P.heads) > 0
    s.sendall(b"0123456789")
    assert s.recv(1000).startswith(b"HTTP/1.1 200 ")
    s.close()
    s = begin(10, more=b"Expect: 100-continue\r\nSluice-Purpose: another\r\n")
    assert code_of(told(s)) == (403, "purpose-not-granted")


def test_07_a_provider_that_answers_too_soon_is_not_believed():
    def early(status, code):
        def act(taker, head, f, s):
            f.read(100_000)
            taker.said(s, [{"size": 1, "sha": "x"}], status, code)
            try:
                for _ in range(1000):  # listens on, for the worst: it says that all is well
                    if not f.read(1000):
                        break
            except OSError:
                pass
            taker.cuts.append(0)
            return False
        return act
    body = noise(3 * MIB)
    for status, code, want in (("413 Content Too Large", "9", "provider-refused"), ("500 x", "0", "provider-refused"), ("200 OK", "0", "provider-malformed")):
        P.act, seen = early(status, code), len(P.cuts)
        assert code_of(send(body)) == (502, want), status
        city.wait_for(lambda seen=seen: len(P.cuts) > seen)
    P.act = Taker.store


def test_08_a_provider_that_fails_midway():
    def reset(taker, head, f, s):
        f.read(100_000)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False

    def stall(taker, head, f, s):
        f.read(100_000)
        time.sleep(6)
        return False

    def silent(taker, head, f, s):
        list(Taker.pieces(head, f))
        time.sleep(6)
        return False

    body = noise(4 * MIB)
    for act, want in ((reset, (502, "provider-cut")), (stall, (504, "provider-timeout")), (silent, (504, "provider-timeout"))):
        P.act = act
        said = send(body)
        assert code_of(said) == want and said[1]["provider_reached"] == "unknown", (said, act)
        last = outcome(want[1])
        assert last.get("duration_ms", 0) < 5000 and 0 < last["bytes_upload"] <= len(body), last
    P.act = Taker.store


def test_09_a_provider_that_takes_its_time_is_waited_for():
    def slow(taker, head, f, s):
        for _ in range(4):
            f.read(200_000)
            time.sleep(0.8)  # each less than its time-out, all more than the consumer's
        return taker.store(b"x\r\nContent-Length: %d\r\n\r\n" % (len(body) - 800_000), f, s)
    body = noise(4 * MIB)
    P.act = slow
    status, answer, _ = send(body)
    P.act = Taker.store
    assert status == 200 and answer["records"][0]["size"] == len(body) - 800_000, answer


def test_10_a_consumer_that_trickles_or_leaves_is_cut_and_so_is_the_provider():
    seen = len(P.cuts)
    s = begin(MIB)
    s.sendall(b"x" * 1000)
    s.settimeout(10)
    for _ in range(20):
        time.sleep(0.2)
        try:
            s.sendall(b"y")
        except OSError:
            break
    else:
        raise AssertionError("it was not cut")
    assert 1000 < outcome("request-timeout")["bytes_upload"] < 1020
    city.wait_for(lambda: len(P.cuts) > seen)
    s = begin(framing=b"Transfer-Encoding: chunked")
    asked = len(P.heads)
    s.sendall(b"5\r\nhello\r\n")
    city.wait_for(lambda: len(P.heads) > asked and P.taken == 5)
    s.close()
    city.wait_for(lambda: len(P.cuts) > seen + 1)
    assert P.cuts[-1][0] == 5, P.cuts[-1]
    gone = outcome("consumer-gone")
    assert gone["bytes_upload"] == 5 and "digest_upload" in gone, gone
    s = begin(framing=b"Transfer-Encoding: chunked")
    asked = len(P.heads)
    s.sendall(b"5\r\nhello\r\n")
    city.wait_for(lambda: len(P.heads) > asked and P.taken == 5)
    s.sendall(b"no chunk\r\n")
    assert outcome("request-malformed")["bytes_upload"] == 5


def test_11_revoking_cuts_what_runs():
    def cut(grant):
        """How long after the revocation was answered the provider saw the end."""
        seen, asked = len(P.cuts), len(P.heads)
        s = begin(MIB)
        s.sendall(b"x" * 10_000)
        city.wait_for(lambda: len(P.heads) > asked and P.taken == 10_000)
        NODE.sluice("provider/pat", "grant", "revoke", grant, "--note", "enough")
        done = time.monotonic()
        city.wait_for(lambda: len(P.cuts) > seen, every=0.005)
        assert code_of(told(s)) == (403, "revoked")
        assert outcome("revoked")["bytes_upload"] == 10_000
        return P.cuts[-1][1] - done
    took = [cut(GRANT)] + [cut(NODE.grant("provider/filing", "dossier,size,sha")) for _ in range(2)]
    assert city.median(took) < 0.1, took
    NODE.grant("provider/filing", "dossier,size,sha")


def test_12_each_has_a_connection_of_its_own_for_it_cannot_be_sent_again():
    before = P.connections
    for _ in range(3):
        assert send(b"%PDF")[0] == 200
    assert P.connections == before + 3


def test_13_over_http2_too():
    body = noise(3 * MIB + 5)
    name = os.path.join(NODE.dir, "sent.bin")
    with open(name, "wb") as f:
        f.write(body)
    for more in ([], ["-H", "Content-Length:"], ["-H", "Expect: 100-continue"]):
        r = subprocess.run(["curl", "-sS", "--http2", "--cacert", NODE.ca, "--cert", NODE.cert("consumer/app"), "--key", NODE.key("consumer/app"),
                            "-H", f"Content-Type: {PDF}", *more, "--data-binary", "@" + name, "-w", "\n%{http_version} %{http_code}", f"https://localhost:{NODE.data_port}{PATH}"],
                           capture_output=True, text=True, check=False)
        answer, _, code = r.stdout.partition("\n")
        assert code == "2 200" and json.loads(answer)["records"][0]["sha"] == hashlib.sha256(body).hexdigest(), (r.stdout, r.stderr)


def test_14_over_http2_windows_open_as_the_provider_takes():
    release = threading.Event()

    def held(taker, head, f, s):
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        release.wait(10)
        return taker.store(head, f, s)
    P.act = held
    c = h2.Client(NODE)
    stream = c.ask(path=PATH, more=[("content-type", PDF)], end=False)
    sent, block = 0, b"z" * 16384
    window = 65536

    def opened():
        return 65536 + sum(struct.unpack(">I", f[3])[0] for f in c.of(h2.WINDOW, stream))
    for _ in range(40):
        c.read(0.02)
        while sent + len(block) <= opened():
            c.send(h2.frame(h2.DATA, 0, stream, block))
            sent += len(block)
    window = opened()
    assert window < 4 * MIB and sent > 65536 - 16384, window  # the kernel's buffers, a window, and no more
    quick = c.ask(path="/x/provider/people", body=b"{}")
    assert c.answer(quick)[0] == 400  # others go on meanwhile: a parameter is missing
    release.set()
    total = sent + 100_000
    while sent < total:
        n = min(16384, total - sent)
        assert c.until(lambda: opened() >= sent + n, 10)
        sent += n
        c.send(h2.frame(h2.DATA, h2.END_STREAM if sent == total else 0, stream, b"z" * n))
    status, answer, ended = c.answer(stream)
    assert status == 200 and ended == "end" and json.loads(answer)["records"][0]["size"] == total, (status, answer)
    P.act = Taker.store
    seen, asked = len(P.cuts), len(P.heads)
    stream = c.ask(path=PATH, more=[("content-type", PDF)], end=False)
    c.send(h2.frame(h2.DATA, 0, stream, b"hello"))
    city.wait_for(lambda: len(P.heads) > asked and P.taken == 5)
    c.send(h2.frame(h2.RST, 0, stream, h2.u32(h2.CANCEL)))
    assert outcome("consumer-gone")["bytes_upload"] == 5
    city.wait_for(lambda: len(P.cuts) > seen)
    empty = c.ask(path=PATH, more=[("content-type", PDF)], body=b"")  # its end is there before it is wanted, and holds no place
    status, answer, ended = c.answer(empty)
    assert status == 400 and b"request-malformed" in answer and ended == "end", (status, answer, ended)
    assert outcome("request-malformed").get("bytes_upload", 0) == 0  # whether its provider was connected by then or not
    c.close()


def test_15_manifests_that_cannot_be_are_told_with_their_places():
    for change, says in ((("types: [application/pdf, application/json]", "types: []"), "needs types"),
                         (("method: POST", "safe: true"), "leave safe out"),
                         (("{const: court, to: 'query:desk'}", "{param: desk, to: 'query:desk'}"), "no parameters"),
                         (("kind: http", "kind: soap\n  operation: {namespace: u, name: n}"), "never a file"),
                         (("whole: dossier", "whole: paper"), "declare it")):
        r = NODE.apply("provider/pat", filing_resource(P.port).replace(*change), check=False)
        assert r.returncode != 0 and says in r.stdout + r.stderr and ":" in r.stderr + r.stdout, (change, r.stdout, r.stderr)


def test_16_a_crash_leaves_it_on_record_as_interrupted():
    seen, asked = len(P.cuts), len(P.heads)
    s = begin(MIB)
    s.sendall(b"x" * 10_000)
    city.wait_for(lambda: len(P.heads) > asked)
    city.wait_for(lambda: [r["kind"] for r in NODE.records()][-1] == "intent")
    exchange = NODE.records()[-1]["exchange"]
    NODE.kill()
    city.wait_for(lambda: len(P.cuts) > seen)
    NODE.start()
    last = [r for r in NODE.records() if r.get("exchange") == exchange][-1]
    assert last["kind"] == "outcome" and last["reason"] == "interrupted", last
    s.close()
    assert send(b"%PDF")[0] == 200


def test_17_a_stop_cuts_what_does_not_end():
    asked = len(P.heads)
    s = begin(MIB)
    s.sendall(b"x" * 10_000)
    city.wait_for(lambda: len(P.heads) > asked and P.taken == 10_000)
    NODE.stop()
    last = outcomes()[-1]
    assert last["bytes_upload"] == 10_000 and last["reason"] != "granted", last
    s.close()


def test_99_teardown():
    code, text = NODE.verify()
    assert code == 0, text
    NODE.__exit__(None, None, None)


if __name__ == "__main__":
    city.main(globals())
