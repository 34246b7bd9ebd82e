"""What holds after an act or a reload is what holds after a restart: a department that must be activated anew, a code table with other codes, an
authority that a reload brought; which version a call is for, while grants are for several; and nothing is done by halves."""
import http.client
import json
import os
import re
import signal
import subprocess
import threading
import time

import city
from city import Node, Provider, json_resource, PERSON, wait_for
from test_outside import Province, openssl
from test_uploads import Taker, filing_resource

PEOPLE = "provider/people"


def ask(node, **headers):
    status, _, body = node.ask(PEOPLE, {"id_no": PERSON}, headers=headers)
    said = json.loads(body)
    return status, said.get("code") or said["records"]


def same_after_restart(node):
    """What is answered now, and that a restart changes nothing of it."""
    now = ask(node)
    node.restart()
    assert ask(node) == now, (now, ask(node))
    return now


def test_01_a_department_that_must_be_activated_anew_stops_its_applications():
    with Node() as node:
        node.city()
        node.publish(json_resource(Provider().port), PEOPLE)
        node.grant(PEOPLE, "name")
        assert ask(node)[0] == 200
        bureau, consumer = (node.json("bureau/system", "department", "show", d)["manifest"] for d in ("bureau", "consumer"))
        node.apply("bureau/system", json.dumps(dict(bureau, bureau=False)))
        node.apply("bureau/system", json.dumps(dict(consumer, title="the same with another title")))
        assert ask(node)[0] == 200  # it gained nothing
        node.apply("bureau/system", json.dumps(dict(consumer, bureau=True)))
        assert node.json("bureau/system", "department", "show", "consumer")["state"] == "registered"
        assert same_after_restart(node) == (403, "subject-inactive")
        node.sluice("bureau/security", "department", "activate", "consumer")
        assert same_after_restart(node)[0] == 200


def table(*codes):
    return "kind: CodeTable\nid: ages\ntitle: ages\ncodes:\n" + "".join(f"- {{code: '{c}', title: t{c}}}\n" for c in codes)


def coded(port):
    return json_resource(port).replace("{name: age, title: 年龄, type: I}", "{name: age, title: 年龄, type: C, length: 5, codes: ages}")


def test_02_codes_are_those_of_the_table_as_it_is():
    with Node() as node:
        node.city()
        provider = Provider()
        node.apply("bureau/system", table(36))
        node.publish(coded(provider.port), PEOPLE)
        node.grant(PEOPLE, "age")
        assert ask(node) == (200, [{"age": "36"}])
        node.apply("bureau/system", table(37))  # taken away: it is given to nobody any more
        assert same_after_restart(node) == (200, [{"age": None}])
        node.apply("bureau/system", table(35, 36, 37))
        assert same_after_restart(node) == (200, [{"age": "36"}])


def test_03_no_table_is_too_large_for_the_resources_that_use_it():
    with Node() as node:
        node.city()
        provider = Provider()
        node.apply("bureau/system", table(36))
        node.publish(coded(provider.port), PEOPLE)
        node.grant(PEOPLE, "age")
        r = node.apply("bureau/system", table(*range(20001)), check=False)
        assert r.returncode == 1 and "at most 20000 codes" in r.stderr, r
        node.apply("bureau/system", table(*range(20000)))
        assert same_after_restart(node) == (200, [{"age": "36"}])


def named(port):
    """The authorities that a listener asks for certificates of: clients choose theirs by them."""
    return subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20).stdout


def test_04_a_reload_brings_authorities_that_both_listeners_name():
    with Node() as node:
        province = Province(os.path.join(node.top, "province"))
        assert "Province Issuing" not in named(node.data_port) and "test.example" in named(node.data_port)
        with open(os.path.join(node.dir, "sluice.yaml"), "a", encoding="utf-8") as f:
            f.write(f"tls:\n  anchors:\n  - {{ca: {province.chain}, crl: {province.crl}, enrolled: true}}\n")
        os.kill(node.pid, signal.SIGHUP)
        wait_for(lambda: "Province Issuing" in named(node.control_port))
        for _ in range(8):  # either worker may answer
            wait_for(lambda: "Province Issuing" in named(node.data_port))


def day(n):
    return time.strftime("%Y-%m-%d", time.gmtime(time.time() + 8 * 3600 + n * 86400))


def test_05_a_grant_that_does_not_permit_the_call_chooses_no_version():
    with Node() as node:
        node.city()
        provider = Provider()
        node.publish(json_resource(provider.port), PEOPLE)
        node.grant(PEOPLE, "name")
        assert ask(node)[0] == 200
        node.publish(json_resource(provider.port).replace("abstract: a", "abstract: the second"), PEOPLE)
        node.grant(PEOPLE, "name", window=(day(20), None))  # of version 2, and begins later
        node.grant(PEOPLE, "age", purposes="count")         # of version 2, and for another purpose
        assert ask(node, **{"Sluice-Purpose": "check"})[1] == [{"name": "张*丰"}]
        assert ask(node, **{"Sluice-Purpose": "count"})[1] == [{"age": 36}]
        assert ask(node) == (409, "grant-ambiguous")  # two permit it
        assert ask(node, **{"Sluice-Purpose": "other"}) == (403, "purpose-not-granted")


def test_06_a_manifest_that_a_link_loses_is_told():
    with Node() as node:
        folder = os.path.join(node.top, "folder")
        os.makedirs(folder)
        with open(os.path.join(folder, "a.yaml"), "w", encoding="utf-8") as f:
            f.write(table(1))
        os.symlink("nowhere.yaml", os.path.join(folder, "b.yaml"))
        r = node.sluice("bureau/system", "apply", "-f", folder, check=False)
        assert r.returncode == 3 and "b.yaml" in r.stderr, r
        assert node.sluice("bureau/system", "code-table", "show", "ages", check=False).returncode == 3


def test_07_nothing_is_signed_that_cannot_be_kept():
    with Node() as node:
        node.city()
        node.run("cert", "request", "--key-out", node.key("new"), "--csr", node.csr("new"), "--name", "new")
        sign = lambda out: node.sluice("bureau/security", "cert", "sign", "--app", "consumer/app", "--csr", node.csr("new"), "--out", out, check=False)
        signed = lambda: len(node.json("bureau/security", "cert", "list", "--subject", "consumer/app")["items"])
        before = signed()
        r = sign(os.path.join(node.top, "nowhere", "new.pem"))
        assert r.returncode == 3 and "nowhere/new.pem" in r.stderr and signed() == before, (r, signed())
        assert sign(node.cert("new")).returncode == 0 and signed() == before + 1


def ready(node):
    c = http.client.HTTPConnection(node.operations, timeout=10)
    c.request("GET", "/readyz?verbose")
    r = c.getresponse()
    return r.status, r.read().decode()


def test_08_a_list_of_others_that_ran_out_makes_nobody_unfit():
    with Node() as node:
        province = Province(os.path.join(node.top, "province"))
        for by in ("root", "sub"):
            openssl("ca", "-gencrl", "-config", os.path.join(province.dir, by + ".conf"), "-crlexts", "crl", "-crlsec", "2", "-out", os.path.join(province.dir, by + ".crl"))
        with open(province.crl, "w", encoding="ascii") as out:
            for by in ("root", "sub"):
                with open(os.path.join(province.dir, by + ".crl"), encoding="ascii") as f:
                    out.write(f.read())
        with open(os.path.join(node.dir, "sluice.yaml"), "a", encoding="utf-8") as f:
            f.write(f"tls:\n  anchors:\n  - {{ca: {province.chain}, crl: {province.crl}, enrolled: true}}\n")
        os.kill(node.pid, signal.SIGHUP)
        said = wait_for(lambda: (lambda r: r if "EXPIRED" in r[1] else None)(ready(node)))
        assert said[0] == 200 and f"[!] revocation-list: that of the authority in {province.chain} EXPIRED" in said[1], said


def test_09_parameters_are_never_taken_for_a_file():
    """While a body of parameters is under way the version that is granted becomes one that takes a file, of the same type."""
    with Node() as node:
        node.city()
        taker = Taker()
        node.publish(json_resource(Provider().port, "filing"), "provider/filing")
        first = node.grant("provider/filing", "name")
        c = node.connect()
        body = json.dumps({"id_no": PERSON}).encode()
        c.putrequest("POST", "/x/provider/filing")
        for field in ("Content-Type", "application/json"), ("Content-Length", str(len(body))):
            c.putheader(*field)
        c.endheaders(body[:5])
        code = node.json("provider/pat", "resource", "show", "provider/filing")["manifest"]["code"]
        node.publish(re.sub("(?m)^code: .*$", f"code: {code}", filing_resource(taker.port)), "provider/filing")
        node.grant("provider/filing", "dossier,size,sha")
        node.sluice("provider/pat", "grant", "revoke", first, "--note", "another one")
        c.send(body[5:])
        r = c.getresponse()
        said = json.loads(r.read())
        assert (r.status, said["code"], said["provider_reached"]) == (409, "conflict", "no"), said
        assert taker.connections == 0, taker.heads


def test_10_waiting_for_a_place_is_no_time_of_the_provider():
    """Whoever waits here for a place at the provider has not reached it, and its record counts only what the provider took."""
    with Node(workers=1) as node:
        node.city()
        hold, held, seen = threading.Event(), threading.Event(), []

        def slow(head, body, s):
            seen.append(head)
            held.set()
            hold.wait(60)
            return Provider.one_person(head, body, s)

        provider = Provider(slow)
        node.publish(json_resource(provider.port, timeout="30s").replace("  timeout: 30s\n", "  timeout: 30s\n  limits: {in_flight: 1, queue: 30s}\n"), PEOPLE)
        grant = node.grant(PEOPLE, "name")
        for end in "answer", "revoke":
            hold.clear()
            held.clear()
            answers, threads = [], []
            for place in range(2):
                threads.append(threading.Thread(target=lambda: answers.append(node.ask(PEOPLE, {"id_no": PERSON}))))
                threads[-1].start()
                if place == 0:
                    assert held.wait(20)
            wait_for(lambda: node.metric("sluice_exchanges_running") == 2)
            time.sleep(1)
            if end == "answer":
                hold.set()
            else:
                node.sluice("provider/pat", "grant", "revoke", grant, "--note", "enough")
            for t in threads:
                t.join()
            hold.set()
            if end == "answer":
                assert [a[0] for a in answers] == [200, 200], answers
                last = [r for r in node.records() if r["kind"] == "outcome"][-1]
                assert last["duration_ms"] >= 1000 and last["duration_ms"] - last.get("provider_ms", 0) >= 900, last
        said = sorted(json.loads(a[2])["provider_reached"] for a in answers)
        assert [a[0] for a in answers] == [403, 403] and said == ["no", "unknown"], answers
        outcomes = [r for r in node.records() if r["kind"] == "outcome"][-2:]
        assert min(r.get("provider_ms", 0) for r in outcomes) == 0, outcomes


if __name__ == "__main__":
    city.main(globals())
