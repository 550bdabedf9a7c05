"""Our own room keeps every clause."""

from pathlib import Path

import pytest

from agentgather.conformance.clause import Clause
from tests.conformance.stage import NEEDS_A_BROKER, PARTS, details, open_room, place_of, try_at


@pytest.mark.slow
@pytest.mark.parametrize("clauses", PARTS)
async def test_our_own_room_keeps_every_clause(clauses: tuple[Clause, ...], tmp_path: Path) -> None:
    names = {clause.name for clause in clauses}
    async with open_room(tmp_path) as port:
        results = await try_at(place_of(port), clauses)
    assert details(results, "failed") == {}
    assert details(results, "skipped").keys() == NEEDS_A_BROKER & names
    assert results.keys() == names
