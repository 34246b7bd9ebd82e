#!/usr/bin/env python3
"""A second verifier of Sluice's evidence log, written from docs/EVIDENCE.md and the texts that tlog.py names.

    verify.py log DIR [--vkey KEY|FILE] [--checkpoint FILE]     verdict as JSON; exit code 7 when the log does not hold
    verify.py proof FILE --vkey KEY|FILE [--answer FILE] [--sent FILE] [--upload FILE]
    verify.py export FILE --vkey KEY|FILE                       records with their proofs: docs/EXPORT.md
        all: --sm2-vkey KEY|FILE, and it must be signed by that too
        log and proof: --witness KEY|FILE ... [--quorum N], and so many of these (all) must have co-signed it: else it is pending, exit code 7

Python's standard library only. It is slow and short on purpose: it is there to disagree."""
import argparse
import datetime
import hashlib
import json
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import tlog  # noqa: E402

RECORD = re.compile(rb'\{"v":1,"index":( *[0-9]+),"crc":"([0-9a-f]{8})","kind":"[a-z]+"[^\n\0]*\}')
RECORD_MAX = 8192


def strict(text):
    """JSON that every reader reads the same: no member twice, no number that is none, no half of a surrogate pair."""
    def members(pairs):
        if len({k for k, _ in pairs}) < len(pairs):
            raise ValueError("a member stands twice")
        return dict(pairs)

    def constant(name):
        raise ValueError(name)
    value = json.loads(text, object_pairs_hook=members, parse_constant=constant)
    json.dumps(value, ensure_ascii=False).encode()
    return value


def _crc_table():
    table = []
    for n in range(256):
        for _ in range(8):
            n = n >> 1 ^ (0x82F63B78 if n & 1 else 0)
        table.append(n)
    return table


CRC = _crc_table()


def crc32c(data):
    c = 0xFFFFFFFF
    for byte in data:
        c = CRC[(c ^ byte) & 255] ^ c >> 8
    return c ^ 0xFFFFFFFF


def record_index(line):
    """The index that a record's line carries; None when it is no whole record."""
    m = RECORD.fullmatch(line)
    if not m or len(m[1]) != 16 or len(line) >= RECORD_MAX:
        return None
    blank = line[:m.start(2)] + b"00000000" + line[m.end(2):]
    return int(m[1]) if crc32c(blank) == int(m[2], 16) else None


class Front:
    """By what right the records below `first` are not there: docs/decisions/012-retention.md."""
    DAY = datetime.timedelta(days=1)

    def __init__(self, first):
        self.first, self.began, self.last = first, None, None
        self.lived = datetime.timedelta(0)
        self.acts = []  # (what the records show to have passed, index) of acts that cover what is missing

    def take(self, record):
        if record["kind"] == "segment":
            return
        at = datetime.datetime.fromisoformat(record["at"])
        self.began = self.began or at
        step = at - (self.last or at)
        self.lived += max(-2 * self.DAY, min(step, 2 * self.DAY))
        self.last = at
        if record["kind"] == "act" and record.get("verb") == "audit.prune" and record["content"]["before"] >= self.first:
            self.acts.append((min(self.lived, at - self.began), int(record["index"])))

    def judge(self, verdict):
        if not self.acts:
            verdict.fail("missing", 0, self.first - 1)
            return
        shown, verdict["pruned_by"] = max(self.acts, key=lambda a: a[0])
        verdict["pruned_days"] = max(0, shown // self.DAY)
        if shown < 184 * self.DAY:
            verdict.fail("removed-early", 0, self.first - 1)


class Verdict(dict):
    """verified, first, size, covered, torn; of a log that begins later than at 0: pruned_by, pruned_days; when it fails: what, first, last (the bad record is in [first, last])."""

    def fail(self, what, first, last=None):
        if self["verified"]:
            self.update(verified=False, what=what, first=first, last=first if last is None else last)
        return self


class Log:
    def __init__(self, folder, key=None, kept=None, sm2=None):
        self.folder, self.key, self.kept, self.sm2, self.asked = folder, key, kept, sm2, key is not None
        self.verdict = Verdict(verified=True, first=0, size=0, covered=0, torn=False)
        self.tree, self.roots = tlog.Tree(), {0: tlog.Tree().root()}
        self.checkpoint = self.leaves = None
        self.behind = {}  # leaves of records that only the kept checkpoint covers
        self.lines_ended = False
        self.front = None

    def read(self, name):
        try:
            with open(os.path.join(self.folder, name), "rb") as f:
                return f.read()
        except OSError:
            return None

    def load(self):
        if self.key is None:
            text = self.read("log.vkey")
            self.key = tlog.Key(text.decode()) if text else None
        note = self.read("checkpoint")
        try:
            self.checkpoint = tlog.Checkpoint(note) if note else None
        except ValueError:
            self.checkpoint = None
        self.stored = tlog.StoredHashes(lambda level: self.read(f"tile/{level}.hashes"))
        if self.checkpoint and (self.key is None or self.checkpoint.fault(self.key) is None):
            self.leaves = self.checkpoint.signed_hashes(self.read("tile/0.hashes") or b"")

    def want(self):
        return self.tree.size

    def marked_root(self):
        for c in (self.checkpoint, self.kept):
            if c and c.size == self.want():
                self.roots[c.size] = self.tree.root()

    def take(self, line):
        """Is this line the next record? Where the signed hashes are known, only what hashes to them is."""
        leaf = tlog.leaf_hash(line)
        if self.leaves and self.want() < len(self.leaves):
            good = leaf == self.leaves[self.want()]
        else:
            good = record_index(line) == self.want()
        if good:
            if self.front and (self.checkpoint is None or self.want() < self.checkpoint.size):
                self.front.take(json.loads(line))
            if self.kept and self.checkpoint and self.checkpoint.size <= self.want() < self.kept.size:
                self.behind[self.want()] = leaf
            self.tree.push(leaf)
            self.marked_root()
        return good

    def bad_line(self, line, rest, last):
        """The first thing that is not the next record: what is it?"""
        index, want = record_index(line), self.want()
        covered = self.checkpoint.size if self.checkpoint else 0
        behind = [line, *rest] if line.startswith(b"\0") else rest  # zeros are space that was never used
        others = [i for i in (record_index(r.lstrip(b"\0")) for r in behind) if i is not None]
        if index is None and last and want >= covered and not others:
            self.verdict["torn"] = self.lines_ended = True
        elif index is not None and index < want:
            self.verdict.fail("inserted", index if index == want - 1 else want)
        elif index is not None and index > want:
            self.verdict.fail("reordered" if want in others else "missing", want)
        else:
            self.verdict.fail("inserted" if others and others[0] == want else "altered", want)

    def segment(self, name, limit, last):
        lines = self.read(name).rstrip(b"\0").split(b"\n")
        if lines[-1] == b"":
            lines.pop()
        elif lines:
            lines[-1] += b"\0"  # no line end: not a whole record
        for n, line in enumerate(lines):
            if limit is not None and self.want() >= limit:
                return
            if not self.take(line):
                self.bad_line(line, lines[n + 1:], last)
                return
        if limit is not None and self.want() < limit:
            self.verdict.fail("missing", self.want())

    def begin(self, name, first):
        """The log begins later than at record 0: the first segment's head has the tree of all before it, to be believed when the root is."""
        line = self.read(name).split(b"\n", 1)[0]
        try:
            record = json.loads(line)
            edge = [tlog.hex32(text) for text in record["edge"]]
            good = record_index(line) == first and record["kind"] == "segment"
            self.tree = tlog.Tree.grown(first, edge) if good else None
        except (ValueError, KeyError, TypeError):
            self.tree = None
        if self.tree is None:
            self.tree = tlog.Tree()
            self.verdict.fail("missing", 0, first - 1)
            return
        self.verdict["first"] = first
        self.front = Front(first)

    def records(self):
        names = sorted(n for n in os.listdir(self.folder) if re.fullmatch(r"[0-9]{16}\.seg", n))
        firsts = [int(n[:16]) for n in names]
        if firsts and firsts[0] > 0:
            self.begin(names[0], firsts[0])
        self.marked_root()
        for n, name in enumerate(names):
            if not self.verdict["verified"] or self.lines_ended:
                return
            if firsts[n] != self.want():
                self.verdict.fail("missing", self.want())
                return
            self.segment(name, firsts[n + 1] if n + 1 < len(names) else None, n + 1 == len(names))

    def judge(self):
        self.load()
        self.records()
        v, c = self.verdict, self.checkpoint
        v["size"], v["covered"] = self.want() - (v["first"] if v["verified"] else 0), c.size if c else 0
        if self.front:
            self.front.judge(v)
        if c and self.want() < c.size:
            v.fail("truncated", self.want())
        if not c and (self.want() > 1 or self.read("checkpoint") or self.asked):
            v.fail("checkpoint", self.want())
        if c and self.key and c.fault(self.key):
            v.fail("signature", c.size)
        if self.sm2 and (not c or c.fault(self.sm2)):
            v.fail("sm2-signature", c.size if c else 0)
        if c and v["verified"] and self.roots.get(c.size) != c.root:
            v.fail("altered", 0, c.size - 1)
        k = self.kept
        if k and self.key and k.fault(self.key):
            v.fail("signature", k.size)
        if k and self.want() < k.size:
            v.fail("truncated", self.want())
        if k and v["verified"]:
            root = self.roots.get(k.size) or self.stored.old_root(k.size, c)
            if root and root != k.root and self.key and c and k.size > c.size:  # nobody signed other records than those
                signed = k.signed_hashes(self.read("tile/0.hashes") or b"")
                which = [n for n, leaf in self.behind.items() if signed and signed[n] != leaf]
                v.fail("altered", *(which[:1] or (c.size, k.size - 1)))
            elif root != k.root:
                v.fail("forked" if root else "missing", 0, k.size - 1)
        return v


def record_fault(tlog_proof, line, key):
    """None when the proof shows that this line is the record that it says it is."""
    fault = tlog.proof_fault(tlog_proof, line, key)
    index = re.search(rb"^index ([0-9]+)$", tlog_proof, re.M)
    return "line" if fault in (None, "path") and record_index(line) != int(index[1]) else fault


def verify_proof(text, key, answer=None, sm2=None, upload=None, sent=None):
    """None, or (fault, index) of the first record whose proof does not hold."""
    try:
        proof = strict(text)
        records, exchange = proof["records"], proof["exchange"]
        parsed = []
        above = -1
        if not records or type(proof["v"]) is not int or proof["v"] != 1:
            return "shape", 0
        for r in records:
            line, tlog_proof = r["line"].encode(), r["proof"].encode()
            fault = record_fault(tlog_proof, line, key)
            if fault is None and sm2 and tlog.Checkpoint(tlog_proof.split(b"\n\n", 1)[1]).fault(sm2):
                fault = "sm2-signature"
            index = int(re.search(rb"^index ([0-9]+)$", tlog_proof, re.M)[1])
            record = strict(line)
            if fault is None and (type(r.get("index")) is not int or r["index"] != index):
                fault = "claims"
            if fault is None and record["exchange"] != exchange:
                fault = "exchange"
            if fault is None and index <= above:
                fault = "order"
            if fault:
                return fault, index
            above = index
            parsed.append(record)
    except (ValueError, KeyError, TypeError, AttributeError):
        return "shape", 0
    kinds = [r["kind"] for r in parsed]
    if kinds not in (["refused"], ["intent", "outcome"], ["intent", "outcome", "cut"]):
        return "order", above
    if proof.get("origin") != key.name.decode():
        return "claims", above
    outcome = next((r for r in parsed if r["kind"] == "outcome"), {})
    one = "digest_in" in outcome and outcome["digest_in"] == outcome.get("digest_out")  # a file that passed unread has one digest, under the salt of what was handed out
    for body, name, way, salt in ((answer, "answer", "out", "out"), (upload, "upload", "upload", "upload"), (sent, "sent", "in", "out" if one else "in")):
        if body is None:
            continue
        if not outcome:
            return name, above
        want, known = outcome.get("digest_" + way), proof.get("salts", {}).get(salt)
        if known is None:
            return "salt", above
        if not isinstance(known, str) or not re.fullmatch(r"[0-9A-Fa-f]{64}", known):
            return "shape", 0
        if want is None or hashlib.sha256(bytes.fromhex(known) + body).hexdigest() != want:
            return name, outcome["index"]
    return None


def verify_export(data, key, sm2=None):
    """None, or (fault, number of the line) of the first line that does not hold."""
    lines, checkpoint, records = data.split(b"\n"), None, 0
    whole = lines.pop() == b""
    for n, line in enumerate(lines, 1):
        note = re.fullmatch(rb'\{"checkpoint":("[^\n]*")\}', line)
        record = re.fullmatch(rb'\{"record":(\{.*\}),"proof":\[([^\[\]{}]*)\]\}', line)
        try:
            if note:
                checkpoint = tlog.Checkpoint(strict(note[1]).encode())
                fault = checkpoint.fault(key) or (checkpoint.fault(sm2) if sm2 else None)
            else:
                path = [tlog.b64(text, 32) for text in json.loads(b"[" + record[2] + b"]")]
                index = record_index(record[1])
                good = None not in (checkpoint, index, *path) and tlog.inclusion_holds(tlog.leaf_hash(record[1]), index, checkpoint.size, path, checkpoint.root)
                records, fault = records + 1, None if good else "record"
        except (ValueError, TypeError, AttributeError):
            fault = "shape"
        if fault:
            return fault, n
    return None if whole and records else ("shape", len(lines) + (not whole))


def key_of(text, kind=tlog.Key):
    if text and os.path.exists(text):
        with open(text, encoding="utf-8") as f:
            text = f.readline()
    return kind(text) if text else None


def witnessed(folder, witnesses, need):
    """The log's own checkpoint that these have signed: the newest if that has the quorum, else the one that more signed; None: it has none."""
    found = []
    for name in ("checkpoint", "checkpoint.witnessed"):
        try:
            with open(os.path.join(folder, name), "rb") as f:
                found.append(tlog.Checkpoint(f.read()))
        except (OSError, ValueError):
            pass
    return max(found, key=lambda c: min(tlog.cosigned(c, witnesses), need), default=None)


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    p.add_argument("what", choices=["log", "proof", "export"])
    p.add_argument("path")
    p.add_argument("--vkey")
    p.add_argument("--sm2-vkey")
    p.add_argument("--checkpoint")
    p.add_argument("--answer")
    p.add_argument("--sent")
    p.add_argument("--upload")
    p.add_argument("--witness", action="append", default=[])
    p.add_argument("--quorum", type=int)
    o = p.parse_args()

    def content(path):
        with open(path, "rb") as f:
            return f.read()

    sm2, witnesses = key_of(o.sm2_vkey, tlog.Sm2Key), [key_of(w, tlog.Witness) for w in o.witness]
    need = o.quorum or len(witnesses)

    def told(verdict, signed):
        """The verdict on standard output, with how many signed what it is shown by; the exit code."""
        if witnesses:
            verdict.update(signed=signed, pending=signed < need)
        print(json.dumps(verdict))
        if (verdict.get("fault") or [None])[0] == "salt":
            return 2  # nothing is wrong with the proof: it cannot be asked that
        return 0 if verdict["verified"] and not verdict.get("pending") else 7

    if o.what == "log":
        kept = tlog.Checkpoint(content(o.checkpoint)) if o.checkpoint else witnessed(o.path, witnesses, need) if witnesses else None
        return told(Log(o.path, key_of(o.vkey), kept, sm2).judge(), tlog.cosigned(kept, witnesses) if kept else 0)
    if o.what == "export":
        fault = verify_export(content(o.path), key_of(o.vkey), sm2)
        return told({"verified": fault is None, "fault": fault}, 0)
    answer, upload, sent = (content(f) if f else None for f in (o.answer, o.upload, o.sent))
    fault = verify_proof(content(o.path), key_of(o.vkey), answer, sm2, upload, sent)
    notes = [] if fault else [r["proof"].encode().split(b"\n\n", 1)[1] for r in json.loads(content(o.path))["records"]]
    return told({"verified": fault is None, "fault": fault}, min((tlog.cosigned(tlog.Checkpoint(n), witnesses) for n in notes), default=0))


if __name__ == "__main__":
    sys.exit(main())
