"""The browser's files: read once, each with its type and a tag that changes with it."""

from hashlib import sha256
from importlib import resources
from typing import Final, NamedTuple

_TYPES: Final = {
    ".html": b"text/html; charset=utf-8",
    ".css": b"text/css; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".svg": b"image/svg+xml",
}
_FOLDER: Final = resources.files("agentgather.page")


class PageFile(NamedTuple):
    """One file. ``etag`` is a strong entity tag, quotes included."""

    name: str
    body: bytes
    content_type: bytes
    etag: bytes


def _read(name: str, body: bytes) -> PageFile:
    content_type = _TYPES["." + name.rpartition(".")[2]]
    return PageFile(name, body, content_type, b'"%b"' % sha256(body).hexdigest()[:16].encode())


PAGE: Final = _read("index.html", (_FOLDER / "index.html").read_bytes())
"""The page itself. It names its assets relative to its own URL."""
ASSETS: Final = {
    file.name: _read(file.name, file.read_bytes())
    for file in sorted((_FOLDER / "assets").iterdir(), key=lambda file: file.name)
    if file.name.endswith(tuple(_TYPES))
}
"""What lies under ``assets/``, by name."""


def is_fresh(file: PageFile, if_none_match: bytes | None) -> bool:
    """Say whether the caller's copy is the file as it is: RFC 9110, section 13.1.2."""
    if if_none_match is None:
        return False
    tags = {tag.strip().removeprefix(b"W/") for tag in if_none_match.split(b",")}
    return file.etag in tags or tags == {b"*"}
