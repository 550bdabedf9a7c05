"""The static page, its assets, and /healthz: what is given to anyone."""

from importlib import resources
from typing import Final

from agentgather.edge.answers import NO_STORE, Answer, json_answer
from agentgather.server.visits import Visit
from agentgather.wire.api import OkAnswer, encode

_TYPES: Final = {
    ".html": b"text/html; charset=utf-8",
    ".css": b"text/css; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".svg": b"image/svg+xml",
}
_FILES: Final = resources.files("agentgather.page")

ASSETS: Final = tuple(
    sorted(file.name for file in _FILES.iterdir() if file.name.endswith((".css", ".js", ".svg")))
)
# Revalidated at each load: an upgrade of the program must not meet an older script.
_CACHE: Final = (b"cache-control", b"no-cache")
_HEALTHY: Final = json_answer(200, encode(OkAnswer()))


async def get_healthz(_visit: Visit) -> Answer:
    """Say that the server answers."""
    return _HEALTHY


async def get_page(_visit: Visit) -> Answer:
    """Give the page. Its token is in the link's fragment, which never gets here."""
    return Answer(200, _read("index.html"), _TYPES[".html"], (NO_STORE,))


async def get_asset(visit: Visit) -> Answer:
    """Give one of the page's files."""
    name = visit.path.rpartition("/")[2]
    return Answer(200, _read(name), _TYPES["." + name.rpartition(".")[2]], (_CACHE,))


def _read(name: str) -> bytes:
    return (_FILES / name).read_bytes()
