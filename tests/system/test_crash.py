"""SIGKILL under mixed load, again and again: every answer a client got in full has its evidence, no acknowledged act is lost or half done, the log
verifies, what was open is closed as interrupted. And a full disk: refused with its own code, a revocation still works, service resumes."""
import datetime
import json
import os
import random
import subprocess
import threading
import time

import city
import load
from city import FULL, Node, Provider, json_resource, PERSON

CUTS = 500 if FULL else 25
CUTS_IN_A_ROW = 100  # then in a new city: looking costs with what was done
LOOK_EVERY = 5


def kills(rng, cuts):
    with Node() as node:
        load.City(node)
        whole, acted = [], []
        for cut in range(1, cuts + 1):
            mixed = load.Load(node, cut)
            time.sleep(rng.uniform(0.05, 0.6))
            node.kill()
            mixed.end()
            whole += mixed.whole
            acted += mixed.acted
            node.start()
            if cut % LOOK_EVERY == 0:
                bad = load.judge_state(node, acted)
                assert not bad, bad
        mixed = load.Load(node, 0)
        city.wait_for(lambda: mixed.faults or (mixed.whole and mixed.acted))  # there are answers after the last restart
        mixed.end()
        node.stop()
        bad = load.judge_log(node, whole + mixed.whole, acted + mixed.acted)
        assert not bad, bad
        interrupted = sum(1 for r in node.each_record() if r.get("reason") == "interrupted")
        print(f"{cuts} cuts; {load.tally(whole)}; {len(acted)} acts; {interrupted} interrupted", flush=True)


def test_kill_under_load():
    seed = int(os.environ.get("SLUICE_SEED", random.randrange(1 << 30)))
    rng = random.Random(seed)
    print(f"seed {seed}", flush=True)
    for done in range(0, CUTS, CUTS_IN_A_ROW):
        kills(rng, min(CUTS_IN_A_ROW, CUTS - done))


def test_kill_in_a_long_answer():
    """64 MiB, or on a slow machine half a minute, write progress; what is closed as interrupted states the last of it."""
    with Node() as node:
        node.city()
        rows = b",".join([json.dumps({"id": PERSON, "name": "张三丰", "age": 36}, ensure_ascii=False).encode()] * 1000)

        def endless(h, b, s):
            s.sendall(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{"code":"0","rows":[' + rows)
            while True:
                s.sendall(b"," + rows)
        node.publish(json_resource(Provider(endless).port), "provider/people")
        node.grant("provider/people", "id_no,name,age")
        c = node.connect(timeout=60)
        c.request("POST", "/x/provider/people", json.dumps({"id_no": PERSON}), {"Content-Type": "application/json"})
        exchange = (r := c.getresponse()).headers["Sluice-Exchange"]
        reader = threading.Thread(target=lambda: read_on(r), daemon=True)
        reader.start()
        city.wait_for(lambda: [x for x in node.records() if x["kind"] == "progress"], 60)
        node.kill()
        reader.join(10)
        node.start()
        node.stop()
        code, text = node.verify()
        assert code == 0, text
        mine = [x for x in node.records() if x.get("exchange") == exchange]
        assert [x["kind"] for x in mine][0] == "intent" and mine[-1]["kind"] == "outcome" and mine[-1]["reason"] == "interrupted", mine
        progress = [x for x in mine if x["kind"] == "progress"]
        first = progress[0]
        after = (datetime.datetime.fromisoformat(first["at"]) - datetime.datetime.fromisoformat(mine[0]["at"])).total_seconds()
        assert first["bytes_in"] >= 64 << 20 or after >= 30, (first, after)
        assert mine[-1]["bytes_out"] == progress[-1]["bytes_out"], mine


def read_on(response):
    try:
        while response.read(1 << 20):
            pass
    except Exception:  # it was cut, which is what is tested
        pass


def test_full_disk():
    """The node on a small tmpfs of its own, in a user and mount namespace."""
    probe = subprocess.run(["unshare", "-Urm", "true"], capture_output=True)
    if probe.returncode != 0:
        print("skipped: no user namespaces here")
        return
    node = Node()
    node.__enter__()
    try:
        node.city()
        provider = Provider()
        node.publish(json_resource(provider.port), "provider/people")
        grant = node.grant("provider/people", "id_no,name,age")
        node.stop()
        # Same folder, now on a small file system.
        small = node.dir + "-small"
        os.rename(node.dir, small)
        os.mkdir(node.dir)
        script = 'mount -t tmpfs -o size=48m tmpfs "$1" && cp -a "$2/." "$1/" && shift 2 && exec "$@"'
        node.wrapper = ["unshare", "-Urm", "sh", "-c", script, "sh", node.dir, small]
        node.start()
        inside = f"/proc/{node.pid}/root{node.dir}"
        assert node.ask("provider/people", {"id_no": PERSON})[0] == 200
        filler = os.path.join(inside, "filler")
        with open(filler, "wb", buffering=0) as f:  # else closing it writes once more
            try:
                while True:
                    f.write(b"x" * 65536)
            except OSError:
                pass
        seen = set()

        def evidence_runs_out():
            try:
                seen.add(node.reason("provider/people", {"id_no": PERSON}))
            except Exception as e:
                seen.add(repr(e))
            return (503, "evidence-unavailable") in seen
        city.wait_for(evidence_runs_out, 60, 0)
        node.sluice("bureau/ann", "grant", "revoke", grant, "--note", "on a full disk")
        os.unlink(filler)
        city.wait_for(lambda: node.reason("provider/people", {"id_no": PERSON}) == (403, "revoked"), 30, 0.2)
        records = []
        folder = os.path.join(inside, "log")
        for name in sorted(n for n in os.listdir(folder) if n.endswith(".seg")):
            with open(os.path.join(folder, name), "rb") as f:
                records += [json.loads(line) for line in f.read().split(b"\n") if line.strip(b"\0 ")]
        assert any(r["kind"] == "gap" for r in records), "no gap record"
        assert any(r["kind"] == "act" and r["verb"] == "grant.revoke" for r in records)
        code, text = node.verify(folder)
        assert code == 0, text
    finally:
        node.stop()
        node.__exit__(None, None, None)


if __name__ == "__main__":
    city.main(globals())
