"""The head of a request is bounded in bytes and in fields by the settings, over HTTP/1.1 and HTTP/2 alike: up to the edge it is served, one beyond it
is refused with its own code and on record."""
import json
import re
import socket
import subprocess

import city
import h2
from city import Node, Provider, json_resource, PERSON
from h2 import Client

BYTES, FIELDS = 2048, 20
ASK = json.dumps({"id_no": PERSON}).encode()
JSON = ("content-type", "application/json")


def test_00_setup():
    global NODE, P
    P = Provider()
    NODE = Node(settings=f"limits:\n  head_bytes: 2k\n  head_fields: {FIELDS}\n")
    NODE.__enter__()
    NODE.city()
    NODE.publish(json_resource(P.port), "provider/people")
    NODE.grant("provider/people", "id_no,name,age")


def last_refusal():
    return [r for r in NODE.records() if r["kind"] == "refused"][-1]["reason"]


# ---- HTTP/1.1 ----
def one(head, port=None, who="consumer/app"):
    """The status and code of the answer to one head and ASK."""
    with socket.create_connection(("127.0.0.1", port or NODE.data_port), timeout=10) as plain, NODE.tls(who).wrap_socket(plain) as s:
        s.sendall(head + ASK)
        got = b""
        while piece := s.recv(65536):
            got += piece
    code = re.search(rb'"code":"([a-z-]+)"', got)
    return int(got.split()[1]), code and code[1].decode()


def head(size=0, fields=0, first=b"POST /x/provider/people HTTP/1.1\r\n"):
    """A head of so many bytes, or of so many fields."""
    text = first + b"Host: a\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n" % len(ASK)
    for i in range(4, fields):
        text += b"X-%d: 1\r\n" % i
    if size:
        text += b"X-Long: " + b"y" * (size - len(text) - len(b"X-Long: \r\n\r\n")) + b"\r\n"
    return text + b"\r\n"


def test_01_http1_bytes():
    assert len(head(size=BYTES)) == BYTES
    assert one(head(size=BYTES)) == (200, None)
    assert one(head(size=BYTES + 1)) == (413, "request-too-large")
    assert last_refusal() == "request-too-large"
    assert one(head(size=60000)) == (413, "request-too-large")


def test_02_http1_fields():
    assert one(head(fields=FIELDS)) == (200, None)
    assert one(head(fields=FIELDS + 1)) == (413, "request-too-large")
    assert last_refusal() == "request-too-large"
    odd = head(fields=FIELDS + 1).replace(b"X-5: 1", b"X-5:\t1")   # what is not read by the quick reader
    assert one(odd) == (413, "request-too-large")
    assert one(head(fields=300, size=0)) == (413, "request-too-large")


def test_03_the_control_listener_too():
    args = dict(port=NODE.control_port, who="bureau/ann")
    get = b"GET /v1/me HTTP/1.1\r\n"
    assert one(head(size=BYTES, first=get), **args)[0] == 200
    assert one(head(size=BYTES + 1, first=get), **args) == (413, "request-too-large")
    assert one(head(fields=FIELDS + 1, first=get), **args) == (413, "request-too-large")


# ---- HTTP/2 ----
def size_of(more):
    """As RFC 9113 section 6.5.2 counts a header list."""
    whole = [(":method", "POST"), (":scheme", "https"), (":authority", "localhost"), (":path", "/x/provider/people"), *more]
    return sum(len(k) + len(v) + 32 for k, v in whole)


def http2(more):
    c = Client(NODE)
    status, body, _ = c.answer(c.ask(ASK, more=more))
    c.close()
    return status, json.loads(body).get("code") if status != 200 else None


def test_04_http2_says_what_it_takes():
    c = Client(NODE)
    c.until(lambda: c.of(h2.SETTINGS))
    payload = c.of(h2.SETTINGS)[0][3]
    told = {int.from_bytes(payload[i:i + 2], "big"): int.from_bytes(payload[i + 2:i + 6], "big") for i in range(0, len(payload), 6)}
    assert told[6] == BYTES, told
    c.close()


def test_05_http2_bytes():
    long = [JSON, ("x-long", "y" * (BYTES - size_of([JSON, ("x-long", "")])))]
    assert size_of(long) == BYTES
    assert http2(long) == (200, None)
    long[1] = ("x-long", long[1][1] + "y")
    assert http2(long) == (413, "request-too-large")
    assert last_refusal() == "request-too-large"


def test_06_http2_fields():
    """:authority becomes Host and counts as it does."""
    many = [JSON] + [(f"x-{i}", "1") for i in range(2, FIELDS)]
    assert http2(many) == (200, None)
    assert http2(many + [("x-more", "1")]) == (413, "request-too-large")
    assert last_refusal() == "request-too-large"


def test_07_http2_many_times_too_large_ends_the_connection():
    c = Client(NODE)
    c.ask(ASK, more=[JSON, *((f"x-{i}", "y" * 1000) for i in range(12))])
    assert c.goaway() == h2.ENHANCE_YOUR_CALM and c.closed
    c.close()
    assert http2([JSON]) == (200, None)


# ---- the settings ----
def check(*args, lang="en"):
    return subprocess.run([city.SLUICED, *args], capture_output=True, text=True, check=False, env=NODE.env | {"LC_ALL": {"en": "C.UTF-8", "zh": "zh_CN.UTF-8"}[lang]})


def test_08_the_settings_tell_value_default_and_reason():
    path = f"{NODE.dir}/sluice.yaml"
    told = check("-c", path, "--check", "-v").stdout
    for name, value, otherwise in (("head_bytes", "2k", "16k"), ("head_fields", str(FIELDS), "64")):
        line = re.search(rf"^limits\.{name}: {value}  # default {otherwise}; (.+)$", told, re.M)
        assert line and len(line[1]) > 30, told
    for lang, row, fixed in (("en", r"(\S+)  # default (\S+); (.+): (.+)", r"(\S+)  # stands fast; (.+): (.+)"), ("zh", r"(\S+)  # 默认 (\S+?)；(.+)：(.+)", r"(\S+)  # 固定；(.+)：(.+)")):
        lines = check("-c", path, "--check", "-v", lang=lang).stdout.splitlines()   # each with its default and the reason
        told = [line for line in lines if line.startswith(("limits.", "fixed."))]
        assert len(told) > 90 and not [line for line in told if not re.fullmatch(r"limits\.\w+: " + row + r"|fixed\.\w+: " + fixed, line)], told
        for known in ("fixed.linger: 2s ", "fixed.provider_connect: 5s ", "fixed.circuit_failures: 5 ", "fixed.http2_discard: 256k "):   # a time, a number, bytes
            assert [line for line in told if line.startswith(known)], (known, told)
    with open(path, encoding="utf-8") as f:
        text = f.read()
    for wrong in ("head_bytes: 128k", "head_bytes: 512", "head_fields: 8", "head_fields: 257"):
        odd = f"{NODE.dir}/odd.yaml"
        with open(odd, "w", encoding="utf-8") as f:
            f.write(re.sub(rf"{wrong.split(':')[0]}: \w+", wrong, text))
        r = check("-c", odd, "--check")
        assert r.returncode == 1 and wrong.split(":")[0] in r.stderr, (wrong, r.stderr)


def test_99_teardown():
    NODE.stop()


if __name__ == "__main__":
    city.main(globals())
