"""Files that a consumer sends to a provider behind TLS, which may ask for our certificate: byte for byte, no faster than it takes them, and whatever its end
does midway (stops to read, resets, answers early, refuses our certificate) is one refusal and on record, as over plain TCP (test_uploads.py)."""
import hashlib
import os
import socket
import ssl
import struct
import subprocess
import threading
import time

import city
import test_uploads as uploads
from city import Node
from test_uploads import MIB, Taker, code_of, noise, outcome, outcomes, send

MODES = ("server", "mutual")


def rss(node):
    with open(f"/proc/{node.process.pid}/statm", encoding="ascii") as f:
        return int(f.read().split()[1]) * 4096


class Reader:
    """Reads a TLS socket as makefile() does, but keeps no reference to it: it is closed, or reset, when its owner says so."""

    def __init__(self, s):
        self.s, self.kept = s, b""

    def more(self):
        piece = self.s.recv(65536)
        self.kept += piece
        return bool(piece)

    def read(self, n):
        while len(self.kept) < n and self.more():
            pass
        out, self.kept = self.kept[:n], self.kept[n:]
        return out

    def read1(self, n):
        return self.read(min(n, len(self.kept)) if self.kept or self.more() else 0)

    def readline(self):
        while b"\n" not in self.kept and self.more():
            pass
        end = self.kept.find(b"\n") + 1 or len(self.kept)
        out, self.kept = self.kept[:end], self.kept[end:]
        return out

    def close(self):
        pass


class Closed(Taker):
    """A taker behind TLS. `peers`: the certificates that it was shown."""

    def __init__(self, folder, ca=None, version=None):
        name = "mutual" if ca else "server"
        key, self.cert = os.path.join(folder, name + ".key"), os.path.join(folder, name + ".pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", self.cert,
                        "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True, capture_output=True)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.cert, key)
        if version:
            self.context.maximum_version = version
        if ca:
            self.context.load_verify_locations(ca)
            self.context.verify_mode = ssl.CERT_REQUIRED
        self.peers = []
        super().__init__()

    def _serve(self, s):
        try:
            with self.context.wrap_socket(s, server_side=True) as t:
                self.peers.append(t.getpeercert())
                t.makefile = lambda mode: Reader(t)
                super()._serve(t)
        except (OSError, ValueError):
            pass


def publish(taker, name, tls):
    os.makedirs(os.path.join(NODE.dir, "providers"), exist_ok=True)
    with open(taker.cert, encoding="ascii") as f, open(os.path.join(NODE.dir, "providers", name + ".pem"), "w", encoding="ascii") as to:
        to.write(f.read())
    manifest = uploads.filing_resource(taker.port, name).replace("http://", "https://").replace("mode: none, reason: a test on loopback", tls)
    NODE.publish(manifest, "provider/" + name)
    NODE.grant("provider/" + name, "dossier,size,sha")


def test_00_setup():
    global NODE, TAKERS
    NODE = uploads.NODE = Node("limits: {body_time: 1s, upload: 64m, drain: 1s}\n")
    NODE.env["ASAN_OPTIONS"] = NODE.env.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1:thread_local_quarantine_size_kb=64"
    NODE.__enter__()
    NODE.city()
    TAKERS = {"server": Closed(NODE.top), "mutual": Closed(NODE.top, NODE.ca)}
    publish(TAKERS["server"], "server", "mode: server, trust: server")
    publish(TAKERS["mutual"], "mutual", "mode: mutual, identity: gateway, trust: mutual")


def each():
    for mode in MODES:
        taker = TAKERS[mode]
        yield taker, "/x/provider/" + mode
        taker.act = Taker.store


def test_01_every_size_arrives_byte_for_byte():
    for taker, path in each():
        for size in (1, 16384, 16385, 65537, 5 * MIB + 1):
            body = noise(size)
            for chunk in (0, 70000):
                status, answer, _ = send(body, chunk=chunk, path=path)
                assert status == 200 and answer["records"] == [{"size": size, "sha": hashlib.sha256(body).hexdigest()}], (path, size, chunk, answer)
                assert outcomes()[-1]["bytes_upload"] == size
    assert not any(TAKERS["server"].peers) and all(p["subject"] for p in TAKERS["mutual"].peers)


def test_02_a_slow_provider_is_never_outrun():
    """24 MiB to one who takes its time: it arrives whole, and is at no time in our memory."""
    body = noise(24 * MIB)
    want = hashlib.sha256(body).hexdigest()
    for taker, path in each():
        def slow(taker, head, f, s):
            digest, size, most, began = hashlib.sha256(), 0, 0, rss(NODE)
            for piece in Taker.pieces(head, f):
                digest.update(piece)
                size += len(piece)
                most = max(most, rss(NODE) - began)
                time.sleep(0.002)
            grown.append(most)
            return Taker.said(s, [{"size": size, "sha": digest.hexdigest()}])
        grown = []
        for chunk in (0, 70000):
            taker.act = slow
            status, answer, _ = send(body, chunk=chunk, path=path)
            assert status == 200 and answer["records"] == [{"size": len(body), "sha": want}], (path, chunk, answer)
        print(f"       {path}: grew by {max(grown) >> 10} KiB")
        assert max(grown) < (24 if "asan" in city.BUILD else 4) * MIB, grown  # a sanitizer keeps what was freed


def test_03_one_that_reads_no_more():
    """Its kernel's queue is full, a record of TLS is half written: it is waited for as long as its time-out, and told apart from a pause."""
    body = noise(16 * MIB)
    for taker, path in each():
        def stall(taker, head, f, s):
            f.read(100_000)
            time.sleep(6)
            return False
        taker.act = stall
        for chunk in (0, 70000):
            began = time.monotonic()
            said = send(body, path=path, chunk=chunk)
            assert code_of(said) == (504, "provider-timeout") and said[1]["provider_reached"] == "unknown", (path, said)
            assert 1.5 < time.monotonic() - began < 5
            assert 0 < outcome("provider-timeout")["bytes_upload"] < len(body)

        def pauses(taker, head, f, s):
            for _ in range(4):
                f.read(200_000)
                time.sleep(0.8)
            return taker.store(b"x\r\nContent-Length: %d\r\n\r\n" % (len(body) - 800_000), f, s)
        taker.act = pauses
        status, answer, _ = send(body, path=path)
        assert status == 200 and answer["records"][0]["size"] == len(body) - 800_000, answer


def ends(how):
    def act(taker, head, f, s):
        f.read(100_000)
        if how == "reset":
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif how == "close_notify":
            s.settimeout(0.2)
            try:
                s.unwrap()
            except OSError:
                pass
        return False
    return act


def test_04_one_that_ends_midway():
    body = noise(16 * MIB)
    for taker, path in each():
        for how in ("reset", "close", "close_notify"):
            taker.act = ends(how)
            began = time.monotonic()
            said = send(body, path=path)
            assert code_of(said) == (502, "provider-cut") and said[1]["provider_reached"] == "unknown", (path, how, said)
            assert time.monotonic() - began < 3, how
            assert 0 < outcome("provider-cut")["bytes_upload"] < len(body)


def test_05_one_that_answers_too_soon():
    body = noise(16 * MIB)
    for taker, path in each():
        for status, code, want in (("413 Content Too Large", "9", "provider-refused"), ("200 OK", "0", "provider-malformed")):
            for goes_on in (False, True):  # hangs up at once; or reads on
                def early(taker, head, f, s, status=status, code=code, goes_on=goes_on):
                    f.read(100_000)
                    taker.said(s, [{"size": 1, "sha": "x"}], status, code)
                    for _ in range(200):
                        if not goes_on or not f.read(100_000):
                            break
                    else:
                        return False
                    s.shutdown(socket.SHUT_WR)
                    return False
                taker.act = early
                assert code_of(send(body, path=path)) == (502, want), (path, status, goes_on)


def test_06_one_that_refuses_our_certificate():
    """In TLS 1.3 that is told when the client takes the handshake for done, and no request is looked at before."""
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        name = "shut" + version.name[-1]
        taker = Closed(NODE.top, TAKERS["server"].cert, version)     # trusts somebody else
        publish(taker, name, "mode: mutual, identity: gateway, trust: " + name)
        for body in (b"x", noise(4 * MIB)):
            status, answer, _ = send(body, path="/x/provider/" + name)
            assert (status, answer["code"], answer["provider_reached"]) == (502, "gateway-untrusted", "no"), (version, len(body), answer)
        assert taker.heads == []


def test_07_many_at_once_and_none_is_mixed_up():
    bodies = [noise(2 * MIB + i, seed=i) for i in range(24)]
    told = [None] * len(bodies)

    def one(i):
        told[i] = send(bodies[i], path="/x/provider/" + MODES[i % 2], chunk=(0, 9000)[i // 2 % 2])
    threads = [threading.Thread(target=one, args=(i,)) for i in range(len(bodies))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for body, (status, answer, _) in zip(bodies, told):
        assert status == 200 and answer["records"] == [{"size": len(body), "sha": hashlib.sha256(body).hexdigest()}], answer


def test_99_teardown():
    assert NODE.verify()[0] == 0
    kinds = [r["kind"] for r in NODE.records()]
    assert kinds.count("intent") == kinds.count("outcome")
    NODE.__exit__(None, None, None)


if __name__ == "__main__":
    city.main(globals())
