"""LICENSES.txt: the licences of everything that a release brings along, with their texts."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from release.parts import NotAsPinned, Part

_COMMON: Final = Path("/usr/share/common-licenses")
_WITHOUT_A_NOTICE: Final = ("Apache-2.0", "MPL-2.0")
"""Licences whose text, which Debian has, is all that who passes on a program has to give."""
_POINTER: Final = re.compile(rf"{_COMMON}/([A-Za-z0-9.+-]*[A-Za-z0-9])")
_RULE: Final = "=" * 78
_HEAD: Final = """\
agentgather {version} is under the MIT licence:

{ours}
What follows is what it brings along. The wheel and the source bring nothing: pip installs
the Python packages from PyPI. The built program has all of it inside.
"""


def render_licences(version: str, ours: str, parts: Iterable[Part], common: Path = _COMMON) -> str:
    """Give the text of the file.

    Raises:
        NotAsPinned: a part has no text, or points to one that this machine does not have.

    """
    text = "\n".join(_lines(version, ours, list(parts)))
    return "\n".join([text, *_common_texts(text, common)])


def _lines(version: str, ours: str, parts: list[Part]) -> Iterator[str]:
    yield _HEAD.format(version=version, ours=ours)
    for part in parts:
        yield f"  {part.name} {part.version}: {part.licence}"
        for one in part.inside:
            yield f"    with {one.name} {one.version}: {one.licence}"
    for part in parts:
        if not part.texts:
            raise NotAsPinned(f"{part.name} {part.version} has no licence's text")
        yield f"\n{_RULE}\n{part.name} {part.version}: {part.licence}\n{_RULE}"
        for title, text in part.texts:
            yield f"\n--- {title}\n\n{text.strip()}"
        if part.inside:
            yield from _linked(part.inside)


def _linked(inside: tuple[Part, ...]) -> Iterator[str]:
    """List what was linked into a part, by what right, and whose notices its wheel lacks."""
    yield "\n--- linked into it, by the list in its wheel\n"
    for one in inside:
        yield f"{one.name} {one.version}: {one.licence}, {one.purl}"
    needed = {name for one in inside for name in _WITHOUT_A_NOTICE if name in one.licence}
    if needed:
        yield "\nWhere one of these is a choice, it is chosen; their texts are at the end:"
        yield from (str(_COMMON / name) for name in sorted(needed))
    missing = [f"{one.name} {one.version}" for one in inside if not _needs_no_notice(one.licence)]
    if missing:
        yield "\nThe wheel has no notices of these. They are with the source of each:"
        yield from missing


def _needs_no_notice(licence: str) -> bool:
    """Say whether a text in ``_WITHOUT_A_NOTICE`` is enough for an expression of SPDX.

    Parentheses are passed over: that can only ask for more.
    """
    return all(
        any(one.partition(" WITH ")[0] in _WITHOUT_A_NOTICE for one in each.split(" OR "))
        for each in re.sub(r"[()]", "", licence).split(" AND ")
    )


def _common_texts(text: str, common: Path) -> Iterator[str]:
    """Give the texts that Debian keeps in one place and others only point to."""
    names: dict[Path, set[str]] = {}
    for name in _POINTER.findall(text):
        # `GPL` is a link to the newest one.
        names.setdefault((common / name).resolve(), set()).add(name)
    for path in sorted(names):
        if not path.is_file():
            raise NotAsPinned(f"a licence's text points to {path}, which is not there")
        title = ", ".join(str(_COMMON / name) for name in sorted(names[path]))
        yield f"\n{_RULE}\n{title}\n{_RULE}\n\n{path.read_text('utf-8').strip()}"
    yield ""
