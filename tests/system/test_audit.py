"""The auditor's questions at the real daemon: who saw this person, this item, on whose approval and what came of it; exports that verify elsewhere; asking is on record."""
import csv
import hashlib
import http.client
import io
import json
import os
import re
import threading
import time
import urllib.parse
import urllib.request

import city
from city import Node, Provider, json_resource, PERSON, check_digit

OTHER = check_digit("99010119900101002")
NODE = PROVIDER = None
AUDITOR = "bureau/audrey"


def search(*args, stdin=None, check=True):
    r = NODE.sluice(AUDITOR, "-o", "json", "audit", "search", *args, stdin=stdin, check=check)
    return json.loads(r.stdout) if r.returncode == 0 else r


def test_00_a_city_and_some_exchanges():
    global NODE, PROVIDER
    NODE = Node()
    NODE.__enter__()
    NODE.city()
    PROVIDER = Provider()
    NODE.publish(json_resource(PROVIDER.port), "provider/people")
    NODE.publish(json_resource(city.free_port(), name="dead"), "provider/dead")
    assert NODE.grant("provider/people", "name,age", purposes="check") == "g1"
    assert NODE.grant("provider/dead", "name", purposes="check") == "g2"
    head = {"Sluice-Case": "case-7", "Sluice-Operator": "clerk-1"}
    assert NODE.ask("provider/people", {"id_no": PERSON}, headers=head)[0] == 200
    assert NODE.ask("provider/people", {"id_no": OTHER}, headers={"Sluice-Case": "case-8"})[0] == 200
    assert NODE.reason("provider/dead", {"id_no": PERSON}, headers=head) == (502, "provider-unreachable")
    assert NODE.reason("provider/people", {"id_no": PERSON, "_items": "id_no"}, headers=head) == (403, "item-not-granted")


def test_01_who_saw_this_person_and_what_came_of_it():
    found = search("--person", "-", stdin=PERSON + "\n")
    assert found["complete"] and not found["more"], found
    rows = {r["result"]: r for r in found["rows"]}
    assert set(rows) == {"granted", "failed", "refused"}, found
    assert rows["refused"]["record"]["reason"] == "item-not-granted", rows  # an attempt is evidence too
    saw = rows["granted"]
    assert saw["record"]["resource"] == "provider/people" and saw["record"]["case"] == "case-7" and saw["record"]["operator"] == "clerk-1", saw
    assert saw["outcome"]["exchange"] == saw["record"]["exchange"] and saw["outcome"]["rows"] == 1 and saw["outcome"]["reason"] == "granted", saw
    assert rows["failed"]["outcome"]["reason"] == "provider-unreachable" and rows["failed"]["record"]["grant"] == "g2", rows
    approved = {g["grant"]: g for g in found["grants"]}["g1"]
    assert [a.rsplit("/", 2)[-1] for a in approved["approvers"]] == ["pat", "ann"] and approved["basis"] == "Test Act art. 1", approved
    act = NODE.records()[approved["record"]]
    assert act["verb"] == "grant.create" and act["object"] == "g1", act


def test_01b_a_person_is_no_argument():
    """It would stand in the list of processes and the shell's history; nothing is asked, and nothing repeats it."""
    before = len(NODE.records())
    for words in (("search",), ("export",), ("export", "--proofs")):
        for value in (PERSON, "13800138000", ""):
            r = NODE.sluice(AUDITOR, "audit", *words, "--person", value, check=False)
            assert r.returncode == 2 and "--person -" in r.stderr and not (value and value in r.stdout + r.stderr), (words, r)
    assert len(NODE.records()) == before


def test_02_by_each_condition():
    people = [r["record"]["index"] for r in search("--resource", "provider/people", "--kind", "intent")["rows"]]
    assert len(people) == 2 and people == sorted(people, reverse=True), people
    cases = [(["--item", "age"], 2), (["--case", "case-7"], 3), (["--operator", "clerk-1", "--result", "granted"], 1), (["--result", "refused", "--case", "case-7"], 1),
             (["--reason", "item-not-granted"], 1), (["--who", "consumer/app", "--kind", "outcome"], 3), (["--grant", "g1", "--result", "granted"], 2),
             (["--department", "provider", "--result", "failed"], 1), (["--verb", "request.approve", "--who", "bureau/ann"], 2), (["--purpose", "check", "--result", "running"], 0),
             (["--to", "2020-01-01"], 0), (["--object", "r1", "--verb", "request.approve"], 2)]
    for args, want in cases:
        rows = search(*args)["rows"]
        assert len(rows) == want, (args, want, rows)
    first = search("--resource", "provider/people", "--limit", "1")
    assert first["more"], first
    second = search("--resource", "provider/people", "--limit", "1", "--after", str(first["next"]))
    assert second["rows"][0]["index"] < first["rows"][0]["index"], (first, second)


def test_03_asking_is_on_record_before_the_answer_and_names_no_value():
    before = len([r for r in NODE.records() if r.get("verb") == "audit.search"])
    search("--person", "-", stdin=OTHER + "\n")
    asked = [r for r in NODE.records() if r.get("verb") == "audit.search"]
    assert len(asked) == before + 1 and asked[-1]["author"].endswith("/person/audrey") and len(asked[-1]["content"]["pseudonym"]) == 32, asked[-1]
    # which page of it was shown can be told from the record: order, length and where it began
    search("--case", "case-7", "--oldest-first", "--limit", "2", "--after", "3")
    said = [r for r in NODE.records() if r.get("verb") == "audit.search"][-1]["content"]
    assert said == {"case": "case-7", "limit": 2, "oldest_first": True, "after": 3} and "oldest_first" not in asked[-1]["content"], said
    folder = os.path.join(NODE.dir, "log")
    for base, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(base, name), "rb") as f:
                data = f.read()
            assert PERSON.encode() not in data and OTHER.encode() not in data, name
            if name.endswith(".part"):
                assert b"clerk-1" not in data and b"provider/people" not in data, name


def test_04_only_auditors_ask_and_the_attempt_is_recorded_with_its_verb():
    for who in ("provider/pat", "consumer/chen", "bureau/ann", "bureau/system", "bureau/security"):
        r = NODE.sluice(who, "audit", "search", check=False)
        assert r.returncode == 4, (who, r)
        last = NODE.records()[-1]
        assert last["kind"] == "refused" and last["verb"] == "POST audit/search" and last["reason"] == "role-missing", last
    assert len(search("--kind", "refused", "--verb", "POST audit/search")["rows"]) == 5
    r = NODE.sluice(AUDITOR, "grant", "revoke", "g1", "--note", "x", check=False)
    assert r.returncode == 4, r
    last = NODE.records()[-1]
    assert last["verb"] == "POST grants/{}/revoke" and last["object"] == "g1", last
    assert NODE.reason("provider/people", {"id_no": PERSON}, who=AUDITOR)[0] in (401, 403)  # never data


def test_05_an_export_with_proofs_verifies_elsewhere():
    vkey = os.path.join(NODE.dir, "log", "log.vkey")
    data = NODE.sluice(AUDITOR, "audit", "export", "--proofs", "--resource", "provider/people").stdout.encode()
    note, *lines = data.splitlines(keepends=True)
    records = [json.loads(line)["record"] for line in lines]
    assert {r["kind"] for r in records} >= {"intent", "outcome", "refused"}, data[:2000]
    log = NODE.records()
    assert all(log[r["index"]] == r for r in records)
    never = b'"record":{"v":1,"kind":"outcome","reason":"never"}'  # for who reads the file by its members
    path = os.path.join(NODE.top, "export.ndjson")
    forgeries = {
        "altered": data.replace(b'"case":"case-7"', b'"case":"case-9"'), "moved": data.replace(b'"index":', b'"index": ', 1), "proof": data.replace(b'"proof":["', b'"proof":["A', 1),
        "cut": data[:-20], "no line end": data[:-1], "note": data.replace(b"test.example/log", b"test.example/lag"), "no note": b"".join(lines), "no record": note, "empty": b"",
        "a hash less": data[:data.rindex(b',"')] + b"]}\n", "another's proof": data.replace(lines[0].rpartition(b',"proof":')[2], lines[1].rpartition(b',"proof":')[2], 1),
        "beside the note": note[:-2] + b"," + never + b"}\n" + b"".join(lines), "before the note": b"{" + never + b"," + note[1:] + b"".join(lines),
        "behind the proof": data[:-2] + b',"more":{' + never + b"}}\n", "twice": data[:-2] + b"," + never + b"}\n", "a line between": note + b"{" + never + b"}\n" + b"".join(lines),
        "a blank line": note + b"\n" + b"".join(lines), "ends of lines of another system": data.replace(b"\n", b"\r\n"), "a byte order mark": b"\xef\xbb\xbf" + data,
        "blanks before": b" " + data, "blanks behind": data[:-1] + b" \n", "blanks within": data.replace(b'{"checkpoint":', b'{"checkpoint": ', 1),
        "a word below the note": data.replace(b'\\n"}', b'\\nchecked\\n"}', 1), "another text": data.replace(b'\\n"}', '\\n\\n— a.example AAAAAAAA\\n"}'.encode(), 1)}
    for name, forged in {"good": data, **forgeries}.items():
        assert name == "good" or forged != data, name
        with open(path, "wb") as f:
            f.write(forged)
        code, said = NODE.verified_by_both("export", path, "--vkey", vkey)
        assert code == (0 if name == "good" else 7), (name, said)


def test_05b_each_answer_leads_to_its_proof():
    """Exported by the question that found it, whatever kind of record it is: an exchange, a refusal, an attempt at an act, a grant's own record."""
    vkey, path = os.path.join(NODE.dir, "log", "log.vkey"), os.path.join(NODE.top, "answers.ndjson")
    person = ("--person", "-")
    for question in (person, ("--item", "age"), ("--case", "case-7"), ("--operator", "clerk-1"), ("--result", "refused"), ("--result", "failed"), ("--grant", "g1"),
                     ("--who", "consumer/app"), ("--department", "provider"), ("--verb", "grant.create", "--object", "g1"), ("--verb", "POST audit/search"), ("--from", "2026-01-01")):
        given = PERSON + "\n" if question == person else None
        rows = search(*question, "--limit", "1000", stdin=given)["rows"]
        assert rows, question
        with open(path, "w", encoding="utf-8") as f:
            f.write(NODE.sluice(AUDITOR, "audit", "export", "--proofs", *question, stdin=given).stdout)
        assert NODE.verified_by_both("export", path, "--vkey", vkey)[0] == 0, question
        with open(path, encoding="utf-8") as f:
            proved = {r["record"]["index"] for r in map(json.loads, f) if "record" in r}
        wanted = {r[k]["index"] for r in rows for k in ("record", "outcome", "cut") if k in r}
        assert wanted <= proved, (question, wanted - proved)
    grant = {g["grant"]: g for g in search("--grant", "g1")["grants"]}["g1"]
    assert grant["record"] in {r["index"] for r in search("--verb", "grant.create", "--object", "g1")["rows"]}, "on whose approval, too"
    r = NODE.sluice(AUDITOR, "--lang", "en", "audit", "proof", str(grant["record"]), "--vkey", vkey, check=False)
    assert r.returncode == 2 and "audit export --proofs" in r.stderr, r


def test_06_csv_opens_safely():
    assert NODE.ask("provider/people", {"id_no": PERSON}, headers={"Sluice-Case": "=HYPERLINK(1)", "Sluice-Operator": "a%22%2C%20b"})[0] == 200
    out = NODE.run("--server", f"https://{NODE.control}", "--ca", NODE.ca, "--cert", NODE.cert(AUDITOR), "--key", NODE.key(AUDITOR),
                   "audit", "export", "--csv", "--bom", "--resource", "provider/people", "--kind", "intent").stdout
    assert out.startswith("\ufeff"), out[:20]
    rows = list(csv.DictReader(io.StringIO(out[1:], newline="")))
    assert len(rows) == 3 and rows[-1]["case"] == "'=HYPERLINK(1)" and rows[-1]["operator"] == 'a", b', rows[-1]
    assert rows[-1]["result"] == "granted" and rows[-1]["rows"] == "1" and rows[-1]["who"].endswith("/app/app") and "ann" in rows[-1]["approvers"], rows[-1]


def test_06a_however_the_number_is_written():
    """The record and the question may be spelled differently; the provider is sent the form of the standard."""
    number = next(n for n in (check_digit(f"9901011990010{i:04d}") for i in range(1000, 2000)) if n.endswith("X"))
    wide = "".join(chr(ord(c) + 0xFEE0) for c in number)
    ways = (number, number.lower(), f" {number} ", f"{number[:6]} {number[6:14]}-{number[14:]}", wide, wide.lower())
    found = lambda way: [r["result"] for r in search("--person", "-", stdin=way + "\n")["rows"]]
    assert not found(number)
    assert NODE.ask("provider/people", {"id_no": number.lower()})[0] == 200
    assert json.loads(PROVIDER.heads[-1][1])["id"] == number, PROVIDER.heads[-1]
    assert NODE.reason("provider/people", {"id_no": number.lower(), "_items": "id_no"}) == (403, "item-not-granted")
    for way in ways:
        assert found(way) == ["refused", "granted"], (way, found(way))
    held = [r["params"]["id_no"] for r in NODE.records()[-40:] if "id_no" in r.get("params", {})]
    assert held and all(set(p) == {"hmac"} for p in held), held


def test_06a2_nobody_is_hidden_behind_long_texts():
    """Parameters that come before the person's and fill the record: who was asked for is found all the same."""
    others = [f"p{i:02d}" for i in range(12)]
    NODE.publish(json_resource(PROVIDER.port, "long").replace("    - {param: id_no,", "".join(f"    - {{param: {p}, level: 2, to: json:/{p}}}\n" for p in others) + "    - {param: id_no,"),
                 "provider/long")
    NODE.grant("provider/long", "age")
    assert NODE.ask("provider/long", {**{p: "x" * 250 for p in others}, "id_no": PERSON})[0] == 200
    (row,) = search("--person", "-", "--resource", "provider/long", stdin=PERSON + "\n")["rows"]
    params = row["record"]["params"]
    assert set(params["id_no"]) == {"hmac"} and len(params) - 2 + params["…"] == len(others), params


def test_06b_an_act_too_large_for_a_record_is_whole_all_the_same():
    """A grant of several hundred items: its record goes on in others, and answers join them."""
    names = [f"item-{i:03d}-of-a-rather-wide-register".replace("-", "_") for i in range(240)]
    manifest = json_resource(PROVIDER.port, "wide")
    items = "".join(f"  - {{name: {n}, title: 第{i}项, type: C, length: 50, level: 1}}\n" for i, n in enumerate(names))
    maps = "".join(f", {n}: name" for n in names)
    manifest = manifest.replace("connector:\n", items + "connector:\n", 1)
    head, mapping = manifest.rsplit("}", 1)
    NODE.publish(head + maps + "}" + mapping, "provider/wide")
    gid = NODE.grant("provider/wide", ",".join(["name"] + names))
    acts = [r for r in NODE.records() if r["kind"] == "act"]
    for verb, key in (("grant.create", gid), ("request.create", None)):
        first = [r for r in acts if r["verb"] == verb and (key is None or r["object"] == key)][-1]
        parts = [r for r in acts if r["verb"] == verb + "-part" and r["object"] == first["object"]]
        assert first["content"]["parts"] == len(parts) > 1 and [p["content"]["part"] for p in parts] == list(range(1, len(parts) + 1)), first
        text = "".join(p["content"]["text"] for p in parts)
        assert hashlib.sha256(text.encode()).hexdigest() == first["content"]["sha256"]
        whole = json.loads(text)
        assert all(whole[k] == v for k, v in first["content"].items() if k not in ("parts", "sha256")), first
        wished = whole["items"] if verb == "grant.create" else whole["resources"][0]["items"]
        assert wished == ["name"] + names and whole["basis"] == "Test Act art. 1" and whole["scenario"] == "a test", wished
        row = search("--kind", "act", "--verb", verb, "--object", first["object"])["rows"][0]
        assert row["record"]["content"] == first["content"] and row["content"] == whole, row
    assert not [r for r in acts if set(r.get("content", {})) == {"sha256", "length"}]
    assert NODE.ask("provider/wide", {"id_no": PERSON})[0] == 200
    found = search("--resource", "provider/wide", "--kind", "intent")
    (approved,) = [g for g in found["grants"] if g["grant"] == gid]
    assert approved["items"] == ["name"] + names and approved["basis"] == "Test Act art. 1", approved
    assert approved["approvers"] == ["provider/pat", "bureau/ann"] and approved["author"] == "consumer/chen", approved
    # who saw an item for which the record had no room? What the grant lacks nobody saw
    (seen,) = found["rows"]
    assert seen["record"]["items"][-1] == "…" and names[-1] not in seen["record"]["items"], seen
    for item, want in ((names[0], 1), (names[-1], 1), ("age", 0)):
        rows = search("--item", item, "--resource", "provider/wide", "--kind", "intent")["rows"]
        assert [r["index"] for r in rows] == [seen["index"]] * want, (item, rows)


def api(who):
    """Calls of the administration API over one kept connection: (status, answer)."""
    c = http.client.HTTPSConnection("127.0.0.1", NODE.control_port, timeout=60, context=NODE.tls(who))

    def call(method, path, body=None):
        c.request(method, path, body=None if body is None else json.dumps(body), headers={"Content-Type": "application/json"})
        r = c.getresponse()
        text = r.read()
        return r.status, json.loads(text) if "json" in r.headers["Content-Type"] else text
    return call


def test_06c_a_page_of_many_grants_names_the_approvers_of_each():
    chen, pat, ann, audrey = (api(w) for w in ("consumer/chen", "provider/pat", "bureau/ann", AUDITOR))
    NODE.publish(json_resource(PROVIDER.port, "many"), "provider/many")
    year = int(time.strftime("%Y"))
    connection, grants = NODE.connect(), []
    for _ in range(203):
        made = chen("POST", "/v1/requests", {"app": "consumer/app", "resources": [{"resource": "provider/many", "items": ["age"]}], "purposes": ["many"],
                                             "basis": "Test Act art. 2", "scenario": "many", "window": {"to": f"{year + 1}-01-31"}})[1]["id"]
        assert pat("POST", f"/v1/requests/{made}/approve", {})[0] == 200
        grants += ann("POST", f"/v1/requests/{made}/approve", {})[1]["grants"]
        assert NODE.ask("provider/many", {"id_no": OTHER}, headers={"Sluice-Grant": grants[-1]}, connection=connection)[0] == 200
    status, page = audrey("POST", "/v1/audit/search", {"purpose": "many", "kind": "intent", "limit": 1000})
    assert status == 200 and len(page["rows"]) == 203 and not page["more"], (status, len(page["rows"]))
    named = {g["grant"]: g.get("approvers") for g in page["grants"]}
    assert named == {g: ["provider/pat", "bureau/ann"] for g in grants}, {g: a for g, a in named.items() if not a} or len(named)


def test_06d_no_more_than_four_questions_at_once():
    """Those that wait for their act to be durable count too."""
    threads = lambda: len(os.listdir(f"/proc/{NODE.pid}/task"))
    idle, most, going = threads(), [0], [True]

    def watch():
        last = [0] * 5  # a thread that has told its answer takes a moment to end: what counts stays for some looks
        while going[0]:
            last = last[1:] + [threads()]
            most[0] = max(most[0], min(last))
            time.sleep(0.001)

    def ask():
        status, answer = api(AUDITOR)("POST", "/v1/audit/search", {"limit": 1000})
        answers.append((status, answer.get("code")))
    answers, watcher = [], threading.Thread(target=watch)
    watcher.start()
    asking = [threading.Thread(target=ask) for _ in range(60)]
    for t in asking:
        t.start()
    for t in asking:
        t.join()
    going[0] = False
    watcher.join()
    assert most[0] <= idle + 4, (idle, most)
    assert len(answers) == 60 and set(answers) <= {(200, None), (503, "overloaded")} and (200, None) in answers, set(answers)
    for _ in range(6):  # none is counted for ever
        assert api(AUDITOR)("POST", "/v1/audit/search", {"from": "x"})[0] == 400
        assert api(AUDITOR)("POST", "/v1/audit/search", {"case": PERSON})[0] == 400
    assert api(AUDITOR)("POST", "/v1/audit/search", {"limit": 1})[0] == 200


def test_06e_a_path_goes_on_record_only_when_it_names_entries():
    audrey = api(AUDITOR)
    reads = lambda: [r["object"] for r in NODE.records() if r.get("verb") == "audit.entries"]
    before = reads()
    for path in ("张三13800138000/99010119900101006X", "x000/000", "0000", "000.p/0", "000.p/017"):
        status, answer = audrey("GET", "/log/tile/entries/" + urllib.parse.quote(path))
        assert status == 404, (path, status, answer)
    assert reads() == before, reads()
    assert audrey("GET", "/log/tile/entries/000.p/17")[0] == 200 and reads() == before + ["tile/entries/000.p/17"], reads()


def test_07_the_index_is_checked_and_built_anew():
    told = NODE.json(AUDITOR, "audit", "index", "--check")
    assert told["agrees"] and told["index"]["complete"], told
    count = len(search("--resource", "provider/people")["rows"])
    NODE.stop()
    folder = os.path.join(NODE.dir, "log", "index")
    for name in os.listdir(folder):
        os.unlink(os.path.join(folder, name))
    NODE.start()
    assert len(search("--resource", "provider/people")["rows"]) == count
    NODE.sluice(AUDITOR, "audit", "index", "--rebuild")
    assert len(search("--resource", "provider/people")["rows"]) == count
    acts = [r["verb"] for r in NODE.records() if r["kind"] == "act"]
    assert "audit.index-check" in acts and "audit.index-rebuild" in acts
    began = time.monotonic()
    assert NODE.ask("provider/people", {"id_no": PERSON}, headers={"Sluice-Case": "lag"})[0] == 200
    assert len(search("--case", "lag")["rows"]) == 1 and time.monotonic() - began < 10


def metric(name):
    with urllib.request.urlopen(f"http://{NODE.operations}/metrics", timeout=10) as r:
        return int(re.search(rf"^{name} (\d+)$", r.read().decode(), re.M)[1])


def test_08_how_far_the_index_is_behind():
    """Under load the lag is told, stays below what came, and is gone soon after; the figure is printed."""
    seen, stop = [], threading.Event()

    def watch():
        while not stop.wait(0.05):
            seen.append(metric("sluice_evidence_index_lag_records"))
    watcher = threading.Thread(target=watch)
    before = metric("sluice_evidence_records")
    watcher.start()

    def burst():
        c = NODE.connect()
        for _ in range(150):
            assert NODE.ask("provider/people", {"id_no": PERSON}, connection=c)[0] == 200
    several = [threading.Thread(target=burst) for _ in range(4)]
    for t in several:
        t.start()
    for t in several:
        t.join()
    stop.set()
    watcher.join()
    came = metric("sluice_evidence_records") - before
    assert came >= 1200, came
    began = time.monotonic()
    city.wait_for(lambda: metric("sluice_evidence_index_lag_records") == 0, 10)
    print(f"     at most {max(seen)} of {came} records behind, none {time.monotonic() - began:.2f} s after the last")
    assert max(seen) <= came
    assert metric("sluice_evidence_indexed_records") >= before + came


def test_99_the_log_verifies():
    assert NODE.verify()[0] == 0
    NODE.__exit__(None, None, None)


if __name__ == "__main__":
    city.main(globals())
