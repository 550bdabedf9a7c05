"""File systems that only one process and its children see, where the kernel allows them."""

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Final

TRIED_LAST: Final = ("/tmp", "/var/tmp")
"""Where the single file unpacks when nothing else will do; each may be a disk of its own."""


def restricted(option: str, *folders: str) -> str:
    """Give a script that lets nobody write to folders (`ro`), or run what is there (`noexec`).

    Mounts below them stay as they are. ``FOLDER`` is the machine's own, and becomes such a
    mount; it may lie within them.
    """
    # Whoever is no real root must repeat what is already refused.
    flags = f"remount,bind,nosuid,nodev,{option}"
    lines = ["mount --bind $FOLDER $FOLDER"]
    for one in folders:
        if one != "/":
            lines.append(f"mount --rbind {one} {one}")
        lines.append(f"mount -o {flags} {one}")
    return "; ".join(lines)


READ_ONLY: Final = restricted("ro", "/", *TRIED_LAST)
"""Nothing can be written but below the machine's own folder."""


def with_mounts(script: str, folder: Path) -> list[str]:
    """Give what goes before a command so that it runs with these mounts, in the same process.

    Whoever is not root becomes root of a name space that has nothing but this user.
    """
    who = [] if os.geteuid() == 0 else ["--map-root-user"]
    set_up = f'PATH={os.defpath}:/sbin:/usr/sbin; FOLDER="{folder}"; {script}'
    # The command's own environment goes around it, so that PATH is set for the mounts alone.
    return [_unshare(), "--mount", *who, "/bin/sh", "-ec", f'({set_up}); exec "$@"', "sh"]


@cache
def why_no_mounts() -> str:
    """Say why this machine allows no such mounts; "" if it does."""
    try:
        done = subprocess.run(
            [*with_mounts(f"{READ_ONLY}; mount -t tmpfs none $FOLDER", Path("/var")), "true"],
            capture_output=True,
            text=True,
        )
    except OSError as error:
        return str(error)
    return "" if done.returncode == 0 else done.stderr.strip() or "it says nothing"


def _unshare() -> str:
    return shutil.which("unshare") or "/usr/bin/unshare"
