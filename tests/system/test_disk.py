"""Disks that fail, hang, are slow, full of nothing but errors, read-only, or put back from another day; and clocks that jump. Nothing is released without
evidence, what narrows takes effect all the same, service resumes by itself, and a start that cannot be right is refused with the remedy."""
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request

import city
import load
from city import FULL, Node, PERSON
from disk import Disk, DATABASE, EIO, EROFS, KEYS, LOG, STATE

DAY = 86400_000
ASK = ("provider/people", {"id_no": PERSON})


def test_00_setup():
    global NODE, DISK
    NODE = Node("limits: {drain: 1s}\n")
    NODE.__enter__()
    load.City(NODE)
    NODE.stop()
    DISK = Disk(NODE)
    NODE.start()


def answers(timeout=20):
    """(status, code) of one exchange, or why there was none."""
    try:
        status, _, body = NODE.ask(*ASK, timeout=timeout)
        return status, json.loads(body).get("code")
    except OSError as e:
        return 0, repr(e)


def a_grant():
    return NODE.grant("provider/acted", "name")


def state_of(grant):
    return NODE.json("bureau/ann", "grant", "show", grant)["state"]


def livez(seconds=2):
    with urllib.request.urlopen(f"http://{NODE.operations}/livez", timeout=seconds) as r:
        return r.status


def wants_more():
    """An act that widens, refused or not: the exit code of the command."""
    return NODE.sluice("consumer/chen", "request", "create", "--app", "consumer/app", "--resource", "provider/acted:name", "--purpose", "check", "--basis", "b",
                       "--scenario", "s", "--from", "2026-01-01", "--to", "2036-01-01", check=False).returncode


def on_record(grant):
    return any(r["kind"] == "act" and r.get("object") == grant and r["verb"] == "grant.revoke" for r in NODE.records())


def log_fails(**faults):
    """While the log's disk fails: refused with its own code, a revocation holds; afterwards all is well again by itself and on record, to the number."""
    grant = a_grant()
    before, refused = len(NODE.records()), []

    def is_refused():
        got = answers()
        refused.append(got)
        return got == (503, "evidence-unavailable")
    DISK.scope = LOG
    for name, value in faults.items():
        setattr(DISK, name, value)
    try:
        city.wait_for(is_refused, 20)
        assert livez() == 200
        assert wants_more() != 0
        NODE.sluice("bureau/ann", "grant", "revoke", grant, "--note", "while the disk fails")
        assert state_of(grant) == "revoked"
        assert is_refused()
    finally:
        DISK.heal()
    city.wait_for(lambda: not is_refused(), 20)
    assert refused[-1] == (200, None)
    city.wait_for(lambda: on_record(grant), 20)
    turned_away = sum(1 for r in refused if r[0] == 503)

    def told():
        return sum(sum(r["counts"].values()) for r in NODE.records()[before:] if r["kind"] == "gap")
    city.wait_for(lambda: told() >= turned_away, 5)
    assert told() == turned_away, (told(), turned_away)
    city.wait_for(lambda: NODE.verify()[0] == 0, 10)


def segments():
    return sorted(n for n in os.listdir(os.path.join(NODE.dir, "log")) if n.endswith(".seg"))


def test_01_writes_of_the_log_fail():
    log_fails(write_errno=EIO)


def test_02_syncs_of_the_log_fail():
    before = segments()
    log_fails(sync_errno=EIO)
    after = segments()
    assert len(after) > len(before), "after a failed sync nothing in a file is trusted: there must be a new one"
    first = int(after[-1][:-4])
    head = [r for r in NODE.records() if r["index"] == first][0]
    assert head["kind"] == "segment", head


def test_03_one_failed_sync_is_made_good_at_once():
    before = segments()
    DISK.sync_errno, DISK.sync_every, DISK.scope = EIO, 5, LOG
    try:
        got = [answers() for _ in range(20)]
    finally:
        DISK.heal()
    assert (200, None) in got and all(g == (200, None) or g[0] == 503 for g in got), got
    assert len(segments()) > len(before)
    city.wait_for(lambda: answers() == (200, None), 10)


def test_04_the_log_became_read_only():
    log_fails(write_errno=EROFS)


def test_05_the_state_fails():
    """No act without state; exchanges go on, but for a checkpoint that is due meanwhile: the keeper signs nothing that it cannot note."""
    DISK.scope = STATE
    grant = a_grant()
    for fault in ("write_errno", "sync_errno"):
        setattr(DISK, fault, EIO)
        try:
            r = NODE.sluice("bureau/ann", "grant", "suspend", grant, "--note", "n", check=False)
            got = answers()
        finally:
            DISK.heal()
        assert r.returncode != 0, r.stdout
        assert got in ((200, None), (503, "evidence-unsigned")), got
        city.wait_for(lambda: answers() == (200, None), 10, 0.2)
        assert state_of(grant) == "active"
    NODE.sluice("bureau/ann", "grant", "revoke", grant, "--note", "again")
    assert state_of(grant) == "revoked"


def test_06_a_slow_disk_blocks_nobody():
    DISK.scope, DISK.sync_ms = LOG, 300
    got, took, control = [], [], []

    def one():
        began = time.monotonic()
        got.append(answers())
        took.append(time.monotonic() - began)
    try:
        began = time.monotonic()
        threads = [threading.Thread(target=one) for _ in range(24)]
        for t in threads:
            t.start()
        for _ in range(10):
            at = time.monotonic()
            assert livez() == 200
            control.append(time.monotonic() - at)
            time.sleep(0.02)
        for t in threads:
            t.join()
        whole = time.monotonic() - began
    finally:
        DISK.heal()
    assert got == [(200, None)] * 24, got
    assert sorted(control)[5] < 0.2, f"the control thread waits for the log's disk: {control}"
    assert min(took) > 0.3, "an answer did not wait for its record"
    assert whole < 12 * 0.6, f"24 exchanges took {whole:.1f} s: each waited for its own sync"


def test_07_clocks_that_jump():
    at = NODE.records()[-1]["index"]
    for jump in (2 * 3600_000, -60_000):  # within what certificates, lists and grants allow
        DISK.clock_ms = jump
        assert answers() == (200, None), jump
        assert NODE.json("bureau/system", "status")["uptime_seconds"] < 3600, jump
    for jump, who in ((4 * 365 * DAY, "years ahead"), (-4 * 365 * DAY, "years back")):
        DISK.clock_ms = jump
        got = answers()
        assert got[0] in (401, 403, 503) and got[1] != "evidence-unavailable", (who, got)
        assert livez() == 200
    DISK.heal()
    assert city.wait_for(lambda: answers() == (200, None), 10)
    NODE.restart()
    assert answers() == (200, None)
    since = [r for r in NODE.records() if r["index"] > at]
    assert [r["index"] for r in since] == list(range(at + 1, at + 1 + len(since)))
    assert len({r["at"][:4] for r in since}) >= 3, "the records do not show the jumps"


def test_08_a_hung_disk():
    """What waits, waits; what comes is refused at once; a revocation holds and is answered; when the disk is back everything goes on."""
    grant = a_grant()
    DISK.scope, DISK.hang = LOG, 1
    got = []
    waits = threading.Thread(target=lambda: got.append(answers()))
    waits.start()
    try:
        city.wait_for(lambda: DISK.halts > 0, 10)
        ready = f"http://{NODE.operations}/readyz?verbose"
        began = time.monotonic()
        NODE.sluice("bureau/ann", "grant", "revoke", grant, "--note", "while the disk hangs")
        assert time.monotonic() - began < 15
        city.wait_for(lambda: answers(2) == (503, "evidence-unavailable"), 20)
        assert livez() == 200 and not got
        try:
            urllib.request.urlopen(ready, timeout=5).read()
            raise AssertionError("ready, with a log that cannot be written")
        except urllib.error.HTTPError as e:
            assert e.code == 503 and b"has not answered" in e.read()
        assert wants_more() != 0
    finally:
        DISK.heal()
    waits.join(20)
    assert got == [(200, None)], got
    city.wait_for(lambda: answers() == (200, None), 10)
    assert [answers() for _ in range(12)] == [(200, None)] * 12, "a worker that had nothing to do since still takes the disk for hung"
    city.wait_for(lambda: on_record(grant), 10)
    city.wait_for(lambda: [r for r in NODE.records()[-40:] if r["kind"] == "gap"], 10)


def operations(path, seconds=2):
    try:
        with urllib.request.urlopen(f"http://{NODE.operations}{path}", timeout=seconds) as r:
            return r.status, r.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, e.read().decode()


def test_08b_a_hung_disk_of_the_state():
    """An act waits for it, whole; exchanges go on; health and metrics answer at once and say what is wrong; then the act holds and all is well by itself."""
    grant = a_grant()
    assert operations("/readyz")[0] == 200
    DISK.scope, DISK.hang = DATABASE, 1
    halts = DISK.halts
    done = []
    revoke = threading.Thread(target=lambda: done.append(NODE.sluice("bureau/ann", "grant", "revoke", grant, "--note", "while the state hangs").returncode))
    revoke.start()
    try:
        city.wait_for(lambda: DISK.halts > halts, 10)
        took = []
        for _ in range(5):
            began = time.monotonic()
            assert livez() == 200 and operations("/metrics")[0] == 200
            took.append(time.monotonic() - began)
            assert answers() == (200, None)
        assert city.median(took) < 1, took

        def says_so():
            status, text = operations("/readyz?verbose")
            return status == 503 and "[-] control: the control thread has not answered for" in text and "[+] evidence" in text
        city.wait_for(says_so, 15)
        silent = int(re.search(r"^sluice_control_silent_seconds (\d+)$", operations("/metrics")[1], re.M)[1])
        assert 5 <= silent < 60 and not done, (silent, done)
        assert not on_record(grant), "the record of an act whose state is not durable"
        assert answers() == (200, None)
    finally:
        DISK.heal()
    revoke.join(30)
    assert done == [0]
    assert state_of(grant) == "revoked"
    city.wait_for(lambda: on_record(grant), 10)
    city.wait_for(lambda: operations("/readyz")[0] == 200, 10)
    assert answers() == (200, None)


# ---- stops and starts ----
def start_fails(*words):
    """A start is refused, and says all of these words."""
    NODE.start(wait=False)
    code = NODE.process.wait(60)
    NODE.process = None
    with open(NODE.log_path, encoding="utf-8") as f:
        text = f.read()[-3000:]
    assert code == 1 and all(w in text for w in words), (code, text)


def stop_is_forced(where):
    grant = a_grant()
    DISK.scope, DISK.hang = where, 1
    threading.Thread(target=answers, daemon=True).start()
    act = subprocess.Popen([city.SLUICE, "--server", f"https://{NODE.control}", "--ca", NODE.ca, "--cert", NODE.cert("bureau/ann"), "--key",
                            NODE.key("bureau/ann"), "grant", "revoke", grant, "--note", "n"], env=NODE.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    city.wait_for(lambda: DISK.halts >= bool(where & LOG) + bool(where & STATE), 10)
    began = time.monotonic()
    os.kill(NODE.pid, signal.SIGTERM)
    code = NODE.process.wait(25)
    took = time.monotonic() - began
    NODE.process = None
    DISK.heal()
    DISK.halts = 0
    act.kill()
    act.wait()
    assert code == 1 and took < 20, (code, took)
    with open(NODE.log_path, encoding="utf-8") as f:
        assert "stop-forced" in f.read()
    NODE.start()
    assert answers() == (200, None)


def test_10_a_hung_disk_does_not_keep_the_process():
    for where in (LOG, STATE, LOG | STATE) if FULL else (LOG | STATE,):
        stop_is_forced(where)


def test_11_two_daemons_on_one_log():
    other = subprocess.run([city.SLUICED, "-c", os.path.join(NODE.dir, "sluice.yaml")], capture_output=True, text=True, env=NODE.env, timeout=60)
    assert other.returncode == 1 and "in use by another process" in other.stderr and "stop it first" in other.stderr, other.stderr
    assert answers() == (200, None)


def kept(name, day):
    """The folder or file as it is now, set aside; call to put it back."""
    path = os.path.join(NODE.dir, name)
    aside = os.path.join(NODE.top, f"{name}-{day}")
    (shutil.copytree if os.path.isdir(path) else shutil.copy2)(path, aside)

    def back():
        if os.path.isdir(path):
            shutil.rmtree(path)
            shutil.copytree(aside, path)
        else:
            shutil.copy2(aside, path)
    return back


def test_12_a_log_shorter_than_its_checkpoint():
    NODE.stop()
    back = kept("log", 1)
    last = os.path.join(NODE.dir, "log", segments()[-1])
    with open(last, "r+b") as f:
        lines = f.read().rstrip(b"\0").split(b"\n")
        f.truncate(len(b"\n".join(lines[:-3]) + b"\n"))
    start_fails("ends before its own last checkpoint", "restore state, keys and log together")
    back()
    os.unlink(os.path.join(NODE.dir, "log", "checkpoint"))
    start_fails("the checkpoint file is missing", "restore state, keys and log together")
    back()
    NODE.start()
    assert answers() == (200, None)


def test_13_state_and_log_of_different_days():
    grant = a_grant()
    NODE.stop()
    old_state, old_log = kept("state.db", 2), kept("log", 2)
    NODE.start()
    NODE.sluice("bureau/ann", "grant", "revoke", grant, "--note", "n")
    NODE.stop()
    state, log = kept("state.db", 3), kept("log", 3)
    old_log()
    start_fails("the log ends before what its own key signed last", "restore state, keys and log together")
    log()
    old_state()
    start_fails("the state is older than the log", "restore state, keys and log together")
    state()
    NODE.start()
    assert state_of(grant) == "revoked"


def test_14_a_state_ahead_of_the_log_is_made_good():
    """A revocation that took effect while the log could not be written, and then the process was killed: its record comes with the next start."""
    grant = a_grant()
    DISK.scope, DISK.write_errno = LOG, EIO
    NODE.sluice("bureau/ann", "grant", "revoke", grant, "--note", "log or no log")
    NODE.kill()
    DISK.heal()
    assert not any(r["kind"] == "act" and r.get("object") == grant and r["verb"] == "grant.revoke" for r in NODE.records())
    NODE.start()
    assert any(r["kind"] == "act" and r.get("object") == grant and r["verb"] == "grant.revoke" for r in NODE.records())
    assert state_of(grant) == "revoked"
    NODE.stop()
    assert NODE.verify()[0] == 0, NODE.verify()


def contents():
    """Digest of every file of the node, by name."""
    found = {}
    for folder, _, names in os.walk(NODE.dir):
        for name in names:
            path = os.path.join(folder, name)
            with open(path, "rb") as f:
                found[os.path.relpath(path, NODE.dir)] = hashlib.sha256(f.read()).hexdigest()
    return found


def test_15_a_start_on_a_read_only_file_system():
    """Refused, with the file that cannot be written; nothing is half done, and the next start is as any other."""
    NODE.stop()
    before, records = contents(), len(NODE.records())
    for scope, names in ((LOG, "log/"), (KEYS, "keys/"), (LOG | STATE, ""), (DATABASE, "state.db")):
        DISK.scope, DISK.write_errno = scope, EROFS
        start_fails(os.path.join(NODE.dir, names), "Read-only file system")
        DISK.heal()
        if scope != DATABASE:  # there the log was opened, and closed as at any stop
            assert contents() == before, scope
        assert NODE.verify()[0] == 0
    NODE.start()
    assert answers() == (200, None)
    assert len(NODE.records()) > records
    NODE.stop()
    # The kernel's own, where mounts of one's own are allowed: as root, or by a user namespace.
    for ours in (["unshare", "-m"], ["unshare", "-rm"]):
        mount = f'mount --bind "{NODE.dir}" "{NODE.dir}" && mount -o remount,ro,bind "{NODE.dir}"'
        if subprocess.run([*ours, "sh", "-c", mount], capture_output=True).returncode == 0:
            before = contents()
            run = subprocess.run([*ours, "sh", "-c", f'{mount} && exec "{city.SLUICED}" -c "{NODE.dir}/sluice.yaml"'], env=NODE.env, capture_output=True, text=True,
                                 timeout=60)
            assert run.returncode == 1 and NODE.dir in run.stderr and "Read-only file system" in run.stderr, run
            assert contents() == before
            break
    NODE.start()
    assert answers() == (200, None)
    NODE.stop()
    assert NODE.verify()[0] == 0


def test_99_teardown():
    NODE.__exit__(None, None, None)


if __name__ == "__main__":
    city.main(globals())
