"""Clauses of a room's URL at a broker."""

from typing import Final

from agentgather.conformance.answer import Answer
from agentgather.conformance.clause import API, Clause
from agentgather.conformance.room import Room
from agentgather.conformance.verdict import NotChecked, in_order, same

BROKER: Final = f"{API}#a-room-at-a-broker"


async def _asked(room: Room, path: str) -> Answer:
    if not room.client.is_tunnelled:
        raise NotChecked("no broker is in between")
    return await room.client.outside(path)


async def _route(room: Room) -> None:
    path = room.client.place.prefix
    document = (await _asked(room, path)).document()
    in_order("the keys", document, ("ok", "route_slug", "status", "host_connected"))
    same("route_slug", document["route_slug"], path.rpartition("/")[2])
    same("host_connected", document["host_connected"], True)


async def _unknown(room: Room) -> None:
    others = room.client.place.prefix.rpartition("/")[0]
    (await _asked(room, f"{others}/{room.unused_alias('name')}")).refuses("route_not_found")


CLAUSES: Final = (
    Clause("broker.route", BROKER, "says that the room is there, and nothing of it", _route),
    Clause("broker.unknown", BROKER, "a name under which nothing is published: 404", _unknown),
)
