"""Administration through the real daemon and command line: manifests that are wrong, who may do what, life cycles and what
they mean for running applications, the evidence of acts, settings, reload, and the operations listener."""
from http.client import HTTPException, HTTPSConnection
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

import city
from city import Node, Provider, json_resource, free_port, wait_for, PERSON, SLUICED

NODE, PROVIDER, GRANT, NUMBERS = None, None, None, {}
OK, FAILURE, USAGE, NOT_FOUND, DENIED, CONFLICT, UNREACHABLE, UNPROVEN = range(8)
PEOPLE = (("provider/pat", "provider-officer"), ("consumer/chen", "consumer-officer"), ("bureau/ann", "bureau-approver"), ("bureau/audrey", "auditor"),
          ("other/olga", "provider-officer"), ("other/oscar", "consumer-officer"))


def test_00_setup():
    global NODE, PROVIDER
    NODE = Node()
    NODE.__enter__()
    NODE.city()
    NODE.department("other")
    for who, role in PEOPLE[4:]:
        NODE.enrol("person", who)
        NODE.sluice("bureau/security", "person", "grant-role", who, role)
    PROVIDER = Provider()


# ---- helpers ----
def run(who, *args, **more):
    """(exit code, standard output, standard error)"""
    r = NODE.sluice(who, *args, check=False, **more)
    return r.returncode, r.stdout, r.stderr


def apply(who, text, *more, name="m.yaml"):
    path = os.path.join(NODE.top, name)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    return run(who, "apply", "-f", path, *more)


def good(name="people", **more):
    return json_resource(PROVIDER.port, name, **more)


def swap(text, *pairs):
    """Replace each first by its second, which must be there."""
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text


def acts(verb=None):
    return [r for r in NODE.records() if r["kind"] == "act" and (verb is None or r["verb"] == verb)]


def resource_state(name, version=None):
    shown = NODE.json("provider/pat", "resource", "show", name, *(["--resource-version", str(version)] if version else []))
    return shown["state"], shown["version"]


def request(items="provider/people:name,age", who="consumer/chen", app="consumer/app", **more):
    year = int(time.strftime("%Y"))
    args = dict({"purpose": "check", "basis": "Test Act art. 1", "scenario": "a test", "to": f"{year + 1}-01-31"}, **more)
    return run(who, "-o", "json", "request", "create", "--app", app, "--resource", items, *sum((["--" + k, v] for k, v in args.items()), []))


def requested(*args, **more):
    code, out, err = request(*args, **more)
    assert code == OK, err
    return json.loads(out)["id"]


def ask(**more):
    return NODE.ask("provider/people", {"id_no": PERSON}, **more)


def openssl(*args):
    subprocess.run(["openssl", *args], check=True, capture_output=True)


def reason(**more):
    status, _, body = ask(**more)
    return status, json.loads(body).get("code", "granted")


# ---- manifests that are wrong ----
MARK = "¦"  # stands where a problem is expected


def small(kind, **keys):
    return f"kind: {kind}\n" + "".join(f"{k}: {v}\n" for k, v in keys.items())


def bad_manifests():
    """(who, text with marks, what English says at each mark in the order of marks, what Chinese says)"""
    code = Node.uscc(4711)
    system, officer = "bureau/system", "provider/pat"
    return [
        # kinds and forms of documents
        (system, "kind: ¦Nonsense\nid: x\n", ["write Department, App, Person, Resource, CodeTable or Policy"], ["应为 Department"]),
        (system, "kind: Policy\nid: approval\nname: x\napproval: {conditional: ¦[consumer]}\n", ["neither provider nor bureau is among the steps"], ["没有 provider 或 bureau"]),
        (system, "¦- a\n- b\n", ["a map that begins with kind"], ["以 kind"]),
        (system, "¦id: x\ntitle: y\n", ["kind is missing"], ["kind 缺失"]),
        (system, "kind: Department\n  id¦: x\n", ["not YAML", "check the indentation"], ["YAML"]),
        (system, "kind: Department\nid: x\n¦id: y\ntitle: t\ncode: " + code + "\n", ["id"], ["id"]),
        (system, "¦kind: Department\nid: ¦Bad Id\ntitle: t\n¦unknown: 1\n", ["'code' is missing", "must be an identifier", "the keys here are"], ["code", "标识", "unknown"]),
        (system, "kind: Department\nid: x\ntitle: t\ncode: ¦11990100MB000000II\n", ["without I O S V Z"], ["统一社会信用代码"]),
        (system, "kind: App\nid: ¦nopath\ntitle: t\ncontact: ¦{¦persn: consumer/chen}\n", ["not 'nopath'", "'person' is missing", "did you mean 'person'"], ["nopath", "缺少“person”", "是否想写“person”"]),
        (system, "¦kind: Person\nid: consumer/x\n", ["a person needs a name, once"], ["有且只有一个姓名"]),
        (system, "kind: CodeTable\nid: t\ntitle: t\ncodes: ¦[]\n", ["at least one code"], ["至少有一个代码"]),
        (system, "kind: CodeTable\nid: t\ntitle: t\ncodes: [{code: a, title: b}, ¦{code: a, title: c}]\n", ["is listed already"], ["重复"]),
        # what later versions bring is refused by its name
        (officer, good() + "¦parts: []\n", ["'parts' is not supported yet; leave it out"], ["parts"]),
        (officer, swap(good(), ("title: 年龄,", "title: 年龄, ¦compare: exact,")), ["'compare' is not supported yet; leave it out"], ["compare"]),
        (officer, good() + "¦page: {size: 10}\n", ["'page' is not supported yet; leave it out"], ["page"]),
        (officer, swap(good(), ("  records: /rows", "  records: /rows\n  ¦page: {}")), ["'page' is not supported yet; leave it out"], ["page"]),
        # a resource: its shape, its mapping and its connector, all at once
        (officer, swap(good(), ("update: daily", "update: ¦dayly"), ("level: 4", "level: ¦9"), ("mask: id-card, check: id-card", "mask: id-card, check: ¦id-crd"),
                       ("endpoint: http", "endpoint: ¦ftp"), ("safe: true", "safe: ¦perhaps"), ("age: age}", "age: age, ¦height: h}")),
         ["realtime, daily", "between 1 and 4; it is 9", "use one of", "https://host", "true or false", "declare it under items"], ["dayly", "现为 9", "id-crd", "https://主机", "应为 true", "不是数据项"]),
        (officer, swap(good(), ("update: daily", "update: ¦dayly"), ("records: /rows", "records: ¦rows"), ("title: 年龄, type: I", "title: 年龄, type: I, codes: ¦nothing")),
         ["realtime, daily", "begin with /", "apply its CodeTable manifest first"], ["dayly", "请以 / 开头", "请先登记该代码表"]),
        (officer, swap(good(), ("title: 年龄, type: I", "title: 年龄, type: ¦Q")),
         ["type"], ["type"]),
        # what only the register knows: nobody's department, twice
        (system, small("Person", id="¦nowhere/a", name="a") + "---\n" + small("Person", id="¦nowhere/b", name="b") + "---\n" + small("Department", id="d", title="d", code="¦11990100MB0000000X"),
         ["apply its Department manifest first", "check digit"], ["请先登记该部门", "校验"]),
        (officer, swap(good(), ("share: {type: conditional, condition: tests only, mode: interface}", "share: ¦{type: none}"), ("class: base/population", "class: ¦base/poplation")),
         ["needs its legal basis", "class"], ["须写明依据", "poplation"]),
        (officer, good() + "classified: ¦true\n", ["a classified resource cannot be registered"], ["涉密"]),
        (officer, swap(good(), ("tls: {mode: none, reason: a test on loopback}", "tls: ¦{mode: none}")), ["reason"], ["reason"]),
        (officer, swap(good(), ("timeout: 5s", "timeout: ¦quickly"), ("check: id-card, to: json:/id", "check: id-card, to: ¦nowhere:/id")), ["timeout", "json:"], ["timeout", "json:"]),
    ]


def places(text):
    """The text without its marks, and the line and column (from 1) of each."""
    found, clean = [], []
    for number, line in enumerate(text.split("\n"), 1):
        while MARK in line:
            found.append((number, line.index(MARK) + 1))
            line = line.replace(MARK, "", 1)
        clean.append(line)
    return "\n".join(clean), found


def told(stderr, name):
    """{(line, column): message} of what was told about a file."""
    return {(int(m[1]), int(m[2])): m[3] for m in re.finditer(r"^\S*/" + re.escape(name) + r":(\d+):(\d+): (.+)$", stderr, re.M)}


def test_01_ill_formed_manifests_are_told_whole_in_both_languages():
    before, problems = len(acts()), []
    for who, marked, english, chinese in bad_manifests():
        text, expected = places(marked)
        for language, wanted in (("en", english), ("zh", chinese)):
            code, out, err = apply(who, text, "--lang", language)
            got = told(err, "m.yaml")
            if code != FAILURE or sorted(got) != sorted(expected) or out:
                problems.append(f"{language} exit {code}, expected {expected}\n{err}{text[:300]}")
                continue
            said = "\n".join(got[at] for at in sorted(got))
            missing = [w for w in wanted if w not in said]
            if missing or (language == "zh" and not all(re.search("[一-鿿]", m) for m in got.values())):
                problems.append(f"{language} lacks {missing}\n{err}")
    assert not problems, "\n----\n".join(problems)
    assert len(acts()) == before


def test_02_one_wrong_document_stops_all():
    first, second = small("CodeTable", id="fine", title="fine", codes="[{code: a, title: b}]"), small("CodeTable", id="Not Fine", title="x", codes="[]")
    folder = os.path.join(NODE.top, "many")
    os.makedirs(os.path.join(folder, "deep"))
    for name, text in (("a.yaml", first), ("deep/b.yml", second), ("c.json", '{"kind": "CodeTable",\n "id": "x"'), (".hidden.yaml", "kind: ["), ("readme.txt", "no manifest")):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
            f.write(text)
    code, _, err = run("bureau/system", "apply", "-f", folder)
    assert code == FAILURE, err
    assert sorted(told(err, "b.yml")) == [(2, 5), (4, 8)] and told(err, "c.json") and not told(err, "a.yaml"), err
    assert run("bureau/system", "code-table", "show", "fine")[0] == NOT_FOUND
    code, _, err = apply("bureau/system", first + "---\n" + small("CodeTable", id="fine-too", title="x", codes="[{code: 1}]"))
    assert code == FAILURE and list(told(err, "m.yaml"))[0][0] >= 6, err  # the line in the file, not in the document
    assert run("bureau/system", "code-table", "show", "fine")[0] == NOT_FOUND


def test_03_dry_run_apply_and_apply_again():
    text = small("CodeTable", id="gender", title="{zh: 性别, en: gender}", codes="[{code: '1', title: 男}, {code: '2', title: 女}]")
    before = len(acts())
    steps = [(("--dry-run",), text, "created"), ((), text, "created"), ((), text, "unchanged"), ((), "# the same\n" + text, "unchanged"),
             (("--dry-run",), text.replace("女", "女性"), "changed"), ((), text, "unchanged"), ((), text.replace("女", "女性"), "changed")]
    results = []
    for flags, manifest, want in steps:
        code, out, err = apply("bureau/system", manifest, "-o", "json", *flags)
        assert code == OK, err
        results.append((json.loads(out)["items"][0]["result"], want))
    assert all(got == want for got, want in results), results
    made = acts("code-table.apply")
    assert len(acts()) == before + 2 and [a["content"]["result"] for a in made] == ["created", "changed"], made
    assert apply("bureau/system", "", "--lang", "en")[0] == FAILURE
    assert run("bureau/system", "apply", "-f", "-", stdin=text.replace("女", "女性"))[0] == OK


def test_04_exit_codes():
    NODE.publish(good(), "provider/people")
    table = [
        (OK, ("provider/pat", "me")),
        (OK, ("provider/pat", "resource", "list", "--state", "published")),
        (FAILURE, ("provider/pat", "grant", "list", "--limit", "no-number")),
        (USAGE, ("provider/pat", "resorce", "list")),
        (USAGE, ("provider/pat", "resource", "show")),
        (USAGE, ("provider/pat", "resource", "list", "--no-such-option")),
        (USAGE, ("provider/pat", "grant", "revoke", "g1")),  # a note is required
        (NOT_FOUND, ("provider/pat", "resource", "show", "provider/nothing")),
        (NOT_FOUND, ("provider/pat", "grant", "show", "g999")),
        (NOT_FOUND, ("provider/pat", "apply", "-f", "/nowhere/at/all")),
        (DENIED, ("provider/pat", "person", "activate", "consumer/chen")),
        (CONFLICT, ("bureau/ann", "resource", "publish", "provider/people")),
        (CONFLICT, ("bureau/security", "person", "activate", "provider/pat")),
    ]
    wrong = [(want, got[0], args, got[2]) for want, args in table for got in [run(*args)] if got[0] != want]
    assert not wrong, wrong
    identity = ("--ca", NODE.ca, "--cert", NODE.cert("provider/pat"), "--key", NODE.key("provider/pat"))
    assert NODE.run("--server", f"https://127.0.0.1:{free_port()}", *identity, "me", check=False).returncode == UNREACHABLE
    stranger = os.path.join(NODE.top, "stranger.pem")
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", os.devnull, "-subj", "/CN=stranger", "-days", "9", "-out", stranger)
    assert NODE.run("--server", f"https://{NODE.control}", "--ca", stranger, *identity[2:], "me", check=False).returncode == DENIED
    os.chmod(NODE.key("provider/pat"), 0o644)
    r = NODE.run("--server", f"https://{NODE.control}", *identity, "me", check=False)
    os.chmod(NODE.key("provider/pat"), 0o600)
    assert r.returncode != OK and "chmod" in r.stderr, r
    bad = os.path.join(NODE.top, "altered")
    shutil.copytree(os.path.join(NODE.dir, "log"), bad)
    segment = os.path.join(bad, sorted(n for n in os.listdir(bad) if n.endswith(".seg"))[0])
    with open(segment, "r+b") as f:
        text = f.read()
        f.seek(text.index(b"provider/people"))
        f.write(b"P")
    assert NODE.verify(bad)[0] == UNPROVEN


# ---- who may do what ----
def test_05_acts_by_the_wrong_role_are_refused_and_recorded():
    csr = NODE.csr("consumer/app")
    department = small("Department", id="fourth", title="x", code=Node.uscc(5))
    everyone = ["bureau/system", "bureau/security", "bureau/audit", "provider/pat", "consumer/chen", "bureau/ann", "bureau/audrey", "other/olga", "other/oscar"]
    rid = requested()
    table = [  # the act, who may (left out here: it would happen)
        (("apply", "-f", "-"), {"bureau/system"}, department),
        (("apply", "-f", "-"), {"bureau/system"}, small("Person", id="provider/new", name="x")),
        (("apply", "-f", "-"), {"bureau/system"}, small("Policy", id="approval", name="x", approval="{conditional: [bureau]}")),
        (("apply", "-f", "-"), {"provider/pat"}, good()),
        (("department", "activate", "consumer"), {"bureau/security"}, None),
        (("app", "disable", "consumer/app"), {"bureau/security"}, None),
        (("person", "disable", "bureau/audrey"), {"bureau/security"}, None),
        (("person", "grant-role", "other/olga", "bureau-approver"), {"bureau/security"}, None),
        (("person", "revoke-role", "bureau/security", "security-admin"), {"bureau/security"}, None),
        (("cert", "sign", "--app", "consumer/app", "--csr", csr), {"bureau/security"}, None),
        (("cert", "revoke", "01", "--reason", "x"), {"bureau/security"}, None),
        (("resource", "submit", "provider/people"), {"provider/pat"}, None),
        (("resource", "publish", "provider/people"), {"bureau/ann"}, None),
        (("resource", "return", "provider/people"), {"bureau/ann"}, None),
        (("resource", "suspend", "provider/people"), {"provider/pat", "bureau/ann"}, None),
        (("resource", "resume", "provider/people"), {"provider/pat", "bureau/ann"}, None),
        (("resource", "retire", "provider/people"), {"provider/pat", "bureau/ann"}, None),
        (("request", "create", "--app", "consumer/app", "--resource", "provider/people:age", "--purpose", "check", "--basis", "x", "--scenario", "y", "--to", "2099-01-01"),
         {"consumer/chen"}, None),
        (("request", "approve", rid), {"provider/pat"}, None),
        (("request", "reject", rid, "--note", "x"), {"provider/pat"}, None),
        (("request", "return", rid, "--note", "x"), {"provider/pat"}, None),
        (("request", "withdraw", rid), {"consumer/chen"}, None),
        (("audit", "search"), {"bureau/audrey", "bureau/audit"}, None),
    ]
    count = len(acts())
    for args, may, stdin in table:
        for who in everyone:
            if who in may:
                continue
            before = [r["index"] for r in NODE.records()[-1:]][0]
            code, out, err = run(who, *args, stdin=stdin)
            own = who == "consumer/chen" and args[:1] == ("request",)  # a consumer officer may hold a step, but nobody one of their own request
            reason = "four-eyes" if own else "role-missing"
            assert code == DENIED and not out and f"[{reason}]" in err, (who, args, code, out, err)
            last = NODE.records()[-1]
            assert last["index"] > before and last["kind"] == "refused" and last["reason"] == reason and last["status"] == 403, (who, args, last)
            assert last["subject"].endswith("/dept/{}/person/{}".format(*who.split("/"))), (who, last)
    assert len(acts()) == count
    NODE.sluice("consumer/chen", "request", "withdraw", rid)
    assert run("provider/pat", "request", "approve", rid)[0] == CONFLICT


def test_06_roles_that_exclude_each_other():
    table = [("bureau/system", r) for r in ("security-admin", "audit-admin", "auditor", "bureau-approver")]
    table += [("bureau/security", r) for r in ("system-admin", "audit-admin", "provider-officer")]
    table += [("bureau/audit", r) for r in ("system-admin", "security-admin", "consumer-officer")]
    table += [("bureau/audrey", r) for r in ("provider-officer", "consumer-officer", "bureau-approver", "system-admin", "security-admin")]
    table += [("provider/pat", r) for r in ("system-admin", "security-admin", "audit-admin", "auditor")]
    for who, role in table:
        code, _, err = run("bureau/security", "person", "grant-role", who, role)
        assert code == CONFLICT and "one person cannot hold" in err, (who, role, code, err)
    assert run("bureau/security", "person", "grant-role", "provider/pat", "emperor")[0] == FAILURE
    assert run("bureau/security", "person", "grant-role", "provider/nobody", "auditor")[0] == NOT_FOUND


def test_07_nobody_comes_in_before_another_has_let_them():
    """Registered by the system administrator, activated and certified by the security administrator; never by one alone, never by oneself."""
    who = "other/novice"
    NODE.apply("bureau/system", small("Person", id=who, name="Novice"))
    NODE.run("cert", "request", "--key-out", NODE.key(who), "--csr", NODE.csr(who), "--name", who)
    sign = ("cert", "sign", "--person", who, "--csr", NODE.csr(who), "--out", NODE.cert(who))
    code, _, err = run("bureau/security", *sign)
    assert code == CONFLICT and "activate it first" in err, (code, err)
    NODE.sluice("bureau/security", "person", "activate", who)
    NODE.sluice("bureau/security", *sign)
    assert NODE.json(who, "me")["roles"] == []
    for args in (("person", "activate", who), ("person", "grant-role", who, "security-admin")):
        assert run(who, *args)[0] == DENIED, args
    NODE.sluice("bureau/security", "person", "disable", who)
    code, _, err = run(who, "me")
    assert code == DENIED and "[subject-inactive]" in err, (code, err)
    assert run(who, "person", "activate", who)[0] == DENIED
    NODE.sluice("bureau/security", "department", "disable", "other")
    code, _, err = run("other/olga", "me")
    assert code == DENIED and "[subject-inactive]" in err, (code, err)
    NODE.sluice("bureau/security", "department", "activate", "other")
    NODE.sluice("other/olga", "me")


def test_07b_the_last_security_administrator_stays():
    """Nobody ends the only one who could let them in again; another one first, then they may go."""
    last, who = "bureau/security", "other/second"
    bureau = "kind: Department\nid: bureau\ntitle: 大数据局\ncode: " + NODE.uscc(4711) + "\n"
    NODE.apply("bureau/system", bureau)
    for lang, said in (("en", "give the role security-admin to another active person"), ("zh", "请先将 security-admin 角色授予另一名")):
        for args in (("person", "disable", last), ("person", "revoke-role", last, "security-admin"), ("department", "disable", "bureau")):
            code, _, err = run(last, "--lang", lang, *args)
            assert code == CONFLICT and said in err, (args, code, err)
        code, _, err = apply("bureau/system", bureau + "bureau: true\n", "--lang", lang)
        assert code != OK and said in err, (code, err)
    NODE.enrol("person", who)
    NODE.sluice(last, "person", "grant-role", who, "security-admin")
    NODE.apply("bureau/system", bureau + "bureau: true\n")  # to be activated anew, as before
    assert run(last, "me")[0] == DENIED
    NODE.sluice(who, "department", "activate", "bureau")
    NODE.sluice(last, "me")
    NODE.sluice(last, "person", "disable", last)
    NODE.sluice(who, "person", "activate", last)
    NODE.sluice(last, "person", "revoke-role", who, "security-admin")


def test_07c_a_list_of_a_state_that_is_none_says_which_there_are():
    for noun, some in (("department", "registered, active, disabled"), ("app", "registered, active, disabled"), ("person", "registered, active, disabled"),
                       ("resource", "draft, submitted, published, suspended, retired"), ("code-table", "active"), ("policy", "registered, active, replaced"),
                       ("request", "open, granted, rejected, returned, withdrawn"), ("grant", "active, suspended, revoked, returned, expired")):
        for lang, said in (("en", f"there is no state bogus here, but: {some}"), ("zh", f"没有状态 bogus，可用：{some}")):
            code, out, err = run("bureau/security", "--lang", lang, noun, "list", "--state", "bogus")
            assert code == FAILURE and said in err and out == "", (noun, code, out, err)
        for state in some.split(", "):
            assert run("bureau/security", noun, "list", "--state", state)[0] == OK, (noun, state)


def test_08_four_eyes_on_both_steps():
    """No request is approved by its author, no two steps of it by one person, no suspended grant resumed by who asked for it, no
    resource published by who submitted it, whatever roles a person gathers; and approvers of the bureau are people of the bureau."""
    security = "bureau/security"
    NODE.sluice(security, "person", "grant-role", "provider/pat", "consumer-officer")
    for lang, said in (("en", "bureau approvers are people of the data bureau's department: provider/pat is of provider"), ("zh", "主管部门审批人须为大数据主管部门人员")):
        code, _, err = run(security, "--lang", lang, "person", "grant-role", "provider/pat", "bureau-approver")
        assert code == CONFLICT and said in err, (code, err)
    NODE.apply("bureau/system", small("App", id="provider/own", title="own", contact="{person: provider/pat}"))
    rid = requested(who="provider/pat", app="provider/own")
    code, _, err = run("provider/pat", "request", "approve", rid)
    assert code == DENIED and "[four-eyes]" in err, (code, err)
    assert NODE.records()[-1]["reason"] == "four-eyes", NODE.records()[-1]
    NODE.sluice("provider/pat", "request", "withdraw", rid)
    NODE.sluice(security, "person", "revoke-role", "provider/pat", "consumer-officer")
    # Somebody of the bureau with three roles, for what the bureau itself provides and asks for.
    ann, bea = "bureau/ann", "bureau/bea"
    NODE.enrol("person", bea)
    NODE.sluice(security, "person", "grant-role", bea, "bureau-approver")
    for role in ("provider-officer", "consumer-officer"):
        NODE.sluice(security, "person", "grant-role", ann, role)
    NODE.enrol("app", "bureau/own", contact="{person: bureau/ann}")
    assert apply(ann, good("four").replace("id: provider/four", "id: bureau/four").replace("person: provider/pat", "person: bureau/ann"))[0] == OK
    NODE.sluice(ann, "resource", "submit", "bureau/four")
    for lang, said in (("en", "you submitted version 1: another bureau approver publishes it"), ("zh", "版本 1 由本人提交：须由大数据主管部门的其他审批人发布")):
        code, _, err = run(ann, "--lang", lang, "resource", "publish", "bureau/four")
        assert code == DENIED and "[four-eyes]" in err and said in err, (code, err)
    assert NODE.records()[-1]["reason"] == "four-eyes" and resource_state("bureau/four") == ("submitted", 1)
    NODE.sluice(bea, "resource", "publish", "bureau/four")
    rid = requested("bureau/four:age")
    NODE.sluice(ann, "request", "approve", rid)
    code, _, err = run(ann, "--lang", "en", "request", "approve", rid)
    assert code == DENIED and "[four-eyes]" in err and "waits for another bureau approver" in err, (code, err)
    assert NODE.json(ann, "request", "show", rid)["state"] == "open" and not NODE.json(ann, "grant", "list")["items"]
    NODE.sluice("consumer/chen", "request", "withdraw", rid)
    rid = requested("bureau/four:age", who=ann, app="bureau/own")
    code, _, err = run(ann, "--lang", "en", "request", "approve", rid)
    assert code == DENIED and "[four-eyes]" in err and "you made this request" in err, (code, err)
    NODE.sluice(security, "person", "grant-role", bea, "provider-officer")
    NODE.sluice(bea, "request", "approve", rid)
    code, _, err = run("provider/pat", "--lang", "en", "request", "approve", rid)
    assert code == DENIED and "[role-missing]" in err and "waits for a bureau approver" in err, (code, err)
    bob = "bureau/bob"
    NODE.enrol("person", bob)
    NODE.sluice(security, "person", "grant-role", bob, "bureau-approver")
    NODE.sluice(bob, "request", "approve", rid)
    gid = NODE.json(ann, "grant", "list", "--resource", "bureau/four")["items"][0]["id"]
    NODE.sluice(bea, "grant", "suspend", gid, "--note", "x")
    code, _, err = run(ann, "--lang", "en", "grant", "resume", gid, "--note", "x")
    assert code == DENIED and "[four-eyes]" in err and "you asked for this grant" in err, (code, err)
    NODE.sluice(bea, "grant", "resume", gid, "--note", "x")
    NODE.sluice(ann, "grant", "revoke", gid, "--note", "x")  # what narrows is anybody's who has the role
    NODE.sluice(bob, "resource", "retire", "bureau/four")
    for role in ("provider-officer", "consumer-officer"):
        NODE.sluice(security, "person", "revoke-role", ann, role)


def call(port, who, method, path, body=None):
    c = HTTPSConnection("127.0.0.1", port, timeout=20, context=NODE.tls(who))
    c.request(method, path, body=body, headers={"Content-Type": "application/json"} if body else {})
    r = c.getresponse()
    return r.status, json.loads(r.read() or b"null")


def test_09_applications_and_people_keep_to_their_listeners():
    code, problem = call(NODE.control_port, "consumer/app", "GET", "/v1/resources")
    assert (code, problem["code"]) == (403, "role-missing"), problem  # not registered for administration
    NODE.apply("bureau/system", small("App", id="consumer/portal", title="portal", contact="{person: consumer/chen}", administration="true"))
    NODE.sluice("bureau/security", "app", "activate", "consumer/portal")
    NODE.certify("app", "consumer/portal")
    for path in ("resources", "resources/provider/people", "departments", "apps", "code-tables", "code-tables/gender", "policies", "ca", "crl", "audit/checkpoint", "me"):
        c = NODE.tls("consumer/portal")
        with urllib.request.urlopen(f"https://127.0.0.1:{NODE.control_port}/v1/{path}", context=c) as r:
            assert r.status == 200, path
    for method, path in (("GET", "people"), ("GET", "grants"), ("GET", "requests"), ("GET", "certs"), ("GET", "status"), ("POST", "apply"), ("POST", "requests"),
                         ("POST", "grants/g1/revoke"), ("POST", "requests/r1/approve"), ("POST", "audit/search"), ("POST", "certs"), ("POST", "apps/consumer/portal/disable"),
                         ("POST", "resources/provider/people/suspend"), ("POST", "people/provider/pat/roles")):
        code, problem = call(NODE.control_port, "consumer/portal", method, "/v1/" + path, "{}" if method == "POST" else None)
        assert (code, problem["code"]) == (403, "role-missing"), (method, path, code, problem)
    before = PROVIDER.seen
    for who in ("bureau/audrey", "provider/pat", "consumer/chen", "bureau/system"):
        status, _, body = ask(who=who)
        assert status == 401 and json.loads(body)["code"] == "certificate-unknown", (who, status, body)
    assert PROVIDER.seen == before


# ---- life cycles ----
def test_10_a_resource_from_draft_to_its_second_version():
    global GRANT
    text = good("cycle", path="/cycle")
    assert apply("provider/pat", text)[0] == OK and resource_state("provider/cycle") == ("draft", 1)
    asked = lambda: NODE.reason("provider/cycle", {"id_no": PERSON})
    assert asked() == (404, "not-published")
    assert request("provider/cycle:name")[0] == FAILURE  # nothing published to ask for
    assert run("bureau/ann", "resource", "publish", "provider/cycle")[0] == CONFLICT
    NODE.sluice("provider/pat", "resource", "submit", "provider/cycle")
    assert asked() == (404, "not-published")
    published = lambda version: call(NODE.control_port, "bureau/ann", "POST", "/v1/resources/provider/cycle/publish", json.dumps(version))[0]
    # Published is what was looked at: the version that is named, and submitted.
    draft = swap(text, ("abstract: a", "abstract: not yet the mended"))
    assert apply("provider/pat", draft)[0] == OK and resource_state("provider/cycle") == ("draft", 2)
    for lang, said in (("en", "version 2 is draft, version 1 is submitted: look at that one"), ("zh", "已提交的是版本 1：请先查看该版本再予发布")):
        code, _, err = run("bureau/ann", "--lang", lang, "resource", "publish", "provider/cycle")
        assert code == CONFLICT and said in err, (code, err)
    assert run("provider/pat", "resource", "submit", "provider/cycle")[0] == CONFLICT  # one at a time
    assert (published({}), published({"version": 0}), published({"version": 2}), published({"version": 9})) == (400, 400, 409, 404)
    NODE.sluice("bureau/ann", "resource", "return", "provider/cycle")
    assert resource_state("provider/cycle") == ("draft", 2)
    assert apply("provider/pat", swap(text, ("abstract: a", "abstract: the mended")))[0] == OK and resource_state("provider/cycle") == ("draft", 2)
    NODE.sluice("provider/pat", "resource", "submit", "provider/cycle")
    assert published({"version": 1}) == 409 and asked() == (404, "not-published")
    NODE.sluice("bureau/ann", "resource", "return", "provider/cycle")
    assert apply("provider/pat", swap(text, ("abstract: a", "abstract: the well mended")))[0] == OK
    assert resource_state("provider/cycle") == ("draft", 3)  # version 2 was looked at once: its number is never used for anything else
    NODE.sluice("provider/pat", "resource", "submit", "provider/cycle")
    NODE.sluice("bureau/ann", "resource", "publish", "provider/cycle", "--resource-version", "3")
    assert resource_state("provider/cycle") == ("published", 3) and asked() == (403, "no-grant")
    GRANT = NODE.grant("provider/cycle", "name,age")
    xml = {"Accept": "application/xml"}
    form = lambda: NODE.ask("provider/cycle", {"id_no": PERSON}, headers=xml)
    assert b"urn:sluice:provider:cycle:3" in form()[2]
    second = swap(text, ("abstract: a", "abstract: the mended"), ("title: 姓名, type: C, length: 50, level: 3, mask: name}", "title: 姓名, type: C, length: 60, level: 3, mask: name}"))
    assert apply("provider/pat", second)[0] == OK and resource_state("provider/cycle") == ("draft", 4)
    assert b"urn:sluice:provider:cycle:3" in form()[2]  # a draft changes nothing for those who are granted
    NODE.sluice("provider/pat", "resource", "submit", "provider/cycle")
    NODE.sluice("bureau/ann", "resource", "publish", "provider/cycle")
    assert resource_state("provider/cycle") == ("published", 4)
    status, head, body = form()
    assert status == 200 and b"urn:sluice:provider:cycle:3" in body, body  # the grant names the version it was made for
    NUMBERS["cycle"] = NODE.grant("provider/cycle", "name")
    status, _, body = NODE.ask("provider/cycle", {"id_no": PERSON}, headers=dict(xml, **{"Sluice-Grant": NUMBERS["cycle"]}))
    assert status == 200 and b"urn:sluice:provider:cycle:4" in body, body
    status, _, body = NODE.ask("provider/cycle", {"id_no": PERSON}, headers={"Sluice-Grant": GRANT})
    assert status == 200 and b'"age":36' in body, body
    shown = NODE.json("provider/pat", "resource", "show", "provider/cycle")
    assert [v["version"] for v in shown["versions"]] == [1, 3, 4], shown["versions"]


def test_11_suspend_resume_retire():
    mine = {"Sluice-Grant": GRANT}
    cycle = lambda: NODE.reason("provider/cycle", {"id_no": PERSON}, headers=mine)
    connection = NODE.connect()
    over = lambda: NODE.ask("provider/cycle", {"id_no": PERSON}, headers=mine, connection=connection)[0]
    assert over() == 200
    NODE.sluice("provider/pat", "resource", "suspend", "provider/cycle")
    assert cycle() == (503, "resource-suspended") and over() == 503  # at once, on a connection that was open before
    assert run("provider/pat", "resource", "suspend", "provider/cycle")[0] == CONFLICT
    NODE.sluice("provider/pat", "resource", "resume", "provider/cycle")
    assert cycle()[0] == 200
    NODE.sluice("bureau/ann", "resource", "retire", "provider/cycle")
    assert cycle() == (404, "not-published")
    for verb in ("submit", "retire", "resume"):
        assert run("provider/pat", "resource", verb, "provider/cycle")[0] == CONFLICT, verb
    assert run("bureau/ann", "resource", "publish", "provider/cycle", "--resource-version", "3")[0] == CONFLICT
    code, _, err = apply("provider/pat", good("cycle", path="/cycle"), "--lang", "en")
    assert code != OK and "provider/cycle is retired for good" in err, (code, err)
    assert [a["verb"] for a in acts() if a["object"] == "provider/cycle"][-3:] == ["resource.suspend", "resource.resume", "resource.retire"]


def test_12_applications_on_and_off_without_a_restart():
    global GRANT
    GRANT = NODE.grant("provider/people", "name,age")
    assert reason()[0] == 200
    for disable, activate in ((("app", "disable", "consumer/app"), ("app", "activate", "consumer/app")),
                              (("department", "disable", "consumer"), ("department", "activate", "consumer"))):
        seen = PROVIDER.seen
        NODE.sluice("bureau/security", *disable)
        assert reason() == (403, "subject-inactive"), disable
        assert PROVIDER.seen == seen
        NODE.sluice("bureau/security", *activate)
        assert reason()[0] == 200, activate
    certs = NODE.json("bureau/security", "cert", "list", "--subject", "consumer/app")["items"]
    connection = NODE.connect()
    assert ask(connection=connection)[0] == 200
    NODE.sluice("bureau/security", "cert", "revoke", certs[0]["serial"], "--reason", "a test")
    try:
        status = ask(connection=connection)[0]
    except (OSError, HTTPException):  # closed before or behind the answer
        status = 401
    assert status == 401 and reason() == (401, "certificate-revoked")
    os.unlink(NODE.key("consumer/app"))
    NODE.certify("app", "consumer/app")
    assert reason()[0] == 200


def test_13_a_grant_from_birth_to_return():
    grant = ("grant",)
    provider = lambda verb, note="a note": NODE.sluice("provider/pat", *grant, verb, GRANT, "--note", note)
    provider("suspend", "under review")
    assert reason() == (403, "suspended")
    assert run("provider/pat", "grant", "suspend", GRANT, "--note", "x")[0] == CONFLICT
    provider("resume")
    assert reason()[0] == 200
    for who, verb in (("other/olga", "revoke"), ("other/olga", "suspend"), ("consumer/chen", "revoke"), ("bureau/audrey", "revoke"), ("bureau/system", "suspend"),
                      ("other/oscar", "give-back"), ("provider/pat", "give-back")):
        code, _, err = run(who, "grant", verb, GRANT, "--note", "x")
        assert code == DENIED and "[role-missing]" in err, (who, verb, code, err)
    assert reason()[0] == 200
    code, _, err = run("provider/pat", "grant", "revoke", GRANT, "--note", "about " + PERSON)
    assert code == FAILURE and PERSON not in err, (code, err)
    second = NODE.grant("provider/people", "name")
    NODE.sluice("consumer/chen", "grant", "give-back", second, "--note", "not needed")
    shown = NODE.json("consumer/chen", "grant", "show", second)
    assert shown["state"] == "returned" and shown["changed_by"] == "consumer/chen" and len(shown["versions"]) == 2, shown
    status, code = reason(headers={"Sluice-Grant": second})
    assert status == 403, (status, code)
    for verb in ("revoke", "suspend", "resume"):
        assert run("provider/pat", "grant", verb, second, "--note", "x")[0] == CONFLICT, verb
    assert [r["verb"] for r in acts() if r["object"] == GRANT] == ["grant.create", "grant.suspend", "grant.resume"]


def test_14_requests_that_come_to_nothing():
    rid = requested()
    assert run("provider/pat", "request", "reject", rid)[0] == USAGE  # a note is required
    NODE.sluice("provider/pat", "request", "reject", rid, "--note", "no legal basis for this")
    shown = NODE.json("consumer/chen", "request", "show", rid)
    assert shown["state"] == "rejected" and not shown["grants"], shown
    assert [a for a in shown["approvals"] if a["state"] == "rejected"][0]["note"] == "no legal basis for this", shown
    for who in ("provider/pat", "bureau/ann"):
        assert run(who, "request", "approve", rid)[0] == CONFLICT, who
    record = acts("request.reject")[-1]
    assert record["object"] == rid and record["content"]["note"] == "no legal basis for this", record
    rid = requested()
    NODE.sluice("provider/pat", "request", "approve", rid)
    NODE.sluice("bureau/ann", "request", "return", rid, "--note", "name the law")
    assert NODE.json("consumer/chen", "request", "show", rid)["state"] == "returned"
    wrong = [dict(items="provider/people:salary"), dict(items="provider/nothing:name"), dict(basis=""), dict(to="2001-01-01"), dict(purpose="Not A Code"),
             dict(scenario="for " + PERSON), dict(hours="00:00-00:00"), dict(hours="09:00-09:00")]
    count = len(acts())
    for one in wrong:
        code, _, err = request(**one)
        assert code in (FAILURE, USAGE) and PERSON not in err, (one, code, err)
    assert len(acts()) == count


# ---- evidence of acts ----
def test_20_the_log_answers_on_whose_authority():
    created = [a for a in acts("grant.create") if a["object"] == GRANT][0]
    content = created["content"]
    want = dict(app="consumer/app", resource="provider/people", items=["name", "age"], purposes=["check"], basis="Test Act art. 1", scenario="a test", author="consumer/chen",
                approvers=["provider/pat", "bureau/ann"])
    assert {k: content.get(k) for k in want} == want and content["window"]["to"], content
    assert created["author"].endswith("/dept/bureau/person/ann") and len(created["certificate"]) == 64, created
    asked = [a for a in acts("request.create") if a["object"] == content["request"]][0]
    assert asked["author"].endswith("/dept/consumer/person/chen") and asked["content"]["basis"] == "Test Act art. 1", asked
    steps = [(a["author"].rsplit("/", 1)[1], a["content"]["steps"]) for a in acts("request.approve") if a["object"] == content["request"]]
    assert steps == [("pat", ["provider"]), ("ann", ["bureau"])], steps
    for verb in ("department.apply", "department.activate", "app.apply", "app.activate", "app.disable", "person.apply", "person.activate", "person.grant-role", "person.revoke-role",
                 "cert.sign", "cert.revoke", "resource.apply", "resource.submit", "resource.publish", "resource.return", "request.withdraw", "grant.give-back"):
        assert acts(verb) and all(a["author"].startswith("spiffe://") for a in acts(verb)), verb


def test_21_searching_is_on_the_record_without_the_value():
    assert ask()[0] == 200
    code, out, err = run("bureau/audrey", "-o", "json", "audit", "search", "--person", "-", stdin=PERSON + "\n")
    assert code == OK, err
    found = json.loads(out)
    found = [r["record"] for r in found["rows"]]
    assert found and all(r["kind"] in ("intent", "refused") for r in found), found
    last = acts("audit.search")[-1]
    assert last["author"].endswith("/person/audrey") and re.fullmatch("[0-9a-f]{32}", last["content"]["pseudonym"]), last
    code, _, err = run("bureau/audrey", "audit", "search", "--case", PERSON)
    assert code in (FAILURE, USAGE) and PERSON not in err, (code, err)
    assert PERSON not in json.dumps(NODE.records(), ensure_ascii=False)
    with open(NODE.log_path, encoding="utf-8") as f:
        assert PERSON not in f.read()


def test_22_a_restart_keeps_grants_and_numbers():
    numbers = [a["act"] for a in acts()]
    NODE.restart()
    assert reason()[0] == 200
    NODE.sluice("provider/pat", "grant", "suspend", GRANT, "--note", "over a restart")
    NODE.kill()
    NODE.start()
    assert reason() == (403, "suspended")
    NODE.sluice("provider/pat", "grant", "resume", GRANT, "--note", "again")
    assert reason()[0] == 200
    after = [a["act"] for a in acts()]
    assert after == list(range(1, len(after) + 1)) and len(after) == len(numbers) + 2, after
    assert [r["index"] for r in NODE.records()] == list(range(len(NODE.records())))


# ---- the operations listener ----
def operations(path, method="GET"):
    try:
        with urllib.request.urlopen(urllib.request.Request(f"http://{NODE.operations}{path}", method=method), timeout=10) as r:
            return r.status, r.headers, r.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, e.headers, e.read().decode()


def samples(text):
    """The text form of Prometheus, strictly: every family has its HELP and TYPE first, once; no sample twice."""
    families, values, current = {}, {}, None
    assert text.endswith("\n")
    for line in text.splitlines():
        head = re.fullmatch(r"# (HELP|TYPE) ([a-z_:][a-z0-9_:]*) (.+)", line)
        if head and head[1] == "HELP":
            assert head[2] not in families, line
            current = head[2]
            families[current] = None
        elif head:
            assert head[2] == current and families[current] is None and head[3] in ("counter", "gauge", "histogram"), line
            families[current] = head[3]
        else:
            m = re.fullmatch(r'([a-z_:][a-z0-9_:]*)(\{(?:[a-z_]+="(?:[^"\\\n]|\\.)*",?)*\})? (\d+(?:\.\d+)?)', line)
            assert m, line
            base = re.sub("_(bucket|sum|count)$", "", m[1]) if families[current] == "histogram" else m[1]
            assert base == current and m[1] + (m[2] or "") not in values, line
            assert families[current] != "counter" or m[1].endswith("_total"), line
            values[m[1] + (m[2] or "")] = float(m[3])
    return families, values


def test_30_health_and_metrics():
    for path, status, want in (("/livez", 200, "ok\n"), ("/readyz", 200, "ready\n"), ("/nothing", 404, "/metrics"), ("/metrics/", 404, "")):
        got = operations(path)
        assert got[0] == status and want in got[2], (path, got)
    verbose = operations("/readyz?verbose")[2]
    for check in ("serving", "evidence", "evidence-disk", "state-disk", "revocation-list", "certificate", "acts"):
        assert f"[+] {check}: " in verbose, verbose
    assert operations("/livez", "POST")[0] == 405
    status, head, text = operations("/metrics")
    assert status == 200 and head["Content-Type"].startswith("text/plain; version=0.0.4")
    families, before = samples(text)
    assert ask()[0] == 200 and reason(headers={"Sluice-Purpose": "other"})[0] == 403 and run("provider/pat", "me")[0] == OK
    later = samples(operations("/metrics")[2])[1]
    up = lambda name: later.get(name, 0) - before.get(name, 0)
    for name in ('sluice_exchanges_total{reason="granted"}', 'sluice_exchanges_total{reason="purpose-not-granted"}', "sluice_rows_total", 'sluice_api_answers_total{class="2xx"}'):
        assert up(name) == 1, (name, up(name))
    for name in ("sluice_provider_bytes_total", "sluice_consumer_bytes_total", "sluice_evidence_records", "sluice_evidence_commits_total", "sluice_connections_opened_total"):
        assert up(name) > 0, name
    assert up("sluice_exchange_duration_seconds_count") == 2
    assert all(later[k] >= v for k, v in before.items() if families.get(k.split("{")[0]) == "counter"), "a counter went down"
    labels = set(re.findall(r'([a-z_]+)="', text))
    assert labels <= {"reason", "le", "class", "version"}, labels
    assert not re.search("provider/|consumer/|spiffe|chen|" + PERSON, text)


# ---- settings and reload ----
def settings_path():
    return os.path.join(NODE.dir, "sluice.yaml")


def log_since(mark):
    with open(NODE.log_path, encoding="utf-8") as f:
        f.seek(mark)
        return f.read()


def reload():
    """SIGHUP; what the daemon's log says about it."""
    mark = os.path.getsize(NODE.log_path)
    os.kill(NODE.pid, signal.SIGHUP)
    wait_for(lambda: '"reloaded"' in log_since(mark))
    return log_since(mark)


class changed:
    """A file with other text, for as long as the block lasts."""

    def __init__(self, path, text):
        self.path, self.text = path, text

    def __enter__(self):
        with open(self.path, encoding="utf-8") as f:
            self.was = f.read()
        self.write(self.text)

    def __exit__(self, *_):
        self.write(self.was)

    def write(self, text):
        with open(self.path, "w", encoding="utf-8") as f:
            f.write(text)


def settings_text():
    with open(settings_path(), encoding="utf-8") as f:
        return f.read()


def test_40_a_reload_with_an_error_keeps_what_is_in_force():
    line = settings_text().count("\n") + 1
    for text, want in ((settings_text() + "nonsense: 1\n", ("unknown key 'nonsense'", f":{line}:1")), (settings_text() + "  bad: [\n", ("not YAML", f":{line}")),
                       (swap(settings_text(), ("workers: 2", "workers: 3")), ("'workers' changes only with a restart",))):
        with changed(settings_path(), text):
            said = reload()
            assert all(w in said for w in want) and '"problems":"yes"' in said, (want, said)
            assert reason()[0] == 200 and run("provider/pat", "me")[0] == OK
    said = reload()
    assert '"problems":"no"' in said, said


def served_serial(port, who):
    with socket.create_connection(("127.0.0.1", port), 10) as s, NODE.tls(who).wrap_socket(s) as t:
        der = t.getpeercert(binary_form=True)
    return der


def new_gateway_certificate(out):
    """The issuing authority's own, made with openssl: renewing the gateway's certificate is an operator's work with files."""
    ca = os.path.join(NODE.dir, "ca")
    with open(os.path.join(NODE.dir, "keys", "gateway.pem"), encoding="ascii") as f:
        blocks = re.findall(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n", f.read(), re.S)
    extensions = os.path.join(NODE.top, "ext.cnf")
    with open(extensions, "w", encoding="ascii") as f:
        f.write("basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth,clientAuth\n"
                "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\nsubjectAltName=DNS:localhost,IP:127.0.0.1\n")
    csr = os.path.join(NODE.top, "gateway.csr")
    openssl("req", "-new", "-key", os.path.join(NODE.dir, "keys", "gateway.key"), "-subj", "/CN=n1", "-out", csr)
    made = os.path.join(NODE.top, "gateway.pem")
    openssl("x509", "-req", "-in", csr, "-CA", os.path.join(ca, "ca.pem"), "-CAkey", os.path.join(ca, "ca.key"), "-set_serial", "0x7777777777777777", "-days", "30", "-extfile", extensions, "-out", made)
    with open(made, encoding="ascii") as f:
        text = f.read() + "".join(blocks[1:])
    with open(out, "w", encoding="ascii") as f:
        f.write(text)


def test_41_certificates_are_reloaded():
    path = os.path.join(NODE.dir, "keys", "gateway.pem")
    was = {port: served_serial(port, who) for port, who in ((NODE.data_port, "consumer/app"), (NODE.control_port, "provider/pat"))}
    connection = NODE.connect()
    assert ask(connection=connection)[0] == 200
    with changed(path, "no certificate\n"):
        said = reload()
        assert '"problems":"yes"' in said and "gateway.pem" in said, said
        assert served_serial(NODE.data_port, "consumer/app") == was[NODE.data_port]
    new_gateway_certificate(path)
    assert '"problems":"no"' in reload()
    for port, who in ((NODE.data_port, "consumer/app"), (NODE.control_port, "provider/pat")):
        wait_for(lambda: served_serial(port, who) != was[port])
    assert ask(connection=connection)[0] == 200  # an open connection goes on
    assert reason()[0] == 200


def daemon(*args, timeout=20, settings=None, lang="C.UTF-8"):
    """A sluiced that is expected to end by itself: (exit code, output)."""
    r = subprocess.run([SLUICED, "-c", settings or settings_path(), *args], capture_output=True, text=True, timeout=timeout, env=dict(NODE.env, LC_ALL=lang))
    return r.returncode, r.stdout + r.stderr


def test_42_one_daemon_to_a_directory():
    code, text = daemon()
    assert code == 1 and re.search("another|in use|already|locked", text) and NODE.dir in text, (code, text)
    assert reason()[0] == 200


def test_43_settings_that_are_wrong_stop_the_start():
    NODE.stop()
    path, text = settings_path(), settings_text()
    last = text.count("\n") + 1
    table = [
        (text + "nonsense: 1\n", [f"sluice.yaml:{last}:1: ", "nonsense"]),
        (text + "limits: {exchanges: many}\n", [f"sluice.yaml:{last}:21: ", "exchanges"]),
        (text + "limits: {exchanges: 0, wrongs: 1}\nwrong: x\n", [f"sluice.yaml:{last}:21: ", f"sluice.yaml:{last}:24: ", f"sluice.yaml:{last + 1}:1: "]),
        (swap(text, ("workers: 2", "workers: -1")), ["sluice.yaml:", "workers"]),
        (re.sub(r"(?m)^  operations: .*$", "  operations: 0.0.0.0:0", text), ["loopback"]),
        (re.sub(r"(?m)^  data: .*$", "  data: everywhere", text), ["127.0.0.1:8443"]),
        (text + "time_zone: Peking\n", [f"sluice.yaml:{last}:", "+08:00"]),
        (re.sub(r"(?m)^node: .*$", "", text), ["node"]),
    ]
    for wrong, want in table:
        with changed(path, wrong):
            for args in ((), ("--check",)):
                code, said = daemon(*args)
                assert code == 1 and all(w in said for w in want), (want, code, said)
            code, said = daemon(lang="zh_CN.UTF-8")
            assert code == 1 and re.search("[一-鿿]", said), said
    assert daemon(settings="/nowhere/sluice.yaml")[0] == 1
    assert subprocess.run([SLUICED], capture_output=True, timeout=10).returncode == 2
    assert subprocess.run([SLUICED, "--wrong"], capture_output=True, timeout=10).returncode == 2


def test_44_keys_that_others_can_read_stop_the_start():
    for name in ("keys/gateway.key", "keys/log.key", "keys/salt.key", "keys/name.key", "ca/ca.key"):
        path = os.path.join(NODE.dir, name)
        for mode, args in ((0o640, ()), (0o604, ("--check",))):
            os.chmod(path, mode)
            code, text = daemon(*args)
            os.chmod(path, 0o600)
            assert code == 1 and f"chmod 600 {path}" in text, (path, args, code, text)


def test_45_a_taken_port_is_named():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        port = taken.getsockname()[1]
        for listener in ("data", "control", "operations"):
            with changed(settings_path(), re.sub(rf"(?m)^  {listener}: .*$", f"  {listener}: 127.0.0.1:{port}", settings_text())):
                code, text = daemon()
                assert code == 1 and f"cannot listen on 127.0.0.1 port {port}" in text and "in use" in text, (listener, code, text)
    NODE.start()
    assert reason()[0] == 200


# ---- sluice init ----
def test_46_as_many_workers_as_a_large_machine_has():
    with city.Node(workers=70) as node:
        node.city()
        assert node.json("bureau/ann", "me")["id"] == "bureau/ann"


def test_50_a_new_node():
    top = tempfile.mkdtemp(prefix="sluice-test-", dir=NODE.top)
    where = os.path.join(top, "node")
    init = ("init", "--dir", where, "--node", "n2", "--trust-domain", "two.example")
    os.makedirs(where)
    with open(os.path.join(where, "mine.txt"), "w", encoding="ascii") as f:
        f.write("keep")
    r = NODE.run(*init, check=False)
    assert r.returncode == CONFLICT and "not empty" in r.stderr and os.listdir(where) == ["mine.txt"] and os.listdir(top) == ["node"], (r, os.listdir(top))
    os.unlink(os.path.join(where, "mine.txt"))
    for wrong in (("--node", "Not A Name"), ("--trust-domain", "UPPER"), ("--admin", "emperor=bureau/li")):
        args = [a for pair in zip(init[1::2], init[2::2]) if pair[0] != wrong[0] for a in pair]
        assert NODE.run("init", *args, *wrong, check=False).returncode == USAGE, wrong
        assert os.listdir(where) == []
    NODE.run(*init)
    assert NODE.run(*init, check=False).returncode == CONFLICT
    private, loose = [], []
    for folder, names, files in os.walk(where):
        loose += [os.path.join(folder, n) for n in names if stat.S_IMODE(os.stat(os.path.join(folder, n)).st_mode) & 0o022]
        for name in files:
            path = os.path.join(folder, name)
            with open(path, "rb") as f:
                secret = b"PRIVATE KEY" in f.read() or name.endswith(".key") or name.startswith("state.db")
            if secret:
                private.append(path)
                loose += [path] if stat.S_IMODE(os.stat(path).st_mode) != 0o600 else []
    assert not loose and len(private) >= 9, (loose, private)
    root = [p for p in private if "root" in os.path.basename(p)]
    assert len(root) == 1 and os.path.dirname(root[0]) not in (os.path.join(where, "ca"), os.path.join(where, "keys")), root
    os.rename(os.path.dirname(root[0]), os.path.join(top, "root-kept-elsewhere"))  # the node does without it
    settings = os.path.join(where, "sluice.yaml")
    code, text = daemon("--check", settings=settings)
    assert code == 0 and "good" in text, (code, text)
    code, text = daemon("--check", "-v", settings=settings)
    for key in ("node: n2", "trust_domain: two.example", "time_zone:", "workers:", "data: 127.0.0.1:8443", "certificate:", "segment_bytes:", "reserve_bytes:", "strangers_all:",
                "handshake:", "drain:"):
        assert key in text, (key, text)
    assert "设置无误" in daemon("--check", settings=settings, lang="zh_CN.UTF-8")[1]


def test_98_the_log_verifies():
    NODE.stop()
    code, text = NODE.verify()
    assert code == OK, text


def test_99_teardown():
    PROVIDER.close()
    NODE.__exit__(None, None, None)


if __name__ == "__main__":
    city.main(globals())
