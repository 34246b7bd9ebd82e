"""What a worker remembers of one exchange for the next like it: the same head, who asks on whose authority. It never says more than is true of the next."""
import json

import city
from city import Node, Provider, json_resource, PERSON

NODE, PROVIDER, GRANTS, LINES = None, None, {}, {}
R = "provider/people"
APPS = ("consumer/app", "consumer/other")
ALL = ["id_no", "name", "age"]


def test_00_setup():
    global NODE, PROVIDER
    NODE = Node(workers=1)
    NODE.__enter__()
    NODE.city()
    NODE.enrol("app", "consumer/other", contact="{person: consumer/chen}")
    PROVIDER = Provider()
    NODE.publish(json_resource(PROVIDER.port), R)
    for app in APPS:
        GRANTS[app] = NODE.grant(R, ",".join(ALL), purposes="check,audit", app=app)
        LINES[app] = NODE.connect(app)


def ask(app="consumer/app", headers=None, params=None, want=200):
    """On the application's own connection; its answer and its records."""
    headers = {"Sluice-Purpose": "check", **(headers or {})}
    status, head, body = NODE.ask(R, {"id_no": PERSON, **(params or {})}, headers=headers, connection=LINES[app])
    assert status == want, (status, body)
    return body, [r for r in NODE.records() if r.get("exchange") == head["Sluice-Exchange"]]


def expect(app="consumer/app", headers=None, params=None, **fields):
    """Three times the same, and each time what is on record is this and nothing else."""
    want = {"subject": f"spiffe://test.example/dept/consumer/app/{app.split('/')[1]}", "resource": R, "grant": GRANTS[app], "purpose": "check",
            "items": ALL, "operator": None, "case": None, "trace": None, "peer": "127.0.0.1", **fields}
    for _ in range(3):
        body, mine = ask(app, headers, params)
        assert [r["kind"] for r in mine] == ["intent", "outcome"], mine
        told = {name: mine[0].get(name) for name in want}
        assert told == want, (told, want)
        assert not set(want) - {"operator", "case", "trace"} & set(mine[1]), mine[1]
    return body, mine[0]


def test_01_the_same_again_and_again():
    body, intent = expect()
    assert json.loads(body)["count"] == 1 and len(intent["certificate"]) == 64


def test_02_another_application_with_the_same_head():
    first = expect()[1]
    second = expect("consumer/other")[1]
    assert first["certificate"] != second["certificate"]
    for app in APPS * 3:   # in turn
        assert ask(app)[1][0]["grant"] == GRANTS[app]


def test_03_one_thing_differs():
    expect(headers={"Sluice-Purpose": "audit"}, purpose="audit")
    expect(params={"_items": "name"}, items=["name"])
    expect(params={"_items": "age,name"}, items=["name", "age"])
    expect(headers={"Sluice-Operator": "zhang"}, operator="zhang")
    expect(headers={"Sluice-Case": "c-17"}, case="c-17")
    expect(headers={"traceparent": "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"}, trace="0123456789abcdef0123456789abcdef")
    expect(headers={"Sluice-Grant": GRANTS["consumer/app"]})
    expect()


def test_04_forms_and_languages():
    for _ in range(3):
        assert ask(headers={"Accept": "application/xml"})[0].startswith(b"<answer")
        assert ask(headers={"Accept": "application/x-ndjson"})[0].startswith(b'{"id_no"')
        assert ask()[0].startswith(b'{"resource"')
        zh, en = (json.loads(ask(headers={"Accept-Language": lang, "Sluice-Purpose": "none"}, want=403)[0]) for lang in ("zh", "en"))
        assert zh["code"] == en["code"] == "purpose-not-granted" and zh["title"] != en["title"], (zh, en)
        assert json.loads(ask(headers={"Accept": "image/png"}, want=406)[0])["code"] == "not-acceptable"


def test_05_more_heads_than_there_is_place_for():
    said = {}
    for i in range(150):
        for _ in range(3):
            purpose = ("check", "audit")[i % 2]
            status, head, _ = NODE.ask(R, {"id_no": PERSON}, headers={"Sluice-Purpose": purpose, "X-Pad": str(i)}, connection=LINES["consumer/app"])
            assert status == 200
            said[head["Sluice-Exchange"]] = purpose
    told = {r["exchange"]: r["purpose"] for r in NODE.records() if r["kind"] == "intent" and r["exchange"] in said}
    assert told == said


def test_06_what_is_remembered_ends_with_the_grant():
    grant = GRANTS["consumer/app"]
    before = expect()[1]
    NODE.sluice("provider/pat", "grant", "suspend", grant, "--note", "a look")
    assert json.loads(ask(want=403)[0])["code"] == "suspended"
    NODE.sluice("provider/pat", "grant", "resume", grant, "--note", "looked")
    after = expect(grant_version=before["grant_version"] + 2)[1]
    assert after["snapshot"] > before["snapshot"]
    NODE.sluice("provider/pat", "grant", "revoke", grant, "--note", "over")
    assert json.loads(ask(want=403)[0])["code"] == "revoked"
    expect("consumer/other")
    GRANTS["consumer/app"] = NODE.grant(R, "age", purposes="check")
    expect(items=["age"], grant_version=1)


def test_07_the_moment_goes_to_who_asks_for_it():
    bodies = []
    provider = Provider(lambda head, body, s: (bodies.append(json.loads(body)), Provider.one_person(head, body, s))[1])
    text = json_resource(provider.port, "moment").replace("to: json:/id}", "to: json:/id}\n    - {from: now, to: json:/at}")
    NODE.publish(text, "provider/moment")
    NODE.grant("provider/moment", "age")
    for _ in range(3):
        status, head, _ = NODE.ask("provider/moment", {"id_no": PERSON})
        assert status == 200
    intent = [r for r in NODE.records() if r.get("exchange") == head["Sluice-Exchange"]][0]
    assert bodies[-1]["at"][:19] <= intent["at"][:19] and len(bodies[-1]["at"]) == len(intent["at"]), (bodies, intent)
    provider.close()


def test_98_the_log_verifies():
    code, output = NODE.verify()
    assert code == 0, output


def test_99_teardown():
    for line in LINES.values():
        line.close()
    PROVIDER.close()
    NODE.__exit__(None, None, None)


if __name__ == "__main__":
    city.main(globals())
