"""The programs that are compared. A target is a module with NAME and start(context) -> Running.

Add one by adding its module to table(). start() raises Unavailable with a reason when the program cannot take part."""
import dataclasses
import pathlib
import tempfile
import typing

from harness.pki import Pki
from harness.process import Process


@dataclasses.dataclass
class Context:
    """What a target is started with."""
    directory: pathlib.Path   # an own, empty one
    build: pathlib.Path       # where Sluice was built
    pki: Pki
    upstream: int             # port of the provider: GET or POST /1k, /64k, /10m
    workers: int
    tickets: bool = True      # stateless session tickets; off: sessions kept by the server, where it can
    wrap: typing.Sequence[str] = ()   # goes in front of the command
    patience: float = 15      # seconds until it must accept
    memory: typing.Optional[pathlib.Path] = None   # a folder where a sync costs nothing
    state: typing.Optional[pathlib.Path] = None    # where it keeps what must last, if not in `directory`


@dataclasses.dataclass
class Running:
    """A started target."""
    process: Process          # all its processes are this one and its descendants
    port: int
    version: str
    requests: dict            # size -> arguments of sluice-load: the URL last, with method, headers, expected length
    credentials: list         # --cert --key --ca for sluice-load
    clockwork: typing.Sequence[str] = ()   # functions that the clock calls, whatever the load: left out when stepping
    log: typing.Optional[pathlib.Path] = None   # where it makes records durable, if it does

    def kind(self, size, passed):
        """The key in `requests`: a file of this size that nobody reads, where the target has one."""
        return "file-" + size if passed and "file-" + size in self.requests else size


def plain_proxy(context, process, port, version):
    """The Running of a proxy that passes paths through."""
    from harness.upstream import SIZES
    pki = context.pki
    return Running(process=process, port=port, version=version,
                   requests={name: ["--expect-length", str(size), f"https://127.0.0.1:{port}/{name}"]
                             for name, size in SIZES.items()},
                   credentials=["--cert", str(pki.app_cert), "--key", str(pki.app_key), "--ca", str(pki.ca),
                                "--server-name", "localhost"])


@dataclasses.dataclass
class Variant:
    """A target under other conditions, by another name."""
    module: typing.Any
    change: typing.Callable[[Context], Context]

    def start(self, context):
        return self.module.start(self.change(context))


def _two_workers(context):
    return dataclasses.replace(context, workers=2)


def _in_memory(context):
    """State and log in memory: what durability costs is the difference."""
    return dataclasses.replace(context, state=pathlib.Path(tempfile.mkdtemp(dir=context.memory)))


def table():
    from . import haproxy, nginx, sluice
    plain = {module.NAME: module for module in (nginx, haproxy, sluice)}
    return plain | {"sluice-2": Variant(sluice, _two_workers), "sluice-ram": Variant(sluice, _in_memory)}
