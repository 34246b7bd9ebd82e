"""HTTP/1.1 by RFC 9112 beyond what is severe (test_http.py): one reading of everything ambiguous, messages made anew in both directions, Expect,
HEAD, interim answers, when a connection is kept, and who is too slow."""
import json
import os
import re
import socket
import ssl
import time

import city
from city import CORPUS, Node, Provider, json_resource, PERSON, wait_for
from test_http import cases, post, raw, request_of

OPEN = b"GET /x/provider/open?age=36 HTTP/1.1\r\nHost: localhost\r\n"


OURS = {b"host", b"accept", b"accept-encoding", b"user-agent", b"content-type", b"content-length", b"traceparent"}


def names_of(head):
    return {line.split(b":")[0].lower() for line in head.split(b"\r\n\r\n")[0].split(b"\r\n")[1:]}


def test_00_setup():
    global NODE, P
    NODE = Node("limits: {idle: 2s, head: 2s, body_time: 1s, write: 1s, rate: 1000, http2_streams: 0}\n")
    NODE.__enter__()
    NODE.city()
    P = Provider(lambda h, b, s: Provider.reply(s, json.dumps({"code": "0", "rows": [{"id": PERSON, "name": "张三丰", "age": 36}]}, ensure_ascii=False).encode()))
    NODE.publish(json_resource(P.port), "provider/people")
    NODE.grant("provider/people", "id_no,name,age")
    manifest = json_resource(P.port, "open").replace("{param: id_no, required: true, check: id-card, to: json:/id}", "{param: age, to: query:age}")
    NODE.publish(manifest.replace("endpoint: http", "method: GET\n  endpoint: http", 0), "provider/open")
    NODE.grant("provider/open", "age")


def test_01_what_is_ambiguous_has_one_reading_and_is_never_forwarded():
    if not os.path.isdir(os.path.join(CORPUS, "http-framing")):
        print("skipped: no corpus")
        return
    told = {"refused": 0, "served": 0}
    for name in sorted(os.listdir(os.path.join(CORPUS, "http-framing"))):
        for case in cases(name):
            if case["tier"] == "Severe" or "version" not in case:
                continue
            data = re.sub(rb"^GET /(foo/bar|test.html|endpoint_a)(?= HTTP/)", b"GET /x/provider/open?age=36", request_of(case))
            data = re.sub(rb"^POST /(foo/bar|test.html)[^ ]*(?= HTTP/)", b"POST /x/provider/open", data)
            # With the body that the usual reading would have.
            framing = {re.sub("[^a-z]", "", n.lower()): v.strip() for n, v in case["headers"]}
            if "encoding" in "".join(framing):
                data += b"0\r\n\r\n"
            elif framing.get("contentlength", "").isdigit():
                data += b" " * int(framing["contentlength"])
            P.heads.clear()
            got, closed = raw(NODE, data + OPEN + b"Connection: close\r\n\r\n", timeout=4)
            statuses = re.findall(rb"HTTP/1.1 (\d\d\d) ", got)
            label = (case["tier"], case["name"], statuses)
            # What follows a head with a body is that body: when it is none, the connection is cut without an answer. What follows one without is a
            # request: the body of another reading is none.
            framed = re.search("length|encoding", "".join(framing))
            assert closed and len(statuses) in ((0, 1, 2) if framed else (1, 2)), label
            assert not statuses or statuses[0].startswith(b"4") or statuses[1:] == [b"200"] or (framed and statuses[1:] == [b"400"]), label
            told["served" if b"200" in statuses[:1] else "refused"] += 1
            for head, _ in P.heads:  # made anew: nothing of the case is in it
                assert head.count(b"\r\n\r\n") == 1 and names_of(head) <= OURS and b"User-Agent: sluice/" in head, (label, head)
    print(f"   {told}")
    assert told["refused"] > 40 and told["served"] > 10, told


def test_02_messages_are_made_anew_both_ways():
    def answer(h, b, s):
        body = json.dumps({"code": "0", "rows": [{"id": PERSON, "name": "x", "age": 1}]}).encode()
        s.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nServer: old/1.0\r\nX-Powered-By: y\r\nSet-Cookie: s=1\r\n"
                  b"Connection: x-inner, keep-alive\r\nKeep-Alive: timeout=5\r\nX-Inner: secret\r\nTrailer: X-Late\r\nContent-Type: application/json\r\n"
                  b"Transfer-Encoding: chunked\r\n\r\n" + f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\nX-Late: secret\r\n\r\n")
    before, P.answer = P.answer, answer
    P.heads.clear()
    got, _ = raw(NODE, post(extra=b"Connection: close, x-own\r\nX-Own: secret\r\nTE: trailers\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\nProxy-Connection: keep-alive\r\n"
                            b"Proxy-Authorization: Basic eA==\r\nAuthorization: Bearer eA==\r\nCookie: a=b\r\nVia: 1.1 x\r\nForwarded: for=1.2.3.4\r\nX-Forwarded-For: 1.2.3.4\r\n"), timeout=5)
    names = names_of(got)
    assert got.startswith(b"HTTP/1.1 200"), got
    assert names <= {b"date", b"content-type", b"content-length", b"transfer-encoding", b"connection", b"sluice-grant", b"sluice-exchange", b"sluice-receipt", b"cache-control",
                     b"trailer"}, names
    assert b"x-late" not in got.lower() and b"secret" not in got
    assert names_of(P.heads[0][0]) <= OURS, P.heads
    assert b"secret" not in P.heads[0][0]
    P.answer = lambda h, b, s: s.sendall(b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n")
    assert NODE.reason("provider/people", {"id_no": PERSON}) == (502, "provider-malformed")
    P.answer = before


def exchange(s, data, until):
    s.sendall(data)
    got = b""
    s.settimeout(5)
    while not re.search(until, got, re.S):
        piece = s.recv(65536)
        if not piece:
            break
        got += piece
    return got


def test_03_expect_is_answered_before_the_body_or_by_a_refusal():
    body = json.dumps({"id_no": PERSON}).encode()
    def head(path, more):
        return b"POST /x/" + path + b" HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n" + more + b"\r\n"
    for framing, content in ((f"Content-Length: {len(body)}\r\n".encode(), body),
                             (b"Transfer-Encoding: chunked\r\n", f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\nX-Trailer: 1\r\n\r\n")):
        with socket.create_connection(("127.0.0.1", NODE.data_port)) as plain, NODE.tls().wrap_socket(plain) as s:
            for _ in range(2):  # and the connection is kept
                assert exchange(s, head(b"provider/people", framing), rb"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
                assert exchange(s, content, rb'"count":1}').startswith(b"HTTP/1.1 200")
    for data, want in ((head(b"provider/nothing", b"Content-Length: 5\r\n"), b"404"), (head(b"nowhere", b"Content-Length: 5\r\n"), b"404"),
                       (head(b"provider/people", b"Content-Length: 99999999\r\n"), b"413"),
                       (head(b"provider/people", b"Content-Length: 5\r\n").replace(b"100-continue", b"200-maybe"), b"400")):
        got, closed = raw(NODE, data, timeout=4)
        assert closed and got.startswith(b"HTTP/1.1 " + want) and b"100 Continue" not in got, (data, got)


def test_04_head_has_the_head_only_and_the_connection_goes_on():
    with socket.create_connection(("127.0.0.1", NODE.data_port)) as plain, NODE.tls().wrap_socket(plain) as s:
        got = exchange(s, b"HEAD /x/provider/open?age=36 HTTP/1.1\r\nHost: a\r\n\r\n" + OPEN + b"\r\n", rb'"count":1}')
    first, _, rest = got.partition(b"\r\n\r\n")
    assert first.startswith(b"HTTP/1.1 405") and b"Content-Length:" in first and b"Allow: GET, POST" in first, got
    assert rest.startswith(b"HTTP/1.1 200"), got


def test_05_when_a_connection_is_kept():
    for more, version, kept in ((b"", b"HTTP/1.1", True), (b"Connection: close\r\n", b"HTTP/1.1", False), (b"Connection: x, CLOSE\r\n", b"HTTP/1.1", False),
                                (b"", b"HTTP/1.0", False), (b"Connection: keep-alive\r\n", b"HTTP/1.0", True),
                                (b"Connection: keep-alive, close\r\n", b"HTTP/1.0", False), (b"Connection: close\r\nConnection: keep-alive\r\n", b"HTTP/1.0", False)):
        data = OPEN.replace(b"HTTP/1.1", version) + more + b"\r\n"
        quiet, began = [], time.monotonic()
        for _ in range(1 if kept else 3):
            got, closed = raw(NODE, data + data, timeout=10, quiet=quiet)
            assert closed and got.count(b"HTTP/1.1 200") == (2 if kept else 1), (more, version, got)
        if kept:
            assert time.monotonic() - began > 1.5, (more, version)  # an idle one is closed after limits.idle
        else:
            assert city.median(quiet) < 1.5, (more, version, quiet)
        assert (b"Connection: close" in got) == (version == b"HTTP/1.1" and not kept or not kept), got


def test_05b_fields_that_stand_several_times():
    """A list in several fields is one list (RFC 9110, 5.3); of two types each reader would take its own."""
    for more, want in ((b"Accept: text/plain\r\nAccept: application/json;q=0.5\r\n", b"200"), (b"Accept: text/plain\r\nAccept:\r\nAccept: image/png\r\n", b"406"),
                       (b"Content-Type: text/plain\r\n", b"415"), (b"Content-Encoding: gzip\r\n", b"415"), (b"Content-Encoding: identity\r\n", b"200"),
                       (b"Content-Encoding: identity\r\nContent-Encoding: gzip\r\n", b"415")):
        got, _ = raw(NODE, post(extra=more + b"Connection: close\r\n"), timeout=5)
        assert got.startswith(b"HTTP/1.1 " + want), (more, got)
    got, _ = raw(NODE, post(body=b"{}", extra=b"Accept-Language: fr\r\nAccept-Language: en\r\nConnection: close\r\n"), timeout=5)
    assert b"Content-Language: en" in got, got


def trickled():
    """A body of a byte now and then: the seconds until it is cut."""
    with socket.create_connection(("127.0.0.1", NODE.data_port)) as plain, NODE.tls().wrap_socket(plain) as s:
        s.sendall(b"POST /x/provider/people HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 10000\r\n\r\n{")
        began, cut = time.monotonic(), False
        while not cut and time.monotonic() - began < 8:
            try:
                s.sendall(b" ")
                s.settimeout(0.1)
                cut = s.recv(1) == b""
            except (ssl.SSLWantReadError, socket.timeout):
                pass
            except OSError:
                cut = True
    return time.monotonic() - began if cut else float("inf")


def test_06_a_body_that_trickles_is_cut_and_on_record():
    took = [trickled() for _ in range(3)]
    assert city.median(took) < 5, took
    wait_for(lambda: sum(r.get("reason") == "request-timeout" for r in NODE.records()) >= 3)
    # one that keeps up is served, however long it takes
    with socket.create_connection(("127.0.0.1", NODE.data_port)) as plain, NODE.tls().wrap_socket(plain) as s:
        body = json.dumps({"id_no": PERSON}).encode()
        s.sendall(b"POST /x/provider/people HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: " + str(6000 + len(body)).encode() + b"\r\n\r\n")
        for _ in range(15):
            s.sendall(b" " * 400)
            time.sleep(0.15)
        assert exchange(s, body, rb'"count":1}').startswith(b"HTTP/1.1 200")


def test_07_http2_can_be_switched_off():
    for offer, want in ((["h2", "http/1.1"], "http/1.1"), (["h2"], "refused")):
        context = NODE.tls()
        context.set_alpn_protocols(offer)
        try:
            with socket.create_connection(("127.0.0.1", NODE.data_port)) as plain, context.wrap_socket(plain) as s:
                got = s.selected_alpn_protocol()
        except (ssl.SSLError, ConnectionError):
            got = "refused"
        assert got == want, (offer, got)
    got, closed = raw(NODE, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", timeout=4)  # nor without ALPN
    assert closed and got.startswith(b"HTTP/1.1 400"), got


def test_99_teardown():
    NODE.__exit__(None, None, None)


if __name__ == "__main__":
    city.main(globals())
