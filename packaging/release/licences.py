"""LICENSES.txt: the licences of everything that a release brings along, with their texts."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from release.parts import NotAsPinned, Part

_COMMON: Final = Path("/usr/share/common-licenses")
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
    parts = list(parts)
    return "\n".join([*_lines(version, ours, parts), *_common_texts(parts, common)])


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
            yield f"\n--- linked into it; the texts are beside each one's source\n{_sources(part)}"


def _sources(part: Part) -> str:
    return "\n".join(f"{one.name} {one.version}: {one.purl}" for one in part.inside)


def _common_texts(parts: list[Part], common: Path) -> Iterator[str]:
    """Give the texts that Debian keeps in one place and its packages only point to."""
    names: dict[Path, set[str]] = {}
    for part in parts:
        for _, text in part.texts:
            for name in _POINTER.findall(text):
                # `GPL` is a link to the newest one.
                names.setdefault((common / name).resolve(), set()).add(name)
    for path in sorted(names):
        if not path.is_file():
            raise NotAsPinned(f"a licence's text points to {path}, which is not there")
        title = ", ".join(str(_COMMON / name) for name in sorted(names[path]))
        yield f"\n{_RULE}\n{title}\n{_RULE}\n\n{path.read_text('utf-8').strip()}"
    yield ""
