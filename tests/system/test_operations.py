"""The operations listener: metrics as Prometheus wants them and without personal values, /readyz that says what is wrong, and trace context by the
W3C's rules."""
import http.client
import json
import os
import re
import socket
import subprocess

import city
from city import Node, Provider, json_resource, PERSON

NODE = None
P = Provider()
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
GOOD = f"00-{TRACE}-00f067aa0ba902b7-01"
MARK = "whose-words-are-these"


def fetch(path):
    c = http.client.HTTPConnection(NODE.operations, timeout=10)
    c.request("GET", path)
    r = c.getresponse()
    return r.status, r.headers.get("Content-Type"), r.read().decode()


def test_00_setup():
    global NODE
    NODE = Node()
    NODE.__enter__()
    NODE.city()
    NODE.publish(json_resource(P.port), "provider/people")
    NODE.grant("provider/people", "name")


def test_01_metrics_are_well_formed():
    assert NODE.ask("provider/people", {"id_no": PERSON})[0] == 200
    assert NODE.reason("provider/nothing", {"id_no": PERSON})[1] == "not-published"
    status, kind, text = fetch("/metrics")
    assert status == 200 and kind.startswith("text/plain; version=0.0.4"), (status, kind)
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
    assert checked.returncode == 0 and not (checked.stdout + checked.stderr).strip(), checked.stdout + checked.stderr
    assert 'sluice_exchanges_total{reason="granted"} 1' in text
    files = lambda: int(re.search(r"^process_open_fds (\d+)$", fetch("/metrics")[2], re.M)[1])
    before, own = files(), [socket.create_connection(("127.0.0.1", NODE.data_port)) for _ in range(20)]
    city.wait_for(lambda: files() >= before + 20)
    for s in own:
        s.close()
    assert float(re.search(r"^process_cpu_seconds_total (\S+)$", text, re.M)[1]) > 0
    assert 'sluice_exchanges_total{reason="not-published"} 1' in text


def test_02_no_personal_labels():
    text = fetch("/metrics")[2]
    for value in (PERSON, "consumer", "provider/people", "张", "check"):
        assert not re.search(r'\{[^}]*' + re.escape(value), text), value


def test_03_counters_only_grow():
    def counters():
        found = {}
        for line in fetch("/metrics")[2].splitlines():
            m = re.match(r"(sluice_\w+_total(?:\{[^}]*\})?|sluice_\w+_(?:bucket\{[^}]*\}|sum|count)) (\S+)$", line)
            if m:
                found[m[1]] = float(m[2])
        return found
    before = counters()
    for _ in range(3):
        assert NODE.ask("provider/people", {"id_no": PERSON})[0] == 200
    after = counters()
    assert before and all(after.get(name, -1) >= value for name, value in before.items())
    assert after['sluice_exchanges_total{reason="granted"}'] == before['sluice_exchanges_total{reason="granted"}'] + 3


def traced(*headers):
    """The trace id on the records of an exchange with these headers, the traceparent that the provider was sent, and the exchange."""
    c, body = NODE.connect(), json.dumps({"id_no": PERSON}).encode()
    c.putrequest("POST", "/x/provider/people")
    for name, value in (("Content-Type", "application/json"), ("Content-Length", str(len(body))), *headers):
        c.putheader(name, value)
    c.endheaders(body)
    r = c.getresponse()
    assert r.status == 200 and r.read() and r.headers["tracestate"] is None, (headers, r.status)
    exchange = r.headers["Sluice-Exchange"]
    c.close()
    record = next(r for r in NODE.records() if r["kind"] == "intent" and r["exchange"] == exchange)
    sent = re.findall(rb"(?i)\r\ntraceparent:[ \t]*([^\r]*)(?=\r\n)", P.heads[-1][0])
    assert len(sent) == 1, (headers, P.heads[-1])
    return record.get("trace"), sent[0].decode(), exchange.replace("-", "")


def begun_anew(*headers):
    """As if no trace had come: this one begins here, under the exchange's own id, which is returned."""
    trace, sent, exchange = traced(*headers)
    made = re.fullmatch(r"00-([0-9a-f]{32})-([0-9a-f]{16})-0[01]", sent)
    assert made and made[1] not in (TRACE, "0" * 32) and made[2] != "0" * 16, (headers, sent)
    assert trace is None and made[1] == exchange, (headers, trace, sent)   # the record's own exchange
    return exchange


def test_04_trace_context_is_carried_or_begun_anew():
    """W3C Trace Context level 1, 4.3: a good traceparent is carried on with a new parent id; anything else is as if none had come."""
    trace, sent, _ = traced(("traceparent", GOOD))
    assert trace == TRACE, trace
    assert re.fullmatch(rf"00-{TRACE}-(?!00f067aa0ba902b7|0{{16}})[0-9a-f]{{16}}-01", sent), sent
    trace, sent, _ = traced(("traceparent", f"cc-{TRACE}-00f067aa0ba902b7-01-more"))   # a later version: its first fields are read
    assert trace == TRACE and sent.startswith(f"00-{TRACE}-"), (trace, sent)
    seen = {begun_anew()}
    for bad in ("", "00", f"00-{TRACE}-00f067aa0ba902b7", f"00-{'0' * 32}-00f067aa0ba902b7-01", f"00-{TRACE}-{'0' * 16}-01", f"ff-{TRACE}-00f067aa0ba902b7-01",
                f"00-{TRACE.upper()}-00f067aa0ba902b7-01", f"00-{TRACE}-00f067aa0ba902b7-01-more", f"00-{TRACE}x-00f067aa0ba902b7-01"):
        seen.add(begun_anew(("traceparent", bad)))
    assert len(seen) == 10, seen   # no two the same


def test_04b_two_of_them_are_none():
    """There is one traceparent or none (3.2): which of two was meant, nobody can say, though they be the same."""
    other = f"00-{TRACE[::-1]}-00f067aa0ba902b7-01"
    for second in (GOOD, other, "", "nonsense"):
        assert begun_anew(("traceparent", GOOD), ("traceparent", second)) not in other
        begun_anew(("traceparent", second), ("tracestate", "a=b"), ("TraceParent", GOOD))


def test_04c_tracestate_ends_here():
    """It may be left out (3.3), and must be where the trace begins anew (4.3): what it holds would pass unseen from one department to another."""
    for state in (("tracestate", f"consumer={MARK}"), ("TraceState", f"a={MARK},b={MARK}"), ("tracestate", ""), ("tracestate", MARK * 60)):
        assert traced(("traceparent", GOOD), state)[0] == TRACE
        begun_anew(state)
        begun_anew(("traceparent", "nonsense"), state, state)
        for head, body in P.heads[-3:]:
            assert b"tracestate" not in head.lower() and MARK.encode() not in head + body, head
    assert MARK not in json.dumps(NODE.records())


def test_05_readyz_says_what_is_wrong():
    assert fetch("/livez")[0] == 200
    status, _, text = fetch("/readyz?verbose")
    assert status == 200 and text.endswith("ready\n") and "[+] evidence" in text, text
    crl = os.path.join(NODE.dir, "ca", "crl.pem")
    assert os.path.exists(crl)


def test_06_silent_connections_keep_nobody_out():
    host, port = NODE.operations.split(":")
    silent = [socket.create_connection((host, int(port)), timeout=10) for _ in range(80)]
    for _ in range(3):
        assert fetch("/readyz")[0] == 200
    try:
        assert silent[0].recv(1) == b""   # the oldest gave way
    except ConnectionResetError:
        pass
    silent[-1].sendall(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
    assert silent[-1].recv(100).startswith(b"HTTP/1.1 200")
    for s in silent:
        s.close()


def test_99_teardown():
    NODE.stop()
    NODE.__exit__(None, None, None)


if __name__ == "__main__":
    city.main(globals())
