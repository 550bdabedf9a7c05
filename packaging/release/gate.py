"""What must hold before a release is built: it says what to change, and changes nothing."""

import re
import subprocess
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Final

_VERSION: Final = re.compile(r"\d+\.\d+\.\d+")
_PLACES: Final = (
    ("agentgather/__init__.py", re.compile(r'__version__: Final = "(.*)"')),
    ("packaging/install.sh", re.compile(r"\s+version=(\S+) .*")),
)
"""The lines that say the version: the program's own, and what the installer gets unasked."""
_HEADING: Final = re.compile(r"^## (.+)$", re.M)
UNRELEASED: Final = "Unreleased"


class ReleaseFailed(Exception):
    """The release is not made. The text says what to do."""


def check_version(root: Path, version: str) -> None:
    """Hold the version that was asked for against those that the tree says.

    Raises:
        ReleaseFailed: they differ, or it is no version.

    """
    if not _VERSION.fullmatch(version):
        raise ReleaseFailed(f"say which version: make release VERSION=x.y.z (not {version!r})")
    for name, rule in _PLACES:
        number, found = _line_of(root / name, rule)
        if found[1] != version:
            raise ReleaseFailed(f"{name}:{number} says {found[1]} and must say {version}")


def _line_of(path: Path, rule: re.Pattern[str]) -> tuple[int, re.Match[str]]:
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if found := rule.fullmatch(line):
            return number, found
    raise ReleaseFailed(f"{path} has no line that says the version")


def faults(root: Path, version: str) -> Iterator[str]:
    """Say what else keeps this tree from being released; a trial may pass over it."""
    changed = _git(root, "status", "--porcelain").splitlines()
    if changed:
        shown = ", ".join(line[3:] for line in changed[:3])
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        yield f"the tree is not clean: {shown}{more}"
    heading, body = changelog_section(root, version)
    if heading == UNRELEASED:
        yield (
            f"CHANGELOG.md has no section of {version}: make `## {UNRELEASED}` to "
            f"`## {version} - {date.today().isoformat()}`"
        )
    elif not _is_dated(heading, version):
        yield f"CHANGELOG.md: `## {heading}` must be `## {version} - YYYY-MM-DD`"
    if not body:
        yield f"CHANGELOG.md says nothing under `## {heading}`"


def changelog_section(root: Path, version: str) -> tuple[str, str]:
    """Give heading and text of a version, or what is unreleased where it has no section.

    Raises:
        ReleaseFailed: there is neither.

    """
    text = (root / "CHANGELOG.md").read_text("utf-8")
    found = list(_HEADING.finditer(text))
    ends = [*(one.start() for one in found[1:]), len(text)]
    sections = {one[1]: text[one.end() : end].strip() for one, end in zip(found, ends, strict=True)}
    for heading, body in sections.items():
        if heading.split()[0].strip("[]") == version:
            return heading, body
    if UNRELEASED in sections:
        return UNRELEASED, sections[UNRELEASED]
    raise ReleaseFailed(f"CHANGELOG.md has neither `## {version} - …` nor `## {UNRELEASED}`")


def commit_time(root: Path) -> int:
    """Give when the commit was made, in seconds since 1970: the time of all that is built."""
    return int(_git(root, "log", "-1", "--format=%ct"))


def _is_dated(heading: str, version: str) -> bool:
    try:
        date.fromisoformat(heading.removeprefix(f"{version} - "))
    except ValueError:
        return False
    return True


def _git(root: Path, *arguments: str) -> str:
    command = ["git", *arguments]
    return subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout
