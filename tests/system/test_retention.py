"""Records are kept as long as the settings say and no hold forbids; the daemon alone removes them, on record, and what remains verifies; nobody can delete."""
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import time

import city
from city import BUILD, Node, json_resource, wait_for

AUDITOR, BUREAU = "bureau/audrey", "bureau/ann"
DAYS = 1400
NODE = None


def segments(folder=None):
    return sorted(int(n[:16]) for n in os.listdir(folder or os.path.join(NODE.dir, "log")) if n.endswith(".seg"))


def acts(verb):
    return [r for r in NODE.records() if r.get("verb") == verb and r["kind"] == "act"]


def look():
    """A reload lets the daemon look at once; else it does each minute."""
    def said():
        with open(NODE.log_path, encoding="utf-8") as f:
            return f.read().count('"event":"reloaded"')
    before = said()
    os.kill(NODE.pid, signal.SIGHUP)
    wait_for(lambda: said() > before)
    time.sleep(1.3)


def settings(exchanges, operations):
    with open(os.path.join(NODE.dir, "sluice.yaml"), encoding="utf-8") as f:
        lines = [line for line in f.read().split("\n") if not line.startswith("evidence: {")]
    with open(os.path.join(NODE.dir, "sluice.yaml"), "w", encoding="utf-8") as f:
        f.write("\n".join(lines) + f"\nevidence: {{retain_exchanges: {exchanges}, retain_operations: {operations}}}\n")


def test_00_a_log_of_four_years():
    global NODE
    NODE = Node()
    NODE.init()
    aged(NODE, DAYS)
    assert len(segments()) > 15
    NODE.start()
    NODE.city()


def test_01_too_short_a_time_is_refused_with_the_remedy():
    for exchanges, operations, says in ((1095, 184, "three years"), (1096, 183, "six months"), (1, 0, "1096")):
        settings(exchanges, operations)
        r = subprocess.run([city.SLUICED, "-c", os.path.join(NODE.dir, "sluice.yaml"), "--check"], capture_output=True, text=True, env=NODE.env)
        assert r.returncode != 0 and says in r.stderr and "sluice.yaml:" in r.stderr, (exchanges, operations, r.stderr)
    settings(0, 0)
    look()
    assert segments()[0] == 0 and not acts("audit.prune")  # for ever


def test_02_a_hold_stops_it():
    hold = NODE.json(AUDITOR, "audit", "hold", "add", "--reason", "court order 17")
    assert hold["id"] == "h1" and hold["state"] == "held", hold
    settings(1096, 184)
    look()
    look()
    told = NODE.json(AUDITOR, "audit", "retention")
    assert told["kept_by"] == "hold" and told["removable_segments"] == 0 and told["log_days"] >= DAYS - 3, told
    assert segments()[0] == 0 and not acts("audit.prune")
    for who in ("bureau/system", "bureau/security", "provider/pat"):
        r = NODE.sluice(who, "audit", "hold", "release", "h1", "--reason", "mine", check=False)
        assert r.returncode == 4, (who, r)
        r = NODE.sluice(who, "audit", "hold", "add", "--reason", "mine", check=False)
        assert r.returncode == 4, (who, r)
    assert NODE.sluice(AUDITOR, "audit", "hold", "release", "h1", check=False).returncode == 2  # no reason
    assert [a["object"] for a in acts("audit.hold")] == ["h1"] and acts("audit.hold")[0]["content"]["reason"] == "court order 17"


def verify(folder=None):
    return NODE.verified_by_both("log", folder or os.path.join(NODE.dir, "log"), "--vkey", os.path.join(NODE.dir, "log", "log.vkey"))


def state(statement, days_ago):
    NODE.stop()
    with sqlite3.connect(os.path.join(NODE.dir, "state.db")) as db:
        db.execute(statement, (int((time.time() - days_ago * 86400) * 1000),))
    db.close()
    NODE.start()


def granted_long_ago():
    """A grant whose request was made when the log was young."""
    NODE.publish(json_resource(1), "provider/people")
    grant = NODE.grant("provider/people", "name")
    state("UPDATE policy_request SET created = ?", DAYS - 10)
    return grant


def test_03_it_is_removed_on_record_and_what_remains_verifies():
    before = NODE.records()
    grant = granted_long_ago()
    NODE.sluice(BUREAU, "audit", "hold", "release", "h1", "--reason", "case closed")
    look()
    look()
    told = NODE.json(AUDITOR, "audit", "retention")
    assert told["kept_by"] == "grant" and told["removable_segments"] == 0 and segments()[0] == 0, told  # a living grant rests on it
    NODE.sluice(BUREAU, "grant", "revoke", grant, "--note", "over")
    look()
    told = NODE.json(AUDITOR, "audit", "retention")
    assert told["kept_by"] == "grant" and segments()[0] == 0, told  # its exchanges are kept for three years yet
    state("UPDATE policy_grant SET changed = ?", 1350)
    assert NODE.sluice(BUREAU, "audit", "hold", "release", "h1", "--reason", "again", check=False).returncode == 5
    wait_for(lambda: (look(), segments()[0] > 0)[1], 60)
    first = segments()[0]
    said = acts("audit.prune")
    assert len(said) == 1 and said[0]["content"]["before"] == first and said[0]["author"].endswith("/gateway/n1"), (first, said)
    now = time.time()
    for r in before[:first]:
        age = now - time.mktime(time.strptime(r["at"][:19], "%Y-%m-%dT%H:%M:%S"))
        assert r["kind"] == "segment" or age > 1095 * 86400, r
    code, out = verify()
    act = said[0]
    assert code == 0 and f"from {first} on" in out and f"record {act['index']} of {act['at']} says" in out and act["content"]["newest"] in out, out
    assert int(re.search(r"show (\d+) days in between; at least 184 are due", out)[1]) > 1095, out
    rows = json.loads(NODE.sluice(AUDITOR, "-o", "json", "audit", "search", "--case", "old", "--oldest-first", "--limit", "1").stdout)
    assert rows["first"] == first and rows["rows"][0]["index"] >= first, rows
    data = NODE.sluice(AUDITOR, "audit", "export", "--proofs", "--case", "old").stdout
    path = os.path.join(NODE.top, "old.ndjson")
    with open(path, "w", encoding="utf-8") as f:
        f.write(data)
    assert NODE.verified_by_both("export", path, "--vkey", os.path.join(NODE.dir, "log", "log.vkey"))[0] == 0


def test_03b_what_remains_verifies_from_outside():
    """Hash tiles vouch for what was removed, the log says that it was; the copy that is made is as good as the log."""
    first, copy, key = segments()[0], os.path.join(NODE.top, "fetched"), os.path.join(NODE.dir, "log", "log.vkey")
    url = f"https://{NODE.control}"
    r = NODE.sluice(AUDITOR, "audit", "verify", url, "--vkey", key, "--out", copy, "--lang", "en", check=False)
    assert r.returncode == 0 and f"from {first} on" in r.stdout, r.stdout + r.stderr
    assert segments(copy) == [first]
    code, out = verify(copy)
    assert code == 0 and f"from {first} on" in out and "days in between" in r.stdout, (r.stdout, out)
    for where in ((NODE.run, copy), (lambda *a, **k: NODE.sluice(AUDITOR, *a, **k), url)):  # a range may end before the act
        r = where[0]("audit", "verify", where[1], "--vkey", key, "--to", str(first + 20), "--lang", "en", check=False)
        assert r.returncode == 0 and "was not judged" in r.stdout, r.stdout + r.stderr
        r = where[0]("audit", "verify", where[1], "--vkey", key, "--to", str(first), "-o", "json", check=False)
        assert r.returncode == 7 and json.loads(r.stdout)["bad"] == "missing", r.stdout + r.stderr
    r = NODE.sluice(AUDITOR, "audit", "verify", url, "--vkey", key, "--from", str(first + 300), "--to", str(first + 301), "-o", "json", check=False)
    assert r.returncode == 0 and json.loads(r.stdout)["size"] == 256, r.stdout + r.stderr
    read = [r["object"] for r in NODE.records() if r.get("verb") == "audit.entries"]
    assert f"tile/entries/{first // 256:03d}" in read, read


def test_04_a_front_cut_off_by_anybody_else_is_told():
    copy = os.path.join(NODE.top, "copy")
    shutil.copytree(os.path.join(NODE.dir, "log"), copy)
    os.unlink(os.path.join(copy, f"{segments(copy)[0]:016d}.seg"))
    code, out = verify(copy)
    assert code == 7 and "missing" in out, out


def aged(node, *args):
    subprocess.run([os.path.join(BUILD, "tests", "sluice-aged"), node.dir, f"{city.DOMAIN}/log/n1", *map(str, args)], check=True, timeout=120)


def test_04b_an_act_alone_lets_nothing_go():
    """Whoever holds the log's key can write the act. What the log has lived since what remains speaks against it, for both verifiers."""
    for days, ahead, bad, shown in ((100, 0, "removed-early", 36), (100, 1000, "removed-early", 37), (300, 0, None, 236)):
        node = Node()
        node.init()
        aged(node, days, 512, ahead)
        log = os.path.join(node.dir, "log")
        os.unlink(os.path.join(log, f"{0:016d}.seg"))  # of 64 days
        code, out = node.verified_by_both("log", log, "--vkey", os.path.join(node.dir, "keys", "log.vkey"))
        assert code == (7 if bad else 0) and (bad or "verifies") in out, (days, ahead, out)
        assert abs(int(re.search(r"show (\d+) days", out)[1]) - shown) <= 1, out
        node.__exit__(None, None, None)


def test_05_it_survives_a_restart_and_a_kill():
    first = segments()[0]
    NODE.restart()
    NODE.kill()
    NODE.start()
    assert segments()[0] == first and NODE.verify()[0] == 0
    look()
    look()
    assert segments()[0] == first and len(acts("audit.prune")) == 1  # nothing further is old enough
    assert NODE.json(AUDITOR, "audit", "retention")["kept_by"] in ("age", "last")


def test_06_nobody_can_delete():
    import http.client
    for who in (AUDITOR, BUREAU, "bureau/system", "bureau/security", "bureau/audit"):
        context = NODE.tls(who)
        for method, path in (("DELETE", "/v1/audit/records"), ("DELETE", "/v1/audit/holds/h1"), ("POST", "/v1/audit/prune"), ("DELETE", "/v1/audit/retention"),
                             ("PUT", "/v1/audit/retention"), ("DELETE", "/v1/audit/search")):
            c = http.client.HTTPSConnection("127.0.0.1", NODE.control_port, timeout=30, context=context)
            c.request(method, path, body=b"{}", headers={"Content-Type": "application/json"})
            status = c.getresponse().status
            c.close()
            assert status in (403, 404, 405), (who, method, path, status)
    for verb in ("delete", "prune", "remove"):
        assert NODE.sluice("bureau/system", "audit", verb, check=False).returncode == 2


def test_99_end():
    NODE.__exit__(None, None, None)


if __name__ == "__main__":
    city.main(globals())
