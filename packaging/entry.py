"""What the built program starts with: our command line, and this machine's certificates."""

import os
from collections.abc import MutableMapping
from typing import Final

from agentgather.cli.main import run

BUNDLES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Alpine, Arch
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",  # Fedora, RHEL
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",  # openSUSE
    "/etc/ssl/cert.pem",
)


def find_certificates(environment: MutableMapping[str, str], bundles: tuple[str, ...]) -> None:
    """Tell OpenSSL where this machine keeps its certificates, unless the user does.

    The OpenSSL that is built in knows only where the machine that it was built on has them.
    """
    if "SSL_CERT_FILE" in environment or "SSL_CERT_DIR" in environment:
        return
    for path in bundles:
        if os.access(path, os.R_OK):
            environment["SSL_CERT_FILE"] = path
            return


if __name__ == "__main__":
    find_certificates(os.environ, BUNDLES)
    run()
