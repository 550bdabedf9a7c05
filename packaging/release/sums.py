"""SHA256SUMS, and its signature: what lets a user know a release from something else."""

import hashlib
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from release.gate import ReleaseFailed

SUMS: Final = "SHA256SUMS"
SIGNATURE: Final = f"{SUMS}.sig"
NAMESPACE: Final = "agentgather"
"""A signature for something else, by the same key, is none for a release: ssh-keygen(1), -n."""
SIGNER: Final = "agentgather-release"
"""The name that the published line of `allowed_signers` begins with."""


def write_sums(dist: Path) -> Path:
    """List every file of a folder as sha256sum does, sorted by name."""
    path = dist / SUMS
    names = sorted(one.name for one in dist.iterdir() if one.name not in (SUMS, SIGNATURE))
    lines = [
        f"{hashlib.sha256((dist / name).read_bytes()).hexdigest()}  {name}\n" for name in names
    ]
    path.write_text("".join(lines), "ascii")
    return path


def check_sums(dist: Path) -> None:
    """Check the files as a user would.

    Raises:
        ReleaseFailed: one has changed.

    """
    checked = subprocess.run(
        ["sha256sum", "--check", "--strict", "--quiet", SUMS],
        cwd=dist,
        capture_output=True,
        text=True,
    )
    if checked.returncode != 0:
        raise ReleaseFailed(f"{SUMS} does not fit: {checked.stdout}{checked.stderr}")


def sign_sums(dist: Path, key: Path) -> str:
    """Sign the sums and verify that as a user would; give the line to verify with.

    ``key`` is a private key of OpenSSH, or a public one whose private half an agent holds.

    Raises:
        ReleaseFailed: it can't be done with that key.

    """
    (dist / SIGNATURE).unlink(missing_ok=True)
    # On the terminal, not captured: it may ask for a passphrase.
    signed = subprocess.run(
        ["ssh-keygen", "-q", "-Y", "sign", "-f", key, "-n", NAMESPACE, dist / SUMS]
    )
    if signed.returncode != 0 or not (dist / SIGNATURE).is_file():
        raise ReleaseFailed(f"ssh-keygen cannot sign with {key}")
    line = allowed_signer(key)
    # Not in the folder of the release, where whatever is left lying would be published.
    with TemporaryDirectory() as folder:
        signers = Path(folder) / "allowed_signers"
        signers.write_text(line, "ascii")
        verify_sums(dist, signers)
    return line


def verify_sums(dist: Path, allowed_signers: Path) -> None:
    """Verify the signature with a file of allowed signers.

    Raises:
        ReleaseFailed: it is not good, or there is none.

    """
    command = ["ssh-keygen", "-Y", "verify", "-f", str(allowed_signers), "-I", SIGNER]
    command += ["-n", NAMESPACE, "-s", str(dist / SIGNATURE)]
    verified = subprocess.run(command, input=(dist / SUMS).read_bytes(), capture_output=True)
    if verified.returncode != 0:
        raise ReleaseFailed(f"the signature is not good: {verified.stderr.decode().strip()}")


def allowed_signer(key: Path) -> str:
    """Give the line of a key for a file of allowed signers."""
    public = key if key.suffix == ".pub" else key.with_name(f"{key.name}.pub")
    try:
        kind, content = public.read_text("ascii").split()[:2]
    except (OSError, ValueError):
        raise ReleaseFailed(
            f"there is no public key in {public}; `ssh-keygen -y` makes it"
        ) from None
    return f'{SIGNER} namespaces="{NAMESPACE}" {kind} {content}\n'
