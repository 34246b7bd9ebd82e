"""The gateway's own certificate is renewed by command: on record, with the same key and names, shown to whoever connects next and to providers, without
cutting what is open; the node says so in time, and that the root key does not belong on it."""
import json
import os
import re
import socket
import ssl
import subprocess
import threading
import urllib.request

import city
from city import Node, Provider, json_resource, PERSON, wait_for

PEOPLE = "provider/people"


def openssl(*args):
    return subprocess.run(["openssl", *args], check=True, capture_output=True, text=True).stdout


class Strict(Provider):
    """A provider that asks for the gateway's certificate, and remembers the serials it was shown."""

    def __init__(self, folder, ca):
        self.shown, self.open = [], []
        key, cert = os.path.join(folder, "p.key"), os.path.join(folder, "p.pem")
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", cert, "-days", "2",
                "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1")
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(cert, key)
        self.context.load_verify_locations(ca)
        self.context.verify_mode = ssl.CERT_REQUIRED
        self.cert = cert
        super().__init__()

    def _serve(self, s):
        try:
            with self.context.wrap_socket(s, server_side=True) as t:
                self.shown.append(t.getpeercert()["serialNumber"].lower())
                self.open.append(t)
                super()._serve(t)
        except OSError:
            pass


    def forget(self):
        """End every connection: the next ones show a certificate again."""
        for t in self.open:
            try:
                t.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.open.clear()


def test_00_setup():
    global NODE, P
    NODE = Node()
    NODE.__enter__()
    NODE.city()
    P = Strict(NODE.top, NODE.ca)
    os.makedirs(os.path.join(NODE.dir, "providers"), exist_ok=True)
    with open(P.cert, encoding="ascii") as f, open(os.path.join(NODE.dir, "providers", "strict.pem"), "w", encoding="ascii") as to:
        to.write(f.read())
    manifest = json_resource(P.port, tls="tls: {mode: mutual, identity: gateway, trust: strict}").replace("http://127.0.0.1", "https://127.0.0.1")
    NODE.publish(manifest, PEOPLE)
    NODE.grant(PEOPLE, "name")


def shown(port):
    """Serial, subject names and end of what this listener shows."""
    pem = ssl.get_server_certificate(("127.0.0.1", port))
    path = os.path.join(NODE.top, "shown.pem")
    with open(path, "w", encoding="ascii") as f:
        f.write(pem)
    return {"serial": openssl("x509", "-in", path, "-noout", "-serial").strip().split("=")[1].lower(),
            "names": openssl("x509", "-in", path, "-noout", "-ext", "subjectAltName"),
            "key": openssl("x509", "-in", path, "-noout", "-pubkey"),
            "end": openssl("x509", "-in", path, "-noout", "-enddate")}


def operations(path):
    with urllib.request.urlopen(f"http://{NODE.operations}{path}") as r:
        return r.read().decode()


def due():
    return int(re.search(r"^sluice_certificate_due (\d)$", operations("/metrics"), re.M)[1])


def test_01_it_is_no_business_of_others():
    for who in ("bureau/system", "bureau/audit", "bureau/ann", "provider/pat"):
        assert NODE.sluice(who, "cert", "renew", check=False).returncode == 4, who
    assert NODE.sluice("bureau/security", "cert", "renew", "--days", "367", check=False).returncode == 2


def test_02_renewed_under_load_and_nothing_is_cut():
    before = shown(NODE.data_port)
    for _ in range(14):                                                 # each worker has connections to the provider
        assert NODE.ask(PEOPLE, {"id_no": PERSON})[0] == 200
    statuses, stop = [], threading.Event()
    kept = NODE.connect()
    kept.connect()

    def load():
        while not stop.is_set():
            statuses.append(NODE.ask(PEOPLE, {"id_no": PERSON}, connection=kept)[0])
    t = threading.Thread(target=load)
    t.start()
    try:
        wait_for(lambda: len(statuses) > 5)
        r = NODE.sluice("bureau/security", "cert", "renew", "--days", "20")
        serial = re.match(r"serial ([0-9a-f]+), valid until (\S+)", r.stdout)[1]
        for port in (NODE.data_port, NODE.control_port):
            wait_for(lambda: all(shown(port)["serial"].lstrip("0") == serial.lstrip("0") for _ in range(6)))   # every worker
        after = shown(NODE.data_port)
        assert after["names"] == before["names"] and after["key"] == before["key"] and after["end"] != before["end"]
        more = len(statuses)
        wait_for(lambda: len(statuses) > more + 5)
    finally:
        stop.set()
        t.join(20)
    assert set(statuses) == {200}, set(statuses)                        # on one connection all along
    assert NODE.ask(PEOPLE, {"id_no": PERSON})[0] == 200
    first = P.shown[0]
    P.shown.clear()
    for _ in range(14):
        assert NODE.ask(PEOPLE, {"id_no": PERSON})[0] == 200
    P.forget()
    for _ in range(14):
        assert NODE.ask(PEOPLE, {"id_no": PERSON})[0] == 200
    assert P.shown and {x.lstrip("0") for x in P.shown} == {serial.lstrip("0")} and first.lstrip("0") != serial.lstrip("0"), P.shown   # and to providers
    done = [r for r in NODE.records() if r["kind"] == "act" and r["verb"] == "cert.renew"]
    assert len(done) == 1 and done[0]["object"] == serial and done[0]["content"]["subject"].endswith("/gateway/n1"), done
    assert done[0]["author"].endswith("/dept/bureau/person/security")
    listed = [c for c in NODE.json("bureau/security", "cert", "list")["items"] if c["serial"] == serial]
    assert len(listed) == 1 and listed[0]["state"] == "valid"


def test_03_the_node_reminds_in_time():
    assert due() == 1                                                   # it has 20 days left, and 30 is the default
    text = operations("/readyz?verbose")
    line = [x for x in text.split("\n") if " certificate:" in x][0]
    assert "sluice cert renew" in line and not line.startswith("[-]"), line
    NODE.sluice("bureau/security", "cert", "renew")
    wait_for(lambda: due() == 0)
    assert "sluice cert renew" not in operations("/readyz?verbose")


def test_04_it_holds_over_a_restart():
    now = shown(NODE.data_port)["serial"]
    NODE.restart()
    assert shown(NODE.data_port)["serial"] == now
    assert NODE.ask(PEOPLE, {"id_no": PERSON})[0] == 200
    NODE.sluice("bureau/security", "cert", "renew")                     # the keeper knows the newest, too
    wait_for(lambda: shown(NODE.data_port)["serial"] != now)


def test_05_a_certificate_of_another_authority_is_not_ours_to_renew():
    NODE.stop()
    pem, key = (os.path.join(NODE.dir, "keys", "gateway" + e) for e in (".pem", ".key"))
    with open(pem, encoding="ascii") as f:
        own = f.read()
    openssl("req", "-x509", "-key", key, "-out", pem, "-days", "9", "-subj", "/CN=other", "-addext",
            f"subjectAltName=URI:spiffe://{city.DOMAIN}/gateway/n1,IP:127.0.0.1")
    NODE.start()
    with open(NODE.ca, "a", encoding="ascii") as f, open(pem, encoding="ascii") as other:
        f.write(other.read())
    r = NODE.sluice("bureau/security", "cert", "renew", check=False)
    assert r.returncode == 5 and "not of this node's authority" in r.stderr, r.stderr
    NODE.stop()
    with open(pem, "w", encoding="ascii") as f:
        f.write(own)
    NODE.start()
    assert NODE.verify()[0] == 0


def check():
    r = subprocess.run([city.SLUICED, "-c", os.path.join(NODE.dir, "sluice.yaml"), "--check"], capture_output=True, text=True, check=False,
                       env={**NODE.env, "LC_ALL": "C.UTF-8"})
    assert r.returncode == 0, r.stderr
    return r.stderr


def test_06_the_root_key_does_not_belong_here():
    assert "root/root.key" in check() and "offline" in check()
    os.rename(os.path.join(NODE.dir, "root"), os.path.join(NODE.top, "root-away"))
    assert check() == ""
    NODE.restart()                                                      # nothing needs it
    assert NODE.ask(PEOPLE, {"id_no": PERSON})[0] == 200


def test_99_teardown():
    NODE.stop()


if __name__ == "__main__":
    city.main(globals())
