"""HAProxy: one process, `workers` threads, its log written to a file."""
import shutil
import subprocess

from harness.process import Process, Unavailable, free_port
from harness.upstream import fill

from . import plain_proxy

NAME = "haproxy"


def start(context):
    if not shutil.which("haproxy"):
        raise Unavailable("not installed (Debian package haproxy)")
    port, pki, directory = free_port(), context.pki, context.directory
    config = fill("peers/haproxy.cfg.in", directory / "haproxy.cfg", port=port, workers=context.workers,
                  upstream=context.upstream, server_bundle=pki.server_bundle, ca_cert=pki.ca,
                  ticket_option="" if context.tickets else "no-tls-tickets")
    process = Process(NAME, ["haproxy", "-db", "-f", config], directory, context.wrap)
    process.wait_port(port, context.patience)
    version = subprocess.run(["haproxy", "-v"], capture_output=True, text=True).stdout
    return plain_proxy(context, process, port, "HAProxy/" + version.split()[2])
