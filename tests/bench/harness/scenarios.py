"""What is measured, one row each. `load` are arguments of sluice-load; `rows` say which figures the table shows."""
import dataclasses


@dataclasses.dataclass(frozen=True)
class Row:
    key: str        # in the result of one measurement
    title: str
    form: str = ",.1f"
    ratio: bool = True   # against the base


@dataclasses.dataclass(frozen=True)
class Scenario:
    name: str
    title: str
    load: tuple
    rows: tuple
    size: str = "1k"
    passed: bool = False   # the target's own resource for a file that nobody reads; the peers have one way for all
    idle: int = 0   # > 0: hold so many connections open on a target started for it, and read memory
    h2: tuple = ()   # (connections, streams of each): over HTTP/2, by h2load
    start: bool = False   # how long a target takes from its start until it accepts

    @property
    def fresh(self):
        """Whether each measurement starts a target of its own."""
        return self.start or self.idle > 0


CPU = Row("cpu_us", "CPU µs an exchange")
HASHED = Row("cpu_hashed_us", "CPU µs an exchange, and one SHA-256 pass where none is made")
USER = Row("user_percent", "of which user space, %", ".0f", ratio=False)
RATE = Row("rate", "exchanges a second", ",.0f")
P50 = Row("p50_us", "p50, µs", ",.0f")
P99 = Row("p99_us", "p99, µs", ",.0f")
SYNC = Row("sync_us", "p50 of fdatasync beside its log, µs", ",.0f", ratio=False)
IDLE = Row("idle_kib", "KiB each")
START = Row("start_ms", "ms until it accepts", ",.0f")
BUSY = (CPU, USER, RATE)
PASSED = (CPU, HASHED, USER, RATE)
COUNTED = "1k"   # the size whose instructions are counted


def _flat(connections):
    load = ("--connections", str(connections))
    return Scenario(f"keepalive-{connections}", f"{connections} keep-alive, flat out", load, BUSY)


def _h2(connections, streams):
    return Scenario(f"h2-{connections}x{streams}", f"HTTP/2, {connections} connections of {streams} streams, flat out", (), (CPU, RATE), h2=(connections, streams))


def _rate(rate, more=()):
    load = ("--connections", "64", "--rate", str(rate))
    return Scenario(f"rate-{rate}", f"{rate} a second", load, (CPU, P50, P99, *more))


ALL = {s.name: s for s in (
    _flat(1), _flat(64),
    Scenario("keepalive-64-whole", "64 keep-alive, passed through", ("--connections", "64"), PASSED, passed=True),
    _flat(256), _flat(1000), _rate(1000, (SYNC,)), _rate(5000), _rate(20000),
    Scenario("size-64k", "64 KiB, 64 connections", ("--connections", "64"), BUSY, size="64k"),
    Scenario("size-10m", "10 MiB, 8 connections", ("--connections", "8"), BUSY, size="10m"),
    Scenario("file-64k", "64 KiB passed through, 64 connections", ("--connections", "64"), PASSED, size="64k", passed=True),
    Scenario("file-10m", "10 MiB passed through, 8 connections", ("--connections", "8"), PASSED, size="10m", passed=True),
    Scenario("handshake-full", "a full handshake for each", ("--connections", "16", "--fresh", "full"), BUSY),
    Scenario("handshake-resumed", "a resumed handshake for each", ("--connections", "16", "--fresh", "resumed"), BUSY),
    Scenario("idle-memory", "10,000 idle connections", ("--prime", "--opening", "8"), (IDLE,), idle=10000),
    _h2(16, 4), _h2(4, 64),
    Scenario("start-up", "start-up", (), (START,), start=True),
)}
FIGURES = ("keepalive-64", "rate-5000")   # the figures every change is held against


def counted(wanted):
    """Whether answers are read or passed through where instructions are counted: each way that a wanted scenario takes."""
    return sorted({s.passed for s in wanted if s.size == COUNTED and not s.fresh}) or [False]
