"""What one peer can take from the others is bounded: connections of an identity, exchanges of a department, descriptors, memory, the control
listener."""
import http.client
import json
import os
import resource
import socket
import ssl
import threading
import time

import city
import h2
from city import Node, Provider, json_resource, PERSON
from h2 import Client, frame, u32


def rss(node):
    with open(f"/proc/{node.pid}/statm", encoding="ascii") as f:
        return int(f.read().split()[1]) * 4096


def readyz(node):
    c = http.client.HTTPConnection(node.operations, timeout=10)
    c.request("GET", "/readyz?verbose")
    r = c.getresponse()
    return r.status, r.read().decode()


def held(node, who="consumer/app"):
    """An open connection, or None when the gateway closed it at once."""
    s = node.tls(who).wrap_socket(socket.create_connection(("127.0.0.1", node.data_port), timeout=10), server_hostname="127.0.0.1")
    s.settimeout(0.5)
    try:
        return None if s.recv(1) == b"" else s
    except TimeoutError:
        return s
    except (ssl.SSLError, OSError):
        return None


def other_department(node):
    node.department("other")
    node.enrol("person", "other/olga")
    node.enrol("app", "other/app", contact="{person: other/olga}")


def test_01_connections_of_one_identity():
    with Node(workers=1, settings="limits: {connections_each: 5}\n") as node:
        node.city()
        other_department(node)
        mine = [held(node) for _ in range(9)]
        assert sum(s is not None for s in mine) == 5, mine
        city.wait_for(lambda: node.metric("sluice_connections_over_limit_total") == 4, 10)
        theirs = held(node, "other/app")
        assert theirs is not None, "another identity was refused"
        for s in mine:
            if s is not None:
                s.close()
        city.wait_for(lambda: held(node) is not None, 10)


def test_01a_whichever_workers_they_are_in():
    """A hash spreads connections over workers, and never evenly: nobody is refused before the limit, and nobody is let in beyond."""
    with Node(workers=16, settings="limits: {connections_each: 90}\n") as node:
        node.city()
        context, mine = node.tls(), []
        for _ in range(100):
            mine.append(context.wrap_socket(socket.create_connection(("127.0.0.1", node.data_port), timeout=10)))
        def open_ones():
            told = []
            for s in mine:
                s.settimeout(0.01)
                try:
                    told.append(s.recv(1) != b"")
                except TimeoutError:
                    told.append(True)
                except OSError:
                    told.append(False)
            return told
        city.wait_for(lambda: sum(open_ones()) <= 90)
        assert sum(open_ones()) == 90
        for s in mine:
            s.close()


def test_01b_connections_of_all():
    """Whoever they belong to; and there is a place again when one has ended."""
    with Node(workers=1, settings="limits: {connections: 8}\n") as node:
        node.city()
        other_department(node)
        kept = [node.connect(who) for who in ["consumer/app"] * 5 + ["other/app"] * 3]
        for c in kept:
            c.connect()
            c.request("GET", "/x/provider/nothing")
            assert c.getresponse().read()
        for who in ("consumer/app", "other/app", None):
            try:
                raise AssertionError(node.ask("provider/nothing", who=who)[0])
            except OSError:
                pass
        kept[0].close()
        city.wait_for(lambda: served(node), 10)


def served(node):
    try:
        return node.ask("provider/nothing")[0] == 404
    except OSError:
        return False


def test_01c_requests_of_one_connection():
    """The last of them is answered like the others, and says that it is the last."""
    with Node(workers=1, settings="limits: {requests: 3}\n") as node:
        node.city()
        c = node.connect()
        told = [node.ask("provider/nothing", connection=c)[1]["Connection"] for _ in range(3)]
        assert told == [None, None, "close"], told
        c = Client(node)
        streams = [c.ask() for _ in range(3)]
        assert [c.answer(s)[::2] for s in streams] == [(404, "end")] * 3, c.got
        assert c.goaway() == h2.NO_ERROR and c.closed == "end", c.closed


def test_02_exchanges_of_one_department():
    go_on = threading.Event()
    slow = Provider(lambda h, b, s: (go_on.wait(60), Provider.one_person(h, b, s))[1])
    quick = Provider()
    with Node(workers=1, settings="limits: {exchanges_each: 3}\n") as node:
        node.city()
        node.publish(json_resource(slow.port, timeout="60s"), "provider/people")
        node.publish(json_resource(quick.port, "quick"), "provider/quick")
        node.grant("provider/people", "name")
        node.grant("provider/quick", "name")
        waiting = []
        for _ in range(3):
            c = node.connect()
            c.request("POST", "/x/provider/people", body=json.dumps({"id_no": PERSON}), headers={"Content-Type": "application/json"})
            waiting.append(c)
        city.wait_for(lambda: slow.seen == 3)
        status, head, body = node.ask("provider/quick", {"id_no": PERSON})
        go_on.set()
        assert (status, json.loads(body)["code"], head["Retry-After"]) == (429, "rate-limited", "2"), (status, body)
        assert [c.getresponse().status for c in waiting] == [200] * 3
        assert node.ask("provider/quick", {"id_no": PERSON})[0] == 200
        assert [r["reason"] for r in node.records() if r["kind"] == "refused"] == ["rate-limited"]


def test_02a_however_many_workers_share_them():
    """One connection, which is in one worker, may have all that its department may; and all workers together let no more run than is told."""
    for settings, most, code in (("", 80, None), ("limits: {exchanges_each: 30}\n", 30, "rate-limited"), ("limits: {exchanges: 30}\n", 30, "overloaded")):
        go_on = threading.Event()
        slow = Provider(lambda h, b, s, go_on=go_on: (go_on.wait(60), Provider.one_person(h, b, s))[1])
        with Node(workers=16, settings=settings) as node:
            node.city()
            node.publish(json_resource(slow.port, timeout="60s").replace("timeout: 60s", "timeout: 60s\n  limits: {in_flight: 1000}"), "provider/people")
            node.grant("provider/people", "name")
            ask = json.dumps({"id_no": PERSON}).encode()
            clients = [Client(node) for _ in range(4 if code else 1)]
            asked = [(c, c.ask(ask)) for _ in range(80 // len(clients)) for c in clients]
            def over():
                for c in clients:
                    c.read(0.01)
                return [(c, s) for c, s in asked if c.ended(s) is not None]
            try:
                city.wait_for(lambda: len(over()) + slow.seen == 80)
                assert slow.seen == most, (settings, slow.seen)
                assert {json.loads(c.body(s))["code"] for c, s in over() if c.status(s)} == ({code} if code else set()), settings
                refused = over()
            finally:
                go_on.set()
            assert [c.answer(s, 30)[0] for c, s in asked if (c, s) not in refused] == [200] * most
            assert clients[0].answer(clients[0].ask(ask))[0] == 200   # there are places again


def test_02c_what_an_identity_may_a_second_it_may_on_one_connection():
    with Node(workers=16, settings="limits: {log_reads: 30, refusals: 30}\n") as node:
        node.city()
        def rate(path):
            """The statuses of 50 requests on one connection; what it may at once are two seconds' worth."""
            c, got = node.connect(), []
            for _ in range(50):
                c.request("GET", path)
                r = c.getresponse()
                r.read()
                got.append(r.status)
            c.close()
            return got
        assert rate("/log/checkpoint") == [200] * 50
        assert rate("/x/provider/nothing") == [404] * 50
        # and on many connections, which are in many workers, it may no more
        began, got = time.monotonic(), []
        for _ in range(20):
            c = node.connect()
            try:
                for _ in range(20):
                    c.request("GET", "/log/checkpoint")
                    r = c.getresponse()
                    r.read()
                    got.append(r.status)
            except (http.client.HTTPException, OSError):
                pass   # beyond limits.refusals nobody is told
            c.close()
        assert got.count(200) <= 60 + 30 * (time.monotonic() - began) + 1, (got, time.monotonic() - began)


def grant_other(node):
    real = node.json
    node.sluice("bureau/security", "person", "grant-role", "other/olga", "consumer-officer")
    node.json = lambda who, *a: real("other/olga" if who == "consumer/chen" else who, *a)
    node.grant("provider/people", "name", app="other/app")
    node.json = real


def running(node):
    return node.metric("sluice_exchanges_running")


def begin_over_http2(node, who, body):
    """As many requests as may be on three connections, none of which ends: their bodies do not come, or nobody takes the answer."""
    clients = [Client(node, who, settings=b"" if body else b"\0\x04" + u32(0)) for _ in range(3)]
    for c in clients:
        c.until(lambda: c.of(h2.SETTINGS), 5)
        for _ in range(20):
            if body:
                c.ask(end=False)
            else:
                c.send(frame(h2.HEADERS, h2.END_HEADERS | h2.END_STREAM, c.next, h2.block(method="GET")))
                c.next += 2
        c.read(0.2)
    return clients


def begin_over_http1(node, who):
    held_open = []
    for _ in range(40):
        s = node.tls(who).wrap_socket(socket.create_connection(("127.0.0.1", node.data_port), timeout=10), server_hostname="127.0.0.1")
        s.sendall(b"POST /x/provider/people HTTP/1.1\r\nHost: g\r\nContent-Type: application/json\r\nContent-Length: 30\r\n\r\n{")
        held_open.append(s)
    return held_open


def test_02b_what_only_begins_takes_nobody_elses_place():
    """One identity's requests without bodies, a stranger's unread refusals: both have places of their own, and all others are served."""
    provider = Provider()
    with Node(workers=1, settings="limits: {exchanges: 15, exchanges_each: 10, begun_each: 20, http2_streams: 20, bodies: 1m, body: 64k, bodies_each: 64k, strangers_source: 1000, strangers_all: 1000, drain: 1s}\n") as node:
        node.city()
        other_department(node)
        node.enrol("app", "consumer/second", contact="{person: consumer/chen}")
        node.publish(json_resource(provider.port), "provider/people")
        for app in ("consumer/app", "consumer/second"):
            node.grant("provider/people", "name", app=app)
        grant_other(node)
        others = ("consumer/second", "other/app")
        for begin in (lambda: begin_over_http2(node, "consumer/app", True), lambda: begin_over_http2(node, None, False),
                      lambda: begin_over_http1(node, "consumer/app")):
            kept = begin()
            city.wait_for(lambda: running(node) == 21, 10)     # its share is rounded up
            for who in others:
                assert node.ask("provider/people", {"id_no": PERSON}, who=who)[0] == 200, who
            for c in kept:
                c.close()
            city.wait_for(lambda: running(node) == 0, 10)
        counted = city.wait_for(lambda: sum(r["counts"].get("rate-limited", 0) for r in node.records() if r["kind"] == "count") >= 39 * 2 + 19)
        assert counted
        c = Client(node)                                       # a body that does not come takes its department's room, not that of others
        first, second = (c.ask(end=False, more=(("content-type", "application/json"), ("content-length", "60000"))) for _ in range(2))
        for s in (first, second):
            c.send(frame(h2.DATA, 0, s, b"{"))
        status, body, _ = c.answer(second)
        assert (status, json.loads(body)["code"]) == (429, "rate-limited"), (status, body)
        assert node.ask("provider/people", {"id_no": PERSON}, who="other/app")[0] == 200
        assert node.reason("provider/people", {"id_no": PERSON + " " * 9000}, who="consumer/second") == (429, "rate-limited")
        c.close()
        city.wait_for(lambda: node.ask("provider/people", {"id_no": PERSON}, who="consumer/second")[0] == 200, 10)


def silent(node, n):
    """Connections that say nothing, made at once."""
    many = []
    for _ in range(n):
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex(("127.0.0.1", node.data_port))
        many.append(s)
    time.sleep(1)
    return many


def test_03_descriptors_run_out():
    """Connections that came first go on, nothing crashes or spins, and it is over when descriptors are free again."""
    provider = Provider()
    with Node(workers=1, wrapper=["prlimit", "--nofile=96:96"]) as node:
        with open(node.log_path, encoding="utf-8") as f:
            few = [e for e in map(json.loads, f) if e["event"] == "descriptors-few"]
        assert [(e["level"], e["limit"]) for e in few] == [("warn", "96")] and int(few[0]["wanted"]) > 10000 and "LimitNOFILE" in few[0]["remedy"], few
        node.city()
        node.publish(json_resource(provider.port), "provider/people")
        node.grant("provider/people", "name")
        first = node.connect()
        assert node.ask("provider/people", {"id_no": PERSON}, connection=first)[0] == 200
        many = silent(node, 150)
        for _ in range(5):
            assert node.ask("provider/people", {"id_no": PERSON}, connection=first)[0] == 200
        with open(f"/proc/{node.pid}/stat", encoding="ascii") as f:
            before = sum(map(int, f.read().rsplit(")", 1)[1].split()[11:13]))
        time.sleep(1)
        with open(f"/proc/{node.pid}/stat", encoding="ascii") as f:
            spent = sum(map(int, f.read().rsplit(")", 1)[1].split()[11:13])) - before
        assert spent < 50, f"{spent} ticks of processor time in a second: it spins"
        for s in many:
            s.close()
        city.wait_for(lambda: node.ask("provider/people", {"id_no": PERSON})[0] == 200, 15)


def test_03b_the_last_descriptors_are_not_for_whoever_comes():
    """Strangers hold all that they may: the log goes on into its next file, providers are connected to, administrators get in."""
    provider = Provider()
    with Node(workers=1, settings="evidence: {segment_bytes: 64k, queue_bytes: 64k}\n", wrapper=["prlimit", "--nofile=96:96"]) as node:
        node.city()
        node.publish(json_resource(provider.port), "provider/people")
        grant = node.grant("provider/people", "name")
        first = node.connect()
        assert node.ask("provider/people", {"id_no": PERSON}, connection=first)[0] == 200
        many = silent(node, 150)
        provider.answer = lambda h, b, s: (Provider.one_person(h, b, s), False)[1]   # closes: the next one connects anew
        for i in range(300):
            status, _, body = node.ask("provider/people", {"id_no": PERSON}, connection=first)
            assert status == 200, (i, body)
        assert len([f for f in os.listdir(os.path.join(node.dir, "log")) if f.endswith(".seg")]) > 2
        node.sluice("bureau/ann", "grant", "revoke", grant, "--note", "a test")
        assert node.reason("provider/people", {"id_no": PERSON}, connection=first) == (403, "revoked")
        for s in many:
            s.close()
        city.wait_for(lambda: node.reason("provider/people", {"id_no": PERSON}) == (403, "revoked"), 15)
        node.stop()
        assert node.verify()[0] == 0


def test_04_memory_is_short():
    """Near its cap the process refuses new exchanges, says so, and serves again when there is room."""
    provider = Provider()
    node = Node(workers=1)
    node.env["ASAN_OPTIONS"] = node.env.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1:thread_local_quarantine_size_kb=64"
    with node:
        node.city()
        node.publish(json_resource(provider.port), "provider/people")
        node.grant("provider/people", "name")
        node.stop()
        with open(os.path.join(node.dir, "sluice.yaml"), "a", encoding="utf-8") as f:
            f.write("limits: {memory: 1m}\n")     # less than any process needs: it is short from the start
        node.start()
        status, head, body = node.ask("provider/people", {"id_no": PERSON})
        assert (status, json.loads(body)["code"], head["Retry-After"]) == (503, "overloaded", "2"), (status, body)
        status, text = readyz(node)
        assert status == 503 and "[-] memory: " in text, text
        node.stop()
        with open(os.path.join(node.dir, "sluice.yaml"), encoding="utf-8") as f:
            text = f.read().replace("limits: {memory: 1m}", f"limits: {{memory: {(rss_of_a_run(node) >> 20) * 2 + 64}m}}")
        with open(os.path.join(node.dir, "sluice.yaml"), "w", encoding="utf-8") as f:
            f.write(text)
        node.start()
        assert node.ask("provider/people", {"id_no": PERSON})[0] == 200
        assert readyz(node)[0] == 200


def rss_of_a_run(node):
    with open(os.path.join(node.dir, "sluice.yaml"), encoding="utf-8") as f:
        text = f.read()
    with open(os.path.join(node.dir, "sluice.yaml"), "w", encoding="utf-8") as f:
        f.write(text.replace("limits: {memory: 1m}", "limits: {memory: 0}"))
    node.start()
    used = rss(node)
    node.stop()
    with open(os.path.join(node.dir, "sluice.yaml"), "w", encoding="utf-8") as f:
        f.write(text)
    return used


def api(node, who, method="GET", path="/v1/me", body=None, length=None):
    """A connection to the control listener with one request on it, and its socket."""
    c = http.client.HTTPSConnection("127.0.0.1", node.control_port, timeout=20, context=node.tls(who))
    c.putrequest(method, path)
    if body is not None:
        c.putheader("Content-Type", "application/json")
        c.putheader("Content-Length", str(length or len(body)))
    c.endheaders(body)
    return c


def status(connection):
    r = connection.getresponse()
    text = r.read()
    assert (r.status in (429, 503)) == (r.headers["Retry-After"] is not None), (r.status, text)
    return r.status, json.loads(text).get("code") if r.status != 200 else None


def strangers(node, how, stop):
    """One who opens connections as fast as it can and keeps them all."""
    kept = []
    context = node.tls(None)
    while not stop.is_set():
        try:
            s = socket.create_connection(("127.0.0.1", node.control_port), timeout=5)
            kept.append(s)
            if how == "silent":
                time.sleep(0.002)
                continue
            time.sleep(0.005)
            s = context.wrap_socket(s)
            kept.append(s)
            if how == "head":
                s.sendall(b"GET /v1/me HTTP/1.1\r\nHost: x\r\nX-Slow: ")
            elif how == "body":
                s.sendall(b"POST /v1/apply HTTP/1.1\r\nHost: x\r\nContent-Length: 16000000\r\n\r\n" + b" " * 100000)
        except OSError:
            pass
        while len(kept) > 80:  # of each of five: a process may have a thousand descriptors
            kept.pop(0).close()
    for s in kept:
        s.close()


def test_05_strangers_do_not_keep_administrators_out():
    """Connections, handshakes, heads and bodies of strangers, all at once and of the very same address: whoever may revoke, revokes."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # five crowds in this one process
    with Node(workers=1, settings="limits: {control_strangers: 100, head: 60s, idle: 60s, handshake: 60s, body_time: 60s}\n") as node:
        node.city()
        provider = Provider()
        node.publish(json_resource(provider.port), "provider/people")
        grant = node.grant("provider/people", "name")
        before = city.accepted(node.control_port)
        stop = threading.Event()
        crowd = [threading.Thread(target=strangers, args=(node, how, stop), daemon=True) for how in ("silent", "idle", "head", "body", "silent")]
        for t in crowd:
            t.start()
        try:
            # They come and go, and the table of sockets is read while they do: that they fill their places is seen at one moment.
            city.wait_for(lambda: city.accepted(node.control_port) >= before + 100)
            seen, took = [], []
            for verb in ("suspend", "resume") * 3 + ("revoke",):
                seen.append(city.median([city.accepted(node.control_port) - before for _ in range(3)]))
                began = time.monotonic()
                node.sluice("bureau/ann", "grant", verb, grant, "--note", "strangers")
                took.append(time.monotonic() - began)
                assert node.ask("provider/people", {"id_no": PERSON})[0] == (200 if verb == "resume" else 403)
        finally:
            stop.set()
            for t in crowd:
                t.join()
        assert city.median(took) < 10, took
        assert max(seen) < 100 + 20, seen
        # who may not is told so at the head: nobody waits for its body
        for who, code in ((None, "certificate-missing"), ("consumer/app", "role-missing"), ("bureau/audrey", "role-missing")):
            c = api(node, who, "POST", "/v1/grants/g1/revoke", b"{", 16000000)
            assert status(c)[1] == code, who
            c.close()


def test_06_places_and_bodies_of_those_who_administer():
    with Node(workers=1, settings="limits: {control_connections: 8, control_each: 5, control_bodies: 16m}\n") as node:
        node.city()
        mine = [api(node, "provider/pat") for _ in range(6)]
        assert [status(c)[0] for c in mine] == [200] * 6  # its share is rounded up
        assert status(api(node, "provider/pat")) == (503, "overloaded")
        more = [api(node, "consumer/chen") for _ in range(4)]
        assert [status(c)[0] for c in more] == [200] * 4, "the longest idle give way"
        assert mine[0].sock.recv(1) == b"" and mine[1].sock.recv(1) == b"", "they are closed"
        mine[2].request("GET", "/v1/me")
        assert status(mine[2])[0] == 200
        # bodies: of all together no more than there is room for; what is small finds room
        held = api(node, "provider/pat", "POST", "/v1/apply", b"[", 16000000)
        time.sleep(0.3)
        c = api(node, "provider/pat", "POST", "/v1/apply", b"[", 15000000)
        assert status(c) == (503, "overloaded")
        assert node.sluice("bureau/ann", "grant", "suspend", "g1", "--note", "x", check=False).returncode == 3, "not found: but asked"
        held.close()
        city.wait_for(lambda: status(api(node, "provider/pat", "POST", "/v1/apply", b" " * 15000000)) == (400, "invalid"), 20)


def test_07_memory_is_short_for_bodies_of_administrators_too():
    with Node(workers=1, settings="limits: {memory: 1m}\n") as node:
        node.city()  # small bodies all of them
        assert status(api(node, "bureau/system", "POST", "/v1/apply", b" " * 200000)) == (503, "overloaded")
        assert status(api(node, "bureau/system", "POST", "/v1/apply", b" " * 20000)) == (400, "invalid")


def test_08_bodies_up_to_their_limit():
    """limits.body is what is taken, be it white space or values, and what is longer is said to be too long."""
    provider = Provider()
    with Node(workers=1, settings="limits: {body: 3m}\n") as node:
        node.city()
        line = "    - {param: id_no, required: true, check: id-card, to: json:/id}\n"
        notes = [f"note{i}" for i in range(20)]
        manifest = json_resource(provider.port)
        assert line in manifest
        node.publish(manifest.replace(line, line + "".join(f"    - {{param: {n}, required: false, max: 65536, to: json:/{n}}}\n" for n in notes)),
                     "provider/people")
        node.grant("provider/people", "name")
        short, long = {"id_no": PERSON}, {"id_no": PERSON} | {n: "x" * 65536 for n in notes}
        for params, size in ((short, 1 << 20), (short, 3 << 20), (long, 0), (long, 3 << 20)):
            body = json.dumps(params).encode()
            c = node.connect()
            c.request("POST", "/x/provider/people", body=body + b" " * (size - len(body)), headers={"Content-Type": "application/json"})
            r = c.getresponse()
            assert r.status == 200, (r.status, r.read()[:300], size)
            c.close()
        c = node.connect()                                     # told before it is sent
        c.putrequest("POST", "/x/provider/people")
        c.putheader("Content-Type", "application/json")
        c.putheader("Content-Length", str((3 << 20) + 1))
        c.endheaders()
        assert status(c) == (413, "request-too-large")
        assert node.reason("provider/people", {"id_no": PERSON, "note0": "x" * 65537}) == (400, "parameter-invalid")


if __name__ == "__main__":
    city.main(globals())
