"""Every endpoint, once: who may call it, and which of the two ways it is served.

``HOT`` endpoints are called straight from ASGI; quart serves the rest. Both pass the same
checks first, in :mod:`agentgather.server.app`, so a row says nothing about safety but who.
"""

from enum import Enum
from typing import Final, NamedTuple

from agentgather.page.files import ASSETS
from agentgather.server.handlers import events, export, messages, page, room, roster, seats, waits
from agentgather.server.visits import Handler
from agentgather.wire.errors import Rejected
from agentgather.wire.records import Participant


class Access(Enum):
    """Who may call an endpoint."""

    ANYONE = "anyone"
    LOOPBACK = "anyone on the host's machine"
    PARTICIPANT = "a participant"
    CARD = "a participant, also by ?token="
    WAITER = "a participant, also a removed one"
    HOST = "the host"


NEED_NO_TOKEN: Final = (Access.ANYONE, Access.LOOPBACK)


class Way(Enum):
    """How an endpoint is served."""

    HOT = "plain ASGI"
    QUART = "quart"


class Route(NamedTuple):
    """One row. In ``path``, ``<alias>`` stands for a participant.

    ``bare`` endpoints need no body: it may be absent, or any JSON object.
    """

    method: str
    path: str
    access: Access
    way: Way
    handler: Handler
    bare: bool = False


ROUTES: Final = (
    Route("GET", "/healthz", Access.LOOPBACK, Way.HOT, page.get_healthz),
    Route("GET", "/messages", Access.PARTICIPANT, Way.HOT, messages.get_messages),
    Route("POST", "/messages", Access.PARTICIPANT, Way.HOT, messages.post_messages),
    Route("POST", "/preview", Access.PARTICIPANT, Way.QUART, messages.post_preview),
    Route("GET", "/wait", Access.WAITER, Way.HOT, waits.get_wait),
    Route("GET", "/events", Access.PARTICIPANT, Way.HOT, events.get_events),
    Route("GET", "/", Access.ANYONE, Way.HOT, page.get_page),
    *(Route("GET", f"/assets/{name}", Access.ANYONE, Way.HOT, page.get_asset) for name in ASSETS),
    Route("GET", "/brief", Access.PARTICIPANT, Way.QUART, room.get_brief),
    Route("POST", "/brief", Access.HOST, Way.QUART, room.post_brief),
    Route("GET", "/status", Access.PARTICIPANT, Way.QUART, room.get_status),
    Route("GET", "/activity", Access.PARTICIPANT, Way.QUART, room.get_activity),
    Route("GET", "/export", Access.HOST, Way.HOT, export.get_export),
    Route("GET", "/card", Access.CARD, Way.QUART, seats.get_card),
    Route("GET", "/profile", Access.PARTICIPANT, Way.QUART, seats.get_profile),
    Route("POST", "/profile", Access.PARTICIPANT, Way.QUART, seats.post_profile),
    Route("POST", "/join", Access.PARTICIPANT, Way.QUART, seats.post_join, bare=True),
    Route("POST", "/leave", Access.PARTICIPANT, Way.QUART, seats.post_leave, bare=True),
    Route("POST", "/attendance", Access.HOST, Way.QUART, room.post_attendance),
    Route("POST", "/loop-guard", Access.HOST, Way.QUART, room.post_loop_guard, bare=True),
    Route("POST", "/close", Access.HOST, Way.QUART, room.post_close, bare=True),
    Route("POST", "/participants", Access.HOST, Way.QUART, roster.post_participants),
    Route(
        "POST",
        "/participants/<alias>/remove",
        Access.HOST,
        Way.QUART,
        roster.post_remove,
        bare=True,
    ),
    Route(
        "POST",
        "/participants/<alias>/rotate",
        Access.HOST,
        Way.QUART,
        roster.post_rotate,
        bare=True,
    ),
)

_BY_PATH: Final[dict[str, dict[str, Route]]] = {}
for _route in ROUTES:
    _BY_PATH.setdefault(_route.path, {})[_route.method] = _route

_SEATS: Final = "/participants/"


def find_routes(path: str) -> tuple[dict[str, Route], str]:
    """Give the routes of a path by method, and the alias in it; an empty dict if none.

    The path is matched undecoded: no endpoint has a character that needs an escape.
    """
    routes = _BY_PATH.get(path)
    if routes is not None:
        return routes, ""
    if path.startswith(_SEATS):
        alias, _, verb = path.removeprefix(_SEATS).partition("/")
        if alias:
            return _BY_PATH.get(f"{_SEATS}<alias>/{verb}", {}), alias
    return {}, ""


def check_access(route: Route, seat: Participant) -> None:
    """Refuse a caller whose seat does not open the endpoint.

    Raises:
        Rejected: ``participant_removed``, ``host_required``.

    """
    if seat.removed_at is not None and route.access is not Access.WAITER:
        raise Rejected("participant_removed")
    if route.access is Access.HOST and not seat.is_host:
        raise Rejected("host_required")


def is_page(path: str) -> bool:
    """Say whether a path is the static page or an asset, which hold no data."""
    return path == "/" or path.startswith("/assets/")
