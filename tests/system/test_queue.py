"""A full evidence queue refuses nobody: exchanges, refusals and proofs wait until what it holds is durable, in the order in which they came. A log that hangs
meanwhile is told as what it is, and service resumes by itself."""
import json
import select
import time

import city
from city import Node, Provider, json_resource, PERSON
from disk import Disk, LOG

MANY = 150           # at once: with 64 KiB there is room for some 45 exchanges
SYNC_MS = 40


def test_00_setup():
    global NODE, DISK, KEPT
    NODE = Node("evidence: {queue_bytes: 64k}\nlimits: {refusals: 10000}\n", workers=1)
    NODE.__enter__()
    NODE.city()
    provider = Provider()
    for name, safe in (("people", "true"), ("acted", "false")):
        NODE.publish(json_resource(provider.port, name, safe=safe, timeout="20s").replace("  timeout: 20s\n", "  timeout: 20s\n  limits: {in_flight: 1000}\n"),
                     "provider/" + name)
        NODE.grant("provider/" + name, "name")
    NODE.stop()
    DISK = Disk(NODE)
    NODE.start()
    DISK.scope = LOG
    KEPT = [NODE.connect() for _ in range(MANY)]
    for c in KEPT:
        assert NODE.ask("provider/people", {"id_no": PERSON}, connection=c)[0] == 200


def send_all(resource, items="name"):
    body = json.dumps({"id_no": PERSON, "_items": items})
    for c in KEPT:
        c.request("POST", "/x/" + resource, body, {"Content-Type": "application/json"})


def read_all():
    """{(status, code): how many}"""
    told = {}
    for c in KEPT:
        r = c.getresponse()
        text = r.read()
        key = (r.status, "" if r.status == 200 else json.loads(text)["code"])
        told[key] = told.get(key, 0) + 1
    return told


def waiting():
    return NODE.metric("sluice_evidence_queue_waiting")


def rounds(resource, want, items="name"):
    """Each waited at most twice a round, for its two records; that they waited is seen, and that they do no more."""
    before = NODE.metric("sluice_evidence_queue_waits_total")
    DISK.sync_ms = SYNC_MS
    for _ in range(3):
        send_all(resource, items)
        told = read_all()
        assert told == {want: MANY}, told
    DISK.heal()
    waits = NODE.metric("sluice_evidence_queue_waits_total") - before
    assert 0 < waits <= 3 * 2 * MANY, waits
    city.wait_for(lambda: waiting() == 0, 5)


def test_01_who_finds_it_full_waits():
    rounds("provider/people", (200, ""))


def test_02_so_does_what_must_be_durable_before_it_is_asked():
    rounds("provider/acted", (200, ""))


def test_03_a_refusal_is_answered_as_what_it_is():
    rounds("provider/people", (403, "item-not-granted"), items="age")


def test_04_a_log_that_hangs_is_told_as_what_it_is():
    """Whose records are in the queue wait for the disk; who waits for room is told that there is no log."""
    DISK.hang = 1
    send_all("provider/people")
    sent = time.monotonic()
    stand = city.wait_for(waiting, 3)
    time.sleep(max(0.0, sent + 9 - time.monotonic()))
    owed = waiting()  # an outcome whose provider was asked waits as long as it takes
    answered = len(select.select([c.sock for c in KEPT], [], [], 0)[0])
    DISK.heal()
    told = read_all()
    assert 0 < stand <= MANY and 0 < owed <= MANY - answered, (stand, owed, answered)
    assert told == {(503, "evidence-unavailable"): answered, (200, ""): MANY - answered}, (answered, told)
    assert MANY - 65536 // 640 <= answered < MANY, answered  # intents alone, 640 bytes each in the ring, are what most can be in it
    city.wait_for(lambda: NODE.ask("provider/people", {"id_no": PERSON})[0] == 200)
    city.wait_for(lambda: waiting() == 0, 5)


def test_09_the_log_is_whole():
    assert NODE.verify()[0] == 0
    kinds = {}
    for r in NODE.each_record():
        kinds[r["kind"]] = kinds.get(r["kind"], 0) + 1
    assert kinds["intent"] == kinds["outcome"], kinds
    assert kinds["refused"] == 3 * MANY, kinds
    NODE.__exit__(None, None, None)


if __name__ == "__main__":
    city.main(globals())
