"""Transparency logs from their texts: Ed25519 (RFC 8032), SM2 with SM3 (GB/T 32918.2), Merkle trees (RFC 6962 2.1, RFC 9162 2.1), signed notes, checkpoints,
cosignatures, proofs and tiles (C2SP signed-note, tlog-checkpoint, tlog-cosignature, tlog-proof, tlog-tiles). Python's standard library only; nothing here was taken
from the gateway's own code. Every check answers None, or a word for what does not hold."""
import base64
import binascii
import hashlib
import re

# ---- Ed25519, RFC 8032 section 5.1: verification only ----
P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
SQRT_M1 = pow(2, (P - 1) // 4, P)


def _recover_x(y, sign):
    if y >= P:
        return None
    xx = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    if xx == 0:
        return None if sign else 0
    x = pow(xx, (P + 3) // 8, P)
    if (x * x - xx) % P:
        x = x * SQRT_M1 % P
    if (x * x - xx) % P:
        return None
    return P - x if (x & 1) != sign else x


def _point(data):
    number = int.from_bytes(data, "little")
    y = number & ((1 << 255) - 1)
    x = _recover_x(y, number >> 255)
    return None if x is None else (x, y, 1, x * y % P)


def _add(p, q):
    a = (p[1] - p[0]) * (q[1] - q[0]) % P
    b = (p[1] + p[0]) * (q[1] + q[0]) % P
    c = 2 * p[3] * q[3] * D % P
    d = 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def _times(n, p):
    q = (0, 1, 1, 0)
    while n:
        if n & 1:
            q = _add(q, p)
        p = _add(p, p)
        n >>= 1
    return q


_G_Y = 4 * pow(5, P - 2, P) % P
_G_X = _recover_x(_G_Y, 0)
G = (_G_X, _G_Y, 1, _G_X * _G_Y % P)


def ed25519_verify(public_key, message, signature):
    if len(public_key) != 32 or len(signature) != 64:
        return False
    a, r = _point(public_key), _point(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= L:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + public_key + message).digest(), "little") % L
    left, right = _times(s, G), _add(r, _times(k, a))
    return (left[0] * right[2] - right[0] * left[2]) % P == 0 and (left[1] * right[2] - right[1] * left[2]) % P == 0


# ---- SM2 with SM3, GB/T 32918.2 section 7: verification only; SM3 is the interpreter's (by OpenSSL) ----
SM2_P = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
SM2_A = SM2_P - 3
SM2_B = 0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93
SM2_N = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
SM2_G = (0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7,
         0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0)
SM2_ID = b"1234567812345678"


def _sm2_add(p, q):
    """Two points of the curve; None is the one at infinity."""
    if p is None or q is None:
        return p or q
    if p[0] == q[0]:
        if (p[1] + q[1]) % SM2_P == 0:
            return None
        slope = (3 * p[0] * p[0] + SM2_A) * pow(2 * p[1], -1, SM2_P)
    else:
        slope = (q[1] - p[1]) * pow(q[0] - p[0], -1, SM2_P)
    x = (slope * slope - p[0] - q[0]) % SM2_P
    return x, (slope * (p[0] - x) - p[1]) % SM2_P


def _sm2_times(n, p):
    q = None
    while n:
        if n & 1:
            q = _sm2_add(q, p)
        p = _sm2_add(p, p)
        n >>= 1
    return q


def sm2_verify(public_key, message, signature, signer=SM2_ID):
    """public_key: 04, x, y; signature: r and s, 32 bytes each."""
    if len(public_key) != 65 or public_key[0] != 4 or len(signature) != 64:
        return False
    x, y = int.from_bytes(public_key[1:33], "big"), int.from_bytes(public_key[33:], "big")
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    t = (r + s) % SM2_N
    if x >= SM2_P or y >= SM2_P or (x * x * x + SM2_A * x + SM2_B - y * y) % SM2_P or not (0 < r < SM2_N and 0 < s < SM2_N and t):
        return False
    numbers = b"".join(n.to_bytes(32, "big") for n in (SM2_A, SM2_B, *SM2_G))
    z = hashlib.new("sm3", (8 * len(signer)).to_bytes(2, "big") + signer + numbers + public_key[1:]).digest()
    e = int.from_bytes(hashlib.new("sm3", z + message).digest(), "big")
    point = _sm2_add(_sm2_times(s, SM2_G), _sm2_times(t, (x, y)))
    return point is not None and (e + point[0]) % SM2_N == r


# ---- RFC 6962 section 2.1, RFC 9162 sections 2.1.3.2 and 2.1.4.2 ----
def leaf_hash(entry):
    return hashlib.sha256(b"\0" + entry).digest()


def node_hash(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


class Tree:
    """Grows leaf by leaf; keeps the roots of its full subtrees, largest first, as (size, hash)."""

    def __init__(self):
        self.size = 0
        self.parts = []

    @classmethod
    def grown(cls, size, roots):
        """The tree of `size` leaves, of which the roots of its full subtrees are known, largest first; None when they are not so many."""
        tree = cls()
        tree.size = size
        sizes = [1 << bit for bit in reversed(range(size.bit_length())) if size >> bit & 1]
        tree.parts = list(zip(sizes, roots))
        return tree if len(roots) == len(sizes) else None

    def push(self, leaf):
        part = (1, leaf)
        while self.parts and self.parts[-1][0] == part[0]:
            part = (2 * part[0], node_hash(self.parts.pop()[1], part[1]))
        self.parts.append(part)
        self.size += 1

    def root(self):
        if not self.parts:
            return hashlib.sha256(b"").digest()
        value = self.parts[-1][1]
        for _, left in reversed(self.parts[:-1]):
            value = node_hash(left, value)
        return value


def root_of(leaves):
    tree = Tree()
    for leaf in leaves:
        tree.push(leaf)
    return tree.root()


def inclusion_holds(leaf, index, size, path, root):
    if index >= size or any(len(h) != 32 for h in (leaf, root, *path)):
        return False
    fn, sn, value = index, size - 1, leaf
    for sibling in path:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            value = node_hash(sibling, value)
            while not fn & 1 and fn:
                fn >>= 1
                sn >>= 1
        else:
            value = node_hash(value, sibling)
        fn >>= 1
        sn >>= 1
    return sn == 0 and value == root


def consistency_holds(size1, root1, size2, root2, path):
    if 0 < size1 == size2:
        return not path and root1 == root2
    if not 0 < size1 < size2 or not path or any(len(h) != 32 for h in (root1, root2, *path)):
        return False
    if size1 & (size1 - 1) == 0:
        path = [root1, *path]
    fn, sn = size1 - 1, size2 - 1
    while fn & 1:
        fn >>= 1
        sn >>= 1
    fr = sr = path[0]
    for c in path[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            fr, sr = node_hash(c, fr), node_hash(c, sr)
            while not fn & 1 and fn:
                fn >>= 1
                sn >>= 1
        else:
            sr = node_hash(sr, c)
        fn >>= 1
        sn >>= 1
    return fr == root1 and sr == root2 and sn == 0


# ---- C2SP signed-note, tlog-checkpoint ----
def b64(text, size=None):
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if (size is None or len(raw) == size) and base64.b64encode(raw) == (text if isinstance(text, bytes) else text.encode()) else None


def hex32(text):
    raw = bytes.fromhex(text)
    if len(raw) != 32:
        raise ValueError("no hash")
    return raw


class Key:
    """A verifier key, "<name>+<hash>+<base64 of type and key>"."""

    def __init__(self, vkey):
        name, number, key = vkey.strip().split("+", 2)
        raw = b64(key, 33)
        if raw is None or raw[0] != 1:
            raise ValueError("not an Ed25519 verifier key")
        self.name, self.public = name.encode(), raw[1:]
        self.hash = hashlib.sha256(self.name + b"\n" + raw).digest()[:4]
        if self.hash.hex() != number.lower():
            raise ValueError("the key's hash does not fit")

    def verify(self, text, signature):
        return ed25519_verify(self.public, text, signature)


class Sm2Key:
    """The log's SM2 key: type 0xff, "sm2-with-sm3/1234567812345678", then 04, x, y."""
    KIND = b"\xffsm2-with-sm3/" + SM2_ID

    def __init__(self, vkey):
        name, number, key = vkey.strip().split("+", 2)
        raw = b64(key, len(self.KIND) + 65)
        if raw is None or not raw.startswith(self.KIND):
            raise ValueError("not an SM2 verifier key")
        self.name, self.public = name.encode(), raw[len(self.KIND):]
        self.hash = hashlib.sha256(self.name + b"\n" + raw).digest()[:4]
        if self.hash.hex() != number.lower():
            raise ValueError("the key's hash does not fit")

    def verify(self, text, signature):
        return sm2_verify(self.public, text, signature)


class Witness:
    """C2SP tlog-cosignature, Ed25519: type 4; it signs a time, "cosignature/v1" and the whole text of the checkpoint."""

    def __init__(self, vkey):
        name, number, key = vkey.strip().split("+", 2)
        raw = b64(key, 33)
        if raw is None or raw[0] != 4:
            raise ValueError("not a witness's verifier key")
        self.name, self.public = name.encode(), raw[1:]
        self.hash = hashlib.sha256(self.name + b"\n" + raw).digest()[:4]
        if self.hash.hex() != number.lower():
            raise ValueError("the key's hash does not fit")

    def signed(self, checkpoint):
        for line in checkpoint.lines:
            parts = line.split(b" ")
            if len(parts) != 3 or parts[0] != "\u2014".encode() or parts[1] != self.name:
                continue
            raw = b64(parts[2], 4 + 8 + 64)
            if raw and raw[:4] == self.hash:
                text = b"cosignature/v1\ntime %d\n" % int.from_bytes(raw[4:12], "big") + checkpoint.text
                if ed25519_verify(self.public, text, raw[12:]):
                    return True
        return False


def cosigned(checkpoint, witnesses):
    """By how many of them. The same key under two names is one witness."""
    return len({w.public for w in witnesses if w.signed(checkpoint)})


NOTE_MAX, PATH_MAX = 8192, 55
SIZE = rb"0|[1-9][0-9]{0,15}"


def number(text):
    """A size or an index below 2^53."""
    if not re.fullmatch(SIZE, text) or int(text) >= 2**53:
        raise ValueError("no number")
    return int(text)


class Checkpoint:
    def __init__(self, note):
        note.decode("utf-8")
        if len(note) > NOTE_MAX or re.search(rb"[\x00-\x09\x0b-\x1f]", note):
            raise ValueError("no note")
        text, blank, signatures = note.rpartition(b"\n\n")
        lines = text.split(b"\n")
        if not blank or len(lines) < 3 or not all(lines) or b64(lines[2], 32) is None:
            raise ValueError("no checkpoint")
        if not signatures.endswith(b"\n"):
            raise ValueError("the note does not end in a line end")
        self.origin, self.size, self.root = lines[0], number(lines[1]), b64(lines[2])
        self.text = text + b"\n"
        self.lines = signatures[:-1].split(b"\n")
        for line in self.lines:
            signature = re.fullmatch("\u2014 [^ +]+ ([A-Za-z0-9+/=]+)".encode(), line)
            if not signature or len(b64(signature[1]) or b"") <= 4:
                raise ValueError("not a line of a signature")

    def fault(self, key):
        """None when the key's own line holds."""
        if self.origin != key.name:
            return "origin"
        for line in self.lines:
            parts = line.split(b" ")
            if len(parts) != 3 or parts[0] != "\u2014".encode() or parts[1] != key.name:
                continue
            raw = b64(parts[2], 68)
            if raw and raw[:4] == key.hash and key.verify(self.text, raw[4:]):
                return None
        return "signature"

    def signed_hashes(self, raw):
        """The leaf hashes of this tree, 32 bytes each from the start of `raw`, when they have its root; else None."""
        leaves = [raw[i * 32:i * 32 + 32] for i in range(self.size)]
        return leaves if len(raw) >= 32 * self.size and root_of(leaves) == self.root else None


# ---- C2SP tlog-proof ----
def proof_fault(text, entry, key):
    """None when `text` proves that `entry` is in the log of `key`; (fault, index) otherwise."""
    head, blank, note = text.partition(b"\n\n")
    lines = head.split(b"\n")
    if not blank or lines[0] != b"c2sp.org/tlog-proof@v1":
        return "shape"
    rest = lines[1:]
    if rest and rest[0].startswith(b"extra "):
        if not b64(rest.pop(0)[6:]):
            return "shape"
    if not rest or not rest[0].startswith(b"index "):
        return "shape"
    path = [b64(line, 32) for line in rest[1:]]
    if None in path or len(path) > PATH_MAX:
        return "shape"
    try:
        index = number(rest[0][6:])
        checkpoint = Checkpoint(note)
    except ValueError:
        return "shape"
    fault = checkpoint.fault(key)
    if fault:
        return fault
    return None if inclusion_holds(leaf_hash(entry), index, checkpoint.size, path, checkpoint.root) else "path"


# ---- C2SP tlog-tiles ----
def tile_path(level, index, width=256):
    groups = [f"{index % 1000:03d}"]
    while index >= 1000:
        index //= 1000
        groups.insert(0, f"x{index % 1000:03d}")
    return f"tile/{level}/" + "/".join(groups) + (f".p/{width}" if width < 256 else "")


def signed_leaves(read, checkpoint):
    """The leaf hashes of the checkpoint's tree from level-0 tiles, when they hash to its root; else None. read(path) gives bytes or None."""
    hashes = b""
    for index in range((checkpoint.size + 255) // 256):
        width = min(256, checkpoint.size - index * 256)
        raw = read(tile_path(0, index, width)) or read(tile_path(0, index))
        if raw is None or len(raw) < 32 * width:
            return None
        hashes += raw[:32 * width]
    return checkpoint.signed_hashes(hashes)


def tiles_fault(read, checkpoint):
    """Every tile of every level against the one below, the lowest against the signed root: None, or the path of one that is wrong."""
    level, hashes = 0, signed_leaves(read, checkpoint)
    if hashes is None:
        return tile_path(0, 0)
    while hashes:
        for index in range((len(hashes) + 255) // 256):
            part = hashes[index * 256:index * 256 + 256]
            raw = read(tile_path(level, index, len(part))) or read(tile_path(level, index))
            if raw is None or raw[:32 * len(part)] != b"".join(part):
                return tile_path(level, index, len(part))
        hashes = [root_of(hashes[i:i + 256]) for i in range(0, len(hashes) - 255, 256)]
        level += 1
    return None


class StoredHashes:
    """A log's own files of hashes, by which it may be shown to continue an older tree: read(level) gives all hashes of that level of tiles in
    order. Zeros were never written. Nothing read here is believed until it makes the signed root."""

    def __init__(self, read):
        self.levels = {}
        self.read = read

    def stored(self, level, index):
        if level not in self.levels:
            self.levels[level] = self.read(level) or b""
        one = self.levels[level][32 * index:32 * index + 32]
        return one if len(one) == 32 and any(one) else None

    def full(self, height, place):
        """The root of the full subtree `place` of that height, from the level of tiles that it stands in or from those below; None: not to be had."""
        if height % 8 == 0:
            one = self.stored(height // 8, place)
            if one or height == 0:
                return one
        left, right = self.full(height - 1, 2 * place), self.full(height - 1, 2 * place + 1)
        return node_hash(left, right) if left and right else None

    def range(self, begin, end):
        """MTH(D[begin:end]) of RFC 6962 2.1, where begin is a multiple of the largest power of two that is not above the length."""
        size = 1 << (end - begin).bit_length() - 1
        left = self.full(size.bit_length() - 1, begin // size)
        if begin + size == end:
            return left
        right = self.range(begin + size, end)
        return node_hash(left, right) if left and right else None

    def consistency(self, m, n):
        """PROOF(m, D[n]) of RFC 6962 2.1.2; None in it: a hash is missing."""
        def sub(m, begin, end, whole):
            if m == end - begin:
                return [] if whole else [self.range(begin, end)]
            k = 1 << (end - begin - 1).bit_length() - 1
            if m <= k:
                return [*sub(m, begin, begin + k, whole), self.range(begin + k, end)]
            return [*sub(m - k, begin + k, end, False), self.range(begin, begin + k)]
        return sub(m, 0, n, True)

    def old_root(self, size, checkpoint):
        """The root that the signed tree had at `size`; None when these hashes do not lead to the signed root."""
        if not 0 < size <= checkpoint.size:
            return None
        root, path = self.range(0, size), self.consistency(size, checkpoint.size)
        known = root and None not in path
        return root if known and consistency_holds(size, root, checkpoint.size, checkpoint.root, path) else None


def bundle_entries(raw):
    """The entries of an entry bundle: each behind its big-endian uint16 length."""
    entries, at = [], 0
    while at < len(raw):
        size = int.from_bytes(raw[at:at + 2], "big")
        entries.append(raw[at + 2:at + 2 + size])
        at += 2 + size
    if at != len(raw):
        raise ValueError("a bundle that ends inside an entry")
    return entries
