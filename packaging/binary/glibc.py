"""How old a system's C library may be for the built files to run on it."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

NEWEST: Final = (2, 36)
"""What the built program may need at most: Debian 12 has it. What it does need depends on the
Python that it is built from; `make binary` prints it."""

_VERSION: Final = re.compile(r"\bGLIBC_(?:(\d+)\.(\d+)(?:\.\d+)?|ABI_DT_RELR)\b")
# The one name that is not a number came with this version.
_RELATIVE_RELOCATIONS: Final = (2, 36)


class NeedsNewer(Exception):
    """A file needs a newer C library than ``NEWEST``. The text is for the maintainer."""


def needs_of(listing: str) -> tuple[int, int]:
    """Give the highest version in what ``readelf --version-info`` prints; (0, 0) if none."""
    found = [
        (int(one[1]), int(one[2])) if one[1] else _RELATIVE_RELOCATIONS
        for one in _VERSION.finditer(listing)
    ]
    return max(found, default=(0, 0))


def check_folder(folder: Path, newest: tuple[int, int] = NEWEST) -> tuple[int, int]:
    """Give the oldest C library that the program of a folder runs with.

    Raises:
        NeedsNewer: that is newer than ``newest``.

    """
    needs = {path: needs_of(_listing(path)) for path in _programs(folder)}
    oldest = max(needs.values())
    if oldest > newest:
        newer = sorted(str(path.relative_to(folder)) for path in needs if needs[path] > newest)
        raise NeedsNewer(
            f"glibc {text(oldest)} is needed by {', '.join(newer)}; {text(newest)} is the most "
            "that may be: build on an older system, or with a Python that was built on one"
        )
    return oldest


def text(version: tuple[int, int]) -> str:
    """Write a version."""
    return f"{version[0]}.{version[1]}"


def _programs(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                if file.read(4) == b"\x7fELF":
                    yield path


def _listing(path: Path) -> str:
    return subprocess.run(
        ["readelf", "--version-info", "--wide", path],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"LC_ALL": "C"},
    ).stdout
