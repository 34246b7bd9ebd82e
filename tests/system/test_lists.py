"""Revocation lists that go wrong: what is wrong with another authority's file holds up nothing of ours, and a list signed while the clock was ahead locks
nobody out for longer than a minute."""
import json
import os
import signal
import threading

import city
import test_outside
from city import Node, PERSON, Provider, json_resource, wait_for
from disk import LOG, Disk
from test_limits import readyz

PEOPLE = "provider/people"
HOUR_MS = 3600_000
GRANTED = (200, None)


def answer(**files):
    try:
        status, _, body = NODE.ask(PEOPLE, {"id_no": PERSON}, timeout=20, **files)
    except OSError:
        return 0, "cut"
    return status, json.loads(body).get("code") if status != 200 else None


def comes(want, seconds=20, **files):
    wait_for(lambda: answer(**files) == want, seconds, 0.5)


def reload():
    os.kill(NODE.pid, signal.SIGHUP)


def test_00_setup():
    global NODE, DISK, PROVINCE, OWN, OUTSIDE
    provider = Provider()
    NODE = test_outside.NODE = Node("limits: {drain: 1s}\n")
    PROVINCE = test_outside.Province(os.path.join(NODE.top, "province"))
    NODE.extra += f"tls:\n  anchors:\n    - {{ca: {PROVINCE.chain}, crl: {PROVINCE.crl}, enrolled: true, departments: [consumer]}}\n"
    NODE.__enter__()
    NODE.city()
    NODE.publish(json_resource(provider.port), PEOPLE)
    NODE.grant(PEOPLE, "id_no,name,age")
    OWN = NODE.json("bureau/security", "cert", "list", "--subject", "consumer/app")["items"][0]
    OUTSIDE = PROVINCE.leaf("outside")
    test_outside.enrol(OUTSIDE)
    comes(GRANTED, **OUTSIDE)
    NODE.stop()
    DISK = Disk(NODE)
    NODE.start()


def test_01_a_broken_list_of_others_holds_no_revocation_up():
    """The last list of theirs that could be read goes on counting, for them alone."""
    assert answer() == GRANTED
    with open(PROVINCE.crl, "w", encoding="ascii") as f:
        f.write("<html>502 Bad Gateway</html>\n")
    NODE.sluice("bureau/security", "cert", "revoke", OWN["serial"], "--reason", "key stolen")
    comes((401, "certificate-revoked"))
    assert answer(**OUTSIDE) == GRANTED
    reload()
    wait_for(lambda: "crl.pem holds no revocation list" in readyz(NODE)[1], 20)
    assert answer(**OUTSIDE) == GRANTED


def test_02_nor_a_start():
    """With nothing to go by, theirs are not known to be good; ours are served."""
    NODE.restart()
    assert "crl.pem holds no revocation list" in readyz(NODE)[1]
    assert answer() == (401, "certificate-revoked")
    assert answer(**OUTSIDE) == (503, "revocation-unknown")
    PROVINCE.list()
    reload()
    comes(GRANTED, **OUTSIDE)
    wait_for(lambda: "crl.pem holds no" not in readyz(NODE)[1], 20)


def test_03_an_enrolment_that_is_renewed_holds_on_until_the_new_one_does():
    """Its record waits for a disk that stands still; what was granted before holds meanwhile, whatever else changes who is trusted."""
    NODE.enrol("app", "consumer/gone", contact="{person: consumer/chen}")
    serial = NODE.json("bureau/security", "cert", "list", "--subject", "consumer/gone")["items"][0]["serial"]
    listed = lambda: [c["not_after"] for c in NODE.json("bureau/security", "cert", "list", "--subject", "consumer/app")["items"] if c.get("authority")]
    before, acts = listed(), []
    with test_outside.opened(**OUTSIDE) as outside, test_outside.opened(who="consumer/gone") as gone:
        for s in outside, gone:
            s.sendall(test_outside.REQUEST)
        assert test_outside.read_answer(outside) == 200 and test_outside.read_answer(gone) == 403
        DISK.scope, DISK.hang = LOG, 1
        try:
            acts.append(threading.Thread(target=test_outside.enrol, args=(OUTSIDE, "--days", "5")))
            acts[-1].start()
            wait_for(lambda: listed() != before)
            acts.append(threading.Thread(target=NODE.sluice, args=("bureau/security", "cert", "revoke", serial, "--reason", "lost")))
            acts[-1].start()
            test_outside.expect_gone(gone)
            outside.settimeout(2)  # both workers have the new trust by then
            try:
                more = outside.recv(1)
            except TimeoutError:
                more = None
            assert more is None, more
        finally:
            DISK.hang = 0
            for act in acts:
                act.join()
        assert answer(**OUTSIDE) == GRANTED


def test_04_a_revocation_holds_although_its_list_cannot_be_written():
    """Here by the state, at once; the list, for others, is tried until it is there, and its author is told so."""
    NODE.enrol("app", "consumer/stolen", contact="{person: consumer/chen}")
    serial = NODE.json("bureau/security", "cert", "list", "--subject", "consumer/stolen")["items"][0]["serial"]
    ca = os.path.join(NODE.dir, "ca")
    with open(os.path.join(ca, "crl.pem"), "rb") as f:
        before = f.read()
    revoked = (401, "certificate-revoked")
    with test_outside.opened(who="consumer/stolen") as stolen:
        stolen.sendall(test_outside.REQUEST)
        assert test_outside.read_answer(stolen) == 403
        os.chmod(ca, 0o500)
        try:
            done = NODE.sluice("bureau/security", "cert", "revoke", serial, "--reason", "key stolen", check=False)
            test_outside.expect_gone(stolen)
            assert answer(who="consumer/stolen") == revoked
            assert done.returncode == 1 and "holds here" in done.stderr, done
            reload()  # nor does loading it anew bring it back
            wait_for(lambda: "1 acts under way" in readyz(NODE)[1])
            assert answer(who="consumer/stolen") == revoked
            with open(os.path.join(ca, "crl.pem"), "rb") as f:
                assert f.read() == before
        finally:
            os.chmod(ca, 0o700)
        wait_for(lambda: open(os.path.join(ca, "crl.pem"), "rb").read() != before, 20)
    assert answer(who="consumer/stolen") == revoked
    NODE.restart()
    assert answer(who="consumer/stolen") == revoked


def test_05_a_clock_that_was_ahead_is_set_right():
    """A hardware clock in local time, taken for UTC at the start."""
    NODE.stop()
    DISK.clock_ms = 8 * HOUR_MS
    NODE.start()
    people = lambda: NODE.sluice("bureau/ann", "grant", "list", check=False).returncode
    assert people() == 0
    DISK.clock_ms = 0
    assert people() != 0  # the list is of a time to come
    wait_for(lambda: people() == 0, 150, 2)


def test_99_teardown():
    NODE.stop()
    code, text = NODE.verify()
    assert code == 0, text
    NODE.__exit__(None, None, None)


if __name__ == "__main__":
    city.main({k: v for k, v in globals().items() if k.startswith("test_") and callable(v)})
