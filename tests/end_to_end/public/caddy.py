"""Caddy with the Caddyfile that is shipped, and a certificate authority of its own."""

import os
import shutil
from pathlib import Path
from typing import Final

from tests.end_to_end.public.curl import Curl
from tests.end_to_end.public.program import ROOT, Program
from tests.end_to_end.terminal import eventually

UNPACKED: Final = ROOT / "tests" / "end_to_end" / "build" / "caddy"
CADDYFILE: Final = ROOT / "packaging" / "caddy" / "Caddyfile"
# Nothing of the machine's own is touched: no trust store, no port 80.
OPTIONS: Final = ("local_certs", "skip_install_trust", "auto_https disable_redirects")


def look_for_caddy() -> str | None:
    """Give the program that ``CADDY`` names, or that is installed, or was unpacked, if any."""
    named = os.environ.get("CADDY")
    names = (named,) if named else ("caddy", str(UNPACKED))
    return next(filter(None, map(shutil.which, names)), None)


def find_caddy() -> str:
    """Give the program, which has to be there."""
    found = look_for_caddy()
    assert found is not None, "Caddy is missing: `make test` gets it on Debian"
    return found


class Caddy(Program):
    """Caddy at https://NAME:PORT, in front of a broker's port. ``file`` is a copy of its own."""

    def __init__(
        self,
        folder: Path,
        *,
        port: int,
        broker_port: int,
        name: str = "localhost",
        options: tuple[str, ...] = ("default_bind 127.0.0.1",),
        before: tuple[str, ...] = (),
        file: Path = CADDYFILE,
    ) -> None:
        self._before = before
        self.port = port
        self.url = f"https://{name}:{port}"
        self.authority = folder / "caddy" / "pki" / "authorities" / "local" / "root.crt"
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "XDG_DATA_HOME": str(folder),
            "XDG_CONFIG_HOME": str(folder),
            "AGENTGATHER_SITE": self.url,
            "AGENTGATHER_BROKER": f"127.0.0.1:{broker_port}",
            "AGENTGATHER_CADDY": "\n".join((*OPTIONS, *options)),
        }
        command = [find_caddy(), "run", "--config", str(file), "--adapter", "caddyfile"]
        super().__init__("caddy", folder, [*before, *command], environment)

    @property
    def trust(self) -> dict[str, str]:
        """What an environment needs so that the certificate is good: for Python, and curl."""
        return {"SSL_CERT_FILE": str(self.authority), "CURL_CA_BUNDLE": str(self.authority)}

    def start(self) -> None:
        """Start it; returns when it listens and its authority is there."""
        super().start()
        curl = Curl(self.trust, self._before)
        # Any answer will do: there may be no broker behind it yet.
        eventually(lambda: self.is_running() and curl(f"{self.url}/healthz").status)
