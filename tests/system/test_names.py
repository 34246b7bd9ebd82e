"""A name service that does not answer holds nobody: not who publishes, not who revokes, not a start, not a stop, and no exchange with a provider whose address
is known. A provider is called as soon as its name is answered for, at the address that answers, and where it has moved to."""
import json
import os
import time

import city
from city import Node, Provider, json_resource, wait_for, PERSON
from test_limits import readyz
from test_witness import Witness, log_key, metric

LIBRARY = os.path.join(city.BUILD, "tests", "libsluice-names.so")
AT_ONCE = 3.0  # seconds, on a machine that is busy with other tests; a lookup that hangs does so for as long as the test wants
UNPREPARED = (503, "provider-unprepared")


class Names:
    """The name service of one node's daemon (tests/system/names/); put under it before it starts."""

    def __init__(self, node, **hosts):
        assert os.path.exists(LIBRARY), f"{LIBRARY} is missing: build the whole preset"
        self.path, self.hosts = os.path.join(node.top, "names"), {}
        node.daemon_env.update({"LD_PRELOAD": LIBRARY, "SLUICE_NAMES": self.path,
                                "ASAN_OPTIONS": node.env.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"})
        self.set(**hosts)

    def set(self, **hosts):
        """`people="127.0.0.1"`: of people.example; None: there is no such host any more."""
        self.hosts.update(hosts)
        with open(self.path + ".new", "w", encoding="ascii") as f:
            f.write("".join(f"{name}.example {what}\n" for name, what in self.hosts.items() if what))
        os.rename(self.path + ".new", self.path)

    def asked(self, name):
        if not os.path.exists(self.path + ".asked"):
            return 0
        with open(self.path + ".asked", encoding="ascii") as f:
            return f.read().splitlines().count(name + ".example")


class Timed:
    """The block is over at once."""

    def __init__(self, seconds=AT_ONCE):
        self.seconds = seconds

    def __enter__(self):
        self.began = time.monotonic()

    def __exit__(self, kind, value, trace):
        assert kind is not None or time.monotonic() - self.began < self.seconds, f"{time.monotonic() - self.began:.1f} s"


def named(port, name, **more):
    return json_resource(port, name, **more).replace("http://127.0.0.1:", f"http://{name}.example:")


def node_with(settings="", **hosts):
    node = Node(settings, workers=2)
    node.init()
    names = Names(node, **hosts)
    node.start()
    node.city()
    return node, names


def publish(node, provider, name):
    node.publish(named(provider.port, name), "provider/" + name)
    return node.grant("provider/" + name, "name,age")


def asked(node, name="people"):
    status, _, body = node.ask("provider/" + name, {"id_no": PERSON})
    return (status, None) if status == 200 else (status, json.loads(body).get("code"))


def acts(node):
    return sum(r["kind"] == "act" for r in node.records())


def test_01_publishing_and_revoking_while_it_hangs():
    provider = Provider()
    node, names = node_with(people="hangs")
    with node_ends(node):
        node.publish(json_resource(provider.port, "free"), "provider/free")
        free = node.grant("provider/free", "name,age")
        assert asked(node, "free") == (200, None)
        node.apply("provider/pat", named(provider.port, "people"))
        node.sluice("provider/pat", "resource", "submit", "provider/people")
        with Timed():
            node.sluice("bureau/ann", "resource", "publish", "provider/people")
        wait_for(lambda: names.asked("people") > 0)
        with Timed():
            node.sluice("bureau/ann", "grant", "revoke", free, "--note", "while the name service hangs")
            assert asked(node, "free")[0] == 403
        node.grant("provider/people", "name,age")
        with Timed():
            assert asked(node) == UNPREPARED
        wait_for(lambda: "provider/people: the name service has not answered for the host people.example:" in readyz(node)[1])
        before = acts(node)
        names.set(people="127.0.0.1")
        with Timed():
            wait_for(lambda: asked(node) == (200, None))
        assert acts(node) == before, "it is served without an act"
        assert "[+] providers: " in readyz(node)[1]
        names.set(people=None)  # and stays so, whatever becomes of the name service
        time.sleep(0.5)
        assert asked(node) == (200, None)


def test_02_a_start_and_a_stop_while_it_hangs():
    provider = Provider()
    hosts = [f"p{i}" for i in range(20)]
    node, names = node_with(people="127.0.0.1", **{h: "127.0.0.1" for h in hosts})
    with node_ends(node):
        for name in ["people", *hosts]:
            node.publish(named(provider.port, name), "provider/" + name)
        node.publish(json_resource(provider.port, "free"), "provider/free")
        node.grant("provider/people", "name,age")
        node.grant("provider/free", "name,age")
        wait_for(lambda: asked(node) == (200, None))
        threads = len(os.listdir(f"/proc/{node.pid}/task"))
        names.set(people="hangs", **{h: "stuck" for h in hosts})
        with Timed():
            node.stop()
        with Timed(5):
            node.start()
        assert asked(node, "free") == (200, None)
        assert asked(node) == UNPREPARED
        assert "providers: 21 resources cannot be called" in readyz(node)[1], readyz(node)[1]
        with Timed():
            node.stop()  # with an exit code of 0, so nobody had to end it by force
        names.set(people="127.0.0.1")
        before = [names.asked(h) for h in hosts]
        with Timed(5):
            node.start()
        wait_for(lambda: asked(node) == (200, None), 40)  # whoever else hangs for ever
        assert "providers: 20 resources cannot be called" in readyz(node)[1]
        wait_for(lambda: all(names.asked(h) > n for h, n in zip(hosts, before)), 40)
        time.sleep(6)
        assert 20 <= len(os.listdir(f"/proc/{node.pid}/task")) - threads <= 32, "a name service that hangs costs a bounded number of threads"
        with Timed():
            assert asked(node) == (200, None)
        with Timed():
            node.stop()


def test_03_a_provider_that_moves():
    first = Provider()
    second = Provider(host="127.0.0.2", port=first.port)
    node, names = node_with("limits:\n  names: 1s\n", people="127.0.0.1")
    with node_ends(node):
        publish(node, first, "people")
        wait_for(lambda: asked(node) == (200, None))
        assert second.seen == 0
        names.set(people="127.0.0.2")  # where it was still answers, on kept connections too
        wait_for(lambda: asked(node) == (200, None) and second.seen > 0, 10)
        seen = first.seen
        for _ in range(10):
            assert asked(node) == (200, None)
        assert first.seen == seen
        names.set(people="hangs")  # the address that is known stays
        count = names.asked("people")
        wait_for(lambda: names.asked("people") > count)
        with Timed():
            assert asked(node) == (200, None)


def test_04_one_that_cannot_be_reached_is_looked_for():
    gone = Provider(host="127.0.0.2")
    provider = Provider(port=gone.port)
    gone.close()
    node, names = node_with("limits:\n  names: 1h\n", people="127.0.0.2", both="127.0.0.2 127.0.0.3 127.0.0.1")
    with node_ends(node):
        publish(node, provider, "people")
        publish(node, provider, "both")
        wait_for(lambda: asked(node)[1] == "provider-unreachable")
        for _ in range(4):
            assert asked(node, "both") == (200, None), "the first of its addresses that answers is called"
        names.set(people="127.0.0.1")
        wait_for(lambda: asked(node) == (200, None), 15)  # not within the hour: since nobody could be reached


def test_05_a_host_that_does_not_exist():
    provider = Provider()
    node, names = node_with(people="hangs", other="fails")
    with node_ends(node):
        publish(node, provider, "people")
        publish(node, provider, "other")  # what cannot be told is no fault of the manifest
        assert asked(node, "other") == UNPREPARED
        names.set(people=None, other="127.0.0.1")
        wait_for(lambda: asked(node, "other") == (200, None))
        wait_for(lambda: f"provider/people: the host people.example:{provider.port} cannot be resolved" in readyz(node)[1])
        assert asked(node) == UNPREPARED
        node.apply("provider/pat", named(provider.port, "people", extra="# again\n", timeout="6s"))
        node.sluice("provider/pat", "resource", "submit", "provider/people")
        refused = node.sluice("bureau/ann", "resource", "publish", "provider/people", check=False)
        assert refused.returncode != 0 and "cannot be resolved" in refused.stderr, refused
        names.set(people="127.0.0.1")
        wait_for(lambda: asked(node) == (200, None))
        node.sluice("bureau/ann", "resource", "publish", "provider/people")


def test_06_a_witness_that_nobody_finds():
    node = Node()
    with node_ends(node):
        node.__enter__()
        names = Names(node, w2="stuck")
        near, far = Witness(node.top, "w1.example", log_key(node)).start(), Witness(node.top, "w2.example", log_key(node))
        node.stop()
        with open(f"{node.dir}/sluice.yaml", "a", encoding="utf-8") as f:
            f.write(f"\nevidence:\n  witnesses:\n    - {{key: '{near.vkey}', url: 'http://127.0.0.1:{near.port}'}}\n"
                    f"    - {{key: '{far.vkey}', url: 'https://w2.example:1', ca: ca/chain.pem}}\n  quorum: 1\n")
        with Timed(5):
            node.start()
        wait_for(lambda: names.asked("w2") > 0)
        node.department("somewhere")
        size = len(node.records())
        wait_for(lambda: metric(node, "sluice_evidence_witnessed_size") >= size, 10)
        assert "w1.example: signs" in readyz(node)[1]
        wait_for(lambda: "w2.example: unreachable" in readyz(node)[1])
        with Timed():
            node.stop()
        near.stop()


class node_ends:
    """What `with Node()` does at its end, for one that was begun by hand."""

    def __init__(self, node):
        self.node = node

    def __enter__(self):
        return self.node

    def __exit__(self, *how):
        self.node.__exit__(*how)


if __name__ == "__main__":
    city.main(globals())
