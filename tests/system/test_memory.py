"""Memory under real pressure: requests that are held, answers that nobody reads and HTTP/2 streams by the hundred take the process to its cap. It
stays below by refusing exchanges with 503 and Retry-After, each on record, and serves everybody again when the load has gone."""
import json
import os
import re
import resource
import selectors
import socket
import ssl
import subprocess
import sys
import threading
import time

import city
import h2
from city import Node, Provider, json_resource, PERSON, wait_for
from test_limits import grant_other, other_department
from test_slow_readers import SOURCE, rss

ASK = json.dumps({"id_no": PERSON}).encode()
ROOM = 40 << 20        # from the process at rest to its cap
BODY = 3 << 20         # held of each request
CROWD = 1800           # connections, of which the smallest takes 16 KiB and the cap leaves room for less
CONTEXTS = {}
SANITIZED = "asan" in city.BUILD or "tsan" in city.BUILD


def start(limits):
    """The node again, with these limits."""
    with open(os.path.join(NODE.dir, "sluice.yaml"), "w", encoding="utf-8") as f:
        f.write(TEXT + limits)
    NODE.start()


def test_00_setup():
    global NODE, TEXT, FAST, LOUD, CAP
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    FAST = Provider()
    LOUD = subprocess.Popen([sys.executable, "-c", SOURCE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    NODE = Node()
    # What was freed goes back to the kernel at once, as without the sanitizer.
    NODE.env["ASAN_OPTIONS"] = NODE.env.get("ASAN_OPTIONS", "") + \
        ":quarantine_size_mb=1:thread_local_quarantine_size_kb=64:allocator_release_to_os_interval_ms=50"
    NODE.__enter__()
    NODE.city()
    other_department(NODE)
    NODE.publish(json_resource(FAST.port), "provider/people")
    NODE.publish(json_resource(int(LOUD.stdout.readline()), "loud", timeout="5m").replace("timeout: 5m", "timeout: 5m\n  limits: {in_flight: 1000}"),
                 "provider/loud")
    NODE.publish(json_resource(Provider(late).port, "late", timeout="30s").replace("timeout: 30s", "timeout: 30s\n  limits: {in_flight: 1000}"), "provider/late")
    NODE.grant("provider/people", "name")
    grant_other(NODE)
    NODE.grant("provider/loud", "name,age")
    NODE.grant("provider/late", "name,age")
    for _ in range(20):
        assert NODE.ask("provider/people", {"id_no": PERSON})[0] == 200
    rest = rss(NODE.pid)
    NODE.stop()
    with open(os.path.join(NODE.dir, "sluice.yaml"), encoding="utf-8") as f:
        TEXT = f.read()
    CAP = (rest + ROOM) >> 20 << 20
    # Nothing but the process's memory is in the way of the load.
    start(limits())


def limits(more="begun_each: 100000, "):
    return (f"limits: {{memory: {CAP >> 20}m, body: 4m, bodies: 4g, body_time: 5m, write: 5m, idle: 5m, exchanges: 100000, exchanges_each: 100000, {more}bodies_each: 4g, "
            "connections_each: 100000, drain: 2s}\n")


def late(_head, _body, s):
    """Two megabytes of rows, and whether all is well behind them: until then all of it must be held."""
    row = json.dumps({"id": PERSON, "name": "x" * 40, "age": 36}).encode()
    rows, end = b'{"rows":[' + b",".join([row] * 24000) + b"]", b',"code":"0"}'
    s.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(rows) + len(end), rows))
    time.sleep(3)
    s.sendall(end)


def highest(pid):
    """The most that was ever resident, by the kernel's account."""
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return int(re.search(r"VmHWM:\s+(\d+) kB", f.read())[1]) * 1024


class Watched:
    """What one load brings the process to, looked at every few milliseconds: the kernel's account is never reset, for that takes
    more than the process's own user may."""

    def __init__(self):
        self.seen, self.on = 0, True
        self.thread = threading.Thread(target=self.watch)

    def watch(self):
        while self.on:
            self.seen = max(self.seen, rss(NODE.pid))
            time.sleep(0.005)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *failed):
        self.on = False
        self.thread.join()

    def held_under_the_cap(self, what, refused):
        most = highest(NODE.pid)
        print(f"       {what}: {refused} refused; {self.seen / (1 << 20):.1f}, ever {most / (1 << 20):.1f}, of {CAP >> 20} MiB")
        assert CAP * 3 // 4 < self.seen and most < CAP, (self.seen, most, CAP)


def recovers():
    """With the load gone everybody is served again, by itself."""
    wait_for(lambda: NODE.ask("provider/people", {"id_no": PERSON})[0] == 200, 20)
    wait_for(lambda: all(NODE.ask("provider/people", {"id_no": PERSON})[0] == 200 for _ in range(20)), 20)


def refusals():
    """Those on record, and those that were too many to be recorded one by one."""
    one = sum(r["kind"] == "refused" and r["reason"] == "overloaded" for r in NODE.records())
    return one + sum(r["counts"].get("overloaded", 0) for r in NODE.records() if r["kind"] == "count")


class Held:
    """A request whose last byte is never sent, on a connection that does not block."""

    def __init__(self, poll):
        self.s = NODE.tls().wrap_socket(socket.create_connection(("127.0.0.1", NODE.data_port)), server_hostname="x")
        body = b"{" + b" " * BODY + ASK[1:]
        self.left = memoryview(b"POST /x/provider/people HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (len(body) + 1) + body)
        self.got, self.closed = b"", False
        self.s.setblocking(False)
        poll.register(self.s, selectors.EVENT_READ | selectors.EVENT_WRITE, self)

    def go_on(self, poll):
        try:
            while len(self.left):
                self.left = self.left[self.s.send(self.left[:65536]):]
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
            pass
        except OSError:
            self.left = self.left[:0]
        try:
            while piece := self.s.recv(65536):
                self.got += piece
            self.closed = True
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except OSError:
            self.closed = True
        if self.closed:
            poll.unregister(self.s)
        elif not len(self.left):
            poll.modify(self.s, selectors.EVENT_READ, self)


def test_01_requests_that_are_held():
    with Watched() as watched:
        before, poll = refusals(), selectors.DefaultSelector()
        held = [Held(poll) for _ in range(100)]
        end = time.monotonic() + 60
        while time.monotonic() < end and (any(len(h.left) and not h.closed for h in held) or sum(bool(h.got) for h in held) <= 50):
            for key, _ in poll.select(0.1):
                key.data.go_on(poll)
        time.sleep(0.5)
        for key, _ in poll.select(0.1):
            key.data.go_on(poll)
        told = [h for h in held if h.got]
        waiting = [h for h in held if not h.closed and not h.got]
        assert all(h.got.startswith(b"HTTP/1.1 503") and b"\r\nRetry-After: " in h.got and b'"code":"overloaded"' in h.got for h in told), told[0].got[:300]
        assert len(told) > 50 and len(waiting) > 4, (len(told), len(waiting))
        watched.held_under_the_cap("held requests", len(told))
    assert refusals() - before >= len(told)
    for h in held:
        h.s.close()
    recovers()


def test_02_answers_that_nobody_reads():
    with Watched() as watched:
        before, readers, statuses = refusals(), [], []
        ask = b"POST /x/provider/loud HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(ASK), ASK)
        for _ in range(900):
            s = NODE.tls().wrap_socket(socket.create_connection(("127.0.0.1", NODE.data_port)), server_hostname="x")
            s.sendall(ask)
            readers.append(s)
            statuses.append(s.recv(400).split()[1])
            if statuses.count(b"503") >= 50:
                break
        assert set(statuses) == {b"200", b"503"} and statuses.count(b"503") >= 50, (len(statuses), statuses.count(b"503"))
        status, head, body = NODE.ask("provider/people", {"id_no": PERSON})
        assert (status, json.loads(body)["code"]) == (503, "overloaded") and head["Retry-After"], (status, body)
        watched.held_under_the_cap(f"{statuses.count(b'200')} unread answers", statuses.count(b"503"))
    assert refusals() - before >= statuses.count(b"503")
    for s in readers:
        s.close()
    recovers()


def test_03_streams_by_the_hundred():
    with Watched() as watched:
        before, clients, refused = refusals(), [], 0
        while refused < 50 and len(clients) < 30:
            c = h2.Client(NODE, settings=b"\0\x04" + h2.u32(0))    # a window of nothing: each answer is held
            clients.append(c)
            streams = [c.ask(ASK, path="/x/provider/loud") for _ in range(50)]
            c.until(lambda: all(c.status(s) or c.ended(s) is not None for s in streams), 20)
            refused += sum(c.status(s) == 503 for s in streams)
        assert refused >= 50, (refused, len(clients))
        watched.held_under_the_cap(f"{len(clients) * 50 - refused} held streams", refused)
    assert refusals() - before >= refused
    for c in clients:
        c.close()
    # Thousands of small pieces: the sanitizer gives back to the kernel only what is free for a long way, now and then too little.
    if not SANITIZED:
        recovers()


def test_03b_answers_whose_result_comes_last():
    NODE.stop()  # what the sanitizer keeps of the streams would be in the way
    NODE.start()
    with Watched() as watched:
        got = []
        askers = [threading.Thread(target=lambda: got.append(NODE.ask("provider/late", {"id_no": PERSON})[0])) for _ in range(60)]
        for t in askers:
            t.start()
        for t in askers:
            t.join()
        assert set(got) == {200, 503} and got.count(200) >= 5, got
        watched.held_under_the_cap(f"{got.count(200)} answers without a result", got.count(503))
    assert sum(r["kind"] == "outcome" and r["reason"] == "overloaded" for r in NODE.records()) >= 10
    recovers()


def served(who="consumer/app"):
    """False also for who is turned away without a word, while what the crowd held is given back."""
    try:
        return NODE.ask("provider/people", {"id_no": PERSON}, who=who, timeout=5)[0] == 200
    except OSError:
        return False


def test_03c_requests_that_only_begin():
    """Heads by the thousand whose bodies never end, or never begin: each waits for nothing but its consumer, and is admitted nowhere.
    What those who were turned away held comes back, so that now and then a whole connection finds room: it is the many that count."""
    for body in (b"", b"x" * 100):
        NODE.stop()
        NODE.start()
        with Watched() as watched:
            clients, before = [], refusals()
            more = (("content-type", "application/json"), ("sluice-case", "c" * 60))
            for _ in range(64):
                c = h2.Client(NODE)
                clients.append(c)
                c.s.sendall(b"".join(h2.frame(h2.HEADERS, h2.END_HEADERS, 1 + 2 * i, h2.block(more=more)) + (h2.frame(h2.DATA, 0, 1 + 2 * i, body) if body else b"")
                                     for i in range(100)))
            later = clients[32:]
            for c in later:
                c.until(lambda c=c: turned_away(c) == 100, 0.05)
            turned = [turned_away(c) for c in later]
            watched.held_under_the_cap(f"{len(clients) * 100} requests that only begin, {len(body)} bytes each, of the later half", sum(turned))
        assert sum(turned) > 800 and all(c.closed is None for c in later), turned
        wait_for(lambda before=before, turned=turned: refusals() - before >= sum(turned), 10)
        for c in clients:
            c.close()
        if not SANITIZED:
            wait_for(served, 20)
            recovers()


def turned_away(c):
    """Of a hundred requests on one connection."""
    return sum(c.ended(1 + 2 * i) is not None or c.status(1 + 2 * i) == 503 for i in range(100))


def plain(protocol):
    """A connection of the application's own, and what has been read of it."""
    if protocol not in CONTEXTS:
        CONTEXTS[protocol] = NODE.tls()
        CONTEXTS[protocol].set_alpn_protocols([protocol])
    return CONTEXTS[protocol].wrap_socket(socket.create_connection(("127.0.0.1", NODE.data_port), timeout=10), server_hostname="x")


def half_a_head():
    s = plain("http/1.1")
    s.sendall(b"POST /x/provider/people HTTP/1.1\r\nHost: a\r\nX-A: " + b"a" * 15900)
    return s


def half_a_hello():
    s = socket.create_connection(("127.0.0.1", NODE.data_port), timeout=10)
    s.sendall(b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc\x03\x03" + b"a" * 16000)
    return s


def idle_http2():
    s = plain("h2")
    s.sendall(h2.PREFACE + h2.frame(h2.SETTINGS))
    return s


def tables_and_half_a_list():
    """Four KiB of header table in the smallest of fields, which cost most, then a header list as long as may be that does not end."""
    s = plain("h2")
    small = b"".join(b"\x40\x01" + bytes([97 + j % 26]) + b"\x00" for j in range(60))
    long = h2.field("x-a", "a" * 3900) * 2
    s.sendall(h2.PREFACE + h2.frame(h2.SETTINGS) + b"".join(h2.frame(h2.HEADERS, h2.END_HEADERS | h2.END_STREAM, 1 + 2 * k, h2.block() + small) for k in range(3)) +
              h2.frame(h2.HEADERS, 0, 7, h2.block()) + h2.frame(h2.CONTINUATION, 0, 7, long) * 6)
    return s


def turned_away_streams():
    """A hundred requests whose bodies have begun; most are reset at once."""
    s = plain("h2")
    more = (("content-type", "application/json"), ("sluice-case", "c" * 60))
    s.sendall(h2.PREFACE + h2.frame(h2.SETTINGS) + b"".join(h2.frame(h2.HEADERS, h2.END_HEADERS, 1 + 2 * k, h2.block(more=more)) + h2.frame(h2.DATA, 0, 1 + 2 * k, b"{")
                                                            for k in range(100)))
    return s


def last_words(s):
    """What came on a connection, whether or not it has ended."""
    got = b""
    s.settimeout(0)
    try:
        while piece := s.recv(65536):
            got += piece
    except OSError:
        pass
    return got


def told(kind, got):
    """In words, as far as the protocol has any."""
    if kind == "503":
        return got.startswith(b"HTTP/1.1 503") and b"\r\nRetry-After: " in got
    calm = h2.frame(h2.GOAWAY, payload=h2.u32(0))[3:9]
    return calm in got and got[got.rindex(calm) + 10:][:4] == h2.u32({"calm": h2.ENHANCE_YOUR_CALM, "idle": h2.NO_ERROR}[kind])


def test_03d_connections_that_hold_much():
    """Thousands of connections of one application, each in the state that costs most and asking for nothing that is ever admitted: the process stays
    under its cap, says so to those that it ends, and another department is served while the crowd stands there. Requests that only begin have their
    usual limit here: what they hold they hold, as long as it takes."""
    for begin, kind in ((half_a_head, "503"), (idle_http2, "idle"), (tables_and_half_a_list, "calm"), (turned_away_streams, None), (half_a_hello, None)):
        NODE.stop()
        start(limits(""))
        assert NODE.ask("provider/people", {"id_no": PERSON}, who="other/app")[0] == 200
        crowd, away = [], 0
        with Watched() as watched:
            for _ in range(CROWD):
                try:
                    crowd.append(begin())
                except OSError:
                    away += 1
            # With half a hello it waits for the door, which is another test's. Of a hundred thousand streams a sanitizer's allocator keeps 18 of the
            # 40 MiB there are, also when all have ended: then nobody is served, here and below; tests/run looks at the release build too.
            if begin is not half_a_hello and not (SANITIZED and begin is turned_away_streams):
                wait_for(lambda: served("other/app"), 20)
            ended = NODE.metric("sluice_connections_refused_total") + NODE.metric("sluice_connections_calmed_total")
            if begin is half_a_hello:
                assert highest(NODE.pid) < CAP, (highest(NODE.pid), CAP)
            else:
                watched.held_under_the_cap(f"{len(crowd)} of {CROWD} connections, {begin.__name__}, {away} not even begun", ended)
                assert ended > 50, (begin, ended)
        words = [last_words(s) for s in crowd]
        assert kind is None or sum(told(kind, got) for got in words) >= 20, (kind, [got[-60:] for got in words if got][:3])
        for s in crowd:
            s.close()
        if not SANITIZED:
            wait_for(served, 20)
            recovers()


def test_04_all_is_on_record():
    NODE.stop()
    assert NODE.verify()[0] == 0


def test_99_teardown():
    NODE.__exit__(None, None, None)
    LOUD.kill()


if __name__ == "__main__":
    city.main(globals())
