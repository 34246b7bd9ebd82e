"""Certificates of outside authorities: a second PKI, of a province, whose certificates are enrolled here by their digest. Who may enrol what; the
identity is the enrolment's; it ends when it is revoked here, revoked there, or its time is over; what was never enrolled stays out."""
import contextlib
import datetime
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import threading

import city
from city import DOMAIN, Node, Provider, json_resource, PERSON, wait_for

PEOPLE = "provider/people"
ASK = json.dumps({"id_no": PERSON}).encode()
REQUEST = (b"POST /x/provider/people HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(ASK)) + ASK
URI = f"spiffe://{DOMAIN}/dept/consumer/app/app"


def openssl(*args):
    return subprocess.run(["openssl", *args], check=True, capture_output=True, text=True).stdout


class Province:
    """A certificate authority that is not ours: an anchor, an authority under it, and lists of both, by `openssl ca`."""

    def __init__(self, folder):
        self.dir = folder
        os.makedirs(folder)
        self.root_key, self.root, self.key, self.pem = (os.path.join(folder, n) for n in ("root.key", "root.pem", "sub.key", "sub.pem"))
        self.chain, self.crl, self.revoked = os.path.join(folder, "chain.pem"), os.path.join(folder, "crl.pem"), []
        ca = ("-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384", "-nodes", "-keyout", self.root_key, "-out", self.root,
                "-days", "30", "-subj", "/O=Province/CN=Province Root", *ca)
        self.conf("root", self.root, self.root_key)
        self.conf("sub", self.pem, self.key)
        self.sign("sub", "root", "ca", 86400 * 20, "/O=Province/CN=Province Issuing", self.key, self.pem)
        with open(self.chain, "w", encoding="ascii") as out:
            for path in (self.pem, self.root):
                with open(path, encoding="ascii") as f:
                    out.write(f.read())
        self.list()

    def conf(self, name, cert, key):
        index = os.path.join(self.dir, name + ".index")
        with open(index, "w", encoding="ascii"):
            pass
        with open(os.path.join(self.dir, name + ".conf"), "w", encoding="ascii") as f:
            f.write(f"[ca]\ndefault_ca=x\n[x]\ndatabase={index}\nnew_certs_dir={self.dir}\ncertificate={cert}\nprivate_key={key}\ndefault_md=sha384\n"
                    "rand_serial=yes\npolicy=any\nunique_subject=no\n[any]\norganizationName=optional\ncommonName=optional\n"
                    "[crl]\nauthorityKeyIdentifier=keyid\n[ca_ext]\nbasicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\n"
                    "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
                    "[client]\nbasicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=clientAuth\n"
                    "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
                    "[server]\nbasicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\n"
                    "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
                    f"[named]\nbasicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=clientAuth\n"
                    f"subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\nsubjectAltName=URI:{URI}\n")

    @staticmethod
    def stamp(seconds):
        return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)).strftime("%y%m%d%H%M%SZ")

    def sign(self, name, by, kind, seconds, subject, key, pem):
        csr = os.path.join(self.dir, name + ".csr")
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", csr, "-subj", subject)
        openssl("ca", "-batch", "-notext", "-config", os.path.join(self.dir, by + ".conf"), "-extensions", "ca_ext" if kind == "ca" else kind,
                "-in", csr, "-out", pem, "-startdate", self.stamp(-60), "-enddate", self.stamp(seconds))

    def leaf(self, name, seconds=86400 * 10, kind="client"):
        """Files of a certificate; it is sent with the authority that signed it."""
        key, pem = os.path.join(self.dir, name + ".key"), os.path.join(self.dir, name + ".pem")
        self.sign(name, "sub", kind, seconds, f"/O=Province/CN={name}", key, pem)
        return dict(who=None, cert=pem, key=key)

    def list(self):
        parts = []
        for by in ("root", "sub"):
            with open(os.path.join(self.dir, by + ".index"), "w", encoding="ascii") as f:
                for serial in self.revoked if by == "sub" else []:
                    f.write(f"R\t{self.stamp(86400)}\t{self.stamp(-1)}\t{serial.upper()}\tunknown\t/CN=x\n")
            new = os.path.join(self.dir, by + ".crl")
            openssl("ca", "-gencrl", "-config", os.path.join(self.dir, by + ".conf"), "-crlexts", "crl", "-crlsec", "3600", "-out", new)
            with open(new, encoding="ascii") as f:
                parts.append(f.read())
        with open(self.crl + ".new", "w", encoding="ascii") as f:
            f.write("".join(parts))
        os.replace(self.crl + ".new", self.crl)


def digest(files):
    """As openssl prints it."""
    return openssl("x509", "-in", files["cert"], "-noout", "-fingerprint", "-sha256").strip().split("=")[1]


def plain(text):
    return text.replace(":", "").lower()


def enrol(files, *more, who="bureau/security", app="consumer/app", check=True):
    return NODE.sluice(who, "cert", "enrol", *(["--app", app] if app else []), "--certificate", files["cert"], *more, check=check)


def reason(files):
    return NODE.reason(PEOPLE, {"id_no": PERSON}, **files)


def granted(files):
    status, _, body = NODE.ask(PEOPLE, {"id_no": PERSON}, **files)
    return status == 200 and b"name" in body


def comes_to(files, code):
    """What the certificate meets at last; on the way there a connection may be closed under it."""
    def now():
        try:
            return reason(files) == (401, code)
        except ConnectionError:
            return False
    wait_for(now, 20, 0.2)


def acts(verb):
    return [r for r in NODE.records() if r["kind"] == "act" and r["verb"] == verb]


def test_00_setup():
    global NODE, P, PROVINCE
    P = Provider()
    NODE = Node()
    PROVINCE = Province(os.path.join(NODE.top, "province"))
    NODE.extra = f"tls:\n  anchors:\n    - {{ca: {PROVINCE.chain}, crl: {PROVINCE.crl}, enrolled: true, departments: [consumer]}}\n"
    NODE.__enter__()
    NODE.city()
    NODE.publish(json_resource(P.port), PEOPLE)
    NODE.grant(PEOPLE, "id_no,name,age")


def test_01_the_settings_say_who_vouches_for_what():
    for anchor, told in ((f"{{ca: {PROVINCE.chain}, crl: {PROVINCE.crl}}}", "enrolled: true"),
                         (f"{{ca: {PROVINCE.chain}, crl: {PROVINCE.crl}, domain: x.example, enrolled: true}}", "not both"),
                         (f"{{ca: {PROVINCE.chain}, enrolled: true}}", "no_crl")):
        path = os.path.join(NODE.dir, "try.yaml")
        with open(path, "w", encoding="utf-8") as f:
            f.write(f"node: n1\ntrust_domain: {DOMAIN}\ntls:\n  anchors: [{anchor}]\n")
        r = subprocess.run([city.SLUICED, "-c", path, "--check"], capture_output=True, text=True, check=False, env=NODE.env)
        assert r.returncode == 1 and told in r.stderr, r.stderr


def test_02_a_certificate_of_the_province_is_nobody_until_it_is_enrolled():
    global FIRST
    FIRST = PROVINCE.leaf("admission")
    assert reason(FIRST) == (401, "certificate-not-enrolled")
    assert reason(PROVINCE.leaf("named", kind="named")) == (401, "certificate-not-enrolled")   # a name in it counts for nothing
    last = [r for r in NODE.records() if r["kind"] == "refused"][-2:]
    assert all(r["reason"] == "certificate-not-enrolled" and "subject" not in r for r in last), last


def test_03_who_may_enrol_what():
    for who in ("bureau/system", "bureau/audit", "bureau/ann", "consumer/chen"):
        assert enrol(FIRST, who=who, check=False).returncode == 4, who
    cases = [
        (PROVINCE.leaf("server", kind="server"), "consumer/app", "breaks the rules"),
        (PROVINCE.leaf("past", seconds=-10), "consumer/app", "expired"),
        (PROVINCE.leaf("itself", kind="named"), "consumer/app", "names somebody by itself"),
        (dict(cert=NODE.cert("consumer/app")), "consumer/app", "no outside authority"),
        (dict(cert=NODE.csr("consumer/app")), "consumer/app", "no certificate in PEM"),
    ]
    for files, app, told in cases:
        r = enrol(files, app=app, check=False)
        assert r.returncode == 1 and told in r.stderr, (told, r.returncode, r.stderr)
    NODE.enrol("app", "provider/other", contact="{person: provider/pat}")
    r = enrol(FIRST, app="provider/other", check=False)                            # the anchor is bound to another department
    assert r.returncode == 1 and "no outside authority" in r.stderr, r.stderr
    assert enrol(FIRST, app="consumer/nobody", check=False).returncode == 3
    NODE.apply("bureau/system", "kind: App\nid: consumer/idle\ntitle: idle\ncontact: {person: consumer/chen}\n")
    r = enrol(FIRST, app="consumer/idle", check=False)
    assert r.returncode == 5 and "not active" in r.stderr, r.stderr
    r = enrol(FIRST, "--digest", "0" * 64, check=False)
    assert r.returncode == 5 and plain(digest(FIRST)) in r.stderr, r.stderr
    assert enrol(FIRST, "--digest", "0f", check=False).returncode == 2
    assert reason(FIRST) == (401, "certificate-not-enrolled")
    assert acts("cert.enrol") == []


def test_04_enrolled_it_is_the_application_and_all_of_it_is_on_record():
    r = enrol(FIRST, "--digest", digest(FIRST), "--days", "3")
    assert r.stdout.strip() == plain(digest(FIRST)), r.stdout
    assert granted(FIRST)                                                          # every worker knew it when the author was answered
    done = acts("cert.enrol")
    assert len(done) == 1 and done[0]["object"] == plain(digest(FIRST)), done
    content = done[0]["content"]
    assert content["subject"] == URI and "CN=Province Root" in content["authority"] and content["not_after"], content
    assert done[0]["author"].endswith("/dept/bureau/person/security")
    intent = [x for x in NODE.records() if x["kind"] == "intent"][-1]
    assert intent["subject"] == URI and intent["certificate"] == plain(digest(FIRST)), intent
    listed = [c for c in NODE.json("bureau/security", "cert", "list", "--subject", "consumer/app")["items"] if c.get("authority")]
    assert len(listed) == 1 and listed[0]["state"] == "valid" and listed[0]["digest"] == plain(digest(FIRST)), listed
    assert (datetime.datetime.fromisoformat(listed[0]["not_after"]) - datetime.datetime.fromisoformat(listed[0]["not_before"])).days == 3
    r = enrol(FIRST, app=None, check=False)
    assert r.returncode == 2, r.stderr
    NODE.enrol("app", "consumer/second", contact="{person: consumer/chen}")
    assert enrol(FIRST, app="consumer/second", check=False).returncode == 5        # one certificate is one application
    assert granted(FIRST)


def test_05_a_person_may_use_one_too():
    files = PROVINCE.leaf("chen")
    args = ("--server", f"https://{NODE.control}", "--ca", NODE.ca, "--cert", files["cert"], "--key", files["key"], "-o", "json", "me")
    assert NODE.run(*args, check=False).returncode == 4
    enrol(files, "--person", "consumer/chen", app=None)
    me = json.loads(NODE.run(*args).stdout)
    assert me["id"] == "consumer/chen" and [r["role"] for r in me["roles"]] == ["consumer-officer"], me
    NODE.sluice("bureau/security", "cert", "revoke", plain(digest(files)), "--reason", "left")
    assert NODE.run(*args, check=False).returncode == 4


def test_06_clients_are_asked_for_certificates_of_the_province():
    told = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{NODE.data_port}"], input="", capture_output=True, text=True, check=False).stdout
    names = told.split("Acceptable client certificate CA names")[1]
    assert re.search(r"CN ?= ?Province Root", names) and re.search(r"CN ?= ?Sluice root CA", names), names


@contextlib.contextmanager
def opened(**files):
    """A TLS connection to the listener for data."""
    with socket.create_connection(("127.0.0.1", NODE.data_port)) as raw, NODE.tls(**files).wrap_socket(raw, server_hostname="x") as s:
        yield s


def expect_gone(s):
    s.settimeout(10)
    try:
        assert s.recv(1) == b""
    except (ConnectionError, ssl.SSLError):
        pass


def read_answer(s):
    got = b""
    while b"\r\n\r\n" not in got:
        got += s.recv(65536)
    return int(got.split()[1])


def test_07_revoked_here_it_loses_what_is_open_and_its_sessions_for_good():
    files = PROVINCE.leaf("lost")
    enrol(files)
    context = NODE.tls(**files)
    with socket.create_connection(("127.0.0.1", NODE.data_port)) as raw, context.wrap_socket(raw, server_hostname="x") as s:
        s.sendall(REQUEST)
        assert read_answer(s) == 200
        session = s.session
        NODE.sluice("bureau/security", "cert", "revoke", plain(digest(files)), "--reason", "key lost")
        expect_gone(s)
    with socket.create_connection(("127.0.0.1", NODE.data_port)) as raw, context.wrap_socket(raw, server_hostname="x", session=session) as s:
        assert not s.session_reused
    assert reason(files) == (401, "certificate-revoked")
    done = acts("cert.revoke")[-1]
    assert done["object"] == plain(digest(files)) and done["content"]["reason"] == "key lost", done
    assert enrol(files, check=False).returncode == 5                               # nothing is ever un-revoked
    assert granted(FIRST)


def test_08_revoked_by_the_province_it_is_out_too():
    files = PROVINCE.leaf("stolen")
    enrol(files)
    assert granted(files)
    PROVINCE.revoked.append(openssl("x509", "-in", files["cert"], "-noout", "-serial").strip().split("=")[1])
    PROVINCE.list()
    os.kill(NODE.pid, signal.SIGHUP)
    comes_to(files, "certificate-revoked")
    r = enrol(files, check=False)
    assert r.returncode == 1 and "revoked" in r.stderr, r.stderr
    assert granted(FIRST)


def test_09_it_ends_with_its_certificate():
    files = PROVINCE.leaf("brief", seconds=8)
    enrol(files, "--days", "300")
    mine = [c for c in NODE.json("bureau/security", "cert", "list")["items"] if c["digest"] == plain(digest(files))]
    until = datetime.datetime.fromisoformat(mine[0]["not_after"])
    assert until < datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=10), mine
    assert granted(files)
    comes_to(files, "certificate-expired")


def test_10_it_holds_over_a_restart_and_the_log_verifies():
    NODE.kill()
    NODE.start()
    assert granted(FIRST)
    assert NODE.verify()[0] == 0


def test_11_an_authority_that_is_struck_out_takes_its_certificates_along():
    path = os.path.join(NODE.dir, "sluice.yaml")
    with open(path, encoding="utf-8") as f:
        text = f.read()
    with open(path, "w", encoding="utf-8") as f:
        f.write(text.replace(NODE.extra, ""))
    began, over = threading.Event(), threading.Event()
    P.answer = lambda head, body, s: (began.set(), over.wait(60))
    with opened(**FIRST) as s:
        s.sendall(REQUEST)
        assert began.wait(20)
        before = len([r for r in NODE.records() if r["kind"] == "outcome"])
        os.kill(NODE.pid, signal.SIGHUP)
        expect_gone(s)
        cut = wait_for(lambda: [r for r in NODE.records() if r["kind"] == "outcome"][before:])
        assert [r["reason"] for r in cut] == ["certificate-unknown"], cut         # nobody revoked it
    over.set()
    P.answer = Provider.one_person
    comes_to(FIRST, "certificate-unknown")


def test_99_teardown():
    NODE.stop()


if __name__ == "__main__":
    city.main(globals())
