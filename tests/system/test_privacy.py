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
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import city
import h2
from city import Node, Provider, json_resource, check_digit, PERSON

MARK = "Qz7mark"  # every marked value holds it, or is one of the two numbers
NUMBERS = (PERSON, check_digit("99010119770707707"))
OLD = "990101770707709"  # of the first generation: 15 digits, no check digit
NAME = "欧阳" + MARK


def answer(h, b, s):
    asked = json.loads(b).get("id", NUMBERS[1])
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
    NODE.publish(json_resource(P.port, "free").replace("    - {param: id_no, required: true, check: id-card, to: json:/id}\n",
                                                       "    - {param: keyword, level: 2, to: json:/kw}\n"), "provider/free")
    NODE.grant("provider/free", "age")


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
    for trace in (NUMBERS[1].rjust(32, "0"), NUMBERS[1].ljust(32, "7"), OLD.rjust(32, "0"), OLD.center(32, "a")):
        assert trace.isalnum() and not {*trace} - {*"0123456789abcdef"}
        assert NODE.ask("provider/people", {"id_no": NUMBERS[1]}, headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"})[0] == 200
        assert trace.encode() not in P.heads[-1][0], "it goes on to nobody's logs"
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


def soap_resource():
    head, _, tail = json_resource(P.port, "house").partition("connector:")
    return head.partition("items:")[0].replace("type: json", "type: soap") + f"""items:
  - {{name: name, title: 姓名, type: C, length: 50, level: 3}}
connector:
  kind: soap
  endpoint: http://127.0.0.1:{P.port}/soap
  operation: {{namespace: 'urn:h', name: Q, soap: '1.1'}}
  tls: {{mode: none, reason: a test on loopback}}
  timeout: 5s
request:
  safe: true
  params:
    - {{param: id_no, required: true, check: id-card, to: '/h:Q/h:id'}}
response:
  namespaces: {{h: 'urn:h'}}
  success: {{at: '/h:R/h:code', ok: ['0'], message: '/h:R/h:msg'}}
  records: '/h:R/h:row'
  map: {{name: 'h:name'}}
"""


def test_01b_in_xml_and_in_what_surrounds_an_answer():
    NODE.publish(soap_resource(), "provider/house")
    NODE.grant("provider/house", "name", clear="provider/house:name")
    number, envelope = NUMBERS[1], '<E:Envelope xmlns:E="http://schemas.xmlsoap.org/soap/envelope/"><E:Body>{}</E:Body></E:Envelope>'
    fault = envelope.format(f"<E:Fault><faultcode>E:{MARK}</faultcode><faultstring>{MARK}{number}</faultstring><detail><m>{number}</m></detail></E:Fault>")
    good = envelope.format(f'<R xmlns="urn:h"><code>0</code><msg>{MARK}</msg><row><name>{NAME}</name></row></R>')
    coded = [good.replace("<code>0<", f"<code>{code}<") for code in (MARK, number)]
    for body, status, want in ((good, "200 OK", 200), (fault, "500 x", 502), (fault, "200 OK", 502), *((c, "200 OK", 502) for c in coded), (good[:-30], "200 OK", 502),
                               (f'<!DOCTYPE {MARK} [<!ENTITY a "{number}">]><{MARK}/>', "200 OK", 502), (f"<{MARK} {MARK}='{number}'>", "200 OK", 502),
                               (good.replace("urn:h", "urn:" + MARK), "200 OK", 502)):
        P.answer = lambda h, b, s, body=body, status=status: Provider.reply(s, body.encode(), status=status, kind="text/xml; charset=utf-8")
        got = NODE.ask("provider/house", {"id_no": number})
        assert got[0] == want and (MARK in got[2].decode()) == (want == 200), (body, got)
    for answered in (f"HTTP/1.1 302 {MARK}\r\nLocation: /{MARK}?{number}\r\nSet-Cookie: {MARK}\r\nContent-Length: 0\r\n\r\n",
                     f"HTTP/1.1 200 OK\r\nContent-Encoding: {MARK}\r\nContent-Length: 2\r\n\r\n{{}}", f"{MARK} {number}\r\n\r\n",
                     f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: {MARK}\r\n\r\n2;{MARK}={number}\r\n{{}}\r\n0\r\n{MARK}: {number}\r\n\r\n",
                     f"HTTP/1.1 101 {MARK}\r\nUpgrade: {number}\r\n\r\n"):
        P.answer = lambda h, b, s, answered=answered: (s.sendall(answered.encode()), False)[1]
        assert NODE.ask("provider/people", {"id_no": number})[0] == 502, answered
    P.answer = answer


def test_01c_over_http2_and_where_the_log_is_read():
    number, json_type = NUMBERS[1], ("content-type", "application/json")
    for path, more in ((f"/x/provider/people/{MARK}", ()), (f"/x/{MARK}/{number}", ()), ("/x/provider/people", (("x-" + MARK.lower(), number), json_type)),
                       ("/x/provider/people", (("content-type", MARK + "/" + number),)), ("/x/provider/people", (("te", MARK), json_type)),
                       ("/x/provider/people", (("expect", MARK), json_type)), ("/x/provider/people", ((MARK, number),))):
        c = h2.Client(NODE)
        c.answer(c.ask(json.dumps({"id_no": number}).encode(), path=path, more=more), 3)
        c.send(h2.frame(h2.GOAWAY, 0, 0, h2.u32(0) * 2 + (MARK + number).encode()))
        c.close()
    for path in (f"proof/{MARK}", f"proof/{number}", f"tile/{MARK}", f"tile/0/{number}", f"tile/entries/{number}", f"checkpoint?{MARK}={number}",
                 f"proof/01a219df-d39f-7746-9bcf-a64178f22161?intent={number}&outcome={MARK}"):
        c = NODE.connect()
        c.request("GET", "/log/" + path, headers={"Accept": MARK})
        assert c.getresponse().status in (403, 404), path
        c.close()
    for name in ("Sluice-Purpose", "Sluice-Grant", "Content-Type", "Expect", "Transfer-Encoding", "Upgrade", "Range", "If-None-Match", "Accept-Encoding"):
        NODE.ask("provider/people", {"id_no": number}, headers={name: MARK + " " + number})
    NODE.ask("provider/people", {"id_no": number}, headers={"Sluice-Case": MARK * 10})
    for who in ("consumer/app", None):
        try:
            with socket.create_connection(("127.0.0.1", NODE.data_port), timeout=3) as plain, NODE.tls(who).wrap_socket(plain, server_hostname=f"{MARK.lower()}.{number}.example") as s:
                s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                s.recv(100)
        except OSError:
            pass
    for path in ("/" + MARK, f"/metrics?{MARK}={number}", f"/readyz?{MARK}"):
        try:
            urllib.request.urlopen(f"http://{NODE.operations}{path}", timeout=5).read()
        except urllib.error.HTTPError:
            pass


def test_01d_in_acts_that_are_refused():
    number, done = NUMBERS[1], set()
    for who in ("bureau/ann", "consumer/chen", "bureau/system", "provider/pat", "bureau/audrey", None):
        for path, body in (("requests", {MARK: number}), ("requests", {"app": MARK, "resource": number, "items": [MARK]}), ("requests", MARK + number),
                           ("audit/search", {"person": MARK + number, MARK: 1}), ("audit/search", {"case": MARK, "from": number}), ("audit/holds", {"reason": number, MARK: 1}),
                           ("apply", {"files": [{"name": MARK, "text": MARK + ": [" + number}]}), ("apply", {"files": [{"name": "a", "text": f"kind: Person\nid: {MARK}\nname: {number}\n"}]}),
                           (f"grants/{MARK}/revoke", {"note": number}), (f"requests/{number}/approve", {"note": MARK + number}), ("certs", {"csr": MARK + number}), (MARK, {})):
            c = city.http.client.HTTPSConnection("127.0.0.1", NODE.control_port, timeout=10, context=NODE.tls(who))
            c.request("POST", "/v1/" + path, json.dumps(body), {"Content-Type": "application/json", "X-" + MARK: number, "Sluice-Case": MARK})
            status = c.getresponse().status
            c.close()
            assert 400 <= status < 500, (who, path, status)
            done.add(status)
    assert done >= {400, 401, 403, 404}, done


def test_02_who_asks_for_whom_by_number_is_refused():
    """Operator, case and purpose are recorded as sent, so they may hold no identity number, however it is written."""
    number = NUMBERS[1]
    wide = "".join(chr(ord(c) + 0xFEE0) for c in number)
    wide_old = "".join(chr(ord(c) + 0xFEE0) for c in OLD)
    lower = next(n for n in (check_digit(f"9901011977070{i:04d}") for i in range(1000, 2000)) if n.endswith("X")).lower()
    for header in ("Sluice-Operator", "Sluice-Case"):
        for value in (number, f"case {number} of today", "a" + number, lower, wide, OLD, f"{OLD}/2", wide_old, "x" + OLD + "x"):
            status, body = NODE.ask("provider/people", {"id_no": number}, headers={header: urllib.parse.quote(value)})[::2]
            assert status == 400 and json.loads(body)["code"] == "header-invalid", (header, value, status, body)
        for value in ("teacher-0731", "2026-1126-0112001", "202611260112001"):  # the last is a date and a number: 15 digits, and nobody's
            assert NODE.ask("provider/people", {"id_no": number}, headers={header: value})[0] == 200, (header, value)
            field = {"Sluice-Operator": "operator", "Sluice-Case": "case"}[header]
            assert [r for r in NODE.records()[-4:] if r["kind"] == "intent"][-1][field] == value
    for value in (number, OLD, f"check-{OLD}", f"check-{number}-x"):
        status, body = NODE.ask("provider/people", {"id_no": number}, headers={"Sluice-Purpose": value})[::2]
        assert status == 400 and json.loads(body)["code"] == "header-invalid", (value, status, body)
    assert NODE.ask("provider/people", {"id_no": number}, headers={"Sluice-Purpose": "check"})[0] == 200
    assert [r for r in NODE.records()[-4:] if r["kind"] == "intent"][-1]["purpose"] == "check"
    # and so are parameters below level 3
    for path, params, code in ((f"provider/free?keyword={number}", None, "parameter-in-url"), (f"provider/free?keyword=x{OLD}", None, "parameter-in-url"),
                               (f"provider/free?keyword={urllib.parse.quote(wide)}", None, "parameter-in-url"), ("provider/free", {"keyword": number}, "parameter-invalid"),
                               ("provider/free", {"keyword": "of " + OLD}, "parameter-invalid"), ("provider/free", {"keyword": wide}, "parameter-invalid")):
        asked = P.seen
        status, body = NODE.ask(path, params, method="POST" if params else "GET")[::2]
        assert status == 400 and json.loads(body)["code"] == code and P.seen == asked, (path, params, status, body)
    assert NODE.ask("provider/free?keyword=202611260112001", method="GET")[0] == 200
    assert [r for r in NODE.records()[-4:] if r["kind"] == "intent"][-1]["params"] == {"keyword": "202611260112001"}
    # notes and reasons of acts are recorded as sent, too
    for words in (("grant", "suspend", "g1", "--note"), ("audit", "hold", "add", "--reason")):
        for value in (number, "because of " + OLD):
            r = NODE.sluice("bureau/ann", *words, value, check=False)
            assert r.returncode != 0 and "identity number" in r.stderr, (words, r.stderr)


def no_core(pid):
    """Neither a core file, nor one that a handler pipes away, nor another process that looks: for the daemon and its keeper."""
    with open(f"/proc/{pid}/limits", encoding="ascii") as f:
        assert re.search(r"^Max core file size +0 +0 ", f.read(), re.M), pid
    # What must not be dumped belongs to root in /proc (proc(5)), whoever runs it.
    assert os.stat(f"/proc/{pid}/mem").st_uid == 0, pid
    if os.geteuid() != 0:
        try:
            open(f"/proc/{pid}/mem", "rb").close()
            raise AssertionError(f"the memory of {pid} can be read")
        except PermissionError:
            pass


def test_03_no_core_holds_them():
    with open(f"/proc/{NODE.pid}/task/{NODE.pid}/children", encoding="ascii") as f:
        family = [NODE.pid, *map(int, f.read().split())]
    assert len(family) >= 2, "the keeper is a process of its own"
    os.kill(NODE.pid, signal.SIGHUP)  # a reload changes nothing of it
    for pid in family:
        no_core(pid)
    before = set(os.listdir(NODE.dir))
    # It dies with an exchange under way, its parameters, heads and the provider's answer in memory.
    P.answer = lambda h, b, s: (s.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n{{\"{MARK}{NUMBERS[1]}".encode()), time.sleep(5), False)[2]
    seen = P.seen
    threading.Thread(target=lambda: raw(f"POST /x/provider/people HTTP/1.1\r\nHost: {MARK}\r\nX-{MARK}: {OLD}\r\nContent-Type: application/json\r\n"
                                        f"Content-Length: 31\r\n\r\n{{\"id_no\": \"{NUMBERS[1]}\"}}".encode()), daemon=True).start()
    city.wait_for(lambda: P.seen > seen, 10)
    os.kill(NODE.pid, signal.SIGSEGV)
    NODE.process.wait(20)
    P.answer = answer
    NODE.process = None
    assert not [n for n in set(os.listdir(NODE.dir)) - before if "core" in n]
    NODE.start()
    assert NODE.ask("provider/people", {"id_no": NUMBERS[1]})[0] == 200


def holders(text, where):
    """The forbidden values that these bytes hold."""
    marks = [MARK.encode(), MARK.lower().encode(), *(n.encode() for n in (*NUMBERS, OLD)), "欧阳".encode(), "欧阳".encode("gb18030")]
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


def test_06_a_disclosed_salt_opens_one_digest():
    """Who was given the salt of one digest, with its proof, knows that one answer anyway; of every other digest, the same exchange's other one included, it can
    guess nothing, though the candidates hold the right one."""
    for _ in range(2):
        status, head, mine = NODE.ask("provider/people", {"id_no": NUMBERS[1], "_items": "age"})
        assert status == 200
    exchange = head["Sluice-Exchange"]
    path = os.path.join(NODE.top, "mine.proof")
    NODE.sluice("consumer/app", "--data-server", f"https://{NODE.data}", "audit", "proof", exchange, "--out", path)
    with open(path, encoding="utf-8") as f:
        proof = json.load(f)
    assert set(proof["salts"]) == {"out"}, "the salt of what the provider sent is not the consumer's"
    salt = bytes.fromhex(proof["salts"]["out"])
    records = NODE.records()
    outcomes = {r["exchange"]: r for r in records if r["kind"] == "outcome" and "digest_out" in r}
    own = outcomes.pop(exchange)
    assert hashlib.sha256(salt + mine).hexdigest() == own["digest_out"]
    others = {r[k] for r in outcomes.values() for k in ("digest_in", "digest_out") if k in r} | {own["digest_in"]}
    assert len(outcomes) >= 2 and own["digest_in"] != own["digest_out"]
    ids = [bytes.fromhex(e.replace("-", "")) for e in (exchange, *outcomes)]

    # What may be made of the one salt: itself, and what would lead from it to another if salts were chained or keyed by one another.
    salts = [salt] + [hashlib.sha256(a).digest() for a in (salt, salt[::-1])]
    for one, direction in itertools.product(ids, (b"i", b"o", b"")):
        salts += [hmac.new(salt, one + direction, hashlib.sha256).digest(), hmac.new(one + direction, salt, hashlib.sha256).digest(),
                  hashlib.sha256(salt + one + direction).digest(), bytes(a ^ b for a, b in zip(salt, one + direction + bytes(16)))]
    sent = [json.dumps({"code": "0", "rows": [{"id": NUMBERS[1], "name": NAME, "age": age, "secret": MARK + "-unmapped"}]}, ensure_ascii=False).encode()
            for age in range(120)]
    given = [mine.replace(b"36", str(age).encode()) for age in range(120)]
    hit = [(n, body[:60]) for n, s in enumerate(salts) for body in sent + given if hashlib.sha256(s + body).hexdigest() in others]
    assert not hit, hit[:3]
    # The candidates hold the right one: with the node's key the digests are theirs.
    with open(os.path.join(NODE.dir, "keys", "salt.key"), encoding="ascii") as f:
        key = bytes.fromhex(f.read().strip())
    assert hashlib.sha256(hmac.new(key, ids[0] + b"i", hashlib.sha256).digest() + sent[36]).hexdigest() == own["digest_in"]
    assert any(hashlib.sha256(hmac.new(key, one + b"o", hashlib.sha256).digest() + mine).hexdigest() in others for one in ids[1:])


def test_99_teardown():
    NODE.__exit__(None, None, None)


if __name__ == "__main__":
    city.main(globals())
