"""SIGKILL under load, again and again: every answer a consumer got in full has its evidence, the log verifies, what was open is closed as interrupted,
and no acknowledged act is lost. And a full disk: refused with its own code, a revocation still works, service resumes."""
import json
import os
import random
import subprocess
import threading
import time

import city
from city import FULL, Node, Provider, json_resource, PERSON


class Load:
    """A few consumers in a loop; remembers every answer that came whole."""

    def __init__(self, node, n=6):
        self.node, self.whole, self.refused, self.stop = node, [], 0, False
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.loop, daemon=True) for _ in range(n)]
        for t in self.threads:
            t.start()

    def loop(self):
        c = None
        while not self.stop:
            try:
                c = c or self.node.connect(timeout=10)
                status, head, body = self.node.ask("provider/people", {"id_no": PERSON}, connection=c)
                json.loads(body)
                with self.lock:
                    if status == 200:
                        self.whole.append(head["Sluice-Exchange"])
                    else:
                        self.refused += 1
                        assert "Sluice-Receipt" in head or status == 503, (status, body)
            except Exception:
                c = None
                time.sleep(0.02)

    def end(self):
        self.stop = True
        for t in self.threads:
            t.join(15)


def test_kill_under_load():
    cuts = 500 if FULL else 25
    seed = int(os.environ.get("SLUICE_SEED", random.randrange(1 << 30)))
    rng = random.Random(seed)
    print(f"seed {seed}", flush=True)
    with Node() as node:
        node.city()
        provider = Provider(lambda h, b, s: (time.sleep(0.005), Provider.one_person(h, b, s))[1])
        node.publish(json_resource(provider.port), "provider/people")
        node.grant("provider/people", "id_no,name,age")
        whole, interrupted = [], 0
        for cut in range(cuts):
            load = Load(node)
            time.sleep(rng.uniform(0.05, 0.6))
            if cut % 5 == 0:
                title = f"cut {cut}"
                node.apply("bureau/system", f"kind: Department\nid: acted-{cut}\ntitle: {title}\ncode: {node.uscc(cut)}\n")
            node.kill()
            load.end()
            whole += load.whole
            node.start()
        load = Load(node)
        time.sleep(0.5)
        load.end()
        assert load.whole, "nothing was answered after the last restart"
        whole += load.whole
        departments = {d["id"] for d in node.json("bureau/system", "department", "list")["items"]}
        missing = {f"acted-{c}" for c in range(0, cuts, 5)} - departments
        assert not missing, f"acknowledged acts are lost: {missing}"
        node.stop()
        code, text = node.verify()
        assert code == 0, text
        records = node.records()
        assert [r["index"] for r in records] == list(range(len(records)))
        outcomes = {r["exchange"]: r for r in records if r["kind"] == "outcome"}
        intents = {r["exchange"] for r in records if r["kind"] == "intent"}
        lost = [x for x in whole if x not in intents or outcomes.get(x, {}).get("reason") != "granted"]
        assert not lost, f"{len(lost)} of {len(whole)} whole answers without evidence"
        assert intents <= set(outcomes), "an intent was left open"
        acts = [r["act"] for r in records if r["kind"] == "act"]
        assert acts == list(range(1, len(acts) + 1)), "act numbers have holes"
        interrupted = sum(1 for r in outcomes.values() if r["reason"] == "interrupted")
        print(f"{cuts} cuts, {len(whole)} whole answers, {interrupted} interrupted, {len(records)} records")


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
        with open(filler, "wb") as f:
            try:
                while True:
                    f.write(b"x" * 65536)
                    f.flush()
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
