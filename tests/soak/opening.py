"""The rooms of a soak: some that are timed, one with harm in it, and all the others."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import trio

from tests.doubles.cutting_proxy import serve_cutting_proxy
from tests.end_to_end.public.broker import Broker
from tests.soak.rooms import SoakRoom

ROOMS: Final = 20
TIMED: Final = 4
"""Rooms whose answers are timed. The one with a harmful participant is the last of all."""
STARTING_AT_ONCE: Final = 4


@asynccontextmanager
async def open_rooms(folder: Path, broker: Broker) -> AsyncIterator[list[SoakRoom]]:
    """Have all rooms public for the length of the block."""
    rooms: list[SoakRoom] = []
    starting = trio.CapacityLimiter(STARTING_AT_ONCE)

    async def start(room: SoakRoom) -> None:
        async with starting:
            room.host.start()
            await room.answers()
            await room.warm()

    try:
        async with trio.open_nursery() as serving:
            for number in range(ROOMS):
                is_timed, is_last = number < TIMED, number == ROOMS - 1
                proxy = None
                if not (is_timed or is_last):
                    proxy = await serving.start(serve_cutting_proxy, broker.port)
                slug = f"room-{number}"
                place = folder / slug
                place.mkdir()
                rooms.append(SoakRoom(place, slug, broker.port, proxy=proxy, has_harm=is_last))
            async with trio.open_nursery() as nursery:
                for room in rooms:
                    nursery.start_soon(start, room)
            yield rooms
            serving.cancel_scope.cancel()
    finally:
        for room in rooms:
            room.host.end()
