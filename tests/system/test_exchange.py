"""An exchange through the real daemon: answers to the byte, forms, refusals with their reasons, and the records of each."""
import json
import time
import urllib.parse

import city
from city import Node, Provider, json_resource, PERSON


def with_city(settings=""):
    node = Node(settings)
    node.__enter__()
    node.city()
    provider = Provider()
    node.publish(json_resource(provider.port), "provider/people")
    return node, provider


NODE, PROVIDER = None, None


def test_00_setup():
    global NODE, PROVIDER
    NODE, PROVIDER = with_city()


def test_01_no_grant_is_refused_and_recorded():
    assert NODE.reason("provider/people", {"id_no": PERSON}) == (403, "no-grant")
    assert PROVIDER.seen == 0
    refused = [r for r in NODE.records() if r["kind"] == "refused"]
    assert refused[-1]["reason"] == "no-grant" and refused[-1]["resource"] == "provider/people", refused[-1]


def test_02_granted_answer_to_the_byte():
    global GRANT
    GRANT = NODE.grant("provider/people", "id_no,name,age", purposes="check,audit")
    status, head, body = NODE.ask("provider/people", {"id_no": PERSON}, headers={"Sluice-Purpose": "check"})
    assert status == 200, body
    masked = PERSON[:6] + "********" + PERSON[-4:]
    want = '{"resource":"provider/people","records":[{"id_no":"%s","name":"张*丰","age":36}],"count":1}' % masked
    assert body.decode() == want, body.decode()
    assert head["Content-Type"].startswith("application/json")
    assert head["Cache-Control"] == "no-store"
    assert head["Sluice-Grant"].startswith(GRANT)
    assert "intent=" in head["Sluice-Receipt"] and "outcome=" in head["Sluice-Receipt"]
    mine = [r for r in NODE.records() if r.get("exchange") == head["Sluice-Exchange"]]
    assert [r["kind"] for r in mine] == ["intent", "outcome"], mine
    assert mine[0]["grant"] == GRANT and mine[0]["purpose"] == "check"
    assert mine[1]["rows"] == 1 and mine[1]["reason"] == "granted"
    receipt = dict(p.strip().split("=") for p in head["Sluice-Receipt"].split(",")[1:])
    assert int(receipt["intent"]) == mine[0]["index"] and int(receipt["outcome"]) == mine[1]["index"]


def test_03_forms():
    for accept, want in (
            ("application/x-ndjson", '{"id_no":"%s******%s","name":"张*丰","age":36}\n'),
            ("application/xml", "<record>")):
        status, head, body = NODE.ask("provider/people", {"id_no": PERSON}, headers={"Sluice-Purpose": "check", "Accept": accept})
        assert status == 200 and head["Content-Type"].startswith(accept), (status, head, body)
        if "%" not in want:
            assert want in body.decode() and 'xmlns="urn:sluice:provider:people:1"' in body.decode(), body
    assert NODE.reason("provider/people", {"id_no": PERSON}, headers={"Sluice-Purpose": "check", "Accept": "image/png"})[1] == "not-acceptable"


def test_04_refusals_each_with_its_reason():
    ok = {"Sluice-Purpose": "check"}
    p = {"id_no": PERSON}
    table = [
        ((403, "purpose-not-granted"), dict(params=p, headers={"Sluice-Purpose": "curiosity"})),
        ((400, "purpose-missing"), dict(params=p)),
        ((403, "item-not-granted"), dict(params=dict(p, _items="salary"), headers=ok)),
        ((400, "parameter-invalid"), dict(params={}, headers=ok)),
        ((400, "parameter-invalid"), dict(params={"id_no": "123"}, headers=ok)),
        ((400, "parameter-invalid"), dict(params=dict(p, other="x"), headers=ok)),
        ((403, "no-grant"), dict(params=p, headers=dict(ok, **{"Sluice-Grant": "g999"}))),
        ((400, "header-invalid"), dict(params=p, headers=dict(ok, **{"Sluice-Operator": PERSON}))),
        ((400, "header-invalid"), dict(params=p, headers=dict(ok, **{"Sluice-Purpose": "Not A Code"}))),
    ]
    for want, how in table:
        params = how.pop("params")
        got = NODE.reason("provider/people", params, **how)
        assert got == want, (want, got, how)
    assert NODE.reason("provider/nothing", p, headers=ok) == (404, "not-published")
    assert NODE.reason(f"provider/people?id_no={PERSON}", method="GET", headers=ok) == (400, "parameter-in-url")


def test_05_operator_and_case_are_recorded_as_sent():
    head = {"Sluice-Purpose": "check", "Sluice-Operator": urllib.parse.quote("王芳"), "Sluice-Case": "case-7"}
    status, got, _ = NODE.ask("provider/people", {"id_no": PERSON}, headers=head)
    assert status == 200
    intent = [r for r in NODE.records() if r.get("exchange") == got["Sluice-Exchange"]][0]
    assert intent["operator"] == "王芳" and intent["case"] == "case-7", intent


def test_06_no_personal_value_in_the_log():
    text = json.dumps(NODE.records(), ensure_ascii=False)
    assert PERSON not in text and "张三丰" not in text
    assert any("hmac" in str(r.get("params")) for r in NODE.records() if r["kind"] == "intent")


def test_07_fields_not_declared_never_leave():
    _, _, body = NODE.ask("provider/people", {"id_no": PERSON}, headers={"Sluice-Purpose": "check"})
    assert b"never" not in body and b"secret" not in body


def test_08_languages_and_problem_forms():
    c = NODE.connect()
    c.request("POST", "/x/provider/people", "{}", {"Accept-Language": "zh-CN", "Content-Type": "application/json"})
    problem = json.loads(c.getresponse().read())
    assert problem["code"] == "purpose-missing" and any("一" <= ch <= "鿿" for ch in problem["title"]), problem
    c = NODE.connect()
    c.request("POST", "/x/provider/people", "{}", {"Accept": "application/xml", "Content-Type": "application/json"})
    r = c.getresponse()
    assert r.headers["Content-Type"].startswith("application/problem+xml") and b"purpose-missing" in r.read()


def test_09_revocation_is_effective_at_once():
    NODE.sluice("provider/pat", "grant", "revoke", GRANT, "--note", "the case is closed")
    assert NODE.reason("provider/people", {"id_no": PERSON}, headers={"Sluice-Purpose": "check"}) == (403, "revoked")
    acts = [r for r in NODE.records() if r["kind"] == "act" and r["verb"] == "grant.revoke"]
    assert acts and acts[-1]["object"] == GRANT


def test_10_nobody_approves_their_own_request():
    made = NODE.json("consumer/chen", "request", "create", "--app", "consumer/app", "--resource", "provider/people:age", "--purpose", "check",
                     "--basis", "Test Act art. 1", "--scenario", "a test", "--from", time.strftime("%Y-12-31"), "--to", f"{int(time.strftime('%Y')) + 1}-01-31")
    NODE.sluice("bureau/security", "person", "grant-role", "consumer/chen", "provider-officer")
    r = NODE.sluice("consumer/chen", "request", "approve", made["id"], check=False)
    assert r.returncode == 4 and "[four-eyes]" in r.stderr, (r.returncode, r.stdout + r.stderr)


def test_98_the_log_verifies():
    NODE.stop()
    code, text = NODE.verify()
    assert code == 0, text


def test_99_teardown():
    PROVIDER.close()
    NODE.__exit__(None, None, None)


if __name__ == "__main__":
    city.main(globals())
