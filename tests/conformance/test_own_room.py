"""Our own room keeps every clause."""

from pathlib import Path

import pytest

from tests.conformance.stage import BY_NAME, NEEDS_A_BROKER, details, open_room, place_of, try_at


@pytest.mark.slow
async def test_our_own_room_keeps_every_clause(tmp_path: Path) -> None:
    async with open_room(tmp_path) as port:
        results = await try_at(place_of(port))
    assert details(results, "failed") == {}
    assert details(results, "skipped").keys() == NEEDS_A_BROKER
    assert results.keys() == BY_NAME.keys()
