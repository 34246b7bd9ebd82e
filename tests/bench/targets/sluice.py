"""Sluice, everything on: policy, evidence durable before release, Merkle tree, body digests.

start() is to do what a newcomer would, with the two programs only:
  1. `sluice init --dir D` in context.directory; a department, an application and its certificate; a resource whose http
     connector asks http://127.0.0.1:{context.upstream}/1k (and /64k, /10m) with `tls: none` and its reason; request, two
     approvals, a grant;
  2. Process(NAME, [sluiced, "-c", ...], context.directory, context.wrap) on port 0 with --ready-file;
  3. return Running with the application's own certificate, and for each size the POST with its parameters and the
     answer's length.
Everything else in the harness works for it as it does for the others."""
from harness.process import Unavailable

NAME = "sluice"


def start(context):
    if not any((context.build / place / "sluiced").exists() for place in ("gateway", ".", "bin")):
        raise Unavailable("not built")
    raise Unavailable("built, but tests/bench/targets/sluice.py does not start it yet")
