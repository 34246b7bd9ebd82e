"""Approval steps as data: one person applies a policy, another activates it, and each request goes through the steps that held when it was made."""
import json
import os
import sqlite3
import time
import city
from city import Node, Provider, json_resource, PERSON

OK, FAILURE, DENIED, CONFLICT = 0, 1, 4, 5
SYSTEM, SECURITY, PAT, CHEN, CORA, ANN, LEO = ("bureau/system", "bureau/security", "provider/pat", "consumer/chen", "consumer/cora", "bureau/ann", "legal-affairs/leo")
NODE = PROVIDER = None
VERSIONS = 0


def policy(**lists):
    return "kind: Policy\nid: approval\nname: {zh: 审批步骤, en: Approval steps}\napproval:\n" + "".join(f"  {k}: {v}\n" for k, v in lists.items())


def run(who, *args):
    r = NODE.sluice(who, "--lang", "en", *args, check=False)
    return r.returncode, r.stdout + r.stderr


def denied(who, rid, reason, said):
    code, text = run(who, "request", "approve", rid)
    assert code == DENIED and f"[{reason}]" in text and said in text, (who, code, text)


def holds(**lists):
    """Applied by one, activated by the other."""
    global VERSIONS
    NODE.apply(SYSTEM, policy(**lists))
    VERSIONS += 1
    assert "active" in NODE.sluice(SECURITY, "policy", "activate", "approval", "--policy-version", str(VERSIONS)).stdout


def requested(*resources, who=CHEN):
    wishes = sum((["--resource", f"{r}:name"] for r in resources), [])
    return NODE.json(who, "request", "create", "--app", "consumer/app", *wishes, "--purpose", "check", "--basis", "Test Act art. 1", "--scenario", "a test",
                     "--to", until())["id"]


def until():
    today = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 8 * 3600))
    return f"{int(today[:4]) + 1}{today[4:8]}01"


def steps(rid):
    return [(a["part"], a["step"], a.get("department", ""), a["state"]) for a in NODE.json(CHEN, "request", "show", rid)["approvals"]]


def state(rid):
    return NODE.json(CHEN, "request", "show", rid)["state"]


def grants(rid):
    return NODE.json(CHEN, "request", "show", rid)["grants"]


def waits(who):
    return NODE.json(who, "status")["waiting"]["requests"]


def acts(verb):
    return [r for r in NODE.records() if r.get("verb") == verb]


def test_00_a_city():
    global NODE, PROVIDER
    NODE = Node().__enter__()
    NODE.city()
    NODE.department("legal-affairs")
    for who, *roles in ((CORA, "consumer-officer", "provider-officer"), (LEO, "provider-officer")):
        NODE.enrol("person", who)
        for role in roles:
            NODE.sluice(SECURITY, "person", "grant-role", who, role)
    PROVIDER = Provider()
    conditional = "share: {type: conditional, condition: tests only, mode: interface}"
    NODE.publish(json_resource(PROVIDER.port, "people"), "provider/people")
    NODE.publish(json_resource(PROVIDER.port, "lines").replace(conditional, "share: {type: unconditional, mode: interface}"), "provider/lines")
    NODE.publish(json_resource(PROVIDER.port, "secret").replace(conditional, "share: {type: none, basis: Test Act art. 9}"), "provider/secret")


def test_01_without_a_policy_everything_has_two_steps():
    assert NODE.json(SYSTEM, "policy", "list")["items"] == []
    rid = requested("provider/people", "provider/lines")
    assert steps(rid) == [(1, "provider", "provider", "waiting"), (1, "bureau", "", "next")], steps(rid)
    assert waits(PAT) == [rid] and waits(ANN) == []
    denied(ANN, rid, "role-missing", "waits for a provider officer of provider")
    NODE.sluice(PAT, "request", "approve", rid)
    assert waits(ANN) == [rid] and waits(PAT) == [] and not grants(rid)
    NODE.sluice(ANN, "request", "approve", rid)
    assert len(grants(rid)) == 2 and waits(ANN) == []
    made = acts("request.create")[-1]["content"]
    assert [w["steps"] for w in made["resources"]] == [["provider", "bureau"]] * 2, made


def test_02_what_is_not_shared_cannot_be_requested():
    for lang, said in (("en", "provider/secret is not shared"), ("zh", "provider/secret 不予共享")):
        r = NODE.sluice(CHEN, "--lang", lang, "request", "create", "--app", "consumer/app", "--resource", "provider/secret:name", "--purpose", "check", "--basis", "b",
                        "--scenario", "s", "--to", until(), check=False)
        assert r.returncode == FAILURE and said in r.stderr, r


def test_03_all_that_is_wrong_is_told_at_once():
    wrong = policy(unconditional="[]", conditional="[mayor, {department: nobody}, {department: nobody}]").replace("id: approval", "id: rules") + "  none: [bureau]\n"
    told = {"en": ["2:5: a policy's id is what it rules: write id: approval", "5:18: name 1 to 8 steps", "6:17: a step is provider, bureau, consumer",
                   "6:37: department nobody is not registered, or not active", "6:59: department nobody", "6:46: this step is in the list already",
                   "6:16: neither provider nor bureau is among the steps", "7:3: unknown key 'none'"],
            "zh": ["应为 id: approval", "请填写 1 至 8 个步骤", "审批步骤应为 provider", "部门 nobody 未登记或未激活：请先登记并激活", "该步骤重复", "没有 provider 或 bureau"]}
    path = os.path.join(NODE.top, "wrong.yaml")
    with open(path, "w", encoding="utf-8") as f:
        f.write(wrong)
    for lang, parts in told.items():
        r = NODE.sluice(SYSTEM, "--lang", lang, "apply", "-f", path, check=False)
        assert r.returncode == FAILURE, r
        for part in parts:
            assert part in r.stderr, (part, r.stderr)
    NODE.sluice(SECURITY, "department", "disable", "legal-affairs")
    r = NODE.apply(SYSTEM, policy(conditional="[{department: legal-affairs}, bureau]"), check=False)
    assert r.returncode == FAILURE and "department legal-affairs is not registered, or not active" in r.stderr, r
    NODE.sluice(SECURITY, "department", "activate", "legal-affairs")
    assert NODE.json(SYSTEM, "policy", "list")["items"] == [] and not acts("policy.apply")


def test_04_one_applies_another_activates():
    global VERSIONS
    text = policy(unconditional="[bureau]", conditional="[provider, {department: legal-affairs}, bureau]")
    for who in (PAT, SECURITY, ANN):
        assert NODE.apply(who, text, check=False).returncode == DENIED, who
    first = NODE.apply(SYSTEM, text).stdout
    assert "created" in first, first
    VERSIONS = 1
    rid = requested("provider/lines")
    assert [s[1] for s in steps(rid)] == ["provider", "bureau"]  # registered is not active
    NODE.sluice(CHEN, "request", "withdraw", rid)
    assert NODE.json(SECURITY, "status")["waiting"]["policies"] == ["approval"]
    for who in (SYSTEM, ANN, CHEN):
        code, text_ = run(who, "policy", "activate", "approval")
        assert code == DENIED and "[role-missing]" in text_, (who, code, text_)
    code, said = run(SECURITY, "policy", "activate", "approval", "--policy-version", "7")
    assert code == 3, (code, said)
    NODE.sluice(SECURITY, "policy", "activate", "approval")
    assert run(SECURITY, "policy", "activate", "approval")[0] == CONFLICT
    assert NODE.json(SECURITY, "status")["waiting"]["policies"] == []
    before = len(NODE.records())
    assert "unchanged" in NODE.apply(SYSTEM, text).stdout
    assert not [r for r in NODE.records()[before:] if r.get("verb", "").startswith("policy.")]
    shown = NODE.json(CHEN, "policy", "show", "approval")
    assert shown["state"] == "active" and shown["manifest"]["approval"]["unconditional"] == ["bureau"], shown
    assert [(v["version"], v["state"], v["applied_by"]) for v in shown["versions"]] == [(1, "active", SYSTEM)], shown
    assert "approval" in NODE.sluice(CHEN, "-o", "table", "policy", "list").stdout
    applied, activated = acts("policy.apply")[-1], acts("policy.activate")[-1]
    assert applied["object"] == "approval" and applied["content"]["version"] == 1 and len(applied["content"]["sha256"]) == 64, applied
    assert activated["object"] == "approval" and activated["content"] == {"state": "active", "version": 1}, activated
    assert SYSTEM.split("/")[1] in json.dumps(applied) and SECURITY.split("/")[1] in json.dumps(activated), (applied, activated)


def test_05_unconditional_after_one_step():
    rid = requested("provider/lines")
    assert steps(rid) == [(1, "bureau", "", "waiting")], steps(rid)
    assert waits(ANN) == [rid] and waits(PAT) == []
    denied(PAT, rid, "role-missing", "waits for a bureau approver")
    NODE.sluice(ANN, "request", "approve", rid)
    grant = grants(rid)[0]
    assert state(rid) == "granted" and grant["approvers"] == [ANN], grant
    status, _, body = NODE.ask("provider/lines", {"id_no": PERSON}, headers={"Sluice-Grant": grant["id"]})
    assert status == 200 and b"name" in body, body


def test_05_of_two_versions_the_stricter_word_counts():
    """Neither the version before nor the newest is a way around what the other says."""
    text = json_resource(PROVIDER.port, "buses")
    conditional = "share: {type: conditional, condition: tests only, mode: interface}"
    NODE.publish(text, "provider/buses")
    NODE.publish(text.replace(conditional, "share: {type: unconditional, mode: interface}"), "provider/buses")
    for resource, count in (("provider/buses", 1), ("provider/buses@2", 1), ("provider/buses@1", 3)):
        rid = requested(resource)
        assert len(steps(rid)) == count, (resource, steps(rid))
        NODE.sluice(CHEN, "request", "withdraw", rid)
    NODE.publish(text.replace("abstract: a", "abstract: once more a"), "provider/buses")
    rid = requested("provider/buses@2")
    assert len(steps(rid)) == 3, steps(rid)
    NODE.sluice(CHEN, "request", "withdraw", rid)
    NODE.publish(text.replace(conditional, "share: {type: none, basis: Test Act art. 9}"), "provider/buses")
    for resource in ("provider/buses", "provider/buses@2"):
        code, said = run(CHEN, "request", "create", "--app", "consumer/app", "--resource", f"{resource}:name", "--purpose", "check", "--basis", "b", "--scenario", "s", "--to", until())
        assert code == FAILURE and "provider/buses is not shared" in said, (resource, code, said)


def test_06_conditional_through_three_steps():
    rid = requested("provider/people")
    assert steps(rid) == [(1, "provider", "provider", "waiting"), (1, "department:legal-affairs", "legal-affairs", "next"), (1, "bureau", "", "next")], steps(rid)
    NODE.sluice(PAT, "request", "approve", rid)
    assert (waits(LEO), waits(ANN), waits(PAT)) == ([rid], [], [])
    for who in (ANN, PAT, CORA):
        denied(who, rid, "role-missing", "waits for a department officer of legal-affairs")
    NODE.sluice(LEO, "request", "approve", rid)
    assert not grants(rid) and waits(ANN) == [rid] and acts("request.approve")[-1]["content"]["steps"] == ["department:legal-affairs"]
    NODE.sluice(ANN, "request", "approve", rid)
    assert grants(rid)[0]["approvers"] == [PAT, LEO, ANN], grants(rid)
    assert acts("grant.create")[-1]["content"]["approvers"] == [PAT, LEO, ANN]


def test_07_two_lists_in_one_request_are_two_parts():
    rid = requested("provider/people", "provider/lines")
    assert [s[:2] for s in steps(rid)] == [(1, "provider"), (1, "department:legal-affairs"), (1, "bureau"), (2, "bureau")], steps(rid)
    assert [w["part"] for w in NODE.json(CHEN, "request", "show", rid)["resources"]] == [1, 2]
    NODE.sluice(ANN, "request", "approve", rid)
    assert [g["resource"] for g in grants(rid)] == ["provider/lines"] and state(rid) == "open"
    NODE.sluice(PAT, "request", "approve", rid)
    NODE.sluice(LEO, "request", "return", rid, "--note", "name the article of the law")
    decided = [(a["verb"], a["content"]["parts"], a["content"]["steps"]) for a in NODE.records()
               if a.get("object") == rid and a["verb"] != "request.create"]
    assert decided == [("request.approve", [2], ["bureau"]), ("request.approve", [1], ["provider"]), ("request.return", [1], ["department:legal-affairs"])], decided
    assert state(rid) == "granted" and [s[3] for s in steps(rid)] == ["approved", "returned", "next", "approved"], steps(rid)
    rid = requested("provider/people")
    NODE.sluice(PAT, "request", "approve", rid)
    NODE.sluice(LEO, "request", "return", rid, "--note", "name the article of the law")
    assert state(rid) == "returned" and run(ANN, "request", "approve", rid)[0] == CONFLICT
    rid = requested("provider/people")
    NODE.sluice(PAT, "request", "approve", rid)
    NODE.sluice(CHEN, "request", "withdraw", rid)
    assert [s[3] for s in steps(rid)] == ["approved", "withdrawn", "withdrawn"] and run(LEO, "request", "approve", rid)[0] == CONFLICT


def test_07_parts_are_decided_one_by_one_where_the_person_says_so():
    rid = requested("provider/people", "provider/lines")
    NODE.sluice(PAT, "request", "approve", rid)
    NODE.sluice(LEO, "request", "approve", rid)  # now the bureau has both before it
    NODE.sluice(ANN, "request", "reject", rid, "--part", "1", "--note", "names are not needed for this")
    assert state(rid) == "open" and grants(rid) == [], steps(rid)
    assert run(ANN, "request", "approve", rid, "--part", "1")[0] == CONFLICT  # decided already
    assert run(ANN, "request", "approve", rid, "--part", "0")[0] != 0
    NODE.sluice(ANN, "request", "approve", rid, "--part", "2")
    assert state(rid) == "granted" and [g["resource"] for g in grants(rid)] == ["provider/lines"]
    assert [a["content"]["parts"] for a in acts("request.reject") if a["object"] == rid] == [[1]]


def test_08_nobody_twice_and_nobody_for_themselves():
    holds(unconditional="[bureau]", conditional="[consumer, {department: consumer}, provider, bureau]")
    rid = requested("provider/people")
    denied(CHEN, rid, "four-eyes", "you made this request")
    assert (waits(CHEN), waits(CORA)) == ([], [rid])
    denied(PAT, rid, "role-missing", "waits for a consumer officer of consumer")
    NODE.sluice(CORA, "request", "approve", rid)
    denied(CORA, rid, "four-eyes", "this step waits for another department officer of consumer")  # both her roles fit; she is one person
    denied(CHEN, rid, "four-eyes", "you made this request")
    assert waits(CORA) == [] and NODE.records()[-1]["reason"] == "four-eyes"
    NODE.enrol("person", "consumer/cyd")
    NODE.sluice(SECURITY, "person", "grant-role", "consumer/cyd", "provider-officer")
    for who in ("consumer/cyd", PAT, ANN):
        NODE.sluice(who, "request", "approve", rid)
    assert grants(rid)[0]["approvers"] == [CORA, "consumer/cyd", PAT, ANN]


def test_09_a_policy_changed_midway_changes_nothing_under_way():
    holds(conditional="[provider, {department: legal-affairs}, bureau]")
    old = requested("provider/people")
    NODE.sluice(PAT, "request", "approve", old)
    lines = requested("provider/lines")
    assert [s[1] for s in steps(lines)] == ["provider", "bureau"]  # not listed any more: the default, never fewer eyes
    before = steps(old)
    holds(unconditional="[bureau]", conditional="[bureau]")
    assert steps(old) == before and waits(LEO) == [old] and waits(ANN) == []
    new = requested("provider/people")
    assert [s[1] for s in steps(new)] == ["bureau"]
    NODE.restart()
    denied(ANN, old, "role-missing", "waits for a department officer of legal-affairs")
    NODE.sluice(ANN, "request", "approve", new)
    NODE.sluice(LEO, "request", "approve", old)
    NODE.sluice(ANN, "request", "approve", old)
    assert len(grants(old)[0]["approvers"]) == 3 and len(grants(new)[0]["approvers"]) == 1
    denied(ANN, lines, "role-missing", "waits for a provider officer of provider")
    NODE.sluice(CHEN, "request", "withdraw", lines)


def test_10_a_change_holds_when_it_is_activated_and_a_department_that_went_is_seen():
    global VERSIONS
    NODE.apply(SYSTEM, policy(conditional="[provider]"))
    NODE.apply(SYSTEM, policy(conditional="[{department: legal-affairs}, bureau]"))
    VERSIONS += 2
    code, text = run(SECURITY, "policy", "activate", "approval", "--policy-version", str(VERSIONS - 1))
    assert code == CONFLICT and f"version {VERSIONS - 1} is replaced, version {VERSIONS} is registered" in text, (code, text)
    NODE.sluice(SECURITY, "department", "disable", "legal-affairs")
    code, text = run(SECURITY, "policy", "activate", "approval")
    assert code == CONFLICT and "department legal-affairs" in text, (code, text)
    states = [v["state"] for v in NODE.json(ANN, "policy", "show", "approval")["versions"]]
    assert states == ["replaced", "replaced", "replaced", "active", "replaced", "registered"], states
    rid = requested("provider/people")
    assert [s[1] for s in steps(rid)] == ["bureau"]
    NODE.sluice(CHEN, "request", "withdraw", rid)
    NODE.sluice(SECURITY, "department", "activate", "legal-affairs")
    # Whoever applied it does not activate it, whatever became of them since.
    NODE.sluice(SECURITY, "person", "revoke-role", SYSTEM, "system-admin")
    NODE.sluice(SECURITY, "person", "grant-role", SYSTEM, "security-admin")
    code, text = run(SYSTEM, "policy", "activate", "approval")
    assert code == DENIED and "[four-eyes]" in text and f"you applied version {VERSIONS}" in text, (code, text)
    NODE.sluice(SECURITY, "policy", "activate", "approval")
    assert [s[1] for s in steps(requested("provider/people"))] == ["department:legal-affairs", "bureau"]


def test_11_state_of_the_program_before_goes_on():
    """The schema as it was, with requests under way: the daemon brings it forward, beside a copy, and they go on from where they were."""
    NODE.sluice(SECURITY, "person", "revoke-role", SYSTEM, "security-admin")
    NODE.sluice(SECURITY, "person", "grant-role", SYSTEM, "system-admin")
    holds(unconditional="[provider, bureau]", conditional="[provider, bureau]")
    first, second, third = (requested("provider/people", "provider/lines") for _ in range(3))
    NODE.sluice(PAT, "request", "approve", second)
    NODE.sluice(PAT, "request", "return", third, "--note", "too much")
    before = [steps(r) for r in (first, second, third)]
    NODE.stop()
    path = os.path.join(NODE.dir, "state.db")
    db = sqlite3.connect(path)
    db.executescript(f"""BEGIN;
        CREATE TABLE policy_approval(request TEXT NOT NULL, provider TEXT NOT NULL, step BIGINT NOT NULL, department TEXT NOT NULL, state TEXT NOT NULL,
            decided_by TEXT NOT NULL, note TEXT NOT NULL, at BIGINT NOT NULL, PRIMARY KEY(request, provider, step));
        INSERT INTO policy_approval SELECT request, provider, position, department, state, decided_by, note, at FROM policy_step WHERE request IN ('{first}', '{second}', '{third}');
        DROP TABLE policy_step;
        DELETE FROM policy_wish WHERE request NOT IN ('{first}', '{second}', '{third}');
        DELETE FROM policy_request WHERE id NOT IN ('{first}', '{second}', '{third}');
        ALTER TABLE policy_wish DROP COLUMN part;
        UPDATE schema_version SET version = 1 WHERE prefix = 'policy';
        COMMIT;""")
    db.close()
    NODE.start()
    assert os.path.exists(path + ".before-policy-1")
    assert [steps(r) for r in (first, second, third)] == before
    assert waits(PAT) == [first] and waits(ANN) == [second]
    NODE.sluice(ANN, "request", "approve", second)
    NODE.sluice(PAT, "request", "approve", first)
    NODE.sluice(ANN, "request", "approve", first)
    assert len(grants(first)) == 2 and len(grants(second)) == 2 and state(third) == "returned"


def test_12_the_log_holds():
    assert NODE.verify()[0] == OK
    assert len(acts("policy.apply")) == VERSIONS and len(acts("policy.activate")) == VERSIONS - 1
    NODE.__exit__(None, None, None)
    PROVIDER.close()


if __name__ == "__main__":
    city.main(globals())
