"""Files pass unread: byte for byte, hashed once, with back-pressure; and whatever could be no file is refused or cut."""
import hashlib
import http.client
import json
import os
import random
import re
import socket
import time
import zlib

import city
from city import Node, Provider

PDF = "application/pdf"
MIB = 1 << 20


def file_resource(port, name="dossier", safe="true", timeout="5s", more=""):
    return f"""kind: Resource
id: provider/{name}
code: 101001/{zlib.crc32(name.encode())}
title: {{zh: 电子卷宗{name}, en: Dossier {name}}}
abstract: a file for tests
class: base/population
format: {{class: file, type: pdf}}
share: {{type: conditional, condition: tests only, mode: file}}
open: none
update: daily
contact: {{person: provider/pat, phone: 0543-0000000}}
items:
  - {{name: dossier, title: 电子卷宗, type: G, level: 3}}
connector:
  kind: http
  endpoint: http://127.0.0.1:{port}/files
  tls: {{mode: none, reason: a test on loopback}}
  timeout: {timeout}
request:
  safe: {safe}
  params:
    - {{param: no, required: true, level: 1, to: query:no}}
response:
  whole: dossier
  types: [application/pdf, image/png]
{more}"""


def noise(size, seed=7):
    return random.Random(seed).randbytes(size)


def head_of(body, kind=PDF, framing=None):
    return f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n{framing or f'Content-Length: {len(body)}'}\r\n\r\n".encode()


def chunked(body, size):
    return b"".join(b"%x\r\n%s\r\n" % (len(body[i:i + size]), body[i:i + size]) for i in range(0, len(body), size)) + b"0\r\n\r\n"


def outcome():
    return [r for r in NODE.records() if r["kind"] == "outcome"][-1]


def get(accept=None, no="1", who="consumer/app"):
    return NODE.ask(f"provider/dossier?no={no}", method="GET", headers={"Accept": accept} if accept else None, who=who)


def code_of(answer):
    status, _, body = answer
    return status, json.loads(body)["code"]


def test_00_setup():
    global NODE, P
    NODE = Node("limits: {write: 1s}\n")
    NODE.__enter__()
    NODE.city()
    P = Provider()
    NODE.publish(file_resource(P.port), "provider/dossier")


def test_01_nobody_gets_a_file_without_a_grant():
    P.answer = lambda h, b, s: Provider.reply(s, b"%PDF", kind=PDF)
    assert code_of(get(PDF)) == (403, "no-grant")
    assert P.seen == 0
    NODE.grant("provider/dossier", "dossier")
    assert get(PDF)[0] == 200


def test_02_every_size_goes_through_byte_for_byte_and_is_hashed():
    for size in (1, 4095, 4096, 4097, 16383, 16384, 20480, 65536, 65537, 3 * MIB + 1):
        body = noise(size)
        for framed in (head_of(body) + body, head_of(body, framing="Transfer-Encoding: chunked") + chunked(body, 5000)):
            P.answer = lambda h, b, s, framed=framed: s.sendall(framed)
            status, head, got = get()
            assert status == 200 and got == body and head["Content-Type"] == PDF, (size, status, len(got))
            last = outcome()
            assert (last["rows"], last["bytes_in"], last["bytes_out"]) == (1, size, size), last
            assert last["digest_in"] == last["digest_out"], last


def commits():
    c = http.client.HTTPConnection(NODE.operations, timeout=10)
    c.request("GET", "/metrics")
    return int(re.search(r"^sluice_evidence_commits_total (\d+)$", c.getresponse().read().decode(), re.M)[1])


def test_02b_the_intent_of_a_short_one_rides_with_its_outcome():
    for size, least, most in ((1024, 20, 30), (65536, 40, 80)):
        body = noise(size)
        P.answer = lambda h, b, s, body=body: s.sendall(head_of(body) + body)
        assert get()[2] == body  # the length of the last one is what the next is judged by
        before = commits()
        for _ in range(20):
            assert get()[2] == body
        assert least <= commits() - before < most, (size, commits() - before)


def test_03_the_proof_shows_that_what_was_sent_is_what_was_got():
    body = noise(100_000)
    P.answer = lambda h, b, s: s.sendall(head_of(body) + body)
    _, head, got = get()
    c = NODE.connect()
    c.request("GET", "/log/proof/" + head["Sluice-Exchange"])
    r = c.getresponse()
    proof = json.loads(r.read())
    c.close()
    assert r.status == 200, proof
    last = json.loads(proof["records"][1]["line"])
    assert hashlib.sha256(bytes.fromhex(proof["salts"]["out"]) + got).hexdigest() == last["digest_out"] == last["digest_in"]
    names = [os.path.join(NODE.dir, n) for n in ("proof.json", "got.pdf", "other.pdf")]
    for name, text in zip(names, (json.dumps(proof).encode(), got, got[:-1] + b"?")):
        with open(name, "wb") as f:
            f.write(text)
    with open(os.path.join(NODE.dir, "keys", "log.vkey"), encoding="ascii") as f:
        key = f.read().strip()
    for option in ("--answer", "--sent"):
        for name, code in ((names[1], 0), (names[2], 7)):
            assert NODE.verified_by_both("proof", names[0], "--vkey", key, option, name)[0] == code, (option, name)


def test_04_accept_is_held_against_the_declared_types():
    body = b"%PDF-1.7"
    P.answer = lambda h, b, s: s.sendall(head_of(body, "Application/PDF; x=y") + body)
    for accept in (PDF, "application/*", "*/*", "application/json;q=0.5, image/png"):
        status, head, got = get(accept)
        assert status == 200 and got == body and head["Content-Type"] == PDF, (accept, status)
    seen = P.seen
    assert code_of(get("application/json")) == (406, "not-acceptable")
    assert P.seen == seen
    assert b"Accept: application/pdf, image/png\r\n" in P.heads[-1][0], P.heads[-1]


def test_05_what_is_no_file_is_refused():
    body = b"<html>login</html>"
    wrong = {
        "html": (head_of(body, "text/html") + body, "provider-malformed"),
        "undeclared": (head_of(body, "application/json") + body, "provider-malformed"),
        "no type": (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd", "provider-malformed"),
        "two types": (head_of(body, f"{PDF}\r\nContent-Type: image/png") + body, "provider-malformed"),
        "coded": (head_of(b"abcd", f"{PDF}\r\nContent-Encoding: identity\r\nContent-Encoding: gzip") + b"abcd", "provider-malformed"),
        "empty": (head_of(b""), "provider-malformed"),
        "a part": (b"HTTP/1.1 206 Partial Content\r\nContent-Type: application/pdf\r\nContent-Length: 4\r\n\r\nabcd", "provider-refused"),
        "an error": (b"HTTP/1.1 404 Not Found\r\nContent-Type: application/pdf\r\nContent-Length: 4\r\n\r\nabcd", "provider-refused"),
    }
    for name, (answer, want) in wrong.items():
        P.answer = lambda h, b, s, answer=answer: s.sendall(answer)
        assert code_of(get()) == (502, want), name
    # without a length its end cannot be told from a cut
    P.answer = lambda h, b, s: (s.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/pdf\r\n\r\nabcd"), False)[1]
    assert code_of(get()) == (502, "provider-malformed")
    P.answer = lambda h, b, s: (s.sendall(head_of(b"x" * 1000) + b"x" * 999), False)[1]
    assert code_of(get()) == (502, "provider-cut")
    assert outcome()["bytes_in"] == 999 and "bytes_out" not in outcome() and "digest_out" not in outcome()


def cut_answer():
    """The bytes of the answer's body until the connection ends, and whether it ended as if it were whole."""
    s = NODE.tls().wrap_socket(socket.create_connection(("127.0.0.1", NODE.data_port)), server_hostname="127.0.0.1")
    s.sendall(b"GET /x/provider/dossier?no=1 HTTP/1.1\r\nHost: g\r\n\r\n")
    got = b""
    try:
        while piece := s.recv(65536):
            got += piece
    except OSError:
        pass
    s.close()
    return got


def test_06_a_long_one_that_breaks_off_is_cut_and_what_was_handed_out_is_on_record():
    body = noise(MIB)
    P.answer = lambda h, b, s: (s.sendall(head_of(body)), s.sendall(body[:900_000]), time.sleep(0.5), False)[3]
    got = cut_answer()
    assert got.startswith(b"HTTP/1.1 200") and not got.endswith(b"0\r\n\r\n"), got[-100:]
    last = city.wait_for(lambda: outcome() if outcome()["reason"] == "provider-cut" and outcome()["bytes_in"] == 900_000 else None)
    assert last["bytes_out"] <= 900_000 - 4096 and last["rows"] == 1, last
    assert "digest_out" in last and "digest_in" not in last, last


def test_07_a_slow_reader_holds_the_provider_back():
    sent = []

    def answer(h, b, s):
        s.sendall(head_of(b"x" * 64, framing=f"Content-Length: {64 * MIB}"))
        block = b"x" * 65536
        for _ in range(64 * MIB // len(block)):
            s.sendall(block)
            sent.append(len(block))
    P.answer = answer
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.connect(("127.0.0.1", NODE.data_port))
    s = NODE.tls().wrap_socket(raw, server_hostname="localhost")
    s.sendall(b"GET /x/provider/dossier?no=1 HTTP/1.1\r\nHost: g\r\n\r\n")
    s.recv(500)
    time.sleep(0.4)
    assert sum(sent) < 24 * MIB, sum(sent)      # the kernel's buffers, and a window
    slow = city.wait_for(lambda: [r for r in NODE.records() if r.get("reason") == "consumer-slow"], 16)
    assert slow[-1]["bytes_out"] < 24 * MIB
    s.close()


def test_08_over_http2_too():
    body = noise(2 * MIB)
    P.answer = lambda h, b, s: s.sendall(head_of(body) + body)
    out = os.path.join(NODE.dir, "file.pdf")
    r = city.subprocess.run(["curl", "-sS", "--http2", "--cacert", NODE.ca, "--cert", NODE.cert("consumer/app"), "--key", NODE.key("consumer/app"),
                             "-o", out, "-w", "%{http_version} %{http_code} %{content_type}", f"https://127.0.0.1:{NODE.data_port}/x/provider/dossier?no=1"],
                            capture_output=True, text=True, check=False)
    assert r.stdout == f"2 200 {PDF}", (r.stdout, r.stderr)
    with open(out, "rb") as f:
        assert f.read() == body


def test_09_the_reader_that_leaves_is_on_record():
    body = noise(8 * MIB)
    P.answer = lambda h, b, s: s.sendall(head_of(body) + body)
    s = NODE.tls().wrap_socket(socket.create_connection(("127.0.0.1", NODE.data_port)), server_hostname="127.0.0.1")
    s.sendall(b"GET /x/provider/dossier?no=1 HTTP/1.1\r\nHost: g\r\n\r\n")
    s.recv(1000)
    s.close()
    gone = city.wait_for(lambda: [r for r in NODE.records() if r.get("reason") == "consumer-gone"], 10)
    assert 0 < gone[-1]["bytes_out"] < len(body)


def test_99_teardown():
    NODE.stop()
    code, text = NODE.verify()
    assert code == 0, text
    NODE.__exit__(None, None, None)


if __name__ == "__main__":
    city.main(globals())
