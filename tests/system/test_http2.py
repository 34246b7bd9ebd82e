"""HTTP/2 on the data listener: the same exchanges and refusals as over HTTP/1.1, many at once, cut and drained; and every known way to hurt a
server with frames: the connection is closed with the right code, on record, in flat memory, while others are served."""
import json
import socket
import subprocess
import threading
import time

import city
import h2
from city import Node, Provider, json_resource, PERSON, wait_for
from h2 import Client, frame, u32

ASK = json.dumps({"id_no": PERSON}).encode()
JSON = ("content-type", "application/json")
SECONDS = 1.0


def test_00_setup():
    global NODE, P
    NODE = Node(f"limits: {{head: {SECONDS:.0f}s, body_time: {SECONDS:.0f}s, write: {SECONDS:.0f}s, rate: 1000, bodies: 2m}}\n")
    # Memory is measured here: what was freed must not stay in the sanitizer's quarantine (256 MB as a rule).
    NODE.env["ASAN_OPTIONS"] = NODE.env.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1:thread_local_quarantine_size_kb=64"
    NODE.__enter__()
    NODE.city()
    P = Provider()
    NODE.publish(json_resource(P.port, timeout="30s"), "provider/people")
    NODE.grant("provider/people", "id_no,name,age")


def curl(*args, who="consumer/app", stdin=b""):
    return subprocess.run(["curl", "-sS", "--http2", "--cacert", NODE.ca, "--cert", NODE.cert(who), "--key", NODE.key(who), *args], capture_output=True,
                          input=stdin, timeout=60, check=False)


def url(resource="provider/people"):
    return f"https://localhost:{NODE.data_port}/x/{resource}"


# ---- the same exchanges ----
def test_01_curl_is_served():
    r = curl("-D", "-", "--json", ASK.decode(), url())
    head, _, body = r.stdout.partition(b"\r\n\r\n")
    assert r.returncode == 0 and head.startswith(b"HTTP/2 200"), r
    assert json.loads(body)["count"] == 1, body
    for name in (b"sluice-exchange", b"sluice-grant", b"sluice-receipt", b"cache-control: no-store", b"content-length"):
        assert b"\r\n" + name in head, (name, head)
    assert b"connection" not in head and b"transfer-encoding" not in head


def test_02_refusals_are_those_of_http1():
    table = [(("--json", "{}", url()), 400, "parameter-invalid"), (("-X", "DELETE", url()), 405, "method-not-allowed"),
             (("--json", ASK.decode(), url("provider/nothing")), 404, "not-published"), (("--json", ASK.decode(), "-H", "Accept: text/plain", url()), 406, "not-acceptable"),
             (("--json", ASK.decode(), "-H", "Content-Type: text/plain", url()), 415, "unsupported-type"),
             (("--json", ASK.decode(), "-H", "Sluice-Purpose: other", url()), 403, "purpose-not-granted"),
             (("-H", "Content-Type: application/json", "--data-binary", "@-", url()), 413, "request-too-large"),
             (("-H", "X: " + "y" * 17000, "--json", ASK.decode(), url()), 413, "request-too-large")]
    for args, status, code in table:
        r = curl("-w", "\n%{http_version} %{http_code}", *args, stdin=b"{" + b" " * (1 << 21) + b"}")
        body, _, told = r.stdout.rpartition(b"\n")
        assert told == f"2 {status}".encode() and json.loads(body)["code"] == code, (args[:2], r)
    r = curl("-I", "-w", "%{http_code}", url())
    assert r.stdout.endswith(b"405"), r
    # before the body, when nobody wants it; and asked for, when it is
    for method, want in (("POST", b"100"), ("DELETE", b"405")):
        c = Client(NODE)
        s = c.ask(ASK, more=(JSON, ("expect", "100-continue")), end=False, method=method)
        assert c.until(lambda: c.status(s)) == int(want), (method, c.got)
        c.close()


def test_03_a_stranger_gets_one_reason_and_the_end():
    import test_http
    test_http.NODE = NODE
    c = Client(NODE, **test_http.stranger("h2", [test_http.URI]))
    status, body, end = c.answer(c.ask(ASK))
    assert (status, json.loads(body)["code"], end) == (401, "certificate-unknown", "end")
    assert c.goaway() == h2.NO_ERROR and c.closed == "end", c.closed
    c = Client(NODE, who=None, settings=b"\0\x04" + u32(0))  # its answer has no body: no window is needed, and nothing waits for one
    s = c.next
    c.send(frame(h2.HEADERS, h2.END_HEADERS | h2.END_STREAM, s, h2.block(method="HEAD")))
    assert c.answer(s) == (405, b"", "end"), c.got
    assert c.goaway() == h2.NO_ERROR and c.closed == "end", c.closed


def test_04_alpn_decides():
    c = Client(NODE)
    assert c.alpn == "h2"
    c.close()
    for offer, want in ((["http/1.1"], "http/1.1"), (["h2", "http/1.1"], "h2"), (["http/1.1", "h2"], "h2"), (None, None)):
        context = NODE.tls()
        if offer:
            context.set_alpn_protocols(offer)
        with city.socket.create_connection(("127.0.0.1", NODE.data_port)) as plain, context.wrap_socket(plain) as s:
            assert s.selected_alpn_protocol() == want, (offer, s.selected_alpn_protocol())
    context = NODE.tls()
    context.set_alpn_protocols(["spdy/3"])
    try:
        with city.socket.create_connection(("127.0.0.1", NODE.data_port)) as plain, context.wrap_socket(plain) as s:
            raise AssertionError("spdy")
    except (city.ssl.SSLError, ConnectionError):
        pass


def test_05_many_at_once_on_one_connection():
    gate, waiting = threading.Event(), []

    def answer(h, b, s):
        waiting.append(1)
        gate.wait(20)
        return Provider.one_person(h, b, s)
    P.answer = answer
    c = Client(NODE)
    streams = [c.ask(ASK) for _ in range(40)]
    wait_for(lambda: len(waiting) >= 8)  # as many as the provider's limit lets through
    quick = c.ask(b"{}")
    assert c.answer(quick)[0] == 400, c.answer(quick)  # the answer that is there first comes first
    gate.set()
    P.answer = Provider.one_person
    answers = [c.answer(s, 30) for s in streams]
    told = [(status, end) for status, _, end in answers]
    assert all(end == "end" and status in (200, 503) for status, end in told), told
    assert all(json.loads(body)["count"] == 1 for status, body, _ in answers if status == 200)
    assert sum(status == 200 for status, _ in told) >= 8, told
    c.close()
    one = ["-o", "/dev/null", "-w", "%{http_version}:%{http_code} ", "--json", ASK.decode(), url()]
    more = ["--next", "-sS", "--http2", "--cacert", NODE.ca, "--cert", NODE.cert("consumer/app"), "--key", NODE.key("consumer/app"), *one]
    r = curl("--parallel", *one, *more * 19)
    assert r.stdout.split().count(b"2:200") == 20, r


ROW = json.dumps({"id": PERSON, "name": "张三丰", "age": 36}, ensure_ascii=False).encode()


def rows(n, pause=0.0, until=None):
    """A provider that answers n rows, chunked."""
    def answer(h, b, s):
        def chunk(data):
            s.sendall(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        s.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        chunk(b'{"code":"0","rows":[' + ROW)
        many = (b"," + ROW) * 500
        for _ in range(n // 500):
            if until is not None and until.is_set():
                return False
            chunk(many)
            time.sleep(pause)
        chunk(b"]}")
        s.sendall(b"0\r\n\r\n")
        return True
    return answer


def rss():
    with open(f"/proc/{NODE.pid}/status", encoding="ascii") as f:
        return int(next(line for line in f if line.startswith("VmRSS")).split()[1]) * 1024


def test_06_long_answers_flow_by_window_and_end_with_a_receipt():
    P.answer = rows(20000)
    ndjson = (JSON, ("accept", "application/x-ndjson"))
    c = Client(NODE)
    stream = c.ask(ASK, more=ndjson)
    while c.ended(stream) is None:
        n = len(c.body(stream))
        assert c.read(5)
        n = len(c.body(stream)) - n
        if n:
            c.send(frame(h2.WINDOW, 0, stream, u32(n)) + frame(h2.WINDOW, 0, 0, u32(n)))
    assert c.ended(stream) == "end" and c.body(stream).count(b"\n") == 20001
    assert len(c.of(h2.HEADERS, stream)) == 2 and c.got[-1][0] == h2.HEADERS  # the trailer
    c.close()
    # 50 readers that stand still hold windows, not answers; each is cut, on record, and has no end
    before = rss()
    stalled = Client(NODE, settings=b"\0\x04" + u32(1000))
    streams = [stalled.ask(ASK, more=ndjson) for _ in range(50)]
    time.sleep(SECONDS / 2)
    held = rss() - before
    assert held < 24 << 20, held
    ends = [stalled.answer(s, 15)[2] for s in streams]
    assert all(e not in (None, "end") or stalled.status(s) == 503 for s, e in zip(streams, ends)), ends
    assert h2.CANCEL in ends
    wait_for(lambda: any(r.get("reason") == "consumer-slow" for r in NODE.records()))
    stalled.close()
    P.answer = Provider.one_person


def test_07_revoking_the_grant_resets_its_streams_only():
    stop = threading.Event()
    P.answer = rows(10 ** 9, 0.01, stop)
    NODE.enrol("app", "consumer/third", contact="{person: consumer/chen}")
    grant = NODE.grant("provider/people", "id_no,name", app="consumer/third")
    c = Client(NODE, "consumer/third", settings=b"\0\x04" + u32(1 << 30), window=1 << 30)
    streams = [c.ask(ASK, more=(JSON, ("accept", "application/x-ndjson"))) for _ in range(3)]
    assert c.until(lambda: all(len(c.body(s)) > 10000 for s in streams))
    NODE.sluice("provider/pat", "grant", "revoke", grant, "--note", "a test")
    assert [c.answer(s)[2] for s in streams] == [h2.INTERNAL_ERROR] * 3, c.closed
    stop.set()
    P.answer = Provider.one_person
    status, body, _ = c.answer(c.ask(ASK))
    assert status == 403 and json.loads(body)["code"] == "revoked", body  # the connection lives
    c.close()
    records = NODE.records()
    assert sum(r.get("reason") == "revoked" and r["kind"] in ("outcome", "cut") for r in records) >= 3


def test_08_a_revoked_certificate_closes_the_connection_and_all_on_it():
    stop = threading.Event()
    P.answer = rows(10 ** 9, 0.01, stop)
    NODE.enrol("app", "consumer/second", contact="{person: consumer/chen}")
    NODE.grant("provider/people", "id_no,name", app="consumer/second")
    c = Client(NODE, "consumer/second", settings=b"\0\x04" + u32(1 << 30), window=1 << 30)
    streams = [c.ask(ASK, more=(JSON, ("accept", "application/x-ndjson"))) for _ in range(3)]
    assert c.until(lambda: all(len(c.body(s)) > 10000 for s in streams))
    serial = NODE.json("bureau/security", "cert", "list", "--subject", f"spiffe://{city.DOMAIN}/dept/consumer/app/second")["items"][0]["serial"]
    NODE.sluice("bureau/security", "cert", "revoke", serial, "--reason", "lost")
    c.until(lambda: False, 10)
    assert c.closed and not any(c.ended(s) == "end" for s in streams), c.closed
    stop.set()
    P.answer = Provider.one_person
    wait_for(lambda: sum(r["kind"] in ("outcome", "cut") and r.get("reason") == "certificate-revoked" for r in NODE.records()) >= 3)


class Slow(Client):
    """One that takes little at once."""

    def connect(self, address):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.settimeout(10)
        s.connect(address)
        return s


def test_09_no_answer_that_was_cut_arrives_whole():
    """Small answers that wait in the gateway's output, whole, behind a socket that takes no more."""
    with Node() as node:
        node.city()
        people = json.dumps({"code": "0", "rows": [{"id": PERSON, "name": "张三丰" * 10, "age": 36} for _ in range(40)]}, ensure_ascii=False).encode()
        node.publish(json_resource(Provider(lambda h, b, s: Provider.reply(s, people)).port), "provider/people")
        grant = node.grant("provider/people", "id_no,name,age")
        count = lambda kind: sum(r["kind"] == kind for r in node.records())
        c = Slow(node, settings=b"\0\x04" + u32(1 << 30), window=1 << 30)
        streams = [c.ask(ASK, more=(JSON,)) for _ in range(98)]
        wait_for(lambda: count("outcome") == len(streams))
        node.sluice("provider/pat", "grant", "revoke", grant, "--note", "a test")
        wait_for(lambda: node.metric("sluice_exchanges_running") == 0)
        c.until(lambda: all(c.ended(s) is not None for s in streams))
        whole, cut = sum(c.ended(s) == "end" for s in streams), count("cut")
        assert cut > 0 and whole + cut <= len(streams), (whole, cut)
        c.close()


# ---- what hurts ----
def endless(piece, most=200000):
    """Send until the server listens no more."""
    def attack(c):
        for i in range(most):
            if not c.send(piece(i) if callable(piece) else piece * 50) or (i % 20 == 0 and (c.read(0.0001) is False or c.of(h2.GOAWAY))):
                return
    return attack


def rapid_reset(c):
    endless(lambda i: frame(h2.HEADERS, 5, 2 * i + 1, h2.block(more=(JSON,))) + frame(h2.RST, 0, 2 * i + 1, u32(8)))(c)


def made_reset(c):
    """The server is made to reset (CVE-2025-8671): the window of a stream overflows."""
    def piece(i):
        c.read(0.001)  # what it resets, it has forgotten
        return frame(h2.HEADERS, 4, 2 * i + 1, h2.block(more=(JSON,))) + frame(h2.WINDOW, 0, 2 * i + 1, u32(0x7FFFFFFF))
    endless(piece)(c)


def continuation(c):
    c.send(frame(h2.HEADERS, 1, 1, h2.block()))
    endless(frame(h2.CONTINUATION, 0, 1, h2.field("x", "y" * 100)))(c)


def hpack_bomb(c):
    big = b"\x40\x01x" + h2.number(4000, 7) + b"v" * 4000
    c.send(frame(h2.HEADERS, 5, 1, h2.block() + big + b"\xbe" * 10000))


def window_trickle(c):
    s = c.ask(ASK)
    endless(frame(h2.WINDOW, 0, s, u32(1)))(c)


def empty_data(c):
    s = c.ask(end=False)
    endless(frame(h2.DATA, 0, s))(c)


def too_many_streams(c):
    """More than the limit that it has acknowledged."""
    c.until(lambda: c.of(h2.SETTINGS))
    for _ in range(150):
        c.ask(end=False)


ATTACKS = {
    "rapid reset": (rapid_reset, h2.ENHANCE_YOUR_CALM, "rate-limited"),
    "made you reset": (made_reset, h2.ENHANCE_YOUR_CALM, "rate-limited"),
    "continuation flood": (continuation, h2.ENHANCE_YOUR_CALM, "request-too-large"),
    "hpack bomb": (hpack_bomb, h2.ENHANCE_YOUR_CALM, "request-too-large"),
    "ping flood": (endless(frame(h2.PING, 0, 0, b"12345678")), h2.ENHANCE_YOUR_CALM, "rate-limited"),
    "settings flood": (endless(frame(h2.SETTINGS, 0, 0, b"\0\x01" + u32(4096))), h2.ENHANCE_YOUR_CALM, "rate-limited"),
    "priority flood": (endless(frame(h2.PRIORITY, 0, 3, b"\0\0\0\1\x10")), h2.ENHANCE_YOUR_CALM, "rate-limited"),
    "empty data": (empty_data, h2.ENHANCE_YOUR_CALM, "rate-limited"),
    "window updates": (endless(frame(h2.WINDOW, 0, 0, u32(1))), h2.ENHANCE_YOUR_CALM, "rate-limited"),
    "window trickle": (window_trickle, h2.ENHANCE_YOUR_CALM, "rate-limited"),
    "unknown frames": (endless(frame(0x77, 0, 0, b"?")), h2.ENHANCE_YOUR_CALM, "rate-limited"),
    "too many streams": (too_many_streams, h2.PROTOCOL_ERROR, "request-malformed"),
    "frame too large": (lambda c: c.send(frame(h2.DATA, 0, c.ask(end=False), b"x" * 20000)), h2.FRAME_SIZE_ERROR, "request-malformed"),
    "window overflow": (lambda c: c.send(frame(h2.WINDOW, 0, 0, u32(0x7FFFFFFF))), h2.FLOW_CONTROL_ERROR, "request-malformed"),
    "broken hpack": (lambda c: c.send(frame(h2.HEADERS, 5, 1, b"\xff" * 20)), h2.COMPRESSION_ERROR, "request-malformed"),
    "push": (lambda c: c.send(frame(h2.PUSH, 4, 1, u32(2))), h2.PROTOCOL_ERROR, "request-malformed"),
    "half a head": (lambda c: c.until(lambda: c.of(h2.SETTINGS)) and c.send(frame(h2.HEADERS, 1, 1, h2.block())), h2.ENHANCE_YOUR_CALM, "request-timeout"),
}


def test_10_attacks_end_their_own_connection():
    before = rss()
    for name, (attack, code, reason) in ATTACKS.items():
        began = len(NODE.records())
        c = Client(NODE)
        t = threading.Thread(target=attack, args=(c,))
        t.start()
        served = [NODE.ask("provider/people", {"id_no": PERSON}, timeout=20)[0] for _ in range(3)]
        t.join(30)
        assert not t.is_alive() and served == [200] * 3, (name, served)
        assert c.goaway() == code and c.closed, (name, c.closed, c.got[-3:])   # also to a peer that never stopped sending
        wait_for(lambda: any(r.get("reason") == reason or (r["kind"] == "count" and reason in r["counts"]) for r in NODE.records()[began:]))
        c.close()
    grown = rss() - before
    # The thread sanitizer's shadow, several times what it stands for, is no memory of the product's: the other two builds measure.
    assert "tsan" in city.BUILD or grown < 16 << 20, grown


def test_11_slow_ones_lose_their_stream_and_are_on_record():
    c = Client(NODE)
    slow = c.ask(end=False)  # a byte of the body now and then
    began = time.monotonic()
    while c.ended(slow) is None and time.monotonic() - began < 10:
        c.send(frame(h2.DATA, 0, slow, b"{" if time.monotonic() - began < 0.1 else b" "))
        c.read(0.1)
    assert c.ended(slow) == h2.CANCEL, c.got[-3:]
    assert c.answer(c.ask(ASK))[0] == 200  # the connection lives
    c.close()
    stalled = Client(NODE, settings=b"\0\x04" + u32(0))  # a window of nothing
    s = stalled.ask(ASK)
    assert stalled.answer(s)[2] == h2.CANCEL and stalled.body(s) == b""
    stalled.close()
    trickle = Client(NODE, settings=b"\0\x04" + u32(0))  # and a window of a byte now and then
    s = trickle.ask(ASK)
    began = time.monotonic()
    while trickle.ended(s) is None and time.monotonic() - began < 10:
        trickle.send(frame(h2.WINDOW, 0, s, u32(1)))
        time.sleep(0.1)
        trickle.read(0.01)
    assert trickle.ended(s) == h2.CANCEL and 0 < len(trickle.body(s)) < 100, (trickle.ended(s), trickle.body(s))
    trickle.close()
    reasons = [r.get("reason") for r in NODE.records()]
    assert "request-timeout" in reasons and "consumer-slow" in reasons


def test_12_malformed_requests_are_on_record_without_their_content():
    for more, kept in ((("x-mark", "SECRET-4711\r\nx: y"), False), (("connection", "SECRET-4711"), False), (("host", "SECRET-4711"), True),
                       (("te", "SECRET-4711"), False), (("X-SECRET-4711", "1"), False)):
        c = Client(NODE)
        s = c.ask(ASK, more=(JSON, more))
        status, body, end = c.answer(s)
        assert (status, end) == ((400, "end") if kept else (None, h2.PROTOCOL_ERROR)), (more, status, end)
        assert not kept or json.loads(body)["code"] == "request-malformed"
        assert c.answer(c.ask(ASK))[0] == 200  # the next one is served
        c.close()
        last = [r for r in NODE.records() if r["kind"] == "refused"][-1]
        assert last["reason"] == "request-malformed" and last["subject"].endswith("/consumer/app/app"), last
    assert not [r for r in NODE.records() if "SECRET" in json.dumps(r)]


def test_13_floods_are_recorded_up_to_rates_and_counted_beyond():
    began = NODE.records()
    c = Client(NODE)
    sent = 0
    for _ in range(12):
        streams = [c.ask(b"{}") for _ in range(80)]
        sent += len(streams)
        if not c.until(lambda: all(c.ended(s) is not None for s in streams), 10):
            break
    assert sent == 960 or c.goaway() == h2.ENHANCE_YOUR_CALM  # what is beyond the rate is reset, and too many resets end it
    c.close()
    def accounted():
        new = NODE.records()[len(began):]
        one = sum(r["kind"] == "refused" and r.get("reason") == "parameter-invalid" for r in new)
        counted = sum(v for r in new if r["kind"] == "count" for k, v in r["counts"].items() if k == "parameter-invalid")
        return (one, counted) if counted else None
    one, counted = wait_for(accounted)
    assert one < 500, (one, counted)


def test_14_bodies_that_wait_are_bounded_together():
    c = Client(NODE)
    c.until(lambda: c.of(h2.SETTINGS))
    streams = []
    for _ in range(40):
        streams.append(c.ask(end=False))
        for _ in range(6):
            c.send(frame(h2.DATA, 0, streams[-1], b" " * 10000))
        c.read(0.001)
    assert c.until(lambda: any(c.status(s) == 503 for s in streams)), c.got[-3:]
    refused = [s for s in streams if c.status(s) == 503]
    assert json.loads(c.answer(refused[0])[1])["code"] == "overloaded" and len(refused) < 30, len(refused)
    for s in streams:
        c.send(frame(h2.RST, 0, s, u32(h2.CANCEL)))
    assert wait_for(lambda: c.answer(c.ask(ASK))[0] == 200)  # there is room again
    c.close()


def test_20_drain_says_goaway_and_lets_the_running_finish():
    P.answer = lambda h, b, s: (time.sleep(1.5), Provider.one_person(h, b, s))[1]
    c, idle = Client(NODE), Client(NODE)
    seen = P.seen
    idle.until(lambda: idle.of(h2.SETTINGS))
    s = c.ask(ASK)
    wait_for(lambda: P.seen > seen)
    t = threading.Thread(target=NODE.stop)
    t.start()
    assert c.answer(s)[::2] == (200, "end")
    assert c.goaway() == h2.NO_ERROR and c.closed == "end" and len(c.of(h2.GOAWAY)) == 2, c.closed
    assert idle.goaway() == h2.NO_ERROR and idle.closed == "end"
    t.join(20)
    code, text = NODE.verify()
    assert code == 0, text


def test_99_teardown():
    NODE.__exit__(None, None, None)


if __name__ == "__main__":
    city.main(globals())
