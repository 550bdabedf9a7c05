"""LICENSES.txt: the licences of everything that a release brings along, with their texts."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from release.notices import GAPS, HOW_TO_TAKE, NOTICES, Notice, read_notices
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


def render_licences(
    version: str,
    ours: str,
    parts: Iterable[Part],
    common: Path = _COMMON,
    notices: Path = NOTICES,
) -> str:
    """Give the text of the file.

    Raises:
        NotAsPinned: a part has no text, or points to one that this machine does not have; or
            nobody has taken the notice of what is linked into it.

    """
    text = "\n".join(_lines(version, ours, list(parts), read_notices(notices)))
    return "\n".join([text, *_common_texts(text, common)])


def _lines(version: str, ours: str, parts: list[Part], notices: dict[str, Notice]) -> Iterator[str]:
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
            yield from _notices(part, notices)


def _linked(inside: tuple[Part, ...]) -> Iterator[str]:
    """List what was linked into a part, and by what right."""
    yield "\n--- linked into it, by the list in its wheel\n"
    for one in inside:
        yield f"{one.name} {one.version}: {one.licence}, {one.purl}"
    needed = {name for one in inside for name in _WITHOUT_A_NOTICE if name in one.licence}
    if needed:
        yield "\nWhere one of these is a choice, it is chosen; their texts are at the end:"
        yield from (str(_COMMON / name) for name in sorted(needed))


def _notices(part: Part, notices: dict[str, Notice]) -> Iterator[str]:
    """Give the notices of what was linked into a part, a text of several only once.

    Raises:
        NotAsPinned: one is neither kept nor known to be missing.

    """
    of_a_text: dict[str, list[str]] = {}
    missing = []
    for one in part.inside:
        if _needs_no_notice(one.licence):
            continue
        called = f"{one.name} {one.version}"
        notice = notices.get(one.name)
        if notice:
            of_a_text.setdefault(notice.texts, []).append(f"\n--- {called}\n\n{notice.about}")
        elif one.name in GAPS:
            missing.append(called)
        else:
            raise NotAsPinned(
                f"{part.name} {part.version} has {called} inside ({one.licence}), and"
                f" packaging/release/notices has no notice of it: {HOW_TO_TAKE}"
            )
    if of_a_text:
        yield "\nThe notices of the others, of the version that Debian has:"
    for texts, crates in of_a_text.items():
        yield from crates
        yield f"\n{texts}"
    if missing:
        yield "\nThere are no notices here of these. They are with the source of each:"
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
