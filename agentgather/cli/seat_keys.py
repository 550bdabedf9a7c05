"""What the command line keeps in a seat's file beside the four keys of its form."""

from typing import Any, Final

from agentgather.edge.origins import normalise_base_url
from agentgather.storage.home import Home
from agentgather.storage.tunnel_files import public_url_of
from agentgather.wire.records import CurrentRoom

INSECURE: Final = "insecure"
"""True: the user said that plain HTTP to another machine is acceptable for this seat."""
PUBLIC_URLS: Final = "publicUrls"
"""A host's seat: further URLs under which the room was served last."""


def public_urls(home: Home, seat: CurrentRoom) -> tuple[str, ...]:
    """Give the URLs at which others reach a room that this home hosts, the best first."""
    if not home.has_room(seat.roomId):
        return ()
    tunnel = public_url_of(home, seat.roomId)
    kept: Any = seat.extra.get(PUBLIC_URLS)
    urls = [tunnel] if tunnel is not None else []
    urls += kept if isinstance(kept, list) else []
    return tuple(normal for url in urls if (normal := _normal(url)) is not None)


def _normal(url: object) -> str | None:
    # The files may be edited by hand, and then hold anything.
    try:
        return normalise_base_url(str(url))
    except ValueError:
        return None
