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


def traced(header):
    """The trace id on the records of an exchange with this traceparent, and what the provider was sent."""
    headers = {"traceparent": header} if header is not None else {}
    status, head, _ = NODE.ask("provider/people", {"id_no": PERSON}, headers=headers)
    assert status == 200
    exchange = head["Sluice-Exchange"]
    record = next(r for r in NODE.records() if r["kind"] == "intent" and r["exchange"] == exchange)
    sent = re.search(rb"(?i)\r\ntraceparent: ([^\r]*)\r\n", P.heads[-1][0])
    return record.get("trace"), sent and sent[1].decode(), exchange.replace("-", "")


def test_04_trace_context_is_carried_or_begun_anew():
    """W3C Trace Context level 1, 4.3: a good traceparent is carried on with a new parent id; anything else is as if none had come."""
    trace, sent, _ = traced(f"00-{TRACE}-00f067aa0ba902b7-01")
    assert trace == TRACE, trace
    assert re.fullmatch(rf"00-{TRACE}-(?!00f067aa0ba902b7|0{{16}})[0-9a-f]{{16}}-01", sent or ""), sent
    trace, sent, _ = traced(f"cc-{TRACE}-00f067aa0ba902b7-01-more")   # a later version: its first fields are read
    assert trace == TRACE and sent.startswith(f"00-{TRACE}-"), (trace, sent)
    seen = set()
    for bad in (None, "", "00", f"00-{TRACE}-00f067aa0ba902b7", f"00-{'0' * 32}-00f067aa0ba902b7-01", f"00-{TRACE}-{'0' * 16}-01", f"ff-{TRACE}-00f067aa0ba902b7-01",
                f"00-{TRACE.upper()}-00f067aa0ba902b7-01", f"00-{TRACE}-00f067aa0ba902b7-01-more", f"00-{TRACE}x-00f067aa0ba902b7-01"):
        trace, sent, exchange = traced(bad)
        made = re.fullmatch(r"00-([0-9a-f]{32})-([0-9a-f]{16})-0[01]", sent or "")
        assert made and made[1] not in (TRACE, "0" * 32) and made[2] != "0" * 16, (bad, sent)
        assert trace is None and made[1] == exchange and made[1] not in seen, (bad, trace, sent)   # the record's own exchange
        seen.add(made[1])


def test_05_readyz_says_what_is_wrong():
    assert fetch("/livez")[0] == 200
    status, _, text = fetch("/readyz?verbose")
    assert status == 200 and text.endswith("ready\n") and "[+] evidence" in text, text
    crl = os.path.join(NODE.dir, "ca", "crl.pem")
    assert os.path.exists(crl)


def test_99_teardown():
    NODE.stop()
    NODE.__exit__(None, None, None)


if __name__ == "__main__":
    city.main(globals())
