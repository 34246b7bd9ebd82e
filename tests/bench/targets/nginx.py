"""nginx: master and workers, access log on. The peer that ratios are taken against."""
import shutil
import subprocess

from harness.process import Process, Unavailable, free_port
from harness.upstream import fill

from . import plain_proxy

NAME = "nginx"


def start(context):
    if not shutil.which("nginx"):
        raise Unavailable("not installed (Debian package nginx-light)")
    port, pki, directory = free_port(), context.pki, context.directory
    config = fill("peers/nginx.conf.in", directory / "nginx.conf", dir=directory, port=port, workers=context.workers,
                  upstream=context.upstream, server_cert=pki.server_cert, server_key=pki.server_key, ca_cert=pki.ca,
                  tickets="on" if context.tickets else "off")
    command = ["nginx", "-c", config, "-e", directory / "nginx-error.log", "-g", "daemon off;"]
    process = Process(NAME, command, directory, context.wrap)
    process.wait_port(port, context.patience)
    version = subprocess.run(["nginx", "-v"], capture_output=True, text=True).stderr
    return plain_proxy(context, process, port, version.strip().removeprefix("nginx version: "))
