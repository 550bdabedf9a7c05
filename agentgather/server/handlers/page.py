"""The static page, its assets, and /healthz: what is given to anyone."""

from typing import Final

from agentgather.edge.answers import NO_STORE, Answer, json_answer
from agentgather.page.files import ASSETS, PAGE, is_fresh
from agentgather.server.visits import Visit
from agentgather.wire.api import OkAnswer, encode

# Revalidated at each load: an upgrade of the program must not meet an older script.
_CACHE: Final = (b"cache-control", b"no-cache")
_HEALTHY: Final = json_answer(200, encode(OkAnswer()))


async def get_healthz(_visit: Visit) -> Answer:
    """Say that the server answers."""
    return _HEALTHY


async def get_page(visit: Visit) -> Answer:
    """Give the page. Its token is in the link's fragment, which never gets here."""
    visit.live.rendering.page_opened.set()
    return Answer(200, PAGE.body, PAGE.content_type, (NO_STORE,))


async def get_asset(visit: Visit) -> Answer:
    """Give one of the page's files, unless the caller's copy is the same."""
    file = ASSETS[visit.path.rpartition("/")[2]]
    headers = (_CACHE, (b"etag", file.etag))
    if is_fresh(file, visit.if_none_match):
        return Answer(304, b"", file.content_type, headers)
    return Answer(200, file.body, file.content_type, headers)
