"""What a broker answers by itself: its own few pages, and the page of every room.

Neither says how many rooms there are, which, or what version this is.
"""

from typing import Final

from agentgather.edge.answers import NO_STORE, TEXT, Answer, json_answer
from agentgather.page.files import ASSETS, PAGE, PageFile, is_fresh
from agentgather.wire.api import OkAnswer, encode
from agentgather.wire.errors import Rejected

# Revalidated at each load, as a room's own server has it: an upgrade of the broker must not
# meet an older script.
_CACHE: Final = (b"cache-control", b"no-cache")
_FAVICON: Final = b"/favicon.ico"
_ICON: Final = ASSETS["icon.svg"]
_ROOT: Final = b"""This is a broker of agentgather. It forwards to rooms on their hosts' machines.

A room's address has its name in it. Whoever invited you has yours.
"""
_OWN: Final = {
    b"/": Answer(200, _ROOT, TEXT),
    b"/healthz": json_answer(200, encode(OkAnswer())),
    b"/robots.txt": Answer(200, b"User-agent: *\nDisallow: /\n", TEXT),
}
_READ: Final = ("GET", "HEAD")
_ASSETS: Final = b"/assets/"

_CLASSES: Final = {
    b"/": "shell",
    b"/brief": "brief",
    b"/attendance": "attendance",
    b"/status": "status",
    b"/messages": "messages",
    b"/wait": "wait",
    b"/events": "events",
    b"/card": "card",
    b"/profile": "profile",
    b"/join": "join",
    b"/leave": "leave",
    b"/close": "close",
    b"/participants": "participants",
}
# What is behind these names has more of a path, and no class of its own.
_FOLDERS: Final = ((_ASSETS, "asset"), (b"/participants/", "participants"))
OTHER: Final = "other"
PATH_CLASSES: Final = frozenset({*_CLASSES.values(), "asset", OTHER})
"""All that is ever said of a path in a log or a metric."""


def is_own(path: bytes) -> bool:
    """Say whether a path is the broker's own, and no room's."""
    return path in _OWN or path == _FAVICON


def own_answer(method: str, path: bytes, if_none_match: bytes | None) -> Answer | None:
    """Answer for a path of the broker's own; None where it is not one.

    Raises:
        Rejected: ``method_not_allowed``.

    """
    if not is_own(path):
        return None
    _check_method(method)
    return _file(_ICON, if_none_match) if path == _FAVICON else _OWN[path]


def page_answer(method: str, path: bytes, if_none_match: bytes | None) -> Answer | None:
    """Answer for a path in a room that is the page's; None where it is the host's.

    Raises:
        Rejected: ``method_not_allowed``, ``not_found``: there is no such asset.

    """
    if path == b"/":
        _check_method(method)
        return Answer(200, PAGE.body, PAGE.content_type, (NO_STORE,))
    if not path.startswith(_ASSETS):
        return None
    file = ASSETS.get(path.removeprefix(_ASSETS).decode("latin-1"))
    if file is None:
        raise Rejected("not_found")
    _check_method(method)
    return _file(file, if_none_match)


def is_page(path: bytes) -> bool:
    """Say whether a path in a room is the static page or an asset, which hold no data."""
    return path == b"/" or path.startswith(_ASSETS)


def is_wait(path: bytes) -> bool:
    """Say whether a path in a room is one whose answer is held, or goes on."""
    return path in (b"/wait", b"/events")


def path_class(path: bytes) -> str:
    """Give what may be said of a path in a room."""
    for folder, kind in _FOLDERS:
        if path.startswith(folder):
            return kind
    return _CLASSES.get(path, OTHER)


def _file(file: PageFile, if_none_match: bytes | None) -> Answer:
    headers = (_CACHE, (b"etag", file.etag))
    if is_fresh(file, if_none_match):
        return Answer(304, b"", file.content_type, headers)
    return Answer(200, file.body, file.content_type, headers)


def _check_method(method: str) -> None:
    if method not in _READ:
        raise Rejected("method_not_allowed", headers=((b"allow", b"GET, HEAD"),))
