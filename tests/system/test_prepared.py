"""What a resource's provider is called with, secrets and anchors, may be away and come back: the resource stays listed, is refused with a code that says whose
fault it is, is named in /readyz, and is served again without a restart. A new secret takes effect at a reload."""
import json
import os
import signal
import time

import city
from city import Node, Provider, json_resource, PERSON
from test_limits import readyz


def put(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="ascii") as f:
        f.write(text)
    os.chmod(path, 0o600)


def with_secret(port, name="people"):
    return json_resource(port, name).replace("  timeout:", "  auth: {bearer: {secret: tok}}\n  timeout:")


def setup(node, provider):
    node.city()
    node.secret = os.path.join(node.dir, "secrets", "tok")
    put(node.secret, "old\n")
    node.publish(with_secret(provider.port), "provider/people")
    node.publish(json_resource(provider.port, "free"), "provider/free")
    for name in ("people", "free"):
        node.grant("provider/" + name, "name,age")


def reload(node):
    os.kill(node.pid, signal.SIGHUP)


def asked(node, name="people"):
    status, _, body = node.ask("provider/" + name, {"id_no": PERSON})
    return status, json.loads(body).get("code")


def test_01_a_secret_that_is_away_and_back():
    provider = Provider()
    with Node(workers=1) as node:
        setup(node, provider)
        assert "[+] providers: " in readyz(node)[1]
        os.rename(node.secret, node.secret + ".away")
        reload(node)
        city.wait_for(lambda: asked(node) == (503, "provider-unprepared"))
        node.restart()
        status, _, body = node.ask("provider/people", {"id_no": PERSON})
        told = json.loads(body)
        assert (status, told["code"], told["hop"], told["provider_reached"]) == (503, "provider-unprepared", "gateway", "no"), told
        assert asked(node, "free") == (200, None), "the others are served"
        assert "provider/people" in node.sluice("consumer/chen", "resource", "list").stdout
        status, text = readyz(node)
        assert status == 200 and "[!] providers: 1 resources cannot be called: provider/people: the secret tok cannot be used: put it into " in text, text
        # a grant that is touched meanwhile keeps its items, and so do those that are made
        for verb in ("suspend", "resume"):
            node.sluice("provider/pat", "resource", verb, "provider/people")
        node.sluice("bureau/ann", "grant", "suspend", "g1", "--note", "x")
        node.sluice("provider/pat", "grant", "resume", "g1", "--note", "x")
        other = node.grant("provider/people", "age", purposes="other")
        os.rename(node.secret + ".away", node.secret)
        assert asked(node) != (200, None)
        reload(node)
        city.wait_for(lambda: node.ask("provider/people", {"id_no": PERSON}, headers={"Sluice-Purpose": "check"})[0] == 200)
        answer = json.loads(node.ask("provider/people", {"id_no": PERSON}, headers={"Sluice-Purpose": "check"})[2])["records"][0]
        assert set(answer) == {"name", "age"}, answer
        assert json.loads(node.ask("provider/people", {"id_no": PERSON}, headers={"Sluice-Purpose": "other", "Sluice-Grant": other})[2])["records"] == [{"age": 36}]
        assert "[+] providers: " in readyz(node)[1]
        if city.FULL:  # by itself, within the minute
            os.rename(node.secret, node.secret + ".away")
            node.restart()
            assert asked(node)[0] != 200
            os.rename(node.secret + ".away", node.secret)
            city.wait_for(lambda: node.ask("provider/people", {"id_no": PERSON}, headers={"Sluice-Purpose": "check"})[0] == 200, 90)


def test_02_a_new_secret_takes_effect_at_a_reload():
    provider = Provider()
    with Node(workers=2) as node:
        setup(node, provider)

        def shown():
            assert asked(node) == (200, None)
            return [line for line in provider.heads[-1][0].split(b"\r\n") if line.lower().startswith(b"authorization")]

        assert shown() == [b"Authorization: Bearer old"]
        put(node.secret + ".new", "new\n")
        os.rename(node.secret + ".new", node.secret)
        assert shown() == [b"Authorization: Bearer old"]
        reload(node)
        city.wait_for(lambda: all(shown() == [b"Authorization: Bearer new"] for _ in range(10)))  # on both workers
        put(node.secret, "two\nlines\n")  # what cannot be used is said, and the call refused: an old secret is not used on
        reload(node)
        city.wait_for(lambda: asked(node) == (503, "provider-unprepared"))
        assert "not one line of visible ASCII" in readyz(node)[1]
        assert b"new" not in readyz(node)[1].encode() and b"two" not in readyz(node)[1].encode()


def test_03_anchors_that_are_away_and_back():
    provider = Provider()
    with Node(workers=1) as node:
        setup(node, provider)
        anchors = os.path.join(node.dir, "providers", "old.pem")
        os.makedirs(os.path.dirname(anchors), exist_ok=True)
        with open(node.ca, encoding="ascii") as f:
            put(anchors, f.read())
        node.publish(json_resource(provider.port, "far", tls="tls: {mode: server, trust: old}").replace("http://127", "https://127"), "provider/far")
        node.grant("provider/far", "name,age")
        assert asked(node, "far")[1] == "provider-unreachable"  # it speaks no TLS: but it was called
        os.rename(anchors, anchors + ".away")
        node.restart()
        assert asked(node, "far") == (503, "provider-unprepared")
        assert "/providers/old.pem cannot be read" in readyz(node)[1], readyz(node)[1]
        os.rename(anchors + ".away", anchors)
        reload(node)
        city.wait_for(lambda: asked(node, "far")[1] == "provider-unreachable")


if __name__ == "__main__":
    city.main(globals())
