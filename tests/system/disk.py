"""The file layer under a node's daemon (tests/system/disk/): its faults, and power cuts.

A power cut is a SIGKILL and then the folder as the disk would have it: what no finished fsync, fdatasync or RWF_DSYNC write covers is there or not, sector by
sector and name by name, as a generator decides. SQLite's shared memory (-shm) becomes rubbish."""
import errno
import mmap
import os
import shutil
import struct

import city

LIBRARY = os.path.join(city.BUILD, "tests", "libsluice-disk.so")
SECTOR = 512
ENTRY = struct.Struct("=IIQQQQQII")
MAGIC = 0x4B534944
WRITE, SIZE, SYNC, FAILED, CREATE, UNLINK, RENAME, LINK, MKDIR, SYNCDIR = range(1, 11)
LOG, DATABASE, KEYS = 1, 2, 4  # where faults hold: the folder of the log, the state's, what the keeper writes
STATE = DATABASE | KEYS


class Disk:
    """Put under a node before it starts: Disk(node), node.start(). Faults are attributes and hold at once."""
    FIELDS = {"sync_noop": "I", "sync_ms": "I", "sync_random": "I", "sync_errno": "I", "sync_every": "I", "write_errno": "I", "hang": "I", "scope": "I",
              "clock_ms": "q", "syncs": "I", "halts": "I"}

    def __init__(self, node, journal=False):
        at, places = 0, {}
        for name, kind in self.FIELDS.items():
            size = struct.calcsize(kind)
            at = (at + size - 1) // size * size
            places[name] = (kind, at)
            at += size
        path = os.path.join(node.top, "disk.control")
        with open(path, "wb") as f:
            f.truncate(4096)
        with open(path, "r+b") as f:
            object.__setattr__(self, "memory", mmap.mmap(f.fileno(), 4096))
        object.__setattr__(self, "places", places)
        object.__setattr__(self, "node", node)
        object.__setattr__(self, "journal", os.path.join(node.top, "disk.journal") if journal else None)
        self.scope = LOG | STATE
        more = {"LD_PRELOAD": LIBRARY, "SLUICE_DISK_DIR": node.dir, "SLUICE_DISK_CONTROL": path,
                "ASAN_OPTIONS": node.env.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}
        if journal:
            more["SLUICE_DISK_JOURNAL"] = self.journal
            self.fresh()
        assert os.path.exists(LIBRARY), f"{LIBRARY} is missing: build the whole preset"
        node.daemon_env.update(more)

    def __getattr__(self, name):
        kind, at = self.places[name]
        return struct.unpack_from("=" + kind, self.memory, at)[0]

    def __setattr__(self, name, value):
        kind, at = self.places[name]
        struct.pack_into("=" + kind, self.memory, at, value)

    def heal(self):
        for name in self.FIELDS:
            if name not in ("scope", "syncs", "halts"):
                setattr(self, name, 0)

    def fresh(self):
        """An empty journal: all that stands in the folder now is on the disk."""
        shutil.rmtree(self.journal + ".stash", ignore_errors=True)
        os.mkdir(self.journal + ".stash")
        open(self.journal, "wb").close()

    def cut(self, rng):
        """Kill the daemon and play the cut. Returns a few words on what was lost."""
        self.node.kill()
        told = Cut(self.node.dir, self.journal, rng).play()
        self.fresh()
        return told


class File:
    """One file's changes since the journal began: for each sector what it held before each of them, and the sizes it had."""

    def __init__(self):
        self.sectors, self.sizes, self.last = {}, [], None

    def change(self, place, kind, at, n, old_size, before):
        if kind == WRITE:
            first, end, new_size = at, at + n, max(old_size, at + n)
        else:
            first, end, new_size = min(at, old_size), old_size, at
        self.sizes.append((place, old_size))
        self.last = new_size
        image_at = at
        for sector in range(first // SECTOR, (end + SECTOR - 1) // SECTOR):
            low, high = max(first, sector * SECTOR), min(end, (sector + 1) * SECTOR)
            old = before[low - image_at:high - image_at]
            self.sectors.setdefault(sector, []).append([place, low, old + bytes(high - low - len(old)), False])

    @staticmethod
    def covers(at, n, sector):
        return n == 0 or at // SECTOR <= sector < (at + n + SECTOR - 1) // SECTOR

    def synced(self, mark, at, n):
        """What came before the mark, of n bytes at `at` or (0) of all, is on the disk, but for what a failed sync dropped and nothing wrote again."""
        for sector, versions in list(self.sectors.items()):
            if not self.covers(at, n, sector):
                continue
            reach = max((i for i, v in enumerate(versions) if v[0] < mark and not v[3]), default=-1)
            del versions[:reach + 1]
            if not versions:
                del self.sectors[sector]
        reach = max((i for i, (place, size) in enumerate(self.sizes) if place < mark and (n == 0 or size < at + n)), default=-1)
        del self.sizes[:reach + 1]

    def failed(self, mark, at, n):
        for sector, versions in self.sectors.items():
            for v in versions:
                v[3] = v[3] or (v[0] < mark and self.covers(at, n, sector))

    def undo(self, path, keep, rng):
        with open(path, "rb") as f:
            now = f.read()
        size = len(now)
        if self.sizes:
            k = 0 if keep == "nothing" else len(self.sizes) if keep == "all" else rng.randrange(len(self.sizes) + 1)
            if k < len(self.sizes):
                size = self.sizes[k][1]
        most = max([len(now), size] + [v[1] + len(v[2]) for versions in self.sectors.values() for v in versions])
        data = bytearray(now) + bytes(most - len(now))
        lost = 0
        for versions in self.sectors.values():
            dropped = any(v[3] for v in versions)
            k = len(versions) if keep == "all" and not dropped else 0 if keep == "nothing" else rng.randrange(len(versions) + 1)
            for _, at, old, _ in reversed(versions[k:]):
                data[at:at + len(old)] = old
            lost += k < len(versions)
        if lost or size != len(now):
            with open(path, "r+b") as f:
                f.truncate(0)
                f.write(data[:size])
        return lost


class Cut:
    def __init__(self, folder, journal, rng):
        self.folder, self.stash, self.rng = folder, journal + ".stash", rng
        self.keep = rng.choice(("nothing", "all", "some", "some", "some"))
        self.files, self.names = {}, []
        with open(journal, "rb") as f:
            self.read(f.read())

    def read(self, text):
        place = 0
        while place + ENTRY.size <= len(text):
            magic, kind, file, at, n, old_size, mark, data, names = ENTRY.unpack_from(text, place)
            body = place + ENTRY.size
            if magic != MAGIC or body + data + names > len(text):
                break  # the kill met the journal itself: that change was not made yet
            before = text[body:body + data]
            paths = [p.decode() for p in text[body + data:body + data + names].split(b"\0")[:-1]]
            self.entry(place, kind, file, at, n, old_size, mark, before, paths)
            place = body + data + names

    def entry(self, place, kind, file, at, n, old_size, mark, before, paths):
        if kind in (WRITE, SIZE):
            self.files.setdefault(file, File()).change(place, kind, at, n, old_size, before)
        elif kind == SYNC and file in self.files:
            self.files[file].synced(mark, at, n)
        elif kind == FAILED and file in self.files:
            self.files[file].failed(mark, at, n)
        elif kind == SYNCDIR:
            self.names = [e for e in self.names if e[0] >= mark or os.path.dirname(e[3][-1]) != paths[0]]
        elif kind in (CREATE, UNLINK, RENAME, LINK, MKDIR):
            self.names.append((place, kind, n, paths))

    def kept(self, paths, undone):
        if any(p in undone or os.path.dirname(p) in undone for p in paths):
            return False  # a change of a name stands on the ones before it
        return self.keep == "all" or (self.keep == "some" and self.rng.random() < 0.5)

    def undo_names(self):
        undone, names = [], set()
        for e in self.names:
            if not self.kept(e[3], names):
                undone.append(e)
                names.update(e[3])
        for _, kind, kept, paths in reversed(undone):
            if kind == MKDIR:
                shutil.rmtree(paths[0], ignore_errors=True)
            elif kind == UNLINK:
                self.back(kept, paths[0])
            elif kind == RENAME:
                if os.path.exists(paths[1]):
                    os.rename(paths[1], paths[0])
                if kept:
                    self.back(kept, paths[1])
            elif os.path.exists(paths[0]):
                os.unlink(paths[0])
        return len(undone)

    def back(self, kept, path):
        if not os.path.exists(path) and os.path.isdir(os.path.dirname(path)):
            os.link(os.path.join(self.stash, str(kept)), path)

    def play(self):
        names = self.undo_names()
        lost = 0
        for folder, _, found in os.walk(self.folder):
            for name in found:
                path = os.path.join(folder, name)
                if name.endswith("-shm"):
                    with open(path, "r+b") as f:
                        f.write(self.rng.randbytes(os.fstat(f.fileno()).st_size))
                elif os.lstat(path).st_ino in self.files:
                    lost += self.files[os.lstat(path).st_ino].undo(path, self.keep, self.rng)
        return f"kept {self.keep}: {lost} sectors and {names} names undone"


EIO, ENOSPC, EROFS = errno.EIO, errno.ENOSPC, errno.EROFS
