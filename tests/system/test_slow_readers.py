"""Consumers that hardly read: a hundred of them, a gigabyte due to each, hold their own windows and nothing else; others are served meanwhile."""
import json
import os
import resource
import socket
import subprocess
import sys
import time

import city
from city import FULL, Node, Provider, json_resource, PERSON, wait_for

READERS = 100
GIB = 1 << 30
FULL_AT = GIB >> 8  # of each gigabyte: the kernel's buffers of two connections
KERNEL_EACH = 384 << 10  # the gateway's half of a connection: 256 KiB and what is on its way
MORE = 16 << 20  # of all together: they take some hundred bytes each, and a window that opens lets some more in
# A provider that sends as fast as it is let, to each for a gigabyte; in a process of its own. For each line that it reads it says how much that was.
SOURCE = """
import selectors, socket, sys
row = b'{"id":"%s","name":"' + b"x" * 40 + b'","age":36},'
block = row * 1500
chunk = b"%%x\\r\\n%%s\\r\\n" %% (len(block), block)
start = b"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n15\\r\\n" + b'{"code":"0","rows":[ ' + b"\\r\\n"
poll, left, total = selectors.DefaultSelector(), {}, 0
listener = socket.create_server(("127.0.0.1", 0), backlog=512)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
poll.register(listener, selectors.EVENT_READ)
poll.register(sys.stdin, selectors.EVENT_READ)
print(listener.getsockname()[1], flush=True)
while True:
    for key, what in poll.select():
        s = key.fileobj
        if s is sys.stdin:
            if not sys.stdin.readline():
                sys.exit()
            print(total, flush=True)
            continue
        try:
            if s is listener:
                c = s.accept()[0]
                c.setblocking(False)
                poll.register(c, selectors.EVENT_READ)
            elif what & selectors.EVENT_READ:
                if not s.recv(65536):
                    raise OSError
                left[s] = [start, 0]
                poll.modify(s, selectors.EVENT_WRITE)
            else:
                rest, sent = left[s]
                n = s.send(rest)
                total += n
                left[s] = [rest[n:] or chunk, sent + n]
        except OSError:
            left.pop(s, None)
            poll.unregister(s)
            s.close()
""" % PERSON


def rss(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as f:
        return int(f.read().split()[1]) * 4096


def sent(source):
    """Bytes that the provider got rid of, to all."""
    source.stdin.write("\n")
    source.stdin.flush()
    return int(source.stdout.readline())


def settled(source):
    """Wait until nothing more goes in, though a gigabyte is due to each; how much went in. What is put on a disk would go on and on."""
    seen = [sent(source)]

    def stands_still():
        time.sleep(0.5)
        seen.append(sent(source))
        return seen[-1] - seen[-2] < 1 << 20
    wait_for(stands_still, 120)
    return seen[-1]


def held_by_kernel(port):
    """Bytes that the gateway gave away and no consumer has: they count for no limit of the process, and it must not be megabytes each."""
    with open("/proc/net/tcp", encoding="ascii") as f:
        rows = [line.split() for line in f.readlines()[1:]]
    return sum(int(r[4].split(":")[0], 16) for r in rows if r[1].endswith(f":{port:04X}") and r[3] == "01")


def held_by_files(folder):
    """Bytes on the disk of all that is in this folder."""
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(where, name)).st_blocks * 512
            except FileNotFoundError:
                pass
    return total


def files_of(pid):
    """Open regular files beside the log, the state and their kin: what is spooled would be here. The daemon does not let its own account look: then
    only what the provider got rid of tells, and what lies in the folders."""
    found = []
    if os.geteuid() != 0:
        return found
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            target = os.readlink(f"/proc/{pid}/fd/{fd}")
        except OSError:
            continue
        if target.startswith("/") and not target.startswith("/dev") and not target.startswith("/proc"):
            found.append(target)
    return found


def reader(node):
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)  # what it does not read is not to lie here
    plain.connect(("127.0.0.1", node.data_port))
    s = node.tls().wrap_socket(plain, server_hostname="127.0.0.1")
    body = json.dumps({"id_no": PERSON}).encode()
    s.sendall(b"POST /x/provider/people HTTP/1.1\r\nHost: g\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    return s


def test_a_hundred_slow_readers():
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    source = subprocess.Popen([sys.executable, "-c", SOURCE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    quick = Provider()
    node = Node(settings="limits: {drain: 1s}\n")
    # What was freed must not stay in the sanitizer's quarantine; its own bookkeeping still doubles what is measured.
    node.env["ASAN_OPTIONS"] = node.env.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1:thread_local_quarantine_size_kb=64"
    sanitized = "asan" in city.BUILD
    node.daemon_env["TMPDIR"] = node.top
    try:
        with node:
            node.city()
            node.publish(json_resource(int(source.stdout.readline()), timeout="5m").replace("timeout: 5m", "timeout: 5m\n  limits: {in_flight: 1000}"), "provider/people")
            node.publish(json_resource(quick.port, "quick"), "provider/quick")
            node.grant("provider/people", "name,age")
            node.grant("provider/quick", "name")
            warm = [reader(node) for _ in range(4)]
            for s in warm:
                assert s.recv(1000).startswith(b"HTTP/1.1 200")
            before, disk = rss(node.pid), held_by_files(node.top)
            slow = [reader(node) for _ in range(READERS)]
            for s in slow:
                assert s.recv(500).startswith(b"HTTP/1.1 200")
            full, kernel = settled(source), held_by_kernel(node.data_port)
            most, took = 0, []
            for _ in range(20 if FULL else 5):
                for s in slow:
                    s.recv(500)
                began = time.monotonic()
                status, _, body = node.ask("provider/quick", {"id_no": PERSON})
                assert status == 200, body
                took.append(time.monotonic() - began)
                most = max(most, rss(node.pid) - before)
                time.sleep(0.5)
            assert min(took) < 1, took  # all of them would wait if the readers were in the way
            more, disk = sent(source) - full, held_by_files(node.top) - disk
            print(f"       the provider sent {full >> 20} MiB until all was full, {more >> 10} KiB since; {disk >> 10} KiB more on the disk")
            print(f"       {READERS} readers: {most / READERS / 1024:.0f} KiB each, {most >> 20} MiB in all{', sanitizer included' if sanitized else ''}; the kernel {kernel / READERS / 1024:.0f} KiB each")
            assert most < (20 if sanitized else 10) << 20, f"grew by {most} bytes"
            assert full < READERS * FULL_AT, full
            assert 0 < kernel < READERS * KERNEL_EACH, kernel
            assert more < MORE, f"{more} bytes more went in, and did not come out"
            assert disk < 1 << 20, f"{disk} bytes more in the node's folders"
            spooled = [f for f in files_of(node.pid) if not f.startswith(node.dir) and not f.endswith(".log") and "/lib/" not in f]
            assert not spooled, spooled
            for s in slow + warm:
                s.close()
            wait_for(lambda: sum(r["kind"] == "outcome" and r["reason"] != "granted" for r in node.records()) >= READERS, 30)
            node.stop()
            assert node.verify()[0] == 0
    finally:
        source.kill()
        source.wait()


if __name__ == "__main__":
    city.main(globals())
