"""``doctor --verify``: whether the program's own files are those that were built or installed.

A built program has ``MANIFEST.sha256`` beside it, in the form of ``sha256sum``; an installed
one has the RECORD of its installer; a source tree has neither. None of it proves where the
program is from: who can change the files can change the list.
"""

import base64
import csv
import hashlib
import os
import re
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import Final

import agentgather
from agentgather.cli.findings import Finding

MANIFEST: Final = "MANIFEST.sha256"
MAX_MANIFEST_BYTES: Final = 1024 * 1024
"""A built program has some hundred files, each with a line of about a hundred bytes."""
MOST_NAMED: Final = 20
"""Of a program that is all changed, the first few say it."""

_LINE: Final = re.compile(r"([0-9a-f]{64}) [ *](.+)")
_UNPROVEN: Final = (
    "Who can change them can change that list too: whether a download is genuine, only its "
    "SHA256SUMS and their signature say"
)


def check_program() -> Iterator[Finding]:
    """Compare the files of this program with the list that came with them.

    Raises:
        OSError: a file or the list cannot be read.

    """
    if getattr(sys, "frozen", False):
        return _check_built(Path(sys.executable).resolve().parent)
    package = Path(agentgather.__file__).resolve().parent
    for distribution in metadata.distributions(name="agentgather"):
        recorded = _read_record(distribution)
        # An editable installation records what leads to the source tree, not the tree.
        if recorded.get(package / "__init__.py"):
            return _check_installed(package, recorded)
    return _check_source(package.parent)


def _check_built(folder: Path) -> Iterator[Finding]:
    expected, faults = _read_manifest(folder / MANIFEST)
    faults += _differences({folder / name: digest for name, digest in expected.items()}, folder)
    known = {folder / name for name in (MANIFEST, *expected)}
    faults += [f"additional: {path}" for path in _files_of(folder) if path not in known]
    yield from _told(faults, f"{len(expected)} files in {folder} are as {MANIFEST} has them")


def _check_installed(package: Path, recorded: dict[Path, str]) -> Iterator[Finding]:
    expected = {
        path: digest
        for path, digest in recorded.items()
        # With `pip install --target` the starter is not where its RECORD says.
        if digest and (path.exists() or path.is_relative_to(package.parent))
    }
    faults = _differences(expected, package.parent)
    faults += [
        f"additional: {path}"
        for path in _files_of(package)
        # What Python compiles lies beside what it was compiled from.
        if path not in recorded and path.parent.name != "__pycache__"
    ]
    yield from _told(
        faults,
        f"{len(expected)} files in {package} and beside it are as its installer recorded them; "
        "the libraries that it uses were not looked at",
    )


def _check_source(tree: Path) -> Iterator[Finding]:
    yield Finding(
        "warn",
        "program",
        f"it runs from the source tree {tree}, and there is no list to compare that with; "
        f"`git -C {tree} status --ignored` says what differs from its commit",
    )


def _told(faults: list[str], sound: str) -> Iterator[Finding]:
    for fault in faults[:MOST_NAMED]:
        yield Finding("FAIL", "program", fault)
    if len(faults) > MOST_NAMED:
        yield Finding("FAIL", "program", f"and {len(faults) - MOST_NAMED} more")
    if faults:
        yield Finding("FAIL", "program", "these are not the files that were built; get it anew")
    else:
        yield Finding("ok", "program", f"{sound}. {_UNPROVEN}")


def _read_manifest(path: Path) -> tuple[dict[str, str], list[str]]:
    """Give the digests by name, and what is wrong with the list itself."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_MANIFEST_BYTES + 1)
    except FileNotFoundError:
        return {}, [f"missing: {path}, the list of its files"]
    if len(data) > MAX_MANIFEST_BYTES:
        return {}, [f"{path} is too long for a list of files"]
    digests: dict[str, str] = {}
    faults = []
    for number, line in enumerate(data.decode("utf-8", "replace").split("\n")[:-1], 1):
        match = _LINE.fullmatch(line)
        if match is None or not _is_within(match[2]) or match[2] in digests:
            faults.append(f"line {number} of {path} names no file of its folder, or one twice")
        else:
            digests[match[2]] = match[1]
    if not digests or not data.endswith(b"\n"):
        faults.append(f"{path} is cut short")
    return digests, faults


def _read_record(distribution: metadata.Distribution) -> dict[Path, str]:
    """Give the digests of what was installed, by path; "" where the installer has none.

    Not ``distribution.files``, which from Python 3.12 on leaves out what is missing.
    """
    rows = csv.reader((distribution.read_text("RECORD") or "").splitlines())
    return {
        Path(str(distribution.locate_file(row[0]))).resolve(): _recorded_digest(row[1])
        for row in rows
        if len(row) > 1
    }


def _recorded_digest(text: str) -> str:
    mode, _, value = text.partition("=")
    try:
        return base64.urlsafe_b64decode(value + "=").hex() if mode == "sha256" else ""
    except ValueError:
        return "of no file"


def _is_within(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and str(path) == name != "."


def _differences(expected: dict[Path, str], folder: Path) -> list[str]:
    faults = []
    for path, digest in expected.items():
        if not path.is_file():
            faults.append(f"missing: {path}")
        elif path.is_symlink() and not path.resolve().is_relative_to(folder):
            faults.append(f"leads out of the folder: {path}")
        elif _digest(path) != digest:
            faults.append(f"changed: {path}")
    return faults


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _files_of(folder: Path) -> Iterator[Path]:
    """Give all that lies below a folder and is no folder, sorted; no link is followed."""
    for where, folders, names in os.walk(folder, onerror=_raise):
        folders.sort()
        linked = [name for name in folders if (Path(where) / name).is_symlink()]
        yield from (Path(where) / name for name in sorted([*names, *linked]))


def _raise(error: OSError) -> None:
    raise error
