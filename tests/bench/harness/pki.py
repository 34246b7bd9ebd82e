"""A certificate authority for one run, thrown away with its directory. P-256 throughout."""
import pathlib
import subprocess

APP = "spiffe://bench.example/dept/edu/app/bench"
GATEWAY = "spiffe://bench.example/gateway/bench"


def _openssl(*args):
    done = subprocess.run(["openssl", *map(str, args)], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"openssl {args[0]} failed: {done.stderr.strip()}")


def _request(name, subject, out, extensions, signer=None):
    """One key and one certificate, self-signed without a signer."""
    args = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-sha256",
            "-subj", subject, "-keyout", out / f"{name}.key", "-out", out / f"{name}.pem"]
    for extension in extensions:
        args += ["-addext", extension]
    if signer:
        args += ["-CA", out / f"{signer}.pem", "-CAkey", out / f"{signer}.key"]
    _openssl(*args)


class Pki:
    """Paths of everything a peer and the load generator need."""

    def __init__(self, directory):
        self.dir = pathlib.Path(directory)
        self.dir.mkdir(mode=0o700)
        leaf = ["basicConstraints=critical,CA:FALSE", "keyUsage=critical,digitalSignature"]
        _request("ca", "/CN=bench CA", self.dir,
                 ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign"])
        _request("server", "/CN=bench gateway", self.dir, leaf + [
            "extendedKeyUsage=serverAuth", f"subjectAltName=DNS:localhost,IP:127.0.0.1,URI:{GATEWAY}"], "ca")
        _request("app", "/O=edu/CN=bench", self.dir, leaf + [
            "extendedKeyUsage=clientAuth", f"subjectAltName=URI:{APP}"], "ca")
        self.ca = self.dir / "ca.pem"
        self.server_cert = self.dir / "server.pem"
        self.server_key = self.dir / "server.key"
        self.app_cert = self.dir / "app.pem"
        self.app_key = self.dir / "app.key"
        self.server_bundle = self.dir / "server-bundle.pem"
        self.server_bundle.touch(mode=0o600)
        self.server_bundle.write_bytes(self.server_cert.read_bytes() + self.server_key.read_bytes())
