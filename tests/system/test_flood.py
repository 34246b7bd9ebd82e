"""Floods: of strangers, of one identity, of connections that are reset. The log grows by its bound and no more, what is recorded and what is counted are
together exactly what was sent, also when the node stops meanwhile, and nobody else's exchange is refused or waits long."""
import json
import socket
import struct
import threading
import time
import urllib.request

import city
import disk
import load
from city import FULL, Node, PERSON

SENT = 4000 if FULL else 600
THREADS = 6
ASK = ("provider/people", {"id_no": PERSON})


def test_00_setup():
    global NODE, START, DISK
    NODE = Node("evidence: {strangers_bytes: 1m}\n")
    NODE.__enter__()
    load.City(NODE)
    NODE.stop()
    DISK = disk.Disk(NODE)
    NODE.start()
    START = time.monotonic()


def in_threads(work, count):
    """work(n) for each n below count, by a few threads; the seconds it took."""
    left, lock, faults = list(range(count)), threading.Lock(), []

    def run():
        while True:
            with lock:
                if not left:
                    return
                n = left.pop()
            try:
                work(n)
            except AssertionError as e:
                faults.append(e)
                return
    began = time.monotonic()
    threads = [threading.Thread(target=run) for _ in range(THREADS)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not faults, faults[:3]
    return time.monotonic() - began



class Others:
    """Exchanges of a known application meanwhile: none is refused, none waits long."""

    def __enter__(self):
        self.took, self.bad, self.over = [], [], False
        self.thread = threading.Thread(target=self.run)
        self.thread.start()
        return self

    def run(self):
        c = NODE.connect()
        while not self.over:
            began = time.monotonic()
            try:
                status = NODE.ask(*ASK, connection=c)[0]
            except OSError as e:
                status = repr(e)
            self.took.append(time.monotonic() - began)
            if status != 200:
                self.bad.append(status)
                c = NODE.connect()
            time.sleep(0.01)

    def __exit__(self, *_):
        self.over = True
        self.thread.join()
        assert self.took and not self.bad, self.bad[:5]
        self.took.sort()
        assert self.took[len(self.took) // 2] < 1, f"median {self.took[len(self.took) // 2]:.2f} s"


def settled(before, reason, sent):
    """(recorded, counted) of this reason since `before` records, once they are all there."""
    def look():
        since = NODE.records()[before:]
        recorded = sum(1 for r in since if r["kind"] == "refused" and r["reason"] == reason)
        counted = sum(r["counts"].get(reason, 0) for r in since if r["kind"] == "count")
        return (recorded, counted) if recorded + counted >= sent else None
    found = city.wait_for(look, 10, 0.2)
    time.sleep(1.2)  # nothing is counted twice
    assert look() == found, (found, look())
    assert sum(found) == sent, (found, sent)
    return found


def counts_since(before):
    return [r for r in NODE.records()[before:] if r["kind"] == "count"]


def test_01_strangers():
    """No certificate: ten a second are recorded, and what one worker saves up; the rest is counted."""
    answered, closed = [], []

    def attempt(n):
        try:
            status, _, body = NODE.ask(*ASK, who=None)
            assert status == 401 or json.loads(body)["code"] == "certificate-missing", (status, body)
            answered.append(n)
        except (OSError, city.http.client.HTTPException):
            closed.append(n)
    before = len(NODE.records())
    with Others():
        took = in_threads(attempt, SENT)
    recorded, counted = settled(before, "certificate-missing", SENT)
    assert recorded == len(answered) and counted == len(closed), (recorded, len(answered), counted, len(closed))
    assert recorded <= 10 * (took + 2) + 2, (recorded, took)
    assert counted > 0
    assert len(counts_since(before)) <= 2 * (took + 3), "more than one count record a second and worker"
    print(f"{SENT} in {took:.1f} s: {recorded} recorded, {counted} counted")


def test_02_strangers_from_everywhere():
    """Each from a source of its own: together a hundred a second, and no more than the day's bytes, of which a start leaves little."""
    def attempt(n):
        plain = socket.socket()
        try:
            plain.bind((f"127.0.{1 + n // 250}.{1 + n % 250}", 0))
            plain.connect(("127.0.0.1", NODE.data_port))
            with NODE.tls(None).wrap_socket(plain) as s:
                s.sendall(b"GET /x/provider/people HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                while s.recv(65536):
                    pass
        except OSError:
            pass
        finally:
            plain.close()
    before = len(NODE.records())
    with Others():
        in_threads(attempt, SENT)
    recorded, counted = settled(before, "certificate-missing", SENT)
    most = (1 << 20) / 2048
    lived = time.monotonic() - START
    first = sum(1 for r in NODE.records() if r["kind"] == "refused" and r["reason"] == "certificate-missing")
    assert first <= most / 16 + most * lived / 86400 + 2, (first, most)
    assert counted > SENT / 2
    print(f"{recorded} recorded, {counted} counted")


def test_03_one_identity():
    """Refusals of one application: a hundred a second are recorded, the rest is counted; a good request of it is not held up."""
    state = threading.local()

    def attempt(_):
        try:
            state.c = getattr(state, "c", None) or NODE.connect()
            status, _, _ = NODE.ask("provider/failing", {"id_no": PERSON, "_items": "id_no"}, connection=state.c)
            assert status == 403, status
        except (OSError, city.http.client.HTTPException):
            state.c = None
    before, sent = len(NODE.records()), SENT * 2
    with Others():
        took = in_threads(attempt, sent)
    recorded, counted = settled(before, "item-not-granted", sent)
    assert recorded <= 100 * (took + 2) + 2, (recorded, took)
    print(f"{sent} in {took:.1f} s: {recorded} recorded, {counted} counted")


def test_04_resets():
    """Connections that are reset in a handshake or in a head are no attempts: the log does not grow by them at all."""
    def reset(s):
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        s.close()

    def attempt(n):
        plain = socket.create_connection(("127.0.0.1", NODE.data_port))
        if n % 3 == 0:
            plain.sendall(b"\x16\x03\x01\x02\x00\x01\x00")  # the begin of a hello
        elif n % 3 == 1:
            s = NODE.tls(None).wrap_socket(plain)
            s.sendall(b"POST /x/provider/people HTTP/1.1\r\nHost: x\r\nContent-Le")
            plain = s
        reset(plain)
    before = len(NODE.records())
    with Others():
        in_threads(attempt, SENT)
    time.sleep(1.5)
    since = [r for r in NODE.records()[before:] if r["kind"] not in ("intent", "outcome")]
    assert len(since) <= 5, since[:5]

    def still():
        with urllib.request.urlopen(f"http://{NODE.operations}/metrics", timeout=10) as r:
            count = dict(line.split() for line in r.read().decode().splitlines() if line.startswith("sluice_connections_"))
        return int(count["sluice_connections_opened_total"]) - int(count["sluice_connections_closed_total"])
    city.wait_for(lambda: still() < 100)  # the others were left open


def stranger(port, path):
    c = city.http.client.HTTPSConnection("127.0.0.1", port, timeout=20, context=NODE.tls(None))
    try:
        c.request("GET", path)
        c.getresponse().read()
    except (OSError, city.http.client.HTTPException):
        pass
    finally:
        c.close()


def test_05_the_administration_api():
    """The same rule at the control listener."""
    before = len(NODE.records())
    in_threads(lambda _: stranger(NODE.control_port, "/v1/grants"), SENT // 3)
    recorded, counted = settled(before, "certificate-missing", SENT // 3)
    assert recorded < SENT // 6, recorded
    print(f"{recorded} recorded, {counted} counted")


def test_06_a_stop_loses_no_count():
    """With a slow disk there is a count record under way whenever the node is told to stop, and more was counted since."""
    before = len(NODE.records())
    DISK.sync_ms = 1500
    in_threads(lambda _: stranger(NODE.data_port, "/x/provider/people"), SENT)
    NODE.stop()
    DISK.heal()
    NODE.start()
    print("%d recorded, %d counted" % settled(before, "certificate-missing", SENT))


def test_99_teardown():
    NODE.stop()
    code, text = NODE.verify()
    assert code == 0, text
    NODE.__exit__(None, None, None)


if __name__ == "__main__":
    city.main(globals())
