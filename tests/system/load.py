"""A mixed load that remembers what it was told: small and streaming answers, refusals, failing providers, strangers, and acts (manifests applied,
requests made, approved, grants revoked). `judge` holds it against the log and the state after a crash."""
import http.client
import json
import sys
import threading
import time

import city
from city import Provider, json_resource, PERSON

ROWS = 6000  # of a long answer: about 400 KB, far beyond what is held back


class City:
    """What the load needs in a node: four resources, one grant each."""

    def __init__(self, node):
        node.city()
        row = {"id": PERSON, "name": "张三丰", "age": 36}
        long = json.dumps({"code": "0", "rows": [row] * ROWS}).encode()

        def slow(h, b, s):
            time.sleep(0.005)
            return Provider.one_person(h, b, s)

        def stream(h, b, s):
            s.sendall(f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(long)}\r\n\r\n".encode())
            for at in range(0, len(long), 65536):
                s.sendall(long[at:at + 65536])
                time.sleep(0.01)
        self.providers = {"people": Provider(slow), "long": Provider(stream), "failing": Provider(lambda h, b, s: Provider.reply(s, b"", "500 No")),
                          "acted": Provider()}
        for name, provider in self.providers.items():
            node.publish(json_resource(provider.port, name, safe="false" if name == "long" else "true"), "provider/" + name)
            if name != "acted":
                node.grant("provider/" + name, "name,age" if name == "failing" else "id_no,name,age")


class Load:
    """A few threads in loops. whole: (exchange, kind of its last record, reason) of each answer that came whole. acted: (what, id) of each act
    that was acknowledged. STEPS: (method, threads, seconds between two)."""
    STEPS = (("small", 3, 0), ("long", 1, 0), ("refused", 1, 0.02), ("failing", 1, 0.01), ("stranger", 1, 0.2), ("govern", 1, 0), ("apply", 1, 0.02))

    def __init__(self, node, number=0):
        self.node, self.number, self.whole, self.acted, self.stop = node, number, [], [], threading.Event()
        self.faults = []
        self.threads = [threading.Thread(target=self.loop, args=(getattr(self, name), pause), daemon=True)
                        for name, count, pause in self.STEPS for _ in range(count)]
        for t in self.threads:
            t.start()

    def loop(self, step, pause):
        kept = {}
        while not self.stop.is_set():
            try:
                step(kept)
                self.stop.wait(pause)
            except AssertionError as e:
                self.faults.append(repr(e))
                return
            except Exception:  # the daemon is gone, or not there yet
                kept.clear()
                self.stop.wait(max(pause, 0.02))

    def end(self):
        self.stop.set()
        for t in self.threads:
            t.join(15)
        assert not self.faults, self.faults

    def exchange(self, kept, resource, who, want, params=None):
        """want: {status: (kind of the last record, reason)}; 503 may always come while the log is not there."""
        c = kept.get(who) or self.node.connect(who, timeout=10)
        kept[who] = c
        status, head, body = self.node.ask(resource, {"id_no": PERSON, **(params or {})}, who=who, connection=c)
        json.loads(body)
        if status == 503:
            return
        assert status in want, (resource, status, body[:300])
        self.whole.append((head["Sluice-Exchange"], *want[status]))

    def small(self, kept):
        self.exchange(kept, "provider/people", "consumer/app", {200: ("outcome", "granted")})

    def long(self, kept):
        self.exchange(kept, "provider/long", "consumer/app", {200: ("outcome", "granted")})

    def refused(self, kept):
        self.exchange(kept, "provider/failing", "consumer/app", {403: ("refused", "item-not-granted")}, {"_items": "id_no"})

    def failing(self, kept):
        self.exchange(kept, "provider/failing", "consumer/app", {502: ("outcome", "provider-refused")})

    def stranger(self, kept):
        self.exchange(kept, "provider/people", None, {401: ("refused", "certificate-missing"), 403: ("refused", "certificate-missing")})

    def post(self, kept, who, path, body):
        c = kept.get(who)
        if c is None:
            c = kept[who] = http.client.HTTPSConnection("127.0.0.1", self.node.control_port, timeout=10, context=self.node.tls(who))
        c.request("POST", "/v1/" + path, json.dumps(body), {"Content-Type": "application/json"})
        r = c.getresponse()
        return r.status, json.loads(r.read() or b"{}")

    def act(self, kept, who, path, body, what, number=None):
        status, answer = self.post(kept, who, path, body)
        if status >= 500:
            raise OSError("not now")
        assert status == 200, (path, status, answer)
        self.acted.append((what, number or answer["id"]))
        return answer

    def govern(self, kept):
        today = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 8 * 3600))
        wish = {"app": "consumer/app", "resources": [{"resource": "provider/acted", "items": ["name", "age"]}], "purposes": ["check"], "basis": "Test Act",
                "scenario": "a test", "window": {"from": today, "to": f"{int(today[:4]) + 1}{today[4:8]}01"}}
        request = self.act(kept, "consumer/chen", "requests", wish, "request.create")["id"]
        self.act(kept, "provider/pat", f"requests/{request}/approve", {}, "request.approve", request)
        answer = self.act(kept, "bureau/ann", f"requests/{request}/approve", {}, "request.grant", request)
        grants = [g["id"] if isinstance(g, dict) else g for g in answer["grants"]]
        self.act(kept, "bureau/ann", f"grants/{grants[0]}/revoke", {"note": "a test"}, "grant.revoke", grants[0])

    def apply(self, kept):
        n = kept["n"] = kept.get("n", 0) + 1
        name = f"acted-{self.number}-{n}"
        text = f"kind: Department\nid: {name}\ntitle: {name}\ncode: {self.node.uscc(self.number * 1000 + n)}\n"
        self.act(kept, "bureau/system", "apply", {"files": [{"name": "a.yaml", "text": text}]}, "apply", name)


def every(node, who, *words):
    """All objects of a list, page by page."""
    items = []
    while True:
        page = node.json(who, *words, "--limit", "500", "--offset", str(len(items)))
        items += page["items"]
        if not page.get("more"):
            return items


def judge_state(node, acted):
    """No acknowledged act is lost or half done, no revocation undone: asked at the running daemon."""
    departments = {d["id"] for d in every(node, "bureau/system", "department", "list")}
    grants = {g["id"]: g["state"] for g in every(node, "bureau/ann", "grant", "list", "--resource", "provider/acted")}
    requests = {r["id"]: r["state"] for r in every(node, "bureau/ann", "request", "list")}

    ann = http.client.HTTPSConnection("127.0.0.1", node.control_port, timeout=30, context=node.tls("bureau/ann"))

    def provider_approved(number):
        ann.request("GET", "/v1/requests/" + number)
        steps = json.loads(ann.getresponse().read())["approvals"]
        return any(s["step"] == "provider" and s["state"] == "approved" for s in steps)
    holds = {"apply": lambda n: n in departments, "request.create": lambda n: n in requests,
             "request.approve": lambda n: requests.get(n) == "granted" or (n in requests and provider_approved(n)),
             "request.grant": lambda n: requests.get(n) == "granted", "grant.revoke": lambda n: grants.get(n) == "revoked"}
    lost = [(what, n) for what, n in acted if not holds[what](n)]
    return [f"{len(lost)} of {len(acted)} acknowledged acts are lost: {lost[:5]}"] if lost else []


def judge_log(node, whole, acted=()):
    """Every whole answer has its records, indexes and acts have no gap, no intent is open, the log verifies. The daemon has ended."""
    bad = []
    code, text = node.verify()
    if code != 0:
        bad.append(text)
    last, intents, acts, told = {}, set(), [], set()
    try:
        for place, r in enumerate(node.each_record()):
            if r["index"] != place:
                return bad + [f"indexes have gaps: {r['index']} at {place}"]
            if r["kind"] in ("refused", "outcome"):
                last.setdefault(r["exchange"], []).append((r["kind"], sys.intern(r["reason"])))
            elif r["kind"] == "intent":
                if r["exchange"] in intents:
                    bad.append(f"{r['exchange']} has two intents")
                intents.add(r["exchange"])
            elif r["kind"] == "act":
                acts.append(r["act"])
                told.add((r["verb"], r.get("object")))
    except ValueError as e:
        return bad + [f"a torn record: {e}"]
    lost = [w for w in whole if last.get(w[0], [None])[-1] != w[1:] or (w[1] == "outcome") != (w[0] in intents)]
    if lost:
        bad.append(f"{len(lost)} of {len(whole)} whole answers without evidence: {[(w, last.get(w[0])) for w in lost[:3]]}")
    if any(len(found) > 1 for found in last.values()):
        bad.append("an attempt has two ends")
    if not intents <= set(last):
        bad.append("an intent was left open")
    if acts != list(range(1, len(acts) + 1)):
        bad.append("act numbers have holes")
    unrecorded = [number for what, number in acted if what == "grant.revoke" and (what, number) not in told]
    if unrecorded:
        bad.append(f"revocations without a record: {unrecorded[:5]}")
    return bad


def tally(whole):
    """For the eye: how many of which."""
    counts = {}
    for _, _, reason in whole:
        counts[reason] = counts.get(reason, 0) + 1
    return ", ".join(f"{n} {reason}" for reason, n in sorted(counts.items()))
