"""Files that hardly move: a hundred senders of a gigabyte each, who dawdle or whose provider does, hold their own windows and nothing else; and a long file
arrives at a real web server to the byte."""
import hashlib
import json
import os
import resource
import socket
import struct
import subprocess
import sys
import time

import city
import h2
from city import FULL, Node, Provider, json_resource, PERSON
from test_slow_readers import files_of, rss
from test_uploads import filing_resource

MIB, GIB = 1 << 20, 1 << 30
SENDERS = 100
# A provider that takes 2000 bytes of each file, twice a second; in a process of its own.
SINK = """
import socket, time
listener = socket.create_server(("127.0.0.1", 0), backlog=512)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)  # what the kernels hold is not what is looked at
listener.setblocking(False)
print(listener.getsockname()[1], flush=True)
live = []
while True:
    time.sleep(0.25)
    try:
        while True:
            s = listener.accept()[0]
            s.setblocking(False)
            live.append(s)
    except OSError:
        pass
    for s in list(live):
        try:
            if not s.recv(1000):
                raise ConnectionError
        except BlockingIOError:
            pass
        except OSError:
            live.remove(s)
            s.close()
"""


def lean(settings=""):
    """What was freed must not stay in the sanitizer's quarantine; its own bookkeeping still doubles what is measured."""
    node = Node(settings=settings)
    node.env["ASAN_OPTIONS"] = node.env.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1:thread_local_quarantine_size_kb=64"
    return node


def http1_sender(node):
    s = node.tls().wrap_socket(socket.create_connection(("127.0.0.1", node.data_port)), server_hostname="127.0.0.1")
    s.sendall(b"POST /x/provider/filing HTTP/1.1\r\nHost: g\r\nContent-Type: application/pdf\r\nContent-Length: %d\r\n\r\n" % GIB)
    s.setblocking(False)
    return s


def push(s, most):
    """As much as is taken, up to `most`."""
    sent, block = 0, b"x" * 65536
    try:
        while sent < most:
            sent += s.send(block[:most - sent])
    except OSError:
        pass
    return sent


class Http2Senders:
    """Some uploads on one connection, each as far as its window and the connection's allow."""

    def __init__(self, node, n):
        self.c = h2.Client(node)
        self.sent = {self.c.ask(path="/x/provider/filing", more=[("content-type", "application/pdf")], end=False): 0 for _ in range(n)}
        self.window = {0: 65535, **{stream: 65536 for stream in self.sent}}

    def hear(self):
        while self.c.read(0.001) and self.c.got:
            for kind, _, stream, payload in self.c.got:
                if kind == h2.WINDOW:
                    self.window[stream] += struct.unpack(">I", payload)[0]
            self.c.got.clear()

    def push(self):
        """Until nothing more is taken."""
        sent = True
        while sent:
            self.hear()
            room, sent = self.window[0] - sum(self.sent.values()), False
            for stream, n in sorted(self.sent.items(), key=lambda one: one[1]):
                n = min(self.window[stream] - n, room, 16384)
                if n > 0:
                    self.c.send(h2.frame(h2.DATA, 0, stream, b"x" * n))
                    self.sent[stream] += n
                    room, sent = room - n, True

    def close(self):
        full = sum(self.window[s] - n < 32768 for s, n in self.sent.items())
        used_up = self.window[0] - sum(self.sent.values()) < 16384
        assert (full > len(self.sent) * 3 // 4 or used_up) and min(self.sent.values()) > 65536, (full, used_up, self.window[0], self.sent)
        self.c.close()


def hundred(title, make, step):
    """What a hundred of them hold in a node of their own, while others are served; and that each is on record."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    sink = subprocess.Popen([sys.executable, "-c", SINK], stdout=subprocess.PIPE, text=True)
    quick = Provider()
    node = lean("limits: {drain: 1s, body_time: 5s}\n")
    sanitized = "asan" in city.BUILD
    try:
        with node:
            node.city()
            node.publish(filing_resource(int(sink.stdout.readline()), timeout="5m"), "provider/filing")
            node.publish(json_resource(quick.port, "quick"), "provider/quick")
            node.grant("provider/filing", "dossier,size,sha")
            node.grant("provider/quick", "name")
            warm = [http1_sender(node) for _ in range(4)]
            for s in warm:
                push(s, 100_000)
            node.ask("provider/quick", {"id_no": PERSON})
            time.sleep(0.5)
            before = rss(node.pid)
            senders = make(node)
            most, took = 0, []
            for _ in range(20 if FULL else 6):
                for s in senders:
                    step(s)
                began = time.monotonic()
                status, _, body = node.ask("provider/quick", {"id_no": PERSON})
                assert status == 200, body
                took.append(time.monotonic() - began)
                most = max(most, rss(node.pid) - before)
                time.sleep(0.3)
            assert min(took) < 1, took
            print(f"       {title}: {most / SENDERS / 1024:.0f} KiB each, {most >> 20} MiB in all{', sanitizer included' if sanitized else ''}")
            assert most < (25 if sanitized else 10) << 20, f"grew by {most} bytes"
            spooled = [f for f in files_of(node.pid) if not f.startswith(node.dir) and not f.endswith(".log") and "/lib/" not in f]
            assert not spooled, spooled
            for s in senders + warm:
                s.close()
            gone = city.wait_for(lambda: (lambda all_: all_ if len(all_) >= SENDERS + 4 else None)(
                [r["reason"] for r in node.records() if r["kind"] == "outcome" and r["reason"] != "granted"]), 60)
            assert gone.count("consumer-gone") >= SENDERS, set(gone)  # the four that came first may have been silent for too long
            node.stop()
            assert node.verify()[0] == 0
    finally:
        sink.kill()
        sink.wait()


def test_a_hundred_senders_that_dawdle():
    hundred("they dawdle", lambda node: [http1_sender(node) for _ in range(SENDERS)], lambda s: push(s, 5000))


def test_b_hundred_senders_whose_provider_dawdles():
    hundred("the provider dawdles", lambda node: [http1_sender(node) for _ in range(SENDERS)], lambda s: push(s, 64 * MIB))


def test_c_the_same_over_http2():
    for connections in (4, 1):
        hundred(f"the same over HTTP/2, {connections} connections", lambda node, n=connections: [Http2Senders(node, SENDERS // n) for _ in range(n)],
                Http2Senders.push)


NGINX = """
daemon off; {user} pid {top}/pid; error_log {top}/error.log; worker_processes 1;
events {{ worker_connections 100; }}
http {{
    access_log off; client_body_temp_path {top}/body; proxy_temp_path {top}/proxy; fastcgi_temp_path {top}/f; uwsgi_temp_path {top}/u; scgi_temp_path {top}/s;
    client_max_body_size 0; client_body_in_file_only on; client_body_buffer_size 64k;
    server {{
        listen 127.0.0.1:{port};
        location /in {{ proxy_pass_request_body off; proxy_set_header Content-Length ""; proxy_pass http://127.0.0.1:{port}/stored; }}
        location /stored {{ default_type application/json; return 200 '{{"code":"0","rows":[{{"size":1,"sha":"x"}}]}}'; }}
    }}
}}
"""


def digest_of(path):
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def test_d_long_files_arrive_at_a_web_server():
    size = GIB if FULL else 72 * MIB
    node = lean()
    with node:
        node.city()
        port = city.free_port()
        with open(os.path.join(node.top, "nginx.conf"), "w", encoding="ascii") as f:
            f.write(NGINX.format(top=node.top, port=port, user="user root;" if os.geteuid() == 0 else ""))
        nginx = subprocess.Popen(["/usr/sbin/nginx", "-c", os.path.join(node.top, "nginx.conf")], stderr=subprocess.DEVNULL)
        try:
            node.publish(filing_resource(port, timeout="30s"), "provider/filing")
            node.grant("provider/filing", "dossier,size,sha")
            name, folder = os.path.join(node.top, "file"), os.path.join(node.top, "body")
            block = os.urandom(MIB)
            with open(name, "wb") as f:
                for i in range(size // MIB):
                    f.write(block[i:] + block[:i])
            want, before = digest_of(name), rss(node.pid)
            for how in (["--http1.1"], ["--http1.1", "-H", "Transfer-Encoding: chunked"], ["--http2"], ["--http2", "-H", "Content-Length:"]):
                r = subprocess.run(["curl", "-sS", *how, "--cacert", node.ca, "--cert", node.cert("consumer/app"), "--key", node.key("consumer/app"), "-X", "POST",
                                    "-H", "Content-Type: application/pdf", "-T", name, "-w", "\n%{http_version} %{http_code} %{speed_upload}",
                                    f"https://localhost:{node.data_port}/x/provider/filing"], capture_output=True, text=True, check=False)
                answer, _, code = r.stdout.partition("\n")
                assert code.split(" ")[1] == "200" and json.loads(answer)["count"] == 1, (how, r.stdout, r.stderr)
                stored = [os.path.join(folder, n) for n in os.listdir(folder)]
                assert [digest_of(n) for n in stored] == [want], (how, stored)
                os.unlink(stored[0])
                records = node.records()
                last = [r for r in records if r["kind"] == "outcome"][-1]
                progress = [r for r in records if r["kind"] == "progress" and r["exchange"] == last["exchange"]]
                assert last["bytes_upload"] == size and len(progress) >= size // (66 * MIB) and progress[0]["bytes_upload"] >= 64 * MIB, (last, progress)
                print(f"       {' '.join(how)}: {float(code.split(' ')[2]) / MIB:.0f} MiB/s")
            assert rss(node.pid) - before < (40 if "asan" in city.BUILD else 4) << 20, rss(node.pid) - before
            assert node.verify()[0] == 0
        finally:
            nginx.terminate()
            nginx.wait()


if __name__ == "__main__":
    city.main(globals())
