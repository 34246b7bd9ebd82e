"""Answers arrive that are on record as handed out: the kernel has them before the consumer does, and neither a stop nor a connection that ends by itself may
take them along. Each consumer here has room for little, does something else for a while, and only then reads; some speak meanwhile."""
import json
import os
import signal
import socket
import time

import city
import h2
from city import Node, PERSON, Provider, json_resource

ROWS = json.dumps({"code": "0", "rows": [{"id": PERSON, "name": "x" * 40, "age": i} for i in range(3000)]}).encode()
QUERY = json.dumps({"id_no": PERSON}).encode()
BUSY = 3  # seconds: longer than a connection that ends is kept for courtesy


class Scene:
    """A node with a provider that answers when `go` says so."""

    def __init__(self, settings):
        self.node = Node(settings, workers=1)

    def __enter__(self):
        node = self.node.__enter__()
        node.city()
        self.provider = Provider(lambda h, b, s: (city.wait_for(lambda: self.go, 60), Provider.reply(s, ROWS)))
        self.go = True
        node.publish(json_resource(self.provider.port), "provider/people")
        node.grant("provider/people", "id_no,name,age", purposes="check")
        return self

    def __exit__(self, *a):
        return self.node.__exit__(*a)

    def consumer(self, http2=False):
        context = self.node.tls()
        context.set_alpn_protocols(["h2" if http2 else "http/1.1"])
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        raw.connect(("127.0.0.1", self.node.data_port))
        s = context.wrap_socket(raw, server_hostname="localhost")
        if http2:
            s.sendall(h2.PREFACE + h2.frame(h2.SETTINGS, payload=b"\0\4" + h2.u32(1 << 24)) + h2.frame(h2.WINDOW, payload=h2.u32(1 << 24)))
        s.settimeout(10)
        return s

    def outcomes(self):
        return [r for r in self.node.records() if r["kind"] == "outcome"]

    def handed_out(self, n):
        """The kernel has the n-th answer, as far as the record goes."""
        city.wait_for(lambda: len(self.outcomes()) >= n)

    def term(self):
        os.kill(self.node.pid, signal.SIGTERM)
        return time.monotonic()

    def ended(self, since, most):
        self.node.process.wait(60)
        took = time.monotonic() - since
        assert took < most, f"the stop took {took:.1f} s"
        self.node.stop()


def ask1(s, more=b""):
    s.sendall(b"POST /x/provider/people HTTP/1.1\r\nHost: g\r\nContent-Type: application/json\r\n" + more + b"Content-Length: %d\r\n\r\n" % len(QUERY) + QUERY)


def ask2(s, stream):
    s.sendall(h2.frame(h2.HEADERS, h2.END_HEADERS, stream, h2.block(more=[("content-type", "application/json"), ("content-length", str(len(QUERY)))])) +
              h2.frame(h2.DATA, h2.END_STREAM, stream, QUERY))


def whole1(s):
    """Reads one answer, which is chunked."""
    got = b""
    while not got.endswith(b"\r\n\r\n") or b"\r\n0\r\n" not in got:
        piece = s.recv(65536)
        assert piece, f"cut after {len(got)} bytes"
        got += piece
    assert got.startswith(b"HTTP/1.1 200"), got[:40]


def whole2(s, stream):
    """Reads until a frame ends the stream."""
    got, at = b"", 0
    while True:
        while len(got) - at >= 9 and len(got) - at - 9 >= int.from_bytes(got[at:at + 3], "big"):
            if got[at + 3] in (h2.DATA, h2.HEADERS) and got[at + 4] & h2.END_STREAM and int.from_bytes(got[at + 5:at + 9], "big") == stream:
                return
            at += 9 + int.from_bytes(got[at:at + 3], "big")
        piece = s.recv(65536)
        assert piece, f"cut after {len(got)} bytes"
        got += piece


def reads_late(s, http2):
    """It is busy, says something, and only then reads."""
    time.sleep(BUSY)
    s.sendall(h2.frame(h2.WINDOW, payload=h2.u32(1000)) if http2 else b"GET /x/provider/people HTTP/1.1\r\n")
    time.sleep(0.3)
    whole2(s, 1) if http2 else whole1(s)


def test_01_a_stop_while_it_is_made():
    for more in (b"", b"Connection: close\r\n"):
        with Scene("limits: {drain: 30s}\n") as scene:
            scene.go = False
            s = scene.consumer()
            ask1(s, more)
            city.wait_for(lambda: scene.provider.seen == 1)
            began = scene.term()
            scene.go = True
            scene.handed_out(1)
            time.sleep(BUSY)
            whole1(s)
            scene.ended(began, 20)


def test_02_a_stop_after_it():
    for http2 in (False, True):
        with Scene("limits: {drain: 30s}\n") as scene:
            s = scene.consumer(http2)
            ask2(s, 1) if http2 else ask1(s)
            scene.handed_out(1)
            time.sleep(0.5)
            began = scene.term()
            reads_late(s, http2)
            scene.ended(began, 20)


def test_03_the_last_of_its_connection():
    """limits.requests are reached; whatever it says to that is too late to be heard, and ends nothing."""
    for http2 in (False, True):
        with Scene("limits: {requests: 1}\n") as scene:
            s = scene.consumer(http2)
            ask2(s, 1) if http2 else ask1(s)
            scene.handed_out(1)
            reads_late(s, http2)
            s.close()


def test_04_who_does_not_read_is_not_waited_for():
    """A connection that ends has limits.write for each part, a stop limits.drain."""
    with Scene("limits: {requests: 1, write: 2s, drain: 3s}\n") as scene:
        s = scene.consumer(True)
        ask2(s, 1)
        scene.handed_out(1)

        def open_ones():
            return scene.node.metric("sluice_connections_opened_total") - scene.node.metric("sluice_connections_closed_total")
        city.wait_for(lambda: open_ones() == 0, 20)
        s.close()
        s = scene.consumer()
        ask1(s)
        scene.handed_out(2)
        began = scene.term()
        scene.ended(began, 15)


if __name__ == "__main__":
    city.main(globals())
