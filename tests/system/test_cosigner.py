"""Two gateways of two operators that witness one another: each co-signs the other's checkpoints by a key that only its keeper has, over restarts; only
known gateways are answered; refusals are on record, cosignatures are not; and a log that was forked with its own keys is caught and convicted."""
import base64
import concurrent.futures
import os
import re
import socket
import ssl
import subprocess
import time

import city
import disk
from city import Node, Provider, json_resource, PERSON, wait_for
from test_keeper import keeper_of, memory_holds, secrets_of
from test_witness import ask_tls, log_key, metric, operations, three_that_never_were


class Operator(Node):
    """A node of a trust domain of its own, whose log is of its own too."""

    def __init__(self, domain):
        super().__init__()
        self.domain, self.port = domain, city.free_port()

    def run(self, *args, **more):
        return super().run(*(self.domain if a == city.DOMAIN else a for a in args), **more)

    def append(self, text):
        with open(f"{self.dir}/sluice.yaml", "a", encoding="utf-8") as f:
            f.write("\n" + text)

    def open_for(self, other):
        """Witness the other's log: its listener is in `listen`, which stands in the file already."""
        path = f"{self.dir}/sluice.yaml"
        with open(path, encoding="utf-8") as f:
            text = re.sub(r"^listen:\n", f"listen:\n  witness: '127.0.0.1:{self.port}'\n", f.read(), count=1, flags=re.M)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return f"  witness_for:\n    - {{log: '{log_key(other)}', ca: '{other.dir}/ca/chain.pem'}}\n"

    def witnessed_by(self, other):
        return f"  witnesses:\n    - {{key: '{read(other.dir + '/keys/witness.vkey').strip()}', url: 'https://127.0.0.1:{other.port}', ca: '{other.dir}/ca/chain.pem'}}\n"


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def served(node):
    node.city()
    provider = Provider()
    node.publish(json_resource(provider.port), "provider/people")
    node.grant("provider/people", "name", purposes="check")


def pair(a, b):
    """Both running, each a witness of the other."""
    for x, y in ((a, b), (b, a)):
        x.stop()
        x.more = x.open_for(y)
    for x in (a, b):  # the first start makes the witness's key, whose public half the other needs
        shown = subprocess.run([city.SLUICED, "-c", f"{x.dir}/sluice.yaml", "--check"], capture_output=True, text=True, env=x.env, timeout=60)
        assert shown.returncode != 0 and "go together" in shown.stderr, shown
        x.append("evidence:\n" + x.more)
        x.start()
        x.stop()
    for x, y in ((a, b), (b, a)):
        x.append(x.witnessed_by(y))
        x.start()


def signs(node):
    return "witness/n1: signs" in operations(node, "/readyz?verbose")[1]


def test_01_two_gateways_witness_one_another():
    with Operator("east.example") as a, Operator("west.example") as b:
        pair(a, b)
        served(a)
        assert a.ask("provider/people", {"id_no": PERSON})[0] == 200
        size = len(a.records())
        wait_for(lambda: metric(a, "sluice_evidence_witnessed_size") >= size and signs(a) and signs(b))
        note = read(f"{a.dir}/log/checkpoint.witnessed")
        assert note.count("\n— ") == 2 and "\n— west.example/witness/n1 " in note, note
        vkey = read(f"{b.dir}/keys/witness.vkey").strip()
        for x in (a, b):  # quiet logs stay quiet: nobody's cosignature is anybody's record
            before = len(x.records())
            time.sleep(3)
            assert len(x.records()) == before, x.records()[before:]
        text = operations(b, "/readyz?verbose")[1]
        assert re.search(r"\[\+\] witness-for: 1 logs of others; [1-9][0-9]* checkpoints co-signed, 0 requests refused", text), text
        assert metric(b, "sluice_cosignatures_total") > 0 and metric(b, "sluice_cosignatures_refused_total") == 0
        try:
            key = secrets_of(f"{b.dir}/keys/witness.key")
            assert memory_holds(keeper_of(b), key) and not memory_holds(b.pid, key)
        except PermissionError:
            print("memory: only root may look", flush=True)
        # a renewed certificate is shown without a restart
        def served_certificate():
            return ssl.get_server_certificate(("127.0.0.1", b.port))

        old = served_certificate()
        renewed = b.sluice("bureau/security", "cert", "renew", check=False)
        assert renewed.returncode == 0, renewed
        wait_for(lambda: served_certificate() != old, 30)
        # what was seen and the key survive a restart, on either side
        b.kill()
        b.start()
        assert read(f"{b.dir}/keys/witness.vkey").strip() == vkey
        assert a.ask("provider/people", {"id_no": PERSON})[0] == 200
        size = len(a.records())
        wait_for(lambda: metric(a, "sluice_evidence_witnessed_size") >= size, 40)
        a.stop()
        b.stop()
        for x, y in ((a, b), (b, a)):
            told = x.verified_by_both("log", f"{x.dir}/log", "--vkey", log_key(x), "--witness", f"{y.dir}/keys/witness.vkey")
            assert told[0] == 0 and "valid: of 1 witnesses 1 have signed" in told[1], told


def test_02_who_may_ask_and_what_is_refused():
    with Operator("east.example") as a, Operator("west.example") as b, Operator("north.example") as stranger:
        pair(a, b)
        served(a)
        wait_for(lambda: signs(a))
        body = "old 0\n\n" + read(f"{a.dir}/log/checkpoint")
        gateway = [(f"{x.dir}/keys/gateway.pem", f"{x.dir}/keys/gateway.key") for x in (a, b, stranger)]
        app = (a.cert("consumer/app"), a.key("consumer/app"))

        def refused(cert, text, status, code):
            before = metric(b, "sluice_cosignatures_refused_total")
            got = ask_tls(b.port, b, text, cert)
            assert got[0] == status, got
            record = b.records()[-1]
            assert record["kind"] == "refused" and record["reason"].startswith(code) and record["verb"] == "witness.cosign", record
            assert metric(b, "sluice_cosignatures_refused_total") == before + 1
            return record

        for cert, code in ((None, "certificate-missing"), (app, "certificate-unknown"), (gateway[2], "certificate-"), (gateway[1], "certificate-")):
            refused(cert, body, 403, code)  # nobody's, an application's, a stranger's; and not even the witness's own
        assert refused(gateway[0], "nonsense", 400, "request-malformed")["subject"] == "spiffe://east.example/gateway/n1"
        refused(gateway[0], body.replace("east.example", "north.example"), 404, "request-malformed")
        refused(gateway[0], body.replace(body.split("\n")[3], "7", 1), 403, "request-malformed")
        status, size = ask_tls(b.port, b, body, gateway[0])
        assert status == 409 and int(size) > 0, "a log that only asks where it stands"
        assert ask_tls(b.port, b, "x" * 20000, gateway[0])[0] == 413
        # strangers who only stand there do not keep a gateway out, silent, shaken hands, or within a request
        crowd = [socket.create_connection(("127.0.0.1", b.port), timeout=10) for _ in range(300)]
        context = b.tls(None)
        crowd += [context.wrap_socket(socket.create_connection(("127.0.0.1", b.port), timeout=10)) for _ in range(100)]
        for s in crowd[-60:]:
            s.sendall(b"POST /add-checkpoint HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\nold")
        wait_for(lambda: city.accepted(b.port) >= 200, 10)
        assert ask_tls(b.port, b, body, gateway[0])[0] == 409
        for s in crowd:
            s.close()
        shown = subprocess.run([city.SLUICED, "-c", f"{b.dir}/sluice.yaml", "--check", "-v"], capture_output=True, text=True, env=b.env, timeout=60)
        assert f"listen.witness: 127.0.0.1:{b.port}" in shown.stdout and "evidence.witness_for: 1" in shown.stdout, shown
        a.stop()
        b.stop()
        assert b.verify()[0] == 0


def is_closed(s):
    s.setblocking(False)
    try:
        return s.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def test_02b_a_gateway_that_has_not_asked_yet_is_no_stranger():
    """Between its handshake and its request it gives way to nobody who comes and says nothing."""
    with Operator("east.example") as a, Operator("west.example") as b:
        pair(a, b)
        served(a)
        wait_for(lambda: signs(a))
        body = "old 0\n\n" + read(f"{a.dir}/log/checkpoint")
        context = ssl.create_default_context(cafile=f"{b.dir}/ca/chain.pem")
        context.load_cert_chain(f"{a.dir}/keys/gateway.pem", f"{a.dir}/keys/gateway.key")
        known = context.wrap_socket(socket.create_connection(("127.0.0.1", b.port), timeout=10), server_hostname="127.0.0.1")
        wait_for(lambda: city.accepted(b.port) >= 1)
        crowd = [socket.create_connection(("127.0.0.1", b.port), timeout=10) for _ in range(400)]
        wait_for(lambda: sum(map(is_closed, crowd)) >= 40, 20)  # the door is full: one goes for each that comes
        known.sendall(f"POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nConnection: close\r\nContent-Length: {len(body.encode())}\r\n\r\n{body}".encode())
        assert known.recv(1000).startswith(b"HTTP/1.1 409"), "it was closed for somebody who said nothing"
        for s in crowd + [known]:
            s.close()
        a.stop()
        b.stop()


def test_02c_a_stop_loses_no_attempt_that_was_only_counted():
    with Operator("east.example") as a, Operator("west.example") as b:
        pair(a, b)
        at, before = len(b.records()), metric(b, "sluice_cosignatures_refused_total")

        def stranger(_):
            try:
                ask_tls(b.port, b, "old 0\n", None)
            except OSError:
                pass
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(stranger, range(160)))
        attempts = metric(b, "sluice_cosignatures_refused_total") - before
        b.stop()
        since = b.records()[at:]
        single = sum(r["kind"] == "refused" and r.get("verb") == "witness.cosign" for r in since)
        counted = sum(sum(r["counts"].values()) for r in since if r["kind"] == "count")
        assert counted > 0 and single + counted == attempts, (single, counted, attempts)


def test_02d_a_stranger_that_leaves_before_its_refusal_is_on_record():
    with Operator("east.example") as a, Operator("west.example") as b:
        slow = disk.Disk(b)
        slow.scope = disk.LOG
        pair(a, b)
        wait_for(lambda: signs(a))
        a.stop()
        wait_for(lambda: city.accepted(b.port) == 0)
        context, before = b.tls(None), metric(b, "sluice_cosignatures_refused_total")
        slow.hang = 1  # no record becomes durable
        strangers = [context.wrap_socket(socket.create_connection(("127.0.0.1", b.port), timeout=10)) for _ in range(4)]
        for s in strangers:
            s.sendall(b"POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nContent-Length: 6\r\n\r\nold 0\n")
        wait_for(lambda: metric(b, "sluice_cosignatures_refused_total") >= before + len(strangers))
        for s in strangers[1:]:
            s.close()
        wait_for(lambda: city.accepted(b.port) == 1)
        slow.hang = 0
        assert strangers[0].recv(1000).startswith(b"HTTP/1.1 403"), "the one that stayed is answered"
        strangers[0].close()
        b.stop()
        assert b.verify()[0] == 0


def test_03_a_forked_log_is_caught():
    with Operator("east.example") as a, Operator("west.example") as b:
        pair(a, b)
        served(a)
        assert a.ask("provider/people", {"id_no": PERSON})[0] == 200
        size = three_that_never_were(a)
        for _ in range(3):
            assert a.ask("provider/people", {"id_no": PERSON}, headers={"Sluice-Case": "another history"})[0] == 200
        assert len(a.records()) == size, "the same size, another root"
        wait_for(lambda: "witness/n1: refuses" in operations(a, "/readyz?verbose")[1])
        wait_for(lambda: metric(b, "sluice_witnessed_logs_misbehaved_total") > 0, 40)
        for _ in range(12):
            assert a.ask("provider/people", {"id_no": PERSON}, headers={"Sluice-Case": "another history"})[0] == 200
        wait_for(lambda: metric(b, "sluice_witnessed_logs_unproved_total") > 0, 40)  # it cannot show that this goes on from what was seen
        assert metric(a, "sluice_evidence_witnessed_size") < size
        told = wait_for(lambda: [r for r in b.records() if r.get("reason") == "log-forked"])  # durable a moment after it is counted
        assert told[0]["object"] == "east.example/log/n1" and told[0]["subject"] == "spiffe://east.example/gateway/n1", told
        assert "A LOG HAS MISBEHAVED" in operations(b, "/readyz?verbose")[1] and '"log-misbehaved"' in read(b.log_path)
        wait_for(lambda: [r for r in b.records() if r.get("reason") == "log-unproved"])
        kept = [f for f in os.listdir(f"{b.dir}/witness") if f.endswith(".conflict")]
        conflict, cosigned = (read(f"{b.dir}/witness/{kept[0][:16]}.{ending}").split("\n") for ending in ("conflict", "cosigned"))
        assert conflict[:2] == cosigned[:2] and conflict[2] != cosigned[2], "two roots of one size, both signed by the log"
        assert any(f.endswith(".unproved") for f in os.listdir(f"{b.dir}/witness"))
        seen = next(f for f in os.listdir(f"{b.dir}/witness") if f.endswith(".checkpoint"))
        assert kept and base64.b64decode(read(f"{b.dir}/witness/{kept[0]}").split("\n")[2])
        a.stop()
        assert a.verify()[0] == 0, "by itself the forked log verifies: only the witness tells"
        convicted = a.verified_by_both("log", f"{a.dir}/log", "--vkey", log_key(a), "--checkpoint", f"{b.dir}/witness/{seen}")
        assert convicted[0] == 7 and "forked" in convicted[1], convicted
        # neither damage to one copy of what was seen nor a restart makes the witness forget
        b.stop()
        with open(f"{b.dir}/witness/{seen}", "wb") as f:
            f.write(b"damaged\n")
        b.start()
        a.start()
        a.ask("provider/people", {"id_no": PERSON})
        time.sleep(3)
        assert metric(a, "sluice_evidence_witnessed_size") < size
        a.stop()
        b.stop()
        for ending in (".checkpoint", ".copy"):
            with open(f"{b.dir}/witness/{seen[:16]}{ending}", "wb") as f:
                f.write(b"damaged\n")
        b.start(wait=False)
        assert b.process.wait(60) == 1 and "a second history could be cosigned" in read(b.log_path)
        b.process = None


if __name__ == "__main__":
    city.main(globals())
