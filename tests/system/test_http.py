"""The data listener on the wire: every request that the corpus labels severe is refused and its connection closed; framing, keep-alive, pipelining,
time-outs; identities that break the rules."""
import json
import os
import re
import socket
import ssl
import subprocess
import time

import city
from city import CORPUS, Node, Provider, json_resource, PERSON


def raw(node, data, who="consumer/app", timeout=5, quiet=None):
    """Send bytes, return everything until the peer closes or the time is over, and whether it closed. To `quiet` is added how long it was silent before."""
    got, closed = b"", False
    with socket.create_connection(("127.0.0.1", node.data_port), timeout=timeout) as plain:
        with node.tls(who).wrap_socket(plain) as s:
            s.settimeout(timeout)
            last = time.monotonic()
            try:
                s.sendall(data)
                while True:
                    piece = s.recv(65536)
                    if not piece:
                        closed = True
                        break
                    got += piece
                    last = time.monotonic()
            except (ConnectionError, ssl.SSLError):
                closed = True
            except socket.timeout:
                pass
    if quiet is not None:
        quiet.append(time.monotonic() - last)
    return got, closed


def unquote(value):
    """A YAML scalar of the corpus: plain, 'single' or "double" with escapes."""
    value = value.strip()
    if value.startswith('"'):
        return re.sub(r"\\(x[0-9a-fA-F]{2}|.)", lambda m: chr(int(m[1][1:], 16)) if m[1][0] == "x" else
                      {"n": "\n", "r": "\r", "t": "\t", "0": "\0", "b": "\b", "f": "\f", "v": "\v"}.get(m[1], m[1]), value[1:value.rindex('"')])
    if value.startswith("'"):
        return value[1:value.rindex("'")].replace("''", "'")
    return value.split(" #")[0].strip()


def cases(name):
    """The corpus is YAML of one fixed shape; this reads that shape and nothing else."""
    case, headers = None, []
    with open(os.path.join(CORPUS, "http-framing", name), encoding="utf-8") as f:
        for line in f.read().split("\n"):
            if line.startswith("- name:"):
                if case:
                    yield case
                case = {"name": unquote(line[7:]), "headers": [], "tier": None}
            elif case is None or line.lstrip().startswith("#"):
                continue
            elif re.match(r"  (uri|method|version):", line):
                key, _, value = line.strip().partition(":")
                case[key] = unquote(value)
            elif re.match(r"    - name:", line):
                case["headers"].append([unquote(line.split(":", 1)[1]), ""])
            elif re.match(r"      value:", line) and case["headers"]:
                case["headers"][-1][1] = unquote(line.split(":", 1)[1])
            elif re.match(r"    tier:", line):
                case["tier"] = unquote(line.split(":", 1)[1])
    if case:
        yield case


def request_of(case):
    lines = [f"{case.get('method', 'GET')} {case.get('uri', '/')} {case.get('version', 'HTTP/1.1')}\r\n"]
    if not any(n.lower() == "host" for n, _ in case["headers"]):
        lines.append("Host: localhost\r\n")
    lines += [f"{n}: {v}\r\n" for n, v in case["headers"]]
    return ("".join(lines) + "\r\n").encode("latin-1", "replace")


def test_00_setup():
    global NODE, P
    NODE = Node()
    NODE.__enter__()
    NODE.city()
    P = Provider()
    NODE.publish(json_resource(P.port), "provider/people")
    NODE.grant("provider/people", "id_no,name,age")


def test_01_severe_is_refused_and_closed():
    if not os.path.isdir(os.path.join(CORPUS, "http-framing")):
        print("skipped: no corpus")
        return
    n = 0
    for name in sorted(os.listdir(os.path.join(CORPUS, "http-framing"))):
        for case in cases(name):
            if case["tier"] != "Severe" or "version" not in case:
                continue
            got, closed = raw(NODE, request_of(case) + b"x" * 16, timeout=15)
            status = got.split(b"\r\n")[0]
            assert closed and (got == b"" or re.match(rb"HTTP/1.1 4\d\d", status)), (name, case["name"], status, closed)
            assert len(re.findall(rb"HTTP/1.1 \d\d\d", got)) <= 1, (case["name"], got)
            n += 1
    assert n > 20, n


ASK = json.dumps({"id_no": PERSON}).encode()


def post(body=ASK, extra=b"", version=b"HTTP/1.1"):
    return (b"POST /x/provider/people " + version + b"\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: " +
            str(len(body)).encode() + b"\r\n" + extra + b"\r\n" + body)


def test_02_pipelined_requests_are_answered_in_order():
    bad = post(b'{"id_no":"1"}')
    got, closed = raw(NODE, post() + bad + post(extra=b"Connection: close\r\n"), timeout=10)
    statuses = re.findall(rb"HTTP/1.1 (\d+)", got)
    assert statuses == [b"200", b"400", b"200"] and closed, (statuses, closed)


def test_03_chunked_request_and_split_bytes():
    body = b"POST /x/provider/people HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    for part in (ASK[:5], ASK[5:]):
        body += f"{len(part):x}\r\n".encode() + part + b"\r\n"
    body += b"0\r\nX-Trailer: 1\r\n\r\n"
    with socket.create_connection(("127.0.0.1", NODE.data_port)) as plain, NODE.tls().wrap_socket(plain) as s:
        for i in range(len(body)):
            s.sendall(body[i:i + 1])
        got = b""
        while piece := s.recv(65536):
            got += piece
    assert got.startswith(b"HTTP/1.1 200"), got


def test_04_methods_paths_and_sizes():
    for data, want in ((b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"404"), (b"DELETE /x/provider/people HTTP/1.1\r\nHost: a\r\n\r\n", b"405"),
                       (b"GET /x/provider/../people HTTP/1.1\r\nHost: a\r\n\r\n", b"404"), (b"GET /x/provider/people/ HTTP/1.1\r\nHost: a\r\n\r\n", b"404"),
                       (b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", b"413"), (post(b"{" + b" " * (1 << 21) + b"}"), b"413"), (post(b"{" + b" " * (4_000_000) + b"}"), b"413"),
                       (b"GET /x/provider/people HTTP/1.1\r\n\r\n", b"400"), (b"\x16\x03\x01 rubbish\r\n\r\n", b"400"),
                       (b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", b"400")):
        got, _ = raw(NODE, data, timeout=3)
        assert got.startswith(b"HTTP/1.1 " + want), (data[:60], got[:80])


def test_05_bytes_that_are_no_request_are_on_record_without_their_content():
    raw(NODE, b"SECRET-MARK-4711 / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", timeout=3)
    last = [r for r in NODE.records() if r["kind"] == "refused"][-1]
    assert last["reason"] == "request-malformed", last
    assert "SECRET-MARK" not in json.dumps(NODE.records())   # the digits alone may stand in any digest


# ---- identities ----
def openssl(*args):
    subprocess.run(["openssl", *args], check=True, capture_output=True)


def stranger(name, uris, days="1", eku="clientAuth"):
    """A certificate of a CA that the node does not know."""
    folder = os.path.join(NODE.top, "stranger")
    os.makedirs(folder, exist_ok=True)
    ca, key, pem = (os.path.join(folder, name + e) for e in (".ca.pem", ".key", ".pem"))
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key + ".ca", "-out", ca, "-days", "1",
            "-subj", "/CN=strange")
    openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", pem + ".csr", "-subj", "/CN=x")
    with open(pem + ".ext", "w", encoding="ascii") as f:
        f.write(f"subjectAltName={','.join('URI:' + u for u in uris)}\nextendedKeyUsage={eku}\nkeyUsage=digitalSignature\n")
    openssl("x509", "-req", "-in", pem + ".csr", "-CA", ca, "-CAkey", key + ".ca", "-CAcreateserial", "-out", pem, "-days", days, "-extfile", pem + ".ext")
    return dict(who=None, cert=pem, key=key)


def by_our_ca(name, ext, days="1", dates=()):
    """A certificate that the node's own issuing CA signed, but with other contents than it would ever give."""
    folder = os.path.join(NODE.top, "odd")
    os.makedirs(folder, exist_ok=True)
    key, pem = os.path.join(folder, name + ".key"), os.path.join(folder, name + ".pem")
    openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", pem + ".csr", "-subj", "/CN=x")
    with open(pem + ".ext", "w", encoding="ascii") as f:
        f.write("subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\nkeyUsage=critical,digitalSignature\n" + ext)
    ca = os.path.join(NODE.dir, "ca")
    openssl("x509", "-req", "-in", pem + ".csr", "-CA", os.path.join(ca, "ca.pem"), "-CAkey", os.path.join(ca, "ca.key"), "-CAcreateserial", "-out", pem,
            "-days", days, "-extfile", pem + ".ext")
    return dict(who=None, cert=pem, key=key)


URI = f"spiffe://{city.DOMAIN}/dept/consumer/app/app"


def test_06_identities_that_break_the_rules():
    p = {"id_no": PERSON}
    table = [
        ("certificate-unknown", stranger("unknown", [URI])),
        ("certificate-invalid", by_our_ca("two", f"extendedKeyUsage=clientAuth\nsubjectAltName=URI:{URI},URI:{URI}2\n")),
        ("certificate-invalid", by_our_ca("none", "extendedKeyUsage=clientAuth\n")),
        ("certificate-invalid", by_our_ca("eku", f"extendedKeyUsage=serverAuth\nsubjectAltName=URI:{URI}\n")),
        ("certificate-invalid", by_our_ca("noeku", f"subjectAltName=URI:{URI}\n")),
        ("certificate-expired", by_our_ca("old", f"extendedKeyUsage=clientAuth\nsubjectAltName=URI:{URI}\n", days="-1")),
    ]
    for want, files in table:
        got = NODE.reason("provider/people", p, **files)
        assert got == (401, want), (want, files["cert"], got)
    assert NODE.reason("provider/people", p, who=None) == (401, "certificate-missing")
    assert NODE.reason("provider/people", p, who="provider/pat")[0] in (401, 403)
    kinds = {r["reason"] for r in NODE.records() if r["kind"] == "refused"}
    assert {"certificate-unknown", "certificate-invalid", "certificate-expired", "certificate-missing"} <= kinds


def handshake(version, ciphers=None):
    c = NODE.tls()
    c.minimum_version = c.maximum_version = version
    if ciphers:
        c.set_ciphers(ciphers + ":@SECLEVEL=0")
    with socket.create_connection(("127.0.0.1", NODE.data_port), timeout=5) as plain, c.wrap_socket(plain) as s:
        return s.version(), s.cipher()[0]


def test_06b_tls_versions_and_suites():
    assert handshake(ssl.TLSVersion.TLSv1_3)[0] == "TLSv1.3"
    version, suite = handshake(ssl.TLSVersion.TLSv1_2)
    assert version == "TLSv1.2" and suite.startswith("ECDHE") and ("GCM" in suite or "CHACHA20" in suite), suite
    for version, ciphers in ((ssl.TLSVersion.TLSv1_1, "ALL"), (ssl.TLSVersion.TLSv1, "ALL"), (ssl.TLSVersion.TLSv1_2, "AES128-GCM-SHA256"),
                             (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES128-SHA256"), (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES128-SHA")):
        try:
            got = handshake(version, ciphers)
            raise AssertionError(f"accepted {got}")
        except (ssl.SSLError, ConnectionError):
            pass


def test_07_a_revoked_certificate_loses_its_open_connection():
    NODE.enrol("app", "consumer/second", contact="{person: consumer/chen}")
    c = NODE.connect("consumer/second")
    assert NODE.ask("provider/people", {"id_no": PERSON}, connection=c)[0] == 403
    serial = NODE.json("bureau/security", "cert", "list", "--subject", f"spiffe://{city.DOMAIN}/dept/consumer/app/second")["items"][0]["serial"]
    NODE.sluice("bureau/security", "cert", "revoke", serial, "--reason", "lost")
    try:
        status = NODE.ask("provider/people", {"id_no": PERSON}, connection=c)[0]
        raise AssertionError(f"the open connection was still served: {status}")
    except (ConnectionError, OSError, ssl.SSLError, city.http.client.HTTPException):
        pass
    assert NODE.reason("provider/people", {"id_no": PERSON}, who="consumer/second") == (401, "certificate-revoked")


def test_08_a_disabled_application_is_refused():
    NODE.sluice("bureau/security", "app", "disable", "consumer/app")
    assert NODE.reason("provider/people", {"id_no": PERSON}) == (403, "subject-inactive")
    NODE.sluice("bureau/security", "app", "activate", "consumer/app")
    assert NODE.ask("provider/people", {"id_no": PERSON})[0] == 200


def test_09_drain_lets_the_running_finish():
    P.answer = lambda h, b, s: (time.sleep(1.5), Provider.one_person(h, b, s))[1]
    import threading
    got, seen = [], P.seen
    t = threading.Thread(target=lambda: got.append(NODE.ask("provider/people", {"id_no": PERSON})[0]))
    t.start()
    city.wait_for(lambda: P.seen > seen)
    NODE.stop()
    t.join(10)
    assert got == [200], got
    code, text = NODE.verify()
    assert code == 0, text


def test_99_teardown():
    NODE.__exit__(None, None, None)


if __name__ == "__main__":
    city.main(globals())
