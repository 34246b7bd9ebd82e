"""Nothing personal is kept. Marked values go through every place where a peer can put one; afterwards no file of the node, no metric, no line of the
daemon's own log and no answer of the administration API holds them. Small answers cannot be guessed from the log's digests."""
import hashlib
import hmac
import itertools
import json
import os
import re
import signal
import socket
import ssl
import urllib.request

import city
from city import Node, Provider, json_resource, check_digit, PERSON

MARK = "Qz7mark"  # every marked value holds it, or is one of the two numbers
NUMBERS = (PERSON, check_digit("99010119770707707"))
NAME = "欧阳" + MARK


def answer(h, b, s):
    asked = json.loads(b)["id"]
    Provider.reply(s, json.dumps({"code": "0", "rows": [{"id": asked, "name": NAME, "age": 36, "secret": MARK + "-unmapped"}]}, ensure_ascii=False).encode())


FAULTS = [lambda h, b, s: Provider.reply(s, json.dumps({"code": MARK, "message": MARK + NUMBERS[1]}).encode()),
          lambda h, b, s: Provider.reply(s, (MARK + NUMBERS[1]).encode(), status="500 " + MARK),
          lambda h, b, s: Provider.reply(s, f'{{"code":"0","rows":[{{"name":"{MARK}'.encode()),
          lambda h, b, s: Provider.reply(s, f"<html>{MARK}{NUMBERS[1]}</html>".encode(), kind="text/html; x=" + MARK),
          lambda h, b, s: (s.sendall(f"HTTP/1.1 200 {MARK}\r\nX-{MARK}: {NUMBERS[1]}\r\nContent-Length: {MARK}\r\n\r\n".encode()), False)[1],
          lambda h, b, s: Provider.reply(s, f'{{"code":"0","rows":[{{"id":"{NUMBERS[1]}","name":"{MARK}","age":"{MARK}"}}]}}'.encode())]


def test_00_setup():
    global NODE, P
    NODE = Node()
    NODE.__enter__()
    NODE.city()
    P = Provider(answer)
    NODE.publish(json_resource(P.port), "provider/people")
    NODE.grant("provider/people", "id_no,name,age", clear="provider/people:id_no,name")


def raw(data, who="consumer/app"):
    """Bytes as they are; what came back."""
    got = b""
    try:
        with socket.create_connection(("127.0.0.1", NODE.data_port), timeout=3) as plain, NODE.tls(who).wrap_socket(plain) as s:
            s.sendall(data)
            s.settimeout(3)
            while piece := s.recv(65536):
                got += piece
    except (OSError, ssl.SSLError):
        pass
    return got


def test_01_marked_values_go_everywhere():
    status, _, body = NODE.ask("provider/people", {"id_no": NUMBERS[1]})
    assert status == 200 and MARK in body.decode(), body.decode() + ": the mark did not come through: this file would show nothing"
    P.answer = answer
    for fault in FAULTS:
        P.answer = fault
        NODE.ask("provider/people", {"id_no": NUMBERS[1]})
    P.answer = answer
    for params in ({"id_no": MARK}, {"id_no": NUMBERS[1], MARK: NUMBERS[0]}, {"id_no": NUMBERS[1], "_items": MARK}, {"id_no": {"a": MARK}}):
        assert NODE.ask("provider/people", params)[0] in (400, 403)
    for path in (MARK, f"provider/{MARK}", f"provider/people?id_no={NUMBERS[1]}", f"provider/people?{MARK}={MARK}", f"provider/people/{NUMBERS[1]}"):
        assert NODE.ask(path, method="GET")[0] in (400, 403, 404)
    for name in ("User-Agent", "X-" + MARK, "Referer", "Cookie", "Authorization", "Accept", "Accept-Language", "Sluice-Grant", "Sluice-Purpose-" + MARK, "traceparent"):
        NODE.ask("provider/people", {"id_no": NUMBERS[1]}, headers={name: MARK + NUMBERS[1]})
    head = f"POST /x/provider/people HTTP/1.1\r\nHost: {MARK}\r\nContent-Type: application/json\r\nContent-Length: "
    for data in (f"{MARK} / HTTP/1.1\r\n\r\n", f"GET /{MARK}\x01 HTTP/1.1\r\n\r\n", f"GET / HTTP/{MARK}\r\n\r\n", f"GET / HTTP/1.1\r\n{MARK}\r\n\r\n",
                 head + MARK + "\r\n\r\n", head + "30\r\n\r\n{" + MARK + "x" * 40, head + "9\r\n\r\n" + MARK + "{}", f"\x16\x03{MARK}"):
        raw(data.encode("latin-1"))
        raw(data.encode("latin-1"), None)
    for path in (f"/v1/grants/{MARK}", f"/v1/{MARK}", f"/v1/grants?state={MARK}"):
        c = city.http.client.HTTPSConnection("127.0.0.1", NODE.control_port, timeout=10, context=NODE.tls("bureau/ann"))
        c.request("GET", path, headers={"X-Mark": MARK})
        c.getresponse().read()
        c.close()
    NODE.sluice("bureau/audrey", "audit", "search", "--person", "-", stdin=NUMBERS[1] + "\n")


def test_02_who_asks_for_whom_by_number_is_refused():
    """Operator, case and purpose are recorded as sent, so they may hold no identity number, however it is written."""
    number = NUMBERS[1]
    wide = "".join(chr(ord(c) + 0xFEE0) for c in number)
    lower = next(n for n in (check_digit(f"9901011977070{i:04d}") for i in range(1000, 2000)) if n.endswith("X")).lower()
    for header in ("Sluice-Operator", "Sluice-Case"):
        for value in (number, f"case {number} of today", "a" + number, lower, wide):
            status, body = NODE.ask("provider/people", {"id_no": number}, headers={header: value.encode()})[::2]
            assert status == 400, (header, value, status, body)
        assert NODE.ask("provider/people", {"id_no": number}, headers={header: "teacher-0731"})[0] == 200


def test_03_no_core_holds_them():
    with open(f"/proc/{NODE.pid}/limits", encoding="ascii") as f:
        assert re.search(r"^Max core file size +0 +0 ", f.read(), re.M)
    before = set(os.listdir(NODE.dir))
    os.kill(NODE.pid, signal.SIGSEGV)
    NODE.process.wait(20)
    NODE.process = None
    assert not [n for n in set(os.listdir(NODE.dir)) - before if "core" in n]
    NODE.start()
    assert NODE.ask("provider/people", {"id_no": NUMBERS[1]})[0] == 200


def holders(text, where):
    """The forbidden values that these bytes hold."""
    marks = [MARK.encode(), *(n.encode() for n in NUMBERS), "欧阳".encode(), "欧阳".encode("gb18030")]
    return [(where, m, text[max(0, text.find(m) - 80):text.find(m) + 40]) for m in marks if m in text]


def test_04_nothing_keeps_them():
    city.wait_for(lambda: NODE.verify()[0] == 0, 10)
    found, files = [], 0
    for folder, _, names in os.walk(NODE.dir):
        for name in names:
            with open(os.path.join(folder, name), "rb") as f:
                found += holders(f.read(), os.path.join(folder, name))
            files += 1
    assert files > 10 and any(n.startswith("state.db") for n in os.listdir(NODE.dir))
    with open(NODE.log_path, "rb") as f:
        found += holders(f.read(), "the daemon's own log")
    for page in ("metrics", "readyz?verbose", "livez"):
        with urllib.request.urlopen(f"http://{NODE.operations}/{page}", timeout=10) as r:
            found += holders(r.read(), page)
    for who, words in (("bureau/audrey", ("audit", "search", "--limit", "1000")), ("bureau/ann", ("grant", "list")), ("bureau/ann", ("request", "list")),
                       ("bureau/ann", ("resource", "list"))):
        found += holders(NODE.sluice(who, "-o", "json", *words).stdout.encode(), words)
    assert not found, found[:5]


def test_05_small_answers_cannot_be_guessed():
    """An outsider knows the log, the form of an answer, and that a person's age is below 120: no digest of the log is that of a candidate."""
    NODE.ask("provider/people", {"id_no": NUMBERS[1], "_items": "age"})
    status, _, body = NODE.ask("provider/people", {"id_no": NUMBERS[1], "_items": "age"})
    assert status == 200
    outcome = [r for r in NODE.records() if r["kind"] == "outcome" and r["reason"] == "granted"][-1]
    digests = set(re.findall(r"[0-9a-f]{64}", json.dumps(NODE.records())))
    assert len([k for k in outcome if k.startswith("digest")]) == 2, outcome
    exchange = outcome["exchange"]
    with open(os.path.join(NODE.dir, "log", "log.vkey"), "rb") as f:
        vkey = f.read().strip()
    with open(os.path.join(NODE.dir, "log", "checkpoint"), "rb") as f:
        checkpoint = f.read()
    # What an outsider may try as a salt: nothing, the exchange, the origin, the public key, the note, in front or behind.
    origin = vkey.split(b"+")[0]
    salts = [b"", exchange.encode(), bytes.fromhex(exchange.replace("-", "")), vkey, origin, checkpoint, checkpoint.split(b"\n")[2]]
    salts += [a + b for a, b in itertools.product(salts[1:5], (b"i", b"o", b"in", b"out"))]
    hit = []
    for age in range(120):
        candidate = body.replace(b"36", str(age).encode())
        for salt in salts:
            for data in (salt + candidate, candidate + salt, hashlib.sha256(salt).digest() + candidate):
                if hashlib.sha256(data).hexdigest() in digests:
                    hit.append((age, salt))
    assert not hit, hit
    # The guess is right all the same: with the key, which never leaves the node, the digest is that of the answer.
    with open(os.path.join(NODE.dir, "keys", "salt.key"), encoding="ascii") as f:
        key = bytes.fromhex(f.read().strip())
    salt = hmac.new(key, bytes.fromhex(exchange.replace("-", "")) + b"o", hashlib.sha256).digest()
    assert hashlib.sha256(salt + body).hexdigest() in digests, "the test guesses something else than what is hashed"


def test_99_teardown():
    NODE.__exit__(None, None, None)


if __name__ == "__main__":
    city.main(globals())
