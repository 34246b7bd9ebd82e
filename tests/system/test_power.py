"""Power cuts under mixed load, again and again: what no finished sync covers is on the disk or not, sector by sector and name by name. Every complete
answer has its records, no acknowledged act is lost or half done, no revocation is undone, the log verifies, the daemon starts. In some rounds syncs
fail as well. And the same with syncs that lie must be found out, or this file shows nothing."""
import os
import random
import shutil
import time

import city
import load
from city import FULL, Node
from disk import DATABASE, Disk, EIO, LOG, STATE

CUTS = 500 if FULL else 25
CUTS_IN_A_ROW = 100  # then from the beginning again: looking costs with what was done
LOOK_EVERY = 5


def round_of(node, disk, rng, number, whole, acted, plain=False):
    """Load, cut, start. What a client was told is added to whole and acted."""
    disk.sync_ms, disk.sync_random = rng.choice((0, 1, 4)), 1
    if not plain and rng.random() < 0.3:
        disk.sync_errno, disk.sync_every, disk.scope = EIO, rng.randrange(3, 40), rng.choice((LOG, STATE, LOG | STATE))
    mixed = load.Load(node, number)
    time.sleep(rng.uniform(0.05, 0.6))
    try:
        told = disk.cut(rng)
    finally:
        mixed.end()
    whole += mixed.whole
    acted += mixed.acted
    disk.heal()
    disk.scope = LOG | STATE
    return told


def run(rng, cuts, lying=0):
    """The violations found, at the first look that shows one. lying: where syncs do nothing."""
    disk = Disk(NODE, journal=True)
    NODE.start()
    whole, acted = [], []
    for number in range(1, cuts + 1):
        if lying:
            disk.sync_noop, disk.scope = 1, lying
        told = round_of(NODE, disk, rng, number, whole, acted, plain=lying != 0)
        try:
            NODE.start()
            bad = load.judge_state(NODE, acted) if lying or number % LOOK_EVERY == 0 or number == cuts else []
            if lying or bad or number == cuts:
                NODE.stop()
                bad += load.judge_log(NODE, whole, acted)
                if not bad and number < cuts:
                    NODE.start()
        except AssertionError as e:  # it did not start, or did not end
            bad = [str(e)]
        if bad:
            return [f"cut {number} ({told}): {b}" for b in bad]
    print(f"{cuts} cuts; {load.tally(whole)}; {len(acted)} acts")
    return []


def test_00_setup():
    global NODE
    NODE = Node()
    NODE.__enter__()
    load.City(NODE)
    NODE.stop()
    shutil.copytree(NODE.dir, NODE.dir + ".before")


def back_to_the_beginning():
    if NODE.process is not None and NODE.process.poll() is None:
        NODE.kill()
    NODE.process = None
    shutil.rmtree(NODE.dir)
    shutil.copytree(NODE.dir + ".before", NODE.dir)


def test_01_power_cuts():
    seed = int(os.environ.get("SLUICE_SEED", random.randrange(1 << 30)))
    print(f"seed {seed}", flush=True)
    rng = random.Random(seed)
    for done in range(0, CUTS, CUTS_IN_A_ROW):
        back_to_the_beginning()
        bad = run(rng, min(CUTS_IN_A_ROW, CUTS - done))
        assert not bad, "\n".join(bad)


class Nothing(random.Random):
    """Of the ways to lose what is not synced: all of it."""

    def choice(self, seq):
        return seq[0]


def test_01b_the_states_log_keeps_its_name():
    """SQLite does not mind when the folder cannot be synced as its log's first commit is: the log must have its name before."""
    for nth in range(1, 13):
        back_to_the_beginning()
        disk = Disk(NODE, journal=True)
        NODE.start()
        disk.scope, disk.sync_every, disk.syncs, disk.sync_errno = DATABASE, 1 << 20, (1 << 20) - nth, EIO  # this one fails and no other
        acted = []
        mixed = load.Load(NODE, nth)
        try:
            city.wait_for(lambda m=mixed: len(m.acted) > 10)
            told = disk.cut(Nothing())
        finally:
            mixed.end()
        acted += mixed.acted
        disk.heal()
        disk.scope = LOG | STATE
        NODE.start()
        bad = load.judge_state(NODE, acted)
        assert not bad, (nth, told, bad)


def test_02_syncs_that_lie_are_found_out():
    for where in (LOG, STATE):
        back_to_the_beginning()
        bad = run(random.Random(1), 8, lying=where)
        assert bad, "cuts with syncs that do nothing, and nothing was lost: this file cannot find a fault"
        print(bad[0].split("\n")[0][:300])


def test_99_teardown():
    back_to_the_beginning()
    NODE.__exit__(None, None, None)


if __name__ == "__main__":
    city.main(globals())
